// SPDX-License-Identifier: Apache-2.0
//
// Certified state transfer from sources that go on executing, move on, die, hang, crawl and lie,
// over a fabric whose reads arrive word by word: what is installed is what the certificate names,
// it comes to an end once a correct source stays, no correct source is ever blamed, and what was
// verified is not fetched again.
// TACIT_SEEDED: yes
// TACIT_TIMEOUT: 180
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/base/bug.h"
#include "core/state/fetch.h"
#include "unit/support/fake_faults.h"

enum {
    SOURCES = 2, // nodes 0 and 1; node 2 is under test
    PAGES = 70,  // two strata
    HALF = 8,    // entries between checkpoints
    CERTIFICATES = 400,
    PATIENCE_NS = 1000000,
    TURN_NS = 20000,
};
static const size_t state_bytes = (size_t)PAGES * TACIT_PAGE_BYTES;
static const struct tacit_marker no_marker = {NULL, NULL};

struct replica {
    struct tacit_pages pages;
    uint8_t *region;
    uint8_t *memory;
    tacit_index_t applied;
};

struct bench {
    struct fake_fabric fake;
    struct replica source[SOURCES];
    struct replica own;
    struct tacit_fetch fetch;
    uint8_t *buffers;
    struct choice choice;
    // What certificates say; of checkpoint i, at index i * HALF.
    struct tacit_digest root[CERTIFICATES];
    uint8_t *copy[CERTIFICATES];
    uint32_t certificates;
    uint32_t liar; // bit s: does not execute, its region is the test's
    tacit_time_ns_t now_ns;
    uint32_t up;
};

// Every replica does the same for the same entry.
static void execute(struct replica *replica)
{
    struct choice choice;
    choice_init_seed(&choice, 1000 + replica->applied);
    for (uint32_t i = 1 + choice_u32(&choice, 3); i > 0; i--) {
        uint32_t bytes = 1 + choice_u32(&choice, 400);
        uint32_t offset = choice_u32(&choice, (uint32_t)(state_bytes - bytes));
        tacit_pages_touch(&replica->pages, replica->pages.live + offset, bytes);
        memset(replica->pages.live + offset, 1 + (int)choice_u32(&choice, 255), bytes);
    }
    replica->applied++;
}

// One entry further, with the checkpoint that lies there and its certificate, which comes at once.
static void advance(struct bench *bench, struct replica *replica)
{
    execute(replica);
    if (replica->applied % HALF != 0) {
        (void)tacit_pages_digest(&replica->pages, 3);
        return;
    }
    uint32_t i = (uint32_t)(replica->applied / HALF);
    assert_true(i < CERTIFICATES);
    assert_true(tacit_pages_checkpoint(&replica->pages, replica->applied));
    if (i >= bench->certificates) {
        tacit_index_t index;
        (void)tacit_pages_digest(&replica->pages, UINT32_MAX);
        assert_true(tacit_certified_root(&replica->pages, &index, &bench->root[i]));
        bench->certificates = i + 1;
        bench->copy[i] = malloc(state_bytes);
        memcpy(bench->copy[i], replica->pages.live, state_bytes);
    }
    assert_int_equal(tacit_certified_publish(&replica->pages, replica->applied, &bench->root[i]),
                     TACIT_PUBLISH_DONE);
}

static void advance_to(struct bench *bench, struct replica *replica, tacit_index_t index)
{
    while (replica->applied < index) {
        advance(bench, replica);
    }
}

static void replica_open(struct replica *replica)
{
    struct tacit_bump bump = {NULL, 0};
    tacit_certified_init(&replica->pages, &bump, NULL, PAGES, 2, no_marker);
    replica->memory = aligned_alloc(64, tacit_round_up(bump.used, 64));
    replica->region = aligned_alloc(4096, tacit_certified_region_bytes(PAGES));
    memset(replica->region, 0, tacit_certified_region_bytes(PAGES));
    bump = (struct tacit_bump){(char *)replica->memory, 0};
    tacit_certified_init(&replica->pages, &bump, replica->region, PAGES, 2, no_marker);
    replica->applied = 0;
}

