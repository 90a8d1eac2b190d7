// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints: each replica signs the digest of its state after every half window, counted from
// the first slot of the epoch, and where the epoch ends; f+1 equal shares are a certificate, which
// ends all slots below. A certificate is said on the own stream (it opens
// the window there) and given to whoever shows an older base.
#include "agree_internal.h"

#define SHARE_BYTES (16u + TACIT_DIGEST_BYTES + TACIT_SIGNATURE_BYTES)

size_t tacit_base_encode(const struct tacit_digest *root,
                         const struct tacit_certificate *certificate, uint8_t *out)
{
    memcpy(out, root->bytes, TACIT_DIGEST_BYTES);
    return TACIT_DIGEST_BYTES + tacit_certificate_encode(out + TACIT_DIGEST_BYTES,
                                                         TACIT_BASE_BYTES_MAX - TACIT_DIGEST_BYTES,
                                                         certificate);
}

bool tacit_base_decode(const struct tacit_agree *a, const uint8_t *bytes, size_t size,
                       struct tacit_digest *root, struct tacit_certificate *certificate,
                       size_t *used)
{
    if (size < TACIT_DIGEST_BYTES) {
        return false;
    }
    memcpy(root->bytes, bytes, TACIT_DIGEST_BYTES);
    size_t rest;
    if (tacit_certificate_decode(certificate, bytes + TACIT_DIGEST_BYTES, size - TACIT_DIGEST_BYTES,
                                 (uint8_t)(a->f + 1), TACIT_BYZ_AUTHORS,
                                 &rest) != TACIT_VERDICT_OK) {
        return false;
    }
    *used = TACIT_DIGEST_BYTES + rest;
    return true;
}

// Whether there may be a checkpoint there: whoever is behind does not know where the epoch ends. Of
// the f+1 who signed a certificate one is correct, and signs at checkpoints only; a share counts
// for nothing alone.
static bool may_be(const struct tacit_agree *a, uint64_t base)
{
    return base > a->start_base;
}

// ---- certified

void tacit_base_certified(struct tacit_agree *a, uint64_t base, const struct tacit_digest *root,
                          const struct tacit_certificate *certificate)
{
    if (base <= a->base) {
        return;
    }
    a->base = base;
    a->root = *root;
    a->base_certificate = *certificate;
    if (base > a->newest.base) {
        a->newest = (struct tacit_base_offer){
            .epoch = a->epoch, .base = base, .root = *root, .certificate = *certificate};
    }
    a->announce_due = true;
    a->counters.checkpoints++;
    if (a->applied >= base) {
        a->behind_ns = 0;
    }
    bool own = a->own_base == base;
    if (own && !tacit_digest_is_equal(&a->own_root, root)) {
        own = false; // f+1 others computed another state: this replica's memory is damaged
        a->behind_ns = a->now_ns;
        tacit_mark(&a->marker, TACIT_MARK_STATE_DIVERGED);
        a->behind_told = base;
        a->fetching = true;
        a->calls.behind(a->calls.context, base, root);
    }
    if (own || a->applied >= base) {
        a->calls.stable(a->calls.context, base, root);
    }
    for (tacit_node_t r = 0; r < a->config.replicas; r++) {
        tacit_votes_note_commits(a, r);
    }
    (void)tacit_agree_advance(a);
    tacit_view_cosign_all(a);
    tacit_votes_rescan(a);
}

void tacit_agree_checkpointed(struct tacit_agree *a, uint64_t base, const struct tacit_digest *root)
{
    if (base <= a->own_base) {
        return;
    }
    a->own_base = base;
    a->own_root = *root;
    a->own_signed = a->own_asked = false;
    if (base == a->base && !tacit_digest_is_equal(root, &a->root)) {
        tacit_mark(&a->marker, TACIT_MARK_STATE_DIVERGED);
        a->behind_told = base;
        a->fetching = true;
        a->calls.behind(a->calls.context, base, &a->root);
    } else if (base == a->base) {
        a->calls.stable(a->calls.context, base, root);
    }
}

// The share of a replica, named by its author, in the order of authors.
static void add_share(const struct tacit_agree *a, struct tacit_certificate *certificate,
                      tacit_node_t r)
{
    uint8_t author = (uint8_t)tacit_author_of(a->config.authors, r);
    uint8_t at = certificate->count++;
    for (; at > 0 && certificate->shares[at - 1].signer > author; at--) {
        certificate->shares[at] = certificate->shares[at - 1];
    }
    certificate->shares[at] =
        (struct tacit_share){.signer = author, .signature = a->base_shares[r].signature};
}

