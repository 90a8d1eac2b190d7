// SPDX-License-Identifier: Apache-2.0
//
// Equivocation. Of a faulty broadcaster's payload some receivers, or all, get another one; from
// then on every faulty replica's messages and votes to those receivers speak of that one. See
// adversary.h.
#include <string.h>

#include "adversary.h"
#include "byzantine/agree_internal.h"
#include "byzantine/ctb_internal.h"
#include "byzantine/streams.h"
#include "smr/internal.h"
#include "tacit/wire.h"

#define CLAIMS_MAX 64u

struct adversary_instead *adversary_instead_of(struct adversary *adversary,
                                               const struct tacit_digest *said)
{
    uint32_t known =
        adversary->insteads < ADVERSARY_INSTEADS ? adversary->insteads : ADVERSARY_INSTEADS;
    for (uint32_t i = 0; i < known; i++) {
        if (memcmp(adversary->instead[i].said.bytes, said->bytes, TACIT_DIGEST_BYTES) == 0) {
            return &adversary->instead[i];
        }
    }
    return NULL;
}

struct adversary_instead *adversary_instead_new(struct adversary *adversary,
                                                const struct tacit_digest *said)
{
    struct adversary_instead *instead =
        &adversary->instead[adversary->insteads++ % ADVERSARY_INSTEADS];
    instead->to = 0;
    instead->is_beside = instead->has_body = false;
    instead->said = instead->told = *said;
    instead->bytes = 0;
    return instead;
}

void adversary_alter(uint8_t *body, uint32_t bytes, uint32_t seed)
{
    if (bytes == 0) {
        return;
    }
    body[seed % bytes] ^= (uint8_t)(1u << (seed >> 24) % 8);
    if ((seed >> 16 & 3) == 0) {
        body[(seed >> 4) % bytes] ^= 0x55;
    }
}

// Another batch: none, an older one, one of a request that nobody sent.
static void make_batch(struct adversary *adversary, const struct tacit_ctb_message *lock,
                       struct adversary_instead *instead)
{
    uint32_t known =
        adversary->batches < ADVERSARY_BATCHES ? adversary->batches : ADVERSARY_BATCHES;
    uint32_t style = adversary_style(adversary, ADVERSARY_EQUIVOCATE, 4);
    instead->bytes = 0;
    if (style == 1 && known > 0) {
        const struct adversary_message *old =
            &adversary->batch[choice_u32(adversary->choice, known)];
        instead->bytes = old->bytes;
        memcpy(instead->body, old->data, old->bytes);
    } else if (style >= 2 && lock->body_bytes > 0) {
        struct tacit_wire_item item;
        size_t offset = 0;
        instead->bytes = lock->body_bytes;
        memcpy(instead->body, lock->body, lock->body_bytes);
        if (tacit_wire_item_decode(&item, instead->body, lock->body_bytes, &offset) ==
                TACIT_VERDICT_OK &&
            item.body_bytes > 4 && style == 2) {
            // An argument that its client never named.
            instead->body[(size_t)(item.body - instead->body) + 4] ^= 0x40;
        } else {
            instead->body[8 + choice_u32(adversary->choice, lock->body_bytes - 8)] ^= 1;
        }
    }
    struct adversary_message *kept = &adversary->batch[adversary->batches++ % ADVERSARY_BATCHES];
    kept->bytes = lock->body_bytes;
    memcpy(kept->data, lock->body, lock->body_bytes);
}

// What CERTIFY cells of others show for this digest, else of nobody: then with own shares only.
static void make_commit(struct adversary *adversary, uint32_t faulty,
                        const struct tacit_ctb_message *lock, struct adversary_instead *instead)
{
    const struct tacit_agree *agree = adversary_smr(adversary, faulty)->byzantine.agree;
    struct tacit_links *links = adversary_smr(adversary, faulty)->byzantine.links;
    struct tacit_digest digest;
    uint32_t style = adversary_style(adversary, ADVERSARY_EQUIVOCATE, 4);
    memcpy(digest.bytes, lock->body, TACIT_DIGEST_BYTES);
    const struct adversary_instead *other = adversary_instead_of(adversary, &digest);
    if (other != NULL && other->to != 0) {
        digest = other->told;
    } else {
        tacit_body_digest(&digest, NULL, 0); // a no-op
    }
    uint8_t quorum = (uint8_t)((adversary->replicas + 1) / 2);
    uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
    struct tacit_share own = {.signer = (uint8_t)faulty};
    uint32_t bytes = tacit_statement_certify(statement, agree->epoch, lock->payload.view,
                                             lock->payload.slot, &digest);
    adversary_sign(adversary, faulty, TACIT_DOMAIN_CERTIFY, statement, bytes, &own.signature);
    struct tacit_certificate certificate = {0};
    for (uint8_t r = 0; r < adversary->replicas && certificate.count < quorum; r++) {
        struct tacit_vote vote;
        struct tacit_share share = {.signer = r, .signature = own.signature};
        bool has = r == faulty;
        if (!has &&
            tacit_links_voted(links, r, TACIT_VOTE_CERTIFY, lock->payload.slot, &vote) ==
                TACIT_VERDICT_OK &&
            vote.view == lock->payload.view && tacit_digest_is_equal(&vote.digest, &digest)) {
            share.signature = vote.signature;
            has = true;
        }
        if (has || style == 1) { // style 1: signatures that do not hold
            certificate.shares[certificate.count++] = share;
        }
    }
    while (certificate.count < quorum) {
        certificate.shares[certificate.count++] = own;
    }
    memcpy(instead->body, digest.bytes, TACIT_DIGEST_BYTES);
    instead->bytes =
        TACIT_DIGEST_BYTES +
        (uint32_t)tacit_certificate_encode(instead->body + TACIT_DIGEST_BYTES,
                                           sizeof instead->body - TACIT_DIGEST_BYTES, &certificate);
}

