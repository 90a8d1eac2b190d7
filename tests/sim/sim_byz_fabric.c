// SPDX-License-Identifier: Apache-2.0
//
// Where the operations of faulty replicas and clients are changed on their way. See sim_byz.h.
#include <string.h>

#include "byzantine/agree_internal.h"
#include "byzantine/ctb_internal.h"
#include "byzantine/links_internal.h"
#include "byzantine/registers.h"
#include "sim_cluster.h"
#include "sim_fabric_parts.h"
#include "smr/internal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static const struct tacit_links *links_of(const struct sim_cluster *cluster, uint32_t replica)
{
    return cluster->process[replica].smr->byzantine.links;
}

static struct tacit_digest drawn_digest(struct sim_cluster *cluster)
{
    struct tacit_digest digest;
    choice_bytes(cluster->choice, digest.bytes, sizeof digest.bytes);
    return digest;
}

// ---- rings

static void keep(struct sim_byz_actor *actor, const uint8_t *message, uint32_t bytes)
{
    struct sim_byz_message *kept = &actor->kept[actor->kept_count++ % SIM_BYZ_KEPT];
    kept->bytes = bytes;
    memcpy(kept->data, message, bytes);
}

bool sim_byz_say(struct sim_cluster *cluster, uint32_t faulty, uint32_t receiver,
                 const void *message, uint32_t bytes)
{
    struct sim_byz_actor *actor = &cluster->byz.actor[faulty];
    const struct tacit_links *links = links_of(cluster, faulty);
    uint64_t slot[(SIM_BYZ_MESSAGE_BYTES + 256) / 8];
    if (links->config.place != TACIT_LINKS_ON_REPLICAS || receiver == faulty ||
        bytes > links->config.message_bytes || actor->seen[receiver] == 0) {
        return false;
    }
    uint64_t number = actor->seen[receiver] + (uint64_t)(actor->shift[receiver] + 1);
    memcpy((uint8_t *)slot + TACIT_RING_HEADER, message, bytes);
    uint32_t size = tacit_ring_seal(links->layout.shape, number, (uint8_t *)slot, bytes);
    struct tacit_region_key key = {TACIT_REGION_CONTROL, (tacit_node_t)faulty,
                                   cluster->process[faulty].incarnation};
    if (!sim_net_forge(cluster->net, faulty, receiver, key,
                       links->config.offset + links->layout.ring +
                           tacit_ring_offset(links->layout.shape, number),
                       slot, size)) {
        return false;
    }
    actor->shift[receiver]++;
    return true;
}

// After the seal: not even the ring's own rules hold.
static void break_seal(struct sim_cluster *cluster, struct sim_op *op, uint32_t bytes)
{
    uint64_t *words = op->copy;
    if (sim_byz_hits(cluster, SIM_ATTACK_TORN)) {
        switch (sim_byz_draw32(cluster, 4)) {
        case 0:
            words[2] ^= 1;
            break;
        case 1:
            words[1] = (uint64_t)sim_byz_draw32(cluster, UINT32_MAX) << 32 | bytes;
            break;
        case 2:
            words[1] = sim_byz_draw32(cluster, 2 * SIM_BYZ_MESSAGE_BYTES);
            break;
        default:
            words[sim_byz_draw32(cluster, op->op.bytes / 8)] ^= 1ull << sim_byz_draw32(cluster, 64);
            break;
        }
    }
}

