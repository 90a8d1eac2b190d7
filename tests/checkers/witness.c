// SPDX-License-Identifier: Apache-2.0
//
// Whether a given order of the operations is one that explains what clients saw. See history.h.
#include <stdio.h>

#include "history.h"

static struct checker_verdict verdict(enum checker_outcome outcome, const char *what,
                                      const struct checker_op *op, uint32_t number)
{
    struct checker_verdict result = {.outcome = outcome};
    if (op == NULL) {
        snprintf(result.text, sizeof result.text, "%s (operation %u)", what, number);
        return result;
    }
    snprintf(result.text, sizeof result.text,
             "%s: operation %u, client %u %s key %u argument %u, result %llu %llx, called %llu ns, "
             "returned %llu ns",
             what, number, op->client, checker_kind_name(op->kind), op->key, op->argument,
             (unsigned long long)op->result[0], (unsigned long long)op->result[1],
             (unsigned long long)op->call_ns, (unsigned long long)op->return_ns);
    return result;
}

struct walk {
    const struct checker_op *ops;
    size_t count;
    struct checker_model model;
    bool placed[CHECKER_WITNESS_OPS];
    uint64_t called_ns; // the latest call so far: who returned before it comes before it
};

// Lets operation `number` take effect here. PASS, or why it cannot.
static struct checker_verdict place(struct walk *walk, uint32_t number)
{
    const struct checker_op *op = &walk->ops[number];
    uint64_t result[2];
    walk->placed[number] = true;
    checker_apply(&walk->model.object[checker_object_of(op->kind, op->key)], op->kind, op->argument,
                  result);
    if (op->return_ns != CHECKER_NEVER) {
        if (result[0] != op->result[0] || result[1] != op->result[1]) {
            return verdict(CHECKER_VIOLATION, "another result than its place explains", op, number);
        }
        if (op->return_ns < walk->called_ns) {
            return verdict(CHECKER_VIOLATION, "after one that began when it had ended", op, number);
        }
    }
    walk->called_ns = op->call_ns > walk->called_ns ? op->call_ns : walk->called_ns;
    return (struct checker_verdict){0};
}

static bool explains(const struct walk *walk, const struct checker_op *read)
{
    struct checker_object object = walk->model.object[checker_object_of(read->kind, read->key)];
    uint64_t result[2];
    checker_apply(&object, read->kind, read->argument, result);
    return result[0] == read->result[0] && result[1] == read->result[1];
}

// Reads beside the log are in nobody's order. Each is placed as early as its result and whoever
// ended before it began allow: it changes nothing, so no later place could explain more.
static struct checker_verdict place_reads(struct walk *walk)
{
    bool more = true;
    while (more) {
        more = false;
        uint64_t first_return_ns = CHECKER_NEVER;
        for (uint32_t i = 0; i < walk->count; i++) {
            uint64_t return_ns = walk->ops[i].return_ns;
            bool is_first = !walk->placed[i] && return_ns < first_return_ns;
            first_return_ns = is_first ? return_ns : first_return_ns;
        }
        for (uint32_t i = 0; i < walk->count; i++) {
            const struct checker_op *read = &walk->ops[i];
            if (walk->placed[i] || !read->beside_log || read->return_ns == CHECKER_NEVER ||
                read->call_ns > first_return_ns || !explains(walk, read)) {
                continue;
            }
            struct checker_verdict verdict = place(walk, i);
            if (verdict.outcome != CHECKER_PASS) {
                return verdict;
            }
            more = true;
        }
    }
    return (struct checker_verdict){0};
}

struct checker_verdict checker_witness(const struct checker_op *ops, size_t count,
                                       const uint32_t *order, size_t ordered)
{
    struct walk walk = {.ops = ops, .count = count};
    if (count > CHECKER_WITNESS_OPS) {
        return verdict(CHECKER_GAVE_UP, "more operations than there is room for", NULL, 0);
    }
    struct checker_verdict found = place_reads(&walk);
    for (size_t i = 0; i < ordered && found.outcome == CHECKER_PASS; i++) {
        if (order[i] >= count || walk.placed[order[i]]) {
            return verdict(CHECKER_VIOLATION, "took effect twice, or was never called", NULL,
                           order[i]);
        }
        found = place(&walk, order[i]);
        found = found.outcome == CHECKER_PASS ? place_reads(&walk) : found;
    }
    for (uint32_t i = 0; i < count && found.outcome == CHECKER_PASS; i++) {
        if (!walk.placed[i] && ops[i].return_ns != CHECKER_NEVER) {
            return verdict(CHECKER_VIOLATION,
                           ops[i].beside_log ? "a read that no place explains"
                                             : "was answered and took no effect",
                           &ops[i], i);
        }
    }
    return found;
}
