// SPDX-License-Identifier: Apache-2.0
//
// Consistent tail broadcast, summaries: shares, certificates, and gaps that a certified state
// closes.
//
// Three things are kept for each stream: `made`, what this replica encoded last; `known`, the
// newest certificate; `kept`, the newest state whose certificate and bytes are both here, which is
// what others are served. Of two points that are not certified there is never more than one, since
// a correct broadcaster stays within tail - 1 ids of its last certificate.
#include <string.h>

#include "../base/bug.h"
#include "ctb_internal.h"

#define STUCK_WITH_CERTIFICATE 2u // in retry_ns: the id may still come, adopting skips it
#define STUCK_WITHOUT 8u

// ---- what is known -----------------------------------------------------------------------------

// The own encoding turns out to be certified.
static void promote(struct tacit_ctb_stream *stream)
{
    if (!stream->made.is || !stream->known.is || stream->made.k != stream->known.k ||
        !tacit_ctb_is_same(&stream->made.digest, &stream->known.digest)) {
        return;
    }
    struct tacit_ctb_state old = stream->kept;
    stream->kept = stream->made;
    stream->kept_by = stream->known;
    stream->made = old;
    stream->made.is = false;
}

static void learn(struct tacit_ctb *ctb, tacit_node_t s,
                  const struct tacit_ctb_certified *certified)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    if (stream->known.is && stream->known.k >= certified->k) {
        return;
    }
    stream->known = *certified;
    ctb->counters.summaries++;
    promote(stream);
    tacit_ctb_exists(ctb, s);
    tacit_ctb_let_go_certified(ctb, s);
    if (stream->in_gap && certified->k >= stream->next) {
        stream->gap_due_ns = 0; // the state that it certifies closes the gap: asked for at once
        stream->gap_wait_ns = ctb->config.retry_ns;
    }
}

static void send_summary(struct tacit_ctb *ctb, tacit_node_t to, tacit_node_t s,
                         const struct tacit_ctb_certified *certified)
{
    struct tacit_ctb_message message = {.kind = TACIT_MESSAGE_SUMMARY,
                                        .stream = s,
                                        .epoch = ctb->epoch,
                                        .k = certified->k,
                                        .digest = certified->digest,
                                        .certificate = certified->certificate};
    if (to == ctb->config.self) {
        tacit_ctb_send_all(ctb, &message);
    } else {
        tacit_ctb_send(ctb, to, &message);
    }
}

void tacit_ctb_answer_summary(struct tacit_ctb *ctb, tacit_node_t to, tacit_node_t s,
                              uint64_t at_least)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    if (ctb->now_ns < stream->answer_due_ns[to]) {
        return;
    }
    // Rather the one whose state is here, too.
    const struct tacit_ctb_certified *certified =
        stream->kept.is && stream->kept.k >= at_least ? &stream->kept_by : &stream->known;
    if (certified->is && certified->k >= at_least) {
        stream->answer_due_ns[to] = ctb->now_ns + ctb->config.retry_ns / 4;
        send_summary(ctb, to, s, certified);
    }
}

void tacit_ctb_on_fetch_summary(struct tacit_ctb *ctb, tacit_node_t from,
                                const struct tacit_ctb_message *message)
{
    tacit_ctb_answer_summary(ctb, from, message->stream, message->k);
}

// ---- shares ------------------------------------------------------------------------------------

void tacit_ctb_summary_point(struct tacit_ctb *ctb, tacit_node_t s, uint64_t k)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    size_t bytes = ctb->calls.encode(ctb->calls.context, s, stream->made.memory);
    TACIT_ASSERT(bytes <= ctb->config.state_bytes);
    stream->made.is = true;
    stream->made.k = k;
    stream->made.bytes = (uint32_t)bytes;
    tacit_digest_make(&stream->made.digest, TACIT_DOMAIN_STATE, stream->made.memory, bytes);
    stream->share_sign = stream->known.is && stream->known.k >= k ? TACIT_CTB_NONE : TACIT_CTB_WAIT;
    stream->share_wait_ns = ctb->config.retry_ns;
    promote(stream);
}