static bool tamper_message(struct sim_cluster *cluster, uint32_t faulty, uint32_t receiver,
                           struct sim_op *op)
{
    struct sim_byz_actor *actor = &cluster->byz.actor[faulty];
    const struct tacit_links *links = links_of(cluster, faulty);
    struct tacit_ring_shape shape = links->layout.shape;
    bool shifts = links->config.place == TACIT_LINKS_ON_REPLICAS;
    uint8_t *message = (uint8_t *)op->copy + TACIT_RING_HEADER;
    uint64_t number = op->copy[0];
    uint32_t bytes = (uint32_t)op->copy[1];
    uint64_t start = op->op.offset - tacit_ring_offset(shape, number);
    bool fresh = number > actor->seen[receiver];
    actor->seen[receiver] = fresh ? number : actor->seen[receiver];
    if (fresh) {
        keep(actor, message, bytes);
    }
    if (sim_byz_hits(cluster, SIM_ATTACK_HOLE)) {
        return false;
    }
    if (!sim_byz_edit(cluster, faulty, receiver, message, &bytes)) {
        actor->shift[receiver] -= fresh && shifts;
        return false;
    }
    if (fresh && sim_byz_hits(cluster, SIM_ATTACK_REPLAY)) {
        const struct sim_byz_message *old = &actor->kept[sim_byz_draw32(
            cluster, actor->kept_count < SIM_BYZ_KEPT ? actor->kept_count : SIM_BYZ_KEPT)];
        actor->seen[receiver]--; // before this one
        if (!sim_byz_say(cluster, faulty, receiver, old->data, old->bytes)) {
            bytes = old->bytes;
            memcpy(message, old->data, bytes);
        }
        actor->seen[receiver]++;
    }
    if (sim_byz_hits(cluster, SIM_ATTACK_REWIND)) {
        number += choice_u32(cluster->choice, 3 * shape.slots);
        number -= number > shape.slots ? choice_u32(cluster->choice, shape.slots) : 0;
    }
    if ((int64_t)number + actor->shift[receiver] < 1) {
        return false;
    }
    number += (uint64_t)actor->shift[receiver];
    op->op.bytes = tacit_ring_seal(shape, number, (uint8_t *)op->copy, bytes);
    op->op.offset = start + tacit_ring_offset(shape, number);
    break_seal(cluster, op, bytes);
    return true;
}

// ---- bodies and votes

static void tamper_body(struct sim_cluster *cluster, uint32_t receiver, struct sim_op *op)
{
    uint64_t *words = op->copy;
    uint64_t bytes = words[TACIT_LINKS_BODY_LENGTH];
    if (bytes == 0 || 8u * TACIT_LINKS_BODY_WORDS + bytes > op->op.bytes) {
        return; // a part of a large one
    }
    uint8_t *body = (uint8_t *)(words + TACIT_LINKS_BODY_WORDS);
    struct tacit_digest said;
    tacit_body_digest(&said, body, bytes);
    struct sim_byz_instead *instead = sim_byz_instead_of(cluster, &said);
    if (instead == NULL && sim_byz_hits(cluster, SIM_ATTACK_BODY)) {
        instead = sim_byz_instead_new(cluster, &said);
        instead->is_beside = true;
        instead->body_seed = choice_u32(cluster->choice, UINT32_MAX);
        instead->to = choice_u32(cluster->choice, 4) == 3 ? 1u << receiver : UINT32_MAX;
    }
    if (instead != NULL && instead->is_beside && (instead->to >> receiver & 1) != 0) {
        sim_byz_alter(body, (uint32_t)bytes, instead->body_seed);
        tacit_body_digest(&instead->told, body, bytes);
        words[TACIT_LINKS_BODY_CHECK] = tacit_links_body_check(words, body, (uint32_t)bytes);
    }
    if (sim_byz_hits(cluster, SIM_ATTACK_TORN)) {
        words[choice_u32(cluster->choice, op->op.bytes / 8)] ^= 1;
    }
}

static void tamper_cell(struct sim_cluster *cluster, uint32_t faulty, uint32_t receiver,
                        unsigned kind, uint8_t *cell)
{
    uint64_t view;
    uint64_t slot;
    struct tacit_digest digest;
    uint8_t *rest = cell + 8u * TACIT_LINKS_CELL_REST;
    memcpy(&view, cell + 8u * TACIT_LINKS_CELL_VIEW, 8);
    memcpy(&slot, cell + 8u * TACIT_LINKS_CELL_SLOT, 8);
    memcpy(digest.bytes, rest, TACIT_DIGEST_BYTES);
    const struct sim_byz_instead *instead = sim_byz_instead_of(cluster, &digest);
    bool changed = instead != NULL && (instead->to >> receiver & 1) != 0;
    if (changed) {
        digest = instead->told;
    }
    if (sim_byz_hits(cluster, SIM_ATTACK_VOTE)) {
        changed = true;
        switch (choice_u32(cluster->choice, 4)) {
        case 0:
            digest = drawn_digest(cluster);
            break;
        case 1:
            view++;
            break;
        case 2:
            view -= view > 0;
            break;
        default: // of another slot
            slot += choice_u32(cluster->choice, 3) - 1u;
            break;
        }
    }
    if (changed) {
        memcpy(cell + 8u * TACIT_LINKS_CELL_VIEW, &view, 8);
        memcpy(cell + 8u * TACIT_LINKS_CELL_SLOT, &slot, 8);
        memcpy(rest, digest.bytes, TACIT_DIGEST_BYTES);
        if (kind == TACIT_VOTE_CERTIFY && choice_u32(cluster->choice, 8) != 7) {
            uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
            struct tacit_signature signature;
            uint32_t bytes = tacit_statement_certify(
                statement, cluster->process[faulty].smr->byzantine.agree->epoch, view, slot,
                &digest);
            sim_byz_sign(&cluster->process[faulty], TACIT_DOMAIN_CERTIFY, statement, bytes,
                         &signature);
            memcpy(rest + TACIT_DIGEST_BYTES, signature.bytes, TACIT_SIGNATURE_BYTES);
        }
        uint64_t check = tacit_links_cell_check(kind, cell);
        memcpy(cell, &check, 8);
    }
    if (sim_byz_hits(cluster, SIM_ATTACK_TORN)) {
        cell[8 + choice_u32(cluster->choice, tacit_links_cell_bytes(kind) - 8)] ^= 1;
    }
}

