// SPDX-License-Identifier: Apache-2.0
//
// State transfer from sources that go on changing, take newer checkpoints, hang and die, over a
// fabric whose reads arrive word by word: what is installed is a whole checkpoint of a source, it
// comes to an end once the faults do, and it costs no more than what differs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "choice/choice.h"
#include "core/state/transfer.h"
#include "tacit/layout.h"
#include "unit/support/fake_faults.h"

enum { SOURCES = 2, PAGES = 70, HISTORY = 64, PATIENCE_NS = 1000000, TURN_NS = 20000 };
static const size_t state_bytes = (size_t)PAGES * TACIT_PAGE_BYTES;

// A replica that executes: its pages, and a copy of the state at each checkpoint of its life.
struct source {
    struct tacit_pages pages;
    uint8_t *region;
    uint8_t *bitmaps;
    _Alignas(64) uint8_t control[TACIT_CONTROL_REGION_BYTES]; // written by the one under test
    tacit_incarnation_t incarnation;
    tacit_index_t applied;
    uint8_t *history[HISTORY];
    tacit_index_t index[HISTORY];
    uint32_t checkpoints;
};

struct bench {
    struct fake_fabric fake;
    struct source source[SOURCES]; // nodes 0 and 1; node 2 is under test
    struct tacit_pages pages;
    struct tacit_transfer transfer;
    uint8_t *region;
    uint8_t *memory;
    uint8_t *before; // own pages when the transfer began
    struct choice choice;
    tacit_time_ns_t now_ns;
    uint32_t up;
    bool was_done;
};

static void source_pages(struct bench *bench, uint32_t s)
{
    struct source *source = &bench->source[s];
    memset(source->region, 0, tacit_pages_region_bytes(PAGES));
    struct tacit_bump bump = {(char *)source->bitmaps, 0};
    tacit_pages_init(&source->pages, &bump, source->region, PAGES);
}

// A checkpoint of the own pages, whose digests must be those of what is there.
static void publish_own(struct bench *bench)
{
    assert_true(tacit_pages_checkpoint(&bench->pages, 1));
    while (tacit_pages_digest(&bench->pages, PAGES)) {
    }
    assert_int_not_equal(tacit_word_load(bench->region, TACIT_STATE_READY), 0);
    for (uint32_t page = 0; page < PAGES; page++) {
        assert_int_equal(tacit_word_load(bench->region, TACIT_STATE_TABLE + 8 * page),
                         tacit_page_digest(bench->pages.live + (size_t)page * TACIT_PAGE_BYTES));
    }
}

static void bench_open(struct bench *bench, uint64_t seed)
{
    memset(bench, 0, sizeof(*bench));
    choice_init_seed(&bench->choice, seed);
    fake_init(&bench->fake, SOURCES, 1);
    struct tacit_bump measure = {NULL, 0};
    tacit_pages_init(&bench->pages, &measure, NULL, PAGES);
    size_t bitmaps = measure.used;
    tacit_transfer_init(&bench->transfer, &measure, &bench->fake.fabric, &bench->pages, SOURCES + 1,
                        PATIENCE_NS, (struct tacit_marker){NULL, NULL});
    bench->region = aligned_alloc(4096, tacit_pages_region_bytes(PAGES));
    bench->memory = aligned_alloc(4096, tacit_round_up(measure.used, 4096));
    bench->before = malloc(state_bytes);
    memset(bench->region, 0, tacit_pages_region_bytes(PAGES));
    struct tacit_bump bump = {(char *)bench->memory, 0};
    tacit_pages_init(&bench->pages, &bump, bench->region, PAGES);
    tacit_transfer_init(&bench->transfer, &bump, &bench->fake.fabric, &bench->pages, SOURCES + 1,
                        PATIENCE_NS, (struct tacit_marker){NULL, NULL});
    for (uint32_t s = 0; s < SOURCES; s++) {
        struct source *source = &bench->source[s];
        source->region = aligned_alloc(4096, tacit_pages_region_bytes(PAGES));
        source->bitmaps = malloc(bitmaps);
        source->incarnation = 1;
        source->applied = 10;
        source_pages(bench, s);
        fake_add_region(&bench->fake, (tacit_node_t)s, TACIT_REGION_STATE, (tacit_node_t)s, 1,
                        source->region, tacit_pages_region_bytes(PAGES));
        fake_add_region(&bench->fake, (tacit_node_t)s, TACIT_REGION_CONTROL, SOURCES, 1,
                        source->control, sizeof(source->control));
        bench->fake.host[s].up = true;
        bench->up |= 1u << s;
    }
    // What is its own is published until a transfer replaces it.
    publish_own(bench);
    bench->now_ns = 1000;
}

