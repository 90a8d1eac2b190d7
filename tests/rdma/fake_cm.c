// SPDX-License-Identifier: Apache-2.0
//
// The connection manager of fake_rdma.h: librdmacm's part. Connections are made inside of this
// process, between ports of the one address.
#include <arpa/inet.h>
#include <errno.h>
#include <rdma/rdma_cma.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fake_device.h"

#define EVENTS 64u

struct fake_event {
    struct rdma_cm_event event;
    struct fake_event *following;
};

struct fake_events {
    struct rdma_event_channel channel;
    struct fake_event *first;
};

struct fake_id {
    struct rdma_cm_id id;
    struct fake_id *other; // the other end, while both are there
    bool listens, connected, handed_out;
    uint16_t port;
    struct fake_id *following;
};

static struct fake_id *ids;

static struct fake_id *id_make(struct rdma_event_channel *channel, void *context)
{
    struct fake_id *id = calloc(1, sizeof(*id));
    if (id != NULL) {
        id->id.channel = channel;
        id->id.context = context;
        id->following = ids;
        ids = id;
        fake_born(1);
    }
    return id;
}

static void tell(struct fake_id *id, struct fake_id *about, enum rdma_cm_event_type type)
{
    struct fake_events *events = (struct fake_events *)id->id.channel;
    struct fake_event *event = calloc(1, sizeof(*event));
    uint64_t one = 1;
    if (event == NULL) {
        abort();
    }
    event->event = (struct rdma_cm_event){.id = &about->id, .listen_id = &id->id, .event = type};
    struct fake_event **at = &events->first;
    while (*at != NULL) {
        at = &(*at)->following;
    }
    *at = event;
    (void)!write(events->channel.fd, &one, sizeof(one));
}

struct rdma_event_channel *rdma_create_event_channel(void)
{
    fake_lock();
    struct fake_events *events =
        fake_fails(FAKE_rdma_create_event_channel) ? NULL : calloc(1, sizeof(*events));
    if (events != NULL) {
        events->channel.fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
        fake_born(1);
    }
    fake_unlock();
    return events == NULL ? NULL : &events->channel;
}

static void id_free(struct fake_id *id)
{
    for (struct fake_id **at = &ids; *at != NULL; at = &(*at)->following) {
        if (*at == id) {
            *at = id->following;
            break;
        }
    }
    free(id);
    fake_born(-1);
}

// The kernel forgets what nobody has fetched, with the connections that were asked for.
static void forget(struct fake_events *events, const struct fake_id *about)
{
    for (struct fake_event **at = &events->first; *at != NULL;) {
        struct fake_event *event = *at;
        struct fake_id *id = (struct fake_id *)event->event.id;
        if (about != NULL && id != about) {
            at = &event->following;
            continue;
        }
        *at = event->following;
        if (event->event.event == RDMA_CM_EVENT_CONNECT_REQUEST) {
            if (id->other != NULL) {
                id->other->other = NULL;
                tell(id->other, id->other, RDMA_CM_EVENT_REJECTED);
            }
            id_free(id);
        }
        free(event);
    }
}

void rdma_destroy_event_channel(struct rdma_event_channel *channel)
{
    fake_lock();
    forget((struct fake_events *)channel, NULL);
    (void)close(channel->fd);
    free(channel);
    fake_born(-1);
    fake_unlock();
}

int rdma_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **out)
{
    struct fake_events *events = (struct fake_events *)channel;
    uint64_t one;
    fake_lock();
    if (fake_fails(FAKE_rdma_get_cm_event) || read(channel->fd, &one, sizeof(one)) < 0 ||
        events->first == NULL) {
        errno = EAGAIN;
        fake_unlock();
        return -1;
    }
    struct fake_event *event = events->first;
    events->first = event->following;
    *out = &event->event;
    fake_unlock();
    return 0;
}

int rdma_ack_cm_event(struct rdma_cm_event *event)
{
    free(event); // its first member
    return 0;
}

