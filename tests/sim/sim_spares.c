// SPDX-License-Identifier: Apache-2.0
//
// See sim_spares.h.
#include "sim_spares.h"

#include <string.h>

#include "byzantine/payload.h"
#include "sim_cluster.h"
#include "smr/internal.h"
#include "state/members.h"

_Static_assert(SIM_SPARES_SLOTS == SIM_SLOTS, "slots");

static uint32_t role_of(const struct sim_process *process)
{
    return process->role == SIM_MEMNODE;
}

static uint32_t spares_left(const struct sim_cluster *cluster, uint32_t slot)
{
    const struct sim_spares_shape *shape = &cluster->shape.spares;
    uint32_t role = role_of(&cluster->process[slot]);
    return (role == 0 ? shape->replicas : shape->memnodes) - cluster->spares.used[role];
}

static bool are_there(const struct sim_cluster *cluster)
{
    return cluster->shape.spares.replicas + cluster->shape.spares.memnodes > 0;
}

static uint64_t bit_of(uint32_t slot)
{
    return 1ull << slot;
}

static void look_later(struct sim_cluster *cluster)
{
    sim_cluster_after(cluster, cluster->shape.spares.ask_ns,
                      (struct sim_timer){.kind = SIM_TIMER_SPARES});
}

void sim_spares_start(struct sim_cluster *cluster)
{
    memset(&cluster->spares, 0, sizeof cluster->spares);
    if (are_there(cluster)) {
        look_later(cluster);
    }
}

// ---- standing by, and taking a seat
// ------------------------------------------------------------------------------------------

// An honest client that runs.
static struct sim_process *asker_of(struct sim_cluster *cluster)
{
    uint32_t first = cluster->shape.smr.replicas + cluster->shape.smr.memnodes;
    for (uint32_t i = first; i < cluster->processes; i++) {
        struct sim_process *process = &cluster->process[i];
        if (process->role == SIM_CLIENT && process->client != NULL && process->node->alive &&
            !process->paused && !sim_is_faulty(cluster, i)) {
            return process;
        }
    }
    return NULL;
}

// A body that lost the seat long ago is started again by somebody who does not know; and it may
// even claim the seat anew.
static void come_back(struct sim_cluster *cluster, uint32_t slot, tacit_incarnation_t member)
{
    const struct sim_process *process = &cluster->process[slot];
    bool claims = choice_u32(cluster->choice, 2) != 0;
    uint32_t generation = claims ? tacit_incarnation_generation(member) + 1 : 0;
    sim_say(cluster, "the founder of node %u is back, though its seat is another's",
            process->node->node);
    cluster->spares.returning |= bit_of(slot);
    if (cluster->spares.last[slot] == 0) {
        cluster->spares.last[slot] = process->incarnation;
    }
    cluster->spares.refused++;
    sim_process_restart_as(cluster, slot,
                           tacit_incarnation_make(generation, 0, process->starts + 1));
}

static void take_seat(struct sim_cluster *cluster, uint32_t slot,
                      const struct tacit_wire_members *members)
{
    struct sim_process *process = &cluster->process[slot];
    tacit_node_t node = process->node->node;
    tacit_incarnation_t member = members->seat[node];
    uint32_t *used = &cluster->spares.used[role_of(process)];
    uint32_t generation = tacit_incarnation_generation(member);
    if (!cluster->healing && generation > 0 && choice_u32(cluster->choice, 3) == 2) {
        come_back(cluster, slot, member);
        return;
    }
    cluster->spares.for_good &= ~(bit_of(slot));
    uint64_t bit = bit_of(slot);
    if (spares_left(cluster, slot) == 0 || (cluster->spares.again & bit) != 0) {
        // What ran there last: as the member that it is, or with another try for the seat. Not if
        // it is barred (it had followed an outdated order, for which the member was stopped): then
        // the member. What is barred may claim for ever.
        tacit_incarnation_t last =
            cluster->spares.last[slot] != 0 ? cluster->spares.last[slot] : process->incarnation;
        if ((members->barred & tacit_body_bit(node, tacit_incarnation_body(last))) != 0) {
            last = member;
        }
        uint32_t body = tacit_incarnation_body(last);
        bool is_member = body == tacit_incarnation_body(member);
        cluster->spares.again &= ~bit;
        cluster->spares.last[slot] = 0;
        sim_process_restart_as(
            cluster, slot,
            tacit_incarnation_make(is_member ? generation : generation + 1, body,
                                   tacit_incarnation_start(last) + process->starts));
        return;
    }
    cluster->spares.last[slot] = 0;
    ++*used;
    cluster->spares.seated++;
    sim_say(cluster, "spare %u takes the seat of node %u", *used, node);
    sim_process_restart_as(cluster, slot, tacit_incarnation_make(generation + 1, *used, 1));
}

