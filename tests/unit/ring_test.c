// SPDX-License-Identifier: Apache-2.0
//
// Rings: lapping at every offset and every interleaving of small rings against a model that is
// three lines long; every mixture of old and new words of a slot; garbage; and a writer that races
// the reader.
//
// TACIT_ROUNDS: debug tsan
// TACIT_LABELS: unit exhaustive
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "tacit/ring.h"

enum { MEMORY_BYTES = 64 * 64, SLOT_BYTES_MAX = 512 };

struct ring {
    struct tacit_ring_shape shape;
    uint64_t sent;
    _Alignas(64) uint8_t memory[MEMORY_BYTES];
    struct tacit_ring_reader reader;
};

static void ring_open(struct ring *ring, uint32_t slots, uint32_t payload_bytes)
{
    memset(ring, 0, sizeof *ring);
    ring->shape = tacit_ring_shape(slots, payload_bytes);
    assert_true(tacit_ring_bytes(ring->shape) <= MEMORY_BYTES);
    tacit_ring_reader_init(&ring->reader, ring->shape, ring->memory);
}

// The payload of message `sequence`: its length and bytes follow from the number.
static uint32_t payload(uint8_t *out, uint64_t sequence, uint32_t max)
{
    uint32_t length = (uint32_t)(sequence * 7 % (max + 1));
    for (uint32_t i = 0; i < length; i++) {
        out[i] = (uint8_t)(sequence * 31 + i);
    }
    return length;
}

static uint32_t seal(struct ring *ring, uint64_t sequence, uint8_t *slot)
{
    uint32_t max = ring->shape.slot_bytes - TACIT_RING_HEADER;
    uint32_t length = payload(slot + TACIT_RING_HEADER, sequence, max);
    return tacit_ring_seal(ring->shape, sequence, slot, length);
}

static void ring_send(struct ring *ring)
{
    _Alignas(8) uint8_t slot[SLOT_BYTES_MAX];
    uint64_t sequence = ++ring->sent;
    uint32_t bytes = seal(ring, sequence, slot);
    assert_int_equal(bytes % 8, 0);
    memcpy(ring->memory + tacit_ring_offset(ring->shape, sequence), slot, bytes);
}

static void expect_message(struct ring *ring, uint64_t sequence)
{
    _Alignas(8) uint8_t out[SLOT_BYTES_MAX];
    uint8_t expected[SLOT_BYTES_MAX];
    uint32_t length = 0;
    assert_int_equal(tacit_ring_read(&ring->reader, out, &length), TACIT_VERDICT_OK);
    assert_int_equal(length,
                     payload(expected, sequence, ring->shape.slot_bytes - TACIT_RING_HEADER));
    assert_memory_equal(out + TACIT_RING_HEADER, expected, length);
    assert_int_equal(ring->reader.next, sequence + 1);
}

static void expect_empty(struct ring *ring)
{
    _Alignas(8) uint8_t out[SLOT_BYTES_MAX];
    uint32_t length;
    uint64_t next = ring->reader.next;
    assert_int_equal(tacit_ring_read(&ring->reader, out, &length), TACIT_VERDICT_EMPTY);
    assert_int_equal(ring->reader.next, next);
}

static void shape__holds_payload_and_is_a_multiple_of_lines(void **state)
{
    (void)state;
    for (uint32_t bytes = 0; bytes < 300; bytes++) {
        struct tacit_ring_shape shape = tacit_ring_shape(3, bytes);
        assert_int_equal(shape.slot_bytes % 64, 0);
        assert_true(shape.slot_bytes >= bytes + TACIT_RING_HEADER);
        assert_true(shape.slot_bytes < bytes + TACIT_RING_HEADER + 64);
        assert_int_equal(tacit_ring_bytes(shape), 3 * (size_t)shape.slot_bytes);
        for (uint64_t sequence = 1; sequence < 10; sequence++) {
            assert_int_equal(tacit_ring_offset(shape, sequence),
                             (sequence - 1) % 3 * shape.slot_bytes);
        }
    }
}

// Every interleaving of sends and reads of a small ring.
static void read__follows_the_model_in_every_interleaving(void **state)
{
    (void)state;
    enum { STEPS = 13 };
    for (uint32_t slots = 1; slots <= 4; slots++) {
        for (uint32_t plan = 0; plan < 1u << STEPS; plan++) {
            struct ring ring;
            ring_open(&ring, slots, 40);
            uint64_t next = 1;
            uint64_t lost = 0;
            for (uint32_t step = 0; step < STEPS; step++) {
                if ((plan >> step & 1) != 0) {
                    ring_send(&ring);
                    continue;
                }
                if (ring.sent < next) {
                    expect_empty(&ring);
                    continue;
                }
                uint64_t oldest = ring.sent < slots ? 1 : ring.sent - slots + 1;
                uint64_t expected = next > oldest ? next : oldest;
                lost += expected - next;
                expect_message(&ring, expected);
                assert_int_equal(ring.reader.lost, lost);
                next = expected + 1;
            }
        }
    }
}

