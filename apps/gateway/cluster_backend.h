// SPDX-License-Identifier: Apache-2.0
//
// The gateway's backend that is a replicated group. What a command costs the group hardly depends
// on its size, so commands of several connections travel together: a connection has its place in
// one of a few lanes, each a session of the group, and a lane sends what came in meanwhile as one
// batch (kv/kv_wire.h) when the answer to the batch before is there. So nothing ever waits for
// company, and the busier the group, the larger the batches.
//
// Order: a session executes in order, and a connection's commands all pass through its lane. A
// batch may be cut short by the room for its reply; what was not executed is sent again before
// anything else of the lane, and such a batch, or one of reads, is the last one under way.
//
// Once: a command is in one batch, and a batch is submitted once; a part of it only after the group
// said that the part was not executed.
#ifndef TACIT_CLUSTER_BACKEND_H
#define TACIT_CLUSTER_BACKEND_H

#include "client/channel.h"
#include "front.h"

#ifdef __cplusplus
extern "C" {
#endif

// Lanes that keep a group busy while the gateway is at work for others of them. Where both share
// few processors there is no such while, and fewer, larger batches cost all of them less.
#define TACIT_BACKEND_LANES 4u
#define TACIT_BACKEND_LANES_CROWDED 1u
static inline uint32_t tacit_cluster_backend_lanes(bool is_crowded)
{
    return is_crowded ? TACIT_BACKEND_LANES_CROWDED : TACIT_BACKEND_LANES;
}

struct tacit_backend_place; // of a connection
struct tacit_backend_lane;

struct tacit_cluster_backend {
    struct tacit_channel *channel;
    struct tacit_front *front; // set after the front was made
    struct tacit_channel_limits limits;
    struct tacit_backend_place *places;
    struct tacit_backend_lane *lanes;
    uint32_t connections, lane_count;
    uint32_t value_bytes;       // what GET has found lately
    uint64_t commands, batches; // submitted to the group
};

// For up to `connections` connections, which share 1 to `lanes` lanes: no more than the channel has
// sessions. False: no memory. The channel stays the caller's.
bool tacit_cluster_backend_open(struct tacit_cluster_backend *backend,
                                struct tacit_channel *channel, uint32_t connections,
                                uint32_t lanes);
void tacit_cluster_backend_close(struct tacit_cluster_backend *backend);
struct tacit_front_backend tacit_cluster_backend_ops(struct tacit_cluster_backend *backend);
// Gives results to the front; at most `max` of the channel's events. Returns how many there were.
uint32_t tacit_cluster_backend_poll(struct tacit_cluster_backend *backend, uint32_t max);
// Sends what lanes have gathered and can send. Call after the front was given all input and all
// results that were there, and before waiting.
void tacit_cluster_backend_flush(struct tacit_cluster_backend *backend);

#ifdef __cplusplus
}
#endif

#endif
