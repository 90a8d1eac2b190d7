// SPDX-License-Identifier: Apache-2.0
//
// Layouts of the messages and the register values of consistent broadcast; see ctb_internal.h.
// Decoding is strict: exact sizes, zero padding, so that each message has one form.
#include <string.h>

#include "../base/little.h"
#include "ctb_internal.h"

#define HEAD_BYTES 24u

_Static_assert(HEAD_BYTES + TACIT_PAYLOAD_BYTES + 8 + TACIT_BYZ_INLINE_BYTES <=
                   TACIT_CTB_MESSAGE_BYTES,
               "LOCK fits");
_Static_assert(HEAD_BYTES + 32 + 8 + TACIT_REPLICAS_MAX * 65 + 8 <= TACIT_CTB_MESSAGE_BYTES,
               "SUMMARY fits");
_Static_assert(16 + TACIT_PAYLOAD_BYTES + TACIT_SIGNATURE_BYTES == TACIT_REGISTER_VALUE_BYTES,
               "register value");

static uint8_t *put(uint8_t *out, uint64_t value)
{
    tacit_put_u64(out, value);
    return out + 8;
}

static uint8_t *put_bytes(uint8_t *out, const void *bytes, size_t count)
{
    memcpy(out, bytes, count);
    return out + count;
}

static uint8_t *put_payload(uint8_t *out, const struct tacit_payload *payload)
{
    tacit_payload_encode(out, payload);
    return out + TACIT_PAYLOAD_BYTES;
}

static uint8_t *put_body(uint8_t *out, const struct tacit_ctb_message *message)
{
    out = put(out, message->carries == TACIT_CTB_TICKET ? message->word : 0);
    if (message->carries == TACIT_CTB_INLINE && message->body_bytes > 0) {
        out = put_bytes(out, message->body, message->body_bytes);
    }
    return out;
}

uint32_t tacit_ctb_encode(uint8_t *out, const struct tacit_ctb_message *message)
{
    memset(out, 0, HEAD_BYTES);
    out[0] = message->kind;
    out[1] = (uint8_t)message->stream;
    out[2] = message->carries;
    out[3] = message->unvouched;
    put(out + 8, message->epoch);
    uint8_t *at = put(out + 16, message->k);
    switch (message->kind) {
    case TACIT_MESSAGE_LOCK:
        at = put_payload(at, &message->payload);
        at -= message->carries == TACIT_CTB_INLINE ? TACIT_DIGEST_BYTES : 0;
        at = put_body(at, message);
        break;
    case TACIT_MESSAGE_LOCKED:
        at = put_payload(at, &message->payload);
        break;
    case TACIT_MESSAGE_NUDGE:
        at = put(at, message->word);
        break;
    case TACIT_MESSAGE_SIGNED:
        at = put_payload(at, &message->payload);
        at = put_bytes(at, message->signature.bytes, TACIT_SIGNATURE_BYTES);
        break;
    case TACIT_MESSAGE_SUMMARY_SHARE:
        at = put_bytes(at, message->digest.bytes, TACIT_DIGEST_BYTES);
        at = put_bytes(at, message->signature.bytes, TACIT_SIGNATURE_BYTES);
        break;
    case TACIT_MESSAGE_SUMMARY:
        at = put_bytes(at, message->digest.bytes, TACIT_DIGEST_BYTES);
        at += tacit_certificate_encode(at, tacit_certificate_bytes(TACIT_REPLICAS_MAX),
                                       &message->certificate);
        break;
    case TACIT_MESSAGE_FETCH_SUMMARY:
        break;
    case TACIT_MESSAGE_FETCH:
        at = put_bytes(at, message->digest.bytes, TACIT_DIGEST_BYTES);
        break;
    default:
        TACIT_ASSERT(message->kind == TACIT_MESSAGE_BODY);
        at = put_body(put_bytes(at, message->digest.bytes, TACIT_DIGEST_BYTES), message);
        break;
    }
    uint32_t bytes = (uint32_t)(at - out);
    TACIT_ASSERT(bytes <= TACIT_CTB_MESSAGE_BYTES);
    return bytes;
}