static void bench_close(struct bench *bench)
{
    for (uint32_t s = 0; s < SOURCES; s++) {
        free(bench->source[s].region);
        free(bench->source[s].bitmaps);
        for (uint32_t i = 0; i < bench->source[s].checkpoints; i++) {
            free(bench->source[s].history[i]);
        }
    }
    free(bench->region);
    free(bench->memory);
    free(bench->before);
}

static uint64_t wish_of(const struct source *source)
{
    return tacit_word_load(source->control, TACIT_CONTROL_CHECKPOINT);
}

// A source executes an entry: some bytes change.
static void execute(struct bench *bench, struct source *source)
{
    uint32_t changes = 1 + choice_u32(&bench->choice, 3);
    for (uint32_t i = 0; i < changes; i++) {
        uint32_t bytes = 1 + choice_u32(&bench->choice, 200);
        uint32_t offset = choice_u32(&bench->choice, (uint32_t)(state_bytes - bytes));
        uint8_t *at = source->pages.live + offset;
        tacit_pages_touch(&source->pages, at, bytes);
        memset(at, (int)choice_u32(&bench->choice, 256), bytes);
    }
    source->applied++;
}

static void take_checkpoint(struct source *source)
{
    if (source->checkpoints < HISTORY && tacit_pages_checkpoint(&source->pages, source->applied)) {
        source->history[source->checkpoints] = malloc(state_bytes);
        memcpy(source->history[source->checkpoints], source->pages.live, state_bytes);
        source->index[source->checkpoints++] = source->applied;
    }
}

// What a source does for those who ask.
static void serve(struct source *source)
{
    bool published = tacit_word_load(source->region, TACIT_STATE_READY) != 0;
    uint64_t wish = wish_of(source);
    if (wish != 0 && wish - 1 <= source->applied &&
        !(published && source->pages.index >= wish - 1)) {
        take_checkpoint(source);
    }
    (void)tacit_pages_digest(&source->pages, 8);
}

