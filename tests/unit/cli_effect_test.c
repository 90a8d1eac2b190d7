// SPDX-License-Identifier: Apache-2.0
//
// Whether a fault that a benchmark made had an effect, and whether it hit a leader
// (apps/cli/bench_effect.h): what counts as met, by whom, and which faults may pass unnoticed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/bench_effect.h"

static const char *const plain[] = {"kill-follower", "kill-leader",  "stop-follower",
                                    "stop-leader",   "kill-memnode", "lying-client"};
#define PLAIN (sizeof plain / sizeof plain[0])

// Of each fault that the timeline has; NULL: there are no more.
static const char *fault_at(uint32_t i)
{
    return i < PLAIN ? plain[i] : local_attack_name((uint32_t)(i - PLAIN + 1)); // 0 is "none"
}

static void nothing_at_all_is_noticed(void **state)
{
    (void)state;
    static const char *const unnoticed[] = {"lying-client", "late", "corrupt"};
    const struct effect_counts same = {.count = {7, 7, 7, 7, 7, 7}};
    uint32_t faults = 0;
    uint32_t silent = 0;
    for (; fault_at(faults) != NULL; faults++) {
        bool may_pass = false;
        for (size_t i = 0; i < sizeof unnoticed / sizeof unnoticed[0]; i++) {
            may_pass = may_pass || strcmp(fault_at(faults), unnoticed[i]) == 0;
        }
        silent += may_pass;
        assert_int_equal(effect_missing(fault_at(faults), &same, &same) == NULL, may_pass);
    }
    assert_true(faults > 20);
    assert_int_equal(silent, sizeof unnoticed / sizeof unnoticed[0]);
}

// One of those that are expected is enough, others are not; and a liar has to have lied.
static void each_fault_by_what_comes_of_it(void **state)
{
    (void)state;
    const struct effect_counts before = {.count = {3, 1, 4, 1, 5, 9}};
    for (uint32_t i = 0; fault_at(i) != NULL; i++) {
        bool needs_done;
        uint32_t expected = effect_expected(fault_at(i), &needs_done);
        for (unsigned e = EFFECT_DONE + 1; e < EFFECTS; e++) {
            struct effect_counts after = before;
            after.count[e]++;
            assert_int_equal(effect_missing(fault_at(i), &before, &after) == NULL,
                             !needs_done && (expected == 0 || (expected >> e & 1) != 0));
            after.count[EFFECT_DONE]++;
            assert_int_equal(effect_missing(fault_at(i), &before, &after) == NULL,
                             expected == 0 || (expected >> e & 1) != 0);
        }
    }
}

// What is less than before (whoever counted it was started again) is no effect.
static void less_is_nothing(void **state)
{
    (void)state;
    const struct effect_counts before = {.count = {5, 5, 5, 5, 5, 5}};
    const struct effect_counts after = {.count = {6, 4, 4, 4, 4, 4}};
    assert_non_null(effect_missing("garbage", &before, &after));
    assert_non_null(effect_missing("kill-leader", &before, &after));
}

static void counts_have_names(void **state)
{
    (void)state;
    for (unsigned a = 0; a < EFFECTS; a++) {
        for (unsigned b = 0; b < a; b++) {
            assert_string_not_equal(effect_name((enum effect)a), effect_name((enum effect)b));
        }
    }
}

// The leader was hit at 1000. Another one that led before is believed to have led when that was
// long ago, and not sooner; who began to lead later is a successor at once.
static void who_led_before_was_no_successor(void **state)
{
    (void)state;
    const uint64_t late_ns = 1000 + EFFECT_LATE_NS;
    assert_int_equal(effect_successor(0, 1000, 1001), EFFECT_NO_SUCCESSOR);
    assert_int_equal(effect_successor(0, 1000, 2 * late_ns), EFFECT_NO_SUCCESSOR);
    assert_int_equal(effect_successor(1001, 1000, 1001), EFFECT_SUCCESSOR);
    assert_int_equal(effect_successor(1001, 1000, 2 * late_ns), EFFECT_SUCCESSOR);
    assert_int_equal(effect_successor(999, 1000, late_ns), EFFECT_NO_SUCCESSOR);
    assert_int_equal(effect_successor(999, 1000, late_ns + 1), EFFECT_LED_BEFORE);
    assert_int_equal(effect_successor(1000, 1000, late_ns + 1), EFFECT_LED_BEFORE);
    assert_false(effect_is_late_too_often(0, 0));
    assert_false(effect_is_late_too_often(110, 100));
    assert_true(effect_is_late_too_often(111, 100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_at_all_is_noticed),
        cmocka_unit_test(each_fault_by_what_comes_of_it),
        cmocka_unit_test(less_is_nothing),
        cmocka_unit_test(counts_have_names),
        cmocka_unit_test(who_led_before_was_no_successor),
    };
    return cmocka_run_group_tests_name("cli_effect", tests, NULL, NULL);
}
