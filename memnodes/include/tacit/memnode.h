// SPDX-License-Identifier: Apache-2.0
//
// A memory node: exposes regions of replicas on the shared-memory fabric and is otherwise asleep.
// One of two kinds, by its layout:
// - log_bytes > 0 (crash mode): a LOG for each life of a replica. It decides which replica may
//   append to them (tacit/grants.h).
// - registers_bytes > 0 (Byzantine mode): REGISTERS for each life of a replica, the last two lives
//   of each. Nothing is decided and nobody rings: CONTROL and PAGE may be left out (0 bytes).
// All of a memory node but its main(), its socket and its reading of the cluster file is here,
// because it is the part of a Byzantine group that is trusted not to lie. One thread serves
// everything, so a replica that shakes hands (about 0.2 ms of signatures) can delay another one's
// permission by that much; no peer can make it wait.
#ifndef TACIT_MEMNODE_H
#define TACIT_MEMNODE_H

#include <signal.h>

#include "tacit/shm.h"
#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tacit_memnode;
struct tacit_memnode_config;

// What a node does while it runs. open: before the process gives anything up; loop: returns when
// `*stopping`.
struct tacit_memnode_service {
    enum tacit_status (*open)(struct tacit_memnode *node, struct tacit_error *error);
    void (*loop)(const struct tacit_memnode_config *config, struct tacit_memnode *node,
                 const volatile sig_atomic_t *stopping);
};
extern const struct tacit_memnode_service tacit_memnode_permissions; // crash mode's

struct tacit_memnode_config {
    // kind must be TACIT_SHM_MEMNODE. key_of and report are called from the calling thread and must
    // get along with what is left to the process after start: no new files or sockets (see
    // confine). Path, peers, and the limits but for handshake_timeout_ns are not looked at.
    struct tacit_shm_config fabric;
    int listener;     // socket of tacit_shm_listen, borrowed
    uint8_t replicas; // in the group, 1 .. TACIT_REPLICAS_MAX
    // With logs: tacit_memnode_permissions. Named here so that a program for Byzantine groups alone
    // need not contain it.
    const struct tacit_memnode_service *permissions;
    // With logs: a holder that shows no activity for this long loses to whoever asks.
    tacit_time_ns_t suspicion_ns;
    // Started as root: user and group to become once the memory is there; 0: stay root. Ignored for
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
// Errors: TACIT_EINVAL (config), TACIT_ENOMEM, TACIT_EIO, TACIT_EPERM (user, confinement).
enum tacit_status tacit_memnode_run(const struct tacit_memnode_config *config,
                                    struct tacit_error *error);

#ifdef __cplusplus
}
#endif

#endif
