// SPDX-License-Identifier: Apache-2.0
//
// Model of membership with spares: who gets which seat, by which rule, and what an operator's
// orders may do. n = 3 seats, f = 1. Bodies: a founder for each seat and two spares, each with a
// key of its own. One body of all is faulty (or none): it signs whatever helps and claims any seat.
//
// Rules. A seat's member comes back as a later life of the same body, at any time. Another body
// gets the seat only if it is not barred, sits nowhere else, and the member is dead or an operator
// ordered it there; a vacant seat is filled by order only. f+1 members of the present epoch sign
// SUSPECT for it. Who was replaced or removed is barred until an operator ADDs it. Orders carry the
// operator's signature, a nonce that grows, and but for ADD the epoch that they were made for.
//
// The state that members agree on is one state here: what becomes of votes and of who does not know
// the newest epoch is in epochs.c. Everything that was signed or ordered may come at any time and
// any number of times. A seat's order is void when the seat is emptied. A death is seen as what it
// is: that a partition may pass for one after timing.replace_after is accepted, and covered there
// by the old incarnation that lives on.
//
// Properties. "twice": a body sits in two seats. "ousted": a member that lives was replaced without
// an order. "returned": a body that was replaced or removed has a seat, and nobody ADDed it.
// "filled": a vacancy was filled without an order. "too few": an order left fewer members than
// f+1. "forged", "outdated": an order that no operator gave, or not for these members, had an
// effect. "believed": who knows no members takes what only the faulty one signed for certified.
#include <string.h>

#include "models.h"

enum { SEATS = 3, BODIES = 5, QUORUM = 2, ORDERS = 3, VACANT = 0xfe };
enum { NO_ORDER = 0, ADD, REMOVE, REPLACE };

struct order {
    uint8_t kind, seat, body;
    uint8_t epoch;       // that it names
    uint8_t seen[SEATS]; // members when it was given; only properties look at it
};

struct state {
    uint8_t seat[SEATS];    // body
    uint8_t ordered[SEATS]; // body + 1
    uint8_t barred;         // bodies, a bit each
    uint8_t epoch;
    uint8_t nonce;                  // of the newest order that was executed
    uint8_t up;                     // bodies that run
    uint8_t fresh;                  // members that came back without memory: not the member
    uint8_t suspect[SEATS][BODIES]; // correct members that signed it in this epoch
    uint8_t crashes, changes;
    struct order orders[ORDERS]; // given, nonces 1 ..
    // What properties look at.
    uint8_t gone;           // bodies that lost a seat and were not ADDed since
    uint8_t wanted[SEATS];  // bodies ever ordered into it
    uint8_t vacated[SEATS]; // an operator emptied it, and ordered nobody into it since
};

static struct {
    int faulty, spares, changes, crashes, orders, dead, bar, once, vacancy, suspects, void_old,
        order_signed, order_nonce, order_epoch, order_void, quorum, authors;
} rules;

static const struct explorer_option members_options[] = {
    {"faulty", &rules.faulty, 1, NULL,
     "body that is faulty: founders 0 to 2, spares 3 (and 4); 9: none"},
    {"spares", &rules.spares, 1, NULL, "spares, 1 or 2"},
    {"changes", &rules.changes, 3, NULL, "changes of members at most"},
    {"crashes", &rules.crashes, 1, NULL, "crashes of correct bodies at most"},
    {"orders", &rules.orders, 2, NULL, "orders at most, up to 3"},
    {"dead", &rules.dead, 1, NULL, "0: another body is let into the seat of a member that lives"},
    {"bar", &rules.bar, 1, NULL, "0: who was replaced or removed may sit again"},
    {"once", &rules.once, 1, NULL, "0: a body may sit in two seats"},
    {"vacancy", &rules.vacancy, 1, NULL, "0: a vacant seat counts as one of a dead member"},
    {"suspects", &rules.suspects, 1, NULL, "0: f signers suffice"},
    {"void_old", &rules.void_old, 1, NULL, "0: what was signed in an older epoch counts"},
    {"order_signed", &rules.order_signed, 1, NULL, "0: the operator's signature is not checked"},
    {"order_nonce", &rules.order_nonce, 1, NULL, "0: an order has an effect as often as it comes"},
    {"order_epoch", &rules.order_epoch, 1, NULL, "0: an order does not name its epoch"},
    {"order_void", &rules.order_void, 1, NULL,
     "0: what was ordered for a seat stands when its member is removed"},
    {"quorum", &rules.quorum, 1, NULL, "0: any member may be removed"},
    {"authors", &rules.authors, 1, NULL, "0: certificates for newcomers name seats, not authors"},
};

