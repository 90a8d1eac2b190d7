// SPDX-License-Identifier: Apache-2.0
//
// Consistent tail broadcast, the signed path: NUDGE, SIGNED, and attempts to deliver by registers.
//
// An attempt covers up to TACIT_CTB_BATCH ids of one stream; each of them by itself goes through:
// own register written at a majority, then the register of every other receiver read, then what
// those show is judged. Registers' callbacks only note what came; the work is done in poll.
#include <string.h>

#include "../base/bug.h"
#include "ctb_internal.h"

#define IN_VAIN_PART 8u // of slow_after: who knows that somebody is overdue signs unasked
#define RESAY_AFTER 2u  // retry_ns that the registers have before the fast path is asked again

// ---- when to ask -------------------------------------------------------------------------------

void tacit_ctb_sample(struct tacit_ctb *ctb, tacit_node_t s, const struct tacit_ctb_slot *slot,
                      bool fast)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    stream->late = !fast;
    if (fast) {
        tacit_patience_sample(&ctb->fast, ctb->now_ns - slot->locked_ns, ctb->config.slow_after_ns);
        return;
    }
    tacit_time_ns_t took_ns = ctb->now_ns - slot->signed_ns;
    ctb->slow_cost_ns = (7 * ctb->slow_cost_ns + took_ns) / 8;
}

tacit_time_ns_t tacit_ctb_slow_after_ns(const struct tacit_ctb *ctb)
{
    tacit_time_ns_t after_ns = tacit_patience_ns(&ctb->fast, ctb->config.slow_after_ns);
    if (ctb->slow_cost_ns / 2 > after_ns) {
        after_ns = ctb->slow_cost_ns / 2;
    }
    tacit_time_ns_t most_ns = TACIT_PATIENCE_TIMES * ctb->config.slow_after_ns;
    return after_ns < most_ns ? after_ns : most_ns;
}

tacit_time_ns_t tacit_ctb_nudge_due(const struct tacit_ctb *ctb, tacit_node_t s)
{
    const struct tacit_ctb_stream *stream = &ctb->streams[s];
    if (s == ctb->config.self || !stream->pending || stream->waiting) {
        return TACIT_CTB_NEVER;
    }
    const struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, stream->next);
    tacit_time_ns_t due_ns = stream->pending_ns + tacit_ctb_slow_after_ns(ctb);
    if (slot != NULL) {
        if ((slot->flags & (TACIT_CTB_AGREED | TACIT_CTB_LEFT)) != 0) {
            return TACIT_CTB_NEVER;
        }
        if (slot->sign != TACIT_CTB_NONE) {
            // The registers may be of no use: then what was lost of the fast path has to come.
            tacit_time_ns_t again_ns = slot->signed_ns + RESAY_AFTER * ctb->config.retry_ns;
            return again_ns > stream->nudge_due_ns ? again_ns : stream->nudge_due_ns;
        }
        tacit_time_ns_t soonest_ns = slot->locked_ns + ctb->config.slow_after_ns / IN_VAIN_PART;
        due_ns = tacit_ctb_is_owed_in_vain(ctb, s, slot) ? soonest_ns
                                                         : tacit_ctb_in_vain_due(ctb, s, slot);
        due_ns = due_ns > soonest_ns ? due_ns : soonest_ns;
    }
    if (ctb->hurry) {
        return stream->nudged_ns == 0 ? 0 : stream->nudged_ns + ctb->config.retry_ns;
    }
    return due_ns > stream->nudge_due_ns ? due_ns : stream->nudge_due_ns;
}

static bool nudge_poll(struct tacit_ctb *ctb, tacit_node_t s)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    tacit_time_ns_t due_ns = tacit_ctb_nudge_due(ctb, s);
    if (ctb->now_ns < due_ns) {
        return false;
    }
    uint64_t lacks = 0;
    for (uint32_t i = 0; i < 64 && i < ctb->config.tail; i++) {
        if (tacit_ctb_locked_slot(ctb, s, stream->next + i) == NULL) {
            lacks |= 1ull << i;
        }
    }
    struct tacit_ctb_message message = {.kind = TACIT_MESSAGE_NUDGE,
                                        .stream = s,
                                        .epoch = ctb->epoch,
                                        .k = stream->next,
                                        .word = lacks};
    tacit_ctb_send_all(ctb, &message); // the broadcaster for its id, the others for their LOCKED
    ctb->counters.nudges++;
    stream->nudged_ns = ctb->now_ns;
    stream->nudge_due_ns = ctb->now_ns + stream->nudge_wait_ns;
    stream->nudge_wait_ns = tacit_ctb_longer(ctb, stream->nudge_wait_ns);
    return true;
}