// A body inline or beside the ring; `bytes` is what its payload or its head says.
static enum tacit_verdict get_body(struct tacit_ctb_message *message, const uint8_t *at,
                                   uint32_t left, uint64_t bytes)
{
    if (left < 8) {
        return TACIT_VERDICT_MALFORMED;
    }
    message->word = tacit_get_u64(at);
    message->body = at + 8;
    message->body_bytes = left - 8;
    bool fits = false;
    if (message->carries == TACIT_CTB_INLINE) {
        fits = message->word == 0 && left - 8 == bytes && bytes <= TACIT_BYZ_INLINE_BYTES;
    } else if (message->carries == TACIT_CTB_TICKET) {
        fits = message->word != 0 && left == 8;
    } else {
        fits = message->carries == TACIT_CTB_NOTHING && message->word == 0 && left == 8 &&
               message->kind == TACIT_MESSAGE_LOCK;
    }
    return fits ? TACIT_VERDICT_OK : TACIT_VERDICT_MALFORMED;
}

static enum tacit_verdict get_payload(struct tacit_ctb_message *message, const uint8_t *at,
                                      uint32_t left)
{
    return left < TACIT_PAYLOAD_BYTES ? TACIT_VERDICT_MALFORMED
                                      : tacit_payload_decode(&message->payload, at);
}

static enum tacit_verdict get_locked(struct tacit_ctb_message *message, const uint8_t *at)
{
    enum tacit_verdict verdict = get_payload(message, at, TACIT_PAYLOAD_BYTES);
    bool fits = !message->unvouched || message->payload.kind == TACIT_PAYLOAD_PREPARE;
    return fits ? verdict : TACIT_VERDICT_MALFORMED;
}

static enum tacit_verdict get_lock(struct tacit_ctb_message *message, const uint8_t *at,
                                   uint32_t left)
{
    uint32_t head = TACIT_PAYLOAD_HEAD_BYTES;
    if (message->carries != TACIT_CTB_INLINE) {
        head = TACIT_PAYLOAD_BYTES;
        if (get_payload(message, at, left) != TACIT_VERDICT_OK) {
            return TACIT_VERDICT_MALFORMED;
        }
    } else if (left < head ||
               tacit_payload_decode_head(&message->payload, at) != TACIT_VERDICT_OK) {
        return TACIT_VERDICT_MALFORMED;
    }
    return get_body(message, at + head, left - head, message->payload.body_bytes);
}

// Kinds that begin with a digest.
static enum tacit_verdict get_digest(struct tacit_ctb_message *message, const uint8_t *at,
                                     uint32_t left, uint8_t quorum, uint8_t replicas)
{
    if (left < TACIT_DIGEST_BYTES) {
        return TACIT_VERDICT_MALFORMED;
    }
    memcpy(message->digest.bytes, at, TACIT_DIGEST_BYTES);
    at += TACIT_DIGEST_BYTES;
    left -= TACIT_DIGEST_BYTES;
    bool fits = false;
    size_t used = 0;
    switch (message->kind) {
    case TACIT_MESSAGE_SUMMARY_SHARE:
        fits = left == TACIT_SIGNATURE_BYTES;
        if (fits) {
            memcpy(message->signature.bytes, at, TACIT_SIGNATURE_BYTES);
        }
        break;
    case TACIT_MESSAGE_SUMMARY:
        fits = tacit_certificate_decode(&message->certificate, at, left, quorum, replicas, &used) ==
                   TACIT_VERDICT_OK &&
               used == left;
        break;
    case TACIT_MESSAGE_FETCH:
        fits = left == 0;
        break;
    default:
        return get_body(message, at, left, message->k);
    }
    return fits ? TACIT_VERDICT_OK : TACIT_VERDICT_MALFORMED;
}

