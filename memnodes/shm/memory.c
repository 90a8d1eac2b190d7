// SPDX-License-Identifier: Apache-2.0
//
// Shared memory in memfds; see memory.h. The seals are what single-writer regions rest on: SHRINK
// and GROW before anybody else sees the file, FUTURE_WRITE and SEAL as soon as its one writer has
// mapped it.
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
// Mappings up to these sizes get all their pages at once.
#define POPULATE_READ_BYTES (256u << 10)
#define POPULATE_WRITE_BYTES (8u << 20)
#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define WRITE_SEALS (F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

size_t tacit_shm_file_bytes(size_t bytes)
{
    return (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
}

enum tacit_status tacit_shm_memory_create(int *fd, size_t bytes, struct tacit_error *error)
{
    *fd = memfd_create("tacit", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0) {
        return tacit_error_set(error, TACIT_EIO, errno, "memfd_create failed (errno %d)", errno);
    }
    // fallocate: what does not fit is an error here, not a signal at the first touch.
    if (fchmod(*fd, 0600) == 0 && ftruncate(*fd, (off_t)bytes) == 0 &&
        fallocate(*fd, 0, 0, (off_t)bytes) == 0 && fcntl(*fd, F_ADD_SEALS, SIZE_SEALS) == 0) {
        return TACIT_OK;
    }
    int reason = errno;
    close(*fd);
    *fd = -1;
    return tacit_error_set(error, reason == ENOSPC || reason == ENOMEM ? TACIT_ENOMEM : TACIT_EIO,
                           reason,
                           "cannot allocate %zu bytes of shared memory (errno %d); free memory, or "
                           "make the regions in the cluster file smaller",
                           bytes, reason);
}

bool tacit_shm_memory_seal(int fd)
{
    return fcntl(fd, F_ADD_SEALS, WRITE_SEALS) == 0;
}

bool tacit_shm_memory_is_sound(int fd, size_t bytes, bool sealed)
{
    struct statfs system;
    struct stat status;
    // tmpfs: huge pages or a file system of the peer's own could fault or hang whoever touches
    // them.
    if (fstatfs(fd, &system) != 0 || system.f_type != TMPFS_MAGIC || fstat(fd, &status) != 0 ||
        !S_ISREG(status.st_mode) || status.st_size < 0 || (size_t)status.st_size != bytes) {
        return false;
    }
    int wanted = sealed ? SIZE_SEALS | WRITE_SEALS : SIZE_SEALS;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & wanted) == wanted;
}

void *tacit_shm_memory_map(int fd, size_t bytes, bool writable)
{
    // The pages exist (tacit_shm_memory_create), so to map one at its first touch cannot fail. That
    // is what is done with all that is big and mostly never touched: peers' regions, the own state.
    // Else a replica that dies keeps a processor busy for milliseconds with taking these mappings
    // apart, just when its successor needs it. Logs that are written are mapped beforehand.
    int populate =
        bytes <= (writable ? POPULATE_WRITE_BYTES : POPULATE_READ_BYTES) ? MAP_POPULATE : 0;
    void *base =
        mmap(NULL, bytes, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED | populate, fd, 0);
    if (base == MAP_FAILED) {
        return NULL;
    }
    // A dump of this process must not contain, nor a child inherit, what others wrote.
    (void)madvise(base, bytes, MADV_DONTFORK);
    (void)madvise(base, bytes, MADV_DONTDUMP);
    // Nobody pages this out: saves the kernel to note each page's use when the mapping goes.
    (void)madvise(base, bytes, MADV_RANDOM);
    return base;
}

void tacit_shm_memory_unmap(const void *base, size_t bytes)
{
    if (base != NULL) {
        munmap((void *)(uintptr_t)base, bytes);
    }
}
