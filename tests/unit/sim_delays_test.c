// SPDX-License-Identifier: Apache-2.0
//
// What a request costs in a Byzantine group to which nothing happens, in virtual time where each
// write takes one unit and all else next to nothing: five one-way delays from client to client
// (request, LOCK, LOCKED, ACK, reply), no signature, and nothing at the memory nodes.
// tests/e2e/byzantine_test.c asks real processes for the counters.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/sim_cluster.h"
#include "tacit/wire.h"

#define SEEDS 20u
#define UNIT_NS 20000u // five are less than the time-out of a client of the simulator
#define DELAYS 5u
#define OPERATIONS 40u // ids of half a tail, after which a summary is signed, are not reached
#define SETTLED 5u     // operations that are not looked at: connections, the session

static uint32_t no_draw(void *context, uint32_t bound)
{
    (void)context;
    (void)bound;
    return 0;
}

static struct sim_shape calm_shape(uint8_t replicas)
{
    static struct tacit_signer no_signer; // each replica gets its own
    return (struct sim_shape){
        .smr = {.engine = TACIT_ENGINE_BYZANTINE,
                .replicas = replicas,
                .memnodes = 3,
                .incarnation = 1,
                .first_member = true,
                .draw = no_draw,
                .app_options = "",
                .request_bytes = CHECKER_BODY_BYTES,
                .reply_bytes = CHECKER_REPLY_BYTES,
                .batch_requests = 1,
                .batch_bytes = (uint32_t)tacit_wire_item_bytes(CHECKER_BODY_BYTES),
                .inflight = 4,
                .log_entries = 64,
                .sessions_per_client = SIM_CLIENT_SESSIONS,
                .session_pipeline = 1,
                .ring_slots = 16,
                .arena_bytes = TACIT_PAGE_BYTES,
                .beat_period_ns = 1000000,
                .suspicion_ns = 1000 * UNIT_NS,
                .permission_timeout_ns = 1000 * UNIT_NS,
                .laggard_after_ns = 1000 * UNIT_NS,
                .clients = 1,
                .byzantine = {.broadcast_on = TACIT_BROADCAST_ON_REPLICAS,
                              .window = 256,
                              .tail = 128,
                              .slow_after_ns = 100 * UNIT_NS,
                              .cooldown_ns = UNIT_NS,
                              .retry_ns = 100 * UNIT_NS,
                              .join_after_ns = 1000 * UNIT_NS,
                              .view_timeout_ns = 1000 * UNIT_NS,
                              .view_timeout_max_ns = 4000 * UNIT_NS,
                              .signer = &no_signer}},
        .clients = 1,
        .operations = OPERATIONS,
        .client_sessions = 1,
        .client_pipeline = 1,
        .think_ns = 1,
        .keys = 3,
        .read_share = 2,
        .spin = true,
        .poll_ns = 1,
        .detect_ns = UNIT_NS,
        .sign_ns = 25000,
        .verify_ns = 70000,
        .safety_ns = (uint64_t)100 * OPERATIONS * UNIT_NS};
}

struct cost {
    uint64_t fast, slow, signatures, registers, reads, views;
};

static struct cost cost_of(const struct sim_cluster *cluster)
{
    struct cost cost = {0};
    struct tacit_status_report report;
    for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
        memset(&report, 0, sizeof report);
        tacit_smr_status(cluster->process[r].smr, &report);
        cost.fast += report.decided_fast;
        cost.slow += report.decided_slow;
        cost.signatures += report.signatures_made + report.signatures_checked;
        cost.registers += report.register_writes + report.register_reads;
        cost.reads += report.fabric_reads[TACIT_PLANE_DATA];
        cost.views += report.view;
    }
    return cost;
}

static void run(uint64_t seed, struct sim_cluster *cluster, uint8_t replicas)
{
    struct choice choice;
    struct sim_model model;
    struct sim_shape shape = calm_shape(replicas);
    choice_init_seed(&choice, seed);
    sim_model_draw(&model, &choice, 0);
    model.latency_ns = UNIT_NS;
    model.jitter_ns = 0;
    model.self_latency_ns = 0;
    sim_cluster_start(cluster, &choice, &shape, &model);
    struct sim_process *client = &cluster->process[cluster->processes - 1];
    struct cost before = {0};
    uint32_t done = 0;
    uint64_t since_ns = 0, sent = 0, results = 0;
    while (!sim_client_done(client) && sim_cluster_step(cluster)) {
        if (sim_cluster_violation(cluster) != NULL) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, sim_cluster_violation(cluster));
        }
        // A request is sent in the turn in which the one before it is answered.
        const struct tacit_client_counters *now = tacit_client_counters(client->client);
        if (now->results > results) {
            uint64_t took_ns = cluster->net->now_ns - since_ns;
            if (++done == SETTLED) {
                before = cost_of(cluster);
            } else if (done > SETTLED && took_ns / UNIT_NS != DELAYS) {
                fail_msg("seed %llu: operation %u took %llu ns of units of %u",
                         (unsigned long long)seed, done, (unsigned long long)took_ns, UNIT_NS);
            }
        }
        since_ns = now->sent > sent ? cluster->net->now_ns : since_ns;
        results = now->results;
        sent = now->sent;
    }
    assert_true(sim_client_done(client));
    assert_true(done >= OPERATIONS);
    struct cost after = cost_of(cluster);
    assert_true(after.fast - before.fast >= (uint64_t)(replicas - 1) * (OPERATIONS - SETTLED));
    assert_int_equal(after.slow, before.slow);
    assert_int_equal(after.signatures, before.signatures);
    assert_int_equal(after.registers, before.registers);
    assert_int_equal(after.reads, before.reads);
    assert_int_equal(after.views, 0);
    for (uint32_t r = 0; r < replicas; r++) {
        tacit_smr_fini(cluster->process[r].smr);
    }
}

static void a_request_takes_five_delays_and_no_signature(void **state)
{
    (void)state;
    struct sim_cluster *cluster = sim_cluster_open();
    assert_non_null(cluster);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run(seed, cluster, seed % 4 != 0 ? 3 : 5);
    }
    sim_cluster_close(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_takes_five_delays_and_no_signature)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
