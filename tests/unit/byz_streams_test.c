// SPDX-License-Identifier: Apache-2.0
//
// Stream states: what a stream may say next, one canonical encoding of what it said, hostile bytes,
// and the selection rule against a second writing of it, for every combination of what two of three
// replicas can hold about a slot.
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
#include "core/byzantine/streams.h"

enum { WINDOW = 8, ENTRY = 48, HEADER = 128, STATES_MAX = 3 };

#define BYTES_MAX 2048u

static uint64_t memory[STATES_MAX + 1][WINDOW * (3 * sizeof(struct tacit_slot_value) + 8) / 8 + 32];
static const struct tacit_digest root = {{7}};
static const struct tacit_slot_value no_claims[1];

static struct tacit_digest value_of(unsigned value)
{
    return (struct tacit_digest){{(uint8_t)(value + 1), 0xd1}};
}

static struct tacit_stream fresh(unsigned place, uint32_t window, uint64_t base)
{
    struct tacit_stream stream = {0};
    struct tacit_bump bump = {.base = (char *)memory[place]};
    assert_true(window <= WINDOW);
    memset(memory[place], 0xa5, sizeof memory[place]);
    tacit_stream_init(&stream, &bump, window);
    assert_true(bump.used <= sizeof memory[place]);
    tacit_stream_reset(&stream, base, &root);
    return stream;
}

static bool prepare(struct tacit_stream *stream, uint64_t view, uint64_t slot, unsigned value)
{
    struct tacit_digest digest = value_of(value);
    return tacit_stream_prepare(stream, view, slot, &digest);
}

static bool commit(struct tacit_stream *stream, uint64_t view, uint64_t slot, unsigned value)
{
    struct tacit_digest digest = value_of(value);
    return tacit_stream_commit(stream, view, slot, &digest);
}

static bool newview(struct tacit_stream *stream, uint64_t view, uint64_t base, uint64_t slot,
                    unsigned value)
{
    struct tacit_slot_value force = {.slot = slot, .view = 0, .digest = value_of(value)};
    return tacit_stream_newview(stream, view, base, &root, &force, slot == TACIT_SLOT_NONE ? 0 : 1);
}

static void assert_same_bytes(const struct tacit_stream *a, const struct tacit_stream *b)
{
    uint8_t one[BYTES_MAX], other[BYTES_MAX];
    size_t bytes = tacit_stream_encode(a, one);
    assert_int_equal(bytes, tacit_stream_encode(b, other));
    assert_memory_equal(one, other, bytes);
}

// ---- what a stream may say
// -----------------------------------------------------------------------

static void prepare__once_a_slot_and_view_inside_the_window(void **state)
{
    (void)state;
    struct tacit_stream s = fresh(0, WINDOW, 16);
    assert_false(prepare(&s, 0, 15, 0));
    assert_false(prepare(&s, 0, 16 + WINDOW, 0));
    assert_false(prepare(&s, 0, UINT64_MAX, 0));
    assert_false(prepare(&s, 1, 16, 0)); // of another view than the sender's
    assert_true(prepare(&s, 0, 16, 0));
    assert_false(prepare(&s, 0, 16, 0)); // not even the same value
    assert_false(prepare(&s, 0, 16, 1));
    assert_true(prepare(&s, 0, 16 + WINDOW - 1, 1));
    // The window moves: the place of an old slot is free for the one that follows it.
    assert_true(tacit_stream_checkpoint(&s, 17, &root));
    assert_true(prepare(&s, 0, 16 + WINDOW, 2));
    assert_false(prepare(&s, 0, 16 + WINDOW, 2));
    assert_false(prepare(&s, 0, 16, 0));
}