// True if some source was in exactly this state after `index` entries.
static bool is_checkpoint(const struct bench *bench, const uint8_t *state, tacit_index_t index)
{
    for (uint32_t s = 0; s < SOURCES; s++) {
        for (uint32_t i = 0; i < bench->source[s].checkpoints; i++) {
            if (bench->source[s].index[i] == index &&
                memcmp(bench->source[s].history[i], state, state_bytes) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void begin(struct bench *bench, tacit_index_t want)
{
    memcpy(bench->before, bench->pages.live, state_bytes);
    tacit_transfer_start(&bench->transfer, want, bench->now_ns);
    assert_true(tacit_transfer_busy(&bench->transfer));
}

static void take_events(struct bench *bench)
{
    struct tacit_event event;
    while (fake_take(&bench->fake, &event)) {
        if (event.kind == TACIT_EVENT_COMPLETION) {
            assert_int_equal(TACIT_COOKIE_OWNER(event.cookie), TACIT_COOKIE_TRANSFER);
            tacit_transfer_completion(&bench->transfer, &event, bench->now_ns);
        } else if (event.kind == TACIT_EVENT_DOWN) {
            bench->up &= ~(1u << event.node);
            tacit_transfer_down(&bench->transfer, event.node, bench->now_ns);
        }
    }
}

// One turn of the one under test. True when it says that a whole checkpoint is in place.
static bool turn(struct bench *bench)
{
    bench->now_ns += TURN_NS;
    take_events(bench);
    const tacit_incarnation_t incarnations[SOURCES + 1] = {bench->source[0].incarnation,
                                                           bench->source[1].incarnation, 1};
    bool done = tacit_transfer_poll(&bench->transfer, bench->up, incarnations, bench->now_ns);
    if (done) {
        assert_false(tacit_transfer_busy(&bench->transfer));
        assert_int_equal(bench->fake.op_count, 0); // nothing arrives later
        assert_true(bench->transfer.index >= bench->transfer.want);
        assert_true(is_checkpoint(bench, bench->pages.live, bench->transfer.index));
        assert_int_equal(tacit_word_load(bench->region, TACIT_STATE_READY), 0);
        publish_own(bench);
    } else if (bench->transfer.step == TACIT_TRANSFER_INSTALL) {
        // A mixture is offered to nobody.
        assert_int_equal(tacit_word_load(bench->region, TACIT_STATE_READY), 0);
    } else {
        assert_memory_equal(bench->before, bench->pages.live, state_bytes); // nothing is lost yet
    }
    assert_true(done || tacit_transfer_busy(&bench->transfer));
    return done;
}

// Nothing fails from here on: it must end, within this many turns.
static void finish(struct bench *bench, uint32_t turns)
{
    for (uint32_t i = 0; i < turns; i++) {
        for (uint32_t s = 0; s < SOURCES; s++) {
            serve(&bench->source[s]);
        }
        fake_land_all(&bench->fake);
        if (turn(bench)) {
            return;
        }
    }
    fail_msg("the transfer does not end");
}

static void prepare(struct bench *bench, uint32_t entries)
{
    for (uint32_t i = 0; i < entries; i++) {
        execute(bench, &bench->source[0]);
    }
    // Replicas: the same entries, the same state.
    struct source *twin = &bench->source[1];
    tacit_pages_touch(&twin->pages, twin->pages.live, state_bytes);
    memcpy(twin->pages.live, bench->source[0].pages.live, state_bytes);
    twin->applied = bench->source[0].applied;
}

// ---- tests
// -----------------------------------------------------------------------------------------

static void a_quiet_source(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, 1);
    prepare(&bench, 50);
    begin(&bench, 15);
    (void)turn(&bench);
    (void)turn(&bench);
    uint32_t s = wish_of(&bench.source[0]) != 0 ? 0 : 1;
    assert_int_equal(wish_of(&bench.source[s]), 16); // at least 15 entries, plus one
    assert_true(bench.fake.host[s].rings > 0);       // it may sleep
    finish(&bench, 200);
    assert_int_equal(bench.transfer.index, 60);
    assert_int_equal(wish_of(&bench.source[s]), 0); // withdrawn
    assert_int_equal(tacit_transfer_deadline(&bench.transfer), UINT64_MAX);
    bench_close(&bench);
}

static void only_what_differs_is_fetched(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, 2);
    prepare(&bench, 400);
    memcpy(bench.pages.live, bench.source[0].pages.live, state_bytes);
    const uint32_t wrong[] = {0, 1, 5, PAGES - 1};
    for (uint32_t i = 0; i < 4; i++) {
        bench.pages.live[(size_t)wrong[i] * TACIT_PAGE_BYTES + 77] ^= 1;
    }
    begin(&bench, 0);
    finish(&bench, 200);
    assert_int_equal(bench.transfer.fetched, 4);
    begin(&bench, 0); // all is there already
    finish(&bench, 200);
    assert_int_equal(bench.transfer.fetched, 4);
    assert_int_equal(bench.transfer.transfers, 2);
    bench_close(&bench);
}

static void a_checkpoint_that_is_too_old_will_not_do(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, 3);
    prepare(&bench, 5); // applied: 15
    for (uint32_t s = 0; s < SOURCES; s++) {
        take_checkpoint(&bench.source[s]);
    }
    begin(&bench, 18);
    for (uint32_t i = 0; i < 300; i++) { // both are asked in turn, neither can
        for (uint32_t s = 0; s < SOURCES; s++) {
            serve(&bench.source[s]);
        }
        while (bench.fake.op_count > 0) {
            fake_land(&bench.fake, 0, UINT32_MAX);
        }
        assert_false(turn(&bench));
        assert_memory_equal(bench.before, bench.pages.live, state_bytes); // still good
    }
    assert_true(wish_of(&bench.source[0]) == 19 && wish_of(&bench.source[1]) == 19);
    execute(&bench, &bench.source[1]);
    execute(&bench, &bench.source[1]);
    execute(&bench, &bench.source[1]);
    finish(&bench, 400);
    assert_int_equal(bench.transfer.index, 18);
    bench_close(&bench);
}

// The source executes between any two words that are read, and takes checkpoints now and then.
static void a_source_that_keeps_changing(void **state)
{
    (void)state;
    uint64_t shadows = 0;
    uint64_t followed = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct bench bench;
        bench_open(&bench, 100 + seed);
        prepare(&bench, 30);
        begin(&bench, bench.source[0].applied - 5);
        uint32_t pace = 1 + choice_u32(&bench.choice, 4);
        uint32_t checkpoints = choice_u32(&bench.choice, 3);
        bool done = false;
        for (uint32_t i = 0; i < 3000 && !done; i++) {
            for (uint32_t s = 0; s < SOURCES; s++) {
                serve(&bench.source[s]);
                if (i % pace == 0) {
                    execute(&bench, &bench.source[s]);
                }
                if (choice_u32(&bench.choice, 60) < checkpoints) {
                    take_checkpoint(&bench.source[s]);
                }
            }
            fake_land_some(&bench.fake, &bench.choice);
            for (uint32_t r = 0; r < TACIT_TRANSFER_READS; r++) {
                shadows += bench.transfer.reads[r].used && bench.transfer.reads[r].shadow;
            }
            done = turn(&bench);
        }
        assert_true(done);
        followed += bench.transfer.number > 1;
        bench_close(&bench);
    }
    assert_true(shadows > 20 && followed > 5); // the cases that matter were met
}

