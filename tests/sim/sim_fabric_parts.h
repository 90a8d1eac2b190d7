// SPDX-License-Identifier: Apache-2.0
//
// What the files of the sim provider share: sim_fabric.c (the port), sim_conn.c (connections,
// crashes, partitions), sim_land.c (operations on their way).
#ifndef TACIT_TESTS_SIM_FABRIC_PARTS_H
#define TACIT_TESTS_SIM_FABRIC_PARTS_H

#include "sim_fabric.h"

enum sim_net_timer_kind {
    SIM_TIMER_LAND = 1, // a, b, c: peer, host, plane
    SIM_TIMER_COMPLETE, // the same
    SIM_TIMER_LEARN,    // a, b: peer learns of the death of host
    SIM_TIMER_CONNECT,  // a, b
    SIM_TIMER_ANNOUNCE, // a, b; c: epoch; version: regions
    SIM_TIMER_STALL,    // a, b: a blocked connection breaks
    SIM_TIMER_PLANE,    // a, b, c: a broken plane takes the connection down
    SIM_TIMER_SWITCH,   // a; version: number of the grant or revocation
    SIM_TIMER_SWITCHED, // the same: tell the host
    SIM_TIMER_RING,     // a: host
};

extern const struct tacit_fabric_ops sim_fabric_ops;

static inline void sim_after(struct sim_net *net, uint64_t delay_ns, struct sim_timer timer)
{
    timer.time_ns = net->now_ns + delay_ns;
    sim_heap_push(net->heap, timer);
}

// sim_fabric.c
void sim_event_push(struct sim_node *node, const struct tacit_event *event, uint32_t peer);
void sim_switch_timer(struct sim_net *net, const struct sim_timer *timer);

// sim_conn.c
void sim_conn_kick(struct sim_net *net, uint32_t peer, uint32_t host);
void sim_conn_break(struct sim_net *net, uint32_t peer, uint32_t host, bool certain);
void sim_conn_timer(struct sim_net *net, const struct sim_timer *timer);
struct sim_region *sim_region_find(struct sim_host *host, struct tacit_region_key key);
bool sim_is_client_pair(const struct sim_net *net, uint32_t peer, uint32_t host);

// sim_land.c
struct sim_op *sim_op_take(struct sim_net *net);
void sim_op_free(struct sim_net *net, struct sim_op *op);
void sim_land_arm(struct sim_net *net, uint32_t peer, uint32_t host, uint32_t plane);
void sim_land_kick(struct sim_net *net, uint32_t peer, uint32_t host);
void sim_land_timer(struct sim_net *net, const struct sim_timer *timer);
// Completes what is pending as LOST; some of it may go on landing.
void sim_plane_lose(struct sim_net *net, uint32_t peer, uint32_t host, uint32_t plane);
// The poster is dead: no completions; some of it may go on landing.
void sim_plane_orphan(struct sim_net *net, uint32_t peer, uint32_t host, uint32_t plane);
// Forgets what has not landed: the connection was reset.
void sim_plane_drop(struct sim_net *net, uint32_t peer, uint32_t host, uint32_t plane);
void sim_plane_break(struct sim_net *net, uint32_t peer, uint32_t host, uint32_t plane);
void sim_ring_land(struct sim_net *net, uint32_t host);

#endif
