// SPDX-License-Identifier: Apache-2.0
//
// Agreement: life, the table of slots, executing, messages, a turn. See agree.h.
#include "../base/prefetch.h"
#include "agree_internal.h"

#define EXECUTE_BUDGET 64u
#define REPEAT_DOUBLINGS 6u
#define STATUS_BYTES 32u

size_t tacit_agree_state_bytes(uint32_t window)
{
    return tacit_stream_bytes_max(window);
}

size_t tacit_agree_body_bytes(uint8_t replicas, uint32_t window)
{
    size_t quorum = replicas / 2u + 1u;
    size_t state = tacit_round_up(tacit_stream_bytes_max(window), 8);
    return 8 + TACIT_BASE_BYTES_MAX + quorum * (16 + state + quorum * 80);
}

// One place for the size and the layout: with bump->base NULL it only measures.
static void lay_out(struct tacit_agree *a, struct tacit_bump *bump,
                    const struct tacit_agree_config *config)
{
    size_t n = config->replicas;
    size_t slots = 2ull * config->window;
    a->slots = tacit_bump_take(bump, slots * sizeof(struct tacit_slot), 8);
    struct tacit_ack *acks = tacit_bump_take(bump, slots * n * sizeof(*acks), 8);
    struct tacit_certify *certifies = tacit_bump_take(bump, slots * n * sizeof(*certifies), 8);
    a->streams = tacit_bump_take(bump, n * sizeof(struct tacit_stream), 8);
    a->checks = tacit_bump_take(bump, 2 * n * sizeof(struct tacit_check), 8);
    a->newview_digests = tacit_bump_take(bump, n * sizeof(struct tacit_newview_digests), 8);
    a->base_shares = tacit_bump_take(bump, n * sizeof(struct tacit_base_share), 8);
    a->offers = tacit_bump_take(bump, n * sizeof(struct tacit_base_offer), 8);
    a->cosigns = tacit_bump_take(bump, n * sizeof(struct tacit_cosign), 8);
    a->state_shares = tacit_bump_take(bump, n * n * sizeof(struct tacit_state_share), 8);
    a->entries = tacit_bump_take(bump, config->window * sizeof(struct tacit_slot_value), 8);
    a->body = tacit_bump_take(bump, tacit_round_up(config->body_bytes, 8), TACIT_CACHE_LINE);
    for (size_t r = 0; r < n; r++) {
        struct tacit_stream measured;
        tacit_stream_init(bump->base == NULL ? &measured : &a->streams[r], bump, config->window);
        tacit_stream_init(&a->scratch[r], bump, config->window);
    }
    for (size_t i = 0; bump->base != NULL && i < slots; i++) {
        a->slots[i].acks = acks + i * n;
        a->slots[i].certifies = certifies + i * n;
    }
}

struct tacit_agree *tacit_agree_init(struct tacit_bump *bump,
                                     const struct tacit_agree_config *config,
                                     struct tacit_marker marker)
{
    struct tacit_agree measured = {0};
    struct tacit_agree *a = tacit_bump_take(bump, sizeof(*a), TACIT_CACHE_LINE);
    if (bump->base == NULL) {
        lay_out(&measured, bump, config);
        return NULL;
    }
    memset(a, 0, sizeof(*a));
    TACIT_ASSERT(config->body_bytes >= tacit_agree_body_bytes(config->replicas, config->window));
    TACIT_ASSERT(config->window >= 2 && config->window % 2 == 0 && config->window <= 16384);
    lay_out(a, bump, config);
    a->config = *config;
    a->f = (uint8_t)((config->replicas - 1) / 2);
    a->marker = marker;
    tacit_body_digest(&a->none, "", 0);
    return a;
}

// ---- the table of slots

static void release_bodies(struct tacit_agree *a, struct tacit_slot *slot)
{
    for (uint32_t i = 0; i < slot->held; i++) {
        tacit_bodies_release(a->bodies, slot->accounts[i], &slot->bodies[i]);
    }
    slot->held = 0;
}

