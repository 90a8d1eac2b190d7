// SPDX-License-Identifier: Apache-2.0
//
// The rules of the store of requests that have a seeded bug (n = 3): who is believed, for what a
// timer runs, who waits for whom.
//
// TACIT_SEEDED: yes
#include "tests/support/requests_net.h"

#include "core/byzantine/requests_internal.h" // what is signed
#include "tests/unit/support/rules.h"

static bool holds__a_forward_needs_a_signature(void)
{
    struct net *net = net_open();
    uint64_t session = net_session(net, 1, 0, 5);
    struct tacit_wire_request forged = make(TACIT_REQUEST_APPLY, session, 1, "forged");
    struct tacit_signature signature = {{3}};
    uint8_t message[MESSAGE];
    uint32_t bytes;
    forged.flags = TACIT_REQUEST_SIGNED;
    forged.signature = signature.bytes;
    assert_true(forward_of(1, forged, message, &bytes));
    tacit_requests_message(net->node[1].requests, 2, message, bytes, net->now);
    net_run(net, MS);
    bool held = !endorses(net, 1, 1, forged);
    net_close(net);
    return held;
}

static bool holds__bytes_have_to_be_equal(void)
{
    struct net *net = net_open();
    uint64_t session = net_session(net, 1, 0, 5);
    put_all(net, 1, make(TACIT_REQUEST_APPLY, session, 1, "x"));
    bool held = !endorses(net, 1, 1, make(TACIT_REQUEST_APPLY, session, 1, "y")) &&
                !endorses(net, 1, 1, make(TACIT_REQUEST_APPLY, session, 1, "xx"));
    assert_true(endorses(net, 1, 1, make(TACIT_REQUEST_APPLY, session, 1, "x")));
    net_close(net);
    return held;
}

static bool holds__no_timer_without_a_signature(void)
{
    struct net *net = net_open();
    uint64_t session = net_session(net, 1, 0, 5);
    put_all(net, 1, make(TACIT_REQUEST_APPLY, session, 1, "x"));
    net_run(net, MS);
    bool held = tacit_requests_timer(net->node[1].requests, MS) == UINT64_MAX;
    net_close(net);
    return held;
}

static bool holds__execution_with_other_bytes_cancels(void)
{
    struct net *net = net_open();
    uint64_t session = net_session(net, 1, 0, 5);
    put_signed(net, 1, 1, make(TACIT_REQUEST_APPLY, session, 1, "x"));
    net_run(net, MS);
    assert_true(tacit_requests_timer(net->node[1].requests, MS) != UINT64_MAX);
    net_execute(net, 1, session); // whatever it was
    bool held = tacit_requests_timer(net->node[1].requests, MS) == UINT64_MAX;
    net_close(net);
    return held;
}

static bool holds__accusers_are_limited(void)
{
    struct net *net = net_open();
    for (uint32_t client = 0; client < CLIENTS; client++) {
        uint64_t session = net_session(net, client, 0, 5);
        put_all(net, client, make(TACIT_REQUEST_APPLY, session, 1, "x"));
        struct tacit_message_lack lack = {.key = {.kind = TACIT_REQUEST_APPLY,
                                                  .client = (uint16_t)client,
                                                  .session = session,
                                                  .number = 1}};
        uint8_t message[TACIT_LACK_BYTES];
        tacit_message_lack_encode(message, &lack);
        tacit_requests_message(net->node[0].requests, 2, message, sizeof message, net->now);
    }
    bool held = net->node[0].asks == 2; // f + 1
    net_close(net);
    return held;
}

static bool holds__a_named_client_needs_all_echoes(void)
{
    struct net *net = net_open();
    for (uint32_t i = 0; i < NODES; i++) {
        tacit_requests_name(net->node[i].requests, 1);
    }
    uint64_t session = net_session(net, 1, 0, 5);
    struct tacit_wire_request request = make(TACIT_REQUEST_APPLY, session, 1, "x");
    assert_int_equal(put(net, 0, 1, request), TACIT_PUT_TAKEN);
    net_step(net, US);
    assert_int_equal(proposals(net, 0), 0);
    assert_int_equal(put(net, 1, 1, request), TACIT_PUT_TAKEN); // echoes
    net_step(net, US);
    bool held = proposals(net, 0) == 0;
    if (held) {
        assert_int_equal(put(net, 2, 1, request), TACIT_PUT_TAKEN);
        net_step(net, US);
        assert_int_equal(proposals(net, 0), 1);
    }
    net_close(net);
    return held;
}

