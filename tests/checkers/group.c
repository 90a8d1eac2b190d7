// SPDX-License-Identifier: Apache-2.0
//
// See group.h.
#include "group.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tacit/wire.h"

struct entry { // canonical
    uint32_t offset, bytes;
    uint32_t first, executions; // first of its executions
    bool decided, executed, closed, hashed;
    uint64_t hash; // of the state after it
};

struct execution { // canonical
    uint32_t client;
    uint32_t operation; // CHECKER_OPS: none of ours
    uint64_t session, number;
    tacit_index_t index;
    uint8_t reply[CHECKER_REPLY_BYTES];
    uint32_t reply_bytes;
};

struct session {
    uint64_t number;
    uint64_t last; // newest executed request
};

struct replica {
    tacit_index_t next; // expected to be decided next
    bool jumped;        // a gap is allowed
    uint32_t position;  // executions compared in the present entry
    tacit_index_t current;
    bool open; // an entry is being executed
    struct checker_marks marks;
};

struct submitted {
    bool executed, acknowledged;
    uint64_t session, number;
    uint32_t after; // operation of its session that a read has to see, CHECKER_OPS: none
};

struct checker_group {
    char violation[400];
    bool failed;
    struct replica replica[CHECKER_REPLICAS];
    struct entry entry[CHECKER_ENTRIES];
    tacit_index_t length;
    struct execution execution[CHECKER_EXECUTIONS];
    uint32_t executions;
    struct session session[CHECKER_SESSIONS];
    uint32_t sessions;
    struct checker_op op[CHECKER_OPS];
    struct submitted submitted[CHECKER_OPS];
    uint32_t ops;
    uint32_t order[CHECKER_EXECUTIONS]; // scratch
    struct checker_model model;
    uint8_t *batch;
    uint32_t batch_used;
};

struct checker_group *checker_group_open(void)
{
    struct checker_group *group = calloc(1, sizeof *group);
    if (group != NULL) {
        group->batch = malloc(CHECKER_BATCH_BYTES);
        if (group->batch == NULL) {
            free(group);
            return NULL;
        }
    }
    return group;
}

void checker_group_close(struct checker_group *group)
{
    if (group != NULL) {
        free(group->batch);
        free(group);
    }
}

void checker_group_reset(struct checker_group *group)
{
    group->failed = false;
    group->violation[0] = 0;
    memset(group->replica, 0, sizeof group->replica);
    memset(group->entry, 0, (size_t)group->length * sizeof *group->entry);
    group->length = 0;
    group->executions = 0;
    group->sessions = 0;
    group->ops = 0;
    memset(&group->model, 0, sizeof group->model);
    group->batch_used = 0;
}

const char *checker_group_violation(const struct checker_group *group)
{
    return group->failed ? group->violation : NULL;
}

void checker_group_fail(struct checker_group *group, const char *format, ...)
{
    if (group->failed) {
        return;
    }
    group->failed = true;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(group->violation, sizeof group->violation, format, arguments);
    va_end(arguments);
}

tacit_index_t checker_length(const struct checker_group *group)
{
    return group->length;
}

// ---- bodies
// ------------------------------------------------------------------------------------------

static void put32(uint8_t *out, uint32_t value)
{
    for (uint32_t i = 0; i < 4; i++) {
        out[i] = (uint8_t)(value >> 8 * i);
    }
}

