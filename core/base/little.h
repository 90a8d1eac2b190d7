// SPDX-License-Identifier: Apache-2.0
//
// Little-endian numbers at any address: one load or store each. (Byte by byte the compiler makes a
// loop of them, which each message takes a dozen times.)
#ifndef TACIT_BASE_LITTLE_H
#define TACIT_BASE_LITTLE_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are copied as they are");

static inline void tacit_put_u16(uint8_t *out, uint16_t value)
{
    memcpy(out, &value, sizeof value);
}

static inline void tacit_put_u32(uint8_t *out, uint32_t value)
{
    memcpy(out, &value, sizeof value);
}

static inline void tacit_put_u64(uint8_t *out, uint64_t value)
{
    memcpy(out, &value, sizeof value);
}

static inline uint16_t tacit_get_u16(const uint8_t *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static inline uint32_t tacit_get_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static inline uint64_t tacit_get_u64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

#endif
