// SPDX-License-Identifier: Apache-2.0
//
// Ring messages of a faulty replica: what it keeps back, fields changed, signatures made right
// again with its own key. See sim_byz.h.
#include <string.h>

#include "byzantine/agree_internal.h"
#include "byzantine/ctb_internal.h"
#include "byzantine/requests.h"
#include "sim_cluster.h"
#include "smr/internal.h"

// {kind, ..., u64 at 8, u64 at 16, ...}: agree_base.c, agree_view.c
#define CHECKPOINT_SHARE_BYTES (16u + TACIT_DIGEST_BYTES + TACIT_SIGNATURE_BYTES)
#define STATE_SHARE_BYTES (24u + TACIT_DIGEST_BYTES + TACIT_SIGNATURE_BYTES)

static const struct tacit_agree *agree_of(const struct sim_cluster *cluster, uint32_t faulty)
{
    return cluster->process[faulty].smr->byzantine.agree;
}

static uint64_t near(struct sim_cluster *cluster, uint64_t value)
{
    static const int64_t steps[] = {1, -1, 2, 3, 8, 16, 128, -8, 1ll << 40};
    uint32_t at = choice_u32(cluster->choice, sizeof steps / sizeof *steps + 1);
    return at == sizeof steps / sizeof *steps ? 0 : value + (uint64_t)steps[at];
}

static void change_digest(struct sim_cluster *cluster, struct tacit_digest *digest)
{
    const struct sim_byz *byz = &cluster->byz;
    uint32_t known = byz->insteads < SIM_BYZ_INSTEADS ? byz->insteads : SIM_BYZ_INSTEADS;
    if (known > 0 && choice_u32(cluster->choice, 2) == 1) {
        *digest = byz->instead[choice_u32(cluster->choice, known)].said;
        return;
    }
    digest->bytes[choice_u32(cluster->choice, TACIT_DIGEST_BYTES)] ^= 1;
}

static void change_payload(struct sim_cluster *cluster, struct tacit_payload *payload)
{
    switch (choice_u32(cluster->choice, 5)) {
    case 0:
        payload->view = near(cluster, payload->view);
        break;
    case 1:
        payload->slot = near(cluster, payload->slot);
        break;
    case 2:
        change_digest(cluster, &payload->digest);
        break;
    case 3:
        payload->kind =
            (uint8_t)choice_range(cluster->choice, TACIT_PAYLOAD_PREPARE, TACIT_PAYLOAD_KINDS - 1);
        break;
    default:
        payload->body_bytes = (uint32_t)near(cluster, payload->body_bytes);
        break;
    }
}

// ---- consistent broadcast

static void sign_again(struct sim_cluster *cluster, uint32_t faulty, struct tacit_ctb_message *m)
{
    uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
    struct sim_process *process = &cluster->process[faulty];
    uint32_t bytes;
    if (m->kind == TACIT_MESSAGE_SIGNED) {
        bytes = tacit_statement_stream_id(statement, m->epoch, m->stream, m->k, &m->payload);
        sim_byz_sign(process, TACIT_DOMAIN_STREAM_ID, statement, bytes, &m->signature);
    } else if (m->kind == TACIT_MESSAGE_SUMMARY_SHARE) {
        bytes = tacit_statement_summary(statement, m->epoch, m->stream, m->k, &m->digest);
        sim_byz_sign(process, TACIT_DOMAIN_SUMMARY, statement, bytes, &m->signature);
    }
}

static void change_ctb(struct sim_cluster *cluster, struct tacit_ctb_message *m)
{
    switch (choice_u32(cluster->choice, 7)) {
    case 0:
        m->k = near(cluster, m->k);
        break;
    case 1:
        m->stream = (tacit_node_t)choice_u32(cluster->choice, cluster->shape.smr.replicas);
        break;
    case 2:
        m->epoch += choice_u32(cluster->choice, 2);
        break;
    case 3:
        m->word = near(cluster, m->word);
        break;
    case 4:
        change_digest(cluster, &m->digest);
        break;
    default:
        change_payload(cluster, &m->payload);
        break;
    }
}

static uint32_t encode(struct sim_cluster *cluster, const struct tacit_ctb_message *m,
                       uint8_t *message)
{
    uint32_t bytes = tacit_ctb_encode(cluster->byz.scratch, m);
    memcpy(message, cluster->byz.scratch, bytes);
    return bytes;
}

