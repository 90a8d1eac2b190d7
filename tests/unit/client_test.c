// SPDX-License-Identifier: Apache-2.0
//
// The sans-I/O client against a fabric of plain memory in which the test plays the replicas: to
// whom it sends and when, what it does with each kind of answer, and fail-over.
#include "tests/support/client_fake.h"

static void open__asks_all_and_then_the_one_that_answered(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session;
    assert_int_equal(tacit_client_session_open(fake->client, 5, 0, &session), TACIT_OK);
    assert_int_equal(submit(fake, session, "early", 1), TACIT_EINVAL);
    assert_int_equal(tacit_client_deadline(fake->client), 2 * MS);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        link_up(fake, i);
    }
    expect_quiet(fake);
    uint64_t nonce = open_nonce(fake, 0);
    assert_int_equal(open_nonce(fake, 1), nonce);
    assert_int_equal(open_nonce(fake, 2), nonce);
    reply_kind(fake, 0, TACIT_REPLY_HINT, 0, nonce, 1);
    reply_result(fake, 1, 77, nonce, "");
    expect_event(fake, TACIT_CLIENT_OPENED, 5);
    assert_int_equal(tacit_client_outstanding(fake->client), 0);
    assert_int_equal(tacit_client_deadline(fake->client), UINT64_MAX);
    assert_int_equal(submit(fake, session, "a", 6), TACIT_OK);
    expect_request(fake, 1, TACIT_REQUEST_APPLY, 1);
    expect_no_request(fake, 0);
    expect_no_request(fake, 2);
    assert_true(fake->rings[1] > 0);
    reply_result(fake, 1, 77, 1, "answer");
    struct tacit_client_event event = expect_event(fake, TACIT_CLIENT_RESULT, 6);
    assert_int_equal(event.status, TACIT_OK);
    assert_int_equal(event.index, 1001);
    assert_int_equal(event.number, 1);
    assert_int_equal(event.replica, 1);
    assert_int_equal(event.body_bytes, 6);
    assert_memory_equal(event.body, "answer", 6);
    expect_quiet(fake);
    fake_close(fake);
}

// Another session of this client id, with a larger nonce, is over: the client goes on above it.
static void open__that_was_overtaken_is_tried_with_another_nonce(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session;
    for (uint32_t i = 0; i < REPLICAS; i++) {
        link_up(fake, i);
    }
    expect_quiet(fake);
    drain_requests(fake);
    assert_int_equal(tacit_client_session_open(fake->client, 5, 0, &session), TACIT_OK);
    uint64_t nonce = open_nonce(fake, 0);
    drain_requests(fake);
    reply_kind(fake, 0, TACIT_REPLY_CLOSED, nonce + 1000, nonce, NOBODY);
    expect_quiet(fake);
    assert_int_equal(open_nonce(fake, 0), nonce + 1000);
    drain_requests(fake);
    reply_result(fake, 0, 77, nonce + 1000, "");
    assert_int_equal(expect_event(fake, TACIT_CLIENT_OPENED, 5).session, session);
    // The next one counts on from there; a group that refuses all is given up.
    assert_int_equal(tacit_client_session_open(fake->client, 6, 0, &session), TACIT_OK);
    for (uint32_t i = 1; i <= 17; i++) {
        struct tacit_wire_request request;
        assert_true(take_request(fake, 0, &request));
        drain_requests(fake);
        assert_int_equal(request.number, nonce + 1000 + i);
        reply_kind(fake, 0, TACIT_REPLY_CLOSED, 0, request.number, NOBODY);
        if (i < 17) {
            expect_quiet(fake);
        }
    }
    assert_int_equal(expect_event(fake, TACIT_CLIENT_CLOSED, 6).status, TACIT_ECLOSED);
    fake_close(fake);
}

