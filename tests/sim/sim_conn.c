// SPDX-License-Identifier: Apache-2.0
//
// Connections of the sim fabric: made, broken, blocked by partitions, and the death and rebirth of
// nodes.
#include <assert.h>
#include <string.h>

#include "sim_fabric_parts.h"

#define REFUSED_NS 200000u

static struct sim_conn *conn_of(struct sim_net *net, uint32_t peer, uint32_t host)
{
    return &net->node[peer].conn[host];
}

bool sim_is_client_pair(const struct sim_net *net, uint32_t peer, uint32_t host)
{
    return net->node[peer].role == SIM_CLIENT || net->node[host].role == SIM_CLIENT;
}

// ---- regions
// -----------------------------------------------------------------------------------------

struct sim_region *sim_region_find(struct sim_host *host, struct tacit_region_key key)
{
    for (uint32_t i = host->regions; i-- > 0;) {
        struct sim_region *region = &host->region[i];
        if (region->live && region->key.region_class == key.region_class &&
            region->key.owner == key.owner && region->key.incarnation == key.incarnation) {
            return region;
        }
    }
    return NULL;
}

static struct sim_region *region_add(struct sim_net *net, struct sim_host *host,
                                     struct tacit_region_key key, size_t bytes)
{
    assert(host->regions < SIM_REGIONS);
    size_t room = (bytes + 63) / 64 * 64;
    assert(net->memory_used + room <= net->memory_bytes);
    struct sim_region *region = &host->region[host->regions++];
    region->key = key;
    region->memory = net->memory + net->memory_used / 8;
    region->bytes = bytes;
    region->live = true;
    net->memory_used += room;
    memset(region->memory, 0, room);
    return region;
}

static void kill_older(struct sim_host *host, uint8_t region_class, tacit_node_t owner)
{
    for (uint32_t i = 0; i < host->regions; i++) {
        struct sim_region *region = &host->region[i];
        if (region->key.region_class == region_class && region->key.owner == owner) {
            region->live = false;
        }
    }
}

// Peers that were connected before learn of new regions later.
static void announce(struct sim_net *net, uint32_t host, uint32_t except)
{
    for (uint32_t peer = 0; peer < net->slots; peer++) {
        struct sim_conn *conn = conn_of(net, peer, host);
        if (peer == except || peer == host || !conn->up || conn->host != net->node[host].host) {
            continue;
        }
        sim_after(net, choice_spread_ns(net->choice, net->model.announce_ns),
                  (struct sim_timer){.kind = SIM_TIMER_ANNOUNCE,
                                     .a = (uint8_t)peer,
                                     .b = (uint8_t)host,
                                     .c = (uint8_t)conn->epoch,
                                     .version = conn->host->regions});
    }
    sim_event_push(&net->node[host],
                   &(struct tacit_event){.kind = TACIT_EVENT_REGIONS, .node = net->node[host].node},
                   host);
}

static bool log_known(const struct sim_host *host, const struct sim_node *owner, uint32_t *live)
{
    bool known = false;
    *live = 0;
    for (uint32_t i = 0; i < host->regions; i++) {
        const struct sim_region *region = &host->region[i];
        if (region->key.region_class == TACIT_REGION_LOG) {
            *live += region->live;
            known = known || (region->key.owner == owner->node &&
                              region->key.incarnation == owner->incarnation);
        }
    }
    return known;
}

