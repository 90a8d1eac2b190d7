// SPDX-License-Identifier: Apache-2.0
//
// The store of requests (n = 3): what is endorsed, what waits, what a leader proposes, how a
// lacking request is brought to a follower, for what a timer runs; and random floods of hostile
// input with the invariants checked. Rules with a seeded bug are in byz_requests_rules_test.c.
//
// TACIT_SEEDED: yes
#include "tests/support/requests_net.h"

#include "core/byzantine/requests_internal.h" // what is signed

// ---- endorsement and the store
// -------------------------------------------------------------------------

static void put__judges_by_the_executed_state(void **state)
{
    (void)state;
    struct net *net = net_open();
    uint64_t session = net_session(net, 1, 0, 5);
    net_execute(net, 1, session);
    char big[BODY + 2];
    memset(big, 'b', sizeof big);
    big[BODY + 1] = 0;
    assert_int_equal(put(net, 0, 1, make(TACIT_REQUEST_APPLY, session, 1, "x")),
                     TACIT_PUT_EXECUTED);
    assert_int_equal(put(net, 0, 1, make(TACIT_REQUEST_APPLY, session, 2, big)), TACIT_PUT_TOO_BIG);
    assert_int_equal(put(net, 0, 1, make(TACIT_REQUEST_CLOSE, session, 1, "")), TACIT_PUT_DROPPED);
    assert_int_equal(put(net, 0, 1, make(TACIT_REQUEST_OPEN, 0, 5, "")), TACIT_PUT_EXECUTED);
    assert_int_equal(put(net, 0, 2, make(TACIT_REQUEST_APPLY, session, 2, "x")), TACIT_PUT_CLOSED);
    assert_int_equal(put(net, 0, 1, make(TACIT_REQUEST_APPLY, 0, 2, "x")), TACIT_PUT_CLOSED);
    assert_int_equal(put(net, 0, CLIENTS, make(TACIT_REQUEST_APPLY, session, 2, "x")),
                     TACIT_PUT_DROPPED);
    // A session that this replica has not seen open yet: kept, endorsed, not proposed.
    uint64_t ahead = (net->table.opened + 1) << 16 | (1 * S + 1);
    assert_int_equal(put(net, 0, 1, make(TACIT_REQUEST_APPLY, ahead, 1, "x")), TACIT_PUT_TAKEN);
    assert_true(endorses(net, 0, 1, make(TACIT_REQUEST_APPLY, ahead, 1, "x")));
    assert_int_equal(proposals(net, 0), 0);
    assert_int_equal(net_session(net, 1, 1, 6), ahead);
    assert_int_equal(proposals(net, 0), 1);
    // An OPEN that a session that is over has overtaken.
    assert_int_equal(put(net, 0, 1, make(TACIT_REQUEST_OPEN, 0, 4, "")), TACIT_PUT_TAKEN);
    (void)net_session(net, 1, 0, 8); // in place of nonce 5
    assert_int_equal(put(net, 0, 1, make(TACIT_REQUEST_OPEN, 0, 5, "")), TACIT_PUT_CLOSED);
    assert_int_equal(proposals(net, 0), 0);
    assert_false(endorses(net, 0, 1, make(TACIT_REQUEST_OPEN, 0, 4, "")));
    net_close(net);
}

static void client__that_sends_two_things_harms_itself(void **state)
{
    (void)state;
    struct net *net = net_open();
    uint64_t session = net_session(net, 1, 0, 5);
    struct tacit_wire_request x = make(TACIT_REQUEST_APPLY, session, 1, "x");
    struct tacit_wire_request y = make(TACIT_REQUEST_APPLY, session, 1, "y");
    assert_int_equal(put(net, 0, 1, x), TACIT_PUT_TAKEN);
    assert_int_equal(proposals(net, 0), 1);
    assert_int_equal(put(net, 1, 1, x), TACIT_PUT_TAKEN);
    assert_int_equal(put(net, 1, 1, y), TACIT_PUT_DROPPED);
    assert_int_equal(put(net, 1, 1, make(TACIT_REQUEST_CLOSE, session, 1, "")), TACIT_PUT_DROPPED);
    assert_true(endorses(net, 1, 1, x));
    // The other one comes signed: through a peer it replaces what was not signed.
    struct tacit_signature signature;
    sign(net, 1, &y, &signature);
    uint8_t message[MESSAGE];
    uint32_t bytes;
    assert_true(forward_of(1, y, message, &bytes));
    tacit_requests_message(net->node[1].requests, 2, message, bytes, net->now);
    net_run(net, 200 * US);
    assert_true(endorses(net, 1, 1, y));
    assert_false(endorses(net, 1, 1, x));
    // But not what the leader has proposed.
    tacit_requests_message(net->node[0].requests, 2, message, bytes, net->now);
    net_run(net, 200 * US);
    assert_true(endorses(net, 0, 1, x));
    net_close(net);
}

