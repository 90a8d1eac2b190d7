// SPDX-License-Identifier: Apache-2.0
//
// Conformance cases about nodes that sleep, stop, die and come back.
#include <string.h>

#include "support.h"

#define SELF TACIT_NODE_SELF

static struct tacit_region_key log_of(tacit_node_t owner, tacit_incarnation_t incarnation)
{
    return conf_key(TACIT_REGION_LOG, owner, incarnation);
}

// Contract 6 and 7: after DOWN nothing can be posted and no handle is found; the others go on.
static void death(struct conf_harness *h)
{
    conf_start_all(h);
    conf_grant(h, 0, 1, 1, 1);
    struct conf_access gone = {
        .at = 1, .host = CONF_MEMNODE, .region = conf_region(h, 1, CONF_MEMNODE, log_of(1, 1))};
    h->kill(h, CONF_MEMNODE);
    for (tacit_node_t at = 0; at < CONF_REPLICAS; at++) {
        struct tacit_event event = conf_expect(h, at, TACIT_EVENT_DOWN, CONF_MEMNODE);
        assert_int_equal(event.incarnation, 1);
        assert_true(event.certain || (h->can & CONF_KNOWS_DEATH) == 0);
    }
    struct conf_request *request = conf_request(CONF_POST);
    request->op = (struct tacit_op){
        .kind = TACIT_OP_WRITE, .host = gone.host, .region = gone.region, .bytes = 8};
    assert_false(conf_call(h, 1, request)->ok);
    assert_int_equal(conf_region(h, 1, CONF_MEMNODE, log_of(1, 1)), -1);
    struct conf_access other = {.at = 1,
                                .host = 0,
                                .region = conf_region(h, 1, 0, log_of(1, 1)),
                                .flags = TACIT_OP_AS_HOLDER,
                                .generation = 1};
    assert_int_equal(conf_write(h, other, 9, 1), TACIT_COMPLETION_OK);
}

// The order of events about a node in the sequence in which they came: DOWN of the old one, then UP
// of the new one; everything of the new one is fresh and everything that the old one left is still
// readable.
static void restart_of(struct conf_harness *h, tacit_node_t name, bool at_once)
{
    struct conf_access old_log = {.at = 0,
                                  .host = CONF_MEMNODE,
                                  .region = conf_region_wait(h, 0, CONF_MEMNODE, log_of(name, 1))};
    h->kill(h, name);
    if (!at_once) {
        h->step(h, 50000000);
    }
    conf_start(h, name, 2);
    static const tacit_node_t others[] = {0, 1, 2, CONF_MEMNODE};
    for (size_t i = 0; i < 4; i++) {
        if (others[i] == name) {
            continue;
        }
        struct tacit_event down = conf_expect_change(h, others[i], name);
        assert_int_equal(down.kind, TACIT_EVENT_DOWN);
        assert_int_equal(down.incarnation, 1);
        struct tacit_event up = conf_expect_change(h, others[i], name);
        assert_int_equal(up.kind, TACIT_EVENT_UP);
        assert_int_equal(up.incarnation, 2);
    }
    for (tacit_node_t peer = 0; peer < CONF_REPLICAS; peer++) {
        if (peer != name) {
            (void)conf_expect(h, name, TACIT_EVENT_UP, peer);
        }
    }
    (void)conf_region_wait(h, 0, CONF_MEMNODE, log_of(name, 2));
    uint64_t value = 0;
    assert_int_equal(conf_read(h, old_log, &value), TACIT_COMPLETION_OK);
    assert_int_equal(value, 70);
    struct tacit_region_key control = conf_key(TACIT_REGION_CONTROL, name, 2);
    assert_int_equal(conf_local(h, CONF_MEMNODE, control, 0), 0);
    assert_int_equal(conf_local(h, CONF_MEMNODE, log_of(name, 2), 0), 0);
    assert_int_equal(conf_local_size(h, CONF_MEMNODE, conf_key(TACIT_REGION_CONTROL, name, 1)), 0);
}

static void restart_prepare(struct conf_harness *h, tacit_node_t name)
{
    conf_start_all(h);
    conf_grant(h, CONF_MEMNODE, name, 1, 1);
    struct conf_access log = {.at = name,
                              .host = CONF_MEMNODE,
                              .region = conf_region(h, name, CONF_MEMNODE, log_of(name, 1)),
                              .flags = TACIT_OP_AS_HOLDER,
                              .generation = 1};
    assert_int_equal(conf_write(h, log, 70, 1), TACIT_COMPLETION_OK);
    log.region = conf_region(h, name, CONF_MEMNODE, conf_key(TACIT_REGION_CONTROL, SELF, 0));
    assert_int_equal(conf_write(h, log, 71, 1), TACIT_COMPLETION_OK);
}

