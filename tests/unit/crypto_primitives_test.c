// SPDX-License-Identifier: Apache-2.0
//
// The primitives against values that libsodium did not compute: published vectors, and those that
// crypto/vectors.py prints. Then what the layer adds: domains and scopes that separate, strict
// text, secrets that are locked and wiped, misuse that ends the process.
//
// TACIT_ROUNDS: debug release
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tacit/crypto.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { DOMAIN = TACIT_DOMAIN_TEST, OTHER_DOMAIN = TACIT_DOMAIN_TEST + 1, MISUSE_EXIT = 42 };

static struct tacit_mac_key key; // bytes 0..31
static uint8_t counted[256];     // bytes 0..255
static struct tacit_keypair pair;
static struct tacit_scope scope;

// Counts what is wiped, by length: the tested library is linked to this one, not to libsodium's.
// libsodium itself comes here too, with its blocks of 64 bytes and more.
static unsigned wipes_of[512];
void sodium_memzero(void *const memory, const size_t bytes)
{
    volatile uint8_t *target = memory;
    for (size_t i = 0; i < bytes; i++) {
        target[i] = 0;
    }
    if (bytes < sizeof wipes_of / sizeof wipes_of[0]) {
        wipes_of[bytes]++;
    }
}

static bool is_zero(const void *data, size_t bytes)
{
    return sodium_is_zero(data, bytes) == 1;
}

static void assert_hex(const void *data, size_t bytes, const char *expected)
{
    char text[2 * 256 + 1];
    assert_true(bytes <= 256);
    tacit_hex_encode(text, sizeof text, data, bytes);
    assert_string_equal(text, expected);
}

static void unhex(void *out, size_t bytes, const char *text)
{
    assert_true(tacit_hex_decode(out, bytes, text, strlen(text)));
}

static int setup(void **state)
{
    (void)state;
    struct tacit_error error = {0};
    uint8_t seed[TACIT_SEED_BYTES];
    struct tacit_group_id group;
    struct tacit_digest cluster;
    if (tacit_crypto_init(&error) != TACIT_OK || tacit_crypto_init(NULL) != TACIT_OK) {
        return -1;
    }
    for (size_t i = 0; i < sizeof counted; i++) {
        counted[i] = (uint8_t)i;
    }
    memcpy(key.bytes, counted, sizeof key.bytes);
    memcpy(seed, counted + 64, sizeof seed);
    memcpy(group.bytes, counted + 1, sizeof group.bytes);
    memcpy(cluster.bytes, counted + 2, sizeof cluster.bytes);
    tacit_keypair_from_seed(&pair, seed);
    tacit_scope_make(&scope, &group, &cluster);
    return 0;
}

// RFC 7693, appendix A, and RFC 8032, section 7.1: the linked library computes what it should. Our
// own calls add domains, so the bare functions are asked here; the key pairs come from our calls.
static void published_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *seed;
        const char *public_key;
        const char *message;
        const char *signature;
    } rfc8032[] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701"
         "cf9b46b"
         "d25bf5f0595bbe24655141438e7a100b"},
        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d"
         "0f11d8c"
         "387b2eaeb4302aeeb00d291612bb0c00"},
        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f7609"
         "84dc659"
         "4a7c15e9716ed28dc027beceea1ec40a"},
    };
    uint8_t out[64];
    crypto_generichash_blake2b(out, sizeof out, (const uint8_t *)"abc", 3, NULL, 0);
    assert_hex(out, sizeof out,
               "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
               "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
    for (size_t i = 0; i < sizeof rfc8032 / sizeof rfc8032[0]; i++) {
        struct tacit_keypair made;
        uint8_t seed[TACIT_SEED_BYTES];
        uint8_t message[2];
        size_t message_bytes = strlen(rfc8032[i].message) / 2;
        unhex(seed, sizeof seed, rfc8032[i].seed);
        unhex(message, message_bytes, rfc8032[i].message);
        tacit_keypair_from_seed(&made, seed);
        assert_hex(made.public_key.bytes, sizeof made.public_key.bytes, rfc8032[i].public_key);
        assert_int_equal(
            crypto_sign_ed25519_detached(out, NULL, message, message_bytes, made.secret), 0);
        assert_hex(out, sizeof out, rfc8032[i].signature);
        assert_int_equal(
            crypto_sign_ed25519_verify_detached(out, message, message_bytes, made.public_key.bytes),
            0);
    }
}