// Three clients have all their room full of signatures to be checked when the fourth one comes.
static bool holds__clients_take_turns(void)
{
    struct net *net = net_open();
    uint64_t sessions[CLIENTS];
    for (uint32_t client = 0; client < CLIENTS; client++) {
        sessions[client] = net_session(net, client, 0, 1);
    }
    for (uint32_t client = 1; client < CLIENTS; client++) {
        for (uint64_t number = 1; number <= P; number++) {
            put_signed(net, 1, client, make(TACIT_REQUEST_APPLY, sessions[client], number, "x"));
        }
        for (uint64_t nonce = 2; nonce < 2 + S; nonce++) {
            put_signed(net, 1, client, make(TACIT_REQUEST_OPEN, 0, nonce, ""));
        }
    }
    put_signed(net, 1, 0, make(TACIT_REQUEST_APPLY, sessions[0], 1, "mine"));
    struct tacit_requests *store = net->node[1].requests;
    uint32_t before = 0;
    struct tacit_requests_key key = {
        .kind = TACIT_REQUEST_APPLY, .client = 0, .session = sessions[0], .number = 1};
    uint32_t place = tacit_requests_find(store, &key);
    for (uint32_t i = 0; i < 10000 && !store->entries[place].is_signed; i++) {
        net_step(net, 5 * US);
    }
    bool is_signed = store->entries[place].is_signed;
    for (uint32_t other = store->places_each; other < CLIENTS * store->places_each; other++) {
        before += store->entries[other].is_signed;
    }
    net_run(net, 5 * MS); // and nobody's is forgotten
    uint32_t all = 0;
    for (uint32_t other = store->places_each; other < CLIENTS * store->places_each; other++) {
        all += store->entries[other].is_signed;
    }
    net_close(net);
    // At the signer, and one of each other client.
    return is_signed && before <= TACIT_CHECKS_OUT + CLIENTS && all == (CLIENTS - 1) * (P + S);
}

// The others have executed and answered all that a client had under way, so that it sent as much
// again; this replica has executed nothing. A leader proposes the new ones, a follower still has
// those that were not proposed yet.
static bool holds__who_executes_last_has_room(void)
{
    struct net *net = net_open();
    uint64_t session = net_session(net, 1, 0, 5);
    bool held = true;
    for (uint64_t number = 1; number <= 2 * P; number++) {
        struct tacit_wire_request request = make(TACIT_REQUEST_APPLY, session, number, "x");
        held = put(net, 0, 1, request) == TACIT_PUT_TAKEN && held;
        held = put(net, 1, 1, request) == TACIT_PUT_TAKEN && held;
        if (number == P) {
            assert_int_equal(proposals(net, 0), P);
        }
    }
    held = proposals(net, 0) == P && held;
    for (uint64_t number = 1; number <= 2 * P; number++) {
        struct tacit_wire_request request = make(TACIT_REQUEST_APPLY, session, number, "x");
        held = endorses(net, 0, 1, request) && endorses(net, 1, 1, request) && held;
    }
    net_close(net);
    return held;
}

static const struct rule rules[] = {
    {"a forward needs a signature", holds__a_forward_needs_a_signature,
     TACIT_BUG_FORWARD_UNCHECKED},
    {"endorsed are equal bytes", holds__bytes_have_to_be_equal, TACIT_BUG_ENDORSE_BY_NUMBER},
    {"no timer without a signature", holds__no_timer_without_a_signature,
     TACIT_BUG_OBLIGATION_UNSIGNED},
    {"execution of other bytes cancels", holds__execution_with_other_bytes_cancels,
     TACIT_BUG_OBLIGATION_NOT_CANCELLED},
    {"accusers are limited", holds__accusers_are_limited, TACIT_BUG_LACKS_UNLIMITED},
    {"a named client needs all echoes", holds__a_named_client_needs_all_echoes,
     TACIT_BUG_ECHO_QUORUM_SUFFICES},
    {"clients take turns", holds__clients_take_turns, TACIT_BUG_CLIENTS_ONE_QUEUE},
    {"who executes last has room for what comes next", holds__who_executes_last_has_room,
     TACIT_BUG_ROOM_FOR_ONCE},
};

int main(void)
{
    const struct CMUnitTest tests[] = {RULE_TESTS(rules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
