// SPDX-License-Identifier: Apache-2.0
//
// How two nodes that know each other hand their regions over, on the control thread.
// protocol.h says in which order and why.
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

static const struct tacit_host_layout *layout_of(const struct tacit_shm *shm,
                                                 enum tacit_shm_kind kind)
{
    return &shm->config.layouts[kind];
}

static bool is_log(unsigned slot)
{
    return slot >= TACIT_SHM_SLOT_LOG;
}

// ---- as a host ----

static bool region_create(struct tacit_shm *shm, unsigned slot, int *fd)
{
    struct tacit_error error;
    size_t bytes = tacit_shm_slot_file_bytes(layout_of(shm, shm->config.kind), slot);
    if (tacit_shm_memory_create(fd, bytes, &error) == TACIT_OK) {
        return true;
    }
    tacit_shm_report(shm, TACIT_SHM_REPORT_RESOURCE, "%s", error.text);
    return false;
}

bool tacit_shm_trade_begin(struct tacit_shm *shm, struct tacit_shm_connection *connection)
{
    enum tacit_shm_kind own = shm->config.kind;
    for (unsigned slot = TACIT_SHM_SLOT_CONTROL; slot < TACIT_SHM_SLOT_LOG; slot++) {
        if (tacit_shm_right(own, connection->kind, slot, layout_of(shm, own)) == TACIT_SHM_WRITE &&
            !region_create(shm, slot, &connection->tail_fd)) {
            return false;
        }
    }
    return connection->log_slot < 0 ||
           region_create(shm, TACIT_SHM_SLOT_LOG, &shm->logs[connection->log_slot].fd);
}

// The peer has mapped its region: seal it and map it for reading.
static bool region_finish(struct tacit_shm *shm, struct tacit_shm_connection *connection,
                          unsigned slot)
{
    const struct tacit_host_layout *layout = layout_of(shm, shm->config.kind);
    size_t file_bytes = tacit_shm_slot_file_bytes(layout, slot);
    struct tacit_shm_log *log = is_log(slot) ? &shm->logs[connection->log_slot] : NULL;
    int fd = log != NULL ? log->fd : connection->tail_fd;
    void *base = tacit_shm_memory_seal(fd) ? tacit_shm_memory_map(fd, file_bytes, false) : NULL;
    if (base == NULL) {
        return false;
    }
    struct tacit_shm_view view = {
        .words = base,
        .bytes = tacit_shm_slot_bytes(layout, slot),
        .file_bytes = file_bytes,
        .key = {.region_class = tacit_shm_slot_class(layout, slot),
                .owner = connection->node,
                .incarnation = connection->incarnation},
    };
    if (log != NULL) {
        view.handle = (int32_t)(slot | (log->serial & 0x7fffff) << 8);
        log->view = view;
    } else {
        connection->tail = view;
        close(connection->tail_fd);
        connection->tail_fd = -1;
    }
    return true;
}

static enum tacit_shm_io packet_send(const struct tacit_shm_connection *connection,
                                     struct tacit_shm_packet packet, int passed)
{
    return tacit_shm_send(connection->fd, &packet, sizeof packet, passed);
}

static enum tacit_shm_io offer_fixed(struct tacit_shm *shm, struct tacit_shm_connection *connection,
                                     unsigned slot)
{
    const struct tacit_host_layout *layout = layout_of(shm, shm->config.kind);
    enum tacit_shm_right right = tacit_shm_right(shm->config.kind, connection->kind, slot, layout);
    if (right == TACIT_SHM_NOTHING) {
        return TACIT_SHM_IO_DONE;
    }
    struct tacit_shm_packet packet = {.kind = TACIT_SHM_OFFER,
                                      .slot = (uint8_t)slot,
                                      .bytes = tacit_shm_slot_file_bytes(layout, slot)};
    int fd = right == TACIT_SHM_WRITE ? connection->tail_fd : shm->own_fds[slot];
    enum tacit_shm_io io = packet_send(connection, packet, fd);
    if (io == TACIT_SHM_IO_DONE && right == TACIT_SHM_WRITE) {
        connection->unmapped |= UINT64_C(1) << slot;
    }
    return io;
}