static void flood__displaces_the_floods_own_only(void **state)
{
    (void)state;
    struct net *net = net_open();
    uint64_t honest = net_session(net, 2, 0, 5);
    uint64_t session = net_session(net, 1, 0, 5);
    put_all(net, 2, make(TACIT_REQUEST_APPLY, honest, 1, "mine"));
    for (uint64_t number = 1; number < 100; number++) {
        for (uint32_t lane = 0; lane < 2; lane++) { // the second: a stranger's or unknown session
            uint64_t other = session + lane * (1ull << 20 | number % 3);
            (void)put(net, 0, 1, make(TACIT_REQUEST_APPLY, other, number, "flood"));
            (void)put(net, 0, 1, make(TACIT_REQUEST_APPLY, honest, number, "flood"));
            (void)put(net, 0, 1, make(TACIT_REQUEST_OPEN, 0, 1000 + number, ""));
        }
        net_check(net);
    }
    assert_true(tacit_requests_counters(net->node[0].requests)->evicted > 50);
    assert_true(endorses(net, 0, 2, make(TACIT_REQUEST_APPLY, honest, 1, "mine")));
    net_close(net);
}

static void batch__that_is_no_batch_of_requests_is_malformed(void **state)
{
    (void)state;
    struct net *net = net_open();
    struct tacit_requests_key missing;
    uint8_t batch[2048];
    size_t used = 0;
    const struct tacit_requests *requests = net->node[1].requests;
    assert_int_equal(tacit_requests_endorse(requests, batch, 0, &missing), TACIT_ENDORSE_OK);
    struct tacit_wire_item item = {.kind = TACIT_ITEM_ADMIT, .subject = 1, .number = 2};
    assert_true(tacit_wire_item_encode(batch, sizeof batch, &used, &item));
    assert_int_equal(tacit_requests_endorse(requests, batch, used, &missing),
                     TACIT_ENDORSE_MALFORMED);
    uint8_t body[BODY + 1] = {0};
    for (uint32_t i = 0; i < 2; i++) {
        used = 0;
        item = (struct tacit_wire_item){.kind = TACIT_ITEM_APPLY,
                                        .subject = i == 0 ? CLIENTS : 0,
                                        .number = 1,
                                        .body = body,
                                        .body_bytes = i == 0 ? 0 : BODY + 1};
        assert_true(tacit_wire_item_encode(batch, sizeof batch, &used, &item));
        assert_int_equal(tacit_requests_endorse(requests, batch, used, &missing),
                         TACIT_ENDORSE_MALFORMED);
    }
    // Something is missing *and* the rest is nonsense: nonsense.
    item = (struct tacit_wire_item){.kind = TACIT_ITEM_APPLY, .subject = 1, .number = 1};
    used = 0;
    assert_true(tacit_wire_item_encode(batch, sizeof batch, &used, &item));
    assert_int_equal(tacit_requests_endorse(requests, batch, used, &missing), TACIT_ENDORSE_WAIT);
    assert_int_equal(missing.client, 1);
    batch[used] = 77;
    assert_int_equal(tacit_requests_endorse(requests, batch, used + 8, &missing),
                     TACIT_ENDORSE_MALFORMED);
    net_close(net);
}

