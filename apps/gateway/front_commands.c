// SPDX-License-Identifier: Apache-2.0
//
// Replies of the gateway, and its commands: those that it answers itself, and those that it gives
// to the backend. See front_internal.h.
#include <stdio.h>
#include <string.h>

#include "front_internal.h"

// ---- replies --------------------------------------------------------------------------

struct slot *front_slot_at(const struct tacit_front *front, const struct connection *connection,
                           uint32_t place)
{
    return &connection->slots[(connection->first + place) % front->config.pipeline];
}

void front_list(struct tacit_front *front, struct connection *connection)
{
    if (!connection->listed) {
        uint32_t at = (front->list_first + front->list_count++) % front->config.connections;
        front->list[at] = (uint32_t)(connection - front->connections);
        connection->listed = true;
    }
}

uint8_t *front_room(struct tacit_front *front, struct connection *connection, size_t bytes)
{
    if (connection->output_end + bytes > front->output_max) {
        size_t waiting = connection->output_end - connection->output_start;
        memmove(connection->output, connection->output + connection->output_start, waiting);
        connection->output_start = 0;
        connection->output_end = waiting;
        if (waiting + bytes > front->output_max) {
            return NULL;
        }
    }
    return connection->output + connection->output_end;
}

void front_sent_first(struct tacit_front *front, struct connection *connection, size_t bytes)
{
    connection->output_end += bytes;
    connection->first = (connection->first + 1) % front->config.pipeline;
    connection->count--;
    connection->changed = true;
    front_list(front, connection);
    front->counters.commands++;
}

// Moves replies that nothing is in front of to the output, as long as they fit.
void front_drain(struct tacit_front *front, struct connection *connection)
{
    while (connection->count > 0) {
        const struct slot *slot = front_slot_at(front, connection, 0);
        uint8_t *to = slot->ready ? front_room(front, connection, slot->bytes) : NULL;
        if (to == NULL) {
            return;
        }
        memcpy(to, slot->reply, slot->bytes);
        front_sent_first(front, connection, slot->bytes);
    }
}

static struct slot *push(struct tacit_front *front, struct connection *connection)
{
    struct slot *slot = front_slot_at(front, connection, connection->count++);
    slot->ready = false;
    slot->since_ns = 0;
    slot->number = connection->next_number++ & TACIT_FRONT_NUMBER_MASK;
    return slot;
}

void front_answer(struct tacit_front *front, struct connection *connection, const char *text)
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

void front_answer_protocol_error(struct tacit_front *front, struct connection *connection)
{
    char text[128];
    int used = snprintf(text, sizeof text, "-ERR Protocol error: %s", connection->scanner.error);
    if (connection->scanner.got != 0) {
        snprintf(text + used, sizeof text - (size_t)used, ", got '%c'", connection->scanner.got);
    }
    front_answer(front, connection, text);
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
    front_answer(front, connection, text);
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
    front_answer(front, connection, text);
}

// The name as it was asked, and the value.
static void answer_setting(struct tacit_front *front, struct connection *connection,
                           struct tacit_kv_span name, const char *value)
{
    char text[160];
    snprintf(text, sizeof text, "*2\r\n$%u\r\n%.*s\r\n$%zu\r\n%s", name.size, (int)name.size,
             (const char *)name.bytes, strlen(value), value);
    front_answer(front, connection, text);
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
        front_answer(front, connection, text);
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
        front_answer(front, connection, "*0");
    }
}

static void do_info(struct tacit_front *front, struct connection *connection)
{
    char text[TACIT_FRONT_INFO_BYTES];
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
            front_answer(front, connection, "+PONG");
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
        front_answer(front, connection, "+OK");
        connection->closing = true;
    } else if (is_name(command, "command")) {
        front_answer(front, connection, "*0");
    } else if (is_name(command, "config")) {
        do_config(front, connection, command, walk);
    } else if (is_name(command, "info")) {
        do_info(front, connection);
    } else {
        return false;
    }
    return true;
}

uint64_t front_token(const struct tacit_front *front, const struct connection *connection,
                     uint32_t number)
{
    uint64_t index = (uint64_t)(connection - front->connections);
    return (uint64_t)(connection->turn & TACIT_FRONT_NUMBER_MASK) << TACIT_FRONT_TURN_SHIFT |
           index << TACIT_FRONT_INDEX_SHIFT | number;
}

void front_want_session(struct tacit_front *front, struct connection *connection)
{
    if (connection->session == TACIT_FRONT_SESSION_WANTED) {
        uint32_t index = (uint32_t)(connection - front->connections);
        connection->session = TACIT_FRONT_SESSION_OPENING;
        if (front->backend.session_open(front->backend.context, index,
                                        front_token(front, connection, 0)) != TACIT_OK) {
            connection->session = TACIT_FRONT_SESSION_WANTED;
            front_list(front, connection);
        }
    }
}

static void answer_down(struct tacit_front *front, struct connection *connection)
{
    front_answer(front, connection, TACIT_FRONT_DOWN);
    front->counters.timed_out++;
}

// Gives a command to the backend. False: not now.
static bool do_submit(struct tacit_front *front, struct connection *connection,
                      const struct tacit_resp_command *command)
{
    front_want_session(front, connection);
    if (connection->session == TACIT_FRONT_SESSION_OPEN) {
        struct slot *slot = push(front, connection); // the result may come from inside submit()
        uint64_t token = front_token(front, connection, slot->number);
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
        connection->count--; // nothing knows the number: places and numbers stay in step
        connection->next_number--;
    }
    if (connection->silent) { // who waited before this one waited long enough
        answer_down(front, connection);
        return true;
    }
    return false;
}

// Executes a whole command. False: it has to wait, nothing happened.
bool front_execute(struct tacit_front *front, struct connection *connection, const uint8_t *bytes,
                   size_t size)
{
    struct tacit_resp_command command = {.request = front->request};
    if (!tacit_resp_parse(front->parser, bytes, size, &command)) {
        connection->scanner.error = command.error;
        front_answer_protocol_error(front, connection);
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
        front_answer(front, connection, "-ERR syntax error"); // options of SET
        return true;
    }
    if (!tacit_kv_arity_is_right(known, command.arguments)) {
        answer_arity(front, connection, tacit_kv_command_name(known));
        return true;
    }
    command.request[0] = (uint8_t)known;
    return do_submit(front, connection, &command);
}
