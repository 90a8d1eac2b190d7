// SPDX-License-Identifier: Apache-2.0
//
// tacit bench load: throughput against latency. First closed loops, with more and more requests in
// flight; then open ones, at parts of the highest throughput that the closed ones reached, where
// latency counts from the time at which a request was to be sent. Each round has a cluster of its
// own: where processes come to lie in memory and on processors is part of the spread.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_cluster.h"
#include "bench_options.h"
#include "bench_rounds.h"
#include "bench_stalls.h"
#include "cli.h"
#include "generator.h"

#define WARM_UP_NS UINT64_C(150000000)
#define POINTS 11u
#define CLOSED 7u   // of them
#define ATTEMPTS 3u // for a run that the machine spoils

struct arguments {
    enum tacit_config_mode mode;
    enum tacit_config_waiting waiting;
    enum tacit_config_log_on log_on;
    uint64_t size, rounds, ms;
    uint64_t in_flight; // 0: all points
    const char *json;
};

struct counts {
    uint64_t batches, requests, slow, seals, signatures;
};

// One point of the curve: so many in flight, or so large a part of the peak.
struct point {
    uint32_t in_flight;
    double part; // 0: a closed loop
    double rate_per_s;
    struct bench_figure throughput, p50, p99, batch;
    struct counts counts;       // of replica 0, in all rounds
    uint64_t time_outs, resent; // of the clients, in all rounds
    struct histogram latency;   // of all rounds
};

struct bench {
    struct arguments arguments;
    struct local local;
    struct stalls *stalls;
    struct point points[POINTS];
    unsigned point_count;
    double peak_per_s;
    uint64_t best_pace_ns;
    unsigned dropped, unfair;       // runs on a slow machine: repeated, and kept all the same
    struct generator_result result; // of the last run
    struct counts counts;
};

static const struct bench_option options[] = {
    BENCH_MODE,
    BENCH_SIZE(4096),
    BENCH_NUMBER(rounds, "rounds", "N", 1, BENCH_ROUNDS_MAX, "Rounds over all points (default 5)"),
    BENCH_NUMBER(ms, "milliseconds", "N", 50, 60000,
                 "Length of each point in a round (default 600)"),
    BENCH_WAITING,
    BENCH_LOG_ON,
    BENCH_NUMBER(in_flight, "in-flight", "N", 1, GENERATOR_FLIGHT_MAX,
                 "Only a closed loop with so many in flight, 1 to 512"),
    BENCH_JSON,
    {0},
};

// ---- measuring ---------------------------------------------------------------------------------

// What the first replica counted: all of them decide and execute.
static struct counts count(const struct bench *bench)
{
    json_t *report = local_status(&bench->local, 0);
    struct counts counts = {.batches = local_number(report, "counters", "batches_decided"),
                            .requests = local_number(report, "counters", "requests_executed"),
                            .slow = local_number(report, "byzantine", "decided_slow"),
                            .seals = local_number(report, "byzantine", "seals"),
                            .signatures = local_number(report, "byzantine", "signatures_checked")};
    json_decref(report);
    return counts;
}

static enum tacit_status measure(struct bench *bench, const struct point *point,
                                 struct tacit_error *error)
{
    struct generator_options how = {.work = generator_flip(&bench->arguments.size),
                                    .in_flight = point->in_flight,
                                    .rate_per_s = point->rate_per_s,
                                    .warm_up_ns = WARM_UP_NS,
                                    .duration_ns = bench->arguments.ms * 1000000,
                                    .interrupted = scratch_interrupted};
    struct counts before = count(bench);
    enum tacit_status status = generator_run(&bench->local, &how, &bench->result, error);
    struct counts after = count(bench);
    bench->counts.batches = after.batches - before.batches;
    bench->counts.requests = after.requests - before.requests;
    bench->counts.slow = after.slow - before.slow;
    bench->counts.seals = after.seals - before.seals;
    bench->counts.signatures = after.signatures - before.signatures;
    return status;
}

