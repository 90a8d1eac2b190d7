// SPDX-License-Identifier: Apache-2.0
//
// tacit bench latency: one client, one request outstanding, an application that only turns the
// bytes around. In the same run the floor: the same rings and application without agreement; and
// for Byzantine mode the skeleton: its processes, rounds and waiting without the protocol. Each
// round takes all of them in turn, on new clusters: where processes come to lie in memory and on
// processors is part of the spread.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench_cluster.h"
#include "bench_options.h"
#include "bench_rounds.h"
#include "bench_skeleton.h"
#include "cli.h"
#include "tacit/client.h"

#define CALL_NS UINT64_C(10000000000)
#define WARM_UP 2000u

// What a series is made with.
enum kind { BENCH_FLOOR = 0, BENCH_CRASH, BENCH_SKELETON, BENCH_BYZANTINE, BENCH_KINDS };

struct arguments {
    unsigned kinds; // bit: enum kind
    uint64_t size, count, rounds;
    const char *json;
    enum tacit_config_waiting waiting;
    enum tacit_config_log_on log_on;
};

// What --mode asks for.
static void take_kinds(struct argp_state *state, const struct bench_option *option,
                       const char *value, void *to)
{
    static const char *const modes[] = {"none", "crash", "byzantine", "all", NULL};
    static const unsigned kinds[] = {
        1u << BENCH_FLOOR, 1u << BENCH_FLOOR | 1u << BENCH_CRASH,
        1u << BENCH_FLOOR | 1u << BENCH_SKELETON | 1u << BENCH_BYZANTINE, (1u << BENCH_KINDS) - 1};
    (void)option;
    *(unsigned *)to = kinds[cli_option_word(state, "--mode", value, modes)];
}

static const struct bench_option options[] = {
    BENCH_OTHER(
        kinds, "mode", "MODE", take_kinds,
        "none: the floor only; crash (default) or byzantine: it and the floor, byzantine also its "
        "skeleton: the same processes and rounds without the protocol; all"),
    BENCH_SIZE(4096),
    BENCH_NUMBER(count, "count", "N", 1, 100000000,
                 "Requests of each series, in all rounds (default 100000)"),
    BENCH_NUMBER(rounds, "rounds", "N", 1, BENCH_ROUNDS_MAX,
                 "Rounds over all series, which share the requests (default 5)"),
    BENCH_WAITING,
    BENCH_LOG_ON,
    BENCH_JSON,
    {0},
};

// Of one kind.
struct series {
    struct histogram latency; // of all rounds
    struct bench_figure p50, p99;
};

static enum tacit_status ask_many(struct tacit_channel *channel, const struct arguments *arguments,
                                  struct histogram *latency, struct tacit_error *error)
{
    uint8_t request[4096];
    uint8_t reply[8192];
    uint32_t session = 0;
    enum tacit_status status = tacit_channel_connect(channel, CALL_NS, &session, error);
    for (uint64_t i = 0; i < WARM_UP + arguments->count / arguments->rounds && status == TACIT_OK;
         i++) {
        struct tacit_channel_reply answer = {.bytes = reply, .max = sizeof reply};
        memset(request, (int)(i & 0xff), arguments->size);
        memcpy(request, &i, sizeof i);
        uint64_t start_ns = cli_now_ns();
        status = tacit_channel_call(channel, session, request, arguments->size, CALL_NS, &answer);
        uint64_t took_ns = cli_now_ns() - start_ns;
        if (status != TACIT_OK) {
            return tacit_error_set(error, status, 0, "request %llu was not answered: %s",
                                   (unsigned long long)i, tacit_status_name(status));
        }
        if (answer.size != arguments->size || reply[arguments->size - 1] != request[0]) {
            return tacit_error_set(error, TACIT_EIO, 0, "a wrong answer came back");
        }
        if (i >= WARM_UP) {
            histogram_add(latency, took_ns);
        }
        if (scratch_interrupted()) {
            return tacit_error_set(error, TACIT_ECLOSED, 0, "interrupted");
        }
    }
    return status;
}

static enum tacit_status skeleton(const struct arguments *arguments, struct histogram *latency,
                                  struct tacit_error *error)
{
    struct skeleton_options how = {.bytes = arguments->size,
                                   .warm_up = WARM_UP,
                                   .count = arguments->count / arguments->rounds,
                                   .waiting = arguments->waiting,
                                   .interrupted = scratch_interrupted};
    return skeleton_run(&how, latency, error);
}

// A cluster for one series.
static enum tacit_status replicas(const struct arguments *arguments, enum kind kind,
                                  struct histogram *latency, struct tacit_error *error)
{
    bool replicated = kind != BENCH_FLOOR;
    struct local_plan plan = {
        .replicas = replicated ? 3 : 1,
        .memnodes = 3,
        .mode = kind == BENCH_BYZANTINE ? TACIT_CONFIG_BYZANTINE : TACIT_CONFIG_CRASH,
        .waiting = arguments->waiting,
        .log_on = replicated ? arguments->log_on : TACIT_CONFIG_LOG_ON_REPLICAS};
    char path[TACIT_CONFIG_PATH_BYTES];
    struct local *local = calloc(1, sizeof *local);
    if (local == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, 0, "no memory");
    }
    enum tacit_status status = bench_cluster_open(
        local, &plan, (struct bench_service){.app = "flip", .unreplicated = !replicated}, error);
    if (status != TACIT_OK) {
        free(local);
        return status;
    }
    local_path(local, path, "client-%u.yaml", LOCAL_LOAD_CLIENT);
    struct tacit_channel_options channel_options = {
        .node_path = path,
        .waiting = arguments->waiting == TACIT_CONFIG_SPIN    ? TACIT_CHANNEL_SPIN
                   : arguments->waiting == TACIT_CONFIG_YIELD ? TACIT_CHANNEL_YIELD
                                                              : TACIT_CHANNEL_ADAPTIVE};
    struct tacit_channel *channel = NULL;
    status = tacit_channel_open(&channel_options, &channel, error);
    if (status == TACIT_OK) {
        status = ask_many(channel, arguments, latency, error);
    }
    tacit_channel_close(channel);
    scratch_close(local);
    free(local);
    return status;
}

