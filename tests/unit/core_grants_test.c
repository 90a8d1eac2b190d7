// SPDX-License-Identifier: Apache-2.0
//
// The permission server of a log host, over a fabric that is steered by hand: what it promises in
// tacit/grants.h one by one, and its invariants under every short sequence of what candidates, the
// holder, the clock and the hardware can do.
// TACIT_LABELS: unit exhaustive
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "choice/choice.h"
#include "core/crash/crash.h"
#include "tacit/grants.h"
#include "tacit/layout.h"
#include "unit/support/fake_fabric.h"

enum { REPLICAS = 3, SELF = 1, SUSPICION_NS = 1000, LOG_BYTES = 4096, LOOK_NS = 16 };

struct bench {
    struct fake_fabric fake;
    struct tacit_grants grants;
    _Alignas(64) uint8_t page[TACIT_PAGE_REGION_BYTES];
    _Alignas(64) uint8_t control[REPLICAS][TACIT_CONTROL_REGION_BYTES];
    _Alignas(64) uint8_t log[REPLICAS][LOG_BYTES];
    tacit_incarnation_t admitted[REPLICAS];
    tacit_incarnation_t incarnation[REPLICAS];
    uint32_t trusted;
    tacit_time_ns_t now_ns;
    uint64_t number;                   // of requests, whoever asks
    uint64_t renewals;                 // of leases
    uint64_t acknowledged, generation; // as last seen in the page
};

static uint64_t page_word(const struct bench *bench, size_t offset)
{
    return tacit_word_load(bench->page, offset);
}

// What must be true at any moment, seen from outside.
static void check(struct bench *bench)
{
    uint64_t holder = page_word(bench, TACIT_PAGE_HOLDER);
    uint64_t ack = page_word(bench, TACIT_PAGE_ACK);
    uint64_t generation = page_word(bench, TACIT_PAGE_GENERATION);
    assert_true(generation >= bench->generation);
    if (tacit_owner_node(holder) != TACIT_NODE_NONE) {
        // Announced only what is in force, after the revocation before it (which fake_grant
        // checks).
        assert_int_equal(bench->fake.holder, tacit_owner_node(holder));
        assert_int_equal(bench->fake.holder_incarnation, tacit_owner_incarnation(holder));
        assert_int_equal(bench->fake.in_force, generation);
        assert_int_equal(tacit_owner_node(holder), bench->grants.holder);
    }
    if (ack != bench->acknowledged) {
        assert_int_not_equal(tacit_owner_node(holder), TACIT_NODE_NONE);
        assert_true(generation > bench->generation);
        // Of the one that holds now, and no other's.
        assert_true(ack <= tacit_word_load(bench->control[tacit_owner_node(holder)],
                                           TACIT_CONTROL_REQUEST));
        // Every LOG region that can have been written stands in the list.
        assert_int_equal(page_word(bench, TACIT_PAGE_REGIONS), REPLICAS);
    }
    bench->acknowledged = ack;
    bench->generation = generation;
}

static void take_events(struct bench *bench)
{
    struct tacit_event event;
    while (fake_take(&bench->fake, &event)) {
        tacit_grants_event(&bench->grants, &event, bench->now_ns);
        check(bench);
    }
}

static bool poll_once(struct bench *bench)
{
    tacit_lease_watch(&bench->grants, bench->now_ns);
    bool changed =
        tacit_grants_poll(&bench->grants, bench->trusted, bench->admitted, bench->now_ns);
    check(bench);
    return changed;
}

// Until nothing moves any more at this moment.
static void settle(struct bench *bench)
{
    for (uint32_t turn = 0; turn < 20; turn++) {
        bool worked = poll_once(bench);
        worked |= fake_switch(&bench->fake);
        take_events(bench);
        if (!worked) {
            return;
        }
    }
    fail_msg("the server does not come to rest");
}

