// SPDX-License-Identifier: Apache-2.0
//
// One slot in one view: vouch, ACK, CERTIFY, COMMIT, and what decides. Rules: README.md, section
// "fast and slow path".
#include "agree_internal.h"

// Whether this very value was vouched in that view.
bool tacit_slot_has_vouched(const struct tacit_slot *slot, uint64_t view,
                            const struct tacit_digest *digest)
{
    for (uint32_t i = 0; i < slot->vouches; i++) {
        const struct tacit_vouch *vouch = &slot->vouched[i];
        if (view >= vouch->first && view - vouch->first < 64 &&
            (vouch->views >> (view - vouch->first) & 1) != 0 &&
            tacit_digest_is_equal(&vouch->digest, digest)) {
            return true;
        }
    }
    return false;
}

const struct tacit_digest *tacit_slot_vouched(const struct tacit_slot *slot, uint64_t view)
{
    for (uint32_t i = 0; i < slot->vouches; i++) {
        const struct tacit_vouch *vouch = &slot->vouched[i];
        if (view >= vouch->first && view - vouch->first < 64 &&
            (vouch->views >> (view - vouch->first) & 1) != 0) {
            return &vouch->digest;
        }
    }
    return NULL;
}

bool tacit_slot_vouch(struct tacit_slot *slot, uint64_t view, const struct tacit_digest *digest)
{
    for (uint32_t i = 0; i < slot->vouches; i++) {
        struct tacit_vouch *vouch = &slot->vouched[i];
        if (view >= vouch->first && view - vouch->first < 64 &&
            tacit_digest_is_equal(&vouch->digest, digest)) {
            vouch->views |= 1ull << (view - vouch->first);
            return true;
        }
    }
    if (slot->vouches == TACIT_BYZ_VIEWS_KEPT) {
        return false;
    }
    slot->vouched[slot->vouches++] =
        (struct tacit_vouch){.digest = *digest, .first = view, .views = 1};
    return true;
}

void tacit_slot_unvouch(struct tacit_slot *slot, uint64_t view)
{
    for (uint32_t i = 0; i < slot->vouches; i++) {
        struct tacit_vouch *vouch = &slot->vouched[i];
        if (view >= vouch->first && view - vouch->first < 64) {
            vouch->views &= ~(1ull << (view - vouch->first));
        }
    }
    slot->vouches -= slot->vouches > 0 && slot->vouched[slot->vouches - 1].views == 0;
}

// Whose ACK was missed for as long as it is waited for, when signatures decided: until one of it is
// seen again, nobody waits for it. (Signatures may decide sooner, because of another replica that
// waits for nobody: that says nothing of whose ACK is not here yet.)
static void note_silent(struct tacit_agree *a, const struct tacit_slot *slot)
{
    if (slot->has_prepare && a->now_ns - slot->since_ns < tacit_agree_patience_ns(a) &&
        !TACIT_BUG(SILENT_AT_ONCE)) {
        return;
    }
    for (tacit_node_t r = 0; r < a->config.replicas; r++) {
        const struct tacit_ack *ack = &slot->acks[r];
        if (r == a->config.self || (ack->known && ack->view >= slot->view)) {
            continue;
        }
        if ((a->silent & 1u << r) == 0 || a->missed[r] < a->base) {
            a->missed[r] = slot->slot; // else an earlier one, whose ACK must come first
        }
        a->silent |= 1u << r;
    }
}

static void decide(struct tacit_agree *a, struct tacit_slot *slot,
                   const struct tacit_digest *digest, bool fast)
{
    if (slot->decided) {
        return;
    }
    if (!fast) {
        note_silent(a, slot);
    }
    if (fast) {
        tacit_patience_sample(&a->patience, a->now_ns - slot->since_ns, a->config.slow_after_ns);
    }
    a->slow_run = fast ? 0 : a->slow_run + 1;
    a->fast_run = fast ? a->fast_run + 1 : 0;
    if (a->fast_run >= TACIT_FAST_AGAIN && a->fetched_back > 0) {
        a->fast_run = 0;
        a->fetched_back--;
    }
    slot->decided = true;
    slot->decided_fast = fast;
    slot->value = *digest;
    a->progress_ns = a->now_ns;
    a->helped = a->helped == 0 || TACIT_BUG(PATIENCE_FORGOTTEN) ? 0 : a->helped - 1;
    *(fast ? &a->counters.decided_fast : &a->counters.decided_slow) += 1;
    tacit_mark(&a->marker, fast ? TACIT_MARK_DECIDED_FAST : TACIT_MARK_DECIDED_SLOW);
}