static bool sign_share(struct tacit_ctb *ctb, tacit_node_t s)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    struct tacit_signer_job job = {.verify = false,
                                   .charge = (uint8_t)ctb->config.self,
                                   .author = ctb->config.self,
                                   .domain = TACIT_DOMAIN_SUMMARY};
    job.cookie =
        tacit_ctb_cookie(ctb, TACIT_CTB_JOB_SHARE, s, ctb->config.self, (uint32_t)stream->made.k);
    job.payload_bytes =
        tacit_statement_summary(job.payload, ctb->epoch, s, stream->made.k, &stream->made.digest);
    if (!tacit_ctb_submit(ctb, &job)) {
        return false;
    }
    stream->share_sign = TACIT_CTB_PENDING;
    return true;
}

static void send_share(struct tacit_ctb *ctb, tacit_node_t s)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    struct tacit_ctb_message message = {.kind = TACIT_MESSAGE_SUMMARY_SHARE,
                                        .stream = s,
                                        .epoch = ctb->epoch,
                                        .k = stream->made.k,
                                        .digest = stream->made.digest,
                                        .signature = stream->share};
    tacit_ctb_send(ctb, s, &message);
    stream->share_due_ns = ctb->now_ns + stream->share_wait_ns;
    stream->share_wait_ns = tacit_ctb_longer(ctb, stream->share_wait_ns);
}

// Shares of one state by f+1 replicas are a certificate of the own stream.
static void try_certificate(struct tacit_ctb *ctb, const struct tacit_ctb_share *of)
{
    tacit_node_t self = ctb->config.self;
    struct tacit_ctb_certified certified = {.is = true, .k = of->k, .digest = of->digest};
    struct tacit_certificate *certificate = &certified.certificate;
    for (tacit_node_t w = 0; w < ctb->config.replicas && certificate->count < ctb->quorum; w++) {
        const struct tacit_ctb_share *share = &ctb->shares[w];
        if (share->sign == TACIT_CTB_VALID && share->k == of->k &&
            tacit_ctb_is_same(&share->digest, &of->digest)) {
            certificate->shares[certificate->count++] =
                (struct tacit_share){.signer = (uint8_t)w, .signature = share->signature};
        }
    }
    const struct tacit_ctb_stream *own = &ctb->streams[self];
    if (certificate->count == ctb->quorum && (!own->known.is || own->known.k < of->k)) {
        learn(ctb, self, &certified);
        send_summary(ctb, self, self, &certified);
    }
}

void tacit_ctb_share_made(struct tacit_ctb *ctb, tacit_node_t s, uint32_t low,
                          const struct tacit_signer_done *done)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    if (!stream->made.is || (uint32_t)stream->made.k != low ||
        stream->share_sign != TACIT_CTB_PENDING) {
        return; // certified meanwhile, or consumed further
    }
    stream->share_sign = TACIT_CTB_VALID;
    stream->share = done->signature;
    if (s != ctb->config.self) {
        send_share(ctb, s);
        return;
    }
    struct tacit_ctb_share *own = &ctb->shares[s];
    *own = (struct tacit_ctb_share){.sign = TACIT_CTB_VALID,
                                    .k = stream->made.k,
                                    .digest = stream->made.digest,
                                    .signature = done->signature};
    try_certificate(ctb, own);
}

void tacit_ctb_on_share(struct tacit_ctb *ctb, tacit_node_t from,
                        const struct tacit_ctb_message *message)
{
    tacit_node_t self = ctb->config.self;
    struct tacit_ctb_stream *own = &ctb->streams[self];
    if (message->stream != self || !tacit_ctb_is_summary_point(ctb, message->k) ||
        message->k >= own->lock_end || own->condemned) {
        return;
    }
    if (own->known.is && own->known.k >= message->k) {
        tacit_ctb_answer_summary(ctb, from, self, message->k);
        return;
    }
    struct tacit_ctb_share *share = &ctb->shares[from];
    bool is_needed = !own->known.is || share->k > own->known.k; // else it was spared the check
    if (share->sign == TACIT_CTB_PENDING || (share->sign == TACIT_CTB_WAIT && is_needed) ||
        (share->sign == TACIT_CTB_VALID && share->k >= message->k)) {
        return; // it comes again
    }
    *share = (struct tacit_ctb_share){.sign = TACIT_CTB_WAIT,
                                      .k = message->k,
                                      .digest = message->digest,
                                      .signature = message->signature};
}

