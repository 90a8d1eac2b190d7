// SPDX-License-Identifier: Apache-2.0
//
// See runner.h.
#include "runner.h"

#include <sched.h>

#include "signer.h"
#include "waiting.h"

#define PUBLISH_NS 2000000u       // while there is work
#define PUBLISH_IDLE_NS 20000000u // it looks at every session
// Turns without work before sleeping: after a burst of work, and after a wake-up by the clock
// alone, which mostly means a beat and nothing else to do.
#define TURNS_BUSY 200u
#define TURNS_TIMER 1u
#define BUSY_STREAK 32u // working turns in a row that make a burst
// Turns that are this far apart were interrupted: somebody else wants this processor. For a while
// after it the thread sleeps soon instead of spinning. (sched_yield is no way to share: Linux takes
// a whole time slice from whoever yields, so that after a few of them the thread is not run for
// milliseconds, just when its leader dies.)
#define TORN_NS 20000u
#define SHARED_NS 300000u
#define TURNS_SHARED 16u
#define SLEEP_MAX_NS 50000000u
// A sleep that may be this long is made longer by as much, so that timers that are close to each
// other end one sleep and not several. Shorter ones are somebody's time-out. Well below a beat
// period, see tacit/fd.h.
#define SLACK_NS 250000u
// While nothing happens no sleep is shorter: half of the shortest time-out that there is.
#define NAP_NS 100000u

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("" ::: "memory");
#endif
}

static bool differs(const struct tacit_status_report *a, const struct tacit_status_report *b)
{
    return a->role != b->role || a->leader != b->leader || a->trusted != b->trusted ||
           a->up != b->up || a->memnodes_up != b->memnodes_up || a->waiting != b->waiting ||
           a->state_transfers != b->state_transfers || a->view != b->view || a->epoch != b->epoch ||
           a->term != b->term || a->view_entered != b->view_entered || a->condemned != b->condemned;
}

static void publish(struct tacit_runner *runner, tacit_time_ns_t now_ns)
{
    struct tacit_published value = {.published_ns = now_ns,
                                    .turns = runner->turns,
                                    .sleeps = runner->sleeps,
                                    .rung = runner->rung};
    runner->published_ns = now_ns;
    tacit_smr_view_show(runner->smr);
    runner->view_sequence = runner->view_words->sequence;
    tacit_smr_status(runner->smr, &value.report);
    if (runner->fd != NULL) {
        value.detector = *tacit_fd_counters(runner->fd);
        for (tacit_node_t r = 0; r < TACIT_REPLICAS_MAX; r++) {
            value.scores[r] = tacit_fd_score(runner->fd, r);
        }
    }
    bool changed = differs(&value.report, &runner->last.report);
    tacit_publish(runner->publisher, &value);
    runner->last = value;
    if (changed && runner->changed != NULL) {
        runner->changed(runner->context);
    }
    runner->is_unsettled = runner->is_unsettled || changed;
    if (runner->is_over != NULL && runner->is_over(runner->context, &value.report, now_ns)) {
        atomic_store(&runner->stop, true);
    }
}

static void settle(struct tacit_runner *runner)
{
    if (runner->is_unsettled && runner->settled != NULL) {
        runner->settled(runner->context);
    }
    runner->is_unsettled = false;
}

static bool turn(struct tacit_runner *runner)
{
    tacit_time_ns_t now_ns = runner->now_ns();
    bool worked = tacit_smr_poll(runner->smr, now_ns);
    runner->turns++;
    if (now_ns - runner->turned_ns > TORN_NS) {
        runner->shared_until_ns = now_ns + SHARED_NS;
    }
    runner->turned_ns = now_ns;
    bool is_due = now_ns - runner->published_ns >= (runner->is_calm ? PUBLISH_IDLE_NS : PUBLISH_NS);
    if (is_due || runner->view_words->sequence != runner->view_sequence) {
        publish(runner, now_ns);
    }
    if (is_due) {
        settle(runner);
    }
    return worked;
}

static bool stopping(struct tacit_runner *runner)
{
    return atomic_load_explicit(&runner->stop, memory_order_relaxed);
}

