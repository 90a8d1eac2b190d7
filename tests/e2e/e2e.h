// SPDX-License-Identifier: Apache-2.0
//
// What the tests of whole clusters share: a cluster of real processes in a temporary folder,
// clients on it, and faults that are only made when they are within f.
#ifndef TACIT_TESTS_E2E_H
#define TACIT_TESTS_E2E_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
// Last: it wants the four above.
#include <cmocka.h>

#include "apps/cli/audit.h"
#include "apps/cli/cli.h"
#include "apps/cli/load.h"
#include "apps/cli/local.h"
#include "apps/cli/scratch.h"

#define E2E_READY_NS UINT64_C(30000000000)
#define E2E_CLIENTS 3u

// Points the cluster code at the programs of this build; an argument is a pattern of the tests to
// run. Call first in main().
void e2e_begin(int argc, char **argv);
// Makes and starts a cluster and waits until every replica is a member. Prints and fails the test
// if it cannot.
struct local *e2e_cluster(const struct local_plan *plan, bool gateway);
// The same in two steps, for a test that changes something in between.
struct local *e2e_make(const struct local_plan *plan, bool gateway);
void e2e_start(struct local *local);
void e2e_cluster_end(struct local *local);
struct load *e2e_load(const struct local *local);
// Stops the clients and checks everything they saw; frees.
void e2e_verdict(struct load *load);
// Sends SIGKILL or SIGSTOP to the leader after checking that this is within f; its id.
uint16_t e2e_hit_leader(const struct local *local, int signal_number);
// Starts a replica that was killed and waits until the group has readmitted it.
void e2e_bring_back(struct local *local, uint16_t replica);
// Waits until clients were answered at least `more` times from now on.
void e2e_progress(const struct load *load, uint64_t more);
struct local_node e2e_replica(uint16_t id);
// Number in the report of a replica that must answer.
uint64_t e2e_number(const struct local *local, uint16_t replica, const char *section,
                    const char *key);

// Whatever replaces members (patience: the cluster's). Kills and waits until it is gone.
void e2e_kill(const struct local *local, struct local_node node);
// Wait until the member in the seat of a replica is that process; until the log of a node has a
// line with that text; until the three memory nodes all count.
void e2e_wait_sitter(const struct local *local, uint16_t seat, struct local_node wanted);
void e2e_wait_log(const struct local *local, const char *name, const char *text);
void e2e_wait_hosts(const struct local *local);

#endif
