// SPDX-License-Identifier: Apache-2.0
//
// Agreement rule by rule: each rule that the view-change model needs is a scenario which says
// whether it was kept, and which the seeded bug that leaves the rule out must break. Then what
// comes late, forged NEW_VIEWs, who follows whom out of a view, and windows that jump.
// TACIT_SEEDED: yes
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "byz_agree_world.h"
#include "choice/choice.h"

static struct tacit_agree *agree_of(tacit_node_t r)
{
    return world.node[r].agree;
}

static struct tacit_agree_report report_of(tacit_node_t r)
{
    struct tacit_agree_report report;
    tacit_agree_status(agree_of(r), &report);
    return report;
}

static struct tacit_digest digest_of(const char *text)
{
    struct tacit_digest digest;
    tacit_body_digest(&digest, text, strlen(text));
    return digest;
}

static void propose(tacit_node_t leader, const char *text)
{
    uint64_t slot;
    assert_true(tacit_agree_propose(agree_of(leader), text, (uint32_t)strlen(text), &slot));
}

static void suspect_all(void)
{
    for (tacit_node_t r = 0; r < WORLD_N; r++) {
        if (!world.node[r].is_dead) {
            tacit_agree_suspect(agree_of(r));
        }
    }
}

static void block(bool table[WORLD_N][WORLD_N], bool on)
{
    for (unsigned i = 0; i < WORLD_N * WORLD_N; i++) {
        table[i / WORLD_N][i % WORLD_N] = on;
    }
}

static uint32_t say_prepare(tacit_node_t leader, uint64_t view, uint64_t slot, const char *text)
{
    struct tacit_payload payload = {.kind = TACIT_PAYLOAD_PREPARE, .view = view, .slot = slot};
    return world_say(leader, payload, text, (uint32_t)strlen(text));
}

static void say_seal(tacit_node_t r, uint64_t view, const struct tacit_slot_value *claims,
                     uint32_t count)
{
    uint8_t body[8 + WORLD_WINDOW * 48];
    struct tacit_payload payload = {.kind = TACIT_PAYLOAD_SEAL_VIEW, .view = view};
    size_t bytes = tacit_claims_encode(body, claims, count);
    (void)world_say(r, payload, body, (uint32_t)bytes);
}

// The newest PREPARE of that slot in the stream.
static uint32_t prepare_id(tacit_node_t stream, uint64_t slot)
{
    for (uint32_t k = world.id_count[stream]; k-- > 0;) {
        const struct tacit_payload *payload = &world.ids[stream][k].payload;
        if (payload->kind == TACIT_PAYLOAD_PREPARE && payload->slot == slot) {
            return k;
        }
    }
    fail_msg("no PREPARE");
    return 0;
}

// "a" is ACKed in slot 0 by all, who do not hear of each other's ACKs.
static void ack_unheard(void)
{
    world_open();
    block(world.no_vote, true);
    propose(0, "a");
    world_pump();
    for (tacit_node_t r = 0; r < WORLD_N; r++) {
        assert_true(world.voted[TACIT_VOTE_ACK][r][(r + 1) % WORLD_N][0]);
        assert_int_equal(report_of(r).decided, 0);
    }
}

// The NEW_VIEW(1) of a leader that is faulty from there on: the test has it in world.swallowed.
static void catch_newview(void)
{
    ack_unheard();
    world.node[1].swallows_newview = true;
    suspect_all();
    world_pump();
    assert_int_equal(world.swallowed.payload.kind, TACIT_PAYLOAD_NEW_VIEW);
    world.node[1].is_dead = true;
}

static uint32_t say_newview(void)
{
    const struct world_id *id = &world.swallowed;
    return world_say(1, id->payload, id->body, id->payload.body_bytes);
}

// ---- rules: true if kept
// -------------------------------------------------------------------------

// decide: ACK from all n.
static bool rule_all_acks(void)
{
    world_open();
    world.no_vote[0][2] = true;
    propose(0, "a");
    world_pump();
    assert_int_equal(report_of(1).decided, 1);
    return report_of(0).decided == 0;
}

static bool rule_unanimity(void)
{
    world_open();
    world.no_locked[1][2] = true;
    propose(0, "a");
    world_pump();
    assert_true(world.node[1].next[0] == 1 && world.node[1].vouched[0][0]); // delivered, vouched
    assert_true(world.voted[TACIT_VOTE_ACK][0][1][0]);
    return !world.voted[TACIT_VOTE_ACK][1][0][0];
}

// The leader, too, although it proposed.
static bool rule_unanimity_of_leader(void)
{
    world_open();
    world.no_locked[0][2] = true;
    propose(0, "a");
    world_pump();
    assert_true(world.voted[TACIT_VOTE_ACK][1][0][0]);
    return !world.voted[TACIT_VOTE_ACK][0][1][0];
}

