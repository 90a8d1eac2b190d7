// SPDX-License-Identifier: Apache-2.0
//
// Layout of the regions that replicas and memory nodes expose, but for rings (ring.h) and the state
// region (state/). All words are 8-aligned little-endian u64; groups with different readers or
// writers have lines of their own.
#ifndef TACIT_LAYOUT_H
#define TACIT_LAYOUT_H

#include <assert.h>

#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

// PAGE: the host publishes.
#define TACIT_PAGE_BEATS 0u // raised each beat period while the protocol thread makes progress
#define TACIT_PAGE_BEAT_PERIOD_NS                                                                  \
    8u                             // the period, so that readers never sample faster than twice it
#define TACIT_PAGE_APPLIED 64u     // entries below are executed here
#define TACIT_PAGE_ACK 128u        // number of the permission request that was granted last
#define TACIT_PAGE_GENERATION 136u // generation of that grant, 0 while nobody holds
#define TACIT_PAGE_HOLDER 144u  // holder node | incarnation << 16; node = TACIT_NODE_NONE: nobody
#define TACIT_PAGE_REGIONS 192u // number of LOG regions here, then that many words:
#define TACIT_PAGE_REGION_KEYS 200u // owner node | incarnation << 16
#define TACIT_PAGE_REGIONS_MAX 48u
#define TACIT_PAGE_REGION_BYTES 640u
static_assert(TACIT_PAGE_REGION_KEYS + 8u * TACIT_PAGE_REGIONS_MAX <= TACIT_PAGE_REGION_BYTES,
              "page");

// CONTROL: one replica tells one host.
#define TACIT_CONTROL_REQUEST 0u  // number of its newest permission request, 0: none ever
#define TACIT_CONTROL_RELEASED 8u // number of the newest request that it no longer needs
#define TACIT_CONTROL_CHECKPOINT                                                                   \
    16u // wants a checkpoint of at least this many entries (index + 1), 0: no
// Incarnation | count << 32: has state and asks to be admitted; the count grows with each
// repetition, so that who has stopped asking is not admitted.
#define TACIT_CONTROL_JOIN 24u
#define TACIT_CONTROL_RETIRED 32u // memory nodes: owner | incarnation << 16 of a region to free
#define TACIT_CONTROL_REGION_BYTES 64u

// LOG: one candidate at one host, written while it is the holder.
#define TACIT_LOG_COMMIT 0u         // entries below are decided, and whole here from LOW on
#define TACIT_LOG_TOUCH 8u          // raised by the leader each beat period
#define TACIT_LOG_COMMIT_BALLOT 16u // the term that wrote COMMIT
#define TACIT_LOG_COMMIT_CHECK 24u  // tells a commit word and its ballot that belong together
#define TACIT_LOG_LOW 32u           // the lowest index that the term LOW_BALLOT filled here
#define TACIT_LOG_LOW_BALLOT 40u
#define TACIT_LOG_FLOOR 48u // memory nodes: entries below were applied by all members
// For how many ns the host acknowledges nobody else after it has revoked this candidate, 0: not at
// all; and above these bits the number of the renewal, another one in each write, never 0. A leader
// renews its lease by writing this word.
#define TACIT_LOG_LEASE 56u
#define TACIT_LEASE_NUMBER_SHIFT 30u
#define TACIT_LEASE_MAX_NS 1000000000u // a host waits no longer
static_assert(TACIT_LEASE_MAX_NS < 1u << TACIT_LEASE_NUMBER_SHIFT, "number and length");
#define TACIT_LOG_PROMISE 64u // largest ballot that was prepared here
#define TACIT_LOG_ENTRIES 128u

static inline uint64_t tacit_commit_check(uint64_t commit, uint64_t ballot)
{
    return (commit * 0x9e3779b97f4a7c15ull) ^ (ballot * 0xc2b2ae3d27d4eb4full) ^
           0x165667b19e3779f9ull;
}

static inline uint64_t tacit_owner_word(tacit_node_t node, tacit_incarnation_t incarnation)
{
    return (uint64_t)incarnation << 16 | node;
}
static inline tacit_node_t tacit_owner_node(uint64_t word)
{
    return (tacit_node_t)word;
}
static inline tacit_incarnation_t tacit_owner_incarnation(uint64_t word)
{
    return (tacit_incarnation_t)(word >> 16);
}

#ifdef __cplusplus
}
#endif

#endif