// ---- vouch and ACK

static bool is_endorsed(struct tacit_agree *a, struct tacit_slot *slot)
{
    const struct tacit_stream *leader = &a->streams[tacit_leader_of(a, slot->view)];
    uint32_t bytes = 0;
    if (slot->endorsed) {
        return true;
    }
    if (slot->prepare.body_bytes == 0) { // a no-op
        slot->endorsed = true;
        return true;
    }
    const uint8_t *body = tacit_agree_body(a, &slot->prepare.digest, &bytes);
    if (body == NULL) {
        tacit_ctb_fetch(a->ctb, tacit_leader_of(a, slot->view), &slot->prepare.digest,
                        slot->prepare.body_bytes, a->now_ns);
        return false;
    }
    bool may_be_forced = slot->view > 0 && leader->view == slot->view;
    const struct tacit_slot_value *forced =
        may_be_forced ? tacit_stream_force_of(leader, slot->slot) : NULL;
    bool is_forced = forced != NULL &&
                     tacit_digest_is_equal(&forced->digest, &slot->prepare.digest) &&
                     !TACIT_BUG(FORCED_NEEDS_ENDORSEMENT);
    // What was decided here was endorsed by a correct replica; its requests were forgotten when
    // they were executed, and the leader must not hear that they are lacking.
    bool is_decided = slot->decided && tacit_digest_is_equal(&slot->value, &slot->prepare.digest) &&
                      !TACIT_BUG(DECIDED_NEEDS_ENDORSEMENT);
    slot->endorsed =
        is_forced || is_decided || TACIT_BUG(VOUCH_UNENDORSED) ||
        a->calls.endorse(a->calls.context, slot->view, slot->slot, body, bytes) == TACIT_ENDORSED;
    return slot->endorsed;
}

// Once per (view, slot), whatever ids a faulty leader uses: this is what co-signers confirm later.
static bool vouch(struct tacit_agree *a, struct tacit_slot *slot)
{
    tacit_node_t leader = tacit_leader_of(a, slot->view);
    const struct tacit_stream *stream = &a->streams[leader];
    const struct tacit_digest *digest = &slot->prepare.digest;
    bool legal = tacit_stream_is_legal(stream, slot->view, slot->slot, digest);
    bool used_otherwise =
        !slot->delivered && stream->used[slot->slot % stream->window] == slot->slot + 1;
    if (TACIT_BUG(VOUCH_IGNORES_NEW_VIEW)) {
        legal = stream->view == slot->view && tacit_stream_in_window(stream, slot->slot);
    }
    if (!legal || used_otherwise) {
        return false;
    }
    const struct tacit_digest *before = tacit_slot_vouched(slot, slot->view);
    if (before != NULL && !tacit_digest_is_equal(before, digest) && !TACIT_BUG(VOUCH_TWICE)) {
        return false;
    }
    if (!tacit_slot_has_vouched(slot, slot->view, digest)) {
        if (!tacit_slot_hold(a, slot, &slot->prepare) ||
            !tacit_slot_vouch(slot, slot->view, digest)) {
            return false; // only CERTIFY is left for this view
        }
        a->counters.vouched++;
    }
    if (leader != a->config.self) {
        tacit_ctb_vouch(a->ctb, leader, slot->k);
    }
    return true;
}

