// SPDX-License-Identifier: Apache-2.0
//
// Bodies by digest against a model: references, quotas, sizes; and that nobody lives at another's
// expense.
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
#include "core/byzantine/bodies.h"

enum { ACCOUNTS = 3, NOTE = 40, LARGE = 200, NOTE_EACH = 3, LARGE_EACH = 2, BATCH_EACH = 2 };
enum { BODIES = 24 };

// Account 2 has no places for large ones.
static const struct tacit_bodies_config config = {
    .accounts = ACCOUNTS,
    .classes = {
        [TACIT_BODIES_BATCH] = {LARGE, {BATCH_EACH, BATCH_EACH, BATCH_EACH}},
        [TACIT_BODIES_NOTE] = {NOTE, {NOTE_EACH, NOTE_EACH, NOTE_EACH}},
        [TACIT_BODIES_SEAL] = {LARGE - 48, {1, 1, 0}},
        [TACIT_BODIES_LARGE] = {LARGE, {LARGE_EACH, LARGE_EACH, 0}},
    }};

static struct tacit_bodies *bodies_open(void **memory)
{
    struct tacit_bump bump = {.base = NULL};
    assert_null(tacit_bodies_init(&bump, &config));
    *memory = aligned_alloc(64, tacit_round_up(bump.used, 64));
    assert_non_null(*memory);
    struct tacit_bump take = {.base = *memory};
    struct tacit_bodies *bodies = tacit_bodies_init(&take, &config);
    assert_int_equal(take.used, bump.used);
    return bodies;
}

struct model {
    uint8_t bytes[LARGE + 9];
    uint32_t size;
    struct tacit_digest digest;
    uint32_t references[ACCOUNTS];
    enum tacit_bodies_class class[ACCOUNTS];
};

static void model_init(struct model model[BODIES], struct choice *choice)
{
    for (uint32_t i = 0; i < BODIES; i++) {
        static const uint32_t sizes[] = {0, 1, NOTE, NOTE + 1, LARGE, LARGE + 1};
        memset(&model[i], 0, sizeof model[i]);
        model[i].size = i < 6 ? sizes[i] : choice_u32(choice, LARGE + 2);
        choice_bytes(choice, model[i].bytes, model[i].size);
        model[i].digest.bytes[31] = (uint8_t)i;
        model[i].digest.bytes[0] = (uint8_t)(i % 3); // chains
    }
}

static uint32_t used_of(const struct model model[BODIES], uint32_t account,
                        enum tacit_bodies_class class)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < BODIES; i++) {
        count += model[i].references[account] > 0 && model[i].class[account] == class;
    }
    return count;
}

// Where a new copy goes; TACIT_BODIES_CLASSES: nowhere.
static enum tacit_bodies_class class_for(const struct model model[BODIES], uint32_t i,
                                         uint32_t account, bool is_batch)
{
    enum tacit_bodies_class class = is_batch ? TACIT_BODIES_BATCH : TACIT_BODIES_NOTE;
    enum tacit_bodies_class end = is_batch ? TACIT_BODIES_NOTE : TACIT_BODIES_CLASSES;
    for (; class < end; class ++) {
        if (model[i].size <= config.classes[class].bytes &&
            used_of(model, account, class) < config.classes[class].each[account]) {
            return class;
        }
    }
    return TACIT_BODIES_CLASSES;
}

static bool is_here(const struct model *model)
{
    return model->references[0] + model->references[1] + model->references[2] > 0;
}

// put(), or (held) hold().
static const char *take(struct tacit_bodies *bodies, struct model model[BODIES], uint32_t i,
                        uint32_t account, bool is_batch, bool held)
{
    enum tacit_bodies_class class = class_for(model, i, account, is_batch);
    bool fits = model[i].references[account] > 0 || class != TACIT_BODIES_CLASSES;
    bool taken;
    if (held) {
        fits = fits && is_here(&model[i]);
        taken = tacit_bodies_hold(bodies, account, is_batch, &model[i].digest);
    } else {
        taken = tacit_bodies_put(bodies, account, is_batch, &model[i].digest, model[i].bytes,
                                 model[i].size);
    }
    if (taken != fits) {
        return "the quota is not kept";
    }
    if (taken && model[i].references[account]++ == 0) {
        model[i].class[account] = class;
    }
    return NULL;
}

static const char *look(struct tacit_bodies *bodies, const struct model model[BODIES], uint32_t i)
{
    uint32_t bytes = 77;
    const uint8_t *at = tacit_bodies_find(bodies, &model[i].digest, &bytes);
    if ((at != NULL) != is_here(&model[i])) {
        return "found or not found";
    }
    if (at != NULL && (bytes != model[i].size || memcmp(at, model[i].bytes, bytes) != 0)) {
        return "other bytes";
    }
    for (uint32_t account = 0; account < ACCOUNTS; account++) {
        for (unsigned class = 0; class < TACIT_BODIES_CLASSES; class ++) {
            uint32_t used = used_of(model, account, (enum tacit_bodies_class) class);
            if (tacit_bodies_room(bodies, account, (enum tacit_bodies_class) class) !=
                config.classes[class].each[account] - used) {
                return "an account was charged for another's";
            }
        }
    }
    return NULL;
}

