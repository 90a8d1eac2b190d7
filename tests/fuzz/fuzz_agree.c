// SPDX-License-Identifier: Apache-2.0
//
// Agreement against one faulty member of three: its ring messages, what it says on its stream, what
// it shows in its cells, whose PREPAREs it vouches, and in which order all this meets proposals,
// suspicions and time (tests/unit/byz_agree_world.h). The two correct replicas never decide
// differently, never find each other out, and come to rest.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "unit/byz_agree_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 60, PROPOSALS_MAX = 40 };

struct input {
    const uint8_t *data;
    size_t size;
};

static uint8_t next(struct input *input)
{
    if (input->size == 0) {
        return 0;
    }
    input->size--;
    return *input->data++;
}

// Up to `max` of the bytes that are left: a length, then these.
static size_t next_bytes(struct input *input, uint8_t *out, size_t max)
{
    size_t bytes = (size_t)next(input) * 4;
    bytes = bytes < input->size ? bytes : input->size;
    bytes = bytes < max ? bytes : max;
    memcpy(out, input->data, bytes);
    input->data += bytes;
    input->size -= bytes;
    return bytes;
}

// Well-formed more often than not, else nothing gets past the first check.
static struct tacit_signature sign(tacit_node_t author, tacit_domain_t domain, const uint8_t *bytes,
                                   uint32_t count)
{
    return world_sign(author, domain, bytes, count);
}

static void message(struct input *input, tacit_node_t liar, tacit_node_t to)
{
    uint8_t bytes[WORLD_MESSAGE] = {0};
    uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
    uint8_t head = next(input);
    size_t count = 8 + next_bytes(input, bytes + 8, 600);
    bytes[0] = (uint8_t)(TACIT_MESSAGE_STATUS + head % 5);
    bytes[1] = head >> 4 & 3;
    if (bytes[0] == TACIT_MESSAGE_CHECKPOINT_SHARE && head >= 128) {
        uint64_t base = (uint64_t)(head & 15) * WORLD_WINDOW / 2;
        struct tacit_digest root = world_root(base);
        uint32_t size = tacit_statement_checkpoint(statement, 1, base, &root);
        struct tacit_signature made = sign(liar, TACIT_DOMAIN_CHECKPOINT, statement, size);
        memcpy(bytes + 8, &base, 8);
        memcpy(bytes + 16, &root, TACIT_DIGEST_BYTES);
        memcpy(bytes + 16 + TACIT_DIGEST_BYTES, &made, TACIT_SIGNATURE_BYTES);
        count = 16 + TACIT_DIGEST_BYTES + TACIT_SIGNATURE_BYTES;
    }
    tacit_links_send(world_port(liar), to, bytes, (uint32_t)count);
}

// A value that others know, or not.
static struct tacit_digest value(uint8_t which)
{
    struct tacit_digest digest;
    char text = (char)('a' + which % 4);
    tacit_body_digest(&digest, &text, which % 4 == 3 ? 0 : 1);
    return digest;
}

static size_t stream_body(struct input *input, tacit_node_t liar, struct tacit_payload *payload,
                          uint8_t *body)
{
    uint8_t shape = next(input), which = next(input);
    uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
    struct tacit_certificate certificate = {.count = 2};
    struct tacit_digest digest = value(which);
    if (shape % 4 == 0) {
        return next_bytes(input, body, 1024);
    }
    if (payload->kind == TACIT_PAYLOAD_PREPARE) {
        body[0] = (uint8_t)('a' + which % 4);
        return which % 4 == 3 ? 0 : 1;
    }
    if (payload->kind == TACIT_PAYLOAD_SEAL_VIEW) {
        struct tacit_slot_value claims[2] = {
            {which % 16, which / 16u % 2, value(shape / 4)},
            {which % 16u + 1 + shape % 2, 0, value((uint8_t)(shape / 16))}};
        payload->slot = 0;
        return tacit_claims_encode(body, claims, shape / 64 % 3);
    }
    if (payload->kind == TACIT_PAYLOAD_NEW_VIEW && world.swallowed.payload.body_bytes > 0) {
        memcpy(body, world.swallowed.body, world.swallowed.payload.body_bytes);
        if (which > 0) {
            body[(uint32_t)which * 16 % world.swallowed.payload.body_bytes] ^= shape;
        }
        payload->slot = world.swallowed.payload.slot;
        return world.swallowed.payload.body_bytes;
    }
    // Its own share is good; of another one it can only repeat what was shown to it.
    tacit_node_t other = (tacit_node_t)((liar + 1 + which / 128) % WORLD_N);
    uint64_t at = payload->slot % WORLD_SLOTS;
    uint32_t size = tacit_statement_certify(statement, 1, payload->view, payload->slot, &digest);
    struct tacit_share mine = {.signer = (uint8_t)liar,
                               .signature = sign(liar, TACIT_DOMAIN_CERTIFY, statement, size)};
    struct tacit_share theirs = {.signer = (uint8_t)other,
                                 .signature =
                                     world.cell[TACIT_VOTE_CERTIFY][other][liar][at].signature};
    certificate.shares[0] = liar < other ? mine : theirs;
    certificate.shares[1] = liar < other ? theirs : mine;
    memcpy(body, digest.bytes, TACIT_DIGEST_BYTES);
    return TACIT_DIGEST_BYTES +
           tacit_certificate_encode(body + TACIT_DIGEST_BYTES, 400, &certificate);
}

