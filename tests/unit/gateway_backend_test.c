// SPDX-License-Identifier: Apache-2.0
//
// The gateway's backend over a channel whose group is one replica inside this process, which
// executes the key-value store and can be told to be silent, to lose answers, and to end sessions:
// what travels together, the order of a connection's commands, each once, sessions that end, what
// is taken back after a time-out, how much is taken at most.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/client/channel.h"
#include "apps/gateway/cluster_backend.h"
#include "apps/gateway/front.h"
#include "apps/kv/kv.h"
#include "apps/kv/kv_wire.h"
#include "tacit/ring.h"
#include "tacit/wire.h"

enum {
    SLOTS = 64,
    REQUEST = 512,
    REPLY = 600,
    WIRE = 1024, // a slot
    SESSIONS = 2,
    PIPELINE = 3,
    CONNECTIONS = 5,
    FRONT_PIPELINE = 16,
    OPENED_MAX = 256,
    OUT = 1 << 16
};
#define TIMEOUT_NS 1000000000ull

struct group_session {
    uint64_t nonce; // of the OPEN
    bool closed;
    uint64_t last;
    uint8_t replies[PIPELINE][REPLY];
    uint32_t reply_bytes[PIPELINE];
};

// A group of one, and the fabric to it.
struct group {
    struct tacit_fabric fabric; // first
    struct tacit_app_host host;
    struct tacit_ring_shape request_shape, reply_shape;
    _Alignas(64) uint8_t requests[SLOTS * WIRE];
    _Alignas(64) uint8_t replies[SLOTS * WIRE];
    struct tacit_ring_reader reader;
    uint64_t reply_sequence;
    bool announced, mute;
    uint32_t lose; // so many answers yet
    struct group_session sessions[OPENED_MAX];
    uint32_t session_count, closed_by_client;
    uint32_t batches, singles, reads; // executed
    uint32_t largest;                 // commands of a batch
};

static tacit_time_ns_t now;

static tacit_time_ns_t clock_now(void)
{
    return now += 100;
}

static void touch(struct tacit_app_host *host, const void *address, size_t bytes)
{
    (void)host;
    (void)address;
    (void)bytes;
}

static void count_request(struct group *group, const struct tacit_wire_request *request)
{
    struct tacit_kv_request batch;
    if (tacit_kv_batch_decode(&batch, request->body, request->body_bytes) == TACIT_VERDICT_OK) {
        group->batches++;
        assert_true(batch.arguments > 1); // one alone is sent as itself
        group->largest = batch.arguments > group->largest ? batch.arguments : group->largest;
    } else {
        group->singles++;
    }
}

static void answer(struct group *group, const struct tacit_wire_request *request)
{
    _Alignas(8) uint8_t slot[WIRE];
    uint8_t body[REPLY];
    struct tacit_wire_reply reply = {.kind = TACIT_REPLY_RESULT,
                                     .session = request->session,
                                     .number = request->number,
                                     .index = 1,
                                     .body = body};
    struct tacit_request call = {.bytes = request->body, .size = request->body_bytes};
    if (request->kind == TACIT_REQUEST_OPEN) {
        uint32_t at = 0;
        while (at < group->session_count && group->sessions[at].nonce != request->number) {
            at++;
        }
        assert_true(at < OPENED_MAX);
        group->sessions[at].nonce = request->number;
        group->session_count += at == group->session_count;
        reply.session = 1000 + at;
    } else {
        assert_true(request->session >= 1000 && request->session < 1000 + group->session_count);
        struct group_session *session = &group->sessions[request->session - 1000];
        uint32_t place = (uint32_t)(request->number % PIPELINE);
        if (session->closed && request->kind != TACIT_REQUEST_CLOSE) {
            reply.kind = TACIT_REPLY_CLOSED;
        } else if (request->kind == TACIT_REQUEST_CLOSE) {
            group->closed_by_client += !session->closed;
            session->closed = true;
        } else if (request->kind == TACIT_REQUEST_READ) {
            assert_true(request->after <= session->last);
            count_request(group, request);
            group->reads++;
            reply.body_bytes = (uint32_t)tacit_kv_app.query(&group->host, &call, body, sizeof body);
        } else {
            if (request->number > session->last) { // else it was executed before
                assert_int_equal(request->number, session->last + 1);
                session->last++;
                count_request(group, request);
                session->reply_bytes[place] = (uint32_t)tacit_kv_app.apply(
                    &group->host, &call, session->replies[place], REPLY);
            }
            assert_true(request->number + PIPELINE > session->last);
            reply.body = session->replies[place];
            reply.body_bytes = session->reply_bytes[place];
        }
    }
    if (group->lose > 0) {
        group->lose--;
        return;
    }
    size_t size = tacit_wire_reply_encode(
        slot + TACIT_RING_HEADER, group->reply_shape.slot_bytes - TACIT_RING_HEADER, &reply);
    assert_true(size > 0);
    uint64_t sequence = ++group->reply_sequence;
    uint32_t bytes = tacit_ring_seal(group->reply_shape, sequence, slot, (uint32_t)size);
    memcpy(group->replies + tacit_ring_offset(group->reply_shape, sequence), slot, bytes);
}

