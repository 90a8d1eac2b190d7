// SPDX-License-Identifier: Apache-2.0
//
// Epochs of Byzantine mode in a replica: members are replicated state (state/sessions.h). A change
// that was decided in slot s takes effect at the first checkpoint c at or above s + W. The state of
// that checkpoint already says so: whoever has it, executed or fetched, and its certificate, begins
// the next epoch at c with fresh streams. See core/byzantine/README.md.
#include <string.h>

#include "internal.h"

static struct tacit_members *members_of(struct tacit_smr *smr)
{
    return smr->sessions.members;
}

bool tacit_smr_epoch_is_ending(const struct tacit_smr *smr)
{
    return smr->sessions.members->change_at != 0;
}

uint64_t tacit_smr_epoch_view(const struct tacit_smr *smr, uint64_t view)
{
    // The same leader, and larger than any view of older epochs.
    return view + smr->byzantine.first_leader +
           ((uint64_t)smr->config.replicas << 40) * smr->byzantine.epoch;
}

void tacit_smr_epoch_change(struct tacit_smr *smr, tacit_index_t index,
                            const struct tacit_wire_item *item)
{
    struct tacit_members *members = members_of(smr);
    uint32_t node = item->subject;
    bool known = node < smr->config.replicas ||
                 (node >= TACIT_NODE_MEMNODE && node - TACIT_NODE_MEMNODE < smr->config.memnodes);
    // One change an epoch; a repetition, or what was proposed for an older one, has no effect.
    bool second = members->change_at != 0 && !TACIT_BUG(EPOCH_SECOND_CHANGE);
    bool stale = known && members->incarnation[node] != item->session;
    if (!known || second || (stale && !TACIT_BUG(EPOCH_STALE_CHANGE)) ||
        item->number <= item->session) {
        smr->counters.unexpected++;
        return;
    }
    uint64_t half = smr->config.byzantine.window / 2;
    uint64_t least = index + smr->config.byzantine.window;
    if (TACIT_BUG(EPOCH_EARLY)) {
        least = index + 1;
    }
    tacit_pages_touch(&smr->pages, members, sizeof *members);
    members->change_at = (least + half - 1) / half * half;
    members->change_node = node;
    members->change_incarnation = item->number;
    tacit_agree_limit(smr->byzantine.agree, members->change_at);
}

// Before the checkpoint at `base` is taken.
void tacit_smr_epoch_reached(struct tacit_smr *smr, uint64_t base)
{
    struct tacit_members *members = members_of(smr);
    if (members->change_at == 0 || members->change_at != base) {
        return;
    }
    tacit_pages_touch(&smr->pages, members, sizeof *members);
    members->incarnation[members->change_node] = members->change_incarnation;
    members->epoch++;
    members->epoch_base = base;
    if (members->change_node < smr->config.replicas) {
        // Whoever is taken in has a state to fetch first: the others would wait for it.
        members->first_leader = (members->change_node + 1) % smr->config.replicas;
    }
    members->replaced++;
    members->change_at = members->change_node = members->change_incarnation = 0;
}

// A member is heard, or whoever came in its place: that one may already belong to an epoch of which
// only it can show the certificate, if others lost their memory meanwhile. Nothing else of it
// counts here, and nothing more will come from the member.
static void hear(struct tacit_smr *smr, tacit_node_t r)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    if (byzantine->peer_incarnation[r] > byzantine->member[r] &&
        !TACIT_BUG(EPOCH_STRANGER_UNHEARD)) {
        tacit_links_hear(byzantine->links, r, byzantine->peer_incarnation[r]);
        tacit_mark(&smr->marker, TACIT_MARK_EPOCH_STRANGER_HEARD);
    } else {
        tacit_links_accept(byzantine->links, r, byzantine->member[r]);
    }
}

