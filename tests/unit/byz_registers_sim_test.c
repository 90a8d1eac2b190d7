// SPDX-License-Identifier: Apache-2.0
//
// Replicated registers on the sim fabric, in many random runs (tears, lost writes, slow reads, a
// memory node that dies and comes back empty): each read has to return what a regular register may.
// TACIT_SEEDED: yes
// TACIT_TIMEOUT: 120
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "byz_registers_values.h"
#include "choice/choice.h"
#include "core/base/bug.h"
#include "sim/sim_fabric.h"

enum { TICK = SIM_NET_TIMERS, NODES = MEMNODES + REPLICAS, RUN_NS = 3000000 };

struct actor {
    struct sim_node *sim;
    struct tacit_registers *registers;
    void *memory;
    size_t bytes;
    uint64_t tick_ns;
    uint64_t begun[REGISTERS], done[REGISTERS]; // numbers of own writes
    bool is_reading;
    tacit_node_t owner;
    uint32_t index;
    uint64_t ticket, least;
    uint32_t reads_done;
};

struct cluster {
    struct sim_net *net;
    struct sim_heap heap;
    struct choice choice;
    struct actor actor[REPLICAS];
    const char *wrong;
    bool is_healed;
};
static struct cluster cluster;

static void sim_written(void *context, uint32_t index, uint64_t ticket)
{
    struct actor *actor = context;
    if (ticket > actor->begun[index] || ticket <= actor->done[index]) {
        cluster.wrong = "written twice, or never asked";
    }
    actor->done[index] = ticket;
}

static void sim_was_read(void *context, uint64_t ticket, const uint8_t *value)
{
    struct actor *actor = context;
    uint64_t number = number_of(value, actor->owner, actor->index);
    if (!actor->is_reading || ticket != actor->ticket) {
        cluster.wrong = "a read that nobody asked for";
    } else if (number == UINT64_MAX) {
        cluster.wrong = "a value that nobody wrote";
    } else if (number < actor->least) {
        cluster.wrong = "a value older than one that was written before";
    } else if (number > cluster.actor[actor->owner].begun[actor->index]) {
        cluster.wrong = "a value from the future";
    }
    actor->is_reading = false;
    actor->reads_done++;
}

static void tick(struct actor *actor, uint64_t at_ns)
{
    if (at_ns < actor->tick_ns || actor->tick_ns <= cluster.net->now_ns) {
        actor->tick_ns = at_ns;
        sim_heap_push(&cluster.heap, (struct sim_timer){.time_ns = at_ns,
                                                        .kind = TICK,
                                                        .a = (uint8_t)(actor - cluster.actor)});
    }
}

static void act(struct actor *actor)
{
    struct choice *choice = &cluster.choice;
    tacit_time_ns_t now_ns = cluster.net->now_ns;
    if (choice_u32(choice, 3) == 0 && actor->begun[0] < 1000) {
        uint32_t index = choice_u32(choice, REGISTERS);
        uint8_t value[TACIT_REGISTER_VALUE_BYTES];
        value_of(value, actor->sim->node, index, ++actor->begun[index]);
        tacit_registers_write(actor->registers, index, value, actor->begun[index], now_ns);
    }
    if (!actor->is_reading) {
        actor->owner = (tacit_node_t)choice_u32(choice, REPLICAS);
        actor->index = choice_u32(choice, REGISTERS);
        actor->least = cluster.actor[actor->owner].done[actor->index];
        actor->is_reading = tacit_registers_read(actor->registers, actor->owner, actor->index,
                                                 ++actor->ticket, now_ns);
    }
}

static void step(struct actor *actor)
{
    struct tacit_event events[64];
    tacit_time_ns_t now_ns = cluster.net->now_ns;
    size_t count = actor->sim->fabric.ops->poll(&actor->sim->fabric, events, 64);
    for (size_t i = 0; i < count; i++) {
        tacit_registers_event(actor->registers, &events[i], now_ns);
    }
    tacit_registers_poll(actor->registers, now_ns);
    if (!cluster.is_healed && choice_u32(&cluster.choice, 4) == 0) {
        act(actor);
    }
    uint64_t at_ns = tacit_registers_deadline(actor->registers);
    uint64_t later_ns = now_ns + 1 + choice_u32(&cluster.choice, 8000);
    tick(actor, at_ns < later_ns ? (at_ns > now_ns ? at_ns : now_ns + 1) : later_ns);
}

static void run_until(uint64_t end_ns)
{
    while (cluster.heap.count > 0 && cluster.heap.timer[0].time_ns <= end_ns &&
           cluster.wrong == NULL && cluster.net->violation == NULL) {
        struct sim_timer timer = sim_heap_pop(&cluster.heap);
        cluster.net->now_ns = timer.time_ns;
        if (!sim_net_timer(cluster.net, &timer) &&
            cluster.actor[timer.a].tick_ns == timer.time_ns) {
            step(&cluster.actor[timer.a]);
        }
    }
    cluster.net->now_ns = end_ns;
}

