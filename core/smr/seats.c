// SPDX-License-Identifier: Apache-2.0
//
// Who sits in the group's seats and who may take one, as one replica sees it, in both modes: which
// members have been dead for so long that a spare may replace them, what is told to who asks
// (MEMBERS), and operators' orders (ORDER). The rules themselves are in core/state/members.h.
#include <string.h>

#include "internal.h"

#define EARNS_NS 5000000000u     // after connecting, without being suspected
#define LOOK_NS 1000000u         // between two looks at who is alive
#define ORDER_PAUSE_NS 50000000u // between two checks of a signature for one client

struct tacit_seats tacit_smr_seats(const struct tacit_smr *smr)
{
    const struct tacit_smr_config *config = &smr->config;
    bool one_suffices =
        config->engine == TACIT_ENGINE_CRASH && config->log_on == TACIT_LOG_ON_MEMNODES;
    return (struct tacit_seats){.replicas = config->replicas,
                                .memnodes = config->memnodes,
                                .replicas_least =
                                    one_suffices ? 1 : (uint8_t)(config->replicas / 2 + 1),
                                .memnodes_least = (uint8_t)(config->memnodes / 2 + 1)};
}

// ---- who is alive
// ----------------------------------------------------------------------------------------

void tacit_smr_seats_event(struct tacit_smr *smr, const struct tacit_event *event)
{
    if (event->node < TACIT_MEMBERS && event->kind == TACIT_EVENT_UP) {
        smr->seat_up |= 1u << event->node;
        smr->seat_connected[event->node] = event->incarnation;
        smr->seat_up_ns[event->node] = smr->now_ns;
        smr->seat_trusted &= ~(1u << event->node);
    } else if (event->node < TACIT_MEMBERS && event->kind == TACIT_EVENT_DOWN) {
        smr->seat_up &= ~(1u << event->node);
    }
}

// The member's body is there; after a restart it need not be admitted yet.
static bool is_alive(const struct tacit_smr *smr, tacit_node_t seat, uint64_t member)
{
    if (seat == smr->config.self && !tacit_seat_is_change(member, smr->config.incarnation)) {
        return true;
    }
    if (seat < TACIT_NODE_MEMNODE) {
        uint32_t trusted =
            tacit_smr_is_byzantine(smr) ? smr->byzantine.trusted : smr->crash.trusted;
        // Who has just come earns its trust first (fd/), which takes a while where all are busy.
        bool earns =
            (smr->seat_trusted & 1u << seat) == 0 && smr->now_ns - smr->seat_up_ns[seat] < EARNS_NS;
        if ((trusted & 1u << seat) == 0 && !earns) {
            return false;
        }
    }
    return (smr->seat_up & 1u << seat) != 0 &&
           !tacit_seat_is_change(member, smr->seat_connected[seat]);
}

// A word for the fabric's control thread (tacit/smr.h).
static uint64_t word_of(const struct tacit_smr *smr, tacit_node_t seat)
{
    const struct tacit_members *members = smr->sessions.members;
    bool is_dead = tacit_smr_seat_is_dead(smr, seat);
    uint64_t word = TACIT_SEAT_KNOWN | (is_dead ? TACIT_SEAT_DEAD : 0) |
                    (uint64_t)members->ordered[seat] << 32 |
                    (tacit_incarnation_t)members->seat[seat];
    for (uint32_t body = 0; body <= TACIT_SPARES_MAX; body++) {
        bool is_barred = (members->barred & tacit_body_bit(seat, body)) != 0;
        word |= is_barred ? TACIT_SEAT_BARRED << body : 0;
    }
    return word;
}

void tacit_smr_seats_poll(struct tacit_smr *smr)
{
    if (!smr->state_valid || smr->config.engine == TACIT_ENGINE_NONE ||
        smr->now_ns - smr->seats_ns < LOOK_NS) {
        return;
    }
    smr->seats_ns = smr->now_ns;
    struct tacit_seats seats = tacit_smr_seats(smr);
    smr->seat_trusted |= tacit_smr_is_byzantine(smr) ? smr->byzantine.trusted : smr->crash.trusted;
    for (tacit_node_t seat = 0; seat < TACIT_MEMBERS; seat++) {
        if (!tacit_seats_has(&seats, seat)) {
            continue;
        }
        uint64_t member = smr->sessions.members->seat[seat];
        if (tacit_seat_is_vacant(member) || is_alive(smr, seat, member)) {
            smr->dead_ns[seat] = 0;
        } else if (smr->dead_ns[seat] == 0 ||
                   tacit_seat_is_change(smr->dead_member[seat], member)) {
            smr->dead_ns[seat] = smr->now_ns;
            smr->dead_member[seat] = (tacit_incarnation_t)member;
        }
        if (smr->config.seat_words != NULL) {
            tacit_word_store(smr->config.seat_words, seat * sizeof(uint64_t), word_of(smr, seat));
        }
    }
}

