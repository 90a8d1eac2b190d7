// SPDX-License-Identifier: Apache-2.0
//
// The allocator of the key-value store; how it thinks is told in kv_store.h.
#include "kv_store.h"

#include <string.h>

#define BLOCK_UNITS_MIN 2u
// How many blocks of the last list that may have one that fits are looked at.
#define NEAR_FITS 16u

struct tacit_kv_block *tacit_kv_block_at(const struct tacit_kv_store *store, tacit_kv_ref_t ref)
{
    char *arena = store->host->arena;
    void *at = arena + (size_t)ref * TACIT_KV_UNIT;
    return at;
}

void tacit_kv_touch(const struct tacit_kv_store *store, const void *address, size_t bytes)
{
    store->host->touch(store->host, address, bytes);
}

// The list of blocks of this size: four lists for each power of two.
static uint32_t list_of(uint32_t units)
{
    uint32_t power = 31u - (uint32_t)__builtin_clz(units);
    uint32_t quarter = power >= 2 ? units >> (power - 2) & 3u : 0;
    return power * 4 + quarter;
}

// The first list whose blocks all have at least this size.
static uint32_t list_from(uint32_t units)
{
    uint32_t list = list_of(units);
    uint32_t power = list / 4;
    uint32_t smallest = power >= 2 ? (4u + list % 4) << (power - 2) : 1u << power;
    return smallest == units ? list : list + 1;
}

static void list_add(const struct tacit_kv_store *store, tacit_kv_ref_t ref)
{
    struct tacit_kv_header *header = store->header;
    struct tacit_kv_block *block = tacit_kv_block_at(store, ref);
    uint32_t list = list_of(block->units);
    tacit_kv_ref_t head = header->lists[list];
    tacit_kv_touch(store, header, sizeof *header);
    tacit_kv_touch(store, block, sizeof *block);
    block->height = 0;
    block->left = head;
    block->right = 0;
    if (head != 0) {
        struct tacit_kv_block *old = tacit_kv_block_at(store, head);
        tacit_kv_touch(store, old, sizeof *old);
        old->right = ref;
    }
    header->lists[list] = ref;
    header->bitmap[list / 64] |= 1ull << list % 64;
    header->free_units += block->units;
}

static void list_take(const struct tacit_kv_store *store, tacit_kv_ref_t ref)
{
    struct tacit_kv_header *header = store->header;
    const struct tacit_kv_block *block = tacit_kv_block_at(store, ref);
    uint32_t list = list_of(block->units);
    tacit_kv_touch(store, header, sizeof *header);
    if (block->left != 0) {
        struct tacit_kv_block *next = tacit_kv_block_at(store, block->left);
        tacit_kv_touch(store, next, sizeof *next);
        next->right = block->right;
    }
    if (block->right != 0) {
        struct tacit_kv_block *before = tacit_kv_block_at(store, block->right);
        tacit_kv_touch(store, before, sizeof *before);
        before->left = block->left;
    } else {
        header->lists[list] = block->left;
        if (block->left == 0) {
            header->bitmap[list / 64] &= ~(1ull << list % 64);
        }
    }
    header->free_units -= block->units;
}

static void set_prior(const struct tacit_kv_store *store, tacit_kv_ref_t ref, uint32_t units)
{
    struct tacit_kv_block *block = tacit_kv_block_at(store, ref);
    tacit_kv_touch(store, block, sizeof *block);
    block->prior_units = units;
}

void tacit_kv_heap_init(const struct tacit_kv_store *store, tacit_kv_ref_t first,
                        tacit_kv_ref_t end)
{
    struct tacit_kv_block *block = tacit_kv_block_at(store, first);
    struct tacit_kv_block *mark = tacit_kv_block_at(store, end);
    tacit_kv_touch(store, block, sizeof *block);
    tacit_kv_touch(store, mark, sizeof *mark);
    block->units = end - first;
    block->prior_units = 0;
    *mark = (struct tacit_kv_block){.prior_units = end - first, .height = 1}; // never merged
    store->header->first = first;
    store->header->end = end;
    list_add(store, first);
}

