// SPDX-License-Identifier: Apache-2.0
//
// Spares over verbs, in both modes: a replica and a memory node that are killed for good are
// replaced, under load, by spares with keys and addresses of their own; the old ones, started
// again, are refused and say why; then the group lives on its spares alone. Real processes on a
// real (or software) device; run.sh runs it in the virtual machine. Without the address of a device
// in TACIT_RDMA_ADDRESS it is skipped.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../e2e/e2e.h"

#define SKIPPED 77
#define REPLACE_AFTER_NS UINT64_C(50000000) // times the patience: more than suspicion
#define PROGRESS 20u

static void start(struct local *local, struct local_node node)
{
    struct tacit_error error = {.text = ""};
    if (local_start(local, node, &error) != TACIT_OK) {
        fail_msg("%s", error.text);
    }
}

static void say(const char *what, uint64_t since_ns)
{
    print_message("%6.1f s: %s\n", (double)(cli_now_ns() - since_ns) / 1e9, what);
}

static void run(struct local_plan plan)
{
    static const struct local_node memnode = {LOCAL_MEMNODE, 0};
    static const struct local_node spare = {LOCAL_SPARE_REPLICA, 1};
    char name[TACIT_CONFIG_NAME_BYTES];
    const char *patience = getenv("TACIT_RDMA_PATIENCE");
    uint64_t began_ns = cli_now_ns();
    plan.memnodes = 3;
    plan.spare_replicas = plan.spare_memnodes = 1;
    plan.fabric = TACIT_CONFIG_VERBS;
    plan.waiting = TACIT_CONFIG_ADAPTIVE;
    plan.patience = patience == NULL ? 1 : (uint32_t)strtoul(patience, NULL, 10);
    plan.replace_after_ns = REPLACE_AFTER_NS * plan.patience;
    (void)snprintf(plan.host, sizeof plan.host, "%s", getenv("TACIT_RDMA_ADDRESS"));
    struct local *local = e2e_make(&plan, false);
    e2e_start(local);
    struct load *load = e2e_load(local);
    e2e_progress(load, PROGRESS);
    say("up", began_ns);
    uint16_t victim = e2e_hit_leader(local, SIGKILL);
    assert_true(local_wait_gone(local, e2e_replica(victim), E2E_READY_NS));
    e2e_wait_sitter(local, victim, spare);
    e2e_progress(load, PROGRESS);
    say("the spare replica is a member", began_ns);
    e2e_wait_hosts(local);
    e2e_kill(local, memnode);
    e2e_wait_log(local, "spare-memnode-1", " start incarnation=");
    e2e_wait_hosts(local);
    e2e_progress(load, PROGRESS);
    say("the spare memory node counts", began_ns);
    start(local, e2e_replica(victim));
    start(local, memnode);
    local_name(e2e_replica(victim), name);
    e2e_wait_log(local, name, " barred ");
    e2e_wait_log(local, "memnode-0", " barred ");
    say("those who were replaced are refused", began_ns);
    // From here on nothing is decided without the spare, nor what it says other than from the state
    // that it fetched.
    uint16_t other = (uint16_t)((victim + 1u) % plan.replicas);
    e2e_kill(local, e2e_replica(other));
    e2e_progress(load, PROGRESS);
    say("and the group lives on its spares", began_ns);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

static void test_crash(void **state)
{
    (void)state;
    run((struct local_plan){.replicas = 2, .log_on = TACIT_CONFIG_LOG_ON_MEMNODES});
}

static void test_byzantine(void **state)
{
    (void)state;
    run((struct local_plan){.replicas = 3, .mode = TACIT_CONFIG_BYZANTINE});
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_crash),
                                       cmocka_unit_test(test_byzantine)};
    if (getenv("TACIT_RDMA_ADDRESS") == NULL) {
        print_message("skipped: TACIT_RDMA_ADDRESS does not name the address of an RDMA device\n");
        return SKIPPED;
    }
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
