// SPDX-License-Identifier: Apache-2.0
//
// Whom agreement waits for, for how long, and who is followed into the next view: each rule is a
// scenario which says whether it was kept, and which the seeded bug that leaves it out must break.
// TACIT_SEEDED: yes
#include "byz_agree_steps.h"
#include "support/rules.h"

// A slot that is not decided while nothing else happens is noticed, also when no client waits.
static bool rule_stall_is_noticed(void)
{
    world_open();
    world.no_vote[2][0] = world.no_vote[2][1] = true;
    propose(0, "a");
    world_pump();
    assert_int_equal(report_of(0).decided, 1);
    assert_true(tacit_agree_stalled_ns(agree_of(0)) == UINT64_MAX);
    return tacit_agree_stalled_ns(agree_of(2)) == world.now_ns;
}

// Three views were left to follow a liar. What is decided then makes the others half as patient,
// not as impatient as in the beginning.
static bool rule_patience_outlasts_a_decision(void)
{
    world_open();
    world.node[2].is_dead = true;
    world.node[0].obliged = world.node[1].obliged = true;
    agree_of(0)->helped = agree_of(1)->helped = 3;
    propose(0, "a");
    world_pass(4 * WORLD_SLOW_NS);
    assert_int_equal(report_of(1).decided, 1);
    say_seal(2, 20, agree_of(1)->entries, 0);
    world_pass(3 * WORLD_JOIN_NS);
    bool kept = report_of(1).view == 0;
    world_pass(2 * WORLD_JOIN_NS);
    assert_true(report_of(1).view > 0);
    return kept;
}

// No time passes: whose ACK was missed is not waited for again, before one of it is seen.
static bool rule_silent_not_waited_for(void)
{
    world_open();
    world.no_vote[0][2] = world.no_vote[1][2] = true;
    propose(0, "a");
    world_pump();
    world_pass(10 * WORLD_SLOW_NS);
    assert_int_equal(report_of(0).counters.decided_slow, 1);
    propose(0, "b");
    world_pump();
    bool kept = world.voted[TACIT_VOTE_CERTIFY][0][1][1] > 0;
    block(world.no_vote, false);
    world_pass(10 * WORLD_SLOW_NS);
    propose(0, "c");
    world_pump();
    assert_int_equal(report_of(0).decided, 3);
    world.no_vote[0][2] = world.no_vote[1][2] = true;
    propose(0, "d");
    world_pump();
    assert_int_equal(world.voted[TACIT_VOTE_CERTIFY][0][1][3], 0);
    return kept;
}

// The broadcast's wait for replica 2 was in vain: the slot does not wait for it once more.
static bool rule_overdue_not_waited_for(void)
{
    world_open();
    world.no_vote[0][2] = world.no_vote[1][2] = true;
    world.node[0].overdue = 1u << 2;
    propose(0, "a");
    world_pump();
    return world.voted[TACIT_VOTE_CERTIFY][0][1][0];
}

// It wakes for that, too: from then on the slot waits for nobody.
static void overdue__is_looked_at_in_time(void **state)
{
    (void)state;
    world_open();
    world.no_vote[0][2] = world.no_vote[1][2] = true;
    propose(0, "a");
    world_pump();
    tacit_time_ns_t due_ns = agree_of(0)->slots[0].since_ns + WORLD_SLOW_NS;
    assert_int_equal(tacit_agree_deadline(agree_of(0)), due_ns);
    world.node[0].overdue_due_ns = due_ns - 1;
    assert_int_equal(tacit_agree_deadline(agree_of(0)), due_ns - 1);
}

// Replica 0 has CERTIFIED a PREPARE for which replica 1 still waits for LOCKED of all.
static bool rule_certified_is_not_waited_for(void)
{
    world_open();
    world.node[2].is_dead = true;
    world.no_deliver[1][0] = true;
    propose(0, "a");
    world_pump();
    assert_false(world.node[1].signed_for[0][0]);
    world_pass(3 * WORLD_SLOW_NS);
    assert_true(world.voted[TACIT_VOTE_CERTIFY][0][1][0]);
    assert_false(world.node[0].signed_for[0][0]); // its own is delivered
    return world.node[1].signed_for[0][0];
}

// What is broadcast because an ACK was missed does not wait for the same replica.
static bool rule_missed_acks_are_told(void)
{
    world_open();
    world.no_vote[0][2] = world.no_vote[1][2] = true;
    propose(0, "a");
    world_pump();
    assert_int_equal(world.node[0].missed, 0);
    world_pass(10 * WORLD_SLOW_NS);
    assert_int_equal(report_of(0).counters.decided_slow, 1);
    return (world.node[0].missed & 1u << 2) != 0;
}

