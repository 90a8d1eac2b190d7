// SPDX-License-Identifier: Apache-2.0
//
// Plots: what is done in a step, and what liars go on doing. See sim_plot.h.
#include <string.h>

#include "byzantine/agree_internal.h"
#include "byzantine/ctb_internal.h"
#include "sim_cluster.h"
#include "smr/internal.h"

static struct tacit_agree *agree_of(const struct sim_cluster *cluster, uint32_t replica)
{
    const struct sim_process *process = &cluster->process[replica];
    return process->node->alive && process->smr != NULL ? process->smr->byzantine.agree : NULL;
}

uint64_t sim_plot_slot(const struct sim_cluster *cluster)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
        const struct tacit_agree *agree = agree_of(cluster, r);
        if ((cluster->byz.plot.part[PLOT_CORRECT] >> r & 1) != 0 && agree != NULL &&
            agree->undecided < least) {
            least = agree->undecided;
        }
    }
    return least;
}

static uint64_t newest_view(const struct sim_cluster *cluster)
{
    uint64_t newest = 0;
    for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
        const struct tacit_agree *agree = agree_of(cluster, r);
        if ((cluster->byz.plot.part[PLOT_CORRECT] >> r & 1) != 0 && agree != NULL &&
            agree->view > newest) {
            newest = agree->view;
        }
    }
    return newest;
}

// ---- links

static void link_set(struct sim_cluster *cluster, uint32_t from, uint32_t to, bool cut)
{
    for (uint32_t a = 0; a < cluster->shape.smr.replicas; a++) {
        for (uint32_t b = 0; b < cluster->shape.smr.replicas; b++) {
            bool named = a != b && (from >> a & 1) != 0 && (to >> b & 1) != 0;
            if (named && cluster->net->blocked[a][b] != cut) {
                cluster->net->fault[SIM_FAULT_PARTITION] += cut;
                sim_net_block(cluster->net, a, b, cut);
                sim_detector_pair_changed(cluster, a, b);
                sim_detector_pair_changed(cluster, b, a);
            }
        }
    }
}

static void alone(struct sim_cluster *cluster, uint32_t whom)
{
    uint32_t others = cluster->byz.plot.part[PLOT_CORRECT] & ~whom;
    link_set(cluster, whom, others, true);
    link_set(cluster, others, whom, true);
}

static void seal_correct(struct sim_cluster *cluster, uint32_t whom)
{
    struct sim_plot *plot = &cluster->byz.plot;
    for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
        const struct tacit_agree *agree = agree_of(cluster, r);
        if ((whom & plot->part[PLOT_CORRECT] & 1u << r) != 0 && agree != NULL) {
            plot->must_seal |= 1u << r;
            plot->seal_view[r] = agree->view;
            sim_poll_at(cluster, r, cluster->net->now_ns);
        }
    }
}

// ---- what liars claim and vouch

static void vouch_claims(struct tacit_agree *agree)
{
    for (tacit_node_t r = 0; r < agree->config.replicas; r++) {
        const struct tacit_stream *stream = &agree->streams[r];
        for (uint32_t i = 0; i < stream->claim_count; i++) {
            struct tacit_slot *slot = tacit_slot_at(agree, stream->claims[i].slot);
            if (slot != NULL) {
                slot->vouches = 0;
                tacit_slot_vouch(slot, stream->claims[i].view, &stream->claims[i].digest);
            }
        }
    }
}

static void claim(struct tacit_agree *agree, uint64_t number, uint64_t view,
                  const struct tacit_digest *digest)
{
    struct tacit_slot *slot = number >= agree->base ? tacit_slot_at(agree, number) : NULL;
    if (slot != NULL) {
        slot->acked = (struct tacit_ack){.known = true, .view = view, .digest = *digest};
        slot->vouches = 0;
        tacit_slot_vouch(slot, view, digest);
    }
}

static void set_claims(struct sim_cluster *cluster, struct tacit_agree *agree)
{
    const struct sim_plot *plot = &cluster->byz.plot;
    if (plot->claims == PLOT_CLAIM_TRUE) {
        return;
    }
    for (uint32_t i = 0; i < 2 * agree->config.window; i++) {
        agree->slots[i].acked.known = false;
    }
    for (uint32_t i = 0; plot->claims == PLOT_CLAIM_GHOSTS && i < plot->ghosts; i++) {
        const struct sim_plot_ghost *ghost = &plot->ghost[i];
        if (ghost->view <= agree->view) {
            claim(agree, ghost->slot, ghost->view, &ghost->digest);
        }
    }
    if (plot->claims == PLOT_CLAIM_NOOP) {
        struct tacit_digest none;
        tacit_body_digest(&none, "", 0);
        claim(agree, sim_plot_slot(cluster), agree->view, &none);
    }
}