// Lapping by every distance from every position, then everything that survived is read in order.
static void read__resumes_at_oldest_after_every_lap(void **state)
{
    (void)state;
    for (uint32_t slots = 1; slots <= 8; slots++) {
        for (uint32_t before = 0; before <= 2 * slots; before++) {
            for (uint32_t distance = 0; distance <= 4 * slots + 1; distance++) {
                struct ring ring;
                ring_open(&ring, slots, 40);
                for (uint32_t i = 1; i <= before; i++) {
                    ring_send(&ring);
                    expect_message(&ring, i);
                }
                for (uint32_t i = 0; i < distance; i++) {
                    ring_send(&ring);
                }
                uint64_t from = distance > slots ? ring.sent - slots + 1 : before + 1;
                for (uint64_t i = from; i <= ring.sent; i++) {
                    expect_message(&ring, i);
                }
                expect_empty(&ring);
                assert_int_equal(ring.reader.lost, from - before - 1);
            }
        }
    }
}

// A slot while it is overwritten: any subset of the new message's words over an older message's.
// Only the whole one reads OK.
static void read__takes_no_mixture_of_old_and_new_words(void **state)
{
    (void)state;
    for (uint64_t sequence = 3; sequence <= 12; sequence++) {
        _Alignas(8) uint8_t fresh[SLOT_BYTES_MAX] = {0};
        struct ring ring;
        ring_open(&ring, 2, 40);
        while (ring.sent < sequence - 1) {
            ring_send(&ring);
        }
        tacit_ring_seek(&ring.reader, sequence);
        uint32_t words = seal(&ring, sequence, fresh) / 8;
        uint8_t *slot = ring.memory + tacit_ring_offset(ring.shape, sequence);
        uint8_t old[SLOT_BYTES_MAX];
        memcpy(old, slot, ring.shape.slot_bytes);
        for (uint32_t subset = 0; subset < 1u << words; subset++) {
            bool whole = true;
            for (uint32_t i = 0; i < words; i++) {
                const uint8_t *from = (subset >> i & 1) != 0 ? fresh : old;
                memcpy(slot + 8 * i, from + 8 * i, 8);
                whole = whole && memcmp(slot + 8 * i, fresh + 8 * i, 8) == 0;
            }
            if (whole) {
                expect_message(&ring, sequence);
                tacit_ring_seek(&ring.reader, sequence);
            } else {
                expect_empty(&ring);
            }
        }
    }
}

static void read__notices_every_flipped_bit(void **state)
{
    (void)state;
    for (uint64_t sequence = 1; sequence <= 12; sequence++) {
        struct ring ring;
        ring_open(&ring, 3, 40);
        while (ring.sent < sequence) {
            ring_send(&ring);
        }
        _Alignas(8) uint8_t out[SLOT_BYTES_MAX];
        uint32_t bytes = seal(&ring, sequence, out);
        uint8_t *slot = ring.memory + tacit_ring_offset(ring.shape, sequence);
        for (uint32_t bit = 0; bit < bytes * 8; bit++) {
            uint32_t length;
            tacit_ring_seek(&ring.reader, sequence);
            slot[bit / 8] ^= (uint8_t)(1u << bit % 8);
            enum tacit_verdict verdict = tacit_ring_read(&ring.reader, out, &length);
            slot[bit / 8] ^= (uint8_t)(1u << bit % 8);
            // Only a length that no message can have is called malformed; it is skipped.
            bool in_length = bit / 64 == 1;
            assert_true(verdict == TACIT_VERDICT_EMPTY ||
                        (in_length && verdict == TACIT_VERDICT_MALFORMED &&
                         ring.reader.next == sequence + 1));
        }
        tacit_ring_seek(&ring.reader, sequence);
        expect_message(&ring, sequence);
    }
}

static void seal__pads_and_fills_a_slot(void **state)
{
    (void)state;
    struct tacit_ring_shape shape = tacit_ring_shape(2, 40);
    _Alignas(8) uint8_t slot[SLOT_BYTES_MAX];
    assert_int_equal(shape.slot_bytes, 64);
    assert_int_equal(tacit_ring_seal(shape, 1, slot, 40), 64);
    assert_int_equal(tacit_ring_seal(shape, 1, slot, 33), 64);
    assert_int_equal(tacit_ring_seal(shape, 1, slot, 0), 24);
}