// Nobody is late who answers in time, however long this replica had no processor before it heard.
static bool rule_time_of_this_turn(void)
{
    world_open();
    propose(0, "a");
    world_pump();
    world.now_ns += 10 * WORLD_SLOW_NS;
    (void)tacit_agree_poll(agree_of(0), world.now_ns);
    propose(0, "b");
    world.no_locked[1][2] = true;
    (void)world_turn(1);
    assert_int_equal(agree_of(1)->slots[1].delivered, true);
    return !agree_of(1)->slots[1].slow;
}

// Each ACK takes longer than signatures are waited for by default. So many slots later none is
// signed any more.
static bool rule_patience_is_learnt(void)
{
    world_open();
    uint64_t signed_last = 0;
    for (unsigned i = 0; i < 60; i++) {
        char text[8];
        (void)snprintf(text, sizeof text, "%u", i);
        block(world.no_vote, true);
        uint64_t before = report_of(0).counters.certified;
        propose(0, text);
        world_pass(2 * WORLD_SLOW_NS);
        block(world.no_vote, false);
        world_pass(20 * WORLD_SLOW_NS);
        assert_int_equal(report_of(0).decided, i + 1);
        signed_last = report_of(0).counters.certified - before;
    }
    assert_true(report_of(0).counters.certified > 0);
    return signed_last == 0;
}

// The same, but each slot is decided by signatures long before the ACK of replica 2 is there.
static bool rule_late_acks_are_seen(void)
{
    world_open();
    for (unsigned i = 0; i < 60; i++) {
        char text[8];
        (void)snprintf(text, sizeof text, "%u", i);
        world.no_vote[0][2] = world.no_vote[1][2] = true;
        propose(0, text);
        world_pass(3 * WORLD_SLOW_NS);
        block(world.no_vote, false);
        world_pass(2 * WORLD_SLOW_NS);
        assert_int_equal(report_of(0).decided, i + 1);
    }
    assert_true(report_of(0).counters.decided_slow > 0);
    return report_of(0).counters.decided_fast > 0 && world_marks[TACIT_MARK_ACK_LATE] > 0;
}

// Signatures decide at once, because of replica 1: that nobody's ACK is here yet says nothing.
static bool rule_silent_is_who_was_waited_for(void)
{
    world_open();
    tacit_agree_gone(agree_of(1), 4);
    block(world.no_locked, true);
    propose(0, "a");
    world_pump();
    assert_int_equal(report_of(0).counters.decided_slow, 1);
    return agree_of(0)->silent == 0;
}

// Replica 2 left view 0 alone. The others make progress without it, and follow it in the end.
static bool rule_lone_is_followed(void)
{
    world_open();
    tacit_agree_suspect(agree_of(2));
    world_pump();
    assert_int_equal(report_of(2).view, 1);
    for (unsigned i = 0; i < 80 && report_of(0).view == 0; i++) {
        char text[8];
        (void)snprintf(text, sizeof text, "%u", i);
        propose(0, text);
        world_pass(2 * WORLD_SLOW_NS);
        assert_int_equal(report_of(0).decided, i + 1);
    }
    assert_true(report_of(0).counters.decided_slow > 60);
    return report_of(0).view == 1 && world_marks[TACIT_MARK_SEAL_FETCHED_BACK] > 0;
}

// Replica 1, which would lead the next view, left view 0 alone. The others, one a slot after the
// other, meet it in view 2, where they need not wait for it, and it answers.
static bool rule_lone_does_not_lead(void)
{
    world_open();
    tacit_agree_suspect(agree_of(1));
    world_pump();
    assert_int_equal(report_of(1).view, 1);
    agree_of(0)->slow_run = TACIT_SLOW_RUN - 1;
    agree_of(2)->slow_run = TACIT_SLOW_RUN - 2;
    propose(0, "first");
    world_pass(2 * WORLD_SLOW_NS);
    if (report_of(0).view != 2 || report_of(1).view != 2 || report_of(2).view != 2) {
        return false;
    }
    propose(2, "second");
    world_pump();
    assert_int_equal(report_of(0).decided, 2);
    assert_int_equal(report_of(0).counters.decided_fast, 1);
    return true;
}

