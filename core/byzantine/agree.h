// SPDX-License-Identifier: Apache-2.0
//
// Agreement in Byzantine mode: the short fast path, the signed slow path, checkpoints and the view
// change, above consistent tail broadcast. n = 2f+1 replicas, f of them arbitrary. The rules and
// why they hold are in README.md of this folder; they were explored with the models in tests/model.
//
//   agree.c          life, slots, executing, messages, a turn
//   agree_propose.c  what a leader proposes
//   agree_votes.c    vouch, ACK, CERTIFY, COMMIT, decide
//   agree_base.c     checkpoints and their certificates
//   agree_view.c     SEAL_VIEW, co-signing, NEW_VIEW, entering a view
//   agree_join.c     leaving a view because others did
//   agree_check.c    checking the signatures of a certificate, some at a time
//
// No part trusts another replica: everything that comes in is a value to be checked here.
#ifndef TACIT_BYZANTINE_AGREE_H
#define TACIT_BYZANTINE_AGREE_H

#include "bodies.h"
#include "ctb.h"
#include "streams.h"

struct tacit_agree_config {
    uint8_t replicas; // 2f+1
    tacit_node_t self;
    uint32_t window;                 // W, a multiple of 2
    uint32_t inflight;               // slots proposed and not decided, at most
    uint32_t batch_bytes;            // largest batch
    uint32_t body_bytes;             // largest body
    tacit_time_ns_t slow_after_ns;   // who waits for all so long CERTIFIES (at least: patience.h)
    tacit_time_ns_t retry_ns;        // of what got no answer
    tacit_time_ns_t join_after_ns;   // one other SEAL_VIEW and no progress for so long: join it
    tacit_time_ns_t behind_after_ns; // a stable checkpoint above what is executed: fetch it
    const uint16_t *authors;         // [replicas] of the present epoch (payload.h), or NULL
};

enum tacit_endorsement {
    TACIT_ENDORSED = 0,
    TACIT_ENDORSE_LATER, // a request is missing or being checked: tacit_agree_endorsable() tells
    TACIT_ENDORSE_NEVER, // not a batch
};

struct tacit_agree_calls {
    void *context;
    // Whether this replica answers for every request in the batch. An empty batch is a no-op and is
    // never asked about.
    enum tacit_endorsement (*endorse)(void *context, uint64_t view, uint64_t slot,
                                      const uint8_t *body, uint32_t bytes);
    // This replica, as leader, proposed what the view change forced in a slot.
    void (*forced)(void *context, uint64_t slot, const uint8_t *body, uint32_t bytes);
    // Slots are decided once each and executed in order.
    void (*execute)(void *context, uint64_t slot, const struct tacit_digest *digest,
                    const uint8_t *body, uint32_t bytes);
    // All slots below `base` are executed: take a checkpoint; tacit_agree_checkpointed() follows.
    void (*checkpoint)(void *context, uint64_t base);
    // That checkpoint is certified: f+1 signed it.
    void (*stable)(void *context, uint64_t base, const struct tacit_digest *root);
    // A certified checkpoint is ahead of what can be executed: fetch it; tacit_agree_installed().
    void (*behind)(void *context, uint64_t base, const struct tacit_digest *root);
    // This replica is in `view` and may be led.
    void (*entered)(void *context, uint64_t view, tacit_node_t leader);
    // This replica left the views below `view`.
    void (*sealed)(void *context, uint64_t view);
    // Whether a request of this replica's waits for progress (requests.h).
    bool (*is_obliged)(void *context);
};

// What agreement stands on; these live as long as it.
struct tacit_agree_parts {
    struct tacit_ctb *ctb;
    struct tacit_links *links;
    struct tacit_signer *signer;
    struct tacit_bodies *bodies;
};

struct tacit_agree; // agree_internal.h; caller's memory

// Largest body that agreement itself makes (NEW_VIEW); body_bytes must be at least that.
size_t tacit_agree_body_bytes(uint8_t replicas, uint32_t window);
// V: how many slots above what it has executed a replica votes for, the same at all replicas. Twice
// what a leader has in flight, so that who has not executed yet what the leader has can still vote
// for all of it; no more, since a change of members takes effect V slots after it was decided, and
// these are decided without the one that is gone: by signatures, each of them.
static inline uint32_t tacit_agree_votes_ahead(uint32_t window, uint32_t inflight)
{
    return 2 * inflight < window ? 2 * inflight : window;
}

// Largest encoded stream state, for the ctb.
size_t tacit_agree_state_bytes(uint32_t window);

struct tacit_agree *tacit_agree_init(struct tacit_bump *bump,
                                     const struct tacit_agree_config *config,
                                     struct tacit_marker marker);
// Begins an epoch at `base`, whose state digest is `root`, with everything in place up to it. View
// v is led by replica (first_leader + v) mod n, the same at all.
void tacit_agree_start(struct tacit_agree *agree, uint64_t epoch, tacit_node_t first_leader,
                       uint64_t base, const struct tacit_digest *root,
                       const struct tacit_agree_parts *parts, const struct tacit_agree_calls *calls,
                       tacit_time_ns_t now_ns);
// Not a member (yet): only looks for the newest certified checkpoint, of whatever epoch, and has it
// fetched (behind()). Ended by tacit_agree_start().
void tacit_agree_observe(struct tacit_agree *agree, struct tacit_links *links,
                         struct tacit_signer *signer, const struct tacit_agree_calls *calls,
                         tacit_time_ns_t now_ns);