// Whether f+1 shares of the same state, the own one among them, are valid or being checked already:
// then no other has to be, unless one of them is found to be none.
static bool is_spared(const struct tacit_ctb *ctb, const struct tacit_ctb_share *of)
{
    const struct tacit_ctb_stream *own = &ctb->streams[ctb->config.self];
    uint32_t count =
        own->made.is && own->made.k == of->k && tacit_ctb_is_same(&own->made.digest, &of->digest);
    for (tacit_node_t w = 0; w < ctb->config.replicas; w++) {
        const struct tacit_ctb_share *share = &ctb->shares[w];
        count += w != ctb->config.self && share->k == of->k &&
                 (share->sign == TACIT_CTB_VALID || share->sign == TACIT_CTB_PENDING) &&
                 tacit_ctb_is_same(&share->digest, &of->digest);
    }
    bool spared = (own->known.is && own->known.k >= of->k) || count >= ctb->quorum;
    return spared && !TACIT_BUG(SHARES_ALL_CHECKED);
}

static bool check_share(struct tacit_ctb *ctb, tacit_node_t from)
{
    tacit_node_t self = ctb->config.self;
    struct tacit_ctb_share *share = &ctb->shares[from];
    if (is_spared(ctb, share)) {
        return false;
    }
    struct tacit_signer_job job = {.verify = true,
                                   .charge = (uint8_t)from,
                                   .author = tacit_author_of(ctb->config.authors, from),
                                   .domain = TACIT_DOMAIN_SUMMARY,
                                   .signature = share->signature};
    job.cookie = tacit_ctb_cookie(ctb, TACIT_CTB_JOB_SHARE_OF, self, from, 0);
    job.payload_bytes =
        tacit_statement_summary(job.payload, ctb->epoch, self, share->k, &share->digest);
    if (!tacit_ctb_submit(ctb, &job)) {
        return false;
    }
    share->sign = TACIT_CTB_PENDING;
    return true;
}

void tacit_ctb_share_checked(struct tacit_ctb *ctb, tacit_node_t from,
                             const struct tacit_signer_done *done)
{
    struct tacit_ctb_share *share = &ctb->shares[from];
    if (share->sign != TACIT_CTB_PENDING) {
        return;
    }
    if (!done->valid) {
        ctb->counters.bad_signatures++;
        share->sign = TACIT_CTB_NONE;
        return;
    }
    share->sign = TACIT_CTB_VALID;
    try_certificate(ctb, share);
}

// ---- certificates of others --------------------------------------------------------------------

void tacit_ctb_on_summary(struct tacit_ctb *ctb, tacit_node_t from,
                          const struct tacit_ctb_message *message)
{
    tacit_node_t s = message->stream;
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    struct tacit_ctb_check *check = &stream->checks[from];
    if (!tacit_ctb_is_summary_point(ctb, message->k)) {
        ctb->counters.malformed++;
        return;
    }
    if (s == ctb->config.self || check->active ||
        (stream->known.is && stream->known.k >= message->k)) {
        return;
    }
    uint8_t serial = (uint8_t)(check->serial + 1);
    *check = (struct tacit_ctb_check){.serial = serial, .active = true};
    check->to_submit = (uint16_t)((1u << message->certificate.count) - 1);
    check->certified = (struct tacit_ctb_certified){.is = true,
                                                    .k = message->k,
                                                    .digest = message->digest,
                                                    .certificate = message->certificate};
    if (TACIT_BUG(CTB_SUMMARY_UNCHECKED)) {
        check->active = false;
        learn(ctb, s, &check->certified);
    }
}

// The own share needs no check.
static bool is_own(const struct tacit_ctb *ctb, tacit_node_t s,
                   const struct tacit_ctb_certified *certified, const struct tacit_share *share)
{
    const struct tacit_ctb_stream *stream = &ctb->streams[s];
    return share->signer == ctb->config.self && stream->share_sign == TACIT_CTB_VALID &&
           stream->made.is && stream->made.k == certified->k &&
           tacit_ctb_is_same(&stream->made.digest, &certified->digest) &&
           memcmp(&share->signature, &stream->share, sizeof stream->share) == 0;
}

