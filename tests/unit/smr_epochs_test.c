// SPDX-License-Identifier: Apache-2.0
//
// What an ordered change of members does to a replica, rule by rule (core/smr/epochs.c): when it
// takes effect, what the next epoch begins with and when, who is heard. Each rule is a scenario
// that says whether it was kept, and which the seeded bug that leaves the rule out must break. Who
// may be replaced is in byz_epochs_test.c; that nobody votes above the cut in
// byz_agree_epochs_test.c; spares, vacancies and orders in smr_members_test.c.
// TACIT_SEEDED: yes
#include "smr_epochs_world.h"

// ---- rules: true if kept

// Effect at s + V, and no later: whoever votes there has executed s.
static bool rule_effect(void)
{
    bool kept = true;
    for (uint64_t slot = 0; slot < 3 * WINDOW; slot++) {
        world_open();
        change(slot, 2, 1, 2);
        uint64_t c = world.members.change_at;
        assert_int_equal(world.limit, c); // the cut
        kept = kept && c == slot + WINDOW;
    }
    return kept;
}

// Who has less in flight votes for less above what it has executed, and a change comes sooner: by
// the same number that ends votes.
static void members__change_as_soon_as_votes_allow(void **state)
{
    (void)state;
    // Each of these slots takes signatures: no more than are needed to go on meanwhile.
    assert_int_equal(tacit_agree_votes_ahead(256, 6), 12);
    assert_int_equal(tacit_agree_votes_ahead(256, 64), 128);
    assert_int_equal(tacit_agree_votes_ahead(16, 16), 16);
    for (uint32_t inflight = 1; inflight <= 2 * WINDOW; inflight++) {
        // In flight are as many at most as large bodies have places at a receiver.
        uint32_t most = inflight < TACIT_LINKS_BODIES_AHEAD ? inflight : TACIT_LINKS_BODIES_AHEAD;
        uint32_t ahead = tacit_agree_votes_ahead(WINDOW, most);
        assert_true(ahead >= most && ahead <= WINDOW);
        for (uint64_t slot = 0; slot < 2 * WINDOW; slot++) {
            world_open();
            world.smr.config.inflight = inflight;
            change(slot, 2, 1, 2);
            assert_int_equal(world.members.change_at, slot + ahead);
        }
    }
}

static bool rule_one_change(void)
{
    world_open();
    change(4, 2, 1, 2);
    change(5, 1, 1, 2);
    return world.members.change_node == 2 && world.members.change_at == 12 && world.limit == 12;
}

static bool rule_change_of_a_member(void)
{
    world_open();
    world.members.incarnation[2] = world.members.seat[2] = 3;
    change(3, 2, 2, 4); // what it was once
    bool kept = world.members.change_at == 0;
    world_open();
    change(3, 2, 1, 1); // no change at all
    change(3, 2, 1, 0);
    change(3, 3, 0, 2); // no such nodes
    change(3, TACIT_NODE_MEMNODE + MEMNODES, 0, 2);
    change(3, 0xffff, 0, 2);
    assert_int_equal(world.members.change_at, 0);
    assert_int_equal(world.smr.counters.unexpected, 5);
    return kept;
}

static bool rule_fresh_streams(void)
{
    end_of_epoch();
    world.newest = 12;
    assert_true(begins());
    return world.resets == 1 && world.reset_epoch == 1;
}

static bool rule_with_the_certificate(void)
{
    end_of_epoch();
    world.newest = 8;
    bool kept = !begins();
    world.newest = 12;
    assert_true(begins() || !kept);
    return kept;
}

// A new incarnation takes part when the state says that it is a member, not before.
static bool rule_join(void)
{
    end_of_epoch();
    world.newest = 12;
    world.smr.active = false;
    world.smr.config.self = 2;
    world.smr.config.incarnation = 3; // died again meanwhile
    bool kept = !begins() && !world.smr.active;
    world.smr.active = false;
    world.smr.config.incarnation = 2;
    assert_true(begins());
    assert_true(world.smr.active);
    return kept;
}

static void restart_two(void)
{
    world_open();
    tacit_smr_epoch_accept(&world.smr);
    world.smr.byzantine.peer_incarnation[2] = 2;
    tacit_smr_epoch_up(&world.smr, 2, 2);
    assert_int_equal(world.seen[2], 2); // it is suspected
}

// Of the members, and of nobody else, messages and registers count.
static bool rule_restarted_is_no_member(void)
{
    restart_two();
    return world.links[2] == 1 && world.owner[2] == 1;
}

static bool rule_stranger_is_heard(void)
{
    restart_two();
    bool kept = world.strangers[2] == 2;
    assert_int_equal(world.strangers[1], 0);
    tacit_smr_epoch_accept(&world.smr); // again, with another change
    assert_int_equal(world.links[1], 1);
    return kept && world.links[2] == 1;
}