// Whether another body, which may be dead by now, got the seat that this one claims.
static bool has_lost(const struct sim_process *process, tacit_incarnation_t member)
{
    return tacit_incarnation_body(process->incarnation) != 0 &&
           tacit_incarnation_body(process->incarnation) != tacit_incarnation_body(member) &&
           tacit_incarnation_generation(process->incarnation) <=
               tacit_incarnation_generation(member);
}

// An operator ordered this body into the seat. Who runs there is stopped first.
static void obey(struct sim_cluster *cluster, uint32_t slot, tacit_incarnation_t member,
                 uint32_t body)
{
    struct sim_process *process = &cluster->process[slot];
    bool is_there =
        tacit_incarnation_body(process->incarnation) == body &&
        tacit_incarnation_generation(process->incarnation) > tacit_incarnation_generation(member);
    if (process->frozen || (is_there && process->node->alive)) {
        return;
    }
    if (process->node->alive && sim_spares_is_leaving(cluster, slot)) {
        sim_process_crash(cluster, slot); // counts among the faulty already
    } else if (process->node->alive && !sim_faults_crash(cluster, slot)) {
        return; // not now: too many others are down
    }
    cluster->spares.leaving &= ~bit_of(slot);
    cluster->spares.for_good &= ~bit_of(slot);
    cluster->spares.returning &= ~bit_of(slot);
    cluster->spares.last[slot] = 0;
    cluster->spares.seated++;
    sim_say(cluster, "body %u takes the seat of node %u, as ordered", body, process->node->node);
    sim_process_restart_as(cluster, slot,
                           tacit_incarnation_make(tacit_incarnation_generation(member) + 1, body,
                                                  process->starts + 1));
}

static void stand_by(struct sim_cluster *cluster, uint32_t slot,
                     const struct tacit_wire_members *members)
{
    struct sim_process *process = &cluster->process[slot];
    tacit_node_t node = process->node->node;
    uint64_t bit = bit_of(slot);
    if (members->ordered[node] != 0) {
        obey(cluster, slot, members->seat[node], members->ordered[node] - 1u);
        return;
    }
    if ((cluster->spares.returning & bit) != 0) {
        if (process->node->alive && choice_u32(cluster->choice, 4) == 3) {
            sim_process_crash(cluster, slot);
            cluster->spares.returning &= ~bit;
        }
        return;
    }
    if (process->node->alive && has_lost(process, members->seat[node])) {
        sim_say(cluster, "the seat of node %u is another's: goes back to standing by", node);
        sim_process_crash(cluster, slot);
        cluster->spares.for_good |= bit;
        cluster->spares.again |= bit;
        return;
    }
    if ((cluster->spares.for_good & bit) != 0 && !process->node->alive && !process->frozen &&
        (members->dead >> node & 1) != 0) {
        take_seat(cluster, slot, members);
    }
}

// ---- the operator
// ------------------------------------------------------------------------------------------

bool sim_spares_order_holds(void *context, const uint8_t *order, uint32_t bytes,
                            const uint8_t signature[64])
{
    const struct sim_cluster *cluster = context;
    struct tacit_signature copy;
    memcpy(copy.bytes, signature, sizeof copy.bytes);
    return sim_signer_is_valid(&cluster->signers, TACIT_SIGNER_OPERATOR, TACIT_DOMAIN_ORDER, order,
                               bytes, &copy);
}

static void give(struct sim_cluster *cluster, const struct tacit_wire_members *members,
                 uint8_t kind, uint32_t slot, uint32_t body)
{
    static struct sim_signer signer;
    struct sim_spares *spares = &cluster->spares;
    tacit_node_t node = cluster->process[slot].node->node;
    bool is_spare = kind == TACIT_ORDER_ADD && body != 0;
    struct tacit_signature signature;
    uint8_t bytes[TACIT_WIRE_ORDER_BYTES];
    spares->order = (struct tacit_wire_order){.kind = kind,
                                              .body = (uint8_t)body,
                                              .seat = is_spare ? node & TACIT_NODE_MEMNODE : node,
                                              .epoch = members->epoch,
                                              .nonce = cluster->net->now_ns};
    sim_signer_open(
        &signer, &cluster->signers,
        &(struct sim_signer_config){.self = TACIT_SIGNER_OPERATOR, .workers = 1, .depth = 1});
    tacit_wire_order_encode(bytes, &spares->order);
    sim_signer_sign(&signer, TACIT_DOMAIN_ORDER, bytes, TACIT_WIRE_ORDER_SIGNED, &signature);
    memcpy(spares->order.signature, signature.bytes, sizeof signature.bytes);
    if (kind == TACIT_ORDER_ADD) {
        spares->lost &= ~tacit_body_bit(node, body);
    }
    sim_say(cluster, "the operator orders: %s, node %u, body %u",
            kind == TACIT_ORDER_ADD      ? "ADD"
            : kind == TACIT_ORDER_REMOVE ? "REMOVE"
                                         : "REPLACE",
            node, body);
}

