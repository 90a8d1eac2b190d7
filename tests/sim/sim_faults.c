// SPDX-License-Identifier: Apache-2.0
//
// What goes wrong in a run besides the fabric's own troubles: crashes, restarts, pauses,
// partitions, broken connections, wrong suspicions; and the end of it all before the liveness
// phase. Before each crash it is asserted that no more than f replicas are down or not admitted
// again, and no more than fm memory nodes have lost their memory (and were not replaced since, in
// Byzantine mode): that is the claim, and a run that breaks it would prove nothing.
#include <assert.h>

#include "sim_cluster.h"

#define HEALED_TEAR_NS 10000u
#define RESTARTS_MAX 12u // of replicas in one run: hosts list a bounded number of log regions

// A draw of 0 is the longest time: a source that has run dry injects next to nothing.
static uint64_t around(struct sim_cluster *cluster, uint32_t mean_ns)
{
    return 2ull * mean_ns - choice_u32(cluster->choice, 2 * mean_ns);
}

void sim_faults_start(struct sim_cluster *cluster)
{
    for (uint32_t kind = 0; kind < SIM_INJECTIONS; kind++) {
        if (cluster->shape.inject_ns[kind] != 0) {
            sim_cluster_after(cluster, around(cluster, cluster->shape.inject_ns[kind]),
                              (struct sim_timer){.kind = SIM_TIMER_FAULT, .c = (uint8_t)kind});
        }
    }
}

// Whether the group has removed this replica (it held up the reuse of log positions), which it may
// not know yet. It is as good as faulty until it is admitted again: f has shrunk.
static bool removed(const struct sim_cluster *cluster, const struct sim_process *process)
{
    const struct sim_process *newest = process;
    for (uint32_t i = 0; i < cluster->shape.smr.replicas; i++) {
        const struct sim_process *other = &cluster->process[i];
        if (other->status.applied > newest->status.applied) {
            newest = other;
        }
    }
    return newest->status.applied > 0 && newest->status.members[process->id] == 0;
}

static bool faulty(const struct sim_cluster *cluster, const struct sim_process *process)
{
    bool byzantine = (cluster->byz.faulty >> process->id & 1) != 0;
    return byzantine || !process->node->alive || process->frozen || removed(cluster, process) ||
           sim_spares_is_leaving(cluster, process->node->slot) ||
           (process->incarnation > 1 && process->status.role == TACIT_ROLE_JOINING);
}

uint32_t sim_faulty(const struct sim_cluster *cluster)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < cluster->shape.smr.replicas; i++) {
        count += faulty(cluster, &cluster->process[i]);
    }
    return count;
}

static uint32_t restarts(const struct sim_cluster *cluster)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < cluster->shape.smr.replicas; i++) {
        count += cluster->process[i].starts - 1;
    }
    return count;
}

bool sim_faults_may_lose(const struct sim_cluster *cluster, uint32_t slot)
{
    uint32_t already = faulty(cluster, &cluster->process[slot]) ? 1u : 0u;
    return sim_faulty(cluster) + 1 - already <= cluster->faults_max;
}

// Whether every correct replica that is up takes part in an epoch in which this incarnation of the
// memory node is a member: then nothing that the group needs was on the older one. A replica that
// does not know yet may still need a majority of the old epoch's memory nodes.
static bool is_admitted(const struct sim_cluster *cluster, uint32_t memnode)
{
    const struct sim_process *node = &cluster->process[cluster->shape.smr.replicas + memnode];
    bool all = sim_is_byzantine(&cluster->shape) && node->node->alive;
    for (uint32_t r = 0; r < cluster->shape.smr.replicas && all; r++) {
        const struct sim_process *process = &cluster->process[r];
        bool counts = process->node->alive && !process->frozen && !sim_is_faulty(cluster, r) &&
                      !(process->incarnation > 1 && process->status.role == TACIT_ROLE_JOINING);
        all = !counts || process->status.memnode_members[memnode] == node->incarnation;
    }
    return all;
}

static void forgive_memnodes(struct sim_cluster *cluster)
{
    for (uint32_t m = 0; m < cluster->shape.smr.memnodes; m++) {
        if ((cluster->memnodes_lost >> m & 1) != 0 && is_admitted(cluster, m)) {
            cluster->memnodes_lost &= ~(1ull << m);
            sim_say(cluster, "memory node %u counts again", m);
        }
    }
}

