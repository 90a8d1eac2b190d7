// SPDX-License-Identifier: Apache-2.0
//
// Replicated registers by hand: every mixture of old and new words of a sub-slot, and what a write
// and a read wait for. Random runs are in byz_registers_sim_test.c.
// TACIT_SEEDED: yes
#include "support/fake_fabric.h"

#include <stdlib.h>

#include "byz_registers_values.h"
#include "core/base/bug.h"

// One replica, three memory nodes, everything lands when the test says so.
struct hand {
    struct fake_fabric fake;
    struct tacit_registers *registers;
    void *memory;
    _Alignas(8) uint8_t own[MEMNODES][REGISTERS * TACIT_REGISTER_BYTES];
    _Alignas(8) uint8_t other[MEMNODES][REGISTERS * TACIT_REGISTER_BYTES];
    tacit_time_ns_t now_ns;
    uint64_t written, was_read; // tickets
    uint64_t calls;
    uint64_t number; // that was read
};

static void hand_written(void *context, uint32_t index, uint64_t ticket)
{
    struct hand *hand = context;
    (void)index;
    hand->written = ticket;
    hand->calls++;
}

static void hand_was_read(void *context, uint64_t ticket, const uint8_t *value)
{
    struct hand *hand = context;
    hand->was_read = ticket;
    hand->calls++;
    hand->number = number_of(value, 1, 0);
}

static void hand_pump(struct hand *hand)
{
    struct tacit_event event;
    while (fake_take(&hand->fake, &event)) {
        tacit_registers_event(hand->registers, &event, hand->now_ns);
    }
    tacit_registers_poll(hand->registers, hand->now_ns);
}

static void hand_open(struct hand *hand)
{
    memset(hand, 0, sizeof *hand);
    hand->now_ns = 1000;
    fake_init(&hand->fake, 0, 1);
    struct tacit_registers_config config = config_of(0);
    struct tacit_registers_calls calls = {hand, hand_written, hand_was_read};
    struct tacit_bump measure = {.base = NULL};
    tacit_registers_init(&measure, &config, NULL, NULL, (struct tacit_marker){0});
    hand->memory = aligned_alloc(64, tacit_round_up(measure.used, 64));
    struct tacit_bump bump = {.base = hand->memory};
    hand->registers = tacit_registers_init(&bump, &config, &hand->fake.fabric, &calls,
                                           (struct tacit_marker){.mark = mark});
    assert_int_equal(bump.used, measure.used);
    tacit_registers_owner(hand->registers, 1, 1);
    for (uint32_t i = 0; i < MEMNODES; i++) {
        fake_add_region(&hand->fake, memnode(i), TACIT_REGION_REGISTERS, 0, 1, hand->own[i],
                        sizeof hand->own[i]);
        fake_add_region(&hand->fake, memnode(i), TACIT_REGION_REGISTERS, 1, 1, hand->other[i],
                        sizeof hand->other[i]);
        tacit_registers_accept(hand->registers, memnode(i), 1);
        fake_up(&hand->fake, memnode(i), 1);
    }
    hand_pump(hand);
}

static void hand_write(struct hand *hand, uint64_t number)
{
    uint8_t value[TACIT_REGISTER_VALUE_BYTES];
    value_of(value, 1, 0, number);
    tacit_registers_write(hand->registers, 0, value, number, hand->now_ns);
}

static uint32_t op_at(const struct hand *hand, uint32_t node)
{
    for (uint32_t i = 0; i < hand->fake.op_count; i++) {
        if (hand->fake.ops[i].op.host == memnode(node)) {
            return i;
        }
    }
    return UINT32_MAX;
}

static bool land(struct hand *hand, uint32_t node)
{
    uint32_t op = op_at(hand, node);
    if (op == UINT32_MAX) {
        return false;
    }
    fake_land(&hand->fake, op, UINT32_MAX);
    hand_pump(hand);
    return true;
}

