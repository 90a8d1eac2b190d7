// SPDX-License-Identifier: Apache-2.0
//
// The example as its user would have it: installed library and programs, the example built against
// them, its application loaded by the installed replicas, its client counting while leaders are
// killed. Each answer must be the next number: none lost, none twice.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "e2e.h"

#define ADDS 30000u
#define EACH 2u
#define PIPE_BYTES 4096 // so that the client is never far ahead of the reader

static const struct local_plan plan = {.replicas = 3, .waiting = TACIT_CONFIG_ADAPTIVE};

// Runs a command; on failure the test fails with what it said.
static void run(const char *command)
{
    char said[4096] = "", line[512];
    FILE *output = popen(command, "re");
    assert_non_null(output);
    while (fgets(line, sizeof line, output) != NULL) {
        (void)strncat(said, line, sizeof said - strlen(said) - 1);
    }
    if (pclose(output) != 0) {
        fail_msg("%s\n%s", command, said);
    }
}

// Installs, builds the example with pkg-config, and makes the cluster use both.
static void install_and_build(struct local *local, char app[TACIT_CONFIG_PATH_BYTES])
{
    char command[4 * TACIT_CONFIG_PATH_BYTES], path[TACIT_CONFIG_PATH_BYTES];
    const char *build = getenv("TACIT_BINARY_DIR");
    const char *source = getenv("TACIT_SOURCE_DIR");
    const char *dir = local->directory;
    assert_non_null(build);
    assert_non_null(source);
    (void)snprintf(command, sizeof command, "cmake --install %s --prefix %s/prefix 2>&1", build,
                   dir);
    run(command);
    local_path(local, path, "example");
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(
        command, sizeof command,
        "PKG_CONFIG_PATH=$(dirname $(find %s/prefix -name tacit.pc)) make -C %s/example -f "
        "%s/examples/counter/Makefile PKG_CONFIG='pkg-config --define-variable=prefix=%s/prefix' "
        "2>&1",
        dir, dir, source, dir);
    run(command);
    (void)snprintf(command, sizeof command, "dirname $(find %s/prefix -name libtacit.so)", dir);
    FILE *output = popen(command, "re");
    assert_non_null(output);
    assert_non_null(fgets(path, sizeof path, output));
    assert_int_equal(pclose(output), 0);
    path[strcspn(path, "\n")] = '\0';
    assert_int_equal(setenv("LD_LIBRARY_PATH", path, 1), 0);
    local_path(local, local->programs, "prefix/bin");
    local_path(local, app, "example/counter.so");
    local->app = app;
}

static FILE *start_client(const struct local *local, const char *arguments)
{
    char command[3 * TACIT_CONFIG_PATH_BYTES];
    (void)snprintf(command, sizeof command, "exec %s/example/counter_client %s/client-%u.yaml %s",
                   local->directory, local->directory, LOCAL_COMMAND_CLIENT, arguments);
    FILE *output = popen(command, "re");
    assert_non_null(output);
    assert_true(fcntl(fileno(output), F_SETPIPE_SZ, PIPE_BYTES) > 0);
    return output;
}

static void expect_answer(const struct local *local, const char *arguments, const char *answer)
{
    char line[256] = "";
    FILE *output = start_client(local, arguments);
    assert_non_null(fgets(line, sizeof line, output));
    line[strcspn(line, "\n")] = '\0';
    assert_int_equal(pclose(output), 0);
    assert_string_equal(line, answer);
}

static void test_counter(void **state)
{
    (void)state;
    struct local *local = e2e_make(&plan, false);
    char app[TACIT_CONFIG_PATH_BYTES], arguments[64], line[256], answer[64];
    install_and_build(local, app);
    e2e_start(local);
    (void)snprintf(arguments, sizeof arguments, "%u 'add %u'", ADDS, EACH);
    FILE *output = start_client(local, arguments);
    unsigned done = 0, kills = 0;
    uint16_t victim = 0;
    while (fgets(line, sizeof line, output) != NULL) {
        done++;
        if (strtoull(line, NULL, 10) != (unsigned long long)done * EACH) {
            fail_msg("addition %u was answered with %s", done, line);
        }
        if (done == ADDS / 5 || done == 3 * ADDS / 5) {
            victim = e2e_hit_leader(local, SIGKILL);
            kills++;
        } else if (done == 2 * ADDS / 5 || done == 4 * ADDS / 5) {
            e2e_bring_back(local, victim);
        }
    }
    assert_int_equal(pclose(output), 0);
    assert_int_equal(done, ADDS);
    assert_int_equal(kills, 2);
    (void)snprintf(answer, sizeof answer, "%u", ADDS * EACH);
    expect_answer(local, "get", answer);
    expect_answer(local, "'add seven'", "error: accepted are \"add N\" and \"get\"");
    // Whoever leads next got its state from others: it knows the number, too.
    victim = e2e_hit_leader(local, SIGKILL);
    expect_answer(local, "get", answer);
    e2e_bring_back(local, victim);
    e2e_cluster_end(local);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counter)};
    if (system("command -v make >/dev/null && command -v pkg-config >/dev/null") != 0) {
        (void)printf("skipped: make or pkg-config is not installed\n");
        return 77;
    }
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
