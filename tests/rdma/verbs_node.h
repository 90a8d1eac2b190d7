// SPDX-License-Identifier: Apache-2.0
//
// A process that runs a node of the RDMA provider for the conformance suite, and what a hostile one
// tries.
#ifndef TACIT_TESTS_VERBS_NODE_H
#define TACIT_TESTS_VERBS_NODE_H

#include "processes.h"
#include "tacit/verbs.h"

// What CONF_ATTACK does, in request.bytes.
enum verbs_attack {
    VERBS_ATTACK_ALL = 0, // once each of the attacks below, at the node `host`
    // Writes its own log at `host` without end and without looking at any grant, until STOP.
    VERBS_ATTACK_FLOOD,
    VERBS_ATTACK_STOP, // -> value: writes posted
    // The queue pair of the data plane fails: this node's end to `host`; the end that leads from
    // `host` to this node's memory.
    VERBS_ATTACK_FAIL_OWN,
    VERBS_ATTACK_FAIL_HOST,
};

// With TACIT_TEST_REGISTERS set, memory nodes have REGISTERS of this size and nothing else.
#define VERBS_REGISTERS_BYTES 8192u

// Bits of a reply to VERBS_ATTACK_ALL.
enum {
    VERBS_WROTE_OWN_LOG = 1u << 0,   // on the data plane: what only the holder may
    VERBS_WROTE_LOG_ASIDE = 1u << 1, // on the background plane
    VERBS_WROTE_PAGE = 1u << 2,
    VERBS_WROTE_STATE = 1u << 3,
    VERBS_WROTE_FOREIGN_LOG = 1u << 4,
    VERBS_CROSSED_PLANES = 1u << 5, // a key of one plane served on the other
    VERBS_WENT_OUT_OF_BOUNDS = 1u << 6,
    VERBS_RANG_FOR_OTHERS = 1u << 7, // wrote the line of another peer
    VERBS_READ_BELLS = 1u << 8,
    VERBS_GUESSED_KEY = 1u << 9, // of a registration for somebody else
    VERBS_DISTURBED = 1u << 10,  // refusals on the data plane interrupted the background plane
};

// Runs the node (processes.h).
_Noreturn void verbs_node_main(const struct conf_processes *all, struct conf_node what, int socket,
                               pid_t parent);

#endif
