// SPDX-License-Identifier: Apache-2.0
//
// What can be wrong before a replica or memory node runs: each case ends with a non-zero status and
// a sentence that names the thing, and costs nothing (the node starts afterwards, as a founding
// member).
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "e2e.h"

#define RUN_NS UINT64_C(10000000000)

struct run {
    int status; // as of waitpid; -1: it had to be killed
    char text[4096];
};

// Runs a program with the node file NAME.yaml in the cluster's folder until it ends.
static struct run run_program(const struct local *local, const char *program, const char *name,
                              const char *const *more, uid_t user)
{
    char path[TACIT_CONFIG_PATH_BYTES + 32], node[TACIT_CONFIG_PATH_BYTES];
    struct run run = {.status = -1};
    const char *argv[16] = {path, "--node", node};
    size_t argc = 3, used = 0;
    int pipes[2];
    (void)snprintf(path, sizeof path, "%s/%s", local->programs, program);
    local_path(local, node, "%s.yaml", name);
    for (; more != NULL && *more != NULL && argc < 15; more++) {
        argv[argc++] = *more;
    }
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        union {
            const char **in;
            char *const *out;
        } arguments = {.in = argv};
        (void)dup2(pipes[1], 1);
        (void)dup2(pipes[1], 2);
        (void)close(pipes[0]);
        (void)close(pipes[1]);
        if (user != 0 && (setgid(user) != 0 || setuid(user) != 0)) {
            _exit(99);
        }
        (void)execv(path, arguments.out);
        _exit(98);
    }
    (void)close(pipes[1]);
    (void)fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    uint64_t end_ns = cli_now_ns() + RUN_NS;
    int status = 0;
    bool ended = false;
    while (!ended && cli_now_ns() < end_ns) {
        ended = waitpid(child, &status, WNOHANG) == child;
        ssize_t got = 0;
        while ((got = read(pipes[0], run.text + used, sizeof run.text - 1 - used)) > 0) {
            used += (size_t)got;
        }
        cli_sleep_ns(ended ? 0 : 2000000);
    }
    if (!ended) {
        (void)kill(child, SIGKILL);
        (void)waitpid(child, NULL, 0);
    } else {
        run.status = status;
    }
    (void)close(pipes[0]);
    return run;
}

static void expect_refusal(const struct run *run, const char *fragment)
{
    if (run->status == -1 || !WIFEXITED(run->status) || WEXITSTATUS(run->status) != 1 ||
        strstr(run->text, fragment) == NULL) {
        fail_msg("expected a refusal with \"%s\"; status 0x%x, said: %s", fragment,
                 (unsigned)run->status, run->text);
    }
}

static struct local *make_cluster(void)
{
    const struct local_plan plan = {.replicas = 3, .memnodes = 1, .waiting = TACIT_CONFIG_ADAPTIVE};
    struct tacit_error error;
    struct local *local = calloc(1, sizeof *local);
    assert_non_null(local);
    if (scratch_open(local, &plan, &error) != TACIT_OK) {
        fail_msg("%s", error.text);
    }
    return local;
}

static void end_cluster(struct local *local)
{
    scratch_close(local);
    free(local);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void read_text(const char *path, char *text, size_t bytes)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t size = fread(text, 1, bytes - 1, file);
    text[size] = '\0';
    (void)fclose(file);
}

// Nothing that was refused may have used up the first start of the node.
static void expect_unused(const struct local *local, const char *name)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    local_path(local, path, "state/%s/joined", name);
    assert_int_equal(access(path, F_OK), -1);
}

// ---- cases -------------------------------------------------------------------------------------