static tacit_kv_ref_t first_fit(const struct tacit_kv_store *store, uint32_t units)
{
    const struct tacit_kv_header *header = store->header;
    uint32_t from = list_from(units);
    for (uint32_t word = from / 64; word < TACIT_KV_LISTS / 64; word++) {
        uint64_t bits = header->bitmap[word];
        if (word == from / 64) {
            bits &= ~0ull << from % 64;
        }
        if (bits != 0) {
            return header->lists[word * 64 + (uint32_t)__builtin_ctzll(bits)];
        }
    }
    // The list below may have one that fits by chance. Only a few are looked at: bounded time
    // matters more than the last free bytes.
    tacit_kv_ref_t ref = header->lists[list_of(units)];
    for (uint32_t i = 0; i < NEAR_FITS && ref != 0; i++) {
        const struct tacit_kv_block *block = tacit_kv_block_at(store, ref);
        if (block->units >= units) {
            return ref;
        }
        ref = block->left;
    }
    return 0;
}

// Cuts a used block to `units`; the rest becomes free. Too small a rest stays.
static void cut(const struct tacit_kv_store *store, tacit_kv_ref_t ref, uint32_t units)
{
    struct tacit_kv_block *block = tacit_kv_block_at(store, ref);
    if (block->units - units < BLOCK_UNITS_MIN) {
        return;
    }
    tacit_kv_ref_t rest_ref = ref + units;
    struct tacit_kv_block *rest = tacit_kv_block_at(store, rest_ref);
    tacit_kv_touch(store, block, sizeof *block);
    tacit_kv_touch(store, rest, sizeof *rest);
    *rest =
        (struct tacit_kv_block){.units = block->units - units, .prior_units = units, .height = 1};
    block->units = units;
    set_prior(store, rest_ref + rest->units, rest->units);
    tacit_kv_free(store, rest_ref);
}

static uint32_t units_for(uint64_t payload_bytes)
{
    uint64_t bytes = sizeof(struct tacit_kv_block) + payload_bytes;
    return (uint32_t)((bytes + TACIT_KV_UNIT - 1) / TACIT_KV_UNIT);
}

tacit_kv_ref_t tacit_kv_alloc(const struct tacit_kv_store *store, uint32_t key_bytes,
                              uint32_t value_bytes)
{
    uint32_t units = units_for((uint64_t)key_bytes + value_bytes);
    tacit_kv_ref_t ref = first_fit(store, units);
    if (ref == 0) {
        return 0;
    }
    struct tacit_kv_block *block = tacit_kv_block_at(store, ref);
    list_take(store, ref);
    tacit_kv_touch(store, block, sizeof *block + key_bytes + value_bytes);
    block->left = 0;
    block->right = 0;
    block->key_bytes = (uint16_t)key_bytes;
    block->value_bytes = value_bytes;
    block->height = 1;
    cut(store, ref, units);
    return ref;
}

void tacit_kv_free(const struct tacit_kv_store *store, tacit_kv_ref_t ref)
{
    struct tacit_kv_block *block = tacit_kv_block_at(store, ref);
    tacit_kv_touch(store, block, sizeof *block);
    tacit_kv_ref_t next_ref = ref + block->units;
    const struct tacit_kv_block *next = tacit_kv_block_at(store, next_ref);
    if (next->height == 0) {
        list_take(store, next_ref);
        block->units += next->units;
    }
    if (block->prior_units != 0) {
        tacit_kv_ref_t prior_ref = ref - block->prior_units;
        struct tacit_kv_block *prior = tacit_kv_block_at(store, prior_ref);
        if (prior->height == 0) {
            list_take(store, prior_ref);
            tacit_kv_touch(store, prior, sizeof *prior);
            prior->units += block->units;
            ref = prior_ref;
            block = prior;
        }
    }
    set_prior(store, ref + block->units, block->units);
    list_add(store, ref);
}

uint32_t tacit_kv_capacity(const struct tacit_kv_block *block)
{
    return block->units * TACIT_KV_UNIT - (uint32_t)sizeof *block;
}

void tacit_kv_trim(const struct tacit_kv_store *store, tacit_kv_ref_t ref)
{
    const struct tacit_kv_block *block = tacit_kv_block_at(store, ref);
    cut(store, ref, units_for((uint64_t)block->key_bytes + block->value_bytes));
}
