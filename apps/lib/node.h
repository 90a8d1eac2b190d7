// SPDX-License-Identifier: Apache-2.0
//
// What replica and memory-node programs have in common: from a node file to everything that is
// needed to open the fabric. Start-up code.
#ifndef TACIT_APPS_LIB_NODE_H
#define TACIT_APPS_LIB_NODE_H

#include "../client/provider.h"
#include "statedir.h"
#include "tacit/config.h"
#include "tacit/smr.h"

// A seat and who is in it.
struct tacit_node_seat {
    uint16_t id; // of the replica or memory node
    uint8_t generation, body;
};

// Large: from the heap.
struct tacit_node {
    struct tacit_node_file file;
    struct tacit_config config;
    struct tacit_keypair *keypair;              // locked memory
    char cluster_path[TACIT_CONFIG_PATH_BYTES]; // the file that was read
    struct tacit_statedir state;
    struct tacit_node_seat seat;        // a founder's own, until it stands by (standby.h)
    bool is_replaced;                   // somebody said that this life is over (control thread)
    char name[TACIT_CONFIG_NAME_BYTES]; // "replica-0", "spare-replica-1"
    char runtime_dir[TACIT_CONFIG_PATH_BYTES];
    char status_path[TACIT_CONFIG_PATH_BYTES]; // status socket (replicas)
    struct tacit_smr_config smr;               // complete for replicas
    struct tacit_provider_config provider;     // complete; trouble with peers is logged
    struct tacit_config_problems problems;
};

// Reads node file, cluster file and key, and checks them against each other; `cluster_path` NULL:
// the one that the node file names. Errors: as those of the files; TACIT_EINVAL when the node file
// names another role than `role` (REPLICA, MEMNODE: or a spare of it), the cluster needs what this
// program does not have, or leases are on and this machine's clock may run further off than they
// allow for.
enum tacit_status tacit_node_load(struct tacit_node **out, const char *node_path,
                                  const char *cluster_path, enum tacit_config_role role,
                                  struct tacit_error *error);
// Whether it is a spare.
static inline bool tacit_node_is_spare(const struct tacit_node *node)
{
    return node->file.role == TACIT_CONFIG_SPARE_REPLICA ||
           node->file.role == TACIT_CONFIG_SPARE_MEMNODE;
}
// Enters the state directory, which counts this start, for node->seat, and completes `smr` and
// `provider`. After this the node may speak. Where the folder of its socket has the set-group-ID
// bit, the socket belongs to that folder's group, which may then connect: nodes of several users.
// Errors: as tacit_statedir_enter.
enum tacit_status tacit_node_enter(struct tacit_node *node, struct tacit_error *error);
// Leaves the state directory, wipes the key, frees. NULL is allowed.
void tacit_node_free(struct tacit_node *node);

// Path of the status socket of a replica or spare replica under `config`.
enum tacit_status tacit_node_status_path(const struct tacit_config *config,
                                         enum tacit_config_role role, uint16_t id,
                                         char out[TACIT_CONFIG_PATH_BYTES],
                                         struct tacit_error *error);

#endif
