// SPDX-License-Identifier: Apache-2.0
//
// Wire formats: exact bytes (golden), round trips, every truncation and every changed header byte,
// and that nothing but the canonical encoding is accepted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tacit/wire.h"

enum { BODY_MAX = 40, BUFFER = 256 };

static const uint8_t body[BODY_MAX] = "0123456789abcdefghijklmnopqrstuvwxyzABC";

static void request__has_the_documented_bytes(void **state)
{
    (void)state;
    const uint8_t golden[] = {2,    0,    0, 0, 3, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33,
                              0x22, 0x11, 7, 0, 0, 0, 0, 0, 0,    0x80, '0',  '1',  '2'};
    struct tacit_wire_request request = {.kind = TACIT_REQUEST_APPLY,
                                         .session = 0x1122334455667788u,
                                         .number = 0x8000000000000007u,
                                         .body = body,
                                         .body_bytes = 3};
    uint8_t out[BUFFER];
    assert_int_equal(tacit_wire_request_encode(out, sizeof out, &request), sizeof golden);
    assert_memory_equal(out, golden, sizeof golden);
}

static void read__has_the_documented_bytes(void **state)
{
    (void)state;
    const uint8_t golden[] = {4, 0, 0, 0, 9, 0, 0,    0, 5, 0, 0, 0, 0, 0, 0, 0,  6,
                              0, 0, 0, 0, 0, 0, 0x40, 7, 1, 0, 0, 0, 0, 0, 0, '0'};
    struct tacit_wire_request request = {.kind = TACIT_REQUEST_READ,
                                         .session = 5,
                                         .number = TACIT_WIRE_READ_BIT | 6,
                                         .after = 0x107,
                                         .body = body,
                                         .body_bytes = 1};
    uint8_t out[BUFFER];
    assert_int_equal(tacit_wire_request_encode(out, sizeof out, &request), sizeof golden);
    assert_memory_equal(out, golden, sizeof golden);
    struct tacit_wire_request again;
    assert_int_equal(tacit_wire_request_decode(&again, golden, sizeof golden), TACIT_VERDICT_OK);
    assert_int_equal(again.after, 0x107);
    assert_int_equal(again.body_bytes, 1);
    assert_memory_equal(again.body, body, 1);
}

static void reply__has_the_documented_bytes(void **state)
{
    (void)state;
    const uint8_t golden[] = {1, 2, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0,  6,
                              0, 0, 0, 0, 0, 0, 0, 7, 1, 0, 0, 0, 0, 0, 0, '0'};
    struct tacit_wire_reply reply = {.kind = TACIT_REPLY_RESULT,
                                     .leader = 2,
                                     .session = 5,
                                     .number = 6,
                                     .index = 0x107,
                                     .body = body,
                                     .body_bytes = 1};
    uint8_t out[BUFFER];
    assert_int_equal(tacit_wire_reply_encode(out, sizeof out, &reply), sizeof golden);
    assert_memory_equal(out, golden, sizeof golden);
}

static void item__has_the_documented_bytes(void **state)
{
    (void)state;
    const uint8_t golden[] = {2, 0, 0x34, 0x12, 2, 0, 0, 0, 5,   0,   0, 0, 0, 0, 0, 0,
                              6, 0, 0,    0,    0, 0, 0, 0, '0', '1', 0, 0, 0, 0, 0, 0};
    struct tacit_wire_item item = {.kind = TACIT_ITEM_APPLY,
                                   .subject = 0x1234,
                                   .session = 5,
                                   .number = 6,
                                   .body = body,
                                   .body_bytes = 2};
    uint8_t out[BUFFER];
    memset(out, 0xee, sizeof out);
    size_t used = 0;
    assert_true(tacit_wire_item_encode(out, sizeof out, &used, &item));
    assert_int_equal(used, sizeof golden);
    assert_memory_equal(out, golden, sizeof golden);
    assert_int_equal(out[used], 0xee);
}

static struct tacit_wire_request sample_request(uint8_t kind, uint32_t bytes)
{
    bool is_read = kind == TACIT_REQUEST_READ;
    return (struct tacit_wire_request){.kind = kind,
                                       .session = kind == TACIT_REQUEST_OPEN ? 0 : 77,
                                       .number = is_read ? TACIT_WIRE_READ_BIT | 3 : 3,
                                       .after = is_read ? 0x1122334455667788u : 0,
                                       .body = body,
                                       .body_bytes =
                                           kind == TACIT_REQUEST_APPLY || is_read ? bytes : 0};
}

