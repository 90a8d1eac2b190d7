// SPDX-License-Identifier: Apache-2.0
//
// Conformance cases without failures: access table, completion, order, permission, regions,
// clients.
#include "support.h"

#include <string.h>

#define SELF TACIT_NODE_SELF

static struct tacit_region_key log_of(tacit_node_t owner)
{
    return conf_key(TACIT_REGION_LOG, owner, 1);
}

// Everybody finds exactly the regions that the roles give it (comment at struct tacit_host_layout).
static void access_table(struct conf_harness *h)
{
    conf_start_all(h);
    for (tacit_node_t at = 0; at < CONF_REPLICAS; at++) {
        static const tacit_node_t hosts[] = {0, 1, 2, CONF_MEMNODE};
        for (size_t i = 0; i < 4; i++) {
            tacit_node_t host = hosts[i];
            assert_true(conf_region(h, at, host, conf_key(TACIT_REGION_PAGE, host, 1)) >= 0);
            for (tacit_node_t owner = 0; owner < CONF_REPLICAS; owner++) {
                (void)conf_region_wait(h, at, host, log_of(owner));
            }
            assert_true(conf_region(h, at, host, conf_key(TACIT_REGION_LOG, SELF, 0)) >= 0);
            assert_int_equal(conf_region(h, at, host, conf_key(TACIT_REGION_LOG, at, 2)), -1);
            bool has_state = conf_region(h, at, host, conf_key(TACIT_REGION_STATE, host, 1)) >= 0;
            assert_int_equal(has_state, host != CONF_MEMNODE);
            assert_true(conf_region(h, at, host, conf_key(TACIT_REGION_CONTROL, SELF, 0)) >= 0);
            for (tacit_node_t other = 0; other < CONF_REPLICAS; other++) { // not those of others
                if (other != at) {
                    assert_int_equal(
                        conf_region(h, at, host, conf_key(TACIT_REGION_CONTROL, other, 1)), -1);
                }
            }
            assert_int_equal(conf_region(h, at, host, conf_key(TACIT_REGION_REQUESTS, SELF, 0)),
                             -1);
            assert_int_equal(conf_region(h, at, host, conf_key(TACIT_REGION_REPLIES, SELF, 0)), -1);
        }
        assert_int_equal(conf_local_size(h, at, conf_key(TACIT_REGION_PAGE, SELF, 0)),
                         CONF_PAGE_BYTES);
        assert_int_equal(conf_local_size(h, at, conf_key(TACIT_REGION_STATE, SELF, 0)),
                         CONF_STATE_BYTES);
        assert_int_equal(conf_local_size(h, at, conf_key(TACIT_REGION_LOG, SELF, 0)),
                         CONF_LOG_BYTES);
        for (tacit_node_t owner = 0; owner < CONF_REPLICAS;
             owner++) { // its own is there from the start
            assert_int_equal(conf_local_size(h, at, conf_key(TACIT_REGION_CONTROL, owner, 1)),
                             CONF_CONTROL_BYTES);
        }
    }
    for (tacit_node_t owner = 0; owner < CONF_REPLICAS; owner++) {
        assert_int_equal(conf_local_size(h, CONF_MEMNODE, conf_key(TACIT_REGION_CONTROL, owner, 1)),
                         CONF_CONTROL_BYTES);
        assert_int_equal(conf_local_size(h, CONF_MEMNODE, conf_key(TACIT_REGION_CONTROL, owner, 2)),
                         0);
        assert_int_equal(conf_local_size(h, CONF_MEMNODE, log_of(owner)), CONF_LOG_BYTES);
    }
    assert_int_equal(conf_local_size(h, CONF_MEMNODE, conf_key(TACIT_REGION_STATE, SELF, 0)), 0);
    assert_int_equal(conf_region(h, 0, CONF_MEMNODE, conf_key(TACIT_REGION_REPLIES, 0, 1)), -1);
}

