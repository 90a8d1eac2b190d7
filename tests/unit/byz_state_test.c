// SPDX-License-Identifier: Apache-2.0
//
// Certified state: the Merkle tree against one that is computed from scratch; snapshots against
// whole copies, under every short sequence of changes, checkpoints and certificates.
// `byz_state_test measure` prints what a checkpoint costs instead. Fetching: byz_fetch_test.c.
// TACIT_LABELS: unit exhaustive
// TACIT_SEEDED: yes
// TACIT_TIMEOUT: 180
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "choice/choice.h"
#include "core/base/bug.h"
#include "core/byzantine/payload.h"
#include "core/state/certified.h"

static const struct tacit_marker no_marker = {NULL, NULL};

// ---- reference ----------------------------------------------------------------------------------

// Root of `count` pages, computed in the plainest way.
static void reference_root(struct tacit_digest *root, const uint8_t *pages, uint32_t count,
                           tacit_index_t index)
{
    uint32_t nodes = count * (TACIT_PAGE_BYTES / 256);
    struct tacit_digest *level = calloc(nodes + 4, sizeof(*level));
    for (uint32_t i = 0; i < nodes; i++) {
        tacit_digest_make(&level[i], TACIT_DOMAIN_LEAF, pages + 256 * (size_t)i, 256);
    }
    // At least up to 64 pages, then until a single node stands at a level of a stratum.
    for (uint32_t height = 1; nodes > 1 || height <= 5 || (height - 1) % 3 != 2; height++) {
        uint32_t above = (nodes + 3) / 4;
        memset(&level[nodes], 0, (size_t)(4 * above - nodes) * sizeof(*level));
        for (uint32_t i = 0; i < above; i++) {
            struct tacit_digest four[4];
            memcpy(four, &level[4 * (size_t)i], sizeof(four));
            tacit_digest_make(&level[i], TACIT_DOMAIN_TREE, four, sizeof(four));
        }
        nodes = above;
    }
    struct tacit_digest_state state;
    uint64_t head[2] = {count, index};
    tacit_digest_init(&state, TACIT_DOMAIN_TREE);
    tacit_digest_update(&state, head, sizeof(head));
    tacit_digest_update(&state, &level[0], sizeof(level[0]));
    tacit_digest_final(&state, root);
    free(level);
}

struct state {
    struct tacit_pages pages;
    uint8_t *region;
    uint8_t *memory;
    uint32_t count;
};

static void state_reset(struct state *state)
{
    memset(state->region, 0, tacit_certified_region_bytes(state->count));
    struct tacit_bump bump = {(char *)state->memory, 0};
    tacit_certified_init(&state->pages, &bump, state->region, state->count, 2, no_marker);
}

static void state_open(struct state *state, uint32_t count)
{
    struct tacit_bump measure = {NULL, 0};
    state->count = count;
    tacit_certified_init(&state->pages, &measure, NULL, count, 2, no_marker);
    state->memory = aligned_alloc(64, tacit_round_up(measure.used, 64));
    state->region = aligned_alloc(4096, tacit_certified_region_bytes(count));
    state_reset(state);
}

static void state_close(struct state *state)
{
    free(state->memory);
    free(state->region);
}

static void change(struct state *state, size_t offset, size_t bytes, uint8_t value)
{
    uint8_t *at = state->pages.live + offset;
    tacit_pages_touch(&state->pages, at, bytes);
    for (size_t i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(at[i] + value);
    }
}

// ---- the tree -----------------------------------------------------------------------------------

// The root is that of the state when the checkpoint began, whatever changes while it is digested.
static void the_root_is_that_of_the_beginning(void **unused)
{
    (void)unused;
    const uint32_t counts[] = {1, 3, 4, 5, 16, 63, 64, 65, 130, 300};
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        struct state state;
        state_open(&state, counts[c]);
        struct choice choice;
        choice_init_seed(&choice, c + 1);
        uint32_t size = counts[c] * TACIT_PAGE_BYTES;
        for (tacit_index_t index = 1; index <= 12; index++) {
            struct tacit_digest expected;
            struct tacit_digest root;
            tacit_index_t at = 0;
            reference_root(&expected, state.pages.live, counts[c], index);
            assert_true(tacit_pages_checkpoint(&state.pages, index));
            assert_false(tacit_certified_root(&state.pages, &at, &root));
            bool synchronously = choice_u32(&choice, 4) == 0;
            while (!synchronously && tacit_pages_digest(&state.pages, choice_u32(&choice, 20))) {
                uint32_t bytes = 1 + choice_u32(&choice, 4000);
                change(&state, choice_u32(&choice, size - bytes), bytes, 3);
            }
            if (synchronously) {
                change(&state, 0, size, 1); // all of it, while nothing is digested
                (void)tacit_pages_digest(&state.pages, UINT32_MAX);
            }
            assert_true(tacit_certified_root(&state.pages, &at, &root));
            assert_true(at == index && tacit_tree_is_same(&root, &expected));
            assert_null(tacit_certified_check(&state.pages));
        }
        state_close(&state);
    }
}