static void prepare__obeys_newview(void **state)
{
    (void)state;
    struct tacit_stream s = fresh(0, WINDOW, 16);
    assert_true(prepare(&s, 0, 18, 0));
    assert_true(tacit_stream_seal(&s, 2, no_claims, 0));
    assert_false(prepare(&s, 0, 19, 0)); // sealed
    assert_false(prepare(&s, 3, 19, 0)); // no NEW_VIEW yet
    assert_false(newview(&s, 2, 18, 19, 1));
    assert_true(newview(&s, 3, 17, 19, 1));
    assert_int_equal(s.newview_end, 20);
    assert_int_equal(s.base, 17);
    assert_false(newview(&s, 3, 17, 19, 1)); // one a view
    assert_false(prepare(&s, 3, 16, 1));     // below its base
    assert_false(prepare(&s, 3, 19, 0));     // another value than the forced one
    assert_true(prepare(&s, 3, 19, 1));
    assert_true(prepare(&s, 3, 18, 2)); // used in an older view only, and free
    assert_false(prepare(&s, 3, 18, 2));
    // The next view forgets it all.
    assert_true(tacit_stream_seal(&s, 3, no_claims, 0));
    assert_null(tacit_stream_force_of(&s, 19));
    assert_false(prepare(&s, 4, 19, 0));
    assert_true(newview(&s, 4, 17, TACIT_SLOT_NONE, 0));
    assert_true(prepare(&s, 4, 19, 0));
    // There is none for view 0, which needs none.
    s = fresh(0, WINDOW, 0);
    assert_false(newview(&s, 0, 0, TACIT_SLOT_NONE, 0));
}

static void newview__below_the_senders_base_keeps_that(void **state)
{
    (void)state;
    struct tacit_stream s = fresh(0, WINDOW, 0);
    assert_true(tacit_stream_seal(&s, 0, no_claims, 0));
    assert_true(tacit_stream_checkpoint(&s, 6, &root));
    assert_true(newview(&s, 1, 4, 7, 1));
    assert_int_equal(s.base, 6);
    assert_false(prepare(&s, 1, 5, 0)); // at or above NEW_VIEW's base, but finished
    assert_false(prepare(&s, 1, 7, 0));
    assert_true(prepare(&s, 1, 7, 1));
    assert_true(prepare(&s, 1, 6, 0));
}

static void commit__once_a_slot_and_view(void **state)
{
    (void)state;
    struct tacit_stream s = fresh(0, WINDOW, 8);
    assert_false(commit(&s, 0, 7, 0));
    assert_false(commit(&s, 0, 8 + WINDOW, 0));
    assert_false(commit(&s, 1, 8, 0));
    assert_true(commit(&s, 0, 8, 0));
    assert_false(commit(&s, 0, 8, 0));
    assert_false(commit(&s, 0, 8, 1));
    assert_true(tacit_stream_seal(&s, 0, no_claims, 0));
    assert_false(commit(&s, 0, 9, 0));                        // of a view that it sealed
    assert_int_equal(tacit_stream_commit_of(&s, 8)->view, 0); // carried
    assert_true(commit(&s, 1, 8, 1));
    assert_int_equal(tacit_stream_commit_of(&s, 8)->view, 1);
    assert_true(tacit_stream_checkpoint(&s, 9, &root));
    assert_null(tacit_stream_commit_of(&s, 8));
    assert_null(tacit_stream_commit_of(&s, 8 + WINDOW)); // same place
}

static void checkpoint__only_forward_and_drops_claims_below(void **state)
{
    (void)state;
    struct tacit_stream s = fresh(0, WINDOW, 4);
    struct tacit_slot_value claims[3] = {{.slot = 4}, {.slot = 6}, {.slot = 7}};
    assert_true(tacit_stream_seal(&s, 0, claims, 3));
    assert_false(tacit_stream_checkpoint(&s, 4, &root));
    assert_false(tacit_stream_checkpoint(&s, 3, &root));
    struct tacit_digest other = value_of(5);
    assert_true(tacit_stream_checkpoint(&s, 6, &other));
    assert_int_equal(s.claim_count, 2);
    assert_int_equal(s.claims[0].slot, 6);
    assert_int_equal(s.claims[1].slot, 7);
    assert_true(tacit_digest_is_equal(&s.base_digest, &other));
    assert_true(tacit_stream_checkpoint(&s, 400, &root));
    assert_int_equal(s.claim_count, 0);
}

