// SPDX-License-Identifier: Apache-2.0
//
// Seats and bodies (core/state/members.c): who may follow whom, and what an operator's orders do.
// TACIT_SEEDED: yes
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/state/members.h"
#include "support/rules.h"

#define MEMNODE TACIT_NODE_MEMNODE

static const struct tacit_seats seats = {
    .replicas = 3, .memnodes = 3, .replicas_least = 2, .memnodes_least = 2};
static struct tacit_members members;

static uint64_t life(uint32_t generation, uint32_t body, uint32_t start)
{
    return tacit_incarnation_make(generation, body, start);
}

static void found(void)
{
    memset(&members, 0, sizeof members);
    tacit_members_found(&members, &seats);
}

static bool may(tacit_node_t seat, uint64_t next)
{
    return tacit_members_may_follow(&members, &seats, seat, next);
}

// As whoever executes it does.
static enum tacit_order_outcome order(uint8_t kind, tacit_node_t seat, uint8_t body)
{
    struct tacit_wire_order given = {.kind = kind,
                                     .body = body,
                                     .seat = seat,
                                     .epoch = members.epoch,
                                     .nonce = members.order_nonce + 1};
    enum tacit_order_outcome outcome = tacit_members_order(&members, &seats, &given, false);
    if (outcome == TACIT_ORDER_DONE && kind == TACIT_ORDER_REMOVE) {
        tacit_members_seat(&members, seat, tacit_members_vacancy(&members, seat));
        members.incarnation[seat] = 0;
        members.epoch++;
    }
    return outcome;
}

// ---- rules

static bool rule_barred_stays_away(void)
{
    found();
    tacit_members_seat(&members, 0, life(1, 1, 1));
    return !may(0, life(2, 0, 9)); // the founder, who was replaced
}

static bool rule_remove_keeps_a_quorum(void)
{
    found();
    return order(TACIT_ORDER_REMOVE, 0, 0) == TACIT_ORDER_DONE &&
           order(TACIT_ORDER_REMOVE, 1, 0) == TACIT_ORDER_QUORUM;
}

static bool rule_order_is_for_its_epoch(void)
{
    found();
    struct tacit_wire_order old = {
        .kind = TACIT_ORDER_REMOVE, .seat = 1, .epoch = members.epoch, .nonce = 5};
    members.epoch++;
    return tacit_members_order(&members, &seats, &old, false) == TACIT_ORDER_STALE;
}

static const struct rule rules[] = {
    {"who was replaced does not come back by itself", rule_barred_stays_away,
     TACIT_BUG_BARRED_SITS},
    {"an operator cannot remove the quorum", rule_remove_keeps_a_quorum,
     TACIT_BUG_REMOVE_BELOW_QUORUM},
    {"an order is void when the members changed", rule_order_is_for_its_epoch,
     TACIT_BUG_ORDER_OUTLIVES_EPOCH},
};

// ---- who may follow

static void same_body__comes_back_later_in_its_generation(void **state)
{
    (void)state;
    found();
    assert_true(may(1, life(0, 0, 2)));
    assert_false(may(1, life(0, 0, 1))); // the same life
    members.incarnation[1] = 0;          // crash mode: removed as a laggard
    assert_true(may(1, life(0, 0, 1)));
    tacit_members_seat(&members, 1, life(1, 3, 7));
    assert_true(may(1, life(1, 3, 8)));
    assert_false(may(1, life(1, 3, 6)));
}

static void other_body__comes_in_the_next_generation(void **state)
{
    (void)state;
    found();
    assert_true(may(0, life(1, 2, 1)));
    assert_true(may(MEMNODE + 2, life(1, 2, 1)));
    assert_false(may(0, life(2, 2, 1)));
    assert_false(may(0, life(0, 2, 5)));
    assert_false(may(0, life(1, TACIT_BODY_VACANT, 1)));
    assert_false(may(0, life(1, 2, 0)));
    assert_false(may(0, (1ull << 32) + life(1, 2, 1)));
    assert_false(may(3, life(1, 2, 1))); // no such seat
    assert_false(may(15, life(1, 2, 1)));
    assert_false(may(MEMNODE + 3, life(1, 2, 1)));
    // From the last generation nobody follows.
    tacit_members_seat(&members, 0, life(TACIT_GENERATION_MAX, 1, 1));
    assert_false(may(0, (uint64_t)(TACIT_GENERATION_MAX + 1) << 24 | 2u << 20 | 1));
}

static void body__sits_in_one_seat(void **state)
{
    (void)state;
    found();
    tacit_members_seat(&members, 0, life(1, 2, 1));
    assert_int_equal(members.barred, tacit_body_bit(0, 0));
    assert_false(may(1, life(1, 2, 2)));
    assert_true(may(1, life(1, 1, 2)));
    assert_true(may(MEMNODE, life(1, 2, 2))); // another role's spare 2
    assert_false(may(1, life(1, 0, 3))); // a founder sits in its own seat only: that is a restart
    tacit_members_seat(&members, 0, life(2, 1, 1));
    assert_false(may(1, life(1, 2, 2))); // was replaced
    assert_int_equal(members.barred, tacit_body_bit(0, 0) | tacit_body_bit(0, 2));
}

