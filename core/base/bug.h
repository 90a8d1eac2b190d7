// SPDX-License-Identifier: Apache-2.0
//
// Seeded bugs: known mistakes, compiled into test builds only (TACIT_SEEDED_BUGS), that the
// simulator must find. They test the tests. In every other build a site is constant false and
// leaves no code.
#ifndef TACIT_BASE_BUG_H
#define TACIT_BASE_BUG_H

#include <stdint.h>

// Name, and what is wrong. The list is the simulator's menu (`tacit sim --list-bugs`).
#define TACIT_BUG_LIST(X)                                                                          \
    X(NONE, "no bug")                                                                              \
    X(QUORUM_MINUS_ONE, "an entry counts as decided with one log host too few")                    \
    X(ACK_BEFORE_REVOKE, "a host acknowledges the new holder without revoking the old one")        \
    X(DENIED_IGNORED, "a leader goes on after a write was denied")                                 \
    X(PREPARE_OWN_REGION_ONLY,                                                                     \
      "a new leader looks at its own regions only, not at all candidates'")                        \
    X(LOWEST_BALLOT, "a new leader adopts the entry with the lowest ballot")                       \
    X(RECYCLE_EARLY, "a position is reused when its entry was applied by the leader alone")        \
    X(CHECKSUM_IGNORED, "torn entries are taken for whole ones")                                   \
    X(RESTART_IS_OLD_SELF, "a restarted, emptied replica counts without admission")                \
    X(DUPLICATE_EXECUTED, "a retried request is executed again")                                   \
    X(REPLY_BEFORE_DECIDED, "the leader answers when it proposed, not when it is decided")         \
    X(STATE_WITHOUT_SESSIONS, "state transfer forgets the table of sessions")                      \
    X(TORN_PAGE_TAKEN, "a page is installed without checking its digest")                          \
    X(BALLOT_REUSED, "a new leader does not look at the promises")

enum tacit_bug {
#define TACIT_BUG_ENUM(name, text) TACIT_BUG_##name,
    TACIT_BUG_LIST(TACIT_BUG_ENUM)
#undef TACIT_BUG_ENUM
        TACIT_BUGS
};

#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
extern uint32_t tacit_seeded_bug; // core/base/bug.c; set by the simulator before a run
#define TACIT_BUG(name) (__builtin_expect(tacit_seeded_bug == TACIT_BUG_##name, 0))
#else
#define TACIT_BUG(name) 0
#endif

#endif
