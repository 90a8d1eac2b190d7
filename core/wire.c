// SPDX-License-Identifier: Apache-2.0
//
// The only functions that write and read what travels in rings and log entries (layouts in
// tacit/wire.h). Decoding is canonical: what is accepted encodes to the same bytes again, so two
// encodings of one message never exist.
#include "tacit/wire.h"

#include <string.h>

#include "base/little.h"

static void put_body(uint8_t *out, const uint8_t *body, uint32_t body_bytes)
{
    // The body of an empty message may be NULL, which memcpy must not see.
    if (body_bytes > 0) {
        memcpy(out, body, body_bytes);
    }
}

size_t tacit_wire_request_encode(uint8_t *out, size_t max, const struct tacit_wire_request *request)
{
    size_t extra = (request->flags & TACIT_REQUEST_SIGNED) != 0 ? TACIT_WIRE_SIGNATURE_BYTES : 0;
    uint32_t head = request->kind == TACIT_REQUEST_READ ? TACIT_WIRE_READ_HEADER : 0;
    if (max < TACIT_WIRE_REQUEST_HEADER + head + extra ||
        max - TACIT_WIRE_REQUEST_HEADER - head - extra < request->body_bytes) {
        return 0;
    }
    out[0] = request->kind;
    out[1] = request->flags;
    tacit_put_u16(out + 2, 0);
    tacit_put_u32(out + 4, head + request->body_bytes);
    tacit_put_u64(out + 8, request->session);
    tacit_put_u64(out + 16, request->number);
    if (head > 0) {
        tacit_put_u64(out + TACIT_WIRE_REQUEST_HEADER, request->after);
    }
    put_body(out + TACIT_WIRE_REQUEST_HEADER + head, request->body, request->body_bytes);
    size_t bytes = TACIT_WIRE_REQUEST_HEADER + head + (size_t)request->body_bytes;
    if (extra > 0) {
        memcpy(out + bytes, request->signature, extra);
    }
    return bytes + extra;
}

void tacit_wire_order_encode(uint8_t out[TACIT_WIRE_ORDER_BYTES],
                             const struct tacit_wire_order *order)
{
    out[0] = order->kind;
    out[1] = order->body;
    tacit_put_u16(out + 2, order->seat);
    tacit_put_u32(out + 4, 0);
    tacit_put_u64(out + 8, order->epoch);
    tacit_put_u64(out + 16, order->nonce);
    memcpy(out + TACIT_WIRE_ORDER_SIGNED, order->signature, TACIT_WIRE_SIGNATURE_BYTES);
}

enum tacit_verdict tacit_wire_order_decode(struct tacit_wire_order *order, const uint8_t *bytes,
                                           size_t size)
{
    if (size != TACIT_WIRE_ORDER_BYTES || tacit_get_u32(bytes + 4) != 0 ||
        bytes[0] < TACIT_ORDER_ADD || bytes[0] > TACIT_ORDER_REPLACE ||
        tacit_get_u64(bytes + 16) == 0 || tacit_get_u16(bytes + 2) >= TACIT_WIRE_SEATS) {
        return TACIT_VERDICT_MALFORMED;
    }
    *order = (struct tacit_wire_order){.kind = bytes[0],
                                       .body = bytes[1],
                                       .seat = tacit_get_u16(bytes + 2),
                                       .epoch = tacit_get_u64(bytes + 8),
                                       .nonce = tacit_get_u64(bytes + 16)};
    memcpy(order->signature, bytes + TACIT_WIRE_ORDER_SIGNED, TACIT_WIRE_SIGNATURE_BYTES);
    return TACIT_VERDICT_OK;
}

// Of requests and items alike.
static enum tacit_verdict order_is_sane(uint64_t session, uint64_t number, const uint8_t *body,
                                        uint32_t body_bytes)
{
    struct tacit_wire_order order;
    return session == 0 && tacit_wire_order_decode(&order, body, body_bytes) == TACIT_VERDICT_OK &&
                   order.nonce == number
               ? TACIT_VERDICT_OK
               : TACIT_VERDICT_MALFORMED;
}

