// SPDX-License-Identifier: Apache-2.0
//
// Connections of the gateway: see front.h. Input is kept in one buffer a connection that holds one
// command and a read's worth more; each command takes a slot in a queue, in which its reply waits
// until the replies before it are out.
#include "front.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resp.h"

#define READ_BYTES 16384u // read ahead of the command at hand
#define INFO_BYTES 2048u
#define REPLY_SPARE 64u

enum session {
    TACIT_FRONT_SESSION_WANTED = 0,
    TACIT_FRONT_SESSION_OPENING,
    TACIT_FRONT_SESSION_OPEN
};

// A command that waits: for the backend, or for the replies before it.
struct slot {
    bool ready;
    uint32_t number;          // of its command in the connection, NUMBER_MASK
    tacit_time_ns_t since_ns; // the first tick that saw it wait; 0: none yet
    uint32_t bytes;           // of its reply, in RESP
    uint8_t *reply;           // room for any reply
};

// A token names a command for good: the turn of the connection's place in the table, the place, and
// the command's number. A late result of an earlier one is told by it.
#define TURN_SHIFT 40
#define INDEX_SHIFT 24
#define NUMBER_MASK 0xffffffu

struct connection {
    bool used;
    bool blocked; // the command at hand waits for a session or for the backend
    bool closing; // nothing more is read; over when everything is sent
    bool ended;   // nothing more will come
    bool changed; // for tacit_front_changed()
    bool silent;  // the backend let a command time out, and has said nothing since
    uint8_t session;
    tacit_time_ns_t blocked_ns; // the first tick that saw the command at hand blocked; 0: none yet
    uint32_t turn;              // of this table entry: tells late results of earlier connections
    uint32_t next_number;       // of the next command
    uint8_t *input;
    size_t start, scanned, end; // of the command at hand; looked at up to; filled up to
    struct tacit_resp_scanner scanner;
    struct slot *slots;
    uint32_t first, count; // of the queue of slots
    uint8_t *output;
    size_t output_start, output_end;
};

struct tacit_front {
    struct tacit_front_config config;
    struct tacit_front_backend backend;
    struct tacit_front_counters counters;
    struct connection *connections;
    struct tacit_resp_parser *parser;
    uint8_t *request; // the command at hand, encoded
    size_t input_max;
    size_t reply_max;
    size_t output_max;
    uint32_t next_changed;
    void *memory;
};

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
    front->input_max = tacit_resp_frame_max(config->request_bytes) + READ_BYTES;
    // ECHO and PING give back what came.
    uint32_t largest =
        config->reply_bytes > config->request_bytes ? config->reply_bytes : config->request_bytes;
    largest = largest > INFO_BYTES ? largest : INFO_BYTES;
    front->reply_max = tacit_resp_reply_max(largest) + REPLY_SPARE;
    front->output_max = front->reply_max + READ_BYTES;
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

// ---- replies --------------------------------------------------------------------------

static struct slot *slot_at(const struct tacit_front *front, const struct connection *connection,
                            uint32_t place)
{
    return &connection->slots[(connection->first + place) % front->config.pipeline];
}

// Moves replies that nothing is in front of to the output, as long as they fit.
static void drain(struct tacit_front *front, struct connection *connection)
{
    while (connection->count > 0) {
        const struct slot *slot = slot_at(front, connection, 0);
        if (!slot->ready) {
            return;
        }
        if (connection->output_end + slot->bytes > front->output_max) {
            size_t waiting = connection->output_end - connection->output_start;
            memmove(connection->output, connection->output + connection->output_start, waiting);
            connection->output_start = 0;
            connection->output_end = waiting;
            if (waiting + slot->bytes > front->output_max) {
                return;
            }
        }
        memcpy(connection->output + connection->output_end, slot->reply, slot->bytes);
        connection->output_end += slot->bytes;
        connection->first = (connection->first + 1) % front->config.pipeline;
        connection->count--;
        connection->changed = true;
        front->counters.commands++;
    }
}

static struct slot *push(struct tacit_front *front, struct connection *connection)
{
    struct slot *slot = slot_at(front, connection, connection->count++);
    slot->ready = false;
    slot->since_ns = 0;
    slot->number = connection->next_number++ & NUMBER_MASK;
    return slot;
}

static void answer(struct tacit_front *front, struct connection *connection, const char *text)
{
    struct slot *slot = push(front, connection);
    int size = snprintf((char *)slot->reply, front->reply_max, "%s\r\n", text);
    slot->bytes = (uint32_t)size;
    slot->ready = true;
}

