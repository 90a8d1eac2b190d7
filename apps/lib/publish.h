// SPDX-License-Identifier: Apache-2.0
//
// What the protocol thread says about itself, for other threads to copy at any time: one writer
// that never waits, any number of readers that try again when they met a writer (a sequence lock).
#ifndef TACIT_APPS_LIB_PUBLISH_H
#define TACIT_APPS_LIB_PUBLISH_H

#include <assert.h>
#include <stdatomic.h>

#include "tacit/fd.h"
#include "tacit/status.h"

struct tacit_published {
    struct tacit_status_report report;
    struct tacit_fd_counters detector;
    uint64_t scores[TACIT_REPLICAS_MAX];
    uint64_t published_ns;
    uint64_t turns, sleeps,
        rung; // of the runner: turns, sleeps, sleeps that ended before their time
};
static_assert(sizeof(struct tacit_published) % 8 == 0, "copied as words");

#define TACIT_PUBLISHED_WORDS (sizeof(struct tacit_published) / 8)

struct tacit_publisher {
    _Atomic uint64_t sequence; // odd while the writer is at it
    _Atomic uint64_t words[TACIT_PUBLISHED_WORDS];
};

// Protocol thread.
void tacit_publish(struct tacit_publisher *publisher, const struct tacit_published *value);
// Any thread. Bounded: after many tries without success (a writer that was stopped in the middle)
// the copy may mix two reports, and false is returned.
bool tacit_publish_read(struct tacit_publisher *publisher, struct tacit_published *value);

#endif
