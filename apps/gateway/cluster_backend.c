// SPDX-License-Identifier: Apache-2.0
//
// See cluster_backend.h.
#include "cluster_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv/kv_wire.h"

#define NONE 0xffffu
// What a command adds to its batch and to the reply, beside itself and its own reply.
#define EACH_BYTES TACIT_KV_LENGTH_BYTES
#define ALONE_AT (TACIT_KV_REQUEST_HEADER + EACH_BYTES) // the first command, without its batch
#define REPLY_HEADER (1u + TACIT_KV_LENGTH_BYTES)

// Tokens of the channel: of a batch, its lane and its place there; of a session, its lane.
#define TOKEN_LANE_SHIFT 16
#define TOKEN_SESSION (1ull << 40)

// Commands that go together, in order, encoded as they are sent.
struct batch {
    uint8_t *bytes;
    uint64_t *tokens; // of the front
    size_t used;
    uint32_t count;
    uint32_t sent;        // under way: so many of the first
    uint64_t reply_bytes; // what the reply may need
    bool reads;           // all of them
    bool may_be_cut;      // there are some whose replies may be larger than reckoned with
    bool alone;           // the first one found no room for its reply beside others
    bool is_last;         // under way, and nothing may follow it before its result
};

enum lane_state { LANE_CLOSED = 0, LANE_OPENING, LANE_OPEN };

struct tacit_backend_lane {
    uint8_t state;
    bool silent;      // a command of it timed out, and nothing was heard since
    bool last_is_out; // nothing may follow what is under way
    uint32_t session;
    uint32_t users; // connections
    uint32_t under_way;
    struct batch *batches; // pipeline + 1
    uint16_t *free;
    uint32_t free_count;
    uint16_t again; // what a batch that was cut left over: goes first; or NONE
    uint16_t open;  // takes commands; or NONE
};

struct tacit_backend_place {
    struct tacit_backend_lane *lane; // NULL: none
    uint64_t token;                  // of its session
    bool waits;                      // for tacit_front_opened()
};

// ---- memory ---------------------------------------------------------------------------

static uint32_t commands_max(const struct tacit_channel_limits *limits)
{
    uint32_t by_reply = limits->reply_bytes / (EACH_BYTES + TACIT_KV_SMALL_REPLY_MAX) + 1;
    return by_reply < TACIT_KV_BATCH_COMMANDS_MAX ? by_reply : TACIT_KV_BATCH_COMMANDS_MAX;
}

static bool lane_init(struct tacit_backend_lane *lane, const struct tacit_channel_limits *limits)
{
    uint32_t count = limits->pipeline + 1;
    *lane = (struct tacit_backend_lane){.again = NONE, .open = NONE};
    lane->batches = calloc(count, sizeof *lane->batches);
    lane->free = calloc(count, sizeof *lane->free);
    if (lane->batches == NULL || lane->free == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct batch *batch = &lane->batches[i];
        // The largest request, which goes alone, has room as well.
        batch->bytes = malloc((size_t)limits->request_bytes + ALONE_AT);
        batch->tokens = calloc(commands_max(limits), sizeof *batch->tokens);
        if (batch->bytes == NULL || batch->tokens == NULL) {
            return false;
        }
        lane->free[lane->free_count++] = (uint16_t)i;
    }
    return true;
}

static void lane_free(struct tacit_backend_lane *lane, const struct tacit_channel_limits *limits)
{
    if (lane->batches != NULL) {
        for (uint32_t i = 0; i < limits->pipeline + 1; i++) {
            free(lane->batches[i].bytes);
            free(lane->batches[i].tokens);
        }
    }
    free(lane->batches);
    free(lane->free);
}

