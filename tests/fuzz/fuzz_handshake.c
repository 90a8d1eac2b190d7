// SPDX-License-Identifier: Apache-2.0
//
// The input is an attacker's script: it starts four nodes, carries, keeps, edits, mixes and invents
// messages between them, in any order. Whatever it does, an acceptor believes a connector only when
// that connector sent this very message to it, and a connector that is done has the keys of an
// acceptor that is done with it.
#include <sodium.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tacit/handshake.h"

#define BYTES TACIT_HANDSHAKE_MESSAGE_BYTES

enum {
    SIDES = 4,
    SLOTS = 8,         // messages that the attacker holds
    STEPS_MAX = 128,   // of a script
    RECORDS_MAX = 128, // of sessions and of CONNECT messages: at most one a step
};

enum operation {
    OP_OUTPUT,  // side -> slot
    OP_INPUT,   // slot -> side
    OP_EDIT,    // slot: one byte
    OP_MIX,     // slot: its tail from another slot
    OP_INVENT,  // slot: bytes of the input
    OP_RESTART, // side
    OP_REFUSE,  // side
    OP_CUT,     // slot -> side, with another length
    OPERATIONS,
};

struct side {
    _Alignas(64) uint8_t memory[4096];
    struct tacit_handshake_options options;
    struct tacit_handshake *handshake;
};

struct sent {
    const struct side *by;
    uint8_t message[BYTES];
};

struct record {
    struct tacit_handshake_options options;
    struct tacit_session session;
};

struct script {
    const uint8_t *data;
    size_t left;
};

static struct side sides[SIDES];
static struct tacit_keypair pairs[3]; // replica 1, memory node 2, replica 2
static uint8_t slots[SLOTS][BYTES];
static struct sent sent[RECORDS_MAX];
static size_t sent_count;
static struct record records[RECORDS_MAX];
static size_t record_count;
static uint32_t drawn; // makes random bytes the same in every run of one input

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static const char *random_name(void)
{
    return "fuzz";
}

static void random_buf(void *const out, const size_t bytes)
{
    uint8_t seed[randombytes_SEEDBYTES] = {0};
    drawn++;
    memcpy(seed, &drawn, sizeof drawn);
    randombytes_buf_deterministic(out, bytes, seed);
}

static uint32_t random_u32(void)
{
    uint32_t value;
    random_buf(&value, sizeof value);
    return value;
}

static struct randombytes_implementation random_of_fuzz = {
    .implementation_name = random_name, .random = random_u32, .buf = random_buf};

static bool lookup(struct tacit_public_key *out, struct tacit_identity claimed, void *context)
{
    const struct tacit_peer_name name = claimed.name;
    (void)context;
    if (name.id != 1 && name.id != 2) {
        return false;
    }
    if (name.role == TACIT_PEER_REPLICA) {
        *out = pairs[name.id == 1 ? 0 : 2].public_key;
        return true;
    }
    *out = pairs[1].public_key;
    return name.role == TACIT_PEER_MEMNODE && name.id == 2;
}

static void start(struct side *side)
{
    require(tacit_handshake_size() <= sizeof side->memory);
    require(tacit_handshake_init(&side->handshake, side->memory, sizeof side->memory,
                                 &side->options, NULL) == TACIT_OK);
}

// 0: replica 1 connects to memory node 2, 1: memory node 2 accepts, 2: replica 2 connects to memory
// node 2, 3: replica 2 accepts (for those who are led to the wrong node, and from replica 1).
static void world_start(uint8_t flavour)
{
    static const struct tacit_peer_name names[SIDES] = {{TACIT_PEER_REPLICA, 1},
                                                        {TACIT_PEER_MEMNODE, 2},
                                                        {TACIT_PEER_REPLICA, 2},
                                                        {TACIT_PEER_REPLICA, 2}};
    static const unsigned pair_of[SIDES] = {0, 1, 2, 2};
    drawn = 0;
    sent_count = 0;
    record_count = 0;
    memset(slots, 0, sizeof slots);
    memset(sides, 0, sizeof sides);
    for (unsigned i = 0; i < SIDES; i++) {
        struct tacit_handshake_options *options = &sides[i].options;
        options->connects = i == 0 || i == 2;
        options->self = (struct tacit_identity){names[i], i + 1};
        options->wanted = i == 0 && (flavour & 1) != 0 ? names[3] : names[1];
        options->keypair = &pairs[pair_of[i]];
        options->lookup = lookup;
        options->group.bytes[0] = i == 1 && (flavour & 2) != 0;
        options->cluster.bytes[0] = i == 0 && (flavour & 4) != 0;
        start(&sides[i]);
    }
}

static bool name_is_equal(struct tacit_peer_name a, struct tacit_peer_name b)
{
    return a.role == b.role && a.id == b.id;
}

static bool identity_is_equal(const struct tacit_identity *a, const struct tacit_identity *b)
{
    return name_is_equal(a->name, b->name) && a->incarnation == b->incarnation;
}

