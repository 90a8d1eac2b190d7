// SPDX-License-Identifier: Apache-2.0
//
// Consistent tail broadcast: windows of locks, delivery in order, the own stream, and the module's
// surface; see ctb.h, and ctb_internal.h for the other files.
//
// An id may be locked while it is among the `tail` ids from the next one to deliver on. So a slot
// (id mod tail) is used again only when its old id is consumed or was skipped by a summary, and a
// lock is written once, for ever.
#include <string.h>

#include "../base/bug.h"
#include "../base/prefetch.h"
#include "ctb_internal.h"

// ---- memory ------------------------------------------------------------------------------------

static void stream_reset(struct tacit_ctb *ctb, tacit_node_t s)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    uint32_t tail = ctb->config.tail;
    for (uint32_t i = 0; i < tail; i++) {
        if ((stream->slots[i].flags & TACIT_CTB_HELD) != 0) {
            tacit_bodies_release(ctb->bodies, s, &stream->slots[i].payload.digest);
        }
        stream->slots[i].flags = 0;
    }
    for (uint32_t i = 0; i < tail * ctb->config.replicas; i++) {
        stream->heard[i].is = false;
    }
    for (uint32_t i = 0; i < ctb->config.replicas; i++) {
        stream->checks[i].active = false;
    }
    struct tacit_ctb_stream old = *stream;
    *stream = (struct tacit_ctb_stream){.slots = old.slots,
                                        .heard = old.heard,
                                        .checks = old.checks,
                                        .nudge_wait_ns = ctb->config.retry_ns,
                                        .share_wait_ns = ctb->config.retry_ns,
                                        .gap_wait_ns = ctb->config.retry_ns};
    stream->attempt.evidence = old.attempt.evidence;
    stream->made.memory = old.made.memory;
    stream->kept.memory = old.kept.memory;
}

static void stream_memory(struct tacit_bump *bump, const struct tacit_ctb_config *config,
                          struct tacit_ctb_stream *stream)
{
    size_t n = config->replicas;
    stream->slots = tacit_bump_take(bump, config->tail * sizeof *stream->slots, 64);
    stream->heard = tacit_bump_take(bump, config->tail * n * sizeof *stream->heard, 64);
    stream->checks = tacit_bump_take(bump, n * sizeof *stream->checks, 64);
    stream->attempt.evidence =
        tacit_bump_take(bump, TACIT_CTB_BATCH * n * sizeof *stream->attempt.evidence, 64);
    stream->made.memory = tacit_bump_take(bump, config->state_bytes, 64);
    stream->kept.memory = tacit_bump_take(bump, config->state_bytes, 64);
}

struct tacit_ctb *tacit_ctb_init(struct tacit_bump *bump, const struct tacit_ctb_config *config,
                                 uint64_t epoch, struct tacit_links *links,
                                 struct tacit_registers *registers, struct tacit_signer *signer,
                                 struct tacit_bodies *bodies, const struct tacit_ctb_calls *calls,
                                 struct tacit_marker marker)
{
    uint8_t n = config->replicas;
    TACIT_ASSERT(n >= 3 && n % 2 == 1 && n <= TACIT_REPLICAS_MAX && config->self < n);
    TACIT_ASSERT(config->tail >= 16 && config->tail % 2 == 0 && config->tail <= 65536);
    TACIT_ASSERT(config->retry_ns > 0 && config->slow_after_ns > 0);
    struct tacit_ctb *ctb = tacit_bump_take(bump, sizeof *ctb, 64);
    struct tacit_ctb_stream *streams = tacit_bump_take(bump, n * sizeof *streams, 64);
    size_t most =
        config->body_bytes > config->state_bytes ? config->body_bytes : config->state_bytes;
    uint8_t *scratch = tacit_bump_take(bump, most, 64);
    uint8_t *out = tacit_bump_take(bump, TACIT_CTB_MESSAGE_BYTES, 64);
    struct tacit_ctb_stream memory[TACIT_REPLICAS_MAX];
    for (uint8_t s = 0; s < n; s++) {
        memory[s] = (struct tacit_ctb_stream){0};
        stream_memory(bump, config, &memory[s]);
    }
    if (bump->base == NULL) {
        return NULL;
    }
    *ctb = (struct tacit_ctb){.config = *config,
                              .quorum = (uint8_t)(n / 2 + 1),
                              .links = links,
                              .registers = registers,
                              .signer = signer,
                              .bodies = bodies,
                              .calls = *calls,
                              .marker = marker,
                              .streams = streams,
                              .scratch = scratch,
                              .out = out};
    for (uint8_t s = 0; s < n; s++) {
        streams[s] = memory[s];
        memset(streams[s].slots, 0, config->tail * sizeof *streams[s].slots);
        memset(streams[s].heard, 0, config->tail * (size_t)n * sizeof *streams[s].heard);
        memset(streams[s].checks, 0, n * sizeof *streams[s].checks);
    }
    tacit_ctb_reset(ctb, epoch, 0);
    return ctb;
}

