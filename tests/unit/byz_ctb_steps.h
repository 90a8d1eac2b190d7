// SPDX-License-Identifier: Apache-2.0
//
// What the tests of LOCKED do in the small world of byz_ctb_world.h: replica 0 is told by hand what
// the others say. Stream 1 broadcasts; replica 2 is the other receiver.
#ifndef TACIT_TESTS_UNIT_BYZ_CTB_STEPS_H
#define TACIT_TESTS_UNIT_BYZ_CTB_STEPS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "byz_ctb_world.h"

// `vouches`: the engine of replica 0 vouches each PREPARE as soon as it is locked.
static inline struct tacit_ctb *open_world(bool vouches)
{
    static const struct world_options options = {.replicas = 3, .quiet = true, .ids = 0};
    static struct choice choice;
    choice_init_seed(&choice, 1);
    world_open(&options, &choice);
    world.vouch_never = vouches ? 0 : CHOICE_ALWAYS;
    return world.replica[0].ctb;
}

static inline void tell(tacit_node_t from, const struct tacit_ctb_message *message)
{
    uint8_t out[TACIT_CTB_MESSAGE_BYTES];
    uint32_t bytes = tacit_ctb_encode(out, message);
    tacit_ctb_message(world.replica[0].ctb, from, out, bytes, world.now_ns);
}

static inline struct tacit_ctb_message lock_of(uint64_t k, uint8_t kind, uint64_t view)
{
    struct tacit_ctb_message message = {
        .kind = TACIT_MESSAGE_LOCK, .stream = 1, .epoch = 1, .k = k, .carries = TACIT_CTB_INLINE};
    message.payload = (struct tacit_payload){.kind = kind, .view = view, .slot = k};
    tacit_body_digest(&message.payload.digest, NULL, 0);
    return message;
}

static inline void say_lock(uint64_t k, uint8_t kind, uint64_t view)
{
    struct tacit_ctb_message message = lock_of(k, kind, view);
    tell(1, &message);
}

static inline void say_locked(uint64_t k, uint64_t view, bool unvouched)
{
    struct tacit_ctb_message message = lock_of(k, TACIT_PAYLOAD_PREPARE, view);
    message.kind = TACIT_MESSAGE_LOCKED;
    message.carries = TACIT_CTB_NOTHING;
    message.unvouched = unvouched;
    tell(2, &message);
}

static inline void say_locked_kind(uint64_t k, uint8_t kind)
{
    struct tacit_ctb_message message = lock_of(k, kind, 0);
    message.kind = TACIT_MESSAGE_LOCKED;
    message.carries = TACIT_CTB_NOTHING;
    tell(2, &message);
}

static inline uint64_t delivered(void)
{
    uint64_t next;
    uint64_t locked;
    tacit_ctb_progress(world.replica[0].ctb, 1, &next, &locked);
    return next;
}

static inline void deliver_slow(struct tacit_ctb *ctb, uint64_t k)
{
    struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, 1, k);
    slot->signed_ns = world.now_ns;
    tacit_ctb_agreed(ctb, 1, slot, false); // so said the registers
    assert_int_equal(delivered(), k + 1);
}

#endif
