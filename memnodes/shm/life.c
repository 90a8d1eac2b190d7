// SPDX-License-Identifier: Apache-2.0
//
// Death notices by the kernel ("robust" futexes) and scheduling of the thread that gives them; see
// life.h.
#include "life.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memory.h"

#define TIMER_SLACK_NS 1000u
#define SLICE_NS 100000u // the shortest that the kernel grants

// As sched_setattr(2) takes it; the C library has no declaration.
struct slice_attr {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};
static_assert(sizeof(struct slice_attr) == 48, "SCHED_ATTR_SIZE_VER0");

// Since Linux 6.12 an ordinary thread may ask for a short time slice: it gets no larger share of
// the processor, but it runs sooner when it wakes. Where processors are shared this is the
// difference between 0.1 ms and several ms to notice a death. Older kernels ignore or refuse it.
void tacit_shm_ask_for_slices(bool are_short)
{
    struct slice_attr attr = {.size = sizeof attr};
    if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) == 0 &&
        attr.policy == 0 /* SCHED_OTHER */) {
        attr.flags = 0;
        attr.runtime_ns = are_short ? SLICE_NS : 0; // 0: as other threads
        (void)syscall(SYS_sched_setattr, 0, &attr, 0);
    }
}

enum tacit_status tacit_shm_life_begin(struct tacit_shm_life *life, uint64_t *words,
                                       struct tacit_error *error)
{
    // The list's links stay private; the kernel finds a word at a fixed distance from its link.
    static_assert(sizeof life->links[0] == sizeof *words, "same stride");
    life->list.futex_offset = (long)((intptr_t)words - (intptr_t)life->links);
    for (unsigned i = 0; i < TACIT_NODES_MAX; i++) {
        life->links[i].next = i + 1 < TACIT_NODES_MAX ? &life->links[i + 1] : &life->list.list;
    }
    life->list.list.next = &life->links[0];
    size_t bytes;
    if (syscall(SYS_get_robust_list, 0, &life->former, &bytes) != 0 ||
        syscall(SYS_set_robust_list, &life->list, sizeof life->list) != 0) {
        return tacit_error_set(error, TACIT_EIO, errno, "set_robust_list failed: %s",
                               strerror(errno));
    }
    life->begun = true;
    uint32_t thread = (uint32_t)syscall(SYS_gettid);
    for (unsigned i = 0; i < TACIT_NODES_MAX; i++) {
        tacit_shm_store(&words[i], thread | FUTEX_WAITERS);
    }
    (void)prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
    tacit_shm_ask_for_slices(true);
    return TACIT_OK;
}

void tacit_shm_life_end(struct tacit_shm_life *life)
{
    if (life->begun) {
        (void)syscall(SYS_set_robust_list, life->former, sizeof life->list);
        life->begun = false;
    }
}