// Contract 3 and 10: OK means placed; what one host writes, others read; planes do not matter for
// that.
static void completion_means_placed(struct conf_harness *h)
{
    conf_start_all(h);
    struct tacit_region_key control = conf_key(TACIT_REGION_CONTROL, 2, 1);
    struct conf_access to_control = {.at = 2, .host = CONF_MEMNODE};
    to_control.region = conf_region(h, 2, CONF_MEMNODE, conf_key(TACIT_REGION_CONTROL, SELF, 0));
    for (uint64_t i = 1; i <= 50; i++) {
        to_control.offset = i % (CONF_CONTROL_BYTES / 8) * 8;
        assert_int_equal(conf_write(h, to_control, i, 1), TACIT_COMPLETION_OK);
        assert_int_equal(conf_local(h, CONF_MEMNODE, control, to_control.offset), i);
    }
    struct tacit_region_key page = conf_key(TACIT_REGION_PAGE, 0, 1);
    struct conf_access to_page = {
        .at = 1, .host = 0, .region = conf_region(h, 1, 0, page), .offset = 632};
    uint64_t value = 0;
    for (uint64_t i = 1; i <= 20; i++) {
        conf_local_write(h, 0, page, 632, i);
        assert_int_equal(conf_read(h, to_page, &value), TACIT_COMPLETION_OK);
        assert_int_equal(value, i);
    }
}

// Contract 1: a read that was posted behind a write sees it, without waiting in between.
static void read_after_write(struct conf_harness *h)
{
    conf_start_all(h);
    conf_grant(h, CONF_MEMNODE, 1, 1, 10);
    struct conf_access own = {.at = 1,
                              .host = CONF_MEMNODE,
                              .region = conf_region(h, 1, CONF_MEMNODE, log_of(1)),
                              .flags = TACIT_OP_AS_HOLDER,
                              .generation = 10};
    for (uint64_t i = 1; i <= 50; i++) {
        struct conf_request *request = conf_request(CONF_POST);
        request->op = (struct tacit_op){.kind = TACIT_OP_WRITE,
                                        .flags = TACIT_OP_AS_HOLDER | TACIT_OP_QUIET,
                                        .host = own.host,
                                        .region = own.region,
                                        .bytes = 64,
                                        .offset = 4096,
                                        .generation = 10};
        memcpy(request->data + 56, &i, sizeof i);
        assert_true(conf_call(h, 1, request)->ok);
        uint64_t value = 0;
        own.offset = 4096 + 56;
        assert_int_equal(conf_read(h, own, &value), TACIT_COMPLETION_OK);
        assert_int_equal(value, i);
    }
}

static void post_quiet(struct conf_harness *h, int32_t region, uint64_t cookie)
{
    struct conf_request *request = conf_request(CONF_POST);
    request->op = (struct tacit_op){.kind = TACIT_OP_WRITE,
                                    .flags = TACIT_OP_AS_HOLDER | TACIT_OP_QUIET,
                                    .host = 0,
                                    .region = region,
                                    .bytes = 8,
                                    .generation = 3,
                                    .cookie = cookie};
    assert_true(conf_call(h, 1, request)->ok);
}

// A quiet operation completes only when it failed.
static void quiet(struct conf_harness *h)
{
    conf_start_all(h);
    conf_grant(h, 0, 1, 1, 3);
    int32_t region = conf_region(h, 1, 0, log_of(1));
    post_quiet(h, region, TACIT_COOKIE(TACIT_COOKIE_FD, 7));
    struct tacit_event event;
    assert_false(conf_event_within(h, 1, TACIT_EVENT_COMPLETION, 0, 20000000, &event));
    conf_revoke(h, 0, 4);
    post_quiet(h, region, TACIT_COOKIE(TACIT_COOKIE_FD, 8));
    event = conf_expect(h, 1, TACIT_EVENT_COMPLETION, 0);
    assert_int_equal(event.cookie, TACIT_COOKIE(TACIT_COOKIE_FD, 8));
    assert_int_equal(event.status, TACIT_COMPLETION_DENIED);
}

