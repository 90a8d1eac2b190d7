// SPDX-License-Identifier: Apache-2.0
//
// The control thread: accepts, shakes hands, and keeps the life of every connection, from a
// stranger's first byte to the moment when the protocol thread has let go of it. Everything that a
// stranger can make it hold is bounded in number and in time.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

#define PACKETS_A_TURN 16
// Notices that connections coming up and going down may need: others leave that many free.
#define NOTICES_KEPT (2u * TACIT_SHM_CONNECTIONS + 2u)
#define IDLE_NS 1000000000u
#define NICE 10
// What a lost connection had mapped is unmapped this much later: it is thousands of pages, and who
// takes over from the one that died needs the processors now.
#define RELEASE_NS 20000000u
#define CROWDED_NS 1000000u

void tacit_shm_report(struct tacit_shm *shm, enum tacit_shm_report_kind kind, const char *format,
                      ...)
{
    tacit_time_ns_t now_ns = tacit_shm_now_ns();
    if (shm->config.report == NULL ||
        (shm->reported_ns[kind] != 0 && now_ns - shm->reported_ns[kind] < 1000000000u)) {
        return;
    }
    shm->reported_ns[kind] = now_ns;
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    shm->config.report(shm->config.context, kind, text);
}

void tacit_shm_notify(struct tacit_shm *shm, const struct tacit_shm_notice *notice)
{
    uint32_t at = atomic_load_explicit(&shm->notices_queue.written, memory_order_relaxed);
    assert(tacit_shm_queue_used(&shm->notices_queue) < TACIT_SHM_NOTICES);
    shm->notices[at % TACIT_SHM_NOTICES] = *notice;
    atomic_store_explicit(&shm->notices_queue.written, at + 1, memory_order_release);
    // Raised after the notice is there: whoever slept on the old value comes back and finds it.
    tacit_shm_wake(&shm->fabric);
}

static bool queue_is_crowded(struct tacit_shm *shm)
{
    return tacit_shm_queue_used(&shm->notices_queue) + NOTICES_KEPT + TACIT_SHM_SLOTS >
           TACIT_SHM_NOTICES;
}

// ---- life of a connection ----

static void handshake_give_back(struct tacit_shm *shm, struct tacit_shm_connection *connection)
{
    if (connection->handshake_memory == NULL) {
        return;
    }
    tacit_handshake_fini(connection->handshake);
    for (uint32_t i = 0; i < shm->config.handshakes; i++) {
        if (shm->handshake_pool[i] == connection->handshake_memory) {
            shm->handshake_used &= ~(1u << i);
        }
    }
    connection->handshake = NULL;
    connection->handshake_memory = NULL;
}

static void sockets_close(struct tacit_shm_connection *connection)
{
    int *fds[] = {&connection->fd, &connection->pidfd, &connection->tail_fd};
    if (connection->fd >= 0) {
        (void)shutdown(connection->fd, SHUT_RDWR); // now, also if it is a bell that is still held
    }
    for (unsigned i = 0; i < 3; i++) {
        if (*fds[i] >= 0) {
            close(*fds[i]);
        }
        *fds[i] = -1;
    }
}

void tacit_shm_connection_free(struct tacit_shm *shm, struct tacit_shm_connection *connection)
{
    sockets_close(connection);
    if (connection->bell_fd >= 0) {
        close(connection->bell_fd);
    }
    handshake_give_back(shm, connection);
    for (unsigned slot = 0; slot < TACIT_SHM_SLOTS; slot++) {
        tacit_shm_view_unmap(&connection->views[slot]);
    }
    tacit_shm_view_unmap(&connection->tail);
    if (connection->log_slot >= 0 && !shm->logs[connection->log_slot].present) {
        struct tacit_shm_log *log = &shm->logs[connection->log_slot];
        tacit_shm_view_unmap(&log->view);
        if (log->fd >= 0) {
            close(log->fd);
        }
        log->fd = -1;
        log->serial = 0;
    }
    if (connection->client_slot >= 0) {
        shm->client_slots &= ~(UINT64_C(1) << connection->client_slot);
    }
    connection->state = TACIT_SHM_FREE;
}