static uint64_t digests_of_checkpoint(struct state *state, tacit_index_t index)
{
    uint64_t before = state->pages.certified->tree.digests;
    assert_true(tacit_pages_checkpoint(&state->pages, index));
    while (tacit_pages_digest(&state->pages, 7)) {
    }
    return state->pages.certified->tree.digests - before;
}

static void cost_follows_changes(void **unused)
{
    (void)unused;
    enum { PAGES = 300 };
    struct state state;
    state_open(&state, PAGES);
    assert_int_equal(digests_of_checkpoint(&state, 1), 0); // pages of zeros cost nothing
    change(&state, 0, (size_t)PAGES * TACIT_PAGE_BYTES, 1);
    assert_true(digests_of_checkpoint(&state, 2) >= 21 * PAGES);
    assert_int_equal(digests_of_checkpoint(&state, 3), 0);
    uint32_t height = state.pages.certified->tree.levels;
    assert_int_equal(height, 9); // blocks, 4, pages, 3 to 64 pages, 3 to all
    for (uint32_t changed = 1; changed <= 20; changed++) {
        for (uint32_t i = 0; i < changed; i++) {
            change(&state, (size_t)(i * 13) * TACIT_PAGE_BYTES + 300, 100, 1);
            change(&state, (size_t)(i * 13) * TACIT_PAGE_BYTES + 400, 100, 1);
        }
        uint64_t digests = digests_of_checkpoint(&state, 3 + changed);
        assert_true(digests >= 3ull * changed && digests <= (uint64_t)changed * height);
        // Everything above is shared: never more than all inner nodes.
        assert_true(digests <= 3ull * changed + 75 + 19 + 5 + 2 + 1 + 1);
    }
    state_close(&state);
}

// Who has just begun has the root of pages of zeros, without a look at one; and pages that are
// zeros again have it, too.
static void zeros_are_known(void **unused)
{
    (void)unused;
    enum { PAGES = 6 };
    struct state state;
    for (uint32_t pages = 1; pages <= 300; pages += pages < 70 ? 1 : 23) {
        struct tacit_digest expected;
        struct tacit_digest root;
        tacit_index_t at;
        state_open(&state, pages);
        reference_root(&expected, state.pages.live, pages, 1);
        assert_int_equal(digests_of_checkpoint(&state, 1), 0);
        assert_true(tacit_certified_root(&state.pages, &at, &root));
        assert_true(tacit_tree_is_same(&root, &expected));
        assert_null(tacit_certified_check(&state.pages));
        state_close(&state);
    }
    state_open(&state, PAGES);
    change(&state, 0, (size_t)PAGES * TACIT_PAGE_BYTES, 1);
    for (tacit_index_t index = 1; index <= 3; index++) {
        struct tacit_digest expected;
        struct tacit_digest root;
        tacit_index_t at;
        reference_root(&expected, state.pages.live, PAGES, index);
        (void)digests_of_checkpoint(&state, index);
        assert_true(tacit_certified_root(&state.pages, &at, &root));
        assert_true(tacit_tree_is_same(&root, &expected));
        change(&state, (size_t)index * TACIT_PAGE_BYTES, TACIT_PAGE_BYTES, 255); // 0
        change(&state, (size_t)index * TACIT_PAGE_BYTES + 4095, 1, index == 2 ? 7 : 0);
    }
    state_close(&state);
}