static void seal__only_forward_with_claims_in_order(void **state)
{
    (void)state;
    struct tacit_stream s = fresh(0, WINDOW, 4);
    struct tacit_slot_value claims[WINDOW + 1] = {{.slot = 4, .view = 2}, {.slot = 11, .view = 3}};
    assert_false(tacit_stream_seal(&s, 1, claims, 1)); // ACKed in a later view than it seals
    assert_false(tacit_stream_seal(&s, 2, claims, 2));
    assert_false(tacit_stream_seal(&s, UINT64_MAX, claims, 2)); // there is no view after it
    claims[1].slot = 12;
    assert_false(tacit_stream_seal(&s, 3, claims, 2)); // beyond the window
    claims[1].slot = 4;
    assert_false(tacit_stream_seal(&s, 3, claims, 2)); // twice
    claims[0].slot = 3;
    assert_false(tacit_stream_seal(&s, 3, claims, 2)); // below the base
    claims[0].slot = 5;
    assert_false(tacit_stream_seal(&s, 3, claims, 2)); // not in order
    for (uint32_t i = 0; i < WINDOW + 1; i++) {
        claims[i] = (struct tacit_slot_value){.slot = 4 + i};
    }
    assert_false(tacit_stream_seal(&s, 3, claims, WINDOW + 1));
    assert_int_equal(s.view, 0); // what was refused left nothing behind
    assert_int_equal(s.claim_count, 0);
    assert_true(tacit_stream_seal(&s, 3, claims, WINDOW));
    assert_int_equal(s.view, 4);
    assert_false(tacit_stream_seal(&s, 3, claims, 1)); // again
    assert_false(tacit_stream_seal(&s, 2, claims, 1));
    assert_true(tacit_stream_seal(&s, 4, claims, 1));
    assert_int_equal(s.claim_count, 1); // of the newest only
}

// ---- encoding
// ------------------------------------------------------------------------------------

// One random step that a stream may or may not take.
static void draw_step(struct choice *c, struct tacit_stream *s)
{
    uint8_t scratch[BYTES_MAX];
    struct tacit_slot_value entries[WINDOW];
    uint64_t slot = s->base + choice_u32(c, s->window + 1);
    uint32_t count = 0;
    for (uint64_t at = s->base; at < s->base + s->window; at++) {
        if (choice_u32(c, 3) == 2) {
            uint64_t view = choice_u32(c, (uint32_t)s->view + 1);
            entries[count++] = (struct tacit_slot_value){at, view, value_of(choice_u32(c, 3))};
        }
    }
    switch (choice_u32(c, 8)) {
    case 0:
        (void)tacit_stream_checkpoint(s, s->base + choice_u32(c, 4), &root);
        break;
    case 1:
        if (tacit_stream_seal(s, s->view + choice_u32(c, 2), entries, count)) {
            assert_true(tacit_stream_sealed(s, scratch) <= tacit_stream_bytes_max(s->window));
        }
        break;
    case 2:
        (void)tacit_stream_newview(s, s->view, s->base, &root, entries, count);
        break;
    case 3:
    case 4:
        (void)commit(s, s->view, slot, choice_u32(c, 3));
        break;
    default:
        (void)prepare(s, s->view, slot, choice_u32(c, 3));
    }
}