// Contract 4 and the access table: whoever is not the holder under that very generation is DENIED.
static void denial(struct conf_harness *h)
{
    conf_start_all(h);
    struct conf_access by_1 = {.at = 1,
                               .host = CONF_MEMNODE,
                               .region = conf_region(h, 1, CONF_MEMNODE, log_of(1)),
                               .flags = TACIT_OP_AS_HOLDER,
                               .generation = 5};
    uint64_t value;
    assert_int_equal(conf_write(h, by_1, 1, 4), TACIT_COMPLETION_DENIED); // nobody holds
    assert_int_equal(conf_read(h, by_1, &value), TACIT_COMPLETION_DENIED);
    conf_grant(h, CONF_MEMNODE, 2, 1, 5);
    assert_int_equal(conf_write(h, by_1, 2, 4), TACIT_COMPLETION_DENIED); // another one holds
    conf_revoke(h, CONF_MEMNODE, 6);
    conf_grant(h, CONF_MEMNODE, 1, 1, 7);
    assert_int_equal(conf_write(h, by_1, 3, 4), TACIT_COMPLETION_DENIED); // an older generation
    by_1.generation = 8;
    assert_int_equal(conf_write(h, by_1, 4, 4), TACIT_COMPLETION_DENIED); // a later one
    by_1.generation = 6;
    assert_int_equal(conf_write(h, by_1, 4, 4), TACIT_COMPLETION_DENIED); // that of nobody
    by_1.generation = 7;
    assert_int_equal(conf_write(h, by_1, 5, 4), TACIT_COMPLETION_OK);
    assert_int_equal(conf_read(h, by_1, &value), TACIT_COMPLETION_OK);
    assert_int_equal(value, 5);
    assert_int_equal(conf_local(h, CONF_MEMNODE, log_of(1), 24), 5);
}

// Regions that are somebody else's to write are not ours, holder or not; what is there stays.
static void foreign_regions(struct conf_harness *h)
{
    conf_start_all(h);
    conf_grant(h, 0, 1, 1, 2);
    struct tacit_region_key keys[] = {log_of(2), log_of(0), conf_key(TACIT_REGION_PAGE, 0, 1),
                                      conf_key(TACIT_REGION_STATE, 0, 1)};
    for (size_t i = 0; i < 4; i++) {
        struct conf_access access = {
            .at = 1, .host = 0, .region = conf_region_wait(h, 1, 0, keys[i]), .generation = 2};
        uint64_t value = 0;
        assert_int_equal(conf_read(h, access, &value), TACIT_COMPLETION_OK);
        assert_int_equal(conf_write(h, access, 77, 1), TACIT_COMPLETION_DENIED);
        assert_int_equal(conf_local(h, 0, keys[i], 0), value);
        struct tacit_event event; // the refusal may have cost the connection
        if (conf_event_within(h, 1, TACIT_EVENT_DOWN, 0, 2000000, &event)) {
            (void)conf_expect(h, 1, TACIT_EVENT_UP, 0);
        }
    }
}

// Contract 5 on one host that is replica itself: its own appends stand under the same check.
static void own_log(struct conf_harness *h)
{
    conf_start_all(h);
    struct conf_access own = {.at = 0,
                              .host = 0,
                              .region = conf_region(h, 0, 0, conf_key(TACIT_REGION_LOG, SELF, 0)),
                              .flags = TACIT_OP_AS_HOLDER,
                              .generation = 1};
    assert_int_equal(conf_write(h, own, 1, 1), TACIT_COMPLETION_DENIED);
    conf_grant(h, 0, 0, 1, 1);
    assert_int_equal(conf_write(h, own, 2, 1), TACIT_COMPLETION_OK);
    struct conf_access by_2 = {.at = 2, .host = 0, .region = conf_region_wait(h, 2, 0, log_of(0))};
    uint64_t value = 0;
    assert_int_equal(conf_read(h, by_2, &value), TACIT_COMPLETION_OK);
    assert_int_equal(value, 2);
    conf_revoke(h, 0, 2);
    assert_int_equal(conf_write(h, own, 3, 1), TACIT_COMPLETION_DENIED);
    const struct conf_reply *reply = conf_call(h, 0, conf_request(CONF_COUNTERS));
    assert_int_equal(reply->counters.plane[TACIT_PLANE_DATA].self_writes, 3);
    assert_int_equal(reply->counters.plane[TACIT_PLANE_DATA].writes, 0);
    assert_int_equal(reply->counters.plane[TACIT_PLANE_DATA].denied, 2);
}

