// SPDX-License-Identifier: Apache-2.0
//
// tacit bench timeline: what clients get while something goes wrong, 10 ms by 10 ms. Each fault is
// made many times in a group under constant load: some time before, the fault, some time with it,
// its cure and some time after. Every answer is judged in the end. What is asked of the group is
// that no fault lets less than a twentieth of the answers through for longer than LEAST_NS, or none
// for longer than a change of leaders takes; the longest of those that this run saw counts as that,
// and SCHEDULING_NS more: with fewer processors than processes a replica is without one for that
// long now and then, without any fault. How long nobody was served before the faults is told, too.
// A silence beyond that is the machine's, and not the group's, only if each one of that injection
// is within it without the time in which the machine stood still (bench_stalls.h). A fault that had
// no effect (bench_effect.h) is no measurement, and fails the run.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "bench_cluster.h"
#include "bench_effect.h"
#include "bench_options.h"
#include "bench_rounds.h"
#include "bench_stalls.h"
#include "cli.h"

#define WARM_NS UINT64_C(300000000) // of a new cluster
#define BIN_NS UINT64_C(10000000)
// Bins of each part. The cure begins when the fault is FAULT_BINS old.
#define BEFORE_BINS 20u
#define FAULT_BINS 30u
#define AFTER_BINS 30u
#define BINS (BEFORE_BINS + FAULT_BINS + AFTER_BINS)
#define KINDS_MAX 64u
#define KEPT 256u // injections of one kind of which the bins are kept
#define OPERATIONS_MAX UINT64_C(4000000)
#define LYING_CLIENT (LOCAL_CLIENTS - 1) // as which the lying client comes
#define LEAST_PART 20u                   // of the throughput before: below 1/20 it counts as lost
#define LEAST_NS UINT64_C(100000000)     // and may be so for no longer than this
#define SCHEDULING_NS UINT64_C(5000000)  // that nobody is served beyond a change of leaders

// What is done, and undone.
enum act { ACT_KILL = 0, ACT_STOP, ACT_MEMNODE, ACT_CLIENT, ACT_ATTACK };

struct kind {
    const char *name;
    enum act act;
    bool on_leader;
    const char *attack; // ACT_ATTACK
};

static const struct kind plain[] = {
    {"kill-follower", ACT_KILL, false, NULL},   {"kill-leader", ACT_KILL, true, NULL},
    {"stop-follower", ACT_STOP, false, NULL},   {"stop-leader", ACT_STOP, true, NULL},
    {"kill-memnode", ACT_MEMNODE, false, NULL}, {"lying-client", ACT_CLIENT, false, NULL},
};
#define PLAIN (sizeof plain / sizeof plain[0])
#define PLAIN_CRASH 4u // the first ones are faults of crash mode, too

struct arguments {
    enum tacit_config_mode mode;
    const char *fault; // NULL: all
    bool on_leader;
    uint64_t count, clients;
    const char *json;
};

// Of all injections of one kind.
struct outcome {
    struct kind kind;
    uint64_t done, failed, acknowledged, lost, wrong;
    double before_per_s[KEPT];
    uint32_t answered[KEPT][BINS];
    uint32_t slowest_us[KEPT][BINS];
    uint64_t below_ns[KEPT]; // longest time below 1/LEAST_PART of what it was before
    uint64_t silence_ns[KEPT],
        silence_at_ns[KEPT]; // the longest, and when it began after the fault
    // Of the longest silence, when the machine stood still; and the longest one without such times.
    uint64_t stalled_ns[KEPT], own_silence_ns[KEPT];
    uint64_t longest_stall_ns[KEPT]; // from the fault to the end
    uint64_t stolen_ns[KEPT];        // in the same time, in the hypervisor's coarse steps
    uint64_t calm_silence_ns;        // longest before the faults
    uint64_t nil;                    // faults without an effect, though one is expected
    struct effect_counts effects;    // of all, together
};

struct bench {
    struct arguments arguments;
    struct local local;
    struct load *load;
    struct stalls *stalls;
    struct stall_list stalled; // in the injection that was made last
    uint64_t injected;         // on this cluster
    pid_t client;
    double change_ns;       // longest silence when a leader was killed or stopped; 0: none was
    double calm_silence_ns; // longest before any fault
    struct outcome outcome;
    struct load_bin bins[BINS];
};

