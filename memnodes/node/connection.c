// SPDX-License-Identifier: Apache-2.0
//
// A memory node's connections: accepting, handshakes, handing regions over (../shm/protocol.h says
// in which order and why), and the one place where the node waits. Nothing here blocks on a peer:
// sockets that have nothing to say or cannot take more are left for a later turn. What strangers
// can make the node hold is bounded in number (the table of connections) and in time (their
// deadlines); of an authenticated replica there is at most one connection that is not up.
#include <assert.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../shm/socket.h"
#include "node.h"

#define HANDSHAKE_TIMEOUT_NS UINT64_C(2000000000)
#define REPORT_PAUSE_NS UINT64_C(1000000000)
#define PACKETS_A_TURN 16

// Told to people, at most once in a while, so that no stranger can fill their disk.
static void report(struct tacit_memnode *node, enum tacit_shm_report_kind kind, const char *format,
                   ...) __attribute__((format(printf, 3, 4)));
static void report(struct tacit_memnode *node, enum tacit_shm_report_kind kind, const char *format,
                   ...)
{
    tacit_time_ns_t now_ns = tacit_shm_now_ns();
    if (node->config.report == NULL ||
        (node->reported_ns[kind] != 0 && now_ns - node->reported_ns[kind] < REPORT_PAUSE_NS)) {
        return;
    }
    node->reported_ns[kind] = now_ns;
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    node->config.report(node->config.context, kind, text);
}

// ---- life of a connection ----

// The kernel said so in the peer's host page, at the first of its marks: long before the socket
// hangs up.
static bool is_dead(const struct tacit_memnode_connection *connection)
{
    const uint64_t *first = connection->host + TACIT_SHM_HOST_DEATHS / 8;
    return (__atomic_load_n(first, __ATOMIC_ACQUIRE) & FUTEX_OWNER_DIED) != 0;
}

static struct tacit_memnode_replica *writer_of(struct tacit_memnode *node,
                                               const struct tacit_memnode_connection *connection)
{
    return &node->replicas[tacit_memnode_writer(node, connection->node, connection->incarnation)];
}

// Whether that life was here before, or is over. A spare comes into one seat after the other, so
// where bodies count their generation says nothing.
static bool is_stale(const struct tacit_memnode *node, const struct tacit_memnode_replica *writer,
                     tacit_incarnation_t incarnation)
{
    tacit_incarnation_t before = writer->seen[tacit_incarnation_body(incarnation)];
    return node->layout->registers_bytes != 0
               ? tacit_incarnation_start(incarnation) <= tacit_incarnation_start(before)
               : incarnation <= before || tacit_incarnation_is_over(writer->seen, incarnation);
}

void tacit_memnode_connection_end(struct tacit_memnode *node,
                                  struct tacit_memnode_connection *connection)
{
    if (connection->stage == TACIT_MEMNODE_UP) {
        writer_of(node, connection)->up = NULL;
        tacit_memnode_event(node, (struct tacit_event){.kind = TACIT_EVENT_DOWN,
                                                       .certain = is_dead(connection),
                                                       .node = connection->node,
                                                       .incarnation = connection->incarnation});
    }
    if (connection->region >= 0) {
        tacit_memnode_region_free(node, &node->regions[connection->region]);
    }
    if (connection->control_fd >= 0) {
        close(connection->control_fd);
    }
    tacit_shm_memory_unmap(connection->control, node->control_bytes);
    tacit_shm_memory_unmap(connection->host, TACIT_SHM_HOST_BYTES);
    tacit_handshake_fini(connection->handshake);
    close(connection->fd);
    *connection = (struct tacit_memnode_connection){
        .fd = -1, .handshake_memory = connection->handshake_memory};
}

// Both sides have everything. False: this or a later life was faster on another connection.
static bool commit(struct tacit_memnode *node, struct tacit_memnode_connection *connection)
{
    struct tacit_memnode_replica *replica = writer_of(node, connection);
    if (is_stale(node, replica, connection->incarnation)) {
        return false;
    }
    if (replica->up != NULL) {
        tacit_memnode_connection_end(node, replica->up);
    }
    tacit_shm_memory_unmap(replica->control, node->control_bytes);
    replica->control = connection->control;
    connection->control = NULL;
    replica->up = connection;
    replica->newest = connection->incarnation;
    replica->seen[tacit_incarnation_body(replica->newest)] = replica->newest;
    connection->stage = TACIT_MEMNODE_UP;
    connection->deadline_ns = UINT64_MAX;
    tacit_memnode_region_keep(node, &node->regions[connection->region]);
    connection->region = -1;
    tacit_memnode_event(node, (struct tacit_event){.kind = TACIT_EVENT_UP,
                                                   .node = connection->node,
                                                   .incarnation = connection->incarnation,
                                                   .identity = connection->node});
    tacit_memnode_event(
        node, (struct tacit_event){.kind = TACIT_EVENT_REGIONS, .node = node->fabric.self});
    return true;
}