// An acceptor has just believed `message`.
static void check_believed(const struct side *side, const uint8_t *message,
                           const struct tacit_identity *peer)
{
    for (size_t i = 0; i < sent_count; i++) {
        const struct tacit_handshake_options *by = &sent[i].by->options;
        if (memcmp(sent[i].message, message, BYTES) == 0) {
            require(identity_is_equal(&by->self, peer));
            require(name_is_equal(by->wanted, side->options.self.name));
            require(memcmp(&by->group, &side->options.group, sizeof by->group) == 0);
            require(memcmp(&by->cluster, &side->options.cluster, sizeof by->cluster) == 0);
            return;
        }
    }
    require(false);
}

// A side is done: its session goes to the records. A connector's has its match there.
static void check_done(struct side *side)
{
    struct tacit_session session;
    bool matched = side->options.connects ? false : true;
    if (!tacit_handshake_take(side->handshake, &session)) {
        return;
    }
    for (size_t i = 0; i < record_count; i++) {
        const struct record *other = &records[i];
        if (!tacit_digest_is_equal(&other->session.transcript, &session.transcript)) {
            require(memcmp(&other->session.send_key, &session.receive_key, 32) != 0);
            continue;
        }
        require(other->options.connects != side->options.connects);
        require(identity_is_equal(&other->options.self, &session.peer));
        require(identity_is_equal(&other->session.peer, &side->options.self));
        require(memcmp(&other->session.send_key, &session.receive_key, 32) == 0);
        require(memcmp(&other->session.receive_key, &session.send_key, 32) == 0);
        matched = true;
    }
    require(matched && record_count < RECORDS_MAX);
    records[record_count].options = side->options;
    records[record_count].session = session;
    record_count++;
}

static void deliver(struct side *side, const uint8_t *message, size_t bytes)
{
    struct tacit_identity peer;
    struct tacit_error error;
    bool before = tacit_handshake_peer(side->handshake, &peer);
    enum tacit_verdict verdict = tacit_handshake_input(side->handshake, message, bytes);
    enum tacit_handshake_state state = tacit_handshake_state(side->handshake);
    enum tacit_refusal reason = tacit_handshake_outcome(side->handshake)->reason;
    require((state == TACIT_HANDSHAKE_REFUSED) == (reason != TACIT_REFUSAL_NONE));
    require((tacit_handshake_explain(side->handshake, &error) == TACIT_OK) ==
            (state != TACIT_HANDSHAKE_REFUSED));
    require(bytes == BYTES || verdict == TACIT_VERDICT_MALFORMED);
    if (!before && !side->options.connects && tacit_handshake_peer(side->handshake, &peer)) {
        check_believed(side, message, &peer);
    }
}

static uint8_t next(struct script *script)
{
    if (script->left == 0) {
        return 0;
    }
    script->left--;
    return *script->data++;
}

static void fetch(struct side *side, uint8_t slot[BYTES])
{
    if (!tacit_handshake_output(side->handshake, slot)) {
        return;
    }
    if (side->options.connects &&
        tacit_handshake_state(side->handshake) == TACIT_HANDSHAKE_RECEIVING) {
        require(sent_count < RECORDS_MAX);
        sent[sent_count].by = side;
        memcpy(sent[sent_count].message, slot, BYTES);
        sent_count++;
    }
}

static void step(struct script *script)
{
    static const enum tacit_refusal policy[] = {TACIT_REFUSAL_STALE, TACIT_REFUSAL_BUSY,
                                                TACIT_REFUSAL_ROLE};
    uint8_t what = next(script);
    uint8_t where = next(script);
    struct side *side = &sides[where % SIDES];
    uint8_t *slot = slots[where / SIDES % SLOTS];
    uint8_t offset = 0;
    switch ((enum operation)(what % OPERATIONS)) {
    case OP_OUTPUT:
        fetch(side, slot);
        break;
    case OP_INPUT:
        deliver(side, slot, BYTES);
        break;
    case OP_EDIT:
        offset = (uint8_t)(next(script) % BYTES);
        slot[offset] ^= next(script);
        break;
    case OP_MIX:
        offset = (uint8_t)(next(script) % BYTES);
        memmove(slot + offset, slots[next(script) % SLOTS] + offset, BYTES - (size_t)offset);
        break;
    case OP_INVENT:
        for (size_t i = 0; i < BYTES; i++) {
            slot[i] = next(script);
        }
        break;
    case OP_RESTART:
        tacit_handshake_fini(side->handshake);
        start(side);
        break;
    case OP_REFUSE:
        tacit_handshake_refuse(side->handshake, policy[next(script) % 3]);
        break;
    case OP_CUT:
        deliver(side, slot, next(script) % BYTES); // always shorter
        break;
    case OPERATIONS:
        break;
    }
    check_done(side);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    require(randombytes_set_implementation(&random_of_fuzz) == 0);
    require(tacit_crypto_init(NULL) == TACIT_OK);
    for (size_t i = 0; i < 3; i++) {
        tacit_keypair_generate(&pairs[i]);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};
    world_start(next(&script));
    for (int steps = 0; steps < STEPS_MAX && script.left > 0; steps++) {
        step(&script);
    }
    return 0;
}