static void bench_init(struct bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    fake_init(&bench->fake, SELF, 1);
    fake_add_region(&bench->fake, SELF, TACIT_REGION_PAGE, SELF, 1, bench->page,
                    sizeof(bench->page));
    for (tacit_node_t r = 0; r < REPLICAS; r++) {
        bench->admitted[r] = bench->incarnation[r] = 1;
        fake_add_region(&bench->fake, SELF, TACIT_REGION_CONTROL, r, 1, bench->control[r],
                        sizeof(bench->control[r]));
        fake_add_region(&bench->fake, SELF, TACIT_REGION_LOG, r, 1, bench->log[r], LOG_BYTES);
    }
    bench->trusted = 7;
    bench->now_ns = 100000;
    memset(bench->page, 0x77, sizeof(bench->page)); // init publishes "nobody holds"
    struct tacit_grants_config config = {.replicas = REPLICAS, .suspicion_ns = SUSPICION_NS};
    tacit_grants_init(&bench->grants, &config, &bench->fake.fabric);
    assert_int_equal(tacit_owner_node(page_word(bench, TACIT_PAGE_HOLDER)), TACIT_NODE_NONE);
    assert_int_equal(page_word(bench, TACIT_PAGE_ACK), 0);
    for (tacit_node_t r = 0; r < REPLICAS; r++) {
        if (r != SELF) {
            fake_up(&bench->fake, r, 1);
        }
    }
    take_events(bench);
}

static uint64_t ask(struct bench *bench, tacit_node_t node)
{
    tacit_word_store(bench->control[node], TACIT_CONTROL_REQUEST, ++bench->number);
    return bench->number;
}

static void release(struct bench *bench, tacit_node_t node)
{
    tacit_word_store(bench->control[node], TACIT_CONTROL_RELEASED,
                     tacit_word_load(bench->control[node], TACIT_CONTROL_REQUEST));
}

static void touch_log(struct bench *bench, tacit_node_t node, size_t word)
{
    tacit_word_store(bench->log[node], word, tacit_word_load(bench->log[node], word) + 1);
}

static void pass(struct bench *bench, tacit_time_ns_t ns)
{
    bench->now_ns += ns;
}

static tacit_node_t holder(const struct bench *bench)
{
    return tacit_owner_node(page_word(bench, TACIT_PAGE_HOLDER));
}

// ---- promises one by one
// -------------------------------------------------------------------------

static void a_request_is_granted_and_acknowledged(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    settle(&bench);
    assert_int_equal(bench.fake.generation, 0); // nobody asked, nothing moved
    uint64_t number = ask(&bench, 2);
    settle(&bench);
    assert_int_equal(holder(&bench), 2);
    assert_int_equal(page_word(&bench, TACIT_PAGE_ACK), number);
    assert_int_equal(tacit_owner_incarnation(page_word(&bench, TACIT_PAGE_HOLDER)), 1);
    assert_int_equal(bench.grants.counters.grants, 1);
    settle(&bench); // the number is not served twice
    assert_int_equal(bench.grants.counters.grants, 1);
    number = ask(&bench, 2); // the holder asks anew: a new generation
    uint64_t generation = bench.generation;
    settle(&bench);
    assert_int_equal(page_word(&bench, TACIT_PAGE_ACK), number);
    assert_true(bench.generation > generation);
    number = ask(&bench, SELF); // a replica asks its own host like any other
    release(&bench, 2);
    settle(&bench);
    assert_int_equal(holder(&bench), SELF);
    assert_int_equal(page_word(&bench, TACIT_PAGE_ACK), number);
}

static void revocation_completes_before_the_acknowledgement(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    uint64_t first = ask(&bench, 2);
    settle(&bench);
    release(&bench, 2);
    settle(&bench);
    uint64_t second = ask(&bench, 0);
    assert_true(poll_once(&bench));
    for (uint32_t i = 0; i < 3; i++) { // the hardware takes its time
        (void)poll_once(&bench);
        assert_int_equal(page_word(&bench, TACIT_PAGE_ACK), first);
        assert_int_equal(holder(&bench), TACIT_NODE_NONE);
    }
    assert_true(fake_switch(&bench.fake)); // revoked ...
    assert_int_equal(page_word(&bench, TACIT_PAGE_ACK), first);
    take_events(&bench);
    assert_int_equal(page_word(&bench, TACIT_PAGE_ACK), first);
    assert_true(fake_switch(&bench.fake)); // ... granted ...
    assert_int_equal(page_word(&bench, TACIT_PAGE_ACK), first);
    take_events(&bench); // ... and told
    assert_int_equal(page_word(&bench, TACIT_PAGE_ACK), second);
    assert_int_equal(holder(&bench), 0);
}

