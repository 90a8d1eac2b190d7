// SPDX-License-Identifier: Apache-2.0
//
// BLAKE2b: digests, MACs and derived keys. BLAKE2b has a 16-byte personalisation field,
// which makes separating domains free: ours holds a constant per use of the function, and the
// domain.
#include "bytes.h"
#include "digest_internal.h"
#include "tacit/crypto.h"

#include <sodium.h>
#include <string.h>

_Static_assert(sizeof(struct tacit_digest_state) >= sizeof(crypto_generichash_blake2b_state),
               "the public state must hold libsodium's");
_Static_assert(_Alignof(struct tacit_digest_state) >= _Alignof(crypto_generichash_blake2b_state),
               "the public state must be aligned as libsodium's");

_Static_assert(TACIT_DIGEST_PERSONAL_BYTES == crypto_generichash_blake2b_PERSONALBYTES,
               "field size");

#define PERSONAL_BYTES TACIT_DIGEST_PERSONAL_BYTES

static crypto_generichash_blake2b_state *blake_state(struct tacit_digest_state *state)
{
    return (crypto_generichash_blake2b_state *)(void *)state->opaque;
}

void tacit_digest_personal(uint8_t out[PERSONAL_BYTES], const char *use, tacit_domain_t domain)
{
    if (domain == 0) {
        sodium_misuse();
    }
    memset(out, 0, PERSONAL_BYTES);
    memcpy(out, use, 8);
    store_le32(out + 8, domain);
}

void tacit_digest_init(struct tacit_digest_state *state, tacit_domain_t domain)
{
    uint8_t personal[PERSONAL_BYTES];
    tacit_digest_personal(personal, "tacit-h1", domain);
    // Fails for lengths out of range only, and ours are constants.
    if (crypto_generichash_blake2b_init_salt_personal(blake_state(state), NULL, 0,
                                                      TACIT_DIGEST_BYTES, NULL, personal) != 0) {
        sodium_misuse();
    }
}

void tacit_digest_update(struct tacit_digest_state *state, const void *data, size_t bytes)
{
    if (bytes != 0) {
        crypto_generichash_blake2b_update(blake_state(state), data, bytes);
    }
}

void tacit_digest_final(struct tacit_digest_state *state, struct tacit_digest *out)
{
    if (crypto_generichash_blake2b_final(blake_state(state), out->bytes, sizeof out->bytes) != 0) {
        sodium_misuse(); // final twice without an init between
    }
    sodium_memzero(state, sizeof *state);
}

void tacit_digest_make(struct tacit_digest *out, tacit_domain_t domain, const void *data,
                       size_t bytes)
{
    struct tacit_digest_state state;
    tacit_digest_init(&state, domain);
    tacit_digest_update(&state, data, bytes);
    tacit_digest_final(&state, out);
}

bool tacit_digest_is_equal(const struct tacit_digest *a, const struct tacit_digest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static void blake_keyed(uint8_t *out, size_t out_bytes, const struct tacit_mac_key *key,
                        const char *use, tacit_domain_t domain, const void *data, size_t bytes)
{
    uint8_t personal[PERSONAL_BYTES];
    tacit_digest_personal(personal, use, domain);
    if (crypto_generichash_blake2b_salt_personal(out, out_bytes, data, bytes, key->bytes,
                                                 sizeof key->bytes, NULL, personal) != 0) {
        sodium_misuse();
    }
}

void tacit_blake_mac128_make(struct tacit_mac128 *out, const struct tacit_mac_key *key,
                             tacit_domain_t domain, const void *data, size_t bytes)
{
    blake_keyed(out->bytes, sizeof out->bytes, key, "tacit-m1", domain, data, bytes);
}

void tacit_blake_mac256_make(struct tacit_mac256 *out, const struct tacit_mac_key *key,
                             tacit_domain_t domain, const void *data, size_t bytes)
{
    blake_keyed(out->bytes, sizeof out->bytes, key, "tacit-m1", domain, data, bytes);
}

// The predicates wipe what they computed: it is the tag that a forger is after.
bool tacit_blake_mac128_is_valid(const struct tacit_mac128 *mac, const struct tacit_mac_key *key,
                                 tacit_domain_t domain, const void *data, size_t bytes)
{
    struct tacit_mac128 expected;
    tacit_blake_mac128_make(&expected, key, domain, data, bytes);
    bool equal = sodium_memcmp(expected.bytes, mac->bytes, sizeof expected.bytes) == 0;
    sodium_memzero(&expected, sizeof expected);
    return equal;
}

bool tacit_blake_mac256_is_valid(const struct tacit_mac256 *mac, const struct tacit_mac_key *key,
                                 tacit_domain_t domain, const void *data, size_t bytes)
{
    struct tacit_mac256 expected;
    tacit_blake_mac256_make(&expected, key, domain, data, bytes);
    bool equal = sodium_memcmp(expected.bytes, mac->bytes, sizeof expected.bytes) == 0;
    sodium_memzero(&expected, sizeof expected);
    return equal;
}

void tacit_mac_key_derive(struct tacit_mac_key *out, const struct tacit_mac_key *parent,
                          tacit_domain_t domain, uint64_t context)
{
    uint8_t data[8];
    store_le64(data, context);
    blake_keyed(out->bytes, sizeof out->bytes, parent, "tacit-k1", domain, data, sizeof data);
}
