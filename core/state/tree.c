// SPDX-License-Identifier: Apache-2.0
//
// Merkle tree over pages; see tree.h.
#include "tree.h"

#include <string.h>

#include "../base/bug.h"
#include "../base/prefetch.h"
#include "../byzantine/payload.h"

uint32_t tacit_tree_strata(uint32_t count, uint32_t size[TACIT_TREE_STRATA])
{
    TACIT_ASSERT(count >= 1 && count <= TACIT_TREE_PAGES_MAX);
    uint32_t strata = 1;
    size[0] = count;
    while (size[strata - 1] > TACIT_TREE_CHUNK) {
        size[strata] = (size[strata - 1] + TACIT_TREE_CHUNK - 1) / TACIT_TREE_CHUNK;
        strata++;
    }
    return strata;
}

static size_t bitmap_words(uint32_t bits)
{
    return (bits + 63u) / 64u;
}

// Nothing is under way.
static void rest(struct tacit_tree *tree)
{
    memset(tree->pending, 0, 2ull * tree->count);
    for (uint32_t level = 3; level < tree->levels; level++) {
        memset(tree->redo[level], 0, 8 * bitmap_words(tree->size[level]));
    }
    tree->level = tree->levels;
}

void tacit_tree_all_dirty(struct tacit_tree *tree)
{
    memset(tree->dirty, 0xff, 2ull * tree->count);
    rest(tree);
}

// A node over up to four children.
static void node_make(struct tacit_digest *out, const struct tacit_digest *children, uint32_t count)
{
    struct tacit_digest four[TACIT_TREE_FANOUT];
    if (count >= TACIT_TREE_FANOUT) {
        tacit_digest_make(out, TACIT_DOMAIN_TREE, children, sizeof(four));
        return;
    }
    memset(four, 0, sizeof(four));
    memcpy(four, children, count * sizeof(four[0]));
    tacit_digest_make(out, TACIT_DOMAIN_TREE, four, sizeof(four));
}

static void level_make(struct tacit_tree *tree, uint32_t level, uint32_t index)
{
    uint32_t first = index * TACIT_TREE_FANOUT;
    node_make(&tree->node[level][index], &tree->node[level - 1][first],
              tree->size[level - 1] - first);
    tree->digests++;
}

// The digests of nothing but zeros: on each level all are the same one, but for the last, which may
// have fewer children. Whoever starts has such pages, and is waited for: to read them all, only to
// find that out, takes tens of milliseconds.
static void fill_zeros(struct tacit_tree *tree)
{
    static const uint8_t zeros[TACIT_TREE_BLOCK_BYTES];
    struct tacit_digest node;
    tacit_digest_make(&node, TACIT_DOMAIN_LEAF, zeros, sizeof(zeros));
    for (uint32_t level = 0; level < tree->levels; level++) {
        if (level > 0) {
            const struct tacit_digest four[TACIT_TREE_FANOUT] = {node, node, node, node};
            node_make(&node, four, TACIT_TREE_FANOUT);
        }
        for (uint32_t index = 0; index < tree->size[level]; index++) {
            tree->node[level][index] = node;
        }
        if (level > 0) {
            level_make(tree, level, tree->size[level] - 1);
        }
    }
}

void tacit_tree_init(struct tacit_tree *tree, struct tacit_bump *bump, uint32_t count)
{
    uint32_t strata[TACIT_TREE_STRATA];
    *tree = (struct tacit_tree){.count = count};
    tree->strata = tacit_tree_strata(count, strata);
    tree->levels = TACIT_TREE_LEVEL(tree->strata) + 1;
    tree->size[0] = count * TACIT_TREE_BLOCKS;
    for (uint32_t level = 0; level < tree->levels; level++) {
        if (level > 0) {
            tree->size[level] = (tree->size[level - 1] + TACIT_TREE_FANOUT - 1) / TACIT_TREE_FANOUT;
        }
        tree->node[level] =
            tacit_bump_take(bump, (size_t)tree->size[level] * sizeof(struct tacit_digest), 64);
        if (level > 2) {
            tree->redo[level] = tacit_bump_take(bump, 8 * bitmap_words(tree->size[level]), 8);
        }
    }
    tree->dirty = tacit_bump_take(bump, 2ull * count, 64);
    tree->pending = tacit_bump_take(bump, 2ull * count, 64);
    tree->news[0] = tacit_bump_take(bump, 8 * bitmap_words(count), 8);
    tree->news[1] = tacit_bump_take(bump, 8 * bitmap_words(count), 8);
    if (bump->base == NULL) {
        return;
    }
    memset(tree->dirty, 0, 2ull * count);
    rest(tree);
    fill_zeros(tree);
    memset(tree->news[0], 0xff, 8 * bitmap_words(count));
    memset(tree->news[1], 0xff, 8 * bitmap_words(count));
    for (uint32_t page = count; page % 64 != 0; page++) {
        tree->news[0][page / 64] &= ~(1ull << page % 64);
        tree->news[1][page / 64] &= ~(1ull << page % 64);
    }
}