static void stream(struct input *input, tacit_node_t liar)
{
    static uint8_t body[WORLD_BODY];
    uint8_t head = next(input), where = next(input);
    struct tacit_payload payload = {
        .kind = (uint8_t)(1 + head % 5), .view = head / 5u % 8, .slot = where % 32};
    size_t bytes = stream_body(input, liar, &payload, body);
    if (world.id_count[liar] < WORLD_IDS - 8u) {
        (void)world_say(liar, payload, body, (uint32_t)bytes);
    }
}

static void vote(struct input *input, tacit_node_t liar, tacit_node_t to)
{
    uint8_t head = next(input), where = next(input);
    uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
    struct tacit_vote one = {.view = head / 2u % 8, .slot = where % 32, .digest = value(head / 16)};
    uint32_t size = tacit_statement_certify(statement, 1, one.view, one.slot, &one.digest);
    if (where < 192) {
        one.signature = sign(liar, TACIT_DOMAIN_CERTIFY, statement, size);
    }
    world_vote(liar, to, head % 2 == 0 ? TACIT_VOTE_ACK : TACIT_VOTE_CERTIFY, &one);
}

static void step(struct input *input, tacit_node_t liar)
{
    uint8_t what = next(input);
    tacit_node_t one = (tacit_node_t)((liar + 1 + what / 128) % WORLD_N);
    uint64_t slot;
    char text = (char)('a' + what / 16 % 3);
    switch (what % 8) {
    case 0:
        message(input, liar, one);
        break;
    case 1:
    case 2:
        stream(input, liar);
        break;
    case 3:
        vote(input, liar, one);
        break;
    case 4:
        (void)tacit_agree_propose(world.node[one].agree, &text, 1, &slot);
        break;
    case 5: // vouches everything that is there
        for (uint32_t k = 0; k < world.id_count[one]; k++) {
            world.node[liar].vouched[one][k] = true;
        }
        break;
    case 6:
        if (what / 16 % 4 == 0) {
            tacit_agree_suspect(world.node[one].agree);
        }
        break;
    default:
        world_pass(WORLD_SLOW_NS * (1u + what / 16u % 8));
    }
    world_pump();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    world_open();
    uint8_t head = next(&input);
    tacit_node_t liar = head % WORLD_N;
    world.node[liar].swallows_newview = head >= 128;
    for (unsigned i = 0; i < head / 4u % 32; i++) { // until then it is as good as the others
        step(&input, liar);
    }
    world.node[liar].is_dead = true;
    for (unsigned i = 0; i < STEPS_MAX && input.size > 0; i++) {
        step(&input, liar);
    }
    world_pass(4 * WORLD_RETRY_NS);
    for (tacit_node_t r = 0; r < WORLD_N; r++) {
        for (tacit_node_t other = 0; other < WORLD_N && r != liar; other++) {
            world_require(other == liar || !world.node[r].condemned[other],
                          "a correct replica was found out");
        }
    }
    world_require(world_agrees(), "two values are decided in one slot");
    return 0;
}