int rdma_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **out, void *context,
                   enum rdma_port_space space)
{
    (void)space;
    fake_lock();
    struct fake_id *id = fake_fails(FAKE_rdma_create_id) ? NULL : id_make(channel, context);
    fake_unlock();
    *out = id == NULL ? NULL : &id->id;
    return id == NULL ? -1 : 0;
}

static void hang_up(struct fake_id *id)
{
    struct fake_id *other = id->other;
    if (id->id.qp != NULL) {
        fake_qp_state(id->id.qp, IBV_QPS_ERR);
    }
    if (other != NULL) {
        if (other->id.qp != NULL) {
            fake_qp_state(other->id.qp, IBV_QPS_ERR);
        }
        bool asked = !id->connected && !other->connected && id->port == 0;
        if (!asked) {
            tell(other, other, id->connected ? RDMA_CM_EVENT_DISCONNECTED : RDMA_CM_EVENT_REJECTED);
        }
        other->other = NULL;
        id->other = NULL;
    }
    id->connected = false;
}

int rdma_destroy_id(struct rdma_cm_id *ibv)
{
    struct fake_id *id = (struct fake_id *)ibv;
    fake_lock();
    forget((struct fake_events *)id->id.channel, id);
    hang_up(id);
    id_free(id);
    fake_unlock();
    return 0;
}

static void is_here(struct fake_id *id)
{
    id->id.verbs = fake_context();
    id->id.port_num = 1;
}

int rdma_bind_addr(struct rdma_cm_id *ibv, struct sockaddr *address)
{
    struct fake_id *id = (struct fake_id *)ibv;
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    fake_lock();
    int reason = fake_fails(FAKE_rdma_bind_addr)                 ? ENOMEM
                 : fake_context() == NULL                        ? ENODEV
                 : in->sin_addr.s_addr != htonl(INADDR_LOOPBACK) ? EADDRNOTAVAIL
                                                                 : 0;
    for (const struct fake_id *other = ids; other != NULL && in->sin_port != 0;
         other = other->following) {
        reason = other->port == ntohs(in->sin_port) ? EADDRINUSE : reason;
    }
    if (reason == 0) {
        id->port = ntohs(in->sin_port);
        id->id.route.addr.src_sin = *in;
        is_here(id);
    }
    fake_unlock();
    errno = reason;
    return reason == 0 ? 0 : -1;
}

void fake_device_goes(void)
{
    fake_lock();
    for (struct fake_id *id = ids; id != NULL; id = id->following) {
        tell(id, id, RDMA_CM_EVENT_DEVICE_REMOVAL);
    }
    fake_unlock();
}

int rdma_set_option(struct rdma_cm_id *ibv, int level, int name, void *value, size_t bytes)
{
    (void)ibv;
    fake_lock();
    bool fails = fake_fails(FAKE_rdma_set_option) || level != RDMA_OPTION_ID ||
                 name != RDMA_OPTION_ID_ACK_TIMEOUT || bytes != sizeof(uint8_t);
    if (!fails) {
        fake_manager_timeout(*(const uint8_t *)value);
    }
    fake_unlock();
    return fails ? -1 : 0;
}

int rdma_listen(struct rdma_cm_id *ibv, int backlog)
{
    (void)backlog;
    struct fake_id *id = (struct fake_id *)ibv;
    fake_lock();
    id->listens = !fake_fails(FAKE_rdma_listen);
    fake_unlock();
    return id->listens ? 0 : -1;
}

int rdma_resolve_addr(struct rdma_cm_id *ibv, struct sockaddr *from, struct sockaddr *to, int ms)
{
    (void)from;
    (void)ms;
    struct fake_id *id = (struct fake_id *)ibv;
    fake_lock();
    bool fails = fake_fails(FAKE_rdma_resolve_addr);
    if (!fails) {
        memcpy(&id->id.route.addr.dst_sin, to, sizeof(struct sockaddr_in));
        is_here(id);
        tell(id, id, RDMA_CM_EVENT_ADDR_RESOLVED);
    }
    fake_unlock();
    return fails ? -1 : 0;
}