static void assert_comes_back(const struct tacit_stream *s)
{
    uint8_t bytes[BYTES_MAX];
    size_t size = tacit_stream_encode(s, bytes);
    struct tacit_stream back = fresh(STATES_MAX, s->window, 99);
    assert_true(size <= tacit_stream_bytes_max(s->window));
    assert_int_equal(tacit_stream_decode(&back, bytes, size), TACIT_VERDICT_OK);
    assert_same_bytes(s, &back);
    assert_true(tacit_digest_is_equal(&s->seal_digest, &back.seal_digest));
    // Equal bytes are equal rules.
    for (uint64_t slot = s->base; slot < s->base + s->window; slot++) {
        for (unsigned value = 0; value < 3; value++) {
            struct tacit_digest digest = value_of(value);
            assert_int_equal(tacit_stream_is_legal(s, s->view, slot, &digest),
                             tacit_stream_is_legal(&back, s->view, slot, &digest));
        }
        assert_int_equal(s->used[slot % s->window] == slot + 1,
                         back.used[slot % s->window] == slot + 1);
    }
    if (s->newview_end > s->base) { // where the leader goes on with what is forced
        assert_int_equal(s->newview_end, back.newview_end);
    }
}

static void encoding__comes_back_as_it_was(void **state)
{
    (void)state;
    struct choice c;
    choice_init_seed(&c, 11);
    uint64_t views = 0, bases = 0;
    for (unsigned run = 0; run < 300; run++) {
        struct tacit_stream s = fresh(0, 1 + choice_u32(&c, WINDOW), choice_u32(&c, 40));
        for (unsigned step = 0; step < 40; step++) {
            draw_step(&c, &s);
            assert_comes_back(&s);
        }
        views += s.view;
        bases += s.base;
    }
    assert_true(views > 300 && bases > 300);
}

// Every state of a window of two that four steps of a small menu lead to.
static void encoding__of_all_small_states(void **state)
{
    (void)state;
    struct choice c;
    unsigned runs = 0;
    choice_init_odometer(&c);
    do {
        struct tacit_stream s = fresh(0, 2, 0);
        for (unsigned step = 0; step < 4; step++) {
            struct tacit_slot_value claim = {s.base + 1, 0, value_of(1)};
            switch (choice_u32(&c, 8)) {
            case 0:
                (void)prepare(&s, s.view, s.base, 0);
                break;
            case 1:
                (void)prepare(&s, s.view, s.base + 1, 1);
                break;
            case 2:
                (void)commit(&s, s.view, s.base, 0);
                break;
            case 3:
                (void)commit(&s, s.view, s.base + 1, 1);
                break;
            case 4:
                (void)tacit_stream_checkpoint(&s, s.base + 1, &root);
                break;
            case 5:
                (void)tacit_stream_seal(&s, s.view, &claim, 1);
                break;
            case 6:
                (void)newview(&s, s.view, s.base, s.base, 0);
                break;
            default:
                (void)tacit_stream_seal(&s, s.view + 1, no_claims, 0);
            }
        }
        assert_comes_back(&s);
        runs++;
    } while (choice_odometer_next(&c));
    assert_int_equal(runs, 8 * 8 * 8 * 8);
}

// What is refused leaves the stream as new; what is accepted encodes to the same bytes.
static void assert_canonical(const uint8_t *bytes, size_t size, uint32_t window)
{
    uint8_t *exact = malloc(size > 0 ? size : 1); // so that a read beyond its end is seen
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    struct tacit_stream back = fresh(STATES_MAX, window, 99);
    enum tacit_verdict verdict = tacit_stream_decode(&back, exact, size);
    free(exact);
    if (verdict == TACIT_VERDICT_OK) {
        uint8_t again[BYTES_MAX];
        assert_int_equal(tacit_stream_encode(&back, again), size);
        assert_memory_equal(again, bytes, size);
        return;
    }
    struct tacit_stream none = fresh(1, window, 0);
    static const struct tacit_digest zero;
    tacit_stream_reset(&none, 0, &zero);
    assert_int_equal(verdict, TACIT_VERDICT_MALFORMED);
    assert_same_bytes(&back, &none);
}

static size_t draw_state(struct choice *c, uint32_t window, uint8_t *bytes)
{
    struct tacit_stream s = fresh(0, window, choice_u32(c, 20));
    for (unsigned step = choice_u32(c, 40); step > 0; step--) {
        draw_step(c, &s);
    }
    return tacit_stream_encode(&s, bytes);
}

