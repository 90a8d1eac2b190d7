// SPDX-License-Identifier: Apache-2.0
//
// The commands of the key-value application. Each follows Redis in results and error texts. A
// command that changes several keys (MSET) makes all new entries before it links the first, so that
// a full arena refuses the whole command.
#include "kv.h"

#include <string.h>

#include "kv_store.h"
#include "kv_wire.h"

// What the reply needs beside a value; a value that no GET could return is refused when it is
// written.
#define REPLY_HEADER 1u

// One command under way.
struct call {
    struct tacit_kv_store store;
    struct tacit_kv_request request;
    uint8_t *reply;
    size_t reply_max; // room for this reply
    size_t largest;   // of any reply: in a batch there may be less room now
};

static struct tacit_kv_span text_span(const char *text)
{
    return (struct tacit_kv_span){.bytes = (const uint8_t *)text, .size = (uint32_t)strlen(text)};
}

static size_t fail(struct call *call, const char *message)
{
    struct tacit_kv_span text = text_span(message);
    if (call->reply_max > 0 && text.size > call->reply_max - REPLY_HEADER) {
        text.size = (uint32_t)(call->reply_max - REPLY_HEADER);
    }
    return tacit_kv_reply_text(call->reply, call->reply_max, TACIT_KV_REPLY_ERROR, text);
}

static size_t fail_full(struct call *call)
{
    return fail(call, "OOM command not allowed: the store is full");
}

static size_t fail_arity(struct call *call)
{
    char message[96] = "ERR wrong number of arguments for '";
    strncat(message, tacit_kv_command_name(call->request.command), 16);
    strncat(message, "' command", 16);
    return fail(call, message);
}

static size_t reply_integer(struct call *call, int64_t value)
{
    size_t size = tacit_kv_reply_integer(call->reply, call->reply_max, value);
    return size > 0 ? size : fail(call, "ERR reply too large");
}

static size_t reply_ok(struct call *call)
{
    return tacit_kv_reply_plain(call->reply, call->reply_max, TACIT_KV_REPLY_OK);
}

static bool value_is_too_long(const struct call *call, uint64_t value_bytes)
{
    return value_bytes + REPLY_HEADER > call->largest || value_bytes > UINT32_MAX / 2;
}

static struct tacit_kv_span value_of(const struct tacit_kv_block *block)
{
    return (struct tacit_kv_span){.bytes = block->bytes + block->key_bytes,
                                  .size = block->value_bytes};
}

// A new entry with this key and value, not linked yet; 0: full. `spare` bytes are left for growth
// if there is room for them.
static tacit_kv_ref_t make_entry(struct call *call, struct tacit_kv_span key, uint32_t value_bytes,
                                 uint32_t spare)
{
    tacit_kv_ref_t ref = 0;
    if (spare > 0) {
        ref = tacit_kv_alloc(&call->store, key.size, value_bytes + spare);
    }
    if (ref == 0) {
        ref = tacit_kv_alloc(&call->store, key.size, value_bytes);
    }
    if (ref == 0) {
        return 0;
    }
    struct tacit_kv_block *block = tacit_kv_block_at(&call->store, ref);
    block->hash = tacit_kv_hash(key);
    block->value_bytes = value_bytes;
    memcpy(block->bytes, key.bytes, key.size);
    return ref;
}

// Gives a key a value. False: full, nothing changed.
static bool set_value(struct call *call, struct tacit_kv_span key, struct tacit_kv_span value)
{
    tacit_kv_ref_t ref = tacit_kv_find(&call->store, key);
    if (ref != 0) {
        struct tacit_kv_block *block = tacit_kv_block_at(&call->store, ref);
        if (key.size + (uint64_t)value.size <= tacit_kv_capacity(block)) {
            tacit_kv_touch(&call->store, block, sizeof *block);
            tacit_kv_touch(&call->store, block->bytes + key.size, value.size);
            block->value_bytes = value.size;
            memcpy(block->bytes + key.size, value.bytes, value.size);
            tacit_kv_trim(&call->store, ref);
            return true;
        }
    }
    ref = make_entry(call, key, value.size, 0);
    if (ref == 0) {
        return false;
    }
    memcpy(tacit_kv_block_at(&call->store, ref)->bytes + key.size, value.bytes, value.size);
    tacit_kv_put(&call->store, ref);
    return true;
}

