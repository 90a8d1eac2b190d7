// SPDX-License-Identifier: Apache-2.0
//
// Unix sockets between nodes: one message a packet, at most one descriptor with it. Nothing here
// blocks.
#ifndef TACIT_MEMNODES_SHM_SOCKET_H
#define TACIT_MEMNODES_SHM_SOCKET_H

#include "tacit/types.h"

#define TACIT_SHM_PACKET_MAX 256u

// A new connection that does not block, or -1.
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

#endif
