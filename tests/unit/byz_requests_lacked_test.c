// SPDX-License-Identifier: Apache-2.0
//
// Clients that give different requests to different replicas, or something to one of them and then
// fall silent: no such client may take view after view from its leader (n = 3, one replica gone, so
// that whatever one of the two others lacks is not decided).
//
// TACIT_SEEDED: yes
#include "tests/support/requests_net.h"

#include "core/byzantine/requests_internal.h" // how long doubts last
#include "tests/unit/support/rules.h"

// Node 1 lacks what node 0, leading, proposed in `slot`.
static void lack(struct net *net, struct tacit_wire_request request, uint64_t view, uint64_t slot)
{
    struct tacit_requests_key missing;
    assert_int_equal(endorse(net, 1, 1, request, &missing), TACIT_ENDORSE_WAIT);
    tacit_requests_wait(net->node[1].requests, view, slot, &missing, net->now);
    net_run(net, 600 * US);
}

// The leader has it from the client itself; nobody else ever gets it.
static bool holds__what_was_lacked_is_not_proposed_again(void)
{
    struct net *net = net_open();
    uint64_t session = net_session(net, 1, 0, 5);
    uint64_t honest = net_session(net, 2, 0, 5);
    struct tacit_wire_request half = make(TACIT_REQUEST_APPLY, session, 1, "half-sent");
    assert_int_equal(put(net, 0, 1, half), TACIT_PUT_TAKEN);
    assert_int_equal(proposals(net, 0), 1);
    lack(net, half, 0, 0);
    tacit_requests_name_lacked(net->node[0].requests);
    net_view(net, 3);                                                 // it leads again
    net_run(net, (TACIT_WARY_TIMES + 1) * base_config.lack_after_ns); // longer than doubts last
    assert_int_equal(put(net, 0, 1, half), TACIT_PUT_TAKEN);
    bool held = proposals(net, 0) == 0;
    // Others are served, this one, too, with its signature.
    assert_int_equal(put(net, 0, 2, make(TACIT_REQUEST_APPLY, honest, 1, "x")), TACIT_PUT_TAKEN);
    assert_int_equal(proposals(net, 0), 1);
    put_signed(net, 0, 1, half);
    net_run(net, 200 * US);
    assert_int_equal(proposals(net, 0), held ? 1 : 0);
    net_close(net);
    return held;
}

// Two signed OPENs that want one place, one at the leader, one at the follower.
static bool holds__what_finds_no_room_is_endorsed(void)
{
    struct net *net = net_open();
    struct tacit_wire_request first = make(TACIT_REQUEST_OPEN, 0, 10, "");
    struct tacit_wire_request second = make(TACIT_REQUEST_OPEN, 0, 10 + 2 * S, "");
    put_signed(net, 0, 1, first);
    put_signed(net, 1, 1, second);
    net_run(net, 200 * US);
    assert_int_equal(proposals(net, 0), 1);
    lack(net, first, 0, 0);
    bool held = endorses(net, 1, 1, first) && net->node[1].resumes == 1;
    assert_true(endorses(net, 1, 1, second)); // and what is there stays
    // The same with a request that a later one of its session has displaced.
    uint64_t session = net_session(net, 1, 0, 5);
    struct tacit_wire_request old = make(TACIT_REQUEST_APPLY, session, 1, "old");
    struct tacit_wire_request later = make(TACIT_REQUEST_APPLY, session, 1 + PLACES, "later");
    put_signed(net, 0, 1, old);
    assert_int_equal(put(net, 1, 1, later), TACIT_PUT_TAKEN);
    net_run(net, 200 * US);
    lack(net, old, 0, 1);
    held = held && endorses(net, 1, 1, old);
    assert_true(endorses(net, 1, 1, later));
    assert_false(endorses(net, 1, 1, make(TACIT_REQUEST_APPLY, session, 1, "odd"))); // other bytes
    net_close(net);
    return held;
}

