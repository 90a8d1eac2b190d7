// SPDX-License-Identifier: Apache-2.0
//
// What a leader proposes: batches of its owner, and, after a view change, what NEW_VIEW forces.
#include "agree_internal.h"

static bool has_room(const struct tacit_agree *a, uint64_t number)
{
    const struct tacit_stream *own = &a->streams[a->config.self];
    return tacit_leads(a) && !a->seal_due && (a->view == 0 || a->entered) &&
           tacit_stream_in_window(own, number) && number < tacit_votes_end(a) &&
           number < a->undecided + a->config.inflight && tacit_ctb_has_room(a->ctb);
}

static bool propose(struct tacit_agree *a, uint64_t number, const void *body, uint32_t bytes)
{
    struct tacit_payload payload = {
        .kind = TACIT_PAYLOAD_PREPARE, .body_bytes = bytes, .view = a->view, .slot = number};
    struct tacit_slot *slot = tacit_slot_at(a, number);
    if (slot == NULL) {
        return false;
    }
    if (tacit_slot_vouched(slot, a->view) != NULL) {
        return false;
    }
    // What nothing can stop any more is on its way while it is digested here.
    bool is_ahead = slot->vouches == 0 && tacit_ctb_send_ahead(a->ctb, &payload, body);
    tacit_body_digest(&payload.digest, body, bytes);
    // Before the broadcast, which is delivered here at once: a proposal is the leader's vouch.
    if (!tacit_slot_vouch(slot, a->view, &payload.digest)) {
        TACIT_ASSERT(!is_ahead);
        return false;
    }
    if (!tacit_ctb_broadcast_digested(a->ctb, &payload, body, a->now_ns)) {
        TACIT_ASSERT(!is_ahead);
        tacit_slot_unvouch(slot, a->view);
        return false;
    }
    (void)tacit_slot_hold(a, slot, &payload);
    a->counters.proposed++;
    return true;
}

bool tacit_agree_can_propose(const struct tacit_agree *a)
{
    const struct tacit_stream *own = &a->streams[a->config.self];
    // With the state at the base: else what was executed below it would be proposed again.
    return has_room(a, a->next) && a->applied >= a->base &&
           !(a->view > 0 && a->next < own->newview_end);
}

bool tacit_agree_awaits_proposal(const struct tacit_agree *a)
{
    return !tacit_leads(a) && a->seen <= a->undecided;
}

bool tacit_agree_awaits_others(const struct tacit_agree *a)
{
    return a->seen > a->undecided;
}

bool tacit_agree_has_executed(const struct tacit_agree *a)
{
    return a->applied >= a->undecided;
}

uint64_t tacit_agree_under_way(const struct tacit_agree *a)
{
    return a->next > a->undecided ? a->next - a->undecided : 0;
}

bool tacit_agree_is_slow(const struct tacit_agree *a)
{
    return a->slow_run > 0;
}

bool tacit_agree_is_signing(const struct tacit_agree *a)
{
    return tacit_agree_is_slow(a) && a->undecided < a->seen;
}

bool tacit_agree_propose(struct tacit_agree *a, const void *body, uint32_t bytes, uint64_t *slot)
{
    *slot = a->next;
    if (!tacit_agree_can_propose(a)) {
        return false;
    }
    a->next++; // before: the own broadcast is delivered inside the call
    if (!propose(a, *slot, body, bytes)) {
        a->next = *slot;
        return false;
    }
    return true;
}

// Proposes in this slot what NEW_VIEW forces there, or a no-op.
static bool propose_forced(struct tacit_agree *a, uint64_t number)
{
    const struct tacit_stream *own = &a->streams[a->config.self];
    const struct tacit_slot_value *forced = tacit_stream_force_of(own, number);
    uint32_t bytes = 0;
    const uint8_t *body = (const uint8_t *)"";
    bool is_noop = forced == NULL || tacit_digest_is_equal(&forced->digest, &a->none);
    if (!is_noop && (body = tacit_agree_body(a, &forced->digest, &bytes)) == NULL) {
        tacit_ctb_fetch(a->ctb, a->config.self, &forced->digest, a->config.batch_bytes, a->now_ns);
        return false;
    }
    if (!propose(a, number, body, bytes)) {
        return false;
    }
    *(is_noop ? &a->counters.noops : &a->counters.forced) += 1;
    a->calls.forced(a->calls.context, number, body, bytes);
    return true;
}

void tacit_agree_lacks(struct tacit_agree *a, uint64_t number)
{
    if (number >= a->again_least && number < a->again && !TACIT_BUG(DECIDED_NOT_AGAIN)) {
        a->again = number;
    }
}

// What this leader has executed is proposed again only when somebody lacks it: on the signed path
// each slot costs everybody a signature, and new requests would wait for all of them.
bool tacit_agree_propose_again(struct tacit_agree *a)
{
    const struct tacit_stream *own = &a->streams[a->config.self];
    bool worked = false;
    while (a->view > 0 && a->next < own->newview_end && has_room(a, a->next)) {
        a->next++;
        if (!propose_forced(a, a->next - 1)) {
            a->next--;
            break;
        }
        worked = true;
    }
    uint64_t least = a->base > own->base ? a->base : own->base;
    a->again = a->again < least ? least : a->again;
    while (a->view > 0 && a->again < a->again_end && has_room(a, a->again)) {
        const struct tacit_slot *slot = tacit_slot_at(a, a->again);
        bool is_done = slot == NULL || tacit_slot_vouched(slot, a->view) != NULL;
        if (!is_done && !propose_forced(a, a->again)) {
            break;
        }
        if (!is_done) {
            tacit_mark(&a->marker, TACIT_MARK_PROPOSED_AGAIN);
        }
        a->again++;
        worked = true;
    }
    return worked;
}
