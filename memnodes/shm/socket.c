// SPDX-License-Identifier: Apache-2.0
//
// Unix sockets between nodes; see socket.h. Packets (SOCK_SEQPACKET) keep message borders, so there
// is no framing that a stranger could get wrong.
#include "socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int tacit_shm_accept(int listening)
{
    return accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

enum tacit_shm_io tacit_shm_send(int fd, const void *packet, size_t bytes, int passed)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    uint8_t copy[TACIT_SHM_PACKET_MAX];
    if (bytes > sizeof copy) {
        return TACIT_SHM_IO_BAD;
    }
    memcpy(copy, packet, bytes);
    struct iovec vector = {.iov_base = copy, .iov_len = bytes};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (passed >= 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = sizeof control.space;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &passed, sizeof passed);
    }
    if (sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)bytes) {
        return TACIT_SHM_IO_DONE;
    }
    // ETOOMANYREFS: too many descriptors under way; they arrive or go with the connection.
    return errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ETOOMANYREFS
               ? TACIT_SHM_IO_AGAIN
               : TACIT_SHM_IO_CLOSED;
}

enum tacit_shm_io tacit_shm_receive(int fd, void *packet, size_t *bytes, int *passed)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec vector = {.iov_base = packet, .iov_len = TACIT_SHM_PACKET_MAX};
    // CMSG_LEN, not the padded size: the kernel would put a second descriptor into the padding.
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_LEN(sizeof(int))};
    *passed = -1;
    ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) {
        return errno == EAGAIN || errno == EINTR ? TACIT_SHM_IO_AGAIN : TACIT_SHM_IO_CLOSED;
    }
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int))) {
        memcpy(passed, CMSG_DATA(header), sizeof *passed);
    }
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        if (*passed >= 0) {
            close(*passed);
        }
        *passed = -1;
        return TACIT_SHM_IO_BAD;
    }
    *bytes = (size_t)got;
    return got == 0 && *passed < 0 ? TACIT_SHM_IO_CLOSED : TACIT_SHM_IO_DONE;
}