// The integer that Redis sees in these bytes: decimal, no sign but '-', no leading zeros, no
// spaces.
static bool parse_integer(struct tacit_kv_span text, int64_t *value)
{
    uint32_t at = 0;
    bool negative = text.size > 1 && text.bytes[0] == '-';
    at += negative;
    if (text.size == at || text.size - at > 19 ||
        (text.bytes[at] == '0' && (negative || text.size > 1))) {
        return false;
    }
    uint64_t magnitude = 0;
    for (; at < text.size; at++) {
        if (text.bytes[at] < '0' || text.bytes[at] > '9') {
            return false;
        }
        magnitude = magnitude * 10 + (uint64_t)(text.bytes[at] - '0'); // 19 digits fit
    }
    if (magnitude > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    *value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

static struct tacit_kv_span format_integer(int64_t value, uint8_t out[20])
{
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    uint32_t at = 20;
    do {
        out[--at] = (uint8_t)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude > 0);
    if (value < 0) {
        out[--at] = '-';
    }
    return (struct tacit_kv_span){.bytes = out + at, .size = 20 - at};
}

static size_t do_get(struct call *call)
{
    tacit_kv_ref_t ref = tacit_kv_find(&call->store, tacit_kv_request_next(&call->request));
    if (ref == 0) {
        return tacit_kv_reply_plain(call->reply, call->reply_max, TACIT_KV_REPLY_NIL);
    }
    return tacit_kv_reply_text(call->reply, call->reply_max, TACIT_KV_REPLY_BULK,
                               value_of(tacit_kv_block_at(&call->store, ref)));
}

static size_t do_set(struct call *call)
{
    struct tacit_kv_span key = tacit_kv_request_next(&call->request);
    struct tacit_kv_span value = tacit_kv_request_next(&call->request);
    if (value_is_too_long(call, value.size)) {
        return fail(call, "ERR string exceeds maximum allowed size");
    }
    return set_value(call, key, value) ? reply_ok(call) : fail_full(call);
}

static size_t do_del_or_exists(struct call *call)
{
    bool del = call->request.command == TACIT_KV_DEL;
    int64_t count = 0;
    for (uint32_t i = call->request.arguments; i > 0; i--) {
        struct tacit_kv_span key = tacit_kv_request_next(&call->request);
        count += del ? tacit_kv_remove(&call->store, key) : tacit_kv_find(&call->store, key) != 0;
    }
    return reply_integer(call, count);
}

static size_t do_incr(struct call *call)
{
    static const char not_integer[] = "ERR value is not an integer or out of range";
    struct tacit_kv_span key = tacit_kv_request_next(&call->request);
    int64_t step = 1;
    if (call->request.command == TACIT_KV_INCRBY &&
        !parse_integer(tacit_kv_request_next(&call->request), &step)) {
        return fail(call, not_integer);
    }
    int64_t value = 0;
    tacit_kv_ref_t ref = tacit_kv_find(&call->store, key);
    if (ref != 0 && !parse_integer(value_of(tacit_kv_block_at(&call->store, ref)), &value)) {
        return fail(call, not_integer);
    }
    if (__builtin_add_overflow(value, step, &value)) {
        return fail(call, "ERR increment or decrement would overflow");
    }
    uint8_t digits[20];
    struct tacit_kv_span text = format_integer(value, digits);
    if (value_is_too_long(call, text.size)) {
        return fail(call, "ERR string exceeds maximum allowed size");
    }
    return set_value(call, key, text) ? reply_integer(call, value) : fail_full(call);
}

static size_t do_append(struct call *call)
{
    struct tacit_kv_span key = tacit_kv_request_next(&call->request);
    struct tacit_kv_span tail = tacit_kv_request_next(&call->request);
    tacit_kv_ref_t ref = tacit_kv_find(&call->store, key);
    if (ref == 0) {
        if (value_is_too_long(call, tail.size)) {
            return fail(call, "ERR string exceeds maximum allowed size");
        }
        return set_value(call, key, tail) ? reply_integer(call, tail.size) : fail_full(call);
    }
    struct tacit_kv_block *block = tacit_kv_block_at(&call->store, ref);
    uint64_t total = (uint64_t)block->value_bytes + tail.size;
    if (value_is_too_long(call, total)) {
        return fail(call, "ERR string exceeds maximum allowed size");
    }
    uint32_t old_bytes = block->value_bytes;
    if (key.size + total > tacit_kv_capacity(block)) {
        // Room for a quarter more, so that a value that grows by little steps is not copied at
        // each.
        tacit_kv_ref_t fresh = make_entry(call, key, (uint32_t)total, (uint32_t)(total / 4));
        if (fresh == 0) {
            return fail_full(call);
        }
        memcpy(tacit_kv_block_at(&call->store, fresh)->bytes + key.size, block->bytes + key.size,
               old_bytes);
        tacit_kv_put(&call->store, fresh);
        block = tacit_kv_block_at(&call->store, fresh);
    }
    tacit_kv_touch(&call->store, block, sizeof *block);
    tacit_kv_touch(&call->store, block->bytes + key.size + old_bytes, tail.size);
    block->value_bytes = (uint32_t)total;
    memcpy(block->bytes + key.size + old_bytes, tail.bytes, tail.size);
    return reply_integer(call, (int64_t)total);
}

static size_t do_mget(struct call *call)
{
    size_t used = tacit_kv_reply_array(call->reply, call->reply_max, call->request.arguments);
    for (uint32_t i = call->request.arguments; i > 0 && used > 0; i--) {
        tacit_kv_ref_t ref = tacit_kv_find(&call->store, tacit_kv_request_next(&call->request));
        struct tacit_kv_span value = {.bytes = NULL};
        if (ref != 0) {
            value = value_of(tacit_kv_block_at(&call->store, ref));
        }
        used = tacit_kv_reply_element(call->reply, call->reply_max, used, value);
    }
    if (used == 0 && call->reply_max == call->largest) {
        return fail(call, "ERR reply too large");
    }
    return used;
}

static size_t do_mset(struct call *call)
{
    // First all new entries, chained by `left`, newest first; then they are linked, or all given
    // back.
    tacit_kv_ref_t chain = 0;
    const char *problem = NULL;
    for (uint32_t i = call->request.arguments; i > 0 && problem == NULL; i -= 2) {
        struct tacit_kv_span key = tacit_kv_request_next(&call->request);
        struct tacit_kv_span value = tacit_kv_request_next(&call->request);
        if (value_is_too_long(call, value.size)) {
            problem = "ERR string exceeds maximum allowed size";
            break;
        }
        tacit_kv_ref_t ref = make_entry(call, key, value.size, 0);
        if (ref == 0) {
            problem = "";
            break;
        }
        struct tacit_kv_block *block = tacit_kv_block_at(&call->store, ref);
        memcpy(block->bytes + key.size, value.bytes, value.size);
        block->left = chain;
        chain = ref;
    }
    // Linked in the order of the command: of a key that comes twice the later value stays.
    tacit_kv_ref_t ordered = 0;
    while (chain != 0) {
        struct tacit_kv_block *block = tacit_kv_block_at(&call->store, chain);
        tacit_kv_ref_t next = block->left;
        block->left = ordered;
        ordered = chain;
        chain = next;
    }
    while (ordered != 0) {
        tacit_kv_ref_t next = tacit_kv_block_at(&call->store, ordered)->left;
        if (problem == NULL) {
            tacit_kv_put(&call->store, ordered);
        } else {
            tacit_kv_free(&call->store, ordered);
        }
        ordered = next;
    }
    if (problem == NULL) {
        return reply_ok(call);
    }
    return problem[0] != '\0' ? fail(call, problem) : fail_full(call);
}

static size_t do_strlen(struct call *call)
{
    tacit_kv_ref_t ref = tacit_kv_find(&call->store, tacit_kv_request_next(&call->request));
    return reply_integer(call, ref == 0 ? 0 : tacit_kv_block_at(&call->store, ref)->value_bytes);
}

static bool keys_are_short(const struct tacit_kv_request *request)
{
    struct tacit_kv_request walk = *request;
    for (uint32_t i = 0; i < request->arguments; i++) {
        struct tacit_kv_span span = tacit_kv_request_next(&walk);
        bool is_key = i == 0 || request->command == TACIT_KV_DEL ||
                      request->command == TACIT_KV_EXISTS || request->command == TACIT_KV_MGET ||
                      (request->command == TACIT_KV_MSET && i % 2 == 0);
        if (is_key && span.size > TACIT_KV_KEY_BYTES_MAX) {
            return false;
        }
    }
    return true;
}

static enum tacit_status kv_init(struct tacit_app_host *host, const char *options,
                                 struct tacit_error *error)
{
    if (options[0] != '\0') {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "kv: unknown option \"%s\"; this application takes none", options);
    }
    if (!tacit_kv_store_init(host)) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "kv: an arena of %zu bytes is too small; accepted are %u and more",
                               host->arena_bytes, TACIT_PAGE_BYTES);
    }
    return TACIT_OK;
}

