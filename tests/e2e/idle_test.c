// SPDX-License-Identifier: Apache-2.0
//
// An idle cluster costs next to nothing under `waiting: adaptive`: a replica is awake for its own
// beats, which are five times rarer then, and a memory node and the gateway next to never. Asserted
// are counts: a replica is awake no more often than a beat in four periods, which failure detection
// that wakes up by itself would exceed, and looks at its work no more than five times each time
// (what came, what that led to, a leader's lease, once more before it sleeps). What these cost is
// up to the machine: a wake-up takes 25 to 50 us of a virtual one, which makes 0.5 to 1.6 % of a
// core in crash mode and 0.6 to 1.9 % in Byzantine mode, so the limit for the processor's time is
// there for gross errors, a thread that spins now and then. It is the processes' own time, which
// does not depend on who else is busy.
#include <dirent.h>
#include <stdio.h>

#include "e2e.h"

#define WATCH_NS UINT64_C(6000000000)
#define WINDOWS_MAX 3u // an election in between, on a busy machine, is not what is measured

#define NODES 7u // three replicas, three memory nodes, the gateway

struct usage {
    double cpu_ns;
    double wakeups;
    double turns; // of a replica's protocol thread
    double sleeps;
};

// Of all threads, since they began.
static struct usage usage_of(const struct local *local, struct local_node node)
{
    char path[128];
    struct usage usage = {0, 0, 0, 0};
    pid_t pid = local_pid(local, node);
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
    if (node.kind == LOCAL_REPLICA) {
        usage.turns = (double)e2e_number(local, node.id, "process", "turns");
        usage.sleeps = (double)e2e_number(local, node.id, "process", "sleeps");
    }
    return usage;
}

static bool watch(const struct local *local, const struct local_node nodes[NODES])
{
    struct usage before[NODES];
    double beats = (double)WATCH_NS / (double)local->config.timing.beat_period_ns;
    bool ok = true;
    for (unsigned i = 0; i < NODES; i++) {
        before[i] = usage_of(local, nodes[i]);
    }
    cli_sleep_ns(WATCH_NS);
    for (unsigned i = 0; i < NODES; i++) {
        char name[TACIT_CONFIG_NAME_BYTES];
        struct usage now = usage_of(local, nodes[i]);
        double percent = 100.0 * (now.cpu_ns - before[i].cpu_ns) / (double)WATCH_NS;
        double a_beat = (now.wakeups - before[i].wakeups) / beats;
        local_name(nodes[i], name);
        double turns = now.turns - before[i].turns;
        double sleeps = now.sleeps - before[i].sleeps;
        print_message("%s: %.2f %% of a core, %.2f wake-ups a beat period, %.2f turns a sleep\n",
                      name, percent, a_beat, sleeps > 0 ? turns / sleeps : 0);
        ok = ok &&
             (nodes[i].kind == LOCAL_REPLICA ? percent < 5.0 && a_beat < 0.25 && turns <= 5 * sleeps
                                             : percent < 1.0 && a_beat < 0.02);
    }
    return ok;
}

static void idle(enum tacit_config_mode mode)
{
    const struct local_plan plan = {
        .replicas = 3, .memnodes = 3, .waiting = TACIT_CONFIG_ADAPTIVE, .mode = mode};
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

static void test_crash_mode(void **state)
{
    (void)state;
    idle(TACIT_CONFIG_CRASH);
}

static void test_byzantine_mode(void **state)
{
    (void)state;
    idle(TACIT_CONFIG_BYZANTINE);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_crash_mode),
                                       cmocka_unit_test(test_byzantine_mode)};
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
