// SPDX-License-Identifier: Apache-2.0
//
// The client in Byzantine mode (n = 3, f = 1): what counts as an answer, what a lying replica can
// and cannot do, signatures and bodies that come late, and random runs with a liar. Rules with a
// seeded bug are scenarios that hold without it and must not hold with it.
//
// TACIT_SEEDED: yes
#include "tests/support/client_fake.h"

#include "choice/choice.h"
#include "core/base/bug.h"
#include "core/byzantine/payload.h"
#include "sim/sim_signer.h"

enum { CLIENT = 7, BODY = 256 };

static struct sim_signer_world world;
static struct sim_signer signer;

static struct tacit_client_config byzantine_config(void)
{
    struct tacit_client_config config = small_config();
    sim_signer_world_init(&world, 1, REPLICAS, CLIENT + 1);
    sim_signer_open(&signer, &world,
                    &(struct sim_signer_config){.self = TACIT_SIGNER_CLIENT + CLIENT,
                                                .workers = 1,
                                                .depth = 8,
                                                .sign_ns = 30 * US,
                                                .verify_ns = 60 * US});
    config.byzantine = true;
    config.reply_bytes = BODY;
    config.faults = 1;
    config.client_id = CLIENT;
    config.signer = &signer.signer;
    return config;
}

static void advance(struct fake *fake, tacit_time_ns_t by_ns)
{
    fake->now += by_ns;
    sim_signer_advance(&signer, fake->now);
}

static void say(struct fake *fake, uint32_t replica, uint64_t session, uint64_t number,
                uint64_t index, const char *body)
{
    reply(fake, replica,
          (struct tacit_wire_reply){.kind = TACIT_REPLY_RESULT,
                                    .leader = NOBODY,
                                    .session = session,
                                    .number = number,
                                    .index = index,
                                    .body = (const uint8_t *)body,
                                    .body_bytes = (uint32_t)strlen(body)});
}

static void say_digest(struct fake *fake, uint32_t replica, uint64_t session, uint64_t number,
                       uint64_t index, const char *body)
{
    struct tacit_digest digest;
    tacit_body_digest(&digest, body, strlen(body));
    reply(fake, replica,
          (struct tacit_wire_reply){.kind = TACIT_REPLY_RESULT_DIGEST,
                                    .leader = NOBODY,
                                    .session = session,
                                    .number = number,
                                    .index = index,
                                    .body = digest.bytes,
                                    .body_bytes = TACIT_DIGEST_BYTES});
}

// All up, a session is open.
static uint32_t open_session(struct fake *fake, uint64_t id)
{
    uint32_t session;
    uint32_t up;
    (void)tacit_client_leader(fake->client, &up);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        if ((up >> i & 1) == 0) {
            link_up(fake, i);
        }
    }
    expect_quiet(fake);
    assert_int_equal(tacit_client_session_open(fake->client, id, fake->now, &session), TACIT_OK);
    uint64_t nonce = open_nonce(fake, 0);
    drain_requests(fake);
    say(fake, 0, id, nonce, 9, "");
    expect_quiet(fake);
    say(fake, 2, id, nonce, 0, ""); // a repetition does not know its slot any more
    struct tacit_client_event event = expect_event(fake, TACIT_CLIENT_OPENED, id);
    assert_int_equal(event.wire_session, id);
    return session;
}

static bool take_flags(struct fake *fake, uint32_t replica, uint64_t number, uint8_t *flags)
{
    struct tacit_wire_request request;
    if (!take_request(fake, replica, &request)) {
        return false;
    }
    assert_int_equal(request.number, number);
    *flags = request.flags;
    if ((request.flags & TACIT_REQUEST_SIGNED) != 0) {
        struct tacit_digest digest;
        uint8_t payload[TACIT_SIGN_PAYLOAD_MAX];
        struct tacit_signature signature;
        tacit_body_digest(&digest, request.body, request.body_bytes);
        uint32_t bytes = tacit_statement_request(payload, CLIENT, request.session, request.number,
                                                 request.kind, &digest);
        memcpy(signature.bytes, request.signature, sizeof signature.bytes);
        assert_true(sim_signer_is_valid(&world, TACIT_SIGNER_CLIENT + CLIENT, TACIT_DOMAIN_REQUEST,
                                        payload, bytes, &signature));
    }
    return true;
}