static bool rule_memnode_counts_for_nothing(void)
{
    world_open();
    tacit_smr_epoch_accept(&world.smr);
    tacit_smr_epoch_up(&world.smr, TACIT_NODE_MEMNODE + 1, 2);
    assert_int_equal(world.seen[TACIT_NODE_MEMNODE + 1], 2);
    return world.registers[TACIT_NODE_MEMNODE + 1] == 1;
}

// Whatever stands beside the change in its batch would not be looked at.
static bool rule_alone(void)
{
    uint8_t batch[256];
    size_t used = 0;
    struct tacit_wire_item item = {
        .kind = TACIT_ITEM_REPLACE, .subject = 2, .session = 1, .number = 2};
    struct tacit_wire_item request = {.kind = TACIT_ITEM_APPLY, .number = 1};
    enum tacit_endorsement endorsement;
    world_open();
    world.endorsement = TACIT_EPOCHS_OK;
    assert_true(tacit_wire_item_encode(batch, sizeof batch, &used, &item));
    assert_true(tacit_smr_epoch_endorse(&world.smr, 4, 5, batch, (uint32_t)used, &endorsement));
    assert_int_equal(endorsement, TACIT_ENDORSED);
    assert_int_equal(world.asked_leader, 1);
    assert_true(tacit_wire_item_encode(batch, sizeof batch, &used, &request));
    assert_true(tacit_smr_epoch_endorse(&world.smr, 4, 5, batch, (uint32_t)used, &endorsement));
    return endorsement == TACIT_ENDORSE_NEVER;
}

static const struct rule rules[] = {
    {"effect at s+V", rule_effect, TACIT_BUG_EPOCH_EARLY},
    {"one change an epoch", rule_one_change, TACIT_BUG_EPOCH_SECOND_CHANGE},
    {"a change is of a member", rule_change_of_a_member, TACIT_BUG_EPOCH_STALE_CHANGE},
    {"fresh streams", rule_fresh_streams, TACIT_BUG_EPOCH_STREAMS_KEPT},
    {"begins with its checkpoint's certificate", rule_with_the_certificate,
     TACIT_BUG_EPOCH_WITHOUT_CERTIFICATE},
    {"who joins is a member", rule_join, TACIT_BUG_EPOCH_JOINS_BLINDLY},
    {"who restarted is no member", rule_restarted_is_no_member, TACIT_BUG_EPOCH_RESTARTED_COUNTS},
    {"who restarted is heard as a stranger", rule_stranger_is_heard,
     TACIT_BUG_EPOCH_STRANGER_UNHEARD},
    {"an emptied memory node counts for nothing", rule_memnode_counts_for_nothing,
     TACIT_BUG_EPOCH_MEMNODE_COUNTS},
    {"a change is alone in its batch", rule_alone, TACIT_BUG_REPLACE_IN_COMPANY},
};

// ---- the end of an epoch

static void members__change_at_the_checkpoint_and_not_before(void **state)
{
    (void)state;
    world_open();
    change(4, 2, 1, 2);
    execute_up_to(11);
    assert_true(tacit_smr_epoch_is_ending(&world.smr));
    assert_int_equal(world.members.incarnation[2], 1);
    assert_int_equal(world.members.epoch, 0);
    execute_up_to(12);
    assert_false(tacit_smr_epoch_is_ending(&world.smr));
    assert_int_equal(world.members.incarnation[2], 2);
    assert_int_equal(world.members.incarnation[1], 1);
    assert_int_equal(world.members.epoch, 1);
    assert_int_equal(world.members.epoch_base, 12);
    assert_int_equal(world.members.replaced, 1);
    assert_int_equal(world.touched, 2); // each time, or the certified root would miss it
    execute_up_to(40);
    assert_int_equal(world.members.epoch, 1);
}

static void memnode__is_replaced_like_a_replica(void **state)
{
    (void)state;
    world_open();
    change(0, TACIT_NODE_MEMNODE + 1, 1, 5);
    execute_up_to(8);
    world.newest = 8;
    assert_true(begins());
    assert_int_equal(world.registers[TACIT_NODE_MEMNODE + 1], 5);
    assert_int_equal(world.registers[TACIT_NODE_MEMNODE + 0], 1);
    assert_int_equal(world.links[TACIT_NODE_MEMNODE + 1], 0); // no links there,
    world.smr.config.byzantine.broadcast_on = TACIT_BROADCAST_ON_MEMNODES;
    tacit_smr_epoch_accept(&world.smr);
    assert_int_equal(world.links[TACIT_NODE_MEMNODE + 1], 5); // unless they are in use
}

// ---- the next one

