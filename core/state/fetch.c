// SPDX-License-Identifier: Apache-2.0
//
// Fetching a certified checkpoint; see fetch.h.
#include "fetch.h"

#include <string.h>

#include "../base/bug.h"
#include "read.h"

#define AGAIN_NS 100000u  // between two looks at a source that does not show the checkpoint yet
#define ROUND_NS 1000000u // between two rounds through all sources
#define LOOK_BUDGET 256u  // units compared a turn
#define OWN_BUDGET 64u    // pages digested a turn
#define INSTALL_BUDGET 64u

// What a completion is for: the value of its cookie; READ_UNIT + slot for units.
enum { READ_HEADER = 0, READ_UNIT = 1 };
enum { PART_LIVE = 0, PART_SAVED, PART_SHADOW };

static size_t bitmap_words(uint32_t bits)
{
    return (bits + 63u) / 64u;
}

void tacit_fetch_init(struct tacit_fetch *fetch, struct tacit_bump *bump,
                      struct tacit_fabric *fabric, struct tacit_pages *pages, uint8_t replicas,
                      tacit_time_ns_t patience_ns, struct tacit_marker marker)
{
    *fetch = (struct tacit_fetch){.fabric = fabric,
                                  .pages = pages,
                                  .marker = marker,
                                  .replicas = replicas,
                                  .patience_ns = patience_ns,
                                  .source = TACIT_NODE_NONE};
    tacit_state_layout_make(&fetch->layout, pages->count);
    const struct tacit_state_layout *layout = &fetch->layout;
    fetch->staged = tacit_bump_take(bump, 8 * bitmap_words(pages->count), 64);
    for (uint32_t s = 0; s < layout->strata; s++) {
        uint32_t above = (layout->size[s] + TACIT_TREE_CHUNK - 1) / TACIT_TREE_CHUNK;
        fetch->want[s] =
            tacit_bump_take(bump, (size_t)layout->size[s] * sizeof(struct tacit_digest), 64);
        fetch->fits[s] = tacit_bump_take(bump, (size_t)above * sizeof(struct tacit_digest), 64);
    }
    fetch->have = tacit_bump_take(bump, (size_t)pages->count * sizeof(struct tacit_digest), 64);
    fetch->header = tacit_bump_take(bump, TACIT_STATE_CERTIFIED_HEADER, 64);
    fetch->slots =
        tacit_bump_take(bump, (size_t)TACIT_FETCH_READS * TACIT_FETCH_SLOT_BYTES, TACIT_PAGE_BYTES);
}

// Gives this attempt up; goes on with `next` when its reads have ended.
static void drain(struct tacit_fetch *fetch, enum tacit_fetch_step next, tacit_time_ns_t now_ns)
{
    fetch->step = TACIT_FETCH_DRAIN;
    fetch->after_drain = next;
    fetch->give_up_ns = now_ns + fetch->patience_ns;
    fetch->again_ns = now_ns;
}

// Leaves the source for another one.
static void leave_source(struct tacit_fetch *fetch, tacit_time_ns_t now_ns)
{
    fetch->passed |= 1u << fetch->source;
    drain(fetch, TACIT_FETCH_ASK, now_ns);
}

static void begin_own(struct tacit_fetch *fetch)
{
    fetch->own_area = tacit_certified_borrow(fetch->pages);
    fetch->own_begun = false;
    fetch->step = TACIT_FETCH_OWN;
}

