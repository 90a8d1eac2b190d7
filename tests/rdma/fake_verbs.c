// SPDX-License-Identifier: Apache-2.0
//
// The device of fake_rdma.h: libibverbs' part. One lock for all; a request is executed while it is
// posted.
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fake_device.h"

#undef ibv_reg_mr
#undef ibv_query_port

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    struct fake_manner manner;
    enum fake_call call;
    unsigned number, counts[FAKE_CALLS_COUNT], live;
    uint32_t last_number; // of queue pairs and keys: never used twice
    struct fake_qp *qps;
    struct fake_mr *mrs;
    bool failed;
    struct fake_start start;
} fake;

static struct ibv_device device = {.transport_type = IBV_TRANSPORT_IB, .name = "fake0"};
static struct ibv_context context;
static const union ibv_gid gid = {.raw = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
static const union ibv_gid other_gid = {.raw = {[0] = 0xfe, [1] = 0x80, [15] = 1}};

// ---- for tests and for fake_cm.c
// -----------------------------------------------------------------------

void fake_lock(void)
{
    (void)pthread_mutex_lock(&lock);
}

void fake_unlock(void)
{
    (void)pthread_mutex_unlock(&lock);
}

bool fake_fails(enum fake_call call)
{
    bool fails = ++fake.counts[call] == fake.number && call == fake.call;
    if (fails) {
        errno = ENOMEM;
    }
    return fails;
}

void fake_born(int change)
{
    fake.live += (unsigned)change;
}

struct ibv_context *fake_context(void)
{
    return fake.manner.absent ? NULL : &context;
}

const union ibv_gid *fake_gid(void)
{
    return &gid;
}

struct fake_start fake_last_start(void)
{
    fake_lock();
    struct fake_start start = fake.start;
    fake_unlock();
    return start;
}

void fake_manager_timeout(unsigned exponent)
{
    fake.start.manager_timeout = exponent;
}

unsigned fake_count(enum fake_call call)
{
    fake_lock();
    unsigned count = fake.counts[call];
    fake_unlock();
    return count;
}

const char *fake_name(enum fake_call call)
{
    static const char *const names[] = {
#define FAKE_NAME(name) #name,
        FAKE_CALLS(FAKE_NAME)
#undef FAKE_NAME
    };
    return names[call];
}

unsigned fake_live(void)
{
    fake_lock();
    unsigned live = fake.live;
    fake_unlock();
    return live;
}

void fake_device_fails(void)
{
    uint64_t one = 1;
    fake_lock();
    fake.failed = true;
    (void)!write(context.async_fd, &one, sizeof(one));
    fake_unlock();
}

// ---- completions
// ------------------------------------------------------------------------------------

static void complete(struct fake_cq *cq, const struct fake_qp *qp, uint64_t id,
                     enum ibv_wc_status status, uint32_t bytes)
{
    uint64_t one = 1;
    if (cq->next - cq->first == FAKE_QUEUE) {
        abort(); // the provider sizes its queues so that they cannot overflow
    }
    cq->wc[cq->next++ % FAKE_QUEUE] =
        (struct ibv_wc){.wr_id = id, .status = status, .byte_len = bytes, .qp_num = qp->qp.qp_num};
    if (cq->armed) {
        cq->armed = false;
        cq->told = true;
        (void)!write(cq->cq.channel->fd, &one, sizeof(one));
    }
}

static int poll_cq(struct ibv_cq *ibv, int max, struct ibv_wc *wc)
{
    struct fake_cq *cq = (struct fake_cq *)ibv;
    int count = 0;
    fake_lock();
    if (fake_fails(FAKE_ibv_poll_cq)) {
        count = -1;
    }
    while (count >= 0 && count < max && cq->first != cq->next) {
        wc[count++] = cq->wc[cq->first++ % FAKE_QUEUE];
    }
    fake_unlock();
    return count;
}

static int req_notify_cq(struct ibv_cq *ibv, int solicited)
{
    (void)solicited;
    fake_lock();
    bool fails = fake_fails(FAKE_ibv_req_notify_cq);
    ((struct fake_cq *)ibv)->armed |= !fails;
    fake_unlock();
    return fails ? ENOMEM : 0;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *of, int entries, void *cq_context,
                             struct ibv_comp_channel *channel, int vector)
{
    (void)vector;
    fake_lock();
    struct fake_cq *cq = fake_fails(FAKE_ibv_create_cq) ? NULL : calloc(1, sizeof(*cq));
    if (cq != NULL) {
        cq->cq = (struct ibv_cq){
            .context = of, .channel = channel, .cq_context = cq_context, .cqe = entries};
        struct fake_channel *at = (struct fake_channel *)channel;
        for (unsigned i = 0; at != NULL && i < FAKE_QUEUE; i++) {
            if (at->cqs[i] == NULL) {
                at->cqs[i] = cq;
                break;
            }
        }
        fake_born(1);
    }
    fake_unlock();
    return cq == NULL ? NULL : &cq->cq;
}

int ibv_destroy_cq(struct ibv_cq *ibv)
{
    fake_lock();
    struct fake_channel *at = (struct fake_channel *)ibv->channel;
    for (unsigned i = 0; at != NULL && i < FAKE_QUEUE; i++) {
        at->cqs[i] = at->cqs[i] == (struct fake_cq *)ibv ? NULL : at->cqs[i];
    }
    free(ibv);
    fake_born(-1);
    fake_unlock();
    return 0;
}

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *of)
{
    fake_lock();
    struct fake_channel *channel =
        fake_fails(FAKE_ibv_create_comp_channel) ? NULL : calloc(1, sizeof(*channel));
    if (channel != NULL) {
        channel->channel.context = of;
        channel->channel.fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
        fake_born(1);
    }
    fake_unlock();
    return channel == NULL ? NULL : &channel->channel;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
{
    fake_lock();
    (void)close(channel->fd);
    free(channel);
    fake_born(-1);
    fake_unlock();
    return 0;
}

int ibv_get_cq_event(struct ibv_comp_channel *ibv, struct ibv_cq **cq, void **cq_context)
{
    struct fake_channel *channel = (struct fake_channel *)ibv;
    uint64_t one;
    fake_lock();
    bool found = !fake_fails(FAKE_ibv_get_cq_event) && read(ibv->fd, &one, sizeof(one)) > 0;
    for (unsigned i = 0; i < FAKE_QUEUE && found; i++) {
        if (channel->cqs[i] != NULL && channel->cqs[i]->told) {
            channel->cqs[i]->told = false;
            *cq = &channel->cqs[i]->cq;
            *cq_context = (*cq)->cq_context;
            fake_unlock();
            return 0;
        }
    }
    fake_unlock();
    return -1;
}

void ibv_ack_cq_events(struct ibv_cq *cq, unsigned int count)
{
    (void)cq;
    (void)count;
}

// ---- memory
// -----------------------------------------------------------------------------------------

struct ibv_pd *ibv_alloc_pd(struct ibv_context *of)
{
    fake_lock();
    struct ibv_pd *pd = fake_fails(FAKE_ibv_alloc_pd) ? NULL : calloc(1, sizeof(*pd));
    if (pd != NULL) {
        pd->context = of;
        fake_born(1);
    }
    fake_unlock();
    return pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
    fake_lock();
    for (const struct fake_mr *mr = fake.mrs; mr != NULL; mr = mr->following) {
        if (mr->mr.pd == pd) {
            abort(); // a device refuses; the provider never tries
        }
    }
    free(pd);
    fake_born(-1);
    fake_unlock();
    return 0;
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
    fake_lock();
    struct fake_mr *mr = fake_fails(FAKE_ibv_reg_mr) ? NULL : calloc(1, sizeof(*mr));
    if (mr != NULL) {
        uint32_t key = ++fake.last_number;
        mr->mr = (struct ibv_mr){.context = pd->context,
                                 .pd = pd,
                                 .addr = addr,
                                 .length = length,
                                 .lkey = key,
                                 .rkey = key};
        mr->access = access;
        mr->following = fake.mrs;
        fake.mrs = mr;
        fake_born(1);
    }
    fake_unlock();
    return mr == NULL ? NULL : &mr->mr;
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
                                unsigned int access)
{
    (void)iova;
    return ibv_reg_mr(pd, addr, length, (int)access);
}

int ibv_dereg_mr(struct ibv_mr *ibv)
{
    fake_lock();
    for (struct fake_mr **at = &fake.mrs; *at != NULL; at = &(*at)->following) {
        if (&(*at)->mr == ibv) {
            struct fake_mr *mr = *at;
            *at = mr->following;
            free(mr);
            fake_born(-1);
            break;
        }
    }
    fake_unlock();
    return 0;
}

// ---- queue pairs
// ------------------------------------------------------------------------------------

static struct fake_qp *qp_of(uint32_t number)
{
    struct fake_qp *qp = fake.qps;
    while (qp != NULL && qp->qp.qp_num != number) {
        qp = qp->following;
    }
    return qp;
}

void fake_qp_state(struct ibv_qp *ibv, enum ibv_qp_state state)
{
    struct fake_qp *qp = (struct fake_qp *)ibv;
    qp->qp.state = state;
    while (state == IBV_QPS_ERR && !fake.manner.silent_markers && qp->first != qp->next) {
        complete((struct fake_cq *)qp->qp.recv_cq, qp, qp->receives[qp->first++ % FAKE_RECEIVES].id,
                 IBV_WC_WR_FLUSH_ERR, 0);
    }
}

void fake_qp_connect(struct ibv_qp *ibv, uint32_t to)
{
    struct fake_qp *qp = (struct fake_qp *)ibv;
    qp->to = to;
    qp->access = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE; // as rdma_cm leaves it
    qp->qp.state = IBV_QPS_RTS;
}

struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
    fake_lock();
    struct fake_qp *qp = fake_fails(FAKE_ibv_create_qp) ? NULL : calloc(1, sizeof(*qp));
    if (qp != NULL) {
        qp->qp = (struct ibv_qp){.context = pd->context,
                                 .pd = pd,
                                 .send_cq = attr->send_cq,
                                 .recv_cq = attr->recv_cq,
                                 .qp_num = ++fake.last_number,
                                 .state = IBV_QPS_RESET,
                                 .qp_type = attr->qp_type};
        qp->following = fake.qps;
        fake.qps = qp;
        fake_born(1);
    }
    fake_unlock();
    return qp == NULL ? NULL : &qp->qp;
}

