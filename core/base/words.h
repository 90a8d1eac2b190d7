// SPDX-License-Identifier: Apache-2.0
//
// Access to memory that another process writes or reads at the same time: whole aligned 8-byte
// words by relaxed atomics, never memcpy (which may split a word), and bump allocation of caller's
// memory.
#ifndef TACIT_BASE_WORDS_H
#define TACIT_BASE_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "assert.h"

static inline uint64_t tacit_word_load(const void *memory, size_t offset)
{
    return __atomic_load_n((const uint64_t *)((const char *)memory + offset), __ATOMIC_ACQUIRE);
}

static inline void tacit_word_store(void *memory, size_t offset, uint64_t value)
{
    __atomic_store_n((uint64_t *)((char *)memory + offset), value, __ATOMIC_RELEASE);
}

// Copies out of shared memory into private memory. bytes is a multiple of 8.
static inline void tacit_words_in(void *private_copy, const void *shared, size_t bytes)
{
    uint64_t *to = private_copy;
    const uint64_t *from = shared;
    for (size_t i = 0; i < bytes / 8; i++) {
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
}

static inline size_t tacit_round_up(size_t value, size_t unit)
{
    return (value + unit - 1) / unit * unit;
}

// One-shot bump allocator over caller's memory. With base NULL it only measures, so that the size
// and the layout of an object come from the same code.
struct tacit_bump {
    char *base;
    size_t used;
};

static inline void *tacit_bump_take(struct tacit_bump *bump, size_t bytes, size_t align)
{
    bump->used = tacit_round_up(bump->used, align);
    void *at = bump->base == NULL ? NULL : bump->base + bump->used;
    bump->used += bytes;
    return at;
}

#endif
