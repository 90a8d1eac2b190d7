// SPDX-License-Identifier: Apache-2.0
//
// A conformance harness whose nodes are processes: what the tests of shm and of verbs share. The
// test's side starts and ends them, and sends them requests; the node's side answers, with the
// provider's own part plugged in.
#ifndef TACIT_TESTS_CONFORMANCE_PROCESSES_H
#define TACIT_TESTS_CONFORMANCE_PROCESSES_H

#include <sys/types.h>

#include "conformance.h"
#include "tacit/crypto.h"

#define CONF_PROCESSES_MAX 192u

// ---- the test's side: context of the harness ----

struct conf_processes {
    // Runs a node in a child of `parent`, by conf_process_serve(); does not return.
    void (*main)(const struct conf_processes *all, struct conf_node what, int socket, pid_t parent);
    int call_timeout_ms;
    unsigned slowness;   // step() takes so many times as long as the cases have in mind
    const void *context; // the provider's
    struct conf_process {
        pid_t pid; // 0: none
        int socket;
        bool paused;
    } processes[CONF_PROCESSES_MAX];
};

// Members of struct conf_harness whose context is a struct conf_processes.
bool conf_process_start(struct conf_harness *harness, struct conf_node what);
void conf_process_kill(struct conf_harness *harness, tacit_node_t name);
void conf_process_pause(struct conf_harness *harness, tacit_node_t name, bool paused);
void conf_process_step(struct conf_harness *harness, tacit_time_ns_t duration_ns);
bool conf_process_call(struct conf_harness *harness, tacit_node_t name,
                       const struct conf_request *request, struct conf_reply *reply);
// Kills whatever runs. The object stays the caller's.
void conf_process_kill_all(struct conf_harness *harness);

// ---- the node's side ----

struct conf_process_node {
    struct tacit_fabric *fabric;
    struct conf_agent agent;
    int socket;
    uint64_t slept_ns;
    tacit_time_ns_t idle_ns;         // pause when there is nothing to do
    tacit_time_ns_t (*now_ns)(void); // of sleep()
    void (*close)(struct conf_process_node *node);
    // Answers what the agent cannot, or not so; true if it did.
    bool (*answer)(struct conf_process_node *node, const struct conf_request *request,
                   struct conf_reply *reply);
    bool (*turn)(struct conf_process_node *node); // work beside the agent's, true if any; NULL
};

// Tells the test whether the node is open, ends the process if not, else serves until the test
// closes the socket.
_Noreturn void conf_process_serve(struct conf_process_node *node, int socket, bool is_open);

// Kind (0 replica, 1 memory node, 2 client) and id of a node by its name in the tests.
unsigned conf_node_kind(tacit_node_t name, uint16_t *id);
// Its keys, which follow from those.
void conf_node_keypair(struct tacit_keypair *keypair, unsigned kind, uint16_t id);
void conf_node_public_key(struct tacit_public_key *key, unsigned kind, uint16_t id);

#endif
