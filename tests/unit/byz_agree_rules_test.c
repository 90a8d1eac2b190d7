// SPDX-License-Identifier: Apache-2.0
//
// Agreement rule by rule: each rule that the view-change model needs is a scenario which says
// whether it was kept, and which the seeded bug that leaves the rule out must break.
// TACIT_SEEDED: yes
#include "byz_agree_steps.h"
#include "support/rules.h"

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

// Who left the view told in its SEAL_VIEW what it had ACKed there, and ACKs nothing more of it.
static bool rule_no_ack_after_the_seal(void)
{
    world_open();
    world.no_locked[1][2] = true;
    propose(0, "a");
    world_pump();
    assert_true(world.node[1].vouched[0][0] && !world.voted[TACIT_VOTE_ACK][1][0][0]);
    tacit_agree_suspect(agree_of(1));
    world_pump();
    assert_int_equal(report_of(1).view, 1);
    world.no_locked[1][2] = false;
    world_pump();
    return !world.voted[TACIT_VOTE_ACK][1][0][0];
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

// The state of the leader's stream is adopted before its id 0 was delivered: that one is skipped.
static void skip_first_id(tacit_node_t r)
{
    uint8_t state[4096];
    size_t bytes = tacit_stream_encode(&agree_of(r)->streams[0], state);
    assert_true(world.node[r].calls.adopt(world.node[r].calls.context, 0, 1, state, bytes));
    world.node[r].next[0] = 1;
    world.no_deliver[r][0] = false;
}

// Whatever ids a faulty leader uses: here the first one leaves the tail before it is delivered.
static bool rule_vouch_once(void)
{
    world_open();
    world.node[0].is_dead = true;
    world.no_deliver[1][0] = true;
    (void)say_prepare(0, 0, 0, "a");
    world_pump();
    assert_true(world.node[1].vouched[0][0]);
    skip_first_id(1);
    (void)say_prepare(0, 0, 0, "b");
    world_pump();
    assert_int_equal(world.node[1].next[0], 2);
    return !world.node[1].vouched[0][1];
}

// A share is signed ahead where somebody is not to be expected, and said when its PREPARE is
// delivered, not before.
static bool rule_share_is_signed_ahead(void)
{
    world_open();
    world.node[0].is_dead = true;
    world.node[1].overdue = 1u << 2;
    world.no_deliver[1][0] = true;
    (void)say_prepare(0, 0, 0, "a");
    world_pump();
    uint64_t jobs = world.jobs_seen;
    assert_int_equal(report_of(1).counters.certified, 0);
    assert_false(world.voted[TACIT_VOTE_CERTIFY][1][0][0]);
    world.node[2].is_dead = true; // whose share would have to be checked
    world.no_signer[1] = true;
    world.no_deliver[1][0] = false;
    world_pump();
    return world.jobs_seen == jobs && world.voted[TACIT_VOTE_CERTIFY][1][0][0];
}

// The signer may take until after the delivery: then the share is said when it is signed, once.
static void ahead__may_be_late(void **state)
{
    (void)state;
    world_open();
    world.node[0].is_dead = world.node[2].is_dead = true;
    world.node[1].overdue = 1u << 2;
    world.no_signer[1] = true;
    (void)say_prepare(0, 0, 0, "a");
    world_pass(3 * WORLD_SLOW_NS);
    assert_true(world.node[1].next[0] == 1 && world.node[1].job_count == 1);
    assert_false(world.voted[TACIT_VOTE_CERTIFY][1][0][0]);
    world.no_signer[1] = false;
    world_pass(3 * WORLD_SLOW_NS);
    assert_true(world.voted[TACIT_VOTE_CERTIFY][1][0][0]);
    assert_int_equal(report_of(1).counters.certified, 1);
}

// Where all are expected nothing is signed ahead.
static void ahead__is_for_who_waits_for_nobody(void **state)
{
    (void)state;
    world_open();
    world.node[0].is_dead = world.node[2].is_dead = true;
    world.no_deliver[1][0] = true;
    (void)say_prepare(0, 0, 0, "a");
    world_pass(3 * WORLD_SLOW_NS);
    assert_true(world.node[1].vouched[0][0]);
    assert_int_equal(world.jobs_seen, 0);
}

// What was signed ahead is said of that value only: the liar's first id leaves the tail, and what
// is delivered in its place is another value.
static bool rule_share_is_of_what_was_delivered(void)
{
    world_open();
    world.node[0].is_dead = true;
    world.node[1].overdue = 1u << 2;
    world.no_deliver[1][0] = true;
    (void)say_prepare(0, 0, 0, "a");
    world_pump();
    assert_true(world.node[1].vouched[0][0]);
    skip_first_id(1);
    (void)say_prepare(0, 0, 0, "b");
    world_pass(3 * WORLD_SLOW_NS);
    const struct tacit_digest b = digest_of("b");
    assert_true(world.voted[TACIT_VOTE_CERTIFY][1][0][0]);
    return tacit_digest_is_equal(&world.cell[TACIT_VOTE_CERTIFY][1][0][0].digest, &b);
}

// Signed in a view that was left since: not said.
static void ahead__ends_with_its_view(void **state)
{
    (void)state;
    world_open();
    world.node[0].is_dead = world.node[2].is_dead = true;
    world.node[1].overdue = 1u << 2;
    world.no_deliver[1][0] = true;
    (void)say_prepare(0, 0, 0, "a");
    world_pump();
    tacit_agree_suspect(agree_of(1));
    world.no_deliver[1][0] = false;
    world_pass(3 * WORLD_SLOW_NS);
    assert_int_equal(report_of(1).view, 1);
    assert_false(world.voted[TACIT_VOTE_CERTIFY][1][0][0]);
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

// Decided by COMMITs before its PREPARE came here: its requests were executed and forgotten, and
// are not asked for any more.
static bool rule_decided_is_endorsed(void)
{
    world_open();
    world.no_lock[2][0] = world.no_deliver[2][0] = true;
    propose(0, "a");
    world_pass(4 * WORLD_SLOW_NS);
    assert_int_equal(report_of(2).decided, 1);
    world.node[2].endorsement = TACIT_ENDORSE_LATER;
    world.no_lock[2][0] = world.no_deliver[2][0] = false;
    world_pump();
    return world.node[2].vouched[0][0];
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

// What a new leader has executed is proposed again when somebody lacks it, and only then.
static bool rule_again_for_who_lacks(void)
{
    world_open();
    propose(0, "a");
    world_pump();
    suspect_all();
    world_pass(4 * WORLD_SLOW_NS);
    assert_int_equal(report_of(1).view, 1);
    assert_int_equal(report_of(1).counters.proposed, 0);
    world_open();
    world.no_vote[2][0] = world.no_vote[2][1] = true;
    propose(0, "a");
    propose(0, "b");
    world_pump();
    assert_int_equal(report_of(1).decided, 2);
    assert_int_equal(report_of(2).decided, 0);
    world.node[0].is_dead = true;
    world.no_vote[2][1] = false; // ACKs of 0 are lost for good
    suspect_all();
    world_pass(20 * WORLD_SLOW_NS);
    assert_int_equal(report_of(1).view, 1);
    bool kept = report_of(2).decided == 2;
    assert_int_equal(kept, world_marks[TACIT_MARK_PROPOSED_AGAIN] > 0);
    return kept && world_agrees();
}

// Of the shares of a checkpoint one is checked beside the own one: the other, too, if it is none.
static bool rule_shares_are_spared(void)
{
    world_open();
    world.no_signer[0] = world.no_message[0][1] = world.no_message[0][2] = true;
    for (unsigned i = 0; i < WORLD_WINDOW / 2; i++) {
        propose(0, "a");
    }
    world_pump();
    assert_int_equal(agree_of(0)->own_base, WORLD_WINDOW / 2);
    block(world.no_message, false);
    world_pump();
    const struct tacit_base_share *shares = agree_of(0)->base_shares;
    assert_true(shares[1].known && shares[2].known);
    bool kept = !shares[1].checking || !shares[2].checking;
    tacit_node_t checked = shares[1].checking ? 1 : 2;
    tacit_node_t spared = (tacit_node_t)(3 - checked);
    assert_true(shares[checked].checking);
    tacit_base_checked(agree_of(0), checked, false);
    assert_true(shares[spared].checking);
    return kept;
}

static const struct rule rules[] = {
    {"f+1 shares are checked", rule_shares_are_spared, TACIT_BUG_SHARES_ALL_CHECKED},
    {"all ACKs decide, not LOCKED", rule_all_acks, TACIT_BUG_DECIDE_ON_LOCKED},
    {"all ACKs decide, not f+1", rule_all_acks, TACIT_BUG_DECIDE_ON_QUORUM_ACKS},
    {"ACK needs unanimity", rule_unanimity, TACIT_BUG_ACK_WITHOUT_UNANIMITY},
    {"the leader's, too", rule_unanimity_of_leader, TACIT_BUG_ACK_WITHOUT_UNANIMITY},
    {"no ACK after the seal", rule_no_ack_after_the_seal, TACIT_BUG_ACK_AFTER_SEAL},
    {"vouch: endorsed", rule_endorsed, TACIT_BUG_VOUCH_UNENDORSED},
    {"vouch: once", rule_vouch_once, TACIT_BUG_VOUCH_TWICE},
    {"CERTIFY: signed ahead", rule_share_is_signed_ahead, TACIT_BUG_SHARE_NOT_AHEAD},
    {"CERTIFY: of what was delivered", rule_share_is_of_what_was_delivered,
     TACIT_BUG_SHARE_OF_ANOTHER_VALUE},
    {"vouch: legal under NEW_VIEW", rule_newview_obeyed, TACIT_BUG_VOUCH_IGNORES_NEW_VIEW},
    {"forced is endorsed", rule_forced_is_endorsed, TACIT_BUG_FORCED_NEEDS_ENDORSEMENT},
    {"decided is endorsed", rule_decided_is_endorsed, TACIT_BUG_DECIDED_NEEDS_ENDORSEMENT},
    {"proposed again for who lacks it", rule_again_for_who_lacks, TACIT_BUG_DECIDED_NOT_AGAIN},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TESTS(rules),
        cmocka_unit_test(ahead__may_be_late),
        cmocka_unit_test(ahead__is_for_who_waits_for_nobody),
        cmocka_unit_test(ahead__ends_with_its_view),
    };
    return cmocka_run_group_tests_name("byz_agree_rules", tests, NULL, close_world);
}
