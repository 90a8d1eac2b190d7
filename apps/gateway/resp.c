// SPDX-License-Identifier: Apache-2.0
//
// RESP2: scanner, parser over hiredis' reader, writer. See resp.h.
#include "resp.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- scanner --------------------------------------------------------------------------

enum { TACIT_RESP_PHASE_START = 0, TACIT_RESP_PHASE_HEADER, TACIT_RESP_PHASE_BODY };

#define INLINE_OVERHEAD 256u

void tacit_resp_scanner_init(struct tacit_resp_scanner *scanner, uint32_t limit)
{
    *scanner = (struct tacit_resp_scanner){.limit = limit, .encoded = TACIT_KV_REQUEST_HEADER};
}

size_t tacit_resp_frame_max(uint32_t limit)
{
    // An argument takes 4 bytes more than itself encoded, and as RESP "$n\r\n" and "\r\n": 6 and
    // one for each ten-fold of its size. So RESP is never twice the encoding.
    return 2 * (size_t)limit + INLINE_OVERHEAD;
}

static enum tacit_resp_scan broken(struct tacit_resp_scanner *scanner, const char *error)
{
    scanner->error = error;
    return TACIT_RESP_BROKEN;
}

static enum tacit_resp_scan finish(struct tacit_resp_scanner *scanner, enum tacit_resp_scan result)
{
    if (scanner->too_big) {
        result = TACIT_RESP_TOO_BIG;
    }
    tacit_resp_scanner_init(scanner, scanner->limit);
    return result;
}

// The number in a header line without its first byte and line end. False: none, or more than 10
// digits.
static bool line_number(const uint8_t *text, size_t size, int64_t *number)
{
    bool negative = size > 0 && text[0] == '-';
    size_t at = negative;
    *number = 0;
    if (size == at || size - at > 10) {
        return false;
    }
    for (; at < size; at++) {
        if (text[at] < '0' || text[at] > '9') {
            return false;
        }
        *number = *number * 10 + (text[at] - '0');
    }
    *number = negative ? -*number : *number;
    return true;
}

// A line "*n" or "$n" is complete; `line` is without its end.
static enum tacit_resp_scan on_header(struct tacit_resp_scanner *scanner, const uint8_t *line,
                                      size_t size)
{
    int64_t number;
    bool is_number = line_number(line + 1, size - 1, &number);
    if (scanner->phase == TACIT_RESP_PHASE_START) {
        if (!is_number || number > (int64_t)TACIT_RESP_ARGUMENTS_MAX) {
            return broken(scanner, "invalid multibulk length");
        }
        if (number <= 0) {
            return finish(scanner, TACIT_RESP_EMPTY);
        }
        scanner->arguments_left = (uint32_t)number;
        scanner->too_big = number > (int64_t)TACIT_KV_ARGUMENTS_MAX + 1;
        scanner->phase = TACIT_RESP_PHASE_HEADER;
        return TACIT_RESP_MORE;
    }
    if (line[0] != '$') {
        return broken(scanner, "expected '$'");
    }
    if (!is_number || number < 0 || number > (int64_t)TACIT_RESP_BULK_MAX) {
        return broken(scanner, "invalid bulk length");
    }
    scanner->encoded += TACIT_KV_LENGTH_BYTES + (uint64_t)number;
    scanner->too_big = scanner->too_big || scanner->encoded > scanner->limit;
    scanner->body_left = (uint64_t)number + 2;
    scanner->phase = TACIT_RESP_PHASE_BODY;
    return TACIT_RESP_MORE;
}

// Takes bytes of the present line. True: it is complete and ends before *at.
static bool take_line(struct tacit_resp_scanner *scanner, const uint8_t *bytes, size_t size,
                      size_t *at)
{
    const uint8_t *end = memchr(bytes + *at, '\n', size - *at);
    size_t taken = end == NULL ? size - *at : (size_t)(end - (bytes + *at)) + 1;
    *at += taken;
    scanner->line =
        taken > UINT32_MAX - scanner->line ? UINT32_MAX : scanner->line + (uint32_t)taken;
    return end != NULL;
}

static enum tacit_resp_scan scan_line(struct tacit_resp_scanner *scanner, const uint8_t *bytes,
                                      size_t size, size_t *at)
{
    if (scanner->phase == TACIT_RESP_PHASE_START && scanner->line == 0) {
        scanner->is_inline = bytes[*at] != '*';
    }
    bool complete = take_line(scanner, bytes, size, at);
    uint32_t length = scanner->line;
    if (scanner->is_inline) {
        // In an inline command each byte is at most one byte of an argument, or separates two.
        scanner->too_big = scanner->too_big || length > scanner->limit;
        if (!complete) {
            return TACIT_RESP_MORE;
        }
        return finish(scanner, TACIT_RESP_COMMAND);
    }
    if (length > TACIT_RESP_LINE_MAX) {
        return broken(scanner, scanner->phase == TACIT_RESP_PHASE_START
                                   ? "too big mbulk count string"
                                   : "too big bulk count string");
    }
    if (!complete) {
        return TACIT_RESP_MORE;
    }
    const uint8_t *line = bytes + *at - length;
    scanner->line = 0;
    if (length < 3 || line[length - 2] != '\r') {
        return broken(scanner, "a line does not end with CR LF");
    }
    return on_header(scanner, line, length - 2);
}

