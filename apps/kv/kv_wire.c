// SPDX-License-Identifier: Apache-2.0
//
// Codec of the key-value application; layouts in kv_wire.h.
#include "kv_wire.h"

#include <string.h>

struct command {
    const char *name;
    uint32_t least;
    uint32_t most;
    uint32_t group;
};

static const struct command commands[TACIT_KV_COMMAND_END] = {
#define TACIT_KV_ROW(id, text, least_, most_, group_)                                              \
    [TACIT_KV_##id] = {.name = (text), .least = (least_), .most = (most_), .group = (group_)},
    TACIT_KV_COMMANDS(TACIT_KV_ROW)
#undef TACIT_KV_ROW
};

static void put_u32(uint8_t *out, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint32_t get_u32(const uint8_t *bytes)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++) {
        value |= (uint32_t)bytes[i] << (8 * i);
    }
    return value;
}

const char *tacit_kv_command_name(unsigned command)
{
    return command < TACIT_KV_COMMAND_END ? commands[command].name : NULL;
}

bool tacit_kv_command_reads(unsigned command)
{
    return command == TACIT_KV_GET || command == TACIT_KV_EXISTS || command == TACIT_KV_MGET ||
           command == TACIT_KV_STRLEN;
}

bool tacit_kv_is_batch(const void *bytes, size_t size)
{
    return size > 0 && *(const uint8_t *)bytes == TACIT_KV_BATCH;
}

// Whether the first byte of each request of a batch names a read.
static bool batch_reads(const uint8_t *bytes, size_t size)
{
    size_t at = TACIT_KV_REQUEST_HEADER;
    while (at < size) {
        if (size - at <= TACIT_KV_LENGTH_BYTES ||
            get_u32(bytes + at) > size - at - TACIT_KV_LENGTH_BYTES ||
            !tacit_kv_command_reads(bytes[at + TACIT_KV_LENGTH_BYTES])) {
            return false;
        }
        at += TACIT_KV_LENGTH_BYTES + get_u32(bytes + at);
    }
    return true;
}

bool tacit_kv_request_reads(const void *bytes, size_t size)
{
    if (size < TACIT_KV_REQUEST_HEADER) {
        return false;
    }
    return tacit_kv_is_batch(bytes, size) ? batch_reads(bytes, size)
                                          : tacit_kv_command_reads(*(const uint8_t *)bytes);
}

enum tacit_kv_command tacit_kv_command_find(const char *name, size_t name_bytes)
{
    for (unsigned i = 1; i < TACIT_KV_COMMAND_END; i++) {
        if (strlen(commands[i].name) != name_bytes) {
            continue;
        }
        size_t at = 0;
        while (at < name_bytes) {
            char letter = name[at];
            if (letter >= 'A' && letter <= 'Z') {
                letter = (char)(letter - 'A' + 'a');
            }
            if (letter != commands[i].name[at]) {
                break;
            }
            at++;
        }
        if (at == name_bytes) {
            return (enum tacit_kv_command)i;
        }
    }
    return TACIT_KV_NONE;
}

bool tacit_kv_arity_is_right(enum tacit_kv_command command, uint32_t arguments)
{
    const struct command *row = &commands[command];
    return row->name != NULL && arguments >= row->least && arguments <= row->most &&
           arguments % row->group == 0;
}

size_t tacit_kv_request_encode(uint8_t *out, size_t max, enum tacit_kv_command command,
                               const struct tacit_kv_span *arguments, uint32_t count)
{
    if (max < TACIT_KV_REQUEST_HEADER || count > TACIT_KV_ARGUMENTS_MAX) {
        return 0;
    }
    out[0] = (uint8_t)command;
    out[1] = 0;
    out[2] = (uint8_t)count;
    out[3] = (uint8_t)(count >> 8);
    size_t used = TACIT_KV_REQUEST_HEADER;
    for (uint32_t i = 0; i < count; i++) {
        if (max - used < TACIT_KV_LENGTH_BYTES ||
            max - used - TACIT_KV_LENGTH_BYTES < arguments[i].size) {
            return 0;
        }
        put_u32(out + used, arguments[i].size);
        used += TACIT_KV_LENGTH_BYTES;
        if (arguments[i].size > 0) {
            memcpy(out + used, arguments[i].bytes, arguments[i].size);
        }
        used += arguments[i].size;
    }
    return used;
}