void tacit_ctb_reset(struct tacit_ctb *ctb, uint64_t epoch, tacit_time_ns_t now_ns)
{
    TACIT_ASSERT(epoch > ctb->epoch || ctb->generation == 0);
    ctb->now_ns = now_ns;
    ctb->epoch = epoch;
    ctb->view = 0;
    ctb->generation++;
    if (!TACIT_BUG(FETCHED_OUTLIVES_EPOCH)) {
        tacit_ctb_body_reset(ctb); // first: the streams know what it lets go of
    }
    for (tacit_node_t s = 0; s < ctb->config.replicas; s++) {
        TACIT_ASSERT(!ctb->streams[s].busy);
        stream_reset(ctb, s);
    }
    if (ctb->registers != NULL) {
        tacit_registers_reset(ctb->registers);
    }
    memset(ctb->shares, 0, sizeof ctb->shares);
    ctb->hurry = false;
    ctb->slow = false;
    ctb->fast_after = 0;
    ctb->unanimous_run = 0;
    memset(ctb->followed, 0, sizeof ctb->followed);
    memset(ctb->followed_ns, 0, sizeof ctb->followed_ns);
    memset(ctb->owed_ns, 0, sizeof ctb->owed_ns);
    memset(ctb->lapses, 0, sizeof ctb->lapses);
    memset(ctb->owed_prepare_ns, 0, sizeof ctb->owed_prepare_ns);
    memset(ctb->heard_ns, 0, sizeof ctb->heard_ns);
    ctb->relock_due_ns = TACIT_CTB_NEVER;
    ctb->relock_wait_ns = ctb->config.retry_ns;
}

// ---- locks -------------------------------------------------------------------------------------

static void slot_release(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot)
{
    tacit_ctb_let_go(ctb, s, slot);
    slot->flags = 0;
    slot->sign = TACIT_CTB_NONE;
}

void tacit_ctb_condemn(struct tacit_ctb *ctb, tacit_node_t s)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    if (stream->condemned) {
        return;
    }
    stream->condemned = true;
    stream->attempt.active = false;
    ctb->counters.condemned++;
    tacit_mark(&ctb->marker, TACIT_MARK_CTB_CONDEMNED);
    for (uint32_t i = 0; i < ctb->config.tail; i++) {
        slot_release(ctb, s, &stream->slots[i]);
    }
    memset(stream->wants, 0, sizeof stream->wants);
}

bool tacit_ctb_is_condemned(const struct tacit_ctb *ctb, tacit_node_t s)
{
    return ctb->streams[s].condemned;
}

// LOCK of an own id, without its body.
static void begin_lock(const struct tacit_ctb *ctb, const struct tacit_ctb_slot *slot,
                       struct tacit_ctb_message *message)
{
    tacit_ctb_message_begin(message);
    message->kind = TACIT_MESSAGE_LOCK;
    message->stream = ctb->config.self;
    message->epoch = ctb->epoch;
    message->k = slot->k;
    message->payload = slot->payload;
}

// A small body goes along. A large one is not sent again: whoever lacks it fetches it.
void tacit_ctb_send_lock(struct tacit_ctb *ctb, tacit_node_t to, const struct tacit_ctb_slot *slot)
{
    struct tacit_ctb_message message;
    uint32_t bytes = 0;
    begin_lock(ctb, slot, &message);
    const uint8_t *body = tacit_bodies_find(ctb->bodies, &slot->payload.digest, &bytes);
    if (body != NULL && bytes <= TACIT_BYZ_INLINE_BYTES) {
        message.carries = TACIT_CTB_INLINE;
        message.body = body;
        message.body_bytes = bytes;
    }
    tacit_ctb_send(ctb, to, &message);
}

