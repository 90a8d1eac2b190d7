// SPDX-License-Identifier: Apache-2.0
//
// The table of the key-value store: buckets of AVL trees; how it thinks is told in kv_store.h.
#include "kv_store.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAGIC 0x31766b2d74636174ull // "tact-kv1"
#define BYTES_A_BUCKET 256u         // of arena: few collisions with entries of usual size
#define BUCKETS_MIN 16u
// An AVL tree of as many entries as 2^32 units can hold is lower than this.
#define DEPTH_MAX 48u

uint64_t tacit_kv_hash(struct tacit_kv_span key)
{
    return XXH3_64bits(key.bytes, key.size);
}

static tacit_kv_ref_t units_of(size_t bytes)
{
    return (tacit_kv_ref_t)((bytes + TACIT_KV_UNIT - 1) / TACIT_KV_UNIT);
}

struct tacit_kv_store tacit_kv_store_of(struct tacit_app_host *host)
{
    struct tacit_kv_store store = {.host = host, .header = host->arena};
    void *buckets = store.header + 1;
    store.buckets = buckets;
    return store;
}

bool tacit_kv_store_init(struct tacit_app_host *host)
{
    struct tacit_kv_store store = tacit_kv_store_of(host);
    struct tacit_kv_header *header = store.header;
    uint64_t units = host->arena_bytes / TACIT_KV_UNIT;
    units = units < UINT32_MAX ? units : UINT32_MAX;
    uint32_t buckets = BUCKETS_MIN;
    while (buckets < 1u << 30 && (uint64_t)buckets * 2 * BYTES_A_BUCKET <= host->arena_bytes) {
        buckets *= 2;
    }
    tacit_kv_ref_t first = units_of(sizeof *header + buckets * sizeof *store.buckets);
    tacit_kv_ref_t mark_units = units_of(sizeof(struct tacit_kv_block));
    if (units < (uint64_t)first + 8 * (uint64_t)mark_units) {
        return false;
    }
    // All zero before: the buckets are empty already.
    tacit_kv_touch(&store, header, sizeof *header);
    *header = (struct tacit_kv_header){
        .magic = MAGIC, .arena_bytes = host->arena_bytes, .bucket_count = buckets};
    tacit_kv_heap_init(&store, first, (tacit_kv_ref_t)(units - mark_units));
    return true;
}

static tacit_kv_ref_t *bucket_of(const struct tacit_kv_store *store, uint64_t hash)
{
    // The upper bits: the trees are ordered by the whole hash, and lower bits decide there.
    return &store->buckets[hash >> 32 & (store->header->bucket_count - 1)];
}

static int compare(uint64_t hash, struct tacit_kv_span key, const struct tacit_kv_block *block)
{
    if (hash != block->hash) {
        return hash < block->hash ? -1 : 1;
    }
    if (key.size != block->key_bytes) {
        return key.size < block->key_bytes ? -1 : 1;
    }
    return memcmp(key.bytes, block->bytes, key.size);
}

// The slots from the bucket to the place of a key; slots[depth - 1] holds its entry or 0.
struct path {
    tacit_kv_ref_t *slots[DEPTH_MAX];
    uint32_t depth;
};

static void path_push(struct path *path, tacit_kv_ref_t *slot)
{
    if (path->depth == DEPTH_MAX) {
        __builtin_trap(); // an AVL tree of that height does not fit into an arena
    }
    path->slots[path->depth++] = slot;
}

static tacit_kv_ref_t descend(const struct tacit_kv_store *store, uint64_t hash,
                              struct tacit_kv_span key, struct path *path)
{
    path->depth = 0;
    path_push(path, bucket_of(store, hash));
    for (;;) {
        tacit_kv_ref_t ref = *path->slots[path->depth - 1];
        if (ref == 0) {
            return 0;
        }
        struct tacit_kv_block *block = tacit_kv_block_at(store, ref);
        int order = compare(hash, key, block);
        if (order == 0) {
            return ref;
        }
        path_push(path, order < 0 ? &block->left : &block->right);
    }
}

tacit_kv_ref_t tacit_kv_find(const struct tacit_kv_store *store, struct tacit_kv_span key)
{
    struct path path;
    return descend(store, tacit_kv_hash(key), key, &path);
}

static unsigned height_of(const struct tacit_kv_store *store, tacit_kv_ref_t ref)
{
    return ref == 0 ? 0 : tacit_kv_block_at(store, ref)->height;
}

static void set_slot(const struct tacit_kv_store *store, tacit_kv_ref_t *slot, tacit_kv_ref_t ref)
{
    tacit_kv_touch(store, slot, sizeof *slot);
    *slot = ref;
}

