// SPDX-License-Identifier: Apache-2.0
//
// Digests, MACs, signatures, keys and secret memory: the only door to cryptography in this project.
// A thin layer over libsodium that makes the safe use the only possible one: what is hashed,
// derived or signed always names its purpose (a domain), what is signed also names the group it is
// valid in.
//
// Grammar of every call: outputs first, then inputs; a length follows its pointer. All lengths are
// in bytes. Nothing is kept: no call stores a pointer that it was given. Every call may be made
// from any thread at the same time, on distinct outputs, once tacit_crypto_init has returned
// TACIT_OK.
//
// Misuse by our own code (domain 0, a payload beyond the stated maximum) ends in sodium_misuse(),
// which aborts in every build; a hostile peer cannot cause it, since predicates answer false
// instead.
#ifndef TACIT_CRYPTO_H
#define TACIT_CRYPTO_H

#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TACIT_CRYPTO_CHECKED __attribute__((warn_unused_result))

#define TACIT_DIGEST_BYTES 32
#define TACIT_PUBLIC_KEY_BYTES 32
#define TACIT_SIGNATURE_BYTES 64
#define TACIT_SEED_BYTES 32
// The largest payload that can be signed; what is larger is digested first and the digest is
// signed.
#define TACIT_SIGN_PAYLOAD_MAX 256

// Purpose of a digest, MAC, derived key or signature; never 0. Each folder numbers its own purposes
// in an enum inside its range, so no two purposes of the project share a number:
//   0x0100.. crypto, 0x0200.. core (shared), 0x0300.. crash engine, 0x0400.. Byzantine engine,
//   0x0500.. memnodes, 0x0600.. fd, 0x0700.. apps, 0x0f00.. tests, 0x10000 and above: applications.
typedef uint32_t tacit_domain_t;

enum tacit_crypto_domain {
    TACIT_DOMAIN_SCOPE = 0x0101,
    TACIT_DOMAIN_HANDSHAKE_TRANSCRIPT,
    TACIT_DOMAIN_HANDSHAKE_SECRET,
    TACIT_DOMAIN_HANDSHAKE_SEAL_CONNECT,
    TACIT_DOMAIN_HANDSHAKE_SEAL_ACCEPT,
    TACIT_DOMAIN_HANDSHAKE_SIGN_CONNECT,
    TACIT_DOMAIN_HANDSHAKE_SIGN_ACCEPT,
    TACIT_DOMAIN_SESSION_FROM_CONNECTOR,
    TACIT_DOMAIN_SESSION_FROM_ACCEPTOR,
    TACIT_DOMAIN_TEST = 0x0f00, // first number that tests may use
};

struct tacit_digest {
    uint8_t bytes[TACIT_DIGEST_BYTES];
};

// Random name of a group of replicas, made once when the group is founded. No secret.
struct tacit_group_id {
    uint8_t bytes[32];
};

// What a signature is valid in: one group with one cluster configuration.
struct tacit_scope {
    uint8_t bytes[TACIT_DIGEST_BYTES];
};

struct tacit_public_key {
    uint8_t bytes[TACIT_PUBLIC_KEY_BYTES];
};

struct tacit_signature {
    uint8_t bytes[TACIT_SIGNATURE_BYTES];
};

// Ed25519 key pair. Holds a secret: keep it in memory of tacit_secret_alloc, never copy it, and end
// it with tacit_keypair_wipe.
struct tacit_keypair {
    struct tacit_public_key public_key;
    uint8_t secret[64]; // seed, then public key (libsodium's form)
};

// Symmetric key; a secret like a key pair.
struct tacit_mac_key {
    uint8_t bytes[32];
};

struct tacit_mac128 {
    uint8_t bytes[16];
};
struct tacit_mac256 {
    uint8_t bytes[32];
};

// A digest in the making; plain memory of the caller, may be copied to fork a computation.
struct tacit_digest_state {
    uint8_t opaque[384];
} __attribute__((aligned(64)));

// Readies libsodium. Call once before anything else here; again is harmless. Tests that own all
// randomness call randombytes_set_implementation before it.
// Errors: TACIT_EIO when the system has no random source.
TACIT_CRYPTO_CHECKED enum tacit_status tacit_crypto_init(struct tacit_error *error);

// --- Memory for secrets -------------------------------------------------------------------------

// Allocates `bytes` (1 .. 1 MiB) of zeroed, page-locked memory, aligned to 64, that is kept out of
// core dumps and lies between inaccessible pages. Costs about four pages: allocate at start, and in
// slabs. The caller owns it and gives it back with tacit_secret_free. NULL, with `error` filled in,
// when there is no memory or the limit on locked memory is too low: TACIT_ENOMEM; bytes out of
// range: TACIT_EINVAL.
TACIT_CRYPTO_CHECKED void *tacit_secret_alloc(size_t bytes, struct tacit_error *error);

// Wipes, unlocks and frees memory of tacit_secret_alloc. NULL is allowed.
void tacit_secret_free(void *memory);

// Overwrites `bytes` of `memory` with zeros in a way that the compiler keeps. Any memory.
void tacit_secret_wipe(void *memory, size_t bytes);

// Fills `out` with unpredictable bytes, through libsodium's replaceable random source. Never fails.
void tacit_random_bytes(void *out, size_t bytes);

// --- Digests: BLAKE2b-256, RFC 7693, the domain in the personalisation field --------------------

// Digest of `bytes` of `data` for the purpose `domain`. `data` may be NULL when `bytes` is 0.
void tacit_digest_make(struct tacit_digest *out, tacit_domain_t domain, const void *data,
                       size_t bytes);