// Our layouts against a second implementation, which prints these values.
static void layouts_match_second_implementation(void **state)
{
    (void)state;
    struct tacit_digest digest;
    struct tacit_mac128 mac128;
    struct tacit_mac256 mac256;
    struct tacit_mac_key derived;
    struct tacit_signature signature;
    tacit_digest_make(&digest, DOMAIN, NULL, 0);
    assert_hex(digest.bytes, 32,
               "b03125da8040a80140306e2ca850a301bc71b1945a5b176c65102476ce116267");
    tacit_digest_make(&digest, DOMAIN, counted, 100);
    assert_hex(digest.bytes, 32,
               "475c5787e1609fc173f7af66532121034632b32196a195bb92801c962c6029f2");
    tacit_digest_make(&digest, OTHER_DOMAIN, counted, 100);
    assert_hex(digest.bytes, 32,
               "b5f35252ebdcf612aab5ea7cb3e67039086e41ea47719559d3317d0ddc595ef6");
    tacit_blake_mac128_make(&mac128, &key, DOMAIN, counted, 100);
    assert_hex(mac128.bytes, 16, "47f837dc1e22bf9d36ad0ef919bdffb5");
    tacit_blake_mac256_make(&mac256, &key, DOMAIN, counted, 100);
    assert_hex(mac256.bytes, 32,
               "2eb559dc10050fcd07079db2deac25edc96b832c6ec9b54c2e78d5db90257e4b");
    tacit_mac_key_derive(&derived, &key, DOMAIN, 7);
    assert_hex(derived.bytes, 32,
               "f5cce77416fae40d3bbb3a459ed5064c02aca64361a60414420f0e96fe6f89bc");
    assert_hex(scope.bytes, 32, "70b343092abd61d8f56d3d66492c474e19ff1d6ee5345a28e237fa666bb4195b");
    assert_hex(pair.public_key.bytes, 32,
               "2543b92ff1095511476adc8369db6ddc933665a11978dda1404ee1066ca9559d");
    tacit_signature_make(&signature, &pair, DOMAIN, &scope, counted, 100);
    assert_hex(signature.bytes, 64,
               "f74f295f9bded6e5ee3ba999326bbbfe2443f219ed2da0dc6ac13ba1405d9bfe"
               "3bd537249673f05850b78880f1867e2bc9817e23779c13c04b9195c889df2f0e");
    tacit_signature_make(&signature, &pair, DOMAIN, &scope, NULL, 0);
    assert_hex(signature.bytes, 64,
               "a001ab2064982d11e679c637fa580a54bc583b72d782f9846c131ecb6e77da13"
               "eef52ec8d07cd5ef8ff9226efcca286bda8d7eb34dfe759b011015bcd565d70b");
}

// Four at a time: each is that of its own input, whatever the length (around the borders of
// BLAKE2b's blocks too) and the alignment.
static void digests_four_at_a_time(void **state)
{
    (void)state;
    enum { BYTES_MAX = 520, APART = 531 };
    static uint8_t bytes[TACIT_DIGEST_LANES * APART];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 131 + (i >> 8) * 17);
    }
    for (size_t length = 0; length <= BYTES_MAX; length++) {
        struct tacit_digest made[TACIT_DIGEST_LANES];
        struct tacit_digest *out[TACIT_DIGEST_LANES];
        const void *data[TACIT_DIGEST_LANES];
        for (size_t lane = 0; lane < TACIT_DIGEST_LANES; lane++) {
            out[lane] = &made[lane];
            data[lane] = length == 0 ? NULL : bytes + lane * APART;
        }
        tacit_digest_make_four(out, length % 2 == 0 ? DOMAIN : OTHER_DOMAIN, data, length);
        for (size_t lane = 0; lane < TACIT_DIGEST_LANES; lane++) {
            struct tacit_digest alone;
            tacit_digest_make(&alone, length % 2 == 0 ? DOMAIN : OTHER_DOMAIN, data[lane], length);
            assert_true(tacit_digest_is_equal(&alone, &made[lane]));
        }
    }
}

