// SPDX-License-Identifier: Apache-2.0
//
// The handshake between honest nodes: they end with each other's name and the same keys, or both
// know why not; a second implementation (crypto/vectors.py) says what the bytes of one fixed run
// must be.
//
// TACIT_ROUNDS: debug release
#include "crypto_handshake_sides.h"

static void both_sides_agree(void **state)
{
    (void)state;
    struct tacit_session connector;
    struct tacit_session acceptor;
    struct tacit_identity peer;
    uint8_t message[BYTES];
    assert_int_equal(state_of(ACCEPTOR), TACIT_HANDSHAKE_SENDING);
    assert_int_equal(state_of(CONNECTOR), TACIT_HANDSHAKE_RECEIVING);
    assert_false(tacit_handshake_output(sides[CONNECTOR].handshake, message));
    assert_false(tacit_handshake_peer(sides[CONNECTOR].handshake, &peer));
    assert_false(takes_session(CONNECTOR, &connector));
    run(NULL, NULL);
    assert_int_equal(state_of(ACCEPTOR), TACIT_HANDSHAKE_DONE);
    assert_int_equal(state_of(CONNECTOR), TACIT_HANDSHAKE_DONE);
    assert_int_equal(tacit_handshake_explain(sides[ACCEPTOR].handshake, &error), TACIT_OK);
    assert_true(tacit_handshake_peer(sides[ACCEPTOR].handshake, &peer));
    assert_int_equal(peer.incarnation, 5);
    assert_true(takes_session(CONNECTOR, &connector));
    assert_true(takes_session(ACCEPTOR, &acceptor));
    assert_int_equal(connector.peer.name.role, TACIT_PEER_MEMNODE);
    assert_int_equal(connector.peer.name.id, 2);
    assert_int_equal(connector.peer.incarnation, 9);
    assert_int_equal(acceptor.peer.name.role, TACIT_PEER_REPLICA);
    assert_int_equal(acceptor.peer.name.id, 1);
    assert_int_equal(acceptor.peer.incarnation, 5);
    assert_memory_equal(&connector.transcript, &acceptor.transcript, sizeof connector.transcript);
    assert_memory_equal(&connector.send_key, &acceptor.receive_key, sizeof connector.send_key);
    assert_memory_equal(&connector.receive_key, &acceptor.send_key, sizeof connector.send_key);
    assert_memory_not_equal(&connector.send_key, &connector.receive_key, sizeof connector.send_key);
    assert_false(takes_session(CONNECTOR, &connector)); // once
    // Another run between the same two shares nothing with this one.
    struct tacit_session again;
    start(CONNECTOR);
    start(ACCEPTOR);
    run(NULL, NULL);
    assert_true(takes_session(ACCEPTOR, &again));
    assert_memory_not_equal(&again.transcript, &acceptor.transcript, sizeof again.transcript);
    assert_memory_not_equal(&again.send_key, &acceptor.send_key, sizeof again.send_key);
    assert_memory_not_equal(&again.receive_key, &acceptor.receive_key, sizeof again.receive_key);
}

// Every role on either side, and the largest id and incarnation.
static void all_roles(void **state)
{
    (void)state;
    struct tacit_session session;
    for (int role = TACIT_PEER_REPLICA; role <= TACIT_PEER_OPERATOR; role++) {
        struct tacit_identity *self = &sides[CONNECTOR].options.self;
        self->name = (struct tacit_peer_name){(enum tacit_peer_role)role, 0xffff};
        self->incarnation =
            tacit_incarnation_make(TACIT_GENERATION_MAX, TACIT_SPARES_MAX, TACIT_START_MAX);
        start(CONNECTOR);
        start(ACCEPTOR);
        run(NULL, NULL);
        // Nobody knows that key; but the name arrived whole.
        assert_refused(ACCEPTOR, TACIT_REFUSAL_UNKNOWN_KEY);
        assert_true(outcome_of(ACCEPTOR)->peer_is_named);
        assert_memory_equal(&outcome_of(ACCEPTOR)->peer.name, &self->name, sizeof self->name);
        assert_int_equal(outcome_of(ACCEPTOR)->peer.incarnation, self->incarnation);
    }
    // A memory node connects to a replica as well.
    sides[CONNECTOR].options.self = sides[ACCEPTOR].options.self;
    sides[CONNECTOR].options.keypair = &memnode_pair;
    sides[CONNECTOR].options.wanted = replica1;
    sides[ACCEPTOR].options.self = (struct tacit_identity){replica1, 1};
    sides[ACCEPTOR].options.keypair = &replica_pair;
    start(CONNECTOR);
    start(ACCEPTOR);
    run(NULL, NULL);
    assert_true(takes_session(ACCEPTOR, &session));
    assert_int_equal(session.peer.name.role, TACIT_PEER_MEMNODE);
}

