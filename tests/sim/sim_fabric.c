// SPDX-License-Identifier: Apache-2.0
//
// The sim provider's port: what a node's code calls. See sim_fabric.h.
#include "sim_fabric.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sim_fabric_parts.h"

#define HANDLE_INDEX_BITS 8u
_Static_assert(SIM_REGIONS <= 1u << HANDLE_INDEX_BITS, "handles name regions");
_Static_assert(SIM_EVENTS > SIM_OPS && (SIM_EVENTS & (SIM_EVENTS - 1)) == 0, "events");

static const char *const fault_names[SIM_FAULTS] = {
    [SIM_FAULT_TEAR] = "operations torn into steps",
    [SIM_FAULT_SLOW] = "operations held up",
    [SIM_FAULT_PLANE_BREAK] = "planes broken",
    [SIM_FAULT_CONN_BREAK] = "connections broken",
    [SIM_FAULT_LATE_LANDING] = "lost operations landing late",
    [SIM_FAULT_CUT_BY_REVOKE] = "writes cut by a revocation",
    [SIM_FAULT_LATE_STORE] = "refused stores into the old holder's region",
    [SIM_FAULT_GHOST_OK] = "completions OK from a dead host",
    [SIM_FAULT_STALL] = "connections given up in a partition",
    [SIM_FAULT_DENIED] = "operations denied",
    [SIM_FAULT_FULL] = "posts refused",
    [SIM_FAULT_CRASH] = "nodes crashed",
    [SIM_FAULT_RESTART] = "nodes restarted",
    [SIM_FAULT_PARTITION] = "directions blocked",
    [SIM_FAULT_PAUSE] = "nodes paused",
    [SIM_FAULT_CLIENT_CRASH] = "clients crashed",
    [SIM_FAULT_SUSPICION] = "wrong suspicions",
};

const char *sim_fault_name(enum sim_fault fault)
{
    return fault_names[fault];
}

void sim_net_violation(struct sim_net *net, tacit_node_t node, const char *text)
{
    if (net->violation == NULL) {
        net->violation = text;
        net->violator = node;
    }
}

void sim_trace(struct sim_net *net, uint64_t what)
{
    uint64_t hash = net->trace ^ what;
    hash = (hash ^ hash >> 29 ^ net->now_ns) * 0xbf58476d1ce4e5b9ull;
    net->trace = hash ^ hash >> 32;
}

uint32_t sim_net_slot(const struct sim_net *net, tacit_node_t node)
{
    for (uint32_t slot = 0; slot < net->slots; slot++) {
        if (net->node[slot].node == node) {
            return slot;
        }
    }
    return SIM_SLOTS;
}

uint32_t sim_net_routed(const struct sim_net *net, uint32_t peer, uint32_t slot)
{
    bool is_twin = slot == net->twin_first || slot == net->twin_second;
    if (!is_twin || slot >= SIM_SLOTS) {
        return slot;
    }
    return net->to_second[peer] ? net->twin_second : net->twin_first;
}

// The slot that a node reaches under that number; net->slots or above: nobody.
static uint32_t slot_from(const struct sim_node *node, tacit_node_t host)
{
    return host == node->fabric.self
               ? node->slot
               : sim_net_routed(node->net, node->slot, sim_net_slot(node->net, host));
}

// ---- events
// ------------------------------------------------------------------------------------------

void sim_event_push(struct sim_node *node, const struct tacit_event *event, uint32_t peer)
{
    if (!node->alive) {
        return;
    }
    assert(node->event_last - node->event_first < SIM_EVENTS);
    struct sim_event *slot = &node->event[node->event_last++ % SIM_EVENTS];
    slot->event = *event;
    slot->peer = peer;
    slot->epoch = peer < SIM_SLOTS ? node->conn[peer].epoch : 0;
    sim_trace(node->net, (uint64_t)event->kind << 48 ^ (uint64_t)event->node << 32 ^
                             (uint64_t)event->status << 30 ^ (uint64_t)node->slot << 24 ^
                             event->incarnation ^ event->generation);
    node->net->wake(node->net->wake_context, node->slot, 0);
}

