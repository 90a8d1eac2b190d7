// SPDX-License-Identifier: Apache-2.0
//
// Plots: NEW_VIEW and COMMIT as no code of a correct replica makes them. They go by broadcast like
// others; a liar that is caught by its own checks is silent from then on. See sim_plot.h.
#include <string.h>

#include "byzantine/agree_internal.h"
#include "byzantine/ctb_internal.h"
#include "sim_cluster.h"
#include "smr/internal.h"

#define SHARE_BYTES 80u // in NEW_VIEW: u64 signer, u64 base, 64 signature

// ---- NEW_VIEW

static void keep_first(struct sim_cluster *cluster, const struct tacit_agree *agree)
{
    struct sim_plot *plot = &cluster->byz.plot;
    const struct tacit_ctb *ctb = agree->ctb;
    for (uint32_t i = 0; i < ctb->config.tail * agree->config.replicas; i++) {
        const struct tacit_ctb_slot *slot =
            &ctb->streams[i / ctb->config.tail].slots[i % ctb->config.tail];
        uint32_t bytes = 0;
        if (plot->old_bytes != 0 || (slot->flags & TACIT_CTB_LOCKED) == 0 ||
            slot->payload.kind != TACIT_PAYLOAD_NEW_VIEW) {
            continue;
        }
        const uint8_t *body = tacit_bodies_find(agree->bodies, &slot->payload.digest, &bytes);
        if (body != NULL && bytes <= SIM_PLOT_OLD_BYTES) {
            memcpy(plot->old, body, bytes);
            plot->old_bytes = bytes;
            plot->old_base = slot->payload.slot;
        }
    }
}

static size_t put_share(uint8_t *out, uint64_t signer, uint64_t base,
                        const struct tacit_signature *signature)
{
    tacit_put64(out, signer);
    tacit_put64(out + 8, base);
    memcpy(out + 16, signature->bytes, TACIT_SIGNATURE_BYTES);
    return SHARE_BYTES;
}

static struct tacit_signature own_share(const struct sim_cluster *cluster, uint32_t liar,
                                        tacit_node_t replica, const uint8_t *state, uint32_t bytes,
                                        uint64_t base)
{
    const struct tacit_agree *agree = cluster->process[liar].smr->byzantine.agree;
    uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
    struct tacit_signature signature;
    struct tacit_digest digest;
    tacit_body_digest(&digest, state, bytes);
    uint32_t size = tacit_statement_state_share(statement, agree->epoch, replica, agree->view - 1,
                                                &digest, base);
    sim_signer_sign(cluster->process[liar].signer, TACIT_DOMAIN_STATE_SHARE, statement, size,
                    &signature);
    return signature;
}

// The state of r (or, in its name, the liar's own) as it is shown; 0: not here yet.
static uint32_t state_of(struct tacit_agree *agree, uint32_t liar, tacit_node_t r, uint32_t how,
                         uint8_t *out)
{
    const struct tacit_cosign *cosign = &agree->cosigns[how <= PLOT_UNSIGNED ? liar : r];
    uint32_t bytes = 0;
    const uint8_t *state = tacit_bodies_find(agree->bodies, &cosign->digest, &bytes);
    if (!cosign->known || cosign->view + 1 != agree->view || state == NULL) {
        return 0;
    }
    memcpy(out, state, bytes);
    if (how == PLOT_PARTS_OF && r != liar &&
        tacit_stream_decode(&agree->scratch[0], state, bytes) == TACIT_VERDICT_OK) {
        agree->scratch[0].claim_count = 0;
        bytes = (uint32_t)tacit_stream_encode(&agree->scratch[0], out);
    }
    return bytes;
}

// One state with shares, as wanted; 0: what it takes is not here (yet).
static size_t put_state(struct sim_cluster *cluster, uint32_t liar, tacit_node_t r, uint32_t how,
                        uint64_t base, uint8_t *out)
{
    struct tacit_agree *agree = cluster->process[liar].smr->byzantine.agree;
    uint32_t bytes = state_of(agree, liar, r, how, out + 16);
    if (bytes == 0) {
        return 0;
    }
    tacit_put64(out, r);
    tacit_put64(out + 8, bytes);
    size_t at = 16 + tacit_round_up(bytes, 8);
    memset(out + 16 + bytes, 0, at - 16 - bytes);
    struct tacit_signature own = own_share(cluster, liar, r, out + 16, bytes, base);
    uint32_t count = 0;
    for (tacit_node_t c = 0; c < agree->config.replicas && count <= agree->f; c++) {
        const struct tacit_state_share *share =
            &agree->state_shares[(size_t)r * agree->config.replicas + c];
        bool valid = share->valid && share->view + 1 == agree->view && share->base <= base;
        if (how == PLOT_OWN_TWICE || c == liar) {
            at += put_share(out + at, liar, base, &own);
        } else if (how == PLOT_UNSIGNED || valid) {
            at += put_share(out + at, c, valid ? share->base : base,
                            valid ? &share->signature : &own);
        } else {
            continue;
        }
        count++;
    }
    return count > agree->f ? at : 0;
}

