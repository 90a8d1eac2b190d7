// SPDX-License-Identifier: Apache-2.0
//
// tacit bench peers: the same SETs to what users would take instead, on this machine in the same
// run: Redis by itself, and Redis with two replicas that WAIT counts (an acknowledgement, no
// agreement), and three nodes of etcd, over its HTTP gateway. Rounds alternate; each system runs
// alone while it is measured.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_cluster.h"
#include "bench_options.h"
#include "bench_resp.h"
#include "bench_rounds.h"
#include "cli.h"
#include "generator.h"

#define WARM_UP_NS UINT64_C(150000000)
#define MANY 64u

// Who is measured; each is started once a round.
enum system { SYSTEM_REDIS = 0, SYSTEM_WAIT, SYSTEM_ETCD, SYSTEM_CRASH, SYSTEM_BYZANTINE, SYSTEMS };
static const char *const system_names[SYSTEMS] = {
    [SYSTEM_REDIS] = "redis, alone",
    [SYSTEM_WAIT] = "redis, 2 replicas, WAIT 2",
    [SYSTEM_ETCD] = "etcd, 3 nodes, HTTP",
    [SYSTEM_CRASH] = "tacit, crash mode",
    [SYSTEM_BYZANTINE] = "tacit, Byzantine mode",
};

// Over a library client's rings, or over TCP (to the gateway, if it is Tacit).
static const struct load {
    const char *name;
    bool is_tcp;
    uint32_t clients, pipeline;
} loads[] = {
    {"library, 1 client", false, 1, 1},        {"library, 64 in flight", false, MANY, 1},
    {"TCP, 1 connection", true, 1, 1},         {"TCP, 64 connections", true, MANY, 1},
    {"TCP, 64 x 16 in a row", true, MANY, 16},
};
#define LOADS (sizeof loads / sizeof loads[0])

struct cell {
    bool is_measured;
    struct bench_figure throughput, p50, p99;
    struct histogram latency; // of all rounds
};

struct arguments {
    uint64_t size, rounds, ms;
    const char *json;
};

struct bench {
    struct arguments arguments;
    struct cell cells[SYSTEMS][LOADS];
    uint64_t best_pace_ns;
    unsigned unfair; // measurements on a slow machine, that count all the same
    struct local local;
    struct bench_redis redis;
    struct bench_etcd etcd;
    struct generator_result result; // scratch
    struct histogram latency;
};

static const struct bench_option options[] = {
    BENCH_NUMBER(size, "size", "BYTES", 8, 2048, "Size of the values, 8 to 2048 (default 64)"),
    BENCH_NUMBER(rounds, "rounds", "N", 1, BENCH_ROUNDS_MAX, "Rounds over all systems (default 5)"),
    BENCH_NUMBER(ms, "milliseconds", "N", 50, 60000, "Length of each measurement (default 600)"),
    BENCH_JSON,
    {0},
};

// ---- measuring ---------------------------------------------------------------------------------

// Whether the system has such clients: Redis and etcd have none over rings, and etcd no pipeline.
static bool has_load(enum system system, const struct load *load)
{
    bool is_tacit = system == SYSTEM_CRASH || system == SYSTEM_BYZANTINE;
    return is_tacit || (load->is_tcp && (system != SYSTEM_ETCD || load->pipeline == 1));
}

static enum tacit_status measure(struct bench *bench, enum system system, const struct load *load,
                                 struct cell *cell, struct tacit_error *error)
{
    uint16_t port = system == SYSTEM_ETCD                             ? bench->etcd.ports[0]
                    : system == SYSTEM_REDIS || system == SYSTEM_WAIT ? bench->redis.ports[0]
                                                                      : bench->local.port;
    uint64_t before_ns = bench_pace_ns();
    enum tacit_status status;
    const struct histogram *latency = &bench->latency;
    uint64_t answered = 0;
    uint64_t duration_ns = bench->arguments.ms * 1000000;
    if (load->is_tcp) {
        struct bench_resp_options how = {.port = port,
                                         .connections = load->clients,
                                         .pipeline = load->pipeline,
                                         .replicas = system == SYSTEM_WAIT ? 2 : 0,
                                         .is_http = system == SYSTEM_ETCD,
                                         .value_bytes = (uint32_t)bench->arguments.size,
                                         .warm_up_ns = WARM_UP_NS,
                                         .duration_ns = duration_ns,
                                         .interrupted = scratch_interrupted};
        status = bench_resp_run(&how, &bench->latency, &answered, error);
    } else {
        struct generator_options how = {.work = generator_set(&bench->arguments.size),
                                        .in_flight = load->clients,
                                        .warm_up_ns = WARM_UP_NS,
                                        .duration_ns = duration_ns,
                                        .interrupted = scratch_interrupted};
        status = generator_run(&bench->local, &how, &bench->result, error);
        answered = bench->result.answered;
        latency = &bench->result.latency;
    }
    if (status == TACIT_OK) {
        bench->unfair += !bench_pace_is_fair(before_ns, bench_pace_ns(), &bench->best_pace_ns);
        cell->is_measured = true;
        bench_figure_add(&cell->throughput, (double)answered * 1e9 / (double)duration_ns);
        bench_figure_add(&cell->p50, (double)histogram_quantile(latency, 0.5));
        bench_figure_add(&cell->p99, (double)histogram_quantile(latency, 0.99));
        histogram_merge(&cell->latency, latency);
    }
    return status;
}

