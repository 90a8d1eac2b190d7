// SPDX-License-Identifier: Apache-2.0
//
// A log entry, as it stands in a slot of a LOG region and in a replica's private journal:
//
//    0 u64 adopted   0 when written; later the ballot of a leader that adopted the entry as it
//    stands 8 u64 index
//   16 u64 ballot    of the leader that wrote it
//   24 u64 commit    entries below were decided when it was written; at most index + 1
//   32 u32 length, u32 flags
//   40 u64 checksum  XXH3 of bytes 8..40 and the payload
//   48 payload (items, wire.h), zero padded to a multiple of 8
//
// The effective ballot is max(ballot, adopted). The checksum tells whole from torn or stale:
// position = index mod capacity, and recycling zeroes nothing.
#ifndef TACIT_LOG_ENTRY_H
#define TACIT_LOG_ENTRY_H

#include "tacit/types.h"

#define TACIT_ENTRY_HEADER 48u
#define TACIT_ENTRY_ADOPTED 0u
#define TACIT_ENTRY_INDEX 8u
#define TACIT_ENTRY_BALLOT 16u

struct tacit_entry {
    uint64_t adopted;
    tacit_index_t index;
    uint64_t ballot;
    tacit_index_t commit;
    uint32_t length;
    uint32_t flags;
};

// Changes the membership: what was acknowledged for later entries is counted anew when it was
// executed.
#define TACIT_ENTRY_MEMBERSHIP 1u

// Where entries lie in a LOG region.
struct tacit_log_shape {
    uint32_t entries; // power of two
    uint32_t slot_bytes;
};

// Shape for batches of up to `batch_bytes`. Slots are a multiple of 64 but not of 4096 bytes, so
// that successive headers do not fall into the same cache set.
struct tacit_log_shape tacit_log_shape(uint32_t entries, uint32_t batch_bytes);
// Bytes of a LOG region.
size_t tacit_log_bytes(struct tacit_log_shape shape);
// Offset of the slot of `index` in a LOG region.
static inline uint64_t tacit_log_slot(struct tacit_log_shape shape, tacit_index_t index)
{
    return 128u + (index & (shape.entries - 1u)) * (uint64_t)shape.slot_bytes;
}

// Completes the header around a payload that stands at slot + TACIT_ENTRY_HEADER (zero-pads it).
// Returns the bytes to write. adopted becomes 0.
uint32_t tacit_entry_seal(uint8_t *slot, tacit_index_t index, uint64_t ballot, tacit_index_t commit,
                          uint32_t length, uint32_t flags);
// Reads the header words of a private copy. Says nothing about wholeness.
void tacit_entry_peek(struct tacit_entry *entry, const uint8_t *slot);
// Bytes of an entry with this payload.
static inline uint32_t tacit_entry_bytes(uint32_t length)
{
    return (TACIT_ENTRY_HEADER + length + 7u) & ~7u;
}
// Judges a private copy of the first `bytes` (at least the header's) bytes of a slot: true if they
// hold a whole entry of `index`, whose header is then in *entry.
bool tacit_entry_read(struct tacit_entry *entry, const uint8_t *slot, uint32_t bytes,
                      tacit_index_t index);
static inline uint64_t tacit_entry_effective(const struct tacit_entry *entry)
{
    return entry->adopted > entry->ballot ? entry->adopted : entry->ballot;
}

// Ballots and request numbers: {counter 28, node 4, incarnation 32}, ordered as numbers. Counters
// grow by one with an election.
static inline uint64_t tacit_ballot(uint64_t counter, tacit_node_t node,
                                    tacit_incarnation_t incarnation)
{
    return counter << 36 | (uint64_t)(node & 15u) << 32 | incarnation;
}
static inline uint64_t tacit_ballot_counter(uint64_t ballot)
{
    return ballot >> 36;
}
static inline tacit_node_t tacit_ballot_node(uint64_t ballot)
{
    return (tacit_node_t)(ballot >> 32 & 15u);
}

#endif
