// SPDX-License-Identifier: Apache-2.0
//
// A hostile sender against the reader of a ring. The input is a script of writes into the ring's
// memory, raw or as a correct sender makes them, between reads. A read ends, never leaves the
// memory, delivers only what has a right checksum, and never goes back.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tacit/ring.h"

enum { SLOTS_MAX = 5, SLOT_BYTES = 64, STEPS_MAX = 4096 };

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

struct script {
    const uint8_t *at;
    const uint8_t *end;
};

static uint64_t take(struct script *script, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes && script->at < script->end; i++) {
        value |= (uint64_t)*script->at++ << (8 * i);
    }
    return value;
}

static void check_read(struct tacit_ring_reader *reader)
{
    _Alignas(8) uint8_t out[SLOT_BYTES];
    _Alignas(8) uint8_t again[SLOT_BYTES];
    uint32_t length = 0;
    uint64_t before = reader->next;
    enum tacit_verdict verdict = tacit_ring_read(reader, out, &length);
    if (verdict == TACIT_VERDICT_OK) {
        must(length <= SLOT_BYTES - TACIT_RING_HEADER);
        memcpy(again, out, sizeof out);
        // What fills up the last word is under the checksum, whatever it is, and is not delivered.
        uint64_t sum = tacit_ring_sum(again + TACIT_RING_HEADER, (length + 7u) & ~7u);
        uint32_t bytes =
            tacit_ring_seal_summed(reader->shape, reader->next - 1, again, length, sum);
        must(memcmp(again, out, bytes) == 0);
    } else {
        must(verdict == TACIT_VERDICT_EMPTY || verdict == TACIT_VERDICT_MALFORMED);
    }
    must(verdict == TACIT_VERDICT_EMPTY || reader->next != before);
    must(reader->next >= before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {.at = data, .end = data + size};
    uint32_t slots = 1 + (uint32_t)take(&script, 1) % SLOTS_MAX;
    struct tacit_ring_shape shape = tacit_ring_shape(slots, SLOT_BYTES - TACIT_RING_HEADER);
    // Exactly the ring, so that the sanitizer sees any step outside.
    uint8_t *memory = calloc(slots, SLOT_BYTES);
    must(memory != NULL);
    struct tacit_ring_reader reader;
    tacit_ring_reader_init(&reader, shape, memory);
    for (uint32_t step = 0; step < STEPS_MAX && script.at < script.end; step++) {
        switch (take(&script, 1) % 4) {
        case 0:
            check_read(&reader);
            break;
        case 1: { // any word anywhere
            uint64_t at = take(&script, 1) % (slots * SLOT_BYTES / 8) * 8;
            uint64_t word = take(&script, 8);
            memcpy(memory + at, &word, 8);
            break;
        }
        case 2: { // a sequence number near the expected one
            uint64_t sequence = reader.next + take(&script, 1) - 8;
            memcpy(memory + tacit_ring_offset(shape, sequence), &sequence, 8);
            break;
        }
        default: { // a whole message near the expected one, perhaps cut
            _Alignas(8) uint8_t slot[SLOT_BYTES] = {0};
            uint64_t sequence = reader.next + take(&script, 1) % 16 - 4;
            uint32_t length = (uint32_t)take(&script, 1) % (SLOT_BYTES - TACIT_RING_HEADER + 1);
            memset(slot + TACIT_RING_HEADER, (int)length, length);
            uint32_t bytes = tacit_ring_seal(shape, sequence, slot, length);
            uint32_t cut = (uint32_t)take(&script, 1);
            bytes = cut % 4 == 0 ? cut / 32 * 8 : bytes;
            memcpy(memory + tacit_ring_offset(shape, sequence), slot,
                   bytes < SLOT_BYTES ? bytes : SLOT_BYTES);
            break;
        }
        }
    }
    check_read(&reader);
    free(memory);
    return 0;
}