// Whatever is accepted must encode to the same bytes. Returns whether it was accepted.
static bool request_is_canonical(const uint8_t *bytes, size_t size)
{
    // An own block of exactly that size, so that the sanitizer sees a read behind it.
    uint8_t *exact = malloc(size == 0 ? 1 : size);
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    struct tacit_wire_request request;
    bool ok = tacit_wire_request_decode(&request, exact, size) == TACIT_VERDICT_OK;
    if (ok) {
        uint8_t again[BUFFER];
        assert_int_equal(tacit_wire_request_encode(again, sizeof again, &request), size);
        assert_memory_equal(again, bytes, size);
    }
    free(exact);
    return ok;
}

static bool reply_is_canonical(const uint8_t *bytes, size_t size)
{
    uint8_t *exact = malloc(size == 0 ? 1 : size);
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    struct tacit_wire_reply reply;
    bool ok = tacit_wire_reply_decode(&reply, exact, size) == TACIT_VERDICT_OK;
    if (ok) {
        uint8_t again[BUFFER];
        assert_int_equal(tacit_wire_reply_encode(again, sizeof again, &reply), size);
        assert_memory_equal(again, bytes, size);
    }
    free(exact);
    return ok;
}

static void request__round_trips_and_refuses_the_rest(void **state)
{
    (void)state;
    for (uint8_t kind = 0; kind <= TACIT_REQUEST_READ + 1; kind++) {
        for (uint32_t bytes = 0; bytes <= BODY_MAX; bytes++) {
            struct tacit_wire_request request = sample_request(kind, bytes);
            uint8_t out[BUFFER];
            size_t size = tacit_wire_request_encode(out, sizeof out, &request);
            uint32_t head = kind == TACIT_REQUEST_READ ? TACIT_WIRE_READ_HEADER : 0;
            assert_int_equal(size, TACIT_WIRE_REQUEST_HEADER + head + request.body_bytes);
            assert_true(size <= tacit_wire_request_max(bytes, false));
            bool known = kind >= TACIT_REQUEST_OPEN && kind <= TACIT_REQUEST_READ;
            assert_int_equal(request_is_canonical(out, size), known);
            for (size_t cut = 0; cut < size; cut++) {
                assert_false(request_is_canonical(out, cut));
            }
            assert_false(request_is_canonical(out, size + 1));
            for (size_t i = 0; i < TACIT_WIRE_REQUEST_HEADER; i++) {
                for (unsigned bit = 0; bit < 8; bit++) {
                    out[i] ^= (uint8_t)(1u << bit);
                    bool ok = request_is_canonical(out, size);
                    out[i] ^= (uint8_t)(1u << bit);
                    // Reserved bytes and the length; FULL alone changes no length.
                    bool full =
                        i == 1 && 1u << bit == TACIT_REQUEST_FULL && kind != TACIT_REQUEST_READ;
                    if (i >= 1 && i < 8 && !full) {
                        assert_false(ok);
                    }
                }
            }
        }
    }
}

static void request__refuses_what_the_kind_forbids(void **state)
{
    (void)state;
    uint8_t out[BUFFER];
    struct tacit_wire_request request = sample_request(TACIT_REQUEST_OPEN, 0);
    request.session = 1;
    assert_false(request_is_canonical(out, tacit_wire_request_encode(out, sizeof out, &request)));
    request = sample_request(TACIT_REQUEST_OPEN, 0);
    request.body_bytes = 1;
    assert_false(request_is_canonical(out, tacit_wire_request_encode(out, sizeof out, &request)));
    request = sample_request(TACIT_REQUEST_APPLY, 3);
    request.number = 0;
    assert_false(request_is_canonical(out, tacit_wire_request_encode(out, sizeof out, &request)));
    request = sample_request(TACIT_REQUEST_CLOSE, 0);
    request.body_bytes = 1;
    assert_false(request_is_canonical(out, tacit_wire_request_encode(out, sizeof out, &request)));
    // A read has no flags, its number tells it from requests, and what comes before its body is
    // whole.
    request = sample_request(TACIT_REQUEST_READ, 3);
    request.flags = TACIT_REQUEST_FULL;
    assert_false(request_is_canonical(out, tacit_wire_request_encode(out, sizeof out, &request)));
    for (uint64_t top = 0; top < 4; top++) {
        request = sample_request(TACIT_REQUEST_READ, 3);
        request.number = top << 62 | 3;
        size_t size = tacit_wire_request_encode(out, sizeof out, &request);
        assert_int_equal(request_is_canonical(out, size), top == 1);
    }
    request = sample_request(TACIT_REQUEST_APPLY, TACIT_WIRE_READ_HEADER - 1);
    request.number |= TACIT_WIRE_READ_BIT;
    size_t size = tacit_wire_request_encode(out, sizeof out, &request);
    out[0] = TACIT_REQUEST_READ;
    assert_false(request_is_canonical(out, size));
}