static void hold_back(struct sim_cluster *cluster, struct tacit_agree *agree)
{
    uint32_t holds = cluster->byz.plot.holds;
    for (uint32_t i = 0; i < 2 * agree->config.window; i++) {
        struct tacit_slot *slot = &agree->slots[i];
        if ((holds & PLOT_NO_COMMIT) != 0) {
            slot->commit_sent = true;
            slot->commit_view = UINT64_MAX;
        } else if (slot->commit_view == UINT64_MAX) {
            slot->commit_sent = false;
            slot->commit_view = 0;
        }
    }
    agree->config.inflight = (holds & PLOT_NO_PROPOSAL) != 0 ? 0 : cluster->shape.smr.inflight;
    agree->newview_sent =
        agree->newview_sent || (holds & PLOT_NO_NEW_VIEW) != 0 || cluster->byz.plot.craft != 0;
    if ((holds & PLOT_NO_BASE) == 0) {
        cluster->byz.plot.low_base = agree->base;
        cluster->byz.plot.low_root = agree->root;
        cluster->byz.plot.low_certificate = agree->base_certificate;
    }
    for (tacit_node_t r = 0; (holds & PLOT_NO_BASE) != 0 && r < agree->config.replicas; r++) {
        // One that is newer than all that will come, each another.
        struct tacit_base_share never = {.known = true, .valid = true, .base = UINT64_MAX};
        never.root.bytes[0] = (uint8_t)(r + 1);
        agree->base_shares[r] = never;
    }
}

static void liar_seals(struct sim_cluster *cluster, uint32_t liar)
{
    struct tacit_agree *agree = agree_of(cluster, liar);
    if (agree->view > newest_view(cluster)) {
        return;
    }
    set_claims(cluster, agree);
    tacit_view_seal(agree, agree->view);
    hold_back(cluster, agree);
    sim_poll_at(cluster, liar, cluster->net->now_ns);
}

// ---- LOCKs of what will never be

// LOCK of a PREPARE with an id that is ahead of what its stream has come to: it is vouched when it
// is heard, and SEAL_VIEW comes before it in the stream.
static void ghost(struct sim_cluster *cluster, uint32_t liar, uint32_t to, uint32_t what)
{
    struct sim_plot *plot = &cluster->byz.plot;
    const struct tacit_smr_byzantine *byzantine = &cluster->process[liar].smr->byzantine;
    const struct tacit_agree *agree = byzantine->agree;
    const struct adversary *adversary = &cluster->byz.adversary;
    uint32_t known =
        adversary->batches < ADVERSARY_BATCHES ? adversary->batches : ADVERSARY_BATCHES;
    uint8_t message[ADVERSARY_MESSAGE_BYTES];
    uint64_t slot = sim_plot_slot(cluster);
    uint64_t next;
    uint64_t end;
    if (plot->ghosts == SIM_PLOT_GHOSTS || tacit_leader_of(agree, agree->view) != liar) {
        return;
    }
    tacit_ctb_progress(byzantine->ctb, (tacit_node_t)liar, &next, &end);
    struct tacit_ctb_message lock = {
        .kind = TACIT_MESSAGE_LOCK,
        .stream = (tacit_node_t)liar,
        .carries = TACIT_CTB_INLINE,
        .epoch = agree->epoch,
        .k = end + choice_range(cluster->choice, 2, 6),
        .body = (const uint8_t *)"",
        .payload = {.kind = TACIT_PAYLOAD_PREPARE, .view = agree->view, .slot = slot}};
    if (what != PLOT_A_NOOP && known > 0) {
        const struct adversary_message *old = &adversary->batch[choice_u32(cluster->choice, known)];
        lock.body = old->data;
        lock.body_bytes = old->bytes;
    }
    lock.payload.body_bytes = lock.body_bytes;
    tacit_body_digest(&lock.payload.digest, lock.body, lock.body_bytes);
    plot->ghost[plot->ghosts++] =
        (struct sim_plot_ghost){.slot = slot, .view = agree->view, .digest = lock.payload.digest};
    uint32_t bytes = tacit_ctb_encode(message, &lock);
    for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
        if ((to >> r & 1) != 0 && adversary_say(&cluster->byz.adversary, liar, r, message, bytes)) {
            sim_net_ring(cluster->net, liar, r);
            sim_say(cluster, "replica %u: LOCK to %u of slot %llu, view %llu, id %llu, ahead", liar,
                    r, (unsigned long long)slot, (unsigned long long)agree->view,
                    (unsigned long long)lock.k);
        }
    }
}

static void propose_noop(struct sim_cluster *cluster, struct tacit_agree *agree, bool always)
{
    uint64_t slot;
    agree->config.inflight = cluster->shape.smr.inflight;
    if (always && agree->view > 0 && agree->entered && tacit_leads(agree)) {
        struct tacit_payload payload = {
            .kind = TACIT_PAYLOAD_PREPARE, .view = agree->view, .slot = sim_plot_slot(cluster)};
        (void)tacit_ctb_broadcast(agree->ctb, &payload, "", 0, agree->now_ns);
    } else if (tacit_agree_can_propose(agree) && tacit_agree_propose(agree, "", 0, &slot)) {
        sim_say(cluster, "replica %u proposes a no-op in slot %llu, view %llu", agree->config.self,
                (unsigned long long)slot, (unsigned long long)agree->view);
    }
}

