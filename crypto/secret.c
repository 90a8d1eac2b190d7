// SPDX-License-Identifier: Apache-2.0
//
// Start of the crypto layer, memory for secrets, wiping, random bytes and hexadecimal text: what
// the other files of this folder stand on.
#include "tacit/crypto.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#define SECRET_ALIGN 64u
#define SECRET_BYTES_MAX ((size_t)1 << 20)

enum tacit_status tacit_crypto_init(struct tacit_error *error)
{
    if (sodium_init() < 0) {
        return tacit_error_set(error, TACIT_EIO, errno,
                               "cannot start libsodium: the system has no usable random source "
                               "(getrandom or /dev/urandom)");
    }
    return TACIT_OK;
}

void *tacit_secret_alloc(size_t bytes, struct tacit_error *error)
{
    if (bytes == 0 || bytes > SECRET_BYTES_MAX) {
        tacit_error_set(error, TACIT_EINVAL, 0,
                        "cannot allocate %zu bytes of secret memory: 1 to %zu are accepted", bytes,
                        SECRET_BYTES_MAX);
        return NULL;
    }
    // sodium_malloc puts the end of the block against a guard page; a rounded length aligns its
    // start.
    size_t rounded = (bytes + SECRET_ALIGN - 1) / SECRET_ALIGN * SECRET_ALIGN;
    void *memory = sodium_malloc(rounded);
    if (memory == NULL) {
        tacit_error_set(error, TACIT_ENOMEM, errno,
                        "cannot allocate %zu bytes of secret memory: out of memory", bytes);
        return NULL;
    }
    // sodium_malloc does not tell whether it could lock; locking again does, and costs nothing.
    if (sodium_mlock(memory, rounded) != 0) {
        int os_errno = errno;
        sodium_free(memory);
        tacit_error_set(error, TACIT_ENOMEM, os_errno,
                        "cannot lock %zu bytes of secret memory, which keeps keys out of swap: "
                        "raise the limit on locked memory (ulimit -l, LimitMEMLOCK=)",
                        bytes);
        return NULL;
    }
    memset(memory, 0, rounded);
    return memory;
}

void tacit_secret_free(void *memory)
{
    sodium_free(memory);
}

void tacit_secret_wipe(void *memory, size_t bytes)
{
    sodium_memzero(memory, bytes);
}

void tacit_random_bytes(void *out, size_t bytes)
{
    randombytes_buf(out, bytes);
}

void tacit_hex_encode(char *out, size_t out_bytes, const void *data, size_t bytes)
{
    if (bytes > SIZE_MAX / 2 - 1 || out_bytes < 2 * bytes + 1) {
        sodium_misuse();
    }
    sodium_bin2hex(out, out_bytes, data, bytes);
}

bool tacit_hex_decode(void *out, size_t bytes, const char *text, size_t text_bytes)
{
    if (bytes > SIZE_MAX / 2 || text_bytes != 2 * bytes) {
        sodium_memzero(out, bytes);
        return false;
    }
    // sodium_hex2bin accepts capitals. Gather them without a branch: a secret passes through here.
    unsigned capitals = 0;
    for (size_t i = 0; i < text_bytes; i++) {
        capitals |= ((unsigned char)text[i] & 0x60u) == 0x40u;
    }
    size_t decoded = 0;
    if (sodium_hex2bin(out, bytes, text, text_bytes, NULL, &decoded, NULL) != 0 ||
        decoded != bytes || capitals != 0) {
        sodium_memzero(out, bytes);
        return false;
    }
    return true;
}
