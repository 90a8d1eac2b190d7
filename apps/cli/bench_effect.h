// SPDX-License-Identifier: Apache-2.0
//
// Whether a fault that a benchmark made had an effect: an attack that reaches nobody would be borne
// without any trouble. What the liar itself counts says that it did something, what the correct
// replicas count that they met it.
#ifndef TACIT_APPS_CLI_BENCH_EFFECT_H
#define TACIT_APPS_CLI_BENCH_EFFECT_H

#include "local.h"

enum effect {
    EFFECT_DONE = 0, // by the liar: writes kept back, or lies
    EFFECT_SIGNED,   // slots decided by signatures; this and the next by the correct replicas
    EFFECT_REFUSED,  // malformed messages and bad signatures
    EFFECT_PROVEN,   // replicas that have a proof against it
    EFFECT_VIEWS,    // views left
    EFFECT_GONE,     // replicas that have lost the faulty replica, or memory node
    EFFECTS
};

struct effect_counts {
    uint64_t count[EFFECTS];
};

// All that can be asked while `faulty` is: it is not asked itself.
struct effect_counts effect_count(const struct local *local, struct local_node faulty);
// What has to grow for a fault of that name to have been one, as bits of which one is enough;
// `needs_done`: EFFECT_DONE besides. 0: it may pass unnoticed by design.
uint32_t effect_expected(const char *fault, bool *needs_done);
// NULL, or what is missing.
const char *effect_missing(const char *fault, const struct effect_counts *before,
                           const struct effect_counts *after);
const char *effect_name(enum effect effect);

// What is known, of a leader that was hit at `fault_ns`, of who leads after it. `led_ns`: since
// when another one does, 0: none does.
enum effect_successor {
    EFFECT_NO_SUCCESSOR = 0, // (yet)
    EFFECT_SUCCESSOR,
    EFFECT_LED_BEFORE, // another one led already: the fault came too late to be one of a leader
};
// To lead before the fault may be what a replica still believes that another one has just
// succeeded: so it is believed when `now_ns` is long after it.
enum effect_successor effect_successor(uint64_t led_ns, uint64_t fault_ns, uint64_t now_ns);
#define EFFECT_LATE_NS UINT64_C(300000000) // long
// Whether so many faults of who led no more say that leaders change by themselves.
bool effect_is_late_too_often(uint64_t late, uint64_t done);

#endif
