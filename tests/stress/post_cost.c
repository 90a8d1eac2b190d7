// SPDX-License-Identifier: Apache-2.0
//
// What posting costs beyond the copy and the fence that it cannot do without: ns for a 128-byte
// write to another process' region, beside the bare loop that does only these two. The host is
// idle, so the lines stay in the writer's cache: the figures are the path's, not the memory's.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pair.h"

#define TIMES 200000u
#define ROUNDS 15u
#define BYTES 128u

enum { GO = 0 };                             // to_writer: the generation that was granted
enum { DONE = 0, POST, QUIET, PLAIN, BARE }; // to_host: tenths of ns

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t post_many(struct pair *pair, const struct tacit_op *op, bool completes)
{
    uint64_t from_ns = pair_now_ns();
    for (unsigned i = 0; i < TIMES; i++) {
        struct tacit_event event;
        if (!pair->fabric->ops->post(pair->fabric, op) ||
            (completes && pair->fabric->ops->poll(pair->fabric, &event, 1) != 1)) {
            exit(1);
        }
    }
    return (pair_now_ns() - from_ns) * 10 / TIMES;
}

static uint64_t bare_many(uint64_t *to, const uint64_t *from)
{
    uint64_t from_ns = pair_now_ns();
    for (unsigned i = 0; i < TIMES; i++) {
        for (unsigned k = 0; k < BYTES / 8; k++) {
            __atomic_store_n(&to[k], from[k], __ATOMIC_RELAXED);
        }
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    return (pair_now_ns() - from_ns) * 10 / TIMES;
}

static void writer(struct pair *pair)
{
    static uint64_t from[BYTES / 8], to[BYTES / 8], figures[5][ROUNDS];
    struct tacit_region_key key = {.region_class = TACIT_REGION_LOG, .owner = TACIT_NODE_SELF};
    struct tacit_op op = {.kind = TACIT_OP_WRITE,
                          .flags = TACIT_OP_AS_HOLDER,
                          .host = TACIT_NODE_MEMNODE,
                          .bytes = BYTES,
                          .offset = 4096,
                          .local = from};
    op.region = pair->fabric->ops->region(pair->fabric, TACIT_NODE_MEMNODE, key);
    while (pair_load(&pair->shared->to_writer[GO]) == 0) {
        ;
    }
    op.generation = pair_load(&pair->shared->to_writer[GO]);
    for (unsigned round = 0; round < ROUNDS;
         round++) { // alternating, because the machine's speed varies
        op.flags = TACIT_OP_AS_HOLDER;
        figures[POST][round] = post_many(pair, &op, true);
        op.flags = TACIT_OP_AS_HOLDER | TACIT_OP_QUIET;
        figures[QUIET][round] = post_many(pair, &op, false);
        op.flags = TACIT_OP_QUIET;
        figures[PLAIN][round] = post_many(pair, &op, false);
        figures[BARE][round] = bare_many(to, from);
    }
    for (unsigned what = POST; what <= BARE; what++) {
        qsort(figures[what], ROUNDS, sizeof figures[what][0], by_value);
        pair_store(&pair->shared->to_host[what], figures[what][ROUNDS / 2]);
    }
    pair_store(&pair->shared->to_host[DONE], 1);
    for (;;) {
        (void)pause();
    }
}

int main(void)
{
    struct pair pair = {0};
    int status = pair_open(&pair, writer);
    if (status != 0) {
        return status;
    }
    pair.fabric->ops->grant(pair.fabric, 0, 1, 1);
    pair_store(&pair.shared->to_writer[GO], 1);
    uint64_t end_ns = pair_now_ns() + UINT64_C(30000000000);
    while (pair_load(&pair.shared->to_host[DONE]) == 0 && pair_now_ns() < end_ns) {
        (void)usleep(1000);
    }
    static const char *const names[] = {"", "as holder, with completion and poll",
                                        "as holder, quiet", "plain, quiet", "bare copy and fence"};
    for (unsigned what = POST; what <= BARE; what++) {
        (void)printf("%-36s %6.1f ns\n", names[what], (double)pair.shared->to_host[what] / 10);
    }
    bool ok = pair.shared->to_host[DONE] == 1;
    pair_close(&pair);
    return ok ? 0 : 1;
}
