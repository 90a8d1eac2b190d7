// SPDX-License-Identifier: Apache-2.0
//
// tacit bench faults: what a replica that lies costs. Traffic before, while one replica attacks,
// and after it was stopped, started honest and readmitted; every answer is judged.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_cluster.h"
#include "bench_options.h"
#include "cli.h"

#define WARM_NS UINT64_C(500000000)
#define LOOK_NS 10000000u

enum { PART_BEFORE = 0, PART_DURING, PART_AFTER, PARTS };

struct arguments {
    const char *attack, *json;
    bool on_leader;
    uint64_t seconds, clients, count;
};

// What the correct replicas counted together, and the view that the one furthest on entered.
struct counts {
    uint64_t fast, slow, seals, bad, malformed, condemned;
};

struct part {
    struct histogram latency;
    uint64_t operations, duration_ns, longest_wait_ns;
    struct counts counts;
};

struct bench {
    struct local local;
    struct load *load;
    uint16_t liar;
    bool led;
    uint64_t readmission_ns;
    struct part parts[PARTS];
    struct histogram begin, end; // scratch
};

// Of all times. Shares are in thousandths, in histograms of durations.
struct summary {
    uint64_t done, acknowledged, lost, wrong;
    struct histogram rate, fast, wait, wait_after, readmission;
    json_t *samples;
};

static const struct bench_option options[] = {
    BENCH_TEXT(attack, "attack", "NAME",
               "How a replica lies: `tacit local attack` lists the names"),
    BENCH_EITHER(on_leader, "on", "WHO", "follower", "leader",
                 "follower (default) or leader: who lies"),
    BENCH_NUMBER(seconds, "seconds", "N", 1, 600, "Length of each of the three parts (default 3)"),
    BENCH_NUMBER(clients, "clients", "N", 1, LOAD_CLIENTS_MAX, "Clients, 1 to 7 (default 3)"),
    BENCH_NUMBER(count, "count", "N", 1, 10000, "Times, each on a new cluster (default 1)"),
    BENCH_JSON,
    {0},
};

// ---- measuring ---------------------------------------------------------------------------------

static struct counts count(const struct bench *bench)
{
    struct counts counts = {0};
    for (uint32_t r = 0; r < bench->local.config.replica_count; r++) {
        json_t *report = r == bench->liar ? NULL : local_status(&bench->local, (uint16_t)r);
        const json_t *list = json_object_get(json_object_get(report, "byzantine"), "condemned");
        counts.fast += local_number(report, "byzantine", "decided_fast");
        counts.slow += local_number(report, "byzantine", "decided_slow");
        counts.seals += local_number(report, "byzantine", "seals");
        counts.bad += local_number(report, "byzantine", "signatures_bad");
        counts.malformed += local_number(report, "counters", "malformed");
        for (size_t i = 0; i < json_array_size(list); i++) {
            counts.condemned +=
                json_integer_value(json_array_get(list, i)) == (json_int_t)bench->liar;
        }
        json_decref(report);
    }
    return counts;
}

static enum tacit_status measure(struct bench *bench, struct part *part, uint64_t duration_ns,
                                 struct tacit_error *error)
{
    uint64_t begin_ns = cli_now_ns();
    uint64_t answered = load_acknowledged(bench->load);
    struct counts before = count(bench);
    load_histogram(bench->load, &bench->begin);
    while (cli_now_ns() < begin_ns + duration_ns) {
        if (scratch_interrupted()) {
            return tacit_error_set(error, TACIT_ECLOSED, 0, "interrupted");
        }
        if (load_failed(bench->load)) {
            return TACIT_EIO; // load_stop() says why
        }
        cli_sleep_ns(LOOK_NS);
    }
    struct counts now = count(bench);
    load_histogram(bench->load, &bench->end);
    part->latency = bench->end;
    histogram_subtract(&part->latency, &bench->begin);
    part->operations = load_acknowledged(bench->load) - answered;
    part->duration_ns = cli_now_ns() - begin_ns;
    part->longest_wait_ns = load_outage(bench->load, begin_ns, cli_now_ns()).longest_wait_ns;
    part->counts = (struct counts){.fast = now.fast - before.fast,
                                   .slow = now.slow - before.slow,
                                   .seals = now.seals - before.seals,
                                   .bad = now.bad - before.bad,
                                   .malformed = now.malformed - before.malformed,
                                   .condemned = now.condemned};
    return TACIT_OK;
}

static enum tacit_status cure(struct bench *bench, struct tacit_error *error)
{
    struct local_node node = {LOCAL_REPLICA, bench->liar};
    (void)local_signal(&bench->local, node, SIGKILL, error);
    local_attack_clear(&bench->local, bench->liar);
    int leader = -1;
    bench->readmission_ns = scratch_readmit(&bench->local, bench->liar, BENCH_READY_NS, error);
    return bench->readmission_ns != 0 ? bench_cluster_sound(&bench->local, &leader, error)
                                      : TACIT_ETIMEDOUT;
}

