// SPDX-License-Identifier: Apache-2.0
//
// A client in Byzantine mode (core/client: receive.c, votes.c, send.c) against one lying replica of
// three that writes what it likes into its reply ring, while the two correct ones answer late,
// twice, in any order, with bodies or digests, and connections break. What the client reports is
// what a correct replica said, of each request once; in the end, when the correct ones answer,
// nothing stays open, whatever the liar left behind.
#include "tests/support/client_fake.h"

#include "core/byzantine/payload.h"
#include "script.h"
#include "sim/sim_signer.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    CLIENT = 7,
    TAKEN_MAX = 128, // requests that a correct replica remembers
    TOKENS = 256,
    GROUP_SESSIONS = 256,
    STEPS_MAX = 400,
    TURNS_MAX = 4000,
};

struct taken {
    uint8_t kind, flags;
    uint64_t session, number;
};

struct token {
    bool is_out;
    uint32_t session; // handle
    uint64_t number;  // of the request in its session; 0: it is a session's token
};

static struct {
    struct sim_signer_world signers;
    struct sim_signer signer;
    struct fake *fake;
    uint32_t liar;
    struct {
        struct taken taken[TAKEN_MAX];
        uint32_t count, answered;
    } replica[REPLICAS];
    struct {
        uint32_t handle;
        uint64_t next_number;
        uint64_t token;
        bool is_used, is_open, is_closing;
    } session[3];
    struct token tokens[TOKENS];
    uint64_t token_count;
    bool is_over[GROUP_SESSIONS]; // the group closed it
    bool stale_said;
} world;

// ---- what the group says: a function of the request --------------------------------------------

static bool nonce_is_refused(uint64_t nonce)
{
    return nonce % 5 == 4;
}

static uint64_t session_of(uint64_t nonce)
{
    return (nonce & 0x7f) + 1;
}

static uint64_t index_of(uint64_t session, uint64_t number)
{
    return 10000 * session + number;
}

static uint32_t body_of(uint8_t *out, uint64_t session, uint64_t number)
{
    uint32_t bytes = (uint32_t)(number * 37 + session) % 65;
    memset(out, (int)(session * 16 + number), bytes);
    return bytes;
}

static bool is_over(uint64_t session)
{
    return session < GROUP_SESSIONS && world.is_over[session];
}

// ---- the replicas ------------------------------------------------------------------------------

static void take_requests(uint32_t replica)
{
    struct tacit_wire_request request;
    while (take_request(world.fake, replica, &request)) {
        uint32_t at = world.replica[replica].count++ % TAKEN_MAX;
        world.replica[replica].taken[at] =
            (struct taken){request.kind, request.flags, request.session, request.number};
    }
}

static void answer_open(uint32_t replica, const struct taken *request)
{
    uint64_t nonce = request->number;
    bool refused = nonce_is_refused(nonce);
    reply_kind(world.fake, replica, refused ? TACIT_REPLY_CLOSED : TACIT_REPLY_RESULT,
               refused ? nonce + 1 : session_of(nonce), nonce, NOBODY);
}

static void answer(uint32_t replica, const struct taken *request, bool is_stale)
{
    uint8_t body[64];
    struct tacit_digest digest;
    struct tacit_wire_reply made = {.kind = TACIT_REPLY_RESULT,
                                    .leader = NOBODY,
                                    .session = request->session,
                                    .number = request->number};
    if (request->kind == TACIT_REQUEST_OPEN) {
        answer_open(replica, request);
        return;
    }
    if (request->kind == TACIT_REQUEST_CLOSE) {
        if (request->session < GROUP_SESSIONS) {
            world.is_over[request->session] = true;
        }
    } else if (is_over(request->session)) {
        made.kind = TACIT_REPLY_CLOSED;
    } else if (is_stale) {
        made.kind = TACIT_REPLY_STALE;
        world.stale_said = true;
    } else {
        made.index = index_of(request->session, request->number);
        made.body = body;
        made.body_bytes = body_of(body, request->session, request->number);
        bool full = (request->flags & TACIT_REQUEST_FULL) != 0;
        if (!tacit_wire_reply_is_whole(made.number, made.body_bytes, full, (tacit_node_t)replica,
                                       REPLICAS)) {
            tacit_body_digest(&digest, body, made.body_bytes);
            made.kind = TACIT_REPLY_RESULT_DIGEST;
            made.body = digest.bytes;
            made.body_bytes = TACIT_DIGEST_BYTES;
        }
    }
    reply(world.fake, replica, made);
}

