// SPDX-License-Identifier: Apache-2.0
//
// Linearizability without slots: the search of Wing and Gong (JPDC 1993), made fast by Lowe's
// observation (CCPE 2017) that a configuration - which operations took effect, and the object's
// value - need not be explored twice. One object at a time (objects are independent), at most 64
// operations each.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"

#define OPS_MAX 64u
#define STEPS_MAX 200000u
#define SEEN_SLOTS 16384u // power of two; at most three quarters are used

struct seen {
    uint64_t mask;
    struct checker_object object;
    uint32_t epoch; // which search of this call put it here; 0: none
};

struct search {
    const struct checker_op *op[OPS_MAX];
    uint32_t count;
    uint64_t replied; // bit i: operation i has a reply and must take effect
    struct seen *seen;
    uint32_t seen_count;
    uint32_t epoch;
    uint32_t steps;
};

// One level of the search: what was done, and which operation to try next.
struct frame {
    uint64_t done;
    struct checker_object object;
    uint32_t next;
};

static bool remember(struct search *search, uint64_t mask, const struct checker_object *object)
{
    uint64_t hash = (mask ^ object->word[0] * 0x9e3779b97f4a7c15ull) * 0xbf58476d1ce4e5b9ull;
    hash = (hash ^ hash >> 31 ^ object->word[1]) * 0x94d049bb133111ebull;
    for (uint64_t probe = hash >> 20;; probe++) {
        struct seen *seen = &search->seen[probe & (SEEN_SLOTS - 1)];
        if (seen->epoch != search->epoch) {
            *seen = (struct seen){.mask = mask, .object = *object, .epoch = search->epoch};
            search->seen_count++;
            return true;
        }
        if (seen->mask == mask && memcmp(&seen->object, object, sizeof *object) == 0) {
            return false;
        }
    }
}

// The earliest return among operations that have not taken effect: what begins later must wait.
static uint64_t horizon(const struct search *search, uint64_t done)
{
    uint64_t earliest = CHECKER_NEVER;
    for (uint64_t left = search->replied & ~done; left != 0; left &= left - 1) {
        uint64_t end = search->op[__builtin_ctzll(left)]->return_ns;
        earliest = end < earliest ? end : earliest;
    }
    return earliest;
}

static enum checker_outcome explore(struct search *search)
{
    struct frame stack[OPS_MAX + 1];
    uint32_t depth = 0;
    memset(&stack[0], 0, sizeof stack[0]);
    for (;;) {
        struct frame *top = &stack[depth];
        if ((search->replied & ~top->done) == 0) {
            return CHECKER_PASS;
        }
        if (search->steps++ == STEPS_MAX || search->seen_count > SEEN_SLOTS / 4 * 3) {
            return CHECKER_GAVE_UP;
        }
        uint64_t limit = horizon(search, top->done);
        bool deeper = false;
        while (top->next < search->count && !deeper) {
            uint32_t i = top->next++;
            const struct checker_op *op = search->op[i];
            if ((top->done & 1ull << i) != 0 || op->call_ns > limit) {
                continue;
            }
            struct frame child = {.done = top->done | 1ull << i, .object = top->object};
            uint64_t result[2];
            checker_apply(&child.object, op->kind, op->argument, result);
            bool fits = (search->replied & 1ull << i) == 0 ||
                        (result[0] == op->result[0] && result[1] == op->result[1]);
            if (fits && remember(search, child.done, &child.object)) {
                stack[++depth] = child;
                deeper = true;
            }
        }
        if (!deeper) {
            if (depth == 0) {
                return CHECKER_VIOLATION;
            }
            depth--;
        }
    }
}

static struct checker_verdict check_object(struct search *search, const struct checker_op *ops,
                                           size_t count, uint32_t object)
{
    struct checker_verdict result = {0};
    search->count = 0;
    search->replied = 0;
    search->steps = 0;
    search->seen_count = 0;
    for (size_t i = 0; i < count; i++) {
        bool known = ops[i].return_ns != CHECKER_NEVER;
        if (checker_object_of(ops[i].kind, ops[i].key) != object ||
            (!known && checker_kind_reads(ops[i].kind))) {
            continue;
        }
        if (search->count == OPS_MAX) {
            result.outcome = CHECKER_GAVE_UP;
            snprintf(result.text, sizeof result.text, "more than %u operations on object %u",
                     OPS_MAX, object);
            return result;
        }
        search->replied |= (uint64_t)known << search->count;
        search->op[search->count++] = &ops[i];
    }
    if (search->count == 0) {
        return result;
    }
    search->epoch = object + 1;
    result.outcome = explore(search);
    if (result.outcome == CHECKER_VIOLATION) {
        snprintf(result.text, sizeof result.text, "%u operations on object %u have no linear order",
                 search->count, object);
    } else if (result.outcome == CHECKER_GAVE_UP) {
        snprintf(result.text, sizeof result.text, "search over %u operations on object %u too long",
                 search->count, object);
    }
    return result;
}

struct checker_verdict checker_linear(const struct checker_op *ops, size_t count)
{
    struct checker_verdict result = {.outcome = CHECKER_GAVE_UP, .text = "out of memory"};
    struct search search = {.seen = calloc(SEEN_SLOTS, sizeof(struct seen))};
    if (search.seen == NULL) {
        return result;
    }
    struct checker_verdict worst = {0};
    for (uint32_t object = 0; object < CHECKER_OBJECTS; object++) {
        result = check_object(&search, ops, count, object);
        if (result.outcome == CHECKER_VIOLATION) {
            worst = result;
            break;
        }
        worst = result.outcome == CHECKER_GAVE_UP ? result : worst;
    }
    free(search.seen);
    return worst;
}