// What a host makes for a peer that connects; see struct tacit_host_layout.
static void make_regions(struct sim_net *net, uint32_t peer, uint32_t host)
{
    const struct sim_node *from = &net->node[peer];
    struct sim_node *to = &net->node[host];
    struct tacit_region_key key = {.owner = from->node, .incarnation = from->incarnation};
    if (from->role == SIM_REPLICA && to->role != SIM_CLIENT) {
        key.region_class = TACIT_REGION_CONTROL;
        if (to->layout.control_bytes != 0 && sim_region_find(to->host, key) == NULL) {
            kill_older(to->host, TACIT_REGION_CONTROL, from->node);
            region_add(net, to->host, key, to->layout.control_bytes);
        }
        key.region_class = TACIT_REGION_REGISTERS;
        if (to->layout.registers_bytes != 0 && sim_region_find(to->host, key) == NULL) {
            region_add(net, to->host, key, to->layout.registers_bytes);
        }
        key.region_class = TACIT_REGION_LOG;
        uint32_t live;
        if (to->layout.log_bytes != 0 && !log_known(to->host, from, &live)) {
            region_add(net, to->host, key, to->layout.log_bytes);
            announce(net, host, peer);
        }
        return;
    }
    // Rings of a client connection start anew with every connection.
    bool client = from->role == SIM_CLIENT;
    size_t bytes = client ? to->layout.requests_bytes : to->layout.replies_bytes;
    key.region_class = client ? TACIT_REGION_REQUESTS : TACIT_REGION_REPLIES;
    if (bytes == 0) {
        return;
    }
    for (uint32_t i = 0; i < to->host->regions; i++) {
        struct sim_region *region = &to->host->region[i];
        if (region->key.region_class == key.region_class && region->key.owner == key.owner) {
            region->key.incarnation = key.incarnation;
            region->live = true;
            memset(region->memory, 0, region->bytes);
            return;
        }
    }
    region_add(net, to->host, key, bytes);
}

// ---- making and breaking
// -----------------------------------------------------------------------------

void sim_conn_kick(struct sim_net *net, uint32_t peer, uint32_t host)
{
    sim_after(
        net, 1 + choice_spread_ns(net->choice, net->model.reconnect_ns),
        (struct sim_timer){.kind = SIM_TIMER_CONNECT, .a = (uint8_t)peer, .b = (uint8_t)host});
}

static void break_one(struct sim_net *net, uint32_t peer, uint32_t host, bool certain)
{
    struct sim_conn *conn = conn_of(net, peer, host);
    if (!conn->up) {
        return;
    }
    // Down first: what pending operations trigger must not find it up.
    conn->up = false;
    conn->seen_up = false;
    conn->down_seen = false;
    conn->ghost = false;
    conn->down_certain = certain;
    conn->ring_pending = false;
    conn->version++;
    if (net->changed != NULL) {
        net->changed(net->wake_context, peer, host);
    }
    for (uint32_t plane = 0; plane < TACIT_PLANES; plane++) {
        sim_plane_lose(net, peer, host, plane);
    }
    sim_event_push(&net->node[peer],
                   &(struct tacit_event){.kind = TACIT_EVENT_DOWN,
                                         .node = net->node[host].node,
                                         .incarnation = conn->host->incarnation,
                                         .certain = certain},
                   host);
}

void sim_conn_break(struct sim_net *net, uint32_t peer, uint32_t host, bool certain)
{
    break_one(net, peer, host, certain);
    if (sim_is_client_pair(net, peer, host)) {
        break_one(net, host, peer, false);
    }
}

static void establish(struct sim_net *net, uint32_t peer, uint32_t host)
{
    struct sim_node *node = &net->node[peer];
    struct sim_conn *conn = conn_of(net, peer, host);
    for (uint32_t plane = 0; plane < TACIT_PLANES; plane++) {
        sim_plane_drop(net, peer, host, plane);
    }
    make_regions(net, peer, host);
    conn->host = net->node[host].host;
    conn->host->met[peer].incarnation = node->incarnation;
    conn->host->met[peer].life = node->life;
    conn->announced = conn->host->regions;
    conn->epoch++;
    conn->version++;
    conn->up = true;
    conn->down_seen = true;
    conn->ring_pending = false;
    if (net->changed != NULL) {
        net->changed(net->wake_context, peer, host);
    }
    sim_event_push(node,
                   &(struct tacit_event){.kind = TACIT_EVENT_UP,
                                         .node = net->node[host].node,
                                         .incarnation = net->node[host].incarnation,
                                         .identity = net->node[host].identity},
                   host);
}

