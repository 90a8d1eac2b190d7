// SPDX-License-Identifier: Apache-2.0
//
// tacit bench reads: mostly reads on the key-value store, alternately under the leader's lease and
// through the log, on one cluster in one run. tacit bench active: what asking costs whether a view
// is active (tacit/membership.h).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_cluster.h"
#include "bench_options.h"
#include "bench_rounds.h"
#include "cli.h"
#include "kv/kv_wire.h"
#include "lib/view_source.h"
#include "tacit/client.h"

#define CALL_NS UINT64_C(10000000000)
#define KEYS 1000u
#define SESSIONS_MAX 64u
#define BYTES 8192u
#define ASKED_TOGETHER 64u // a call is shorter than a clock can tell

struct arguments {
    uint64_t share, sessions, rounds, round_ms, size, count;
    const char *json;
};

struct bench {
    const struct arguments *arguments;
    struct tacit_channel *channel;
    uint32_t session[SESSIONS_MAX];
    uint32_t random;
    bool is_leased; // the round's reads
    uint8_t request[BYTES];
    struct histogram latency[2]; // of reads: through the log, under the lease
    uint64_t called_ns[SESSIONS_MAX];
    bool reads[SESSIONS_MAX];
    struct bench_figure rate[2]; // answers a second
};

static const struct bench_option options[] = {
    BENCH_NUMBER(share, "reads", "PERCENT", 1, 100, "Share of reads, 1 to 100 (default 95)"),
    BENCH_NUMBER(sessions, "sessions", "N", 1, SESSIONS_MAX,
                 "Requests outstanding at a time, 1 to 64 (default 1)"),
    BENCH_NUMBER(rounds, "rounds", "N", 1, BENCH_ROUNDS_MAX,
                 "Rounds of each kind, 1 to 64 (default 7)"),
    BENCH_NUMBER(round_ms, "round-ms", "MS", 10, 60000,
                 "Length of a round, 10 to 60000 (default 1000)"),
    BENCH_NUMBER(size, "size", "BYTES", 1, 2048, "Size of values, 1 to 2048 (default 64)"),
    BENCH_JSON,
    {0},
};
static const struct bench_option options_active[] = {
    BENCH_NUMBER(count, "count", "N", 1, 100000000, "Samples of 64 calls each (default 100000)"),
    BENCH_JSON,
    {0},
};

// ---- one round ---------------------------------------------------------------------------------

static size_t encode(struct bench *bench, bool read, uint32_t number)
{
    static const uint8_t value[2048];
    char key[32];
    int bytes = snprintf(key, sizeof key, "key:%u", number);
    struct tacit_kv_span spans[2] = {
        {.bytes = (const uint8_t *)key, .size = (uint32_t)bytes},
        {.bytes = value, .size = (uint32_t)bench->arguments->size},
    };
    return tacit_kv_request_encode(bench->request, BYTES, read ? TACIT_KV_GET : TACIT_KV_SET, spans,
                                   read ? 1 : 2);
}

static enum tacit_status send_one(struct bench *bench, uint32_t user)
{
    bench->random = bench->random * 1664525u + 1013904223u;
    bool read = (bench->random >> 8) % 100 < bench->arguments->share;
    size_t size = encode(bench, read, (bench->random >> 16) % KEYS);
    bench->reads[user] = read;
    bench->called_ns[user] = cli_now_ns();
    return (read && bench->is_leased ? tacit_channel_read : tacit_channel_submit)(
        bench->channel, bench->session[user], bench->request, size, user);
}

// Whether an answer is what it must be.
static bool is_right(const struct bench *bench, const struct tacit_channel_event *event)
{
    struct tacit_kv_reply reply;
    return event->kind == TACIT_CHANNEL_RESULT && event->status == TACIT_OK &&
           tacit_kv_reply_decode(&reply, event->body, event->body_bytes) == TACIT_VERDICT_OK &&
           (bench->reads[event->token]
                ? reply.kind == TACIT_KV_REPLY_BULK && reply.text.size == bench->arguments->size
                : reply.kind == TACIT_KV_REPLY_OK);
}