// Sets the height from the children; false when it was right.
static bool set_height(const struct tacit_kv_store *store, struct tacit_kv_block *block)
{
    unsigned left = height_of(store, block->left);
    unsigned right = height_of(store, block->right);
    unsigned height = 1 + (left > right ? left : right);
    if (height == block->height) {
        return false;
    }
    tacit_kv_touch(store, block, sizeof *block);
    block->height = (uint8_t)height;
    return true;
}

static void rotate_left(const struct tacit_kv_store *store, tacit_kv_ref_t *slot)
{
    struct tacit_kv_block *top = tacit_kv_block_at(store, *slot);
    tacit_kv_ref_t up = top->right;
    struct tacit_kv_block *child = tacit_kv_block_at(store, up);
    tacit_kv_ref_t top_ref = *slot;
    tacit_kv_touch(store, top, sizeof *top);
    tacit_kv_touch(store, child, sizeof *child);
    top->right = child->left;
    child->left = top_ref;
    set_slot(store, slot, up);
    (void)set_height(store, top);
    (void)set_height(store, child);
}

static void rotate_right(const struct tacit_kv_store *store, tacit_kv_ref_t *slot)
{
    struct tacit_kv_block *top = tacit_kv_block_at(store, *slot);
    tacit_kv_ref_t up = top->left;
    struct tacit_kv_block *child = tacit_kv_block_at(store, up);
    tacit_kv_ref_t top_ref = *slot;
    tacit_kv_touch(store, top, sizeof *top);
    tacit_kv_touch(store, child, sizeof *child);
    top->left = child->right;
    child->right = top_ref;
    set_slot(store, slot, up);
    (void)set_height(store, top);
    (void)set_height(store, child);
}

// Restores the AVL condition of one subtree; false when its height stayed as it was.
static bool balance(const struct tacit_kv_store *store, tacit_kv_ref_t *slot)
{
    struct tacit_kv_block *block = tacit_kv_block_at(store, *slot);
    unsigned before = block->height;
    unsigned left = height_of(store, block->left);
    unsigned right = height_of(store, block->right);
    if (left > right + 1) {
        const struct tacit_kv_block *child = tacit_kv_block_at(store, block->left);
        if (height_of(store, child->right) > height_of(store, child->left)) {
            rotate_left(store, &block->left);
        }
        rotate_right(store, slot);
    } else if (right > left + 1) {
        const struct tacit_kv_block *child = tacit_kv_block_at(store, block->right);
        if (height_of(store, child->left) > height_of(store, child->right)) {
            rotate_right(store, &block->right);
        }
        rotate_left(store, slot);
    } else {
        return set_height(store, block);
    }
    return height_of(store, *slot) != before;
}

// Restores it along a path, below whose first `depth` slots something changed.
static void balance_up(const struct tacit_kv_store *store, const struct path *path, uint32_t depth)
{
    while (depth > 0) {
        tacit_kv_ref_t *slot = path->slots[--depth];
        if (*slot != 0 && !balance(store, slot)) {
            return;
        }
    }
}

void tacit_kv_put(const struct tacit_kv_store *store, tacit_kv_ref_t ref)
{
    struct tacit_kv_block *block = tacit_kv_block_at(store, ref);
    struct tacit_kv_span key = {.bytes = block->bytes, .size = block->key_bytes};
    struct path path;
    tacit_kv_ref_t old_ref = descend(store, block->hash, key, &path);
    tacit_kv_ref_t *slot = path.slots[path.depth - 1];
    tacit_kv_touch(store, block, sizeof *block);
    if (old_ref != 0) {
        const struct tacit_kv_block *old = tacit_kv_block_at(store, old_ref);
        block->left = old->left;
        block->right = old->right;
        block->height = old->height;
        set_slot(store, slot, ref);
        tacit_kv_free(store, old_ref);
        return;
    }
    block->left = 0;
    block->right = 0;
    block->height = 1;
    set_slot(store, slot, ref);
    tacit_kv_touch(store, store->header, sizeof *store->header);
    store->header->keys++;
    balance_up(store, &path, path.depth - 1);
}

bool tacit_kv_remove(const struct tacit_kv_store *store, struct tacit_kv_span key)
{
    struct path path;
    tacit_kv_ref_t ref = descend(store, tacit_kv_hash(key), key, &path);
    if (ref == 0) {
        return false;
    }
    struct tacit_kv_block *block = tacit_kv_block_at(store, ref);
    uint32_t at = path.depth - 1; // slots[at] holds the entry
    if (block->left == 0 || block->right == 0) {
        set_slot(store, path.slots[at], block->left != 0 ? block->left : block->right);
    } else {
        // The next larger entry takes this one's place.
        path_push(&path, &block->right);
        struct tacit_kv_block *next = tacit_kv_block_at(store, block->right);
        while (next->left != 0) {
            path_push(&path, &next->left);
            next = tacit_kv_block_at(store, next->left);
        }
        tacit_kv_ref_t next_ref = *path.slots[path.depth - 1];
        set_slot(store, path.slots[path.depth - 1], next->right);
        tacit_kv_touch(store, next, sizeof *next);
        next->left = block->left;
        next->right = block->right;
        next->height = block->height;
        set_slot(store, path.slots[at], next_ref);
        path.slots[at + 1] = &next->right;
    }
    tacit_kv_free(store, ref);
    tacit_kv_touch(store, store->header, sizeof *store->header);
    store->header->keys--;
    balance_up(store, &path, path.depth - 1);
    return true;
}

