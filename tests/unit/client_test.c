// SPDX-License-Identifier: Apache-2.0
//
// The sans-I/O client against a fabric of plain memory in which the test plays the replicas: to
// whom it sends and when, what it does with each kind of answer, fail-over, and a random group that
// loses, repeats, moves its leader and restarts, in which every request must be executed once and
// in order. TACIT_ROUNDS: debug
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
    fake->request_shape =
        tacit_ring_shape(config.ring_slots, TACIT_WIRE_REQUEST_HEADER + config.request_bytes);
    fake->reply_shape =
        tacit_ring_shape(config.ring_slots, TACIT_WIRE_REPLY_HEADER + config.reply_bytes);
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

static void open__asks_all_and_then_the_one_that_answered(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session;
    assert_int_equal(tacit_client_session_open(fake->client, 5, 0, &session), TACIT_OK);
    assert_int_equal(submit(fake, session, "early", 1), TACIT_EINVAL);
    assert_int_equal(tacit_client_deadline(fake->client), 2 * MS);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        link_up(fake, i);
    }
    expect_quiet(fake);
    uint64_t nonce = open_nonce(fake, 0);
    assert_int_equal(open_nonce(fake, 1), nonce);
    assert_int_equal(open_nonce(fake, 2), nonce);
    reply_kind(fake, 0, TACIT_REPLY_HINT, 0, nonce, 1);
    reply_result(fake, 1, 77, nonce, "");
    expect_event(fake, TACIT_CLIENT_OPENED, 5);
    assert_int_equal(tacit_client_outstanding(fake->client), 0);
    assert_int_equal(tacit_client_deadline(fake->client), UINT64_MAX);
    assert_int_equal(submit(fake, session, "a", 6), TACIT_OK);
    expect_request(fake, 1, TACIT_REQUEST_APPLY, 1);
    expect_no_request(fake, 0);
    expect_no_request(fake, 2);
    assert_true(fake->rings[1] > 0);
    reply_result(fake, 1, 77, 1, "answer");
    struct tacit_client_event event = expect_event(fake, TACIT_CLIENT_RESULT, 6);
    assert_int_equal(event.status, TACIT_OK);
    assert_int_equal(event.index, 1001);
    assert_int_equal(event.number, 1);
    assert_int_equal(event.replica, 1);
    assert_int_equal(event.body_bytes, 6);
    assert_memory_equal(event.body, "answer", 6);
    expect_quiet(fake);
    fake_close(fake);
}

static void submit__keeps_to_the_window_and_the_limits(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t one = opened_as(fake, 1, 70);
    uint32_t two = opened_as(fake, 1, 71);
    char big[66] = {0};
    memset(big, 'x', 65);
    assert_int_equal(submit(fake, one, big, 1), TACIT_ETOOBIG);
    assert_int_equal(submit(fake, 12345, "a", 1), TACIT_ECLOSED);
    for (uint64_t i = 1; i <= 4; i++) {
        assert_int_equal(submit(fake, one, "a", i), TACIT_OK);
    }
    assert_int_equal(submit(fake, one, "a", 9), TACIT_EBUSY);
    // Answers in any order; the window moves with the oldest only.
    reply_result(fake, 1, 70, 3, "");
    reply_result(fake, 1, 70, 2, "");
    expect_event(fake, TACIT_CLIENT_RESULT, 3);
    expect_event(fake, TACIT_CLIENT_RESULT, 2);
    assert_int_equal(submit(fake, one, "a", 9), TACIT_EBUSY);
    reply_result(fake, 1, 70, 1, "");
    expect_event(fake, TACIT_CLIENT_RESULT, 1);
    for (uint64_t i = 5; i <= 7; i++) {
        assert_int_equal(submit(fake, one, "a", i), TACIT_OK);
    }
    // As many outstanding as the ring has slots, over all sessions.
    for (uint64_t i = 1; i <= 4; i++) {
        assert_int_equal(submit(fake, two, "b", 100 + i), TACIT_OK);
    }
    assert_int_equal(tacit_client_outstanding(fake->client), 8);
    uint32_t three;
    assert_int_equal(tacit_client_session_open(fake->client, 1, 0, &three), TACIT_EBUSY);
    reply_result(fake, 1, 71, 1, "");
    expect_event(fake, TACIT_CLIENT_RESULT, 101);
    assert_int_equal(tacit_client_session_open(fake->client, 1, 0, &three), TACIT_OK);
    assert_int_equal(tacit_client_session_open(fake->client, 1, 0, &three), TACIT_EBUSY);
    fake_close(fake);
}

