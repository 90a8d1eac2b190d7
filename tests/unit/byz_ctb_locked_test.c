// SPDX-License-Identifier: Apache-2.0
//
// Consistent tail broadcast, LOCKED with a vouch and without: one replica of the small world
// (byz_ctb_world.h) is told by hand what the others say, and what it says itself is read. Stream 1
// broadcasts PREPAREs; replica 2 is the other receiver.
// TACIT_SEEDED: yes
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rules.h"
#include "unit/byz_ctb_steps.h"

// How often replica 0 has said LOCKED of id k to `to`, with this flag.
static unsigned said(tacit_node_t to, uint64_t k, bool unvouched)
{
    const struct world_link *link = &world.links[0][to];
    unsigned count = 0;
    for (uint64_t i = link->sent > WORLD_RING ? link->sent - WORLD_RING : 0; i < link->sent; i++) {
        struct tacit_ctb_message message = {0};
        const struct world_message *sent = &link->ring[i % WORLD_RING];
        count += tacit_ctb_decode(&message, sent->data, sent->bytes, 2, 3) == TACIT_VERDICT_OK &&
                 message.kind == TACIT_MESSAGE_LOCKED && message.stream == 1 && message.k == k &&
                 message.unvouched == unvouched;
    }
    return count;
}

// ---- what is heard -----------------------------------------------------------------------------

static bool unvouched_delivers_and_no_more(void)
{
    struct tacit_ctb *ctb = open_world(true);
    say_lock(0, TACIT_PAYLOAD_PREPARE, 0);
    assert_int_equal(delivered(), 0);
    say_locked(0, 0, true);
    assert_int_equal(delivered(), 1);
    return !tacit_ctb_is_unanimous(ctb, 1, 0);
}

static void unvouched__counts_for_delivery_only(void **state)
{
    (void)state;
    assert_true(unvouched_delivers_and_no_more());
    // Vouched: both.
    struct tacit_ctb *ctb = open_world(true);
    say_lock(0, TACIT_PAYLOAD_PREPARE, 0);
    say_locked(0, 0, false);
    assert_int_equal(delivered(), 1);
    assert_true(tacit_ctb_is_unanimous(ctb, 1, 0));
    // It may come before the LOCK.
    ctb = open_world(true);
    say_locked(0, 0, true);
    say_lock(0, TACIT_PAYLOAD_PREPARE, 0);
    assert_int_equal(delivered(), 1);
    assert_false(tacit_ctb_is_unanimous(ctb, 1, 0));
}

static void unvouched__seeded_bug_is_noticed(void **state)
{
    (void)state;
#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
    tacit_seeded_bug = TACIT_BUG_UNVOUCHED_LOCK_COUNTS;
    bool kept = unvouched_delivers_and_no_more();
    tacit_seeded_bug = TACIT_BUG_NONE;
    assert_false(kept);
#else
    skip();
#endif
}

// A liar that says both is taken at its first word.
static void both__the_first_counts(void **state)
{
    (void)state;
    struct tacit_ctb *ctb = open_world(true);
    say_lock(0, TACIT_PAYLOAD_PREPARE, 0);
    say_locked(0, 0, true);
    say_locked(0, 0, false);
    assert_false(tacit_ctb_is_unanimous(ctb, 1, 0));
    say_lock(1, TACIT_PAYLOAD_PREPARE, 0);
    say_locked(1, 0, false);
    say_locked(1, 0, true);
    assert_true(tacit_ctb_is_unanimous(ctb, 1, 1));
}

