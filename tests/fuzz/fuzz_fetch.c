// SPDX-License-Identifier: Apache-2.0
//
// Certified state transfer (core/state/fetch.h, certified.h, tree.h) from one correct source and
// one whose STATE region (header, saved bits, digests, pages) the input changes between any two
// words that are read. What is installed is what the certificate names, the correct source is never
// blamed, the own state stays until all is there, and the transfer ends.
#include "unit/support/fake_fabric.h"

#include "core/state/fetch.h"
#include "script.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SOURCES = 2, // 0 lies, 1 is correct; node 2 is under test
    HALF = 8,    // entries between checkpoints
    PAGES = 70,  // two strata
    STATE = PAGES * TACIT_PAGE_BYTES,
    PATIENCE_NS = 1000000,
    TURN_NS = 20000,
    STEPS_MAX = 300,
    TURNS_MAX = 2000,
};

static const struct tacit_marker no_marker = {NULL, NULL};

struct replica {
    struct tacit_pages pages;
    uint8_t *region, *memory;
};

static struct {
    bool is_made;
    size_t region_bytes, memory_bytes;
    struct replica source[SOURCES], own;
    struct tacit_digest root[3]; // at index i * HALF
    uint8_t copy[3][STATE];
    uint8_t *region[SOURCES]; // of the sources as they were made
    uint8_t *buffers;
} made;

static struct {
    struct fake_fabric fake;
    struct tacit_fetch fetch;
    uint32_t up;
    tacit_time_ns_t now_ns;
    uint8_t before[STATE];
    bool is_done;
} world;

static void replica_open(struct replica *replica)
{
    struct tacit_bump bump = {(char *)replica->memory, 0};
    memset(replica->region, 0, made.region_bytes);
    tacit_certified_init(&replica->pages, &bump, replica->region, PAGES, 2, no_marker);
}

static void replica_make(struct replica *replica)
{
    struct tacit_bump bump = {NULL, 0};
    tacit_certified_init(&replica->pages, &bump, NULL, PAGES, 2, no_marker);
    made.memory_bytes = tacit_round_up(bump.used, 64);
    made.region_bytes = tacit_certified_region_bytes(PAGES);
    replica->memory = aligned_alloc(64, made.memory_bytes);
    replica->region = aligned_alloc(4096, made.region_bytes);
    must(replica->memory != NULL && replica->region != NULL);
    replica_open(replica);
}

// The same on every replica: some pages change, then the checkpoint at i * HALF is certified.
static void advance(struct replica *replica, uint32_t i)
{
    for (uint32_t page = i; page < PAGES; page += 3 * i) {
        uint8_t *at = replica->pages.live + (size_t)page * TACIT_PAGE_BYTES + 100 * i;
        tacit_pages_touch(&replica->pages, at, 300);
        memset(at, (int)(page + i), 300);
    }
    tacit_index_t index;
    must(tacit_pages_checkpoint(&replica->pages, i * HALF));
    (void)tacit_pages_digest(&replica->pages, UINT32_MAX);
    must(tacit_certified_root(&replica->pages, &index, &made.root[i]));
    memcpy(made.copy[i], replica->pages.live, STATE);
    must(tacit_certified_publish(&replica->pages, i * HALF, &made.root[i]) == TACIT_PUBLISH_DONE);
}

static void make(void)
{
    struct tacit_bump bump = {NULL, 0};
    for (uint32_t s = 0; s < SOURCES; s++) {
        replica_make(&made.source[s]);
        advance(&made.source[s], 1);
        advance(&made.source[s], 2);
        made.region[s] = malloc(made.region_bytes);
        must(made.region[s] != NULL);
        memcpy(made.region[s], made.source[s].region, made.region_bytes);
    }
    replica_make(&made.own);
    tacit_fetch_init(&world.fetch, &bump, &world.fake.fabric, &made.own.pages, SOURCES + 1,
                     PATIENCE_NS, no_marker);
    made.buffers = aligned_alloc(4096, tacit_round_up(bump.used, 4096));
    must(made.buffers != NULL);
    made.is_made = true;
}

static void begin(void)
{
    memset(&world, 0, sizeof world);
    world.now_ns = 1000;
    fake_init(&world.fake, SOURCES, 1);
    replica_open(&made.own);
    for (uint32_t s = 0; s < SOURCES; s++) {
        memcpy(made.source[s].region, made.region[s], made.region_bytes);
        fake_add_region(&world.fake, (tacit_node_t)s, TACIT_REGION_STATE, (tacit_node_t)s, 1,
                        made.source[s].region, made.region_bytes);
        world.fake.host[s].up = true;
        world.up |= 1u << s;
    }
    struct tacit_bump bump = {(char *)made.buffers, 0};
    tacit_fetch_init(&world.fetch, &bump, &world.fake.fabric, &made.own.pages, SOURCES + 1,
                     PATIENCE_NS, no_marker);
    memcpy(world.before, made.own.pages.live, STATE);
    must(tacit_fetch_start(&world.fetch, 2 * HALF, &made.root[2], world.now_ns));
}