int ibv_destroy_qp(struct ibv_qp *ibv)
{
    fake_lock();
    if (fake_fails(FAKE_ibv_destroy_qp)) {
        fake_unlock();
        return EBUSY;
    }
    for (struct fake_qp **at = &fake.qps; *at != NULL; at = &(*at)->following) {
        if (&(*at)->qp == ibv) {
            struct fake_qp *qp = *at;
            *at = qp->following;
            free(qp);
            fake_born(-1);
            break;
        }
    }
    fake_unlock();
    return 0;
}

int ibv_modify_qp(struct ibv_qp *ibv, struct ibv_qp_attr *attr, int mask)
{
    struct fake_qp *qp = (struct fake_qp *)ibv;
    fake_lock();
    bool started = qp->qp.state == IBV_QPS_RTR || qp->qp.state == IBV_QPS_RTS;
    bool fails = fake_fails(FAKE_ibv_modify_qp) ||
                 (fake.manner.fixed_flags && started && (mask & IBV_QP_ACCESS_FLAGS) != 0);
    if (!fails) {
        qp->access = (mask & IBV_QP_ACCESS_FLAGS) != 0 ? (int)attr->qp_access_flags : qp->access;
        qp->to = (mask & IBV_QP_DEST_QPN) != 0 ? attr->dest_qp_num : qp->to;
        if ((mask & IBV_QP_AV) != 0) {
            fake.start.gid_index = attr->ah_attr.grh.sgid_index;
            fake.start.mtu_bytes = qp->mtu_bytes = 128u << attr->path_mtu;
        }
        if ((mask & IBV_QP_TIMEOUT) != 0) {
            fake.start.timeout = attr->timeout;
            fake.start.retries = attr->retry_cnt;
        }
        if ((mask & IBV_QP_STATE) != 0) {
            fake_qp_state(ibv, attr->qp_state);
        }
    }
    fake_unlock();
    return fails ? EINVAL : 0;
}

