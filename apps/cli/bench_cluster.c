// SPDX-License-Identifier: Apache-2.0
//
// See bench_cluster.h.
#include "bench_cluster.h"

#include <stdio.h>

#include "cli.h"

static uint32_t all_of(uint32_t count)
{
    return (1u << count) - 1;
}

// Who leads, and so who is to lie, is known only when the cluster is up.
static enum tacit_status prepare_liars(const struct local *local, const char *attack,
                                       struct tacit_error *error)
{
    enum tacit_status status = TACIT_OK;
    for (uint16_t r = 0; r < local->config.replica_count && status == TACIT_OK; r++) {
        status = local_attack_set(local, r, attack, error);
        if (status == TACIT_OK) {
            status = local_attack_set(local, r, "none", error);
        }
    }
    return status;
}

enum tacit_status bench_cluster_open(struct local *local, const struct local_plan *plan,
                                     struct bench_service service, struct tacit_error *error)
{
    *local = (struct local){0};
    enum tacit_status status = scratch_open(local, plan, error);
    if (status != TACIT_OK) {
        return status;
    }
    local->app = service.app;
    local->unreplicated = service.unreplicated;
    local->port = service.has_gateway ? scratch_port() : 0;
    if (service.attack != NULL) {
        status = prepare_liars(local, service.attack, error);
    }
    if (status == TACIT_OK) {
        status = local_up(local, error);
    }
    if (status == TACIT_OK && !service.unreplicated &&
        !local_wait_members(local, all_of(plan->replicas), BENCH_READY_NS)) {
        status = tacit_error_set(error, TACIT_ETIMEDOUT, 0, "not all replicas joined");
    }
    if (status != TACIT_OK) {
        scratch_close(local);
    }
    return status;
}

// Waits until each replica is connected to all others. Who was readmitted is connected to the
// leader; the two of them without a leader could not agree before they reach each other.
static bool wait_connected(const struct local *local, uint64_t end_ns)
{
    uint32_t replica = 0;
    while (replica < local->config.replica_count && cli_now_ns() < end_ns) {
        json_t *report = local_status(local, (uint16_t)replica);
        if (json_array_size(json_object_get(report, "up")) == local->config.replica_count) {
            replica++;
        } else {
            cli_sleep_ns(BENCH_LOOK_NS);
        }
        json_decref(report);
    }
    return replica == local->config.replica_count;
}

static bool wait_counted(const struct local *local, uint64_t end_ns)
{
    uint32_t all = all_of(local->config.memnode_count);
    bool is_counted = local_counted_memnodes(local) == all;
    while (!is_counted && cli_now_ns() < end_ns) {
        cli_sleep_ns(BENCH_LOOK_NS);
        is_counted = local_counted_memnodes(local) == all;
    }
    return is_counted;
}

enum tacit_status bench_cluster_sound(const struct local *local, int *leader,
                                      struct tacit_error *error)
{
    uint64_t end_ns = cli_now_ns() + BENCH_READY_NS;
    if (!local_wait_healthy(local, BENCH_READY_NS)) {
        return tacit_error_set(error, TACIT_EBUSY, 0,
                               "not every replica is a member and honest: a fault could be "
                               "beyond f");
    }
    if (!wait_connected(local, end_ns)) {
        return tacit_error_set(error, TACIT_EBUSY, 0,
                               "not everybody is connected to everybody: a group that has to wait "
                               "for connections says nothing about faults");
    }
    if (local_is_byzantine(local)) {
        if (!wait_counted(local, end_ns)) {
            return tacit_error_set(error, TACIT_ETIMEDOUT, 0, "a memory node does not count");
        }
        if (local_wait_fast(local, BENCH_READY_NS) == 0) {
            return tacit_error_set(error, TACIT_ETIMEDOUT, 0, "the fast path did not come back");
        }
    }
    *leader = local_wait_leader(local, -1, BENCH_READY_NS);
    return *leader >= 0 ? TACIT_OK : tacit_error_set(error, TACIT_ETIMEDOUT, 0, "nobody leads");
}

enum tacit_status bench_cluster_judge(struct load *load, enum tacit_status status,
                                      struct audit *audit, struct tacit_error *error)
{
    struct tacit_error other;
    bool is_cause = status == TACIT_OK || load_failed(load);
    enum tacit_status of_load = load_stop(load, is_cause ? error : &other);
    *audit = (struct audit){.linearizable = true};
    if (of_load == TACIT_OK) {
        *audit = audit_run(load);
    }
    if (audit->lost != 0 || !audit->linearizable) {
        (void)fprintf(stderr, "tacit: %llu acknowledged requests are lost: %s\n",
                      (unsigned long long)audit->lost, audit->text);
    }
    return is_cause ? of_load : status;
}