// True when the process behind the connection is dead for sure: its kernel left the mark of its
// protocol thread's death, or its pidfd says so.
static bool is_dead(const struct tacit_shm_connection *connection)
{
    const struct tacit_shm_view *host = &connection->views[TACIT_SHM_SLOT_HOST];
    if (host->words != NULL && connection->known_as < TACIT_NODES_MAX) {
        uint64_t word = tacit_shm_load(
            tacit_shm_host_word(host, TACIT_SHM_HOST_DEATHS + 8u * (size_t)connection->known_as));
        if ((word & FUTEX_OWNER_DIED) != 0) {
            return true;
        }
    }
    struct pollfd process = {.fd = connection->pidfd, .events = POLLIN};
    return connection->pidfd >= 0 && poll(&process, 1, 0) == 1 && (process.revents & POLLIN) != 0;
}

// Ends a connection that is not up (its resources are free at once) or is (the protocol thread is
// told).
static void connection_end(struct tacit_shm *shm, struct tacit_shm_connection *connection)
{
    bool was_up = connection->state == TACIT_SHM_UP;
    if (was_up) {
        struct tacit_shm_notice notice = {
            .kind = TACIT_SHM_NOTICE_DOWN,
            .certain = is_dead(connection),
            .connection = (uint16_t)(connection - shm->connections),
            .serial = connection->serial,
            .node = connection->node,
        };
        sockets_close(connection);
        connection->state = TACIT_SHM_LOST;
        if (shm->current[connection->node] == connection) {
            shm->current[connection->node] = NULL;
        }
        tacit_shm_notify(shm, &notice);
    } else if (connection->state != TACIT_SHM_LOST) {
        tacit_shm_connection_free(shm, connection);
    }
    if (connection->outbound) {
        tacit_shm_reach_ended(shm, connection, was_up);
    }
}

// Whether that life was here before, or is over; the latter is the rule's to say where there is
// one.
static bool is_stale(const struct tacit_shm *shm, tacit_node_t node,
                     tacit_incarnation_t incarnation)
{
    const tacit_incarnation_t *seen = shm->seen[node];
    return incarnation <= seen[tacit_incarnation_body(incarnation)] ||
           (shm->config.seat_rule == NULL && tacit_incarnation_is_over(seen, incarnation));
}

bool tacit_shm_connection_commit(struct tacit_shm *shm, struct tacit_shm_connection *connection)
{
    tacit_node_t node = connection->node;
    tacit_incarnation_t incarnation = connection->incarnation;
    if (node < TACIT_NODE_CLIENT && is_stale(shm, node, incarnation)) {
        return false; // another connection of this or a later life was faster
    }
    if (shm->current[node] != NULL) {
        connection_end(shm, shm->current[node]);
    }
    shm->current[node] = connection;
    if (node < TACIT_NODE_CLIENT) {
        shm->seen[node][tacit_incarnation_body(incarnation)] = incarnation;
    }
    connection->state = TACIT_SHM_UP;
    connection->deadline_ns = 0;
    if (connection->log_slot >= 0) {
        shm->logs[connection->log_slot].present = true;
        connection->log = shm->logs[connection->log_slot].view;
        connection->log_slot = -1; // no longer this connection's: it stays until it is retired
        shm->logs_changed = true;
    }
    atomic_fetch_add(connection->outbound ? &shm->connected : &shm->accepted, 1);
    struct tacit_shm_notice notice = {
        .kind = TACIT_SHM_NOTICE_UP,
        .connection = (uint16_t)(connection - shm->connections),
        .serial = connection->serial,
        .node = node,
    };
    tacit_shm_notify(shm, &notice);
    return true;
}

// ---- handshake ----

static bool kind_of(enum tacit_peer_role role, enum tacit_shm_kind *kind)
{
    if (role != TACIT_PEER_REPLICA && role != TACIT_PEER_MEMNODE && role != TACIT_PEER_CLIENT) {
        return false;
    }
    *kind = role == TACIT_PEER_REPLICA   ? TACIT_SHM_REPLICA
            : role == TACIT_PEER_MEMNODE ? TACIT_SHM_MEMNODE
                                         : TACIT_SHM_CLIENT;
    return true;
}