static void clear_slot(struct tacit_agree *a, struct tacit_slot *slot, uint64_t number)
{
    release_bodies(a, slot);
    memset(slot->acks, 0, a->config.replicas * sizeof(slot->acks[0]));
    memset(slot->certifies, 0, a->config.replicas * sizeof(slot->certifies[0]));
    memset(slot, 0, offsetof(struct tacit_slot, vouched));
    slot->slot = number;
}

// An earlier one's record, for this slot. Apart: what finds its slot is inlined without it.
__attribute__((noinline)) static struct tacit_slot *reused(struct tacit_agree *a,
                                                           struct tacit_slot *slot, uint64_t number)
{
    if (slot->slot != TACIT_SLOT_NONE && slot->slot > number) {
        return NULL;
    }
    clear_slot(a, slot, number);
    return slot;
}

struct tacit_slot *tacit_slot_at(struct tacit_agree *a, uint64_t number)
{
    if (number >= a->base + a->config.window || number + a->config.window < a->base) {
        return NULL;
    }
    struct tacit_slot *slot = &a->slots[number % (2ull * a->config.window)];
    return slot->slot == number ? slot : reused(a, slot, number);
}

bool tacit_prepare_is_sane(const struct tacit_agree *a, const struct tacit_payload *payload)
{
    if (payload->body_bytes > 0 || TACIT_BUG(NOOP_OF_ANY_DIGEST)) {
        return payload->body_bytes <= a->config.batch_bytes;
    }
    return tacit_digest_is_equal(&payload->digest, &a->none);
}

bool tacit_slot_hold(struct tacit_agree *a, struct tacit_slot *slot,
                     const struct tacit_payload *prepare)
{
    const struct tacit_digest *digest = &prepare->digest;
    tacit_node_t leader = tacit_leader_of(a, prepare->view);
    if (prepare->body_bytes == 0) {
        return true; // a no-op needs none (tacit_prepare_is_sane)
    }
    for (uint32_t i = 0; i < slot->held; i++) {
        if (tacit_digest_is_equal(&slot->bodies[i], digest)) {
            return true;
        }
    }
    if (slot->held == TACIT_SLOT_BODIES || !tacit_bodies_hold(a->bodies, leader, true, digest)) {
        return false;
    }
    slot->accounts[slot->held] = (uint8_t)leader;
    slot->bodies[slot->held++] = *digest;
    return true;
}

const uint8_t *tacit_agree_body(struct tacit_agree *a, const struct tacit_digest *digest,
                                uint32_t *bytes)
{
    return tacit_bodies_find(a->bodies, digest, bytes);
}

// ---- life

// Everything of the epoch before; `again`: there was one.
static void forget(struct tacit_agree *a, bool again, uint64_t base,
                   const struct tacit_digest *root)
{
    for (uint64_t i = 0; i < 2ull * a->config.window; i++) {
        if (!again) {
            a->slots[i].held = 0;
        }
        clear_slot(a, &a->slots[i], TACIT_SLOT_NONE);
    }
    for (tacit_node_t r = 0; r < a->config.replicas; r++) {
        tacit_stream_reset(&a->streams[r], base, root);
        if (again && a->cosigns[r].known && a->cosigns[r].encoded) {
            tacit_bodies_release(a->bodies, tacit_bodies_account_sealed(a->config.replicas),
                                 &a->cosigns[r].digest);
        }
    }
    size_t n = a->config.replicas;
    memset(a->checks, 0, 2 * n * sizeof(a->checks[0]));
    memset(a->newview_digests, 0, n * sizeof(a->newview_digests[0]));
    memset(a->base_shares, 0, n * sizeof(a->base_shares[0]));
    memset(a->offers, 0, n * sizeof(a->offers[0]));
    memset(a->cosigns, 0, n * sizeof(a->cosigns[0]));
    memset(a->state_shares, 0, n * n * sizeof(a->state_shares[0]));
    memset(a->lacks, 0xff, sizeof(a->lacks));
    memset(a->joined, 0, sizeof(a->joined));
}

