// SPDX-License-Identifier: Apache-2.0
//
// What is asked of the device: to be found, and to make, start and end queue pairs. Every one but
// the control one is moved through its states here by hand, because it is replaced while the
// connection stays, which rdma_cm does not do.
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "internal.h"

#define STOP_TIMEOUT_NS 1000000000u // a device needs microseconds, an emulated one milliseconds

struct ibv_qp *tacit_verbs_qp_make(struct ibv_pd *pd, struct ibv_cq *cq, uint32_t sends,
                                   uint32_t receives)
{
    struct ibv_qp_init_attr attr = {
        .qp_type = IBV_QPT_RC,
        .send_cq = cq,
        .recv_cq = cq,
        .cap = {.max_send_wr = sends,
                .max_recv_wr = receives,
                .max_send_sge = 1,
                .max_recv_sge = 1,
                .max_inline_data = TACIT_VERBS_INLINE},
    };
    return ibv_create_qp(pd, &attr);
}

// Waits for what happened to the marker `id`, a receive request: true if it was flushed.
static enum ibv_wc_status marker_result(struct ibv_qp *qp, uint64_t id, tacit_time_ns_t until_ns)
{
    struct ibv_wc wc;
    do {
        int got = ibv_poll_cq(qp->recv_cq, 1, &wc);
        if (got == 1 && wc.wr_id == id && wc.qp_num == qp->qp_num) {
            return wc.status;
        }
        if (got == 0) {
            (void)nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
        }
    } while (tacit_verbs_now_ns() < until_ns);
    return IBV_WC_RESP_TIMEOUT_ERR;
}

// The error state takes nothing new in, but what is being placed at that moment goes on. The same
// part of the device that places what arrives also flushes receive requests in that state, one
// after the other: so a receive request that was posted before tells, by its end, that all placing
// has ended. A peer may have used it up by sending a message, before; then another one is flushed,
// as no message is taken any more.
bool tacit_verbs_qp_stop(struct ibv_qp *qp)
{
    struct ibv_qp_attr attr = {.qp_state = IBV_QPS_ERR};
    tacit_time_ns_t until_ns = tacit_verbs_now_ns() + STOP_TIMEOUT_NS;
    for (uint64_t id = 1; id <= TACIT_VERBS_MARKERS; id++) {
        struct ibv_recv_wr marker = {.wr_id = id};
        struct ibv_recv_wr *bad;
        if (ibv_post_recv(qp, &marker, &bad) != 0 || ibv_modify_qp(qp, &attr, IBV_QP_STATE) != 0) {
            return false;
        }
        enum ibv_wc_status status = marker_result(qp, id, until_ns);
        if (status != IBV_WC_SUCCESS) {
            return status == IBV_WC_WR_FLUSH_ERR;
        }
    }
    return false;
}

bool tacit_verbs_qp_end(struct ibv_qp **qp)
{
    if (*qp != NULL && ibv_destroy_qp(*qp) != 0) {
        return false;
    }
    *qp = NULL;
    return true;
}

bool tacit_verbs_qp_start(const struct verbs_path *path, struct ibv_qp *qp, int access,
                          uint32_t remote_qpn, uint32_t receive_psn, uint32_t send_psn,
                          uint8_t timeout_exponent)
{
    struct ibv_qp_attr attr = path->init;
    attr.qp_state = IBV_QPS_INIT;
    attr.qp_access_flags = (unsigned)access;
    if (ibv_modify_qp(qp, &attr,
                      IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS) != 0) {
        return false;
    }
    attr = path->ready;
    attr.qp_state = IBV_QPS_RTR;
    attr.dest_qp_num = remote_qpn;
    attr.rq_psn = receive_psn;
    attr.max_dest_rd_atomic = TACIT_VERBS_READS;
    attr.min_rnr_timer = 12;
    if (ibv_modify_qp(qp, &attr,
                      IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                          IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER) != 0) {
        return false;
    }
    memset(&attr, 0, sizeof(attr));
    attr.qp_state = IBV_QPS_RTS;
    attr.timeout = timeout_exponent;
    attr.retry_cnt = TACIT_VERBS_RETRIES;
    attr.rnr_retry = 7;
    attr.sq_psn = send_psn;
    attr.max_rd_atomic = TACIT_VERBS_READS;
    return ibv_modify_qp(qp, &attr,
                         IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                             IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC) == 0;
}