static void flag__belongs_to_locked_of_a_prepare(void **state)
{
    uint8_t bytes[TACIT_CTB_MESSAGE_BYTES];
    struct tacit_ctb_message out = {0};
    (void)state;
    struct tacit_ctb_message message = lock_of(0, TACIT_PAYLOAD_PREPARE, 0);
    message.unvouched = true;
    uint32_t size = tacit_ctb_encode(bytes, &message);
    assert_int_equal(tacit_ctb_decode(&out, bytes, size, 2, 3), TACIT_VERDICT_MALFORMED);
    message.kind = TACIT_MESSAGE_LOCKED;
    message.carries = TACIT_CTB_NOTHING;
    size = tacit_ctb_encode(bytes, &message);
    assert_int_equal(tacit_ctb_decode(&out, bytes, size, 2, 3), TACIT_VERDICT_OK);
    assert_true(out.unvouched);
    bytes[3] = 2;
    assert_int_equal(tacit_ctb_decode(&out, bytes, size, 2, 3), TACIT_VERDICT_MALFORMED);
    message.payload.kind = TACIT_PAYLOAD_COMMIT;
    size = tacit_ctb_encode(bytes, &message);
    assert_int_equal(tacit_ctb_decode(&out, bytes, size, 2, 3), TACIT_VERDICT_MALFORMED);
}

// ---- what is said ------------------------------------------------------------------------------

static void leave__abstains_from_what_was_not_vouched(void **state)
{
    (void)state;
    struct tacit_ctb *ctb = open_world(false);
    for (uint64_t k = 0; k < 4; k++) {
        say_lock(k, k == 3 ? TACIT_PAYLOAD_COMMIT : TACIT_PAYLOAD_PREPARE, k == 2 ? 1 : 0);
    }
    tacit_ctb_vouch(ctb, 1, 1);
    assert_int_equal(said(2, 0, true) + said(2, 0, false) + said(2, 2, false), 0);
    tacit_ctb_leave(ctb, 1);
    for (tacit_node_t to = 1; to < 3; to++) {
        assert_int_equal(said(to, 0, true), 1); // of a view that was left
        assert_int_equal(said(to, 1, false), 1);
        assert_int_equal(said(to, 1, true), 0);                      // it was vouched
        assert_int_equal(said(to, 2, true) + said(to, 2, false), 0); // its view is to come
        assert_int_equal(said(to, 3, false), 1);                     // no PREPARE
    }
    // Never both.
    tacit_ctb_vouch(ctb, 1, 0);
    tacit_ctb_abstain(ctb, 1, 1);
    assert_int_equal(said(2, 0, false) + said(2, 1, true), 0);
    // What comes of that view later, and of the next.
    say_lock(4, TACIT_PAYLOAD_PREPARE, 0);
    say_lock(5, TACIT_PAYLOAD_PREPARE, 1);
    assert_int_equal(said(2, 4, true), 1);
    assert_int_equal(said(2, 5, true), 0);
    tacit_ctb_leave(ctb, 2);
    assert_int_equal(said(2, 0, true), 1); // not again
    assert_int_equal(said(2, 5, true), 1);
    // An epoch begins with view 0.
    tacit_ctb_reset(ctb, 2, world.now_ns);
    struct tacit_ctb_message message = lock_of(0, TACIT_PAYLOAD_PREPARE, 0);
    message.epoch = 2;
    tell(1, &message);
    assert_int_equal(said(2, 0, true), 1);
}

// What was delivered here, by registers for instance, may still be waited for elsewhere.
static void leave__speaks_of_what_was_delivered(void **state)
{
    (void)state;
    struct tacit_ctb *ctb = open_world(false);
    say_lock(0, TACIT_PAYLOAD_PREPARE, 0);
    say_locked(0, 0, false);
    assert_int_equal(delivered(), 1);
    tacit_ctb_leave(ctb, 1);
    assert_int_equal(said(2, 0, true), 1);
}

static void nudge__has_locked_said_again(void **state)
{
    (void)state;
    struct tacit_ctb *ctb = open_world(false);
    struct tacit_ctb_message nudge = {
        .kind = TACIT_MESSAGE_NUDGE, .stream = 1, .epoch = 1, .k = 0, .word = 0};
    for (uint64_t k = 0; k < 3; k++) {
        say_lock(k, TACIT_PAYLOAD_PREPARE, 0);
    }
    tacit_ctb_vouch(ctb, 1, 0);
    tacit_ctb_abstain(ctb, 1, 1);
    tell(2, &nudge);
    tell(2, &nudge); // too soon
    assert_int_equal(said(2, 0, false), 2);
    assert_int_equal(said(2, 1, true), 2);
    assert_int_equal(said(2, 0, true) + said(2, 1, false), 0); // as it was said before
    assert_int_equal(said(2, 2, true) + said(2, 2, false), 0); // nothing was
    assert_int_equal(said(1, 0, false), 1);
    world.now_ns += WORLD_RETRY_NS;
    tell(1, &nudge); // to the broadcaster it says nothing
    assert_int_equal(said(1, 0, false), 1);
    nudge.k = TACIT_CTB_ID_MAX - 1;
    tell(2, &nudge);
    assert_int_equal(said(2, 0, false), 2);
}

