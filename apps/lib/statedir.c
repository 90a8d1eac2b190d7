// SPDX-License-Identifier: Apache-2.0
//
// See statedir.h.
#include "statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../client/cluster.h"

#define GROUP_TEXT 64u
#define LOCK_PAUSE_NS 1000000
#define LOCK_TRIES 1000u        // one second for whoever holds it, before that is an error
#define LOCK_TRIES_DYING 30000u // for a process that is ending, which takes long on a busy machine
#define PENDING_KILL (1u << (SIGKILL - 1))

static enum tacit_status os_error(struct tacit_error *error, int os_errno, const char *what,
                                  const char *path)
{
    enum tacit_status status = os_errno == ENOENT   ? TACIT_ENOENT
                               : os_errno == EACCES ? TACIT_EPERM
                               : os_errno == EPERM  ? TACIT_EPERM
                                                    : TACIT_EIO;
    const char *hint =
        os_errno == ENOSPC || os_errno == EDQUOT
            ? " (free some space; nothing was lost, the node has not spoken to anybody)"
        : status == TACIT_EPERM ? " (this user needs write permission there)"
                                : "";
    return tacit_error_set(error, status, os_errno, "cannot %s %s: %s%s", what, path,
                           strerror(os_errno), hint);
}

enum tacit_status tacit_directory_make(const char *path, struct tacit_error *error)
{
    char part[TACIT_CONFIG_PATH_BYTES];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part) {
        return tacit_error_set(error, TACIT_ETOOBIG, 0, "the path %.200s... is too long", path);
    }
    memcpy(part, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        part[i] = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST) {
            int os_errno = errno;
            struct stat there;
            if (stat(part, &there) != 0) { // "/" and the like may answer EROFS or EACCES
                return os_error(error, os_errno, "make the directory", part);
            }
        }
        part[i] = path[i];
    }
    return TACIT_OK;
}

static bool write_all(int file, const char *text)
{
    size_t length = strlen(text);
    size_t done = 0;
    while (done < length) {
        ssize_t wrote = write(file, text + done, length - done);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            return false;
        }
        done += (size_t)wrote;
    }
    return true;
}

enum tacit_status tacit_file_replace(const char *directory, const char *name, const char *text,
                                     struct tacit_error *error)
{
    char path[TACIT_CONFIG_PATH_BYTES + 64];
    char temporary[TACIT_CONFIG_PATH_BYTES + 80];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    (void)snprintf(temporary, sizeof temporary, "%s/%s.new", directory, name);
    (void)unlink(temporary); // of a process that was killed here
    int file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) {
        return os_error(error, errno, "create", temporary);
    }
    int os_errno = 0;
    if (!write_all(file, text) || fsync(file) != 0) {
        os_errno = errno;
    }
    if (close(file) != 0 && os_errno == 0) {
        os_errno = errno;
    }
    if (os_errno == 0 && rename(temporary, path) != 0) {
        os_errno = errno;
    }
    if (os_errno != 0) {
        (void)unlink(temporary);
        return os_error(error, os_errno, "write", path);
    }
    int folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || fsync(folder) != 0) {
        os_errno = errno;
        if (folder >= 0) {
            (void)close(folder);
        }
        return os_error(error, os_errno, "sync", directory);
    }
    (void)close(folder);
    return TACIT_OK;
}

// ---- lock --------------------------------------------------------------------------------------

// Who wrote this into the lock file was sent SIGKILL and is not through with dying, as far as this
// host tells. (A process that ends in any other way gives its lock back itself.)
static bool is_dying(int file)
{
    char text[32] = "";
    char path[64];
    char line[128];
    bool is_killed = false;
    long pid = pread(file, text, sizeof text - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/status", pid);
    FILE *status = pid > 0 ? fopen(path, "re") : NULL;
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "State:\tZ", 8) == 0 || strncmp(line, "State:\tX", 8) == 0) {
            is_killed = true;
        } else if (strncmp(line, "SigPnd:", 7) == 0 || strncmp(line, "ShdPnd:", 7) == 0) {
            is_killed = is_killed || (strtoull(line + 7, NULL, 16) & PENDING_KILL) != 0;
        }
    }
    if (status != NULL) {
        (void)fclose(status);
    }
    return is_killed;
}