static void restart_at_once(struct conf_harness *h)
{
    restart_prepare(h, 1);
    restart_of(h, 1, true);
}

static void restart_of_lowest(struct conf_harness *h) // everybody connects to replica 0
{
    conf_start_all(h);
    h->kill(h, 0);
    conf_start(h, 0, 2);
    for (tacit_node_t at = 1; at < CONF_REPLICAS; at++) {
        assert_int_equal(conf_expect_change(h, at, 0).kind, TACIT_EVENT_DOWN);
        struct tacit_event up = conf_expect_change(h, at, 0);
        assert_int_equal(up.kind, TACIT_EVENT_UP);
        assert_int_equal(up.incarnation, 2);
        (void)conf_expect(h, 0, TACIT_EVENT_UP, at);
    }
}

static void restart_later(struct conf_harness *h)
{
    restart_prepare(h, 2);
    restart_of(h, 2, false);
}

// A memory node that comes back is empty, and its peers' handles are new.
static void restart_of_host(struct conf_harness *h)
{
    restart_prepare(h, 1);
    h->kill(h, CONF_MEMNODE);
    conf_start(h, CONF_MEMNODE, 2);
    for (tacit_node_t at = 0; at < CONF_REPLICAS; at++) {
        assert_int_equal(conf_expect_change(h, at, CONF_MEMNODE).kind, TACIT_EVENT_DOWN);
        struct tacit_event up = conf_expect_change(h, at, CONF_MEMNODE);
        assert_int_equal(up.kind, TACIT_EVENT_UP);
        assert_int_equal(up.incarnation, 2);
    }
    struct conf_access log = {.at = 0, .host = CONF_MEMNODE};
    log.region = conf_region_wait(h, 0, CONF_MEMNODE, log_of(1, 1));
    uint64_t value = 1;
    assert_int_equal(conf_read(h, log, &value), TACIT_COMPLETION_OK);
    assert_int_equal(value, 0);
}

// A life that is not larger than the last one seen is refused.
static void old_lives(struct conf_harness *h)
{
    conf_start_all(h);
    struct tacit_event event;
    for (tacit_incarnation_t life = 3; life >= 2; life--) {
        h->kill(h, 2);
        (void)conf_event_within(h, 0, TACIT_EVENT_DOWN, 2, 1000000000, &event);
        conf_start(h, 2, life);
        if (life == 3) {
            (void)conf_expect(h, 0, TACIT_EVENT_UP, 2);
        } else {
            assert_false(conf_event_within(h, 0, TACIT_EVENT_UP, 2, 100000000, &event));
        }
    }
    h->kill(h, 2);
    conf_start(h, 2, 3);
    assert_false(conf_event_within(h, 0, TACIT_EVENT_UP, 2, 100000000, &event));
    h->kill(h, 2);
    conf_start(h, 2, 4);
    (void)conf_expect(h, 0, TACIT_EVENT_UP, 2);
}

// Who is told by nobody whom the group let into a seat takes the bodies of one generation one after
// the other, whatever their numbers; none in a life that was here before, or whose generation is
// over.
static void bodies_of_a_generation(struct conf_harness *h)
{
    static const struct {
        uint32_t generation, body, start;
        bool is_let_in;
    } lives[] = {
        {1, 3, 5, true}, {1, 1, 2, true},  {1, 3, 5, false}, {0, 0, 9, false},
        {1, 3, 6, true}, {1, 1, 1, false}, {2, 2, 1, true},  {1, 1, 3, false},
    };
    static const tacit_node_t hosts[] = {0, 1, CONF_MEMNODE};
    struct tacit_event event;
    bool was_up = true;
    conf_start_all(h);
    for (size_t i = 0; i < sizeof lives / sizeof lives[0]; i++) {
        tacit_incarnation_t life =
            tacit_incarnation_make(lives[i].generation, lives[i].body, lives[i].start);
        h->kill(h, 2);
        for (size_t k = 0; k < 3 && was_up; k++) {
            assert_int_equal(conf_expect_change(h, hosts[k], 2).kind, TACIT_EVENT_DOWN);
        }
        was_up = lives[i].is_let_in;
        conf_start(h, 2, life);
        for (size_t k = 0; k < 3; k++) {
            if (was_up) {
                assert_int_equal(conf_expect(h, hosts[k], TACIT_EVENT_UP, 2).incarnation, life);
            } else {
                assert_false(conf_event_within(h, hosts[k], TACIT_EVENT_UP, 2, 50000000, &event));
            }
        }
    }
}

