// SPDX-License-Identifier: Apache-2.0
//
// From when on a replica holds the leader of its view to account (core/smr/view_timer.c). The
// modules below are replaced by what they answer (this file defines their functions). The rule that
// is tested most: no timer runs before f+1 replicas are connected and in the view, whatever it
// waits for. Without it a replica that came to a view alone leaves it when the others come, and f+1
// are never together long enough for a NEW_VIEW.
// TACIT_SEEDED: yes
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/smr/internal.h"
#include "support/rules.h"

enum { REPLICAS = 5, SELF = 0, TIMER_NS = 1000 };

static struct {
    struct tacit_smr smr;
    tacit_time_ns_t obliged_ns, gathered_ns, stalled_ns; // UINT64_MAX: not
    tacit_time_ns_t patience_ns;
    bool owed;
    tacit_node_t leader;
    uint32_t suspected, gone, gone_for_requests;
} world;

tacit_time_ns_t tacit_requests_timer(const struct tacit_requests *requests,
                                     tacit_time_ns_t timer_ns)
{
    (void)requests;
    return world.obliged_ns == UINT64_MAX ? UINT64_MAX : world.obliged_ns + timer_ns;
}

tacit_time_ns_t tacit_agree_gathered_ns(const struct tacit_agree *agree)
{
    (void)agree;
    return world.gathered_ns;
}

tacit_time_ns_t tacit_agree_patience_ns(const struct tacit_agree *agree)
{
    (void)agree;
    return world.patience_ns;
}

tacit_time_ns_t tacit_agree_stalled_ns(const struct tacit_agree *agree)
{
    (void)agree;
    return world.stalled_ns;
}

void tacit_agree_suspect(struct tacit_agree *agree)
{
    (void)agree;
    world.suspected++;
}

void tacit_agree_gone(struct tacit_agree *agree, uint32_t gone)
{
    (void)agree;
    world.gone = gone;
}

void tacit_requests_gone(struct tacit_requests *requests, uint32_t gone)
{
    (void)requests;
    world.gone_for_requests = gone;
}

void tacit_agree_status(const struct tacit_agree *agree, struct tacit_agree_report *report)
{
    (void)agree;
    *report = (struct tacit_agree_report){.leader = world.leader};
}

bool tacit_smr_epoch_is_owed(const struct tacit_smr *smr)
{
    (void)smr;
    return world.owed;
}

uint64_t tacit_smr_epoch_view(const struct tacit_smr *smr, uint64_t view)
{
    (void)smr;
    return view;
}

// ---- steps

static void world_open(void)
{
    memset(&world, 0, sizeof world);
    struct tacit_smr *smr = &world.smr;
    smr->config.replicas = REPLICAS;
    smr->config.self = SELF;
    smr->now_ns = 100;
    smr->byzantine.timer_ns = TIMER_NS;
    smr->byzantine.quorum_ns = UINT64_MAX;
    for (unsigned r = 0; r < REPLICAS; r++) {
        smr->byzantine.member[r] = smr->byzantine.peer_incarnation[r] = 1;
        smr->byzantine.peer_up[r] = r != SELF;
    }
    world.obliged_ns = world.stalled_ns = UINT64_MAX;
    world.gathered_ns = 100;
    world.leader = 1;
}

static bool suspects_at(tacit_time_ns_t now_ns)
{
    world.suspected = 0;
    world.smr.now_ns = now_ns;
    tacit_smr_watch_leader(&world.smr);
    bool due = tacit_smr_view_timer(&world.smr) <= now_ns;
    assert_int_equal(world.suspected, due); // it wakes up for that, and for nothing else
    return due;
}

// The three things that a leader is held to account for.
static void expect(int what, tacit_time_ns_t since_ns)
{
    world.obliged_ns = what == 0 ? since_ns : UINT64_MAX;
    world.stalled_ns = what == 1 ? since_ns - TIMER_NS : UINT64_MAX; // has two timers
    world.owed = what == 2;
}

// ---- the rule: true if kept

static bool rule_not_while_alone(int what)
{
    world_open();
    world.gathered_ns = UINT64_MAX;
    expect(what, 2000);
    assert_false(suspects_at(2000));
    bool kept = !suspects_at(100000);
    world.gathered_ns = 100000; // now the others are here
    kept = kept && !suspects_at(100000) && !suspects_at(100999);
    return kept && suspects_at(101000);
}
static bool rule_change_not_while_alone(void)
{
    return rule_not_while_alone(2);
}

// A slot was executed.
static void progress(void)
{
    tacit_smr_view_progress(&world.smr, tacit_requests_timer(world.smr.byzantine.requests, 0));
}

// Views were left until the timer was four times the shortest. A request that takes half of it
// keeps it as it is; one that is executed soon does not, and none keeps it very long.
static bool rule_timer_is_held(void)
{
    world_open();
    world.smr.config.byzantine.view_timeout_ns = TIMER_NS;
    world.smr.byzantine.timer_ns = 4 * TIMER_NS;
    world.smr.now_ns = 10000;
    world.obliged_ns = 8000;
    progress();
    bool kept = world.smr.byzantine.timer_ns == 4 * TIMER_NS;
    world.smr.byzantine.timer_ns = 16 * TIMER_NS;
    world.obliged_ns = 1000;
    progress();
    assert_int_equal(world.smr.byzantine.timer_ns, 14 * TIMER_NS);
    world.smr.byzantine.timer_ns = 4 * TIMER_NS;
    world.obliged_ns = 9500;
    progress();
    assert_int_equal(world.smr.byzantine.timer_ns, 3500);
    world.obliged_ns = UINT64_MAX;
    for (unsigned i = 0; i < 40; i++) {
        progress();
    }
    assert_int_equal(world.smr.byzantine.timer_ns, TIMER_NS);
    return kept;
}

