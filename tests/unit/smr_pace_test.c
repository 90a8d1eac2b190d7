// SPDX-License-Identifier: Apache-2.0
//
// How fast a replica in Byzantine mode goes (core/smr/pace.c), rule by rule: a scenario says
// whether the rule was kept, and the seeded bug that leaves it out must break it. The modules below
// are replaced by what they answer (this file defines their functions).
// TACIT_SEEDED: yes
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/smr/internal.h"
#include "support/rules.h"

enum { SLOW_NS = 1000, BATCH = 40, FAR = 25, NEAR = 24 };

static struct {
    struct tacit_smr smr;
    uint64_t under_way, late_by;
    tacit_time_ns_t followed_ns; // who is late followed then for the last time
    uint32_t waiting;
    bool message, vote, client, slow, awaits, unexecuted;
} world;

bool tacit_agree_awaits_others(const struct tacit_agree *agree)
{
    (void)agree;
    return world.awaits;
}

bool tacit_agree_has_executed(const struct tacit_agree *agree)
{
    (void)agree;
    return !world.unexecuted;
}

uint64_t tacit_agree_under_way(const struct tacit_agree *agree)
{
    (void)agree;
    return world.under_way;
}

bool tacit_agree_is_slow(const struct tacit_agree *agree)
{
    (void)agree;
    return world.slow;
}

uint32_t tacit_requests_proposals(const struct tacit_requests *requests)
{
    (void)requests;
    return world.waiting;
}

uint64_t tacit_ctb_late_by(const struct tacit_ctb *ctb, tacit_time_ns_t since_ns)
{
    (void)ctb;
    return world.followed_ns > since_ns ? world.late_by : 0;
}

bool tacit_links_has_news(const struct tacit_links *links)
{
    (void)links;
    return world.message;
}

bool tacit_agree_has_news(struct tacit_agree *agree)
{
    (void)agree;
    return world.vote;
}

bool tacit_smr_clients_have_news(const struct tacit_smr *smr)
{
    assert_ptr_equal(smr, &world.smr);
    return world.client;
}

static void world_open(void)
{
    memset(&world, 0, sizeof world);
    world.smr.config.byzantine.slow_after_ns = SLOW_NS;
    world.smr.config.batch_requests = BATCH;
    world.smr.now_ns = 100 * SLOW_NS;
    world.smr.byzantine.is_quiet = true;
    world.smr.byzantine.quiet_until_ns = 101 * SLOW_NS;
}

// ---- rules: true if kept

static bool is_worth(uint64_t under_way, uint32_t waiting)
{
    world.under_way = under_way;
    world.waiting = waiting;
    return tacit_smr_pace_is_worth_a_slot(&world.smr);
}

// The first slot is begun for whoever waits, each further one for eight more, and none waits for
// more than a batch takes.
static bool rule_batches_grow(void)
{
    world_open();
    assert_true(is_worth(0, 1));
    assert_true(is_worth(1, 9));
    assert_true(is_worth(4, 33));
    assert_true(is_worth(5, BATCH) && is_worth(100, BATCH));
    return !is_worth(0, 0) && !is_worth(1, 8) && !is_worth(4, 32) && !is_worth(5, BATCH - 1);
}

// Somebody follows, but is far behind: one slot at a time, and a pause after each was begun.
static bool rule_late_are_waited_for(void)
{
    struct tacit_smr *smr = &world.smr;
    world_open();
    world.late_by = FAR;
    world.followed_ns = smr->now_ns - 1;
    world.under_way = 1;
    bool kept = tacit_smr_pace_is_held(smr) && smr->byzantine.is_held;
    world.under_way = 0;
    smr->byzantine.proposed_ns = smr->now_ns - SLOW_NS + 1;
    kept = kept && tacit_smr_pace_is_held(smr);
    smr->byzantine.proposed_ns = smr->now_ns - SLOW_NS;
    assert_false(tacit_smr_pace_is_held(smr));
    assert_false(smr->byzantine.is_held);
    return kept;
}

// Nothing came, and no time has come.
static bool rule_idle_turn_is_quick(void)
{
    world_open();
    return tacit_smr_pace_is_quiet(&world.smr);
}

static bool rule_vote_ends_quiet(void)
{
    world_open();
    world.vote = true;
    return !tacit_smr_pace_is_quiet(&world.smr);
}

