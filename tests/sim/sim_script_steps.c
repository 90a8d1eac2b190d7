// SPDX-License-Identifier: Apache-2.0
//
// What a faulty replica does on a scenario's cue: it changes its own memory, so that production
// code lies for it, or broadcasts a NEW_VIEW that it composed itself. See sim_script.h.
#include <setjmp.h>
#include <string.h>

#include "byzantine/agree_internal.h"
#include "byzantine/streams.h"
#include "sim_script.h"
#include "smr/internal.h"

#define FLIPS 64u
#define FLOODS 20u

static void flip(struct sim_cluster *cluster, void *memory, size_t bytes)
{
    uint8_t *at = memory;
    for (uint32_t i = 0; i < FLIPS && bytes > 0; i++) {
        at[choice_u32(cluster->choice, (uint32_t)bytes)] ^=
            (uint8_t)(1u << choice_u32(cluster->choice, 8));
    }
}

// What others write into its memory, as far as it has come.
static void corrupt_rings(struct sim_cluster *cluster, uint32_t replica)
{
    struct sim_host *host = cluster->process[replica].node->host;
    for (uint32_t i = 0; i < host->regions; i++) {
        if (host->region[i].key.region_class == TACIT_REGION_CONTROL) {
            flip(cluster, host->region[i].memory, host->region[i].bytes);
        }
    }
}

static void corrupt_votes(struct sim_cluster *cluster, struct tacit_agree *agree)
{
    for (uint32_t i = 0; i < 2 * agree->config.window; i++) {
        struct tacit_slot *slot = &agree->slots[i];
        flip(cluster, slot->value.bytes, TACIT_DIGEST_BYTES);
        flip(cluster, slot->acked.digest.bytes, TACIT_DIGEST_BYTES);
        for (uint32_t v = 0; v < slot->vouches && v < TACIT_BYZ_VIEWS_KEPT; v++) {
            flip(cluster, slot->vouched[v].digest.bytes, TACIT_DIGEST_BYTES);
        }
    }
}

bool sim_script_step(struct sim_cluster *cluster, uint32_t replica, enum sim_step step)
{
    struct tacit_smr *smr = cluster->process[replica].smr;
    if (smr == NULL || smr->byzantine.agree == NULL) {
        return false;
    }
    if (setjmp(cluster->byz.escape) != 0) {
        sim_process_escaped(cluster, replica);
        return true;
    }
    cluster->byz.may_escape = true;
    switch (step) {
    case SIM_STEP_SEAL:
        tacit_view_seal(smr->byzantine.agree, smr->byzantine.agree->view);
        break;
    case SIM_STEP_FORGET_CLAIMS:
    case SIM_STEP_LIFT_CLAIMS:
    case SIM_STEP_FORGE_CLAIMS:
        adversary_change_claims(smr->byzantine.agree, (uint32_t)(step - SIM_STEP_FORGET_CLAIMS));
        break;
    case SIM_STEP_CORRUPT_STATE:
        flip(cluster, smr->app_host.arena, smr->config.arena_bytes);
        break;
    case SIM_STEP_CORRUPT_RINGS:
        corrupt_rings(cluster, replica);
        break;
    case SIM_STEP_CORRUPT_VOTES:
        corrupt_votes(cluster, smr->byzantine.agree);
        break;
    case SIM_STEP_FLOOD:
        for (uint32_t i = 0; i < FLOODS; i++) {
            adversary_flood(&cluster->byz.adversary, replica);
        }
        break;
    default:
        break;
    }
    cluster->byz.may_escape = false;
    sim_poll_at(cluster, replica, cluster->net->now_ns);
    return true;
}

// ---- NEW_VIEW, composed by the liar

struct states {
    uint32_t count;
    tacit_node_t replica[TACIT_REPLICAS_MAX];
    tacit_node_t signer[TACIT_REPLICAS_MAX][TACIT_REPLICAS_MAX]; // f+1 of each
};

static struct tacit_state_share *share_of(const struct tacit_agree *a, tacit_node_t stream,
                                          tacit_node_t from)
{
    return &a->state_shares[(size_t)stream * a->config.replicas + from];
}