static void request__goes_to_all_after_the_time_out_and_backs_off(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 2, 70);
    fake->now = 10 * MS;
    assert_int_equal(submit(fake, session, "a", 1), TACIT_OK);
    expect_request(fake, 2, TACIT_REQUEST_APPLY, 1);
    tacit_time_ns_t wait = 2 * MS;
    for (uint32_t round = 0; round < 8; round++) {
        tacit_time_ns_t due = fake->now + wait;
        assert_int_equal(tacit_client_deadline(fake->client), due);
        fake->now = due - 1;
        expect_quiet(fake);
        expect_no_request(fake, 2);
        fake->now = due;
        expect_quiet(fake);
        for (uint32_t i = 0; i < REPLICAS; i++) {
            expect_request(fake, i, TACIT_REQUEST_APPLY, 1);
            expect_no_request(fake, i);
        }
        wait = 2 * wait > 50 * MS ? 50 * MS : 2 * wait;
    }
    assert_int_equal(tacit_client_leader(fake->client, NULL), TACIT_NODE_NONE);
    assert_int_equal(tacit_client_counters(fake->client)->time_outs, 8);
    reply_result(fake, 0, 70, 1, "x");
    reply_result(fake, 1, 70, 1, "y");
    expect_event(fake, TACIT_CLIENT_RESULT, 1);
    expect_quiet(fake);
    assert_int_equal(tacit_client_counters(fake->client)->duplicates, 1);
    fake_close(fake);
}

static void time_out__grows_with_round_trips(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 2, 70);
    for (uint64_t i = 1; i <= 60; i++) {
        assert_int_equal(submit(fake, session, "a", i), TACIT_OK);
        fake->now += 10 * MS; // without a poll between
        reply_result(fake, 2, 70, i, "");
        expect_event(fake, TACIT_CLIENT_RESULT, i);
    }
    assert_int_equal(submit(fake, session, "a", 61), TACIT_OK);
    tacit_time_ns_t wait = tacit_client_deadline(fake->client) - fake->now;
    assert_in_range(wait, 9 * MS, 20 * MS);
    fake_close(fake);
}

static void down__of_the_leader_resends_at_once_to_the_others(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    assert_int_equal(submit(fake, session, "a", 1), TACIT_OK);
    assert_int_equal(submit(fake, session, "b", 2), TACIT_OK);
    fake->now += 10 * US;
    link_down(fake, 0);
    expect_quiet(fake);
    for (uint32_t i = 1; i < REPLICAS; i++) {
        expect_request(fake, i, TACIT_REQUEST_APPLY, 1);
        expect_request(fake, i, TACIT_REQUEST_APPLY, 2);
    }
    assert_int_equal(tacit_client_counters(fake->client)->fail_overs, 1);
    // Nobody leads yet: both are asked again soon, less often after a while, until one leads.
    tacit_time_ns_t last = fake->now;
    tacit_time_ns_t pause = 0;
    for (uint32_t round = 0; round < 40; round++) {
        for (uint32_t i = 1; i < REPLICAS; i++) {
            reply_kind(fake, i, TACIT_REPLY_HINT, 70, 1, round % 2 == 0 ? NOBODY : 0);
            reply_kind(fake, i, TACIT_REPLY_HINT, 70, 2, NOBODY);
        }
        expect_quiet(fake);
        tacit_time_ns_t due = tacit_client_deadline(fake->client);
        pause = due - last;
        if (round < 8) {
            assert_int_equal(pause, 100 * US);
        }
        assert_true(pause <= 2 * MS);
        last = fake->now = due;
        expect_quiet(fake);
        for (uint32_t i = 1; i < REPLICAS; i++) {
            expect_request(fake, i, TACIT_REQUEST_APPLY, 1);
            expect_request(fake, i, TACIT_REQUEST_APPLY, 2);
            expect_no_request(fake, i);
        }
    }
    assert_true(pause > 1 * MS);
    reply_result(fake, 2, 70, 2, "");
    reply_result(fake, 2, 70, 1, "");
    expect_event(fake, TACIT_CLIENT_RESULT, 2);
    expect_event(fake, TACIT_CLIENT_RESULT, 1);
    assert_int_equal(tacit_client_leader(fake->client, NULL), 2);
    fake_close(fake);
}