void tacit_smr_epoch_accept(struct tacit_smr *smr)
{
    const struct tacit_members *members = members_of(smr);
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    bool on_memnodes = smr->config.byzantine.broadcast_on == TACIT_BROADCAST_ON_MEMNODES;
    for (tacit_node_t r = 0; r < smr->config.replicas; r++) {
        tacit_incarnation_t incarnation = (tacit_incarnation_t)members->incarnation[r];
        if (byzantine->member[r] != incarnation) {
            byzantine->member[r] = incarnation;
            byzantine->dead &= ~(1u << r);
        }
        tacit_registers_owner(byzantine->registers, r, incarnation);
        if (r != smr->config.self) {
            hear(smr, r);
        }
    }
    for (tacit_node_t m = 0; m < smr->config.memnodes; m++) {
        tacit_node_t node = (tacit_node_t)(TACIT_NODE_MEMNODE + m);
        tacit_incarnation_t incarnation = (tacit_incarnation_t)members->incarnation[node];
        byzantine->memnode_member[m] = incarnation;
        if (on_memnodes) {
            tacit_links_accept(byzantine->links, node, incarnation);
        }
        tacit_registers_accept(byzantine->registers, node, incarnation);
    }
}

void tacit_smr_epoch_up(struct tacit_smr *smr, tacit_node_t node, tacit_incarnation_t incarnation)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    tacit_epochs_seen(byzantine->epochs, node, incarnation);
    bool is_replica = node < smr->config.replicas;
    if (is_replica && node != smr->config.self &&
        (!smr->active || TACIT_BUG(EPOCH_RESTARTED_COUNTS))) {
        // Who is no member yet hears everybody: it believes certificates only.
        tacit_links_accept(byzantine->links, node, incarnation);
        if (TACIT_BUG(EPOCH_RESTARTED_COUNTS)) {
            tacit_registers_owner(byzantine->registers, node, incarnation);
        }
    } else if (is_replica && node != smr->config.self) {
        hear(smr, node);
    }
    if (!is_replica && TACIT_BUG(EPOCH_MEMNODE_COUNTS)) {
        tacit_registers_accept(byzantine->registers, node, incarnation);
    }
    if (!is_replica && !smr->active &&
        smr->config.byzantine.broadcast_on == TACIT_BROADCAST_ON_MEMNODES) {
        tacit_links_accept(byzantine->links, node, incarnation);
    }
}

static void begin(struct tacit_smr *smr)
{
    static const struct tacit_digest none;
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    const struct tacit_members *members = members_of(smr);
    struct tacit_agree_calls calls = tacit_smr_byzantine_calls(smr);
    byzantine->epoch = members->epoch;
    byzantine->first_leader = (tacit_node_t)(members->first_leader % smr->config.replicas);
    tacit_smr_epoch_accept(smr);
    tacit_epochs_enter(byzantine->epochs, members->epoch, members->incarnation);
    if (!TACIT_BUG(EPOCH_STREAMS_KEPT)) {
        tacit_ctb_reset(byzantine->ctb, members->epoch, smr->now_ns);
    }
    byzantine->batch_used = 0; // what was taken out and not proposed comes again
    byzantine->checkpoint = 0;
    byzantine->replace_slot = TACIT_SLOT_NONE;
    byzantine->replace_view = 0;
    byzantine->timer_ns = smr->config.byzantine.view_timeout_ns;
    tacit_mark(&smr->marker, TACIT_MARK_EPOCH_BEGUN);
    if (!smr->active) {
        smr->active = true;
        tacit_mark(&smr->marker, TACIT_MARK_EPOCH_JOINED);
    }
    tacit_requests_enter_view(byzantine->requests, tacit_smr_epoch_view(smr, 0), smr->now_ns);
    struct tacit_agree_parts parts = {byzantine->ctb, byzantine->links, byzantine->signer,
                                      byzantine->bodies};
    tacit_agree_start(byzantine->agree, members->epoch, (tacit_node_t)byzantine->first_leader,
                      members->epoch_base, &none, &parts, &calls, smr->now_ns);
    if (members->change_at != 0) {
        tacit_agree_limit(byzantine->agree, members->change_at);
    }
    tacit_agree_take_up(byzantine->agree);
    if (smr->applied > members->epoch_base) {
        tacit_agree_installed(byzantine->agree, smr->applied);
    }
}