static enum tacit_status measure_loads(struct bench *bench, enum system system,
                                       struct tacit_error *error)
{
    enum tacit_status status = TACIT_OK;
    for (size_t i = 0; i < LOADS && status == TACIT_OK; i++) {
        if (has_load(system, &loads[i])) {
            status = measure(bench, system, &loads[i], &bench->cells[system][i], error);
        }
        if (status == TACIT_OK && scratch_interrupted()) {
            status = tacit_error_set(error, TACIT_ECLOSED, 0, "interrupted");
        }
    }
    return status;
}

static enum tacit_status measure_redis(struct bench *bench, enum system system,
                                       struct tacit_error *error)
{
    enum tacit_status status =
        bench_redis_start(&bench->redis, system == SYSTEM_WAIT ? 2 : 0, error);
    if (status == TACIT_OK) {
        status = measure_loads(bench, system, error);
    }
    bench_redis_stop(&bench->redis);
    return status;
}

static enum tacit_status measure_etcd(struct bench *bench, struct tacit_error *error)
{
    enum tacit_status status = bench_etcd_start(&bench->etcd, error);
    if (status == TACIT_OK) {
        status = measure_loads(bench, SYSTEM_ETCD, error);
    }
    bench_etcd_stop(&bench->etcd);
    return status;
}

static enum tacit_status measure_tacit(struct bench *bench, enum system system,
                                       struct tacit_error *error)
{
    struct local_plan plan = {.replicas = 3,
                              .memnodes = 3,
                              .mode = system == SYSTEM_BYZANTINE ? TACIT_CONFIG_BYZANTINE
                                                                 : TACIT_CONFIG_CRASH,
                              .waiting = TACIT_CONFIG_ADAPTIVE};
    enum tacit_status status = bench_cluster_open(
        &bench->local, &plan, (struct bench_service){.has_gateway = true}, error);
    if (status != TACIT_OK) {
        return status;
    }
    status = measure_loads(bench, system, error);
    scratch_close(&bench->local);
    return status;
}

static enum tacit_status run(struct bench *bench, struct tacit_error *error)
{
    enum tacit_status status = TACIT_OK;
    bool has_redis = bench_redis_is_here();
    bool has_etcd = bench_etcd_is_here();
    for (uint64_t round = 0; round < bench->arguments.rounds && status == TACIT_OK; round++) {
        for (unsigned i = 0; i < SYSTEMS && status == TACIT_OK; i++) {
            // Nobody is always the first, or always behind the same.
            enum system system = (enum system)(round % 2 == 0 ? i : SYSTEMS - 1 - i);
            bench_progress("round %llu of %llu: %s", (unsigned long long)round + 1,
                           (unsigned long long)bench->arguments.rounds, system_names[system]);
            if (system == SYSTEM_CRASH || system == SYSTEM_BYZANTINE) {
                status = measure_tacit(bench, system, error);
            } else if (system == SYSTEM_ETCD && has_etcd) {
                status = measure_etcd(bench, error);
            } else if (system != SYSTEM_ETCD && has_redis) {
                status = measure_redis(bench, system, error);
            }
        }
    }
    bench_progress_end();
    return status;
}

// ---- results -----------------------------------------------------------------------------------

static void print_cells(const struct bench *bench)
{
    (void)printf("SET of %llu bytes, medians and spread of %llu rounds\n",
                 (unsigned long long)bench->arguments.size,
                 (unsigned long long)bench->arguments.rounds);
    for (size_t i = 0; i < LOADS; i++) {
        (void)printf("%-30s %9s %20s %9s %18s %9s\n", loads[i].name, "SETs/s", "lowest..highest",
                     "p50 us", "lowest..highest", "p99 us");
        for (unsigned s = 0; s < SYSTEMS; s++) {
            const struct cell *cell = &bench->cells[s][i];
            if (cell->is_measured) {
                (void)printf("  %-28s %9.0f %9.0f..%-9.0f %9.1f %8.1f..%-8.1f %9.1f\n",
                             system_names[s], bench_median(&cell->throughput),
                             bench_lowest(&cell->throughput), bench_highest(&cell->throughput),
                             bench_median(&cell->p50) / 1e3, bench_lowest(&cell->p50) / 1e3,
                             bench_highest(&cell->p50) / 1e3, bench_median(&cell->p99) / 1e3);
            }
        }
    }
}

// A claim: a figure of ours by one of theirs, and where it should be.
struct claim {
    const char *text;
    enum system ours, theirs;
    size_t our_load, their_load;
    bool is_latency; // at most `bound`; else throughput: at least
    double bound;
};

