// SPDX-License-Identifier: Apache-2.0
//
// The sim fabric beyond the conformance suite: that it really does the bad things that it promises
// (a fault that is never injected proves nothing), never more than the contract allows, and that it
// reports misuse.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/sim_fabric.h"

#define LOG_BYTES 4096u

static struct sim_net *net;
static struct sim_heap heap;
static struct choice choice;
static struct sim_node *host, *writer, *other;
static uint64_t memory[3][64];
static uint32_t torn_seen, landed_whole;
static const uint64_t *watched;

static int open_net(void **state)
{
    (void)state;
    net = sim_net_open(&(struct sim_net_limits){.op_bytes = 4096, .memory_bytes = 16u << 20});
    return net == NULL;
}

static int close_net(void **state)
{
    (void)state;
    sim_net_close(net);
    return 0;
}

static void wake(void *context, uint32_t slot, uint64_t delay_ns)
{
    (void)context;
    (void)slot;
    (void)delay_ns;
}

// Looks at eight words between the steps of a write.
static void landed(void *context, uint32_t from, uint32_t to, bool whole)
{
    (void)context;
    (void)from;
    (void)to;
    landed_whole += whole;
    for (uint32_t i = 1; i < 8 && watched != NULL; i++) {
        if (watched[i] != watched[0]) {
            torn_seen++;
            return;
        }
    }
}

static void advance(uint64_t duration_ns)
{
    uint64_t end_ns = net->now_ns + duration_ns;
    while (heap.count > 0 && heap.timer[0].time_ns <= end_ns) {
        struct sim_timer timer = sim_heap_pop(&heap);
        net->now_ns = timer.time_ns;
        assert_true(sim_net_timer(net, &timer));
    }
    net->now_ns = end_ns;
}

static struct sim_node *add(enum sim_role role, tacit_node_t number)
{
    static const struct tacit_host_layout layout = {.page_bytes = 640,
                                                    .control_bytes = 64,
                                                    .log_bytes = LOG_BYTES,
                                                    .requests_bytes = 1024,
                                                    .replies_bytes = 1024,
                                                    .state_bytes = 1024};
    struct sim_node *node = sim_net_add(
        net,
        &(struct sim_node_config){
            .role = role, .node = number, .identity = number, .incarnation = 1, .layout = layout});
    node->fabric.ops->attach(&node->fabric, memory[node->slot], sizeof memory[0]);
    return node;
}

// Takes all events; returns how many of this kind there were and leaves the last one in *last.
static uint32_t take(struct sim_node *node, uint8_t kind, struct tacit_event *last)
{
    struct tacit_event events[64];
    uint32_t found = 0;
    size_t count;
    do {
        count = node->fabric.ops->poll(&node->fabric, events, 64);
        for (size_t i = 0; i < count; i++) {
            if (events[i].kind == kind) {
                found++;
                if (last != NULL) {
                    *last = events[i];
                }
            }
        }
    } while (count == 64);
    return found;
}

// A memory node and two replicas, connected.
static void start(const struct sim_model *model, uint64_t seed)
{
    choice_init_seed(&choice, seed);
    sim_net_reset(net, &choice, &heap, model);
    net->wake = wake;
    net->landed = landed;
    torn_seen = 0;
    landed_whole = 0;
    watched = NULL;
    host = add(SIM_MEMNODE, TACIT_NODE_MEMNODE);
    writer = add(SIM_REPLICA, 0);
    other = add(SIM_REPLICA, 1);
    for (uint32_t a = 0; a < 3; a++) {
        for (uint32_t b = 0; b < 3; b++) {
            sim_net_connect(net, a, b);
        }
    }
    advance(10000000);
    assert_int_equal(take(host, TACIT_EVENT_UP, NULL), 2);
    assert_int_equal(take(writer, TACIT_EVENT_UP, NULL), 2);
    assert_int_equal(take(other, TACIT_EVENT_UP, NULL), 2);
    memset(memory, 0, sizeof memory);
}

static struct tacit_region_key log_key(const struct sim_node *owner)
{
    return (struct tacit_region_key){TACIT_REGION_LOG, owner->node, owner->incarnation};
}

static uint64_t *log_of(const struct sim_node *at, const struct sim_node *owner)
{
    struct sim_node *node = &net->node[at->slot];
    return node->fabric.ops->local(&node->fabric, log_key(owner), NULL);
}

static void grant(struct sim_node *holder, uint64_t generation)
{
    host->fabric.ops->grant(&host->fabric, holder->node, holder->incarnation, generation);
    advance(1000000);
    assert_int_equal(take(host, TACIT_EVENT_GRANTED, NULL), 1);
}

