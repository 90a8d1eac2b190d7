// SPDX-License-Identifier: Apache-2.0
//
// A whole simulated run (tests/sim) whose draws are the fuzzer's input: coverage-guided search for
// schedules and faults, and the shrinker of recorded ones (`tacit sim --record FILE`, then
// -minimize_crash=1).
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/sim_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sim_cluster *cluster;
    if (cluster == NULL) {
        cluster = sim_cluster_open();
        if (cluster == NULL) {
            abort();
        }
    }
    const struct sim_run_options options = {.log_on = -1, .broadcast_on = -1, .plot = -1};
    struct choice choice;
    struct sim_result result;
    choice_init_bytes(&choice, data, size);
    sim_run(cluster, &choice, &options, &result);
    if (result.violation) {
        fprintf(stderr, "violation: %s\n", result.text);
        abort();
    }
    return 0;
}
