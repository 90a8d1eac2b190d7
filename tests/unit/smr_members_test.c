// SPDX-License-Identifier: Apache-2.0
//
// Spares, vacancies and an operator's orders in a replica of Byzantine mode (core/smr/epochs.c):
// which change of members has an effect, who signs for a seat, who leaves it. Rules are scenarios
// that the seeded bug which leaves the rule out must break. What orders do to the members is in
// core_members_test.c, how they come and are checked in byz_orders_test.c.
// TACIT_SEEDED: yes
#include "smr_epochs_world.h"

// ---- rules: true if kept

// f+1 replicas signed for a spare; then an operator's order barred it, or gave it another seat.
static bool rule_change_is_allowed(void)
{
    const uint64_t spare = tacit_incarnation_make(1, 2, 7);
    world_open();
    change(4, 2, 1, spare);
    assert_int_equal(world.members.change_at, 12);
    world_open();
    world.members.barred = tacit_body_bit(2, 2);
    change(3, 2, 1, spare);
    bool kept = world.members.change_at == 0;
    world_open();
    world.members.incarnation[0] = world.members.seat[0] = tacit_incarnation_make(3, 2, 1);
    change(3, 2, 1, spare);
    kept = kept && world.members.change_at == 0;
    assert_int_equal(world.smr.counters.unexpected, kept ? 1 : 0);
    world_open();
    // Nobody signs for a vacancy: only an order makes one.
    struct tacit_wire_item item = {.kind = TACIT_ITEM_REPLACE,
                                   .subject = 2,
                                   .session = 1,
                                   .number = tacit_members_vacancy(&world.members, 2),
                                   .body = (const uint8_t *)"x",
                                   .body_bytes = 1};
    tacit_smr_epoch_change(&world.smr, 3, &item);
    assert_int_equal(world.members.change_at, 0);
    return kept;
}

// Its seat is a spare's: it takes part no more, and knows who is a member instead.
static bool rule_replaced_leaves(void)
{
    const tacit_incarnation_t spare = tacit_incarnation_make(1, 1, 7);
    world_open();
    change(4, SELF, 1, spare);
    execute_up_to(12);
    world.newest = 8;
    assert_false(begins()); // those who missed the end could not be shown it
    world.newest = 12;
    assert_true(begins());
    bool kept = world.starts == 0 && !world.smr.active;
    assert_int_equal(world.members.incarnation[SELF], spare);
    assert_true((world.members.barred & tacit_body_bit(SELF, 0)) != 0);
    assert_int_equal(world.smr.byzantine.member[SELF], spare);
    assert_true(!kept || (world.observed == 1 && world.smr.byzantine.has_left));
    return kept;
}

static const struct rule rules[] = {
    {"a change is allowed when it is executed", rule_change_is_allowed, TACIT_BUG_CHANGE_UNRULED},
    {"who lost its seat leaves", rule_replaced_leaves, TACIT_BUG_REPLACED_GOES_ON},
};

// ---- spares and vacancies

static void spare__signs_with_its_own_key(void **state)
{
    (void)state;
    world_open();
    tacit_smr_epoch_accept(&world.smr);
    assert_int_equal(world.smr.byzantine.authors[2], 2);
    change(4, 2, 1, tacit_incarnation_make(1, 2, 7));
    execute_up_to(12);
    world.newest = 12;
    assert_true(begins());
    assert_int_equal(world.smr.byzantine.authors[2], TACIT_SIGNER_SPARE + 2);
    assert_int_equal(world.smr.byzantine.authors[1], 1);
    assert_int_equal(world.links[2], tacit_incarnation_make(1, 2, 7));
    change(15, 2, tacit_incarnation_make(1, 2, 7), tacit_incarnation_make(1, 2, 8)); // it restarts
    execute_up_to(24);
    assert_int_equal(world.members.incarnation[2], tacit_incarnation_make(1, 2, 8));
    assert_true((world.members.barred & tacit_body_bit(2, 2)) == 0);
}