// Four such digests of inputs of one length, in little more time than one where the processor has
// AVX2. No output may overlap an input; an output that is wanted by nobody may be given twice.
#define TACIT_DIGEST_LANES 4u
void tacit_digest_make_four(struct tacit_digest *const out[TACIT_DIGEST_LANES],
                            tacit_domain_t domain, const void *const data[TACIT_DIGEST_LANES],
                            size_t bytes);

// One digest in pieces: one init, any number of updates, one final. The result depends on the
// concatenation alone, so pieces of variable length need their lengths among the data. After final
// the state is wiped and only init is allowed.
void tacit_digest_init(struct tacit_digest_state *state, tacit_domain_t domain);
void tacit_digest_update(struct tacit_digest_state *state, const void *data, size_t bytes);
void tacit_digest_final(struct tacit_digest_state *state, struct tacit_digest *out);

// Equality; not in constant time: digests are no secrets (MACs are compared by _is_valid).
TACIT_CRYPTO_CHECKED bool tacit_digest_is_equal(const struct tacit_digest *a,
                                                const struct tacit_digest *b);

// --- MACs ---------------------------------------------------------------------------------------
// The _is_valid predicates compute and compare in constant time for a given length.

// Keyed BLAKE2b with 128 or 256 bits of tag; the domain is in the personalisation field.
void tacit_blake_mac128_make(struct tacit_mac128 *out, const struct tacit_mac_key *key,
                             tacit_domain_t domain, const void *data, size_t bytes);
void tacit_blake_mac256_make(struct tacit_mac256 *out, const struct tacit_mac_key *key,
                             tacit_domain_t domain, const void *data, size_t bytes);
TACIT_CRYPTO_CHECKED bool tacit_blake_mac128_is_valid(const struct tacit_mac128 *mac,
                                                      const struct tacit_mac_key *key,
                                                      tacit_domain_t domain, const void *data,
                                                      size_t bytes);
TACIT_CRYPTO_CHECKED bool tacit_blake_mac256_is_valid(const struct tacit_mac256 *mac,
                                                      const struct tacit_mac_key *key,
                                                      tacit_domain_t domain, const void *data,
                                                      size_t bytes);

// Derives the key for one purpose and one `context` (an epoch, a ring index, ...; 0 if there is one
// only) from `parent`. Distinct (domain, context) give independent keys. `out` is a secret.
void tacit_mac_key_derive(struct tacit_mac_key *out, const struct tacit_mac_key *parent,
                          tacit_domain_t domain, uint64_t context);

// --- Signatures: Ed25519, RFC 8032 (PureEdDSA, deterministic) -----------------------------------
// What is signed is {"tacit-s1", domain u32, payload_bytes u32, scope 32 bytes, payload},
// little-endian.

// The scope that stands for both the group and the digest of its cluster configuration.
void tacit_scope_make(struct tacit_scope *out, const struct tacit_group_id *group,
                      const struct tacit_digest *cluster);

// A fresh key pair from the random source.
void tacit_keypair_generate(struct tacit_keypair *out);

// The key pair that belongs to a secret seed (RFC 8032, 5.1.5). `seed` stays the caller's to wipe
// and must not lie inside `out`.
void tacit_keypair_from_seed(struct tacit_keypair *out, const uint8_t seed[TACIT_SEED_BYTES]);

// Overwrites the whole pair with zeros.
void tacit_keypair_wipe(struct tacit_keypair *keypair);

// Signs `payload_bytes` (0 .. TACIT_SIGN_PAYLOAD_MAX) of `payload`. Takes some 30 to 100 us. The
// layout of the payload of one domain is fixed: fields of fixed width, in a fixed order.
void tacit_signature_make(struct tacit_signature *out, const struct tacit_keypair *keypair,
                          tacit_domain_t domain, const struct tacit_scope *scope,
                          const void *payload, size_t payload_bytes);

// True when `signature` was made with the secret of `key` for exactly this domain, scope and
// payload. Refuses non-canonical encodings and keys of small order. Some 60 to 160 us; not constant
// time, as everything that it reads is public. Any bytes are allowed; too long a payload is just
// not valid.
TACIT_CRYPTO_CHECKED bool tacit_signature_is_valid(const struct tacit_signature *signature,
                                                   const struct tacit_public_key *key,
                                                   tacit_domain_t domain,
                                                   const struct tacit_scope *scope,
                                                   const void *payload, size_t payload_bytes);

// True when the bytes are a usable Ed25519 public key: canonical, on the curve, in the prime-order
// group. Check it where a key enters the system (a file, a decided membership change).
TACIT_CRYPTO_CHECKED bool tacit_public_key_is_usable(const struct tacit_public_key *key);
TACIT_CRYPTO_CHECKED bool tacit_public_key_is_equal(const struct tacit_public_key *a,
                                                    const struct tacit_public_key *b);

// --- Hexadecimal text ---------------------------------------------------------------------------

// Writes 2 * bytes lower-case digits and a NUL to `out`, which holds `out_bytes` >= 2 * bytes + 1
// (less is misuse). Time depends on the length only, so it may be used on secrets.
void tacit_hex_encode(char *out, size_t out_bytes, const void *data, size_t bytes);

// Reads exactly 2 * bytes lower-case digits: no sign, space, prefix or capital, so that a value has
// one text. `text` needs no NUL. False, and `out` wiped, on anything else. Time depends on the
// lengths and on whether the text is well-formed.
TACIT_CRYPTO_CHECKED bool tacit_hex_decode(void *out, size_t bytes, const char *text,
                                           size_t text_bytes);

#ifdef __cplusplus
}
#endif

#endif