static void acknowledge(struct tacit_agree *a, struct tacit_slot *slot)
{
    tacit_node_t leader = tacit_leader_of(a, slot->view);
    if (!slot->delivered || (slot->acked.known && slot->acked.view >= slot->view) ||
        !tacit_slot_has_vouched(slot, slot->view, &slot->prepare.digest)) {
        return;
    }
    if (!tacit_ctb_is_unanimous(a->ctb, leader, slot->k) && !TACIT_BUG(ACK_WITHOUT_UNANIMITY)) {
        return;
    }
    slot->acked =
        (struct tacit_ack){.known = true, .view = slot->view, .digest = slot->prepare.digest};
    slot->acks[a->config.self] = slot->acked;
    a->counters.acked++;
    tacit_patience_sample(&a->patience, a->now_ns - slot->since_ns, a->config.slow_after_ns);
    slot->since_ns = a->now_ns;
    struct tacit_vote vote = {
        .view = slot->view, .slot = slot->slot, .digest = slot->prepare.digest};
    tacit_links_vote(a->links, TACIT_VOTE_ACK, &vote);
    if (TACIT_BUG(DECIDE_ON_LOCKED)) {
        decide(a, slot, &slot->prepare.digest, true);
    }
}

// ---- CERTIFY and COMMIT

// Names a job at the signer, so that what comes back late is told from what is awaited.
static uint64_t share_value(struct tacit_agree *a, const struct tacit_slot *slot, tacit_node_t r)
{
    a->certify_serial = (a->certify_serial + 1) & 0xffffffu;
    return (uint64_t)r << 40 | (uint64_t)(slot - a->slots) << 24 | a->certify_serial;
}

static struct tacit_slot *share_slot(struct tacit_agree *a, uint64_t value, tacit_node_t *r)
{
    uint64_t index = value >> 24 & 0xffff;
    *r = (tacit_node_t)(value >> 40 & 0xff);
    if (index >= 2ull * a->config.window || *r >= a->config.replicas) {
        return NULL;
    }
    struct tacit_slot *slot = &a->slots[index];
    const struct tacit_certify *share = &slot->certifies[*r];
    bool awaited = slot->slot != TACIT_SLOT_NONE && share->checking &&
                   share->serial == (uint32_t)(value & 0xffffffu);
    return awaited ? slot : NULL;
}

// These have not ACKed so far: what is broadcast because of that need not wait for them anew.
static void note_missed(struct tacit_agree *a, const struct tacit_slot *slot)
{
    bool waits =
        slot->acked.known && slot->acked.view == slot->view && !TACIT_BUG(MISSED_ACK_UNTOLD);
    for (tacit_node_t r = 0; waits && r < a->config.replicas; r++) {
        if (r != a->config.self && !(slot->acks[r].known && slot->acks[r].view >= slot->view)) {
            tacit_ctb_missed(a->ctb, r, slot->since_ns);
        }
    }
}

// The own share is signed: the others may have it.
static void say_share(struct tacit_agree *a, const struct tacit_slot *slot)
{
    struct tacit_certify *own = &slot->certifies[a->config.self];
    own->valid = true;
    a->counters.certified++;
    struct tacit_vote vote = {
        .view = own->view, .slot = slot->slot, .digest = own->digest, .signature = own->signature};
    tacit_links_vote(a->links, TACIT_VOTE_CERTIFY, &vote);
    tacit_agree_send_status(a, slot->slot);
}

// `wanted`: to be said. Else it is kept until it is.
static bool sign_share(struct tacit_agree *a, struct tacit_slot *slot, bool wanted)
{
    struct tacit_signer_job job = {
        .charge = (uint8_t)a->config.self,
        .domain = TACIT_DOMAIN_CERTIFY,
        .cookie = tacit_agree_cookie(TACIT_JOB_CERTIFY_SIGN, share_value(a, slot, a->config.self))};
    job.payload_bytes = tacit_statement_certify(job.payload, a->epoch, slot->view, slot->slot,
                                                &slot->prepare.digest);
    if (!a->signer->ops->submit(a->signer, &job)) {
        return false;
    }
    slot->certifies[a->config.self] = (struct tacit_certify){.known = wanted,
                                                             .checking = true,
                                                             .serial = a->certify_serial,
                                                             .view = slot->view,
                                                             .digest = slot->prepare.digest};
    return true;
}

// Where somebody is not to be expected, this slot will be CERTIFIED once its PREPARE is delivered.
// Until it is, and its broadcaster's signature is awaited, there is time for the own one.
static void sign_ahead(struct tacit_agree *a, struct tacit_slot *slot)
{
    const struct tacit_certify *own = &slot->certifies[a->config.self];
    bool is_used = own->known || own->checking || own->made;
    bool is_due = tacit_slow_after_ns(a) == 0 && !slot->decided && !TACIT_BUG(SHARE_NOT_AHEAD);
    if (is_due && !(is_used && own->view >= slot->view)) {
        (void)sign_share(a, slot, false); // no room: when it is wanted
    }
}