void tacit_wire_members_encode(uint8_t out[TACIT_WIRE_MEMBERS_BYTES],
                               const struct tacit_wire_members *members)
{
    tacit_put_u64(out, members->epoch);
    tacit_put_u64(out + 8, members->barred);
    tacit_put_u64(out + 16, members->nonce);
    tacit_put_u32(out + 24, members->dead);
    tacit_put_u32(out + 28, members->outcome);
    for (unsigned i = 0; i < TACIT_WIRE_SEATS; i++) {
        tacit_put_u32(out + 32 + (size_t)4 * i, members->seat[i]);
        out[32 + 4 * TACIT_WIRE_SEATS + i] = members->ordered[i];
    }
}

enum tacit_verdict tacit_wire_members_decode(struct tacit_wire_members *members,
                                             const uint8_t *bytes, size_t size)
{
    if (size != TACIT_WIRE_MEMBERS_BYTES) {
        return TACIT_VERDICT_MALFORMED;
    }
    members->epoch = tacit_get_u64(bytes);
    members->barred = tacit_get_u64(bytes + 8);
    members->nonce = tacit_get_u64(bytes + 16);
    members->dead = tacit_get_u32(bytes + 24);
    members->outcome = tacit_get_u32(bytes + 28);
    for (unsigned i = 0; i < TACIT_WIRE_SEATS; i++) {
        members->seat[i] = tacit_get_u32(bytes + 32 + (size_t)4 * i);
        members->ordered[i] = bytes[32 + 4 * TACIT_WIRE_SEATS + i];
        if (members->seat[i] > TACIT_INCARNATION_MAX ||
            members->ordered[i] > TACIT_SPARES_MAX + 1) {
            return TACIT_VERDICT_MALFORMED;
        }
    }
    return TACIT_VERDICT_OK;
}

size_t tacit_wire_request_amend(uint8_t *message, size_t bytes, uint8_t flags,
                                const uint8_t *signature)
{
    bool sign = (flags & ~message[1] & TACIT_REQUEST_SIGNED) != 0;
    message[1] |= flags;
    if (!sign) {
        return bytes;
    }
    memcpy(message + bytes, signature, TACIT_WIRE_SIGNATURE_BYTES);
    return bytes + TACIT_WIRE_SIGNATURE_BYTES;
}

enum tacit_verdict tacit_wire_request_decode(struct tacit_wire_request *request,
                                             const uint8_t *bytes, size_t size)
{
    if (size < TACIT_WIRE_REQUEST_HEADER || tacit_get_u16(bytes + 2) != 0 ||
        (bytes[1] & ~(TACIT_REQUEST_SIGNED | TACIT_REQUEST_FULL)) != 0) {
        return TACIT_VERDICT_MALFORMED;
    }
    size_t left = size - TACIT_WIRE_REQUEST_HEADER;
    size_t extra = (bytes[1] & TACIT_REQUEST_SIGNED) != 0 ? TACIT_WIRE_SIGNATURE_BYTES : 0;
    if (left < extra || tacit_get_u32(bytes + 4) != left - extra) {
        return TACIT_VERDICT_MALFORMED;
    }
    request->kind = bytes[0];
    request->flags = bytes[1];
    request->body_bytes = tacit_get_u32(bytes + 4);
    request->session = tacit_get_u64(bytes + 8);
    request->number = tacit_get_u64(bytes + 16);
    request->body = bytes + TACIT_WIRE_REQUEST_HEADER;
    request->signature = extra > 0 ? bytes + size - extra : NULL;
    request->after = 0;
    switch (request->kind) {
    case TACIT_REQUEST_OPEN:
        return request->session == 0 && request->body_bytes == 0 ? TACIT_VERDICT_OK
                                                                 : TACIT_VERDICT_MALFORMED;
    case TACIT_REQUEST_APPLY:
        return request->number != 0 ? TACIT_VERDICT_OK : TACIT_VERDICT_MALFORMED;
    case TACIT_REQUEST_CLOSE:
        return request->body_bytes == 0 ? TACIT_VERDICT_OK : TACIT_VERDICT_MALFORMED;
    case TACIT_REQUEST_MEMBERS:
        return request->session == 0 && request->body_bytes == 0 && request->flags == 0
                   ? TACIT_VERDICT_OK
                   : TACIT_VERDICT_MALFORMED;
    case TACIT_REQUEST_ORDER:
        return request->flags == 0 ? order_is_sane(request->session, request->number, request->body,
                                                   request->body_bytes)
                                   : TACIT_VERDICT_MALFORMED;
    case TACIT_REQUEST_READ:
        if (request->number >> 62 != 1 || request->flags != 0 ||
            request->body_bytes < TACIT_WIRE_READ_HEADER) {
            return TACIT_VERDICT_MALFORMED;
        }
        request->after = tacit_get_u64(request->body);
        request->body += TACIT_WIRE_READ_HEADER;
        request->body_bytes -= TACIT_WIRE_READ_HEADER;
        return TACIT_VERDICT_OK;
    default:
        return TACIT_VERDICT_MALFORMED;
    }
}

