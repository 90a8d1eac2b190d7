// SPDX-License-Identifier: Apache-2.0
//
// The page (a small file, mapped by both) through which `tacit` switches the attack of a process
// while it runs, and the process tells what it did. The page is there before the process starts; a
// replica without one is honest.
#ifndef TACIT_TESTS_ATTACK_PAGE_H
#define TACIT_TESTS_ATTACK_PAGE_H

#include <stdatomic.h>

#include "adversary/adversary.h"

#define ATTACK_PAGE_MAGIC UINT64_C(0x31656761706b7461) // "atkpage1"

struct attack_page {
    uint64_t magic;
    _Atomic uint32_t attack;   // index of attacks.h, written by `tacit`
    _Atomic uint32_t lied;     // it has attacked since the page was made
    _Atomic uint32_t has_died; // of a failed assertion or a fault of its own; mute since then
    _Atomic uint64_t muted;    // writes that were kept back
    _Atomic uint64_t done[ADVERSARY_ATTACKS];
};

#endif
