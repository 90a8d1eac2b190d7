// SPDX-License-Identifier: Apache-2.0
//
// Operations of the sim fabric on their way: step by step into the host's memory, through the
// permission check, and back as a completion; or lost, and perhaps landing all the same.
#include <string.h>

#include "sim_fabric_parts.h"

enum { PATTERN_FORWARD = 0, PATTERN_BACKWARD, PATTERN_RANDOM, PATTERN_LAST_FIRST, PATTERNS };
#define STEPS_MAX 4u

struct sim_op *sim_op_take(struct sim_net *net)
{
    struct sim_op *op = net->free_ops;
    if (op != NULL) {
        net->free_ops = op->next;
    } else if (net->fresh_ops < SIM_OPS) {
        op = &net->op[net->fresh_ops++];
    } else {
        return NULL;
    }
    uint64_t *copy = op->copy;
    memset(op, 0, sizeof *op);
    op->copy = copy;
    return op;
}

void sim_op_free(struct sim_net *net, struct sim_op *op)
{
    op->next = net->free_ops;
    net->free_ops = op;
}

void sim_ring_land(struct sim_net *net, uint32_t host)
{
    sim_after(net, choice_u32(net->choice, net->model.ring_ns + 1),
              (struct sim_timer){.kind = SIM_TIMER_RING, .a = (uint8_t)host});
}

static struct sim_conn *conn_of(struct sim_net *net, uint32_t peer, uint32_t host)
{
    return &net->node[peer].conn[host];
}

void sim_land_arm(struct sim_net *net, uint32_t peer, uint32_t host, uint32_t plane)
{
    struct sim_plane *queue = &conn_of(net, peer, host)->plane[plane];
    if (queue->landing == NULL || queue->land_armed) {
        return;
    }
    uint64_t at = queue->landing->arrive_ns;
    queue->land_armed = true;
    sim_after(net, at > net->now_ns ? at - net->now_ns : 0,
              (struct sim_timer){.kind = SIM_TIMER_LAND,
                                 .a = (uint8_t)peer,
                                 .b = (uint8_t)host,
                                 .c = (uint8_t)plane,
                                 .version = queue->land_version});
}

static void complete_arm(struct sim_net *net, uint32_t peer, uint32_t host, uint32_t plane)
{
    struct sim_plane *queue = &conn_of(net, peer, host)->plane[plane];
    struct sim_op *op = queue->first;
    if (op == NULL || !op->landed || queue->complete_armed) {
        return;
    }
    queue->complete_armed = true;
    sim_after(net, op->done_ns > net->now_ns ? op->done_ns - net->now_ns : 0,
              (struct sim_timer){.kind = SIM_TIMER_COMPLETE,
                                 .a = (uint8_t)peer,
                                 .b = (uint8_t)host,
                                 .c = (uint8_t)plane,
                                 .version = queue->complete_version});
}

void sim_land_kick(struct sim_net *net, uint32_t peer, uint32_t host)
{
    for (uint32_t plane = 0; plane < TACIT_PLANES; plane++) {
        sim_land_arm(net, peer, host, plane);
        complete_arm(net, peer, host, plane);
    }
}

// Timers that are on their way find that they are stale.
static void disarm(struct sim_plane *queue)
{
    queue->land_version++;
    queue->complete_version++;
    queue->land_armed = false;
    queue->complete_armed = false;
}

// Of what has not landed some goes on landing, perhaps cut short; the rest is gone: what follows
// the first one that is gone, too, unless the model has gaps. What has landed is freed.
static void orphan_rest(struct sim_net *net, uint32_t peer, uint32_t host, uint32_t plane)
{
    struct sim_plane *queue = &conn_of(net, peer, host)->plane[plane];
    struct sim_op *op = queue->first;
    bool going_on = true;
    disarm(queue);
    queue->first = queue->last = queue->landing = NULL;
    queue->count = 0;
    while (op != NULL) {
        struct sim_op *next = op->next;
        bool lands = choice_chance(net->choice, net->model.late_land_rate);
        going_on = op->landed || (lands && (going_on || net->model.late_gaps));
        if (op->landed || !going_on || op->op.kind == TACIT_OP_READ) {
            sim_op_free(net, op);
        } else {
            net->fault[SIM_FAULT_LATE_LANDING]++;
            op->orphan = true;
            op->next = NULL;
            op->arrive_ns = net->now_ns + choice_spread_ns(net->choice, net->model.slow_ns);
            if (op->started && op->steps > op->step) {
                op->steps = (uint8_t)choice_range(net->choice, op->step, op->steps);
            }
            if (queue->last != NULL) {
                queue->last->next = op;
            } else {
                queue->first = queue->landing = op;
            }
            queue->last = op;
            queue->count++;
        }
        op = next;
    }
    sim_land_arm(net, peer, host, plane);
}

