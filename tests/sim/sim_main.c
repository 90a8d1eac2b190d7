// SPDX-License-Identifier: Apache-2.0
//
// The command `tacit sim`: many seeds over several processes, progress, reproduction lines, marks.
#include "sim_main.h"

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
#include "base/mark.h"
#include "sim_options.h"
#include "sim_run.h"
#include "sim_twins.h"

#ifndef TACIT_COMMIT
#define TACIT_COMMIT "unknown"
#endif
#define TAPE_BYTES (16u << 20)
#define TWICE_EVERY 100u // one run in so many is executed twice

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

// ---- one run ------------------------------------------------------------------------------------

// What an assertion that fails in the middle of a run has to tell.
static struct {
    const struct sim_options *options;
    struct sim_cluster *cluster;
    struct report *report;
    uint64_t seed;
    const struct choice *choice;
    const struct sim_script *script; // NULL: none
} present;

static void reproduction(char *line, size_t max, const struct sim_options *options, uint64_t seed,
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

static void save_tape(const struct sim_options *options, const struct choice *choice)
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

static void note_violation(struct report *report, const struct sim_options *options, uint64_t seed,
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

static void start_choice(struct choice *choice, const struct sim_options *options, uint64_t seed,
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
                    const struct sim_options *options, uint64_t seed, struct sim_result *result)
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

static void one_seed(struct sim_cluster *cluster, const struct sim_options *options, uint64_t seed,
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

// ---- many runs ---------------------------------------------------------------------------------

static int work(const struct sim_options *options, uint32_t job, struct report *reports,
                uint8_t *tape, size_t tape_count)
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

static uint64_t runs_of(const struct sim_options *options, const struct report *reports)
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
static int run_jobs(const struct sim_options *options, struct report *reports, uint8_t *tape,
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

static int summarize(const struct sim_options *options, const struct report *reports, int worst)
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

static size_t load_tape(const struct sim_options *options, uint8_t *tape)
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
static bool choose_runs(struct sim_options *options)
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
    static struct sim_options options;
    sim_options_parse(&options, argc, argv);
    if (sim_options_list(&options)) {
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
