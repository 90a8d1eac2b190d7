// SPDX-License-Identifier: Apache-2.0
//
// What the two halves of the fake device share. All but fake_lock under its lock.
#ifndef TACIT_TESTS_RDMA_FAKE_DEVICE_H
#define TACIT_TESTS_RDMA_FAKE_DEVICE_H

#include <infiniband/verbs.h>

#include "fake_rdma.h"

#define FAKE_QUEUE 1024u
#define FAKE_RECEIVES 128u

struct fake_cq {
    struct ibv_cq cq;
    struct ibv_wc wc[FAKE_QUEUE];
    uint32_t first, next;
    bool armed, told;
};

struct fake_channel {
    struct ibv_comp_channel channel;
    struct fake_cq *cqs[FAKE_QUEUE];
};

struct fake_mr {
    struct ibv_mr mr;
    int access;
    struct fake_mr *following;
};

struct fake_receive {
    uint64_t id;
    struct ibv_sge place;
};

struct fake_qp {
    struct ibv_qp qp;
    int access;
    uint32_t to;
    uint32_t mtu_bytes; // 0: that of rdma_cm
    struct fake_receive receives[FAKE_RECEIVES];
    uint32_t first, next;
    struct fake_qp *following;
};

void fake_lock(void);
void fake_unlock(void);
// Counts a call; true: it is the one that has to fail (errno is set).
bool fake_fails(enum fake_call call);
void fake_born(int change);
struct ibv_context *fake_context(void); // NULL: absent
const union ibv_gid *fake_gid(void);
void fake_manager_timeout(unsigned exponent);
void fake_qp_state(struct ibv_qp *qp, enum ibv_qp_state state);
void fake_qp_connect(struct ibv_qp *qp, uint32_t to);

#endif