// ---- the broadcaster ---------------------------------------------------------------------------

static void send_signed(struct tacit_ctb *ctb, tacit_node_t to, const struct tacit_ctb_slot *slot)
{
    struct tacit_ctb_message message = {.kind = TACIT_MESSAGE_SIGNED,
                                        .stream = ctb->config.self,
                                        .epoch = ctb->epoch,
                                        .k = slot->k,
                                        .payload = slot->payload,
                                        .signature = slot->signature};
    if (to == ctb->config.self) {
        tacit_ctb_send_all(ctb, &message);
    } else {
        tacit_ctb_send(ctb, to, &message);
    }
}

// The fast path was not enough: from now on all ids are signed, until many in a row were unanimous.
static void relapse(struct tacit_ctb *ctb)
{
    ctb->slow = true;
    ctb->unanimous_run = 0;
    ctb->fast_after = ctb->fast_after == 0 ? TACIT_CTB_FAST_AFTER : 2 * ctb->fast_after;
    if (ctb->fast_after > TACIT_CTB_FAST_AFTER_MAX) {
        ctb->fast_after = TACIT_CTB_FAST_AFTER_MAX;
    }
    ctb->counters.relapses++;
    tacit_mark(&ctb->marker, TACIT_MARK_CTB_RELAPSED);
}

// Somebody waits for ids of another's stream: LOCKED may have been lost on the way to it.
static void resay(struct tacit_ctb *ctb, tacit_node_t from, tacit_node_t s, uint64_t k)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    if (stream->condemned || from == s || ctb->now_ns < stream->resay_due_ns[from]) {
        return;
    }
    stream->resay_due_ns[from] = ctb->now_ns + ctb->config.retry_ns / 4;
    for (uint32_t i = 0; i < TACIT_CTB_BATCH; i++) {
        const struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, k + i);
        if (slot != NULL && (slot->flags & TACIT_CTB_SAID) != 0) {
            tacit_mark(&ctb->marker, TACIT_MARK_CTB_LOCKED_AGAIN);
            tacit_ctb_resay(ctb, from, s, slot);
        }
    }
}

void tacit_ctb_on_nudge(struct tacit_ctb *ctb, tacit_node_t from,
                        const struct tacit_ctb_message *message)
{
    tacit_node_t self = ctb->config.self;
    struct tacit_ctb_stream *own = &ctb->streams[self];
    struct tacit_ctb_peer *peer = &ctb->peers[from];
    uint64_t k = message->k;
    if (message->stream != self) {
        resay(ctb, from, message->stream, k);
        return;
    }
    if (own->condemned || k >= own->lock_end || ctb->now_ns < peer->nudge_due_ns) {
        return;
    }
    peer->nudge_due_ns = ctb->now_ns + ctb->config.retry_ns / 4;
    if (own->lock_end - k > ctb->config.tail) {
        tacit_ctb_answer_summary(ctb, from, self, k);
        return;
    }
    uint32_t locks = 0;
    uint32_t signeds = 0;
    bool fresh = false;
    for (uint64_t id = k; id < own->lock_end; id++) {
        struct tacit_ctb_slot *slot = tacit_ctb_slot_of(ctb, self, id);
        if (id - k < 64 && (message->word >> (id - k) & 1) != 0 && locks < TACIT_CTB_BATCH) {
            locks++;
            tacit_ctb_send_lock(ctb, from, slot);
        }
        if (slot->sign == TACIT_CTB_NONE) {
            slot->sign = TACIT_CTB_WAIT;
            own->sign_work = true;
            fresh = true;
        } else if (slot->sign == TACIT_CTB_VALID && signeds < TACIT_CTB_BATCH) {
            signeds++;
            send_signed(ctb, from, slot);
        }
    }
    if (fresh && !ctb->slow) {
        relapse(ctb);
    }
}

// ---- signatures: made, or checked --------------------------------------------------------------

