// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints of Byzantine mode; see certified.h.
#include "certified.h"

#include <string.h>

void tacit_state_layout_make(struct tacit_state_layout *layout, uint32_t count)
{
    *layout = (struct tacit_state_layout){0};
    layout->strata = tacit_tree_strata(count, layout->size);
    uint64_t at = TACIT_STATE_CERTIFIED_HEADER;
    for (uint32_t area = 0; area < TACIT_STATE_AREAS; area++) {
        layout->saved[area] = at;
        at = tacit_round_up(at + 2ull * count, 64);
    }
    for (uint32_t area = 0; area < TACIT_STATE_AREAS; area++) {
        for (uint32_t s = 0; s < layout->strata; s++) {
            layout->table[area][s] = at;
            at = tacit_round_up(at + (uint64_t)layout->size[s] * TACIT_DIGEST_BYTES, 64);
        }
    }
    layout->live = tacit_round_up(at, TACIT_PAGE_BYTES);
    layout->shadow[0] = layout->live + (uint64_t)count * TACIT_PAGE_BYTES;
    layout->shadow[1] = layout->shadow[0] + (uint64_t)count * TACIT_PAGE_BYTES;
    layout->bytes = layout->shadow[1] + (uint64_t)count * TACIT_PAGE_BYTES;
}

size_t tacit_certified_region_bytes(uint32_t count)
{
    struct tacit_state_layout layout;
    tacit_state_layout_make(&layout, count);
    return layout.bytes;
}

void tacit_certified_init(struct tacit_pages *pages, struct tacit_bump *bump, void *region,
                          uint32_t count, uint32_t sessions_end, struct tacit_marker marker)
{
    struct tacit_certified *certified = tacit_bump_take(bump, sizeof(*certified), 64);
    struct tacit_tree tree;
    *pages = (struct tacit_pages){.region = region, .count = count, .certified = certified};
    tacit_tree_init(&tree, bump, count);
    if (bump->base == NULL) {
        return;
    }
    tree.skip_last = sessions_end;
    *certified = (struct tacit_certified){.marker = marker,
                                          .tree = tree,
                                          .published = TACIT_STATE_AREA_NONE,
                                          .candidate = TACIT_STATE_AREA_NONE};
    tacit_state_layout_make(&certified->layout, count);
    pages->live = pages->region + certified->layout.live;
    pages->shadow = pages->region + certified->layout.shadow[0];
    tacit_word_store(region, TACIT_STATE_PAGES, count);
}

// ---- changes ------------------------------------------------------------------------------------

// Keeps blocks of a page for the snapshot of `area` before they change.
static void save(struct tacit_pages *pages, uint32_t area, uint32_t page, uint32_t blocks)
{
    struct tacit_certified *certified = pages->certified;
    uint16_t *saved = (uint16_t *)(void *)(pages->region + certified->layout.saved[area]) + page;
    uint32_t missing = blocks & ~(uint32_t)*saved;
    if (missing == 0) {
        return;
    }
    const uint8_t *live = pages->live + (size_t)page * TACIT_PAGE_BYTES;
    uint8_t *shadow =
        pages->region + certified->layout.shadow[area] + (size_t)page * TACIT_PAGE_BYTES;
    for (uint32_t left = missing; left != 0; left &= left - 1) {
        size_t at = (size_t)__builtin_ctz(left) * TACIT_TREE_BLOCK_BYTES;
        memcpy(shadow + at, live + at, TACIT_TREE_BLOCK_BYTES);
    }
    __atomic_store_n(saved, (uint16_t)(*saved | missing), __ATOMIC_RELEASE); // after the copy
    __atomic_thread_fence(__ATOMIC_RELEASE); // before any change of the live page
}