static const struct claim claims[] = {
    {"p50, library, of WAIT 2's, crash", SYSTEM_CRASH, SYSTEM_WAIT, 0, 2, true, 0.1},
    {"p50, library, of WAIT 2's, Byzantine", SYSTEM_BYZANTINE, SYSTEM_WAIT, 0, 2, true, 1.0 / 3},
    {"SETs/s, library, 64, by WAIT 2's, crash", SYSTEM_CRASH, SYSTEM_WAIT, 1, 3, false, 5},
    {"SETs/s, library, 64, by WAIT 2's, Byz.", SYSTEM_BYZANTINE, SYSTEM_WAIT, 1, 3, false, 2},
    {"SETs/s, gateway, by redis', crash", SYSTEM_CRASH, SYSTEM_REDIS, 3, 3, false, 0.6},
    {"SETs/s, gateway, by redis', Byzantine", SYSTEM_BYZANTINE, SYSTEM_REDIS, 3, 3, false, 0.4},
    {"SETs/s, gateway, -P 16, crash", SYSTEM_CRASH, SYSTEM_REDIS, 4, 4, false, 0.6},
    {"SETs/s, gateway, -P 16, Byzantine", SYSTEM_BYZANTINE, SYSTEM_REDIS, 4, 4, false, 0.4},
};

static json_t *claims_json(const struct bench *bench)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        const struct claim *claim = &claims[i];
        const struct cell *ours = &bench->cells[claim->ours][claim->our_load];
        const struct cell *theirs = &bench->cells[claim->theirs][claim->their_load];
        if (!ours->is_measured || !theirs->is_measured) {
            continue;
        }
        const struct bench_figure *a = claim->is_latency ? &ours->p50 : &ours->throughput;
        const struct bench_figure *b = claim->is_latency ? &theirs->p50 : &theirs->throughput;
        struct bench_figure ratio = {0};
        bench_figure_ratio(&ratio, a, b);
        double median = bench_median(&ratio);
        bool is_met = claim->is_latency ? median <= claim->bound : median >= claim->bound;
        (void)printf("%-42s %7.3f x (%.3f..%.3f), wanted %s %.3f: %s\n", claim->text, median,
                     bench_lowest(&ratio), bench_highest(&ratio),
                     claim->is_latency ? "at most" : "at least", claim->bound,
                     is_met ? "met" : "NOT met");
        json_t *object = bench_figure_json(&ratio);
        (void)json_object_set_new(object, "what", json_string(claim->text));
        (void)json_object_set_new(object, "bound", json_real(claim->bound));
        (void)json_object_set_new(object, "met", json_boolean(is_met));
        (void)json_array_append_new(list, object);
    }
    return list;
}

static json_t *report_results(const struct bench *bench)
{
    json_t *results = json_object();
    json_t *cells = json_array();
    print_cells(bench);
    for (unsigned s = 0; s < SYSTEMS; s++) {
        for (size_t i = 0; i < LOADS; i++) {
            const struct cell *cell = &bench->cells[s][i];
            if (cell->is_measured) {
                json_t *object = json_object();
                (void)json_object_set_new(object, "system", json_string(system_names[s]));
                (void)json_object_set_new(object, "load", json_string(loads[i].name));
                (void)json_object_set_new(object, "sets_per_s",
                                          bench_figure_json(&cell->throughput));
                (void)json_object_set_new(object, "p50_ns", bench_figure_json(&cell->p50));
                (void)json_object_set_new(object, "p99_ns", bench_figure_json(&cell->p99));
                (void)json_object_set_new(object, "latency", bench_distribution(&cell->latency));
                (void)json_array_append_new(cells, object);
            }
        }
    }
    bench_put(results, "size", bench->arguments.size);
    (void)json_object_set_new(results, "cells", cells);
    (void)json_object_set_new(results, "claims", claims_json(bench));
    bench_put(results, "measured_on_a_slow_machine", bench->unfair);
    (void)printf("%u measurements while the machine was slow\n", bench->unfair);
    if (!bench_redis_is_here()) {
        (void)printf("not compared: there is no redis-server (Debian's package redis-server)\n");
    }
    if (!bench_etcd_is_here()) {
        (void)printf("not compared: there is no etcd (Debian's package etcd-server)\n");
    }
    return results;
}

int bench_peers(int argc, char **argv)
{
    struct tacit_error error;
    struct bench *bench = calloc(1, sizeof *bench);
    if (bench == NULL) {
        return cli_complain("no memory");
    }
    bench->arguments = (struct arguments){.size = 64, .rounds = 5, .ms = 600};
    if (bench_parse(options,
                    "The same SETs to Redis, to Redis with two replicas, to etcd, and to Tacit.",
                    argc, argv, &bench->arguments) != 0) {
        free(bench);
        return 2;
    }
    int result = run(bench, &error) == TACIT_OK
                     ? bench_write(bench->arguments.json, "peers", report_results(bench))
                     : cli_fail(&error);
    free(bench);
    return result;
}
