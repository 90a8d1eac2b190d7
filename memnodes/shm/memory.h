// SPDX-License-Identifier: Apache-2.0
//
// Memory that processes share: memfds whose size cannot change, and that nobody can map writable
// any more once they are sealed; and the word-wise access to them.
#ifndef TACIT_MEMNODES_SHM_MEMORY_H
#define TACIT_MEMNODES_SHM_MEMORY_H

#include "tacit/types.h"

// Relaxed access to words that other processes read and write at the same time. An aligned word
// never tears; everything beyond that is made by the fences at the places that need them.
static inline uint64_t tacit_shm_load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}
// NOLINTNEXTLINE(readability-non-const-parameter): the tool does not know that the builtin writes
static inline void tacit_shm_store(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

// Size of the file for `bytes` of a region, in whole pages; the same rule in all processes.
size_t tacit_shm_file_bytes(size_t bytes);

// A zeroed memfd of `bytes` (whole pages) with its memory allocated, that can neither shrink nor
// grow, so that no access to a mapping of it can fault. TACIT_ENOMEM with the figure, or TACIT_EIO.
enum tacit_status tacit_shm_memory_create(int *fd, size_t bytes, struct tacit_error *error);
// From now on the kernel refuses every new writable mapping, write(2) and hole, and any other seal,
// for everybody. False: somebody else sealed it before.
bool tacit_shm_memory_seal(int fd);
// True when a descriptor from another process is such a memory of exactly this size, and, with
// `sealed`, when nobody can get write access to it any more.
bool tacit_shm_memory_is_sound(int fd, size_t bytes, bool sealed);
// Maps and touches all of it; NULL with errno. `writable` only before the seal.
void *tacit_shm_memory_map(int fd, size_t bytes, bool writable);
// NULL is allowed.
void tacit_shm_memory_unmap(const void *base, size_t bytes);

#endif
