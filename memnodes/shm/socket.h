// SPDX-License-Identifier: Apache-2.0
//
// Unix sockets between nodes: one message a packet, at most one descriptor with it. Nothing here
// blocks.
#ifndef TACIT_MEMNODES_SHM_SOCKET_H
#define TACIT_MEMNODES_SHM_SOCKET_H

#include "tacit/types.h"

#define TACIT_SHM_PATH_MAX 99u
#define TACIT_SHM_PACKET_MAX 256u

// The owner of a listening socket. The lock is what tells a live owner from a dead one's
// left-overs.
struct tacit_shm_listener {
    int fd;
    int lock;
    char path[TACIT_SHM_PATH_MAX + 1];
};

// Binds and listens; `gid` 0: mode 0600, else that group and 0660. Waits up to 300 ms for a dying
// owner.
enum tacit_status tacit_shm_listen(struct tacit_shm_listener *listener, const char *path,
                                   uint32_t gid, struct tacit_error *error);
void tacit_shm_listener_close(struct tacit_shm_listener *listener);

// Connected socket, or -1 with errno.
int tacit_shm_connect(const char *path);
int tacit_shm_accept(int listening);

enum tacit_shm_io {
    TACIT_SHM_IO_DONE = 0,
    TACIT_SHM_IO_AGAIN,
    TACIT_SHM_IO_CLOSED,
    TACIT_SHM_IO_BAD
};
// Sends one packet, with `passed` if that is not -1.
enum tacit_shm_io tacit_shm_send(int fd, const void *packet, size_t bytes, int passed);
// Receives one packet of at most TACIT_SHM_PACKET_MAX bytes; *passed is -1 or a descriptor that is
// the caller's to close. BAD: longer than that, or with more than one descriptor; all are closed.
enum tacit_shm_io tacit_shm_receive(int fd, void *packet, size_t *bytes, int *passed);

// Who is at the other end. *pidfd is -1 where the kernel has none.
void tacit_shm_socket_peer(int fd, int32_t *pid, uint32_t *uid, int *pidfd);

#endif