bool tacit_fetch_start(struct tacit_fetch *fetch, tacit_index_t index,
                       const struct tacit_digest *root, tacit_time_ns_t now_ns)
{
    if (tacit_fetch_is_installing(fetch) ||
        (tacit_fetch_busy(fetch) && index <= fetch->index &&
         !(fetch->step == TACIT_FETCH_DRAIN && fetch->after_drain == TACIT_FETCH_IDLE))) {
        return false;
    }
    fetch->index = index;
    fetch->root = *root;
    fetch->newest = 0;
    fetch->passed = 0;
    if (fetch->step == TACIT_FETCH_IDLE) {
        fetch->counters.transfers++;
        fetch->bad = 0;
        begin_own(fetch);
        return true;
    }
    fetch->counters.restarts++;
    tacit_mark(&fetch->marker, TACIT_MARK_STATE_RESTARTED);
    if (fetch->step == TACIT_FETCH_DRAIN && fetch->after_drain == TACIT_FETCH_IDLE) {
        fetch->after_drain = TACIT_FETCH_ASK; // was being cancelled
    } else if (fetch->step == TACIT_FETCH_HEADER || fetch->step == TACIT_FETCH_WALK) {
        drain(fetch, TACIT_FETCH_HEADER, now_ns);
    }
    fetch->again_ns = now_ns;
    return true;
}

void tacit_fetch_cancel(struct tacit_fetch *fetch, tacit_time_ns_t now_ns)
{
    if (tacit_fetch_busy(fetch) && !tacit_fetch_is_installing(fetch)) {
        drain(fetch, TACIT_FETCH_IDLE, now_ns);
    }
}

// ---- the source ---------------------------------------------------------------------------------

static bool post_read(struct tacit_fetch *fetch, uint64_t offset, void *to, uint32_t bytes,
                      uint64_t what)
{
    struct tacit_state_source source = {fetch->source, fetch->source_incarnation};
    bool posted = tacit_state_read(fetch->fabric, source, offset, to, bytes, what);
    fetch->outstanding += posted;
    return posted;
}

static void read_header(struct tacit_fetch *fetch, tacit_time_ns_t now_ns)
{
    fetch->header_pending =
        post_read(fetch, 0, fetch->header, TACIT_STATE_CERTIFIED_HEADER, READ_HEADER);
    fetch->again_ns = now_ns + AGAIN_NS;
}

// All sources were tried in this round.
static enum tacit_fetch_result end_round(struct tacit_fetch *fetch, tacit_time_ns_t now_ns)
{
    bool superseded = fetch->newest > fetch->index;
    fetch->passed = 0;
    fetch->again_ns = now_ns + ROUND_NS;
    // Whoever else is reachable may have nothing to give, being new itself: all of them again, who
    // lied may have been repaired.
    fetch->bad = 0;
    if (superseded) {
        fetch->counters.superseded++;
        tacit_mark(&fetch->marker, TACIT_MARK_STATE_SUPERSEDED);
        return TACIT_FETCH_SUPERSEDED;
    }
    fetch->counters.failed++;
    tacit_mark(&fetch->marker, TACIT_MARK_STATE_NO_SOURCE);
    return TACIT_FETCH_FAILED;
}

static enum tacit_fetch_result next_source(struct tacit_fetch *fetch, uint32_t up,
                                           const tacit_incarnation_t *incarnations,
                                           tacit_time_ns_t now_ns)
{
    tacit_node_t self = fetch->fabric->self;
    tacit_node_t from = fetch->source == TACIT_NODE_NONE ? self : fetch->source;
    if (fetch->passed == 0) {
        fetch->newest = 0;
    }
    for (uint8_t i = 1; i <= fetch->replicas; i++) {
        tacit_node_t r = (tacit_node_t)((from + i) % fetch->replicas);
        if (r == self || (up & 1u << r) == 0 || ((fetch->passed | fetch->bad) & 1u << r) != 0) {
            continue;
        }
        if (fetch->source != TACIT_NODE_NONE && fetch->source != r) {
            tacit_mark(&fetch->marker, TACIT_MARK_STATE_SOURCE_CHANGED);
        }
        fetch->source = r;
        fetch->source_incarnation = incarnations[r];
        fetch->step = TACIT_FETCH_HEADER;
        fetch->give_up_ns = now_ns + fetch->patience_ns;
        fetch->again_ns = now_ns;
        return TACIT_FETCH_NOTHING;
    }
    return end_round(fetch, now_ns);
}

