// SPDX-License-Identifier: Apache-2.0
//
// Faulty clients that say more than they should: older requests again, and floods of requests of
// sessions that never were. Each is a message more in the client's ring, so later ones of
// production code are numbered on. See sim_byz.h.
#include <string.h>

#include "sim_cluster.h"
#include "tacit/ring.h"
#include "tacit/wire.h"

#define FLOOD_MAX 12u // less than a ring: what is true must get through at times

static struct tacit_ring_shape shape_of(const struct sim_cluster *cluster)
{
    const struct tacit_smr_config *smr = &cluster->shape.smr;
    return tacit_ring_shape(smr->ring_slots, tacit_wire_request_max(smr->request_bytes, true));
}

// One message more, before the one whose number and place these are. False: not possible now.
static bool say(struct sim_cluster *cluster, uint32_t slot, uint32_t replica, uint64_t number,
                uint64_t start, const uint8_t *request, uint32_t bytes)
{
    struct tacit_ring_shape shape = shape_of(cluster);
    const struct sim_node *node = &cluster->net->node[slot];
    uint64_t message[(ADVERSARY_MESSAGE_BYTES + 256) / 8];
    struct tacit_region_key key = {TACIT_REGION_REQUESTS, node->node, node->incarnation};
    memcpy((uint8_t *)message + TACIT_RING_HEADER, request, bytes);
    uint32_t size = tacit_ring_seal(shape, number, (uint8_t *)message, bytes);
    return sim_net_forge(cluster->net, slot, replica, key, start + tacit_ring_offset(shape, number),
                         message, size);
}

// A request of a session that this client does not have, unsigned: nobody owes it anything.
static uint32_t invent(struct sim_cluster *cluster, uint8_t *out, size_t max)
{
    uint8_t body[CHECKER_BODY_BYTES];
    choice_bytes(cluster->choice, body, sizeof body);
    struct tacit_wire_request request = {.kind = TACIT_REQUEST_APPLY,
                                         .session = choice_u32(cluster->choice, UINT32_MAX),
                                         .number = 1 + choice_u32(cluster->choice, 8),
                                         .body = body,
                                         .body_bytes = sizeof body};
    return (uint32_t)tacit_wire_request_encode(out, max, &request);
}

void sim_byz_client_ring(struct sim_cluster *cluster, uint32_t client, uint32_t replica,
                         struct sim_op *op)
{
    struct tacit_ring_shape shape = shape_of(cluster);
    struct sim_byz *byz = &cluster->byz;
    struct sim_byz_ring *ring = &byz->ring[client][replica];
    struct sim_byz_sent *sent = &byz->sent[client];
    uint32_t slot = (uint32_t)cluster->shape.smr.replicas + cluster->shape.smr.memnodes + client;
    uint32_t bytes = (uint32_t)op->copy[1];
    uint64_t number = op->copy[0];
    uint64_t start = op->op.offset - tacit_ring_offset(shape, number);
    uint8_t request[ADVERSARY_MESSAGE_BYTES];
    if (bytes > sizeof request || bytes + TACIT_RING_HEADER > op->op.bytes) {
        return;
    }
    if (number < ring->seen) { // a new connection: its ring starts anew
        ring->shift = 0;
    }
    ring->seen = number;
    uint32_t known = sent->count < ADVERSARY_KEPT ? sent->count : ADVERSARY_KEPT;
    if (known > 0 && adversary_hits(&byz->adversary, ADVERSARY_CLIENT_REPLAY)) {
        const struct adversary_message *old = &sent->kept[choice_u32(cluster->choice, known)];
        ring->shift +=
            say(cluster, slot, replica, number + ring->shift, start, old->data, old->bytes);
    }
    if (adversary_hits(&byz->adversary, ADVERSARY_CLIENT_FLOOD)) {
        for (uint32_t i = 0; i < FLOOD_MAX; i++) {
            uint32_t size = invent(cluster, request, sizeof request);
            ring->shift += say(cluster, slot, replica, number + ring->shift, start, request, size);
        }
    }
    struct adversary_message *kept = &sent->kept[sent->count++ % ADVERSARY_KEPT];
    kept->bytes = bytes;
    memcpy(kept->data, (uint8_t *)op->copy + TACIT_RING_HEADER, bytes);
    if (ring->shift != 0) {
        number += ring->shift;
        op->op.bytes = tacit_ring_seal(shape, number, (uint8_t *)op->copy, bytes);
        op->op.offset = start + tacit_ring_offset(shape, number);
    }
}
