// SPDX-License-Identifier: Apache-2.0
//
// The handshake against an attacker in the middle and against known nodes that lie: flipped bytes,
// replays, reflections, messages sent elsewhere, false names. Nobody ends with a session that the
// other side of it does not have.
//
// TACIT_ROUNDS: debug release
#include "crypto_handshake_sides.h"

// --- An attacker in the middle
// ---------------------------------------------------------------------------

struct flip {
    int number;
    size_t offset;
    uint8_t mask;
};

static void flip_byte(uint8_t message[BYTES], int number, const void *context)
{
    const struct flip *flip = context;
    if (number == flip->number) {
        message[flip->offset] ^= flip->mask;
    }
}

// Every byte of every message, three ways: both sides end without a session. Only one change may
// pass for something else: a type that becomes REFUSE is a refusal, whose reason is then unknown.
static void every_flipped_byte_is_refused(void **state)
{
    (void)state;
    static const uint8_t masks[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff};
    struct tacit_session session;
    for (int number = HELLO; number <= ACCEPT; number++) {
        for (size_t offset = 0; offset < BYTES; offset++) {
            for (size_t i = 0; i < sizeof masks; i++) {
                struct flip flip = {number, offset, masks[i]};
                start(ACCEPTOR);
                start(CONNECTOR);
                run(flip_byte, &flip);
                assert_int_equal(state_of(ACCEPTOR), TACIT_HANDSHAKE_REFUSED);
                assert_int_equal(state_of(CONNECTOR), TACIT_HANDSHAKE_REFUSED);
                assert_false(takes_session(ACCEPTOR, &session));
                assert_false(takes_session(CONNECTOR, &session));
            }
        }
    }
}

// The type is the one byte that changes what a message is: all its values, in every message.
static void every_other_type_is_refused(void **state)
{
    (void)state;
    struct tacit_session session;
    for (int number = HELLO; number <= ACCEPT; number++) {
        for (unsigned mask = 1; mask < 256; mask++) {
            struct flip flip = {number, OFFSET_TYPE, (uint8_t)mask};
            start(ACCEPTOR);
            start(CONNECTOR);
            run(flip_byte, &flip);
            int receiver = number == CONNECT ? ACCEPTOR : CONNECTOR;
            assert_int_equal(state_of(receiver), TACIT_HANDSHAKE_REFUSED);
            assert_int_equal(outcome_of(receiver)->by_peer, ((unsigned)(number + 1) ^ mask) == 4);
            assert_false(takes_session(receiver, &session));
            // A forged REFUSE is believed and not answered; an acceptor that is then DONE has keys
            // that nobody else has.
            if (!outcome_of(receiver)->by_peer) {
                assert_refused(receiver, TACIT_REFUSAL_MALFORMED);
            }
        }
    }
}

static void every_other_length_is_refused(void **state)
{
    (void)state;
    uint8_t message[2 * BYTES] = {0};
    for (size_t bytes = 0; bytes <= sizeof message; bytes++) {
        if (bytes == BYTES) {
            continue;
        }
        start(ACCEPTOR);
        start(CONNECTOR);
        output(ACCEPTOR, message);
        assert_int_equal(tacit_handshake_input(sides[CONNECTOR].handshake, message, bytes),
                         TACIT_VERDICT_MALFORMED);
        output(CONNECTOR, message);
        assert_int_equal(input(ACCEPTOR, message), TACIT_VERDICT_OK);
        assert_refused(CONNECTOR, TACIT_REFUSAL_MALFORMED);
    }
}