// All replicas are there, no register ever answers: what somebody never vouched is delivered when
// he has left the view, also when LOCKED was lapped on its way.
static void runs__need_no_registers_when_all_are_there(void **state)
{
    const struct world_options three = {.replicas = 3, .no_memory = true, .ids = 60};
    const struct world_options five = {.replicas = 5, .no_memory = true, .ids = 40};
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        static struct choice choice;
        choice_init_seed(&choice, seed);
        const char *violation = world_run(seed % 4 == 0 ? &five : &three, &choice);
        if (violation != NULL) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, violation);
        }
    }
    assert_true(world_marks[TACIT_MARK_CTB_ABSTAINED] > 0);
    assert_true(world_marks[TACIT_MARK_CTB_LOCKED_AGAIN] > 0);
}

// ---- what is late ------------------------------------------------------------------------------

static void say_signed(uint64_t k)
{
    uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
    struct tacit_ctb_message message = lock_of(k, TACIT_PAYLOAD_PREPARE, 0);
    message.kind = TACIT_MESSAGE_SIGNED;
    message.carries = TACIT_CTB_NOTHING;
    uint32_t bytes = tacit_statement_stream_id(statement, 1, 1, k, &message.payload);
    world_sign(1, TACIT_DOMAIN_STREAM_ID, statement, bytes, &message.signature);
    tell(1, &message);
}

static uint32_t checks_begun(struct tacit_ctb *ctb)
{
    uint32_t before = world.replica[0].signer.count;
    (void)tacit_ctb_poll(ctb, world.now_ns);
    return world.replica[0].signer.count - before;
}

// ... when SIGNED comes, or in the next turn.
static uint32_t checks_begun_by_signed(struct tacit_ctb *ctb, uint64_t k)
{
    uint32_t before = world.replica[0].signer.count;
    say_signed(k);
    uint32_t at_once = world.replica[0].signer.count - before;
    return at_once + checks_begun(ctb);
}

// A signature is checked when its id is late, or when the id before it was.
static bool rule_signed_is_checked_when_late(void)
{
    struct tacit_ctb *ctb = open_world(true);
    say_lock(0, TACIT_PAYLOAD_PREPARE, 0);
    if (checks_begun_by_signed(ctb, 0) != 0) {
        return false;
    }
    assert_true(tacit_ctb_deadline(ctb) <= world.now_ns + WORLD_SLOW_NS);
    world.now_ns += WORLD_SLOW_NS;
    assert_int_equal(checks_begun(ctb), 1);
    tacit_ctb_agreed(ctb, 1, tacit_ctb_locked_slot(ctb, 1, 0), false); // so said the registers
    assert_int_equal(delivered(), 1);
    say_lock(1, TACIT_PAYLOAD_PREPARE, 0);
    assert_int_equal(checks_begun_by_signed(ctb, 1), 1);
    say_locked(1, 0, false); // the fast path was faster
    say_lock(2, TACIT_PAYLOAD_PREPARE, 0);
    return checks_begun_by_signed(ctb, 2) == 0;
}

