// SPDX-License-Identifier: Apache-2.0
//
// tacit bench failover: kills or stops the leader, or a follower, under clients' traffic, again and
// again. Before each fault everybody must be a member again: never more than f are faulty or not
// readmitted. Three times are taken of each fault. Fail-over, for each client: from the signal
// until it has an answer to a request that it sent after the signal had its effect and that, where
// the leader was the victim, came after another one led: what Mu calls fail-over time. (The effect
// is known when kill(2) has returned, or earlier, when another one leads: whoever sends the signal
// may have to wait for a processor itself, and clients do not wait for it.) And, in all
// of the outage, the longest silence and the longest wait: they include what else the fault brings
// about, such as the work of the kernel that takes a killed process apart on a processor that
// others need. For how much of each of them the machine stood still (bench_stalls.h) is told.
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench_cluster.h"
#include "bench_effect.h"
#include "bench_options.h"
#include "bench_stalls.h"
#include "cli.h"

#define REST_NS UINT64_C(100000000)     // of good traffic before each fault
#define OUTAGE_NS EFFECT_LATE_NS        // a fault is looked at so long, or until it is over
#define HANDS_OFF_NS UINT64_C(10000000) // after a fault, before anybody is asked how it is
// A cluster gets no more faults after so many requests: what clients append stays, and the store
// would be full after about 9 million of them.
#define OPERATIONS_MAX 3000000u

struct arguments {
    bool stop;     // SIGSTOP instead of SIGKILL
    bool follower; // is the victim, not the leader
    enum tacit_config_mode mode;
    uint64_t count, clients, operations;
    const char *json;
};

// In how much of what was taken of one fault a processor stood still.
struct stalled {
    uint64_t failover_ns, silence_ns, wait_ns;
    uint64_t longest_ns; // stall in all of the outage
    uint64_t stolen_ns;  // from before the fault to its end, in the hypervisor's coarse steps
};

struct results {
    struct stalls *stalls;
    struct histogram failover; // of each client
    struct histogram silence, wait, led, detection, permission, lease, recovery;
    struct histogram readmission, fast;
    struct histogram slowdown; // with the victim missing: thousandths of the throughput before
    json_t *samples;
    uint64_t done, failed, clusters; // faults, and clusters that they were spread over
    uint64_t late;                   // faults of who led no more when it was hit: done again
    uint64_t operations, lost;       // of all clients: acknowledged, of these not there at the end
    uint64_t wrong;                  // clusters whose clients' answers contradict each other
    uint64_t refused;                // operations of stopped leaders after they went on
};

// How a replica came back. In Byzantine mode: how long after it was a member again all replicas'
// votes decided again.
struct comeback {
    uint64_t readmission_ns, fast_ns, refused;
};

// What the successor says about its election or view, after the fault. In Byzantine mode: the view
// was left (detection), and entered by the new leader (recovery).
struct election {
    uint64_t led_ns; // the sum of the next three
    uint64_t detection_ns, permission_ns, recovery_ns;
    uint64_t lease_ns; // of permission_ns: what the successor's own log waited for a lease to end
};

// What one fault did.
struct episode {
    int victim;
    uint64_t fault_ns; // the signal; and when it had its effect
    uint64_t effect_ns;
    bool is_late; // another one led already
    struct load_outage outage;
    struct stalled stalled;
    struct election election;
    struct comeback back;
    uint64_t resumed_ns[LOAD_CLIENTS_MAX]; // of each client; last_ns: of the last one
    uint64_t last_ns;
    uint64_t rate_thousandths;           // throughput without the victim, of that before the fault
    uint64_t waited[TACIT_REPLICAS_MAX]; // leases_waited() before the fault
};

static const struct bench_option options[] = {
    BENCH_EITHER(stop, "kind", "KIND", "kill", "stop",
                 "kill (default): SIGKILL; stop: SIGSTOP, and SIGCONT after 300 ms"),
    BENCH_EITHER(follower, "victim", "WHO", "leader", "follower", "leader (default) or follower"),
    BENCH_MODE,
    BENCH_NUMBER(count, "count", "N", 1, 100000, "Faults (default 20)"),
    BENCH_NUMBER(clients, "clients", "N", 1, LOAD_CLIENTS_MAX, "Clients, 1 to 7 (default 1)"),
    BENCH_NUMBER(operations, "operations", "N", 1, OPERATIONS_MAX,
                 "Requests after which a new cluster is taken, 1 to 3000000 (default)"),
    BENCH_JSON,
    {0},
};