static void begin__has_everything_anew(void **state)
{
    (void)state;
    end_of_epoch();
    struct tacit_smr_byzantine *byzantine = &world.smr.byzantine;
    world.newest = 12;
    byzantine->dead = 0x6;
    byzantine->batch_used = 100;
    byzantine->replace_slot = 3;
    byzantine->replace_view = 1;
    byzantine->timer_ns = 64000;
    assert_true(begins());
    assert_int_equal(world.starts, 1);
    assert_int_equal(world.start_epoch, 1);
    assert_int_equal(world.start_base, 12);
    assert_int_equal(world.entered_epoch, 1);
    assert_int_equal(world.entered_members[2], 2);
    assert_int_equal(world.taken_up, 1);
    assert_int_equal(byzantine->epoch, 1);
    assert_int_equal(byzantine->batch_used, 0);
    assert_int_equal(byzantine->replace_slot, TACIT_SLOT_NONE);
    assert_int_equal(byzantine->replace_view, 0);
    assert_int_equal(byzantine->timer_ns, 1000);
    assert_int_equal(byzantine->dead, 0x2); // the new incarnation of replica 2 is not
    assert_int_equal(world.links[2], 2);
    assert_int_equal(world.owner[2], 2);
    assert_int_equal(world.links[1], 1);
    assert_int_equal(world.links[SELF], 0);
    assert_int_equal(world.owner[SELF], 1);
    assert_false(begins()); // once
}

// The one that was taken in has a state to fetch: everybody would wait for it as the leader.
static void begin__is_not_led_by_who_joins(void **state)
{
    (void)state;
    for (uint32_t replaced = 0; replaced < REPLICAS; replaced++) {
        world_open();
        change(4, (uint16_t)replaced, 1, 2);
        execute_up_to(12);
        world.newest = 12;
        world.smr.config.incarnation = replaced == SELF ? 2 : 1; // else it would have left
        assert_true(begins());
        assert_int_equal(world.first_leader, (replaced + 1) % REPLICAS);
        change(16, TACIT_NODE_MEMNODE, 1, 2); // who leads after a memory node's is the same
        execute_up_to(24);
        world.newest = 24;
        assert_true(begins());
        assert_int_equal(world.first_leader, (replaced + 1) % REPLICAS);
    }
}

static void begin__waits_for_the_state(void **state)
{
    (void)state;
    end_of_epoch();
    world.newest = 12;
    world.smr.state_valid = false;
    assert_false(begins());
    world.smr.state_valid = true;
    world.smr.byzantine.must_fetch = true;
    assert_false(begins());
    world.smr.byzantine.must_fetch = false;
    assert_true(begins());
}

// Whose state is already above the epoch's first slot, or ends the next one, goes on from there.
static void begin__with_a_state_from_later(void **state)
{
    (void)state;
    end_of_epoch();
    world.newest = 20;
    world.smr.applied = 20;
    world.members.change_at = 28;
    assert_true(begins());
    assert_int_equal(world.start_base, 12);
    assert_int_equal(world.installed, 20);
    assert_int_equal(world.limit, 28);
}

// Who is no member yet hears the replicas (for certificates), and no register counts.
static void joining__hears_everybody(void **state)
{
    (void)state;
    world_open();
    world.smr.active = false;
    tacit_smr_epoch_observe(&world.smr);
    assert_int_equal(world.observed, 1);
    tacit_smr_epoch_up(&world.smr, 1, 4);
    tacit_smr_epoch_up(&world.smr, TACIT_NODE_MEMNODE, 4);
    assert_int_equal(world.links[1], 4);
    assert_int_equal(world.links[TACIT_NODE_MEMNODE], 0);
    assert_int_equal(world.registers[TACIT_NODE_MEMNODE], 0);
    assert_int_equal(world.owner[1], 0);
    world.smr.config.byzantine.broadcast_on = TACIT_BROADCAST_ON_MEMNODES;
    tacit_smr_epoch_up(&world.smr, TACIT_NODE_MEMNODE, 4);
    assert_int_equal(world.links[TACIT_NODE_MEMNODE], 4);
}

// For the store of requests views grow over epochs, and each has the leader that it has.
static void view__grows_over_epochs(void **state)
{
    (void)state;
    world_open();
    uint64_t last = tacit_smr_epoch_view(&world.smr, 1u << 20);
    for (uint64_t epoch = 1; epoch < 100; epoch++) {
        world.smr.byzantine.epoch = epoch;
        tacit_node_t first = (tacit_node_t)(epoch % REPLICAS);
        world.smr.byzantine.first_leader = first;
        for (uint64_t view = 0; view < 5; view++) {
            uint64_t grown = tacit_smr_epoch_view(&world.smr, view);
            assert_true(grown > last);
            assert_int_equal(grown % REPLICAS, (first + view) % REPLICAS); // as agreement has it
            last = grown;
        }
    }
}

