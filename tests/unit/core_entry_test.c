// SPDX-License-Identifier: Apache-2.0
//
// Log entries: shape, round trip, every mixture of the words of two entries that follow each other
// in one slot, every flipped bit, headers that lie about their length, and the order of ballots.
// TACIT_LABELS: unit exhaustive
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/log/entry.h"
#include "unit/support/expect_assert.h"

enum { ENTRIES = 16, BATCH_BYTES = 40, SLOT_BYTES_MAX = 512 };

static void fill(uint8_t *payload, uint32_t length, uint8_t seed)
{
    for (uint32_t i = 0; i < length; i++) {
        payload[i] = (uint8_t)(seed + 31 * i + 1);
    }
}

// An entry as it stands in a slot. Returns its bytes.
static uint32_t make(uint8_t *slot, tacit_index_t index, uint64_t ballot, tacit_index_t commit,
                     uint32_t length, uint8_t seed)
{
    fill(slot + TACIT_ENTRY_HEADER, length, seed);
    return tacit_entry_seal(slot, index, ballot, commit, length, seed & 1u);
}

static void shape_keeps_slots_apart(void **state)
{
    (void)state;
    for (uint32_t batch = 1; batch <= 20000; batch += 7) {
        struct tacit_log_shape shape = tacit_log_shape(ENTRIES, batch);
        assert_int_equal(shape.entries, ENTRIES);
        assert_true(shape.slot_bytes >= TACIT_ENTRY_HEADER + batch);
        assert_true(shape.slot_bytes >= tacit_entry_bytes(batch));
        assert_true(shape.slot_bytes % 64 == 0 && shape.slot_bytes % 4096 != 0);
        for (tacit_index_t i = 0; i < ENTRIES; i++) {
            uint64_t at = tacit_log_slot(shape, i);
            assert_true(at % 64 == 0 && at + shape.slot_bytes <= tacit_log_bytes(shape));
            assert_int_equal(at, tacit_log_slot(shape, 0) + i * shape.slot_bytes);
            // The next lap, and the last one there is.
            assert_int_equal(at, tacit_log_slot(shape, i + ENTRIES));
            assert_int_equal(at, tacit_log_slot(shape, UINT64_MAX - (ENTRIES - 1) + i));
        }
    }
}

static void entry_comes_back_whole(void **state)
{
    (void)state;
    struct tacit_log_shape shape = tacit_log_shape(ENTRIES, BATCH_BYTES);
    uint8_t *slot = malloc(shape.slot_bytes);
    for (uint32_t length = 0; length <= shape.slot_bytes - TACIT_ENTRY_HEADER; length++) {
        for (tacit_index_t commit = 0; commit <= 8; commit++) {
            memset(slot, 0xee, shape.slot_bytes);
            uint32_t bytes = make(slot, 7, 99, commit, length, (uint8_t)length);
            assert_int_equal(bytes, tacit_entry_bytes(length));
            assert_true(bytes % 8 == 0 && bytes <= shape.slot_bytes);
            for (uint32_t i = TACIT_ENTRY_HEADER + length; i < bytes; i++) {
                assert_int_equal(slot[i], 0);
            }
            struct tacit_entry entry;
            assert_true(tacit_entry_read(&entry, slot, shape.slot_bytes, 7));
            assert_true(entry.adopted == 0 && entry.index == 7 && entry.ballot == 99);
            assert_true(entry.commit == commit && entry.length == length);
            assert_int_equal(entry.flags, length & 1);
            // Only as what it is.
            assert_false(tacit_entry_read(&entry, slot, shape.slot_bytes, 7 + ENTRIES));
            assert_false(tacit_entry_read(&entry, slot, shape.slot_bytes, 6));
        }
    }
    EXPECT_TACIT_ASSERT((void)tacit_entry_seal(slot, 7, 99, 9, 0, 0));
    free(slot);
}

// A copy may hold less than its header says: a writer replaced the entry between two reads.
static void a_short_copy_is_not_whole(void **state)
{
    (void)state;
    _Alignas(8) uint8_t slot[SLOT_BYTES_MAX];
    for (uint32_t length = 0; length <= BATCH_BYTES; length++) {
        memset(slot, 0, sizeof(slot));
        uint32_t whole = make(slot, 4, 9, 0, length, 6);
        for (uint32_t bytes = TACIT_ENTRY_HEADER; bytes <= whole + 8; bytes += 8) {
            uint8_t *copy = malloc(bytes); // exactly, for the sanitizer
            memcpy(copy, slot, bytes);
            struct tacit_entry entry;
            assert_int_equal(tacit_entry_read(&entry, copy, bytes, 4), bytes >= whole);
            free(copy);
        }
    }
}