static void write__is_done_at_a_majority(void **state)
{
    (void)state;
    struct hand hand;
    hand_open(&hand);
    assert_int_equal(tacit_registers_nodes_up(hand.registers), (1u << MEMNODES) - 1);
    hand_write(&hand, 1);
    assert_int_equal(hand.fake.op_count, 3);
    assert_true(land(&hand, 2));
    assert_int_equal(hand.written, 0);
    assert_true(land(&hand, 0));
    assert_int_equal(hand.written, 1);
    assert_true(land(&hand, 1));
    assert_int_equal(hand.calls, 1);
    free(hand.memory);
}

// After each write the node is left alone for the cool-down; then it gets the newest value only, in
// the other sub-slot.
static void write__waits_and_skips(void **state)
{
    (void)state;
    struct hand hand;
    hand_open(&hand);
    hand_write(&hand, 1);
    hand.now_ns += 100;
    assert_true(land(&hand, 0)); // cools down from here
    hand_write(&hand, 2);
    hand_write(&hand, 3);
    assert_int_equal(op_at(&hand, 0), UINT32_MAX);
    assert_int_equal(tacit_registers_deadline(hand.registers), hand.now_ns + COOLDOWN);
    hand.now_ns += COOLDOWN - 1;
    hand_pump(&hand);
    assert_int_equal(op_at(&hand, 0), UINT32_MAX);
    hand.now_ns += 1;
    hand_pump(&hand);
    assert_int_equal(hand.fake.ops[op_at(&hand, 0)].op.offset, TACIT_REGISTER_SLOT_BYTES);
    assert_true(land(&hand, 0));
    assert_int_equal(hand.written, 0); // at one node
    assert_true(land(&hand, 1));       // that is the first value
    assert_int_equal(hand.written, 0);
    hand.now_ns += COOLDOWN;
    hand_pump(&hand);
    assert_true(land(&hand, 1));
    assert_int_equal(hand.written, 3);
    assert_int_equal(hand.calls, 1);
    assert_true(tacit_registers_counters(hand.registers)->nodes_skipped >= 2);
    free(hand.memory);
}

// A lost write may have left its sub-slot torn: the next one goes to the same, after a cool-down
// from the new connection.
static void write__repairs_what_was_lost(void **state)
{
    (void)state;
    struct hand hand;
    hand_open(&hand);
    hand_write(&hand, 1);
    assert_true(land(&hand, 0));
    hand.now_ns += COOLDOWN;
    hand_write(&hand, 2);
    uint32_t op = op_at(&hand, 0);
    assert_int_equal(hand.fake.ops[op].op.offset, TACIT_REGISTER_SLOT_BYTES);
    fake_land(&hand.fake, op, 7); // torn
    fake_down(&hand.fake, memnode(0), false);
    hand_pump(&hand);
    hand.now_ns += 10 * COOLDOWN;
    fake_up(&hand.fake, memnode(0), 1);
    hand_pump(&hand);
    assert_int_equal(op_at(&hand, 0), UINT32_MAX);
    hand.now_ns += COOLDOWN - 1;
    hand_pump(&hand);
    assert_int_equal(op_at(&hand, 0), UINT32_MAX);
    hand.now_ns += 1;
    hand_pump(&hand);
    assert_int_equal(hand.fake.ops[op_at(&hand, 0)].op.offset, TACIT_REGISTER_SLOT_BYTES);
    free(hand.memory);
}

// Another's register as its owner writes it: through an instance of its own.
static void make_slots(uint8_t slots[3][TACIT_REGISTER_SLOT_BYTES])
{
    struct hand hand;
    hand_open(&hand);
    for (uint64_t number = 1; number <= 3; number++) {
        hand_write(&hand, number);
        assert_true(land(&hand, 0));
        hand.now_ns += COOLDOWN;
        memcpy(slots[number - 1], hand.own[0] + (number - 1) % 2 * TACIT_REGISTER_SLOT_BYTES,
               TACIT_REGISTER_SLOT_BYTES);
    }
    free(hand.memory);
}

