// SPDX-License-Identifier: Apache-2.0
//
// Spares in the simulator. A spare has no slot of its own: while it stands by it is a question that
// an honest client asks now and then (MEMBERS, production code), and when it takes a seat it is
// started in that seat's slot, whose process is dead for good, as another body with a key of its
// own. So a seat has one claimant at a time; that a body which lost its seat comes back and claims
// it again is drawn, too, before the next one does.
//
// Checkers. Of each epoch all correct replicas name the same members. A replica takes part as the
// member of its seat only. No body sits in two seats, and none comes back after it lost one, unless
// an operator let it.
#ifndef TACIT_TESTS_SIM_SPARES_H
#define TACIT_TESTS_SIM_SPARES_H

#include "tacit/wire.h"

#define SIM_EPOCHS_KEPT 64u
#define SIM_SPARES_MAX 4u // of a role
#define SIM_SPARES_SLOTS 20u

struct sim_cluster;
struct sim_process;
struct sim_timer;

// Drawn with the shape; all 0: none.
struct sim_spares_shape {
    uint32_t replicas, memnodes; // spares of each role
    uint32_t for_good_rate;      // of 8: who crashes stays dead
    uint32_t ask_ns;             // between two questions
    uint32_t order_ns;           // mean time between an operator's orders; 0: there are none
};

struct sim_epoch_members {
    bool is;
    uint64_t epoch;
    uint64_t member[TACIT_WIRE_SEATS];
};

struct sim_spares {
    uint32_t used[2]; // spares of a role that took a seat so far
    struct sim_epoch_members epochs[SIM_EPOCHS_KEPT];
    uint64_t lost;      // tacit_body_bit()s of bodies that lost a seat
    uint64_t returning; // bit by slot: a body that lost this seat is back, for a while
    uint64_t for_good;  // bit by slot: its process is not restarted
    uint64_t again;     // bit by slot: whoever claimed it last tries again
    uint64_t words[SIM_SPARES_SLOTS][TACIT_WIRE_SEATS]; // of each replica
    tacit_incarnation_t last[SIM_SPARES_SLOTS]; // that one, while another is back; 0: what ran last
    uint64_t seated;                            // spares that took a seat
    uint64_t leaving;              // bit by slot: an operator removes the member, or did
    struct tacit_wire_order order; // given last, not answered yet; kind 0: none
    uint64_t order_due_ns;         // not before
    uint64_t ordered;              // orders that were executed
    uint64_t refused;              // bodies that came back in vain
};

void sim_spares_start(struct sim_cluster *cluster);
void sim_spares_timer(struct sim_cluster *cluster);
// Whether who crashed now stays dead; draws only in runs with spares.
bool sim_spares_keeps_dead(struct sim_cluster *cluster, uint32_t slot);
// The run is healed: whether this slot's process is left to the spares.
bool sim_spares_has(const struct sim_cluster *cluster, uint32_t slot);
// Whether an operator empties this seat, or did.
bool sim_spares_is_leaving(const struct sim_cluster *cluster, uint32_t slot);
// Crash mode: the operator's signature of an order; `context` is the cluster.
bool sim_spares_order_holds(void *context, const uint8_t *order, uint32_t bytes,
                            const uint8_t signature[64]);
void sim_spares_heal(struct sim_cluster *cluster);
// Whether the host takes the peer: a replica asks its seat words, as the fabric's control thread
// does in production; memory nodes do not know who may sit where.
bool sim_spares_admits(void *context, uint32_t host, uint32_t peer);
// Looks at what a correct replica believes.
void sim_spares_look(struct sim_cluster *cluster, uint32_t slot);

#endif