static enum tacit_status take_lock(int *lock, const char *directory, struct tacit_error *error)
{
    char path[TACIT_CONFIG_PATH_BYTES + 8];
    char text[32] = "";
    (void)snprintf(path, sizeof path, "%s/lock", directory);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    if (file < 0) {
        return os_error(error, errno, "open", path);
    }
    // A process that was killed holds its lock until the kernel has taken all of it apart, which a
    // fast restart can meet: give it a moment.
    int os_errno = flock(file, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    for (unsigned i = 0;
         os_errno == EWOULDBLOCK && (i < LOCK_TRIES || (i < LOCK_TRIES_DYING && is_dying(file)));
         i++) {
        struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
        (void)nanosleep(&pause, NULL);
        os_errno = flock(file, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    }
    if (os_errno != 0) {
        ssize_t got = pread(file, text, sizeof text - 1, 0);
        (void)close(file);
        if (os_errno != EWOULDBLOCK) {
            return os_error(error, os_errno, "lock", path);
        }
        text[strcspn(text, "\n")] = '\0';
        return tacit_error_set(error, TACIT_EBUSY, 0,
                               "the state directory %s is used by another process (%s%s): a node "
                               "runs once at a time; stop that one first",
                               directory, got > 0 ? "process " : "unknown", text);
    }
    (void)snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(file, 0) != 0 || !write_all(file, text)) {
        os_errno = errno; // for people only, but a disk that is full here is full below as well
        (void)close(file);
        return os_error(error, os_errno, "write", path);
    }
    *lock = file;
    return TACIT_OK;
}

void tacit_statedir_leave(struct tacit_statedir *state)
{
    if (state->lock >= 0) {
        (void)close(state->lock);
        state->lock = -1;
    }
}

// ---- enter -------------------------------------------------------------------------------------

enum tacit_status tacit_statedir_lock(struct tacit_statedir *state, const char *directory,
                                      struct tacit_error *error)
{
    struct stat there;
    memset(state, 0, sizeof *state);
    state->lock = -1;
    if (stat(directory, &there) != 0 && errno == ENOENT) {
        return tacit_error_set(error, TACIT_ENOENT, ENOENT,
                               "there is no state directory %s: run `tacit bootstrap CLUSTER` once "
                               "for all nodes",
                               directory);
    }
    return take_lock(&state->lock, directory, error);
}

enum tacit_status tacit_statedir_enter(struct tacit_statedir *state, const char *directory,
                                       struct tacit_error *error)
{
    char path[TACIT_CONFIG_PATH_BYTES + 16];
    (void)snprintf(path, sizeof path, "%s/group", directory);
    enum tacit_status status = tacit_group_file_read(path, &state->group, error);
    if (status == TACIT_ENOENT) {
        return tacit_error_set(error, TACIT_ENOENT, 0,
                               "%s belongs to no group yet: run `tacit bootstrap CLUSTER` once for "
                               "all nodes",
                               directory);
    }
    if (status != TACIT_OK) {
        return status;
    }
    (void)snprintf(path, sizeof path, "%s/joined", directory);
    bool joined = access(path, F_OK) == 0;
    if (!joined && errno != ENOENT) {
        return os_error(error, errno, "look for", path);
    }
    status = tacit_incarnation_raise(directory, TACIT_START_MAX, &state->incarnation, error);
    if (status != TACIT_OK) {
        return status;
    }
    state->first_member = !joined && state->incarnation == 1;
    if (!joined) {
        status = tacit_file_replace(directory, "joined", "joined\n", error);
    }
    return status;
}

// ---- found -------------------------------------------------------------------------------------

static enum tacit_status found_locked(const char *directory, const struct tacit_group_id *group,
                                      bool replace, struct tacit_error *error)
{
    char path[TACIT_CONFIG_PATH_BYTES + 16];
    char text[GROUP_TEXT + 2];
    (void)snprintf(path, sizeof path, "%s/group", directory);
    if (!replace && access(path, F_OK) == 0) {
        return tacit_error_set(error, TACIT_EEXIST, 0,
                               "%s belongs to a group already. A new group begins empty: whatever "
                               "the old one agreed on is given up (--replace)",
                               directory);
    }
    (void)unlink(path); // from here until the end the directory belongs to no group
    (void)snprintf(path, sizeof path, "%s/joined", directory);
    if (unlink(path) != 0 && errno != ENOENT) {
        return os_error(error, errno, "remove", path);
    }
    enum tacit_status status = tacit_file_replace(directory, "incarnation", "00000000\n", error);
    if (status != TACIT_OK) {
        return status;
    }
    tacit_hex_encode(text, sizeof text, group->bytes, sizeof group->bytes);
    text[GROUP_TEXT] = '\n';
    text[GROUP_TEXT + 1] = '\0';
    return tacit_file_replace(directory, "group", text, error);
}

enum tacit_status tacit_statedir_found(const char *directory, const struct tacit_group_id *group,
                                       bool replace, struct tacit_error *error)
{
    int lock = -1;
    enum tacit_status status = tacit_directory_make(directory, error);
    if (status == TACIT_OK) {
        status = take_lock(&lock, directory, error);
    }
    if (status == TACIT_OK) {
        status = found_locked(directory, group, replace, error);
        (void)close(lock);
    }
    return status;
}