// The states for which it holds f+1 good shares and the bytes.
static void find_states(const struct tacit_agree *a, struct states *states)
{
    states->count = 0;
    for (tacit_node_t r = 0; r < a->config.replicas && states->count <= a->f; r++) {
        const struct tacit_cosign *cs = &a->cosigns[r];
        uint32_t bytes;
        uint32_t shares = 0;
        if (!cs->known || cs->view + 1 != a->view ||
            tacit_bodies_find(a->bodies, &cs->digest, &bytes) == NULL) {
            continue;
        }
        for (tacit_node_t c = 0; c < a->config.replicas && shares <= a->f; c++) {
            const struct tacit_state_share *share = share_of(a, r, c);
            if (share->valid && share->view == cs->view && share->base <= a->base &&
                tacit_digest_is_equal(&share->digest, &cs->digest)) {
                states->signer[states->count][shares++] = c;
            }
        }
        if (shares > a->f) {
            states->replica[states->count++] = r;
        }
    }
}

// Its claims are gone and its COMMITs too; signed by the liar alone.
static size_t forge(struct tacit_agree *a, uint8_t *state, size_t bytes)
{
    struct tacit_stream *scratch = &a->scratch[0];
    if (tacit_stream_decode(scratch, state, bytes) != TACIT_VERDICT_OK) {
        return bytes;
    }
    scratch->claim_count = 0;
    for (uint32_t i = 0; i < scratch->window; i++) {
        scratch->commits[i].slot = TACIT_SLOT_NONE;
    }
    // So that it differs even if there was nothing to leave out.
    scratch->base_digest.bytes[0] ^= 1;
    return tacit_stream_encode(scratch, state);
}

static size_t put_share(struct sim_cluster *cluster, uint32_t faulty, struct tacit_agree *a,
                        tacit_node_t r, tacit_node_t signer, const struct tacit_digest *digest,
                        uint8_t *out)
{
    const struct tacit_state_share *share = share_of(a, r, signer);
    struct tacit_signature signature = share->signature;
    if (signer == faulty) {
        uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
        uint32_t bytes =
            tacit_statement_state_share(statement, a->epoch, r, a->view - 1, digest, share->base);
        adversary_sign(&cluster->byz.adversary, faulty, TACIT_DOMAIN_STATE_SHARE, statement, bytes,
                       &signature);
    }
    tacit_put64(out, signer);
    tacit_put64(out + 8, share->base);
    memcpy(out + 16, signature.bytes, TACIT_SIGNATURE_BYTES);
    return 16u + TACIT_SIGNATURE_BYTES;
}

// As agree_view.c puts it together, with one thing wrong. 0: not possible (yet).
static uint32_t compose(struct sim_cluster *cluster, uint32_t faulty, struct tacit_agree *a,
                        enum sim_step step, uint8_t *body, size_t max)
{
    struct states states = {0};
    find_states(a, &states);
    if (states.count <= a->f ||
        max < tacit_agree_body_bytes(a->config.replicas, a->config.window)) {
        return 0;
    }
    uint64_t base = a->base;
    struct tacit_digest root = a->root;
    struct tacit_certificate certificate = a->base_certificate;
    if (step == SIM_STEP_NEW_VIEW_BASE) { // a checkpoint that nobody else signed
        uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
        base += a->config.window / 2;
        root.bytes[0] ^= 1;
        certificate.count = (uint8_t)(a->f + 1u);
        uint32_t bytes = tacit_statement_checkpoint(statement, a->epoch, base, &root);
        for (uint8_t i = 0; i < certificate.count; i++) {
            certificate.shares[i].signer = i;
            adversary_sign(&cluster->byz.adversary, faulty, TACIT_DOMAIN_CHECKPOINT, statement,
                           bytes, &certificate.shares[i].signature);
        }
    }
    tacit_put64(body, base);
    size_t at = 8 + tacit_base_encode(&root, &certificate, body + 8);
    for (uint32_t i = 0; i <= a->f; i++) {
        uint32_t from = step == SIM_STEP_NEW_VIEW_STATE ? 0 : i;
        tacit_node_t r = states.replica[from];
        uint32_t found = 0;
        const uint8_t *state = tacit_bodies_find(a->bodies, &a->cosigns[r].digest, &found);
        size_t bytes = found;
        memcpy(body + at + 16, state, bytes);
        if (step == SIM_STEP_NEW_VIEW_FORGED && i == 0) {
            bytes = forge(a, body + at + 16, bytes);
        }
        struct tacit_digest digest;
        tacit_body_digest(&digest, body + at + 16, bytes);
        tacit_put64(body + at, r);
        tacit_put64(body + at + 8, bytes);
        memset(body + at + 16 + bytes, 0, tacit_round_up(bytes, 8) - bytes);
        at += 16 + tacit_round_up(bytes, 8);
        for (uint32_t c = 0; c <= a->f; c++) {
            bool repeats = step == SIM_STEP_NEW_VIEW_SIGNER;
            tacit_node_t signer = repeats ? (tacit_node_t)faulty : states.signer[from][c];
            at += put_share(cluster, faulty, a, r, signer, &digest, body + at);
        }
    }
    return (uint32_t)at;
}