static bool group_post(struct tacit_fabric *fabric, const struct tacit_op *op)
{
    memcpy(((struct group *)fabric)->requests + op->offset, op->local, op->bytes);
    return true;
}

static size_t group_poll(struct tacit_fabric *fabric, struct tacit_event *events, size_t max)
{
    struct group *group = (struct group *)fabric;
    assert_true(max > 0);
    if (!group->announced) {
        group->announced = true;
        events[0] = (struct tacit_event){.kind = TACIT_EVENT_UP, .incarnation = 1};
        return 1;
    }
    _Alignas(8) uint8_t slot[WIRE];
    uint32_t length;
    while (!group->mute && tacit_ring_read(&group->reader, slot, &length) == TACIT_VERDICT_OK) {
        struct tacit_wire_request request;
        assert_int_equal(tacit_wire_request_decode(&request, slot + TACIT_RING_HEADER, length),
                         TACIT_VERDICT_OK);
        answer(group, &request);
    }
    return 0;
}

static void group_ring(struct tacit_fabric *fabric, tacit_node_t host)
{
    (void)fabric;
    (void)host;
}

static int32_t group_region(struct tacit_fabric *fabric, tacit_node_t host,
                            struct tacit_region_key key)
{
    (void)fabric;
    (void)key;
    return host;
}

static void *group_local(struct tacit_fabric *fabric, struct tacit_region_key key, size_t *bytes)
{
    (void)key;
    *bytes = sizeof((struct group *)fabric)->replies;
    return ((struct group *)fabric)->replies;
}

static void group_attach(struct tacit_fabric *fabric, void *base, size_t bytes)
{
    (void)fabric;
    (void)base;
    (void)bytes;
}

static const struct tacit_fabric_ops group_ops = {.post = group_post,
                                                  .poll = group_poll,
                                                  .ring = group_ring,
                                                  .region = group_region,
                                                  .local = group_local,
                                                  .attach = group_attach};

struct rig {
    struct group group;
    struct tacit_channel *channel;
    struct tacit_cluster_backend backend;
    struct tacit_front *front;
    char out[CONNECTIONS][OUT];
    size_t out_bytes[CONNECTIONS];
};