static void adopting_is_outside_the_checksum(void **state)
{
    (void)state;
    struct tacit_log_shape shape = tacit_log_shape(ENTRIES, BATCH_BYTES);
    _Alignas(8) uint8_t slot[SLOT_BYTES_MAX];
    (void)make(slot, 3, 50, 2, 20, 1);
    for (uint64_t adopted = 0; adopted <= 100; adopted++) {
        memcpy(slot + TACIT_ENTRY_ADOPTED, &adopted, 8);
        struct tacit_entry entry;
        assert_true(tacit_entry_read(&entry, slot, shape.slot_bytes, 3));
        assert_int_equal(entry.ballot, 50);
        assert_int_equal(tacit_entry_effective(&entry), adopted > 50 ? adopted : 50);
    }
    // Written again: nobody has adopted that one yet.
    (void)make(slot, 3, 60, 2, 20, 2);
    struct tacit_entry entry;
    assert_true(tacit_entry_read(&entry, slot, shape.slot_bytes, 3));
    assert_int_equal(entry.adopted, 0);
}

static void every_flipped_bit_shows(void **state)
{
    (void)state;
    struct tacit_log_shape shape = tacit_log_shape(ENTRIES, BATCH_BYTES);
    _Alignas(8) uint8_t slot[SLOT_BYTES_MAX];
    for (uint32_t length = 0; length <= BATCH_BYTES; length += 5) {
        memset(slot, 0, sizeof(slot));
        (void)make(slot, 5, 1ull << 32, 5, length, (uint8_t)length);
        for (uint32_t bit = 8 * 8; bit < 8 * (TACIT_ENTRY_HEADER + length); bit++) {
            struct tacit_entry entry;
            slot[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_false(tacit_entry_read(&entry, slot, shape.slot_bytes, 5));
            slot[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_true(tacit_entry_read(&entry, slot, shape.slot_bytes, 5));
        }
    }
}

// What a slot can hold while `after` is written over `before`, both whole entries: any mixture of
// their words. A mixture may pass only if it is one of the two (but for the adopted word).
static void check_mixtures(struct tacit_log_shape shape, const uint8_t *before, tacit_index_t old,
                           const uint8_t *after, tacit_index_t new, uint32_t words)
{
    _Alignas(8) uint8_t slot[SLOT_BYTES_MAX];
    uint32_t whole = 0;
    for (uint32_t mixture = 0; mixture < 1u << words; mixture++) {
        memcpy(slot, before, shape.slot_bytes);
        for (uint32_t word = 0; word < words; word++) {
            if ((mixture >> word & 1) != 0) {
                memcpy(slot + 8 * word, after + 8 * word, 8);
            }
        }
        struct tacit_entry entry;
        tacit_entry_peek(&entry, slot);
        tacit_index_t claims = entry.index;
        assert_true(claims == old || claims == new);
        if (tacit_entry_read(&entry, slot, shape.slot_bytes, claims)) {
            uint32_t bytes = tacit_entry_bytes(entry.length);
            assert_true(memcmp(slot + 8, before + 8, bytes - 8) == 0 ||
                        memcmp(slot + 8, after + 8, bytes - 8) == 0);
            whole++;
        }
    }
    assert_true(whole >= 4); // both, with either adopted word
}

static void no_mixture_of_words_passes(void **state)
{
    (void)state;
    struct tacit_log_shape shape = tacit_log_shape(ENTRIES, BATCH_BYTES);
    // {index, ballot, commit, length, payload} of what comes after (5, 70, 5, 24, seed 1).
    const struct {
        tacit_index_t index;
        uint64_t ballot;
        tacit_index_t commit;
        uint32_t length;
        uint8_t seed;
    } next[] = {
        {5 + ENTRIES, 70, 5 + ENTRIES, 24, 2}, // the next lap of the same leader
        {5 + ENTRIES, 70, 5 + ENTRIES, 40, 2}, // longer
        {5 + ENTRIES, 70, 5 + ENTRIES, 7, 2},  // shorter
        {5 + ENTRIES, 90, 5 + ENTRIES, 24, 1}, // equal payload
        {5, 90, 5, 24, 2},                     // the same index by a later term, another value
        {5, 90, 6, 24, 1},                     // the same value again
        {5, 90, 0, 0, 0},                      // a no-op
        {5, 90, 5, 40, 1},
    };
    _Alignas(8) uint8_t before[SLOT_BYTES_MAX];
    _Alignas(8) uint8_t after[SLOT_BYTES_MAX];
    for (size_t i = 0; i < sizeof(next) / sizeof(next[0]); i++) {
        memset(before, 0, sizeof(before));
        memset(after, 0, sizeof(after));
        (void)make(before, 5, 70, 5, 24, 1);
        uint64_t adopted = 80;
        memcpy(before, &adopted, 8);
        uint32_t bytes = make(after, next[i].index, next[i].ballot, next[i].commit, next[i].length,
                              next[i].seed);
        check_mixtures(shape, before, 5, after, next[i].index, bytes / 8);
    }
}

static void lying_headers_are_refused_within_bounds(void **state)
{
    (void)state;
    struct tacit_log_shape shape = tacit_log_shape(ENTRIES, BATCH_BYTES);
    uint32_t room = shape.slot_bytes - TACIT_ENTRY_HEADER;
    const uint64_t lengths[] = {room + 1,    room + 8,         shape.slot_bytes, 0x7fffffff,
                                0x80000000u, 0xffffffffu - 47, 0xffffffffu,      UINT64_MAX};
    // Exactly a slot on the heap, so that the sanitizer sees any step beyond it.
    uint8_t *slot = malloc(shape.slot_bytes);
    struct tacit_entry entry;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        (void)make(slot, 9, 1, 0, room, 3);
        memcpy(slot + 32, &lengths[i], 8);
        assert_false(tacit_entry_read(&entry, slot, shape.slot_bytes, 9));
    }
    // A commit index above what its author can have known, under a right checksum (as entry.h has
    // it).
    (void)make(slot, 9, 1, 10, 8, 3);
    for (uint64_t commit = 10; commit <= 11; commit++) {
        memcpy(slot + 24, &commit, 8);
        uint64_t checksum =
            XXH3_64bits_withSeed(slot + TACIT_ENTRY_HEADER, 8, XXH3_64bits(slot + 8, 32));
        memcpy(slot + 40, &checksum, 8);
        assert_int_equal(tacit_entry_read(&entry, slot, shape.slot_bytes, 9), commit == 10);
    }
    // Never written.
    memset(slot, 0, shape.slot_bytes);
    assert_false(tacit_entry_read(&entry, slot, shape.slot_bytes, 0));
    (void)make(slot, 0, 0, 0, 0, 0); // ballot 0: nobody
    assert_false(tacit_entry_read(&entry, slot, shape.slot_bytes, 0));
    free(slot);
}

static void ballots_order_by_counter_first(void **state)
{
    (void)state;
    const uint64_t counters[] = {0, 1, 2, 0xffffffe, 0xfffffff};
    const tacit_node_t nodes[] = {0, 1, 14};
    const tacit_incarnation_t incarnations[] = {1, 2, TACIT_INCARNATION_MAX};
    uint64_t last = 0;
    for (size_t c = 0; c < 5; c++) {
        for (size_t n = 0; n < 3; n++) {
            for (size_t i = 0; i < 3; i++) {
                uint64_t ballot = tacit_ballot(counters[c], nodes[n], incarnations[i]);
                assert_true(ballot > last); // unique, and in this order
                assert_int_equal(tacit_ballot_counter(ballot), counters[c]);
                assert_int_equal(tacit_ballot_node(ballot), nodes[n]);
                last = ballot;
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shape_keeps_slots_apart),
        cmocka_unit_test(entry_comes_back_whole),
        cmocka_unit_test(a_short_copy_is_not_whole),
        cmocka_unit_test(adopting_is_outside_the_checksum),
        cmocka_unit_test(every_flipped_bit_shows),
        cmocka_unit_test(no_mixture_of_words_passes),
        cmocka_unit_test(lying_headers_are_refused_within_bounds),
        cmocka_unit_test(ballots_order_by_counter_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