static bool may_lose_memnode(struct sim_cluster *cluster, uint32_t memnode)
{
    forgive_memnodes(cluster);
    uint32_t lost = (uint32_t)__builtin_popcountll(cluster->memnodes_lost | 1ull << memnode);
    return lost <= (cluster->shape.smr.memnodes - 1u) / 2u;
}

bool sim_faults_crash(struct sim_cluster *cluster, uint32_t slot)
{
    struct sim_process *process = &cluster->process[slot];
    if (!process->node->alive || process->frozen || (cluster->spares.returning >> slot & 1) != 0) {
        return false;
    }
    if (process->role == SIM_REPLICA) {
        if (sim_is_faulty(cluster, slot)) {
            return false; // it does worse
        }
        if (!sim_faults_may_lose(cluster, slot) || restarts(cluster) >= RESTARTS_MAX) {
            return false;
        }
    } else if (process->role == SIM_MEMNODE) {
        if (!may_lose_memnode(cluster, process->id)) {
            return false;
        }
        cluster->memnodes_lost |= 1ull << process->id;
    }
    cluster->net->fault[process->role == SIM_CLIENT ? SIM_FAULT_CLIENT_CRASH : SIM_FAULT_CRASH]++;
    sim_process_crash(cluster, slot);
    // Whom the group removes meanwhile counts as well, whoever crashes: may_lose() saw to replicas.
    assert(process->role != SIM_REPLICA || sim_faulty(cluster) <= cluster->faults_max);
    return true;
}

static void crash_and_restart(struct sim_cluster *cluster, uint32_t slot)
{
    // A memory node that comes back is empty; it stays among the lost ones.
    if (sim_faults_crash(cluster, slot) && !sim_spares_keeps_dead(cluster, slot) &&
        choice_u32(cluster->choice, 8) != 7) {
        sim_cluster_after(cluster, 1 + choice_spread_ns(cluster->choice, cluster->shape.restart_ns),
                          (struct sim_timer){.kind = SIM_TIMER_RESTART, .a = (uint8_t)slot});
    }
}

static void crash_somebody(struct sim_cluster *cluster)
{
    uint32_t servers = cluster->shape.smr.replicas + cluster->shape.smr.memnodes;
    uint32_t slot = choice_u32(cluster->choice, servers);
    // The leader is the most interesting victim.
    if (choice_u32(cluster->choice, 2) != 0) {
        for (uint32_t i = 0; i < cluster->shape.smr.replicas; i++) {
            if (cluster->process[i].node->alive &&
                cluster->process[i].status.role == TACIT_ROLE_LEADER) {
                slot = i;
            }
        }
    }
    crash_and_restart(cluster, slot);
}

static void pause_for_a_while(struct sim_cluster *cluster, uint32_t slot)
{
    if (cluster->process[slot].node->alive && !cluster->process[slot].paused) {
        cluster->net->fault[SIM_FAULT_PAUSE]++;
        sim_process_pause(cluster, slot, true);
        sim_cluster_after(cluster, 1 + choice_spread_ns(cluster->choice, cluster->shape.pause_ns),
                          (struct sim_timer){.kind = SIM_TIMER_RESUME, .a = (uint8_t)slot});
    }
}

static void pause_somebody(struct sim_cluster *cluster)
{
    uint32_t slot = choice_u32(cluster->choice, cluster->processes);
    for (uint32_t i = 0; cluster->shape.stop_leaders && i < cluster->shape.smr.replicas; i++) {
        const struct sim_process *process = &cluster->process[i];
        if (process->node->alive && process->status.role == TACIT_ROLE_LEADER) {
            slot = i;
        }
    }
    pause_for_a_while(cluster, slot);
}

void sim_faults_cut(struct sim_cluster *cluster, uint32_t from, uint32_t to, uint64_t span_ns)
{
    if (from == to || cluster->net->blocked[from][to]) {
        return;
    }
    cluster->net->fault[SIM_FAULT_PARTITION]++;
    sim_say(cluster, "%u -> %u blocked", cluster->process[from].node->node,
            cluster->process[to].node->node);
    sim_net_block(cluster->net, from, to, true);
    sim_detector_pair_changed(cluster, from, to);
    sim_detector_pair_changed(cluster, to, from);
    if (span_ns != 0) {
        sim_cluster_after(
            cluster, span_ns,
            (struct sim_timer){.kind = SIM_TIMER_UNBLOCK, .a = (uint8_t)from, .b = (uint8_t)to});
    }
}