static void what_a_root_binds(void **unused)
{
    (void)unused;
    static uint8_t pages[5 * TACIT_PAGE_BYTES];
    struct tacit_digest zero;
    struct tacit_digest root;
    reference_root(&zero, pages, 5, 9);
    reference_root(&root, pages, 5, 10);
    assert_false(tacit_tree_is_same(&root, &zero)); // the index
    reference_root(&root, pages, 4, 9);
    assert_false(tacit_tree_is_same(&root, &zero)); // the number of pages, also of empty ones
    pages[4 * TACIT_PAGE_BYTES + 4095] = 1;
    reference_root(&root, pages, 5, 9);
    assert_false(tacit_tree_is_same(&root, &zero));
    struct tacit_digest a[64];
    struct tacit_digest above;
    struct tacit_digest other;
    memset(a, 0, sizeof(a));
    for (uint32_t count = 1; count <= 64; count++) {
        a[count - 1].bytes[0] = (uint8_t)count;
        tacit_tree_chunk(&above, a, count);
        a[count / 2].bytes[31] ^= 1;
        tacit_tree_chunk(&other, a, count);
        assert_int_equal(tacit_tree_is_same(&above, &other), count / 2 >= count);
        a[count / 2].bytes[31] ^= 1;
    }
}

// ---- snapshots ----------------------------------------------------------------------------------

enum { KEPT = 40 };

struct life { // of one state, with whole copies of all its checkpoints
    struct state state;
    uint8_t *copy[KEPT];
    tacit_index_t index[KEPT];
    struct tacit_digest root[KEPT];
    uint32_t copies;
};

static void life_open(struct life *life, uint32_t count)
{
    memset(life, 0, sizeof(*life));
    state_open(&life->state, count);
    for (uint32_t i = 0; i < KEPT; i++) {
        life->copy[i] = malloc((size_t)count * TACIT_PAGE_BYTES);
    }
}

static void life_close(struct life *life)
{
    state_close(&life->state);
    for (uint32_t i = 0; i < KEPT; i++) {
        free(life->copy[i]);
    }
}

static void life_checkpoint(struct life *life, tacit_index_t index)
{
    uint32_t i = life->copies++;
    assert_true(i < KEPT);
    memcpy(life->copy[i], life->state.pages.live, (size_t)life->state.count * TACIT_PAGE_BYTES);
    life->index[i] = index;
    reference_root(&life->root[i], life->copy[i], life->state.count, index);
    assert_true(tacit_pages_checkpoint(&life->state.pages, index));
}

// What a peer finds if it reads everything at this moment.
static void check_published(const struct life *life)
{
    const struct tacit_pages *pages = &life->state.pages;
    struct tacit_state_layout layout;
    tacit_state_layout_make(&layout, life->state.count);
    assert_null(tacit_certified_check(pages));
    if (tacit_word_load(pages->region, TACIT_STATE_READY) == 0) {
        return;
    }
    tacit_index_t index = tacit_word_load(pages->region, TACIT_STATE_INDEX);
    uint64_t area = tacit_word_load(pages->region, TACIT_STATE_AREA);
    uint32_t i = 0;
    while (i < life->copies && life->index[i] != index) {
        i++;
    }
    assert_true(i < life->copies && area < 2);
    assert_memory_equal(pages->region + TACIT_STATE_FULL_ROOT, &life->root[i], 32);
    for (uint32_t page = 0; page < life->state.count; page++) {
        uint8_t whole[TACIT_PAGE_BYTES];
        uint16_t saved;
        memcpy(&saved, pages->region + layout.saved[area] + 2ull * page, 2);
        for (uint32_t block = 0; block < TACIT_TREE_BLOCKS; block++) {
            uint64_t from = (saved & 1u << block) != 0 ? layout.shadow[area] : layout.live;
            size_t at = (size_t)page * TACIT_PAGE_BYTES + (size_t)block * 256;
            memcpy(whole + (size_t)block * 256, pages->region + from + at, 256);
        }
        assert_memory_equal(whole, life->copy[i] + (size_t)page * TACIT_PAGE_BYTES,
                            TACIT_PAGE_BYTES);
        struct tacit_digest digest;
        tacit_tree_page(&digest, whole);
        assert_memory_equal(&digest, pages->region + layout.table[area][0] + 32ull * page, 32);
    }
}

