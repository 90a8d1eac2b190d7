// SPDX-License-Identifier: Apache-2.0
//
// A replica's parts, for the files of this folder: smr.c (life and turn), clients.c (request and
// reply rings, admission), execute.c (decided batches), keep.c (checkpoints, state transfer,
// joining), byzantine.c (the Byzantine engine's parts), hear.c (whose messages it hears).
#ifndef TACIT_SMR_INTERNAL_H
#define TACIT_SMR_INTERNAL_H

#include "../base/bug.h"
#include "../base/mark.h"
#include "../base/words.h"
#include "../crash/crash.h"
#include "../state/members.h"
#include "../state/pages.h"
#include "../state/sessions.h"
#include "../state/transfer.h"
#include "byzantine.h"
#include "tacit/ring.h"
#include "tacit/smr.h"
#include "tacit/wire.h"

#define TACIT_HELD_MAX 32u
#define TACIT_IDLE_AFTER_NS 100000000ull // nothing happened for so long: idle
// After a loss many processes wake up at once, wherever the kernel finds room.
#define TACIT_UNSETTLED_NS 50000000u
#define TACIT_IDLE_FACTOR 5u // beats are so much rarer then

struct tacit_smr_client {
    bool known; // connected, as `id`
    bool up;    // and its regions are here
    uint32_t id;
    tacit_incarnation_t incarnation;
    int32_t replies; // handle of the region that this replica writes at the client
    uint64_t reply_sequence;
    struct tacit_ring_reader reader;
};

// A leader's volatile view of a session: what was proposed in it beyond what is executed.
struct tacit_smr_admitted {
    uint64_t session;
    uint64_t proposed;
    uint32_t term;
};

// A request that came ahead of its predecessor.
struct tacit_smr_held {
    uint32_t length; // 0: free
    tacit_node_t from;
    uint64_t session;
    uint64_t number;
    uint64_t after; // the request of its session that it waits for
};

struct tacit_smr {
    struct tacit_smr_config config;
    struct tacit_fabric *fabric;
    const struct tacit_app *app;
    struct tacit_app_host app_host;
    struct tacit_smr_probe probe; // zero: nobody listens
    const struct tacit_detector *detector;
    struct tacit_marker marker;
    tacit_time_ns_t now_ns;
    size_t memory_bytes;
    struct tacit_smr_memory *measured; // while it is only measured, by purpose; else NULL
    size_t measured_bytes;             // so far

    struct tacit_pages pages;
    struct tacit_sessions sessions;
    struct tacit_transfer transfer;
    struct tacit_crash crash;
    struct tacit_smr_byzantine byzantine; // engine BYZANTINE only
    uint8_t *page;                        // own PAGE region

    bool active;      // takes part in the group
    bool state_valid; // pages hold the state after `applied` entries
    tacit_index_t applied;
    uint64_t beats;
    tacit_time_ns_t beat_ns;
    tacit_time_ns_t period_ns; // of beats at present
    uint64_t busy_sum;
    tacit_time_ns_t busy_ns;       // when something happened last
    tacit_time_ns_t keep_ns;       // next look at what peers want
    tacit_time_ns_t checkpoint_ns; // last checkpoint
    uint32_t join_count;
    uint64_t join_seen[TACIT_REPLICAS_MAX]; // JOIN words when their writers were removed
    tacit_time_ns_t join_ns;                // next time to ask for admission
    tacit_time_ns_t ready_ns;               // since when it could ask to join; 0: not yet
    uint64_t admitting[TACIT_MEMBERS];      // proposed, not executed yet
    uint32_t admitting_term;
    uint32_t waiting; // replicas that ask for admission
    // Since when each member has been seen dead here, 0: it is alive (seats.c).
    tacit_time_ns_t dead_ns[TACIT_MEMBERS];
    tacit_incarnation_t dead_member[TACIT_MEMBERS];    // ... with this body
    uint32_t seat_up;                                  // bit by node: connected ...
    tacit_incarnation_t seat_connected[TACIT_MEMBERS]; // ... last in this incarnation
    tacit_time_ns_t seat_up_ns[TACIT_MEMBERS];         // since when
    uint32_t seat_trusted;                             // bit by node: was trusted since then
    tacit_time_ns_t seats_ns;                          // last look at all this
    tacit_time_ns_t order_checked_ns[TACIT_CLIENTS_MAX];

    struct tacit_ring_shape request_shape, reply_shape;
    struct tacit_smr_client clients[TACIT_CLIENTS_MAX];
    uint64_t clients_up;                 // bit i: clients[i] is served
    uint64_t clients_due;                // replies were written since they were last rung
    uint32_t turn;                       // client to begin with
    struct tacit_smr_admitted *admitted; // by position in the table of sessions
    uint8_t *message;                    // a request as read from a ring
    bool spilled;                        // it did not fit into the last batch
    uint32_t spilled_length;
    tacit_node_t spilled_from;
    uint8_t *out;     // a reply ring slot being built
    uint8_t *reply;   // an application's reply
    bool full_wanted; // Byzantine mode: the reply being written goes out whole
    struct tacit_smr_held held[TACIT_HELD_MAX];
    uint8_t *held_bytes;
    uint32_t held_count;

    // Batch under construction and who asked for its items; kept until it is executed.
    uint8_t *batch;
    tacit_index_t batch_index;
    size_t batch_used;
    uint32_t batch_items;
    uint8_t *none_batch;  // engine NONE: where batches are built
    tacit_node_t *askers; // [askers_rows][batch_requests + members]
    tacit_index_t *askers_index;
    uint32_t askers_rows;
    uint32_t askers_term; // of the rows
    uint32_t told_term;   // clients were told that this replica leads in it