// Where all take long to answer, a leader has that long for one round of a slot and then the other.
static bool rule_timer_is_not_below_patience(void)
{
    world_open();
    world.smr.config.byzantine.view_timeout_ns = TIMER_NS;
    world.smr.now_ns = 10000;
    world.patience_ns = TIMER_NS / 4;
    progress();
    assert_int_equal(world.smr.byzantine.timer_ns, TIMER_NS);
    world.patience_ns = 3 * TIMER_NS;
    progress();
    return world.smr.byzantine.timer_ns == 6 * TIMER_NS;
}

// A replica that had no processor for a while does not hold the leader to account for that.
static bool rule_absence_is_forgiven(void)
{
    world_open();
    assert_false(suspects_at(1500));
    expect(0, 2000);
    world.smr.byzantine.absent_until_ns = 3500;
    assert_false(suspects_at(2999));
    bool kept = !suspects_at(3499);
    return kept && suspects_at(3500);
}

// But one that has no processor again and again leaves a silent leader all the same.
static bool rule_absences_end(void)
{
    world_open();
    assert_false(suspects_at(1500));
    expect(0, 2000);
    bool suspected = false;
    for (tacit_time_ns_t now_ns = 2000; now_ns <= 7000; now_ns += 500) {
        world.smr.byzantine.absent_until_ns = now_ns + 700;
        suspected = suspects_at(now_ns);
        assert_true(!suspected || now_ns == 7000); // the timer, and four times as long
    }
    return suspected;
}

static const struct rule rules[] = {
    {"absences end", rule_absences_end, TACIT_BUG_ABSENT_FOR_EVER},
    {"absence is forgiven", rule_absence_is_forgiven, TACIT_BUG_TIMER_WHILE_ABSENT},
    {"the timer is not below patience", rule_timer_is_not_below_patience,
     TACIT_BUG_TIMER_BELOW_PATIENCE},
    {"the timer is held while it is needed", rule_timer_is_held, TACIT_BUG_TIMER_NOT_HELD},
    {"a change of members waits for f+1 in the view", rule_change_not_while_alone,
     TACIT_BUG_OWED_WHILE_ALONE},
};

// ---- the rest

static void request_and_stall__wait_for_company(void **state)
{
    (void)state;
    assert_true(rule_not_while_alone(0));
    assert_true(rule_not_while_alone(1));
}

static void timers__run_from_what_is_awaited(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        world_open();
        assert_false(suspects_at(1500));
        assert_true(tacit_smr_view_timer(&world.smr) == UINT64_MAX);
        expect(what, 2000);
        assert_false(suspects_at(2000));
        assert_false(suspects_at(2999));
        assert_true(suspects_at(3000));
    }
}

// Progress gives the leader the whole time again.
static void change__is_late_without_progress(void **state)
{
    (void)state;
    world_open();
    world.owed = true;
    assert_false(suspects_at(1000));
    world.smr.applied++;
    assert_false(suspects_at(1900));
    assert_false(suspects_at(2899));
    world.smr.byzantine.view++;
    assert_false(suspects_at(2900));
    assert_false(suspects_at(3899));
    assert_true(suspects_at(3900));
    world.owed = false;
    assert_false(suspects_at(9000));
    world.owed = true;
    assert_false(suspects_at(9001));
}

// Nobody leaves the first views because the others have not been started yet.
static void timers__wait_for_a_quorum_of_connections(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        world_open();
        expect(what, 2000);
        world.smr.byzantine.peer_up[1] = world.smr.byzantine.peer_up[2] = false;
        world.smr.byzantine.peer_incarnation[3] = 2; // no member: does not count
        assert_false(suspects_at(50000));
        world.smr.byzantine.peer_incarnation[3] = 1;
        assert_false(suspects_at(60000));
        assert_false(suspects_at(60999));
        assert_true(suspects_at(61000));
    }
}

static void dead_leader__is_left_at_once(void **state)
{
    (void)state;
    world_open();
    world.smr.byzantine.dead = 1u << 2;
    assert_false(suspects_at(200));
    assert_int_equal(world.gone, 1u << 2);
    assert_int_equal(world.gone_for_requests, 1u << 2);
    world.leader = 2;
    tacit_smr_watch_leader(&world.smr);
    assert_int_equal(world.suspected, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TESTS(rules),
        cmocka_unit_test(request_and_stall__wait_for_company),
        cmocka_unit_test(timers__run_from_what_is_awaited),
        cmocka_unit_test(change__is_late_without_progress),
        cmocka_unit_test(timers__wait_for_a_quorum_of_connections),
        cmocka_unit_test(dead_leader__is_left_at_once),
    };
    return cmocka_run_group_tests_name("smr_view_timer", tests, NULL, NULL);
}