static const char *run(uint64_t seed)
{
    struct choice choice;
    choice_init_seed(&choice, seed);
    struct model model[BODIES];
    model_init(model, &choice);
    void *memory;
    struct tacit_bodies *bodies = bodies_open(&memory);
    const char *wrong = NULL;
    for (uint32_t step = 0; wrong == NULL && step < 400; step++) {
        uint32_t i = choice_u32(&choice, BODIES);
        uint32_t account = choice_u32(&choice, ACCOUNTS);
        bool is_batch = choice_u32(&choice, 2) == 1;
        switch (choice_u32(&choice, 4)) {
        case 0:
            wrong = take(bodies, model, i, account, is_batch, false);
            break;
        case 1:
            wrong = take(bodies, model, i, account, is_batch, true);
            break;
        case 2:
            if (model[i].references[account] > 0) {
                tacit_bodies_release(bodies, account, &model[i].digest);
                model[i].references[account]--;
            }
            break;
        default:
            wrong = look(bodies, model, i);
        }
        wrong = wrong == NULL ? tacit_bodies_check(bodies) : wrong;
    }
    for (uint32_t i = 0; wrong == NULL && i < BODIES; i++) {
        wrong = look(bodies, model, i);
    }
    free(memory);
    return wrong;
}

static void bodies__follow_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        assert_null(run(seed));
    }
}

// A liar that sends bodies without end uses up its own share.
static void put__leaves_the_share_of_others_alone(void **state)
{
    (void)state;
    void *memory;
    struct tacit_bodies *bodies = bodies_open(&memory);
    struct tacit_digest digest = {{0}};
    uint32_t taken = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        memcpy(digest.bytes, &i, sizeof i);
        taken += tacit_bodies_put(bodies, 1, false, &digest, "x", 1);
    }
    assert_int_equal(taken, NOTE_EACH + 1 + LARGE_EACH);
    for (uint32_t i = 2000; i < 2000 + NOTE_EACH; i++) {
        memcpy(digest.bytes, &i, sizeof i);
        assert_true(tacit_bodies_put(bodies, 0, false, &digest, "x", 1));
    }
    assert_null(tacit_bodies_check(bodies));
    free(memory);
}

// A liar that names others' bodies uses up its own share, and keeps none of theirs in place.
static void hold__of_anothers_body_is_a_copy(void **state)
{
    (void)state;
    void *memory;
    struct tacit_bodies *bodies = bodies_open(&memory);
    uint8_t body[LARGE] = {7};
    struct tacit_digest digest = {{0}};
    for (uint8_t i = 0; i < LARGE_EACH; i++) {
        digest.bytes[0] = i;
        assert_true(tacit_bodies_put(bodies, 0, false, &digest, body, LARGE));
        assert_true(tacit_bodies_hold(bodies, 1, false, &digest));
    }
    for (uint8_t i = 0; i < LARGE_EACH; i++) {
        digest.bytes[0] = i;
        tacit_bodies_release(bodies, 0, &digest);
    }
    for (uint8_t i = 0; i < LARGE_EACH; i++) {
        digest.bytes[0] = (uint8_t)(100 + i);
        assert_true(tacit_bodies_put(bodies, 0, false, &digest, body, LARGE));
    }
    assert_null(tacit_bodies_check(bodies));
    free(memory);
}

// What a replica may have out at a time fits, whatever it consists of.
static void shape__has_room_for_the_own_tail(void **state)
{
    (void)state;
    enum { TAIL = 16, N = 3 };
    const struct tacit_bodies_needs needs = {.replicas = N,
                                             .self = 1,
                                             .window = 8,
                                             .tail = TAIL,
                                             .batch_bytes = 512,
                                             .seal_bytes = 1500,
                                             .body_bytes = 4000};
    struct tacit_bodies_config shape;
    tacit_bodies_shape(&shape, &needs);
    struct tacit_bump bump = {.base = NULL};
    (void)tacit_bodies_init(&bump, &shape);
    bump = (struct tacit_bump){.base = aligned_alloc(64, tacit_round_up(bump.used, 64))};
    struct tacit_bodies *bodies = tacit_bodies_init(&bump, &shape);
    static const uint8_t body[4000];
    struct tacit_digest digest = {{0}};
    for (uint8_t id = 0; id < TAIL - 1; id++) { // SEAL_VIEW, NEW_VIEW in turn
        digest.bytes[0] = id;
        assert_true(tacit_bodies_put(bodies, 1, false, &digest, body, id % 2 == 0 ? 1500u : 4000u));
    }
    for (uint8_t r = 0; r < N; r++) { // and the newest state of each
        digest.bytes[0] = (uint8_t)(100 + r);
        assert_true(
            tacit_bodies_put(bodies, tacit_bodies_account_sealed(N), false, &digest, body, 4000));
    }
    assert_null(tacit_bodies_check(bodies));
    free(bump.base);
}

#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
static void bugs__are_found(void **state)
{
    (void)state;
    static const uint32_t bugs[] = {TACIT_BUG_BODIES_SHARED_QUOTA, TACIT_BUG_BODIES_NOT_COPIED};
    for (unsigned i = 0; i < sizeof bugs / sizeof *bugs; i++) {
        tacit_seeded_bug = bugs[i];
        bool found = false;
        for (uint64_t seed = 1; seed <= 20 && !found; seed++) {
            found = run(seed) != NULL;
        }
        tacit_seeded_bug = TACIT_BUG_NONE;
        assert_true(found);
    }
}
#else
static void bugs__are_found(void **state)
{
    (void)state;
    skip();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies__follow_the_model),
        cmocka_unit_test(put__leaves_the_share_of_others_alone),
        cmocka_unit_test(hold__of_anothers_body_is_a_copy),
        cmocka_unit_test(shape__has_room_for_the_own_tail),
        cmocka_unit_test(bugs__are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
