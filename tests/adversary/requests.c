// SPDX-License-Identifier: Apache-2.0
//
// Requests of faulty clients on their way: other bytes for some under one number, spoilt
// signatures, sessions that are not its own. See adversary.h.
#include <string.h>

#include "adversary.h"
#include "byzantine/payload.h"
#include "tacit/ring.h"
#include "tacit/smr.h"
#include "tacit/wire.h"

void adversary_sign_request(struct adversary *adversary, uint32_t client,
                            const struct tacit_wire_request *request, struct tacit_signature *out)
{
    uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
    struct tacit_digest body;
    tacit_body_digest(&body, request->body, request->body_bytes);
    uint32_t bytes = tacit_statement_request(statement, client, request->session, request->number,
                                             request->kind, &body);
    adversary->world.sign_client(adversary->world.context, client, TACIT_DOMAIN_REQUEST, statement,
                                 bytes, out);
}

void adversary_spoil_request(struct adversary *adversary, uint32_t client,
                             struct tacit_wire_request *request, struct tacit_signature *signature)
{
    switch (adversary_style(adversary, ADVERSARY_CLIENT_EDIT, 4)) {
    case 0: // a signature that does not hold
        signature->bytes[choice_u32(adversary->choice, TACIT_SIGNATURE_BYTES)] ^= 1;
        request->flags |= TACIT_REQUEST_SIGNED;
        break;
    case 1: // never signs
        request->flags &= (uint8_t)~TACIT_REQUEST_SIGNED;
        break;
    case 2: // of no session, or out of order; a CLOSE does no harm to others
        request->kind = TACIT_REQUEST_CLOSE;
        request->body_bytes = 0;
        request->session ^=
            choice_u32(adversary->choice, 4) == 3 ? choice_u32(adversary->choice, 8) : 0;
        request->number += choice_u32(adversary->choice, 3);
        adversary_sign_request(adversary, client, request, signature);
        break;
    default:
        request->flags |= TACIT_REQUEST_FULL;
        break;
    }
}

bool adversary_tamper_request(struct adversary *adversary, uint32_t client, uint32_t receiver,
                              const struct tacit_smr_config *smr, struct adversary_write *op)
{
    struct tacit_ring_shape shape =
        tacit_ring_shape(smr->ring_slots, tacit_wire_request_max(smr->request_bytes, true));
    struct tacit_wire_request request;
    struct tacit_signature signature = {{0}};
    uint8_t *bytes = (uint8_t *)op->copy + TACIT_RING_HEADER;
    uint8_t copy[ADVERSARY_MESSAGE_BYTES];
    uint8_t body[ADVERSARY_MESSAGE_BYTES];
    uint32_t length = (uint32_t)op->copy[1];
    if (length > sizeof copy || length + TACIT_RING_HEADER > op->bytes) {
        return true;
    }
    memcpy(copy, bytes, length);
    if (tacit_wire_request_decode(&request, copy, length) != TACIT_VERDICT_OK) {
        return true;
    }
    if ((request.flags & TACIT_REQUEST_SIGNED) != 0) {
        memcpy(signature.bytes, request.signature, TACIT_SIGNATURE_BYTES);
    }
    bool changed = false;
    if (request.kind == TACIT_REQUEST_APPLY && request.body_bytes > 0 &&
        adversary_hits(adversary, ADVERSARY_CLIENT)) {
        // The same change whenever it is sent again, for receivers that the number names.
        memcpy(body, request.body, request.body_bytes);
        body[request.body_bytes - 1] ^= (uint8_t)(1u + (request.number + receiver) % 3);
        request.body = body;
        adversary_sign_request(adversary, client, &request, &signature);
        changed = true;
    }
    if (adversary_hits(adversary, ADVERSARY_CLIENT_EDIT)) {
        if (adversary->how[ADVERSARY_CLIENT_EDIT].style == 0 &&
            choice_u32(adversary->choice, 3) == 2) {
            return false; // to some only
        }
        adversary_spoil_request(adversary, client, &request, &signature);
        changed = true;
    }
    if (changed) {
        request.signature = signature.bytes;
        size_t size =
            tacit_wire_request_encode(bytes, shape.slot_bytes - TACIT_RING_HEADER, &request);
        op->bytes = size == 0
                        ? op->bytes
                        : tacit_ring_seal(shape, op->copy[0], (uint8_t *)op->copy, (uint32_t)size);
    }
    return true;
}