// A message at a time at which it was not expected: no reaction while there is something to send,
// and after the end.
static void messages_out_of_turn(void **state)
{
    (void)state;
    uint8_t hello[BYTES] = "TCTH";
    uint8_t connect[BYTES];
    uint8_t accept[BYTES];
    struct tacit_session session;
    assert_int_equal(input(ACCEPTOR, hello),
                     TACIT_VERDICT_MALFORMED); // before its HELLO was fetched
    output(ACCEPTOR, hello);
    assert_int_equal(input(CONNECTOR, hello), TACIT_VERDICT_OK);
    assert_int_equal(input(CONNECTOR, hello), TACIT_VERDICT_MALFORMED);
    output(CONNECTOR, connect);
    assert_int_equal(input(ACCEPTOR, connect), TACIT_VERDICT_OK);
    assert_int_equal(input(ACCEPTOR, connect), TACIT_VERDICT_MALFORMED);
    output(ACCEPTOR, accept);
    assert_int_equal(input(CONNECTOR, accept), TACIT_VERDICT_OK);
    assert_int_equal(input(CONNECTOR, accept), TACIT_VERDICT_MALFORMED);
    assert_int_equal(input(ACCEPTOR, connect), TACIT_VERDICT_MALFORMED);
    accept[OFFSET_TYPE] = 4; // a connector that is done no longer listens to a REFUSE
    assert_int_equal(input(CONNECTOR, accept), TACIT_VERDICT_MALFORMED);
    assert_true(takes_session(CONNECTOR, &session));
    assert_true(takes_session(ACCEPTOR, &session));
}

static void replayed_messages(void **state)
{
    (void)state;
    uint8_t old_hello[BYTES];
    uint8_t old_connect[BYTES];
    uint8_t old_accept[BYTES];
    uint8_t message[BYTES];
    output(ACCEPTOR, old_hello);
    assert_int_equal(input(CONNECTOR, old_hello), TACIT_VERDICT_OK);
    output(CONNECTOR, old_connect);
    assert_int_equal(input(ACCEPTOR, old_connect), TACIT_VERDICT_OK);
    output(ACCEPTOR, old_accept);
    // The connector's proof again, to the same acceptor.
    start(ACCEPTOR);
    output(ACCEPTOR, message);
    assert_int_equal(input(ACCEPTOR, old_connect), TACIT_VERDICT_BAD_AUTH);
    assert_int_equal(outcome_of(ACCEPTOR)->reason, TACIT_REFUSAL_BAD_AUTH);
    // The acceptor's side of the old run again, to the same connector.
    start(CONNECTOR);
    assert_int_equal(input(CONNECTOR, old_hello), TACIT_VERDICT_OK);
    output(CONNECTOR, message);
    assert_int_equal(input(CONNECTOR, old_accept), TACIT_VERDICT_BAD_AUTH);
    assert_int_equal(outcome_of(CONNECTOR)->reason, TACIT_REFUSAL_BAD_AUTH);
}

static void reflected_messages(void **state)
{
    (void)state;
    uint8_t message[BYTES];
    output(ACCEPTOR, message);
    assert_int_equal(input(ACCEPTOR, message), TACIT_VERDICT_MALFORMED); // its own HELLO
    start(ACCEPTOR);
    output(ACCEPTOR, message);
    message[OFFSET_TYPE] = 2; // its own HELLO dressed as CONNECT: its own ephemeral key
    assert_int_equal(input(ACCEPTOR, message), TACIT_VERDICT_BAD_AUTH);
    start(ACCEPTOR);
    output(ACCEPTOR, message);
    assert_int_equal(input(CONNECTOR, message), TACIT_VERDICT_OK);
    output(CONNECTOR, message);
    assert_int_equal(input(CONNECTOR, message), TACIT_VERDICT_MALFORMED); // its own CONNECT
    start(CONNECTOR);
    start(ACCEPTOR);
    output(ACCEPTOR, message);
    assert_int_equal(input(CONNECTOR, message), TACIT_VERDICT_OK);
    output(CONNECTOR, message);
    message[OFFSET_TYPE] = 3; // dressed as ACCEPT
    memset(message + OFFSET_EPHEMERAL, 0, 32);
    assert_int_equal(input(CONNECTOR, message), TACIT_VERDICT_BAD_AUTH);
}

// A point of small order would make the shared secret a constant that everybody knows.
static void small_order_ephemeral_keys(void **state)
{
    (void)state;
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    uint8_t message[BYTES];
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        start(ACCEPTOR);
        start(CONNECTOR);
        output(ACCEPTOR, message);
        assert_true(tacit_hex_decode(message + OFFSET_EPHEMERAL, 32, points[i], 64));
        assert_int_equal(input(CONNECTOR, message), TACIT_VERDICT_BAD_AUTH);
        message[OFFSET_TYPE] = 2;
        assert_int_equal(input(ACCEPTOR, message), TACIT_VERDICT_BAD_AUTH);
    }
}