// Where somebody is overdue a signature is made or checked at once: not in the next turn that looks
// after everything, behind what the same id leads to meanwhile.
static bool rule_signatures_are_begun_at_once(void)
{
    struct tacit_ctb *ctb = open_world(true);
    struct tacit_payload payload = {.kind = TACIT_PAYLOAD_COMMIT};
    tacit_ctb_gone(ctb, 1u << 2);
    say_lock(0, TACIT_PAYLOAD_PREPARE, 0);
    say_signed(0);
    bool checked = tacit_ctb_locked_slot(ctb, 1, 0)->sign == TACIT_CTB_PENDING;
    assert_true(tacit_ctb_broadcast(ctb, &payload, "x", 1, world.now_ns));
    bool made = tacit_ctb_locked_slot(ctb, 0, 0)->sign == TACIT_CTB_PENDING;
    assert_int_equal(checked, made);
    (void)tacit_ctb_poll(ctb, world.now_ns);
    assert_int_equal(tacit_ctb_locked_slot(ctb, 1, 0)->sign, TACIT_CTB_PENDING);
    assert_int_equal(tacit_ctb_locked_slot(ctb, 0, 0)->sign, TACIT_CTB_PENDING);
    return made;
}

// Of the shares of the own summary one is checked beside the own one; the other, too, if it is
// none.
static bool rule_shares_are_spared(void)
{
    struct tacit_ctb *ctb = open_world(true);
    const struct tacit_digest digest = {{7}};
    struct tacit_ctb_stream *own = &ctb->streams[0];
    own->made.is = true;
    own->made.digest = digest;
    own->share_sign = TACIT_CTB_VALID;
    for (tacit_node_t w = 1; w < 3; w++) {
        ctb->shares[w] = (struct tacit_ctb_share){.sign = TACIT_CTB_WAIT, .digest = digest};
    }
    uint32_t begun = checks_begun(ctb);
    assert_int_equal(ctb->shares[1].sign, TACIT_CTB_PENDING);
    const struct tacit_signer_done bad = {.valid = false};
    tacit_ctb_share_checked(ctb, 1, &bad);
    (void)tacit_ctb_poll(ctb, world.now_ns);
    assert_int_equal(ctb->shares[2].sign, TACIT_CTB_PENDING);
    return begun == 1;
}

// LOCKED that come after the delivery tell that all of them do come, and how long they take.
static bool rule_late_locked_is_seen(void)
{
    struct tacit_ctb *ctb = open_world(true);
    for (uint64_t k = 0; k < 30; k++) {
        say_lock(k, TACIT_PAYLOAD_PREPARE, 0);
        world.now_ns += 2 * WORLD_SLOW_NS;
        if (delivered() == k) {
            struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, 1, k);
            slot->signed_ns = slot->locked_ns;
            tacit_ctb_agreed(ctb, 1, slot, false);
        }
        say_locked(k, 0, false);
        assert_int_equal(delivered(), k + 1);
    }
    say_lock(30, TACIT_PAYLOAD_PREPARE, 0);
    return tacit_ctb_nudge_due(ctb, 1) > world.now_ns + 2 * WORLD_SLOW_NS;
}

// Replica 2 lets one wait pass without a word: it is not waited for in the next, and what is
// broadcast is signed at once, until it speaks again.
static bool rule_overdue_is_not_waited_for(void)
{
    struct tacit_ctb *ctb = open_world(true);
    say_lock(0, TACIT_PAYLOAD_PREPARE, 0);
    world.now_ns += WORLD_SLOW_NS - 1;
    (void)tacit_ctb_poll(ctb, world.now_ns);
    assert_int_equal(tacit_ctb_overdue(ctb), 0);
    world.now_ns += 1;
    (void)tacit_ctb_poll(ctb, world.now_ns);
    deliver_slow(ctb, 0);
    say_lock(1, TACIT_PAYLOAD_PREPARE, 0);
    bool kept = tacit_ctb_nudge_due(ctb, 1) < world.now_ns + WORLD_SLOW_NS / 4;
    struct tacit_payload payload = {.kind = TACIT_PAYLOAD_PREPARE};
    assert_true(tacit_ctb_broadcast(ctb, &payload, "a", 1, world.now_ns));
    kept = kept && tacit_ctb_locked_slot(ctb, 0, 0)->sign != TACIT_CTB_NONE;
    say_locked(1, 0, false);
    assert_int_equal(tacit_ctb_overdue(ctb), 0);
    say_lock(2, TACIT_PAYLOAD_PREPARE, 0);
    assert_true(tacit_ctb_nudge_due(ctb, 1) >= world.now_ns + WORLD_SLOW_NS);
    return kept;
}

