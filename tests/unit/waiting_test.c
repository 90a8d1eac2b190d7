// SPDX-License-Identifier: Apache-2.0
//
// How threads wait on a machine with few processors (apps/lib/waiting.h), and how many lanes the
// gateway has there: the decisions, without threads. That they are worth it is measured
// (`tacit bench latency`, `peers`).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apps/gateway/cluster_backend.h"
#include "apps/lib/waiting.h"

// Looks that find nothing, and of these, those after which it gives way, until it sleeps.
struct wait {
    unsigned looks, given_way, all;
};

static struct wait wait_for_nothing(bool is_crowded, bool awaits_all, unsigned budget)
{
    struct wait wait = {0};
    unsigned looks = tacit_waiting_looks(awaits_all);
    unsigned most = is_crowded ? tacit_waiting_budget(looks, budget) : budget;
    for (unsigned idle = 1; idle < 1000000; idle++) {
        switch (tacit_waiting_next(is_crowded, looks, idle, most)) {
        case TACIT_WAITING_LOOK:
            assert_int_equal(wait.given_way, 0); // no way back to a spin
            wait.looks++;
            break;
        case TACIT_WAITING_GIVE_WAY:
            wait.given_way++;
            break;
        default:
            wait.all = idle;
            return wait;
        }
    }
    fail_msg("never sleeps");
    return wait;
}

// One request keeps all replicas and the client busy.
static void crowded__is_fewer_processors_than_threads(void **state)
{
    (void)state;
    assert_true(tacit_waiting_is_crowded_on(2, 3));
    assert_true(tacit_waiting_is_crowded_on(3, 3));
    assert_false(tacit_waiting_is_crowded_on(4, 3));
    assert_false(tacit_waiting_is_crowded_on(2, 1));
    assert_true(tacit_waiting_is_crowded_on(1, 1));
    assert_true(tacit_waiting_is_crowded_on(-1, 3)); // not known
}

// A leader in crash mode looks on for what a client sends next, then lets others run, then sleeps.
static void leader__gives_way_before_it_sleeps(void **state)
{
    (void)state;
    struct wait wait = wait_for_nothing(true, false, 4096);
    assert_int_equal(wait.looks, TACIT_WAITING_LOOKS_AHEAD);
    assert_int_equal(wait.given_way, TACIT_WAITING_YIELDS - 1);
    assert_int_equal(wait.all, TACIT_WAITING_LOOKS_AHEAD + TACIT_WAITING_YIELDS);
}

// Who awaits all others' threads gives way at once: one of them is what it waits for.
static void who_awaits_all__gives_way_at_once(void **state)
{
    (void)state;
    struct wait wait = wait_for_nothing(true, true, 4096);
    assert_int_equal(wait.looks, 0);
    assert_int_equal(wait.given_way, TACIT_WAITING_YIELDS - 1);
}

static void who_has_a_processor__gives_way_to_nobody(void **state)
{
    (void)state;
    for (unsigned awaits_all = 0; awaits_all < 2; awaits_all++) {
        struct wait wait = wait_for_nothing(false, awaits_all == 1, 4096);
        assert_int_equal(wait.given_way, 0);
        assert_int_equal(wait.all, 4096);
    }
}

// After a timer there is little to wait for, crowded or not.
static void small_budget__is_kept(void **state)
{
    (void)state;
    assert_int_equal(wait_for_nothing(true, false, 2).all, 2);
    assert_int_equal(wait_for_nothing(true, true, 1).all, 1);
}

// Lanes are there to keep a group busy while the gateway works for others of them: where both share
// the processors there is one.
static void gateway__has_one_lane_where_it_is_crowded(void **state)
{
    (void)state;
    assert_int_equal(tacit_cluster_backend_lanes(true), 1);
    assert_true(tacit_cluster_backend_lanes(false) > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crowded__is_fewer_processors_than_threads),
        cmocka_unit_test(leader__gives_way_before_it_sleeps),
        cmocka_unit_test(who_awaits_all__gives_way_at_once),
        cmocka_unit_test(who_has_a_processor__gives_way_to_nobody),
        cmocka_unit_test(small_budget__is_kept),
        cmocka_unit_test(gateway__has_one_lane_where_it_is_crowded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
