// SPDX-License-Identifier: Apache-2.0
//
// The command `tacit sim`: many seeds over several processes, progress, reproduction lines, marks,
// seeded bugs.
#include "sim_main.h"

#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bug.h"
#include "base/mark.h"
#include "sim_run.h"
#include "sim_scenarios.h"
#include "sim_twins.h"

#ifndef TACIT_COMMIT
#define TACIT_COMMIT "unknown"
#endif
#define TAPE_BYTES (16u << 20)
#define TWICE_EVERY 100u // one run in so many is executed twice
#define JOBS_MAX 64u

struct options {
    uint64_t seed;
    uint64_t seeds;
    uint32_t jobs;
    bool seeds_given;
    bool verbose, marks, list_bugs, list_attacks, list_plots, keep_going;
    const char *scenario; // file or folder, NULL: none
    struct sim_scenarios scenarios;
    bool twins;
    uint32_t rounds;
    uint64_t each; // runs of each scenario, if given
    const char *record, *replay;
    uint32_t bug;
    struct sim_run_options run;
    char command[256]; // options that change what a seed does
};

// What a worker tells; in shared memory, each worker writes its own.
struct report {
    uint64_t runs, invalid, gave_up, faults, violations;
    uint64_t fault[SIM_FAULTS];
    uint64_t attack[ADVERSARY_ATTACKS];
    uint64_t marks[SIM_MARKS_MAX];
    uint64_t operations, acknowledged, events;
    uint64_t first_seed; // of the first violation
    uint64_t present_seed;
    pid_t pid;
    char first[1024];
};

static const char *bug_name(uint32_t bug)
{
    static const char *const names[] = {
#define NAME(name, text) #name,
        TACIT_BUG_LIST(NAME)
#undef NAME
    };
    return names[bug];
}

static const char *bug_text(uint32_t bug)
{
    static const char *const texts[] = {
#define TEXT(name, text) text,
        TACIT_BUG_LIST(TEXT)
#undef TEXT
    };
    return texts[bug];
}

static bool set_bug(uint32_t bug)
{
#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
    tacit_seeded_bug = bug;
    return true;
#else
    return bug == TACIT_BUG_NONE;
#endif
}

// ---- options
// -----------------------------------------------------------------------------------------

enum {
    KEY_MODE = 256,
    KEY_SEEDS,
    KEY_SEED,
    KEY_JOBS,
    KEY_RECORD,
    KEY_REPLAY,
    KEY_BUG,
    KEY_LIST_BUGS,
    KEY_LOG_ON,
    KEY_BROADCAST_ON,
    KEY_REPLICAS,
    KEY_MARKS,
    KEY_KEEP_GOING,
    KEY_EXTRA_FAULTS,
    KEY_FAULTY,
    KEY_ATTACK,
    KEY_LIST_ATTACKS,
    KEY_PLOT,
    KEY_LIST_PLOTS,
    KEY_STORM,
    KEY_BAD_CLOCKS,
    KEY_STOP_LEADERS,
    KEY_SCENARIO,
    KEY_TWINS,
    KEY_ROUNDS,
    KEY_SPARES,
};