// Executes one command. Returns the size of its reply; 0: it has no room, which only happens to
// those that change nothing (given TACIT_KV_SMALL_REPLY_MAX bytes).
static size_t apply_one(struct call *call, const uint8_t *bytes, size_t size)
{
    if (tacit_kv_request_decode(&call->request, bytes, size) != TACIT_VERDICT_OK) {
        return fail(call, "ERR malformed request");
    }
    if (!tacit_kv_arity_is_right((enum tacit_kv_command)call->request.command,
                                 call->request.arguments)) {
        return fail_arity(call);
    }
    if (!keys_are_short(&call->request)) {
        return fail(call, "ERR key exceeds maximum allowed size");
    }
    switch (call->request.command) {
    case TACIT_KV_GET:
        return do_get(call);
    case TACIT_KV_SET:
        return do_set(call);
    case TACIT_KV_DEL:
    case TACIT_KV_EXISTS:
        return do_del_or_exists(call);
    case TACIT_KV_INCR:
    case TACIT_KV_INCRBY:
        return do_incr(call);
    case TACIT_KV_APPEND:
        return do_append(call);
    case TACIT_KV_MGET:
        return do_mget(call);
    case TACIT_KV_MSET:
        return do_mset(call);
    case TACIT_KV_STRLEN:
        return do_strlen(call);
    default:
        return fail(call, "ERR malformed request");
    }
}

