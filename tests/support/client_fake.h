// SPDX-License-Identifier: Apache-2.0
//
// A fabric of plain memory in which a test plays the replicas of a client: takes what the client
// wrote into their request rings, writes replies, breaks and makes connections. Shared by the tests
// of core/client.
#ifndef TACIT_TEST_CLIENT_FAKE_H
#define TACIT_TEST_CLIENT_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tacit/client_core.h"
#include "tacit/ring.h"
#include "tacit/wire.h"

// Not every test uses every helper.
#pragma GCC diagnostic ignored "-Wunused-function"

#define US 1000ull
#define MS (1000 * US)

enum { REPLICAS = 3, QUEUE = 64, NOBODY = TACIT_WIRE_NO_LEADER };

struct fake_replica {
    uint8_t *requests; // its memory: the client's request ring
    uint8_t *replies;  // the client's memory: its reply ring
    struct tacit_ring_reader reader;
    uint64_t reply_sequence;
    bool announced; // region() and local() know the rings
};

struct fake {
    struct tacit_fabric fabric; // first: the client passes it back
    struct tacit_ring_shape request_shape;
    struct tacit_ring_shape reply_shape;
    struct fake_replica replicas[REPLICAS];
    struct tacit_event queue[QUEUE];
    size_t queued;
    uint32_t refuse_after; // this many posts go well, then
    uint32_t refuse;       // this many fail
    uint32_t rings[REPLICAS];
    struct tacit_client *client;
    struct tacit_client_config config;
    void *memory;
    tacit_time_ns_t now;
    uint8_t *scratch;
    uint64_t random;
};

static bool fake_post(struct tacit_fabric *fabric, const struct tacit_op *op)
{
    struct fake *fake = (struct fake *)fabric;
    assert_int_equal(op->kind, TACIT_OP_WRITE);
    assert_int_equal(op->plane, TACIT_PLANE_DATA);
    assert_int_equal(op->flags, TACIT_OP_QUIET);
    assert_int_equal(op->region, op->host + 7);
    assert_true(op->bytes > 0 && op->bytes % 8 == 0 && op->bytes <= TACIT_OP_QUIET_BYTES);
    assert_true(op->offset % 8 == 0 &&
                op->offset + op->bytes <= tacit_ring_bytes(fake->request_shape));
    assert_int_equal(TACIT_COOKIE_OWNER(op->cookie), TACIT_COOKIE_CLIENT);
    assert_int_equal((uintptr_t)op->local % 8, 0);
    assert_true(op->host < REPLICAS);
    if (fake->refuse > 0 && fake->refuse_after > 0) {
        fake->refuse_after--;
    } else if (fake->refuse > 0) {
        fake->refuse--;
        return false;
    }
    memcpy(fake->replicas[op->host].requests + op->offset, op->local, op->bytes);
    return true;
}

static size_t fake_poll(struct tacit_fabric *fabric, struct tacit_event *events, size_t max)
{
    struct fake *fake = (struct fake *)fabric;
    size_t count = fake->queued < max ? fake->queued : max;
    memcpy(events, fake->queue, count * sizeof *events);
    memmove(fake->queue, fake->queue + count, (fake->queued - count) * sizeof *events);
    fake->queued -= count;
    return count;
}

static void fake_ring(struct tacit_fabric *fabric, tacit_node_t host)
{
    ((struct fake *)fabric)->rings[host]++;
}

static int32_t fake_region(struct tacit_fabric *fabric, tacit_node_t host,
                           struct tacit_region_key key)
{
    struct fake *fake = (struct fake *)fabric;
    assert_int_equal(key.region_class, TACIT_REGION_REQUESTS);
    assert_int_equal(key.owner, TACIT_NODE_SELF);
    return fake->replicas[host].announced ? host + 7 : -1;
}

static void *fake_local(struct tacit_fabric *fabric, struct tacit_region_key key, size_t *bytes)
{
    struct fake *fake = (struct fake *)fabric;
    assert_int_equal(key.region_class, TACIT_REGION_REPLIES);
    assert_true(key.owner < REPLICAS);
    *bytes = tacit_ring_bytes(fake->reply_shape);
    return fake->replicas[key.owner].announced ? fake->replicas[key.owner].replies : NULL;
}

static void fake_attach(struct tacit_fabric *fabric, void *base, size_t bytes)
{
    struct fake *fake = (struct fake *)fabric;
    assert_ptr_equal(base, fake->memory);
    assert_int_equal(bytes, tacit_client_size(&fake->config));
}

