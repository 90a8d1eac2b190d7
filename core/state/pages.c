// SPDX-License-Identifier: Apache-2.0
//
// Copy-on-write pages and checkpoints; see pages.h.
#include "pages.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "certified.h"

size_t tacit_pages_region_bytes(uint32_t count)
{
    return tacit_pages_table_bytes(count) + 2ull * count * TACIT_PAGE_BYTES;
}

uint64_t tacit_page_digest(const void *page)
{
    return XXH3_64bits(page, TACIT_PAGE_BYTES);
}

uint64_t tacit_pages_root(const uint64_t *table, uint32_t count, tacit_index_t index)
{
    uint64_t seed = XXH3_64bits_withSeed(&index, sizeof(index), count);
    return XXH3_64bits_withSeed(table, 8ull * count, seed);
}

static uint64_t *table_of(struct tacit_pages *pages)
{
    return (uint64_t *)(void *)(pages->region + TACIT_STATE_TABLE);
}

static size_t bitmap_words(uint32_t count)
{
    return (count + 63u) / 64u;
}

// No checkpoint to save pages for, and no digest in the table is true.
static void all_dirty(struct tacit_pages *pages)
{
    size_t words = bitmap_words(pages->count);
    memset(pages->touched, 0xff, 8 * words);
    memset(pages->dirty, 0xff, 8 * words);
    if (pages->count % 64 != 0) {
        pages->dirty[words - 1] = (1ull << pages->count % 64) - 1;
    }
}

void tacit_pages_init(struct tacit_pages *pages, struct tacit_bump *bump, void *region,
                      uint32_t count)
{
    size_t words = bitmap_words(count);
    *pages = (struct tacit_pages){.region = region, .count = count};
    pages->touched = tacit_bump_take(bump, 8 * words, 8);
    pages->pending = tacit_bump_take(bump, 8 * words, 8);
    pages->dirty = tacit_bump_take(bump, 8 * words, 8);
    if (bump->base == NULL) {
        return;
    }
    pages->live = pages->region + tacit_pages_live_offset(count, 0);
    pages->shadow = pages->region + tacit_pages_shadow_offset(count, 0);
    memset(pages->pending, 0, 8 * words);
    all_dirty(pages);
    tacit_word_store(region, TACIT_STATE_PAGES, count);
}

void tacit_pages_save(struct tacit_pages *pages, uint32_t page)
{
    uint8_t *live = pages->live + (size_t)page * TACIT_PAGE_BYTES;
    uint8_t *shadow = pages->shadow + (size_t)page * TACIT_PAGE_BYTES;
    memcpy(shadow, live, TACIT_PAGE_BYTES);
    __atomic_thread_fence(__ATOMIC_RELEASE); // the copy before any change of the live page
    pages->touched[page / 64] |= 1ull << page % 64;
    pages->dirty[page / 64] |= 1ull << page % 64;
}

void tacit_pages_touch(struct tacit_pages *pages, const void *address, size_t bytes)
{
    size_t offset = (size_t)((const uint8_t *)address - pages->live);
    size_t size = (size_t)pages->count * TACIT_PAGE_BYTES;
    TACIT_ASSERT((const uint8_t *)address >= pages->live && offset <= size &&
                 bytes <= size - offset);
    if (bytes == 0) {
        return;
    }
    if (pages->certified != NULL) {
        tacit_certified_touch(pages, offset, bytes);
        return;
    }
    uint32_t last = (uint32_t)((offset + bytes - 1) / TACIT_PAGE_BYTES);
    for (uint32_t page = (uint32_t)(offset / TACIT_PAGE_BYTES); page <= last; page++) {
        tacit_pages_touch_page(pages, page);
    }
}

bool tacit_pages_checkpoint(struct tacit_pages *pages, tacit_index_t index)
{
    if (pages->certified != NULL) {
        tacit_certified_checkpoint(pages, index);
        return true;
    }
    if (pages->digesting) {
        return false;
    }
    size_t words = bitmap_words(pages->count);
    tacit_word_store(pages->region, TACIT_STATE_READY, 0);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); // readers learn that pages change under them
    pages->number++;
    pages->index = index;
    pages->digesting = true;
    pages->cursor = 0;
    memcpy(pages->pending, pages->dirty, 8 * words);
    memset(pages->dirty, 0, 8 * words);
    memset(pages->touched, 0, 8 * words);
    return true;
}

// Content of a page at the newest checkpoint.
static const uint8_t *checkpointed(struct tacit_pages *pages, uint32_t page)
{
    bool touched = (pages->touched[page / 64] & 1ull << page % 64) != 0;
    return (touched ? pages->shadow : pages->live) + (size_t)page * TACIT_PAGE_BYTES;
}

static void publish(struct tacit_pages *pages)
{
    pages->digesting = false;
    pages->taken++;
    tacit_word_store(pages->region, TACIT_STATE_INDEX, pages->index);
    tacit_word_store(pages->region, TACIT_STATE_ROOT,
                     tacit_pages_root(table_of(pages), pages->count, pages->index));
    tacit_word_store(pages->region, TACIT_STATE_READY, pages->number);
}

bool tacit_pages_digest(struct tacit_pages *pages, uint32_t budget)
{
    if (pages->certified != NULL) {
        return tacit_certified_digest(pages, budget);
    }
    if (!pages->digesting) {
        return false;
    }
    uint64_t *table = table_of(pages);
    size_t words = bitmap_words(pages->count);
    while (pages->cursor < words) {
        uint64_t *word = &pages->pending[pages->cursor];
        while (*word != 0) {
            if (budget-- == 0) {
                return true;
            }
            uint32_t page = pages->cursor * 64 + (uint32_t)__builtin_ctzll(*word);
            *word &= *word - 1;
            uint64_t digest = tacit_page_digest(checkpointed(pages, page));
            __atomic_store_n(&table[page], digest, __ATOMIC_RELAXED);
        }
        pages->cursor++;
    }
    publish(pages);
    return true;
}

void tacit_pages_withdraw(struct tacit_pages *pages)
{
    if (pages->certified != NULL) {
        tacit_certified_withdraw(pages);
        return;
    }
    tacit_word_store(pages->region, TACIT_STATE_READY, 0);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    // An unfinished checkpoint is given up, and no digest in the table is true from now on.
    pages->digesting = false;
    all_dirty(pages);
}

uint64_t tacit_pages_hash(const struct tacit_pages *pages)
{
    return XXH3_64bits(pages->live, (size_t)pages->count * TACIT_PAGE_BYTES);
}
