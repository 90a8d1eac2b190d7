// SPDX-License-Identifier: Apache-2.0
//
// When a replica that lost its memory asks to be admitted again in crash mode, and what it does
// when it is (core/smr/keep.c). The modules below are replaced by what remembers how they were
// called (this file defines their functions), so the replica is a struct and a table of members.
//
// TACIT_SEEDED: yes
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/smr/internal.h"
#include "support/rules.h"

#define US 1000ull
#define MS 1000000ull
#define SUSPICION_NS (20 * MS)

enum { REPLICAS = 3, SELF = 0, LEADER = 1, OTHER = 2 };

static struct {
    struct tacit_smr smr;
    struct tacit_fabric fabric;
    struct tacit_app app;
    struct tacit_members members;
    _Alignas(64) uint8_t page[TACIT_PAGE_REGION_BYTES];
    _Alignas(64) uint8_t state[4096]; // header of the STATE region
    bool done;                        // the transfer, at its next turn
    uint32_t sources;                 // that it was given
    uint32_t asks[REPLICAS];     // JOIN words with an incarnation, by whom they were written to
    uint32_t activated, yielded; // in this order, counted together
} world;

static bool post(struct tacit_fabric *fabric, const struct tacit_op *op)
{
    uint64_t word;
    assert_ptr_equal(fabric, &world.fabric);
    assert_int_equal(op->offset, TACIT_CONTROL_JOIN);
    memcpy(&word, op->local, sizeof word);
    assert_true((uint32_t)word == 0 || (uint32_t)word == world.smr.config.incarnation);
    world.asks[op->host] += (uint32_t)word != 0;
    return true;
}

static void ring(struct tacit_fabric *fabric, tacit_node_t host)
{
    (void)fabric;
    (void)host;
}

static int32_t region(struct tacit_fabric *fabric, tacit_node_t host, struct tacit_region_key key)
{
    (void)fabric;
    (void)host;
    (void)key;
    return 1;
}

static void *local(struct tacit_fabric *fabric, struct tacit_region_key key, size_t *bytes)
{
    (void)fabric;
    (void)key;
    *bytes = 0;
    return NULL;
}

static const struct tacit_fabric_ops ops = {
    .post = post, .ring = ring, .region = region, .local = local};

void tacit_transfer_start(struct tacit_transfer *transfer, tacit_index_t want,
                          tacit_time_ns_t now_ns)
{
    (void)want;
    (void)now_ns;
    transfer->step = TACIT_TRANSFER_IDLE + 1;
}

void tacit_transfer_cancel(struct tacit_transfer *transfer, tacit_time_ns_t now_ns)
{
    (void)now_ns;
    transfer->step = TACIT_TRANSFER_IDLE;
}

bool tacit_transfer_poll(struct tacit_transfer *transfer, uint32_t up,
                         const tacit_incarnation_t *incarnations, tacit_time_ns_t now_ns)
{
    world.sources = up;
    (void)incarnations;
    (void)now_ns;
    bool done = world.done;
    world.done = false;
    transfer->step = done ? TACIT_TRANSFER_IDLE : transfer->step;
    return done;
}

tacit_time_ns_t tacit_transfer_deadline(const struct tacit_transfer *transfer)
{
    (void)transfer;
    return UINT64_MAX;
}

bool tacit_pages_checkpoint(struct tacit_pages *pages, tacit_index_t index)
{
    (void)pages;
    (void)index;
    fail_msg("nobody wants one");
    return false;
}

bool tacit_pages_digest(struct tacit_pages *pages, uint32_t budget)
{
    (void)pages;
    (void)budget;
    return false;
}

void tacit_crash_activate(struct tacit_crash *crash, const uint64_t *members, tacit_index_t applied)
{
    (void)crash;
    (void)applied;
    assert_ptr_equal(members, world.members.incarnation);
    world.activated++;
}

void tacit_crash_yield_at_first(struct tacit_crash *crash)
{
    (void)crash;
    assert_int_equal(world.activated, 1);
    world.yielded++;
}

void tacit_crash_installed(struct tacit_crash *crash, tacit_index_t applied)
{
    (void)crash;
    (void)applied;
}

void tacit_crash_deactivate(struct tacit_crash *crash)
{
    (void)crash;
}

bool tacit_smr_seat_is_open(const struct tacit_smr *smr, tacit_node_t seat, uint64_t next)
{
    (void)smr;
    (void)seat;
    (void)next;
    fail_msg("nobody leads here");
    return false;
}

