// SPDX-License-Identifier: Apache-2.0
//
// See bench_stalls.h.
#include "bench_stalls.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "cli.h"

#define PERIOD_NS UINT64_C(1000000)
#define LEAST_NS UINT64_C(1000000) // what is late by less is no stall
#define KEPT 1024u                 // last stalls of each processor
#define STACK_BYTES (128u * 1024)
#define TOUCHED_BYTES (16u * 1024) // of the stack, before anything is measured
#define RANK 60                    // above the kernel's own threads for interrupts

struct processor {
    struct stalls *of;
    pthread_t thread;
    _Atomic uint64_t begin_ns[KEPT], end_ns[KEPT];
    _Atomic uint64_t count, sum_ns, longest_ns; // of all; the last KEPT of `count` are kept
};

struct stalls {
    uint64_t started_ns, stolen_ns;
    atomic_bool ends;
    int error; // why nothing is measured
    size_t bytes;
    unsigned count; // processors that are watched
    struct processor processors[];
};

// ---- watching ----------------------------------------------------------------------------------

static void note(struct processor *processor, uint64_t begin_ns, uint64_t end_ns)
{
    uint64_t count = atomic_load_explicit(&processor->count, memory_order_relaxed);
    uint64_t sum_ns = atomic_load_explicit(&processor->sum_ns, memory_order_relaxed);
    atomic_store_explicit(&processor->begin_ns[count % KEPT], begin_ns, memory_order_relaxed);
    atomic_store_explicit(&processor->end_ns[count % KEPT], end_ns, memory_order_relaxed);
    atomic_store_explicit(&processor->sum_ns, sum_ns + end_ns - begin_ns, memory_order_relaxed);
    if (end_ns - begin_ns > atomic_load_explicit(&processor->longest_ns, memory_order_relaxed)) {
        atomic_store_explicit(&processor->longest_ns, end_ns - begin_ns, memory_order_relaxed);
    }
    atomic_store_explicit(&processor->count, count + 1, memory_order_release);
}

// A page that is not there yet would be a delay of this program's own making.
static void touch_stack(void)
{
    volatile uint8_t touched[TOUCHED_BYTES];
    for (size_t i = 0; i < sizeof touched; i += 512) {
        touched[i] = 0;
    }
}

static void *watch(void *context)
{
    struct processor *processor = context;
    touch_stack();
    uint64_t next_ns = cli_now_ns();
    while (!atomic_load_explicit(&processor->of->ends, memory_order_relaxed)) {
        next_ns += PERIOD_NS;
        struct timespec next = {(time_t)(next_ns / 1000000000u), (long)(next_ns % 1000000000u)};
        (void)clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &next, NULL);
        uint64_t now_ns = cli_now_ns();
        if (now_ns > next_ns + LEAST_NS) {
            note(processor, next_ns, now_ns);
            next_ns = now_ns;
        }
    }
    return NULL;
}

// On this processor, before all other programs from its first instruction on, or not at all.
static int start(struct processor *processor, size_t number)
{
    const struct sched_param rank = {.sched_priority = RANK};
    cpu_set_t only;
    pthread_attr_t how;
    CPU_ZERO(&only);
    CPU_SET(number, &only);
    int error = pthread_attr_init(&how);
    if (error != 0) {
        return error;
    }
    (void)pthread_attr_setinheritsched(&how, PTHREAD_EXPLICIT_SCHED);
    (void)pthread_attr_setschedpolicy(&how, SCHED_FIFO);
    (void)pthread_attr_setschedparam(&how, &rank);
    (void)pthread_attr_setstacksize(&how, STACK_BYTES);
    error = pthread_attr_setaffinity_np(&how, sizeof only, &only);
    if (error == 0) {
        error = pthread_create(&processor->thread, &how, watch, processor);
    }
    (void)pthread_attr_destroy(&how);
    return error;
}

static void end_all(struct stalls *stalls)
{
    atomic_store(&stalls->ends, true);
    for (unsigned p = 0; p < stalls->count; p++) {
        (void)pthread_join(stalls->processors[p].thread, NULL);
    }
    stalls->count = 0;
}

struct stalls *stalls_watch(void)
{
    cpu_set_t all;
    CPU_ZERO(&all);
    int error = sched_getaffinity(0, sizeof all, &all) != 0 ? errno : 0;
    size_t bytes = sizeof(struct stalls) + (size_t)CPU_COUNT(&all) * sizeof(struct processor);
    struct stalls *stalls = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (stalls == MAP_FAILED) {
        return NULL;
    }
    (void)mlock(stalls, bytes); // who may not is measured all the same: it is small and in use
    stalls->bytes = bytes;
    stalls->started_ns = cli_now_ns();
    stalls->stolen_ns = stalls_stolen_ns();
    for (size_t number = 0; number < CPU_SETSIZE && error == 0; number++) {
        if (CPU_ISSET(number, &all)) {
            struct processor *processor = &stalls->processors[stalls->count];
            processor->of = stalls;
            error = start(processor, number);
            stalls->count += error == 0;
        }
    }
    stalls->error = error;
    if (error != 0) { // a processor that is not watched would look as if it ran
        end_all(stalls);
    }
    return stalls;
}

void stalls_free(struct stalls *stalls)
{
    if (stalls != NULL) {
        end_all(stalls);
        (void)munmap(stalls, stalls->bytes);
    }
}

bool stalls_are_measured(const struct stalls *stalls)
{
    return stalls->count > 0;
}

