// SPDX-License-Identifier: Apache-2.0
//
// Spares in real processes: a member that is dead for good is replaced, under load, by a spare with
// a key and an address of its own; the old one, started again, is refused and says why; an
// operator's orders (tacit member) remove, add and replace members. Every client's history is
// checked.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "e2e.h"

// Longer than a busy machine keeps a process from its processors.
#define REPLACE_AFTER_NS UINT64_C(800000000)

static const struct local_plan crash = {.replicas = 3,
                                        .memnodes = 0,
                                        .spare_replicas = 2,
                                        .replace_after_ns = REPLACE_AFTER_NS,
                                        .waiting = TACIT_CONFIG_ADAPTIVE,
                                        .arena_bytes = 16u << 20};
static const struct local_plan crash_on_memnodes = {.replicas = 2,
                                                    .memnodes = 3,
                                                    .spare_replicas = 1,
                                                    .spare_memnodes = 1,
                                                    .replace_after_ns = REPLACE_AFTER_NS,
                                                    .log_on = TACIT_CONFIG_LOG_ON_MEMNODES,
                                                    .waiting = TACIT_CONFIG_ADAPTIVE,
                                                    .arena_bytes = 16u << 20};

static const struct local_plan byzantine = {.replicas = 3,
                                            .memnodes = 3,
                                            .spare_replicas = 2,
                                            .spare_memnodes = 1,
                                            .replace_after_ns = REPLACE_AFTER_NS,
                                            .mode = TACIT_CONFIG_BYZANTINE,
                                            .waiting = TACIT_CONFIG_ADAPTIVE,
                                            .arena_bytes = 16u << 20};

