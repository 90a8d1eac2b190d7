// SPDX-License-Identifier: Apache-2.0
//
// The choice source: enumeration is exact, replay is faithful, draws are in range and not lopsided.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "choice/choice.h"

// Every way to draw three digits with bases 2, 3, 4: 24 combinations, each once.
static void odometer_product(void **state)
{
    (void)state;
    struct choice choice;
    choice_init_odometer(&choice);
    uint32_t seen[24] = {0};
    uint32_t passes = 0;
    do {
        uint32_t a = choice_u32(&choice, 2);
        uint32_t b = choice_u32(&choice, 3);
        uint32_t c = choice_u32(&choice, 4);
        seen[(a * 3 + b) * 4 + c]++;
        passes++;
    } while (choice_odometer_next(&choice));
    assert_int_equal(passes, 24);
    for (uint32_t i = 0; i < 24; i++) {
        assert_int_equal(seen[i], 1);
    }
    assert_false(choice.overflow);
}

// Bounds and the number of draws that depend on earlier draws: subsets of {0..4} by in/out draws
// that stop early, compared with a count made another way: lists of length k with digits below k+1.
static void odometer_dependent(void **state)
{
    (void)state;
    struct choice choice;
    choice_init_odometer(&choice);
    uint32_t passes = 0;
    uint32_t seen[4][64] = {{0}};
    do {
        uint32_t length = choice_u32(&choice, 4);
        uint32_t code = 0;
        for (uint32_t i = 0; i < length; i++) {
            code = code * (length + 1) + choice_u32(&choice, length + 1);
        }
        seen[length][code]++;
        passes++;
    } while (choice_odometer_next(&choice));
    assert_int_equal(passes, 1 + 2 + 9 + 64);
    for (uint32_t length = 0, combinations[] = {1, 2, 9, 64}; length < 4; length++) {
        for (uint32_t code = 0; code < combinations[length]; code++) {
            assert_int_equal(seen[length][code], 1);
        }
    }
}

// Permutations of 5 by drawing from what remains: 120, all different.
static void odometer_permutations(void **state)
{
    (void)state;
    struct choice choice;
    choice_init_odometer(&choice);
    static uint8_t seen[55555];
    memset(seen, 0, sizeof seen);
    uint32_t passes = 0;
    do {
        uint32_t rest[5] = {1, 2, 3, 4, 5};
        uint32_t code = 0;
        for (uint32_t count = 5; count > 0; count--) {
            uint32_t pick = choice_u32(&choice, count);
            code = code * 10 + rest[pick];
            rest[pick] = rest[count - 1];
        }
        assert_int_equal(seen[code], 0);
        seen[code] = 1;
        passes++;
    } while (choice_odometer_next(&choice));
    assert_int_equal(passes, 120);
}

static void odometer_depth_is_bounded(void **state)
{
    (void)state;
    struct choice choice;
    choice_init_odometer(&choice);
    for (uint32_t i = 0; i < CHOICE_ODOMETER_DEPTH + 3; i++) {
        assert_int_equal(choice_u32(&choice, 2), 0);
    }
    assert_true(choice.overflow);
}

static uint32_t draw_many(struct choice *choice, uint32_t *out)
{
    static const uint32_t bounds[] = {2, 256, 257, 65536, 65537, 1, 0, 7, UINT32_MAX, 1000};
    uint32_t count = 0;
    for (uint32_t i = 0; i < 400; i++) {
        uint32_t bound = bounds[i % 10];
        uint32_t value = choice_u32(choice, bound);
        assert_true(bound <= 1 ? value == 0 : value < bound);
        out[count++] = value;
        out[count++] = choice_chance(choice, i * 200 % 65537);
        out[count++] = (uint32_t)choice_spread_ns(choice, 1u << i % 31);
    }
    return count;
}

static void record_and_replay(void **state)
{
    (void)state;
    static uint8_t tape[16384];
    static uint32_t first[1200];
    static uint32_t second[1200];
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct choice choice;
        choice_init_seed(&choice, seed);
        choice_record(&choice, tape, sizeof tape);
        uint32_t count = draw_many(&choice, first);
        assert_false(choice.record_full);
        size_t taped = choice.record_count;

        choice_init_bytes(&choice, tape, taped);
        assert_int_equal(draw_many(&choice, second), count);
        assert_memory_equal(first, second, count * sizeof *first);
        assert_int_equal(choice.bytes_used, taped);

        // Recording does not change what is drawn.
        choice_init_seed(&choice, seed);
        draw_many(&choice, second);
        assert_memory_equal(first, second, count * sizeof *first);
    }
}

static void dry_source_is_quiet(void **state)
{
    (void)state;
    struct choice choice;
    choice_init_bytes(&choice, NULL, 0);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(choice_u32(&choice, 1 + i * 7), 0);
        assert_false(choice_chance(&choice, 65535));
        assert_int_equal(choice_range(&choice, 5, 9), 5);
        assert_int_equal(choice_spread_ns(&choice, 1000000), 0);
    }
}

static void record_full_is_told(void **state)
{
    (void)state;
    uint8_t tape[3];
    struct choice choice;
    choice_init_seed(&choice, 1);
    choice_record(&choice, tape, sizeof tape);
    (void)choice_u32(&choice, 100);
    (void)choice_u32(&choice, 1000);
    assert_false(choice.record_full);
    (void)choice_u32(&choice, 2);
    assert_true(choice.record_full);
    assert_int_equal(choice.record_count, 3);
}

// Rough fairness: a chi-square over 64 cells stays far below what a broken generator shows.
static void seed_is_even(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct choice choice;
        choice_init_seed(&choice, seed);
        uint32_t cell[64] = {0};
        for (uint32_t i = 0; i < 64000; i++) {
            cell[choice_u32(&choice, 64)]++;
        }
        uint64_t squares = 0;
        for (uint32_t i = 0; i < 64; i++) {
            uint64_t off = cell[i] > 1000 ? cell[i] - 1000 : 1000 - cell[i];
            squares += off * off;
        }
        // Expected 63 * 1000; five standard deviations are about 56 * 1000 more.
        assert_in_range(squares, 5000, 120000);
    }
    // First draws of neighbouring seeds differ.
    uint32_t ones = 0;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct choice choice;
        choice_init_seed(&choice, seed);
        ones += choice_u32(&choice, 2);
    }
    assert_in_range(ones, 400, 600);
}

static void chance_has_its_rate(void **state)
{
    (void)state;
    struct choice choice;
    choice_init_seed(&choice, 3);
    assert_false(choice_chance(&choice, 0));
    assert_true(choice_chance(&choice, CHOICE_ALWAYS));
    assert_int_equal(choice.draws, 0);
    uint32_t hits = 0;
    for (uint32_t i = 0; i < 65536; i++) {
        hits += choice_chance(&choice, 6553);
    }
    assert_in_range(hits, 6100, 7000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odometer_product),      cmocka_unit_test(odometer_dependent),
        cmocka_unit_test(odometer_permutations), cmocka_unit_test(odometer_depth_is_bounded),
        cmocka_unit_test(record_and_replay),     cmocka_unit_test(dry_source_is_quiet),
        cmocka_unit_test(record_full_is_told),   cmocka_unit_test(seed_is_even),
        cmocka_unit_test(chance_has_its_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