static void cluster_open(uint64_t seed, uint32_t severity)
{
    struct sim_net *net = cluster.net;
    struct actor saved[REPLICAS];
    memcpy(saved, cluster.actor, sizeof saved);
    memset(&cluster, 0, sizeof cluster);
    cluster.net = net;
    struct sim_model model;
    choice_init_seed(&cluster.choice, seed);
    sim_model_draw(&model, &cluster.choice, severity);
    sim_net_reset(net, &cluster.choice, &cluster.heap, &model);
    for (uint32_t i = 0; i < NODES; i++) {
        bool is_memnode = i < MEMNODES;
        tacit_node_t number = is_memnode ? memnode(i) : (tacit_node_t)(i - MEMNODES);
        struct sim_node_config config = {
            .role = is_memnode ? SIM_MEMNODE : SIM_REPLICA,
            .node = number,
            .identity = number,
            .incarnation = 1,
            .layout.registers_bytes = is_memnode ? (size_t)REGISTERS * TACIT_REGISTER_BYTES : 0};
        struct sim_node *node = sim_net_add(net, &config);
        if (is_memnode) {
            continue;
        }
        struct actor *actor = &cluster.actor[number];
        actor->memory = saved[number].memory;
        actor->bytes = saved[number].bytes;
        actor->sim = node;
        struct tacit_registers_config registers = config_of(number);
        struct tacit_registers_calls calls = {actor, sim_written, sim_was_read};
        struct tacit_bump bump = {.base = actor->memory};
        node->fabric.ops->attach(&node->fabric, actor->memory, actor->bytes);
        actor->registers = tacit_registers_init(&bump, &registers, &node->fabric, &calls,
                                                (struct tacit_marker){.mark = mark});
        for (uint32_t m = 0; m < MEMNODES; m++) {
            tacit_registers_accept(actor->registers, memnode(m), 1);
            sim_net_connect(net, i, m);
        }
        for (tacit_node_t r = 0; r < REPLICAS; r++) {
            tacit_registers_owner(actor->registers, r, 1);
        }
        tick(actor, 1);
    }
}

static bool all_done(void)
{
    for (uint32_t r = 0; r < REPLICAS; r++) {
        const struct actor *actor = &cluster.actor[r];
        if (actor->is_reading || memcmp(actor->begun, actor->done, sizeof actor->begun) != 0) {
            return false;
        }
    }
    return true;
}

// NULL, or what is wrong.
static const char *run(uint64_t seed, uint32_t severity)
{
    cluster_open(seed, severity);
    struct sim_net *net = cluster.net;
    bool kills = severity > 0 && choice_u32(&cluster.choice, 2) != 0;
    uint32_t victim = choice_u32(&cluster.choice, MEMNODES);
    run_until(RUN_NS / 2);
    if (kills) {
        sim_net_crash(net, victim);
        run_until(RUN_NS / 2 + choice_u32(&cluster.choice, 300000));
        sim_net_restart(net, victim, 2); // nobody accepts it
    }
    run_until(RUN_NS);
    cluster.is_healed = true;
    net->model = sim_model_calm();
    for (uint32_t turn = 0; turn < 100 && cluster.wrong == NULL && !all_done(); turn++) {
        run_until(net->now_ns + 1000000);
    }
    if (net->violation != NULL) {
        return net->violation;
    }
    return cluster.wrong == NULL && !all_done() ? "something is never done" : cluster.wrong;
}

static int open_cluster(void **state)
{
    (void)state;
    cluster.net = sim_net_open(&(struct sim_net_limits){4096, 1u << 20});
    struct tacit_registers_config config = config_of(0);
    struct tacit_bump measure = {.base = NULL};
    tacit_registers_init(&measure, &config, NULL, NULL, (struct tacit_marker){0});
    for (uint32_t r = 0; r < REPLICAS; r++) {
        cluster.actor[r].bytes = tacit_round_up(measure.used, 64);
        cluster.actor[r].memory = aligned_alloc(64, cluster.actor[r].bytes);
    }
    return cluster.net == NULL;
}

static int close_cluster(void **state)
{
    (void)state;
    for (uint32_t r = 0; r < REPLICAS; r++) {
        free(cluster.actor[r].memory);
    }
    sim_net_close(cluster.net);
    return 0;
}

static void registers__are_regular(void **state)
{
    (void)state;
    memset(marks, 0, sizeof marks);
    uint64_t reads = 0;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        const char *wrong = run(seed, seed % 8 != 0);
        if (wrong != NULL) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, wrong);
        }
        for (uint32_t r = 0; r < REPLICAS; r++) {
            reads += cluster.actor[r].reads_done;
        }
    }
    assert_true(reads > 10000);
    static const enum tacit_mark reached[] = {
        TACIT_MARK_REGISTER_COOLED,        TACIT_MARK_REGISTER_SKIPPED,
        TACIT_MARK_REGISTER_READ_REPEATED, TACIT_MARK_REGISTER_SAVED_BY_OTHER,
        TACIT_MARK_REGISTER_LOST,          TACIT_MARK_REGISTER_NODE_RESET};
    for (unsigned i = 0; i < sizeof reached / sizeof reached[0]; i++) {
        assert_true(marks[reached[i]] > 0);
    }
}

static void bugs__are_found(void **state)
{
    (void)state;
#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
    static const struct {
        uint32_t bug;
        const char *name;
    } bugs[] = {{TACIT_BUG_REGISTER_SAME_SLOT, "same slot"},
                {TACIT_BUG_REGISTER_MINORITY, "minority"},
                {TACIT_BUG_REGISTER_READ_ONE, "read one"},
                {TACIT_BUG_REGISTER_OLD_NODE_COUNTS, "old node counts"}};
    for (unsigned i = 0; i < sizeof bugs / sizeof bugs[0]; i++) {
        tacit_seeded_bug = bugs[i].bug;
        uint64_t seed = 1;
        while (seed <= 3000 && run(seed, 1) == NULL) {
            seed++;
        }
        tacit_seeded_bug = TACIT_BUG_NONE;
        print_message("%s: seed %llu: %s\n", bugs[i].name, (unsigned long long)seed,
                      cluster.wrong == NULL ? "-" : cluster.wrong);
        assert_true(seed <= 3000);
    }
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers__are_regular),
        cmocka_unit_test(bugs__are_found),
    };
    return cmocka_run_group_tests_name("byz_registers_sim", tests, open_cluster, close_cluster);
}
