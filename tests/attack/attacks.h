// SPDX-License-Identifier: Apache-2.0
//
// The attacks of a real replica, by name: what each does, in terms of tests/adversary. Shared by
// the attacking process and by `tacit`, which lists and switches them.
#ifndef TACIT_TESTS_ATTACK_ATTACKS_H
#define TACIT_TESTS_ATTACK_ATTACKS_H

#include "adversary/adversary.h"

#define ATTACK_NONE 0u // the first: behaves

struct attack {
    const char *name, *text;
    uint32_t rate[ADVERSARY_ATTACKS]; // in 1/65536, where the attack could happen
    uint32_t pace_us; // mean time between actions of its own accord and changes of memory; 0: none
    uint32_t nap_us;  // rests before each turn
    bool mutes_all;   // nothing that it writes reaches anybody
    bool mutes_one;   // nothing reaches the replica after it
    bool corrupts;    // bits of its own memory change, anywhere; it may die of it
};

// attack_at(0 .. attack_count() - 1); their order is part of the page of a process (page.h).
uint32_t attack_count(void);
const struct attack *attack_at(uint32_t index);
// Index of a name; attack_count(): there is none.
uint32_t attack_find(const char *name);
// All names, separated by commas, for messages to people. Static memory; not thread-safe.
const char *attack_names(void);

#endif