static void reset_view(struct tacit_agree *a, tacit_time_ns_t now_ns)
{
    a->waiting_ns = 0;
    a->gathered_ns = now_ns;
    a->helped = 0;
    a->deciders = 0;
    a->view = 0;
    a->entered = true;
    a->seal_due = a->newview_sent = false;
    a->again = a->again_least = a->again_end = 0;
}

void tacit_agree_start(struct tacit_agree *a, uint64_t epoch, tacit_node_t first_leader,
                       uint64_t base, const struct tacit_digest *root,
                       const struct tacit_agree_parts *parts, const struct tacit_agree_calls *calls,
                       tacit_time_ns_t now_ns)
{
    bool again = a->bodies != NULL;
    a->ctb = parts->ctb;
    a->links = parts->links;
    a->signer = parts->signer;
    a->bodies = parts->bodies;
    a->calls = *calls;
    forget(a, again, base, root);
    reset_view(a, now_ns);
    a->epoch = epoch;
    a->first_leader = first_leader;
    a->now_ns = now_ns;
    a->applied = a->undecided = a->seen = a->next = a->released = base;
    a->grown = base;
    a->grown_ns = now_ns;
    a->progress_ns = now_ns;
    a->base = a->start_base = a->own_base = base;
    a->root = a->own_root = *root;
    a->base_certificate.count = 0;
    a->own_signed = a->own_asked = a->announce_due = a->fetching = false;
    a->behind_ns = 0;
    a->behind_told = 0;
    a->limit = UINT64_MAX;
    a->silent = 0; // its members have yet to answer
    a->slow_run = a->fast_run = a->fetched_back = 0;
    a->rumour = a->observer = false;
    a->repeat_ns = now_ns + a->config.retry_ns;
    a->calls.entered(a->calls.context, 0, tacit_leader_of(a, 0));
}

void tacit_agree_observe(struct tacit_agree *a, struct tacit_links *links,
                         struct tacit_signer *signer, const struct tacit_agree_calls *calls,
                         tacit_time_ns_t now_ns)
{
    a->links = links;
    a->signer = signer;
    a->calls = *calls;
    a->now_ns = now_ns;
    a->repeat_ns = now_ns;
    a->limit = UINT64_MAX;
    a->observer = true;
}

void tacit_agree_take_up(struct tacit_agree *a)
{
    const struct tacit_base_offer newest = a->newest;
    if (newest.epoch == a->epoch && newest.base > a->base) {
        tacit_base_certified(a, newest.base, &newest.root, &newest.certificate);
    }
    tacit_agree_send_status(a, TACIT_SLOT_NONE);
    for (tacit_node_t r = 0; r < a->config.replicas; r++) {
        if (r != a->config.self) {
            a->shown_ns[r] = 0;
            tacit_agree_other_epoch(a, r, 0);
        }
    }
}

void tacit_agree_limit(struct tacit_agree *a, uint64_t limit)
{
    a->limit = limit;
}

uint64_t tacit_agree_newest(const struct tacit_agree *a)
{
    return a->newest.base;
}

static void on_locked(void *context, tacit_node_t stream, uint64_t k,
                      const struct tacit_payload *payload)
{
    if (stream != ((struct tacit_agree *)context)->config.self) {
        tacit_votes_locked(context, stream, k, payload);
    }
}

static void on_body(void *context, tacit_node_t stream, uint64_t k,
                    const struct tacit_payload *payload)
{
    struct tacit_agree *a = context;
    (void)stream;
    (void)k;
    struct tacit_slot *slot =
        payload->kind == TACIT_PAYLOAD_PREPARE ? tacit_slot_at(a, payload->slot) : NULL;
    if (slot != NULL) {
        tacit_votes_try(a, slot);
    }
}

