// SPDX-License-Identifier: Apache-2.0
//
// Replay by slot. For each object the set of possible configurations (value, which operations
// without a reply took effect) is carried from one slot to the next; it is a single one unless a
// batch or a lost reply makes the order ambiguous.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"

#define CONFIGS_MAX 2048u
#define UNKNOWN_MAX 64u
#define GROUP_MAX 32u // operations of one object in one batch

struct config {
    struct checker_object object;
    uint64_t unknown; // bit i: unknown operation i took effect
    uint32_t done;    // bit i: operation i of the present group was replayed
};

struct replay {
    const struct checker_op **ops; // of this object, with a reply, by slot
    size_t count;
    const struct checker_op *unknown[UNKNOWN_MAX];
    uint32_t unknown_count;
    uint64_t *earliest_return; // over this and all later operations
    struct config *config;
    uint32_t configs;
};

static struct checker_verdict verdict(enum checker_outcome outcome, const char *what,
                                      const struct checker_op *op)
{
    struct checker_verdict result = {.outcome = outcome};
    if (op == NULL) {
        snprintf(result.text, sizeof result.text, "%s", what);
    } else {
        snprintf(
            result.text, sizeof result.text,
            "%s: client %u %s key %u argument %u, slot %llu, result %llu %llx, called %llu ns, "
            "returned %llu ns",
            what, op->client, checker_kind_name(op->kind), op->key, op->argument,
            (unsigned long long)op->index, (unsigned long long)op->result[0],
            (unsigned long long)op->result[1], (unsigned long long)op->call_ns,
            (unsigned long long)op->return_ns);
    }
    return result;
}

static int by_slot(const void *left, const void *right)
{
    const struct checker_op *a = *(const struct checker_op *const *)left;
    const struct checker_op *b = *(const struct checker_op *const *)right;
    if (a->index != b->index) {
        return a->index < b->index ? -1 : 1;
    }
    return a->call_ns < b->call_ns ? -1 : a->call_ns > b->call_ns;
}

static int by_call(const void *left, const void *right)
{
    const struct checker_op *a = *(const struct checker_op *const *)left;
    const struct checker_op *b = *(const struct checker_op *const *)right;
    return a->call_ns < b->call_ns ? -1 : a->call_ns > b->call_ns;
}

static int by_return(const void *left, const void *right)
{
    const struct checker_op *a = *(const struct checker_op *const *)left;
    const struct checker_op *b = *(const struct checker_op *const *)right;
    return a->return_ns < b->return_ns ? -1 : a->return_ns > b->return_ns;
}

// An operation that ended before another began has the smaller slot.
static struct checker_verdict real_time(const struct checker_op *const *ops, size_t count,
                                        const struct checker_op **scratch)
{
    const struct checker_op **called = scratch;
    const struct checker_op **returned = scratch + count;
    memcpy(called, ops, count * sizeof *ops);
    memcpy(returned, ops, count * sizeof *ops);
    qsort(called, count, sizeof *called, by_call);
    qsort(returned, count, sizeof *returned, by_return);
    uint64_t least = 0; // slots below this are taken by operations that ended before
    size_t ended = 0;
    for (size_t i = 0; i < count; i++) {
        while (ended < count && returned[ended]->return_ns < called[i]->call_ns) {
            uint64_t next = returned[ended++]->index + 1;
            least = next > least ? next : least;
        }
        if (called[i]->index + called[i]->beside_log < least) {
            return verdict(CHECKER_VIOLATION, "a slot that is not after one that ended before",
                           called[i]);
        }
    }
    return (struct checker_verdict){0};
}

static bool config_add(struct replay *replay, const struct config *config)
{
    for (uint32_t i = 0; i < replay->configs; i++) {
        const struct config *have = &replay->config[i];
        if (have->unknown == config->unknown && have->done == config->done &&
            memcmp(&have->object, &config->object, sizeof have->object) == 0) {
            return true;
        }
    }
    if (replay->configs == CONFIGS_MAX) {
        return false;
    }
    replay->config[replay->configs++] = *config;
    return true;
}

// Takes the reads that the value explains as replayed: they change nothing, so that no other order
// could explain more. (Leaders answer many in one slot.)
static void take_reads(const struct replay *replay, size_t first, uint32_t members,
                       struct config *config)
{
    for (uint32_t i = 0; i < members; i++) {
        const struct checker_op *op = replay->ops[first + i];
        struct checker_object object = config->object;
        uint64_t result[2];
        if (!checker_kind_reads(op->kind)) {
            continue;
        }
        checker_apply(&object, op->kind, op->argument, result);
        if (result[0] == op->result[0] && result[1] == op->result[1]) {
            config->done |= 1u << i;
        }
    }
}

