// SPDX-License-Identifier: Apache-2.0
//
// Back ends of the choice source.
#include "choice.h"

#include <assert.h>
#include <string.h>

static void start(struct choice *choice, enum choice_kind kind)
{
    memset(choice, 0, sizeof *choice);
    choice->kind = kind;
}

void choice_init_seed(struct choice *choice, uint64_t seed)
{
    start(choice, CHOICE_SEED);
    // Neighbouring seeds must not give neighbouring states: the generator only adds a constant.
    uint64_t state = seed ^ 0x6a09e667f3bcc909ull;
    for (int round = 0; round < 2; round++) {
        state = (state ^ state >> 32) * 0xd6e8feb86659fd93ull;
    }
    choice->state = state ^ state >> 32;
}

void choice_init_bytes(struct choice *choice, const uint8_t *bytes, size_t count)
{
    start(choice, CHOICE_BYTES);
    choice->bytes = bytes;
    choice->bytes_count = count;
}

void choice_init_odometer(struct choice *choice)
{
    start(choice, CHOICE_ODOMETER);
}

bool choice_odometer_next(struct choice *choice)
{
    assert(choice->kind == CHOICE_ODOMETER);
    // Digits beyond the last one read belong to a longer combination that was left behind.
    choice->depth = choice->position;
    choice->position = 0;
    while (choice->depth > 0) {
        uint32_t last = choice->depth - 1;
        if (choice->digit[last] + 1 < choice->base[last]) {
            choice->digit[last]++;
            return true;
        }
        choice->depth--;
    }
    return false;
}

void choice_record(struct choice *choice, uint8_t *buffer, size_t max)
{
    choice->record = buffer;
    choice->record_max = max;
    choice->record_count = 0;
    choice->record_full = false;
}

static uint32_t draw_width(uint32_t bound)
{
    return bound <= 0x100u ? 1 : bound <= 0x10000u ? 2 : 4;
}

static uint32_t draw_odometer(struct choice *choice, uint32_t bound)
{
    if (choice->position == CHOICE_ODOMETER_DEPTH) {
        choice->overflow = true;
        return 0;
    }
    uint32_t at = choice->position++;
    if (at == choice->depth) {
        choice->depth++;
        choice->digit[at] = 0;
        choice->base[at] = bound;
    }
    // A generator whose bounds depend on anything but earlier draws cannot be enumerated.
    assert(choice->base[at] == bound);
    return choice->digit[at];
}

static uint32_t draw_bytes(struct choice *choice, uint32_t bound)
{
    uint32_t value = 0;
    uint32_t width = draw_width(bound);
    for (uint32_t i = 0; i < width && choice->bytes_used < choice->bytes_count; i++) {
        value |= (uint32_t)choice->bytes[choice->bytes_used++] << 8 * i;
    }
    return value % bound;
}

static void record(struct choice *choice, uint32_t bound, uint32_t value)
{
    uint32_t width = draw_width(bound);
    if (choice->record_count + width > choice->record_max) {
        choice->record_full = true;
        return;
    }
    for (uint32_t i = 0; i < width; i++) {
        choice->record[choice->record_count++] = (uint8_t)(value >> 8 * i);
    }
}

uint32_t choice_draw(struct choice *choice, uint32_t bound)
{
    if (bound <= 1) {
        return 0;
    }
    uint32_t value = 0;
    if (choice->kind == CHOICE_SEED) {
        size_t max = choice->record_max;
        choice->record_max = 0;
        value = choice_u32(choice, bound);
        choice->record_max = max;
    } else {
        choice->draws++;
        value =
            choice->kind == CHOICE_BYTES ? draw_bytes(choice, bound) : draw_odometer(choice, bound);
    }
    if (choice->record_max != 0) {
        record(choice, bound, value);
    }
    return value;
}

uint64_t choice_spread_ns(struct choice *choice, uint64_t max_ns)
{
    if (max_ns == 0) {
        return 0;
    }
    uint32_t bits = 64u - (uint32_t)__builtin_clzll(max_ns);
    uint32_t magnitude = choice_u32(choice, bits + 1);
    if (magnitude == 0) {
        return 0;
    }
    uint64_t top = magnitude >= 64 ? UINT64_MAX : (1ull << magnitude) - 1;
    uint64_t span = top < max_ns ? top : max_ns;
    // 32 bits of a draw are enough resolution for any span.
    uint64_t fraction = choice_u32(choice, UINT32_MAX);
    return span <= UINT32_MAX ? span * (fraction + 1) >> 32 : (span >> 32) * (fraction + 1);
}

void choice_bytes(struct choice *choice, void *out, size_t count)
{
    uint8_t *bytes = out;
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (uint8_t)choice_u32(choice, 256);
    }
}
