// SPDX-License-Identifier: Apache-2.0
//
// Where the writes of faulty replicas are changed on their way. See adversary.h.
#include <string.h>

#include "adversary.h"
#include "byzantine/agree_internal.h"
#include "byzantine/ctb_internal.h"
#include "byzantine/links_internal.h"
#include "byzantine/registers.h"
#include "smr/internal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static const struct tacit_links *links_of(struct adversary *adversary, uint32_t replica)
{
    return adversary_smr(adversary, replica)->byzantine.links;
}

static struct tacit_digest drawn_digest(struct adversary *adversary)
{
    struct tacit_digest digest;
    choice_bytes(adversary->choice, digest.bytes, sizeof digest.bytes);
    return digest;
}

// ---- rings

static void keep(struct adversary_actor *actor, const uint8_t *message, uint32_t bytes)
{
    struct adversary_message *kept = &actor->kept[actor->kept_count++ % ADVERSARY_KEPT];
    kept->bytes = bytes;
    memcpy(kept->data, message, bytes);
}

bool adversary_say(struct adversary *adversary, uint32_t faulty, uint32_t receiver,
                   const void *message, uint32_t bytes)
{
    struct adversary_actor *actor = &adversary->actor[faulty];
    const struct tacit_links *links = links_of(adversary, faulty);
    uint64_t slot[(ADVERSARY_MESSAGE_BYTES + 256) / 8];
    if (links->config.place != TACIT_LINKS_ON_REPLICAS || receiver == faulty ||
        bytes > links->config.message_bytes || actor->seen[receiver] == 0) {
        return false;
    }
    uint64_t number = actor->seen[receiver] + (uint64_t)(actor->shift[receiver] + 1);
    memcpy((uint8_t *)slot + TACIT_RING_HEADER, message, bytes);
    uint32_t size = tacit_ring_seal(links->layout.shape, number, (uint8_t *)slot, bytes);
    struct tacit_region_key key = {TACIT_REGION_CONTROL, (tacit_node_t)faulty,
                                   adversary_smr(adversary, faulty)->config.incarnation};
    if (!adversary->world.forge(adversary->world.context, faulty, receiver, key,
                                links->config.offset + links->layout.ring +
                                    tacit_ring_offset(links->layout.shape, number),
                                slot, size)) {
        return false;
    }
    actor->shift[receiver]++;
    return true;
}

static uint32_t too_long(struct adversary *adversary, uint32_t most)
{
    static const uint32_t lengths[] = {UINT32_MAX, INT32_MAX, UINT32_MAX - 7, 1u << 20};
    uint32_t style = choice_u32(adversary->choice, 5);
    return style == 4 ? most + 1 + choice_u32(adversary->choice, 64) : lengths[style];
}

// After the seal: not even the ring's own rules hold.
static void break_seal(struct adversary *adversary, struct tacit_ring_shape shape,
                       struct adversary_write *op, uint32_t bytes)
{
    uint64_t *words = op->copy;
    if (adversary_hits(adversary, ADVERSARY_OVERSIZED)) {
        words[1] = too_long(adversary, shape.slot_bytes - TACIT_RING_HEADER);
        words[2] =
            XXH3_64bits_withSeed(words, 16, XXH3_64bits(words + 3, op->bytes - TACIT_RING_HEADER));
    }
    if (adversary_hits(adversary, ADVERSARY_TORN)) {
        switch (choice_u32(adversary->choice, 4)) {
        case 0:
            words[2] ^= 1;
            break;
        case 1:
            words[1] = (uint64_t)choice_u32(adversary->choice, UINT32_MAX) << 32 | bytes;
            break;
        case 2:
            words[1] = choice_u32(adversary->choice, 2 * ADVERSARY_MESSAGE_BYTES);
            break;
        default:
            words[choice_u32(adversary->choice, op->bytes / 8)] ^=
                1ull << choice_u32(adversary->choice, 64);
            break;
        }
    }
}

