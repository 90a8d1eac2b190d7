// SPDX-License-Identifier: Apache-2.0
//
// The gateway's backend that is a replicated group: one session of a channel for each connection.
#ifndef TACIT_CLUSTER_BACKEND_H
#define TACIT_CLUSTER_BACKEND_H

#include "client/channel.h"
#include "front.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tacit_cluster_backend {
    struct tacit_channel *channel;
    struct tacit_front *front; // set after the front was made
    uint32_t *sessions;        // of each connection
};

// For up to `connections` connections. False: no memory. The channel stays the caller's.
bool tacit_cluster_backend_open(struct tacit_cluster_backend *backend,
                                struct tacit_channel *channel, uint32_t connections);
void tacit_cluster_backend_close(struct tacit_cluster_backend *backend);
struct tacit_front_backend tacit_cluster_backend_ops(struct tacit_cluster_backend *backend);
// Gives results to the front; at most `max`. Returns how many there were.
uint32_t tacit_cluster_backend_poll(struct tacit_cluster_backend *backend, uint32_t max);

#ifdef __cplusplus
}
#endif

#endif