// ---- the leader

static void propose__the_change_once_a_view(void **state)
{
    (void)state;
    world_open();
    assert_false(tacit_smr_epoch_propose(&world.smr)); // nothing is due
    world.due = world.full = true;
    assert_false(tacit_smr_epoch_propose(&world.smr));
    world.full = false;
    assert_true(tacit_smr_epoch_propose(&world.smr));
    assert_int_equal(world.proposal_bytes, 48);
    assert_false(tacit_smr_epoch_propose(&world.smr));
    world.smr.byzantine.view = 3; // a later view that it leads: the old one may be lost
    assert_true(tacit_smr_epoch_propose(&world.smr));
    assert_int_equal(world.proposals, 2);
}

static void propose__noops_up_to_the_end(void **state)
{
    (void)state;
    world_open();
    change(4, 2, 1, 2);
    assert_true(tacit_smr_epoch_propose(&world.smr));
    assert_int_equal(world.proposal_bytes, 0);
    world.has_requests = true; // these fill the slots as well
    assert_false(tacit_smr_epoch_propose(&world.smr));
    world.has_requests = false;
    world.smr.byzantine.batch_used = 8;
    assert_false(tacit_smr_epoch_propose(&world.smr));
    world.smr.byzantine.batch_used = 0;
    execute_up_to(12);
    assert_false(tacit_smr_epoch_propose(&world.smr));
}

// ---- the others

static void endorse__answers_for_changes_only(void **state)
{
    (void)state;
    uint8_t batch[128];
    size_t used = 0;
    enum tacit_endorsement endorsement = TACIT_ENDORSED;
    struct tacit_wire_item item = {.kind = TACIT_ITEM_APPLY, .number = 1};
    world_open();
    assert_true(tacit_wire_item_encode(batch, sizeof batch, &used, &item));
    assert_false(tacit_smr_epoch_endorse(&world.smr, 0, 0, batch, (uint32_t)used, &endorsement));
    assert_false(tacit_smr_epoch_endorse(&world.smr, 0, 0, batch, 0, &endorsement));
    assert_false(tacit_smr_epoch_endorse(&world.smr, 0, 0, batch, 7, &endorsement));
    item = (struct tacit_wire_item){
        .kind = TACIT_ITEM_REPLACE, .subject = 2, .session = 1, .number = 2};
    used = 0;
    assert_true(tacit_wire_item_encode(batch, sizeof batch, &used, &item));
    world.endorsement = TACIT_EPOCHS_WAIT;
    assert_true(tacit_smr_epoch_endorse(&world.smr, 0, 7, batch, (uint32_t)used, &endorsement));
    assert_int_equal(endorsement, TACIT_ENDORSE_LATER);
    assert_int_equal(world.smr.byzantine.replace_slot, 7); // looked at again with the next share
    world.endorsement = TACIT_EPOCHS_NEVER;
    assert_true(tacit_smr_epoch_endorse(&world.smr, 0, 7, batch, (uint32_t)used, &endorsement));
    assert_int_equal(endorsement, TACIT_ENDORSE_NEVER);
}

// A change that is due, or decided up to its checkpoint, is owed by the leader.
static void owed__while_due_or_ending(void **state)
{
    (void)state;
    world_open();
    assert_false(tacit_smr_epoch_is_owed(&world.smr));
    world.due = true;
    assert_true(tacit_smr_epoch_is_owed(&world.smr));
    world.due = false;
    change(4, 2, 1, 2);
    assert_true(tacit_smr_epoch_is_owed(&world.smr));
    execute_up_to(12);
    assert_false(tacit_smr_epoch_is_owed(&world.smr));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TESTS(rules),
        cmocka_unit_test(members__change_at_the_checkpoint_and_not_before),
        cmocka_unit_test(members__change_as_soon_as_votes_allow),
        cmocka_unit_test(memnode__is_replaced_like_a_replica),
        cmocka_unit_test(begin__has_everything_anew),
        cmocka_unit_test(begin__is_not_led_by_who_joins),
        cmocka_unit_test(begin__waits_for_the_state),
        cmocka_unit_test(begin__with_a_state_from_later),
        cmocka_unit_test(joining__hears_everybody),
        cmocka_unit_test(view__grows_over_epochs),
        cmocka_unit_test(propose__the_change_once_a_view),
        cmocka_unit_test(propose__noops_up_to_the_end),
        cmocka_unit_test(endorse__answers_for_changes_only),
        cmocka_unit_test(owed__while_due_or_ending),
    };
    return cmocka_run_group_tests_name("smr_epochs", tests, NULL, NULL);
}