static void turn(void)
{
    static const tacit_incarnation_t incarnations[SOURCES + 1] = {1, 1, 1};
    struct tacit_event event;
    world.now_ns += TURN_NS;
    while (fake_take(&world.fake, &event)) {
        if (event.kind == TACIT_EVENT_COMPLETION) {
            tacit_fetch_completion(&world.fetch, &event, world.now_ns);
        } else if (event.kind == TACIT_EVENT_DOWN) {
            world.up &= ~(1u << event.node);
            tacit_fetch_down(&world.fetch, event.node, world.now_ns);
        }
    }
    enum tacit_fetch_result result =
        tacit_fetch_poll(&world.fetch, world.up, incarnations, world.now_ns);
    must(tacit_certified_check(&made.own.pages) == NULL);
    must((world.fetch.bad & 2u) == 0); // source 1 is correct
    must(world.fetch.counters.unproven == 0);
    if (result == TACIT_FETCH_DONE) {
        tacit_index_t published;
        must(tacit_certified_published(&made.own.pages, &published) && published == 2 * HALF);
        must(memcmp(made.own.pages.live, made.copy[2], STATE) == 0);
        world.is_done = true;
    }
}

// A word of the header is made likely: it decides where everything is looked for.
static void lie(struct script *script)
{
    uint8_t *region = made.source[0].region;
    struct tacit_state_layout layout;
    uint8_t what = (uint8_t)take(script, 1);
    uint64_t at = take(script, 2);
    uint64_t word = take(script, 1);
    tacit_state_layout_make(&layout, PAGES);
    uint64_t area = what / 64 % 2;
    switch (what % 8) {
    case 0:
        at = at % (TACIT_STATE_CERTIFIED_HEADER / 8) * 8;
        word = what >= 128 ? take(script, 8) : word;
        break;
    case 1: // saved bits, and the digests behind
        at = layout.saved[area] + at % (2u * PAGES / 8) * 8;
        word *= 0x0101010101010101u;
        break;
    case 2:
        at = layout.table[area][0] + at % (32u * PAGES / 8) * 8;
        break;
    case 3:
        at = layout.table[area][1] + at % (32u * layout.size[1] / 8) * 8;
        break;
    case 4:
        at = layout.shadow[area] + at * 64 % STATE;
        break;
    case 5: // as it was
        memcpy(region, made.region[0], made.region_bytes);
        return;
    case 6: // a publication of its own
        tacit_word_store(region, TACIT_STATE_READY, word + 1);
        return;
    default:
        at = layout.live + at * 64 % STATE;
        break;
    }
    memcpy(region + at, &word, 8);
}

// One that hung was reset: it is connected again when its DOWN was taken.
static void reconnect(void)
{
    for (uint32_t s = 0; s < SOURCES; s++) {
        if (!world.fake.host[s].up && world.fake.event_count == 0) {
            world.fake.host[s].up = true;
            world.up |= 1u << s;
        }
    }
}

static void step(struct script *script)
{
    uint8_t what = (uint8_t)take(script, 1);
    struct fake_fabric *fake = &world.fake;
    switch (what % 8) {
    case 0:
    case 1:
    case 2:
        lie(script);
        break;
    case 3:
        if (fake->op_count > 0) {
            fake_land(fake, what / 8 % fake->op_count, take_below(script, 256) + 1);
        }
        break;
    case 4:
    case 5:
        for (uint32_t i = what / 32; i > 0 && fake->op_count > 0; i--) {
            fake_land(fake, 0, UINT32_MAX);
        }
        break;
    case 6:
        fake->refuse = what / 8 % 4;
        if (what >= 240) {
            world.now_ns += PATIENCE_NS;
        }
        break;
    default:
        break;
    }
    turn();
    if (!world.is_done && !tacit_fetch_is_installing(&world.fetch)) {
        must(memcmp(world.before, made.own.pages.live, 4 * TACIT_PAGE_BYTES) == 0);
    }
    reconnect();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return setenv("CMOCKA_TEST_ABORT", "1", 1); // assertions of the fake end the target
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, data + size};
    if (!made.is_made) {
        make();
    }
    begin();
    for (uint32_t i = 0; i < STEPS_MAX && !world.is_done && !script_is_over(&script); i++) {
        step(&script);
    }
    for (uint32_t i = 0; i < TURNS_MAX && !world.is_done; i++) {
        while (world.fake.op_count > 0) {
            fake_land(&world.fake, 0, UINT32_MAX);
        }
        turn();
        reconnect();
    }
    must(world.is_done);
    must(memcmp(made.region[1], made.source[1].region, made.region_bytes) == 0);
    return 0;
}
