// SPDX-License-Identifier: Apache-2.0
//
// Sleeping without losing a wake-up, and death notices by the kernel.
//
// Doorbell. A host announces sleep number s in a word that its peers read; a peer that wants to
// wake it raises a word of its own (its bell, in a region that it alone writes) and wakes whoever
// waits on it:
//
//   host (arm)   H1 loads all bells          peer (ring)   P1 its writes
//                H2 sleeping = s                           P2 full fence
//                H3 full fence                             P3 loads sleeping; 0: done
//                H4 polls everything                       P4 bell += 1
//   (sleep)      H5 waits while bells are as in H1         P5 wakes waiters of the bell
//
// If P3 loads 0 (or an older sleep's number), P2 came before H3 in the one order of full fences
// (else P3 would have seen H2), so H4 sees P1. If P3 loads s, then P4 comes after H2 and so after
// H1: the bell differs from what H1 loaded, and the kernel either refuses to wait (it compares
// under the lock that P5 takes) or has the host in its queue when P5 comes. A bell raised on behalf
// of an older sleep ends this one for nothing, or was raised before H1, and then its P1 is visible
// to H4 (P1 happens before P4, H1 reads what P4 wrote). Ringing twice for one sleep is of no use
// and left out: the first ring ends it, and the host's disarm stores 0 and makes a full fence
// before it polls, so by the first argument it sees what was written before the second one. Without
// P2 or H3 wake-ups are lost within seconds; a stress test shows it.
//
// Death. The protocol thread has the kernel keep a list of futex words (life.h), one for each
// possible watcher, in its host page.
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#define WORD_BYTES_4 2u // FUTEX_32 of futex_waitv(2)
// Own word, a bell of each replica and client, a mark of death of each replica and memory node.
#define WORDS_MAX (1u + TACIT_REPLICAS_MAX + TACIT_CLIENTS_MAX + TACIT_NODE_CLIENT)

// As in linux/futex.h, which older headers do not have.
struct wait_word {
    uint64_t value;
    uint64_t address;
    uint32_t flags;
    uint32_t reserved;
};
static_assert(sizeof(struct wait_word) == 24 && WORDS_MAX <= 128, "futex_waitv(2)");

struct tacit_shm_waiter {
    struct wait_word words[WORDS_MAX];
    uint32_t count;
    bool no_waitv;         // the kernel has none
    bool is_late;          // a death that poll() has not come to yet: do not sleep
    uint64_t link_changes; // as arm() saw them
};

#ifdef TACIT_TEST_HOOKS
bool tacit_shm_test_timed_out;
#endif

size_t tacit_shm_waiter_size(void)
{
    return sizeof(struct tacit_shm_waiter);
}

void tacit_shm_futex_wake(const uint32_t *word, bool shared)
{
    (void)syscall(SYS_futex, word, shared ? FUTEX_WAKE : FUTEX_WAKE_PRIVATE, 0x7fffffff, NULL, NULL,
                  0);
}

bool tacit_shm_link_is_dead(const struct tacit_shm_link *link)
{
    // The kernel marks one word after the other, and may be interrupted between two by whoever it
    // woke with the first: a candidate, which may need this host to know as well.
    uint32_t marks = __atomic_load_n(link->death, __ATOMIC_ACQUIRE) |
                     __atomic_load_n(link->first_death, __ATOMIC_ACQUIRE);
    return (marks & FUTEX_OWNER_DIED) != 0;
}

// ---- death ----

enum tacit_status tacit_shm_thread_attach(struct tacit_fabric *fabric, struct tacit_error *error)
{
    struct tacit_shm *shm = tacit_shm_of(fabric);
    assert(shm->attached_tid == 0);
    enum tacit_status status = tacit_shm_life_begin(
        &shm->life, tacit_shm_host_word(&shm->own[0], TACIT_SHM_HOST_DEATHS), error);
    if (status == TACIT_OK) {
        shm->attached_tid = (int)syscall(SYS_gettid);
    }
    return status;
}

void tacit_shm_thread_detach(struct tacit_shm *shm)
{
    assert(shm->attached_tid == 0 || shm->attached_tid == (int)syscall(SYS_gettid));
    tacit_shm_life_end(&shm->life);
    shm->attached_tid = 0;
}

void tacit_shm_wake(struct tacit_fabric *fabric)
{
    struct tacit_shm *shm = tacit_shm_of(fabric);
    __atomic_fetch_add(&shm->wake_word, 1, __ATOMIC_SEQ_CST);
    tacit_shm_futex_wake(&shm->wake_word, false);
}

// ---- sleep ----

static void word_add(struct tacit_shm_waiter *waiter, const uint32_t *word, uint32_t value,
                     bool shared)
{
    assert(waiter->count < WORDS_MAX);
    waiter->words[waiter->count++] = (struct wait_word){
        .value = value,
        .address = (uint64_t)(uintptr_t)word,
        .flags = WORD_BYTES_4 | (shared ? 0 : FUTEX_PRIVATE_FLAG),
    };
}