static void assemble(struct tacit_agree *a)
{
    for (tacit_node_t first = 0; first < a->config.replicas; first++) {
        const struct tacit_base_share *one = &a->base_shares[first];
        struct tacit_certificate certificate = {0};
        if (!one->valid || one->base <= a->base) {
            continue;
        }
        for (tacit_node_t r = 0; r < a->config.replicas && certificate.count <= a->f; r++) {
            const struct tacit_base_share *share = &a->base_shares[r];
            if (share->valid && share->base == one->base &&
                tacit_digest_is_equal(&share->root, &one->root)) {
                add_share(a, &certificate, r);
            }
        }
        if (certificate.count > a->f) {
            tacit_base_certified(a, one->base, &one->root, &certificate);
            return;
        }
    }
}

// ---- own share

static void send_share(struct tacit_agree *a)
{
    uint8_t message[SHARE_BYTES] = {TACIT_MESSAGE_CHECKPOINT_SHARE};
    tacit_message_of_epoch(message, a->epoch);
    tacit_put64(message + 8, a->own_base);
    memcpy(message + 16, a->own_root.bytes, TACIT_DIGEST_BYTES);
    memcpy(message + 16 + TACIT_DIGEST_BYTES, a->own_signature.bytes, TACIT_SIGNATURE_BYTES);
    tacit_links_send_all(a->links, message, sizeof(message));
}

void tacit_base_signed(struct tacit_agree *a, const struct tacit_signature *signature,
                       uint64_t value)
{
    if (!a->own_asked || a->own_signed || (a->own_base & 0xffffffffffffull) != value) {
        return;
    }
    a->own_signed = true;
    a->own_signature = *signature;
    a->base_shares[a->config.self] = (struct tacit_base_share){.known = true,
                                                               .valid = true,
                                                               .base = a->own_base,
                                                               .root = a->own_root,
                                                               .signature = *signature};
    send_share(a);
    assemble(a);
}

static bool sign_own(struct tacit_agree *a)
{
    if (a->own_asked || a->own_base <= a->base) {
        return false;
    }
    struct tacit_signer_job job = {
        .charge = (uint8_t)a->config.self,
        .domain = TACIT_DOMAIN_CHECKPOINT,
        .cookie = tacit_agree_cookie(TACIT_JOB_BASE_SIGN, a->own_base & 0xffffffffffffull)};
    job.payload_bytes =
        tacit_statement_checkpoint(job.payload, a->epoch, a->own_base, &a->own_root);
    a->own_asked = a->signer->ops->submit(a->signer, &job);
    return a->own_asked;
}

// ---- shares and certificates of others

// Whether f+1 shares of the same state, the own one among them, are valid or being checked already:
// then no other has to be, unless one of them is found to be none.
static bool is_spared(const struct tacit_agree *a, const struct tacit_base_share *of)
{
    uint32_t count = a->own_base == of->base && tacit_digest_is_equal(&a->own_root, &of->root);
    for (tacit_node_t r = 0; r < a->config.replicas; r++) {
        const struct tacit_base_share *share = &a->base_shares[r];
        count += r != a->config.self && (share->valid || share->checking) &&
                 share->base == of->base && tacit_digest_is_equal(&share->root, &of->root);
    }
    return count > a->f && !TACIT_BUG(SHARES_ALL_CHECKED);
}

// Of a share that is neither valid nor checked yet.
static void check_share(struct tacit_agree *a, tacit_node_t from)
{
    struct tacit_base_share *share = &a->base_shares[from];
    struct tacit_signer_job job = {
        .verify = true,
        .charge = (uint8_t)from,
        .author = tacit_author_of(a->config.authors, from),
        .domain = TACIT_DOMAIN_CHECKPOINT,
        .signature = share->signature,
        .cookie = tacit_agree_cookie(TACIT_JOB_BASE_VERIFY, tacit_agree_epoch_value(a, from))};
    job.payload_bytes =
        tacit_statement_checkpoint(job.payload, a->epoch, share->base, &share->root);
    share->checking = !is_spared(a, share) && a->signer->ops->submit(a->signer, &job);
}