static void wait__ends_when_the_request_comes(void **state)
{
    (void)state;
    struct net *net = net_open();
    struct node *node = &net->node[1];
    uint64_t session = net_session(net, 1, 0, 5);
    struct tacit_requests_key missing;
    // Four slots wait: two for the same request, one for one in the same place, one for another.
    for (uint64_t slot = 0; slot < 4; slot++) {
        uint64_t number = slot < 2 ? 1 : slot == 2 ? 1 + PLACES : 2;
        struct tacit_wire_request request = make(TACIT_REQUEST_APPLY, session, number, "x");
        assert_int_equal(endorse(net, 1, 1, request, &missing), TACIT_ENDORSE_WAIT);
        tacit_requests_wait(node->requests, 0, slot, &missing, net->now);
    }
    net_check(net);
    assert_int_equal(put(net, 1, 1, make(TACIT_REQUEST_APPLY, session, 1, "x")), TACIT_PUT_TAKEN);
    assert_int_equal(node->resumes, 2);
    assert_int_equal(node->resumed[0], 0);
    assert_int_equal(node->resumed[1], 1);
    assert_int_equal(node->requests->waiting, 2);
    tacit_requests_unwait(node->requests, 3);
    assert_int_equal(node->requests->waiting, 1);
    assert_int_equal(put(net, 1, 1, make(TACIT_REQUEST_APPLY, session, 2, "x")), TACIT_PUT_TAKEN);
    assert_int_equal(node->resumes, 2);
    tacit_requests_enter_view(node->requests, 1, net->now);
    assert_int_equal(node->requests->waiting, 0);
    net_close(net);
}

// ---- proposing
// -----------------------------------------------------------------------------------------

static void leader__proposes_in_session_order_and_fairly(void **state)
{
    (void)state;
    struct net *net = net_open();
    uint64_t one = net_session(net, 1, 0, 5);
    uint64_t two = net_session(net, 2, 0, 5);
    static const uint64_t order[] = {3, 2, 4, 1}; // as it happens to arrive
    for (uint32_t i = 0; i < 4; i++) {
        put_all(net, 1, make(TACIT_REQUEST_APPLY, one, order[i], "x"));
    }
    put_all(net, 2, make(TACIT_REQUEST_APPLY, two, 1, "x"));
    put_all(net, 3, make(TACIT_REQUEST_OPEN, 0, 9, ""));
    assert_int_equal(tacit_requests_proposals(net->node[1].requests), 0);
    assert_int_equal(tacit_requests_proposals(net->node[0].requests), 3);
    uint8_t out[1024];
    size_t used = tacit_requests_fill(net->node[0].requests, out, sizeof out, 3);
    static const uint32_t clients[] = {1, 2, 3};
    size_t offset = 0;
    struct tacit_wire_item item;
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(tacit_wire_item_decode(&item, out, used, &offset), TACIT_VERDICT_OK);
        assert_int_equal(item.subject, clients[i]);
    }
    assert_int_equal(tacit_wire_item_decode(&item, out, used, &offset), TACIT_VERDICT_EMPTY);
    // Only one fits; what did not is the first of the next batch.
    for (uint64_t number = 2; number <= 4; number++) {
        used = tacit_requests_fill(net->node[0].requests, out, 40, 64);
        offset = 0;
        assert_int_equal(tacit_wire_item_decode(&item, out, used, &offset), TACIT_VERDICT_OK);
        assert_int_equal(item.number, number);
        assert_int_equal(offset, used);
    }
    assert_int_equal(proposals(net, 0), 0);
    // The next view begins with what is executed and with what was proposed again, in order: a
    // number that comes too early has no effect, so it is proposed again, too.
    net_execute(net, 1, one);
    uint8_t batch[256];
    struct tacit_wire_request second = make(TACIT_REQUEST_APPLY, one, 2, "x");
    struct tacit_wire_request fourth = make(TACIT_REQUEST_APPLY, one, 4, "x");
    net_view(net, 1);
    used = batch_of(batch, sizeof batch, 1, &fourth);
    tacit_requests_proposed(net->node[1].requests, batch, used);
    used = batch_of(batch, sizeof batch, 1, &second);
    tacit_requests_proposed(net->node[1].requests, batch, used);
    assert_int_equal(fill(net, 1, out, sizeof out, &used), 4); // 3 and 4, client 2, the OPEN
    assert_int_equal(proposals(net, 0), 0);
    // CLOSE is the last of its session.
    put_all(net, 2, make(TACIT_REQUEST_CLOSE, two, 2, ""));
    assert_int_equal(proposals(net, 1), 1);
    net_close(net);
}