static int post_recv(struct ibv_qp *ibv, struct ibv_recv_wr *work, struct ibv_recv_wr **bad)
{
    struct fake_qp *qp = (struct fake_qp *)ibv;
    fake_lock();
    *bad = work;
    bool fails = fake_fails(FAKE_ibv_post_recv) || qp->next - qp->first == FAKE_RECEIVES;
    if (!fails) {
        struct fake_receive *at = &qp->receives[qp->next++ % FAKE_RECEIVES];
        *at = (struct fake_receive){.id = work->wr_id};
        at->place = work->num_sge == 0 ? at->place : work->sg_list[0];
        if (qp->qp.state == IBV_QPS_ERR) {
            fake_qp_state(ibv, IBV_QPS_ERR);
        }
    }
    fake_unlock();
    return fails ? ENOMEM : 0;
}

static bool is_registered(const struct fake_qp *host, const struct ibv_send_wr *work, int access)
{
    for (const struct fake_mr *mr = fake.mrs; mr != NULL; mr = mr->following) {
        uint64_t at = work->wr.rdma.remote_addr - (uintptr_t)mr->mr.addr;
        if (mr->mr.rkey == work->wr.rdma.rkey && mr->mr.pd == host->qp.pd &&
            (mr->access & access) == access && at <= mr->mr.length &&
            work->sg_list[0].length <= mr->mr.length - at) {
            return true;
        }
    }
    return false;
}

