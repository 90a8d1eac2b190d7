// SPDX-License-Identifier: Apache-2.0
//
// The Byzantine engine's parts in one replica, and what connects them to the rest of it.
#ifndef TACIT_SMR_BYZANTINE_H
#define TACIT_SMR_BYZANTINE_H

#include "../byzantine/agree.h"
#include "../byzantine/bodies.h"
#include "../byzantine/ctb.h"
#include "../byzantine/epochs.h"
#include "../byzantine/links.h"
#include "../byzantine/orders.h"
#include "../byzantine/patience.h"
#include "../byzantine/registers.h"
#include "../byzantine/requests.h"
#include "../state/fetch.h"
#include "tacit/smr.h"

struct tacit_smr;

// Places for large bodies at each receiver. A leader is never more slots ahead than fit there, some
// left over for other bodies: a batch that was overwritten before it was read has to be fetched.
#define TACIT_LINKS_BODIES 8u
#define TACIT_LINKS_BODIES_AHEAD (TACIT_LINKS_BODIES - 2u)
// Slots that a leader has under way at most, by which votes and changes of members are measured.
static inline uint32_t tacit_smr_byzantine_inflight(const struct tacit_smr_config *config)
{
    return config->inflight < TACIT_LINKS_BODIES_AHEAD ? config->inflight
                                                       : TACIT_LINKS_BODIES_AHEAD;
}

struct tacit_smr_byzantine {
    struct tacit_signer *signer;
    struct tacit_links *links;
    struct tacit_registers *registers;
    struct tacit_bodies *bodies;
    struct tacit_ctb *ctb;
    struct tacit_agree *agree;
    struct tacit_requests *requests;
    struct tacit_epochs *epochs;
    struct tacit_orders *orders;
    struct tacit_fetch fetch;
    uint8_t *message; // a ring message of a peer
    uint32_t message_bytes;
    uint8_t *batch; // what this replica is about to propose
    size_t batch_used;

    bool peer_up[TACIT_REPLICAS_MAX];
    tacit_incarnation_t peer_incarnation[TACIT_REPLICAS_MAX];
    uint32_t dead; // bit r: for certain, in the incarnation last seen
    uint32_t trusted;
    uint64_t view;                         // as told by agreement
    tacit_time_ns_t sealed_ns, entered_ns; // when a view was left and entered last
    tacit_time_ns_t timer_ns;              // present value of the view timer
    tacit_time_ns_t quorum_ns; // since when f+1 members are connected; UINT64_MAX: are not
    tacit_index_t checkpoint;  // wanted from the pages; root not told yet, 0: none
    bool must_fetch;           // the state is behind or wrong
    tacit_index_t fetch_index;
    struct tacit_digest fetch_root;
    struct tacit_digest stable_root;
    tacit_index_t stable;
    uint64_t stable_told; // published up to here
    uint64_t messages, unexpected;
    // The last whole turn found nothing to do, and nothing that is due by itself before this.
    bool is_quiet;
    tacit_time_ns_t quiet_until_ns;
    uint64_t ready_for; // the slot whose memory was called for
    uint32_t untended;  // turns since all parts were looked after
    bool tend_due;      // something came that they wait for
    // Nothing came, but a slot is under way: they are not looked after before this.
    bool is_lull;
    tacit_time_ns_t lull_until_ns;

    tacit_time_ns_t proposed_ns; // the newest batch of this leader
    bool is_held;                // it waits for who is late
    // Sessions in the batches under way; how many it waits for before the next one, and until when.
    uint32_t sessions, gather_sessions;
    tacit_time_ns_t gather_until_ns;
    bool is_gathering;
    // When this replica looked last, and until when what others owe is owed no longer since it had
    // no processor for a while.
    tacit_time_ns_t looked_ns, absent_until_ns;

    // Epochs (epochs.c).
    uint64_t epoch;
    tacit_incarnation_t member[TACIT_REPLICAS_MAX]; // of this epoch
    tacit_incarnation_t memnode_member[TACIT_MEMNODES_MAX];
    uint16_t authors[TACIT_REPLICAS_MAX]; // of these replicas
    bool has_left;                        // its seat is another one's: takes part no more
    uint64_t replace_view;                // in which a change was proposed, + 1
    uint64_t order_view;                  // the same of an order
    uint64_t order_nonce;                 // newest that a client gave here ...
    tacit_node_t order_from;              // ... on this connection
    tacit_node_t first_leader;            // of the epoch's view 0
    uint64_t replace_slot;                // whose change waits for shares to be checked
    tacit_time_ns_t owed_ns;              // since when the leader owes progress, 0: not
    uint64_t owed_progress;
};

// byzantine_shape.c
// What the layouts need.
size_t tacit_smr_byzantine_control_bytes(const struct tacit_smr_config *config);
size_t tacit_smr_byzantine_registers_bytes(const struct tacit_smr_config *config);
enum tacit_status tacit_smr_byzantine_check(const struct tacit_smr_config *config,
                                            const char **problem);
// Largest body and largest batch, in bytes.
uint32_t tacit_smr_byzantine_body_bytes(const struct tacit_smr_config *config);
uint32_t tacit_smr_byzantine_batch_bytes(const struct tacit_smr_config *config);
// With offset 0, whatever they lie behind.
struct tacit_links_config tacit_smr_byzantine_links(const struct tacit_smr_config *config);
struct tacit_registers_config tacit_smr_byzantine_registers(const struct tacit_smr_config *config);

