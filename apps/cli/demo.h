// SPDX-License-Identifier: Apache-2.0
//
// What the two demos share: a cluster, clients on it, lines about how they fare. demo.c has the
// command and the demo of crash mode, demo_byzantine.c the other one.
#ifndef TACIT_APPS_CLI_DEMO_H
#define TACIT_APPS_CLI_DEMO_H

#include "load.h"
#include "scratch.h"

struct demo {
    struct local local;
    struct load *load;
    struct histogram before, now; // at the last line, and presently
    uint64_t line_ns, lines_acknowledged, started_ns;
    uint64_t part_ns; // length of each part
    bool is_terminal;
    uint64_t killed_ns;
    struct load_outage outage;
    struct tacit_error error;
};

// Lets clients work for a part; false: somebody gave up, or the user did (demo->error says so).
bool demo_watch(struct demo *demo);
// SIGKILL to the leader, within f, and a part after it; *victim gets its id. False: demo->error.
bool demo_kill_leader(struct demo *demo, uint16_t *victim);
// Starts that replica again, honest, and waits until it is a member. False: demo->error.
bool demo_bring_back(struct demo *demo, uint16_t victim);

// The play of Byzantine mode, from the running cluster with clients at work on. False: demo->error.
bool demo_play_byzantine(struct demo *demo);
// Before the cluster starts: chooses who will lie.
enum tacit_status demo_choose_liar(struct demo *demo);

#endif