// The commands of a batch in their order, until one's reply has no room. Nothing is executed unless
// all of them are well-formed, so that no state depends on a part of what somebody sent.
static size_t apply_batch(struct call *call, const uint8_t *bytes, size_t size)
{
    struct tacit_kv_request batch;
    uint8_t *reply = call->reply;
    if (tacit_kv_batch_decode(&batch, bytes, size) != TACIT_VERDICT_OK) {
        return fail(call, "ERR malformed request");
    }
    size_t used = tacit_kv_reply_array(reply, call->largest, 0);
    if (used == 0) {
        return fail(call, "ERR reply too large");
    }
    uint32_t executed = 0;
    while (executed < batch.arguments &&
           call->largest - used >= TACIT_KV_LENGTH_BYTES + TACIT_KV_SMALL_REPLY_MAX) {
        call->reply = reply + used + TACIT_KV_LENGTH_BYTES;
        call->reply_max = call->largest - used - TACIT_KV_LENGTH_BYTES;
        struct tacit_kv_span one = tacit_kv_request_next(&batch);
        size_t got = apply_one(call, one.bytes, one.size);
        if (got == 0) {
            break;
        }
        used = tacit_kv_reply_element_made(reply, used, got);
        executed++;
    }
    (void)tacit_kv_reply_array(reply, call->largest, executed);
    return used;
}

static size_t kv_apply(struct tacit_app_host *host, const struct tacit_request *request,
                       void *reply, size_t reply_max)
{
    struct call call = {.store = tacit_kv_store_of(host),
                        .reply = reply,
                        .reply_max = reply_max,
                        .largest = reply_max};
    return tacit_kv_is_batch(request->bytes, request->size)
               ? apply_batch(&call, request->bytes, request->size)
               : apply_one(&call, request->bytes, request->size);
}

// Looking something up changes nothing in the arena: the same code answers.
static size_t kv_query(struct tacit_app_host *host, const struct tacit_request *request,
                       void *reply, size_t reply_max)
{
    if (!tacit_kv_request_reads(request->bytes, request->size)) {
        struct call call = {.reply = reply, .reply_max = reply_max, .largest = reply_max};
        return fail(&call, "ERR not a read");
    }
    return kv_apply(host, request, reply, reply_max);
}

const struct tacit_app tacit_kv_app = {
    .version = TACIT_APP_VERSION,
    .name = "kv",
    .init = kv_init,
    .apply = kv_apply,
    .query = kv_query,
};
