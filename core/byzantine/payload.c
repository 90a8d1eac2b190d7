// SPDX-License-Identifier: Apache-2.0
//
// Layouts of payloads, statements and certificates (payload.h). Decoding is canonical: what is
// accepted encodes to the same bytes again.
#include "payload.h"

#include <string.h>

#include "../base/assert.h"
#include "../base/bug.h"
#include "../base/little.h"
#include "../base/words.h"

#define SHARE_BYTES (1u + TACIT_SIGNATURE_BYTES)

// ---- fields, one after the other
// ---------------------------------------------------------------------------------

static uint8_t *put(uint8_t *out, uint64_t value)
{
    tacit_put_u64(out, value);
    return out + 8;
}

static uint8_t *put_digest(uint8_t *out, const struct tacit_digest *digest)
{
    memcpy(out, digest->bytes, TACIT_DIGEST_BYTES);
    return out + TACIT_DIGEST_BYTES;
}

// ---- payloads
// ----------------------------------------------------------------------------------------------------

void tacit_payload_encode(uint8_t out[TACIT_PAYLOAD_BYTES], const struct tacit_payload *payload)
{
    tacit_put_u32(out, payload->kind);
    tacit_put_u32(out + 4, payload->body_bytes);
    uint8_t *at = put(out + 8, payload->view);
    at = put(at, payload->slot);
    at = put_digest(at, &payload->digest);
    TACIT_ASSERT(at == out + TACIT_PAYLOAD_BYTES);
}

enum tacit_verdict tacit_payload_decode_head(struct tacit_payload *payload,
                                             const uint8_t bytes[TACIT_PAYLOAD_HEAD_BYTES])
{
    // The padding of the kind reads as a part of its number.
    uint32_t kind = tacit_get_u32(bytes);
    if (kind < TACIT_PAYLOAD_PREPARE || kind >= TACIT_PAYLOAD_KINDS) {
        return TACIT_VERDICT_MALFORMED;
    }
    payload->kind = (uint8_t)kind;
    payload->body_bytes = tacit_get_u32(bytes + 4);
    payload->view = tacit_get_u64(bytes + 8);
    payload->slot = tacit_get_u64(bytes + 16);
    return TACIT_VERDICT_OK;
}

enum tacit_verdict tacit_payload_decode(struct tacit_payload *payload,
                                        const uint8_t bytes[TACIT_PAYLOAD_BYTES])
{
    memcpy(payload->digest.bytes, bytes + TACIT_PAYLOAD_HEAD_BYTES, TACIT_DIGEST_BYTES);
    return tacit_payload_decode_head(payload, bytes);
}

bool tacit_payload_is_equal(const struct tacit_payload *a, const struct tacit_payload *b)
{
    return a->kind == b->kind && a->body_bytes == b->body_bytes && a->view == b->view &&
           a->slot == b->slot &&
           memcmp(a->digest.bytes, b->digest.bytes, TACIT_DIGEST_BYTES) == 0; // no secret
}

void tacit_body_digest(struct tacit_digest *out, const void *body, size_t bytes)
{
    tacit_digest_make(out, TACIT_DOMAIN_BODY, body, bytes);
}

// ---- statements: all numbers are 8 bytes wide
// --------------------------------------------------------------------

static uint32_t size_of(const uint8_t *out, const uint8_t *end)
{
    uint32_t bytes = (uint32_t)(end - out);
    TACIT_ASSERT(bytes <= TACIT_SIGN_PAYLOAD_MAX);
    return bytes;
}

static uint8_t *put_epoch(uint8_t *out, uint64_t epoch)
{
    return put(out, TACIT_BUG(STATEMENT_WITHOUT_EPOCH) ? 0 : epoch);
}

uint32_t tacit_statement_stream_id(uint8_t *out, uint64_t epoch, tacit_node_t broadcaster,
                                   uint64_t k, const struct tacit_payload *payload)
{
    uint8_t *at = put_epoch(out, epoch);
    at = put(at, TACIT_BUG(STATEMENT_WITHOUT_BROADCASTER) ? 0 : broadcaster);
    at = put(at, TACIT_BUG(STATEMENT_WITHOUT_ID) ? 0 : k);
    tacit_payload_encode(at, payload);
    return size_of(out, at + TACIT_PAYLOAD_BYTES);
}