static void *pointer(uint64_t address)
{
    return (void *)(uintptr_t)address; // NOLINT(performance-no-int-to-ptr)
}

static enum ibv_wc_status execute_send(struct fake_qp *host, const struct ibv_send_wr *work)
{
    if (host->first == host->next) {
        return IBV_WC_RNR_RETRY_EXC_ERR;
    }
    const struct fake_receive *receive = &host->receives[host->first++ % FAKE_RECEIVES];
    if (work->sg_list[0].length > receive->place.length) {
        return IBV_WC_REM_INV_REQ_ERR;
    }
    memcpy(pointer(receive->place.addr), pointer(work->sg_list[0].addr), work->sg_list[0].length);
    complete((struct fake_cq *)host->qp.recv_cq, host, receive->id, IBV_WC_SUCCESS,
             work->sg_list[0].length);
    return IBV_WC_SUCCESS;
}

static enum ibv_wc_status execute(struct fake_qp *qp, const struct ibv_send_wr *work)
{
    struct fake_qp *host = qp_of(qp->to);
    if (qp->qp.state == IBV_QPS_ERR) {
        return IBV_WC_WR_FLUSH_ERR;
    }
    if (host == NULL || host->to != qp->qp.qp_num ||
        (host->qp.state != IBV_QPS_RTS && host->qp.state != IBV_QPS_RTR)) {
        return IBV_WC_RETRY_EXC_ERR;
    }
    if (qp->mtu_bytes != host->mtu_bytes) {
        return IBV_WC_REM_INV_REQ_ERR; // larger packets than the other end takes, or answers that
                                       // are
    }
    if (work->opcode == IBV_WR_SEND) {
        return execute_send(host, work);
    }
    int access =
        work->opcode == IBV_WR_RDMA_WRITE ? IBV_ACCESS_REMOTE_WRITE : IBV_ACCESS_REMOTE_READ;
    enum ibv_wc_status refusal = (host->access & access) == 0 && !fake.manner.lawless
                                     ? IBV_WC_REM_INV_REQ_ERR
                                 : !is_registered(host, work, access) ? IBV_WC_REM_ACCESS_ERR
                                                                      : IBV_WC_SUCCESS;
    if (refusal != IBV_WC_SUCCESS) {
        fake_qp_state(&host->qp, IBV_QPS_ERR);
        return refusal;
    }
    void *there = pointer(work->wr.rdma.remote_addr);
    void *here = pointer(work->sg_list[0].addr);
    bool writes = work->opcode == IBV_WR_RDMA_WRITE;
    memcpy(writes ? there : here, writes ? here : there, work->sg_list[0].length);
    return IBV_WC_SUCCESS;
}

static int post_send(struct ibv_qp *ibv, struct ibv_send_wr *work, struct ibv_send_wr **bad)
{
    struct fake_qp *qp = (struct fake_qp *)ibv;
    fake_lock();
    *bad = work;
    bool fails = fake_fails(FAKE_ibv_post_send) ||
                 (qp->qp.state != IBV_QPS_RTS && qp->qp.state != IBV_QPS_ERR);
    for (; work != NULL && !fails; work = work->next) {
        enum ibv_wc_status status = execute(qp, work);
        if (status != IBV_WC_SUCCESS) {
            fake_qp_state(ibv, IBV_QPS_ERR);
        }
        if (status != IBV_WC_SUCCESS || (work->send_flags & IBV_SEND_SIGNALED) != 0) {
            complete((struct fake_cq *)qp->qp.send_cq, qp, work->wr_id, status, 0);
        }
    }
    fake_unlock();
    return fails ? ENOMEM : 0;
}

// ---- the device
// -------------------------------------------------------------------------------------