static struct rig *rig_open(uint32_t lanes)
{
    struct rig *rig = aligned_alloc(64, (sizeof *rig + 63) / 64 * 64);
    assert_non_null(rig);
    memset(rig, 0, sizeof *rig);
    struct group *group = &rig->group;
    group->fabric.ops = &group_ops;
    group->request_shape = tacit_ring_shape(SLOTS, tacit_wire_request_max(REQUEST, false));
    group->reply_shape = tacit_ring_shape(SLOTS, tacit_wire_reply_max(REPLY, false));
    assert_true(group->request_shape.slot_bytes <= WIRE && group->reply_shape.slot_bytes <= WIRE);
    tacit_ring_reader_init(&group->reader, group->request_shape, group->requests);
    group->host = (struct tacit_app_host){
        .arena = aligned_alloc(TACIT_PAGE_BYTES, 1 << 18), .arena_bytes = 1 << 18, .touch = touch};
    assert_non_null(group->host.arena);
    memset(group->host.arena, 0, 1 << 18);
    assert_int_equal(tacit_kv_app.init(&group->host, "", NULL), TACIT_OK);
    struct tacit_channel_parts parts = {.client = {.replicas = 1,
                                                   .request_bytes = REQUEST,
                                                   .reply_bytes = REPLY,
                                                   .ring_slots = SLOTS,
                                                   .sessions = lanes,
                                                   .pipeline = PIPELINE},
                                        .fabric = &group->fabric,
                                        .now_ns = clock_now};
    struct tacit_error error;
    assert_int_equal(tacit_channel_build(&parts, &rig->channel, &error), TACIT_OK);
    assert_true(
        tacit_cluster_backend_open(&rig->backend, rig->channel, CONNECTIONS, TACIT_BACKEND_LANES));
    struct tacit_front_config config = {.connections = CONNECTIONS,
                                        .pipeline = FRONT_PIPELINE,
                                        .request_bytes = REQUEST,
                                        .reply_bytes = REPLY,
                                        .timeout_ns = TIMEOUT_NS};
    struct tacit_front_backend ops = tacit_cluster_backend_ops(&rig->backend);
    rig->front = tacit_front_open(&config, &ops);
    assert_non_null(rig->front);
    rig->backend.front = rig->front;
    return rig;
}

static void rig_close(struct rig *rig)
{
    tacit_front_close(rig->front);
    tacit_cluster_backend_close(&rig->backend);
    tacit_channel_close(rig->channel);
    free(rig->group.host.arena);
    free(rig);
}

static void take_output(struct rig *rig, uint32_t connection)
{
    size_t size;
    const uint8_t *bytes;
    while ((bytes = tacit_front_output(rig->front, connection, &size)), size > 0) {
        size_t *used = &rig->out_bytes[connection];
        assert_true(*used + size < OUT);
        memcpy(rig->out[connection] + *used, bytes, size);
        *used += size;
        rig->out[connection][*used] = '\0';
        tacit_front_sent(rig->front, connection, size);
    }
}

// As the server's loop does it.
static void turn(struct rig *rig)
{
    uint32_t index;
    now += 1000;
    (void)tacit_cluster_backend_poll(&rig->backend, 1000);
    while ((index = tacit_front_changed(rig->front)) != TACIT_FRONT_NONE) {
        take_output(rig, index);
    }
    tacit_cluster_backend_flush(&rig->backend);
}

static void turns(struct rig *rig, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        turn(rig);
    }
}

// Gives input to a connection as far as there is room; returns how much it took.
static size_t put(struct rig *rig, uint32_t connection, const char *text)
{
    size_t room;
    uint8_t *to = tacit_front_input(rig->front, connection, &room);
    size_t size = strlen(text) < room ? strlen(text) : room;
    memcpy(to, text, size);
    tacit_front_received(rig->front, connection, size);
    return size;
}

static void say(struct rig *rig, uint32_t connection, const char *text)
{
    rig->out_bytes[connection] = 0;
    rig->out[connection][0] = '\0';
    assert_int_equal(put(rig, connection, text), strlen(text));
}

static void connect_all(struct rig *rig)
{
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(tacit_front_accept(rig->front), i);
    }
    turns(rig, 5);
}