static void answer_next(uint32_t replica, bool again, bool is_stale)
{
    take_requests(replica);
    uint32_t count = world.replica[replica].count;
    uint32_t *answered = &world.replica[replica].answered;
    if (count - *answered > TAKEN_MAX) {
        *answered = count - TAKEN_MAX;
    }
    if (again && *answered > 0) {
        answer(replica, &world.replica[replica].taken[(*answered - 1) % TAKEN_MAX], is_stale);
    } else if (*answered < count) {
        answer(replica, &world.replica[replica].taken[(*answered)++ % TAKEN_MAX], is_stale);
    }
}

// The liar: a reply whose fields are near to what is waited for, with a body that may be the right
// one; sealed, perhaps far ahead in the ring, perhaps with a false length inside.
static void lie(struct script *script)
{
    struct fake *fake = world.fake;
    struct fake_replica *r = &fake->replicas[world.liar];
    uint32_t max = fake->reply_shape.slot_bytes - TACIT_RING_HEADER;
    uint8_t *out = fake->scratch + TACIT_RING_HEADER;
    uint8_t body[64] = {0};
    take_requests(world.liar);
    uint32_t known = world.replica[world.liar].count;
    struct taken about = {0};
    uint8_t head = (uint8_t)take(script, 1);
    if (known > 0) {
        uint32_t back = take_below(script, 8);
        about = world.replica[world.liar].taken[(known - 1 - back % known) % TAKEN_MAX];
    }
    uint8_t shape = (uint8_t)take(script, 1);
    uint32_t bytes = body_of(body, about.session, about.number);
    uint64_t index = index_of(about.session, about.number);
    if (about.kind == TACIT_REQUEST_OPEN) {
        about.session = (shape & 16) != 0 ? take(script, 2) : session_of(about.number);
        bytes = 0;
    }
    about.session += (shape & 1) != 0 ? take(script, 1) : 0;
    about.number += (shape & 2) != 0 ? take(script, 1) - 4 : 0;
    index += (shape & 4) != 0;
    if ((shape & 8) != 0) {
        body[take_below(script, 64)] ^= 1;
        bytes = take_below(script, 66);
    }
    if (head % 10 == TACIT_REPLY_RESULT_DIGEST) {
        tacit_body_digest((struct tacit_digest *)(void *)(out + TACIT_WIRE_REPLY_HEADER), body,
                          bytes < 64 ? bytes : 64);
        bytes = TACIT_DIGEST_BYTES;
    } else {
        memcpy(out + TACIT_WIRE_REPLY_HEADER, body, 64);
    }
    uint32_t claimed = bytes + ((shape & 32) != 0 ? take_below(script, 40) - 20u : 0);
    memset(out, 0, TACIT_WIRE_REPLY_HEADER);
    out[0] = head % 10;
    out[1] = (uint8_t)(shape >> 6);
    memcpy(out + 4, &claimed, 4);
    memcpy(out + 8, &about.session, 8);
    memcpy(out + 16, &about.number, 8);
    memcpy(out + 24, &index, 8);
    bytes += TACIT_WIRE_REPLY_HEADER;
    r->reply_sequence += 1 + (head >= 240 ? take(script, 1) : 0);
    uint32_t sealed = tacit_ring_seal(fake->reply_shape, r->reply_sequence, fake->scratch,
                                      bytes < max ? bytes : max);
    memcpy(r->replies + tacit_ring_offset(fake->reply_shape, r->reply_sequence), fake->scratch,
           sealed);
}