static void test_wrong_files(void **state)
{
    (void)state;
    struct local *local = make_cluster();
    char path[TACIT_CONFIG_PATH_BYTES], other[TACIT_CONFIG_PATH_BYTES], before[65536];
    struct run run = run_program(local, "tacit-replica", "nobody", NULL, 0);
    expect_refusal(&run, "nobody.yaml");
    run = run_program(local, "tacit-replica", "memnode-0", NULL, 0);
    expect_refusal(&run, "node file of a memnode; this program runs a replica");
    run = run_program(local, "tacit-memnode", "replica-0", NULL, 0);
    expect_refusal(&run, "node file of a replica; this program runs a memnode");

    local_path(local, path, "cluster.yaml");
    read_text(path, before, sizeof before);
    FILE *file = fopen(path, "ae");
    assert_non_null(file);
    assert_true(fputs("colour: blue\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    run = run_program(local, "tacit-replica", "replica-0", NULL, 0);
    expect_refusal(&run, "colour");
    run = run_program(local, "tacit-memnode", "memnode-0", NULL, 0);
    expect_refusal(&run, "colour");
    write_text(path, before);

    // Another node's key.
    local_path(local, path, "replica-0.key");
    local_path(local, other, "replica-0.kept");
    assert_int_equal(rename(path, other), 0);
    char key[4096], source[TACIT_CONFIG_PATH_BYTES];
    local_path(local, source, "replica-1.key");
    read_text(source, key, sizeof key);
    write_text(path, key);
    assert_int_equal(chmod(path, 0600), 0);
    run = run_program(local, "tacit-replica", "replica-0", NULL, 0);
    expect_refusal(&run, "key");
    assert_int_equal(rename(other, path), 0);
    expect_unused(local, "replica-0");
    end_cluster(local);
}

static void test_key_readable_by_others(void **state)
{
    (void)state;
    struct local *local = make_cluster();
    char path[TACIT_CONFIG_PATH_BYTES];
    local_path(local, path, "replica-0.key");
    assert_int_equal(chmod(path, 0644), 0);
    struct run run = run_program(local, "tacit-replica", "replica-0", NULL, 0);
    expect_refusal(&run, "chmod 600");
    local_path(local, path, "memnode-0.key");
    assert_int_equal(chmod(path, 0640), 0);
    run = run_program(local, "tacit-memnode", "memnode-0", NULL, 0);
    expect_refusal(&run, "chmod 600");
    expect_unused(local, "replica-0");
    end_cluster(local);
}

static void test_not_bootstrapped_and_damaged_state(void **state)
{
    (void)state;
    struct local *local = make_cluster();
    char path[TACIT_CONFIG_PATH_BYTES], group[128];
    local_path(local, path, "state/replica-0/group");
    read_text(path, group, sizeof group);
    assert_int_equal(unlink(path), 0);
    struct run run = run_program(local, "tacit-replica", "replica-0", NULL, 0);
    expect_refusal(&run, "tacit bootstrap");
    write_text(path, "not hexadecimal\n");
    run = run_program(local, "tacit-replica", "replica-0", NULL, 0);
    expect_refusal(&run, "group id");
    write_text(path, group);
    local_path(local, path, "state/replica-0/incarnation");
    write_text(path, "many\n");
    run = run_program(local, "tacit-replica", "replica-0", NULL, 0);
    expect_refusal(&run, "number of starts");
    end_cluster(local);
}

static void test_applications(void **state)
{
    (void)state;
    struct local *local = make_cluster();
    char library[TACIT_CONFIG_PATH_BYTES];
    local_path(local, library, "broken.so");
    write_text(library, "this is no shared object\n");
    const char *const absent[] = {"--app", "./no-such-app.so", NULL};
    const char *const broken[] = {"--app", library, NULL};
    const char *const nameless[] = {"--app", "libc.so.6", NULL};
    const char *const unknown[] = {"--app", "chess", NULL};
    struct run run = run_program(local, "tacit-replica", "replica-0", absent, 0);
    expect_refusal(&run, "cannot be loaded");
    run = run_program(local, "tacit-replica", "replica-0", broken, 0);
    expect_refusal(&run, "cannot be loaded");
    run = run_program(local, "tacit-replica", "replica-0", nameless, 0);
    expect_refusal(&run, "--app libc.so.6");
    run = run_program(local, "tacit-replica", "replica-0", unknown, 0);
    expect_refusal(&run, "accepted are kv, flip");
    const char *const system_library[] = {"--app", TACIT_E2E_NO_APP, NULL};
    run = run_program(local, "tacit-replica", "replica-0", system_library, 0);
    expect_refusal(&run, "exports no `struct tacit_app tacit_app`");
    const char *const old[] = {"--app", TACIT_E2E_OLD_APP, NULL};
    run = run_program(local, "tacit-replica", "replica-0", old, 0);
    expect_refusal(&run, "interface version 999");
    const char *const moody[] = {"--app", TACIT_E2E_MOODY_APP, "--app-options", "refuse", NULL};
    run = run_program(local, "tacit-replica", "replica-0", moody, 0);
    expect_refusal(&run, "moody does not like the option refuse");
    expect_unused(local, "replica-0");
    end_cluster(local);
}

static int listen_on(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0 && strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 16), 0);
    return listener;
}

static void test_sockets(void **state)
{
    (void)state;
    struct local *local = make_cluster();
    struct tacit_error error;
    char path[TACIT_CONFIG_PATH_BYTES];
    local_path(local, path, "run/replica-0.sock");
    int listener = listen_on(path);
    struct run run = run_program(local, "tacit-replica", "replica-0", NULL, 0);
    expect_refusal(&run, "another process listens");
    expect_unused(local, "replica-0");
    (void)close(listener); // now it is the stale socket of a process that is gone: taken over
    local_path(local, path, "run/replica-0.status");
    (void)close(listen_on(path)); // likewise
    if (local_up(local, &error) != TACIT_OK || !local_wait_members(local, 7, E2E_READY_NS)) {
        fail_msg("stale sockets were not taken over: %s", error.text);
    }
    assert_int_equal(e2e_number(local, 0, NULL, "incarnation"), 1);
    // The node runs: neither its directory nor its sockets can be had.
    run = run_program(local, "tacit-replica", "replica-0", NULL, 0);
    expect_refusal(&run, "used by another process");
    run = run_program(local, "tacit-memnode", "memnode-0", NULL, 0);
    expect_refusal(&run, "used by another process");
    end_cluster(local);
}