bool tacit_smr_seat_is_dead(const struct tacit_smr *smr, tacit_node_t seat)
{
    return smr->config.replace_after_ns != 0 && smr->dead_ns[seat] != 0 &&
           !tacit_seat_is_change(smr->dead_member[seat], smr->sessions.members->seat[seat]) &&
           smr->now_ns - smr->dead_ns[seat] >= smr->config.replace_after_ns;
}

bool tacit_smr_seat_is_open(const struct tacit_smr *smr, tacit_node_t seat, uint64_t next)
{
    struct tacit_seats seats = tacit_smr_seats(smr);
    const struct tacit_members *members = smr->sessions.members;
    if (!tacit_members_may_follow(members, &seats, seat, next)) {
        return false;
    }
    return !tacit_seat_is_change(members->seat[seat], next) ||
           tacit_members_is_ordered(members, seat, next) || tacit_smr_seat_is_dead(smr, seat) ||
           TACIT_BUG(ALIVE_REPLACED);
}

enum tacit_seat_ruling tacit_seat_judge(uint64_t word, tacit_incarnation_t next)
{
    tacit_incarnation_t now = (tacit_incarnation_t)word;
    uint32_t ordered = (uint32_t)(word >> 32 & 0xffu);
    if ((word & TACIT_SEAT_KNOWN) == 0 || !tacit_seat_is_change(now, next)) {
        return TACIT_SEAT_OPEN;
    }
    if (tacit_incarnation_generation(next) <= tacit_incarnation_generation(now) ||
        ((word & TACIT_SEAT_BARRED << tacit_incarnation_body(next)) != 0 &&
         !TACIT_BUG(BARRED_SITS))) {
        return TACIT_SEAT_TAKEN;
    }
    return (word & TACIT_SEAT_DEAD) != 0 || ordered == tacit_incarnation_body(next) + 1u
               ? TACIT_SEAT_OPEN
               : TACIT_SEAT_LATER;
}

// ---- what is told
// ----------------------------------------------------------------------------------------

bool tacit_smr_members(const struct tacit_smr *smr, struct tacit_wire_members *out)
{
    const struct tacit_members *members = smr->sessions.members;
    if (!smr->state_valid) {
        return false;
    }
    *out = (struct tacit_wire_members){.epoch = members->epoch,
                                       .barred = members->barred,
                                       .nonce = members->order_nonce,
                                       .outcome = (uint32_t)members->order_outcome};
    for (tacit_node_t seat = 0; seat < TACIT_MEMBERS; seat++) {
        out->seat[seat] = (tacit_incarnation_t)members->seat[seat];
        out->ordered[seat] = members->ordered[seat];
        out->dead |= tacit_smr_seat_is_dead(smr, seat) ? 1u << seat : 0;
    }
    return true;
}

void tacit_smr_seats_status(const struct tacit_smr *smr, struct tacit_status_report *report)
{
    uint64_t now = smr->sessions.members->seat[smr->config.self];
    bool is_other = smr->state_valid && tacit_seat_is_change(now, smr->config.incarnation) &&
                    tacit_incarnation_generation((tacit_incarnation_t)now) >=
                        tacit_incarnation_generation(smr->config.incarnation);
    report->successor = is_other ? (tacit_incarnation_t)now : 0;
    report->seats_dead = 0;
    for (tacit_node_t seat = 0; smr->state_valid && seat < TACIT_MEMBERS; seat++) {
        report->seats_dead |= tacit_smr_seat_is_dead(smr, seat) ? 1u << seat : 0;
    }
}

void tacit_smr_members_asked(struct tacit_smr *smr, tacit_node_t from, uint64_t number)
{
    struct tacit_wire_members members;
    uint8_t body[TACIT_WIRE_MEMBERS_BYTES];
    if (!smr->active || !tacit_smr_members(smr, &members)) {
        return;
    }
    tacit_wire_members_encode(body, &members);
    struct tacit_wire_reply reply = {.kind = TACIT_REPLY_MEMBERS,
                                     .leader = (uint8_t)smr->config.self,
                                     .number = number,
                                     .index = smr->applied,
                                     .body = body,
                                     .body_bytes = sizeof body};
    tacit_smr_reply(smr, from, &reply);
}

// ---- orders
// ----------------------------------------------------------------------------------------

// Seats of the role that have a member who is alive here, without `but`.
static uint32_t others_alive(const struct tacit_smr *smr, tacit_node_t but)
{
    struct tacit_seats seats = tacit_smr_seats(smr);
    uint32_t count = 0;
    for (tacit_node_t seat = 0; seat < TACIT_MEMBERS; seat++) {
        bool of_role = (seat & TACIT_NODE_MEMNODE) == (but & TACIT_NODE_MEMNODE);
        count += of_role && seat != but && tacit_seats_has(&seats, seat) &&
                 smr->sessions.members->incarnation[seat] != 0 &&
                 !tacit_seat_is_vacant(smr->sessions.members->seat[seat]) &&
                 is_alive(smr, seat, smr->sessions.members->seat[seat]);
    }
    return count;
}

