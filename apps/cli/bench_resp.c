// SPDX-License-Identifier: Apache-2.0
//
// See bench_resp.h. What RESP answers is known to the byte, so it is compared, not parsed; of HTTP
// the status and the length are looked at.
#include "bench_resp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "scratch.h"

#define START_NS UINT64_C(10000000000)
#define ANSWER_NS UINT64_C(10000000000)
#define PAUSE_NS 2000000u
#define KEYS 1000u
#define ITEM_BYTES 3072u // a SET with the largest value, in base64, too
#define ANSWER_BYTES 32u
#define LOOK_MS 100
#define HTTP_BYTES 2048u // of an answer

struct connection {
    int socket;
    uint64_t sent_ns;
    uint64_t number; // of the next SET
    size_t to_send, sent;
    size_t expected, received;
    char *out;
    char in[HTTP_BYTES]; // of HTTP: the answer so far
};

struct talk {
    const struct bench_resp_options *options;
    struct histogram *latency;
    uint64_t *answered;
    struct tacit_error *error;
    struct connection connections[BENCH_RESP_CONNECTIONS_MAX];
    uint32_t opened;
    int poll;
    uint64_t begin_ns, end_ns;
    uint64_t answered_ns; // when anything was
    char answer[BENCH_RESP_PIPELINE_MAX * 5 + ANSWER_BYTES];
    size_t answer_bytes;
};