static void expect_flags(struct fake *fake, uint32_t replica, uint64_t number, uint8_t wanted)
{
    uint8_t flags = 0;
    assert_true(take_flags(fake, replica, number, &flags));
    assert_int_equal(flags, wanted);
}

static void expect_flags_all(struct fake *fake, uint64_t number, uint8_t wanted)
{
    for (uint32_t i = 0; i < REPLICAS; i++) {
        expect_flags(fake, i, number, wanted);
        expect_no_request(fake, i);
    }
}

static void expect_result(struct fake *fake, uint64_t token, uint64_t index, const char *body)
{
    struct tacit_client_event event = expect_event(fake, TACIT_CLIENT_RESULT, token);
    assert_int_equal(event.status, TACIT_OK);
    assert_int_equal(event.index, index);
    assert_int_equal(event.body_bytes, strlen(body));
    assert_memory_equal(event.body, body, strlen(body));
}

static const char long_body[] = "a body that is longer than the digest of a body";

// ---- what counts
// ---------------------------------------------------------------------------------------

// One session, its request 1 (designated replier: 1) sent.
static struct fake *asked(uint32_t *session)
{
    struct fake *fake = fake_open(byzantine_config());
    *session = open_session(fake, 70);
    assert_int_equal(submit(fake, *session, "a", 1), TACIT_OK);
    expect_flags_all(fake, 1, 0);
    return fake;
}

static enum tacit_bug bug_wanted; // switched on for the decisive moment only

static void switch_bug(enum tacit_bug bug)
{
#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
    tacit_seeded_bug = bug;
#else
    (void)bug;
#endif
}

static bool answered(struct fake *fake)
{
    struct tacit_client_event event;
    switch_bug(bug_wanted);
    bool any = poll_once(fake, &event);
    switch_bug(TACIT_BUG_NONE);
    fake_close(fake);
    return any;
}

static bool holds__one_replica_is_not_enough(void)
{
    uint32_t session;
    struct fake *fake = asked(&session);
    say(fake, 1, 70, 1, 5, "lie");
    return !answered(fake);
}

static bool holds__a_repetition_is_no_second_vote(void)
{
    uint32_t session;
    struct fake *fake = asked(&session);
    for (uint32_t i = 0; i < 5; i++) {
        say(fake, 1, 70, 1, 5, "lie");
    }
    return !answered(fake);
}

static bool holds__slots_have_to_agree(void)
{
    uint32_t session;
    struct fake *fake = asked(&session);
    say(fake, 1, 70, 1, 5, "same");
    say(fake, 2, 70, 1, 6, "same");
    return !answered(fake);
}

static bool holds__a_body_needs_its_digest(void)
{
    uint32_t session;
    struct fake *fake = asked(&session);
    say(fake, 1, 70, 1, 5, "a lie that is longer than the digest of a body is");
    expect_quiet(fake);
    say_digest(fake, 0, 70, 1, 5, long_body);
    say_digest(fake, 2, 70, 1, 5, long_body);
    return !answered(fake);
}