static const struct argp_option option_table[] = {
    {"mode", KEY_MODE, "MODE", 0, "Engine to simulate: crash (default) or byzantine", 0},
    {"seeds", KEY_SEEDS, "N", 0, "Number of runs (default 1000)", 0},
    {"seed", KEY_SEED, "S", 0, "Seed of the first run; the next ones count on (default 1)", 0},
    {"jobs", KEY_JOBS, "J", 0, "Processes to use (default: one for each core)", 0},
    {"verbose", 'v', NULL, 0, "Tell what happens in each run", 0},
    {"record", KEY_RECORD, "FILE", 0, "Write the draws of a single run to FILE", 0},
    {"replay", KEY_REPLAY, "FILE", 0, "Take the draws of a single run from FILE", 0},
    {"log-on", KEY_LOG_ON, "PLACE", 0, "Crash mode: replicas or memnodes (default: drawn)", 0},
    {"broadcast-on", KEY_BROADCAST_ON, "PLACE", 0, "Byzantine mode: replicas (default) or memnodes",
     0},
    {"replicas", KEY_REPLICAS, "N", 0, "Number of replicas, 1 to 7 (default: drawn)", 0},
    {"marks", KEY_MARKS, NULL, 0, "Show which situations and faults were reached", 0},
    {"keep-going", KEY_KEEP_GOING, NULL, 0, "Do not stop at the first violation", 0},
    {"faulty", KEY_FAULTY, "F", 0, "Byzantine mode: up to F replicas lie, and clients (default 0)",
     0},
    {"attack", KEY_ATTACK, "NAME", 0, "Only this attack (default: drawn)", 0},
    {"plot", KEY_PLOT, "NAME", 0, "Only this plot, or any: an attack that spans views", 0},
    {"list-plots", KEY_LIST_PLOTS, NULL, 0, "List the plots", 0},
    {"spares", KEY_SPARES, NULL, 0, "Spares in each run, not in one of eight", 0},
    {"storm", KEY_STORM, NULL, 0, "Leaders change all the time, in the middle of what they do", 0},
    {"stop-leaders", KEY_STOP_LEADERS, NULL, 0,
     "Crash mode: leaders stand still again and again, for longer than their leases", 0},
    {"bad-clocks", KEY_BAD_CLOCKS, NULL, 0,
     "Crash mode: clocks differ by more than leases allow for: this must end in a violation", 0},
    {"list-attacks", KEY_LIST_ATTACKS, NULL, 0, "List the attacks", 0},
    {"scenario", KEY_SCENARIO, "FILE", 0,
     "Run what FILE, or each *.scn of the folder FILE, says; --seeds N: N times each", 0},
    {"twins", KEY_TWINS, NULL, 0,
     "The liar is two honest copies: all partitions, with --seed the first one's number", 0},
    {"rounds", KEY_ROUNDS, "R", 0, "Rounds of --twins, 1 to 4 (default 2)", 0},
    {"bug", KEY_BUG, "NAME", 0, "Switch a seeded bug on (test builds only)", 0},
    {"list-bugs", KEY_LIST_BUGS, NULL, 0, "List the seeded bugs", 0},
    {"extra-faults", KEY_EXTRA_FAULTS, "N", 0,
     "Let N replicas more than f be faulty: this must end in a violation", 0},
    {0},
};

static uint64_t number(struct argp_state *state, const char *text, uint64_t low, uint64_t high)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || *text == '-' || value < low || value > high) {
        argp_error(state, "'%s' is not a number from %llu to %llu", text, (unsigned long long)low,
                   (unsigned long long)high);
    }
    return value;
}

static bool is_replicas(struct argp_state *state, const char *place)
{
    if (strcmp(place, "replicas") != 0 && strcmp(place, "memnodes") != 0) {
        argp_error(state, "'%s' is no place; accepted are replicas and memnodes", place);
    }
    return place[0] == 'r';
}

static void remember(struct options *options, const char *name, const char *value)
{
    size_t used = strlen(options->command);
    snprintf(options->command + used, sizeof options->command - used, " --%s %s", name, value);
}

static void choose_bug(struct argp_state *state, struct options *options, const char *name)
{
    for (uint32_t bug = 0; bug < TACIT_BUGS; bug++) {
        if (strcmp(name, bug_name(bug)) == 0) {
            options->bug = bug;
            remember(options, "bug", name);
            if (!set_bug(bug)) {
                argp_error(state, "this build has no seeded bugs; configure with "
                                  "-DTACIT_SEEDED_BUGS=ON or use the program sim_bugs");
            }
            return;
        }
    }
    argp_error(state, "there is no seeded bug '%s'; --list-bugs lists them", name);
}

static void choose_attack(struct argp_state *state, struct options *options, const char *name)
{
    for (uint32_t attack = 0; attack < ADVERSARY_ATTACKS; attack++) {
        if (strcmp(name, adversary_attack_name((enum adversary_attack)attack)) == 0) {
            options->run.attack = attack;
            remember(options, "attack", name);
            return;
        }
    }
    argp_error(state, "there is no attack '%s'; --list-attacks lists them", name);
}