// What requests and batches have in common: a header and so many strings with their lengths.
static enum tacit_verdict decode_strings(struct tacit_kv_request *request, const uint8_t *bytes,
                                         size_t size)
{
    if (size < TACIT_KV_REQUEST_HEADER || bytes[1] != 0) {
        return TACIT_VERDICT_MALFORMED;
    }
    request->command = bytes[0];
    request->arguments = (uint16_t)(bytes[2] | bytes[3] << 8);
    request->at = bytes + TACIT_KV_REQUEST_HEADER;
    request->end = bytes + size;
    if (request->arguments > TACIT_KV_ARGUMENTS_MAX) {
        return TACIT_VERDICT_MALFORMED;
    }
    const uint8_t *at = request->at;
    for (uint32_t i = 0; i < request->arguments; i++) {
        if (request->end - at < (ptrdiff_t)TACIT_KV_LENGTH_BYTES) {
            return TACIT_VERDICT_MALFORMED;
        }
        uint32_t length = get_u32(at);
        at += TACIT_KV_LENGTH_BYTES;
        if (length > (size_t)(request->end - at)) {
            return TACIT_VERDICT_MALFORMED;
        }
        at += length;
    }
    return at == request->end ? TACIT_VERDICT_OK : TACIT_VERDICT_MALFORMED;
}

enum tacit_verdict tacit_kv_request_decode(struct tacit_kv_request *request, const uint8_t *bytes,
                                           size_t size)
{
    if (decode_strings(request, bytes, size) != TACIT_VERDICT_OK ||
        request->command == TACIT_KV_NONE || request->command >= TACIT_KV_COMMAND_END) {
        return TACIT_VERDICT_MALFORMED;
    }
    return TACIT_VERDICT_OK;
}

struct tacit_kv_span tacit_kv_request_next(struct tacit_kv_request *request)
{
    struct tacit_kv_span span = {.bytes = request->at + TACIT_KV_LENGTH_BYTES,
                                 .size = get_u32(request->at)};
    request->at = span.bytes + span.size;
    return span;
}

_Static_assert((unsigned)TACIT_KV_COMMAND_END <= TACIT_KV_BATCH, "no command is a batch");
_Static_assert(TACIT_KV_BATCH_COMMANDS_MAX <= TACIT_KV_ARGUMENTS_MAX, "the count fits");

size_t tacit_kv_batch_begin(uint8_t *out)
{
    return tacit_kv_request_encode(out, TACIT_KV_REQUEST_HEADER,
                                   (enum tacit_kv_command)TACIT_KV_BATCH, NULL, 0);
}

size_t tacit_kv_batch_add(uint8_t *out, size_t max, size_t used, const uint8_t *request,
                          size_t request_bytes)
{
    uint32_t count = (uint32_t)(out[2] | out[3] << 8);
    if (count == TACIT_KV_BATCH_COMMANDS_MAX || request_bytes > UINT32_MAX || max < used ||
        max - used < TACIT_KV_LENGTH_BYTES || max - used - TACIT_KV_LENGTH_BYTES < request_bytes) {
        return 0;
    }
    count++;
    out[2] = (uint8_t)count;
    out[3] = (uint8_t)(count >> 8);
    put_u32(out + used, (uint32_t)request_bytes);
    memcpy(out + used + TACIT_KV_LENGTH_BYTES, request, request_bytes);
    return used + TACIT_KV_LENGTH_BYTES + request_bytes;
}

enum tacit_verdict tacit_kv_batch_decode(struct tacit_kv_request *batch, const uint8_t *bytes,
                                         size_t size)
{
    if (decode_strings(batch, bytes, size) != TACIT_VERDICT_OK ||
        batch->command != TACIT_KV_BATCH || batch->arguments == 0 ||
        batch->arguments > TACIT_KV_BATCH_COMMANDS_MAX) {
        return TACIT_VERDICT_MALFORMED;
    }
    struct tacit_kv_request walk = *batch;
    for (uint32_t i = 0; i < batch->arguments; i++) {
        struct tacit_kv_span one = tacit_kv_request_next(&walk);
        struct tacit_kv_request request;
        if (tacit_kv_request_decode(&request, one.bytes, one.size) != TACIT_VERDICT_OK) {
            return TACIT_VERDICT_MALFORMED;
        }
    }
    return TACIT_VERDICT_OK;
}

static bool array_is_sane(const struct tacit_kv_reply *reply)
{
    const uint8_t *at = reply->at;
    for (uint32_t i = 0; i < reply->elements; i++) {
        if (reply->end - at < (ptrdiff_t)TACIT_KV_LENGTH_BYTES) {
            return false;
        }
        uint32_t length = get_u32(at);
        at += TACIT_KV_LENGTH_BYTES;
        if (length == TACIT_KV_NIL_LENGTH) {
            continue;
        }
        if (length > (size_t)(reply->end - at)) {
            return false;
        }
        at += length;
    }
    return at == reply->end;
}