// Certificates for any checkpoint in any order, changes and digests in between.
static void every_short_sequence(void **unused)
{
    (void)unused;
    enum { STEPS = 7 };
    struct life life;
    life_open(&life, 2);
    struct choice choice;
    choice_init_odometer(&choice);
    uint64_t published = 0;
    uint64_t lost = 0;
    uint64_t sequences = 0;
    do {
        life.copies = 0;
        state_reset(&life.state);
        for (uint32_t step = 0; step < STEPS; step++) {
            uint32_t what = choice_u32(&choice, 5);
            tacit_index_t before = 0;
            tacit_index_t after = 0;
            bool had = tacit_certified_published(&life.state.pages, &before);
            if (what == 0) {
                change(&life.state, 250, 12, (uint8_t)(step + 1)); // two blocks
            } else if (what == 1) {
                life_checkpoint(&life, 10 + step);
            } else if (what == 2) {
                (void)tacit_pages_digest(&life.state.pages, 1);
            } else if (life.copies > what - 3) { // 3: the newest is certified, 4: the one before
                uint32_t i = life.copies - 1 - (what - 3);
                assert_int_not_equal(
                    tacit_certified_publish(&life.state.pages, life.index[i], &life.root[i]),
                    TACIT_PUBLISH_DIVERGED);
            }
            check_published(&life);
            // What is published stays until something newer is.
            assert_true(!had || tacit_certified_published(&life.state.pages, &after));
            assert_true(after >= before);
            published += after > before && had;
        }
        lost += life.state.pages.certified->snapshots_lost;
        sequences++;
    } while (choice_odometer_next(&choice));
    assert_int_equal(sequences, 78125);
    assert_true(published > 200 && lost > 200);
    life_close(&life);
}

// The rule of the header: within the window everything certified and reached is published, in
// whatever order and however late certificates come, also before the slot is reached.
static void within_the_window_nothing_is_lost(void **unused)
{
    (void)unused;
    enum { HALF = 4, PAGES = 3, SLOTS = HALF * (KEPT - 1) };
    uint64_t waited = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct life life;
        life_open(&life, PAGES);
        struct choice choice;
        choice_init_seed(&choice, seed);
        tacit_index_t slot = 0;
        tacit_index_t certified = 0;
        tacit_index_t published = 0;
        life_checkpoint(&life, 0);
        assert_int_equal(tacit_certified_publish(&life.state.pages, 0, &life.root[0]),
                         TACIT_PUBLISH_DONE);
        while (slot < SLOTS) {
            bool execute = choice_u32(&choice, 3) != 0 && slot < published + 2 * HALF;
            if (execute) {
                uint32_t bytes = 1 + choice_u32(&choice, 600);
                change(&life.state, choice_u32(&choice, PAGES * TACIT_PAGE_BYTES - bytes), bytes,
                       1);
                if (++slot % HALF == 0) {
                    life_checkpoint(&life, slot);
                    waited += life.state.pages.certified->waiting;
                }
            } else if (choice_u32(&choice, 2) == 0) { // any checkpoint reached, any order
                tacit_index_t next = HALF * choice_u32(&choice, (uint32_t)(slot / HALF) + 1);
                certified = next > certified ? next : certified;
            }
            (void)tacit_pages_digest(&life.state.pages, choice_u32(&choice, 3));
            uint32_t i = (uint32_t)(certified / HALF);
            assert_int_equal(tacit_certified_publish(&life.state.pages, certified, &life.root[i]),
                             TACIT_PUBLISH_DONE);
            assert_true(tacit_certified_published(&life.state.pages, &published));
            assert_int_equal(published, certified);
            check_published(&life);
        }
        assert_int_equal(life.state.pages.certified->snapshots_lost, 0);
        life_close(&life);
    }
    assert_true(waited > 50);
}

static void a_wrong_state_is_noticed(void **unused)
{
    (void)unused;
    struct life life;
    life_open(&life, 3);
    life_checkpoint(&life, 4);
    struct tacit_digest wrong = life.root[0];
    wrong.bytes[5] ^= 1;
    assert_int_equal(tacit_certified_publish(&life.state.pages, 4, &life.root[0]),
                     TACIT_PUBLISH_DONE);
    assert_int_equal(tacit_certified_publish(&life.state.pages, 8, &wrong), TACIT_PUBLISH_LATER);
    change(&life.state, 0, 1, 1);
    life_checkpoint(&life, 8);
    assert_int_equal(tacit_certified_publish(&life.state.pages, 8, &wrong), TACIT_PUBLISH_DIVERGED);
    assert_int_equal(tacit_word_load(life.state.region, TACIT_STATE_READY), 0);
    check_published(&life);
    life_checkpoint(&life, 12); // goes on from scratch
    assert_int_equal(tacit_certified_publish(&life.state.pages, 12, &life.root[2]),
                     TACIT_PUBLISH_DONE);
    check_published(&life);
    life_close(&life);
}

// Seeded: pages of sessions (here: the first two) that are not in the root.
static bool sessions_count(void)
{
    struct state state;
    struct tacit_digest root[2];
    tacit_index_t at;
    state_open(&state, 5);
    for (uint32_t i = 0; i < 2; i++) {
        change(&state, TACIT_PAGE_BYTES + 8, 1, (uint8_t)i);
        assert_true(tacit_pages_checkpoint(&state.pages, 1)); // the index is the same
        while (tacit_pages_digest(&state.pages, 100)) {
        }
        assert_true(tacit_certified_root(&state.pages, &at, &root[i]));
    }
    state_close(&state);
    return !tacit_tree_is_same(&root[0], &root[1]);
}