// A holder that stands still while another takes over: its late writes are refused, and what the
// new holder writes is not touched by them.
static void stopped_holder(struct conf_harness *h)
{
    conf_start_all(h);
    uint64_t generation = 0;
    for (int round = 0; round < 10; round++) {
        conf_grant(h, CONF_MEMNODE, 1, 1, ++generation);
        int32_t region = conf_region(h, 1, CONF_MEMNODE, log_of(1, 1));
        struct conf_request *request = conf_request(CONF_WRITER_START);
        request->op = (struct tacit_op){
            .host = CONF_MEMNODE, .region = region, .bytes = 128, .generation = generation};
        request->extent = CONF_LOG_BYTES;
        (void)conf_call(h, 1, request);
        h->step(h, 2000000);
        h->pause(h, 1, true);
        conf_revoke(h, CONF_MEMNODE, ++generation);
        conf_grant(h, CONF_MEMNODE, 2, 1, ++generation);
        struct conf_access by_2 = {.at = 2,
                                   .host = CONF_MEMNODE,
                                   .region = conf_region(h, 2, CONF_MEMNODE, log_of(2, 1)),
                                   .flags = TACIT_OP_AS_HOLDER,
                                   .generation = generation};
        assert_int_equal(conf_write(h, by_2, generation, 8), TACIT_COMPLETION_OK);
        h->pause(h, 1, false);
        const struct conf_reply *reply = NULL;
        for (int i = 0; i < 1000; i++) { // the writer goes on by itself until it is refused
            h->step(h, 1000000);
            reply = conf_call(h, 1, conf_request(CONF_WRITER_STATE));
            if (reply->value2 != UINT64_MAX) {
                break;
            }
        }
        assert_non_null(reply);
        assert_true(reply->value > 0);
        assert_int_equal(reply->value2, TACIT_COMPLETION_DENIED);
        assert_int_equal(conf_local(h, CONF_MEMNODE, log_of(2, 1), 56), generation);
        conf_revoke(h, CONF_MEMNODE, ++generation);
    }
}

// ---- doorbell ----

static void put_to_sleep(struct conf_harness *h, tacit_node_t at, uint64_t until_ns)
{
    struct conf_request *request = conf_request(CONF_SLEEP);
    request->until_ns = until_ns;
    (void)conf_call(h, at, request);
}

static uint64_t slept_ns(struct conf_harness *h, tacit_node_t at)
{
    return conf_call(h, at, conf_request(CONF_SLEEP_RESULT))->value;
}

static void ring(struct conf_harness *h, tacit_node_t at, tacit_node_t host)
{
    struct conf_request *request = conf_request(CONF_RING);
    request->host = host;
    (void)conf_call(h, at, request);
}

static void settle(struct conf_harness *h)
{
    conf_start_all(h);
    h->step(h, 20000000);
}

static void sleeps_its_time(struct conf_harness *h)
{
    settle(h);
    put_to_sleep(h, CONF_MEMNODE, 100000000);
    uint64_t took_ns = slept_ns(h, CONF_MEMNODE);
    assert_in_range(took_ns, 99000000, 1000000000);
}

// Contract 9: a ring ends the sleep of replica, memory node and client; a second one is not spent.
static void ring_wakes(struct conf_harness *h)
{
    settle(h);
    conf_start(h, CONF_CLIENT(1), 1);
    struct tacit_event up = conf_expect(h, 0, TACIT_EVENT_UP, TACIT_NODE_NONE);
    (void)conf_expect(h, CONF_CLIENT(1), TACIT_EVENT_UP, 0);
    (void)conf_expect(h, CONF_CLIENT(1), TACIT_EVENT_UP, 1);
    (void)conf_expect(h, CONF_CLIENT(1), TACIT_EVENT_UP, 2);
    h->step(h, 20000000);
    const struct {
        tacit_node_t sleeper, ringer, host;
    } pairs[] = {{CONF_MEMNODE, 0, CONF_MEMNODE},
                 {1, 0, 1},
                 {0, 1, 0},
                 {CONF_CLIENT(1), 0, up.node},
                 {0, CONF_CLIENT(1), 0}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        uint64_t rings = conf_call(h, pairs[i].ringer, conf_request(CONF_COUNTERS))->counters.rings;
        put_to_sleep(h, pairs[i].sleeper, 3000000000);
        h->step(h, 20000000);
        ring(h, pairs[i].ringer, pairs[i].host);
        ring(h, pairs[i].ringer, pairs[i].host);
        uint64_t took_ns = slept_ns(h, pairs[i].sleeper);
        assert_in_range(took_ns, 10000000, 2000000000);
        assert_int_equal(conf_call(h, pairs[i].ringer, conf_request(CONF_COUNTERS))->counters.rings,
                         rings + 1);
        ring(h, pairs[i].ringer, pairs[i].host); // awake: nothing is spent
        const struct conf_reply *reply = conf_call(h, pairs[i].ringer, conf_request(CONF_COUNTERS));
        assert_int_equal(reply->counters.rings, rings + 1);
        assert_true(reply->counters.rings_suppressed >= 2);
    }
}