static const struct bench_option options[] = {
    BENCH_MODE,
    BENCH_TEXT(fault, "fault", "NAME",
               "kill-follower, kill-leader, stop-follower, stop-leader; in Byzantine mode also "
               "kill-memnode, lying-client, and what `tacit local attack` lists (default: each in "
               "turn)"),
    BENCH_EITHER(on_leader, "on", "WHO", "follower", "leader",
                 "follower (default) or leader: who lies"),
    BENCH_NUMBER(count, "count", "N", 1, KEPT,
                 "How often each fault is made, 1 to 256 (default 10)"),
    BENCH_NUMBER(clients, "clients", "N", 1, LOAD_CLIENTS_MAX, "Clients, 1 to 7 (default 7)"),
    BENCH_JSON,
    {0},
};

// ---- faults and cures --------------------------------------------------------------------------

static enum tacit_status start_client(struct bench *bench, struct tacit_error *error)
{
    char program[TACIT_CONFIG_PATH_BYTES + 32];
    char node[TACIT_CONFIG_PATH_BYTES];
    char name[] = "tacit-lying-client";
    char option[] = "--node";
    char *const argv[] = {name, option, node, NULL};
    (void)snprintf(program, sizeof program, "%s/%s", bench->local.programs, name);
    if (access(program, X_OK) != 0) {
        return tacit_error_set(error, TACIT_ENOENT, 0, "%s is not there", program);
    }
    local_path(&bench->local, node, "client-%u.yaml", LYING_CLIENT);
    bench->client = fork();
    if (bench->client == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execv(program, argv);
        _exit(127);
    }
    return bench->client > 0 ? TACIT_OK : tacit_error_set(error, TACIT_EIO, 0, "cannot fork");
}

// It says itself, by its exit status, whether it could lie all the time.
static enum tacit_status end_client(struct bench *bench, struct tacit_error *error)
{
    int ended = -1;
    pid_t client = bench->client;
    pid_t gone = 0;
    uint64_t end_ns = cli_now_ns() + BENCH_READY_NS;
    bench->client = 0;
    (void)kill(client, SIGTERM);
    while ((gone = waitpid(client, &ended, WNOHANG)) == 0 && cli_now_ns() < end_ns) {
        cli_sleep_ns(BENCH_LOOK_NS);
    }
    if (gone == 0) {
        (void)kill(client, SIGKILL);
        (void)waitpid(client, &ended, 0);
    }
    return gone == client && ended == 0
               ? TACIT_OK
               : tacit_error_set(error, TACIT_EIO, 0, "the lying client ended with status %d",
                                 ended);
}

static enum tacit_status do_fault(struct bench *bench, struct local_node node,
                                  struct tacit_error *error)
{
    switch (bench->outcome.kind.act) {
    case ACT_KILL:
    case ACT_MEMNODE:
        return local_signal(&bench->local, node, SIGKILL, error);
    case ACT_STOP:
        return local_signal(&bench->local, node, SIGSTOP, error);
    case ACT_CLIENT:
        return start_client(bench, error);
    case ACT_ATTACK:
        break;
    }
    return local_attack_set(&bench->local, node.id, bench->outcome.kind.attack, error);
}

// A replica that attacked comes back as the same program, which behaves until told otherwise.
static enum tacit_status do_cure(struct bench *bench, struct local_node node,
                                 struct tacit_error *error)
{
    switch (bench->outcome.kind.act) {
    case ACT_STOP:
        return local_signal(&bench->local, node, SIGCONT, error);
    case ACT_CLIENT:
        return end_client(bench, error);
    case ACT_ATTACK:
        if (local_signal(&bench->local, node, SIGKILL, error) != TACIT_OK) {
            return error->status;
        }
        if (!local_wait_gone(&bench->local, node, BENCH_READY_NS)) {
            return tacit_error_set(error, TACIT_ETIMEDOUT, 0, "replica %u did not end", node.id);
        }
        local_attack_clear(&bench->local, node.id);
        if (local_attack_set(&bench->local, node.id, "none", error) != TACIT_OK) {
            return error->status;
        }
        return local_start_again(&bench->local, node, error);
    case ACT_KILL:
    case ACT_MEMNODE:
        break;
    }
    return local_start_again(&bench->local, node, error);
}

// ---- one injection -----------------------------------------------------------------------------

