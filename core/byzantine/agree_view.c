// SPDX-License-Identifier: Apache-2.0
//
// Leaving a view and entering the next: SEAL_VIEW with claims, co-signing of whole states, NEW_VIEW
// with f+1 of them, and the selection that binds the new leader. Rules and proof: README.md,
// section "view change".
#include "agree_internal.h"

#define SHARE_BYTES (32u + TACIT_DIGEST_BYTES + TACIT_SIGNATURE_BYTES)
#define STATE_SHARE_BYTES 80u // in NEW_VIEW: u64 signer, u64 base, 64 signature

static struct tacit_state_share *share_of(const struct tacit_agree *a, tacit_node_t stream,
                                          tacit_node_t from)
{
    return &a->state_shares[(size_t)stream * a->config.replicas + from];
}

// ---- sealing

static bool send_seal(struct tacit_agree *a)
{
    const struct tacit_stream *own = &a->streams[a->config.self];
    uint64_t sealed = a->view - 1;
    uint32_t count = 0;
    if (own->view >= a->view) {
        a->seal_due = false; // said already
        return false;
    }
    // The base first: claims below it are gone, and only a base that is part of the state says so.
    if (own->base < a->base && !tacit_base_announce(a) && !TACIT_BUG(SEAL_WITHOUT_BASE)) {
        return false;
    }
    for (uint64_t s = a->base; s < own->base + own->window; s++) {
        const struct tacit_slot *slot = tacit_slot_at(a, s);
        if (slot == NULL || !slot->acked.known ||
            (TACIT_BUG(CLAIMS_NOT_CARRIED) && slot->acked.view != sealed)) {
            continue;
        }
        a->entries[count++] = (struct tacit_slot_value){
            .slot = s, .view = slot->acked.view, .digest = slot->acked.digest};
        if (slot->acked.view != sealed) {
            tacit_mark(&a->marker, TACIT_MARK_CLAIM_CARRIED);
        }
    }
    size_t bytes = tacit_claims_encode(a->body, a->entries, count);
    struct tacit_payload payload = {.kind = TACIT_PAYLOAD_SEAL_VIEW, .view = sealed};
    a->seal_due = false; // before: the own broadcast is delivered inside the call
    if (!tacit_ctb_broadcast(a->ctb, &payload, a->body, (uint32_t)bytes, a->now_ns)) {
        a->seal_due = true;
        return false;
    }
    a->counters.seals++;
    return true;
}

void tacit_view_seal(struct tacit_agree *a, uint64_t view)
{
    if (view < a->view || view == UINT64_MAX) {
        return;
    }
    a->view = view + 1; // first: nothing is vouched, ACKed, CERTIFIED or COMMITTED below any more
    a->entered = false;
    a->newview_sent = false;
    a->gathered_ns = UINT64_MAX;
    a->seal_due = true;
    a->progress_ns = a->now_ns;
    tacit_ctb_leave(a->ctb, a->view); // so that others can deliver what was not vouched here
    tacit_ctb_hurry(a->ctb);
    a->calls.sealed(a->calls.context, a->view);
}

// ---- co-signing

static bool confirms(struct tacit_agree *a, const struct tacit_slot_value *claims, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (claims[i].slot < a->base) {
            continue; // finished; the share names this replica's base instead
        }
        const struct tacit_slot *slot = tacit_slot_at(a, claims[i].slot);
        bool vouched =
            slot != NULL && tacit_slot_has_vouched(slot, claims[i].view, &claims[i].digest);
        if (!vouched && !TACIT_BUG(COSIGN_BLINDLY)) {
            return false; // never a share for a part
        }
    }
    return true;
}

// What a share for a state signs: the whole of it. (The seeded bug leaves the claims out, so that
// whoever shows the state chooses among them.)
static struct tacit_digest signed_digest(struct tacit_agree *a, const struct tacit_digest *whole,
                                         const uint8_t *state, size_t bytes)
{
    struct tacit_digest digest = *whole;
    if (TACIT_BUG(CLAIM_BY_CLAIM) && state != NULL &&
        tacit_stream_decode(&a->scratch[0], state, bytes) == TACIT_VERDICT_OK) {
        a->scratch[0].claim_count = 0;
        size_t used = tacit_stream_encode(&a->scratch[0], a->body);
        tacit_body_digest(&digest, a->body, used);
    }
    return digest;
}