static void decode__of_hostile_bytes(void **state)
{
    (void)state;
    struct choice c;
    uint8_t bytes[BYTES_MAX + 64];
    choice_init_seed(&c, 12);
    for (unsigned run = 0; run < 400; run++) {
        uint32_t window = 1 + choice_u32(&c, WINDOW);
        size_t size = draw_state(&c, window, bytes);
        memset(bytes + size, 0, 64);
        for (unsigned more = 1; more <= 64; more++) { // no tail
            struct tacit_stream back = fresh(STATES_MAX, window, 0);
            assert_int_equal(tacit_stream_decode(&back, bytes, size + more),
                             TACIT_VERDICT_MALFORMED);
        }
        assert_canonical(bytes, choice_u32(&c, (uint32_t)size), window);
        for (unsigned change = 0; change < 40; change++) {
            uint8_t damaged[BYTES_MAX];
            memcpy(damaged, bytes, size);
            for (unsigned n = 1 + choice_u32(&c, 2); n > 0; n--) {
                // Heads, and numbers in entries, more often than digests.
                uint32_t at = choice_u32(&c, (uint32_t)size) & (choice_u32(&c, 2) ? ~7u : ~0u);
                static const uint8_t liked[] = {0, 1, 2, 0x7f, 0x80, 0xff};
                damaged[at] = choice_u32(&c, 2) ? liked[choice_u32(&c, 6)]
                                                : (uint8_t)(damaged[at] + 1 - choice_u32(&c, 3));
            }
            assert_canonical(damaged, size, window);
        }
    }
}

static void put(uint8_t *bytes, size_t at, uint64_t value)
{
    memcpy(bytes + at, &value, 8);
}

static void decode__refuses_each_inconsistency(void **state)
{
    (void)state;
    struct tacit_stream s = fresh(0, WINDOW, 4);
    struct tacit_slot_value claims[2] = {{4, 0, value_of(0)}, {5, 0, value_of(0)}};
    uint8_t good[BYTES_MAX], bytes[BYTES_MAX];
    assert_true(commit(&s, 0, 4, 0) && commit(&s, 0, 6, 0));
    assert_true(tacit_stream_seal(&s, 0, claims, 2));
    assert_true(newview(&s, 1, 4, 5, 0));
    assert_true(prepare(&s, 1, 4, 0) && prepare(&s, 1, 5, 0));
    size_t size = tacit_stream_encode(&s, good);
    assert_int_equal(size, HEADER + 5 * ENTRY + 2 * 8);
    const size_t commits = HEADER, lists = HEADER + 2 * ENTRY, used = HEADER + 5 * ENTRY;
    const struct {
        size_t at;
        uint64_t value;
    } wrong[] = {
        {8, 5},                          // base above slots that are named
        {8, UINT64_MAX},                 // no window fits above
        {16, 3},                         // counts that do not make up the size
        {16, UINT64_MAX},                //
        {16, WINDOW + 1},                //
        {24, 1},                         //
        {32, 1ull << 61},                // times 48: nearly nothing
        {40, 1},                         //
        {48, 2},                         // neither there nor not there
        {48, 0},                         // forced without NEW_VIEW
        {commits, 7},                    // not in order
        {commits, 3},                    // below the base
        {commits + ENTRY, 4},            // twice
        {commits + ENTRY, 4 + WINDOW},   // beyond the window
        {commits + 8, 2},                // of a view that it has not reached
        {lists, 6},                      // claims: not in order
        {lists + ENTRY, UINT64_MAX},     //
        {lists + 8, 2},                  //
        {lists + 2 * ENTRY, 4 + WINDOW}, // forced beyond the window
        {used, 5},                       // twice
        {used + 8, 4 + WINDOW},          //
    };
    assert_canonical(good, size, WINDOW);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        memcpy(bytes, good, size);
        put(bytes, wrong[i].at, wrong[i].value);
        struct tacit_stream back = fresh(STATES_MAX, WINDOW, 0);
        assert_int_equal(tacit_stream_decode(&back, bytes, size), TACIT_VERDICT_MALFORMED);
    }
    for (size_t less = 0; less < size; less++) {
        struct tacit_stream back = fresh(STATES_MAX, WINDOW, 0);
        assert_int_equal(tacit_stream_decode(&back, good, less), TACIT_VERDICT_MALFORMED);
    }
}

