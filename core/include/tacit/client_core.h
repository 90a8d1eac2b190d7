// SPDX-License-Identifier: Apache-2.0
//
// A client of a replicated group as a state machine without I/O: sessions, requests, retries and
// fail-over over the fabric port. It owns no thread, clock, heap or device; the client library
// (apps/client) or the simulator gives it memory, a fabric and the time, and polls it.
//
// It writes requests into the REQUESTS ring that each replica keeps for it, and reads the REPLIES
// ring that each replica writes into this process. Requests go to the believed leader; to all
// replicas that are up after a time-out, the leader's DOWN, or when nobody is believed to lead. The
// first RESULT counts (crash mode: replicas do not lie). Every request is executed exactly once,
// however often it was sent, because its session and number stay the same.
//
// Byzantine mode: up to f of 2f+1 replicas lie. Each request goes to all; an answer counts when f+1
// replicas gave it: equal in session, number, kind, position in the log and digest of the body, and
// the body itself came from anybody and has that digest. Each replica has one vote a request, its
// newest. What was not answered in time is signed once and sent again to all, few requests at a
// time. A hint is ignored, and nothing that up to f replicas write makes an answer of theirs count,
// stops others from being heard, or uses more than a bounded amount of memory or work.
//
// Threads: all calls on one object come from the thread that owns its fabric. Nothing here blocks.
#ifndef TACIT_CLIENT_CORE_H
#define TACIT_CLIENT_CORE_H

#include "tacit/fabric.h"
#include "tacit/signer.h"
#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tacit_client_config {
    uint8_t replicas;       // of the group
    uint32_t request_bytes; // largest request body; like the replicas'
    uint32_t reply_bytes;   // largest reply body; like the replicas'
    uint32_t ring_slots;    // of each request and reply ring; like the replicas'
    uint32_t sessions;      // open at a time, 1 .. 65535; at most the replicas' sessions_per_client
    uint32_t pipeline; // requests outstanding per session; at most the replicas' session_pipeline
    tacit_time_ns_t
        retry_ns; // first time-out of a request; 0: 2 ms. Grows with what round trips take
    tacit_time_ns_t retry_max_ns; // cap of the back-off; 0: 50 ms
    tacit_time_ns_t hint_ns;      // pause when a replica said that it knows no leader; 0: 100 us
    // Names the first session that is opened; each later one counts on. No other start of this
    // client id may use it: two sessions with one nonce would be one session. It should be larger
    // than those of earlier starts (the start's incarnation << 32, or the time with some random
    // bits): the group refuses nonces below one whose session is over, and the answer, from which
    // the client goes on, costs a round trip. Below 2^62.
    uint64_t first_nonce;
    // Jitter of back-offs: a value below `bound` (> 0).
    uint32_t (*draw)(void *context, uint32_t bound);
    void *draw_context;
    // Byzantine mode: `replicas` is 2 * faults + 1; signs as client `client_id` with the signer,
    // which is this client's alone and polled by it (a completion must wake whoever sleeps).
    bool byzantine;
    uint8_t faults;
    uint16_t client_id;
    struct tacit_signer *signer;
};

enum tacit_client_event_kind {
    TACIT_CLIENT_OPENED = 1, // a session can be used now
    TACIT_CLIENT_RESULT,     // a request is done: status says how
    TACIT_CLIENT_CLOSED, // a session is over; its handle is void. One for each session, its last
                         // event
};

// What poll() hands out.
struct tacit_client_event {
    uint8_t kind;
    uint8_t replica;  // who answered (Byzantine mode: last); TACIT_NODE_NONE & 255 if nobody did
    uint32_t session; // handle from open()
    uint64_t token;   // of open() (OPENED, CLOSED) or submit() (RESULT)
    // RESULT:
    //   TACIT_OK      executed at `index`; body is the application's reply
    //   TACIT_ENOENT  executed, but the reply is no longer kept
    //   TACIT_ETOOBIG a replica's limits are smaller than this client's; not executed. The session
    //   is closed TACIT_ECLOSED the session was closed by the group (the oldest goes when a client
    //   opens too many)
    //                 before an answer came. Whether it was executed is not known
    // CLOSED: TACIT_OK when close() asked for it, else TACIT_ECLOSED or TACIT_ETOOBIG.
    enum tacit_status status;
    uint64_t index;        // position in the log
    uint64_t wire_session; // the session's number in the group
    uint64_t number;       // of the request in its session, from 1
    const uint8_t *body;   // valid until the next call of any function on this object
    uint32_t body_bytes;
};

struct tacit_client_counters {
    uint64_t sent;       // ring messages, first sends and resends
    uint64_t resent;     // of these, resends
    uint64_t time_outs;  // requests whose time-out passed
    uint64_t fail_overs; // DOWNs of a believed leader
    uint64_t hints;      // "not the leader"
    uint64_t results;    // answers that counted
    uint64_t duplicates; // answers to what was answered before
    uint64_t malformed;  // replies that no correct replica writes
    uint64_t lapped;     // replies that were overwritten before they were read
    uint64_t refused;    // posts that the fabric did not take or completed with an error
    // Byzantine mode.
    uint64_t signatures;  // requests that were signed
    uint64_t asked;       // "please sign" that was followed
    uint64_t changed;     // votes that differ from the same replica's vote before
    uint64_t bodies_late; // requests with an agreed answer whose body was asked of all
};

