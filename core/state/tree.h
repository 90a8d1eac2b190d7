// SPDX-License-Identifier: Apache-2.0
//
// Merkle tree over the pages of the replicated state, kept up to date at a cost in proportion to
// what changed. Byzantine mode signs its root (checkpoints) and checks every page against it
// (certified.h, fetch.h).
//
// Hashing a whole page for a change of some bytes would cost 4 us, more than executing the request.
// So the leaves are blocks of 256 bytes, with a dirty bit each, and inner nodes have four children
// (128 bytes: one run of BLAKE2b's compression function, the least work per path):
//
//   level 0   blocks        BLAKE2b-256(LEAF, 256 bytes)
//   level 1   4 blocks      BLAKE2b-256(TREE, 4 digests; a child that does not exist is 32 zeros)
//   level 2   pages         "stratum 0"
//   level 5   64 pages      "stratum 1", and so on: every third level, up to a single node, the top
//   root      BLAKE2b-256(TREE, u64 pages, u64 index, top)
//
// The shape follows from the number of pages alone, which the root binds, and every input of a
// level has a length of its own or a domain of its own; so a digest binds its position too.
// 64 digests of a stratum ("chunk") and the digest above them in the next stratum are what a reader
// checks at a time.
#ifndef TACIT_STATE_TREE_H
#define TACIT_STATE_TREE_H

#include "../base/words.h"
#include "tacit/app.h"
#include "tacit/crypto.h"
#include "tacit/types.h"

#define TACIT_TREE_BLOCK_BYTES 256u
#define TACIT_TREE_BLOCKS (TACIT_PAGE_BYTES / TACIT_TREE_BLOCK_BYTES)
#define TACIT_TREE_FANOUT 4u
#define TACIT_TREE_CHUNK 64u // digests: three levels of four
#define TACIT_TREE_PAGES_MAX (1u << 24)
#define TACIT_TREE_STRATA 4u // 64^4 pages
#define TACIT_TREE_LEVELS (3u * TACIT_TREE_STRATA + 3u)
// Level of a stratum.
#define TACIT_TREE_LEVEL(stratum) (2u + 3u * (stratum))

struct tacit_tree {
    uint32_t count;                   // pages
    uint32_t strata;                  // used
    uint32_t levels;                  // used; the last one is the top
    uint32_t size[TACIT_TREE_LEVELS]; // nodes of a level
    struct tacit_digest *node[TACIT_TREE_LEVELS];
    uint64_t *redo[TACIT_TREE_LEVELS]; // levels above pages, bitmap: to be made again
    uint16_t *dirty;                   // of each page, a bit a block: changed since begin()
    uint16_t *pending;                 // the same: changed before begin(), digest not made yet
    uint64_t *news[2]; // bitmap of pages: digest made since the owner cleared it, one for each
                       // snapshot that follows this tree
    uint32_t level;    // step(): where it is; `levels` when nothing is under way
    uint32_t cursor;
    uint32_t skip_first, skip_last; // seeded bug: pages that are not in the root
    uint64_t digests;               // counter: digests made, of any level
};

// Strata and their sizes for `count` pages (1 .. TACIT_TREE_PAGES_MAX).
uint32_t tacit_tree_strata(uint32_t count, uint32_t size[TACIT_TREE_STRATA]);

// Private memory from `bump` (17 % of the pages). The tree is that of pages of zeros, which the
// live ones must be; whoever changes one touches it, from the first byte on.
void tacit_tree_init(struct tacit_tree *tree, struct tacit_bump *bump, uint32_t count);
void tacit_tree_all_dirty(struct tacit_tree *tree);

// `blocks` of a page are about to change. A digest of them that is still to be made is made now.
void tacit_tree_settle(struct tacit_tree *tree, uint32_t page, const uint8_t *content);
static inline void tacit_tree_touch(struct tacit_tree *tree, uint32_t page, uint16_t blocks,
                                    const uint8_t *content)
{
    if (__builtin_expect((tree->pending[page] & blocks) != 0, 0)) {
        tacit_tree_settle(tree, page, content);
    }
    tree->dirty[page] |= blocks;
}

// From now on the tree is brought up to what the pages are at this moment; a previous begin() must
// be complete (asserted).
void tacit_tree_begin(struct tacit_tree *tree);
// Works on up to *budget pages and inner nodes (takes off what it used). True when complete: then
// the nodes are those of the pages at the time of begin().
bool tacit_tree_step(struct tacit_tree *tree, const uint8_t *live, uint32_t *budget);
static inline bool tacit_tree_is_complete(const struct tacit_tree *tree)
{
    return tree->level == tree->levels;
}
// Root of a complete tree.
void tacit_tree_root(const struct tacit_tree *tree, tacit_index_t index, struct tacit_digest *out);

// ---- pure, for readers
// ---------------------------------------------------------------------------

void tacit_tree_page(struct tacit_digest *out, const uint8_t *page);
// What stands above `count` (1 .. 64) digests of a stratum, in the next stratum.
void tacit_tree_chunk(struct tacit_digest *out, const struct tacit_digest *digests, uint32_t count);
void tacit_tree_root_of(struct tacit_digest *out, uint32_t count, tacit_index_t index,
                        const struct tacit_digest *top);
bool tacit_tree_is_same(const struct tacit_digest *a, const struct tacit_digest *b); // both public

#endif
