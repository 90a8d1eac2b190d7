// SPDX-License-Identifier: Apache-2.0
//
// See processes.h.
#include "processes.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

// ---- the test's side ----

static struct conf_process *process_of(struct conf_harness *harness, tacit_node_t name)
{
    struct conf_processes *all = harness->context;
    return name < CONF_PROCESSES_MAX ? &all->processes[name] : NULL;
}

void conf_process_kill(struct conf_harness *harness, tacit_node_t name)
{
    struct conf_process *process = process_of(harness, name);
    if (process->pid == 0) {
        return;
    }
    (void)kill(process->pid, SIGKILL);
    (void)waitpid(process->pid, NULL, 0);
    (void)close(process->socket);
    memset(process, 0, sizeof *process);
}

void conf_process_kill_all(struct conf_harness *harness)
{
    for (tacit_node_t name = 0; name < CONF_PROCESSES_MAX; name++) {
        conf_process_kill(harness, name);
    }
}

bool conf_process_start(struct conf_harness *harness, struct conf_node what)
{
    struct conf_processes *all = harness->context;
    struct conf_process *process = process_of(harness, what.name);
    int sockets[2];
    if (process == NULL || process->pid != 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
        return false;
    }
    (void)fflush(NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        for (unsigned i = 0; i < CONF_PROCESSES_MAX; i++) {
            if (all->processes[i].pid != 0) {
                (void)close(all->processes[i].socket);
            }
        }
        (void)close(sockets[0]);
        all->main(all, what, sockets[1], parent);
        _exit(1);
    }
    (void)close(sockets[1]);
    if (pid < 0) {
        (void)close(sockets[0]);
        return false;
    }
    *process = (struct conf_process){.pid = pid, .socket = sockets[0]};
    struct pollfd ready = {.fd = sockets[0], .events = POLLIN};
    bool ok = false;
    if (poll(&ready, 1, all->call_timeout_ms) == 1 &&
        recv(sockets[0], &ok, sizeof ok, 0) == (ssize_t)sizeof ok && ok) {
        return true;
    }
    conf_process_kill(harness, what.name);
    return false;
}

void conf_process_pause(struct conf_harness *harness, tacit_node_t name, bool paused)
{
    struct conf_process *process = process_of(harness, name);
    process->paused = paused;
    (void)kill(process->pid, paused ? SIGSTOP : SIGCONT);
    if (paused) {
        (void)waitpid(process->pid, NULL, WUNTRACED); // until it really stands
    }
}

void conf_process_step(struct conf_harness *harness, tacit_time_ns_t duration_ns)
{
    const struct conf_processes *all = harness->context;
    duration_ns *= all->slowness;
    struct timespec pause = {.tv_sec = (time_t)(duration_ns / 1000000000u),
                             .tv_nsec = (long)(duration_ns % 1000000000u)};
    (void)nanosleep(&pause, NULL);
}

bool conf_process_call(struct conf_harness *harness, tacit_node_t name,
                       const struct conf_request *request, struct conf_reply *reply)
{
    const struct conf_processes *all = harness->context;
    struct conf_process *process = process_of(harness, name);
    if (process->pid == 0 || process->paused ||
        send(process->socket, request, sizeof *request, MSG_NOSIGNAL) != (ssize_t)sizeof *request) {
        return false;
    }
    struct pollfd ready = {.fd = process->socket, .events = POLLIN};
    int answered = poll(&ready, 1, all->call_timeout_ms);
    if (answered == 1 && recv(process->socket, reply, sizeof *reply, 0) == (ssize_t)sizeof *reply) {
        return true;
    }
    int status = 0;
    bool ended = waitpid(process->pid, &status, WNOHANG) == process->pid;
    print_message("# node %u %s (poll %d, wait status %#x)\n", name,
                  ended ? "has ended by itself" : "does not answer", answered, (unsigned)status);
    return false;
}

// ---- the node's side ----

static void sleep_once(struct conf_process_node *node, uint64_t for_ns)
{
    const struct tacit_fabric_ops *ops = node->fabric->ops;
    ops->arm(node->fabric);
    node->slept_ns = 0;
    if (!conf_agent_turn(&node->agent)) {
        uint64_t from_ns = node->now_ns();
        ops->sleep(node->fabric, from_ns + for_ns);
        node->slept_ns = node->now_ns() - from_ns;
    }
    ops->disarm(node->fabric);
}

static void answer(struct conf_process_node *node, const struct conf_request *request)
{
    static struct conf_reply reply;
    memset(&reply, 0, sizeof reply);
    if (request->call == CONF_SLEEP_RESULT) {
        reply.ok = true;
        reply.value = node->slept_ns;
    } else if (request->call == CONF_SLEEP) {
        reply.ok = true;
    } else if (!node->answer(node, request, &reply)) {
        conf_agent_execute(&node->agent, request, &reply);
    }
    (void)!send(node->socket, &reply, sizeof reply, MSG_NOSIGNAL);
    if (request->call == CONF_SLEEP) {
        sleep_once(node, request->until_ns);
    }
}

_Noreturn void conf_process_serve(struct conf_process_node *node, int socket, bool is_open)
{
    (void)!send(socket, &is_open, sizeof is_open, MSG_NOSIGNAL);
    if (!is_open) {
        _exit(1);
    }
    node->socket = socket;
    conf_agent_init(&node->agent, node->fabric);
    for (;;) {
        static struct conf_request request;
        bool busy = conf_agent_turn(&node->agent);
        busy |= node->turn != NULL && node->turn(node);
        ssize_t got = recv(socket, &request, sizeof request, MSG_DONTWAIT);
        if (got == (ssize_t)sizeof request) {
            answer(node, &request);
        } else if (got == 0 || (got < 0 && errno != EAGAIN)) {
            node->close(node);
            _exit(0);
        } else if (!busy) {
            struct pollfd ready = {.fd = socket, .events = POLLIN};
            struct timespec pause = {.tv_nsec = (long)node->idle_ns};
            (void)ppoll(&ready, 1, &pause, NULL);
        }
    }
}

unsigned conf_node_kind(tacit_node_t name, uint16_t *id)
{
    bool is_client = name >= CONF_CLIENT(0);
    bool is_memnode = !is_client && name >= TACIT_NODE_MEMNODE;
    *id = (uint16_t)(name - (is_client ? CONF_CLIENT(0) : is_memnode ? TACIT_NODE_MEMNODE : 0u));
    return is_client ? 2 : is_memnode ? 1 : 0;
}

void conf_node_keypair(struct tacit_keypair *keypair, unsigned kind, uint16_t id)
{
    uint8_t seed[TACIT_SEED_BYTES] = {(uint8_t)(1 + kind), (uint8_t)id, (uint8_t)(id >> 8)};
    tacit_keypair_from_seed(keypair, seed);
}

void conf_node_public_key(struct tacit_public_key *key, unsigned kind, uint16_t id)
{
    struct tacit_keypair keypair;
    conf_node_keypair(&keypair, kind, id);
    *key = keypair.public_key;
    tacit_keypair_wipe(&keypair);
}
