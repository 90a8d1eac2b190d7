// SPDX-License-Identifier: Apache-2.0
//
// tacit bench failover: kills or stops the leader, or a follower, under clients' traffic, again and
// again. Before each fault everybody must be a member again: never more than f are faulty or not
// readmitted.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "bench.h"
#include "cli.h"
#include "load.h"
#include "options.h"
#include "scratch.h"

#define READY_NS UINT64_C(20000000000)
#define REST_NS UINT64_C(100000000)    // of good traffic before each fault
#define OUTAGE_NS UINT64_C(1000000000) // a fault is given that long to be over
#define LOOK_NS 2000000u
#define HANDS_OFF_NS UINT64_C(10000000) // after a fault, before anybody is asked how it is
// A cluster gets no more faults after so many requests: what clients append stays, and the store
// would be full after about 9 million of them.
#define OPERATIONS_MAX 3000000u

enum { KEY_KIND = 256, KEY_VICTIM, KEY_MODE, KEY_COUNT, KEY_JSON, KEY_CLIENTS, KEY_OPERATIONS };

struct arguments {
    bool stop;     // SIGSTOP instead of SIGKILL
    bool follower; // is the victim, not the leader
    enum tacit_config_mode mode;
    uint64_t count, clients, operations;
    const char *json;
};

struct results {
    struct histogram silence, wait, detection, permission, lease, recovery, readmission, fast;
    struct histogram slowdown; // with the victim missing: thousandths of the throughput before
    json_t *samples;
    uint64_t done, clusters;   // faults, and clusters that they were spread over
    uint64_t operations, lost; // of all clients: acknowledged, and of these not there at the end
    uint64_t refused;          // operations of stopped leaders after they went on
};

// How a replica came back. In Byzantine mode: how long after it was a member again all replicas'
// votes decided again.
struct comeback {
    uint64_t readmission_ns, fast_ns, refused;
};

// What the successor says about its last election or view, as times after the fault. In Byzantine
// mode: the view was left (detection), and entered by the new leader (recovery).
struct election {
    uint64_t ask_ns, permission_ns, recovery_ns, detection_ns;
    uint64_t lease_ns; // of permission_ns: what the successor's own log waited for a lease to end
};

// What one fault did.
struct episode {
    int victim;
    struct load_outage outage;
    struct election election;
    struct comeback back;
    uint64_t rate_thousandths;           // throughput without the victim, of that before the fault
    uint64_t waited[TACIT_REPLICAS_MAX]; // leases_waited() before the fault
};