static void encode__refuses_what_does_not_fit(void **state)
{
    (void)state;
    uint8_t out[BUFFER];
    struct tacit_wire_request request = sample_request(TACIT_REQUEST_APPLY, BODY_MAX);
    struct tacit_wire_reply reply = {
        .kind = TACIT_REPLY_RESULT, .body = body, .body_bytes = BODY_MAX};
    struct tacit_wire_item item = {
        .kind = TACIT_ITEM_APPLY, .number = 1, .body = body, .body_bytes = BODY_MAX};
    memset(out, 0xee, sizeof out);
    for (size_t max = 0; max < TACIT_WIRE_REQUEST_HEADER + BODY_MAX; max++) {
        assert_int_equal(tacit_wire_request_encode(out, max, &request), 0);
        assert_int_equal(tacit_wire_reply_encode(out, max, &reply), 0);
        size_t used = 0;
        assert_false(tacit_wire_item_encode(out, max, &used, &item));
        assert_int_equal(used, 0);
    }
    request.body_bytes = UINT32_MAX;
    assert_int_equal(tacit_wire_request_encode(out, sizeof out, &request), 0);
    reply.body_bytes = UINT32_MAX;
    assert_int_equal(tacit_wire_reply_encode(out, sizeof out, &reply), 0);
    for (size_t i = 0; i < sizeof out; i++) {
        assert_int_equal(out[i], 0xee);
    }
}

static void reply__round_trips_and_refuses_the_rest(void **state)
{
    (void)state;
    for (uint8_t kind = 0; kind <= 8; kind++) {
        for (unsigned leader = 0; leader < 256; leader++) {
            for (uint32_t bytes = 0; bytes <= 9; bytes += 3) {
                struct tacit_wire_reply reply = {.kind = kind,
                                                 .leader = (uint8_t)leader,
                                                 .session = 1,
                                                 .number = 2,
                                                 .index = 3,
                                                 .body = body,
                                                 .body_bytes = bytes};
                uint8_t out[BUFFER];
                size_t size = tacit_wire_reply_encode(out, sizeof out, &reply);
                bool sane = kind >= TACIT_REPLY_RESULT && kind <= TACIT_REPLY_NO_READ &&
                            kind != TACIT_REPLY_RESULT_DIGEST &&
                            (leader < TACIT_REPLICAS_MAX || leader == TACIT_WIRE_NO_LEADER) &&
                            (bytes == 0 || kind == TACIT_REPLY_RESULT);
                assert_int_equal(reply_is_canonical(out, size), sane);
                for (size_t cut = 0; cut < size; cut++) {
                    assert_false(reply_is_canonical(out, cut));
                }
                assert_false(reply_is_canonical(out, size + 1));
                for (size_t i = 2; i < 8; i++) {
                    out[i] ^= 0x81;
                    assert_false(reply_is_canonical(out, size));
                    out[i] ^= 0x81;
                }
            }
        }
    }
}