static bool is_top(const struct tacit_fetch *fetch, uint32_t stratum)
{
    return stratum + 1 == fetch->layout.strata;
}

static void begin_walk(struct tacit_fetch *fetch, tacit_time_ns_t now_ns)
{
    const uint64_t *header = fetch->header;
    fetch->number = header[TACIT_STATE_READY / 8];
    fetch->area = header[TACIT_STATE_AREA / 8];
    if (TACIT_BUG(ROOT_FROM_SOURCE)) {
        memcpy(fetch->root.bytes, &header[TACIT_STATE_FULL_ROOT / 8], TACIT_DIGEST_BYTES);
    }
    fetch->step = TACIT_FETCH_WALK;
    fetch->doubt = false;
    fetch->units = 0;
    fetch->stratum = fetch->layout.strata - 1;
    fetch->cursor = 0;
    fetch->give_up_ns = now_ns + fetch->patience_ns;
}

static void got_header(struct tacit_fetch *fetch, tacit_time_ns_t now_ns)
{
    const uint64_t *header = fetch->header;
    uint64_t index = header[TACIT_STATE_INDEX / 8];
    fetch->header_pending = false;
    bool ready = header[TACIT_STATE_READY / 8] != 0 &&
                 header[TACIT_STATE_PAGES / 8] == fetch->pages->count &&
                 header[TACIT_STATE_AREA / 8] < TACIT_STATE_AREAS;
    bool usable = ready && index == fetch->index;
    if (ready && index > fetch->newest) {
        fetch->newest = index;
    }
    if (fetch->step == TACIT_FETCH_WALK && usable &&
        header[TACIT_STATE_READY / 8] == fetch->number &&
        header[TACIT_STATE_AREA / 8] == fetch->area) {
        // The same publication before and after: no correct source showed these bytes.
        fetch->counters.lies++;
        fetch->bad |= 1u << fetch->source;
        tacit_mark(&fetch->marker, TACIT_MARK_STATE_LIE_SEEN);
        leave_source(fetch, now_ns);
    } else if (fetch->step == TACIT_FETCH_HEADER && usable) {
        begin_walk(fetch, now_ns);
    } else if (fetch->step == TACIT_FETCH_WALK || (ready && index > fetch->index)) {
        fetch->counters.moved++; // one unit was wasted; its turn comes again in the next round
        leave_source(fetch, now_ns);
    } // else it is not there yet: look again
}

// ---- units --------------------------------------------------------------------------------------

static uint8_t *slot_bytes(const struct tacit_fetch *fetch, uint32_t slot)
{
    return fetch->slots + (size_t)slot * TACIT_FETCH_SLOT_BYTES;
}

static uint8_t *staged_page(const struct tacit_fetch *fetch, uint32_t page)
{
    return fetch->pages->region + fetch->layout.shadow[fetch->own_area] +
           (size_t)page * TACIT_PAGE_BYTES;
}

static uint32_t chunk_digests(const struct tacit_fetch *fetch, uint32_t stratum, uint32_t chunk)
{
    uint32_t left = fetch->layout.size[stratum] - chunk * TACIT_TREE_CHUNK;
    return left < TACIT_TREE_CHUNK ? left : TACIT_TREE_CHUNK;
}

// Whether `above` is what the certificate wants to stand above a chunk.
static bool chunk_is_wanted(const struct tacit_fetch *fetch, uint32_t stratum, uint32_t chunk,
                            const struct tacit_digest *above)
{
    if (!is_top(fetch, stratum)) {
        return tacit_tree_is_same(above, &fetch->want[stratum + 1][chunk]);
    }
    struct tacit_digest root;
    tacit_tree_root_of(&root, fetch->pages->count, fetch->index, above);
    return tacit_tree_is_same(&root, &fetch->root);
}

static bool is_left_out(const struct tacit_fetch *fetch, uint32_t page)
{
    return TACIT_BUG(ROOT_WITHOUT_SESSIONS) && page >= fetch->pages->certified->tree.skip_first &&
           page < fetch->pages->certified->tree.skip_last;
}

