// SPDX-License-Identifier: Apache-2.0
//
// The decoders of everything that travels in rings and log entries, and of the key-value
// application's requests and replies: no read outside the input, and what is accepted encodes to
// the same bytes.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "apps/kv/kv_wire.h"
#include "tacit/wire.h"

enum { OUT_BYTES = 1 << 17 };
static uint8_t out[OUT_BYTES];

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void must_equal(size_t out_size, const uint8_t *bytes, size_t size)
{
    must(out_size == size);
    must(size == 0 || memcmp(out, bytes, size) == 0);
}

static void fuzz_items(const uint8_t *bytes, size_t size)
{
    size_t offset = 0;
    size_t used = 0;
    struct tacit_wire_item item;
    enum tacit_verdict verdict;
    while ((verdict = tacit_wire_item_decode(&item, bytes, size, &offset)) == TACIT_VERDICT_OK) {
        must(offset <= size && offset % 8 == 0);
        must(tacit_wire_item_encode(out, sizeof out, &used, &item));
        must(used == offset);
    }
    must(verdict == TACIT_VERDICT_MALFORMED || offset == size);
    must_equal(used, bytes, offset);
}

static void fuzz_kv_request(const uint8_t *bytes, size_t size)
{
    static struct tacit_kv_span arguments[TACIT_KV_ARGUMENTS_MAX];
    struct tacit_kv_request request;
    if (tacit_kv_request_decode(&request, bytes, size) != TACIT_VERDICT_OK) {
        return;
    }
    must(tacit_kv_command_name(request.command) != NULL);
    for (uint32_t i = 0; i < request.arguments; i++) {
        arguments[i] = tacit_kv_request_next(&request);
    }
    must_equal(tacit_kv_request_encode(out, sizeof out, (enum tacit_kv_command)request.command,
                                       arguments, request.arguments),
               bytes, size);
}

static void fuzz_kv_batch(const uint8_t *bytes, size_t size)
{
    struct tacit_kv_request batch;
    if (tacit_kv_batch_decode(&batch, bytes, size) != TACIT_VERDICT_OK) {
        return;
    }
    must(tacit_kv_is_batch(bytes, size));
    bool reads = true;
    size_t used = tacit_kv_batch_begin(out);
    for (uint32_t i = 0; i < batch.arguments; i++) {
        struct tacit_kv_span one = tacit_kv_request_next(&batch);
        struct tacit_kv_request request;
        must(tacit_kv_request_decode(&request, one.bytes, one.size) == TACIT_VERDICT_OK);
        reads = reads && tacit_kv_command_reads(request.command);
        used = tacit_kv_batch_add(out, sizeof out, used, one.bytes, one.size);
    }
    must_equal(used, bytes, size);
    must(tacit_kv_request_reads(bytes, size) == reads);
}

static void fuzz_kv_reply(const uint8_t *bytes, size_t size)
{
    struct tacit_kv_reply reply;
    if (tacit_kv_reply_decode(&reply, bytes, size) != TACIT_VERDICT_OK) {
        return;
    }
    size_t used = 0;
    switch (reply.kind) {
    case TACIT_KV_REPLY_INTEGER:
        used = tacit_kv_reply_integer(out, sizeof out, reply.integer);
        break;
    case TACIT_KV_REPLY_BULK:
    case TACIT_KV_REPLY_ERROR:
        used =
            tacit_kv_reply_text(out, sizeof out, (enum tacit_kv_reply_kind)reply.kind, reply.text);
        break;
    case TACIT_KV_REPLY_ARRAY:
        used = tacit_kv_reply_array(out, sizeof out, reply.elements);
        for (uint32_t i = 0; i < reply.elements; i++) {
            used = tacit_kv_reply_element(out, sizeof out, used, tacit_kv_reply_next(&reply));
        }
        break;
    default:
        used = tacit_kv_reply_plain(out, sizeof out, (enum tacit_kv_reply_kind)reply.kind);
        break;
    }
    must_equal(used, bytes, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > OUT_BYTES / 2) {
        return 0;
    }
    struct tacit_wire_request request;
    if (tacit_wire_request_decode(&request, data, size) == TACIT_VERDICT_OK) {
        must_equal(tacit_wire_request_encode(out, sizeof out, &request), data, size);
    }
    struct tacit_wire_reply reply;
    if (tacit_wire_reply_decode(&reply, data, size) == TACIT_VERDICT_OK) {
        must_equal(tacit_wire_reply_encode(out, sizeof out, &reply), data, size);
    }
    struct tacit_wire_members members;
    if (tacit_wire_members_decode(&members, data, size) == TACIT_VERDICT_OK) {
        tacit_wire_members_encode(out, &members);
        must_equal(TACIT_WIRE_MEMBERS_BYTES, data, size);
    }
    fuzz_items(data, size);
    fuzz_kv_request(data, size);
    fuzz_kv_batch(data, size);
    fuzz_kv_reply(data, size);
    return 0;
}