void tacit_ctb_exists(struct tacit_ctb *ctb, tacit_node_t s)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    uint64_t end = stream->seen_end > stream->rumour_end ? stream->seen_end : stream->rumour_end;
    if (stream->lock_end > end) {
        end = stream->lock_end;
    }
    if (stream->known.is && stream->known.k >= end) {
        end = stream->known.k + 1;
    }
    bool exists = end > stream->next;
    if (exists && !stream->pending) {
        stream->pending_ns = ctb->now_ns;
        stream->nudge_wait_ns = ctb->config.retry_ns;
        stream->gap_wait_ns = ctb->config.retry_ns;
        stream->nudge_due_ns = 0;
        stream->gap_due_ns = 0;
    }
    stream->pending = exists;
}

void tacit_ctb_seen(struct tacit_ctb *ctb, tacit_node_t s, uint64_t k)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    if (k < stream->seen_end) {
        return;
    }
    if (stream->seen_end <= stream->next && k >= stream->next) {
        stream->pending = false; // what was only a rumour up to now is waited for from now on
    }
    stream->seen_end = k + 1;
    tacit_ctb_exists(ctb, s);
}

// Locks what the message of the broadcaster names; it is in the window, and not locked.
void tacit_ctb_lock(struct tacit_ctb *ctb, const struct tacit_ctb_message *message)
{
    tacit_node_t s = message->stream;
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    struct tacit_ctb_slot *slot = tacit_ctb_slot_of(ctb, s, message->k);
    uint64_t k = message->k;
    slot_release(ctb, s, slot);
    *slot = (struct tacit_ctb_slot){
        .k = k, .payload = message->payload, .locked_ns = ctb->now_ns, .flags = TACIT_CTB_LOCKED};
    if (k >= stream->lock_end) {
        stream->lock_end = k + 1;
    }
    tacit_ctb_exists(ctb, s);
    if (k == stream->next) {
        stream->nudge_wait_ns = ctb->config.retry_ns;
        stream->nudge_due_ns = 0;
    }
    tacit_ctb_owe(ctb, s, slot);
    bool held = tacit_ctb_take_body(ctb, s, slot, message);
    ctb->calls.locked(ctb->calls.context, s, k, &message->payload);
    if (stream->condemned) {
        return;
    }
    if (held) {
        tacit_ctb_got_body(ctb, s, slot, false);
    }
    if (!stream->condemned && tacit_ctb_locked_slot(ctb, s, k) == slot) {
        tacit_ctb_abstain_if_left(ctb, s, slot);
        tacit_ctb_consider(ctb, s, slot);
    }
}

void tacit_ctb_got_body(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot,
                        bool late)
{
    struct tacit_payload payload = slot->payload;
    uint64_t k = slot->k;
    if (payload.kind != TACIT_PAYLOAD_PREPARE) {
        tacit_ctb_say_locked(ctb, s, slot, true);
    }
    if (late) {
        tacit_mark(&ctb->marker, TACIT_MARK_CTB_BODY_FETCHED);
        ctb->calls.body_held(ctb->calls.context, s, k, &payload);
        tacit_ctb_advance(ctb, s);
    }
}

void tacit_ctb_expect(struct tacit_ctb *ctb, const void *body, uint32_t bytes)
{
    TACIT_ASSERT(bytes > 0 && bytes <= TACIT_BYZ_INLINE_BYTES);
    memcpy(ctb->expected.body, body, bytes);
    ctb->expected.bytes = bytes;
    tacit_body_digest(&ctb->expected.digest, body, bytes);
}

// What is known of the expected body is known of equal bytes.
static void digest_of(const struct tacit_ctb *ctb, const struct tacit_ctb_message *message,
                      struct tacit_digest *digest)
{
    bool is_expected = message->body_bytes > 0 && message->body_bytes == ctb->expected.bytes &&
                       (memcmp(message->body, ctb->expected.body, message->body_bytes) == 0 ||
                        TACIT_BUG(EXPECTED_BY_LENGTH));
    if (is_expected) {
        *digest = ctb->expected.digest;
    } else {
        tacit_body_digest(digest, message->body, message->body_bytes);
    }
}