// ---- invariants -----------------------------------------------------------------------

static const char *check_heap(const struct tacit_kv_store *store, uint64_t *used_blocks)
{
    const struct tacit_kv_header *header = store->header;
    uint64_t free_units = 0;
    uint64_t free_blocks = 0;
    uint32_t prior = 0;
    bool prior_free = false;
    tacit_kv_ref_t ref = header->first;
    while (ref != header->end) {
        const struct tacit_kv_block *block = tacit_kv_block_at(store, ref);
        if (block->units < 2 || block->units > header->end - ref) {
            return "a block's size is impossible";
        }
        if (block->prior_units != prior) {
            return "a block is wrong about the size of the one in front";
        }
        if (block->height == 0 && prior_free) {
            return "two free blocks side by side";
        }
        prior_free = block->height == 0;
        free_units += prior_free ? block->units : 0;
        free_blocks += prior_free;
        *used_blocks += !prior_free;
        prior = block->units;
        ref += block->units;
    }
    if (free_units != header->free_units) {
        return "the count of free units is wrong";
    }
    uint64_t listed = 0;
    for (uint32_t list = 0; list < TACIT_KV_LISTS; list++) {
        bool marked = (header->bitmap[list / 64] >> list % 64 & 1) != 0;
        if (marked != (header->lists[list] != 0)) {
            return "the bitmap of lists is wrong";
        }
        tacit_kv_ref_t before = 0;
        for (ref = header->lists[list]; ref != 0; ref = tacit_kv_block_at(store, ref)->left) {
            const struct tacit_kv_block *block = tacit_kv_block_at(store, ref);
            if (block->height != 0 || block->right != before || listed++ > free_blocks) {
                return "a list of free blocks is broken";
            }
            before = ref;
        }
    }
    return listed == free_blocks ? NULL : "a free block is in no list";
}

// One tree, without recursion: a stack of nodes whose right side is still to be seen.
static const char *check_tree(const struct tacit_kv_store *store, uint32_t bucket, uint64_t *keys)
{
    tacit_kv_ref_t stack[DEPTH_MAX];
    uint32_t depth = 0;
    tacit_kv_ref_t ref = store->buckets[bucket];
    const struct tacit_kv_block *before = NULL;
    while (ref != 0 || depth > 0) {
        if (ref != 0) {
            if (depth == DEPTH_MAX) {
                return "a tree is too high";
            }
            stack[depth++] = ref;
            ref = tacit_kv_block_at(store, ref)->left;
            continue;
        }
        ref = stack[--depth];
        const struct tacit_kv_block *block = tacit_kv_block_at(store, ref);
        struct tacit_kv_span key = {.bytes = block->bytes, .size = block->key_bytes};
        unsigned left = height_of(store, block->left);
        unsigned right = height_of(store, block->right);
        if (block->height != 1 + (left > right ? left : right) || left > right + 1 ||
            right > left + 1) {
            return "a tree is not balanced";
        }
        if (block->hash != tacit_kv_hash(key) ||
            bucket_of(store, block->hash) != &store->buckets[bucket]) {
            return "an entry is in the wrong bucket";
        }
        if (before != NULL && compare(block->hash, key, before) <= 0) {
            return "a tree is not in order";
        }
        if (block->key_bytes + (uint64_t)block->value_bytes > tacit_kv_capacity(block)) {
            return "an entry is larger than its block";
        }
        before = block;
        (*keys)++;
        ref = block->right;
    }
    return NULL;
}

const char *tacit_kv_check(const struct tacit_kv_store *store)
{
    if (store->header->magic != MAGIC) {
        return "no key-value store is here";
    }
    uint64_t used = 0;
    uint64_t keys = 0;
    const char *broken = check_heap(store, &used);
    for (uint32_t i = 0; broken == NULL && i < store->header->bucket_count; i++) {
        broken = check_tree(store, i, &keys);
    }
    if (broken != NULL) {
        return broken;
    }
    return keys == store->header->keys && used == keys ? NULL
                                                       : "entries and used blocks do not match";
}