static enum tacit_status wait_until(const struct bench *bench, uint64_t end_ns,
                                    struct tacit_error *error)
{
    while (cli_now_ns() < end_ns) {
        if (scratch_interrupted()) {
            return tacit_error_set(error, TACIT_ECLOSED, 0, "interrupted");
        }
        if (load_failed(bench->load)) {
            return TACIT_EIO; // load_stop() says why
        }
        uint64_t left_ns = end_ns - cli_now_ns();
        cli_sleep_ns(left_ns < BENCH_LOOK_NS ? left_ns : BENCH_LOOK_NS);
    }
    return TACIT_OK;
}

// Longest time for which less than a twentieth of what was served before was served.
static uint64_t longest_below(const struct load_bin *bins, double before)
{
    uint64_t run_ns = 0;
    uint64_t longest_ns = 0;
    for (unsigned b = BEFORE_BINS; b < BINS; b++) {
        run_ns = (double)bins[b].answered * LEAST_PART < before ? run_ns + BIN_NS : 0;
        longest_ns = run_ns > longest_ns ? run_ns : longest_ns;
    }
    return longest_ns;
}

static void note_silence(struct bench *bench, uint64_t fault_ns, uint64_t end_ns)
{
    struct outcome *outcome = &bench->outcome;
    uint64_t at = outcome->done;
    stalls_between(bench->stalls, fault_ns, end_ns, &bench->stalled);
    struct load_outage outage = load_outage_beside(bench->load, fault_ns, end_ns, &bench->stalled);
    outcome->silence_ns[at] = outage.silence_ns;
    outcome->silence_at_ns[at] = outage.silence_ns > 0 ? outage.silence_from_ns - fault_ns : 0;
    outcome->own_silence_ns[at] = outage.own_silence_ns;
    outcome->stalled_ns[at] = stalls_overlap(&bench->stalled, outage.silence_from_ns,
                                             outage.silence_from_ns + outage.silence_ns);
    outcome->longest_stall_ns[at] = stalls_longest(&bench->stalled, fault_ns, end_ns);
}

static void note(struct bench *bench, uint64_t fault_ns)
{
    struct outcome *outcome = &bench->outcome;
    double before = 0;
    load_bins(bench->load, fault_ns - BEFORE_BINS * BIN_NS, BIN_NS, bench->bins, BINS);
    for (unsigned b = 0; b < BINS; b++) {
        before += b < BEFORE_BINS ? (double)bench->bins[b].answered : 0;
        outcome->answered[outcome->done][b] = bench->bins[b].answered;
        outcome->slowest_us[outcome->done][b] = (uint32_t)(bench->bins[b].slowest_ns / 1000);
    }
    before /= BEFORE_BINS;
    outcome->before_per_s[outcome->done] = before * 1e9 / (double)BIN_NS;
    outcome->below_ns[outcome->done] = longest_below(bench->bins, before);
    note_silence(bench, fault_ns, fault_ns + (FAULT_BINS + AFTER_BINS) * BIN_NS);
    uint64_t calm_ns =
        load_outage(bench->load, fault_ns - BEFORE_BINS * BIN_NS, fault_ns).silence_ns;
    outcome->calm_silence_ns =
        calm_ns > outcome->calm_silence_ns ? calm_ns : outcome->calm_silence_ns;
    outcome->done++;
}

// What the fault did before its cure. Who is asked answers beside what is measured: at its end.
static void note_effect(struct bench *bench, struct local_node node,
                        const struct effect_counts *before)
{
    struct outcome *outcome = &bench->outcome;
    struct effect_counts after = effect_count(&bench->local, node);
    const char *missing = effect_missing(outcome->kind.name, before, &after);
    for (unsigned e = 0; e < EFFECTS; e++) {
        uint64_t grown = after.count[e] - before->count[e];
        outcome->effects.count[e] += after.count[e] > before->count[e] ? grown : 0;
    }
    if (missing != NULL) {
        outcome->nil++;
        (void)fprintf(stderr, "tacit: %s had no effect: %s\n", outcome->kind.name, missing);
    }
}

