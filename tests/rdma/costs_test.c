// SPDX-License-Identifier: Apache-2.0
//
// What a batch costs at the RDMA device while nothing goes wrong: work requests, doorbells and
// completions of each replica, against the writes that the protocol cannot do without. Real
// processes on a real (or software) device; run.sh runs it in the virtual machine. Without the
// address of a device in TACIT_RDMA_ADDRESS it is skipped.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../e2e/e2e.h"

#define WINDOW_REQUESTS 150u
#define WINDOWS_MAX 40u
#define STEADY_WINDOWS 3u
#define OTHERS_MAX 8u
// Reports of a replica are some milliseconds older than the counters of its device: some writes.
#define SLACK 1.1
#define SKEW 20.0
#define SKIPPED 77

// All of one replica, from its report.
struct sample {
    bool leads;
    uint64_t batches, replies;
    uint64_t others[OTHERS_MAX]; // whatever has a cost of its own
    uint64_t asked;              // operations of the engine, data plane
    uint64_t posts, doorbells, completions;
};

struct costs {
    double batches, replies, asked, posts, doorbells, completions;
};

// Counters of what is not the steady state.
static const char *const *others_of(const struct local *local)
{
    static const char *const crash[] = {
        "elections_started", "elections_won",   "grants", "entries_copied",
        "adopted_words",     "state_transfers", "hints",  NULL};
    static const char *const byzantine[] = {
        "decided_slow", "seals", "delivered_slow", "nudges", "bodies_fetched", "committed", NULL};
    return local_is_byzantine(local) ? byzantine : crash;
}

static struct sample sample_of(const struct local *local, uint16_t replica)
{
    const char *const *others = others_of(local);
    uint64_t end_ns = cli_now_ns() + local_patience_ns(local);
    json_t *report = local_status(local, replica);
    while (report == NULL && cli_now_ns() < end_ns) { // a slow machine
        report = local_status(local, replica);
    }
    assert_non_null(report);
    const json_t *rdma = json_object_get(report, "rdma");
    const json_t *data = json_object_get(json_object_get(report, "fabric"), "data");
    const char *device = json_string_value(json_object_get(rdma, "device"));
    const char *permission = json_string_value(json_object_get(rdma, "permission"));
    const char *role = json_string_value(json_object_get(report, "role"));
    assert_non_null(data);
    assert_non_null(role);
    assert_true(device != NULL && device[0] != '\0');
    assert_true(permission != NULL && strcmp(permission, "none") != 0);
    assert_true(local_number(rdma, NULL, "port") > 0 && local_number(rdma, NULL, "mtu_bytes") > 0);
    bool is_byzantine = local_is_byzantine(local);
    const char *section = is_byzantine ? "byzantine" : "counters";
    struct sample sample = {
        .leads = strcmp(role, "leader") == 0,
        .batches = is_byzantine ? local_number(report, "byzantine", "decided_fast")
                                : local_number(report, "counters", "batches_proposed"),
        .replies = local_number(report, "counters", "replies"),
        .asked = local_number(data, NULL, "writes") + local_number(data, NULL, "reads"),
        .posts = local_number(rdma, "data", "posts"),
        .doorbells = local_number(rdma, "data", "doorbells"),
        .completions = local_number(rdma, "data", "completions"),
    };
    for (size_t i = 0; others[i] != NULL; i++) {
        assert_non_null(json_object_get(json_object_get(report, section), others[i]));
        sample.others[i] = local_number(report, section, others[i]);
    }
    sample.others[OTHERS_MAX - 1] =
        local_number(rdma, NULL, "connections_broken") + local_number(rdma, NULL, "planes_renewed");
    json_decref(report);
    return sample;
}

static struct costs between(const struct sample *a, const struct sample *b)
{
    return (struct costs){.batches = (double)(b->batches - a->batches),
                          .replies = (double)(b->replies - a->replies),
                          .asked = (double)(b->asked - a->asked),
                          .posts = (double)(b->posts - a->posts),
                          .doorbells = (double)(b->doorbells - a->doorbells),
                          .completions = (double)(b->completions - a->completions)};
}

// Writes to other hosts that the batches cannot do without. Crash mode (Mu, section 4): the leader
// writes the log of each other host and replies, followers do nothing. Byzantine mode: PREPARE of
// the leader, LOCKED of the others and ACK of everybody, each to all others, and all reply.
static double needed(const struct local *local, bool leads, const struct costs *costs)
{
    double others = local->config.replica_count - 1.0;
    double writes = local_is_byzantine(local) ? 2.0 : leads ? 1.0 : 0.0;
    return writes * others * costs->batches + costs->replies;
}