// Nobody waits for a vacant seat's ACKs, and its turn to lead is over at once; no epoch begins with
// it. Its old body is refused everywhere: it is older than the member.
static void vacancy__is_waited_for_by_nobody(void **state)
{
    (void)state;
    world_open();
    struct tacit_wire_item vacancy = {.kind = TACIT_ITEM_REPLACE,
                                      .subject = 1,
                                      .session = 1,
                                      .number = tacit_members_vacancy(&world.members, 1)};
    tacit_smr_epoch_change(&world.smr, 4, &vacancy);
    execute_up_to(12);
    world.newest = 12;
    assert_true(begins());
    assert_int_equal(world.smr.byzantine.dead, 0x2);
    assert_true(world.links[1] > tacit_incarnation_make(0, 0, TACIT_START_MAX));
    assert_true(world.smr.byzantine.authors[1] >= TACIT_BYZ_AUTHORS); // nobody's key
    assert_int_equal(world.first_leader, 2);
    change(15, 0, 1, 2); // the next in turn would be 1
    execute_up_to(24);
    assert_int_equal(world.members.first_leader, 2);
    // It is filled by order only.
    const uint64_t spare = tacit_incarnation_make(2, 1, 1);
    change(25, 1, world.members.incarnation[1], spare);
    assert_int_equal(world.members.change_at, 0);
    world.members.ordered[1] = 2;
    change(25, 1, world.members.incarnation[1], spare);
    assert_true(world.members.change_at != 0);
}

// ---- orders

static void order__is_proposed_before_a_change(void **state)
{
    (void)state;
    world_open();
    world.due = world.order_due = true;
    assert_true(tacit_smr_epoch_is_owed(&world.smr));
    assert_true(tacit_smr_epoch_propose(&world.smr));
    assert_int_equal(world.proposal_bytes, 112);
    assert_true(tacit_smr_epoch_propose(&world.smr));
    assert_int_equal(world.proposal_bytes, 48);
    assert_false(tacit_smr_epoch_propose(&world.smr)); // each once a view
    change(3, 2, 1, 2);
    world.has_requests = true;
    world.smr.byzantine.view = 3;
    assert_false(tacit_smr_epoch_propose(&world.smr)); // not while an epoch ends
}

static void order__is_answered_or_kept(void **state)
{
    (void)state;
    struct tacit_wire_order order = {.kind = TACIT_ORDER_REMOVE, .seat = 1, .nonce = 5};
    uint8_t body[TACIT_WIRE_ORDER_BYTES];
    struct tacit_wire_request request = {
        .kind = TACIT_REQUEST_ORDER, .number = 5, .body = body, .body_bytes = sizeof body};
    struct sim_signer_world keys;
    static struct sim_signer signer;
    tacit_wire_order_encode(body, &order);
    sim_signer_world_init(&keys, 1, REPLICAS, 1);
    sim_signer_open(&signer, &keys, &(struct sim_signer_config){.workers = 1, .depth = 1});
    world_open();
    world.smr.byzantine.signer = &signer.signer;
    world.smr.clients[3].up = true;
    world.members.epoch = 1; // it was made for another
    tacit_smr_epoch_order(&world.smr, TACIT_NODE_CLIENT + 3, &request);
    assert_int_equal(world.replied, TACIT_ORDER_STALE);
    assert_int_equal(world.asked, 0);
    world.replied = 0;
    world.members.epoch = 0;
    world.smr.byzantine.dead = 0x4; // no state: who is dead is judged by who gives orders
    tacit_smr_epoch_order(&world.smr, TACIT_NODE_CLIENT + 3, &request);
    assert_int_equal(world.replied, 0);
    assert_int_equal(world.asked, 1);
    assert_int_equal(tacit_smr_epoch_asker(&world.smr, 5), TACIT_NODE_CLIENT + 3);
    assert_int_equal(tacit_smr_epoch_asker(&world.smr, 4), TACIT_NODE_NONE);
    world.members.order_nonce = 5; // executed: the answer is known
    world.members.order_outcome = TACIT_ORDER_DONE;
    tacit_smr_epoch_order(&world.smr, TACIT_NODE_CLIENT + 3, &request);
    assert_int_equal(world.replied, TACIT_ORDER_DONE);
    assert_int_equal(world.asked, 1);
    world.smr.active = false; // has nothing to say
    tacit_smr_epoch_order(&world.smr, TACIT_NODE_CLIENT + 3, &request);
    assert_int_equal(world.asked, 1);
    world.smr.clients[3].up = false;
    assert_int_equal(tacit_smr_epoch_asker(&world.smr, 5), TACIT_NODE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TESTS(rules),
        cmocka_unit_test(spare__signs_with_its_own_key),
        cmocka_unit_test(vacancy__is_waited_for_by_nobody),
        cmocka_unit_test(order__is_proposed_before_a_change),
        cmocka_unit_test(order__is_answered_or_kept),
    };
    return cmocka_run_group_tests_name("smr_members", tests, NULL, NULL);
}
