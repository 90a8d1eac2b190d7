// SPDX-License-Identifier: Apache-2.0
//
// The store of requests, shared by its parts: requests.c (places, endorsement, waiting slots),
// requests_lead.c (proposing, standing, what was lacked), requests_check.c (signatures and
// forwarded requests), requests_oblige.c (timers) and requests_messages.c (layouts).
#ifndef TACIT_BYZANTINE_REQUESTS_INTERNAL_H
#define TACIT_BYZANTINE_REQUESTS_INTERNAL_H

#include "requests.h"

#define TACIT_REQUESTS_NONE UINT32_MAX
#define TACIT_FORWARDS_EACH 8u // forwarded requests of one peer whose signature is being checked
#define TACIT_CHECKS_OUT 8u    // signatures of all clients that are at the signer
#define TACIT_SERVES_EACH 16u  // LACKs of one peer that are served within lack_after_ns
#define TACIT_PENALTY_MAX 20u  // 2^20 checkpoints
#define TACIT_WARY_TIMES 512u  // of lack_after_ns: so long a LACK is remembered
// Cookies of the signer hold a place (or a peer and a slot), and the turn in which it was taken.
#define TACIT_REQUESTS_PLACE_BITS 26u
#define TACIT_REQUESTS_TURNS ((1u << 29) - 1u)

// A place of a client. Place {session, number} of a lane is the same for all numbers that are equal
// modulo P, so a later request displaces an earlier one.
struct tacit_requests_entry {
    uint8_t kind; // enum tacit_request_kind, 0: free
    bool direct, is_signed, full;
    bool to_check;       // the signature that is kept with it waits for the client's turn,
    bool checking;       // is at the signer
    uint16_t echo_heard; // replicas that echoed something under this number
    uint16_t echo_mask;  // of these, those that have it as it is here
    uint16_t lack_mask;  // replicas that said that they lack it
    uint16_t lacked; // replicas that said so of what this replica, leading, proposed in this view
    uint32_t body;   // slot of the client's bodies
    uint32_t body_bytes;
    uint32_t turn;    // of this place: what was begun for an earlier request is void
    uint32_t waiting; // first slot that waits for something in this place
    uint64_t session;
    uint64_t number;
    uint64_t arrival;       // order in which they came
    uint64_t proposed;      // OPEN: view in which it was proposed, plus 1
    tacit_time_ns_t ask_ns; // the client is not asked for its signature before
    // Beside it: another request of this place, which a slot waited for, came from a peer with its
    // client's signature, and finds no room: what is here is newer, or an OPEN. It is endorsed.
    bool has_brought;
    struct tacit_requests_key brought;
    struct tacit_digest brought_digest; // of its body
};

// A session of a client, or (the last lane of each client) all its OPENs.
struct tacit_requests_lane {
    uint64_t session;  // 0: none
    uint64_t proposed; // last number that was proposed in `view`
    uint64_t view;     // plus 1
    bool queued;
    // Obligation: nothing, to be forwarded to the present leader, or running.
    uint8_t obliged; // enum tacit_requests_obligation
    uint32_t place;  // of the request
    uint32_t turn;   // of the place
    uint64_t number;
    tacit_time_ns_t since_ns;     // RUNNING: when it began
    tacit_time_ns_t forwarded_ns; // when it was sent last
    uint32_t next, previous;      // in the list of that state
};
enum tacit_requests_obligation {
    TACIT_OBLIGED_NOT = 0,
    TACIT_OBLIGED_TO_FORWARD,
    TACIT_OBLIGED_RUNNING,
    TACIT_OBLIGED_STATES,
};

struct tacit_requests_list {
    uint32_t first, last;
    uint32_t count;
};

// A slot that waits for a request.
struct tacit_requests_waiter {
    bool used;
    uint8_t lacks; // LACKs sent
    struct tacit_requests_key key;
    uint64_t view, slot;
    tacit_time_ns_t due_ns; // of the next LACK
    uint32_t next;          // of the same place
};

// A forwarded request under check; its bytes are in `forward_bytes`.
struct tacit_requests_forward {
    bool used;
    uint16_t client;
    uint32_t turn;
    uint32_t bytes;
};

