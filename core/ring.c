// SPDX-License-Identifier: Apache-2.0
//
// Rings in a receiver's memory (tacit/ring.h; uBFT, section 6). The receiver never trusts what it
// reads in place: words are copied once, each by a single load because the writer may be storing at
// the same time, and only the private copy is checked and used.
#include "tacit/ring.h"

#include <assert.h>
#include <string.h>

#include "base/assert.h"
#include "base/words.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings are read and written word by word");

#define SLOT_ALIGN 64u
// No correct sender gets there, so that numbers never wrap.
#define SEQUENCE_MAX (UINT64_MAX / 2)

// The header, word by word.
enum {
    TACIT_RING_WORD_SEQUENCE,
    TACIT_RING_WORD_LENGTH,
    TACIT_RING_WORD_CHECKSUM,
    TACIT_RING_HEADER_WORDS
};
static_assert(TACIT_RING_HEADER_WORDS * 8 == TACIT_RING_HEADER, "header");

static uint32_t padded(uint32_t length)
{
    return (length + 7u) & ~7u;
}

static uint32_t payload_max(struct tacit_ring_shape shape)
{
    return shape.slot_bytes - TACIT_RING_HEADER;
}

struct tacit_ring_shape tacit_ring_shape(uint32_t slots, uint32_t payload_bytes)
{
    uint32_t bytes = TACIT_RING_HEADER + payload_bytes;
    return (struct tacit_ring_shape){
        .slots = slots,
        .slot_bytes = (bytes + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN,
    };
}

size_t tacit_ring_bytes(struct tacit_ring_shape shape)
{
    return (size_t)shape.slots * shape.slot_bytes;
}

uint64_t tacit_ring_offset(struct tacit_ring_shape shape, uint64_t sequence)
{
    uint64_t before = sequence - 1;
    // The shorter division takes a third of the time.
    uint64_t slot = before <= UINT32_MAX ? (uint32_t)before % shape.slots : before % shape.slots;
    return slot * shape.slot_bytes;
}

uint64_t tacit_ring_sum(const void *padded, uint32_t bytes)
{
    return XXH3_64bits(padded, bytes);
}

// Of a private slot whose length was checked.
static uint64_t checksum(const uint8_t *slot, uint32_t length)
{
    uint64_t payload = tacit_ring_sum(slot + TACIT_RING_HEADER, padded(length));
    return XXH3_64bits_withSeed(slot, TACIT_RING_WORD_CHECKSUM * 8, payload);
}

uint32_t tacit_ring_seal(struct tacit_ring_shape shape, uint64_t sequence, uint8_t *out,
                         uint32_t length)
{
    TACIT_ASSERT(length <= payload_max(shape));
    memset(out + TACIT_RING_HEADER + length, 0, padded(length) - length);
    uint64_t sum = tacit_ring_sum(out + TACIT_RING_HEADER, padded(length));
    return tacit_ring_seal_summed(shape, sequence, out, length, sum);
}

uint32_t tacit_ring_seal_summed(struct tacit_ring_shape shape, uint64_t sequence, uint8_t *out,
                                uint32_t length, uint64_t sum)
{
    TACIT_ASSERT(length <= payload_max(shape));
    uint64_t words[TACIT_RING_HEADER_WORDS] = {sequence, length};
    words[TACIT_RING_WORD_CHECKSUM] =
        XXH3_64bits_withSeed(words, TACIT_RING_WORD_CHECKSUM * 8, sum);
    memcpy(out, words, sizeof words);
    return TACIT_RING_HEADER + padded(length);
}

void tacit_ring_reader_init(struct tacit_ring_reader *reader, struct tacit_ring_shape shape,
                            const void *memory)
{
    *reader = (struct tacit_ring_reader){.shape = shape, .memory = memory, .next = 1};
}

void tacit_ring_seek(struct tacit_ring_reader *reader, uint64_t sequence)
{
    reader->next = sequence;
    reader->at = tacit_ring_offset(reader->shape, sequence);
}

// What the slot of the expected message shows as its number.
static uint64_t shown(const struct tacit_ring_reader *reader)
{
    return tacit_word_load(reader->memory, reader->at + 8 * TACIT_RING_WORD_SEQUENCE);
}

// Moves on to the oldest message that can still be there. `found` is in the slot of the expected
// one. A number that does not belong there is garbage of a hostile sender and moves nothing.
static void resume(struct tacit_ring_reader *reader, uint64_t found)
{
    uint32_t slots = reader->shape.slots;
    for (uint32_t i = 0; i < slots; i++) {
        if (found <= reader->next || found > SEQUENCE_MAX || (found - reader->next) % slots != 0) {
            return;
        }
        uint64_t oldest = found - slots + 1;
        reader->lost += oldest - reader->next;
        tacit_ring_seek(reader, oldest);
        found = shown(reader);
    }
}

void tacit_ring_prefetch(const struct tacit_ring_reader *reader)
{
    __builtin_prefetch(reader->memory + tacit_ring_offset(reader->shape, reader->next + 1));
}

bool tacit_ring_has_news(const struct tacit_ring_reader *reader)
{
    return shown(reader) >= reader->next;
}

// `sequence`: what the slot shows, the expected number or a later one. Apart: most looks find
// nothing, and are inlined without it.
__attribute__((noinline)) static enum tacit_verdict
read_news(struct tacit_ring_reader *reader, uint64_t sequence, uint8_t *out, uint32_t *length)
{
    if (sequence > reader->next) {
        resume(reader, sequence);
    }
    const uint8_t *slot = reader->memory + reader->at;
    uint64_t words[TACIT_RING_HEADER_WORDS];
    tacit_words_in(out, slot, TACIT_RING_HEADER);
    memcpy(words, out, sizeof words);
    if (words[TACIT_RING_WORD_SEQUENCE] != reader->next) {
        return TACIT_VERDICT_EMPTY; // not yet, or overwritten just now
    }
    if (words[TACIT_RING_WORD_LENGTH] > payload_max(reader->shape)) {
        // One word lands whole, so no tear explains this.
        tacit_ring_seek(reader, reader->next + 1);
        return TACIT_VERDICT_MALFORMED;
    }
    uint32_t bytes = (uint32_t)words[TACIT_RING_WORD_LENGTH];
    tacit_words_in(out + TACIT_RING_HEADER, slot + TACIT_RING_HEADER, padded(bytes));
    if (checksum(out, bytes) != words[TACIT_RING_WORD_CHECKSUM]) {
        return TACIT_VERDICT_EMPTY;
    }
    *length = bytes;
    tacit_ring_seek(reader, reader->next + 1);
    return TACIT_VERDICT_OK;
}

enum tacit_verdict tacit_ring_read(struct tacit_ring_reader *reader, uint8_t *out, uint32_t *length)
{
    uint64_t sequence = shown(reader);
    return sequence < reader->next ? TACIT_VERDICT_EMPTY : read_news(reader, sequence, out, length);
}