// Replica 2 passes over an id again and again, and answers the next ones in time: it has to say
// more each time until it is waited for again. A long time without a lapse makes up for that.
static bool rule_lapses_add_up(void)
{
    struct tacit_ctb *ctb = open_world(true);
    uint64_t k = 0;
    uint32_t most = 0;
    for (unsigned lapse = 0; lapse < 10; lapse++) {
        say_lock(k, TACIT_PAYLOAD_PREPARE, 0);
        world.now_ns += WORLD_SLOW_NS;
        (void)tacit_ctb_poll(ctb, world.now_ns);
        deliver_slow(ctb, k++);
        uint32_t words = 0; // beside the first
        do {
            say_lock(k, TACIT_PAYLOAD_PREPARE, 0);
            assert_true(tacit_ctb_overdue(ctb) == 1u << 2);
            assert_true(tacit_ctb_nudge_due(ctb, 1) < world.now_ns + WORLD_SLOW_NS / 4);
            say_locked(k++, 0, false); // it still counts
            assert_int_equal(delivered(), k);
            words++;
        } while (tacit_ctb_overdue(ctb) != 0);
        assert_in_range(words, lapse == 0 ? 1 : most, 256);
        most = words;
    }
    for (uint64_t end = k + 9ull * 128; k < end;) {
        say_lock(k, TACIT_PAYLOAD_PREPARE, 0);
        say_locked(k++, 0, false);
    }
    assert_int_equal(ctb->lapses[2].count, 0);
    return most == 256;
}

// Replica 2 is stopped, and goes on: it passes over many of the ids that it missed. That is one
// lapse, since it was waited for once; the next wait that it lets pass is another.
static bool rule_one_wait_is_one_lapse(void)
{
    struct tacit_ctb *ctb = open_world(true);
    for (uint64_t k = 0; k < 12; k++) {
        say_lock(k, TACIT_PAYLOAD_PREPARE, 0);
        world.now_ns += WORLD_SLOW_NS;
        (void)tacit_ctb_poll(ctb, world.now_ns);
        deliver_slow(ctb, k);
    }
    for (uint64_t k = 1; k < 12; k += 2) {
        say_locked(k, 0, false);
    }
    bool kept = ctb->lapses[2].count == 1;
    world.now_ns += 2 * WORLD_SLOW_NS;
    say_lock(12, TACIT_PAYLOAD_PREPARE, 0);
    world.now_ns += tacit_ctb_slow_after_ns(ctb);
    (void)tacit_ctb_poll(ctb, world.now_ns);
    deliver_slow(ctb, 12);
    say_lock(13, TACIT_PAYLOAD_PREPARE, 0);
    say_locked(13, 0, false);
    assert_true(!kept || ctb->lapses[2].count == 2);
    return kept;
}

// So it is for PREPAREs that it passes over one by one, while it says LOCKED of all else.
static void lapses__are_counted_for_prepares(void **state)
{
    (void)state;
    struct tacit_ctb *ctb = open_world(true);
    for (uint64_t k = 0; k < 18; k += 6) { // PREPAREs 0, 2 of six ids are passed over, 4 is not
        for (uint64_t i = k; i < k + 6; i++) {
            bool is_prepare = i % 2 == 0;
            say_lock(i, is_prepare ? TACIT_PAYLOAD_PREPARE : TACIT_PAYLOAD_CHECKPOINT, 0);
            world.now_ns += 2 * tacit_ctb_slow_after_ns(ctb);
            (void)tacit_ctb_poll(ctb, world.now_ns);
            if (!is_prepare) {
                say_locked_kind(i, TACIT_PAYLOAD_CHECKPOINT);
            } else if (i % 6 == 4) {
                say_locked(i, 0, false);
            }
            if (delivered() == i) {
                deliver_slow(ctb, i);
            }
        }
    }
    assert_in_range(ctb->lapses[2].count, 3, 6);
}