static const struct tacit_fabric_ops fake_ops = {.post = fake_post,
                                                 .poll = fake_poll,
                                                 .ring = fake_ring,
                                                 .region = fake_region,
                                                 .local = fake_local,
                                                 .attach = fake_attach};

static uint32_t draw_zero(void *context, uint32_t bound)
{
    (void)context;
    assert_true(bound > 0);
    return 0;
}

static void queue_event(struct fake *fake, uint8_t kind, tacit_node_t node, bool certain)
{
    assert_true(fake->queued < QUEUE);
    fake->queue[fake->queued++] =
        (struct tacit_event){.kind = kind, .node = node, .certain = certain, .incarnation = 1};
}

static void link_up(struct fake *fake, uint32_t replica)
{
    struct fake_replica *r = &fake->replicas[replica];
    memset(r->requests, 0, tacit_ring_bytes(fake->request_shape));
    memset(r->replies, 0, tacit_ring_bytes(fake->reply_shape));
    tacit_ring_reader_init(&r->reader, fake->request_shape, r->requests);
    r->reply_sequence = 0;
    r->announced = true;
    queue_event(fake, TACIT_EVENT_UP, (tacit_node_t)replica, false);
}

static void link_down(struct fake *fake, uint32_t replica)
{
    fake->replicas[replica].announced = false;
    queue_event(fake, TACIT_EVENT_DOWN, (tacit_node_t)replica, true);
}

static struct fake *fake_open(struct tacit_client_config config)
{
    struct fake *fake = calloc(1, sizeof *fake);
    assert_non_null(fake);
    config.draw = config.draw == NULL ? draw_zero : config.draw;
    config.draw_context = fake;
    fake->config = config;
    fake->fabric.ops = &fake_ops;
    assert_int_equal(tacit_client_config_check(&config, NULL), TACIT_OK);
    fake->request_shape = tacit_ring_shape(
        config.ring_slots, tacit_wire_request_max(config.request_bytes, config.byzantine));
    fake->reply_shape = tacit_ring_shape(
        config.ring_slots, tacit_wire_reply_max(config.reply_bytes, config.byzantine));
    assert_int_equal(tacit_client_layout(&config).replies_bytes,
                     tacit_ring_bytes(fake->reply_shape));
    for (uint32_t i = 0; i < REPLICAS; i++) {
        fake->replicas[i].requests = aligned_alloc(64, tacit_ring_bytes(fake->request_shape));
        fake->replicas[i].replies = aligned_alloc(64, tacit_ring_bytes(fake->reply_shape));
        assert_non_null(fake->replicas[i].requests);
        assert_non_null(fake->replicas[i].replies);
    }
    size_t slot = fake->request_shape.slot_bytes > fake->reply_shape.slot_bytes
                      ? fake->request_shape.slot_bytes
                      : fake->reply_shape.slot_bytes;
    fake->scratch = aligned_alloc(64, slot);
    fake->memory = aligned_alloc(64, tacit_client_size(&config));
    assert_non_null(fake->scratch);
    assert_non_null(fake->memory);
    tacit_client_init(&fake->client, fake->memory, &config, &fake->fabric);
    assert_null(tacit_client_check(fake->client));
    return fake;
}

static void fake_close(struct fake *fake)
{
    for (uint32_t i = 0; i < REPLICAS; i++) {
        free(fake->replicas[i].requests);
        free(fake->replicas[i].replies);
    }
    free(fake->scratch);
    free(fake->memory);
    free(fake);
}

static struct tacit_client_config small_config(void)
{
    return (struct tacit_client_config){.replicas = REPLICAS,
                                        .request_bytes = 64,
                                        .reply_bytes = 64,
                                        .ring_slots = 8,
                                        .sessions = 3,
                                        .pipeline = 4,
                                        .first_nonce = 100};
}

// Next request that a replica finds in its ring.
static bool take_request(struct fake *fake, uint32_t replica, struct tacit_wire_request *request)
{
    uint32_t bytes;
    if (tacit_ring_read(&fake->replicas[replica].reader, fake->scratch, &bytes) !=
        TACIT_VERDICT_OK) {
        return false;
    }
    assert_int_equal(tacit_wire_request_decode(request, fake->scratch + TACIT_RING_HEADER, bytes),
                     TACIT_VERDICT_OK);
    return true;
}