// A holder that appends, or only touches, keeps the permission; one that does nothing loses it.
static void permission_sticks_to_an_active_holder(void **state)
{
    (void)state;
    const size_t words[] = {TACIT_LOG_COMMIT, TACIT_LOG_TOUCH};
    for (size_t w = 0; w < 2; w++) {
        struct bench bench;
        bench_init(&bench);
        (void)ask(&bench, 2);
        settle(&bench);
        pass(&bench, 50 * SUSPICION_NS); // idle for long, and nobody minded
        settle(&bench);
        assert_int_equal(tacit_grants_deadline(&bench.grants), UINT64_MAX);
        (void)ask(&bench, 0);
        for (uint32_t i = 0; i < 20; i++) {
            pass(&bench, SUSPICION_NS - 1);
            touch_log(&bench, 2, words[w]);
            settle(&bench);
            assert_int_equal(holder(&bench), 2);
            // Nothing rings when the time is up: it must be asked for.
            assert_true(tacit_grants_deadline(&bench.grants) > bench.now_ns);
            assert_true(tacit_grants_deadline(&bench.grants) <= bench.now_ns + SUSPICION_NS);
        }
        tacit_time_ns_t asleep = bench.now_ns;
        for (uint32_t i = 0; i < 100 && holder(&bench) == 2; i++) {
            bench.now_ns = tacit_grants_deadline(&bench.grants);
            settle(&bench);
        }
        assert_int_equal(holder(&bench), 0);
        assert_true(bench.now_ns - asleep > SUSPICION_NS);
        assert_true(bench.now_ns - asleep <= 2 * SUSPICION_NS);
        assert_int_equal(bench.grants.counters.deferred, 1);
    }
}

// ---- leases

static void lease_of(struct bench *bench, tacit_node_t node, uint64_t ns)
{
    tacit_word_store(bench->log[node], TACIT_LOG_LEASE, ns);
}

// A holder that wrote a lease and is silent now: nobody is acknowledged before it must have ended,
// counted from a time after the revocation.
static void a_lease_is_waited_for(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    uint64_t first = ask(&bench, 2);
    settle(&bench);
    lease_of(&bench, 2, 5000);
    (void)ask(&bench, 0);
    settle(&bench);
    bench.trusted = 3;
    settle(&bench); // revoked, in a turn that began at `began`
    tacit_time_ns_t began = bench.now_ns;
    assert_int_equal(holder(&bench), TACIT_NODE_NONE);
    pass(&bench, 700); // that turn took so long
    settle(&bench);
    tacit_time_ns_t counted = bench.now_ns;
    for (uint32_t i = 0; i < 20 && holder(&bench) == TACIT_NODE_NONE; i++) {
        assert_int_equal(page_word(&bench, TACIT_PAGE_ACK), first);
        assert_true(tacit_grants_deadline(&bench.grants) > bench.now_ns);
        assert_true(tacit_grants_deadline(&bench.grants) <= counted + 5001);
        bench.now_ns = tacit_grants_deadline(&bench.grants);
        settle(&bench);
    }
    assert_int_equal(holder(&bench), 0);
    assert_true(bench.now_ns > began + 700 + 5000);
    assert_int_equal(bench.grants.counters.leases_waited, 1);
}

// Replica 2 holds and has a lease; replica 0 asks, and 2 is not trusted any more.
static void begin_to_wait(struct bench *bench)
{
    bench_init(bench);
    (void)ask(bench, 2);
    settle(bench);
    lease_of(bench, 2, 5000);
    (void)ask(bench, 0);
    bench->trusted = 3;
    settle(bench);
    assert_int_equal(holder(bench), TACIT_NODE_NONE);
}

