// SPDX-License-Identifier: Apache-2.0
//
// Checking the signatures of a certificate at the signing pool: charged to who sent it, as many at
// a time as its queue takes, and one certificate at a time for each stream, since a stream is
// consumed in order.
#include "agree_internal.h"

enum tacit_take tacit_check_run(struct tacit_agree *a, tacit_node_t stream, uint64_t k,
                                uint32_t total, tacit_check_job job, void *context)
{
    struct tacit_check *check = &a->checks[stream];
    if (!check->active || check->k != k) {
        *check = (struct tacit_check){
            .active = true, .k = k, .serial = ++a->check_serial, .total = total};
    }
    while (!check->bad && check->next < total) {
        struct tacit_signer_job work = {0};
        if (!job(a, context, check->next, &work)) {
            check->next++;
            continue;
        }
        work.verify = true;
        work.charge = (uint8_t)(stream % a->config.replicas);
        work.cookie = tacit_agree_cookie(TACIT_JOB_CHECK, (uint64_t)stream << 32 | check->serial);
        if (!a->signer->ops->knows(a->signer, work.author)) {
            check->bad = true;
        } else if (a->signer->ops->submit(a->signer, &work)) {
            check->next++;
            check->pending++;
        } else {
            break;
        }
    }
    if (!check->bad && (check->pending > 0 || check->next < total)) {
        return TACIT_TAKE_LATER;
    }
    check->active = false;
    if (check->bad) {
        a->counters.bad_signatures++;
        return TACIT_TAKE_ILLEGAL;
    }
    return TACIT_TAKE_DONE;
}

void tacit_check_done(struct tacit_agree *a, uint64_t value, bool valid)
{
    uint64_t stream = value >> 32 & 0xff;
    if (stream >= 2u * a->config.replicas) {
        return;
    }
    struct tacit_check *check = &a->checks[stream];
    if (!check->active || check->serial != (uint32_t)value || check->pending == 0) {
        return; // of a check that has ended
    }
    check->pending--;
    check->bad = check->bad || !valid;
    if (check->pending > 0 && !check->bad && check->next == check->total) {
        return; // nothing to do before the last one is back
    }
    if (stream < a->config.replicas) {
        tacit_ctb_resume(a->ctb, (tacit_node_t)stream);
    } else {
        tacit_base_offered(a, (tacit_node_t)(stream - a->config.replicas));
    }
}
