// SPDX-License-Identifier: Apache-2.0
//
// The replicated state as pages: touched before they change, copied on the first change after a
// checkpoint, digested page by page while execution goes on. Cost is proportional to what changed.
//
// All of it lies in the STATE region, which peers read with one-sided reads (transfer.h):
//
//   header (64 bytes)   u64 ready: number of the checkpoint that can be read, 0 none
//                       u64 index: entries executed in it | u64 root: digest of the table | u64
//                       pages
//   table               u64 digest of each page in that checkpoint
//   live pages          the state that is being executed on
//   shadow pages        page p as it was in the checkpoint, if it was touched since
//
// A page of the checkpoint is live page p or shadow page p, whichever has the digest: the reader
// tries both, so no lock or version is needed between executor and readers.
//
// Invariant: while `ready` is k, for each page p, live[p] or shadow[p] is the content at checkpoint
// k.
#ifndef TACIT_STATE_PAGES_H
#define TACIT_STATE_PAGES_H

#include "../base/mark.h"
#include "../base/words.h"
#include "tacit/app.h"
#include "tacit/types.h"

#define TACIT_STATE_READY 0u
#define TACIT_STATE_INDEX 8u
#define TACIT_STATE_ROOT 16u
#define TACIT_STATE_PAGES 24u
#define TACIT_STATE_TABLE 64u

struct tacit_certified;

// Two kinds. Crash mode: tacit_pages_init, XXH3 digests, all that stands in this file. Byzantine
// mode: tacit_certified_init (certified.h), a Merkle tree; touch, checkpoint, digest and withdraw
// below go to it.
struct tacit_pages {
    uint8_t *region; // the STATE region; live pages are used in place
    uint8_t *live;
    uint8_t *shadow;
    uint32_t count;
    uint64_t number; // of the newest checkpoint, complete or not
    bool digesting;  // it is not complete
    uint32_t cursor; // next page to look at
    tacit_index_t index;
    uint64_t *touched;                 // bitmap: touched since the newest checkpoint began
    uint64_t *pending;                 // bitmap: digest of the newest checkpoint still to be made
    uint64_t *dirty;                   // bitmap: changed since the digest in the table was made
    uint64_t taken;                    // checkpoints completed
    struct tacit_certified *certified; // Byzantine mode, else NULL
};

static inline size_t tacit_pages_table_bytes(uint32_t count)
{
    return tacit_round_up(TACIT_STATE_TABLE + 8ull * count, TACIT_PAGE_BYTES);
}
// Bytes of the STATE region for `count` pages.
size_t tacit_pages_region_bytes(uint32_t count);
// Offsets of page p in the region.
static inline uint64_t tacit_pages_live_offset(uint32_t count, uint32_t page)
{
    return tacit_pages_table_bytes(count) + (uint64_t)page * TACIT_PAGE_BYTES;
}
static inline uint64_t tacit_pages_shadow_offset(uint32_t count, uint32_t page)
{
    return tacit_pages_live_offset(count, count + page);
}

// Takes private memory for the bitmaps from `bump`; `region` is zero.
void tacit_pages_init(struct tacit_pages *pages, struct tacit_bump *bump, void *region,
                      uint32_t count);

// Saves a page before its first change after a checkpoint began.
void tacit_pages_save(struct tacit_pages *pages, uint32_t page);

static inline void tacit_pages_touch_page(struct tacit_pages *pages, uint32_t page)
{
    if ((pages->touched[page / 64] & 1ull << page % 64) == 0) {
        tacit_pages_save(pages, page);
    }
}
// Announces a change of [address, address + bytes) within the live pages (asserted).
void tacit_pages_touch(struct tacit_pages *pages, const void *address, size_t bytes);

// Begins a checkpoint of the state after `index` entries. False while the previous one is being
// digested (crash mode; Byzantine mode completes that first and never refuses).
bool tacit_pages_checkpoint(struct tacit_pages *pages, tacit_index_t index);
// Digests up to `budget` pages of it. True if it worked; completes (and publishes) it when none is
// left (Byzantine mode: units are pages and inner nodes, and it is published when certified).
bool tacit_pages_digest(struct tacit_pages *pages, uint32_t budget);
// Withdraws what is published: the live pages are about to be replaced.
void tacit_pages_withdraw(struct tacit_pages *pages);

uint64_t tacit_page_digest(const void *page);
// Digest over a table of digests, the index and the count.
uint64_t tacit_pages_root(const uint64_t *table, uint32_t count, tacit_index_t index);
// Digest of all live pages, for checkers.
uint64_t tacit_pages_hash(const struct tacit_pages *pages);

#endif