static void submit__keeps_to_the_window_and_the_limits(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t one = opened_as(fake, 1, 70);
    uint32_t two = opened_as(fake, 1, 71);
    char big[66] = {0};
    memset(big, 'x', 65);
    assert_int_equal(submit(fake, one, big, 1), TACIT_ETOOBIG);
    assert_int_equal(submit(fake, 12345, "a", 1), TACIT_ECLOSED);
    for (uint64_t i = 1; i <= 4; i++) {
        assert_int_equal(submit(fake, one, "a", i), TACIT_OK);
    }
    assert_int_equal(submit(fake, one, "a", 9), TACIT_EBUSY);
    // Answers in any order; the window moves with the oldest only.
    reply_result(fake, 1, 70, 3, "");
    reply_result(fake, 1, 70, 2, "");
    expect_event(fake, TACIT_CLIENT_RESULT, 3);
    expect_event(fake, TACIT_CLIENT_RESULT, 2);
    assert_int_equal(submit(fake, one, "a", 9), TACIT_EBUSY);
    reply_result(fake, 1, 70, 1, "");
    expect_event(fake, TACIT_CLIENT_RESULT, 1);
    for (uint64_t i = 5; i <= 7; i++) {
        assert_int_equal(submit(fake, one, "a", i), TACIT_OK);
    }
    // As many outstanding as the ring has slots, over all sessions.
    for (uint64_t i = 1; i <= 4; i++) {
        assert_int_equal(submit(fake, two, "b", 100 + i), TACIT_OK);
    }
    assert_int_equal(tacit_client_outstanding(fake->client), 8);
    uint32_t three;
    assert_int_equal(tacit_client_session_open(fake->client, 1, 0, &three), TACIT_EBUSY);
    reply_result(fake, 1, 71, 1, "");
    expect_event(fake, TACIT_CLIENT_RESULT, 101);
    assert_int_equal(tacit_client_session_open(fake->client, 1, 0, &three), TACIT_OK);
    assert_int_equal(tacit_client_session_open(fake->client, 1, 0, &three), TACIT_EBUSY);
    fake_close(fake);
}

static void request__goes_to_all_after_the_time_out_and_backs_off(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 2, 70);
    fake->now = 10 * MS;
    assert_int_equal(submit(fake, session, "a", 1), TACIT_OK);
    expect_request(fake, 2, TACIT_REQUEST_APPLY, 1);
    tacit_time_ns_t wait = 2 * MS;
    for (uint32_t round = 0; round < 8; round++) {
        tacit_time_ns_t due = fake->now + wait;
        assert_int_equal(tacit_client_deadline(fake->client), due);
        fake->now = due - 1;
        expect_quiet(fake);
        expect_no_request(fake, 2);
        fake->now = due;
        expect_quiet(fake);
        for (uint32_t i = 0; i < REPLICAS; i++) {
            expect_request(fake, i, TACIT_REQUEST_APPLY, 1);
            expect_no_request(fake, i);
        }
        wait = 2 * wait > 50 * MS ? 50 * MS : 2 * wait;
    }
    assert_int_equal(tacit_client_leader(fake->client, NULL), TACIT_NODE_NONE);
    assert_int_equal(tacit_client_counters(fake->client)->time_outs, 8);
    reply_result(fake, 0, 70, 1, "x");
    reply_result(fake, 1, 70, 1, "y");
    expect_event(fake, TACIT_CLIENT_RESULT, 1);
    expect_quiet(fake);
    assert_int_equal(tacit_client_counters(fake->client)->duplicates, 1);
    fake_close(fake);
}

static void time_out__grows_with_round_trips(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 2, 70);
    for (uint64_t i = 1; i <= 60; i++) {
        assert_int_equal(submit(fake, session, "a", i), TACIT_OK);
        fake->now += 10 * MS; // without a poll between
        reply_result(fake, 2, 70, i, "");
        expect_event(fake, TACIT_CLIENT_RESULT, i);
    }
    assert_int_equal(submit(fake, session, "a", 61), TACIT_OK);
    tacit_time_ns_t wait = tacit_client_deadline(fake->client) - fake->now;
    assert_in_range(wait, 9 * MS, 20 * MS);
    fake_close(fake);
}

