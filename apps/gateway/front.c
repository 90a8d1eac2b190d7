// SPDX-License-Identifier: Apache-2.0
//
// Connections of the gateway: see front.h. Input is kept in one buffer a connection that holds one
// command and a read's worth more; each command takes a slot in a queue, in which its reply waits
// until the replies before it are out.
#include "front_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- memory ---------------------------------------------------------------------------

// With base NULL it only measures.
struct bump {
    uint8_t *base;
    size_t used;
};

static void *take(struct bump *bump, size_t bytes)
{
    void *from = bump->base == NULL ? NULL : bump->base + bump->used;
    bump->used += (bytes + 15) & ~(size_t)15;
    return from;
}

static void lay_out(struct tacit_front *front, struct bump *at)
{
    const struct tacit_front_config *config = &front->config;
    struct connection *connections = take(at, config->connections * sizeof *front->connections);
    uint8_t *request = take(at, config->request_bytes);
    uint32_t *list = take(at, config->connections * sizeof *list);
    for (uint32_t i = 0; i < config->connections; i++) {
        struct connection part = {0};
        part.slots = take(at, config->pipeline * sizeof *part.slots);
        part.input = take(at, front->input_max);
        part.output = take(at, front->output_max);
        for (uint32_t slot = 0; slot < config->pipeline; slot++) {
            uint8_t *reply = take(at, front->reply_max);
            if (at->base != NULL) {
                part.slots[slot] = (struct slot){.reply = reply};
            }
        }
        if (at->base != NULL) {
            connections[i] = part;
        }
    }
    if (at->base != NULL) {
        front->connections = connections;
        front->request = request;
        front->list = list;
    }
}

struct tacit_front *tacit_front_open(const struct tacit_front_config *config,
                                     const struct tacit_front_backend *backend)
{
    struct tacit_front *front = calloc(1, sizeof *front);
    if (front == NULL) {
        return NULL;
    }
    front->config = *config;
    front->backend = *backend;
    front->input_max = tacit_resp_frame_max(config->request_bytes) + TACIT_FRONT_READ_BYTES;
    // ECHO and PING give back what came.
    uint32_t largest =
        config->reply_bytes > config->request_bytes ? config->reply_bytes : config->request_bytes;
    largest = largest > TACIT_FRONT_INFO_BYTES ? largest : TACIT_FRONT_INFO_BYTES;
    front->reply_max = tacit_resp_reply_max(largest) + TACIT_FRONT_REPLY_SPARE;
    front->output_max = front->reply_max + TACIT_FRONT_READ_BYTES;
    front->parser = tacit_resp_parser_open(config->request_bytes);
    struct bump measure = {.base = NULL};
    lay_out(front, &measure);
    front->memory = calloc(1, measure.used);
    if (front->parser == NULL || front->memory == NULL) {
        tacit_front_close(front);
        return NULL;
    }
    struct bump bump = {.base = front->memory};
    lay_out(front, &bump);
    return front;
}

void tacit_front_close(struct tacit_front *front)
{
    if (front != NULL) {
        tacit_resp_parser_close(front->parser);
        free(front->memory);
        free(front);
    }
}

const struct tacit_front_counters *tacit_front_counters(const struct tacit_front *front)
{
    return &front->counters;
}
// ---- input ----------------------------------------------------------------------------

static void drop(struct connection *connection, size_t upto)
{
    connection->start = upto;
    if (connection->start == connection->end) {
        connection->start = connection->scanned = connection->end = 0;
    }
}

// Room for a whole command behind `start`.
static void compact(const struct tacit_front *front, struct connection *connection)
{
    if (connection->start > 0 && front->input_max - connection->end < TACIT_FRONT_READ_BYTES) {
        size_t kept = connection->end - connection->start;
        memmove(connection->input, connection->input + connection->start, kept);
        connection->scanned -= connection->start;
        connection->start = 0;
        connection->end = kept;
    }
}

static void answer_too_big(struct tacit_front *front, struct connection *connection)
{
    char text[128];
    snprintf(text, sizeof text,
             "-ERR request is too large: at most %u bytes with 4 more for each argument",
             front->config.request_bytes);
    front_answer(front, connection, text);
}

// One command of a connection, if there is a whole one and a slot for it. True: look again.
static bool step(struct tacit_front *front, struct connection *connection)
{
    if (connection->closing || connection->count == front->config.pipeline) {
        return false;
    }
    if (!connection->blocked) { // else the command at hand was scanned already
        size_t at = connection->scanned - connection->start;
        enum tacit_resp_scan result =
            tacit_resp_scan(&connection->scanner, connection->input + connection->start,
                            connection->end - connection->start, &at);
        connection->scanned = connection->start + at;
        switch (result) {
        case TACIT_RESP_MORE:
            drop(connection, connection->start + tacit_resp_droppable(&connection->scanner, at));
            return false;
        case TACIT_RESP_EMPTY:
            drop(connection, connection->scanned);
            return true;
        case TACIT_RESP_TOO_BIG:
            answer_too_big(front, connection);
            drop(connection, connection->scanned);
            return true;
        case TACIT_RESP_BROKEN:
            front_answer_protocol_error(front, connection);
            return false;
        case TACIT_RESP_COMMAND:
            break;
        }
    }
    connection->blocked = !front_execute(front, connection, connection->input + connection->start,
                                         connection->scanned - connection->start);
    if (connection->blocked) {
        front_list(front, connection);
        return false;
    }
    connection->blocked_ns = 0;
    drop(connection, connection->scanned);
    return true;
}