// ---- one fault ---------------------------------------------------------------------------------

// When the one that says this began to lead.
static uint64_t led_at_ns(const json_t *report, bool is_byzantine)
{
    return is_byzantine ? local_number(report, "byzantine", "last_entered_ns")
                        : local_number(report, "last_election", "led_at_ns");
}

// The report of a replica, other than `old_leader`, who may be stopped (to ask that one would take
// a second), that leads; of several the one that began last. NULL: none does. For json_decref.
static json_t *successors_report(const struct local *local, int old_leader)
{
    json_t *best = NULL;
    uint64_t last_ns = 0;
    for (uint32_t r = 0; r < local->config.replica_count; r++) {
        json_t *report = (int)r == old_leader ? NULL : local_status(local, (uint16_t)r);
        const char *role = json_string_value(json_object_get(report, "role"));
        uint64_t own_ns = led_at_ns(report, local_is_byzantine(local));
        if (role != NULL && strcmp(role, "leader") == 0 && own_ns > last_ns) {
            json_decref(best);
            best = json_incref(report);
            last_ns = own_ns;
        }
        json_decref(report);
    }
    return best;
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
                                   const struct episode *e)
{
    bool is_byzantine = local_is_byzantine(local);
    uint64_t id = local_number(report, NULL, "id");
    bool has_waited = id < TACIT_REPLICAS_MAX &&
                      local_number(report, "counters", "leases_waited") > e->waited[id];
    struct election election = {
        .led_ns = led_at_ns(report, is_byzantine) - e->fault_ns,
        .lease_ns = has_waited ? local_number(report, "counters", "last_lease_wait_ns") : 0,
        .permission_ns = local_number(report, "last_election", "permission_ns"),
        .recovery_ns = local_number(report, "last_election", "recovery_ns")};
    if (is_byzantine) {
        uint64_t sealed_ns = local_number(report, "byzantine", "last_sealed_ns");
        uint64_t known_ns = sealed_ns > e->fault_ns ? sealed_ns - e->fault_ns : 0;
        election.recovery_ns = election.led_ns > known_ns ? election.led_ns - known_ns : 0;
    }
    uint64_t later_ns = election.permission_ns + election.recovery_ns;
    election.detection_ns = election.led_ns > later_ns ? election.led_ns - later_ns : 0;
    return election;
}

// Waits until, if the leader was the victim, another one leads, and every client is served again.
static enum tacit_status wait_over(const struct local *local, const struct load *load,
                                   bool of_leader, struct episode *e, struct tacit_error *error)
{
    uint64_t end_ns = cli_now_ns() + BENCH_READY_NS;
    uint64_t led_ns = 0;
    json_t *report = NULL;
    e->last_ns = UINT64_MAX;
    while (e->last_ns == UINT64_MAX) {
        if (cli_now_ns() > end_ns || load_failed(load) || scratch_interrupted()) {
            json_decref(report);
            return tacit_error_set(error, TACIT_ETIMEDOUT, 0,
                                   "not every client was served after the fault of replica %d",
                                   e->victim);
        }
        if (of_leader && report == NULL) {
            report = successors_report(local, e->victim);
            led_ns = report == NULL ? 0 : led_at_ns(report, local_is_byzantine(local));
            enum effect_successor known = effect_successor(led_ns, e->fault_ns, cli_now_ns());
            if (known != EFFECT_SUCCESSOR) {
                json_decref(report);
                report = NULL;
            }
            e->is_late = known == EFFECT_LED_BEFORE;
            if (e->is_late) {
                return TACIT_OK;
            }
        }
        if (!of_leader || report != NULL) {
            uint64_t sent_ns = of_leader && led_ns < e->effect_ns ? led_ns : e->effect_ns;
            load_resumed(load, sent_ns, led_ns, e->resumed_ns);
            e->last_ns = 0;
            for (unsigned c = 0; c < load_clients(load); c++) {
                e->resumed_ns[c] -= e->resumed_ns[c] != UINT64_MAX ? e->fault_ns : 0;
                e->last_ns = e->resumed_ns[c] > e->last_ns ? e->resumed_ns[c] : e->last_ns;
            }
        }
        if (e->last_ns == UINT64_MAX) {
            cli_sleep_ns(BENCH_LOOK_NS);
        }
    }
    if (report != NULL) {
        e->election = election_of(local, report, e);
    }
    json_decref(report);
    return TACIT_OK;
}