static void answer_bulk(struct tacit_front *front, struct connection *connection,
                        struct tacit_kv_span span)
{
    struct slot *slot = push(front, connection);
    int size = snprintf((char *)slot->reply, front->reply_max, "$%u\r\n", span.size);
    memcpy(slot->reply + size, span.bytes, span.size);
    memcpy(slot->reply + (size_t)size + span.size, "\r\n", 2);
    slot->bytes = (uint32_t)size + span.size + 2;
    slot->ready = true;
}

static void answer_protocol_error(struct tacit_front *front, struct connection *connection)
{
    char text[128];
    int used = snprintf(text, sizeof text, "-ERR Protocol error: %s", connection->scanner.error);
    if (connection->scanner.got != 0) {
        snprintf(text + used, sizeof text - (size_t)used, ", got '%c'", connection->scanner.got);
    }
    answer(front, connection, text);
    connection->closing = true;
    front->counters.protocol_errors++;
}

// ---- commands -------------------------------------------------------------------------

static bool is_name(const struct tacit_resp_command *command, const char *name)
{
    size_t length = strlen(name);
    if (command->name_bytes != length) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        char letter = command->name[i];
        if (letter >= 'A' && letter <= 'Z') {
            letter = (char)(letter - 'A' + 'a');
        }
        if (letter != name[i]) {
            return false;
        }
    }
    return true;
}

static bool span_is(struct tacit_kv_span span, const char *word)
{
    struct tacit_resp_command as_name = {.name_bytes = span.size};
    if (span.size > TACIT_RESP_NAME_MAX) {
        return false;
    }
    memcpy(as_name.name, span.bytes, span.size);
    return is_name(&as_name, word);
}

static void answer_arity(struct tacit_front *front, struct connection *connection, const char *name)
{
    char text[128];
    snprintf(text, sizeof text, "-ERR wrong number of arguments for '%s' command", name);
    answer(front, connection, text);
}

// Text from a client inside an error line, at most `most` bytes of it and, as in Redis, up to its
// first zero byte; what would break the line becomes a space.
static size_t quote(char *out, size_t used, size_t most, struct tacit_kv_span span)
{
    out[used++] = '\'';
    for (uint32_t i = 0; i < span.size && i < most && span.bytes[i] != 0; i++) {
        bool breaks = span.bytes[i] == '\r' || span.bytes[i] == '\n';
        out[used++] = (char)(breaks ? ' ' : span.bytes[i]);
    }
    out[used++] = '\'';
    out[used] = '\0';
    return used;
}

#define QUOTED_MAX 128u // bytes of a name, and of all arguments, in an error line

static void answer_unknown(struct tacit_front *front, struct connection *connection,
                           const struct tacit_resp_command *command, struct tacit_kv_request walk)
{
    static const char between[] = ", with args beginning with: ";
    // The last argument may begin at QUOTED_MAX - 1; each costs three bytes more than it shows.
    char text[3 * QUOTED_MAX + 128] = "-ERR unknown command ";
    struct tacit_kv_span name = {.bytes = (const uint8_t *)command->name,
                                 .size = command->name_bytes < TACIT_RESP_NAME_MAX
                                             ? command->name_bytes
                                             : TACIT_RESP_NAME_MAX};
    size_t used = quote(text, strlen(text), QUOTED_MAX, name);
    memcpy(text + used, between, sizeof between);
    used += sizeof between - 1;
    size_t begin = used;
    for (uint32_t i = 0; i < command->arguments && used - begin < QUOTED_MAX; i++) {
        used = quote(text, used, QUOTED_MAX - (used - begin), tacit_kv_request_next(&walk));
        text[used++] = ' ';
        text[used] = '\0';
    }
    answer(front, connection, text);
}

// The name as it was asked, and the value.
static void answer_setting(struct tacit_front *front, struct connection *connection,
                           struct tacit_kv_span name, const char *value)
{
    char text[160];
    snprintf(text, sizeof text, "*2\r\n$%u\r\n%.*s\r\n$%zu\r\n%s", name.size, (int)name.size,
             (const char *)name.bytes, strlen(value), value);
    answer(front, connection, text);
}