static void on_lock(struct tacit_ctb *ctb, struct tacit_ctb_message *message)
{
    tacit_node_t s = message->stream;
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    uint64_t k = message->k;
    if (message->carries == TACIT_CTB_INLINE) {
        digest_of(ctb, message, &message->payload.digest);
    }
    tacit_ctb_seen(ctb, s, k);
    struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, k);
    if (slot != NULL && !TACIT_BUG(CTB_LOCK_TWICE)) {
        if (!tacit_payload_is_equal(&slot->payload, &message->payload)) {
            tacit_ctb_condemn(ctb, s); // it told this replica itself two different things
        } else if (tacit_ctb_lacks_body(ctb, s, slot) &&
                   tacit_ctb_take_body(ctb, s, slot, message)) {
            tacit_ctb_got_body(ctb, s, slot, true);
        }
        return;
    }
    if (k >= stream->next && k - stream->next < ctb->config.tail) {
        tacit_ctb_lock(ctb, message);
    }
}

// ---- delivery ----------------------------------------------------------------------------------

void tacit_ctb_agreed(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot, bool fast)
{
    if ((slot->flags & TACIT_CTB_AGREED) != 0) {
        return;
    }
    slot->flags |= TACIT_CTB_AGREED;
    if (fast) {
        ctb->counters.delivered_fast++;
    } else {
        ctb->counters.delivered_slow++;
        tacit_mark(&ctb->marker, TACIT_MARK_CTB_SLOW);
    }
    tacit_ctb_sample(ctb, s, slot, fast);
    tacit_ctb_advance(ctb, s);
}

static void consumed(struct tacit_ctb *ctb, tacit_node_t s)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    uint64_t k = stream->next++;
    stream->pending = false;
    stream->in_gap = false;
    tacit_ctb_exists(ctb, s);
    struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, k);
    if (stream->known.is && k <= stream->known.k && slot->payload.kind != TACIT_PAYLOAD_PREPARE) {
        tacit_ctb_let_go(ctb, s, slot); // it was certified before it was consumed here
    }
    if (tacit_ctb_is_summary_point(ctb, k)) {
        tacit_ctb_summary_point(ctb, s, k);
    }
}

// Hands one id to deliver(). False: not consumed.
static bool deliver_one(struct tacit_ctb *ctb, tacit_node_t s, const struct tacit_ctb_slot *slot)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    struct tacit_payload payload = slot->payload;
    const uint8_t *body = NULL;
    uint32_t bytes = 0;
    // Nobody looks at a batch as its PREPARE is delivered: it was before, or is later.
    if ((slot->flags & TACIT_CTB_HELD) != 0 && payload.kind != TACIT_PAYLOAD_PREPARE) {
        body = tacit_bodies_find(ctb->bodies, &payload.digest, &bytes);
    }
    stream->resumed = false;
    enum tacit_take take = ctb->calls.deliver(ctb->calls.context, s, stream->next, &payload, body);
    if (stream->condemned) {
        return false;
    }
    switch (take) {
    case TACIT_TAKE_DONE:
        consumed(ctb, s);
        return true;
    case TACIT_TAKE_LATER:
        stream->waiting = !stream->resumed;
        stream->stirred = stream->resumed;
        return false;
    case TACIT_TAKE_ILLEGAL:
    default:
        tacit_ctb_condemn(ctb, s);
        return false;
    }
}

void tacit_ctb_advance(struct tacit_ctb *ctb, tacit_node_t s)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    if (stream->busy) {
        return; // further out, the loop goes on
    }
    stream->busy = true;
    for (uint32_t i = 0; i < ctb->config.tail && !stream->condemned && !stream->waiting; i++) {
        const struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, stream->next);
        if (!tacit_ctb_is_deliverable(slot) || !deliver_one(ctb, s, slot)) {
            break;
        }
        stream->stirred = i + 1 == ctb->config.tail;
    }
    stream->busy = false;
}