// Eight requests are late: the half of them is signed, the others wait for their second time-out
// without a word, for their third unsigned; then they are signed, too.
static bool holds__few_are_signed_at_a_time(void)
{
    struct fake *fake = fake_open(byzantine_config());
    uint32_t sessions[2] = {open_session(fake, 70), open_session(fake, 71)};
    drain_requests(fake);
    switch_bug(bug_wanted);
    for (uint64_t i = 0; i < 8; i++) {
        assert_int_equal(submit(fake, sessions[i % 2], "a", i), TACIT_OK);
    }
    advance(fake, 2 * MS);
    expect_quiet(fake);
    advance(fake, MS);
    expect_quiet(fake);
    bool kept = tacit_client_counters(fake->client)->signatures == 4;
    for (uint32_t round = 0; round < 20; round++) {
        drain_requests(fake);
        advance(fake, 2 * MS);
        expect_quiet(fake);
    }
    switch_bug(TACIT_BUG_NONE);
    assert_int_equal(tacit_client_counters(fake->client)->signatures, 8);
    fake_close(fake);
    return kept;
}

// Where one in eight answers takes 3 ms none is late but the first of these.
static bool holds__slow_answers_are_waited_for(void)
{
    uint32_t session;
    struct fake *fake = asked(&session);
    switch_bug(bug_wanted);
    for (uint64_t number = 1; number <= 40; number++) {
        advance(fake, number % 8 == 1 ? 3 * MS : 100 * US);
        expect_quiet(fake);
        drain_requests(fake);
        say(fake, 0, 70, number, number, "x");
        say(fake, 2, 70, number, number, "x");
        expect_result(fake, number, number, "x");
        assert_int_equal(submit(fake, session, "a", number + 1), TACIT_OK);
    }
    switch_bug(TACIT_BUG_NONE);
    bool kept = tacit_client_counters(fake->client)->time_outs == 1;
    fake_close(fake);
    return kept;
}

// Two have answered after 1 ms, and the body does not come: half as long, then all are asked for
// it, without a signature.
static bool holds__a_body_is_asked_for_soon(void)
{
    uint32_t session;
    struct fake *fake = asked(&session);
    switch_bug(bug_wanted);
    advance(fake, MS);
    say_digest(fake, 0, 70, 1, 5, long_body);
    say_digest(fake, 2, 70, 1, 5, long_body);
    expect_quiet(fake);
    advance(fake, 400 * US);
    expect_quiet(fake);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        expect_no_request(fake, i);
    }
    advance(fake, 200 * US);
    expect_quiet(fake);
    switch_bug(TACIT_BUG_NONE);
    uint8_t flags = 0;
    bool kept = take_flags(fake, 0, 1, &flags) && flags == TACIT_REQUEST_FULL;
    fake_close(fake);
    return kept;
}

// A client whose answers take long is asked for one request after the other: it signs the second
// one when it may again, not when its patience ends.
static bool holds__who_is_asked_again_signs_soon(void)
{
    uint32_t session;
    struct fake *fake = asked(&session);
    switch_bug(bug_wanted);
    advance(fake, 3 * MS);
    expect_quiet(fake);
    say(fake, 0, 70, 1, 1, "x");
    say(fake, 2, 70, 1, 1, "x");
    expect_result(fake, 1, 1, "x");
    for (uint64_t i = 2; i <= 4; i++) {
        assert_int_equal(submit(fake, session, "a", i), TACIT_OK);
    }
    drain_requests(fake);
    for (uint64_t i = 2; i <= 4; i++) {
        reply_kind(fake, 2, TACIT_REPLY_SIGN, 70, i, NOBODY);
    }
    expect_quiet(fake);
    advance(fake, 100 * US);
    expect_quiet(fake);
    expect_flags_all(fake, 2, TACIT_REQUEST_SIGNED);
    advance(fake, 2 * MS);
    expect_quiet(fake);
    advance(fake, 100 * US);
    expect_quiet(fake);
    switch_bug(TACIT_BUG_NONE);
    uint8_t flags = 0;
    bool kept = take_flags(fake, 0, 3, &flags) && flags == TACIT_REQUEST_SIGNED;
    drain_requests(fake);
    assert_int_equal(tacit_client_counters(fake->client)->signatures, kept ? 2 : 1);
    fake_close(fake);
    return kept;
}

