// SPDX-License-Identifier: Apache-2.0
//
// A memory node over RDMA (tacit/verbs.h): what tacit/memnode.h is over shared memory. Its memory
// is reached through the device, so once replicas are connected its threads have next to nothing to
// do. Not the code that a Byzantine group on shared memory trusts: that one stands alone.
#ifndef TACIT_VERBS_MEMNODE_H
#define TACIT_VERBS_MEMNODE_H

#include "tacit/verbs.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tacit_verbs_memnode_config {
    struct tacit_verbs_config fabric; // kind must be TACIT_VERBS_MEMNODE
    uint8_t replicas;                 // in the group, 1 .. TACIT_REPLICAS_MAX
    // With logs: a holder that shows no activity for this long loses to whoever asks.
    tacit_time_ns_t suspicion_ns;
    // Started as root: user and group to become before the device is opened, which has to be
    // accessible to them; 0: stay root. Ignored for others.
    uint32_t user_uid, user_gid;
    // Called once the node is reachable, from the calling thread, with what it uses; NULL: nobody.
    void (*ready)(void *context, const struct tacit_verbs_facts *facts);
    void *ready_context;
};

// Runs a memory node on the calling thread until SIGTERM or SIGINT, whose handlers it installs;
// returns TACIT_OK then, after an orderly close. From then on the process has no core dumps, is not
// dumpable and gains no privileges; system calls are not restricted, as rdma-core needs many. Call
// once in a process, with no other threads. Errors: those of tacit_verbs_open; TACIT_EINVAL
// (replicas, region sizes), TACIT_EPERM (user).
enum tacit_status tacit_verbs_memnode_run(const struct tacit_verbs_memnode_config *config,
                                          struct tacit_error *error);

#ifdef __cplusplus
}
#endif

#endif