static enum tacit_status inject(struct bench *bench, struct tacit_error *error)
{
    const struct kind *kind = &bench->outcome.kind;
    int leader = -1;
    enum tacit_status status = bench_cluster_sound(&bench->local, &leader, error);
    if (status != TACIT_OK) {
        return status;
    }
    uint32_t replicas = bench->local.config.replica_count;
    uint64_t turn = bench->injected++;
    struct local_node node = {LOCAL_REPLICA, (uint16_t)leader};
    if (kind->act == ACT_MEMNODE) {
        node = (struct local_node){LOCAL_MEMNODE,
                                   (uint16_t)(turn % bench->local.config.memnode_count)};
    } else if (!kind->on_leader) { // another one each time
        node.id = (uint16_t)(((uint32_t)leader + 1 + turn % (replicas - 1)) % replicas);
    }
    struct effect_counts before = effect_count(&bench->local, node);
    status = wait_until(bench, cli_now_ns() + BEFORE_BINS * BIN_NS, error);
    uint64_t stolen_ns = stalls_stolen_ns();
    uint64_t fault_ns = cli_now_ns();
    if (status == TACIT_OK) {
        status = do_fault(bench, node, error);
    }
    if (status == TACIT_OK) {
        status = wait_until(bench, fault_ns + FAULT_BINS * BIN_NS, error);
    }
    if (status == TACIT_OK) {
        note_effect(bench, node, &before);
        status = do_cure(bench, node, error);
    }
    if (status == TACIT_OK) {
        status = wait_until(bench, fault_ns + (FAULT_BINS + AFTER_BINS) * BIN_NS, error);
    }
    if (status == TACIT_OK) {
        bench->outcome.stolen_ns[bench->outcome.done] = stalls_stolen_ns() - stolen_ns;
        note(bench, fault_ns);
    }
    return status;
}

// ---- clusters ----------------------------------------------------------------------------------

// Injections on one cluster, until all are made or its clients have worked enough.
static enum tacit_status injections(struct bench *bench, struct tacit_error *error)
{
    enum tacit_status status = wait_until(bench, cli_now_ns() + WARM_NS, error);
    bench->injected = 0;
    while (status == TACIT_OK && bench->outcome.done < bench->arguments.count &&
           load_acknowledged(bench->load) < OPERATIONS_MAX) {
        status = inject(bench, error);
        bench_progress("%s: %llu of %llu", bench->outcome.kind.name,
                       (unsigned long long)bench->outcome.done,
                       (unsigned long long)bench->arguments.count);
    }
    return scratch_interrupted() ? TACIT_OK : status;
}

static enum tacit_status one_cluster(struct bench *bench, struct tacit_error *error)
{
    const struct local_plan plan = {.replicas = 3,
                                    .memnodes = 3,
                                    .mode = bench->arguments.mode,
                                    .waiting = TACIT_CONFIG_ADAPTIVE};
    struct outcome *outcome = &bench->outcome;
    struct tacit_error other;
    enum tacit_status status = bench_cluster_open(
        &bench->local, &plan, (struct bench_service){.attack = outcome->kind.attack}, error);
    if (status != TACIT_OK) {
        return status;
    }
    status = load_start(&bench->load, &bench->local, (unsigned)bench->arguments.clients, 0, error);
    if (status == TACIT_OK) {
        struct audit audit;
        status = injections(bench, error);
        if (bench->client > 0) {
            (void)end_client(bench, &other);
        }
        status = bench_cluster_judge(bench->load, status, &audit, error);
        outcome->acknowledged += audit.operations;
        outcome->lost += audit.lost;
        outcome->wrong += !audit.linearizable;
    }
    load_free(bench->load);
    bench->load = NULL;
    scratch_close(&bench->local);
    return status;
}

// An injection that fails is counted and told, the others are made on a new cluster.
static void one_kind(struct bench *bench, struct kind kind)
{
    struct outcome *outcome = &bench->outcome;
    struct tacit_error error;
    memset(outcome, 0, sizeof *outcome);
    outcome->kind = kind;
    while (outcome->done < bench->arguments.count && !scratch_interrupted() &&
           bench_may_fail(outcome->failed, outcome->done)) {
        if (one_cluster(bench, &error) != TACIT_OK && !scratch_interrupted()) {
            outcome->failed++;
            (void)fprintf(stderr, "%s: ", kind.name);
            (void)cli_fail(&error);
        }
    }
    bench_progress_end();
}

// ---- results -----------------------------------------------------------------------------------

// Median over all injections of the throughput in bins [from, to), in 1/s.
static double rate(const struct outcome *outcome, unsigned from, unsigned to)
{
    double values[KEPT];
    for (uint64_t i = 0; i < outcome->done; i++) {
        values[i] = 0;
        for (unsigned b = from; b < to; b++) {
            values[i] += outcome->answered[i][b];
        }
        values[i] = values[i] * 1e9 / ((double)(to - from) * (double)BIN_NS);
    }
    return bench_quantile(values, outcome->done, 0.5);
}