bool tacit_cluster_backend_open(struct tacit_cluster_backend *backend,
                                struct tacit_channel *channel, uint32_t connections, uint32_t lanes)
{
    *backend = (struct tacit_cluster_backend){.channel = channel, .connections = connections};
    tacit_channel_limits(channel, &backend->limits);
    lanes = lanes < backend->limits.sessions ? lanes : backend->limits.sessions;
    backend->places = calloc(connections, sizeof *backend->places);
    backend->lanes = calloc(lanes, sizeof *backend->lanes);
    bool done = backend->places != NULL && backend->lanes != NULL;
    while (done && backend->lane_count < lanes) {
        done = lane_init(&backend->lanes[backend->lane_count++], &backend->limits);
    }
    if (!done) {
        tacit_cluster_backend_close(backend);
    }
    return done;
}

void tacit_cluster_backend_close(struct tacit_cluster_backend *backend)
{
    for (uint32_t i = 0; backend->lanes != NULL && i < backend->lane_count; i++) {
        lane_free(&backend->lanes[i], &backend->limits);
    }
    free(backend->lanes);
    free(backend->places);
    backend->lanes = NULL;
    backend->places = NULL;
    backend->lane_count = 0;
}

// ---- batches --------------------------------------------------------------------------

static void batch_clear(struct batch *batch)
{
    batch->used = tacit_kv_batch_begin(batch->bytes);
    batch->count = batch->sent = 0;
    batch->reply_bytes = REPLY_HEADER;
    batch->reads = true;
    batch->may_be_cut = batch->alone = batch->is_last = false;
}

// What the reply to a command takes in a batch's: certain, but for GET and MGET, which are reckoned
// with by what GET has found lately.
static uint64_t reply_bytes_of(const struct tacit_cluster_backend *backend, const uint8_t *request,
                               bool *may_be_cut)
{
    uint64_t arguments = (uint64_t)(request[2] | request[3] << 8);
    uint64_t bytes = 0;
    *may_be_cut = request[0] == TACIT_KV_GET || request[0] == TACIT_KV_MGET;
    if (request[0] == TACIT_KV_GET) {
        bytes = 1 + (uint64_t)backend->value_bytes;
    } else if (request[0] == TACIT_KV_MGET) {
        bytes = REPLY_HEADER + arguments * (EACH_BYTES + (uint64_t)backend->value_bytes);
    }
    return EACH_BYTES + (bytes > TACIT_KV_SMALL_REPLY_MAX ? bytes : TACIT_KV_SMALL_REPLY_MAX);
}

// False: it is full.
static bool batch_add(const struct tacit_cluster_backend *backend, struct batch *batch,
                      const uint8_t *request, size_t request_bytes, uint64_t token)
{
    bool may_be_cut;
    uint64_t reply_bytes = batch->reply_bytes + reply_bytes_of(backend, request, &may_be_cut);
    size_t max = backend->limits.request_bytes;
    if (batch->count == 0) {
        max += ALONE_AT; // goes without its batch if nothing joins it
    } else if (reply_bytes > backend->limits.reply_bytes ||
               batch->count == commands_max(&backend->limits)) {
        return false;
    }
    size_t used = tacit_kv_batch_add(batch->bytes, max, batch->used, request, request_bytes);
    if (used == 0) {
        return false;
    }
    batch->used = used;
    batch->tokens[batch->count++] = token;
    batch->reply_bytes = reply_bytes;
    batch->reads = batch->reads && tacit_kv_command_reads(request[0]);
    batch->may_be_cut = batch->may_be_cut || may_be_cut;
    return true;
}

// The command that begins at `at`, behind its length.
static struct tacit_kv_span command_at(const struct batch *batch, size_t at)
{
    struct tacit_kv_request walk = {.at = batch->bytes + at};
    return tacit_kv_request_next(&walk);
}

// Takes commands out, `count` of them from the `first` one on.
static void batch_take(struct batch *batch, uint32_t first, uint32_t count)
{
    size_t from = TACIT_KV_REQUEST_HEADER;
    for (uint32_t i = 0; i < first; i++) {
        from += EACH_BYTES + command_at(batch, from).size;
    }
    size_t to = from;
    for (uint32_t i = 0; i < count; i++) {
        to += EACH_BYTES + command_at(batch, to).size;
    }
    memmove(batch->bytes + from, batch->bytes + to, batch->used - to);
    memmove(batch->tokens + first, batch->tokens + first + count,
            (batch->count - first - count) * sizeof *batch->tokens);
    batch->used -= to - from;
    batch->count -= count;
    batch->bytes[2] = (uint8_t)batch->count;
    batch->bytes[3] = (uint8_t)(batch->count >> 8);
    // What the others need together is less than before: that is good enough for what is left.
}

