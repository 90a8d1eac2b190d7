// SPDX-License-Identifier: Apache-2.0
//
// Sockets with a name: stale and live ones, listening and connecting. See tacit/shm.h and listen.h.
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES 400
#define LOCK_PAUSE_NS 5000000
#define BACKLOG 128

static void address_fill(struct sockaddr_un *address, const char *path, const char *suffix)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    (void)snprintf(address->sun_path, sizeof address->sun_path, "%s%s", path, suffix);
}

static enum tacit_status listen_trouble(struct tacit_error *error, const char *path, int reason)
{
    enum tacit_status status = reason == EACCES || reason == EPERM || reason == EROFS ? TACIT_EPERM
                               : reason == ENOENT || reason == ENOTDIR                ? TACIT_ENOENT
                                                                                      : TACIT_EIO;
    return tacit_error_set(error, status, reason, "cannot listen on socket %s: %s", path,
                           strerror(reason));
}

// Takes the lock file. A killed owner keeps its lock until the kernel is through with it, which a
// supervisor that restarts it at once must not see as an error: so wait a little.
static enum tacit_status lock_take(struct tacit_shm_listener *listener, struct tacit_error *error)
{
    char path[TACIT_SHM_PATH_MAX + 8];
    (void)snprintf(path, sizeof path, "%s.lock", listener->path);
    listener->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (listener->lock < 0) {
        return listen_trouble(error, listener->path, errno);
    }
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(listener->lock, LOCK_EX | LOCK_NB) == 0) {
            return TACIT_OK;
        }
        struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
        (void)nanosleep(&pause, NULL);
    }
    return tacit_error_set(error, TACIT_EBUSY, 0,
                           "socket %s is in use by a running process; stop it, or give this node "
                           "another socket",
                           listener->path);
}

// What is at the path now may go if it is a socket that nobody listens on.
static enum tacit_status path_check(const char *path, struct tacit_error *error)
{
    struct stat status;
    if (lstat(path, &status) != 0) {
        return errno == ENOENT ? TACIT_OK : listen_trouble(error, path, errno);
    }
    if (!S_ISSOCK(status.st_mode)) {
        return tacit_error_set(error, TACIT_EEXIST, 0,
                               "%s exists and is not a socket; it is left alone, name another path",
                               path);
    }
    int probe = tacit_shm_connect(path);
    int reason = errno;
    if (probe >= 0) {
        close(probe);
    }
    if (probe < 0 && reason == ECONNREFUSED) {
        return TACIT_OK;
    }
    return tacit_error_set(error, TACIT_EBUSY, probe < 0 ? reason : 0,
                           "somebody listens on socket %s; stop that process, or give this node "
                           "another socket",
                           path);
}

// Binds beside the path and moves the finished socket there, so that whoever sees it can connect.
static enum tacit_status bind_listen(struct tacit_shm_listener *listener, uint32_t gid,
                                     struct tacit_error *error)
{
    struct sockaddr_un address;
    address_fill(&address, listener->path, ".new");
    (void)unlink(address.sun_path);
    listener->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd < 0 ||
        fchmod(listener->fd, gid != 0 ? 0660 : 0600) != 0 || // before bind: the file's mode
        bind(listener->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        (gid != 0 && chown(address.sun_path, (uid_t)-1, (gid_t)gid) != 0) ||
        chmod(address.sun_path, gid != 0 ? 0660 : 0600) != 0 ||
        listen(listener->fd, BACKLOG) != 0 || rename(address.sun_path, listener->path) != 0) {
        int reason = errno;
        (void)unlink(address.sun_path);
        return listen_trouble(error, listener->path, reason);
    }
    return TACIT_OK;
}

enum tacit_status tacit_shm_listen(struct tacit_shm_listener *listener, const char *path,
                                   uint32_t gid, struct tacit_error *error)
{
    listener->fd = -1;
    listener->lock = -1;
    if (strlen(path) > TACIT_SHM_PATH_MAX || path[0] == '\0') {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "socket path \"%s\" has %zu bytes; accepted are 1 to %u", path,
                               strlen(path), TACIT_SHM_PATH_MAX);
    }
    (void)snprintf(listener->path, sizeof listener->path, "%s", path);
    enum tacit_status status = lock_take(listener, error);
    if (status == TACIT_OK) {
        status = path_check(path, error);
    }
    if (status == TACIT_OK) {
        status = bind_listen(listener, gid, error);
    }
    if (status != TACIT_OK) {
        if (listener->fd >= 0) {
            close(listener->fd);
        }
        if (listener->lock >= 0) {
            close(listener->lock);
        }
        listener->fd = -1;
        listener->lock = -1;
    }
    return status;
}

void tacit_shm_listener_close(struct tacit_shm_listener *listener)
{
    if (listener->fd < 0) {
        return;
    }
    (void)unlink(listener->path); // while the lock is held it is ours
    close(listener->fd);
    close(listener->lock);
    listener->fd = -1;
    listener->lock = -1;
}

int tacit_shm_connect(const char *path)
{
    struct sockaddr_un address;
    address_fill(&address, path, "");
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        return fd;
    }
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}