// Answers a second; 0: it failed, and `error` says why.
static double run_round(struct bench *bench, struct tacit_error *error)
{
    uint64_t start_ns = cli_now_ns();
    uint64_t end_ns = start_ns + bench->arguments->round_ms * 1000000u;
    uint64_t answers = 0;
    uint32_t open = 0;
    enum tacit_status status = TACIT_OK;
    for (; open < bench->arguments->sessions && status == TACIT_OK; open++) {
        status = send_one(bench, open);
    }
    uint64_t now_ns = start_ns;
    while (open > 0 && status == TACIT_OK) {
        struct tacit_channel_event event;
        if (!tacit_channel_wait(bench->channel, CALL_NS, &event) || !is_right(bench, &event)) {
            (void)tacit_error_set(error, TACIT_EIO, 0, "no answer came, or a wrong one");
            return 0;
        }
        uint32_t user = (uint32_t)event.token;
        now_ns = cli_now_ns();
        answers++;
        if (bench->reads[user]) {
            histogram_add(&bench->latency[bench->is_leased], now_ns - bench->called_ns[user]);
        }
        if (now_ns >= end_ns || scratch_interrupted()) {
            open--;
        } else {
            status = send_one(bench, user);
        }
    }
    if (status != TACIT_OK || scratch_interrupted()) {
        (void)tacit_error_set(error, TACIT_EIO, 0, "a request was not taken, or interrupted");
        return 0;
    }
    return (double)answers * 1e9 / (double)(now_ns - start_ns);
}

