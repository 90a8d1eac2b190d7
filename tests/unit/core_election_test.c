// SPDX-License-Identifier: Apache-2.0
//
// Candidates: how long one waits for hosts that are slow, and who gives way to whom. And the
// leader's patience with a follower that is slow. The engine is set up by hand, so that each
// situation is met at once; whole elections are the simulator's business.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/crash/crash.h"

#define US 1000ull
#define MS 1000000ull
#define BEAT_NS (800 * US)
#define SUSPICION_NS (20 * MS)
#define TIMEOUT_NS (200 * US)

enum { REPLICAS = 3, ENTRIES = 64, SLOT_BYTES = 256 };

struct world {
    struct tacit_fabric fabric; // first
    struct tacit_smr_config config;
    struct tacit_crash crash;
    uint64_t members[REPLICAS];
    uint64_t holder[REPLICAS]; // word in each host's PAGE
    uint64_t asked[REPLICAS];  // request number as last written
    uint32_t looks, releases;
    uint32_t headers[REPLICAS], entries[REPLICAS]; // prefetched of each host
    _Alignas(64) uint8_t small[TACIT_SMALL_READS][TACIT_SMALL_READ_BYTES];
    _Alignas(64) uint8_t journal[ENTRIES * SLOT_BYTES];
};

static struct world world;