// A replica that has come back as incarnation 2 and has its first state, in which it is what it
// was.
static void set_up(void)
{
    memset(&world, 0, sizeof world);
    struct tacit_smr *smr = &world.smr;
    world.fabric = (struct tacit_fabric){.ops = &ops, .self = SELF, .incarnation = 2};
    smr->fabric = &world.fabric;
    smr->app = &world.app;
    smr->page = world.page;
    smr->pages.region = world.state;
    smr->config.engine = TACIT_ENGINE_CRASH;
    smr->config.replicas = REPLICAS;
    smr->config.self = SELF;
    smr->config.incarnation = 2;
    smr->config.suspicion_ns = SUSPICION_NS;
    smr->sessions.members = &world.members;
    smr->state_valid = true;
    smr->now_ns = 100 * MS;
    for (tacit_node_t r = 0; r < REPLICAS; r++) {
        world.members.incarnation[r] = 1;
        smr->crash.peer_incarnation[r] = 1;
    }
    smr->crash.peer_up[LEADER] = true;
}

static void run(uint64_t for_ns)
{
    for (uint64_t end_ns = world.smr.now_ns + for_ns; world.smr.now_ns < end_ns;) {
        world.smr.now_ns += 100 * US;
        (void)tacit_smr_keep(&world.smr);
    }
}

static uint32_t asks(void)
{
    return world.asks[LEADER] + world.asks[OTHER];
}

static void asks__when_it_reaches_every_member(void **state)
{
    (void)state;
    set_up();
    run(SUSPICION_NS);
    assert_int_equal(asks(), 0);
    world.smr.crash.peer_up[OTHER] = true;
    run(2 * MS);
    assert_true(world.asks[LEADER] > 0 && world.asks[OTHER] > 0);
}

static void asks__without_members_that_do_not_come(void **state)
{
    (void)state;
    set_up();
    run(2 * SUSPICION_NS);
    assert_int_equal(asks(), 0);
    run(3 * MS);
    assert_true(world.asks[LEADER] > 0);
    assert_int_equal(world.asks[OTHER], 0);
}

static void asks__at_once_where_nobody_else_is_a_member(void **state)
{
    (void)state;
    set_up();
    world.members.incarnation[OTHER] = 0; // was removed
    run(2 * MS);
    assert_true(world.asks[LEADER] > 0);
}

static void asks__never_without_a_state(void **state)
{
    (void)state;
    set_up();
    world.smr.state_valid = false;
    world.smr.crash.peer_up[OTHER] = true;
    run(4 * SUSPICION_NS);
    assert_int_equal(asks(), 0);
}

static void admitted__takes_part_and_leaves_leading_to_others_at_first(void **state)
{
    (void)state;
    set_up();
    run(MS);
    world.done = true; // a state without it
    run(MS);
    assert_false(world.smr.active);
    assert_int_equal(world.activated, 0);
    world.members.incarnation[SELF] = 2;
    world.done = true;
    run(MS);
    assert_true(world.smr.active);
    assert_int_equal(world.activated, 1);
    assert_int_equal(world.yielded, 1);
}

// Of those that are connected: who is trusted, or, if nobody is, all.
static bool rule_state_of_the_trusted(void)
{
    set_up();
    world.smr.crash.peer_up[SELF] = world.smr.crash.peer_up[OTHER] = true;
    world.smr.crash.trusted = 1u << SELF | 1u << LEADER | 1u << OTHER;
    run(MS);
    assert_int_equal(world.sources, 1u << LEADER | 1u << OTHER);
    world.smr.crash.trusted = 1u << SELF;
    run(MS);
    assert_int_equal(world.sources, 1u << LEADER | 1u << OTHER);
    world.smr.crash.trusted = 1u << SELF | 1u << OTHER;
    run(MS);
    return world.sources == 1u << OTHER;
}

static const struct rule rules[] = {
    {"state of the trusted", rule_state_of_the_trusted, TACIT_BUG_STATE_FROM_THE_STOPPED},
};

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TESTS(rules),
        cmocka_unit_test(asks__when_it_reaches_every_member),
        cmocka_unit_test(asks__without_members_that_do_not_come),
        cmocka_unit_test(asks__at_once_where_nobody_else_is_a_member),
        cmocka_unit_test(asks__never_without_a_state),
        cmocka_unit_test(admitted__takes_part_and_leaves_leading_to_others_at_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
