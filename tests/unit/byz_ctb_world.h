// SPDX-License-Identifier: Apache-2.0
//
// A small world for consistent broadcast: n instances of the module, each with a model of its
// engine, over faked links, registers and signers (byz_ctb_fakes.h). Up to f replicas are dead,
// slow or lie; the rest are correct and are checked at each call that they make. Virtual time jumps
// to the next thing that is due, so a deadline that the module forgets shows as a stall.
#ifndef TACIT_TESTS_BYZ_CTB_WORLD_H
#define TACIT_TESTS_BYZ_CTB_WORLD_H

#include "unit/byz_ctb_fakes.h"

// ---- the engine of a replica -------------------------------------------------------------------

static void world_locked(void *context, tacit_node_t s, uint64_t k,
                         const struct tacit_payload *payload)
{
    struct world_replica *replica = context;
    if (payload->kind != TACIT_PAYLOAD_PREPARE) {
        return;
    }
    if (choice_chance(world.choice, world.vouch_never)) {
        if (!world.options.quiet && choice_u32(world.choice, 2) == 1) {
            tacit_ctb_abstain(replica->ctb, s, k);
            tacit_ctb_vouch(replica->ctb, s, k); // too late
        }
        return;
    }
    bool is_late = !world.options.quiet && choice_u32(world.choice, 3) == 2;
    uint32_t wait_ns = is_late ? choice_u32(world.choice, 8000) : 0;
    if (wait_ns == 0) {
        tacit_ctb_vouch(replica->ctb, s, k);
    } else {
        replica->vouch_k[s][k % WORLD_TAIL] = k;
        replica->vouch_ns[s][k % WORLD_TAIL] = world.now_ns + wait_ns;
    }
}

static void world_body_held(void *context, tacit_node_t s, uint64_t k,
                            const struct tacit_payload *payload)
{
    struct world_replica *replica = context;
    uint32_t bytes = 0;
    (void)s;
    (void)k;
    if (tacit_bodies_find(replica->bodies, &payload->digest, &bytes) == NULL) {
        world_violate("body_held without a body", (uint32_t)(replica - world.replica), s, k);
    }
}

static void world_unanimous(void *context, tacit_node_t s, uint64_t k,
                            const struct tacit_payload *payload)
{
    struct world_replica *replica = context;
    uint32_t r = (uint32_t)(replica - world.replica);
    (void)payload;
    for (uint32_t w = 0; w < world.options.replicas && world_is_correct(r); w++) {
        const struct world_replica *other = &world.replica[w];
        const struct tacit_ctb_slot *slot =
            w == r || w == s || !world_is_correct(w) || other->epoch != replica->epoch
                ? NULL
                : tacit_ctb_locked_slot(other->ctb, s, k);
        if (slot != NULL && (slot->flags & TACIT_CTB_SAID) != 0 &&
            (slot->flags & TACIT_CTB_VOUCHED) == 0) {
            world_violate("unanimous without a vouch", r, s, k);
        }
    }
    if (k < WORLD_IDS) {
        uint64_t *word = &world.unanimous_seen[r][s][k / 64];
        if ((*word >> k % 64 & 1) != 0 && world_is_correct(r)) {
            world_violate("unanimous twice", r, s, k);
        }
        *word |= 1ull << k % 64;
    }
}

static uint64_t world_chain(uint64_t chain, uint64_t k, uint64_t payload)
{
    uint64_t words[3] = {chain, k, payload};
    return XXH3_64bits(words, sizeof words);
}

// What a correct replica does is compared with what others did.
static void world_judge(uint32_t r, tacit_node_t s, uint64_t k, uint64_t payload)
{
    struct world_replica *replica = &world.replica[r];
    struct world_stream *stream = &replica->stream[s];
    if (k != stream->next || k >= WORLD_IDS) {
        world_violate("delivered out of order", r, s, k);
        return;
    }
    stream->next = k + 1;
    stream->chain = world_chain(stream->chain, k, payload);
    if (world.replica[r].lies) {
        return;
    }
    if (!world.truth[replica->epoch][s][k].is) {
        world.truth[replica->epoch][s][k].is = true;
        world.truth[replica->epoch][s][k].payload = payload;
        world.truth[replica->epoch][s][k].chain = stream->chain;
    } else if (world.truth[replica->epoch][s][k].payload != payload ||
               world.truth[replica->epoch][s][k].chain != stream->chain) {
        world_violate("two payloads were delivered", r, s, k);
    }
}