static void rules__hold_and_their_bugs_are_seen(void **state)
{
    (void)state;
    static const struct {
        bool (*holds)(void);
        enum tacit_bug bug;
    } rules[] = {
        {holds__one_replica_is_not_enough, TACIT_BUG_CLIENT_F_REPLIES},
        {holds__a_repetition_is_no_second_vote, TACIT_BUG_CLIENT_REPLY_TWICE},
        {holds__slots_have_to_agree, TACIT_BUG_CLIENT_INDEX_IGNORED},
        {holds__a_body_needs_its_digest, TACIT_BUG_CLIENT_BODY_UNCHECKED},
        {holds__few_are_signed_at_a_time, TACIT_BUG_CLIENT_SIGNS_ALL},
        {holds__slow_answers_are_waited_for, TACIT_BUG_PATIENCE_AS_CONFIGURED},
        {holds__a_body_is_asked_for_soon, TACIT_BUG_BODY_WAITED_FOR},
        {holds__who_is_asked_again_signs_soon, TACIT_BUG_ASKED_TOO_SOON},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        assert_true(rules[i].holds());
#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
        bug_wanted = rules[i].bug;
        bool seen = !rules[i].holds();
        bug_wanted = TACIT_BUG_NONE;
        assert_true(seen);
#endif
    }
}

static void answer__takes_a_body_and_a_digest_in_any_order(void **state)
{
    (void)state;
    for (uint32_t order = 0; order < 6; order++) {
        uint32_t session;
        struct fake *fake = asked(&session);
        uint32_t first = order / 2;
        uint32_t second = (first + 1 + order % 2) % REPLICAS;
        const uint32_t who[] = {first, second, 3 - first - second};
        bool done = false;
        for (uint32_t i = 0; i < REPLICAS; i++) {
            if (who[i] == 1) {
                say(fake, 1, 70, 1, 5, long_body);
            } else {
                say_digest(fake, who[i], 70, 1, 5, long_body);
            }
            bool body = who[0] == 1 || (i >= 1 && who[1] == 1) || i == 2;
            if (!done && i >= 1 && body) {
                expect_result(fake, 1, 5, long_body);
                done = true;
            }
            expect_quiet(fake);
        }
        assert_true(done);
        assert_int_equal(tacit_client_outstanding(fake->client), 0);
        assert_int_equal(tacit_client_leader(fake->client, NULL), TACIT_NODE_NONE);
        fake_close(fake);
    }
}

static void vote__newer_replaces_older(void **state)
{
    (void)state;
    uint32_t session;
    struct fake *fake = asked(&session);
    say(fake, 0, 70, 1, 5, "x");
    expect_quiet(fake);
    say(fake, 0, 70, 1, 5, "y");
    say(fake, 2, 70, 1, 5, "x"); // replica 0 stands for y now
    expect_quiet(fake);
    say(fake, 1, 70, 1, 5, "y");
    expect_result(fake, 1, 5, "y");
    assert_int_equal(tacit_client_counters(fake->client)->changed, 1);
    fake_close(fake);
}

static void refusals__need_a_quorum(void **state)
{
    (void)state;
    static const uint8_t kinds[] = {TACIT_REPLY_CLOSED, TACIT_REPLY_STALE, TACIT_REPLY_TOO_BIG};
    static const enum tacit_status status[] = {TACIT_ECLOSED, TACIT_ENOENT, TACIT_ETOOBIG};
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t session;
        struct fake *fake = asked(&session);
        for (uint32_t k = 0; k < 4; k++) {
            reply_kind(fake, 2, kinds[i], 70, 1, NOBODY);
        }
        reply_kind(fake, 1, kinds[(i + 1) % 3], 70, 1, NOBODY);
        expect_quiet(fake);
        reply(fake, 0, // another slot: where it was refused does not matter
              (struct tacit_wire_reply){
                  .kind = kinds[i], .leader = NOBODY, .session = 70, .number = 1, .index = 44});
        assert_int_equal(expect_event(fake, TACIT_CLIENT_RESULT, 1).status, status[i]);
        fake_close(fake);
    }
}

