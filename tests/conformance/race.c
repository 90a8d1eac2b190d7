// SPDX-License-Identifier: Apache-2.0
//
// Conformance cases in which things race: revocation against writes, readers against writers, many
// lives.
#include <string.h>

#include "support.h"

#define SELF TACIT_NODE_SELF
#define WRITE_BYTES 128u
#define PLACES 16u // of the writer, who goes round

static struct tacit_region_key log_of(tacit_node_t owner, tacit_incarnation_t incarnation)
{
    return conf_key(TACIT_REGION_LOG, owner, incarnation);
}

static void writer_start(struct conf_harness *h, tacit_node_t at, tacit_node_t host,
                         uint64_t generation, uint32_t bytes, uint64_t extent)
{
    int32_t region = conf_region(h, at, host, log_of(at, 1));
    struct conf_request *request = conf_request(CONF_WRITER_START);
    request->op =
        (struct tacit_op){.host = host, .region = region, .bytes = bytes, .generation = generation};
    request->extent = extent;
    (void)conf_call(h, at, request);
}

static const uint64_t *snapshot(struct conf_harness *h, tacit_node_t at, uint64_t offset,
                                uint64_t bytes)
{
    static uint64_t words[CONF_DATA_BYTES / 8];
    struct conf_request *request = conf_request(CONF_SNAPSHOT_READ);
    request->offset = offset;
    request->bytes = bytes;
    memcpy(words, conf_call(h, at, request)->data, sizeof words);
    return words;
}

// One round: take the permission away while the holder writes. Whatever the writer was told to be
// OK must be in what the host sees in the moment of REVOKED.
static void revoke_round(struct conf_harness *h, tacit_node_t host, uint64_t *generation,
                         unsigned round)
{
    conf_grant(h, host, 1, 1, ++*generation);
    writer_start(h, 1, host, *generation, WRITE_BYTES, WRITE_BYTES * PLACES);
    h->step(h, 1000u * (round % 50));
    struct conf_request *request = conf_request(CONF_REVOKE_SNAPSHOT);
    request->generation = ++*generation;
    request->key = log_of(1, 1);
    (void)conf_call(h, host, request);
    (void)conf_expect(h, host, TACIT_EVENT_REVOKED, TACIT_NODE_NONE);
    const struct conf_reply *reply = NULL;
    for (int i = 0; i < 20000; i++) {
        reply = conf_call(h, 1, conf_request(CONF_WRITER_STATE));
        if (reply->value2 != UINT64_MAX) {
            break;
        }
        h->step(h, 100000);
    }
    assert_int_equal(reply->value2, TACIT_COMPLETION_DENIED);
    uint64_t last = reply->value;
    const uint64_t *words = snapshot(h, host, 0, WRITE_BYTES * PLACES);
    for (uint64_t number = last; number > 0 && number + PLACES > last; number--) {
        for (unsigned i = 0; i < WRITE_BYTES / 8; i++) {
            uint64_t word = words[(number - 1) % PLACES * (WRITE_BYTES / 8) + i];
            if ((uint32_t)word < number) {
                fail_msg(
                    "round %u: write %llu was OK, but word %u of its place was %llx at REVOKED",
                    round, (unsigned long long)number, i, (unsigned long long)word);
            }
        }
    }
}

static void revoke_rounds(struct conf_harness *h, unsigned rounds)
{
    conf_start_all(h);
    uint64_t generation = 0;
    // Values start again in each round: zero the places, as the only one who may.
    for (unsigned round = 0; round < rounds; round++) {
        revoke_round(h, CONF_MEMNODE, &generation, round);
        conf_grant(h, CONF_MEMNODE, 1, 1, ++generation);
        struct conf_access access = {.at = 1,
                                     .host = CONF_MEMNODE,
                                     .region = conf_region(h, 1, CONF_MEMNODE, log_of(1, 1)),
                                     .flags = TACIT_OP_AS_HOLDER,
                                     .generation = generation};
        assert_int_equal(conf_write(h, access, 0, WRITE_BYTES * PLACES / 8), TACIT_COMPLETION_OK);
        conf_revoke(h, CONF_MEMNODE, ++generation);
    }
}

