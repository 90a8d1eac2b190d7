// SPDX-License-Identifier: Apache-2.0
//
// Whose messages are heard in Byzantine mode, and which part of a replica gets them
// (core/smr/hear.c): every kind of message, to a member, to who is not admitted yet, and from a
// later incarnation that is none. The links and the parts are replaced by what remembers how it
// was called (this file defines their functions).
// TACIT_SEEDED: yes
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/smr/internal.h"
#include "support/rules.h"

enum { REPLICAS = 3, SELF = 0, PEER = 1, KINDS = 256, EPOCH = 5, BYTES = 24 };

enum part { NOBODY = 0, CTB, AGREE, REQUESTS, EPOCHS, ORDERS, UNEXPECTED };

static struct {
    struct tacit_smr smr;
    uint8_t buffer[64];
    // What lies in the ring of PEER, as often as `left` says.
    uint8_t message[BYTES];
    uint32_t bytes, left, taken;
    enum tacit_verdict verdict;
    bool is_stranger;
    // Who got how much of it.
    uint32_t calls[UNEXPECTED + 1];
    uint32_t shown; // tacit_agree_other_epoch()
    uint64_t shown_epoch;
    uint32_t malformed; // tacit_ctb_malformed()
} world;

enum tacit_verdict tacit_links_receive(struct tacit_links *links, tacit_node_t from, uint8_t *out,
                                       uint32_t *bytes)
{
    (void)links;
    assert_int_not_equal(from, SELF);
    assert_ptr_equal(out, world.buffer);
    if (from != PEER || world.left == 0) {
        return TACIT_VERDICT_EMPTY;
    }
    world.left--;
    world.taken++;
    memset(out, 0xee, sizeof world.buffer); // nothing beyond the message may be looked at
    memcpy(out, world.message, world.bytes);
    *bytes = world.bytes;
    return world.verdict;
}

bool tacit_links_is_stranger(const struct tacit_links *links, tacit_node_t node)
{
    (void)links;
    return node == PEER && world.is_stranger;
}

static void heard(enum part part, tacit_node_t from, const uint8_t *message, uint32_t bytes)
{
    assert_int_equal(from, PEER);
    assert_int_equal(bytes, world.bytes);
    assert_memory_equal(message, world.message, bytes);
    world.calls[part]++;
}

void tacit_ctb_message(struct tacit_ctb *ctb, tacit_node_t from, const uint8_t *bytes,
                       uint32_t size, tacit_time_ns_t now_ns)
{
    (void)ctb;
    (void)now_ns;
    heard(CTB, from, bytes, size);
}

void tacit_ctb_malformed(struct tacit_ctb *ctb, tacit_node_t from, tacit_time_ns_t now_ns)
{
    (void)ctb;
    assert_int_equal(from, PEER);
    assert_int_equal(now_ns, world.smr.now_ns);
    world.malformed++;
}

void tacit_agree_message(struct tacit_agree *agree, tacit_node_t from, const uint8_t *message,
                         uint32_t bytes)
{
    (void)agree;
    heard(AGREE, from, message, bytes);
}

void tacit_agree_other_epoch(struct tacit_agree *agree, tacit_node_t from, uint64_t epoch)
{
    (void)agree;
    assert_int_equal(from, PEER);
    world.shown++;
    world.shown_epoch = epoch;
}

void tacit_requests_message(struct tacit_requests *requests, tacit_node_t from,
                            const uint8_t *message, uint32_t bytes, tacit_time_ns_t now_ns)
{
    (void)requests;
    (void)now_ns;
    heard(REQUESTS, from, message, bytes);
}

void tacit_epochs_message(struct tacit_epochs *epochs, tacit_node_t from, const uint8_t *message,
                          uint32_t bytes)
{
    (void)epochs;
    heard(EPOCHS, from, message, bytes);
}

void tacit_orders_message(struct tacit_orders *orders, tacit_node_t from, const uint8_t *message,
                          uint32_t bytes)
{
    (void)orders;
    heard(ORDERS, from, message, bytes);
}

// ---- steps

static void world_open(bool is_member, bool is_stranger)
{
    memset(&world, 0, sizeof world);
    world.smr.config.replicas = REPLICAS;
    world.smr.config.self = SELF;
    world.smr.active = is_member;
    world.smr.byzantine.epoch = EPOCH;
    world.smr.byzantine.message = world.buffer;
    world.is_stranger = is_stranger;
}

