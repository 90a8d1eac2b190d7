// SPDX-License-Identifier: Apache-2.0
//
// tacit bench latency: one client, one request outstanding, an application that only turns the
// bytes around. In the same run the floor: the same rings and application without agreement.
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "cli.h"
#include "scratch.h"
#include "tacit/client.h"

#define CALL_NS UINT64_C(10000000000)
#define READY_NS UINT64_C(20000000000)
#define WARM_UP 2000u

enum { KEY_MODE = 256, KEY_SIZE, KEY_COUNT, KEY_JSON, KEY_WAITING, KEY_LOG_ON };

struct arguments {
    bool replicated;
    uint64_t size, count;
    const char *json;
    enum tacit_config_waiting waiting;
    enum tacit_config_log_on log_on;
};

static const struct argp_option options[] = {
    {"mode", KEY_MODE, "MODE", 0, "none: the floor only; crash (default): both", 0},
    {"size", KEY_SIZE, "BYTES", 0, "Request and reply size, 8 to 4096 (default 64)", 0},
    {"count", KEY_COUNT, "N", 0, "Requests of each series (default 100000)", 0},
    {"waiting", KEY_WAITING, "HOW", 0, "adaptive (default), yield or spin", 0},
    {"log-on", KEY_LOG_ON, "WHERE", 0, "replicas (default) or memnodes", 0},
    {"json", KEY_JSON, "FILE", 0, "Write the results there, too", 0},
    {0},
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case KEY_MODE:
        arguments->replicated = strcmp(value, "crash") == 0;
        if (!arguments->replicated && strcmp(value, "none") != 0) {
            argp_error(state, "--mode %s: accepted are none and crash", value);
        }
        return 0;
    case KEY_SIZE:
        if (!cli_number(value, 8, 4096, &arguments->size)) {
            argp_error(state, "--size %s: 8 to 4096 is accepted", value);
        }
        return 0;
    case KEY_COUNT:
        if (!cli_number(value, 1, 100000000, &arguments->count)) {
            argp_error(state, "--count %s: 1 to 100000000 is accepted", value);
        }
        return 0;
    case KEY_WAITING:
        arguments->waiting = strcmp(value, "spin") == 0    ? TACIT_CONFIG_SPIN
                             : strcmp(value, "yield") == 0 ? TACIT_CONFIG_YIELD
                                                           : TACIT_CONFIG_ADAPTIVE;
        if (arguments->waiting == TACIT_CONFIG_ADAPTIVE && strcmp(value, "adaptive") != 0) {
            argp_error(state, "--waiting %s: accepted are adaptive, yield and spin", value);
        }
        return 0;
    case KEY_LOG_ON:
        arguments->log_on = strcmp(value, "memnodes") == 0 ? TACIT_CONFIG_LOG_ON_MEMNODES
                                                           : TACIT_CONFIG_LOG_ON_REPLICAS;
        return 0;
    case KEY_JSON:
        arguments->json = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

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

// A cluster for one series.
static enum tacit_status series(const struct arguments *arguments, bool replicated,
                                struct histogram *latency, struct tacit_error *error)
{
    struct local_plan plan = {.replicas = replicated ? 3 : 1,
                              .memnodes = 3,
                              .waiting = arguments->waiting,
                              .log_on =
                                  replicated ? arguments->log_on : TACIT_CONFIG_LOG_ON_REPLICAS};
    char path[TACIT_CONFIG_PATH_BYTES];
    struct local *local = calloc(1, sizeof *local);
    if (local == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, 0, "no memory");
    }
    enum tacit_status status = scratch_open(local, &plan, error);
    if (status != TACIT_OK) {
        free(local);
        return status;
    }
    local->app = "flip";
    local->unreplicated = !replicated;
    status = local_up(local, error);
    if (status == TACIT_OK && replicated && !local_wait_members(local, 7, READY_NS)) {
        status = tacit_error_set(error, TACIT_ETIMEDOUT, 0, "not all replicas joined");
    }
    local_path(local, path, "client-%u.yaml", LOCAL_LOAD_CLIENT);
    struct tacit_channel_options channel_options = {
        .node_path = path,
        .waiting = arguments->waiting == TACIT_CONFIG_SPIN    ? TACIT_CHANNEL_SPIN
                   : arguments->waiting == TACIT_CONFIG_YIELD ? TACIT_CHANNEL_YIELD
                                                              : TACIT_CHANNEL_ADAPTIVE};
    struct tacit_channel *channel = NULL;
    if (status == TACIT_OK) {
        status = tacit_channel_open(&channel_options, &channel, error);
    }
    if (status == TACIT_OK) {
        status = ask_many(channel, arguments, latency, error);
    }
    tacit_channel_close(channel);
    scratch_close(local);
    free(local);
    return status;
}

int bench_latency(int argc, char **argv)
{
    static const struct argp argp = {
        options, parse, "",  "End-to-end latency of one client, in a closed loop.",
        NULL,    NULL,  NULL};
    struct arguments arguments = {
        .replicated = true, .size = 64, .count = 100000, .waiting = TACIT_CONFIG_ADAPTIVE};
    struct tacit_error error;
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return 2;
    }
    struct histogram *floor = calloc(1, sizeof *floor);
    struct histogram *crash = calloc(1, sizeof *crash);
    int result = 1;
    if (floor == NULL || crash == NULL) {
        (void)cli_complain("no memory");
    } else if (series(&arguments, false, floor, &error) != TACIT_OK ||
               (arguments.replicated && series(&arguments, true, crash, &error) != TACIT_OK)) {
        (void)cli_fail(&error);
    } else {
        json_t *results = json_object();
        (void)printf("%-34s %8s %10s %10s %10s %10s %10s\n", "latency in us", "count", "p50", "p90",
                     "p99", "p99.9", "max");
        bench_print("unreplicated, same rings (floor)", floor);
        (void)json_object_set_new(results, "size", json_integer((json_int_t)arguments.size));
        (void)json_object_set_new(results, "floor", bench_distribution(floor));
        if (arguments.replicated) {
            double ratio =
                (double)histogram_quantile(crash, 0.5) / (double)histogram_quantile(floor, 0.5);
            bench_print("3 replicas, crash mode", crash);
            (void)printf("p50: %.2f x the floor\n", ratio);
            (void)json_object_set_new(results, "crash", bench_distribution(crash));
            (void)json_object_set_new(results, "p50_ratio", json_real(ratio));
        }
        result = bench_write(arguments.json, "latency", results);
    }
    free(floor);
    free(crash);
    return result;
}
