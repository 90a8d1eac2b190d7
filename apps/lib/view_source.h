// SPDX-License-Identifier: Apache-2.0
//
// What a replica keeps for the threads that ask about its view (tacit/membership.h).
#ifndef TACIT_APPS_LIB_VIEW_SOURCE_H
#define TACIT_APPS_LIB_VIEW_SOURCE_H

#include <stdatomic.h>

#include "publish.h"
#include "tacit/membership.h"
#include "tacit/smr.h"

struct tacit_view_source {
    struct tacit_view_words words; // the protocol thread's
    struct tacit_publisher *publisher;
    _Atomic uint32_t changes;  // published changes so far; watchers sleep on it
    _Atomic uint32_t watchers; // that sleep, or are about to
};

// What there is to know was published. Protocol thread; a system call only if somebody watches.
void tacit_view_source_changed(struct tacit_view_source *source);
// The source of a replica (replica.c).
struct tacit_view_source *tacit_replica_view_source(struct tacit_replica *replica);

#endif