void fake_reset(const struct fake_manner *manner, enum fake_call call, unsigned number)
{
    fake_lock();
    if (context.async_fd > 0) {
        (void)close(context.async_fd);
    }
    memset(&context, 0, sizeof(context));
    memset(fake.counts, 0, sizeof(fake.counts));
    fake.manner = *manner;
    fake.call = call;
    fake.number = number;
    fake.failed = false;
    fake.live = 0;
    fake.start = (struct fake_start){.gid_index = 0};
    device.transport_type = manner->iwarp ? IBV_TRANSPORT_IWARP : IBV_TRANSPORT_IB;
    context.device = &device;
    context.async_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    context.ops.poll_cq = poll_cq;
    context.ops.req_notify_cq = req_notify_cq;
    context.ops.post_send = post_send;
    context.ops.post_recv = post_recv;
    fake_unlock();
}

struct ibv_device **ibv_get_device_list(int *count)
{
    fake_lock();
    struct ibv_device **list =
        fake_fails(FAKE_ibv_get_device_list) ? NULL : calloc(2, sizeof(struct ibv_device *));
    if (list != NULL) {
        list[0] = fake.manner.absent ? NULL : &device;
        fake_born(1);
    }
    *count = list != NULL && list[0] != NULL;
    fake_unlock();
    return list;
}

void ibv_free_device_list(struct ibv_device **list)
{
    fake_lock();
    free(list);
    fake_born(-1);
    fake_unlock();
}

const char *ibv_get_device_name(struct ibv_device *of)
{
    return of->name;
}

struct ibv_context *ibv_open_device(struct ibv_device *of)
{
    (void)of;
    fake_lock();
    bool fails = fake_fails(FAKE_ibv_open_device);
    fake_born(!fails);
    fake_unlock();
    return fails ? NULL : &context;
}

int ibv_close_device(struct ibv_context *of)
{
    (void)of;
    fake_lock();
    fake_born(-1);
    fake_unlock();
    return 0;
}

int ibv_query_device(struct ibv_context *of, struct ibv_device_attr *attr)
{
    (void)of;
    memset(attr, 0, sizeof(*attr));
    attr->phys_port_cnt = 1;
    fake_lock();
    bool fails = fake_fails(FAKE_ibv_query_device);
    fake_unlock();
    return fails ? ENOMEM : 0;
}

int ibv_query_port(struct ibv_context *of, uint8_t port, struct _compat_ibv_port_attr *out)
{
    (void)of;
    (void)port;
    struct ibv_port_attr *attr = (struct ibv_port_attr *)out;
    fake_lock();
    bool fails = fake_fails(FAKE_ibv_query_port);
    attr->state = fake.manner.port_down ? IBV_PORT_DOWN : IBV_PORT_ACTIVE;
    attr->active_mtu = IBV_MTU_1024;
    attr->link_layer = IBV_LINK_LAYER_ETHERNET;
    fake_unlock();
    return fails ? ENOMEM : 0;
}

int ibv_query_gid(struct ibv_context *of, uint8_t port, int index, union ibv_gid *out)
{
    (void)of;
    (void)port;
    *out = index == 1 ? other_gid : gid;
    fake_lock();
    bool fails = fake_fails(FAKE_ibv_query_gid);
    fake_unlock();
    return fails ? -1 : 0;
}

ssize_t _ibv_query_gid_table(struct ibv_context *of, struct ibv_gid_entry *entries, size_t max,
                             uint32_t flags, size_t entry_size)
{
    (void)of;
    (void)max;
    (void)flags;
    (void)entry_size;
    for (unsigned i = 0; i < FAKE_GIDS; i++) {
        entries[i] =
            (struct ibv_gid_entry){.gid = i == 1 ? other_gid : gid,
                                   .gid_index = i,
                                   .port_num = 1,
                                   .gid_type = i == 0 ? IBV_GID_TYPE_ROCE_V1 : IBV_GID_TYPE_ROCE_V2,
                                   .ndev_ifindex = i == FAKE_GID_BEST ? if_nametoindex("lo") : 0};
    }
    fake_lock();
    bool fails = fake_fails(FAKE_ibv_query_gid_table);
    fake_unlock();
    return fails ? -ENOMEM : FAKE_GIDS;
}

int ibv_get_async_event(struct ibv_context *of, struct ibv_async_event *event)
{
    uint64_t drained;
    fake_lock();
    bool failed = fake.failed && read(of->async_fd, &drained, sizeof(drained)) > 0;
    memset(event, 0, sizeof(*event));
    event->event_type = IBV_EVENT_DEVICE_FATAL;
    fake_unlock();
    return failed ? 0 : -1;
}

void ibv_ack_async_event(struct ibv_async_event *event)
{
    (void)event;
}
