// SPDX-License-Identifier: Apache-2.0
//
// The control thread: waits for the connection manager, for control messages, for commands of the
// protocol thread and for time, and does everything about connections that may take long. It never
// waits for a peer: what a peer owes is a state with a deadline.
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

#define TICK_NS 10000000u  // while a deadline is near
#define IDLE_NS 100000000u // while nothing is

void tacit_verbs_wake(struct tacit_fabric *fabric)
{
    tacit_verbs_wake_sleeper(tacit_verbs_of(fabric));
}

tacit_time_ns_t tacit_verbs_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now); // as tacit_shm_now_ns(), and why
    return (tacit_time_ns_t)now.tv_sec * 1000000000u + (tacit_time_ns_t)now.tv_nsec;
}

void tacit_verbs_report(struct tacit_verbs *v, enum tacit_verbs_report_kind kind,
                        const char *format, ...)
{
    tacit_time_ns_t now_ns = tacit_verbs_now_ns();
    if (v->config.report == NULL ||
        (v->reported_ns[kind] != 0 && now_ns - v->reported_ns[kind] < 1000000000u)) {
        return;
    }
    v->reported_ns[kind] = now_ns;
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    v->config.report(v->config.context, kind, text);
}

static void wake(int event)
{
    uint64_t one = 1;
    ssize_t written = write(event, &one, sizeof(one)); // EAGAIN: it is awake already
    (void)written;
}

void tacit_verbs_wake_control(struct tacit_verbs *v)
{
    wake(v->wake_control);
}

void tacit_verbs_wake_sleeper(struct tacit_verbs *v)
{
    wake(v->wake_sleeper);
}

// ---- queues between the two threads
// -----------------------------------------------------------------

void tacit_verbs_command(struct tacit_verbs *v, const struct verbs_command *command)
{
    (void)pthread_mutex_lock(&v->queue_lock);
    // A caller that waits for each answer never has more than a few under way.
    assert(v->commands_next - v->commands_first < TACIT_VERBS_COMMANDS);
    v->commands[v->commands_next++ % TACIT_VERBS_COMMANDS] = *command;
    (void)pthread_mutex_unlock(&v->queue_lock);
    tacit_verbs_wake_control(v);
}

void tacit_verbs_notice(struct tacit_verbs *v, uint8_t kind, uint64_t generation)
{
    (void)pthread_mutex_lock(&v->queue_lock);
    assert(v->notices_next - v->notices_first < TACIT_VERBS_NOTICES);
    v->notices[v->notices_next++ % TACIT_VERBS_NOTICES] =
        (struct tacit_event){.kind = kind, .node = v->base.self, .generation = generation};
    (void)pthread_mutex_unlock(&v->queue_lock);
    tacit_verbs_wake_sleeper(v);
}

static bool next_command(struct tacit_verbs *v, struct verbs_command *command)
{
    (void)pthread_mutex_lock(&v->queue_lock);
    // Each may lead to one notice, for which there must be room.
    bool some = v->commands_first != v->commands_next &&
                v->notices_next - v->notices_first < TACIT_VERBS_NOTICES;
    if (some) {
        *command = v->commands[v->commands_first++ % TACIT_VERBS_COMMANDS];
    }
    (void)pthread_mutex_unlock(&v->queue_lock);
    return some;
}

static void do_commands(struct tacit_verbs *v)
{
    struct verbs_command command;
    for (unsigned i = 0; i < TACIT_VERBS_COMMANDS && next_command(v, &command); i++) {
        switch (command.kind) {
        case TACIT_VERBS_COMMAND_GRANT:
            tacit_verbs_permit_grant(v, &command);
            break;
        case TACIT_VERBS_COMMAND_REVOKE:
            tacit_verbs_permit_revoke(v, &command);
            break;
        case TACIT_VERBS_COMMAND_RETIRE:
            tacit_verbs_regions_retire(v, command.region);
            break;
        case TACIT_VERBS_COMMAND_RESET: {
            struct verbs_link *link = tacit_verbs_link(v, command.node);
            if (link != NULL && link->connection != NULL) {
                tacit_verbs_connection_end(v, link->connection);
            }
            break;
        }
        }
    }
}