// The newest NEW_VIEW in a stream, as it is held here. 0: none is.
static uint32_t find_newview(struct tacit_smr *smr, tacit_node_t stream, uint8_t *out, size_t max)
{
    uint64_t end;
    uint64_t locked;
    tacit_ctb_progress(smr->byzantine.ctb, stream, &end, &locked);
    for (uint64_t k = end; k-- > 0 && k + smr->config.byzantine.tail > end;) {
        struct tacit_payload payload;
        uint32_t bytes = 0;
        if (!tacit_ctb_locked(smr->byzantine.ctb, stream, k, &payload)) {
            return 0;
        }
        const uint8_t *body = tacit_bodies_find(smr->byzantine.bodies, &payload.digest, &bytes);
        if (payload.kind == TACIT_PAYLOAD_NEW_VIEW && body != NULL && bytes <= max) {
            memcpy(out, body, bytes);
            return bytes;
        }
    }
    return 0;
}

static bool broadcast(struct tacit_agree *a, const uint8_t *body, uint32_t bytes)
{
    struct tacit_payload payload = {
        .kind = TACIT_PAYLOAD_NEW_VIEW, .view = a->view, .slot = tacit_get64(body)};
    return tacit_ctb_broadcast(a->ctb, &payload, body, bytes, a->now_ns);
}

static bool newview(struct sim_cluster *cluster, uint32_t faulty, enum sim_step step)
{
    struct tacit_smr *smr = cluster->process[faulty].smr;
    struct tacit_agree *a = smr->byzantine.agree;
    const struct tacit_stream *own = &a->streams[faulty];
    struct sim_play *play = cluster->play;
    static uint8_t body[sizeof play->old_body];
    if (step == SIM_STEP_NEW_VIEW_OLD && play->old_bytes == 0) {
        play->old_bytes =
            find_newview(smr, (tacit_node_t)faulty, play->old_body, sizeof play->old_body);
        return false;
    }
    if (a->view == 0 || a->seal_due || own->view != a->view || own->has_newview) {
        return false;
    }
    if (step == SIM_STEP_NEW_VIEW_USURP) { // the leader's, in its own name
        uint32_t bytes = tacit_leads(a) || !a->entered
                             ? 0
                             : find_newview(smr, tacit_leader_of(a, a->view), body, sizeof body);
        return bytes > 0 && broadcast(a, body, bytes);
    }
    if (!tacit_leads(a)) {
        return false;
    }
    a->newview_sent = true; // production code shall not
    if (step == SIM_STEP_NEW_VIEW_OLD) {
        return broadcast(a, play->old_body, play->old_bytes);
    }
    uint32_t bytes = compose(cluster, faulty, a, step, body, sizeof body);
    return bytes > 0 && broadcast(a, body, bytes);
}

// Forgets what its own NEW_VIEW bound it to, and proposes what it likes there.
static bool unbind(struct tacit_agree *a)
{
    struct tacit_stream *own = &a->streams[a->config.self];
    bool any = false;
    for (uint32_t i = 0; tacit_leads(a) && own->has_newview && i < own->window; i++) {
        any = any || own->force[i].slot != TACIT_SLOT_NONE;
        own->force[i].slot = TACIT_SLOT_NONE;
    }
    if (any) {
        own->newview_end = own->newview_base;
    }
    return any;
}

void sim_script_before_turn(struct sim_cluster *cluster, uint32_t slot)
{
    struct sim_play *play = cluster->play;
    struct tacit_smr *smr = cluster->process[slot].smr;
    for (uint32_t i = 0; i < play->script->events; i++) {
        const struct sim_script_event *event = &play->script->event[i];
        if (event->action != SIM_DO_STEP || !play->active[i] || (event->set[0] >> slot & 1) == 0) {
            continue;
        }
        bool done;
        switch ((enum sim_step)event->which) {
        case SIM_STEP_COSIGN:
            done = adversary_vouch_all(smr->byzantine.agree);
            break;
        case SIM_STEP_LACK_ALL:
            done = adversary_lack_all(smr);
            break;
        case SIM_STEP_UNBIND:
            done = unbind(smr->byzantine.agree);
            break;
        default:
            // NEW_VIEW: once.
            done = play->hits[i] == 0 && newview(cluster, slot, (enum sim_step)event->which);
            break;
        }
        play->hits[i] += done;
    }
}