static void lack__brings_the_request_to_the_follower(void **state)
{
    (void)state;
    for (uint32_t length = 1; length <= BODY; length += BODY - 1) { // in the message, and beside it
        struct net *net = net_open();
        char body[BODY + 1] = "";
        memset(body, 'q', length);
        uint64_t session = net_session(net, 1, 0, 5);
        struct tacit_wire_request request = make(TACIT_REQUEST_APPLY, session, 1, body);
        struct tacit_requests_key missing;
        assert_int_equal(put(net, 0, 1, request), TACIT_PUT_TAKEN); // the leader only
        assert_int_equal(proposals(net, 0), 1);
        assert_int_equal(endorse(net, 1, 1, request, &missing), TACIT_ENDORSE_WAIT);
        tacit_requests_wait(net->node[1].requests, 0, 0, &missing, net->now);
        net_run(net, 150 * US);
        assert_int_equal(net->node[0].asks, 0); // not before lack_after
        net_run(net, 300 * US);
        assert_in_range(net->node[0].asks, 1, 2);
        assert_int_equal(net->node[0].asked[0].client, 1);
        assert_int_equal(net->node[0].asked[0].number, 1);
        put_signed(net, 0, 1, request);
        net_run(net, 300 * US);
        assert_int_equal(net->node[1].resumes, 1);
        assert_true(endorses(net, 1, 1, request));
        assert_true(endorses(net, 2, 1, request)); // it went to all
        // Signed already: served at once, but not without limit.
        net->node[0].queued = 0;
        for (uint32_t i = 0; i < 40; i++) {
            struct tacit_message_lack lack = {.key = missing, .slot = 0};
            uint8_t message[TACIT_LACK_BYTES];
            tacit_message_lack_encode(message, &lack);
            tacit_requests_message(net->node[0].requests, 2, message, sizeof message, net->now);
        }
        assert_in_range(net->node[0].queued, 1, 17);
        net_close(net);
    }
}

static void penalty__lasts_longer_each_time(void **state)
{
    (void)state;
    struct net *net = net_open();
    uint64_t session = net_session(net, 1, 0, 5);
    struct tacit_requests *leader = net->node[0].requests;
    assert_int_equal(put(net, 0, 1, make(TACIT_REQUEST_APPLY, session, 1, "x")), TACIT_PUT_TAKEN);
    for (uint32_t times = 1; times <= 3; times++) {
        tacit_requests_name(leader, 1);
        net_view(net, 3 * times);
        assert_false(tacit_requests_is_named(leader, 2));
        for (uint32_t i = 0; i < 1u << times; i++) {
            assert_true(tacit_requests_is_named(leader, 1));
            assert_int_equal(proposals(net, 0), 0);
            tacit_requests_checkpoint(leader, net->now);
        }
        assert_false(tacit_requests_is_named(leader, 1));
        assert_int_equal(proposals(net, 0), 1);
    }
    // With its signature it is proposed at once.
    tacit_requests_name(leader, 1);
    net_view(net, 30);
    put_signed(net, 0, 1, make(TACIT_REQUEST_APPLY, session, 1, "x"));
    assert_int_equal(proposals(net, 0), 0);
    net_run(net, 200 * US);
    assert_int_equal(proposals(net, 0), 1);
    net_close(net);
}

// ---- obligations
// ---------------------------------------------------------------------------------------

static void obligation__runs_for_the_next_signed_request_only(void **state)
{
    (void)state;
    struct net *net = net_open();
    struct tacit_requests *follower = net->node[1].requests;
    uint64_t session = net_session(net, 1, 0, 5);
    put_signed(net, 1, 1, make(TACIT_REQUEST_APPLY, session, 2, "second"));
    net_run(net, 200 * US);
    assert_false(tacit_requests_is_obliged(follower)); // not the next one
    put_signed(net, 1, 1, make(TACIT_REQUEST_APPLY, session, 1, "first"));
    assert_false(tacit_requests_is_obliged(follower)); // not checked yet
    net_run(net, 200 * US);
    assert_true(tacit_requests_is_obliged(follower));
    tacit_time_ns_t timer = tacit_requests_timer(follower, 5 * MS);
    assert_in_range(timer, net->now + 4 * MS, net->now + 5 * MS);
    // The leader got it, and can propose it although the client never sent it there.
    assert_true(endorses(net, 0, 1, make(TACIT_REQUEST_APPLY, session, 1, "first")));
    assert_int_equal(proposals(net, 0), 1);
    net_execute(net, 1, session);
    net_run(net, 50 * US);
    assert_true(tacit_requests_timer(follower, 5 * MS) > timer); // the second one's
    net_execute(net, 1, session);
    assert_false(tacit_requests_is_obliged(follower));
    // A session that closes cancels, too.
    put_signed(net, 1, 1, make(TACIT_REQUEST_APPLY, session, 3, "third"));
    net_run(net, 200 * US);
    assert_true(tacit_requests_is_obliged(follower));
    (void)net_session(net, 1, 0, 6); // displaces it
    assert_false(tacit_requests_is_obliged(follower));
    assert_int_equal(tacit_requests_timer(follower, 5 * MS), UINT64_MAX);
    net_close(net);
}