// ---- connection manager
// -----------------------------------------------------------------------------

static const struct rdma_conn_param connect_parameters = {.retry_count = TACIT_VERBS_RETRIES,
                                                          .rnr_retry_count = 7};

static void accept_stranger(struct tacit_verbs *v, struct rdma_cm_id *id)
{
    unsigned strangers = 0;
    for (unsigned i = 0; i < TACIT_VERBS_CONNECTIONS; i++) {
        const struct verbs_connection *other = &v->connections[i];
        strangers += !other->dials && other->state != TACIT_VERBS_CONNECTION_FREE &&
                     other->state != TACIT_VERBS_CONNECTION_BOUND;
    }
    struct verbs_connection *connection =
        strangers < v->config.handshakes ? tacit_verbs_connection_make(v, id, false, 0) : NULL;
    if (connection == NULL) {
        (void)rdma_reject(id, NULL, 0);
        (void)rdma_destroy_id(id);
        return;
    }
    struct rdma_conn_param parameters = connect_parameters;
    if (!tacit_verbs_connection_prepare(v, connection) || rdma_accept(id, &parameters) != 0) {
        tacit_verbs_connection_end(v, connection);
    }
}

// False: the connection has to end.
static bool manager_step(struct tacit_verbs *v, struct verbs_connection *connection,
                         enum rdma_cm_event_type type)
{
    switch (type) {
    case RDMA_CM_EVENT_ADDR_RESOLVED:
        return rdma_resolve_route(connection->id, 1000) == 0;
    case RDMA_CM_EVENT_ROUTE_RESOLVED: {
        struct rdma_conn_param parameters = connect_parameters;
        connection->state = TACIT_VERBS_CONNECTION_CONNECTING;
        return tacit_verbs_connection_prepare(v, connection) &&
               rdma_connect(connection->id, &parameters) == 0;
    }
    case RDMA_CM_EVENT_ESTABLISHED:
        if (connection->state != TACIT_VERBS_CONNECTION_CONNECTING) {
            return false;
        }
        return tacit_verbs_connection_shake(v, connection) &&
               tacit_verbs_connection_receive(v, connection);
    case RDMA_CM_EVENT_TIMEWAIT_EXIT:
    case RDMA_CM_EVENT_ADDR_CHANGE:
    case RDMA_CM_EVENT_MULTICAST_JOIN:
    case RDMA_CM_EVENT_MULTICAST_ERROR:
        return true;
    case RDMA_CM_EVENT_ADDR_ERROR:
    case RDMA_CM_EVENT_ROUTE_ERROR:
    case RDMA_CM_EVENT_CONNECT_REQUEST:
    case RDMA_CM_EVENT_CONNECT_RESPONSE:
    case RDMA_CM_EVENT_CONNECT_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE:
    case RDMA_CM_EVENT_REJECTED:
    case RDMA_CM_EVENT_DISCONNECTED:
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
    default:
        return false;
    }
}

static void device_failed(struct tacit_verbs *v, const char *what)
{
    tacit_verbs_report(v, TACIT_VERBS_REPORT_RESOURCE,
                       "All connections of the RDMA device %s end: %s.",
                       ibv_get_device_name(v->device->device), what);
    for (unsigned i = 0; i < TACIT_VERBS_CONNECTIONS; i++) {
        if (v->connections[i].state != TACIT_VERBS_CONNECTION_FREE) {
            tacit_verbs_connection_end(v, &v->connections[i]);
        }
    }
}