// ---- handshake ----

// Nobody but replicas has business here.
static bool key_lookup(struct tacit_public_key *out, struct tacit_identity claimed, void *context)
{
    const struct tacit_memnode *node = context;
    return claimed.name.role == TACIT_PEER_REPLICA && claimed.name.id < TACIT_REPLICAS_MAX &&
           node->config.key_of(node->config.context, TACIT_SHM_REPLICA, claimed.name.id,
                               claimed.incarnation, out);
}

// Decides whether an authenticated replica may come in, and makes the regions that it will write.
static enum tacit_refusal admit(struct tacit_memnode *node,
                                struct tacit_memnode_connection *connection,
                                const struct tacit_identity *identity)
{
    struct tacit_error error;
    connection->node = identity->name.id;
    connection->incarnation = identity->incarnation;
    const struct tacit_memnode_replica *writer = writer_of(node, connection);
    if (is_stale(node, writer, identity->incarnation)) {
        return TACIT_REFUSAL_STALE; // an earlier life, or a body that was replaced
    }
    for (unsigned i = 0; i < TACIT_MEMNODE_CONNECTIONS; i++) {
        struct tacit_memnode_connection *other = &node->connections[i];
        if (other->stage == TACIT_MEMNODE_TRADING && writer_of(node, other) == writer) {
            tacit_memnode_connection_end(node, other);
        }
    }
    struct tacit_memnode_region *region =
        tacit_memnode_region_make(node, connection->node, connection->incarnation);
    if (region == NULL) {
        report(node, TACIT_SHM_REPORT_RESOURCE,
               "replica %u cannot connect: all %u regions of former incarnations are still kept",
               connection->node, TACIT_SHM_LOGS);
        return TACIT_REFUSAL_BUSY;
    }
    connection->region = (int)(region - node->regions);
    if (tacit_shm_memory_create(&region->fd, node->kept_bytes, &error) != TACIT_OK ||
        (node->control_bytes > 0 &&
         tacit_shm_memory_create(&connection->control_fd, node->control_bytes, &error) !=
             TACIT_OK)) {
        report(node, TACIT_SHM_REPORT_RESOURCE, "%s", error.text);
        return TACIT_REFUSAL_BUSY;
    }
    return TACIT_REFUSAL_NONE;
}

// Sends what the handshake has to say. False: the connection must end.
static bool handshake_push(struct tacit_memnode *node, struct tacit_memnode_connection *connection)
{
    uint8_t packet[TACIT_HANDSHAKE_MESSAGE_BYTES];
    while (tacit_handshake_output(connection->handshake, packet)) {
        if (tacit_shm_send(connection->fd, packet, sizeof packet, -1) != TACIT_SHM_IO_DONE) {
            return false; // a packet or two always fit into a new socket
        }
    }
    struct tacit_error error = {.text = ""};
    if (tacit_handshake_explain(connection->handshake, &error) != TACIT_OK) {
        report(node, TACIT_SHM_REPORT_REFUSED, "%s", error.text);
        return false;
    }
    if (tacit_handshake_state(connection->handshake) == TACIT_HANDSHAKE_DONE) {
        connection->stage = TACIT_MEMNODE_TRADING;
    }
    return true;
}

static bool handshake_take(struct tacit_memnode *node, struct tacit_memnode_connection *connection,
                           const uint8_t *packet, size_t bytes)
{
    struct tacit_identity identity;
    (void)!tacit_handshake_input(connection->handshake, packet, bytes); // the state says it
    if (connection->stage == TACIT_MEMNODE_SHAKING &&
        tacit_handshake_peer(connection->handshake, &identity)) {
        enum tacit_refusal refusal = admit(node, connection, &identity);
        if (refusal != TACIT_REFUSAL_NONE) {
            tacit_handshake_refuse(connection->handshake, refusal);
        }
    }
    return handshake_push(node, connection);
}