static void obligation__begins_anew_in_each_view(void **state)
{
    (void)state;
    struct net *net = net_open();
    struct tacit_requests *follower = net->node[2].requests;
    uint64_t session = net_session(net, 1, 0, 5);
    put_signed(net, 2, 1, make(TACIT_REQUEST_APPLY, session, 1, "x"));
    net_run(net, 200 * US);
    tacit_time_ns_t timer = tacit_requests_timer(follower, MS);
    net_run(net, 500 * US);
    assert_int_equal(tacit_requests_timer(follower, MS), timer);
    net_view(net, 1);
    assert_int_equal(tacit_requests_timer(follower, MS), UINT64_MAX); // not forwarded yet
    assert_true(tacit_requests_is_obliged(follower));
    net_run(net, 200 * US);
    assert_true(tacit_requests_timer(follower, MS) > timer + 400 * US);
    assert_true(endorses(net, 1, 1, make(TACIT_REQUEST_APPLY, session, 1, "x")));
    // It is forwarded again and again, since a link keeps its tail only, but ever more rarely.
    uint64_t before = tacit_requests_counters(follower)->forwarded;
    net_run(net, 5 * MS);
    assert_in_range(tacit_requests_counters(follower)->forwarded - before, 2, 3);
    // In the own view the timer runs as well.
    net_view(net, 2);
    net_run(net, 50 * US);
    assert_true(tacit_requests_timer(follower, MS) != UINT64_MAX);
    assert_int_equal(proposals(net, 2), 1);
    net_close(net);
}

static void obligation__for_an_open_ends_with_its_session(void **state)
{
    (void)state;
    struct net *net = net_open();
    struct tacit_requests *follower = net->node[1].requests;
    put_signed(net, 1, 1, make(TACIT_REQUEST_OPEN, 0, 77, ""));
    net_run(net, 200 * US);
    assert_true(tacit_requests_is_obliged(follower));
    assert_int_equal(proposals(net, 0), 1); // was forwarded
    (void)net_session(net, 1, 0, 77);
    assert_false(tacit_requests_is_obliged(follower));
    assert_int_equal(put(net, 1, 1, make(TACIT_REQUEST_OPEN, 0, 77, "")), TACIT_PUT_EXECUTED);
    net_close(net);
}

static void forwards__are_charged_to_who_forwards(void **state)
{
    (void)state;
    struct net *net = net_open();
    uint64_t session = net_session(net, 1, 0, 5);
    struct tacit_signature forged = {{1}};
    uint8_t message[MESSAGE];
    uint32_t bytes;
    for (uint64_t number = 1; number <= 100; number++) {
        struct tacit_wire_request request = make(TACIT_REQUEST_APPLY, session, number, "z");
        request.flags = TACIT_REQUEST_SIGNED;
        request.signature = forged.bytes;
        assert_true(forward_of(1, request, message, &bytes));
        tacit_requests_message(net->node[0].requests, 2, message, bytes, net->now);
    }
    const struct tacit_requests_counters *counters = tacit_requests_counters(net->node[0].requests);
    assert_int_equal(counters->checks, TACIT_FORWARDS_EACH);
    assert_int_equal(counters->checks_refused, 100 - TACIT_FORWARDS_EACH);
    // The client's own is checked in its turn, not behind the flood; and another peer's forward.
    struct tacit_wire_request one = make(TACIT_REQUEST_APPLY, session, 1, "x");
    struct tacit_wire_request two = make(TACIT_REQUEST_APPLY, session, 2, "x");
    struct tacit_signature signature;
    put_signed(net, 0, 1, one);
    sign(net, 1, &two, &signature);
    assert_true(forward_of(1, two, message, &bytes));
    tacit_requests_message(net->node[0].requests, 1, message, bytes, net->now);
    net_run(net, 250 * US);
    assert_true(endorses(net, 0, 1, two));
    net_run(net, 600 * US);
    assert_int_equal(counters->bad_signatures, TACIT_FORWARDS_EACH);
    assert_true(endorses(net, 0, 1, one));
    // Unsigned, of no session, or too long for a request: not even looked at.
    uint64_t checks = counters->checks;
    struct tacit_wire_request plain = make(TACIT_REQUEST_APPLY, session, 3, "x");
    assert_true(forward_of(1, plain, message, &bytes));
    tacit_requests_message(net->node[0].requests, 2, message, bytes, net->now);
    assert_int_equal(counters->malformed, 1);
    struct tacit_wire_request stranger = make(TACIT_REQUEST_APPLY, session, 3, "x");
    sign(net, 2, &stranger, &signature);
    assert_true(forward_of(2, stranger, message, &bytes));
    tacit_requests_message(net->node[0].requests, 2, message, bytes, net->now);
    assert_int_equal(counters->checks, checks);
    net_close(net);
}