static uint64_t read_now(struct hand *hand)
{
    static uint64_t ticket;
    assert_true(tacit_registers_read(hand->registers, 1, 0, ++ticket, hand->now_ns));
    for (uint32_t i = 0; i < MEMNODES; i++) {
        land(hand, i);
    }
    hand->now_ns++; // the turn that judges what was torn
    hand_pump(hand);
    return hand->was_read == ticket ? hand->number : UINT64_MAX - 1;
}

// The writer goes from value 1 to 3 in one sub-slot while 2 is in the other: whatever mixture of
// words is there, a reader gets 2, or 3 if it is whole.
static const char *every_mixture(void)
{
    enum { WORDS = TACIT_REGISTER_SLOT_BYTES / 8, STEP = 13 };
    uint8_t slots[3][TACIT_REGISTER_SLOT_BYTES];
    make_slots(slots);
    struct hand hand;
    hand_open(&hand);
    const char *wrong = NULL;
    for (uint32_t set = 0; set < 1u << WORDS && wrong == NULL; set += 1 + set % STEP) {
        bool is_new = true;
        for (uint32_t word = 0; word < WORDS; word++) {
            const uint8_t *from = (set >> word & 1) != 0 ? slots[2] : slots[0];
            memcpy(hand.other[0] + 8 * word, from + 8 * word, 8);
            is_new = is_new && memcmp(from + 8 * word, slots[2] + 8 * word, 8) == 0;
        }
        memcpy(hand.other[0] + TACIT_REGISTER_SLOT_BYTES, slots[1], sizeof slots[1]);
        memcpy(hand.other[1], hand.other[0], sizeof hand.other[0]);
        wrong = read_now(&hand) == (is_new ? 3 : 2) ? NULL : "a torn value, or a stale one";
    }
    free(hand.memory);
    return wrong;
}

static void read__takes_whole_sub_slots_only(void **state)
{
    (void)state;
    memset(marks, 0, sizeof marks);
    assert_null(every_mixture());
    assert_true(marks[TACIT_MARK_REGISTER_SAVED_BY_OTHER] > 0);
    // Both torn: empty, and no evidence.
    struct hand hand;
    uint8_t slots[3][TACIT_REGISTER_SLOT_BYTES];
    make_slots(slots);
    hand_open(&hand);
    assert_int_equal(read_now(&hand), 0); // never written
    assert_int_equal(marks[TACIT_MARK_REGISTER_TORN], 0);
    for (uint32_t i = 0; i < MEMNODES; i++) {
        memcpy(hand.other[i], slots[0], sizeof slots[0]);
        memcpy(hand.other[i] + TACIT_REGISTER_SLOT_BYTES, slots[1], sizeof slots[1]);
        hand.other[i][40] ^= 1;
        hand.other[i][TACIT_REGISTER_SLOT_BYTES + 40] ^= 1;
    }
    assert_int_equal(read_now(&hand), 0);
    assert_true(marks[TACIT_MARK_REGISTER_TORN] > 0);
    free(hand.memory);
}

// That a region is not there is an answer (nothing was written); that it is not yet here is none.
static void read__waits_for_regions_that_are_coming(void **state)
{
    (void)state;
    uint8_t slots[3][TACIT_REGISTER_SLOT_BYTES];
    struct hand hand;
    make_slots(slots);
    hand_open(&hand);
    for (uint32_t i = 0; i < MEMNODES; i++) {
        struct tacit_region_key key = {TACIT_REGION_REGISTERS, 1, 1};
        memcpy(hand.other[i], slots[1], sizeof slots[0]);
        fake_find(&hand.fake, memnode(i), key)->coming = i > 0;
        fake_find(&hand.fake, memnode(i), key)->live = i > 0; // node 0 has none
    }
    assert_true(tacit_registers_read(hand.registers, 1, 0, 5, hand.now_ns));
    for (uint32_t turn = 0; turn < 10; turn++) {
        hand.now_ns = tacit_registers_deadline(hand.registers);
        hand_pump(&hand);
        assert_int_equal(hand.fake.op_count, 0);
        assert_int_equal(hand.calls, 0);
    }
    struct tacit_region_key key = {TACIT_REGION_REGISTERS, 1, 1};
    fake_find(&hand.fake, memnode(2), key)->coming = false;
    hand.now_ns = tacit_registers_deadline(hand.registers);
    hand_pump(&hand);
    assert_true(land(&hand, 2));
    assert_int_equal(hand.calls, 1);
    assert_int_equal(hand.number, 2); // of slots[1]
    free(hand.memory);
}