static enum tacit_take world_deliver(void *context, tacit_node_t s, uint64_t k,
                                     const struct tacit_payload *payload, const uint8_t *body)
{
    struct world_replica *replica = context;
    uint32_t r = (uint32_t)(replica - world.replica);
    struct world_stream *stream = &replica->stream[s];
    struct tacit_digest digest;
    if (payload->view >= 1000) {
        return TACIT_TAKE_ILLEGAL; // some lies are found out by everybody
    }
    if (body == NULL && payload->kind != TACIT_PAYLOAD_PREPARE) {
        world_violate("delivered without a body", r, s, k);
    } else if (body != NULL) {
        tacit_body_digest(&digest, body, payload->body_bytes);
        if (memcmp(&digest, &payload->digest, sizeof digest) != 0) {
            world_violate("delivered with another body", r, s, k);
        }
    }
    if (!stream->is_later && choice_chance(world.choice, world.later_rate)) {
        stream->is_later = true;
        stream->later_ns = world.now_ns + choice_u32(world.choice, 6000);
        if (stream->later_ns == world.now_ns) {
            tacit_ctb_resume(replica->ctb, s);
        }
        return TACIT_TAKE_LATER;
    }
    stream->is_later = false;
    world_judge(r, s, k, world_payload_hash(payload));
    return TACIT_TAKE_DONE;
}

static size_t world_encode(void *context, tacit_node_t s, uint8_t *out)
{
    struct world_replica *replica = context;
    size_t bytes = world.large ? WORLD_STATE : 16;
    memset(out, 0, bytes);
    memcpy(out, &replica->stream[s].chain, 8);
    memcpy(out + 8, &replica->stream[s].next, 8);
    return bytes;
}

static bool world_adopt(void *context, tacit_node_t s, uint64_t k, const uint8_t *state,
                        size_t bytes)
{
    struct world_replica *replica = context;
    uint32_t r = (uint32_t)(replica - world.replica);
    struct world_stream *stream = &replica->stream[s];
    uint64_t words[2] = {0, 0};
    memcpy(words, state, bytes < 16 ? bytes : 16);
    bool is_true = bytes >= 16 && k < WORLD_IDS && words[1] == k + 1 && k >= stream->next &&
                   world.truth[replica->epoch][s][k].is &&
                   world.truth[replica->epoch][s][k].chain == words[0];
    if (!is_true) {
        world_violate("adopted a state that nobody has", r, s, k);
        return false;
    }
    stream->chain = words[0];
    stream->next = k + 1;
    stream->is_later = false;
    return true;
}

static uint32_t world_body_bytes(void)
{
    switch (choice_u32(world.choice, world.large ? 4 : 3)) {
    case 0:
        return 8;
    case 1:
        return 0;
    case 2:
        return 16 + choice_u32(world.choice, 64);
    default:
        return TACIT_BYZ_INLINE_BYTES + 1 + choice_u32(world.choice, 400);
    }
}