static void down__of_the_leader_resends_at_once_to_the_others(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    assert_int_equal(submit(fake, session, "a", 1), TACIT_OK);
    assert_int_equal(submit(fake, session, "b", 2), TACIT_OK);
    fake->now += 10 * US;
    link_down(fake, 0);
    expect_quiet(fake);
    for (uint32_t i = 1; i < REPLICAS; i++) {
        expect_request(fake, i, TACIT_REQUEST_APPLY, 1);
        expect_request(fake, i, TACIT_REQUEST_APPLY, 2);
    }
    assert_int_equal(tacit_client_counters(fake->client)->fail_overs, 1);
    // Nobody leads yet: both are asked again soon, less often after a while, until one leads.
    tacit_time_ns_t last = fake->now;
    tacit_time_ns_t pause = 0;
    for (uint32_t round = 0; round < 40; round++) {
        for (uint32_t i = 1; i < REPLICAS; i++) {
            reply_kind(fake, i, TACIT_REPLY_HINT, 70, 1, round % 2 == 0 ? NOBODY : 0);
            reply_kind(fake, i, TACIT_REPLY_HINT, 70, 2, NOBODY);
        }
        expect_quiet(fake);
        tacit_time_ns_t due = tacit_client_deadline(fake->client);
        pause = due - last;
        if (round < 8) {
            assert_int_equal(pause, 100 * US);
        }
        assert_true(pause <= 2 * MS);
        last = fake->now = due;
        expect_quiet(fake);
        for (uint32_t i = 1; i < REPLICAS; i++) {
            expect_request(fake, i, TACIT_REQUEST_APPLY, 1);
            expect_request(fake, i, TACIT_REQUEST_APPLY, 2);
            expect_no_request(fake, i);
        }
    }
    assert_true(pause > 1 * MS);
    reply_result(fake, 2, 70, 2, "");
    reply_result(fake, 2, 70, 1, "");
    expect_event(fake, TACIT_CLIENT_RESULT, 2);
    expect_event(fake, TACIT_CLIENT_RESULT, 1);
    assert_int_equal(tacit_client_leader(fake->client, NULL), 2);
    fake_close(fake);
}

static void down__of_a_follower_changes_nothing(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    assert_int_equal(submit(fake, session, "a", 1), TACIT_OK);
    expect_request(fake, 0, TACIT_REQUEST_APPLY, 1);
    link_down(fake, 1);
    expect_quiet(fake);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        expect_no_request(fake, i);
    }
    assert_int_equal(tacit_client_leader(fake->client, NULL), 0);
    fake_close(fake);
}

// The leader is stopped and the others do not know yet: they answer, so asking them again costs
// little, and one of them will lead soon.
static void silent_leader__is_not_waited_for_longer_while_others_answer(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    assert_int_equal(submit(fake, session, "a", 1), TACIT_OK);
    tacit_time_ns_t first = tacit_client_deadline(fake->client) - fake->now;
    for (uint32_t round = 0; round < 12; round++) {
        tacit_time_ns_t due = tacit_client_deadline(fake->client);
        assert_true(due - fake->now <= 2 * first + first / 2);
        fake->now = due;
        expect_quiet(fake);
        for (uint32_t i = 1; i < REPLICAS; i++) {
            reply_kind(fake, i, TACIT_REPLY_HINT, 70, 1, 0);
        }
        expect_quiet(fake);
    }
    fake_close(fake);
}

static void hint__is_followed_once(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    assert_int_equal(submit(fake, session, "a", 1), TACIT_OK);
    expect_request(fake, 0, TACIT_REQUEST_APPLY, 1);
    reply_kind(fake, 0, TACIT_REPLY_HINT, 70, 1, 1);
    expect_quiet(fake);
    expect_request(fake, 1, TACIT_REQUEST_APPLY, 1);
    assert_int_equal(tacit_client_leader(fake->client, NULL), 1);
    // Each says that it is the other: no bouncing, but a new round after the pause.
    reply_kind(fake, 1, TACIT_REPLY_HINT, 70, 1, 0);
    expect_quiet(fake);
    expect_no_request(fake, 0);
    expect_no_request(fake, 1);
    assert_int_equal(tacit_client_deadline(fake->client), fake->now + 100 * US);
    fake->now += 100 * US;
    expect_quiet(fake);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        expect_request(fake, i, TACIT_REQUEST_APPLY, 1);
    }
    // Hints about nothing outstanding, from or to nonsense, are ignored.
    reply_kind(fake, 1, TACIT_REPLY_HINT, 70, 9, 2);
    reply_kind(fake, 1, TACIT_REPLY_HINT, 71, 1, 2);
    reply_kind(fake, 1, TACIT_REPLY_HINT, 70, 1, 1);
    reply_kind(fake, 1, TACIT_REPLY_HINT, 70, 1, TACIT_REPLICAS_MAX - 1);
    expect_quiet(fake);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        expect_no_request(fake, i);
    }
    fake_close(fake);
}