static void read__takes_the_newest_of_a_majority(void **state)
{
    (void)state;
    uint8_t slots[3][TACIT_REGISTER_SLOT_BYTES];
    make_slots(slots);
    for (uint32_t order = 0; order < 27; order++) {
        uint32_t has[MEMNODES] = {order % 3, order / 3 % 3, order / 9};
        for (uint32_t silent = 0; silent < MEMNODES; silent++) {
            struct hand hand;
            hand_open(&hand);
            uint32_t newest = 0;
            for (uint32_t i = 0; i < MEMNODES; i++) {
                memcpy(hand.other[i], slots[has[i]], sizeof slots[0]);
                newest = i != silent && has[i] > newest ? has[i] : newest;
            }
            assert_true(tacit_registers_read(hand.registers, 1, 0, 5, hand.now_ns));
            uint32_t answered = 0;
            for (uint32_t i = 0; i < MEMNODES; i++) {
                if (i != silent) {
                    assert_true(land(&hand, i));
                    assert_int_equal(hand.calls, ++answered == 2);
                }
            }
            assert_int_equal(hand.number, newest + 1);
            free(hand.memory);
        }
    }
}

// A slow read counts if both sub-slots were whole; with a torn one it says nothing, since the other
// one may be from before the last write, and is repeated.
static const char *slow_reads(void)
{
    uint8_t slots[3][TACIT_REGISTER_SLOT_BYTES];
    make_slots(slots);
    struct hand hand;
    hand_open(&hand);
    const char *wrong = NULL;
    for (uint32_t i = 0; i < MEMNODES; i++) {
        memcpy(hand.other[i], slots[2], sizeof slots[2]);
        memcpy(hand.other[i] + TACIT_REGISTER_SLOT_BYTES, slots[1], sizeof slots[1]);
        hand.other[i][40] ^= 1; // being written
    }
    assert_true(tacit_registers_read(hand.registers, 1, 0, 5, hand.now_ns));
    hand.now_ns += COOLDOWN;
    land(&hand, 0);
    land(&hand, 1);
    hand.now_ns++;
    hand_pump(&hand);
    if (hand.calls != 0 || tacit_registers_counters(hand.registers)->reads_repeated != 2) {
        wrong = "a slow read of a torn register counts";
    }
    for (uint32_t i = 0; i < MEMNODES; i++) {
        hand.other[i][40] ^= 1;
    }
    hand.now_ns += COOLDOWN;
    land(&hand, 0);
    land(&hand, 1);
    if (wrong == NULL && (hand.calls != 1 || hand.number != 3)) {
        wrong = "a slow read of whole sub-slots does not count";
    }
    free(hand.memory);
    return wrong;
}

