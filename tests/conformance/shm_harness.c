// SPDX-License-Identifier: Apache-2.0
//
// The conformance suite's harness for the shared-memory provider: each node is a process of its
// own, with a user of its own where the test runs as root. Built twice: with the memory node that
// tacit-memnode runs, and with CONF_MEMNODE_IS_PROVIDER, where the replicas' provider plays the
// memory node, so that both kinds of hosts stand under the same cases.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conformance.h"
#include "shm_node.h"

#define NODES_MAX 192u
#define CALL_TIMEOUT_MS 5000
#define IDLE_NS 50000
#ifdef CONF_MEMNODE_IS_PROVIDER
#define IS_PROVIDER(kind) true
#else
#define IS_PROVIDER(kind) ((kind) != TACIT_SHM_MEMNODE)
#endif

struct cluster {
    struct shm_place place;
    struct process {
        pid_t pid; // 0: none
        int socket;
        bool paused;
    } processes[NODES_MAX];
};

// ---- in a node ----

struct node {
    int socket;
    enum tacit_shm_kind kind;
    struct tacit_fabric *fabric;
    struct conf_agent agent;
    uint64_t slept_ns;
};

static void node_sleep(struct node *node, uint64_t for_ns)
{
    const struct tacit_fabric_ops *ops = node->fabric->ops;
    ops->arm(node->fabric);
    node->slept_ns = 0;
    if (!conf_agent_turn(&node->agent)) {
        uint64_t from_ns = tacit_shm_now_ns();
        ops->sleep(node->fabric, from_ns + for_ns);
        node->slept_ns = tacit_shm_now_ns() - from_ns;
    }
    ops->disarm(node->fabric);
}

static void node_answer(struct node *node, const struct conf_request *request)
{
    static struct conf_reply reply;
    if (request->call == CONF_SLEEP_RESULT) {
        memset(&reply, 0, sizeof reply);
        reply.ok = true;
        reply.value = node->slept_ns;
    } else if (request->call == CONF_ATTACK) {
        memset(&reply, 0, sizeof reply);
        int32_t pid;
        uint32_t uid;
        reply.ok = IS_PROVIDER(node->kind) &&
                   tacit_shm_peer_process(node->fabric, request->host, &pid, &uid);
        if (reply.ok) {
            reply.value = shm_node_attack(pid, &reply.value2);
        }
    } else {
        conf_agent_execute(&node->agent, request, &reply);
        reply.ok = reply.ok || request->call == CONF_SLEEP;
    }
    (void)!send(node->socket, &reply, sizeof reply, MSG_NOSIGNAL);
    if (request->call == CONF_SLEEP) {
        node_sleep(node, request->until_ns);
    }
}

static void node_main(const struct shm_place *place, struct conf_node what, int socket,
                      pid_t parent)
{
    static struct node node;
    static struct shm_node_memory memory;
    struct tacit_shm_config config;
    struct tacit_error error;
    shm_node_confine(place, what.name, parent);
    shm_node_config(&config, &memory, place, what.name, what.incarnation, CONF_REPLICAS);
    node.kind = config.kind;
    bool ok = IS_PROVIDER(config.kind)
                  ? tacit_shm_open(&config, &node.fabric, &error) == TACIT_OK &&
                        tacit_shm_thread_attach(node.fabric, &error) == TACIT_OK
                  : shm_memnode_open(&config, &node.fabric, &error) == TACIT_OK;
    if (!ok) {
        (void)fprintf(stderr, "node %u: %s\n", what.name, error.text);
    }
    (void)!send(socket, &ok, sizeof ok, MSG_NOSIGNAL);
    if (!ok) {
        _exit(1);
    }
    node.socket = socket;
    conf_agent_init(&node.agent, node.fabric);
    for (;;) {
        static struct conf_request request;
        bool busy = conf_agent_turn(&node.agent);
        ssize_t got = recv(socket, &request, sizeof request, MSG_DONTWAIT);
        if (got == (ssize_t)sizeof request) {
            node_answer(&node, &request);
        } else if (got == 0 || (got < 0 && errno != EAGAIN)) {
            if (IS_PROVIDER(node.kind)) {
                tacit_shm_close(node.fabric);
            } else {
                shm_memnode_close();
            }
            _exit(0);
        } else if (!busy) {
            struct pollfd ready = {.fd = socket, .events = POLLIN};
            (void)ppoll(&ready, 1, &(struct timespec){.tv_nsec = IDLE_NS}, NULL);
        }
    }
}