static void keep(const struct bench *bench, struct point *point)
{
    const struct histogram *latency = &bench->result.latency;
    double batches = (double)(bench->counts.batches == 0 ? 1 : bench->counts.batches);
    bench_figure_add(&point->throughput,
                     (double)bench->result.answered * 1e9 / (double)bench->result.duration_ns);
    bench_figure_add(&point->p50, (double)histogram_quantile(latency, 0.5));
    bench_figure_add(&point->p99, (double)histogram_quantile(latency, 0.99));
    bench_figure_add(&point->batch, (double)bench->counts.requests / batches);
    point->counts.slow += bench->counts.slow;
    point->counts.seals += bench->counts.seals;
    point->counts.signatures += bench->counts.signatures;
    point->time_outs += bench->result.time_outs;
    point->resent += bench->result.resent;
    histogram_merge(&point->latency, latency);
}

// A point, again where the machine was slow.
static enum tacit_status measure_fairly(struct bench *bench, struct point *point,
                                        struct tacit_error *error)
{
    bool is_fair = false;
    for (unsigned attempt = 0; attempt < ATTEMPTS && !is_fair; attempt++) {
        uint64_t before_ns = bench_pace_ns();
        enum tacit_status status = measure(bench, point, error);
        if (status != TACIT_OK) {
            return status;
        }
        is_fair = bench_pace_is_fair(before_ns, bench_pace_ns(), &bench->best_pace_ns);
        bench->dropped += !is_fair && attempt + 1 < ATTEMPTS;
    }
    bench->unfair += !is_fair;
    keep(bench, point);
    return TACIT_OK;
}

// One after the other in each round, so that no point has the machine's best time for itself.
static enum tacit_status measure_all(struct bench *bench, unsigned from, unsigned to,
                                     struct tacit_error *error)
{
    const struct local_plan plan = {.replicas = 3,
                                    .memnodes = 3,
                                    .mode = bench->arguments.mode,
                                    .waiting = bench->arguments.waiting,
                                    .log_on = bench->arguments.log_on};
    enum tacit_status status = TACIT_OK;
    for (uint64_t round = 0; round < bench->arguments.rounds && from < to && status == TACIT_OK;
         round++) {
        status =
            bench_cluster_open(&bench->local, &plan, (struct bench_service){.app = "flip"}, error);
        if (status != TACIT_OK) {
            return status;
        }
        for (unsigned p = from; p < to && status == TACIT_OK; p++) {
            bench_progress("round %llu of %llu, point %u of %u", (unsigned long long)round + 1,
                           (unsigned long long)bench->arguments.rounds, p + 1, bench->point_count);
            status = measure_fairly(bench, &bench->points[p], error);
        }
        scratch_close(&bench->local);
    }
    bench_progress_end();
    return status;
}

static enum tacit_status run(struct bench *bench, struct tacit_error *error)
{
    static const uint32_t in_flight[CLOSED] = {1, 4, 16, 64, 128, 256, 448};
    static const double parts[POINTS - CLOSED] = {0.25, 0.5, 0.75, 0.9};
    bench->point_count = POINTS;
    for (unsigned p = 0; p < CLOSED; p++) {
        bench->points[p].in_flight = in_flight[p];
    }
    if (bench->arguments.in_flight != 0) {
        bench->point_count = 1;
        bench->points[0].in_flight = (uint32_t)bench->arguments.in_flight;
    }
    enum tacit_status status =
        measure_all(bench, 0, bench->point_count < CLOSED ? bench->point_count : CLOSED, error);
    uint32_t best_in_flight = 1;
    for (unsigned p = 0; p < CLOSED && status == TACIT_OK; p++) {
        double throughput = bench_median(&bench->points[p].throughput);
        if (throughput > bench->peak_per_s) {
            bench->peak_per_s = throughput;
            best_in_flight = bench->points[p].in_flight;
        }
    }
    for (unsigned p = CLOSED; p < POINTS && status == TACIT_OK; p++) {
        bench->points[p].part = parts[p - CLOSED];
        bench->points[p].rate_per_s = bench->peak_per_s * parts[p - CLOSED];
        bench->points[p].in_flight = best_in_flight;
    }
    return status == TACIT_OK ? measure_all(bench, CLOSED, bench->point_count, error) : status;
}

// ---- results -----------------------------------------------------------------------------------

static void print_point(const struct point *point)
{
    char what[48];
    if (point->part > 0) {
        (void)snprintf(what, sizeof what, "open, %.0f %% of the peak", point->part * 100);
    } else {
        (void)snprintf(what, sizeof what, "closed, %u in flight", point->in_flight);
    }
    (void)printf("%-24s %9.0f %9.0f..%-9.0f %8.1f %8.1f %8.1f..%-8.1f %8.1f %6.1f %6llu\n", what,
                 bench_median(&point->throughput), bench_lowest(&point->throughput),
                 bench_highest(&point->throughput), bench_median(&point->p50) / 1e3,
                 bench_median(&point->p99) / 1e3, bench_lowest(&point->p99) / 1e3,
                 bench_highest(&point->p99) / 1e3,
                 (double)histogram_quantile(&point->latency, 0.999) / 1e3,
                 bench_median(&point->batch), (unsigned long long)point->time_outs);
}

