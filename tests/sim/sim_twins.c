// SPDX-License-Identifier: Apache-2.0
//
// See sim_twins.h.
#include "sim_twins.h"

#include <assert.h>
#include <string.h>

#include "byzantine/agree_internal.h"
#include "smr/internal.h"

#define ROUND_NS 2500000ull
#define MEMNODES 3u
#define OPERATIONS 4u // of each client in a round

static void draw_plan(struct sim_twins_plan *plan, struct choice *choice, uint32_t rounds)
{
    memset(plan, 0, sizeof *plan);
    plan->rounds = rounds;
    plan->twin = choice_u32(choice, SIM_TWINS_REPLICAS);
    for (uint32_t i = 0; i < rounds; i++) {
        plan->round[i].to_second[0] = choice_u32(choice, 2) == 1;
        plan->round[i].to_second[1] = choice_u32(choice, 2) == 1;
        plan->round[i].apart = choice_u32(choice, 2) == 1;
        plan->round[i].memory = (uint8_t)choice_u32(choice, 3);
        plan->round[i].leaves = choice_u32(choice, 2) == 1;
    }
}

uint64_t sim_twins_count(uint32_t rounds)
{
    struct sim_twins_plan plan;
    struct choice odometer;
    uint64_t count = 0;
    assert(rounds >= 1 && rounds <= SIM_TWINS_ROUNDS_MAX);
    choice_init_odometer(&odometer);
    do {
        draw_plan(&plan, &odometer, rounds);
        count++;
    } while (choice_odometer_next(&odometer));
    assert(!odometer.overflow);
    return count;
}

void sim_twins_plan(struct sim_twins_plan *plan, uint32_t rounds, uint64_t number)
{
    static struct choice odometer;
    static uint64_t at;
    static uint32_t of_rounds;
    if (of_rounds != rounds || number < at) {
        choice_init_odometer(&odometer);
        draw_plan(plan, &odometer, rounds);
        of_rounds = rounds;
        at = 0;
    }
    while (at < number && choice_odometer_next(&odometer)) {
        draw_plan(plan, &odometer, rounds);
        at++;
    }
    assert(at == number);
    // The digits of the present combination again, as they stand.
    odometer.position = 0;
    draw_plan(plan, &odometer, rounds);
}

// ---- a round

static void leave(struct sim_cluster *cluster, uint32_t slot)
{
    struct sim_process *process = &cluster->process[slot];
    if (process->smr != NULL) {
        tacit_agree_suspect(process->smr->byzantine.agree);
        sim_poll_at(cluster, slot, cluster->net->now_ns);
    }
}

static void cut_both(struct sim_cluster *cluster, uint32_t a, uint32_t b)
{
    sim_faults_cut(cluster, a, b, 0);
    sim_faults_cut(cluster, b, a, 0);
}

void sim_twins_round(struct sim_cluster *cluster, uint32_t round)
{
    const struct sim_twins_plan *plan = cluster->twins;
    if (plan == NULL || cluster->healing) {
        return;
    }
    uint32_t memnodes = cluster->shape.smr.replicas;
    uint32_t clients = memnodes + cluster->shape.smr.memnodes;
    uint32_t other[SIM_TWINS_REPLICAS - 1u];
    uint32_t second = cluster->net->twin_second;
    bool on_second[SIM_SLOTS] = {[SIM_SLOTS - 1] = false};
    uint32_t count = 0;
    sim_faults_mend(cluster);
    for (uint32_t r = 0; r < SIM_TWINS_REPLICAS; r++) {
        if (r != plan->twin) {
            on_second[r] = plan->round[round].to_second[count];
            sim_net_route(cluster->net, r, on_second[r]);
            other[count++] = r;
        }
    }
    on_second[second] = true;
    sim_net_route(cluster->net, clients + 1, true);
    if (plan->round[round].apart) {
        cut_both(cluster, other[0], other[1]);
    }
    for (uint32_t m = 0; m < MEMNODES && plan->round[round].memory != 0; m++) {
        bool serves_second = (plan->round[round].memory == 2) == (m > 0);
        for (uint32_t slot = 0; slot < cluster->processes; slot++) {
            if (cluster->process[slot].role == SIM_REPLICA && on_second[slot] != serves_second) {
                cut_both(cluster, slot, memnodes + m);
            }
        }
    }
    for (uint32_t slot = 0; slot < cluster->processes && plan->round[round].leaves; slot++) {
        if (cluster->process[slot].role == SIM_REPLICA) {
            leave(cluster, slot);
        }
    }
}

// ---- a run

void sim_twins_run(struct sim_cluster *cluster, struct choice *choice,
                   const struct sim_twins_plan *plan, struct sim_result *result)
{
    static const struct sim_script script = {.replicas = SIM_TWINS_REPLICAS,
                                             .memnodes = MEMNODES,
                                             .clients = 2,
                                             .operations = OPERATIONS,
                                             .think_ns = (uint32_t)(ROUND_NS / OPERATIONS),
                                             .pipeline = 2,
                                             .sessions = 1,
                                             .window = 8,
                                             .tail = 16,
                                             .inflight = 2,
                                             .batch = 1,
                                             .view_timeout_ns = 1000000,
                                             .slow_after_ns = 20000,
                                             .retry_ns = 200000};
    struct sim_shape shape;
    struct sim_model model = sim_model_calm();
    model.jitter_ns = 500;
    model.stall_ns = 200000;
    sim_script_shape(&script, &shape);
    shape.operations = OPERATIONS * plan->rounds;
    shape.check_each_poll = false; // more configurations in the same time
    shape.linear = false;
    shape.has_twin = true;
    shape.twin = plan->twin;
    shape.byz.liars = 1u << plan->twin;
    shape.byz.faulty_replicas = 1;
    shape.safety_ns = plan->rounds * ROUND_NS;
    shape.sign_ns = 5000;
    shape.verify_ns = 10000;
    if (!sim_run_start(cluster, choice, &shape, &model, result)) {
        result->violation = true;
        return;
    }
    cluster->twins = plan;
    for (uint32_t i = 0; i < plan->rounds; i++) {
        sim_cluster_after(cluster, i * ROUND_NS,
                          (struct sim_timer){.kind = SIM_TIMER_TWINS, .a = (uint8_t)i});
    }
    sim_run_finish(cluster, result);
    cluster->twins = NULL;
}