// Something comes in each turn: the rest is looked after in every ninth one all the same, and at
// once when something came for it.
static bool rule_busy_are_tended(void)
{
    struct tacit_smr *smr = &world.smr;
    world_open();
    bool kept = true;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned turn = 0; turn < 8; turn++) {
            assert_false(tacit_smr_pace_is_to_tend(smr, true));
        }
        kept = tacit_smr_pace_is_to_tend(smr, true) && kept;
    }
    smr->byzantine.tend_due = true;
    kept = tacit_smr_pace_is_to_tend(smr, true) && !smr->byzantine.tend_due && kept;
    assert_true(tacit_smr_pace_is_to_tend(smr, false));
    return kept;
}

// Something came, and a slot is under way: what comes next does not wait for the rest, until
// nothing has come for a while. A lull that something ends is none any more.
static bool rule_lull_is_short(void)
{
    struct tacit_smr *smr = &world.smr;
    world_open();
    world.awaits = true;
    assert_false(tacit_smr_pace_is_to_tend(smr, true));
    smr->now_ns += SLOW_NS / 32 - 1;
    bool kept = !tacit_smr_pace_is_to_tend(smr, false) && smr->byzantine.is_lull;
    assert_false(tacit_smr_pace_is_to_tend(smr, true));
    assert_false(smr->byzantine.is_lull);
    smr->now_ns += SLOW_NS / 32;
    assert_true(tacit_smr_pace_is_to_tend(smr, false));
    assert_false(smr->byzantine.is_lull);
    return kept;
}

// A batch of `sessions` was decided by signatures after two waits, and so many others wait.
static void decided_slowly(uint32_t sessions, uint32_t waiting)
{
    world_open();
    world.slow = true;
    world.under_way = 1;
    tacit_smr_pace_begun(&world.smr, sessions);
    assert_false(tacit_smr_pace_is_gathering(&world.smr));
    world.smr.now_ns += 2 * SLOW_NS;
    world.under_way = 0;
    world.waiting = waiting;
}

// All that were served, and those that wait already, go together; for half of a wait, which is a
// quarter of what the slot took.
static bool rule_slow_slots_gather(void)
{
    struct tacit_smr *smr = &world.smr;
    decided_slowly(3, 4);
    bool kept = tacit_smr_pace_is_gathering(smr) && smr->byzantine.is_gathering;
    smr->now_ns += SLOW_NS / 2 - 1;
    world.waiting = 6;
    kept = tacit_smr_pace_is_gathering(smr) && kept;
    world.waiting = 7;
    assert_false(tacit_smr_pace_is_gathering(smr) || smr->byzantine.is_gathering);
    world.waiting = 6;
    smr->now_ns += 1;
    assert_false(tacit_smr_pace_is_gathering(smr));
    return kept;
}

// A slot was decided, and the leader looked when nobody was back yet: once all are, the next
// begins.
static bool rule_back_is_back(void)
{
    decided_slowly(3, 0);
    assert_false(tacit_smr_pace_may_begin(&world.smr));
    world.smr.now_ns += SLOW_NS / 4;
    world.waiting = 2;
    assert_false(tacit_smr_pace_may_begin(&world.smr));
    world.waiting = 3;
    return tacit_smr_pace_may_begin(&world.smr);
}

static const struct rule rules[] = {
    {"who is back is not waited for", rule_back_is_back, TACIT_BUG_BACK_COUNTED_TWICE},
    {"who was served by signatures is waited for", rule_slow_slots_gather,
     TACIT_BUG_SLOW_SLOT_FOR_FIRST},
    {"who is busy looks after the rest, too", rule_busy_are_tended, TACIT_BUG_BUSY_LEFT_UNTENDED},
    {"batches grow with what is under way", rule_batches_grow, TACIT_BUG_BATCHES_DO_NOT_GROW},
    {"who follows late is waited for", rule_late_are_waited_for, TACIT_BUG_LATE_LEFT_BEHIND},
    {"who waits for an answer is ready for it", rule_lull_is_short, TACIT_BUG_LULL_IS_TENDED},
    {"an idle turn is quick", rule_idle_turn_is_quick, TACIT_BUG_IDLE_TURN_WHOLE},
    {"a vote ends the quiet", rule_vote_ends_quiet, TACIT_BUG_QUIET_OVERLOOKS_VOTES},
};

// ---- the rest

// Who is not far behind catches up by itself; who does not follow at all (silent, or a liar that
// stopped) holds up nobody for longer than others are waited for.
static void hold__is_for_who_follows_late(void **state)
{
    (void)state;
    world_open();
    world.under_way = 1;
    world.late_by = NEAR;
    world.followed_ns = world.smr.now_ns - 1;
    assert_false(tacit_smr_pace_is_held(&world.smr));
    world.late_by = FAR;
    assert_true(tacit_smr_pace_is_held(&world.smr));
    world.followed_ns = world.smr.now_ns - TACIT_PATIENCE_TIMES * SLOW_NS;
    assert_false(tacit_smr_pace_is_held(&world.smr));
    world.smr.now_ns = SLOW_NS; // the group has just begun
    world.followed_ns = 1;
    assert_true(tacit_smr_pace_is_held(&world.smr));
}

