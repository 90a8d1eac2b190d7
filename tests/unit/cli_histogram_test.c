// SPDX-License-Identifier: Apache-2.0
//
// What benchmarks print: quantiles of histograms and of rounds, and the spread between rounds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cli/bench_rounds.h"
#include "cli/histogram.h"

static struct histogram histogram;

static int begin(void **state)
{
    (void)state;
    memset(&histogram, 0, sizeof histogram);
    return 0;
}

// Whatever the duration is, one alone is its own maximum and is told within a bucket's width.
static void histogram__knows_one(void **state)
{
    (void)state;
    for (uint64_t ns = 1; ns < 1ull << 45; ns = ns * 5 / 4 + 1) {
        memset(&histogram, 0, sizeof histogram);
        histogram_add(&histogram, ns);
        assert_int_equal(histogram_quantile(&histogram, 1), ns);
        uint64_t least = histogram_quantile(&histogram, 0);
        assert_true(least <= ns && ns - least <= ns / 50 + 1);
    }
}

// Even durations have even quantiles: nothing of a bucket's width is left in them.
static void histogram__divides_its_buckets(void **state)
{
    (void)state;
    for (uint64_t ns = 1; ns <= 100000; ns++) {
        histogram_add(&histogram, ns);
    }
    assert_int_equal(histogram_total(&histogram), 100000);
    for (uint64_t part = 1; part < 1000; part++) {
        uint64_t value = histogram_quantile(&histogram, (double)part / 1000);
        assert_true(value >= 100 * part - 2 && value <= 100 * part + 2);
    }
}

static void histogram__of_nothing(void **state)
{
    (void)state;
    assert_int_equal(histogram_quantile(&histogram, 0.5), 0);
}

static void rounds__have_a_spread(void **state)
{
    (void)state;
    struct bench_figure a = {0};
    struct bench_figure b = {0};
    struct bench_figure ratio = {0};
    assert_true(bench_median(&a) == 0);
    static const double values[] = {8, 2, 6, 4};
    for (size_t i = 0; i < 4; i++) {
        bench_figure_add(&a, values[i]);
        bench_figure_add(&b, 2);
    }
    assert_true(bench_median(&a) == 5 && bench_lowest(&a) == 2 && bench_highest(&a) == 8);
    bench_figure_ratio(&ratio, &a, &b); // of each round, not of the medians
    assert_true(ratio.count == 4 && ratio.values[0] == 4 && ratio.values[3] == 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(histogram__knows_one, begin),
        cmocka_unit_test_setup(histogram__divides_its_buckets, begin),
        cmocka_unit_test_setup(histogram__of_nothing, begin),
        cmocka_unit_test(rounds__have_a_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
