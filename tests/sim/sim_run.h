// SPDX-License-Identifier: Apache-2.0
//
// One run of the simulator: draws a configuration and fault rates, a safety phase, a liveness
// phase, a verdict.
#ifndef TACIT_TESTS_SIM_RUN_H
#define TACIT_TESTS_SIM_RUN_H

#include "sim_cluster.h"
#include "sim_script.h"

struct sim_run_options {
    bool byzantine;    // engine
    int log_on;        // crash mode: enum tacit_log_place, -1: drawn
    int broadcast_on;  // Byzantine mode: enum tacit_broadcast_place, -1: replicas
    uint32_t replicas; // 0: drawn
    // Deliberately wrong: replicas that may be faulty at a time beyond f. A run with it must fail.
    uint32_t extra_faults;
    uint32_t faulty;   // Byzantine mode: replicas that are Byzantine, at most
    uint32_t attack;   // ADVERSARY_ATTACKS: drawn
    bool storm;        // leaders change all the time
    bool stop_leaders; // they stand still again and again
    bool spares;       // every run has spares
    bool bad_clocks;   // deliberately wrong: clocks differ by more than the claimed bound
    int plot;          // which plot (sim_plot.h), SIM_PLOT_ANY, -1: none
};

struct sim_result {
    bool violation;
    bool gave_up; // a linearizability search
    bool invalid; // the draws made a configuration that the replica refuses
    char text[512];
    uint64_t trace;
    uint64_t faults;
    uint64_t fault[SIM_FAULTS];
    uint64_t virtual_ns;
    uint64_t attack[ADVERSARY_ATTACKS];
    uint32_t events;
    uint32_t operations, acknowledged;
};

// A run in parts, for whoever fixes its shape: start() is false, with an invalid result, when a
// replica refuses the configuration; finish() runs both phases and fills in the result.
bool sim_run_start(struct sim_cluster *cluster, struct choice *choice,
                   const struct sim_shape *shape, const struct sim_model *model,
                   struct sim_result *result);
void sim_run_finish(struct sim_cluster *cluster, struct sim_result *result);
// A run of a scenario; a violation is also what it expects and did not see.
void sim_run_script(struct sim_cluster *cluster, struct choice *choice,
                    const struct sim_script *script, struct sim_result *result);
void sim_run(struct sim_cluster *cluster, struct choice *choice,
             const struct sim_run_options *options, struct sim_result *result);

#endif