static void check_done(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_check *check)
{
    if (check->active && check->pending == 0 && check->to_submit == 0) {
        check->active = false;
        learn(ctb, s, &check->certified);
    }
}

static bool check_poll(struct tacit_ctb *ctb, tacit_node_t s, tacit_node_t from)
{
    struct tacit_ctb_check *check = &ctb->streams[s].checks[from];
    const struct tacit_ctb_certified *certified = &check->certified;
    bool did = false;
    for (uint8_t i = 0; i < certified->certificate.count; i++) {
        uint16_t bit = (uint16_t)(1u << i);
        if (is_own(ctb, s, certified, &certified->certificate.shares[i])) {
            check->to_submit = (uint16_t)(check->to_submit & ~bit);
        }
        if ((check->to_submit & bit) == 0) {
            continue;
        }
        const struct tacit_share *share = &certified->certificate.shares[i];
        struct tacit_signer_job job = {.verify = true,
                                       .charge = (uint8_t)from,
                                       .author =
                                           tacit_author_of(ctb->config.authors, share->signer),
                                       .domain = TACIT_DOMAIN_SUMMARY,
                                       .signature = share->signature};
        job.cookie = tacit_ctb_cookie(ctb, TACIT_CTB_JOB_CERTIFICATE, s, from,
                                      (uint32_t)check->serial << 8 | i);
        job.payload_bytes =
            tacit_statement_summary(job.payload, ctb->epoch, s, certified->k, &certified->digest);
        if (!tacit_ctb_submit(ctb, &job)) {
            break;
        }
        check->to_submit = (uint16_t)(check->to_submit & ~bit);
        check->pending |= bit;
        did = true;
    }
    check_done(ctb, s, check);
    return did;
}

void tacit_ctb_certificate_checked(struct tacit_ctb *ctb, tacit_node_t s, tacit_node_t from,
                                   uint32_t low, const struct tacit_signer_done *done)
{
    struct tacit_ctb_check *check = &ctb->streams[s].checks[from];
    uint16_t bit = (uint16_t)(1u << (low & 0xf));
    if (!check->active || check->serial != (uint8_t)(low >> 8) || (check->pending & bit) == 0) {
        return;
    }
    check->pending = (uint16_t)(check->pending & ~bit);
    if (!done->valid) {
        ctb->counters.bad_signatures++;
        check->active = false;
    } else {
        check_done(ctb, s, check);
    }
}

// ---- gaps --------------------------------------------------------------------------------------

// Since when it is certain, or likely enough, that the next id does not come any more.
static tacit_time_ns_t gap_since(const struct tacit_ctb *ctb, tacit_node_t s)
{
    const struct tacit_ctb_stream *stream = &ctb->streams[s];
    const struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, stream->next);
    if (s == ctb->config.self || !stream->pending || stream->waiting ||
        tacit_ctb_is_deliverable(slot)) {
        return TACIT_CTB_NEVER;
    }
    uint64_t lapped = stream->next + ctb->config.tail;
    bool certified = stream->known.is && stream->known.k >= stream->next;
    if (stream->seen_end > lapped || (certified && stream->known.k >= lapped) ||
        (slot != NULL && (slot->flags & TACIT_CTB_LEFT) != 0)) {
        return 0;
    }
    return stream->pending_ns +
           (certified ? STUCK_WITH_CERTIFICATE : STUCK_WITHOUT) * ctb->config.retry_ns;
}

tacit_time_ns_t tacit_ctb_gap_due(const struct tacit_ctb *ctb, tacit_node_t s)
{
    tacit_time_ns_t since_ns = gap_since(ctb, s);
    tacit_time_ns_t due_ns = ctb->streams[s].gap_due_ns;
    return since_ns > due_ns ? since_ns : due_ns;
}