void tacit_ctb_on_signed(struct tacit_ctb *ctb, const struct tacit_ctb_message *message)
{
    tacit_node_t s = message->stream;
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    uint64_t k = message->k;
    tacit_ctb_seen(ctb, s, k);
    if (k < stream->next || k - stream->next >= ctb->config.tail) {
        return;
    }
    if (tacit_ctb_locked_slot(ctb, s, k) == NULL) {
        tacit_mark(&ctb->marker, TACIT_MARK_CTB_LOCK_FROM_SIGNED);
        tacit_ctb_lock(ctb, message);
    }
    struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, k);
    if (stream->condemned || slot == NULL) {
        return;
    }
    if (!tacit_payload_is_equal(&slot->payload, &message->payload)) {
        tacit_ctb_condemn(ctb, s); // LOCK said something else, to this replica itself
        return;
    }
    if (slot->sign == TACIT_CTB_NONE && (slot->flags & TACIT_CTB_AGREED) == 0) {
        slot->signature = message->signature;
        slot->signed_ns = ctb->now_ns;
        slot->sign = TACIT_CTB_WAIT;
        tacit_ctb_sign_now(ctb, s, slot);
    }
}

static bool submit_id(struct tacit_ctb *ctb, tacit_node_t s, const struct tacit_ctb_slot *slot)
{
    struct tacit_signer_job job = {.verify = s != ctb->config.self,
                                   .charge = (uint8_t)s,
                                   .author = tacit_author_of(ctb->config.authors, s),
                                   .domain = TACIT_DOMAIN_STREAM_ID,
                                   .signature = slot->signature};
    job.cookie = tacit_ctb_cookie(ctb, TACIT_CTB_JOB_ID, s, s, (uint32_t)slot->k);
    job.payload_bytes =
        tacit_statement_stream_id(job.payload, ctb->epoch, s, slot->k, &slot->payload);
    return tacit_ctb_submit(ctb, &job);
}

// First id whose signature may be of interest.
static uint64_t sign_base(const struct tacit_ctb *ctb, tacit_node_t s)
{
    const struct tacit_ctb_stream *stream = &ctb->streams[s];
    uint32_t tail = ctb->config.tail;
    if (s != ctb->config.self) {
        return stream->next;
    }
    return stream->lock_end > tail ? stream->lock_end - tail : 0;
}

// Whether a signature of another's stream is of no interest yet. Where the last id did not need its
// signature, most likely the next one does not either: what LOCKED of all delivers in time is not
// worth a check, which takes the processor from those who are to say it.
static bool is_early(const struct tacit_ctb *ctb, tacit_node_t s, const struct tacit_ctb_slot *slot)
{
    return !ctb->streams[s].late && !ctb->hurry &&
           ctb->now_ns < slot->locked_ns + tacit_ctb_slow_after_ns(ctb) &&
           !tacit_ctb_is_owed_in_vain(ctb, s, slot) && !TACIT_BUG(SIGNED_CHECKED_AT_ONCE);
}

// When the earliest signature is of interest.
tacit_time_ns_t tacit_ctb_sign_due(const struct tacit_ctb *ctb, tacit_node_t s)
{
    const struct tacit_ctb_stream *stream = &ctb->streams[s];
    const struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, stream->next);
    if (s == ctb->config.self || slot == NULL || !is_early(ctb, s, slot)) {
        return ctb->now_ns + ctb->config.slow_after_ns;
    }
    return tacit_ctb_in_vain_due(ctb, s, slot);
}

// A signature that others wait for, or that is waited for here, is handed over at once: before what
// the same id leads to later needs one. Whatever finds no room is handed over by sign_poll().
void tacit_ctb_sign_now(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot)
{
    bool is_now =
        (s == ctb->config.self || !is_early(ctb, s, slot)) && !TACIT_BUG(SIGNATURE_AT_LEISURE);
    if (is_now && submit_id(ctb, s, slot)) {
        slot->sign = TACIT_CTB_PENDING;
    } else {
        ctb->streams[s].sign_work = true;
    }
}

// Hands signatures over, oldest id first, until the queue is full.
static bool sign_poll(struct tacit_ctb *ctb, tacit_node_t s)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    uint32_t tail = ctb->config.tail;
    uint64_t from = sign_base(ctb, s);
    bool did = false;
    bool early = false;
    for (uint32_t i = 0; i < tail; i++) {
        struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, from + i);
        if (slot == NULL || slot->sign != TACIT_CTB_WAIT) {
            continue;
        }
        if (s != ctb->config.self && (slot->flags & TACIT_CTB_AGREED) != 0) {
            slot->sign = TACIT_CTB_NONE; // the fast path was faster
            continue;
        }
        if (s != ctb->config.self && is_early(ctb, s, slot)) {
            early = true;
            continue;
        }
        if (!submit_id(ctb, s, slot)) {
            return did; // goes on when the queue has room
        }
        slot->sign = TACIT_CTB_PENDING;
        did = true;
    }
    stream->sign_work = early;
    return did;
}