size_t tacit_wire_reply_encode(uint8_t *out, size_t max, const struct tacit_wire_reply *reply)
{
    if (max < TACIT_WIRE_REPLY_HEADER || max - TACIT_WIRE_REPLY_HEADER < reply->body_bytes) {
        return 0;
    }
    out[0] = reply->kind;
    out[1] = reply->leader;
    tacit_put_u16(out + 2, 0);
    tacit_put_u32(out + 4, reply->body_bytes);
    tacit_put_u64(out + 8, reply->session);
    tacit_put_u64(out + 16, reply->number);
    tacit_put_u64(out + 24, reply->index);
    put_body(out + TACIT_WIRE_REPLY_HEADER, reply->body, reply->body_bytes);
    return TACIT_WIRE_REPLY_HEADER + (size_t)reply->body_bytes;
}

enum tacit_verdict tacit_wire_reply_decode(struct tacit_wire_reply *reply, const uint8_t *bytes,
                                           size_t size)
{
    if (size < TACIT_WIRE_REPLY_HEADER || tacit_get_u16(bytes + 2) != 0 ||
        tacit_get_u32(bytes + 4) != size - TACIT_WIRE_REPLY_HEADER) {
        return TACIT_VERDICT_MALFORMED;
    }
    reply->kind = bytes[0];
    reply->leader = bytes[1];
    reply->body_bytes = tacit_get_u32(bytes + 4);
    reply->session = tacit_get_u64(bytes + 8);
    reply->number = tacit_get_u64(bytes + 16);
    reply->index = tacit_get_u64(bytes + 24);
    reply->body = bytes + TACIT_WIRE_REPLY_HEADER;
    if (reply->leader >= TACIT_REPLICAS_MAX && reply->leader != TACIT_WIRE_NO_LEADER) {
        return TACIT_VERDICT_MALFORMED;
    }
    switch (reply->kind) {
    case TACIT_REPLY_RESULT:
        return TACIT_VERDICT_OK;
    case TACIT_REPLY_RESULT_DIGEST:
        return reply->body_bytes == TACIT_WIRE_DIGEST_BYTES ? TACIT_VERDICT_OK
                                                            : TACIT_VERDICT_MALFORMED;
    case TACIT_REPLY_MEMBERS:
        return reply->session == 0 && reply->body_bytes == TACIT_WIRE_MEMBERS_BYTES
                   ? TACIT_VERDICT_OK
                   : TACIT_VERDICT_MALFORMED;
    case TACIT_REPLY_ORDERED:
        return reply->session == 0 && reply->body_bytes == 8 ? TACIT_VERDICT_OK
                                                             : TACIT_VERDICT_MALFORMED;
    case TACIT_REPLY_HINT:
    case TACIT_REPLY_CLOSED:
    case TACIT_REPLY_TOO_BIG:
    case TACIT_REPLY_STALE:
    case TACIT_REPLY_SIGN:
    case TACIT_REPLY_NO_READ:
        return reply->body_bytes == 0 ? TACIT_VERDICT_OK : TACIT_VERDICT_MALFORMED;
    default:
        return TACIT_VERDICT_MALFORMED;
    }
}