static void take_share(struct tacit_agree *a, tacit_node_t from, const uint8_t *message,
                       uint32_t bytes)
{
    struct tacit_base_share *share = &a->base_shares[from];
    uint64_t base = bytes == SHARE_BYTES ? tacit_get64(message + 8) : 0;
    if (!may_be(a, base)) {
        a->counters.malformed++;
        return;
    }
    // Newest base of each; one that runs far ahead only loses its own share.
    if (share->checking || base <= a->base ||
        (share->known && share->valid && base <= share->base)) {
        return;
    }
    *share = (struct tacit_base_share){.known = true, .base = base};
    memcpy(share->root.bytes, message + 16, TACIT_DIGEST_BYTES);
    memcpy(share->signature.bytes, message + 16 + TACIT_DIGEST_BYTES, TACIT_SIGNATURE_BYTES);
    check_share(a, from);
}

void tacit_base_checked(struct tacit_agree *a, uint64_t value, bool valid)
{
    tacit_node_t from = (tacit_node_t)value;
    if (!tacit_is_peer(a, from) || !a->base_shares[from].checking) {
        return;
    }
    a->base_shares[from].checking = false;
    a->base_shares[from].valid = valid;
    if (valid) {
        assemble(a);
        return;
    }
    a->base_shares[from].known = false;
    a->counters.bad_signatures++;
    // Others may have been spared the check because of it.
    for (tacit_node_t r = 0; r < a->config.replicas; r++) {
        const struct tacit_base_share *share = &a->base_shares[r];
        if (r != a->config.self && share->known && !share->valid && !share->checking &&
            share->base > a->base) {
            check_share(a, r);
        }
    }
}

struct base_check {
    uint64_t epoch;
    uint64_t base;
    const struct tacit_digest *root;
    const struct tacit_certificate *certificate;
};

// Whether this very share came here from the member of this epoch that it names, and was checked.
static bool is_known(const struct tacit_agree *a, const struct base_check *check,
                     const struct tacit_share *share)
{
    tacit_node_t r = 0;
    while (r < a->config.replicas && tacit_author_of(a->config.authors, r) != share->signer) {
        r++;
    }
    if (r == a->config.replicas || check->epoch != a->epoch) {
        return false;
    }
    const struct tacit_base_share *known = &a->base_shares[r];
    return known->valid && known->base == check->base &&
           tacit_digest_is_equal(&known->root, check->root) &&
           memcmp(&known->signature, &share->signature, sizeof(share->signature)) == 0;
}

// Signers are authors, who need not be members now: this replica may know no members yet.
static bool base_job(struct tacit_agree *a, void *context, uint32_t i, struct tacit_signer_job *job)
{
    const struct base_check *check = context;
    const struct tacit_share *share = &check->certificate->shares[i];
    if (is_known(a, check, share)) {
        return false;
    }
    job->author = share->signer;
    job->domain = TACIT_DOMAIN_CHECKPOINT;
    job->signature = share->signature;
    job->payload_bytes =
        tacit_statement_checkpoint(job->payload, check->epoch, check->base, check->root);
    return true;
}

void tacit_base_offered(struct tacit_agree *a, tacit_node_t from)
{
    struct tacit_base_offer *offer = &a->offers[from];
    if (!offer->pending) {
        return;
    }
    struct base_check check = {offer->epoch, offer->base, &offer->root, &offer->certificate};
    enum tacit_take take = tacit_check_run(a, (tacit_node_t)(a->config.replicas + from),
                                           offer->base, offer->certificate.count, base_job, &check);
    if (take == TACIT_TAKE_LATER) {
        return;
    }
    offer->pending = false;
    if (take != TACIT_TAKE_DONE) {
        return;
    }
    if (offer->epoch == a->epoch && !a->observer) {
        tacit_base_certified(a, offer->base, &offer->root, &offer->certificate);
    } else if (offer->base > a->newest.base) {
        a->newest = *offer;
    }
}

static void take_offer(struct tacit_agree *a, tacit_node_t from, const uint8_t *message,
                       uint32_t bytes)
{
    struct tacit_base_offer *offer = &a->offers[from];
    struct tacit_base_offer taken = {.pending = true};
    size_t used;
    if (bytes < 16 || offer->pending) {
        return;
    }
    taken.base = tacit_get64(message + 8);
    taken.epoch = tacit_message_epoch(message);
    if (taken.base <= a->base || taken.epoch < a->epoch ||
        (taken.epoch > a->epoch && taken.base <= a->newest.base)) {
        return;
    }
    if (!may_be(a, taken.base) ||
        !tacit_base_decode(a, message + 16, bytes - 16, &taken.root, &taken.certificate, &used)) {
        a->counters.malformed++;
        return;
    }
    *offer = taken;
    tacit_base_offered(a, from);
}

