// SPDX-License-Identifier: Apache-2.0
//
// A group of production code in virtual time to which nothing happens, without checkers, and one
// client that keeps requests in flight: what counts and times are taken from. In *direct execution*
// the processor time that a process really takes for a turn is charged to its own virtual clock
// (what it posts leaves it that much later, and it takes no next turn before), while an operation
// takes what a given fabric takes. So figures for processors and cards of one's own come from
// running the code on any machine.
#ifndef TACIT_TESTS_SIM_DIRECT_H
#define TACIT_TESTS_SIM_DIRECT_H

#include "tacit/smr.h"

#define SIM_DIRECT_FLIGHT_MAX 64u
#define SIM_DIRECT_BYTES_MAX 65456u // the largest reply

// A fabric, and what the processors beside it do by themselves.
struct sim_direct_fabric {
    uint32_t write_ns;      // from the post until the other side can see 8 bytes
    uint32_t gap_ns;        // the next operation leaves the same card this much later
    uint32_t completion_ns; // from the post of a write until its poster is told
    uint32_t read_ns;       // the same of a read
    uint32_t megabits_per_s;
    uint32_t post_ns;            // processor time of a post
    uint32_t look_ns;            // a spinning process sees what has landed so much later
    uint32_t sign_ns, verify_ns; // of a signature, on a thread of its own
};

struct sim_direct_shape {
    enum tacit_engine_kind engine;
    uint8_t replicas, memnodes;
    uint32_t bytes;     // of a request and of its reply, 8 .. SIM_DIRECT_BYTES_MAX
    uint32_t in_flight; // 1 .. SIM_DIRECT_FLIGHT_MAX
    bool is_charged;    // direct execution; else a turn takes no time
    struct sim_direct_fabric fabric;
};

// What happened in run().
struct sim_direct_counts {
    uint64_t requests, batches;
    uint64_t turns;  // of all replicas
    uint64_t writes; // of all replicas, to others, on the data plane
    uint64_t write_bytes;
    uint64_t reads;
    uint64_t client_writes;
    uint64_t decided_slow; // Byzantine mode: not on the fast path
};

struct sim_direct;

// Builds the group, and waits until a client's session is open. NULL: no memory, or `error` says
// what is wrong with the shape.
struct sim_direct *sim_direct_open(const struct sim_direct_shape *shape, struct tacit_error *error);
void sim_direct_close(struct sim_direct *direct);
// So many requests more. `took` (may be NULL) is called with the end-to-end latency of each, and
// with the time from the leader's first sight of it until that replica knew that it was decided
// (virtual ns). False: it hangs, was answered wrongly, or the fabric was misused; `error` says so.
bool sim_direct_run(struct sim_direct *direct, uint32_t requests,
                    void (*took)(void *context, uint64_t end_to_end_ns, uint64_t decide_ns),
                    void *context, struct sim_direct_counts *counts, struct tacit_error *error);

// The turns of run() go through these and nothing else does, so that a profiler can be told to
// count what is below them: a replica's, and a client's.
bool sim_direct_turn_replica(struct tacit_smr *smr, uint64_t now_ns);
struct tacit_client;
struct tacit_client_event;
bool sim_direct_turn_client(struct tacit_client *client, uint64_t now_ns,
                            struct tacit_client_event *event);

#endif