static void bench_open(struct bench *bench, uint64_t seed)
{
    memset(bench, 0, sizeof(*bench));
    choice_init_seed(&bench->choice, seed);
    fake_init(&bench->fake, SOURCES, 1);
    bench->certificates = 1;
    replica_open(&bench->own);
    for (uint32_t s = 0; s < SOURCES; s++) {
        replica_open(&bench->source[s]);
        fake_add_region(&bench->fake, (tacit_node_t)s, TACIT_REGION_STATE, (tacit_node_t)s, 1,
                        bench->source[s].region, tacit_certified_region_bytes(PAGES));
        bench->fake.host[s].up = true;
        bench->up |= 1u << s;
    }
    struct tacit_bump bump = {NULL, 0};
    tacit_fetch_init(&bench->fetch, &bump, &bench->fake.fabric, &bench->own.pages, SOURCES + 1,
                     PATIENCE_NS, no_marker);
    bench->buffers = aligned_alloc(4096, tacit_round_up(bump.used, 4096));
    bump.base = (char *)bench->buffers;
    bump.used = 0;
    tacit_fetch_init(&bench->fetch, &bump, &bench->fake.fabric, &bench->own.pages, SOURCES + 1,
                     PATIENCE_NS, no_marker);
    bench->now_ns = 1000;
}

static void bench_close(struct bench *bench)
{
    for (uint32_t s = 0; s < SOURCES; s++) {
        free(bench->source[s].memory);
        free(bench->source[s].region);
    }
    for (uint32_t i = 0; i < bench->certificates; i++) {
        free(bench->copy[i]);
    }
    free(bench->own.memory);
    free(bench->own.region);
    free(bench->buffers);
}

static bool begin(struct bench *bench, tacit_index_t index)
{
    return tacit_fetch_start(&bench->fetch, index, &bench->root[index / HALF], bench->now_ns);
}

static bool is_right(const struct bench *bench)
{
    const uint8_t *copy = bench->copy[bench->fetch.index / HALF];
    return memcmp(bench->own.pages.live, copy, state_bytes) == 0;
}

static enum tacit_fetch_result turn(struct bench *bench)
{
    static const tacit_incarnation_t incarnations[SOURCES + 1] = {1, 1, 1};
    struct tacit_event event;
    bench->now_ns += TURN_NS;
    while (fake_take(&bench->fake, &event)) {
        if (event.kind == TACIT_EVENT_COMPLETION) {
            tacit_fetch_completion(&bench->fetch, &event, bench->now_ns);
        } else if (event.kind == TACIT_EVENT_DOWN) {
            bench->up &= ~(1u << event.node);
            tacit_fetch_down(&bench->fetch, event.node, bench->now_ns);
        }
    }
    uint8_t *before = NULL;
    bool changes = tacit_fetch_is_installing(&bench->fetch);
    if (!changes && bench->now_ns % (16 * TURN_NS) == 0) {
        before = malloc(state_bytes);
        memcpy(before, bench->own.pages.live, state_bytes);
    }
    enum tacit_fetch_result result =
        tacit_fetch_poll(&bench->fetch, bench->up, incarnations, bench->now_ns);
    if (before != NULL) { // nothing is lost yet
        assert_memory_equal(before, bench->own.pages.live, state_bytes);
        free(before);
    }
    assert_null(tacit_certified_check(&bench->own.pages));
    if (result == TACIT_FETCH_DONE) {
        tacit_index_t published;
        assert_false(tacit_fetch_busy(&bench->fetch));
        assert_int_equal(bench->fake.op_count, 0);
        assert_true(tacit_certified_published(&bench->own.pages, &published));
        assert_int_equal(published, bench->fetch.index);
        assert_int_equal(tacit_fetch_deadline(&bench->fetch), UINT64_MAX);
        bench->own.applied = published;
    } else {
        assert_true(tacit_fetch_busy(&bench->fetch));
    }
    return result;
}

// Nothing fails from here on. Returns how often it ended a round without the state.
static uint32_t finish(struct bench *bench, uint32_t turns)
{
    uint32_t rounds = 0;
    for (uint32_t i = 0; i < turns; i++) {
        fake_land_all(&bench->fake);
        enum tacit_fetch_result result = turn(bench);
        if (result == TACIT_FETCH_DONE) {
            return rounds;
        }
        rounds += result != TACIT_FETCH_NOTHING;
    }
    fail_msg("the transfer does not end");
    return rounds;
}

