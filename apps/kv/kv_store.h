// SPDX-License-Identifier: Apache-2.0
//
// Where the key-value application keeps its data: an allocator (kv_heap.c) and a table (kv_table.c)
// inside the arena. Everything is named by offset, so the arena may be mapped anywhere; nothing
// lives outside it.
//
// Heap. Blocks of 16-byte units follow each other; each knows its own size and its neighbour's in
// front, so that free neighbours are merged. Free blocks hang in lists by size (four lists per
// power of two); a request is served from the smallest list whose blocks all fit, in constant time.
// Memory that was used for one size is used again for another.
//
// Table. A fixed number of buckets, taken by hash; in each an AVL tree ordered by (hash, key). The
// trees are flat as long as hashes are good, and keep an attacker who chose his keys to collide at
// O(log n): the hash needs no secret, which replicas could not share with each other without
// clients learning it.
#ifndef TACIT_KV_STORE_H
#define TACIT_KV_STORE_H

#include "kv_wire.h"
#include "tacit/app.h"

#define TACIT_KV_UNIT 16u
#define TACIT_KV_LISTS 128u
#define TACIT_KV_KEY_BYTES_MAX 65535u

// A block by its position in units; 0: none (the header is there).
typedef uint32_t tacit_kv_ref_t;

// At the start of the arena.
struct tacit_kv_header {
    uint64_t magic;
    uint64_t arena_bytes;
    uint64_t keys;
    uint64_t free_units;
    uint64_t bitmap[TACIT_KV_LISTS / 64]; // lists that are not empty
    uint32_t bucket_count;                // power of two
    tacit_kv_ref_t first;                 // lowest block
    tacit_kv_ref_t end;                   // the mark behind the highest block
    uint32_t reserved;
    tacit_kv_ref_t lists[TACIT_KV_LISTS];
    // bucket_count roots follow: tacit_kv_ref_t each
};

// A block, of two units at least. A used one holds an entry: key, then value, in `bytes`.
struct tacit_kv_block {
    uint32_t units;       // of this block
    uint32_t prior_units; // of the block in front, 0: this is the first
    tacit_kv_ref_t left;  // free: next in its list
    tacit_kv_ref_t right; // free: previous in its list
    uint64_t hash;
    uint32_t value_bytes;
    uint16_t key_bytes;
    uint8_t height; // of the tree below, from 1; 0: free
    uint8_t reserved;
    uint8_t bytes[];
};
_Static_assert(sizeof(struct tacit_kv_block) == 32, "block");

struct tacit_kv_store {
    struct tacit_app_host *host;
    struct tacit_kv_header *header;
    tacit_kv_ref_t *buckets;
};

// Finds the store in an arena that init() laid out.
struct tacit_kv_store tacit_kv_store_of(struct tacit_app_host *host);
// Lays out an empty arena. False: too small.
bool tacit_kv_store_init(struct tacit_app_host *host);
struct tacit_kv_block *tacit_kv_block_at(const struct tacit_kv_store *store, tacit_kv_ref_t ref);
// Announces a change of [address, address + bytes).
void tacit_kv_touch(const struct tacit_kv_store *store, const void *address, size_t bytes);

// ---- kv_heap.c ----
void tacit_kv_heap_init(const struct tacit_kv_store *store, tacit_kv_ref_t first,
                        tacit_kv_ref_t end);
// A block for an entry of key and value; its sizes and height 1 are set, its header was touched. 0:
// full.
tacit_kv_ref_t tacit_kv_alloc(const struct tacit_kv_store *store, uint32_t key_bytes,
                              uint32_t value_bytes);
void tacit_kv_free(const struct tacit_kv_store *store, tacit_kv_ref_t ref);
// Bytes that key and value of this block may have together.
uint32_t tacit_kv_capacity(const struct tacit_kv_block *block);
// Gives back what the entry does not need.
void tacit_kv_trim(const struct tacit_kv_store *store, tacit_kv_ref_t ref);

// ---- kv_table.c ----
uint64_t tacit_kv_hash(struct tacit_kv_span key);
// The entry with this key, or 0.
tacit_kv_ref_t tacit_kv_find(const struct tacit_kv_store *store, struct tacit_kv_span key);
// Links an entry whose key and hash are set; an entry with the same key is unlinked and freed.
void tacit_kv_put(const struct tacit_kv_store *store, tacit_kv_ref_t ref);
// Unlinks and frees the entry with this key. False: there is none.
bool tacit_kv_remove(const struct tacit_kv_store *store, struct tacit_kv_span key);

// Every invariant of heap and table, for tests: NULL, or what is broken.
const char *tacit_kv_check(const struct tacit_kv_store *store);

#endif
