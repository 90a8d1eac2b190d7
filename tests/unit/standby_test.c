// SPDX-License-Identifier: Apache-2.0
//
// Which seat a node that stands by takes (apps/lib/standby.c): a rule of what the group says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apps/lib/standby.h"
#include "tacit/wire.h"

#define MEMNODE TACIT_NODE_MEMNODE

static struct tacit_wire_members members;
static struct tacit_node_seat seat;

static void found(void)
{
    members = (struct tacit_wire_members){.epoch = 0};
    for (tacit_node_t i = 0; i < 3; i++) {
        members.seat[i] = members.seat[MEMNODE + i] = 1;
    }
}

static bool spare(uint32_t body, bool waited)
{
    seat = (struct tacit_node_seat){.id = 99};
    return tacit_standby_choose(&members, 0, 0, body, waited, &seat);
}

static void assert_seat(uint16_t id, uint8_t generation, uint8_t body)
{
    assert_int_equal(seat.id, id);
    assert_int_equal(seat.generation, generation);
    assert_int_equal(seat.body, body);
}

static void nobody_is_dead__nothing_is_taken(void **state)
{
    (void)state;
    found();
    assert_false(spare(1, false));
    assert_false(spare(1, true));
}

static void spares__take_dead_seats_in_order(void **state)
{
    (void)state;
    found();
    members.dead = 1u << 1 | 1u << 2;
    assert_true(spare(1, false));
    assert_seat(1, 1, 1);
    assert_true(spare(2, false));
    assert_seat(2, 1, 2);
    assert_false(spare(3, false));
    members.seat[1] = tacit_incarnation_make(1, 1, 4); // spare 1 sits
    members.dead = 1u << 2;
    assert_true(spare(2, false));
    assert_seat(2, 1, 2);
    assert_false(spare(3, false));
    assert_true(spare(3, true)); // those before it seem to be gone
    assert_seat(2, 1, 3);
    members.barred = 1ull << (32 + 2);
    assert_false(spare(2, true));
    assert_true(spare(3, false)); // it is the first of the free ones
}

static void restarted_spare__is_who_it_was(void **state)
{
    (void)state;
    found();
    members.seat[2] = tacit_incarnation_make(3, 2, 4);
    assert_true(spare(2, false));
    assert_seat(2, 3, 2);
}

static void orders__come_first(void **state)
{
    (void)state;
    found();
    members.ordered[0] = 3; // spare 2, although its member lives
    members.dead = 1u << 1;
    assert_true(spare(2, false));
    assert_seat(0, 1, 2);
    members.dead = 1u << 0; // a seat that somebody is ordered for is not free
    assert_false(spare(1, true));
    members.seat[1] = tacit_incarnation_make(1, TACIT_BODY_VACANT, 1);
    members.dead = 1u << 1;
    assert_false(spare(1, true)); // nor one that an operator emptied
    members.ordered[1] = 2;
    assert_true(spare(1, false));
    assert_seat(1, 2, 1);
}

static void founder__waits_for_its_own_seat(void **state)
{
    (void)state;
    found();
    seat = (struct tacit_node_seat){.id = 99};
    assert_true(tacit_standby_choose(&members, MEMNODE, MEMNODE + 1, 0, false, &seat));
    assert_seat(1, 0, 0); // was not replaced
    members.seat[MEMNODE + 1] = tacit_incarnation_make(1, 1, 1);
    members.barred = 1ull << (MEMNODE + 1);
    members.dead = 1u << (MEMNODE + 1);
    assert_false(tacit_standby_choose(&members, MEMNODE, MEMNODE + 1, 0, true, &seat));
    members.barred = 0; // an operator added it
    assert_true(tacit_standby_choose(&members, MEMNODE, MEMNODE + 1, 0, false, &seat));
    assert_seat(1, 2, 0);
    members.dead = 1u << (MEMNODE + 2); // another one's
    assert_false(tacit_standby_choose(&members, MEMNODE, MEMNODE + 1, 0, true, &seat));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_dead__nothing_is_taken),
        cmocka_unit_test(spares__take_dead_seats_in_order),
        cmocka_unit_test(restarted_spare__is_who_it_was),
        cmocka_unit_test(orders__come_first),
        cmocka_unit_test(founder__waits_for_its_own_seat),
    };
    return cmocka_run_group_tests_name("standby", tests, NULL, NULL);
}