// One message for several rings is summed once.
static void seal__in_two_steps_is_the_same(void **state)
{
    (void)state;
    struct tacit_ring_shape shape = tacit_ring_shape(4, 40);
    uint64_t slots[2][8] = {{0}};
    memset(&slots[0][3], 7, 40);
    memcpy(&slots[1][3], &slots[0][3], 40);
    uint64_t sum = tacit_ring_sum(&slots[0][3], 40);
    assert_int_equal(tacit_ring_seal(shape, 9, (uint8_t *)slots[0], 40), 64);
    assert_int_equal(tacit_ring_seal_summed(shape, 9, (uint8_t *)slots[1], 40, sum), 64);
    assert_memory_equal(slots[0], slots[1], 64);
}

// Whatever is in the memory, a read ends, stays inside, and a correct sender is understood
// afterwards if its numbers are not behind those that the garbage claimed.
static void read__survives_garbage(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (uint32_t run = 0; run < 20000; run++) {
        struct ring ring;
        uint32_t slots = 1 + run % 5;
        ring_open(&ring, slots, 40);
        for (uint32_t slot = 0; slot < slots; slot++) {
            for (uint32_t word = 0; word < 8; word++) {
                random = random * 6364136223846793005u + 1442695040888963407u;
                uint64_t value = random >> (random >> 60) * 4;
                memcpy(ring.memory + slot * 64 + word * 8, &value, 8);
            }
            if (run % 3 == 0) {
                uint64_t sequence = UINT64_MAX - random % 16;
                memcpy(ring.memory + slot * 64, &sequence, 8);
            }
        }
        _Alignas(8) uint8_t out[SLOT_BYTES_MAX];
        for (uint32_t i = 0; i < 20; i++) {
            uint32_t length = 0;
            assert_int_not_equal(tacit_ring_read(&ring.reader, out, &length), TACIT_VERDICT_OK);
        }
        if (ring.reader.next < UINT64_MAX / 2) {
            ring.sent = ring.reader.next - 1;
            ring_send(&ring);
            expect_message(&ring, ring.sent);
        }
    }
}

enum { RACE_MESSAGES = 40000, RACE_SLOTS = 4 };

// Stores words as a fabric provider does: each whole, in any order.
static void *race_writer(void *argument)
{
    struct ring *ring = argument;
    _Alignas(8) uint8_t slot[SLOT_BYTES_MAX];
    for (uint64_t sequence = 1; sequence <= RACE_MESSAGES; sequence++) {
        uint32_t words = seal(ring, sequence, slot) / 8;
        void *at = ring->memory + tacit_ring_offset(ring->shape, sequence);
        uint64_t *to = at;
        for (uint32_t i = 0; i < words; i++) {
            uint32_t word = (sequence & 1) != 0 ? i : words - 1 - i;
            uint64_t value;
            memcpy(&value, slot + 8 * (size_t)word, 8);
            __atomic_store_n(to + word, value, __ATOMIC_RELAXED);
        }
        if (sequence % 5 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

static void read__is_right_while_the_writer_races(void **state)
{
    (void)state;
    static struct ring ring;
    ring_open(&ring, RACE_SLOTS, 400);
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, race_writer, &ring), 0);
    uint8_t expected[SLOT_BYTES_MAX];
    _Alignas(8) uint8_t out[SLOT_BYTES_MAX];
    uint64_t got = 0;
    uint64_t tries = 0;
    while (ring.reader.next <= RACE_MESSAGES && tries++ < 50 * 1000 * 1000) {
        uint64_t before = ring.reader.next;
        uint32_t length = 0;
        enum tacit_verdict verdict = tacit_ring_read(&ring.reader, out, &length);
        assert_int_not_equal(verdict, TACIT_VERDICT_MALFORMED);
        assert_true(ring.reader.next >= before);
        if (verdict != TACIT_VERDICT_OK) {
            sched_yield();
            continue;
        }
        uint32_t max = ring.shape.slot_bytes - TACIT_RING_HEADER;
        assert_int_equal(length, payload(expected, ring.reader.next - 1, max));
        assert_memory_equal(out + TACIT_RING_HEADER, expected, length);
        got++;
    }
    pthread_join(writer, NULL);
    assert_int_equal(ring.reader.next, RACE_MESSAGES + 1);
    assert_int_equal(got + ring.reader.lost, RACE_MESSAGES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shape__holds_payload_and_is_a_multiple_of_lines),
        cmocka_unit_test(read__follows_the_model_in_every_interleaving),
        cmocka_unit_test(read__resumes_at_oldest_after_every_lap),
        cmocka_unit_test(read__takes_no_mixture_of_old_and_new_words),
        cmocka_unit_test(read__notices_every_flipped_bit),
        cmocka_unit_test(seal__pads_and_fills_a_slot),
        cmocka_unit_test(seal__in_two_steps_is_the_same),
        cmocka_unit_test(read__survives_garbage),
        cmocka_unit_test(read__is_right_while_the_writer_races),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