static void world_engine_turn(uint32_t r)
{
    struct world_replica *replica = &world.replica[r];
    uint8_t body[WORLD_BODY];
    for (uint32_t s = 0; s < world.options.replicas; s++) {
        struct world_stream *stream = &replica->stream[s];
        if (stream->is_later && stream->later_ns <= world.now_ns) {
            stream->later_ns = UINT64_MAX;
            tacit_ctb_resume(replica->ctb, (tacit_node_t)s);
        }
        for (uint32_t i = 0; i < WORLD_TAIL; i++) {
            if (replica->vouch_ns[s][i] <= world.now_ns) {
                replica->vouch_ns[s][i] = UINT64_MAX;
                tacit_ctb_vouch(replica->ctb, (tacit_node_t)s, replica->vouch_k[s][i]);
            }
        }
    }
    bool leaves = world.healing || (!world.options.quiet && choice_u32(world.choice, 256) == 255);
    if (leaves && world.options.no_memory && !replica->has_left) {
        replica->has_left = true;
        tacit_ctb_leave(replica->ctb, 1000);
    }
    if (replica->broadcasts >= world.options.ids || world.now_ns < replica->next_broadcast_ns) {
        return;
    }
    struct tacit_payload payload = {.kind = (uint8_t)(1 + choice_u32(world.choice, 5)),
                                    .view = r + 1,
                                    .slot = replica->broadcasts};
    uint32_t bytes = world_body_bytes();
    uint64_t token[2] = {r, replica->broadcasts};
    memset(body, 0, sizeof body);
    memcpy(body, token, sizeof token);
    replica->next_broadcast_ns = world.now_ns + 200 + choice_u32(world.choice, 4000);
    if (tacit_ctb_broadcast(replica->ctb, &payload, body, bytes, world.now_ns)) {
        replica->broadcasts++;
    }
    if (!world.options.quiet && choice_u32(world.choice, 64) == 63) {
        tacit_ctb_hurry(replica->ctb);
    }
}

// ---- liars -------------------------------------------------------------------------------------

static struct tacit_digest world_forged_state(void)
{
    uint8_t state[16];
    struct tacit_digest digest;
    memset(state, 0xee, sizeof state);
    tacit_digest_make(&digest, TACIT_DOMAIN_STATE, state, sizeof state);
    return digest;
}

// Tells the other side another story, and keeps to it.
static bool world_equivocate(uint32_t from, struct tacit_ctb_message *message)
{
    if (message->stream != from ||
        (message->kind != TACIT_MESSAGE_LOCK && message->kind != TACIT_MESSAGE_SIGNED)) {
        return false;
    }
    uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
    message->payload.view += message->k % 29 == 28 ? 1000 : 100;
    uint32_t bytes = tacit_statement_stream_id(statement, message->epoch, message->stream,
                                               message->k, &message->payload);
    world_sign((uint16_t)from, TACIT_DOMAIN_STREAM_ID, statement, bytes, &message->signature);
    return true;
}

// Small edits of an honest message, and messages that no honest replica sends.
static void world_edit(uint32_t from, uint32_t to, struct tacit_ctb_message *message)
{
    struct choice *choice = world.choice;
    uint8_t bytes[TACIT_CTB_MESSAGE_BYTES];
    switch (choice_u32(choice, 10)) {
    case 0:
        return; // silence
    case 1:
        message->k += choice_u32(choice, 3) + WORLD_TAIL - 1;
        break;
    case 2:
        message->k -= message->k > 0 ? 1 : 0;
        break;
    case 3:
        message->payload.view ^= 1;
        break;
    case 4:
        message->digest.bytes[0] ^= 1;
        message->signature.bytes[5] ^= 1;
        break;
    case 5:
        message->stream = (tacit_node_t)choice_u32(choice, world.options.replicas);
        break;
    case 6: { // a certificate of its own invention, for what comes next
        *message =
            (struct tacit_ctb_message){.kind = TACIT_MESSAGE_SUMMARY, .epoch = message->epoch};
        message->stream = (tacit_node_t)choice_u32(choice, world.options.replicas);
        message->k = (message->k / 8 + 1 + choice_u32(choice, 4)) * (WORLD_TAIL / 2) - 1;
        message->digest = world_forged_state();
        message->certificate.count = (uint8_t)(world.options.replicas / 2 + 1);
        for (uint8_t i = 0; i < message->certificate.count; i++) {
            message->certificate.shares[i].signer = i;
        }
        break;
    }
    case 7:
        message->unvouched = message->kind == TACIT_MESSAGE_LOCKED && !message->unvouched;
        break;
    case 8:
        message->kind =
            choice_u32(choice, 2) == 0 ? TACIT_MESSAGE_NUDGE : TACIT_MESSAGE_FETCH_SUMMARY;
        message->carries = 0;
        message->unvouched = false;
        break;
    default: {
        struct world_message *old = &world.old[choice_u32(choice, WORLD_OLD)];
        world_put(from, to, old->data, old->bytes);
        return;
    }
    }
    message->k = message->k < TACIT_CTB_ID_MAX ? message->k : 0;
    uint32_t count = tacit_ctb_encode(bytes, message);
    if (choice_u32(choice, 8) == 7) {
        bytes[choice_u32(choice, count)] ^= (uint8_t)(1u << choice_u32(choice, 8));
    }
    world_put(from, to, bytes, count);
}