// Whether a host can take a replica: it needs room for its log region.
static bool has_room(struct sim_net *net, uint32_t peer, uint32_t host)
{
    const struct sim_node *to = &net->node[host];
    uint32_t live;
    if (net->node[peer].role != SIM_REPLICA || to->role == SIM_CLIENT ||
        to->layout.log_bytes == 0 || log_known(to->host, &net->node[peer], &live) ||
        live < SIM_LOGS_MAX) {
        return true;
    }
    sim_conn_kick(net, peer, host); // it keeps trying
    return false;
}

// Whether a host takes this life of a peer: the one that it knows, or one under a larger
// incarnation. Of several bodies of a seat a host takes each: only lives of one body grow.
static bool welcomes(const struct sim_net *net, uint32_t host, uint32_t peer)
{
    const struct sim_node *node = &net->node[peer];
    tacit_incarnation_t met = net->node[host].host->met[peer].incarnation;
    bool is_other = node->role != SIM_CLIENT && met >> 20 != node->incarnation >> 20;
    return net->node[host].host->met[peer].life == node->life || is_other ||
           met < node->incarnation;
}

static bool can_connect(struct sim_net *net, uint32_t peer, uint32_t host)
{
    const struct sim_conn *conn = conn_of(net, peer, host);
    return conn->wanted && !conn->up && conn->down_seen && net->node[peer].alive &&
           net->node[host].alive && !net->blocked[peer][host] && !net->blocked[host][peer];
}

static void connect_now(struct sim_net *net, uint32_t peer, uint32_t host)
{
    const struct sim_node *left = &net->node[peer];
    const struct sim_node *right = &net->node[host];
    if (!left->alive || !right->alive || !welcomes(net, peer, host) || !welcomes(net, host, peer)) {
        return;
    }
    if (net->admits != NULL && (!net->admits(net->wake_context, peer, host) ||
                                !net->admits(net->wake_context, host, peer))) {
        // It keeps trying, as who refuses may be behind; but not as often as after a mere loss.
        sim_after(
            net, REFUSED_NS + choice_spread_ns(net->choice, net->model.reconnect_ns),
            (struct sim_timer){.kind = SIM_TIMER_CONNECT, .a = (uint8_t)peer, .b = (uint8_t)host});
        return;
    }
    // A new incarnation that connects proves that the old one is gone.
    struct sim_conn *back = conn_of(net, host, peer);
    if (back->up && back->host->dead && net->node[peer].alive) {
        sim_conn_break(net, host, peer, !choice_chance(net->choice, net->model.uncertain_rate));
    }
    if (!can_connect(net, peer, host) || !has_room(net, peer, host) || !has_room(net, host, peer)) {
        return;
    }
    // One handshake serves both directions; they may break one by one, but for clients'.
    bool back_too = can_connect(net, host, peer);
    if (back_too || !sim_is_client_pair(net, peer, host)) {
        establish(net, peer, host);
    }
    if (back_too) {
        establish(net, host, peer);
    }
}

void sim_net_connect(struct sim_net *net, uint32_t peer, uint32_t host)
{
    struct sim_conn *conn = conn_of(net, peer, host);
    if (peer != host && !conn->wanted) {
        conn->wanted = true;
        sim_conn_kick(net, peer, host);
    }
}

void sim_net_route(struct sim_net *net, uint32_t peer, bool to_second)
{
    uint32_t old = sim_net_routed(net, peer, net->twin_first);
    net->to_second[peer] = to_second;
    uint32_t new = sim_net_routed(net, peer, net->twin_first);
    if (old == new) {
        return;
    }
    conn_of(net, peer, old)->wanted = conn_of(net, old, peer)->wanted = false;
    sim_conn_break(net, peer, old, false);
    sim_conn_break(net, old, peer, false);
    conn_of(net, peer, new)->wanted = conn_of(net, new, peer)->wanted = true;
    sim_conn_kick(net, peer, new);
    sim_conn_kick(net, new, peer);
}

void sim_net_break(struct sim_net *net, uint32_t peer, uint32_t host)
{
    if (conn_of(net, peer, host)->up) {
        net->fault[SIM_FAULT_CONN_BREAK]++;
        sim_conn_break(net, peer, host, false);
    }
}

