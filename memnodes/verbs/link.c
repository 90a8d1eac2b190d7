// SPDX-License-Identifier: Apache-2.0
//
// What two authenticated nodes set up between them, in this order: each makes its queue pairs and
// tells their numbers (HELLO); with the other's HELLO each starts them, tells its regions and says
// READY; with the other's READY each is UP. Nothing of a host can be reached before its own HELLO
// was answered.
//
// A host with REGISTERS does the second step only when every other peer has said that it was told
// of the regions that the newcomer may write (TOLD), or has lost its connection: so whoever can
// still read here and was not told of a region knows that nothing was complete in it
// (tacit/fabric.h, and region.c for what it does then). A peer that is slow to say so loses its
// connection.
//
// And how it ends: first every right that the peer has here is gone (its queue pairs are stopped),
// then what was posted to it gets a result, then DOWN is polled, and only then is anything freed.
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static enum tacit_verbs_kind kind_of(enum tacit_peer_role role)
{
    return role == TACIT_PEER_REPLICA   ? TACIT_VERBS_REPLICA
           : role == TACIT_PEER_MEMNODE ? TACIT_VERBS_MEMNODE
                                        : TACIT_VERBS_CLIENT;
}

// Whether a process of kind `from` reaches memory of one of kind `to`.
static bool reaches(enum tacit_verbs_kind from, enum tacit_verbs_kind to)
{
    return from == TACIT_VERBS_REPLICA || (from == TACIT_VERBS_CLIENT && to == TACIT_VERBS_REPLICA);
}

static bool is_free(struct tacit_verbs *v, tacit_node_t node)
{
    struct verbs_link *link = tacit_verbs_link(v, node);
    return link == NULL || atomic_load(&link->state) == TACIT_VERBS_LINK_NONE;
}

// Whether that life was here before somebody else, or is over; the latter is the rule's to say
// where there is one.
static bool is_stale(const struct tacit_verbs *v, tacit_node_t node,
                     tacit_incarnation_t incarnation)
{
    const tacit_incarnation_t *seen = v->seen[node];
    return (incarnation != v->newest[node] &&
            incarnation <= seen[tacit_incarnation_body(incarnation)]) ||
           (v->config.seat_rule == NULL && tacit_incarnation_is_over(seen, incarnation));
}

// Of two bodies that both may have the seat, because it is free, the first one keeps it.
static enum tacit_refusal judge_seat(struct tacit_verbs *v, tacit_node_t node,
                                     enum tacit_verbs_kind kind, const struct tacit_identity *peer)
{
    if (is_stale(v, node, peer->incarnation)) {
        return TACIT_REFUSAL_STALE;
    }
    if (v->config.seat_rule == NULL) {
        return TACIT_REFUSAL_NONE;
    }
    if (!is_free(v, node) && tacit_verbs_link(v, node)->connection != NULL &&
        tacit_incarnation_is_rival(v->newest[node], peer->incarnation)) {
        return TACIT_REFUSAL_BUSY;
    }
    return tacit_refusal_of_seat(
        v->config.seat_rule(v->config.context, kind, peer->name.id, peer->incarnation));
}