// Nobody relies on it any more, which may become known while it is being waited for.
static void a_lease_that_is_void_is_not_waited_for(void **state)
{
    (void)state;
    struct bench bench;
    begin_to_wait(&bench);
    release(&bench, 2);
    settle(&bench);
    assert_int_equal(holder(&bench), 0);

    begin_to_wait(&bench);
    fake_down(&bench.fake, 2, false); // perhaps it is only cut off
    take_events(&bench);
    settle(&bench);
    assert_int_equal(holder(&bench), TACIT_NODE_NONE);

    begin_to_wait(&bench);
    fake_down(&bench.fake, 2, true);
    take_events(&bench);
    settle(&bench);
    assert_int_equal(holder(&bench), 0);

    bench_init(&bench); // its death is known before
    (void)ask(&bench, 2);
    settle(&bench);
    lease_of(&bench, 2, 5000);
    fake_down(&bench.fake, 2, true);
    take_events(&bench);
    (void)ask(&bench, 0);
    bench.trusted = 3;
    settle(&bench);
    assert_int_equal(holder(&bench), 0);
    assert_int_equal(bench.grants.counters.leases_waited, 0);

    bench_init(&bench); // the same one asks anew
    (void)ask(&bench, 2);
    settle(&bench);
    lease_of(&bench, 2, 5000);
    uint64_t number = ask(&bench, 2);
    settle(&bench);
    assert_int_equal(page_word(&bench, TACIT_PAGE_ACK), number);
    assert_int_equal(bench.grants.counters.leases_waited, 0);
}

// The holder renews: the same length, under another number.
static void renew(struct bench *bench, tacit_node_t node, uint64_t ns)
{
    lease_of(bench, node, ++bench->renewals << TACIT_LEASE_NUMBER_SHIFT | ns);
}

// Replica 2 holds, and has renewed its lease in the middle of a turn that took `turn_ns`, just
// before the host looked.
static void begin_silence(struct bench *bench, tacit_time_ns_t turn_ns)
{
    bench_init(bench);
    (void)ask(bench, 2);
    settle(bench);
    pass(bench, LOOK_NS);
    renew(bench, 2, 5000);
    (void)poll_once(bench);
    pass(bench, turn_ns);
}

static void distrust(struct bench *bench)
{
    (void)ask(bench, 0);
    bench->trusted = 3;
    settle(bench);
}

// What was renewed last before the host looked counts from a time after the look, however long ago
// that was.
static void a_lease_runs_out_while_its_holder_is_silent(void **state)
{
    (void)state;
    struct bench bench;
    begin_silence(&bench, LOOK_NS);
    (void)poll_once(&bench); // the first time that is after the look
    pass(&bench, 5000);
    (void)poll_once(&bench);
    pass(&bench, 1);
    distrust(&bench);
    assert_int_equal(holder(&bench), 0);
    assert_int_equal(bench.grants.counters.leases_waited, 0);

    begin_silence(&bench, 3000); // a turn that long: the word may have come at its end
    (void)poll_once(&bench);
    tacit_time_ns_t after_look = bench.now_ns;
    pass(&bench, 4000);
    distrust(&bench);
    assert_int_equal(holder(&bench), TACIT_NODE_NONE);
    assert_int_equal(tacit_grants_deadline(&bench.grants), after_look + 5001);
    pass(&bench, 1000);
    settle(&bench);
    assert_int_equal(holder(&bench), TACIT_NODE_NONE);
    pass(&bench, 1);
    settle(&bench);
    assert_int_equal(holder(&bench), 0);
    assert_int_equal(bench.grants.counters.lease_wait_ns, 1001);
}