static bool is_left_out(const struct tacit_tree *tree, uint32_t page)
{
    return TACIT_BUG(ROOT_WITHOUT_SESSIONS) && page >= tree->skip_first && page < tree->skip_last;
}

// ---- digests that do not depend on each other, four at a time
// -------------------------------------

struct batch {
    tacit_domain_t domain;
    uint32_t bytes; // of each input
    uint32_t count;
    struct tacit_digest *out[TACIT_DIGEST_LANES];
    const void *data[TACIT_DIGEST_LANES];
};

static void batch_flush(struct batch *batch)
{
    struct tacit_digest unused;
    if (batch->count == 1) {
        tacit_digest_make(batch->out[0], batch->domain, batch->data[0], batch->bytes);
    } else if (batch->count > 1) {
        for (uint32_t lane = batch->count; lane < TACIT_DIGEST_LANES; lane++) {
            batch->out[lane] = &unused;
            batch->data[lane] = batch->data[0];
        }
        tacit_digest_make_four(batch->out, batch->domain, batch->data, batch->bytes);
    }
    batch->count = 0;
}

// `data` stays as it is until the batch is flushed, and no other input of it is made here.
static void batch_add(struct batch *batch, struct tacit_digest *out, const void *data)
{
    batch->out[batch->count] = out;
    batch->data[batch->count] = data;
    if (++batch->count == TACIT_DIGEST_LANES) {
        batch_flush(batch);
    }
}

static struct batch batch_of_leaves(void)
{
    return (struct batch){.domain = TACIT_DOMAIN_LEAF, .bytes = TACIT_TREE_BLOCK_BYTES};
}

static struct batch batch_of_nodes(void)
{
    return (struct batch){.domain = TACIT_DOMAIN_TREE,
                          .bytes = TACIT_TREE_FANOUT * sizeof(struct tacit_digest)};
}

static void batch_level(struct tacit_tree *tree, struct batch *batch, uint32_t level,
                        uint32_t index)
{
    uint32_t first = index * TACIT_TREE_FANOUT;
    if (tree->size[level - 1] - first < TACIT_TREE_FANOUT) { // the last one, with zeros
        level_make(tree, level, index);
        return;
    }
    tree->digests++;
    batch_add(batch, &tree->node[level][index], &tree->node[level - 1][first]);
}

// ---- pages
// -----------------------------------------------------------------------------------------

struct stale_page {
    uint32_t page;
    uint32_t blocks; // pending
    const uint8_t *content;
};

static void settle_blocks(struct tacit_tree *tree, const struct stale_page *pages, uint32_t count)
{
    struct batch batch = batch_of_leaves();
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t left = pages[i].blocks; left != 0; left &= left - 1) {
            uint32_t block = (uint32_t)__builtin_ctz(left);
            batch_add(&batch, &tree->node[0][pages[i].page * TACIT_TREE_BLOCKS + block],
                      pages[i].content + (size_t)block * TACIT_TREE_BLOCK_BYTES);
            tree->digests++;
        }
    }
    batch_flush(&batch);
}

static void settle_groups(struct tacit_tree *tree, const struct stale_page *pages, uint32_t count)
{
    const uint32_t groups = TACIT_TREE_BLOCKS / TACIT_TREE_FANOUT;
    const uint32_t blocks = (1u << TACIT_TREE_FANOUT) - 1;
    struct batch batch = batch_of_nodes();
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t group = 0; group < groups; group++) {
            if ((pages[i].blocks & blocks << group * TACIT_TREE_FANOUT) != 0) {
                batch_level(tree, &batch, 1, pages[i].page * groups + group);
            }
        }
    }
    batch_flush(&batch);
}