static bool tamper_message(struct adversary *adversary, uint32_t faulty, uint32_t receiver,
                           struct adversary_write *op)
{
    struct adversary_actor *actor = &adversary->actor[faulty];
    const struct tacit_links *links = links_of(adversary, faulty);
    struct tacit_ring_shape shape = links->layout.shape;
    bool shifts = links->config.place == TACIT_LINKS_ON_REPLICAS;
    uint32_t prefix = shifts ? 0 : TACIT_LINKS_PREFIX;
    uint8_t *message = (uint8_t *)op->copy + TACIT_RING_HEADER + prefix;
    uint64_t number = op->copy[0];
    uint32_t bytes = (uint32_t)op->copy[1] - prefix;
    uint64_t start = op->offset - tacit_ring_offset(shape, number);
    bool fresh = number > actor->seen[receiver];
    actor->seen[receiver] = fresh ? number : actor->seen[receiver];
    if (fresh) {
        keep(actor, message, bytes);
    }
    if (adversary_hits(adversary, ADVERSARY_HOLE)) {
        return false;
    }
    if (!adversary_edit(adversary, faulty, receiver, message, &bytes)) {
        actor->shift[receiver] -= fresh && shifts;
        return false;
    }
    if (fresh && adversary_hits(adversary, ADVERSARY_REPLAY)) {
        const struct adversary_message *old = &actor->kept[choice_u32(
            adversary->choice,
            actor->kept_count < ADVERSARY_KEPT ? actor->kept_count : ADVERSARY_KEPT)];
        actor->seen[receiver]--; // before this one
        if (!adversary_say(adversary, faulty, receiver, old->data, old->bytes)) {
            bytes = old->bytes;
            memcpy(message, old->data, bytes);
        }
        actor->seen[receiver]++;
    }
    if (adversary_hits(adversary, ADVERSARY_REWIND)) {
        number += choice_u32(adversary->choice, 3 * shape.slots);
        number -= number > shape.slots ? choice_u32(adversary->choice, shape.slots) : 0;
    }
    if ((int64_t)number + actor->shift[receiver] < 1) {
        return false;
    }
    number += (uint64_t)actor->shift[receiver];
    bytes += prefix;
    op->bytes = tacit_ring_seal(shape, number, (uint8_t *)op->copy, bytes);
    op->offset = start + tacit_ring_offset(shape, number);
    break_seal(adversary, shape, op, bytes);
    return true;
}

// ---- bodies and votes

static void tamper_body(struct adversary *adversary, uint32_t receiver, struct adversary_write *op)
{
    uint64_t *words = op->copy;
    uint64_t bytes = words[TACIT_LINKS_BODY_LENGTH];
    if (bytes == 0 || 8u * TACIT_LINKS_BODY_WORDS + bytes > op->bytes) {
        return; // a part of a large one
    }
    uint8_t *body = (uint8_t *)(words + TACIT_LINKS_BODY_WORDS);
    struct tacit_digest said;
    tacit_body_digest(&said, body, bytes);
    struct adversary_instead *instead = adversary_instead_of(adversary, &said);
    if (instead == NULL && adversary_hits(adversary, ADVERSARY_BODY)) {
        instead = adversary_instead_new(adversary, &said);
        instead->is_beside = true;
        instead->body_seed = choice_u32(adversary->choice, UINT32_MAX);
        instead->to = choice_u32(adversary->choice, 4) == 3 ? 1u << receiver : UINT32_MAX;
    }
    if (instead != NULL && instead->is_beside && (instead->to >> receiver & 1) != 0) {
        adversary_alter(body, (uint32_t)bytes, instead->body_seed);
        tacit_body_digest(&instead->told, body, bytes);
        words[TACIT_LINKS_BODY_CHECK] = tacit_links_body_check(words, body, (uint32_t)bytes);
    }
    if (adversary_hits(adversary, ADVERSARY_OVERSIZED)) {
        words[TACIT_LINKS_BODY_LENGTH] = too_long(adversary, op->bytes);
        words[TACIT_LINKS_BODY_CHECK] = tacit_links_body_check(words, body, (uint32_t)bytes);
    }
    if (adversary_hits(adversary, ADVERSARY_TORN)) {
        words[choice_u32(adversary->choice, op->bytes / 8)] ^= 1;
    }
}