// It begins in the turn that heard something, if all that came was used and nothing else is due.
static void lull__begins_at_once(void **state)
{
    (void)state;
    struct tacit_smr *smr = &world.smr;
    for (unsigned what = 0; what < 6; what++) {
        world_open();
        world.awaits = true;
        assert_false(tacit_smr_pace_is_to_tend(smr, true));
        assert_true(tacit_smr_pace_is_lull_next(smr));
        world.awaits = what != 0;
        world.unexecuted = what == 1;
        world.slow = what == 2;
        smr->byzantine.tend_due = what == 3;
        smr->now_ns += what == 4 ? SLOW_NS / 32 : 0;
        for (unsigned turn = 1; turn < 8 && what == 5; turn++) {
            assert_true(tacit_smr_pace_is_lull_next(smr));
            assert_false(tacit_smr_pace_is_to_tend(smr, true));
        }
        assert_false(tacit_smr_pace_is_lull_next(smr));
    }
}

// Whatever came, a time that has come, and a turn that found something to do.
static void quiet__ends_with_any_news(void **state)
{
    (void)state;
    for (unsigned what = 0; what < 5; what++) {
        world_open();
        assert_true(tacit_smr_pace_is_quiet(&world.smr));
        world.message = what == 0;
        world.client = what == 1;
        world.vote = what == 2;
        world.smr.now_ns += what == 3 ? SLOW_NS : 0;
        world.smr.byzantine.is_quiet = what != 4;
        assert_false(tacit_smr_pace_is_quiet(&world.smr));
    }
}

// A full batch waits for nobody, nor does one after ACKs of all, and no wait is longer than others
// are waited for, however long the slot took.
static void gathering__is_bounded(void **state)
{
    (void)state;
    struct tacit_smr *smr = &world.smr;
    decided_slowly(BATCH, BATCH - 1);
    assert_true(tacit_smr_pace_is_gathering(smr));
    world.waiting = BATCH;
    assert_false(tacit_smr_pace_is_gathering(smr));
    decided_slowly(3, 1);
    world.slow = false;
    assert_false(tacit_smr_pace_is_gathering(smr));
    decided_slowly(3, 1);
    smr->now_ns += 100 * SLOW_NS;
    assert_true(tacit_smr_pace_is_gathering(smr));
    smr->now_ns += SLOW_NS;
    assert_false(tacit_smr_pace_is_gathering(smr));
}

// With nothing under way there is none, nor when something came that the other parts wait for, they
// were left alone for too many turns, or slots take signatures.
static void lull__is_for_who_waits(void **state)
{
    (void)state;
    struct tacit_smr *smr = &world.smr;
    for (unsigned what = 0; what < 4; what++) {
        world_open();
        world.awaits = what != 0;
        world.slow = what == 3;
        for (unsigned turn = 0; turn < (what == 2 ? 8 : 1); turn++) {
            assert_false(tacit_smr_pace_is_to_tend(smr, true));
        }
        smr->byzantine.tend_due = what == 1;
        assert_true(tacit_smr_pace_is_to_tend(smr, false));
        assert_false(smr->byzantine.is_lull);
    }
}

// Batches that are under way together are waited for together.
static void gathering__is_for_all_that_were_under_way(void **state)
{
    (void)state;
    struct tacit_smr *smr = &world.smr;
    decided_slowly(3, 1);
    world.under_way = 2;
    tacit_smr_pace_begun(smr, 9);
    world.under_way = 0;
    smr->now_ns += SLOW_NS;
    world.waiting = 12;
    assert_true(tacit_smr_pace_is_gathering(smr));
    assert_int_equal(smr->byzantine.gather_sessions, 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TESTS(rules),
        cmocka_unit_test(gathering__is_bounded),
        cmocka_unit_test(gathering__is_for_all_that_were_under_way),
        cmocka_unit_test(lull__is_for_who_waits),
        cmocka_unit_test(hold__is_for_who_follows_late),
        cmocka_unit_test(lull__begins_at_once),
        cmocka_unit_test(quiet__ends_with_any_news),
    };
    return cmocka_run_group_tests_name("smr_pace", tests, NULL, NULL);
}