uint32_t tacit_statement_summary(uint8_t *out, uint64_t epoch, tacit_node_t broadcaster, uint64_t k,
                                 const struct tacit_digest *state)
{
    uint8_t *at = put_epoch(out, epoch);
    at = put(at, broadcaster);
    at = put(at, k);
    return size_of(out, put_digest(at, state));
}

uint32_t tacit_statement_certify(uint8_t *out, uint64_t epoch, uint64_t view, uint64_t slot,
                                 const struct tacit_digest *batch)
{
    uint8_t *at = put_epoch(out, epoch);
    at = put(at, view);
    at = put(at, slot);
    return size_of(out, put_digest(at, batch));
}

uint32_t tacit_statement_checkpoint(uint8_t *out, uint64_t epoch, uint64_t base,
                                    const struct tacit_digest *state)
{
    uint8_t *at = put_epoch(out, epoch);
    at = put(at, base);
    return size_of(out, put_digest(at, state));
}

uint32_t tacit_statement_suspect(uint8_t *out, uint64_t epoch, tacit_node_t node, uint64_t old,
                                 uint64_t now)
{
    uint8_t *at = put_epoch(out, epoch);
    at = put(at, node);
    at = put(at, old);
    return size_of(out, put(at, now));
}

uint32_t tacit_statement_state_share(uint8_t *out, uint64_t epoch, tacit_node_t replica,
                                     uint64_t view, const struct tacit_digest *state, uint64_t base)
{
    uint8_t *at = put_epoch(out, epoch);
    at = put(at, replica);
    at = put(at, view);
    at = put_digest(at, state);
    return size_of(out, put(at, base));
}

uint32_t tacit_statement_request(uint8_t *out, uint32_t client, uint64_t session, uint64_t number,
                                 uint8_t kind, const struct tacit_digest *body)
{
    uint8_t *at = put(out, client);
    at = put(at, session);
    at = put(at, number);
    at = put(at, kind);
    return size_of(out, put_digest(at, body));
}

// ---- certificates
// ------------------------------------------------------------------------------------------------

size_t tacit_certificate_bytes(uint8_t count)
{
    return tacit_round_up(1 + (size_t)count * SHARE_BYTES, 8);
}

size_t tacit_certificate_encode(uint8_t *out, size_t max,
                                const struct tacit_certificate *certificate)
{
    TACIT_ASSERT(certificate->count <= TACIT_REPLICAS_MAX);
    size_t bytes = tacit_certificate_bytes(certificate->count);
    if (bytes > max) {
        return 0;
    }
    memset(out, 0, bytes);
    *out++ = certificate->count;
    for (uint8_t i = 0; i < certificate->count; i++) {
        *out++ = certificate->shares[i].signer;
        memcpy(out, certificate->shares[i].signature.bytes, TACIT_SIGNATURE_BYTES);
        out += TACIT_SIGNATURE_BYTES;
    }
    return bytes;
}

enum tacit_verdict tacit_certificate_decode(struct tacit_certificate *certificate,
                                            const uint8_t *bytes, size_t size, uint8_t quorum,
                                            uint8_t signers, size_t *used)
{
    TACIT_ASSERT(quorum >= 1 && quorum <= TACIT_REPLICAS_MAX && signers <= TACIT_BYZ_AUTHORS);
    if (TACIT_BUG(CERTIFICATE_LENGTH_TRUSTED) && size > 0 && bytes[0] > 0 && bytes[0] < quorum) {
        quorum = bytes[0];
    }
    size_t needed = tacit_certificate_bytes(quorum);
    if (size < needed || bytes[0] != quorum) {
        return TACIT_VERDICT_MALFORMED;
    }
    certificate->count = quorum;
    const uint8_t *at = bytes + 1;
    for (uint8_t i = 0; i < quorum; i++) {
        struct tacit_share *share = &certificate->shares[i];
        share->signer = *at;
        bool follows = i == 0 || share->signer > certificate->shares[i - 1].signer ||
                       TACIT_BUG(SIGNER_REPEATED);
        if (share->signer >= signers || !follows) {
            return TACIT_VERDICT_MALFORMED;
        }
        memcpy(share->signature.bytes, at + 1, TACIT_SIGNATURE_BYTES);
        at += SHARE_BYTES;
    }
    for (; at < bytes + needed; at++) {
        if (*at != 0) {
            return TACIT_VERDICT_MALFORMED;
        }
    }
    *used = needed;
    return TACIT_VERDICT_OK;
}