static void sources_die_and_hang(void **state)
{
    (void)state;
    uint64_t resets = 0;
    uint64_t deaths = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct bench bench;
        bench_open(&bench, 1000 + seed);
        prepare(&bench, 30);
        begin(&bench, bench.source[0].applied - 5);
        bool done = false;
        struct fake_faults faults = {.one_in = 40};
        for (uint32_t i = 0; i < 600 && !done; i++) {
            uint32_t s = choice_u32(&bench.choice, SOURCES);
            serve(&bench.source[s]);
            execute(&bench, &bench.source[s]);
            fake_trouble(&bench.fake, &bench.choice, SOURCES, &faults, &bench.up);
            done = turn(&bench);
        }
        resets += fake_mend(&bench.fake, SOURCES, &bench.up);
        deaths += faults.deaths;
        if (!done) {
            finish(&bench, 1500);
        }
        bench_close(&bench);
    }
    assert_true(deaths > 20 && resets > 5);
}

// The demand is raised while a source is looked for.
static void wanting_more_in_the_middle(void **state)
{
    (void)state;
    uint32_t raised = 0;
    for (uint32_t after = 0; after < 40; after++) {
        struct bench bench;
        bench_open(&bench, 7);
        prepare(&bench, 5); // applied: 15, and published
        for (uint32_t s = 0; s < SOURCES; s++) {
            take_checkpoint(&bench.source[s]);
        }
        begin(&bench, 0);
        bool done = false;
        for (uint32_t i = 0; i < after && !done; i++) {
            serve(&bench.source[0]);
            serve(&bench.source[1]);
            fake_land_some(&bench.fake, &bench.choice);
            done = turn(&bench);
        }
        if (done || bench.transfer.step > TACIT_TRANSFER_HEADER) {
            bench_close(&bench);
            continue;
        }
        raised++;
        tacit_transfer_start(&bench.transfer, 20, bench.now_ns);
        assert_int_equal(bench.transfer.want, 20);
        prepare(&bench, 20);
        tacit_transfer_start(&bench.transfer, 10, bench.now_ns); // less is no demand
        assert_int_equal(bench.transfer.want, 20);
        finish(&bench, 600);
        bench_close(&bench);
    }
    assert_true(raised > 1);
}

// Given up at any step before the installation: the own state is as before, and the next transfer
// works.
static void giving_up(void **state)
{
    (void)state;
    uint32_t late = 0;
    for (uint32_t after = 0; after < 40; after++) {
        struct bench bench;
        bench_open(&bench, 13);
        prepare(&bench, 200);
        begin(&bench, 0);
        bool done = false;
        for (uint32_t i = 0; i < after && !done; i++) {
            serve(&bench.source[0]);
            serve(&bench.source[1]);
            fake_land_some(&bench.fake, &bench.choice);
            done = turn(&bench);
        }
        if (!done && bench.transfer.step != TACIT_TRANSFER_INSTALL) {
            late += bench.transfer.step == TACIT_TRANSFER_PAGES;
            tacit_transfer_cancel(&bench.transfer, bench.now_ns);
            for (uint32_t i = 0; i < 20 && tacit_transfer_busy(&bench.transfer); i++) {
                if (bench.fake.op_count > 0) {
                    fake_land(&bench.fake, 0, UINT32_MAX);
                }
                take_events(&bench);
                assert_false(tacit_transfer_poll(&bench.transfer, bench.up,
                                                 (tacit_incarnation_t[]){1, 1, 1}, bench.now_ns));
            }
            assert_false(tacit_transfer_busy(&bench.transfer));
            assert_memory_equal(bench.before, bench.pages.live, state_bytes);
            publish_own(&bench);
            begin(&bench, 20);
            finish(&bench, 400);
        }
        bench_close(&bench);
    }
    assert_true(late > 2);
}

