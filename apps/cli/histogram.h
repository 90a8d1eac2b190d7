// SPDX-License-Identifier: Apache-2.0
//
// A histogram of durations with 64 buckets an octave (1.6 % wide), which one thread fills while
// another looks.
#ifndef TACIT_APPS_CLI_HISTOGRAM_H
#define TACIT_APPS_CLI_HISTOGRAM_H

#include <stdatomic.h>

#include "tacit/types.h"

#define HISTOGRAM_BITS 6u
#define HISTOGRAM_BUCKETS ((64u - HISTOGRAM_BITS + 1u) << HISTOGRAM_BITS)

struct histogram {
    _Atomic uint32_t count[HISTOGRAM_BUCKETS];
    _Atomic uint64_t max_ns;
};

// One writer.
void histogram_add(struct histogram *histogram, uint64_t ns);
// Adds `from` to `to`, which belongs to the caller.
void histogram_merge(struct histogram *to, const struct histogram *from);
// Takes an earlier state of a histogram from a later one.
void histogram_subtract(struct histogram *from, const struct histogram *earlier);
uint64_t histogram_total(const struct histogram *histogram);
// Duration that `fraction` of all are not above, as if those of a bucket were spread evenly over
// it; 0 when there are none.
uint64_t histogram_quantile(const struct histogram *histogram, double fraction);

#endif
