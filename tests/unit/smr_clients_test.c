// SPDX-License-Identifier: Apache-2.0
//
// What becomes of a client's messages where they are taken out of its ring (core/smr/clients.c):
// who is refused, what waits for the next batch, and that nothing waits for ever. A replica without
// a protocol, over rings in the test's memory; the modules below are replaced by what remembers how
// they were called (this file defines their functions).
// TACIT_SEEDED: yes
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/smr/internal.h"
#include "support/rules.h"
#include "tacit/ring.h"
#include "tacit/wire.h"

enum { CLIENTS = 3, RING_SLOTS = 8, REQUEST = 48, BATCH = 4096, ITEMS = 4, SLOT = 1024 };

static struct {
    struct tacit_smr smr;
    struct tacit_fabric fabric;
    struct tacit_fabric_ops ops;
    uint8_t rings[CLIENTS][RING_SLOTS * SLOT];
    uint64_t sequence[CLIENTS];
    uint8_t message[SLOT], out[SLOT];
    uint8_t batch[BATCH], done[BATCH];
    size_t done_bytes;
    tacit_node_t askers[2 * (ITEMS + TACIT_BATCH_EXTRA)];
    tacit_index_t askers_index[2];
    uint32_t orders_judged;
    struct tacit_wire_reply replied; // the last one
    tacit_node_t replied_to;
    uint32_t replies;
} world;

bool tacit_smr_order_is_due(struct tacit_smr *smr, tacit_node_t from,
                            const struct tacit_wire_request *request)
{
    (void)smr;
    assert_true(from >= TACIT_NODE_CLIENT);
    assert_int_equal(request->body_bytes, TACIT_WIRE_ORDER_BYTES);
    world.orders_judged++;
    return true;
}

void tacit_smr_members_asked(struct tacit_smr *smr, tacit_node_t from, uint64_t number)
{
    (void)smr;
    (void)from;
    (void)number;
    fail();
}

void tacit_smr_epoch_order(struct tacit_smr *smr, tacit_node_t from,
                           const struct tacit_wire_request *request)
{
    (void)smr;
    (void)from;
    (void)request;
    fail(); // Byzantine mode
}

enum tacit_requests_put tacit_requests_put(struct tacit_requests *requests, uint32_t client,
                                           const struct tacit_wire_request *request,
                                           tacit_time_ns_t now_ns)
{
    (void)requests;
    (void)client;
    (void)request;
    (void)now_ns;
    fail(); // Byzantine mode
    return TACIT_PUT_DROPPED;
}

void tacit_smr_admissions(struct tacit_smr *smr, bool removals)
{
    (void)smr;
    (void)removals;
}

void tacit_smr_execute_batch(struct tacit_smr *smr, tacit_index_t index, const uint8_t *batch,
                             size_t bytes)
{
    assert_int_equal(index, smr->applied);
    memcpy(world.done, batch, bytes);
    world.done_bytes = bytes;
}

size_t tacit_smr_query(struct tacit_smr *smr, const struct tacit_request *request)
{
    (void)smr;
    (void)request;
    fail();
    return 0;
}

uint8_t *tacit_crash_open(struct tacit_crash *crash, bool removal)
{
    assert_int_equal(crash->role, TACIT_ROLE_LEADER); // who has no room yet
    (void)removal;
    return NULL;
}

void tacit_crash_propose(struct tacit_crash *crash, uint32_t length, uint32_t flags)
{
    (void)crash;
    (void)length;
    (void)flags;
    fail();
}

bool tacit_lease_holds(const struct tacit_crash *crash, tacit_time_ns_t now_ns)
{
    (void)crash;
    (void)now_ns;
    fail();
    return false;
}

static bool on_post(struct tacit_fabric *fabric, const struct tacit_op *op)
{
    (void)fabric;
    const uint8_t *bytes = op->local;
    uint32_t length;
    assert_int_equal(op->kind, TACIT_OP_WRITE);
    memcpy(&length, bytes + sizeof(uint64_t), sizeof length);
    assert_int_equal(tacit_wire_reply_decode(&world.replied, bytes + TACIT_RING_HEADER, length),
                     TACIT_VERDICT_OK);
    world.replied_to = op->host;
    world.replies++;
    return true;
}

// ---- steps

