// SPDX-License-Identifier: Apache-2.0
//
// The checkers are checked: hand-made wrong histories that they must refuse, and right but awkward
// ones that they must accept.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "checkers/group.h"
#include "checkers/history.h"
#include "choice/choice.h"
#include "tacit/wire.h"

static uint64_t hash_of(uint32_t count, const uint32_t *tokens)
{
    struct checker_object object = {{0, 0}};
    uint64_t result[2] = {0, 0};
    for (uint32_t i = 0; i < count; i++) {
        checker_apply(&object, CHECKER_APPEND, tokens[i], result);
    }
    return result[1];
}

#define H1 hash_of(1, (uint32_t[]){11})
#define H2 hash_of(1, (uint32_t[]){22})
#define H12 hash_of(2, (uint32_t[]){11, 22})
#define H21 hash_of(2, (uint32_t[]){22, 11})

#define OP(c, what, token, call, ret, slot, a, b)                                                  \
    {                                                                                              \
        .client = (c), .kind = (what), .argument = (token), .call_ns = (call), .return_ns = (ret), \
        .index = (slot), .result = {                                                               \
            (a),                                                                                   \
            (b)                                                                                    \
        }                                                                                          \
    }
#define INCR(c, call, ret, slot, value) OP(c, CHECKER_INCR, 0, call, ret, slot, value, 0)
#define GETC(c, call, ret, slot, value) OP(c, CHECKER_GET_COUNTER, 0, call, ret, slot, value, 0)
#define APPEND(c, token, call, ret, slot, len, hash)                                               \
    OP(c, CHECKER_APPEND, token, call, ret, slot, len, hash)
#define GETL(c, call, ret, slot, len, hash) OP(c, CHECKER_GET_LIST, 0, call, ret, slot, len, hash)
#define SETP(c, value, call, ret, slot, a, b) OP(c, CHECKER_SET_PAIR, value, call, ret, slot, a, b)
#define GETP(c, call, ret, slot, a, b) OP(c, CHECKER_GET_PAIR, 0, call, ret, slot, a, b)
#define NEVER CHECKER_NEVER

enum expect { RIGHT, WRONG, WRONG_BY_SLOT_ONLY };

#define CASE(name, what, ...)                                                                      \
    do {                                                                                           \
        const struct checker_op ops[] = {__VA_ARGS__};                                             \
        judge(name, what, ops, sizeof ops / sizeof *ops);                                          \
    } while (0)

static void judge(const char *name, enum expect expect, const struct checker_op *ops, size_t count)
{
    struct checker_verdict slots = checker_slots(ops, count);
    struct checker_verdict linear = checker_linear(ops, count);
    enum checker_outcome want_slots = expect == RIGHT ? CHECKER_PASS : CHECKER_VIOLATION;
    enum checker_outcome want_linear = expect == WRONG ? CHECKER_VIOLATION : CHECKER_PASS;
    if (slots.outcome != want_slots || linear.outcome != want_linear) {
        fail_msg("%s: slots %d (%s), linear %d (%s)", name, (int)slots.outcome, slots.text,
                 (int)linear.outcome, linear.text);
    }
}

static void right_histories(void **state)
{
    (void)state;
    CASE("one by one", RIGHT, INCR(0, 0, 10, 1, 1), INCR(1, 20, 30, 2, 2), GETC(0, 40, 50, 3, 2));
    CASE("concurrent, any order of return", RIGHT, INCR(0, 0, 100, 2, 2), INCR(1, 0, 50, 1, 1));
    CASE("a batch in an order of its own", RIGHT, INCR(0, 0, 100, 5, 2), INCR(1, 0, 100, 5, 1),
         GETC(2, 0, 100, 5, 1));
    CASE("no reply, took effect", RIGHT, INCR(0, 0, NEVER, 0, 0), INCR(1, 20, 30, 2, 2));
    CASE("no reply, no effect", RIGHT, INCR(0, 0, NEVER, 0, 0), INCR(1, 20, 30, 2, 1));
    CASE("no reply, effect later", RIGHT, INCR(0, 0, NEVER, 0, 0), INCR(1, 20, 30, 2, 1),
         INCR(1, 40, 50, 4, 3));
    CASE("appends and reads", RIGHT, APPEND(0, 11, 0, 10, 1, 1, H1),
         APPEND(1, 22, 20, 30, 2, 2, H12), GETL(0, 40, 50, 3, 2, H12));
    CASE("pairs", RIGHT, SETP(0, 7, 0, 10, 1, 0, 0), GETP(1, 20, 30, 2, 7, 7),
         SETP(1, 8, 40, 50, 3, 7, 7));
    CASE("nothing", RIGHT, GETC(0, 0, 1, 0, 0));
}