static bool gap_poll(struct tacit_ctb *ctb, tacit_node_t s)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    if (ctb->now_ns < tacit_ctb_gap_due(ctb, s) || TACIT_BUG(CTB_GAP_IGNORED)) {
        return false;
    }
    if (!stream->in_gap) {
        stream->in_gap = true;
        ctb->counters.gaps++;
        tacit_mark(&ctb->marker, TACIT_MARK_CTB_GAP);
    }
    struct tacit_ctb_message message = {
        .kind = TACIT_MESSAGE_FETCH_SUMMARY, .stream = s, .epoch = ctb->epoch, .k = stream->next};
    tacit_ctb_send_all(ctb, &message);
    if (stream->known.is && stream->known.k >= stream->next) {
        message.kind = TACIT_MESSAGE_FETCH;
        message.k = ctb->config.state_bytes;
        message.digest = stream->known.digest;
        tacit_ctb_send_all(ctb, &message);
    }
    stream->gap_due_ns = ctb->now_ns + stream->gap_wait_ns;
    stream->gap_wait_ns = tacit_ctb_longer(ctb, stream->gap_wait_ns);
    return true;
}

bool tacit_ctb_wants_state(const struct tacit_ctb *ctb, tacit_node_t s,
                           const struct tacit_digest *digest)
{
    const struct tacit_ctb_stream *stream = &ctb->streams[s];
    return stream->in_gap && !stream->condemned && !stream->busy && stream->known.is &&
           stream->known.k >= stream->next && tacit_ctb_is_same(&stream->known.digest, digest);
}

// `state` is the one of the newest certificate.
void tacit_ctb_adopt(struct tacit_ctb *ctb, tacit_node_t s, const uint8_t *state, uint32_t bytes)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    uint64_t k = stream->known.k;
    TACIT_ASSERT(s != ctb->config.self && bytes <= ctb->config.state_bytes && k >= stream->next);
    stream->busy = true;
    bool fits = ctb->calls.adopt(ctb->calls.context, s, k, state, bytes);
    stream->busy = false;
    if (stream->condemned) {
        return;
    }
    if (!fits) {
        ctb->counters.malformed++; // more than f replicas signed this
        tacit_ctb_condemn(ctb, s);
        return;
    }
    tacit_mark(&ctb->marker, TACIT_MARK_CTB_ADOPTED);
    ctb->counters.summaries_adopted++;
    stream->kept.is = true;
    stream->kept.k = k;
    stream->kept.digest = stream->known.digest;
    stream->kept.bytes = bytes;
    memcpy(stream->kept.memory, state, bytes);
    stream->kept_by = stream->known;
    stream->next = k + 1;
    tacit_ctb_let_go_certified(ctb, s);
    stream->waiting = false;
    stream->attempt.active = false;
    stream->slow_work = true;
    stream->in_gap = false;
    stream->pending = false;
    tacit_ctb_exists(ctb, s);
    tacit_ctb_advance(ctb, s);
}

// ---- turns -------------------------------------------------------------------------------------

static bool needs_certificate(const struct tacit_ctb_stream *stream)
{
    return stream->made.is && (!stream->known.is || stream->known.k < stream->made.k);
}

tacit_time_ns_t tacit_ctb_share_due(const struct tacit_ctb *ctb, tacit_node_t s)
{
    const struct tacit_ctb_stream *stream = &ctb->streams[s];
    if (s == ctb->config.self || !needs_certificate(stream) ||
        stream->share_sign != TACIT_CTB_VALID) {
        return TACIT_CTB_NEVER;
    }
    return stream->share_due_ns;
}

bool tacit_ctb_summary_poll(struct tacit_ctb *ctb, tacit_node_t s)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    bool did = false;
    if (stream->share_sign == TACIT_CTB_WAIT && needs_certificate(stream)) {
        did = sign_share(ctb, s);
    }
    if (ctb->now_ns >= tacit_ctb_share_due(ctb, s)) {
        send_share(ctb, s);
        did = true;
    }
    for (tacit_node_t w = 0; w < ctb->config.replicas; w++) {
        if (s == ctb->config.self && ctb->shares[w].sign == TACIT_CTB_WAIT) {
            did = check_share(ctb, w) || did;
        }
        if (stream->checks[w].active && stream->checks[w].to_submit != 0) {
            did = check_poll(ctb, s, w) || did;
        }
    }
    return gap_poll(ctb, s) || did;
}