static void accept_one(struct tacit_memnode *node, struct tacit_memnode_connection *connection,
                       tacit_time_ns_t now_ns)
{
    struct tacit_handshake_options options = {
        .self = {.name = {.role = TACIT_PEER_MEMNODE, .id = node->config.id},
                 .incarnation = node->fabric.incarnation},
        .group = node->config.group,
        .cluster = node->config.cluster,
        .keypair = node->config.keypair,
        .lookup = key_lookup,
        .lookup_context = node,
    };
    int fd = tacit_shm_accept(node->listener);
    if (fd < 0) {
        return;
    }
    uint64_t patience_ns = node->config.handshake_timeout_ns;
    connection->stage = TACIT_MEMNODE_SHAKING;
    connection->fd = fd;
    connection->region = -1;
    connection->control_fd = -1;
    connection->deadline_ns = now_ns + (patience_ns > 0 ? patience_ns : HANDSHAKE_TIMEOUT_NS);
    struct tacit_error error;
    if (tacit_handshake_init(&connection->handshake, connection->handshake_memory,
                             tacit_handshake_size(), &options, &error) != TACIT_OK ||
        !handshake_push(node, connection)) {
        tacit_memnode_connection_end(node, connection);
    }
}

// ---- handing regions over ----

static enum tacit_shm_io packet_send(const struct tacit_memnode_connection *connection,
                                     struct tacit_shm_packet packet, int passed)
{
    return tacit_shm_send(connection->fd, &packet, sizeof packet, passed);
}

static enum tacit_shm_io offer(struct tacit_memnode_connection *connection,
                               struct tacit_shm_packet packet, int fd, bool to_write)
{
    packet.kind = TACIT_SHM_OFFER;
    enum tacit_shm_io io = packet_send(connection, packet, fd);
    if (io == TACIT_SHM_IO_DONE && to_write) {
        connection->unmapped |= UINT64_C(1) << packet.slot;
    }
    return io;
}

// The regions that a host has from the start, and the peer's CONTROL. They always fit into a new
// socket, so one that does not take them is given up.
static bool offer_fixed(const struct tacit_memnode *node,
                        struct tacit_memnode_connection *connection)
{
    const struct {
        unsigned slot;
        size_t bytes; // 0: there is none
        int fd;
    } fixed[] = {
        {TACIT_SHM_SLOT_HOST, TACIT_SHM_HOST_BYTES, node->host_fd},
        {TACIT_SHM_SLOT_PAGE, tacit_shm_file_bytes(node->layout->page_bytes), node->page_fd},
        {TACIT_SHM_SLOT_CONTROL, node->control_bytes, connection->control_fd}};
    for (unsigned i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        struct tacit_shm_packet packet = {.slot = (uint8_t)fixed[i].slot, .bytes = fixed[i].bytes};
        if (packet.bytes > 0 && offer(connection, packet, fixed[i].fd,
                                      packet.slot == TACIT_SHM_SLOT_CONTROL) != TACIT_SHM_IO_DONE) {
            return false;
        }
    }
    return true;
}

// Brings the peer from what it was told about kept region `i` to what is the case.
static enum tacit_shm_io offer_kept(const struct tacit_memnode *node,
                                    struct tacit_memnode_connection *connection, unsigned i)
{
    const struct tacit_memnode_region *region = &node->regions[i];
    bool to_write = connection->region == (int)i;
    uint64_t wanted = region->present || to_write ? region->serial : 0;
    struct tacit_shm_packet packet = {.kind = TACIT_SHM_RETIRE,
                                      .slot = (uint8_t)(TACIT_SHM_SLOT_LOG + i),
                                      .node = region->owner,
                                      .incarnation = region->incarnation,
                                      .bytes = node->kept_bytes};
    enum tacit_shm_io io = TACIT_SHM_IO_DONE;
    if (connection->told[i] != wanted && connection->told[i] != 0) {
        io = packet_send(connection, packet, -1);
        connection->told[i] = io == TACIT_SHM_IO_DONE ? 0 : connection->told[i];
    }
    if (connection->told[i] != wanted && io == TACIT_SHM_IO_DONE) {
        io = offer(connection, packet, region->fd, to_write);
        connection->told[i] = io == TACIT_SHM_IO_DONE ? wanted : 0;
    }
    return io;
}

static enum tacit_shm_io offer_all(const struct tacit_memnode *node,
                                   struct tacit_memnode_connection *connection)
{
    enum tacit_shm_io io = TACIT_SHM_IO_DONE;
    if (!connection->fixed_sent && !offer_fixed(node, connection)) {
        return TACIT_SHM_IO_CLOSED;
    }
    connection->fixed_sent = true;
    for (unsigned i = 0; i < TACIT_SHM_LOGS && io == TACIT_SHM_IO_DONE; i++) {
        io = offer_kept(node, connection, i);
    }
    if (io == TACIT_SHM_IO_DONE && !connection->end_sent) {
        // Its bell: on this connection, if it can ask for anything.
        struct tacit_shm_packet packet = {
            .kind = TACIT_SHM_END, .slot = node->control_bytes > 0, .node = connection->node};
        io = packet_send(connection, packet, -1);
        connection->end_sent = io == TACIT_SHM_IO_DONE;
    }
    return io;
}

