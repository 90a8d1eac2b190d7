// SPDX-License-Identifier: Apache-2.0
//
// tacit bench failover: kills or stops the leader under a client's traffic, again and again. Before
// each fault everybody must be a member again: never more than f are faulty or not readmitted.
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "cli.h"
#include "load.h"
#include "scratch.h"

#define READY_NS UINT64_C(20000000000)
#define REST_NS UINT64_C(100000000)    // of good traffic before each fault
#define OUTAGE_NS UINT64_C(1000000000) // a fault is given that long to be over
#define LOOK_NS 2000000u
#define HANDS_OFF_NS UINT64_C(10000000) // after a fault, before anybody is asked how it is

enum { KEY_KIND = 256, KEY_COUNT, KEY_JSON, KEY_CLIENTS };

struct arguments {
    bool stop;
    uint64_t count, clients;
    const char *json;
};

struct results {
    struct histogram silence, wait, detection, permission, recovery, readmission;
    json_t *samples;
};

static const struct argp_option options[] = {
    {"kind", KEY_KIND, "KIND", 0, "kill (default): SIGKILL; stop: SIGSTOP, and SIGCONT after 1 s",
     0},
    {"count", KEY_COUNT, "N", 0, "Faults (default 20)", 0},
    {"clients", KEY_CLIENTS, "N", 0, "Clients, 1 to 7 (default 1)", 0},
    {"json", KEY_JSON, "FILE", 0, "Write the results there, too", 0},
    {0},
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case KEY_KIND:
        arguments->stop = strcmp(value, "stop") == 0;
        if (!arguments->stop && strcmp(value, "kill") != 0) {
            argp_error(state, "--kind %s: accepted are kill and stop", value);
        }
        return 0;
    case KEY_COUNT:
        if (!cli_number(value, 1, 100000, &arguments->count)) {
            argp_error(state, "--count %s: 1 to 100000 is accepted", value);
        }
        return 0;
    case KEY_CLIENTS:
        if (!cli_number(value, 1, LOAD_CLIENTS_MAX, &arguments->clients)) {
            argp_error(state, "--clients %s: 1 to %u is accepted", value, LOAD_CLIENTS_MAX);
        }
        return 0;
    case KEY_JSON:
        arguments->json = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// True once somebody else leads and requests have been acknowledged again since.
static bool wait_over(const struct local *local, const struct load *load, int old_leader)
{
    int leader = local_wait_leader(local, old_leader, READY_NS);
    uint64_t before = load_acknowledged(load);
    uint64_t end_ns = cli_now_ns() + READY_NS;
    while (leader >= 0 && load_acknowledged(load) < before + 20 && cli_now_ns() < end_ns) {
        cli_sleep_ns(LOOK_NS);
    }
    return leader >= 0 && load_acknowledged(load) >= before + 20;
}

static enum tacit_status one_fault(struct local *local, struct load *load,
                                   const struct arguments *arguments, struct results *results,
                                   struct tacit_error *error)
{
    uint32_t all = (1u << local->config.replica_count) - 1;
    cli_sleep_ns(REST_NS);
    int leader = local_leader(local);
    if (leader < 0 || !local_wait_members(local, all, READY_NS) || !local_may_fail(local)) {
        return tacit_error_set(error, TACIT_EBUSY, 0,
                               "not everybody is a member: one more fault could be beyond f");
    }
    leader = local_wait_leader(local, -1, READY_NS);
    struct local_node node = {LOCAL_REPLICA, (uint16_t)leader};
    uint64_t fault_ns = cli_now_ns();
    enum tacit_status status =
        local_signal(local, node, arguments->stop ? SIGSTOP : SIGKILL, error);
    if (status != TACIT_OK) {
        return status;
    }
    cli_sleep_ns(HANDS_OFF_NS); // status requests would take the processors that are measured
    bool over = wait_over(local, load, leader);
    struct load_outage outage = load_outage(load, fault_ns, fault_ns + OUTAGE_NS);
    int successor = local_leader(local);
    json_t *report = successor < 0 ? NULL : local_status(local, (uint16_t)successor);
    uint64_t permission_ns = local_number(report, "last_election", "permission_ns");
    uint64_t recovery_ns = local_number(report, "last_election", "recovery_ns");
    uint64_t ask_ns = local_number(report, "last_election", "detect_to_ask_ns");
    json_decref(report);
    uint64_t readmission_ns = 0;
    if (arguments->stop) {
        if (cli_now_ns() < fault_ns + OUTAGE_NS) {
            cli_sleep_ns(fault_ns + OUTAGE_NS - cli_now_ns());
        }
        uint64_t back_ns = cli_now_ns();
        status = local_signal(local, node, SIGCONT, error);
        readmission_ns = local_wait_members(local, all, READY_NS) ? cli_now_ns() - back_ns : 0;
    } else {
        (void)local_wait_gone(local, node, READY_NS);
        readmission_ns = scratch_readmit(local, node.id, READY_NS, error);
    }
    if (!over || readmission_ns == 0 || status != TACIT_OK) {
        return tacit_error_set(
            error, TACIT_ETIMEDOUT, 0,
            over ? "replica %d did not come back" : "nobody took over from replica %d", leader);
    }
    uint64_t known_ns = permission_ns + recovery_ns;
    uint64_t detection_ns = outage.silence_ns > known_ns ? outage.silence_ns - known_ns : 0;
    histogram_add(&results->silence, outage.silence_ns);
    histogram_add(&results->wait, outage.longest_wait_ns);
    histogram_add(&results->detection, detection_ns);
    histogram_add(&results->permission, permission_ns);
    histogram_add(&results->recovery, recovery_ns);
    histogram_add(&results->readmission, readmission_ns);
    (void)json_array_append_new(
        results->samples,
        json_pack("{s:i,s:I,s:I,s:I,s:I,s:I,s:I}", "leader", leader, "ask_ns", (json_int_t)ask_ns,
                  "silence_ns", (json_int_t)outage.silence_ns, "wait_ns",
                  (json_int_t)outage.longest_wait_ns, "permission_ns", (json_int_t)permission_ns,
                  "recovery_ns", (json_int_t)recovery_ns, "readmission_ns",
                  (json_int_t)readmission_ns));
    return TACIT_OK;
}

static enum tacit_status all_faults(struct local *local, const struct arguments *arguments,
                                    struct results *results, struct tacit_error *error)
{
    struct load *load = NULL;
    bool is_terminal = isatty(STDERR_FILENO) != 0;
    enum tacit_status status = local_up(local, error);
    if (status == TACIT_OK) {
        status = load_start(&load, local, (unsigned)arguments->clients, 0, error);
    }
    for (uint64_t i = 0; i < arguments->count && status == TACIT_OK; i++) {
        status = scratch_interrupted() ? tacit_error_set(error, TACIT_ECLOSED, 0, "interrupted")
                                       : one_fault(local, load, arguments, results, error);
        if (is_terminal) {
            (void)fprintf(stderr, "\r%llu of %llu", (unsigned long long)i + 1,
                          (unsigned long long)arguments->count);
        }
    }
    if (is_terminal) {
        (void)fprintf(stderr, "\n");
    }
    struct tacit_error of_load;
    if (load != NULL && load_stop(load, status == TACIT_OK ? error : &of_load) != TACIT_OK &&
        status == TACIT_OK) {
        status = TACIT_EIO;
    }
    load_free(load);
    return status;
}

static json_t *report_results(const struct results *results)
{
    const struct {
        const char *name, *what;
        const struct histogram *histogram;
    } rows[] = {
        {"silence", "no client heard anything", &results->silence},
        {"wait", "longest wait of one client", &results->wait},
        {"detection", "  detection, retry, scheduling", &results->detection},
        {"permission", "  permission switch", &results->permission},
        {"recovery", "  catch-up and prepare", &results->recovery},
        {"readmission", "until it was a member again", &results->readmission},
    };
    json_t *object = json_object();
    (void)printf("%-34s %8s %10s %10s %10s %10s %10s\n", "in us", "count", "p50", "p90", "p99",
                 "p99.9", "max");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bench_print(rows[i].what, rows[i].histogram);
        (void)json_object_set_new(object, rows[i].name, bench_distribution(rows[i].histogram));
    }
    (void)json_object_set(object, "samples", results->samples);
    return object;
}

int bench_failover(int argc, char **argv)
{
    static const struct argp argp = {
        options, parse, "",  "What clients wait when the leader is killed or stopped.",
        NULL,    NULL,  NULL};
    struct arguments arguments = {.count = 20, .clients = 1};
    const struct local_plan plan = {.replicas = 3, .memnodes = 3, .waiting = TACIT_CONFIG_ADAPTIVE};
    struct tacit_error error;
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return 2;
    }
    struct local *local = calloc(1, sizeof *local);
    struct results *results = calloc(1, sizeof *results);
    if (local == NULL || results == NULL) {
        free(local);
        free(results);
        return cli_complain("no memory");
    }
    results->samples = json_array();
    enum tacit_status status = scratch_open(local, &plan, &error);
    if (status == TACIT_OK) {
        status = all_faults(local, &arguments, results, &error);
        scratch_close(local);
    }
    int result = status == TACIT_OK
                     ? bench_write(arguments.json, "failover", report_results(results))
                     : cli_fail(&error);
    json_decref(results->samples);
    free(results);
    free(local);
    return result;
}
