// SPDX-License-Identifier: Apache-2.0
//
// How an operator's orders come, are checked, told and endorsed (core/byzantine/orders.c), rule by
// rule: a scenario says whether the rule was kept, and the seeded bug that leaves it out must break
// it. Three replicas, the module under test in each, over an ideal signer and links that only
// remember what was sent (this file defines tacit_links_send_all).
// TACIT_SEEDED: yes
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/base/bug.h"
#include "core/byzantine/orders.h"
#include "sim/sim_signer.h"
#include "support/rules.h"

enum { REPLICAS = 3, RETRY_NS = 1000, SIGN_NS = 10, DEPTH = 4 };

struct node {
    struct tacit_orders *orders;
    void *memory;
    struct sim_signer signer;
    uint8_t said[TACIT_ORDER_MESSAGE_BYTES];
    uint32_t said_count;
};

static struct world {
    uint64_t now_ns;
    struct sim_signer_world keys;
    struct sim_signer operator_key;
    struct node node[REPLICAS];
} world;

void tacit_links_send_all(struct tacit_links *links, const void *message, uint32_t bytes)
{
    struct node *node = (void *)links;
    assert_int_equal(bytes, TACIT_ORDER_MESSAGE_BYTES);
    memcpy(node->said, message, bytes);
    node->said_count++;
}

static void world_close(void)
{
    for (unsigned r = 0; r < REPLICAS; r++) {
        free(world.node[r].memory);
        world.node[r].memory = NULL;
    }
}

static void world_open(void)
{
    world_close();
    memset(&world, 0, sizeof world);
    world.now_ns = 1;
    sim_signer_world_init(&world.keys, 3, REPLICAS, 0);
    struct sim_signer_config signer = {
        .workers = 1, .depth = DEPTH, .sign_ns = SIGN_NS, .verify_ns = SIGN_NS};
    signer.self = TACIT_SIGNER_OPERATOR;
    sim_signer_open(&world.operator_key, &world.keys, &signer);
    for (unsigned r = 0; r < REPLICAS; r++) {
        struct node *node = &world.node[r];
        struct tacit_orders_config config = {
            .replicas = REPLICAS, .self = (tacit_node_t)r, .retry_ns = RETRY_NS};
        signer.self = (uint16_t)r;
        sim_signer_open(&node->signer, &world.keys, &signer);
        struct tacit_bump bump = {.base = NULL};
        assert_null(tacit_orders_init(&bump, &config, NULL, NULL));
        node->memory = aligned_alloc(TACIT_CACHE_LINE, tacit_round_up(bump.used, TACIT_CACHE_LINE));
        struct tacit_bump take = {.base = node->memory};
        node->orders =
            tacit_orders_init(&take, &config, (struct tacit_links *)node, &node->signer.signer);
        assert_int_equal(take.used, bump.used);
    }
}

// Time passes at one replica, and its signatures are checked. True: an order was found valid.
static bool pass(unsigned r, uint64_t time_ns)
{
    struct node *node = &world.node[r];
    bool any = false;
    world.now_ns += time_ns;
    sim_signer_advance(&node->signer, world.now_ns);
    struct tacit_signer_done done;
    while (node->signer.signer.ops->poll(&node->signer.signer, &done, 1) == 1) {
        if (TACIT_SIGNER_COOKIE_OWNER(done.cookie) == TACIT_SIGNER_ORDERS) {
            any = tacit_orders_signer(node->orders, &done) || any;
        }
    }
    return any;
}

static void sign(uint8_t order[TACIT_WIRE_ORDER_BYTES], uint64_t nonce, const struct sim_signer *by)
{
    struct tacit_wire_order parts = {
        .kind = TACIT_ORDER_REMOVE, .seat = 1, .epoch = 4, .nonce = nonce};
    struct tacit_signature signature;
    tacit_wire_order_encode(order, &parts);
    sim_signer_sign(by, TACIT_DOMAIN_ORDER, order, TACIT_WIRE_ORDER_SIGNED, &signature);
    memcpy(order + TACIT_WIRE_ORDER_SIGNED, signature.bytes, sizeof signature.bytes);
}

static void ask(unsigned r, uint32_t connection, const uint8_t *order)
{
    tacit_orders_asked(world.node[r].orders, connection, order, world.now_ns);
    (void)pass(r, 4 * SIGN_NS);
}