// Sends what is due and comes up when both sides are through. False: the connection must end.
static bool trade_push(struct tacit_memnode *node, struct tacit_memnode_connection *connection)
{
    enum tacit_shm_io io = offer_all(node, connection);
    if (io == TACIT_SHM_IO_DONE && connection->stage == TACIT_MEMNODE_TRADING &&
        connection->end_received && connection->ready_received && connection->unmapped == 0 &&
        (connection->host == NULL || !commit(node, connection))) {
        return false;
    }
    if (io == TACIT_SHM_IO_DONE && connection->stage == TACIT_MEMNODE_UP &&
        !connection->ready_sent) {
        io = packet_send(connection, (struct tacit_shm_packet){.kind = TACIT_SHM_READY}, -1);
        connection->ready_sent = io == TACIT_SHM_IO_DONE;
    }
    connection->want_output = io == TACIT_SHM_IO_AGAIN;
    return io == TACIT_SHM_IO_DONE || io == TACIT_SHM_IO_AGAIN;
}

// The peer has mapped the region in `slot`: from here on it is the only writer for ever.
static bool mapped_take(struct tacit_memnode *node, struct tacit_memnode_connection *connection,
                        unsigned slot)
{
    if (slot >= TACIT_SHM_SLOTS || (connection->unmapped >> slot & 1) == 0) {
        return false;
    }
    connection->unmapped &= ~(UINT64_C(1) << slot);
    bool is_control = slot == TACIT_SHM_SLOT_CONTROL;
    struct tacit_memnode_region *region = &node->regions[connection->region];
    int fd = is_control ? connection->control_fd : region->fd;
    size_t bytes = is_control ? node->control_bytes : node->kept_bytes;
    const uint64_t *words =
        tacit_shm_memory_seal(fd) ? tacit_shm_memory_map(fd, bytes, false) : NULL;
    if (is_control) {
        close(fd);
        connection->control_fd = -1;
        connection->control = words;
    } else {
        region->words = words;
    }
    return words != NULL;
}

// The one region of a replica that a memory node reads: it says when the replica has died.
static bool host_page_take(struct tacit_memnode_connection *connection,
                           const struct tacit_shm_packet *packet, int fd)
{
    if (connection->host != NULL || packet->slot != TACIT_SHM_SLOT_HOST || fd < 0 ||
        packet->bytes != TACIT_SHM_HOST_BYTES ||
        !tacit_shm_memory_is_sound(fd, TACIT_SHM_HOST_BYTES, true)) {
        return false;
    }
    connection->host = tacit_shm_memory_map(fd, TACIT_SHM_HOST_BYTES, false);
    return connection->host != NULL;
}

static bool trade_take(struct tacit_memnode *node, struct tacit_memnode_connection *connection,
                       const struct tacit_shm_packet *packet, int passed)
{
    if (packet->kind == TACIT_SHM_OFFER) {
        return host_page_take(connection, packet, passed);
    }
    if (passed >= 0) {
        return false;
    }
    switch (packet->kind) {
    case TACIT_SHM_MAPPED:
        return mapped_take(node, connection, packet->slot);
    case TACIT_SHM_END: {
        bool first = !connection->end_received;
        connection->end_received = true;
        return first && packet->node == node->fabric.self;
    }
    case TACIT_SHM_READY: {
        bool first = !connection->ready_received;
        connection->ready_received = true;
        return first;
    }
    case TACIT_SHM_BELL: // that it woke us is all
        return connection->stage == TACIT_MEMNODE_UP;
    default:
        return false;
    }
}

static bool packet_take(struct tacit_memnode *node, struct tacit_memnode_connection *connection,
                        const uint8_t *bytes, size_t size, int passed)
{
    struct tacit_shm_packet packet = {0};
    // While it shakes hands, and a connector's REFUSE may come after our last word.
    if (connection->handshake != NULL &&
        (connection->stage == TACIT_MEMNODE_SHAKING || size == TACIT_HANDSHAKE_MESSAGE_BYTES)) {
        bool is_due = passed < 0 && connection->stage == TACIT_MEMNODE_SHAKING;
        return handshake_take(node, connection, bytes, size) && is_due;
    }
    tacit_handshake_fini(connection->handshake); // the peer is past it
    connection->handshake = NULL;
    if (size == sizeof packet) {
        memcpy(&packet, bytes, sizeof packet);
        if (trade_take(node, connection, &packet, passed)) {
            return true;
        }
    }
    report(node, TACIT_SHM_REPORT_MISBEHAVED,
           "replica %u sent something out of place (kind %u, slot %u, %zu bytes) and was "
           "disconnected; if it is no intruder, its region sizes differ from ours",
           connection->node, packet.kind, packet.slot, (size_t)packet.bytes);
    return false;
}