void tacit_ctb_resume(struct tacit_ctb *ctb, tacit_node_t s)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    stream->resumed = true;
    stream->waiting = false;
    tacit_ctb_advance(ctb, s);
}

// ---- the own stream ----------------------------------------------------------------------------

static bool has_room(const struct tacit_ctb *ctb, uint32_t reserved)
{
    const struct tacit_ctb_stream *own = &ctb->streams[ctb->config.self];
    uint64_t base = own->known.is ? own->known.k + 1 : 0;
    if (own->next < base) {
        base = own->next; // an own id that is not consumed keeps its slot
    }
    return !own->condemned && own->lock_end - base < ctb->config.tail - 1 - reserved;
}

bool tacit_ctb_has_room(const struct tacit_ctb *ctb)
{
    return has_room(ctb, TACIT_BYZ_TAIL_RESERVED);
}

static void send_first(struct tacit_ctb *ctb, const struct tacit_ctb_slot *slot,
                       const uint8_t *body)
{
    tacit_node_t self = ctb->config.self;
    struct tacit_ctb_message message;
    begin_lock(ctb, slot, &message);
    message.body = body;
    message.body_bytes = slot->payload.body_bytes;
    message.carries = TACIT_CTB_INLINE;
    if (message.body_bytes <= TACIT_BYZ_INLINE_BYTES) {
        tacit_ctb_send_all(ctb, &message);
        return;
    }
    message.carries = TACIT_CTB_TICKET;
    for (tacit_node_t to = 0; to < ctb->config.replicas; to++) {
        if (to != self) {
            message.word = tacit_links_send_body(ctb->links, to, message.body, message.body_bytes);
            tacit_ctb_send(ctb, to, &message);
        }
    }
}

bool tacit_ctb_send_ahead(struct tacit_ctb *ctb, const struct tacit_payload *payload,
                          const void *body)
{
    TACIT_ASSERT(payload->kind == TACIT_PAYLOAD_PREPARE && !ctb->is_ahead);
    if (payload->body_bytes > TACIT_BYZ_INLINE_BYTES || !tacit_ctb_has_room(ctb) ||
        !tacit_bodies_has_room(ctb->bodies, ctb->config.self, true, payload->body_bytes)) {
        return false;
    }
    struct tacit_ctb_slot slot = {.k = ctb->streams[ctb->config.self].lock_end,
                                  .payload = *payload};
    send_first(ctb, &slot, body);
    ctb->is_ahead = true;
    return true;
}

bool tacit_ctb_broadcast(struct tacit_ctb *ctb, struct tacit_payload *payload, const void *body,
                         uint32_t body_bytes, tacit_time_ns_t now_ns)
{
    payload->body_bytes = body_bytes;
    tacit_body_digest(&payload->digest, body, body_bytes);
    return tacit_ctb_broadcast_digested(ctb, payload, body, now_ns);
}