// Options whose value is a number. False: it is another one.
static bool parse_number(struct argp_state *state, struct options *options, int key,
                         const char *argument)
{
    switch (key) {
    case KEY_SEEDS:
        options->seeds = number(state, argument, 1, UINT64_MAX / 2);
        options->seeds_given = true;
        return true;
    case KEY_SEED:
        options->seed = number(state, argument, 0, UINT64_MAX / 2);
        return true;
    case KEY_JOBS:
        options->jobs = (uint32_t)number(state, argument, 1, JOBS_MAX);
        return true;
    case KEY_REPLICAS:
        options->run.replicas = (uint32_t)number(state, argument, 1, SIM_REPLICAS_MAX);
        remember(options, "replicas", argument);
        return true;
    case KEY_EXTRA_FAULTS:
        options->run.extra_faults = (uint32_t)number(state, argument, 0, SIM_REPLICAS_MAX);
        remember(options, "extra-faults", argument);
        return true;
    case KEY_FAULTY:
        options->run.faulty = (uint32_t)number(state, argument, 0, (SIM_REPLICAS_MAX - 1) / 2);
        remember(options, "faulty", argument);
        return true;
    case KEY_ROUNDS:
        options->rounds = (uint32_t)number(state, argument, 1, SIM_TWINS_ROUNDS_MAX);
        return true;
    default:
        return false;
    }
}