// --- Lies about names
// ----------------------------------------------------------------------------------------

static void connector_under_a_false_name(void **state)
{
    (void)state;
    sides[CONNECTOR].options.self.name = (struct tacit_peer_name){TACIT_PEER_REPLICA, 2};
    start(CONNECTOR); // still with the key of replica 1
    run(NULL, NULL);
    assert_refused(ACCEPTOR, TACIT_REFUSAL_BAD_AUTH);
}

static void connector_with_an_unknown_key(void **state)
{
    (void)state;
    sides[CONNECTOR].options.self.name = client7;
    start(CONNECTOR);
    run(NULL, NULL);
    assert_refused(ACCEPTOR, TACIT_REFUSAL_UNKNOWN_KEY);
    assert_int_equal(tacit_handshake_explain(sides[CONNECTOR].handshake, &error), TACIT_EAUTH);
    assert_string_equal(error.text,
                        "connection of client 7 to memnode 2 refused by the other side: "
                        "unknown key");
    assert_int_equal(tacit_handshake_explain(sides[ACCEPTOR].handshake, &error), TACIT_EAUTH);
    assert_string_equal(error.text,
                        "connection to memnode 2 refused by this node: unknown key; the other side "
                        "calls itself client 7, incarnation 5");
}

static void acceptor_under_a_false_name(void **state)
{
    (void)state;
    sides[ACCEPTOR].options.keypair = &third_pair; // says that it is memory node 2
    start(ACCEPTOR);
    run(NULL, NULL);
    assert_refused(CONNECTOR, TACIT_REFUSAL_BAD_AUTH);
}

// The address leads to an honest node, but to another one: the acceptor notices first.
static void acceptor_is_another_node(void **state)
{
    (void)state;
    sides[ACCEPTOR].options.self.name = (struct tacit_peer_name){TACIT_PEER_REPLICA, 2};
    sides[ACCEPTOR].options.keypair = &third_pair;
    start(ACCEPTOR);
    run(NULL, NULL);
    assert_refused(ACCEPTOR, TACIT_REFUSAL_WRONG_NODE);
}

static void two_ends_of_one_name(void **state)
{
    (void)state;
    sides[CONNECTOR].options.self.name = memnode2;
    sides[CONNECTOR].options.keypair = &memnode_pair;
    sides[CONNECTOR].options.wanted = replica1;
    start(CONNECTOR);
    run(NULL, NULL);
    assert_refused(ACCEPTOR, TACIT_REFUSAL_SELF);
}

// Replica 2, known to all and dishonest, stands between replica 1 and memory node 2. It has its own
// connection with each end, so it can read both and can sign for itself; what it must not achieve
// is that one end takes the other's messages for its own, or keys that both ends share.
static void dishonest_node_in_the_middle(void **state)
{
    (void)state;
    uint8_t hello[BYTES];
    uint8_t connect[BYTES];
    uint8_t own[BYTES];
    struct tacit_session session;
    output(ACCEPTOR, hello);
    assert_int_equal(input(CONNECTOR, hello), TACIT_VERDICT_OK);
    assert_int_equal(input(THIRD, hello), TACIT_VERDICT_OK);
    output(CONNECTOR, connect);
    output(THIRD, own);
    // Misbinding: its own sealed name with replica 1's ephemeral key, and the other way round.
    uint8_t mixed[BYTES];
    memcpy(mixed, connect, BYTES);
    memcpy(mixed + OFFSET_EPHEMERAL + 32, own + OFFSET_EPHEMERAL + 32,
           BYTES - OFFSET_EPHEMERAL - 32);
    assert_int_equal(input(ACCEPTOR, mixed), TACIT_VERDICT_BAD_AUTH);
    start(ACCEPTOR);
    start(THIRD);
    output(ACCEPTOR, hello);
    assert_int_equal(input(THIRD, hello), TACIT_VERDICT_OK);
    output(THIRD, own);
    memcpy(mixed, own, BYTES);
    memcpy(mixed + OFFSET_EPHEMERAL + 32, connect + OFFSET_EPHEMERAL + 32,
           BYTES - OFFSET_EPHEMERAL - 32);
    assert_int_equal(input(ACCEPTOR, mixed), TACIT_VERDICT_BAD_AUTH);
    // Unknown key share: it connects honestly and relays ACCEPT to replica 1, who wanted that node.
    start(ACCEPTOR);
    start(THIRD);
    start(CONNECTOR);
    output(ACCEPTOR, hello);
    assert_int_equal(input(THIRD, hello), TACIT_VERDICT_OK);
    assert_int_equal(input(CONNECTOR, hello), TACIT_VERDICT_OK);
    output(CONNECTOR, connect);
    output(THIRD, own);
    assert_int_equal(input(ACCEPTOR, own), TACIT_VERDICT_OK);
    uint8_t accept[BYTES];
    output(ACCEPTOR, accept);
    assert_int_equal(input(CONNECTOR, accept), TACIT_VERDICT_BAD_AUTH);
    assert_false(takes_session(CONNECTOR, &session));
    assert_true(takes_session(ACCEPTOR, &session)); // with the node that it is told it is with
    assert_int_equal(session.peer.name.id, 2);
}