bool tacit_ctb_broadcast_digested(struct tacit_ctb *ctb, const struct tacit_payload *payload,
                                  const void *body, tacit_time_ns_t now_ns)
{
    tacit_node_t self = ctb->config.self;
    struct tacit_ctb_stream *own = &ctb->streams[self];
    ctb->now_ns = now_ns;
    TACIT_ASSERT(payload->body_bytes <= ctb->config.body_bytes);
    bool reserved =
        payload->kind == TACIT_PAYLOAD_SEAL_VIEW || payload->kind == TACIT_PAYLOAD_NEW_VIEW ||
        payload->kind == TACIT_PAYLOAD_CHECKPOINT; // before a SEAL_VIEW: the caller sees to it
    bool is_ahead = ctb->is_ahead;
    ctb->is_ahead = false;
    if (!has_room(ctb, reserved ? 0 : TACIT_BYZ_TAIL_RESERVED)) {
        TACIT_ASSERT(!is_ahead);
        tacit_mark(&ctb->marker, TACIT_MARK_CTB_TAIL_FULL);
        return false;
    }
    if (!tacit_bodies_put(ctb->bodies, self, payload->kind == TACIT_PAYLOAD_PREPARE,
                          &payload->digest, body, payload->body_bytes)) {
        TACIT_ASSERT(!is_ahead);
        return false;
    }
    uint64_t k = own->lock_end++;
    struct tacit_ctb_slot *slot = tacit_ctb_slot_of(ctb, self, k);
    if ((slot->flags & TACIT_CTB_LOCKED) != 0 && (slot->flags & TACIT_CTB_BY_ALL) == 0) {
        ctb->unanimous_run = 0;
    }
    slot_release(ctb, self, slot);
    *slot = (struct tacit_ctb_slot){.k = k, .payload = *payload, .locked_ns = now_ns};
    slot->flags = TACIT_CTB_LOCKED | TACIT_CTB_HELD | TACIT_CTB_AGREED;
    if (ctb->slow || tacit_ctb_overdue(ctb) != 0) { // they will ask for it
        slot->sign = TACIT_CTB_WAIT;
    }
    tacit_ctb_owe(ctb, self, slot);
    ctb->counters.broadcasts++;
    ctb->relock_wait_ns = ctb->config.retry_ns;
    ctb->relock_due_ns = now_ns + ctb->config.retry_ns;
    tacit_ctb_exists(ctb, self);
    if (!is_ahead) {
        send_first(ctb, slot, body);
    }
    if (slot->sign == TACIT_CTB_WAIT) {
        tacit_ctb_sign_now(ctb, self, slot);
    }
    tacit_ctb_advance(ctb, self);
    return true;
}

// Whether a replica is known to have got the newest own id; then it asks for all below by itself.
static bool has_newest(const struct tacit_ctb *ctb, tacit_node_t w)
{
    tacit_node_t self = ctb->config.self;
    const struct tacit_ctb_stream *own = &ctb->streams[self];
    uint64_t k = own->lock_end - 1;
    const struct tacit_ctb_heard *heard =
        &own->heard[(size_t)(k % ctb->config.tail) * ctb->config.replicas + w];
    const struct tacit_ctb_share *share = &ctb->shares[w];
    return (heard->is && heard->k == k) || (share->sign != TACIT_CTB_NONE && share->k >= k);
}

static bool relock_poll(struct tacit_ctb *ctb)
{
    tacit_node_t self = ctb->config.self;
    const struct tacit_ctb_stream *own = &ctb->streams[self];
    if (ctb->now_ns < ctb->relock_due_ns) {
        return false;
    }
    bool all = true;
    const struct tacit_ctb_slot *slot = tacit_ctb_slot_of(ctb, self, own->lock_end - 1);
    for (tacit_node_t w = 0; w < ctb->config.replicas && !own->condemned; w++) {
        if (w != self && !has_newest(ctb, w)) {
            all = false;
            tacit_ctb_send_lock(ctb, w, slot);
        }
    }
    ctb->relock_due_ns = all ? TACIT_CTB_NEVER : ctb->now_ns + ctb->relock_wait_ns;
    ctb->relock_wait_ns = tacit_ctb_longer(ctb, ctb->relock_wait_ns);
    return !all;
}

// ---- surface -----------------------------------------------------------------------------------

bool tacit_ctb_locked(const struct tacit_ctb *ctb, tacit_node_t s, uint64_t k,
                      struct tacit_payload *payload)
{
    const struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, k);
    if (slot != NULL) {
        *payload = slot->payload;
    }
    return slot != NULL;
}

uint64_t tacit_ctb_late_by(const struct tacit_ctb *ctb, tacit_time_ns_t since_ns)
{
    uint64_t most = 0;
    for (tacit_node_t w = 0; w < ctb->config.replicas; w++) {
        uint64_t by = ctb->streams[ctb->config.self].lock_end - ctb->followed[w];
        bool follows = w != ctb->config.self && ctb->followed_ns[w] > since_ns;
        most = follows && by > most ? by : most;
    }
    return most;
}

void tacit_ctb_prefetch(const struct tacit_ctb *ctb, tacit_node_t s)
{
    const struct tacit_ctb_stream *stream = &ctb->streams[s];
    const struct tacit_ctb_slot *slot = tacit_ctb_slot_of(ctb, s, stream->lock_end);
    size_t n = ctb->config.replicas;
    tacit_prefetch(slot, sizeof *slot);
    tacit_prefetch(&stream->heard[(size_t)(stream->lock_end % ctb->config.tail) * n],
                   n * sizeof *stream->heard);
    bool holds = (slot->flags & TACIT_CTB_HELD) != 0; // until the slot is used again
    tacit_bodies_prefetch(ctb->bodies, s, holds ? &slot->payload.digest : NULL);
}

