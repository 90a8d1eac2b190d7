// SPDX-License-Identifier: Apache-2.0
//
// What it takes for the group's answer about seats and orders (core/client/members.c): in Byzantine
// mode f+1 replicas that say the same, whatever f others say.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/client/internal.h"

static struct tacit_client client;

static void set_up(bool byzantine)
{
    memset(&client, 0, sizeof client);
    client.config.replicas = 3;
    client.config.byzantine = byzantine;
    client.config.faults = 1;
    client.asked = 100;
}

static void says(uint32_t replica, uint64_t number, uint64_t epoch, uint32_t dead)
{
    struct tacit_wire_members members = {.epoch = epoch, .dead = dead};
    uint8_t body[TACIT_WIRE_MEMBERS_BYTES];
    tacit_wire_members_encode(body, &members);
    struct tacit_wire_reply reply = {
        .kind = TACIT_REPLY_MEMBERS, .number = number, .body = body, .body_bytes = sizeof body};
    tacit_client_said(&client, replica, &reply);
}

static void answers(uint32_t replica, uint64_t nonce, uint64_t outcome)
{
    uint8_t body[8];
    memcpy(body, &outcome, sizeof body);
    struct tacit_wire_reply reply = {
        .kind = TACIT_REPLY_ORDERED, .number = nonce, .body = body, .body_bytes = sizeof body};
    tacit_client_said(&client, replica, &reply);
}

static void byzantine__needs_f_plus_1_alike(void **state)
{
    (void)state;
    struct tacit_wire_members members;
    set_up(true);
    assert_false(tacit_client_members(&client, &members));
    says(0, 100, 9, 7); // a liar from the future
    assert_false(tacit_client_members(&client, &members));
    says(1, 100, 2, 1);
    assert_false(tacit_client_members(&client, &members));
    says(2, 100, 2, 0);
    assert_true(tacit_client_members(&client, &members));
    assert_int_equal(members.epoch, 2);
    assert_int_equal(members.dead, 0); // one alone says so
    says(0, 100, 2, 3);
    assert_true(tacit_client_members(&client, &members));
    assert_int_equal(members.dead, 1); // two do, of seat 0
}

static void old_answers__do_not_count(void **state)
{
    (void)state;
    struct tacit_wire_members members;
    set_up(true);
    says(0, 100, 2, 1);
    says(1, 36, 2, 1); // long ago
    assert_false(tacit_client_members(&client, &members));
    says(1, 37, 2, 1);
    assert_true(tacit_client_members(&client, &members));
    says(2, 101, 2, 1); // to a question that was not asked
    assert_int_equal(client.counters.malformed, 1);
    client.asked = 101;
    assert_false(tacit_client_members(&client, &members));
}

static void crash__takes_the_newest(void **state)
{
    (void)state;
    struct tacit_wire_members members;
    set_up(false);
    says(0, 100, 2, 0);
    assert_true(tacit_client_members(&client, &members));
    assert_int_equal(members.epoch, 2);
    says(2, 100, 3, 2);
    says(1, 100, 2, 1);
    assert_true(tacit_client_members(&client, &members));
    assert_int_equal(members.epoch, 3);
    assert_int_equal(members.dead, 2);
}

static void orders__are_answered_by_f_plus_1(void **state)
{
    (void)state;
    set_up(true);
    answers(0, 77, TACIT_ORDER_DONE);
    answers(1, 77, TACIT_ORDER_QUORUM);
    assert_int_equal(tacit_client_order_outcome(&client, 77), 0);
    answers(2, 76, TACIT_ORDER_QUORUM); // another order
    assert_int_equal(tacit_client_order_outcome(&client, 77), 0);
    answers(2, 77, TACIT_ORDER_QUORUM);
    assert_int_equal(tacit_client_order_outcome(&client, 77), TACIT_ORDER_QUORUM);
    answers(2, 77, TACIT_ORDER_OUTCOMES);
    answers(2, 77, 0);
    assert_int_equal(client.counters.malformed, 2);
    set_up(false);
    answers(1, 77, TACIT_ORDER_DONE);
    assert_int_equal(tacit_client_order_outcome(&client, 77), TACIT_ORDER_DONE);
    assert_int_equal(tacit_client_order_outcome(&client, 78), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byzantine__needs_f_plus_1_alike),
        cmocka_unit_test(old_answers__do_not_count),
        cmocka_unit_test(crash__takes_the_newest),
        cmocka_unit_test(orders__are_answered_by_f_plus_1),
    };
    return cmocka_run_group_tests_name("client_members", tests, NULL, NULL);
}