static struct tacit_peer_name name_of(enum tacit_shm_kind kind, uint16_t id)
{
    static const enum tacit_peer_role roles[] = {TACIT_PEER_REPLICA, TACIT_PEER_MEMNODE,
                                                 TACIT_PEER_CLIENT};
    return (struct tacit_peer_name){.role = roles[kind], .id = id};
}

static bool key_lookup(struct tacit_public_key *out, struct tacit_identity claimed, void *context)
{
    struct tacit_shm *shm = context;
    enum tacit_shm_kind kind;
    return kind_of(claimed.name.role, &kind) &&
           shm->config.key_of(shm->config.context, kind, claimed.name.id, claimed.incarnation, out);
}

// Who is at the other end. *pidfd is -1 where the kernel has none.
static void socket_peer(int fd, int32_t *pid, uint32_t *uid, int *pidfd)
{
    struct ucred who = {.pid = 0, .uid = (uid_t)-1};
    socklen_t bytes = sizeof who;
    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes);
    *pid = who.pid;
    *uid = who.uid;
    *pidfd = -1;
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
    bytes = sizeof *pidfd;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, pidfd, &bytes) != 0) {
        // Linux before 6.5. Its number may have been given to another process by now; then we never
        // see this one's death here, which is only the second source anyway.
        *pidfd = who.pid > 0 ? (int)syscall(SYS_pidfd_open, who.pid, 0) : -1;
    }
    if (*pidfd >= 0) {
        (void)fcntl(*pidfd, F_SETFD, FD_CLOEXEC);
    }
}

struct tacit_shm_connection *tacit_shm_connection_begin(struct tacit_shm *shm, int fd,
                                                        void *handshake_memory, int peer,
                                                        tacit_time_ns_t now_ns)
{
    struct tacit_shm_connection *connection = NULL;
    for (unsigned i = 0; i < TACIT_SHM_CONNECTIONS && connection == NULL; i++) {
        if (shm->connections[i].state == TACIT_SHM_FREE) {
            connection = &shm->connections[i];
        }
    }
    if (connection == NULL) {
        return NULL;
    }
    struct tacit_handshake_options options = {
        .connects = peer >= 0,
        .self = {.name = name_of(shm->config.kind, shm->config.id),
                 .incarnation = shm->fabric.incarnation},
        .group = shm->config.group,
        .cluster = shm->config.cluster,
        .keypair = shm->config.keypair,
        .lookup = key_lookup,
        .lookup_context = shm,
    };
    if (peer >= 0) {
        tacit_node_t node = shm->peers[peer].node;
        options.wanted = node < TACIT_NODE_MEMNODE
                             ? name_of(TACIT_SHM_REPLICA, node)
                             : name_of(TACIT_SHM_MEMNODE, (uint16_t)(node - TACIT_NODE_MEMNODE));
    }
    memset(connection, 0, sizeof *connection);
    struct tacit_error error;
    if (tacit_handshake_init(&connection->handshake, handshake_memory, tacit_handshake_size(),
                             &options, &error) != TACIT_OK) {
        tacit_shm_report(shm, TACIT_SHM_REPORT_RESOURCE, "%s", error.text);
        return NULL;
    }
    connection->state = TACIT_SHM_SHAKING;
    connection->handshake_memory = handshake_memory;
    connection->outbound = peer >= 0;
    connection->peer = peer >= 0 ? (unsigned)peer : 0;
    connection->fd = fd;
    connection->tail_fd = -1;
    connection->bell_fd = -1;
    connection->log_slot = -1;
    connection->client_slot = -1;
    connection->known_as = TACIT_NODE_NONE;
    connection->deadline_ns = now_ns + shm->config.handshake_timeout_ns;
    connection->serial = ++shm->next_serial;
    socket_peer(fd, &connection->pid, &connection->uid, &connection->pidfd);
    return connection;
}

static int log_reserve(struct tacit_shm *shm)
{
    for (int i = 0; i < (int)TACIT_SHM_LOGS; i++) {
        if (shm->logs[i].serial == 0) {
            shm->logs[i].serial = ++shm->next_serial;
            shm->logs[i].present = false;
            return i;
        }
    }
    return -1;
}