static void open__needs_equal_sessions(void **state)
{
    (void)state;
    struct fake *fake = fake_open(byzantine_config());
    uint32_t session;
    for (uint32_t i = 0; i < REPLICAS; i++) {
        link_up(fake, i);
    }
    expect_quiet(fake);
    assert_int_equal(tacit_client_session_open(fake->client, 5, 0, &session), TACIT_OK);
    uint64_t nonce = open_nonce(fake, 0);
    say(fake, 0, 70, nonce, 3, "");
    say(fake, 1, 71, nonce, 3, "");
    say(fake, 2, 72, nonce, 3, "not empty");
    say_digest(fake, 2, 71, nonce, 3, "");
    expect_quiet(fake);
    assert_int_equal(tacit_client_counters(fake->client)->malformed, 2);
    say(fake, 2, 71, nonce, 3, "");
    assert_int_equal(expect_event(fake, TACIT_CLIENT_OPENED, 5).wire_session, 71);
    // CLOSE: what a repetition is answered agrees with nothing else, but with itself.
    drain_requests(fake);
    assert_int_equal(tacit_client_session_close(fake->client, session, 0), TACIT_OK);
    say(fake, 0, 71, 1, 4, "");
    reply_kind(fake, 1, TACIT_REPLY_CLOSED, 71, 1, NOBODY);
    expect_quiet(fake);
    reply_kind(fake, 0, TACIT_REPLY_CLOSED, 71, 1, NOBODY);
    assert_int_equal(expect_event(fake, TACIT_CLIENT_CLOSED, 5).status, TACIT_OK);
    fake_close(fake);
}

static void liar__is_counted_and_changes_nothing(void **state)
{
    (void)state;
    uint32_t session;
    struct fake *fake = asked(&session);
    char huge[BODY + 1] = "";
    memset(huge, 'h', BODY);
    for (uint32_t round = 0; round < 8; round++) {
        reply_kind(fake, 2, TACIT_REPLY_HINT, 70, 1, 2);
        say(fake, 2, 71, 1, 5, "stranger's session");
        say(fake, 2, 70, 2, 5, "future");
        say(fake, 2, 70, UINT64_MAX / 2, 5, "future");
        reply_kind(fake, 2, 99, 70, 1, NOBODY);
        reply_kind(fake, 2, TACIT_REPLY_RESULT, 70, 1, 77);
        say(fake, 2, 70, 1, round, huge);
        expect_quiet(fake);
    }
    expect_no_request(fake, 2);
    assert_int_equal(tacit_client_counters(fake->client)->malformed, 16);
    say(fake, 0, 70, 1, 5, "true");
    say(fake, 1, 70, 1, 5, "true");
    expect_result(fake, 1, 5, "true");
    fake_close(fake);
}

// ---- time-outs, signatures, bodies
// ---------------------------------------------------------------------

static void time_out__signs_once_and_sends_that(void **state)
{
    (void)state;
    uint32_t session;
    struct fake *fake = asked(&session);
    advance(fake, 2 * MS);
    expect_quiet(fake); // is being signed
    for (uint32_t i = 0; i < REPLICAS; i++) {
        expect_no_request(fake, i);
    }
    advance(fake, 30 * US);
    expect_quiet(fake);
    expect_flags_all(fake, 1, TACIT_REQUEST_SIGNED);
    for (uint32_t round = 0; round < 4; round++) {
        advance(fake, tacit_client_deadline(fake->client) - fake->now);
        expect_quiet(fake);
        expect_flags_all(fake, 1, TACIT_REQUEST_SIGNED | TACIT_REQUEST_FULL);
    }
    assert_int_equal(tacit_client_counters(fake->client)->signatures, 1);
    assert_int_equal(signer.signer.signatures_made, 1);
    say(fake, 0, 70, 1, 5, long_body);
    say(fake, 2, 70, 1, 5, long_body);
    expect_result(fake, 1, 5, long_body);
    fake_close(fake);
}