static void sessions_are_in_the_root(void **unused)
{
    (void)unused;
    assert_true(sessions_count());
#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
    tacit_seeded_bug = TACIT_BUG_ROOT_WITHOUT_SESSIONS;
    bool noticed = !sessions_count();
    tacit_seeded_bug = TACIT_BUG_NONE;
    assert_true(noticed);
#endif
}

// ---- what it costs ------------------------------------------------------------------------------

static double now_us(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

// One SET as the key-value application does it: a bucket and a record at random places, and the
// client's session. With `tracked` false the same stores without announcing them.
static void set_once(struct state *state, struct choice *choice, uint32_t wide, bool tracked)
{
    size_t size = (size_t)state->count * TACIT_PAGE_BYTES;
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t bytes = i == 2 ? 96 : 64 + choice_u32(choice, wide - 63);
        size_t slots = (size - 4096) / 64;
        size_t at = i == 2 ? 4096 + 128 * (size_t)choice_u32(choice, 8)
                           : 64 * ((size_t)choice_u32(choice, (uint32_t)slots));
        if (tracked) {
            tacit_pages_touch(&state->pages, state->pages.live + at, bytes);
        }
        memset(state->pages.live + at, (int)i + 1, bytes);
    }
}

static void measure(uint32_t megabytes, uint32_t wide)
{
    enum { OPS = 128, CHECKPOINTS = 100 };
    struct state state;
    struct choice choice;
    state_open(&state, megabytes * 256);
    memset(state.region + state.pages.certified->layout.shadow[0], 0,
           2 * (size_t)state.count * TACIT_PAGE_BYTES); // present, as in a locked region
    choice_init_seed(&choice, 5);
    double began = now_us();
    assert_true(tacit_pages_checkpoint(&state.pages, 0));
    (void)tacit_pages_digest(&state.pages, UINT32_MAX);
    double first = now_us() - began;
    struct tacit_digest root;
    tacit_index_t at;
    double bare = now_us();
    for (uint32_t i = 0; i < OPS * CHECKPOINTS; i++) {
        set_once(&state, &choice, wide, false);
    }
    bare = now_us() - bare;
    double touching = 0;
    double digesting = 0;
    uint64_t digests = state.pages.certified->tree.digests;
    for (uint32_t c = 1; c <= CHECKPOINTS; c++) {
        began = now_us();
        for (uint32_t i = 0; i < OPS; i++) {
            set_once(&state, &choice, wide, true);
        }
        touching += now_us() - began;
        began = now_us();
        assert_true(tacit_pages_checkpoint(&state.pages, (tacit_index_t)c * OPS));
        (void)tacit_pages_digest(&state.pages, UINT32_MAX);
        assert_true(tacit_certified_root(&state.pages, &at, &root));
        assert_int_equal(tacit_certified_publish(&state.pages, at, &root), TACIT_PUBLISH_DONE);
        digesting += now_us() - began;
    }
    digests = state.pages.certified->tree.digests - digests;
    double ops = (double)OPS * CHECKPOINTS;
    printf("%u MiB, 2 touches of 64..%u B + session: per SET %.2f us digests + %.2f us touch "
           "(stores alone %.2f us); %.0f us a checkpoint of %d, %.1f digests per SET; first %.0f "
           "ms\n",
           megabytes, wide, digesting / ops, (touching - bare) / ops, bare / ops,
           digesting / CHECKPOINTS, OPS, (double)digests / ops, first / 1e3);
    state_close(&state);
}

int main(int argc, char **argv)
{
    struct tacit_error error;
    if (tacit_crypto_init(&error) != TACIT_OK) {
        return 1;
    }
    if (argc > 1 && strcmp(argv[1], "measure") == 0) {
        measure(100, 100);
        measure(100, 64);
        measure(16, 100);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_root_is_that_of_the_beginning),
        cmocka_unit_test(cost_follows_changes),
        cmocka_unit_test(zeros_are_known),
        cmocka_unit_test(what_a_root_binds),
        cmocka_unit_test(every_short_sequence),
        cmocka_unit_test(within_the_window_nothing_is_lost),
        cmocka_unit_test(a_wrong_state_is_noticed),
        cmocka_unit_test(sessions_are_in_the_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