// The process takes notice: from now on the connection may be used, or made anew.
static void notice(struct sim_node *node, const struct sim_event *event)
{
    struct sim_net *net = node->net;
    if (event->peer >= SIM_SLOTS) {
        if (event->event.kind == TACIT_EVENT_REVOKED &&
            event->event.generation == node->host->last_generation) {
            node->host->free_seen = true;
        }
        return;
    }
    struct sim_conn *conn = &node->conn[event->peer];
    if (event->event.kind == TACIT_EVENT_UP) {
        conn->seen_up = conn->up && conn->epoch == event->epoch;
    } else if (event->event.kind == TACIT_EVENT_DOWN && conn->epoch == event->epoch) {
        conn->down_seen = true;
        if (sim_is_client_pair(net, node->slot, event->peer)) {
            for (uint32_t i = 0; i < node->host->regions; i++) {
                struct sim_region *region = &node->host->region[i];
                if (region->key.owner == event->event.node &&
                    (region->key.region_class == TACIT_REGION_REQUESTS ||
                     region->key.region_class == TACIT_REGION_REPLIES)) {
                    region->live = false;
                }
            }
            sim_conn_kick(net, event->peer, node->slot);
        }
        sim_conn_kick(net, node->slot, event->peer);
    }
}

static size_t fabric_poll(struct tacit_fabric *fabric, struct tacit_event *events, size_t max)
{
    struct sim_node *node = (struct sim_node *)fabric;
    size_t count = 0;
    while (count < max && node->event_first != node->event_last) {
        const struct sim_event *event = &node->event[node->event_first++ % SIM_EVENTS];
        events[count++] = event->event;
        notice(node, event);
    }
    return count;
}

// ---- regions
// -----------------------------------------------------------------------------------------

static bool readable(const struct sim_node *peer, const struct sim_region *region)
{
    uint8_t region_class = region->key.region_class;
    return peer->role == SIM_REPLICA &&
           (region_class == TACIT_REGION_PAGE || region_class == TACIT_REGION_STATE ||
            region_class == TACIT_REGION_LOG || region_class == TACIT_REGION_REGISTERS);
}

static bool owned(const struct sim_node *peer, const struct sim_region *region)
{
    return region->key.owner == peer->node && region->key.incarnation == peer->incarnation;
}

static struct tacit_region_key own_key(const struct sim_node *node, struct tacit_region_key key)
{
    if (key.owner == TACIT_NODE_SELF) {
        key.owner = node->node;
        key.incarnation = node->incarnation;
    }
    return key;
}

static int32_t fabric_region(struct tacit_fabric *fabric, tacit_node_t host,
                             struct tacit_region_key key)
{
    struct sim_node *node = (struct sim_node *)fabric;
    uint32_t slot = slot_from(node, host);
    if (slot >= node->net->slots || !node->conn[slot].seen_up) {
        return -1;
    }
    struct sim_conn *conn = &node->conn[slot];
    struct sim_region *region = sim_region_find(conn->host, own_key(node, key));
    if (region == NULL) {
        return -1;
    }
    uint32_t index = (uint32_t)(region - conn->host->region);
    // A REGISTERS region is known to all before its owner can use it.
    bool is_announced = slot == node->slot || index < conn->announced ||
                        region->key.region_class == TACIT_REGION_REGISTERS;
    if (!is_announced || (!readable(node, region) && !owned(node, region))) {
        return -1;
    }
    return (int32_t)((conn->epoch & 0x3fffffu) << HANDLE_INDEX_BITS | index);
}

static void *fabric_local(struct tacit_fabric *fabric, struct tacit_region_key key, size_t *bytes)
{
    struct sim_node *node = (struct sim_node *)fabric;
    struct sim_region *region = sim_region_find(node->host, own_key(node, key));
    if (bytes != NULL) {
        *bytes = region == NULL ? 0 : region->bytes;
    }
    return region == NULL ? NULL : region->memory;
}