static json_t *sample_json(const struct episode *e, unsigned clients, bool is_measured)
{
    json_t *sample = json_object();
    json_t *resumed = json_array();
    for (unsigned c = 0; c < clients; c++) {
        (void)json_array_append_new(resumed, json_integer((json_int_t)e->resumed_ns[c]));
    }
    bench_put(sample, "victim", (uint64_t)e->victim);
    bench_put(sample, "failover_ns", e->last_ns);
    (void)json_object_set_new(sample, "resumed_ns", resumed);
    bench_put(sample, "silence_ns", e->outage.silence_ns);
    bench_put(sample, "wait_ns", e->outage.longest_wait_ns);
    // A request may have been under way when the fault came: then below 0.
    (void)json_object_set_new(
        sample, "wait_at_ns",
        json_integer((json_int_t)e->outage.wait_from_ns - (json_int_t)e->fault_ns));
    bench_put(sample, "led_ns", e->election.led_ns);
    bench_put(sample, "detection_ns", e->election.detection_ns);
    bench_put(sample, "permission_ns", e->election.permission_ns);
    bench_put(sample, "lease_ns", e->election.lease_ns);
    bench_put(sample, "recovery_ns", e->election.recovery_ns);
    bench_put(sample, "readmission_ns", e->back.readmission_ns);
    bench_put(sample, "fast_path_ns", e->back.fast_ns);
    bench_put(sample, "rate_thousandths", e->rate_thousandths);
    bench_put(sample, "refused", e->back.refused);
    if (is_measured) {
        bench_put(sample, "longest_stall_ns", e->stalled.longest_ns);
        bench_put(sample, "failover_stalled_ns", e->stalled.failover_ns);
        bench_put(sample, "silence_stalled_ns", e->stalled.silence_ns);
        bench_put(sample, "wait_stalled_ns", e->stalled.wait_ns);
        bench_put(sample, "stolen_ns", e->stalled.stolen_ns);
    }
    return sample;
}