static enum tacit_resp_scan scan_body(struct tacit_resp_scanner *scanner, const uint8_t *bytes,
                                      size_t size, size_t *at)
{
    uint64_t here = size - *at;
    uint64_t taken = here < scanner->body_left ? here : scanner->body_left;
    // The last two bytes are the line end.
    uint64_t end = scanner->body_left;
    for (uint64_t i = end > 2 ? end - 2 : 0; i < taken; i++) {
        if (bytes[*at + i] != (end - i == 2 ? '\r' : '\n')) {
            return broken(scanner, "a bulk string does not end with CR LF");
        }
    }
    *at += taken;
    scanner->body_left -= taken;
    if (scanner->body_left > 0) {
        return TACIT_RESP_MORE;
    }
    scanner->phase = TACIT_RESP_PHASE_HEADER;
    return --scanner->arguments_left == 0 ? finish(scanner, TACIT_RESP_COMMAND) : TACIT_RESP_MORE;
}

enum tacit_resp_scan tacit_resp_scan(struct tacit_resp_scanner *scanner, const uint8_t *bytes,
                                     size_t size, size_t *at)
{
    while (*at < size) {
        enum tacit_resp_scan result = scanner->phase == TACIT_RESP_PHASE_BODY
                                          ? scan_body(scanner, bytes, size, at)
                                          : scan_line(scanner, bytes, size, at);
        if (result != TACIT_RESP_MORE) {
            return result;
        }
    }
    return TACIT_RESP_MORE;
}

size_t tacit_resp_droppable(const struct tacit_resp_scanner *scanner, size_t at)
{
    // The line at hand is looked at as a whole when it is complete.
    bool in_header = scanner->phase != TACIT_RESP_PHASE_BODY && !scanner->is_inline;
    return scanner->too_big ? at - (in_header ? scanner->line : 0) : 0;
}

// ---- parser ---------------------------------------------------------------------------

struct tacit_resp_parser {
    redisReader *reader;
    uint32_t limit;
    uint32_t strings; // taken so far, the name included
    struct tacit_resp_command *command;
};

static bool take_string(struct tacit_resp_parser *parser, const char *text, size_t size)
{
    struct tacit_resp_command *command = parser->command;
    if (parser->strings++ == 0) {
        command->name_bytes = (uint32_t)size;
        memcpy(command->name, text, size < TACIT_RESP_NAME_MAX ? size : TACIT_RESP_NAME_MAX);
        return true;
    }
    if (size > parser->limit ||
        parser->limit - command->request_bytes < TACIT_KV_LENGTH_BYTES + size) {
        return false;
    }
    uint8_t *out = command->request + command->request_bytes;
    for (unsigned i = 0; i < TACIT_KV_LENGTH_BYTES; i++) {
        out[i] = (uint8_t)(size >> (8 * i));
    }
    if (size > 0) {
        memcpy(out + TACIT_KV_LENGTH_BYTES, text, size);
    }
    command->request_bytes += TACIT_KV_LENGTH_BYTES + size;
    command->arguments++;
    return true;
}

// hiredis builds no objects: strings are copied to where they are needed, and everything that is no
// array of strings is refused (NULL makes the reader fail).
static void *on_string(const redisReadTask *task, char *text, size_t size)
{
    struct tacit_resp_parser *parser = task->privdata;
    bool is_argument =
        task->type == REDIS_REPLY_STRING && task->parent != NULL && task->parent->parent == NULL;
    return is_argument && take_string(parser, text, size) ? parser : NULL;
}

#if HIREDIS_MAJOR >= 1
static void *on_array(const redisReadTask *task, size_t elements)
#else
static void *on_array(const redisReadTask *task, int elements)
#endif
{
    return task->parent == NULL && elements > 0 ? task->privdata : NULL;
}

static void *on_integer(const redisReadTask *task, long long value)
{
    (void)task;
    (void)value;
    return NULL;
}

static void *on_nil(const redisReadTask *task)
{
    (void)task;
    return NULL;
}

static void on_free(void *object)
{
    (void)object;
}

struct tacit_resp_parser *tacit_resp_parser_open(uint32_t limit)
{
    static redisReplyObjectFunctions functions = {.createString = on_string,
                                                  .createArray = on_array,
                                                  .createInteger = on_integer,
                                                  .createNil = on_nil,
                                                  .freeObject = on_free};
    struct tacit_resp_parser *parser = calloc(1, sizeof *parser);
    if (parser == NULL) {
        return NULL;
    }
    parser->limit = limit;
    parser->reader = redisReaderCreateWithFunctions(&functions);
    if (parser->reader == NULL) {
        free(parser);
        return NULL;
    }
    parser->reader->privdata = parser;
    parser->reader->maxbuf = tacit_resp_frame_max(limit);
    return parser;
}