// A checkpoint that it alone signed, for all.
static void make_checkpoint(struct adversary *adversary, uint32_t faulty,
                            const struct tacit_ctb_message *lock, struct adversary_instead *instead)
{
    const struct tacit_agree *agree = adversary_smr(adversary, faulty)->byzantine.agree;
    struct tacit_digest root;
    uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
    struct tacit_share own = {.signer = (uint8_t)faulty};
    struct tacit_certificate certificate = {.count = (uint8_t)((adversary->replicas + 1) / 2)};
    memcpy(root.bytes, lock->body, TACIT_DIGEST_BYTES);
    root.bytes[0] ^= 1;
    uint32_t bytes = tacit_statement_checkpoint(statement, agree->epoch, lock->payload.slot, &root);
    adversary_sign(adversary, faulty, TACIT_DOMAIN_CHECKPOINT, statement, bytes, &own.signature);
    bool distinct = choice_u32(adversary->choice, 2) == 1;
    for (uint8_t i = 0; i < certificate.count; i++) {
        certificate.shares[i] = own;
        certificate.shares[i].signer = distinct ? i : own.signer;
    }
    memcpy(instead->body, root.bytes, TACIT_DIGEST_BYTES);
    instead->bytes =
        TACIT_DIGEST_BYTES +
        (uint32_t)tacit_certificate_encode(instead->body + TACIT_DIGEST_BYTES,
                                           sizeof instead->body - TACIT_DIGEST_BYTES, &certificate);
}

// Claims of slots that it did not ACK, or not so.
static void make_claims(struct adversary *adversary, const struct tacit_ctb_message *lock,
                        struct adversary_instead *instead)
{
    struct tacit_slot_value claims[CLAIMS_MAX];
    uint32_t count = 0;
    uint32_t window = adversary->window;
    if (window > CLAIMS_MAX || lock->body_bytes > 512 ||
        tacit_claims_decode(claims, &count, window, lock->payload.view, lock->body,
                            lock->body_bytes) != TACIT_VERDICT_OK) {
        return;
    }
    switch (adversary_style(adversary, ADVERSARY_EQUIVOCATE, 4)) {
    case 0:
        count = 0;
        break;
    case 1:
        for (uint32_t i = 0; i < count; i++) {
            claims[i].view = lock->payload.view;
        }
        break;
    case 2:
        for (uint32_t i = 0; i < count; i++) {
            tacit_body_digest(&claims[i].digest, NULL, 0);
            claims[i].view =
                choice_u32(adversary->choice, 2) == 1 ? lock->payload.view : claims[i].view;
        }
        break;
    default:
        claims[count] = (struct tacit_slot_value){
            .slot = count > 0 ? claims[count - 1].slot + 1 : choice_u32(adversary->choice, window),
            .view = lock->payload.view};
        tacit_body_digest(&claims[count].digest, NULL, 0);
        count += count < window;
        break;
    }
    instead->bytes = (uint32_t)tacit_claims_encode(instead->body, claims, count);
}

void adversary_instead_consider(struct adversary *adversary, uint32_t faulty,
                                const struct tacit_ctb_message *lock)
{
    if (adversary_instead_of(adversary, &lock->payload.digest) != NULL ||
        (lock->carries != TACIT_CTB_INLINE && lock->payload.body_bytes != 0) ||
        lock->body_bytes > TACIT_BYZ_INLINE_BYTES) {
        return;
    }
    const struct adversary_how *how = &adversary->how[ADVERSARY_EQUIVOCATE];
    if (how->only != 0 && how->only != lock->payload.kind) {
        return;
    }
    struct adversary_instead *instead = adversary_instead_new(adversary, &lock->payload.digest);
    bool forges =
        lock->payload.kind != TACIT_PAYLOAD_PREPARE && adversary_hits(adversary, ADVERSARY_FORGE);
    if (!forges && !adversary_hits(adversary, ADVERSARY_EQUIVOCATE)) {
        return;
    }
    instead->bytes = lock->body_bytes;
    if (lock->body_bytes > 0) {
        memcpy(instead->body, lock->body, lock->body_bytes);
    }
    switch (lock->payload.kind) {
    case TACIT_PAYLOAD_PREPARE:
        make_batch(adversary, lock, instead);
        break;
    case TACIT_PAYLOAD_COMMIT:
        if (lock->body_bytes >= TACIT_DIGEST_BYTES) {
            make_commit(adversary, faulty, lock, instead);
        }
        break;
    case TACIT_PAYLOAD_CHECKPOINT:
        if (lock->body_bytes >= TACIT_DIGEST_BYTES) {
            make_checkpoint(adversary, faulty, lock, instead);
        }
        break;
    case TACIT_PAYLOAD_SEAL_VIEW:
        make_claims(adversary, lock, instead);
        break;
    default:
        adversary_alter(instead->body, instead->bytes, choice_u32(adversary->choice, UINT32_MAX));
        break;
    }
    tacit_body_digest(&instead->told, instead->body, instead->bytes);
    instead->has_body = true;
    uint32_t all = (1u << adversary->replicas) - 1;
    bool to_all = forges || (how->to == 0 && choice_u32(adversary->choice, 3) == 2);
    uint32_t some = how->to != 0 ? how->to : 1 + choice_u32(adversary->choice, all);
    instead->to = to_all ? all : some;
    adversary_note(adversary,
                   "replica %u tells %x another payload of kind %u, view %llu, slot %llu, id %llu",
                   faulty, instead->to, lock->payload.kind, (unsigned long long)lock->payload.view,
                   (unsigned long long)lock->payload.slot, (unsigned long long)lock->k);
}
