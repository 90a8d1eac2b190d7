// SPDX-License-Identifier: Apache-2.0
//
// Faulty clients: production code with its own key, whose requests are changed on their way. What
// a changed request asks for is known to the checker as an operation of that client, so that it may
// be executed, by all or by nobody. See sim_byz.h.
#include <string.h>

#include "byzantine/payload.h"
#include "sim_cluster.h"
#include "tacit/ring.h"
#include "tacit/wire.h"

static struct sim_byz_change *change_of(struct sim_cluster *cluster, uint32_t client,
                                        const struct tacit_wire_request *request)
{
    struct sim_byz *byz = &cluster->byz;
    for (uint32_t i = 0; i < byz->changes[client]; i++) {
        struct sim_byz_change *change = &byz->change[client][i];
        if (change->session == request->session && change->number == request->number) {
            return change;
        }
    }
    if (byz->changes[client] == SIM_BYZ_CHANGES || request->body_bytes < CHECKER_BODY_BYTES) {
        return NULL;
    }
    struct sim_byz_change *change = &byz->change[client][byz->changes[client]++];
    *change = (struct sim_byz_change){.session = request->session, .number = request->number};
    struct checker_op op;
    uint32_t operation;
    if (adversary_hits(&cluster->byz.adversary, ADVERSARY_CLIENT) &&
        checker_body_decode(&op, &operation, request->body, request->body_bytes)) {
        op.client = client;
        op.call_ns = cluster->net->now_ns;
        op.argument += 0x10000;
        change->operation = checker_submit(cluster->checker, &op);
        uint32_t all = (1u << cluster->shape.smr.replicas) - 1;
        uint32_t split = cluster->byz.adversary.how[ADVERSARY_CLIENT].to;
        split = split != 0 ? split : 1 + choice_u32(cluster->choice, all);
        change->to = change->operation == CHECKER_OPS ? 0 : split;
    }
    return change;
}

bool sim_byz_tamper_client(struct sim_cluster *cluster, uint32_t client, uint32_t replica,
                           struct sim_op *op)
{
    const struct tacit_smr_config *smr = &cluster->shape.smr;
    struct tacit_ring_shape shape =
        tacit_ring_shape(smr->ring_slots, tacit_wire_request_max(smr->request_bytes, true));
    struct tacit_wire_request request;
    uint8_t *bytes = (uint8_t *)op->copy + TACIT_RING_HEADER;
    uint8_t copy[ADVERSARY_MESSAGE_BYTES];
    uint8_t body[ADVERSARY_MESSAGE_BYTES];
    uint32_t length = (uint32_t)op->copy[1];
    if (length > sizeof copy || length + TACIT_RING_HEADER > op->op.bytes) {
        return true;
    }
    memcpy(copy, bytes, length);
    if (tacit_wire_request_decode(&request, copy, length) != TACIT_VERDICT_OK) {
        return true;
    }
    struct tacit_signature signature = {{0}};
    if ((request.flags & TACIT_REQUEST_SIGNED) != 0) {
        memcpy(signature.bytes, request.signature, TACIT_SIGNATURE_BYTES);
    }
    const struct sim_byz_change *change =
        request.kind == TACIT_REQUEST_APPLY ? change_of(cluster, client, &request) : NULL;
    bool changed = change != NULL && (change->to >> replica & 1) != 0;
    if (changed) {
        size_t count;
        memcpy(body, request.body, request.body_bytes);
        checker_body_encode(body, &checker_ops(cluster->checker, &count)[change->operation],
                            change->operation);
        request.body = body;
        adversary_sign_request(&cluster->byz.adversary, client, &request, &signature);
    }
    if (adversary_hits(&cluster->byz.adversary, ADVERSARY_CLIENT_EDIT)) {
        if (cluster->byz.adversary.how[ADVERSARY_CLIENT_EDIT].style == 0 &&
            choice_u32(cluster->choice, 3) == 2) {
            return false; // to some only
        }
        adversary_spoil_request(&cluster->byz.adversary, client, &request, &signature);
        changed = true;
    }
    if (changed) {
        request.signature = signature.bytes;
        size_t size =
            tacit_wire_request_encode(bytes, shape.slot_bytes - TACIT_RING_HEADER, &request);
        op->op.bytes =
            size == 0 ? op->op.bytes
                      : tacit_ring_seal(shape, op->copy[0], (uint8_t *)op->copy, (uint32_t)size);
    }
    return true;
}
