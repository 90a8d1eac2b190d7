// SPDX-License-Identifier: Apache-2.0
//
// Who is Byzantine in a run, from when on, and with which attacks. See sim_byz.h.
#include "sim_byz.h"

#include <string.h>

#include "byzantine/payload.h"
#include "sim_cluster.h"
#include "sim_script.h"

#define PLOT_SHARE 16u // of the runs with liars, one has a plot

static uint32_t draw_rate(struct choice *choice)
{
    static const uint32_t rates[] = {300, 2000, 8000, 30000, 60000};
    return rates[choice_u32(choice, 5)];
}

// A plot, and in some runs another attack beside it.
static void draw_plot(struct sim_byz_shape *byz, struct choice *choice, uint32_t most, int plot)
{
    byz->plot = plot == SIM_PLOT_ANY ? (int)choice_u32(choice, sim_plot_line_count) : plot;
    byz->faulty_replicas = most;
    byz->from_ns = 0;
    byz->faulty_clients = byz->faulty_clients * (choice_u32(choice, 4) == 3);
    if (choice_u32(choice, 4) == 3) {
        byz->rate[choice_u32(choice, ADVERSARY_CLIENT)] = draw_rate(choice);
    }
}

void sim_byz_draw(struct sim_byz_shape *byz, struct choice *choice, uint32_t replicas,
                  uint32_t clients, uint32_t most, uint32_t only, int plot)
{
    memset(byz, 0, sizeof *byz);
    byz->plot = -1;
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
    bool drawn = only >= ADVERSARY_ATTACKS && byz->faulty_replicas > 0 &&
                 choice_u32(choice, PLOT_SHARE) == PLOT_SHARE - 1;
    if (plot >= 0 || drawn) {
        draw_plot(byz, choice, most, plot >= 0 ? plot : SIM_PLOT_ANY);
        return;
    }
    if (only < ADVERSARY_ATTACKS) {
        byz->rate[only] = draw_rate(choice);
        return;
    }
    uint32_t kinds = choice_range(choice, 1, 4);
    for (uint32_t i = 0; i < kinds; i++) {
        byz->rate[choice_u32(choice, ADVERSARY_CLIENT)] = draw_rate(choice);
    }
    if (byz->faulty_clients > 0) {
        byz->rate[ADVERSARY_CLIENT] = draw_rate(choice);
        byz->rate[ADVERSARY_CLIENT_EDIT] = choice_u32(choice, 2) * draw_rate(choice);
        byz->rate[ADVERSARY_CLIENT_REPLAY] = choice_u32(choice, 2) * draw_rate(choice);
        byz->rate[ADVERSARY_CLIENT_FLOOD] = choice_u32(choice, 2) * draw_rate(choice);
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

// ---- the adversary's world

static struct tacit_smr *smr_of(void *context, uint32_t replica)
{
    const struct sim_cluster *cluster = context;
    return cluster->process[replica].smr;
}

static void sign(void *context, uint32_t replica, tacit_domain_t domain, const uint8_t *payload,
                 uint32_t bytes, struct tacit_signature *out)
{
    const struct sim_cluster *cluster = context;
    sim_signer_sign(cluster->process[replica].signer, domain, payload, bytes, out);
}

static void sign_client(void *context, uint32_t client, tacit_domain_t domain,
                        const uint8_t *payload, uint32_t bytes, struct tacit_signature *out)
{
    const struct sim_cluster *cluster = context;
    uint32_t first = (uint32_t)cluster->shape.smr.replicas + cluster->shape.smr.memnodes;
    sim_signer_sign(cluster->process[first + client].signer, domain, payload, bytes, out);
}

static bool forge(void *context, uint32_t replica, uint32_t host, struct tacit_region_key key,
                  uint64_t offset, const void *bytes, uint32_t count)
{
    struct sim_cluster *cluster = context;
    return sim_net_forge(cluster->net, replica, host, key, offset, bytes, count);
}

static void ring(void *context, uint32_t replica, uint32_t host)
{
    struct sim_cluster *cluster = context;
    sim_net_ring(cluster->net, replica, host);
}

static void wake(void *context, uint32_t replica)
{
    struct sim_cluster *cluster = context;
    sim_poll_at(cluster, replica, cluster->net->now_ns);
}

static bool mutes(void *context, uint32_t replica, uint32_t receiver, const uint8_t *message,
                  uint32_t bytes, unsigned vote)
{
    struct sim_cluster *cluster = context;
    if (message == NULL) {
        return sim_plot_mutes_vote(cluster, receiver, vote);
    }
    return sim_plot_mutes_message(cluster, receiver, message, bytes) ||
           (cluster->play != NULL &&
            !sim_script_message(cluster, replica, receiver, message, bytes));
}

// Some go on while a core is healed: a correct one must cope with them for ever.
static uint32_t rate(void *context, enum adversary_attack attack)
{
    const struct sim_cluster *cluster = context;
    bool stays = attack == ADVERSARY_SILENCE || attack == ADVERSARY_EQUIVOCATE ||
                 attack == ADVERSARY_NO_VOTE;
    if (cluster->net->now_ns < cluster->byz.from_ns) {
        return 0;
    }
    return cluster->byz.rate[attack] / (cluster->healing && !stays ? 8 : 1);
}

static void note(void *context, const char *text)
{
    sim_say(context, "%s", text);
}

static void draw_faulty(struct sim_cluster *cluster)
{
    struct sim_byz *byz = &cluster->byz;
    const struct sim_byz_shape *shape = &cluster->shape.byz;
    byz->faulty = draw_set(cluster->choice, cluster->shape.smr.replicas, shape->faulty_replicas);
    if (shape->plot >= 0 && sim_plot_lines[shape->plot].leads >= 0) {
        // Those that lead the first views from that one on.
        uint32_t first = (uint32_t)sim_plot_lines[shape->plot].leads;
        byz->faulty = 0;
        for (uint32_t i = 0; i < shape->faulty_replicas; i++) {
            byz->faulty |= 1u << (first + i) % cluster->shape.smr.replicas;
        }
    }
    byz->faulty_clients = draw_set(cluster->choice, cluster->shape.clients, shape->faulty_clients);
}

void sim_byz_start(struct sim_cluster *cluster)
{
    struct sim_byz *byz = &cluster->byz;
    const struct sim_byz_shape *shape = &cluster->shape.byz;
    const struct adversary_world world = {.context = cluster,
                                          .smr = smr_of,
                                          .sign = sign,
                                          .sign_client = sign_client,
                                          .forge = forge,
                                          .ring = ring,
                                          .wake = wake,
                                          .rate = rate,
                                          .mutes = mutes,
                                          .note = cluster->verbose ? note : NULL};
    memset(byz, 0, sizeof *byz);
    adversary_init(&byz->adversary, &world, cluster->choice, cluster->shape.smr.replicas,
                   cluster->shape.clients, cluster->shape.smr.byzantine.window);
    cluster->net->tamper = NULL;
    cluster->net->lie = NULL;
    if (shape->faulty_replicas == 0 && shape->faulty_clients == 0) {
        return;
    }
    byz->faulty = shape->liars;
    byz->faulty_clients = shape->lying_clients;
    if ((byz->faulty | byz->faulty_clients) == 0) {
        draw_faulty(cluster);
    }
    if (cluster->shape.has_twin) {
        return; // says everything twice, nothing else
    }
    byz->from_ns = shape->from_ns;
    byz->pace_ns = shape->pace_ns;
    memcpy(byz->rate, shape->rate, sizeof byz->rate);
    cluster->net->tamper = sim_byz_tamper;
    cluster->net->lie = sim_byz_lie;
    for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
        if ((byz->faulty >> r & 1) == 0) {
            continue;
        }
        adversary_actor_draw(&byz->adversary, r);
        sim_say(cluster, "replica %u is Byzantine", r);
        act_later(cluster, r);
    }
    sim_plot_start(cluster);
    for (uint32_t attack = 0; attack < ADVERSARY_ATTACKS; attack++) {
        if (byz->rate[attack] != 0) {
            sim_say(cluster, "attack %s at rate %u",
                    adversary_attack_name((enum adversary_attack)attack), byz->rate[attack]);
        }
    }
}

static void act(struct sim_cluster *cluster, uint32_t faulty)
{
    if (setjmp(cluster->byz.escape) != 0) {
        sim_process_escaped(cluster, faulty);
        return;
    }
    cluster->byz.may_escape = true;
    adversary_act(&cluster->byz.adversary, faulty);
    cluster->byz.may_escape = false;
}

void sim_byz_timer(struct sim_cluster *cluster, const struct sim_timer *timer)
{
    const struct sim_process *process = &cluster->process[timer->a];
    if (process->node->alive && !process->frozen) {
        if (!process->paused) {
            act(cluster, timer->a);
        }
        act_later(cluster, timer->a);
    }
}

// ---- operations on their way

bool sim_byz_tamper(void *context, uint32_t peer, uint32_t host, struct sim_op *op,
                    uint64_t *delay_ns)
{
    struct sim_cluster *cluster = context;
    const struct sim_process *process = &cluster->process[peer];
    if (!sim_is_faulty(cluster, peer) || peer == host || op->op.kind != TACIT_OP_WRITE) {
        return true;
    }
    if (cluster->play != NULL && !sim_script_write(cluster, peer, host, op, delay_ns)) {
        return false;
    }
    if (process->role == SIM_CLIENT) {
        if (op->region->key.region_class != TACIT_REGION_REQUESTS) {
            return true;
        }
        if (!sim_byz_tamper_client(cluster, process->id, host, op)) {
            return false;
        }
        sim_byz_client_ring(cluster, process->id, host, op);
        return true;
    }
    if (adversary_hits(&cluster->byz.adversary, ADVERSARY_DELAY)) {
        *delay_ns += choice_spread_ns(cluster->choice, 1000000);
    }
    struct adversary_write write = {.region_class = op->region->key.region_class,
                                    .bytes = op->op.bytes,
                                    .offset = op->op.offset,
                                    .copy = op->copy};
    bool lands = adversary_tamper(&cluster->byz.adversary, process->id, host, &write);
    op->op.bytes = write.bytes;
    op->op.offset = write.offset;
    return lands;
}

void sim_byz_lie(void *context, uint32_t peer, uint32_t host, const struct sim_op *op)
{
    struct sim_cluster *cluster = context;
    if (peer == host || !sim_is_faulty(cluster, host) ||
        op->region->key.region_class != TACIT_REGION_STATE ||
        !adversary_hits(&cluster->byz.adversary, ADVERSARY_STATE)) {
        return;
    }
    uint64_t *local = op->op.local;
    uint32_t words = op->op.bytes / 8;
    uint32_t changes = choice_range(cluster->choice, 1, 4);
    for (uint32_t i = 0; i < changes; i++) {
        local[choice_u32(cluster->choice, words)] ^= 1ull << choice_u32(cluster->choice, 64);
    }
}
