// SPDX-License-Identifier: Apache-2.0
//
// Byzantine mode's checkpoints: a Merkle root (tree.h) at exact slots, which replicas sign, and
// snapshots of the state that a lagging replica can read and check against a certified root
// (fetch.h). The counterpart of pages.h, whose pages it keeps.
//
// Roots and snapshots are two things. A *root* belongs to every checkpoint; its digests are made in
// the background, and a block that changes before its turn is digested first, so no copy is needed
// for it. A *snapshot* is what peers read: there are two areas for snapshots, each with a copy of
// every block that changed since its checkpoint and with its own copy of the digests of pages and
// above.
//
// Rule of publication. Peers read one snapshot, the *published* one: the newest certified
// checkpoint. It stays readable until a newer one is certified: a replica that is behind may hold
// the older certificate only, and its share may be the one that is missing for the next. The other
// area holds the *candidate*, the oldest checkpoint after the published one that is not certified
// yet. A checkpoint begun while there is a candidate *waits*: it has a root, and it becomes a
// snapshot when the candidate is certified or passed over, provided that nothing was changed in
// between. With checkpoints every half window nothing can be: beyond the waiting checkpoint lies
// the end of the window, or of the epoch, which only a newer certificate moves. So if
//   (1) checkpoints are begun in the order of their indices, every half window from the first slot
//   of an epoch on (which is published then), and where the epoch ends,
//   (2) nothing is executed more than a window above the published index, and
//   (3) tacit_certified_publish() is called for the newest certificate when it is learned and again
//       after each checkpoint that is begun,
// then whatever is certified and reached is published. If (2) is broken a waiting checkpoint may
// lose its snapshot (counted): the published one stays, roots are right all the same, and whoever
// forgets what lies between the published index and a certificate leaves laggards without help.
//
// While a fetch is busy (fetch.h) nothing is executed and no checkpoint begun.
//
// STATE region (little-endian, one writer, read one-sided; hints are never believed):
//   header 128 bytes   u64 ready: number of the publication, 0 none | u64 index | u64 first bytes
//   of
//                      the root | u64 pages | u64 area (0, 1) | u64[3] 0 | 32 root | 32 bytes 0
//   saved[2]           u16 of each page: blocks that shadow page p of this area holds
//   table[2]           digests of this area's checkpoint: stratum 0 (pages), stratum 1, ...
//   live, shadow[2]    pages
//
// A block of the snapshot is the live one, or the shadow if its bit in `saved` is set. The shadow
// is written before the bit and the bit before the live block changes, so that a reader who reads
// the live page, then the bits, then the shadow page finds the whole page, unless the publication
// has ended meanwhile.
#ifndef TACIT_STATE_CERTIFIED_H
#define TACIT_STATE_CERTIFIED_H

#include "pages.h"
#include "tree.h"

#define TACIT_STATE_AREA 32u
#define TACIT_STATE_FULL_ROOT 64u
#define TACIT_STATE_CERTIFIED_HEADER 128u
#define TACIT_STATE_AREAS 2u
#define TACIT_STATE_AREA_NONE 2u

struct tacit_state_layout {
    uint32_t strata;
    uint32_t size[TACIT_TREE_STRATA]; // digests of a stratum
    uint64_t saved[TACIT_STATE_AREAS];
    uint64_t table[TACIT_STATE_AREAS][TACIT_TREE_STRATA];
    uint64_t live;
    uint64_t shadow[TACIT_STATE_AREAS];
    uint64_t bytes; // of the region: three times the pages and 1.7 %
};
void tacit_state_layout_make(struct tacit_state_layout *layout, uint32_t count);

struct tacit_snapshot {
    bool open; // changed blocks are saved for it
    tacit_index_t index;
    struct tacit_digest root;
};

struct tacit_certified {
    struct tacit_state_layout layout;
    struct tacit_marker marker;
    struct tacit_tree tree;
    struct tacit_snapshot snapshot[TACIT_STATE_AREAS];
    uint32_t published; // area or NONE
    uint32_t candidate;
    // The newest checkpoint.
    bool begun;
    bool digesting;
    bool waiting; // has no area; nothing changed since
    tacit_index_t index;
    struct tacit_digest root;
    uint64_t checkpoints, publications, snapshots_lost, completed_late; // counters
};

enum tacit_publish {
    TACIT_PUBLISH_DONE = 0, // readable now (or was already)
    TACIT_PUBLISH_LATER,    // no such snapshot here (yet); the published one stays
    TACIT_PUBLISH_DIVERGED, // the own root is another one: this replica's state is wrong.
                            // Withdrawn; fetch it from others
};

size_t tacit_certified_region_bytes(uint32_t count);
// Takes private memory from `bump` (17 % of the pages); `region` is zero, of region_bytes. Pages
// [0, sessions_end) are the table of sessions (for the seeded bug only).
void tacit_certified_init(struct tacit_pages *pages, struct tacit_bump *bump, void *region,
                          uint32_t count, uint32_t sessions_end, struct tacit_marker marker);

// What tacit_pages_touch, _checkpoint, _digest and _withdraw do in Byzantine mode. A checkpoint is
// never refused: digests of the previous one that are missing are made at once.
void tacit_certified_touch(struct tacit_pages *pages, size_t offset, size_t bytes);
void tacit_certified_checkpoint(struct tacit_pages *pages, tacit_index_t index);
bool tacit_certified_digest(struct tacit_pages *pages, uint32_t budget);
void tacit_certified_withdraw(struct tacit_pages *pages);

// The root of the newest checkpoint, once its digests are made: what this replica signs. False
// while they are not (or nothing was begun).
bool tacit_certified_root(const struct tacit_pages *pages, tacit_index_t *index,
                          struct tacit_digest *root);
// A certificate for (index, root) is known; see the rule above. Completes missing digests of that
// checkpoint at once.
enum tacit_publish tacit_certified_publish(struct tacit_pages *pages, tacit_index_t index,
                                           const struct tacit_digest *root);
// Index of the published snapshot. False: none.
bool tacit_certified_published(const struct tacit_pages *pages, tacit_index_t *index);

// For fetch.h. Gives up the candidate and what waits, keeps what is published, and returns the area
// that is free for pages that are fetched. The tree may be incomplete after it.
uint32_t tacit_certified_borrow(struct tacit_pages *pages);
// Ends every snapshot, as withdraw does, but the digests stay true: pages are about to be replaced
// one by one, each with tacit_tree_touch() of all its blocks.
void tacit_certified_close(struct tacit_pages *pages);

// NULL, or what is wrong with the bookkeeping.
const char *tacit_certified_check(const struct tacit_pages *pages);

#endif