// Any two histories that leave the same, leave the same bytes; anything else differs.
static void sealed__names_the_state_after_it(void **state)
{
    (void)state;
    uint8_t out[BYTES_MAX];
    struct tacit_stream a = fresh(0, WINDOW, 0);
    struct tacit_stream b = fresh(1, WINDOW, 0);
    assert_true(commit(&a, 0, 1, 0) && commit(&a, 0, 2, 1));
    assert_true(commit(&b, 0, 2, 1) && commit(&b, 0, 1, 0));
    assert_true(prepare(&b, 0, 3, 0)); // of the view that ends
    assert_true(tacit_stream_seal(&a, 0, no_claims, 0) && tacit_stream_seal(&b, 0, no_claims, 0));
    struct tacit_digest before = a.seal_digest;
    size_t bytes = tacit_stream_sealed(&a, out);
    struct tacit_digest digest;
    tacit_body_digest(&digest, out, bytes);
    assert_true(tacit_digest_is_equal(&digest, &a.seal_digest));
    assert_false(tacit_digest_is_equal(&before, &a.seal_digest));
    (void)tacit_stream_sealed(&b, out);
    assert_true(tacit_digest_is_equal(&a.seal_digest, &b.seal_digest));
    assert_same_bytes(&a, &b);
    assert_true(commit(&a, 1, 1, 0));
    assert_true(tacit_stream_seal(&a, 1, no_claims, 0) && tacit_stream_seal(&b, 1, no_claims, 0));
    (void)tacit_stream_sealed(&a, out);
    (void)tacit_stream_sealed(&b, out);
    assert_false(tacit_digest_is_equal(&a.seal_digest, &b.seal_digest));
}

// ---- claims
// --------------------------------------------------------------------------------------

static void claims__come_back_and_hostile_ones_do_not(void **state)
{
    (void)state;
    struct choice c;
    choice_init_seed(&c, 13);
    for (unsigned run = 0; run < 2000; run++) {
        struct tacit_slot_value in[WINDOW], out[WINDOW];
        uint8_t bytes[8 + (WINDOW + 1) * ENTRY];
        uint32_t count = choice_u32(&c, WINDOW + 1), got;
        uint64_t slot = choice_u32(&c, 5), view = 2;
        for (uint32_t i = 0; i < count; i++, slot += 1 + choice_u32(&c, 3)) {
            in[i] = (struct tacit_slot_value){slot, choice_u32(&c, 3), value_of(i)};
        }
        size_t size = tacit_claims_encode(bytes, in, count);
        assert_int_equal(tacit_claims_decode(out, &got, WINDOW, view, bytes, size),
                         TACIT_VERDICT_OK);
        assert_int_equal(got, count);
        assert_memory_equal(in, out, count * sizeof in[0]);
        // Each size that is not the count's, and a window that is too small.
        for (size_t other = 0; other < sizeof bytes; other++) {
            assert_true(other == size || tacit_claims_decode(out, &got, WINDOW, view, bytes,
                                                             other) == TACIT_VERDICT_MALFORMED);
        }
        assert_true(count == 0 || tacit_claims_decode(out, &got, count - 1, view, bytes, size) ==
                                      TACIT_VERDICT_MALFORMED);
        if (count < 2) {
            continue;
        }
        uint32_t one = 1 + choice_u32(&c, count - 1);
        uint8_t damaged[sizeof bytes];
        memcpy(damaged, bytes, size);
        put(damaged, 8 + one * ENTRY, in[one - 1].slot); // twice the same slot
        assert_int_equal(tacit_claims_decode(out, &got, WINDOW, view, damaged, size),
                         TACIT_VERDICT_MALFORMED);
        assert_int_equal(got, 0);
        memcpy(damaged, bytes, size);
        put(damaged, 8 + one * ENTRY + 8, view + 1); // of a later view than it seals
        assert_int_equal(tacit_claims_decode(out, &got, WINDOW, view, damaged, size),
                         TACIT_VERDICT_MALFORMED);
        memcpy(damaged, bytes, size);
        put(damaged, 0, (uint64_t)count | 1ull << 32); // the padding belongs to the count
        assert_int_equal(tacit_claims_decode(out, &got, WINDOW, view, damaged, size),
                         TACIT_VERDICT_MALFORMED);
    }
}

