// SPDX-License-Identifier: Apache-2.0
//
// The event queue of virtual time: a binary heap of fixed capacity, ordered by time and then by the
// order of insertion, so that equal times never depend on the heap's shape. Inline: it is the
// simulator's hottest code.
#ifndef TACIT_TESTS_SIM_HEAP_H
#define TACIT_TESTS_SIM_HEAP_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define SIM_HEAP_MAX 16384u

struct sim_timer {
    uint64_t time_ns;
    uint64_t order;
    uint8_t kind;
    uint8_t a, b, c;  // node slots and the like, as `kind` says
    uint32_t version; // tells a live timer from one that was overtaken
};

struct sim_heap {
    struct sim_timer timer[SIM_HEAP_MAX];
    uint32_t count;
    uint64_t order;
};

static inline bool sim_heap_before(const struct sim_timer *left, const struct sim_timer *right)
{
    return left->time_ns != right->time_ns ? left->time_ns < right->time_ns
                                           : left->order < right->order;
}

static inline void sim_heap_push(struct sim_heap *heap, struct sim_timer timer)
{
    assert(heap->count < SIM_HEAP_MAX);
    timer.order = heap->order++;
    uint32_t at = heap->count++;
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;
        if (!sim_heap_before(&timer, &heap->timer[parent])) {
            break;
        }
        heap->timer[at] = heap->timer[parent];
        at = parent;
    }
    heap->timer[at] = timer;
}

static inline struct sim_timer sim_heap_pop(struct sim_heap *heap)
{
    assert(heap->count > 0);
    struct sim_timer first = heap->timer[0];
    struct sim_timer last = heap->timer[--heap->count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count &&
            sim_heap_before(&heap->timer[child + 1], &heap->timer[child])) {
            child++;
        }
        if (!sim_heap_before(&heap->timer[child], &last)) {
            break;
        }
        heap->timer[at] = heap->timer[child];
        at = child;
    }
    heap->timer[at] = last;
    return first;
}

#endif