// The fetched state must be fit to execute on and to give to others.
static void goes_on(struct bench *bench)
{
    assert_true(is_right(bench));
    tacit_index_t next = bench->own.applied + 3 * HALF;
    advance_to(bench, &bench->source[1], next);
    advance_to(bench, &bench->own, next);
    assert_memory_equal(bench->own.pages.live, bench->source[1].pages.live, state_bytes);
}

// ---- correct sources ----------------------------------------------------------------------------

static void only_what_differs_is_fetched(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, 1);
    for (uint32_t s = 0; s < SOURCES; s++) {
        advance_to(&bench, &bench.source[s], 20 * HALF);
    }
    assert_true(begin(&bench, 20 * HALF));
    assert_false(begin(&bench, 20 * HALF)); // nothing newer
    assert_int_equal(finish(&bench, 300), 0);
    assert_true(is_right(&bench));
    assert_true(bench.fetch.counters.pages > 30 && bench.fetch.counters.chunks == 3);
    uint64_t before = bench.fetch.counters.pages;
    for (uint32_t s = 0; s < SOURCES; s++) {
        advance_to(&bench, &bench.source[s], 21 * HALF);
    }
    uint32_t differ = 0;
    for (uint32_t page = 0; page < PAGES; page++) {
        size_t at = (size_t)page * TACIT_PAGE_BYTES;
        differ += memcmp(bench.copy[20] + at, bench.copy[21] + at, TACIT_PAGE_BYTES) != 0;
    }
    assert_true(differ > 0 && begin(&bench, 21 * HALF));
    assert_int_equal(finish(&bench, 300), 0);
    assert_int_equal(bench.fetch.counters.pages - before, differ);
    goes_on(&bench);
    bench_close(&bench);
}

// Sources execute between any two words that are read and publish newer checkpoints: tables and
// pages are torn, publications end in the middle. Nobody is to blame for that.
static void sources_that_move_on(void **state)
{
    (void)state;
    uint64_t superseded = 0;
    uint64_t moved = 0;
    uint64_t shadows = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct bench bench;
        bench_open(&bench, 100 + seed);
        for (uint32_t s = 0; s < SOURCES; s++) {
            advance_to(&bench, &bench.source[s], 10 * HALF);
        }
        assert_true(begin(&bench, 10 * HALF));
        uint32_t pace = 1 + choice_u32(&bench.choice, 4);
        enum tacit_fetch_result result = TACIT_FETCH_NOTHING;
        for (uint32_t i = 0; i < 6000 && result != TACIT_FETCH_DONE; i++) {
            for (uint32_t s = 0; s < SOURCES; s++) {
                if (i % pace == s % pace && bench.source[s].applied < 350 * HALF) {
                    advance(&bench, &bench.source[s]);
                }
            }
            if (choice_u32(&bench.choice, 3) == 0) {
                fake_land_some(&bench.fake, &bench.choice);
            }
            result = turn(&bench);
            for (uint32_t r = 0; r < TACIT_FETCH_READS; r++) {
                shadows += bench.fetch.reads[r].used && bench.fetch.reads[r].blocks != 0;
            }
            if (result == TACIT_FETCH_SUPERSEDED) {
                superseded++;
                assert_true(begin(&bench, (bench.certificates - 1) * HALF));
            }
        }
        assert_int_equal(result, TACIT_FETCH_DONE);
        assert_int_equal(bench.fetch.counters.lies, 0);
        assert_int_equal(bench.fetch.counters.unproven, 0);
        assert_true(is_right(&bench));
        moved += bench.fetch.counters.moved;
        bench_close(&bench);
    }
    assert_true(superseded > 500 && moved > 1000 && shadows > 1000);
}

