// SPDX-License-Identifier: Apache-2.0
//
// The conformance suite's harness for the shared-memory provider: each node is a process of its
// own, with a user of its own where the test runs as root. Built twice: with the memory node that
// tacit-memnode runs, and with CONF_MEMNODE_IS_PROVIDER, where the replicas' provider plays the
// memory node, so that both kinds of hosts stand under the same cases.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "processes.h"
#include "shm_node.h"

#ifdef CONF_MEMNODE_IS_PROVIDER
#define IS_PROVIDER(kind) true
#else
#define IS_PROVIDER(kind) ((kind) != TACIT_SHM_MEMNODE)
#endif

static struct shm_place place;

// ---- in a node ----

static enum tacit_shm_kind kind;

static bool node_answer(struct conf_process_node *node, const struct conf_request *request,
                        struct conf_reply *reply)
{
    if (request->call != CONF_ATTACK) {
        return false;
    }
    int32_t pid;
    uint32_t uid;
    reply->ok =
        IS_PROVIDER(kind) && tacit_shm_peer_process(node->fabric, request->host, &pid, &uid);
    if (reply->ok) {
        reply->value = shm_node_attack(pid, &reply->value2);
    }
    return true;
}

static void node_close(struct conf_process_node *node)
{
    if (IS_PROVIDER(kind)) {
        tacit_shm_close(node->fabric);
    } else {
        shm_memnode_close();
    }
}

static void node_main(const struct conf_processes *all, struct conf_node what, int socket,
                      pid_t parent)
{
    static struct conf_process_node node = {
        .idle_ns = 50000, .now_ns = tacit_shm_now_ns, .answer = node_answer, .close = node_close};
    static struct shm_node_memory memory;
    struct tacit_shm_config config;
    struct tacit_error error;
    (void)all;
    shm_node_confine(&place, what.name, parent);
    shm_node_config(&config, &memory, &place, what.name, what.incarnation, CONF_REPLICAS);
    kind = config.kind;
    bool ok = IS_PROVIDER(kind) ? tacit_shm_open(&config, &node.fabric, &error) == TACIT_OK &&
                                      tacit_shm_thread_attach(node.fabric, &error) == TACIT_OK
                                : shm_memnode_open(&config, &node.fabric, &error) == TACIT_OK;
    if (!ok) {
        (void)fprintf(stderr, "node %u: %s\n", what.name, error.text);
    }
    conf_process_serve(&node, socket, ok);
}

// ---- in the test ----

static struct conf_processes processes = {
    .main = node_main, .call_timeout_ms = 5000, .slowness = 1};

static bool cluster_open(struct conf_harness *harness, const char **reason)
{
    harness->context = &processes;
    *reason = "no directory for sockets in /tmp";
    return shm_place_open(&place);
}

static void cluster_close(struct conf_harness *harness)
{
    conf_process_kill_all(harness);
    shm_place_close(&place);
}

int main(int argc, char **argv)
{
    struct conf_harness harness = {
        .name = "shm",
        .can = CONF_CAN_KILL | CONF_CAN_PAUSE | CONF_CAN_SLEEP | CONF_CAN_ATTACK | CONF_IS_REAL |
               CONF_KNOWS_DEATH,
        .open = cluster_open,
        .close = cluster_close,
        .start = conf_process_start,
        .kill = conf_process_kill,
        .pause = conf_process_pause,
        .step = conf_process_step,
        .call = conf_process_call,
    };
    bool long_ones = argc > 1 && strcmp(argv[1], "--long") == 0;
    return tacit_conformance_run(&harness, long_ones, argc > 2 ? argv[2] : NULL);
}
