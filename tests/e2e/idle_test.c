// SPDX-License-Identifier: Apache-2.0
//
// An idle cluster costs next to nothing under `waiting: adaptive`: a replica is awakened less often
// than every second beat, and a memory node and the gateway next to never. Processor time is a
// replica's 0.6 to 1.3 % of a core, by how long the machine takes to wake somebody up (the aim is 1
// %); twice that is asserted. Measured is the processes' own time, which does not depend on who
// else is busy.
#include <dirent.h>
#include <stdio.h>

#include "e2e.h"

#define WATCH_NS UINT64_C(6000000000)
#define WINDOWS_MAX 3u // an election in between, on a busy machine, is not what is measured

#define NODES 7u // three replicas, three memory nodes, the gateway

struct usage {
    double cpu_ns;
    double wakeups;
};

// Of all threads, since they began.
static struct usage usage_of(pid_t pid)
{
    char path[128];
    struct usage usage = {0, 0};
    (void)snprintf(path, sizeof path, "/proc/%ld/task", (long)pid);
    DIR *tasks = opendir(path);
    assert_non_null(tasks);
    for (const struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        unsigned long long ran_ns = 0, waited_ns = 0, turns = 0;
        (void)snprintf(path, sizeof path, "/proc/%ld/task/%.32s/schedstat", (long)pid,
                       task->d_name);
        FILE *file = task->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (file == NULL) {
            continue;
        }
        assert_int_equal(fscanf(file, "%llu %llu %llu", &ran_ns, &waited_ns, &turns), 3);
        (void)fclose(file);
        usage.cpu_ns += (double)ran_ns;
        usage.wakeups += (double)turns;
    }
    (void)closedir(tasks);
    return usage;
}

static bool watch(const struct local *local, const struct local_node nodes[NODES])
{
    struct usage before[NODES];
    double beats = (double)WATCH_NS / (double)local->config.timing.beat_period_ns;
    bool ok = true;
    for (unsigned i = 0; i < NODES; i++) {
        before[i] = usage_of(local_pid(local, nodes[i]));
    }
    cli_sleep_ns(WATCH_NS);
    for (unsigned i = 0; i < NODES; i++) {
        char name[TACIT_CONFIG_NAME_BYTES];
        struct usage now = usage_of(local_pid(local, nodes[i]));
        double percent = 100.0 * (now.cpu_ns - before[i].cpu_ns) / (double)WATCH_NS;
        double a_beat = (now.wakeups - before[i].wakeups) / beats;
        local_name(nodes[i], name);
        print_message("%s: %.2f %% of a core, %.2f wake-ups a beat period\n", name, percent,
                      a_beat);
        ok = ok && (nodes[i].kind == LOCAL_REPLICA ? percent < 2.0 && a_beat < 0.5 : percent < 0.1);
    }
    return ok;
}

static void test_idle(void **state)
{
    (void)state;
    const struct local_plan plan = {.replicas = 3, .memnodes = 3, .waiting = TACIT_CONFIG_ADAPTIVE};
    struct local *local = e2e_cluster(&plan, true);
    struct local_node nodes[NODES];
    for (uint16_t i = 0; i < 3; i++) {
        nodes[i] = (struct local_node){LOCAL_REPLICA, i};
        nodes[3 + i] = (struct local_node){LOCAL_MEMNODE, i};
    }
    nodes[6] = (struct local_node){LOCAL_GATEWAY, 0};
    cli_sleep_ns(1000000000); // elections and connections are over
    bool ok = false;
    for (unsigned i = 0; i < WINDOWS_MAX && !ok; i++) {
        ok = watch(local, nodes);
    }
    e2e_cluster_end(local);
    assert_true(ok);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_idle)};
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
