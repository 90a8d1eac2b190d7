// SPDX-License-Identifier: Apache-2.0
//
// A replica as far as epochs.c of core/smr sees it: a struct and a table of members. The modules
// below are replaced by what remembers how they were called (this file defines their functions, so
// one program includes it once). For smr_epochs_test.c and smr_members_test.c.
#ifndef TACIT_TESTS_UNIT_SMR_EPOCHS_WORLD_H
#define TACIT_TESTS_UNIT_SMR_EPOCHS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/smr/internal.h"
#include "sim/sim_signer.h"
#include "support/rules.h"

enum { REPLICAS = 3, MEMNODES = 3, SELF = 0, WINDOW = 8, HALF = WINDOW / 2, NODES = 32 };

static struct {
    struct tacit_smr smr;
    struct tacit_members members;
    uint32_t touched;
    // What the modules below were told.
    uint64_t limit, newest, installed, start_epoch, start_base, first_leader, reset_epoch,
        entered_view, entered_epoch;
    uint32_t starts, resets, observed, taken_up, proposals;
    uint32_t proposal_bytes;
    uint64_t entered_members[TACIT_EPOCH_NODES];
    tacit_incarnation_t links[NODES], strangers[NODES], registers[NODES], owner[REPLICAS],
        seen[NODES];
    // What they answer.
    bool due, order_due, full, has_requests;
    enum tacit_epochs_endorsement endorsement;
    tacit_node_t asked_leader;
    enum tacit_order_outcome replied; // 0: nothing was
    uint32_t asked;
} world;

void tacit_pages_touch(struct tacit_pages *pages, const void *address, size_t bytes)
{
    assert_ptr_equal(pages, &world.smr.pages);
    assert_ptr_equal(address, &world.members);
    assert_int_equal(bytes, sizeof world.members);
    world.touched++;
}

void tacit_agree_limit(struct tacit_agree *agree, uint64_t limit)
{
    (void)agree;
    world.limit = limit;
}

uint64_t tacit_agree_newest(const struct tacit_agree *agree)
{
    (void)agree;
    return world.newest;
}

void tacit_agree_start(struct tacit_agree *agree, uint64_t epoch, tacit_node_t first_leader,
                       uint64_t base, const struct tacit_digest *root,
                       const struct tacit_agree_parts *parts, const struct tacit_agree_calls *calls,
                       tacit_time_ns_t now_ns)
{
    (void)agree;
    (void)root;
    (void)parts;
    (void)calls;
    (void)now_ns;
    world.start_epoch = epoch;
    world.start_base = base;
    world.first_leader = first_leader;
    world.limit = UINT64_MAX; // as the real one
    world.starts++;
}

void tacit_agree_take_up(struct tacit_agree *agree)
{
    (void)agree;
    assert_true(world.starts > 0);
    world.taken_up++;
}

void tacit_agree_installed(struct tacit_agree *agree, uint64_t base)
{
    (void)agree;
    assert_true(world.starts > 0);
    world.installed = base;
}

void tacit_agree_observe(struct tacit_agree *agree, struct tacit_links *links,
                         struct tacit_signer *signer, const struct tacit_agree_calls *calls,
                         tacit_time_ns_t now_ns)
{
    (void)agree;
    (void)links;
    (void)signer;
    (void)calls;
    (void)now_ns;
    world.observed++;
}

bool tacit_agree_propose(struct tacit_agree *agree, const void *batch, uint32_t bytes,
                         uint64_t *slot)
{
    (void)agree;
    (void)batch;
    *slot = 0;
    if (world.full) {
        return false;
    }
    world.proposals++;
    world.proposal_bytes = bytes;
    return true;
}

void tacit_ctb_reset(struct tacit_ctb *ctb, uint64_t epoch, tacit_time_ns_t now_ns)
{
    (void)ctb;
    (void)now_ns;
    assert_int_equal(world.starts, 0); // before agreement speaks in it
    world.reset_epoch = epoch;
    world.resets++;
}

void tacit_links_accept(struct tacit_links *links, tacit_node_t node,
                        tacit_incarnation_t incarnation)
{
    (void)links;
    assert_true(node < NODES);
    world.links[node] = incarnation;
}

void tacit_links_hear(struct tacit_links *links, tacit_node_t node, tacit_incarnation_t incarnation)
{
    (void)links;
    assert_true(node < REPLICAS);
    world.strangers[node] = incarnation;
}

void tacit_registers_accept(struct tacit_registers *registers, tacit_node_t memnode,
                            tacit_incarnation_t incarnation)
{
    (void)registers;
    assert_true(memnode < NODES);
    world.registers[memnode] = incarnation;
}

void tacit_registers_owner(struct tacit_registers *registers, tacit_node_t replica,
                           tacit_incarnation_t incarnation)
{
    (void)registers;
    assert_true(replica < REPLICAS);
    world.owner[replica] = incarnation;
}

void tacit_requests_enter_view(struct tacit_requests *requests, uint64_t view,
                               tacit_time_ns_t now_ns)
{
    (void)requests;
    (void)now_ns;
    world.entered_view = view;
}

uint32_t tacit_requests_proposals(const struct tacit_requests *requests)
{
    (void)requests;
    return world.has_requests;
}