static void world_lie(uint32_t from, uint32_t to, const uint8_t *bytes, uint32_t count)
{
    struct world_replica *liar = &world.replica[from];
    uint8_t out[TACIT_CTB_MESSAGE_BYTES];
    struct tacit_ctb_message message = {0};
    if (tacit_ctb_decode(&message, bytes, count, (uint8_t)(world.options.replicas / 2 + 1),
                         world.options.replicas) != TACIT_VERDICT_OK) {
        world_put(from, to, bytes, count);
        return;
    }
    bool both = liar->other_side >> 15 != 0 && choice_u32(world.choice, 4) == 3;
    bool other = (liar->other_side >> to & 1) != 0;
    if (both && !other) {
        world_put(from, to, bytes, count);
    }
    if (both || other) {
        struct tacit_ctb_message second = message;
        if (world_equivocate(from, &second)) {
            world_put(from, to, out, tacit_ctb_encode(out, &second));
            if (both && other) {
                world_put(from, to, bytes, count);
            }
            return;
        }
        if (both && !other) {
            return;
        }
    }
    if (message.kind == TACIT_MESSAGE_LOCKED && choice_chance(world.choice, liar->deaf_rate)) {
        return;
    }
    if (choice_chance(world.choice, liar->lie_rate)) {
        world_edit(from, to, &message);
        return;
    }
    world_put(from, to, bytes, count);
}

// A liar serves the state that it invented.
static void world_serve_forged(uint32_t self, uint32_t from, const struct world_message *received)
{
    struct tacit_ctb_message message = {0};
    uint8_t out[TACIT_CTB_MESSAGE_BYTES];
    uint8_t state[16];
    if (tacit_ctb_decode(&message, received->data, received->bytes,
                         (uint8_t)(world.options.replicas / 2 + 1),
                         world.options.replicas) != TACIT_VERDICT_OK ||
        message.kind != TACIT_MESSAGE_FETCH ||
        memcmp(&message.digest, &world.forged, sizeof world.forged) != 0) {
        return;
    }
    memset(state, 0xee, sizeof state);
    struct tacit_ctb_message answer = {.kind = TACIT_MESSAGE_BODY,
                                       .carries = TACIT_CTB_INLINE,
                                       .epoch = message.epoch,
                                       .k = sizeof state,
                                       .digest = message.digest,
                                       .body = state,
                                       .body_bytes = sizeof state};
    world_put(self, from, out, tacit_ctb_encode(out, &answer));
}

// ---- turns -------------------------------------------------------------------------------------

static void world_receive(uint32_t r, uint32_t from)
{
    struct world_link *link = &world.links[from][r];
    struct world_replica *replica = &world.replica[r];
    if (link->sent - link->read > WORLD_RING) {
        link->read = link->sent - WORLD_RING; // lapped
    }
    while (link->read < link->sent && link->ring[link->read % WORLD_RING].at_ns <= world.now_ns) {
        static struct world_message copy;
        copy = link->ring[link->read++ % WORLD_RING];
        if (choice_u32(world.choice, 4) == 0) {
            world.old[world.olds++ % WORLD_OLD] = copy;
        }
        if (replica->lies) {
            world_serve_forged(r, from, &copy);
        }
        tacit_ctb_message(replica->ctb, (tacit_node_t)from, copy.data, copy.bytes, world.now_ns);
    }
}