static void wrong_histories(void **state)
{
    (void)state;
    CASE("lost write", WRONG, INCR(0, 0, 10, 1, 1), GETC(1, 20, 30, 2, 0));
    CASE("stale read", WRONG, INCR(0, 0, 10, 1, 1), INCR(0, 20, 30, 2, 2), GETC(1, 40, 50, 3, 1));
    CASE("duplicate increment", WRONG, INCR(0, 0, 10, 1, 1), INCR(1, 20, 30, 2, 3));
    CASE("same result twice", WRONG, INCR(0, 0, 10, 1, 1), INCR(1, 0, 10, 2, 1));
    CASE("value from nowhere", WRONG, GETC(0, 0, 10, 1, 5));
    CASE("value before its write began", WRONG, GETC(0, 0, 10, 1, 1), INCR(1, 20, 30, 2, 1));
    CASE("duplicate append", WRONG, APPEND(0, 11, 0, 10, 1, 1, H1),
         GETL(1, 20, 30, 2, 2, hash_of(2, (uint32_t[]){11, 11})));
    CASE("lost append", WRONG, APPEND(0, 11, 0, 10, 1, 1, H1), APPEND(1, 22, 20, 30, 2, 1, H2));
    CASE("reordered appends", WRONG, APPEND(0, 11, 0, 10, 1, 1, H1),
         APPEND(1, 22, 20, 30, 2, 2, H12), GETL(0, 40, 50, 3, 2, H21));
    CASE("two orders of concurrent appends", WRONG, APPEND(0, 11, 0, 100, 1, 1, H1),
         APPEND(1, 22, 0, 100, 2, 1, H2));
    CASE("torn pair", WRONG, SETP(0, 7, 0, 10, 1, 0, 0), SETP(0, 8, 20, 30, 2, 7, 7),
         GETP(1, 40, 50, 3, 8, 7));
    CASE("torn pair while it is set", WRONG, SETP(0, 7, 0, 100, 1, 0, 0), GETP(1, 0, 100, 1, 7, 0));
    CASE("pair goes back", WRONG, SETP(0, 7, 0, 100, 1, 0, 0), GETP(1, 10, 20, 2, 7, 7),
         GETP(1, 30, 40, 3, 0, 0));
    CASE("read goes back during a write without reply", WRONG, INCR(0, 0, NEVER, 0, 0),
         GETC(1, 10, 20, 2, 1), GETC(2, 30, 40, 3, 0));
    CASE("one write without reply, two effects", WRONG, INCR(0, 0, NEVER, 0, 0),
         GETC(1, 10, 20, 2, 2));
    CASE("effect before the call of a write without reply", WRONG, GETC(1, 10, 20, 2, 1),
         INCR(0, 30, NEVER, 0, 0));
    CASE("results in the wrong order", WRONG, INCR(0, 0, 10, 1, 2), INCR(1, 20, 30, 2, 1));
    CASE("an acknowledged write overwritten by history", WRONG, SETP(0, 7, 0, 10, 1, 0, 0),
         SETP(1, 8, 20, 30, 2, 0, 0));
    // Linear by results alone, but the slots lie.
    CASE("slot before one that ended", WRONG_BY_SLOT_ONLY, GETC(0, 0, 10, 5, 0),
         GETC(1, 20, 30, 4, 0));
    CASE("same slot as one that ended", WRONG_BY_SLOT_ONLY, GETC(0, 0, 10, 5, 0),
         GETC(1, 20, 30, 5, 0));
    CASE("slots against results", WRONG_BY_SLOT_ONLY, INCR(0, 0, 100, 2, 1), INCR(1, 0, 100, 1, 2));
}