// A vacant seat gets a spare, or its founder back.
static bool fill_vacancy(struct sim_cluster *cluster, const struct tacit_wire_members *members)
{
    uint32_t servers = cluster->shape.smr.replicas + cluster->shape.smr.memnodes;
    for (uint32_t slot = 0; slot < servers; slot++) {
        tacit_node_t node = cluster->process[slot].node->node;
        if (tacit_seat_is_vacant(members->seat[node]) && members->ordered[node] == 0) {
            bool has_spare = spares_left(cluster, slot) > 0;
            uint32_t body =
                has_spare ? ++cluster->spares.used[role_of(&cluster->process[slot])] : 0;
            give(cluster, members, TACIT_ORDER_ADD, slot, body);
            return true;
        }
    }
    return false;
}

// A member loses its seat, to nobody or to a spare.
static void order_something(struct sim_cluster *cluster, const struct tacit_wire_members *members)
{
    uint32_t slot = choice_u32(cluster->choice, cluster->shape.smr.replicas);
    const struct sim_process *process = &cluster->process[slot];
    tacit_incarnation_t member = members->seat[process->node->node];
    bool removes = choice_u32(cluster->choice, 3) == 2;
    bool is_well = process->node->alive && !process->frozen && !sim_is_faulty(cluster, slot) &&
                   process->incarnation == member;
    if (!is_well || cluster->spares.leaving != 0 || !sim_faults_may_lose(cluster, slot)) {
        return;
    }
    if (removes) {
        cluster->spares.leaving |= bit_of(slot);
        give(cluster, members, TACIT_ORDER_REMOVE, slot, tacit_incarnation_body(member));
    } else if (spares_left(cluster, slot) > 0) {
        uint32_t body = ++cluster->spares.used[role_of(process)];
        give(cluster, members, TACIT_ORDER_REPLACE, slot, body);
    }
}

// A REMOVE that was refused (too few others seemed alive) can still be carried out by a next leader
// that has a copy of it and sees more of them, until the members change: so long it counts.
static void stay(struct sim_cluster *cluster, const struct tacit_wire_members *members)
{
    uint32_t servers = cluster->shape.smr.replicas + cluster->shape.smr.memnodes;
    bool is_newer = members->epoch > cluster->spares.order.epoch; // who is asked may be behind
    for (uint32_t slot = 0; slot < servers && is_newer; slot++) {
        tacit_node_t node = cluster->process[slot].node->node;
        if (!tacit_seat_is_vacant(members->seat[node]) && members->ordered[node] == 0) {
            cluster->spares.leaving &= ~bit_of(slot);
        }
    }
}

static void operate(struct sim_cluster *cluster, struct sim_process *asker,
                    const struct tacit_wire_members *members)
{
    struct sim_spares *spares = &cluster->spares;
    stay(cluster, members);
    if (spares->order.kind != 0) {
        uint32_t outcome = tacit_client_order_outcome(asker->client, spares->order.nonce);
        if (outcome == 0) {
            tacit_client_order_send(asker->client, &spares->order);
            return;
        }
        sim_say(cluster, "outcome of the order: %u", outcome);
        spares->ordered += outcome == TACIT_ORDER_DONE;
        spares->order.kind = 0;
        spares->order_due_ns = cluster->net->now_ns + cluster->shape.spares.order_ns;
    }
    if (cluster->healing) {
        (void)fill_vacancy(cluster, members);
    } else if (cluster->net->now_ns >= spares->order_due_ns && !fill_vacancy(cluster, members)) {
        order_something(cluster, members);
    }
}

bool sim_spares_is_leaving(const struct sim_cluster *cluster, uint32_t slot)
{
    return (cluster->spares.leaving & bit_of(slot)) != 0;
}

void sim_spares_timer(struct sim_cluster *cluster)
{
    struct sim_process *asker = asker_of(cluster);
    struct tacit_wire_members members;
    if (asker != NULL && tacit_client_members(asker->client, &members)) {
        uint32_t servers = cluster->shape.smr.replicas + cluster->shape.smr.memnodes;
        for (uint32_t slot = 0; slot < servers; slot++) {
            stand_by(cluster, slot, &members);
        }
        if (cluster->shape.spares.order_ns != 0) {
            operate(cluster, asker, &members);
        }
    }
    if (asker != NULL) {
        tacit_client_members_ask(asker->client);
        sim_poll_at(cluster, asker->node->slot, cluster->net->now_ns);
    }
    look_later(cluster);
}

