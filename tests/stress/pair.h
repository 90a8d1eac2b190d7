// SPDX-License-Identifier: Apache-2.0
//
// Two processes on two cores for the stress tests: a host (memory node) in the calling process and
// a writer (replica 0) in a child, connected through the shared-memory provider, with a page of
// their own to coordinate. No case here waits for ever: the parent kills the child, the child dies
// with the parent.
#ifndef TACIT_TESTS_STRESS_PAIR_H
#define TACIT_TESTS_STRESS_PAIR_H

#include <sys/types.h>

#include "tacit/fabric.h"

// Written by one side each, read by the other.
struct pair_shared {
    _Alignas(64) uint64_t to_writer[8];
    _Alignas(64) uint64_t to_host[8];
};

struct pair {
    struct pair_shared *shared;
    struct tacit_fabric *fabric; // of the calling process
    pid_t writer;                // host side
};

// Sets both sides up and runs `writer` in the child, which never returns from it. 77 (with a
// message) if there are fewer than two processors, 0 when the parent may go on.
int pair_open(struct pair *pair, void (*writer)(struct pair *pair));
void pair_close(struct pair *pair);

uint64_t pair_load(const uint64_t *word);
void pair_store(uint64_t *word, uint64_t value);
uint64_t pair_now_ns(void);
// Busy for about that long.
void pair_spin_ns(uint64_t ns);
uint32_t pair_random(uint32_t *state, uint32_t bound);

#endif