// The directory of LOG regions: order of creation, retire(), and what readers see of it.
static void directory(struct conf_harness *h)
{
    conf_start(h, CONF_MEMNODE, 1);
    for (tacit_node_t name = 0; name < CONF_REPLICAS; name++) {
        conf_start(h, name, 1);
        (void)conf_expect(h, CONF_MEMNODE, TACIT_EVENT_UP, name);
        (void)conf_expect(h, CONF_MEMNODE, TACIT_EVENT_REGIONS, CONF_MEMNODE);
    }
    const struct conf_reply *reply = conf_call(h, CONF_MEMNODE, conf_request(CONF_LOG_REGIONS));
    assert_int_equal(reply->keys_count, CONF_REPLICAS);
    for (tacit_node_t name = 0; name < CONF_REPLICAS; name++) {
        assert_int_equal(reply->keys[name].owner, name);
        assert_int_equal(reply->keys[name].incarnation, 1);
    }
    // Replica 0 was there first: it was told of the later ones.
    (void)conf_region_wait(h, 0, CONF_MEMNODE, log_of(1));
    struct conf_access reader = {
        .at = 0, .host = CONF_MEMNODE, .region = conf_region_wait(h, 0, CONF_MEMNODE, log_of(2))};
    (void)conf_expect(h, 0, TACIT_EVENT_REGIONS, CONF_MEMNODE);
    h->kill(h, 2);
    (void)conf_expect(h, CONF_MEMNODE, TACIT_EVENT_DOWN, 2);
    uint64_t value;
    assert_int_equal(conf_read(h, reader, &value),
                     TACIT_COMPLETION_OK); // stays when its writer went
    struct conf_request *request = conf_request(CONF_RETIRE);
    request->key = log_of(2);
    (void)conf_call(h, CONF_MEMNODE, request);
    reply = conf_call(h, CONF_MEMNODE, conf_request(CONF_LOG_REGIONS));
    assert_int_equal(reply->keys_count, 2);
    assert_int_equal(conf_local_size(h, CONF_MEMNODE, log_of(2)), 0);
    for (int i = 0; i < 2000 && conf_region(h, 0, CONF_MEMNODE, log_of(2)) >= 0; i++) {
        h->step(h, 1000000);
    }
    assert_int_equal(conf_region(h, 0, CONF_MEMNODE, log_of(2)), -1);
    assert_int_equal(conf_read(h, reader, &value), TACIT_COMPLETION_DENIED);
    conf_start(h, 2, 2);
    (void)conf_region_wait(h, 0, CONF_MEMNODE, conf_key(TACIT_REGION_LOG, 2, 2));
    assert_int_equal(conf_region(h, 0, CONF_MEMNODE, log_of(2)), -1);
    assert_int_equal(conf_read(h, reader, &value), TACIT_COMPLETION_DENIED); // the old handle
}

// Clients: identity, both rings, the slot comes back after DOWN.
static void clients(struct conf_harness *h)
{
    conf_start_all(h);
    tacit_node_t name = CONF_CLIENT(7);
    for (tacit_incarnation_t life = 1; life <= 3; life++) {
        conf_start(h, name, life);
        struct tacit_event up = conf_expect(h, 1, TACIT_EVENT_UP, TACIT_NODE_NONE);
        assert_int_equal(up.identity, 7);
        assert_int_equal(up.node, TACIT_NODE_CLIENT); // the only one: always the first slot
        for (tacit_node_t replica = 0; replica < CONF_REPLICAS; replica++) {
            (void)conf_expect(h, name, TACIT_EVENT_UP, replica);
        }
        struct conf_access request = {.at = name, .host = 1, .offset = 512};
        request.region = conf_region(h, name, 1, conf_key(TACIT_REGION_REQUESTS, SELF, 0));
        assert_int_equal(conf_write(h, request, 40 + life, 3), TACIT_COMPLETION_OK);
        struct tacit_region_key requests = conf_key(TACIT_REGION_REQUESTS, up.node, up.incarnation);
        assert_int_equal(conf_local_size(h, 1, requests), CONF_REQUESTS_BYTES);
        assert_int_equal(conf_local(h, 1, requests, 528), 40 + life);
        assert_int_equal(conf_local(h, 1, requests, 536), 0); // fresh in each life
        struct conf_access reply = {.at = 1, .host = up.node, .offset = 8};
        reply.region = conf_region(h, 1, up.node, conf_key(TACIT_REGION_REPLIES, SELF, 0));
        assert_int_equal(conf_write(h, reply, 50 + life, 1), TACIT_COMPLETION_OK);
        assert_int_equal(conf_local(h, name, conf_key(TACIT_REGION_REPLIES, 1, 1), 8), 50 + life);
        // Nothing else is for clients.
        assert_int_equal(conf_region(h, name, 1, log_of(1)), -1);
        assert_int_equal(conf_region(h, name, 1, conf_key(TACIT_REGION_PAGE, 1, 1)), -1);
        assert_int_equal(conf_region(h, name, 1, conf_key(TACIT_REGION_CONTROL, SELF, 0)), -1);
        assert_int_equal(conf_region(h, 1, up.node, conf_key(TACIT_REGION_REQUESTS, SELF, 0)), -1);
        h->kill(h, name);
        struct tacit_event down = conf_expect(h, 1, TACIT_EVENT_DOWN, up.node);
        assert_int_equal(down.incarnation, life);
        assert_int_equal(conf_local_size(h, 1, requests), 0);
        assert_int_equal(conf_region(h, 1, up.node, conf_key(TACIT_REGION_REPLIES, SELF, 0)), -1);
        h->step(h, 20000000); // the slot goes back once DOWN was polled, not at once
    }
}