static void tamper_cell(struct adversary *adversary, uint32_t faulty, uint32_t receiver,
                        unsigned kind, uint8_t *cell)
{
    uint64_t view;
    uint64_t slot;
    struct tacit_digest digest;
    uint8_t *rest = cell + 8u * TACIT_LINKS_CELL_REST;
    memcpy(&view, cell + 8u * TACIT_LINKS_CELL_VIEW, 8);
    memcpy(&slot, cell + 8u * TACIT_LINKS_CELL_SLOT, 8);
    memcpy(digest.bytes, rest, TACIT_DIGEST_BYTES);
    const struct adversary_instead *instead = adversary_instead_of(adversary, &digest);
    bool changed = instead != NULL && (instead->to >> receiver & 1) != 0;
    if (changed) {
        digest = instead->told;
    }
    if (adversary_hits(adversary, ADVERSARY_VOTE)) {
        changed = true;
        switch (adversary_style(adversary, ADVERSARY_VOTE, 4)) {
        case 0:
            digest = drawn_digest(adversary);
            break;
        case 1:
            view++;
            break;
        case 2:
            view -= view > 0;
            break;
        default: // of another slot
            slot += choice_u32(adversary->choice, 3) - 1u;
            break;
        }
    }
    if (changed) {
        memcpy(cell + 8u * TACIT_LINKS_CELL_VIEW, &view, 8);
        memcpy(cell + 8u * TACIT_LINKS_CELL_SLOT, &slot, 8);
        memcpy(rest, digest.bytes, TACIT_DIGEST_BYTES);
        if (kind == TACIT_VOTE_CERTIFY && choice_u32(adversary->choice, 8) != 7) {
            uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
            struct tacit_signature signature;
            uint32_t bytes = tacit_statement_certify(
                statement, adversary_smr(adversary, faulty)->byzantine.agree->epoch, view, slot,
                &digest);
            adversary_sign(adversary, faulty, TACIT_DOMAIN_CERTIFY, statement, bytes, &signature);
            memcpy(rest + TACIT_DIGEST_BYTES, signature.bytes, TACIT_SIGNATURE_BYTES);
        }
        uint64_t check = tacit_links_cell_check(kind, cell);
        memcpy(cell, &check, 8);
    }
    if (adversary_hits(adversary, ADVERSARY_TORN)) {
        cell[8 + choice_u32(adversary->choice, tacit_links_cell_bytes(kind) - 8)] ^= 1;
    }
}

static bool tamper_area(struct adversary *adversary, uint32_t faulty, uint32_t receiver,
                        uint64_t offset, struct adversary_write *op)
{
    const struct tacit_links_layout *layout = &links_of(adversary, faulty)->layout;
    if (offset < layout->ring) { // head at a memory node
        if (adversary_hits(adversary, ADVERSARY_TORN)) {
            op->copy[choice_u32(adversary->choice, op->bytes / 8)] ^= 1;
        }
        return true;
    }
    if (offset < layout->bodies) {
        return tamper_message(adversary, faulty, receiver, op);
    }
    if (offset < layout->cells[TACIT_VOTE_ACK]) {
        if ((offset - layout->bodies) % layout->body_slot == 0) {
            tamper_body(adversary, receiver, op);
        }
        return true;
    }
    unsigned kind =
        offset < layout->cells[TACIT_VOTE_CERTIFY] ? TACIT_VOTE_ACK : TACIT_VOTE_CERTIFY;
    bool muted = adversary->world.mutes != NULL &&
                 adversary->world.mutes(adversary->world.context, faulty, receiver, NULL, 0, kind);
    if (muted || ((adversary->actor[faulty].no_votes >> receiver & 1) != 0 &&
                  adversary_hits(adversary, ADVERSARY_NO_VOTE))) {
        return false;
    }
    for (uint32_t at = 0; at < op->bytes; at += tacit_links_cell_bytes(kind)) {
        tamper_cell(adversary, faulty, receiver, kind, (uint8_t *)op->copy + at);
    }
    return true;
}

// ---- registers

static bool tamper_register(struct adversary *adversary, uint32_t faulty,
                            struct adversary_write *op)
{
    struct adversary_actor *actor = &adversary->actor[faulty];
    uint8_t *value = (uint8_t *)op->copy + 16;
    memcpy(actor->value[actor->values++ % ADVERSARY_VALUES], value, ADVERSARY_VALUE_BYTES);
    if (!adversary_hits(adversary, ADVERSARY_REGISTER)) {
        return true;
    }
    struct tacit_ctb_evidence evidence;
    struct tacit_ctb_evidence old;
    uint32_t known = actor->values < ADVERSARY_VALUES ? actor->values : ADVERSARY_VALUES;
    switch (adversary_style(adversary, ADVERSARY_REGISTER, 7)) {
    case 0: // torn for good
        op->copy[0] ^= 1;
        return true;
    case 1:
        return false;
    case 2:
        choice_bytes(adversary->choice, value, ADVERSARY_VALUE_BYTES);
        break;
    case 3: // of another id, and perhaps of another broadcaster
        memcpy(value, actor->value[choice_u32(adversary->choice, known)], ADVERSARY_VALUE_BYTES);
        break;
    case 4: // what nobody signed
        if (tacit_ctb_register_decode(&evidence, value) == TACIT_VERDICT_OK) {
            evidence.payload.digest = drawn_digest(adversary);
            tacit_ctb_register_encode(value, &evidence);
        }
        break;
    case 5: // what was signed for another id, under this one
        if (tacit_ctb_register_decode(&evidence, value) == TACIT_VERDICT_OK &&
            tacit_ctb_register_decode(&old, actor->value[choice_u32(adversary->choice, known)]) ==
                TACIT_VERDICT_OK) {
            old.epoch = evidence.epoch;
            old.k = evidence.k;
            tacit_ctb_register_encode(value, &old);
        }
        break;
    default:
        if (tacit_ctb_register_decode(&evidence, value) == TACIT_VERDICT_OK) {
            evidence.k += choice_range(adversary->choice, 1, 64);
            tacit_ctb_register_encode(value, &evidence);
        }
        break;
    }
    op->copy[0] = XXH3_64bits((uint8_t *)op->copy + 8, 8 + ADVERSARY_VALUE_BYTES);
    return true;
}