// Whoever says that it leads from now on gets what waits, unless that is in its ring.
static void new_leader__gets_what_waits_at_once(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    assert_int_equal(submit(fake, session, "a", 1), TACIT_OK);
    expect_request(fake, 0, TACIT_REQUEST_APPLY, 1);
    fake->now += 1 * MS; // replica 0 has stopped
    reply_kind(fake, 2, TACIT_REPLY_HINT, 0, 0, 2);
    expect_quiet(fake);
    expect_request(fake, 2, TACIT_REQUEST_APPLY, 1);
    expect_no_request(fake, 0);
    expect_no_request(fake, 1);
    assert_int_equal(tacit_client_leader(fake->client, NULL), 2);
    fake->now += 1 * MS; // the first time-out counts no more
    expect_quiet(fake);
    expect_no_request(fake, 2);
    assert_int_equal(tacit_client_deadline(fake->client), fake->now + 1 * MS);
    reply_kind(fake, 2, TACIT_REPLY_HINT, 0, 0, 2); // it has it
    expect_quiet(fake);
    expect_no_request(fake, 2);
    // It said no before, and leads now.
    reply_kind(fake, 2, TACIT_REPLY_HINT, 70, 1, 0);
    expect_quiet(fake);
    reply_kind(fake, 2, TACIT_REPLY_HINT, 0, 0, 2);
    expect_quiet(fake);
    expect_request(fake, 2, TACIT_REQUEST_APPLY, 1);
    reply_result(fake, 2, 70, 1, "");
    expect_event(fake, TACIT_CLIENT_RESULT, 1);
    reply_kind(fake, 1, TACIT_REPLY_HINT, 0, 0, 1); // nothing waits: the next goes there
    expect_quiet(fake);
    expect_no_request(fake, 1);
    assert_int_equal(submit(fake, session, "b", 2), TACIT_OK);
    expect_request(fake, 1, TACIT_REQUEST_APPLY, 2);
    fake_close(fake);
}

static void repeated_open_answer__is_not_taken_for_request_one(void **state)
{
    (void)state;
    struct tacit_client_config config = small_config();
    config.first_nonce = 1;
    struct fake *fake = fake_open(config);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        link_up(fake, i);
    }
    uint32_t session;
    expect_quiet(fake);
    assert_int_equal(tacit_client_session_open(fake->client, 5, 0, &session), TACIT_OK);
    uint64_t nonce = open_nonce(fake, 0);
    reply_result(fake, 0, 70, nonce, "");
    expect_event(fake, TACIT_CLIENT_OPENED, 5);
    assert_int_equal(submit(fake, session, "a", 1), TACIT_OK);
    reply_result(fake, 0, 70, nonce, "");
    expect_quiet(fake);
    assert_int_equal(tacit_client_counters(fake->client)->duplicates, 1);
    reply_result(fake, 0, 70, 1, "real");
    struct tacit_client_event event = expect_event(fake, TACIT_CLIENT_RESULT, 1);
    assert_int_equal(event.body_bytes, 4);
    fake_close(fake);
}

static void closed__fails_what_is_outstanding_oldest_first(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(submit(fake, session, "a", i), TACIT_OK);
    }
    reply_kind(fake, 0, TACIT_REPLY_CLOSED, 70, 2, NOBODY);
    for (uint64_t i = 1; i <= 3; i++) {
        struct tacit_client_event event = expect_event(fake, TACIT_CLIENT_RESULT, i);
        assert_int_equal(event.status, TACIT_ECLOSED);
        assert_int_equal(event.number, i);
        assert_int_equal(submit(fake, session, "a", 9), TACIT_ECLOSED);
    }
    struct tacit_client_event event = expect_event(fake, TACIT_CLIENT_CLOSED, 70);
    assert_int_equal(event.status, TACIT_ECLOSED);
    assert_int_equal(event.session, session);
    expect_quiet(fake);
    assert_int_equal(tacit_client_session_close(fake->client, session, 0), TACIT_ECLOSED);
    // The same table entry again, under a handle that the old one does not match.
    uint32_t again = opened_as(fake, 0, 90);
    assert_int_not_equal(again, session);
    assert_int_equal(submit(fake, session, "a", 9), TACIT_ECLOSED);
    assert_int_equal(submit(fake, again, "a", 9), TACIT_OK);
    fake_close(fake);
}

static void stale_and_too_big__are_told_apart(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(submit(fake, session, "a", i), TACIT_OK);
    }
    reply_kind(fake, 0, TACIT_REPLY_STALE, 70, 1, 0);
    reply_kind(fake, 0, TACIT_REPLY_TOO_BIG, 70, 2, 0);
    assert_int_equal(expect_event(fake, TACIT_CLIENT_RESULT, 1).status, TACIT_ENOENT);
    assert_int_equal(expect_event(fake, TACIT_CLIENT_RESULT, 2).status, TACIT_ETOOBIG);
    assert_int_equal(expect_event(fake, TACIT_CLIENT_RESULT, 3).status, TACIT_ECLOSED);
    assert_int_equal(expect_event(fake, TACIT_CLIENT_CLOSED, 70).status, TACIT_ETOOBIG);
    fake_close(fake);
}

