// SPDX-License-Identifier: Apache-2.0
//
// The gateway's sockets and its loop: one thread that waits for clients and for replicas.
#ifndef TACIT_SERVER_H
#define TACIT_SERVER_H

#include "cluster_backend.h"
#include "front.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tacit_server_config {
    const char *address;      // IPv4 or IPv6 address to listen on; NULL: no TCP
    uint16_t port;            // 0: any (tacit_server_port says which)
    const char *unix_path;    // socket file, mode 0600; NULL: none. A stale one is replaced
    uint32_t connections;     // like the front's
    int stop_file;            // readable: stop. A signalfd
    tacit_time_ns_t stall_ns; // a client that takes no reply for so long is closed
    enum tacit_channel_waiting waiting;
};

struct tacit_server;

// Listens. Errors: TACIT_EINVAL (address), TACIT_EBUSY (port or socket in use), TACIT_EPERM,
// TACIT_EIO, TACIT_ENOMEM. Strings are borrowed until close.
enum tacit_status tacit_server_open(const struct tacit_server_config *config,
                                    struct tacit_front *front,
                                    struct tacit_cluster_backend *backend,
                                    struct tacit_server **server, struct tacit_error *error);
uint16_t tacit_server_port(const struct tacit_server *server);
// Serves until stop_file is readable; then takes no more input, answers what was asked (at most 2
// s) and returns.
void tacit_server_run(struct tacit_server *server);
void tacit_server_close(struct tacit_server *server);

#ifdef __cplusplus
}
#endif

#endif