// What a replica asks of itself goes the same way as what it asks of others.
static void own_control(struct conf_harness *h)
{
    conf_start(h, 0, 1);
    struct conf_access own = {.at = 0, .host = 0, .offset = 8};
    own.region = conf_region(h, 0, 0, conf_key(TACIT_REGION_CONTROL, SELF, 0));
    assert_true(own.region >= 0);
    assert_int_equal(conf_local(h, 0, conf_key(TACIT_REGION_CONTROL, 0, 1), 8), 0);
    assert_int_equal(conf_write(h, own, 12, 1), TACIT_COMPLETION_OK);
    assert_int_equal(conf_local(h, 0, conf_key(TACIT_REGION_CONTROL, 0, 1), 8), 12);
    assert_int_equal(conf_local(h, 0, conf_key(TACIT_REGION_CONTROL, SELF, 0), 8), 12);
}

// reset(): DOWN and UP of the same life, new handles, and nothing in the regions is lost.
static void reset(struct conf_harness *h)
{
    conf_start_all(h);
    struct conf_access control = {.at = 1, .host = CONF_MEMNODE};
    struct tacit_region_key key = conf_key(TACIT_REGION_CONTROL, SELF, 0);
    for (uint64_t i = 1; i <= 5; i++) {
        control.region = conf_region_wait(h, 1, CONF_MEMNODE, key);
        control.offset = 8 * i;
        assert_int_equal(conf_write(h, control, i, 1), TACIT_COMPLETION_OK);
        struct conf_request *request = conf_request(CONF_RESET);
        request->host = CONF_MEMNODE;
        (void)conf_call(h, 1, request);
        assert_int_equal(conf_expect_change(h, 1, CONF_MEMNODE).kind, TACIT_EVENT_DOWN);
        struct tacit_event up = conf_expect_change(h, 1, CONF_MEMNODE);
        assert_int_equal(up.kind, TACIT_EVENT_UP);
        assert_int_equal(up.incarnation, 1);
    }
    for (uint64_t i = 1; i <= 5; i++) {
        assert_int_equal(conf_local(h, CONF_MEMNODE, conf_key(TACIT_REGION_CONTROL, 1, 1), 8 * i),
                         i);
    }
    (void)conf_region_wait(h, 1, CONF_MEMNODE, log_of(2));
}

const struct conf_case conf_basic_cases[] = {
    {.name = "access_table", .run = access_table},
    {.name = "completion_means_placed", .run = completion_means_placed},
    {.name = "read_after_write", .run = read_after_write},
    {.name = "quiet", .run = quiet},
    {.name = "denial", .run = denial},
    {.name = "foreign_regions", .run = foreign_regions},
    {.name = "own_log", .run = own_log},
    {.name = "own_control", .run = own_control},
    {.name = "reset", .run = reset},
    {.name = "directory", .needs = CONF_CAN_KILL, .run = directory},
    {.name = "clients", .needs = CONF_CAN_KILL, .run = clients},
};
const size_t conf_basic_count = sizeof conf_basic_cases / sizeof conf_basic_cases[0];