// Every configuration in which the group [first, last) was replayed. Grows the set breadth-first,
// then keeps the complete ones.
static enum checker_outcome replay_group(struct replay *replay, size_t first, size_t last)
{
    uint32_t members = (uint32_t)(last - first);
    uint32_t all = members == 32 ? UINT32_MAX : (1u << members) - 1;
    for (uint32_t at = 0; at < replay->configs; at++) {
        take_reads(replay, first, members, &replay->config[at]);
    }
    for (uint32_t at = 0; at < replay->configs; at++) {
        if (replay->config[at].done == all) {
            continue; // effects of unknown operations after the group come with the next one
        }
        for (uint32_t i = 0; i < members; i++) {
            struct config next = replay->config[at];
            const struct checker_op *op = replay->ops[first + i];
            uint64_t result[2];
            if ((next.done & 1u << i) != 0 || checker_kind_reads(op->kind)) {
                continue;
            }
            checker_apply(&next.object, op->kind, op->argument, result);
            next.done |= 1u << i;
            take_reads(replay, first, members, &next);
            if (result[0] == op->result[0] && result[1] == op->result[1] &&
                !config_add(replay, &next)) {
                return CHECKER_GAVE_UP;
            }
        }
        for (uint32_t u = 0; u < replay->unknown_count; u++) {
            struct config next = replay->config[at];
            uint64_t result[2];
            // It began before everything from here on had ended, or its effect comes later.
            if ((next.unknown & 1ull << u) != 0 ||
                replay->unknown[u]->call_ns > replay->earliest_return[first]) {
                continue;
            }
            checker_apply(&next.object, replay->unknown[u]->kind, replay->unknown[u]->argument,
                          result);
            next.unknown |= 1ull << u;
            take_reads(replay, first, members, &next);
            if (!config_add(replay, &next)) {
                return CHECKER_GAVE_UP;
            }
        }
    }
    uint32_t kept = 0;
    for (uint32_t at = 0; at < replay->configs; at++) {
        if (replay->config[at].done == all) {
            replay->config[kept] = replay->config[at];
            replay->config[kept++].done = 0;
        }
    }
    replay->configs = kept;
    return kept == 0 ? CHECKER_VIOLATION : CHECKER_PASS;
}

static struct checker_verdict replay_object(struct replay *replay)
{
    uint64_t earliest = CHECKER_NEVER;
    for (size_t i = replay->count; i-- > 0;) {
        earliest = replay->ops[i]->return_ns < earliest ? replay->ops[i]->return_ns : earliest;
        replay->earliest_return[i] = earliest;
    }
    replay->configs = 1;
    memset(&replay->config[0], 0, sizeof replay->config[0]);
    for (size_t first = 0; first < replay->count;) {
        size_t last = first + 1;
        while (last < replay->count && replay->ops[last]->index == replay->ops[first]->index) {
            last++;
        }
        if (last - first > GROUP_MAX) {
            return verdict(CHECKER_GAVE_UP, "too many operations of one object in one slot", NULL);
        }
        enum checker_outcome outcome = replay_group(replay, first, last);
        if (outcome != CHECKER_PASS) {
            return verdict(outcome,
                           outcome == CHECKER_GAVE_UP ? "too many possible configurations"
                                                      : "no order explains the result",
                           replay->ops[first]);
        }
        first = last;
    }
    return (struct checker_verdict){0};
}

static struct checker_verdict replay_all(const struct checker_op *const *ops, size_t count,
                                         const struct checker_op *all, size_t all_count,
                                         struct replay *replay)
{
    for (uint32_t object = 0; object < CHECKER_OBJECTS; object++) {
        replay->count = 0;
        replay->unknown_count = 0;
        for (size_t i = 0; i < count; i++) {
            if (checker_object_of(ops[i]->kind, ops[i]->key) == object) {
                replay->ops[replay->count++] = ops[i];
            }
        }
        for (size_t i = 0; i < all_count; i++) {
            if (all[i].return_ns != CHECKER_NEVER || checker_kind_reads(all[i].kind) ||
                checker_object_of(all[i].kind, all[i].key) != object) {
                continue;
            }
            if (replay->unknown_count == UNKNOWN_MAX) {
                return verdict(CHECKER_GAVE_UP, "too many operations without a reply", NULL);
            }
            replay->unknown[replay->unknown_count++] = &all[i];
        }
        struct checker_verdict result = replay_object(replay);
        if (result.outcome != CHECKER_PASS) {
            return result;
        }
    }
    return (struct checker_verdict){0};
}

struct checker_verdict checker_slots(const struct checker_op *ops, size_t count)
{
    size_t room = count + 1;
    const struct checker_op **sorted = malloc(room * sizeof *sorted);
    const struct checker_op **scratch = malloc(2 * room * sizeof *scratch);
    struct replay replay = {.ops = malloc(room * sizeof *sorted),
                            .earliest_return = malloc(room * sizeof(uint64_t)),
                            .config = malloc(CONFIGS_MAX * sizeof(struct config))};
    struct checker_verdict result = verdict(CHECKER_GAVE_UP, "out of memory", NULL);
    if (sorted != NULL && scratch != NULL && replay.ops != NULL && replay.earliest_return != NULL &&
        replay.config != NULL) {
        size_t replied = 0;
        for (size_t i = 0; i < count; i++) {
            if (ops[i].return_ns != CHECKER_NEVER) {
                sorted[replied++] = &ops[i];
            }
        }
        qsort(sorted, replied, sizeof *sorted, by_slot);
        result = real_time(sorted, replied, scratch);
        if (result.outcome == CHECKER_PASS) {
            result = replay_all(sorted, replied, ops, count, &replay);
        }
    }
    free(sorted);
    free(scratch);
    free(replay.ops);
    free(replay.earliest_return);
    free(replay.config);
    return result;
}