tacit_node_t tacit_verbs_link_place(struct tacit_verbs *v, const struct tacit_identity *peer,
                                    enum tacit_refusal *reason)
{
    tacit_node_t node = TACIT_NODE_NONE;
    *reason = TACIT_REFUSAL_ROLE;
    if (peer->name.role == TACIT_PEER_REPLICA && peer->name.id < TACIT_REPLICAS_MAX) {
        node = peer->name.id;
    } else if (peer->name.role == TACIT_PEER_MEMNODE && peer->name.id < TACIT_MEMNODES_MAX) {
        node = (tacit_node_t)(TACIT_NODE_MEMNODE + peer->name.id);
    } else if (peer->name.role == TACIT_PEER_CLIENT && v->config.kind == TACIT_VERBS_REPLICA) {
        *reason = TACIT_REFUSAL_BUSY;
        for (node = TACIT_NODE_CLIENT; node < TACIT_NODES_MAX; node++) {
            if (is_free(v, node)) {
                return node;
            }
        }
        return TACIT_NODE_NONE;
    }
    enum tacit_verbs_kind kind = kind_of(peer->name.role);
    if (node == TACIT_NODE_NONE ||
        (!reaches(v->config.kind, kind) && !reaches(kind, v->config.kind))) {
        return TACIT_NODE_NONE;
    }
    *reason = judge_seat(v, node, kind, peer);
    if (*reason != TACIT_REFUSAL_NONE) {
        return TACIT_NODE_NONE;
    }
    if (!is_free(v, node)) {
        // It has come back before the end of its old connection was noticed here, or was polled.
        struct verbs_link *link = tacit_verbs_link(v, node);
        if (link->connection != NULL) {
            tacit_verbs_connection_end(v, link->connection);
        }
        *reason = TACIT_REFUSAL_BUSY;
        return TACIT_NODE_NONE;
    }
    return node;
}

static struct verbs_link *link_of(struct tacit_verbs *v, tacit_node_t node)
{
    struct verbs_link *link = tacit_verbs_link(v, node);
    if (link == NULL) {
        link = calloc(1, sizeof(*link));
        if (link == NULL) {
            return NULL;
        }
        link->node = node;
        (void)pthread_mutex_init(&link->lock, NULL);
        (void)pthread_mutex_init(&link->directory_lock, NULL);
        atomic_store_explicit(&v->links[node], link, memory_order_release);
    }
    return link;
}

static bool peer_plane_make(struct tacit_verbs *v, struct verbs_plane *plane)
{
    plane->cq = ibv_create_cq(v->device, (int)TACIT_VERBS_WORK + 8, NULL, NULL, 0);
    if (plane->bounce == NULL) {
        plane->bounce = aligned_alloc(4096, TACIT_VERBS_BOUNCE);
        if (plane->bounce == NULL) {
            return false;
        }
        memset(plane->bounce, 0, TACIT_VERBS_BOUNCE);
    }
    if (plane->bounce_mr == NULL) {
        plane->bounce_mr = ibv_reg_mr(v->pd, plane->bounce, TACIT_VERBS_BOUNCE, 0);
    }
    return plane->cq != NULL && plane->bounce_mr != NULL && tacit_verbs_plane_renew(v, plane);
}