static enum tacit_take on_deliver(void *context, tacit_node_t stream, uint64_t k,
                                  const struct tacit_payload *payload, const uint8_t *body)
{
    struct tacit_agree *a = context;
    switch (payload->kind) {
    case TACIT_PAYLOAD_PREPARE:
        return tacit_votes_prepare(a, stream, k, payload);
    case TACIT_PAYLOAD_COMMIT:
        return tacit_votes_commit(a, stream, k, payload, body);
    case TACIT_PAYLOAD_CHECKPOINT:
        return tacit_base_announced(a, stream, k, payload, body);
    case TACIT_PAYLOAD_SEAL_VIEW:
        return tacit_view_seal_seen(a, stream, payload, body);
    case TACIT_PAYLOAD_NEW_VIEW:
        return tacit_view_newview_seen(a, stream, k, payload, body);
    default:
        return TACIT_TAKE_ILLEGAL;
    }
}

static size_t on_encode(void *context, tacit_node_t stream, uint8_t *out)
{
    return tacit_stream_encode(&((struct tacit_agree *)context)->streams[stream], out);
}

static bool on_adopt(void *context, tacit_node_t stream, uint64_t k, const uint8_t *state,
                     size_t bytes)
{
    struct tacit_agree *a = context;
    (void)k;
    if (tacit_stream_decode(&a->streams[stream], state, bytes) != TACIT_VERDICT_OK) {
        return false;
    }
    a->checks[stream].active = false;
    tacit_votes_note_commits(a, stream);
    tacit_view_adopted(a, stream);
    if (stream == tacit_leader_of(a, a->view)) {
        tacit_votes_rescan(a);
    }
    tacit_agree_send_status(a, a->undecided);
    return true;
}

struct tacit_ctb_calls tacit_agree_ctb_calls(struct tacit_agree *a)
{
    // Unanimity and missing bodies have one consequence: the slot may go on.
    return (struct tacit_ctb_calls){.context = a,
                                    .locked = on_locked,
                                    .body_held = on_body,
                                    .unanimous = on_body,
                                    .deliver = on_deliver,
                                    .encode = on_encode,
                                    .adopt = on_adopt};
}

// ---- executing

static bool execute_one(struct tacit_agree *a)
{
    bool stopped = a->fetching || a->applied >= a->limit;
    struct tacit_slot *slot = stopped ? NULL : tacit_slot_at(a, a->applied);
    if (slot == NULL || !slot->decided) {
        return false;
    }
    uint32_t bytes = 0;
    const uint8_t *body = (const uint8_t *)"";
    if (!tacit_digest_is_equal(&slot->value, &a->none)) {
        body = tacit_agree_body(a, &slot->value, &bytes);
        if (body == NULL) {
            tacit_ctb_fetch(a->ctb, a->config.self, &slot->value, a->config.batch_bytes, a->now_ns);
            return false;
        }
    }
    uint64_t number = a->applied++;
    a->calls.execute(a->calls.context, number, &slot->value, body, bytes);
    // Each half window from the first slot of the epoch on, and at its end, wherever that is.
    if ((a->applied - a->start_base) % (a->config.window / 2) == 0 || a->applied == a->limit) {
        a->calls.checkpoint(a->calls.context, a->applied);
    }
    return true;
}

// Bodies of slots that are finished are nobody's business any more.
static void release_finished(struct tacit_agree *a)
{
    uint64_t end = a->base < a->applied ? a->base : a->applied;
    for (; a->released < end; a->released++) {
        struct tacit_slot *slot = &a->slots[a->released % (2ull * a->config.window)];
        if (slot->slot == a->released) {
            release_bodies(a, slot);
        }
    }
}