void tacit_shm_arm(struct tacit_fabric *fabric)
{
    struct tacit_shm *shm = tacit_shm_of(fabric);
    struct tacit_shm_waiter *waiter = shm->waiter;
    waiter->count = 0;
    waiter->is_late = false;
    waiter->link_changes = shm->link_changes;
    // H1. Our own word first: a notice of the control thread is such a bell as well.
    word_add(waiter, &shm->wake_word, __atomic_load_n(&shm->wake_word, __ATOMIC_ACQUIRE), false);
    for (uint32_t i = 0; i < shm->up_count; i++) {
        const struct tacit_shm_link *link = &shm->links[shm->up[i]];
        if (link->own_bell != NULL) {
            word_add(waiter, link->own_bell, __atomic_load_n(link->own_bell, __ATOMIC_ACQUIRE),
                     true);
        }
        if (shm->up[i] < TACIT_NODE_CLIENT) {
            uint32_t mark = __atomic_load_n(link->death, __ATOMIC_ACQUIRE);
            waiter->is_late = waiter->is_late || tacit_shm_link_is_dead(link);
            word_add(waiter, link->death, mark, true);
        }
    }
    uint64_t *sleeping = tacit_shm_host_word(&shm->own[0], TACIT_SHM_HOST_SLEEPING);
    tacit_shm_store(sleeping, ++shm->sleeps); // H2
    TACIT_SHM_FULL_FENCE();                   // H3
}

void tacit_shm_disarm(struct tacit_fabric *fabric)
{
    struct tacit_shm *shm = tacit_shm_of(fabric);
    tacit_shm_store(tacit_shm_host_word(&shm->own[0], TACIT_SHM_HOST_SLEEPING), 0);
    TACIT_SHM_FULL_FENCE();
}

static bool words_changed(const struct tacit_shm_waiter *waiter)
{
    for (uint32_t i = 0; i < waiter->count; i++) {
        const uint32_t *word = (const uint32_t *)(uintptr_t)waiter->words[i].address;
        if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != (uint32_t)waiter->words[i].value) {
            return true;
        }
    }
    return false;
}

// Kernels before 5.16: waits on the own word only, and looks at the others in between.
static void sleep_in_slices(struct tacit_shm *shm, tacit_time_ns_t until_ns)
{
    const struct tacit_shm_waiter *waiter = shm->waiter;
    tacit_time_ns_t now_ns = tacit_shm_now_ns();
    while (now_ns < until_ns && !words_changed(waiter)) {
        uint64_t slice_ns = until_ns - now_ns;
        if (slice_ns > shm->config.sleep_slice_ns) {
            slice_ns = shm->config.sleep_slice_ns;
        }
        struct timespec slice = {.tv_sec = (time_t)(slice_ns / 1000000000u),
                                 .tv_nsec = (long)(slice_ns % 1000000000u)};
        if (syscall(SYS_futex, &shm->wake_word, FUTEX_WAIT_PRIVATE,
                    (uint32_t)waiter->words[0].value, &slice, NULL, 0) == 0 ||
            errno == EINTR) {
            return;
        }
        now_ns = tacit_shm_now_ns();
    }
}

// The same moment on the clock that the kernel waits by, which stands still while suspended.
static struct timespec monotonic_of(tacit_time_ns_t until_ns)
{
    tacit_time_ns_t now_ns = tacit_shm_now_ns();
    uint64_t rest_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    uint64_t ns = (uint64_t)time.tv_nsec + rest_ns % 1000000000u;
    time.tv_sec += (time_t)(rest_ns / 1000000000u + ns / 1000000000u);
    time.tv_nsec = (long)(ns % 1000000000u);
    return time;
}

void tacit_shm_sleep(struct tacit_fabric *fabric, tacit_time_ns_t until_ns)
{
    struct tacit_shm *shm = tacit_shm_of(fabric);
    struct tacit_shm_waiter *waiter = shm->waiter;
    shm->has_slept = true;
    if (waiter->is_late || waiter->link_changes != shm->link_changes) {
        return; // a host that came up since has a bell that is not among our words
    }
    if (!waiter->no_waitv) {
        struct timespec until = monotonic_of(until_ns);
        long result =
            syscall(SYS_futex_waitv, waiter->words, waiter->count, 0, &until, CLOCK_MONOTONIC);
#ifdef TACIT_TEST_HOOKS
        tacit_shm_test_timed_out = result < 0 && errno == ETIMEDOUT;
#endif
        if (result >= 0 || errno != ENOSYS) {
            return; // woken, changed before, time over or a signal: the caller looks
        }
        waiter->no_waitv = true;
    }
    sleep_in_slices(shm, until_ns);
}