static void advance(struct tacit_front *front, uint32_t index)
{
    struct connection *connection = &front->connections[index];
    // Bounded by the bytes at hand: each step but the last takes a command out of the buffer.
    do {
        front_drain(front, connection);
    } while (step(front, connection));
    front_drain(front, connection);
}

uint32_t tacit_front_accept(struct tacit_front *front)
{
    for (uint32_t i = 0; i < front->config.connections; i++) {
        struct connection *connection = &front->connections[i];
        if (connection->used) {
            continue;
        }
        connection->used = true;
        connection->blocked = connection->closing = false;
        connection->ended = connection->changed = connection->silent = false;
        connection->blocked_ns = 0;
        connection->session = TACIT_FRONT_SESSION_WANTED;
        connection->turn++;
        connection->start = connection->scanned = connection->end = 0;
        connection->first = connection->count = 0;
        connection->output_start = connection->output_end = 0;
        tacit_resp_scanner_init(&connection->scanner, front->config.request_bytes);
        front->counters.accepted++;
        front_want_session(front, connection); // so that it is open when the first command comes
        return i;
    }
    front->counters.rejected++;
    return TACIT_FRONT_NONE;
}

const char *tacit_front_rejection(void)
{
    return "-ERR max number of clients reached\r\n";
}

uint8_t *tacit_front_input(struct tacit_front *front, uint32_t index, size_t *room)
{
    struct connection *connection = &front->connections[index];
    compact(front, connection);
    bool wait = connection->closing || connection->ended || connection->blocked ||
                connection->count == front->config.pipeline;
    *room = wait ? 0 : front->input_max - connection->end;
    *room = *room < TACIT_FRONT_READ_BYTES ? *room : TACIT_FRONT_READ_BYTES;
    return connection->input + connection->end;
}

void tacit_front_received(struct tacit_front *front, uint32_t index, size_t bytes)
{
    front->connections[index].end += bytes;
    advance(front, index);
}

const uint8_t *tacit_front_output(struct tacit_front *front, uint32_t index, size_t *size)
{
    const struct connection *connection = &front->connections[index];
    *size = connection->output_end - connection->output_start;
    return connection->output + connection->output_start;
}

void tacit_front_sent(struct tacit_front *front, uint32_t index, size_t bytes)
{
    struct connection *connection = &front->connections[index];
    connection->output_start += bytes;
    if (connection->output_start == connection->output_end) {
        connection->output_start = connection->output_end = 0;
    }
    advance(front, index);
}

void tacit_front_end_of_input(struct tacit_front *front, uint32_t index)
{
    front->connections[index].ended = true;
}

bool tacit_front_is_idle(const struct tacit_front *front, uint32_t index)
{
    const struct connection *connection = &front->connections[index];
    return connection->count == 0 && connection->output_start == connection->output_end;
}

bool tacit_front_is_over(const struct tacit_front *front, uint32_t index)
{
    const struct connection *connection = &front->connections[index];
    bool last = connection->closing || (connection->ended && !connection->blocked);
    return last && tacit_front_is_idle(front, index);
}

void tacit_front_release(struct tacit_front *front, uint32_t index)
{
    struct connection *connection = &front->connections[index];
    connection->used = false;
    connection->turn++;
    if (connection->session != TACIT_FRONT_SESSION_WANTED) {
        front->backend.session_close(front->backend.context, index);
    }
    connection->session = TACIT_FRONT_SESSION_WANTED;
}

uint32_t tacit_front_changed(struct tacit_front *front)
{
    if (!front->sweeps) {
        front->sweeps = true;
        front->sweep = front->list_count; // who is listed from now on is for the next time
    }
    while (front->sweep > 0) {
        uint32_t index = front->list[front->list_first];
        struct connection *connection = &front->connections[index];
        if (connection->used) {
            front_want_session(front, connection);
            if (connection->blocked || connection->changed) {
                advance(front, index);
            }
        }
        front->list_first = (front->list_first + 1) % front->config.connections;
        front->list_count--;
        front->sweep--;
        connection->listed = false;
        if (!connection->used) {
            continue;
        }
        if (connection->blocked || connection->session == TACIT_FRONT_SESSION_WANTED) {
            front_list(front, connection);
        }
        if (connection->changed) {
            connection->changed = false;
            return index;
        }
    }
    front->sweeps = false;
    return TACIT_FRONT_NONE;
}

