// SPDX-License-Identifier: Apache-2.0
//
// Epochs of Byzantine mode in a replica: members are replicated state (state/sessions.h). A change
// that was decided in slot s takes effect at c = s + V, where a checkpoint is taken. The state of
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

// What f+1 replicas signed was right at some time in this epoch; an order may have been executed
// since. A vacancy is an operator's order, never something that replicas sign.
static bool is_allowed(const struct tacit_smr *smr, const struct tacit_wire_item *item)
{
    struct tacit_seats seats = tacit_smr_seats(smr);
    tacit_incarnation_t next = (tacit_incarnation_t)item->number;
    if (tacit_incarnation_body(next) == TACIT_BODY_VACANT) {
        return item->body_bytes == 0;
    }
    return tacit_members_may_follow(smr->sessions.members, &seats, item->subject, item->number) ||
           TACIT_BUG(CHANGE_UNRULED);
}

void tacit_smr_epoch_change(struct tacit_smr *smr, tacit_index_t index,
                            const struct tacit_wire_item *item)
{
    struct tacit_members *members = members_of(smr);
    struct tacit_seats seats = tacit_smr_seats(smr);
    uint32_t node = item->subject;
    bool known = tacit_seats_has(&seats, item->subject);
    // One change an epoch; a repetition, or what was proposed for an older one, has no effect.
    bool second = members->change_at != 0 && !TACIT_BUG(EPOCH_SECOND_CHANGE);
    bool stale = known && members->incarnation[node] != item->session;
    if (!known || second || (stale && !TACIT_BUG(EPOCH_STALE_CHANGE)) ||
        item->number <= item->session || (!stale && !is_allowed(smr, item))) {
        smr->counters.unexpected++;
        return;
    }
    // No later than need be: until then each slot is decided by signatures, without the one that is
    // gone.
    uint64_t ahead = tacit_agree_votes_ahead(smr->config.byzantine.window,
                                             tacit_smr_byzantine_inflight(&smr->config));
    tacit_pages_touch(&smr->pages, members, sizeof *members);
    members->change_at = index + (TACIT_BUG(EPOCH_EARLY) ? 1 : ahead);
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
    tacit_members_seat(members, (tacit_node_t)members->change_node, members->change_incarnation);
    members->epoch++;
    members->epoch_base = base;
    if (members->change_node < smr->config.replicas) {
        // Whoever is taken in has a state to fetch first: the others would wait for it. Nobody
        // leads from a vacant seat.
        uint64_t leader = members->change_node;
        do {
            leader = (leader + 1) % smr->config.replicas;
        } while (leader != members->change_node &&
                 tacit_seat_is_vacant(members->incarnation[leader]));
        members->first_leader = leader;
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
        if (tacit_seat_is_vacant(incarnation)) {
            byzantine->dead |= 1u << r; // nobody waits for it
        }
        byzantine->authors[r] = tacit_signer_author(r, incarnation);
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
    byzantine->replace_view = byzantine->order_view = 0;
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

// This replica's seat is another one's now. It takes part no more, in whatever it may believe;
// those who are still behind are shown the certificate that says so (hear.c).
static void leave(struct tacit_smr *smr)
{
    smr->active = false;
    smr->byzantine.has_left = true;
    tacit_smr_epoch_accept(smr);
    tacit_smr_epoch_observe(smr);
    tacit_mark(&smr->marker, TACIT_MARK_EPOCH_LEFT);
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
    bool goes_on = TACIT_BUG(REPLACED_GOES_ON) || TACIT_BUG(EPOCH_RESTARTED_COUNTS);
    if (smr->active && !is_member && !goes_on) {
        leave(smr);
    } else {
        begin(smr);
    }
    return true;
}

void tacit_smr_epoch_observe(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    struct tacit_agree_calls calls = tacit_smr_byzantine_calls(smr);
    tacit_agree_observe(byzantine->agree, byzantine->links, byzantine->signer, &calls, smr->now_ns);
}

// ---- proposing, and what is owed

// Of each kind once a view: an order, which may say who follows, before a change.
static bool propose_change(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    uint64_t view = tacit_smr_epoch_view(smr, byzantine->view) + 1;
    uint8_t batch[TACIT_EPOCH_BATCH_BYTES];
    uint64_t slot;
    bool is_order = byzantine->order_view != view && tacit_orders_is_due(byzantine->orders);
    if (!is_order && (byzantine->replace_view == view || !tacit_epochs_is_due(byzantine->epochs))) {
        return false;
    }
    size_t bytes = is_order ? tacit_orders_proposal(byzantine->orders, batch)
                            : tacit_epochs_proposal(byzantine->epochs, batch);
    if (bytes == 0 || !tacit_agree_propose(byzantine->agree, batch, (uint32_t)bytes, &slot)) {
        return false;
    }
    *(is_order ? &byzantine->order_view : &byzantine->replace_view) = view;
    tacit_mark(&smr->marker, is_order ? TACIT_MARK_ORDER_PROPOSED : TACIT_MARK_EPOCH_SUSPECTED);
    return true;
}

bool tacit_smr_epoch_propose(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    uint64_t slot;
    if (!tacit_smr_epoch_is_ending(smr)) {
        return propose_change(smr);
    }
    if (byzantine->batch_used > 0 || tacit_requests_proposals(byzantine->requests) > 0 ||
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
    if (bytes > 0 && batch[0] != TACIT_ITEM_REPLACE && batch[0] != TACIT_ITEM_ORDER) {
        return false; // the kind of the first item: nearly always
    }
    if (tacit_wire_item_decode(&item, batch, bytes, &offset) != TACIT_VERDICT_OK ||
        (item.kind != TACIT_ITEM_REPLACE && item.kind != TACIT_ITEM_ORDER)) {
        return false;
    }
    *endorsement = TACIT_ENDORSE_NEVER;
    if (offset != bytes && !TACIT_BUG(REPLACE_IN_COMPANY)) {
        return true;
    }
    switch (item.kind == TACIT_ITEM_ORDER
                ? tacit_orders_endorse(smr->byzantine.orders, leader, &item)
                : tacit_epochs_endorse(smr->byzantine.epochs, leader, &item)) {
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
    return tacit_smr_epoch_is_ending(smr) || tacit_epochs_is_due(smr->byzantine.epochs) ||
           tacit_orders_is_due(smr->byzantine.orders);
}

// ---- orders of an operator

void tacit_smr_epoch_order(struct tacit_smr *smr, tacit_node_t from,
                           const struct tacit_wire_request *request)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    struct tacit_wire_order order;
    if (!smr->active || !smr->state_valid ||
        tacit_wire_order_decode(&order, request->body, request->body_bytes) != TACIT_VERDICT_OK ||
        !byzantine->signer->ops->knows(byzantine->signer, TACIT_SIGNER_OPERATOR)) {
        smr->counters.unexpected++;
        return;
    }
    // By the state alone: were it refused here because of who seems dead, somebody else might take
    // it all the same, and the operator be told what is not so.
    struct tacit_seats seats = tacit_smr_seats(smr);
    enum tacit_order_outcome outcome =
        tacit_members_judge(members_of(smr), &seats, &order, tacit_smr_epoch_is_ending(smr));
    if (outcome != TACIT_ORDER_DONE || order.nonce <= members_of(smr)->order_nonce) {
        tacit_smr_order_reply(smr, from, order.nonce, outcome, smr->applied);
        return;
    }
    byzantine->order_from = from;
    byzantine->order_nonce = order.nonce;
    tacit_orders_asked(byzantine->orders, (uint32_t)from - TACIT_NODE_CLIENT, request->body,
                       smr->now_ns);
}

tacit_node_t tacit_smr_epoch_asker(const struct tacit_smr *smr, uint64_t nonce)
{
    const struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    bool is_there = byzantine->order_nonce == nonce && byzantine->order_nonce != 0 &&
                    smr->clients[byzantine->order_from - TACIT_NODE_CLIENT].up;
    return is_there ? byzantine->order_from : TACIT_NODE_NONE;
}