static void note(struct results *results, const struct episode *e, unsigned clients,
                 const struct arguments *arguments)
{
    for (unsigned c = 0; c < clients; c++) {
        histogram_add(&results->failover, e->resumed_ns[c]);
    }
    histogram_add(&results->silence, e->outage.silence_ns);
    histogram_add(&results->wait, e->outage.longest_wait_ns);
    if (!arguments->follower) {
        histogram_add(&results->led, e->election.led_ns);
        histogram_add(&results->detection, e->election.detection_ns);
        histogram_add(&results->recovery, e->election.recovery_ns);
    }
    if (!arguments->follower && arguments->mode == TACIT_CONFIG_CRASH) {
        histogram_add(&results->permission, e->election.permission_ns);
        histogram_add(&results->lease, e->election.lease_ns);
    }
    histogram_add(&results->readmission, e->back.readmission_ns);
    if (arguments->mode == TACIT_CONFIG_BYZANTINE) {
        histogram_add(&results->fast, e->back.fast_ns);
    }
    histogram_add(&results->slowdown, e->rate_thousandths);
    results->refused += e->back.refused;
    results->done++;
    (void)json_array_append_new(results->samples,
                                sample_json(e, clients, stalls_are_measured(results->stalls)));
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

// Brings the faulty one back.
static enum tacit_status bring_back(struct local *local, const struct arguments *arguments,
                                    struct local_node node, uint64_t refused_before,
                                    struct comeback *back, struct tacit_error *error)
{
    uint32_t all = (1u << local->config.replica_count) - 1;
    enum tacit_status status = TACIT_OK;
    if (arguments->stop) {
        uint64_t back_ns = cli_now_ns();
        status = local_signal(local, node, SIGCONT, error);
        if (status == TACIT_OK && local_wait_members(local, all, BENCH_READY_NS)) {
            back->readmission_ns = cli_now_ns() - back_ns;
            back->refused = refused(local, node.id) - refused_before;
        }
    } else {
        back->readmission_ns = scratch_readmit(local, node.id, BENCH_READY_NS, error);
    }
    if (back->readmission_ns == 0) {
        return tacit_error_set(error, TACIT_ETIMEDOUT, 0, "replica %u did not come back", node.id);
    }
    back->fast_ns = local_is_byzantine(local) ? local_wait_fast(local, BENCH_READY_NS) : 1;
    return back->fast_ns != 0
               ? TACIT_OK
               : tacit_error_set(error, TACIT_ETIMEDOUT, 0,
                                 "the fast path did not come back after replica %u was readmitted",
                                 node.id);
}

// Who kills wakes the victim's threads, which preempt it, for up to a millisecond; as a real-time
// thread, where that is allowed, it first sees what time it is. Only where nothing else tells when
// the signal had its effect: the victim waits a little longer for that.
static void take_precedence(bool takes)
{
    const struct sched_param rank = {.sched_priority = takes ? 1 : 0};
    (void)sched_setscheduler(0, takes ? SCHED_FIFO : SCHED_OTHER, &rank);
}

// From the fault until it is over and REST has shown what is served without the victim.
static enum tacit_status outage(struct local *local, struct load *load,
                                const struct arguments *arguments, struct local_node node,
                                struct episode *e, struct tacit_error *error)
{
    uint64_t before = load_acknowledged(load);
    cli_sleep_ns(REST_NS);
    before = load_acknowledged(load) - before;
    bool is_first = arguments->follower && !arguments->stop;
    take_precedence(is_first);
    enum tacit_status status =
        local_signal_timed(local, node, arguments->stop ? SIGSTOP : SIGKILL, &e->fault_ns, error);
    e->effect_ns = cli_now_ns();
    if (is_first) {
        take_precedence(false);
    }
    if (status != TACIT_OK) {
        return status;
    }
    // A process that was stopped may have work under way when the signal has been sent.
    uint64_t end_ns = e->fault_ns + HANDS_OFF_NS;
    while (arguments->stop && !local_is_stopped(local, node) && cli_now_ns() < end_ns) {
    }
    e->effect_ns = arguments->stop ? cli_now_ns() : e->effect_ns;
    cli_sleep_ns(HANDS_OFF_NS); // status requests would take the processors that are measured
    status = wait_over(local, load, !arguments->follower, e, error);
    if (status != TACIT_OK || e->is_late) {
        return status;
    }
    uint64_t without = load_acknowledged(load);
    cli_sleep_ns(REST_NS);
    without = load_acknowledged(load) - without;
    e->rate_thousandths = before == 0 ? 0 : without * 1000 / before;
    if (cli_now_ns() < e->fault_ns + OUTAGE_NS) {
        cli_sleep_ns(e->fault_ns + OUTAGE_NS - cli_now_ns());
    }
    e->outage = load_outage(load, e->fault_ns, cli_now_ns());
    return TACIT_OK;
}

// After the outage.
static struct stalled stalled_in(const struct stalls *stalls, const struct episode *e)
{
    struct stall_list list;
    uint64_t now_ns = cli_now_ns();
    const struct load_outage *outage = &e->outage;
    stalls_between(stalls, e->fault_ns, now_ns, &list);
    uint64_t wait_to_ns = outage->wait_from_ns + outage->longest_wait_ns;
    return (struct stalled){
        .failover_ns = stalls_overlap(&list, e->fault_ns, e->fault_ns + e->last_ns),
        .silence_ns = stalls_overlap(&list, outage->silence_from_ns,
                                     outage->silence_from_ns + outage->silence_ns),
        .wait_ns = stalls_overlap(&list, outage->wait_from_ns, wait_to_ns),
        .longest_ns = stalls_longest(&list, e->fault_ns, now_ns)};
}

static enum tacit_status one_fault(struct local *local, struct load *load,
                                   const struct arguments *arguments, struct results *results,
                                   struct tacit_error *error)
{
    int leader = -1;
    enum tacit_status status = bench_cluster_sound(local, &leader, error);
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
    uint64_t stolen_before_ns = stalls_stolen_ns();
    status = outage(local, load, arguments, node, &e, error);
    if (status == TACIT_OK && !e.is_late) {
        e.stalled = stalled_in(results->stalls, &e);
        e.stalled.stolen_ns = stalls_stolen_ns() - stolen_before_ns;
    }
    if (status == TACIT_OK) {
        status = bring_back(local, arguments, node, refused_before, &e.back, error);
    }
    if (status == TACIT_OK && !e.is_late) {
        note(results, &e, load_clients(load), arguments);
    }
    results->late += e.is_late;
    return status != TACIT_OK || !effect_is_late_too_often(results->late, results->done)
               ? status
               : tacit_error_set(error, TACIT_EBUSY, 0,
                                 "leaders change too often by themselves: %llu of the faults came "
                                 "when another replica led already",
                                 (unsigned long long)results->late);
}

// ---- all of them -------------------------------------------------------------------------------

// Faults under load on this cluster until all are done or its clients have worked enough.
static enum tacit_status faults_under(struct local *local, struct load *load,
                                      const struct arguments *arguments, struct results *results,
                                      struct tacit_error *error)
{
    enum tacit_status status = TACIT_OK;
    do {
        status = one_fault(local, load, arguments, results, error);
        bench_progress("fault %llu of %llu", (unsigned long long)results->done,
                       (unsigned long long)arguments->count);
    } while (status == TACIT_OK && !scratch_interrupted() && results->done < arguments->count &&
             load_acknowledged(load) < arguments->operations);
    return scratch_interrupted() ? TACIT_OK : status;
}

// Nothing that was acknowledged may be missing, whatever was measured.
static enum tacit_status one_cluster(struct local *local, const struct arguments *arguments,
                                     struct results *results, struct tacit_error *error)
{
    const struct local_plan plan = {
        .replicas = 3, .memnodes = 3, .mode = arguments->mode, .waiting = TACIT_CONFIG_ADAPTIVE};
    struct load *load = NULL;
    struct audit audit = {0};
    enum tacit_status status =
        bench_cluster_open(local, &plan, (struct bench_service){.app = NULL}, error);
    if (status != TACIT_OK) {
        return status;
    }
    results->clusters++;
    status = load_start(&load, local, (unsigned)arguments->clients, 0, error);
    if (status == TACIT_OK) {
        status = faults_under(local, load, arguments, results, error);
        status = bench_cluster_judge(load, status, &audit, error);
        results->operations += audit.operations;
        results->lost += audit.lost;
        results->wrong += !audit.linearizable;
    }
    load_free(load);
    scratch_close(local);
    return status;
}

// A fault that fails is counted and told, the others are made on a new cluster.
static enum tacit_status all_faults(const struct arguments *arguments, struct results *results,
                                    struct tacit_error *error)
{
    struct local *local = calloc(1, sizeof *local);
    enum tacit_status status = TACIT_OK;
    if (local == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, 0, "no memory");
    }
    while (results->done < arguments->count && !scratch_interrupted() &&
           bench_may_fail(results->failed, results->done)) {
        status = one_cluster(local, arguments, results, error);
        if (status != TACIT_OK && !scratch_interrupted()) {
            results->failed++;
            (void)cli_fail(error);
        }
    }
    bench_progress_end();
    free(local);
    return results->done > 0 || status == TACIT_OK ? TACIT_OK : status;
}