bool tacit_verbs_qp_allow(struct ibv_qp *qp, int access)
{
    struct ibv_qp_attr attr = {.qp_access_flags = (unsigned)access};
    return ibv_modify_qp(qp, &attr, IBV_QP_ACCESS_FLAGS) == 0;
}

// First packet number of a queue pair: random, as its number may be one that was used not long ago.
uint32_t tacit_verbs_psn(void)
{
    uint32_t psn;
    tacit_random_bytes(&psn, sizeof(psn));
    return psn & 0xffffff;
}

bool tacit_verbs_numeric_address(const char *text, uint16_t port, struct sockaddr_storage *out)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (text == NULL || getaddrinfo(text, NULL, &hints, &found) != 0) {
        return false;
    }
    memset(out, 0, sizeof(*out));
    memcpy(out, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    if (out->ss_family == AF_INET) {
        ((struct sockaddr_in *)out)->sin_port = htons(port);
    } else {
        ((struct sockaddr_in6 *)out)->sin6_port = htons(port);
    }
    return true;
}

// Whether this process connects to `node`: replicas to memory nodes and smaller ids, clients to
// replicas.
static bool dials(const struct tacit_verbs_config *config, tacit_node_t node)
{
    switch (config->kind) {
    case TACIT_VERBS_REPLICA:
        return node < config->id || (node >= TACIT_NODE_MEMNODE && node < TACIT_NODE_CLIENT);
    case TACIT_VERBS_CLIENT:
        return node < TACIT_NODE_MEMNODE;
    case TACIT_VERBS_MEMNODE:
    case TACIT_VERBS_KINDS:
    default:
        return false;
    }
}

static enum tacit_status peers_open(struct tacit_verbs *v, struct tacit_error *error)
{
    for (size_t i = 0; i < v->config.peers_count; i++) {
        const struct tacit_verbs_peer *peer = &v->config.peers[i];
        if (!dials(&v->config, peer->node)) {
            continue;
        }
        unsigned at = 0;
        while (at < v->dials_count && v->dials[at].node != peer->node) {
            at++;
        }
        struct verbs_dial *dial = &v->dials[at];
        if (dial->addresses == TACIT_VERBS_ADDRESSES_MAX) {
            return tacit_error_set(error, TACIT_EINVAL, 0, "Node %u has more than %u addresses.",
                                   peer->node, TACIT_VERBS_ADDRESSES_MAX);
        }
        if (peer->port == 0 || !tacit_verbs_numeric_address(peer->address, peer->port,
                                                            &dial->address[dial->addresses])) {
            return tacit_error_set(
                error, TACIT_EINVAL, 0,
                "Node %u has the address \"%s\" and port %u; needed are a numeric "
                "IPv4 or IPv6 address and a port from 1 to 65535.",
                peer->node, peer->address == NULL ? "" : peer->address, peer->port);
        }
        dial->node = peer->node;
        dial->pause_ns = v->config.reconnect_min_ns;
        dial->addresses++;
        v->dials_count += at == v->dials_count ? 1 : 0;
    }
    return TACIT_OK;
}