// byzantine.c
// Measures with bump->base NULL.
void tacit_smr_byzantine_init(struct tacit_smr *smr, struct tacit_bump *bump);
// Begins epoch 0 as a first member.
void tacit_smr_byzantine_start(struct tacit_smr *smr);
void tacit_smr_byzantine_event(struct tacit_smr *smr, const struct tacit_event *event);
bool tacit_smr_byzantine_poll(struct tacit_smr *smr);
tacit_time_ns_t tacit_smr_byzantine_deadline(const struct tacit_smr *smr);
void tacit_smr_byzantine_suspicion(struct tacit_smr *smr, uint32_t trusted, uint32_t dead);
struct tacit_agree_calls tacit_smr_byzantine_calls(struct tacit_smr *smr);

// byzantine_report.c
void tacit_smr_byzantine_status(const struct tacit_smr *smr, struct tacit_status_report *report);
const char *tacit_smr_byzantine_invariants(const struct tacit_smr *smr);

// epochs.c
// Waits, as a new incarnation, for an epoch with it.
void tacit_smr_epoch_observe(struct tacit_smr *smr);
void tacit_smr_epoch_up(struct tacit_smr *smr, tacit_node_t node, tacit_incarnation_t incarnation);
// From now on the members of the replicated state are heard, and no others.
void tacit_smr_epoch_accept(struct tacit_smr *smr);
// The change that was executed at `index`; what it does to the state at its checkpoint.
struct tacit_wire_item;
void tacit_smr_epoch_change(struct tacit_smr *smr, tacit_index_t index,
                            const struct tacit_wire_item *item);
void tacit_smr_epoch_reached(struct tacit_smr *smr, uint64_t base);
// Begins the epoch that the state is in.
bool tacit_smr_epoch_poll(struct tacit_smr *smr);
bool tacit_smr_epoch_is_ending(const struct tacit_smr *smr);
// The view as one that grows over epochs, for the requests.
uint64_t tacit_smr_epoch_view(const struct tacit_smr *smr, uint64_t view);
// As leader: the change, or no-ops up to the end of the epoch.
bool tacit_smr_epoch_propose(struct tacit_smr *smr);
// False: the batch is no change of members. Else its endorsement; a change is alone in its batch.
bool tacit_smr_epoch_endorse(struct tacit_smr *smr, uint64_t view, uint64_t slot,
                             const uint8_t *batch, uint32_t bytes,
                             enum tacit_endorsement *endorsement);
bool tacit_smr_epoch_is_owed(const struct tacit_smr *smr);
// A client brings an operator's order: answers what is known already, has the rest checked.
struct tacit_wire_request;
void tacit_smr_epoch_order(struct tacit_smr *smr, tacit_node_t from,
                           const struct tacit_wire_request *request);
// The client that gave that order here, TACIT_NODE_NONE: none did.
tacit_node_t tacit_smr_epoch_asker(const struct tacit_smr *smr, uint64_t nonce);

// hear.c
// Takes messages out of the rings of the other replicas, a bounded number of each, and gives them
// to the parts that they are for. True: there were some.
bool tacit_smr_hear_peers(struct tacit_smr *smr);

// pace.c
// A leader may begin no slot now, because somebody follows who is far behind. Notes it for
// tacit_smr_byzantine_deadline().
bool tacit_smr_pace_is_held(struct tacit_smr *smr);
// So many sessions wait that another slot is worth what it costs.
bool tacit_smr_pace_is_worth_a_slot(const struct tacit_smr *smr);
// A batch with requests of so many sessions was proposed.
void tacit_smr_pace_begun(struct tacit_smr *smr, uint32_t sessions);
// Slots take signatures, none is under way, and more sessions are likely to come at once. Notes it
// for tacit_smr_byzantine_deadline().
bool tacit_smr_pace_is_gathering(struct tacit_smr *smr);
// Both: whether a slot is to be begun. To be asked in each turn, also when nobody waits.
bool tacit_smr_pace_may_begin(struct tacit_smr *smr);
// This turn looks after all parts, not only after what others wait for. `heard`: that found
// something to do. Counts turns, and notes a lull for tacit_smr_byzantine_deadline().
bool tacit_smr_pace_is_to_tend(struct tacit_smr *smr, bool heard);
// After a turn that had something to do: the lull begins at once, unless something came meanwhile.
bool tacit_smr_pace_is_lull_next(const struct tacit_smr *smr);
// A turn would find nothing to do.
bool tacit_smr_pace_is_quiet(const struct tacit_smr *smr);

// view_timer.c
// When the present view is left if nothing happens before; UINT64_MAX: no timer runs.
tacit_time_ns_t tacit_smr_view_timer(const struct tacit_smr *smr);
// Once a turn: leaves the view if its time is over, or its leader dead.
void tacit_smr_watch_leader(struct tacit_smr *smr);
// A slot was executed: the timer of views shrinks, unless it is needed. `since_ns`: since when
// there was an obligation before (UINT64_MAX: there was none).
void tacit_smr_view_progress(struct tacit_smr *smr, tacit_time_ns_t since_ns);

#endif