// ---- in the test ----

static struct process *process_of(struct conf_harness *harness, tacit_node_t name)
{
    struct cluster *cluster = harness->context;
    return name < NODES_MAX ? &cluster->processes[name] : NULL;
}

static void node_kill(struct conf_harness *harness, tacit_node_t name)
{
    struct process *process = process_of(harness, name);
    if (process->pid == 0) {
        return;
    }
    (void)kill(process->pid, SIGKILL);
    (void)waitpid(process->pid, NULL, 0);
    close(process->socket);
    memset(process, 0, sizeof *process);
}

static bool node_start(struct conf_harness *harness, struct conf_node what)
{
    struct cluster *cluster = harness->context;
    struct process *process = process_of(harness, what.name);
    int sockets[2];
    if (process == NULL || process->pid != 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
        return false;
    }
    (void)fflush(NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        for (unsigned i = 0; i < NODES_MAX; i++) {
            if (cluster->processes[i].pid != 0) {
                close(cluster->processes[i].socket);
            }
        }
        close(sockets[0]);
        node_main(&cluster->place, what, sockets[1], parent);
    }
    close(sockets[1]);
    if (pid < 0) {
        close(sockets[0]);
        return false;
    }
    *process = (struct process){.pid = pid, .socket = sockets[0]};
    struct pollfd ready = {.fd = sockets[0], .events = POLLIN};
    bool ok = false;
    if (poll(&ready, 1, CALL_TIMEOUT_MS) == 1 &&
        recv(sockets[0], &ok, sizeof ok, 0) == (ssize_t)sizeof ok && ok) {
        return true;
    }
    node_kill(harness, what.name);
    return false;
}

static void node_pause(struct conf_harness *harness, tacit_node_t name, bool paused)
{
    struct process *process = process_of(harness, name);
    process->paused = paused;
    (void)kill(process->pid, paused ? SIGSTOP : SIGCONT);
    if (paused) {
        (void)waitpid(process->pid, NULL, WUNTRACED); // until it really stands
    }
}

static void step(struct conf_harness *harness, tacit_time_ns_t duration_ns)
{
    (void)harness;
    struct timespec pause = {.tv_sec = (time_t)(duration_ns / 1000000000u),
                             .tv_nsec = (long)(duration_ns % 1000000000u)};
    (void)nanosleep(&pause, NULL);
}

static bool node_call(struct conf_harness *harness, tacit_node_t name,
                      const struct conf_request *request, struct conf_reply *reply)
{
    struct process *process = process_of(harness, name);
    if (process->pid == 0 || process->paused ||
        send(process->socket, request, sizeof *request, MSG_NOSIGNAL) != (ssize_t)sizeof *request) {
        return false;
    }
    struct pollfd ready = {.fd = process->socket, .events = POLLIN};
    return poll(&ready, 1, CALL_TIMEOUT_MS) == 1 &&
           recv(process->socket, reply, sizeof *reply, 0) == (ssize_t)sizeof *reply;
}

static bool cluster_open(struct conf_harness *harness, const char **reason)
{
    struct cluster *cluster = calloc(1, sizeof *cluster);
    harness->context = cluster;
    *reason = "no directory for sockets in /tmp";
    return cluster != NULL && shm_place_open(&cluster->place);
}

static void cluster_close(struct conf_harness *harness)
{
    struct cluster *cluster = harness->context;
    for (tacit_node_t name = 0; name < NODES_MAX; name++) {
        node_kill(harness, name);
    }
    shm_place_close(&cluster->place);
    free(cluster);
    harness->context = NULL;
}

int main(int argc, char **argv)
{
    struct conf_harness harness = {
        .name = "shm",
        .can = CONF_CAN_KILL | CONF_CAN_PAUSE | CONF_CAN_SLEEP | CONF_CAN_ATTACK | CONF_IS_REAL |
               CONF_KNOWS_DEATH,
        .open = cluster_open,
        .close = cluster_close,
        .start = node_start,
        .kill = node_kill,
        .pause = node_pause,
        .step = step,
        .call = node_call,
    };
    bool long_ones = argc > 1 && strcmp(argv[1], "--long") == 0;
    return tacit_conformance_run(&harness, long_ones, argc > 2 ? argv[2] : NULL);
}