static void certify(struct tacit_agree *a, struct tacit_slot *slot)
{
    struct tacit_certify *own = &slot->certifies[a->config.self];
    if (!slot->delivered || !slot->slow || (own->known && own->view >= slot->view)) {
        return;
    }
    if (!tacit_slot_hold(a, slot, &slot->prepare)) {
        return;
    }
    // Signed ahead, or about to be: of this very value, or it is worth nothing.
    bool is_ahead = (own->made || own->checking) && own->view == slot->view &&
                    (tacit_digest_is_equal(&own->digest, &slot->prepare.digest) ||
                     TACIT_BUG(SHARE_OF_ANOTHER_VALUE));
    if (is_ahead) {
        own->known = true;
    } else if (!sign_share(a, slot, true)) {
        return;
    }
    note_missed(a, slot);
    if (own->made) {
        say_share(a, slot);
    }
}

static void commit(struct tacit_agree *a, struct tacit_slot *slot)
{
    if ((slot->commit_sent && slot->commit_view >= a->view) || a->seal_due ||
        !tacit_stream_in_window(&a->streams[a->config.self], slot->slot)) {
        return;
    }
    for (tacit_node_t lead = 0; lead < a->config.replicas; lead++) {
        const struct tacit_certify *first = &slot->certifies[lead];
        if (!first->valid || first->view != a->view) {
            continue;
        }
        struct tacit_certificate certificate = {0};
        for (tacit_node_t r = 0; r < a->config.replicas && certificate.count < a->f + 1; r++) {
            const struct tacit_certify *share = &slot->certifies[r];
            if (share->valid && share->view == a->view &&
                tacit_digest_is_equal(&share->digest, &first->digest)) {
                certificate.shares[certificate.count++] =
                    (struct tacit_share){.signer = (uint8_t)r, .signature = share->signature};
            }
        }
        if (certificate.count < a->f + 1) {
            continue;
        }
        memcpy(a->body, first->digest.bytes, TACIT_DIGEST_BYTES);
        size_t bytes =
            TACIT_DIGEST_BYTES + tacit_certificate_encode(a->body + TACIT_DIGEST_BYTES,
                                                          a->config.body_bytes - TACIT_DIGEST_BYTES,
                                                          &certificate);
        struct tacit_payload payload = {
            .kind = TACIT_PAYLOAD_COMMIT, .view = a->view, .slot = slot->slot};
        slot->commit_sent = true; // before: the own broadcast is delivered inside the call
        uint64_t before = slot->commit_view;
        slot->commit_view = a->view;
        if (tacit_ctb_broadcast(a->ctb, &payload, a->body, (uint32_t)bytes, a->now_ns)) {
            a->counters.committed++;
        } else {
            slot->commit_sent = before != 0;
            slot->commit_view = before;
        }
        return;
    }
}

void tacit_votes_try(struct tacit_agree *a, struct tacit_slot *slot)
{
    if (TACIT_BUG(ACK_AFTER_SEAL) && slot->has_prepare && slot->view + 1 == a->view) {
        acknowledge(a, slot);
    }
    if (a->view > 0 && !a->entered) {
        return;
    }
    if (a->seal_due || slot->slot < a->base || slot->slot >= tacit_votes_end(a) ||
        !tacit_stream_in_window(&a->streams[a->config.self], slot->slot)) {
        return;
    }
    commit(a, slot);
    if (!slot->has_prepare || slot->view != a->view || !is_endorsed(a, slot)) {
        return;
    }
    bool vouched = vouch(a, slot);
    if (vouched) {
        acknowledge(a, slot);
    }
    if (vouched && !slot->delivered) {
        sign_ahead(a, slot);
    }
    certify(a, slot);
}

void tacit_votes_try_all(struct tacit_agree *a)
{
    for (uint64_t s = a->base; s < a->seen && s < a->base + a->config.window; s++) {
        struct tacit_slot *slot = tacit_slot_at(a, s);
        if (slot != NULL) {
            tacit_votes_try(a, slot);
        }
    }
}