bool tacit_agree_advance(struct tacit_agree *a)
{
    bool worked = false;
    bool was_behind = a->applied < a->base;
    if (a->undecided < a->base) {
        a->undecided = a->base;
    }
    if (a->next < a->base) {
        a->next = a->base;
    }
    for (;;) {
        struct tacit_slot *slot = a->undecided < a->seen ? tacit_slot_at(a, a->undecided) : NULL;
        if (slot == NULL || !slot->decided) {
            break;
        }
        a->undecided++;
    }
    for (uint32_t budget = EXECUTE_BUDGET; budget > 0 && execute_one(a); budget--) {
        worked = true;
    }
    release_finished(a);
    if (worked && was_behind) {
        tacit_votes_rescan(a); // tacit_votes_end() moved
    }
    return worked;
}

void tacit_agree_endorsable(struct tacit_agree *a, uint64_t number)
{
    struct tacit_slot *slot = number < a->seen ? tacit_slot_at(a, number) : NULL;
    if (slot != NULL && slot->has_prepare && !slot->endorsed) {
        tacit_votes_try(a, slot);
    }
}

void tacit_agree_suspect(struct tacit_agree *a)
{
    if (a->gathered_ns != UINT64_MAX) {
        tacit_view_seal(a, a->view);
    }
}

void tacit_agree_gone(struct tacit_agree *a, uint32_t gone)
{
    a->gone = gone;
    tacit_ctb_gone(a->ctb, gone);
}

tacit_time_ns_t tacit_agree_patience_ns(const struct tacit_agree *a)
{
    return tacit_patience_ns(&a->patience, a->config.slow_after_ns);
}

tacit_time_ns_t tacit_agree_gathered_ns(const struct tacit_agree *a)
{
    return a->gathered_ns;
}

tacit_time_ns_t tacit_agree_stalled_ns(const struct tacit_agree *a)
{
    if (a->seen <= a->undecided || a->fetching || TACIT_BUG(STALL_UNNOTICED)) {
        return UINT64_MAX;
    }
    return a->progress_ns > a->grown_ns ? a->progress_ns : a->grown_ns;
}

void tacit_agree_diverged(struct tacit_agree *a)
{
    a->fetching = true;
    a->behind_told = a->base;
}

void tacit_agree_installed(struct tacit_agree *a, uint64_t base)
{
    a->applied = base; // also back, when the own state had been wrong
    a->behind_ns = 0;
    a->fetching = false;
    (void)tacit_agree_advance(a);
    tacit_votes_rescan(a);
}

// ---- messages and completions

void tacit_agree_send_status(struct tacit_agree *a, uint64_t slot)
{
    uint8_t message[STATUS_BYTES] = {TACIT_MESSAGE_STATUS};
    tacit_message_of_epoch(message, a->epoch);
    tacit_put64(message + 8, a->view);
    tacit_put64(message + 16, a->base);
    tacit_put64(message + 24, slot);
    tacit_links_send_all(a->links, message, sizeof(message));
}

// Hands out the newest certificate, not too often.
void tacit_agree_other_epoch(struct tacit_agree *a, tacit_node_t from, uint64_t epoch)
{
    if (epoch > a->epoch) {
        a->rumour = true;
        return;
    }
    if (a->newest.certificate.count == 0 || TACIT_BUG(EPOCH_NO_HAND_OUT)) {
        return;
    }
    if (a->now_ns < a->shown_ns[from]) {
        // Who speaks so soon again may not repeat it (it asked before it was a member, was
        // answered, and asks as one): in an idle group nobody would ever tell it.
        a->owed |= TACIT_BUG(EPOCH_HAND_OUT_FORGOTTEN) ? 0 : 1u << from;
        return;
    }
    a->owed &= ~(1u << from);
    a->shown_ns[from] = a->now_ns + a->config.retry_ns / 2;
    uint8_t answer[16 + TACIT_BASE_BYTES_MAX] = {TACIT_MESSAGE_CHECKPOINT_CERTIFICATE};
    tacit_message_of_epoch(answer, a->newest.epoch);
    tacit_put64(answer + 8, a->newest.base);
    size_t used = tacit_base_encode(&a->newest.root, &a->newest.certificate, answer + 16);
    tacit_links_send(a->links, from, answer, (uint32_t)(16 + used));
}

