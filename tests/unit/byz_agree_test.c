// SPDX-License-Identifier: Apache-2.0
//
// Agreement's two paths, what comes late, forged NEW_VIEWs, who follows whom out of a view, and
// windows that jump. The rules one by one are in byz_agree_rules_test.c, those of waiting in
// byz_agree_waiting_test.c.
// TACIT_SEEDED: yes
#include "byz_agree_steps.h"
#include "choice/choice.h"

// ---- paths
// ---------------------------------------------------------------------------------------

static void fast_path__needs_no_signature(void **state)
{
    (void)state;
    world_open();
    propose(0, "a");
    propose(0, "b");
    world_pump();
    for (tacit_node_t r = 0; r < WORLD_N; r++) {
        assert_int_equal(world.node[r].executed_count, 2);
        assert_int_equal(report_of(r).counters.decided_fast, 2);
    }
    assert_int_equal(world.jobs_seen, 0);
    assert_true(world_agrees());
}

static void slow_path__decides_with_one_dead(void **state)
{
    (void)state;
    world_open();
    world.node[2].is_dead = true;
    propose(0, "a");
    world_pump();
    assert_int_equal(report_of(0).decided, 0);
    world_pass(10 * WORLD_SLOW_NS);
    for (tacit_node_t r = 0; r < 2; r++) {
        assert_int_equal(world.node[r].executed_count, 1);
        assert_int_equal(report_of(r).counters.decided_slow, 1);
        assert_int_equal(report_of(r).view, 0);
    }
    assert_true(world_marks[TACIT_MARK_SLOW_PATH] > 0);
}

// No time passes: nobody waits for the ACK of a replica whose death is certain.
static void slow_path__starts_at_once_without_the_dead(void **state)
{
    (void)state;
    for (unsigned gone = 0; gone < 2; gone++) {
        world_open();
        world.node[2].is_dead = true;
        for (tacit_node_t r = 0; r < 2; r++) {
            tacit_agree_gone(agree_of(r), gone == 0 ? 0 : 1u << 2);
        }
        propose(0, "a");
        world_pump();
        for (tacit_node_t r = 0; r < 2; r++) {
            assert_int_equal(world.voted[TACIT_VOTE_CERTIFY][r][1 - r][0], gone);
        }
        if (gone == 0) {
            world_close();
        }
    }
}

// A decision of one replica alone survives the view change that the others make without it.
static void view_change__keeps_a_decision_of_one(void **state)
{
    (void)state;
    world_open();
    world.no_vote[1][2] = world.no_vote[2][1] = world.no_vote[1][0] = world.no_vote[2][0] = true;
    propose(0, "a");
    world_pump();
    assert_int_equal(world.node[0].executed_count, 1);
    assert_int_equal(report_of(1).decided, 0);
    world.node[0].is_dead = true;
    block(world.no_vote, false);
    suspect_all();
    world_pass(10 * WORLD_SLOW_NS);
    for (tacit_node_t r = 1; r < WORLD_N; r++) {
        assert_int_equal(report_of(r).view, 1);
        assert_int_equal(world.node[r].executed_count, 1);
        assert_true(tacit_digest_is_equal(&world.node[r].executed[0], &world.node[0].executed[0]));
    }
}

// ---- what comes late
// -----------------------------------------------------------------------------

static bool has_commit(tacit_node_t stream, uint64_t view)
{
    for (uint32_t k = 0; k < world.id_count[stream]; k++) {
        const struct tacit_payload *payload = &world.ids[stream][k].payload;
        if (payload->kind == TACIT_PAYLOAD_COMMIT && payload->view == view) {
            return true;
        }
    }
    return false;
}

static void signature__after_the_seal_says_nothing(void **state)
{
    (void)state;
    world_open();
    block(world.no_vote, true);
    world.no_signer[1] = true;
    propose(0, "a");
    world_pass(3 * WORLD_SLOW_NS);
    assert_true(world.node[1].job_count > 0); // its CERTIFY
    tacit_agree_suspect(agree_of(1));
    world.no_signer[1] = false;
    block(world.no_vote, false); // and now shares of others are there
    world_pump();
    assert_false(world.voted[TACIT_VOTE_CERTIFY][1][0][0]);
    assert_int_equal(report_of(1).counters.certified, 0);
    assert_false(has_commit(1, 0));
    assert_int_equal(report_of(1).view, 1);
}