static void say_lack_of(struct net *net, uint64_t view, uint64_t session, uint64_t number)
{
    struct tacit_message_lack lack = {
        .key = {.kind = TACIT_REQUEST_APPLY, .client = 1, .session = session, .number = number},
        .view = view,
        .slot = UINT64_MAX};
    uint8_t message[TACIT_LACK_BYTES];
    tacit_message_lack_encode(message, &lack);
    tacit_requests_message(net->node[0].requests, 1, message, sizeof message, net->now);
}

static void say_lack(struct net *net, uint64_t view, uint64_t session, uint64_t number)
{
    say_lack_of(net, view, session, number);
    tacit_requests_name_lacked(net->node[0].requests);
}

// What was executed was lacked by nobody in the end, and what was not proposed in this view is in
// nobody's way, whatever a liar says of slots and numbers.
static bool holds__only_what_was_in_the_way_is_named(void)
{
    struct net *net = net_open();
    struct tacit_requests *leader = net->node[0].requests;
    uint64_t session = net_session(net, 1, 0, 5);
    bool held = true;
    say_lack(net, 0, session, 1); // not here
    held = held && !tacit_requests_is_named(leader, 1);
    assert_int_equal(put(net, 0, 1, make(TACIT_REQUEST_APPLY, session, 1, "x")), TACIT_PUT_TAKEN);
    say_lack(net, 0, session, 1); // not proposed
    held = held && !tacit_requests_is_named(leader, 1);
    assert_true(proposals(net, 0) == 1 || !held);
    net_execute(net, 1, session);
    say_lack(net, 0, session, 1);
    held = held && !tacit_requests_is_named(leader, 1);
    net_view(net, 1);
    assert_int_equal(put(net, 0, 1, make(TACIT_REQUEST_APPLY, session, 2, "y")), TACIT_PUT_TAKEN);
    say_lack(net, 1, session, 2); // led by another one: a warning, for a while
    held = held && !tacit_requests_is_named(leader, 1);
    net_view(net, 3);
    net_run(net, (TACIT_WARY_TIMES + 1) * base_config.lack_after_ns);
    (void)put(net, 0, 1, make(TACIT_REQUEST_APPLY, session, 2, "y"));
    assert_true(proposals(net, 0) == 1 || !held);
    say_lack(net, 3, session, 2); // this one counts
    assert_true(!held || tacit_requests_is_named(leader, 1));
    net_close(net);
    return held;
}

// Node 1 lacked something of the client: nothing more of it is proposed before node 1 says that it
// holds it, by the leader of that view and by the next one; signed, it is proposed, and shown.
static bool holds__who_lied_to_some_delays_itself_alone(void)
{
    struct net *net = net_open();
    uint64_t session = net_session(net, 1, 0, 5);
    uint64_t honest = net_session(net, 2, 0, 5);
    struct tacit_wire_request half = make(TACIT_REQUEST_APPLY, session, 1, "half-sent");
    struct tacit_wire_request later = make(TACIT_REQUEST_APPLY, session, 2, "later");
    struct tacit_wire_request third = make(TACIT_REQUEST_APPLY, session, 3, "third");
    assert_int_equal(put(net, 0, 1, half), TACIT_PUT_TAKEN);
    assert_int_equal(proposals(net, 0), 1);
    lack(net, half, 0, 0);
    net_execute(net, 1, session); // by signatures, say
    assert_int_equal(put(net, 0, 1, later), TACIT_PUT_TAKEN);
    bool held = proposals(net, 0) == 0;
    assert_int_equal(put(net, 0, 2, make(TACIT_REQUEST_APPLY, honest, 1, "x")), TACIT_PUT_TAKEN);
    assert_int_equal(proposals(net, 0), 1);
    if (held) {
        assert_int_equal(put(net, 1, 1, later), TACIT_PUT_TAKEN); // says so
        net_step(net, US);
        assert_int_equal(proposals(net, 0), 1);
    }
    net_execute(net, 1, session);
    net_view(net, 2); // node 2 was told, too
    assert_int_equal(put(net, 2, 1, third), TACIT_PUT_TAKEN);
    held = proposals(net, 2) == 0 && held;
    put_signed(net, 2, 1, third);
    net_run(net, 200 * US);
    assert_int_equal(proposals(net, 2), held ? 1 : 0);
    net_run(net, 200 * US);
    assert_true(!held || endorses(net, 1, 1, third)); // without having asked for it
    net_close(net);
    return held;
}