static void do_manager_events(struct tacit_verbs *v)
{
    struct rdma_cm_event *event;
    for (unsigned i = 0; i < 64 && rdma_get_cm_event(v->events, &event) == 0; i++) {
        struct rdma_cm_id *id = event->id;
        enum rdma_cm_event_type type = event->event;
        (void)rdma_ack_cm_event(event); // before anything may destroy the id
        if (type == RDMA_CM_EVENT_CONNECT_REQUEST) {
            accept_stranger(v, id);
        } else if (id == v->listener) {
            if (type == RDMA_CM_EVENT_DEVICE_REMOVAL) {
                device_failed(v,
                              "it was removed; this node has to be started again to use another");
            }
        } else {
            struct verbs_connection *connection = id->context;
            if (type == RDMA_CM_EVENT_DISCONNECTED && connection->link != NULL) {
                connection->link->hung_up = true;
            }
            if (!manager_step(v, connection, type)) {
                tacit_verbs_connection_end(v, connection);
            }
        }
    }
}

static void dial(struct tacit_verbs *v, unsigned peer)
{
    struct verbs_dial *dial = &v->dials[peer];
    struct rdma_cm_id *id = NULL;
    struct verbs_connection *connection = NULL;
    dial->next_ns = tacit_verbs_now_ns() + v->config.reconnect_max_ns;
    if (rdma_create_id(v->events, &id, NULL, RDMA_PS_TCP) != 0) {
        return;
    }
    connection = tacit_verbs_connection_make(v, id, true, peer);
    if (connection == NULL) {
        (void)rdma_destroy_id(id);
        return;
    }
    dial->busy = true;
    // From the own address, so that the connection leaves through the own device.
    struct sockaddr_storage source;
    memcpy(&source, rdma_get_local_addr(v->listener), sizeof(struct sockaddr_in6));
    if (source.ss_family == AF_INET) {
        ((struct sockaddr_in *)&source)->sin_port = 0;
    } else {
        ((struct sockaddr_in6 *)&source)->sin6_port = 0;
    }
    if (rdma_resolve_addr(id, (struct sockaddr *)&source,
                          (struct sockaddr *)&dial->address[dial->turn], 1000) != 0) {
        tacit_verbs_connection_end(v, connection);
    }
}

// ---- time
// -------------------------------------------------------------------------------------------

static void tick_connection(struct tacit_verbs *v, struct verbs_connection *connection,
                            tacit_time_ns_t now_ns)
{
    bool rising = connection->link == NULL || !connection->link->was_up;
    if (rising && now_ns > connection->deadline_ns) {
        if (connection->state != TACIT_VERBS_CONNECTION_REFUSING) {
            atomic_fetch_add(&v->count.expired, 1);
        }
        tacit_verbs_connection_end(v, connection);
        return;
    }
    if (connection->state != TACIT_VERBS_CONNECTION_BOUND) {
        return;
    }
    struct verbs_message ping = {.type = TACIT_VERBS_PING};
    bool fine = tacit_verbs_permit_tick(v, connection->link) &&
                tacit_verbs_directory_tick(v, connection->link);
    if (fine && connection->sends_posted == connection->sends_done &&
        now_ns - connection->last_send_ns > TACIT_VERBS_PING_NS) {
        fine = tacit_verbs_send(v, connection, &ping); // finds a host that has vanished
    }
    if (!fine) {
        tacit_verbs_connection_end(v, connection);
    }
}

