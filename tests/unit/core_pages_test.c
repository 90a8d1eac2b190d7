// SPDX-License-Identifier: Apache-2.0
//
// Pages and checkpoints against a model that keeps a whole copy of every checkpoint: what a reader
// finds at any moment, under every short sequence of changes and checkpoints, and under long random
// ones; work in proportion to what changed; withdrawing.
// TACIT_LABELS: unit exhaustive
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "choice/choice.h"
#include "core/state/pages.h"
#include "unit/support/expect_assert.h"

struct bench {
    struct tacit_pages pages;
    uint8_t *region;
    uint8_t *bitmaps;
    uint8_t *snapshot; // of the newest checkpoint
    tacit_index_t index;
    uint64_t number;
    bool begun;
};

static void bench_reset(struct bench *bench, uint32_t count)
{
    memset(bench->region, 0, tacit_pages_region_bytes(count));
    struct tacit_bump bump = {(char *)bench->bitmaps, 0};
    tacit_pages_init(&bench->pages, &bump, bench->region, count);
    bench->begun = false;
    bench->index = 0;
    bench->number = 0;
}

static void bench_open(struct bench *bench, uint32_t count)
{
    struct tacit_bump measure = {NULL, 0};
    struct tacit_pages scratch;
    tacit_pages_init(&scratch, &measure, NULL, count);
    bench->region = aligned_alloc(4096, tacit_pages_region_bytes(count));
    bench->bitmaps = malloc(measure.used);
    bench->snapshot = malloc((size_t)count * TACIT_PAGE_BYTES);
    bench_reset(bench, count);
}

static void bench_close(struct bench *bench)
{
    free(bench->region);
    free(bench->bitmaps);
    free(bench->snapshot);
}

static uint64_t ready(const struct bench *bench)
{
    return tacit_word_load(bench->region, TACIT_STATE_READY);
}

static const uint64_t *table(const struct bench *bench)
{
    return (const uint64_t *)(const void *)(bench->region + TACIT_STATE_TABLE);
}

// What a peer may rely on whenever it finds a checkpoint published.
static void check_reader(const struct bench *bench)
{
    uint32_t count = bench->pages.count;
    assert_int_equal(tacit_word_load(bench->region, TACIT_STATE_PAGES), count);
    if (ready(bench) == 0) {
        return;
    }
    assert_false(bench->pages.digesting);
    assert_true(bench->begun && ready(bench) == bench->number);
    tacit_index_t index = tacit_word_load(bench->region, TACIT_STATE_INDEX);
    assert_int_equal(index, bench->index);
    assert_int_equal(tacit_word_load(bench->region, TACIT_STATE_ROOT),
                     tacit_pages_root(table(bench), count, index));
    for (uint32_t page = 0; page < count; page++) {
        const uint8_t *then = bench->snapshot + (size_t)page * TACIT_PAGE_BYTES;
        const uint8_t *live = bench->region + tacit_pages_live_offset(count, page);
        const uint8_t *shadow = bench->region + tacit_pages_shadow_offset(count, page);
        assert_int_equal(table(bench)[page], tacit_page_digest(then));
        assert_true(memcmp(live, then, TACIT_PAGE_BYTES) == 0 ||
                    memcmp(shadow, then, TACIT_PAGE_BYTES) == 0);
    }
}

static void change(struct bench *bench, size_t offset, size_t bytes, uint8_t value)
{
    uint8_t *at = bench->pages.live + offset;
    tacit_pages_touch(&bench->pages, at, bytes);
    check_reader(bench); // announced, not changed yet
    for (size_t i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(at[i] + value);
    }
}

static void checkpoint(struct bench *bench)
{
    bool busy = bench->pages.digesting;
    bool begun = tacit_pages_checkpoint(&bench->pages, bench->index + 3);
    assert_int_equal(begun, !busy);
    if (begun) {
        bench->begun = true;
        bench->index += 3;
        bench->number++;
        memcpy(bench->snapshot, bench->pages.live, (size_t)bench->pages.count * TACIT_PAGE_BYTES);
        assert_int_equal(ready(bench), 0);
    }
}

// ---- every short sequence ----------------------------------------------------------------------

static void every_short_sequence(void **state)
{
    (void)state;
    enum { PAGES = 3, STEPS = 7 };
    struct bench bench;
    bench_open(&bench, PAGES);
    struct choice choice;
    choice_init_odometer(&choice);
    uint64_t sequences = 0;
    uint64_t published = 0;
    do {
        bench_reset(&bench, PAGES);
        checkpoint(&bench); // the first one has everything to digest: done by the way
        while (tacit_pages_digest(&bench.pages, PAGES)) {
        }
        for (uint32_t step = 0; step < STEPS; step++) {
            uint32_t what = choice_u32(&choice, 4);
            if (what < 2) {
                change(&bench, what * TACIT_PAGE_BYTES + 8 * step, 8, (uint8_t)(step + 1));
            } else if (what == 2) {
                checkpoint(&bench);
            } else {
                bool digesting = bench.pages.digesting;
                assert_int_equal(tacit_pages_digest(&bench.pages, 1), digesting);
            }
            check_reader(&bench);
        }
        published += ready(&bench) > 1; // not just the first

        sequences++;
    } while (choice_odometer_next(&choice));
    assert_int_equal(sequences, 1u << 2 * STEPS);
    assert_true(published > sequences / 20);
    bench_close(&bench);
}

// ---- long random ones ---------------------------------------------------------------------------