static void close__waits_for_answers_and_is_repeated(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    assert_int_equal(submit(fake, session, "a", 1), TACIT_OK);
    expect_request(fake, 0, TACIT_REQUEST_APPLY, 1);
    assert_int_equal(tacit_client_session_close(fake->client, session, fake->now), TACIT_OK);
    assert_int_equal(tacit_client_session_close(fake->client, session, fake->now), TACIT_OK);
    assert_int_equal(submit(fake, session, "b", 2), TACIT_ECLOSED);
    expect_quiet(fake);
    expect_no_request(fake, 0);
    reply_result(fake, 0, 70, 1, "");
    expect_event(fake, TACIT_CLIENT_RESULT, 1);
    expect_request(fake, 0, TACIT_REQUEST_CLOSE, 2);
    fake->now = tacit_client_deadline(fake->client);
    expect_quiet(fake);
    expect_request(fake, 1, TACIT_REQUEST_CLOSE, 2);
    // The first CLOSE was executed; the repetition finds no session any more.
    reply_kind(fake, 1, TACIT_REPLY_CLOSED, 70, 2, 1);
    assert_int_equal(expect_event(fake, TACIT_CLIENT_CLOSED, 70).status, TACIT_OK);
    expect_quiet(fake);
    assert_int_equal(tacit_client_outstanding(fake->client), 0);

    // close() before OPENED.
    assert_int_equal(tacit_client_session_open(fake->client, 8, fake->now, &session), TACIT_OK);
    assert_int_equal(tacit_client_session_close(fake->client, session, fake->now), TACIT_OK);
    assert_int_equal(submit(fake, session, "b", 2), TACIT_ECLOSED);
    struct tacit_wire_request request = {0};
    while (request.kind != TACIT_REQUEST_OPEN) {
        assert_true(take_request(fake, 1, &request));
    }
    reply_result(fake, 1, 99, request.number, "");
    expect_event(fake, TACIT_CLIENT_OPENED, 8);
    expect_request(fake, 1, TACIT_REQUEST_CLOSE, 1);
    reply_result(fake, 1, 99, 1, "");
    assert_int_equal(expect_event(fake, TACIT_CLIENT_CLOSED, 8).status, TACIT_OK);
    fake_close(fake);
}

static void up__restarts_the_rings_and_brings_what_waits(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(submit(fake, session, "a", i), TACIT_OK);
    }
    for (uint32_t i = 0; i < REPLICAS; i++) {
        link_down(fake, i);
    }
    expect_quiet(fake);
    assert_int_equal(submit(fake, session, "a", 4), TACIT_OK);
    link_up(fake, 1);
    expect_quiet(fake);
    for (uint64_t i = 1; i <= 4; i++) {
        expect_request(fake, 1, TACIT_REQUEST_APPLY, i); // sequence numbers from 1 again
    }
    reply_result(fake, 1, 70, 2, "");
    expect_event(fake, TACIT_CLIENT_RESULT, 2);
    // Down and up again before anybody polled.
    link_down(fake, 1);
    link_up(fake, 1);
    expect_quiet(fake);
    expect_request(fake, 1, TACIT_REQUEST_APPLY, 1);
    expect_request(fake, 1, TACIT_REQUEST_APPLY, 3);
    expect_request(fake, 1, TACIT_REQUEST_APPLY, 4);
    expect_no_request(fake, 1);
    fake_close(fake);
}

static void regions__may_be_announced_late(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session;
    link_up(fake, 1);
    fake->replicas[1].announced = false;
    expect_quiet(fake);
    assert_int_equal(tacit_client_session_open(fake->client, 5, 0, &session), TACIT_OK);
    expect_quiet(fake);
    fake->replicas[1].announced = true;
    queue_event(fake, TACIT_EVENT_REGIONS, 1, false);
    expect_quiet(fake);
    uint64_t nonce = open_nonce(fake, 1);
    reply_result(fake, 1, 70, nonce, "");
    expect_event(fake, TACIT_CLIENT_OPENED, 5);
    fake_close(fake);
}

