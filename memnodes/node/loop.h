// SPDX-License-Identifier: Apache-2.0
//
// Crash mode on a memory node of whatever fabric: the permission server (tacit/grants.h) in a loop,
// asleep while nobody asks.
#ifndef TACIT_MEMNODES_LOOP_H
#define TACIT_MEMNODES_LOOP_H

#include <signal.h>

#include "tacit/fabric.h"

// Serves `replicas` (1 .. TACIT_REPLICAS_MAX) replicas on the fabric's protocol thread, which this
// is, until `*stopping`; whoever sets that ends the sleep. A holder that shows no activity for
// `suspicion_ns` loses to whoever asks.
void tacit_memnode_loop(struct tacit_fabric *fabric, uint8_t replicas, tacit_time_ns_t suspicion_ns,
                        const volatile sig_atomic_t *stopping);

#endif