uint64_t stalls_stolen_ns(void)
{
    char text[24];
    uint64_t steal = 0;
    FILE *file = fopen("/proc/stat", "re");
    if (file != NULL) {
        // user nice system idle iowait irq softirq steal
        if (fscanf(file, "cpu %*s %*s %*s %*s %*s %*s %*s %23s", text) != 1 ||
            !cli_number(text, 0, UINT64_MAX, &steal)) {
            steal = 0;
        }
        (void)fclose(file);
    }
    return steal * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

// ---- intervals ---------------------------------------------------------------------------------

static int by_begin(const void *left, const void *right)
{
    const struct stall *a = left;
    const struct stall *b = right;
    return a->begin_ns < b->begin_ns ? -1 : a->begin_ns > b->begin_ns;
}

void stalls_unite(struct stall_list *list)
{
    size_t kept = 0;
    qsort(list->stalls, list->count, sizeof list->stalls[0], by_begin);
    for (size_t i = 0; i < list->count; i++) {
        struct stall stall = list->stalls[i];
        if (kept == 0 || stall.begin_ns > list->stalls[kept - 1].end_ns) {
            list->stalls[kept++] = stall;
        } else if (stall.end_ns > list->stalls[kept - 1].end_ns) {
            list->stalls[kept - 1].end_ns = stall.end_ns;
        }
    }
    list->count = kept;
}

static uint64_t within(struct stall stall, uint64_t from_ns, uint64_t to_ns)
{
    uint64_t begin_ns = stall.begin_ns > from_ns ? stall.begin_ns : from_ns;
    uint64_t end_ns = stall.end_ns < to_ns ? stall.end_ns : to_ns;
    return end_ns > begin_ns ? end_ns - begin_ns : 0;
}

uint64_t stalls_overlap(const struct stall_list *list, uint64_t from_ns, uint64_t to_ns)
{
    uint64_t sum_ns = 0;
    for (size_t i = 0; i < list->count; i++) {
        sum_ns += within(list->stalls[i], from_ns, to_ns);
    }
    return sum_ns;
}

uint64_t stalls_longest(const struct stall_list *list, uint64_t from_ns, uint64_t to_ns)
{
    uint64_t longest_ns = 0;
    for (size_t i = 0; i < list->count; i++) {
        uint64_t part_ns = within(list->stalls[i], from_ns, to_ns);
        longest_ns = part_ns > longest_ns ? part_ns : longest_ns;
    }
    return longest_ns;
}

void stalls_between(const struct stalls *stalls, uint64_t from_ns, uint64_t to_ns,
                    struct stall_list *list)
{
    list->count = 0;
    for (unsigned p = 0; p < stalls->count; p++) {
        const struct processor *processor = &stalls->processors[p];
        uint64_t count = atomic_load_explicit(&processor->count, memory_order_acquire);
        // The last ones; not the oldest of those, whose place may be taken meanwhile.
        for (uint64_t i = 0; i < count && i < KEPT - 1 && list->count < STALLS_LIST_MAX; i++) {
            size_t place = (count - 1 - i) % KEPT;
            struct stall stall = {
                atomic_load_explicit(&processor->begin_ns[place], memory_order_relaxed),
                atomic_load_explicit(&processor->end_ns[place], memory_order_relaxed)};
            if (within(stall, from_ns, to_ns) > 0) {
                list->stalls[list->count++] = stall;
            }
        }
    }
    stalls_unite(list);
}

// ---- all of it ---------------------------------------------------------------------------------

void stalls_report(const struct stalls *stalls, json_t *results)
{
    json_t *machine = json_object();
    uint64_t count = 0;
    uint64_t sum_ns = 0;
    uint64_t longest_ns = 0;
    uint64_t watched_ns = cli_now_ns() - stalls->started_ns;
    uint64_t stolen_ns = stalls_stolen_ns() - stalls->stolen_ns;
    for (unsigned p = 0; p < stalls->count; p++) {
        const struct processor *processor = &stalls->processors[p];
        uint64_t own_ns = atomic_load(&processor->longest_ns);
        count += atomic_load(&processor->count);
        sum_ns += atomic_load(&processor->sum_ns);
        longest_ns = own_ns > longest_ns ? own_ns : longest_ns;
    }
    (void)json_object_set_new(machine, "stalls_measured", json_boolean(stalls->count > 0));
    bench_put(machine, "watched_ns", watched_ns);
    bench_put(machine, "stolen_ns", stolen_ns);
    if (stalls->count > 0) {
        bench_put(machine, "processors", stalls->count);
        bench_put(machine, "stalls", count);
        bench_put(machine, "stalled_ns", sum_ns);
        bench_put(machine, "longest_stall_ns", longest_ns);
        (void)printf("the machine: in %.0f s a processor stood still for longer than %u ms %llu "
                     "times, %.1f ms at most, %.0f ms in all; stolen from all of them, as the "
                     "hypervisor says: %.0f ms\n",
                     (double)watched_ns / 1e9, (unsigned)(LEAST_NS / 1000000),
                     (unsigned long long)count, (double)longest_ns / 1e6, (double)sum_ns / 1e6,
                     (double)stolen_ns / 1e6);
    } else {
        (void)json_object_set_new(machine, "why_not", json_string(strerror(stalls->error)));
        (void)printf("the machine: whether it stood still was not measured (%s: it takes root or "
                     "CAP_SYS_NICE); stolen, as the hypervisor says: %.0f ms\n",
                     strerror(stalls->error), (double)stolen_ns / 1e6);
    }
    (void)json_object_set_new(results, "machine", machine);
}