enum tacit_verdict tacit_kv_reply_decode(struct tacit_kv_reply *reply, const uint8_t *bytes,
                                         size_t size)
{
    if (size < 1) {
        return TACIT_VERDICT_MALFORMED;
    }
    *reply = (struct tacit_kv_reply){.kind = bytes[0], .at = bytes + 1, .end = bytes + size};
    bool sane = false;
    switch (reply->kind) {
    case TACIT_KV_REPLY_NIL:
    case TACIT_KV_REPLY_OK:
        sane = size == 1;
        break;
    case TACIT_KV_REPLY_INTEGER:
        sane = size == 9;
        if (sane) {
            uint64_t low = get_u32(bytes + 1);
            uint64_t high = get_u32(bytes + 5);
            reply->integer = (int64_t)(high << 32 | low);
        }
        break;
    case TACIT_KV_REPLY_BULK:
    case TACIT_KV_REPLY_ERROR:
        sane = size - 1 < TACIT_KV_NIL_LENGTH;
        reply->text = (struct tacit_kv_span){.bytes = bytes + 1, .size = (uint32_t)(size - 1)};
        break;
    case TACIT_KV_REPLY_ARRAY:
        if (size >= 5) {
            reply->elements = get_u32(bytes + 1);
            reply->at = bytes + 5;
            sane = array_is_sane(reply);
        }
        break;
    default:
        break;
    }
    return sane ? TACIT_VERDICT_OK : TACIT_VERDICT_MALFORMED;
}

struct tacit_kv_span tacit_kv_reply_next(struct tacit_kv_reply *reply)
{
    uint32_t length = get_u32(reply->at);
    reply->at += TACIT_KV_LENGTH_BYTES;
    if (length == TACIT_KV_NIL_LENGTH) {
        return (struct tacit_kv_span){.bytes = NULL};
    }
    struct tacit_kv_span span = {.bytes = reply->at, .size = length};
    reply->at += length;
    return span;
}

size_t tacit_kv_reply_plain(uint8_t *out, size_t max, enum tacit_kv_reply_kind kind)
{
    if (max < 1) {
        return 0;
    }
    out[0] = (uint8_t)kind;
    return 1;
}

size_t tacit_kv_reply_integer(uint8_t *out, size_t max, int64_t value)
{
    if (max < 9) {
        return 0;
    }
    out[0] = TACIT_KV_REPLY_INTEGER;
    put_u32(out + 1, (uint32_t)((uint64_t)value & 0xffffffffu));
    put_u32(out + 5, (uint32_t)((uint64_t)value >> 32));
    return 9;
}

size_t tacit_kv_reply_text(uint8_t *out, size_t max, enum tacit_kv_reply_kind kind,
                           struct tacit_kv_span text)
{
    if (max < 1 || max - 1 < text.size) {
        return 0;
    }
    out[0] = (uint8_t)kind;
    if (text.size > 0) {
        memcpy(out + 1, text.bytes, text.size);
    }
    return 1 + (size_t)text.size;
}

size_t tacit_kv_reply_array(uint8_t *out, size_t max, uint32_t elements)
{
    if (max < 5) {
        return 0;
    }
    out[0] = TACIT_KV_REPLY_ARRAY;
    put_u32(out + 1, elements);
    return 5;
}

size_t tacit_kv_reply_element(uint8_t *out, size_t max, size_t used, struct tacit_kv_span element)
{
    if (max - used < TACIT_KV_LENGTH_BYTES) {
        return 0;
    }
    if (element.bytes == NULL) {
        put_u32(out + used, TACIT_KV_NIL_LENGTH);
        return used + TACIT_KV_LENGTH_BYTES;
    }
    if (max - used - TACIT_KV_LENGTH_BYTES < element.size) {
        return 0;
    }
    put_u32(out + used, element.size);
    memcpy(out + used + TACIT_KV_LENGTH_BYTES, element.bytes, element.size);
    return used + TACIT_KV_LENGTH_BYTES + element.size;
}

size_t tacit_kv_reply_element_made(uint8_t *out, size_t used, size_t bytes)
{
    put_u32(out + used, (uint32_t)bytes);
    return used + TACIT_KV_LENGTH_BYTES + bytes;
}