// Whether what began to wait at *since_ns (0: about now) has waited for too long.
static bool is_late(const struct tacit_front *front, tacit_time_ns_t now_ns,
                    tacit_time_ns_t *since_ns)
{
    if (*since_ns == 0) {
        *since_ns = now_ns;
    }
    return now_ns - *since_ns >= front->config.timeout_ns;
}

static bool withdraw(const struct tacit_front *front, const struct connection *connection,
                     const struct slot *slot)
{
    const struct tacit_front_backend *backend = &front->backend;
    return backend->withdraw != NULL &&
           backend->withdraw(backend->context, (uint32_t)(connection - front->connections),
                             front_token(front, connection, slot->number));
}

static void expire(struct tacit_front *front, struct connection *connection, tacit_time_ns_t now_ns)
{
    for (uint32_t place = 0; place < connection->count; place++) {
        struct slot *slot = front_slot_at(front, connection, place);
        if (!slot->ready && is_late(front, now_ns, &slot->since_ns)) {
            bool is_certain = withdraw(front, connection, slot);
            int size =
                snprintf((char *)slot->reply, front->reply_max, "%s\r\n",
                         is_certain ? TACIT_FRONT_DOWN
                                    : "-ERR the replicas did not answer in time; the command "
                                      "may have been executed, or still be");
            slot->bytes = (uint32_t)size;
            slot->ready = true;
            connection->silent = connection->changed = true;
            front->counters.timed_out++;
        }
    }
    if (connection->blocked && connection->count < front->config.pipeline &&
        is_late(front, now_ns, &connection->blocked_ns)) {
        connection->silent = connection->changed = true; // see do_submit() in front_commands.c
    }
    if (connection->changed) {
        front_list(front, connection);
    }
}

void tacit_front_tick(struct tacit_front *front, tacit_time_ns_t now_ns)
{
    for (uint32_t i = 0; i < front->config.connections && front->config.timeout_ns != 0; i++) {
        struct connection *connection = &front->connections[i];
        if (connection->used) {
            expire(front, connection, now_ns);
        }
    }
}

// ---- backend's side -------------------------------------------------------------------

static struct connection *connection_of(struct tacit_front *front, uint64_t token)
{
    uint32_t index = (uint32_t)(token >> TACIT_FRONT_INDEX_SHIFT & 0xffff);
    if (index >= front->config.connections) {
        return NULL;
    }
    struct connection *connection = &front->connections[index];
    bool is_it = connection->used &&
                 (connection->turn & TACIT_FRONT_NUMBER_MASK) == token >> TACIT_FRONT_TURN_SHIFT;
    return is_it ? connection : NULL;
}

void tacit_front_opened(struct tacit_front *front, uint64_t token)
{
    struct connection *connection = connection_of(front, token);
    if (connection != NULL) {
        connection->silent = false;
        connection->session =
            TACIT_FRONT_SESSION_OPEN; // what waits goes on at tacit_front_changed()
        front_list(front, connection);
    }
}

void tacit_front_closed(struct tacit_front *front, uint64_t token)
{
    struct connection *connection = connection_of(front, token);
    if (connection != NULL) {
        connection->session = TACIT_FRONT_SESSION_WANTED;
        front_list(front, connection);
    }
}

void tacit_front_result(struct tacit_front *front, uint64_t token, enum tacit_status status,
                        const uint8_t *reply, size_t reply_bytes)
{
    struct connection *connection = connection_of(front, token);
    if (connection == NULL) {
        return;
    }
    connection->silent = false;
    if (connection->count == 0) {
        return; // it timed out
    }
    uint32_t first = front_slot_at(front, connection, 0)->number;
    uint32_t distance = ((uint32_t)token - first) & TACIT_FRONT_NUMBER_MASK;
    struct slot *slot = front_slot_at(front, connection, distance);
    if (distance >= connection->count || slot->ready) {
        return;
    }
    bool is_reply = status == TACIT_OK && reply_bytes <= front->config.reply_bytes;
    uint8_t *room = is_reply && distance == 0
                        ? front_room(front, connection, tacit_resp_reply_max((uint32_t)reply_bytes))
                        : NULL;
    if (room != NULL) { // nothing is in front of it
        front_sent_first(front, connection, tacit_resp_reply(room, reply, reply_bytes));
        front_drain(front, connection);
        return;
    }
    if (is_reply) {
        slot->bytes = (uint32_t)tacit_resp_reply(slot->reply, reply, reply_bytes);
    } else {
        const char *what = status == TACIT_ECLOSED
                               ? "the session was closed; the command may have been executed"
                           : status == TACIT_ENOENT ? "executed, but the reply was lost"
                                                    : "not executed";
        slot->bytes = (uint32_t)snprintf((char *)slot->reply, front->reply_max, "-ERR %s (%s)\r\n",
                                         what, tacit_status_name(status));
    }
    slot->ready = true;
    front_drain(front, connection);
}
