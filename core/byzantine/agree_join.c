// SPDX-License-Identifier: Apache-2.0
//
// When a view is left because of what the others have sealed: f+1 of them always, one alone for few
// reasons and ever more rarely, since it may lie. README.md, sections "view change" and "waiting".
#include "agree_internal.h"

#define HELP_DOUBLINGS 10u
#define PASSED_OVER_PATIENCE 4u // what was passed over may yet be decided by the votes of others

// How long nothing was decided before another one's SEAL_VIEW counts: twice as long after each view
// that was left for that, half as long after each decision. Otherwise one liar that seals every
// view would take each from its leader before the signed path can decide in it; and were one
// decision to undo all doublings, it would take the next views, too, half a dozen for each slot.
// Never before what all others have to say is given up, for one round of a slot and then the other.
static bool is_idle(const struct tacit_agree *a, uint32_t times)
{
    tacit_time_ns_t since = a->progress_ns > a->waiting_ns ? a->progress_ns : a->waiting_ns;
    tacit_time_ns_t rounds_ns = 2 * tacit_agree_patience_ns(a);
    tacit_time_ns_t after_ns =
        rounds_ns > a->config.join_after_ns ? rounds_ns : a->config.join_after_ns;
    return a->now_ns - since >= times * (after_ns << a->helped);
}

// A replica that sealed this view lacks a slot that was decided here and that no certified
// checkpoint covers: nobody can prove the decision to it, so it can only be decided again, in a
// later view. A liar can make an idle group change views, ever more rarely, and a busy one not at
// all.
static bool is_needed(const struct tacit_agree *a)
{
    if (!is_idle(a, 1)) {
        return false;
    }
    for (tacit_node_t r = 0; r < a->config.replicas; r++) {
        if (a->streams[r].view > a->view && a->lacks[r] >= a->base && a->lacks[r] < a->undecided) {
            return true;
        }
    }
    return false;
}

// A replica whose newest SEAL_VIEW was not followed yet: each entitles to one move.
static tacit_node_t one_ahead(const struct tacit_agree *a)
{
    for (tacit_node_t r = 0; r < a->config.replicas; r++) {
        if (r != a->config.self && a->streams[r].view > a->view &&
            a->streams[r].view > a->joined[r]) {
            return r;
        }
    }
    return TACIT_NODE_NONE;
}

static void help(struct tacit_agree *a)
{
    a->helped += a->helped < HELP_DOUBLINGS;
    tacit_view_seal(a, a->view);
}

static void follow(struct tacit_agree *a, tacit_node_t r)
{
    a->joined[r] = a->streams[r].view; // it may name any view: one move, to the next
    help(a);
}

// Whether f+1 replicas have come to the present view, and since when: before that no timer runs in
// it, so that without liars no replica is more than a view ahead of all others. With f liars ahead
// a correct one is among its f+1 itself. It still takes the other correct ones along: with it f+1
// are in its view, and that moves them at once (join()); only messages and a timer are between
// them.
static void gather(struct tacit_agree *a)
{
    uint32_t here = 0;
    for (tacit_node_t r = 0; r < a->config.replicas; r++) {
        here += a->streams[r].view >= a->view;
    }
    if (a->gathered_ns == UINT64_MAX && here > a->f) {
        a->gathered_ns = a->now_ns;
    }
}

// The lowest undecided slot was proposed in this view at an id that a summary passed over: the
// PREPARE will never be delivered here, so this replica can neither CERTIFY nor COMMIT it. Whoever
// decided it may have nothing more to do, and then nobody's timer runs: only a later view, in which
// it is proposed again, brings it here.
static bool is_passed_over(const struct tacit_agree *a)
{
    uint64_t s = a->undecided;
    const struct tacit_stream *leader = &a->streams[tacit_leader_of(a, a->view)];
    const struct tacit_slot *slot = &a->slots[s % (2ull * a->config.window)];
    bool was_proposed = tacit_stream_in_window(leader, s) && leader->view == a->view &&
                        leader->used[s % leader->window] == s + 1;
    bool is_here = slot->slot == s && (slot->decided || (slot->delivered && slot->view == a->view));
    return s < a->seen && was_proposed && !is_here && !TACIT_BUG(PASSED_OVER_STAYS);
}

// One left the view alone, perhaps for no good reason, and cannot come back into it: without its
// ACK each slot costs signatures, as long as the others make progress, and they need not stop for
// its sake. A later view ends that. A liar gains few views by it, ever more rarely.
static bool is_missed(const struct tacit_agree *a, uint32_t run)
{
    return run >= TACIT_SLOW_RUN << a->fetched_back && a->gathered_ns != UINT64_MAX &&
           one_ahead(a) != TACIT_NODE_NONE && !TACIT_BUG(LONE_NEVER_FOLLOWED);
}

