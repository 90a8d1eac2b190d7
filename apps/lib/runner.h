// SPDX-License-Identifier: Apache-2.0
//
// The protocol thread's loop: poll, publish, wait. How to wait is the operator's choice:
//   spin      look again at once; needs a core of one's own
//   yield     give way between looks
//   adaptive  after work: some turns that give way now and then; then sleep until rung or due
// With fewer cores than processes plain spinning stalls everybody for scheduler ticks, and sleeping
// at once costs a wake-up for every hop; turns with a yield every few, then sleep, are near the
// best of both.
#ifndef TACIT_APPS_LIB_RUNNER_H
#define TACIT_APPS_LIB_RUNNER_H

#include "publish.h"
#include "tacit/config.h"
#include "tacit/smr.h"

struct tacit_signer;

struct tacit_runner {
    struct tacit_fabric *fabric;
    struct tacit_smr *smr;
    const struct tacit_view_words *view_words; // the replica's; a new view is published at once
    const struct tacit_fd *fd;
    enum tacit_config_waiting waiting;
    tacit_time_ns_t (*now_ns)(void); // the clock of the fabric's sleep()
    struct tacit_publisher *publisher;
    // Called when something that a person would want to know has changed (role, leader, who is
    // trusted).
    void (*changed)(void *context);
    // Called after it, once this thread has nothing better to do, and soon in any case: who is to
    // log that need not be woken while clients wait for the next leader.
    void (*settled)(void *context);
    // Asked with each report: whether this life of the replica is over, which ends the loop. NULL:
    // never.
    bool (*is_over)(void *context, const struct tacit_status_report *report,
                    tacit_time_ns_t now_ns);
    void *context;
    // More threads are awaited at a time than this machine has processors: who spins keeps one from
    // whom it waits for.
    bool is_crowded;
    unsigned looks; // then: turns without work before the first that gives way
    // Then, too: signatures are made and checked by this thread, when it has nothing else to do.
    // NULL: by others.
    struct tacit_signer *signer;
    atomic_bool stop; // ends the loop; whoever sets it also wakes the fabric

    // The loop's own.
    uint64_t turns, sleeps, rung;
    tacit_time_ns_t published_ns;
    tacit_time_ns_t turned_ns;       // when the last turn began, or the last sleep ended
    tacit_time_ns_t shared_until_ns; // others were seen to want this processor, so far back
    bool is_calm; // the last sleep ended by the clock and nothing much came after it
    struct tacit_published last;
    uint64_t view_sequence; // of the view that was published last
    bool is_unsettled;      // `changed` was called after `settled`
};

// Runs until `stop`. Calls nothing that allocates, blocks elsewhere than in sleep(), or writes
// files.
void tacit_runner_run(struct tacit_runner *runner);

#endif