static void status_message(struct tacit_agree *a, tacit_node_t from, const uint8_t *message,
                           uint32_t bytes)
{
    if (bytes != STATUS_BYTES) {
        a->counters.malformed++;
        return;
    }
    uint32_t epoch = tacit_message_epoch(message);
    if (epoch == (uint32_t)a->epoch) {
        a->lacks[from] = tacit_get64(message + 24);
        tacit_agree_lacks(a, a->lacks[from]);
        tacit_votes_status(a, from, a->lacks[from]);
    }
    if (epoch != (uint32_t)a->epoch || tacit_get64(message + 16) < a->newest.base) {
        tacit_agree_other_epoch(a, from, epoch);
    }
}

void tacit_agree_message(struct tacit_agree *a, tacit_node_t from, const uint8_t *message,
                         uint32_t bytes)
{
    if (!tacit_is_peer(a, from) || bytes < 8) {
        a->counters.malformed++;
        return;
    }
    bool any_epoch =
        message[0] == TACIT_MESSAGE_STATUS || message[0] == TACIT_MESSAGE_CHECKPOINT_CERTIFICATE;
    if (!any_epoch && tacit_message_epoch(message) != (uint32_t)a->epoch) {
        tacit_agree_other_epoch(a, from, tacit_message_epoch(message));
        return;
    }
    switch (message[0]) {
    case TACIT_MESSAGE_STATUS:
        status_message(a, from, message, bytes);
        break;
    case TACIT_MESSAGE_CHECKPOINT_SHARE:
    case TACIT_MESSAGE_CHECKPOINT_CERTIFICATE:
        tacit_base_message(a, from, message, bytes);
        break;
    case TACIT_MESSAGE_STATE_SHARE:
        tacit_view_message(a, from, message, bytes);
        break;
    default:
        a->counters.malformed++;
        break;
    }
}

void tacit_agree_signer(struct tacit_agree *a, const struct tacit_signer_done *done)
{
    uint64_t cookie = TACIT_SIGNER_COOKIE_VALUE(done->cookie);
    uint64_t value = cookie & 0xffffffffffffull;
    enum tacit_agree_job job = (enum tacit_agree_job)(cookie >> 48);
    if (job == TACIT_JOB_BASE_VERIFY || job == TACIT_JOB_STATE_SIGN ||
        job == TACIT_JOB_STATE_VERIFY) {
        if (value >> 32 != (a->epoch & 0xffff)) {
            return; // of an older epoch
        }
        value &= 0xffffffffu;
    }
    switch (job) {
    case TACIT_JOB_CHECK:
        tacit_check_done(a, value, done->valid);
        break;
    case TACIT_JOB_CERTIFY_SIGN:
        tacit_votes_signed(a, value, &done->signature);
        break;
    case TACIT_JOB_CERTIFY_VERIFY:
        tacit_votes_checked(a, value, done->valid);
        break;
    case TACIT_JOB_BASE_SIGN:
        tacit_base_signed(a, &done->signature, value);
        break;
    case TACIT_JOB_BASE_VERIFY:
        tacit_base_checked(a, value, done->valid);
        break;
    case TACIT_JOB_STATE_SIGN:
        tacit_view_signed(a, value, &done->signature);
        break;
    case TACIT_JOB_STATE_VERIFY:
        tacit_view_checked(a, value, done->valid);
        break;
    default:
        break;
    }
}

// ---- a turn