// ---- lanes ----------------------------------------------------------------------------

static void open_session(struct tacit_cluster_backend *backend, struct tacit_backend_lane *lane)
{
    uint64_t token = TOKEN_SESSION | (uint64_t)(lane - backend->lanes) << TOKEN_LANE_SHIFT;
    if (tacit_channel_session_open(backend->channel, token, &lane->session) == TACIT_OK) {
        lane->state = LANE_OPENING;
    }
}

static void put_back(struct tacit_backend_lane *lane, uint16_t which)
{
    lane->free[lane->free_count++] = which;
}

// Sends a batch if it can go now: a single command as itself.
static bool send_batch(struct tacit_cluster_backend *backend, struct tacit_backend_lane *lane,
                       uint16_t which)
{
    struct batch *batch = &lane->batches[which];
    if (lane->state != LANE_OPEN || lane->last_is_out ||
        lane->under_way == backend->limits.pipeline) {
        return false;
    }
    uint32_t count = batch->alone ? 1 : batch->count;
    const uint8_t *bytes = batch->bytes;
    size_t size = batch->used;
    bool reads = batch->reads;
    if (count == 1) {
        struct tacit_kv_span only = command_at(batch, TACIT_KV_REQUEST_HEADER);
        bytes = only.bytes;
        size = only.size;
        reads = tacit_kv_request_reads(bytes, size);
    }
    uint64_t token = (uint64_t)(lane - backend->lanes) << TOKEN_LANE_SHIFT | which;
    // ECLOSED: the end of the session is known there, and its event on the way; then it goes in the
    // next session.
    if ((reads ? tacit_channel_read : tacit_channel_submit)(backend->channel, lane->session, bytes,
                                                            size, token) != TACIT_OK) {
        return false;
    }
    batch->sent = count;
    lane->under_way++;
    // What is left over, or may be, goes before anything else.
    batch->is_last = count < batch->count || (count > 1 && batch->may_be_cut);
    lane->last_is_out = batch->is_last;
    backend->commands += count;
    backend->batches++;
    return true;
}

static void send_waiting(struct tacit_cluster_backend *backend, struct tacit_backend_lane *lane)
{
    if (lane->again != NONE) {
        if (send_batch(backend, lane, lane->again)) {
            lane->again = NONE;
        }
    } else if (lane->open != NONE && send_batch(backend, lane, lane->open)) {
        lane->open = NONE;
    }
}

// Nobody uses it and nothing of it is under way: the next connection gets a session of its own, at
// whose opening it is known whether the group answers.
static void close_unused(struct tacit_cluster_backend *backend, struct tacit_backend_lane *lane)
{
    if (lane->state == LANE_OPEN && lane->users == 0 && lane->again == NONE && lane->open == NONE &&
        lane->under_way == 0) {
        (void)tacit_channel_session_close(backend->channel, lane->session);
        lane->state = LANE_CLOSED;
    }
}

void tacit_cluster_backend_flush(struct tacit_cluster_backend *backend)
{
    for (uint32_t i = 0; i < backend->lane_count; i++) {
        struct tacit_backend_lane *lane = &backend->lanes[i];
        bool has_work = lane->again != NONE || lane->open != NONE;
        if (lane->state == LANE_CLOSED && has_work) {
            open_session(backend, lane); // of connections that may be gone
        } else if (lane->again != NONE || (lane->open != NONE && lane->under_way == 0)) {
            send_waiting(backend, lane);
        } else {
            close_unused(backend, lane);
        }
    }
}

// ---- the front's calls ----------------------------------------------------------------

static struct tacit_backend_lane *least_used(struct tacit_cluster_backend *backend)
{
    struct tacit_backend_lane *best = &backend->lanes[0];
    for (uint32_t i = 1; i < backend->lane_count; i++) {
        best = backend->lanes[i].users < best->users ? &backend->lanes[i] : best;
    }
    return best;
}

