// SPDX-License-Identifier: Apache-2.0
//
// `tacit bench failover` measures fail-overs and nothing else: it goes on with a new cluster before
// its own load has filled the store, judges what its clients saw, shows that leaders that had been
// stopped were refused, and a client that gives up says why instead of looking like a group
// without a leader.
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "e2e.h"

#define FAULTS 3

static char said[8192];

// Runs the benchmark; its status.
static int bench(const char *words)
{
    char command[4608];
    (void)snprintf(command, sizeof command, "%s/tacit bench failover %s 2>&1",
                   getenv("TACIT_PROGRAMS"), words);
    FILE *output = popen(command, "re");
    assert_non_null(output);
    said[fread(said, 1, sizeof said - 1, output)] = '\0';
    int status = pclose(output);
    print_message("%s", said);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static long long number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void check(const json_t *results, bool is_stop)
{
    const json_t *samples = json_object_get(results, "samples");
    assert_int_equal(number(results, "clusters"), FAULTS);
    assert_int_equal(number(results, "lost"), 0);
    assert_int_equal(number(results, "failed"), 0);
    assert_true(number(results, "acknowledged") > 100 * FAULTS);
    assert_int_equal(json_array_size(samples), FAULTS);
    for (size_t i = 0; i < FAULTS; i++) {
        const json_t *sample = json_array_get(samples, i);
        assert_true(number(sample, "silence_ns") > 0);
        // Nobody is served by who does not lead yet, and what is waited for ends the fail-over.
        assert_true(number(sample, "led_ns") > 0);
        assert_true(number(sample, "failover_ns") >= number(sample, "led_ns"));
        assert_int_equal(json_array_size(json_object_get(sample, "resumed_ns")), 1);
        assert_true(number(sample, "readmission_ns") > 0);
        if (is_stop) {
            assert_true(number(sample, "refused") > 0); // its write under way, or its next
        }
    }
}

static void run(const char *kind, bool is_stop)
{
    char path[] = "/tmp/tacit-bench-XXXXXX";
    char words[256];
    int file = mkstemp(path);
    assert_true(file >= 0);
    (void)snprintf(words, sizeof words, "--kind %s --count %d --operations 1 --json %s", kind,
                   FAULTS, path);
    int status = bench(words);
    json_t *root = json_load_file(path, 0, NULL);
    (void)close(file);
    (void)remove(path);
    assert_int_equal(status, 0);
    assert_non_null(root);
    check(json_object_get(root, "results"), is_stop);
    json_decref(root);
}

static void test_kill(void **state)
{
    (void)state;
    run("kill", false);
}

static void test_stop(void **state)
{
    (void)state;
    run("stop", true);
}

// A load that has filled the store says so.
static void test_full_store(void **state)
{
    (void)state;
    const struct local_plan plan = {
        .replicas = 3, .memnodes = 3, .waiting = TACIT_CONFIG_ADAPTIVE, .arena_bytes = 65536};
    struct local *local = e2e_cluster(&plan, false);
    struct load *load = e2e_load(local);
    struct tacit_error error = {.text = ""};
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    while (!load_failed(load) && cli_now_ns() < end_ns) {
        cli_sleep_ns(1000000);
    }
    enum tacit_status status = load_stop(load, &error);
    load_free(load);
    e2e_cluster_end(local);
    assert_int_not_equal(status, TACIT_OK);
    print_message("%s\n", error.text);
    assert_non_null(strstr(error.text, "the store is full"));
}

int main(int argc, char **argv)
{
    e2e_begin(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_full_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