static bool tamper_area(struct sim_cluster *cluster, uint32_t faulty, uint32_t receiver,
                        uint64_t offset, struct sim_op *op)
{
    const struct tacit_links_layout *layout = &links_of(cluster, faulty)->layout;
    if (offset < layout->ring) { // head at a memory node
        if (sim_byz_hits(cluster, SIM_ATTACK_TORN)) {
            op->copy[choice_u32(cluster->choice, op->op.bytes / 8)] ^= 1;
        }
        return true;
    }
    if (offset < layout->bodies) {
        return tamper_message(cluster, faulty, receiver, op);
    }
    if (offset < layout->cells[TACIT_VOTE_ACK]) {
        if ((offset - layout->bodies) % layout->body_slot == 0) {
            tamper_body(cluster, receiver, op);
        }
        return true;
    }
    unsigned kind =
        offset < layout->cells[TACIT_VOTE_CERTIFY] ? TACIT_VOTE_ACK : TACIT_VOTE_CERTIFY;
    if ((cluster->byz.actor[faulty].no_votes >> receiver & 1) != 0 &&
        sim_byz_hits(cluster, SIM_ATTACK_NO_VOTE)) {
        return false;
    }
    for (uint32_t at = 0; at < op->op.bytes; at += tacit_links_cell_bytes(kind)) {
        tamper_cell(cluster, faulty, receiver, kind, (uint8_t *)op->copy + at);
    }
    return true;
}

// ---- registers

static bool tamper_register(struct sim_cluster *cluster, uint32_t faulty, struct sim_op *op)
{
    struct sim_byz_actor *actor = &cluster->byz.actor[faulty];
    uint8_t *value = (uint8_t *)op->copy + 16;
    memcpy(actor->value[actor->values++ % SIM_BYZ_VALUES], value, SIM_BYZ_VALUE_BYTES);
    if (!sim_byz_hits(cluster, SIM_ATTACK_REGISTER)) {
        return true;
    }
    struct tacit_ctb_evidence evidence;
    uint32_t known = actor->values < SIM_BYZ_VALUES ? actor->values : SIM_BYZ_VALUES;
    switch (choice_u32(cluster->choice, 6)) {
    case 0: // torn for good
        op->copy[0] ^= 1;
        return true;
    case 1:
        return false;
    case 2:
        choice_bytes(cluster->choice, value, SIM_BYZ_VALUE_BYTES);
        break;
    case 3: // of another id, and perhaps of another broadcaster
        memcpy(value, actor->value[choice_u32(cluster->choice, known)], SIM_BYZ_VALUE_BYTES);
        break;
    case 4: // what nobody signed
        if (tacit_ctb_register_decode(&evidence, value) == TACIT_VERDICT_OK) {
            evidence.payload.digest = drawn_digest(cluster);
            tacit_ctb_register_encode(value, &evidence);
        }
        break;
    default:
        if (tacit_ctb_register_decode(&evidence, value) == TACIT_VERDICT_OK) {
            evidence.k += choice_range(cluster->choice, 1, 64);
            tacit_ctb_register_encode(value, &evidence);
        }
        break;
    }
    op->copy[0] = XXH3_64bits((uint8_t *)op->copy + 8, 8 + SIM_BYZ_VALUE_BYTES);
    return true;
}

// ---- replies