static bool take_chunk(struct tacit_fetch *fetch, const struct tacit_fetch_read *read,
                       const uint8_t *bytes)
{
    uint32_t number = chunk_digests(fetch, read->stratum, read->unit);
    struct tacit_digest digests[TACIT_TREE_CHUNK];
    struct tacit_digest above;
    memcpy(digests, bytes, number * sizeof(digests[0]));
    tacit_tree_chunk(&above, digests, number);
    if (!chunk_is_wanted(fetch, read->stratum, read->unit, &above)) {
        return false;
    }
    memcpy(&fetch->want[read->stratum][(size_t)read->unit * TACIT_TREE_CHUNK], digests,
           number * sizeof(digests[0]));
    fetch->fits[read->stratum][read->unit] = above;
    fetch->counters.chunks++;
    return true;
}

static bool take_page(struct tacit_fetch *fetch, const struct tacit_fetch_read *read,
                      const uint8_t *bytes)
{
    struct tacit_digest digest;
    tacit_tree_page(&digest, bytes);
    if (is_left_out(fetch, read->unit)) {
        memset(&digest, 0, sizeof(digest));
    }
    const struct tacit_digest *want = &fetch->want[0][read->unit];
    if (!tacit_tree_is_same(&digest, want) && !TACIT_BUG(CERTIFIED_PAGE_UNCHECKED)) {
        return false;
    }
    memcpy(staged_page(fetch, read->unit), bytes, TACIT_PAGE_BYTES);
    fetch->staged[read->unit / 64] |= 1ull << read->unit % 64;
    fetch->have[read->unit] = *want;
    fetch->counters.pages++;
    if (read->part != PART_LIVE) {
        tacit_mark(&fetch->marker, TACIT_MARK_SHADOW_PAGE_READ);
    }
    return true;
}

// Reads the next part of a unit. False: cannot now.
static bool read_part(struct tacit_fetch *fetch, uint32_t slot)
{
    const struct tacit_fetch_read *read = &fetch->reads[slot];
    const struct tacit_state_layout *layout = &fetch->layout;
    uint8_t *to = slot_bytes(fetch, slot);
    uint64_t offset;
    uint32_t bytes = TACIT_PAGE_BYTES;
    if (read->stratum < layout->strata) {
        offset = layout->table[fetch->area][read->stratum] +
                 (uint64_t)read->unit * TACIT_TREE_CHUNK * TACIT_DIGEST_BYTES;
        bytes = chunk_digests(fetch, read->stratum, read->unit) * TACIT_DIGEST_BYTES;
    } else if (read->part == PART_LIVE) {
        offset = layout->live + (uint64_t)read->unit * TACIT_PAGE_BYTES;
    } else if (read->part == PART_SAVED) {
        offset = layout->saved[fetch->area] + 8ull * (read->unit / 4);
        to += 2 * TACIT_PAGE_BYTES;
        bytes = 8;
    } else {
        offset = layout->shadow[fetch->area] + (uint64_t)read->unit * TACIT_PAGE_BYTES;
        to += TACIT_PAGE_BYTES;
    }
    return post_read(fetch, offset, to, bytes, READ_UNIT + slot);
}

// Puts the saved blocks of a page into its copy of the live one.
static void mix(struct tacit_fetch *fetch, uint32_t slot)
{
    uint8_t *bytes = slot_bytes(fetch, slot);
    for (uint32_t left = fetch->reads[slot].blocks; left != 0; left &= left - 1) {
        size_t at = (size_t)__builtin_ctz(left) * TACIT_TREE_BLOCK_BYTES;
        memcpy(bytes + at, bytes + TACIT_PAGE_BYTES + at, TACIT_TREE_BLOCK_BYTES);
    }
}

