// SPDX-License-Identifier: Apache-2.0
//
// Ring messages of a faulty replica: what it keeps back, fields changed, signatures made right
// again with its own key. See adversary.h.
#include <string.h>

#include "adversary.h"
#include "byzantine/agree_internal.h"
#include "byzantine/ctb_internal.h"
#include "byzantine/requests.h"
#include "smr/internal.h"

// {kind, ..., u64 at 8, u64 at 16, ...}: agree_base.c, agree_view.c
#define CHECKPOINT_SHARE_BYTES (16u + TACIT_DIGEST_BYTES + TACIT_SIGNATURE_BYTES)
#define STATE_SHARE_BYTES (24u + TACIT_DIGEST_BYTES + TACIT_SIGNATURE_BYTES)

static const struct tacit_agree *agree_of(struct adversary *adversary, uint32_t faulty)
{
    return adversary_smr(adversary, faulty)->byzantine.agree;
}

static uint64_t near(struct adversary *adversary, uint64_t value)
{
    static const int64_t steps[] = {1, -1, 2, 3, 8, 16, 128, -8, 1ll << 40};
    uint32_t at = choice_u32(adversary->choice, sizeof steps / sizeof *steps + 1);
    return at == sizeof steps / sizeof *steps ? 0 : value + (uint64_t)steps[at];
}

static void change_digest(struct adversary *adversary, struct tacit_digest *digest)
{
    uint32_t known =
        adversary->insteads < ADVERSARY_INSTEADS ? adversary->insteads : ADVERSARY_INSTEADS;
    if (known > 0 && choice_u32(adversary->choice, 2) == 1) {
        *digest = adversary->instead[choice_u32(adversary->choice, known)].said;
        return;
    }
    digest->bytes[choice_u32(adversary->choice, TACIT_DIGEST_BYTES)] ^= 1;
}

static void change_payload(struct adversary *adversary, struct tacit_payload *payload)
{
    switch (choice_u32(adversary->choice, 5)) {
    case 0:
        payload->view = near(adversary, payload->view);
        break;
    case 1:
        payload->slot = near(adversary, payload->slot);
        break;
    case 2:
        change_digest(adversary, &payload->digest);
        break;
    case 3:
        payload->kind = (uint8_t)choice_range(adversary->choice, TACIT_PAYLOAD_PREPARE,
                                              TACIT_PAYLOAD_KINDS - 1);
        break;
    default:
        payload->body_bytes = (uint32_t)near(adversary, payload->body_bytes);
        break;
    }
}

// ---- consistent broadcast

static void sign_again(struct adversary *adversary, uint32_t faulty, struct tacit_ctb_message *m)
{
    uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
    uint32_t bytes;
    if (m->kind == TACIT_MESSAGE_SIGNED) {
        bytes = tacit_statement_stream_id(statement, m->epoch, m->stream, m->k, &m->payload);
        adversary_sign(adversary, faulty, TACIT_DOMAIN_STREAM_ID, statement, bytes, &m->signature);
    } else if (m->kind == TACIT_MESSAGE_SUMMARY_SHARE) {
        bytes = tacit_statement_summary(statement, m->epoch, m->stream, m->k, &m->digest);
        adversary_sign(adversary, faulty, TACIT_DOMAIN_SUMMARY, statement, bytes, &m->signature);
    }
}

static void change_ctb(struct adversary *adversary, struct tacit_ctb_message *m)
{
    switch (choice_u32(adversary->choice, 8)) {
    case 0:
        m->k = near(adversary, m->k);
        break;
    case 1:
        m->stream = (tacit_node_t)choice_u32(adversary->choice, adversary->replicas);
        break;
    case 2:
        m->epoch += choice_u32(adversary->choice, 2);
        break;
    case 3:
        m->word = near(adversary, m->word);
        break;
    case 4:
        change_digest(adversary, &m->digest);
        break;
    case 5:
        m->unvouched = m->kind == TACIT_MESSAGE_LOCKED && !m->unvouched;
        break;
    default:
        change_payload(adversary, &m->payload);
        break;
    }
}

static uint32_t encode(struct adversary *adversary, const struct tacit_ctb_message *m,
                       uint8_t *message)
{
    uint32_t bytes = tacit_ctb_encode(adversary->scratch, m);
    memcpy(message, adversary->scratch, bytes);
    return bytes;
}

