// SPDX-License-Identifier: Apache-2.0
//
// The client's state, shared by its parts: client.c (what the caller asks for), send.c (rings
// of the replicas, retries, fail-over), receive.c (what comes back) and votes.c (what Byzantine
// mode adds).
#ifndef TACIT_CLIENT_INTERNAL_H
#define TACIT_CLIENT_INTERNAL_H

#include "tacit/client_core.h"
#include "tacit/crypto.h"
#include "tacit/ring.h"
#include "tacit/wire.h"

#define TACIT_CLIENT_RECORD_NONE 0xffffu
#define TACIT_CLIENT_POSITION_MASK                                                                 \
    0xffffu                       // low bits of a session's number: its position in the table
#define TACIT_CLIENT_NOBODY 0xffu // event.replica: nobody answered
// Set in every nonce, never in a request's number: an answer to OPEN, repeated because OPEN was,
// must not pass for the answer to a request of the session that it opened.
#define TACIT_CLIENT_NONCE_BIT (1ull << 63)

// Answers to so many questions about seats count: a busy replica is slower than who asks.
#define TACIT_CLIENT_RECENT 64u
#define TACIT_CLIENT_REDRAWS 16u // nonces that are tried for one session

enum tacit_client_session_state {
    TACIT_SESSION_FREE = 0,
    TACIT_SESSION_OPENING, // `control` is the OPEN
    TACIT_SESSION_OPEN,
    TACIT_SESSION_DRAINING, // close() was called; CLOSE goes out when nothing is outstanding
    TACIT_SESSION_CLOSING,  // `control` is the CLOSE
    TACIT_SESSION_OVER,     // the remaining requests fail, then CLOSED is reported
};

struct tacit_client_session {
    uint8_t state;
    bool close_wanted; // close() came before OPENED
    uint8_t redrawn;   // times that another nonce was tried
    uint16_t
        turn; // of this table entry; part of the handle, so that an old handle is not valid again
    uint16_t control; // record of the OPEN or CLOSE
    uint32_t outstanding;
    enum tacit_status reason; // OVER: status of CLOSED
    uint64_t id;              // number in the group
    uint64_t next_number;
    uint64_t next_read;
    uint32_t reading; // reads without an answer
    uint64_t token;
};

// A message that waits for its answer. Its image is a ring slot, encoded once and sealed at every
// send.
struct tacit_client_record {
    uint8_t kind;        // enum tacit_request_kind, 0: free
    uint16_t session;    // table index
    uint8_t attempts;    // time-outs so far
    uint8_t hint_rounds; // rounds in which nobody led
    uint16_t sent_mask;  // replicas that have it in the present round
    uint16_t hint_mask;  // of these, those that answered "not me"
    uint32_t payload_bytes;
    uint64_t number;
    uint64_t token;
    tacit_time_ns_t first_sent_ns;
    tacit_time_ns_t deadline_ns;
    // Byzantine mode.
    uint8_t signing; // enum tacit_client_signing
    bool agreed;     // f+1 replicas agree, but the body is not here
    bool asked_all;  // for the body
    // client->bodies has the designated replier's newest body, or else the first one that came.
    bool kept;
    bool kept_digested; // kept_digest was made
    uint8_t kept_by;    // replica
    uint32_t kept_bytes;
    uint32_t turn; // of this record; completions of an earlier one are void
    struct tacit_digest kept_digest;
};

enum tacit_client_signing { TACIT_SIGNING_NOT = 0, TACIT_SIGNING_ASKED, TACIT_SIGNING_DONE };

// What one replica said last about one request.
struct tacit_client_vote {
    uint8_t kind; // enum tacit_reply_kind, 0: nothing; RESULT_DIGEST counts as RESULT
    uint64_t session;
    uint64_t index;
    bool of_kept; // its body is the kept one; else `digest` is the body's
    struct tacit_digest digest;
};
_Static_assert(TACIT_REPLICAS_MAX <= 16, "masks");

// The connection with one replica.
struct tacit_client_link {
    bool up;
    tacit_incarnation_t incarnation;
    int32_t requests;                 // region handle of its request ring, -1: not known yet
    uint64_t sequence;                // of the last message that was posted whole
    struct tacit_ring_reader replies; // memory NULL: not there yet
};

// Byzantine mode: how a replica behaves, whatever its connections.
struct tacit_client_manners {
    uint32_t mute;            // so many requests yet do not rely on its body
    uint32_t mute_span;       // next length of that
    tacit_time_ns_t asked_ns; // no "please sign" of it is followed before
    bool is_asked_again;      // one more is followed then
};

// What one replica said last about seats and the present order (members.c).
struct tacit_client_said {
    uint64_t asked; // number of the MEMBERS that it answered, 0: none
    struct tacit_wire_members members;
    uint64_t nonce; // of the order whose outcome follows, 0: none
    uint64_t outcome;
};

struct tacit_client {
    struct tacit_client_config config;
    struct tacit_fabric *fabric;
    struct tacit_ring_shape request_shape;
    struct tacit_ring_shape reply_shape;

    struct tacit_client_link links[TACIT_REPLICAS_MAX];
    tacit_node_t leader;
    uint32_t next_link; // whose replies are read first, for fairness

