// SPDX-License-Identifier: Apache-2.0
//
// Who may follow in a seat, as one replica sees it (core/smr/seats.c): a scenario says whether the
// rule was kept, and the seeded bug that leaves it out must break it. What members agree on is in
// core_members_test.c; the modules that seats.c tells something are replaced (this file defines
// their functions).
// TACIT_SEEDED: yes
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/smr/internal.h"
#include "support/rules.h"

enum { SEAT = 1, LOOK_NS = 1000000, REPLACE_AFTER_NS = 10 * LOOK_NS };

static struct {
    struct tacit_smr smr;
    struct tacit_members members;
} world;

void tacit_pages_touch(struct tacit_pages *pages, const void *address, size_t bytes)
{
    (void)pages;
    (void)address;
    (void)bytes;
}

void tacit_smr_reply(struct tacit_smr *smr, tacit_node_t to, const struct tacit_wire_reply *reply)
{
    (void)smr;
    (void)to;
    (void)reply;
}

void tacit_smr_epoch_change(struct tacit_smr *smr, tacit_index_t index,
                            const struct tacit_wire_item *item)
{
    (void)smr;
    (void)index;
    (void)item;
}

void tacit_smr_seat_changed(struct tacit_smr *smr, tacit_node_t seat)
{
    (void)smr;
    (void)seat;
}

static void event(enum tacit_event_kind kind, tacit_incarnation_t incarnation)
{
    struct tacit_event event = {.kind = (uint8_t)kind, .node = SEAT, .incarnation = incarnation};
    tacit_smr_seats_event(&world.smr, &event);
}

static void pass(tacit_time_ns_t time_ns)
{
    for (tacit_time_ns_t end_ns = world.smr.now_ns + time_ns; world.smr.now_ns < end_ns;) {
        world.smr.now_ns += LOOK_NS;
        tacit_smr_seats_poll(&world.smr);
    }
}

// Three founders, who are all connected and trusted.
static void world_open(enum tacit_engine_kind engine)
{
    struct tacit_smr *smr = &world.smr;
    memset(&world, 0, sizeof world);
    smr->config.engine = engine;
    smr->config.replicas = 3;
    smr->config.memnodes = engine == TACIT_ENGINE_BYZANTINE ? 3 : 0;
    smr->config.incarnation = 1;
    smr->config.replace_after_ns = REPLACE_AFTER_NS;
    smr->sessions.members = &world.members;
    smr->state_valid = smr->active = true;
    smr->byzantine.trusted = smr->crash.trusted = 7;
    smr->now_ns = LOOK_NS;
    struct tacit_seats seats = tacit_smr_seats(smr);
    tacit_members_found(&world.members, &seats);
    for (unsigned seat = 0; seat < 3; seat++) {
        world.members.seat[seat] = world.members.incarnation[seat] = 1;
    }
    event(TACIT_EVENT_UP, 1);
    pass(LOOK_NS);
}

static bool is_open(tacit_incarnation_t next)
{
    return tacit_smr_seat_is_open(&world.smr, SEAT, next);
}

// ---- the rule: true if kept

// A spare is let into a seat once its member has been dead for `replace_after`; the member's own
// body comes back at any time.
static bool rule_alive_is_not_replaced(enum tacit_engine_kind engine)
{
    const tacit_incarnation_t spare = tacit_incarnation_make(1, 1, 7);
    const tacit_incarnation_t again = tacit_incarnation_make(0, 0, 2);
    world_open(engine);
    pass(2 * REPLACE_AFTER_NS);
    bool kept = !is_open(spare);
    assert_true(is_open(again));
    event(TACIT_EVENT_DOWN, 1);
    pass(REPLACE_AFTER_NS);
    kept = kept && !is_open(spare);
    pass(LOOK_NS);
    assert_true(is_open(spare));
    assert_true(is_open(again));
    event(TACIT_EVENT_UP, 2); // it restarted: its body lives
    pass(LOOK_NS);
    return kept && !is_open(spare);
}
static bool rule_alive_is_not_replaced_byzantine(void)
{
    return rule_alive_is_not_replaced(TACIT_ENGINE_BYZANTINE);
}
static bool rule_alive_is_not_replaced_crash(void)
{
    return rule_alive_is_not_replaced(TACIT_ENGINE_CRASH);
}