// Brings the peer from what it was told about log region `i` to what is the case.
static enum tacit_shm_io offer_log(struct tacit_shm *shm, struct tacit_shm_connection *connection,
                                   unsigned i)
{
    const struct tacit_shm_log *log = &shm->logs[i];
    bool is_own = connection->log_slot == (int)i;
    uint64_t wanted = log->serial != 0 && (log->present || is_own) ? log->serial : 0;
    uint8_t slot = (uint8_t)(TACIT_SHM_SLOT_LOG + i);
    if (connection->told[i] == wanted) {
        return TACIT_SHM_IO_DONE;
    }
    if (connection->told[i] != 0) {
        struct tacit_shm_packet packet = {.kind = TACIT_SHM_RETIRE, .slot = slot};
        enum tacit_shm_io io = packet_send(connection, packet, -1);
        if (io != TACIT_SHM_IO_DONE) {
            return io;
        }
        connection->told[i] = 0;
    }
    if (wanted == 0) {
        return TACIT_SHM_IO_DONE;
    }
    bool to_write = is_own && !log->present;
    struct tacit_shm_packet packet = {
        .kind = TACIT_SHM_OFFER,
        .slot = slot,
        .node = to_write ? connection->node : log->view.key.owner,
        .incarnation = to_write ? connection->incarnation : log->view.key.incarnation,
        .bytes = tacit_shm_slot_file_bytes(layout_of(shm, shm->config.kind), slot),
    };
    enum tacit_shm_io io = packet_send(connection, packet, log->fd);
    if (io == TACIT_SHM_IO_DONE) {
        connection->told[i] = wanted;
        if (to_write) {
            connection->unmapped |= UINT64_C(1) << slot;
        }
    }
    return io;
}

static enum tacit_shm_io offer_all(struct tacit_shm *shm, struct tacit_shm_connection *connection)
{
    for (; connection->next_fixed < TACIT_SHM_SLOT_LOG; connection->next_fixed++) {
        enum tacit_shm_io io = offer_fixed(shm, connection, connection->next_fixed);
        if (io != TACIT_SHM_IO_DONE) {
            return io;
        }
    }
    bool keeps_logs = tacit_shm_right(shm->config.kind, connection->kind, TACIT_SHM_SLOT_LOG,
                                      layout_of(shm, shm->config.kind)) != TACIT_SHM_NOTHING;
    for (unsigned i = 0; keeps_logs && i < TACIT_SHM_LOGS; i++) {
        enum tacit_shm_io io = offer_log(shm, connection, i);
        if (io != TACIT_SHM_IO_DONE) {
            return io;
        }
    }
    if (connection->end_sent) {
        return TACIT_SHM_IO_DONE;
    }
    enum tacit_shm_io io = packet_send(
        connection, (struct tacit_shm_packet){.kind = TACIT_SHM_END, .node = connection->node}, -1);
    connection->end_sent = io == TACIT_SHM_IO_DONE;
    return io;
}

static enum tacit_shm_io confirm_all(struct tacit_shm_connection *connection)
{
    while (connection->to_confirm != 0) {
        unsigned slot = (unsigned)__builtin_ctzll(connection->to_confirm);
        enum tacit_shm_io io = packet_send(
            connection, (struct tacit_shm_packet){.kind = TACIT_SHM_MAPPED, .slot = (uint8_t)slot},
            -1);
        if (io != TACIT_SHM_IO_DONE) {
            return io;
        }
        connection->to_confirm &= ~(UINT64_C(1) << slot);
    }
    return TACIT_SHM_IO_DONE;
}

static enum tacit_shm_io ready_send(struct tacit_shm_connection *connection)
{
    if (connection->ready_sent) {
        return TACIT_SHM_IO_DONE;
    }
    enum tacit_shm_io io =
        packet_send(connection, (struct tacit_shm_packet){.kind = TACIT_SHM_READY}, -1);
    connection->ready_sent = io == TACIT_SHM_IO_DONE;
    return io;
}