static void world_open(uint32_t batch_bytes)
{
    memset(&world, 0, sizeof world);
    struct tacit_smr *smr = &world.smr;
    world.ops.post = on_post;
    world.fabric.ops = &world.ops;
    smr->fabric = &world.fabric;
    smr->config.engine = TACIT_ENGINE_NONE;
    smr->config.request_bytes = REQUEST;
    smr->config.batch_bytes = batch_bytes;
    smr->config.batch_requests = ITEMS;
    smr->config.ring_slots = RING_SLOTS;
    smr->request_shape = (struct tacit_ring_shape){RING_SLOTS, SLOT};
    smr->reply_shape = (struct tacit_ring_shape){RING_SLOTS, SLOT};
    smr->message = world.message;
    smr->out = world.out;
    smr->none_batch = world.batch;
    smr->askers = world.askers;
    smr->askers_index = world.askers_index;
    smr->askers_rows = 2;
    smr->crash.leader = TACIT_NODE_NONE;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        smr->clients[i].up = smr->clients[i].known = true;
        smr->clients[i].id = i;
        smr->clients_up |= 1ull << i;
        tacit_ring_reader_init(&smr->clients[i].reader, smr->request_shape, world.rings[i]);
    }
}

static void say(uint32_t client, uint8_t kind, uint64_t number, uint32_t body_bytes)
{
    uint8_t body[SLOT] = {0};
    uint8_t slot[SLOT] = {0};
    struct tacit_wire_request request = {
        .kind = kind, .session = 7, .number = number, .body = body, .body_bytes = body_bytes};
    if (kind == TACIT_REQUEST_ORDER) {
        struct tacit_wire_order order = {
            .kind = TACIT_ORDER_REMOVE, .seat = 1, .epoch = 4, .nonce = number};
        tacit_wire_order_encode(body, &order);
        request.session = 0;
        request.body_bytes = TACIT_WIRE_ORDER_BYTES;
    }
    size_t length =
        tacit_wire_request_encode(slot + TACIT_RING_HEADER, SLOT - TACIT_RING_HEADER, &request);
    assert_true(length > 0);
    uint64_t sequence = ++world.sequence[client];
    uint32_t bytes = tacit_ring_seal(world.smr.request_shape, sequence, slot, (uint32_t)length);
    memcpy(world.rings[client] + tacit_ring_offset(world.smr.request_shape, sequence), slot, bytes);
}

// One turn; true if the batch that was made has an item of this kind by this client.
static bool serves(uint8_t kind, uint32_t client)
{
    size_t offset = 0;
    struct tacit_wire_item item;
    world.done_bytes = 0;
    (void)tacit_smr_serve(&world.smr);
    while (offset < world.done_bytes && tacit_wire_item_decode(&item, world.done, world.done_bytes,
                                                               &offset) == TACIT_VERDICT_OK) {
        if (item.kind == kind && item.subject == client) {
            return true;
        }
    }
    return false;
}

// ---- rules: true if kept

// With small batches an order has no room in any: it is dropped, and holds up nobody.
static bool rule_order_that_fits_nowhere(void)
{
    world_open((uint32_t)tacit_wire_item_bytes(REQUEST));
    assert_true(tacit_wire_item_bytes(TACIT_WIRE_ORDER_BYTES) > world.smr.config.batch_bytes);
    say(0, TACIT_REQUEST_ORDER, 3, 0);
    say(1, TACIT_REQUEST_CLOSE, 9, 0);
    bool kept = serves(TACIT_ITEM_CLOSE, 1);
    say(2, TACIT_REQUEST_CLOSE, 9, 0);
    kept = serves(TACIT_ITEM_CLOSE, 2) && kept;
    // Nor does it cost a signature each time that somebody looks at it.
    assert_true(!kept || world.orders_judged == 0);
    assert_true(!kept || world.smr.counters.unexpected == 1);
    return kept;
}

static const struct rule rules[] = {
    {"an order that fits into no batch holds up nobody", rule_order_that_fits_nowhere,
     TACIT_BUG_OVERSIZED_ORDER_WAITS},
};

// ---- room

