// SPDX-License-Identifier: Apache-2.0
//
// The table of sessions against a model of a few lines: every short sequence of calls on a tiny
// table, long random ones on larger ones; that two tables fed alike have equal bytes, and that no
// byte changes in a page that was not announced (or a checkpoint would lose it).
// TACIT_LABELS: unit exhaustive
// TACIT_SEEDED: yes
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "choice/choice.h"
#include "core/base/bug.h"
#include "core/state/sessions.h"
#include "unit/support/expect_assert.h"

enum { CLIENTS_MAX = 4, SESSIONS_MAX = 4, KEPT_MAX = 512, REPLY_MAX = 100, OLD_MAX = 64 };
enum { NONCES = KEPT_MAX + 8 };

// ---- a table in pages of its own ---------------------------------------------------------------

struct store {
    struct tacit_pages pages;
    struct tacit_sessions sessions;
    uint8_t *region;
    uint8_t *bitmaps;
    uint8_t *before; // the pages at the newest checkpoint
};

static void store_reset(struct store *store, const struct tacit_sessions_shape *shape)
{
    uint32_t count = tacit_sessions_pages(shape);
    memset(store->region, 0, tacit_pages_region_bytes(count));
    struct tacit_bump bump = {(char *)store->bitmaps, 0};
    tacit_pages_init(&store->pages, &bump, store->region, count);
    tacit_sessions_init(&store->sessions, shape, &store->pages);
}

static void store_open(struct store *store, const struct tacit_sessions_shape *shape)
{
    uint32_t count = tacit_sessions_pages(shape);
    struct tacit_bump measure = {NULL, 0};
    tacit_pages_init(&store->pages, &measure, NULL, count);
    store->region = aligned_alloc(4096, tacit_pages_region_bytes(count));
    store->bitmaps = malloc(measure.used);
    store->before = malloc((size_t)count * TACIT_PAGE_BYTES);
    store_reset(store, shape);
}

static void store_close(struct store *store)
{
    free(store->region);
    free(store->bitmaps);
    free(store->before);
}

static void store_checkpoint(struct store *store)
{
    assert_true(tacit_pages_checkpoint(&store->pages, 1));
    while (tacit_pages_digest(&store->pages, 100)) {
    }
    memcpy(store->before, store->pages.live, (size_t)store->pages.count * TACIT_PAGE_BYTES);
}

// Every page that differs from the checkpoint was saved before it changed.
static void check_announced(const struct store *store)
{
    for (uint32_t page = 0; page < store->pages.count; page++) {
        size_t at = (size_t)page * TACIT_PAGE_BYTES;
        if (memcmp(store->pages.live + at, store->before + at, TACIT_PAGE_BYTES) != 0) {
            assert_memory_equal(store->pages.shadow + at, store->before + at, TACIT_PAGE_BYTES);
        }
    }
}

// ---- the model
// ------------------------------------------------------------------------------------

struct model_session {
    uint64_t number; // 0: free
    uint64_t nonce, last, opened;
};
struct model_reply {
    uint64_t session, number, index;
    uint32_t length;
    uint8_t body[REPLY_MAX];
};

struct model {
    struct tacit_sessions_shape shape;
    struct model_session session[CLIENTS_MAX][SESSIONS_MAX];
    struct model_reply reply[KEPT_MAX]; // all that were ever made, newest last
    uint32_t replies;
    uint64_t opened;
    uint64_t numbers[KEPT_MAX];        // of all sessions ever opened
    bool is_over[CLIENTS_MAX][NONCES]; // a session of this nonce, or of a larger one, closed
    uint64_t member[TACIT_MEMBERS];
    tacit_index_t index;
};

static struct model_session *model_find(struct model *model, uint32_t client, uint64_t number)
{
    for (uint32_t i = 0; client < model->shape.clients && i < model->shape.per_client; i++) {
        if (number != 0 && model->session[client][i].number == number) {
            return &model->session[client][i];
        }
    }
    return NULL;
}

static struct model_session *model_nonce(struct model *model, uint32_t client, uint64_t nonce)
{
    for (uint32_t i = 0; client < model->shape.clients && i < model->shape.per_client; i++) {
        if (model->session[client][i].number != 0 && model->session[client][i].nonce == nonce) {
            return &model->session[client][i];
        }
    }
    return NULL;
}