// After start() in an epoch that others began earlier: takes up its newest certified checkpoint,
// and tells all where this replica is.
void tacit_agree_take_up(struct tacit_agree *agree);
// Slots from `limit` on belong to the next epoch; UINT64_MAX: no change is decided.
void tacit_agree_limit(struct tacit_agree *agree, uint64_t limit);
// Base of the newest certificate that is known here, of whatever epoch.
uint64_t tacit_agree_newest(const struct tacit_agree *agree);
// Something of another epoch came from a peer: who is behind is shown the newest certificate.
void tacit_agree_other_epoch(struct tacit_agree *agree, tacit_node_t from, uint64_t epoch);
// What the ctb calls back; pass to tacit_ctb_init with this agree as context.
struct tacit_ctb_calls tacit_agree_ctb_calls(struct tacit_agree *agree);

// Leader of the present view, entered, with room in the window and the tail, and nothing forced
// left to propose first.
bool tacit_agree_can_propose(const struct tacit_agree *agree);
// Slots that were proposed and are not decided.
uint64_t tacit_agree_under_way(const struct tacit_agree *agree);
// Whether the newest decision was made by signatures.
bool tacit_agree_is_slow(const struct tacit_agree *agree);
// ... and another one is to be made: what is awaited comes as soon as others have signed or
// checked.
bool tacit_agree_is_signing(const struct tacit_agree *agree);
// Proposes a batch in the next slot. False: cannot (see above). *slot gets the slot.
bool tacit_agree_propose(struct tacit_agree *agree, const void *body, uint32_t bytes,
                         uint64_t *slot);
// A request arrived or was checked for which the batch in slot `number` waited: look.
void tacit_agree_endorsable(struct tacit_agree *agree, uint64_t number);
// Leaves the present view: an obligation's timer fired, or the leader is known to be dead. Nothing
// happens before f+1 replicas have come to this view.
void tacit_agree_suspect(struct tacit_agree *agree);
// Replicas whose death is certain (bit r): while there is one, no fast decision can come, so the
// slow path starts with the PREPARE.
void tacit_agree_gone(struct tacit_agree *agree, uint32_t gone);
// Since when f+1 replicas are in the present view: no timer of it began before. UINT64_MAX: they
// are not yet.
tacit_time_ns_t tacit_agree_gathered_ns(const struct tacit_agree *agree);
// How long this replica waits at present for what all others have to say: patience.h.
tacit_time_ns_t tacit_agree_patience_ns(const struct tacit_agree *agree);
// Since when a slot waits here for its decision while nothing new is decided or proposed,
// UINT64_MAX: none does. In a group that works, a checkpoint brings what was missed; in an idle one
// only another view does.
tacit_time_ns_t tacit_agree_stalled_ns(const struct tacit_agree *agree);
void tacit_agree_checkpointed(struct tacit_agree *agree, uint64_t base,
                              const struct tacit_digest *root);
// The owner found its state to be wrong: nothing is executed until one is installed.
void tacit_agree_diverged(struct tacit_agree *agree);
// The state of the stable checkpoint at `base` is in place.
void tacit_agree_installed(struct tacit_agree *agree, uint64_t base);

// Ring messages of TACIT_MESSAGE_STATUS .. TACIT_MESSAGE_AGREE_END; signer completions of
// TACIT_SIGNER_AGREEMENT.
void tacit_agree_message(struct tacit_agree *agree, tacit_node_t from, const uint8_t *message,
                         uint32_t bytes);
void tacit_agree_signer(struct tacit_agree *agree, const struct tacit_signer_done *done);
// A turn begins: call before anything else of it, so that what is heard in it has the right time.
void tacit_agree_turn(struct tacit_agree *agree, tacit_time_ns_t now_ns);
// Whether an ACK that is waited for may be here, which nothing announces. Cheap.
bool tacit_agree_has_news(struct tacit_agree *agree);
// Whether a slot that was seen is not decided yet.
bool tacit_agree_awaits_others(const struct tacit_agree *agree);
// Whether all is executed that is decided in a row.
bool tacit_agree_has_executed(const struct tacit_agree *agree);
// Whether the next thing to come is most likely another replica's proposal.
bool tacit_agree_awaits_proposal(const struct tacit_agree *agree);
// While nothing is to be done: empties the next slot's place, and calls for the memory of all that
// it goes through.
void tacit_agree_get_ready(struct tacit_agree *agree);
// The part of poll() that others wait for: ACKs, and executing what they decide.
bool tacit_agree_look(struct tacit_agree *agree, tacit_time_ns_t now_ns);
bool tacit_agree_poll(struct tacit_agree *agree, tacit_time_ns_t now_ns);
tacit_time_ns_t tacit_agree_deadline(const struct tacit_agree *agree);
const char *tacit_agree_check(const struct tacit_agree *agree);

struct tacit_agree_counters {
    uint64_t proposed, vouched, acked, decided_fast, decided_slow, certified, committed;
    uint64_t seals, views_entered, cosigned, newviews, forced, noops;
    uint64_t checkpoints, behind, malformed, bad_signatures, states_hashed;
};
struct tacit_agree_report {
    uint64_t epoch, view, base, applied, decided; // decided: slots below are
    tacit_node_t leader;
    bool entered;       // NEW_VIEW(view) is here (or view 0)
    uint32_t condemned; // bit r: replica r was found out
    struct tacit_agree_counters counters;
};
void tacit_agree_status(const struct tacit_agree *agree, struct tacit_agree_report *report);

#endif