enum tacit_verdict tacit_ctb_decode(struct tacit_ctb_message *message, const uint8_t *bytes,
                                    uint32_t size, uint8_t quorum, uint8_t replicas)
{
    static const uint8_t zero[4];
    if (size < HEAD_BYTES || size > TACIT_CTB_MESSAGE_BYTES || memcmp(bytes + 4, zero, 4) != 0) {
        return TACIT_VERDICT_MALFORMED;
    }
    message->kind = bytes[0];
    message->stream = bytes[1];
    message->carries = bytes[2];
    message->unvouched = bytes[3] != 0;
    message->epoch = tacit_get_u64(bytes + 8);
    message->k = tacit_get_u64(bytes + 16);
    const uint8_t *at = bytes + HEAD_BYTES;
    uint32_t left = size - HEAD_BYTES;
    bool carries = message->kind == TACIT_MESSAGE_LOCK || message->kind == TACIT_MESSAGE_BODY;
    if (message->stream >= replicas || message->k >= TACIT_CTB_ID_MAX ||
        (!carries && message->carries != 0) ||
        bytes[3] > (message->kind == TACIT_MESSAGE_LOCKED ? 1 : 0)) {
        return TACIT_VERDICT_MALFORMED;
    }
    switch (message->kind) {
    case TACIT_MESSAGE_LOCK:
        return get_lock(message, at, left);
    case TACIT_MESSAGE_LOCKED:
        return left == TACIT_PAYLOAD_BYTES ? get_locked(message, at) : TACIT_VERDICT_MALFORMED;
    case TACIT_MESSAGE_NUDGE:
        message->word = left == 8 ? tacit_get_u64(at) : 0;
        return left == 8 ? TACIT_VERDICT_OK : TACIT_VERDICT_MALFORMED;
    case TACIT_MESSAGE_SIGNED:
        if (left != TACIT_PAYLOAD_BYTES + TACIT_SIGNATURE_BYTES) {
            return TACIT_VERDICT_MALFORMED;
        }
        memcpy(message->signature.bytes, at + TACIT_PAYLOAD_BYTES, TACIT_SIGNATURE_BYTES);
        return get_payload(message, at, left);
    case TACIT_MESSAGE_FETCH_SUMMARY:
        return left == 0 ? TACIT_VERDICT_OK : TACIT_VERDICT_MALFORMED;
    case TACIT_MESSAGE_SUMMARY_SHARE:
    case TACIT_MESSAGE_SUMMARY:
    case TACIT_MESSAGE_FETCH:
    case TACIT_MESSAGE_BODY:
        return get_digest(message, at, left, quorum, replicas);
    default:
        return TACIT_VERDICT_MALFORMED;
    }
}

void tacit_ctb_register_encode(uint8_t out[TACIT_REGISTER_VALUE_BYTES],
                               const struct tacit_ctb_evidence *evidence)
{
    uint8_t *at = put(put(out, evidence->epoch), evidence->k);
    at = put_payload(at, &evidence->payload);
    put_bytes(at, evidence->signature.bytes, TACIT_SIGNATURE_BYTES);
}

enum tacit_verdict tacit_ctb_register_decode(struct tacit_ctb_evidence *evidence,
                                             const uint8_t value[TACIT_REGISTER_VALUE_BYTES])
{
    evidence->epoch = tacit_get_u64(value);
    evidence->k = tacit_get_u64(value + 8);
    memcpy(evidence->signature.bytes, value + 16 + TACIT_PAYLOAD_BYTES, TACIT_SIGNATURE_BYTES);
    if (evidence->k >= TACIT_CTB_ID_MAX) {
        return TACIT_VERDICT_MALFORMED;
    }
    return tacit_payload_decode(&evidence->payload, value + 16);
}

void tacit_ctb_send(struct tacit_ctb *ctb, tacit_node_t to, const struct tacit_ctb_message *message)
{
    uint32_t bytes = tacit_ctb_encode(ctb->out, message);
    tacit_links_send(ctb->links, to, ctb->out, bytes);
}

void tacit_ctb_send_all(struct tacit_ctb *ctb, const struct tacit_ctb_message *message)
{
    uint32_t bytes = tacit_ctb_encode(ctb->out, message);
    tacit_links_send_all(ctb->links, ctb->out, bytes);
}
