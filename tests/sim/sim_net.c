// SPDX-License-Identifier: Apache-2.0
//
// The memory of a simulated cluster, taken once and reused for run after run, and the model of a
// run.
#include <stdlib.h>
#include <string.h>

#include "sim_fabric_parts.h"

struct sim_net *sim_net_open(const struct sim_net_limits *limits)
{
    struct sim_net *net = calloc(1, sizeof *net);
    if (net == NULL) {
        return NULL;
    }
    net->copy_bytes = (limits->op_bytes + 63) / 64 * 64;
    net->memory_bytes = (limits->memory_bytes + 63) / 64 * 64;
    net->copies = malloc(SIM_OPS * net->copy_bytes);
    net->memory = aligned_alloc(64, net->memory_bytes);
    if (net->copies == NULL || net->memory == NULL) {
        sim_net_close(net);
        return NULL;
    }
    for (uint32_t i = 0; i < SIM_OPS; i++) {
        net->op[i].copy = net->copies + i * (net->copy_bytes / 8);
    }
    return net;
}

void sim_net_close(struct sim_net *net)
{
    if (net != NULL) {
        free(net->copies);
        free(net->memory);
        free(net);
    }
}

static void nobody_to_wake(void *context, uint32_t slot, uint64_t delay_ns)
{
    (void)context;
    (void)slot;
    (void)delay_ns;
}

static void nobody_to_look(void *context, uint32_t peer, uint32_t host, bool whole)
{
    (void)context;
    (void)peer;
    (void)host;
    (void)whole;
}

void sim_net_reset(struct sim_net *net, struct choice *choice, struct sim_heap *heap,
                   const struct sim_model *model)
{
    net->choice = choice;
    net->heap = heap;
    net->model = *model;
    heap->count = 0;
    heap->order = 0;
    net->now_ns = 0;
    net->trace = 0;
    net->violation = NULL;
    net->violator = TACIT_NODE_NONE;
    net->slots = 0;
    net->hosts = 0;
    net->memory_used = 0;
    net->wake = nobody_to_wake;
    net->landed = nobody_to_look;
    net->changed = NULL;
    net->timing = NULL;
    net->admits = NULL;
    net->wake_context = NULL;
    net->twin_first = net->twin_second = SIM_SLOTS;
    memset(net->to_second, 0, sizeof net->to_second);
    memset(net->fault, 0, sizeof net->fault);
    memset(net->blocked, 0, sizeof net->blocked);
    net->free_ops = NULL;
    net->fresh_ops = 0;
}

struct sim_model sim_model_calm(void)
{
    return (struct sim_model){
        .latency_ns = 1000,
        .death_ns = 50000,
        .stall_ns = 1000000,
        .reconnect_ns = 10000,
        .announce_ns = 10000,
        .switch_ns = 500,
        .ring_ns = 1000,
        .plane_depth = 64,
        .ghost_rate = CHOICE_ALWAYS,
    };
}

// Off in half of the runs, rare in a quarter, frequent in a quarter.
static uint32_t draw_rate(struct choice *choice, uint32_t rare, uint32_t frequent)
{
    switch (choice_u32(choice, 4)) {
    case 2:
        return rare;
    case 3:
        return frequent;
    default:
        return 0;
    }
}

void sim_model_draw(struct sim_model *model, struct choice *choice, uint32_t severity)
{
    *model = sim_model_calm();
    if (severity == 0) {
        return;
    }
    model->latency_ns = choice_range(choice, 500, 3000);
    model->jitter_ns = choice_u32(choice, 3) * 1500;
    model->self_latency_ns = choice_u32(choice, 2) * choice_u32(choice, 2000);
    model->slow_rate = draw_rate(choice, 300, 6000);
    model->slow_ns = 1000u << choice_u32(choice, 14); // up to 8 ms
    model->tear_rate = draw_rate(choice, 3000, 25000);
    model->tear_ns = 100u << choice_u32(choice, 12); // up to 200 us
    model->check_gap_rate = draw_rate(choice, 3000, 30000);
    model->plane_break_rate = draw_rate(choice, 10, 300);
    model->conn_break_rate = draw_rate(choice, 10, 300);
    model->deny_break_rate = draw_rate(choice, 10000, CHOICE_ALWAYS);
    model->full_rate = draw_rate(choice, 100, 4000);
    model->late_land_rate = draw_rate(choice, 20000, 60000);
    model->late_gaps = choice_u32(choice, 2) != 0;
    model->late_store = choice_u32(choice, 2) != 0;
    model->ghost_rate = draw_rate(choice, 30000, CHOICE_ALWAYS);
    model->death_ns = 20000u << choice_u32(choice, 9); // up to 5 ms
    model->uncertain_rate = draw_rate(choice, 10000, CHOICE_ALWAYS);
    model->stall_ns = 100000u << choice_u32(choice, 8); // up to 12 ms
    model->reconnect_ns = 5000u << choice_u32(choice, 9);
    model->announce_ns = 1000u << choice_u32(choice, 16); // up to 32 ms
    model->switch_ns = 200u << choice_u32(choice, 10);
    model->ring_ns = 1000u << choice_u32(choice, 5);
    model->plane_depth = choice_u32(choice, 8) == 7 ? 8 : 64;
}