static enum tacit_status all_parts(struct bench *bench, const struct arguments *arguments,
                                   struct tacit_error *error)
{
    uint64_t part_ns = arguments->seconds * 1000000000u;
    int leader = -1;
    enum tacit_status status = measure(bench, &bench->parts[PART_BEFORE], WARM_NS, error);
    if (status == TACIT_OK) {
        status = bench_cluster_sound(&bench->local, &leader, error);
    }
    bench->led = arguments->on_leader;
    bench->liar = (uint16_t)((uint32_t)(leader < 0 ? 0 : leader + !arguments->on_leader) %
                             bench->local.config.replica_count);
    if (status == TACIT_OK) {
        status = measure(bench, &bench->parts[PART_BEFORE], part_ns, error);
    }
    if (status == TACIT_OK) {
        status = bench_cluster_sound(&bench->local, &leader, error);
    }
    if (status == TACIT_OK) {
        status = local_attack_set(&bench->local, bench->liar, arguments->attack, error);
    }
    if (status == TACIT_OK) {
        status = measure(bench, &bench->parts[PART_DURING], part_ns, error);
    }
    if (status == TACIT_OK) {
        status = cure(bench, error);
    }
    if (status == TACIT_OK) {
        status = measure(bench, &bench->parts[PART_AFTER], part_ns, error);
    }
    return status;
}

// ---- results -----------------------------------------------------------------------------------

static json_t *report_part(const char *name, const struct part *part)
{
    uint64_t refused = part->counts.bad + part->counts.malformed;
    double rate = (double)part->operations * 1e9 / (double)part->duration_ns;
    (void)printf("%-8s %10.0f/s  p50 %8.1f us  p99 %9.1f us  longest %9.1f us  fast %llu, signed "
                 "%llu, views left %llu, refused %llu\n",
                 name, rate, (double)histogram_quantile(&part->latency, 0.5) / 1e3,
                 (double)histogram_quantile(&part->latency, 0.99) / 1e3,
                 (double)part->longest_wait_ns / 1e3, (unsigned long long)part->counts.fast,
                 (unsigned long long)part->counts.slow, (unsigned long long)part->counts.seals,
                 (unsigned long long)refused);
    return json_pack("{s:I,s:I,s:f,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "operations",
                     (json_int_t)part->operations, "duration_ns", (json_int_t)part->duration_ns,
                     "operations_per_second", rate, "latency", bench_distribution(&part->latency),
                     "longest_wait_ns", (json_int_t)part->longest_wait_ns, "decided_fast",
                     (json_int_t)part->counts.fast, "decided_slow", (json_int_t)part->counts.slow,
                     "views_left", (json_int_t)part->counts.seals, "signatures_bad",
                     (json_int_t)part->counts.bad, "malformed", (json_int_t)part->counts.malformed,
                     "condemned_by", (json_int_t)part->counts.condemned);
}

static json_t *report_all(const struct bench *bench, const struct arguments *arguments,
                          const struct audit *audit)
{
    static const char *const names[PARTS] = {"before", "during", "after"};
    json_t *object = json_object();
    (void)printf("attack %s by replica %u (%s); counters are those of the correct replicas\n",
                 arguments->attack, bench->liar, bench->led ? "the leader" : "a follower");
    for (unsigned i = 0; i < PARTS; i++) {
        (void)json_object_set_new(object, names[i], report_part(names[i], &bench->parts[i]));
    }
    (void)printf("proven by %llu of the correct replicas; cured and readmitted after %.1f ms\n"
                 "%llu requests acknowledged, %llu lost, %s\n",
                 (unsigned long long)bench->parts[PART_DURING].counts.condemned,
                 (double)bench->readmission_ns / 1e6, (unsigned long long)audit->operations,
                 (unsigned long long)audit->lost,
                 audit->linearizable ? "0 wrong, linearizable" : audit->text);
    (void)json_object_set_new(object, "attack", json_string(arguments->attack));
    (void)json_object_set_new(object, "on", json_string(bench->led ? "leader" : "follower"));
    bench_put(object, "readmission_ns", bench->readmission_ns);
    bench_put(object, "acknowledged", audit->operations);
    bench_put(object, "lost", audit->lost);
    bench_put(object, "wrong", audit->linearizable ? 0 : 1);
    (void)json_object_set_new(object, "linearizable", json_boolean(audit->linearizable));
    return object;
}

