// SPDX-License-Identifier: Apache-2.0
//
// Agreement at the end of an epoch and across two: the cut, what of an old epoch is refused, and
// how who was left behind finds out. Each rule is a scenario which says whether it was kept, and
// which the seeded bug that leaves the rule out must break; the rules are those of
// tests/model/epochs.c.
// TACIT_SEEDED: yes
#include "byz_agree_steps.h"
#include "choice/choice.h"
#include "support/rules.h"

enum { HALF = WORLD_WINDOW / 2 };

// The next epoch begins at `base`, with fresh streams. What is on its way stays there: messages,
// completions and cells of the old one.
static void next_epoch(uint64_t epoch, uint64_t base, bool without_two)
{
    memset(world.id_count, 0, sizeof world.id_count);
    for (tacit_node_t r = 0; r < WORLD_N; r++) {
        struct world_node *node = &world.node[r];
        memset(node->locked, 0, sizeof node->locked);
        memset(node->next, 0, sizeof node->next);
        memset(node->is_later, 0, sizeof node->is_later);
        memset(node->condemned, 0, sizeof node->condemned);
        memset(node->vouched, 0, sizeof node->vouched);
        memset(node->unanimous, 0, sizeof node->unanimous);
        if (!node->is_dead && !(without_two && r == 2)) {
            world_begin(r, epoch, base);
        }
    }
}

static void decide_many(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        propose(0, i % 2 == 0 ? "even" : "odd");
        world_pump();
        if (world.node[2].is_dead) {
            world_pass(8 * WORLD_SLOW_NS);
        }
    }
}

// ---- rules: true if kept

// A change was executed that ends the epoch at 4: no vote of any kind for a slot from there on,
// whatever the leader, here a faulty one, proposes.
static bool rule_cut(void)
{
    world_open();
    world.node[0].is_dead = true;
    tacit_agree_limit(agree_of(1), HALF);
    tacit_agree_limit(agree_of(2), HALF);
    for (uint64_t slot = 0; slot < WORLD_WINDOW; slot++) {
        (void)say_prepare(0, 0, slot, "a");
    }
    world_pass(4 * WORLD_RETRY_NS);
    bool kept = true;
    for (tacit_node_t r = 1; r < WORLD_N; r++) {
        assert_int_equal(world.node[r].executed_count, HALF);
        for (uint64_t slot = 0; slot < WORLD_WINDOW; slot++) {
            bool voted = world.voted[TACIT_VOTE_CERTIFY][r][3 - r][slot] ||
                         world.voted[TACIT_VOTE_ACK][r][3 - r][slot] ||
                         world.node[r].vouched[0][prepare_id(0, slot)];
            assert_true(voted || slot >= HALF);
            kept = kept && (!voted || slot < HALF);
        }
    }
    return kept;
}

static bool rule_cut_of_the_leader(void)
{
    uint64_t slot;
    world_open();
    tacit_agree_limit(agree_of(0), HALF);
    for (unsigned i = 0; i < HALF; i++) {
        propose(0, "a");
    }
    return !tacit_agree_propose(agree_of(0), "a", 1, &slot);
}

// The states that were sealed and co-signed in an epoch have no claim of the next one: a NEW_VIEW
// of them would hide what was decided there.
static bool rule_states_of_this_epoch(void)
{
    catch_newview(); // of epoch 1, with its first slot as base
    world.node[1].is_dead = false;
    next_epoch(2, WORLD_WINDOW, false);
    const uint64_t base = WORLD_WINDOW;
    const uint64_t root_at = 8;
    const struct tacit_digest root = world_root(base);
    world.swallowed.payload.slot = base; // as the first of epoch 2, which it has to be
    memcpy(world.swallowed.body, &base, sizeof base);
    memcpy(world.swallowed.body + root_at, root.bytes, sizeof root.bytes);
    block(world.no_vote, false);
    propose(0, "b");
    world_pump(); // "b" is decided in epoch 2
    assert_int_equal(report_of(0).decided, base + 1);
    world.node[1].is_dead = true;
    suspect_all();
    world_pump();
    say_seal(1, 0, agree_of(0)->entries, 0);
    return is_newview_refused();
}

static bool is_shown_the_end(bool asks)
{
    if (asks) {
        tacit_agree_send_status(agree_of(2), TACIT_SLOT_NONE);
    }
    for (unsigned i = 0; i < 4; i++) {
        (void)world_turn(0);
        (void)world_turn(1);
        (void)world_inbox_turn(2);
        (void)world_signer_turn(2);
        (void)tacit_agree_poll(agree_of(2), world.now_ns);
    }
    return world.node[2].told_behind == 2 * WORLD_WINDOW;
}