// Of two bodies that both may have the seat, because it is free, the first one keeps it.
static enum tacit_refusal judge_seat(const struct tacit_shm *shm,
                                     const struct tacit_shm_connection *connection)
{
    tacit_incarnation_t incarnation = connection->incarnation;
    const struct tacit_shm_connection *current = shm->current[connection->node];
    if (is_stale(shm, connection->node, incarnation)) {
        return TACIT_REFUSAL_STALE;
    }
    if (shm->config.seat_rule == NULL) {
        return TACIT_REFUSAL_NONE;
    }
    if (current != NULL && tacit_incarnation_is_rival(current->incarnation, incarnation)) {
        return TACIT_REFUSAL_BUSY;
    }
    return tacit_refusal_of_seat(
        shm->config.seat_rule(shm->config.context, connection->kind, connection->id, incarnation));
}

// Decides whether the authenticated peer may come in, and reserves what it needs here.
static enum tacit_refusal admit(struct tacit_shm *shm, struct tacit_shm_connection *connection,
                                const struct tacit_identity *identity)
{
    enum tacit_shm_kind own = shm->config.kind;
    if (!kind_of(identity->name.role, &connection->kind)) {
        return TACIT_REFUSAL_ROLE;
    }
    connection->id = identity->name.id;
    connection->incarnation = identity->incarnation;
    enum tacit_shm_kind kind = connection->kind;
    if (!connection->outbound) {
        // The rule of who connects: see shm.h.
        bool replica_may = kind == TACIT_SHM_REPLICA && connection->id < TACIT_REPLICAS_MAX &&
                           (own == TACIT_SHM_MEMNODE || connection->id > shm->config.id);
        bool client_may = kind == TACIT_SHM_CLIENT && own == TACIT_SHM_REPLICA;
        if (!replica_may && !client_may) {
            return TACIT_REFUSAL_ROLE;
        }
    }
    connection->node = tacit_shm_node(kind, connection->id);
    if (kind == TACIT_SHM_CLIENT) {
        if (~shm->client_slots == 0) {
            return TACIT_REFUSAL_BUSY;
        }
        connection->client_slot = __builtin_ctzll(~shm->client_slots);
        shm->client_slots |= UINT64_C(1) << connection->client_slot;
        connection->node = (tacit_node_t)(TACIT_NODE_CLIENT + connection->client_slot);
    } else {
        enum tacit_refusal refusal = judge_seat(shm, connection);
        if (refusal != TACIT_REFUSAL_NONE) {
            return refusal;
        }
    }
    if (tacit_shm_right(own, kind, TACIT_SHM_SLOT_LOG, &shm->config.layouts[own]) !=
        TACIT_SHM_NOTHING) {
        connection->log_slot = log_reserve(shm);
        if (connection->log_slot < 0) {
            tacit_shm_report(shm, TACIT_SHM_REPORT_RESOURCE,
                             "replica %u cannot connect: all %u log regions of former incarnations "
                             "are still kept",
                             connection->id, TACIT_SHM_LOGS);
            return TACIT_REFUSAL_BUSY;
        }
    }
    return TACIT_REFUSAL_NONE;
}
static_assert(TACIT_CLIENTS_MAX == 64, "client slots are a 64-bit set");

static bool handshake_refused(struct tacit_shm *shm, struct tacit_shm_connection *connection)
{
    struct tacit_error error = {.text = ""};
    // Where seats have several addresses, most of them are somebody else's, or of who may not sit
    // there yet.
    bool has_others = connection->outbound ? shm->peers[connection->peer].paths > 1
                                           : shm->config.seat_rule != NULL;
    enum tacit_refusal reason = tacit_handshake_outcome(connection->handshake)->reason;
    if (has_others && (reason == TACIT_REFUSAL_WRONG_NODE || reason == TACIT_REFUSAL_BUSY)) {
        return false;
    }
    if (tacit_handshake_explain(connection->handshake, &error) != TACIT_OK) {
        bool is_over = reason == TACIT_REFUSAL_STALE &&
                       tacit_handshake_outcome(connection->handshake)->by_peer;
        tacit_shm_report(shm, is_over ? TACIT_SHM_REPORT_STALE : TACIT_SHM_REPORT_REFUSED, "%s",
                         error.text);
    }
    atomic_fetch_add(&shm->refused, 1);
    return false;
}