static void expect_request(struct fake *fake, uint32_t replica, uint8_t kind, uint64_t number)
{
    struct tacit_wire_request request;
    assert_true(take_request(fake, replica, &request));
    assert_int_equal(request.kind, kind);
    if (kind != TACIT_REQUEST_OPEN) {
        assert_int_equal(request.number, number);
    }
}

static void expect_no_request(struct fake *fake, uint32_t replica)
{
    struct tacit_wire_request request;
    assert_false(take_request(fake, replica, &request));
}

static void reply(struct fake *fake, uint32_t replica, struct tacit_wire_reply message)
{
    struct fake_replica *r = &fake->replicas[replica];
    uint64_t sequence = ++r->reply_sequence;
    uint32_t max = fake->reply_shape.slot_bytes - TACIT_RING_HEADER;
    size_t bytes = tacit_wire_reply_encode(fake->scratch + TACIT_RING_HEADER, max, &message);
    assert_true(bytes > 0);
    uint32_t sealed = tacit_ring_seal(fake->reply_shape, sequence, fake->scratch, (uint32_t)bytes);
    memcpy(r->replies + tacit_ring_offset(fake->reply_shape, sequence), fake->scratch, sealed);
}

static void reply_result(struct fake *fake, uint32_t replica, uint64_t session, uint64_t number,
                         const char *body)
{
    reply(fake, replica,
          (struct tacit_wire_reply){.kind = TACIT_REPLY_RESULT,
                                    .leader = (uint8_t)replica,
                                    .session = session,
                                    .number = number,
                                    .index = 1000 + number % 1000,
                                    .body = (const uint8_t *)body,
                                    .body_bytes = (uint32_t)strlen(body)});
}

static void reply_kind(struct fake *fake, uint32_t replica, uint8_t kind, uint64_t session,
                       uint64_t number, uint8_t leader)
{
    reply(fake, replica,
          (struct tacit_wire_reply){
              .kind = kind, .leader = leader, .session = session, .number = number});
}

static bool poll_once(struct fake *fake, struct tacit_client_event *event)
{
    bool any = tacit_client_poll(fake->client, fake->now, event);
    const char *broken = tacit_client_check(fake->client);
    if (broken != NULL) {
        fail_msg("%s", broken);
    }
    return any;
}

static void expect_quiet(struct fake *fake)
{
    struct tacit_client_event event;
    assert_false(poll_once(fake, &event));
}

static struct tacit_client_event expect_event(struct fake *fake, uint8_t kind, uint64_t token)
{
    struct tacit_client_event event;
    assert_true(poll_once(fake, &event));
    assert_int_equal(event.kind, kind);
    assert_int_equal(event.token, token);
    return event;
}

static uint64_t open_nonce(struct fake *fake, uint32_t replica)
{
    struct tacit_wire_request request;
    assert_true(take_request(fake, replica, &request));
    assert_int_equal(request.kind, TACIT_REQUEST_OPEN);
    return request.number;
}

static void drain_requests(struct fake *fake)
{
    struct tacit_wire_request request;
    for (uint32_t i = 0; i < REPLICAS; i++) {
        while (take_request(fake, i, &request)) {
        }
    }
}

// All replicas up, `leader` leads, one session (its number in the group: `id`) is open.
static uint32_t opened_as(struct fake *fake, uint32_t leader, uint64_t id)
{
    uint32_t session;
    uint32_t up;
    (void)tacit_client_leader(fake->client, &up);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        if ((up >> i & 1) == 0) {
            link_up(fake, i);
        }
    }
    expect_quiet(fake);
    drain_requests(fake);
    assert_int_equal(tacit_client_session_open(fake->client, id, fake->now, &session), TACIT_OK);
    uint64_t nonce = open_nonce(fake, leader);
    drain_requests(fake);
    reply_result(fake, leader, id, nonce, "");
    struct tacit_client_event event = expect_event(fake, TACIT_CLIENT_OPENED, id);
    assert_int_equal(event.session, session);
    assert_int_equal(event.wire_session, id);
    assert_int_equal(tacit_client_leader(fake->client, NULL), leader);
    return session;
}

static enum tacit_status submit(struct fake *fake, uint32_t session, const char *body,
                                uint64_t token)
{
    return tacit_client_submit(fake->client, session, body, strlen(body), token, fake->now);
}

#endif