void tacit_ctb_slow_done(struct tacit_ctb *ctb, tacit_node_t s, uint32_t low,
                         const struct tacit_signer_done *done)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    uint64_t base = sign_base(ctb, s);
    uint64_t k = base + (uint32_t)(low - (uint32_t)base);
    struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, k);
    if (slot == NULL || slot->sign != TACIT_CTB_PENDING) {
        return; // that id left the tail
    }
    if (s == ctb->config.self) {
        slot->signature = done->signature;
        slot->sign = TACIT_CTB_VALID;
        ctb->counters.signed_ids++;
        send_signed(ctb, s, slot);
        return;
    }
    if (memcmp(slot->signature.bytes, done->signature.bytes, TACIT_SIGNATURE_BYTES) != 0) {
        return;
    }
    if (!done->valid) {
        ctb->counters.bad_signatures++;
        tacit_ctb_condemn(ctb, s); // it sent this itself
        return;
    }
    slot->sign = TACIT_CTB_VALID;
    stream->slow_work = true;
}

// ---- attempts ----------------------------------------------------------------------------------

static uint64_t ticket_of(const struct tacit_ctb_attempt *attempt, tacit_node_t s, uint32_t item,
                          tacit_node_t owner)
{
    return attempt->serial << 16 | (uint64_t)s << 12 | (uint64_t)item << 4 | owner;
}

static uint32_t register_index(const struct tacit_ctb *ctb, tacit_node_t s, uint64_t k)
{
    return (uint32_t)(s * ctb->config.tail + k % ctb->config.tail);
}

static uint16_t other_receivers(const struct tacit_ctb *ctb, tacit_node_t s)
{
    unsigned all = (1u << ctb->config.replicas) - 1;
    return (uint16_t)(all & ~(1u << s) & ~(1u << ctb->config.self));
}

static void begin_item(struct tacit_ctb *ctb, tacit_node_t s, const struct tacit_ctb_slot *slot)
{
    struct tacit_ctb_attempt *attempt = &ctb->streams[s].attempt;
    uint32_t i = attempt->count++;
    struct tacit_ctb_item *item = &attempt->items[i];
    *item = (struct tacit_ctb_item){.k = slot->k, .to_read = other_receivers(ctb, s)};
    if (TACIT_BUG(CTB_READ_NOBODY)) {
        item->to_read = 0;
    }
    item->written = TACIT_BUG(CTB_READ_BEFORE_WRITTEN) != 0;
    struct tacit_ctb_evidence evidence = {
        .epoch = ctb->epoch, .k = slot->k, .payload = slot->payload, .signature = slot->signature};
    _Alignas(8) uint8_t value[TACIT_REGISTER_VALUE_BYTES];
    tacit_ctb_register_encode(value, &evidence);
    tacit_registers_write(ctb->registers, register_index(ctb, s, slot->k), value,
                          ticket_of(attempt, s, i, 0), ctb->now_ns);
}

static bool begin_attempt(struct tacit_ctb *ctb, tacit_node_t s)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    struct tacit_ctb_attempt *attempt = &stream->attempt;
    stream->slow_work = false;
    attempt->count = 0;
    attempt->serial = ++ctb->serial;
    attempt->active = true;
    for (uint32_t i = 0; i < ctb->config.tail; i++) {
        const struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, stream->next + i);
        if (slot == NULL || slot->sign != TACIT_CTB_VALID ||
            (slot->flags & (TACIT_CTB_AGREED | TACIT_CTB_LEFT)) != 0) {
            continue;
        }
        if (attempt->count == TACIT_CTB_BATCH) {
            stream->slow_work = true;
            break;
        }
        begin_item(ctb, s, slot);
    }
    attempt->active = attempt->count > 0;
    return attempt->active;
}