static void sources_die_and_hang(void **state)
{
    (void)state;
    uint64_t resets = 0;
    uint64_t deaths = 0;
    for (uint64_t seed = 0; seed < 90; seed++) {
        struct bench bench;
        bench_open(&bench, 1000 + seed);
        for (uint32_t s = 0; s < SOURCES; s++) {
            advance_to(&bench, &bench.source[s], 10 * HALF);
        }
        assert_true(begin(&bench, 10 * HALF));
        enum tacit_fetch_result result = TACIT_FETCH_NOTHING;
        struct fake_faults faults = {.one_in = 30};
        for (uint32_t i = 0; i < 300 && result != TACIT_FETCH_DONE; i++) {
            fake_trouble(&bench.fake, &bench.choice, SOURCES, &faults, &bench.up);
            result = turn(&bench);
        }
        resets += fake_mend(&bench.fake, SOURCES, &bench.up);
        deaths += faults.deaths;
        if (result != TACIT_FETCH_DONE) {
            (void)finish(&bench, 1500);
        }
        assert_int_equal(bench.fetch.counters.lies, 0);
        assert_true(bench.fetch.counters.pages <= PAGES); // none twice
        goes_on(&bench);
        bench_close(&bench);
    }
    assert_true(deaths > 20 && resets > 5);
}

// The queue of the fabric is full now and then, in the middle of pages that have to be put together
// from several parts: that is nobody's lie.
static void a_full_queue_is_no_lie(void **state)
{
    (void)state;
    uint64_t shadows = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct bench bench;
        bench_open(&bench, 2000 + seed);
        for (uint32_t s = 0; s < SOURCES; s++) {
            advance_to(&bench, &bench.source[s], 10 * HALF + HALF - 1);
        }
        assert_true(begin(&bench, 10 * HALF));
        enum tacit_fetch_result result = TACIT_FETCH_NOTHING;
        for (uint32_t i = 0; i < 1000 && result != TACIT_FETCH_DONE; i++) {
            fake_land_some(&bench.fake, &bench.choice);
            bench.fake.refuse = choice_u32(&bench.choice, 4);
            result = turn(&bench);
            for (uint32_t r = 0; r < TACIT_FETCH_READS; r++) {
                shadows += bench.fetch.reads[r].due && bench.fetch.reads[r].blocks != 0;
            }
        }
        assert_int_equal(result, TACIT_FETCH_DONE);
        assert_int_equal(bench.fetch.counters.lies, 0);
        goes_on(&bench);
        bench_close(&bench);
    }
    assert_true(shadows > 10);
}

// A source that gives a little in every period is left, and the other one does the rest.
static void a_source_that_crawls(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, 3);
    for (uint32_t s = 0; s < SOURCES; s++) {
        advance_to(&bench, &bench.source[s], 30 * HALF);
    }
    assert_true(begin(&bench, 30 * HALF));
    enum tacit_fetch_result result = TACIT_FETCH_NOTHING;
    uint64_t given[SOURCES] = {0, 0};
    for (uint32_t i = 0; i < 2000 && result != TACIT_FETCH_DONE; i++) {
        for (uint32_t op = bench.fake.op_count; op-- > 0;) {
            tacit_node_t host = bench.fake.ops[op].op.host;
            if (host == 1 || i % 10 == 0) {
                fake_land(&bench.fake, op, UINT32_MAX);
                given[host]++;
                op = host == 0 ? 0 : op; // one at a time
            }
        }
        result = turn(&bench);
    }
    assert_int_equal(result, TACIT_FETCH_DONE);
    assert_true(bench.fetch.counters.slow >= 1 && given[0] > 0 && given[1] > given[0]);
    goes_on(&bench);
    bench_close(&bench);
}

