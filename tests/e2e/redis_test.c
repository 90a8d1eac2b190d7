// SPDX-License-Identifier: Apache-2.0
//
// The gateway against the original: the same bytes go to a live redis-server and to the gateway of
// a cluster, and what comes back must be the same to the byte, and be what
// tests/support/redis_replies.h claims. And what redis-server cannot show: a gateway without a
// majority answers with an error after its time-out, hears what else is asked meanwhile, and serves
// again when the replicas are back.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "e2e.h"
#include "tests/support/redis_replies.h"

#define SENTINEL "*2\r\n$4\r\nECHO\r\n$12\r\nthat was all\r\n"
#define DOWN "-CLUSTERDOWN the replicas cannot be reached; not executed\r\n"
#define SENTINEL_REPLY "$12\r\nthat was all\r\n"

static const struct local_plan plan = {.replicas = 3, .waiting = TACIT_CONFIG_ADAPTIVE};

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = 30};
    if (connection >= 0 &&
        (setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
         connect(connection, (const struct sockaddr *)&address, sizeof address) != 0)) {
        (void)close(connection);
        connection = -1;
    }
    return connection;
}

static void send_all(int connection, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(connection, bytes, size, MSG_NOSIGNAL);
        assert_true(sent > 0);
        bytes += sent;
        size -= (size_t)sent;
    }
}

// Sends bytes on a connection of their own. With `ends` the answer is all until the other side
// closes; else what comes before the answer to an ECHO.
static void ask(uint16_t port, const char *bytes, size_t size, bool ends, char *out, size_t max)
{
    int connection = connect_to(port);
    assert_true(connection >= 0);
    send_all(connection, bytes, size);
    if (!ends) {
        send_all(connection, SENTINEL, sizeof SENTINEL - 1);
    }
    size_t used = 0, tail = sizeof SENTINEL_REPLY - 1;
    ssize_t got = 1;
    bool done = false;
    while (!done && got > 0 && used < max - 1) {
        got = recv(connection, out + used, max - 1 - used, 0);
        used += got > 0 ? (size_t)got : 0;
        done = !ends && used >= tail && memcmp(out + used - tail, SENTINEL_REPLY, tail) == 0;
    }
    (void)close(connection);
    used -= done ? tail : 0;
    out[used] = '\0';
    if (ends ? got != 0 : !done) {
        fail_msg("port %u did not end its answer to %s, but said %s", port, bytes, out);
    }
}

// The server's program. Debian's redis-tools has the same one under the name redis-check-rdb, so
// that the package redis-server, which would start a service, is not needed.
static bool find_redis(const struct local *local, char path[TACIT_CONFIG_PATH_BYTES])
{
    static const char *const places[] = {"/usr/bin/redis-server", "/usr/local/bin/redis-server",
                                         "/usr/bin/redis-check-rdb"};
    local_path(local, path, "redis-server");
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (access(places[i], X_OK) == 0) {
            return symlink(places[i], path) == 0;
        }
    }
    return false;
}

static pid_t start_redis(const struct local *local, uint16_t port)
{
    pid_t parent = getpid();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char command[2 * TACIT_CONFIG_PATH_BYTES + 256];
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) {
            (void)snprintf(command, sizeof command,
                           "exec %s/redis-server --port %u --bind 127.0.0.1 --save '' "
                           "--appendonly no --dir %s >/dev/null 2>&1",
                           local->directory, port, local->directory);
            (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        }
        _exit(127);
    }
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    int connection = -1;
    while (connection < 0 && cli_now_ns() < end_ns) {
        cli_sleep_ns(2000000);
        connection = connect_to(port);
    }
    assert_true(connection >= 0);
    (void)close(connection);
    return child;
}

static unsigned compare(uint16_t redis, uint16_t gateway, const struct redis_case *one, bool ends)
{
    char original[8192], ours[8192];
    ask(redis, one->in, strlen(one->in), ends, original, sizeof original);
    ask(gateway, one->in, strlen(one->in), ends, ours, sizeof ours);
    if (strcmp(original, ours) != 0 || strcmp(original, one->out) != 0) {
        print_message("to      %s\nredis   %s\ngateway %s\nclaimed %s\n", one->in, original, ours,
                      one->out);
        return 1;
    }
    return 0;
}

// What has zero bytes in it, or is too long to be written down.
static unsigned compare_bytes(uint16_t redis, uint16_t gateway, const char *bytes, size_t size,
                              bool ends)
{
    char original[8192], ours[8192];
    ask(redis, bytes, size, ends, original, sizeof original);
    ask(gateway, bytes, size, ends, ours, sizeof ours);
    if (strcmp(original, ours) != 0) {
        print_message("to %.60s\nredis   %s\ngateway %s\n", bytes, original, ours);
        return 1;
    }
    return 0;
}