// However the data is cut, across BLAKE2b's block border too, the digest is that of the whole.
static void digest_in_pieces(void **state)
{
    (void)state;
    struct tacit_digest whole;
    struct tacit_digest pieces;
    struct tacit_digest_state digest;
    struct tacit_digest_state fork_of_it;
    tacit_digest_make(&whole, DOMAIN, counted, sizeof counted);
    for (size_t cut = 0; cut <= sizeof counted; cut++) {
        tacit_digest_init(&digest, DOMAIN);
        tacit_digest_update(&digest, counted, cut);
        tacit_digest_update(&digest, NULL, 0);
        fork_of_it = digest;
        tacit_digest_update(&digest, counted + cut, sizeof counted - cut);
        tacit_digest_final(&digest, &pieces);
        assert_true(tacit_digest_is_equal(&whole, &pieces));
        assert_true(is_zero(&digest, sizeof digest));
        tacit_digest_final(&fork_of_it, &pieces);
        assert_int_equal(tacit_digest_is_equal(&whole, &pieces), cut == sizeof counted);
    }
    whole.bytes[31] ^= 1;
    assert_false(tacit_digest_is_equal(&whole, &pieces));
}

static void macs_refuse_every_flipped_bit(void **state)
{
    (void)state;
    struct tacit_mac128 mac128;
    struct tacit_mac256 mac256;
    uint8_t data[40];
    memcpy(data, counted, sizeof data);
    tacit_blake_mac128_make(&mac128, &key, DOMAIN, data, sizeof data);
    tacit_blake_mac256_make(&mac256, &key, DOMAIN, data, sizeof data);
    struct {
        uint8_t *bytes;
        size_t length;
    } flipped[] = {{data, sizeof data}, {mac128.bytes, 16}, {mac256.bytes, 32}, {key.bytes, 32}};
    for (size_t which = 0; which < sizeof flipped / sizeof flipped[0]; which++) {
        for (size_t bit = 0; bit < 8 * flipped[which].length; bit++) {
            uint8_t *target = &flipped[which].bytes[bit / 8];
            uint8_t mask = (uint8_t)(1u << bit % 8);
            *target ^= mask;
            // In order of the table: data, the two tags, the key.
            assert_int_equal(tacit_blake_mac128_is_valid(&mac128, &key, DOMAIN, data, sizeof data),
                             which == 2);
            assert_int_equal(tacit_blake_mac256_is_valid(&mac256, &key, DOMAIN, data, sizeof data),
                             which == 1);
            *target ^= mask;
        }
    }
    assert_false(tacit_blake_mac128_is_valid(&mac128, &key, OTHER_DOMAIN, data, sizeof data));
    assert_false(tacit_blake_mac256_is_valid(&mac256, &key, OTHER_DOMAIN, data, sizeof data));
    assert_false(tacit_blake_mac128_is_valid(&mac128, &key, DOMAIN, data, sizeof data - 1));
    assert_false(tacit_blake_mac256_is_valid(&mac256, &key, DOMAIN, data, sizeof data - 1));
    // A tag is no prefix of the longer tag of the same data.
    assert_memory_not_equal(mac128.bytes, mac256.bytes, sizeof mac128.bytes);
}

static void derived_keys_differ(void **state)
{
    (void)state;
    struct tacit_mac_key keys[4];
    tacit_mac_key_derive(&keys[0], &key, DOMAIN, 0);
    tacit_mac_key_derive(&keys[1], &key, DOMAIN, 1);
    tacit_mac_key_derive(&keys[2], &key, DOMAIN, (uint64_t)1 << 63);
    tacit_mac_key_derive(&keys[3], &key, OTHER_DOMAIN, 0);
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = i + 1; j < 4; j++) {
            assert_memory_not_equal(&keys[i], &keys[j], sizeof keys[0]);
        }
    }
}