static bool tamper_reply(struct sim_cluster *cluster, struct sim_op *op)
{
    const struct tacit_smr_config *smr = &cluster->shape.smr;
    struct tacit_ring_shape shape =
        tacit_ring_shape(smr->ring_slots, tacit_wire_reply_max(smr->reply_bytes, true));
    struct tacit_wire_reply reply;
    uint8_t *bytes = (uint8_t *)op->copy + TACIT_RING_HEADER;
    uint8_t copy[SIM_BYZ_MESSAGE_BYTES];
    uint32_t length = (uint32_t)op->copy[1];
    if (length > sizeof copy || length + TACIT_RING_HEADER > op->op.bytes ||
        !sim_byz_hits(cluster, SIM_ATTACK_REPLY)) {
        return true;
    }
    memcpy(copy, bytes, length);
    if (tacit_wire_reply_decode(&reply, copy, length) != TACIT_VERDICT_OK) {
        return true;
    }
    switch (choice_u32(cluster->choice, 7)) {
    case 0:
        reply.index += choice_u32(cluster->choice, 3) - 1u;
        break;
    case 1:
        copy[reply.body_bytes > 0
                 ? TACIT_WIRE_REPLY_HEADER + choice_u32(cluster->choice, reply.body_bytes)
                 : 0] ^= 1;
        break;
    case 2:
        reply.kind = (uint8_t)choice_range(cluster->choice, TACIT_REPLY_RESULT, TACIT_REPLY_SIGN);
        break;
    case 3:
        reply.number++;
        break;
    case 4:
        reply.session ^= 1;
        break;
    case 5:
        choice_bytes(cluster->choice, copy, length);
        memcpy(bytes, copy, length);
        tacit_ring_seal(shape, op->copy[0], (uint8_t *)op->copy, length);
        return true;
    default:
        return false;
    }
    size_t size = tacit_wire_reply_encode(bytes, shape.slot_bytes - TACIT_RING_HEADER, &reply);
    if (size > 0) {
        op->op.bytes = tacit_ring_seal(shape, op->copy[0], (uint8_t *)op->copy, (uint32_t)size);
    }
    return true;
}

// ---- the port

static bool tamper_replica(struct sim_cluster *cluster, uint32_t faulty, uint32_t host,
                           struct sim_op *op)
{
    const struct tacit_smr *smr = cluster->process[faulty].smr;
    const struct tacit_links *links = smr == NULL ? NULL : smr->byzantine.links;
    const struct tacit_links_layout *layout = links == NULL ? NULL : &links->layout;
    switch (op->region->key.region_class) {
    case TACIT_REGION_REPLIES:
        return tamper_reply(cluster, op);
    case TACIT_REGION_CONTROL:
        if (layout == NULL || links->config.place != TACIT_LINKS_ON_REPLICAS) {
            return true;
        }
        return tamper_area(cluster, faulty, host, op->op.offset - links->config.offset, op);
    case TACIT_REGION_REGISTERS: {
        if (layout == NULL) {
            return true;
        }
        if (links->config.place != TACIT_LINKS_ON_MEMNODES ||
            op->op.offset < links->config.offset) {
            return tamper_register(cluster, faulty, op);
        }
        uint64_t at = op->op.offset - links->config.offset;
        return tamper_area(cluster, faulty, (uint32_t)(at / layout->bytes), at % layout->bytes, op);
    }
    default:
        return true;
    }
}

bool sim_byz_tamper(void *context, uint32_t peer, uint32_t host, struct sim_op *op,
                    uint64_t *delay_ns)
{
    struct sim_cluster *cluster = context;
    const struct sim_process *process = &cluster->process[peer];
    if (!sim_is_faulty(cluster, peer) || peer == host || op->op.kind != TACIT_OP_WRITE) {
        return true;
    }
    if (process->role == SIM_CLIENT) {
        return op->region->key.region_class != TACIT_REGION_REQUESTS ||
               sim_byz_tamper_client(cluster, process->id, host, op);
    }
    if (sim_byz_hits(cluster, SIM_ATTACK_DELAY)) {
        *delay_ns += choice_spread_ns(cluster->choice, 1000000);
    }
    return tamper_replica(cluster, process->id, host, op);
}

void sim_byz_lie(void *context, uint32_t peer, uint32_t host, const struct sim_op *op)
{
    struct sim_cluster *cluster = context;
    if (peer == host || !sim_is_faulty(cluster, host) ||
        op->region->key.region_class != TACIT_REGION_STATE ||
        !sim_byz_hits(cluster, SIM_ATTACK_STATE)) {
        return;
    }
    uint64_t *local = op->op.local;
    uint32_t words = op->op.bytes / 8;
    uint32_t changes = choice_range(cluster->choice, 1, 4);
    for (uint32_t i = 0; i < changes; i++) {
        local[choice_u32(cluster->choice, words)] ^= 1ull << choice_u32(cluster->choice, 64);
    }
}
