// SPDX-License-Identifier: Apache-2.0
//
// Judges what the clients of a run saw (load.h): nothing acknowledged is lost, nothing happened
// twice, nothing was invented, and there is one order of all operations that explains every answer
// and agrees with real time (linearizability, by the checkers of the simulator).
#ifndef TACIT_APPS_CLI_AUDIT_H
#define TACIT_APPS_CLI_AUDIT_H

#include "load.h"

struct audit {
    uint64_t operations; // acknowledged
    uint64_t lost;       // acknowledged, and not there at the end
    bool linearizable;
    char text[400]; // what is wrong, empty if nothing is
};

// After load_stop.
struct audit audit_run(const struct load *load);

#endif