static void check__of_a_share_after_the_seal_commits_nothing(void **state)
{
    (void)state;
    world_open();
    world.no_locked[1][2] = world.no_locked[0][2] = world.no_locked[2][1] = true; // no fast path
    block(world.no_vote, true);
    propose(0, "a");
    world_pass(3 * WORLD_SLOW_NS);
    assert_true(world.voted[TACIT_VOTE_CERTIFY][1][0][0]); // its own share is out
    world.no_signer[1] = true;
    world.no_vote[1][0] = world.no_vote[1][2] = false;
    world.no_deliver[1][0] = world.no_deliver[1][2] = true; // nor a COMMIT of others
    world_pass(3 * WORLD_SLOW_NS);
    assert_true(world.node[1].job_count > 0); // shares of others, being checked
    tacit_agree_suspect(agree_of(1));
    world.no_signer[1] = false;
    world_pump();
    assert_false(has_commit(1, 0));
}

// Completions that no job asked for, or twice.
static void signer__with_strange_cookies(void **state)
{
    (void)state;
    struct choice choice;
    choice_init_seed(&choice, 3);
    world_open();
    propose(0, "a");
    world_pump();
    for (unsigned i = 0; i < 20000; i++) {
        struct tacit_signer_done done = {.valid = choice_u32(&choice, 2) == 1};
        uint64_t value = (uint64_t)choice_u32(&choice, 4) << 40 |
                         (uint64_t)choice_u32(&choice, 4) << 24 | choice_u32(&choice, 4);
        if (i % 2 == 0) {
            choice_bytes(&choice, &value, 6);
        }
        done.cookie = tacit_agree_cookie((enum tacit_agree_job)choice_u32(&choice, 9), value);
        tacit_agree_signer(agree_of(1), &done);
        assert_null(tacit_agree_check(agree_of(1)));
    }
    assert_int_equal(report_of(1).counters.certified, 0);
    world_pump();
    assert_int_equal(report_of(1).view, 0);
}

// ---- who follows whom
// ----------------------------------------------------------------------------

static void seal__of_one_moves_nobody_who_makes_progress(void **state)
{
    (void)state;
    world_open();
    world.node[2].is_dead = true;
    say_seal(2, 7, agree_of(0)->entries, 0);
    world_pass(3 * WORLD_JOIN_NS); // what comes after an idle time has not waited for long
    for (unsigned i = 0; i < 6; i++) {
        propose(0, "a");
        world_pass(WORLD_JOIN_NS / 2);
        assert_int_equal(world.node[1].executed_count, i + 1);
    }
    world_pass(3 * WORLD_JOIN_NS); // idle: nothing waits
    assert_int_equal(report_of(0).view, 0);
    assert_int_equal(report_of(1).view, 0);
}

static void seal__of_one_is_joined_by_who_waits(void **state)
{
    (void)state;
    world_open();
    world.node[2].is_dead = true;
    world.node[1].obliged = true; // and the leader does nothing
    say_seal(2, 0, agree_of(1)->entries, 0);
    world_pass(WORLD_JOIN_NS / 2);
    assert_int_equal(report_of(1).view, 0);
    world_pass(WORLD_JOIN_NS);
    assert_int_equal(report_of(1).view, 1);
    assert_true(world_marks[TACIT_MARK_SEAL_JOINED] > 0);
}

static void seal__of_a_quorum_moves_at_once(void **state)
{
    (void)state;
    world_open();
    world.node[2].is_dead = true;
    say_seal(2, 4, agree_of(0)->entries, 0);
    world_pump();
    assert_int_equal(report_of(0).view, 0);
    tacit_agree_suspect(agree_of(1));
    world_pump(); // f+1 others, one of them for view 0 only
    assert_int_equal(report_of(0).view, 1);
}

// ---- NEW_VIEW
// ------------------------------------------------------------------------------------

static void newview__that_is_whole_is_accepted(void **state)
{
    (void)state;
    catch_newview();
    assert_false(is_newview_refused());
    const struct tacit_slot_value *force = tacit_stream_force_of(&agree_of(0)->streams[1], 0);
    const struct tacit_digest a = digest_of("a");
    assert_true(force != NULL && tacit_digest_is_equal(&force->digest, &a));
}

// Signatures are checked a few at a time, and each time NEW_VIEW is looked at again; its states are
// digested once.
static void newview__is_digested_once(void **state)
{
    (void)state;
    catch_newview();
    uint64_t before = agree_of(0)->counters.states_hashed;
    memset(agree_of(0)->state_shares, 0,
           sizeof(struct tacit_state_share) * WORLD_N * WORLD_N); // none is known yet
    world.jobs_most = 1;
    assert_false(is_newview_refused());
    assert_true(world.node[0].agree->counters.bad_signatures == 0);
    assert_int_equal(agree_of(0)->counters.states_hashed - before, 2);
}

