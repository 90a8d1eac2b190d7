// SPDX-License-Identifier: Apache-2.0
//
// Four digests at a time: BLAKE2b (RFC 7693) with one input in each 64-bit lane of AVX2 registers.
// A tree of digests is made of thousands of short inputs of one length that do not depend on each
// other; one after the other each of them waits for its own chain of additions and rotations. On a
// processor without AVX2 they are made one by one, with the same result.
#include "bytes.h"
#include "digest_internal.h"
#include "tacit/crypto.h"

#include <string.h>

#define LANES TACIT_DIGEST_LANES

static void make_one_by_one(struct tacit_digest *const out[LANES], tacit_domain_t domain,
                            const void *const data[LANES], size_t bytes)
{
    for (unsigned lane = 0; lane < LANES; lane++) {
        tacit_digest_make(out[lane], domain, data[lane], bytes);
    }
}

#if defined(__x86_64__)

#include <immintrin.h>

#define BLOCK_BYTES 128u
#define WITH_AVX2 __attribute__((target("avx2")))
#define INLINE_AVX2 static inline __attribute__((target("avx2"), always_inline))

static const uint64_t initial[8] = {
    UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b), UINT64_C(0x3c6ef372fe94f82b),
    UINT64_C(0xa54ff53a5f1d36f1), UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f),
    UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179),
};

// Which word of the block each step of a round takes.
static const uint8_t order[12][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
};

INLINE_AVX2 __m256i load(const void *from)
{
    __m256i lanes;
    memcpy(&lanes, from, sizeof lanes); // no alignment is asked for
    return lanes;
}

INLINE_AVX2 __m256i rotate_24(__m256i x)
{
    const __m256i bytes = _mm256_setr_epi8(3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10, 3,
                                           4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10);
    return _mm256_shuffle_epi8(x, bytes);
}

INLINE_AVX2 __m256i rotate_16(__m256i x)
{
    const __m256i bytes = _mm256_setr_epi8(2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9, 2,
                                           3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9);
    return _mm256_shuffle_epi8(x, bytes);
}

// The mixing function G on words a, b, c, d of the state.
INLINE_AVX2 void mix(__m256i v[16], unsigned a, unsigned b, unsigned c, unsigned d, __m256i x,
                     __m256i y)
{
    v[a] = _mm256_add_epi64(_mm256_add_epi64(v[a], v[b]), x);
    v[d] = _mm256_shuffle_epi32(_mm256_xor_si256(v[d], v[a]), 0xb1);
    v[c] = _mm256_add_epi64(v[c], v[d]);
    v[b] = rotate_24(_mm256_xor_si256(v[b], v[c]));
    v[a] = _mm256_add_epi64(_mm256_add_epi64(v[a], v[b]), y);
    v[d] = rotate_16(_mm256_xor_si256(v[d], v[a]));
    v[c] = _mm256_add_epi64(v[c], v[d]);
    v[b] = _mm256_xor_si256(v[b], v[c]);
    v[b] = _mm256_or_si256(_mm256_srli_epi64(v[b], 63), _mm256_add_epi64(v[b], v[b]));
}

INLINE_AVX2 void one_round(__m256i v[16], const __m256i m[16], unsigned number)
{
    const uint8_t *word = order[number];
    mix(v, 0, 4, 8, 12, m[word[0]], m[word[1]]);
    mix(v, 1, 5, 9, 13, m[word[2]], m[word[3]]);
    mix(v, 2, 6, 10, 14, m[word[4]], m[word[5]]);
    mix(v, 3, 7, 11, 15, m[word[6]], m[word[7]]);
    mix(v, 0, 5, 10, 15, m[word[8]], m[word[9]]);
    mix(v, 1, 6, 11, 12, m[word[10]], m[word[11]]);
    mix(v, 2, 7, 8, 13, m[word[12]], m[word[13]]);
    mix(v, 3, 4, 9, 14, m[word[14]], m[word[15]]);
}

// Turns four rows of a lane each into four registers with one word of every lane each.
INLINE_AVX2 void transpose(__m256i out[4], const uint8_t *const rows[LANES], size_t at)
{
    __m256i a = load(rows[0] + at);
    __m256i b = load(rows[1] + at);
    __m256i c = load(rows[2] + at);
    __m256i d = load(rows[3] + at);
    __m256i ab_low = _mm256_unpacklo_epi64(a, b);
    __m256i ab_high = _mm256_unpackhi_epi64(a, b);
    __m256i cd_low = _mm256_unpacklo_epi64(c, d);
    __m256i cd_high = _mm256_unpackhi_epi64(c, d);
    out[0] = _mm256_permute2x128_si256(ab_low, cd_low, 0x20);
    out[1] = _mm256_permute2x128_si256(ab_high, cd_high, 0x20);
    out[2] = _mm256_permute2x128_si256(ab_low, cd_low, 0x31);
    out[3] = _mm256_permute2x128_si256(ab_high, cd_high, 0x31);
}

