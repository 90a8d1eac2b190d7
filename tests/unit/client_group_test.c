// SPDX-License-Identifier: Apache-2.0
//
// The sans-I/O client against a random group that loses, repeats, moves its leader and restarts.
#include "tests/support/client_fake.h"

// The group's state machine is shared by the replicas (agreement is tested elsewhere): a leader
// executes what it reads, others hint. Links break, replies get lost (a replica that dies after
// executing), leaders change. Checked: each request is executed once, in order; each answer fits
// its request.

enum { GROUP_SESSIONS = 400, GROUP_KEPT = 4 };

struct group_session {
    uint64_t nonce;
    uint64_t last; // number executed last
    bool closed;
};

struct group {
    struct fake *fake;
    struct group_session sessions[GROUP_SESSIONS];
    uint32_t opened;
    uint32_t leader;
    bool up[REPLICAS];
    struct tacit_wire_request held[REPLICAS][16];
    uint8_t faults; // rate of faults, of 256
};

static uint32_t random_below(struct fake *fake, uint32_t bound)
{
    fake->random = fake->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(fake->random >> 33) % bound;
}

static uint32_t draw_random(void *context, uint32_t bound)
{
    return random_below(context, bound);
}

static void group_execute(struct group *group, uint32_t replica,
                          const struct tacit_wire_request *request)
{
    struct fake *fake = group->fake;
    bool lose = random_below(fake, 256) < group->faults;
    if (request->kind == TACIT_REQUEST_OPEN) {
        uint32_t i = 0;
        while (i < group->opened && group->sessions[i].nonce != request->number) {
            i++;
        }
        assert_true(i < GROUP_SESSIONS);
        if (i == group->opened) {
            group->sessions[group->opened++] = (struct group_session){.nonce = request->number};
        }
        if (!lose) {
            reply_result(fake, replica, i, request->number, "");
        }
        return;
    }
    assert_true(request->session < group->opened);
    struct group_session *session = &group->sessions[request->session];
    if (session->closed) {
        if (request->kind == TACIT_REQUEST_APPLY) {
            // Only a repetition: the client closes when all is answered.
            assert_true(request->number <= session->last);
        }
        if (!lose) {
            reply_kind(fake, replica, TACIT_REPLY_CLOSED, request->session, request->number, 0);
        }
        return;
    }
    if (request->number > session->last + 1) {
        return; // ahead of its predecessor; comes again
    }
    if (request->number == session->last + 1) {
        session->last++;
        session->closed = request->kind == TACIT_REQUEST_CLOSE;
    } else if (request->number + GROUP_KEPT <= session->last) {
        // Older than the replies that are kept: a correct client has its answer already.
        if (!lose) {
            reply_kind(fake, replica, TACIT_REPLY_STALE, request->session, request->number, 0);
        }
        return;
    }
    char body[32] = "";
    if (request->kind == TACIT_REQUEST_APPLY) {
        assert_int_equal(request->body_bytes, 8);
        memcpy(body, request->body, 8);
    }
    if (!lose) {
        reply_result(fake, replica, request->session, request->number, body);
    }
}

static void group_step(struct group *group)
{
    struct fake *fake = group->fake;
    for (uint32_t i = 0; i < REPLICAS; i++) {
        struct tacit_wire_request request;
        while (group->up[i] && random_below(fake, 4) != 0 && take_request(fake, i, &request)) {
            uint8_t body[64];
            memcpy(body, request.body, request.body_bytes);
            request.body = body; // the scratch buffer is used by the reply
            if (i == group->leader) {
                group_execute(group, i, &request);
            } else {
                reply_kind(fake, i, TACIT_REPLY_HINT, request.session, request.number,
                           random_below(fake, 3) == 0 ? NOBODY : (uint8_t)group->leader);
            }
        }
        if (random_below(fake, 1024) < group->faults) {
            if (group->up[i]) {
                link_down(fake, i);
            } else {
                link_up(fake, i);
            }
            group->up[i] = !group->up[i];
        }
    }
    if (random_below(fake, 512) < group->faults) {
        group->leader = random_below(fake, REPLICAS);
    }
}