static enum tacit_status fail(struct talk *talk, const char *what)
{
    return tacit_error_set(talk->error, TACIT_EIO, errno, "127.0.0.1:%u: %s: %s",
                           talk->options->port, what, strerror(errno));
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
                                  .sin_port = htons(port)};
    int on = 1;
    int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made >= 0 && connect(made, (const struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(made);
        return -1;
    }
    if (made >= 0) {
        (void)setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    return made;
}

// ---- the loop ----------------------------------------------------------------------------------

// A put to etcd's JSON gateway: key and value are in base64, of which each 4 characters are 3
// bytes, so that a value of one letter in each of them is `value_bytes` long, rounded up.
static size_t compose_http(const struct bench_resp_options *options, uint64_t number, char *out,
                           size_t room)
{
    size_t value = (options->value_bytes + 2u) / 3u * 4u;
    int head = snprintf(out, room,
                        "POST /v3/kv/put HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                        "application/json\r\nContent-Length: %zu\r\n\r\n"
                        "{\"key\":\"key0%012llu\",\"value\":\"",
                        sizeof "{\"key\":\"key0000000000000\",\"value\":\"\"}" - 1 + value,
                        (unsigned long long)(number % KEYS));
    size_t at = (size_t)head;
    memset(out + at, (int)('a' + number % 26), value);
    memcpy(out + at + value, "\"}", 2);
    return at + value + 2;
}

static void compose(struct talk *talk, struct connection *connection)
{
    const struct bench_resp_options *options = talk->options;
    size_t at = 0;
    size_t room = (size_t)options->pipeline * ITEM_BYTES + ANSWER_BYTES;
    connection->sent = connection->received = 0;
    connection->sent_ns = cli_now_ns();
    if (options->is_http) {
        connection->to_send = compose_http(options, connection->number++, connection->out, room);
        return;
    }
    for (uint32_t i = 0; i < options->pipeline; i++) {
        uint64_t number = connection->number++;
        int head = snprintf(connection->out + at, room - at,
                            "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012llu\r\n$%u\r\n",
                            (unsigned long long)(number % KEYS), options->value_bytes);
        at += (size_t)head;
        memset(connection->out + at, (int)('a' + number % 26), options->value_bytes);
        at += options->value_bytes;
        memcpy(connection->out + at, "\r\n", 2);
        at += 2;
    }
    if (options->replicas != 0) {
        at += (size_t)snprintf(connection->out + at, room - at,
                               "*3\r\n$4\r\nWAIT\r\n$1\r\n%u\r\n$1\r\n0\r\n", options->replicas);
    }
    connection->to_send = at;
}

static enum tacit_status push(struct talk *talk, struct connection *connection)
{
    while (connection->sent < connection->to_send) {
        ssize_t wrote = send(connection->socket, connection->out + connection->sent,
                             connection->to_send - connection->sent, MSG_NOSIGNAL);
        if (wrote < 0 && errno == EAGAIN) {
            return TACIT_OK; // what it answers makes room
        }
        if (wrote <= 0) {
            return fail(talk, "cannot send");
        }
        connection->sent += (size_t)wrote;
    }
    return TACIT_OK;
}

static void count(struct talk *talk, struct connection *connection, uint64_t now_ns)
{
    talk->answered_ns = now_ns;
    if (now_ns >= talk->begin_ns && now_ns < talk->end_ns) {
        histogram_add(talk->latency, now_ns - connection->sent_ns);
        *talk->answered += talk->options->pipeline;
    }
}

static enum tacit_status odd(struct talk *talk, const char *in, size_t bytes)
{
    return tacit_error_set(talk->error, TACIT_EIO, 0, "127.0.0.1:%u answered \"%.*s\"",
                           talk->options->port, (int)(bytes < 200 ? bytes : 200), in);
}

// Whether the answer in connection->in is whole.
static enum tacit_status look_http(struct talk *talk, struct connection *connection, bool *is_whole)
{
    static const char length[] = "Content-Length: ";
    const char *in = connection->in;
    const char *end = strstr(in, "\r\n\r\n");
    const char *at = strstr(in, length);
    *is_whole = false;
    if (end == NULL) {
        return connection->received + 1 < HTTP_BYTES ? TACIT_OK
                                                     : odd(talk, in, connection->received);
    }
    if (strncmp(in, "HTTP/1.1 200", 12) != 0 || at == NULL || at > end) {
        return odd(talk, in, connection->received);
    }
    size_t whole = (size_t)(end + 4 - in) + strtoul(at + sizeof length - 1, NULL, 10);
    *is_whole = connection->received == whole;
    return connection->received <= whole && whole < HTTP_BYTES
               ? TACIT_OK
               : odd(talk, in, connection->received);
}

// Takes what came. Errors: it is not what a SET is answered with.
static enum tacit_status take(struct talk *talk, struct connection *connection, bool *is_whole)
{
    bool is_http = talk->options->is_http;
    char in[sizeof talk->answer];
    char *into = is_http ? connection->in + connection->received : in;
    size_t room =
        is_http ? HTTP_BYTES - 1 - connection->received : talk->answer_bytes - connection->received;
    ssize_t size = recv(connection->socket, into, room, 0);
    *is_whole = false;
    if (size < 0 && errno == EAGAIN) {
        return TACIT_OK;
    }
    if (size <= 0) {
        return fail(talk, size == 0 ? "it closed the connection" : "cannot receive");
    }
    if (!is_http && memcmp(in, talk->answer + connection->received, (size_t)size) != 0) {
        return odd(talk, in, (size_t)size);
    }
    connection->received += (size_t)size;
    if (is_http) {
        connection->in[connection->received] = '\0';
        return look_http(talk, connection, is_whole);
    }
    *is_whole = connection->received == talk->answer_bytes;
    return TACIT_OK;
}

static enum tacit_status pull(struct talk *talk, struct connection *connection)
{
    bool is_whole;
    enum tacit_status status = take(talk, connection, &is_whole);
    if (status != TACIT_OK || !is_whole) {
        return status == TACIT_OK ? push(talk, connection) : status;
    }
    uint64_t now_ns = cli_now_ns();
    count(talk, connection, now_ns);
    connection->to_send = 0;
    if (now_ns < talk->end_ns) {
        compose(talk, connection);
        return push(talk, connection);
    }
    return TACIT_OK;
}

static enum tacit_status work(struct talk *talk)
{
    struct epoll_event events[BENCH_RESP_CONNECTIONS_MAX];
    enum tacit_status status = TACIT_OK;
    uint64_t start_ns = cli_now_ns();
    talk->begin_ns = start_ns + talk->options->warm_up_ns;
    talk->end_ns = talk->begin_ns + talk->options->duration_ns;
    talk->answered_ns = start_ns;
    for (uint32_t i = 0; i < talk->opened && status == TACIT_OK; i++) {
        compose(talk, &talk->connections[i]);
        status = push(talk, &talk->connections[i]);
    }
    while (status == TACIT_OK && cli_now_ns() < talk->end_ns) {
        int ready = epoll_wait(talk->poll, events, BENCH_RESP_CONNECTIONS_MAX, LOOK_MS);
        for (int i = 0; i < ready && status == TACIT_OK; i++) {
            status = pull(talk, &talk->connections[events[i].data.u32]);
        }
        if (talk->options->interrupted()) {
            return tacit_error_set(talk->error, TACIT_ECLOSED, 0, "interrupted");
        }
        if (cli_now_ns() > talk->answered_ns + ANSWER_NS) {
            return tacit_error_set(talk->error, TACIT_ETIMEDOUT, 0,
                                   "127.0.0.1:%u has not answered for 10 s", talk->options->port);
        }
    }
    return status;
}

static enum tacit_status open_all(struct talk *talk)
{
    const struct bench_resp_options *options = talk->options;
    talk->poll = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < options->connections; i++) {
        struct connection *connection = &talk->connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data = {.u32 = i}};
        connection->number = (uint64_t)i * (KEYS / 7u);
        connection->socket = connect_to(options->port);
        if (connection->socket < 0) {
            return fail(talk, "cannot connect");
        }
        talk->opened++;
        connection->out = malloc((size_t)options->pipeline * ITEM_BYTES + ANSWER_BYTES);
        if (connection->out == NULL || fcntl(connection->socket, F_SETFL, O_NONBLOCK) != 0 ||
            epoll_ctl(talk->poll, EPOLL_CTL_ADD, connection->socket, &event) != 0) {
            return fail(talk, "cannot wait for it");
        }
    }
    return TACIT_OK;
}

