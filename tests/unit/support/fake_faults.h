// SPDX-License-Identifier: Apache-2.0
//
// A fake fabric in trouble: hosts die and come back, nothing arrives for a while, the queue is
// full, and what arrives does so in any order and in pieces. All drawn.
#ifndef TACIT_TESTS_UNIT_FAKE_FAULTS_H
#define TACIT_TESTS_UNIT_FAKE_FAULTS_H

#include "choice/choice.h"
#include "unit/support/fake_fabric.h"

struct fake_faults {
    uint32_t one_in; // turns, for each kind of fault
    uint32_t hung;   // turns for which nothing arrives
    uint64_t deaths;
};

static inline void fake_land_all(struct fake_fabric *fake)
{
    while (fake->op_count > 0) {
        fake_land(fake, 0, UINT32_MAX);
    }
}

static inline void fake_land_some(struct fake_fabric *fake, struct choice *choice)
{
    for (uint32_t i = choice_u32(choice, 12); i > 0 && fake->op_count > 0; i--) {
        uint32_t index = choice_u32(choice, fake->op_count);
        bool all = choice_u32(choice, 3) != 0;
        fake_land(fake, index, all ? UINT32_MAX : choice_u32(choice, 300));
    }
}

// One turn for the hosts 0 .. hosts-1. `up` has a bit for each that is connected again.
static inline void fake_trouble(struct fake_fabric *fake, struct choice *choice, uint32_t hosts,
                                struct fake_faults *faults, uint32_t *up)
{
    uint32_t host = choice_u32(choice, hosts);
    uint32_t fault = choice_u32(choice, faults->one_in);
    if (fault == 0 && fake->host[host].up) {
        fake_down(fake, (tacit_node_t)host, true);
        faults->deaths++;
    } else if (fault == 1 && faults->hung == 0) {
        faults->hung = 60 + choice_u32(choice, 80);
    } else if (fault == 2) {
        fake->refuse = choice_u32(choice, 4);
    }
    if (!fake->host[host].up && choice_u32(choice, 10) == 0) {
        fake->host[host].up = true;
        *up |= 1u << host;
    }
    if (faults->hung > 0) {
        faults->hung--;
    } else {
        fake_land_some(fake, choice);
    }
}

// All of them are there from now on. Returns how often a connection was reset.
static inline uint64_t fake_mend(struct fake_fabric *fake, uint32_t hosts, uint32_t *up)
{
    uint64_t resets = 0;
    for (uint32_t host = 0; host < hosts; host++) {
        resets += fake->host[host].resets;
        fake->host[host].up = true;
        *up |= 1u << host;
    }
    return resets;
}

#endif
