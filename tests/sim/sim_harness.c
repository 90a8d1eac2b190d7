// SPDX-License-Identifier: Apache-2.0
//
// The sim provider's harness of the conformance suite (tests/conformance): nodes are objects, time
// passes in step() only. Each case runs under a model drawn from a seed, so that several runs of
// this program with other seeds see other latencies, tears and delays; what the cases forbid
// (breaking connections, posts refused without reason) is switched off.
//
//   sim_conformance [--long] [--seed S] [CASE]
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance/conformance.h"
#include "sim_fabric.h"

#define NODES_MAX SIM_SLOTS
#define TURN_NS 20000u // every node is looked at this often even if nothing woke it

struct node {
    tacit_node_t name;
    uint32_t slot;
    bool alive, paused, dirty;
    bool sleeping;
    uint64_t sleep_began_ns, sleep_until_ns, slept_ns, rung;
    struct conf_agent *agent;
};

static struct {
    uint64_t seed;
    struct choice choice;
    struct sim_heap heap;
    struct sim_net *net;
    struct node node[NODES_MAX];
    uint32_t nodes;
    uint32_t clients;
} sim;

static struct node *find(tacit_node_t name)
{
    for (uint32_t i = 0; i < sim.nodes; i++) {
        if (sim.node[i].name == name) {
            return &sim.node[i];
        }
    }
    return NULL;
}

static void wake(void *context, uint32_t slot, uint64_t delay_ns)
{
    (void)context;
    (void)delay_ns;
    sim.node[slot].dirty = true;
}

static void landed(void *context, uint32_t peer, uint32_t host, bool whole)
{
    (void)context;
    (void)peer;
    (void)host;
    (void)whole;
}

static bool harness_open(struct conf_harness *harness, const char **reason)
{
    sim.net = sim_net_open(
        &(struct sim_net_limits){.op_bytes = CONF_DATA_BYTES, .memory_bytes = 64u << 20});
    if (sim.net == NULL) {
        *reason = "not enough memory";
        return false;
    }
    struct sim_model model;
    choice_init_seed(&sim.choice, sim.seed);
    sim_model_draw(&model, &sim.choice, 1);
    model.plane_break_rate = 0;
    model.conn_break_rate = 0;
    model.deny_break_rate = 0;
    model.full_rate = 0;
    model.uncertain_rate = 0;
    model.plane_depth = 1024; // a case posts a few hundred in one go
    sim_net_reset(sim.net, &sim.choice, &sim.heap, &model);
    sim.net->wake = wake;
    sim.net->landed = landed;
    sim.nodes = 0;
    sim.clients = 0;
    harness->context = &sim;
    return true;
}

static void harness_close(struct conf_harness *harness)
{
    for (uint32_t i = 0; i < sim.nodes; i++) {
        free(sim.node[i].agent);
    }
    if (sim.net->violation != NULL) {
        fprintf(stderr, "sim: node %u misused the fabric: %s\n", sim.net->violator,
                sim.net->violation);
        abort();
    }
    sim_net_close(sim.net);
    harness->context = NULL;
}

static void connect_node(const struct node *node)
{
    bool client = node->name >= CONF_CLIENT(0);
    for (uint32_t i = 0; i < sim.nodes; i++) {
        const struct node *other = &sim.node[i];
        bool other_replica = other->name < CONF_REPLICAS;
        if (other != node &&
            (client ? other_replica : other_replica || node->name < CONF_REPLICAS)) {
            sim_net_connect(sim.net, node->slot, other->slot);
            sim_net_connect(sim.net, other->slot, node->slot);
        }
    }
}

static bool harness_start(struct conf_harness *harness, struct conf_node what)
{
    (void)harness;
    struct node *node = find(what.name);
    if (node != NULL) {
        if (node->alive) {
            return false;
        }
        sim_net_restart(sim.net, node->slot, what.incarnation);
    } else {
        bool client = what.name >= CONF_CLIENT(0);
        bool memnode = what.name == CONF_MEMNODE;
        struct sim_node_config config = {
            .role = client    ? SIM_CLIENT
                    : memnode ? SIM_MEMNODE
                              : SIM_REPLICA,
            .node = client ? (tacit_node_t)(TACIT_NODE_CLIENT + sim.clients++) : what.name,
            .identity = client ? what.name - CONF_CLIENT(0) : what.name,
            .incarnation = what.incarnation,
            .layout = conf_layouts[client    ? 2
                                   : memnode ? 1
                                             : 0],
        };
        node = &sim.node[sim.nodes];
        memset(node, 0, sizeof *node);
        node->name = what.name;
        node->slot = sim_net_add(sim.net, &config)->slot;
        assert(node->slot == sim.nodes);
        sim.nodes++;
        node->agent = malloc(sizeof *node->agent);
        if (node->agent == NULL) {
            return false;
        }
        connect_node(node);
    }
    conf_agent_init(node->agent, &sim.net->node[node->slot].fabric);
    node->alive = true;
    node->paused = node->sleeping = false;
    return true;
}