// An id that is broadcast when replica 2 has owed another one for a while waits only for the rest.
static bool rule_overdue_is_seen_in_time(void)
{
    struct tacit_ctb *ctb = open_world(true);
    tacit_time_ns_t due_ns = world.now_ns + WORLD_SLOW_NS;
    say_lock(0, TACIT_PAYLOAD_PREPARE, 0);
    world.now_ns += WORLD_SLOW_NS / 2;
    (void)tacit_ctb_poll(ctb, world.now_ns);
    deliver_slow(ctb, 0);
    say_lock(1, TACIT_PAYLOAD_CHECKPOINT, 0);
    bool kept = tacit_ctb_nudge_due(ctb, 1) == due_ns;
    ctb->streams[1].late = false;
    assert_int_equal(tacit_ctb_sign_due(ctb, 1), tacit_ctb_nudge_due(ctb, 1));
    assert_true(!kept || tacit_ctb_overdue_due(ctb) == due_ns);
    world.now_ns = due_ns;
    (void)tacit_ctb_poll(ctb, world.now_ns);
    assert_int_equal(tacit_ctb_overdue(ctb), 1u << 2);
    assert_true(tacit_ctb_nudge_due(ctb, 1) > due_ns); // was sent
    return kept;
}

// Others have signed for what an id leads to: its LOCKED is not waited for here either.
static bool rule_signed_for_is_not_waited_for(void)
{
    struct tacit_ctb *ctb = open_world(true);
    say_lock(0, TACIT_PAYLOAD_PREPARE, 0);
    tacit_ctb_signed_for(ctb, 1, 1); // not locked: nothing
    assert_true(tacit_ctb_nudge_due(ctb, 1) == world.now_ns + WORLD_SLOW_NS);
    tacit_ctb_signed_for(ctb, 1, 0);
    bool kept = tacit_ctb_nudge_due(ctb, 1) < world.now_ns + WORLD_SLOW_NS / 4;
    say_locked(0, 0, false); // it still counts
    assert_int_equal(delivered(), 1);
    return kept;
}

// Replica 2 says LOCKED of everything but PREPAREs: these are not waited for, what else is
// broadcast is, until it says LOCKED of one.
static bool rule_unvouching_is_not_waited_for(void)
{
    struct tacit_ctb *ctb = open_world(true);
    say_lock(0, TACIT_PAYLOAD_PREPARE, 0);
    world.now_ns += WORLD_SLOW_NS;
    (void)tacit_ctb_poll(ctb, world.now_ns);
    deliver_slow(ctb, 0);
    say_lock(1, TACIT_PAYLOAD_CHECKPOINT, 0);
    say_locked_kind(1, TACIT_PAYLOAD_CHECKPOINT);
    assert_int_equal(delivered(), 2);
    say_lock(2, TACIT_PAYLOAD_PREPARE, 0);
    bool kept = tacit_ctb_nudge_due(ctb, 1) < world.now_ns + WORLD_SLOW_NS / 4;
    deliver_slow(ctb, 2);
    say_lock(3, TACIT_PAYLOAD_CHECKPOINT, 0);
    assert_true(tacit_ctb_nudge_due(ctb, 1) >= world.now_ns + WORLD_SLOW_NS);
    say_locked_kind(3, TACIT_PAYLOAD_CHECKPOINT);
    say_lock(4, TACIT_PAYLOAD_PREPARE, 0);
    say_lock(5, TACIT_PAYLOAD_CHECKPOINT, 0); // not answered yet, but no PREPARE
    say_locked(4, 0, true);
    say_locked_kind(5, TACIT_PAYLOAD_CHECKPOINT);
    world.now_ns += 2 * WORLD_SLOW_NS;
    (void)tacit_ctb_poll(ctb, world.now_ns);
    assert_int_equal(tacit_ctb_overdue(ctb), 0);
    return kept;
}

