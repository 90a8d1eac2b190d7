// SPDX-License-Identifier: Apache-2.0
//
// See members.h.
#include "members.h"

#include <string.h>

#include "../base/bug.h"

static uint32_t body_of(uint64_t incarnation)
{
    return tacit_incarnation_body((tacit_incarnation_t)incarnation);
}

static uint32_t generation_of(uint64_t incarnation)
{
    return tacit_incarnation_generation((tacit_incarnation_t)incarnation);
}

static void role_of(const struct tacit_seats *seats, tacit_node_t seat, tacit_node_t *first,
                    uint32_t *count)
{
    bool is_replica = seat < TACIT_NODE_MEMNODE;
    *first = is_replica ? 0 : TACIT_NODE_MEMNODE;
    *count = is_replica ? seats->replicas : seats->memnodes;
}

// The seat of the role in which that body is the newest, TACIT_NODE_NONE: in none.
static tacit_node_t sits_in(const struct tacit_members *members, const struct tacit_seats *seats,
                            tacit_node_t seat, uint32_t body)
{
    tacit_node_t first;
    uint32_t count;
    role_of(seats, seat, &first, &count);
    if (body == 0) { // a founder sits in its own seat or nowhere
        return body_of(members->seat[seat]) == 0 ? seat : TACIT_NODE_NONE;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (body_of(members->seat[first + i]) == body) {
            return (tacit_node_t)(first + i);
        }
    }
    return TACIT_NODE_NONE;
}

bool tacit_members_may_follow(const struct tacit_members *members, const struct tacit_seats *seats,
                              tacit_node_t seat, uint64_t next)
{
    if (!tacit_seats_has(seats, seat) || !tacit_incarnation_is_node(next)) {
        return false;
    }
    uint64_t now = members->seat[seat];
    if (!tacit_seat_is_change(now, next)) {
        return next > now || (next == now && members->incarnation[seat] == 0);
    }
    bool barred = (members->barred & tacit_body_bit(seat, body_of(next))) != 0;
    return generation_of(next) == generation_of(now) + 1 && (!barred || TACIT_BUG(BARRED_SITS)) &&
           sits_in(members, seats, seat, body_of(next)) == TACIT_NODE_NONE &&
           (!tacit_seat_is_vacant(now) || tacit_members_is_ordered(members, seat, next));
}

void tacit_members_seat(struct tacit_members *members, tacit_node_t seat, uint64_t next)
{
    uint64_t now = members->seat[seat];
    if (tacit_seat_is_change(now, next)) {
        if (!tacit_seat_is_vacant(now)) {
            members->barred |= tacit_body_bit(seat, body_of(now));
        }
        members->ordered[seat] = 0;
    }
    members->incarnation[seat] = next;
    members->seat[seat] = next;
}

void tacit_members_found(struct tacit_members *members, const struct tacit_seats *seats)
{
    for (tacit_node_t seat = 0; seat < TACIT_MEMBERS; seat++) {
        members->incarnation[seat] = tacit_seats_has(seats, seat) ? 1 : 0;
        members->seat[seat] = members->incarnation[seat];
    }
}

uint32_t tacit_members_count(const struct tacit_members *members, const struct tacit_seats *seats,
                             tacit_node_t seat)
{
    tacit_node_t first;
    uint32_t count;
    uint32_t members_count = 0;
    role_of(seats, seat, &first, &count);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t incarnation = members->incarnation[first + i];
        members_count += incarnation != 0 && !tacit_seat_is_vacant(incarnation);
    }
    return members_count;
}

static enum tacit_order_outcome judge_remove(const struct tacit_members *members,
                                             const struct tacit_seats *seats,
                                             const struct tacit_wire_order *order)
{
    uint64_t now = members->seat[order->seat];
    uint32_t least =
        order->seat < TACIT_NODE_MEMNODE ? seats->replicas_least : seats->memnodes_least;
    bool is_member = members->incarnation[order->seat] != 0;
    if (tacit_seat_is_vacant(now) || body_of(now) != order->body) {
        return TACIT_ORDER_NOT_MEMBER;
    }
    if (generation_of(now) + 2 > TACIT_GENERATION_MAX) { // whoever fills it needs one, too
        return TACIT_ORDER_WORN_OUT;
    }
    uint32_t left = tacit_members_count(members, seats, order->seat) - (is_member ? 1u : 0u);
    return left < least && !TACIT_BUG(REMOVE_BELOW_QUORUM) ? TACIT_ORDER_QUORUM : TACIT_ORDER_DONE;
}