static bool has(uint8_t set, int body)
{
    return (set >> body & 1) != 0;
}

static int sits_in(const struct state *s, int body)
{
    for (int seat = 0; seat < SEATS; seat++) {
        if (s->seat[seat] == body) {
            return seat;
        }
    }
    return -1;
}

static bool is_alive(const struct state *s, int seat)
{
    int body = s->seat[seat];
    return body != VACANT && (body == rules.faulty || (has(s->up, body) && !has(s->fresh, body)));
}

// May `body` have the seat, as a correct member judges it?
static bool may_take(const struct state *s, int seat, int body)
{
    int now = s->seat[seat];
    bool is_there = body == rules.faulty || has(s->up, body);
    if (!is_there || (body < SEATS && body != seat)) {
        return false;
    }
    if (now == body) {
        return has(s->fresh, body) || body == rules.faulty;
    }
    if ((rules.bar && has(s->barred, body)) || (rules.once && sits_in(s, body) >= 0)) {
        return false;
    }
    bool ordered = s->ordered[seat] == body + 1;
    if (now == VACANT && rules.vacancy) {
        return ordered;
    }
    return ordered || !rules.dead || !is_alive(s, seat);
}

// ---- effects ------------------------------------------------------------------------------------

// A new body, a new life of the same, or nobody.
static void put(struct explorer *x, struct state *next, int seat, int body)
{
    int was = next->seat[seat];
    if (was != VACANT && was != body) {
        next->barred |= (uint8_t)(1 << was);
        next->gone |= (uint8_t)(1 << was);
    }
    if (body != VACANT && body != was) {
        int other = sits_in(next, body);
        if (other >= 0) {
            explorer_violation(x, "twice", "body %d in seats %d and %d", body, other, seat);
        }
        if (has(next->gone, body)) {
            explorer_violation(x, "returned", "body %d sits again, in seat %d", body, seat);
        }
        if (next->vacated[seat] && was == VACANT) {
            explorer_violation(x, "filled", "vacant seat %d was given to body %d", seat, body);
        }
    }
    if (body != was && (body != VACANT || rules.order_void)) {
        next->ordered[seat] = 0;
    }
    next->seat[seat] = (uint8_t)body;
    next->epoch++;
    next->changes++;
    if (body != VACANT) {
        next->fresh &= (uint8_t) ~(1 << body);
    }
    if (rules.void_old) {
        memset(next->suspect, 0, sizeof next->suspect);
    }
}

static void replace(struct explorer *x, const struct state *s, int seat, int body)
{
    int faulty_seat = rules.faulty < BODIES ? sits_in(s, rules.faulty) : -1;
    int signers = __builtin_popcount(s->suspect[seat][body]) + (faulty_seat >= 0 ? 1 : 0);
    if (signers < QUORUM - !rules.suspects || s->changes == rules.changes) {
        return;
    }
    struct state next = *s;
    int was = s->seat[seat];
    if (was != body && was != VACANT && was != rules.faulty && is_alive(s, seat) &&
        !has(s->wanted[seat], body)) {
        explorer_violation(x, "ousted", "body %d lives and lost seat %d to %d", was, seat, body);
    }
    put(x, &next, seat, body);
    EXPLORER_STEP(x, "REPLACE: seat %d is given to body %d", seat, body);
    explorer_emit(x, &next);
}