    struct {
        uint64_t decided, executed, duplicates, hints, replies, lapped, malformed, unexpected;
        uint64_t reads_leased, reads_ordered;
    } counters;
};

#define TACIT_BATCH_EXTRA 4u // membership items beside requests

// smr.c. How much tacit_smr_init takes, and, unless memory is NULL, for what.
size_t tacit_smr_measure(const struct tacit_smr_config *config, struct tacit_smr_memory *memory);
// Pages of the replicated state: sessions, then the application's.
uint32_t tacit_smr_pages(const struct tacit_smr_config *config);

// memory.c. What was taken since the last note is for `what`; NULL: belongs to the state's pages.
void tacit_smr_note(struct tacit_smr *smr, const struct tacit_bump *bump, const char *what);

// clients.c
void tacit_smr_client_up(struct tacit_smr *smr, const struct tacit_event *event);
void tacit_smr_client_regions(struct tacit_smr *smr, const struct tacit_event *event);
void tacit_smr_client_down(struct tacit_smr *smr, const struct tacit_event *event);
bool tacit_smr_serve(struct tacit_smr *smr);
void tacit_smr_reply(struct tacit_smr *smr, tacit_node_t to, const struct tacit_wire_reply *reply);
// Replies what is kept of an executed request.
void tacit_smr_reply_kept(struct tacit_smr *smr, tacit_node_t to,
                          const struct tacit_session *session, uint64_t number);
void tacit_smr_ring_clients(struct tacit_smr *smr);

// Byzantine mode: takes requests out of all clients' rings into the store.
bool tacit_smr_hear_clients(struct tacit_smr *smr);
// Whether it would find something. Cheap.
bool tacit_smr_clients_have_news(const struct tacit_smr *smr);
// Calls for the memory of what they send next.
void tacit_smr_clients_prefetch(const struct tacit_smr *smr);
// Byzantine mode: a connection of this client, or TACIT_NODE_NONE.
tacit_node_t tacit_smr_client_node(const struct tacit_smr *smr, uint32_t client);

// execute.c
// Answers a READ from the state as it is. Returns the bytes of smr->reply.
size_t tacit_smr_query(struct tacit_smr *smr, const struct tacit_request *request);
bool tacit_smr_execute(struct tacit_smr *smr);
void tacit_smr_execute_batch(struct tacit_smr *smr, tacit_index_t index, const uint8_t *batch,
                             size_t bytes);

// keep.c
// Takes part no more (was removed), until admitted again.
void tacit_smr_deactivate(struct tacit_smr *smr);
// A replica was removed: it has to ask anew.
void tacit_smr_removed(struct tacit_smr *smr, tacit_node_t node);
bool tacit_smr_keep(struct tacit_smr *smr);
// Adds what is due to the batch; `removals`: only those.
void tacit_smr_admissions(struct tacit_smr *smr, bool removals);
tacit_time_ns_t tacit_smr_keep_deadline(const struct tacit_smr *smr);

// seats.c
struct tacit_seats tacit_smr_seats(const struct tacit_smr *smr);
// UP and DOWN of any node.
void tacit_smr_seats_event(struct tacit_smr *smr, const struct tacit_event *event);
// Looks at who is alive; each turn.
void tacit_smr_seats_poll(struct tacit_smr *smr);
// Whether the member in that seat has been seen dead for replace_after.
bool tacit_smr_seat_is_dead(const struct tacit_smr *smr, tacit_node_t seat);
// Whether `next` may be the seat's member now: what the state says, and, for another body, that the
// member is dead or the body ordered. Leaders propose, and replicas of Byzantine mode sign SUSPECT,
// under this rule only.
bool tacit_smr_seat_is_open(const struct tacit_smr *smr, tacit_node_t seat, uint64_t next);
void tacit_smr_seats_status(const struct tacit_smr *smr, struct tacit_status_report *report);
// Answers MEMBERS, if this replica takes part.
void tacit_smr_members_asked(struct tacit_smr *smr, tacit_node_t from, uint64_t number);
// What tacit_members_judge() says, and for REMOVE whether enough members that are alive would be
// left: for who proposes or endorses.
enum tacit_order_outcome tacit_smr_order_judge(const struct tacit_smr *smr,
                                               const struct tacit_wire_order *order);
void tacit_smr_order_reply(struct tacit_smr *smr, tacit_node_t to, uint64_t nonce,
                           enum tacit_order_outcome outcome, tacit_index_t index);
// Crash mode: whether an ORDER is to be proposed. Checks the signature, seldom enough, and answers
// what needs no proposal.
bool tacit_smr_order_is_due(struct tacit_smr *smr, tacit_node_t from,
                            const struct tacit_wire_request *request);
// Executes an ORDER item and answers it; in Byzantine mode REMOVE decides a change of members.
void tacit_smr_execute_order(struct tacit_smr *smr, tacit_index_t index,
                             const struct tacit_wire_item *item, tacit_node_t asker);

// execute.c. Crash mode: the engine hears of another member in that seat; stops if it was this one.
void tacit_smr_seat_changed(struct tacit_smr *smr, tacit_node_t seat);

static inline bool tacit_smr_is_byzantine(const struct tacit_smr *smr)
{
    return smr->config.engine == TACIT_ENGINE_BYZANTINE;
}

static inline tacit_node_t *tacit_smr_askers(struct tacit_smr *smr, tacit_index_t index)
{
    return smr->askers +
           (index % smr->askers_rows) * (smr->config.batch_requests + TACIT_BATCH_EXTRA);
}

#endif