static json_t *line_json(const struct outcome *outcome)
{
    json_t *line = json_array();
    double values[KEPT];
    for (unsigned b = 0; b < BINS; b++) {
        json_t *bin = json_object();
        int64_t at_ms = ((int64_t)b - BEFORE_BINS) * (int64_t)(BIN_NS / 1000000);
        (void)json_object_set_new(bin, "at_ms", json_integer(at_ms));
        (void)json_object_set_new(bin, "answers_per_s", json_real(rate(outcome, b, b + 1)));
        for (uint64_t i = 0; i < outcome->done; i++) {
            values[i] = outcome->answered[i][b] * 1e9 / (double)BIN_NS;
        }
        (void)json_object_set_new(bin, "least_per_s",
                                  json_real(bench_quantile(values, outcome->done, 0)));
        for (uint64_t i = 0; i < outcome->done; i++) {
            values[i] = outcome->slowest_us[i][b] * 1e3;
        }
        (void)json_object_set_new(bin, "slowest_ns",
                                  json_real(bench_quantile(values, outcome->done, 0.5)));
        (void)json_array_append_new(line, bin);
    }
    return line;
}

static json_t *effects_json(const struct outcome *outcome)
{
    json_t *object = json_object();
    for (unsigned e = 0; e < EFFECTS; e++) {
        bench_put(object, effect_name((enum effect)e), outcome->effects.count[e]);
    }
    return object;
}

static json_t *samples_json(const struct outcome *outcome, bool is_measured)
{
    json_t *samples = json_array();
    for (uint64_t i = 0; i < outcome->done; i++) {
        json_t *answered = json_array();
        for (unsigned b = 0; b < BINS; b++) {
            (void)json_array_append_new(answered, json_integer(outcome->answered[i][b]));
        }
        json_t *sample =
            json_pack("{s:I,s:I,s:I,s:o}", "below_ns", (json_int_t)outcome->below_ns[i],
                      "silence_ns", (json_int_t)outcome->silence_ns[i], "silence_at_ns",
                      (json_int_t)outcome->silence_at_ns[i], "answered", answered);
        if (is_measured) {
            bench_put(sample, "longest_stall_ns", outcome->longest_stall_ns[i]);
            bench_put(sample, "silence_stalled_ns", outcome->stalled_ns[i]);
            bench_put(sample, "own_silence_ns", outcome->own_silence_ns[i]);
            bench_put(sample, "stolen_ns", outcome->stolen_ns[i]);
        }
        (void)json_array_append_new(samples, sample);
    }
    return samples;
}

// What is asked of the group, for each kind: not asked of a kind without injections, or, of
// silence, in a run without changes of leaders. `own_ns`: the longest without the machine's stalls.
static const char *verdict(double longest_ns, double own_ns, double bound_ns, uint64_t count)
{
    return count == 0 || bound_ns <= 0 ? "unknown"
           : longest_ns <= bound_ns    ? "held"
           : own_ns <= bound_ns        ? "the machine's"
                                       : "NOT held";
}

