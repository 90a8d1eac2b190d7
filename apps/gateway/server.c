// SPDX-License-Identifier: Apache-2.0
//
// Sockets of the gateway. Waiting is for two kinds of things at once, sockets (epoll) and replies
// in memory (the channel), which no single system call covers. But replies come only while requests
// are outstanding: so the loop blocks in epoll when nothing is outstanding; while something is, it
// looks at both in turn, giving way between looks, and after a while (a fail-over, an overloaded
// machine) sleeps until a reply rings, in slices short enough for new commands not to wait long.
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    TACIT_SERVER_EVENTS = 64,
    TACIT_SERVER_RESULTS_A_TURN = 256,
    TACIT_SERVER_BACKLOG = 128,
    TACIT_SERVER_LOOKS_OUTSTANDING =
        300,                      // turns without work before sleeping while a reply is awaited
    TACIT_SERVER_LOOKS_IDLE = 12, // turns without work before blocking when nothing is outstanding
    TACIT_SERVER_LOOKS_A_SOCKET_LOOK =
        4, // while a reply is awaited sockets are looked at in each so many-th turn
    TACIT_SERVER_TURNS_A_CLOCK = 256, // turns with work before the clock is looked at
    TACIT_SERVER_DISCARDS = 64,       // reads from a connection that is over
    TACIT_SERVER_BLOCK_MS = 250,      // longest time without looking at the channel
};
#define SLICE_NS (200u * 1000)
#define HOUSEKEEPING_NS (250u * 1000 * 1000)
#define STOP_NS (2ull * 1000 * 1000 * 1000)

// What an epoll event is about, but for connections.
enum { TACIT_SERVER_ABOUT_TCP = 1 << 20, TACIT_SERVER_ABOUT_UNIX, TACIT_SERVER_ABOUT_STOP };

struct client {
    int file;                   // -1: none
    uint32_t interest;          // as registered with epoll
    tacit_time_ns_t stalled_ns; // since when nothing could be sent; 0: not so
};

struct tacit_server {
    struct tacit_server_config config;
    struct tacit_front *front;
    struct tacit_cluster_backend *backend;
    struct client *clients;
    uint32_t client_count;
    int epoll, tcp, local;
    bool stopping;
    tacit_time_ns_t stop_by_ns;
    tacit_time_ns_t housekeeping_ns;
};

// ---- listening ------------------------------------------------------------------------

static enum tacit_status socket_error(const char *what, const char *where,
                                      struct tacit_error *error)
{
    int os_errno = errno;
    enum tacit_status status = os_errno == EADDRINUSE                    ? TACIT_EBUSY
                               : os_errno == EACCES || os_errno == EPERM ? TACIT_EPERM
                                                                         : TACIT_EIO;
    const char *advice = "";
    if (os_errno == EADDRINUSE) {
        advice = " by another process; stop that, or choose another with --port or --unix";
    } else if (os_errno == EADDRNOTAVAIL) {
        advice = "; --bind takes an address of this machine";
    }
    return tacit_error_set(error, status, os_errno, "gateway: cannot %s %s: %s%s", what, where,
                           strerror(os_errno), advice);
}

static bool watch(struct tacit_server *server, int file, uint32_t interest, uint32_t about)
{
    struct epoll_event event = {.events = interest, .data.u32 = about};
    return epoll_ctl(server->epoll, EPOLL_CTL_ADD, file, &event) == 0;
}

static enum tacit_status listen_tcp(struct tacit_server *server, struct tacit_error *error)
{
    const char *address = server->config.address;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(server->config.port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(server->config.port)};
    bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "gateway: \"%s\" is no IPv4 or IPv6 address to listen on", address);
    }
    char where[96];
    snprintf(where, sizeof where, "%s port %u", address, server->config.port);
    server->tcp = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    const struct sockaddr *bound =
        is_v4 ? (const struct sockaddr *)&v4 : (const struct sockaddr *)&v6;
    socklen_t size = is_v4 ? sizeof v4 : sizeof v6;
    if (server->tcp < 0 ||
        setsockopt(server->tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(server->tcp, bound, size) != 0 || listen(server->tcp, TACIT_SERVER_BACKLOG) != 0 ||
        !watch(server, server->tcp, EPOLLIN, TACIT_SERVER_ABOUT_TCP)) {
        return socket_error("listen on", where, error);
    }
    return TACIT_OK;
}