static void bits__are_different(void **state)
{
    (void)state;
    uint64_t seen = 0;
    for (tacit_node_t seat = 0; seat < TACIT_MEMBERS; seat += 1) {
        for (uint32_t body = 0; body <= TACIT_SPARES_MAX; body++) {
            uint64_t bit = tacit_body_bit(seat, body);
            bool first_of_spare = (seat & (MEMNODE - 1)) == 0;
            if (body == 0 || first_of_spare) {
                assert_int_equal(seen & bit, 0);
                seen |= bit;
            } else {
                assert_int_equal(bit, tacit_body_bit(seat & MEMNODE, body));
            }
        }
    }
}

// ---- orders

static void remove__leaves_the_seat_to_orders(void **state)
{
    (void)state;
    found();
    assert_int_equal(order(TACIT_ORDER_REMOVE, 2, 1), TACIT_ORDER_NOT_MEMBER);
    assert_int_equal(order(TACIT_ORDER_REMOVE, 2, 0), TACIT_ORDER_DONE);
    assert_true(tacit_seat_is_vacant(members.seat[2]));
    assert_false(may(2, life(0, 0, 9)));
    assert_false(may(2, life(2, 0, 9))); // barred
    assert_false(may(2, life(2, 1, 1))); // nobody ordered it
    assert_int_equal(order(TACIT_ORDER_REMOVE, 2, 0), TACIT_ORDER_NOT_MEMBER);
    // The founder was repaired: ADD gives it its seat back.
    assert_int_equal(order(TACIT_ORDER_ADD, 2, 0), TACIT_ORDER_DONE);
    assert_int_equal(members.barred, 0);
    assert_false(may(2, life(2, 1, 1)));
    assert_true(may(2, life(2, 0, 9)));
    tacit_members_seat(&members, 2, life(2, 0, 9));
    assert_int_equal(members.ordered[2], 0);
    assert_int_equal(members.barred, 0); // a vacancy is no body
}

static void replace__names_who_comes(void **state)
{
    (void)state;
    found();
    assert_int_equal(order(TACIT_ORDER_REPLACE, 0, 3), TACIT_ORDER_DONE);
    assert_true(tacit_members_is_ordered(&members, 0, life(1, 3, 1)));
    assert_false(tacit_members_is_ordered(&members, 0, life(1, 2, 1)));
    // It is wanted elsewhere now.
    assert_int_equal(order(TACIT_ORDER_REPLACE, 1, 3), TACIT_ORDER_DONE);
    assert_int_equal(members.ordered[0], 0);
    tacit_members_seat(&members, 1, life(1, 3, 1));
    assert_int_equal(order(TACIT_ORDER_REPLACE, 0, 3), TACIT_ORDER_SEATED);
    assert_int_equal(order(TACIT_ORDER_REPLACE, 1, 0), TACIT_ORDER_BARRED);
    assert_int_equal(order(TACIT_ORDER_ADD, 1, 0), TACIT_ORDER_DONE);
    assert_int_equal(members.ordered[1], 0); // it stands by
    assert_int_equal(order(TACIT_ORDER_REPLACE, 1, 0), TACIT_ORDER_DONE);
    assert_int_equal(order(TACIT_ORDER_REPLACE, 5, 1), TACIT_ORDER_UNKNOWN);
    assert_int_equal(order(TACIT_ORDER_REPLACE, 1, 15), TACIT_ORDER_UNKNOWN);
    assert_int_equal(order(TACIT_ORDER_ADD, 0, 0), TACIT_ORDER_SEATED);
}

static void order__is_executed_once(void **state)
{
    (void)state;
    found();
    struct tacit_wire_order replace = {
        .kind = TACIT_ORDER_REPLACE, .body = 1, .seat = 0, .epoch = 0, .nonce = 10};
    struct tacit_members before;
    assert_int_equal(tacit_members_order(&members, &seats, &replace, false), TACIT_ORDER_DONE);
    tacit_members_seat(&members, 0, life(1, 1, 1));
    members.epoch++;
    before = members;
    assert_int_equal(tacit_members_order(&members, &seats, &replace, false), TACIT_ORDER_DONE);
    assert_memory_equal(&before, &members, sizeof members);
    replace.nonce = 9; // older, never seen
    assert_int_equal(tacit_members_order(&members, &seats, &replace, false), TACIT_ORDER_STALE);
    assert_memory_equal(&before, &members, sizeof members);
    replace.nonce = 11;
    replace.epoch = members.epoch;
    replace.body = 2;
    assert_int_equal(tacit_members_order(&members, &seats, &replace, true), TACIT_ORDER_CHANGING);
    assert_int_equal(members.ordered[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TESTS(rules),
        cmocka_unit_test(same_body__comes_back_later_in_its_generation),
        cmocka_unit_test(other_body__comes_in_the_next_generation),
        cmocka_unit_test(body__sits_in_one_seat),
        cmocka_unit_test(bits__are_different),
        cmocka_unit_test(remove__leaves_the_seat_to_orders),
        cmocka_unit_test(replace__names_who_comes),
        cmocka_unit_test(order__is_executed_once),
    };
    return cmocka_run_group_tests_name("core_members", tests, NULL, NULL);
}
