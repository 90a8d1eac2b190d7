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

enum { OWNERS = 3, SMALL = 40, LARGE = 200, SMALL_EACH = 3, LARGE_EACH = 2, BODIES = 24 };

static const struct tacit_bodies_config config = {.owners = OWNERS,
                                                  .small_bytes = SMALL,
                                                  .small_each = SMALL_EACH,
                                                  .large_bytes = LARGE,
                                                  .large_each = LARGE_EACH};

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
    uint32_t references;
    uint32_t owner;
};

static void model_init(struct model model[BODIES], struct choice *choice)
{
    for (uint32_t i = 0; i < BODIES; i++) {
        static const uint32_t sizes[] = {0, 1, SMALL, SMALL + 1, LARGE, LARGE + 1};
        memset(&model[i], 0, sizeof model[i]);
        model[i].size = i < 6 ? sizes[i] : choice_u32(choice, LARGE + 2);
        choice_bytes(choice, model[i].bytes, model[i].size);
        model[i].digest.bytes[31] = (uint8_t)i;
        model[i].digest.bytes[0] = (uint8_t)(i % 3); // chains
    }
}

static uint32_t used_of(const struct model model[BODIES], uint32_t owner, bool large)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < BODIES; i++) {
        count +=
            model[i].references > 0 && model[i].owner == owner && (model[i].size > SMALL) == large;
    }
    return count;
}

static const char *put(struct tacit_bodies *bodies, struct model model[BODIES], uint32_t i,
                       uint32_t owner)
{
    bool large = model[i].size > SMALL;
    bool fits = model[i].references > 0 ||
                (model[i].size <= LARGE &&
                 used_of(model, owner, large) < (large ? LARGE_EACH : SMALL_EACH));
    const uint8_t *at = tacit_bodies_put(bodies, (tacit_node_t)owner, &model[i].digest,
                                         model[i].bytes, model[i].size);
    if ((at != NULL) != fits) {
        return "the quota is not kept";
    }
    if (at != NULL) {
        model[i].owner = model[i].references == 0 ? owner : model[i].owner;
        model[i].references++;
    }
    return NULL;
}

static const char *look(struct tacit_bodies *bodies, const struct model *model)
{
    uint32_t bytes = 77;
    const uint8_t *at = tacit_bodies_find(bodies, &model->digest, &bytes);
    if ((at != NULL) != (model->references > 0)) {
        return "found or not found";
    }
    if (at != NULL && (bytes != model->size || memcmp(at, model->bytes, bytes) != 0)) {
        return "other bytes";
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
        switch (choice_u32(&choice, 4)) {
        case 0:
            wrong = put(bodies, model, i, choice_u32(&choice, OWNERS));
            break;
        case 1:
            if (tacit_bodies_hold(bodies, &model[i].digest) != (model[i].references > 0)) {
                wrong = "hold";
            }
            model[i].references += model[i].references > 0;
            break;
        case 2:
            if (model[i].references > 0) {
                tacit_bodies_release(bodies, &model[i].digest);
                model[i].references--;
            }
            break;
        default:
            wrong = look(bodies, &model[i]);
        }
        wrong = wrong == NULL ? tacit_bodies_check(bodies) : wrong;
    }
    for (uint32_t i = 0; wrong == NULL && i < BODIES; i++) {
        wrong = look(bodies, &model[i]);
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
        taken += tacit_bodies_put(bodies, 1, &digest, "x", 1) != NULL;
    }
    assert_int_equal(taken, SMALL_EACH);
    for (uint32_t i = 2000; i < 2000 + SMALL_EACH; i++) {
        memcpy(digest.bytes, &i, sizeof i);
        assert_non_null(tacit_bodies_put(bodies, 0, &digest, "x", 1));
    }
    assert_null(tacit_bodies_check(bodies));
    free(memory);
}

#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
static void bugs__are_found(void **state)
{
    (void)state;
    tacit_seeded_bug = TACIT_BUG_BODIES_SHARED_QUOTA;
    bool found = false;
    for (uint64_t seed = 1; seed <= 20 && !found; seed++) {
        found = run(seed) != NULL;
    }
    tacit_seeded_bug = TACIT_BUG_NONE;
    assert_true(found);
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
        cmocka_unit_test(bugs__are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
