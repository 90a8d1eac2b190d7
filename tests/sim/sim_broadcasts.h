// SPDX-License-Identifier: Apache-2.0
//
// Byzantine mode's checker of consistent broadcast: two correct replicas never deliver different
// payloads for the same id of a stream, whoever its broadcaster is; nor does one find malformed
// what the other wrote, or take it to be dead while it lives. It looks at the broadcast module of
// each correct replica after its turns, so that a broken rule shows here before it has cost a
// decision, or without.
#ifndef TACIT_TESTS_SIM_BROADCASTS_H
#define TACIT_TESTS_SIM_BROADCASTS_H

#include "byzantine/payload.h"

#define SIM_BROADCASTS_KEPT 128u // newest ids of each stream
#define SIM_BROADCASTS_SLOTS 9u  // replicas, and a twin

struct sim_broadcast {
    bool is;
    uint32_t by; // who delivered it first
    uint64_t epoch, k;
    struct tacit_payload payload;
};
struct sim_broadcasts {
    uint64_t epoch[SIM_BROADCASTS_SLOTS]; // what each replica has been looked at up to
    uint64_t next[SIM_BROADCASTS_SLOTS][TACIT_REPLICAS_MAX];
    struct sim_broadcast first[TACIT_REPLICAS_MAX][SIM_BROADCASTS_KEPT];
    uint64_t compared; // ids that a second replica delivered, too
};

struct sim_cluster;
void sim_broadcasts_reset(struct sim_cluster *cluster);
// The process in this slot was polled; a violation goes to the cluster's checker.
void sim_broadcasts_look(struct sim_cluster *cluster, uint32_t slot);

#endif