static json_t *report_kind(struct bench *bench)
{
    const struct outcome *outcome = &bench->outcome;
    uint64_t count = outcome->done;
    double below[KEPT];
    double silence[KEPT];
    double own_silence[KEPT];
    uint64_t longest = 0; // silence, of which injection
    for (uint64_t i = 0; i < count; i++) {
        below[i] = (double)outcome->below_ns[i];
        silence[i] = (double)outcome->silence_ns[i];
        own_silence[i] = (double)outcome->own_silence_ns[i];
        longest = outcome->silence_ns[i] > outcome->silence_ns[longest] ? i : longest;
    }
    double before = rate(outcome, 0, BEFORE_BINS);
    double during = rate(outcome, BEFORE_BINS, BEFORE_BINS + FAULT_BINS);
    double after = rate(outcome, BEFORE_BINS + FAULT_BINS, BINS);
    double silence_p50 = bench_quantile(silence, count, 0.5);
    double silence_p99 = bench_quantile(silence, count, 0.99);
    double silence_max = bench_quantile(silence, count, 1);
    double below_p50 = bench_quantile(below, count, 0.5);
    double below_max = bench_quantile(below, count, 1);
    bool is_change = outcome->kind.act <= ACT_STOP && outcome->kind.on_leader;
    if (is_change && silence_max > bench->change_ns) {
        bench->change_ns = silence_max;
    }
    if ((double)outcome->calm_silence_ns > bench->calm_silence_ns) {
        bench->calm_silence_ns = (double)outcome->calm_silence_ns;
    }
    double stalled = (double)outcome->stalled_ns[longest];
    bool is_measured = stalls_are_measured(bench->stalls);
    const char *of_below = verdict(below_max, below_max, (double)LEAST_NS, count);
    (void)printf("%-16s %5llu %9.0f %9.0f %9.0f %9.1f %9.1f %9.1f %8.1f %7.0f %7.0f %-8s %5llu "
                 "%5llu %6llu %6llu\n",
                 outcome->kind.name, (unsigned long long)count, before, during, after,
                 silence_p50 / 1e6, silence_p99 / 1e6, silence_max / 1e6, stalled / 1e6,
                 below_p50 / 1e6, below_max / 1e6, of_below, (unsigned long long)outcome->lost,
                 (unsigned long long)outcome->wrong, (unsigned long long)outcome->failed,
                 (unsigned long long)outcome->nil);
    (void)fflush(stdout);
    json_t *kind = json_pack(
        "{s:s,s:s,s:I,s:I,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:s,s:I,s:I,s:I,s:I,s:o,s:o,s:o}",
        "fault", outcome->kind.name, "on", outcome->kind.on_leader ? "leader" : "follower", "count",
        (json_int_t)count, "failed", (json_int_t)outcome->failed, "before_per_s", before,
        "during_per_s", during, "after_per_s", after, "silence_p50_ns", silence_p50,
        "silence_p99_ns", silence_p99, "silence_max_ns", silence_max, "below_a_20th_p50_ns",
        below_p50, "below_a_20th_max_ns", below_max, "at_most_100_ms_below_a_20th", of_below,
        "acknowledged", (json_int_t)outcome->acknowledged, "lost", (json_int_t)outcome->lost,
        "wrong", (json_int_t)outcome->wrong, "without_effect", (json_int_t)outcome->nil, "effects",
        effects_json(outcome), "line", line_json(outcome), "samples",
        samples_json(outcome, is_measured));
    if (is_measured) {
        (void)json_object_set_new(kind, "silence_max_stalled_ns", json_real(stalled));
    }
    // Where stalls are not measured: the longest one.
    (void)json_object_set_new(kind, "own_silence_max_ns",
                              json_real(bench_quantile(own_silence, count, 1)));
    return kind;
}

// When all kinds are known: in none was nobody served for longer than a change of leaders takes.
static void report_silences(json_t *list, const struct bench *bench)
{
    size_t at;
    json_t *kind;
    unsigned held = 0;
    unsigned machines = 0;
    double change_ns = bench->change_ns;
    double bound_ns = change_ns > 0 ? change_ns + (double)SCHEDULING_NS : 0;
    json_array_foreach(list, at, kind)
    {
        double longest_ns = json_number_value(json_object_get(kind, "silence_max_ns"));
        uint64_t count = (uint64_t)json_integer_value(json_object_get(kind, "count"));
        double own_ns = json_number_value(json_object_get(kind, "own_silence_max_ns"));
        double stalled_ns = json_number_value(json_object_get(kind, "silence_max_stalled_ns"));
        const char *of_silence = verdict(longest_ns, own_ns, bound_ns, count);
        (void)json_object_set_new(kind, "silent_no_longer_than_a_change_of_leaders",
                                  json_string(of_silence));
        held += strcmp(of_silence, "held") == 0;
        machines += strcmp(of_silence, "the machine's") == 0;
        if (longest_ns > bound_ns && bound_ns > 0) {
            (void)printf(
                "%s: nobody was served for %.1f ms, and for %.1f of them a processor stood "
                "still; without what the machine stood still at most %.1f: %s\n",
                json_string_value(json_object_get(kind, "fault")), longest_ns / 1e6,
                stalled_ns / 1e6, own_ns / 1e6, of_silence);
        }
    }
    if (change_ns > 0) {
        (void)printf(
            "a change of leaders took %.1f ms at most; with %u for scheduling nobody may be "
            "unserved for longer than %.1f: held by %u of %zu kinds, and by %u but for the "
            "machine; "
            "before any fault: %.1f\n",
            change_ns / 1e6, (unsigned)(SCHEDULING_NS / 1000000), bound_ns / 1e6, held,
            json_array_size(list), machines, bench->calm_silence_ns / 1e6);
    } else {
        (void)printf("no change of leaders was in this run (kill-leader, stop-leader): how long "
                     "nobody was served is not judged; before any fault: %.1f ms\n",
                     bench->calm_silence_ns / 1e6);
    }
}