// Another cluster file: the handshake refuses, both sides say so, nobody joins.
static void test_other_digest(void **state)
{
    (void)state;
    struct local *local = make_cluster();
    struct tacit_error error;
    char path[TACIT_CONFIG_PATH_BYTES], other[TACIT_CONFIG_PATH_BYTES], text[65536];
    local_path(local, path, "cluster.yaml");
    read_text(path, text, sizeof text);
    char *at = strstr(text, "suspicion: 20ms");
    assert_non_null(at);
    memcpy(at, "suspicion: 21ms", 15);
    local_path(local, other, "other.yaml");
    write_text(other, text);
    local_path(local, path, "replica-2.yaml");
    read_text(path, text, sizeof text);
    at = strstr(text, "cluster.yaml");
    assert_non_null(at);
    char changed[4096];
    (void)snprintf(changed, sizeof changed, "%.*sother.yaml%s", (int)(at - text), text, at + 12);
    write_text(path, changed);
    if (local_up(local, &error) != TACIT_OK) {
        fail_msg("%s", error.text);
    }
    cli_sleep_ns(1500000000);
    local_path(local, path, "log/replica-2.log");
    read_text(path, text, sizeof text);
    assert_non_null(strstr(text, "refused"));
    assert_non_null(strstr(text, "digest"));
    assert_int_equal(local_members(local) & 4u, 0);
    end_cluster(local);
}

static void test_not_enough_memory(void **state)
{
    (void)state;
    struct local *local = make_cluster();
    char path[TACIT_CONFIG_PATH_BYTES], text[65536], changed[65536];
    local_path(local, path, "cluster.yaml");
    read_text(path, text, sizeof text);
    char *at = strstr(text, "arena_bytes: ");
    assert_non_null(at);
    char *line_end = strchr(at, '\n');
    (void)snprintf(changed, sizeof changed, "%.*sarena_bytes: 64GiB%s", (int)(at - text), text,
                   line_end);
    write_text(path, changed);
    struct run run = run_program(local, "tacit-replica", "replica-0", NULL, 0);
    expect_refusal(&run, "memory");
    expect_refusal(&run, "arena_bytes");
    expect_unused(local, "replica-0");
    end_cluster(local);
}

static void test_missing_permission(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip(); // needs a second user
    }
    struct local *local = make_cluster();
    char path[TACIT_CONFIG_PATH_BYTES];
    // All readable for the other user but the state directory.
    assert_int_equal(chmod(local->directory, 0755), 0);
    const char *const files[] = {"replica-0.key", "run", "state/replica-0"};
    for (size_t i = 0; i < 2; i++) {
        local_path(local, path, "%s", files[i]);
        assert_int_equal(chown(path, 65534, 65534), 0);
    }
    struct run run = run_program(local, "tacit-replica", "replica-0", NULL, 65534);
    expect_refusal(&run, "state/replica-0");
    expect_refusal(&run, "ermission");
    expect_unused(local, "replica-0");
    end_cluster(local);
}

static void test_full_state_directory(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip(); // needs a file system of its own
    }
    struct local *local = make_cluster();
    char path[TACIT_CONFIG_PATH_BYTES], file[TACIT_CONFIG_PATH_BYTES + 16], group[128],
        text[512] = "";
    local_path(local, path, "state/replica-0/group");
    read_text(path, group, sizeof group);
    local_path(local, path, "state/replica-0");
    if (mount("tmpfs", path, "tmpfs", 0, "size=16k") != 0) {
        end_cluster(local);
        skip(); // not allowed to mount here
    }
    (void)snprintf(file, sizeof file, "%s/group", path);
    write_text(file, group);
    (void)snprintf(file, sizeof file, "%s/filler", path);
    FILE *filler = fopen(file, "we");
    assert_non_null(filler);
    while (fwrite(text, 1, sizeof text, filler) == sizeof text && fflush(filler) == 0) {
    }
    (void)fclose(filler);
    struct run run = run_program(local, "tacit-replica", "replica-0", NULL, 0);
    int unlinked = unlink(file); // room again: it starts, and as a founding member
    (void)snprintf(file, sizeof file, "%s/joined", path);
    bool joined = access(file, F_OK) == 0;
    (void)umount2(path, MNT_DETACH);
    assert_int_equal(unlinked, 0);
    assert_false(joined);
    expect_refusal(&run, "No space left on device");
    end_cluster(local);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_files),
        cmocka_unit_test(test_key_readable_by_others),
        cmocka_unit_test(test_not_bootstrapped_and_damaged_state),
        cmocka_unit_test(test_applications),
        cmocka_unit_test(test_sockets),
        cmocka_unit_test(test_other_digest),
        cmocka_unit_test(test_not_enough_memory),
        cmocka_unit_test(test_missing_permission),
        cmocka_unit_test(test_full_state_directory),
    };
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