// Removes a socket file that nobody listens on any more. False: a file of another kind is there.
static bool remove_stale(const struct sockaddr_un *address)
{
    struct stat info;
    if (lstat(address->sun_path, &info) != 0) {
        return true;
    }
    if (!S_ISSOCK(info.st_mode)) {
        return false;
    }
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe >= 0) {
        if (connect(probe, (const struct sockaddr *)address, sizeof *address) != 0 &&
            errno == ECONNREFUSED) {
            unlink(address->sun_path);
        }
        close(probe);
    }
    return true;
}

static enum tacit_status listen_unix(struct tacit_server *server, struct tacit_error *error)
{
    const char *path = server->config.unix_path;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "gateway: the socket path %s is too long; at most %zu bytes are "
                               "accepted",
                               path, sizeof address.sun_path - 1);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (!remove_stale(&address)) {
        return tacit_error_set(error, TACIT_EEXIST, 0,
                               "gateway: %s is there and is no socket; --unix takes another path",
                               path);
    }
    mode_t mask = umask(0177);
    int file = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int result = file < 0 ? -1 : bind(file, (const struct sockaddr *)&address, sizeof address);
    umask(mask);
    if (result != 0) {
        enum tacit_status status = socket_error("listen on", path, error);
        if (file >= 0) {
            close(file);
        }
        return status;
    }
    server->local = file;
    if (listen(file, TACIT_SERVER_BACKLOG) != 0 ||
        !watch(server, file, EPOLLIN, TACIT_SERVER_ABOUT_UNIX)) {
        return socket_error("listen on", path, error);
    }
    return TACIT_OK;
}

enum tacit_status tacit_server_open(const struct tacit_server_config *config,
                                    struct tacit_front *front,
                                    struct tacit_cluster_backend *backend,
                                    struct tacit_server **server_out, struct tacit_error *error)
{
    struct tacit_server *server = calloc(1, sizeof *server);
    struct client *clients = calloc(config->connections, sizeof *clients);
    if (server == NULL || clients == NULL) {
        free(server);
        free(clients);
        return tacit_error_set(error, TACIT_ENOMEM, errno, "gateway: no memory for %u connections",
                               config->connections);
    }
    *server = (struct tacit_server){.config = *config,
                                    .front = front,
                                    .backend = backend,
                                    .clients = clients,
                                    .epoll = epoll_create1(EPOLL_CLOEXEC),
                                    .tcp = -1,
                                    .local = -1};
    for (uint32_t i = 0; i < config->connections; i++) {
        clients[i].file = -1;
    }
    enum tacit_status status = TACIT_OK;
    if (server->epoll < 0 || !watch(server, config->stop_file, EPOLLIN, TACIT_SERVER_ABOUT_STOP)) {
        status = socket_error("wait for", "events", error);
    }
    if (status == TACIT_OK && config->address != NULL) {
        status = listen_tcp(server, error);
    }
    if (status == TACIT_OK && config->unix_path != NULL) {
        status = listen_unix(server, error);
    }
    if (status != TACIT_OK) {
        tacit_server_close(server);
        return status;
    }
    *server_out = server;
    return TACIT_OK;
}

uint16_t tacit_server_port(const struct tacit_server *server)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (server->tcp < 0 || getsockname(server->tcp, (struct sockaddr *)&address, &size) != 0) {
        return 0;
    }
    // The port is at the same place in both kinds of address.
    struct sockaddr_in v4;
    memcpy(&v4, &address, sizeof v4);
    return ntohs(v4.sin_port);
}

static void stop_listening(struct tacit_server *server)
{
    if (server->tcp >= 0) {
        close(server->tcp);
        server->tcp = -1;
    }
    if (server->local >= 0) {
        close(server->local);
        unlink(server->config.unix_path);
        server->local = -1;
    }
}

// Bytes that nobody reads any more would make the kernel break the connection, and the other side
// lose the last replies.
static void discard_input(int file)
{
    uint8_t bytes[4096];
    for (uint32_t i = 0; i < TACIT_SERVER_DISCARDS; i++) {
        if (recv(file, bytes, sizeof bytes, MSG_DONTWAIT) <= 0) {
            return;
        }
    }
}

