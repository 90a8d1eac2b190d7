// SPDX-License-Identifier: Apache-2.0
//
// How permissions can be moved on a device, found out by trying: a queue pair of this process
// writes through another one into memory of this process, without the right, with a right that was
// added later, and after the other end was stopped. What arrives late is beyond such a short try;
// that a stopped queue pair is a barrier rests on what tacit_verbs_qp_stop() waits for, and on the
// conformance suite, which tries it thousands of times.
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"

#define PROBE_BYTES 4096u
#define ANSWER_NS 50000000u // for a write that nobody answers
#define TIMEOUT_EXPONENT 8u // 1 ms a try

struct probe {
    const struct verbs_place *place;
    struct verbs_path path;
    struct ibv_pd *pd;
    struct ibv_cq *writes, *markers;
    struct ibv_mr *mr;
    uint64_t *memory;
    struct ibv_qp *from, *to;
    uint64_t word; // the last one that was tried
};

static void path_to_self(const struct verbs_place *place, struct verbs_path *path)
{
    memset(path, 0, sizeof(*path));
    path->init.port_num = place->port;
    path->ready.path_mtu = place->mtu;
    path->ready.ah_attr.port_num = place->port;
    path->ready.ah_attr.dlid = place->lid;
    path->ready.ah_attr.is_global = place->is_global;
    path->ready.ah_attr.grh.dgid = place->gid;
    path->ready.ah_attr.grh.sgid_index = place->gid_index;
    path->ready.ah_attr.grh.hop_limit = 64;
}

static bool probe_open(struct probe *probe)
{
    path_to_self(probe->place, &probe->path);
    probe->pd = ibv_alloc_pd(probe->place->device);
    probe->writes = ibv_create_cq(probe->place->device, 16, NULL, NULL, 0);
    probe->markers = ibv_create_cq(probe->place->device, 16, NULL, NULL, 0);
    probe->memory = aligned_alloc(PROBE_BYTES, PROBE_BYTES);
    if (probe->pd == NULL || probe->writes == NULL || probe->markers == NULL ||
        probe->memory == NULL) {
        return false;
    }
    memset(probe->memory, 0, PROBE_BYTES);
    probe->mr =
        ibv_reg_mr(probe->pd, probe->memory, PROBE_BYTES,
                   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE);
    return probe->mr != NULL;
}

// The sender first: a queue pair to which nothing is sent can be destroyed on any device.
static bool pair_end(struct probe *probe)
{
    struct ibv_qp_attr attr = {.qp_state = IBV_QPS_ERR};
    if (probe->from != NULL) {
        (void)ibv_modify_qp(probe->from, &attr, IBV_QP_STATE);
    }
    bool ended = tacit_verbs_qp_end(&probe->from);
    return tacit_verbs_qp_end(&probe->to) && ended;
}

static void probe_close(struct probe *probe)
{
    (void)pair_end(probe);
    if (probe->mr != NULL) {
        (void)ibv_dereg_mr(probe->mr);
    }
    free(probe->memory);
    if (probe->writes != NULL) {
        (void)ibv_destroy_cq(probe->writes);
    }
    if (probe->markers != NULL) {
        (void)ibv_destroy_cq(probe->markers);
    }
    if (probe->pd != NULL) {
        (void)ibv_dealloc_pd(probe->pd);
    }
}

// A new pair; what the one end may do at the other is in `access`.
static bool pair_start(struct probe *probe, int access)
{
    struct ibv_wc late;
    if (!pair_end(probe)) {
        return false;
    }
    for (unsigned i = 0; i < 16 && ibv_poll_cq(probe->writes, 1, &late) > 0; i++) {
    }
    probe->from = tacit_verbs_qp_make(probe->pd, probe->writes, 4, 1);
    probe->to = tacit_verbs_qp_make(probe->pd, probe->markers, 1, TACIT_VERBS_MARKERS);
    if (probe->from == NULL || probe->to == NULL) {
        return false;
    }
    uint32_t psn = tacit_verbs_psn();
    return tacit_verbs_qp_start(&probe->path, probe->to, access, probe->from->qp_num, psn, 0,
                                TIMEOUT_EXPONENT) &&
           tacit_verbs_qp_start(&probe->path, probe->from, 0, probe->to->qp_num, 0, psn,
                                TIMEOUT_EXPONENT);
}