static void assert_hex(const void *data, size_t bytes, const char *expected)
{
    char text[2 * BYTES + 1];
    tacit_hex_encode(text, sizeof text, data, bytes);
    assert_string_equal(text, expected);
}

#define CLEAR                                                                                      \
    "000100"                                                                                       \
    "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"                             \
    "02030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021"

// What crypto/vectors.py prints for this run.
static void bytes_match_second_implementation(void **state)
{
    (void)state;
    uint8_t message[BYTES];
    struct tacit_session session;
    random_counts = true;
    random_next = 0;
    start(ACCEPTOR);
    start(CONNECTOR);
    output(ACCEPTOR, message);
    assert_hex(message, 104,
               "5443544801" CLEAR
               "8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f");
    assert_true(is_zero(message + 104, BYTES - 104));
    assert_int_equal(input(CONNECTOR, message), TACIT_VERDICT_OK);
    output(CONNECTOR, message);
    assert_hex(message, BYTES,
               "5443544802" CLEAR "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"
               "3397d8c15ae02e68b58604671f9cf49da3d28fb60cee336ab5898cf630d8a6689563cbf45c7f"
               "d29165fc429487be940fb2960c7d6e71c2851eae10bace1226d7f7584e9c1aafb180434e6d2c"
               "0c5a73983ba18c1587bbca8cf6711ffc");
    assert_int_equal(input(ACCEPTOR, message), TACIT_VERDICT_OK);
    output(ACCEPTOR, message);
    assert_hex(message, BYTES,
               "5443544803" CLEAR "0000000000000000000000000000000000000000000000000000000000000000"
               "17b3d6b80155dc67f0c795814d82b8e9303418b7c93b985ea5e4e72e4999207a693c993e6ac8"
               "ef998013209b7f3b43b8c77b530e4a898029081ad139229176c2111a69d86f24804b0452c47d"
               "a16e02bfe4cd8987f07a0edae7d31fd6");
    assert_int_equal(input(CONNECTOR, message), TACIT_VERDICT_OK);
    assert_true(takes_session(CONNECTOR, &session));
    assert_hex(session.transcript.bytes, 32,
               "7870f4c00a7da6739b1169d7779bddb9e14c6dadf16125e24d43d3168224deb0");
    assert_hex(session.send_key.bytes, 32,
               "93822757e576f9982efce8934b89c02366d3846993fa8aa2d908e1bb09d19a76");
    assert_hex(session.receive_key.bytes, 32,
               "eb8ab9be5729cffa0b706a71a93e2b99d19105c668622f641d7bab95f4fb19a6");
}

// --- Version, group, cluster
// --------------------------------------------------------------------------------

static void another_group(void **state)
{
    (void)state;
    sides[ACCEPTOR].options.group.bytes[31] ^= 1;
    start(ACCEPTOR);
    run(NULL, NULL);
    assert_refused(CONNECTOR, TACIT_REFUSAL_GROUP);
    assert_memory_equal(&outcome_of(ACCEPTOR)->peer_group, &sides[CONNECTOR].options.group, 32);
    assert_memory_equal(&outcome_of(ACCEPTOR)->own_group, &sides[ACCEPTOR].options.group, 32);
    assert_memory_equal(&outcome_of(CONNECTOR)->peer_group, &sides[ACCEPTOR].options.group, 32);
    assert_false(outcome_of(ACCEPTOR)->peer_is_named); // nobody has said who it is
    assert_int_equal(tacit_handshake_explain(sides[ACCEPTOR].handshake, &error), TACIT_EVERSION);
    assert_non_null(strstr(error.text, "group ids differ"));
    assert_non_null(strstr(error.text, "ours 0102030405060708090a0b0c0d0e0f10"
                                       "1112131415161718191a1b1c1d1e1f21"));
    assert_non_null(strstr(error.text, "theirs 0102030405060708090a0b0c0d0e0f10"
                                       "1112131415161718191a1b1c1d1e1f20"));
}

