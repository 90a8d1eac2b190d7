// SPDX-License-Identifier: Apache-2.0
//
// Every process of a cluster is restarted, one after the other, under load: no request fails,
// nothing acknowledged is lost (though each memory that held it was emptied), and everybody is a
// member again under another incarnation.
#include <stdio.h>

#include "e2e.h"

static void roll(const struct local_plan *plan)
{
    struct local *local = e2e_cluster(plan, false);
    struct load *load = e2e_load(local);
    struct local_rolling result;
    struct tacit_error error;
    uint64_t before = load_acknowledged(load);
    uint64_t start_ns = cli_now_ns();
    pid_t pids[2][TACIT_REPLICAS_MAX] = {{0}};
    for (uint16_t i = 0; i < local->config.replica_count; i++) {
        pids[0][i] = local_pid(local, e2e_replica(i));
    }
    for (uint16_t i = 0; i < local->config.memnode_count; i++) {
        pids[1][i] = local_pid(local, (struct local_node){LOCAL_MEMNODE, i});
    }
    if (local_rolling_restart(local, true, &result, &error) != TACIT_OK) {
        fail_msg("%s", error.text);
    }
    struct load_outage outage = load_outage(load, start_ns, cli_now_ns());
    print_message("%llu requests of its client and %llu of the load were answered, none failed; "
                  "longest waits %.1f and %.1f ms\n",
                  (unsigned long long)result.answered,
                  (unsigned long long)(load_acknowledged(load) - before),
                  (double)result.stall_ns / 1e6, (double)outage.longest_wait_ns / 1e6);
    assert_int_equal(result.failed, 0);
    assert_true(result.answered > 100);
    assert_true(result.stall_ns > 0 && result.stall_ns < E2E_READY_NS / 3);
    for (uint16_t i = 0; i < local->config.replica_count; i++) {
        pid_t pid = local_pid(local, e2e_replica(i));
        assert_true(pid != 0 && pid != pids[0][i]);
        assert_true(e2e_number(local, i, NULL, "incarnation") >= 2);
    }
    for (uint16_t i = 0; i < local->config.memnode_count; i++) {
        pid_t pid = local_pid(local, (struct local_node){LOCAL_MEMNODE, i});
        assert_true(pid != 0 && pid != pids[1][i]);
    }
    e2e_progress(load, 300);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

static void test_crash_mode(void **state)
{
    static const struct local_plan plan = {
        .replicas = 3, .memnodes = 3, .waiting = TACIT_CONFIG_ADAPTIVE, .arena_bytes = 32u << 20};
    (void)state;
    roll(&plan);
}

static void test_logs_on_memnodes(void **state)
{
    static const struct local_plan plan = {.replicas = 3,
                                           .memnodes = 3,
                                           .log_on = TACIT_CONFIG_LOG_ON_MEMNODES,
                                           .waiting = TACIT_CONFIG_ADAPTIVE,
                                           .arena_bytes = 32u << 20};
    (void)state;
    roll(&plan);
}

static void test_byzantine_mode(void **state)
{
    static const struct local_plan plan = {.replicas = 3,
                                           .memnodes = 3,
                                           .mode = TACIT_CONFIG_BYZANTINE,
                                           .waiting = TACIT_CONFIG_ADAPTIVE,
                                           .arena_bytes = 32u << 20};
    (void)state;
    roll(&plan);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_crash_mode),
                                       cmocka_unit_test(test_logs_on_memnodes),
                                       cmocka_unit_test(test_byzantine_mode)};
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