// Did the peer offer all that it has to?
static bool have_enough(const struct tacit_shm *shm, const struct tacit_shm_connection *connection)
{
    for (unsigned slot = 0; slot < TACIT_SHM_SLOT_LOG; slot++) {
        if (tacit_shm_right(connection->kind, shm->config.kind, slot,
                            layout_of(shm, connection->kind)) != TACIT_SHM_NOTHING &&
            (connection->have >> slot & 1) == 0) {
            return false;
        }
    }
    return true;
}

bool tacit_shm_trade_push(struct tacit_shm *shm, struct tacit_shm_connection *connection)
{
    enum tacit_shm_io io = confirm_all(connection);
    if (io == TACIT_SHM_IO_DONE) {
        io = offer_all(shm, connection);
    }
    if (io == TACIT_SHM_IO_DONE && connection->state == TACIT_SHM_TRADING &&
        connection->end_received && connection->unmapped == 0) {
        if (!have_enough(shm, connection)) {
            return false;
        }
        if (connection->outbound) {
            io = ready_send(connection);
            if (io == TACIT_SHM_IO_DONE) {
                connection->deadline_ns = 0; // see protocol.h
                if (connection->ready_received && !tacit_shm_connection_commit(shm, connection)) {
                    return false;
                }
            }
        } else if (connection->ready_received) {
            if (!tacit_shm_connection_commit(shm, connection)) {
                return false;
            }
        }
    }
    if (io == TACIT_SHM_IO_DONE && connection->state == TACIT_SHM_UP) {
        io = ready_send(connection);
    }
    connection->want_output = io == TACIT_SHM_IO_AGAIN;
    return io == TACIT_SHM_IO_DONE || io == TACIT_SHM_IO_AGAIN;
}

// ---- as a peer ----

static bool offer_is_right(const struct tacit_shm *shm,
                           const struct tacit_shm_connection *connection,
                           const struct tacit_shm_packet *packet, int fd, bool *writable)
{
    const struct tacit_host_layout *layout = layout_of(shm, connection->kind);
    if (packet->slot >= TACIT_SHM_SLOTS || (connection->have >> packet->slot & 1) != 0 || fd < 0) {
        return false;
    }
    enum tacit_shm_right right =
        tacit_shm_right(connection->kind, shm->config.kind, packet->slot, layout);
    *writable = right == TACIT_SHM_WRITE;
    if (is_log(packet->slot)) {
        *writable = *writable && packet->node == shm->fabric.self &&
                    packet->incarnation == shm->fabric.incarnation;
        if (packet->node >= TACIT_REPLICAS_MAX || packet->incarnation == 0 ||
            packet->incarnation > TACIT_INCARNATION_MAX) {
            return false;
        }
    }
    // Only before END is anything for us to write.
    return right != TACIT_SHM_NOTHING && !(*writable && connection->end_received) &&
           packet->bytes == tacit_shm_slot_file_bytes(layout, packet->slot) &&
           tacit_shm_memory_is_sound(fd, packet->bytes, !*writable);
}

static bool offer_take(struct tacit_shm *shm, struct tacit_shm_connection *connection,
                       const struct tacit_shm_packet *packet, int fd)
{
    const struct tacit_host_layout *layout = layout_of(shm, connection->kind);
    bool writable;
    if (!offer_is_right(shm, connection, packet, fd, &writable)) {
        return false;
    }
    struct tacit_shm_view view = {
        .words = tacit_shm_memory_map(fd, packet->bytes, writable),
        .bytes = tacit_shm_slot_bytes(layout, packet->slot),
        .file_bytes = packet->bytes,
        .handle = (int32_t)(packet->slot | (++shm->next_serial & 0x7fffff) << 8),
        .writable = writable,
        .key = {.region_class = tacit_shm_slot_class(layout, packet->slot),
                .owner = writable ? shm->fabric.self : connection->node,
                .incarnation = writable ? shm->fabric.incarnation : connection->incarnation},
    };
    if (view.words == NULL) {
        return false;
    }
    if (is_log(packet->slot)) {
        view.key.owner = packet->node;
        view.key.incarnation = packet->incarnation;
    }
    connection->have |= UINT64_C(1) << packet->slot;
    if (writable) {
        connection->to_confirm |= UINT64_C(1) << packet->slot;
    }
    if (connection->state == TACIT_SHM_UP) {
        struct tacit_shm_notice notice = {
            .kind = TACIT_SHM_NOTICE_VIEW,
            .slot = packet->slot,
            .connection = (uint16_t)(connection - shm->connections),
            .serial = connection->serial,
            .node = connection->node,
            .view = view,
        };
        tacit_shm_notify(shm, &notice);
    } else {
        connection->views[packet->slot] = view;
    }
    return true;
}