// The address is that of a device; what else the configuration insists on has to fit it.
static enum tacit_status choose_place(struct tacit_verbs *v, const struct sockaddr_storage *own,
                                      struct tacit_error *error)
{
    const char *name = ibv_get_device_name(v->device->device);
    const struct tacit_verbs_wishes *wishes = &v->config.wishes;
    const uint32_t port = v->listener->port_num;
    char why[TACIT_VERBS_WHY_BYTES];
    if ((wishes->device != NULL && strcmp(wishes->device, name) != 0) ||
        (wishes->port != 0 && wishes->port != port)) {
        char wanted[32] = "";
        (void)snprintf(wanted, wishes->port == 0 ? 1 : sizeof(wanted), "port %u of ", wishes->port);
        return tacit_error_set(error, TACIT_ENOENT, 0,
                               "The address %s belongs to port %u of the RDMA device %s, not to "
                               "%s%s, which the configuration asks for.",
                               v->config.address, port, name, wanted,
                               wishes->device == NULL ? "it" : wishes->device);
    }
    if (!tacit_verbs_place_find(v->device, (uint8_t)port, own, wishes, &v->place, &v->facts, why)) {
        return tacit_error_set(error, TACIT_ENOENT, 0,
                               "Port %u of the RDMA device %s, which has the address %s, does not "
                               "fit: %s.",
                               port, name, v->config.address, why);
    }
    if (wishes->mtu_bytes > v->facts.mtu_bytes) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "Packets of %u bytes are more than port %u of %s takes now: %u. "
                               "For RoCE, the MTU of the network interface has to be larger.",
                               wishes->mtu_bytes, port, name, v->facts.mtu_bytes);
    }
    while (wishes->mtu_bytes != 0 && v->facts.mtu_bytes > wishes->mtu_bytes) {
        v->place.mtu--;
        v->facts.mtu_bytes = tacit_verbs_mtu_bytes(v->place.mtu);
    }
    return TACIT_OK;
}

static enum tacit_status choose(struct tacit_verbs *v, const struct sockaddr_storage *own,
                                struct tacit_error *error)
{
    enum tacit_status status = choose_place(v, own, error);
    if (status != TACIT_OK) {
        return status;
    }
    v->facts.permission = tacit_verbs_probe(&v->place);
    if (v->facts.permission == TACIT_VERBS_PERMISSION_NONE) {
        return tacit_error_set(
            error, TACIT_EIO, 0,
            "The RDMA device %s refuses queue pairs, or does not enforce who may "
            "write; `tacit rdma check` says more.",
            v->facts.device);
    }
    v->pd = ibv_alloc_pd(v->device);
    v->completions = v->pd == NULL ? NULL : ibv_create_comp_channel(v->device);
    if (v->completions == NULL) {
        return tacit_error_set(error, TACIT_EIO, errno, "The RDMA device of %s refused: %s.",
                               v->config.address, strerror(errno));
    }
    return TACIT_OK;
}

// The tables of `struct tacit_verbs_config` are sized by node number, so the device comes with the
// peers' addresses.
enum tacit_status tacit_verbs_device_open(struct tacit_verbs *v, struct tacit_error *error)
{
    struct sockaddr_storage own;
    const char *address = v->config.address;
    if (!tacit_verbs_numeric_address(address, v->config.port, &own)) {
        return tacit_error_set(
            error, TACIT_EINVAL, 0,
            "The own address is \"%s\"; needed is the numeric IPv4 or IPv6 address "
            "of the RDMA device's interface.",
            address == NULL ? "" : address);
    }
    enum tacit_status status = peers_open(v, error);
    if (status != TACIT_OK) {
        return status;
    }
    v->events = rdma_create_event_channel();
    if (v->events == NULL || rdma_create_id(v->events, &v->listener, v, RDMA_PS_TCP) != 0) {
        return tacit_error_set(
            error, TACIT_EIO, errno,
            "The RDMA connection manager is not available: %s (is the kernel module "
            "rdma_ucm loaded?).",
            strerror(errno));
    }
    if (rdma_bind_addr(v->listener, (struct sockaddr *)&own) != 0) {
        int reason = errno;
        if (reason == EADDRINUSE) {
            return tacit_error_set(error, TACIT_EBUSY, reason, "Port %u of %s is in use.",
                                   v->config.port, address);
        }
        return tacit_error_set(
            error, TACIT_ENOENT, reason,
            "No RDMA device has the address %s: %s. See `rdma link`; for Soft-RoCE: "
            "`rdma link add rxe0 type rxe netdev INTERFACE`.",
            address, strerror(reason));
    }
    v->device = v->listener->verbs;
    if (v->device == NULL) {
        return tacit_error_set(
            error, TACIT_ENOENT, 0,
            "The address %s names no single RDMA device; give that of its interface.", address);
    }
    return choose(v, &own, error);
}
