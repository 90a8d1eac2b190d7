// SPDX-License-Identifier: Apache-2.0
//
// Who is in the group, and whether this replica may act for it now: for a program that embeds a
// replica (tacit/replica.h), from any of its threads.
//
// A *view* is one set of members (each node in one incarnation) under one leader. Views are decided
// by the group, in order: members by entries of the log, leaders by permissions. `epoch` grows with
// each change of members, in all replicas alike.
//
// A view is *active* at a replica while that replica leads it and holds the leader's lease: nobody
// else leads at this moment, and no later view has decided anything. So whoever acts for the group
// outside of the log (answers from a cache, drives a device) asks first:
//
//   struct tacit_view view;
//   tacit_view_current(replica, &view);
//   while (tacit_view_is_active(&view).active) { ... }
//
// The answer is true of one moment during the call, and may be old when it is used: what an action
// takes effect on must not mind one that began under the lease and ended after it, or refuse it
// (by `term`, which grows from leader to leader).
//
// Crash mode with leases only. In Byzantine mode, or with `lease: 0`, no view is active; current()
// and watch() work. Leases assume the bound on clock drift that the cluster file names.
#ifndef TACIT_MEMBERSHIP_H
#define TACIT_MEMBERSHIP_H

#include "tacit/replica.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tacit_view_source;

struct tacit_view {
    uint64_t epoch;
    uint64_t term;       // crash mode: this replica's ballot if it leads, else 0; else the view's
    tacit_node_t self;   // this replica
    tacit_node_t leader; // TACIT_NODE_NONE: none is known
    // Admitted incarnations by id, 0: no member. Memory nodes: where they vote (Byzantine mode).
    tacit_incarnation_t replicas[TACIT_REPLICAS_MAX];
    tacit_incarnation_t memnodes[TACIT_MEMNODES_MAX];
    uint32_t replicas_up; // bit r: connected
    uint32_t memnodes_up;
    const struct tacit_view_source *source; // where it came from; lives as long as the replica
};

struct tacit_view_state {
    bool active;
    bool changed; // the replica knows a later view: take it by current()
};

// The view that the replica is in, as it said last: some milliseconds ago at most, and at once
// after a change. Before run(): no leader, no members. Any thread.
void tacit_view_current(struct tacit_replica *replica, struct tacit_view *view);
// Tens of nanoseconds; never waits. Any thread, while the replica is open.
struct tacit_view_state tacit_view_is_active(const struct tacit_view *view);
// Waits up to `timeout_ns` for a view other than `known`, which *next then is. False: none came.
// Any thread, several at once; not while the replica is closed.
bool tacit_view_watch(struct tacit_replica *replica, const struct tacit_view *known,
                      uint64_t timeout_ns, struct tacit_view *next);

#ifdef __cplusplus
}
#endif

#endif