enum tacit_status bench_resp_run(const struct bench_resp_options *options,
                                 struct histogram *latency, uint64_t *answered,
                                 struct tacit_error *error)
{
    struct talk *talk = calloc(1, sizeof *talk);
    if (talk == NULL || options->connections > BENCH_RESP_CONNECTIONS_MAX ||
        options->pipeline > BENCH_RESP_PIPELINE_MAX ||
        (options->is_http && options->pipeline > 1)) {
        free(talk);
        return tacit_error_set(error, TACIT_ENOMEM, 0, "too many connections");
    }
    memset(latency, 0, sizeof *latency);
    *answered = 0;
    talk->options = options;
    talk->latency = latency;
    talk->answered = answered;
    talk->error = error;
    for (uint32_t i = 0; i < options->pipeline; i++) {
        memcpy(talk->answer + talk->answer_bytes, "+OK\r\n", 5);
        talk->answer_bytes += 5;
    }
    if (options->replicas != 0) {
        talk->answer_bytes += (size_t)snprintf(talk->answer + talk->answer_bytes, ANSWER_BYTES,
                                               ":%u\r\n", options->replicas);
    }
    enum tacit_status status = open_all(talk);
    if (status == TACIT_OK) {
        status = work(talk);
    }
    for (uint32_t i = 0; i < talk->opened; i++) {
        (void)close(talk->connections[i].socket);
        free(talk->connections[i].out);
    }
    if (talk->poll >= 0) {
        (void)close(talk->poll);
    }
    free(talk);
    return status;
}

// ---- servers -----------------------------------------------------------------------------------

bool bench_redis_is_here(void)
{
    return access("/usr/bin/redis-server", X_OK) == 0;
}

static pid_t start_one(uint16_t port, uint16_t primary)
{
    char own[16];
    char of[48];
    (void)snprintf(own, sizeof own, "%u", port);
    (void)snprintf(of, sizeof of, "127.0.0.1 %u", primary);
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_RDWR);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
        // Alone by its defaults but for the disk; a replica's first copy is sent at once.
        (void)execl("/usr/bin/redis-server", "redis-server", "--port", own, "--bind", "127.0.0.1",
                    "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0", "--dir",
                    "/tmp", primary == 0 ? (char *)NULL : "--replicaof", of, (char *)NULL);
        _exit(127);
    }
    return child;
}

// One SET that all replicas acknowledge.
static bool is_in_step(const struct bench_redis *redis)
{
    struct histogram *latency = calloc(1, sizeof *latency);
    uint64_t answered = 0;
    struct tacit_error error;
    int probe = connect_to(redis->ports[0]);
    if (probe >= 0) {
        (void)close(probe);
    }
    char line[32] = "";
    bool ok = probe >= 0 && latency != NULL;
    if (ok && redis->count > 1) {
        int talk = connect_to(redis->ports[0]);
        const char *ask = "*3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$3\r\n100\r\n";
        ok = talk >= 0 && send(talk, ask, strlen(ask), MSG_NOSIGNAL) > 0 &&
             recv(talk, line, sizeof line - 1, 0) > 0 && strcmp(line, ":2\r\n") == 0;
        if (talk >= 0) {
            (void)close(talk);
        }
    }
    if (ok) {
        struct bench_resp_options options = {.port = redis->ports[0],
                                             .connections = 1,
                                             .pipeline = 1,
                                             .replicas = redis->count - 1,
                                             .value_bytes = 8,
                                             .duration_ns = 10000000,
                                             .interrupted = scratch_interrupted};
        ok = bench_resp_run(&options, latency, &answered, &error) == TACIT_OK && answered > 0;
    }
    free(latency);
    return ok;
}