static bool rule_endorsed(void)
{
    world_open();
    world.node[1].endorsement = TACIT_ENDORSE_LATER;
    propose(0, "a");
    world_pump();
    bool kept = !world.node[1].vouched[0][0];
    world.node[1].endorsement = TACIT_ENDORSED;
    tacit_agree_endorsable(agree_of(1), 0);
    world_pump();
    assert_true(world.node[1].vouched[0][0]);
    assert_int_equal(report_of(1).counters.decided_fast, 1);
    return kept;
}

// Whatever ids a faulty leader uses: here the first one leaves the tail before it is delivered.
static bool rule_vouch_once(void)
{
    uint8_t state[4096];
    world_open();
    world.node[0].is_dead = true;
    world.no_deliver[1][0] = true;
    (void)say_prepare(0, 0, 0, "a");
    world_pump();
    assert_true(world.node[1].vouched[0][0]);
    size_t bytes = tacit_stream_encode(&agree_of(1)->streams[0], state);
    assert_true(world.node[1].calls.adopt(world.node[1].calls.context, 0, 1, state, bytes));
    world.node[1].next[0] = 1;
    world.no_deliver[1][0] = false;
    (void)say_prepare(0, 0, 0, "b");
    world_pump();
    assert_int_equal(world.node[1].next[0], 2);
    return !world.node[1].vouched[0][1];
}

static bool rule_newview_obeyed(void)
{
    catch_newview();
    (void)say_newview();
    world_pump();
    assert_int_equal(report_of(0).view, 1);
    assert_true(report_of(0).entered);
    world.no_deliver[0][1] = true; // where it would be found illegal
    uint32_t k = say_prepare(1, 1, 0, "b");
    world_pump();
    assert_true(world.node[0].locked[1] > k);
    bool kept = !world.node[0].vouched[1][k];
    world.no_deliver[0][1] = false;
    world_pump();
    assert_true(world.node[0].condemned[1]);
    return kept;
}

static bool rule_forced_is_endorsed(void)
{
    ack_unheard();
    world.node[2].endorsement = TACIT_ENDORSE_NEVER;
    suspect_all();
    world_pump();
    assert_int_equal(report_of(2).view, 1);
    assert_true(report_of(2).entered);
    const struct tacit_digest a = digest_of("a");
    uint32_t k = prepare_id(1, 0);
    assert_true(tacit_digest_is_equal(&world.ids[1][k].payload.digest, &a));
    return world.node[2].vouched[1][k];
}

static bool rule_carrying(void)
{
    ack_unheard();
    memset(world.no_signer, true, sizeof world.no_signer); // nothing comes of view 1
    suspect_all();
    world_pump();
    suspect_all();
    world_pump();
    const struct tacit_digest a = digest_of("a");
    const struct tacit_stream *stream = &agree_of(0)->streams[1];
    assert_int_equal(stream->view, 2);
    bool carried = stream->claim_count == 1 && stream->claims[0].slot == 0 &&
                   stream->claims[0].view == 0 &&
                   tacit_digest_is_equal(&stream->claims[0].digest, &a);
    assert_true(!carried || world_marks[TACIT_MARK_CLAIM_CARRIED] > 0);
    // And is what the next leader that gets through has to propose.
    memset(world.no_signer, false, sizeof world.no_signer);
    block(world.no_vote, false);
    world_pass(4 * WORLD_RETRY_NS);
    assert_true(!carried || tacit_digest_is_equal(&world.node[0].executed[0], &a));
    return carried;
}

static bool rule_cosign_what_was_vouched(void)
{
    const struct tacit_slot_value claims[2] = {{0, 0, digest_of("a")}, {1, 0, digest_of("b")}};
    world_open();
    block(world.no_vote, true);
    propose(0, "a");
    world_pump();
    world.node[2].is_dead = true;
    say_seal(2, 0, claims, 2); // the first is true
    suspect_all();
    world_pump();
    assert_true(agree_of(0)->cosigns[2].known && agree_of(0)->cosigns[1].is_signed);
    return !agree_of(0)->cosigns[2].asked;
}

