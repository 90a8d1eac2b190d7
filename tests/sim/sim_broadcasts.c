// SPDX-License-Identifier: Apache-2.0
//
// See sim_broadcasts.h.
#include "sim_broadcasts.h"

#include <string.h>

#include "byzantine/agree_internal.h"
#include "byzantine/ctb_internal.h"
#include "sim_cluster.h"
#include "smr/internal.h"

void sim_broadcasts_reset(struct sim_cluster *cluster)
{
    memset(&cluster->broadcasts, 0, sizeof cluster->broadcasts);
}

static void compare(struct sim_cluster *cluster, uint32_t slot, uint32_t stream, uint64_t epoch,
                    const struct tacit_ctb_slot *delivered)
{
    struct sim_broadcast *first =
        &cluster->broadcasts.first[stream][delivered->k % SIM_BROADCASTS_KEPT];
    bool same = first->is && first->epoch == epoch && first->k == delivered->k;
    if (!same) {
        bool newer = !first->is || first->epoch < epoch ||
                     (first->epoch == epoch && first->k < delivered->k);
        if (newer) {
            *first = (struct sim_broadcast){.is = true,
                                            .by = slot,
                                            .epoch = epoch,
                                            .k = delivered->k,
                                            .payload = delivered->payload};
        }
        return;
    }
    cluster->broadcasts.compared += first->by != slot;
    if (!tacit_payload_is_equal(&first->payload, &delivered->payload)) {
        checker_group_fail(cluster->checker,
                           "replicas %u and %u delivered different payloads for id %llu of the "
                           "stream of %u, epoch %llu",
                           first->by, slot, (unsigned long long)delivered->k, stream,
                           (unsigned long long)epoch);
    }
}

// Nobody would wait for a living member that is taken to be dead, or let it lead: that costs no
// more than time, too.
static void look_for_wrong_deaths(struct sim_cluster *cluster, uint32_t slot)
{
    const struct tacit_smr_byzantine *byzantine = &cluster->process[slot].smr->byzantine;
    for (tacit_node_t r = 0; r < cluster->shape.smr.replicas; r++) {
        const struct sim_process *member = &cluster->process[sim_replica_slot(r)];
        if ((byzantine->dead & 1u << r) != 0 && member->node->alive &&
            member->incarnation == byzantine->member[r] && !sim_is_faulty(cluster, r)) {
            checker_group_fail(cluster->checker, "replica %u takes a living member (%u) to be dead",
                               slot, r);
        }
    }
}

void sim_broadcasts_look(struct sim_cluster *cluster, uint32_t slot)
{
    const struct sim_process *process = &cluster->process[slot];
    const struct tacit_ctb *ctb = process->smr == NULL ? NULL : process->smr->byzantine.ctb;
    struct sim_broadcasts *seen = &cluster->broadcasts;
    if (ctb == NULL || slot >= SIM_BROADCASTS_SLOTS || sim_is_faulty(cluster, slot)) {
        return;
    }
    look_for_wrong_deaths(cluster, slot);
    for (tacit_node_t s = 0; s < ctb->config.replicas; s++) {
        // A wrong verdict would cost no more than time, so nothing else would show it.
        if (tacit_ctb_is_malformed(ctb, s) && !sim_is_faulty(cluster, s)) {
            checker_group_fail(cluster->checker,
                               "replica %u found what a correct one (%u) wrote malformed", slot, s);
        }
        uint64_t *next = &seen->next[slot][s];
        uint64_t now = ctb->streams[s].next;
        if (seen->epoch[slot] != ctb->epoch || *next > now) {
            *next = 0; // fresh streams: an epoch, or a new incarnation
        }
        uint64_t from = now - *next > ctb->config.tail ? now - ctb->config.tail : *next;
        for (uint64_t k = from; k < now; k++) {
            const struct tacit_ctb_slot *delivered = &ctb->streams[s].slots[k % ctb->config.tail];
            // What a summary passed over was not delivered, whatever is locked there.
            if (delivered->k == k && (delivered->flags & TACIT_CTB_AGREED) != 0) {
                compare(cluster, slot, s, ctb->epoch, delivered);
            }
        }
        *next = now;
    }
    seen->epoch[slot] = ctb->epoch;
}