static void cosign(struct tacit_agree *a, tacit_node_t r)
{
    struct tacit_cosign *cs = &a->cosigns[r];
    const struct tacit_slot_value *claims = a->streams[r].claims;
    uint32_t count = a->streams[r].claim_count;
    if (!cs->known || cs->asked || cs->view + 1 != a->view || a->seal_due) {
        return;
    }
    uint32_t bytes = 0;
    const uint8_t *state = tacit_agree_body(a, &cs->digest, &bytes);
    struct tacit_stream *scratch = &a->scratch[a->config.replicas - 1];
    uint64_t base = a->streams[r].base;
    if (state != NULL && tacit_stream_decode(scratch, state, bytes) == TACIT_VERDICT_OK) {
        claims = scratch->claims;
        count = scratch->claim_count;
        base = scratch->base;
    } else if (base > a->base && !TACIT_BUG(COSIGN_PRESENT_CLAIMS)) {
        // Adopted with a summary whose base is above: claims that the seal had may be gone from it.
        tacit_ctb_fetch(a->ctb, r, &cs->digest, (uint32_t)tacit_stream_bytes_max(a->config.window),
                        a->now_ns);
        return;
    }
    if (!confirms(a, claims, count)) {
        return;
    }
    (void)base; // read by a seeded bug only
    cs->base = TACIT_BUG(COSIGN_BELOW_BASE) ? base : a->base;
    struct tacit_signer_job job = {
        .charge = (uint8_t)a->config.self,
        .domain = TACIT_DOMAIN_STATE_SHARE,
        .cookie = tacit_agree_cookie(TACIT_JOB_STATE_SIGN, tacit_agree_epoch_value(a, r))};
    struct tacit_digest digest = signed_digest(a, &cs->digest, state, bytes);
    job.payload_bytes =
        tacit_statement_state_share(job.payload, a->epoch, r, cs->view, &digest, cs->base);
    cs->asked = a->signer->ops->submit(a->signer, &job);
    cs->awaited = cs->view;
}

void tacit_view_cosign_all(struct tacit_agree *a)
{
    for (tacit_node_t r = 0; r < a->config.replicas; r++) {
        cosign(a, r);
    }
}

static void send_share(struct tacit_agree *a, tacit_node_t r)
{
    const struct tacit_cosign *cs = &a->cosigns[r];
    tacit_node_t leader = tacit_leader_of(a, a->view);
    uint8_t message[SHARE_BYTES] = {TACIT_MESSAGE_STATE_SHARE};
    tacit_message_of_epoch(message, a->epoch);
    message[1] = (uint8_t)r;
    tacit_put64(message + 8, cs->view);
    tacit_put64(message + 16, cs->base);
    memcpy(message + 24, cs->digest.bytes, TACIT_DIGEST_BYTES);
    memcpy(message + 24 + TACIT_DIGEST_BYTES, cs->signature.bytes, TACIT_SIGNATURE_BYTES);
    if (leader != a->config.self) {
        tacit_links_send(a->links, leader, message, sizeof(message));
    }
}

void tacit_view_signed(struct tacit_agree *a, uint64_t value,
                       const struct tacit_signature *signature)
{
    if (value >= a->config.replicas) {
        return;
    }
    tacit_node_t r = (tacit_node_t)value;
    struct tacit_cosign *cs = &a->cosigns[r];
    if (!cs->known || !cs->asked || cs->is_signed) {
        return;
    }
    if (cs->awaited != cs->view) { // asked for an older SEAL_VIEW of it
        cs->asked = false;
        cosign(a, r);
        return;
    }
    cs->is_signed = true;
    cs->signature = *signature;
    a->counters.cosigned++;
    *share_of(a, r, a->config.self) = (struct tacit_state_share){.known = true,
                                                                 .valid = true,
                                                                 .view = cs->view,
                                                                 .base = cs->base,
                                                                 .digest = cs->digest,
                                                                 .signature = *signature};
    send_share(a, r);
}

