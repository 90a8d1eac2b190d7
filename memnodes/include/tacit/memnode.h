// SPDX-License-Identifier: Apache-2.0
//
// A memory node: exposes log regions on the shared-memory fabric, decides which replica may append
// to them (tacit/grants.h), and is otherwise asleep. All of a memory node but its main() and its
// reading of the cluster file is here, because it is the part of a Byzantine group that is trusted
// not to lie.
#ifndef TACIT_MEMNODE_H
#define TACIT_MEMNODE_H

#include "tacit/shm.h"
#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tacit_memnode_config {
    // As for tacit_shm_host_open; kind must be TACIT_SHM_MEMNODE. key_of and report must get along
    // with what is left to the process after start: no new files or sockets (see confine).
    struct tacit_shm_config fabric;
    uint8_t replicas; // in the group, 1 .. TACIT_REPLICAS_MAX
    tacit_time_ns_t
        suspicion_ns; // a holder that shows no activity for this long loses to whoever asks
    // Started as root: user and group to become once the socket is there; 0: stay root. Ignored for
    // others.
    uint32_t user_uid, user_gid;
    // After start allow only the system calls that a memory node needs (seccomp); any other one
    // ends the process. Not for programs under a sanitizer, whose runtime needs more.
    bool confine;
    // Called once the node is reachable and confined, from the calling thread; NULL: nobody.
    void (*ready)(void *context);
    void *ready_context;
};

// Runs a memory node on the calling thread until SIGTERM or SIGINT, whose handlers it installs;
// returns TACIT_OK then, after an orderly close. In any case the process has no core dumps, is not
// dumpable, and can gain no privileges from then on. Call once in a process, with no other threads.
// Errors: those of tacit_shm_host_open; TACIT_EINVAL (config), TACIT_EPERM (user, confinement).
enum tacit_status tacit_memnode_run(const struct tacit_memnode_config *config,
                                    struct tacit_error *error);

#ifdef __cplusplus
}
#endif

#endif
