// SPDX-License-Identifier: Apache-2.0
//
// Intervals in which the machine stood still (apps/cli/bench_stalls.h): those of several processors
// become one list, of which no time counts twice and only what lies within counts.
// TACIT_ROUNDS: debug tsan
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/bench_stalls.h"

static void of_no_stall_nothing(void **state)
{
    (void)state;
    static struct stall_list list;
    stalls_unite(&list);
    assert_int_equal(list.count, 0);
    assert_int_equal(stalls_overlap(&list, 0, UINT64_MAX), 0);
    assert_int_equal(stalls_longest(&list, 0, UINT64_MAX), 0);
}

static void those_that_meet_become_one(void **state)
{
    (void)state;
    static struct stall_list list = {
        .count = 6, .stalls = {{50, 60}, {10, 20}, {15, 30}, {30, 31}, {52, 55}, {33, 40}}};
    static const struct stall united[] = {{10, 31}, {33, 40}, {50, 60}};
    stalls_unite(&list);
    assert_int_equal(list.count, 3);
    assert_memory_equal(list.stalls, united, sizeof united);
}

static void only_what_lies_within_counts(void **state)
{
    (void)state;
    static const struct stall_list list = {.count = 3, .stalls = {{10, 31}, {33, 40}, {50, 60}}};
    assert_int_equal(stalls_overlap(&list, 0, 100), 21 + 7 + 10);
    assert_int_equal(stalls_overlap(&list, 30, 52), 1 + 7 + 2);
    assert_int_equal(stalls_overlap(&list, 12, 15), 3); // all of it in one stall
    assert_int_equal(stalls_overlap(&list, 31, 33), 0); // just after one, just before the next
    assert_int_equal(stalls_overlap(&list, 60, 70), 0);
    assert_int_equal(stalls_overlap(&list, 0, 10), 0);
    assert_int_equal(stalls_longest(&list, 0, 100), 21);
    assert_int_equal(stalls_longest(&list, 25, 100), 10);
    assert_int_equal(stalls_longest(&list, 31, 50), 7);
}

// Every interval of a small line, against counting its points.
static void as_counted_point_by_point(void **state)
{
    (void)state;
    static struct stall_list list = {.count = 4, .stalls = {{9, 11}, {2, 5}, {4, 7}, {9, 10}}};
    static const uint64_t stood_still[12] = {0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0};
    stalls_unite(&list);
    for (uint64_t from = 0; from < 12; from++) {
        uint64_t sum = 0;
        for (uint64_t to = from; to <= 12; to++) {
            assert_int_equal(stalls_overlap(&list, from, to), sum);
            sum += to < 12 ? stood_still[to] : 0;
        }
    }
}

// A real monitor, whether it may measure or not: what it tells is apart and within what was asked.
static void a_monitor_comes_and_goes(void **state)
{
    (void)state;
    static struct stall_list list;
    struct stalls *stalls = stalls_watch();
    assert_non_null(stalls);
    stalls_between(stalls, 0, UINT64_MAX, &list);
    for (size_t i = 0; i < list.count; i++) {
        assert_true(list.stalls[i].begin_ns < list.stalls[i].end_ns);
        assert_true(i == 0 || list.stalls[i - 1].end_ns < list.stalls[i].begin_ns);
    }
    assert_true(list.count == 0 || stalls_are_measured(stalls));
    json_t *results = json_object();
    stalls_report(stalls, results);
    const json_t *machine = json_object_get(results, "machine");
    assert_int_equal(json_is_true(json_object_get(machine, "stalls_measured")),
                     stalls_are_measured(stalls));
    json_decref(results);
    stalls_free(stalls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_no_stall_nothing),
        cmocka_unit_test(those_that_meet_become_one),
        cmocka_unit_test(only_what_lies_within_counts),
        cmocka_unit_test(as_counted_point_by_point),
        cmocka_unit_test(a_monitor_comes_and_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
