// SPDX-License-Identifier: Apache-2.0
//
// Encoding of log entries; see entry.h for the layout.
#include "entry.h"

#include <string.h>

#include "../base/assert.h"
#include "../base/bug.h"
#include "../base/words.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

struct tacit_log_shape tacit_log_shape(uint32_t entries, uint32_t batch_bytes)
{
    uint32_t slot_bytes = (TACIT_ENTRY_HEADER + batch_bytes + 63u) & ~63u;
    if (slot_bytes % 4096u == 0) {
        slot_bytes += 64;
    }
    return (struct tacit_log_shape){.entries = entries, .slot_bytes = slot_bytes};
}

size_t tacit_log_bytes(struct tacit_log_shape shape)
{
    return 128u + (size_t)shape.entries * shape.slot_bytes;
}

static uint64_t entry_checksum(const uint8_t *slot, uint32_t length)
{
    // Header words and payload with the (always overwritten) checksum word between them left out.
    uint64_t head = XXH3_64bits(slot + 8, 32);
    return XXH3_64bits_withSeed(slot + TACIT_ENTRY_HEADER, length, head);
}

uint32_t tacit_entry_seal(uint8_t *slot, tacit_index_t index, uint64_t ballot, tacit_index_t commit,
                          uint32_t length, uint32_t flags)
{
    TACIT_ASSERT(commit <= index + 1);
    uint64_t words[5] = {0, index, ballot, commit, length | (uint64_t)flags << 32};
    memcpy(slot, words, sizeof(words));
    uint32_t bytes = tacit_entry_bytes(length);
    memset(slot + TACIT_ENTRY_HEADER + length, 0, bytes - TACIT_ENTRY_HEADER - length);
    uint64_t checksum = entry_checksum(slot, length);
    memcpy(slot + 40, &checksum, sizeof(checksum));
    return bytes;
}

void tacit_entry_peek(struct tacit_entry *entry, const uint8_t *slot)
{
    uint64_t words[5];
    memcpy(words, slot, sizeof(words));
    entry->adopted = words[0];
    entry->index = words[1];
    entry->ballot = words[2];
    entry->commit = words[3];
    entry->length = (uint32_t)words[4];
    entry->flags = (uint32_t)(words[4] >> 32);
}

bool tacit_entry_read(struct tacit_entry *entry, const uint8_t *slot, uint32_t bytes,
                      tacit_index_t index)
{
    tacit_entry_peek(entry, slot);
    if (entry->index != index || entry->ballot == 0 || entry->commit > index + 1 ||
        entry->length > bytes - TACIT_ENTRY_HEADER) {
        return false;
    }
    uint64_t checksum;
    memcpy(&checksum, slot + 40, sizeof(checksum));
    return checksum == entry_checksum(slot, entry->length) || TACIT_BUG(CHECKSUM_IGNORED);
}