void tacit_ctb_hurry(struct tacit_ctb *ctb)
{
    ctb->hurry = true;
}

static void malformed(struct tacit_ctb *ctb, tacit_node_t from)
{
    ctb->counters.malformed++;
    tacit_ctb_malformed(ctb, from, ctb->now_ns);
}

void tacit_ctb_message(struct tacit_ctb *ctb, tacit_node_t from, const uint8_t *bytes,
                       uint32_t size, tacit_time_ns_t now_ns)
{
    struct tacit_ctb_message message;
    tacit_ctb_message_begin(&message);
    ctb->now_ns = now_ns;
    TACIT_ASSERT(from < ctb->config.replicas && from != ctb->config.self);
    if (tacit_ctb_decode(&message, bytes, size, ctb->quorum, ctb->config.replicas) !=
        TACIT_VERDICT_OK) {
        malformed(ctb, from);
        return;
    }
    if (message.epoch != ctb->epoch && !TACIT_BUG(EPOCH_OLD_TAKEN)) {
        return; // of the past, or asked for again when this replica is there too
    }
    bool of_broadcaster =
        message.kind == TACIT_MESSAGE_LOCK || message.kind == TACIT_MESSAGE_SIGNED;
    bool of_stream = of_broadcaster || message.kind == TACIT_MESSAGE_LOCKED ||
                     message.kind == TACIT_MESSAGE_SUMMARY;
    bool is_foreign = of_broadcaster && message.stream != from;
    if (is_foreign || message.payload.body_bytes > ctb->config.body_bytes) {
        malformed(ctb, from);
        return;
    }
    if (of_stream && ctb->streams[message.stream].condemned) {
        return;
    }
    switch (message.kind) {
    case TACIT_MESSAGE_LOCK:
        on_lock(ctb, &message);
        break;
    case TACIT_MESSAGE_LOCKED:
        tacit_ctb_on_locked(ctb, from, &message);
        break;
    case TACIT_MESSAGE_NUDGE:
        tacit_ctb_on_nudge(ctb, from, &message);
        break;
    case TACIT_MESSAGE_SIGNED:
        tacit_ctb_on_signed(ctb, &message);
        break;
    case TACIT_MESSAGE_SUMMARY_SHARE:
        tacit_ctb_on_share(ctb, from, &message);
        break;
    case TACIT_MESSAGE_SUMMARY:
        tacit_ctb_on_summary(ctb, from, &message);
        break;
    case TACIT_MESSAGE_FETCH_SUMMARY:
        tacit_ctb_on_fetch_summary(ctb, from, &message);
        break;
    case TACIT_MESSAGE_FETCH:
        tacit_ctb_on_fetch(ctb, from, &message);
        break;
    case TACIT_MESSAGE_BODY:
    default:
        tacit_ctb_on_body(ctb, from, &message);
        break;
    }
}

void tacit_ctb_signer(struct tacit_ctb *ctb, const struct tacit_signer_done *done,
                      tacit_time_ns_t now_ns)
{
    uint64_t value = TACIT_SIGNER_COOKIE_VALUE(done->cookie);
    uint32_t low = (uint32_t)value;
    tacit_node_t stream = (tacit_node_t)(value >> 36 & 0xf);
    tacit_node_t peer = (tacit_node_t)(value >> 32 & 0xf);
    ctb->now_ns = now_ns;
    if ((value >> 40 & 0xfff) != (ctb->generation & 0xfff) || ctb->streams[stream].condemned) {
        return; // of an older epoch, or of no use any more
    }
    switch (value >> 52) {
    case TACIT_CTB_JOB_ID:
        tacit_ctb_slow_done(ctb, stream, low, done);
        break;
    case TACIT_CTB_JOB_EVIDENCE:
        tacit_ctb_evidence_done(ctb, stream, peer, low, done);
        break;
    case TACIT_CTB_JOB_SHARE:
        tacit_ctb_share_made(ctb, stream, low, done);
        break;
    case TACIT_CTB_JOB_SHARE_OF:
        tacit_ctb_share_checked(ctb, peer, done);
        break;
    default:
        tacit_ctb_certificate_checked(ctb, stream, peer, low, done);
        break;
    }
}