static void world_signer_turn(uint32_t r)
{
    struct world_signer *signer = &world.replica[r].signer;
    for (uint32_t i = 0; i < signer->count; i++) {
        if (signer->jobs[i].at_ns <= world.now_ns) {
            struct world_job job = signer->jobs[i];
            signer->jobs[i--] = signer->jobs[--signer->count];
            signer->queued[job.charge]--;
            tacit_ctb_signer(world.replica[r].ctb, &job.done, world.now_ns);
        }
    }
}

static void world_new_epoch(uint32_t r)
{
    struct world_replica *replica = &world.replica[r];
    replica->epoch_at_ns = UINT64_MAX;
    replica->epoch = 2;
    replica->broadcasts = 0;
    replica->op_count = 0;
    memset(replica->stream, 0, sizeof replica->stream);
    memset(replica->vouch_ns, 0xff, sizeof replica->vouch_ns);
    memset(world.unanimous_seen[r], 0, sizeof world.unanimous_seen[r]);
    tacit_ctb_reset(replica->ctb, 2, world.now_ns);
}

static void world_turn(uint32_t r)
{
    struct world_replica *replica = &world.replica[r];
    if (replica->dead || world.now_ns < replica->pause_until_ns) {
        return;
    }
    if (!world.healing && !world.options.quiet && choice_u32(world.choice, 512) == 511) {
        replica->pause_until_ns = world.now_ns + choice_spread_ns(world.choice, 300000);
    }
    if (world.now_ns >= replica->epoch_at_ns) {
        world_new_epoch(r);
    }
    for (uint32_t from = 0; from < world.options.replicas; from++) {
        if (from != r) {
            world_receive(r, from);
        }
    }
    world_signer_turn(r);
    world_registers_turn(r);
    world_engine_turn(r);
    for (uint32_t i = 0; i < 8 && tacit_ctb_poll(replica->ctb, world.now_ns); i++) {
    }
    if (world.steps % 16 == 0) {
        const char *wrong = tacit_ctb_check(replica->ctb);
        if (wrong != NULL) {
            world_violate(wrong, r, 0, 0);
        }
    }
}

static void world_sooner(uint64_t *at_ns, uint64_t other_ns)
{
    *at_ns = other_ns < *at_ns ? other_ns : *at_ns;
}

// When something is due at a replica.
static uint64_t world_due(uint32_t r)
{
    const struct world_replica *replica = &world.replica[r];
    uint64_t at_ns = tacit_ctb_deadline(replica->ctb);
    for (uint32_t from = 0; from < world.options.replicas; from++) {
        const struct world_link *link = &world.links[from][r];
        if (link->read < link->sent) {
            uint64_t lost = link->sent - link->read > WORLD_RING ? link->sent - WORLD_RING : 0;
            uint64_t first = link->read > lost ? link->read : lost;
            world_sooner(&at_ns, link->ring[first % WORLD_RING].at_ns);
        }
    }
    for (uint32_t i = 0; i < replica->signer.count; i++) {
        world_sooner(&at_ns, replica->signer.jobs[i].at_ns);
    }
    for (uint32_t i = 0; i < replica->op_count; i++) {
        world_sooner(&at_ns,
                     replica->ops[i].looked ? replica->ops[i].at_ns : replica->ops[i].look_ns);
    }
    for (uint32_t i = 0; i < world.options.replicas * WORLD_TAIL; i++) {
        if (replica->registers[replica->epoch][i].writing) {
            world_sooner(&at_ns, replica->registers[replica->epoch][i].done_ns);
        }
    }
    for (uint32_t s = 0; s < world.options.replicas; s++) {
        if (replica->stream[s].is_later) {
            world_sooner(&at_ns, replica->stream[s].later_ns);
        }
        for (uint32_t i = 0; i < WORLD_TAIL; i++) {
            world_sooner(&at_ns, replica->vouch_ns[s][i]);
        }
    }
    if (replica->broadcasts < world.options.ids && tacit_ctb_has_room(replica->ctb)) {
        world_sooner(&at_ns, replica->next_broadcast_ns);
    }
    world_sooner(&at_ns, replica->epoch_at_ns);
    return at_ns > replica->pause_until_ns ? at_ns : replica->pause_until_ns;
}