// Whatever the host does not know to be old counts from the revocation.
static void a_lease_that_may_be_new_counts_from_the_revocation(void **state)
{
    (void)state;
    enum { RENEWED, UNNUMBERED, LOOKED_ONCE, LOOKED_LONG_AGO, ANOTHERS, CASES };
    for (int way = 0; way < CASES; way++) {
        struct bench bench;
        begin_silence(&bench, LOOK_NS);
        if (way == UNNUMBERED) {
            lease_of(&bench, 2, 5000);
        }
        for (int look = 0; look < 3 && way != LOOKED_ONCE; look++) {
            (void)poll_once(&bench);
            pass(&bench, LOOK_NS);
        }
        pass(&bench, way == LOOKED_LONG_AGO ? TACIT_LEASE_MAX_NS : 10000);
        tacit_node_t next = 0;
        if (way == ANOTHERS) { // whose word happens to be the same
            release(&bench, 2);
            settle(&bench);
            (void)ask(&bench, 0);
            settle(&bench);
            lease_of(&bench, 0, tacit_word_load(bench.log[2], TACIT_LOG_LEASE));
            next = SELF;
        }
        (void)ask(&bench, next);
        bench.trusted = next == 0 ? 3 : 6;
        assert_true(poll_once(&bench)); // looks, and revokes
        if (way == RENEWED) {           // just before that is complete
            renew(&bench, 2, 5000);
        }
        (void)fake_switch(&bench.fake);
        take_events(&bench);
        tacit_time_ns_t began = bench.now_ns;
        for (int turn = 0; turn < 5 && holder(&bench) == TACIT_NODE_NONE; turn++) {
            bench.now_ns = tacit_grants_deadline(&bench.grants);
            settle(&bench);
        }
        assert_int_equal(holder(&bench), next);
        assert_in_range(bench.now_ns - began, 5001, 5002);
    }
}

// A word that no leader writes holds nobody up for ever.
static void a_lease_is_bounded(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    (void)ask(&bench, 2);
    settle(&bench);
    lease_of(&bench, 2, UINT64_MAX);
    (void)ask(&bench, 0);
    bench.trusted = 3;
    settle(&bench);
    pass(&bench, 1);
    settle(&bench);
    pass(&bench, TACIT_LEASE_MAX_NS + 1);
    settle(&bench);
    assert_int_equal(holder(&bench), 0);
}

// What the holder did before somebody asked says nothing: it is watched from then on.
static void a_holder_is_watched_from_the_request_on(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    (void)ask(&bench, 2);
    settle(&bench);
    pass(&bench, 10 * SUSPICION_NS);
    (void)ask(&bench, 0);
    settle(&bench);
    assert_int_equal(holder(&bench), 2);
    pass(&bench, SUSPICION_NS / 2);
    touch_log(&bench, 2, TACIT_LOG_TOUCH);
    settle(&bench);
    pass(&bench, SUSPICION_NS);
    settle(&bench);
    assert_int_equal(holder(&bench), 2);
    pass(&bench, 1);
    settle(&bench);
    assert_int_equal(holder(&bench), 0);
}

static void release_and_distrust_end_it_at_once(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    (void)ask(&bench, 2);
    settle(&bench);
    release(&bench, 2);
    settle(&bench);
    assert_int_equal(holder(&bench), TACIT_NODE_NONE); // although nobody else asks
    assert_int_equal(bench.fake.holder, TACIT_NODE_NONE);
    (void)ask(&bench, 2);
    settle(&bench);
    assert_int_equal(holder(&bench), 2);
    bench.trusted = 3; // of replica 2 it is known that it is dead
    settle(&bench);
    assert_int_equal(holder(&bench), 2); // harmless while nobody asks
    (void)ask(&bench, 0);
    settle(&bench);
    assert_int_equal(holder(&bench), 0);
    bench.trusted = 7;
    // A release of an older number is not meant.
    uint64_t old = tacit_word_load(bench.control[0], TACIT_CONTROL_REQUEST);
    (void)ask(&bench, 0);
    settle(&bench);
    tacit_word_store(bench.control[0], TACIT_CONTROL_RELEASED, old);
    settle(&bench);
    assert_int_equal(holder(&bench), 0);
}

static void a_new_incarnation_ends_the_old_ones_hold(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    (void)ask(&bench, 2);
    settle(&bench);
    fake_down(&bench.fake, 2, true);
    fake_up(&bench.fake, 2, 2);
    take_events(&bench);
    settle(&bench);
    touch_log(&bench, 2, TACIT_LOG_TOUCH); // a late write of the dead one
    (void)ask(&bench, 0);
    settle(&bench);
    assert_int_equal(holder(&bench), 0);
}

