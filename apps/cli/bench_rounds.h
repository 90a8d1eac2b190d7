// SPDX-License-Identifier: Apache-2.0
//
// Figures that are measured in several rounds: what is measured swings with the machine's
// neighbours, so that a figure is a median with its spread, and a round in which the machine itself
// was slow does not count.
#ifndef TACIT_APPS_CLI_BENCH_ROUNDS_H
#define TACIT_APPS_CLI_BENCH_ROUNDS_H

#include <jansson.h>
#include <stddef.h>

#include "tacit/types.h"

#define BENCH_ROUNDS_MAX 64u

struct bench_figure {
    double values[BENCH_ROUNDS_MAX]; // of each round
    unsigned count;
};

// Value at `part` (0 lowest, 1 highest) of `count` values, which are sorted here; between two,
// their mean. 0 when there is none.
double bench_quantile(double *values, size_t count, double part);

// More than BENCH_ROUNDS_MAX are dropped.
void bench_figure_add(struct bench_figure *figure, double value);
// 0 when there is none.
double bench_median(const struct bench_figure *figure);
double bench_lowest(const struct bench_figure *figure);
double bench_highest(const struct bench_figure *figure);
// Adds a by b to `ratio` for each round that both have: what the machine did, it did to both.
void bench_figure_ratio(struct bench_figure *ratio, const struct bench_figure *a,
                        const struct bench_figure *b);
// {"median": .., "low": .., "high": .., "rounds": [..]}
json_t *bench_figure_json(const struct bench_figure *figure);

// How long a fixed piece of arithmetic takes now, in ns (a few milliseconds).
uint64_t bench_pace_ns(void);
// Whether a machine that had this pace before and after a round was as fast as it can be, within a
// fifth; `best_ns` is the best pace so far and is kept here.
bool bench_pace_is_fair(uint64_t before_ns, uint64_t after_ns, uint64_t *best_ns);

#endif