void tacit_view_message(struct tacit_agree *a, tacit_node_t from, const uint8_t *message,
                        uint32_t bytes)
{
    if (bytes != SHARE_BYTES || message[1] >= a->config.replicas) {
        a->counters.malformed++;
        return;
    }
    tacit_node_t r = message[1];
    struct tacit_state_share *share = share_of(a, r, from);
    struct tacit_state_share taken = {.known = true,
                                      .checking = true,
                                      .view = tacit_get64(message + 8),
                                      .base = tacit_get64(message + 16)};
    memcpy(taken.digest.bytes, message + 24, TACIT_DIGEST_BYTES);
    memcpy(taken.signature.bytes, message + 24 + TACIT_DIGEST_BYTES, TACIT_SIGNATURE_BYTES);
    if (share->checking || taken.view + 1 < a->view || taken.view == UINT64_MAX ||
        tacit_leader_of(a, taken.view + 1) != a->config.self ||
        (share->valid && share->view >= taken.view)) {
        return;
    }
    struct tacit_signer_job job = {
        .verify = true,
        .charge = (uint8_t)from,
        .author = tacit_author_of(a->config.authors, from),
        .domain = TACIT_DOMAIN_STATE_SHARE,
        .signature = taken.signature,
        .cookie = tacit_agree_cookie(TACIT_JOB_STATE_VERIFY,
                                     tacit_agree_epoch_value(a, (uint64_t)r << 8 | from))};
    uint32_t size = 0;
    const uint8_t *state = tacit_agree_body(a, &taken.digest, &size);
    struct tacit_digest digest = signed_digest(a, &taken.digest, state, size);
    job.payload_bytes =
        tacit_statement_state_share(job.payload, a->epoch, r, taken.view, &digest, taken.base);
    if (a->signer->ops->submit(a->signer, &job)) {
        *share = taken;
    }
}

void tacit_view_checked(struct tacit_agree *a, uint64_t value, bool valid)
{
    tacit_node_t r = (tacit_node_t)(value >> 8 & 0xff);
    tacit_node_t from = (tacit_node_t)(value & 0xff);
    if (r >= a->config.replicas || !tacit_is_peer(a, from) || !share_of(a, r, from)->checking) {
        return;
    }
    share_of(a, r, from)->checking = false;
    share_of(a, r, from)->valid = valid;
    a->counters.bad_signatures += !valid;
}

// ---- sealed states

// `encoded`: the sealed state is in a->body; else only its digest is known.
static void note_sealed(struct tacit_agree *a, tacit_node_t r, uint64_t view, bool encoded,
                        uint32_t bytes)
{
    struct tacit_cosign *cs = &a->cosigns[r];
    uint32_t account = tacit_bodies_account_sealed(a->config.replicas);
    if (cs->known && cs->encoded) { // first: there is room for one of each stream
        tacit_bodies_release(a->bodies, account, &cs->digest);
    }
    encoded = encoded && tacit_bodies_put(a->bodies, account, false, &a->streams[r].seal_digest,
                                          a->body, bytes);
    bool asked = cs->known && cs->asked && !cs->is_signed; // its answer is still to come
    uint64_t awaited = cs->awaited;
    *cs = (struct tacit_cosign){.known = true,
                                .view = view,
                                .digest = a->streams[r].seal_digest,
                                .encoded = encoded,
                                .encoded_bytes = bytes,
                                .asked = asked,
                                .awaited = awaited};
    cosign(a, r);
}

enum tacit_take tacit_view_seal_seen(struct tacit_agree *a, tacit_node_t stream,
                                     const struct tacit_payload *payload, const uint8_t *body)
{
    struct tacit_stream *state = &a->streams[stream];
    uint32_t count;
    if (payload->slot != 0 ||
        tacit_claims_decode(a->entries, &count, a->config.window, payload->view, body,
                            payload->body_bytes) != TACIT_VERDICT_OK ||
        !tacit_stream_seal(state, payload->view, a->entries, count)) {
        return TACIT_TAKE_ILLEGAL;
    }
    size_t bytes = tacit_stream_sealed(state, a->body);
    note_sealed(a, stream, payload->view, true, (uint32_t)bytes);
    return TACIT_TAKE_DONE;
}

void tacit_view_adopted(struct tacit_agree *a, tacit_node_t stream)
{
    const struct tacit_stream *state = &a->streams[stream];
    const struct tacit_cosign *cs = &a->cosigns[stream];
    if (state->view > 0 && (!cs->known || cs->view + 1 < state->view)) {
        note_sealed(a, stream, state->view - 1, false, 0);
    }
    if (stream == tacit_leader_of(a, state->view) && state->has_newview && state->view > a->view) {
        tacit_view_seal(a, state->view - 1);
    }
}

// ---- NEW_VIEW

struct newview_state {
    tacit_node_t replica;
    const uint8_t *bytes;
    size_t size;
    struct tacit_digest digest;
    const uint8_t *shares; // f+1 of STATE_SHARE_BYTES
};
struct newview {
    uint64_t view;
    uint64_t base;
    struct tacit_digest root;
    struct tacit_certificate certificate; // count 0: the start of the epoch
    struct newview_state states[TACIT_REPLICAS_MAX];
};