static void commands__travel_together(void **state)
{
    (void)state;
    struct rig *rig = rig_open(1);
    connect_all(rig);
    assert_int_equal(rig->group.session_count, 1);
    // At once, in one turn, from several connections: one request. The next ones wait for its
    // answer and are one again.
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < CONNECTIONS; i++) {
            say(rig, i, "INCR n\r\n");
        }
        tacit_cluster_backend_flush(&rig->backend);
    }
    turns(rig, 5);
    assert_int_equal(rig->group.batches, 2);
    assert_int_equal(rig->group.singles, 0);
    assert_int_equal(rig->group.largest, CONNECTIONS);
    assert_string_equal(rig->out[0], ":1\r\n:6\r\n");
    assert_string_equal(rig->out[4], ":5\r\n:10\r\n");
    // One alone goes as it is, at once.
    say(rig, 0, "INCR n\r\n");
    tacit_cluster_backend_flush(&rig->backend);
    turns(rig, 2);
    assert_string_equal(rig->out[0], ":11\r\n");
    assert_int_equal(rig->group.singles, 1);
    // Reads only: a read. One write among them: none.
    say(rig, 0, "GET n\r\nSTRLEN n\r\n");
    say(rig, 1, "EXISTS n\r\n");
    turns(rig, 5);
    assert_int_equal(rig->group.reads, 1);
    say(rig, 0, "GET n\r\nINCR n\r\nGET n\r\n");
    turns(rig, 5);
    assert_int_equal(rig->group.reads, 1);
    assert_int_equal(rig->group.batches, 4);
    assert_string_equal(rig->out[0], "$2\r\n11\r\n:12\r\n$2\r\n12\r\n");
    rig_close(rig);
}

static void lanes__are_opened_and_closed_with_their_connections(void **state)
{
    (void)state;
    struct rig *rig = rig_open(SESSIONS);
    connect_all(rig);
    assert_int_equal(rig->group.session_count, SESSIONS);
    // Who goes has its commands executed all the same.
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        say(rig, i, "INCR n\r\n");
        tacit_front_release(rig->front, i);
    }
    turns(rig, 10);
    assert_int_equal(rig->group.closed_by_client, SESSIONS);
    assert_int_equal(tacit_channel_outstanding(rig->channel), 0);
    connect_all(rig);
    assert_int_equal(rig->group.session_count, 2 * SESSIONS);
    say(rig, 3, "GET n\r\n");
    turns(rig, 5);
    assert_string_equal(rig->out[3], "$1\r\n5\r\n");
    rig_close(rig);
}

// A value of which a reply holds one: what is cut off is sent again, before what came later.
static void cut_batch__goes_on_in_order(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 60, 100, 300, 400, REPLY - 20, REPLY - 3};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct rig *rig = rig_open(1);
        connect_all(rig);
        char value[REPLY + 1];
        char text[2 * REPLY];
        char expected[8 * REPLY];
        // Appended, as a request has not the room for all of it.
        uint32_t half = sizes[s] / 2;
        memset(value, 'v', sizeof value);
        snprintf(text, sizeof text, "SET v %.*s\r\n", (int)half + 1, value);
        say(rig, 0, text);
        turns(rig, 3);
        if (sizes[s] > half + 1) {
            snprintf(text, sizeof text, "APPEND v %.*s\r\n", (int)(sizes[s] - half - 1), value);
            say(rig, 0, text);
            turns(rig, 3);
        }
        snprintf(text, sizeof text, "$%u\r\n%.*s\r\n", sizes[s], (int)sizes[s], value);
        for (uint32_t round = 0; round < 3; round++) {
            say(rig, 1, "GET v\r\nGET v\r\nINCR n\r\nGET v\r\nGET n\r\nDEL n\r\nGET n\r\n");
            say(rig, 2, "GET v\r\nMGET v n\r\n");
            tacit_cluster_backend_flush(&rig->backend);
            say(rig, 3, "SET m 1\r\nGET v\r\nINCR m\r\nGET m\r\n");
            say(rig, 1, "");
            turns(rig, 40);
            snprintf(expected, sizeof expected, "%s%s:1\r\n%s$1\r\n1\r\n:1\r\n$-1\r\n", text, text,
                     text);
            assert_string_equal(rig->out[1], expected);
            snprintf(expected, sizeof expected, "+OK\r\n%s:2\r\n$1\r\n2\r\n", text);
            assert_string_equal(rig->out[3], expected);
            assert_memory_equal(rig->out[2], text, strlen(text));
            assert_true(rig->out_bytes[2] > strlen(text));
        }
        rig_close(rig);
    }
}