// Random right histories pass; with one result changed to what nobody ever wrote they fail.
static void random_histories(void **state)
{
    (void)state;
    uint32_t caught = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct choice choice;
        choice_init_seed(&choice, seed);
        struct checker_op ops[40];
        struct checker_model model = {0};
        uint64_t now = 0;
        for (uint32_t i = 0; i < 40; i++) {
            struct checker_op *op = &ops[i];
            *op = (struct checker_op){.client = i % 3,
                                      .kind = (uint8_t)choice_u32(&choice, CHECKER_KINDS),
                                      .key = (uint8_t)choice_u32(&choice, 2),
                                      .argument = i + 1,
                                      .index = i / 2};
            uint64_t effect = now + 10 * (i / 2);
            op->call_ns = effect < 15 ? 0 : effect - choice_u32(&choice, 15);
            op->return_ns = effect + 10 + choice_u32(&choice, 15);
            checker_apply(&model.object[checker_object_of(op->kind, op->key)], op->kind,
                          op->argument, op->result);
        }
        judge("random", RIGHT, ops, 40);
        struct checker_op *victim = &ops[choice_u32(&choice, 40)];
        victim->result[0] += 1000;
        assert_int_equal(checker_slots(ops, 40).outcome, CHECKER_VIOLATION);
        caught += checker_linear(ops, 40).outcome == CHECKER_VIOLATION;
        victim->result[0] -= 1000;
        victim->return_ns = CHECKER_NEVER;
        judge("random, one without reply", RIGHT, ops, 40);
    }
    assert_int_equal(caught, 300);
}

static void giving_up_is_no_pass(void **state)
{
    (void)state;
    // 70 concurrent operations on one object: beyond what the search takes.
    struct checker_op ops[70];
    for (uint32_t i = 0; i < 70; i++) {
        ops[i] = (struct checker_op)INCR(i, 0, 100, i, i + 1);
    }
    assert_int_equal(checker_linear(ops, 70).outcome, CHECKER_GAVE_UP);
    assert_int_equal(checker_slots(ops, 70).outcome, CHECKER_PASS);
    // 30 concurrent appends in one slot whose hash nobody can reach.
    for (uint32_t i = 0; i < 30; i++) {
        ops[i] = (struct checker_op)SETP(i, i + 1, 0, 100, 1, 0, 0);
        ops[i].return_ns = i < 15 ? NEVER : 100;
        ops[i].result[0] = ops[i].result[1] = i < 29 ? i : 77;
    }
    assert_int_not_equal(checker_slots(ops, 30).outcome, CHECKER_PASS);
}

static enum checker_outcome witness(const struct checker_op *ops, size_t count, uint32_t a,
                                    uint32_t b, uint32_t c, size_t ordered)
{
    const uint32_t order[] = {a, b, c};
    return checker_witness(ops, count, order, ordered).outcome;
}