// ---- a turn ----

static bool connection_take(struct tacit_memnode *node, struct tacit_memnode_connection *connection)
{
    for (int i = 0; i < PACKETS_A_TURN; i++) {
        uint8_t packet[TACIT_SHM_PACKET_MAX];
        size_t bytes;
        int passed;
        enum tacit_shm_io io = tacit_shm_receive(connection->fd, packet, &bytes, &passed);
        if (io == TACIT_SHM_IO_AGAIN) {
            break;
        }
        bool ok = io == TACIT_SHM_IO_DONE && packet_take(node, connection, packet, bytes, passed);
        if (passed >= 0) {
            close(passed);
        }
        if (!ok) {
            return false;
        }
    }
    return connection->stage == TACIT_MEMNODE_SHAKING || trade_push(node, connection);
}

// Tells all of regions that came or went; a connection that this brings up may add one: at most
// once for each.
static void announce(struct tacit_memnode *node)
{
    while (node->regions_changed) {
        node->regions_changed = false;
        for (unsigned i = 0; i < TACIT_MEMNODE_CONNECTIONS; i++) {
            struct tacit_memnode_connection *connection = &node->connections[i];
            if (connection->stage >= TACIT_MEMNODE_TRADING && !trade_push(node, connection)) {
                tacit_memnode_connection_end(node, connection);
            }
        }
    }
}

// False: nothing is ready.
static bool wait_ready(const struct tacit_memnode *node, tacit_time_ns_t until_ns,
                       struct pollfd fds[TACIT_MEMNODE_CONNECTIONS + 1])
{
    bool room = false;
    for (unsigned i = 0; i < TACIT_MEMNODE_CONNECTIONS; i++) {
        const struct tacit_memnode_connection *connection = &node->connections[i];
        fds[i] = (struct pollfd){.fd = connection->fd,
                                 .events = connection->want_output ? POLLIN | POLLOUT : POLLIN};
        room = room || connection->fd < 0;
        if (connection->fd >= 0 && connection->deadline_ns < until_ns) {
            until_ns = connection->deadline_ns;
        }
    }
    fds[TACIT_MEMNODE_CONNECTIONS] =
        (struct pollfd){.fd = room ? node->listener : -1, .events = POLLIN};
    tacit_time_ns_t now_ns = until_ns == 0 ? 0 : tacit_shm_now_ns();
    uint64_t pause_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    struct timespec pause = {.tv_sec = (time_t)(pause_ns / 1000000000u),
                             .tv_nsec = (long)(pause_ns % 1000000000u)};
    int ready = ppoll(fds, TACIT_MEMNODE_CONNECTIONS + 1, until_ns == UINT64_MAX ? NULL : &pause,
                      node->sleep_mask);
#ifdef TACIT_TEST_HOOKS
    tacit_shm_test_timed_out = ready == 0;
#endif
    return ready > 0;
}

void tacit_memnode_serve(struct tacit_memnode *node, tacit_time_ns_t until_ns)
{
    struct pollfd fds[TACIT_MEMNODE_CONNECTIONS + 1];
    assert(node->events_count == 0);
    announce(node);
    bool ready = wait_ready(node, until_ns, fds);
    tacit_time_ns_t now_ns = tacit_shm_now_ns();
    bool accepting = ready && fds[TACIT_MEMNODE_CONNECTIONS].revents != 0;
    for (unsigned i = 0; i < TACIT_MEMNODE_CONNECTIONS; i++) {
        struct tacit_memnode_connection *connection = &node->connections[i];
        if (connection->stage == TACIT_MEMNODE_FREE) {
            if (accepting) {
                accept_one(node, connection, now_ns);
            }
            continue;
        }
        bool is_ready = ready && fds[i].fd == connection->fd && fds[i].revents != 0;
        if ((is_ready && !connection_take(node, connection)) || connection->deadline_ns <= now_ns ||
            (connection->stage == TACIT_MEMNODE_UP && is_dead(connection))) {
            tacit_memnode_connection_end(node, connection);
        }
    }
    announce(node);
}