// Behind a batch that may be cut nothing else goes out, however much waits.
static void cut_batch__is_the_last_one_under_way(void **state)
{
    (void)state;
    struct rig *rig = rig_open(1);
    connect_all(rig);
    char value[401];
    char text[512];
    char expected[2048];
    memset(value, 'v', sizeof value);
    snprintf(text, sizeof text, "SET v %.*s\r\n", 400, value);
    say(rig, 0, text);
    turns(rig, 3);
    rig->group.mute = true;
    say(rig, 0, "INCR n\r\n");
    tacit_cluster_backend_flush(&rig->backend);
    say(rig, 1, "GET v\r\nGET v\r\nGET v\r\n");
    for (uint32_t i = 3; i < FRONT_PIPELINE; i++) {
        assert_int_equal(put(rig, 1, "INCR m\r\n"), 8);
    }
    say(rig, 2, "INCR n\r\nINCR n\r\nINCR n\r\nINCR n\r\n");
    assert_int_equal(tacit_channel_outstanding(rig->channel), 2); // INCR and one batch
    rig->group.mute = false;
    now += 3000000;
    turns(rig, 20);
    snprintf(text, sizeof text, "$400\r\n%.*s\r\n", 400, value);
    size_t used = (size_t)snprintf(expected, sizeof expected, "%s%s%s", text, text, text);
    for (uint32_t i = 3; i < FRONT_PIPELINE; i++) {
        used += (size_t)snprintf(expected + used, sizeof expected - used, ":%u\r\n", i - 2);
    }
    assert_string_equal(rig->out[1], expected);
    assert_string_equal(rig->out[2], ":2\r\n:3\r\n:4\r\n:5\r\n");
    rig_close(rig);
}

// ---- the same at random ---------------------------------------------------------------

static uint64_t random_state;

static uint32_t below(uint32_t bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % bound;
}

// A connection that counts, and knows what it will be told: it has keys of its own.
struct counter {
    uint32_t count; // of INCR
    uint32_t tail;  // bytes of the value that it lengthens
    char expected[OUT];
    size_t expected_bytes;
};

static void expect(struct counter *counter, const char *text)
{
    size_t size = strlen(text);
    assert_true(counter->expected_bytes + size < OUT);
    memcpy(counter->expected + counter->expected_bytes, text, size + 1);
    counter->expected_bytes += size;
}

static void one_command(struct rig *rig, uint32_t connection, struct counter *counter)
{
    char text[128];
    char reply[2 * REPLY];
    switch (below(6)) {
    case 0:
    case 1:
        snprintf(text, sizeof text, "INCR n%u\r\n", connection);
        snprintf(reply, sizeof reply, ":%u\r\n", counter->count + 1);
        break;
    case 2:
        snprintf(text, sizeof text, "GET n%u\r\n", connection);
        snprintf(reply, sizeof reply, "$%d\r\n%u\r\n", snprintf(NULL, 0, "%u", counter->count),
                 counter->count);
        break;
    case 3:
        snprintf(text, sizeof text, "APPEND t%u %.*s\r\n", connection, 50,
                 "tttttttttttttttttttttttttttttttttttttttttttttttttt");
        snprintf(reply, sizeof reply, ":%u\r\n", counter->tail + 50);
        break;
    case 4:
        snprintf(text, sizeof text, "GET t%u\r\n", connection);
        memset(reply, 't', sizeof reply);
        size_t used = (size_t)snprintf(reply, 16, "$%u\r\n", counter->tail);
        reply[used] = 't';
        memcpy(reply + used + counter->tail, "\r\n", 3);
        break;
    default:
        snprintf(text, sizeof text, "SET t%u t\r\n", connection);
        snprintf(reply, sizeof reply, "+OK\r\n");
        break;
    }
    bool shown = text[0] == 'G' && (text[4] == 'n' ? counter->count == 0 : counter->tail == 0);
    bool too_long = text[0] == 'A' && counter->tail + 50 > REPLY - 1;
    size_t room;
    (void)tacit_front_input(rig->front, connection, &room);
    if (room < sizeof text) {
        return;
    }
    assert_int_equal(put(rig, connection, text), strlen(text));
    expect(counter, shown      ? "$-1\r\n"
                    : too_long ? "-ERR string exceeds maximum allowed size\r\n"
                               : reply);
    counter->count += text[0] == 'I';
    counter->tail = text[0] == 'S' ? 1 : counter->tail + (text[0] == 'A' && !too_long ? 50 : 0);
}