static json_t *report_results(const struct arguments *arguments, const struct series *all)
{
    static const struct {
        const char *name, *what, *ratio;
        enum kind to; // what it is compared with
        const char *to_what;
    } kinds[BENCH_KINDS] = {
        [BENCH_FLOOR] = {.name = "floor", .what = "unreplicated, same rings (floor)"},
        [BENCH_CRASH] = {"crash", "3 replicas, crash mode", "p50_ratio", BENCH_FLOOR, "floor"},
        [BENCH_SKELETON] = {.name = "skeleton", .what = "3 rounds among 3, no protocol"},
        [BENCH_BYZANTINE] = {"byzantine", "3 replicas, Byzantine mode", "p50_ratio_byzantine",
                             BENCH_SKELETON, "rounds without a protocol"},
    };
    json_t *results = json_object();
    bench_print_head("latency in us");
    bench_put(results, "size", arguments->size);
    for (unsigned kind = 0; kind < BENCH_KINDS; kind++) {
        if ((arguments->kinds >> kind & 1u) == 0) {
            continue;
        }
        const struct series *series = &all[kind];
        bench_print(kinds[kind].what, &series->latency);
        (void)printf("  in %llu rounds: p50 %.2f (%.2f..%.2f), p99 %.2f (%.2f..%.2f)\n",
                     (unsigned long long)arguments->rounds, bench_median(&series->p50) / 1e3,
                     bench_lowest(&series->p50) / 1e3, bench_highest(&series->p50) / 1e3,
                     bench_median(&series->p99) / 1e3, bench_lowest(&series->p99) / 1e3,
                     bench_highest(&series->p99) / 1e3);
        json_t *object = json_object();
        (void)json_object_set_new(object, "p50_ns", bench_figure_json(&series->p50));
        (void)json_object_set_new(object, "p99_ns", bench_figure_json(&series->p99));
        (void)json_object_set_new(object, "latency", bench_distribution(&series->latency));
        (void)json_object_set_new(results, kinds[kind].name, object);
        if (kinds[kind].ratio != NULL) {
            struct bench_figure ratio = {0};
            bench_figure_ratio(&ratio, &series->p50, &all[kinds[kind].to].p50);
            (void)printf("  p50: %.2f x the %s (%.2f..%.2f)\n", bench_median(&ratio),
                         kinds[kind].to_what, bench_lowest(&ratio), bench_highest(&ratio));
            (void)json_object_set_new(results, kinds[kind].ratio, bench_figure_json(&ratio));
        }
    }
    return results;
}

static enum tacit_status run(const struct arguments *arguments, struct series *all,
                             struct tacit_error *error)
{
    enum tacit_status status = TACIT_OK;
    struct histogram *round = calloc(1, sizeof *round);
    if (round == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, 0, "no memory");
    }
    for (uint64_t i = 0; i < arguments->rounds * BENCH_KINDS && status == TACIT_OK; i++) {
        enum kind kind = (enum kind)(i % BENCH_KINDS);
        if ((arguments->kinds >> kind & 1u) == 0) {
            continue;
        }
        bench_progress("round %llu of %llu", (unsigned long long)(i / BENCH_KINDS) + 1,
                       (unsigned long long)arguments->rounds);
        memset(round, 0, sizeof *round);
        status = kind == BENCH_SKELETON ? skeleton(arguments, round, error)
                                        : replicas(arguments, kind, round, error);
        histogram_merge(&all[kind].latency, round);
        bench_figure_add(&all[kind].p50, (double)histogram_quantile(round, 0.5));
        bench_figure_add(&all[kind].p99, (double)histogram_quantile(round, 0.99));
    }
    bench_progress_end();
    free(round);
    return status;
}

int bench_latency(int argc, char **argv)
{
    struct arguments arguments = {.kinds = 1u << BENCH_FLOOR | 1u << BENCH_CRASH,
                                  .size = 64,
                                  .count = 100000,
                                  .rounds = 5,
                                  .waiting = TACIT_CONFIG_ADAPTIVE};
    struct tacit_error error;
    if (bench_parse(options, "End-to-end latency of one client, in a closed loop.", argc, argv,
                    &arguments) != 0) {
        return 2;
    }
    if (arguments.count < arguments.rounds) {
        (void)cli_complain("--count %llu: each of the %llu rounds needs a request",
                           (unsigned long long)arguments.count,
                           (unsigned long long)arguments.rounds);
        return 2;
    }
    struct series *all = calloc(BENCH_KINDS, sizeof *all);
    if (all == NULL) {
        return cli_complain("no memory");
    }
    int result = run(&arguments, all, &error) == TACIT_OK
                     ? bench_write(arguments.json, "latency", report_results(&arguments, all))
                     : cli_fail(&error);
    free(all);
    return result;
}