static void revocation(struct conf_harness *h)
{
    revoke_rounds(h, 20);
}

static void revocation_thousands(struct conf_harness *h)
{
    revoke_rounds(h, 2000);
}

// Contract 1 and 2 while the writes go on: words are whole, and a later write is never seen without
// the earlier ones (the snapshot is read from the end, writes land from the beginning).
static void order_and_tearing(struct conf_harness *h, unsigned rounds)
{
    conf_start_all(h);
    conf_grant(h, 0, 1, 1, 1);
    const uint32_t bytes = 512;
    const unsigned places = CONF_DATA_BYTES / bytes, words_each = bytes / 8;
    writer_start(h, 1, 0, 1, bytes, CONF_DATA_BYTES);
    uint32_t largest = 0;
    for (unsigned round = 0; round < rounds; round++) {
        struct conf_request *request = conf_request(CONF_SNAPSHOT);
        request->key = log_of(1, 1);
        assert_int_equal(conf_call(h, 0, request)->value, 1);
        const uint64_t *words = snapshot(h, 0, 0, CONF_DATA_BYTES);
        for (unsigned place = 0; place < places; place++) {
            uint32_t newest = 0;
            for (unsigned i = 0; i < words_each; i++) {
                uint64_t word = words[place * words_each + i];
                assert_int_equal(word >> 32, (uint32_t)word);
                if (word != 0) {
                    assert_int_equal(((uint32_t)word - 1) % places, place);
                }
                newest = (uint32_t)word > newest ? (uint32_t)word : newest;
            }
            largest = newest > largest ? newest : largest;
            for (unsigned i = 0; place > 0 && newest > 0 && i < words_each; i++) {
                assert_true((uint32_t)words[(place - 1) * words_each + i] >= newest - 1);
            }
        }
        h->step(h, 37000);
    }
    assert_true(largest > rounds / 4); // it did race
    assert_int_equal(conf_call(h, 1, conf_request(CONF_WRITER_STOP))->value2, UINT64_MAX);
}

static void order(struct conf_harness *h)
{
    order_and_tearing(h, 50);
}

static void order_for_long(struct conf_harness *h)
{
    order_and_tearing(h, 4000);
}

// Contract 8: whatever the owner of a region writes there, and however fast, its reader only ever
// reads bytes; other regions keep theirs.
static void hostile_writer(struct conf_harness *h)
{
    conf_start_all(h);
    conf_start(h, CONF_CLIENT(2), 1);
    struct tacit_event up = conf_expect(h, 0, TACIT_EVENT_UP, TACIT_NODE_NONE);
    (void)conf_expect(h, CONF_CLIENT(2), TACIT_EVENT_UP, 0);
    struct tacit_region_key page = conf_key(TACIT_REGION_PAGE, SELF, 0);
    conf_local_write(h, 0, page, 0, 0x1122334455667788);
    int32_t region = conf_region(h, CONF_CLIENT(2), 0, conf_key(TACIT_REGION_REQUESTS, SELF, 0));
    struct tacit_region_key requests = conf_key(TACIT_REGION_REQUESTS, up.node, 1);
    uint64_t noise = 88172645463325252u;
    for (unsigned round = 0; round < 200; round++) {
        struct conf_request *request = conf_request(CONF_POST);
        request->op = (struct tacit_op){.kind = TACIT_OP_WRITE,
                                        .flags = TACIT_OP_QUIET,
                                        .host = 0,
                                        .region = region,
                                        .bytes = CONF_REQUESTS_BYTES};
        for (unsigned i = 0; i < CONF_REQUESTS_BYTES / 8; i++) {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            memcpy(request->data + 8u * i, &noise, sizeof noise);
        }
        assert_true(conf_call(h, CONF_CLIENT(2), request)->ok);
        (void)conf_local(h, 0, requests, 8u * (round % (CONF_REQUESTS_BYTES / 8)));
    }
    assert_int_equal(conf_local_size(h, 0, requests), CONF_REQUESTS_BYTES);
    assert_int_equal(conf_local(h, 0, page, 0), 0x1122334455667788);
}