void tacit_epochs_enter(struct tacit_epochs *epochs, uint64_t epoch, const uint64_t *members)
{
    (void)epochs;
    world.entered_epoch = epoch;
    memcpy(world.entered_members, members, sizeof world.entered_members);
}

void tacit_epochs_seen(struct tacit_epochs *epochs, tacit_node_t node,
                       tacit_incarnation_t incarnation)
{
    (void)epochs;
    world.seen[node] = incarnation;
}

bool tacit_epochs_is_due(const struct tacit_epochs *epochs)
{
    (void)epochs;
    return world.due;
}

size_t tacit_epochs_proposal(const struct tacit_epochs *epochs,
                             uint8_t out[TACIT_EPOCH_BATCH_BYTES])
{
    (void)epochs;
    memset(out, 0, 48);
    return world.due ? 48 : 0;
}

enum tacit_epochs_endorsement tacit_epochs_endorse(struct tacit_epochs *epochs, tacit_node_t leader,
                                                   const struct tacit_wire_item *item)
{
    (void)epochs;
    (void)item;
    world.asked_leader = leader;
    return world.endorsement;
}

bool tacit_orders_is_due(const struct tacit_orders *orders)
{
    (void)orders;
    return world.order_due;
}

size_t tacit_orders_proposal(const struct tacit_orders *orders,
                             uint8_t out[TACIT_EPOCH_BATCH_BYTES])
{
    (void)orders;
    memset(out, 0, 112);
    return world.order_due ? 112 : 0;
}

enum tacit_epochs_endorsement tacit_orders_endorse(struct tacit_orders *orders, tacit_node_t leader,
                                                   const struct tacit_wire_item *item)
{
    (void)orders;
    assert_int_equal(item->kind, TACIT_ITEM_ORDER);
    world.asked_leader = leader;
    return world.endorsement;
}

void tacit_orders_asked(struct tacit_orders *orders, uint32_t connection, const uint8_t *bytes,
                        tacit_time_ns_t now_ns)
{
    (void)orders;
    (void)bytes;
    (void)now_ns;
    assert_int_equal(connection, 3);
    world.asked++;
}

struct tacit_seats tacit_smr_seats(const struct tacit_smr *smr)
{
    return (struct tacit_seats){.replicas = smr->config.replicas,
                                .memnodes = smr->config.memnodes,
                                .replicas_least = 2,
                                .memnodes_least = 2};
}

void tacit_smr_order_reply(struct tacit_smr *smr, tacit_node_t to, uint64_t nonce,
                           enum tacit_order_outcome outcome, tacit_index_t index)
{
    (void)smr;
    (void)nonce;
    (void)index;
    assert_int_equal(to, TACIT_NODE_CLIENT + 3);
    world.replied = outcome;
}

struct tacit_agree_calls tacit_smr_byzantine_calls(struct tacit_smr *smr)
{
    return (struct tacit_agree_calls){.context = smr};
}

// ---- steps

static inline void world_open(void)
{
    memset(&world, 0, sizeof world);
    struct tacit_smr *smr = &world.smr;
    smr->config.engine = TACIT_ENGINE_BYZANTINE;
    smr->config.replicas = REPLICAS;
    smr->config.memnodes = MEMNODES;
    smr->config.self = SELF;
    smr->config.incarnation = 1;
    smr->config.byzantine.window = WINDOW;
    smr->config.inflight = WINDOW; // V is all of the window
    smr->config.byzantine.view_timeout_ns = 1000;
    smr->byzantine.timer_ns = 1000;
    smr->byzantine.replace_slot = TACIT_SLOT_NONE;
    smr->now_ns = 100;
    smr->active = smr->state_valid = true;
    smr->sessions.members = &world.members;
    struct tacit_seats seats = tacit_smr_seats(smr);
    tacit_members_found(&world.members, &seats);
    for (tacit_node_t r = 0; r < REPLICAS; r++) {
        smr->byzantine.member[r] = 1;
    }
    world.limit = UINT64_MAX;
}

static inline void change(uint64_t slot, uint16_t node, uint64_t old, uint64_t now)
{
    struct tacit_wire_item item = {
        .kind = TACIT_ITEM_REPLACE, .subject = node, .session = old, .number = now};
    tacit_smr_epoch_change(&world.smr, slot, &item);
}

// Every slot up to `end` is executed, with a checkpoint at each multiple of W/2 and at the cut.
static inline void execute_up_to(uint64_t end)
{
    for (uint64_t slot = world.smr.applied; slot < end; slot++) {
        world.smr.applied = slot + 1;
        if (world.smr.applied % HALF == 0 || world.smr.applied == world.limit) {
            tacit_smr_epoch_reached(&world.smr, world.smr.applied);
        }
    }
}

static inline bool begins(void)
{
    world.starts = 0;
    return tacit_smr_epoch_poll(&world.smr);
}

// Replica 2 is replaced by its incarnation 2, decided in slot 4; c = 12.
static inline void end_of_epoch(void)
{
    world_open();
    change(4, 2, 1, 2);
    execute_up_to(12);
    assert_int_equal(world.members.epoch, 1);
    assert_int_equal(world.members.epoch_base, 12);
}

#endif
