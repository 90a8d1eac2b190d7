// SPDX-License-Identifier: Apache-2.0
//
// Seats and bodies as replicated state: which body may follow another one in a seat, and what an
// operator's orders change. Deterministic, shared by both modes; whether a member is dead is no
// state and is judged by whoever proposes (crash mode) or signs SUSPECT (Byzantine mode).
//
// Rules. A seat's incarnation only grows. The same body comes back in the same generation. Another
// body comes in the next generation, if it is not barred and sits nowhere else; the one before it
// is barred from then on, until an operator ADDs it. A vacant seat is filled by order only.
#ifndef TACIT_STATE_MEMBERS_H
#define TACIT_STATE_MEMBERS_H

#include "sessions.h"
#include "tacit/wire.h"

// What there is, by the cluster file's immutable part. Which spares it lists is no part of this:
// the list may grow, and then replicas know it one after the other.
struct tacit_seats {
    uint8_t replicas, memnodes;
    // Fewest members that an order may leave.
    uint8_t replicas_least, memnodes_least;
};

static inline bool tacit_seats_has(const struct tacit_seats *seats, tacit_node_t seat)
{
    return seat < seats->replicas ||
           (seat >= TACIT_NODE_MEMNODE && seat - TACIT_NODE_MEMNODE < seats->memnodes);
}
static inline bool tacit_seat_is_vacant(uint64_t incarnation)
{
    return tacit_incarnation_body((tacit_incarnation_t)incarnation) == TACIT_BODY_VACANT;
}
// Whether `next` has another body than the seat now (or comes in a later generation).
static inline bool tacit_seat_is_change(uint64_t now, uint64_t next)
{
    return now >> 20 != next >> 20;
}

// Whether incarnation `next` may be the seat's next member, as far as the state says. The same
// incarnation may, too: crash mode takes back a member that it had removed as a laggard.
bool tacit_members_may_follow(const struct tacit_members *members, const struct tacit_seats *seats,
                              tacit_node_t seat, uint64_t next);
// Whether an operator ordered that body into the seat: then its member need not be dead.
static inline bool tacit_members_is_ordered(const struct tacit_members *members, tacit_node_t seat,
                                            uint64_t next)
{
    return members->ordered[seat] == tacit_incarnation_body((tacit_incarnation_t)next) + 1u;
}
// Gives the seat to `next` (which may follow, or is the vacancy after a REMOVE): member, seat,
// barred, ordered. The caller has touched the page, and counts epochs.
void tacit_members_seat(struct tacit_members *members, tacit_node_t seat, uint64_t next);
// Founds: everybody in incarnation 1.
void tacit_members_found(struct tacit_members *members, const struct tacit_seats *seats);

// Judges an order, whose signature holds, and executes ADD and REPLACE. DONE of a REMOVE: the
// caller gives the seat to tacit_members_vacancy(), at once or, in Byzantine mode, with the next
// epoch. Remembers nonce and outcome: an order that comes again gets the same answer and changes
// nothing. `changing`: Byzantine mode, a change is decided and not in force yet.
enum tacit_order_outcome tacit_members_order(struct tacit_members *members,
                                             const struct tacit_seats *seats,
                                             const struct tacit_wire_order *order, bool changing);
// What tacit_members_order() would say now, without doing it: for who proposes or endorses.
enum tacit_order_outcome tacit_members_judge(const struct tacit_members *members,
                                             const struct tacit_seats *seats,
                                             const struct tacit_wire_order *order, bool changing);
// The incarnation of a seat after REMOVE.
static inline uint64_t tacit_members_vacancy(const struct tacit_members *members, tacit_node_t seat)
{
    return tacit_incarnation_make(
        tacit_incarnation_generation((tacit_incarnation_t)members->seat[seat]) + 1,
        TACIT_BODY_VACANT, 1);
}
// Seats of the role of `seat` with a member.
uint32_t tacit_members_count(const struct tacit_members *members, const struct tacit_seats *seats,
                             tacit_node_t seat);

#endif