static size_t fabric_log_regions(struct tacit_fabric *fabric, struct tacit_region_key *keys,
                                 size_t max)
{
    struct sim_node *node = (struct sim_node *)fabric;
    size_t count = 0;
    for (uint32_t i = 0; i < node->host->regions && count < max; i++) {
        const struct sim_region *region = &node->host->region[i];
        if (region->live && region->key.region_class == TACIT_REGION_LOG) {
            keys[count++] = region->key;
        }
    }
    return count;
}

static void fabric_retire(struct tacit_fabric *fabric, struct tacit_region_key key)
{
    struct sim_node *node = (struct sim_node *)fabric;
    struct sim_region *region = sim_region_find(node->host, key);
    if (region == NULL || key.region_class != TACIT_REGION_LOG) {
        sim_net_violation(node->net, node->node, "retire() of a region that is not there");
        return;
    }
    region->live = false;
}

// ---- posting
// -----------------------------------------------------------------------------------------

static bool attached(const struct sim_node *node, const void *local, size_t bytes)
{
    const char *at = local;
    for (uint32_t i = 0; i < node->attached_count; i++) {
        const char *base = node->attached[i].base;
        if (at >= base && at + bytes <= base + node->attached[i].bytes) {
            return true;
        }
    }
    return false;
}

// What a correct caller never does. NULL, or what is wrong.
static const char *wrong(const struct sim_node *node, const struct sim_conn *conn,
                         const struct tacit_op *op)
{
    uint32_t index = (uint32_t)op->region & ((1u << HANDLE_INDEX_BITS) - 1);
    if (op->kind != TACIT_OP_WRITE && op->kind != TACIT_OP_READ) {
        return "post() of an unknown kind of operation";
    }
    if (op->region < 0 || (uint32_t)op->region >> HANDLE_INDEX_BITS != (conn->epoch & 0x3fffffu) ||
        index >= conn->host->regions) {
        return "post() with a void handle";
    }
    if (op->bytes == 0 || op->bytes % 8 != 0 || op->offset % 8 != 0 ||
        ((uintptr_t)op->local & 7) != 0) {
        return "post() with a bad length or alignment";
    }
    if (op->offset + op->bytes > conn->host->region[index].bytes) {
        return "post() beyond the end of the region";
    }
    if ((op->flags & TACIT_OP_QUIET) != 0 && op->bytes > TACIT_OP_QUIET_BYTES) {
        return "a quiet operation that is too large";
    }
    if (op->kind == TACIT_OP_READ && (op->flags & TACIT_OP_QUIET) != 0) {
        return "a quiet read: nobody would learn that it is done";
    }
    if (op->kind == TACIT_OP_WRITE && op->bytes > node->net->copy_bytes) {
        return "a write larger than the simulation allows";
    }
    // Quiet writes are copied by the provider, wherever they come from.
    if ((op->flags & TACIT_OP_QUIET) == 0 && !attached(node, op->local, op->bytes)) {
        return "post() from memory that was not attached";
    }
    return NULL;
}

static enum sim_rights rights_of(const struct sim_node *node, const struct sim_region *region,
                                 const struct tacit_op *op)
{
    bool log = region->key.region_class == TACIT_REGION_LOG;
    if (op->kind == TACIT_OP_WRITE) {
        return !owned(node, region) ? SIM_RIGHTS_NONE : log ? SIM_RIGHTS_HOLDER : SIM_RIGHTS_FREE;
    }
    if (!readable(node, region)) {
        return SIM_RIGHTS_NONE;
    }
    return (op->flags & TACIT_OP_AS_HOLDER) != 0 ? SIM_RIGHTS_HOLDER : SIM_RIGHTS_FREE;
}

