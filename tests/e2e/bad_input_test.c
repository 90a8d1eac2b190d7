// SPDX-License-Identifier: Apache-2.0
//
// What can be wrong before a program runs: each case ends with a non-zero status and a sentence
// that names the thing, and costs nothing (the node starts afterwards, as a founding member). The
// list is in main().
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
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

#define RUN_NS UINT64_C(25000000000) // a client tries for 10 s

struct run {
    int status; // as of waitpid; -1: it had to be killed
    char text[4096];
};

// What a program is run under, all 0: nothing special.
struct limits {
    uid_t user;
    rlim_t memory_bytes, file_bytes; // RLIMIT_AS, RLIMIT_FSIZE
};

static void set_limit(int resource, rlim_t value)
{
    const struct rlimit limit = {.rlim_cur = value, .rlim_max = value};
    if (value != 0 && setrlimit((__rlimit_resource_t)resource, &limit) != 0) {
        _exit(97);
    }
}

// In the child.
static _Noreturn void become(const char *path, const char *const *argv, int output,
                             const struct limits *limits)
{
    union {
        const char *const *in;
        char *const *out;
    } arguments = {.in = argv};
    (void)dup2(output, 1);
    (void)dup2(output, 2);
    set_limit(RLIMIT_AS, limits->memory_bytes);
    set_limit(RLIMIT_FSIZE, limits->file_bytes);
    if (limits->user != 0 && (setgid(limits->user) != 0 || setuid(limits->user) != 0)) {
        _exit(99);
    }
    (void)execv(path, arguments.out);
    _exit(98);
}