static void random_commands__are_executed_once_and_in_order(void **state)
{
    (void)state;
    static struct counter counters[CONNECTIONS];
    for (uint32_t seed = 1; seed <= 60; seed++) {
        random_state = seed;
        memset(counters, 0, sizeof counters);
        struct rig *rig = rig_open(1 + seed % SESSIONS);
        connect_all(rig);
        for (uint32_t step = 0; step < 1500; step++) {
            uint32_t connection = below(CONNECTIONS);
            switch (below(12)) {
            case 0:
                rig->group.mute = !rig->group.mute;
                break;
            case 1:
                rig->group.lose += below(3);
                rig->backend.value_bytes = 0; // as if values had been small: more is cut
                break;
            case 2:
                now += 3000000; // what was lost is sent again
                turn(rig);
                break;
            case 3:
            case 4:
            case 5:
                turn(rig);
                break;
            default:
                for (uint32_t i = below(6); i > 0; i--) {
                    one_command(rig, connection, &counters[connection]);
                }
                break;
            }
        }
        rig->group.mute = false;
        rig->group.lose = 0;
        for (uint32_t i = 0; i < 200; i++) {
            now += 3000000;
            turn(rig);
        }
        for (uint32_t i = 0; i < CONNECTIONS; i++) {
            assert_int_equal(rig->out_bytes[i], counters[i].expected_bytes);
            assert_memory_equal(rig->out[i], counters[i].expected, rig->out_bytes[i]);
        }
        assert_true(rig->group.largest > 4);
        assert_int_equal(tacit_channel_outstanding(rig->channel), 0);
        rig_close(rig);
    }
}

// ---- sessions that end, silence, limits -----------------------------------------------

static void session__that_the_group_ends(void **state)
{
    (void)state;
    static const char closed[] =
        "-ERR the session was closed; the command may have been executed (TACIT_ECLOSED)\r\n";
    struct rig *rig = rig_open(1);
    connect_all(rig);
    rig->group.mute = true;
    say(rig, 0, "INCR n\r\n");
    say(rig, 1, "INCR n\r\n");
    tacit_cluster_backend_flush(&rig->backend); // under way
    say(rig, 2, "INCR n\r\n");                  // waits behind
    turns(rig, 3);
    rig->group.sessions[0].closed = true;
    rig->group.mute = false;
    turns(rig, 10);
    assert_string_equal(rig->out[0], closed);
    assert_string_equal(rig->out[1], closed);
    assert_string_equal(rig->out[2], ":1\r\n"); // was not sent: goes in the next session
    assert_int_equal(rig->group.session_count, 2);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        say(rig, i, "INCR n\r\n");
    }
    turns(rig, 5);
    assert_string_equal(rig->out[4], ":6\r\n");
    // It ends while nothing is asked: the next command learns of it, and no other is hurt.
    rig->group.sessions[1].closed = true;
    say(rig, 0, "INCR n\r\n");
    turns(rig, 10);
    assert_string_equal(rig->out[0], closed);
    say(rig, 0, "INCR n\r\n");
    say(rig, 1, "GET n\r\n");
    turns(rig, 5);
    assert_string_equal(rig->out[0], ":7\r\n");
    assert_string_equal(rig->out[1], "$1\r\n7\r\n");
    rig_close(rig);
}