// Replica 2 left view 0 alone; replica 1, which would lead the next one, is found out or dead. Who
// knows does not enter a view only to leave it, and all meet in the one after it.
static bool meets_beyond(bool is_dead)
{
    world_open();
    tacit_agree_suspect(agree_of(2));
    world_pump();
    assert_int_equal(report_of(2).view, 1);
    agree_of(0)->slow_run = TACIT_SLOW_RUN - 1;
    tacit_agree_gone(agree_of(0), is_dead ? 1u << 1 : 0);
    world.node[0].malformed = world.node[2].malformed = is_dead ? 0 : 1u << 1;
    propose(0, "first");
    world_pass(2 * WORLD_SLOW_NS);
    bool held = report_of(0).view == 2 && report_of(0).counters.seals == 1;
    if (is_dead && report_of(2).view == 1) {
        tacit_agree_suspect(agree_of(2)); // who knows leaves it at once
        world_pump();
    }
    world_pass(2 * WORLD_SLOW_NS);
    if (held) {
        assert_int_equal(report_of(2).view, 2);
        propose(2, "second");
        world_pass(2 * WORLD_SLOW_NS);
        assert_int_equal(report_of(0).decided, 2);
    }
    return held;
}

static bool rule_found_out_is_not_met(void)
{
    return meets_beyond(false) && meets_beyond(true);
}

// Who left a view alone, but helped to decide in it until then, may lead the next one.
static void lone__leads_if_it_decided(void **state)
{
    (void)state;
    world_open();
    for (tacit_node_t r = 0; r < 3; r++) {
        agree_of(r)->slow_run = TACIT_SLOW_RUN;
        agree_of(r)->deciders = 3;
    }
    tacit_agree_suspect(agree_of(1));
    world_pump();
    for (tacit_node_t r = 0; r < 3; r++) {
        assert_int_equal(report_of(r).view, 1);
    }
}

// Replica 2 is two views ahead, alone. The two others miss it, one a slot after the other, and
// leave one view for that, not one each.
static bool rule_one_view_for_who_is_missed(void)
{
    world_open();
    for (unsigned i = 0; i < 2; i++) {
        agree_of(2)->gathered_ns = world.now_ns;
        tacit_agree_suspect(agree_of(2));
        world_pump();
    }
    assert_int_equal(report_of(2).view, 2);
    agree_of(0)->slow_run = TACIT_SLOW_RUN - 1;
    agree_of(1)->slow_run = TACIT_SLOW_RUN - 2;
    propose(0, "first");
    world_pass(2 * WORLD_SLOW_NS);
    assert_int_equal(report_of(0).view, 1);
    assert_int_equal(report_of(1).view, 1);
    propose(1, "second");
    world_pass(2 * WORLD_SLOW_NS);
    assert_int_equal(report_of(0).decided, 2);
    return report_of(0).view == 1 && report_of(1).view == 1;
}

// Who leads view 0 seals it: nobody waits for any time to pass.
static bool rule_who_seals_leads_no_more(void)
{
    world_open();
    tacit_agree_suspect(agree_of(0));
    world_pump();
    return report_of(1).view == 1 && report_of(2).view == 1;
}

// Each view that is left for a lone one doubles what the next one takes; a long time of decisions
// without signatures halves it again.
static void lone__is_followed_ever_more_rarely(void **state)
{
    (void)state;
    world_open();
    for (tacit_node_t r = 0; r < 2; r++) {
        agree_of(r)->fetched_back = 2;
        agree_of(r)->fast_run = TACIT_FAST_AGAIN - 1;
    }
    propose(0, "fast");
    world_pump();
    for (tacit_node_t r = 0; r < 2; r++) {
        assert_int_equal(agree_of(r)->fetched_back, 1);
        assert_int_equal(agree_of(r)->fast_run, 0);
    }
    tacit_agree_suspect(agree_of(2));
    world_pump();
    for (unsigned i = 0; i < 70; i++) {
        char text[8];
        (void)snprintf(text, sizeof text, "%u", i);
        propose(0, text);
        world_pass(2 * WORLD_SLOW_NS);
    }
    assert_int_equal(report_of(0).counters.decided_slow, 70);
    assert_int_equal(report_of(0).view, 0);
    assert_int_equal(report_of(1).view, 0);
    agree_of(0)->slow_run = 2 * TACIT_SLOW_RUN - 1;
    propose(0, "last");
    world_pass(2 * WORLD_SLOW_NS);
    assert_int_equal(report_of(0).view, 1);
    assert_int_equal(agree_of(0)->fetched_back, 2);
}