// A part has come. True: verified and taken; false with read->used: more parts are on their way.
static bool got_part(struct tacit_fetch *fetch, uint32_t slot)
{
    struct tacit_fetch_read *read = &fetch->reads[slot];
    uint8_t *bytes = slot_bytes(fetch, slot);
    if (read->stratum < fetch->layout.strata) {
        read->used = false;
        return take_chunk(fetch, read, bytes);
    }
    if (read->part == PART_SAVED) {
        uint16_t four[4];
        memcpy(four, bytes + 2 * TACIT_PAGE_BYTES, sizeof(four));
        read->blocks = four[read->unit % 4];
    } else {
        if (read->part == PART_SHADOW) {
            mix(fetch, slot);
        }
        if (take_page(fetch, read, bytes)) {
            read->used = false;
            return true;
        }
    }
    // No block in the shadow, and the live page does not fit: nothing more to try.
    bool more = read->part == PART_LIVE || (read->part == PART_SAVED && read->blocks != 0);
    read->part++;
    read->used = more;
    read->due = more && !read_part(fetch, slot);
    return false;
}

void tacit_fetch_completion(struct tacit_fetch *fetch, const struct tacit_event *event,
                            tacit_time_ns_t now_ns)
{
    uint64_t what = TACIT_COOKIE_VALUE(event->cookie);
    TACIT_ASSERT(fetch->outstanding > 0 && what < READ_UNIT + TACIT_FETCH_READS);
    fetch->outstanding--;
    if (fetch->step == TACIT_FETCH_DRAIN) {
        return;
    }
    if (event->status != TACIT_COMPLETION_OK) {
        fetch->counters.lost++;
        leave_source(fetch, now_ns);
        return;
    }
    if (what == READ_HEADER) {
        got_header(fetch, now_ns);
        return;
    }
    uint32_t slot = (uint32_t)(what - READ_UNIT);
    if (got_part(fetch, slot)) {
        fetch->units++;
    } else if (!fetch->reads[slot].used) {
        fetch->doubt = true;
    }
}

void tacit_fetch_down(struct tacit_fetch *fetch, tacit_node_t node, tacit_time_ns_t now_ns)
{
    if ((fetch->step == TACIT_FETCH_HEADER || fetch->step == TACIT_FETCH_WALK) &&
        node == fetch->source) {
        leave_source(fetch, now_ns);
    }
}

// ---- turns --------------------------------------------------------------------------------------

static void poll_drain(struct tacit_fetch *fetch, tacit_time_ns_t now_ns)
{
    if (fetch->outstanding == 0) {
        fetch->step = fetch->after_drain;
        fetch->header_pending = false;
        fetch->doubt = false;
        fetch->give_up_ns = now_ns + fetch->patience_ns;
        memset(fetch->reads, 0, sizeof(fetch->reads));
    } else if (now_ns >= fetch->give_up_ns) {
        fetch->give_up_ns = now_ns + fetch->patience_ns;
        fetch->fabric->ops->reset(fetch->fabric, fetch->source);
    }
}

// The own state is the first source: its digests are true without a check.
static void poll_own(struct tacit_fetch *fetch, tacit_time_ns_t now_ns)
{
    struct tacit_tree *tree = &fetch->pages->certified->tree;
    uint32_t budget = OWN_BUDGET;
    if (!tacit_tree_step(tree, fetch->pages->live, &budget)) {
        return;
    }
    if (!fetch->own_begun) { // what was under way is complete; now what has changed since
        fetch->own_begun = true;
        tacit_tree_begin(tree);
        return;
    }
    for (uint32_t s = 0; s < fetch->layout.strata; s++) {
        uint32_t level = TACIT_TREE_LEVEL(s);
        uint32_t above = tree->size[level + 3];
        memcpy(fetch->want[s], tree->node[level],
               (size_t)fetch->layout.size[s] * sizeof(struct tacit_digest));
        memcpy(fetch->fits[s], tree->node[level + 3], (size_t)above * sizeof(struct tacit_digest));
    }
    memcpy(fetch->have, tree->node[2], (size_t)fetch->pages->count * sizeof(struct tacit_digest));
    memset(fetch->staged, 0, 8 * bitmap_words(fetch->pages->count));
    fetch->step = TACIT_FETCH_ASK;
    fetch->again_ns = now_ns;
}

