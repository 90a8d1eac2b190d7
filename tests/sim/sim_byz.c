// SPDX-License-Identifier: Apache-2.0
//
// Who is Byzantine in a run, from when on, and with which attacks. See sim_byz.h.
#include "sim_byz.h"

#include <string.h>

#include "byzantine/payload.h"
#include "sim_cluster.h"

static const char *const attack_names[] = {
#define NAME(id, name, text) name,
    SIM_ATTACK_LIST(NAME)
#undef NAME
};
static const char *const attack_texts[] = {
#define TEXT(id, name, text) text,
    SIM_ATTACK_LIST(TEXT)
#undef TEXT
};

const char *sim_attack_name(enum sim_attack attack)
{
    return attack_names[attack];
}

const char *sim_attack_text(enum sim_attack attack)
{
    return attack_texts[attack];
}

static uint32_t draw_rate(struct choice *choice)
{
    static const uint32_t rates[] = {300, 2000, 8000, 30000, 60000};
    return rates[choice_u32(choice, 5)];
}

void sim_byz_draw(struct sim_byz_shape *byz, struct choice *choice, uint32_t replicas,
                  uint32_t clients, uint32_t most, uint32_t only)
{
    memset(byz, 0, sizeof *byz);
    if (most == 0) {
        return;
    }
    most = most < replicas ? most : replicas;
    // One run in eight has faulty clients only.
    if (choice_u32(choice, 8) != 0) {
        byz->faulty_replicas = most - choice_u32(choice, most) * (choice_u32(choice, 4) == 3);
    }
    uint32_t with_clients = choice_u32(choice, 3);
    if (clients > 1 && (with_clients == 2 || byz->faulty_replicas == 0)) {
        byz->faulty_clients = 1;
    }
    byz->from_ns = choice_u32(choice, 3) == 2 ? choice_spread_ns(choice, 10000000) : 0;
    byz->pace_ns = 10000u << choice_u32(choice, 8);
    if (only < SIM_ATTACKS) {
        byz->rate[only] = draw_rate(choice);
        return;
    }
    uint32_t kinds = choice_range(choice, 1, 4);
    for (uint32_t i = 0; i < kinds; i++) {
        byz->rate[choice_u32(choice, SIM_ATTACK_CLIENT)] = draw_rate(choice);
    }
    if (byz->faulty_clients > 0) {
        byz->rate[SIM_ATTACK_CLIENT] = draw_rate(choice);
        byz->rate[SIM_ATTACK_CLIENT_EDIT] = choice_u32(choice, 2) * draw_rate(choice);
    }
}

// `count` of `of`.
static uint32_t draw_set(struct choice *choice, uint32_t of, uint32_t count)
{
    uint32_t set = 0;
    for (uint32_t i = 0; i < count && i < of; i++) {
        uint32_t skip = choice_u32(choice, of - i);
        for (uint32_t bit = 0; bit < of; bit++) {
            if ((set >> bit & 1) == 0 && skip-- == 0) {
                set |= 1u << bit;
                break;
            }
        }
    }
    return set;
}

static void act_later(struct sim_cluster *cluster, uint32_t replica)
{
    uint32_t pace_ns = cluster->byz.pace_ns * (cluster->healing ? 8u : 1u);
    sim_cluster_after(cluster, 2ull * pace_ns - choice_u32(cluster->choice, pace_ns),
                      (struct sim_timer){.kind = SIM_TIMER_BYZANTINE, .a = (uint8_t)replica});
}

void sim_byz_start(struct sim_cluster *cluster)
{
    struct sim_byz *byz = &cluster->byz;
    const struct sim_byz_shape *shape = &cluster->shape.byz;
    memset(byz, 0, sizeof *byz);
    cluster->net->tamper = NULL;
    cluster->net->lie = NULL;
    if (shape->faulty_replicas == 0 && shape->faulty_clients == 0) {
        return;
    }
    byz->faulty = draw_set(cluster->choice, cluster->shape.smr.replicas, shape->faulty_replicas);
    byz->faulty_clients = draw_set(cluster->choice, cluster->shape.clients, shape->faulty_clients);
    byz->from_ns = shape->from_ns;
    byz->pace_ns = shape->pace_ns;
    memcpy(byz->rate, shape->rate, sizeof byz->rate);
    cluster->net->tamper = sim_byz_tamper;
    cluster->net->lie = sim_byz_lie;
    for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
        if ((byz->faulty >> r & 1) == 0) {
            continue;
        }
        struct sim_byz_actor *actor = &byz->actor[r];
        uint32_t all = (1u << cluster->shape.smr.replicas) - 1;
        actor->silent_to = choice_u32(cluster->choice, all + 1);
        static const uint8_t kinds[] = {0,
                                        TACIT_MESSAGE_LOCK,
                                        TACIT_MESSAGE_LOCKED,
                                        TACIT_MESSAGE_SIGNED,
                                        TACIT_MESSAGE_SUMMARY_SHARE,
                                        TACIT_MESSAGE_BODY,
                                        TACIT_MESSAGE_CHECKPOINT_SHARE,
                                        TACIT_MESSAGE_STATE_SHARE};
        actor->silent_kind = kinds[choice_u32(cluster->choice, sizeof kinds)];
        actor->no_votes = choice_u32(cluster->choice, all + 1);
        actor->silent_registers = choice_u32(cluster->choice, 4) == 3;
        sim_say(cluster, "replica %u is Byzantine", r);
        act_later(cluster, r);
    }
    for (uint32_t attack = 0; attack < SIM_ATTACKS; attack++) {
        if (byz->rate[attack] != 0) {
            sim_say(cluster, "attack %s at rate %u", attack_names[attack], byz->rate[attack]);
        }
    }
}

bool sim_byz_hits(struct sim_cluster *cluster, enum sim_attack attack)
{
    struct sim_byz *byz = &cluster->byz;
    uint32_t rate = byz->rate[attack];
    bool stays = attack == SIM_ATTACK_SILENCE || attack == SIM_ATTACK_EQUIVOCATE ||
                 attack == SIM_ATTACK_NO_VOTE;
    if (rate == 0 || cluster->net->now_ns < byz->from_ns) {
        return false;
    }
    if (!choice_chance(cluster->choice, cluster->healing && !stays ? rate / 8 : rate)) {
        return false;
    }
    byz->done[attack]++;
    return true;
}

uint32_t sim_byz_draw32(struct sim_cluster *cluster, uint32_t bound)
{
    return choice_u32(cluster->choice, bound);
}

void sim_byz_sign(struct sim_process *process, tacit_domain_t domain, const uint8_t *payload,
                  uint32_t bytes, struct tacit_signature *out)
{
    sim_signer_sign(process->signer, domain, payload, bytes, out);
}

void sim_byz_timer(struct sim_cluster *cluster, const struct sim_timer *timer)
{
    const struct sim_process *process = &cluster->process[timer->a];
    if (process->node->alive && !process->frozen) {
        if (!process->paused) {
            sim_byz_act(cluster, timer->a);
        }
        act_later(cluster, timer->a);
    }
}