static void model_over(struct model *model, uint32_t client, uint64_t nonce)
{
    for (uint64_t i = 0; i <= nonce; i++) {
        model->is_over[client][i] = true;
    }
}

// A free place, or else the session that was opened first.
static struct model_session *model_place(struct model *model, uint32_t client)
{
    struct model_session *oldest = &model->session[client][0];
    for (uint32_t i = 0; i < model->shape.per_client; i++) {
        struct model_session *one = &model->session[client][i];
        if (one->number == 0) {
            return one;
        }
        if (one->opened < oldest->opened) {
            oldest = one;
        }
    }
    return oldest;
}

static const struct model_reply *model_reply(const struct model *model,
                                             const struct model_session *session, uint64_t number)
{
    if (number == 0 || number > session->last || session->last - number >= model->shape.pipeline) {
        return NULL;
    }
    for (uint32_t i = model->replies; i > 0; i--) {
        const struct model_reply *reply = &model->reply[i - 1];
        if (reply->session == session->number && reply->number == number) {
            return reply;
        }
    }
    return NULL;
}

// ---- one call, on the tables and on the model
// --------------------------------------------------------

static void do_open(struct store *store, struct model *model, uint32_t client, uint64_t nonce)
{
    bool displaced = true;
    struct tacit_session *session =
        tacit_sessions_open(&store->sessions, client, nonce, &displaced);
    if (client >= model->shape.clients) {
        assert_null(session);
        return;
    }
    struct model_session *same = model_nonce(model, client, nonce);
    if (same == NULL && model->is_over[client][nonce]) { // a replay
        assert_null(session);
        assert_false(displaced);
        return;
    }
    assert_non_null(session);
    if (same != NULL) { // a retry
        assert_true(session->number == same->number && session->last == same->last && !displaced);
        return;
    }
    struct model_session *place = model_place(model, client);
    assert_int_equal(displaced, place->number != 0);
    if (displaced) {
        model_over(model, client, place->nonce);
    }
    for (uint32_t i = 0; i < model->opened; i++) {
        assert_int_not_equal(session->number, model->numbers[i]); // unique for ever
    }
    assert_true(session->number != 0 && session->nonce == nonce && session->last == 0);
    *place = (struct model_session){session->number, nonce, 0, model->opened};
    assert_true(model->opened < KEPT_MAX);
    model->numbers[model->opened++] = session->number;
}

static void do_execute(struct store *store, struct model *model, uint32_t client, uint64_t number,
                       uint32_t length)
{
    struct tacit_session *session = tacit_sessions_find(&store->sessions, client, number);
    struct model_session *expected = model_find(model, client, number);
    assert_int_equal(session != NULL, expected != NULL);
    if (session == NULL || model->replies == KEPT_MAX) {
        return;
    }
    struct model_reply *reply = &model->reply[model->replies++];
    *reply = (struct model_reply){number, ++expected->last, model->index++, length, {0}};
    for (uint32_t i = 0; i < length; i++) {
        reply->body[i] = (uint8_t)(model->replies * 17 + i);
    }
    tacit_sessions_executed(&store->sessions, session, reply->number, reply->index, reply->body,
                            length);
}

static void do_close(struct store *store, struct model *model, uint32_t client, uint64_t number)
{
    struct tacit_session *session = tacit_sessions_find(&store->sessions, client, number);
    struct model_session *expected = model_find(model, client, number);
    assert_int_equal(session != NULL, expected != NULL);
    if (session != NULL) {
        tacit_sessions_close(&store->sessions, session);
        model_over(model, client, expected->nonce);
        *expected = (struct model_session){0};
    }
}

// ---- comparison
// ----------------------------------------------------------------------------------------

static void check_replies(struct store *store, struct model *model,
                          const struct tacit_session *session, const struct model_session *expected)
{
    for (uint64_t number = 0; number <= expected->last + 2; number++) {
        const uint8_t *body = NULL;
        const struct tacit_session_reply *kept =
            tacit_sessions_reply(&store->sessions, session, number, &body);
        const struct model_reply *reply = model_reply(model, expected, number);
        assert_int_equal(kept != NULL, reply != NULL);
        if (kept != NULL) {
            assert_true(kept->number == number && kept->index == reply->index);
            assert_int_equal(kept->length, reply->length);
            assert_memory_equal(body, reply->body, reply->length);
        }
    }
}