// One word each, of many clients: those that a liar may have doubted are f+1 at a time.
static bool holds__a_liar_has_few_doubted(void)
{
    struct net *net = net_open();
    uint32_t doubted = 0;
    net_view(net, 1); // node 0 leads next
    for (uint32_t client = 0; client < CLIENTS; client++) {
        struct tacit_message_lack lack = {.key = {.kind = TACIT_REQUEST_APPLY,
                                                  .client = (uint16_t)client,
                                                  .session = 1,
                                                  .number = 1},
                                          .view = 1};
        uint8_t message[TACIT_LACK_BYTES];
        tacit_message_lack_encode(message, &lack);
        tacit_requests_message(net->node[0].requests, 1, message, sizeof message, net->now);
    }
    for (uint32_t client = 0; client < CLIENTS; client++) {
        uint64_t session = net_session(net, client, 0, 5);
        assert_int_equal(put(net, 0, client, make(TACIT_REQUEST_APPLY, session, 1, "x")),
                         TACIT_PUT_TAKEN);
    }
    net_view(net, 3);
    doubted = CLIENTS - proposals(net, 0);
    bool held = doubted == 2;
    // Not for ever. What was doubted comes again: a client repeats what nobody answers.
    net_run(net, (TACIT_WARY_TIMES + 1) * base_config.lack_after_ns);
    for (uint32_t client = 0; client < CLIENTS; client++) {
        uint64_t session = net->table.session[client][0];
        (void)put(net, 0, client, make(TACIT_REQUEST_APPLY, session, 1, "x"));
    }
    assert_int_equal(proposals(net, 0), doubted);
    net_close(net);
    return held;
}

// Nobody has said yet that it lacks anything: the request waits for that, or for its signature.
static bool holds__who_is_doubted_is_asked_to_sign(void)
{
    struct net *net = net_open();
    uint64_t session = net_session(net, 1, 0, 5);
    struct tacit_wire_request one = make(TACIT_REQUEST_APPLY, session, 1, "one");
    struct tacit_wire_request two = make(TACIT_REQUEST_APPLY, session, 2, "two");
    struct tacit_wire_request three = make(TACIT_REQUEST_APPLY, session, 3, "three");
    assert_int_equal(put(net, 0, 1, one), TACIT_PUT_TAKEN);
    assert_int_equal(proposals(net, 0), 1);
    lack(net, one, 0, 0);
    net_execute(net, 1, session);
    uint32_t before = net->node[0].asks;
    assert_int_equal(put(net, 0, 1, two), TACIT_PUT_TAKEN);
    assert_int_equal(put(net, 0, 1, three), TACIT_PUT_TAKEN);
    assert_int_equal(net->node[0].asks, before); // an echo may come
    net_run(net, 2 * base_config.lack_after_ns);
    bool held = net->node[0].asks == before + 1 && net->node[0].asked[before].number == 2;
    put_signed(net, 0, 1, two);
    net_run(net, 200 * US);
    assert_int_equal(proposals(net, 0), 1);
    net_execute(net, 1, session); // then the next one is in its way
    net_run(net, 2 * base_config.lack_after_ns);
    held = held && net->node[0].asks == before + 2 && net->node[0].asked[before + 1].number == 3;
    net_close(net);
    return held;
}