bool sim_spares_keeps_dead(struct sim_cluster *cluster, uint32_t slot)
{
    if (!are_there(cluster) || spares_left(cluster, slot) == 0 ||
        choice_u32(cluster->choice, 8) >= cluster->shape.spares.for_good_rate) {
        return false;
    }
    sim_say(cluster, "node %u is dead for good", cluster->process[slot].node->node);
    cluster->spares.for_good |= bit_of(slot);
    return true;
}

bool sim_spares_has(const struct sim_cluster *cluster, uint32_t slot)
{
    return (cluster->spares.for_good >> slot & 1) != 0;
}

void sim_spares_heal(struct sim_cluster *cluster)
{
    for (uint32_t slot = 0; slot < SIM_SLOTS; slot++) {
        if ((cluster->spares.returning >> slot & 1) != 0 && cluster->process[slot].node->alive) {
            sim_process_crash(cluster, slot);
        }
    }
    cluster->spares.returning = 0;
}

bool sim_spares_admits(void *context, uint32_t host, uint32_t peer)
{
    const struct sim_cluster *cluster = context;
    const struct sim_node *node = &cluster->net->node[peer];
    if (node->role == SIM_CLIENT || cluster->net->node[host].role != SIM_REPLICA) {
        return true;
    }
    return tacit_seat_judge(cluster->spares.words[host][node->node], node->incarnation) ==
           TACIT_SEAT_OPEN;
}

// ---- checker
// ------------------------------------------------------------------------------------------

static bool is_new_body(uint64_t was, uint64_t now)
{
    return was != 0 && now != 0 && tacit_seat_is_change(was, now);
}

// The first replica that came to this epoch says who is in which seat; `before`: the epoch before,
// if it was seen.
static void note_bodies(struct sim_cluster *cluster, uint64_t epoch, const uint64_t *before,
                        const uint64_t *now)
{
    struct sim_spares *spares = &cluster->spares;
    uint64_t sitting = 0;
    for (tacit_node_t seat = 0; seat < TACIT_WIRE_SEATS; seat++) {
        uint32_t body = tacit_incarnation_body((tacit_incarnation_t)now[seat]);
        if (now[seat] == 0 || body == TACIT_BODY_VACANT) {
            continue;
        }
        uint64_t bit = tacit_body_bit(seat, body);
        if ((sitting & bit) != 0) {
            checker_group_fail(cluster->checker, "epoch %llu: body %u sits in two seats",
                               (unsigned long long)epoch, body);
        }
        sitting |= bit;
        if (before != NULL && is_new_body(before[seat], now[seat])) {
            uint32_t former = tacit_incarnation_body((tacit_incarnation_t)before[seat]);
            spares->lost |= former == TACIT_BODY_VACANT ? 0 : tacit_body_bit(seat, former);
        }
        if ((spares->lost & bit) != 0) {
            checker_group_fail(cluster->checker, "epoch %llu: body %u of node %u is back",
                               (unsigned long long)epoch, body, seat);
        }
    }
}

void sim_spares_look(struct sim_cluster *cluster, uint32_t slot)
{
    const struct sim_process *process = &cluster->process[slot];
    const struct tacit_smr *smr = process->smr;
    if (smr == NULL || !smr->state_valid || smr->config.engine == TACIT_ENGINE_NONE) {
        return;
    }
    const struct tacit_members *members = smr->sessions.members;
    uint64_t epoch = members->epoch;
    uint64_t member = sim_is_byzantine(&cluster->shape) ? smr->byzantine.member[process->id]
                                                        : members->incarnation[process->id];
    if (smr->active && member != process->incarnation) {
        checker_group_fail(cluster->checker, "replica %u takes part as %x, the member is %llx",
                           process->id, process->incarnation, (unsigned long long)member);
    }
    struct sim_epoch_members *kept = &cluster->spares.epochs[epoch % SIM_EPOCHS_KEPT];
    if (kept->is && kept->epoch == epoch) {
        if (memcmp(kept->member, members->incarnation, sizeof kept->member) != 0) {
            checker_group_fail(cluster->checker, "replica %u: other members in epoch %llu",
                               process->id, (unsigned long long)epoch);
        }
    } else if (!kept->is || kept->epoch < epoch) {
        const struct sim_epoch_members *last =
            &cluster->spares.epochs[(epoch - 1) % SIM_EPOCHS_KEPT];
        bool is_next = last->is && last->epoch + 1 == epoch;
        kept->is = true;
        kept->epoch = epoch;
        memcpy(kept->member, members->incarnation, sizeof kept->member);
        note_bodies(cluster, epoch, is_next ? last->member : NULL, kept->member);
    }
}
