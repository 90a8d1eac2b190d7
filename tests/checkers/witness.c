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

struct checker_verdict checker_witness(const struct checker_op *ops, size_t count,
                                       const uint32_t *order, size_t ordered)
{
    struct checker_model model = {0};
    bool ordered_once[CHECKER_WITNESS_OPS] = {false};
    uint64_t called_ns = 0; // the latest call so far: who returned before it comes before it
    if (count > CHECKER_WITNESS_OPS) {
        return verdict(CHECKER_GAVE_UP, "more operations than there is room for", NULL, 0);
    }
    for (size_t i = 0; i < ordered; i++) {
        uint32_t number = order[i];
        if (number >= count || ordered_once[number]) {
            return verdict(CHECKER_VIOLATION, "took effect twice, or was never called", NULL,
                           number);
        }
        const struct checker_op *op = &ops[number];
        uint64_t result[2];
        ordered_once[number] = true;
        checker_apply(&model.object[checker_object_of(op->kind, op->key)], op->kind, op->argument,
                      result);
        if (op->return_ns == CHECKER_NEVER) {
            called_ns = op->call_ns > called_ns ? op->call_ns : called_ns;
            continue;
        }
        if (result[0] != op->result[0] || result[1] != op->result[1]) {
            return verdict(CHECKER_VIOLATION, "another result than its place explains", op, number);
        }
        if (op->return_ns < called_ns) {
            return verdict(CHECKER_VIOLATION, "after one that began when it had ended", op, number);
        }
        called_ns = op->call_ns > called_ns ? op->call_ns : called_ns;
    }
    for (uint32_t number = 0; number < count; number++) {
        if (!ordered_once[number] && ops[number].return_ns != CHECKER_NEVER) {
            return verdict(CHECKER_VIOLATION, "was answered and took no effect", &ops[number],
                           number);
        }
    }
    return (struct checker_verdict){0};
}
