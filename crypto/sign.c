// SPDX-License-Identifier: Apache-2.0
//
// Ed25519 key pairs and signatures. Nothing but the statement below is ever signed, so a signature
// made for one purpose, group or configuration is worthless in any other.
#include "bytes.h"
#include "tacit/crypto.h"

#include <sodium.h>
#include <string.h>

_Static_assert(TACIT_PUBLIC_KEY_BYTES == crypto_sign_ed25519_PUBLICKEYBYTES, "key size");
_Static_assert(TACIT_SIGNATURE_BYTES == crypto_sign_ed25519_BYTES, "signature size");
_Static_assert(TACIT_SEED_BYTES == crypto_sign_ed25519_SEEDBYTES, "seed size");
_Static_assert(sizeof(((struct tacit_keypair *)0)->secret) == crypto_sign_ed25519_SECRETKEYBYTES,
               "secret key size");

#define STATEMENT_HEADER_BYTES (8 + 4 + 4 + TACIT_DIGEST_BYTES)

struct statement {
    uint8_t bytes[STATEMENT_HEADER_BYTES + TACIT_SIGN_PAYLOAD_MAX];
    size_t length;
};

static bool statement_make(struct statement *out, tacit_domain_t domain,
                           const struct tacit_scope *scope, const void *payload,
                           size_t payload_bytes)
{
    if (domain == 0 || payload_bytes > TACIT_SIGN_PAYLOAD_MAX) {
        return false;
    }
    memcpy(out->bytes, "tacit-s1", 8);
    store_le32(out->bytes + 8, domain);
    store_le32(out->bytes + 12, (uint32_t)payload_bytes);
    memcpy(out->bytes + 16, scope->bytes, sizeof scope->bytes);
    if (payload_bytes != 0) {
        memcpy(out->bytes + STATEMENT_HEADER_BYTES, payload, payload_bytes);
    }
    out->length = STATEMENT_HEADER_BYTES + payload_bytes;
    return true;
}

void tacit_scope_make(struct tacit_scope *out, const struct tacit_group_id *group,
                      const struct tacit_digest *cluster)
{
    uint8_t data[sizeof group->bytes + sizeof cluster->bytes];
    struct tacit_digest digest;
    memcpy(data, group->bytes, sizeof group->bytes);
    memcpy(data + sizeof group->bytes, cluster->bytes, sizeof cluster->bytes);
    tacit_digest_make(&digest, TACIT_DOMAIN_SCOPE, data, sizeof data);
    memcpy(out->bytes, digest.bytes, sizeof out->bytes);
}

void tacit_keypair_generate(struct tacit_keypair *out)
{
    if (crypto_sign_ed25519_keypair(out->public_key.bytes, out->secret) != 0) {
        sodium_misuse();
    }
}

void tacit_keypair_from_seed(struct tacit_keypair *out, const uint8_t seed[TACIT_SEED_BYTES])
{
    if (crypto_sign_ed25519_seed_keypair(out->public_key.bytes, out->secret, seed) != 0) {
        sodium_misuse();
    }
}

void tacit_keypair_wipe(struct tacit_keypair *keypair)
{
    sodium_memzero(keypair, sizeof *keypair);
}

void tacit_signature_make(struct tacit_signature *out, const struct tacit_keypair *keypair,
                          tacit_domain_t domain, const struct tacit_scope *scope,
                          const void *payload, size_t payload_bytes)
{
    struct statement statement;
    if (!statement_make(&statement, domain, scope, payload, payload_bytes)) {
        sodium_misuse();
    }
    if (crypto_sign_ed25519_detached(out->bytes, NULL, statement.bytes, statement.length,
                                     keypair->secret) != 0) {
        sodium_misuse();
    }
}

bool tacit_signature_is_valid(const struct tacit_signature *signature,
                              const struct tacit_public_key *key, tacit_domain_t domain,
                              const struct tacit_scope *scope, const void *payload,
                              size_t payload_bytes)
{
    struct statement statement;
    if (!statement_make(&statement, domain, scope, payload, payload_bytes)) {
        return false;
    }
    return crypto_sign_ed25519_verify_detached(signature->bytes, statement.bytes, statement.length,
                                               key->bytes) == 0;
}

bool tacit_public_key_is_usable(const struct tacit_public_key *key)
{
    return crypto_core_ed25519_is_valid_point(key->bytes) == 1;
}

bool tacit_public_key_is_equal(const struct tacit_public_key *a, const struct tacit_public_key *b)
{
    return sodium_memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}