static void count_post(struct sim_node *node, uint32_t host, const struct tacit_op *op)
{
    struct tacit_plane_counters *counters = &node->fabric.counters.plane[op->plane];
    bool write = op->kind == TACIT_OP_WRITE;
    if (host == node->slot) {
        counters->self_writes += write;
        counters->self_reads += !write;
        return;
    }
    counters->writes += write;
    counters->reads += !write;
    *(write ? &counters->write_bytes : &counters->read_bytes) += op->bytes;
}

static uint64_t draw_latency(struct sim_net *net, bool self)
{
    const struct sim_model *model = &net->model;
    if (self) {
        return choice_u32(net->choice, model->self_latency_ns + 1);
    }
    uint64_t latency = model->latency_ns + choice_u32(net->choice, model->jitter_ns + 1);
    if (choice_chance(net->choice, model->slow_rate)) {
        net->fault[SIM_FAULT_SLOW]++;
        latency += choice_spread_ns(net->choice, model->slow_ns);
    }
    return latency;
}

static void enqueue(struct sim_net *net, uint32_t peer, uint32_t host, struct sim_op *entry,
                    uint64_t delay_ns)
{
    struct sim_plane *queue = &net->node[peer].conn[host].plane[entry->op.plane];
    entry->back_ns = peer == host ? 0 : net->model.latency_ns;
    delay_ns += net->timing != NULL
                    ? net->timing(net->wake_context, peer, host, &entry->op, &entry->back_ns)
                    : draw_latency(net, peer == host);
    entry->arrive_ns = net->now_ns + delay_ns;
    if (queue->last != NULL) {
        if (entry->arrive_ns < queue->last->arrive_ns) {
            entry->arrive_ns = queue->last->arrive_ns;
        }
        queue->last->next = entry;
    } else {
        queue->first = entry;
    }
    queue->last = entry;
    queue->count++;
    if (queue->landing == NULL) {
        queue->landing = entry;
    }
    sim_land_arm(net, peer, host, entry->op.plane);
}

static bool fabric_post(struct tacit_fabric *fabric, const struct tacit_op *op)
{
    struct sim_node *node = (struct sim_node *)fabric;
    struct sim_net *net = node->net;
    uint32_t slot = slot_from(node, op->host);
    if (slot >= net->slots || op->plane >= TACIT_PLANES || !node->conn[slot].seen_up) {
        return false;
    }
    struct sim_conn *conn = &node->conn[slot];
    const char *mistake = wrong(node, conn, op);
    if (mistake != NULL) {
        sim_net_violation(net, node->node, mistake);
        return false;
    }
    struct sim_plane *queue = &conn->plane[op->plane];
    if (queue->count >= net->model.plane_depth ||
        (net->free_ops == NULL && net->fresh_ops == SIM_OPS)) {
        return false;
    }
    if (choice_chance(net->choice, net->model.full_rate)) {
        net->fault[SIM_FAULT_FULL]++;
        return false;
    }
    count_post(node, slot, op);
    conn->last_plane = op->plane;
    if (queue->broken) {
        fabric->counters.plane[op->plane].lost++;
        sim_event_push(node,
                       &(struct tacit_event){.kind = TACIT_EVENT_COMPLETION,
                                             .status = TACIT_COMPLETION_LOST,
                                             .node = op->host,
                                             .cookie = op->cookie},
                       slot);
        return true;
    }
    struct sim_op *entry = sim_op_take(net);
    entry->op = *op;
    entry->host = conn->host;
    entry->region = &conn->host->region[(uint32_t)op->region & ((1u << HANDLE_INDEX_BITS) - 1)];
    entry->poster = node->incarnation;
    entry->rights = (uint8_t)rights_of(node, entry->region, op);
    if (op->kind == TACIT_OP_WRITE) {
        memcpy(entry->copy, op->local, op->bytes);
    }
    uint64_t delay_ns = 0;
    if (net->tamper != NULL && op->kind == TACIT_OP_WRITE) {
        entry->tampered = true;
        entry->muted = !net->tamper(net->wake_context, node->slot, slot, entry, &delay_ns);
    }
    enqueue(net, node->slot, slot, entry, delay_ns);
    return true;
}