static void check_equal(struct store *store, struct model *model)
{
    const struct tacit_sessions_shape *shape = &model->shape;
    uint32_t open = 0;
    uint64_t used = 0; // positions in the table
    for (uint32_t client = 0; client < shape->clients; client++) {
        for (uint32_t i = 0; i < shape->per_client; i++) {
            const struct model_session *expected = &model->session[client][i];
            if (expected->number == 0) {
                continue;
            }
            open++;
            struct tacit_session *session =
                tacit_sessions_find(&store->sessions, client, expected->number);
            assert_non_null(session);
            assert_ptr_equal(session,
                             tacit_sessions_nonce(&store->sessions, client, expected->nonce));
            assert_true(session->last == expected->last && session->nonce == expected->nonce);
            uint32_t position = tacit_sessions_position(&store->sessions, session);
            assert_true(position < shape->clients * shape->per_client && position < 64);
            assert_int_equal(used >> position & 1, 0);
            used |= 1ull << position;
            for (uint32_t other = 0; other <= shape->clients; other++) {
                if (other != client) { // nobody else's
                    assert_null(tacit_sessions_find(&store->sessions, other, expected->number));
                }
            }
            check_replies(store, model, session, expected);
        }
    }
    assert_int_equal(tacit_sessions_count(&store->sessions), open);
    for (uint32_t i = 0; i < model->opened; i++) { // closed ones stay closed, for every client
        for (uint32_t client = 0; client < shape->clients; client++) {
            assert_int_equal(tacit_sessions_find(&store->sessions, client, model->numbers[i]) !=
                                 NULL,
                             model_find(model, client, model->numbers[i]) != NULL);
        }
    }
    assert_null(tacit_sessions_find(&store->sessions, 0, 0));
    for (tacit_node_t node = 0; node < TACIT_MEMBERS; node++) {
        assert_int_equal(tacit_sessions_member(&store->sessions, node), model->member[node]);
    }
}

// ---- tests
// -----------------------------------------------------------------------------------------------

static void every_short_sequence(void **state)
{
    (void)state;
    enum { STEPS = 6 };
    static struct model model;
    const struct tacit_sessions_shape shape = {
        .clients = 2, .per_client = 2, .pipeline = 2, .reply_bytes = 8};
    struct store store;
    store_open(&store, &shape);
    struct choice choice;
    choice_init_odometer(&choice);
    uint32_t sequences = 0;
    do {
        store_reset(&store, &shape);
        store_checkpoint(&store);
        memset(&model, 0, sizeof(model));
        model.shape = shape;
        for (uint32_t step = 0; step < STEPS; step++) {
            // Only the newest and the oldest session of client 0 matter to each other.
            uint64_t newest = model.opened > 0 ? model.numbers[model.opened - 1] : 77;
            uint64_t oldest = model.opened > 0 ? model.numbers[0] : 1ull << 16;
            switch (choice_u32(&choice, 5)) {
            case 0:
                do_open(&store, &model, 0, step);
                break;
            case 1:
                do_open(&store, &model, 0, 0); // again, as long as the first one is open
                break;
            case 2:
                do_execute(&store, &model, 0, newest, step % 9);
                break;
            case 3:
                do_execute(&store, &model, 0, oldest, step % 9);
                break;
            default:
                do_close(&store, &model, 0, oldest);
                break;
            }
            check_equal(&store, &model);
        }
        check_announced(&store);
        sequences++;
    } while (choice_odometer_next(&choice));
    assert_int_equal(sequences, 15625);
    store_close(&store);
}

static uint64_t any_number(struct choice *choice, const struct model *model)
{
    if (model->opened == 0 || choice_u32(choice, 10) == 0) {
        uint64_t high = choice_u32(choice, UINT32_MAX);
        return (high << 32 | choice_u32(choice, UINT32_MAX)) >> choice_u32(choice, 64);
    }
    uint64_t number = model->numbers[choice_u32(choice, (uint32_t)model->opened)];
    return choice_u32(choice, 20) == 0 ? number + (1ull << 16) : number;
}