// Whoever shows an old base is shown the newest certificate, not as often as it asks.
static void status__of_a_flooder_is_answered_rarely(void **state)
{
    (void)state;
    world_open();
    for (unsigned i = 0; i < WORLD_WINDOW; i++) {
        propose(0, "a");
        world_pass(8 * WORLD_SLOW_NS);
    }
    assert_true(report_of(0).base > 0);
    world_pass(4 * WORLD_RETRY_NS);
    uint8_t status[32] = {TACIT_MESSAGE_STATUS};
    tacit_message_of_epoch(status, 1);
    world.node[2].inbox_count = 0;
    for (unsigned i = 0; i < 1000; i++) {
        tacit_agree_message(agree_of(0), 2, status, sizeof status);
    }
    assert_int_equal(world.node[2].inbox_count, 1);
    tacit_agree_message(agree_of(0), 1, status, sizeof status); // another one is not kept waiting
    assert_int_equal(world.node[1].inbox_count, 1);
}

static void newview__forged_in_any_way_is_refused(void **state)
{
    (void)state;
    const uint64_t four = 4;
    catch_newview(); // a base without its certificate
    world.swallowed.payload.slot = four;
    memcpy(world.swallowed.body, &four, 8);
    assert_true(is_newview_refused());
    catch_newview(); // a base below that of a co-signer
    size_t end = NEWVIEW_STATES + state_bytes_at(NEWVIEW_STATES);
    memcpy(world.swallowed.body + end - NEWVIEW_SHARE + 8, &four, 8);
    assert_true(is_newview_refused());
    catch_newview(); // another base in head and body
    world.swallowed.payload.slot = four;
    assert_true(is_newview_refused());
    catch_newview(); // f states
    world.swallowed.payload.body_bytes = (uint32_t)end;
    assert_true(is_newview_refused());
    catch_newview(); // of a view that another leads
    world.swallowed.payload.view = 2;
    assert_true(is_newview_refused());
    catch_newview(); // twice
    assert_false(is_newview_refused());
    (void)say_newview();
    world_pump();
    assert_true(world.node[0].condemned[1]);
}

// A claim taken out of a certified state, or put in, or another value: the shares do not hold.
static void newview__with_one_byte_changed_is_refused(void **state)
{
    (void)state;
    catch_newview();
    uint32_t bytes = world.swallowed.payload.body_bytes;
    for (uint32_t at = 0; at < bytes; at += 1 + at % 7) {
        catch_newview();
        world.swallowed.body[at] ^= (uint8_t)(1u << at % 8);
        bool refused = is_newview_refused();
        if (!refused && at >= 8 && at < NEWVIEW_STATES) {
            // Root and empty certificate of the epoch's start: nothing is taken from there.
            const struct tacit_digest root = world_root(0);
            assert_true(tacit_digest_is_equal(&agree_of(0)->root, &root));
            assert_true(tacit_digest_is_equal(&agree_of(0)->streams[1].base_digest, &root));
        } else if (!refused) {
            fail_msg("byte %u of %u is not looked at", at, bytes);
        }
    }
    for (uint32_t size = 0; size < bytes; size += 1 + size % 11) {
        catch_newview();
        world.swallowed.payload.body_bytes = size;
        assert_true(is_newview_refused());
    }
}

// ---- windows
// -------------------------------------------------------------------------------------

static void decide_more(tacit_node_t leader, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        propose(leader, i % 2 == 0 ? "even" : "odd");
        world_pass(8 * WORLD_SLOW_NS);
    }
}

static void window__moves_with_checkpoints(void **state)
{
    (void)state;
    world_open();
    memset(world.no_signer, true, sizeof world.no_signer);
    for (unsigned i = 0; i < WORLD_WINDOW; i++) {
        propose(0, "a");
    }
    uint64_t slot;
    world_pump();
    assert_int_equal(report_of(0).decided, WORLD_WINDOW);
    assert_false(tacit_agree_can_propose(agree_of(0))); // no checkpoint is certified
    assert_false(tacit_agree_propose(agree_of(0), "a", 1, &slot));
    memset(world.no_signer, false, sizeof world.no_signer);
    world_pump();
    assert_int_equal(report_of(0).base, WORLD_WINDOW);
    assert_true(tacit_agree_can_propose(agree_of(0)));
    decide_more(0, 3 * WORLD_WINDOW);
    for (tacit_node_t r = 0; r < WORLD_N; r++) {
        assert_int_equal(report_of(r).base, 4 * WORLD_WINDOW);
        assert_int_equal(world.node[r].executed_count, 4 * WORLD_WINDOW);
        assert_int_equal(world.node[r].stable, 4 * WORLD_WINDOW);
        assert_null(tacit_bodies_check(world.node[r].bodies));
    }
    assert_true(world_agrees());
}

