// SPDX-License-Identifier: Apache-2.0
//
// The checker that watches replicas from outside, through their probes: one canonical history that
// every replica is compared with.
//
//  - agreement: one value per index; the first replica that reports an index defines it;
//  - no gaps: each incarnation executes 0, 1, 2, ... from its start, or goes on after a state
//  transfer;
//  - execution: every replica executes the same requests with the same replies at the same index; a
//  request
//    at most once, in session order; the replies are those of the sequential model;
//  - no invented values: what is executed was submitted, by that client, with those bytes;
//  - equal state hash after equal numbers of entries;
//  - commit, applied, ballot of an incarnation never decrease;
//  - acknowledged operations are in the canonical history with that index and reply, and below what
//  a
//    majority keeps at the end.
//
// Request bodies have the fixed layout of struct checker_body. All memory is taken once. The first
// violation is kept, later calls do nothing.
#ifndef TACIT_TESTS_CHECKERS_GROUP_H
#define TACIT_TESTS_CHECKERS_GROUP_H

#include "history.h"
#include "tacit/types.h"

#define CHECKER_REPLICAS 8u
#define CHECKER_ENTRIES 8192u
#define CHECKER_EXECUTIONS 4096u
#define CHECKER_OPS 512u
#define CHECKER_SESSIONS 256u
#define CHECKER_BATCH_BYTES (2u << 20)

// Body of a request: u8 kind, u8 key, u16 0, u32 argument, u32 operation, u32 0, then padding of
// any length.
#define CHECKER_BODY_BYTES 16u
// Body of a reply: the two result words. One byte 0xff: the request was malformed.
#define CHECKER_REPLY_BYTES 16u

void checker_body_encode(uint8_t *body, const struct checker_op *op, uint32_t operation);
bool checker_body_decode(struct checker_op *op, uint32_t *operation, const void *body,
                         size_t bytes);

struct checker_group;

struct checker_group *checker_group_open(void); // NULL: out of memory
void checker_group_close(struct checker_group *group);
void checker_group_reset(struct checker_group *group);
// What is wrong, NULL: nothing so far.
const char *checker_group_violation(const struct checker_group *group);
// Reports a violation that somebody else found.
void checker_group_fail(struct checker_group *group, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// A replica (re)starts with empty state.
void checker_replica_started(struct checker_group *group, uint32_t replica);
// A replica installed a state transfer: it may go on behind a gap.
void checker_replica_jumped(struct checker_group *group, uint32_t replica);
// The probes.
void checker_decided(struct checker_group *group, uint32_t replica, tacit_index_t index,
                     const void *batch, size_t bytes);
void checker_executed(struct checker_group *group, uint32_t replica, tacit_index_t index,
                      uint32_t client, uint64_t session, uint64_t number, const void *reply,
                      size_t reply_bytes);
// The replica's poll returned: what it began to execute is complete.
void checker_settled(struct checker_group *group, uint32_t replica);
// The state after `applied` entries.
void checker_state(struct checker_group *group, uint32_t replica, tacit_index_t applied,
                   uint64_t hash);
struct checker_marks { // of one incarnation: none may decrease (ballot 0: none at the moment)
    uint64_t commit, applied, ballot;
};
void checker_monotone(struct checker_group *group, uint32_t replica, struct checker_marks now);

// The client side. Returns the operation's number, which goes into its body; CHECKER_OPS when full.
uint32_t checker_submit(struct checker_group *group, const struct checker_op *op);
void checker_acknowledge(struct checker_group *group, uint32_t operation, uint64_t session,
                         uint64_t number, uint64_t return_ns, uint64_t index, const void *reply,
                         size_t reply_bytes);
// The operation is sent as a READ, after `after` in its session (CHECKER_OPS: after none), and got
// its answer, from the state after entry `index`.
void checker_read_after(struct checker_group *group, uint32_t operation, uint32_t after);
void checker_answer(struct checker_group *group, uint32_t operation, uint64_t return_ns,
                    uint64_t index, const void *reply, size_t reply_bytes);
const struct checker_op *checker_ops(const struct checker_group *group, size_t *count);

// The end of a run: compares acknowledgements with the canonical history, which has to be an order
// that explains what clients saw; and what they saw by slot, and (`linear`) without slots too,
// which know nothing of that history and may give up where it has decided. `kept`: entries below
// are executed at a majority of members (or CHECKER_NEVER: not checked). Returns true if nothing
// decided.
bool checker_finish(struct checker_group *group, tacit_index_t kept, bool linear);
// Number of entries of the canonical history.
tacit_index_t checker_length(const struct checker_group *group);

#endif