static void a_witness_decides(void **state)
{
    (void)state;
    const struct checker_op ops[] = {INCR(0, 0, 10, 1, 1), INCR(1, 5, NEVER, 0, 0),
                                     GETC(2, 20, 30, 2, 2)};
    assert_int_equal(witness(ops, 3, 0, 1, 2, 3), CHECKER_PASS);
    assert_int_equal(witness(ops, 3, 0, 2, 0, 2), CHECKER_VIOLATION); // then the counter is 1
    assert_int_equal(witness(ops, 3, 1, 0, 2, 3), CHECKER_VIOLATION); // then the first is 2
    assert_int_equal(witness(ops, 3, 0, 1, 1, 3), CHECKER_VIOLATION); // twice
    assert_int_equal(witness(ops, 3, 0, 1, 0, 2), CHECKER_VIOLATION); // answered without effect
    assert_int_equal(witness(ops, 3, 0, 1, 3, 3), CHECKER_VIOLATION); // never called
    // Both orders explain the results; real time allows one.
    const struct checker_op reads[] = {GETC(0, 0, 10, 1, 0), GETC(1, 20, 30, 2, 0)};
    assert_int_equal(witness(reads, 2, 0, 1, 0, 2), CHECKER_PASS);
    assert_int_equal(witness(reads, 2, 1, 0, 0, 2), CHECKER_VIOLATION);
    // What is open all the time may come anywhere after its call.
    const struct checker_op late[] = {GETC(0, 0, 10, 1, 0), INCR(1, 20, NEVER, 0, 0)};
    assert_int_equal(witness(late, 2, 0, 1, 0, 2), CHECKER_PASS);
    assert_int_equal(witness(late, 2, 1, 0, 0, 2), CHECKER_VIOLATION);
    // Reads beside the log are in no order: one that saw what was there, one that is stale, and one
    // that saw it before another that began later did not.
    struct checker_op beside[] = {INCR(0, 0, 10, 1, 1), INCR(1, 40, 50, 2, 2),
                                  GETC(2, 20, 30, 1, 1), GETC(3, 60, 70, 2, 2)};
    beside[2].beside_log = beside[3].beside_log = true;
    assert_int_equal(witness(beside, 4, 0, 1, 0, 2), CHECKER_PASS);
    assert_int_equal(checker_slots(beside, 4).outcome, CHECKER_PASS);
    beside[3].result[0] = 1;
    beside[3].index = 1;
    assert_int_equal(witness(beside, 4, 0, 1, 0, 2), CHECKER_VIOLATION);
    assert_int_equal(checker_slots(beside, 4).outcome, CHECKER_VIOLATION);
    beside[1].call_ns = 15; // now it is open while both are read
    beside[1].return_ns = 80;
    assert_int_equal(witness(beside, 4, 0, 1, 0, 2), CHECKER_PASS);
    beside[2].result[0] = 2;
    assert_int_equal(witness(beside, 4, 0, 1, 0, 2), CHECKER_VIOLATION);
    // Many in one slot: more orders than anybody can try.
    struct checker_op same[30] = {INCR(0, 0, 10, 1, 1)};
    for (uint32_t i = 1; i < 30; i++) {
        same[i] = (struct checker_op)GETC(i, 20, 30, 1, 1);
        same[i].beside_log = true;
    }
    assert_int_equal(checker_slots(same, 30).outcome, CHECKER_PASS);
    same[29].result[0] = 0;
    assert_int_equal(checker_slots(same, 30).outcome,
                     CHECKER_PASS); // perhaps before it, in its slot
    same[29].result[0] = 2;
    assert_int_equal(checker_slots(same, 30).outcome, CHECKER_VIOLATION);
    // A history on which the searches give up.
    struct checker_op many[60];
    uint32_t order[60];
    for (uint32_t i = 0; i < 60; i++) {
        many[i] = (struct checker_op)SETP(i, i + 1, 0, 100, 1, i, i);
        many[i].return_ns = i % 2 == 0 ? NEVER : 100;
        order[i] = i;
    }
    assert_int_equal(checker_witness(many, 60, order, 60).outcome, CHECKER_PASS);
    assert_int_equal(checker_witness(many, 60, order, 58).outcome, CHECKER_VIOLATION);
}

// ---- replicas
// ----------------------------------------------------------------------------------------

static struct checker_group *group;

static int open_group(void **state)
{
    (void)state;
    group = checker_group_open();
    return group == NULL;
}

static int close_group(void **state)
{
    (void)state;
    checker_group_close(group);
    return 0;
}

static int reset_group(void **state)
{
    (void)state;
    checker_group_reset(group);
    return 0;
}

struct batch {
    _Alignas(8) uint8_t bytes[512];
    size_t used;
};

static uint32_t submit(uint32_t client, enum checker_kind kind, uint32_t argument)
{
    struct checker_op op = {.client = client, .kind = (uint8_t)kind, .argument = argument};
    return checker_submit(group, &op);
}

static void add(struct batch *batch, uint64_t session, uint64_t number, uint32_t operation)
{
    size_t count;
    const struct checker_op *op = &checker_ops(group, &count)[operation];
    uint8_t body[CHECKER_BODY_BYTES];
    checker_body_encode(body, op, operation);
    struct tacit_wire_item item = {.kind = TACIT_ITEM_APPLY,
                                   .subject = (uint16_t)op->client,
                                   .session = session,
                                   .number = number,
                                   .body = body,
                                   .body_bytes = sizeof body};
    assert_true(tacit_wire_item_encode(batch->bytes, sizeof batch->bytes, &batch->used, &item));
}