// What a gap does to a replica: summaries instead of streams, then a base far above its window.
static void adopt_all(tacit_node_t at, tacit_node_t from)
{
    static uint8_t bytes[WORLD_BODY];
    for (tacit_node_t stream = 0; stream < WORLD_N; stream++) {
        struct world_node *node = &world.node[at];
        size_t size = tacit_stream_encode(&agree_of(from)->streams[stream], bytes);
        if (stream == at) {
            continue;
        }
        node->locked[stream] = node->next[stream] = world.id_count[stream];
        assert_true(
            node->calls.adopt(node->calls.context, stream, node->next[stream] - 1, bytes, size));
    }
}

static void jump(unsigned slots)
{
    world_open();
    for (tacit_node_t r = 0; r < 2; r++) {
        world.no_lock[2][r] = world.no_message[2][r] = world.no_vote[2][r] = true;
    }
    decide_more(0, slots);
    assert_int_equal(report_of(0).decided, slots);
    assert_int_equal(report_of(0).base, slots - slots % (WORLD_WINDOW / 2));
    assert_int_equal(report_of(2).base, 0);
    world.node[2].inbox_count = 0; // lapped
    adopt_all(2, 0);
    for (tacit_node_t r = 0; r < 2; r++) {
        world.no_lock[2][r] = world.no_message[2][r] = world.no_vote[2][r] = false;
    }
    world_pass(4 * WORLD_BEHIND_NS);
    uint64_t base = report_of(0).base;
    assert_int_equal(report_of(2).base, base);
    assert_int_equal(world.node[2].told_behind, base);
    assert_true(world.node[2].executed_count <= base);
    tacit_agree_installed(agree_of(2), base);
    world_pass(4 * WORLD_RETRY_NS);
    decide_more(0, 2 * WORLD_WINDOW);
    for (tacit_node_t r = 0; r < WORLD_N; r++) {
        assert_int_equal(world.node[r].executed_count, slots + 2 * WORLD_WINDOW);
        assert_int_equal(report_of(r).view, 0);
        assert_int_equal(report_of(r).condemned, 0);
        assert_null(tacit_bodies_check(world.node[r].bodies));
    }
    assert_true(world_agrees());
}

// One replica adopts a state that has a COMMIT, whose certificate it never gets, and the other
// that COMMITTED is silent: it decides by the shares that both left in its cells.
static bool holds__an_adopted_commit_is_followed_up(void)
{
    static uint8_t bytes[WORLD_BODY];
    world_open();
    world.no_fetch = true;
    struct world_node *node = &world.node[2];
    for (tacit_node_t r = 0; r < 2; r++) {
        world.no_lock[2][r] = world.no_message[2][r] = true;
    }
    decide_more(0, 1);
    assert_int_equal(report_of(0).decided, 1);
    assert_int_equal(report_of(2).decided, 0);
    world.node[1].is_dead = true;
    node->inbox_count = 0;
    size_t size = tacit_stream_encode(&agree_of(0)->streams[0], bytes);
    node->locked[0] = node->next[0] = world.id_count[0];
    assert_true(node->calls.adopt(node->calls.context, 0, node->next[0] - 1, bytes, size));
    world.no_lock[2][0] = world.no_message[2][0] = false;
    world_pass(8 * WORLD_RETRY_NS);
    // Decided, and the batch is asked for until it comes: whoever sleeps meanwhile has to wake up.
    bool wakes = tacit_agree_deadline(agree_of(2)) != UINT64_MAX;
    assert_int_equal(node->executed_count, 0);
    world.no_fetch = false;
    world_pass(WORLD_RETRY_NS);
    return report_of(2).decided == 1 && wakes && node->executed_count == 1 && world_agrees();
}

static void adopt__of_a_commit_is_followed_up(void **state)
{
    (void)state;
    assert_true(holds__an_adopted_commit_is_followed_up());
    world_close();
#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
    const uint32_t bugs[] = {TACIT_BUG_COMMIT_WITHOUT_SHARES_IGNORED,
                             TACIT_BUG_DECIDED_BODY_FORGOTTEN};
    for (size_t i = 0; i < sizeof bugs / sizeof bugs[0]; i++) {
        tacit_seeded_bug = bugs[i];
        bool held = holds__an_adopted_commit_is_followed_up();
        tacit_seeded_bug = TACIT_BUG_NONE;
        assert_false(held);
    }
#endif
}