// Bounds. A write may need a bell for a host that sleeps, behind the same doorbell unless somebody
// waits for the result of the write, which is so for the log; whatever is behind a doorbell has one
// completion. Byzantine mode says some things again and sends bodies apart: a quarter.
static void check(const struct local *local, uint16_t replica, bool leads,
                  const struct costs *costs)
{
    double least = needed(local, leads, costs);
    double bells = local_is_byzantine(local) ? 0.0 : least - costs->replies;
    print_message("replica %u, %s: %.0f batches, %.0f replies; for a batch the protocol needs %.2f "
                  "writes and did %.2f; the device: posts %.2f, doorbells %.2f, completions %.2f\n",
                  replica, leads ? "leader" : "follower", costs->batches, costs->replies,
                  least / costs->batches, costs->asked / costs->batches,
                  costs->posts / costs->batches, costs->doorbells / costs->batches,
                  costs->completions / costs->batches);
    double most = SLACK * least * (local_is_byzantine(local) ? 1.25 : 1.0) + SKEW;
    assert_true(costs->asked <= most);
    assert_true(costs->asked >= least / SLACK - SKEW);
    assert_true(costs->posts <= 2.0 * most);
    assert_true(costs->doorbells <= most + SLACK * bells);
    assert_true(costs->completions <= SLACK * costs->doorbells + SKEW);
}

// Whether nothing but batches was done between two samples; says what was.
static bool is_steady(const struct local *local, uint16_t replica, const struct sample *before,
                      const struct sample *after)
{
    const char *const *others = others_of(local);
    bool steady = before->leads == after->leads &&
                  before->others[OTHERS_MAX - 1] == after->others[OTHERS_MAX - 1];
    for (size_t i = 0; others[i] != NULL; i++) {
        if (before->others[i] != after->others[i]) {
            print_message("replica %u: %s rose by %llu, so this window does not count\n", replica,
                          others[i], (unsigned long long)(after->others[i] - before->others[i]));
            steady = false;
        }
    }
    return steady;
}

static void wait_for_requests(const struct local *local, const struct load *load)
{
    uint64_t end_ns = cli_now_ns() + local_patience_ns(local);
    uint64_t wanted = load_acknowledged(load) + WINDOW_REQUESTS;
    while (load_acknowledged(load) < wanted) {
        assert_false(load_failed(load));
        assert_true(cli_now_ns() < end_ns);
        cli_sleep_ns(2000000);
    }
}

// One window. False: something else happened meanwhile, so that it says nothing.
static bool watch(const struct local *local, const struct load *load)
{
    struct sample before[TACIT_REPLICAS_MAX];
    struct sample after[TACIT_REPLICAS_MAX];
    uint32_t count = local->config.replica_count;
    uint64_t batches = 0; // followers of crash mode do not count them
    bool steady = true;
    for (uint16_t r = 0; r < count; r++) {
        before[r] = sample_of(local, r);
    }
    wait_for_requests(local, load);
    for (uint16_t r = 0; r < count; r++) {
        after[r] = sample_of(local, r);
        steady = is_steady(local, r, &before[r], &after[r]) && steady;
        batches = after[r].leads ? after[r].batches - before[r].batches : batches;
    }
    for (uint16_t r = 0; r < count && steady; r++) {
        struct costs costs = between(&before[r], &after[r]);
        assert_true(batches > 0); // else nobody leads
        costs.batches = (double)batches;
        check(local, r, after[r].leads, &costs);
    }
    return steady;
}

static void run(enum tacit_config_mode mode)
{
    struct tacit_error error = {.text = ""};
    struct load *load = NULL;
    const char *patience = getenv("TACIT_RDMA_PATIENCE");
    struct local_plan plan = {.replicas = 3,
                              .memnodes = mode == TACIT_CONFIG_BYZANTINE ? 3 : 0,
                              .mode = mode,
                              .fabric = TACIT_CONFIG_VERBS,
                              .waiting = TACIT_CONFIG_ADAPTIVE,
                              .patience =
                                  patience == NULL ? 1 : (uint32_t)strtoul(patience, NULL, 10)};
    (void)snprintf(plan.host, sizeof plan.host, "%s", getenv("TACIT_RDMA_ADDRESS"));
    struct local *local = calloc(1, sizeof *local);
    assert_non_null(local);
    if (scratch_open(local, &plan, &error) != TACIT_OK || local_up(local, &error) != TACIT_OK ||
        !local_wait_members(local, (1u << plan.replicas) - 1, local_patience_ns(local)) ||
        load_start(&load, local, E2E_CLIENTS, 0, &error) != TACIT_OK) {
        scratch_close(local);
        fail_msg("the cluster does not start: %s", error.text);
    }
    unsigned steady = 0;
    for (unsigned i = 0; i < WINDOWS_MAX && steady < STEADY_WINDOWS; i++) {
        steady += watch(local, load);
    }
    assert_true(steady > 0);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

static void test_crash(void **state)
{
    (void)state;
    run(TACIT_CONFIG_CRASH);
}

static void test_byzantine(void **state)
{
    (void)state;
    run(TACIT_CONFIG_BYZANTINE);
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