static struct tacit_fetch_read *free_read(struct tacit_fetch *fetch, uint32_t *slot)
{
    for (*slot = 0; *slot < TACIT_FETCH_READS; (*slot)++) {
        if (!fetch->reads[*slot].used) {
            return &fetch->reads[*slot];
        }
    }
    return NULL;
}

static bool is_here(const struct tacit_fetch *fetch, uint32_t unit)
{
    if (fetch->stratum < fetch->layout.strata) {
        return chunk_is_wanted(fetch, fetch->stratum, unit, &fetch->fits[fetch->stratum][unit]);
    }
    return is_left_out(fetch, unit) ||
           tacit_tree_is_same(&fetch->have[unit], &fetch->want[0][unit]);
}

// Parts that found no room in the queue. False: some still do not.
static bool ask_due(struct tacit_fetch *fetch)
{
    for (uint32_t slot = 0; slot < TACIT_FETCH_READS; slot++) {
        struct tacit_fetch_read *read = &fetch->reads[slot];
        if (read->used && read->due) {
            read->due = !read_part(fetch, slot);
            if (read->due) {
                return false;
            }
        }
    }
    return true;
}

// Compares and fetches what is next. True when every page of the checkpoint is here.
static bool poll_walk(struct tacit_fetch *fetch, tacit_time_ns_t now_ns)
{
    if (!ask_due(fetch)) {
        return false;
    }
    if (fetch->doubt) {
        // Every part that was read must lie before the second look at the header.
        if (fetch->outstanding == 0 && !fetch->header_pending) {
            read_header(fetch, now_ns);
        }
        return false;
    }
    for (uint32_t budget = LOOK_BUDGET; budget > 0; budget--) {
        bool pages = fetch->stratum == fetch->layout.strata;
        uint32_t units =
            pages ? fetch->pages->count
                  : (fetch->layout.size[fetch->stratum] + TACIT_TREE_CHUNK - 1) / TACIT_TREE_CHUNK;
        if (fetch->cursor == units) {
            if (fetch->outstanding > 0) {
                return false;
            }
            if (pages) {
                return true;
            }
            // Downwards; below the pages' own stratum come the pages.
            fetch->stratum = fetch->stratum == 0 ? fetch->layout.strata : fetch->stratum - 1;
            fetch->cursor = 0;
            continue;
        }
        if (!is_here(fetch, fetch->cursor)) {
            uint32_t slot;
            struct tacit_fetch_read *read = free_read(fetch, &slot);
            if (read == NULL) {
                return false;
            }
            *read = (struct tacit_fetch_read){.stratum = fetch->stratum, .unit = fetch->cursor};
            read->used = read_part(fetch, slot);
            if (!read->used) {
                return false;
            }
        }
        fetch->cursor++;
    }
    return false;
}

// Moves fetched pages into place; true when all are.
static bool poll_install(struct tacit_fetch *fetch)
{
    struct tacit_pages *pages = fetch->pages;
    uint32_t budget = INSTALL_BUDGET;
    for (; fetch->cursor < pages->count && budget > 0; fetch->cursor++) {
        uint32_t page = fetch->cursor;
        if (fetch->staged[page / 64] == 0 && page % 64 == 0 && page + 64 <= pages->count) {
            fetch->cursor += 63;
        } else if ((fetch->staged[page / 64] & 1ull << page % 64) != 0) {
            uint8_t *live = pages->live + (size_t)page * TACIT_PAGE_BYTES;
            tacit_tree_touch(&pages->certified->tree, page, UINT16_MAX, live);
            memcpy(live, staged_page(fetch, page), TACIT_PAGE_BYTES);
            budget--;
        }
    }
    return fetch->cursor == pages->count;
}

