// SPDX-License-Identifier: Apache-2.0
//
// Little-endian numbers in byte arrays. Private to this folder: everything that is hashed, signed
// or sent here is laid out by these few functions, never by overlaying a struct.
#ifndef TACIT_CRYPTO_BYTES_H
#define TACIT_CRYPTO_BYTES_H

#include <stdint.h>

static inline void store_le16(uint8_t *out, uint16_t value)
{
    out[0] = (uint8_t)(value & 0xffu);
    out[1] = (uint8_t)(value >> 8);
}

static inline void store_le32(uint8_t *out, uint32_t value)
{
    store_le16(out, (uint16_t)(value & 0xffffu));
    store_le16(out + 2, (uint16_t)(value >> 16));
}

static inline void store_le64(uint8_t *out, uint64_t value)
{
    store_le32(out, (uint32_t)(value & 0xffffffffu));
    store_le32(out + 4, (uint32_t)(value >> 32));
}

static inline uint16_t load_le16(const uint8_t *in)
{
    return (uint16_t)(in[0] | ((unsigned)in[1] << 8));
}

static inline uint32_t load_le32(const uint8_t *in)
{
    return (uint32_t)load_le16(in) | ((uint32_t)load_le16(in + 2) << 16);
}

#endif