static void write_words(struct script *script)
{
    struct fake_replica *r = &world.fake->replicas[world.liar];
    size_t words = tacit_ring_bytes(world.fake->reply_shape) / 8;
    for (uint32_t i = take_below(script, 4) + 1; i > 0; i--) {
        uint64_t word = 0;
        size_t at = take(script, 2) % words * 8;
        uint8_t head = (uint8_t)take(script, 1);
        word = head == 255 ? take(script, 8) : r->reply_sequence + head - 8u;
        memcpy(r->replies + at, &word, 8);
    }
}

// ---- what the client reports -------------------------------------------------------------------

static struct token *token_of(uint64_t number)
{
    must(number < world.token_count);
    return &world.tokens[number];
}

static void check_result(const struct tacit_client_event *event)
{
    struct token *token = token_of(event->token);
    must(token->is_out && token->number != 0 && token->session == event->session);
    token->is_out = false;
    must(event->number == token->number);
    if (event->status == TACIT_OK) {
        uint8_t body[64];
        must(event->index == index_of(event->wire_session, event->number));
        must(event->body_bytes == body_of(body, event->wire_session, event->number));
        must(memcmp(event->body, body, event->body_bytes) == 0);
    } else if (event->status == TACIT_ENOENT) {
        must(world.stale_said);
    } else {
        must(event->status == TACIT_ECLOSED && is_over(event->wire_session));
    }
}

static void check_event(const struct tacit_client_event *event)
{
    if (event->kind == TACIT_CLIENT_RESULT) {
        check_result(event);
        return;
    }
    struct token *token = token_of(event->token);
    must(token->is_out && token->number == 0);
    for (uint32_t i = 0; i < 3; i++) {
        if (!world.session[i].is_used || world.session[i].handle != event->session) {
            continue;
        }
        must(world.session[i].token == event->token);
        if (event->kind == TACIT_CLIENT_OPENED) {
            must(!world.session[i].is_open && event->wire_session <= 128);
            world.session[i].is_open = true;
            return;
        }
        must(event->kind == TACIT_CLIENT_CLOSED);
        must(event->status == (world.session[i].is_closing ? TACIT_OK : TACIT_ECLOSED) ||
             is_over(event->wire_session) || !world.session[i].is_open);
        world.session[i].is_used = false;
        token->is_out = false;
        return;
    }
    must_not("an event of no session");
}

static bool poll_all(void)
{
    struct tacit_client_event event;
    bool any = false;
    sim_signer_advance(&world.signer, world.fake->now);
    for (uint32_t i = 0; i < 64 && poll_once(world.fake, &event); i++) {
        check_event(&event);
        any = true;
    }
    return any;
}

// ---- what the caller does ----------------------------------------------------------------------

static void open_session(void)
{
    struct fake *fake = world.fake;
    for (uint32_t i = 0; i < 3 && world.token_count < TOKENS; i++) {
        uint32_t handle;
        if (!world.session[i].is_used &&
            tacit_client_session_open(fake->client, world.token_count, fake->now, &handle) ==
                TACIT_OK) {
            world.session[i].is_used = true;
            world.session[i].is_open = world.session[i].is_closing = false;
            world.session[i].handle = handle;
            world.session[i].next_number = 1;
            world.session[i].token = world.token_count;
            world.tokens[world.token_count++] = (struct token){true, handle, 0};
            return;
        }
    }
}

static void ask(uint32_t which)
{
    struct fake *fake = world.fake;
    uint32_t handle = world.session[which].handle;
    if (!world.session[which].is_used || world.token_count == TOKENS) {
        return;
    }
    enum tacit_status status =
        tacit_client_submit(fake->client, handle, "abc", 3, world.token_count, fake->now);
    if (status == TACIT_OK) {
        must(world.session[which].is_open && !world.session[which].is_closing);
        world.tokens[world.token_count++] =
            (struct token){true, handle, world.session[which].next_number++};
    }
}