// Answers at once, as shared memory does; `holder` is what the test wants a host to say.
static bool post(struct tacit_fabric *fabric, const struct tacit_op *op)
{
    (void)fabric;
    if (op->kind == TACIT_OP_WRITE) {
        if (op->offset == TACIT_CONTROL_REQUEST) {
            memcpy(&world.asked[op->host], op->local, 8);
        }
        world.releases += op->offset == TACIT_CONTROL_RELEASED;
        return true;
    }
    memset(op->local, 0, op->bytes);
    if (op->bytes == TACIT_PAGE_REGION_BYTES) {
        world.looks++;
        memcpy((uint8_t *)op->local + TACIT_PAGE_HOLDER, &world.holder[op->host], 8);
    }
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

static void prefetch(struct tacit_fabric *fabric, tacit_node_t host, int32_t handle,
                     uint64_t offset, uint32_t bytes)
{
    (void)fabric;
    assert_int_equal(handle, 1);
    assert_true(offset + bytes <= tacit_log_bytes(world.crash.shape));
    world.headers[host] += offset == 0;
    world.entries[host] += offset != 0 && bytes == TACIT_ENTRY_HEADER;
}

static uint32_t draw(void *context, uint32_t bound)
{
    (void)context;
    return bound / 2;
}

static const struct tacit_fabric_ops ops = {
    .post = post, .ring = ring, .region = region, .prefetch = prefetch};

static void set_up(tacit_node_t self)
{
    memset(&world, 0, sizeof world);
    world.fabric = (struct tacit_fabric){.ops = &ops, .self = self, .incarnation = 1};
    world.config = (struct tacit_smr_config){.replicas = REPLICAS,
                                             .self = self,
                                             .incarnation = 1,
                                             .inflight = 8,
                                             .beat_period_ns = BEAT_NS,
                                             .suspicion_ns = SUSPICION_NS,
                                             .permission_timeout_ns = TIMEOUT_NS,
                                             .draw = draw};
    struct tacit_crash *crash = &world.crash;
    crash->config = &world.config;
    crash->fabric = &world.fabric;
    crash->members = world.members;
    crash->hosts_log = true;
    crash->active = true;
    crash->role = TACIT_ROLE_FOLLOWER;
    crash->now_ns = 1000 * MS;
    crash->trusted = (1u << REPLICAS) - 1;
    crash->host_count = REPLICAS;
    crash->leader = TACIT_NODE_NONE;
    crash->slow = TACIT_NODE_NONE;
    crash->grants.holder = TACIT_NODE_NONE;
    crash->attempt_ns = TIMEOUT_NS;
    crash->backoff_ns = TIMEOUT_NS;
    crash->leaderless_ns = 1; // for long, so that ranks do not matter
    crash->journal = world.journal;
    crash->shape = (struct tacit_log_shape){.entries = ENTRIES, .slot_bytes = SLOT_BYTES};
    for (uint32_t i = 0; i < TACIT_SMALL_READS; i++) {
        crash->small[i].buffer = world.small[i];
    }
    for (tacit_node_t r = 0; r < REPLICAS; r++) {
        world.members[r] = 1;
        world.holder[r] = tacit_owner_word(TACIT_NODE_NONE, 0);
        crash->peer_up[r] = r != self;
        crash->peer_incarnation[r] = 1;
        crash->hosts[r] = (struct tacit_log_host){.node = r,
                                                  .up = true,
                                                  .incarnation = 1,
                                                  .page = 1,
                                                  .control = 2,
                                                  .own_log = 3,
                                                  .rival = TACIT_NODE_NONE};
    }
}

static void lose(tacit_node_t node)
{
    world.crash.trusted &= ~(1u << node);
    world.crash.peer_up[node] = false;
    world.crash.hosts[node].up = false;
}

// One turn a microsecond; every read under way is answered before the next one.
static void run(uint64_t for_ns)
{
    struct tacit_crash *crash = &world.crash;
    for (uint64_t end_ns = crash->now_ns + for_ns; crash->now_ns < end_ns;) {
        crash->now_ns += US;
        (void)tacit_election_poll(crash);
        for (uint32_t i = 0; i < TACIT_SMALL_READS; i++) {
            struct tacit_read *read = &crash->small[i];
            if (read->kind != TACIT_READ_PAGE) {
                continue;
            }
            struct tacit_log_host *host = &crash->hosts[read->host];
            host->reads--;
            host->page_pending = false;
            if (read->term == crash->term) {
                tacit_election_page(crash, host, read);
            }
            read->kind = TACIT_READ_NONE;
        }
    }
}

static void slow_hosts__are_waited_for(void **state)
{
    (void)state;
    set_up(0);
    lose(1);
    run(SUSPICION_NS - MS);
    assert_int_equal(world.crash.role, TACIT_ROLE_CANDIDATE);
    assert_int_equal(world.crash.counters.elections_started, 1);
    assert_int_equal(world.releases, 0);
    // Not for ever.
    run(2 * MS);
    assert_int_equal(world.crash.counters.elections_lost, 1);
    assert_true(world.releases > 0);
}

// What catch-up will read is made ready while hosts are asked, once for each attempt.
static void candidate__prefetches_logs(void **state)
{
    (void)state;
    set_up(0);
    lose(1);
    run(20 * US);
    assert_int_equal(world.crash.role, TACIT_ROLE_CANDIDATE);
    for (tacit_node_t r = 0; r < REPLICAS; r++) {
        assert_int_equal(world.headers[r], r == 1 ? 0 : REPLICAS);
        assert_int_equal(world.entries[r], r == 1 ? 0 : REPLICAS * TACIT_SCAN_GROUP);
    }
    run(100 * US);
    assert_int_equal(world.headers[0], REPLICAS);
}

// Nobody holds its log yet, which is no reason to be a candidate: a leader that is there comes.
static void readmitted__leaves_leading_to_others_at_first(void **state)
{
    (void)state;
    set_up(0);
    tacit_crash_yield_at_first(&world.crash);
    run(2 * SUSPICION_NS);
    assert_int_equal(world.crash.role, TACIT_ROLE_FOLLOWER);
    assert_int_equal(world.crash.counters.elections_started, 0);
    // Not for ever.
    run(SUSPICION_NS);
    assert_int_equal(world.crash.counters.elections_started, 1);
}

static void slow_hosts__are_not_looked_at_without_end(void **state)
{
    (void)state;
    set_up(0);
    run(100 * US);
    world.looks = 0;
    run(MS);
    assert_in_range(world.looks, REPLICAS * (MS / TACIT_CANDIDATE_LOOK_NS) / 2,
                    REPLICAS * (MS / TACIT_CANDIDATE_LOOK_NS));
}

static void rival__with_a_smaller_id_that_blocks_is_given_way_to_at_once(void **state)
{
    (void)state;
    set_up(1);
    lose(2);
    world.holder[0] = tacit_owner_word(0, 1);
    run(50 * US);
    assert_int_equal(world.crash.role, TACIT_ROLE_FOLLOWER);
    assert_int_equal(world.crash.counters.elections_lost, 1);
    assert_true(world.releases > 0);
}

static void rival__with_a_larger_id_that_blocks_gets_the_time_of_an_attempt(void **state)
{
    (void)state;
    set_up(0);
    lose(2);
    world.holder[1] = tacit_owner_word(1, 1);
    run(TIMEOUT_NS - 20 * US);
    assert_int_equal(world.crash.role, TACIT_ROLE_CANDIDATE);
    run(60 * US);
    assert_int_equal(world.crash.counters.elections_lost, 1);
}

static void rival__that_leaves_a_majority_does_not_matter(void **state)
{
    (void)state;
    set_up(1);
    world.holder[0] = tacit_owner_word(0, 1);
    run(10 * TIMEOUT_NS);
    assert_int_equal(world.crash.role, TACIT_ROLE_CANDIDATE);
    assert_int_equal(world.crash.counters.elections_lost, 0);
}

static void rival__that_is_dead_does_not_block(void **state)
{
    (void)state;
    set_up(1);
    lose(0);
    world.holder[2] = tacit_owner_word(0, 1); // the old leader's: not taken from it yet
    run(10 * TIMEOUT_NS);
    assert_int_equal(world.crash.role, TACIT_ROLE_CANDIDATE);
    assert_int_equal(world.crash.counters.elections_lost, 0);
}

static void host__that_a_rival_released_is_asked_again(void **state)
{
    (void)state;
    set_up(0);
    world.holder[1] = tacit_owner_word(1, 1);
    run(100 * US);
    uint64_t before[REPLICAS];
    memcpy(before, world.asked, sizeof before);
    world.holder[1] = tacit_owner_word(TACIT_NODE_NONE, 0);
    run(50 * US);
    assert_true(world.asked[1] > before[1]);
    assert_int_equal(world.asked[2], before[2]);
    uint64_t again = world.asked[1];
    run(100 * US); // once
    assert_int_equal(world.asked[1], again);
}

static void lead(void)
{
    struct tacit_crash *crash = &world.crash;
    crash->role = TACIT_ROLE_LEADER;
    crash->tail = crash->decided = crash->applied = 100;
    crash->journal_low = 100 - ENTRIES;
    crash->heads_ns = crash->now_ns;
    crash->heads[1] = 99;
    crash->heads[2] = 40;
}

static void slow_follower__is_waited_for_but_not_for_long(void **state)
{
    (void)state;
    set_up(0);
    lead();
    struct tacit_crash *crash = &world.crash;
    assert_null(tacit_crash_open(crash, false));
    assert_true(tacit_crash_deadline(crash) <= crash->now_ns + TACIT_HEADS_NS);
    assert_non_null(tacit_crash_open(crash, true)); // a removal does not wait
    crash->now_ns += 2 * BEAT_NS;
    assert_non_null(tacit_crash_open(crash, false));
    // Still there, still not moving: not again.
    crash->now_ns += MS;
    assert_non_null(tacit_crash_open(crash, false));
    // It moves: it gets time again, and when it is near enough nobody waits.
    crash->heads[2] = 41;
    assert_null(tacit_crash_open(crash, false));
    crash->heads[2] = 100 - ENTRIES / 2 + 1;
    assert_non_null(tacit_crash_open(crash, false));
}

static void slow_follower__that_is_not_trusted_is_not_waited_for(void **state)
{
    (void)state;
    set_up(0);
    lead();
    world.crash.trusted &= ~(1u << 2);
    assert_non_null(tacit_crash_open(&world.crash, false));
    set_up(0);
    lead();
    world.crash.peer_incarnation[2] = 2; // restarted, not admitted again
    assert_non_null(tacit_crash_open(&world.crash, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_hosts__are_waited_for),
        cmocka_unit_test(candidate__prefetches_logs),
        cmocka_unit_test(readmitted__leaves_leading_to_others_at_first),
        cmocka_unit_test(slow_hosts__are_not_looked_at_without_end),
        cmocka_unit_test(rival__with_a_smaller_id_that_blocks_is_given_way_to_at_once),
        cmocka_unit_test(rival__with_a_larger_id_that_blocks_gets_the_time_of_an_attempt),
        cmocka_unit_test(rival__that_leaves_a_majority_does_not_matter),
        cmocka_unit_test(rival__that_is_dead_does_not_block),
        cmocka_unit_test(host__that_a_rival_released_is_asked_again),
        cmocka_unit_test(slow_follower__is_waited_for_but_not_for_long),
        cmocka_unit_test(slow_follower__that_is_not_trusted_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
