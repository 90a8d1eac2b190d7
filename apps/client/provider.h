// SPDX-License-Identifier: Apache-2.0
//
// The fabric that a cluster file names, opened from one description: what replicas, memory nodes
// and clients do alike, whether memory is reached over shared memory or over RDMA. Start-up code,
// but for wake and status.
#ifndef TACIT_PROVIDER_H
#define TACIT_PROVIDER_H

#include "tacit/config.h"
#include "tacit/crypto.h"
#include "tacit/fabric.h"
#include "tacit/shm.h"
#include "tacit/smr.h"
#include "tacit/verbs.h"

#ifdef __cplusplus
extern "C" {
#endif

// Every body of every seat.
#define TACIT_PROVIDER_PEERS ((TACIT_REPLICAS_MAX + TACIT_MEMNODES_MAX) * (1 + TACIT_SPARES_MAX))

// Both providers number kinds of nodes and reports alike; these are the names of shm.
struct tacit_provider_config {
    const struct tacit_config *cluster; // borrowed until close: addresses and keys
    enum tacit_shm_kind kind;
    uint16_t id;
    tacit_incarnation_t incarnation;
    uint32_t socket_gid; // shm: as in tacit/shm.h
    struct tacit_host_layout layouts[TACIT_SHM_KINDS];
    struct tacit_group_id group;
    const struct tacit_keypair *keypair; // borrowed until close
    // What the replica's engine says about its seats (tacit/smr.h), borrowed; NULL: nothing, all
    // bodies that the cluster file lists may connect.
    const uint64_t *seat_words;
    int state_fd;                  // of tacit_provider_prepare, 0: none
    struct tacit_config_rdma rdma; // of the node file; shm: not looked at
    // Told about trouble with peers, by the provider's control thread; NULL: nobody.
    void (*report)(void *context, enum tacit_shm_report_kind kind, const char *text);
    void *context;
};

// Why this build cannot open what the cluster file at `path` asks for: TACIT_EINVAL.
enum tacit_status tacit_provider_check(const struct tacit_config *cluster, const char *path,
                                       struct tacit_error *error);

// Shared memory: makes a replica's state region, which takes time, before it is known who opens it.
// Ends with the process or tacit_provider_unprepare(). Errors: as tacit_shm_state_make.
enum tacit_status tacit_provider_prepare(struct tacit_provider_config *config,
                                         struct tacit_error *error);
void tacit_provider_unprepare(struct tacit_provider_config *config);
// Opens the fabric and makes the calling thread its protocol thread later, by attach. `config`
// itself stays where it is until close: callbacks look into it. Errors: those of tacit_shm_open and
// tacit_verbs_open; TACIT_ENOENT for a host name that nobody knows.
enum tacit_status tacit_provider_open(const struct tacit_provider_config *config,
                                      struct tacit_fabric **fabric, struct tacit_error *error);
// As tacit_shm_thread_attach; nothing is to be done for RDMA.
enum tacit_status tacit_provider_attach(const struct tacit_provider_config *config,
                                        struct tacit_fabric *fabric, struct tacit_error *error);
void tacit_provider_close(const struct tacit_provider_config *config, struct tacit_fabric *fabric);

// Ends the present or the next armed sleep of the protocol thread. Any thread, and signal handlers.
void tacit_provider_wake(const struct tacit_provider_config *config, struct tacit_fabric *fabric);
// What the fabric uses and did since it was opened. Any thread.
struct tacit_provider_status {
    struct tacit_shm_counters connections; // `deaths` is 0 over RDMA, where no death is certain
    bool is_rdma;                          // all below is empty if not
    struct tacit_verbs_facts facts;
    const char *permission; // the name of the way in which they move
    struct tacit_verbs_counters verbs;
};
void tacit_provider_status(const struct tacit_provider_config *config,
                           const struct tacit_fabric *fabric, struct tacit_provider_status *status);

// Lists every body of every seat that is to be reached, and which node it would be: those of a seat
// one after the other, the founder first. Returns their number.
size_t tacit_provider_members(const struct tacit_provider_config *config,
                              const struct tacit_config_member *members[TACIT_PROVIDER_PEERS],
                              tacit_node_t nodes[TACIT_PROVIDER_PEERS]);

// For memory nodes, which have code of their own for each provider: the description in the
// provider's words. `peers` and `memory` have to live until it has been opened.
void tacit_provider_shm(const struct tacit_provider_config *config, struct tacit_shm_config *shm,
                        struct tacit_shm_peer peers[TACIT_PROVIDER_PEERS]);
#ifdef TACIT_HAVE_VERBS
#define TACIT_PROVIDER_ADDRESS_BYTES 64u // of a numeric address
struct tacit_provider_addresses {
    char own[TACIT_PROVIDER_ADDRESS_BYTES];
    char of[TACIT_PROVIDER_PEERS][TACIT_PROVIDER_ADDRESS_BYTES];
    struct tacit_verbs_peer peers[TACIT_PROVIDER_PEERS];
};
// Looks host names up. A client, which the cluster file gives no address, takes the one from which
// this host reaches the first replica. Errors: TACIT_ENOENT.
enum tacit_status tacit_provider_verbs(const struct tacit_provider_config *config,
                                       struct tacit_verbs_config *verbs,
                                       struct tacit_provider_addresses *memory,
                                       struct tacit_error *error);
#endif

#ifdef __cplusplus
}
#endif

#endif
