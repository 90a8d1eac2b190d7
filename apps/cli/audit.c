// SPDX-License-Identifier: Apache-2.0
//
// See audit.h. A key-value store tells less than the checkers' model: an append's answer is a
// length, a write of a pair is answered with OK. What the model would have answered follows from
// what is known in the end: the final contents of a list give the tokens before each length, and
// each pair has one writer.
#include "audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct trial {
    struct audit audit;
    struct checker_op *ops; // of all clients, results completed
    uint32_t *groups;       // list number / CHECKER_KEYS of each, 0 for what is no list
    size_t count;
    uint32_t group_count;
};

static void accuse(struct trial *trial, const char *text)
{
    if (trial->audit.text[0] == '\0') {
        (void)snprintf(trial->audit.text, sizeof trial->audit.text, "%s", text);
    }
}

// Fills in the hash that the model gives for an append, from the final list.
static void complete_append(struct trial *trial, const struct load *load, uint32_t list,
                            struct checker_op *op)
{
    uint32_t tokens = 0;
    const uint32_t *final = load_list(load, list, &tokens);
    struct checker_object object = {{0, 0}};
    uint64_t result[2] = {0, 0};
    char text[200];
    if (final == NULL || op->result[0] == 0 || op->result[0] > tokens ||
        final[op->result[0] - 1] != op->argument) {
        trial->audit.lost++;
        (void)snprintf(
            text, sizeof text,
            "client %u was told that token %08x is number %llu of list %u, and it is not "
            "there",
            op->client, op->argument, (unsigned long long)op->result[0], list);
        accuse(trial, text);
        return;
    }
    for (uint64_t i = 0; i < op->result[0]; i++) {
        checker_apply(&object, CHECKER_APPEND, final[i], result);
    }
    op->result[1] = result[1];
}

static bool collect(struct trial *trial, const struct load *load)
{
    for (unsigned c = 0; c < load_clients(load); c++) {
        size_t count;
        (void)load_history(load, c, &count);
        trial->count += count;
    }
    trial->ops = calloc(trial->count + 1, sizeof *trial->ops);
    trial->groups = calloc(trial->count + 1, sizeof *trial->groups);
    if (trial->ops == NULL || trial->groups == NULL) {
        return false;
    }
    size_t at = 0;
    for (unsigned c = 0; c < load_clients(load); c++) {
        size_t count;
        const struct load_op *history = load_history(load, c, &count);
        for (size_t i = 0; i < count; i++, at++) {
            bool is_list =
                history[i].op.kind == CHECKER_APPEND || history[i].op.kind == CHECKER_GET_LIST;
            trial->ops[at] = history[i].op;
            trial->groups[at] = is_list ? history[i].list / CHECKER_KEYS : 0;
            if (trial->groups[at] >= trial->group_count) {
                trial->group_count = trial->groups[at] + 1;
            }
            if (history[i].op.kind == CHECKER_APPEND) {
                complete_append(trial, load, history[i].list, &trial->ops[at]);
            }
        }
    }
    trial->audit.operations = trial->count;
    return true;
}

// Every token in the lists was appended by somebody, once. (An append that was acknowledged stands
// where its answer said; so equal numbers mean that no other token is there.)
static void count_tokens(struct trial *trial, const struct load *load)
{
    uint64_t appended = 0;
    uint64_t found = 0;
    for (size_t i = 0; i < trial->count; i++) {
        appended += trial->ops[i].kind == CHECKER_APPEND;
    }
    for (uint32_t list = 0; list < load_lists(load); list++) {
        uint32_t tokens;
        (void)load_list(load, list, &tokens);
        found += tokens;
    }
    if (found > appended) {
        accuse(trial, "lists hold more tokens than were appended: something was executed twice");
    }
}

static int by_call(const void *left, const void *right)
{
    const struct checker_op *a = left;
    const struct checker_op *b = right;
    return a->call_ns < b->call_ns ? -1 : a->call_ns > b->call_ns;
}

static int by_return(const void *left, const void *right)
{
    const struct checker_op *a = *(const struct checker_op *const *)left;
    const struct checker_op *b = *(const struct checker_op *const *)right;
    return a->return_ns < b->return_ns ? -1 : a->return_ns > b->return_ns;
}

// Over all objects together: what ended before something else began has the smaller slot.
static void check_real_time(struct trial *trial, struct checker_op *sorted)
{
    const struct checker_op **ended = malloc((trial->count + 1) * sizeof(void *));
    if (ended == NULL) {
        accuse(trial, "no memory for the check of real time");
        return;
    }
    qsort(sorted, trial->count, sizeof *sorted, by_call);
    for (size_t i = 0; i < trial->count; i++) {
        ended[i] = &sorted[i];
    }
    qsort(ended, trial->count, sizeof(void *), by_return);
    uint64_t least = 0;
    for (size_t i = 0, e = 0; i < trial->count; i++) {
        while (e < trial->count && ended[e]->return_ns < sorted[i].call_ns) {
            least = ended[e]->index + 1 > least ? ended[e]->index + 1 : least;
            e++;
        }
        if (sorted[i].index + sorted[i].beside_log < least) {
            accuse(trial, "an operation has a smaller slot than one that ended before it began");
            break;
        }
    }
    free(ended);
}

static void check_groups(struct trial *trial)
{
    struct checker_op *part = malloc((trial->count + 1) * sizeof *part);
    if (part == NULL) {
        accuse(trial, "no memory for the checker");
        return;
    }
    for (uint32_t group = 0; group < trial->group_count; group++) {
        size_t used = 0;
        for (size_t i = 0; i < trial->count; i++) {
            if (trial->groups[i] == group) {
                part[used++] = trial->ops[i];
            }
        }
        struct checker_verdict verdict = checker_slots(part, used);
        if (verdict.outcome != CHECKER_PASS) {
            accuse(trial, verdict.text);
            break;
        }
    }
    memcpy(part, trial->ops, trial->count * sizeof *part);
    check_real_time(trial, part);
    free(part);
}

struct audit audit_run(const struct load *load)
{
    struct trial trial = {0};
    if (!collect(&trial, load)) {
        accuse(&trial, "no memory for the history");
    } else {
        count_tokens(&trial, load);
        check_groups(&trial);
    }
    trial.audit.linearizable = trial.audit.text[0] == '\0';
    free(trial.ops);
    free(trial.groups);
    return trial.audit;
}