static enum tacit_status once(struct bench *bench, const struct arguments *arguments,
                              struct audit *audit, struct tacit_error *error)
{
    static const struct local_plan plan = {.replicas = 3,
                                           .memnodes = 3,
                                           .mode = TACIT_CONFIG_BYZANTINE,
                                           .waiting = TACIT_CONFIG_ADAPTIVE};
    memset(bench, 0, sizeof *bench);
    enum tacit_status status = bench_cluster_open(
        &bench->local, &plan, (struct bench_service){.attack = arguments->attack}, error);
    if (status != TACIT_OK) {
        return status;
    }
    status = load_start(&bench->load, &bench->local, (unsigned)arguments->clients, 0, error);
    if (status == TACIT_OK) {
        status = all_parts(bench, arguments, error);
        status = bench_cluster_judge(bench->load, status, audit, error);
    }
    scratch_close(&bench->local);
    load_free(bench->load);
    bench->load = NULL;
    return status;
}

static uint64_t thousandths(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : part * 1000 / whole;
}

static void note(struct summary *summary, const struct bench *bench, const struct audit *audit)
{
    const struct part *before = &bench->parts[PART_BEFORE];
    const struct part *during = &bench->parts[PART_DURING];
    summary->done++;
    summary->acknowledged += audit->operations;
    summary->lost += audit->lost;
    summary->wrong += !audit->linearizable;
    histogram_add(&summary->rate, thousandths(during->operations, before->operations));
    histogram_add(&summary->fast,
                  thousandths(during->counts.fast, during->counts.fast + during->counts.slow));
    histogram_add(&summary->wait, during->longest_wait_ns);
    histogram_add(&summary->wait_after, bench->parts[PART_AFTER].longest_wait_ns);
    histogram_add(&summary->readmission, bench->readmission_ns);
}

static void print_shares(const char *what, const struct histogram *histogram)
{
    (void)printf("%-34s %8llu %9.1f%% %9.1f%%\n", what,
                 (unsigned long long)histogram_total(histogram),
                 (double)histogram_quantile(histogram, 0.5) / 10,
                 (double)histogram_quantile(histogram, 0.0) / 10);
}

static json_t *report_summary(const struct summary *summary, const struct arguments *arguments)
{
    (void)printf("\n%s, %llu times\n%-34s %8s %10s %10s\n", arguments->attack,
                 (unsigned long long)summary->done, "during the attack", "count", "p50", "least");
    print_shares("throughput, of that before", &summary->rate);
    print_shares("decisions by the fast path", &summary->fast);
    bench_print_head("in us");
    bench_print("longest wait during the attack", &summary->wait);
    bench_print("longest wait after it", &summary->wait_after);
    bench_print("cured and readmitted", &summary->readmission);
    (void)printf("%llu requests acknowledged, %llu lost, %llu times wrong\n",
                 (unsigned long long)summary->acknowledged, (unsigned long long)summary->lost,
                 (unsigned long long)summary->wrong);
    return json_pack(
        "{s:s,s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:I,s:I,s:I,s:O}", "attack", arguments->attack, "seconds",
        (json_int_t)arguments->seconds, "count", (json_int_t)summary->done, "rate_thousandths",
        bench_distribution(&summary->rate), "fast_thousandths", bench_distribution(&summary->fast),
        "longest_wait", bench_distribution(&summary->wait), "longest_wait_after",
        bench_distribution(&summary->wait_after), "readmission",
        bench_distribution(&summary->readmission), "acknowledged",
        (json_int_t)summary->acknowledged, "lost", (json_int_t)summary->lost, "wrong",
        (json_int_t)summary->wrong, "samples", summary->samples);
}

// Exit status.
static int all_times(struct bench *bench, const struct arguments *arguments,
                     struct summary *summary)
{
    struct tacit_error error;
    for (uint64_t i = 0; i < arguments->count; i++) {
        struct audit audit = {0};
        if (once(bench, arguments, &audit, &error) != TACIT_OK) {
            return cli_fail(&error);
        }
        note(summary, bench, &audit);
        json_t *report = report_all(bench, arguments, &audit);
        (void)fflush(stdout);
        if (arguments->count == 1) {
            return bench_write(arguments->json, "faults", report);
        }
        (void)json_array_append_new(summary->samples, report);
    }
    return bench_write(arguments->json, "faults", report_summary(summary, arguments));
}

int bench_faults(int argc, char **argv)
{
    struct arguments arguments = {.seconds = 3, .clients = 3, .count = 1};
    if (bench_parse(options, "What a replica that lies costs its group, and its clients.", argc,
                    argv, &arguments) != 0) {
        return 2;
    }
    if (arguments.attack == NULL) {
        (void)cli_complain("--attack NAME is needed; `tacit local attack` lists the names");
        return 2;
    }
    struct bench *bench = calloc(1, sizeof *bench);
    struct summary *summary = calloc(1, sizeof *summary);
    if (bench == NULL || summary == NULL) {
        free(bench);
        free(summary);
        return cli_complain("no memory");
    }
    summary->samples = json_array();
    int result = all_times(bench, &arguments, summary);
    result = result == 0 && (summary->lost != 0 || summary->wrong != 0) ? 1 : result;
    json_decref(summary->samples);
    free(summary);
    free(bench);
    return result;
}
