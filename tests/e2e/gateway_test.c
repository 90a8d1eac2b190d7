// SPDX-License-Identifier: Apache-2.0
//
// Unmodified Redis clients through the gateway, with the leader killed in between: redis-cli counts
// without a loss or a repetition, redis-benchmark ends without an error. Skipped without Debian's
// redis-tools.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "e2e.h"

#define COUNTS 400u

static const struct local_plan plan = {
    .replicas = 3, .memnodes = 3, .waiting = TACIT_CONFIG_ADAPTIVE};

// redis-cli sends one command after another over one connection; each answer is one line.
static void test_redis_cli_counts(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&plan, true);
    char command[128], line[256];
    (void)snprintf(command, sizeof command, "redis-cli -p %u -r %u -i 0.005 incr visits",
                   local->port, COUNTS);
    FILE *output = popen(command, "re");
    assert_non_null(output);
    unsigned expected = 1, kills = 0;
    while (fgets(line, sizeof line, output) != NULL) {
        unsigned number = 0;
        if (sscanf(line, "%u", &number) != 1 || number != expected) {
            fail_msg("expected %u, redis-cli was told: %s", expected, line);
        }
        if (expected == COUNTS / 4 || expected == COUNTS / 2) {
            uint16_t victim = e2e_hit_leader(local, SIGKILL);
            e2e_bring_back(local, victim);
            kills++;
        }
        expected++;
    }
    assert_int_equal(pclose(output), 0);
    assert_int_equal(expected, COUNTS + 1);
    assert_int_equal(kills, 2);
    e2e_cluster_end(local);
}

static void test_redis_benchmark(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&plan, true);
    char command[256], line[512], all[8192] = "";
    (void)snprintf(
        command, sizeof command,
        "redis-benchmark -p %u -c 8 -n 30000 -r 1000 -d 32 -t set,get,incr,mset --csv 2>&1",
        local->port);
    FILE *output = popen(command, "re");
    assert_non_null(output);
    unsigned tests = 0;
    while (fgets(line, sizeof line, output) != NULL) {
        tests += strstr(line, "\"SET\"") != NULL || strstr(line, "\"GET\"") != NULL ||
                 strstr(line, "\"INCR\"") != NULL || strstr(line, "\"MSET (10 keys)\"") != NULL;
        (void)strncat(all, line, sizeof all - strlen(all) - 1);
        if (tests == 1 && kill(local_pid(local, (struct local_node){LOCAL_GATEWAY, 0}), 0) == 0 &&
            strstr(line, "\"SET\"") != NULL) {
            e2e_bring_back(local, e2e_hit_leader(local, SIGKILL)); // while GET runs
        }
    }
    int status = pclose(output);
    if (status != 0 || tests != 4 || strstr(all, "rror") != NULL) {
        fail_msg("redis-benchmark ended with 0x%x after %u tests: %s", (unsigned)status, tests,
                 all);
    }
    print_message("%s", all);
    e2e_cluster_end(local);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_cli_counts),
        cmocka_unit_test(test_redis_benchmark),
    };
    if (system("command -v redis-cli >/dev/null && command -v redis-benchmark >/dev/null") != 0) {
        (void)printf(
            "skipped: redis-cli and redis-benchmark (package redis-tools) are not installed\n");
        return 77;
    }
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