// One message of a kind, its epoch where its layout has it (core/byzantine/payload.h).
static void hear(unsigned kind, uint32_t epoch)
{
    memset(world.message, 0, sizeof world.message);
    world.message[0] = (uint8_t)kind;
    if (kind < TACIT_MESSAGE_CTB_END) {
        memcpy(world.message + 8, &epoch, sizeof epoch);
    } else {
        memcpy(world.message + 4, &epoch, sizeof epoch);
    }
    world.bytes = sizeof world.message;
    world.left = 1;
    memset(world.calls, 0, sizeof world.calls);
    world.shown = 0;
    world.smr.byzantine.unexpected = 0;
    assert_true(tacit_smr_hear_peers(&world.smr));
    world.calls[UNEXPECTED] = (uint32_t)world.smr.byzantine.unexpected;
}

static bool only(enum part part)
{
    bool is_so = true;
    for (unsigned i = CTB; i <= UNEXPECTED; i++) {
        is_so = is_so && world.calls[i] == (i == part ? 1u : 0u);
    }
    return is_so;
}

static enum part part_of(unsigned kind)
{
    switch (kind) {
    case TACIT_MESSAGE_LOCK:
    case TACIT_MESSAGE_LOCKED:
    case TACIT_MESSAGE_NUDGE:
    case TACIT_MESSAGE_SIGNED:
    case TACIT_MESSAGE_SUMMARY_SHARE:
    case TACIT_MESSAGE_SUMMARY:
    case TACIT_MESSAGE_FETCH_SUMMARY:
    case TACIT_MESSAGE_FETCH:
    case TACIT_MESSAGE_BODY:
        return CTB;
    case TACIT_MESSAGE_STATUS:
    case TACIT_MESSAGE_CHECKPOINT_SHARE:
    case TACIT_MESSAGE_STATE_SHARE:
    case TACIT_MESSAGE_CHECKPOINT_CERTIFICATE:
        return AGREE;
    case TACIT_MESSAGE_LACK:
    case TACIT_MESSAGE_REQUEST:
    case TACIT_MESSAGE_ECHO:
        return REQUESTS;
    case TACIT_MESSAGE_SUSPECT:
        return EPOCHS;
    case TACIT_MESSAGE_ORDER:
        return ORDERS;
    default:
        return UNEXPECTED;
    }
}

static bool certificates_only(bool is_member, bool is_stranger)
{
    bool kept = true;
    for (uint32_t epoch = EPOCH - 1; epoch <= EPOCH + 1; epoch++) {
        for (unsigned kind = 0; kind < KINDS; kind++) {
            world_open(is_member, is_stranger);
            hear(kind, epoch);
            kept = kept && only(kind == TACIT_MESSAGE_CHECKPOINT_CERTIFICATE ? AGREE : NOBODY);
        }
    }
    return kept;
}

// ---- rules: true if kept

// Who joins knows nothing of the group but what f+1 replicas have signed.
static bool rule_joiner(void)
{
    return certificates_only(false, false) && certificates_only(false, true);
}

static bool rule_stranger(void)
{
    return certificates_only(true, true);
}

static const struct rule rules[] = {
    {"who joins acts on certificates only", rule_joiner, TACIT_BUG_JOINER_HEARS_ALL},
    {"of a stranger only certificates count", rule_stranger, TACIT_BUG_STRANGER_COUNTS},
};

// ---- who gets what

static void member__hears_a_member_each_kind_by_its_part(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        world_open(true, false);
        hear(kind, EPOCH);
        if (!only(part_of(kind))) {
            fail_msg("kind %u went elsewhere", kind);
        }
        assert_int_equal(world.malformed, 0);
        assert_int_equal(world.shown, 0);
    }
}

// A joiner asks nobody to show it an epoch: it fetches what is certified anyway.
static void joiner__answers_nobody(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        world_open(false, false);
        hear(kind, EPOCH + 1);
        assert_int_equal(world.shown, 0);
    }
}