static void edit_ctb(struct sim_cluster *cluster, uint32_t faulty, uint32_t receiver,
                     uint8_t *message, uint32_t *bytes)
{
    uint8_t replicas = cluster->shape.smr.replicas;
    struct tacit_ctb_message m;
    memset(&m, 0, sizeof m);
    if (tacit_ctb_decode(&m, message, *bytes, (uint8_t)((replicas + 1) / 2), replicas) !=
        TACIT_VERDICT_OK) {
        return;
    }
    bool names = m.kind == TACIT_MESSAGE_LOCK || m.kind == TACIT_MESSAGE_LOCKED ||
                 m.kind == TACIT_MESSAGE_SIGNED;
    bool changed = false;
    if (m.kind == TACIT_MESSAGE_LOCK && m.stream == faulty) {
        sim_byz_instead_consider(cluster, faulty, &m);
    }
    const struct sim_byz_instead *instead =
        names ? sim_byz_instead_of(cluster, &m.payload.digest) : NULL;
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
            if (sim_byz_hits(cluster, SIM_ATTACK_RELOCK)) { // what the others get, too
                uint32_t more = tacit_ctb_encode(cluster->byz.scratch, &said);
                cluster->byz.actor[faulty].seen[receiver]--;
                (void)sim_byz_say(cluster, faulty, receiver, cluster->byz.scratch, more);
                cluster->byz.actor[faulty].seen[receiver]++;
            }
        }
    }
    if (sim_byz_hits(cluster, SIM_ATTACK_EDIT)) {
        change_ctb(cluster, &m);
        changed = true;
    }
    if (changed) {
        if (m.stream == faulty || m.kind == TACIT_MESSAGE_SUMMARY_SHARE) {
            sign_again(cluster, faulty, &m);
        }
        *bytes = encode(cluster, &m, message);
    }
}

// ---- agreement and requests

static void edit_share(struct sim_cluster *cluster, uint32_t faulty, uint8_t *message,
                       uint32_t bytes)
{
    uint64_t epoch = agree_of(cluster, faulty)->epoch;
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
    uint32_t what = choice_u32(cluster->choice, state ? 4 : 2);
    first = what == 1 ? near(cluster, first) : first;
    second = what == 2 ? near(cluster, second) : second;
    message[1] =
        what == 3 ? (uint8_t)choice_u32(cluster->choice, cluster->shape.smr.replicas) : message[1];
    if (what == 0) {
        change_digest(cluster, &digest);
    }
    memcpy(message + 8, &first, 8);
    if (state) {
        memcpy(message + 16, &second, 8);
    }
    memcpy(at, digest.bytes, TACIT_DIGEST_BYTES);
    uint32_t size =
        state ? tacit_statement_state_share(statement, epoch, message[1], first, &digest, second)
              : tacit_statement_checkpoint(statement, epoch, first, &digest);
    sim_byz_sign(&cluster->process[faulty],
                 state ? TACIT_DOMAIN_STATE_SHARE : TACIT_DOMAIN_CHECKPOINT, statement, size,
                 &signature);
    memcpy(at + TACIT_DIGEST_BYTES, signature.bytes, TACIT_SIGNATURE_BYTES);
}

static void edit_word(struct sim_cluster *cluster, uint8_t *message, uint32_t bytes)
{
    if (bytes >= 16) {
        uint32_t at = 8 * choice_range(cluster->choice, 1, bytes / 8 - 1);
        uint64_t word = near(cluster, tacit_get64(message + at));
        memcpy(message + at, &word, 8);
    }
}

// ---- all

static bool is_silent(struct sim_cluster *cluster, uint32_t faulty, uint32_t receiver, uint8_t kind)
{
    const struct sim_byz_actor *actor = &cluster->byz.actor[faulty];
    return (actor->silent_to >> receiver & 1) != 0 &&
           (actor->silent_kind == 0 || actor->silent_kind == kind) &&
           sim_byz_hits(cluster, SIM_ATTACK_SILENCE);
}

bool sim_byz_edit(struct sim_cluster *cluster, uint32_t faulty, uint32_t receiver, uint8_t *message,
                  uint32_t *bytes)
{
    if (*bytes == 0 || *bytes > SIM_BYZ_MESSAGE_BYTES) {
        return true;
    }
    uint8_t kind = message[0];
    if (is_silent(cluster, faulty, receiver, kind)) {
        return false;
    }
    if (kind < TACIT_MESSAGE_CTB_END) {
        edit_ctb(cluster, faulty, receiver, message, bytes);
    } else if (sim_byz_hits(cluster, SIM_ATTACK_EDIT)) {
        if (kind == TACIT_MESSAGE_STATE_SHARE || kind == TACIT_MESSAGE_CHECKPOINT_SHARE) {
            edit_share(cluster, faulty, message, *bytes);
        } else {
            edit_word(cluster, message, *bytes);
        }
    }
    if (sim_byz_hits(cluster, SIM_ATTACK_GARBAGE)) {
        uint32_t from = choice_u32(cluster->choice, 3) == 0 ? 0 : 1;
        uint32_t at = from + choice_u32(cluster->choice, *bytes);
        choice_bytes(cluster->choice, message + (at < *bytes ? at : 0),
                     *bytes - (at < *bytes ? at : 0));
        if (choice_u32(cluster->choice, 2) == 1) {
            *bytes = choice_u32(cluster->choice, *bytes + 1);
        }
    }
    return true;
}