static void silence__takes_back_what_was_not_sent(void **state)
{
    (void)state;
    static const char maybe[] = "-ERR the replicas did not answer in time; the command may have "
                                "been executed, or still be\r\n";
    static const char down[] = "-CLUSTERDOWN the replicas cannot be reached; not executed\r\n";
    struct rig *rig = rig_open(1);
    connect_all(rig);
    rig->group.mute = true;
    say(rig, 0, "INCR n\r\n");
    tacit_cluster_backend_flush(&rig->backend);
    say(rig, 0, "INCR n\r\n");
    rig->out_bytes[0] = 0;
    say(rig, 1, "INCR n\r\nINCR n\r\n");
    tacit_front_tick(rig->front, now);
    turns(rig, 3);
    say(rig, 2, "INCR n\r\n"); // later than the others
    tacit_front_tick(rig->front, now + TIMEOUT_NS / 2);
    tacit_front_tick(rig->front, now + TIMEOUT_NS);
    turns(rig, 3);
    char expected[512];
    snprintf(expected, sizeof expected, "%s%s", maybe, down);
    assert_string_equal(rig->out[0], expected);
    snprintf(expected, sizeof expected, "%s%s", down, down);
    assert_string_equal(rig->out[1], expected);
    assert_int_equal(rig->out_bytes[2], 0);
    // Nothing is taken now; who has waited long enough is told at once.
    say(rig, 1, "INCR n\r\n");
    say(rig, 3, "INCR n\r\n");
    turns(rig, 3);
    assert_string_equal(rig->out[1], down);
    assert_int_equal(rig->out_bytes[3], 0);
    rig->group.mute = false;
    now += 60000000;
    turns(rig, 10);
    // The first was executed after all; of those taken back none.
    assert_string_equal(rig->out[2], ":2\r\n");
    assert_string_equal(rig->out[3], ":3\r\n");
    say(rig, 1, "INCR n\r\n");
    turns(rig, 5);
    assert_string_equal(rig->out[1], ":4\r\n");
    rig_close(rig);
}

// No more is taken than batches under way and one that gathers hold.
static void lane__is_bounded(void **state)
{
    (void)state;
    struct rig *rig = rig_open(1);
    connect_all(rig);
    rig->group.mute = true;
    uint32_t taken = 0;
    struct tacit_front_backend ops = tacit_cluster_backend_ops(&rig->backend);
    uint8_t request[REQUEST];
    char value[101];
    memset(value, 'v', sizeof value);
    struct tacit_kv_span spans[2] = {{.bytes = (const uint8_t *)"k", .size = 1},
                                     {.bytes = (const uint8_t *)value, .size = 100}};
    size_t size = tacit_kv_request_encode(request, sizeof request, TACIT_KV_SET, spans, 2);
    while (ops.submit(ops.context, 0, request, size, 0xabcdull << 40 | taken) == TACIT_OK) {
        taken++;
        tacit_cluster_backend_flush(&rig->backend);
        assert_true(taken < 100);
    }
    // The first alone, as nothing was under way; then 4 of 113 bytes with 4 each in 512.
    assert_int_equal(taken, 1 + PIPELINE * 4);
    assert_int_equal(tacit_channel_outstanding(rig->channel), PIPELINE);
    rig->group.mute = false;
    now += 3000000;
    turns(rig, 10);
    assert_int_equal(rig->group.singles, 1);
    assert_int_equal(rig->group.batches, PIPELINE);
    assert_int_equal(rig->group.largest, 4);
    // The largest request has room, alone, and beside it nothing.
    spans[1].size = 100;
    uint8_t large[REQUEST];
    struct tacit_kv_span parts[2] = {{.bytes = (const uint8_t *)"k", .size = 1},
                                     {.bytes = large, .size = REQUEST - 4 - 4 - 1 - 4}};
    memset(large, 'w', sizeof large);
    assert_int_equal(tacit_kv_request_encode(request, sizeof request, TACIT_KV_SET, parts, 2),
                     REQUEST);
    assert_int_equal(ops.submit(ops.context, 0, request, REQUEST, 0xabcdull << 40), TACIT_OK);
    assert_int_equal(ops.submit(ops.context, 0, request, REQUEST, 0xabcdull << 40), TACIT_OK);
    assert_int_equal(ops.submit(ops.context, 0, request, REQUEST + 1, 0xabcdull << 40),
                     TACIT_ETOOBIG);
    turns(rig, 10);
    assert_int_equal(rig->group.singles, 3);
    rig_close(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands__travel_together),
        cmocka_unit_test(lanes__are_opened_and_closed_with_their_connections),
        cmocka_unit_test(cut_batch__goes_on_in_order),
        cmocka_unit_test(cut_batch__is_the_last_one_under_way),
        cmocka_unit_test(random_commands__are_executed_once_and_in_order),
        cmocka_unit_test(session__that_the_group_ends),
        cmocka_unit_test(silence__takes_back_what_was_not_sent),
        cmocka_unit_test(lane__is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