size_t tacit_wire_item_bytes(size_t body_bytes)
{
    return (TACIT_WIRE_ITEM_HEADER + body_bytes + 7) & ~(size_t)7;
}

bool tacit_wire_item_encode(uint8_t *out, size_t max, size_t *used,
                            const struct tacit_wire_item *item)
{
    size_t bytes = tacit_wire_item_bytes(item->body_bytes);
    if (*used > max || max - *used < bytes) {
        return false;
    }
    uint8_t *at = out + *used;
    at[0] = item->kind;
    at[1] = 0;
    tacit_put_u16(at + 2, item->subject);
    tacit_put_u32(at + 4, item->body_bytes);
    tacit_put_u64(at + 8, item->session);
    tacit_put_u64(at + 16, item->number);
    put_body(at + TACIT_WIRE_ITEM_HEADER, item->body, item->body_bytes);
    size_t end = TACIT_WIRE_ITEM_HEADER + (size_t)item->body_bytes;
    memset(at + end, 0, bytes - end);
    *used += bytes;
    return true;
}

static bool item_is_sane(const struct tacit_wire_item *item)
{
    switch (item->kind) {
    case TACIT_ITEM_OPEN:
        return item->session == 0 && item->body_bytes == 0;
    case TACIT_ITEM_APPLY:
        return item->number != 0;
    case TACIT_ITEM_CLOSE:
        return item->body_bytes == 0;
    case TACIT_ITEM_ADMIT:
    case TACIT_ITEM_REMOVE:
    case TACIT_ITEM_REPLACE:
        return (item->body_bytes == 0 || item->kind == TACIT_ITEM_REPLACE) &&
               item->subject < TACIT_NODE_CLIENT && item->number != 0 &&
               item->number <= TACIT_INCARNATION_MAX && item->session <= TACIT_INCARNATION_MAX;
    case TACIT_ITEM_ORDER:
        return order_is_sane(item->session, item->number, item->body, item->body_bytes) ==
               TACIT_VERDICT_OK;
    case TACIT_ITEM_READ:
        return item->number >> 62 == 1;
    default:
        return false;
    }
}

enum tacit_verdict tacit_wire_item_decode(struct tacit_wire_item *item, const uint8_t *bytes,
                                          size_t size, size_t *offset)
{
    if (*offset == size) {
        return TACIT_VERDICT_EMPTY;
    }
    if (*offset > size || size - *offset < TACIT_WIRE_ITEM_HEADER) {
        return TACIT_VERDICT_MALFORMED;
    }
    const uint8_t *at = bytes + *offset;
    size_t left = size - *offset;
    uint32_t body_bytes = tacit_get_u32(at + 4);
    // The first test keeps the rounding of the second from overflowing.
    if (at[1] != 0 || body_bytes > left - TACIT_WIRE_ITEM_HEADER ||
        tacit_wire_item_bytes(body_bytes) > left) {
        return TACIT_VERDICT_MALFORMED;
    }
    size_t bytes_all = tacit_wire_item_bytes(body_bytes);
    for (size_t i = TACIT_WIRE_ITEM_HEADER + (size_t)body_bytes; i < bytes_all; i++) {
        if (at[i] != 0) {
            return TACIT_VERDICT_MALFORMED;
        }
    }
    item->kind = at[0];
    item->subject = tacit_get_u16(at + 2);
    item->body_bytes = body_bytes;
    item->session = tacit_get_u64(at + 8);
    item->number = tacit_get_u64(at + 16);
    item->body = at + TACIT_WIRE_ITEM_HEADER;
    if (!item_is_sane(item)) {
        return TACIT_VERDICT_MALFORMED;
    }
    *offset += bytes_all;
    return TACIT_VERDICT_OK;
}