static bool host_plane_make(struct tacit_verbs *v, struct verbs_link *link,
                            struct verbs_host_plane *host)
{
    if (host->pd == NULL) {
        host->pd = ibv_alloc_pd(v->device);
    }
    if (host->pd != NULL && host->bell_mr == NULL) {
        host->bell_mr = ibv_reg_mr(host->pd, &v->bells[link->node], sizeof(v->bells[link->node]),
                                   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
    }
    host->cq = ibv_create_cq(v->device, 2 * (int)TACIT_VERBS_MARKERS, NULL, NULL, 0);
    return host->bell_mr != NULL && host->cq != NULL && tacit_verbs_host_renew(host);
}

static bool path_of(const struct tacit_verbs *v, struct verbs_connection *connection,
                    struct verbs_link *link)
{
    int mask;
    struct verbs_path *path = &link->path;
    memset(path, 0, sizeof(*path));
    path->init.qp_state = IBV_QPS_INIT;
    path->ready.qp_state = IBV_QPS_RTR;
    if (rdma_init_qp_attr(connection->id, &path->init, &mask) != 0 ||
        rdma_init_qp_attr(connection->id, &path->ready, &mask) != 0) {
        return false;
    }
    if (v->place.is_wished && path->ready.ah_attr.is_global) {
        path->ready.ah_attr.grh.sgid_index = v->place.gid_index; // the same address, another kind
    }
    if (path->ready.path_mtu > v->place.mtu) {
        path->ready.path_mtu = v->place.mtu; // the configuration wants less
    }
    return true;
}

static bool send_hello(struct tacit_verbs *v, struct verbs_link *link)
{
    struct verbs_message message = {.type = TACIT_VERBS_HELLO};
    union ibv_gid gid;
    if (ibv_query_gid(v->device, link->path.init.port_num, link->path.ready.ah_attr.grh.sgid_index,
                      &gid) != 0) {
        return false;
    }
    memcpy(message.hello.gid, gid.raw, sizeof(gid.raw));
    message.hello.life = v->life;
    message.hello.mtu_bytes = tacit_verbs_mtu_bytes(link->path.ready.path_mtu);
    for (unsigned p = 0; p < TACIT_PLANES; p++) {
        if (link->is_reached) {
            message.hello.plane[p].host_qpn = link->host[p].qp->qp_num;
            message.hello.plane[p].bell_rkey = link->host[p].bell_mr->rkey;
            message.hello.plane[p].bell_address = (uintptr_t)&v->bells[link->node];
        }
        if (link->reaches) {
            message.hello.plane[p].peer_qpn = link->plane[p].qp->qp_num;
            message.hello.plane[p].peer_psn = link->plane[p].psn;
        }
    }
    return tacit_verbs_send(v, link->connection, &message);
}

bool tacit_verbs_link_begin(struct tacit_verbs *v, struct verbs_connection *connection,
                            const struct tacit_identity *peer, tacit_node_t node)
{
    struct verbs_link *link = link_of(v, node);
    if (link == NULL) {
        return false;
    }
    assert(atomic_load(&link->state) == TACIT_VERBS_LINK_NONE);
    enum tacit_verbs_kind kind = kind_of(peer->name.role);
    if (v->config.kind == TACIT_VERBS_CLIENT || peer->incarnation != link->incarnation) {
        tacit_verbs_link_forget(link); // somebody else, who gets keys of its own
    }
    link->kind = kind;
    link->incarnation = peer->incarnation;
    link->identity = peer->name.id;
    link->reaches = reaches(v->config.kind, link->kind);
    link->is_reached = reaches(link->kind, v->config.kind);
    link->greeted = false;
    link->announced = false;
    link->told = 0;
    link->told_back = 0;
    link->was_up = false;
    link->hung_up = false;
    link->connection = connection;
    connection->link = link;
    connection->state = TACIT_VERBS_CONNECTION_BOUND;
    atomic_store(&link->regions_news, false);
    atomic_store(&link->state, TACIT_VERBS_LINK_SETUP);
    v->seen_life[node] = peer->incarnation == v->newest[node] ? v->seen_life[node] : 0;
    v->newest[node] = peer->incarnation;
    if (node < TACIT_NODE_CLIENT) {
        v->seen[node][tacit_incarnation_body(peer->incarnation)] = peer->incarnation;
    }
    memset(&v->bells[node], 0, sizeof(v->bells[node]));
    bool made = path_of(v, connection, link);
    for (unsigned p = 0; p < TACIT_PLANES && made; p++) {
        made = (!link->reaches || peer_plane_make(v, &link->plane[p])) &&
               (!link->is_reached || host_plane_make(v, link, &link->host[p]));
    }
    made = made && (!link->is_reached || tacit_verbs_regions_for(v, link)) && send_hello(v, link);
    if (!made) {
        tacit_verbs_report(v, TACIT_VERBS_REPORT_RESOURCE,
                           "Node %u cannot be served: it has gone, or no queue pairs, registered "
                           "memory or regions are left for it.",
                           node);
    }
    return made;
}

// Packets of a queue pair have to fit the other end. False: no size that there is.
static bool agree_on_mtu(struct verbs_link *link, uint32_t mtu_bytes)
{
    enum ibv_mtu theirs = IBV_MTU_256;
    while (theirs < IBV_MTU_4096 && tacit_verbs_mtu_bytes(theirs) != mtu_bytes) {
        theirs++;
    }
    if (theirs < link->path.ready.path_mtu) {
        link->path.ready.path_mtu = theirs;
    }
    return tacit_verbs_mtu_bytes(theirs) == mtu_bytes;
}

static bool is_same_place(const struct verbs_link *link, const struct verbs_hello *hello)
{
    // Without a global route (InfiniBand inside of one subnet) there is no such address to compare.
    return !link->path.ready.ah_attr.is_global ||
           memcmp(hello->gid, link->path.ready.ah_attr.grh.dgid.raw, sizeof(hello->gid)) == 0;
}

// An incarnation belongs to one process: another one that names it has lost what the first one
// promised.
static bool is_same_life(struct tacit_verbs *v, const struct verbs_link *link, uint64_t life)
{
    if (link->kind == TACIT_VERBS_CLIENT) {
        return true; // a slot is anybody's
    }
    if (v->seen_life[link->node] == 0) {
        v->seen_life[link->node] = life;
    }
    if (v->seen_life[link->node] == life) {
        return true;
    }
    atomic_fetch_add(&v->count.refused, 1);
    tacit_verbs_report(
        v, TACIT_VERBS_REPORT_REFUSED,
        "Node %u comes as incarnation %u, which another process had before: a new start "
        "needs a larger one.",
        link->node, link->incarnation);
    return false;
}

// Whether everybody else knows what there is to read. Ends whom that has waited for too long.
static bool is_settled(struct tacit_verbs *v, const struct verbs_link *newcomer)
{
    bool settled = true;
    for (tacit_node_t node = 0; node < TACIT_NODES_MAX && v->layout.registers_bytes != 0; node++) {
        struct verbs_link *link = tacit_verbs_link(v, node);
        if (link == NULL || link == newcomer || link->connection == NULL ||
            link->told == link->told_back) {
            continue;
        }
        if (tacit_verbs_now_ns() - link->told_ns > TACIT_VERBS_TOLD_TIMEOUT_NS) {
            tacit_verbs_report(v, TACIT_VERBS_REPORT_MISBEHAVED,
                               "Node %u does not take in what others may write; its connection "
                               "ends.",
                               node);
            tacit_verbs_connection_end(v, link->connection);
            continue;
        }
        settled = false;
    }
    return settled;
}

// The second step, if it may be done yet. False: the connection has to end.
static bool welcome(struct tacit_verbs *v, struct verbs_link *link)
{
    if (link->is_reached && !is_settled(v, link)) {
        return true;
    }
    for (unsigned p = 0; p < TACIT_PLANES && link->is_reached; p++) {
        if (!tacit_verbs_permit_open(v, link, p)) {
            return false;
        }
    }
    link->announced = true;
    struct verbs_message ready = {.type = TACIT_VERBS_READY};
    tacit_verbs_permit_news(v, link, &ready.news);
    return (!link->is_reached || tacit_verbs_regions_announce(v, link, UINT32_MAX)) &&
           tacit_verbs_send(v, link->connection, &ready);
}

static bool take_hello(struct tacit_verbs *v, struct verbs_link *link,
                       const struct verbs_hello *hello)
{
    if (link->greeted || !is_same_place(link, hello) || !agree_on_mtu(link, hello->mtu_bytes) ||
        !is_same_life(v, link, hello->life)) {
        return false;
    }
    link->greeted = true;
    for (unsigned p = 0; p < TACIT_PLANES; p++) {
        struct verbs_plane *plane = &link->plane[p];
        link->host[p].peer_qpn = hello->plane[p].peer_qpn;
        link->host[p].peer_psn = hello->plane[p].peer_psn & 0xffffff;
        if (link->reaches) {
            plane->host_qpn = hello->plane[p].host_qpn;
            plane->bell_rkey = hello->plane[p].bell_rkey;
            plane->bell_address = hello->plane[p].bell_address;
            if (!tacit_verbs_qp_start(&link->path, plane->qp, 0, plane->host_qpn, 0, plane->psn,
                                      v->timeout_exponent)) {
                return false;
            }
        }
    }
    return welcome(v, link);
}

bool tacit_verbs_links_settle(struct tacit_verbs *v)
{
    bool some = false;
    for (tacit_node_t node = 0; node < TACIT_NODES_MAX; node++) {
        struct verbs_link *link = tacit_verbs_link(v, node);
        if (link == NULL || link->connection == NULL || !link->greeted || link->announced) {
            continue;
        }
        if (!welcome(v, link)) {
            tacit_verbs_connection_end(v, link->connection);
        }
        some |= link->connection != NULL && !link->announced;
    }
    return some;
}

static bool take_ready(struct tacit_verbs *v, struct verbs_link *link,
                       const struct verbs_plane_news *news)
{
    if (!link->greeted || link->was_up) {
        return false; // READY before HELLO, or twice
    }
    (void)pthread_mutex_lock(&link->lock);
    for (unsigned p = 0; p < TACIT_PLANES && link->reaches; p++) {
        link->plane[p].floor = news->floor;
        link->plane[p].granted = news->granted;
        link->plane[p].state = TACIT_VERBS_PLANE_OPEN;
    }
    // The first ring is not suppressed, whatever was written before.
    link->plane[TACIT_PLANE_BACKGROUND].dirty = link->reaches;
    (void)pthread_mutex_unlock(&link->lock);
    link->was_up = true;
    struct verbs_connection *connection = link->connection;
    if (connection->dials) {
        v->dials[connection->peer].pause_ns = v->config.reconnect_min_ns;
    }
    atomic_fetch_add(connection->dials ? &v->count.connected : &v->count.accepted, 1);
    atomic_store(&link->state, TACIT_VERBS_LINK_RISING);
    tacit_verbs_wake_sleeper(v);
    return true;
}

bool tacit_verbs_link_message(struct tacit_verbs *v, struct verbs_link *link,
                              const struct verbs_message *message)
{
    switch (message->type) {
    case TACIT_VERBS_HELLO:
        return take_hello(v, link, &message->hello);
    case TACIT_VERBS_READY:
        return take_ready(v, link, &message->news);
    case TACIT_VERBS_REGIONS:
        return link->reaches && link->greeted &&
               tacit_verbs_directory_add(v, link, &message->regions) &&
               tacit_verbs_send(v, link->connection,
                                &(struct verbs_message){.type = TACIT_VERBS_TOLD});
    case TACIT_VERBS_GONE:
        tacit_verbs_directory_gone(link, message->index);
        return true;
    case TACIT_VERBS_GONE_ACK:
        if (message->index < TACIT_VERBS_OWN_REGIONS) {
            link->gone_waiting[message->index] = false;
        }
        return message->index < TACIT_VERBS_OWN_REGIONS;
    case TACIT_VERBS_BROKEN:
    case TACIT_VERBS_CYCLE:
    case TACIT_VERBS_CYCLED:
    case TACIT_VERBS_OPEN:
    case TACIT_VERBS_GRANT:
    case TACIT_VERBS_QUERY:
    case TACIT_VERBS_ANSWER:
        return link->was_up && tacit_verbs_permit_message(v, link, message);
    case TACIT_VERBS_TOLD:
        link->told_back++;
        return link->told_back <= link->told;
    case TACIT_VERBS_PING:
        return true;
    case TACIT_VERBS_TYPES:
    default:
        return false;
    }
}

// ---- the end
// ----------------------------------------------------------------------------------------

// Whatever led here is gone; what is registered stays (see tacit_verbs_link_forget). False: a queue
// pair could not be destroyed, so that only the registrations can be taken away.
static bool host_plane_end(struct verbs_host_plane *host)
{
    bool ended = tacit_verbs_qp_end(&host->old);
    ended = tacit_verbs_qp_end(&host->qp) && ended;
    if (host->cq != NULL) {
        (void)ibv_destroy_cq(host->cq);
    }
    memset(host, 0, offsetof(struct verbs_host_plane, pd));
    return ended;
}

static void peer_plane_end(struct verbs_plane *plane)
{
    (void)tacit_verbs_qp_end(&plane->qp);
    if (plane->cq != NULL) {
        (void)ibv_destroy_cq(plane->cq);
    }
    memset(plane, 0, offsetof(struct verbs_plane, tally));
    plane->dirty = false;
    plane->bell_due = false;
    plane->dirty_epoch = 0;
}

void tacit_verbs_link_forget(struct verbs_link *link)
{
    tacit_verbs_regions_unregister(link);
    for (unsigned p = 0; p < TACIT_PLANES; p++) {
        struct verbs_host_plane *host = &link->host[p];
        struct verbs_plane *plane = &link->plane[p];
        if (host->bell_mr != NULL) {
            (void)ibv_dereg_mr(host->bell_mr);
        }
        if (host->pd != NULL) {
            (void)ibv_dealloc_pd(host->pd);
        }
        if (plane->bounce_mr != NULL) {
            (void)ibv_dereg_mr(plane->bounce_mr);
        }
        free(plane->bounce);
        host->bell_mr = NULL;
        host->pd = NULL;
        plane->bounce_mr = NULL;
        plane->bounce = NULL;
    }
}

void tacit_verbs_link_release(struct verbs_link *link)
{
    bool ended = true;
    (void)pthread_mutex_lock(&link->lock);
    for (unsigned p = 0; p < TACIT_PLANES; p++) {
        ended = host_plane_end(&link->host[p]) && ended;
        peer_plane_end(&link->plane[p]);
        link->route[p].before = 0;
    }
    if (!ended || link->kind == TACIT_VERBS_CLIENT) { // a client's place is anybody's
        tacit_verbs_link_forget(link);
    }
    memset(link->gone_waiting, 0, sizeof(link->gone_waiting));
    (void)pthread_mutex_lock(&link->directory_lock);
    for (unsigned i = 0; i < TACIT_VERBS_DIRECTORY; i++) {
        struct verbs_entry *entry = &link->directory[i];
        *entry = (struct verbs_entry){.use = entry->use + entry->used};
    }
    (void)pthread_mutex_unlock(&link->directory_lock);
    (void)pthread_mutex_unlock(&link->lock);
    atomic_store(&link->state, TACIT_VERBS_LINK_NONE);
}

// The connection has ended: the peer loses every right here, what was posted to it is LOST.
void tacit_verbs_link_break(struct tacit_verbs *v, struct verbs_link *link)
{
    for (unsigned p = 0; p < TACIT_PLANES; p++) {
        struct verbs_host_plane *host = &link->host[p];
        if (host->open && !tacit_verbs_qp_stop(host->qp)) {
            (void)tacit_verbs_qp_end(&host->qp);
        }
        host->open = false;
    }
    (void)pthread_mutex_lock(&link->lock);
    for (unsigned p = 0; p < TACIT_PLANES; p++) {
        if (link->plane[p].cq != NULL) {
            tacit_verbs_harvest(v, &link->plane[p]);
            tacit_verbs_plane_stop(&link->plane[p]);
        }
    }
    (void)pthread_mutex_unlock(&link->lock);
    if (link->was_up) {
        atomic_fetch_add(&v->count.broken, 1);
    }
    int expected = TACIT_VERBS_LINK_RISING;
    if (atomic_load(&link->state) == TACIT_VERBS_LINK_SETUP ||
        atomic_compare_exchange_strong(&link->state, &expected, TACIT_VERBS_LINK_DOWN)) {
        tacit_verbs_link_release(link); // nobody has seen it
        return;
    }
    expected = TACIT_VERBS_LINK_UP;
    (void)atomic_compare_exchange_strong(&link->state, &expected, TACIT_VERBS_LINK_FALLING);
    tacit_verbs_wake_sleeper(v);
}