static void signature__for_a_record_that_is_gone_is_dropped(void **state)
{
    (void)state;
    uint32_t session;
    struct fake *fake = asked(&session);
    advance(fake, 2 * MS);
    expect_quiet(fake);
    say(fake, 0, 70, 1, 5, "x");
    say(fake, 2, 70, 1, 5, "x");
    expect_result(fake, 1, 5, "x");
    assert_int_equal(submit(fake, session, "b", 2), TACIT_OK); // takes the same record
    expect_flags_all(fake, 2, 0);
    advance(fake, MS);
    expect_quiet(fake);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        expect_no_request(fake, i);
    }
    assert_int_equal(tacit_client_counters(fake->client)->signatures, 0);
    fake_close(fake);
}

static void sign__is_followed_but_not_without_limit(void **state)
{
    (void)state;
    struct fake *fake = fake_open(byzantine_config());
    uint32_t session = open_session(fake, 70);
    for (uint64_t i = 1; i <= 4; i++) {
        assert_int_equal(submit(fake, session, "a", i), TACIT_OK);
    }
    drain_requests(fake);
    for (uint64_t i = 1; i <= 4; i++) {
        reply_kind(fake, 2, TACIT_REPLY_SIGN, 70, i, NOBODY);
    }
    expect_quiet(fake);
    advance(fake, 100 * US);
    expect_quiet(fake);
    expect_flags_all(fake, 1, TACIT_REQUEST_SIGNED); // and nothing of 2 .. 4
    reply_kind(fake, 1, TACIT_REPLY_SIGN, 70, 3, NOBODY);
    expect_quiet(fake);
    advance(fake, 100 * US);
    expect_quiet(fake);
    expect_flags_all(fake, 3, TACIT_REQUEST_SIGNED);
    assert_int_equal(tacit_client_counters(fake->client)->asked, 2);
    fake_close(fake);
}

static void body__that_does_not_come_is_asked_of_all(void **state)
{
    (void)state;
    uint32_t session;
    struct fake *fake = asked(&session);
    say_digest(fake, 0, 70, 1, 5, long_body);
    say_digest(fake, 2, 70, 1, 5, long_body);
    expect_quiet(fake);
    advance(fake, 600 * US);
    expect_quiet(fake);
    expect_flags_all(fake, 1, TACIT_REQUEST_FULL);
    assert_int_equal(tacit_client_counters(fake->client)->time_outs, 0);
    say(fake, 1, 70, 1, 5, "a late lie that is longer than the digest of a body");
    expect_quiet(fake);
    say(fake, 2, 70, 1, 5, long_body);
    expect_result(fake, 1, 5, long_body);
    assert_int_equal(tacit_client_counters(fake->client)->bodies_late, 1);
    // Replica 1 is not relied on for a while: the numbers 4, 7, ... ask all at once.
    uint32_t full = 0;
    for (uint64_t number = 2; number <= 300; number++) {
        assert_int_equal(submit(fake, session, "a", number), TACIT_OK);
        uint8_t flags = 0;
        assert_true(take_flags(fake, 0, number, &flags));
        drain_requests(fake);
        assert_true(flags == 0 || number % REPLICAS == 1);
        full += flags == TACIT_REQUEST_FULL;
        say(fake, 0, 70, number, number, "x");
        say(fake, 2, 70, number, number, "x");
        expect_result(fake, number, number, "x");
    }
    assert_int_equal(full, 64);
    fake_close(fake);
}

