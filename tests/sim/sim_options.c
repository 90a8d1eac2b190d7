// SPDX-License-Identifier: Apache-2.0
//
// See sim_options.h.
#include "sim_options.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bug.h"
#include "sim_twins.h"

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

static void remember(struct sim_options *options, const char *name, const char *value)
{
    size_t used = strlen(options->command);
    snprintf(options->command + used, sizeof options->command - used, " --%s %s", name, value);
}

static void choose_bug(struct argp_state *state, struct sim_options *options, const char *name)
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

static void choose_attack(struct argp_state *state, struct sim_options *options, const char *name)
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
static bool parse_number(struct argp_state *state, struct sim_options *options, int key,
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
        options->jobs = (uint32_t)number(state, argument, 1, SIM_JOBS_MAX);
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
static bool parse_switch(struct sim_options *options, int key)
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
    if (on == NULL) {
        return false;
    }
    *on = true;
    if (key == KEY_STORM || key == KEY_STOP_LEADERS || key == KEY_BAD_CLOCKS || key == KEY_SPARES) {
        remember(options,
                 key == KEY_STORM          ? "storm"
                 : key == KEY_STOP_LEADERS ? "stop-leaders"
                 : key == KEY_SPARES       ? "spares"
                                           : "bad-clocks",
                 "");
    }
    return true;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct sim_options *options = state->input;
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

void sim_options_parse(struct sim_options *options, int argc, char **argv)
{
    static const struct argp parser = {
        .options = option_table,
        .parser = parse,
        .doc = "Runs whole clusters in virtual time under injected faults and checks what they did."
               "\vEvery run follows from its seed. A violation is reported with the command that "
               "reproduces it, and the exit status is 1.",
    };
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    *options = (struct sim_options){
        .seed = 1,
        .seeds = 1000,
        .rounds = 2,
        .run = {.log_on = -1, .broadcast_on = -1, .attack = ADVERSARY_ATTACKS, .plot = -1}};
    options->jobs = cores < 1 ? 1 : cores > SIM_JOBS_MAX ? SIM_JOBS_MAX : (uint32_t)cores;
    (void)argp_parse(&parser, argc, argv, 0, NULL, options);
}

bool sim_options_list(const struct sim_options *options)
{
    if (options->list_bugs) {
        for (uint32_t bug = 1; bug < TACIT_BUGS; bug++) {
            printf("%-24s %s\n", bug_name(bug), bug_text(bug));
        }
        return true;
    }
    if (options->list_plots) {
        for (uint32_t plot = 0; plot < sim_plot_line_count; plot++) {
            printf("%-18s %s\n", sim_plot_lines[plot].name, sim_plot_lines[plot].text);
        }
        return true;
    }
    if (options->list_attacks) {
        for (uint32_t attack = 0; attack < ADVERSARY_ATTACKS; attack++) {
            printf("%-12s %s\n", adversary_attack_name((enum adversary_attack)attack),
                   adversary_attack_text((enum adversary_attack)attack));
        }
        return true;
    }
    return false;
}
