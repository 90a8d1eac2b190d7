// SPDX-License-Identifier: Apache-2.0
//
// The signing pool of a process (the port in tacit/signer.h): threads that make and check Ed25519
// signatures while the protocol thread goes on. The protocol thread waits for no lock and makes a
// system call only if a worker sleeps.
//
// Fairness. Each charge has a queue of `depth` jobs, counted from submit() until poll() hands the
// job out, and the workers take from the queues in turn: whoever floods us waits behind himself.
//
// Waking. A completion is in place before `wake` is called; a sleeper that polls between arming and
// sleeping (tacit/fabric.h) therefore never sleeps over one.
#ifndef TACIT_APPS_LIB_SIGNER_H
#define TACIT_APPS_LIB_SIGNER_H

#include "tacit/signer.h"

#define TACIT_SIGNER_POOL_WORKERS_MAX 16u
#define TACIT_SIGNER_POOL_DEPTH_MAX 1024u

struct tacit_signer_pool_config {
    const struct tacit_keypair *own; // copied into locked memory; the caller may wipe its own
    struct tacit_scope scope;        // of everything that is signed
    // Public keys by id, copied. A key of zeros: nobody of that id is known.
    const struct tacit_public_key *replicas;
    uint32_t replica_count;                // at most TACIT_REPLICAS_MAX
    const struct tacit_public_key *spares; // [TACIT_SPARES_MAX + 1], of spare replicas; NULL: none
    const struct tacit_public_key *clients;
    uint32_t client_count;
    const struct tacit_public_key *operator_key; // NULL: none
    uint32_t workers;                            // 0: one for each two processors, at least one
    uint32_t depth; // of each charge's queue, rounded down to a power of two; 0: 64
    // Ends the protocol thread's sleep; called by workers, at any time until close() has returned.
    void (*wake)(void *context);
    void *context;
};

// Starts the workers. All memory is allocated here. Errors: TACIT_EINVAL (a number out of range),
// TACIT_ENOMEM, TACIT_EIO (no thread).
enum tacit_status tacit_signer_pool_open(struct tacit_signer **out,
                                         const struct tacit_signer_pool_config *config,
                                         struct tacit_error *error);
// The protocol thread as a worker. A worker has to be woken, and where processors are scarce it
// then takes the one on which another replica would go on, while the protocol thread looks in vain
// for what it waits for: there it makes and checks signatures itself, when it has nothing else to
// do. From will_help() on submit() wakes nobody, and the protocol thread has to call, until it
// closes the pool:
// - help() after a turn that found nothing to do: does one job, which takes tens of microseconds.
//   False: none waits, or a worker is about to take one.
// - busy() after a turn that had work, and before it sleeps: jobs that it does not get to are left
//   to the workers.
void tacit_signer_pool_will_help(struct tacit_signer *signer);
bool tacit_signer_pool_help(struct tacit_signer *signer);
void tacit_signer_pool_busy(struct tacit_signer *signer, bool sleeps);
// How often it called a worker.
uint64_t tacit_signer_pool_calls(const struct tacit_signer *signer);
// Ends the workers, each after the job it is at; what is queued is dropped. Wipes the key. NULL is
// allowed.
void tacit_signer_pool_close(struct tacit_signer *signer);

#endif