static void install__looks_at_everything_again(void **state)
{
    (void)state;
    struct net *net = net_open();
    struct tacit_requests *follower = net->node[1].requests;
    uint64_t session = net_session(net, 1, 0, 5);
    for (uint64_t number = 1; number <= 3; number++) {
        put_signed(net, 1, 1, make(TACIT_REQUEST_APPLY, session, number, "x"));
    }
    net_run(net, 500 * US);
    net->table.last[1][0] = 2; // executed elsewhere
    tacit_requests_installed(follower, net->now);
    net_check(net);
    assert_false(endorses(net, 1, 1, make(TACIT_REQUEST_APPLY, session, 2, "x")));
    assert_true(endorses(net, 1, 1, make(TACIT_REQUEST_APPLY, session, 3, "x")));
    assert_true(tacit_requests_is_obliged(follower));
    net_close(net);
}

// ---- messages, and random input
// ------------------------------------------------------------------------

static void messages__round_trip_and_refuse_the_rest(void **state)
{
    (void)state;
    struct choice choice;
    choice_init_seed(&choice, 3);
    for (uint32_t round = 0; round < 2000; round++) {
        struct tacit_requests_key key = {.kind = (uint8_t)choice_range(&choice, 1, 3),
                                         .client = (uint16_t)choice_u32(&choice, 65536),
                                         .session = choice_u32(&choice, 1u << 30),
                                         .number = 1 + choice_u32(&choice, 1u << 30)};
        key.session = key.kind == TACIT_REQUEST_OPEN ? 0 : key.session;
        struct tacit_message_lack lack = {.key = key, .view = round, .slot = 5 * round};
        struct tacit_message_lack lack_again;
        uint8_t bytes[TACIT_ECHO_BYTES];
        uint8_t again[TACIT_ECHO_BYTES];
        tacit_message_lack_encode(bytes, &lack);
        assert_int_equal(tacit_message_lack_decode(&lack_again, bytes, TACIT_LACK_BYTES),
                         TACIT_VERDICT_OK);
        tacit_message_lack_encode(again, &lack_again);
        assert_memory_equal(bytes, again, TACIT_LACK_BYTES);
        struct tacit_message_echo echo = {.key = key};
        struct tacit_message_echo echo_again;
        choice_bytes(&choice, echo.digest.bytes, sizeof echo.digest.bytes);
        tacit_message_echo_encode(bytes, &echo);
        assert_int_equal(tacit_message_echo_decode(&echo_again, bytes, TACIT_ECHO_BYTES),
                         TACIT_VERDICT_OK);
        tacit_message_echo_encode(again, &echo_again);
        assert_memory_equal(bytes, again, TACIT_ECHO_BYTES);
        for (size_t size = 0; size < TACIT_ECHO_BYTES; size++) {
            assert_int_equal(tacit_message_echo_decode(&echo_again, bytes, size),
                             TACIT_VERDICT_MALFORMED);
        }
        bytes[1 + choice_u32(&choice, 2) * 3] ^= 0x40; // kind, or what has to be 0
        assert_int_equal(tacit_message_echo_decode(&echo_again, bytes, TACIT_ECHO_BYTES),
                         TACIT_VERDICT_MALFORMED);
    }
}