static void suspect(struct explorer *x, const struct state *s, int signer, int seat, int body)
{
    int own = s->seat[signer];
    if (own == rules.faulty || !is_alive(s, signer) || has(s->suspect[seat][body], own) ||
        !may_take(s, seat, body)) {
        return;
    }
    struct state next = *s;
    next.suspect[seat][body] |= (uint8_t)(1 << own);
    EXPLORER_STEP(x, "body %d signs SUSPECT: seat %d for body %d", own, seat, body);
    explorer_emit(x, &next);
}

// ---- orders -------------------------------------------------------------------------------------

// What the operator wants at this moment is what a tool would not refuse.
static void give(struct explorer *x, const struct state *s, int kind, int seat, int body)
{
    int number = 0;
    while (number < ORDERS && s->orders[number].kind != NO_ORDER) {
        number++;
    }
    bool is_known = body >= SEATS || body == seat;
    bool sensible = kind == ADD      ? has(s->gone, body) && sits_in(s, body) < 0
                    : kind == REMOVE ? s->seat[seat] == body
                                     : sits_in(s, body) < 0 && !has(s->gone, body);
    if (number >= rules.orders || !is_known || !sensible) {
        return;
    }
    struct state next = *s;
    struct order *order = &next.orders[number];
    *order = (struct order){
        .kind = (uint8_t)kind, .seat = (uint8_t)seat, .body = (uint8_t)body, .epoch = s->epoch};
    memcpy(order->seen, s->seat, sizeof order->seen);
    EXPLORER_STEP(x, "the operator orders: %s body %d, seat %d",
                  kind == ADD      ? "ADD"
                  : kind == REMOVE ? "REMOVE"
                                   : "REPLACE by",
                  body, seat);
    explorer_emit(x, &next);
}

static int members_left(const struct state *s)
{
    int count = 0;
    for (int seat = 0; seat < SEATS; seat++) {
        count += s->seat[seat] != VACANT;
    }
    return count;
}

static void remove_member(struct explorer *x, struct state *next, const struct order *order)
{
    if (next->seat[order->seat] != order->body || next->changes == rules.changes ||
        (rules.quorum && members_left(next) - 1 < QUORUM)) {
        return;
    }
    put(x, next, order->seat, VACANT);
    next->vacated[order->seat] = 1;
    if (members_left(next) < QUORUM) {
        explorer_violation(x, "too few", "%d members are left", members_left(next));
    }
}

static void add(struct state *next, const struct order *order)
{
    if (sits_in(next, order->body) >= 0) {
        return;
    }
    next->barred &= (uint8_t) ~(1 << order->body);
    for (int seat = 0; seat < SEATS; seat++) {
        bool can = order->body >= SEATS || seat == order->seat;
        if (can && next->seat[seat] == VACANT && next->ordered[seat] == 0) {
            next->ordered[seat] = (uint8_t)(order->body + 1);
            next->wanted[seat] |= (uint8_t)(1 << order->body);
            next->vacated[seat] = 0;
            return;
        }
    }
}

static void order_body(struct state *next, const struct order *order)
{
    if (sits_in(next, order->body) >= 0 || (rules.bar && has(next->barred, order->body))) {
        return;
    }
    next->ordered[order->seat] = (uint8_t)(order->body + 1);
    next->wanted[order->seat] |= (uint8_t)(1 << order->body);
    next->vacated[order->seat] = 0;
}

static void execute(struct explorer *x, const struct state *s, int number)
{
    const struct order *order = &s->orders[number];
    bool again = number + 1 <= s->nonce;
    if (order->kind == NO_ORDER || (rules.order_nonce && again) ||
        (rules.order_epoch && order->kind != ADD && order->epoch != s->epoch)) {
        return;
    }
    struct state next = *s;
    next.nonce = (uint8_t)(again ? s->nonce : number + 1);
    if (order->kind == ADD) {
        // Of an ADD only the first execution is the operator's word.
        if (!again) {
            next.gone &= (uint8_t) ~(1 << order->body);
        }
        add(&next, order);
    } else if (order->kind == REMOVE) {
        remove_member(x, &next, order);
    } else {
        order_body(&next, order);
    }
    bool changed = memcmp(&next.seat, &s->seat, sizeof s->seat) != 0 ||
                   memcmp(next.ordered, s->ordered, sizeof s->ordered) != 0;
    if (order->kind != ADD && changed && memcmp(order->seen, s->seat, sizeof s->seat) != 0) {
        explorer_violation(x, "outdated", "order %d has an effect on other members", number + 1);
    }
    EXPLORER_STEP(x, "order %d is executed", number + 1);
    explorer_emit(x, &next);
}