static void another_cluster_digest(void **state)
{
    (void)state;
    sides[ACCEPTOR].options.cluster.bytes[0] ^= 0x80;
    start(ACCEPTOR);
    run(NULL, NULL);
    assert_refused(CONNECTOR, TACIT_REFUSAL_CLUSTER);
    for (int side = CONNECTOR; side <= ACCEPTOR; side++) {
        int other = side == CONNECTOR ? ACCEPTOR : CONNECTOR;
        assert_true(outcome_of(side)->peer_is_known);
        assert_memory_equal(&outcome_of(side)->own_cluster, &sides[side].options.cluster, 32);
        assert_memory_equal(&outcome_of(side)->peer_cluster, &sides[other].options.cluster, 32);
        assert_int_equal(tacit_handshake_explain(sides[side].handshake, &error), TACIT_EVERSION);
        assert_non_null(strstr(error.text, side == CONNECTOR ? "theirs 8203" : "ours 8203"));
        assert_non_null(strstr(error.text, side == CONNECTOR ? "ours 0203" : "theirs 0203"));
    }
}

static void later_version(uint8_t message[BYTES], int number, const void *context)
{
    const int *changed = context;
    if (number == *changed) {
        message[6] = 2;
    }
}

// Also an acceptor compares, so a connector that does not cannot go on.
static void another_version(void **state)
{
    (void)state;
    int number = HELLO;
    run(later_version, &number);
    assert_refused(CONNECTOR, TACIT_REFUSAL_VERSION);
    assert_int_equal(outcome_of(CONNECTOR)->own_version, 1);
    assert_int_equal(outcome_of(CONNECTOR)->peer_version, 2);
    assert_int_equal(tacit_handshake_explain(sides[CONNECTOR].handshake, &error), TACIT_EVERSION);
    assert_non_null(strstr(error.text, "ours 1, theirs 2"));
    number = CONNECT;
    start(ACCEPTOR);
    start(CONNECTOR);
    run(later_version, &number);
    assert_refused(ACCEPTOR, TACIT_REFUSAL_VERSION);
}

// --- Policy, refusals, life cycle
// ------------------------------------------------------------------------------

static void caller_refuses(void **state)
{
    (void)state;
    static const enum tacit_refusal reasons[] = {TACIT_REFUSAL_STALE, TACIT_REFUSAL_BUSY,
                                                 TACIT_REFUSAL_ROLE};
    uint8_t message[BYTES];
    struct tacit_identity peer;
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        start(ACCEPTOR);
        start(CONNECTOR);
        output(ACCEPTOR, message);
        assert_int_equal(input(CONNECTOR, message), TACIT_VERDICT_OK);
        output(CONNECTOR, message);
        assert_int_equal(input(ACCEPTOR, message), TACIT_VERDICT_OK);
        assert_true(tacit_handshake_peer(sides[ACCEPTOR].handshake, &peer));
        assert_int_equal(peer.name.role, TACIT_PEER_REPLICA);
        tacit_handshake_refuse(sides[ACCEPTOR].handshake, reasons[i]);
        assert_false(tacit_handshake_peer(sides[ACCEPTOR].handshake, &peer));
        output(ACCEPTOR, message);
        assert_int_equal(input(CONNECTOR, message), TACIT_VERDICT_OK);
        assert_refused(ACCEPTOR, reasons[i]);
        assert_int_equal(tacit_handshake_explain(sides[CONNECTOR].handshake, &error),
                         reasons[i] == TACIT_REFUSAL_BUSY ? TACIT_EBUSY : TACIT_EAUTH);
    }
    // After the end it has no effect.
    start(ACCEPTOR);
    start(CONNECTOR);
    run(NULL, NULL);
    tacit_handshake_refuse(sides[ACCEPTOR].handshake, TACIT_REFUSAL_BUSY);
    assert_int_equal(state_of(ACCEPTOR), TACIT_HANDSHAKE_DONE);
}