// ---- all kinds ---------------------------------------------------------------------------------

static unsigned choose(const struct arguments *arguments, struct kind kinds[KINDS_MAX])
{
    unsigned count = 0;
    bool is_byzantine = arguments->mode == TACIT_CONFIG_BYZANTINE;
    for (unsigned i = 0; i < (is_byzantine ? PLAIN : PLAIN_CRASH); i++) {
        if (arguments->fault == NULL || strcmp(arguments->fault, plain[i].name) == 0) {
            kinds[count++] = plain[i];
        }
    }
    for (unsigned i = 0; is_byzantine && local_attack_name(i) != NULL && count < KINDS_MAX; i++) {
        const char *name = local_attack_name(i);
        if (strcmp(name, "none") != 0 &&
            (arguments->fault == NULL || strcmp(arguments->fault, name) == 0)) {
            kinds[count++] = (struct kind){name, ACT_ATTACK, arguments->on_leader, name};
        }
    }
    return count;
}

static int all_kinds(struct bench *bench, const struct kind *kinds, unsigned count)
{
    json_t *list = json_array();
    uint64_t bad = 0;
    bool is_byzantine = bench->arguments.mode == TACIT_CONFIG_BYZANTINE;
    (void)printf("%s mode, %llu clients; answers/s, and times in ms: silence, and below 1/%u of "
                 "what it was before (at most %u are asked for)\n%-16s %5s %9s %9s %9s %9s %9s %9s "
                 "%8s %7s %7s %-8s %5s %5s %6s %6s\n",
                 is_byzantine ? "Byzantine" : "crash", (unsigned long long)bench->arguments.clients,
                 LEAST_PART, (unsigned)(LEAST_NS / 1000000), "fault", "count", "before", "during",
                 "after", "sil. p50", "p99", "max", "stalled", "low p50", "max", "", "lost",
                 "wrong", "failed", "nil");
    for (unsigned i = 0; i < count && !scratch_interrupted(); i++) {
        one_kind(bench, kinds[i]);
        bad +=
            bench->outcome.lost + bench->outcome.wrong + bench->outcome.failed + bench->outcome.nil;
        (void)json_array_append_new(list, report_kind(bench));
    }
    report_silences(list, bench);
    json_t *results =
        json_pack("{s:s,s:I,s:I,s:I,s:f,s:I,s:f,s:o}", "mode", is_byzantine ? "byzantine" : "crash",
                  "clients", (json_int_t)bench->arguments.clients, "bin_ns", (json_int_t)BIN_NS,
                  "cured_after_ns", (json_int_t)(FAULT_BINS * BIN_NS), "change_of_leaders_max_ns",
                  bench->change_ns, "scheduling_ns", (json_int_t)SCHEDULING_NS,
                  "silence_before_faults_max_ns", bench->calm_silence_ns, "faults", list);
    stalls_report(bench->stalls, results);
    int failed = bench_write(bench->arguments.json, "timeline", results);
    return failed != 0 ? failed : bad != 0;
}

int bench_timeline(int argc, char **argv)
{
    struct kind kinds[KINDS_MAX];
    struct arguments arguments = {.mode = TACIT_CONFIG_CRASH, .count = 10, .clients = 7};
    if (bench_parse(options, "What clients get while something goes wrong, 10 ms by 10 ms.", argc,
                    argv, &arguments) != 0) {
        return 2;
    }
    unsigned count = choose(&arguments, kinds);
    if (count == 0) {
        (void)cli_complain("%s is no fault of that mode: accepted are kill-follower, kill-leader, "
                           "stop-follower, stop-leader; with --mode byzantine also kill-memnode, "
                           "lying-client, and what `tacit local attack` lists",
                           arguments.fault);
        return 2;
    }
    struct bench *bench = calloc(1, sizeof *bench);
    if (bench == NULL || (bench->stalls = stalls_watch()) == NULL) {
        free(bench);
        return cli_complain("no memory");
    }
    bench->arguments = arguments;
    int result = all_kinds(bench, kinds, count);
    stalls_free(bench->stalls);
    free(bench);
    return result;
}