// Runs a program until it ends. argv[0] is its name in the folder of programs.
static struct run run_limited(const struct local *local, const char *const *argv,
                              const struct limits *limits)
{
    char path[TACIT_CONFIG_PATH_BYTES + 32];
    struct run run = {.status = -1};
    size_t used = 0;
    int pipes[2];
    (void)snprintf(path, sizeof path, "%s/%s", local->programs, argv[0]);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        become(path, argv, pipes[1], limits);
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

static struct run run_words(const struct local *local, const char *const *argv)
{
    return run_limited(local, argv, &(struct limits){0});
}

// The same with the node file NAME.yaml in the cluster's folder.
static struct run run_program(const struct local *local, const char *program, const char *name,
                              const char *const *more, uid_t user)
{
    char node[TACIT_CONFIG_PATH_BYTES];
    const char *argv[16] = {program, "--node", node};
    local_path(local, node, "%s.yaml", name);
    for (size_t argc = 3; more != NULL && *more != NULL && argc < 15; more++) {
        argv[argc++] = *more;
    }
    return run_limited(local, argv, &(struct limits){.user = user});
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

// One edit of a good cluster file, and what must be said about it.
struct edit {
    const char *from, *to, *said;
};

static const struct edit edits[] = {
    {"f: 1 ", "colour: blue\nf: 1 ", "unknown key 'colour'; accepted: version, name"},
    {"  request_bytes:", "  request_bites:", "unknown key 'request_bites' in limits"},
    {"f: 1 ", "f: 1\nf: 1 ", "f: repeated key; it is already in line"},
    {"  inflight: 16", "  inflight: 16\n  inflight: 8", "limits.inflight: repeated key"},
    {"inflight: 16", "inflight: 1000000", "limits.inflight: '1000000' is out of range; accepted"},
    {"f: 1 ", "f: -1 ", "'-1' is not a number; accepted: 0 to 14"},
    {"batch_requests: 64", "batch_requests: many", "'many' is not a number; accepted"},
    {"suspicion: 20ms", "suspicion: 20", "'20' has no unit (ns, us, ms or s)"},
    {"request_bytes: 4KiB", "request_bytes: 4096", "'4096' has no unit (B, KiB, MiB or GiB)"},
    {"suspicion: 20ms", "suspicion: 20KiB", "one of the units ns, us, ms or s"},
    {"arena_bytes: 16MiB", "arena_bytes: 99999999999999999999GiB", "is out of range; accepted"},
    {"f: 1 ", "f: 2 ", "f = 2 needs at least 5 replicas (2f+1), but 3 are listed"},
    {"fm: 0 ", "fm: 2 ", "fm = 2 needs exactly 5 memory nodes"},
    {"id: 1\n    address: \"socket:replica-1", "id: 0\n    address: \"socket:replica-1",
     "replicas[1].id: id 0 is taken already"},
    {"replica-1.sock", "replica-0.sock", "replicas[1].address: 'socket:replica-0.sock' is taken"},
    {"public_key: ed25519:", "public_key: ed25519:xyz", "is not a usable public key; accepted"},
    {"replicas:\n", "replixas:\n", "replicas: is missing; accepted"},
    {"version: 1\n", "version: 7\n", "version: '7' is out of range; accepted: 1"},
    {"mode: crash", "mode: hope", "mode: 'hope' is not known; accepted: crash or byzantine"},
    {"  inflight", "\tinflight", "not YAML"},
    {"version: 1\n", "version: [1\n", "version: is a list; accepted: 1"},
    {"suspicion: 20ms", "suspicion: 1ms", "must be more than 2 x beat_period"},
    {"batch_bytes: 8KiB", "batch_bytes: 1KiB", "cannot hold a request of request_bytes"},
    {"log_entries: 512", "log_entries: 500", "limits.log_entries: "},
    {"id: 9\n    name", "id: 63\n    name", "is not below limits.clients_max"},
    {"limits:\n", "limits: []\nlimitz:\n", "limits: is a list; accepted: a section of keys"},
    {"runtime_dir: \"run\"",
     "runtime_dir: \"rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
     "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\"",
     "accepted: 107 bytes at most"},
};

// What is wrong with cluster.yaml is told by those who start with it, and by `tacit check`.
static void expect_wrong_cluster(const struct local *local, const char *said)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    local_path(local, path, "cluster.yaml");
    const char *const check[] = {"tacit", "check", path, NULL};
    struct run run = run_words(local, check);
    expect_refusal(&run, said);
    run = run_program(local, "tacit-replica", "replica-0", NULL, 0);
    expect_refusal(&run, said);
}

static void test_wrong_cluster_files(void **state)
{
    (void)state;
    struct local *local = make_cluster();
    char path[TACIT_CONFIG_PATH_BYTES], before[65536], after[65536];
    local_path(local, path, "cluster.yaml");
    read_text(path, before, sizeof before);
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        const char *at = strstr(before, edits[i].from);
        if (at == NULL) {
            fail_msg("no \"%s\" in a cluster file", edits[i].from);
        }
        (void)snprintf(after, sizeof after, "%.*s%s%s", (int)(at - before), before, edits[i].to,
                       at + strlen(edits[i].from));
        write_text(path, after);
        expect_wrong_cluster(local, edits[i].said);
    }
    // Two nodes with one key.
    (void)snprintf(after, sizeof after, "%s", before);
    static const char label[] = "public_key: ed25519:";
    const char *first = strstr(before, label);
    assert_non_null(first);
    const char *second = strstr(first + 1, label);
    assert_non_null(second);
    memcpy(after + (second - before), first, sizeof label - 1 + 64);
    write_text(path, after);
    expect_wrong_cluster(local, "this key is taken already");
    write_text(path, "");
    expect_wrong_cluster(local, "the file is empty");
    assert_int_equal(unlink(path), 0);
    expect_wrong_cluster(local, "No such file or directory");
    expect_unused(local, "replica-0");
    write_text(path, before);
    const char *const check[] = {"tacit", "check", path, NULL};
    struct run run = run_words(local, check);
    assert_int_equal(run.status, 0);
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

// A client of its own making: another cluster file, in which it has another key.
static void make_stranger(const struct local *local)
{
    char path[TACIT_CONFIG_PATH_BYTES], other[TACIT_CONFIG_PATH_BYTES], text[65536];
    char key[TACIT_CONFIG_PATH_BYTES];
    local_path(local, key, "stranger.key");
    const char *const keygen[] = {"tacit", "keygen", key, NULL};
    struct run run = run_words(local, keygen);
    assert_int_equal(run.status, 0);
    const char *made = strstr(run.text, "ed25519:");
    assert_non_null(made);
    local_path(local, path, "cluster.yaml");
    read_text(path, text, sizeof text);
    char *mine = strstr(text, "name: client-6\n");
    assert_non_null(mine);
    mine = strstr(mine, "ed25519:");
    assert_non_null(mine);
    memcpy(mine, made, strlen("ed25519:") + 64);
    local_path(local, other, "strangers.yaml");
    write_text(other, text);
    local_path(local, path, "stranger.yaml");
    write_text(path, "node: client 6\ncluster: strangers.yaml\nkey: stranger.key\n");
}

static void test_clients(void **state)
{
    (void)state;
    struct local *local = make_cluster();
    struct tacit_error error;
    char node[TACIT_CONFIG_PATH_BYTES], stranger[TACIT_CONFIG_PATH_BYTES], big[5001];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    local_path(local, node, "client-1.yaml");
    local_path(local, stranger, "stranger.yaml");
    const char *const alone[] = {"tacit", "kv", "--node", node, "get", "k", NULL};
    struct run run = run_words(local, alone); // nobody runs yet
    expect_refusal(&run, "no replica can be reached; are they running?");
    make_stranger(local);
    if (local_up(local, &error) != TACIT_OK) {
        fail_msg("%s", error.text);
    }
    const char *const unknown[] = {"tacit", "kv", "--node", stranger, "get", "k", NULL};
    run = run_words(local, unknown);
    expect_refusal(&run, "the proof of identity does not hold");
    const char *const large[] = {"tacit", "kv", "--node", node, "put", "k", big, NULL};
    run = run_words(local, large);
    expect_refusal(&run, "larger than the cluster file allows (limits.request_bytes 4096");
    const char *const fits[] = {"tacit", "kv", "--node", node, "put", "k", "v", NULL};
    run = run_words(local, fits);
    assert_int_equal(run.status, 0);
    end_cluster(local);
}

static void expect_gateway_refusal(const struct local *local, const char *option, const char *value,
                                   const char *said)
{
    const char *const more[] = {option, value, NULL};
    struct run run = run_program(local, "tacit-gateway", "client-0", more, 0);
    expect_refusal(&run, said);
}

// Starts a gateway, waits until it says that it is ready, and ends it.
static void expect_gateway_ready(const struct local *local, const char *socket)
{
    char command[4 * TACIT_CONFIG_PATH_BYTES], line[512] = "";
    (void)snprintf(command, sizeof command,
                   "timeout 2 %s/tacit-gateway --node %s/client-0.yaml --no-tcp --unix %s 2>&1",
                   local->programs, local->directory, socket);
    FILE *output = popen(command, "re");
    assert_non_null(output);
    (void)!fgets(line, sizeof line, output);
    (void)pclose(output); // of timeout
    assert_non_null(strstr(line, "ready on"));
}

static void test_gateway(void **state)
{
    (void)state;
    struct local *local = make_cluster();
    char path[TACIT_CONFIG_PATH_BYTES], port[16];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    (void)snprintf(port, sizeof port, "%u", ntohs(address.sin_port));
    expect_gateway_refusal(local, "--port", port, "Address already in use by another process");
    (void)close(listener);
    expect_gateway_refusal(local, "--bind", "192.0.2.1", "takes an address of this machine");
    expect_gateway_refusal(local, "--bind", "here", "is no IPv4 or IPv6 address");
    local_path(local, path, "gateway.sock");
    listener = listen_on(path);
    expect_gateway_refusal(local, "--unix", path, "Address already in use by another process");
    (void)close(listener); // stale now: taken over
    expect_gateway_ready(local, path);
    local_path(local, path, "cluster.yaml");
    expect_gateway_refusal(local, "--unix", path, "is there and is no socket");
    local_path(local, path, "client-0.key");
    assert_int_equal(chmod(path, 0644), 0);
    expect_gateway_refusal(local, "--port", "0", "chmod 600");
    char key[4096], other[TACIT_CONFIG_PATH_BYTES];
    local_path(local, other, "client-1.key");
    read_text(other, key, sizeof key);
    write_text(path, key);
    assert_int_equal(chmod(path, 0600), 0);
    expect_gateway_refusal(local, "--port", "0", "is not the one of client-0 in the cluster file");
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
    // A limit of the process, met when the start was counted. (A sanitizer reserves more than any.)
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    write_text(path, text);
    char node[TACIT_CONFIG_PATH_BYTES];
    local_path(local, node, "replica-0.yaml");
    const char *const argv[] = {"tacit-replica", "--node", node, NULL};
    run = run_limited(local, argv, &(struct limits){.memory_bytes = 32u << 20});
    expect_refusal(&run, "Cannot allocate memory");
#endif
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

// The limit on the size of files stands for a full disk where no file system can be made.
static void test_file_size_limit(void **state)
{
    (void)state;
    struct local *local = make_cluster();
    char node[TACIT_CONFIG_PATH_BYTES];
    local_path(local, node, "replica-0.yaml");
    const char *const argv[] = {"tacit-replica", "--node", node, NULL};
    struct run run = run_limited(local, argv, &(struct limits){.file_bytes = 1});
    expect_refusal(&run, "File too large");
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

static void expect_no_liar(const struct local *local, const char *attack, const char *other,
                           const char *said)
{
    const char *argv[] = {"tacit",    "local", "up",  "--dir", local->directory, "--port", "0",
                          "--attack", attack,  other, NULL};
    struct run run = run_words(local, argv);
    expect_refusal(&run, said);
    assert_int_equal(local_liars(local), 0);
}

static void test_attacks(void **state)
{
    (void)state;
    struct local *local = make_cluster();
    expect_no_liar(local, "2=lie", NULL, "accepted are none, silent, ");
    expect_no_liar(local, "3=silent", NULL, "an ID below 3");
    expect_no_liar(local, "silent", NULL, "accepted is ID=NAME");
    expect_no_liar(local, "2=silent", "--attack=1=slow", "more liars than f = 1");
    expect_no_liar(local, "2=silent", NULL, "need --mode byzantine");
    expect_unused(local, "replica-2");
    end_cluster(local);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        // Every kind of wrong cluster file.
        cmocka_unit_test(test_wrong_cluster_files),
        // Another kind of node's file, none, another node's key.
        cmocka_unit_test(test_wrong_files),
        cmocka_unit_test(test_key_readable_by_others),
        cmocka_unit_test(test_not_bootstrapped_and_damaged_state),
        // Not there, no shared object, no symbol, another version, its init() says no.
        cmocka_unit_test(test_applications),
        // Sockets and state directories in use; stale sockets work.
        cmocka_unit_test(test_sockets),
        cmocka_unit_test(test_other_digest),
        // Nobody there, a key that the replicas do not know, a request that is too large.
        cmocka_unit_test(test_clients),
        // Port and socket in use, stale socket, wrong addresses and keys.
        cmocka_unit_test(test_gateway),
        cmocka_unit_test(test_not_enough_memory),
        cmocka_unit_test(test_missing_permission),
        cmocka_unit_test(test_file_size_limit),
        cmocka_unit_test(test_full_state_directory),
        // Attacks that there are not, too many of them, in crash mode.
        cmocka_unit_test(test_attacks),
    };
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