static size_t make_new_view(struct sim_cluster *cluster, uint32_t liar, uint32_t how,
                            uint64_t *base, uint8_t *out)
{
    const struct sim_plot *plot = &cluster->byz.plot;
    const struct tacit_agree *agree = cluster->process[liar].smr->byzantine.agree;
    bool low = how == PLOT_LOW_BASE;
    if (how == PLOT_OLDER) {
        memcpy(out, plot->old, plot->old_bytes);
        *base = plot->old_base;
        return plot->old_bytes;
    }
    *base = low ? plot->low_base : agree->base;
    tacit_put64(out, *base);
    size_t at =
        8 + tacit_base_encode(low ? &plot->low_root : &agree->root,
                              low ? &plot->low_certificate : &agree->base_certificate, out + 8);
    uint32_t states = 0;
    for (tacit_node_t r = 0; r < agree->config.replicas && states <= agree->f; r++) {
        if ((plot->ignored >> r & 1) != 0 && how != PLOT_OWN_TWICE) {
            continue;
        }
        tacit_node_t whose = how == PLOT_OWN_TWICE ? (tacit_node_t)liar : r;
        size_t bytes = put_state(cluster, liar, whose, how, *base, out + at);
        at += bytes;
        states += bytes != 0;
    }
    return states > agree->f ? at : 0;
}

void sim_plot_new_view(struct sim_cluster *cluster, uint32_t liar)
{
    static uint8_t body[4 * SIM_PLOT_OLD_BYTES];
    struct sim_plot *plot = &cluster->byz.plot;
    struct tacit_agree *agree = cluster->process[liar].smr->byzantine.agree;
    const struct tacit_stream *own = &agree->streams[liar];
    uint64_t base;
    keep_first(cluster, agree);
    if (plot->craft == 0 || agree->view == 0 || !tacit_leads(agree) || agree->seal_due ||
        own->has_newview || own->view != agree->view) {
        return;
    }
    size_t bytes = make_new_view(cluster, liar, plot->craft - 1, &base, body);
    if (bytes == 0 || bytes > agree->config.body_bytes) {
        return;
    }
    struct tacit_payload payload = {
        .kind = TACIT_PAYLOAD_NEW_VIEW, .view = agree->view, .slot = base};
    sim_say(cluster, "replica %u: NEW_VIEW(%llu) of its own making, kind %u", liar,
            (unsigned long long)agree->view, plot->craft - 1);
    if (tacit_ctb_broadcast(agree->ctb, &payload, body, (uint32_t)bytes, agree->now_ns)) {
        plot->craft = 0;
    }
}

// ---- COMMIT

// A certificate that this liar holds, of whatever view.
static bool true_certificate(const struct tacit_agree *agree, uint64_t number,
                             struct tacit_certificate *certificate, struct tacit_digest *digest,
                             uint64_t *view)
{
    const struct tacit_slot *slot = &agree->slots[number % (2ull * agree->config.window)];
    for (tacit_node_t first = 0; slot->slot == number && first < agree->config.replicas; first++) {
        certificate->count = 0;
        for (tacit_node_t r = 0; r < agree->config.replicas && certificate->count <= agree->f;
             r++) {
            const struct tacit_certify *share = &slot->certifies[r];
            if (share->valid && share->view == slot->certifies[first].view &&
                tacit_digest_is_equal(&share->digest, &slot->certifies[first].digest)) {
                certificate->shares[certificate->count++] =
                    (struct tacit_share){.signer = (uint8_t)r, .signature = share->signature};
            }
        }
        if (certificate->count > agree->f) {
            *digest = slot->certifies[first].digest;
            *view = slot->certifies[first].view;
            return true;
        }
    }
    return false;
}

void sim_plot_commit(struct sim_cluster *cluster, uint32_t liar, uint32_t how)
{
    struct tacit_agree *agree = cluster->process[liar].smr->byzantine.agree;
    uint64_t slot = sim_plot_slot(cluster);
    uint64_t view = agree->view;
    struct tacit_digest digest;
    uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
    uint8_t body[1024];
    struct tacit_share own = {.signer = (uint8_t)liar};
    how = how == PLOT_DRAWN ? choice_u32(cluster->choice, PLOT_COMMIT_KINDS) : how;
    struct tacit_certificate certificate = {
        .count = (uint8_t)(how == PLOT_TOO_SHORT ? 1 : agree->f + 1)};
    tacit_body_digest(&digest, "", 0);
    uint32_t bytes = tacit_statement_certify(statement, agree->epoch, view, slot, &digest);
    sim_signer_sign(cluster->process[liar].signer, TACIT_DOMAIN_CERTIFY, statement, bytes,
                    &own.signature);
    for (uint8_t i = 0; i < certificate.count; i++) {
        certificate.shares[i] = own;
        certificate.shares[i].signer = how == PLOT_NO_SIGNER ? i : own.signer;
    }
    if (how == PLOT_TOO_LATE && !true_certificate(agree, slot, &certificate, &digest, &view)) {
        return;
    }
    memcpy(body, digest.bytes, TACIT_DIGEST_BYTES);
    size_t size = TACIT_DIGEST_BYTES + tacit_certificate_encode(body + TACIT_DIGEST_BYTES,
                                                                sizeof body - TACIT_DIGEST_BYTES,
                                                                &certificate);
    struct tacit_payload payload = {.kind = TACIT_PAYLOAD_COMMIT, .view = view, .slot = slot};
    sim_say(cluster, "replica %u: COMMIT of slot %llu, view %llu, of its own making, kind %u", liar,
            (unsigned long long)slot, (unsigned long long)view, how);
    (void)tacit_ctb_broadcast(agree->ctb, &payload, body, (uint32_t)size, agree->now_ns);
}
