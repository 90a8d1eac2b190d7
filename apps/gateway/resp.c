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

// The number in a header line without its first byte and line end, as strict as Redis is: no '+',
// no zero in front, nothing beside it.
static bool line_number(const uint8_t *text, size_t size, int64_t *number)
{
    bool negative = size > 0 && text[0] == '-';
    size_t at = negative;
    *number = 0;
    if (size == at || size - at > 18 || (text[at] == '0' && size > 1)) {
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

static enum tacit_resp_scan bad_number(struct tacit_resp_scanner *scanner)
{
    return broken(scanner, scanner->phase == TACIT_RESP_PHASE_START ? "invalid multibulk length"
                                                                    : "invalid bulk length");
}

// A line "*n" or "$n" is complete, or too long for any: then `size` is 0. `line` is without its
// end.
static enum tacit_resp_scan on_header(struct tacit_resp_scanner *scanner, const uint8_t *line,
                                      size_t size)
{
    int64_t number;
    if (scanner->phase != TACIT_RESP_PHASE_START && line[0] != '$') {
        scanner->got = line[0] == '\r' || line[0] == '\n' || line[0] == '\0' ? ' ' : line[0];
        return broken(scanner, "expected '$'");
    }
    if (size == 0 || !line_number(line + 1, size - 1, &number)) {
        return bad_number(scanner);
    }
    if (scanner->phase == TACIT_RESP_PHASE_START) {
        if (number > (int64_t)TACIT_RESP_ARGUMENTS_MAX) {
            return bad_number(scanner);
        }
        if (number <= 0) {
            return finish(scanner, TACIT_RESP_EMPTY);
        }
        scanner->arguments_left = (uint32_t)number;
        scanner->too_big = number > (int64_t)TACIT_KV_ARGUMENTS_MAX + 1;
        scanner->phase = TACIT_RESP_PHASE_HEADER;
        return TACIT_RESP_MORE;
    }
    if (number < 0 || number > (int64_t)TACIT_RESP_BULK_MAX) {
        return bad_number(scanner);
    }
    scanner->encoded += TACIT_KV_LENGTH_BYTES + (uint64_t)number;
    scanner->too_big = scanner->too_big || scanner->encoded > scanner->limit;
    scanner->body_left = (uint64_t)number + 2;
    scanner->phase = TACIT_RESP_PHASE_BODY;
    return TACIT_RESP_MORE;
}

// Takes bytes of an inline command. True: it is complete and ends before *at.
static bool take_inline(struct tacit_resp_scanner *scanner, const uint8_t *bytes, size_t size,
                        size_t *at)
{
    const uint8_t *end = memchr(bytes + *at, '\n', size - *at);
    size_t taken = end == NULL ? size - *at : (size_t)(end - (bytes + *at)) + 1;
    *at += taken;
    scanner->line =
        taken > UINT32_MAX - scanner->line ? UINT32_MAX : scanner->line + (uint32_t)taken;
    return end != NULL;
}

static enum tacit_resp_scan scan_inline(struct tacit_resp_scanner *scanner, const uint8_t *bytes,
                                        size_t size, size_t *at)
{
    bool complete = take_inline(scanner, bytes, size, at);
    // Each byte is at most one byte of an argument, or separates two.
    scanner->too_big = scanner->too_big || scanner->line > scanner->limit;
    if (complete) {
        return finish(scanner, TACIT_RESP_COMMAND);
    }
    return scanner->line > TACIT_RESP_INLINE_MAX ? broken(scanner, "too big inline request")
                                                 : TACIT_RESP_MORE;
}

static enum tacit_resp_scan scan_header(struct tacit_resp_scanner *scanner, const uint8_t *bytes,
                                        size_t size, size_t *at)
{
    // Looked at from its beginning each time: it is short.
    const uint8_t *line = bytes + *at - scanner->line;
    size_t here = size - *at + scanner->line;
    const uint8_t *end =
        memchr(line, '\r', here < TACIT_RESP_LINE_MAX ? here : TACIT_RESP_LINE_MAX);
    if (end == NULL && here > TACIT_RESP_LINE_MAX) {
        return on_header(scanner, line, 0);
    }
    if (end == NULL || end + 1 == bytes + size) { // the line feed belongs to it
        *at = size;
        scanner->line = (uint32_t)here;
        return TACIT_RESP_MORE;
    }
    *at = (size_t)(end - bytes) + 2;
    scanner->line = 0;
    return on_header(scanner, line, end[1] == '\n' ? (size_t)(end - line) : 0);
}

static enum tacit_resp_scan scan_line(struct tacit_resp_scanner *scanner, const uint8_t *bytes,
                                      size_t size, size_t *at)
{
    if (scanner->phase == TACIT_RESP_PHASE_START && scanner->line == 0) {
        scanner->is_inline = bytes[*at] != '*';
    }
    return scanner->is_inline ? scan_inline(scanner, bytes, size, at)
                              : scan_header(scanner, bytes, size, at);
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
    uint8_t *word;    // of an inline command, without its quotes; room for the limit
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
    parser->word = malloc((size_t)limit + 1);
    parser->reader = redisReaderCreateWithFunctions(&functions);
    if (parser->reader == NULL || parser->word == NULL) {
        tacit_resp_parser_close(parser);
        return NULL;
    }
    parser->reader->privdata = parser;
    parser->reader->maxbuf = tacit_resp_frame_max(limit);
    return parser;
}

void tacit_resp_parser_close(struct tacit_resp_parser *parser)
{
    if (parser != NULL) {
        if (parser->reader != NULL) {
            redisReaderFree(parser->reader);
        }
        free(parser->word);
        free(parser);
    }
}

// Words of an inline command, by the rules of Redis: blanks separate them; a quote opens a string
// anywhere in a word, but behind its end only a blank may follow; a zero byte ends the line.
struct line {
    const uint8_t *at, *end;
};

static uint8_t peek(const struct line *line, size_t ahead)
{
    return ahead < (size_t)(line->end - line->at) ? line->at[ahead] : 0;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    uint8_t lower = byte | 0x20u;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The byte that an escape in double quotes stands for; goes behind it.
static uint8_t escaped(struct line *line)
{
    int high = hex_digit(peek(line, 2));
    int low = hex_digit(peek(line, 3));
    if (peek(line, 1) == 'x' && high >= 0 && low >= 0) {
        line->at += 4;
        return (uint8_t)(high * 16 + low);
    }
    static const char letters[] = "nrtba";
    static const char meant[] = "\n\r\t\b\a";
    uint8_t byte = peek(line, 1);
    const char *known = memchr(letters, byte, sizeof letters - 1);
    line->at += 2;
    return known != NULL ? (uint8_t)meant[known - letters] : byte;
}

// Behind the opening quote. False: it does not end, or something follows its end.
static bool take_quoted(struct line *line, uint8_t quote, uint8_t *out, size_t *used)
{
    for (uint8_t byte = peek(line, 0); byte != 0; byte = peek(line, 0)) {
        bool escapes = byte == '\\' && (quote == '"' ? peek(line, 1) != 0 : peek(line, 1) == quote);
        if (escapes && quote == '"') {
            out[(*used)++] = escaped(line);
        } else if (escapes) {
            out[(*used)++] = quote;
            line->at += 2;
        } else {
            line->at++;
            if (byte == quote) {
                return peek(line, 0) == 0 || is_blank(peek(line, 0));
            }
            out[(*used)++] = byte;
        }
    }
    return false;
}

static bool take_word(struct line *line, uint8_t *out, size_t *used)
{
    *used = 0;
    for (uint8_t byte = peek(line, 0); byte != 0; byte = peek(line, 0)) {
        if (byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t') {
            return true;
        }
        line->at++;
        if (byte == '"' || byte == '\'') {
            return take_quoted(line, byte, out, used);
        }
        out[(*used)++] = byte;
    }
    return true;
}

static bool parse_inline(struct tacit_resp_parser *parser, const uint8_t *bytes, size_t size)
{
    struct line line = {.at = bytes, .end = bytes + size};
    for (;;) {
        while (is_blank(peek(&line, 0))) {
            line.at++;
        }
        if (peek(&line, 0) == 0) {
            return true;
        }
        size_t used;
        if (!take_word(&line, parser->word, &used)) {
            parser->command->error = "unbalanced quotes in request";
            return false;
        }
        if (parser->command->arguments == TACIT_KV_ARGUMENTS_MAX ||
            !take_string(parser, (const char *)parser->word, used)) {
            parser->command->error = "too many words in an inline request";
            return false;
        }
    }
}

// A reader that failed stays failed: a new one.
static bool renew(struct tacit_resp_parser *parser)
{
    struct tacit_resp_parser *fresh = tacit_resp_parser_open(parser->limit);
    if (fresh != NULL) {
        redisReader *failed = parser->reader;
        parser->reader = fresh->reader;
        parser->reader->privdata = parser;
        fresh->reader = failed;
        tacit_resp_parser_close(fresh);
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
    command->error = "expected an array of bulk strings";
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
    command->is_empty = parser->strings == 0;
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
