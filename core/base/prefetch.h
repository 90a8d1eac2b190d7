// SPDX-License-Identifier: Apache-2.0
//
// Calling for memory before it is needed: what is far away takes longer to come than most of what
// is done with it, and a process that waits for others can have it brought meanwhile.
#ifndef TACIT_BASE_PREFETCH_H
#define TACIT_BASE_PREFETCH_H

#include <stddef.h>
#include <stdint.h>

#include "tacit/types.h"

// Into the processor's cache, to be written. Nothing else happens, also where there is no memory.
static inline void tacit_prefetch(const void *memory, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += TACIT_CACHE_LINE) {
        __builtin_prefetch((const uint8_t *)memory + at, 1);
    }
}

#endif