static void drop_client(struct tacit_server *server, uint32_t index)
{
    struct client *client = &server->clients[index];
    discard_input(client->file);
    close(client->file); // also takes it out of epoll
    client->file = -1;
    server->client_count--;
    tacit_front_release(server->front, index);
}

void tacit_server_close(struct tacit_server *server)
{
    if (server == NULL) {
        return;
    }
    for (uint32_t i = 0; i < server->config.connections; i++) {
        if (server->clients[i].file >= 0) {
            drop_client(server, i);
        }
    }
    stop_listening(server);
    if (server->epoll >= 0) {
        close(server->epoll);
    }
    free(server->clients);
    free(server);
}

// ---- connections ----------------------------------------------------------------------

static void accept_one(struct tacit_server *server, int from)
{
    int file = accept4(from, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (file < 0) {
        return; // gone again, or no file descriptor left: the next turn tries again
    }
    int one = 1;
    (void)setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); // fails for Unix sockets
    uint32_t index = tacit_front_accept(server->front);
    if (index == TACIT_FRONT_NONE) {
        const char *text = tacit_front_rejection();
        (void)send(file, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
        close(file);
        return;
    }
    server->clients[index] = (struct client){.file = file, .interest = EPOLLIN};
    server->client_count++;
    if (!watch(server, file, EPOLLIN, index)) {
        drop_client(server, index);
    }
}

static void set_interest(struct tacit_server *server, uint32_t index, bool waits_to_send)
{
    struct client *client = &server->clients[index];
    size_t room;
    (void)tacit_front_input(server->front, index, &room);
    uint32_t interest = (room > 0 ? EPOLLIN : 0u) | (waits_to_send ? EPOLLOUT : 0u);
    if (interest != client->interest) {
        struct epoll_event event = {.events = interest, .data.u32 = index};
        if (epoll_ctl(server->epoll, EPOLL_CTL_MOD, client->file, &event) == 0) {
            client->interest = interest;
        }
    }
}

// Sends what there is. The client may be gone afterwards.
static void flush(struct tacit_server *server, uint32_t index)
{
    struct client *client = &server->clients[index];
    size_t size;
    const uint8_t *bytes;
    bool full = false;
    while (!full && (bytes = tacit_front_output(server->front, index, &size), size > 0)) {
        ssize_t sent = send(client->file, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            client->stalled_ns = 0;
            tacit_front_sent(server->front, index, (size_t)sent);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            full = true;
        } else if (errno != EINTR) {
            drop_client(server, index);
            return;
        }
    }
    if (full && client->stalled_ns == 0) {
        client->stalled_ns = tacit_channel_now_ns(server->backend->channel);
    }
    if (tacit_front_is_over(server->front, index)) {
        drop_client(server, index);
        return;
    }
    set_interest(server, index, full);
}

static void receive(struct tacit_server *server, uint32_t index)
{
    size_t room;
    uint8_t *to = tacit_front_input(server->front, index, &room);
    if (room == 0) {
        set_interest(server, index, (server->clients[index].interest & EPOLLOUT) != 0);
        return;
    }
    ssize_t got = recv(server->clients[index].file, to, room, MSG_DONTWAIT);
    if (got > 0) {
        tacit_front_received(server->front, index, (size_t)got);
    } else if (got == 0) {
        tacit_front_end_of_input(server->front, index);
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        drop_client(server, index);
        return;
    }
    flush(server, index);
}

static void on_client(struct tacit_server *server, uint32_t index, uint32_t events)
{
    if (server->clients[index].file < 0) {
        return; // dropped earlier in this turn
    }
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
        drop_client(server, index);
    } else if ((events & EPOLLIN) != 0) {
        receive(server, index);
    } else {
        flush(server, index);
    }
}

static void begin_stop(struct tacit_server *server, tacit_time_ns_t now_ns)
{
    if (server->stopping) {
        return;
    }
    server->stopping = true;
    server->stop_by_ns = now_ns + STOP_NS;
    stop_listening(server);
    epoll_ctl(server->epoll, EPOLL_CTL_DEL, server->config.stop_file, NULL);
    for (uint32_t i = 0; i < server->config.connections; i++) {
        if (server->clients[i].file >= 0) {
            tacit_front_end_of_input(server->front, i);
            flush(server, i);
        }
    }
}

// ---- loop -----------------------------------------------------------------------------