static void do_config(struct tacit_front *front, struct connection *connection,
                      const struct tacit_resp_command *command, struct tacit_kv_request walk)
{
    if (command->arguments == 0) {
        answer_arity(front, connection, "config");
        return;
    }
    struct tacit_kv_span verb = tacit_kv_request_next(&walk);
    if (!span_is(verb, "get")) {
        char text[QUOTED_MAX + 64] = "-ERR unknown subcommand ";
        size_t used = quote(text, strlen(text), QUOTED_MAX, verb);
        snprintf(text + used, sizeof text - used, ". Try CONFIG HELP.");
        answer(front, connection, text);
        return;
    }
    if (command->arguments < 2) {
        answer_arity(front, connection, "config|get");
        return;
    }
    // Benchmarks ask how durable the server is. What is not known is answered as Redis does.
    struct tacit_kv_span name = tacit_kv_request_next(&walk);
    if (span_is(name, "save")) {
        answer_setting(front, connection, name, "");
    } else if (span_is(name, "appendonly")) {
        answer_setting(front, connection, name, "no");
    } else {
        answer(front, connection, "*0");
    }
}

static void do_info(struct tacit_front *front, struct connection *connection)
{
    char text[INFO_BYTES];
    size_t used = (size_t)snprintf(
        text, sizeof text,
        "# Server\r\nserver_name:tacit\r\nredis_mode:standalone\r\n"
        "# Clients\r\nmaxclients:%u\r\n"
        "# Stats\r\ntotal_connections_received:%llu\r\n"
        "rejected_connections:%llu\r\n"
        "total_commands_processed:%llu\r\n",
        front->config.connections, (unsigned long long)front->counters.accepted,
        (unsigned long long)front->counters.rejected, (unsigned long long)front->counters.commands);
    used += front->backend.info(front->backend.context, text + used, sizeof text - used);
    answer_bulk(front, connection,
                (struct tacit_kv_span){.bytes = (const uint8_t *)text, .size = (uint32_t)used});
}

// Commands that need no backend. False: it is none of them.
static bool do_local(struct tacit_front *front, struct connection *connection,
                     const struct tacit_resp_command *command, struct tacit_kv_request walk)
{
    if (is_name(command, "ping")) {
        if (command->arguments == 0) {
            answer(front, connection, "+PONG");
        } else if (command->arguments == 1) {
            answer_bulk(front, connection, tacit_kv_request_next(&walk));
        } else {
            answer_arity(front, connection, "ping");
        }
    } else if (is_name(command, "echo")) {
        if (command->arguments == 1) {
            answer_bulk(front, connection, tacit_kv_request_next(&walk));
        } else {
            answer_arity(front, connection, "echo");
        }
    } else if (is_name(command, "quit")) {
        answer(front, connection, "+OK");
        connection->closing = true;
    } else if (is_name(command, "command")) {
        answer(front, connection, "*0");
    } else if (is_name(command, "config")) {
        do_config(front, connection, command, walk);
    } else if (is_name(command, "info")) {
        do_info(front, connection);
    } else {
        return false;
    }
    return true;
}

static uint64_t token_of(const struct tacit_front *front, const struct connection *connection,
                         uint32_t number)
{
    uint64_t index = (uint64_t)(connection - front->connections);
    return (uint64_t)(connection->turn & NUMBER_MASK) << TURN_SHIFT | index << INDEX_SHIFT | number;
}

static void want_session(struct tacit_front *front, struct connection *connection)
{
    if (connection->session == TACIT_FRONT_SESSION_WANTED) {
        uint32_t index = (uint32_t)(connection - front->connections);
        connection->session = TACIT_FRONT_SESSION_OPENING;
        if (front->backend.session_open(front->backend.context, index,
                                        token_of(front, connection, 0)) != TACIT_OK) {
            connection->session = TACIT_FRONT_SESSION_WANTED;
        }
    }
}

static void answer_down(struct tacit_front *front, struct connection *connection)
{
    answer(front, connection, "-CLUSTERDOWN the replicas cannot be reached; not executed");
    front->counters.timed_out++;
}

// Gives a command to the backend. False: not now.
static bool do_submit(struct tacit_front *front, struct connection *connection,
                      const struct tacit_resp_command *command)
{
    want_session(front, connection);
    if (connection->session == TACIT_FRONT_SESSION_OPEN) {
        struct slot *slot = push(front, connection); // the result may come from inside submit()
        uint64_t token = token_of(front, connection, slot->number);
        enum tacit_status status = front->backend.submit(
            front->backend.context, (uint32_t)(connection - front->connections), command->request,
            command->request_bytes, token);
        if (status != TACIT_EBUSY) {
            front->counters.submitted++;
            if (status != TACIT_OK && !slot->ready) {
                tacit_front_result(front, token, status, NULL, 0);
            }
            return true;
        }
        connection->count--;
    }
    if (connection->silent) { // who waited before this one waited long enough
        answer_down(front, connection);
        return true;
    }
    return false;
}

