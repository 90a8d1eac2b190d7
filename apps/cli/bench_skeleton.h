// SPDX-License-Identifier: Apache-2.0
//
// What the waiting alone costs: as many processes as a Byzantine group and its client have, which
// exchange what its fast path exchanges (a request to all, one message to all from the leader, two
// rounds from everybody to everybody, replies) and wait as they do, but agree on nothing: no rings,
// digests, checks, state or failures. The latency of Byzantine mode is compared with this.
#ifndef TACIT_APPS_CLI_BENCH_SKELETON_H
#define TACIT_APPS_CLI_BENCH_SKELETON_H

#include "histogram.h"
#include "tacit/config.h"
#include "tacit/types.h"

#define SKELETON_REPLICAS 3u
#define SKELETON_BYTES_MAX 4096u

struct skeleton_options {
    uint64_t bytes;   // of a message, 8 to SKELETON_BYTES_MAX
    uint64_t warm_up; // requests that are not counted
    uint64_t count;   // requests that are
    enum tacit_config_waiting waiting;
    bool (*interrupted)(void); // asked after each request
};

// Runs it in processes of its own, which are gone when it returns. ETIMEDOUT: one of them died or
// hangs; ECLOSED: interrupted.
enum tacit_status skeleton_run(const struct skeleton_options *options, struct histogram *latency,
                               struct tacit_error *error);

#endif