static void down__of_a_follower_changes_nothing(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    assert_int_equal(submit(fake, session, "a", 1), TACIT_OK);
    expect_request(fake, 0, TACIT_REQUEST_APPLY, 1);
    link_down(fake, 1);
    expect_quiet(fake);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        expect_no_request(fake, i);
    }
    assert_int_equal(tacit_client_leader(fake->client, NULL), 0);
    fake_close(fake);
}

static void hint__is_followed_once(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    assert_int_equal(submit(fake, session, "a", 1), TACIT_OK);
    expect_request(fake, 0, TACIT_REQUEST_APPLY, 1);
    reply_kind(fake, 0, TACIT_REPLY_HINT, 70, 1, 1);
    expect_quiet(fake);
    expect_request(fake, 1, TACIT_REQUEST_APPLY, 1);
    assert_int_equal(tacit_client_leader(fake->client, NULL), 1);
    // Each says that it is the other: no bouncing, but a new round after the pause.
    reply_kind(fake, 1, TACIT_REPLY_HINT, 70, 1, 0);
    expect_quiet(fake);
    expect_no_request(fake, 0);
    expect_no_request(fake, 1);
    assert_int_equal(tacit_client_deadline(fake->client), fake->now + 100 * US);
    fake->now += 100 * US;
    expect_quiet(fake);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        expect_request(fake, i, TACIT_REQUEST_APPLY, 1);
    }
    // Hints about nothing outstanding, from or to nonsense, are ignored.
    reply_kind(fake, 1, TACIT_REPLY_HINT, 70, 9, 2);
    reply_kind(fake, 1, TACIT_REPLY_HINT, 71, 1, 2);
    reply_kind(fake, 1, TACIT_REPLY_HINT, 70, 1, 1);
    reply_kind(fake, 1, TACIT_REPLY_HINT, 70, 1, TACIT_REPLICAS_MAX - 1);
    expect_quiet(fake);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        expect_no_request(fake, i);
    }
    fake_close(fake);
}

static void repeated_open_answer__is_not_taken_for_request_one(void **state)
{
    (void)state;
    struct tacit_client_config config = small_config();
    config.first_nonce = 1;
    struct fake *fake = fake_open(config);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        link_up(fake, i);
    }
    uint32_t session;
    expect_quiet(fake);
    assert_int_equal(tacit_client_session_open(fake->client, 5, 0, &session), TACIT_OK);
    uint64_t nonce = open_nonce(fake, 0);
    reply_result(fake, 0, 70, nonce, "");
    expect_event(fake, TACIT_CLIENT_OPENED, 5);
    assert_int_equal(submit(fake, session, "a", 1), TACIT_OK);
    reply_result(fake, 0, 70, nonce, "");
    expect_quiet(fake);
    assert_int_equal(tacit_client_counters(fake->client)->duplicates, 1);
    reply_result(fake, 0, 70, 1, "real");
    struct tacit_client_event event = expect_event(fake, TACIT_CLIENT_RESULT, 1);
    assert_int_equal(event.body_bytes, 4);
    fake_close(fake);
}

static void closed__fails_what_is_outstanding_oldest_first(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(submit(fake, session, "a", i), TACIT_OK);
    }
    reply_kind(fake, 0, TACIT_REPLY_CLOSED, 70, 2, NOBODY);
    for (uint64_t i = 1; i <= 3; i++) {
        struct tacit_client_event event = expect_event(fake, TACIT_CLIENT_RESULT, i);
        assert_int_equal(event.status, TACIT_ECLOSED);
        assert_int_equal(event.number, i);
        assert_int_equal(submit(fake, session, "a", 9), TACIT_ECLOSED);
    }
    struct tacit_client_event event = expect_event(fake, TACIT_CLIENT_CLOSED, 70);
    assert_int_equal(event.status, TACIT_ECLOSED);
    assert_int_equal(event.session, session);
    expect_quiet(fake);
    assert_int_equal(tacit_client_session_close(fake->client, session, 0), TACIT_ECLOSED);
    // The same table entry again, under a handle that the old one does not match.
    uint32_t again = opened_as(fake, 0, 90);
    assert_int_not_equal(again, session);
    assert_int_equal(submit(fake, session, "a", 9), TACIT_ECLOSED);
    assert_int_equal(submit(fake, again, "a", 9), TACIT_OK);
    fake_close(fake);
}

