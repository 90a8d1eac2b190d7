// SPDX-License-Identifier: Apache-2.0
//
// The thread that its peers watch: its death is told to them by the kernel, and it runs soon after
// it woke.
#ifndef TACIT_MEMNODES_SHM_LIFE_H
#define TACIT_MEMNODES_SHM_LIFE_H

#include <linux/futex.h>

#include "tacit/types.h"

// The kernel's list of the words of one thread. Stays where it is from begin to end.
struct tacit_shm_life {
    bool begun;
    struct robust_list_head *former;
    struct robust_list_head list;
    struct robust_list links[TACIT_NODES_MAX];
};

// For the calling thread: when it ends, in whatever way, the kernel sets FUTEX_OWNER_DIED in each
// of the TACIT_NODES_MAX `words` (the lower half of each) and wakes one waiter, before it takes the
// process' memory apart. Also makes the thread's timers precise and its time slices short.
enum tacit_status tacit_shm_life_begin(struct tacit_shm_life *life, uint64_t *words,
                                       struct tacit_error *error);
// The same thread: no longer. Nothing happens if it was not begun.
void tacit_shm_life_end(struct tacit_shm_life *life);

// For the calling thread: whether its time slices are short. It has no larger share of a processor
// for that, but runs sooner when it wakes.
void tacit_shm_ask_for_slices(bool are_short);

#endif
