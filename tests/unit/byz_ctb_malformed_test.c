// SPDX-License-Identifier: Apache-2.0
//
// Consistent tail broadcast, who writes what no correct replica writes: it is not waited for, for a
// while, and all else is as ever. What a correct one can write, whatever happens to it, is no
// reason. One replica of the small world is told by hand what the others say (byz_ctb_steps.h).
// TACIT_SEEDED: yes
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rules.h"
#include "unit/byz_ctb_steps.h"

enum { SPAN = 512 * WORLD_SLOW_NS }; // of not waiting, after what is malformed

// Whether an id that is broadcast now is waited for, and what this replica broadcasts is not signed
// before somebody asks.
static bool waits_for_all(struct tacit_ctb *ctb, uint64_t k)
{
    struct tacit_payload payload = {.kind = TACIT_PAYLOAD_CHECKPOINT};
    uint64_t own = ctb->streams[0].lock_end;
    say_lock(k, TACIT_PAYLOAD_PREPARE, 0);
    bool waits = tacit_ctb_nudge_due(ctb, 1) >= world.now_ns + WORLD_SLOW_NS;
    assert_true(tacit_ctb_broadcast(ctb, &payload, "a", 1, world.now_ns));
    bool is_signed = tacit_ctb_locked_slot(ctb, 0, own)->sign != TACIT_CTB_NONE;
    assert_int_equal(tacit_ctb_overdue(ctb) == 0, waits);
    assert_int_equal(is_signed, !waits);
    struct tacit_ctb_message answer = {.kind = TACIT_MESSAGE_LOCKED, .epoch = 1, .k = own};
    answer.payload = tacit_ctb_locked_slot(ctb, 0, own)->payload;
    tell(1, &answer);
    tell(2, &answer);
    say_locked(k, 0, false); // it counts, whoever it is
    assert_int_equal(delivered(), k + 1);
    return waits;
}

static void pass(struct tacit_ctb *ctb, tacit_time_ns_t ns)
{
    world.now_ns += ns;
    (void)tacit_ctb_poll(ctb, world.now_ns);
}

static void say_bytes(tacit_node_t from, const void *bytes, uint32_t size)
{
    tacit_ctb_message(world.replica[0].ctb, from, bytes, size, world.now_ns);
}

// ---- rules: true if kept -----------------------------------------------------------------------

// Replica 2 says what cannot be read: it is waited for at no id from then on, until it has said
// nothing of the kind for a while.
static bool rule_malformed_is_not_waited_for(void)
{
    struct tacit_ctb *ctb = open_world(true);
    assert_true(waits_for_all(ctb, 0));
    say_bytes(2, "\x02garbage", 8);
    bool waits = waits_for_all(ctb, 1);
    pass(ctb, SPAN - 1);
    waits = waits_for_all(ctb, 2) || waits;
    say_bytes(2, "\x02garbage", 8); // once more: the span begins anew
    pass(ctb, SPAN - 1);
    waits = waits_for_all(ctb, 3) || waits;
    pass(ctb, 1);
    assert_true(waits_for_all(ctb, 4));
    return !waits;
}

// ---- what is malformed, and what is not --------------------------------------------------------

static uint64_t malformed(const struct tacit_ctb *ctb)
{
    return tacit_ctb_counters(ctb)->malformed;
}

static void found(const struct tacit_ctb *ctb, tacit_node_t who)
{
    assert_int_equal(malformed(ctb), 1);
    for (tacit_node_t r = 0; r < 3; r++) {
        assert_int_equal(tacit_ctb_is_malformed(ctb, r), r == who);
    }
}

static void malformed__is_what_cannot_be_read(void **state)
{
    (void)state;
    uint8_t bytes[TACIT_CTB_MESSAGE_BYTES];
    struct tacit_ctb_message message = lock_of(0, TACIT_PAYLOAD_PREPARE, 0);
    uint32_t size = tacit_ctb_encode(bytes, &message);
    struct tacit_ctb *ctb = open_world(true);
    say_bytes(1, bytes, 0);
    found(ctb, 1);
    ctb = open_world(true);
    say_bytes(1, bytes, size - 1);
    found(ctb, 1);
    ctb = open_world(true);
    bytes[4] = 1; // of what is zero
    say_bytes(1, bytes, size);
    found(ctb, 1);
}

