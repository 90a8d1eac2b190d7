// SPDX-License-Identifier: Apache-2.0
//
// File access of the configuration; see file.h.
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "address.h"
#include "tacit/crypto.h"

static enum tacit_status status_of(int os_errno)
{
    switch (os_errno) {
    case ENOENT:
    case ENOTDIR:
        return TACIT_ENOENT;
    case EACCES:
    case EPERM:
    case EROFS:
        return TACIT_EPERM;
    case EEXIST:
        return TACIT_EEXIST;
    case ENOMEM:
        return TACIT_ENOMEM;
    case ENAMETOOLONG:
        return TACIT_ETOOBIG;
    default:
        return TACIT_EIO;
    }
}

static enum tacit_status fail(struct tacit_error *error, const char *what, const char *path)
{
    const int os_errno = errno;
    return tacit_error_set(error, status_of(os_errno), os_errno, "cannot %s %.300s: %s", what, path,
                           strerror(os_errno));
}

// Reads until the end or `room` bytes; *used says how many. False: errno.
static bool read_all(int descriptor, char *out, size_t room, size_t *used)
{
    *used = 0;
    while (*used < room) {
        const ssize_t got = read(descriptor, out + *used, room - *used);
        if (got == 0) {
            return true;
        }
        if (got < 0 && errno != EINTR) {
            return false;
        }
        *used += got > 0 ? (size_t)got : 0;
    }
    return true;
}

static enum tacit_status read_open(int descriptor, const char *path, size_t most, char **text,
                                   size_t *text_bytes, struct tacit_error *error)
{
    struct stat about;
    if (fstat(descriptor, &about) != 0) {
        return fail(error, "look at", path);
    }
    if (!S_ISREG(about.st_mode)) {
        return tacit_error_set(error, TACIT_EINVAL, 0, "%.300s is not a regular file", path);
    }
    char *memory = malloc(most + 2);
    if (memory == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, 0, "no memory to read %.300s", path);
    }
    size_t used = 0;
    // One byte more than allowed tells a file that is too large, also one that grows meanwhile.
    if (!read_all(descriptor, memory, most + 1, &used)) {
        free(memory);
        return fail(error, "read", path);
    }
    if (used > most) {
        free(memory);
        return tacit_error_set(error, TACIT_ETOOBIG, 0, "%.300s is too large; accepted: %zu bytes",
                               path, most);
    }
    memory[used] = '\0';
    *text = memory;
    *text_bytes = used;
    return TACIT_OK;
}

enum tacit_status file_read(const char *path, size_t most, char **text, size_t *text_bytes,
                            struct tacit_error *error)
{
    // O_NONBLOCK: opening a pipe or device by mistake must not hang.
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) {
        return fail(error, "open", path);
    }
    const enum tacit_status status = read_open(descriptor, path, most, text, text_bytes, error);
    (void)close(descriptor);
    return status;
}

static bool write_all(int descriptor, const char *text, size_t text_bytes)
{
    while (text_bytes > 0) {
        const ssize_t wrote = write(descriptor, text, text_bytes);
        if (wrote < 0 && errno != EINTR) {
            return false;
        }
        text += wrote > 0 ? wrote : 0;
        text_bytes -= wrote > 0 ? (size_t)wrote : 0;
    }
    return true;
}

// Gives the temporary file its name, unless that is taken.
static bool rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
        return true;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return false;
    }
    // A file system without that flag: a link refuses to replace, too.
    return link(from, to) == 0 && unlink(from) == 0;
}

static bool sync_folder(const char *path)
{
    char folder[TACIT_CONFIG_PATH_BYTES];
    if (!address_folder(path, folder)) {
        errno = ENAMETOOLONG;
        return false;
    }
    const int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return false;
    }
    const bool good = fsync(descriptor) == 0;
    const int os_errno = errno;
    (void)close(descriptor);
    errno = os_errno;
    return good;
}

enum tacit_status file_create(const char *path, const char *text, size_t text_bytes,
                              struct tacit_error *error)
{
    uint8_t random[8];
    char suffix[2 * sizeof random + 1];
    char temporary[TACIT_CONFIG_PATH_BYTES];
    tacit_random_bytes(random, sizeof random);
    tacit_hex_encode(suffix, sizeof suffix, random, sizeof random);
    const int length = snprintf(temporary, sizeof temporary, "%s.%s", path, suffix);
    if (length < 0 || (size_t)length >= sizeof temporary) {
        return tacit_error_set(error, TACIT_ETOOBIG, 0, "the path of a file is too long: %.300s",
                               path);
    }
    const int descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (descriptor < 0) {
        return fail(error, "create", path);
    }
    bool good = write_all(descriptor, text, text_bytes) && fsync(descriptor) == 0;
    int os_errno = errno;
    if (close(descriptor) != 0 && good) {
        good = false;
        os_errno = errno;
    }
    if (good && !rename_new(temporary, path)) {
        good = false;
        os_errno = errno;
    }
    if (!good) {
        (void)unlink(temporary);
        errno = os_errno;
        return fail(error, "create", path);
    }
    return sync_folder(path) ? TACIT_OK : fail(error, "write the folder of", path);
}