// Given up, or raised to a newer certificate, at any step.
static void changing_ones_mind(void **state)
{
    (void)state;
    uint32_t raised = 0;
    uint32_t cancelled = 0;
    for (uint32_t after = 0; after < 50; after++) {
        for (uint32_t raise = 0; raise < 2; raise++) {
            struct bench bench;
            bench_open(&bench, 5 + after);
            for (uint32_t s = 0; s < SOURCES; s++) {
                advance_to(&bench, &bench.source[s], 10 * HALF);
            }
            assert_true(begin(&bench, 10 * HALF));
            enum tacit_fetch_result result = TACIT_FETCH_NOTHING;
            for (uint32_t i = 0; i < after && result != TACIT_FETCH_DONE; i++) {
                fake_land_some(&bench.fake, &bench.choice);
                result = turn(&bench);
            }
            for (uint32_t s = 0; s < SOURCES; s++) {
                advance_to(&bench, &bench.source[s], 12 * HALF);
            }
            bool open = tacit_fetch_busy(&bench.fetch) && !tacit_fetch_is_installing(&bench.fetch);
            if (raise != 0) {
                assert_int_equal(begin(&bench, 12 * HALF), open || result == TACIT_FETCH_DONE);
                raised += open;
            } else if (open) {
                tacit_fetch_cancel(&bench.fetch, bench.now_ns);
                cancelled++;
                assert_true(after % 2 == 0 || begin(&bench, 12 * HALF)); // at once, or later
                for (uint32_t i = 0; i < 20 && bench.fetch.step == TACIT_FETCH_DRAIN; i++) {
                    fake_land_all(&bench.fake);
                    if (bench.fetch.outstanding == 0 && bench.fake.event_count == 0) {
                        (void)tacit_fetch_poll(&bench.fetch, 0, (tacit_incarnation_t[]){1, 1, 1},
                                               bench.now_ns);
                    } else {
                        struct tacit_event event;
                        while (fake_take(&bench.fake, &event)) {
                            tacit_fetch_completion(&bench.fetch, &event, bench.now_ns);
                        }
                    }
                }
                if (after % 2 == 0) {
                    assert_false(tacit_fetch_busy(&bench.fetch));
                    advance_to(&bench, &bench.own, 3 * HALF); // the own state is as before
                    assert_memory_equal(bench.own.pages.live, bench.copy[3], state_bytes);
                    assert_true(begin(&bench, 12 * HALF));
                }
            }
            if (tacit_fetch_busy(&bench.fetch)) {
                (void)finish(&bench, 600);
            }
            assert_true(is_right(&bench));
            bench_close(&bench);
        }
    }
    assert_true(raised > 10 && cancelled > 10);
}

// ---- liars --------------------------------------------------------------------------------------

enum lie {
    WRONG_PAGE = 0,             // a byte of a page
    WRONG_SAVED,                // bits that name rubbish in the shadow
    WRONG_TABLE,                // a digest of a page
    WRONG_TOP,                  // a digest of the highest stratum
    WRONG_BOTH,                 // a page and its digest, which fit
    WRONG_STATE,                // everything fits, up to the root that it shows
    OTHER_INDEX,                // a whole state, of another checkpoint, under the wanted index
    LIES_IN_WALK,               // up to here lies that are proven
    HEADER_JUNK = LIES_IN_WALK, // no such area, no such size
    HEADER_NEWER,               // claims to have a newer one, for ever
    HEADER_RESTLESS,            // and a wrong page
    LIES,
};