static void refused_post__leaves_no_hole_in_the_ring(void **state)
{
    (void)state;
    struct tacit_client_config config = small_config();
    config.request_bytes = 200000; // several posts
    struct fake *fake = fake_open(config);
    uint32_t session = opened_as(fake, 0, 70);
    char *body = malloc(200000);
    assert_non_null(body);
    memset(body, 'q', 200000);
    // A message takes 4 posts. Two tries at the leader fail, one of them in the middle.
    for (uint32_t i = 0; i < 4; i++) {
        body[0] = (char)i;
        fake->refuse_after = i;
        fake->refuse = 2;
        assert_int_equal(tacit_client_submit(fake->client, session, body, 200000, i, 0), TACIT_OK);
        assert_int_equal(fake->refuse, 0);
        if (i == 0) {
            expect_no_request(fake, 0);
        }
    }
    fake->now = tacit_client_deadline(fake->client);
    expect_quiet(fake);
    uint32_t seen = 0;
    struct tacit_wire_request request;
    while (take_request(fake, 0, &request)) {
        body[0] = (char)(request.number - 1);
        assert_int_equal(request.body_bytes, 200000);
        assert_memory_equal(request.body, body, 200000);
        seen |= 1u << request.number;
    }
    assert_int_equal(seen, 0x1e);
    assert_int_equal(fake->replicas[0].reader.lost, 0);
    assert_int_equal(tacit_client_counters(fake->client)->refused, 8);
    free(body);
    fake_close(fake);
}

static void malformed_replies__are_counted_and_skipped(void **state)
{
    (void)state;
    struct fake *fake = fake_open(small_config());
    uint32_t session = opened_as(fake, 0, 70);
    assert_int_equal(submit(fake, session, "a", 1), TACIT_OK);
    reply_kind(fake, 0, 9, 70, 1, 0);
    reply_kind(fake, 0, TACIT_REPLY_RESULT, 70, 1, 77);
    reply_result(fake, 0, 70, 1, "ok");
    expect_event(fake, TACIT_CLIENT_RESULT, 1);
    assert_int_equal(tacit_client_counters(fake->client)->malformed, 2);
    fake_close(fake);
}

static void config__is_checked(void **state)
{
    (void)state;
    struct tacit_error error;
    for (uint32_t i = 0; i < 9; i++) {
        struct tacit_client_config config = small_config();
        config.draw = draw_zero;
        assert_int_equal(tacit_client_config_check(&config, &error), TACIT_OK);
        config.replicas = i == 0 ? 0 : i == 1 ? TACIT_REPLICAS_MAX + 1 : config.replicas;
        config.request_bytes = i == 2 ? 0 : config.request_bytes;
        config.reply_bytes = i == 3 ? UINT32_MAX : config.reply_bytes;
        config.ring_slots = i == 4 ? 0 : config.ring_slots;
        config.sessions = i == 5 ? 0 : config.sessions;
        config.pipeline = i == 6 ? 0 : config.pipeline;
        config.retry_ns = i == 7 ? 2 : 0;
        config.retry_max_ns = i == 7 ? 1 : 0;
        config.draw = i == 8 ? NULL : config.draw;
        error.text[0] = 0;
        assert_int_equal(tacit_client_config_check(&config, &error), TACIT_EINVAL);
        assert_true(strlen(error.text) > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open__asks_all_and_then_the_one_that_answered),
        cmocka_unit_test(open__that_was_overtaken_is_tried_with_another_nonce),
        cmocka_unit_test(submit__keeps_to_the_window_and_the_limits),
        cmocka_unit_test(request__goes_to_all_after_the_time_out_and_backs_off),
        cmocka_unit_test(time_out__grows_with_round_trips),
        cmocka_unit_test(down__of_the_leader_resends_at_once_to_the_others),
        cmocka_unit_test(down__of_a_follower_changes_nothing),
        cmocka_unit_test(silent_leader__is_not_waited_for_longer_while_others_answer),
        cmocka_unit_test(hint__is_followed_once),
        cmocka_unit_test(new_leader__gets_what_waits_at_once),
        cmocka_unit_test(repeated_open_answer__is_not_taken_for_request_one),
        cmocka_unit_test(closed__fails_what_is_outstanding_oldest_first),
        cmocka_unit_test(stale_and_too_big__are_told_apart),
        cmocka_unit_test(close__waits_for_answers_and_is_repeated),
        cmocka_unit_test(up__restarts_the_rings_and_brings_what_waits),
        cmocka_unit_test(regions__may_be_announced_late),
        cmocka_unit_test(refused_post__leaves_no_hole_in_the_ring),
        cmocka_unit_test(malformed_replies__are_counted_and_skipped),
        cmocka_unit_test(config__is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