static const struct argp_option options[] = {
    {"kind", KEY_KIND, "KIND", 0, "kill (default): SIGKILL; stop: SIGSTOP, and SIGCONT after 1 s",
     0},
    {"victim", KEY_VICTIM, "WHO", 0, "leader (default) or follower", 0},
    {"mode", KEY_MODE, "MODE", 0, "crash (default) or byzantine", 0},
    {"count", KEY_COUNT, "N", 0, "Faults (default 20)", 0},
    {"clients", KEY_CLIENTS, "N", 0, "Clients, 1 to 7 (default 1)", 0},
    {"operations", KEY_OPERATIONS, "N", 0,
     "Requests after which a new cluster is taken, 1 to 3000000 (default)", 0},
    {"json", KEY_JSON, "FILE", 0, "Write the results there, too", 0},
    {0},
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case KEY_KIND:
        arguments->stop = cli_option_word(state, "--kind", value,
                                          (const char *const[]){"kill", "stop", NULL}) == 1;
        return 0;
    case KEY_VICTIM:
        arguments->follower =
            cli_option_word(state, "--victim", value,
                            (const char *const[]){"leader", "follower", NULL}) == 1;
        return 0;
    case KEY_MODE:
        arguments->mode = cli_option_mode(state, value);
        return 0;
    case KEY_COUNT:
        arguments->count = cli_option_number(state, "--count", value, 1, 100000);
        return 0;
    case KEY_CLIENTS:
        arguments->clients = cli_option_number(state, "--clients", value, 1, LOAD_CLIENTS_MAX);
        return 0;
    case KEY_OPERATIONS:
        arguments->operations = cli_option_number(state, "--operations", value, 1, OPERATIONS_MAX);
        return 0;
    case KEY_JSON:
        arguments->json = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// ---- one fault ---------------------------------------------------------------------------------

// The report of the replica that leads, other than `old_leader`, who may be stopped: to ask that
// one would take a second. NULL: none does. For json_decref.
static json_t *successors_report(const struct local *local, int old_leader)
{
    json_t *best = NULL;
    uint64_t term = 0;
    for (uint32_t r = 0; r < local->config.replica_count; r++) {
        json_t *report = (int)r == old_leader ? NULL : local_status(local, (uint16_t)r);
        const char *role = json_string_value(json_object_get(report, "role"));
        // Ballots in crash mode, views in the other: what a later leader has more of.
        uint64_t own =
            local_number(report, NULL, "ballot") + local_number(report, "byzantine", "view");
        if (role != NULL && strcmp(role, "leader") == 0 && (best == NULL || own > term)) {
            json_decref(best);
            best = json_incref(report);
            term = own;
        }
        json_decref(report);
    }
    return best;
}

// Waits until somebody else leads and requests have been acknowledged since; their report, or NULL.
static json_t *wait_over(const struct local *local, const struct load *load, int old_leader)
{
    uint64_t end_ns = cli_now_ns() + READY_NS;
    json_t *report = successors_report(local, old_leader);
    while (report == NULL && cli_now_ns() < end_ns) {
        cli_sleep_ns(LOOK_NS);
        report = successors_report(local, old_leader);
    }
    uint64_t enough = load_acknowledged(load) + 20;
    while (report != NULL && load_acknowledged(load) < enough) {
        if (cli_now_ns() > end_ns || load_failed(load)) {
            json_decref(report);
            return NULL;
        }
        cli_sleep_ns(LOOK_NS);
    }
    return report;
}

// How often each replica's log has waited for the end of a lease.
static void leases_waited(const struct local *local, uint64_t waited[TACIT_REPLICAS_MAX])
{
    for (uint32_t r = 0; r < local->config.replica_count; r++) {
        json_t *report = local_status(local, (uint16_t)r);
        waited[r] = local_number(report, "counters", "leases_waited");
        json_decref(report);
    }
}

static struct election election_of(const struct local *local, const json_t *report,
                                   const struct episode *e, uint64_t fault_ns)
{
    uint64_t silence_ns = e->outage.silence_ns;
    uint64_t id = local_number(report, NULL, "id");
    bool has_waited = id < TACIT_REPLICAS_MAX &&
                      local_number(report, "counters", "leases_waited") > e->waited[id];
    struct election election = {
        .lease_ns = has_waited ? local_number(report, "counters", "last_lease_wait_ns") : 0,
        .ask_ns = local_number(report, "last_election", "detect_to_ask_ns"),
        .permission_ns = local_number(report, "last_election", "permission_ns"),
        .recovery_ns = local_number(report, "last_election", "recovery_ns")};
    if (local_is_byzantine(local)) {
        uint64_t sealed_ns = local_number(report, "byzantine", "last_sealed_ns");
        uint64_t entered_ns = local_number(report, "byzantine", "last_entered_ns");
        election.detection_ns = sealed_ns > fault_ns ? sealed_ns - fault_ns : 0;
        election.recovery_ns = entered_ns > sealed_ns ? entered_ns - sealed_ns : 0;
    } else {
        uint64_t known_ns = election.permission_ns + election.recovery_ns;
        election.detection_ns = silence_ns > known_ns ? silence_ns - known_ns : 0;
    }
    return election;
}

static void note(struct results *results, const struct episode *e)
{
    histogram_add(&results->silence, e->outage.silence_ns);
    histogram_add(&results->wait, e->outage.longest_wait_ns);
    histogram_add(&results->detection, e->election.detection_ns);
    histogram_add(&results->permission, e->election.permission_ns);
    histogram_add(&results->lease, e->election.lease_ns);
    histogram_add(&results->recovery, e->election.recovery_ns);
    histogram_add(&results->readmission, e->back.readmission_ns);
    histogram_add(&results->fast, e->back.fast_ns);
    histogram_add(&results->slowdown, e->rate_thousandths);
    results->refused += e->back.refused;
    json_t *sample = json_object();
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {
        {"victim", (uint64_t)e->victim},
        {"ask_ns", e->election.ask_ns},
        {"silence_ns", e->outage.silence_ns},
        {"wait_ns", e->outage.longest_wait_ns},
        {"detection_ns", e->election.detection_ns},
        {"permission_ns", e->election.permission_ns},
        {"lease_ns", e->election.lease_ns},
        {"recovery_ns", e->election.recovery_ns},
        {"readmission_ns", e->back.readmission_ns},
        {"fast_path_ns", e->back.fast_ns},
        {"rate_thousandths", e->rate_thousandths},
        {"refused", e->back.refused},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)json_object_set_new(sample, numbers[i].key,
                                  json_integer((json_int_t)numbers[i].value));
    }
    (void)json_array_append_new(results->samples, sample);
}