// Who missed the end of an epoch says something of the old one, and is shown the certificate.
static bool rule_hand_out(void)
{
    world_open();
    world.node[2].is_dead = true;
    decide_many(WORLD_WINDOW);
    assert_int_equal(report_of(0).base, WORLD_WINDOW);
    next_epoch(2, WORLD_WINDOW, true);
    decide_many(WORLD_WINDOW); // and certified in epoch 2
    assert_int_equal(report_of(0).base, 2 * WORLD_WINDOW);
    world.node[2].is_dead = false;                                   // in epoch 1 still
    memset(world.node[2].locked, 0xff, sizeof world.node[2].locked); // hears no stream of epoch 2
    world.node[2].inbox_count = 0;
    return is_shown_the_end(true);
}

// Who asks and is answered, forgets (it was no member, and is one now) and asks again at once, and
// then no more: it is shown the certificate all the same, though not in the same moment.
static bool rule_hand_out_again(void)
{
    assert_true(rule_hand_out());
    world.node[2].told_behind = 0;
    agree_of(2)->newest = (struct tacit_base_offer){0};
    agree_of(2)->newest_told = 0;
    bool at_once = is_shown_the_end(true);
    assert_false(at_once);
    world.now_ns += WORLD_RETRY_NS;
    for (tacit_node_t r = 0; r < 2; r++) {
        assert_true(tacit_agree_deadline(agree_of(r)) <= world.now_ns ||
                    TACIT_BUG(EPOCH_HAND_OUT_FORGOTTEN));
    }
    bool later = is_shown_the_end(false);
    for (tacit_node_t r = 0; r < 2; r++) {
        assert_int_equal(agree_of(r)->owed, 0); // once: else it is sent for ever, to all who asked
    }
    return later;
}

// A spare sits in seat 2, and signs with its own key; that of the founder, whose seat it was,
// counts for nothing any more.
static bool rule_author_of_the_seat(void)
{
    world_open();
    world.authors[2] = TACIT_SIGNER_SPARE + 1;
    world.node[1].is_dead = true;
    world.keys[2] = 2;
    propose(0, "a");
    world_pass(4 * WORLD_RETRY_NS);
    bool kept = world.node[0].executed_count == 0;
    world_open();
    world.authors[2] = world.keys[2] = TACIT_SIGNER_SPARE + 1;
    world.node[1].is_dead = true;
    propose(0, "a");
    world_pass(4 * WORLD_RETRY_NS);
    return kept && world.node[0].executed_count == 1 && world.node[2].executed_count == 1;
}

static const struct rule rules[] = {
    {"cut", rule_cut, TACIT_BUG_EPOCH_NOT_CUT},
    {"cut, for the leader", rule_cut_of_the_leader, TACIT_BUG_EPOCH_NOT_CUT},
    {"NEW_VIEW: of this epoch", rule_states_of_this_epoch, TACIT_BUG_STATEMENT_WITHOUT_EPOCH},
    {"who sits in a seat signs for it", rule_author_of_the_seat, TACIT_BUG_AUTHOR_IS_SEAT},
    {"who is behind is shown the certificate", rule_hand_out, TACIT_BUG_EPOCH_NO_HAND_OUT},
    {"and who asks twice in a row, again", rule_hand_out_again, TACIT_BUG_EPOCH_HAND_OUT_FORGOTTEN},
};

// ---- certificates of checkpoints

// The shares that a certificate of a checkpoint has name authors, in their order, whatever the
// seats: so that who knows no members can check it.
static void certificate__names_authors(void **state)
{
    (void)state;
    world_open();
    world.authors[0] = world.keys[0] = TACIT_SIGNER_SPARE + 1;
    decide_many(WORLD_WINDOW);
    for (tacit_node_t r = 0; r < WORLD_N; r++) {
        assert_int_equal(report_of(r).base, WORLD_WINDOW);
        const struct tacit_certificate *certificate = &agree_of(r)->base_certificate;
        assert_int_equal(certificate->count, 2);
        assert_true(certificate->shares[0].signer < certificate->shares[1].signer);
        for (uint8_t i = 0; i < 2; i++) {
            uint8_t author = certificate->shares[i].signer;
            assert_true(author == 1 || author == 2 || author == TACIT_SIGNER_SPARE + 1);
        }
    }
}

// Shows an observer, who knows no members, a certificate of these two signers. True: believed.
static bool is_believed(const uint16_t *named, const uint16_t *signed_by)
{
    world_open();
    struct tacit_agree *observer = agree_of(2);
    world.authors[0] = world.authors[1] = world.authors[2] = 0; // it knows none
    struct tacit_agree_calls calls = observer->calls;
    tacit_agree_observe(observer, observer->links, observer->signer, &calls, world.now_ns);
    const uint64_t base = 4 * WORLD_WINDOW;
    struct tacit_digest root = world_root(base);
    struct tacit_certificate certificate = {.count = 2};
    uint8_t payload[TACIT_SIGN_PAYLOAD_MAX];
    uint32_t bytes = tacit_statement_checkpoint(payload, 7, base, &root);
    for (uint8_t i = 0; i < 2; i++) {
        certificate.shares[i].signer = (uint8_t)named[i];
        certificate.shares[i].signature =
            world_sign(signed_by[i], TACIT_DOMAIN_CHECKPOINT, payload, bytes);
    }
    uint8_t message[16 + TACIT_BASE_BYTES_MAX] = {TACIT_MESSAGE_CHECKPOINT_CERTIFICATE};
    tacit_message_of_epoch(message, 7);
    tacit_put64(message + 8, base);
    size_t used = tacit_base_encode(&root, &certificate, message + 16);
    tacit_agree_message(observer, 0, message, (uint32_t)(16 + used));
    (void)world_signer_turn(2);
    (void)tacit_agree_poll(observer, world.now_ns);
    return observer->newest.base == base;
}

