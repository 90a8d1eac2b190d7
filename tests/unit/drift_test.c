// SPDX-License-Identifier: Apache-2.0
//
// How far a clock is steered, from the kernel's settings; and that this machine's is looked at.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "apps/lib/drift.h"

static uint32_t steering(long frequency, long tick)
{
    struct timex settings = {.freq = frequency, .tick = tick};
    return tacit_drift_steering_ppm(&settings);
}

static void steering_adds_frequency_and_tick(void **state)
{
    (void)state;
    assert_int_equal(steering(0, 10000), 0);
    assert_int_equal(steering(500 * 65536L, 10000), 500);
    assert_int_equal(steering(-500 * 65536L, 10000), 500);
    assert_int_equal(steering(1, 10000), 1);  // rounded up
    assert_int_equal(steering(-1, 10000), 1); // in either direction
    assert_int_equal(steering(0, 9000), 100000);
    assert_int_equal(steering(0, 11000), 100000);
    assert_int_equal(steering(-100 * 65536L, 10001), 0); // one undoes the other
    assert_int_equal(steering(100 * 65536L, 10001), 200);
}

// The bound is what decides. (The tests change no machine's clock.)
static void the_bound_decides(void **state)
{
    (void)state;
    struct timex now = {0};
    if (adjtimex(&now) < 0) {
        skip();
    }
    uint32_t steering_ppm = tacit_drift_steering_ppm(&now);
    struct tacit_error error;
    assert_int_equal(tacit_drift_check(steering_ppm, &error), TACIT_OK);
    if (steering_ppm > 0) {
        assert_int_equal(tacit_drift_check(steering_ppm - 1, &error), TACIT_EINVAL);
        assert_non_null(strstr(error.text, "timing.drift_ppm"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steering_adds_frequency_and_tick),
        cmocka_unit_test(the_bound_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