// The header is read in two halves with a whole checkpoint of the source between them.
static void a_torn_header(void **state)
{
    (void)state;
    for (uint32_t words = 1; words <= 3; words++) {
        struct bench bench;
        bench_open(&bench, 9);
        prepare(&bench, 20);
        for (uint32_t s = 0; s < SOURCES; s++) {
            take_checkpoint(&bench.source[s]);
            while (tacit_pages_digest(&bench.source[s].pages, PAGES)) {
            }
        }
        begin(&bench, 0);
        for (uint32_t i = 0; i < 10 && bench.fake.op_count == 0; i++) {
            assert_false(turn(&bench));
        }
        assert_int_equal(bench.fake.op_count, 1);
        fake_land(&bench.fake, 0, words);
        for (uint32_t s = 0; s < SOURCES; s++) {
            execute(&bench, &bench.source[s]);
            take_checkpoint(&bench.source[s]);
            while (tacit_pages_digest(&bench.source[s].pages, PAGES)) {
            }
        }
        finish(&bench, 300);
        bench_close(&bench);
    }
}

// A read that was lost says nothing; its source is left for another one.
static void a_lost_read_changes_the_source(void **state)
{
    (void)state;
    for (uint32_t after = 0; after < 12; after++) {
        struct bench bench;
        bench_open(&bench, 11);
        prepare(&bench, 20);
        begin(&bench, 0);
        for (uint32_t i = 0; i < after; i++) { // into every step
            serve(&bench.source[0]);
            serve(&bench.source[1]);
            while (bench.fake.op_count > 0) {
                fake_land(&bench.fake, 0, UINT32_MAX);
            }
            assert_false(turn(&bench));
        }
        for (uint32_t i = 0; i < 20 && bench.fake.op_count == 0; i++) {
            assert_false(turn(&bench));
        }
        tacit_node_t source = bench.transfer.source;
        while (bench.fake.op_count > 0) {
            fake_complete(&bench.fake, 0, TACIT_COMPLETION_LOST);
        }
        assert_false(turn(&bench));
        assert_false(turn(&bench));
        assert_int_not_equal(bench.transfer.source, source);
        finish(&bench, 300);
        bench_close(&bench);
    }
}

// Who shall not be asked any more, since it stands still, say, is left without waiting.
static void who_is_no_source_any_more_is_left(void **state)
{
    (void)state;
    for (uint32_t after = 0; after < 12; after++) {
        struct bench bench;
        bench_open(&bench, 12);
        prepare(&bench, 20);
        begin(&bench, 0);
        for (uint32_t i = 0; i <= after; i++) { // in every step
            serve(&bench.source[0]);
            serve(&bench.source[1]);
            fake_land_all(&bench.fake);
            assert_false(turn(&bench));
        }
        tacit_node_t source = bench.transfer.source;
        assert_int_not_equal(source, TACIT_NODE_NONE);
        bench.up = 0; // nobody is better
        fake_land_all(&bench.fake);
        assert_false(turn(&bench));
        assert_int_equal(bench.transfer.source, source);
        bench.up = 1u << (1 - source);
        tacit_time_ns_t since_ns = bench.now_ns;
        while (bench.transfer.source == source) {
            fake_land_all(&bench.fake);
            assert_false(turn(&bench));
            assert_true(bench.now_ns <= since_ns + 4ull * TURN_NS);
        }
        finish(&bench, 300);
        bench_close(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_source),
        cmocka_unit_test(only_what_differs_is_fetched),
        cmocka_unit_test(a_checkpoint_that_is_too_old_will_not_do),
        cmocka_unit_test(a_source_that_keeps_changing),
        cmocka_unit_test(sources_die_and_hang),
        cmocka_unit_test(wanting_more_in_the_middle),
        cmocka_unit_test(giving_up),
        cmocka_unit_test(a_torn_header),
        cmocka_unit_test(a_lost_read_changes_the_source),
        cmocka_unit_test(who_is_no_source_any_more_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