static bool is_due(unsigned r)
{
    return tacit_orders_is_due(world.node[r].orders);
}

// What `from` told all reaches replica r.
static void hear(unsigned r, unsigned from)
{
    tacit_orders_message(world.node[r].orders, (tacit_node_t)from, world.node[from].said,
                         TACIT_ORDER_MESSAGE_BYTES);
    (void)pass(r, 4 * SIGN_NS);
}

static struct tacit_wire_item item_of(const uint8_t *order, uint64_t nonce)
{
    return (struct tacit_wire_item){.kind = TACIT_ITEM_ORDER,
                                    .number = nonce,
                                    .body = order,
                                    .body_bytes = TACIT_WIRE_ORDER_BYTES};
}

static uint64_t proposed_nonce(unsigned r)
{
    uint8_t batch[TACIT_EPOCH_BATCH_BYTES];
    size_t offset = 0;
    struct tacit_wire_item item;
    size_t bytes = tacit_orders_proposal(world.node[r].orders, batch);
    if (bytes == 0) {
        return 0;
    }
    assert_int_equal(tacit_wire_item_decode(&item, batch, bytes, &offset), TACIT_VERDICT_OK);
    assert_int_equal(offset, bytes); // alone in its batch
    assert_int_equal(item.kind, TACIT_ITEM_ORDER);
    return item.number;
}

// ---- rules: true if kept

// Neither a client's nor a replica's own key makes an order.
static bool rule_operator_signed(void)
{
    uint8_t order[TACIT_WIRE_ORDER_BYTES];
    world_open();
    sign(order, 7, &world.node[2].signer);
    ask(0, 3, order);
    bool kept = !is_due(0);
    world_open();
    sign(order, 7, &world.operator_key);
    order[2]++; // another seat than the operator signed
    struct tacit_wire_item item = item_of(order, 7);
    assert_int_equal(tacit_orders_endorse(world.node[0].orders, 1, &item), TACIT_EPOCHS_WAIT);
    (void)pass(0, 4 * SIGN_NS);
    kept = kept && tacit_orders_endorse(world.node[0].orders, 1, &item) != TACIT_EPOCHS_OK;
    (void)pass(0, 4 * SIGN_NS);
    order[2]--;
    (void)tacit_orders_endorse(world.node[0].orders, 1, &item);
    (void)pass(0, 4 * SIGN_NS);
    assert_int_equal(tacit_orders_endorse(world.node[0].orders, 1, &item), TACIT_EPOCHS_OK);
    return kept;
}

// A client that reaches one replica has reached the leader.
static bool rule_told_to_all(void)
{
    uint8_t order[TACIT_WIRE_ORDER_BYTES];
    world_open();
    sign(order, 7, &world.operator_key);
    ask(2, 0, order);
    assert_true(is_due(2));
    if (!tacit_orders_poll(world.node[2].orders, world.now_ns)) {
        return false;
    }
    assert_false(is_due(0));
    hear(0, 2);
    return is_due(0) && proposed_nonce(0) == 7;
}

// What was told is lost with a connection: it is told again, until the order was executed, and no
// more after that.
static bool rule_told_until_executed(void)
{
    uint8_t order[TACIT_WIRE_ORDER_BYTES];
    world_open();
    struct node *node = &world.node[2];
    sign(order, 7, &world.operator_key);
    ask(2, 0, order);
    assert_true(tacit_orders_poll(node->orders, world.now_ns)); // nobody hears it
    world.now_ns += RETRY_NS;
    if (!tacit_orders_poll(node->orders, world.now_ns)) {
        return false;
    }
    assert_int_equal(node->said_count, 2);
    hear(0, 2);
    assert_int_equal(proposed_nonce(0), 7);
    tacit_orders_executed(node->orders, 7);
    for (uint32_t i = 0; i < 1000; i++) {
        world.now_ns += RETRY_NS;
        assert_false(tacit_orders_poll(node->orders, world.now_ns));
    }
    return true;
}

