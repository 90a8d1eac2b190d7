// SPDX-License-Identifier: Apache-2.0
//
// Three nodes with known keys, and the carrying of handshake messages between them: what the tests
// of the handshake share. Replica 1 connects to memory node 2; replica 2 is the one who does not
// belong.
#ifndef TACIT_TESTS_CRYPTO_HANDSHAKE_SIDES_H
#define TACIT_TESTS_CRYPTO_HANDSHAKE_SIDES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "tacit/handshake.h"

#define BYTES TACIT_HANDSHAKE_MESSAGE_BYTES
enum { HELLO, CONNECT, ACCEPT, OFFSET_TYPE = 4, OFFSET_REASON = 5, OFFSET_EPHEMERAL = 72 };
enum { CONNECTOR, ACCEPTOR, THIRD, SIDES };

static const struct tacit_peer_name replica1 = {TACIT_PEER_REPLICA, 1};
static const struct tacit_peer_name memnode2 = {TACIT_PEER_MEMNODE, 2};
static const struct tacit_peer_name client7 = {TACIT_PEER_CLIENT, 7}; // no key is known for it

static struct tacit_keypair replica_pair;
static struct tacit_keypair memnode_pair;
static struct tacit_keypair third_pair; // of replica 2
static struct tacit_error error;

struct side {
    _Alignas(64) uint8_t memory[4096];
    struct tacit_handshake_options options;
    struct tacit_handshake *handshake;
};
static struct side sides[SIDES];

// Random bytes that count up, for the runs whose bytes are known. Off: libsodium's own.
static bool random_counts;
static uint8_t random_next;

static inline const char *random_name(void)
{
    return "test";
}

static inline uint32_t random_u32(void)
{
    return randombytes_sysrandom_implementation.random();
}

static inline void random_buf(void *const out, const size_t bytes)
{
    if (!random_counts) {
        randombytes_sysrandom_implementation.buf(out, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i++) {
        ((uint8_t *)out)[i] = random_next++;
    }
}

static struct randombytes_implementation random_of_test = {
    .implementation_name = random_name, .random = random_u32, .buf = random_buf};

static inline bool is_zero(const void *data, size_t bytes)
{
    return sodium_is_zero(data, bytes) == 1;
}

static inline void count_up(uint8_t *out, size_t bytes, unsigned start)
{
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(start + i);
    }
}

static inline int group_setup(void **state)
{
    (void)state;
    uint8_t seed[TACIT_SEED_BYTES];
    if (randombytes_set_implementation(&random_of_test) != 0 ||
        tacit_crypto_init(NULL) != TACIT_OK) {
        return -1;
    }
    struct tacit_keypair *pairs[] = {&replica_pair, &memnode_pair, &third_pair};
    for (unsigned i = 0; i < 3; i++) {
        count_up(seed, sizeof seed, 64 + 32 * i);
        tacit_keypair_from_seed(pairs[i], seed);
    }
    return 0;
}

static inline bool lookup(struct tacit_public_key *out, struct tacit_identity claimed,
                          void *context)
{
    const struct tacit_peer_name name = claimed.name;
    assert_ptr_equal(context, &sides);
    if (name.role == TACIT_PEER_REPLICA && name.id == 1) {
        *out = replica_pair.public_key;
    } else if (name.role == TACIT_PEER_MEMNODE && name.id == 2) {
        *out = memnode_pair.public_key;
    } else if (name.role == TACIT_PEER_REPLICA && name.id == 2) {
        *out = third_pair.public_key;
    } else {
        return false;
    }
    return true;
}

static inline void start(int which)
{
    struct side *side = &sides[which];
    memset(side->memory, 0xaa, sizeof side->memory);
    assert_true(tacit_handshake_size() <= sizeof side->memory);
    assert_int_equal(tacit_handshake_init(&side->handshake, side->memory, sizeof side->memory,
                                          &side->options, &error),
                     TACIT_OK);
}

// Replica 1 connects to memory node 2; replica 2 is the one who does not belong.
static inline int setup(void **state)
{
    (void)state;
    memset(sides, 0, sizeof sides);
    for (int which = 0; which < SIDES; which++) {
        struct tacit_handshake_options *options = &sides[which].options;
        options->self.name = which == ACCEPTOR ? memnode2 : replica1;
        options->self.incarnation = which == ACCEPTOR ? 9 : 5;
        options->keypair = which == ACCEPTOR ? &memnode_pair : &replica_pair;
        options->connects = which != ACCEPTOR;
        options->wanted = memnode2;
        options->lookup = lookup;
        options->lookup_context = &sides;
        count_up(options->group.bytes, sizeof options->group.bytes, 1);
        count_up(options->cluster.bytes, sizeof options->cluster.bytes, 2);
    }
    sides[THIRD].options.self.name.id = 2;
    sides[THIRD].options.keypair = &third_pair;
    random_counts = false;
    for (int which = 0; which < SIDES; which++) {
        start(which);
    }
    return 0;
}

static inline enum tacit_handshake_state state_of(int which)
{
    return tacit_handshake_state(sides[which].handshake);
}

static inline const struct tacit_handshake_outcome *outcome_of(int which)
{
    return tacit_handshake_outcome(sides[which].handshake);
}

static inline void output(int which, uint8_t message[BYTES])
{
    assert_true(tacit_handshake_output(sides[which].handshake, message));
}

static inline enum tacit_verdict input(int which, const uint8_t message[BYTES])
{
    return tacit_handshake_input(sides[which].handshake, message, BYTES);
}

static inline bool takes_session(int which, struct tacit_session *session)
{
    return tacit_handshake_take(sides[which].handshake, session);
}

// Carries messages until nobody has any; `edit` may change the message with the given number on its
// way.
typedef void (*edit_fn)(uint8_t message[BYTES], int number, const void *context);
static inline void run(edit_fn edit, const void *context)
{
    uint8_t message[BYTES];
    int number = 0;
    int from = ACCEPTOR;
    while (tacit_handshake_output(sides[from].handshake, message)) {
        assert_true(number < 5);
        if (edit != NULL) {
            edit(message, number, context);
        }
        from = from == ACCEPTOR ? CONNECTOR : ACCEPTOR;
        (void)input(from, message);
        number++;
    }
}

// The end of every attack: the named side refuses for the reason, the other side knows, nobody has
// keys.
static inline void assert_refused(int by, enum tacit_refusal reason)
{
    struct tacit_session session;
    int other = by == ACCEPTOR ? CONNECTOR : ACCEPTOR;
    assert_int_equal(state_of(by), TACIT_HANDSHAKE_REFUSED);
    assert_int_equal(outcome_of(by)->reason, reason);
    assert_false(outcome_of(by)->by_peer);
    assert_int_equal(state_of(other), TACIT_HANDSHAKE_REFUSED);
    assert_int_equal(outcome_of(other)->reason, reason);
    assert_true(outcome_of(other)->by_peer);
    assert_false(takes_session(by, &session));
    assert_false(takes_session(other, &session));
}

#endif