int rdma_resolve_route(struct rdma_cm_id *ibv, int ms)
{
    (void)ms;
    struct fake_id *id = (struct fake_id *)ibv;
    fake_lock();
    bool fails = fake_fails(FAKE_rdma_resolve_route);
    if (!fails) {
        tell(id, id, RDMA_CM_EVENT_ROUTE_RESOLVED);
    }
    fake_unlock();
    return fails ? -1 : 0;
}

int rdma_connect(struct rdma_cm_id *ibv, struct rdma_conn_param *parameters)
{
    (void)parameters;
    struct fake_id *id = (struct fake_id *)ibv;
    fake_lock();
    bool fails = fake_fails(FAKE_rdma_connect);
    struct fake_id *listener = ids;
    while (listener != NULL &&
           (!listener->listens || listener->port != ntohs(id->id.route.addr.dst_sin.sin_port))) {
        listener = listener->following;
    }
    if (!fails && listener == NULL) {
        tell(id, id, RDMA_CM_EVENT_REJECTED);
    } else if (!fails) {
        struct fake_id *child = id_make(listener->id.channel, listener->id.context);
        if (child == NULL) {
            abort();
        }
        is_here(child);
        child->other = id;
        id->other = child;
        tell(listener, child, RDMA_CM_EVENT_CONNECT_REQUEST);
    }
    fake_unlock();
    return fails ? -1 : 0;
}

int rdma_accept(struct rdma_cm_id *ibv, struct rdma_conn_param *parameters)
{
    (void)parameters;
    struct fake_id *id = (struct fake_id *)ibv;
    fake_lock();
    bool fails = fake_fails(FAKE_rdma_accept) || id->other == NULL || id->other->id.qp == NULL;
    if (!fails) {
        fake_qp_connect(id->id.qp, id->other->id.qp->qp_num);
        fake_qp_connect(id->other->id.qp, id->id.qp->qp_num);
        id->connected = id->other->connected = true;
        tell(id, id, RDMA_CM_EVENT_ESTABLISHED);
        tell(id->other, id->other, RDMA_CM_EVENT_ESTABLISHED);
    }
    fake_unlock();
    return fails ? -1 : 0;
}

int rdma_reject(struct rdma_cm_id *ibv, const void *data, uint8_t bytes)
{
    (void)data;
    (void)bytes;
    struct fake_id *id = (struct fake_id *)ibv;
    fake_lock();
    if (id->other != NULL) {
        tell(id->other, id->other, RDMA_CM_EVENT_REJECTED);
        id->other->other = NULL;
        id->other = NULL;
    }
    fake_unlock();
    return 0;
}

int rdma_disconnect(struct rdma_cm_id *ibv)
{
    fake_lock();
    hang_up((struct fake_id *)ibv);
    fake_unlock();
    return 0;
}

int rdma_create_qp(struct rdma_cm_id *ibv, struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
    fake_lock();
    bool fails = fake_fails(FAKE_rdma_create_qp);
    fake_unlock();
    ibv->qp = fails ? NULL : ibv_create_qp(pd, attr);
    return ibv->qp == NULL ? -1 : 0;
}

void rdma_destroy_qp(struct rdma_cm_id *ibv)
{
    (void)ibv_destroy_qp(ibv->qp);
    ibv->qp = NULL;
}

int rdma_init_qp_attr(struct rdma_cm_id *ibv, struct ibv_qp_attr *attr, int *mask)
{
    (void)ibv;
    *mask = 0;
    fake_lock();
    bool fails = fake_fails(FAKE_rdma_init_qp_attr);
    attr->port_num = 1;
    attr->path_mtu = IBV_MTU_1024;
    attr->ah_attr.is_global = 1;
    attr->ah_attr.grh.dgid = *fake_gid();
    attr->ah_attr.grh.sgid_index = FAKE_GID_BEST;
    fake_unlock();
    return fails ? -1 : 0;
}
