// SPDX-License-Identifier: Apache-2.0
//
// A set of scenarios, for the command: one file, or all *.scn of a folder, in order of their names.
#ifndef TACIT_TESTS_SIM_SCENARIOS_H
#define TACIT_TESTS_SIM_SCENARIOS_H

#include "sim_script.h"

#define SIM_SCENARIOS_MAX 128u

struct sim_scenarios {
    uint32_t count;
    struct sim_script *script; // [count]
};
// False: `error` says what is wrong. On success the scripts are the caller's, until close().
bool sim_scenarios_open(struct sim_scenarios *scenarios, const char *path, char *error,
                        size_t error_max);
void sim_scenarios_close(struct sim_scenarios *scenarios);
// Runs in all, `each` of each (0: what it says itself); and which one run number `number` is, with
// its number among the runs of that scenario.
uint64_t sim_scenarios_runs(const struct sim_scenarios *scenarios, uint64_t each);
const struct sim_script *sim_scenarios_find(const struct sim_scenarios *scenarios, uint64_t each,
                                            uint64_t number, uint64_t *run);

#endif