enum tacit_order_outcome tacit_smr_order_judge(const struct tacit_smr *smr,
                                               const struct tacit_wire_order *order)
{
    struct tacit_seats seats = tacit_smr_seats(smr);
    bool changing = smr->sessions.members->change_at != 0;
    enum tacit_order_outcome outcome =
        tacit_members_judge(smr->sessions.members, &seats, order, changing);
    if (outcome != TACIT_ORDER_DONE || order->kind != TACIT_ORDER_REMOVE ||
        order->nonce <= smr->sessions.members->order_nonce) {
        return outcome;
    }
    uint32_t least = order->seat < TACIT_NODE_MEMNODE ? seats.replicas_least : seats.memnodes_least;
    return others_alive(smr, order->seat) < least && !TACIT_BUG(REMOVE_BELOW_QUORUM)
               ? TACIT_ORDER_QUORUM
               : TACIT_ORDER_DONE;
}

void tacit_smr_order_reply(struct tacit_smr *smr, tacit_node_t to, uint64_t nonce,
                           enum tacit_order_outcome outcome, tacit_index_t index)
{
    uint8_t body[8] = {(uint8_t)outcome};
    struct tacit_wire_reply reply = {.kind = TACIT_REPLY_ORDERED,
                                     .leader = (uint8_t)smr->config.self,
                                     .number = nonce,
                                     .index = index,
                                     .body = body,
                                     .body_bytes = sizeof body};
    tacit_smr_reply(smr, to, &reply);
}

bool tacit_smr_order_is_due(struct tacit_smr *smr, tacit_node_t from,
                            const struct tacit_wire_request *request)
{
    struct tacit_wire_order order;
    uint32_t client = (uint32_t)from - TACIT_NODE_CLIENT;
    tacit_time_ns_t *checked_ns = &smr->order_checked_ns[client];
    if (tacit_wire_order_decode(&order, request->body, request->body_bytes) != TACIT_VERDICT_OK ||
        smr->config.order_holds == NULL) {
        smr->counters.unexpected++;
        return false;
    }
    // A signature takes as long as many requests: a client may have one checked now and then.
    if (*checked_ns != 0 && smr->now_ns - *checked_ns < ORDER_PAUSE_NS) {
        return false;
    }
    *checked_ns = smr->now_ns;
    if (!smr->config.order_holds(smr->config.order_context, request->body, TACIT_WIRE_ORDER_SIGNED,
                                 order.signature)) {
        smr->counters.unexpected++;
        return false;
    }
    enum tacit_order_outcome outcome = tacit_smr_order_judge(smr, &order);
    if (outcome != TACIT_ORDER_DONE || order.nonce == smr->sessions.members->order_nonce) {
        tacit_smr_order_reply(smr, from, order.nonce, outcome, smr->applied);
        return false;
    }
    return true;
}

// Crash mode: the seat is empty from here on.
static void vacate(struct tacit_smr *smr, tacit_node_t seat)
{
    struct tacit_members *members = smr->sessions.members;
    tacit_members_seat(members, seat, tacit_members_vacancy(members, seat));
    members->incarnation[seat] = 0; // no member, whom nobody waits for
    members->epoch++;
    tacit_smr_seat_changed(smr, seat);
}

void tacit_smr_execute_order(struct tacit_smr *smr, tacit_index_t index,
                             const struct tacit_wire_item *item, tacit_node_t asker)
{
    struct tacit_wire_order order;
    struct tacit_members *members = smr->sessions.members;
    struct tacit_seats seats = tacit_smr_seats(smr);
    if (tacit_wire_order_decode(&order, item->body, item->body_bytes) != TACIT_VERDICT_OK) {
        smr->counters.unexpected++;
        return;
    }
    bool again = order.nonce <= members->order_nonce;
    tacit_pages_touch(&smr->pages, members, sizeof *members);
    enum tacit_order_outcome outcome =
        tacit_members_order(members, &seats, &order, members->change_at != 0);
    if (!again && outcome == TACIT_ORDER_DONE && order.kind == TACIT_ORDER_REMOVE) {
        if (tacit_smr_is_byzantine(smr)) {
            struct tacit_wire_item change = {.kind = TACIT_ITEM_REPLACE,
                                             .subject = order.seat,
                                             .session = members->seat[order.seat],
                                             .number = tacit_members_vacancy(members, order.seat)};
            tacit_smr_epoch_change(smr, index, &change);
        } else {
            vacate(smr, order.seat);
        }
    }
    tacit_mark(&smr->marker, TACIT_MARK_ORDER_EXECUTED);
    tacit_smr_order_reply(smr, asker, order.nonce, outcome, index);
}