static uint64_t share_signer(const struct newview_state *state, uint32_t i)
{
    return tacit_get64(state->shares + (size_t)i * STATE_SHARE_BYTES);
}
static uint64_t share_base(const struct newview_state *state, uint32_t i)
{
    return tacit_get64(state->shares + (size_t)i * STATE_SHARE_BYTES + 8);
}

static bool is_state_certified(struct tacit_agree *a, tacit_node_t r, uint32_t chosen[])
{
    const struct tacit_cosign *cs = &a->cosigns[r];
    uint32_t count = 0;
    if (!cs->known || cs->view + 1 != a->view) {
        return false;
    }
    for (tacit_node_t c = 0; c < a->config.replicas && count <= a->f; c++) {
        const struct tacit_state_share *share = share_of(a, r, c);
        if (share->valid && share->view == cs->view && share->base <= a->base &&
            tacit_digest_is_equal(&share->digest, &cs->digest)) {
            chosen[count++] = c;
        }
    }
    return count > a->f;
}

static size_t put_state(struct tacit_agree *a, tacit_node_t r, const uint32_t chosen[],
                        uint8_t *out)
{
    uint32_t bytes = 0;
    const uint8_t *state = tacit_agree_body(a, &a->cosigns[r].digest, &bytes);
    size_t at = 16;
    if (state == NULL) {
        tacit_ctb_fetch(a->ctb, r, &a->cosigns[r].digest,
                        (uint32_t)tacit_stream_bytes_max(a->config.window), a->now_ns);
        return 0;
    }
    tacit_put64(out, r);
    tacit_put64(out + 8, bytes);
    memcpy(out + at, state, bytes);
    memset(out + at + bytes, 0, tacit_round_up(bytes, 8) - bytes);
    at += tacit_round_up(bytes, 8);
    for (uint32_t i = 0; i <= a->f; i++, at += STATE_SHARE_BYTES) {
        const struct tacit_state_share *share = share_of(a, r, (tacit_node_t)chosen[i]);
        tacit_put64(out + at, chosen[i]);
        tacit_put64(out + at + 8, share->base);
        memcpy(out + at + 16, share->signature.bytes, TACIT_SIGNATURE_BYTES);
    }
    return at;
}

// Body: u64 base | root, certificate | f+1 x {u64 replica, u64 bytes, state padded to 8, f+1
// shares}. The base is the leader's own newest certified one, at or above every base that the
// states name.
static bool send_newview(struct tacit_agree *a)
{
    const struct tacit_stream *own = &a->streams[a->config.self];
    if (a->view == 0 || !tacit_leads(a) || a->newview_sent || a->seal_due || own->has_newview ||
        own->view != a->view) {
        return false;
    }
    uint32_t states = 0;
    tacit_put64(a->body, a->base);
    size_t at = 8 + tacit_base_encode(&a->root, &a->base_certificate, a->body + 8);
    for (tacit_node_t r = 0; r < a->config.replicas && states <= a->f; r++) {
        uint32_t chosen[TACIT_REPLICAS_MAX] = {0};
        if (!is_state_certified(a, r, chosen)) {
            continue;
        }
        size_t bytes = put_state(a, r, chosen, a->body + at);
        if (bytes == 0) {
            continue;
        }
        // Its own base may be newer than what is certified here: then its CHECKPOINT is on its way.
        if (tacit_get64(a->body + at + 16 + 8) > a->base) {
            continue;
        }
        at += bytes;
        states++;
    }
    if (states <= a->f) {
        return false;
    }
    struct tacit_payload payload = {
        .kind = TACIT_PAYLOAD_NEW_VIEW, .view = a->view, .slot = a->base};
    a->newview_sent = true;
    if (!tacit_ctb_broadcast(a->ctb, &payload, a->body, (uint32_t)at, a->now_ns)) {
        a->newview_sent = false;
        return false;
    }
    a->counters.newviews++;
    return true;
}