bool tacit_ctb_poll(struct tacit_ctb *ctb, tacit_time_ns_t now_ns)
{
    ctb->now_ns = now_ns;
    bool did = relock_poll(ctb);
    for (tacit_node_t s = 0; s < ctb->config.replicas; s++) {
        struct tacit_ctb_stream *stream = &ctb->streams[s];
        if (stream->condemned) {
            continue;
        }
        if (stream->stirred) {
            stream->stirred = false;
            tacit_ctb_advance(ctb, s);
            did = true;
        }
        did = tacit_ctb_slow_poll(ctb, s) || did;
        did = (!stream->condemned && tacit_ctb_summary_poll(ctb, s)) || did;
    }
    did = tacit_ctb_body_poll(ctb) || did;
    ctb->hurry = false;
    return did;
}

static void sooner(tacit_time_ns_t *deadline_ns, tacit_time_ns_t due_ns)
{
    if (due_ns < *deadline_ns) {
        *deadline_ns = due_ns;
    }
}

tacit_time_ns_t tacit_ctb_deadline(const struct tacit_ctb *ctb)
{
    tacit_time_ns_t deadline_ns = ctb->relock_due_ns;
    sooner(&deadline_ns, tacit_ctb_body_due(ctb));
    for (tacit_node_t s = 0; s < ctb->config.replicas; s++) {
        const struct tacit_ctb_stream *stream = &ctb->streams[s];
        if (stream->condemned) {
            continue;
        }
        if (stream->stirred || ctb->hurry) {
            return 0;
        }
        sooner(&deadline_ns, tacit_ctb_nudge_due(ctb, s));
        sooner(&deadline_ns, tacit_ctb_gap_due(ctb, s));
        sooner(&deadline_ns, tacit_ctb_share_due(ctb, s));
        if (stream->slow_work) {
            sooner(&deadline_ns, ctb->now_ns + ctb->config.slow_after_ns);
        }
        if (stream->sign_work) {
            sooner(&deadline_ns, tacit_ctb_sign_due(ctb, s));
        }
    }
    return deadline_ns;
}

const struct tacit_ctb_counters *tacit_ctb_counters(const struct tacit_ctb *ctb)
{
    return &ctb->counters;
}

void tacit_ctb_progress(const struct tacit_ctb *ctb, tacit_node_t s, uint64_t *delivered,
                        uint64_t *locked)
{
    *delivered = ctb->streams[s].next;
    *locked = ctb->streams[s].lock_end;
}

const char *tacit_ctb_check(const struct tacit_ctb *ctb)
{
    for (tacit_node_t s = 0; s < ctb->config.replicas; s++) {
        const struct tacit_ctb_stream *stream = &ctb->streams[s];
        if (stream->busy) {
            return "a stream is left busy";
        }
        for (uint32_t i = 0; i < ctb->config.tail && !stream->condemned; i++) {
            const struct tacit_ctb_slot *slot = &stream->slots[i];
            uint32_t bytes = 0;
            if (slot->flags == 0) {
                continue;
            }
            if (slot->k % ctb->config.tail != i || slot->k >= stream->next + ctb->config.tail ||
                slot->k >= stream->lock_end) {
                return "a lock outside of the window";
            }
            if ((slot->flags & TACIT_CTB_HELD) != 0 &&
                (tacit_bodies_find(ctb->bodies, &slot->payload.digest, &bytes) == NULL ||
                 bytes != slot->payload.body_bytes)) {
                return "a body that is held is not there";
            }
        }
        if (stream->kept.is && (!stream->known.is || stream->known.k < stream->kept.k)) {
            return "a kept state without its certificate";
        }
        bool next_is_locked = tacit_ctb_locked_slot(ctb, s, stream->next) != NULL;
        if (!stream->condemned && next_is_locked && !stream->pending) {
            return "an id that is locked is not waited for";
        }
    }
    return NULL;
}
