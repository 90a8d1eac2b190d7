// SPDX-License-Identifier: Apache-2.0
//
// The signer port in virtual time, with an ideal scheme: a signature is a keyed digest under a
// secret of its author, and only the object that was opened for that author signs with it. So
// nobody in a test can forge, and a signature costs a fraction of a microsecond of the test's time.
//
// Jobs wait in one queue for each charge, are served in turn by `workers`, and take a drawn time.
// Who drives virtual time calls sim_signer_advance() before it lets the node run, and lets it run
// again at the times that `wake` names (or that sim_signer_next_ns() tells).
#ifndef TACIT_TESTS_SIM_SIGNER_H
#define TACIT_TESTS_SIM_SIGNER_H

#include "choice/choice.h"
#include "tacit/signer.h"

#define SIM_SIGNER_DEPTH 64u // jobs that wait in one queue
#define SIM_SIGNER_WORKERS 4u
#define SIM_SIGNER_DONE (TACIT_SIGNER_CHARGES * SIM_SIGNER_DEPTH + SIM_SIGNER_WORKERS)

// Who has a key, and all the secrets. Shared by the signers of one run.
struct sim_signer_world {
    struct tacit_mac_key secret; // those of the authors derive from it
    uint32_t replicas, clients;  // authors 0 .. replicas - 1, clients 0 .. clients - 1
    uint32_t spares;             // authors TACIT_SIGNER_SPARE + 1 ..; init() says none
};
void sim_signer_world_init(struct sim_signer_world *world, uint64_t seed, uint32_t replicas,
                           uint32_t clients);

struct sim_signer_config {
    uint16_t self;               // author; also TACIT_SIGNER_CLIENT + id, TACIT_SIGNER_OPERATOR
    uint32_t workers;            // 1 .. SIM_SIGNER_WORKERS
    uint32_t depth;              // of a queue, at most SIM_SIGNER_DEPTH
    uint32_t sign_ns, verify_ns; // cost of a job ...
    uint32_t jitter_ns;          // ... and up to this more, drawn
    struct choice *choice;       // NULL: no jitter
    void (*wake)(void *context, uint64_t at_ns); // a job will be done then; NULL: nobody cares
    void *context;
};

struct sim_signer_queue {
    struct tacit_signer_job job[SIM_SIGNER_DEPTH];
    uint64_t submitted_ns[SIM_SIGNER_DEPTH];
    uint32_t first, count;
};

struct sim_signer {
    struct tacit_signer signer; // first
    const struct sim_signer_world *world;
    struct sim_signer_config config;
    struct tacit_mac_key own;
    uint64_t now_ns;
    struct sim_signer_queue queue[TACIT_SIGNER_CHARGES];
    uint32_t turn; // charge that was served last
    struct {
        bool is_busy;
        uint64_t free_ns;
        struct tacit_signer_job job;
    } worker[SIM_SIGNER_WORKERS];
    struct tacit_signer_done done[SIM_SIGNER_DONE];
    uint32_t done_first, done_count;
};

// Also forgets all jobs, as a restart does. `world` is kept by the caller while in use.
void sim_signer_open(struct sim_signer *signer, const struct sim_signer_world *world,
                     const struct sim_signer_config *config);
void sim_signer_advance(struct sim_signer *signer, uint64_t now_ns);
// When the next job is done; UINT64_MAX: none is under way. A done one that was not polled: now.
uint64_t sim_signer_next_ns(const struct sim_signer *signer);

// At once, outside of the port: for scripted attackers (with their own key), and for checkers.
void sim_signer_sign(const struct sim_signer *signer, tacit_domain_t domain, const void *payload,
                     uint32_t payload_bytes, struct tacit_signature *out);
bool sim_signer_is_valid(const struct sim_signer_world *world, uint16_t author,
                         tacit_domain_t domain, const void *payload, uint32_t payload_bytes,
                         const struct tacit_signature *signature);

#endif
