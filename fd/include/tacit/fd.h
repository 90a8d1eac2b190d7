// SPDX-License-Identifier: Apache-2.0
//
// Failure detection by pull-score (Mu, OSDI 2020, section 5.1): each replica raises a counter in
// its own memory while its protocol thread makes progress; the others read it over the fabric and
// keep a score. A push heartbeat that is late may have been delayed by the network; a counter that
// was read and has not moved was not raised. So a slow read costs nothing, and short time-outs do
// not lead to needless takeovers.
//
// Rules, for each other replica:
//  - Its beats are read one at a time, at least two of its beat periods after the last read
//  completed, so
//    that a live replica always has raised them between two reads. (The period stands beside the
//    beats; what a peer claims is bounded by period_max_ns.) While a trusted peer's period is
//    longer than the own one, deadline() leaves a read up to half of that time later, so that an
//    idle replica reads when it is awake for its own beats.
//  - Changed: score + 1, at most 15. Unchanged: score - 1, at least 0. Suspected when the score
//  falls below
//    2, trusted again when it rises above 6; in between nothing changes.
//  - Connection lost and the process not known to be dead: every such interval counts as an
//  unchanged beat
//    until it is connected again. So a connection that comes back within some milliseconds costs a
//    few points and no takeover, and one that stays away is suspected as if its beats had stopped.
//  - DOWN with `hung_up`: most likely the process has died, or is about to come back. The score
//  falls to 5
//    at once, so that some intervals without a connection are enough instead of a dozen.
//  - DOWN with `certain`: untrusted and dead at once. It ends with the UP of a larger incarnation,
//  which
//    starts at score 0 and has to earn its trust. The first incarnation seen starts trusted (score
//    15), because nothing speaks against it; a returning one keeps the score that it had.
//  - A read that does not return within `read_timeout_ns` means that nothing comes back at all:
//  suspected at
//    once, and the connection is broken so that the provider makes a new one. Time in which this
//    process itself did not run does not count.
//  - A replica that was never connected is trusted until `grace_ns` after the start, untrusted
//  then.
//
// Pure: no clock, thread or heap. All calls come from the replica's protocol thread.
#ifndef TACIT_FD_H
#define TACIT_FD_H

#include "tacit/fabric.h"
#include "tacit/smr.h"
#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TACIT_FD_SCORE_MAX 15u
#define TACIT_FD_SUSPECT_BELOW 2u
#define TACIT_FD_TRUST_ABOVE 6u
#define TACIT_FD_SCORE_HUNG_UP 5u

struct tacit_fd_config {
    uint8_t replicas; // 1 .. TACIT_REPLICAS_MAX
    tacit_node_t self;
    tacit_time_ns_t beat_period_ns; // own, taken for a peer's until it has published its own; > 0
    tacit_time_ns_t period_max_ns;  // a peer that claims a longer period is read as if it said this
    tacit_time_ns_t read_timeout_ns; // > 0; much longer than beat_period_ns
    tacit_time_ns_t grace_ns;
};

struct tacit_fd_counters {
    uint64_t reads;
    uint64_t missed;           // unchanged beats, time without a connection included
    uint64_t suspicions;       // trusted -> suspected, deaths not included
    uint64_t false_suspicions; // suspected -> trusted again in the same incarnation
    uint64_t deaths;           // known for certain
    uint64_t time_outs;        // reads that did not return
};

struct tacit_fd;

// Bytes that init() needs, a multiple of 64.
size_t tacit_fd_size(void);
// Builds a detector in `memory` (64-aligned, the caller's; nothing to undo). `fabric` outlives it.
// Beats are read into `memory`: with a provider that needs registration it must lie in what was
// given to attach().
void tacit_fd_init(struct tacit_fd **fd, void *memory, const struct tacit_fd_config *config,
                   struct tacit_fabric *fabric, tacit_time_ns_t now_ns);
// How to plug it into a replica (tacit_smr_detector). Valid as long as `fd`.
struct tacit_detector tacit_fd_detector(struct tacit_fd *fd);
// The score of a replica, 0 .. TACIT_FD_SCORE_MAX.
uint32_t tacit_fd_score(const struct tacit_fd *fd, tacit_node_t replica);
// Counters since init; valid as long as `fd`.
const struct tacit_fd_counters *tacit_fd_counters(const struct tacit_fd *fd);

#ifdef __cplusplus
}
#endif

#endif