// ---- steps

static void liar_acts(struct sim_cluster *cluster, uint32_t liar, const struct sim_plot_step *step)
{
    struct tacit_agree *agree = agree_of(cluster, liar);
    if (agree == NULL || agree->observer || cluster->process[liar].frozen) {
        return;
    }
    if (setjmp(cluster->byz.escape) != 0) {
        sim_process_escaped(cluster, liar);
        return;
    }
    cluster->byz.may_escape = true;
    switch (step->act) {
    case PLOT_LIARS_SEAL:
        liar_seals(cluster, liar);
        break;
    case PLOT_GHOST:
        ghost(cluster, liar, cluster->byz.plot.part[step->a], step->how);
        break;
    case PLOT_PROPOSE:
        propose_noop(cluster, agree, step->how != 0);
        break;
    case PLOT_COMMIT:
        sim_plot_commit(cluster, liar, step->how);
        break;
    default:
        break;
    }
    cluster->byz.may_escape = false;
    sim_poll_at(cluster, liar, cluster->net->now_ns);
}

static void set_policy(struct sim_cluster *cluster, const struct sim_plot_step *step)
{
    struct sim_plot *plot = &cluster->byz.plot;
    uint32_t a = plot->part[step->a];
    for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
        bool named = (a >> r & 1) != 0;
        if (step->act == PLOT_MUTE && named) {
            plot->muted[r] |= step->how;
        } else if (step->act == PLOT_UNMUTE && named) {
            plot->muted[r] = 0;
        }
    }
    if (step->act == PLOT_CLAIMS) {
        plot->claims =
            (uint8_t)(step->how == PLOT_DRAWN ? choice_u32(cluster->choice, PLOT_CLAIMS_KINDS)
                                              : step->how);
    } else if (step->act == PLOT_COSIGN) {
        plot->cosigns = step->how != 0;
    } else if (step->act == PLOT_HOLD_BACK) {
        plot->holds = step->how;
    } else if (step->act == PLOT_IGNORE) {
        plot->ignored = a;
    } else if (step->act == PLOT_NEW_VIEW) {
        uint32_t drawn = choice_u32(cluster->choice, PLOT_NEW_VIEW_KINDS);
        plot->craft = 1 + (step->how == PLOT_DRAWN ? drawn : step->how);
    }
}

void sim_plot_act(struct sim_cluster *cluster, const struct sim_plot_step *step)
{
    const struct sim_plot *plot = &cluster->byz.plot;
    uint32_t a = plot->part[step->a];
    uint32_t b = plot->part[step->b];
    sim_say(cluster, "plot: act %u a %x b %x how %x", step->act, a, b, step->how);
    switch (step->act) {
    case PLOT_CUT:
    case PLOT_JOIN:
        link_set(cluster, a, b, step->act == PLOT_CUT);
        break;
    case PLOT_ALONE:
        alone(cluster, a);
        break;
    case PLOT_FREE:
        link_set(cluster, plot->part[PLOT_ALL], plot->part[PLOT_ALL], false);
        break;
    case PLOT_SEAL:
        seal_correct(cluster, a);
        break;
    case PLOT_LIARS_SEAL:
    case PLOT_GHOST:
    case PLOT_PROPOSE:
    case PLOT_COMMIT:
        for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
            if ((plot->part[PLOT_LIARS] >> r & 1) != 0) {
                liar_acts(cluster, r, step);
            }
        }
        break;
    default:
        set_policy(cluster, step);
        break;
    }
}

// ---- what goes on

static void ignore_states(struct sim_cluster *cluster, struct tacit_agree *agree)
{
    for (tacit_node_t r = 0; r < agree->config.replicas; r++) {
        for (tacit_node_t c = 0; c < agree->config.replicas; c++) {
            struct tacit_state_share *share =
                &agree->state_shares[(size_t)r * agree->config.replicas + c];
            if ((cluster->byz.plot.ignored >> r & 1) != 0) {
                share->known = share->valid = false;
            }
        }
    }
}

void sim_plot_go_on(struct sim_cluster *cluster, uint32_t liar)
{
    const struct sim_plot *plot = &cluster->byz.plot;
    struct tacit_agree *agree = agree_of(cluster, liar);
    if (setjmp(cluster->byz.escape) != 0) {
        sim_process_escaped(cluster, liar);
        return;
    }
    cluster->byz.may_escape = true;
    hold_back(cluster, agree);
    sim_plot_new_view(cluster, liar);
    if (plot->claims != PLOT_CLAIM_TRUE) {
        set_claims(cluster, agree);
    }
    if (plot->ignored != 0) {
        ignore_states(cluster, agree);
    }
    if (plot->cosigns && agree->view > 0 && !agree->entered) {
        vouch_claims(agree);
        tacit_view_cosign_all(agree);
    }
    cluster->byz.may_escape = false;
}