static void rewrite_group(uint8_t message[BYTES], int number, const void *context)
{
    (void)number;
    memcpy(message + 8, (const uint8_t *)context + (number % 2 == 0 ? 0 : 32), 32);
}

// Somebody rewrites the clear text so that each side sees its own group: scope and transcript
// differ.
static void two_groups_joined_by_an_attacker(void **state)
{
    (void)state;
    uint8_t groups[64]; // the connector's, the acceptor's
    sides[ACCEPTOR].options.group.bytes[0] ^= 1;
    start(ACCEPTOR);
    memcpy(groups, sides[CONNECTOR].options.group.bytes, 32);
    memcpy(groups + 32, sides[ACCEPTOR].options.group.bytes, 32);
    run(rewrite_group, groups);
    assert_refused(ACCEPTOR, TACIT_REFUSAL_BAD_AUTH);
}

// What a message does not use is zero, and what is not zero is noticed before anything is computed.
static void unused_fields_are_zero(void **state)
{
    (void)state;
    static const struct flip flips[] = {{HELLO, OFFSET_REASON, 1},
                                        {HELLO, 104, 1},
                                        {HELLO, BYTES - 1, 0x80},
                                        {CONNECT, OFFSET_REASON, 1},
                                        {ACCEPT, OFFSET_REASON, 0x80},
                                        {ACCEPT, OFFSET_EPHEMERAL, 1},
                                        {ACCEPT, 103, 0x80}};
    for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i++) {
        start(ACCEPTOR);
        start(CONNECTOR);
        run(flip_byte, &flips[i]);
        assert_refused(flips[i].number == CONNECT ? ACCEPTOR : CONNECTOR, TACIT_REFUSAL_MALFORMED);
    }
}

// --- A known node that does not keep to the protocol
// ------------------------------------------------------------

// A run with somebody who computes everything by hand, knows a right key and signs what it likes.
struct forger {
    uint8_t secret[32]; // of its ephemeral key
    uint8_t hello[BYTES];
    uint8_t connect[BYTES];
    uint8_t accept[BYTES];
};

static void forge_frame(uint8_t message[BYTES], uint8_t type)
{
    memset(message, 0, BYTES);
    memcpy(message, "TCTH", 4);
    message[OFFSET_TYPE] = type;
    message[6] = TACIT_HANDSHAKE_VERSION;
    memcpy(message + 8, sides[THIRD].options.group.bytes, 32);
    memcpy(message + 40, sides[THIRD].options.cluster.bytes, 32);
}