bool sim_net_forge(struct sim_net *net, uint32_t peer, uint32_t host, struct tacit_region_key key,
                   uint64_t offset, const void *data, uint32_t bytes)
{
    struct sim_node *node = &net->node[peer];
    struct sim_conn *conn = &node->conn[host];
    if (!node->alive || !conn->seen_up || !conn->up) {
        return false;
    }
    struct sim_region *region = sim_region_find(conn->host, key);
    struct sim_plane *queue = &conn->plane[TACIT_PLANE_DATA];
    if (region == NULL || offset + bytes > region->bytes || bytes > net->copy_bytes ||
        queue->broken || queue->count >= net->model.plane_depth) {
        return false;
    }
    struct sim_op *entry = sim_op_take(net);
    if (entry == NULL) {
        return false;
    }
    entry->op = (struct tacit_op){.kind = TACIT_OP_WRITE,
                                  .plane = TACIT_PLANE_DATA,
                                  .flags = TACIT_OP_QUIET,
                                  .host = net->node[host].node,
                                  .bytes = bytes,
                                  .offset = offset,
                                  .cookie = TACIT_COOKIE(TACIT_COOKIE_LINKS, 0)};
    entry->host = conn->host;
    entry->region = region;
    entry->poster = node->incarnation;
    entry->rights = (uint8_t)rights_of(node, region, &entry->op);
    entry->tampered = true;
    memcpy(entry->copy, data, bytes);
    enqueue(net, peer, host, entry, 0);
    return true;
}

static void fabric_ring(struct tacit_fabric *fabric, tacit_node_t host)
{
    struct sim_node *node = (struct sim_node *)fabric;
    struct sim_net *net = node->net;
    uint32_t slot = slot_from(node, host);
    if (slot >= net->slots || !node->conn[slot].seen_up || node->role == SIM_MEMNODE) {
        return;
    }
    struct sim_conn *conn = &node->conn[slot];
    struct sim_node *sleeper = &net->node[slot];
    // A bell is spent on a sleeper only, and one is enough. (Whoever drives virtual time without
    // arming is woken all the same.)
    if (sleeper->armed && !sleeper->bell) {
        sleeper->bell = true;
        fabric->counters.rings++;
    } else {
        fabric->counters.rings_suppressed++;
    }
    struct sim_plane *queue = &conn->plane[conn->last_plane];
    if (queue->landing != NULL) {
        queue->last->ring = true; // a doorbell never overtakes the writes before it
    } else if (net->blocked[node->slot][slot]) {
        conn->ring_pending = true;
    } else {
        sim_ring_land(net, slot);
    }
}

void sim_net_ring(struct sim_net *net, uint32_t peer, uint32_t host)
{
    fabric_ring(&net->node[peer].fabric, net->node[host].node);
}

static void fabric_reset(struct tacit_fabric *fabric, tacit_node_t host)
{
    struct sim_node *node = (struct sim_node *)fabric;
    uint32_t slot = slot_from(node, host);
    if (slot < node->net->slots && slot != node->slot) {
        sim_net_break(node->net, node->slot, slot);
    }
}

// ---- permission
// --------------------------------------------------------------------------------------

static void switch_start(struct sim_node *node, struct sim_switch what)
{
    struct sim_net *net = node->net;
    if (what.generation <= node->host->last_generation) {
        sim_net_violation(net, node->node, "a generation that does not grow");
        return;
    }
    node->host->last_generation = what.generation;
    uint32_t number = node->perm_count++;
    node->perm[number % SIM_SWITCHES] = what;
    uint64_t effect = net->now_ns + choice_u32(net->choice, net->model.switch_ns + 1);
    if (effect < node->perm_ns) {
        effect = node->perm_ns;
    }
    uint64_t told = effect + choice_u32(net->choice, net->model.switch_ns + 1);
    node->perm_ns = told;
    struct sim_timer timer = {.kind = SIM_TIMER_SWITCH, .a = node->slot, .version = number};
    sim_after(net, effect - net->now_ns, timer);
    timer.kind = SIM_TIMER_SWITCHED;
    sim_after(net, told - net->now_ns, timer);
}