void sim_plane_lose(struct sim_net *net, uint32_t peer, uint32_t host, uint32_t plane)
{
    struct sim_plane *queue = &conn_of(net, peer, host)->plane[plane];
    for (struct sim_op *op = queue->first; op != NULL; op = op->next) {
        if (!op->orphan) {
            net->node[peer].fabric.counters.plane[plane].lost++;
            sim_event_push(&net->node[peer],
                           &(struct tacit_event){.kind = TACIT_EVENT_COMPLETION,
                                                 .status = TACIT_COMPLETION_LOST,
                                                 .node = net->node[host].node,
                                                 .cookie = op->op.cookie},
                           host);
        }
    }
    orphan_rest(net, peer, host, plane);
}

void sim_plane_orphan(struct sim_net *net, uint32_t peer, uint32_t host, uint32_t plane)
{
    orphan_rest(net, peer, host, plane);
}

void sim_plane_drop(struct sim_net *net, uint32_t peer, uint32_t host, uint32_t plane)
{
    struct sim_plane *queue = &conn_of(net, peer, host)->plane[plane];
    disarm(queue);
    while (queue->first != NULL) {
        struct sim_op *op = queue->first;
        queue->first = op->next;
        sim_op_free(net, op);
    }
    queue->last = queue->landing = NULL;
    queue->count = 0;
    queue->broken = false;
    queue->complete_ns = 0;
}

void sim_plane_break(struct sim_net *net, uint32_t peer, uint32_t host, uint32_t plane)
{
    struct sim_plane *queue = &conn_of(net, peer, host)->plane[plane];
    net->fault[SIM_FAULT_PLANE_BREAK]++;
    queue->broken = true;
    sim_plane_lose(net, peer, host, plane);
    sim_after(net, choice_u32(net->choice, net->model.reconnect_ns + 1),
              (struct sim_timer){.kind = SIM_TIMER_PLANE,
                                 .a = (uint8_t)peer,
                                 .b = (uint8_t)host,
                                 .c = (uint8_t)plane,
                                 .version = conn_of(net, peer, host)->version});
}

// A moment at which the connection may break. True: it did, the operation is gone.
static bool breaks(struct sim_net *net, uint32_t peer, uint32_t host, uint32_t plane)
{
    struct sim_conn *conn = conn_of(net, peer, host);
    if (peer == host || !conn->up) {
        return false;
    }
    if (choice_chance(net->choice, net->model.plane_break_rate)) {
        sim_plane_break(net, peer, host, plane);
        return true;
    }
    if (choice_chance(net->choice, net->model.conn_break_rate)) {
        net->fault[SIM_FAULT_CONN_BREAK]++;
        sim_conn_break(net, peer, host, false);
        return true;
    }
    return false;
}

static bool permitted(const struct sim_node *peer, const struct sim_host *host,
                      const struct sim_op *op)
{
    if (!op->region->live || op->rights == SIM_RIGHTS_NONE) {
        return false;
    }
    if (op->rights == SIM_RIGHTS_FREE) {
        return true;
    }
    bool holds = host->holder == peer->node && host->holder_incarnation == op->poster;
    return holds &&
           ((op->op.flags & TACIT_OP_AS_HOLDER) == 0 || host->generation == op->op.generation);
}

// A refused store may still reach the old holder's own region, where the new holder and its
// followers do not look for their log; never one that a peer which holds again would find among its
// own new entries.
static bool late_store(struct sim_net *net, const struct sim_node *peer,
                       const struct sim_host *host, const struct sim_op *op)
{
    if (op->rights != SIM_RIGHTS_HOLDER || !op->region->live || !net->model.late_store ||
        op->op.kind != TACIT_OP_WRITE || host->holder == peer->node) {
        return false;
    }
    return choice_chance(net->choice, CHOICE_ALWAYS / 2);
}