static void edit_ctb(struct adversary *adversary, uint32_t faulty, uint32_t receiver,
                     uint8_t *message, uint32_t *bytes)
{
    uint8_t replicas = adversary->replicas;
    struct tacit_ctb_message m;
    memset(&m, 0, sizeof m);
    if (tacit_ctb_decode(&m, message, *bytes, (uint8_t)((replicas + 1) / 2), replicas) !=
        TACIT_VERDICT_OK) {
        return;
    }
    if (m.kind == TACIT_MESSAGE_LOCK && m.carries == TACIT_CTB_INLINE) {
        tacit_body_digest(&m.payload.digest, m.body, m.body_bytes); // it is not in the message
    }
    bool names = m.kind == TACIT_MESSAGE_LOCK || m.kind == TACIT_MESSAGE_LOCKED ||
                 m.kind == TACIT_MESSAGE_SIGNED;
    bool changed = false;
    if (m.kind == TACIT_MESSAGE_LOCK && m.stream == faulty) {
        adversary_instead_consider(adversary, faulty, &m);
    }
    const struct adversary_instead *instead =
        names ? adversary_instead_of(adversary, &m.payload.digest) : NULL;
    if (instead != NULL && (instead->to >> receiver & 1) != 0) {
        struct tacit_ctb_message said = m;
        changed = true;
        m.payload.digest = instead->told;
        if (instead->has_body) {
            m.payload.body_bytes = instead->bytes;
        }
        if (instead->has_body && m.kind == TACIT_MESSAGE_LOCK) {
            m.carries = TACIT_CTB_INLINE;
            m.word = 0;
            m.body = instead->body;
            m.body_bytes = instead->bytes;
            if (adversary_hits(adversary, ADVERSARY_RELOCK)) { // what the others get, too
                uint32_t more = tacit_ctb_encode(adversary->scratch, &said);
                adversary->actor[faulty].seen[receiver]--;
                (void)adversary_say(adversary, faulty, receiver, adversary->scratch, more);
                adversary->actor[faulty].seen[receiver]++;
            }
        }
    }
    if (adversary_hits(adversary, ADVERSARY_EDIT)) {
        change_ctb(adversary, &m);
        changed = true;
    }
    if (names && adversary_hits(adversary, ADVERSARY_OVERSIZED)) {
        m.payload.body_bytes =
            choice_u32(adversary->choice, 2) == 1 ? UINT32_MAX : m.payload.body_bytes + (1u << 20);
        changed = true;
    }
    if (changed) {
        if (m.stream == faulty || m.kind == TACIT_MESSAGE_SUMMARY_SHARE) {
            sign_again(adversary, faulty, &m);
        }
        *bytes = encode(adversary, &m, message);
    }
}

// ---- agreement and requests

static void edit_share(struct adversary *adversary, uint32_t faulty, uint8_t *message,
                       uint32_t bytes)
{
    uint64_t epoch = agree_of(adversary, faulty)->epoch;
    uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
    bool state = message[0] == TACIT_MESSAGE_STATE_SHARE;
    uint8_t *at = message + (state ? 24 : 16);
    struct tacit_digest digest;
    struct tacit_signature signature;
    if (bytes < (state ? STATE_SHARE_BYTES : CHECKPOINT_SHARE_BYTES)) {
        return;
    }
    uint64_t first = tacit_get64(message + 8);
    uint64_t second = tacit_get64(message + 16);
    memcpy(digest.bytes, at, TACIT_DIGEST_BYTES);
    uint32_t what = choice_u32(adversary->choice, state ? 4 : 2);
    first = what == 1 ? near(adversary, first) : first;
    second = what == 2 ? near(adversary, second) : second;
    message[1] =
        what == 3 ? (uint8_t)choice_u32(adversary->choice, adversary->replicas) : message[1];
    if (what == 0) {
        change_digest(adversary, &digest);
    }
    memcpy(message + 8, &first, 8);
    if (state) {
        memcpy(message + 16, &second, 8);
    }
    memcpy(at, digest.bytes, TACIT_DIGEST_BYTES);
    uint32_t size =
        state ? tacit_statement_state_share(statement, epoch, message[1], first, &digest, second)
              : tacit_statement_checkpoint(statement, epoch, first, &digest);
    adversary_sign(adversary, faulty, state ? TACIT_DOMAIN_STATE_SHARE : TACIT_DOMAIN_CHECKPOINT,
                   statement, size, &signature);
    memcpy(at + TACIT_DIGEST_BYTES, signature.bytes, TACIT_SIGNATURE_BYTES);
}

static void edit_word(struct adversary *adversary, uint8_t *message, uint32_t bytes)
{
    if (bytes >= 16) {
        uint32_t at = 8 * choice_range(adversary->choice, 1, bytes / 8 - 1);
        uint64_t word = near(adversary, tacit_get64(message + at));
        memcpy(message + at, &word, 8);
    }
}

// ---- all

static bool is_silent(struct adversary *adversary, uint32_t faulty, uint32_t receiver, uint8_t kind)
{
    const struct adversary_actor *actor = &adversary->actor[faulty];
    return (actor->silent_to >> receiver & 1) != 0 &&
           (actor->silent_kind == 0 || actor->silent_kind == kind) &&
           adversary_hits(adversary, ADVERSARY_SILENCE);
}

bool adversary_edit(struct adversary *adversary, uint32_t faulty, uint32_t receiver,
                    uint8_t *message, uint32_t *bytes)
{
    if (*bytes == 0 || *bytes > ADVERSARY_MESSAGE_BYTES) {
        return true;
    }
    uint8_t kind = message[0];
    bool muted =
        adversary->world.mutes != NULL &&
        adversary->world.mutes(adversary->world.context, faulty, receiver, message, *bytes, 0);
    if (muted || is_silent(adversary, faulty, receiver, kind)) {
        return false;
    }
    if (kind < TACIT_MESSAGE_CTB_END) {
        edit_ctb(adversary, faulty, receiver, message, bytes);
    } else if (adversary_hits(adversary, ADVERSARY_EDIT)) {
        if (kind == TACIT_MESSAGE_STATE_SHARE || kind == TACIT_MESSAGE_CHECKPOINT_SHARE) {
            edit_share(adversary, faulty, message, *bytes);
        } else {
            edit_word(adversary, message, *bytes);
        }
    }
    if (adversary_hits(adversary, ADVERSARY_GARBAGE)) {
        uint32_t from = choice_u32(adversary->choice, 3) == 0 ? 0 : 1;
        uint32_t at = from + choice_u32(adversary->choice, *bytes);
        choice_bytes(adversary->choice, message + (at < *bytes ? at : 0),
                     *bytes - (at < *bytes ? at : 0));
        if (choice_u32(adversary->choice, 2) == 1) {
            *bytes = choice_u32(adversary->choice, *bytes + 1);
        }
    }
    return true;
}