static void stale_and_too_big__are_told_apart(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(submit(fake, session, "a", i), TACIT_OK);
    }
    reply_kind(fake, 0, TACIT_REPLY_STALE, 70, 1, 0);
    reply_kind(fake, 0, TACIT_REPLY_TOO_BIG, 70, 2, 0);
    assert_int_equal(expect_event(fake, TACIT_CLIENT_RESULT, 1).status, TACIT_ENOENT);
    assert_int_equal(expect_event(fake, TACIT_CLIENT_RESULT, 2).status, TACIT_ETOOBIG);
    assert_int_equal(expect_event(fake, TACIT_CLIENT_RESULT, 3).status, TACIT_ECLOSED);
    assert_int_equal(expect_event(fake, TACIT_CLIENT_CLOSED, 70).status, TACIT_ETOOBIG);
    fake_close(fake);
}

static void close__waits_for_answers_and_is_repeated(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    assert_int_equal(submit(fake, session, "a", 1), TACIT_OK);
    expect_request(fake, 0, TACIT_REQUEST_APPLY, 1);
    assert_int_equal(tacit_client_session_close(fake->client, session, fake->now), TACIT_OK);
    assert_int_equal(tacit_client_session_close(fake->client, session, fake->now), TACIT_OK);
    assert_int_equal(submit(fake, session, "b", 2), TACIT_ECLOSED);
    expect_quiet(fake);
    expect_no_request(fake, 0);
    reply_result(fake, 0, 70, 1, "");
    expect_event(fake, TACIT_CLIENT_RESULT, 1);
    expect_request(fake, 0, TACIT_REQUEST_CLOSE, 2);
    fake->now = tacit_client_deadline(fake->client);
    expect_quiet(fake);
    expect_request(fake, 1, TACIT_REQUEST_CLOSE, 2);
    // The first CLOSE was executed; the repetition finds no session any more.
    reply_kind(fake, 1, TACIT_REPLY_CLOSED, 70, 2, 1);
    assert_int_equal(expect_event(fake, TACIT_CLIENT_CLOSED, 70).status, TACIT_OK);
    expect_quiet(fake);
    assert_int_equal(tacit_client_outstanding(fake->client), 0);

    // close() before OPENED.
    assert_int_equal(tacit_client_session_open(fake->client, 8, fake->now, &session), TACIT_OK);
    assert_int_equal(tacit_client_session_close(fake->client, session, fake->now), TACIT_OK);
    assert_int_equal(submit(fake, session, "b", 2), TACIT_ECLOSED);
    struct tacit_wire_request request = {0};
    while (request.kind != TACIT_REQUEST_OPEN) {
        assert_true(take_request(fake, 1, &request));
    }
    reply_result(fake, 1, 99, request.number, "");
    expect_event(fake, TACIT_CLIENT_OPENED, 8);
    expect_request(fake, 1, TACIT_REQUEST_CLOSE, 1);
    reply_result(fake, 1, 99, 1, "");
    assert_int_equal(expect_event(fake, TACIT_CLIENT_CLOSED, 8).status, TACIT_OK);
    fake_close(fake);
}

static void up__restarts_the_rings_and_brings_what_waits(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(submit(fake, session, "a", i), TACIT_OK);
    }
    for (uint32_t i = 0; i < REPLICAS; i++) {
        link_down(fake, i);
    }
    expect_quiet(fake);
    assert_int_equal(submit(fake, session, "a", 4), TACIT_OK);
    link_up(fake, 1);
    expect_quiet(fake);
    for (uint64_t i = 1; i <= 4; i++) {
        expect_request(fake, 1, TACIT_REQUEST_APPLY, i); // sequence numbers from 1 again
    }
    reply_result(fake, 1, 70, 2, "");
    expect_event(fake, TACIT_CLIENT_RESULT, 2);
    // Down and up again before anybody polled.
    link_down(fake, 1);
    link_up(fake, 1);
    expect_quiet(fake);
    expect_request(fake, 1, TACIT_REQUEST_APPLY, 1);
    expect_request(fake, 1, TACIT_REQUEST_APPLY, 3);
    expect_request(fake, 1, TACIT_REQUEST_APPLY, 4);
    expect_no_request(fake, 1);
    fake_close(fake);
}