// What was lost or waits for others is said again, rarely.
static void repeat(struct tacit_agree *a)
{
    if (a->now_ns < a->repeat_ns) {
        return;
    }
    // Twice as long each time while nothing changes: repetitions must not fill the links.
    uint64_t sum = a->view + a->undecided + a->base + a->applied + a->own_base;
    a->repeats = sum != a->repeat_sum ? 0 : a->repeats + (a->repeats < REPEAT_DOUBLINGS);
    a->repeat_sum = sum;
    a->repeat_ns = a->now_ns + (a->config.retry_ns << a->repeats);
    if (a->seen > a->undecided || (a->view > 0 && !a->entered) || a->base > a->applied ||
        a->rumour || a->newest.base > a->applied) {
        a->rumour = false;
        tacit_agree_send_status(a, a->undecided);
    }
    tacit_base_repeat(a);
    tacit_view_repeat(a);
    for (tacit_node_t r = 0; r < 2 * a->config.replicas; r++) {
        if (a->checks[r].active && a->checks[r].pending == 0) { // the queue had been full
            if (r < a->config.replicas) {
                tacit_ctb_resume(a->ctb, r);
            } else {
                tacit_base_offered(a, (tacit_node_t)(r - a->config.replicas));
            }
        }
    }
}

// A process may have been without a processor since its last turn: what it hears then must not
// look as if it had come that long ago.
void tacit_agree_turn(struct tacit_agree *a, tacit_time_ns_t now_ns)
{
    a->now_ns = TACIT_BUG(TIME_OF_LAST_TURN) ? a->now_ns : now_ns;
}

void tacit_agree_get_ready(struct tacit_agree *a)
{
    tacit_node_t leader = tacit_leader_of(a, a->view);
    const struct tacit_stream *stream = &a->streams[leader];
    const struct tacit_slot *slot = &a->slots[a->seen % (2ull * a->config.window)];
    (void)tacit_slot_at(a, a->seen); // emptied of what it held a round ago
    tacit_prefetch(slot, offsetof(struct tacit_slot, bodies));
    tacit_prefetch(slot->acks, a->config.replicas * sizeof slot->acks[0]);
    tacit_prefetch(slot->certifies, a->config.replicas * sizeof slot->certifies[0]);
    tacit_prefetch(&stream->used[a->seen % stream->window], sizeof stream->used[0]);
    if (a->view > 0) { // what NEW_VIEW forces
        tacit_prefetch(&stream->force[a->seen % stream->window], sizeof stream->force[0]);
    }
    tacit_ctb_prefetch(a->ctb, leader);
    tacit_links_prefetch(a->links, a->seen > a->undecided ? a->undecided : a->seen);
}

bool tacit_agree_look(struct tacit_agree *a, tacit_time_ns_t now_ns)
{
    bool worked = false;
    a->now_ns = now_ns;
    for (uint64_t s = a->undecided; s < a->seen; s++) {
        struct tacit_slot *slot = tacit_slot_at(a, s);
        if (slot == NULL) {
            break;
        }
        worked = tacit_votes_look(a, slot) || worked;
    }
    return tacit_agree_advance(a) || worked;
}

// The certificate, to whoever had been shown one a moment before it asked.
static void show_owed(struct tacit_agree *a)
{
    for (uint32_t left = a->owed; left != 0; left &= left - 1) {
        tacit_node_t r = (tacit_node_t)__builtin_ctz(left);
        if (a->now_ns >= a->shown_ns[r]) {
            tacit_agree_other_epoch(a, r, 0);
        }
    }
}

