// SPDX-License-Identifier: Apache-2.0
//
// Options of `tacit sim`: what they are, what is accepted, and the lists that some of them print.
#ifndef TACIT_TESTS_SIM_SIM_OPTIONS_H
#define TACIT_TESTS_SIM_SIM_OPTIONS_H

#include "sim_run.h"
#include "sim_scenarios.h"

#define SIM_JOBS_MAX 64u

struct sim_options {
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

// Reads argv, over the defaults; wrong use ends the program. Switches a seeded bug on.
void sim_options_parse(struct sim_options *options, int argc, char **argv);
// Prints the list that was asked for; false: none was.
bool sim_options_list(const struct sim_options *options);

#endif