    struct tacit_client_session *sessions;
    uint16_t *hints;   // sessions: the index of the session whose number has this position
    uint16_t *windows; // sessions * pipeline: record of number n at n % pipeline
    uint16_t *reads;   // the same of reads, which have numbers of their own
    struct tacit_client_record *records;
    uint8_t *images; // records * request_shape.slot_bytes
    uint16_t *free_records;
    uint32_t record_count;
    uint32_t free_count;
    uint8_t *reply; // private copy of the reply at hand

    // Byzantine mode, else NULL.
    struct tacit_client_vote *votes; // records * replicas
    uint8_t *bodies;                 // records * reply_bytes
    struct tacit_client_manners manners[TACIT_REPLICAS_MAX];
    uint32_t turns;
    uint32_t signing;                          // records that are signed, or at the signer
    tacit_time_ns_t slowest_ns, slowest_at_ns; // round trip of late, fading; as of then

    struct tacit_client_said said[TACIT_REPLICAS_MAX];
    uint64_t asked;     // MEMBERS so far
    uint8_t *ask_image; // MEMBERS or ORDER being sent

    uint32_t draining; // sessions in DRAINING
    uint32_t over;     // sessions in OVER
    uint64_t next_nonce;
    tacit_time_ns_t round_trip_ns; // smoothed, and its deviation
    tacit_time_ns_t deviation_ns;
    tacit_time_ns_t deadline_ns; // no record is due before
    struct tacit_client_counters counters;
};

// ---- client.c ----
// Where the record of a request or read of that number is named.
uint16_t *tacit_client_window(struct tacit_client *client, uint32_t session, uint64_t number);
static inline bool tacit_client_is_read(uint64_t number)
{
    return number >> 62 == 1;
}
uint8_t *tacit_client_image(struct tacit_client *client, const struct tacit_client_record *record);
void tacit_client_record_free(struct tacit_client *client, struct tacit_client_record *record);
// Sends the OPEN of a session that is OPENING, with the next nonce. False: no record is free.
bool tacit_client_session_ask(struct tacit_client *client, uint32_t index, tacit_time_ns_t now_ns);
// Sends the CLOSE of a session that is DRAINING and has nothing outstanding, if a record is free.
void tacit_client_session_drained(struct tacit_client *client, uint32_t index,
                                  tacit_time_ns_t now_ns);

// ---- send.c ----
void tacit_client_send_first(struct tacit_client *client, struct tacit_client_record *record,
                             tacit_time_ns_t now_ns);
void tacit_client_send_due(struct tacit_client *client, tacit_time_ns_t now_ns);
void tacit_client_on_event(struct tacit_client *client, const struct tacit_event *event,
                           tacit_time_ns_t now_ns);
void tacit_client_on_hint(struct tacit_client *client, struct tacit_client_record *record,
                          uint32_t replica, uint8_t leader, tacit_time_ns_t now_ns);
// That replica leads from now on.
void tacit_client_on_leader(struct tacit_client *client, uint32_t replica, tacit_time_ns_t now_ns);
void tacit_client_on_round_trip(struct tacit_client *client, tacit_time_ns_t took_ns,
                                tacit_time_ns_t now_ns);
// The record is due at that time, if it is not due sooner.
void tacit_client_send_by(struct tacit_client *client, struct tacit_client_record *record,
                          tacit_time_ns_t due_ns);
// Begins a round: whoever is up gets it, once.
void tacit_client_send_round(struct tacit_client *client, struct tacit_client_record *record);

// Writes a message into the request ring of one replica. False: it cannot be reached now.
bool tacit_client_post(struct tacit_client *client, uint32_t replica, uint8_t *image,
                       uint32_t payload_bytes);

// ---- members.c ----
// A reply MEMBERS or ORDERED.
void tacit_client_said(struct tacit_client *client, uint32_t replica,
                       const struct tacit_wire_reply *reply);

// ---- votes.c, Byzantine mode only ----
// A record was taken; nobody has voted on it.
void tacit_client_votes_begin(struct tacit_client *client, struct tacit_client_record *record);
// Before its first sending: does not rely on a replier that is known to be of no use.
void tacit_client_votes_prepare(struct tacit_client *client, struct tacit_client_record *record);
// f+1 replicas have answered, and the body has not come for a while after that: asks all for it.
void tacit_client_votes_body_late(struct tacit_client *client, struct tacit_client_record *record);
// Its time-out passed. False: nothing has to be sent now, the signed form follows shortly.
bool tacit_client_votes_time_out(struct tacit_client *client, struct tacit_client_record *record);
// A replica went DOWN.
void tacit_client_votes_down(struct tacit_client *client, uint32_t replica);
// A reply to `record`. True: the group has answered, and *answer is that answer with its body.
bool tacit_client_votes_take(struct tacit_client *client, struct tacit_client_record *record,
                             uint32_t replica, const struct tacit_wire_reply *reply,
                             tacit_time_ns_t now_ns, struct tacit_wire_reply *answer);
// Takes finished signatures.
void tacit_client_votes_poll(struct tacit_client *client);

#endif