static enum tacit_status session_open(void *context, uint32_t connection, uint64_t token)
{
    struct tacit_cluster_backend *backend = context;
    struct tacit_backend_place *place = &backend->places[connection];
    if (place->lane == NULL) {
        place->lane = least_used(backend);
        place->lane->users++;
    }
    place->token = token;
    if (place->lane->state == LANE_CLOSED) {
        open_session(backend, place->lane);
    }
    place->waits = place->lane->state == LANE_OPENING;
    if (place->lane->state == LANE_OPEN) {
        tacit_front_opened(backend->front, token);
    }
    return place->lane->state == LANE_CLOSED ? TACIT_EBUSY : TACIT_OK;
}

static void session_close(void *context, uint32_t connection)
{
    struct tacit_cluster_backend *backend = context;
    struct tacit_backend_place *place = &backend->places[connection];
    if (place->lane != NULL) {
        place->lane->users--;
        close_unused(backend, place->lane); // before another connection comes in the same turn
    }
    *place = (struct tacit_backend_place){0};
}

static enum tacit_status submit(void *context, uint32_t connection, const uint8_t *request,
                                size_t request_bytes, uint64_t token)
{
    struct tacit_cluster_backend *backend = context;
    struct tacit_backend_lane *lane = backend->places[connection].lane;
    if (request_bytes > backend->limits.request_bytes) {
        return TACIT_ETOOBIG;
    }
    if (lane->silent && lane->under_way > 0) {
        return TACIT_EBUSY; // it would only grow old there
    }
    if (lane->open != NONE) {
        if (batch_add(backend, &lane->batches[lane->open], request, request_bytes, token)) {
            return TACIT_OK;
        }
        send_waiting(backend, lane);
        if (lane->open != NONE) {
            return TACIT_EBUSY;
        }
    }
    // One is free: no more than `pipeline` are under way or wait to be sent again.
    lane->open = lane->free[--lane->free_count];
    batch_clear(&lane->batches[lane->open]);
    (void)batch_add(backend, &lane->batches[lane->open], request, request_bytes, token);
    return TACIT_OK;
}

static bool take_from(struct tacit_backend_lane *lane, uint16_t *which, uint64_t token)
{
    if (*which == NONE) {
        return false;
    }
    struct batch *batch = &lane->batches[*which];
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->tokens[i] == token) {
            batch_take(batch, i, 1);
            if (batch->count == 0) {
                put_back(lane, *which);
                *which = NONE;
            }
            return true;
        }
    }
    return false;
}

static bool withdraw(void *context, uint32_t connection, uint64_t token)
{
    struct tacit_cluster_backend *backend = context;
    struct tacit_backend_lane *lane = backend->places[connection].lane;
    if (lane == NULL) {
        return false;
    }
    lane->silent = true;
    return take_from(lane, &lane->open, token) || take_from(lane, &lane->again, token);
}

static size_t info(void *context, char *out, size_t max)
{
    const struct tacit_cluster_backend *backend = context;
    struct tacit_channel_status status;
    tacit_channel_status(backend->channel, &status);
    int leader = status.leader == TACIT_NODE_NONE ? -1 : status.leader;
    int size = snprintf(out, max,
                        "# Tacit\r\nbelieved_leader:%d\r\nreplicas_connected:%d\r\n"
                        "outstanding:%u\r\nlanes:%u\r\ncommands_submitted:%llu\r\n"
                        "batches_submitted:%llu\r\nmessages_sent:%llu\r\nmessages_resent:%llu\r\n"
                        "time_outs:%llu\r\nfail_overs:%llu\r\nhints:%llu\r\n",
                        leader, __builtin_popcount(status.up), status.outstanding,
                        backend->lane_count, (unsigned long long)backend->commands,
                        (unsigned long long)backend->batches, (unsigned long long)status.sent,
                        (unsigned long long)status.resent, (unsigned long long)status.time_outs,
                        (unsigned long long)status.fail_overs, (unsigned long long)status.hints);
    return size > 0 && (size_t)size < max ? (size_t)size : 0;
}