// One that goes first is told at once, however seldom the other one is by now.
static bool rule_told_at_once(void)
{
    uint8_t order[TACIT_WIRE_ORDER_BYTES];
    world_open();
    struct node *node = &world.node[2];
    sign(order, 9, &world.operator_key);
    ask(2, 0, order);
    for (uint32_t i = 0; i < 20; i++) {
        (void)tacit_orders_poll(node->orders, world.now_ns);
        world.now_ns += RETRY_NS;
    }
    sign(order, 5, &world.operator_key);
    ask(2, 1, order);
    assert_int_equal(proposed_nonce(2), 5);
    if (!tacit_orders_poll(node->orders, world.now_ns)) {
        return false;
    }
    hear(0, 2);
    assert_int_equal(proposed_nonce(0), 5);
    world.now_ns += RETRY_NS; // and as often as a new one
    return tacit_orders_poll(node->orders, world.now_ns);
}

static const struct rule rules[] = {
    {"the operator signs", rule_operator_signed, TACIT_BUG_ORDER_UNCHECKED},
    {"who has an order tells it", rule_told_to_all, TACIT_BUG_ORDER_FORGOTTEN},
    {"who has an order tells it until it was executed", rule_told_until_executed,
     TACIT_BUG_ORDER_TOLD_ONCE},
    {"who has an order tells it at once", rule_told_at_once, TACIT_BUG_ORDER_TOLD_LATE},
};

// ---- one after the other

static void orders__come_in_the_order_of_their_nonces(void **state)
{
    (void)state;
    uint8_t order[TACIT_WIRE_ORDER_BYTES];
    world_open();
    static const uint64_t nonces[] = {9, 5, 7};
    for (uint32_t i = 0; i < 3; i++) {
        sign(order, nonces[i], &world.operator_key);
        ask(0, i, order);
        assert_int_equal(proposed_nonce(0), i == 0 ? 9 : 5);
    }
    tacit_orders_executed(world.node[0].orders, 5);
    assert_false(is_due(0));
    assert_int_equal(proposed_nonce(0), 0);
    assert_int_equal(tacit_orders_deadline(world.node[0].orders), UINT64_MAX);
    ask(0, 8, order); // given again
    assert_int_equal(proposed_nonce(0), 7);
    tacit_orders_executed(world.node[0].orders, 9);
    ask(0, 9, order); // overtaken
    assert_false(is_due(0));
}

static void order__is_told_more_and_more_rarely(void **state)
{
    (void)state;
    uint8_t order[TACIT_WIRE_ORDER_BYTES];
    world_open();
    sign(order, 7, &world.operator_key);
    ask(0, 0, order);
    for (uint32_t i = 0; i < 62 * 4; i++) {
        (void)tacit_orders_poll(world.node[0].orders, world.now_ns);
        world.now_ns += RETRY_NS / 4;
    }
    assert_in_range(world.node[0].said_count, 4, 8);
}

// ---- bounds

// Of a client one check in a while, of all clients one at a time.
static void clients__cannot_flood_the_signer(void **state)
{
    (void)state;
    uint8_t order[TACIT_WIRE_ORDER_BYTES];
    world_open();
    struct node *node = &world.node[0];
    for (uint32_t i = 0; i < 1000; i++) {
        sign(order, 100 + i, &node->signer);
        tacit_orders_asked(node->orders, i % TACIT_CLIENTS_MAX, order, world.now_ns);
    }
    assert_int_equal(node->signer.queue[TACIT_SIGNER_CHARGE_CLIENTS].count, 0); // the one is out
    (void)pass(0, 4 * SIGN_NS);
    assert_int_equal(node->signer.signer.signatures_checked, 1);
    for (uint32_t i = 0; i < 100; i++) {
        sign(order, 2000 + i, &node->signer);
        ask(0, 5, order);
    }
    assert_int_equal(node->signer.signer.signatures_checked, 2);
    assert_int_equal(tacit_orders_counters(node->orders)->bad_signatures, 2);
    sign(order, 7, &world.operator_key); // another one is heard all the same
    ask(0, 6, order);
    assert_true(is_due(0));
    tacit_orders_asked(node->orders, TACIT_CLIENTS_MAX, order, world.now_ns); // no such connection
}