static void block(struct sim_cluster *cluster, uint32_t from, uint32_t to)
{
    if (from != to && !cluster->net->blocked[from][to]) {
        sim_faults_cut(cluster, from, to,
                       1 + choice_spread_ns(cluster->choice, cluster->shape.partition_ns));
    }
}

static void unblock(struct sim_cluster *cluster, uint32_t from, uint32_t to)
{
    if (cluster->net->blocked[from][to]) {
        sim_say(cluster, "%u -> %u free", cluster->process[from].node->node,
                cluster->process[to].node->node);
        sim_net_block(cluster->net, from, to, false);
        sim_detector_pair_changed(cluster, from, to);
        sim_detector_pair_changed(cluster, to, from);
    }
}

void sim_faults_mend(struct sim_cluster *cluster)
{
    for (uint32_t from = 0; from < cluster->processes; from++) {
        for (uint32_t to = 0; to < cluster->processes; to++) {
            unblock(cluster, from, to);
        }
    }
}

// One direction of a pair, both, or everything from, to, or around one node. Each blocked direction
// ends at a time of its own, so that a partition heals link by link.
static void partition_somebody(struct sim_cluster *cluster)
{
    struct choice *choice = cluster->choice;
    uint32_t a = choice_u32(choice, cluster->processes);
    uint32_t b = choice_u32(choice, cluster->processes);
    uint32_t ways = choice_u32(choice, 3); // 0 out, 1 in, 2 both
    bool isolate = choice_u32(choice, 3) == 2;
    for (uint32_t other = 0; other < cluster->processes; other++) {
        if (!isolate && other != b) {
            continue;
        }
        if (ways != 1) {
            block(cluster, a, other);
        }
        if (ways != 0) {
            block(cluster, other, a);
        }
    }
}

static void break_something(struct sim_cluster *cluster)
{
    uint32_t peer = choice_u32(cluster->choice, cluster->processes);
    uint32_t host = choice_u32(cluster->choice, cluster->processes);
    if (peer != host) {
        sim_net_break(cluster->net, peer, host);
    }
}

static void suspect_somebody(struct sim_cluster *cluster)
{
    uint32_t replicas = cluster->shape.smr.replicas;
    uint32_t observer = choice_u32(cluster->choice, replicas);
    uint32_t observed = choice_u32(cluster->choice, replicas);
    if (observer != observed && !cluster->shape.real_detector) {
        cluster->net->fault[SIM_FAULT_SUSPICION]++;
        sim_say(cluster, "replica %u wrongly suspects %u", observer, observed);
        sim_detector_suspect(cluster, observer, observed,
                             1 + choice_spread_ns(cluster->choice, cluster->shape.suspicion_ns));
    }
}

static void crash_client(struct sim_cluster *cluster)
{
    uint32_t first = cluster->shape.smr.replicas + cluster->shape.smr.memnodes;
    uint32_t slot = first + choice_u32(cluster->choice, cluster->shape.clients);
    if (cluster->process[slot].starts < 6 && sim_faults_crash(cluster, slot)) {
        sim_cluster_after(cluster, 1 + choice_spread_ns(cluster->choice, cluster->shape.restart_ns),
                          (struct sim_timer){.kind = SIM_TIMER_RESTART, .a = (uint8_t)slot});
    }
}

// In the middle of something: hits the writer, the written, or what is between them, only as far as
// this run has faults of that kind.
static void strike(struct sim_cluster *cluster, uint32_t peer, uint32_t host)
{
    const uint32_t *on = cluster->shape.inject_ns;
    switch (choice_u32(cluster->choice, 6)) {
    case 1:
        if (on[SIM_INJECT_CRASH] != 0 && cluster->process[peer].role != SIM_CLIENT) {
            crash_and_restart(cluster, peer);
        }
        break;
    case 2:
        if (on[SIM_INJECT_CRASH] != 0 && cluster->process[host].role != SIM_CLIENT) {
            crash_and_restart(cluster, host);
        }
        break;
    case 3:
        if (on[SIM_INJECT_PAUSE] != 0) {
            pause_for_a_while(cluster, peer);
        }
        break;
    case 4:
        if (on[SIM_INJECT_PARTITION] != 0) {
            block(cluster, peer, host);
        }
        break;
    case 5:
        if (on[SIM_INJECT_PARTITION] != 0) {
            block(cluster, host, peer);
        }
        break;
    default:
        break;
    }
}