static uint32_t step_of_word(const struct sim_op *op, uint32_t word, uint32_t words)
{
    uint32_t mixed = (op->seed + word) * 0x9e3779b1u;
    mixed = (mixed ^ mixed >> 15) * 0x85ebca77u;
    switch (op->pattern) {
    case PATTERN_FORWARD:
        return word * op->steps / words;
    case PATTERN_BACKWARD:
        return (words - 1 - word) * op->steps / words;
    case PATTERN_LAST_FIRST:
        return word + 1 == words ? 0 : 1 + (mixed >> 16) % (op->steps - 1u);
    default:
        return (mixed >> 16) % op->steps;
    }
}

static void move_words(struct sim_op *op, uint32_t step)
{
    uint32_t words = op->op.bytes / 8;
    uint64_t *memory = op->region->memory + op->op.offset / 8;
    uint64_t *local = op->op.local;
    bool write = op->op.kind == TACIT_OP_WRITE;
    // The poster must leave its bytes alone until the completion: they are fetched when they land.
    bool fetch = write && !op->orphan && !op->tampered && (op->op.flags & TACIT_OP_QUIET) == 0;
    const uint64_t *source = !write ? memory : fetch ? local : op->copy;
    uint64_t *target = write ? memory : local;
    if (op->muted) {
        return;
    }
    if (op->steps == 1) {
        memcpy(target, source, op->op.bytes);
        return;
    }
    for (uint32_t word = 0; word < words; word++) {
        if (step_of_word(op, word, words) == step) {
            target[word] = source[word];
        }
    }
}

static void start_op(struct sim_net *net, struct sim_op *op)
{
    op->started = true;
    op->steps = 1;
    op->step = 0;
    if (op->op.bytes > 8 && choice_chance(net->choice, net->model.tear_rate)) {
        uint32_t words = op->op.bytes / 8;
        uint32_t most = words < STEPS_MAX ? words : STEPS_MAX;
        op->steps = (uint8_t)choice_range(net->choice, 2, most);
        op->pattern = (uint8_t)choice_u32(net->choice, PATTERNS);
        op->seed = choice_u32(net->choice, 0x10000);
        net->fault[SIM_FAULT_TEAR]++;
    }
}

// The operation has landed, or was refused: its status is final.
static void finish_op(struct sim_net *net, uint32_t peer, uint32_t host, uint32_t plane)
{
    struct sim_plane *queue = &conn_of(net, peer, host)->plane[plane];
    struct sim_op *op = queue->landing;
    queue->landing = op->next;
    op->landed = true;
    op->status = op->refused ? TACIT_COMPLETION_DENIED : TACIT_COMPLETION_OK;
    sim_trace(net, (uint64_t)op->op.offset << 24 ^ (uint64_t)op->status << 20 ^ peer << 12 ^
                       host << 4 ^ plane << 1 ^ (uint64_t)op->op.kind);
    if (op->ring) {
        sim_ring_land(net, host);
    }
    if (op->orphan) {
        queue->first = op->next;
        queue->count--;
        if (queue->first == NULL) {
            queue->last = NULL;
        }
        sim_op_free(net, op);
        sim_land_arm(net, peer, host, plane);
        return;
    }
    op->done_ns = net->now_ns + op->back_ns + choice_u32(net->choice, net->model.jitter_ns + 1);
    if (op->done_ns < queue->complete_ns) {
        op->done_ns = queue->complete_ns;
    }
    queue->complete_ns = op->done_ns;
    if (breaks(net, peer, host, plane)) {
        return;
    }
    sim_land_arm(net, peer, host, plane);
    complete_arm(net, peer, host, plane);
}

