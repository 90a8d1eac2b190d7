// SPDX-License-Identifier: Apache-2.0
//
// Processes that run a node of the shared-memory provider, for the conformance suite and the stress
// tests.
#ifndef TACIT_TESTS_SHM_NODE_H
#define TACIT_TESTS_SHM_NODE_H

#include <sys/types.h>

#include "tacit/shm.h"

// Where the sockets are, and with root whether each node has a user of its own.
struct shm_place {
    char directory[64];
    bool separate_users;
};

bool shm_place_open(struct shm_place *place);
void shm_place_close(struct shm_place *place);

// Fills a configuration for a node of a cluster of `replicas` replicas and one memory node; keys
// follow from the names. The strings live in `memory`.
struct shm_node_memory {
    char paths[TACIT_REPLICAS_MAX + 1][100];
    struct tacit_shm_peer peers[TACIT_REPLICAS_MAX + 1];
    struct tacit_keypair keypair;
};
void shm_node_config(struct tacit_shm_config *config, struct shm_node_memory *memory,
                     const struct shm_place *place, unsigned name, tacit_incarnation_t incarnation,
                     unsigned replicas);

// A memory node proper (memnodes/node), one in a process; its thread is the caller's. Not in
// shm_node.c, as not every test links it.
enum tacit_status shm_memnode_open(const struct tacit_shm_config *config,
                                   struct tacit_fabric **fabric, struct tacit_error *error);
void shm_memnode_close(void);

// In a forked child: takes the node's user, dies with its parent, shows its memory to nobody.
void shm_node_confine(const struct shm_place *place, unsigned name, pid_t parent);

// Tries to get at memory of process `pid` and at what this process may only read. Bits of what
// succeeded.
uint64_t shm_node_attack(pid_t pid, uint64_t *tried);

#endif
