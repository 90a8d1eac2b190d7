// SPDX-License-Identifier: Apache-2.0
//
// What both ends of a connection compute from the cluster file and must compute alike, and the
// small files in a node's state directory that identify the group and count starts.
#ifndef TACIT_CLUSTER_H
#define TACIT_CLUSTER_H

#include "tacit/config.h"
#include "tacit/crypto.h"
#include "tacit/smr.h"

#ifdef __cplusplus
extern "C" {
#endif

// Slots of each request and reply ring: how many requests one client may have outstanding in all
// its sessions together. Fixed, because both ends size their memory by it.
#define TACIT_CLUSTER_RING_SLOTS 64u

// The replicas' parameters under a cluster file, but for what is a replica's own (self,
// incarnation, first_member, draw, app_options, signer), which is zero.
void tacit_cluster_smr_config(struct tacit_smr_config *smr, const struct tacit_config *config);

// Byzantine mode: starts the signing pool (lib/signer.h) of whoever has the key pair `own`, with
// one worker and the public keys of everybody. `wake` ends the sleep of the thread that polls the
// pool. Give it back with tacit_signer_pool_close() before what `context` names goes away. Errors:
// as tacit_signer_pool_open.
enum tacit_status
tacit_cluster_signer_open(struct tacit_signer **signer, const struct tacit_config *config,
                          const struct tacit_group_id *group, const struct tacit_keypair *own,
                          void (*wake)(void *context), void *context, struct tacit_error *error);

// Reads the group id: 64 hex digits and at most a newline. Errors: TACIT_ENOENT, TACIT_EPERM,
// TACIT_EIO, TACIT_EINVAL.
enum tacit_status tacit_group_file_read(const char *path, struct tacit_group_id *group,
                                        struct tacit_error *error);

// Counts a start: raises the number in <directory>/incarnation by one, makes it durable, and
// returns it, at most `most`. The directory is made if it is missing (mode 0700). Concurrent
// callers get different numbers. Errors: TACIT_EPERM, TACIT_EIO, TACIT_EINVAL (contents, or no
// number is left).
enum tacit_status tacit_incarnation_raise(const char *directory, uint32_t most,
                                          tacit_incarnation_t *incarnation,
                                          struct tacit_error *error);
// Most starts of a client; of replicas and memory nodes: TACIT_START_MAX.
#define TACIT_CLIENT_STARTS_MAX 99999999u

#ifdef __cplusplus
}
#endif

#endif