// A faulty member proposes what no operator signed.
static void forge(struct explorer *x, const struct state *s)
{
    if (rules.order_signed || rules.faulty >= BODIES || sits_in(s, rules.faulty) < 0) {
        return;
    }
    for (int seat = 0; seat < SEATS; seat++) {
        struct order order = {.kind = REMOVE, .seat = (uint8_t)seat, .body = s->seat[seat]};
        struct state next = *s;
        if (s->seat[seat] == VACANT) {
            continue;
        }
        remove_member(x, &next, &order);
        if (next.seat[seat] == VACANT) {
            explorer_violation(x, "forged", "seat %d was emptied by nobody's order", seat);
            EXPLORER_STEP(x, "a forged order empties seat %d", seat);
            explorer_emit(x, &next);
        }
    }
}

// ---- bodies -------------------------------------------------------------------------------------

static void live(struct explorer *x, const struct state *s, int body)
{
    struct state next = *s;
    if (body == rules.faulty) {
        return;
    }
    if (has(s->up, body) && s->crashes < rules.crashes) {
        next.up &= (uint8_t) ~(1 << body);
        next.crashes++;
        EXPLORER_STEP(x, "body %d dies", body);
        explorer_emit(x, &next);
    } else if (!has(s->up, body)) {
        next.up |= (uint8_t)(1 << body);
        next.fresh |= (uint8_t)(1 << body);
        EXPLORER_STEP(x, "body %d starts again", body);
        explorer_emit(x, &next);
    }
}

// A newcomer is shown a certificate that only the faulty body signed. Members of whatever epoch it
// names are unknown to it: where signers are named by seat, one spare's key fits every seat.
static void show(struct explorer *x, const struct state *s)
{
    if (rules.faulty >= BODIES) {
        return;
    }
    int names = rules.authors || rules.faulty < SEATS ? 1 : SEATS;
    if (names >= QUORUM) {
        explorer_violation(x, "believed", "body %d signed for %d seats", rules.faulty, names);
        explorer_emit(x, s);
    }
}

static void members_start(void *state)
{
    struct state *s = state;
    for (int seat = 0; seat < SEATS; seat++) {
        s->seat[seat] = (uint8_t)seat;
    }
    rules.spares = rules.spares > BODIES - SEATS ? BODIES - SEATS : rules.spares;
    s->up = (uint8_t)((1 << (SEATS + rules.spares)) - 1);
    rules.orders = rules.orders > ORDERS ? ORDERS : rules.orders;
}

static void members_expand(struct explorer *x, const void *state)
{
    const struct state *s = state;
    for (int body = 0; body < SEATS + rules.spares; body++) {
        live(x, s, body);
        for (int seat = 0; seat < SEATS; seat++) {
            for (int signer = 0; signer < SEATS; signer++) {
                suspect(x, s, signer, seat, body);
            }
            replace(x, s, seat, body);
            for (int kind = ADD; kind <= REPLACE; kind++) {
                give(x, s, kind, seat, body);
            }
        }
    }
    for (int number = 0; number < ORDERS; number++) {
        execute(x, s, number);
    }
    forge(x, s);
    show(x, s);
}

const struct explorer_model members_model = {
    .name = "members",
    .state_bytes = sizeof(struct state),
    .packed_words = (sizeof(struct state) + 7) / 8,
    .options = members_options,
    .options_count = sizeof members_options / sizeof *members_options,
    .start = members_start,
    .expand = members_expand,
};