// Sends what the handshake has to say; moves on when it is done. False: the connection must end.
static bool handshake_push(struct tacit_shm *shm, struct tacit_shm_connection *connection)
{
    uint8_t packet[TACIT_HANDSHAKE_MESSAGE_BYTES];
    while (tacit_handshake_output(connection->handshake, packet)) {
        if (tacit_shm_send(connection->fd, packet, sizeof packet, -1) != TACIT_SHM_IO_DONE) {
            return false; // a packet or two always fit into a new socket
        }
    }
    enum tacit_handshake_state state = tacit_handshake_state(connection->handshake);
    if (state == TACIT_HANDSHAKE_REFUSED) {
        return handshake_refused(shm, connection);
    }
    if (state != TACIT_HANDSHAKE_DONE) {
        return true;
    }
    connection->state = TACIT_SHM_TRADING;
    return tacit_shm_trade_begin(shm, connection) && tacit_shm_trade_push(shm, connection);
}

static bool handshake_take(struct tacit_shm *shm, struct tacit_shm_connection *connection,
                           const uint8_t *packet, size_t bytes)
{
    struct tacit_identity identity;
    uint8_t message[TACIT_HANDSHAKE_MESSAGE_BYTES];
    (void)!tacit_handshake_input(connection->handshake, packet, bytes); // the state says it
    enum tacit_handshake_state state = tacit_handshake_state(connection->handshake);
    if (state != TACIT_HANDSHAKE_REFUSED &&
        tacit_handshake_peer(connection->handshake, &identity)) {
        enum tacit_refusal refusal = admit(shm, connection, &identity);
        if (refusal != TACIT_REFUSAL_NONE) {
            tacit_handshake_refuse(connection->handshake, refusal);
            if (connection->outbound) {
                if (tacit_handshake_output(connection->handshake, message)) { // it shall know
                    (void)tacit_shm_send(connection->fd, message, sizeof message, -1);
                }
                if (refusal == TACIT_REFUSAL_BUSY) {
                    return false; // not yet
                }
                tacit_shm_report(shm, TACIT_SHM_REPORT_REFUSED, "%s %u, incarnation %u: %s",
                                 tacit_peer_role_name(identity.name.role), identity.name.id,
                                 identity.incarnation, tacit_refusal_text(refusal));
                atomic_fetch_add(&shm->refused, 1);
                return false;
            }
        }
    }
    return handshake_push(shm, connection);
}

// ---- loop ----

static void accept_all(struct tacit_shm *shm, tacit_time_ns_t now_ns)
{
    for (uint32_t i = 0; i < shm->config.handshakes; i++) {
        if ((shm->handshake_used >> i & 1) != 0) {
            continue;
        }
        int fd = tacit_shm_accept(shm->listener.fd);
        if (fd < 0) {
            return;
        }
        struct tacit_shm_connection *connection =
            tacit_shm_connection_begin(shm, fd, shm->handshake_pool[i], -1, now_ns);
        if (connection == NULL) {
            close(fd);
            return;
        }
        shm->handshake_used |= 1u << i;
        if (!handshake_push(shm, connection)) {
            connection_end(shm, connection);
        }
    }
}

static bool packet_take(struct tacit_shm *shm, struct tacit_shm_connection *connection,
                        const uint8_t *packet, size_t bytes, int passed)
{
    bool trading = connection->state != TACIT_SHM_SHAKING;
    if (trading && !(bytes == TACIT_HANDSHAKE_MESSAGE_BYTES && connection->handshake != NULL)) {
        handshake_give_back(shm, connection); // the peer is past it, so the slot is free for others
        if (tacit_shm_trade_take(shm, connection, packet, bytes, passed)) {
            return true;
        }
        atomic_fetch_add(&shm->misbehaved, 1);
        return false;
    }
    if (passed >= 0) {
        close(passed);
    }
    if (!trading) {
        return handshake_take(shm, connection, packet, bytes);
    }
    // A connector's REFUSE may come after our last word.
    (void)!tacit_handshake_input(connection->handshake, packet, bytes);
    return handshake_refused(shm, connection);
}