// Executes a whole command. False: it has to wait, nothing happened.
static bool execute(struct tacit_front *front, struct connection *connection, const uint8_t *bytes,
                    size_t size)
{
    struct tacit_resp_command command = {.request = front->request};
    if (!tacit_resp_parse(front->parser, bytes, size, &command)) {
        connection->scanner.error = command.error;
        answer_protocol_error(front, connection);
        return true;
    }
    if (command.is_empty) {
        return true; // a line without a word
    }
    struct tacit_kv_request walk = {.arguments = (uint16_t)command.arguments,
                                    .at = command.request + TACIT_KV_REQUEST_HEADER,
                                    .end = command.request + command.request_bytes};
    enum tacit_kv_command known = TACIT_KV_NONE;
    if (command.name_bytes <= TACIT_RESP_NAME_MAX) {
        known = tacit_kv_command_find(command.name, command.name_bytes);
    }
    if (known == TACIT_KV_NONE) {
        if (!do_local(front, connection, &command, walk)) {
            answer_unknown(front, connection, &command, walk);
        }
        return true;
    }
    if (known == TACIT_KV_SET && command.arguments > 2) {
        answer(front, connection, "-ERR syntax error"); // options of SET
        return true;
    }
    if (!tacit_kv_arity_is_right(known, command.arguments)) {
        answer_arity(front, connection, tacit_kv_command_name(known));
        return true;
    }
    command.request[0] = (uint8_t)known;
    return do_submit(front, connection, &command);
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
    if (connection->start > 0 && front->input_max - connection->end < READ_BYTES) {
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
    answer(front, connection, text);
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
            answer_protocol_error(front, connection);
            return false;
        case TACIT_RESP_COMMAND:
            break;
        }
    }
    connection->blocked = !execute(front, connection, connection->input + connection->start,
                                   connection->scanned - connection->start);
    if (connection->blocked) {
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
        drain(front, connection);
    } while (step(front, connection));
    drain(front, connection);
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
        want_session(front, connection); // so that it is open when the first command comes
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
    *room = *room < READ_BYTES ? *room : READ_BYTES;
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
    while (front->next_changed < front->config.connections) {
        uint32_t index = front->next_changed++;
        struct connection *connection = &front->connections[index];
        if (!connection->used) {
            continue;
        }
        want_session(front, connection);
        if (connection->blocked || connection->changed) {
            advance(front, index);
        }
        if (connection->changed) {
            connection->changed = false;
            return index;
        }
    }
    front->next_changed = 0;
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

static void expire(struct tacit_front *front, struct connection *connection, tacit_time_ns_t now_ns)
{
    for (uint32_t place = 0; place < connection->count; place++) {
        struct slot *slot = slot_at(front, connection, place);
        if (!slot->ready && is_late(front, now_ns, &slot->since_ns)) {
            int size = snprintf((char *)slot->reply, front->reply_max,
                                "-ERR the replicas did not answer in time; the command may have "
                                "been executed, or still be\r\n");
            slot->bytes = (uint32_t)size;
            slot->ready = true;
            connection->silent = connection->changed = true;
            front->counters.timed_out++;
        }
    }
    if (connection->blocked && connection->count < front->config.pipeline &&
        is_late(front, now_ns, &connection->blocked_ns)) {
        connection->silent = connection->changed = true; // see do_submit()
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
    uint32_t index = (uint32_t)(token >> INDEX_SHIFT & 0xffff);
    if (index >= front->config.connections) {
        return NULL;
    }
    struct connection *connection = &front->connections[index];
    bool is_it = connection->used && (connection->turn & NUMBER_MASK) == token >> TURN_SHIFT;
    return is_it ? connection : NULL;
}

void tacit_front_opened(struct tacit_front *front, uint64_t token)
{
    struct connection *connection = connection_of(front, token);
    if (connection != NULL) {
        connection->silent = false;
        connection->session =
            TACIT_FRONT_SESSION_OPEN; // what waits goes on at tacit_front_changed()
    }
}

void tacit_front_closed(struct tacit_front *front, uint64_t token)
{
    struct connection *connection = connection_of(front, token);
    if (connection != NULL) {
        connection->session = TACIT_FRONT_SESSION_WANTED;
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
    uint32_t first = slot_at(front, connection, 0)->number;
    uint32_t distance = ((uint32_t)token - first) & NUMBER_MASK;
    struct slot *slot = slot_at(front, connection, distance);
    if (distance >= connection->count || slot->ready) {
        return;
    }
    if (status == TACIT_OK && reply_bytes <= front->config.reply_bytes) {
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
    drain(front, connection);
}