// The same call on both tables; the second one's result is compared through the bytes.
static void random_step(struct store stores[2], struct model models[2], struct choice *choice)
{
    const struct tacit_sessions_shape *shape = &models[0].shape;
    uint32_t what = choice_u32(choice, 12);
    uint32_t client = choice_u32(choice, shape->clients + 1);
    uint64_t number = any_number(choice, &models[0]);
    uint64_t newest = models[0].opened + 6 < NONCES ? models[0].opened + 6 : NONCES;
    uint64_t back = choice_u32(choice, 12);
    uint64_t nonce = newest > back ? newest - 1 - back : 0;
    uint32_t length = choice_u32(choice, shape->reply_bytes + 1);
    for (uint32_t i = 0; i < 2; i++) {
        if (what == 0) {
            tacit_node_t node = (tacit_node_t)(number % TACIT_MEMBERS);
            models[i].member[node] = length;
            tacit_sessions_admit(&stores[i].sessions, node, length);
        } else if (what == 1) {
            do_close(&stores[i], &models[i], client, number);
        } else if (what < 4) {
            if (models[i].opened < KEPT_MAX) {
                do_open(&stores[i], &models[i], client, nonce);
            }
        } else {
            // Aim at what is open, most of the time.
            struct model_session *one =
                &models[i].session[client % shape->clients][nonce % shape->per_client];
            bool hit = what > 5 && one->number != 0;
            do_execute(&stores[i], &models[i], hit ? client % shape->clients : client,
                       hit ? one->number : number, length);
        }
    }
}

static void long_random_sequences(void **state)
{
    (void)state;
    static struct model models[2];
    const struct tacit_sessions_shape shapes[] = {
        {.clients = 1, .per_client = 1, .pipeline = 1, .reply_bytes = 0},
        {.clients = 4, .per_client = 4, .pipeline = 3, .reply_bytes = 100},
        {.clients = 3, .per_client = 2, .pipeline = 64, .reply_bytes = 97}, // records span pages
        {.clients = 2, .per_client = 3, .pipeline = 200, .reply_bytes = 1},
    };
    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
        struct store stores[2];
        memset(models, 0, sizeof(models));
        for (uint32_t i = 0; i < 2; i++) {
            store_open(&stores[i], &shapes[s]);
            store_checkpoint(&stores[i]);
            models[i].shape = shapes[s];
        }
        struct choice choice;
        choice_init_seed(&choice, 5 + s);
        for (uint32_t step = 0; step < 900; step++) {
            random_step(stores, models, &choice);
            if (step % 8 == 0) {
                check_equal(&stores[0], &models[0]);
                check_announced(&stores[0]);
            }
            if (step % 40 == 0) {
                store_checkpoint(&stores[0]); // the other one takes none: no difference
                assert_int_equal(tacit_pages_hash(&stores[0].pages),
                                 tacit_pages_hash(&stores[1].pages));
            }
        }
        assert_true(models[0].replies > 200);
        store_close(&stores[0]);
        store_close(&stores[1]);
    }
}

static void largest_table_fits_its_pages(void **state)
{
    (void)state;
    const struct tacit_sessions_shape shape = {
        .clients = 64, .per_client = 1024, .pipeline = 1, .reply_bytes = 1};
    struct store store;
    store_open(&store, &shape); // 65536 sessions: positions fill their 16 bits
    bool displaced;
    for (uint32_t i = 0; i < 1024; i++) {
        struct tacit_session *session = tacit_sessions_open(&store.sessions, 63, i, &displaced);
        assert_false(displaced);
        tacit_sessions_executed(&store.sessions, session, 1, i, "x", 1);
        assert_ptr_equal(session, tacit_sessions_find(&store.sessions, 63, session->number));
    }
    struct tacit_session *first = tacit_sessions_nonce(&store.sessions, 63, 0);
    uint64_t number = first->number;
    assert_ptr_equal(tacit_sessions_open(&store.sessions, 63, 5000, &displaced), first);
    assert_true(displaced);
    assert_null(tacit_sessions_find(&store.sessions, 63, number));
    const uint8_t *body;
    assert_null(tacit_sessions_reply(&store.sessions, first, 1, &body)); // nothing of the old one
    store_close(&store);
}