// ---- results -----------------------------------------------------------------------------------

// The longest of one kind, and for how much of it the machine stood still.
static void print_stalled(const struct results *results, const char *what, const char *key,
                          const char *stalled_key)
{
    size_t at;
    const json_t *sample;
    uint64_t longest_ns = 0;
    uint64_t stalled_ns = 0;
    json_array_foreach(results->samples, at, sample)
    {
        uint64_t own_ns = local_number(sample, NULL, key);
        if (own_ns > longest_ns) {
            longest_ns = own_ns;
            stalled_ns = local_number(sample, NULL, stalled_key);
        }
    }
    (void)printf("  %s: %.2f ms, and for %.2f of them a processor stood still\n", what,
                 (double)longest_ns / 1e6, (double)stalled_ns / 1e6);
}

static json_t *report_results(const struct results *results)
{
    const struct {
        const char *name, *what;
        const struct histogram *histogram;
    } rows[] = {
        {"failover", "fail-over: each client served again", &results->failover},
        {"led", "  another one leads", &results->led},
        {"detection", "    of it, detection", &results->detection},
        {"permission", "    permission switch", &results->permission},
        {"lease", "      of it, waited for a lease", &results->lease},
        {"recovery", "    catch-up and prepare", &results->recovery},
        {"silence", "longest silence of all clients", &results->silence},
        {"wait", "longest wait of a client", &results->wait},
        {"readmission", "until it was a member again", &results->readmission},
        {"fast_path", "and then until the fast path", &results->fast},
    };
    json_t *object = json_object();
    bench_print_head("in us");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (histogram_total(rows[i].histogram) != 0) {
            bench_print(rows[i].what, rows[i].histogram);
            (void)json_object_set_new(object, rows[i].name, bench_distribution(rows[i].histogram));
        }
    }
    (void)printf("(silence and wait: in the %u ms after the fault, what the kernel does with a "
                 "killed process included)\n",
                 (unsigned)(OUTAGE_NS / 1000000));
    (void)printf(
        "without the victim: %.1f %% of the throughput before (median), at least %.1f %%\n",
        (double)histogram_quantile(&results->slowdown, 0.5) / 10,
        (double)histogram_quantile(&results->slowdown, 0.0) / 10);
    (void)printf("%llu faults, %llu could not be measured, %llu came when another replica led "
                 "already; %llu requests acknowledged on %llu clusters, %llu lost, %llu clusters "
                 "with wrong answers; "
                 "%llu operations of leaders that had been stopped were refused\n",
                 (unsigned long long)results->done, (unsigned long long)results->failed,
                 (unsigned long long)results->late, (unsigned long long)results->operations,
                 (unsigned long long)results->clusters, (unsigned long long)results->lost,
                 (unsigned long long)results->wrong, (unsigned long long)results->refused);
    stalls_report(results->stalls, object);
    if (stalls_are_measured(results->stalls)) {
        print_stalled(results, "longest fail-over", "failover_ns", "failover_stalled_ns");
        print_stalled(results, "longest silence", "silence_ns", "silence_stalled_ns");
        print_stalled(results, "longest wait", "wait_ns", "wait_stalled_ns");
    }
    bench_put(object, "rate_thousandths", histogram_quantile(&results->slowdown, 0.5));
    bench_put(object, "faults", results->done);
    bench_put(object, "failed", results->failed);
    bench_put(object, "late", results->late);
    bench_put(object, "acknowledged", results->operations);
    bench_put(object, "clusters", results->clusters);
    bench_put(object, "lost", results->lost);
    bench_put(object, "wrong", results->wrong);
    bench_put(object, "refused", results->refused);
    (void)json_object_set(object, "samples", results->samples);
    return object;
}

int bench_failover(int argc, char **argv)
{
    struct arguments arguments = {.count = 20, .clients = 1, .operations = OPERATIONS_MAX};
    struct tacit_error error;
    if (bench_parse(options, "What clients wait when a replica is killed or stopped.", argc, argv,
                    &arguments) != 0) {
        return 2;
    }
    struct results *results = calloc(1, sizeof *results);
    if (results == NULL || (results->stalls = stalls_watch()) == NULL) {
        free(results);
        return cli_complain("no memory");
    }
    results->samples = json_array();
    int result = all_faults(&arguments, results, &error) == TACIT_OK
                     ? bench_write(arguments.json, "failover", report_results(results))
                     : cli_fail(&error);
    bool is_bad = results->failed + results->lost + results->wrong != 0;
    json_decref(results->samples);
    stalls_free(results->stalls);
    free(results);
    return result == 0 && is_bad ? 1 : result;
}