// Replica 2 is one slot behind in each slot: the ACK that was missed first shows that it follows.
static void late__is_seen_of_the_first_that_was_missed(void **state)
{
    (void)state;
    world_open();
    world.no_vote[0][2] = world.no_vote[1][2] = true;
    for (unsigned i = 0; i < 3; i++) {
        memset(world.no_signer, true,
               sizeof world.no_signer); // signatures take longer than the wait
        propose(0, i == 0 ? "a" : i == 1 ? "b" : "c");
        world_pump();
        world_pass(2 * WORLD_SLOW_NS);
        memset(world.no_signer, false, sizeof world.no_signer);
        world_pass(WORLD_SLOW_NS);
        assert_int_equal(report_of(0).counters.decided_slow, i + 1);
    }
    assert_int_equal(agree_of(0)->silent, 1u << 2);
    world.voted[TACIT_VOTE_ACK][2][0][1] = world.voted[TACIT_VOTE_ACK][2][0][2] = false;
    world.no_vote[0][2] = false;
    world_pass(WORLD_SLOW_NS);
    assert_int_equal(agree_of(0)->silent, 0);
}

// Who is silent, or answers late on purpose, is waited for five times what is configured at most.
static void patience__has_an_end(void **state)
{
    (void)state;
    struct tacit_patience patience = {0};
    assert_int_equal(tacit_patience_ns(&patience, 1000), 1000);
    for (unsigned i = 0; i < 1000; i++) {
        tacit_patience_sample(&patience, UINT64_MAX / 2, 1000); // nobody waits for that
    }
    assert_int_equal(tacit_patience_ns(&patience, 1000), 1000);
    for (unsigned i = 0; i < 1000; i++) {
        tacit_patience_sample(&patience, 1000ull * TACIT_PATIENCE_TIMES, 1000);
    }
    assert_int_equal(tacit_patience_ns(&patience, 1000), 1000ull * TACIT_PATIENCE_TIMES);
    for (unsigned i = 0; i < 4000; i++) {
        tacit_patience_sample(&patience, 10, 1000);
    }
    assert_int_equal(tacit_patience_ns(&patience, 1000), 1000);
}

static const struct rule rules[] = {
    {"what is heard now is heard now", rule_time_of_this_turn, TACIT_BUG_TIME_OF_LAST_TURN},
    {"patience is learnt", rule_patience_is_learnt, TACIT_BUG_PATIENCE_AS_CONFIGURED},
    {"late ACKs are seen", rule_late_acks_are_seen, TACIT_BUG_LATE_UNSEEN},
    {"silent is who was waited for", rule_silent_is_who_was_waited_for, TACIT_BUG_SILENT_AT_ONCE},
    {"one view for who is missed", rule_one_view_for_who_is_missed, TACIT_BUG_EACH_FETCHES_BACK},
    {"who seals leads no more", rule_who_seals_leads_no_more, TACIT_BUG_LEADER_AHEAD_WAITED_FOR},
    {"who left alone is followed", rule_lone_is_followed, TACIT_BUG_LONE_NEVER_FOLLOWED},
    {"who left alone does not lead", rule_lone_does_not_lead, TACIT_BUG_LONE_LEADS},
    {"who was found out is not met", rule_found_out_is_not_met, TACIT_BUG_FOUND_OUT_MET},
    {"the silent are not waited for", rule_silent_not_waited_for, TACIT_BUG_SILENT_WAITED_FOR},
    {"the overdue are not waited for", rule_overdue_not_waited_for, TACIT_BUG_OVERDUE_WAITED_FOR},
    {"CERTIFIED is not waited for", rule_certified_is_not_waited_for,
     TACIT_BUG_OTHERS_WAIT_IGNORED},
    {"missed ACKs are told", rule_missed_acks_are_told, TACIT_BUG_MISSED_ACK_UNTOLD},
    {"patience outlasts a decision", rule_patience_outlasts_a_decision,
     TACIT_BUG_PATIENCE_FORGOTTEN},
    {"a stall is noticed", rule_stall_is_noticed, TACIT_BUG_STALL_UNNOTICED},
};

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TESTS(rules),
        cmocka_unit_test(patience__has_an_end),
        cmocka_unit_test(overdue__is_looked_at_in_time),
        cmocka_unit_test(lone__is_followed_ever_more_rarely),
        cmocka_unit_test(lone__leads_if_it_decided),
        cmocka_unit_test(late__is_seen_of_the_first_that_was_missed),
    };
    return cmocka_run_group_tests_name("byz_agree_waiting", tests, NULL, close_world);
}
