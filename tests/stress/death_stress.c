// SPDX-License-Identifier: Apache-2.0
//
// The death notice of the shared-memory provider: a host that sleeps learns that a peer was killed
// before the kernel has taken the dead process' memory apart, however large that was. (The socket
// hangs up only after that.) Prints the times, from SIGKILL to the event.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pair.h"

#define ROUNDS 15u
#define MEMORY_BYTES ((size_t)256 << 20)
#define LIMIT_NS UINT64_C(10000000) // of the median; the hang-up alone takes about 30 ms

enum { READY = 0 }; // to_host

static void victim(struct pair *pair)
{
    void *memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) {
        exit(1);
    }
    pair_store(&pair->shared->to_host[READY], 1);
    for (;;) {
        (void)pause();
    }
}

// Kills the child while this process sleeps; false if the death was not told, or not for certain.
static bool kill_once(struct pair *pair, uint64_t *took_ns)
{
    const struct tacit_fabric_ops *ops = pair->fabric->ops;
    uint64_t end_ns = pair_now_ns() + UINT64_C(5000000000);
    while (pair_load(&pair->shared->to_host[READY]) == 0 && pair_now_ns() < end_ns) {
        (void)usleep(1000);
    }
    struct tacit_event event = {0};
    pid_t killer = fork(); // the fabric's thread is not in this child, and it uses nothing of it
    if (killer == 0) {
        (void)usleep(20000);
        pair_store(&pair->shared->to_host[READY], pair_now_ns());
        (void)kill(pair->writer, SIGKILL);
        _exit(0);
    }
    while (pair_now_ns() < end_ns && event.kind != TACIT_EVENT_DOWN) {
        ops->arm(pair->fabric);
        if (ops->poll(pair->fabric, &event, 1) == 0) {
            ops->sleep(pair->fabric, end_ns);
        }
        ops->disarm(pair->fabric);
    }
    *took_ns = pair_now_ns() - pair_load(&pair->shared->to_host[READY]);
    (void)waitpid(killer, NULL, 0);
    return event.kind == TACIT_EVENT_DOWN && event.certain;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    uint64_t took_ns[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct pair pair = {0};
        int status = pair_open(&pair, victim);
        if (status != 0) {
            return status;
        }
        bool ok = kill_once(&pair, &took_ns[i]);
        pair_close(&pair);
        if (!ok) {
            (void)fprintf(stderr, "round %u: no DOWN, or not certain\n", i);
            return 1;
        }
    }
    qsort(took_ns, ROUNDS, sizeof took_ns[0], by_value);
    (void)printf(
        "from SIGKILL (%zu MiB touched) to DOWN of a sleeping host: median %llu us, largest "
        "%llu us\n",
        MEMORY_BYTES >> 20, (unsigned long long)took_ns[ROUNDS / 2] / 1000,
        (unsigned long long)took_ns[ROUNDS - 1] / 1000);
    return took_ns[ROUNDS / 2] <= LIMIT_NS ? 0 : 1;
}