// This replica led and its PREPARE was not answered by replica 1, which leads now: it will not
// answer any, and is not overdue for that.
static bool rule_leader_owes_no_prepare(void)
{
    struct tacit_ctb *ctb = open_world(true);
    struct tacit_payload payload = {.kind = TACIT_PAYLOAD_PREPARE};
    assert_true(tacit_ctb_broadcast(ctb, &payload, "a", 1, world.now_ns));
    say_lock(0, TACIT_PAYLOAD_PREPARE, 0);
    say_locked(0, 0, false);
    assert_int_equal(delivered(), 1);
    ctb->owed_ns[1] = ctb->owed_ns[2] = 0; // both have said something else meanwhile
    world.now_ns += 2 * WORLD_SLOW_NS;
    (void)tacit_ctb_poll(ctb, world.now_ns);
    return (tacit_ctb_overdue(ctb) & 1u << 1) == 0;
}

// LOCKED of something else was said: nobody waits for what cannot come any more.
static bool rule_other_locked_is_not_waited_for(void)
{
    struct tacit_ctb *ctb = open_world(true);
    say_lock(0, TACIT_PAYLOAD_PREPARE, 0);
    say_locked_kind(0, TACIT_PAYLOAD_CHECKPOINT);
    bool kept = tacit_ctb_nudge_due(ctb, 1) < world.now_ns + WORLD_SLOW_NS / 4;
    assert_int_equal(delivered(), 0);
    return kept;
}

// It goes on after a long time, and answers all that it missed. The next one that stops is waited
// for no longer than before.
static bool rule_stopped_teaches_no_patience(void)
{
    struct tacit_ctb *ctb = open_world(true);
    for (uint64_t k = 0; k < 16; k++) {
        say_lock(k, TACIT_PAYLOAD_PREPARE, 0);
        world.now_ns += WORLD_SLOW_NS;
        (void)tacit_ctb_poll(ctb, world.now_ns);
        deliver_slow(ctb, k);
    }
    world.now_ns += TACIT_PATIENCE_TIMES * WORLD_SLOW_NS;
    for (uint64_t k = 0; k < 16; k++) {
        say_locked(k, 0, false);
    }
    say_lock(16, TACIT_PAYLOAD_PREPARE, 0);
    return tacit_ctb_nudge_due(ctb, 1) == world.now_ns + WORLD_SLOW_NS;
}

// Who was asked for something else and has been silent since is overdue; who has spoken is not.
static void missed__counts_if_nothing_was_heard_since(void **state)
{
    (void)state;
    struct tacit_ctb *ctb = open_world(true);
    world.now_ns += 10 * WORLD_SLOW_NS;
    say_lock(0, TACIT_PAYLOAD_PREPARE, 0);
    say_locked(0, 0, false);
    tacit_time_ns_t heard_ns = world.now_ns;
    world.now_ns += 2 * WORLD_SLOW_NS;
    (void)tacit_ctb_poll(ctb, world.now_ns);
    tacit_ctb_missed(ctb, 2, heard_ns - 1);
    assert_int_equal(tacit_ctb_overdue(ctb), 0);
    tacit_ctb_missed(ctb, 2, heard_ns + 1);
    assert_int_equal(tacit_ctb_overdue(ctb), 1u << 2);
    say_lock(1, TACIT_PAYLOAD_PREPARE, 0);
    say_locked(1, 0, false);
    assert_int_equal(tacit_ctb_overdue(ctb), 0);
    tacit_ctb_gone(ctb, 1u << 2); // certainly dead: nothing has to be asked
    say_lock(2, TACIT_PAYLOAD_PREPARE, 0);
    assert_int_equal(tacit_ctb_overdue(ctb), 1u << 2);
    assert_true(tacit_ctb_nudge_due(ctb, 1) < world.now_ns + WORLD_SLOW_NS / 4);
}

static uint32_t overdue_after(struct tacit_ctb *ctb, tacit_time_ns_t wait_ns)
{
    world.now_ns += wait_ns;
    (void)tacit_ctb_poll(ctb, world.now_ns);
    return tacit_ctb_overdue(ctb);
}