static void touch_blocks(struct tacit_pages *pages, uint32_t page, uint16_t blocks)
{
    struct tacit_certified *certified = pages->certified;
    tacit_tree_touch(&certified->tree, page, blocks, pages->live + (size_t)page * TACIT_PAGE_BYTES);
    for (uint32_t area = 0; area < TACIT_STATE_AREAS; area++) {
        if (certified->snapshot[area].open) {
            save(pages, area, page, blocks);
        }
    }
}

void tacit_certified_touch(struct tacit_pages *pages, size_t offset, size_t bytes)
{
    struct tacit_certified *certified = pages->certified;
    if (certified->waiting) {
        certified->waiting = false; // its state is gone; its root stays
        certified->snapshots_lost++;
        tacit_mark(&certified->marker, TACIT_MARK_SNAPSHOT_LOST);
    }
    size_t first = offset / TACIT_TREE_BLOCK_BYTES;
    size_t last = (offset + bytes - 1) / TACIT_TREE_BLOCK_BYTES;
    while (first <= last) {
        uint32_t page = (uint32_t)(first / TACIT_TREE_BLOCKS);
        uint32_t from = (uint32_t)(first % TACIT_TREE_BLOCKS);
        size_t end = (size_t)page * TACIT_TREE_BLOCKS + TACIT_TREE_BLOCKS - 1;
        uint32_t to = (uint32_t)((last < end ? last : end) % TACIT_TREE_BLOCKS);
        uint32_t blocks = ((2u << to) - 1) & ~((1u << from) - 1);
        touch_blocks(pages, page, (uint16_t)blocks);
        first = end + 1;
    }
}

// ---- checkpoints --------------------------------------------------------------------------------

// Brings the area's tables up to the tree, which is complete and at the area's checkpoint.
static void follow_tree(struct tacit_pages *pages, uint32_t area)
{
    struct tacit_certified *certified = pages->certified;
    const struct tacit_state_layout *layout = &certified->layout;
    const struct tacit_tree *tree = &certified->tree;
    uint32_t groups = (pages->count + 63u) / 64u;
    for (uint32_t group = 0; group < groups; group++) {
        uint64_t word = tree->news[area][group];
        if (word == 0) {
            continue;
        }
        tree->news[area][group] = 0;
        for (; word != 0; word &= word - 1) {
            uint32_t page = group * 64 + (uint32_t)__builtin_ctzll(word);
            memcpy(pages->region + layout->table[area][0] + (size_t)page * TACIT_DIGEST_BYTES,
                   &tree->node[2][page], TACIT_DIGEST_BYTES);
        }
        uint32_t node = group;
        for (uint32_t s = 1; s < layout->strata; s++) {
            memcpy(pages->region + layout->table[area][s] + (size_t)node * TACIT_DIGEST_BYTES,
                   &tree->node[TACIT_TREE_LEVEL(s)][node], TACIT_DIGEST_BYTES);
            node /= TACIT_TREE_CHUNK;
        }
    }
}

static void completed(struct tacit_pages *pages)
{
    struct tacit_certified *certified = pages->certified;
    certified->digesting = false;
    tacit_tree_root(&certified->tree, certified->index, &certified->root);
    uint32_t area = certified->candidate;
    if (area != TACIT_STATE_AREA_NONE && certified->snapshot[area].index == certified->index) {
        certified->snapshot[area].root = certified->root;
        follow_tree(pages, area);
    }
}

static void complete_now(struct tacit_pages *pages)
{
    if (pages->certified->digesting) {
        uint32_t budget = UINT32_MAX;
        bool done = tacit_tree_step(&pages->certified->tree, pages->live, &budget);
        TACIT_ASSERT(done);
        completed(pages);
        pages->certified->completed_late++;
        tacit_mark(&pages->certified->marker, TACIT_MARK_CHECKPOINT_COMPLETED_LATE);
    }
}