static void random_put(struct net *net, struct choice *choice)
{
    static const char *const bodies[] = {"", "x", "y", "a longer one that fills more than a word"};
    uint32_t client = choice_u32(choice, CLIENTS);
    uint32_t lane = choice_u32(choice, S);
    uint64_t session = net->table.session[client][lane];
    uint64_t number = net->table.last[client][lane] + choice_u32(choice, PLACES + 2);
    if (choice_u32(choice, 8) == 0) {
        session = choice_u32(choice, 40) << 16 | choice_u32(choice, CLIENTS * S + 2);
    }
    struct tacit_wire_request request =
        make(TACIT_REQUEST_APPLY, session, number + (number == 0), bodies[choice_u32(choice, 4)]);
    if (choice_u32(choice, 6) == 0) {
        request = make(TACIT_REQUEST_CLOSE, session, number, "");
    } else if (choice_u32(choice, 6) == 0) {
        request = make(TACIT_REQUEST_OPEN, 0, 50 + choice_u32(choice, 6), "");
    }
    struct tacit_signature signature;
    if (choice_u32(choice, 3) == 0) {
        sign(net, client, &request, &signature);
        signature.bytes[0] ^= choice_u32(choice, 3) == 0; // one in three is forged
    }
    request.flags |= choice_u32(choice, 4) == 0 ? TACIT_REQUEST_FULL : 0;
    for (uint32_t i = 0; i < NODES; i++) {
        if (choice_u32(choice, 4) != 0) {
            (void)put(net, i, client, request);
        }
    }
}

static void random_message(struct net *net, struct choice *choice)
{
    uint8_t message[MESSAGE];
    uint32_t bytes = choice_u32(choice, MESSAGE + 1);
    choice_bytes(choice, message, bytes);
    if (bytes >= 8 && choice_u32(choice, 8) != 0) {
        message[0] = (uint8_t)choice_range(choice, TACIT_MESSAGE_LACK, TACIT_MESSAGE_ECHO);
        message[1] = (uint8_t)choice_u32(choice, 4);
        message[2] = (uint8_t)choice_u32(choice, CLIENTS + 1);
        memset(message + 3, 0, 5);
    }
    uint8_t *exact = malloc(bytes == 0 ? 1 : bytes); // the sanitizer sees a read behind it
    assert_non_null(exact);
    memcpy(exact, message, bytes);
    tacit_requests_message(net->node[choice_u32(choice, NODES)].requests,
                           (tacit_node_t)choice_u32(choice, NODES + 1), exact, bytes, net->now);
    free(exact);
}

static void random_event(struct net *net, struct choice *choice, uint64_t *view)
{
    uint32_t client = choice_u32(choice, CLIENTS);
    uint32_t lane = choice_u32(choice, S);
    struct node *node = &net->node[choice_u32(choice, NODES)];
    uint8_t out[512];
    struct tacit_requests_key missing = {.kind = (uint8_t)choice_range(choice, 1, 3),
                                         .client = (uint16_t)client,
                                         .session = net->table.session[client][lane],
                                         .number = net->table.last[client][lane] + 1};
    switch (choice_u32(choice, 15)) {
    case 0:
        (void)net_session(net, client, lane, 50 + choice_u32(choice, 6));
        break;
    case 1:
    case 2:
        if (net->table.session[client][lane] != 0) {
            net_execute(net, client, net->table.session[client][lane]);
        }
        break;
    case 3:
        net_view(net, ++*view);
        break;
    case 4:
    case 10:
    case 11:
    case 12:
        missing.number += choice_u32(choice, 3);
        tacit_requests_wait(node->requests, *view, choice_u32(choice, 20), &missing, net->now);
        break;
    case 5:
        tacit_requests_unwait(node->requests, choice_u32(choice, 20));
        break;
    case 6:
        tacit_requests_name(node->requests, choice_u32(choice, CLIENTS + 1));
        break;
    case 7:
        tacit_requests_checkpoint(node->requests, net->now);
        break;
    case 8:
        tacit_requests_installed(node->requests, net->now);
        break;
    case 9:
        random_message(net, choice);
        break;
    default: {
        size_t used = tacit_requests_fill(node->requests, out, sizeof out, 5);
        struct tacit_requests_key first;
        assert_int_equal(tacit_requests_endorse(node->requests, out, used, &first),
                         TACIT_ENDORSE_OK); // a leader endorses what it proposes
        break;
    }
    }
}