// As before, but the shares of the other one are not seen either: what is decided elsewhere can
// only come in a later view, and nobody else has a reason to leave this one.
static bool holds__what_was_passed_over_is_decided(void)
{
    static uint8_t bytes[WORLD_BODY];
    world_open();
    struct world_node *node = &world.node[2];
    world.no_vote[2][1] = true;
    for (tacit_node_t r = 0; r < 2; r++) {
        world.no_lock[2][r] = world.no_message[2][r] = true;
    }
    decide_more(0, 1);
    node->inbox_count = 0;
    size_t size = tacit_stream_encode(&agree_of(0)->streams[0], bytes);
    node->locked[0] = node->next[0] = world.id_count[0];
    assert_true(node->calls.adopt(node->calls.context, 0, node->next[0] - 1, bytes, size));
    world.no_lock[2][0] = world.no_message[2][0] = false;
    assert_int_equal(report_of(2).view, 0);
    world_pass(16 * WORLD_JOIN_NS);
    return report_of(2).view > 0 && report_of(2).condemned == 0 && world_agrees();
}

static void adopt__of_what_was_passed_over(void **state)
{
    (void)state;
    assert_true(holds__what_was_passed_over_is_decided());
    world_close();
#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
    tacit_seeded_bug = TACIT_BUG_PASSED_OVER_STAYS;
    bool held = holds__what_was_passed_over_is_decided();
    tacit_seeded_bug = TACIT_BUG_NONE;
    assert_false(held);
#endif
}

// Who leads writes what no correct replica writes, as all see, or one of them: those leave its view
// without waiting, the first one at once, and the next view goes on.
static bool holds__who_is_malformed_leads_no_more(void)
{
    world_open();
    world.node[1].malformed = world.node[2].malformed = 1u << 0;
    world_pump();
    bool held = report_of(1).view == 1 && report_of(2).view == 1;
    propose(held ? 1 : 0, "a");
    world_pass(2 * WORLD_SLOW_NS);
    assert_int_equal(world.node[2].executed_count, 1);
    // Who leads no view takes none from others.
    assert_int_equal(report_of(2).view, held ? 1 : 0);
    return held && world_agrees();
}

static void malformed__is_who_leads_no_more(void **state)
{
    (void)state;
    assert_true(holds__who_is_malformed_leads_no_more());
    world_close();
#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
    tacit_seeded_bug = TACIT_BUG_MALFORMED_LEADS;
    bool held = holds__who_is_malformed_leads_no_more();
    tacit_seeded_bug = TACIT_BUG_NONE;
    assert_false(held);
#endif
}

static void window__jumps_with_a_certificate(void **state)
{
    (void)state;
    // To a slot whose place is its own old one's (two windows), next to it, and in between.
    const unsigned slots[] = {WORLD_WINDOW, 2 * WORLD_WINDOW, 2 * WORLD_WINDOW + 4,
                              4 * WORLD_WINDOW};
    for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++) {
        jump(slots[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_path__needs_no_signature),
        cmocka_unit_test(slow_path__decides_with_one_dead),
        cmocka_unit_test(slow_path__starts_at_once_without_the_dead),
        cmocka_unit_test(adopt__of_a_commit_is_followed_up),
        cmocka_unit_test(adopt__of_what_was_passed_over),
        cmocka_unit_test(malformed__is_who_leads_no_more),
        cmocka_unit_test(view_change__keeps_a_decision_of_one),
        cmocka_unit_test(signature__after_the_seal_says_nothing),
        cmocka_unit_test(check__of_a_share_after_the_seal_commits_nothing),
        cmocka_unit_test(signer__with_strange_cookies),
        cmocka_unit_test(seal__of_one_moves_nobody_who_makes_progress),
        cmocka_unit_test(seal__of_one_is_joined_by_who_waits),
        cmocka_unit_test(seal__of_a_quorum_moves_at_once),
        cmocka_unit_test(newview__that_is_whole_is_accepted),
        cmocka_unit_test(newview__is_digested_once),
        cmocka_unit_test(status__of_a_flooder_is_answered_rarely),
        cmocka_unit_test(newview__forged_in_any_way_is_refused),
        cmocka_unit_test(newview__with_one_byte_changed_is_refused),
        cmocka_unit_test(window__moves_with_checkpoints),
        cmocka_unit_test(window__jumps_with_a_certificate),
    };
    return cmocka_run_group_tests_name("byz_agree", tests, NULL, close_world);
}
