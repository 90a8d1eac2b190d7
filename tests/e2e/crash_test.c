// SPDX-License-Identifier: Apache-2.0
//
// Leaders that are killed, stopped and restarted under load, in real processes; every client's
// history is checked. Never more than f replicas are faulty or not readmitted, which is asserted
// before each fault.
#include <signal.h>
#include <stdio.h>

#include "e2e.h"

static const struct local_plan on_replicas = {
    .replicas = 3, .memnodes = 3, .waiting = TACIT_CONFIG_ADAPTIVE, .arena_bytes = 32u << 20};
static const struct local_plan on_memnodes = {.replicas = 2,
                                              .memnodes = 3,
                                              .log_on = TACIT_CONFIG_LOG_ON_MEMNODES,
                                              .waiting = TACIT_CONFIG_ADAPTIVE,
                                              .arena_bytes = 32u << 20};

static void kill_and_restart(const struct local_plan *plan, unsigned rounds)
{
    struct local *local = e2e_cluster(plan, false);
    struct load *load = e2e_load(local);
    for (unsigned i = 0; i < rounds; i++) {
        e2e_progress(load, 300);
        uint16_t victim = e2e_hit_leader(local, SIGKILL);
        assert_true(local_wait_leader(local, victim, E2E_READY_NS) >= 0);
        e2e_progress(load, 300);
        e2e_bring_back(local, victim);
        assert_true(e2e_number(local, victim, NULL, "incarnation") >= 2);
    }
    e2e_progress(load, 300);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

static void test_kill_leader(void **state)
{
    (void)state;
    kill_and_restart(&on_replicas, 4);
}

static void test_kill_leader_logs_on_memnodes(void **state)
{
    (void)state;
    kill_and_restart(&on_memnodes, 2);
}

// The others take over; when it continues, what it still tries to write is refused, it steps down,
// and goes on as a follower under the same incarnation.
static void test_stop_and_continue_leader(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&on_replicas, false);
    struct load *load = e2e_load(local);
    e2e_progress(load, 300);
    uint16_t victim = e2e_hit_leader(local, SIGSTOP);
    uint64_t stopped_ns = cli_now_ns();
    e2e_progress(load, 300); // without it
    if (cli_now_ns() < stopped_ns + 1000000000u) {
        cli_sleep_ns(stopped_ns + 1000000000u - cli_now_ns());
    }
    assert_int_equal(local_signal(local, e2e_replica(victim), SIGCONT, NULL), TACIT_OK);
    assert_true(local_wait_members(local, 7, E2E_READY_NS));
    e2e_progress(load, 300);
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    while (e2e_number(local, victim, "counters", "steps_down") == 0 && cli_now_ns() < end_ns) {
        cli_sleep_ns(5000000);
    }
    assert_true(e2e_number(local, victim, "counters", "steps_down") >= 1);
    json_t *report = local_status(local, victim);
    const json_t *fabric = json_object_get(report, "fabric");
    uint64_t denied =
        local_number(fabric, "data", "denied") + local_number(fabric, "background", "denied");
    json_decref(report);
    assert_true(denied >= 1);
    assert_int_equal(e2e_number(local, victim, NULL, "incarnation"), 1);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

// The number of starts that the replica's state directory has counted, which is before it speaks.
static uint64_t counted_starts(const struct local *local, uint16_t replica)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    unsigned long long number = 0;
    local_path(local, path, "state/replica-%u/incarnation", replica);
    FILE *file = fopen(path, "re");
    if (file != NULL) { // else it is being replaced
        (void)!fscanf(file, "%llu", &number);
        (void)fclose(file);
    }
    return number;
}

// The same id is started again while the kernel is still taking its old process apart; it waits for
// the lock on its state directory, so it cannot be back earlier than the old one is gone. (In the
// simulator it can be back before anybody has noticed.)
#define OVERLAPS_LEAST 1u
#define RESTARTS_MOST 30u
static void test_fast_restart(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&on_replicas, false);
    struct load *load = e2e_load(local);
    unsigned overlaps = 0;
    for (unsigned i = 0; i < 3 || (overlaps < OVERLAPS_LEAST && i < RESTARTS_MOST); i++) {
        struct tacit_error error;
        e2e_progress(load, 300);
        uint16_t victim = e2e_hit_leader(local, SIGKILL);
        uint64_t killed_ns = cli_now_ns();
        uint64_t starts = counted_starts(local, victim);
        bool overlap = local_pid(local, e2e_replica(victim)) != 0;
        assert_int_equal(local_start_again(local, e2e_replica(victim), &error), TACIT_OK);
        while (counted_starts(local, victim) <= starts && cli_now_ns() < killed_ns + E2E_READY_NS) {
            cli_sleep_ns(500000);
        }
        print_message("back %llu us after SIGKILL, %s\n",
                      (unsigned long long)(cli_now_ns() - killed_ns) / 1000,
                      overlap ? "started while the old process was still there"
                              : "the old process was gone before");
        overlaps += overlap;
        assert_true(local_wait_members(local, 7, E2E_READY_NS));
        e2e_progress(load, 300);
    }
    assert_true(overlaps >= OVERLAPS_LEAST); // or the case that this is about was never met
    e2e_verdict(load);
    e2e_cluster_end(local);
}

// Killed again before the group has taken it back: the incarnation in between never counts.
static void test_restart_twice(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&on_replicas, false);
    struct load *load = e2e_load(local);
    struct tacit_error error;
    e2e_progress(load, 300);
    uint16_t victim = e2e_hit_leader(local, SIGKILL);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(local_wait_gone(local, e2e_replica(victim), E2E_READY_NS));
        assert_int_equal(local_start(local, e2e_replica(victim), &error), TACIT_OK);
        if (i == 0) { // still the one replica that is faulty
            cli_sleep_ns(20000000);
            assert_int_equal(local_signal(local, e2e_replica(victim), SIGKILL, &error), TACIT_OK);
        }
    }
    assert_true(local_wait_members(local, 7, E2E_READY_NS));
    assert_true(e2e_number(local, victim, NULL, "incarnation") >= 2);
    e2e_progress(load, 300);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

// With fm = 1 a memory node may go as well.
static void test_kill_memnode_and_leader(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&on_memnodes, false);
    struct load *load = e2e_load(local);
    struct local_node memnode = {LOCAL_MEMNODE, 1};
    struct tacit_error error;
    e2e_progress(load, 300);
    assert_int_equal(local_signal(local, memnode, SIGKILL, &error), TACIT_OK);
    e2e_progress(load, 300);
    uint16_t victim = e2e_hit_leader(local, SIGKILL);
    e2e_progress(load, 300);
    assert_true(local_wait_gone(local, memnode, E2E_READY_NS));
    assert_int_equal(local_start(local, memnode, &error), TACIT_OK);
    e2e_bring_back(local, victim);
    e2e_progress(load, 300);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

// SIGTERM to everybody: orderly, in time, and nothing is left in the runtime folder that is in the
// way.
static void test_orderly_shutdown(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&on_replicas, true);
    assert_int_equal(local_down(local), 0); // nobody had to be killed
    e2e_cluster_end(local);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_leader),
        cmocka_unit_test(test_stop_and_continue_leader),
        cmocka_unit_test(test_fast_restart),
        cmocka_unit_test(test_restart_twice),
        cmocka_unit_test(test_kill_leader_logs_on_memnodes),
        cmocka_unit_test(test_kill_memnode_and_leader),
        cmocka_unit_test(test_orderly_shutdown),
    };
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