static void lowest_trusted_id_goes_first_and_others_ask_again(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    (void)ask(&bench, 2);
    (void)ask(&bench, SELF);
    (void)ask(&bench, 0);
    settle(&bench);
    assert_int_equal(holder(&bench), 0);
    release(&bench, 0);
    settle(&bench); // the other two were passed over
    assert_int_equal(holder(&bench), TACIT_NODE_NONE);
    pass(&bench, 10 * SUSPICION_NS);
    settle(&bench);
    assert_int_equal(holder(&bench), TACIT_NODE_NONE);
    (void)ask(&bench, 2);
    settle(&bench);
    assert_int_equal(holder(&bench), 2);
    release(&bench, 2);
    bench.trusted = 6;
    (void)ask(&bench, 0); // lowest, but not trusted
    (void)ask(&bench, 2);
    settle(&bench);
    assert_int_equal(holder(&bench), 2);
}

static void only_admitted_and_connected_ones_are_served(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    bench.admitted[2] = 2; // the member is another incarnation
    (void)ask(&bench, 2);
    settle(&bench);
    assert_int_equal(holder(&bench), TACIT_NODE_NONE);
    bench.admitted[2] = 1;
    settle(&bench);
    assert_int_equal(holder(&bench), 2);
    release(&bench, 2);
    fake_down(&bench.fake, 0, false);
    take_events(&bench);
    (void)ask(&bench, 0);
    settle(&bench);
    assert_int_equal(holder(&bench), TACIT_NODE_NONE);
    fake_up(&bench.fake, 0, 1);
    take_events(&bench);
    settle(&bench);
    assert_int_equal(holder(&bench), 0);
    // A memory node has no table of members: whoever is connected.
    release(&bench, 0);
    settle(&bench);
    (void)ask(&bench, 2);
    for (uint32_t i = 0; i < 5; i++) {
        (void)tacit_grants_poll(&bench.grants, bench.trusted, NULL, bench.now_ns);
        (void)fake_switch(&bench.fake);
        take_events(&bench);
    }
    assert_int_equal(holder(&bench), 2);
    // Released before it was served: not wanted any more.
    release(&bench, 2);
    uint64_t grants = bench.grants.counters.grants;
    (void)ask(&bench, 0);
    release(&bench, 0);
    settle(&bench);
    assert_int_equal(holder(&bench), TACIT_NODE_NONE);
    assert_int_equal(bench.grants.counters.grants, grants);
}

// Events of a switch that is over mean nothing.
static void late_events_of_the_hardware_are_ignored(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    (void)ask(&bench, 2);
    for (uint32_t step = 0; step < 5; step++) {
        uint64_t generation = bench.fake.generation;
        uint64_t ack = page_word(&bench, TACIT_PAGE_ACK);
        for (uint64_t old = 0; old <= generation + 1; old++) {
            for (uint8_t kind = TACIT_EVENT_GRANTED; kind <= TACIT_EVENT_REVOKED; kind++) {
                bool due = bench.fake.switching && bench.fake.switched.kind == kind;
                if (old != generation || !due) {
                    struct tacit_event event = {.kind = kind, .generation = old};
                    tacit_grants_event(&bench.grants, &event, bench.now_ns);
                }
            }
        }
        assert_int_equal(bench.fake.generation, generation);
        assert_int_equal(page_word(&bench, TACIT_PAGE_ACK), ack);
        (void)poll_once(&bench);
        if (step > 0) {
            (void)fake_switch(&bench.fake);
            take_events(&bench);
        }
    }
    assert_int_equal(holder(&bench), 2);
}

