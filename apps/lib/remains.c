// SPDX-License-Identifier: Apache-2.0
//
// See remains.h. The keeper shares memory, thread-local storage included, and nothing else: so it
// calls the kernel only, and in ways that set errno when something is wrong beyond repair.
#include "remains.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_BYTES 16384u

// Sanitizers keep their own notes of a thread's calls; the keeper would write those of main().
#if defined(__clang__)
#define PLAIN __attribute__((disable_sanitizer_instrumentation))
#else
#define PLAIN __attribute__((no_sanitize("address", "thread", "undefined")))
#endif

static _Alignas(64) char stack[STACK_BYTES];
static int ends[2]; // of a pipe: the keeper's, the process's

// Waits until nobody holds the other end: until every thread has let go of the files, which each
// does after it has let go of the memory. No signal comes here.
PLAIN static int keep(void *unused)
{
    (void)unused;
    unsigned end = (unsigned)ends[0];
    char byte;
    (void)syscall(SYS_prctl, PR_SET_NAME, "tacit-remains", 0L, 0L, 0L);
    if (end > 0 && syscall(SYS_close_range, 0U, end - 1, 0U) != 0) {
        return 1;
    }
    if (syscall(SYS_close_range, end + 1, UINT_MAX, 0U) == 0) {
        (void)syscall(SYS_read, (int)end, &byte, sizeof byte);
    }
    return 0;
}

pid_t tacit_remains_keep(void)
{
    sigset_t all;
    sigset_t before;
    const struct sched_param none = {0};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -1;
    }
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t keeper = clone(keep, stack + sizeof stack, CLONE_VM, NULL);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    (void)close(ends[0]);
    if (keeper < 0) {
        (void)close(ends[1]);
        return -1;
    }
    (void)sched_setscheduler(keeper, SCHED_IDLE, &none);
    return keeper;
}