static bool retire_take(struct tacit_shm *shm, struct tacit_shm_connection *connection,
                        unsigned slot)
{
    if (!is_log(slot) || slot >= TACIT_SHM_SLOTS || (connection->have >> slot & 1) == 0) {
        return false;
    }
    connection->have &= ~(UINT64_C(1) << slot);
    if (connection->state != TACIT_SHM_UP) {
        tacit_shm_view_unmap(&connection->views[slot]);
        return true;
    }
    struct tacit_shm_notice notice = {
        .kind = TACIT_SHM_NOTICE_UNVIEW,
        .slot = (uint8_t)slot,
        .connection = (uint16_t)(connection - shm->connections),
        .serial = connection->serial,
        .node = connection->node,
    };
    tacit_shm_notify(shm, &notice);
    return true;
}

static bool mapped_take(struct tacit_shm *shm, struct tacit_shm_connection *connection,
                        unsigned slot)
{
    if (slot >= TACIT_SHM_SLOTS || (connection->unmapped >> slot & 1) == 0 ||
        !region_finish(shm, connection, slot)) {
        return false;
    }
    connection->unmapped &= ~(UINT64_C(1) << slot);
    return true;
}

static bool end_take(const struct tacit_shm *shm, struct tacit_shm_connection *connection,
                     const struct tacit_shm_packet *packet)
{
    tacit_node_t known_as = packet->node;
    bool is_right = shm->config.kind == TACIT_SHM_CLIENT
                        ? known_as >= TACIT_NODE_CLIENT && known_as < TACIT_NODES_MAX
                        : known_as == shm->fabric.self;
    if (connection->end_received || !is_right) {
        return false;
    }
    if (packet->slot != 0) {
        // Of its own, as the protocol thread may ring when this thread has closed the other one.
        connection->bell_fd = fcntl(connection->fd, F_DUPFD_CLOEXEC, 0);
        if (connection->bell_fd < 0) {
            return false;
        }
    }
    connection->known_as = known_as;
    connection->end_received = true;
    return true;
}

// A packet without a descriptor.
static bool small_take(struct tacit_shm *shm, struct tacit_shm_connection *connection,
                       const struct tacit_shm_packet *packet)
{
    switch (packet->kind) {
    case TACIT_SHM_MAPPED:
        return mapped_take(shm, connection, packet->slot);
    case TACIT_SHM_END:
        return end_take(shm, connection, packet);
    case TACIT_SHM_RETIRE:
        return retire_take(shm, connection, packet->slot);
    case TACIT_SHM_READY:
        if (connection->ready_received) {
            return false;
        }
        connection->ready_received = true;
        return true;
    default:
        return false;
    }
}

bool tacit_shm_trade_take(struct tacit_shm *shm, struct tacit_shm_connection *connection,
                          const uint8_t *bytes, size_t size, int passed)
{
    struct tacit_shm_packet packet = {0};
    bool ok = size == sizeof packet;
    if (ok) {
        memcpy(&packet, bytes, sizeof packet);
    }
    if (packet.kind == TACIT_SHM_OFFER) {
        ok = offer_take(shm, connection, &packet, passed);
    } else {
        ok = ok && passed < 0 && small_take(shm, connection, &packet);
    }
    if (passed >= 0) {
        close(passed);
    }
    if (!ok) {
        tacit_shm_report(shm, TACIT_SHM_REPORT_MISBEHAVED,
                         "%s %u sent something out of place (kind %u, slot %u, %zu bytes) and was "
                         "disconnected; if it is no intruder, its region sizes differ from ours",
                         connection->kind == TACIT_SHM_REPLICA   ? "replica"
                         : connection->kind == TACIT_SHM_MEMNODE ? "memory node"
                                                                 : "client",
                         connection->id, packet.kind, packet.slot, (size_t)packet.bytes);
    }
    return ok;
}
