// SPDX-License-Identifier: Apache-2.0
//
// How threads wait that work in turns on one another's answers: replicas (runner.c), clients
// (client/channel.c), and what they are compared with (cli/bench_skeleton.c).
//
// On a machine with fewer processors than threads that a request waits for (Byzantine mode awaits
// every replica's answer) who spins keeps a processor from whom it waits for, and who sleeps at
// once costs a wake-up of some 10 us in every round. Best is to give way after each look that found
// nothing, and to sleep only when many of them did (p50 of a request with three replicas and a
// client on two processors: asleep at once 150 us, giving way first 16 to 35 us). A leader in crash
// mode awaits nobody's thread but its clients': it looks on a little before it gives way, and gives
// way before it sleeps (a gateway and its load on the same two processors: a sixth more commands).
#ifndef TACIT_APPS_LIB_WAITING_H
#define TACIT_APPS_LIB_WAITING_H

#include <stdbool.h>
#include <unistd.h>

// Looks that give way before a sleep, where processors are scarce. Few: whoever gives way to a
// thread that does not is behind it for a slice.
#define TACIT_WAITING_YIELDS 32u
// Looks of a leader in crash mode before it gives way there: what a client that waits for nothing
// else sends next comes within them.
#define TACIT_WAITING_LOOKS_AHEAD 16u

// Whether a machine has fewer processors than threads that one request keeps busy: all replicas and
// the client.
static inline bool tacit_waiting_is_crowded_on(long processors, unsigned replicas)
{
    return processors < (long)replicas + 1;
}

static inline bool tacit_waiting_is_crowded(unsigned replicas)
{
    return tacit_waiting_is_crowded_on(sysconf(_SC_NPROCESSORS_ONLN), replicas);
}

// Looks of a replica before it first gives way on a crowded machine.
static inline unsigned tacit_waiting_looks(bool awaits_all)
{
    return awaits_all ? 0 : TACIT_WAITING_LOOKS_AHEAD;
}

// What a replica does after `idle` looks in a row that found nothing, of at most `budget`.
enum tacit_waiting_step { TACIT_WAITING_LOOK, TACIT_WAITING_GIVE_WAY, TACIT_WAITING_SLEEP };
static inline enum tacit_waiting_step tacit_waiting_next(bool is_crowded, unsigned looks,
                                                         unsigned idle, unsigned budget)
{
    if (idle >= budget) {
        return TACIT_WAITING_SLEEP;
    }
    return is_crowded && idle > looks ? TACIT_WAITING_GIVE_WAY : TACIT_WAITING_LOOK;
}

// ... and how many there may be on a crowded machine, of `budget` on another.
static inline unsigned tacit_waiting_budget(unsigned looks, unsigned budget)
{
    unsigned most = looks + TACIT_WAITING_YIELDS;
    return budget < most ? budget : most;
}

#endif