static void decide(uint32_t replica, uint64_t index, const struct batch *batch)
{
    checker_decided(group, replica, index, batch->bytes, batch->used);
}

static void execute(uint32_t replica, uint64_t index, uint64_t session, uint64_t number,
                    uint64_t r0, uint64_t r1)
{
    uint64_t reply[2] = {r0, r1};
    checker_executed(group, replica, index, 0, session, number, reply, sizeof reply);
}

static void expect_violation(const char *fragment)
{
    const char *text = checker_group_violation(group);
    if (text == NULL || strstr(text, fragment) == NULL) {
        fail_msg("expected a violation with \"%s\", got %s", fragment,
                 text == NULL ? "none" : text);
    }
}

// Replica 0 decides and executes two increments of session 7 at indices 0 and 1.
static struct batch first, second;

static void good_start(void)
{
    memset(&first, 0, sizeof first);
    memset(&second, 0, sizeof second);
    add(&first, 7, 1, submit(0, CHECKER_INCR, 0));
    add(&second, 7, 2, submit(0, CHECKER_INCR, 0));
    decide(0, 0, &first);
    execute(0, 0, 7, 1, 1, 0);
    checker_settled(group, 0);
    decide(0, 1, &second);
    execute(0, 1, 7, 2, 2, 0);
    checker_settled(group, 0);
    assert_null(checker_group_violation(group));
}

static void good_group(void **state)
{
    (void)state;
    good_start();
    decide(1, 0, &first);
    execute(1, 0, 7, 1, 1, 0);
    decide(1, 1, &second);
    execute(1, 1, 7, 2, 2, 0);
    checker_state(group, 0, 2, 99);
    checker_state(group, 1, 2, 99);
    uint64_t reply[2] = {2, 0};
    checker_acknowledge(group, 1, 7, 2, 500, 1, reply, sizeof reply);
    assert_false(checker_finish(group, 2, true));
    assert_null(checker_group_violation(group));
}

static void disagreement(void **state)
{
    (void)state;
    good_start();
    decide(1, 0, &second);
    expect_violation("no agreement");
}

static void gap(void **state)
{
    (void)state;
    good_start();
    decide(1, 1, &second);
    expect_violation("expected 0");
}

static void gap_after_transfer_is_right(void **state)
{
    (void)state;
    good_start();
    checker_replica_jumped(group, 1);
    decide(1, 1, &second);
    execute(1, 1, 7, 2, 2, 0);
    assert_null(checker_group_violation(group));
    decide(1, 1, &second);
    expect_violation("expected 2");
}

static void executed_again_at_another_index(void **state)
{
    (void)state;
    good_start();
    decide(0, 2, &second);
    execute(0, 2, 7, 2, 3, 0);
    expect_violation("executed twice");
}

static void out_of_session_order(void **state)
{
    (void)state;
    good_start();
    struct batch third = {.used = 0};
    add(&third, 7, 4, submit(0, CHECKER_INCR, 0));
    decide(0, 2, &third);
    execute(0, 2, 7, 4, 3, 0);
    expect_violation("out of session order");
}

static void same_operation_in_two_sessions(void **state)
{
    (void)state;
    good_start();
    struct batch third = {.used = 0};
    add(&third, 8, 1, 1);
    decide(0, 2, &third);
    execute(0, 2, 8, 1, 3, 0);
    expect_violation("a second time");
}

static void invented(void **state)
{
    (void)state;
    good_start();
    struct batch third = {.used = 0};
    struct checker_op op = {.kind = CHECKER_APPEND, .argument = 5};
    uint8_t body[CHECKER_BODY_BYTES];
    checker_body_encode(body, &op, 1); // names operation 1, which is an increment
    struct tacit_wire_item item = {.kind = TACIT_ITEM_APPLY,
                                   .session = 7,
                                   .number = 3,
                                   .body = body,
                                   .body_bytes = sizeof body};
    assert_true(tacit_wire_item_encode(third.bytes, sizeof third.bytes, &third.used, &item));
    decide(0, 2, &third);
    execute(0, 2, 7, 3, 1, 0);
    expect_violation("invented");
}

static void executed_what_was_not_decided(void **state)
{
    (void)state;
    good_start();
    execute(0, 1, 7, 3, 1, 0);
    expect_violation("without having decided");
}

