// SPDX-License-Identifier: Apache-2.0
//
// Replicated state that Tacit itself keeps, in pages like the application's: who is a member
// (incarnations), and the table of client sessions with the last replies, which makes execution
// exactly-once.
//
// A session is opened by an ordered OPEN. Its number is unique in the life of the group: {count of
// sessions ever opened, position in the table}, so that it is found without a search. Beyond
// `per_client` the client's oldest session closes. An OPEN has an effect once: of each client the
// largest nonce of a session that is over is kept, and none that is not larger opens one, whoever
// replays it. (Not of all that were opened: what a client opens at a time may come in any order.)
// Requests count from 1 in a session and are executed in that order, each once; the last `pipeline`
// replies are kept.
//
// Invariants: `last` of a session only grows, by one with each executed request; all functions here
// are deterministic in the sequence of calls.
#ifndef TACIT_STATE_SESSIONS_H
#define TACIT_STATE_SESSIONS_H

#include "pages.h"
#include "tacit/types.h"

#define TACIT_MEMBERS 32u // replicas 0.., memory nodes TACIT_NODE_MEMNODE..

struct tacit_sessions_shape {
    uint32_t clients;
    uint32_t per_client;
    uint32_t pipeline;
    uint32_t reply_bytes;
};

struct tacit_members {
    uint64_t opened; // sessions ever opened
    uint64_t open;   // of these, open now
    uint64_t incarnation[TACIT_MEMBERS];
    uint64_t epoch; // changes of members so far
    // Byzantine mode (core/byzantine/epochs.h).
    uint64_t epoch_base;         // slot at which it began
    uint64_t change_at;          // slot at which the next one begins, 0: no change is decided
    uint64_t change_node;        // then this node ...
    uint64_t change_incarnation; // ... is this incarnation
    uint64_t replaced;           // changes so far
    uint64_t first_leader;       // of the epoch's view 0
    // Seats and bodies (members.h).
    uint64_t seat[TACIT_MEMBERS];   // newest incarnation that had the seat, also if it is no member
    uint64_t barred;                // bodies that were replaced or removed
    uint64_t order_nonce;           // of the newest order that was executed
    uint64_t order_outcome;         // of that one
    uint8_t ordered[TACIT_MEMBERS]; // 1 + body that an operator wants in the seat, 0: none
};

struct tacit_session {
    uint64_t number; // 0: free
    uint64_t nonce;
    uint64_t last; // newest executed request
};

struct tacit_session_reply {
    uint64_t number;
    tacit_index_t index;
    uint64_t length;
};

struct tacit_sessions {
    struct tacit_sessions_shape shape;
    struct tacit_pages *pages;
    struct tacit_members *members; // in page 0
    uint8_t *records;              // sessions, each followed by its reply headers
    uint64_t *floors; // of each client: largest nonce of a session that is over, plus 1
    uint8_t *bodies;
    uint32_t record_bytes;
    uint32_t body_bytes; // of one reply
};

// Pages needed in front of the application's arena.
uint32_t tacit_sessions_pages(const struct tacit_sessions_shape *shape);
void tacit_sessions_init(struct tacit_sessions *sessions, const struct tacit_sessions_shape *shape,
                         struct tacit_pages *pages);

// The session with this number of this client, NULL if there is none (any more).
struct tacit_session *tacit_sessions_find(struct tacit_sessions *sessions, uint32_t client,
                                          uint64_t number);
// Whether no session with this number can have been opened yet.
static inline bool tacit_sessions_is_ahead(const struct tacit_sessions *sessions, uint64_t number)
{
    return number >> 16 > sessions->members->opened;
}
// The client's session with this nonce, or NULL.
struct tacit_session *tacit_sessions_nonce(struct tacit_sessions *sessions, uint32_t client,
                                           uint64_t nonce);
// Nonces of this client below this one open nothing any more.
uint64_t tacit_sessions_floor(const struct tacit_sessions *sessions, uint32_t client);
// Opens a session, or returns the one that has this nonce; NULL: the nonce is below the floor, or
// there is no such client. *displaced: the oldest one was closed for it.
struct tacit_session *tacit_sessions_open(struct tacit_sessions *sessions, uint32_t client,
                                          uint64_t nonce, bool *displaced);
void tacit_sessions_close(struct tacit_sessions *sessions, struct tacit_session *session);
// Records that request `number` (= last + 1) was executed at `index` with this reply.
void tacit_sessions_executed(struct tacit_sessions *sessions, struct tacit_session *session,
                             uint64_t number, tacit_index_t index, const void *reply,
                             uint32_t length);
// The kept reply of request `number`, NULL if it is no longer (or not yet) there.
const struct tacit_session_reply *tacit_sessions_reply(struct tacit_sessions *sessions,
                                                       const struct tacit_session *session,
                                                       uint64_t number, const uint8_t **body);
// Position in the table, below clients * per_client.
uint32_t tacit_sessions_position(const struct tacit_sessions *sessions,
                                 const struct tacit_session *session);
uint32_t tacit_sessions_count(const struct tacit_sessions *sessions);

void tacit_sessions_admit(struct tacit_sessions *sessions, tacit_node_t node,
                          tacit_incarnation_t incarnation);
static inline tacit_incarnation_t tacit_sessions_member(const struct tacit_sessions *sessions,
                                                        tacit_node_t node)
{
    return (tacit_incarnation_t)sessions->members->incarnation[node];
}

#endif