void tacit_resp_parser_close(struct tacit_resp_parser *parser)
{
    if (parser != NULL) {
        redisReaderFree(parser->reader);
        free(parser);
    }
}

static bool parse_inline(struct tacit_resp_parser *parser, const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (at < size) {
        size_t from = at;
        while (at < size && bytes[at] != ' ' && bytes[at] != '\t' && bytes[at] != '\r' &&
               bytes[at] != '\n') {
            at++;
        }
        if (at > from && (parser->command->arguments == TACIT_KV_ARGUMENTS_MAX ||
                          !take_string(parser, (const char *)bytes + from, at - from))) {
            return false;
        }
        at++;
    }
    return true;
}

// A reader that failed stays failed: a new one.
static bool renew(struct tacit_resp_parser *parser)
{
    struct tacit_resp_parser *fresh = tacit_resp_parser_open(parser->limit);
    if (fresh != NULL) {
        redisReaderFree(parser->reader);
        parser->reader = fresh->reader;
        parser->reader->privdata = parser;
        free(fresh);
    }
    return false;
}

bool tacit_resp_parse(struct tacit_resp_parser *parser, const uint8_t *bytes, size_t size,
                      struct tacit_resp_command *command)
{
    parser->command = command;
    parser->strings = 0;
    command->name_bytes = 0;
    command->arguments = 0;
    command->request_bytes = TACIT_KV_REQUEST_HEADER;
    memset(command->request, 0, TACIT_KV_REQUEST_HEADER);
    if (size > 0 && bytes[0] != '*') {
        if (!parse_inline(parser, bytes, size)) {
            return false;
        }
    } else {
        void *object = NULL;
        if (redisReaderFeed(parser->reader, (const char *)bytes, size) != REDIS_OK ||
            redisReaderGetReply(parser->reader, &object) != REDIS_OK || object == NULL) {
            return renew(parser);
        }
    }
    command->request[2] = (uint8_t)command->arguments;
    command->request[3] = (uint8_t)(command->arguments >> 8);
    return true;
}

// ---- writer ---------------------------------------------------------------------------

size_t tacit_resp_reply_max(uint32_t reply_bytes)
{
    // The reasoning of tacit_resp_frame_max; "$-1\r\n" takes 5 bytes for 4.
    return 2 * (size_t)reply_bytes + INLINE_OVERHEAD;
}

static size_t put_number(uint8_t *out, char type, int64_t number)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%c%" PRId64 "\r\n", type, number);
    memcpy(out, text, (size_t)size);
    return (size_t)size;
}

static size_t put_bulk(uint8_t *out, struct tacit_kv_span span)
{
    if (span.bytes == NULL) {
        memcpy(out, "$-1\r\n", 5);
        return 5;
    }
    size_t used = put_number(out, '$', span.size);
    if (span.size > 0) {
        memcpy(out + used, span.bytes, span.size);
    }
    used += span.size;
    memcpy(out + used, "\r\n", 2);
    return used + 2;
}

// One line: what would end it becomes a space.
static size_t put_error(uint8_t *out, struct tacit_kv_span text)
{
    size_t used = 0;
    out[used++] = '-';
    for (uint32_t i = 0; i < text.size; i++) {
        uint8_t byte = text.bytes[i];
        out[used++] = byte == '\r' || byte == '\n' ? ' ' : byte;
    }
    memcpy(out + used, "\r\n", 2);
    return used + 2;
}

size_t tacit_resp_reply(uint8_t *out, const uint8_t *reply_bytes, size_t size)
{
    static const char malformed[] = "ERR the service gave a malformed reply";
    struct tacit_kv_reply reply;
    if (tacit_kv_reply_decode(&reply, reply_bytes, size) != TACIT_VERDICT_OK) {
        return put_error(out, (struct tacit_kv_span){.bytes = (const uint8_t *)malformed,
                                                     .size = sizeof malformed - 1});
    }
    switch (reply.kind) {
    case TACIT_KV_REPLY_OK:
        memcpy(out, "+OK\r\n", 5);
        return 5;
    case TACIT_KV_REPLY_INTEGER:
        return put_number(out, ':', reply.integer);
    case TACIT_KV_REPLY_BULK:
        return put_bulk(out, reply.text);
    case TACIT_KV_REPLY_ERROR:
        return put_error(out, reply.text);
    case TACIT_KV_REPLY_ARRAY: {
        size_t used = put_number(out, '*', reply.elements);
        for (uint32_t i = 0; i < reply.elements; i++) {
            used += put_bulk(out + used, tacit_kv_reply_next(&reply));
        }
        return used;
    }
    default:
        return put_bulk(out, (struct tacit_kv_span){.bytes = NULL});
    }
}