static enum tacit_status set_up(struct bench *bench, struct tacit_error *error)
{
    for (uint32_t i = 0; i < bench->arguments->sessions; i++) {
        enum tacit_status status =
            tacit_channel_connect(bench->channel, CALL_NS, &bench->session[i], error);
        if (status != TACIT_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        uint8_t answer[BYTES];
        struct tacit_channel_reply reply = {.bytes = answer, .max = sizeof answer};
        enum tacit_status status =
            tacit_channel_call(bench->channel, bench->session[0], bench->request,
                               encode(bench, false, i), CALL_NS, &reply);
        if (status != TACIT_OK) {
            return tacit_error_set(error, status, 0, "the store could not be filled");
        }
    }
    return TACIT_OK;
}

// Rounds of both kinds in turn, the first of each unmeasured.
static enum tacit_status run_rounds(struct bench *bench, struct tacit_error *error)
{
    enum tacit_status status = set_up(bench, error);
    for (uint64_t i = 0; i < 2 * (bench->arguments->rounds + 1) && status == TACIT_OK; i++) {
        bench->is_leased = i % 2 == 1;
        if (i == 2) {
            memset(bench->latency, 0, sizeof bench->latency);
        }
        double rate = run_round(bench, error);
        status = rate > 0 ? TACIT_OK : error->status;
        if (i >= 2) {
            bench_figure_add(&bench->rate[bench->is_leased], rate);
        }
    }
    return status;
}

// ---- results -----------------------------------------------------------------------------------

static json_t *report_kind(const char *what, const struct bench_figure *rate,
                           const struct histogram *latency)
{
    json_t *object = json_object();
    (void)printf("%-20s %10.0f a second (%.0f to %.0f); a read p50 %.2f us, p99 %.2f us\n", what,
                 bench_median(rate), bench_lowest(rate), bench_highest(rate),
                 (double)histogram_quantile(latency, 0.5) / 1e3,
                 (double)histogram_quantile(latency, 0.99) / 1e3);
    (void)json_object_set_new(object, "per_second", bench_figure_json(rate));
    (void)json_object_set_new(object, "read_latency", bench_distribution(latency));
    return object;
}

static json_t *report_reads(const struct bench *bench, const struct local *local)
{
    json_t *results = json_object();
    struct bench_figure ratio = {0}; // of each round: what the machine did, it did to both
    int leader = local_leader(local);
    json_t *report = leader < 0 ? NULL : local_status(local, (uint16_t)leader);
    uint64_t leased = local_number(report, "counters", "reads_leased");
    uint64_t lapses = local_number(report, "counters", "lease_lapses");
    json_decref(report);
    bench_figure_ratio(&ratio, &bench->rate[1], &bench->rate[0]);
    (void)json_object_set_new(results, "log",
                              report_kind("through the log", &bench->rate[0], &bench->latency[0]));
    (void)json_object_set_new(results, "lease",
                              report_kind("under the lease", &bench->rate[1], &bench->latency[1]));
    (void)printf("%.2f x the throughput (%.2f to %.2f); %llu reads under the lease, which ended "
                 "too early %llu times\n",
                 bench_median(&ratio), bench_lowest(&ratio), bench_highest(&ratio),
                 (unsigned long long)leased, (unsigned long long)lapses);
    (void)json_object_set_new(results, "ratio", bench_figure_json(&ratio));
    bench_put(results, "reads_leased", leased);
    bench_put(results, "lease_lapses", lapses);
    bench_put(results, "share_percent", bench->arguments->share);
    bench_put(results, "sessions", bench->arguments->sessions);
    return results;
}

static int measure(struct bench *bench, struct local *local)
{
    static const struct local_plan plan = {
        .replicas = 3, .waiting = TACIT_CONFIG_ADAPTIVE, .arena_bytes = 32u << 20};
    char path[TACIT_CONFIG_PATH_BYTES];
    struct tacit_error error;
    enum tacit_status status =
        bench_cluster_open(local, &plan, (struct bench_service){.app = NULL}, &error);
    if (status != TACIT_OK) {
        return cli_fail(&error);
    }
    local_path(local, path, "client-%u.yaml", LOCAL_LOAD_CLIENT);
    struct tacit_channel_options channel = {.node_path = path};
    status = tacit_channel_open(&channel, &bench->channel, &error);
    if (status == TACIT_OK) {
        status = run_rounds(bench, &error);
    }
    int result = status == TACIT_OK
                     ? bench_write(bench->arguments->json, "reads", report_reads(bench, local))
                     : cli_fail(&error);
    tacit_channel_close(bench->channel);
    scratch_close(local);
    return result;
}

int bench_reads(int argc, char **argv)
{
    struct arguments arguments = {
        .share = 95, .sessions = 1, .rounds = 7, .round_ms = 1000, .size = 64};
    if (bench_parse(options, "Reads under the leader's lease against reads through the log.", argc,
                    argv, &arguments) != 0) {
        return 2;
    }
    struct local *local = calloc(1, sizeof *local);
    struct bench *bench = calloc(1, sizeof *bench);
    int result = 1;
    if (local == NULL || bench == NULL) {
        (void)cli_complain("no memory");
    } else {
        bench->arguments = &arguments;
        bench->random = 1;
        result = measure(bench, local);
    }
    free(local);
    free(bench);
    return result;
}

// ---- is it active? -----------------------------------------------------------------------------

int bench_active(int argc, char **argv)
{
    struct arguments arguments = {.count = 100000};
    if (bench_parse(options_active, "What tacit_view_is_active() costs.", argc, argv, &arguments) !=
        0) {
        return 2;
    }
    struct tacit_view_source source = {.words = {.sequence = 2, .term = 1, .until_ns = UINT64_MAX}};
    struct tacit_view view = {.term = 1, .source = &source};
    struct histogram *cost = calloc(1, sizeof *cost);
    uint64_t active = 0;
    if (cost == NULL) {
        return cli_complain("no memory");
    }
    for (uint64_t i = 0; i < arguments.count; i++) {
        uint64_t start_ns = cli_now_ns();
        for (unsigned k = 0; k < ASKED_TOGETHER; k++) {
            active += tacit_view_is_active(&view).active;
        }
        histogram_add(cost, (cli_now_ns() - start_ns) / ASKED_TOGETHER);
    }
    json_t *results = json_object();
    (void)printf("is_active: median %llu ns, p99 %llu ns (%llu samples of %u calls)\n",
                 (unsigned long long)histogram_quantile(cost, 0.5),
                 (unsigned long long)histogram_quantile(cost, 0.99),
                 (unsigned long long)arguments.count, ASKED_TOGETHER);
    (void)json_object_set_new(results, "call", bench_distribution(cost));
    free(cost);
    if (active != arguments.count * ASKED_TOGETHER) {
        json_decref(results);
        return cli_complain("an active view was called inactive");
    }
    return bench_write(arguments.json, "active", results);
}