// Who has died can say no more that it holds the request, and no slot waits for it: what was held
// back for it is proposed at once, without a signature. The next one in its seat is heard again.
static bool holds__doubts_end_with_the_doubter(void)
{
    struct net *net = net_open();
    uint64_t session = net_session(net, 1, 0, 5);
    struct tacit_wire_request one = make(TACIT_REQUEST_APPLY, session, 1, "one");
    assert_int_equal(put(net, 0, 1, one), TACIT_PUT_TAKEN);
    assert_int_equal(proposals(net, 0), 1);
    lack(net, one, 0, 0);
    net_execute(net, 1, session);
    assert_int_equal(put(net, 0, 1, make(TACIT_REQUEST_APPLY, session, 2, "two")), TACIT_PUT_TAKEN);
    assert_int_equal(proposals(net, 0), 0);
    tacit_requests_gone(net->node[0].requests, 1u << 2); // another one
    assert_int_equal(proposals(net, 0), 0);
    tacit_requests_gone(net->node[0].requests, 1u << 1);
    bool held = proposals(net, 0) == 1;
    // What it said last comes late.
    say_lack_of(net, 0, session, 2);
    net_execute(net, 1, session);
    assert_int_equal(put(net, 0, 1, make(TACIT_REQUEST_APPLY, session, 3, "three")),
                     TACIT_PUT_TAKEN);
    held = proposals(net, 0) == 1 && held;
    tacit_requests_gone(net->node[0].requests, 0);
    say_lack_of(net, 0, session, 3);
    net_execute(net, 1, session);
    assert_int_equal(put(net, 0, 1, make(TACIT_REQUEST_APPLY, session, 4, "four")),
                     TACIT_PUT_TAKEN);
    assert_int_equal(proposals(net, 0), 0);
    net_close(net);
    return held;
}

// Nor can it echo a request of a client that is named: those of the others suffice, also for what
// waits at that time. The next one in its seat has to echo again.
static bool holds__the_dead_need_not_echo(void)
{
    struct net *net = net_open();
    for (uint32_t i = 0; i < NODES; i++) {
        tacit_requests_name(net->node[i].requests, 1);
    }
    uint64_t session = net_session(net, 1, 0, 5);
    bool held = true;
    for (uint64_t number = 1; number <= 3; number++) {
        struct tacit_wire_request request = make(TACIT_REQUEST_APPLY, session, number, "x");
        bool is_dead = number == 2;
        assert_int_equal(put(net, 0, 1, request), TACIT_PUT_TAKEN);
        tacit_requests_gone(net->node[0].requests, is_dead ? 1u << 2 : 0);
        assert_int_equal(proposals(net, 0), 0); // node 1 has not said that it holds it
        tacit_requests_gone(net->node[0].requests, 0);
        assert_int_equal(put(net, 1, 1, request), TACIT_PUT_TAKEN);
        net_step(net, US);
        assert_int_equal(proposals(net, 0), 0);
        if (is_dead) {
            tacit_requests_gone(net->node[0].requests, 1u << 2);
            held = proposals(net, 0) == 1;
        } else {
            assert_int_equal(put(net, 2, 1, request), TACIT_PUT_TAKEN);
            net_step(net, US);
            assert_int_equal(proposals(net, 0), 1);
        }
        net_execute(net, 1, session);
    }
    net_close(net);
    return held;
}

// What f+1 replicas lack, a correct one lacks: believed of any number of clients, and of each of
// them, or with the death of the last one that said so a slot would wait for the others again.
static bool holds__all_are_doubted_whom_a_correct_replica_lacks(void)
{
    struct net *net = net_open();
    uint64_t sessions[CLIENTS];
    for (uint32_t client = 0; client < CLIENTS; client++) {
        sessions[client] = net_session(net, client, 0, 5);
        assert_int_equal(put(net, 0, client, make(TACIT_REQUEST_APPLY, sessions[client], 1, "x")),
                         TACIT_PUT_TAKEN);
    }
    assert_int_equal(proposals(net, 0), CLIENTS);
    for (uint32_t client = 0; client < CLIENTS; client++) {
        struct tacit_message_lack lack = {.key = {.kind = TACIT_REQUEST_APPLY,
                                                  .client = (uint16_t)client,
                                                  .session = sessions[client],
                                                  .number = 1}};
        uint8_t message[TACIT_LACK_BYTES];
        tacit_message_lack_encode(message, &lack);
        tacit_requests_message(net->node[0].requests, 1, message, sizeof message, net->now);
        tacit_requests_message(net->node[0].requests, 2, message, sizeof message, net->now);
    }
    for (uint32_t client = 0; client < CLIENTS; client++) {
        net_execute(net, client, sessions[client]);
        (void)put(net, 0, client, make(TACIT_REQUEST_APPLY, sessions[client], 2, "y"));
    }
    assert_int_equal(proposals(net, 0), 0);
    tacit_requests_gone(net->node[0].requests, 1u << 2);
    bool held = proposals(net, 0) == 0;
    tacit_requests_gone(net->node[0].requests, 3u << 1);
    assert_true(proposals(net, 0) > 0);
    net_close(net);
    return held;
}