static void newcomer__believes_f_plus_one_authors(void **state)
{
    (void)state;
    const uint16_t spare = TACIT_SIGNER_SPARE + 1;
    const uint16_t good[] = {1, spare};
    assert_true(is_believed(good, good));
    const uint16_t founders[] = {0, 2};
    assert_true(is_believed(founders, founders));
    // One key is one author, whatever seats it may have had.
    const uint16_t twice[] = {spare, spare};
    assert_false(is_believed(twice, twice));
    const uint16_t seats[] = {0, 1};
    assert_false(is_believed(seats, twice));
    const uint16_t turned[] = {spare, 1};
    assert_false(is_believed(turned, turned)); // out of order: could repeat
    const uint16_t nobody[] = {1, TACIT_SIGNER_SPARE + 9};
    assert_false(is_believed(nobody, nobody)); // has no key here
}

// ---- across two epochs

// With all that is on its way from the old one: late messages, completions, and votes in the cells.
static void epochs__go_on_from_the_checkpoint(void **state)
{
    (void)state;
    world_open();
    uint64_t base = 0;
    for (uint64_t epoch = 1; epoch < 5; epoch++) {
        decide_many(WORLD_WINDOW);
        memset(world.no_signer, true, sizeof world.no_signer); // they come in the next epoch
        suspect_all(); // a view change begins, and is not ended
        world_pump();
        assert_true(world.node[epoch % WORLD_N].job_count > 0);
        base += WORLD_WINDOW;
        for (tacit_node_t r = 0; r < WORLD_N; r++) {
            assert_int_equal(world.node[r].executed_count, base);
        }
        memset(world.no_signer, false, sizeof world.no_signer);
        next_epoch(epoch + 1, base, false);
        world_pump();
        for (tacit_node_t r = 0; r < WORLD_N; r++) {
            assert_int_equal(report_of(r).epoch, epoch + 1);
            assert_int_equal(report_of(r).view, 0);
            assert_int_equal(report_of(r).decided, base);
        }
    }
    assert_true(world_agrees());
}

// An epoch that ended anywhere: the next one's checkpoints are half windows apart from there on, so
// that at most two await their certificates, and it ends with one of its own.
static void epochs__end_anywhere(void **state)
{
    (void)state;
    world_open();
    uint64_t base = 0;
    for (uint64_t epoch = 1; epoch < 2 * HALF; epoch++) {
        const uint64_t end = base + HALF + epoch;
        for (tacit_node_t r = 0; r < WORLD_N; r++) {
            tacit_agree_limit(agree_of(r), end);
        }
        uint64_t newest = base;
        while (newest < end) {
            decide_many(1);
            uint64_t executed = world.node[1].executed_count;
            newest = executed == end || (executed - base) % HALF == 0 ? executed : newest;
            for (tacit_node_t r = 0; r < WORLD_N; r++) {
                assert_int_equal(report_of(r).base, newest);
                assert_int_equal(world.node[r].stable, newest);
            }
        }
        next_epoch(epoch + 1, end, false);
        world_pump();
        base = end;
    }
    assert_true(world_agrees());
}

// Whoever does not know of the change takes the certificate of where the epoch ends like any other,
// and condemns nobody for it.
static void checkpoint__at_an_end_that_is_not_known_here(void **state)
{
    (void)state;
    world_open();
    tacit_agree_limit(agree_of(0), HALF - 1);
    tacit_agree_limit(agree_of(1), HALF - 1);
    decide_many(HALF - 1);
    for (tacit_node_t r = 0; r < WORLD_N; r++) {
        assert_int_equal(report_of(r).base, HALF - 1);
        assert_false(world.node[2].condemned[r]);
    }
    assert_int_equal(agree_of(2)->counters.malformed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TESTS(rules),
        cmocka_unit_test(certificate__names_authors),
        cmocka_unit_test(newcomer__believes_f_plus_one_authors),
        cmocka_unit_test(epochs__go_on_from_the_checkpoint),
        cmocka_unit_test(epochs__end_anywhere),
        cmocka_unit_test(checkpoint__at_an_end_that_is_not_known_here),
    };
    return cmocka_run_group_tests_name("byz_agree_epochs", tests, NULL, close_world);
}