// Any reason may arrive, none is taken for NONE, and a REFUSE is never answered.
static void received_reasons(void **state)
{
    (void)state;
    uint8_t message[BYTES];
    uint8_t refusal[BYTES];
    for (unsigned reason = 0; reason < 256; reason++) {
        start(ACCEPTOR);
        start(CONNECTOR);
        output(ACCEPTOR, refusal);
        refusal[OFFSET_TYPE] = 4;
        refusal[OFFSET_REASON] = (uint8_t)reason;
        memset(refusal + 6, 0xff, BYTES - 6); // of whatever version, group and cluster
        assert_int_equal(input(CONNECTOR, refusal), TACIT_VERDICT_OK);
        assert_int_equal(state_of(CONNECTOR), TACIT_HANDSHAKE_REFUSED);
        assert_false(tacit_handshake_output(sides[CONNECTOR].handshake, message));
        enum tacit_refusal expected =
            reason >= 1 && reason <= 11 ? (enum tacit_refusal)reason : TACIT_REFUSAL_OTHER;
        assert_int_equal(outcome_of(CONNECTOR)->reason, expected);
        assert_int_equal(outcome_of(CONNECTOR)->peer_version, 0xffff);
        assert_int_not_equal(tacit_handshake_explain(sides[CONNECTOR].handshake, &error), TACIT_OK);
        assert_non_null(strstr(error.text, tacit_refusal_text(expected)));
    }
}

static void options_are_checked(void **state)
{
    (void)state;
    struct tacit_handshake *made;
    struct tacit_handshake_options bad[7];
    for (size_t i = 0; i < 7; i++) {
        bad[i] = sides[CONNECTOR].options;
    }
    bad[0].self.incarnation = 0;
    bad[1].self.incarnation = TACIT_INCARNATION_MAX + 1;
    bad[2].self.name.role = (enum tacit_peer_role)0;
    bad[3].keypair = NULL;
    bad[4].lookup = NULL;
    bad[5].wanted = bad[5].self.name;
    bad[6].wanted.role = (enum tacit_peer_role)5;
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(tacit_handshake_init(&made, sides[THIRD].memory, 4096, &bad[i], &error),
                         TACIT_EINVAL);
        assert_null(made);
    }
    const struct tacit_handshake_options *good = &sides[CONNECTOR].options;
    size_t size = tacit_handshake_size();
    assert_int_equal(tacit_handshake_init(&made, sides[THIRD].memory, size - 1, good, &error),
                     TACIT_EINVAL);
    assert_int_equal(tacit_handshake_init(&made, sides[THIRD].memory + 1, size, good, &error),
                     TACIT_EINVAL);
    assert_int_equal(tacit_handshake_init(&made, NULL, size, good, &error), TACIT_EINVAL);
    assert_int_equal(tacit_handshake_init(&made, sides[THIRD].memory, size, good, NULL), TACIT_OK);
}

static bool memory_holds(int which, const void *bytes, size_t length)
{
    return memmem(sides[which].memory, tacit_handshake_size(), bytes, length) != NULL;
}

