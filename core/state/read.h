// SPDX-License-Identifier: Apache-2.0
//
// Reading another replica's state region, for state transfer of either kind.
#ifndef TACIT_STATE_READ_H
#define TACIT_STATE_READ_H

#include "tacit/fabric.h"

struct tacit_state_source {
    tacit_node_t node;
    tacit_incarnation_t incarnation;
};

// Posts a read of `bytes` bytes at `offset` into `to`, which is the fabric's until the completion:
// that comes with TACIT_COOKIE(TACIT_COOKIE_TRANSFER, what). False: the region is not reachable or
// the queue is full; nothing was posted.
bool tacit_state_read(struct tacit_fabric *fabric, struct tacit_state_source source,
                      uint64_t offset, void *to, uint32_t bytes, uint64_t what);

#endif