static void connection_readable(struct tacit_shm *shm, struct tacit_shm_connection *connection)
{
    for (int i = 0; i < PACKETS_A_TURN && connection->fd >= 0; i++) {
        uint8_t packet[TACIT_SHM_PACKET_MAX];
        size_t bytes;
        int passed;
        if (connection->state == TACIT_SHM_UP && queue_is_crowded(shm)) {
            return;
        }
        enum tacit_shm_io io = tacit_shm_receive(connection->fd, packet, &bytes, &passed);
        if (io == TACIT_SHM_IO_AGAIN) {
            break;
        }
        if (io == TACIT_SHM_IO_BAD) {
            atomic_fetch_add(&shm->misbehaved, 1);
        }
        if (io != TACIT_SHM_IO_DONE || !packet_take(shm, connection, packet, bytes, passed)) {
            connection_end(shm, connection);
            return;
        }
    }
    if (connection->state >= TACIT_SHM_TRADING && connection->fd >= 0 &&
        !tacit_shm_trade_push(shm, connection)) {
        connection_end(shm, connection);
    }
}

static void log_retire(struct tacit_shm *shm, unsigned slot)
{
    struct tacit_shm_log *log = &shm->logs[slot];
    tacit_shm_view_unmap(&log->view);
    close(log->fd);
    log->fd = -1;
    log->serial = 0;
    shm->logs_changed = true;
}

static void release(struct tacit_shm *shm, struct tacit_shm_connection *connection)
{
    bool was_up = connection->state == TACIT_SHM_UP;
    if (was_up && shm->current[connection->node] == connection) {
        shm->current[connection->node] = NULL;
    }
    tacit_shm_connection_free(shm, connection);
    if (was_up && connection->outbound) {
        tacit_shm_reach_ended(shm, connection, true);
    }
}

static void commands_take(struct tacit_shm *shm)
{
    uint64_t rung;
    (void)!read(shm->command_event, &rung, sizeof rung);
    while (tacit_shm_queue_used(&shm->commands_queue) > 0) {
        uint32_t at = atomic_load_explicit(&shm->commands_queue.taken, memory_order_relaxed);
        struct tacit_shm_command command = shm->commands[at % TACIT_SHM_COMMANDS];
        atomic_store_explicit(&shm->commands_queue.taken, at + 1, memory_order_release);
        if (command.kind == TACIT_SHM_COMMAND_UNMAP) {
            tacit_shm_memory_unmap(command.base, command.bytes);
        } else if (command.kind == TACIT_SHM_COMMAND_RETIRE) {
            log_retire(shm, command.number);
        } else {
            shm->connections[command.number].release_ns = tacit_shm_now_ns() + RELEASE_NS;
        }
    }
}

static tacit_time_ns_t expire(struct tacit_shm *shm, tacit_time_ns_t now_ns)
{
    tacit_time_ns_t next_ns = now_ns + IDLE_NS;
    for (unsigned i = 0; i < TACIT_SHM_CONNECTIONS; i++) {
        struct tacit_shm_connection *connection = &shm->connections[i];
        if (connection->state != TACIT_SHM_FREE && connection->release_ns != 0) {
            if (connection->release_ns <= now_ns) {
                release(shm, connection);
            } else if (connection->release_ns < next_ns) {
                next_ns = connection->release_ns;
            }
            continue;
        }
        if (connection->state == TACIT_SHM_FREE || connection->deadline_ns == 0) {
            continue;
        }
        if (connection->deadline_ns <= now_ns) {
            atomic_fetch_add(&shm->expired, 1);
            connection_end(shm, connection);
        } else if (connection->deadline_ns < next_ns) {
            next_ns = connection->deadline_ns;
        }
    }
    return next_ns;
}

static void logs_announce(struct tacit_shm *shm)
{
    shm->logs_changed = false;
    for (unsigned i = 0; i < TACIT_SHM_CONNECTIONS; i++) {
        struct tacit_shm_connection *connection = &shm->connections[i];
        if ((connection->state == TACIT_SHM_TRADING || connection->state == TACIT_SHM_UP) &&
            !tacit_shm_trade_push(shm, connection)) {
            connection_end(shm, connection);
        }
    }
}