static void test_like_redis(void **state)
{
    (void)state;
    char path[TACIT_CONFIG_PATH_BYTES];
    struct local *local = e2e_make(&plan, true);
    if (!find_redis(local, path)) {
        print_message("skipped: no redis-server here (Debian's packages redis-server or "
                      "redis-tools)\n");
        e2e_cluster_end(local);
        skip();
    }
    e2e_start(local);
    uint16_t redis = scratch_port(), gateway = local->port;
    pid_t server = start_redis(local, redis);
    unsigned differ = 0;
    for (size_t i = 0; i < sizeof redis_script / sizeof *redis_script; i++) {
        differ += compare(redis, gateway, &redis_script[i], false);
    }
    for (size_t i = 0; i < sizeof redis_errors / sizeof *redis_errors; i++) {
        differ += compare(redis, gateway, &redis_errors[i], true);
    }
#define BYTES(text) text, sizeof text - 1
    differ += compare_bytes(redis, gateway,
                            BYTES("*3\r\n$3\r\nSET\r\n$3\r\nb\0k\r\n$5\r\na\r\n\0c\r\n"), false);
    differ += compare_bytes(redis, gateway, BYTES("*2\r\n$3\r\nGET\r\n$3\r\nb\0k\r\n"), false);
    differ += compare_bytes(redis, gateway, BYTES("*2\r\n$3\r\na\0b\r\n$3\r\nc\0d\r\n"), false);
    static char line[70000];
    memset(line, 'x', sizeof line);
    differ += compare_bytes(redis, gateway, line, sizeof line, true);
    print_message("%zu cases, %u differ\n",
                  sizeof redis_script / sizeof *redis_script +
                      sizeof redis_errors / sizeof *redis_errors + 4,
                  differ);
    (void)kill(server, SIGTERM);
    (void)waitpid(server, NULL, 0);
    assert_int_equal(differ, 0);
    e2e_cluster_end(local);
}

// Starts a gateway with a time-out of its own.
static pid_t start_gateway(const struct local *local, uint16_t port, const char *timeout_ms)
{
    pid_t parent = getpid();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char program[TACIT_CONFIG_PATH_BYTES + 32], node[TACIT_CONFIG_PATH_BYTES], number[16];
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)snprintf(program, sizeof program, "%s/tacit-gateway", local->programs);
        (void)snprintf(number, sizeof number, "%u", port);
        local_path(local, node, "client-%u.yaml", LOCAL_COMMAND_CLIENT);
        if (getppid() == parent) {
            (void)execl(program, program, "--node", node, "--port", number, "--timeout", timeout_ms,
                        (char *)NULL);
        }
        _exit(127);
    }
    return child;
}

// While the gateway waits for a group that is silent, it sleeps for replies: connections that ask
// for what needs no group, and what comes late on one that waits, are heard all the same.
static void ask_beside_a_waiting_one(uint16_t port)
{
    char out[4096];
    int waiting = connect_to(port);
    assert_true(waiting >= 0);
    send_all(waiting, "INCR k\r\n", 8);
    cli_sleep_ns(100000000); // it sleeps for replies by now
    ask(port, "PING\r\n", 6, false, out, sizeof out);
    assert_string_equal(out, "+PONG\r\n");
    send_all(waiting, "PING\r\n", 6);
    static const char expected[] = DOWN "+PONG\r\n";
    size_t used = 0;
    ssize_t got = 1;
    while (used < sizeof expected - 1 && got > 0) {
        got = recv(waiting, out + used, sizeof expected - 1 - used, 0);
        used += got > 0 ? (size_t)got : 0;
    }
    (void)close(waiting);
    out[used] = '\0';
    assert_string_equal(out, expected);
}

static void test_no_majority(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&plan, false);
    uint16_t port = scratch_port();
    pid_t gateway = start_gateway(local, port, "1000");
    char out[4096];
    int connection = -1;
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    while (connection < 0 && cli_now_ns() < end_ns) {
        cli_sleep_ns(2000000);
        connection = connect_to(port);
    }
    assert_true(connection >= 0);
    (void)close(connection);
    ask(port, "SET k 1\r\n", 9, false, out, sizeof out);
    assert_string_equal(out, "+OK\r\n");
    // Stopped, not killed: so they can come back.
    for (uint16_t r = 0; r < 3; r++) {
        assert_int_equal(local_signal(local, e2e_replica(r), SIGSTOP, NULL), TACIT_OK);
    }
    ask_beside_a_waiting_one(port);
    uint64_t asked_ns = cli_now_ns();
    // The session of a new connection cannot be opened: certainly not executed.
    ask(port, "INCR k\r\nPING\r\nINCR k\r\n", 22, false, out, sizeof out);
    uint64_t took_ns = cli_now_ns() - asked_ns;
    assert_string_equal(out, DOWN "+PONG\r\n" DOWN);
    assert_true(took_ns >= 1000000000u && took_ns < 10000000000u);
    for (uint16_t r = 0; r < 3; r++) {
        assert_int_equal(local_signal(local, e2e_replica(r), SIGCONT, NULL), TACIT_OK);
    }
    assert_true(local_wait_members(local, 7, E2E_READY_NS));
    end_ns = cli_now_ns() + E2E_READY_NS;
    do {
        ask(port, "GET k\r\n", 7, false, out, sizeof out);
    } while (strncmp(out, "-CLUSTERDOWN", 12) == 0 && cli_now_ns() < end_ns);
    assert_string_equal(out, "$1\r\n1\r\n");
    (void)kill(gateway, SIGTERM);
    (void)waitpid(gateway, NULL, 0);
    e2e_cluster_end(local);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_like_redis),
                                       cmocka_unit_test(test_no_majority)};
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