enum answer { ANSWER_NONE, ANSWER_LANDED, ANSWER_REFUSED, ANSWER_LIED };

// Writes a word that was not there before. LIED: the result and the memory say different things.
static enum answer try_write(struct probe *probe)
{
    uint64_t word = ++probe->word;
    struct ibv_sge sge = {.addr = (uintptr_t)&word, .length = sizeof(word)};
    struct ibv_send_wr work = {
        .wr_id = word,
        .sg_list = &sge,
        .num_sge = 1,
        .opcode = IBV_WR_RDMA_WRITE,
        .send_flags = IBV_SEND_SIGNALED | IBV_SEND_INLINE,
        .wr.rdma = {.remote_addr = (uintptr_t)probe->memory, .rkey = probe->mr->rkey},
    };
    struct ibv_send_wr *bad;
    struct ibv_wc wc = {.status = IBV_WC_GENERAL_ERR};
    int got = 0;
    if (ibv_post_send(probe->from, &work, &bad) != 0) {
        return ANSWER_REFUSED;
    }
    tacit_time_ns_t until_ns = tacit_verbs_now_ns() + ANSWER_NS;
    do {
        got = ibv_poll_cq(probe->writes, 1, &wc);
        if (got == 0) {
            (void)nanosleep(&(struct timespec){.tv_nsec = 10000}, NULL);
        }
    } while (got == 0 && tacit_verbs_now_ns() < until_ns);
    bool landed = __atomic_load_n(probe->memory, __ATOMIC_ACQUIRE) == word;
    if (got == 1 && wc.status == IBV_WC_SUCCESS) {
        return landed ? ANSWER_LANDED : ANSWER_LIED;
    }
    return landed ? ANSWER_LIED : got == 0 ? ANSWER_NONE : ANSWER_REFUSED;
}

static bool is_kept_out(enum answer answer)
{
    return answer == ANSWER_REFUSED || answer == ANSWER_NONE;
}

static enum tacit_verbs_permission find_out(struct probe *probe)
{
    const int reads = IBV_ACCESS_REMOTE_READ;
    const int writes = reads | IBV_ACCESS_REMOTE_WRITE;
    if (!pair_start(probe, reads) || !is_kept_out(try_write(probe))) {
        return TACIT_VERBS_PERMISSION_NONE;
    }
    bool adds = pair_start(probe, reads) && tacit_verbs_qp_allow(probe->to, writes) &&
                try_write(probe) == ANSWER_LANDED;
    if (!adds && (!pair_start(probe, writes) || try_write(probe) != ANSWER_LANDED)) {
        return TACIT_VERBS_PERMISSION_NONE;
    }
    if (tacit_verbs_qp_stop(probe->to) && is_kept_out(try_write(probe))) {
        return adds ? TACIT_VERBS_PERMISSION_FLAGS : TACIT_VERBS_PERMISSION_CYCLE;
    }
    if (!pair_start(probe, writes) || try_write(probe) != ANSWER_LANDED ||
        !tacit_verbs_qp_end(&probe->to) || !is_kept_out(try_write(probe))) {
        return TACIT_VERBS_PERMISSION_NONE;
    }
    return TACIT_VERBS_PERMISSION_DESTROY;
}

enum tacit_verbs_permission tacit_verbs_probe(const struct verbs_place *place)
{
    struct probe probe = {.place = place};
    enum tacit_verbs_permission found =
        probe_open(&probe) ? find_out(&probe) : TACIT_VERBS_PERMISSION_NONE;
    probe_close(&probe);
    return found;
}