struct tacit_requests_client {
    uint8_t named;          // times
    bool is_queued;         // for its turn to have a signature checked
    uint32_t to_check;      // signatures that wait
    uint32_t look_at;       // the place, among its own, to begin with
    uint64_t penalty_until; // checkpoints
    bool lacked;            // in some place of it
    uint16_t wary;          // replicas that lacked something of it, of late
    uint32_t free_bodies;   // count; a stack in `free_bodies`
};

// What is known of a replica as one who lacks requests.
struct tacit_requests_accuser {
    uint32_t clients[TACIT_REPLICAS_MAX / 2 + 1]; // f+1 of them
    uint32_t count;
    uint32_t served;
    uint32_t wary;             // clients of whom `wary` names it by its word alone
    tacit_time_ns_t window_ns; // when the count of served ones starts anew
};

struct tacit_requests {
    struct tacit_requests_config config;
    struct tacit_signer *signer;
    struct tacit_requests_calls calls;
    struct tacit_marker marker;
    uint32_t faults;
    uint32_t places_each, lanes_each, bodies_each; // of a client
    uint32_t session_places;
    uint32_t body_stride, forward_stride;
    uint64_t view;
    uint64_t checkpoints;
    uint64_t arrivals;
    uint32_t newest; // place of what came last from a client itself, NONE: tacit_requests_expected
    uint32_t named;  // clients under a penalty

    struct tacit_requests_client *clients;
    struct tacit_requests_entry *entries;
    struct tacit_requests_lane *lanes;
    uint8_t *bodies;       // clients * bodies_each * body_stride: signature, then body
    uint32_t *free_bodies; // clients * bodies_each
    uint32_t *queue;       // lanes that have something to propose: a ring of clients * lanes_each
    uint32_t queue_first, queue_count;
    // Clients with a signature to be checked, each once: a ring of `clients`.
    uint32_t *check_queue;
    uint32_t check_first, check_count, checks_out;
    struct tacit_requests_list lists[TACIT_OBLIGED_STATES];
    uint32_t cursor; // in the list RUNNING: whose request is forwarded again next; NONE: no pass
    tacit_time_ns_t pass_ns; // when the next pass begins
    tacit_time_ns_t pace_ns; // nothing is forwarded before
    struct tacit_requests_waiter *waiters;
    uint32_t waiting;
    tacit_time_ns_t lack_due_ns;
    tacit_time_ns_t patience_ns;   // at least lack_after_ns
    tacit_time_ns_t ask_due_ns;    // of tacit_requests_ask_held_back(), UINT64_MAX: for nothing
    tacit_time_ns_t wary_until_ns; // UINT64_MAX: nobody lacked anything of late
    uint32_t gone;                 // bit by replica: tacit_requests_gone
    struct tacit_requests_accuser accusers[TACIT_REPLICAS_MAX];
    struct tacit_requests_forward forwards[TACIT_REPLICAS_MAX][TACIT_FORWARDS_EACH];
    uint8_t *forward_bytes; // replicas * TACIT_FORWARDS_EACH * forward_stride
    uint8_t *out;           // a message being built
    uint32_t turns;
    struct tacit_requests_counters counters;
};

static inline tacit_node_t tacit_requests_leader(const struct tacit_requests *requests)
{
    return (tacit_node_t)(requests->view % requests->config.replicas);
}

static inline bool tacit_requests_leads(const struct tacit_requests *requests)
{
    return tacit_requests_leader(requests) == requests->config.self;
}

static inline uint32_t tacit_requests_client_of(const struct tacit_requests *requests,
                                                uint32_t place)
{
    return place / requests->places_each;
}

static inline uint8_t *tacit_requests_signature(const struct tacit_requests *requests,
                                                uint32_t place)
{
    const struct tacit_requests_entry *entry = &requests->entries[place];
    size_t slot =
        (size_t)tacit_requests_client_of(requests, place) * requests->bodies_each + entry->body;
    return requests->bodies + slot * requests->body_stride;
}

static inline uint8_t *tacit_requests_body(const struct tacit_requests *requests, uint32_t place)
{
    return tacit_requests_signature(requests, place) + TACIT_SIGNATURE_BYTES;
}

// ---- requests.c ----
uint32_t tacit_requests_place(const struct tacit_requests *requests,
                              const struct tacit_requests_key *key);
uint32_t tacit_requests_lane(const struct tacit_requests *requests,
                             const struct tacit_requests_key *key);
