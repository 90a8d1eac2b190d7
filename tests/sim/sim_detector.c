// SPDX-License-Identifier: Apache-2.0
//
// Failure detection as seen by replicas: what is true becomes known within a drawn time, and now
// and then something that is not true. Stands in for the detector behind the same call,
// tacit_smr_suspicion().
#include "sim_cluster.h"

static bool truly_alive(const struct sim_cluster *cluster, uint32_t observer, uint32_t observed)
{
    const struct sim_net *net = cluster->net;
    const struct sim_process *process = &cluster->process[observed];
    return process->node->alive && !process->paused && net->node[observer].conn[observed].up &&
           !net->blocked[observer][observed] && !net->blocked[observed][observer];
}

static void look(struct sim_cluster *cluster, uint32_t observer, uint32_t observed)
{
    struct sim_process *process = &cluster->process[observer];
    observed = sim_net_routed(cluster->net, observer, observed);
    if (!process->node->alive || process->id == cluster->process[observed].id) {
        return; // dead, or its own twin
    }
    const struct sim_conn *conn = &cluster->net->node[observer].conn[observed];
    uint32_t bit = 1u << cluster->process[observed].id;
    bool trusts = truly_alive(cluster, observer, observed) && !cluster->wrongly[observer][observed];
    bool dead = !conn->up && conn->down_certain && !cluster->process[observed].node->alive;
    uint32_t trusted = trusts ? process->trusted | bit : process->trusted & ~bit;
    uint32_t certain = dead ? process->dead | bit : process->dead & ~bit;
    if (trusted != process->trusted || certain != process->dead) {
        process->trusted = trusted;
        process->dead = certain;
        process->suspicion_changed = true;
        sim_poll_at(cluster, observer, cluster->net->now_ns);
    }
}

void sim_detector_pair_changed(struct sim_cluster *cluster, uint32_t observer, uint32_t observed)
{
    if (observer == observed || cluster->shape.real_detector ||
        cluster->process[observer].role != SIM_REPLICA ||
        cluster->process[observed].role != SIM_REPLICA) {
        return;
    }
    uint64_t delay = cluster->shape.detect_ns / 2 +
                     choice_u32(cluster->choice, cluster->shape.detect_ns / 2 + 1);
    sim_cluster_after(cluster, delay,
                      (struct sim_timer){.kind = SIM_TIMER_DETECT,
                                         .a = (uint8_t)observer,
                                         .b = (uint8_t)observed});
}

void sim_detector_changed(struct sim_cluster *cluster, uint32_t slot)
{
    for (uint32_t other = 0; other < cluster->shape.smr.replicas; other++) {
        sim_detector_pair_changed(cluster, other, slot);
        sim_detector_pair_changed(cluster, slot, other);
    }
}

// A replica that starts trusts everybody until it finds out.
void sim_detector_start(struct sim_cluster *cluster, uint32_t slot)
{
    struct sim_process *process = &cluster->process[slot];
    process->trusted = (1u << cluster->shape.smr.replicas) - 1;
    process->dead = 0;
    process->suspicion_changed = true;
    sim_detector_changed(cluster, slot);
}

void sim_detector_suspect(struct sim_cluster *cluster, uint32_t observer, uint32_t observed,
                          uint64_t duration_ns)
{
    if (cluster->shape.real_detector) {
        return;
    }
    cluster->wrongly[observer][observed] = true;
    look(cluster, observer, observed);
    sim_cluster_after(cluster, duration_ns,
                      (struct sim_timer){
                          .kind = SIM_TIMER_TRUST, .a = (uint8_t)observer, .b = (uint8_t)observed});
}

void sim_detector_timer(struct sim_cluster *cluster, const struct sim_timer *timer)
{
    if (timer->kind == SIM_TIMER_TRUST) {
        cluster->wrongly[timer->a][timer->b] = false;
    }
    look(cluster, timer->a, timer->b);
}

void sim_detector_heal(struct sim_cluster *cluster)
{
    for (uint32_t observer = 0; observer < cluster->shape.smr.replicas; observer++) {
        for (uint32_t observed = 0; observed < cluster->shape.smr.replicas; observed++) {
            cluster->wrongly[observer][observed] = false;
            sim_detector_pair_changed(cluster, observer, observed);
        }
    }
}