static void close_session(uint32_t which)
{
    if (world.session[which].is_used &&
        tacit_client_session_close(world.fake->client, world.session[which].handle,
                                   world.fake->now) == TACIT_OK) {
        world.session[which].is_closing = true;
    }
}

// Not while an event of it is still to be taken: the fake has memory for one connection, and
// handles are valid until DOWN is taken.
static void flip_link(uint32_t replica)
{
    struct fake *fake = world.fake;
    for (size_t i = 0; i < fake->queued; i++) {
        if (fake->queue[i].node == replica) {
            return;
        }
    }
    if (fake->replicas[replica].announced) {
        take_requests(replica);
        link_down(fake, replica);
    } else {
        link_up(fake, replica);
    }
}

static void step(struct script *script)
{
    uint8_t what = (uint8_t)take(script, 1);
    uint32_t which = what / 16u % 3;
    uint32_t correct = (world.liar + 1 + what / 128u) % REPLICAS;
    switch (what % 16) {
    case 0:
        open_session();
        break;
    case 1:
    case 2:
        ask(which);
        break;
    case 3:
        close_session(which);
        break;
    case 4:
    case 5:
    case 6:
        answer_next(correct, (what & 32) != 0, (what & 80) == 80);
        break;
    case 7:
    case 8:
    case 9:
        lie(script);
        break;
    case 10:
        write_words(script);
        break;
    case 11:
        world.fake->now += (uint64_t)(1 + what / 16) * 200 * US;
        break;
    case 12:
        flip_link((world.liar + what / 16u) % REPLICAS);
        break;
    case 13: // closes one of the sessions that may be open
        world.is_over[1 + (100 + take_below(script, 8)) % 128] = true;
        break;
    default:
        (void)poll_all();
    }
}

static void finish(void)
{
    struct fake *fake = world.fake;
    (void)poll_all();
    for (uint32_t i = 0; i < REPLICAS; i++) {
        if (!fake->replicas[i].announced) {
            flip_link(i);
        }
    }
    for (uint32_t turn = 0; turn < TURNS_MAX; turn++) {
        bool any = poll_all();
        for (uint32_t i = 0; i < REPLICAS && !any; i++) {
            // One at a time: a ring that is lapped loses what a correct replica would repeat.
            answer_next(i != world.liar ? i : (i + 1) % REPLICAS, false, false);
        }
        if (!any && tacit_client_outstanding(fake->client) == 0) {
            for (uint64_t i = 0; i < world.token_count; i++) {
                must(!world.tokens[i].is_out || world.tokens[i].number == 0);
            }
            return;
        }
        fake->now += 100 * US;
    }
    must_not("a request stays without an answer");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return setenv("CMOCKA_TEST_ABORT", "1", 1); // assertions of the fake end the target
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, data + size};
    memset(&world, 0, sizeof world);
    world.liar = take_below(&script, REPLICAS);
    struct tacit_client_config config = small_config();
    sim_signer_world_init(&world.signers, 1, REPLICAS, CLIENT + 1);
    sim_signer_open(&world.signer, &world.signers,
                    &(struct sim_signer_config){.self = TACIT_SIGNER_CLIENT + CLIENT,
                                                .workers = 1,
                                                .depth = 8,
                                                .sign_ns = 30 * US,
                                                .verify_ns = 60 * US});
    config.byzantine = true;
    config.faults = 1;
    config.client_id = CLIENT;
    config.signer = &world.signer.signer;
    world.fake = fake_open(config);
    for (uint32_t i = 0; i < REPLICAS; i++) {
        flip_link(i);
    }
    (void)poll_all();
    for (uint32_t i = 0; i < STEPS_MAX && !script_is_over(&script); i++) {
        step(&script);
    }
    finish();
    fake_close(world.fake);
    return 0;
}