// Returns when to look again.
static tacit_time_ns_t tick(struct tacit_verbs *v)
{
    tacit_time_ns_t now_ns = tacit_verbs_now_ns();
    tacit_time_ns_t next_ns = now_ns + (tacit_verbs_links_settle(v) ? TICK_NS : IDLE_NS);
    for (unsigned i = 0; i < TACIT_VERBS_CONNECTIONS; i++) {
        struct verbs_connection *connection = &v->connections[i];
        if (connection->state != TACIT_VERBS_CONNECTION_FREE) {
            tick_connection(v, connection, now_ns);
        }
    }
    for (tacit_node_t node = 0; node < TACIT_NODES_MAX; node++) {
        struct verbs_link *link = tacit_verbs_link(v, node);
        if (link != NULL && atomic_load(&link->state) == TACIT_VERBS_LINK_DOWN) {
            tacit_verbs_link_release(link);
        }
    }
    for (unsigned i = 0; i < v->dials_count; i++) {
        struct verbs_link *link = tacit_verbs_link(v, v->dials[i].node);
        if (!v->dials[i].busy &&
            (link == NULL || atomic_load(&link->state) == TACIT_VERBS_LINK_NONE)) {
            if (now_ns >= v->dials[i].next_ns) {
                dial(v, i);
            }
            next_ns = v->dials[i].next_ns < next_ns ? v->dials[i].next_ns : next_ns;
        }
    }
    for (unsigned i = 0; i < TACIT_VERBS_CONNECTIONS; i++) {
        const struct verbs_connection *connection = &v->connections[i];
        bool waits = connection->state != TACIT_VERBS_CONNECTION_FREE &&
                     connection->state != TACIT_VERBS_CONNECTION_BOUND;
        if (waits && next_ns > now_ns + TICK_NS) {
            next_ns = now_ns + TICK_NS;
        }
    }
    tacit_verbs_regions_tick(v);
    return next_ns;
}

// The kernel keeps one notice for each queue pair that a peer has driven into its error state; it
// frees them when they are fetched. What is to be done about such a one, the peer asks for itself.
static void do_device_events(struct tacit_verbs *v)
{
    struct ibv_async_event event;
    for (unsigned i = 0; i < 64 && ibv_get_async_event(v->device, &event) == 0; i++) {
        switch (event.event_type) {
        case IBV_EVENT_DEVICE_FATAL:
            device_failed(v, "it has failed");
            break;
        case IBV_EVENT_CQ_ERR:
            device_failed(v, "a completion queue has overflowed");
            break;
        case IBV_EVENT_PORT_ERR:
            device_failed(v, "its port is down");
            break;
        default:
            break;
        }
        ibv_ack_async_event(&event);
    }
}

static void do_messages(struct tacit_verbs *v)
{
    struct ibv_cq *cq;
    void *context;
    for (unsigned i = 0;
         i < 2 * TACIT_VERBS_CONNECTIONS && ibv_get_cq_event(v->completions, &cq, &context) == 0;
         i++) {
        ibv_ack_cq_events(cq, 1);
        (void)ibv_req_notify_cq(cq, 0); // before the look, so that nothing falls in between
    }
    for (unsigned i = 0; i < TACIT_VERBS_CONNECTIONS; i++) {
        struct verbs_connection *connection = &v->connections[i];
        // Until it is established, what has come early waits in the queue.
        if (connection->state >= TACIT_VERBS_CONNECTION_SHAKING &&
            !tacit_verbs_connection_receive(v, connection)) {
            tacit_verbs_connection_end(v, connection);
        }
    }
}

void *tacit_verbs_control_main(void *argument)
{
    struct tacit_verbs *v = argument;
    struct pollfd waits[] = {{.fd = v->wake_control, .events = POLLIN},
                             {.fd = v->events->fd, .events = POLLIN},
                             {.fd = v->completions->fd, .events = POLLIN},
                             {.fd = v->device->async_fd, .events = POLLIN}};
    while (!atomic_load(&v->stop)) {
        tacit_time_ns_t next_ns = tick(v);
        tacit_time_ns_t now_ns = tacit_verbs_now_ns();
        tacit_time_ns_t pause_ns = next_ns > now_ns ? next_ns - now_ns : 0;
        struct timespec pause = {.tv_sec = (time_t)(pause_ns / 1000000000u),
                                 .tv_nsec = (long)(pause_ns % 1000000000u)};
        if (ppoll(waits, sizeof(waits) / sizeof(waits[0]), &pause, NULL) < 0 && errno != EINTR) {
            tacit_verbs_report(v, TACIT_VERBS_REPORT_RESOURCE, "poll() failed: %s.",
                               strerror(errno));
        }
        uint64_t drained;
        ssize_t got = read(v->wake_control, &drained, sizeof(drained));
        (void)got;
        do_commands(v);
        do_manager_events(v);
        do_messages(v);
        do_device_events(v);
    }
    return NULL;
}