enum { USERS = 3, USER_REQUESTS = 30 };

struct user {
    uint32_t session;
    enum { USER_IDLE, USER_OPENING, USER_OPEN, USER_CLOSING } state;
    uint64_t sent; // of this session
    uint64_t answered;
    uint32_t rounds;
};

static void user_step(struct fake *fake, struct user *user, uint64_t who)
{
    if (user->state == USER_IDLE && user->rounds < 3) {
        if (tacit_client_session_open(fake->client, who, fake->now, &user->session) == TACIT_OK) {
            *user = (struct user){
                .session = user->session, .state = USER_OPENING, .rounds = user->rounds + 1};
        }
    }
    if (user->state == USER_OPEN && user->sent < USER_REQUESTS) {
        char body[9] = "";
        uint64_t token = who << 32 | (user->sent + 1);
        for (uint32_t i = 0; i < 8; i++) {
            body[i] = (char)('a' + (token * 31 >> i) % 26);
        }
        if (submit(fake, user->session, body, token) == TACIT_OK) {
            user->sent++;
        }
    }
    if (user->state == USER_OPEN && user->sent == USER_REQUESTS) {
        assert_int_equal(tacit_client_session_close(fake->client, user->session, fake->now),
                         TACIT_OK);
        user->state = USER_CLOSING;
    }
}

static void user_event(struct user *users, const struct tacit_client_event *event)
{
    if (event->kind == TACIT_CLIENT_RESULT) {
        struct user *user = &users[event->token >> 32];
        assert_int_equal(event->status, TACIT_OK);
        assert_int_equal(event->session, user->session);
        assert_int_equal(event->number, event->token & 0xffffffff);
        assert_int_equal(event->body_bytes, 8);
        for (uint32_t i = 0; i < 8; i++) {
            assert_int_equal(event->body[i], 'a' + (event->token * 31 >> i) % 26);
        }
        user->answered++;
        return;
    }
    struct user *user = &users[event->token];
    assert_int_equal(event->session, user->session);
    if (event->kind == TACIT_CLIENT_OPENED) {
        assert_int_equal(user->state, USER_OPENING);
        user->state = USER_OPEN;
    } else {
        assert_int_equal(event->kind, TACIT_CLIENT_CLOSED);
        assert_int_equal(event->status, TACIT_OK);
        assert_int_equal(user->answered, USER_REQUESTS);
        user->state = USER_IDLE;
    }
}

static void random_group__executes_everything_once(void **state)
{
    (void)state;
    uint64_t resent = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct tacit_client_config config = small_config();
        config.draw = draw_random;
        struct fake *fake = fake_open(config);
        fake->random = seed;
        struct group group = {.fake = fake, .faults = (uint8_t)(seed % 4 * 20)};
        struct user users[USERS] = {0};
        bool done = false;
        for (uint32_t step = 0; step < 200000 && !done; step++) {
            if (step == 3000) { // heal
                group.faults = 0;
                for (uint32_t i = 0; i < REPLICAS; i++) {
                    if (!group.up[i]) {
                        link_up(fake, i);
                        group.up[i] = true;
                    }
                }
            }
            if (step == 0) {
                link_up(fake, 1);
                group.up[1] = true;
            }
            fake->now += random_below(fake, 100) * US;
            group_step(&group);
            done = true;
            for (uint64_t i = 0; i < USERS; i++) {
                user_step(fake, &users[i], i);
                done = done && users[i].state == USER_IDLE;
            }
            struct tacit_client_event event;
            for (uint32_t i = 0; i < 8 && poll_once(fake, &event); i++) {
                user_event(users, &event);
            }
        }
        assert_true(done);
        assert_int_equal(group.opened, USERS * 3);
        for (uint32_t i = 0; i < group.opened; i++) {
            assert_true(group.sessions[i].closed);
            assert_int_equal(group.sessions[i].last, USER_REQUESTS + 1);
        }
        resent += tacit_client_counters(fake->client)->resent;
        assert_int_equal(tacit_client_counters(fake->client)->malformed, 0);
        fake_close(fake);
    }
    assert_true(resent > 1000); // the faults were real
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_group__executes_everything_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