static void harness_kill(struct conf_harness *harness, tacit_node_t name)
{
    (void)harness;
    struct node *node = find(name);
    if (node != NULL && node->alive) {
        node->alive = false;
        sim_net_crash(sim.net, node->slot);
    }
}

static void harness_pause(struct conf_harness *harness, tacit_node_t name, bool paused)
{
    (void)harness;
    struct node *node = find(name);
    if (node != NULL) {
        node->paused = paused;
        node->dirty = true;
    }
}

static void harness_sever(struct conf_harness *harness, tacit_node_t a, tacit_node_t b)
{
    (void)harness;
    struct node *left = find(a);
    struct node *right = find(b);
    if (left != NULL && right != NULL) {
        sim_net_break(sim.net, left->slot, right->slot);
        sim_net_break(sim.net, right->slot, left->slot);
    }
}

// A sleeper wakes when it is rung, for any event, or in time.
static bool wakes(const struct node *node)
{
    const struct sim_node *sim_node = &sim.net->node[node->slot];
    return sim_node->rung != node->rung || sim.net->now_ns >= node->sleep_until_ns ||
           sim_node->event_first != sim_node->event_last;
}

static void turn(struct node *node)
{
    if (!node->alive || node->paused || (node->sleeping && !wakes(node))) {
        return;
    }
    if (node->sleeping) {
        struct tacit_fabric *fabric = &sim.net->node[node->slot].fabric;
        fabric->ops->disarm(fabric);
        node->sleeping = false;
        node->slept_ns = sim.net->now_ns - node->sleep_began_ns;
    }
    node->dirty = false;
    // Bounded: a turn that did something is followed by another one when time has passed.
    (void)conf_agent_turn(node->agent);
}

static void turn_all(bool dirty_only)
{
    for (uint32_t i = 0; i < sim.nodes; i++) {
        if (!dirty_only || sim.node[i].dirty || sim.node[i].sleeping) {
            turn(&sim.node[i]);
        }
    }
}

static void harness_step(struct conf_harness *harness, tacit_time_ns_t duration_ns)
{
    (void)harness;
    uint64_t end_ns = sim.net->now_ns + duration_ns;
    uint64_t look_ns = sim.net->now_ns;
    for (;;) {
        bool event = sim.heap.count > 0 && sim.heap.timer[0].time_ns <= end_ns;
        uint64_t next_ns = event ? sim.heap.timer[0].time_ns : end_ns;
        if (look_ns <= next_ns) {
            sim.net->now_ns = look_ns;
            turn_all(false);
            look_ns += TURN_NS;
            continue;
        }
        if (!event) {
            break;
        }
        struct sim_timer timer = sim_heap_pop(&sim.heap);
        sim.net->now_ns = timer.time_ns;
        (void)sim_net_timer(sim.net, &timer);
        turn_all(true);
    }
    sim.net->now_ns = end_ns;
}

static bool harness_call(struct conf_harness *harness, tacit_node_t name,
                         const struct conf_request *request, struct conf_reply *reply)
{
    struct node *node = find(name);
    if (node == NULL || !node->alive || node->paused) {
        return false;
    }
    if (node->sleeping) { // a call is answered after the sleep
        while (node->sleeping) {
            harness_step(harness, TURN_NS);
        }
    }
    if (request->call == CONF_SLEEP || request->call == CONF_SLEEP_RESULT) {
        memset(reply, 0, sizeof *reply);
        reply->ok = true;
        reply->value = node->slept_ns;
        if (request->call == CONF_SLEEP) {
            struct sim_node *sim_node = &sim.net->node[node->slot];
            node->slept_ns = 0;
            node->rung = sim_node->rung;
            node->sleep_began_ns = sim.net->now_ns;
            node->sleep_until_ns = sim.net->now_ns + request->until_ns;
            sim_node->fabric.ops->arm(&sim_node->fabric);
            // Armed: what is there already is polled, and then there is no sleep.
            node->sleeping = sim_node->event_first == sim_node->event_last;
            (void)conf_agent_turn(node->agent);
            if (!node->sleeping) {
                sim_node->fabric.ops->disarm(&sim_node->fabric);
            }
        }
        return true;
    }
    conf_agent_execute(node->agent, request, reply);
    node->dirty = true;
    return true;
}

int main(int argc, char **argv)
{
    static struct conf_harness harness = {
        .name = "sim",
        .can = CONF_CAN_KILL | CONF_CAN_PAUSE | CONF_CAN_SEVER | CONF_CAN_SLEEP | CONF_KNOWS_DEATH,
        .open = harness_open,
        .close = harness_close,
        .start = harness_start,
        .kill = harness_kill,
        .pause = harness_pause,
        .sever = harness_sever,
        .step = harness_step,
        .call = harness_call,
    };
    bool long_ones = false;
    const char *only = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--long") == 0) {
            long_ones = true;
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            sim.seed = strtoull(argv[++i], NULL, 10);
        } else {
            only = argv[i];
        }
    }
    return tacit_conformance_run(&harness, long_ones, only);
}