// The item that a ticket names, if it is of the attempt under way.
static struct tacit_ctb_item *item_of(struct tacit_ctb *ctb, uint64_t ticket, tacit_node_t *s)
{
    *s = (tacit_node_t)(ticket >> 12 & 0xf);
    uint32_t i = (uint32_t)(ticket >> 4 & 0xff);
    if (*s >= ctb->config.replicas) {
        return NULL;
    }
    struct tacit_ctb_attempt *attempt = &ctb->streams[*s].attempt;
    if (!attempt->active || attempt->serial != ticket >> 16 || i >= attempt->count) {
        return NULL;
    }
    return &attempt->items[i];
}

void tacit_ctb_register_written(struct tacit_ctb *ctb, uint32_t index, uint64_t ticket)
{
    tacit_node_t s = 0;
    struct tacit_ctb_item *item = item_of(ctb, ticket, &s);
    if (item != NULL && index == register_index(ctb, s, item->k)) {
        item->written = true;
    }
}

// Whether what a register shows has to be looked into.
static bool is_suspicious(const struct tacit_ctb *ctb, tacit_node_t s, uint64_t k,
                          const struct tacit_ctb_evidence *evidence)
{
    uint32_t tail = ctb->config.tail;
    if (evidence->epoch != ctb->epoch) {
        return evidence->epoch > ctb->epoch; // it may have shown something else before that
    }
    if (evidence->k % tail != k % tail) {
        return false; // no correct replica writes that here
    }
    if (evidence->k < k) {
        return TACIT_BUG(CTB_OLD_SIGNATURE_FRAMES);
    }
    const struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, k);
    return slot != NULL && // else it was delivered meanwhile, and its slot used again
           (evidence->k > k || !tacit_payload_is_equal(&slot->payload, &evidence->payload));
}

void tacit_ctb_register_read(struct tacit_ctb *ctb, uint64_t ticket, const uint8_t *value)
{
    tacit_node_t s = 0;
    tacit_node_t owner = (tacit_node_t)(ticket & 0xf);
    struct tacit_ctb_item *item = item_of(ctb, ticket, &s);
    uint16_t bit = (uint16_t)(1u << owner);
    if (item == NULL || (item->reading & bit) == 0) {
        return;
    }
    item->reading = (uint16_t)(item->reading & ~bit);
    struct tacit_ctb_evidence evidence;
    if (value == NULL || tacit_ctb_register_decode(&evidence, value) != TACIT_VERDICT_OK ||
        !is_suspicious(ctb, s, item->k, &evidence)) {
        return;
    }
    struct tacit_ctb_attempt *attempt = &ctb->streams[s].attempt;
    attempt->evidence[(size_t)(item - attempt->items) * ctb->config.replicas + owner] = evidence;
    item->to_check |= bit;
}

// A register shows something that the broadcaster did sign.
static void believe(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_item *item,
                    const struct tacit_ctb_evidence *evidence)
{
    struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, item->k);
    item->done = true;
    if (slot == NULL) {
        return;
    }
    if (evidence->epoch == ctb->epoch &&
        (evidence->k == item->k || TACIT_BUG(CTB_OLD_SIGNATURE_FRAMES))) {
        tacit_mark(&ctb->marker, TACIT_MARK_CTB_PROOF);
        tacit_ctb_condemn(ctb, s);
        return;
    }
    tacit_mark(&ctb->marker, TACIT_MARK_CTB_LEFT_TAIL);
    slot->flags |= TACIT_CTB_LEFT;
}

void tacit_ctb_evidence_done(struct tacit_ctb *ctb, tacit_node_t s, tacit_node_t owner,
                             uint32_t low, const struct tacit_signer_done *done)
{
    struct tacit_ctb_attempt *attempt = &ctb->streams[s].attempt;
    uint32_t i = low & 0xff;
    uint16_t bit = (uint16_t)(1u << owner);
    if (!attempt->active || (attempt->serial & 0xffffff) != low >> 8 || i >= attempt->count ||
        (attempt->items[i].checking & bit) == 0) {
        return;
    }
    struct tacit_ctb_item *item = &attempt->items[i];
    item->checking = (uint16_t)(item->checking & ~bit);
    if (!done->valid) {
        ctb->counters.bad_signatures++; // no evidence, and no proof against its owner either
    } else if (!item->done) {
        believe(ctb, s, item, &attempt->evidence[(size_t)i * ctb->config.replicas + owner]);
    }
}

