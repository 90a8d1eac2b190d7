// SPDX-License-Identifier: Apache-2.0
//
// When the machine stood still: a processor that a hypervisor does not run, or that its kernel
// keeps for itself, serves nobody, whatever the program under test does. Seen as jHiccup sees it: a
// thread on each processor, before which no other program comes, sleeps to a time given beforehand;
// what it wakes late is a stall of that processor. It says nothing of processors that another
// program takes: that is what is measured.
#ifndef TACIT_APPS_CLI_BENCH_STALLS_H
#define TACIT_APPS_CLI_BENCH_STALLS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STALLS_LIST_MAX 1024u

struct stall {
    uint64_t begin_ns, end_ns; // cli_now_ns()
};

// In order and apart from each other: what stalls_unite() made.
struct stall_list {
    size_t count;
    struct stall stalls[STALLS_LIST_MAX];
};

struct stalls;

// Watches all processors that this process may run on until stalls_free(). Where no thread may come
// before other programs (that takes root or CAP_SYS_NICE) nothing is measured, and the report says
// so. NULL: no memory.
struct stalls *stalls_watch(void);
void stalls_free(struct stalls *stalls);

// Stalls of any processor that are over and overlap from_ns .. to_ns, of the last few seconds.
// Empty where nothing is measured; of very many some may be left out.
void stalls_between(const struct stalls *stalls, uint64_t from_ns, uint64_t to_ns,
                    struct stall_list *list);
// Time within from_ns .. to_ns in which some processor stood still, and the longest stall in it.
uint64_t stalls_overlap(const struct stall_list *list, uint64_t from_ns, uint64_t to_ns);
uint64_t stalls_longest(const struct stall_list *list, uint64_t from_ns, uint64_t to_ns);
// Sorts, and makes one of those that overlap or touch.
void stalls_unite(struct stall_list *list);

// Time that a hypervisor says it took from all processors since the machine started, in the steps
// of /proc/stat (10 ms as a rule); 0 where it says nothing.
uint64_t stalls_stolen_ns(void);
bool stalls_are_measured(const struct stalls *stalls);
// Prints what was seen in all, and adds it to `results` as "machine".
void stalls_report(const struct stalls *stalls, json_t *results);

#endif