// ---- what the streams bring

void tacit_votes_locked(struct tacit_agree *a, tacit_node_t stream, uint64_t k,
                        const struct tacit_payload *payload)
{
    if (payload->kind != TACIT_PAYLOAD_PREPARE || payload->view != a->view ||
        stream != tacit_leader_of(a, payload->view) || !tacit_prepare_is_sane(a, payload)) {
        return; // what is of a later view is looked at when that is entered
    }
    struct tacit_slot *slot = tacit_slot_at(a, payload->slot);
    if (payload->slot < a->base) {
        tacit_ctb_abstain(a->ctb, stream, k); // finished: the others need not wait for a vouch
        return;
    }
    if (slot == NULL || (slot->has_prepare && slot->view >= payload->view)) {
        return;
    }
    slot->has_prepare = true;
    slot->delivered = false;
    slot->endorsed = false;
    slot->slow = false;
    slot->view = payload->view;
    slot->k = k;
    slot->prepare = *payload;
    slot->since_ns = a->now_ns;
    a->seen = a->seen > payload->slot ? a->seen : payload->slot + 1;
    tacit_votes_try(a, slot);
}

void tacit_votes_rescan(struct tacit_agree *a)
{
    tacit_node_t leader = tacit_leader_of(a, a->view);
    uint64_t delivered;
    uint64_t locked;
    struct tacit_payload payload;
    if (leader != a->config.self) {
        tacit_ctb_progress(a->ctb, leader, &delivered, &locked);
        for (uint64_t k = delivered; k < locked; k++) {
            if (tacit_ctb_locked(a->ctb, leader, k, &payload)) {
                tacit_votes_locked(a, leader, k, &payload);
            }
        }
    }
    tacit_votes_try_all(a);
}

enum tacit_take tacit_votes_prepare(struct tacit_agree *a, tacit_node_t stream, uint64_t k,
                                    const struct tacit_payload *payload)
{
    struct tacit_stream *state = &a->streams[stream];
    if (stream != tacit_leader_of(a, payload->view) || !tacit_prepare_is_sane(a, payload) ||
        !tacit_stream_prepare(state, payload->view, payload->slot, &payload->digest)) {
        return TACIT_TAKE_ILLEGAL;
    }
    if (payload->view != a->view || payload->slot < a->base) {
        return TACIT_TAKE_DONE;
    }
    struct tacit_slot *slot = tacit_slot_at(a, payload->slot);
    if (slot == NULL) {
        return TACIT_TAKE_DONE;
    }
    bool same = slot->has_prepare && slot->view == payload->view &&
                tacit_payload_is_equal(&slot->prepare, payload);
    slot->has_prepare = true;
    slot->delivered = true;
    slot->endorsed = slot->endorsed && same;
    slot->view = payload->view;
    slot->k = k;
    slot->prepare = *payload;
    slot->since_ns = same ? slot->since_ns : a->now_ns;
    slot->slow = false;
    slot->endorsed = slot->endorsed || stream == a->config.self; // a leader answers for its batch
    a->seen = a->seen > payload->slot ? a->seen : payload->slot + 1;
    tacit_votes_try(a, slot);
    return TACIT_TAKE_DONE;
}

struct commit_check {
    const struct tacit_payload *payload;
    const struct tacit_digest *digest;
    const struct tacit_certificate *certificate;
    const struct tacit_slot *slot; // may be NULL
};

static bool commit_job(struct tacit_agree *a, void *context, uint32_t i,
                       struct tacit_signer_job *job)
{
    const struct commit_check *check = context;
    const struct tacit_share *share = &check->certificate->shares[i];
    if (check->slot != NULL) {
        const struct tacit_certify *known = &check->slot->certifies[share->signer];
        if (known->valid && known->view == check->payload->view &&
            tacit_digest_is_equal(&known->digest, check->digest) &&
            memcmp(&known->signature, &share->signature, sizeof(share->signature)) == 0) {
            return false;
        }
    }
    job->author = tacit_author_of(a->config.authors, share->signer);
    job->domain = TACIT_DOMAIN_CERTIFY;
    job->signature = share->signature;
    job->payload_bytes = tacit_statement_certify(job->payload, a->epoch, check->payload->view,
                                                 check->payload->slot, check->digest);
    return !TACIT_BUG(CERTIFICATE_UNCHECKED);
}

