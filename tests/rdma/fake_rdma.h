// SPDX-License-Identifier: Apache-2.0
//
// libibverbs and librdmacm for unit tests: an RDMA device inside of this process, which keeps the
// rules that the provider relies on (protection domains, access flags, states of queue pairs, order
// of completions), and in which any call can be made to fail. It answers at once and drops nothing,
// so it says nothing about races: those are tried on real kernels (README.md).
#ifndef TACIT_TESTS_RDMA_FAKE_RDMA_H
#define TACIT_TESTS_RDMA_FAKE_RDMA_H

#include <stdbool.h>

// Every call that may fail; the names are those of the libraries.
#define FAKE_CALLS(X)                                                                              \
    X(ibv_alloc_pd)                                                                                \
    X(ibv_create_cq)                                                                               \
    X(ibv_create_comp_channel)                                                                     \
    X(ibv_reg_mr)                                                                                  \
    X(ibv_create_qp)                                                                               \
    X(ibv_modify_qp)                                                                               \
    X(ibv_destroy_qp)                                                                              \
    X(ibv_query_gid)                                                                               \
    X(ibv_query_gid_table)                                                                         \
    X(ibv_query_port)                                                                              \
    X(ibv_query_device)                                                                            \
    X(ibv_get_device_list)                                                                         \
    X(ibv_open_device)                                                                             \
    X(ibv_poll_cq)                                                                                 \
    X(ibv_post_send)                                                                               \
    X(ibv_post_recv)                                                                               \
    X(ibv_req_notify_cq)                                                                           \
    X(ibv_get_cq_event)                                                                            \
    X(rdma_create_event_channel)                                                                   \
    X(rdma_create_id)                                                                              \
    X(rdma_bind_addr)                                                                              \
    X(rdma_listen)                                                                                 \
    X(rdma_resolve_addr)                                                                           \
    X(rdma_resolve_route)                                                                          \
    X(rdma_connect)                                                                                \
    X(rdma_accept)                                                                                 \
    X(rdma_set_option)                                                                             \
    X(rdma_create_qp)                                                                              \
    X(rdma_init_qp_attr)                                                                           \
    X(rdma_get_cm_event)

enum fake_call {
#define FAKE_NAME(name) FAKE_##name,
    FAKE_CALLS(FAKE_NAME)
#undef FAKE_NAME
        FAKE_CALLS_COUNT
};

// How the device behaves, from the next fake_reset() on.
struct fake_manner {
    bool absent;         // there is no device
    bool port_down;      // its port is
    bool iwarp;          // it is an iWARP device
    bool lawless;        // lets everybody write
    bool fixed_flags;    // refuses to change the flags of a started queue pair
    bool silent_markers; // does not flush receive requests
};

// Everything as in the beginning. Call number `number` (from 1) of `call` fails; 0: none does.
void fake_reset(const struct fake_manner *manner, enum fake_call call, unsigned number);
// How often a call was made since.
unsigned fake_count(enum fake_call call);
const char *fake_name(enum fake_call call);
// Objects that were made and not destroyed.
unsigned fake_live(void);
// What the last queue pair was given that the provider started by hand, and what the connection
// manager was told for its own.
struct fake_start {
    unsigned gid_index, mtu_bytes, timeout, retries, manager_timeout;
};
struct fake_start fake_last_start(void);
// GIDs of its port, by index: RoCE v1 with the address, RoCE v2 with another one, RoCE v2 with the
// address but of no interface that has it, and the one that fits best.
#define FAKE_GIDS 4
#define FAKE_GID_BEST 3u
// The device or its port fails, or it is removed, as the kernel tells it.
void fake_device_fails(void);
void fake_device_goes(void);

#endif