// Digests of what is pending in some pages, and theirs.
static void settle(struct tacit_tree *tree, struct stale_page *pages, uint32_t count)
{
    struct batch batch = batch_of_nodes();
    settle_blocks(tree, pages, count);
    settle_groups(tree, pages, count);
    for (uint32_t i = 0; i < count; i++) {
        batch_level(tree, &batch, 2, pages[i].page);
    }
    batch_flush(&batch);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t page = pages[i].page;
        uint32_t above = page / TACIT_TREE_FANOUT;
        if (is_left_out(tree, page)) {
            memset(&tree->node[2][page], 0, sizeof(struct tacit_digest));
        }
        tree->pending[page] = 0;
        tree->redo[3][above / 64] |= 1ull << above % 64;
        tree->news[0][page / 64] |= 1ull << page % 64;
        tree->news[1][page / 64] |= 1ull << page % 64;
    }
}

void tacit_tree_settle(struct tacit_tree *tree, uint32_t page, const uint8_t *content)
{
    struct stale_page one = {page, tree->pending[page], content};
    settle(tree, &one, 1);
}

void tacit_tree_begin(struct tacit_tree *tree)
{
    TACIT_ASSERT(tacit_tree_is_complete(tree));
    uint16_t *none = tree->pending; // complete: no bit is set
    tree->pending = tree->dirty;
    tree->dirty = none;
    tree->level = 2;
    tree->cursor = 0;
}

// What was changed long ago is in no cache any more, and a digest is too short to hide that:
// several pages are called for before the first is worked on.
#define PREFETCH_PAGES 8u

static void prefetch_page(const struct tacit_tree *tree, uint32_t page, const uint8_t *content)
{
    const uint32_t group_bytes = TACIT_TREE_FANOUT * sizeof(struct tacit_digest);
    uint32_t first = page * TACIT_TREE_BLOCKS;
    for (uint32_t left = tree->pending[page]; left != 0; left &= left - 1) {
        uint32_t block = (uint32_t)__builtin_ctz(left);
        tacit_prefetch(content + (size_t)block * TACIT_TREE_BLOCK_BYTES, TACIT_TREE_BLOCK_BYTES);
        tacit_prefetch(&tree->node[0][first + block / TACIT_TREE_FANOUT * TACIT_TREE_FANOUT],
                       group_bytes);
    }
    tacit_prefetch(&tree->node[1][first / TACIT_TREE_FANOUT], group_bytes);
    tacit_prefetch(&tree->node[2][page / TACIT_TREE_FANOUT * TACIT_TREE_FANOUT], group_bytes);
}

// First page at or after `page` with something pending, or the number of pages.
static uint32_t next_pending(const struct tacit_tree *tree, uint32_t page)
{
    while (page < tree->count && tree->pending[page] == 0) {
        uint64_t four = 1;
        if (page % 4 == 0 && page + 4 <= tree->count) { // most are clean
            memcpy(&four, &tree->pending[page], 8);
        }
        page += four == 0 ? 4 : 1;
    }
    return page;
}

static bool step_pages(struct tacit_tree *tree, const uint8_t *live, uint32_t *budget)
{
    while (tree->cursor < tree->count) {
        struct stale_page ahead[PREFETCH_PAGES];
        uint32_t found = 0;
        uint32_t most = *budget < PREFETCH_PAGES ? *budget : PREFETCH_PAGES;
        uint32_t page = next_pending(tree, tree->cursor);
        for (; page < tree->count && found < most; page = next_pending(tree, page + 1)) {
            const uint8_t *content = live + (size_t)page * TACIT_PAGE_BYTES;
            prefetch_page(tree, page, content);
            ahead[found++] = (struct stale_page){page, tree->pending[page], content};
        }
        settle(tree, ahead, found);
        *budget -= found;
        tree->cursor = page;
        if (*budget == 0 && page < tree->count) {
            return false;
        }
    }
    return true;
}

