// SPDX-License-Identifier: Apache-2.0
//
// Two processes on two cores; see pair.h.
#include "pair.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tacit/shm.h"
#include "tests/conformance/shm_node.h"

// Whether the host is a memory node proper or the replicas' provider in its place.
#ifndef PAIR_HOST_IS_MEMNODE
#define PAIR_HOST_IS_MEMNODE false
#endif
#define PATIENCE_NS UINT64_C(10000000000)

static struct shm_place place;
static struct shm_node_memory memory;
static cpu_set_t processors; // that this process may use, before it chose one

uint64_t pair_load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

void pair_store(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

uint64_t pair_now_ns(void)
{
    return tacit_shm_now_ns();
}

void pair_spin_ns(uint64_t ns)
{
    for (uint64_t end_ns = pair_now_ns() + ns; pair_now_ns() < end_ns;) {
        ;
    }
}

uint32_t pair_random(uint32_t *state, uint32_t bound)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % bound;
}

static bool run_on(unsigned number)
{
    cpu_set_t one;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &processors) && number-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            return sched_setaffinity(0, sizeof one, &one) == 0;
        }
    }
    return false;
}

static void side_open(struct pair *pair, unsigned name)
{
    struct tacit_shm_config config;
    struct tacit_error error = {.text = ""};
    shm_node_config(&config, &memory, &place, name, 1, 1);
    bool is_host = name == TACIT_NODE_MEMNODE;
    bool ok = is_host && PAIR_HOST_IS_MEMNODE
                  ? shm_memnode_open(&config, &pair->fabric, &error) == TACIT_OK
                  : tacit_shm_open(&config, &pair->fabric, &error) == TACIT_OK &&
                        tacit_shm_thread_attach(pair->fabric, &error) == TACIT_OK;
    if (!ok || !run_on(is_host ? 0 : 1)) {
        (void)fprintf(stderr, "node %u: %s\n", name, error.text);
        exit(1);
    }
    uint64_t end_ns = pair_now_ns() + PATIENCE_NS;
    for (bool is_up = false; !is_up;) {
        struct tacit_event event;
        is_up =
            pair->fabric->ops->poll(pair->fabric, &event, 1) == 1 && event.kind == TACIT_EVENT_UP;
        if (pair_now_ns() > end_ns) {
            (void)fprintf(stderr, "node %u: the other one never came up\n", name);
            exit(1);
        }
    }
    struct tacit_event rest[16]; // nobody sleeps while there are events
    while (pair->fabric->ops->poll(pair->fabric, rest, 16) > 0) {
        ;
    }
}

int pair_open(struct pair *pair, void (*writer)(struct pair *pair))
{
    if (CPU_COUNT(&processors) == 0) {
        (void)sched_getaffinity(0, sizeof processors, &processors);
    }
    if (CPU_COUNT(&processors) < 2) {
        (void)printf("skipped: needs two processors\n");
        return 77;
    }
    pair->shared =
        mmap(NULL, sizeof *pair->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (pair->shared == MAP_FAILED || !shm_place_open(&place)) {
        exit(1);
    }
    place.separate_users = false;
    pid_t parent = getpid();
    pair->writer = fork();
    if (pair->writer == 0) {
        shm_node_confine(&place, 0, parent);
        side_open(pair, 0);
        writer(pair);
        _exit(0);
    }
    side_open(pair, TACIT_NODE_MEMNODE);
    return 0;
}

void pair_close(struct pair *pair)
{
    (void)kill(pair->writer, SIGKILL);
    (void)waitpid(pair->writer, NULL, 0);
    if (PAIR_HOST_IS_MEMNODE) {
        shm_memnode_close();
    } else {
        tacit_shm_close(pair->fabric);
    }
    shm_place_close(&place);
    munmap(pair->shared, sizeof *pair->shared);
}