// Who has left its seat acts on nothing but certificates either, and shows the end of its epoch to
// who is still in it.
static void leaver__shows_the_end(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        for (uint32_t epoch = EPOCH - 1; epoch <= EPOCH + 1; epoch++) {
            world_open(false, false);
            world.smr.byzantine.has_left = true;
            hear(kind, epoch);
            assert_true(only(kind == TACIT_MESSAGE_CHECKPOINT_CERTIFICATE ? AGREE : NOBODY));
            bool shows = kind == TACIT_MESSAGE_STATUS && epoch <= EPOCH;
            assert_int_equal(world.shown, shows ? 1 : 0);
        }
    }
}

// Broadcasts name their epoch: who is behind is shown the newest certificate, unless it is no
// member (it is answered when it is one), and who is ahead is asked for theirs.
static void epochs__that_differ_are_noticed(void **state)
{
    (void)state;
    for (unsigned kind = TACIT_MESSAGE_LOCK; kind < TACIT_MESSAGE_CTB_END; kind++) {
        for (int is_stranger = 0; is_stranger < 2; is_stranger++) {
            for (uint32_t epoch = EPOCH - 1; epoch <= EPOCH + 1; epoch++) {
                world_open(true, is_stranger != 0);
                hear(kind, epoch);
                bool notices = epoch > EPOCH || (epoch < EPOCH && is_stranger == 0);
                assert_int_equal(world.shown, notices ? 1 : 0);
                assert_true(!notices || world.shown_epoch == epoch);
            }
        }
    }
}

static void stranger__that_is_ahead_is_asked(void **state)
{
    (void)state;
    static const unsigned kinds[] = {TACIT_MESSAGE_STATUS, TACIT_MESSAGE_CHECKPOINT_SHARE,
                                     TACIT_MESSAGE_STATE_SHARE};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        for (uint32_t epoch = EPOCH - 1; epoch <= EPOCH + 1; epoch++) {
            world_open(true, true);
            hear(kinds[i], epoch);
            assert_int_equal(world.shown, epoch > EPOCH ? 1 : 0);
        }
    }
}

// Too short for an epoch: what lay behind it in the buffer is not taken for one.
static void short_messages__name_no_epoch(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        for (uint32_t bytes = 0; bytes < 8; bytes++) {
            for (unsigned who = 0; who < 4; who++) {
                world_open((who & 1u) != 0, (who & 2u) != 0);
                world.message[0] = (uint8_t)kind;
                world.bytes = bytes;
                world.left = 1;
                assert_true(tacit_smr_hear_peers(&world.smr));
                assert_int_equal(world.shown, 0);
            }
        }
    }
}

static void verdicts__other_than_ok_reach_nobody(void **state)
{
    (void)state;
    static const enum tacit_verdict verdicts[] = {TACIT_VERDICT_STALE, TACIT_VERDICT_MALFORMED,
                                                  TACIT_VERDICT_BAD_AUTH, TACIT_VERDICT_PROOF};
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
        world_open(true, false);
        world.verdict = verdicts[i];
        hear(TACIT_MESSAGE_LOCK, EPOCH);
        assert_true(only(NOBODY));
        assert_int_equal(world.smr.byzantine.messages, 0);
        // ... but for what no correct replica can have written there.
        assert_int_equal(world.malformed, verdicts[i] == TACIT_VERDICT_MALFORMED);
        // A member answers for its own ring, not for that of whoever came in its place.
        world_open(true, true);
        world.verdict = verdicts[i];
        hear(TACIT_MESSAGE_LOCK, EPOCH);
        assert_int_equal(world.malformed, 0);
    }
}

// A peer that writes without end gets its share of a turn, and no more.
static void flood__costs_a_bounded_turn(void **state)
{
    (void)state;
    world_open(true, false);
    assert_false(tacit_smr_hear_peers(&world.smr));
    world.message[0] = TACIT_MESSAGE_NUDGE;
    world.bytes = 1;
    world.left = UINT32_MAX;
    assert_true(tacit_smr_hear_peers(&world.smr));
    assert_in_range(world.taken, 1, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TESTS(rules),
        cmocka_unit_test(member__hears_a_member_each_kind_by_its_part),
        cmocka_unit_test(joiner__answers_nobody),
        cmocka_unit_test(leaver__shows_the_end),
        cmocka_unit_test(epochs__that_differ_are_noticed),
        cmocka_unit_test(stranger__that_is_ahead_is_asked),
        cmocka_unit_test(short_messages__name_no_epoch),
        cmocka_unit_test(verdicts__other_than_ok_reach_nobody),
        cmocka_unit_test(flood__costs_a_bounded_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