static void wait_until(struct tacit_shm *shm, tacit_time_ns_t until_ns)
{
    struct pollfd fds[3 + TACIT_SHM_CONNECTIONS];
    uint16_t whose[TACIT_SHM_CONNECTIONS];
    bool crowded = queue_is_crowded(shm);
    uint32_t all = (uint32_t)((UINT64_C(1) << shm->config.handshakes) - 1);
    bool room = (shm->handshake_used & all) != all;
    fds[0] = (struct pollfd){.fd = shm->command_event, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = room ? shm->listener.fd : -1, .events = POLLIN};
    fds[2] = (struct pollfd){.fd = shm->reach_fd, .events = POLLIN};
    nfds_t count = 3;
    for (unsigned i = 0; i < TACIT_SHM_CONNECTIONS; i++) {
        const struct tacit_shm_connection *connection = &shm->connections[i];
        if (connection->state == TACIT_SHM_FREE || connection->fd < 0) {
            continue;
        }
        bool later = crowded && connection->state == TACIT_SHM_UP;
        fds[count] = (struct pollfd){.fd = later ? -1 : connection->fd, .events = POLLIN};
        if (connection->want_output) {
            fds[count].events = (short)(fds[count].events | POLLOUT);
        }
        whose[count++ - 3] = (uint16_t)i;
    }
    tacit_time_ns_t now_ns = tacit_shm_now_ns();
    uint64_t pause_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    if (crowded && pause_ns > CROWDED_NS) {
        pause_ns = CROWDED_NS;
    }
    struct timespec pause = {.tv_sec = (time_t)(pause_ns / 1000000000u),
                             .tv_nsec = (long)(pause_ns % 1000000000u)};
    if (ppoll(fds, count, &pause, NULL) <= 0) {
        return;
    }
    // The order matters to nobody but the log: releases first, so that slots are free.
    if (fds[0].revents != 0) {
        commands_take(shm);
    }
    for (nfds_t i = 3; i < count; i++) {
        struct tacit_shm_connection *connection = &shm->connections[whose[i - 3]];
        if (fds[i].revents != 0 && connection->fd == fds[i].fd) {
            connection_readable(shm, connection);
        }
    }
    if (fds[1].revents != 0) {
        accept_all(shm, tacit_shm_now_ns());
    }
    if (fds[2].revents != 0) {
        tacit_shm_reach_readable(shm);
    }
}

// It wakes up when somebody died, like the protocol threads, which are in a hurry: it gets a small
// share of a processor that one of them wants. But where they have the rank to keep it from both
// processors, whoever comes back would wait for a tenth of a second to be let in: so while somebody
// is, it is ranked as it was started, and has short slices, as they have: a handshake is a dozen
// packets to and fro, and a wake-up for each. Not to be allowed this is no error (then they have
// none).
static void follow_rank(struct tacit_shm *shm, int started)
{
    bool lets_in = false;
    for (unsigned i = 0; i < TACIT_SHM_CONNECTIONS; i++) {
        enum tacit_shm_connection_state state = shm->connections[i].state;
        lets_in = lets_in || state == TACIT_SHM_SHAKING || state == TACIT_SHM_TRADING;
    }
    if (lets_in == shm->is_low) {
        shm->is_low = !lets_in;
        (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), lets_in ? started : NICE);
        tacit_shm_ask_for_slices(lets_in);
    }
}

void *tacit_shm_control_main(void *context)
{
    struct tacit_shm *shm = context;
    int started = getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid));
    while (!atomic_load(&shm->stop)) {
        follow_rank(shm, started);
        if (tacit_shm_queue_used(&shm->commands_queue) > 0) { // not all of them are rung for
            commands_take(shm);
        }
        tacit_time_ns_t now_ns = tacit_shm_now_ns();
        tacit_time_ns_t next_ns = expire(shm, now_ns);
        tacit_time_ns_t reach_ns = tacit_shm_reach_turn(shm, now_ns);
        next_ns = reach_ns < next_ns ? reach_ns : next_ns;
        while (shm->logs_changed) { // again if that brought a connection up: at most once for each
            logs_announce(shm);
        }
        wait_until(shm, next_ns);
    }
    return NULL;
}