// A source's region becomes what a liar shows.
static void lie(struct bench *bench, uint32_t s, uint32_t kind, uint32_t turn_number)
{
    struct replica *liar = &bench->source[s];
    struct tacit_state_layout layout;
    tacit_state_layout_make(&layout, PAGES);
    uint64_t area = tacit_word_load(liar->region, TACIT_STATE_AREA) & 1u;
    struct tacit_digest digest;
    switch (kind) {
    case WRONG_PAGE:
        liar->pages.live[7 * TACIT_PAGE_BYTES + 5] ^= 1;
        break;
    case WRONG_SAVED:
        memset(liar->region + layout.saved[area], 0xff, 2ull * PAGES);
        memset(liar->region + layout.shadow[area], 0x77, state_bytes);
        liar->pages.live[7 * TACIT_PAGE_BYTES + 5] ^= 1; // else nobody looks there
        break;
    case WRONG_TABLE:
        liar->region[layout.table[area][0] + 40 * 32] ^= 1;
        break;
    case WRONG_TOP:
        liar->region[layout.table[area][1] + 32] ^= 1;
        break;
    case WRONG_BOTH:
        liar->pages.live[7 * TACIT_PAGE_BYTES + 5] ^= 1;
        tacit_tree_page(&digest, liar->pages.live + 7 * TACIT_PAGE_BYTES);
        memcpy(liar->region + layout.table[area][0] + 7 * 32, &digest, 32);
        break;
    case WRONG_STATE:
    case OTHER_INDEX: {
        uint64_t index = tacit_word_load(liar->region, TACIT_STATE_INDEX);
        if (kind == WRONG_STATE) {
            tacit_pages_touch(&liar->pages, liar->pages.live + 7 * TACIT_PAGE_BYTES, 8);
            liar->pages.live[7 * TACIT_PAGE_BYTES + 5] ^= 1;
        } else {
            execute(liar);
        }
        struct tacit_digest root;
        assert_true(tacit_pages_checkpoint(&liar->pages, index + 1));
        (void)tacit_pages_digest(&liar->pages, UINT32_MAX);
        assert_true(tacit_certified_root(&liar->pages, &(tacit_index_t){0}, &root));
        assert_int_equal(tacit_certified_publish(&liar->pages, index + 1, &root),
                         TACIT_PUBLISH_DONE);
        tacit_word_store(liar->region, TACIT_STATE_INDEX, index);
        tacit_tree_root_of(&root, PAGES, index, &liar->pages.certified->tree.node[8][0]);
        memcpy(liar->region + TACIT_STATE_FULL_ROOT, &root, 32);
        break;
    }
    case HEADER_JUNK:
        tacit_word_store(liar->region, TACIT_STATE_AREA, UINT64_MAX);
        break;
    case HEADER_NEWER:
        tacit_word_store(liar->region, TACIT_STATE_INDEX, UINT64_MAX);
        break;
    default: // again and again
        liar->pages.live[7 * TACIT_PAGE_BYTES + 5] = (uint8_t)turn_number;
        tacit_word_store(liar->region, TACIT_STATE_READY, 1000 + turn_number);
        break;
    }
}

// Source 0 is asked first and lies.
static bool survives(uint32_t kind, struct bench *bench)
{
    bench_open(bench, 40 + kind);
    for (uint32_t s = 0; s < SOURCES; s++) {
        advance_to(bench, &bench->source[s], 10 * HALF);
    }
    lie(bench, 0, kind, 0);
    assert_true(begin(bench, 10 * HALF));
    for (uint32_t i = 0; i < 2000; i++) {
        if (kind == HEADER_RESTLESS) {
            lie(bench, 0, kind, i);
        }
        fake_land_all(&bench->fake);
        if (turn(bench) == TACIT_FETCH_DONE) {
            return is_right(bench);
        }
    }
    return false;
}

static void a_source_that_lies(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < LIES; kind++) {
        struct bench bench;
        assert_true(survives(kind, &bench));
        assert_int_equal(bench.fetch.source, 1);
        assert_int_equal(bench.fetch.counters.lies, kind < LIES_IN_WALK);
        assert_int_equal(bench.fetch.bad, kind < LIES_IN_WALK);
        assert_int_equal(bench.fetch.counters.unproven, 0);
        assert_true(bench.fetch.counters.pages <= PAGES); // what the liar gave rightly was kept
        goes_on(&bench);
        bench_close(&bench);
    }
}

// A source turns liar in the middle, at any moment, and says that nothing happened.
static void a_source_that_turns_liar(void **state)
{
    (void)state;
    uint64_t lies = 0;
    for (uint32_t after = 0; after < 60; after++) {
        struct bench bench;
        bench_open(&bench, 300 + after);
        for (uint32_t s = 0; s < SOURCES; s++) {
            advance_to(&bench, &bench.source[s], 10 * HALF);
        }
        assert_true(begin(&bench, 10 * HALF));
        enum tacit_fetch_result result = TACIT_FETCH_NOTHING;
        for (uint32_t i = 0; i < 2000 && result != TACIT_FETCH_DONE; i++) {
            if (i == after) {
                lie(&bench, 0, choice_u32(&bench.choice, WRONG_STATE), 0);
                bench.source[0].pages.live[20 * TACIT_PAGE_BYTES + after] ^= 8;
            }
            fake_land_some(&bench.fake, &bench.choice);
            result = turn(&bench);
        }
        assert_int_equal(result, TACIT_FETCH_DONE);
        assert_true(bench.fetch.bad <= 1);
        lies += bench.fetch.counters.lies;
        goes_on(&bench);
        bench_close(&bench);
    }
    assert_true(lies > 10);
}

