// SPDX-License-Identifier: Apache-2.0
//
// How fast a replica in Byzantine mode goes: when a leader begins a slot, and which turns have
// nothing to do. None of it is needed for safety; together it keeps a group whose processors are
// busy from being kept busier by itself.
#include "../base/bug.h"
#include "internal.h"

#define MORE_FOR_EACH 8u // sessions that wait, for each slot under way
#define UNTENDED_MOST 8u // turns in a row that only do what others wait for
#define LULL_PART 32u    // of the shortest wait for others: so long what is late can wait
#define LATE_IDS 24u     // a receiver that is so much behind does not follow in time
#define GATHER_PART 4u   // of what the slot before took: so long others are waited for at most

// A slot costs all replicas about as much with one request in it as with dozens. So the first one
// goes at once, and the more are under way, the more sessions have to wait before another is begun:
// those that came meanwhile go together when one is decided.
bool tacit_smr_pace_is_worth_a_slot(const struct tacit_smr *smr)
{
    const struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    uint64_t under_way = tacit_agree_under_way(byzantine->agree);
    uint32_t waiting = tacit_requests_proposals(byzantine->requests);
    return waiting >= smr->config.batch_requests || waiting > MORE_FOR_EACH * under_way ||
           TACIT_BUG(BATCHES_DO_NOT_GROW);
}

void tacit_smr_pace_begun(struct tacit_smr *smr, uint32_t sessions)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    bool is_first = tacit_agree_under_way(byzantine->agree) <= 1;
    byzantine->sessions = sessions + (is_first ? 0 : byzantine->sessions);
    byzantine->proposed_ns = smr->now_ns;
}

// A slot that takes signatures takes as long for one session as for all. If it is begun for the
// first one that comes back, the others miss it and have to wait for it: there are two groups then,
// each served in every other slot only. So those that were served are waited for a little.
bool tacit_smr_pace_is_gathering(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    uint32_t waiting = tacit_requests_proposals(byzantine->requests);
    byzantine->is_gathering = false;
    if (tacit_agree_under_way(byzantine->agree) > 0 || !tacit_agree_is_slow(byzantine->agree) ||
        TACIT_BUG(SLOW_SLOT_FOR_FIRST)) {
        return false;
    }
    if (byzantine->sessions > 0) { // its slots were decided just now
        tacit_time_ns_t wait_ns = (smr->now_ns - byzantine->proposed_ns) / GATHER_PART;
        tacit_time_ns_t most_ns = smr->config.byzantine.slow_after_ns;
        byzantine->gather_sessions = byzantine->sessions + waiting;
        byzantine->gather_until_ns = smr->now_ns + (wait_ns < most_ns ? wait_ns : most_ns);
        byzantine->sessions = 0;
    }
    byzantine->is_gathering = waiting < byzantine->gather_sessions &&
                              waiting < smr->config.batch_requests &&
                              smr->now_ns < byzantine->gather_until_ns;
    return byzantine->is_gathering;
}

// Whether there is to be a slot now. Who is waited for is settled in the turn of the decision,
// before anybody who was served is back: later, who is back would be taken for one more.
bool tacit_smr_pace_may_begin(struct tacit_smr *smr)
{
    bool is_counted_late = TACIT_BUG(BACK_COUNTED_TWICE) && !tacit_smr_pace_is_worth_a_slot(smr);
    return !is_counted_late && !tacit_smr_pace_is_gathering(smr) &&
           tacit_smr_pace_is_worth_a_slot(smr);
}

// A replica that was without a processor for a while, and that the others did not wait for, has
// more to do than they have until it is where they are: it looks at their signatures. If they go on
// as fast as they can, it never gets there, and each slot costs all of them signatures, for good.
// So while somebody follows who is late, a leader begins one slot at a time, with a pause before
// it.
bool tacit_smr_pace_is_held(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    tacit_time_ns_t pause_ns = smr->config.byzantine.slow_after_ns;
    tacit_time_ns_t patience_ns = TACIT_PATIENCE_TIMES * pause_ns;
    tacit_time_ns_t since_ns = smr->now_ns > patience_ns ? smr->now_ns - patience_ns : 0;
    bool is_late =
        tacit_ctb_late_by(byzantine->ctb, since_ns) > LATE_IDS && !TACIT_BUG(LATE_LEFT_BEHIND);
    byzantine->is_held = is_late && (tacit_agree_under_way(byzantine->agree) > 0 ||
                                     smr->now_ns < byzantine->proposed_ns + pause_ns);
    return byzantine->is_held;
}

// The parts that nobody waits for have waited for long enough.
static bool is_due(const struct tacit_smr *smr)
{
    return smr->byzantine.tend_due || smr->byzantine.untended >= UNTENDED_MOST;
}

// ... or have time: the last word on a slot that is under way is fresh.
static bool may_wait(const struct tacit_smr *smr)
{
    const struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    return !is_due(smr) && smr->now_ns < byzantine->lull_until_ns &&
           tacit_agree_awaits_others(byzantine->agree) && !tacit_agree_is_slow(byzantine->agree) &&
           !TACIT_BUG(LULL_IS_TENDED);
}

// What is late and what is to be said again has time until nothing comes, but not for ever: who is
// never idle, or is kept busy by others, has timers, too. Nor does it begin while a slot is under
// way and the last word on it is fresh: the next one is most likely on its way, and would wait.
// (Where slots take signatures, there is always something to look after.)
bool tacit_smr_pace_is_to_tend(struct tacit_smr *smr, bool heard)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    byzantine->is_lull = false;
    if (heard) {
        byzantine->lull_until_ns = smr->now_ns + smr->config.byzantine.slow_after_ns / LULL_PART;
    }
    if (heard && (!is_due(smr) || TACIT_BUG(BUSY_LEFT_UNTENDED))) {
        byzantine->untended++;
        return false;
    }
    byzantine->is_lull = !heard && may_wait(smr);
    if (byzantine->is_lull) {
        return false;
    }
    byzantine->untended = 0;
    byzantine->tend_due = false;
    return true;
}

// All that was here was heard and executed: the next turn would find nothing but the lull.
bool tacit_smr_pace_is_lull_next(const struct tacit_smr *smr)
{
    return may_wait(smr) && tacit_agree_has_executed(smr->byzantine.agree);
}

// Nothing came since a whole turn found nothing to do: another one would not, either. Who waits
// without sleeping takes such turns most of the time, often on a processor that others wait for.
bool tacit_smr_pace_is_quiet(const struct tacit_smr *smr)
{
    const struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    return byzantine->is_quiet && smr->now_ns < byzantine->quiet_until_ns &&
           !tacit_links_has_news(byzantine->links) &&
           (!tacit_agree_has_news(byzantine->agree) || TACIT_BUG(QUIET_OVERLOOKS_VOTES)) &&
           !tacit_smr_clients_have_news(smr) && !TACIT_BUG(IDLE_TURN_WHOLE);
}
