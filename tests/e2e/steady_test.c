// SPDX-License-Identifier: Apache-2.0
//
// What a batch costs while nothing goes wrong, as the replicas count it: exactly one write for each
// other log host, no read, and not a message from anybody but the leader on the data plane (Mu,
// section 4). Replies are writes, too, and are counted apart.
#include <stdio.h>
#include <string.h>

#include "e2e.h"

#define BATCHES 2000u
#define WINDOWS_MAX 20u

static const struct local_plan on_replicas = {
    .replicas = 3, .waiting = TACIT_CONFIG_ADAPTIVE, .arena_bytes = 32u << 20};
static const struct local_plan on_five = {
    .replicas = 5, .waiting = TACIT_CONFIG_ADAPTIVE, .arena_bytes = 32u << 20};
static const struct local_plan on_memnodes = {.replicas = 2,
                                              .memnodes = 3,
                                              .log_on = TACIT_CONFIG_LOG_ON_MEMNODES,
                                              .waiting = TACIT_CONFIG_ADAPTIVE,
                                              .arena_bytes = 32u << 20};

// One replica's counters, all from one moment between two of its turns.
struct count {
    bool leads;
    uint64_t batches, replies, hints, unsteady; // unsteady: elections and the like
    uint64_t writes, self_writes, reads, denied, lost;
};

static struct count count_of(const struct local *local, uint16_t replica)
{
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    json_t *report = local_status(local, replica);
    while (report == NULL && cli_now_ns() < end_ns) { // a busy machine: it takes longer than 1 s
        report = local_status(local, replica);
    }
    assert_non_null(report);
    const json_t *data = json_object_get(json_object_get(report, "fabric"), "data");
    const char *role = json_string_value(json_object_get(report, "role"));
    assert_non_null(data);
    assert_non_null(role);
    struct count count = {.leads = strcmp(role, "leader") == 0};
    static const char *const others[] = {"elections_started", "elections_won", "elections_lost",
                                         "steps_down",        "grants",        "entries_copied",
                                         "state_transfers",   "adopted_words"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const json_t *counters = json_object_get(report, "counters");
        assert_non_null(json_object_get(counters, others[i])); // no misspelt name
        count.unsteady += local_number(report, "counters", others[i]);
    }
    count.batches = local_number(report, "counters", "batches_proposed");
    count.replies = local_number(report, "counters", "replies");
    count.hints = local_number(report, "counters", "hints");
    count.writes = local_number(data, NULL, "writes");
    count.self_writes = local_number(data, NULL, "self_writes");
    count.reads = local_number(data, NULL, "reads");
    count.denied = local_number(data, NULL, "denied");
    count.lost = local_number(data, NULL, "lost");
    json_decref(report);
    return count;
}

static void check_leader(const struct count *before, const struct count *after,
                         uint32_t other_hosts, bool is_host)
{
    uint64_t batches = after->batches - before->batches;
    uint64_t replies = after->replies - before->replies;
    uint64_t writes = after->writes - before->writes;
    print_message("%llu batches: %llu writes, of which %llu replies\n", (unsigned long long)batches,
                  (unsigned long long)writes, (unsigned long long)replies);
    assert_true(replies >= batches); // a batch has a request, and a request its reply
    assert_int_equal(writes - replies, batches * other_hosts);
    assert_int_equal(after->self_writes - before->self_writes, is_host ? batches : 0);
    assert_int_equal(after->reads, before->reads);
    assert_int_equal(after->denied, before->denied);
    assert_int_equal(after->lost, before->lost);
}

static void check_follower(const struct count *before, const struct count *after)
{
    assert_int_equal(after->batches, before->batches);
    assert_int_equal(after->replies, before->replies);
    assert_int_equal(after->writes, before->writes);
    assert_int_equal(after->self_writes, before->self_writes);
    assert_int_equal(after->reads, before->reads);
}

// One window of BATCHES batches. False: something else happened meanwhile (an election, a client
// that asked around because the machine made it wait), so that it says nothing.
static bool watch(const struct local *local, const struct load *load)
{
    struct count before[TACIT_REPLICAS_MAX], after[TACIT_REPLICAS_MAX];
    uint32_t count = local->config.replica_count;
    bool steady = true;
    int leader = local_leader(local);
    for (uint16_t r = 0; r < count; r++) {
        before[r] = count_of(local, r);
    }
    // A batch has at most one request of each client, a third of which are reads that need none;
    // twice that, as reports are some ms old.
    e2e_progress(load, 3ull * BATCHES * E2E_CLIENTS);
    for (uint16_t r = 0; r < count; r++) {
        after[r] = count_of(local, r);
        steady = steady && before[r].leads == (r == leader) && after[r].leads == (r == leader) &&
                 after[r].unsteady == before[r].unsteady && after[r].hints == before[r].hints;
    }
    if (!steady) {
        return false;
    }
    bool on_memnodes_now = local->config.log_on == TACIT_CONFIG_LOG_ON_MEMNODES;
    assert_true(after[leader].batches - before[leader].batches >= BATCHES);
    check_leader(&before[leader], &after[leader],
                 on_memnodes_now ? local->config.memnode_count : count - 1, !on_memnodes_now);
    for (uint16_t r = 0; r < count; r++) {
        if (r != leader) {
            check_follower(&before[r], &after[r]);
        }
    }
    return true;
}

// Log hosts that join the leader's term late get what they missed first: waits until all have.
static void wait_for_hosts(const struct local *local, const struct load *load)
{
    bool on_memnodes_now = local->config.log_on == TACIT_CONFIG_LOG_ON_MEMNODES;
    uint32_t hosts = on_memnodes_now ? local->config.memnode_count : local->config.replica_count;
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    while (local_counted_hosts(local) != (1u << hosts) - 1 && cli_now_ns() < end_ns) {
        cli_sleep_ns(1000000);
    }
    assert_int_equal(local_counted_hosts(local), (1u << hosts) - 1);
    e2e_progress(load, 2000);
}

static void run(const struct local_plan *plan)
{
    struct local *local = e2e_cluster(plan, false);
    struct load *load = e2e_load(local);
    e2e_progress(load, 300); // clients know the leader
    unsigned steady = 0;
    for (unsigned i = 0; i < WINDOWS_MAX && steady < 3; i++) {
        wait_for_hosts(local, load);
        steady += watch(local, load);
    }
    assert_true(steady > 0);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

static void test_logs_on_replicas(void **state)
{
    (void)state;
    run(&on_replicas);
}

static void test_five_replicas(void **state)
{
    (void)state;
    run(&on_five);
}

static void test_logs_on_memnodes(void **state)
{
    (void)state;
    run(&on_memnodes);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_logs_on_replicas),
                                       cmocka_unit_test(test_five_replicas),
                                       cmocka_unit_test(test_logs_on_memnodes)};
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