static void world_step(void)
{
    uint64_t at_ns = UINT64_MAX;
    for (uint32_t r = 0; r < world.options.replicas; r++) {
        if (!world.replica[r].dead) {
            world_sooner(&at_ns, world_due(r));
        }
    }
    at_ns = at_ns == UINT64_MAX ? world.now_ns + WORLD_RETRY_NS : at_ns;
    world.now_ns = at_ns > world.now_ns ? at_ns : world.now_ns + 1;
    world.steps++;
    for (uint32_t r = 0; r < world.options.replicas; r++) {
        world_turn(r);
    }
}

// ---- a run -------------------------------------------------------------------------------------

static void world_open_replica(uint8_t r)
{
    struct world_replica *replica = &world.replica[r];
    struct tacit_ctb_config config = {.replicas = world.options.replicas,
                                      .self = r,
                                      .tail = WORLD_TAIL,
                                      .state_bytes = WORLD_STATE,
                                      .body_bytes = WORLD_BODY,
                                      .slow_after_ns = WORLD_SLOW_NS,
                                      .retry_ns = WORLD_RETRY_NS};
    struct tacit_bodies_needs needs = {.replicas = world.options.replicas,
                                       .self = r,
                                       .tail = WORLD_TAIL,
                                       .batch_bytes = WORLD_BODY,
                                       .seal_bytes = WORLD_BODY - 200,
                                       .body_bytes = WORLD_BODY};
    struct tacit_bodies_config bodies;
    tacit_bodies_shape(&bodies, &needs);
    struct tacit_ctb_calls calls = {.context = replica,
                                    .locked = world_locked,
                                    .body_held = world_body_held,
                                    .unanimous = world_unanimous,
                                    .deliver = world_deliver,
                                    .encode = world_encode,
                                    .adopt = world_adopt};
    struct tacit_marker marker = {.mark = world_mark, .context = NULL};
    replica->signer.signer.ops = &world_signer_ops;
    replica->signer.self = r;
    replica->epoch = 1;
    replica->epoch_at_ns = UINT64_MAX;
    memset(replica->vouch_ns, 0xff, sizeof replica->vouch_ns);
    static const size_t room = 1u << 20;
    if (world_memory[r] == NULL) {
        world_memory[r] = aligned_alloc(64, room);
    }
    struct tacit_bump bump = {world_memory[r], 0};
    replica->bodies = tacit_bodies_init(&bump, &bodies);
    replica->ctb = tacit_ctb_init(&bump, &config, 1, (struct tacit_links *)(void *)replica,
                                  (struct tacit_registers *)(void *)replica,
                                  &replica->signer.signer, replica->bodies, &calls, marker);
    TACIT_ASSERT(bump.used <= room);
}