// `digest` is filled in by the caller.
static bool parse_state(const struct tacit_agree *a, struct newview_state *state,
                        const uint8_t *bytes, size_t size, size_t *used)
{
    if (size < 16 || tacit_get64(bytes) >= a->config.replicas ||
        tacit_get64(bytes + 8) > tacit_stream_bytes_max(a->config.window)) {
        return false;
    }
    state->replica = (tacit_node_t)tacit_get64(bytes);
    state->size = tacit_get64(bytes + 8);
    state->bytes = bytes + 16;
    size_t shares = (size_t)(a->f + 1) * STATE_SHARE_BYTES;
    *used = 16 + tacit_round_up(state->size, 8) + shares;
    if (*used > size) {
        return false;
    }
    state->shares = bytes + *used - shares;
    for (uint32_t i = 0; i <= a->f; i++) {
        bool repeated = i > 0 && share_signer(state, i) <= share_signer(state, i - 1);
        if (share_signer(state, i) >= a->config.replicas ||
            (repeated && !TACIT_BUG(SIGNER_REPEATED))) {
            return false;
        }
    }
    return true;
}

// The digests of the states, made once for an id of a stream.
static void digest_states(struct tacit_agree *a, tacit_node_t stream, uint64_t k,
                          struct newview *newview)
{
    struct tacit_newview_digests *made = &a->newview_digests[stream];
    if (!made->known || made->k != k) {
        for (uint32_t i = 0; i <= a->f; i++) {
            tacit_body_digest(&made->digests[i], newview->states[i].bytes, newview->states[i].size);
            a->counters.states_hashed++;
        }
        made->known = true;
        made->k = k;
    }
    for (uint32_t i = 0; i <= a->f; i++) {
        newview->states[i].digest = made->digests[i];
    }
}

static bool parse_newview(const struct tacit_agree *a, struct newview *newview,
                          const struct tacit_payload *payload, const uint8_t *body)
{
    size_t size = payload->body_bytes;
    size_t at = 8;
    size_t used;
    newview->view = payload->view;
    newview->base = payload->slot;
    if (size < 8 + TACIT_DIGEST_BYTES + 8 || tacit_get64(body) != payload->slot) {
        return false;
    }
    if (payload->slot == a->start_base) { // no certificate in this epoch yet: count 0
        memcpy(newview->root.bytes, body + 8, TACIT_DIGEST_BYTES);
        newview->certificate.count = 0;
        used = TACIT_DIGEST_BYTES + tacit_certificate_bytes(0);
        if (body[8 + TACIT_DIGEST_BYTES] != 0) {
            return false;
        }
    } else if (!tacit_base_decode(a, body + 8, size - 8, &newview->root, &newview->certificate,
                                  &used)) {
        return false;
    }
    at += used;
    for (uint32_t i = 0; i <= a->f; i++, at += used) {
        struct newview_state *state = &newview->states[i];
        if (at > size || !parse_state(a, state, body + at, size - at, &used) ||
            (i > 0 && state->replica <= newview->states[i - 1].replica &&
             !TACIT_BUG(SIGNER_REPEATED))) {
            return false;
        }
        for (uint32_t c = 0; c <= a->f; c++) {
            if (share_base(state, c) > newview->base) {
                return false;
            }
        }
    }
    return at == size;
}

static bool newview_job(struct tacit_agree *a, void *context, uint32_t i,
                        struct tacit_signer_job *job)
{
    const struct newview *newview = context;
    uint32_t quorum = a->f + 1u;
    if (i < quorum * quorum) {
        const struct newview_state *state = &newview->states[i / quorum];
        uint32_t c = i % quorum;
        const uint8_t *signature = state->shares + (size_t)c * STATE_SHARE_BYTES + 16;
        const struct tacit_state_share *known =
            share_of(a, state->replica, (tacit_node_t)share_signer(state, c));
        if (known->valid && known->view + 1 == newview->view &&
            known->base == share_base(state, c) &&
            tacit_digest_is_equal(&known->digest, &state->digest) &&
            memcmp(known->signature.bytes, signature, TACIT_SIGNATURE_BYTES) == 0) {
            return false;
        }
        job->author = tacit_author_of(a->config.authors, (tacit_node_t)share_signer(state, c));
        job->domain = TACIT_DOMAIN_STATE_SHARE;
        memcpy(job->signature.bytes, signature, TACIT_SIGNATURE_BYTES);
        uint64_t sealed = newview->view - 1;
        if (TACIT_BUG(OLD_NEW_VIEW_ACCEPTED)) { // whatever view the state itself says
            sealed = tacit_get64(state->bytes) - 1;
        }
        struct tacit_digest digest = signed_digest(a, &state->digest, state->bytes, state->size);
        job->payload_bytes = tacit_statement_state_share(job->payload, a->epoch, state->replica,
                                                         sealed, &digest, share_base(state, c));
        return !TACIT_BUG(NEW_VIEW_UNCHECKED);
    }
    const struct tacit_share *share = &newview->certificate.shares[i - quorum * quorum];
    if (newview->base == a->base && tacit_digest_is_equal(&newview->root, &a->root)) {
        return false;
    }
    job->author = share->signer;
    job->domain = TACIT_DOMAIN_CHECKPOINT;
    job->signature = share->signature;
    job->payload_bytes =
        tacit_statement_checkpoint(job->payload, a->epoch, newview->base, &newview->root);
    return true;
}

