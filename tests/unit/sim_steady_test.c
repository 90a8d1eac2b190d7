// SPDX-License-Identifier: Apache-2.0
//
// What a batch costs in a simulated cluster to which nothing happens, whatever the schedule: on the
// data plane one write for each other log host, no read, and nothing from followers but answers to
// clients that asked them. tests/e2e/steady_test.c asks real processes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/sim_cluster.h"
#include "tacit/wire.h"

#define SEEDS 200u
#define DATA TACIT_PLANE_DATA
#define CATCH_UP_NS 1000000u

static uint32_t no_draw(void *context, uint32_t bound)
{
    (void)context;
    (void)bound;
    return 0;
}

static struct sim_shape calm_shape(enum tacit_log_place log_on, uint8_t replicas)
{
    struct sim_shape shape = {
        .smr = {.engine = TACIT_ENGINE_CRASH,
                .log_on = log_on,
                .replicas = replicas,
                .memnodes = log_on == TACIT_LOG_ON_MEMNODES ? 3 : 0,
                .incarnation = 1,
                .first_member = true,
                .draw = no_draw,
                .app_options = "",
                .request_bytes = CHECKER_BODY_BYTES,
                .reply_bytes = CHECKER_REPLY_BYTES,
                .batch_requests = 4,
                .batch_bytes = 4 * (uint32_t)tacit_wire_item_bytes(CHECKER_BODY_BYTES),
                .inflight = 4,
                .log_entries = 64,
                .sessions_per_client = SIM_CLIENT_SESSIONS,
                .session_pipeline = 4,
                .ring_slots = 16,
                .arena_bytes = TACIT_PAGE_BYTES,
                .beat_period_ns = 1000000,
                .suspicion_ns = 5000000,
                .permission_timeout_ns = 200000,
                .laggard_after_ns = 20000000,
                .clients = 3},
        .clients = 3,
        .operations = 120,
        .client_sessions = 1,
        .client_pipeline = 4,
        .think_ns = 1000000, // so that every log host has joined the term soon
        .keys = 3,
        .read_share = 2,
        .poll_ns = 300,
        .detect_ns = 200000,
        .safety_ns = 1000000000};
    return shape;
}

static bool clients_done(const struct sim_cluster *cluster)
{
    for (uint32_t i = cluster->processes - cluster->shape.clients; i < cluster->processes; i++) {
        if (!sim_client_done(&cluster->process[i])) {
            return false;
        }
    }
    return true;
}

static void report_all(const struct sim_cluster *cluster, struct tacit_status_report *reports)
{
    for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
        tacit_smr_status(cluster->process[r].smr, &reports[r]);
    }
}

static void check(const struct tacit_status_report *before, const struct tacit_status_report *after,
                  uint64_t other_hosts, bool is_host)
{
    bool leads = after->role == TACIT_ROLE_LEADER;
    uint64_t batches = after->batches_proposed - before->batches_proposed;
    uint64_t replies = after->replies - before->replies;
    uint64_t writes = after->fabric_writes[DATA] - before->fabric_writes[DATA];
    assert_int_equal(after->elections_started, before->elections_started); // calm indeed
    assert_true(leads ? batches > 10 : batches == 0);
    assert_int_equal(writes - replies, leads ? batches * other_hosts : 0);
    assert_int_equal(after->fabric_self_writes[DATA] - before->fabric_self_writes[DATA],
                     leads && is_host ? batches : 0);
    assert_int_equal(after->fabric_reads[DATA], before->fabric_reads[DATA]);
    assert_true(leads || replies == after->hints - before->hints);
}

static void run(uint64_t seed, struct sim_cluster *cluster, enum tacit_log_place log_on,
                uint8_t replicas)
{
    struct choice choice;
    struct sim_model model;
    struct sim_shape shape = calm_shape(log_on, replicas);
    struct tacit_status_report before[SIM_REPLICAS_MAX], after[SIM_REPLICAS_MAX];
    bool began = false;
    uint64_t whole_ns = UINT64_MAX; // since when the leader streams to every host
    bool on_memnodes = log_on == TACIT_LOG_ON_MEMNODES;
    uint32_t hosts = on_memnodes ? shape.smr.memnodes : replicas;
    choice_init_seed(&choice, seed);
    sim_model_draw(&model, &choice, 0);
    model.jitter_ns = 3000;
    sim_cluster_start(cluster, &choice, &shape, &model);
    while (!clients_done(cluster) && cluster->net->now_ns < shape.safety_ns &&
           sim_cluster_step(cluster)) {
        if (sim_cluster_violation(cluster) != NULL) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, sim_cluster_violation(cluster));
        }
        report_all(cluster, after);
        for (uint32_t r = 0; r < replicas && whole_ns == UINT64_MAX; r++) {
            bool whole = after[r].role == TACIT_ROLE_LEADER &&
                         after[r].confirmed == (1u << hosts) - 1 && after[r].requests_executed > 0;
            whole_ns = whole ? cluster->net->now_ns : UINT64_MAX;
        }
        // The last host to join the term gets what it missed first.
        began = whole_ns != UINT64_MAX && cluster->net->now_ns > whole_ns + CATCH_UP_NS;
        if (!began) {
            memcpy(before, after, sizeof before);
        }
    }
    assert_true(clients_done(cluster));
    assert_true(began);
    for (uint32_t r = 0; r < replicas; r++) {
        check(&before[r], &after[r], on_memnodes ? hosts : hosts - 1, !on_memnodes);
        tacit_smr_fini(cluster->process[r].smr);
    }
}

static void batch__costs_one_write_a_log_host(void **state)
{
    (void)state;
    struct sim_cluster *cluster = sim_cluster_open();
    assert_non_null(cluster);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run(seed, cluster, TACIT_LOG_ON_REPLICAS, seed % 2 != 0 ? 3 : 5);
        run(seed, cluster, TACIT_LOG_ON_MEMNODES, 2);
    }
    sim_cluster_close(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(batch__costs_one_write_a_log_host)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