static void signed_request__is_the_unsigned_one_with_a_signature(void **state)
{
    (void)state;
    uint8_t signature[TACIT_WIRE_SIGNATURE_BYTES];
    memset(signature, 0xa5, sizeof signature);
    for (uint8_t kind = TACIT_REQUEST_OPEN; kind <= TACIT_REQUEST_CLOSE; kind++) {
        for (uint32_t bytes = 0; bytes <= BODY_MAX; bytes += 13) {
            for (uint8_t flags = 0; flags <= 3; flags++) {
                struct tacit_wire_request request = sample_request(kind, bytes);
                uint8_t plain[BUFFER];
                uint8_t out[BUFFER];
                size_t size = tacit_wire_request_encode(plain, sizeof plain, &request);
                size = tacit_wire_request_amend(plain, size, flags, signature);
                request.flags = flags;
                request.signature = signature;
                assert_int_equal(tacit_wire_request_encode(out, sizeof out, &request), size);
                assert_memory_equal(out, plain, size);
                assert_true(size <= tacit_wire_request_max(bytes, true));
                assert_int_equal(tacit_wire_request_encode(out, size - 1, &request), 0);
                assert_true(request_is_canonical(out, size));
                for (size_t cut = 0; cut < size; cut++) {
                    assert_false(request_is_canonical(out, cut));
                }
                struct tacit_wire_request again;
                assert_int_equal(tacit_wire_request_decode(&again, out, size), TACIT_VERDICT_OK);
                assert_int_equal(again.flags, flags);
                assert_int_equal(again.body_bytes, request.body_bytes);
                if ((flags & TACIT_REQUEST_SIGNED) != 0) {
                    assert_memory_equal(again.signature, signature, sizeof signature);
                    // Signed is signed: nothing is appended twice, or taken away.
                    assert_int_equal(tacit_wire_request_amend(out, size, flags, signature), size);
                } else {
                    assert_null(again.signature);
                }
                out[1] |= 4;
                assert_false(request_is_canonical(out, size));
            }
        }
    }
}

static void result_digest__has_the_size_of_a_digest(void **state)
{
    (void)state;
    for (uint32_t bytes = 0; bytes <= BODY_MAX; bytes++) {
        struct tacit_wire_reply reply = {
            .kind = TACIT_REPLY_RESULT_DIGEST, .body = body, .body_bytes = bytes};
        uint8_t out[BUFFER];
        size_t size = tacit_wire_reply_encode(out, sizeof out, &reply);
        assert_int_equal(reply_is_canonical(out, size), bytes == TACIT_WIRE_DIGEST_BYTES);
    }
    assert_int_equal(tacit_wire_reply_max(0, false),
                     TACIT_WIRE_REPLY_HEADER + TACIT_WIRE_MEMBERS_BYTES);
    assert_int_equal(tacit_wire_reply_max(0, true),
                     TACIT_WIRE_REPLY_HEADER + TACIT_WIRE_MEMBERS_BYTES);
    assert_int_equal(tacit_wire_reply_max(233, true), TACIT_WIRE_REPLY_HEADER + 233);
    // One replica at least sends the body, whatever the number; all do when asked.
    for (uint64_t number = UINT64_MAX - 6; number != 6; number++) {
        uint32_t whole = 0;
        for (tacit_node_t self = 0; self < 5; self++) {
            whole += tacit_wire_reply_is_whole(number, TACIT_WIRE_WHOLE_BYTES + 1, false, self, 5);
            assert_true(
                tacit_wire_reply_is_whole(number, TACIT_WIRE_WHOLE_BYTES + 1, true, self, 5));
            assert_true(tacit_wire_reply_is_whole(number, TACIT_WIRE_WHOLE_BYTES, false, self, 5));
        }
        assert_int_equal(whole, 1);
    }
}

// Seats as one replica sees them, and operators' orders: what comes back is what was said, and
// nonsense is refused.
static void members__round_trip(void **state)
{
    (void)state;
    struct tacit_wire_members members = {
        .epoch = 7, .barred = 1ull << 33, .nonce = 9, .dead = 5, .outcome = TACIT_ORDER_DONE};
    struct tacit_wire_members again;
    uint8_t out[TACIT_WIRE_MEMBERS_BYTES];
    for (unsigned i = 0; i < TACIT_WIRE_SEATS; i++) {
        members.seat[i] = tacit_incarnation_make(i, i % 15, i + 1);
        members.ordered[i] = (uint8_t)(i % (TACIT_SPARES_MAX + 2));
    }
    tacit_wire_members_encode(out, &members);
    assert_int_equal(tacit_wire_members_decode(&again, out, sizeof out), TACIT_VERDICT_OK);
    assert_memory_equal(&again, &members, sizeof members);
    assert_int_equal(tacit_wire_members_decode(&again, out, sizeof out - 1),
                     TACIT_VERDICT_MALFORMED);
    struct tacit_wire_reply reply = {
        .kind = TACIT_REPLY_MEMBERS, .number = 3, .body = out, .body_bytes = sizeof out};
    uint8_t message[TACIT_WIRE_REPLY_HEADER + TACIT_WIRE_MEMBERS_BYTES];
    size_t size = tacit_wire_reply_encode(message, sizeof message, &reply);
    assert_true(reply_is_canonical(message, size));
    reply.session = 1;
    size = tacit_wire_reply_encode(message, sizeof message, &reply);
    assert_false(reply_is_canonical(message, size));
    members.seat[3] = TACIT_INCARNATION_MAX + 1;
    tacit_wire_members_encode(out, &members);
    assert_int_equal(tacit_wire_members_decode(&again, out, sizeof out), TACIT_VERDICT_MALFORMED);
    members.seat[3] = 1;
    members.ordered[31] = TACIT_SPARES_MAX + 2;
    tacit_wire_members_encode(out, &members);
    assert_int_equal(tacit_wire_members_decode(&again, out, sizeof out), TACIT_VERDICT_MALFORMED);
}