// Makes the newest checkpoint, since which nothing has changed, the candidate.
static void open_candidate(struct tacit_pages *pages)
{
    struct tacit_certified *certified = pages->certified;
    uint32_t area = certified->published == 0 ? 1 : 0;
    certified->waiting = false;
    certified->candidate = area;
    certified->snapshot[area] =
        (struct tacit_snapshot){.open = true, .index = certified->index, .root = certified->root};
    memset(pages->region + certified->layout.saved[area], 0, 2ull * pages->count);
    if (!certified->digesting) {
        follow_tree(pages, area);
    }
}

void tacit_certified_checkpoint(struct tacit_pages *pages, tacit_index_t index)
{
    struct tacit_certified *certified = pages->certified;
    complete_now(pages);
    if (!tacit_tree_is_complete(&certified->tree)) { // left over from a fetch that was given up
        uint32_t budget = UINT32_MAX;
        (void)tacit_tree_step(&certified->tree, pages->live, &budget);
    }
    certified->checkpoints++;
    certified->begun = true;
    certified->digesting = true;
    certified->index = index;
    tacit_tree_begin(&certified->tree);
    if (certified->candidate == TACIT_STATE_AREA_NONE) {
        open_candidate(pages);
    } else {
        certified->waiting = true;
        tacit_mark(&certified->marker, TACIT_MARK_CHECKPOINT_WAITED);
    }
}

bool tacit_certified_digest(struct tacit_pages *pages, uint32_t budget)
{
    struct tacit_certified *certified = pages->certified;
    if (!certified->digesting) {
        return false;
    }
    if (tacit_tree_step(&certified->tree, pages->live, &budget)) {
        completed(pages);
    }
    return true;
}

bool tacit_certified_root(const struct tacit_pages *pages, tacit_index_t *index,
                          struct tacit_digest *root)
{
    const struct tacit_certified *certified = pages->certified;
    if (!certified->begun || certified->digesting) {
        return false;
    }
    *index = certified->index;
    *root = certified->root;
    return true;
}

// ---- publication --------------------------------------------------------------------------------

static void header_clear(struct tacit_pages *pages)
{
    tacit_word_store(pages->region, TACIT_STATE_READY, 0);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); // readers learn it before anything changes
}

void tacit_certified_close(struct tacit_pages *pages)
{
    struct tacit_certified *certified = pages->certified;
    header_clear(pages);
    certified->snapshot[0].open = certified->snapshot[1].open = false;
    certified->published = certified->candidate = TACIT_STATE_AREA_NONE;
    certified->begun = certified->digesting = certified->waiting = false;
}

void tacit_certified_withdraw(struct tacit_pages *pages)
{
    tacit_certified_close(pages);
    tacit_tree_all_dirty(&pages->certified->tree);
}

uint32_t tacit_certified_borrow(struct tacit_pages *pages)
{
    struct tacit_certified *certified = pages->certified;
    uint32_t area = certified->published == 0 ? 1 : 0;
    certified->snapshot[area].open = false;
    certified->candidate = TACIT_STATE_AREA_NONE;
    certified->begun = certified->digesting = certified->waiting = false;
    return area;
}

// The candidate is certified: peers read it from now on instead of the one before.
static void publish_candidate(struct tacit_pages *pages)
{
    struct tacit_certified *certified = pages->certified;
    uint32_t area = certified->candidate;
    const struct tacit_snapshot *snapshot = &certified->snapshot[area];
    header_clear(pages);
    if (certified->published != TACIT_STATE_AREA_NONE) {
        certified->snapshot[certified->published].open = false;
    }
    certified->published = area;
    certified->candidate = TACIT_STATE_AREA_NONE;
    uint64_t words[TACIT_DIGEST_BYTES / 8];
    memcpy(words, snapshot->root.bytes, sizeof(words));
    for (uint32_t i = 0; i < TACIT_DIGEST_BYTES / 8; i++) {
        tacit_word_store(pages->region, TACIT_STATE_FULL_ROOT + 8u * i, words[i]);
    }
    tacit_word_store(pages->region, TACIT_STATE_INDEX, snapshot->index);
    tacit_word_store(pages->region, TACIT_STATE_ROOT, words[0]);
    tacit_word_store(pages->region, TACIT_STATE_AREA, area);
    tacit_word_store(pages->region, TACIT_STATE_READY, ++certified->publications);
    if (certified->waiting) {
        open_candidate(pages);
    }
}