// Options without a value. False: it is another one.
static bool parse_switch(struct options *options, int key)
{
    bool *const on = key == KEY_LIST_PLOTS     ? &options->list_plots
                     : key == KEY_LIST_ATTACKS ? &options->list_attacks
                     : key == KEY_LIST_BUGS    ? &options->list_bugs
                     : key == KEY_TWINS        ? &options->twins
                     : key == KEY_MARKS        ? &options->marks
                     : key == KEY_KEEP_GOING   ? &options->keep_going
                     : key == 'v'              ? &options->verbose
                     : key == KEY_SPARES       ? &options->run.spares
                     : key == KEY_STORM        ? &options->run.storm
                     : key == KEY_STOP_LEADERS ? &options->run.stop_leaders
                     : key == KEY_BAD_CLOCKS   ? &options->run.bad_clocks
                                               : NULL;
    if (on != NULL) {
        *on = true;
    }
    if (key == KEY_STORM || key == KEY_STOP_LEADERS || key == KEY_BAD_CLOCKS || key == KEY_SPARES) {
        remember(options,
                 key == KEY_STORM          ? "storm"
                 : key == KEY_STOP_LEADERS ? "stop-leaders"
                 : key == KEY_SPARES       ? "spares"
                                           : "bad-clocks",
                 "");
    }
    return on != NULL;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct options *options = state->input;
    if (parse_switch(options, key) || parse_number(state, options, key, argument)) {
        return 0;
    }
    switch (key) {
    case KEY_MODE:
        if (strcmp(argument, "crash") != 0 && strcmp(argument, "byzantine") != 0) {
            argp_error(state, "mode '%s' is unknown; accepted are crash and byzantine", argument);
        }
        options->run.byzantine = argument[0] == 'b';
        break;
    case KEY_RECORD:
        options->record = argument;
        break;
    case KEY_REPLAY:
        options->replay = argument;
        break;
    case KEY_LOG_ON:
        options->run.log_on =
            is_replicas(state, argument) ? TACIT_LOG_ON_REPLICAS : TACIT_LOG_ON_MEMNODES;
        remember(options, "log-on", argument);
        break;
    case KEY_BROADCAST_ON:
        options->run.broadcast_on = is_replicas(state, argument) ? TACIT_BROADCAST_ON_REPLICAS
                                                                 : TACIT_BROADCAST_ON_MEMNODES;
        remember(options, "broadcast-on", argument);
        break;
    case KEY_ATTACK:
        choose_attack(state, options, argument);
        break;
    case KEY_PLOT:
        options->run.plot = sim_plot_find(argument);
        remember(options, "plot", argument);
        if (options->run.plot < 0) {
            argp_error(state, "there is no plot '%s'; --list-plots lists them", argument);
        }
        break;
    case KEY_SCENARIO:
        options->scenario = argument;
        break;
    case KEY_BUG:
        choose_bug(state, options, argument);
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s' is not an option", argument);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

// ---- one run ------------------------------------------------------------------------------------

// What an assertion that fails in the middle of a run has to tell.
static struct {
    const struct options *options;
    struct sim_cluster *cluster;
    struct report *report;
    uint64_t seed;
    const struct choice *choice;
    const struct sim_script *script; // NULL: none
} present;

static void reproduction(char *line, size_t max, const struct options *options, uint64_t seed,
                         uint64_t trace, const char *text)
{
    char source[300];
    char how[600];
    bool byzantine = options->run.byzantine || options->twins || present.script != NULL;
    const char *mode = byzantine ? "byzantine" : "crash";
    if (present.script != NULL) {
        snprintf(how, sizeof how, "--scenario %s", present.script->path);
    } else if (options->twins) {
        snprintf(how, sizeof how, "--twins --rounds %u", options->rounds);
    } else {
        snprintf(how, sizeof how, "--mode %s", mode);
    }
    if (options->replay != NULL) {
        snprintf(source, sizeof source, "--replay %s", options->replay);
    } else {
        snprintf(source, sizeof source, "--seed %llu", (unsigned long long)seed);
    }
    int used = snprintf(line, max,
                        "sim: VIOLATION: %s | commit %s mode %s seed %llu trace %016llx | "
                        "tacit sim %s%s --seeds 1 %s",
                        text, TACIT_COMMIT, mode, (unsigned long long)seed,
                        (unsigned long long)trace, how, options->command, source);
    if (used < 0 || (size_t)used >= max) {
        line[max - 1] = '\0'; // cut, and still one line
    }
}

static void save_tape(const struct options *options, const struct choice *choice)
{
    if (options->record == NULL) {
        return;
    }
    FILE *file = fopen(options->record, "wb");
    if (file == NULL ||
        fwrite(choice->record, 1, choice->record_count, file) != choice->record_count ||
        fclose(file) != 0) {
        fprintf(stderr, "sim: cannot write %s: %s\n", options->record, strerror(errno));
    }
    if (choice->record_full) {
        fprintf(stderr, "sim: the run drew more than %s can hold\n", options->record);
    }
}

static void note_violation(struct report *report, const struct options *options, uint64_t seed,
                           uint64_t trace, const char *text)
{
    if (report->violations == 0) {
        report->first_seed = seed;
        reproduction(report->first, sizeof report->first, options, seed, trace, text);
    } else {
        char line[sizeof report->first];
        reproduction(line, sizeof line, options, seed, trace, text);
        printf("%s\n", line);
        fflush(stdout); // this process may end in an assertion
    }
    // Last: the reader takes the text when it sees the count.
    __atomic_add_fetch(&report->violations, 1, __ATOMIC_RELEASE);
}

static void on_assert(const char *file, int line, const char *expression)
{
    if (present.cluster->byz.may_escape) {
        longjmp(present.cluster->byz.escape, 1); // a liar's own trouble
    }
    char text[300];
    const char *base = strrchr(file, '/');
    snprintf(text, sizeof text, "assertion failed at %s:%d: %s", base == NULL ? file : base + 1,
             line, expression);
    note_violation(present.report, present.options, present.seed, present.cluster->net->trace,
                   text);
    save_tape(present.options, present.choice);
    if (present.options->jobs == 1) {
        printf("%s\n", present.report->first); // nobody else is left to tell
        fflush(stdout);
    }
    _exit(1);
}

static void start_choice(struct choice *choice, const struct options *options, uint64_t seed,
                         uint8_t *tape, size_t tape_count)
{
    if (options->replay != NULL) {
        choice_init_bytes(choice, tape, tape_count);
        return;
    }
    choice_init_seed(choice, seed);
    if (options->record != NULL) {
        choice_record(choice, tape, TAPE_BYTES);
    }
}

static void add_result(struct report *report, const struct sim_result *result)
{
    report->gave_up += result->gave_up;
    report->invalid += result->invalid;
    report->faults += result->faults;
    report->operations += result->operations;
    report->acknowledged += result->acknowledged;
    report->events += result->events;
    for (uint32_t i = 0; i < SIM_FAULTS; i++) {
        report->fault[i] += result->fault[i];
    }
    for (uint32_t i = 0; i < ADVERSARY_ATTACKS; i++) {
        report->attack[i] += result->attack[i];
    }
    __atomic_add_fetch(&report->runs, 1, __ATOMIC_RELEASE);
}

// Seed or number -> run, of whichever kind.
static void run_one(struct sim_cluster *cluster, struct choice *choice,
                    const struct options *options, uint64_t seed, struct sim_result *result)
{
    if (present.script != NULL) {
        sim_run_script(cluster, choice, present.script, result);
    } else if (options->twins) {
        static struct sim_twins_plan plan;
        sim_twins_plan(&plan, options->rounds, seed - 1);
        sim_twins_run(cluster, choice, &plan, result);
    } else {
        sim_run(cluster, choice, &options->run, result);
    }
}

static void one_seed(struct sim_cluster *cluster, const struct options *options, uint64_t seed,
                     uint8_t *tape, size_t tape_count, struct report *report)
{
    struct choice choice;
    struct sim_result result;
    start_choice(&choice, options, seed, tape, tape_count);
    report->present_seed = seed;
    present.seed = seed;
    present.choice = &choice;
    cluster->verbose = options->verbose;
    run_one(cluster, &choice, options, seed, &result);
    save_tape(options, &choice);
    if (result.violation) {
        note_violation(report, options, seed, result.trace, result.text);
    } else if (seed % TWICE_EVERY == 0 && !result.invalid) {
        struct sim_result again;
        start_choice(&choice, options, seed, tape, tape_count);
        cluster->verbose = false;
        run_one(cluster, &choice, options, seed, &again);
        if (again.trace != result.trace) {
            note_violation(report, options, seed, again.trace,
                           "not deterministic: the second execution has another trace");
        }
    }
    if (result.invalid && options->verbose) {
        fprintf(stderr, "sim: seed %llu: %s\n", (unsigned long long)seed, result.text);
    }
    if (options->verbose) {
        fprintf(stderr,
                "seed %llu: trace %016llx, %u operations, %u acknowledged, %llu faults, %u events, "
                "%.1f ms\n",
                (unsigned long long)seed, (unsigned long long)result.trace, result.operations,
                result.acknowledged, (unsigned long long)result.faults, result.events,
                (double)result.virtual_ns / 1e6);
    }
    add_result(report, &result);
}

// ---- many runs
// ---------------------------------------------------------------------------------------

static int work(const struct options *options, uint32_t job, struct report *reports, uint8_t *tape,
                size_t tape_count)
{
    struct sim_cluster *cluster = sim_cluster_open();
    if (cluster == NULL) {
        fprintf(stderr, "sim: not enough memory for a cluster\n");
        return 2;
    }
    struct report *report = &reports[job];
    present.options = options;
    present.cluster = cluster;
    present.report = report;
    tacit_assert_hook = on_assert;
    for (uint64_t i = job; i < options->seeds; i += options->jobs) {
        uint64_t run = i;
        if (options->scenario != NULL) {
            uint64_t each = options->seeds_given ? options->each : 0;
            present.script = sim_scenarios_find(&options->scenarios, each, i, &run);
        }
        one_seed(cluster, options, options->seed + run, tape, tape_count, report);
        memcpy(report->marks, cluster->marks, sizeof report->marks);
        bool stop = false;
        for (uint32_t other = 0; other < options->jobs && !options->keep_going; other++) {
            stop = stop || __atomic_load_n(&reports[other].violations, __ATOMIC_ACQUIRE) != 0;
        }
        if (stop) {
            break;
        }
    }
    tacit_assert_hook = NULL;
    sim_cluster_close(cluster);
    return 0;
}

static uint64_t runs_of(const struct options *options, const struct report *reports)
{
    uint64_t runs = 0;
    for (uint32_t job = 0; job < options->jobs; job++) {
        runs += __atomic_load_n(&reports[job].runs, __ATOMIC_ACQUIRE);
    }
    return runs;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

// Runs all workers; returns the worst of their exit statuses.
static int run_jobs(const struct options *options, struct report *reports, uint8_t *tape,
                    size_t tape_count)
{
    if (options->jobs == 1) {
        return work(options, 0, reports, tape, tape_count);
    }
    double began = seconds();
    uint32_t running = 0;
    int worst = 0;
    for (uint32_t job = 0; job < options->jobs; job++) {
        pid_t pid = fork();
        if (pid == 0) {
            _exit(work(options, job, reports, tape, tape_count));
        }
        if (pid < 0) {
            fprintf(stderr, "sim: cannot start a worker: %s\n", strerror(errno));
            worst = 2;
            continue;
        }
        reports[job].pid = pid;
        running++;
    }
    bool tty = isatty(STDERR_FILENO) != 0;
    while (running > 0) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid > 0) {
            running--;
            int code = WIFEXITED(status) ? WEXITSTATUS(status) : 3;
            for (uint32_t job = 0; WIFSIGNALED(status) && job < options->jobs; job++) {
                if (reports[job].pid == pid) {
                    char text[64];
                    snprintf(text, sizeof text, "died of signal %d", WTERMSIG(status));
                    note_violation(&reports[job], options, reports[job].present_seed, 0, text);
                    code = 1;
                }
            }
            worst = code > worst ? code : worst;
            continue;
        }
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        if (tty) {
            uint64_t runs = runs_of(options, reports);
            fprintf(stderr, "\rsim: %llu of %llu runs, %.0f a second ", (unsigned long long)runs,
                    (unsigned long long)options->seeds, (double)runs / (seconds() - began));
        }
    }
    if (tty) {
        fprintf(stderr, "\r\033[K");
    }
    return worst;
}

static void print_marks(const struct report *sum)
{
    static const char *const names[] = {
#define NAME(name, text) #name,
        TACIT_MARK_LIST(NAME)
#undef NAME
    };
    static const char *const texts[] = {
#define TEXT(name, text) text,
        TACIT_MARK_LIST(TEXT)
#undef TEXT
    };
    printf("situations reached:\n");
    for (uint32_t mark = 0; mark < TACIT_MARKS; mark++) {
        printf("  %10llu  %-22s %s\n", (unsigned long long)sum->marks[mark], names[mark],
               texts[mark]);
    }
    printf("faults injected:\n");
    for (uint32_t fault = 0; fault < SIM_FAULTS; fault++) {
        printf("  %10llu  %s\n", (unsigned long long)sum->fault[fault],
               sim_fault_name((enum sim_fault)fault));
    }
    for (uint32_t attack = 0; attack < ADVERSARY_ATTACKS; attack++) {
        printf("  %10llu  attack %-12s %s\n", (unsigned long long)sum->attack[attack],
               adversary_attack_name((enum adversary_attack)attack),
               adversary_attack_text((enum adversary_attack)attack));
    }
    printf("operations: %llu submitted, %llu acknowledged; %llu events\n",
           (unsigned long long)sum->operations, (unsigned long long)sum->acknowledged,
           (unsigned long long)sum->events);
}

static int summarize(const struct options *options, const struct report *reports, int worst)
{
    struct report sum = {0};
    const struct report *first = NULL;
    for (uint32_t job = 0; job < options->jobs; job++) {
        const struct report *report = &reports[job];
        sum.runs += report->runs;
        sum.invalid += report->invalid;
        sum.gave_up += report->gave_up;
        sum.faults += report->faults;
        sum.violations += report->violations;
        sum.operations += report->operations;
        sum.acknowledged += report->acknowledged;
        sum.events += report->events;
        for (uint32_t i = 0; i < SIM_FAULTS; i++) {
            sum.fault[i] += report->fault[i];
        }
        for (uint32_t i = 0; i < ADVERSARY_ATTACKS; i++) {
            sum.attack[i] += report->attack[i];
        }
        for (uint32_t i = 0; i < SIM_MARKS_MAX; i++) {
            sum.marks[i] += report->marks[i];
        }
        if (report->violations != 0) {
            printf("%s\n", report->first);
            first = first == NULL || report->first_seed < first->first_seed ? report : first;
        }
    }
    if (options->marks) {
        print_marks(&sum);
    }
    if (sum.gave_up != 0) {
        printf("sim: in %llu runs a linearizability search gave up\n",
               (unsigned long long)sum.gave_up);
    }
    if (sum.invalid != 0) {
        printf("sim: %llu runs had a configuration that the replica refuses\n",
               (unsigned long long)sum.invalid);
    }
    if (options->twins) {
        printf("sim: twins: %llu of %llu configurations of %u rounds\n",
               (unsigned long long)sum.runs, (unsigned long long)sim_twins_count(options->rounds),
               options->rounds);
    } else if (options->scenario != NULL) {
        printf("sim: %u scenarios\n", options->scenarios.count);
    }
    printf("sim: %llu runs, %llu faults injected, %llu violations\n", (unsigned long long)sum.runs,
           (unsigned long long)sum.faults, (unsigned long long)sum.violations);
    if (worst > 1) {
        return worst;
    }
    return first != NULL || sum.runs == 0 || sum.invalid == sum.runs ? 1 : 0;
}

static size_t load_tape(const struct options *options, uint8_t *tape)
{
    if (options->replay == NULL) {
        return 0;
    }
    FILE *file = fopen(options->replay, "rb");
    if (file == NULL) {
        fprintf(stderr, "sim: cannot read %s: %s\n", options->replay, strerror(errno));
        exit(2);
    }
    size_t count = fread(tape, 1, TAPE_BYTES, file);
    fclose(file);
    return count;
}

// How many runs a set of scenarios or all twins are. False: they cannot be run.
static bool choose_runs(struct options *options)
{
    char error[1024] = "";
    if (options->scenario != NULL) {
        if (!sim_scenarios_open(&options->scenarios, options->scenario, error, sizeof error)) {
            fprintf(stderr, "sim: %s\n", error);
            return false;
        }
        options->each = options->seeds;
        options->seeds =
            sim_scenarios_runs(&options->scenarios, options->seeds_given ? options->each : 0);
    } else if (options->twins) {
        uint64_t all = sim_twins_count(options->rounds);
        if (options->seed < 1 || options->seed > all) {
            fprintf(stderr, "sim: configurations of %u rounds have numbers from 1 to %llu\n",
                    options->rounds, (unsigned long long)all);
            return false;
        }
        uint64_t rest = all - options->seed + 1;
        options->seeds = options->seeds_given && options->seeds < rest ? options->seeds : rest;
    }
    return true;
}

int tacit_sim_main(int argc, char **argv)
{
    static const struct argp parser = {
        .options = option_table,
        .parser = parse,
        .doc = "Runs whole clusters in virtual time under injected faults and checks what they did."
               "\vEvery run follows from its seed. A violation is reported with the command that "
               "reproduces it, and the exit status is 1.",
    };
    static struct options options;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    options = (struct options){
        .seed = 1,
        .seeds = 1000,
        .rounds = 2,
        .run = {.log_on = -1, .broadcast_on = -1, .attack = ADVERSARY_ATTACKS, .plot = -1}};
    options.jobs = cores < 1 ? 1 : cores > JOBS_MAX ? JOBS_MAX : (uint32_t)cores;
    (void)argp_parse(&parser, argc, argv, 0, NULL, &options);
    if (options.list_bugs) {
        for (uint32_t bug = 1; bug < TACIT_BUGS; bug++) {
            printf("%-24s %s\n", bug_name(bug), bug_text(bug));
        }
        return 0;
    }
    if (options.list_plots) {
        for (uint32_t plot = 0; plot < sim_plot_line_count; plot++) {
            printf("%-18s %s\n", sim_plot_lines[plot].name, sim_plot_lines[plot].text);
        }
        return 0;
    }
    if (options.list_attacks) {
        for (uint32_t attack = 0; attack < ADVERSARY_ATTACKS; attack++) {
            printf("%-12s %s\n", adversary_attack_name((enum adversary_attack)attack),
                   adversary_attack_text((enum adversary_attack)attack));
        }
        return 0;
    }
    if (options.record != NULL || options.replay != NULL) {
        options.seeds = 1;
    }
    if (!choose_runs(&options)) {
        return 2;
    }
    if (options.jobs > options.seeds) {
        options.jobs = (uint32_t)options.seeds;
    }
    uint8_t *tape = options.record != NULL || options.replay != NULL ? malloc(TAPE_BYTES) : NULL;
    size_t tape_count = load_tape(&options, tape);
    size_t bytes = options.jobs * sizeof(struct report);
    struct report *reports =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (reports == MAP_FAILED) {
        fprintf(stderr, "sim: not enough memory\n");
        free(tape);
        return 2;
    }
    fflush(stdout);
    int worst = run_jobs(&options, reports, tape, tape_count);
    int status = summarize(&options, reports, worst);
    munmap(reports, bytes);
    sim_scenarios_close(&options.scenarios);
    free(tape);
    return status;
}