static void fabric_grant(struct tacit_fabric *fabric, tacit_node_t holder,
                         tacit_incarnation_t incarnation, uint64_t generation)
{
    struct sim_node *node = (struct sim_node *)fabric;
    if (!node->host->free_seen) {
        sim_net_violation(node->net, node->node,
                          "grant() before the previous holder's REVOKED was seen");
    }
    node->host->free_seen = false;
    switch_start(node, (struct sim_switch){.grant = true,
                                           .holder = holder,
                                           .incarnation = incarnation,
                                           .generation = generation});
}

static void fabric_revoke(struct tacit_fabric *fabric, uint64_t generation)
{
    struct sim_node *node = (struct sim_node *)fabric;
    node->host->free_seen = false;
    switch_start(node, (struct sim_switch){.holder = TACIT_NODE_NONE, .generation = generation});
}

void sim_switch_timer(struct sim_net *net, const struct sim_timer *timer)
{
    struct sim_node *node = &net->node[timer->a];
    if (!node->alive || timer->version < node->perm_base) {
        return; // of a dead incarnation
    }
    const struct sim_switch *what = &node->perm[timer->version % SIM_SWITCHES];
    if (timer->kind == SIM_TIMER_SWITCH) {
        node->host->holder = what->holder;
        node->host->holder_incarnation = what->incarnation;
        node->host->generation = what->generation;
        return;
    }
    uint8_t kind = what->grant ? TACIT_EVENT_GRANTED : TACIT_EVENT_REVOKED;
    sim_event_push(node,
                   &(struct tacit_event){
                       .kind = kind, .node = node->fabric.self, .generation = what->generation},
                   SIM_SLOTS);
}

// ---- the rest of the port
// ----------------------------------------------------------------------------

static void fabric_attach(struct tacit_fabric *fabric, void *base, size_t bytes)
{
    struct sim_node *node = (struct sim_node *)fabric;
    assert(node->attached_count < SIM_ATTACHED);
    node->attached[node->attached_count].base = base;
    node->attached[node->attached_count++].bytes = bytes;
}

// Sleeping is the business of whoever drives virtual time.
static void fabric_arm(struct tacit_fabric *fabric)
{
    struct sim_node *node = (struct sim_node *)fabric;
    node->armed = true;
    node->bell = false;
}

static void fabric_disarm(struct tacit_fabric *fabric)
{
    struct sim_node *node = (struct sim_node *)fabric;
    node->armed = false;
}

static void fabric_sleep(struct tacit_fabric *fabric, tacit_time_ns_t until_ns)
{
    (void)fabric;
    (void)until_ns;
}

const struct tacit_fabric_ops sim_fabric_ops = {
    .post = fabric_post,
    .poll = fabric_poll,
    .ring = fabric_ring,
    .region = fabric_region,
    .local = fabric_local,
    .log_regions = fabric_log_regions,
    .grant = fabric_grant,
    .revoke = fabric_revoke,
    .retire = fabric_retire,
    .reset = fabric_reset,
    .attach = fabric_attach,
    .arm = fabric_arm,
    .sleep = fabric_sleep,
    .disarm = fabric_disarm,
};

bool sim_net_timer(struct sim_net *net, const struct sim_timer *timer)
{
    switch (timer->kind) {
    case SIM_TIMER_LAND:
    case SIM_TIMER_COMPLETE:
        sim_land_timer(net, timer);
        return true;
    case SIM_TIMER_SWITCH:
    case SIM_TIMER_SWITCHED:
        sim_switch_timer(net, timer);
        return true;
    case SIM_TIMER_RING:
        if (net->node[timer->a].alive) {
            net->node[timer->a].rung++;
            net->wake(net->wake_context, timer->a, 0);
        }
        return true;
    default:
        if (timer->kind >= SIM_NET_TIMERS) {
            return false;
        }
        sim_conn_timer(net, timer);
        return true;
    }
}