enum tacit_order_outcome tacit_members_judge(const struct tacit_members *members,
                                             const struct tacit_seats *seats,
                                             const struct tacit_wire_order *order, bool changing)
{
    if (order->nonce == members->order_nonce) {
        return (enum tacit_order_outcome)members->order_outcome;
    }
    bool for_epoch = order->epoch == members->epoch || order->kind == TACIT_ORDER_ADD;
    if (order->nonce < members->order_nonce || (!for_epoch && !TACIT_BUG(ORDER_OUTLIVES_EPOCH))) {
        return TACIT_ORDER_STALE;
    }
    if (!tacit_seats_has(seats, order->seat)) {
        return TACIT_ORDER_UNKNOWN;
    }
    if (order->body > TACIT_SPARES_MAX) {
        return TACIT_ORDER_UNKNOWN;
    }
    if (changing) { // what it would change is changing
        return TACIT_ORDER_CHANGING;
    }
    if (order->kind == TACIT_ORDER_REMOVE) {
        return judge_remove(members, seats, order);
    }
    if (sits_in(members, seats, order->seat, order->body) != TACIT_NODE_NONE) {
        return TACIT_ORDER_SEATED;
    }
    if (order->kind == TACIT_ORDER_ADD) {
        return TACIT_ORDER_DONE;
    }
    if ((members->barred & tacit_body_bit(order->seat, order->body)) != 0) {
        return TACIT_ORDER_BARRED;
    }
    return generation_of(members->seat[order->seat]) >= TACIT_GENERATION_MAX ? TACIT_ORDER_WORN_OUT
                                                                             : TACIT_ORDER_DONE;
}

// The body may sit again; a seat of its role that an operator emptied waits for it.
static void add(struct tacit_members *members, const struct tacit_seats *seats,
                const struct tacit_wire_order *order)
{
    tacit_node_t first;
    uint32_t count;
    role_of(seats, order->seat, &first, &count);
    members->barred &= ~tacit_body_bit(order->seat, order->body);
    for (uint32_t i = 0; i < count; i++) {
        tacit_node_t seat = (tacit_node_t)(first + i);
        bool can = order->body != 0 || seat == order->seat;
        if (can && tacit_seat_is_vacant(members->seat[seat]) && members->ordered[seat] == 0) {
            members->ordered[seat] = (uint8_t)(order->body + 1);
            return;
        }
    }
}

// What was ordered for another seat before is not wanted any more.
static void replace(struct tacit_members *members, const struct tacit_wire_order *order)
{
    tacit_node_t first = order->seat & TACIT_NODE_MEMNODE;
    for (uint32_t i = 0; i < TACIT_NODE_MEMNODE && order->body != 0; i++) {
        if (members->ordered[first + i] == order->body + 1u) {
            members->ordered[first + i] = 0;
        }
    }
    members->ordered[order->seat] = (uint8_t)(order->body + 1);
}

enum tacit_order_outcome tacit_members_order(struct tacit_members *members,
                                             const struct tacit_seats *seats,
                                             const struct tacit_wire_order *order, bool changing)
{
    enum tacit_order_outcome outcome = tacit_members_judge(members, seats, order, changing);
    if (order->nonce <= members->order_nonce) {
        return outcome;
    }
    members->order_nonce = order->nonce;
    members->order_outcome = outcome;
    if (outcome == TACIT_ORDER_DONE && order->kind == TACIT_ORDER_ADD) {
        add(members, seats, order);
    } else if (outcome == TACIT_ORDER_DONE && order->kind == TACIT_ORDER_REPLACE) {
        replace(members, order);
    }
    return outcome;
}
