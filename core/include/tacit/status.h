// SPDX-License-Identifier: Apache-2.0
//
// What a replica tells about itself: the source of `tacit status` and of the counters that
// benchmarks and tests assert on. Plain data; filled in by the protocol thread, copied out by
// others.
#ifndef TACIT_STATUS_H
#define TACIT_STATUS_H

#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum tacit_role {
    TACIT_ROLE_JOINING = 0, // a new incarnation that waits for admission
    TACIT_ROLE_FOLLOWER,
    TACIT_ROLE_CANDIDATE,  // asks for permission
    TACIT_ROLE_RECOVERING, // holds a majority; catches up and prepares
    TACIT_ROLE_LEADER,
};
const char *tacit_role_name(enum tacit_role role);

struct tacit_status_report {
    enum tacit_role role;
    tacit_node_t self;
    tacit_node_t leader; // believed; TACIT_NODE_NONE
    tacit_incarnation_t incarnation;
    uint64_t ballot;       // own newest, 0 if never a leader
    tacit_index_t commit;  // entries below are decided as far as this replica knows
    tacit_index_t applied; // entries below are executed here
    uint32_t confirmed;    // leader: bit h = log host h is written to and counted
    uint32_t trusted;      // bit r = replica r is trusted
    uint32_t up;           // bit r = replica r is connected
    uint32_t memnodes_up;  // bit m; Byzantine mode: ... and counted in its present incarnation
    uint32_t waiting;      // bit r = r waits for admission
    tacit_incarnation_t members[TACIT_REPLICAS_MAX]; // admitted incarnation of each replica
    uint64_t epoch;                                  // changes of members so far
    // Who was given this replica's seat instead of it, 0: nobody. Its life is over then.
    tacit_incarnation_t successor;
    uint32_t seats_dead; // bit by node: seen dead here for replace_after
    uint64_t term;       // crash mode: own ballot while it leads, else 0; else the view

    // Paths taken, since start.
    uint64_t batches_proposed, batches_decided, requests_executed, requests_duplicate;
    uint64_t elections_started, elections_won, elections_lost, steps_down;
    uint64_t entries_adopted, entries_noop, entries_copied, adopted_words;
    uint64_t grants, revocations, grants_deferred; // permission server
    uint64_t checkpoints_taken, state_transfers, state_pages_fetched;
    uint64_t touches, head_reads; // background plane
    uint64_t hints, replies, rings_lapped;
    // Leases (crash mode).
    uint64_t reads_leased, reads_ordered; // reads answered from the leader's state, or by the log
    uint64_t lease_ns;                    // leader: length at present, 0: none
    uint64_t lease_lapses;                // leases that ended between two renewals
    uint64_t leases_waited, last_lease_wait_ns; // permission server: for an earlier holder's lease
    uint64_t malformed, unexpected;             // what peers and clients did wrong
    uint64_t sessions_open;

    // The last election that this replica won: durations, and when it began to lead by the clock
    // that poll() is given; 0: never.
    uint64_t last_detect_to_ask_ns, last_permission_ns, last_recovery_ns, last_led_ns;

    // Byzantine mode; 0 in crash mode.
    bool byzantine;
    bool view_entered; // NEW_VIEW of this view is here
    uint64_t view;
    uint64_t replaced;                                       // changes of members so far
    tacit_incarnation_t memnode_members[TACIT_MEMNODES_MAX]; // admitted incarnations
    uint64_t window_base; // slots below are covered by a certified checkpoint
    uint32_t condemned;   // bit r: replica r was found out
    uint64_t decided_fast, decided_slow, vouched, acked, certified, committed;
    uint64_t seals, views_entered, newviews, forced;
    uint64_t broadcasts, delivered_fast, delivered_slow, nudges, summaries, summaries_adopted, gaps;
    uint64_t signatures_made, signatures_checked, signatures_bad;
    uint64_t register_writes, register_reads;
    uint64_t lacks, obligations, bodies_fetched;
    uint64_t last_sealed_ns, last_entered_ns; // when, by the clock that poll() is given; 0: never

    // Fabric operations by plane (0 data, 1 background): to other hosts and to the own one.
    uint64_t fabric_writes[2], fabric_reads[2], fabric_self_writes[2], fabric_denied[2],
        fabric_lost[2];
    uint64_t fabric_write_bytes[2];

    uint64_t memory_bytes; // of the replica, regions included
};

#ifdef __cplusplus
}
#endif

#endif