struct tacit_front_backend tacit_cluster_backend_ops(struct tacit_cluster_backend *backend)
{
    return (struct tacit_front_backend){.context = backend,
                                        .session_open = session_open,
                                        .session_close = session_close,
                                        .submit = submit,
                                        .withdraw = withdraw,
                                        .info = info};
}

// ---- the channel's events -------------------------------------------------------------

// Gives the replies of a batch to the front. Returns how many commands were executed or failed.
static uint32_t hand_out(struct tacit_cluster_backend *backend, const struct batch *batch,
                         const struct tacit_channel_event *event)
{
    struct tacit_kv_reply replies = {0};
    // Of one command its own reply; of a batch the replies, or what became of all of it.
    struct tacit_kv_span reply = {.bytes = event->body, .size = event->body_bytes};
    bool is_batch = false;
    if (event->status == TACIT_OK && batch->sent > 1) {
        bool is_good =
            tacit_kv_reply_decode(&replies, event->body, event->body_bytes) == TACIT_VERDICT_OK;
        is_batch =
            is_good && replies.kind == TACIT_KV_REPLY_ARRAY && replies.elements <= batch->sent;
        if (!is_batch && !(is_good && replies.kind == TACIT_KV_REPLY_ERROR)) {
            reply = (struct tacit_kv_span){.bytes = NULL}; // the front says so
        }
    }
    uint32_t count = is_batch ? replies.elements : batch->sent;
    for (uint32_t i = 0; i < count; i++) {
        if (is_batch) {
            reply = tacit_kv_reply_next(&replies);
        }
        if (reply.size > 0 && reply.bytes[0] == TACIT_KV_REPLY_BULK) {
            uint32_t less = backend->value_bytes - backend->value_bytes / 64;
            backend->value_bytes = reply.size - 1 > less ? reply.size - 1 : less;
        }
        tacit_front_result(backend->front, batch->tokens[i], event->status, reply.bytes,
                           reply.size);
    }
    return count;
}

static void on_result(struct tacit_cluster_backend *backend, struct tacit_backend_lane *lane,
                      const struct tacit_channel_event *event)
{
    uint16_t which = (uint16_t)event->token;
    struct batch *batch = &lane->batches[which];
    lane->under_way--;
    lane->silent = false;
    lane->last_is_out = lane->last_is_out && !batch->is_last;
    uint32_t done = hand_out(backend, batch, event);
    if (done == batch->count) {
        put_back(lane, which);
    } else {
        batch_take(batch, 0, done);
        batch->alone = done == 0;
        lane->again = which;
    }
}

static void on_session(struct tacit_cluster_backend *backend, struct tacit_backend_lane *lane,
                       const struct tacit_channel_event *event)
{
    if (lane->state == LANE_CLOSED || lane->session != event->session) {
        return; // of a session that the lane has left
    }
    bool is_open = event->kind == TACIT_CHANNEL_OPENED;
    lane->state = is_open ? LANE_OPEN : LANE_CLOSED;
    lane->silent = false;
    for (uint32_t i = 0; i < backend->connections; i++) {
        struct tacit_backend_place *place = &backend->places[i];
        if (place->lane == lane && is_open && place->waits) {
            place->waits = false;
            tacit_front_opened(backend->front, place->token);
        } else if (place->lane == lane && !is_open) {
            place->waits = false;
            tacit_front_closed(backend->front, place->token);
        }
    }
}

uint32_t tacit_cluster_backend_poll(struct tacit_cluster_backend *backend, uint32_t max)
{
    uint32_t count = 0;
    struct tacit_channel_event event;
    while (count < max && tacit_channel_poll(backend->channel, &event)) {
        count++;
        struct tacit_backend_lane *lane =
            &backend->lanes[(event.token & ~TOKEN_SESSION) >> TOKEN_LANE_SHIFT];
        if (event.kind == TACIT_CHANNEL_RESULT) {
            on_result(backend, lane, &event);
        } else {
            on_session(backend, lane, &event);
        }
    }
    return count;
}