// A peer that brings forged ones waits for its own; nobody else's check is delayed.
static void peer__has_one_check_at_a_time(void **state)
{
    (void)state;
    uint8_t message[TACIT_ORDER_MESSAGE_BYTES] = {TACIT_MESSAGE_ORDER};
    world_open();
    struct node *node = &world.node[0];
    for (uint32_t i = 0; i < 100; i++) {
        sign(message + 8, 100 + i, &world.node[2].signer);
        tacit_orders_message(node->orders, 2, message, sizeof message);
    }
    sign(message + 8, 7, &world.operator_key);
    tacit_orders_message(node->orders, 1, message, sizeof message);
    assert_true(node->signer.queue[2].count + node->signer.queue[1].count <= 1);
    (void)pass(0, 4 * SIGN_NS);
    assert_true(is_due(0));
    assert_int_equal(node->signer.signer.signatures_checked, 2);
}

static void order__of_the_wrong_shape_is_counted(void **state)
{
    (void)state;
    uint8_t message[TACIT_ORDER_MESSAGE_BYTES] = {TACIT_MESSAGE_ORDER};
    world_open();
    struct tacit_orders *orders = world.node[0].orders;
    sign(message + 8, 7, &world.operator_key);
    for (uint32_t bytes = 0; bytes < sizeof message; bytes++) {
        tacit_orders_message(orders, 1, message, bytes);
    }
    assert_int_equal(tacit_orders_counters(orders)->malformed, sizeof message);
    message[8] = 0; // no kind
    tacit_orders_message(orders, 1, message, sizeof message);
    tacit_orders_asked(orders, 0, message + 8, world.now_ns);
    assert_int_equal(tacit_orders_counters(orders)->malformed, sizeof message + 2);
    struct tacit_wire_item item = item_of(message + 8, 7);
    assert_int_equal(tacit_orders_endorse(orders, 1, &item), TACIT_EPOCHS_NEVER);
    message[8] = TACIT_ORDER_ADD;
    for (uint32_t bytes = 0; bytes < TACIT_WIRE_ORDER_BYTES; bytes++) {
        item.body_bytes = bytes;
        assert_int_equal(tacit_orders_endorse(orders, 1, &item), TACIT_EPOCHS_NEVER);
    }
    for (uint64_t value = 0; value < 4096; value++) {
        struct tacit_signer_done done = {
            .cookie = TACIT_SIGNER_COOKIE(TACIT_SIGNER_ORDERS, value << 30 | value % 4),
            .valid = true};
        assert_false(tacit_orders_signer(orders, &done));
    }
    assert_false(is_due(0));
}

// What the signer has no room for is no order, until it is given again.
static void order__is_lost_when_the_signer_is_full(void **state)
{
    (void)state;
    uint8_t order[TACIT_WIRE_ORDER_BYTES];
    struct tacit_signer *signer;
    world_open();
    signer = &world.node[0].signer.signer;
    sign(order, 7, &world.operator_key);
    for (uint32_t i = 0; i < DEPTH + 2; i++) {
        struct tacit_signer_job job = {.verify = true,
                                       .charge = TACIT_SIGNER_CHARGE_CLIENTS,
                                       .domain = TACIT_DOMAIN_CERTIFY,
                                       .payload_bytes = 8,
                                       .cookie = TACIT_SIGNER_COOKIE(TACIT_SIGNER_CTB, 0)};
        (void)signer->ops->submit(signer, &job);
    }
    tacit_orders_asked(world.node[0].orders, 0, order, world.now_ns);
    assert_int_equal(tacit_orders_counters(world.node[0].orders)->refused, 1);
    (void)pass(0, 40 * SIGN_NS);
    (void)pass(0, 40 * SIGN_NS);
    assert_false(is_due(0));
    world.now_ns += 100 * RETRY_NS;
    ask(0, 0, order);
    assert_true(is_due(0));
}

static int close_world(void **state)
{
    (void)state;
    world_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TESTS(rules),
        cmocka_unit_test(orders__come_in_the_order_of_their_nonces),
        cmocka_unit_test(order__is_told_more_and_more_rarely),
        cmocka_unit_test(clients__cannot_flood_the_signer),
        cmocka_unit_test(peer__has_one_check_at_a_time),
        cmocka_unit_test(order__of_the_wrong_shape_is_counted),
        cmocka_unit_test(order__is_lost_when_the_signer_is_full),
    };
    return cmocka_run_group_tests_name("byz_orders", tests, NULL, close_world);
}