static struct tacit_op append(struct sim_node *from, uint64_t generation, uint64_t value)
{
    for (uint32_t i = 0; i < 8; i++) {
        memory[from->slot][i] = value;
    }
    return (struct tacit_op){.kind = TACIT_OP_WRITE,
                             .flags = TACIT_OP_AS_HOLDER,
                             .host = host->node,
                             .region =
                                 from->fabric.ops->region(&from->fabric, host->node, log_key(from)),
                             .bytes = 64,
                             .local = memory[from->slot],
                             .generation = generation,
                             .cookie = value};
}

static void post(struct sim_node *from, const struct tacit_op *op)
{
    assert_true(from->fabric.ops->post(&from->fabric, op));
}

static void expect_misuse(const char *text)
{
    assert_non_null(net->violation);
    assert_non_null(strstr(net->violation, text));
}

// ---- what it does to its users
// -----------------------------------------------------------------------

static void tears_are_seen(void **state)
{
    (void)state;
    struct sim_model model = sim_model_calm();
    model.tear_rate = CHOICE_ALWAYS;
    model.tear_ns = 1000;
    start(&model, 1);
    grant(writer, 1);
    watched = log_of(host, writer);
    for (uint64_t i = 1; i <= 100; i++) {
        struct tacit_op op = append(writer, 1, i);
        post(writer, &op);
        advance(100000);
        struct tacit_event event;
        assert_int_equal(take(writer, TACIT_EVENT_COMPLETION, &event), 1);
        assert_int_equal(event.status, TACIT_COMPLETION_OK);
        for (uint32_t word = 0; word < 8; word++) {
            assert_int_equal(watched[word], i); // OK means placed, whole
        }
    }
    assert_true(torn_seen >= 100);
    assert_int_equal(landed_whole, 100);
}

// An operation works on its poster's memory until it completes: changing that memory shows.
static void poster_keeps_its_hands_off(void **state)
{
    (void)state;
    struct sim_model model = sim_model_calm();
    start(&model, 1);
    grant(writer, 1);
    struct tacit_op op = append(writer, 1, 5);
    post(writer, &op);
    memory[writer->slot][3] = 6; // a bug of the caller
    advance(100000);
    assert_int_equal(log_of(host, writer)[3], 6);
    op = append(writer, 1, 7);
    op.flags |= TACIT_OP_QUIET; // copied at once
    post(writer, &op);
    memory[writer->slot][3] = 8;
    advance(100000);
    assert_int_equal(log_of(host, writer)[3], 7);
}

// A write in flight at a revocation lands wholly, partly or not at all; it is never OK afterwards,
// and each of the cases occurs.
static void revocation_cuts(void **state)
{
    (void)state;
    uint32_t whole = 0, part = 0, none = 0, ok = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct sim_model model = sim_model_calm();
        model.tear_rate = CHOICE_ALWAYS;
        model.tear_ns = 2000;
        model.check_gap_rate = CHOICE_ALWAYS / 2;
        model.jitter_ns = 3000;
        model.switch_ns = 8000;
        start(&model, seed);
        grant(writer, 1);
        struct tacit_op op = append(writer, 1, 9);
        post(writer, &op);
        host->fabric.ops->revoke(&host->fabric, 2);
        // Step until the host knows, and keep what its log looks like then.
        while (take(host, TACIT_EVENT_REVOKED, NULL) == 0) {
            advance(50);
        }
        uint32_t before = 0, after = 0;
        for (uint32_t i = 0; i < 8; i++) {
            before += log_of(host, writer)[i] == 9;
        }
        advance(1000000);
        struct tacit_event event;
        assert_int_equal(take(writer, TACIT_EVENT_COMPLETION, &event), 1);
        for (uint32_t i = 0; i < 8; i++) {
            after += log_of(host, writer)[i] == 9;
        }
        assert_int_equal(before, after); // late_store is off: nothing lands any more
        if (event.status == TACIT_COMPLETION_OK) {
            ok++;
            assert_int_equal(after, 8);
        } else {
            assert_int_equal(event.status, TACIT_COMPLETION_DENIED);
            whole += after == 8;
            part += after > 0 && after < 8;
            none += after == 0;
        }
    }
    assert_true(whole > 0 && part > 0 && none > 0 && ok > 0);
}

// As on shared memory: a refused store may reach the old holder's own region, but no other, and not
// when that peer holds again.
static void late_stores(void **state)
{
    (void)state;
    uint32_t landed_late = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sim_model model = sim_model_calm();
        model.late_store = true;
        model.latency_ns = 5000;
        start(&model, seed);
        grant(writer, 1);
        bool again = seed % 2 != 0;
        struct tacit_op op = append(writer, 1, 9);
        net->model.latency_ns = 5000000; // the write is under way for long
        post(writer, &op);
        net->model.latency_ns = 1000;
        host->fabric.ops->revoke(&host->fabric, 2);
        advance(100000);
        assert_int_equal(take(host, TACIT_EVENT_REVOKED, NULL), 1);
        grant(again ? writer : other, 3);
        advance(20000000);
        struct tacit_event event;
        assert_int_equal(take(writer, TACIT_EVENT_COMPLETION, &event), 1);
        assert_int_equal(event.status, TACIT_COMPLETION_DENIED);
        uint64_t word = log_of(host, writer)[0];
        assert_true(again ? word == 0 : word == 0 || word == 9);
        landed_late += word == 9;
        assert_int_equal(log_of(host, other)[0], 0);
    }
    assert_true(landed_late > 20);
}