// Seals and signs `names` (signer's identity, peer's name) into `message`, which is CONNECT or
// ACCEPT.
static void forge_body(struct forger *forger, uint8_t *message, const uint8_t names[12],
                       const struct tacit_keypair *signer)
{
    bool connects = message == forger->connect;
    struct tacit_digest_state hash;
    struct tacit_digest transcript;
    struct tacit_digest root;
    struct tacit_mac_key key;
    struct tacit_mac256 seal;
    struct tacit_scope scope;
    struct tacit_signature signature;
    uint8_t shared[32];
    uint8_t payload[44];
    uint8_t body[76];
    const uint8_t nonce[12] = {0};
    const uint8_t *peer = connects ? forger->hello : forger->connect;
    assert_int_equal(crypto_scalarmult(shared, forger->secret, peer + OFFSET_EPHEMERAL), 0);
    tacit_digest_init(&hash, TACIT_DOMAIN_HANDSHAKE_SECRET);
    tacit_digest_update(&hash, shared, 32);
    tacit_digest_update(&hash, forger->hello + OFFSET_EPHEMERAL, 32);
    tacit_digest_update(&hash, forger->connect + OFFSET_EPHEMERAL, 32);
    tacit_digest_final(&hash, &root);
    tacit_digest_init(&hash, TACIT_DOMAIN_HANDSHAKE_TRANSCRIPT);
    tacit_digest_update(&hash, forger->hello, BYTES);
    tacit_digest_update(&hash, forger->connect, connects ? 104 : BYTES);
    tacit_digest_update(&hash, forger->accept, connects ? 0 : 104);
    tacit_digest_final(&hash, &transcript);
    memcpy(payload, transcript.bytes, 32);
    memcpy(payload + 32, names, 12);
    tacit_scope_make(&scope, &sides[THIRD].options.group, &sides[THIRD].options.cluster);
    tacit_signature_make(&signature, signer,
                         connects ? TACIT_DOMAIN_HANDSHAKE_SIGN_CONNECT
                                  : TACIT_DOMAIN_HANDSHAKE_SIGN_ACCEPT,
                         &scope, payload, sizeof payload);
    memcpy(body, names, 12);
    memcpy(body + 12, signature.bytes, 64);
    memcpy(key.bytes, root.bytes, 32);
    tacit_blake_mac256_make(&seal, &key,
                            connects ? TACIT_DOMAIN_HANDSHAKE_SEAL_CONNECT
                                     : TACIT_DOMAIN_HANDSHAKE_SEAL_ACCEPT,
                            transcript.bytes, 32);
    (void)crypto_aead_chacha20poly1305_ietf_encrypt(message + 104, NULL, body, sizeof body,
                                                    transcript.bytes, 32, NULL, nonce, seal.bytes);
}

// Connects by hand to memory node 2 and returns its verdict.
static enum tacit_verdict forge_connect(const uint8_t names[12], const struct tacit_keypair *signer)
{
    struct forger forger;
    memset(&forger, 0, sizeof forger);
    start(ACCEPTOR);
    output(ACCEPTOR, forger.hello);
    tacit_random_bytes(forger.secret, sizeof forger.secret);
    forge_frame(forger.connect, 2);
    assert_int_equal(crypto_scalarmult_base(forger.connect + OFFSET_EPHEMERAL, forger.secret), 0);
    forge_body(&forger, forger.connect, names, signer);
    return input(ACCEPTOR, forger.connect);
}

// Accepts replica 1's connection by hand and returns its verdict.
static enum tacit_verdict forge_accept(const uint8_t names[12], const struct tacit_keypair *signer)
{
    struct forger forger;
    memset(&forger, 0, sizeof forger);
    start(CONNECTOR);
    tacit_random_bytes(forger.secret, sizeof forger.secret);
    forge_frame(forger.hello, 1);
    assert_int_equal(crypto_scalarmult_base(forger.hello + OFFSET_EPHEMERAL, forger.secret), 0);
    assert_int_equal(input(CONNECTOR, forger.hello), TACIT_VERDICT_OK);
    output(CONNECTOR, forger.connect);
    forge_frame(forger.accept, 3);
    forge_body(&forger, forger.accept, names, signer);
    return input(CONNECTOR, forger.accept);
}