enum tacit_status bench_redis_start(struct bench_redis *redis, unsigned replicas,
                                    struct tacit_error *error)
{
    *redis = (struct bench_redis){0};
    for (unsigned i = 0; i <= replicas && i < BENCH_REDIS_MAX; i++) {
        redis->ports[i] = scratch_port();
        redis->pids[i] = start_one(redis->ports[i], i == 0 ? 0 : redis->ports[0]);
        if (redis->pids[i] < 0) {
            return tacit_error_set(error, TACIT_EIO, errno, "cannot start redis-server");
        }
        redis->count++;
    }
    uint64_t end_ns = cli_now_ns() + START_NS;
    while (!is_in_step(redis)) {
        if (cli_now_ns() > end_ns || scratch_interrupted()) {
            return tacit_error_set(error, TACIT_ETIMEDOUT, 0,
                                   "redis-server with %u replicas does not answer", replicas);
        }
        cli_sleep_ns(PAUSE_NS);
    }
    return TACIT_OK;
}

void bench_redis_stop(struct bench_redis *redis)
{
    for (unsigned i = 0; i < redis->count; i++) {
        (void)kill(redis->pids[i], SIGKILL);
        (void)waitpid(redis->pids[i], NULL, 0);
    }
    redis->count = 0;
}

// ---- etcd --------------------------------------------------------------------------------------

#define ETCD "/usr/bin/etcd"

bool bench_etcd_is_here(void)
{
    return access(ETCD, X_OK) == 0;
}

static pid_t start_etcd(const struct bench_etcd *etcd, unsigned i, const char *members)
{
    char name[8];
    char data[TACIT_CONFIG_PATH_BYTES];
    char client[48];
    char peer[48];
    (void)snprintf(name, sizeof name, "n%u", i);
    (void)snprintf(data, sizeof data, "%s/n%u", etcd->directory, i);
    (void)snprintf(client, sizeof client, "http://127.0.0.1:%u", etcd->ports[i]);
    (void)snprintf(peer, sizeof peer, "http://127.0.0.1:%u", etcd->peer_ports[i]);
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_RDWR);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
        (void)execl(ETCD, "etcd", "--name", name, "--data-dir", data, "--listen-client-urls",
                    client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
                    "--initial-advertise-peer-urls", peer, "--initial-cluster", members,
                    "--initial-cluster-state", "new", "--log-level", "error", (char *)NULL);
        _exit(127);
    }
    return child;
}

// One SET that it answers.
static bool etcd_answers(uint16_t port)
{
    struct histogram *latency = calloc(1, sizeof *latency);
    uint64_t answered = 0;
    struct tacit_error error;
    struct bench_resp_options options = {.port = port,
                                         .connections = 1,
                                         .pipeline = 1,
                                         .is_http = true,
                                         .value_bytes = 9,
                                         .duration_ns = 10000000,
                                         .interrupted = scratch_interrupted};
    bool ok = latency != NULL && bench_resp_run(&options, latency, &answered, &error) == TACIT_OK &&
              answered > 0;
    free(latency);
    return ok;
}

enum tacit_status bench_etcd_start(struct bench_etcd *etcd, struct tacit_error *error)
{
    char members[256] = "";
    size_t used = 0;
    memset(etcd, 0, sizeof *etcd);
    // Where files are memory: what is compared is agreement, not disks.
    (void)snprintf(etcd->directory, sizeof etcd->directory, "/dev/shm/tacit-etcd-XXXXXX");
    if (mkdtemp(etcd->directory) == NULL) {
        etcd->directory[0] = '\0';
        return tacit_error_set(error, TACIT_EIO, errno, "cannot make a folder in /dev/shm");
    }
    for (unsigned i = 0; i < BENCH_ETCD; i++) {
        etcd->ports[i] = scratch_port();
        etcd->peer_ports[i] = scratch_port();
        used += (size_t)snprintf(members + used, sizeof members - used, "%sn%u=http://127.0.0.1:%u",
                                 i == 0 ? "" : ",", i, etcd->peer_ports[i]);
    }
    for (unsigned i = 0; i < BENCH_ETCD; i++) {
        etcd->pids[i] = start_etcd(etcd, i, members);
        if (etcd->pids[i] < 0) {
            return tacit_error_set(error, TACIT_EIO, errno, "cannot start etcd");
        }
        etcd->count++;
    }
    uint64_t end_ns = cli_now_ns() + START_NS;
    while (!etcd_answers(etcd->ports[0])) {
        if (cli_now_ns() > end_ns || scratch_interrupted()) {
            return tacit_error_set(error, TACIT_ETIMEDOUT, 0, "etcd does not answer");
        }
        cli_sleep_ns(PAUSE_NS);
    }
    return TACIT_OK;
}

void bench_etcd_stop(struct bench_etcd *etcd)
{
    for (unsigned i = 0; i < etcd->count; i++) {
        (void)kill(etcd->pids[i], SIGKILL);
        (void)waitpid(etcd->pids[i], NULL, 0);
    }
    etcd->count = 0;
    if (etcd->directory[0] != '\0') {
        scratch_remove(etcd->directory);
        etcd->directory[0] = '\0';
    }
}
