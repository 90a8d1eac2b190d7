// SPDX-License-Identifier: Apache-2.0
//
// tacit bench timeline: what clients get while something goes wrong, 10 ms by 10 ms. Each fault is
// made many times in a group under constant load: some time before, the fault, some time with it,
// its cure and some time after. Every answer is judged in the end.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit.h"
#include "bench.h"
#include "bench_rounds.h"
#include "cli.h"
#include "load.h"
#include "options.h"
#include "scratch.h"

#define READY_NS UINT64_C(20000000000)
#define WARM_NS UINT64_C(300000000)
#define LOOK_NS 2000000u
#define BIN_NS UINT64_C(10000000)
// Bins of each part. The cure begins when the fault is FAULT_BINS old.
#define BEFORE_BINS 20u
#define FAULT_BINS 40u
#define AFTER_BINS 40u
#define BINS (BEFORE_BINS + FAULT_BINS + AFTER_BINS)
#define KINDS_MAX 64u
#define KEPT 256u // injections of one kind of which the bins are kept
#define OPERATIONS_MAX UINT64_C(4000000)
#define LYING_CLIENT (LOCAL_CLIENTS - 1) // as which the lying client comes
#define LEAST_PART 20u                   // of the throughput before: below 1/20 it counts as lost

enum { KEY_MODE = 256, KEY_FAULT, KEY_ON, KEY_COUNT, KEY_CLIENTS, KEY_JSON };

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
    uint64_t done, acknowledged, lost, wrong;
    double before_per_s[KEPT];
    uint32_t answered[KEPT][BINS];
    uint32_t slowest_us[KEPT][BINS];
    uint64_t below_ns[KEPT]; // longest time below 1/LEAST_PART of what it was before
    uint64_t silence_ns[KEPT];
};

struct bench {
    struct arguments arguments;
    struct local local;
    struct load *load;
    uint64_t injected; // on this cluster
    pid_t client;
    struct outcome outcome;
    struct load_bin bins[BINS];
};