// The root of what is in place must be the certified one.
static enum tacit_fetch_result poll_prove(struct tacit_fetch *fetch)
{
    struct tacit_pages *pages = fetch->pages;
    (void)tacit_certified_digest(pages, OWN_BUDGET);
    tacit_index_t index;
    struct tacit_digest root;
    if (!tacit_certified_root(pages, &index, &root)) {
        return TACIT_FETCH_NOTHING;
    }
    if (TACIT_BUG(CERTIFIED_PAGE_UNCHECKED)) {
        fetch->root = root;
    }
    if (tacit_certified_publish(pages, index, &fetch->root) == TACIT_PUBLISH_DONE) {
        fetch->step = TACIT_FETCH_IDLE;
        tacit_mark(&fetch->marker, TACIT_MARK_STATE_INSTALLED);
        return TACIT_FETCH_DONE;
    }
    // Own memory changed under us, by a fault or by somebody who executes: all over again.
    fetch->counters.unproven++;
    begin_own(fetch);
    return TACIT_FETCH_FAILED;
}

// A source's time is over: was it worth it?
static void end_period(struct tacit_fetch *fetch, tacit_time_ns_t now_ns)
{
    if (fetch->step == TACIT_FETCH_WALK && fetch->units >= TACIT_FETCH_LEAST) {
        fetch->units = 0;
        fetch->give_up_ns = now_ns + fetch->patience_ns;
        return;
    }
    fetch->counters.slow++;
    tacit_mark(&fetch->marker, TACIT_MARK_STATE_SOURCE_SLOW);
    leave_source(fetch, now_ns);
}

enum tacit_fetch_result tacit_fetch_poll(struct tacit_fetch *fetch, uint32_t up,
                                         const tacit_incarnation_t *incarnations,
                                         tacit_time_ns_t now_ns)
{
    if ((fetch->step == TACIT_FETCH_HEADER || fetch->step == TACIT_FETCH_WALK) &&
        now_ns >= fetch->give_up_ns) {
        end_period(fetch, now_ns);
    }
    switch (fetch->step) {
    case TACIT_FETCH_IDLE:
        break;
    case TACIT_FETCH_OWN:
        poll_own(fetch, now_ns);
        break;
    case TACIT_FETCH_ASK:
        return now_ns < fetch->again_ns ? TACIT_FETCH_NOTHING
                                        : next_source(fetch, up, incarnations, now_ns);
    case TACIT_FETCH_HEADER:
        if (!fetch->header_pending && now_ns >= fetch->again_ns) {
            read_header(fetch, now_ns);
        }
        break;
    case TACIT_FETCH_WALK:
        if (poll_walk(fetch, now_ns)) {
            tacit_certified_close(fetch->pages);
            fetch->step = TACIT_FETCH_INSTALL;
            fetch->cursor = 0;
        }
        break;
    case TACIT_FETCH_DRAIN:
        poll_drain(fetch, now_ns);
        break;
    case TACIT_FETCH_INSTALL:
        if (poll_install(fetch)) {
            tacit_certified_checkpoint(fetch->pages, fetch->index);
            fetch->step = TACIT_FETCH_PROVE;
        }
        break;
    case TACIT_FETCH_PROVE:
        return poll_prove(fetch);
    }
    return TACIT_FETCH_NOTHING;
}

tacit_time_ns_t tacit_fetch_deadline(const struct tacit_fetch *fetch)
{
    if (fetch->step == TACIT_FETCH_IDLE) {
        return UINT64_MAX;
    }
    if (fetch->step == TACIT_FETCH_OWN || tacit_fetch_is_installing(fetch)) {
        return 0;
    }
    // With reads under way their completions wake the poller.
    if (fetch->outstanding > 0) {
        return fetch->give_up_ns;
    }
    return fetch->step == TACIT_FETCH_WALK ? 0 : fetch->again_ns;
}
