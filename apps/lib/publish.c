// SPDX-License-Identifier: Apache-2.0
//
// See publish.h.
#include "publish.h"

#include <sched.h>
#include <string.h>

#define READ_TRIES 1000u

void tacit_publish(struct tacit_publisher *publisher, const struct tacit_published *value)
{
    uint64_t sequence = atomic_load_explicit(&publisher->sequence, memory_order_relaxed);
    const char *from = (const char *)value;
    atomic_store_explicit(&publisher->sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < TACIT_PUBLISHED_WORDS; i++) {
        uint64_t word;
        memcpy(&word, from + 8 * i, sizeof word);
        atomic_store_explicit(&publisher->words[i], word, memory_order_relaxed);
    }
    atomic_store_explicit(&publisher->sequence, sequence + 2, memory_order_release);
}

bool tacit_publish_read(struct tacit_publisher *publisher, struct tacit_published *value)
{
    char *to = (char *)value;
    for (unsigned tries = 0; tries < READ_TRIES; tries++) {
        uint64_t before = atomic_load_explicit(&publisher->sequence, memory_order_acquire);
        for (size_t i = 0; i < TACIT_PUBLISHED_WORDS; i++) {
            uint64_t word = atomic_load_explicit(&publisher->words[i], memory_order_relaxed);
            memcpy(to + 8 * i, &word, sizeof word);
        }
        atomic_thread_fence(memory_order_acquire);
        if (before % 2 == 0 &&
            atomic_load_explicit(&publisher->sequence, memory_order_relaxed) == before) {
            return true;
        }
        (void)sched_yield();
    }
    return false;
}