static void the_list_of_regions_is_there_before_the_acknowledgement(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    static _Alignas(64) uint8_t late_log[LOG_BYTES];
    (void)ask(&bench, 2);
    assert_true(poll_once(&bench));
    // A region that appears while permission moves is in the list that the candidate reads.
    fake_add_region(&bench.fake, SELF, TACIT_REGION_LOG, 0, 7, late_log, LOG_BYTES);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(fake_switch(&bench.fake));
        struct tacit_event event;
        while (fake_take(&bench.fake, &event)) {
            tacit_grants_event(&bench.grants, &event, bench.now_ns);
        }
    }
    assert_int_not_equal(page_word(&bench, TACIT_PAGE_ACK), 0);
    assert_int_equal(page_word(&bench, TACIT_PAGE_REGIONS), REPLICAS + 1);
    assert_int_equal(page_word(&bench, TACIT_PAGE_REGION_KEYS + 8 * REPLICAS),
                     tacit_owner_word(0, 7));
    bench.fake.host[SELF].region[bench.fake.host[SELF].regions - 1].live = false;
    tacit_grants_publish_regions(&bench.grants);
    assert_int_equal(page_word(&bench, TACIT_PAGE_REGIONS), REPLICAS);
}

// ---- every short sequence
// -------------------------------------------------------------------------

static void any_step(struct bench *bench, struct choice *choice)
{
    switch (choice_u32(choice, 9)) {
    case 0:
        (void)ask(bench, 0);
        break;
    case 1:
        (void)ask(bench, 2);
        break;
    case 2:
        (void)ask(bench, SELF);
        release(bench, 0);
        break;
    case 3:
        release(bench, bench->grants.holder < REPLICAS ? bench->grants.holder : 2);
        break;
    case 4:
        bench->trusted ^= 1u; // replica 0 is suspected, or trusted again
        break;
    case 5:
        (void)fake_switch(&bench->fake);
        break;
    case 6:
        pass(bench, SUSPICION_NS + 1);
        break;
    case 7:
        if (bench->fake.host[0].up) {
            fake_down(&bench->fake, 0, false);
        } else {
            fake_up(&bench->fake, 0, 1);
        }
        break;
    default:
        take_events(bench);
        (void)fake_switch(&bench->fake);
        take_events(bench);
        break;
    }
    (void)poll_once(bench);
}

static void every_short_sequence(void **state)
{
    (void)state;
    enum { STEPS = 6 };
    struct choice choice;
    choice_init_odometer(&choice);
    uint32_t sequences = 0;
    uint32_t granted = 0;
    do {
        struct bench bench;
        bench_init(&bench);
        for (uint32_t step = 0; step < STEPS; step++) {
            any_step(&bench, &choice);
        }
        granted += bench.acknowledged != 0;
        // However it went: when all is well again, who asks now gets it.
        bench.trusted = 7;
        if (!bench.fake.host[0].up) {
            fake_up(&bench.fake, 0, 1);
        }
        take_events(&bench);
        settle(&bench);
        uint64_t number = ask(&bench, 0);
        settle(&bench);
        pass(&bench, SUSPICION_NS + 1);
        settle(&bench);
        assert_int_equal(holder(&bench), 0);
        assert_int_equal(page_word(&bench, TACIT_PAGE_ACK), number);
        sequences++;
    } while (choice_odometer_next(&choice));
    assert_int_equal(sequences, 531441);
    assert_true(granted > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_granted_and_acknowledged),
        cmocka_unit_test(revocation_completes_before_the_acknowledgement),
        cmocka_unit_test(permission_sticks_to_an_active_holder),
        cmocka_unit_test(a_lease_is_waited_for),
        cmocka_unit_test(a_lease_that_is_void_is_not_waited_for),
        cmocka_unit_test(a_lease_runs_out_while_its_holder_is_silent),
        cmocka_unit_test(a_lease_that_may_be_new_counts_from_the_revocation),
        cmocka_unit_test(a_lease_is_bounded),
        cmocka_unit_test(a_holder_is_watched_from_the_request_on),
        cmocka_unit_test(release_and_distrust_end_it_at_once),
        cmocka_unit_test(a_new_incarnation_ends_the_old_ones_hold),
        cmocka_unit_test(lowest_trusted_id_goes_first_and_others_ask_again),
        cmocka_unit_test(only_admitted_and_connected_ones_are_served),
        cmocka_unit_test(late_events_of_the_hardware_are_ignored),
        cmocka_unit_test(the_list_of_regions_is_there_before_the_acknowledgement),
        cmocka_unit_test(every_short_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