// A session's head and the reply it makes can lie in different pages: both are announced.
static void long_records_announce_both_ends(void **state)
{
    (void)state;
    const struct tacit_sessions_shape shape = {
        .clients = 1, .per_client = 1, .pipeline = 400, .reply_bytes = 8};
    struct store store;
    store_open(&store, &shape);
    bool displaced;
    struct tacit_session *session = tacit_sessions_open(&store.sessions, 0, 1, &displaced);
    for (uint64_t number = 1; number <= 900; number++) {
        store_checkpoint(&store);
        tacit_sessions_executed(&store.sessions, session, number, number, &number, 8);
        check_announced(&store);
        assert_int_equal(session->last, number);
    }
    store_close(&store);
}

static void misuse_is_asserted(void **state)
{
    (void)state;
    const struct tacit_sessions_shape shape = {
        .clients = 1, .per_client = 1, .pipeline = 2, .reply_bytes = 16};
    struct store store;
    store_open(&store, &shape);
    bool displaced;
    struct tacit_session *session = tacit_sessions_open(&store.sessions, 0, 1, &displaced);
    static const uint8_t body[32];
    tacit_sessions_executed(&store.sessions, session, 1, 1, body, 16);
    EXPECT_TACIT_ASSERT(tacit_sessions_executed(&store.sessions, session, 2, 2, body, 17));
    EXPECT_TACIT_ASSERT(tacit_sessions_admit(&store.sessions, TACIT_MEMBERS, 1));
    store_close(&store);
}

// What a client signed once, somebody may show again: it opens nothing, and displaces nothing.
static bool replays_are_refused(void)
{
    const struct tacit_sessions_shape shape = {
        .clients = 2, .per_client = 2, .pipeline = 1, .reply_bytes = 1};
    struct store store;
    store_open(&store, &shape);
    bool displaced;
    struct tacit_session *session = tacit_sessions_open(&store.sessions, 1, 7, &displaced);
    tacit_sessions_close(&store.sessions, session);
    (void)tacit_sessions_open(&store.sessions, 1, 9, &displaced);
    session = tacit_sessions_open(&store.sessions, 1, 8, &displaced); // any order
    bool refused = session != NULL && !displaced;
    refused = refused && tacit_sessions_open(&store.sessions, 1, 7, &displaced) == NULL;
    refused = refused && tacit_sessions_open(&store.sessions, 1, 6, &displaced) == NULL;
    refused = refused && tacit_sessions_nonce(&store.sessions, 1, 8) != NULL &&
              tacit_sessions_nonce(&store.sessions, 1, 9) != NULL;
    // The oldest gives way to a new one, and does not come back.
    session = tacit_sessions_open(&store.sessions, 1, 10, &displaced);
    refused = refused && session != NULL && displaced;
    refused = refused && tacit_sessions_open(&store.sessions, 1, 9, &displaced) == NULL;
    refused = refused && tacit_sessions_floor(&store.sessions, 1) == 10;
    // Of another client nothing changed.
    refused = refused && tacit_sessions_open(&store.sessions, 0, 1, &displaced) != NULL;
    refused = refused && tacit_sessions_open(&store.sessions, 0, UINT64_MAX, &displaced) == NULL;
    store_close(&store);
    return refused;
}

static void open__of_a_session_that_is_over_is_refused(void **state)
{
    (void)state;
    assert_true(replays_are_refused());
#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
    tacit_seeded_bug = TACIT_BUG_OPEN_REPLAYED;
    bool refused = replays_are_refused();
    tacit_seeded_bug = TACIT_BUG_NONE;
    assert_false(refused);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open__of_a_session_that_is_over_is_refused),
        cmocka_unit_test(every_short_sequence),
        cmocka_unit_test(long_random_sequences),
        cmocka_unit_test(largest_table_fits_its_pages),
        cmocka_unit_test(long_records_announce_both_ends),
        cmocka_unit_test(misuse_is_asserted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