struct tacit_client;

// Checks the limits against each other; fills `error` (may be NULL) with what is accepted.
enum tacit_status tacit_client_config_check(const struct tacit_client_config *config,
                                            struct tacit_error *error);
// Bytes that init() needs, a multiple of 64. The config must have passed the check.
size_t tacit_client_size(const struct tacit_client_config *config);
// The regions that the client has to expose; equals tacit_smr_client_layout() of matching replicas.
struct tacit_host_layout tacit_client_layout(const struct tacit_client_config *config);

// Builds a client in `memory` (64-aligned, client's until the caller frees it; there is nothing to
// undo). Attaches `memory` to the fabric, which must have polled no event yet and must outlive the
// client.
void tacit_client_init(struct tacit_client **client, void *memory,
                       const struct tacit_client_config *config, struct tacit_fabric *fabric);

// Begins to open a session and names it: *session is its handle until its CLOSED event. OPENED
// follows. `token` comes back with both. TACIT_EBUSY: as many sessions as configured, or as many
// requests outstanding as a ring has slots; try again after the next event.
enum tacit_status tacit_client_session_open(struct tacit_client *client, uint64_t token,
                                            tacit_time_ns_t now_ns, uint32_t *session);
// Ends a session after its outstanding requests were answered. CLOSED follows. No submit() after
// it. Before OPENED: the session is closed as soon as it is open. TACIT_ECLOSED: no such session.
enum tacit_status tacit_client_session_close(struct tacit_client *client, uint32_t handle,
                                             tacit_time_ns_t now_ns);
// Sends a request, copied before this returns. Requests of a session are executed in the order of
// their submission. RESULT with `token` follows, in any order, exactly once. TACIT_EINVAL: not open
// yet. TACIT_ECLOSED: being closed or closed. TACIT_ETOOBIG: larger than request_bytes.
// TACIT_EBUSY: `pipeline` numbers after the oldest unanswered one are in use, or as many requests
// are outstanding as a ring has slots; try again after the next event.
enum tacit_status tacit_client_submit(struct tacit_client *client, uint32_t handle,
                                      const void *body, size_t body_bytes, uint64_t token,
                                      tacit_time_ns_t now_ns);

// Like submit, for a request that changes nothing: the application's query() answers it on the
// leader, without replication while the leader's lease holds. It sees the effects of all requests
// of its session that were submitted before it, of none submitted after it (submit() is EBUSY until
// it is answered), and of all that were answered to anybody before it was submitted (linearizable).
// RESULT follows; `number` and `index` of its event say nothing. Status TACIT_EINVAL there: the
// application answers no reads. As many reads as requests may be outstanding in a session.
// Byzantine mode: is submitted like any request.
enum tacit_status tacit_client_read(struct tacit_client *client, uint32_t handle, const void *body,
                                    size_t body_bytes, uint64_t token, tacit_time_ns_t now_ns);

// Asks every connected replica who is in which seat. No session is needed, and no event tells of
// answers; without a time-out: ask again.
void tacit_client_members_ask(struct tacit_client *client);
// What the group says about its members, of the answers to the last 64 questions: in crash mode
// the newest one; in Byzantine mode what f+1 replicas say alike. `dead`: seats of which one, or
// f+1, say so. False: no answer yet.
struct tacit_wire_members;
bool tacit_client_members(const struct tacit_client *client, struct tacit_wire_members *members);
// Sends an operator's order (tacit/wire.h), whole and signed, to every connected replica. May be
// sent again and again: it is executed once.
struct tacit_wire_order;
void tacit_client_order_send(struct tacit_client *client, const struct tacit_wire_order *order);
// What became of the order with that nonce (enum tacit_order_outcome); 0: not known yet.
uint32_t tacit_client_order_outcome(const struct tacit_client *client, uint64_t nonce);

// One turn: takes fabric events, reads replies, resends what is due. True: *event was filled in and
// more may be there, call again; false: nothing is left at present. Bounded work.
bool tacit_client_poll(struct tacit_client *client, tacit_time_ns_t now_ns,
                       struct tacit_client_event *event);
// When poll must be called again even if nothing rings; UINT64_MAX: never. Every submit may change
// it.
tacit_time_ns_t tacit_client_deadline(const struct tacit_client *client);

// Requests, OPENs and CLOSEs that wait for an answer.
uint32_t tacit_client_outstanding(const struct tacit_client *client);
// Believed leader or TACIT_NODE_NONE (Byzantine mode: always that); bit r of `up` = replica r is
// connected (may be NULL).
tacit_node_t tacit_client_leader(const struct tacit_client *client, uint32_t *up);
// Counters since init; valid as long as the client.
const struct tacit_client_counters *tacit_client_counters(const struct tacit_client *client);
// Structural invariants, for tests: NULL, or a static text that names the broken one.
const char *tacit_client_check(const struct tacit_client *client);

#ifdef __cplusplus
}
#endif

#endif