static void signatures_refuse_every_flipped_bit(void **state)
{
    (void)state;
    struct tacit_signature signature;
    struct tacit_public_key public_key = pair.public_key;
    struct tacit_scope signed_scope = scope;
    uint8_t payload[12];
    memcpy(payload, counted, sizeof payload);
    tacit_signature_make(&signature, &pair, DOMAIN, &scope, payload, sizeof payload);
    assert_true(tacit_signature_is_valid(&signature, &public_key, DOMAIN, &signed_scope, payload,
                                         sizeof payload));
    struct {
        uint8_t *bytes;
        size_t length;
    } flipped[] = {{signature.bytes, sizeof signature.bytes},
                   {public_key.bytes, sizeof public_key.bytes},
                   {signed_scope.bytes, sizeof signed_scope.bytes},
                   {payload, sizeof payload}};
    for (size_t which = 0; which < sizeof flipped / sizeof flipped[0]; which++) {
        for (size_t bit = 0; bit < 8 * flipped[which].length; bit++) {
            flipped[which].bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_false(tacit_signature_is_valid(&signature, &public_key, DOMAIN, &signed_scope,
                                                  payload, sizeof payload));
            flipped[which].bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    assert_false(tacit_signature_is_valid(&signature, &public_key, OTHER_DOMAIN, &scope, payload,
                                          sizeof payload));
    assert_false(
        tacit_signature_is_valid(&signature, &public_key, 0, &scope, payload, sizeof payload));
    assert_false(tacit_signature_is_valid(&signature, &public_key, DOMAIN, &scope, payload,
                                          sizeof payload - 1));
}

static void signature_payload_bounds(void **state)
{
    (void)state;
    struct tacit_signature signature;
    uint8_t payload[TACIT_SIGN_PAYLOAD_MAX + 1] = {0};
    tacit_signature_make(&signature, &pair, DOMAIN, &scope, payload, TACIT_SIGN_PAYLOAD_MAX);
    assert_true(tacit_signature_is_valid(&signature, &pair.public_key, DOMAIN, &scope, payload,
                                         TACIT_SIGN_PAYLOAD_MAX));
    assert_false(tacit_signature_is_valid(&signature, &pair.public_key, DOMAIN, &scope, payload,
                                          TACIT_SIGN_PAYLOAD_MAX + 1));
    assert_false(
        tacit_signature_is_valid(&signature, &pair.public_key, DOMAIN, &scope, payload, SIZE_MAX));
}

// S + L is the other root of the same equation: accepting it would let anybody make a second
// signature.
static void signature_is_not_malleable(void **state)
{
    (void)state;
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                      0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                      0,    0,    0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0,    0,    0,    0x10};
    struct tacit_signature signature;
    unsigned carry = 0;
    tacit_signature_make(&signature, &pair, DOMAIN, &scope, counted, 8);
    for (size_t i = 0; i < sizeof order; i++) {
        carry += (unsigned)signature.bytes[32 + i] + order[i];
        signature.bytes[32 + i] = (uint8_t)(carry & 0xffu);
        carry >>= 8;
    }
    assert_int_equal(carry, 0);
    assert_false(
        tacit_signature_is_valid(&signature, &pair.public_key, DOMAIN, &scope, counted, 8));
}

static void public_keys_that_are_no_keys(void **state)
{
    (void)state;
    struct tacit_public_key bad = {{0}};
    struct tacit_signature signature = {{0}};
    assert_true(tacit_public_key_is_usable(&pair.public_key));
    assert_false(tacit_public_key_is_usable(&bad)); // order 4
    bad.bytes[0] = 1;                               // the neutral element
    assert_false(tacit_public_key_is_usable(&bad));
    // With it, R = S * B would hold for every message: here R is the neutral element, S is 0.
    signature.bytes[0] = 1;
    assert_false(tacit_signature_is_valid(&signature, &bad, DOMAIN, &scope, counted, 8));
    memset(bad.bytes, 0xff, sizeof bad.bytes); // not canonical
    assert_false(tacit_public_key_is_usable(&bad));
    memset(bad.bytes, 0, sizeof bad.bytes);
    bad.bytes[0] = 2; // not on the curve
    assert_false(tacit_public_key_is_usable(&bad));
}

static void public_keys_are_compared_and_wiped(void **state)
{
    (void)state;
    struct tacit_keypair other;
    tacit_keypair_generate(&other);
    assert_true(tacit_public_key_is_equal(&pair.public_key, &pair.public_key));
    assert_false(tacit_public_key_is_equal(&pair.public_key, &other.public_key));
    tacit_keypair_wipe(&other);
    assert_true(is_zero(&other, sizeof other));
}

static void hexadecimal_is_strict(void **state)
{
    (void)state;
    uint8_t out[2] = {0xaa, 0xaa};
    static const char *const refused[] = {
        "",     "0",    "012",  "01234", "012G", "012g",  "0x12",    " 123", "123 ", "12 3",
        "ABCD", "abcD", "+123", "12:3",  "-123", "012\n", "\377123", "01@2", "01`2", "01/2"};
    assert_true(tacit_hex_decode(out, sizeof out, "09af", 4));
    assert_int_equal(out[0], 0x09);
    assert_int_equal(out[1], 0xaf);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        memset(out, 0xaa, sizeof out);
        assert_false(tacit_hex_decode(out, sizeof out, refused[i], strlen(refused[i])));
        assert_true(is_zero(out, sizeof out));
    }
    assert_false(tacit_hex_decode(out, sizeof out, "01\0002", 4));
    assert_true(tacit_hex_decode(out, 0, "", 0));
    // Each byte value has one text, and each other pair of characters none.
    size_t accepted = 0;
    for (unsigned pair_of = 0; pair_of < 0x10000; pair_of++) {
        char text[3] = {(char)(pair_of >> 8), (char)(pair_of & 0xff), 0};
        if (tacit_hex_decode(out, 1, text, 2)) {
            char again[3];
            tacit_hex_encode(again, sizeof again, out, 1);
            assert_memory_equal(text, again, 2);
            accepted++;
        }
    }
    assert_int_equal(accepted, 256);
}

