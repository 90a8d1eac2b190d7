// SPDX-License-Identifier: Apache-2.0
//
// Twins (after Bano et al., "Twins: BFT systems made robust"): the faulty replica exists twice, as
// two honest copies with one key, one id and one incarnation, and the same memory rights. Who
// reaches which copy is fixed for a round; between them they equivocate, forget what they promised
// and write over each other's registers without a line of hostile code. All combinations of twin,
// partitions and changes of leader are enumerated.
//
// Of n = 3, replica t is the twin {T, T'} and the two others are B and C. In each round:
//   B, C          each reach T or T'                                                   4
//   B - C         connected, or not                                                    2
//   memory nodes  all reach all; the majority serves only those on T's side, and the
//                 other one those on T's side alone; or the other way round            3
//   leader        goes on, or all leave its view when the round begins                 2
// Client 0 reaches T and client 1 T', in all rounds; so the copies hear different requests. The
// link between a memory node and a copy counts as on that copy's side.
#ifndef TACIT_TESTS_SIM_TWINS_H
#define TACIT_TESTS_SIM_TWINS_H

#include "sim_run.h"

#define SIM_TWINS_REPLICAS 3u
#define SIM_TWINS_ROUNDS_MAX 4u

struct sim_twins_plan {
    uint32_t twin;
    uint32_t rounds;
    struct {
        bool to_second[SIM_TWINS_REPLICAS - 1u]; // B, C
        bool apart;                              // B and C
        uint8_t memory;                          // 0 all, 1 majority with T, 2 with T'
        bool leaves;                             // the leader's view
    } round[SIM_TWINS_ROUNDS_MAX];
};

// Number of configurations of so many rounds.
uint64_t sim_twins_count(uint32_t rounds);
// The plan with that number, below the count. Numbers that grow from call to call are cheap.
void sim_twins_plan(struct sim_twins_plan *plan, uint32_t rounds, uint64_t number);
// Runs it; everything that the plan leaves open is drawn from `choice`.
void sim_twins_run(struct sim_cluster *cluster, struct choice *choice,
                   const struct sim_twins_plan *plan, struct sim_result *result);
// A round of the plan begins.
void sim_twins_round(struct sim_cluster *cluster, uint32_t round);

#endif
