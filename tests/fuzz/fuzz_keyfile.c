// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a private-key file and as a public key's text: never a crash, never a key left
// behind by a refusal, and what is accepted is written back byte for byte (one text per key).
#include <sodium.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tacit/keyfile.h"

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void private_file(const char *text, size_t length)
{
    struct tacit_keypair pair;
    struct tacit_error error = {0};
    char again[TACIT_KEYFILE_BYTES_MAX];
    char comment[TACIT_KEYFILE_COMMENT_MAX + 1] = {0};
    memset(&pair, 0xaa, sizeof pair);
    if (tacit_keyfile_parse(&pair, text, length, "fuzz", &error) != TACIT_OK) {
        require(sodium_is_zero((const uint8_t *)&pair, sizeof pair) == 1);
        require(error.status == TACIT_EINVAL && strncmp(error.text, "fuzz is not", 11) == 0);
        return;
    }
    require(length < sizeof again);
    if (text[0] == '#') {
        const char *end = memchr(text, '\n', length);
        require(end != NULL && (size_t)(end - text) < sizeof comment + 2);
        memcpy(comment, text + 2, (size_t)(end - text) - 2);
    }
    size_t written = tacit_keyfile_format(again, &pair, text[0] == '#' ? comment : NULL, &error);
    require(written == length && memcmp(again, text, length) == 0);
}

static void public_text(const char *text, size_t length)
{
    struct tacit_public_key key;
    char again[TACIT_PUBLIC_KEY_TEXT_LENGTH + 1];
    memset(&key, 0xaa, sizeof key);
    if (tacit_public_key_parse(&key, text, length, NULL) != TACIT_OK) {
        require(sodium_is_zero(key.bytes, sizeof key.bytes) == 1);
        return;
    }
    require(tacit_public_key_is_usable(&key));
    tacit_public_key_format(again, &key);
    require(strlen(again) == length && memcmp(again, text, length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    // A copy of exactly this size, so that a sanitizer sees a read past the end.
    char *text = malloc(size == 0 ? 1 : size);
    require(text != NULL && tacit_crypto_init(NULL) == TACIT_OK);
    if (size != 0) {
        memcpy(text, data, size);
    }
    private_file(text, size);
    public_text(text, size);
    free(text);
    return 0;
}
