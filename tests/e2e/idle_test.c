// SPDX-License-Identifier: Apache-2.0
//
// An idle cluster costs next to nothing: below 1 % of a core for each process under `waiting:
// adaptive`, and no time at all for a memory node.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "e2e.h"

#define WATCH_NS UINT64_C(4000000000)

// Processor time of all threads, in clock ticks.
static unsigned long long ticks(pid_t pid)
{
    char path[64], text[1024];
    unsigned long long user = 0, kernel = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    (void)fclose(file);
    const char *at = strrchr(text, ')');
    assert_non_null(at);
    for (int field = 2; field < 14; field++) {
        at = strchr(at + 1, ' ');
        assert_non_null(at);
    }
    assert_int_equal(sscanf(at, " %llu %llu", &user, &kernel), 2);
    return user + kernel;
}

static void test_idle(void **state)
{
    (void)state;
    const struct local_plan plan = {.replicas = 3, .memnodes = 3, .waiting = TACIT_CONFIG_ADAPTIVE};
    struct local *local = e2e_cluster(&plan, true);
    struct local_node nodes[7];
    unsigned long long before[7];
    double seconds = (double)WATCH_NS / 1e9;
    for (uint16_t i = 0; i < 3; i++) {
        nodes[i] = (struct local_node){LOCAL_REPLICA, i};
        nodes[3 + i] = (struct local_node){LOCAL_MEMNODE, i};
    }
    nodes[6] = (struct local_node){LOCAL_GATEWAY, 0};
    cli_sleep_ns(1000000000); // elections and connections are over
    for (unsigned i = 0; i < 7; i++) {
        before[i] = ticks(local_pid(local, nodes[i]));
    }
    cli_sleep_ns(WATCH_NS);
    bool ok = true;
    for (unsigned i = 0; i < 7; i++) {
        char name[TACIT_CONFIG_NAME_BYTES];
        unsigned long long used = ticks(local_pid(local, nodes[i])) - before[i];
        double percent = 100.0 * (double)used / (double)sysconf(_SC_CLK_TCK) / seconds;
        local_name(nodes[i], name);
        print_message("%s: %.2f %% of a core\n", name, percent);
        ok = ok && (nodes[i].kind == LOCAL_MEMNODE ? used == 0 : percent < 1.0);
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
