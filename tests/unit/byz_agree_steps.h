// SPDX-License-Identifier: Apache-2.0
//
// What the tests of agreement do in the world of byz_agree_world.h: propose, suspect, speak for a
// liar, and catch the NEW_VIEW of a leader that is faulty from there on.
#ifndef TACIT_TESTS_UNIT_BYZ_AGREE_STEPS_H
#define TACIT_TESTS_UNIT_BYZ_AGREE_STEPS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "byz_agree_world.h"

static inline struct tacit_agree *agree_of(tacit_node_t r)
{
    return world.node[r].agree;
}

static inline struct tacit_agree_report report_of(tacit_node_t r)
{
    struct tacit_agree_report report;
    tacit_agree_status(agree_of(r), &report);
    return report;
}

static inline struct tacit_digest digest_of(const char *text)
{
    struct tacit_digest digest;
    tacit_body_digest(&digest, text, strlen(text));
    return digest;
}

static inline void propose(tacit_node_t leader, const char *text)
{
    uint64_t slot;
    assert_true(tacit_agree_propose(agree_of(leader), text, (uint32_t)strlen(text), &slot));
}

static inline void suspect_all(void)
{
    for (tacit_node_t r = 0; r < WORLD_N; r++) {
        if (!world.node[r].is_dead) {
            tacit_agree_suspect(agree_of(r));
        }
    }
}

static inline void block(bool table[WORLD_N][WORLD_N], bool on)
{
    for (unsigned i = 0; i < WORLD_N * WORLD_N; i++) {
        table[i / WORLD_N][i % WORLD_N] = on;
    }
}

static inline uint32_t say_prepare(tacit_node_t leader, uint64_t view, uint64_t slot,
                                   const char *text)
{
    struct tacit_payload payload = {.kind = TACIT_PAYLOAD_PREPARE, .view = view, .slot = slot};
    return world_say(leader, payload, text, (uint32_t)strlen(text));
}

static inline void say_seal(tacit_node_t r, uint64_t view, const struct tacit_slot_value *claims,
                            uint32_t count)
{
    uint8_t body[8 + WORLD_WINDOW * 48];
    struct tacit_payload payload = {.kind = TACIT_PAYLOAD_SEAL_VIEW, .view = view};
    size_t bytes = tacit_claims_encode(body, claims, count);
    (void)world_say(r, payload, body, (uint32_t)bytes);
}

// The newest PREPARE of that slot in the stream.
static inline uint32_t prepare_id(tacit_node_t stream, uint64_t slot)
{
    for (uint32_t k = world.id_count[stream]; k-- > 0;) {
        const struct tacit_payload *payload = &world.ids[stream][k].payload;
        if (payload->kind == TACIT_PAYLOAD_PREPARE && payload->slot == slot) {
            return k;
        }
    }
    fail_msg("no PREPARE");
    return 0;
}

// "a" is ACKed in slot 0 by all, who do not hear of each other's ACKs.
static inline void ack_unheard(void)
{
    world_open();
    block(world.no_vote, true);
    propose(0, "a");
    world_pump();
    for (tacit_node_t r = 0; r < WORLD_N; r++) {
        assert_true(world.voted[TACIT_VOTE_ACK][r][(r + 1) % WORLD_N][0]);
        assert_int_equal(report_of(r).decided, 0);
    }
}

// The NEW_VIEW(1) of a leader that is faulty from there on: the test has it in world.swallowed.
static inline void catch_newview(void)
{
    ack_unheard();
    world.node[1].swallows_newview = true;
    suspect_all();
    world_pump();
    assert_int_equal(world.swallowed.payload.kind, TACIT_PAYLOAD_NEW_VIEW);
    world.node[1].is_dead = true;
}

static inline uint32_t say_newview(void)
{
    const struct world_id *id = &world.swallowed;
    return world_say(1, id->payload, id->body, id->payload.body_bytes);
}

static inline bool is_newview_refused(void)
{
    (void)say_newview();
    world_pump();
    // Whoever is refused is found out, and left for the next leader.
    bool taken = agree_of(0)->streams[1].has_newview;
    assert_true(taken != world.node[0].condemned[1]);
    return !taken;
}

// Where the parts of the caught NEW_VIEW are: base 8, root 32, an empty certificate 8, two states.
enum { NEWVIEW_STATES = 48, NEWVIEW_SHARE = 80 };

static inline size_t state_bytes_at(size_t at)
{
    uint64_t bytes;
    memcpy(&bytes, world.swallowed.body + at + 8, 8);
    return 16 + tacit_round_up(bytes, 8) + 2 * NEWVIEW_SHARE;
}

static inline int close_world(void **state)
{
    (void)state;
    world_close();
    return 0;
}

#endif