void tacit_base_message(struct tacit_agree *a, tacit_node_t from, const uint8_t *message,
                        uint32_t bytes)
{
    if (message[0] == TACIT_MESSAGE_CHECKPOINT_SHARE) {
        take_share(a, from, message, bytes);
    } else {
        take_offer(a, from, message, bytes);
    }
}

// ---- the streams

enum tacit_take tacit_base_announced(struct tacit_agree *a, tacit_node_t stream, uint64_t k,
                                     const struct tacit_payload *payload, const uint8_t *body)
{
    struct tacit_digest root;
    struct tacit_certificate certificate;
    size_t used;
    if (payload->view != 0 || !may_be(a, payload->slot) ||
        payload->slot <= a->streams[stream].base ||
        !tacit_base_decode(a, body, payload->body_bytes, &root, &certificate, &used) ||
        used != payload->body_bytes) {
        return TACIT_TAKE_ILLEGAL;
    }
    bool known = payload->slot == a->base && tacit_digest_is_equal(&root, &a->root);
    if (!known && stream != a->config.self) {
        struct base_check check = {a->epoch, payload->slot, &root, &certificate};
        enum tacit_take take = tacit_check_run(a, stream, k, certificate.count, base_job, &check);
        if (take != TACIT_TAKE_DONE) {
            return take;
        }
    }
    if (!tacit_stream_checkpoint(&a->streams[stream], payload->slot, &root)) {
        return TACIT_TAKE_ILLEGAL;
    }
    tacit_base_certified(a, payload->slot, &root, &certificate);
    if (stream == tacit_leader_of(a, a->view)) {
        tacit_votes_rescan(a); // its window moved
    }
    return TACIT_TAKE_DONE;
}

// Also before a SEAL_VIEW, from the reserve: a stream's claims are judged by the base that it
// announced, and what lies below is not claimed any more.
bool tacit_base_announce(struct tacit_agree *a)
{
    if (!a->announce_due || (!a->seal_due && !tacit_ctb_has_room(a->ctb))) {
        return false;
    }
    if (a->streams[a->config.self].base >= a->base) { // NEW_VIEW said it
        a->announce_due = false;
        return false;
    }
    struct tacit_payload payload = {.kind = TACIT_PAYLOAD_CHECKPOINT, .slot = a->base};
    size_t bytes = tacit_base_encode(&a->root, &a->base_certificate, a->body);
    a->announce_due = false; // before: the own broadcast is delivered inside the call
    if (!tacit_ctb_broadcast(a->ctb, &payload, a->body, (uint32_t)bytes, a->now_ns)) {
        a->announce_due = true;
        return false;
    }
    tacit_votes_try_all(a);
    return true;
}

bool tacit_base_poll(struct tacit_agree *a)
{
    bool worked = sign_own(a);
    worked = tacit_base_announce(a) || worked;
    if (a->base > a->applied && a->behind_told < a->base) {
        // Who executes what it lacks, however late, gets there sooner than by fetching a state that
        // is behind, too, when it is here.
        if (a->behind_ns == 0 || a->behind_applied != a->applied) {
            a->behind_ns = a->now_ns;
            a->behind_applied = a->applied;
        } else if (a->now_ns - a->behind_ns >=
                   a->config.behind_after_ns + tacit_agree_patience_ns(a)) {
            a->behind_told = a->base;
            a->fetching = true;
            a->counters.behind++;
            a->calls.behind(a->calls.context, a->base, &a->root);
        }
    }
    return worked;
}

void tacit_base_jump(struct tacit_agree *a)
{
    if ((a->newest.epoch == a->epoch && !a->observer) || a->newest.base <= a->applied ||
        a->newest.base == a->newest_told) {
        return;
    }
    a->newest_told = a->newest.base;
    a->fetching = true;
    a->counters.behind++;
    tacit_mark(&a->marker, TACIT_MARK_EPOCH_JUMPED);
    a->calls.behind(a->calls.context, a->newest.base, &a->newest.root);
}

void tacit_base_repeat(struct tacit_agree *a)
{
    if (a->own_signed && a->own_base > a->base) {
        send_share(a);
    }
}