// `done`: bytes of each input up to and with this block.
WITH_AVX2 static void compress(__m256i h[8], const uint8_t *const blocks[LANES], uint64_t done,
                               bool is_last)
{
    __m256i m[16];
    __m256i v[16];
    for (unsigned i = 0; i < 4; i++) {
        transpose(&m[(size_t)4 * i], blocks, (size_t)32 * i);
    }
    for (unsigned i = 0; i < 8; i++) {
        v[i] = h[i];
        v[i + 8] = _mm256_set1_epi64x((long long)initial[i]);
    }
    v[12] = _mm256_xor_si256(v[12], _mm256_set1_epi64x((long long)done));
    v[14] = _mm256_xor_si256(v[14], _mm256_set1_epi64x(is_last ? -1 : 0));
    one_round(v, m, 0);
    one_round(v, m, 1);
    one_round(v, m, 2);
    one_round(v, m, 3);
    one_round(v, m, 4);
    one_round(v, m, 5);
    one_round(v, m, 6);
    one_round(v, m, 7);
    one_round(v, m, 8);
    one_round(v, m, 9);
    one_round(v, m, 10);
    one_round(v, m, 11);
    for (unsigned i = 0; i < 8; i++) {
        h[i] = _mm256_xor_si256(h[i], _mm256_xor_si256(v[i], v[i + 8]));
    }
}

// The state before the first block: length of the digest, no key, and who it is for.
WITH_AVX2 static void begin(__m256i h[8], tacit_domain_t domain)
{
    uint8_t parameters[64] = {TACIT_DIGEST_BYTES, 0, 1, 1}; // no key, no tree of its own
    uint64_t words[8];
    tacit_digest_personal(parameters + 48, "tacit-h1", domain);
    memcpy(words, parameters, sizeof words); // x86: little-endian, as the standard wants it
    for (unsigned i = 0; i < 8; i++) {
        h[i] = _mm256_set1_epi64x((long long)(initial[i] ^ words[i]));
    }
}

WITH_AVX2 static void make_abreast(struct tacit_digest *const out[LANES], tacit_domain_t domain,
                                   const void *const data[LANES], size_t bytes)
{
    uint8_t last[LANES][BLOCK_BYTES] = {{0}};
    uint64_t words[4][LANES];
    const uint8_t *rows[LANES];
    __m256i h[8];
    begin(h, domain);
    size_t at = 0;
    for (; bytes - at > BLOCK_BYTES; at += BLOCK_BYTES) {
        for (unsigned lane = 0; lane < LANES; lane++) {
            rows[lane] = (const uint8_t *)data[lane] + at;
        }
        compress(h, rows, at + BLOCK_BYTES, false);
    }
    for (unsigned lane = 0; lane < LANES; lane++) {
        rows[lane] = bytes - at == BLOCK_BYTES ? (const uint8_t *)data[lane] + at : last[lane];
        if (rows[lane] == last[lane] && bytes > at) {
            memcpy(last[lane], (const uint8_t *)data[lane] + at, bytes - at);
        }
    }
    compress(h, rows, bytes, true);
    memcpy(words, h, sizeof words);
    for (unsigned lane = 0; lane < LANES; lane++) {
        uint64_t of_lane[TACIT_DIGEST_BYTES / 8];
        for (unsigned i = 0; i < TACIT_DIGEST_BYTES / 8; i++) {
            of_lane[i] = words[i][lane];
        }
        memcpy(out[lane]->bytes, of_lane, sizeof of_lane);
    }
}

void tacit_digest_make_four(struct tacit_digest *const out[LANES], tacit_domain_t domain,
                            const void *const data[LANES], size_t bytes)
{
    if (__builtin_cpu_supports("avx2")) {
        make_abreast(out, domain, data, bytes);
    } else {
        make_one_by_one(out, domain, data, bytes);
    }
}

#else

void tacit_digest_make_four(struct tacit_digest *const out[LANES], tacit_domain_t domain,
                            const void *const data[LANES], size_t bytes)
{
    make_one_by_one(out, domain, data, bytes);
}

#endif
