// SPDX-License-Identifier: Apache-2.0
//
// The clusters that benchmarks work on: up with everybody in, sound before a fault, and what their
// clients saw judged at the end.
#ifndef TACIT_APPS_CLI_BENCH_CLUSTER_H
#define TACIT_APPS_CLI_BENCH_CLUSTER_H

#include "audit.h"
#include "scratch.h"

#define BENCH_READY_NS UINT64_C(20000000000) // for what should come soon
#define BENCH_LOOK_NS 2000000u               // between two looks at it

// What a cluster has besides its plan.
struct bench_service {
    const char *app; // NULL: kv
    bool unreplicated;
    bool has_gateway;   // at a free port: local->port
    const char *attack; // each replica's program can lie so, and behaves at first; NULL: honest
};

// Makes a cluster, starts it and waits until every replica is a member. On failure nothing is left;
// else scratch_close() ends it.
enum tacit_status bench_cluster_open(struct local *local, const struct local_plan *plan,
                                     struct bench_service service, struct tacit_error *error);
// Waits until everybody is a member, honest, counted and connected to everybody, somebody leads
// and, in Byzantine mode, where requests must be coming, the fast path is back: one more fault may
// be made. `leader`: who leads then.
enum tacit_status bench_cluster_sound(const struct local *local, int *leader,
                                      struct tacit_error *error);
// Stops the clients of a run that ended with `status`, and judges what they saw. What went wrong
// first is returned: a client that gave up is the cause of what was missed after it, and says why.
// Where the clients say all that they saw, `audit` is filled and anything wrong printed; where they
// do not, it says that nothing was found.
enum tacit_status bench_cluster_judge(struct load *load, enum tacit_status status,
                                      struct audit *audit, struct tacit_error *error);

#endif