// The co-signer is ahead: it skips claims below its own base, and its share says so.
static bool rule_cosigner_names_its_base(void)
{
    world_open();
    memset(world.no_signer, true, sizeof world.no_signer);
    for (unsigned i = 0; i < WORLD_WINDOW / 2; i++) {
        propose(0, "a");
    }
    world_pump();
    assert_int_equal(report_of(1).applied, WORLD_WINDOW / 2);
    for (tacit_node_t r = 0; r < WORLD_N; r += 2) { // replica 1 does not learn of the checkpoint
        world.no_signer[r] = false;
        world.no_message[1][r] = world.no_deliver[1][r] = true;
    }
    world_pump();
    assert_int_equal(report_of(0).base, WORLD_WINDOW / 2);
    assert_int_equal(report_of(1).base, 0);
    suspect_all();
    world_pump();
    const struct tacit_cosign *cosign = &agree_of(0)->cosigns[1];
    assert_int_equal(agree_of(0)->streams[1].claim_count, WORLD_WINDOW / 2);
    assert_true(cosign->known && cosign->is_signed);
    return cosign->base == WORLD_WINDOW / 2;
}

static void enter_view_one_without(tacit_node_t dead)
{
    world_open();
    world.node[dead].is_dead = true;
    suspect_all();
    world_pump();
    assert_int_equal(report_of(0).view, 1);
    assert_true(report_of(0).entered && report_of(1).entered);
}

static bool rule_one_view_per_count(void)
{
    enter_view_one_without(2);
    propose(1, "a");
    world.node[2].vouched[1][prepare_id(1, 0)] = true;
    world_pump();
    const struct tacit_vote old = {.view = 0, .slot = 0, .digest = digest_of("a")};
    assert_true(world.voted[TACIT_VOTE_ACK][1][0][0]);
    world_vote(2, 0, TACIT_VOTE_ACK, &old);
    world_pump();
    bool kept = report_of(0).decided == 0;
    const struct tacit_vote present = {.view = 1, .slot = 0, .digest = digest_of("a")};
    world_vote(2, 0, TACIT_VOTE_ACK, &present);
    world_pump();
    assert_int_equal(report_of(0).decided, 1);
    return kept;
}

static bool is_newview_refused(void)
{
    (void)say_newview();
    world_pump();
    // Whoever is refused is found out, and left for the next leader.
    bool taken = agree_of(0)->streams[1].has_newview;
    assert_true(taken != world.node[0].condemned[1]);
    return !taken;
}

// Where the parts of the caught NEW_VIEW are: base 8, root 32, an empty certificate 8, two states.
enum { NEWVIEW_STATES = 48, NEWVIEW_SHARE = 80 };

static size_t state_bytes_at(size_t at)
{
    uint64_t bytes;
    memcpy(&bytes, world.swallowed.body + at + 8, 8);
    return 16 + tacit_round_up(bytes, 8) + 2 * NEWVIEW_SHARE;
}

static bool rule_states_distinct(void)
{
    catch_newview();
    uint8_t *first = world.swallowed.body + NEWVIEW_STATES;
    size_t bytes = state_bytes_at(NEWVIEW_STATES);
    memcpy(first + bytes, first, bytes);
    world.swallowed.payload.body_bytes = (uint32_t)(NEWVIEW_STATES + 2 * bytes);
    return is_newview_refused();
}

static bool rule_cosigners_distinct(void)
{
    catch_newview();
    uint8_t *end = world.swallowed.body + NEWVIEW_STATES + state_bytes_at(NEWVIEW_STATES);
    memcpy(end - NEWVIEW_SHARE, end - 2 * NEWVIEW_SHARE, NEWVIEW_SHARE);
    return is_newview_refused();
}

static bool rule_states_of_this_view(void)
{
    catch_newview();
    say_seal(1, 3, agree_of(0)->entries, 0);
    world.swallowed.payload.view = 4; // led by replica 1 again
    return is_newview_refused();
}

static uint32_t say_commit(tacit_node_t r, uint64_t slot, const char *text, uint8_t other_signer)
{
    uint8_t body[512];
    const struct tacit_digest digest = digest_of(text);
    struct tacit_certificate certificate = {.count = 2};
    uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
    uint32_t bytes = tacit_statement_certify(statement, 1, 0, slot, &digest);
    certificate.shares[0].signer = other_signer == r ? (uint8_t)r : 0;
    certificate.shares[1].signer = (uint8_t)r;
    // Its own signature twice: one of them in another's name, or not even that.
    certificate.shares[0].signature = certificate.shares[1].signature =
        world_sign(r, TACIT_DOMAIN_CERTIFY, statement, bytes);
    memcpy(body, digest.bytes, TACIT_DIGEST_BYTES);
    size_t used =
        TACIT_DIGEST_BYTES + tacit_certificate_encode(body + TACIT_DIGEST_BYTES, 400, &certificate);
    struct tacit_payload payload = {.kind = TACIT_PAYLOAD_COMMIT, .slot = slot};
    return world_say(r, payload, body, (uint32_t)used);
}