static void malformed__is_who_speaks_for_another(void **state)
{
    (void)state;
    struct tacit_ctb *ctb = open_world(true);
    struct tacit_ctb_message message = lock_of(0, TACIT_PAYLOAD_PREPARE, 0);
    tell(2, &message);
    found(ctb, 2);
}

// ... whether it is LOCK, LOCKED or SIGNED. LOCKED of it is not the first that counts.
static void malformed__is_a_body_beyond_all_bounds(void **state)
{
    (void)state;
    static const uint8_t kinds[] = {TACIT_MESSAGE_LOCK, TACIT_MESSAGE_LOCKED, TACIT_MESSAGE_SIGNED};
    for (size_t i = 0; i < sizeof kinds; i++) {
        struct tacit_ctb *ctb = open_world(true);
        struct tacit_ctb_message message = lock_of(0, TACIT_PAYLOAD_PREPARE, 0);
        tacit_node_t from = kinds[i] == TACIT_MESSAGE_LOCKED ? 2 : 1;
        message.kind = kinds[i];
        message.carries = TACIT_CTB_NOTHING;
        message.payload.body_bytes = WORLD_BODY + 1;
        tell(from, &message);
        found(ctb, from);
        say_lock(0, TACIT_PAYLOAD_PREPARE, 0);
        say_locked(0, 0, false);
        assert_int_equal(delivered(), 1);
        ctb = open_world(true);
        message.payload.body_bytes = WORLD_BODY;
        tell(from, &message);
        assert_int_equal(malformed(ctb), 0);
        assert_int_equal(tacit_ctb_overdue(ctb), 0);
    }
}

// Another epoch, ids beyond all windows, the same again, and LOCKED of another's id that is not
// what was locked here: its broadcaster may have told the two different things.
static void malformed__is_nothing_that_a_correct_one_says(void **state)
{
    (void)state;
    struct tacit_ctb *ctb = open_world(true);
    struct tacit_ctb_message message = lock_of(0, TACIT_PAYLOAD_PREPARE, 0);
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        message.epoch = epoch;
        tell(1, &message);
        tell(1, &message);
    }
    say_locked_kind(0, TACIT_PAYLOAD_CHECKPOINT);
    say_locked(0, 0, false);
    message = lock_of(TACIT_CTB_ID_MAX - 1, TACIT_PAYLOAD_PREPARE, 0);
    tell(1, &message);
    say_locked(TACIT_CTB_ID_MAX - 1, 0, false);
    tacit_ctb_condemn(ctb, 1);
    say_locked(1, 0, false);
    assert_int_equal(malformed(ctb), 0);
    for (tacit_node_t r = 0; r < 3; r++) {
        assert_false(tacit_ctb_is_malformed(ctb, r));
    }
}

// A new member, or the old one in a new life, owes nothing for what another one wrote.
static void epoch__begins_without_it(void **state)
{
    (void)state;
    struct tacit_ctb *ctb = open_world(true);
    tacit_ctb_malformed(ctb, 2, world.now_ns); // so said the ring
    assert_int_equal(tacit_ctb_overdue(ctb), 1u << 2);
    tacit_ctb_reset(ctb, 2, world.now_ns);
    assert_int_equal(tacit_ctb_overdue(ctb), 0);
}

// Whatever the liars, the links and the memory do: no correct one is found malformed by another.
static void runs__find_liars_only(void **state)
{
    (void)state;
    const struct world_options three = {.replicas = 3, .liars = 1, .ids = 60};
    const struct world_options epochs = {.replicas = 3, .liars = 1, .epochs = true, .ids = 40};
    unsigned liars_found = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        static struct choice choice;
        choice_init_seed(&choice, seed);
        const char *violation = world_run(seed % 4 == 0 ? &epochs : &three, &choice);
        if (violation != NULL) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, violation);
        }
        for (uint32_t r = 0; r < 3; r++) {
            liars_found += malformed(world.replica[r].ctb) > 0;
        }
    }
    assert_true(liars_found > 0);
}

static const struct rule rules[] = {
    {"who is malformed is not waited for", rule_malformed_is_not_waited_for,
     TACIT_BUG_MALFORMED_WAITED_FOR},
};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed__is_what_cannot_be_read),
        cmocka_unit_test(malformed__is_who_speaks_for_another),
        cmocka_unit_test(malformed__is_a_body_beyond_all_bounds),
        cmocka_unit_test(malformed__is_nothing_that_a_correct_one_says),
        cmocka_unit_test(epoch__begins_without_it),
        cmocka_unit_test(runs__find_liars_only),
        RULE_TESTS(rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
