// SPDX-License-Identifier: Apache-2.0
//
// See bench_rounds.h.
#include "bench_rounds.h"

#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define PACE_TURNS 2000000u
#define SETTLE_NS 30000000u

void bench_figure_add(struct bench_figure *figure, double value)
{
    if (figure->count < BENCH_ROUNDS_MAX) {
        figure->values[figure->count++] = value;
    }
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return a < b ? -1 : a > b;
}

double bench_quantile(double *values, size_t count, double part)
{
    if (count == 0) {
        return 0;
    }
    qsort(values, count, sizeof values[0], by_value);
    double place = part * (double)(count - 1);
    size_t below = (size_t)place;
    size_t above = (double)below < place ? below + 1 : below;
    return (values[below] + values[above]) / 2;
}

static double at(const struct bench_figure *figure, double part)
{
    double sorted[BENCH_ROUNDS_MAX];
    memcpy(sorted, figure->values, figure->count * sizeof sorted[0]);
    return bench_quantile(sorted, figure->count, part);
}

double bench_median(const struct bench_figure *figure)
{
    return at(figure, 0.5);
}

double bench_lowest(const struct bench_figure *figure)
{
    return at(figure, 0);
}

double bench_highest(const struct bench_figure *figure)
{
    return at(figure, 1);
}

void bench_figure_ratio(struct bench_figure *ratio, const struct bench_figure *a,
                        const struct bench_figure *b)
{
    for (unsigned r = 0; r < a->count && r < b->count; r++) {
        bench_figure_add(ratio, b->values[r] > 0 ? a->values[r] / b->values[r] : 0);
    }
}

json_t *bench_figure_json(const struct bench_figure *figure)
{
    json_t *object = json_object();
    json_t *rounds = json_array();
    for (unsigned i = 0; i < figure->count; i++) {
        (void)json_array_append_new(rounds, json_real(figure->values[i]));
    }
    (void)json_object_set_new(object, "median", json_real(bench_median(figure)));
    (void)json_object_set_new(object, "low", json_real(bench_lowest(figure)));
    (void)json_object_set_new(object, "high", json_real(bench_highest(figure)));
    (void)json_object_set_new(object, "rounds", rounds);
    return object;
}

uint64_t bench_pace_ns(void)
{
    volatile uint64_t sink;
    uint64_t z = 1;
    cli_sleep_ns(SETTLE_NS); // whoever has nothing to do any more is asleep then
    uint64_t start_ns = cli_now_ns();
    for (uint32_t i = 0; i < PACE_TURNS; i++) {
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu + i;
    }
    sink = z;
    (void)sink;
    return cli_now_ns() - start_ns;
}

bool bench_pace_is_fair(uint64_t before_ns, uint64_t after_ns, uint64_t *best_ns)
{
    uint64_t better_ns = before_ns < after_ns ? before_ns : after_ns;
    uint64_t worse_ns = before_ns < after_ns ? after_ns : before_ns;
    *best_ns = *best_ns == 0 || better_ns < *best_ns ? better_ns : *best_ns;
    return worse_ns <= *best_ns + *best_ns / 5;
}