// Operations of this replica that others' memory refused.
static uint64_t refused(const struct local *local, uint16_t replica)
{
    json_t *report = local_status(local, replica);
    const json_t *fabric = json_object_get(report, "fabric");
    uint64_t sum =
        local_number(fabric, "data", "denied") + local_number(fabric, "background", "denied");
    json_decref(report);
    return sum;
}

// Brings the faulty one back. readmission_ns == 0: it did not become a member again.
static struct comeback bring_back(struct local *local, const struct arguments *arguments,
                                  struct local_node node, uint64_t refused_before,
                                  struct tacit_error *error)
{
    uint32_t all = (1u << local->config.replica_count) - 1;
    struct comeback back = {0};
    if (!arguments->stop) {
        back.readmission_ns = scratch_readmit(local, node.id, READY_NS, error);
        return back;
    }
    uint64_t back_ns = cli_now_ns();
    if (local_signal(local, node, SIGCONT, error) == TACIT_OK &&
        local_wait_members(local, all, READY_NS)) {
        back.readmission_ns = cli_now_ns() - back_ns;
        back.refused = refused(local, node.id) - refused_before;
    }
    return back;
}

// Waits until each replica is connected to all others. Who was readmitted is connected to the
// leader, the two of them without a leader could not agree before they reach each other.
static bool wait_connected(const struct local *local)
{
    uint64_t end_ns = cli_now_ns() + READY_NS;
    uint32_t replica = 0;
    while (replica < local->config.replica_count && cli_now_ns() < end_ns) {
        json_t *report = local_status(local, (uint16_t)replica);
        if (json_array_size(json_object_get(report, "up")) == local->config.replica_count) {
            replica++;
        } else {
            cli_sleep_ns(LOOK_NS);
        }
        json_decref(report);
    }
    return replica == local->config.replica_count;
}

// Waits until everybody is a member and connected, so that one may fail, and somebody leads.
static enum tacit_status wait_sound(const struct local *local, int *leader,
                                    struct tacit_error *error)
{
    uint32_t all = (1u << local->config.replica_count) - 1;
    if (local_wait_leader(local, -1, READY_NS) < 0 || !local_wait_members(local, all, READY_NS) ||
        !local_may_fail(local)) {
        return tacit_error_set(error, TACIT_EBUSY, 0,
                               "not everybody is a member: one more fault could be beyond f");
    }
    if (!wait_connected(local)) {
        return tacit_error_set(error, TACIT_EBUSY, 0,
                               "not everybody is connected to everybody: a group that has to wait "
                               "for connections says nothing about fail-over");
    }
    *leader = local_wait_leader(local, -1, READY_NS);
    return *leader >= 0 ? TACIT_OK : tacit_error_set(error, TACIT_ETIMEDOUT, 0, "nobody leads");
}