void sim_net_block(struct sim_net *net, uint32_t from, uint32_t to, bool blocked)
{
    if (from == to || net->blocked[from][to] == blocked) {
        return;
    }
    net->blocked[from][to] = blocked;
    for (uint32_t way = 0; way < 2; way++) {
        uint32_t peer = way == 0 ? from : to;
        uint32_t host = way == 0 ? to : from;
        struct sim_conn *conn = conn_of(net, peer, host);
        if (blocked && conn->up) {
            sim_after(net, 1 + choice_u32(net->choice, net->model.stall_ns),
                      (struct sim_timer){.kind = SIM_TIMER_STALL,
                                         .a = (uint8_t)peer,
                                         .b = (uint8_t)host,
                                         .version = conn->version});
        } else if (!blocked) {
            sim_land_kick(net, peer, host);
            if (conn->ring_pending && !net->blocked[peer][host]) {
                conn->ring_pending = false;
                sim_ring_land(net, host);
            }
            if (!conn->up && conn->wanted) {
                sim_conn_kick(net, peer, host);
            }
        }
    }
}

// ---- death and rebirth
// -------------------------------------------------------------------------------

static struct sim_host *host_add(struct sim_net *net, struct sim_node *node)
{
    assert(net->hosts < SIM_HOSTS);
    struct sim_host *host = &net->host[net->hosts++];
    host->node = node->node;
    host->incarnation = node->incarnation;
    host->dead = false;
    host->regions = 0;
    host->holder = TACIT_NODE_NONE;
    host->holder_incarnation = 0;
    host->generation = 0;
    host->last_generation = 0;
    host->free_seen = true;
    memset(host->met, 0, sizeof host->met);
    struct tacit_region_key key = {.owner = node->node, .incarnation = node->incarnation};
    if (node->layout.page_bytes != 0) {
        key.region_class = TACIT_REGION_PAGE;
        region_add(net, host, key, node->layout.page_bytes);
    }
    if (node->layout.state_bytes != 0) {
        key.region_class = TACIT_REGION_STATE;
        region_add(net, host, key, node->layout.state_bytes);
    }
    if (node->role == SIM_REPLICA && node->layout.control_bytes != 0) {
        key.region_class = TACIT_REGION_CONTROL;
        region_add(net, host, key, node->layout.control_bytes);
    }
    if (node->role == SIM_REPLICA && node->layout.registers_bytes != 0) {
        key.region_class = TACIT_REGION_REGISTERS;
        region_add(net, host, key, node->layout.registers_bytes);
    }
    if (node->role == SIM_REPLICA && node->layout.log_bytes != 0) {
        key.region_class = TACIT_REGION_LOG;
        region_add(net, host, key, node->layout.log_bytes);
    }
    return host;
}

static void be_born(struct sim_net *net, struct sim_node *node, tacit_incarnation_t incarnation)
{
    node->alive = true;
    node->life++;
    node->incarnation = incarnation;
    node->fabric.incarnation = incarnation;
    memset(&node->fabric.counters, 0, sizeof node->fabric.counters);
    node->host = host_add(net, node);
    node->event_first = node->event_last = 0;
    node->attached_count = 0;
    node->perm_base = node->perm_count;
    node->perm_ns = 0;
    node->rung = 0;
    node->armed = node->bell = false;
    struct sim_conn *self = &node->conn[node->slot];
    for (uint32_t plane = 0; plane < TACIT_PLANES; plane++) {
        sim_plane_drop(net, node->slot, node->slot, plane);
    }
    self->up = self->seen_up = self->down_seen = true;
    self->host = node->host;
    self->epoch++;
}