static void forged_connect(void **state)
{
    (void)state;
    // Identity {role, 0, id, incarnation 5}, wanted node {role, 0, id}: replica 2 to memory node 2.
    const uint8_t honest[12] = {1, 0, 2, 0, 5, 0, 0, 0, 2, 0, 2, 0};
    uint8_t names[12];
    assert_int_equal(forge_connect(honest, &third_pair), TACIT_VERDICT_OK); // the forger can do it
    assert_int_equal(forge_connect(honest, &replica_pair), TACIT_VERDICT_BAD_AUTH);
    static const struct {
        size_t offset;
        uint8_t value;
        enum tacit_refusal reason;
    } lies[] = {
        {0, 0, TACIT_REFUSAL_MALFORMED},    {0, 5, TACIT_REFUSAL_MALFORMED},
        {1, 1, TACIT_REFUSAL_MALFORMED},    {4, 0, TACIT_REFUSAL_MALFORMED}, // incarnation 0
        {7, 255, TACIT_REFUSAL_MALFORMED},  // one generation too many
        {6, 0x10, TACIT_REFUSAL_MALFORMED}, // a spare in the founding generation
        {6, 0xf0, TACIT_REFUSAL_MALFORMED}, // nobody is called vacant
        {8, 0, TACIT_REFUSAL_MALFORMED},    {9, 1, TACIT_REFUSAL_MALFORMED},
        {10, 1, TACIT_REFUSAL_WRONG_NODE},  {8, 1, TACIT_REFUSAL_WRONG_NODE},
        {3, 1, TACIT_REFUSAL_UNKNOWN_KEY},  {0, 3, TACIT_REFUSAL_UNKNOWN_KEY},
        {2, 1, TACIT_REFUSAL_BAD_AUTH},     {0, 2, TACIT_REFUSAL_SELF},
    };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct tacit_session session;
        memcpy(names, honest, sizeof names);
        names[lies[i].offset] = lies[i].value;
        assert_int_not_equal(forge_connect(names, &third_pair), TACIT_VERDICT_OK);
        assert_int_equal(outcome_of(ACCEPTOR)->reason, lies[i].reason);
        assert_false(takes_session(ACCEPTOR, &session));
    }
}

static void forged_accept(void **state)
{
    (void)state;
    // Memory node 2, incarnation 9, to replica 1.
    const uint8_t honest[12] = {2, 0, 2, 0, 9, 0, 0, 0, 1, 0, 1, 0};
    const uint8_t replica2[12] = {1, 0, 2, 0, 9, 0, 0, 0, 1, 0, 1, 0};
    const uint8_t to_replica2[12] = {2, 0, 2, 0, 9, 0, 0, 0, 1, 0, 2, 0};
    assert_int_equal(forge_accept(honest, &memnode_pair), TACIT_VERDICT_OK);
    assert_int_equal(state_of(CONNECTOR), TACIT_HANDSHAKE_DONE);
    assert_int_equal(forge_accept(honest, &third_pair), TACIT_VERDICT_BAD_AUTH);
    // A known node in the place of the wanted one, under its own name.
    assert_int_equal(forge_accept(replica2, &third_pair), TACIT_VERDICT_BAD_AUTH);
    assert_int_equal(outcome_of(CONNECTOR)->reason, TACIT_REFUSAL_WRONG_NODE);
    // The wanted node, who takes us for somebody else.
    assert_int_equal(forge_accept(to_replica2, &memnode_pair), TACIT_VERDICT_BAD_AUTH);
    assert_int_equal(outcome_of(CONNECTOR)->reason, TACIT_REFUSAL_BAD_AUTH);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(every_flipped_byte_is_refused),
        TEST(every_other_type_is_refused),
        TEST(every_other_length_is_refused),
        TEST(messages_out_of_turn),
        TEST(replayed_messages),
        TEST(reflected_messages),
        TEST(small_order_ephemeral_keys),
        TEST(connector_under_a_false_name),
        TEST(connector_with_an_unknown_key),
        TEST(acceptor_under_a_false_name),
        TEST(acceptor_is_another_node),
        TEST(two_ends_of_one_name),
        TEST(dishonest_node_in_the_middle),
        TEST(two_groups_joined_by_an_attacker),
        TEST(unused_fields_are_zero),
        TEST(forged_connect),
        TEST(forged_accept),
    };
    return cmocka_run_group_tests_name("crypto_handshake_attack", tests, group_setup, NULL);
}
