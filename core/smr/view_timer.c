// SPDX-License-Identifier: Apache-2.0
//
// When a replica in Byzantine mode gives up the leader of its view: whose timers there are, and
// from when on they run. They are together here because one rule is for all of them.
#include "internal.h"

#define HELD_TIMES 8u     // of the shortest timer
#define WAITED_PART 4u    // of a timer: who waits longer is close to losing patience
#define STALLED_TIMERS 2u // a request that waits is the sooner reason to leave a view
#define ABSENT_TIMERS 4u  // so many of its timers does a leader gain by absences, at most
#define ROUNDS_IN_TIME 2u // that a leader may take, each as long as others are waited for

// Since when f+1 members are connected, this one included. With fewer nobody could be made leader:
// whoever starts first would leave the first views before the others are there.
static void note_quorum(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    uint32_t here = 1;
    for (tacit_node_t r = 0; r < smr->config.replicas; r++) {
        here += r != smr->config.self && byzantine->peer_up[r] &&
                byzantine->peer_incarnation[r] == byzantine->member[r];
    }
    if (here <= smr->config.replicas / 2u) {
        byzantine->quorum_ns = UINT64_MAX;
    } else if (byzantine->quorum_ns == UINT64_MAX) {
        byzantine->quorum_ns = smr->now_ns;
    }
}

// A change that f+1 replicas signed has to be ordered, and its checkpoint reached, by whoever
// leads: that is owed since the last progress.
static void note_owed(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    uint64_t progress = tacit_smr_epoch_view(smr, byzantine->view) + smr->applied;
    if (!tacit_smr_epoch_is_owed(smr)) {
        byzantine->owed_ns = 0;
    } else if (byzantine->owed_ns == 0 || byzantine->owed_progress != progress) {
        byzantine->owed_ns = smr->now_ns;
        byzantine->owed_progress = progress;
    }
}

// When the timer of an obligation fires, that of a change of members, or that of a slot which waits
// here while nothing else happens. None begins before f+1 replicas are connected and in the view:
// who is alone in a view would leave it as soon as the others come, and be alone in the next.
tacit_time_ns_t tacit_smr_view_timer(const struct tacit_smr *smr)
{
    const struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    tacit_time_ns_t timer = tacit_requests_timer(byzantine->requests, byzantine->timer_ns);
    tacit_time_ns_t gathered = tacit_agree_gathered_ns(byzantine->agree);
    tacit_time_ns_t stalled = tacit_agree_stalled_ns(byzantine->agree);
    if (stalled != UINT64_MAX && stalled + STALLED_TIMERS * byzantine->timer_ns < timer) {
        timer = stalled + STALLED_TIMERS * byzantine->timer_ns;
    }
    if (byzantine->owed_ns != 0 && byzantine->owed_ns + byzantine->timer_ns < timer) {
        timer = byzantine->owed_ns + byzantine->timer_ns;
        if (TACIT_BUG(OWED_WHILE_ALONE)) {
            return timer;
        }
    }
    if (timer == UINT64_MAX || gathered == UINT64_MAX || byzantine->quorum_ns == UINT64_MAX) {
        return UINT64_MAX;
    }
    gathered = gathered > byzantine->quorum_ns ? gathered : byzantine->quorum_ns;
    timer = timer > gathered + byzantine->timer_ns ? timer : gathered + byzantine->timer_ns;
    // One absence may follow the other: a replica that has less than half of a processor would
    // never leave a silent leader.
    tacit_time_ns_t last_ns = timer + ABSENT_TIMERS * byzantine->timer_ns;
    tacit_time_ns_t until_ns = byzantine->absent_until_ns;
    until_ns = until_ns < last_ns || TACIT_BUG(ABSENT_FOR_EVER) ? until_ns : last_ns;
    return timer < until_ns && !TACIT_BUG(TIMER_WHILE_ABSENT) ? until_ns : timer;
}

// The shortest timer: as configured, but no leader is given up before what all others have to say
// is given up, for one round of a slot and then the other.
static tacit_time_ns_t shortest_ns(const struct tacit_smr *smr)
{
    tacit_time_ns_t rounds_ns = ROUNDS_IN_TIME * tacit_agree_patience_ns(smr->byzantine.agree);
    tacit_time_ns_t least_ns = smr->config.byzantine.view_timeout_ns;
    return rounds_ns > least_ns && !TACIT_BUG(TIMER_BELOW_PATIENCE) ? rounds_ns : least_ns;
}

// Something is executed. The timer, which each view left has doubled, shrinks with progress,
// slowly: the signed slow path may need longer than the shortest one. It does not while requests
// take a good part of it, or a group on slow machines would leave view after view, each just before
// the next one's time; but a leader that delays each request on purpose gains little by that.
void tacit_smr_view_progress(struct tacit_smr *smr, tacit_time_ns_t since_ns)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    tacit_time_ns_t least_ns = shortest_ns(smr);
    tacit_time_ns_t waited_ns = since_ns < smr->now_ns ? smr->now_ns - since_ns : 0;
    tacit_time_ns_t shorter_ns = byzantine->timer_ns - byzantine->timer_ns / 8;
    bool holds = waited_ns > byzantine->timer_ns / WAITED_PART &&
                 byzantine->timer_ns <= HELD_TIMES * least_ns && !TACIT_BUG(TIMER_NOT_HELD);
    if (!holds) {
        byzantine->timer_ns = shorter_ns > least_ns ? shorter_ns : least_ns;
    }
}

void tacit_smr_watch_leader(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    struct tacit_agree_report report;
    note_quorum(smr);
    note_owed(smr);
    tacit_agree_gone(byzantine->agree, byzantine->dead);
    tacit_requests_gone(byzantine->requests, byzantine->dead);
    if (byzantine->quorum_ns == UINT64_MAX) {
        return;
    }
    if (tacit_smr_view_timer(smr) <= smr->now_ns) {
        tacit_agree_suspect(byzantine->agree);
        return;
    }
    if (byzantine->dead != 0) {
        tacit_agree_status(byzantine->agree, &report);
        if ((byzantine->dead & 1u << report.leader) != 0) {
            tacit_agree_suspect(byzantine->agree);
        }
    }
}