static size_t locked_kib(void)
{
    size_t kib = 0;
    char line[128];
    FILE *file = fopen("/proc/self/status", "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmLck:", 6) == 0) {
            assert_int_equal(sscanf(line + 6, "%zu", &kib), 1);
        }
    }
    assert_int_equal(fclose(file), 0);
    return kib;
}

static void secret_memory(void **state)
{
    (void)state;
    struct tacit_error error = {0};
    size_t before = locked_kib();
    for (size_t bytes = 1; bytes <= 1 << 20; bytes *= 8) {
        uint8_t *memory = tacit_secret_alloc(bytes, &error);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 64, 0);
        assert_true(is_zero(memory, bytes));
        if (!SANITIZED) { // sanitizers turn mlock into nothing
            assert_true(locked_kib() >= before + (bytes + 1023) / 1024);
        }
        memset(memory, 1, bytes);
        tacit_secret_wipe(memory, bytes);
        assert_true(is_zero(memory, bytes));
        tacit_secret_free(memory);
        assert_int_equal(locked_kib(), before);
    }
    tacit_secret_free(NULL);
    assert_null(tacit_secret_alloc(0, &error));
    assert_int_equal(error.status, TACIT_EINVAL);
    assert_null(tacit_secret_alloc((1 << 20) + 1, &error));
    assert_int_equal(error.status, TACIT_EINVAL);
}