static void regions__may_be_announced_late(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session;
    link_up(fake, 1);
    fake->replicas[1].announced = false;
    expect_quiet(fake);
    assert_int_equal(tacit_client_session_open(fake->client, 5, 0, &session), TACIT_OK);
    expect_quiet(fake);
    fake->replicas[1].announced = true;
    queue_event(fake, TACIT_EVENT_REGIONS, 1, false);
    expect_quiet(fake);
    uint64_t nonce = open_nonce(fake, 1);
    reply_result(fake, 1, 70, nonce, "");
    expect_event(fake, TACIT_CLIENT_OPENED, 5);
    fake_close(fake);
}

static void refused_post__leaves_no_hole_in_the_ring(void **state)
{
    (void)state;
    struct tacit_client_config config = small_config();
    config.request_bytes = 200000; // several posts
    struct fake *fake = fake_open(config);
    uint32_t session = opened_as(fake, 0, 70);
    char *body = malloc(200000);
    assert_non_null(body);
    memset(body, 'q', 200000);
    // A message takes 4 posts. Two tries at the leader fail, one of them in the middle.
    for (uint32_t i = 0; i < 4; i++) {
        body[0] = (char)i;
        fake->refuse_after = i;
        fake->refuse = 2;
        assert_int_equal(tacit_client_submit(fake->client, session, body, 200000, i, 0), TACIT_OK);
        assert_int_equal(fake->refuse, 0);
        if (i == 0) {
            expect_no_request(fake, 0);
        }
    }
    fake->now = tacit_client_deadline(fake->client);
    expect_quiet(fake);
    uint32_t seen = 0;
    struct tacit_wire_request request;
    while (take_request(fake, 0, &request)) {
        body[0] = (char)(request.number - 1);
        assert_int_equal(request.body_bytes, 200000);
        assert_memory_equal(request.body, body, 200000);
        seen |= 1u << request.number;
    }
    assert_int_equal(seen, 0x1e);
    assert_int_equal(fake->replicas[0].reader.lost, 0);
    assert_int_equal(tacit_client_counters(fake->client)->refused, 8);
    free(body);
    fake_close(fake);
}

static void malformed_replies__are_counted_and_skipped(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    assert_int_equal(submit(fake, session, "a", 1), TACIT_OK);
    reply_kind(fake, 0, 9, 70, 1, 0);
    reply_kind(fake, 0, TACIT_REPLY_RESULT, 70, 1, 77);
    reply_result(fake, 0, 70, 1, "ok");
    expect_event(fake, TACIT_CLIENT_RESULT, 1);
    assert_int_equal(tacit_client_counters(fake->client)->malformed, 2);
    fake_close(fake);
}

static void config__is_checked(void **state)
{
    (void)state;
    struct tacit_error error;
    for (uint32_t i = 0; i < 9; i++) {
        struct tacit_client_config config = small_config();
        config.draw = draw_zero;
        assert_int_equal(tacit_client_config_check(&config, &error), TACIT_OK);
        config.replicas = i == 0 ? 0 : i == 1 ? TACIT_REPLICAS_MAX + 1 : config.replicas;
        config.request_bytes = i == 2 ? 0 : config.request_bytes;
        config.reply_bytes = i == 3 ? UINT32_MAX : config.reply_bytes;
        config.ring_slots = i == 4 ? 0 : config.ring_slots;
        config.sessions = i == 5 ? 0 : config.sessions;
        config.pipeline = i == 6 ? 0 : config.pipeline;
        config.retry_ns = i == 7 ? 2 : 0;
        config.retry_max_ns = i == 7 ? 1 : 0;
        config.draw = i == 8 ? NULL : config.draw;
        error.text[0] = 0;
        assert_int_equal(tacit_client_config_check(&config, &error), TACIT_EINVAL);
        assert_true(strlen(error.text) > 20);
    }
}

// ---- a random group -------------------------------------------------------------------
//
// The group's state machine is shared by the replicas (agreement is tested elsewhere): a leader
// executes what it reads, others hint. Links break, replies get lost (a replica that dies after
// executing), leaders change. Checked: each request is executed once, in order; each answer fits
// its request.

enum { GROUP_SESSIONS = 400, GROUP_KEPT = 4 };

struct group_session {
    uint64_t nonce;
    uint64_t last; // number executed last
    bool closed;
};