// Place of a request that is here, else TACIT_REQUESTS_NONE.
uint32_t tacit_requests_find(const struct tacit_requests *requests,
                             const struct tacit_requests_key *key);
struct tacit_requests_key tacit_requests_key_of(const struct tacit_requests *requests,
                                                uint32_t place);
// What the executed state says about a request: TAKEN (may be kept), EXECUTED, CLOSED or DROPPED.
enum tacit_requests_put tacit_requests_judge(const struct tacit_requests *requests,
                                             const struct tacit_requests_key *key);
// Puts a request in its place, if it may displace what is there; wakes nobody. Returns the place or
// NONE. `forwarded`: came from a peer, signed and checked.
uint32_t tacit_requests_store(struct tacit_requests *requests, const struct tacit_requests_key *key,
                              const struct tacit_wire_request *request, bool forwarded);
void tacit_requests_free(struct tacit_requests *requests, uint32_t place);
// Something about this request has become better: slots that wait for it, the queue, obligations.
void tacit_requests_improved(struct tacit_requests *requests, uint32_t place,
                             tacit_time_ns_t now_ns);

// ---- requests_lead.c ----
// Puts a lane into the queue if it has something to propose.
void tacit_requests_consider(struct tacit_requests *requests, uint32_t index);
// Whoever is doubted or named is asked for the signature of what is held back for that, next in its
// lane, if no echo has come after a while: else it would wait for its own time-out each time, which
// grows with its slowest answers. hold_back() looks whether there is anything to ask for later.
void tacit_requests_hold_back(struct tacit_requests *requests, uint32_t index,
                              tacit_time_ns_t now_ns);
void tacit_requests_ask_held_back(struct tacit_requests *requests, tacit_time_ns_t now_ns);
// Tries again to endorse the slots that wait for this request.
void tacit_requests_wake(struct tacit_requests *requests, const struct tacit_requests_key *key);
// Whether a slot waits for it.
bool tacit_requests_is_awaited(const struct tacit_requests *requests,
                               const struct tacit_requests_key *key);

// Whether this replica leads and has proposed this request in the present view.
bool tacit_requests_was_proposed(const struct tacit_requests *requests, uint32_t place);
void tacit_requests_echo(struct tacit_requests *requests, uint32_t place);
void tacit_requests_on_lack(struct tacit_requests *requests, tacit_node_t from,
                            const struct tacit_message_lack *lack, tacit_time_ns_t now_ns);
void tacit_requests_on_echo(struct tacit_requests *requests, tacit_node_t from,
                            const struct tacit_message_echo *echo, tacit_time_ns_t now_ns);
// `replica`, perhaps this one, lacks something of this client: see there.
void tacit_requests_be_wary(struct tacit_requests *requests, tacit_node_t replica, uint32_t client,
                            bool is_proven, tacit_time_ns_t now_ns);
// All of that is forgotten.
void tacit_requests_forget_lacks(struct tacit_requests *requests);
// A signature arrived: whoever lacks the request gets it.
void tacit_requests_serve_lacks(struct tacit_requests *requests, uint32_t place);

// ---- requests_check.c ----
// Has the signature of a request in its place checked, in its client's turn.
void tacit_requests_check_place(struct tacit_requests *requests, uint32_t place,
                                const uint8_t *signature);
// Hands signatures to the signer, one of each client in turn, as long as few are there.
void tacit_requests_check_next(struct tacit_requests *requests);
void tacit_requests_on_forward(struct tacit_requests *requests, tacit_node_t from,
                               const struct tacit_message_request *message, tacit_time_ns_t now_ns);
// Sends a signed request to a peer.
void tacit_requests_send(struct tacit_requests *requests, tacit_node_t to, uint32_t place);

// ---- requests_oblige.c ----
void tacit_requests_lists_init(struct tacit_requests *requests);
// Begins the obligation of a lane if there is one.
void tacit_requests_oblige(struct tacit_requests *requests, uint32_t index, tacit_time_ns_t now_ns);
void tacit_requests_release(struct tacit_requests *requests, uint32_t index);
void tacit_requests_oblige_anew(struct tacit_requests *requests);
bool tacit_requests_forward_due(struct tacit_requests *requests, tacit_time_ns_t now_ns);
tacit_time_ns_t tacit_requests_forward_deadline(const struct tacit_requests *requests);

#endif