// Runs `body` in a child and returns its exit status, -1 if a signal ended it.
static int in_child(int (*body)(void))
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(body());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int alloc_without_limit_left(void)
{
    struct rlimit none = {0, 0};
    struct tacit_error error = {0};
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (geteuid() == 0 && setuid(65534) != 0)) {
        return 1;
    }
    if (tacit_secret_alloc(32, &error) != NULL) {
        return 2;
    }
    return error.status == TACIT_ENOMEM && strstr(error.text, "ulimit -l") != NULL ? 0 : 3;
}

static void secret_memory_that_cannot_be_locked(void **state)
{
    (void)state;
    if (SANITIZED) {
        print_message("sanitizers turn mlock into nothing\n");
        skip();
    }
    assert_int_equal(in_child(alloc_without_limit_left), 0);
}

static void misused(void)
{
    _exit(MISUSE_EXIT);
}

static int digest_without_domain(void)
{
    struct tacit_digest digest;
    tacit_digest_make(&digest, 0, counted, 1);
    return 0;
}

static int mac_without_domain(void)
{
    struct tacit_mac256 mac = {{0}};
    return tacit_blake_mac256_is_valid(&mac, &key, 0, counted, 1);
}

static int signature_without_domain(void)
{
    struct tacit_signature signature;
    tacit_signature_make(&signature, &pair, 0, &scope, counted, 1);
    return 0;
}

static int signature_of_too_much(void)
{
    struct tacit_signature signature;
    uint8_t payload[TACIT_SIGN_PAYLOAD_MAX + 1] = {0};
    tacit_signature_make(&signature, &pair, DOMAIN, &scope, payload, sizeof payload);
    return 0;
}

static int hex_without_room(void)
{
    char text[4];
    tacit_hex_encode(text, sizeof text, counted, 2);
    return 0;
}

static void misuse_ends_the_process(void **state)
{
    (void)state;
    int (*const cases[])(void) = {digest_without_domain, mac_without_domain,
                                  signature_without_domain, signature_of_too_much,
                                  hex_without_room};
    sodium_set_misuse_handler(misused);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(in_child(cases[i]), MISUSE_EXIT);
    }
    sodium_set_misuse_handler(NULL);
}

// What is left on the stack cannot be looked at, but that it is wiped can be counted.
static void temporaries_are_wiped(void **state)
{
    (void)state;
    struct tacit_mac128 tag128 = {{0}};
    struct tacit_mac256 tag256 = {{0}};
    struct tacit_digest digest;
    memset(wipes_of, 0, sizeof wipes_of);
    assert_false(tacit_blake_mac128_is_valid(&tag128, &key, DOMAIN, counted, 9));
    assert_int_equal(wipes_of[sizeof tag128], 1);
    assert_false(tacit_blake_mac256_is_valid(&tag256, &key, DOMAIN, counted, 9));
    assert_int_equal(wipes_of[sizeof tag256], 1);
    assert_int_equal(wipes_of[sizeof(struct tacit_digest_state)], 0);
    tacit_digest_make(&digest, DOMAIN, counted, 9);
    assert_int_equal(wipes_of[sizeof(struct tacit_digest_state)], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(layouts_match_second_implementation),
        cmocka_unit_test(digest_in_pieces),
        cmocka_unit_test(digests_four_at_a_time),
        cmocka_unit_test(macs_refuse_every_flipped_bit),
        cmocka_unit_test(derived_keys_differ),
        cmocka_unit_test(signatures_refuse_every_flipped_bit),
        cmocka_unit_test(signature_payload_bounds),
        cmocka_unit_test(signature_is_not_malleable),
        cmocka_unit_test(public_keys_that_are_no_keys),
        cmocka_unit_test(public_keys_are_compared_and_wiped),
        cmocka_unit_test(hexadecimal_is_strict),
        cmocka_unit_test(secret_memory),
        cmocka_unit_test(secret_memory_that_cannot_be_locked),
        cmocka_unit_test(misuse_ends_the_process),
        cmocka_unit_test(temporaries_are_wiped),
    };
    return cmocka_run_group_tests_name("crypto_primitives", tests, setup, NULL);
}