// From the fault until it is over and REST has shown what is served without the victim.
static enum tacit_status outage(struct local *local, struct load *load,
                                const struct arguments *arguments, struct local_node node,
                                struct episode *e, struct tacit_error *error)
{
    uint64_t before = load_acknowledged(load);
    cli_sleep_ns(REST_NS);
    before = load_acknowledged(load) - before;
    uint64_t fault_ns = cli_now_ns();
    enum tacit_status status =
        local_signal(local, node, arguments->stop ? SIGSTOP : SIGKILL, error);
    if (status != TACIT_OK) {
        return status;
    }
    cli_sleep_ns(HANDS_OFF_NS); // status requests would take the processors that are measured
    json_t *report = wait_over(local, load, e->victim);
    if (report == NULL) {
        return tacit_error_set(error, TACIT_ETIMEDOUT, 0,
                               "nothing was served after the fault of replica %d", e->victim);
    }
    uint64_t without = load_acknowledged(load);
    cli_sleep_ns(REST_NS);
    without = load_acknowledged(load) - without;
    e->rate_thousandths = before == 0 ? 0 : without * 1000 / before;
    if (arguments->stop && cli_now_ns() < fault_ns + OUTAGE_NS) {
        cli_sleep_ns(fault_ns + OUTAGE_NS - cli_now_ns());
    }
    e->outage = load_outage(load, fault_ns, fault_ns + OUTAGE_NS);
    if (!arguments->follower) {
        e->election = election_of(local, report, e, fault_ns);
    }
    json_decref(report);
    return TACIT_OK;
}

static enum tacit_status one_fault(struct local *local, struct load *load,
                                   const struct arguments *arguments, struct results *results,
                                   struct tacit_error *error)
{
    int leader = -1;
    enum tacit_status status = wait_sound(local, &leader, error);
    if (status != TACIT_OK) {
        return status;
    }
    struct episode e = {.victim = leader};
    if (arguments->follower) { // another one each time
        uint32_t replicas = local->config.replica_count;
        e.victim = (int)(((uint32_t)leader + 1 + results->done % (replicas - 1)) % replicas);
    }
    struct local_node node = {LOCAL_REPLICA, (uint16_t)e.victim};
    uint64_t refused_before = refused(local, node.id);
    leases_waited(local, e.waited);
    status = outage(local, load, arguments, node, &e, error);
    if (status != TACIT_OK) {
        return status;
    }
    e.back = bring_back(local, arguments, node, refused_before, error);
    if (e.back.readmission_ns == 0) {
        return tacit_error_set(error, TACIT_ETIMEDOUT, 0, "replica %d did not come back", e.victim);
    }
    e.back.fast_ns = local_is_byzantine(local) ? local_wait_fast(local, READY_NS) : 1;
    if (e.back.fast_ns == 0) {
        return tacit_error_set(error, TACIT_ETIMEDOUT, 0,
                               "the fast path did not come back after replica %d was readmitted",
                               e.victim);
    }
    note(results, &e);
    return TACIT_OK;
}

// ---- all of them -------------------------------------------------------------------------------

// Faults under load on this cluster until all are done or its clients have worked enough.
static enum tacit_status faults_under(struct local *local, struct load *load,
                                      const struct arguments *arguments, struct results *results,
                                      struct tacit_error *error)
{
    bool is_terminal = isatty(STDERR_FILENO) != 0;
    do {
        if (scratch_interrupted()) {
            return tacit_error_set(error, TACIT_ECLOSED, 0, "interrupted");
        }
        enum tacit_status status = one_fault(local, load, arguments, results, error);
        if (status != TACIT_OK) {
            return status;
        }
        results->done++;
        if (is_terminal) {
            (void)fprintf(stderr, "\r%llu of %llu", (unsigned long long)results->done,
                          (unsigned long long)arguments->count);
        }
    } while (results->done < arguments->count && load_acknowledged(load) < arguments->operations);
    return TACIT_OK;
}

// Nothing that was acknowledged may be missing, whatever was measured.
static enum tacit_status judge(const struct load *load, struct results *results,
                               struct tacit_error *error)
{
    struct audit audit = audit_run(load);
    results->operations += audit.operations;
    results->lost += audit.lost;
    return audit.lost == 0 && audit.linearizable
               ? TACIT_OK
               : tacit_error_set(error, TACIT_EIO, 0, "%llu acknowledged requests are lost: %s",
                                 (unsigned long long)audit.lost, audit.text);
}