struct sim_node *sim_net_add(struct sim_net *net, const struct sim_node_config *config)
{
    assert(net->slots < SIM_SLOTS);
    struct sim_node *node = &net->node[net->slots];
    node->slot = (uint8_t)net->slots++;
    node->net = net;
    node->role = config->role;
    node->node = config->node;
    node->identity = config->identity;
    node->layout = config->layout;
    node->perm_count = node->perm_base = 0;
    node->life = 0;
    node->fabric.ops = &sim_fabric_ops;
    // A client does not know under which slot its hosts count it.
    node->fabric.self = config->role == SIM_CLIENT ? TACIT_NODE_CLIENT : config->node;
    memset(node->conn, 0, sizeof node->conn);
    for (uint32_t host = 0; host < SIM_SLOTS; host++) {
        node->conn[host].down_seen = true;
    }
    be_born(net, node, config->incarnation);
    return node;
}

void sim_net_crash(struct sim_net *net, uint32_t slot)
{
    struct sim_node *node = &net->node[slot];
    assert(node->alive);
    node->alive = false;
    node->host->dead = true;
    node->event_first = node->event_last = 0;
    for (uint32_t host = 0; host < net->slots; host++) {
        struct sim_conn *conn = &node->conn[host];
        conn->up = conn->seen_up = conn->ghost = conn->ring_pending = false;
        conn->down_seen = true;
        conn->version++;
        for (uint32_t plane = 0; plane < TACIT_PLANES; plane++) {
            if (host == slot) {
                sim_plane_drop(net, slot, host, plane);
            } else {
                sim_plane_orphan(net, slot, host, plane);
            }
        }
    }
    for (uint32_t peer = 0; peer < net->slots; peer++) {
        struct sim_conn *conn = conn_of(net, peer, slot);
        if (peer == slot || !conn->up) {
            continue;
        }
        conn->ghost = choice_chance(net->choice, net->model.ghost_rate);
        sim_after(net, 1 + choice_spread_ns(net->choice, net->model.death_ns),
                  (struct sim_timer){.kind = SIM_TIMER_LEARN,
                                     .a = (uint8_t)peer,
                                     .b = (uint8_t)slot,
                                     .version = conn->version});
    }
}

void sim_net_restart(struct sim_net *net, uint32_t slot, tacit_incarnation_t incarnation)
{
    struct sim_node *node = &net->node[slot];
    assert(!node->alive);
    be_born(net, node, incarnation);
    for (uint32_t other = 0; other < net->slots; other++) {
        if (other == slot) {
            continue;
        }
        if (node->conn[other].wanted) {
            sim_conn_kick(net, slot, other);
        }
        struct sim_conn *conn = conn_of(net, other, slot);
        if (conn->wanted && !conn->up) {
            sim_conn_kick(net, other, slot);
        }
    }
}

// ---- timers
// ------------------------------------------------------------------------------------------

void sim_conn_timer(struct sim_net *net, const struct sim_timer *timer)
{
    uint32_t peer = timer->a;
    uint32_t host = timer->b;
    struct sim_conn *conn = conn_of(net, peer, host);
    switch (timer->kind) {
    case SIM_TIMER_LEARN:
        if (timer->version == conn->version && conn->up && conn->host->dead) {
            sim_conn_break(net, peer, host, !choice_chance(net->choice, net->model.uncertain_rate));
        }
        break;
    case SIM_TIMER_CONNECT:
        connect_now(net, peer, host);
        break;
    case SIM_TIMER_ANNOUNCE:
        if (conn->up && (uint8_t)conn->epoch == timer->c && conn->announced < timer->version) {
            conn->announced = timer->version;
            sim_event_push(
                &net->node[peer],
                &(struct tacit_event){.kind = TACIT_EVENT_REGIONS, .node = net->node[host].node},
                host);
        }
        break;
    case SIM_TIMER_STALL:
        if (timer->version == conn->version && conn->up &&
            (net->blocked[peer][host] || net->blocked[host][peer])) {
            net->fault[SIM_FAULT_STALL]++;
            sim_conn_break(net, peer, host, false);
        }
        break;
    case SIM_TIMER_PLANE:
        // LOST means that the connection broke: DOWN follows, though the other plane went on until
        // now.
        if (timer->version == conn->version && conn->up) {
            sim_conn_break(net, peer, host, false);
        }
        break;
    default:
        assert(false);
    }
}