static enum tacit_publish diverged(struct tacit_pages *pages)
{
    tacit_mark(&pages->certified->marker, TACIT_MARK_STATE_DIVERGED);
    tacit_certified_withdraw(pages);
    return TACIT_PUBLISH_DIVERGED;
}

enum tacit_publish tacit_certified_publish(struct tacit_pages *pages, tacit_index_t index,
                                           const struct tacit_digest *root)
{
    struct tacit_certified *certified = pages->certified;
    if (certified->published != TACIT_STATE_AREA_NONE) {
        const struct tacit_snapshot *now = &certified->snapshot[certified->published];
        if (now->index >= index) {
            return now->index > index || tacit_tree_is_same(&now->root, root) ? TACIT_PUBLISH_DONE
                                                                              : diverged(pages);
        }
    }
    if (certified->begun && certified->index == index) {
        complete_now(pages);
        if (!tacit_tree_is_same(&certified->root, root)) {
            return diverged(pages);
        }
    }
    if (certified->candidate != TACIT_STATE_AREA_NONE &&
        certified->snapshot[certified->candidate].index < index) {
        // Passed over: nobody needs its certificate any more.
        certified->snapshot[certified->candidate].open = false;
        certified->candidate = TACIT_STATE_AREA_NONE;
        tacit_mark(&certified->marker, TACIT_MARK_CANDIDATE_PASSED_OVER);
        if (certified->waiting) {
            open_candidate(pages);
        }
    }
    if (certified->candidate == TACIT_STATE_AREA_NONE ||
        certified->snapshot[certified->candidate].index != index) {
        return TACIT_PUBLISH_LATER;
    }
    if (!tacit_tree_is_same(&certified->snapshot[certified->candidate].root, root)) {
        return diverged(pages);
    }
    publish_candidate(pages);
    return TACIT_PUBLISH_DONE;
}

bool tacit_certified_published(const struct tacit_pages *pages, tacit_index_t *index)
{
    const struct tacit_certified *certified = pages->certified;
    if (certified->published == TACIT_STATE_AREA_NONE) {
        return false;
    }
    *index = certified->snapshot[certified->published].index;
    return true;
}

const char *tacit_certified_check(const struct tacit_pages *pages)
{
    const struct tacit_certified *certified = pages->certified;
    uint32_t published = certified->published;
    uint32_t candidate = certified->candidate;
    bool ready = tacit_word_load(pages->region, TACIT_STATE_READY) != 0;
    if (ready != (published != TACIT_STATE_AREA_NONE)) {
        return "the header does not say what is published";
    }
    for (uint32_t area = 0; area < TACIT_STATE_AREAS; area++) {
        if (certified->snapshot[area].open != (area == published || area == candidate)) {
            return "a snapshot is open that is neither published nor the candidate";
        }
    }
    if (published != TACIT_STATE_AREA_NONE && published == candidate) {
        return "one area holds two snapshots";
    }
    if (published < TACIT_STATE_AREA_NONE && candidate < TACIT_STATE_AREA_NONE &&
        certified->snapshot[candidate].index <= certified->snapshot[published].index) {
        return "the candidate is older than what is published";
    }
    if (certified->waiting && (candidate == TACIT_STATE_AREA_NONE || !certified->begun)) {
        return "a checkpoint waits for nothing";
    }
    if (certified->digesting == tacit_tree_is_complete(&certified->tree) && certified->digesting) {
        return "a complete tree is being digested";
    }
    return NULL;
}
