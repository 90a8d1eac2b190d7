// SPDX-License-Identifier: Apache-2.0
//
// Byzantine replicas and clients in the simulator: who they are in a run, and the adversary of
// tests/adversary in its fabric and its virtual time.
//
// sim_byz.c           who is faulty, which attacks a run has, operations on their way
// sim_byz_clients.c   faulty clients
// sim_plot.h          plots: attacks that span views
// sim_byz_client_ring.c   the same: messages more than production code writes
//
// Every decision is a draw; 0 behaves.
#ifndef TACIT_TESTS_SIM_BYZ_H
#define TACIT_TESTS_SIM_BYZ_H

#include <setjmp.h>

#include "adversary/adversary.h"
#include "sim_fabric.h"
#include "sim_plot.h"

#define SIM_BYZ_CLIENTS 12u
#define SIM_BYZ_CHANGES 24u

// What a faulty client sends to some instead of a request.
struct sim_byz_change {
    uint64_t session, number;
    uint32_t to;
    uint32_t operation; // in the checker
};

// The ring of a faulty client at a replica, and what it wrote there.
struct sim_byz_ring {
    uint64_t seen;  // newest number that production code gave
    uint64_t shift; // messages more than that
};
struct sim_byz_sent {
    struct adversary_message kept[ADVERSARY_KEPT];
    uint32_t count;
};

struct sim_byz {
    struct adversary adversary;
    uint32_t faulty, faulty_clients; // bit sets
    uint64_t from_ns;                // behaves before
    uint32_t rate[ADVERSARY_ATTACKS];
    uint32_t pace_ns; // mean time between actions
    struct sim_byz_change change[SIM_BYZ_CLIENTS][SIM_BYZ_CHANGES];
    uint32_t changes[SIM_BYZ_CLIENTS];
    struct sim_byz_ring ring[SIM_BYZ_CLIENTS][ADVERSARY_REPLICAS];
    struct sim_byz_sent sent[SIM_BYZ_CLIENTS];
    // A faulty replica may fail its own assertions: it is silent from then on.
    jmp_buf escape;
    bool may_escape;
    struct sim_plot plot;
};

struct sim_cluster;
struct sim_process;
struct sim_timer;

// Rates of a run, drawn with the shape: up to `most` faulty replicas; `only` fixes one attack
// (ADVERSARY_ATTACKS: drawn).
struct sim_byz_shape {
    uint32_t faulty_replicas;
    uint32_t faulty_clients;
    uint64_t from_ns;
    uint32_t pace_ns;
    uint32_t rate[ADVERSARY_ATTACKS];
    int plot;                      // line of sim_plot.h, -1: none
    uint32_t liars, lying_clients; // who they are, if not drawn: bit sets
};
// `plot`: this line of sim_plot.h, SIM_PLOT_ANY; -1: none.
void sim_byz_draw(struct sim_byz_shape *byz, struct choice *choice, uint32_t replicas,
                  uint32_t clients, uint32_t most, uint32_t only, int plot);
// After the processes were added.
void sim_byz_start(struct sim_cluster *cluster);
void sim_byz_timer(struct sim_cluster *cluster, const struct sim_timer *timer);

// What the fabric calls.
bool sim_byz_tamper(void *context, uint32_t peer, uint32_t host, struct sim_op *op,
                    uint64_t *delay_ns);
void sim_byz_lie(void *context, uint32_t peer, uint32_t host, const struct sim_op *op);

// sim_byz_clients.c
bool sim_byz_tamper_client(struct sim_cluster *cluster, uint32_t client, uint32_t replica,
                           struct sim_op *op);

// sim_byz_client_ring.c
// What a faulty client writes more than that, and where that puts what it was about to write.
void sim_byz_client_ring(struct sim_cluster *cluster, uint32_t client, uint32_t replica,
                         struct sim_op *op);

#endif