// What a follower gets ready for is what its leader sends; once, and only while it is there.
static void expected__is_what_the_leader_proposes(void **state)
{
    (void)state;
    struct net *net = net_open();
    uint64_t session = net_session(net, 1, 0, 5);
    struct tacit_requests *follower = net->node[1].requests;
    uint8_t sent[256];
    uint8_t expected[256];
    (void)tacit_requests_expected(follower, expected, sizeof expected); // what opened the session
    put_all(net, 1, make(TACIT_REQUEST_APPLY, session, 1, "one"));
    size_t used = tacit_requests_fill(net->node[0].requests, sent, sizeof sent, 64);
    assert_true(used > 0);
    assert_int_equal(tacit_requests_expected(follower, expected, sizeof expected), used);
    assert_memory_equal(sent, expected, used);
    assert_int_equal(tacit_requests_expected(follower, expected, sizeof expected), 0);
    put_all(net, 1, make(TACIT_REQUEST_APPLY, session, 1, "one")); // who repeats it costs no digest
    assert_int_equal(tacit_requests_expected(follower, expected, sizeof expected), 0);
    net_execute(net, 1, session);
    put_all(net, 1, make(TACIT_REQUEST_APPLY, session, 2, "two"));
    assert_int_equal(tacit_requests_expected(follower, expected, 8), 0); // no room
    put_all(net, 1, make(TACIT_REQUEST_APPLY, session, 3, "three"));
    net_execute(net, 1, session);
    net_execute(net, 1, session);
    assert_int_equal(tacit_requests_expected(follower, expected, sizeof expected), 0);
    net_close(net);
}

static void random__input_breaks_nothing(void **state)
{
    (void)state;
    struct tacit_requests_counters sum = {0};
    for (uint64_t seed = 0; seed < 150; seed++) {
        struct choice choice;
        choice_init_seed(&choice, seed);
        struct net *net = net_open();
        uint64_t view = 0;
        for (uint32_t step = 0; step < 400; step++) {
            if (choice_u32(&choice, 2) == 0) {
                random_put(net, &choice);
            } else {
                random_event(net, &choice, &view);
            }
            net_step(net, choice_u32(&choice, 4) == 0 ? 100 * US : 0);
            for (uint32_t i = 0; i < NODES; i++) {
                net->node[i].resumes = net->node[i].asks = 0;
            }
        }
        const struct tacit_requests_counters *counters =
            tacit_requests_counters(net->node[0].requests);
        sum.forwards_taken += counters->forwards_taken;
        sum.lacks_served += counters->lacks_served;
        sum.obligations += counters->obligations;
        sum.bad_signatures += counters->bad_signatures;
        sum.conflicts += counters->conflicts;
        sum.resumed += counters->resumed;
        sum.echoes += counters->echoes;
        net_close(net);
    }
    assert_true(sum.forwards_taken > 100 && sum.lacks_served > 5 && sum.obligations > 100);
    assert_true(sum.bad_signatures > 100 && sum.conflicts > 100 && sum.resumed > 20);
    assert_true(sum.echoes > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put__judges_by_the_executed_state),
        cmocka_unit_test(client__that_sends_two_things_harms_itself),
        cmocka_unit_test(flood__displaces_the_floods_own_only),
        cmocka_unit_test(batch__that_is_no_batch_of_requests_is_malformed),
        cmocka_unit_test(wait__ends_when_the_request_comes),
        cmocka_unit_test(leader__proposes_in_session_order_and_fairly),
        cmocka_unit_test(lack__brings_the_request_to_the_follower),
        cmocka_unit_test(penalty__lasts_longer_each_time),
        cmocka_unit_test(obligation__runs_for_the_next_signed_request_only),
        cmocka_unit_test(obligation__begins_anew_in_each_view),
        cmocka_unit_test(obligation__for_an_open_ends_with_its_session),
        cmocka_unit_test(forwards__are_charged_to_who_forwards),
        cmocka_unit_test(install__looks_at_everything_again),
        cmocka_unit_test(messages__round_trip_and_refuse_the_rest),
        cmocka_unit_test(expected__is_what_the_leader_proposes),
        cmocka_unit_test(random__input_breaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
