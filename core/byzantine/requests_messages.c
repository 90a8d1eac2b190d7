// SPDX-License-Identifier: Apache-2.0
//
// Layouts of the messages about requests; see requests.h. Decoding is canonical and exact.
#include <string.h>

#include "requests.h"

static void put(uint8_t *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t get(const uint8_t *bytes, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

static void put_head(uint8_t *out, uint8_t kind, uint8_t second, uint16_t client, uint32_t fourth)
{
    out[0] = kind;
    out[1] = second;
    put(out + 2, client, 2);
    put(out + 4, fourth, 4);
}

static bool key_is_sane(const struct tacit_requests_key *key)
{
    switch (key->kind) {
    case TACIT_REQUEST_OPEN:
        return key->session == 0;
    case TACIT_REQUEST_APPLY:
        return key->number != 0;
    case TACIT_REQUEST_CLOSE:
        return true;
    default:
        return false;
    }
}

void tacit_message_lack_encode(uint8_t out[TACIT_LACK_BYTES], const struct tacit_message_lack *lack)
{
    put_head(out, TACIT_MESSAGE_LACK, lack->key.kind, lack->key.client, 0);
    put(out + 8, lack->view, 8);
    put(out + 16, lack->slot, 8);
    put(out + 24, lack->key.session, 8);
    put(out + 32, lack->key.number, 8);
}

enum tacit_verdict tacit_message_lack_decode(struct tacit_message_lack *lack, const uint8_t *bytes,
                                             size_t size)
{
    if (size != TACIT_LACK_BYTES || bytes[0] != TACIT_MESSAGE_LACK || get(bytes + 4, 4) != 0) {
        return TACIT_VERDICT_MALFORMED;
    }
    lack->key = (struct tacit_requests_key){.kind = bytes[1],
                                            .client = (uint16_t)get(bytes + 2, 2),
                                            .session = get(bytes + 24, 8),
                                            .number = get(bytes + 32, 8)};
    lack->view = get(bytes + 8, 8);
    lack->slot = get(bytes + 16, 8);
    return key_is_sane(&lack->key) ? TACIT_VERDICT_OK : TACIT_VERDICT_MALFORMED;
}

void tacit_message_request_encode(uint8_t out[TACIT_REQUEST_HEADER_BYTES],
                                  const struct tacit_message_request *request)
{
    put_head(out, TACIT_MESSAGE_REQUEST, request->beside, request->client, request->bytes);
    put(out + 8, request->beside ? request->ticket : 0, 8);
}

enum tacit_verdict tacit_message_request_decode(struct tacit_message_request *request,
                                                const uint8_t *bytes, size_t size)
{
    if (size < TACIT_REQUEST_HEADER_BYTES || bytes[0] != TACIT_MESSAGE_REQUEST || bytes[1] > 1) {
        return TACIT_VERDICT_MALFORMED;
    }
    request->beside = bytes[1] == 1;
    request->client = (uint16_t)get(bytes + 2, 2);
    request->bytes = (uint32_t)get(bytes + 4, 4);
    request->ticket = get(bytes + 8, 8);
    request->request = request->beside ? NULL : bytes + TACIT_REQUEST_HEADER_BYTES;
    size_t rest = size - TACIT_REQUEST_HEADER_BYTES;
    bool sane = request->beside ? rest == 0 && request->ticket != 0
                                : rest == request->bytes && request->ticket == 0;
    return sane ? TACIT_VERDICT_OK : TACIT_VERDICT_MALFORMED;
}

void tacit_message_echo_encode(uint8_t out[TACIT_ECHO_BYTES], const struct tacit_message_echo *echo)
{
    put_head(out, TACIT_MESSAGE_ECHO, echo->key.kind, echo->key.client, 0);
    put(out + 8, echo->key.session, 8);
    put(out + 16, echo->key.number, 8);
    memcpy(out + 24, echo->digest.bytes, TACIT_DIGEST_BYTES);
}

enum tacit_verdict tacit_message_echo_decode(struct tacit_message_echo *echo, const uint8_t *bytes,
                                             size_t size)
{
    if (size != TACIT_ECHO_BYTES || bytes[0] != TACIT_MESSAGE_ECHO || get(bytes + 4, 4) != 0) {
        return TACIT_VERDICT_MALFORMED;
    }
    echo->key = (struct tacit_requests_key){.kind = bytes[1],
                                            .client = (uint16_t)get(bytes + 2, 2),
                                            .session = get(bytes + 8, 8),
                                            .number = get(bytes + 16, 8)};
    memcpy(echo->digest.bytes, bytes + 24, TACIT_DIGEST_BYTES);
    return key_is_sane(&echo->key) ? TACIT_VERDICT_OK : TACIT_VERDICT_MALFORMED;
}