static json_t *point_json(const struct point *point)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "loop", json_string(point->part > 0 ? "open" : "closed"));
    (void)json_object_set_new(object, "in_flight", json_integer(point->in_flight));
    if (point->part > 0) {
        (void)json_object_set_new(object, "part_of_peak", json_real(point->part));
        (void)json_object_set_new(object, "intended_per_s", json_real(point->rate_per_s));
    }
    (void)json_object_set_new(object, "answered_per_s", bench_figure_json(&point->throughput));
    (void)json_object_set_new(object, "p50_ns", bench_figure_json(&point->p50));
    (void)json_object_set_new(object, "p99_ns", bench_figure_json(&point->p99));
    (void)json_object_set_new(object, "requests_per_batch", bench_figure_json(&point->batch));
    json_t *counts = json_object();
    bench_put(counts, "client_time_outs", point->time_outs);
    bench_put(counts, "client_resent", point->resent);
    bench_put(counts, "decided_slow", point->counts.slow);
    bench_put(counts, "seals", point->counts.seals);
    bench_put(counts, "signatures_checked", point->counts.signatures);
    (void)json_object_set_new(object, "counts", counts);
    (void)json_object_set_new(object, "latency", bench_distribution(&point->latency));
    return object;
}

static json_t *report_results(const struct bench *bench)
{
    json_t *results = json_object();
    json_t *points = json_array();
    bool is_byzantine = bench->arguments.mode == TACIT_CONFIG_BYZANTINE;
    (void)printf("%s mode, 3 replicas, %llu B; medians and spread of %llu rounds, us\n",
                 is_byzantine ? "Byzantine" : "crash", (unsigned long long)bench->arguments.size,
                 (unsigned long long)bench->arguments.rounds);
    (void)printf("%-24s %9s %20s %8s %8s %18s %8s %6s %6s\n", "", "answers/s", "lowest..highest",
                 "p50", "p99", "lowest..highest", "p99.9", "batch", "late");
    for (unsigned p = 0; p < bench->point_count; p++) {
        print_point(&bench->points[p]);
        (void)json_array_append_new(points, point_json(&bench->points[p]));
    }
    (void)printf("most answers/s: %.0f; %u runs repeated and %u kept on a slow machine\n",
                 bench->peak_per_s, bench->dropped, bench->unfair);
    stalls_report(bench->stalls, results);
    (void)json_object_set_new(results, "mode", json_string(is_byzantine ? "byzantine" : "crash"));
    (void)json_object_set_new(results, "size", json_integer((json_int_t)bench->arguments.size));
    (void)json_object_set_new(results, "peak_per_s", json_real(bench->peak_per_s));
    (void)json_object_set_new(results, "runs_repeated", json_integer(bench->dropped));
    (void)json_object_set_new(results, "runs_on_a_slow_machine", json_integer(bench->unfair));
    (void)json_object_set_new(results, "points", points);
    return results;
}

int bench_load(int argc, char **argv)
{
    struct tacit_error error;
    struct bench *bench = calloc(1, sizeof *bench);
    if (bench == NULL) {
        return cli_complain("no memory");
    }
    bench->arguments = (struct arguments){.size = 64,
                                          .rounds = 5,
                                          .ms = 600,
                                          .mode = TACIT_CONFIG_CRASH,
                                          .waiting = TACIT_CONFIG_ADAPTIVE};
    if (bench_parse(options, "Throughput against latency: closed and open loops, with batching.",
                    argc, argv, &bench->arguments) != 0) {
        free(bench);
        return 2;
    }
    bench->stalls = stalls_watch();
    if (bench->stalls == NULL) {
        free(bench);
        return cli_complain("no memory");
    }
    enum tacit_status status = run(bench, &error);
    int result = status == TACIT_OK
                     ? bench_write(bench->arguments.json, "load", report_results(bench))
                     : cli_fail(&error);
    stalls_free(bench->stalls);
    free(bench);
    return result;
}