// The turn's time is from before polling: a read that took long meanwhile looks short in it.
static const char *late_polls(void)
{
    uint8_t slots[3][TACIT_REGISTER_SLOT_BYTES];
    make_slots(slots);
    struct hand hand;
    hand_open(&hand);
    const char *wrong = NULL;
    for (uint32_t i = 0; i < MEMNODES; i++) {
        memcpy(hand.other[i], slots[2], sizeof slots[2]);
        memcpy(hand.other[i] + TACIT_REGISTER_SLOT_BYTES, slots[1], sizeof slots[1]);
        hand.other[i][40] ^= 1; // being written
    }
    assert_true(tacit_registers_read(hand.registers, 1, 0, 5, hand.now_ns));
    hand.now_ns += 1; // the process stops here, before it polls
    land(&hand, 0);
    land(&hand, 1);
    if (hand.calls != 0 || tacit_registers_deadline(hand.registers) > hand.now_ns + 1) {
        wrong = "a read is judged by a time before its completion";
    }
    hand.now_ns += COOLDOWN;
    hand_pump(&hand);
    if (hand.calls != 0 || tacit_registers_counters(hand.registers)->reads_repeated != 2) {
        wrong = "a read that may have been slow counts";
    }
    land(&hand, 0); // the second try: short for sure
    land(&hand, 1);
    hand.now_ns += COOLDOWN / 2;
    hand_pump(&hand);
    if (wrong == NULL && (hand.calls != 1 || hand.number != 2)) {
        wrong = "a short read of a torn register does not count";
    }
    free(hand.memory);
    return wrong;
}

// What landed torn at a node that is replaced before it is judged, says nothing about the new one.
static void judge__forgets_a_replaced_node(void **state)
{
    (void)state;
    uint8_t slots[3][TACIT_REGISTER_SLOT_BYTES];
    make_slots(slots);
    struct hand hand;
    hand_open(&hand);
    for (uint32_t i = 0; i < MEMNODES; i++) {
        memcpy(hand.other[i], slots[2], sizeof slots[2]);
        hand.other[i][40] ^= 1;
    }
    assert_true(tacit_registers_read(hand.registers, 1, 0, 5, hand.now_ns));
    land(&hand, 0);
    tacit_registers_accept(hand.registers, memnode(0), 2); // not up yet
    hand.now_ns += 1;
    hand_pump(&hand);
    land(&hand, 1);
    hand.now_ns += 1;
    hand_pump(&hand);
    assert_int_equal(hand.calls, 0); // one of three
    land(&hand, 2);
    hand.now_ns += 1;
    hand_pump(&hand);
    assert_int_equal(hand.calls, 1);
    free(hand.memory);
}

static void read__is_repeated_if_it_was_slow_and_torn(void **state)
{
    (void)state;
    assert_null(slow_reads());
    assert_null(late_polls());
}

// A node is written again right after a write there is done.
static const char *restless(void)
{
    struct hand hand;
    hand_open(&hand);
    hand_write(&hand, 1);
    land(&hand, 0);
    hand_write(&hand, 2);
    hand.now_ns += COOLDOWN - 1;
    hand_pump(&hand);
    const char *wrong = op_at(&hand, 0) == UINT32_MAX ? NULL : "no cool-down";
    free(hand.memory);
    return wrong;
}

// As many at a time as there is room for, whatever a node that hangs holds up; one that hangs for
// too long is reset.
static void read__goes_on_without_a_node_that_hangs(void **state)
{
    (void)state;
    struct hand hand;
    hand_open(&hand);
    for (uint64_t round = 0; round < 20; round++) {
        for (uint64_t i = 0; i < READS; i++) {
            assert_true(tacit_registers_read(hand.registers, 1, 0, round * READS + i, hand.now_ns));
        }
        assert_false(tacit_registers_read(hand.registers, 1, 0, 99, hand.now_ns));
        for (uint64_t i = 0; i < READS; i++) {
            assert_true(land(&hand, 0));
            assert_true(land(&hand, 2));
        }
        assert_int_equal(hand.calls, (round + 1) * READS);
    }
    assert_int_equal(hand.fake.host[memnode(1)].resets, 0);
    assert_true(tacit_registers_deadline(hand.registers) <= 1000 + PATIENCE);
    hand.now_ns += PATIENCE;
    hand_pump(&hand);
    assert_int_equal(hand.fake.host[memnode(1)].resets, 1);
    hand_pump(&hand);
    assert_int_equal(tacit_registers_deadline(hand.registers), UINT64_MAX);
    free(hand.memory);
}