// Proven faulty, or what it proposes only some can read: no view that it leads is worth being in.
static bool is_found_out(const struct tacit_agree *a, tacit_node_t r)
{
    return tacit_ctb_is_condemned(a->ctb, r) ||
           (tacit_ctb_is_malformed(a->ctb, r) && !TACIT_BUG(MALFORMED_LEADS));
}

// The view to go to for its sake: the next one that is led by one of those whose COMMITs decided of
// late. If another one is slow, or lies, everybody would wait there for a whole timer; if it is
// not, it can answer in that view as well. A view of one who was found out, or has died, since then
// would be left at once; so it is not entered. The next one is not chosen anew: all who know, and
// who left that view already, meet there, whatever they know of who decided.
static uint64_t view_to_meet(const struct tacit_agree *a)
{
    uint64_t view = a->view + 1;
    uint32_t i = 1;
    for (; i < a->config.replicas && !TACIT_BUG(LONE_LEADS) &&
           (a->deciders >> tacit_leader_of(a, view) & 1) == 0;
         i++) {
        view++;
    }
    for (; i < a->config.replicas && !TACIT_BUG(FOUND_OUT_MET); i++, view++) {
        tacit_node_t leader = tacit_leader_of(a, view);
        if ((a->gone >> leader & 1) == 0 && !is_found_out(a, leader)) {
            break;
        }
    }
    return view;
}

static void note_fetched_back(struct tacit_agree *a)
{
    a->fetched_back += a->fetched_back < TACIT_SLOW_RUN_DOUBLINGS;
    a->slow_run = 0;
}

// Views that f+1 others have sealed are left; one of these is correct.
static void join(struct tacit_agree *a)
{
    uint64_t best = 0;
    for (tacit_node_t r = 0; r < a->config.replicas; r++) {
        uint64_t view = a->streams[r].view;
        uint32_t reached = 0;
        if (view <= a->view) { // of no use, and so it is in nearly every turn
            continue;
        }
        for (tacit_node_t other = 0; other < a->config.replicas; other++) {
            reached += other != a->config.self && a->streams[other].view >= view;
        }
        if (r != a->config.self && reached > a->f && view > best) {
            best = view;
        }
    }
    if (best > a->view) {
        // The view that this replica was about to call for: else each of them would call for one.
        if (is_missed(a, 2 * a->slow_run) && !TACIT_BUG(EACH_FETCHES_BACK)) {
            note_fetched_back(a);
            uint64_t view = view_to_meet(a);
            best = view > best ? view : best;
        }
        tacit_view_seal(a, best - 1);
        return;
    }
    if (is_missed(a, a->slow_run)) {
        note_fetched_back(a);
        tacit_mark(&a->marker, TACIT_MARK_SEAL_FETCHED_BACK);
        tacit_node_t lone = one_ahead(a);
        a->joined[lone] = a->streams[lone].view;
        tacit_view_seal(a, view_to_meet(a) - 1);
        return;
    }
    // One alone moves a replica that makes progress for no other reason.
    bool waits = a->seen > a->undecided || a->calls.is_obliged(a->calls.context);
    if (!waits) {
        a->waiting_ns = 0;
    } else if (a->waiting_ns == 0) {
        a->waiting_ns = a->now_ns;
    }
    if (!is_idle(a, 1)) {
        return;
    }
    if (waits && is_passed_over(a) && is_idle(a, PASSED_OVER_PATIENCE) &&
        a->gathered_ns != UINT64_MAX) {
        tacit_mark(&a->marker, TACIT_MARK_SEAL_PASSED_OVER);
        help(a);
        return;
    }
    tacit_node_t r = one_ahead(a);
    if (r == TACIT_NODE_NONE) {
        return;
    }
    if (waits) {
        tacit_mark(&a->marker, TACIT_MARK_SEAL_JOINED);
        follow(a, r);
    } else if (is_needed(a)) {
        tacit_mark(&a->marker, TACIT_MARK_SEAL_HELPED);
        follow(a, r);
    }
}

// Whoever leads this view will never propose in it: it is proven faulty, or has sealed the view
// itself. To wait for a timer would keep all clients waiting. Or it proposes, but so that only some
// can read it: each slot would take all waits, and no timer would fire, since there is progress.
static bool is_led_by_nobody(const struct tacit_agree *a)
{
    tacit_node_t leader = tacit_leader_of(a, a->view);
    return is_found_out(a, leader) ||
           (a->streams[leader].view > a->view && !TACIT_BUG(LEADER_AHEAD_WAITED_FOR));
}

void tacit_view_follow(struct tacit_agree *a)
{
    gather(a);
    join(a);
    if (is_led_by_nobody(a)) {
        tacit_agree_suspect(a);
    }
}