static bool apply_newview(struct tacit_agree *a, tacit_node_t stream, const struct newview *newview)
{
    const struct tacit_stream *states[TACIT_REPLICAS_MAX];
    uint32_t forced;
    for (uint32_t i = 0; i <= a->f; i++) {
        const struct newview_state *state = &newview->states[i];
        if (tacit_stream_decode(&a->scratch[i], state->bytes, state->size) != TACIT_VERDICT_OK ||
            (a->scratch[i].view != newview->view && !TACIT_BUG(OLD_NEW_VIEW_ACCEPTED)) ||
            a->scratch[i].base > newview->base) {
            return false;
        }
        states[i] = &a->scratch[i];
    }
    return tacit_select(states, a->f + 1u, newview->base, a->config.window, a->entries, &forced) &&
           tacit_stream_newview(&a->streams[stream], newview->view, newview->base, &newview->root,
                                a->entries, forced);
}

static void enter(struct tacit_agree *a)
{
    const struct tacit_stream *leader = &a->streams[tacit_leader_of(a, a->view)];
    if (a->entered || a->seal_due || leader->view != a->view || !leader->has_newview) {
        return;
    }
    a->entered = true;
    a->progress_ns = a->now_ns;
    a->counters.views_entered++;
    // What is forced and was never seen here is asked for.
    uint64_t end = a->base + a->config.window;
    end = leader->newview_end < end ? leader->newview_end : end;
    a->seen = a->seen > end ? a->seen : end;
    if (tacit_leads(a)) {
        uint64_t from = leader->newview_base > a->base ? leader->newview_base : a->base;
        a->next = a->applied > from ? a->applied : from;
        a->again = a->again_end = a->next;
        a->again_least = from;
    }
    a->calls.entered(a->calls.context, a->view, tacit_leader_of(a, a->view));
    tacit_votes_rescan(a);
}

enum tacit_take tacit_view_newview_seen(struct tacit_agree *a, tacit_node_t stream, uint64_t k,
                                        const struct tacit_payload *payload, const uint8_t *body)
{
    struct tacit_stream *state = &a->streams[stream];
    struct newview newview;
    if (payload->view == 0 || stream != tacit_leader_of(a, payload->view) ||
        state->view != payload->view || state->has_newview ||
        !parse_newview(a, &newview, payload, body)) {
        return TACIT_TAKE_ILLEGAL;
    }
    digest_states(a, stream, k, &newview);
    uint32_t total = (a->f + 1u) * (a->f + 1u) + newview.certificate.count;
    enum tacit_take take = tacit_check_run(a, stream, k, total, newview_job, &newview);
    if (take != TACIT_TAKE_DONE) {
        return take;
    }
    if (!apply_newview(a, stream, &newview)) {
        return TACIT_TAKE_ILLEGAL;
    }
    if (payload->view > a->view) {
        tacit_view_seal(a, payload->view - 1);
    }
    tacit_base_certified(a, newview.base, &newview.root, &newview.certificate);
    enter(a);
    return TACIT_TAKE_DONE;
}

// ---- a turn

bool tacit_view_poll(struct tacit_agree *a)
{
    bool worked = false;
    tacit_view_follow(a);
    if (a->seal_due) {
        worked = send_seal(a);
        tacit_view_cosign_all(a);
    }
    worked = send_newview(a) || worked;
    enter(a);
    return worked;
}

void tacit_view_repeat(struct tacit_agree *a)
{
    if (a->view == 0 || a->entered || a->seal_due) {
        return;
    }
    tacit_view_cosign_all(a);
    for (tacit_node_t r = 0; r < a->config.replicas; r++) {
        if (a->cosigns[r].known && a->cosigns[r].is_signed && a->cosigns[r].view + 1 == a->view) {
            send_share(a, r);
        }
    }
}