// A node under a larger incarnation is empty, and counts for nothing until it is accepted.
static const char *emptied_node(void)
{
    struct hand hand;
    hand_open(&hand);
    const char *wrong = NULL;
    hand_write(&hand, 1);
    land(&hand, 0);
    fake_down(&hand.fake, memnode(1), true);
    hand_pump(&hand);
    fake_up(&hand.fake, memnode(1), 2);
    hand_pump(&hand);
    hand.now_ns += COOLDOWN;
    hand_pump(&hand);
    if (land(&hand, 1) || hand.written != 0) {
        wrong = "an emptied node is used";
    }
    if (__builtin_popcount(tacit_registers_nodes_up(hand.registers)) != 2) {
        wrong = "an emptied node counts";
    }
    tacit_registers_accept(hand.registers, memnode(1), 2);
    hand_pump(&hand);
    if (!land(&hand, 1) || hand.written != 1) {
        wrong = "an accepted node is not used";
    }
    free(hand.memory);
    return wrong;
}

static void accept__decides_who_counts(void **state)
{
    (void)state;
    assert_null(emptied_node());
}

static void reset__forgets(void **state)
{
    (void)state;
    struct hand hand;
    hand_open(&hand);
    hand_write(&hand, 1);
    assert_true(tacit_registers_read(hand.registers, 1, 0, 5, hand.now_ns));
    tacit_registers_reset(hand.registers);
    while (hand.fake.op_count > 0) {
        fake_land(&hand.fake, 0, UINT32_MAX);
        hand_pump(&hand);
    }
    assert_int_equal(hand.calls, 0);
    hand.now_ns += COOLDOWN;
    hand_pump(&hand);
    assert_int_equal(hand.fake.op_count, 0);
    hand_write(&hand, 2);
    assert_true(land(&hand, 0) && land(&hand, 1));
    assert_int_equal(hand.written, 2);
    free(hand.memory);
}

static void bugs__are_found(void **state)
{
    (void)state;
#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
    static const struct {
        uint32_t bug;
        const char *(*scenario)(void);
    } bugs[] = {{TACIT_BUG_REGISTER_NO_COOLDOWN, restless},
                {TACIT_BUG_REGISTER_SLOW_READ_TAKEN, slow_reads},
                {TACIT_BUG_REGISTER_JUDGED_EARLY, late_polls},
                {TACIT_BUG_REGISTER_CHECK_IGNORED, every_mixture},
                {TACIT_BUG_REGISTER_OLD_NODE_COUNTS, emptied_node}};
    for (unsigned i = 0; i < sizeof bugs / sizeof bugs[0]; i++) {
        assert_null(bugs[i].scenario());
        tacit_seeded_bug = bugs[i].bug;
        const char *wrong = bugs[i].scenario();
        tacit_seeded_bug = TACIT_BUG_NONE;
        assert_non_null(wrong);
    }
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write__is_done_at_a_majority),
        cmocka_unit_test(write__waits_and_skips),
        cmocka_unit_test(write__repairs_what_was_lost),
        cmocka_unit_test(read__takes_whole_sub_slots_only),
        cmocka_unit_test(read__takes_the_newest_of_a_majority),
        cmocka_unit_test(read__waits_for_regions_that_are_coming),
        cmocka_unit_test(read__is_repeated_if_it_was_slow_and_torn),
        cmocka_unit_test(judge__forgets_a_replaced_node),
        cmocka_unit_test(read__goes_on_without_a_node_that_hangs),
        cmocka_unit_test(accept__decides_who_counts),
        cmocka_unit_test(reset__forgets),
        cmocka_unit_test(bugs__are_found),
    };
    return cmocka_run_group_tests_name("byz_registers", tests, NULL, NULL);
}