static void order__goes_with_requests_where_it_fits(void **state)
{
    (void)state;
    world_open(
        (uint32_t)(tacit_wire_item_bytes(TACIT_WIRE_ORDER_BYTES) + tacit_wire_item_bytes(0)));
    say(0, TACIT_REQUEST_ORDER, 3, 0); // larger than a request may be
    say(1, TACIT_REQUEST_CLOSE, 9, 0);
    assert_true(serves(TACIT_ITEM_ORDER, 0));
    assert_int_equal(world.smr.batch_items, 2);
    assert_int_equal(world.orders_judged, 1);
    assert_int_equal(world.replies, 0);
}

static void request__that_is_too_large_is_refused(void **state)
{
    (void)state;
    world_open(BATCH);
    say(2, TACIT_REQUEST_APPLY, 5, REQUEST + 1);
    assert_false(serves(TACIT_ITEM_APPLY, 2));
    assert_int_equal(world.replies, 1);
    assert_int_equal(world.replied_to, TACIT_NODE_CLIENT + 2);
    assert_int_equal(world.replied.kind, TACIT_REPLY_TOO_BIG);
    assert_int_equal(world.replied.number, 5);
    assert_int_equal(world.replied.leader, 255); // nobody known
}

// What finds no room is the first of the next batch, and what its client sent before and after it
// keeps its order.
static void what_finds_no_room__goes_first_in_the_next_batch(void **state)
{
    (void)state;
    world_open(BATCH);
    for (uint64_t number = 1; number <= ITEMS + 2; number++) {
        say(0, TACIT_REQUEST_CLOSE, number, 0);
    }
    uint64_t expected = 1;
    for (uint32_t batch = 0; batch < 2; batch++) {
        assert_true(serves(TACIT_ITEM_CLOSE, 0));
        size_t offset = 0;
        struct tacit_wire_item item;
        while (offset < world.done_bytes) {
            assert_int_equal(tacit_wire_item_decode(&item, world.done, world.done_bytes, &offset),
                             TACIT_VERDICT_OK);
            assert_int_equal(item.number, expected++);
        }
    }
    assert_int_equal(expected, ITEMS + 3);
    assert_false(serves(TACIT_ITEM_CLOSE, 0));
}

// A client that goes takes what it had put aside with it.
static void what_finds_no_room__goes_with_its_client(void **state)
{
    (void)state;
    world_open(BATCH);
    for (uint64_t number = 1; number <= ITEMS + 1; number++) {
        say(0, TACIT_REQUEST_CLOSE, number, 0);
    }
    assert_true(serves(TACIT_ITEM_CLOSE, 0));
    assert_true(world.smr.spilled);
    struct tacit_event event = {.node = TACIT_NODE_CLIENT};
    tacit_smr_client_down(&world.smr, &event);
    say(1, TACIT_REQUEST_CLOSE, 9, 0);
    assert_true(serves(TACIT_ITEM_CLOSE, 1));
    assert_int_equal(world.smr.batch_items, 1);
}

// Whoever begins to lead tells all clients, once: they may wait for an earlier leader.
static void new_leader__tells_every_client_once(void **state)
{
    (void)state;
    world_open(BATCH);
    world.smr.config.engine = TACIT_ENGINE_CRASH;
    world.smr.config.self = 2;
    for (uint32_t term = 1; term <= 2; term++) {
        world.smr.crash.term = term;
        world.smr.crash.role = TACIT_ROLE_CANDIDATE;
        (void)tacit_smr_serve(&world.smr);
        assert_int_equal(world.replies, (term - 1) * CLIENTS);
        world.smr.crash.role = TACIT_ROLE_LEADER;
        for (uint32_t turn = 0; turn < 3; turn++) {
            (void)tacit_smr_serve(&world.smr);
            assert_int_equal(world.replies, term * CLIENTS);
        }
        assert_int_equal(world.replied.kind, TACIT_REPLY_HINT);
        assert_int_equal(world.replied.leader, 2);
        assert_int_equal(world.replied.session, 0);
        assert_int_equal(world.replied.number, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TESTS(rules),
        cmocka_unit_test(order__goes_with_requests_where_it_fits),
        cmocka_unit_test(request__that_is_too_large_is_refused),
        cmocka_unit_test(what_finds_no_room__goes_first_in_the_next_batch),
        cmocka_unit_test(what_finds_no_room__goes_with_its_client),
        cmocka_unit_test(new_leader__tells_every_client_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