static bool rule_commit_checked(void)
{
    world_open();
    world.node[2].is_dead = true;
    (void)say_commit(2, 0, "a", 0);
    world_pump();
    assert_true(world.node[0].condemned[2] == world.node[1].condemned[2]);
    return world.node[0].condemned[2];
}

static bool rule_commit_by_distinct(void)
{
    world_open();
    world.node[2].is_dead = true;
    (void)say_commit(2, 0, "a", 2);
    world_pump();
    return world.node[0].condemned[2];
}

static const struct {
    const char *name;
    bool (*rule)(void);
    uint32_t bug;
} rules[] = {
    {"all ACKs decide, not LOCKED", rule_all_acks, TACIT_BUG_DECIDE_ON_LOCKED},
    {"all ACKs decide, not f+1", rule_all_acks, TACIT_BUG_DECIDE_ON_QUORUM_ACKS},
    {"ACK needs unanimity", rule_unanimity, TACIT_BUG_ACK_WITHOUT_UNANIMITY},
    {"the leader's, too", rule_unanimity_of_leader, TACIT_BUG_ACK_WITHOUT_UNANIMITY},
    {"vouch: endorsed", rule_endorsed, TACIT_BUG_VOUCH_UNENDORSED},
    {"vouch: once", rule_vouch_once, TACIT_BUG_VOUCH_TWICE},
    {"vouch: legal under NEW_VIEW", rule_newview_obeyed, TACIT_BUG_VOUCH_IGNORES_NEW_VIEW},
    {"forced is endorsed", rule_forced_is_endorsed, TACIT_BUG_FORCED_NEEDS_ENDORSEMENT},
    {"claims are carried", rule_carrying, TACIT_BUG_CLAIMS_NOT_CARRIED},
    {"co-sign: vouched", rule_cosign_what_was_vouched, TACIT_BUG_COSIGN_BLINDLY},
    {"co-sign: base named", rule_cosigner_names_its_base, TACIT_BUG_COSIGN_BELOW_BASE},
    {"one view per count of ACKs", rule_one_view_per_count, TACIT_BUG_ACKS_ACROSS_VIEWS},
    {"NEW_VIEW: states distinct", rule_states_distinct, TACIT_BUG_SIGNER_REPEATED},
    {"NEW_VIEW: co-signers distinct", rule_cosigners_distinct, TACIT_BUG_SIGNER_REPEATED},
    {"NEW_VIEW: of this view", rule_states_of_this_view, TACIT_BUG_OLD_NEW_VIEW_ACCEPTED},
    {"COMMIT: certificate checked", rule_commit_checked, TACIT_BUG_CERTIFICATE_UNCHECKED},
    {"COMMIT: signers distinct", rule_commit_by_distinct, TACIT_BUG_SIGNER_REPEATED},
};

static void rules__are_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (!rules[i].rule()) {
            fail_msg("not kept: %s", rules[i].name);
        }
    }
}

static void rules__are_broken_by_the_bugs(void **state)
{
    (void)state;
#if TACIT_SEEDED_BUGS
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        tacit_seeded_bug = rules[i].bug;
        bool kept = rules[i].rule();
        tacit_seeded_bug = TACIT_BUG_NONE;
        if (kept) {
            fail_msg("kept in spite of the bug: %s", rules[i].name);
        }
    }
#else
    skip();
#endif
}

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
    world.node[0].is_dead = true; // the leader
    world.node[1].obliged = true;
    say_seal(0, 0, agree_of(1)->entries, 0);
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

static int close_world(void **state)
{
    (void)state;
    world_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_path__needs_no_signature),
        cmocka_unit_test(slow_path__decides_with_one_dead),
        cmocka_unit_test(view_change__keeps_a_decision_of_one),
        cmocka_unit_test(rules__are_kept),
        cmocka_unit_test(rules__are_broken_by_the_bugs),
        cmocka_unit_test(signature__after_the_seal_says_nothing),
        cmocka_unit_test(check__of_a_share_after_the_seal_commits_nothing),
        cmocka_unit_test(signer__with_strange_cookies),
        cmocka_unit_test(seal__of_one_moves_nobody_who_makes_progress),
        cmocka_unit_test(seal__of_one_is_joined_by_who_waits),
        cmocka_unit_test(seal__of_a_quorum_moves_at_once),
        cmocka_unit_test(newview__that_is_whole_is_accepted),
        cmocka_unit_test(newview__forged_in_any_way_is_refused),
        cmocka_unit_test(newview__with_one_byte_changed_is_refused),
        cmocka_unit_test(window__moves_with_checkpoints),
        cmocka_unit_test(window__jumps_with_a_certificate),
    };
    return cmocka_run_group_tests_name("byz_agree", tests, NULL, close_world);
}