// ---- selection
// -----------------------------------------------------------------------------------

// What a state says about slot 0: nothing, or (view, value) of two views and two values.
enum { NOTHING = 4, ITEMS = 5 };

struct holding {
    unsigned commit, claim; // view * 2 + value, NOTHING
};

// The rule as the design writes it, over sets instead of a running maximum. -1: free, -2: two
// COMMITs of one view.
static int reference(const struct holding *holdings, unsigned count)
{
    for (unsigned view = 2; view-- > 0;) {
        bool committed[2] = {false}, claimed[2] = {false};
        for (unsigned i = 0; i < count; i++) {
            for (unsigned value = 0; value < 2; value++) {
                committed[value] |= holdings[i].commit == view * 2 + value;
                claimed[value] |= holdings[i].claim == view * 2 + value;
            }
        }
        if (committed[0] && committed[1]) {
            return -2;
        }
        if (committed[0] || committed[1]) {
            return committed[1];
        }
        if (claimed[0] && claimed[1]) {
            return -1;
        }
        if (claimed[0] || claimed[1]) {
            return claimed[1];
        }
    }
    return -1;
}

static bool is_possible(const struct holding *holdings, unsigned count)
{
    bool seen[4] = {false};
    for (unsigned i = 0; i < count; i++) {
        if (holdings[i].commit != NOTHING) {
            seen[holdings[i].commit] = true;
        }
    }
    return !(seen[0] && seen[1]) && !(seen[2] && seen[3]);
}

static struct tacit_stream state_of(unsigned place, const struct holding *holding)
{
    struct tacit_stream s = fresh(place, WINDOW, 0);
    struct tacit_slot_value claim = {0, holding->claim / 2, value_of(holding->claim % 2)};
    uint64_t view = holding->commit == NOTHING ? 0 : holding->commit / 2;
    if (view == 1) {
        assert_true(tacit_stream_seal(&s, 0, no_claims, 0));
    }
    assert_true(holding->commit == NOTHING || commit(&s, view, 0, holding->commit % 2));
    assert_true(tacit_stream_seal(&s, 1, &claim, holding->claim == NOTHING ? 0 : 1));
    return s;
}

// -1: free, -2: refused.
static int selected(const struct holding *holdings, unsigned count)
{
    struct tacit_stream states[STATES_MAX];
    const struct tacit_stream *pointers[STATES_MAX];
    struct tacit_slot_value force[WINDOW];
    uint32_t forced = 77;
    for (unsigned i = 0; i < count; i++) {
        states[i] = state_of(i, &holdings[i]);
        pointers[i] = &states[i];
    }
    if (!tacit_select(pointers, count, 0, WINDOW, force, &forced)) {
        return -2;
    }
    assert_true(forced <= 1);
    if (forced == 0) {
        return -1;
    }
    struct tacit_digest zero = value_of(0), one = value_of(1);
    assert_int_equal(force[0].slot, 0);
    bool is_one = tacit_digest_is_equal(&force[0].digest, &one);
    assert_true(is_one || tacit_digest_is_equal(&force[0].digest, &zero));
    return is_one;
}