// The shares of a checked certificate are this replica's as well: with them it COMMITs itself, also
// when it never saw the PREPARE.
static void take_shares(struct tacit_agree *a, struct tacit_slot *slot, uint64_t view,
                        const struct tacit_digest *digest,
                        const struct tacit_certificate *certificate)
{
    for (uint32_t i = 0; i < certificate->count; i++) {
        const struct tacit_share *share = &certificate->shares[i];
        struct tacit_certify *known = &slot->certifies[share->signer];
        bool same =
            known->valid && known->view == view && tacit_digest_is_equal(&known->digest, digest);
        if (share->signer == a->config.self || same || (known->known && known->view > view)) {
            continue;
        }
        *known = (struct tacit_certify){.known = true,
                                        .valid = true,
                                        .view = view,
                                        .digest = *digest,
                                        .signature = share->signature};
    }
}

enum tacit_take tacit_votes_commit(struct tacit_agree *a, tacit_node_t stream, uint64_t k,
                                   const struct tacit_payload *payload, const uint8_t *body)
{
    struct tacit_stream *state = &a->streams[stream];
    struct tacit_certificate certificate;
    struct tacit_digest digest;
    size_t used;
    bool present = payload->view == state->view ||
                   (TACIT_BUG(COMMIT_AFTER_SEAL) && payload->view < state->view);
    if (payload->body_bytes < TACIT_DIGEST_BYTES || !present ||
        !tacit_stream_in_window(state, payload->slot)) {
        return TACIT_TAKE_ILLEGAL;
    }
    memcpy(digest.bytes, body, TACIT_DIGEST_BYTES);
    size_t rest = payload->body_bytes - TACIT_DIGEST_BYTES;
    if (tacit_certificate_decode(&certificate, body + TACIT_DIGEST_BYTES, rest, a->f + 1,
                                 a->config.replicas, &used) != TACIT_VERDICT_OK ||
        used != rest) {
        return TACIT_TAKE_ILLEGAL;
    }
    struct tacit_slot *slot = tacit_slot_at(a, payload->slot);
    struct commit_check check = {payload, &digest, &certificate, slot};
    if (stream != a->config.self) {
        enum tacit_take take = tacit_check_run(a, stream, k, certificate.count, commit_job, &check);
        if (take != TACIT_TAKE_DONE) {
            return take;
        }
    }
    if (!tacit_stream_commit(state, payload->view, payload->slot, &digest)) {
        return TACIT_TAKE_ILLEGAL;
    }
    if (slot != NULL) {
        a->seen = a->seen > payload->slot ? a->seen : payload->slot + 1;
        take_shares(a, slot, payload->view, &digest, &certificate);
        tacit_votes_count_commits(a, slot);
        slot->slow = true; // others need this replica's share and COMMIT
        tacit_votes_try(a, slot);
    }
    return TACIT_TAKE_DONE;
}

// ---- what decides

void tacit_votes_count_commits(struct tacit_agree *a, struct tacit_slot *slot)
{
    for (tacit_node_t first = 0; !slot->decided && first < a->config.replicas; first++) {
        const struct tacit_slot_value *one = tacit_stream_commit_of(&a->streams[first], slot->slot);
        if (one == NULL) {
            continue;
        }
        uint32_t equal = 0;
        uint32_t from = 0;
        for (tacit_node_t r = 0; r < a->config.replicas; r++) {
            const struct tacit_slot_value *other =
                tacit_stream_commit_of(&a->streams[r], slot->slot);
            bool is_equal = other != NULL && other->view == one->view &&
                            tacit_digest_is_equal(&other->digest, &one->digest);
            equal += is_equal;
            from |= is_equal ? 1u << r : 0;
        }
        if (equal >= a->f + (TACIT_BUG(DECIDE_ON_F_COMMITS) ? 0u : 1u)) {
            a->deciders = from;
            decide(a, slot, &one->digest, false);
        }
    }
}