// tacit member ...; the exit status.
static int member(const struct local *local, const char *what, const char *node, const char *more)
{
    char command[3 * TACIT_CONFIG_PATH_BYTES];
    (void)snprintf(command, sizeof command, "'%s/tacit' member %s %s %s --dir '%s'",
                   getenv("TACIT_PROGRAMS"), what, node, more, local->directory);
    int status = system(command); // NOLINT(cert-env33-c): the program under test
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static struct local_node spare_replica(uint16_t id)
{
    return (struct local_node){LOCAL_SPARE_REPLICA, id};
}

// Byzantine mode: all decide without signatures again.
static void wait_fast(const struct local *local)
{
    if (local_is_byzantine(local)) {
        assert_true(local_wait_fast(local, E2E_READY_NS) > 0);
    }
}

static void replace_and_replace(const struct local_plan *plan)
{
    struct tacit_error error;
    char name[TACIT_CONFIG_NAME_BYTES];
    struct local *local = e2e_cluster(plan, false);
    struct load *load = e2e_load(local);
    e2e_progress(load, 300);
    uint16_t victim = e2e_hit_leader(local, SIGKILL);
    local_name(e2e_replica(victim), name);
    e2e_progress(load, 300);
    e2e_wait_sitter(local, victim, spare_replica(1));
    wait_fast(local);
    e2e_progress(load, 300);
    // The old one has had its time.
    assert_true(local_wait_gone(local, e2e_replica(victim), E2E_READY_NS));
    assert_int_equal(local_start(local, e2e_replica(victim), &error), TACIT_OK);
    e2e_wait_log(local, name, " barred ");
    // The spare is one more replica that may die: the next spare follows it.
    e2e_kill(local, spare_replica(1));
    e2e_wait_sitter(local, victim, spare_replica(2));
    wait_fast(local);
    e2e_progress(load, 300);
    // Repaired, the founder stands by, and has its seat again when there is need.
    assert_int_equal(member(local, "add", name, ""), 0);
    e2e_kill(local, spare_replica(2));
    e2e_wait_sitter(local, victim, e2e_replica(victim));
    wait_fast(local);
    e2e_progress(load, 300);
    assert_int_equal(tacit_incarnation_generation(
                         (tacit_incarnation_t)e2e_number(local, victim, NULL, "incarnation")),
                     3);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

static void test_dead_leader_is_replaced(void **state)
{
    (void)state;
    replace_and_replace(&crash);
}

static void test_dead_leader_is_replaced_byzantine(void **state)
{
    (void)state;
    replace_and_replace(&byzantine);
}

// A member that stands still is as good as dead; when it goes on it is somebody who was replaced.
static void test_stopped_member_is_replaced(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&crash, false);
    struct load *load = e2e_load(local);
    e2e_progress(load, 300);
    uint16_t victim = e2e_hit_leader(local, SIGSTOP);
    e2e_progress(load, 300);
    e2e_wait_sitter(local, victim, spare_replica(1));
    assert_int_equal(local_signal(local, e2e_replica(victim), SIGCONT, NULL), TACIT_OK);
    e2e_progress(load, 1000);
    e2e_wait_sitter(local, victim, spare_replica(1));
    e2e_verdict(load);
    e2e_cluster_end(local);
}

static void replace_memnode(const struct local_plan *plan)
{
    struct tacit_error error;
    struct local *local = e2e_cluster(plan, false);
    struct load *load = e2e_load(local);
    const struct local_node founder = {LOCAL_MEMNODE, 0};
    const struct local_node spare = {LOCAL_SPARE_MEMNODE, 1};
    e2e_progress(load, 300);
    e2e_wait_hosts(local);
    e2e_kill(local, founder);
    e2e_progress(load, 300);
    // Nobody counts on it while the dead one's incarnation is the member, or it is not connected.
    e2e_wait_log(local, "spare-memnode-1", " start incarnation=");
    e2e_wait_hosts(local);
    wait_fast(local);
    // It is what the other one was: killed and started again, it comes back into the same seat.
    e2e_kill(local, spare);
    e2e_progress(load, 300);
    assert_int_equal(local_start(local, spare, &error), TACIT_OK);
    e2e_wait_hosts(local);
    // The founder stands by, and takes over when the spare is gone for good.
    assert_int_equal(local_start(local, founder, &error), TACIT_OK);
    e2e_wait_log(local, "memnode-0", " barred ");
    assert_int_equal(member(local, "add", "memnode-0", ""), 0);
    e2e_kill(local, spare);
    e2e_progress(load, 300);
    e2e_wait_hosts(local);
    wait_fast(local);
    e2e_progress(load, 300);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

static void test_dead_memnode_is_replaced(void **state)
{
    (void)state;
    replace_memnode(&crash_on_memnodes);
}

static void test_dead_memnode_is_replaced_byzantine(void **state)
{
    (void)state;
    replace_memnode(&byzantine);
}

static void orders(const struct local_plan *plan)
{
    struct tacit_error error;
    struct local *local = e2e_cluster(plan, false);
    struct load *load = e2e_load(local);
    e2e_progress(load, 300);
    assert_int_equal(member(local, "list", "", ""), 0);
    // A living member, even the leader.
    uint16_t leader = (uint16_t)local_wait_leader(local, -1, E2E_READY_NS);
    char name[TACIT_CONFIG_NAME_BYTES];
    local_name(e2e_replica(leader), name);
    assert_int_equal(member(local, "replace", name, "--with spare-replica-2"), 0);
    e2e_wait_sitter(local, leader, spare_replica(2));
    e2e_progress(load, 300);
    // Removed: the seat stays empty, though there is a free spare.
    uint16_t other = (uint16_t)((leader + 1) % 3);
    local_name(e2e_replica(other), name);
    assert_int_equal(member(local, "remove", name, ""), 0);
    e2e_progress(load, 300);
    cli_sleep_ns(3 * REPLACE_AFTER_NS); // time enough for a spare that would come by itself
    assert_int_equal(local_members(local) >> other & 1u, 0);
    // One more, and the rest is no quorum.
    char third[TACIT_CONFIG_NAME_BYTES];
    local_name(e2e_replica((uint16_t)((leader + 2) % 3)), third);
    assert_int_not_equal(member(local, "remove", third, ""), 0);
    assert_int_not_equal(member(local, "remove", name, ""), 0); // is none any more
    // Who was removed is refused until it is added.
    local_end(local, e2e_replica(other));
    assert_int_equal(local_start(local, e2e_replica(other), &error), TACIT_OK);
    e2e_wait_log(local, name, " barred ");
    assert_int_equal(local_members(local) >> other & 1u, 0);
    assert_int_equal(member(local, "add", name, ""), 0);
    e2e_wait_sitter(local, other, e2e_replica(other));
    e2e_progress(load, 300);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

static void test_orders(void **state)
{
    (void)state;
    orders(&crash);
}

static void test_orders_byzantine(void **state)
{
    (void)state;
    orders(&byzantine);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dead_leader_is_replaced),
        cmocka_unit_test(test_stopped_member_is_replaced),
        cmocka_unit_test(test_dead_memnode_is_replaced),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_dead_leader_is_replaced_byzantine),
        cmocka_unit_test(test_dead_memnode_is_replaced_byzantine),
        cmocka_unit_test(test_orders_byzantine),
    };
    e2e_begin(argc, argv);
    return cmocka_run_group_tests_name("spare", tests, NULL, NULL);
}