static const struct argp_option options[] = {
    {"mode", KEY_MODE, "MODE", 0, "crash (default) or byzantine", 0},
    {"fault", KEY_FAULT, "NAME", 0,
     "kill-follower, kill-leader, stop-follower, stop-leader; in Byzantine mode also "
     "kill-memnode, lying-client, and what `tacit local attack` lists (default: each in turn)",
     0},
    {"on", KEY_ON, "WHO", 0, "follower (default) or leader: who lies", 0},
    {"count", KEY_COUNT, "N", 0, "How often each fault is made, 1 to 256 (default 10)", 0},
    {"clients", KEY_CLIENTS, "N", 0, "Clients, 1 to 7 (default 7)", 0},
    {"json", KEY_JSON, "FILE", 0, "Write the results there, too", 0},
    {0},
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case KEY_MODE:
        arguments->mode = cli_option_mode(state, value);
        return 0;
    case KEY_FAULT:
        arguments->fault = value;
        return 0;
    case KEY_ON:
        arguments->on_leader =
            cli_option_word(state, "--on", value,
                            (const char *const[]){"follower", "leader", NULL}) == 1;
        return 0;
    case KEY_COUNT:
        arguments->count = cli_option_number(state, "--count", value, 1, KEPT);
        return 0;
    case KEY_CLIENTS:
        arguments->clients = cli_option_number(state, "--clients", value, 1, LOAD_CLIENTS_MAX);
        return 0;
    case KEY_JSON:
        arguments->json = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

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
    bench->client = 0;
    return kill(client, SIGTERM) == 0 && waitpid(client, &ended, 0) == client && ended == 0
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
        if (!local_wait_gone(&bench->local, node, READY_NS)) {
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

// Everybody is a member, counted and honest, and, with requests coming, fast: one more fault may
// be made.
static enum tacit_status wait_sound(const struct bench *bench, struct tacit_error *error)
{
    bool is_byzantine = local_is_byzantine(&bench->local);
    uint32_t all = (1u << bench->local.config.memnode_count) - 1;
    uint64_t end_ns = cli_now_ns() + READY_NS;
    if (!local_wait_healthy(&bench->local, READY_NS)) {
        return tacit_error_set(error, TACIT_EBUSY, 0,
                               "not every replica is a member and honest: a fault could be "
                               "beyond f");
    }
    while (is_byzantine && local_counted_memnodes(&bench->local) != all) {
        if (cli_now_ns() > end_ns) {
            return tacit_error_set(error, TACIT_ETIMEDOUT, 0, "a memory node does not count");
        }
        cli_sleep_ns(LOOK_NS);
    }
    if (is_byzantine && local_wait_fast(&bench->local, READY_NS) == 0) {
        return tacit_error_set(error, TACIT_ETIMEDOUT, 0, "the fast path did not come back");
    }
    return TACIT_OK;
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
        cli_sleep_ns(left_ns < LOOK_NS ? left_ns : LOOK_NS);
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
    outcome->silence_ns[outcome->done] =
        load_outage(bench->load, fault_ns, fault_ns + (FAULT_BINS + AFTER_BINS) * BIN_NS)
            .silence_ns;
    outcome->done++;
}

static enum tacit_status inject(struct bench *bench, struct tacit_error *error)
{
    const struct kind *kind = &bench->outcome.kind;
    int leader = local_wait_leader(&bench->local, -1, READY_NS);
    if (leader < 0) {
        return tacit_error_set(error, TACIT_ETIMEDOUT, 0, "nobody leads");
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
    enum tacit_status status =
        wait_until(bench, cli_now_ns() + BEFORE_BINS * BIN_NS + WARM_NS, error);
    uint64_t fault_ns = cli_now_ns();
    if (status == TACIT_OK) {
        status = do_fault(bench, node, error);
    }
    if (status == TACIT_OK) {
        status = wait_until(bench, fault_ns + FAULT_BINS * BIN_NS, error);
    }
    if (status == TACIT_OK) {
        status = do_cure(bench, node, error);
    }
    if (status == TACIT_OK) {
        status = wait_until(bench, fault_ns + (FAULT_BINS + AFTER_BINS) * BIN_NS, error);
    }
    if (status == TACIT_OK) {
        note(bench, fault_ns);
        status = wait_sound(bench, error);
    }
    return status;
}

// ---- clusters ----------------------------------------------------------------------------------

// Injections on one cluster, until all are made or its clients have worked enough.
static enum tacit_status injections(struct bench *bench, struct tacit_error *error)
{
    enum tacit_status status = wait_until(bench, cli_now_ns() + WARM_NS, error);
    if (status == TACIT_OK) {
        status = wait_sound(bench, error);
    }
    while (status == TACIT_OK && bench->outcome.done < bench->arguments.count &&
           load_acknowledged(bench->load) < OPERATIONS_MAX) {
        status = inject(bench, error);
        if (isatty(STDERR_FILENO) != 0) {
            (void)fprintf(stderr, "\r%s: %llu of %llu ", bench->outcome.kind.name,
                          (unsigned long long)bench->outcome.done,
                          (unsigned long long)bench->arguments.count);
        }
    }
    return status;
}

static enum tacit_status start(struct bench *bench, struct tacit_error *error)
{
    enum tacit_status status = TACIT_OK;
    bool lies = bench->outcome.kind.act == ACT_ATTACK;
    for (uint32_t r = 0; r < bench->local.config.replica_count && lies && status == TACIT_OK; r++) {
        status = local_attack_set(&bench->local, (uint16_t)r, "none", error);
    }
    if (status == TACIT_OK) {
        status = local_up(&bench->local, error);
    }
    return status == TACIT_OK ? load_start(&bench->load, &bench->local,
                                           (unsigned)bench->arguments.clients, 0, error)
                              : status;
}

static enum tacit_status on_cluster(struct bench *bench, struct tacit_error *error)
{
    struct tacit_error other;
    enum tacit_status status = start(bench, error);
    if (bench->load == NULL) {
        return status;
    }
    bench->injected = 0;
    status = injections(bench, error);
    if (bench->client > 0) {
        (void)end_client(bench, &other);
    }
    // A client that gave up is the cause of what was missed after it, and says why.
    bool is_cause = status == TACIT_OK || load_failed(bench->load);
    enum tacit_status of_load = load_stop(bench->load, is_cause ? error : &other);
    status = is_cause ? of_load : status;
    if (status == TACIT_OK) {
        struct audit audit = audit_run(bench->load);
        bench->outcome.acknowledged += audit.operations;
        bench->outcome.lost += audit.lost;
        bench->outcome.wrong += !audit.linearizable;
        if (!audit.linearizable) {
            (void)fprintf(stderr, "%s\n", audit.text);
        }
    }
    return status;
}

static enum tacit_status one_kind(struct bench *bench, struct tacit_error *error)
{
    const struct local_plan plan = {.replicas = 3,
                                    .memnodes = 3,
                                    .mode = bench->arguments.mode,
                                    .waiting = TACIT_CONFIG_ADAPTIVE};
    enum tacit_status status = TACIT_OK;
    while (status == TACIT_OK && bench->outcome.done < bench->arguments.count) {
        bench->local = (struct local){0};
        status = scratch_open(&bench->local, &plan, error);
        if (status == TACIT_OK) {
            status = on_cluster(bench, error);
            scratch_close(&bench->local);
        }
        load_free(bench->load);
        bench->load = NULL;
    }
    return status;
}

// ---- results -----------------------------------------------------------------------------------

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

// values[0 ..] are sorted. Of the upper end of `part` of them.
static double quantile(double *values, uint64_t count, double part)
{
    qsort(values, count, sizeof *values, by_value);
    uint64_t at = (uint64_t)(part * (double)count);
    return count == 0 ? 0 : values[at < count ? at : count - 1];
}

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
    return quantile(values, outcome->done, 0.5);
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
                                  json_real(quantile(values, outcome->done, 0)));
        for (uint64_t i = 0; i < outcome->done; i++) {
            values[i] = outcome->slowest_us[i][b] * 1e3;
        }
        (void)json_object_set_new(bin, "slowest_ns",
                                  json_real(quantile(values, outcome->done, 0.5)));
        (void)json_array_append_new(line, bin);
    }
    return line;
}