// At each step, the memory holds the secrets that the rest needs and no others; at the end none.
static void secrets_are_wiped(void **state)
{
    (void)state;
    uint8_t message[BYTES];
    uint8_t ephemeral[32];
    struct tacit_session session;
    random_counts = true;
    random_next = 200;
    count_up(ephemeral, sizeof ephemeral, 200); // the acceptor's, drawn first
    start(ACCEPTOR);
    start(CONNECTOR);
    output(ACCEPTOR, message);
    assert_int_equal(input(CONNECTOR, message), TACIT_VERDICT_OK);
    output(CONNECTOR, message);
    assert_true(memory_holds(ACCEPTOR, ephemeral, 32));
    assert_int_equal(input(ACCEPTOR, message), TACIT_VERDICT_OK);
    output(ACCEPTOR, message);
    assert_false(memory_holds(ACCEPTOR, ephemeral, 32));
    assert_int_equal(input(CONNECTOR, message), TACIT_VERDICT_OK);
    assert_true(takes_session(ACCEPTOR, &session));
    assert_false(memory_holds(ACCEPTOR, &session.send_key, 32));
    assert_false(memory_holds(ACCEPTOR, &session.receive_key, 32));
    assert_true(memory_holds(CONNECTOR, &session.send_key, 32)); // not taken yet
    tacit_handshake_fini(sides[CONNECTOR].handshake);
    assert_true(is_zero(sides[CONNECTOR].memory, tacit_handshake_size()));
    tacit_session_wipe(&session);
    assert_true(is_zero(&session, sizeof session));
    // Refused in the middle: what was drawn is gone at once.
    random_next = 200;
    start(ACCEPTOR);
    output(ACCEPTOR, message);
    assert_true(memory_holds(ACCEPTOR, ephemeral, 32));
    assert_int_equal(input(ACCEPTOR, message), TACIT_VERDICT_MALFORMED);
    assert_false(memory_holds(ACCEPTOR, ephemeral, 32));
    tacit_handshake_fini(NULL);
}

// A connector that does not believe ACCEPT says so; the acceptor then has no session either.
static void late_refusal_voids_the_session(void **state)
{
    (void)state;
    uint8_t message[BYTES];
    struct tacit_session session;
    output(ACCEPTOR, message);
    assert_int_equal(input(CONNECTOR, message), TACIT_VERDICT_OK);
    output(CONNECTOR, message);
    assert_int_equal(input(ACCEPTOR, message), TACIT_VERDICT_OK);
    output(ACCEPTOR, message);
    assert_int_equal(state_of(ACCEPTOR), TACIT_HANDSHAKE_DONE);
    message[BYTES - 1] ^= 1;
    assert_int_equal(input(CONNECTOR, message), TACIT_VERDICT_BAD_AUTH);
    output(CONNECTOR, message);
    assert_int_equal(input(ACCEPTOR, message), TACIT_VERDICT_OK);
    assert_refused(CONNECTOR, TACIT_REFUSAL_BAD_AUTH);
    assert_false(takes_session(ACCEPTOR, &session));
}

static void works_in_locked_memory(void **state)
{
    (void)state;
    struct tacit_handshake *handshake;
    uint8_t message[BYTES];
    void *memory = tacit_secret_alloc(tacit_handshake_size(), &error);
    assert_non_null(memory);
    assert_int_equal(tacit_handshake_init(&handshake, memory, tacit_handshake_size(),
                                          &sides[ACCEPTOR].options, &error),
                     TACIT_OK);
    assert_true(tacit_handshake_output(handshake, message));
    assert_int_equal(input(CONNECTOR, message), TACIT_VERDICT_OK);
    output(CONNECTOR, message);
    assert_int_equal(tacit_handshake_input(handshake, message, BYTES), TACIT_VERDICT_OK);
    assert_true(tacit_handshake_output(handshake, message));
    assert_int_equal(input(CONNECTOR, message), TACIT_VERDICT_OK);
    assert_int_equal(state_of(CONNECTOR), TACIT_HANDSHAKE_DONE);
    tacit_handshake_fini(handshake);
    tacit_secret_free(memory);
}

static void names_are_never_null(void **state)
{
    (void)state;
    for (int i = -1; i < 300; i++) {
        assert_non_null(tacit_refusal_text((enum tacit_refusal)i));
        assert_non_null(tacit_peer_role_name((enum tacit_peer_role)i));
    }
    assert_string_equal(tacit_peer_role_name(TACIT_PEER_OPERATOR), "operator");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(both_sides_agree),
        TEST(all_roles),
        TEST(bytes_match_second_implementation),
        TEST(another_group),
        TEST(another_cluster_digest),
        TEST(another_version),
        TEST(caller_refuses),
        TEST(received_reasons),
        TEST(options_are_checked),
        TEST(secrets_are_wiped),
        TEST(late_refusal_voids_the_session),
        TEST(works_in_locked_memory),
        TEST(names_are_never_null),
    };
    return cmocka_run_group_tests_name("crypto_handshake", tests, group_setup, NULL);
}