static void death_wakes(struct conf_harness *h)
{
    settle(h);
    put_to_sleep(h, 0, 3000000000);
    h->step(h, 20000000);
    h->kill(h, CONF_MEMNODE);
    assert_in_range(slept_ns(h, 0), 10000000, 2000000000);
    assert_true(conf_expect(h, 0, TACIT_EVENT_DOWN, CONF_MEMNODE).certain);
    put_to_sleep(h, 1, 3000000000); // an event was there before it could sleep, or it slept
    uint64_t took_ns = slept_ns(h, 1);
    assert_true(took_ns < 2000000000 || took_ns >= 2900000000);
    (void)conf_expect(h, 1, TACIT_EVENT_DOWN, CONF_MEMNODE);
}

static void connection_wakes(struct conf_harness *h)
{
    conf_start(h, CONF_MEMNODE, 1);
    h->step(h, 20000000);
    put_to_sleep(h, CONF_MEMNODE, 4000000000);
    h->step(h, 10000000);
    conf_start(h, 0, 1);
    assert_in_range(slept_ns(h, CONF_MEMNODE), 5000000, 3500000000);
    (void)conf_expect(h, CONF_MEMNODE, TACIT_EVENT_UP, 0);
}

// ---- other people's memory ----

static void attacks_fail(struct conf_harness *h)
{
    conf_start_all(h);
    conf_start(h, CONF_CLIENT(3), 1);
    // Until all hand-overs are through: a host may write what it has not given away yet.
    for (tacit_node_t replica = 0; replica < CONF_REPLICAS; replica++) {
        (void)conf_expect(h, CONF_CLIENT(3), TACIT_EVENT_UP, replica);
    }
    const struct {
        tacit_node_t at, host;
    } pairs[] = {{1, 0}, {0, CONF_MEMNODE}, {CONF_CLIENT(3), 0}, {2, 1}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct conf_request *request = conf_request(CONF_ATTACK);
        request->host = pairs[i].host;
        const struct conf_reply *reply = conf_call(h, pairs[i].at, request);
        assert_true(reply->ok);
        assert_true(reply->value2 != 0);
        if (reply->value != 0) {
            fail_msg("node %u got at memory of node %u: attacks %#llx", pairs[i].at, pairs[i].host,
                     (unsigned long long)reply->value);
        }
    }
}

// Contract 6: pending operations complete before DOWN; the connection comes back.
static void severed(struct conf_harness *h)
{
    conf_start_all(h);
    struct conf_access access = {
        .at = 1, .host = 0, .region = conf_region(h, 1, 0, conf_key(TACIT_REGION_PAGE, 0, 1))};
    for (int round = 0; round < 10; round++) {
        h->sever(h, 1, 0);
        (void)conf_expect(h, 1, TACIT_EVENT_DOWN, 0);
        (void)conf_expect(h, 1, TACIT_EVENT_UP, 0);
        access.region = conf_region_wait(h, 1, 0, conf_key(TACIT_REGION_PAGE, 0, 1));
        uint64_t value;
        assert_int_equal(conf_read(h, access, &value), TACIT_COMPLETION_OK);
    }
}

const struct conf_case conf_life_cases[] = {
    {.name = "death", .needs = CONF_CAN_KILL, .run = death},
    {.name = "restart_at_once", .needs = CONF_CAN_KILL, .run = restart_at_once},
    {.name = "restart_of_lowest", .needs = CONF_CAN_KILL, .run = restart_of_lowest},
    {.name = "restart_later", .needs = CONF_CAN_KILL, .run = restart_later},
    {.name = "restart_of_host", .needs = CONF_CAN_KILL, .run = restart_of_host},
    {.name = "old_lives", .needs = CONF_CAN_KILL, .run = old_lives},
    {.name = "bodies_of_a_generation",
     .needs = CONF_CAN_KILL | CONF_IS_REAL, // the simulator's takes every body, which is harder
     .run = bodies_of_a_generation},
    {.name = "stopped_holder", .needs = CONF_CAN_PAUSE, .run = stopped_holder},
    {.name = "sleeps_its_time", .needs = CONF_CAN_SLEEP, .run = sleeps_its_time},
    {.name = "ring_wakes", .needs = CONF_CAN_SLEEP, .run = ring_wakes},
    {.name = "death_wakes",
     .needs = CONF_CAN_SLEEP | CONF_CAN_KILL | CONF_KNOWS_DEATH,
     .run = death_wakes},
    {.name = "connection_wakes", .needs = CONF_CAN_SLEEP, .run = connection_wakes},
    {.name = "attacks_fail", .needs = CONF_CAN_ATTACK, .run = attacks_fail},
    {.name = "severed", .needs = CONF_CAN_SEVER, .run = severed},
};
const size_t conf_life_count = sizeof conf_life_cases / sizeof conf_life_cases[0];