// All that `count` states can hold, but for COMMITs of one view that differ below the top: checked
// certificates exclude these, and the rule does not speak of them.
static unsigned compare_all(unsigned count)
{
    struct choice c;
    unsigned wrong = 0, seen = 0;
    choice_init_odometer(&c);
    do {
        struct holding holdings[STATES_MAX], turned[STATES_MAX];
        for (unsigned i = 0; i < count; i++) {
            holdings[i].commit = choice_u32(&c, ITEMS);
            holdings[i].claim = choice_u32(&c, ITEMS);
        }
        int want = reference(holdings, count);
        if (!is_possible(holdings, count) && want != -2) {
            continue;
        }
        seen++;
        wrong += selected(holdings, count) != want;
        for (unsigned turn = 1; turn < count; turn++) { // every order for two, all turns for three
            for (unsigned i = 0; i < count; i++) {
                turned[i] = holdings[(i + turn) % count];
            }
            wrong += selected(turned, count) != want;
        }
    } while (choice_odometer_next(&c));
    assert_true(seen > 400);
    return wrong;
}

static void select__of_all_pairs_of_states(void **state)
{
    (void)state;
    assert_int_equal(compare_all(2), 0);
}

static void select__of_all_triples_of_states(void **state)
{
    (void)state;
    assert_int_equal(compare_all(3), 0);
}

static void select__looks_at_slots_from_the_base_on(void **state)
{
    (void)state;
    struct tacit_stream a = fresh(0, WINDOW, 0), b = fresh(1, WINDOW, 4);
    const struct tacit_stream *states[] = {&a, &b};
    struct tacit_slot_value force[WINDOW], claims[2] = {{6, 0, value_of(1)}, {11, 0, value_of(0)}};
    uint32_t forced;
    assert_true(commit(&a, 0, 3, 0) && commit(&a, 0, 5, 0) && commit(&a, 0, 7, 1));
    assert_true(tacit_stream_seal(&a, 0, no_claims, 0) && tacit_stream_seal(&b, 0, claims, 2));
    assert_true(tacit_select(states, 2, 4, WINDOW, force, &forced));
    const uint64_t want[] = {5, 6, 7, 11};
    assert_int_equal(forced, 4);
    for (uint32_t i = 0; i < forced; i++) {
        assert_int_equal(force[i].slot, want[i]);
    }
}

static void select__fails_when_commits_do_not_outrank(void **state)
{
    (void)state;
#if TACIT_SEEDED_BUGS
    tacit_seeded_bug = TACIT_BUG_CLAIM_EQUALS_COMMIT;
    unsigned wrong = compare_all(2);
    tacit_seeded_bug = TACIT_BUG_NONE;
    assert_true(wrong > 0);
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prepare__once_a_slot_and_view_inside_the_window),
        cmocka_unit_test(prepare__obeys_newview),
        cmocka_unit_test(newview__below_the_senders_base_keeps_that),
        cmocka_unit_test(commit__once_a_slot_and_view),
        cmocka_unit_test(checkpoint__only_forward_and_drops_claims_below),
        cmocka_unit_test(seal__only_forward_with_claims_in_order),
        cmocka_unit_test(encoding__comes_back_as_it_was),
        cmocka_unit_test(encoding__of_all_small_states),
        cmocka_unit_test(decode__of_hostile_bytes),
        cmocka_unit_test(decode__refuses_each_inconsistency),
        cmocka_unit_test(sealed__names_the_state_after_it),
        cmocka_unit_test(claims__come_back_and_hostile_ones_do_not),
        cmocka_unit_test(select__of_all_pairs_of_states),
        cmocka_unit_test(select__of_all_triples_of_states),
        cmocka_unit_test(select__looks_at_slots_from_the_base_on),
        cmocka_unit_test(select__fails_when_commits_do_not_outrank),
    };
    return cmocka_run_group_tests_name("byz_streams", tests, NULL, NULL);
}