// What is to be made again of the 64 nodes of one word, as far as the budget goes.
static void step_word(struct tacit_tree *tree, uint32_t level, uint64_t *word, uint32_t *budget)
{
    struct batch batch = batch_of_nodes();
    for (; *word != 0 && *budget > 0; *word &= *word - 1) {
        uint32_t index = tree->cursor * 64 + (uint32_t)__builtin_ctzll(*word);
        (*budget)--;
        batch_level(tree, &batch, level, index);
        if (level + 1 < tree->levels) {
            uint32_t above = index / TACIT_TREE_FANOUT;
            tree->redo[level + 1][above / 64] |= 1ull << above % 64;
        }
    }
    batch_flush(&batch);
}

static bool step_level(struct tacit_tree *tree, uint32_t level, uint32_t *budget)
{
    size_t words = bitmap_words(tree->size[level]);
    for (; tree->cursor < words; tree->cursor++) {
        uint64_t *word = &tree->redo[level][tree->cursor];
        for (uint64_t left = *word; left != 0; left &= left - 1) {
            uint32_t first = (tree->cursor * 64 + (uint32_t)__builtin_ctzll(left)) * 4;
            tacit_prefetch(&tree->node[level - 1][first], 4 * sizeof(struct tacit_digest));
        }
        step_word(tree, level, word, budget);
        if (*word != 0) {
            return false;
        }
    }
    return true;
}

bool tacit_tree_step(struct tacit_tree *tree, const uint8_t *live, uint32_t *budget)
{
    while (tree->level < tree->levels) {
        bool done = tree->level == 2 ? step_pages(tree, live, budget)
                                     : step_level(tree, tree->level, budget);
        if (!done) {
            return false;
        }
        tree->level++;
        tree->cursor = 0;
    }
    return true;
}

void tacit_tree_root(const struct tacit_tree *tree, tacit_index_t index, struct tacit_digest *out)
{
    TACIT_ASSERT(tacit_tree_is_complete(tree));
    tacit_tree_root_of(out, tree->count, index, &tree->node[tree->levels - 1][0]);
}

void tacit_tree_page(struct tacit_digest *out, const uint8_t *page)
{
    struct tacit_digest blocks[TACIT_TREE_BLOCKS];
    struct tacit_digest groups[TACIT_TREE_BLOCKS / TACIT_TREE_FANOUT];
    struct batch leaves = batch_of_leaves();
    struct batch nodes = batch_of_nodes();
    for (uint32_t i = 0; i < TACIT_TREE_BLOCKS; i++) {
        batch_add(&leaves, &blocks[i], page + (size_t)i * TACIT_TREE_BLOCK_BYTES);
    }
    batch_flush(&leaves);
    for (uint32_t i = 0; i < TACIT_TREE_BLOCKS / TACIT_TREE_FANOUT; i++) {
        batch_add(&nodes, &groups[i], &blocks[(size_t)i * TACIT_TREE_FANOUT]);
    }
    batch_flush(&nodes);
    node_make(out, groups, TACIT_TREE_FANOUT);
}

void tacit_tree_chunk(struct tacit_digest *out, const struct tacit_digest *digests, uint32_t count)
{
    struct tacit_digest level[TACIT_TREE_CHUNK / TACIT_TREE_FANOUT];
    const struct tacit_digest *below = digests;
    for (uint32_t i = 0; i < 3; i++) {
        // In place from the second time on: node j needs children 4j and later only, and node_make
        // has read them before it writes.
        uint32_t nodes = (count + TACIT_TREE_FANOUT - 1) / TACIT_TREE_FANOUT;
        for (uint32_t j = 0; j < nodes; j++) {
            struct tacit_digest node;
            node_make(&node, &below[(size_t)j * TACIT_TREE_FANOUT], count - j * TACIT_TREE_FANOUT);
            level[j] = node;
        }
        below = level;
        count = nodes;
    }
    *out = level[0];
}

void tacit_tree_root_of(struct tacit_digest *out, uint32_t count, tacit_index_t index,
                        const struct tacit_digest *top)
{
    struct {
        uint64_t count, index;
        struct tacit_digest top;
    } all = {count, index, *top};
    tacit_digest_make(out, TACIT_DOMAIN_TREE, &all, sizeof(all));
}

bool tacit_tree_is_same(const struct tacit_digest *a, const struct tacit_digest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