static enum tacit_status one_cluster(struct local *local, const struct arguments *arguments,
                                     struct results *results, struct tacit_error *error)
{
    struct load *load = NULL;
    enum tacit_status status = local_up(local, error);
    if (status == TACIT_OK) {
        status = load_start(&load, local, (unsigned)arguments->clients, 0, error);
    }
    if (status != TACIT_OK) {
        return status;
    }
    status = faults_under(local, load, arguments, results, error);
    // A client that gave up is the cause of what was missed after it, and says why.
    bool is_cause = status == TACIT_OK || load_failed(load);
    struct tacit_error other;
    enum tacit_status of_load = load_stop(load, is_cause ? error : &other);
    status = is_cause ? of_load : status;
    if (status == TACIT_OK) {
        status = judge(load, results, error);
    }
    load_free(load);
    return status;
}

static enum tacit_status all_faults(const struct arguments *arguments, struct results *results,
                                    struct tacit_error *error)
{
    const struct local_plan plan = {
        .replicas = 3, .memnodes = 3, .mode = arguments->mode, .waiting = TACIT_CONFIG_ADAPTIVE};
    struct local *local = calloc(1, sizeof *local);
    enum tacit_status status = TACIT_OK;
    if (local == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, 0, "no memory");
    }
    while (results->done < arguments->count && status == TACIT_OK) {
        memset(local, 0, sizeof *local);
        status = scratch_open(local, &plan, error);
        if (status != TACIT_OK) {
            break;
        }
        results->clusters++;
        status = one_cluster(local, arguments, results, error);
        scratch_close(local);
    }
    free(local);
    if (isatty(STDERR_FILENO) != 0) {
        (void)fprintf(stderr, "\n");
    }
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
        {"lease", "    of it, waited for a lease", &results->lease},
        {"recovery", "  catch-up and prepare", &results->recovery},
        {"readmission", "until it was a member again", &results->readmission},
        {"fast_path", "and then until the fast path", &results->fast},
    };
    json_t *object = json_object();
    (void)printf("%-34s %8s %10s %10s %10s %10s %10s\n", "in us", "count", "p50", "p90", "p99",
                 "p99.9", "max");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bench_print(rows[i].what, rows[i].histogram);
        (void)json_object_set_new(object, rows[i].name, bench_distribution(rows[i].histogram));
    }
    (void)printf(
        "without the victim: %.1f %% of the throughput before (median), at least %.1f %%\n",
        (double)histogram_quantile(&results->slowdown, 0.5) / 10,
        (double)histogram_quantile(&results->slowdown, 0.0) / 10);
    (void)json_object_set_new(
        object, "rate_thousandths",
        json_integer((json_int_t)histogram_quantile(&results->slowdown, 0.5)));
    (void)printf("%llu requests acknowledged on %llu clusters, %llu lost; "
                 "%llu operations of leaders that had been stopped were refused\n",
                 (unsigned long long)results->operations, (unsigned long long)results->clusters,
                 (unsigned long long)results->lost, (unsigned long long)results->refused);
    (void)json_object_set_new(object, "acknowledged",
                              json_integer((json_int_t)results->operations));
    (void)json_object_set_new(object, "clusters", json_integer((json_int_t)results->clusters));
    (void)json_object_set_new(object, "lost", json_integer((json_int_t)results->lost));
    (void)json_object_set_new(object, "refused", json_integer((json_int_t)results->refused));
    (void)json_object_set(object, "samples", results->samples);
    return object;
}

int bench_failover(int argc, char **argv)
{
    static const struct argp argp = {
        options, parse, "",  "What clients wait when a replica is killed or stopped.",
        NULL,    NULL,  NULL};
    struct arguments arguments = {.count = 20, .clients = 1, .operations = OPERATIONS_MAX};
    struct tacit_error error;
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return 2;
    }
    struct results *results = calloc(1, sizeof *results);
    if (results == NULL) {
        return cli_complain("no memory");
    }
    results->samples = json_array();
    enum tacit_status status = all_faults(&arguments, results, &error);
    int result = status == TACIT_OK
                     ? bench_write(arguments.json, "failover", report_results(results))
                     : cli_fail(&error);
    json_decref(results->samples);
    free(results);
    return result;
}