void tacit_votes_note_commits(struct tacit_agree *a, tacit_node_t stream)
{
    for (uint64_t s = a->base; s < a->base + a->config.window; s++) {
        struct tacit_slot *slot =
            tacit_stream_commit_of(&a->streams[stream], s) == NULL ? NULL : tacit_slot_at(a, s);
        if (slot == NULL) {
            continue;
        }
        a->seen = a->seen > s ? a->seen : s + 1;
        tacit_votes_count_commits(a, slot);
        slot->slow = slot->slow || !TACIT_BUG(COMMIT_WITHOUT_SHARES_IGNORED);
    }
}

static bool look_at_acks(struct tacit_agree *a, struct tacit_slot *slot)
{
    uint32_t equal = 0;
    bool news = false;
    for (tacit_node_t r = 0; r < a->config.replicas; r++) {
        struct tacit_ack *ack = &slot->acks[r];
        struct tacit_vote vote;
        if (r != a->config.self && !(ack->known && ack->view >= a->view) &&
            tacit_links_voted(a->links, r, TACIT_VOTE_ACK, slot->slot, &vote) == TACIT_VERDICT_OK &&
            (!ack->known || vote.view > ack->view)) {
            *ack = (struct tacit_ack){.known = true, .view = vote.view, .digest = vote.digest};
            a->silent &= ~(1u << r);
            news = true;
        }
        equal += ack->known && slot->acked.known &&
                 (ack->view == slot->acked.view || TACIT_BUG(ACKS_ACROSS_VIEWS)) &&
                 tacit_digest_is_equal(&ack->digest, &slot->acked.digest);
    }
    if (equal == a->config.replicas || (TACIT_BUG(DECIDE_ON_QUORUM_ACKS) && equal > a->f)) {
        decide(a, slot, &slot->acked.digest, true);
    }
    return news;
}

void tacit_votes_look_for_late(struct tacit_agree *a)
{
    for (tacit_node_t r = 0; a->silent != 0 && r < a->config.replicas; r++) {
        const struct tacit_slot *slot = &a->slots[a->missed[r] % (2ull * a->config.window)];
        struct tacit_vote vote;
        if ((a->silent & 1u << r) == 0 || slot->slot != a->missed[r] || !slot->has_prepare ||
            TACIT_BUG(LATE_UNSEEN) ||
            tacit_links_voted(a->links, r, TACIT_VOTE_ACK, slot->slot, &vote) != TACIT_VERDICT_OK ||
            vote.view < slot->view) {
            continue;
        }
        a->silent &= ~(1u << r);
        tacit_mark(&a->marker, TACIT_MARK_ACK_LATE);
        tacit_patience_sample(&a->patience, a->now_ns - slot->since_ns, a->config.slow_after_ns);
    }
}

static void look_at_certify(struct tacit_agree *a, struct tacit_slot *slot, tacit_node_t r)
{
    struct tacit_certify *share = &slot->certifies[r];
    struct tacit_vote vote;
    if (share->checking || (share->known && share->valid && share->view >= a->view) ||
        tacit_links_voted(a->links, r, TACIT_VOTE_CERTIFY, slot->slot, &vote) != TACIT_VERDICT_OK ||
        (share->known && vote.view < share->view) ||
        (share->known && vote.view == share->view &&
         memcmp(&vote.signature, &share->signature, sizeof(vote.signature)) == 0)) {
        return;
    }
    struct tacit_signer_job job = {
        .verify = true,
        .charge = (uint8_t)r,
        .author = tacit_author_of(a->config.authors, r),
        .domain = TACIT_DOMAIN_CERTIFY,
        .signature = vote.signature,
        .cookie = tacit_agree_cookie(TACIT_JOB_CERTIFY_VERIFY, share_value(a, slot, r))};
    job.payload_bytes =
        tacit_statement_certify(job.payload, a->epoch, vote.view, vote.slot, &vote.digest);
    if (a->signer->ops->submit(a->signer, &job)) {
        *share = (struct tacit_certify){.known = true,
                                        .checking = true,
                                        .serial = a->certify_serial,
                                        .view = vote.view,
                                        .digest = vote.digest,
                                        .signature = vote.signature};
    }
}

