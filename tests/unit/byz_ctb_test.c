// SPDX-License-Identifier: Apache-2.0
//
// Consistent tail broadcast in a small world of faulty replicas, lapped links, slow signers and
// memory (byz_ctb_world.h): no two correct receivers deliver different payloads, streams are in
// order, states that are adopted are those of others, correct broadcasters are never condemned and
// are heard by all in the end; and each rule, left out, is missed.
// TACIT_SEEDED: yes
// TACIT_TIMEOUT: 180
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/byz_ctb_world.h"

static const char *run(uint64_t seed, const struct world_options *options)
{
    static struct choice choice;
    choice_init_seed(&choice, seed);
    return world_run(options, &choice);
}

static void run_many(const struct world_options *options, uint64_t first, uint64_t count)
{
    for (uint64_t seed = first; seed < first + count; seed++) {
        const char *violation = run(seed, options);
        if (violation != NULL) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, violation);
        }
    }
}

static void quiet_runs_need_no_signature_but_summaries(void **state)
{
    const struct world_options options = {.replicas = 3, .quiet = true, .ids = 100};
    (void)state;
    assert_null(run(1, &options));
    for (uint32_t r = 0; r < 3; r++) {
        const struct tacit_ctb_counters *counters = tacit_ctb_counters(world.replica[r].ctb);
        assert_int_equal(counters->broadcasts, 100);
        assert_int_equal(counters->bad_signatures + counters->malformed + counters->condemned, 0);
        assert_int_equal(counters->gaps + counters->summaries_adopted, 0);
        assert_int_equal(counters->nudges + counters->signed_ids + counters->delivered_slow, 0);
        assert_true(counters->summaries > 0);
    }
}

// A replica that was away makes the others sign; soon after it is back nobody signs any more.
static void streams_become_fast_again(void **state)
{
    const struct world_options options = {
        .replicas = 3, .quiet = true, .late = true, .ids = WORLD_IDS - 1};
    (void)state;
    assert_null(run(1, &options));
    assert_false(world.replica[0].ctb->slow);
    const struct tacit_ctb_counters *counters = tacit_ctb_counters(world.replica[0].ctb);
    assert_in_range(counters->relapses, 1, 2);
    assert_in_range(counters->signed_ids, 1, WORLD_IDS - 2);
    assert_true(world_marks[TACIT_MARK_CTB_FAST_AGAIN] > 0);
}

static void faults_without_lies(void **state)
{
    const struct world_options three = {.replicas = 3, .ids = 60};
    const struct world_options five = {.replicas = 5, .ids = 40};
    (void)state;
    run_many(&three, 1, 60);
    run_many(&five, 1, 12);
}

static void lies(void **state)
{
    const struct world_options three = {.replicas = 3, .liars = 1, .ids = 60};
    const struct world_options five = {.replicas = 5, .liars = 2, .ids = 40};
    (void)state;
    run_many(&three, 1000, 120);
    run_many(&five, 1000, 25);
}

static void epochs(void **state)
{
    const struct world_options three = {.replicas = 3, .liars = 1, .epochs = true, .ids = 40};
    (void)state;
    run_many(&three, 5000, 40);
}

// Every situation that the rules are about has come up in the runs above.
static void all_marks_were_reached(void **state)
{
    (void)state;
    for (unsigned mark = TACIT_MARK_CTB_SLOW; mark <= TACIT_MARK_CTB_BODY_FETCHED; mark++) {
        if (world_marks[mark] == 0) {
            fail_msg("mark %u (%u of ctb) was never reached", mark, mark - TACIT_MARK_CTB_SLOW);
        }
    }
}

#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
static bool noticed(uint32_t bug, const struct world_options *options)
{
    bool found = false;
    tacit_seeded_bug = bug;
    for (uint64_t seed = 1; seed <= 3000 && !found; seed++) {
        found = run(seed, options) != NULL;
    }
    tacit_seeded_bug = TACIT_BUG_NONE;
    return found;
}

static void seeded_bugs_are_noticed(void **state)
{
    static const uint32_t bugs[] = {
        TACIT_BUG_CTB_LOCK_TWICE,        TACIT_BUG_CTB_FAST_ONE_SHORT,
        TACIT_BUG_CTB_READ_NOBODY,       TACIT_BUG_CTB_READ_BEFORE_WRITTEN,
        TACIT_BUG_CTB_REGISTER_UNSIGNED, TACIT_BUG_CTB_OLD_SIGNATURE_FRAMES,
        TACIT_BUG_CTB_SUMMARY_UNCHECKED, TACIT_BUG_CTB_GAP_IGNORED,
        TACIT_BUG_STATEMENT_WITHOUT_ID,  TACIT_BUG_UNVOUCHED_LOCK_COUNTS,
    };
    const struct world_options options = {.replicas = 3, .liars = 1, .ids = 60};
    (void)state;
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++) {
        if (!noticed(bugs[i], &options)) {
            fail_msg("bug %u was not noticed", bugs[i]);
        }
    }
}
#endif

// One faulty replica more than is tolerated: agreement must break, or the world tests nothing.
static void too_many_liars_break_it(void **state)
{
    const struct world_options options = {.replicas = 3, .liars = 2, .ids = 60};
    const struct world_options five = {.replicas = 5, .liars = 3, .ids = 40};
    bool broken = false;
    (void)state;
    for (uint64_t seed = 1; seed <= 200 && !broken; seed++) {
        broken = run(seed, &options) != NULL || run(seed, &five) != NULL;
    }
    assert_true(broken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quiet_runs_need_no_signature_but_summaries),
        cmocka_unit_test(streams_become_fast_again),
        cmocka_unit_test(faults_without_lies),
        cmocka_unit_test(lies),
        cmocka_unit_test(epochs),
        cmocka_unit_test(all_marks_were_reached),
#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
        cmocka_unit_test(seeded_bugs_are_noticed),
#endif
        cmocka_unit_test(too_many_liars_break_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