// One step of the operation that is landing; true when it is done.
static bool step_op(struct sim_net *net, uint32_t peer, uint32_t host, struct sim_op *op)
{
    struct sim_host *memory = op->host;
    const struct sim_node *node = &net->node[peer];
    if (op->step < op->steps) {
        bool allowed = permitted(node, memory, op);
        if (!allowed) {
            op->refused = true;
            if (op->step > 0) {
                net->fault[SIM_FAULT_CUT_BY_REVOKE]++;
            }
            if (late_store(net, node, memory, op)) {
                net->fault[SIM_FAULT_LATE_STORE]++;
                allowed = true;
            }
        }
        if (allowed) {
            move_words(op, op->step);
            if (op->op.kind == TACIT_OP_READ && net->lie != NULL && op->step + 1 == op->steps) {
                net->lie(net->wake_context, peer, host, op);
            }
            if (op->op.kind == TACIT_OP_WRITE && !memory->dead) {
                net->landed(net->wake_context, peer, host, op->step + 1 == op->steps);
            }
        }
        op->step++;
        if (op->step < op->steps) {
            op->arrive_ns = net->now_ns + 1 + choice_u32(net->choice, net->model.tear_ns);
            return false;
        }
    }
    if (!op->checked) {
        op->checked = true;
        if (op->rights == SIM_RIGHTS_HOLDER && !op->orphan &&
            choice_chance(net->choice, net->model.check_gap_rate)) {
            op->arrive_ns = net->now_ns + 1 + choice_u32(net->choice, net->model.tear_ns);
            return false;
        }
    }
    if (!permitted(node, memory, op)) {
        op->refused = true;
    }
    return true;
}

static void land(struct sim_net *net, uint32_t peer, uint32_t host, uint32_t plane)
{
    struct sim_conn *conn = conn_of(net, peer, host);
    struct sim_plane *queue = &conn->plane[plane];
    struct sim_op *op = queue->landing;
    queue->land_armed = false;
    if (op == NULL || net->blocked[peer][host]) {
        return; // the end of the partition goes on
    }
    if (op->host->dead && !op->orphan && !conn->ghost) {
        return; // the peer will learn of the death
    }
    if (op->arrive_ns > net->now_ns) {
        sim_land_arm(net, peer, host, plane);
        return;
    }
    if (!op->started) {
        start_op(net, op);
        if (!op->orphan && breaks(net, peer, host, plane)) {
            return;
        }
    }
    if (!step_op(net, peer, host, op)) {
        sim_land_arm(net, peer, host, plane);
        return;
    }
    finish_op(net, peer, host, plane);
}

static void complete(struct sim_net *net, uint32_t peer, uint32_t host, uint32_t plane)
{
    struct sim_conn *conn = conn_of(net, peer, host);
    struct sim_plane *queue = &conn->plane[plane];
    struct sim_node *node = &net->node[peer];
    queue->complete_armed = false;
    bool denied = false;
    while (queue->first != NULL && queue->first->landed && queue->first->done_ns <= net->now_ns) {
        struct sim_op *op = queue->first;
        if (net->blocked[host][peer] || (op->host->dead && !conn->ghost)) {
            return;
        }
        queue->first = op->next;
        queue->count--;
        if (queue->first == NULL) {
            queue->last = NULL;
        }
        if (op->host->dead) {
            net->fault[SIM_FAULT_GHOST_OK] += op->status == TACIT_COMPLETION_OK;
        }
        if (op->status == TACIT_COMPLETION_DENIED) {
            net->fault[SIM_FAULT_DENIED]++;
            node->fabric.counters.plane[plane].denied++;
            denied = true;
        }
        if (op->status != TACIT_COMPLETION_OK || (op->op.flags & TACIT_OP_QUIET) == 0) {
            sim_event_push(node,
                           &(struct tacit_event){.kind = TACIT_EVENT_COMPLETION,
                                                 .status = op->status,
                                                 .node = net->node[host].node,
                                                 .cookie = op->op.cookie},
                           host);
        }
        sim_op_free(net, op);
    }
    if (denied && peer != host && choice_chance(net->choice, net->model.deny_break_rate)) {
        net->fault[SIM_FAULT_CONN_BREAK]++;
        sim_conn_break(net, peer, host, false);
        return;
    }
    complete_arm(net, peer, host, plane);
}

void sim_land_timer(struct sim_net *net, const struct sim_timer *timer)
{
    struct sim_plane *queue = &net->node[timer->a].conn[timer->b].plane[timer->c];
    if (timer->kind == SIM_TIMER_LAND) {
        if (timer->version == queue->land_version) {
            land(net, timer->a, timer->b, timer->c);
        }
    } else if (timer->version == queue->complete_version) {
        complete(net, timer->a, timer->b, timer->c);
    }
}
