// SPDX-License-Identifier: Apache-2.0
//
// A ring in the receiver's memory that one sender writes (uBFT's tail broadcast link, section 6 of
// the paper; here also client requests and replies). No credits: the sender may lap a slow
// receiver, who then goes on with the oldest message that survives and counts the gap; order is
// kept.
//
// Layout: `slots` slots of `slot_bytes` each, a multiple of 64:
//   u64 sequence (from 1; slot = (sequence - 1) mod slots) | u32 length | u32 0 | u64 XXH3 of the
//   two words before, seeded with the XXH3 of the payload and its padding | payload, padded with 0
//   to 8
// The checksum tells whole from torn or stale; it says nothing about honesty.
#ifndef TACIT_RING_H
#define TACIT_RING_H

#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TACIT_RING_HEADER 24u

struct tacit_ring_shape {
    uint32_t slots;
    uint32_t slot_bytes;
};

// Shape for messages of up to `payload_bytes`.
struct tacit_ring_shape tacit_ring_shape(uint32_t slots, uint32_t payload_bytes);
size_t tacit_ring_bytes(struct tacit_ring_shape shape);

// Sender: encodes message number `sequence` into `out` (private, 8-aligned, shape.slot_bytes)
// around a payload that the caller has placed at out + TACIT_RING_HEADER. Returns the bytes to
// write (a multiple of 8) at tacit_ring_offset(). length <= slot_bytes - TACIT_RING_HEADER
// (asserted).
uint32_t tacit_ring_seal(struct tacit_ring_shape shape, uint64_t sequence, uint8_t *out,
                         uint32_t length);
uint64_t tacit_ring_offset(struct tacit_ring_shape shape, uint64_t sequence);
// The same in two steps, for who sends one message to several rings. What the sum is of is a
// multiple of 8 bytes: the payload, and zeros behind it. The caller places all of that at out +
// TACIT_RING_HEADER.
uint64_t tacit_ring_sum(const void *padded, uint32_t bytes);
uint32_t tacit_ring_seal_summed(struct tacit_ring_shape shape, uint64_t sequence, uint8_t *out,
                                uint32_t length, uint64_t sum);

// Receiver.
struct tacit_ring_reader {
    struct tacit_ring_shape shape;
    const uint8_t *memory; // own region, written by the sender at any time
    uint64_t next;         // sequence number expected next, from 1: tacit_ring_seek()
    uint64_t at;           // where that belongs: readers look there again and again
    uint64_t lost;         // messages that were overwritten before they were read
};
void tacit_ring_reader_init(struct tacit_ring_reader *reader, struct tacit_ring_shape shape,
                            const void *memory);
// Expects this message next.
void tacit_ring_seek(struct tacit_ring_reader *reader, uint64_t sequence);
// Whether read() would find more than an old message where the next one belongs. Cheap.
bool tacit_ring_has_news(const struct tacit_ring_reader *reader);
// Calls for the memory of the message after the next one (at the next one's a reader looks anyway):
// a place was last used a round ago, and the first look at it takes long.
void tacit_ring_prefetch(const struct tacit_ring_reader *reader);
// Copies the next whole message to `out` (private, shape.slot_bytes) and its length to *length. OK,
// or EMPTY (nothing new, or torn: look again), or MALFORMED (a length out of range; skipped). After
// being lapped it resumes at the oldest surviving message. Bounded: copies at most one payload a
// call, and after being lapped looks at no more than `slots` sequence words besides.
enum tacit_verdict tacit_ring_read(struct tacit_ring_reader *reader, uint8_t *out,
                                   uint32_t *length);

#ifdef __cplusplus
}
#endif

#endif