static enum tacit_verdict order_in_request(const uint8_t *order, uint32_t bytes, uint64_t session,
                                           uint64_t number)
{
    uint8_t message[256];
    struct tacit_wire_request request = {.kind = TACIT_REQUEST_ORDER,
                                         .session = session,
                                         .number = number,
                                         .body = order,
                                         .body_bytes = bytes};
    size_t size = tacit_wire_request_encode(message, sizeof message, &request);
    struct tacit_wire_request again;
    assert_true(size <= tacit_wire_request_max(64, false)); // the smallest request_bytes there is
    return tacit_wire_request_decode(&again, message, size);
}

static void order__round_trips(void **state)
{
    (void)state;
    struct tacit_wire_order order = {
        .kind = TACIT_ORDER_REPLACE, .body = 2, .seat = 17, .epoch = 5, .nonce = 1ull << 60};
    struct tacit_wire_order again;
    uint8_t out[TACIT_WIRE_ORDER_BYTES];
    memset(order.signature, 0xa5, sizeof order.signature);
    tacit_wire_order_encode(out, &order);
    assert_int_equal(tacit_wire_order_decode(&again, out, sizeof out), TACIT_VERDICT_OK);
    assert_memory_equal(&again, &order, sizeof order);
    assert_int_equal(order_in_request(out, sizeof out, 0, order.nonce), TACIT_VERDICT_OK);
    assert_int_equal(order_in_request(out, sizeof out, 1, order.nonce), TACIT_VERDICT_MALFORMED);
    assert_int_equal(order_in_request(out, sizeof out, 0, order.nonce + 1),
                     TACIT_VERDICT_MALFORMED);
    assert_int_equal(order_in_request(out, sizeof out - 8, 0, order.nonce),
                     TACIT_VERDICT_MALFORMED);
    static const struct {
        size_t offset;
        uint8_t value;
    } lies[] = {{0, 0}, {0, 4}, {4, 1}, {2, 32}, {3, 1}};
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        tacit_wire_order_encode(out, &order);
        out[lies[i].offset] = lies[i].value;
        assert_int_equal(tacit_wire_order_decode(&again, out, sizeof out), TACIT_VERDICT_MALFORMED);
    }
    order.nonce = 0;
    tacit_wire_order_encode(out, &order);
    assert_int_equal(tacit_wire_order_decode(&again, out, sizeof out), TACIT_VERDICT_MALFORMED);
}

// A batch of items with bodies of each length up to 17 comes back as it was; cut anywhere but
// between two items it is malformed.
static void item__batches_round_trip(void **state)
{
    (void)state;
    uint8_t batch[2048];
    size_t ends[32] = {0};
    size_t used = 0;
    size_t items = 0;
    for (uint32_t bytes = 0; bytes <= 17; bytes++) {
        uint8_t kind = bytes == 0 ? TACIT_ITEM_OPEN : TACIT_ITEM_APPLY;
        struct tacit_wire_item item = {.kind = kind,
                                       .subject = (uint16_t)(bytes * 999),
                                       .session = bytes == 0 ? 0 : bytes + 100,
                                       .number = bytes + 1,
                                       .body = body,
                                       .body_bytes = bytes};
        assert_true(tacit_wire_item_encode(batch, sizeof batch, &used, &item));
        assert_int_equal(used % 8, 0);
        assert_int_equal(used - ends[items], tacit_wire_item_bytes(bytes));
        ends[++items] = used;
    }
    for (size_t cut = 0; cut <= used; cut++) {
        uint8_t *exact = malloc(cut == 0 ? 1 : cut);
        assert_non_null(exact);
        memcpy(exact, batch, cut);
        size_t offset = 0;
        size_t seen = 0;
        enum tacit_verdict verdict;
        struct tacit_wire_item item;
        while ((verdict = tacit_wire_item_decode(&item, exact, cut, &offset)) == TACIT_VERDICT_OK) {
            assert_int_equal(item.body_bytes, seen);
            assert_int_equal(item.number, seen + 1);
            assert_int_equal(item.subject, (uint16_t)(seen * 999));
            assert_memory_equal(item.body, body, seen);
            seen++;
        }
        assert_int_equal(offset, ends[seen]);
        assert_int_equal(verdict,
                         cut == ends[seen] ? TACIT_VERDICT_EMPTY : TACIT_VERDICT_MALFORMED);
        free(exact);
    }
}

