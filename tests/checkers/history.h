// SPDX-License-Identifier: Apache-2.0
//
// What clients saw, and two checkers of it that look at nothing else.
//
//  - checker_slots(): replies carry the slot (log index), so that the order is mostly known:
//  real-time order
//    against slots, then a replay by slot. Only the order within one batch and the effect of
//    operations without a reply are searched. Linear in practice, for histories of any length.
//  - checker_linear(): ignores slots; search in the manner of Wing and Gong with Lowe's memory of
//  visited
//    configurations, per object. The cross-check on small histories.
//
//  - checker_witness(): an order that somebody else names (the canonical history of the replicas)
//  is a proof
//    of linearizability if it explains each result and agrees with real time. It decides every
//    history, so that the searches, which may give up, are cross-checks that owe it nothing.
//
// An operation without a reply may take effect at any time after its call, or never. A search that
// reaches its limit *gave up*: that is reported and is not a pass.
#ifndef TACIT_TESTS_CHECKERS_HISTORY_H
#define TACIT_TESTS_CHECKERS_HISTORY_H

#include "model.h"

#define CHECKER_NEVER UINT64_MAX

struct checker_op {
    uint32_t client;
    uint8_t kind; // enum checker_kind
    uint8_t key;
    // Answered outside of the log: `index` is that of the newest entry whose effect it saw, which
    // others may share.
    bool beside_log;
    uint32_t argument;
    uint64_t call_ns;
    uint64_t return_ns; // CHECKER_NEVER: no reply (then index and result mean nothing)
    uint64_t index;
    uint64_t result[2];
};

enum checker_outcome { CHECKER_PASS = 0, CHECKER_VIOLATION, CHECKER_GAVE_UP };

struct checker_verdict {
    enum checker_outcome outcome;
    char text[240]; // what is wrong, or why it gave up; empty for a pass
};

// Both take the operations in any order, leave them alone, and allocate (NULL from malloc: gave
// up).
struct checker_verdict checker_slots(const struct checker_op *ops, size_t count);
struct checker_verdict checker_linear(const struct checker_op *ops, size_t count);
// `order`: numbers of the operations that took effect (below `count`), first to last; reads beside
// the log are placed by the checker. Never gives up, except that `count` is at most
// CHECKER_WITNESS_OPS. Linear without such reads, else quadratic.
#define CHECKER_WITNESS_OPS 4096u
struct checker_verdict checker_witness(const struct checker_op *ops, size_t count,
                                       const uint32_t *order, size_t ordered);

#endif