static uint32_t get32(const uint8_t *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

void checker_body_encode(uint8_t *body, const struct checker_op *op, uint32_t operation)
{
    memset(body, 0, CHECKER_BODY_BYTES);
    body[0] = op->kind;
    body[1] = op->key;
    put32(body + 4, op->argument);
    put32(body + 8, operation);
}

bool checker_body_decode(struct checker_op *op, uint32_t *operation, const void *body, size_t bytes)
{
    const uint8_t *in = body;
    if (bytes < CHECKER_BODY_BYTES || in[0] >= CHECKER_KINDS || in[1] >= CHECKER_KEYS) {
        return false;
    }
    memset(op, 0, sizeof *op);
    op->kind = in[0];
    op->key = in[1];
    op->argument = get32(in + 4);
    *operation = get32(in + 8);
    return true;
}

// ---- replicas
// ----------------------------------------------------------------------------------------

void checker_replica_started(struct checker_group *group, uint32_t replica)
{
    memset(&group->replica[replica], 0, sizeof group->replica[replica]);
}

void checker_replica_jumped(struct checker_group *group, uint32_t replica)
{
    group->replica[replica].jumped = true;
}

// The previous entry of this replica is finished: as many executions as in the canonical history.
static void close_entry(struct checker_group *group, uint32_t r)
{
    struct replica *replica = &group->replica[r];
    if (!replica->open) {
        return;
    }
    replica->open = false;
    struct entry *entry = &group->entry[replica->current];
    if (!entry->closed) {
        entry->closed = true;
    } else if (replica->position != entry->executions) {
        checker_group_fail(group, "replica %u executed %u requests at index %llu, another one %u",
                           r, replica->position, (unsigned long long)replica->current,
                           entry->executions);
    }
}

void checker_settled(struct checker_group *group, uint32_t r)
{
    if (!group->failed) {
        close_entry(group, r);
    }
}

void checker_decided(struct checker_group *group, uint32_t r, tacit_index_t index,
                     const void *batch, size_t bytes)
{
    if (group->failed) {
        return;
    }
    struct replica *replica = &group->replica[r];
    close_entry(group, r);
    if (index != replica->next && !(replica->jumped && index > replica->next)) {
        checker_group_fail(group, "replica %u executes index %llu, expected %llu", r,
                           (unsigned long long)index, (unsigned long long)replica->next);
        return;
    }
    if (index >= CHECKER_ENTRIES || bytes > CHECKER_BATCH_BYTES - group->batch_used) {
        checker_group_fail(group, "the run is longer than the checker can hold (index %llu)",
                           (unsigned long long)index);
        return;
    }
    replica->jumped = false;
    replica->next = index + 1;
    replica->current = index;
    replica->position = 0;
    replica->open = true;
    struct entry *entry = &group->entry[index];
    if (!entry->decided) {
        if (index != group->length) {
            checker_group_fail(group,
                               "index %llu is decided at replica %u before %llu was anywhere",
                               (unsigned long long)index, r, (unsigned long long)group->length);
            return;
        }
        entry->decided = true;
        entry->offset = group->batch_used;
        entry->bytes = (uint32_t)bytes;
        entry->first = group->executions;
        entry->executions = 0;
        memcpy(group->batch + group->batch_used, batch, bytes);
        group->batch_used += (uint32_t)(bytes + 7) / 8 * 8;
        group->length++;
        return;
    }
    if (entry->bytes != bytes || memcmp(group->batch + entry->offset, batch, bytes) != 0) {
        checker_group_fail(group, "no agreement: replica %u decided another value at index %llu", r,
                           (unsigned long long)index);
    }
}

// The operation that an item of this entry asks for; CHECKER_OPS and a violation if there is none.
static uint32_t find_operation(struct checker_group *group, const struct entry *entry,
                               const struct execution *what)
{
    size_t offset = 0;
    struct tacit_wire_item item;
    while (tacit_wire_item_decode(&item, group->batch + entry->offset, entry->bytes, &offset) ==
           TACIT_VERDICT_OK) {
        if (item.kind != TACIT_ITEM_APPLY || item.subject != what->client ||
            item.session != what->session || item.number != what->number) {
            continue;
        }
        struct checker_op asked;
        uint32_t operation;
        if (!checker_body_decode(&asked, &operation, item.body, item.body_bytes) ||
            operation >= group->ops) {
            break;
        }
        const struct checker_op *op = &group->op[operation];
        if (op->client != what->client || op->kind != asked.kind || op->key != asked.key ||
            op->argument != asked.argument) {
            break;
        }
        return operation;
    }
    checker_group_fail(
        group,
        "invented value: index %llu executes request %llu of session %llx, client %u, "
        "which nobody submitted so",
        (unsigned long long)what->index, (unsigned long long)what->number,
        (unsigned long long)what->session, what->client);
    return CHECKER_OPS;
}

// Exactly once, and in the order of the session.
static void check_session(struct checker_group *group, const struct execution *what)
{
    struct session *session = NULL;
    for (uint32_t i = group->sessions; i-- > 0 && session == NULL;) {
        session = group->session[i].number == what->session ? &group->session[i] : NULL;
    }
    if (session == NULL) {
        if (group->sessions == CHECKER_SESSIONS) {
            checker_group_fail(group, "more sessions than the checker can hold");
            return;
        }
        session = &group->session[group->sessions++];
        *session = (struct session){.number = what->session};
    }
    if (what->number != session->last + 1) {
        checker_group_fail(
            group, "%s: index %llu executes request %llu of session %llx after request %llu",
            what->number <= session->last ? "executed twice" : "out of session order",
            (unsigned long long)what->index, (unsigned long long)what->number,
            (unsigned long long)what->session, (unsigned long long)session->last);
        return;
    }
    session->last = what->number;
}

static void first_execution(struct checker_group *group, struct entry *entry,
                            const struct execution *what)
{
    if (group->executions == CHECKER_EXECUTIONS) {
        checker_group_fail(group, "more executions than the checker can hold");
        return;
    }
    struct execution *execution = &group->execution[group->executions++];
    *execution = *what;
    entry->executions++;
    execution->operation = find_operation(group, entry, what);
    check_session(group, what);
    if (group->failed) {
        return;
    }
    const struct checker_op *op = &group->op[execution->operation];
    struct submitted *submitted = &group->submitted[execution->operation];
    if (submitted->executed) {
        checker_group_fail(group, "operation %u is executed a second time, at index %llu",
                           execution->operation, (unsigned long long)what->index);
        return;
    }
    *submitted =
        (struct submitted){.executed = true, .session = what->session, .number = what->number};
    uint64_t result[2];
    checker_apply(&group->model.object[checker_object_of(op->kind, op->key)], op->kind,
                  op->argument, result);
    if (what->reply_bytes != sizeof result || memcmp(result, what->reply, sizeof result) != 0) {
        checker_group_fail(group, "wrong reply: operation %u (%s key %u) at index %llu",
                           execution->operation, checker_kind_name(op->kind), op->key,
                           (unsigned long long)what->index);
    }
}

void checker_executed(struct checker_group *group, uint32_t r, tacit_index_t index, uint32_t client,
                      uint64_t session, uint64_t number, const void *reply, size_t reply_bytes)
{
    if (group->failed) {
        return;
    }
    struct replica *replica = &group->replica[r];
    if (!replica->open || replica->current != index) {
        checker_group_fail(group, "replica %u executes at index %llu without having decided it", r,
                           (unsigned long long)index);
        return;
    }
    struct entry *entry = &group->entry[index];
    struct execution what = {.client = client,
                             .operation = CHECKER_OPS,
                             .session = session,
                             .number = number,
                             .index = index,
                             .reply_bytes = (uint32_t)reply_bytes};
    memcpy(what.reply, reply, reply_bytes < sizeof what.reply ? reply_bytes : sizeof what.reply);
    if (!entry->closed) {
        replica->position++;
        first_execution(group, entry, &what);
        return;
    }
    const struct execution *same = replica->position < entry->executions
                                       ? &group->execution[entry->first + replica->position]
                                       : NULL;
    replica->position++;
    if (same == NULL || same->client != client || same->session != session ||
        same->number != number || same->reply_bytes != what.reply_bytes ||
        memcmp(same->reply, what.reply, sizeof what.reply) != 0) {
        checker_group_fail(group,
                           "replica %u executed request %llu of session %llx at index %llu unlike "
                           "another replica",
                           r, (unsigned long long)number, (unsigned long long)session,
                           (unsigned long long)index);
    }
}

void checker_state(struct checker_group *group, uint32_t r, tacit_index_t applied, uint64_t hash)
{
    if (group->failed || applied == 0) {
        return;
    }
    if (applied > group->length) {
        checker_group_fail(group,
                           "replica %u has the state after %llu entries, but %llu are decided", r,
                           (unsigned long long)applied, (unsigned long long)group->length);
        return;
    }
    close_entry(group, r);
    struct entry *entry = &group->entry[applied - 1];
    if (!entry->hashed) {
        entry->hashed = true;
        entry->hash = hash;
    } else if (entry->hash != hash) {
        checker_group_fail(group, "replica %u has another state after %llu entries", r,
                           (unsigned long long)applied);
    }
}

void checker_monotone(struct checker_group *group, uint32_t r, struct checker_marks now)
{
    struct checker_marks *was = &group->replica[r].marks;
    const char *what = now.commit < was->commit                      ? "commit index"
                       : now.applied < was->applied                  ? "applied index"
                       : now.ballot != 0 && now.ballot < was->ballot ? "ballot"
                                                                     : NULL;
    if (what != NULL) {
        checker_group_fail(group, "the %s of replica %u decreased", what, r);
    }
    uint64_t ballot = now.ballot != 0 ? now.ballot : was->ballot;
    *was = now;
    was->ballot = ballot;
}

// ---- clients
// -----------------------------------------------------------------------------------------

uint32_t checker_submit(struct checker_group *group, const struct checker_op *op)
{
    if (group->ops == CHECKER_OPS) {
        return CHECKER_OPS;
    }
    group->op[group->ops] = *op;
    group->op[group->ops].return_ns = CHECKER_NEVER;
    group->submitted[group->ops] = (struct submitted){.after = CHECKER_OPS};
    return group->ops++;
}

void checker_acknowledge(struct checker_group *group, uint32_t operation, uint64_t session,
                         uint64_t number, uint64_t return_ns, uint64_t index, const void *reply,
                         size_t reply_bytes)
{
    struct checker_op *op = &group->op[operation];
    struct submitted *submitted = &group->submitted[operation];
    if (reply_bytes != CHECKER_REPLY_BYTES) {
        checker_group_fail(group, "operation %u got a reply of %zu bytes", operation, reply_bytes);
        return;
    }
    if (submitted->acknowledged) {
        checker_group_fail(group, "operation %u was acknowledged twice", operation);
        return;
    }
    // Whoever acknowledged it has executed it: it must be known by now.
    if (!submitted->executed) {
        checker_group_fail(group, "operation %u was acknowledged before anybody executed it",
                           operation);
        return;
    }
    if (submitted->session != session || submitted->number != number) {
        checker_group_fail(group, "operation %u was acknowledged as another request", operation);
        return;
    }
    submitted->acknowledged = true;
    op->return_ns = return_ns;
    op->index = index;
    memcpy(op->result, reply, CHECKER_REPLY_BYTES);
}

void checker_read_after(struct checker_group *group, uint32_t operation, uint32_t after)
{
    group->op[operation].beside_log = true;
    group->submitted[operation].after = after;
}

void checker_answer(struct checker_group *group, uint32_t operation, uint64_t return_ns,
                    uint64_t index, const void *reply, size_t reply_bytes)
{
    struct checker_op *op = &group->op[operation];
    if (reply_bytes != CHECKER_REPLY_BYTES || op->return_ns != CHECKER_NEVER) {
        checker_group_fail(group, "read %u got a reply of %zu bytes, or a second one", operation,
                           reply_bytes);
        return;
    }
    op->return_ns = return_ns;
    op->index = index;
    memcpy(op->result, reply, CHECKER_REPLY_BYTES);
}

const struct checker_op *checker_ops(const struct checker_group *group, size_t *count)
{
    *count = group->ops;
    return group->op;
}

static void compare_acknowledged(struct checker_group *group, tacit_index_t kept)
{
    for (uint32_t i = 0; i < group->executions; i++) {
        const struct execution *execution = &group->execution[i];
        const struct checker_op *op = &group->op[execution->operation];
        if (!group->submitted[execution->operation].acknowledged) {
            continue;
        }
        if (op->index != execution->index ||
            memcmp(op->result, execution->reply, CHECKER_REPLY_BYTES) != 0) {
            checker_group_fail(group,
                               "operation %u was acknowledged with index %llu, but was executed at "
                               "%llu, or with another reply",
                               execution->operation, (unsigned long long)op->index,
                               (unsigned long long)execution->index);
            return;
        }
        if (op->index >= kept) {
            checker_group_fail(
                group, "lost: operation %u was acknowledged at index %llu, kept are %llu",
                execution->operation, (unsigned long long)op->index, (unsigned long long)kept);
            return;
        }
    }
}

// Whether the canonical history is an order that explains what clients saw: it always decides.
static bool compare_witness(struct checker_group *group)
{
    uint32_t *order = group->order;
    size_t ordered = 0;
    for (tacit_index_t index = 0; index < group->length; index++) {
        const struct entry *entry = &group->entry[index];
        for (uint32_t i = 0; i < entry->executions; i++) {
            uint32_t operation = group->execution[entry->first + i].operation;
            if (operation < group->ops) {
                order[ordered++] = operation;
            }
        }
    }
    struct checker_verdict verdict = checker_witness(group->op, group->ops, order, ordered);
    if (verdict.outcome == CHECKER_VIOLATION) {
        checker_group_fail(group,
                           "the history of the replicas does not explain what clients saw: %s",
                           verdict.text);
    }
    return verdict.outcome != CHECKER_GAVE_UP;
}

static void check_read_order(struct checker_group *group)
{
    for (uint32_t i = 0; i < group->ops; i++) {
        uint32_t after = group->submitted[i].after;
        if (!group->op[i].beside_log || group->op[i].return_ns == CHECKER_NEVER ||
            after == CHECKER_OPS || !group->submitted[after].acknowledged) {
            continue;
        }
        if (group->op[i].index < group->op[after].index) {
            checker_group_fail(group,
                               "read %u saw the state at %llu, operation %u of its session "
                               "before it was executed at %llu",
                               i, (unsigned long long)group->op[i].index, after,
                               (unsigned long long)group->op[after].index);
            return;
        }
    }
}

bool checker_finish(struct checker_group *group, tacit_index_t kept, bool linear)
{
    if (group->failed) {
        return false;
    }
    check_read_order(group);
    compare_acknowledged(group, kept);
    bool decided = compare_witness(group);
    struct checker_verdict verdict = checker_slots(group->op, group->ops);
    if (verdict.outcome == CHECKER_VIOLATION) {
        checker_group_fail(group, "not linearizable by slot: %s", verdict.text);
    }
    if (linear && !group->failed) {
        verdict = checker_linear(group->op, group->ops);
        if (verdict.outcome == CHECKER_VIOLATION) {
            checker_group_fail(group, "not linearizable: %s", verdict.text);
        }
    }
    return !decided;
}