// More lives than a host has room for: possible for ever as long as old log regions are retired,
// and without that the host refuses, and takes up again once there is room.
static void many_lives(struct conf_harness *h)
{
    conf_start(h, CONF_MEMNODE, 1);
    struct tacit_event event;
    tacit_incarnation_t life = 1;
    for (; life <= 60; life++) {
        conf_start(h, 0, life);
        if (!conf_event_within(h, CONF_MEMNODE, TACIT_EVENT_UP, 0, 300000000, &event)) {
            break;
        }
        assert_int_equal(event.incarnation, life);
        h->kill(h, 0);
        (void)conf_expect(h, CONF_MEMNODE, TACIT_EVENT_DOWN, 0);
    }
    assert_true(life > 40 && life <= 60); // TACIT_PAGE_REGIONS_MAX is 48
    const struct conf_reply *reply = conf_call(h, CONF_MEMNODE, conf_request(CONF_LOG_REGIONS));
    assert_int_equal(reply->keys_count, life - 1);
    for (uint32_t i = 0; i < reply->keys_count; i++) {
        assert_int_equal(reply->keys[i].incarnation, i + 1);
    }
    for (tacit_incarnation_t old = 1; old < life; old += 2) {
        struct conf_request *request = conf_request(CONF_RETIRE);
        request->key = log_of(0, old);
        (void)conf_call(h, CONF_MEMNODE, request);
    }
    (void)conf_expect(h, CONF_MEMNODE, TACIT_EVENT_UP, 0); // it kept trying
    struct conf_access log = {.at = 0, .host = CONF_MEMNODE};
    log.region = conf_region_wait(h, 0, CONF_MEMNODE, log_of(0, 2));
    uint64_t value;
    (void)conf_expect(h, 0, TACIT_EVENT_UP, CONF_MEMNODE);
    assert_int_equal(conf_read(h, log, &value), TACIT_COMPLETION_OK);
    assert_int_equal(conf_region(h, 0, CONF_MEMNODE, log_of(0, 1)), -1);
}

// Many clients at one replica, coming and going.
static void crowd(struct conf_harness *h)
{
    conf_start_all(h);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < 12; i++) {
            conf_start(h, CONF_CLIENT(i), round + 1);
        }
        uint64_t nodes = 0;
        for (unsigned i = 0; i < 12; i++) {
            struct tacit_event up = conf_expect(h, 2, TACIT_EVENT_UP, TACIT_NODE_NONE);
            assert_in_range(up.node, TACIT_NODE_CLIENT, TACIT_NODES_MAX - 1);
            assert_true(up.identity < 12);
            assert_int_equal(nodes >> (up.node - TACIT_NODE_CLIENT) & 1, 0);
            nodes |= UINT64_C(1) << (up.node - TACIT_NODE_CLIENT);
        }
        for (unsigned i = 0; i < 12; i++) {
            h->kill(h, CONF_CLIENT(i));
        }
        for (unsigned i = 0; i < 12; i++) {
            (void)conf_expect(h, 2, TACIT_EVENT_DOWN, TACIT_NODE_NONE);
        }
    }
}

const struct conf_case conf_race_cases[] = {
    {.name = "revocation", .run = revocation},
    {.name = "revocation_thousands", .is_long = true, .run = revocation_thousands},
    {.name = "order", .run = order},
    {.name = "order_for_long", .is_long = true, .run = order_for_long},
    {.name = "hostile_writer", .run = hostile_writer},
    {.name = "many_lives", .is_long = true, .needs = CONF_CAN_KILL, .run = many_lives},
    {.name = "crowd", .is_long = true, .needs = CONF_CAN_KILL, .run = crowd},
};
const size_t conf_race_count = sizeof conf_race_cases / sizeof conf_race_cases[0];
