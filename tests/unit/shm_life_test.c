// SPDX-License-Identifier: Apache-2.0
//
// Marks of death in shared memory: the kernel sets that of watcher 0 first, and every watcher looks
// at it beside its own. The thread that dies may be interrupted between two marks.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memnodes/shm/internal.h"

#define ROUNDS 50

static uint64_t *words; // shared with the child

static bool is_marked(unsigned watcher)
{
    return (__atomic_load_n(&words[watcher], __ATOMIC_ACQUIRE) & FUTEX_OWNER_DIED) != 0;
}

static _Noreturn void live(void)
{
    static struct tacit_shm_life life;
    struct tacit_error error;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (tacit_shm_life_begin(&life, words, &error) != TACIT_OK) {
        _exit(1);
    }
    for (;;) {
        (void)pause();
    }
}

static void first_mark__comes_first(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned watcher = 1 + round % (TACIT_NODES_MAX - 1);
        for (unsigned i = 0; i < TACIT_NODES_MAX; i++) {
            words[i] = 0;
        }
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            live();
        }
        while (__atomic_load_n(&words[TACIT_NODES_MAX - 1], __ATOMIC_ACQUIRE) == 0) {
            (void)usleep(100); // it has not begun
        }
        assert_false(is_marked(0));
        assert_int_equal(kill(child, SIGKILL), 0);
        while (!is_marked(watcher)) {
        }
        assert_true(is_marked(0));
        assert_int_equal(waitpid(child, NULL, 0), child);
        for (unsigned i = 0; i < TACIT_NODES_MAX; i++) {
            assert_true(is_marked(i));
        }
    }
}

static void one_mark__is_enough(void **state)
{
    (void)state;
    const uint32_t none = FUTEX_WAITERS | 7u;
    const uint32_t dead = FUTEX_WAITERS | FUTEX_OWNER_DIED;
    struct tacit_shm_link link = {.death = &none, .first_death = &none};
    assert_false(tacit_shm_link_is_dead(&link));
    link.first_death = &dead; // its kernel has not come to ours yet
    assert_true(tacit_shm_link_is_dead(&link));
    link = (struct tacit_shm_link){.death = &dead, .first_death = &none};
    assert_true(tacit_shm_link_is_dead(&link));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_mark__comes_first),
        cmocka_unit_test(one_mark__is_enough),
    };
    words = mmap(NULL, TACIT_NODES_MAX * sizeof *words, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return words == MAP_FAILED ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