static void down_and_up__send_what_is_pending(void **state)
{
    (void)state;
    uint32_t session;
    struct fake *fake = asked(&session);
    assert_int_equal(submit(fake, session, "b", 2), TACIT_OK);
    expect_flags_all(fake, 2, 0);
    link_down(fake, 1);
    expect_quiet(fake);
    // Its body is missing: the others send it; for request 2 nothing changes.
    expect_flags(fake, 0, 1, TACIT_REQUEST_FULL);
    expect_flags(fake, 2, 1, TACIT_REQUEST_FULL);
    expect_no_request(fake, 0);
    for (uint64_t number = 3; number <= 4; number++) {
        assert_int_equal(submit(fake, session, "c", number), TACIT_OK);
        expect_flags(fake, 0, number, number == 4 ? TACIT_REQUEST_FULL : 0);
    }
    link_up(fake, 1);
    expect_quiet(fake);
    for (uint64_t number = 1; number <= 4; number++) {
        uint8_t flags = number % REPLICAS == 1 ? TACIT_REQUEST_FULL : 0;
        expect_flags(fake, 1, number, flags);
    }
    expect_no_request(fake, 1);
    // A vote stays valid when its author goes.
    say(fake, 0, 70, 1, 5, "x");
    expect_quiet(fake);
    link_down(fake, 0);
    expect_quiet(fake);
    say(fake, 2, 70, 1, 5, "x");
    expect_result(fake, 1, 5, "x");
    fake_close(fake);
}

static void config__is_checked(void **state)
{
    (void)state;
    struct tacit_error error;
    for (uint32_t i = 0; i < 5; i++) {
        struct tacit_client_config config = byzantine_config();
        config.draw = draw_zero;
        assert_int_equal(tacit_client_config_check(&config, &error), TACIT_OK);
        config.replicas = i == 0 ? 4 : config.replicas;
        config.faults = i == 1 ? 2 : i == 2 ? 0 : config.faults;
        config.signer = i == 3 ? NULL : config.signer;
        config.client_id = i == 4 ? 0xff00 : config.client_id;
        error.text[0] = 0;
        assert_int_equal(tacit_client_config_check(&config, &error), TACIT_EINVAL);
        assert_true(strlen(error.text) > 20);
    }
}

// ---- random runs
// ---------------------------------------------------------------------------------------

enum { RUN_REQUESTS = 40 };

struct pending {
    uint64_t number;
    bool full;
};

struct run {
    struct fake *fake;
    struct choice choice;
    uint32_t liar;
    struct pending pending[REPLICAS][64];
    uint32_t count[REPLICAS];
    uint64_t nonce;
};

static void result_of(uint64_t number, char body[BODY])
{
    uint32_t length = (uint32_t)(number * 7 % 60 * 4);
    memset(body, 'a' + (int)(number % 26), length);
    body[length] = 0;
}

static void run_lie(struct run *run)
{
    char body[BODY];
    uint64_t number = choice_u32(&run->choice, RUN_REQUESTS + 2);
    uint64_t index = 100 + choice_u32(&run->choice, RUN_REQUESTS);
    result_of(choice_u32(&run->choice, RUN_REQUESTS), body);
    switch (choice_u32(&run->choice, 5)) {
    case 0:
        reply_kind(run->fake, run->liar, (uint8_t)choice_u32(&run->choice, 10), 70, number,
                   (uint8_t)choice_u32(&run->choice, 16));
        break;
    case 1:
        say_digest(run->fake, run->liar, 70, number, index, body);
        break;
    case 2:
        say(run->fake, run->liar, 70 + choice_u32(&run->choice, 2), run->nonce, index, "");
        break;
    default:
        say(run->fake, run->liar, 70, number, 100 + number, body);
        break;
    }
}

// A correct replica answers one of the requests that it got, in any order, or forgets it.
static void run_answer(struct run *run, uint32_t replica)
{
    uint32_t at = choice_u32(&run->choice, run->count[replica]);
    struct pending pending = run->pending[replica][at];
    run->pending[replica][at] = run->pending[replica][--run->count[replica]];
    if (choice_chance(&run->choice, CHOICE_ALWAYS / 10)) {
        return;
    }
    if (pending.number == run->nonce) {
        say(run->fake, replica, 70, run->nonce, 3, "");
        return;
    }
    char body[BODY];
    result_of(pending.number, body);
    if (tacit_wire_reply_is_whole(pending.number, (uint32_t)strlen(body), pending.full,
                                  (tacit_node_t)replica, REPLICAS)) {
        say(run->fake, replica, 70, pending.number, 100 + pending.number, body);
    } else {
        say_digest(run->fake, replica, 70, pending.number, 100 + pending.number, body);
    }
}