// A LOST write may have landed, may land later, but not once the connection was made anew.
static void lost_and_landing(void **state)
{
    (void)state;
    uint32_t now = 0, later = 0, never = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct sim_model model = sim_model_calm();
        model.late_land_rate = 40000;
        model.slow_ns = 20000;
        model.reconnect_ns = 30000;
        start(&model, seed);
        grant(writer, 1);
        struct tacit_op op = append(writer, 1, 9);
        post(writer, &op);
        advance(choice_u32(&choice, 1900)); // not yet completed: that takes two latencies
        sim_net_break(net, writer->slot, host->slot);
        struct tacit_event event;
        uint64_t at_once = log_of(host, writer)[0];
        assert_int_equal(take(writer, TACIT_EVENT_COMPLETION, &event), 1);
        assert_int_equal(event.status, TACIT_COMPLETION_LOST);
        while (!net->node[writer->slot].conn[host->slot].up) {
            advance(100);
            (void)take(writer, TACIT_EVENT_UP, NULL);
        }
        uint64_t reconnected = log_of(host, writer)[0];
        advance(1000000);
        assert_int_equal(log_of(host, writer)[0], reconnected);
        now += at_once == 9;
        later += at_once == 0 && reconnected == 9;
        never += reconnected == 0;
    }
    assert_true(now > 0 && later > 0 && never > 0);
}

// Contract 7: the memory of a dead host goes on answering until the death is known; its next life
// starts empty and is reached by none of the old operations.
static void ghosts(void **state)
{
    (void)state;
    struct sim_model model = sim_model_calm();
    model.death_ns = 1u << 20;
    uint32_t ok = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        start(&model, seed);
        grant(writer, 1);
        sim_net_crash(net, host->slot);
        struct tacit_op op = append(writer, 1, 9);
        struct tacit_event event;
        if (writer->fabric.ops->post(&writer->fabric, &op)) {
            advance(20000);
            ok += take(writer, TACIT_EVENT_COMPLETION, &event) == 1 &&
                  event.status == TACIT_COMPLETION_OK;
        }
        sim_net_restart(net, host->slot, 2);
        host->fabric.ops->attach(&host->fabric, memory[host->slot], sizeof memory[0]);
        struct tacit_event up = {0};
        for (uint32_t i = 0; i < 1000 && up.incarnation != 2; i++) {
            advance(10000);
            (void)take(writer, TACIT_EVENT_UP, &up);
            (void)take(host, TACIT_EVENT_UP, NULL);
        }
        assert_int_equal(up.incarnation, 2);
        assert_int_equal(log_of(host, writer)[0], 0);
    }
    assert_true(ok > 10);
}

// A partition in one direction: the write lands, its completion does not come before the end of it.
static void one_way_partition(void **state)
{
    (void)state;
    struct sim_model model = sim_model_calm();
    model.stall_ns = 1u << 30;
    start(&model, 2);
    grant(writer, 1);
    sim_net_block(net, host->slot, writer->slot, true);
    struct tacit_op op = append(writer, 1, 9);
    post(writer, &op);
    advance(100000);
    assert_int_equal(log_of(host, writer)[0], 9);
    assert_int_equal(take(writer, TACIT_EVENT_COMPLETION, NULL), 0);
    sim_net_block(net, host->slot, writer->slot, false);
    advance(100000);
    struct tacit_event event;
    assert_int_equal(take(writer, TACIT_EVENT_COMPLETION, &event), 1);
    assert_int_equal(event.status, TACIT_COMPLETION_OK);
    // The other direction: nothing lands, and in the end the connection is given up.
    net->model.stall_ns = 50000;
    sim_net_block(net, writer->slot, host->slot, true);
    op = append(writer, 1, 10);
    post(writer, &op);
    advance(200000);
    assert_int_equal(log_of(host, writer)[0], 9);
    assert_int_equal(take(writer, TACIT_EVENT_DOWN, &event), 1);
    assert_false(event.certain);
}