// What a register shows is charged to its owner. If that one keeps its queue full, then to this
// replica: it is one check for an id and a receiver, and the stream must not wait for a liar.
static bool submit_evidence(struct tacit_ctb *ctb, tacit_node_t s, uint32_t i, tacit_node_t owner)
{
    struct tacit_ctb_attempt *attempt = &ctb->streams[s].attempt;
    const struct tacit_ctb_evidence *evidence =
        &attempt->evidence[(size_t)i * ctb->config.replicas + owner];
    struct tacit_signer_job job = {.verify = true,
                                   .charge = (uint8_t)owner,
                                   .author = tacit_author_of(ctb->config.authors, s),
                                   .domain = TACIT_DOMAIN_STREAM_ID,
                                   .signature = evidence->signature};
    job.cookie = tacit_ctb_cookie(ctb, TACIT_CTB_JOB_EVIDENCE, s, owner,
                                  (uint32_t)((attempt->serial & 0xffffff) << 8 | i));
    job.payload_bytes =
        tacit_statement_stream_id(job.payload, evidence->epoch, s, evidence->k, &evidence->payload);
    if (tacit_ctb_submit(ctb, &job)) {
        return true;
    }
    job.charge = (uint8_t)ctb->config.self;
    return tacit_ctb_submit(ctb, &job);
}

static bool read_register(struct tacit_ctb *ctb, tacit_node_t s, uint32_t i, tacit_node_t owner)
{
    struct tacit_ctb_attempt *attempt = &ctb->streams[s].attempt;
    struct tacit_ctb_item *item = &attempt->items[i];
    uint16_t bit = (uint16_t)(1u << owner);
    item->to_read = (uint16_t)(item->to_read & ~bit);
    item->reading |= bit;
    if (tacit_registers_read(ctb->registers, owner, register_index(ctb, s, item->k),
                             ticket_of(attempt, s, i, owner), ctb->now_ns)) {
        return true;
    }
    item->reading = (uint16_t)(item->reading & ~bit);
    item->to_read |= bit;
    return false;
}

static bool item_poll(struct tacit_ctb *ctb, tacit_node_t s, uint32_t i)
{
    struct tacit_ctb_item *item = &ctb->streams[s].attempt.items[i];
    bool did = false;
    for (tacit_node_t owner = 0; owner < ctb->config.replicas && item->written; owner++) {
        uint16_t bit = (uint16_t)(1u << owner);
        if ((item->to_read & bit) != 0) {
            did = read_register(ctb, s, i, owner) || did;
        }
        if ((item->to_check & bit) != 0 && TACIT_BUG(CTB_REGISTER_UNSIGNED)) {
            item->to_check = (uint16_t)(item->to_check & ~bit);
            struct tacit_ctb_attempt *attempt = &ctb->streams[s].attempt;
            believe(ctb, s, item, &attempt->evidence[(size_t)i * ctb->config.replicas + owner]);
            return true;
        }
        if ((item->to_check & bit) != 0 && submit_evidence(ctb, s, i, owner)) {
            item->to_check = (uint16_t)(item->to_check & ~bit);
            item->checking |= bit;
            did = true;
        }
    }
    if (item->written && (item->to_read | item->reading | item->to_check | item->checking) == 0) {
        item->done = true;
        struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, item->k);
        if (slot != NULL && item->k >= ctb->streams[s].next) {
            tacit_ctb_agreed(ctb, s, slot, false);
        }
        did = true;
    }
    return did;
}

static bool attempt_poll(struct tacit_ctb *ctb, tacit_node_t s)
{
    struct tacit_ctb_attempt *attempt = &ctb->streams[s].attempt;
    uint32_t done = 0;
    bool did = false;
    for (uint32_t i = 0; i < attempt->count && attempt->active; i++) {
        if (!attempt->items[i].done) {
            did = item_poll(ctb, s, i) || did;
        }
        done += attempt->items[i].done ? 1u : 0u;
    }
    if (attempt->active && done == attempt->count) {
        attempt->active = false;
        ctb->streams[s].slow_work = true;
    }
    return did;
}

bool tacit_ctb_slow_poll(struct tacit_ctb *ctb, tacit_node_t s)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    bool did = nudge_poll(ctb, s);
    if (stream->sign_work) {
        did = sign_poll(ctb, s) || did;
    }
    if (s == ctb->config.self) {
        return did;
    }
    if (stream->slow_work && !stream->attempt.active) {
        did = begin_attempt(ctb, s) || did;
    }
    if (stream->attempt.active) {
        did = attempt_poll(ctb, s) || did;
    }
    return did;
}