// Sleeps until rung or due; returns the turns without work that are granted after it.
static unsigned sleep_once(struct tacit_runner *runner)
{
    const struct tacit_fabric_ops *ops = runner->fabric->ops;
    unsigned budget = runner->is_calm ? TURNS_TIMER : TURNS_BUSY;
    ops->arm(runner->fabric);
    if (!turn(runner) && !stopping(runner)) {
        if (runner->signer != NULL) {
            tacit_signer_pool_busy(runner->signer, true); // that turn may have submitted something
        }
        if (!tacit_smr_is_electing(runner->smr) && !tacit_smr_is_unsettled(runner->smr)) {
            settle(runner);
        }
        tacit_time_ns_t now_ns = runner->now_ns();
        tacit_time_ns_t until_ns = now_ns + SLEEP_MAX_NS;
        tacit_time_ns_t deadline_ns = tacit_smr_deadline(runner->smr);
        until_ns = deadline_ns < until_ns ? deadline_ns : until_ns;
        if (until_ns > now_ns + SLACK_NS) {
            until_ns += SLACK_NS;
        } else if (runner->is_calm && until_ns < now_ns + NAP_NS &&
                   !tacit_smr_is_electing(runner->smr)) {
            until_ns = now_ns + NAP_NS;
        }
        ops->sleep(runner->fabric, until_ns);
        runner->sleeps++;
        runner->turned_ns = runner->now_ns();
        if (runner->turned_ns >= until_ns) {
            budget = TURNS_TIMER;
        } else {
            budget = TURNS_BUSY;
            runner->rung++;
        }
        runner->is_calm = budget == TURNS_TIMER;
    }
    ops->disarm(runner->fabric);
    return budget;
}

static unsigned turns_before_sleep(const struct tacit_runner *runner, unsigned budget)
{
    if (!tacit_smr_is_hot(runner->smr)) {
        return TURNS_TIMER;
    }
    if (runner->signer != NULL && tacit_smr_is_signing(runner->smr)) {
        return TURNS_BUSY;
    }
    bool is_unsettled = tacit_smr_is_unsettled(runner->smr);
    if (runner->is_crowded && !is_unsettled) { // a timer alone is no reason to expect more
        return tacit_waiting_budget(runner->looks, budget);
    }
    bool is_shared = runner->turned_ns < runner->shared_until_ns || is_unsettled;
    return is_shared && budget > TURNS_SHARED ? TURNS_SHARED : budget;
}

// A turn, and if it found nothing to do, a signature that is due. Whether there was anything.
static bool turn_or_sign(struct tacit_runner *runner)
{
    bool worked = turn(runner);
    if (runner->signer == NULL) {
        return worked;
    }
    if (worked) {
        tacit_signer_pool_busy(runner->signer, false);
    } else if (tacit_signer_pool_help(runner->signer)) {
        runner->turned_ns = runner->now_ns(); // nobody has interrupted this thread
        return true;
    }
    return worked;
}

static void run_adaptive(struct tacit_runner *runner)
{
    if (runner->signer != NULL) {
        tacit_signer_pool_will_help(runner->signer);
    }
    unsigned budget = TURNS_BUSY;
    unsigned idle = 0;
    unsigned streak = 0;
    while (!stopping(runner)) {
        if (turn_or_sign(runner)) {
            idle = 0;
            if (++streak >= BUSY_STREAK) {
                budget = TURNS_BUSY;
                runner->is_calm = false;
            }
            continue;
        }
        streak = 0;
        idle++;
        switch (tacit_waiting_next(runner->is_crowded, runner->looks, idle,
                                   turns_before_sleep(runner, budget))) {
        case TACIT_WAITING_SLEEP:
            budget = sleep_once(runner);
            idle = 0;
            break;
        case TACIT_WAITING_GIVE_WAY:
            (void)sched_yield();
            break;
        default:
            break;
        }
    }
}

void tacit_runner_run(struct tacit_runner *runner)
{
    publish(runner, runner->now_ns());
    if (runner->waiting == TACIT_CONFIG_ADAPTIVE) {
        run_adaptive(runner);
    } else {
        while (!stopping(runner)) {
            if (!turn(runner)) {
                if (runner->waiting == TACIT_CONFIG_YIELD) {
                    (void)sched_yield();
                } else {
                    relax();
                }
            }
        }
    }
    publish(runner, runner->now_ns());
    settle(runner);
}