static void nobody_tells_the_truth(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, 60);
    for (uint32_t s = 0; s < SOURCES; s++) {
        advance_to(&bench, &bench.source[s], 10 * HALF);
        lie(&bench, s, WRONG_PAGE, 0);
    }
    assert_true(begin(&bench, 10 * HALF));
    uint32_t failed = 0;
    for (uint32_t i = 0; i < 800; i++) {
        fake_land_all(&bench.fake);
        enum tacit_fetch_result result = turn(&bench);
        assert_true(result == TACIT_FETCH_NOTHING || result == TACIT_FETCH_FAILED);
        failed += result == TACIT_FETCH_FAILED;
    }
    assert_true(failed >= 2 && bench.fetch.counters.lies >= 4); // all were asked again
    lie(&bench, 1, WRONG_PAGE, 0);                              // takes it back
    (void)finish(&bench, 400);
    assert_true(bench.fetch.counters.pages <= PAGES);
    goes_on(&bench);
    bench_close(&bench);
}

// Who lied and is repaired is asked again although another one is there, which has nothing.
static void a_newcomer_is_no_help(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, 62);
    advance_to(&bench, &bench.source[0], 10 * HALF);
    lie(&bench, 0, WRONG_PAGE, 0);
    assert_true(begin(&bench, 10 * HALF));
    for (uint32_t i = 0; i < 800; i++) {
        fake_land_all(&bench.fake);
        assert_int_not_equal(turn(&bench), TACIT_FETCH_DONE);
    }
    assert_true(bench.fetch.counters.lies >= 2);
    lie(&bench, 0, WRONG_PAGE, 0); // takes it back
    (void)finish(&bench, 800);
    assert_true(is_right(&bench));
    bench_close(&bench);
}

// The published checkpoint stays readable while a transfer goes on.
static void what_is_published_stays_meanwhile(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, 61);
    advance_to(&bench, &bench.source[1], 10 * HALF);
    advance_to(&bench, &bench.own, 2 * HALF + 3);
    bench.up = 2;
    assert_true(begin(&bench, 10 * HALF));
    while (!tacit_fetch_is_installing(&bench.fetch)) {
        tacit_index_t index;
        assert_true(tacit_certified_published(&bench.own.pages, &index));
        assert_int_equal(index, 2 * HALF);
        fake_land_all(&bench.fake);
        assert_int_equal(turn(&bench), TACIT_FETCH_NOTHING);
    }
    (void)finish(&bench, 100);
    goes_on(&bench);
    bench_close(&bench);
}

#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
static bool noticed(enum tacit_bug bug, uint32_t kind)
{
    struct bench bench;
    tacit_seeded_bug = (uint32_t)bug;
    bool right = survives(kind, &bench);
    tacit_seeded_bug = TACIT_BUG_NONE;
    bench_close(&bench);
    return !right;
}

static void seeded_bugs_are_noticed(void **state)
{
    (void)state;
    assert_true(noticed(TACIT_BUG_CERTIFIED_PAGE_UNCHECKED, WRONG_PAGE));
    assert_true(noticed(TACIT_BUG_ROOT_FROM_SOURCE, WRONG_STATE));
    // Pages of sessions that the root leaves out are not even fetched.
    assert_true(noticed(TACIT_BUG_ROOT_WITHOUT_SESSIONS, WRONG_PAGE));
}
#endif

int main(void)
{
    struct tacit_error error;
    if (tacit_crypto_init(&error) != TACIT_OK) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_differs_is_fetched),
        cmocka_unit_test(sources_that_move_on),
        cmocka_unit_test(sources_die_and_hang),
        cmocka_unit_test(a_full_queue_is_no_lie),
        cmocka_unit_test(a_source_that_crawls),
        cmocka_unit_test(changing_ones_mind),
        cmocka_unit_test(a_source_that_lies),
        cmocka_unit_test(a_source_that_turns_liar),
        cmocka_unit_test(nobody_tells_the_truth),
        cmocka_unit_test(a_newcomer_is_no_help),
        cmocka_unit_test(what_is_published_stays_meanwhile),
#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
        cmocka_unit_test(seeded_bugs_are_noticed),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