_Static_assert(TACIT_SERVER_LOOKS_OUTSTANDING % TACIT_SERVER_LOOKS_A_SOCKET_LOOK == 0,
               "sockets are looked at after each sleep, however long nothing is answered");

static bool look_at_sockets(struct tacit_server *server, int timeout_ms)
{
    struct epoll_event events[TACIT_SERVER_EVENTS];
    int count = epoll_wait(server->epoll, events, TACIT_SERVER_EVENTS, timeout_ms);
    for (int i = 0; i < count; i++) {
        uint32_t about = events[i].data.u32;
        if (about == TACIT_SERVER_ABOUT_TCP && server->tcp >= 0) {
            accept_one(server, server->tcp);
        } else if (about == TACIT_SERVER_ABOUT_UNIX && server->local >= 0) {
            accept_one(server, server->local);
        } else if (about == TACIT_SERVER_ABOUT_STOP) {
            begin_stop(server, tacit_channel_now_ns(server->backend->channel));
        } else if (about < server->config.connections) {
            on_client(server, about, events[i].events);
        }
    }
    return count > 0;
}

static bool look_at_results(struct tacit_server *server)
{
    bool any = tacit_cluster_backend_poll(server->backend, TACIT_SERVER_RESULTS_A_TURN) > 0;
    uint32_t index;
    while ((index = tacit_front_changed(server->front)) != TACIT_FRONT_NONE) {
        if (server->clients[index].file >= 0) {
            flush(server, index);
        }
    }
    return any;
}

static void close_stalled(struct tacit_server *server, tacit_time_ns_t now_ns)
{
    for (uint32_t i = 0; i < server->config.connections; i++) {
        const struct client *client = &server->clients[i];
        if (client->file >= 0 && client->stalled_ns != 0 &&
            now_ns - client->stalled_ns >= server->config.stall_ns) {
            drop_client(server, i);
        }
    }
}

static void keep_house(struct tacit_server *server, tacit_time_ns_t now_ns)
{
    if (now_ns >= server->housekeeping_ns) {
        server->housekeeping_ns = now_ns + HOUSEKEEPING_NS;
        close_stalled(server, now_ns);
        tacit_front_tick(server->front, now_ns);
    }
}

// A reply is awaited for long: sleeps until it rings, but not so long that new commands notice.
static void sleep_for_reply(struct tacit_server *server)
{
    struct tacit_channel *channel = server->backend->channel;
    tacit_channel_arm(channel);
    if (!look_at_results(server)) {
        tacit_channel_sleep(channel, tacit_channel_now_ns(channel) + SLICE_NS);
    }
    tacit_cluster_backend_flush(server->backend); // what became free to go
    tacit_channel_disarm(channel);
}

void tacit_server_run(struct tacit_server *server)
{
    struct tacit_channel *channel = server->backend->channel;
    uint32_t looks = 0; // without work
    for (uint32_t turn = 0;; turn++) {
        bool awaited = tacit_channel_outstanding(channel) > 0;
        bool worked = look_at_results(server);
        if (!awaited || worked || looks % TACIT_SERVER_LOOKS_A_SOCKET_LOOK == 0) {
            bool block = !awaited && !worked && looks >= TACIT_SERVER_LOOKS_IDLE &&
                         server->config.waiting == TACIT_CHANNEL_ADAPTIVE;
            worked = look_at_sockets(server, block ? TACIT_SERVER_BLOCK_MS : 0) || worked;
        }
        tacit_cluster_backend_flush(server->backend);
        looks = worked ? 0 : looks + 1;
        if (worked && turn % TACIT_SERVER_TURNS_A_CLOCK != 0) {
            continue;
        }
        tacit_time_ns_t now_ns = tacit_channel_now_ns(channel);
        keep_house(server, now_ns);
        if (worked) {
            continue;
        }
        if (server->stopping && (server->client_count == 0 || now_ns >= server->stop_by_ns)) {
            return;
        }
        if (server->config.waiting == TACIT_CHANNEL_SPIN) {
            continue;
        }
        if (awaited && looks >= TACIT_SERVER_LOOKS_OUTSTANDING &&
            server->config.waiting == TACIT_CHANNEL_ADAPTIVE) {
            sleep_for_reply(server);
            looks = TACIT_SERVER_LOOKS_OUTSTANDING; // the next turn looks at the sockets
        } else {
            sched_yield();
        }
    }
}