static void random_step(struct bench *bench, struct choice *choice)
{
    size_t size = (size_t)bench->pages.count * TACIT_PAGE_BYTES;
    uint32_t what = choice_u32(choice, 16);
    if (what == 0) {
        checkpoint(bench);
    } else if (what < 4) {
        (void)tacit_pages_digest(&bench->pages, 1 + choice_u32(choice, 20));
    } else if (what == 4 && choice_u32(choice, 40) == 0) {
        tacit_pages_withdraw(&bench->pages);
        assert_int_equal(ready(bench), 0);
        assert_false(tacit_pages_digest(&bench->pages, 1)); // what was begun is given up
        // Whoever withdraws replaces live pages without a word.
        memset(bench->pages.live + choice_u32(choice, (uint32_t)(size - 5000)), 0x5a, 5000);
    } else {
        size_t bytes =
            choice_u32(choice, 8) == 0 ? choice_u32(choice, 20000) + 1 : choice_u32(choice, 64) + 1;
        size_t offset = choice_u32(choice, (uint32_t)(size - bytes + 1));
        change(bench, offset, bytes, (uint8_t)(1 + choice_u32(choice, 255)));
    }
}

static void long_random_sequences(void **state)
{
    (void)state;
    // Below, at and above the 64 pages of a bitmap's word.
    const uint32_t counts[] = {7, 64, 65, 130};
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        struct bench bench;
        bench_open(&bench, counts[c]);
        struct choice choice;
        choice_init_seed(&choice, 77 + c);
        for (uint32_t step = 0; step < 1500; step++) {
            random_step(&bench, &choice);
            if (step % 16 == 0) {
                check_reader(&bench);
            }
        }
        assert_true(bench.pages.taken > 10);
        bench_close(&bench);
    }
}

// ---- cost, edges
// ----------------------------------------------------------------------------------

static uint32_t digests_needed(struct bench *bench)
{
    uint32_t turns = 0;
    while (bench->pages.digesting) {
        assert_true(tacit_pages_digest(&bench->pages, 1));
        turns++;
        assert_true(turns <= bench->pages.count + 1);
    }
    assert_false(tacit_pages_digest(&bench->pages, 1));
    check_reader(bench);
    return turns;
}

static void cost_follows_changes(void **state)
{
    (void)state;
    enum { PAGES = 200 };
    struct bench bench;
    bench_open(&bench, PAGES);
    checkpoint(&bench);
    assert_true(digests_needed(&bench) >= PAGES); // all, once
    for (uint32_t changed = 0; changed <= 6; changed++) {
        checkpoint(&bench);
        for (uint32_t i = 0; i < changed; i++) {
            change(&bench, (size_t)(i * 31) * TACIT_PAGE_BYTES, 4, 1);
            change(&bench, (size_t)(i * 31) * TACIT_PAGE_BYTES + 9, 4, 1); // again: no more work
        }
        assert_true(digests_needed(&bench) <= 1 + (changed > 0 ? changed - 1 : 0));
    }
    tacit_pages_withdraw(&bench.pages);
    checkpoint(&bench);
    assert_true(digests_needed(&bench) >= PAGES); // none of the old digests is true
    bench_close(&bench);
}

static void touching_at_the_edges(void **state)
{
    (void)state;
    enum { PAGES = 4 };
    struct bench bench;
    bench_open(&bench, PAGES);
    checkpoint(&bench);
    (void)digests_needed(&bench);
    uint8_t *live = bench.pages.live;
    tacit_pages_touch(&bench.pages, live + TACIT_PAGE_BYTES, 0); // nothing
    tacit_pages_touch(&bench.pages, live + PAGES * TACIT_PAGE_BYTES, 0);
    change(&bench, TACIT_PAGE_BYTES - 1, 2, 7); // both sides of a border
    change(&bench, 2 * TACIT_PAGE_BYTES, TACIT_PAGE_BYTES, 7);
    change(&bench, (size_t)PAGES * TACIT_PAGE_BYTES - 1, 1, 7);
    check_reader(&bench);
    EXPECT_TACIT_ASSERT(tacit_pages_touch(&bench.pages, live - 1, 1));
    EXPECT_TACIT_ASSERT(tacit_pages_touch(&bench.pages, live + PAGES * TACIT_PAGE_BYTES, 1));
    EXPECT_TACIT_ASSERT(tacit_pages_touch(&bench.pages, live, PAGES * TACIT_PAGE_BYTES + 1));
    EXPECT_TACIT_ASSERT(tacit_pages_touch(&bench.pages, live + 8, SIZE_MAX));
    bench_close(&bench);
}

static void digests_tell_apart(void **state)
{
    (void)state;
    static uint8_t page[TACIT_PAGE_BYTES];
    uint64_t zero = tacit_page_digest(page);
    for (uint32_t byte = 0; byte < TACIT_PAGE_BYTES; byte++) {
        page[byte] = 1;
        assert_int_not_equal(tacit_page_digest(page), zero);
        page[byte] = 0;
    }
    uint64_t digests[4] = {1, 2, 3, 4};
    uint64_t root = tacit_pages_root(digests, 4, 9);
    assert_int_not_equal(root, tacit_pages_root(digests, 4, 10));
    assert_int_not_equal(root, tacit_pages_root(digests, 3, 9));
    digests[3] = 5;
    assert_int_not_equal(root, tacit_pages_root(digests, 4, 9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_sequence), cmocka_unit_test(long_random_sequences),
        cmocka_unit_test(cost_follows_changes), cmocka_unit_test(touching_at_the_edges),
        cmocka_unit_test(digests_tell_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