// Under a drawn model, with everything going wrong: completions come once for each operation, in
// order and before DOWN, and what was OK is there.
static void drawn_models(void **state)
{
    (void)state;
    uint64_t faults[SIM_FAULTS] = {0};
    for (uint64_t seed = 0; seed < 600; seed++) {
        struct sim_model model;
        choice_init_seed(&choice, seed);
        sim_model_draw(&model, &choice, 1);
        model.death_ns = 100000;
        start(&model, seed);
        grant(writer, 1);
        uint64_t posted = 0, completed = 0, last_ok = 0;
        bool down = false;
        for (uint32_t round = 0; round < 60 && !down; round++) {
            struct tacit_op op = append(writer, 1, posted + 1);
            if (op.region >= 0 && posted == completed &&
                writer->fabric.ops->post(&writer->fabric, &op)) {
                posted++;
            }
            advance(20000);
            struct tacit_event events[64];
            size_t count = writer->fabric.ops->poll(&writer->fabric, events, 64);
            for (size_t i = 0; i < count; i++) {
                if (events[i].kind == TACIT_EVENT_DOWN && events[i].node == host->node) {
                    assert_int_equal(completed, posted);
                    down = true;
                } else if (events[i].kind == TACIT_EVENT_COMPLETION) {
                    assert_int_equal(events[i].cookie, ++completed);
                    if (events[i].status == TACIT_COMPLETION_OK) {
                        last_ok = completed;
                    }
                }
            }
            assert_true(log_of(host, writer)[0] >= last_ok);
        }
        assert_null(net->violation);
        for (uint32_t i = 0; i < SIM_FAULTS; i++) {
            faults[i] += net->fault[i];
        }
    }
    assert_true(faults[SIM_FAULT_TEAR] > 100);
    assert_true(faults[SIM_FAULT_SLOW] > 100);
    assert_true(faults[SIM_FAULT_PLANE_BREAK] > 5);
    assert_true(faults[SIM_FAULT_CONN_BREAK] > 5);
    assert_true(faults[SIM_FAULT_FULL] > 5);
}

// ---- what it reports
// ---------------------------------------------------------------------------------

static void misuse_is_reported(void **state)
{
    (void)state;
    struct sim_model model = sim_model_calm();
    start(&model, 1);
    grant(writer, 1);
    host->fabric.ops->grant(&host->fabric, other->node, 1, 2);
    expect_misuse("grant() before");

    start(&model, 1);
    grant(writer, 5);
    host->fabric.ops->revoke(&host->fabric, 5);
    expect_misuse("generation");

    start(&model, 1);
    grant(writer, 1);
    struct tacit_op op = append(writer, 1, 1);
    static uint64_t elsewhere[8];
    op.local = elsewhere;
    assert_false(writer->fabric.ops->post(&writer->fabric, &op));
    expect_misuse("not attached");

    start(&model, 1);
    op = append(writer, 1, 1);
    op.offset = LOG_BYTES - 56;
    assert_false(writer->fabric.ops->post(&writer->fabric, &op));
    expect_misuse("beyond the end");

    start(&model, 1);
    op = append(writer, 1, 1);
    op.offset = 4;
    assert_false(writer->fabric.ops->post(&writer->fabric, &op));
    expect_misuse("alignment");

    start(&model, 1);
    op = append(writer, 1, 1); // a handle from before the connection was made anew
    sim_net_break(net, writer->slot, host->slot);
    (void)take(writer, TACIT_EVENT_DOWN, NULL);
    advance(1000000);
    assert_int_equal(take(writer, TACIT_EVENT_UP, NULL), 1);
    assert_false(writer->fabric.ops->post(&writer->fabric, &op));
    expect_misuse("void handle");
}

// The same seed gives the same trace, another one another.
static void traces_repeat(void **state)
{
    (void)state;
    uint64_t traces[3];
    for (uint32_t pass = 0; pass < 3; pass++) {
        struct sim_model model;
        choice_init_seed(&choice, 4);
        sim_model_draw(&model, &choice, 1);
        start(&model, pass == 2 ? 5 : 4);
        grant(writer, 1);
        for (uint64_t i = 1; i < 50; i++) {
            struct tacit_op op = append(writer, 1, i);
            if (op.region >= 0) {
                (void)writer->fabric.ops->post(&writer->fabric, &op);
            }
            advance(30000);
            (void)take(writer, TACIT_EVENT_DOWN, NULL);
        }
        traces[pass] = net->trace;
    }
    assert_true(traces[0] == traces[1]);
    assert_true(traces[0] != traces[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tears_are_seen),     cmocka_unit_test(poster_keeps_its_hands_off),
        cmocka_unit_test(revocation_cuts),    cmocka_unit_test(late_stores),
        cmocka_unit_test(lost_and_landing),   cmocka_unit_test(ghosts),
        cmocka_unit_test(one_way_partition),  cmocka_unit_test(drawn_models),
        cmocka_unit_test(misuse_is_reported), cmocka_unit_test(traces_repeat),
    };
    return cmocka_run_group_tests(tests, open_net, close_net);
}