// Looks at the votes of others for a slot. True: there was something new.
bool tacit_votes_look(struct tacit_agree *a, struct tacit_slot *slot)
{
    bool news = false;
    bool was_decided = slot->decided;
    if (!slot->decided) {
        news = look_at_acks(a, slot);
    }
    if (slot->has_prepare && slot->delivered && !slot->decided && !slot->slow &&
        a->now_ns - slot->since_ns >= tacit_slow_after_ns(a)) {
        slot->slow = true;
        news = true;
        tacit_mark(&a->marker, TACIT_MARK_SLOW_PATH);
        tacit_votes_try(a, slot);
    }
    if (slot->slow && a->now_ns >= slot->look_ns) {
        for (tacit_node_t r = 0; r < a->config.replicas; r++) {
            if (r != a->config.self) {
                look_at_certify(a, slot, r);
            }
        }
        tacit_votes_count_commits(a, slot);
        tacit_votes_try(a, slot);
        slot->look_ns = a->now_ns + a->config.slow_after_ns;
    }
    return news || slot->decided != was_decided;
}

bool tacit_agree_has_news(struct tacit_agree *a)
{
    for (uint64_t s = a->undecided; s < a->seen; s++) {
        const struct tacit_slot *slot = &a->slots[s % (2ull * a->config.window)];
        for (tacit_node_t r = 0; slot->slot == s && !slot->decided && r < a->config.replicas; r++) {
            struct tacit_vote vote;
            const struct tacit_ack *ack = &slot->acks[r];
            if (r != a->config.self && !(ack->known && ack->view >= a->view) &&
                tacit_links_voted(a->links, r, TACIT_VOTE_ACK, s, &vote) != TACIT_VERDICT_EMPTY) {
                return true;
            }
        }
    }
    return false;
}

// A peer says that it CERTIFIED this slot: look at its share; it counts when it is valid.
void tacit_votes_status(struct tacit_agree *a, tacit_node_t from, uint64_t number)
{
    struct tacit_slot *slot = tacit_slot_at(a, number);
    if (slot != NULL && number >= a->base && slot->has_prepare) {
        look_at_certify(a, slot, from);
        slot->slow =
            slot->slow || (slot->certifies[from].valid && slot->certifies[from].view == slot->view);
        tacit_votes_try(a, slot); // what found no room before
    }
}

void tacit_votes_signed(struct tacit_agree *a, uint64_t value,
                        const struct tacit_signature *signature)
{
    tacit_node_t r;
    struct tacit_slot *slot = share_slot(a, value, &r);
    if (slot == NULL) {
        return;
    }
    struct tacit_certify *own = &slot->certifies[r];
    own->checking = false;
    if (own->view != a->view || a->seal_due) {
        own->known = false; // left the view meanwhile: this is not said any more
        return;
    }
    own->signature = *signature;
    own->made = true;
    if (own->known) {
        say_share(a, slot);
    }
    tacit_votes_try(a, slot);
}

// Somebody has waited for all in vain, and now waits for this replica's share, which waits for the
// PREPARE's delivery: that waits for whom the other one has given up, and perhaps for longer.
static void follow(struct tacit_agree *a, const struct tacit_slot *slot,
                   const struct tacit_certify *share)
{
    if (slot->has_prepare && !slot->delivered && share->view == slot->view &&
        tacit_digest_is_equal(&share->digest, &slot->prepare.digest) &&
        !TACIT_BUG(OTHERS_WAIT_IGNORED)) {
        tacit_ctb_signed_for(a->ctb, tacit_leader_of(a, slot->view), slot->k);
    }
}

void tacit_votes_checked(struct tacit_agree *a, uint64_t value, bool valid)
{
    tacit_node_t r;
    struct tacit_slot *slot = share_slot(a, value, &r);
    if (slot == NULL) {
        return;
    }
    slot->certifies[r].checking = false;
    slot->certifies[r].valid = valid;
    if (!valid) {
        a->counters.bad_signatures++;
        return;
    }
    slot->slow = slot->slow || (slot->has_prepare && slot->certifies[r].view == slot->view);
    follow(a, slot, &slot->certifies[r]);
    tacit_votes_try(a, slot);
}