// ---- replies

static bool tamper_reply(struct adversary *adversary, uint32_t faulty, struct adversary_write *op)
{
    const struct tacit_smr_config *smr = &adversary_smr(adversary, faulty)->config;
    struct tacit_ring_shape shape =
        tacit_ring_shape(smr->ring_slots, tacit_wire_reply_max(smr->reply_bytes, true));
    struct tacit_wire_reply reply;
    uint8_t *bytes = (uint8_t *)op->copy + TACIT_RING_HEADER;
    uint8_t copy[ADVERSARY_MESSAGE_BYTES];
    uint32_t length = (uint32_t)op->copy[1];
    if (length > sizeof copy || length + TACIT_RING_HEADER > op->bytes ||
        !adversary_hits(adversary, ADVERSARY_REPLY)) {
        return true;
    }
    memcpy(copy, bytes, length);
    if (tacit_wire_reply_decode(&reply, copy, length) != TACIT_VERDICT_OK) {
        return true;
    }
    switch (adversary_style(adversary, ADVERSARY_REPLY, 7)) {
    case 0:
        reply.index += choice_u32(adversary->choice, 3) - 1u;
        break;
    case 1:
        copy[reply.body_bytes > 0
                 ? TACIT_WIRE_REPLY_HEADER + choice_u32(adversary->choice, reply.body_bytes)
                 : 0] ^= 1;
        break;
    case 2:
        reply.kind = (uint8_t)choice_range(adversary->choice, TACIT_REPLY_RESULT, TACIT_REPLY_SIGN);
        break;
    case 3:
        reply.number++;
        break;
    case 4:
        reply.session ^= 1;
        break;
    case 5:
        choice_bytes(adversary->choice, copy, length);
        memcpy(bytes, copy, length);
        tacit_ring_seal(shape, op->copy[0], (uint8_t *)op->copy, length);
        return true;
    default:
        return false;
    }
    size_t size = tacit_wire_reply_encode(bytes, shape.slot_bytes - TACIT_RING_HEADER, &reply);
    if (size > 0) {
        op->bytes = tacit_ring_seal(shape, op->copy[0], (uint8_t *)op->copy, (uint32_t)size);
    }
    return true;
}

// ---- all

bool adversary_tamper(struct adversary *adversary, uint32_t faulty, uint32_t receiver,
                      struct adversary_write *op)
{
    const struct tacit_smr *smr = adversary_smr(adversary, faulty);
    const struct tacit_links *links = smr == NULL ? NULL : smr->byzantine.links;
    const struct tacit_links_layout *layout = links == NULL ? NULL : &links->layout;
    switch (op->region_class) {
    case TACIT_REGION_REPLIES:
        return tamper_reply(adversary, faulty, op);
    case TACIT_REGION_CONTROL:
        if (layout == NULL || links->config.place != TACIT_LINKS_ON_REPLICAS) {
            return true;
        }
        return tamper_area(adversary, faulty, receiver, op->offset - links->config.offset, op);
    case TACIT_REGION_REGISTERS: {
        if (layout == NULL) {
            return true;
        }
        if (links->config.place != TACIT_LINKS_ON_MEMNODES || op->offset < links->config.offset) {
            return tamper_register(adversary, faulty, op);
        }
        // The area is for all: memory nodes are told different things instead of receivers.
        return tamper_area(adversary, faulty, receiver % links->config.replicas,
                           op->offset - links->config.offset, op);
    }
    default:
        return true;
    }
}
