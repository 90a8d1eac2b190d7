// SPDX-License-Identifier: Apache-2.0
//
// See histogram.h.
#include "histogram.h"

static uint32_t bucket_of(uint64_t ns)
{
    if (ns < 1u << HISTOGRAM_BITS) {
        return (uint32_t)ns;
    }
    uint32_t octave = 63u - (uint32_t)__builtin_clzll(ns) - HISTOGRAM_BITS;
    return (octave + 1) << HISTOGRAM_BITS | (uint32_t)(ns >> octave & ((1u << HISTOGRAM_BITS) - 1));
}

// The first buckets are of one ns each.
static uint64_t bucket_begin(uint32_t bucket)
{
    uint32_t octave = bucket >> HISTOGRAM_BITS;
    uint64_t low = bucket & ((1u << HISTOGRAM_BITS) - 1);
    return octave == 0 ? low : (low | 1u << HISTOGRAM_BITS) << (octave - 1);
}

static uint64_t bucket_width(uint32_t bucket)
{
    uint32_t octave = bucket >> HISTOGRAM_BITS;
    return octave == 0 ? 0 : 1ull << (octave - 1);
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
    _Atomic uint32_t *count = &histogram->count[bucket_of(ns)];
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    if (ns > atomic_load_explicit(&histogram->max_ns, memory_order_relaxed)) {
        atomic_store_explicit(&histogram->max_ns, ns, memory_order_relaxed);
    }
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint32_t more = atomic_load_explicit(&from->count[i], memory_order_relaxed);
        atomic_store_explicit(&to->count[i],
                              atomic_load_explicit(&to->count[i], memory_order_relaxed) + more,
                              memory_order_relaxed);
    }
    uint64_t max_ns = atomic_load_explicit(&from->max_ns, memory_order_relaxed);
    if (max_ns > atomic_load_explicit(&to->max_ns, memory_order_relaxed)) {
        atomic_store_explicit(&to->max_ns, max_ns, memory_order_relaxed);
    }
}

void histogram_subtract(struct histogram *from, const struct histogram *earlier)
{
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint32_t less = atomic_load_explicit(&earlier->count[i], memory_order_relaxed);
        atomic_store_explicit(&from->count[i],
                              atomic_load_explicit(&from->count[i], memory_order_relaxed) - less,
                              memory_order_relaxed);
    }
}

uint64_t histogram_total(const struct histogram *histogram)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        total += atomic_load_explicit(&histogram->count[i], memory_order_relaxed);
    }
    return total;
}

uint64_t histogram_quantile(const struct histogram *histogram, double fraction)
{
    uint64_t total = histogram_total(histogram);
    uint64_t max_ns = atomic_load_explicit(&histogram->max_ns, memory_order_relaxed);
    uint64_t before = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t here = atomic_load_explicit(&histogram->count[i], memory_order_relaxed);
        double part = fraction * (double)total - (double)before;
        if (here != 0 && part <= (double)here) {
            uint64_t begin = bucket_begin(i);
            uint64_t end = begin + bucket_width(i);
            end = end < max_ns ? end : max_ns;
            end = end > begin ? end : begin; // counted, and not the maximum yet
            part = part < 0 ? 0 : part / (double)here;
            return begin + (uint64_t)(part * (double)(end - begin));
        }
        before += here;
    }
    return 0;
}