static void run_step(struct run *run)
{
    for (uint32_t i = 0; i < REPLICAS; i++) {
        struct tacit_wire_request request;
        while (take_request(run->fake, i, &request)) {
            if (run->count[i] < 64) {
                run->pending[i][run->count[i]++] =
                    (struct pending){request.number, (request.flags & TACIT_REQUEST_FULL) != 0};
            }
        }
        if (i != run->liar && run->count[i] > 0 && choice_u32(&run->choice, 3) != 0) {
            run_answer(run, i);
        }
    }
    for (uint32_t k = choice_u32(&run->choice, 4); k > 0; k--) {
        run_lie(run);
    }
    advance(run->fake, choice_u32(&run->choice, 300) * US);
}

static void random__a_liar_changes_no_answer(void **state)
{
    (void)state;
    uint64_t late = 0;
    uint64_t signatures = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        static struct run run;
        memset(&run, 0, sizeof run);
        choice_init_seed(&run.choice, seed);
        run.fake = fake_open(byzantine_config());
        run.liar = (uint32_t)(seed % REPLICAS);
        for (uint32_t i = 0; i < REPLICAS; i++) {
            link_up(run.fake, i);
        }
        expect_quiet(run.fake);
        uint32_t session;
        assert_int_equal(tacit_client_session_open(run.fake->client, 1000, 0, &session), TACIT_OK);
        run.nonce = open_nonce(run.fake, run.liar);
        bool opened = false;
        uint64_t sent = 0;
        uint64_t done = 0;
        for (uint32_t step = 0; step < 20000 && done < RUN_REQUESTS; step++) {
            run_step(&run);
            struct tacit_client_event event;
            for (uint32_t k = 0; k < 4 && poll_once(run.fake, &event); k++) {
                if (event.kind == TACIT_CLIENT_OPENED) {
                    assert_int_equal(event.wire_session, 70);
                    opened = true;
                    continue;
                }
                assert_int_equal(event.kind, TACIT_CLIENT_RESULT);
                assert_int_equal(event.status, TACIT_OK);
                assert_int_equal(event.index, 100 + event.token);
                char body[BODY];
                result_of(event.token, body);
                assert_int_equal(event.body_bytes, strlen(body));
                assert_memory_equal(event.body, body, strlen(body));
                done++;
            }
            if (opened && sent < RUN_REQUESTS &&
                submit(run.fake, session, "q", sent + 1) == TACIT_OK) {
                sent++;
            }
        }
        assert_int_equal(done, RUN_REQUESTS);
        late += tacit_client_counters(run.fake->client)->bodies_late;
        signatures += tacit_client_counters(run.fake->client)->signatures;
        fake_close(run.fake);
    }
    assert_true(late > 100 && signatures > 100); // the interesting ways were taken
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules__hold_and_their_bugs_are_seen),
        cmocka_unit_test(answer__takes_a_body_and_a_digest_in_any_order),
        cmocka_unit_test(vote__newer_replaces_older),
        cmocka_unit_test(refusals__need_a_quorum),
        cmocka_unit_test(open__needs_equal_sessions),
        cmocka_unit_test(liar__is_counted_and_changes_nothing),
        cmocka_unit_test(time_out__signs_once_and_sends_that),
        cmocka_unit_test(signature__for_a_record_that_is_gone_is_dropped),
        cmocka_unit_test(sign__is_followed_but_not_without_limit),
        cmocka_unit_test(body__that_does_not_come_is_asked_of_all),
        cmocka_unit_test(down_and_up__send_what_is_pending),
        cmocka_unit_test(config__is_checked),
        cmocka_unit_test(random__a_liar_changes_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