static const struct rule rules[] = {
    {"who lied to some delays itself alone", holds__who_lied_to_some_delays_itself_alone,
     TACIT_BUG_LACK_TEACHES_NOTHING},
    {"who is doubted is asked to sign", holds__who_is_doubted_is_asked_to_sign,
     TACIT_BUG_DOUBTED_NOT_ASKED},
    {"doubts end with the doubter", holds__doubts_end_with_the_doubter,
     TACIT_BUG_DOUBT_OUTLIVES_DOUBTER},
    {"the dead need not echo", holds__the_dead_need_not_echo, TACIT_BUG_DOUBT_OUTLIVES_DOUBTER},
    {"a liar has few doubted", holds__a_liar_has_few_doubted, TACIT_BUG_WARY_UNLIMITED},
    {"all are doubted whom a correct replica lacks",
     holds__all_are_doubted_whom_a_correct_replica_lacks, TACIT_BUG_LAST_BELIEVED_ALONE},
    {"what was lacked is proposed with a signature only",
     holds__what_was_lacked_is_not_proposed_again, TACIT_BUG_LACKED_NOT_NAMED},
    {"what finds no room is endorsed", holds__what_finds_no_room_is_endorsed,
     TACIT_BUG_LACKED_NOT_BROUGHT},
    {"only what was in the way is named", holds__only_what_was_in_the_way_is_named,
     TACIT_BUG_LACKED_AS_SAID},
};

// What a leader has proposed is kept until its view is over: it must be able to say what it was.
static void proposed__gives_way_to_nothing(void **state)
{
    (void)state;
    struct net *net = net_open();
    uint64_t session = net_session(net, 1, 0, 5);
    struct tacit_wire_request one = make(TACIT_REQUEST_APPLY, session, 1, "one");
    assert_int_equal(put(net, 0, 1, one), TACIT_PUT_TAKEN);
    assert_int_equal(proposals(net, 0), 1);
    uint64_t ahead = session + (3ull << 16); // takes the lane
    assert_int_equal(put(net, 0, 1, make(TACIT_REQUEST_APPLY, session, 1 + PLACES, "x")),
                     TACIT_PUT_DROPPED);
    assert_int_equal(put(net, 0, 1, make(TACIT_REQUEST_APPLY, ahead, 1, "x")), TACIT_PUT_DROPPED);
    for (uint64_t number = 2; number <= PLACES; number++) { // room for bodies runs out
        (void)put(net, 0, 1, make(TACIT_REQUEST_APPLY, session, number, "x"));
    }
    for (uint64_t nonce = 20; nonce < 20 + 2 * ROOM; nonce++) {
        (void)put(net, 0, 1, make(TACIT_REQUEST_OPEN, 0, nonce, ""));
    }
    assert_true(endorses(net, 0, 1, one));
    net_view(net, 1);
    assert_int_equal(put(net, 0, 1, make(TACIT_REQUEST_APPLY, session, 1 + PLACES, "x")),
                     TACIT_PUT_TAKEN);
    assert_false(endorses(net, 0, 1, one));
    net_close(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TESTS(rules),
        cmocka_unit_test(proposed__gives_way_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