// Who says something owes the rest from then on, not from the start, and not no more. A later word
// of another kind settles no PREPARE.
static void owed__is_the_rest_from_the_last_word_on(void **state)
{
    (void)state;
    struct tacit_ctb *ctb = open_world(true);
    say_lock(0, TACIT_PAYLOAD_CHECKPOINT, 0);
    say_lock(1, TACIT_PAYLOAD_CHECKPOINT, 0);
    world.now_ns += WORLD_SLOW_NS / 2;
    say_locked_kind(0, TACIT_PAYLOAD_CHECKPOINT);
    assert_int_equal(overdue_after(ctb, WORLD_SLOW_NS / 2), 0);
    assert_int_equal(overdue_after(ctb, WORLD_SLOW_NS / 2), 1u << 2);
    say_locked_kind(1, TACIT_PAYLOAD_CHECKPOINT);
    assert_int_equal(tacit_ctb_overdue(ctb), 0);
    say_lock(2, TACIT_PAYLOAD_PREPARE, 0);
    say_lock(3, TACIT_PAYLOAD_PREPARE, 0);
    say_lock(4, TACIT_PAYLOAD_CHECKPOINT, 0);
    say_locked(2, 0, false);
    say_locked_kind(4, TACIT_PAYLOAD_CHECKPOINT);
    assert_int_equal(tacit_ctb_overdue(ctb), 0);
    assert_int_equal(overdue_after(ctb, tacit_ctb_slow_after_ns(ctb)), 1u << 2);
    say_locked(3, 0, false);
    assert_int_equal(tacit_ctb_overdue(ctb), 0);
}

static const struct rule rules[] = {
    {"who vouches nothing is not waited for", rule_unvouching_is_not_waited_for,
     TACIT_BUG_UNVOUCHING_WAITED_FOR},
    {"LOCKED of something else ends the wait", rule_other_locked_is_not_waited_for,
     TACIT_BUG_OTHER_LOCKED_WAITED_FOR},
    {"who leads owes no LOCKED of a PREPARE", rule_leader_owes_no_prepare,
     TACIT_BUG_LEADER_OWES_PREPARE},
    {"one wait is one lapse", rule_one_wait_is_one_lapse, TACIT_BUG_LAPSE_EACH_ID},
    {"the overdue are seen in time", rule_overdue_is_seen_in_time, TACIT_BUG_OVERDUE_SEEN_LATE},
    {"others' signatures end the wait", rule_signed_for_is_not_waited_for,
     TACIT_BUG_OTHERS_WAIT_IGNORED},
    {"lapses add up", rule_lapses_add_up, TACIT_BUG_LAPSES_FORGIVEN},
    {"the overdue are not waited for", rule_overdue_is_not_waited_for,
     TACIT_BUG_OVERDUE_WAITED_FOR},
    {"who was stopped teaches no patience", rule_stopped_teaches_no_patience,
     TACIT_BUG_STOPPED_TEACHES_PATIENCE},
    {"SIGNED is checked when it is late", rule_signed_is_checked_when_late,
     TACIT_BUG_SIGNED_CHECKED_AT_ONCE},
    {"signatures are begun at once", rule_signatures_are_begun_at_once,
     TACIT_BUG_SIGNATURE_AT_LEISURE},
    {"LOCKED that comes late is seen", rule_late_locked_is_seen, TACIT_BUG_LATE_UNSEEN},
    {"f+1 shares are checked", rule_shares_are_spared, TACIT_BUG_SHARES_ALL_CHECKED},
    {"how long LOCKED takes is learnt", rule_late_locked_is_seen, TACIT_BUG_PATIENCE_AS_CONFIGURED},
};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unvouched__counts_for_delivery_only),
        cmocka_unit_test(unvouched__seeded_bug_is_noticed),
        cmocka_unit_test(both__the_first_counts),
        cmocka_unit_test(flag__belongs_to_locked_of_a_prepare),
        cmocka_unit_test(leave__abstains_from_what_was_not_vouched),
        cmocka_unit_test(leave__speaks_of_what_was_delivered),
        cmocka_unit_test(nudge__has_locked_said_again),
        cmocka_unit_test(runs__need_no_registers_when_all_are_there),
        cmocka_unit_test(lapses__are_counted_for_prepares),
        cmocka_unit_test(missed__counts_if_nothing_was_heard_since),
        cmocka_unit_test(owed__is_the_rest_from_the_last_word_on),
        RULE_TESTS(rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