bool tacit_agree_poll(struct tacit_agree *a, tacit_time_ns_t now_ns)
{
    a->now_ns = now_ns;
    show_owed(a);
    tacit_base_jump(a);
    if (a->observer) {
        if (now_ns >= a->repeat_ns) {
            a->repeat_ns = now_ns + a->config.retry_ns;
            tacit_agree_send_status(a, TACIT_SLOT_NONE);
        }
        return false;
    }
    bool worked = tacit_agree_look(a, now_ns);
    tacit_votes_look_for_late(a);
    if (a->seen != a->grown) {
        a->grown = a->seen;
        a->grown_ns = now_ns;
    }
    worked = tacit_agree_propose_again(a) || worked;
    worked = tacit_base_poll(a) || worked;
    worked = tacit_view_poll(a) || worked;
    repeat(a);
    return worked;
}

tacit_time_ns_t tacit_agree_deadline(const struct tacit_agree *a)
{
    bool checks = false;
    for (tacit_node_t r = 0; r < 2 * a->config.replicas; r++) {
        checks = checks || a->checks[r].active;
    }
    // The body of a decided slot is asked for again: the ctb gives up after a few tries.
    bool lacks_body = a->applied < a->undecided && a->applied < a->limit && !a->fetching &&
                      !TACIT_BUG(DECIDED_BODY_FORGOTTEN);
    bool waits = checks || lacks_body || a->seen > a->undecided || (a->view > 0 && !a->entered) ||
                 a->base > a->applied || a->own_base > a->base || a->seal_due || a->announce_due ||
                 a->rumour || a->observer || a->newest.base > a->applied;
    tacit_time_ns_t at = waits ? a->repeat_ns : UINT64_MAX;
    for (uint32_t left = a->owed; left != 0; left &= left - 1) {
        tacit_time_ns_t due = a->shown_ns[__builtin_ctz(left)];
        at = due < at ? due : at;
    }
    if (!waits) {
        return at;
    }
    for (uint64_t s = a->undecided; s < a->seen; s++) {
        const struct tacit_slot *slot = &a->slots[s % (2ull * a->config.window)];
        tacit_time_ns_t due = UINT64_MAX;
        if (slot->slot == s && slot->slow) {
            due = slot->look_ns;
        } else if (slot->slot == s && slot->delivered && !slot->decided) {
            tacit_time_ns_t overdue = tacit_ctb_overdue_due(a->ctb); // then it waits no longer
            due = slot->since_ns + tacit_slow_after_ns(a);
            due = due < overdue ? due : overdue;
        }
        at = due < at ? due : at;
    }
    return at;
}

const char *tacit_agree_check(const struct tacit_agree *a)
{
    if (a->undecided < a->base || a->next < a->start_base || a->own_base < a->start_base) {
        return "agreement: a position is below the base";
    }
    if (a->seen > a->base + a->config.window && a->seen > a->undecided) {
        return "agreement: a slot beyond the window was seen";
    }
    for (uint64_t i = 0; i < 2ull * a->config.window; i++) {
        const struct tacit_slot *slot = &a->slots[i];
        if (slot->slot != TACIT_SLOT_NONE && slot->slot % (2ull * a->config.window) != i) {
            return "agreement: a slot is at another's place";
        }
        if (slot->acked.known && tacit_slot_vouched(slot, slot->acked.view) == NULL) {
            return "agreement: ACKed without a vouch";
        }
        if (slot->vouches > TACIT_BYZ_VIEWS_KEPT || slot->held > TACIT_SLOT_BODIES) {
            return "agreement: a slot's lists are too long";
        }
    }
    return NULL;
}

void tacit_agree_status(const struct tacit_agree *a, struct tacit_agree_report *report)
{
    *report = (struct tacit_agree_report){.epoch = a->epoch,
                                          .view = a->view,
                                          .base = a->base,
                                          .applied = a->applied,
                                          .decided = a->undecided,
                                          .leader = tacit_leader_of(a, a->view),
                                          .entered = a->view == 0 || a->entered,
                                          .counters = a->counters};
    for (tacit_node_t r = 0; a->ctb != NULL && r < a->config.replicas; r++) { // NULL: not started
        report->condemned |= tacit_ctb_is_condemned(a->ctb, r) ? 1u << r : 0;
    }
}