bool tacit_smr_epoch_poll(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    const struct tacit_members *members = members_of(smr);
    if (!smr->state_valid || byzantine->must_fetch || tacit_fetch_busy(&byzantine->fetch)) {
        return false;
    }
    bool is_member = members->incarnation[smr->config.self] == smr->config.incarnation;
    if (smr->active ? members->epoch <= byzantine->epoch
                    : !is_member && !TACIT_BUG(EPOCH_JOINS_BLINDLY)) {
        return false;
    }
    // The certificate, too: without it nobody could be shown why this epoch began.
    if (tacit_agree_newest(byzantine->agree) < members->epoch_base &&
        !TACIT_BUG(EPOCH_WITHOUT_CERTIFICATE)) {
        return false;
    }
    begin(smr);
    return true;
}

void tacit_smr_epoch_observe(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    struct tacit_agree_calls calls = tacit_smr_byzantine_calls(smr);
    tacit_agree_observe(byzantine->agree, byzantine->links, byzantine->signer, &calls, smr->now_ns);
}

// ---- proposing, and what is owed

bool tacit_smr_epoch_propose(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    uint64_t view = tacit_smr_epoch_view(smr, byzantine->view) + 1;
    uint64_t slot;
    if (!tacit_smr_epoch_is_ending(smr)) {
        uint8_t batch[TACIT_EPOCH_BATCH_BYTES];
        if (byzantine->replace_view == view || !tacit_epochs_is_due(byzantine->epochs)) {
            return false;
        }
        size_t bytes = tacit_epochs_proposal(byzantine->epochs, batch);
        if (bytes == 0 || !tacit_agree_propose(byzantine->agree, batch, (uint32_t)bytes, &slot)) {
            return false;
        }
        byzantine->replace_view = view;
        tacit_mark(&smr->marker, TACIT_MARK_EPOCH_SUSPECTED);
        return true;
    }
    if (byzantine->batch_used > 0 || tacit_requests_has_proposal(byzantine->requests) ||
        !tacit_agree_propose(byzantine->agree, "", 0, &slot)) {
        return false;
    }
    tacit_mark(&smr->marker, TACIT_MARK_EPOCH_FILLED);
    return true;
}

bool tacit_smr_epoch_endorse(struct tacit_smr *smr, uint64_t view, uint64_t slot,
                             const uint8_t *batch, uint32_t bytes,
                             enum tacit_endorsement *endorsement)
{
    tacit_node_t leader = (tacit_node_t)(tacit_smr_epoch_view(smr, view) % smr->config.replicas);
    struct tacit_wire_item item;
    size_t offset = 0;
    if (tacit_wire_item_decode(&item, batch, bytes, &offset) != TACIT_VERDICT_OK ||
        item.kind != TACIT_ITEM_REPLACE) {
        return false;
    }
    *endorsement = TACIT_ENDORSE_NEVER;
    if (offset != bytes && !TACIT_BUG(REPLACE_IN_COMPANY)) {
        return true;
    }
    switch (tacit_epochs_endorse(smr->byzantine.epochs, leader, &item)) {
    case TACIT_EPOCHS_OK:
        *endorsement = TACIT_ENDORSED;
        break;
    case TACIT_EPOCHS_WAIT:
        smr->byzantine.replace_slot = slot;
        *endorsement = TACIT_ENDORSE_LATER;
        break;
    case TACIT_EPOCHS_NEVER:
    default:
        break;
    }
    return true;
}

bool tacit_smr_epoch_is_owed(const struct tacit_smr *smr)
{
    return tacit_smr_epoch_is_ending(smr) || tacit_epochs_is_due(smr->byzantine.epochs);
}
