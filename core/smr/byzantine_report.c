// SPDX-License-Identifier: Apache-2.0
//
// What a replica of a Byzantine group tells about itself: status and structural invariants.
#include "byzantine.h"

#include <string.h>

#include "internal.h"

void tacit_smr_byzantine_status(const struct tacit_smr *smr, struct tacit_status_report *report)
{
    const struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    struct tacit_agree_report agree;
    tacit_agree_status(byzantine->agree, &agree);
    const struct tacit_ctb_counters *ctb = tacit_ctb_counters(byzantine->ctb);
    const struct tacit_requests_counters *requests = tacit_requests_counters(byzantine->requests);
    const struct tacit_registers_counters *registers =
        tacit_registers_counters(byzantine->registers);
    report->byzantine = true;
    report->role = !smr->active                       ? TACIT_ROLE_JOINING
                   : agree.leader != smr->config.self ? TACIT_ROLE_FOLLOWER
                   : agree.entered                    ? TACIT_ROLE_LEADER
                                                      : TACIT_ROLE_RECOVERING;
    report->leader = smr->active ? agree.leader : TACIT_NODE_NONE;
    report->view = agree.view;
    report->term = agree.view;
    report->epoch = byzantine->epoch;
    report->replaced = smr->sessions.members->replaced;
    memcpy(report->memnode_members, byzantine->memnode_member, sizeof report->memnode_members);
    report->view_entered = smr->active && agree.entered;
    report->window_base = agree.base;
    report->commit = agree.decided;
    report->condemned = agree.condemned;
    report->trusted = byzantine->trusted & ~byzantine->dead;
    report->batches_proposed = agree.counters.proposed;
    report->decided_fast = agree.counters.decided_fast;
    report->decided_slow = agree.counters.decided_slow;
    report->vouched = agree.counters.vouched;
    report->acked = agree.counters.acked;
    report->certified = agree.counters.certified;
    report->committed = agree.counters.committed;
    report->seals = agree.counters.seals;
    report->views_entered = agree.counters.views_entered;
    report->newviews = agree.counters.newviews;
    report->forced = agree.counters.forced;
    report->checkpoints_taken = agree.counters.checkpoints;
    report->state_transfers = byzantine->fetch.counters.transfers;
    report->state_pages_fetched = byzantine->fetch.counters.pages;
    report->broadcasts = ctb->broadcasts;
    report->delivered_fast = ctb->delivered_fast;
    report->delivered_slow = ctb->delivered_slow;
    report->nudges = ctb->nudges;
    report->summaries = ctb->summaries;
    report->summaries_adopted = ctb->summaries_adopted;
    report->gaps = ctb->gaps;
    report->bodies_fetched = ctb->bodies_fetched;
    report->signatures_made = byzantine->signer->signatures_made;
    report->signatures_checked = byzantine->signer->signatures_checked;
    report->signatures_bad =
        ctb->bad_signatures + agree.counters.bad_signatures + requests->bad_signatures;
    report->register_writes = registers->writes;
    report->register_reads = registers->reads;
    report->last_sealed_ns = byzantine->sealed_ns;
    report->last_entered_ns = byzantine->entered_ns;
    report->lacks = requests->lacks_sent;
    report->obligations = requests->obligations;
    report->malformed += ctb->malformed + agree.counters.malformed + requests->malformed +
                         tacit_links_counters(byzantine->links)->malformed;
    report->unexpected += byzantine->unexpected;
    report->memnodes_up = tacit_registers_nodes_up(byzantine->registers);
    for (tacit_node_t r = 0; r < smr->config.replicas; r++) {
        bool up = byzantine->peer_up[r] || r == smr->config.self;
        tacit_incarnation_t incarnation =
            r == smr->config.self ? smr->config.incarnation : byzantine->peer_incarnation[r];
        report->up |= up ? 1u << r : 0;
        report->waiting |= up && report->members[r] != incarnation ? 1u << r : 0;
    }
}

const char *tacit_smr_byzantine_invariants(const struct tacit_smr *smr)
{
    const struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    const char *broken = tacit_agree_check(byzantine->agree);
    if (broken == NULL) {
        broken = tacit_ctb_check(byzantine->ctb);
    }
    if (broken == NULL) {
        broken = tacit_requests_check(byzantine->requests);
    }
    if (broken == NULL) {
        broken = tacit_bodies_check(byzantine->bodies);
    }
    if (broken == NULL) {
        broken = tacit_certified_check(&smr->pages);
    }
    return broken;
}
