// SPDX-License-Identifier: Apache-2.0
//
// tacit bench latency: one client, one request outstanding, an application that only turns the
// bytes around. In the same run the floor: the same rings and application without agreement; and
// for Byzantine mode the skeleton: its processes, rounds and waiting without the protocol.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench_cluster.h"
#include "bench_options.h"
#include "bench_skeleton.h"
#include "cli.h"
#include "tacit/client.h"

#define CALL_NS UINT64_C(10000000000)
#define WARM_UP 2000u

// What a series is made with.
enum kind { BENCH_FLOOR = 0, BENCH_CRASH, BENCH_SKELETON, BENCH_BYZANTINE, BENCH_KINDS };

struct arguments {
    unsigned kinds; // bit: enum kind
    uint64_t size, count;
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
    BENCH_NUMBER(count, "count", "N", 1, 100000000, "Requests of each series (default 100000)"),
    BENCH_WAITING,
    BENCH_LOG_ON,
    BENCH_JSON,
    {0},
};

static enum tacit_status ask_many(struct tacit_channel *channel, const struct arguments *arguments,
                                  struct histogram *latency, struct tacit_error *error)
{
    uint8_t request[4096];
    uint8_t reply[8192];
    uint32_t session = 0;
    enum tacit_status status = tacit_channel_connect(channel, CALL_NS, &session, error);
    for (uint64_t i = 0; i < WARM_UP + arguments->count && status == TACIT_OK; i++) {
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
                                   .count = arguments->count,
                                   .waiting = arguments->waiting,
                                   .interrupted = scratch_interrupted};
    return skeleton_run(&how, latency, error);
}

// A cluster for one series.
static enum tacit_status series(const struct arguments *arguments, enum kind kind,
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

static json_t *report_results(const struct arguments *arguments, const struct histogram *latencies)
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
        bench_print(kinds[kind].what, &latencies[kind]);
        (void)json_object_set_new(results, kinds[kind].name, bench_distribution(&latencies[kind]));
        if (kinds[kind].ratio != NULL) {
            double ratio = (double)histogram_quantile(&latencies[kind], 0.5) /
                           (double)histogram_quantile(&latencies[kinds[kind].to], 0.5);
            (void)printf("p50: %.2f x the %s\n", ratio, kinds[kind].to_what);
            (void)json_object_set_new(results, kinds[kind].ratio, json_real(ratio));
        }
    }
    return results;
}

int bench_latency(int argc, char **argv)
{
    struct arguments arguments = {.kinds = 1u << BENCH_FLOOR | 1u << BENCH_CRASH,
                                  .size = 64,
                                  .count = 100000,
                                  .waiting = TACIT_CONFIG_ADAPTIVE};
    struct tacit_error error;
    if (bench_parse(options, "End-to-end latency of one client, in a closed loop.", argc, argv,
                    &arguments) != 0) {
        return 2;
    }
    struct histogram *latencies = calloc(BENCH_KINDS, sizeof *latencies);
    int result = 1;
    enum tacit_status status = TACIT_OK;
    if (latencies == NULL) {
        return cli_complain("no memory");
    }
    for (unsigned kind = 0; kind < BENCH_KINDS && status == TACIT_OK; kind++) {
        if ((arguments.kinds >> kind & 1u) != 0) {
            status = kind == BENCH_SKELETON
                         ? skeleton(&arguments, &latencies[kind], &error)
                         : series(&arguments, (enum kind)kind, &latencies[kind], &error);
        }
    }
    result = status == TACIT_OK
                 ? bench_write(arguments.json, "latency", report_results(&arguments, latencies))
                 : cli_fail(&error);
    free(latencies);
    return result;
}