static void inject(struct sim_cluster *cluster, uint32_t kind)
{
    static void (*const injections[SIM_INJECTIONS])(struct sim_cluster *) = {
        [SIM_INJECT_CRASH] = crash_somebody,         [SIM_INJECT_PAUSE] = pause_somebody,
        [SIM_INJECT_PARTITION] = partition_somebody, [SIM_INJECT_BREAK] = break_something,
        [SIM_INJECT_SUSPICION] = suspect_somebody,   [SIM_INJECT_CLIENT] = crash_client,
    };
    if (!cluster->healing) {
        injections[kind](cluster);
        sim_cluster_after(cluster, around(cluster, cluster->shape.inject_ns[kind]),
                          (struct sim_timer){.kind = SIM_TIMER_FAULT, .c = (uint8_t)kind});
    }
}

void sim_faults_timer(struct sim_cluster *cluster, const struct sim_timer *timer)
{
    struct sim_process *process = &cluster->process[timer->a];
    switch (timer->kind) {
    case SIM_TIMER_FAULT:
        inject(cluster, timer->c);
        break;
    case SIM_TIMER_STRIKE:
        if (!cluster->healing) {
            strike(cluster, timer->a, timer->b);
        }
        break;
    case SIM_TIMER_RESUME:
        if (!process->frozen) {
            sim_process_pause(cluster, timer->a, false);
        }
        break;
    case SIM_TIMER_RESTART:
        if (!process->node->alive && !process->frozen) {
            sim_process_restart(cluster, timer->a);
        }
        break;
    case SIM_TIMER_UNBLOCK:
        unblock(cluster, timer->a, timer->b);
        break;
    default:
        assert(false);
    }
}

static uint32_t frozen_count(const struct sim_cluster *cluster)
{
    uint32_t count = 0;
    for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
        count += cluster->process[r].frozen;
    }
    return count;
}

// Freezes up to `budget` of [first, first + count) for good, dead ones first.
static void freeze(struct sim_cluster *cluster, uint32_t first, uint32_t count, uint32_t budget)
{
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t slot = first; slot < first + count && budget > 0; slot++) {
            struct sim_process *process = &cluster->process[slot];
            // One that is well may only be taken if that leaves enough of the others.
            if (process->frozen) {
                continue;
            }
            bool candidate = pass == 0
                                 ? faulty(cluster, process)
                                 : !faulty(cluster, process) && sim_faults_may_lose(cluster, slot);
            if (candidate && choice_u32(cluster->choice, 4) == 3) {
                if (process->node->alive) {
                    sim_process_pause(cluster, slot, true);
                }
                process->frozen = true;
                budget--;
                sim_say(cluster, "node %u is left out of the core", process->node->node);
            }
        }
    }
}

void sim_faults_heal(struct sim_cluster *cluster)
{
    struct sim_model *model = &cluster->net->model;
    sim_say(cluster, "--- liveness phase ---");
    cluster->healing = true;
    model->slow_rate = 0;
    model->plane_break_rate = 0;
    model->conn_break_rate = 0;
    model->deny_break_rate = 0;
    model->full_rate = 0;
    // Operations of one replica at one host land one after the other: with pauses of 200 us within
    // each they would be no more than six a millisecond, which is a broken network.
    model->tear_ns = model->tear_ns < HEALED_TEAR_NS ? model->tear_ns : HEALED_TEAR_NS;
    cluster->shape.starve_rate = 0;
    sim_faults_mend(cluster);
    sim_spares_heal(cluster);
    uint32_t frozen = cluster->shape.is_scripted ? cluster->faults_max : frozen_count(cluster);
    freeze(cluster, 0, cluster->shape.smr.replicas,
           cluster->faults_max > frozen ? cluster->faults_max - frozen : 0);
    assert(sim_faulty(cluster) <= cluster->faults_max);
    for (uint32_t slot = 0; slot < cluster->processes; slot++) {
        struct sim_process *process = &cluster->process[slot];
        if (!process->frozen && process->paused) {
            sim_process_pause(cluster, slot, false);
        }
        bool returns = process->role != SIM_MEMNODE || sim_is_byzantine(&cluster->shape);
        returns = returns && !sim_spares_has(cluster, slot);
        if (!process->frozen && !process->node->alive && returns) {
            sim_process_restart(cluster, slot);
        }
    }
    sim_detector_heal(cluster);
}
