// SPDX-License-Identifier: Apache-2.0
//
// The generation check of the shared-memory provider, on two real cores. A writer appends as fast
// as it can; the host takes the permission away and, in the moment when that is complete, looks at
// the log. A write that the writer was told to be OK and that the host does not see is a lost
// decision.
//
//   generation_stress_fenced     the provider as it is: no such write
//   generation_stress_unfenced   without its fences: there must be one within 5 s, else this test
//   is blind
//
// And: a writer that is stopped (SIGSTOP) between its stores and the check, while the permission
// moves on, is DENIED when it continues.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pair.h"
#include "tacit/layout.h"

#ifdef TACIT_TEST_NO_FENCE
#define MUST_FAIL true
#else
#define MUST_FAIL false
#endif
#define TIME_NS UINT64_C(5000000000)
#define WORDS 4u
#define STOPS 200u

enum { GENERATION = 0, STOP_NEXT = 1 };         // to_writer
enum { FINISHED = 0, LAST_OK = 1, DENIED = 2 }; // to_host

extern void (*tacit_shm_test_before_check)(void);
static struct pair *writing;

static void stop_once(void)
{
    if (pair_load(&writing->shared->to_writer[STOP_NEXT]) != 0) {
        (void)raise(SIGSTOP);
    }
}

static struct tacit_region_key own_log(void)
{
    return (struct tacit_region_key){
        .region_class = TACIT_REGION_LOG, .owner = 0, .incarnation = 1};
}

// Numbers grow over all generations, so an old value is never mistaken for a new one.
static void write_until_denied(struct pair *pair, const struct tacit_op *given, uint64_t *number)
{
    uint64_t words[WORDS], last_ok = 0;
    for (;;) {
        struct tacit_op op = *given;
        struct tacit_event event;
        ++*number;
        for (unsigned i = 0; i < WORDS; i++) {
            words[i] = *number;
        }
        op.local = words;
        if (!pair->fabric->ops->post(pair->fabric, &op)) {
            exit(1);
        }
        if (pair->fabric->ops->poll(pair->fabric, &event, 1) != 1 ||
            event.kind != TACIT_EVENT_COMPLETION) {
            exit(1);
        }
        if (event.status != TACIT_COMPLETION_OK) {
            break;
        }
        last_ok = *number;
    }
    pair_store(&pair->shared->to_host[LAST_OK], last_ok);
    pair_store(&pair->shared->to_host[FINISHED], given->generation);
}

static void writer(struct pair *pair)
{
    uint64_t number = 0, done = 0;
    writing = pair;
    tacit_shm_test_before_check = stop_once;
    struct tacit_op op = {.kind = TACIT_OP_WRITE,
                          .flags = TACIT_OP_AS_HOLDER,
                          .host = TACIT_NODE_MEMNODE,
                          .bytes = 8 * WORDS,
                          .offset = TACIT_LOG_ENTRIES};
    op.region = pair->fabric->ops->region(pair->fabric, TACIT_NODE_MEMNODE, own_log());
    if (op.region < 0) {
        exit(1);
    }
    for (;;) {
        uint64_t generation = pair_load(&pair->shared->to_writer[GENERATION]);
        if (generation == done) {
            continue;
        }
        op.generation = generation;
        write_until_denied(pair, &op, &number);
        done = generation;
    }
}

static void drain(struct pair *pair)
{
    struct tacit_event events[8];
    while (pair->fabric->ops->poll(pair->fabric, events, 8) > 0) {
        ;
    }
}

// Waits for the writer to be through with a generation; false: it never is.
static bool finished(struct pair *pair, uint64_t generation)
{
    uint64_t end_ns = pair_now_ns() + TIME_NS;
    while (pair_load(&pair->shared->to_host[FINISHED]) != generation) {
        if (pair_now_ns() > end_ns) {
            return false;
        }
    }
    return true;
}

// True if a write was lost.
static bool race_once(struct pair *pair, const uint64_t *log, uint64_t *generation, uint32_t *seed)
{
    const struct tacit_fabric_ops *ops = pair->fabric->ops;
    uint64_t words[WORDS];
    uint64_t granted = ++*generation;
    ops->grant(pair->fabric, 0, 1, granted);
    pair_store(&pair->shared->to_writer[GENERATION], granted);
    pair_spin_ns(500 + pair_random(seed, 3000));
    ops->revoke(pair->fabric, ++*generation);
    for (unsigned i = 0; i < WORDS; i++) {
        words[i] = __atomic_load_n(&log[i], __ATOMIC_RELAXED);
    }
    drain(pair);
    if (!finished(pair, granted)) {
        (void)fprintf(stderr, "the writer was never denied\n");
        exit(1);
    }
    uint64_t last_ok = pair_load(&pair->shared->to_host[LAST_OK]);
    for (unsigned i = 0; i < WORDS; i++) {
        if (words[i] < last_ok) {
            return true;
        }
    }
    return false;
}

// Stops the writer between its stores and the check, moves the permission on, lets it continue.
static bool stop_rounds(struct pair *pair, uint64_t *generation)
{
    const struct tacit_fabric_ops *ops = pair->fabric->ops;
    for (unsigned round = 0; round < STOPS; round++) {
        uint64_t granted = ++*generation;
        pair_store(&pair->shared->to_writer[STOP_NEXT], 1);
        ops->grant(pair->fabric, 0, 1, granted);
        pair_store(&pair->shared->to_writer[GENERATION], granted);
        int status;
        if (waitpid(pair->writer, &status, WUNTRACED) != pair->writer || !WIFSTOPPED(status)) {
            return false;
        }
        pair_store(&pair->shared->to_writer[STOP_NEXT], 0);
        ops->revoke(pair->fabric, ++*generation);
        ops->grant(pair->fabric, 1, 1, ++*generation);
        drain(pair);
        (void)kill(pair->writer, SIGCONT);
        if (!finished(pair, granted) || pair_load(&pair->shared->to_host[LAST_OK]) != 0) {
            (void)fprintf(stderr, "round %u: a write of a stopped former holder was OK\n", round);
            return false;
        }
        ops->revoke(pair->fabric, ++*generation);
        drain(pair);
    }
    return true;
}

int main(void)
{
    struct pair pair = {0};
    int status = pair_open(&pair, writer);
    if (status != 0) {
        return status;
    }
    size_t bytes;
    const uint64_t *log = pair.fabric->ops->local(pair.fabric, own_log(), &bytes);
    uint64_t generation = 0, rounds = 0, lost = 0;
    uint32_t seed = 2463534242u;
    if (log == NULL) {
        return 1;
    }
    bool stops_ok = MUST_FAIL || stop_rounds(&pair, &generation);
    uint64_t from_ns = pair_now_ns(), end_ns = from_ns + TIME_NS;
    for (; stops_ok && pair_now_ns() < end_ns && !(MUST_FAIL && lost > 0); rounds++) {
        lost += race_once(&pair, log + TACIT_LOG_ENTRIES / 8, &generation, &seed);
    }
    (void)printf(
        "%s: %u stopped writers, %llu revocations in %llu ms: %llu lost a write that was OK\n",
        MUST_FAIL ? "without fences" : "with fences", MUST_FAIL ? 0 : STOPS,
        (unsigned long long)rounds, (unsigned long long)(pair_now_ns() - from_ns) / 1000000,
        (unsigned long long)lost);
    pair_close(&pair);
    if (MUST_FAIL && lost == 0) {
        (void)fprintf(stderr, "the missing fence was not noticed: this test is blind here\n");
    }
    return stops_ok && (lost > 0) == MUST_FAIL && rounds > 0 ? 0 : 1;
}