static void world_faults(void)
{
    struct choice *choice = world.choice;
    static const uint32_t rates[] = {0, 600, 6000, 30000};
    if (world.options.quiet) {
        world.delay_ns = 100;
        world.sign_ns = 500;
        world.memory_ns = 300;
        world.replica[1].pause_until_ns = world.options.late ? 40000 : 0;
        return;
    }
    world.delay_ns = 20 + (uint32_t)choice_spread_ns(choice, 6000);
    world.sign_ns = 100 + choice_u32(choice, 3000);
    world.memory_ns = 50 + choice_u32(choice, 4000);
    world.vouch_never = rates[choice_u32(choice, 4)] / 2;
    world.later_rate = rates[choice_u32(choice, 4)];
    world.large = choice_u32(choice, 2) == 1;
    if (choice_u32(choice, 4) == 3) {
        world.memory_down_ns = choice_u32(choice, 400000);
    }
    if (world.options.no_memory) {
        world.memory_down_ns = UINT64_MAX - 1;
        world.vouch_never = rates[2 + choice_u32(choice, 2)];
    }
    for (uint32_t i = 0; i < world.options.liars; i++) {
        struct world_replica *liar = &world.replica[world.options.replicas - 1u - i];
        liar->lies = true;
        liar->lie_rate = rates[choice_u32(choice, 4)];
        liar->deaf_rate = choice_u32(choice, 3) == 2 ? CHOICE_ALWAYS : 0;
        if (choice_u32(choice, 2) == 1) {
            liar->other_side = (uint16_t)choice_u32(choice, 1u << 16);
        }
        if (choice_u32(choice, 6) == 5) {
            liar->dead = true; // from the start
        }
    }
    for (uint32_t r = 0; r < world.options.replicas && world.options.epochs; r++) {
        world.replica[r].epoch_at_ns = 100000 + choice_u32(choice, 60000);
    }
}

static void world_open(const struct world_options *options, struct choice *choice)
{
    memset(&world, 0, offsetof(struct world, links));
    for (uint32_t from = 0; from < options->replicas; from++) {
        for (uint32_t to = 0; to < options->replicas; to++) {
            memset(&world.links[from][to], 0, offsetof(struct world_link, ring));
        }
    }
    world.options = *options;
    world.choice = choice;
    world.now_ns = 1000;
    world.forged = world_forged_state();
    for (uint8_t r = 0; r < options->replicas; r++) {
        world_open_replica(r);
    }
    world_faults();
}

// What correct broadcasters said has come to all correct replicas.
static bool world_is_done(const char **what, uint32_t *who, uint32_t *whose)
{
    for (uint32_t s = 0; s < world.options.replicas; s++) {
        const struct world_replica *from = &world.replica[s];
        if (!world_is_correct(s)) {
            continue;
        }
        for (uint32_t r = 0; r < world.options.replicas; r++) {
            const struct world_replica *to = &world.replica[r];
            *who = r;
            *whose = s;
            if (!world_is_correct(r)) {
                continue;
            }
            if (tacit_ctb_is_condemned(to->ctb, (tacit_node_t)s)) {
                *what = "a correct broadcaster was condemned";
                return true;
            }
            if (tacit_ctb_is_malformed(to->ctb, (tacit_node_t)s)) {
                *what = "what a correct replica said was found malformed";
                return true;
            }
            if (from->broadcasts < world.options.ids || to->epoch != from->epoch ||
                to->epoch_at_ns != UINT64_MAX || to->stream[s].next < from->broadcasts) {
                *what = "not everything was delivered";
                return false;
            }
        }
    }
    *what = NULL;
    return true;
}

static const char *world_run(const struct world_options *options, struct choice *choice)
{
    const char *what = NULL;
    uint32_t who = 0, whose = 0;
    world_open(options, choice);
    uint64_t heal_ns =
        options->quiet ? WORLD_RETRY_NS * 4 : 1000 + choice_spread_ns(choice, 600000);
    bool is_done = false;
    while (!is_done && world.violation[0] == '\0' && world.steps < WORLD_STEPS_MAX) {
        if (world.now_ns >= heal_ns && !world.healing) {
            world.healing = true;
            world.later_rate = 0;
            for (uint32_t r = 0; r < options->replicas; r++) {
                world.replica[r].pause_until_ns = 0;
            }
        }
        world_step();
        is_done = world.healing && world_is_done(&what, &who, &whose);
    }
    if (world.violation[0] == '\0' && (!is_done || what != NULL)) {
        world_violate(what == NULL ? "did not heal" : what, who, whose, 0);
    }
    for (uint32_t r = 0; r < options->replicas && world.violation[0] == '\0'; r++) {
        const char *wrong = tacit_bodies_check(world.replica[r].bodies);
        if (wrong != NULL) {
            world_violate(wrong, r, 0, 0);
        }
    }
    return world.violation[0] == '\0' ? NULL : world.violation;
}

#endif