static void item__refuses_nonsense(void **state)
{
    (void)state;
    struct tacit_wire_item good = {.kind = TACIT_ITEM_APPLY,
                                   .subject = 1,
                                   .session = 2,
                                   .number = 3,
                                   .body = body,
                                   .body_bytes = 3};
    struct tacit_wire_item cases[12];
    for (size_t i = 0; i < 12; i++) {
        cases[i] = good;
    }
    cases[0].kind = 0;
    cases[1].kind = 5;
    cases[2].number = 0;
    cases[3].kind = TACIT_ITEM_OPEN;  // with a session and a body
    cases[4].kind = TACIT_ITEM_CLOSE; // with a body
    cases[5].kind = TACIT_ITEM_ADMIT; // with a body
    cases[6] = (struct tacit_wire_item){
        .kind = TACIT_ITEM_ADMIT, .subject = TACIT_NODE_CLIENT, .session = 1, .number = 2};
    cases[7] = (struct tacit_wire_item){
        .kind = TACIT_ITEM_ADMIT, .session = 1, .number = TACIT_INCARNATION_MAX + 1ull};
    cases[8] = (struct tacit_wire_item){
        .kind = TACIT_ITEM_ADMIT, .session = TACIT_INCARNATION_MAX + 1ull, .number = 2};
    cases[9] = (struct tacit_wire_item){.kind = TACIT_ITEM_ADMIT, .session = 1, .number = 0};
    cases[10] = (struct tacit_wire_item){.kind = TACIT_ITEM_OPEN, .session = 1, .number = 1};
    cases[11] = good; // with padding that is not zero
    for (size_t i = 0; i < 12; i++) {
        uint8_t out[BUFFER];
        size_t used = 0;
        assert_true(tacit_wire_item_encode(out, sizeof out, &used, &cases[i]));
        if (i == 11) {
            out[used - 1] = 1;
        }
        struct tacit_wire_item item;
        size_t offset = 0;
        assert_int_equal(tacit_wire_item_decode(&item, out, used, &offset),
                         TACIT_VERDICT_MALFORMED);
        assert_int_equal(offset, 0);
    }
    // Lengths that would overflow a rounding.
    uint8_t out[BUFFER];
    size_t used = 0;
    assert_true(tacit_wire_item_encode(out, sizeof out, &used, &good));
    for (uint32_t back = 0; back < 40; back++) {
        uint32_t length = UINT32_MAX - back;
        memcpy(out + 4, &length, 4);
        struct tacit_wire_item item;
        size_t offset = 0;
        assert_int_equal(tacit_wire_item_decode(&item, out, used, &offset),
                         TACIT_VERDICT_MALFORMED);
    }
    size_t beyond = used + 8;
    struct tacit_wire_item item;
    assert_int_equal(tacit_wire_item_decode(&item, out, used, &beyond), TACIT_VERDICT_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request__has_the_documented_bytes),
        cmocka_unit_test(read__has_the_documented_bytes),
        cmocka_unit_test(reply__has_the_documented_bytes),
        cmocka_unit_test(item__has_the_documented_bytes),
        cmocka_unit_test(request__round_trips_and_refuses_the_rest),
        cmocka_unit_test(request__refuses_what_the_kind_forbids),
        cmocka_unit_test(encode__refuses_what_does_not_fit),
        cmocka_unit_test(reply__round_trips_and_refuses_the_rest),
        cmocka_unit_test(signed_request__is_the_unsigned_one_with_a_signature),
        cmocka_unit_test(result_digest__has_the_size_of_a_digest),
        cmocka_unit_test(members__round_trip),
        cmocka_unit_test(order__round_trips),
        cmocka_unit_test(item__batches_round_trip),
        cmocka_unit_test(item__refuses_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