static json_t *samples_json(const struct outcome *outcome)
{
    json_t *samples = json_array();
    for (uint64_t i = 0; i < outcome->done; i++) {
        json_t *answered = json_array();
        for (unsigned b = 0; b < BINS; b++) {
            (void)json_array_append_new(answered, json_integer(outcome->answered[i][b]));
        }
        (void)json_array_append_new(
            samples,
            json_pack("{s:I,s:I,s:o}", "below_ns", (json_int_t)outcome->below_ns[i], "silence_ns",
                      (json_int_t)outcome->silence_ns[i], "answered", answered));
    }
    return samples;
}

static json_t *report_kind(const struct outcome *outcome)
{
    double below[KEPT];
    double silence[KEPT];
    for (uint64_t i = 0; i < outcome->done; i++) {
        below[i] = (double)outcome->below_ns[i];
        silence[i] = (double)outcome->silence_ns[i];
    }
    double before = rate(outcome, 0, BEFORE_BINS);
    double during = rate(outcome, BEFORE_BINS, BEFORE_BINS + FAULT_BINS);
    double after = rate(outcome, BEFORE_BINS + FAULT_BINS, BINS);
    double silence_p50 = quantile(silence, outcome->done, 0.5);
    double silence_p99 = quantile(silence, outcome->done, 0.99);
    double silence_max = quantile(silence, outcome->done, 1);
    double below_p50 = quantile(below, outcome->done, 0.5);
    double below_max = quantile(below, outcome->done, 1);
    (void)printf("%-16s %5llu %9.0f %9.0f %9.0f %9.1f %9.1f %9.1f %7.0f %7.0f %5llu %5llu\n",
                 outcome->kind.name, (unsigned long long)outcome->done, before, during, after,
                 silence_p50 / 1e6, silence_p99 / 1e6, silence_max / 1e6, below_p50 / 1e6,
                 below_max / 1e6, (unsigned long long)outcome->lost,
                 (unsigned long long)outcome->wrong);
    (void)fflush(stdout);
    return json_pack("{s:s,s:s,s:I,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:I,s:I,s:I,s:o,s:o}", "fault",
                     outcome->kind.name, "on", outcome->kind.on_leader ? "leader" : "follower",
                     "count", (json_int_t)outcome->done, "before_per_s", before, "during_per_s",
                     during, "after_per_s", after, "silence_p50_ns", silence_p50, "silence_p99_ns",
                     silence_p99, "silence_max_ns", silence_max, "below_a_20th_p50_ns", below_p50,
                     "below_a_20th_max_ns", below_max, "acknowledged",
                     (json_int_t)outcome->acknowledged, "lost", (json_int_t)outcome->lost, "wrong",
                     (json_int_t)outcome->wrong, "line", line_json(outcome), "samples",
                     samples_json(outcome));
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
    struct tacit_error error;
    json_t *list = json_array();
    uint64_t bad = 0;
    (void)printf("%s mode, %llu clients; answers/s, and times in ms: silence, and below 1/%u of "
                 "what it was before\n%-16s %5s %9s %9s %9s %9s %9s %9s %7s %7s %5s %5s\n",
                 bench->arguments.mode == TACIT_CONFIG_BYZANTINE ? "Byzantine" : "crash",
                 (unsigned long long)bench->arguments.clients, LEAST_PART, "fault", "count",
                 "before", "during", "after", "sil. p50", "p99", "max", "low p50", "max", "lost",
                 "wrong");
    for (unsigned i = 0; i < count; i++) {
        memset(&bench->outcome, 0, sizeof bench->outcome);
        bench->outcome.kind = kinds[i];
        if (one_kind(bench, &error) != TACIT_OK) {
            json_decref(list);
            (void)fprintf(stderr, "%s: ", kinds[i].name);
            return cli_fail(&error);
        }
        bad += bench->outcome.lost + bench->outcome.wrong;
        (void)json_array_append_new(list, report_kind(&bench->outcome));
    }
    int failed = bench_write(
        bench->arguments.json, "timeline",
        json_pack("{s:s,s:I,s:I,s:o}", "mode",
                  bench->arguments.mode == TACIT_CONFIG_BYZANTINE ? "byzantine" : "crash",
                  "clients", (json_int_t)bench->arguments.clients, "bin_ns", (json_int_t)BIN_NS,
                  "faults", list));
    return failed != 0 ? failed : bad != 0;
}

int bench_timeline(int argc, char **argv)
{
    static const struct argp argp = {
        options, parse, "",  "What clients get while something goes wrong, 10 ms by 10 ms.",
        NULL,    NULL,  NULL};
    struct kind kinds[KINDS_MAX];
    struct arguments arguments = {.mode = TACIT_CONFIG_CRASH, .count = 10, .clients = 7};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
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
    if (bench == NULL) {
        return cli_complain("no memory");
    }
    bench->arguments = arguments;
    int result = all_kinds(bench, kinds, count);
    free(bench);
    return result;
}