struct group {
    struct fake *fake;
    struct group_session sessions[GROUP_SESSIONS];
    uint32_t opened;
    uint32_t leader;
    bool up[REPLICAS];
    struct tacit_wire_request held[REPLICAS][16];
    uint8_t faults; // rate of faults, of 256
};

static uint32_t random_below(struct fake *fake, uint32_t bound)
{
    fake->random = fake->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(fake->random >> 33) % bound;
}

static uint32_t draw_random(void *context, uint32_t bound)
{
    return random_below(context, bound);
}

static void group_execute(struct group *group, uint32_t replica,
                          const struct tacit_wire_request *request)
{
    struct fake *fake = group->fake;
    bool lose = random_below(fake, 256) < group->faults;
    if (request->kind == TACIT_REQUEST_OPEN) {
        uint32_t i = 0;
        while (i < group->opened && group->sessions[i].nonce != request->number) {
            i++;
        }
        assert_true(i < GROUP_SESSIONS);
        if (i == group->opened) {
            group->sessions[group->opened++] = (struct group_session){.nonce = request->number};
        }
        if (!lose) {
            reply_result(fake, replica, i, request->number, "");
        }
        return;
    }
    assert_true(request->session < group->opened);
    struct group_session *session = &group->sessions[request->session];
    if (session->closed) {
        if (request->kind == TACIT_REQUEST_APPLY) {
            // Only a repetition: the client closes when all is answered.
            assert_true(request->number <= session->last);
        }
        if (!lose) {
            reply_kind(fake, replica, TACIT_REPLY_CLOSED, request->session, request->number, 0);
        }
        return;
    }
    if (request->number > session->last + 1) {
        return; // ahead of its predecessor; comes again
    }
    if (request->number == session->last + 1) {
        session->last++;
        session->closed = request->kind == TACIT_REQUEST_CLOSE;
    } else if (request->number + GROUP_KEPT <= session->last) {
        // Older than the replies that are kept: a correct client has its answer already.
        if (!lose) {
            reply_kind(fake, replica, TACIT_REPLY_STALE, request->session, request->number, 0);
        }
        return;
    }
    char body[32] = "";
    if (request->kind == TACIT_REQUEST_APPLY) {
        assert_int_equal(request->body_bytes, 8);
        memcpy(body, request->body, 8);
    }
    if (!lose) {
        reply_result(fake, replica, request->session, request->number, body);
    }
}

static void group_step(struct group *group)
{
    struct fake *fake = group->fake;
    for (uint32_t i = 0; i < REPLICAS; i++) {
        struct tacit_wire_request request;
        while (group->up[i] && random_below(fake, 4) != 0 && take_request(fake, i, &request)) {
            uint8_t body[64];
            memcpy(body, request.body, request.body_bytes);
            request.body = body; // the scratch buffer is used by the reply
            if (i == group->leader) {
                group_execute(group, i, &request);
            } else {
                reply_kind(fake, i, TACIT_REPLY_HINT, request.session, request.number,
                           random_below(fake, 3) == 0 ? NOBODY : (uint8_t)group->leader);
            }
        }
        if (random_below(fake, 1024) < group->faults) {
            if (group->up[i]) {
                link_down(fake, i);
            } else {
                link_up(fake, i);
            }
            group->up[i] = !group->up[i];
        }
    }
    if (random_below(fake, 512) < group->faults) {
        group->leader = random_below(fake, REPLICAS);
    }
}

enum { USERS = 3, USER_REQUESTS = 30 };

struct user {
    uint32_t session;
    enum { USER_IDLE, USER_OPENING, USER_OPEN, USER_CLOSING } state;
    uint64_t sent; // of this session
    uint64_t answered;
    uint32_t rounds;
};

static void user_step(struct fake *fake, struct user *user, uint64_t who)
{
    if (user->state == USER_IDLE && user->rounds < 3) {
        if (tacit_client_session_open(fake->client, who, fake->now, &user->session) == TACIT_OK) {
            *user = (struct user){
                .session = user->session, .state = USER_OPENING, .rounds = user->rounds + 1};
        }
    }
    if (user->state == USER_OPEN && user->sent < USER_REQUESTS) {
        char body[9] = "";
        uint64_t token = who << 32 | (user->sent + 1);
        for (uint32_t i = 0; i < 8; i++) {
            body[i] = (char)('a' + (token * 31 >> i) % 26);
        }
        if (submit(fake, user->session, body, token) == TACIT_OK) {
            user->sent++;
        }
    }
    if (user->state == USER_OPEN && user->sent == USER_REQUESTS) {
        assert_int_equal(tacit_client_session_close(fake->client, user->session, fake->now),
                         TACIT_OK);
        user->state = USER_CLOSING;
    }
}