static const struct rule rules[] = {
    {"who lives is not replaced", rule_alive_is_not_replaced_byzantine, TACIT_BUG_ALIVE_REPLACED},
    {"nor in crash mode", rule_alive_is_not_replaced_crash, TACIT_BUG_ALIVE_REPLACED},
};

// ---- the rest

// Whom the failure detector suspects is not alive, connected or not; an order needs nobody's death.
static void spare__follows_the_suspected_or_by_order(void **state)
{
    const tacit_incarnation_t spare = tacit_incarnation_make(1, 1, 7);
    (void)state;
    world_open(TACIT_ENGINE_BYZANTINE);
    world.smr.byzantine.trusted = 5;
    pass(REPLACE_AFTER_NS + LOOK_NS);
    assert_true(is_open(spare));
    world_open(TACIT_ENGINE_BYZANTINE);
    world.members.ordered[SEAT] = 2; // body 1
    assert_true(is_open(spare));
    assert_false(is_open(tacit_incarnation_make(1, 2, 7)));
    world.smr.config.replace_after_ns = 0; // by order only
    event(TACIT_EVENT_DOWN, 1);
    pass(100 * REPLACE_AFTER_NS);
    assert_false(is_open(tacit_incarnation_make(1, 2, 7)));
}

// Who has just connected, again, has some seconds to earn its trust, and is not alive for good.
static void trust__is_earned_with_each_connection_in_time(void **state)
{
    const tacit_incarnation_t spare = tacit_incarnation_make(1, 1, 7);
    (void)state;
    world_open(TACIT_ENGINE_BYZANTINE);
    world.smr.byzantine.trusted = 5;
    event(TACIT_EVENT_UP, 1);
    pass(2 * REPLACE_AFTER_NS);
    assert_false(is_open(spare));
    world.smr.now_ns += 5000000000u;
    pass(REPLACE_AFTER_NS + LOOK_NS);
    assert_true(is_open(spare));
}

static void word__says_who_may_connect(void **state)
{
    const uint64_t known = TACIT_SEAT_KNOWN | tacit_incarnation_make(2, 1, 3);
    const tacit_incarnation_t next = tacit_incarnation_make(3, 2, 1);
    (void)state;
    assert_int_equal(tacit_seat_judge(0, next), TACIT_SEAT_OPEN);
    assert_int_equal(tacit_seat_judge(known, tacit_incarnation_make(2, 1, 9)), TACIT_SEAT_OPEN);
    assert_int_equal(tacit_seat_judge(known, next), TACIT_SEAT_LATER);
    assert_int_equal(tacit_seat_judge(known | TACIT_SEAT_DEAD, next), TACIT_SEAT_OPEN);
    assert_int_equal(tacit_seat_judge(known | 3ull << 32, next), TACIT_SEAT_OPEN); // by order
    for (uint32_t generation = 1; generation < 3; generation++) { // its turn is over
        tacit_incarnation_t old = tacit_incarnation_make(generation, 2, 9);
        assert_int_equal(tacit_seat_judge(known | TACIT_SEAT_DEAD, old), TACIT_SEAT_TAKEN);
    }
    uint64_t barred = known | TACIT_SEAT_DEAD | TACIT_SEAT_BARRED << 2;
    assert_int_equal(tacit_seat_judge(barred, next), TACIT_SEAT_TAKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TESTS(rules),
        cmocka_unit_test(trust__is_earned_with_each_connection_in_time),
        cmocka_unit_test(word__says_who_may_connect),
        cmocka_unit_test(spare__follows_the_suspected_or_by_order),
    };
    return cmocka_run_group_tests_name("smr_seats", tests, NULL, NULL);
}