static void executed_less_than_another(void **state)
{
    (void)state;
    good_start();
    decide(1, 0, &first);
    decide(1, 1, &second);
    expect_violation("executed 0 requests");
}

static void executed_more_than_another(void **state)
{
    (void)state;
    good_start();
    decide(1, 0, &first);
    execute(1, 0, 7, 1, 1, 0);
    execute(1, 0, 7, 2, 2, 0);
    expect_violation("unlike");
}

static void other_reply_than_another(void **state)
{
    (void)state;
    good_start();
    decide(1, 0, &first);
    execute(1, 0, 7, 1, 2, 0);
    expect_violation("unlike");
}

static void reply_against_the_model(void **state)
{
    (void)state;
    good_start();
    struct batch third = {.used = 0};
    add(&third, 7, 3, submit(0, CHECKER_INCR, 0));
    decide(0, 2, &third);
    execute(0, 2, 7, 3, 5, 0);
    expect_violation("wrong reply");
}

static void other_state(void **state)
{
    (void)state;
    good_start();
    checker_state(group, 0, 2, 99);
    decide(1, 0, &first);
    execute(1, 0, 7, 1, 1, 0);
    decide(1, 1, &second);
    execute(1, 1, 7, 2, 2, 0);
    checker_state(group, 1, 2, 98);
    expect_violation("another state");
}

static void state_from_the_future(void **state)
{
    (void)state;
    good_start();
    checker_state(group, 1, 3, 99);
    expect_violation("are decided");
}

static void going_back(void **state)
{
    (void)state;
    checker_monotone(group, 0, (struct checker_marks){.commit = 3, .applied = 2, .ballot = 9});
    checker_monotone(group, 0, (struct checker_marks){.commit = 3, .applied = 2, .ballot = 9});
    assert_null(checker_group_violation(group));
    checker_monotone(group, 0, (struct checker_marks){.commit = 3, .applied = 2, .ballot = 8});
    expect_violation("ballot");
    checker_group_reset(group);
    checker_monotone(group, 0, (struct checker_marks){.commit = 3});
    checker_monotone(group, 0, (struct checker_marks){.commit = 2});
    expect_violation("commit");
}

static void acknowledged_too_early(void **state)
{
    (void)state;
    uint64_t reply[2] = {1, 0};
    uint32_t operation = submit(0, CHECKER_INCR, 0);
    checker_acknowledge(group, operation, 7, 1, 500, 0, reply, sizeof reply);
    expect_violation("before anybody executed");
}

static void acknowledged_with_another_reply(void **state)
{
    (void)state;
    good_start();
    uint64_t reply[2] = {9, 0};
    checker_acknowledge(group, 1, 7, 2, 500, 1, reply, sizeof reply);
    (void)checker_finish(group, 2, false);
    expect_violation("another reply");
}

static void acknowledged_and_lost(void **state)
{
    (void)state;
    good_start();
    uint64_t reply[2] = {2, 0};
    checker_acknowledge(group, 1, 7, 2, 500, 1, reply, sizeof reply);
    (void)checker_finish(group, 1, false);
    expect_violation("lost");
}

int main(void)
{
#define GROUP(test) cmocka_unit_test_setup(test, reset_group)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_histories),
        cmocka_unit_test(wrong_histories),
        cmocka_unit_test(random_histories),
        cmocka_unit_test(giving_up_is_no_pass),
        cmocka_unit_test(a_witness_decides),
        GROUP(good_group),
        GROUP(disagreement),
        GROUP(gap),
        GROUP(gap_after_transfer_is_right),
        GROUP(executed_again_at_another_index),
        GROUP(out_of_session_order),
        GROUP(same_operation_in_two_sessions),
        GROUP(invented),
        GROUP(executed_what_was_not_decided),
        GROUP(executed_less_than_another),
        GROUP(executed_more_than_another),
        GROUP(other_reply_than_another),
        GROUP(reply_against_the_model),
        GROUP(other_state),
        GROUP(state_from_the_future),
        GROUP(going_back),
        GROUP(acknowledged_too_early),
        GROUP(acknowledged_with_another_reply),
        GROUP(acknowledged_and_lost),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}