static void user_event(struct user *users, const struct tacit_client_event *event)
{
    if (event->kind == TACIT_CLIENT_RESULT) {
        struct user *user = &users[event->token >> 32];
        assert_int_equal(event->status, TACIT_OK);
        assert_int_equal(event->session, user->session);
        assert_int_equal(event->number, event->token & 0xffffffff);
        assert_int_equal(event->body_bytes, 8);
        for (uint32_t i = 0; i < 8; i++) {
            assert_int_equal(event->body[i], 'a' + (event->token * 31 >> i) % 26);
        }
        user->answered++;
        return;
    }
    struct user *user = &users[event->token];
    assert_int_equal(event->session, user->session);
    if (event->kind == TACIT_CLIENT_OPENED) {
        assert_int_equal(user->state, USER_OPENING);
        user->state = USER_OPEN;
    } else {
        assert_int_equal(event->kind, TACIT_CLIENT_CLOSED);
        assert_int_equal(event->status, TACIT_OK);
        assert_int_equal(user->answered, USER_REQUESTS);
        user->state = USER_IDLE;
    }
}

static void random_group__executes_everything_once(void **state)
{
    (void)state;
    uint64_t resent = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct tacit_client_config config = small_config();
        config.draw = draw_random;
        struct fake *fake = fake_open(config);
        fake->random = seed;
        struct group group = {.fake = fake, .faults = (uint8_t)(seed % 4 * 20)};
        struct user users[USERS] = {0};
        bool done = false;
        for (uint32_t step = 0; step < 200000 && !done; step++) {
            if (step == 3000) { // heal
                group.faults = 0;
                for (uint32_t i = 0; i < REPLICAS; i++) {
                    if (!group.up[i]) {
                        link_up(fake, i);
                        group.up[i] = true;
                    }
                }
            }
            if (step == 0) {
                link_up(fake, 1);
                group.up[1] = true;
            }
            fake->now += random_below(fake, 100) * US;
            group_step(&group);
            done = true;
            for (uint64_t i = 0; i < USERS; i++) {
                user_step(fake, &users[i], i);
                done = done && users[i].state == USER_IDLE;
            }
            struct tacit_client_event event;
            for (uint32_t i = 0; i < 8 && poll_once(fake, &event); i++) {
                user_event(users, &event);
            }
        }
        assert_true(done);
        assert_int_equal(group.opened, USERS * 3);
        for (uint32_t i = 0; i < group.opened; i++) {
            assert_true(group.sessions[i].closed);
            assert_int_equal(group.sessions[i].last, USER_REQUESTS + 1);
        }
        resent += tacit_client_counters(fake->client)->resent;
        assert_int_equal(tacit_client_counters(fake->client)->malformed, 0);
        fake_close(fake);
    }
    assert_true(resent > 1000); // the faults were real
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open__asks_all_and_then_the_one_that_answered),
        cmocka_unit_test(submit__keeps_to_the_window_and_the_limits),
        cmocka_unit_test(request__goes_to_all_after_the_time_out_and_backs_off),
        cmocka_unit_test(time_out__grows_with_round_trips),
        cmocka_unit_test(down__of_the_leader_resends_at_once_to_the_others),
        cmocka_unit_test(down__of_a_follower_changes_nothing),
        cmocka_unit_test(hint__is_followed_once),
        cmocka_unit_test(repeated_open_answer__is_not_taken_for_request_one),
        cmocka_unit_test(closed__fails_what_is_outstanding_oldest_first),
        cmocka_unit_test(stale_and_too_big__are_told_apart),
        cmocka_unit_test(close__waits_for_answers_and_is_repeated),
        cmocka_unit_test(up__restarts_the_rings_and_brings_what_waits),
        cmocka_unit_test(regions__may_be_announced_late),
        cmocka_unit_test(refused_post__leaves_no_hole_in_the_ring),
        cmocka_unit_test(malformed_replies__are_counted_and_skipped),
        cmocka_unit_test(config__is_checked),
        cmocka_unit_test(random_group__executes_everything_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
