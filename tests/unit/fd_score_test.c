// SPDX-License-Identifier: Apache-2.0
//
// The failure detector over a fake fabric: every short sequence of what can happen to one peer,
// compared step by step with a second, naive statement of the rules; and each rule of tacit/fd.h by
// name.
//
// TACIT_LABELS: unit exhaustive
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// Last: it wants the four above.
#include <cmocka.h>

#include "tacit/fd.h"
#include "tacit/layout.h"

#define BEAT 1000u
#define TIMEOUT (40u * BEAT)
#define GRACE (100u * BEAT)
#define PEER 1u

// A fabric with one page per host; what is posted stays until the test completes it.
struct fake {
    struct tacit_fabric fabric;
    struct tacit_op op; // the read under way
    bool has_op;
    bool refuse;
    int32_t region;
    uint32_t posts, resets;
};

static struct fake *fake_of(struct tacit_fabric *fabric)
{
    return (struct fake *)fabric; // its first member
}

static bool fake_post(struct tacit_fabric *fabric, const struct tacit_op *op)
{
    struct fake *fake = fake_of(fabric);
    assert_int_equal(op->kind, TACIT_OP_READ);
    assert_int_equal(op->plane, TACIT_PLANE_BACKGROUND);
    assert_int_equal(op->offset, TACIT_PAGE_BEATS);
    assert_int_equal(op->bytes, 16);
    assert_int_equal(TACIT_COOKIE_OWNER(op->cookie), TACIT_COOKIE_FD);
    if (fake->refuse) {
        return false;
    }
    assert_false(fake->has_op); // one at a time (the tests watch one peer)
    fake->op = *op;
    fake->has_op = true;
    fake->posts++;
    return true;
}

static int32_t fake_region(struct tacit_fabric *fabric, tacit_node_t host,
                           struct tacit_region_key key)
{
    assert_int_equal(key.region_class, TACIT_REGION_PAGE);
    assert_int_equal(key.owner, host);
    return fake_of(fabric)->region;
}

static void fake_reset(struct tacit_fabric *fabric, tacit_node_t host)
{
    assert_int_equal(host, PEER);
    fake_of(fabric)->resets++;
}

static const struct tacit_fabric_ops fake_ops = {
    .post = fake_post, .region = fake_region, .reset = fake_reset};

struct bed {
    struct fake fake;
    struct tacit_fd *fd;
    struct tacit_detector detector;
    void *memory;
    tacit_time_ns_t now_ns;
    uint32_t trusted, dead;
    uint64_t beats;
};

static void bed_open(struct bed *bed)
{
    memset(bed, 0, sizeof *bed);
    struct tacit_fd_config config = {.replicas = 2,
                                     .self = 0,
                                     .beat_period_ns = BEAT,
                                     .period_max_ns = 16 * BEAT,
                                     .read_timeout_ns = TIMEOUT,
                                     .grace_ns = GRACE};
    bed->fake.fabric = (struct tacit_fabric){.ops = &fake_ops, .self = 0, .incarnation = 1};
    bed->now_ns = 5000000;
    bed->memory = aligned_alloc(64, tacit_fd_size());
    assert_non_null(bed->memory);
    tacit_fd_init(&bed->fd, bed->memory, &config, &bed->fake.fabric, bed->now_ns);
    bed->detector = tacit_fd_detector(bed->fd);
}

static void bed_close(struct bed *bed)
{
    free(bed->memory);
}

static bool bed_poll(struct bed *bed)
{
    return bed->detector.poll(bed->detector.context, bed->now_ns, &bed->trusted, &bed->dead);
}

static void bed_event(struct bed *bed, uint8_t kind, tacit_incarnation_t incarnation, bool certain)
{
    struct tacit_event event = {
        .kind = kind, .node = PEER, .incarnation = incarnation, .certain = certain};
    bed->detector.event(bed->detector.context, &event, bed->now_ns);
}

// Completes the read under way with what the peer's page says now.
static void bed_complete(struct bed *bed, uint8_t status, uint64_t period_ns)
{
    assert_true(bed->fake.has_op);
    uint64_t *to = bed->fake.op.local;
    to[0] = bed->beats;
    to[1] = period_ns;
    bed->fake.has_op = false;
    struct tacit_event event = {.kind = TACIT_EVENT_COMPLETION,
                                .status = status,
                                .node = PEER,
                                .cookie = bed->fake.op.cookie};
    bed->detector.event(bed->detector.context, &event, bed->now_ns);
}

// Goes to the next read and answers it, with or without a new beat.
static void bed_sample(struct bed *bed, bool changed)
{
    bed->now_ns = bed->now_ns + 2 * BEAT;
    (void)bed_poll(bed);
    assert_true(bed->fake.has_op);
    bed->beats += changed;
    bed_complete(bed, TACIT_COMPLETION_OK, BEAT);
    (void)bed_poll(bed);
}

static bool bed_trusts(const struct bed *bed)
{
    return (bed->trusted & 1u << PEER) != 0;
}

static void bed_connect(struct bed *bed, tacit_incarnation_t incarnation)
{
    bed_event(bed, TACIT_EVENT_UP, incarnation, false);
    (void)bed_poll(bed);
    bed_complete(bed, TACIT_COMPLETION_OK, BEAT); // the first read has nothing to compare with
    (void)bed_poll(bed);
}

// ---- every sequence ----------------------------------------------------------------------------

// The rules once more, over one number line.
struct naive {
    unsigned score;
    bool trusted;
};

static void naive_step(struct naive *naive, bool changed)
{
    if (changed && naive->score < 15) {
        naive->score++;
    } else if (!changed && naive->score > 0) {
        naive->score--;
    }
    naive->trusted = naive->score < 2 ? false : naive->score > 6 ? true : naive->trusted;
}

static void test_all_sequences(void **state)
{
    (void)state;
    struct bed bed;
    enum { LENGTH = 18 };
    for (uint32_t sequence = 0; sequence < 1u << LENGTH; sequence++) {
        struct naive naive = {.score = 15, .trusted = true};
        bed_open(&bed);
        bed_connect(&bed, 1);
        for (unsigned i = 0; i < LENGTH; i++) {
            bool changed = (sequence >> i & 1u) != 0;
            bed_sample(&bed, changed);
            naive_step(&naive, changed);
            assert_int_equal(tacit_fd_score(bed.fd, PEER), naive.score);
            assert_int_equal(bed_trusts(&bed), naive.trusted);
            assert_int_equal(bed.dead, 0);
            assert_true((bed.trusted & 1u) != 0);
        }
        bed_close(&bed);
    }
}

// From every reachable pair of score and trust, both steps.
static void test_all_states(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (unsigned score = 0; score <= 15; score++) {
        for (int from_below = 0; from_below < 2; from_below++) {
            for (int changed = 0; changed < 2; changed++) {
                struct bed bed;
                struct naive naive = {.score = 15, .trusted = true};
                bed_open(&bed);
                bed_connect(&bed, 1);
                // Down to 0 or up to 15 first, then to the score from that side.
                for (unsigned i = 0; i < 15; i++) {
                    bed_sample(&bed, from_below == 0);
                    naive_step(&naive, from_below == 0);
                }
                while (naive.score != score) {
                    bed_sample(&bed, from_below != 0);
                    naive_step(&naive, from_below != 0);
                }
                bed_sample(&bed, changed != 0);
                naive_step(&naive, changed != 0);
                assert_int_equal(tacit_fd_score(bed.fd, PEER), naive.score);
                assert_int_equal(bed_trusts(&bed), naive.trusted);
                seen++;
                bed_close(&bed);
            }
        }
    }
    assert_int_equal(seen, 16 * 2 * 2);
}

// Every sequence of seven things that can happen to a connection; after each the invariants that a
// replica relies on.
enum happening {
    HAPPEN_BEAT = 0,
    HAPPEN_SILENCE,
    HAPPEN_CUT,
    HAPPEN_DIE,
    HAPPEN_UP_SAME,
    HAPPEN_UP_NEXT,
    HAPPENINGS,
};

static void happen(struct bed *bed, enum happening what, tacit_incarnation_t *incarnation, bool *up,
                   bool *dead)
{
    bed->now_ns += 2 * BEAT;
    (void)bed_poll(bed);
    if (*up && (what == HAPPEN_BEAT || what == HAPPEN_SILENCE) && bed->fake.has_op) {
        bed->beats += what == HAPPEN_BEAT;
        bed_complete(bed, TACIT_COMPLETION_OK, BEAT);
    } else if (*up && (what == HAPPEN_CUT || what == HAPPEN_DIE)) {
        if (bed->fake.has_op) {
            bed_complete(bed, TACIT_COMPLETION_LOST, 0);
        }
        bed_event(bed, TACIT_EVENT_DOWN, *incarnation, what == HAPPEN_DIE);
        *up = false;
        *dead = what == HAPPEN_DIE;
    } else if (!*up && what == HAPPEN_DIE && *incarnation != 0) {
        bed_event(bed, TACIT_EVENT_DOWN, *incarnation, true); // learned later
        *dead = true;
    } else if (!*up && what == HAPPEN_UP_SAME && *incarnation != 0 && !*dead) {
        bed_event(bed, TACIT_EVENT_UP, *incarnation, false);
        *up = true;
    } else if (!*up && what == HAPPEN_UP_NEXT) {
        bed_event(bed, TACIT_EVENT_UP, ++*incarnation, false);
        bed->beats = 0;
        *up = true;
        *dead = false;
    }
    (void)bed_poll(bed);
}

static void test_all_connections(void **state)
{
    (void)state;
    enum { LENGTH = 6 };
    uint32_t total = 1;
    for (unsigned i = 0; i < LENGTH; i++) {
        total *= HAPPENINGS;
    }
    for (uint32_t sequence = 0; sequence < total; sequence++) {
        struct bed bed;
        tacit_incarnation_t incarnation = 0;
        bool up = false, dead = false;
        uint32_t rest = sequence;
        bed_open(&bed);
        for (unsigned i = 0; i < LENGTH; i++) {
            happen(&bed, (enum happening)(rest % HAPPENINGS), &incarnation, &up, &dead);
            rest /= HAPPENINGS;
            assert_int_equal((bed.dead & 1u << PEER) != 0, dead);
            assert_false(dead && bed_trusts(&bed));
            assert_true((bed.trusted & 1u) != 0);
            // Six intervals cannot take a first incarnation from 15 to below 2, nor a later one
            // above 6.
            assert_int_equal(bed_trusts(&bed), !dead && (incarnation <= 1 ? true : false));
            // Something is due, unless nothing can change by time alone.
            tacit_time_ns_t due_ns = bed.detector.deadline(bed.detector.context);
            assert_true(dead ? due_ns == UINT64_MAX : due_ns > bed.now_ns && due_ns != UINT64_MAX);
        }
        bed_close(&bed);
    }
}

// ---- rules -------------------------------------------------------------------------------------

static void test_starts_trusting_until_grace(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed);
    assert_true(bed_poll(&bed)); // the first answer is news
    assert_int_equal(bed.trusted, 3);
    assert_false(bed_poll(&bed));
    assert_int_equal(bed.detector.deadline(bed.detector.context), bed.now_ns + GRACE);
    bed.now_ns += GRACE - 1;
    assert_false(bed_poll(&bed));
    bed.now_ns += 1;
    assert_true(bed_poll(&bed));
    assert_int_equal(bed.trusted, 1);
    assert_int_equal(bed.dead, 0);
    assert_int_equal(tacit_fd_counters(bed.fd)->suspicions, 0);
    bed_connect(&bed, 1); // late, but nothing speaks against it
    assert_int_equal(bed.trusted, 3);
    bed_close(&bed);
}

static void test_never_reads_faster_than_twice_the_period(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed);
    bed_event(&bed, TACIT_EVENT_UP, 1, false);
    (void)bed_poll(&bed);
    uint64_t periods[] = {BEAT, 4 * BEAT, BEAT / 10, 0, UINT64_MAX, 16 * BEAT, 17 * BEAT};
    for (size_t i = 0; i < sizeof periods / sizeof periods[0]; i++) {
        uint64_t counted = periods[i] == 0 ? BEAT : periods[i];
        counted = counted > 16 * BEAT ? 16 * BEAT : counted;
        bed.now_ns += 3; // the read was slow
        bed_complete(&bed, TACIT_COMPLETION_OK, periods[i]);
        tacit_time_ns_t completed_ns = bed.now_ns;
        bed.now_ns = completed_ns + 2 * counted - 1;
        (void)bed_poll(&bed);
        assert_false(bed.fake.has_op);
        // A sleeper may leave a read of an idle peer for one of the peer's beat periods.
        assert_int_equal(bed.detector.deadline(bed.detector.context),
                         completed_ns + (counted > BEAT ? 3 : 2) * counted);
        bed.now_ns++;
        (void)bed_poll(&bed);
        assert_true(bed.fake.has_op);
    }
    bed_close(&bed);
}

static void test_slow_reads_are_no_missed_beats(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed);
    bed_connect(&bed, 1);
    for (unsigned i = 0; i < 50; i++) {
        bed.now_ns += 2 * BEAT;
        (void)bed_poll(&bed);
        for (unsigned turn = 0; turn < 30; turn++) { // just below the time-out
            bed.now_ns += BEAT;
            (void)bed_poll(&bed);
        }
        bed.beats++;
        bed_complete(&bed, TACIT_COMPLETION_OK, BEAT);
        (void)bed_poll(&bed);
        assert_true(bed_trusts(&bed));
    }
    assert_int_equal(tacit_fd_counters(bed.fd)->missed, 0);
    assert_int_equal(tacit_fd_counters(bed.fd)->time_outs, 0);
    bed_close(&bed);
}

static void test_read_that_never_returns(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed);
    bed_connect(&bed, 1);
    bed.now_ns += 2 * BEAT;
    (void)bed_poll(&bed);
    for (unsigned i = 0; i < 40; i++) {
        bed.now_ns += BEAT;
        (void)bed_poll(&bed);
        assert_true(bed_trusts(&bed));
    }
    bed.now_ns += BEAT;
    assert_true(bed_poll(&bed));
    assert_false(bed_trusts(&bed));
    assert_int_equal(bed.fake.resets, 1);
    assert_int_equal(bed.dead, 0);
    // The provider gives up the connection; a new one has to earn the trust back.
    bed_complete(&bed, TACIT_COMPLETION_LOST, 0);
    bed_event(&bed, TACIT_EVENT_DOWN, 1, false);
    bed_event(&bed, TACIT_EVENT_UP, 1, false);
    (void)bed_poll(&bed);
    bed.beats++;
    bed_complete(&bed, TACIT_COMPLETION_OK, BEAT);
    for (unsigned i = 1; i < 7; i++) {
        assert_false(bed_trusts(&bed));
        bed_sample(&bed, true);
    }
    assert_true(bed_trusts(&bed));
    assert_int_equal(tacit_fd_counters(bed.fd)->suspicions, 1);
    assert_int_equal(tacit_fd_counters(bed.fd)->false_suspicions, 1);
    bed_close(&bed);
}

static void test_own_pause_is_no_time_out(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed);
    bed_connect(&bed, 1);
    bed.now_ns += 2 * BEAT;
    (void)bed_poll(&bed);
    bed.now_ns += 1000 * TIMEOUT; // stopped, and continued
    assert_false(bed_poll(&bed));
    assert_int_equal(bed.fake.resets, 0);
    bed.beats++;
    bed_complete(&bed, TACIT_COMPLETION_OK, BEAT);
    assert_false(bed_poll(&bed));
    assert_true(bed_trusts(&bed));
    // Nor is a pause between two reads one missed beat for each interval.
    bed.now_ns += 1000 * TIMEOUT;
    bed_sample(&bed, false);
    assert_int_equal(tacit_fd_score(bed.fd, PEER), 14);
    bed_close(&bed);
}

static void test_death_is_certain_until_a_new_incarnation(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed);
    bed_connect(&bed, 3);
    for (unsigned i = 0; i < 15; i++) {
        bed_sample(&bed, true);
    }
    bed_event(&bed, TACIT_EVENT_DOWN, 3, true);
    assert_true(bed_poll(&bed));
    assert_int_equal(bed.trusted, 1);
    assert_int_equal(bed.dead, 1u << PEER);
    assert_int_equal(tacit_fd_counters(bed.fd)->deaths, 1);
    bed_event(&bed, TACIT_EVENT_UP, 3, false); // cannot be
    assert_false(bed_poll(&bed));
    assert_int_equal(bed.dead, 1u << PEER);
    bed.beats = 0;
    bed_connect(&bed, 4);
    assert_int_equal(bed.dead, 0);
    for (unsigned i = 0; i < 7; i++) {
        assert_false(bed_trusts(&bed));
        bed_sample(&bed, true);
    }
    assert_true(bed_trusts(&bed));
    assert_int_equal(tacit_fd_counters(bed.fd)->false_suspicions, 0);
    bed_close(&bed);
}

static void test_short_cut_costs_no_trust_long_one_does(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed);
    bed_connect(&bed, 1);
    bed_event(&bed, TACIT_EVENT_DOWN, 1, false);
    for (unsigned i = 0; i < 13; i++) { // 15 -> 2
        bed.now_ns += 2 * BEAT;
        assert_false(bed_poll(&bed));
        assert_true(bed_trusts(&bed));
    }
    bed_event(&bed, TACIT_EVENT_UP, 1, false);
    assert_false(bed_poll(&bed));
    bed.beats++;
    bed_complete(&bed, TACIT_COMPLETION_OK, BEAT); // beats of the same incarnation do compare
    assert_int_equal(tacit_fd_score(bed.fd, PEER), 3);
    bed_event(&bed, TACIT_EVENT_DOWN, 1, false);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(bed_trusts(&bed));
        bed.now_ns += 2 * BEAT;
        (void)bed_poll(&bed);
    }
    assert_false(bed_trusts(&bed));
    assert_int_equal(bed.dead, 0);
    bed_close(&bed);
}

// The other end hung up: comes back at once, and nothing happens; or stays away, and is suspected
// after a few intervals, not after as many as when a connection broke.
static void test_hang_up_is_a_hint(void **state)
{
    (void)state;
    for (unsigned hung_up = 0; hung_up < 2; hung_up++) {
        struct bed bed;
        bed_open(&bed);
        bed_connect(&bed, 1);
        const struct tacit_event down = {
            .kind = TACIT_EVENT_DOWN, .node = PEER, .incarnation = 1, .hung_up = hung_up != 0};
        bed.detector.event(bed.detector.context, &down, bed.now_ns);
        (void)bed_poll(&bed);
        assert_true(bed_trusts(&bed)); // a hint is no verdict
        bed.now_ns += 2 * BEAT;
        (void)bed_poll(&bed);
        bed_event(&bed, TACIT_EVENT_UP, 1, false);
        (void)bed_poll(&bed);
        assert_true(bed_trusts(&bed));
        bed.beats++;
        bed_complete(&bed, TACIT_COMPLETION_OK, BEAT);
        for (unsigned i = 0; i < 20; i++) { // the score is what it was
            bed_sample(&bed, true);
        }
        bed.detector.event(bed.detector.context, &down, bed.now_ns);
        unsigned intervals = 0;
        for (; bed_trusts(&bed) && intervals < 50; intervals++) {
            bed.now_ns += 2 * BEAT;
            (void)bed_poll(&bed);
        }
        assert_int_equal(intervals, hung_up != 0 ? 4 : 14);
        assert_int_equal(tacit_fd_counters(bed.fd)->suspicions, 1);
        assert_int_equal(bed.dead, 0);
        bed_close(&bed);
    }
}

static void test_refused_posts_are_tried_again(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed);
    bed.fake.refuse = true;
    bed_event(&bed, TACIT_EVENT_UP, 1, false);
    for (unsigned i = 0; i < 100; i++) {
        (void)bed_poll(&bed);
        assert_true(bed.detector.deadline(bed.detector.context) > bed.now_ns);
        bed.now_ns += BEAT;
    }
    assert_int_equal(tacit_fd_score(bed.fd, PEER), 15);
    bed.fake.refuse = false;
    bed.fake.region = -1; // not announced
    (void)bed_poll(&bed);
    assert_int_equal(bed.fake.posts, 0);
    bed.fake.region = 4;
    bed.now_ns += BEAT;
    (void)bed_poll(&bed);
    assert_int_equal(bed.fake.posts, 1);
    bed_close(&bed);
}

static void test_strangers_are_ignored(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed);
    bed_connect(&bed, 1);
    tacit_node_t nodes[] = {0, 2, TACIT_NODE_MEMNODE, TACIT_NODE_CLIENT + 3, TACIT_NODE_NONE};
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
        struct tacit_event event = {
            .kind = TACIT_EVENT_DOWN, .node = nodes[i], .incarnation = 9, .certain = true};
        bed.detector.event(bed.detector.context, &event, bed.now_ns);
        struct tacit_event late = {.kind = TACIT_EVENT_COMPLETION,
                                   .cookie = TACIT_COOKIE(TACIT_COOKIE_FD, 77u << 8 | nodes[i])};
        bed.detector.event(bed.detector.context, &late, bed.now_ns);
    }
    assert_false(bed_poll(&bed));
    assert_int_equal(bed.trusted, 3);
    assert_int_equal(tacit_fd_counters(bed.fd)->deaths, 0);
    bed_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_sequences),
        cmocka_unit_test(test_all_states),
        cmocka_unit_test(test_all_connections),
        cmocka_unit_test(test_starts_trusting_until_grace),
        cmocka_unit_test(test_never_reads_faster_than_twice_the_period),
        cmocka_unit_test(test_slow_reads_are_no_missed_beats),
        cmocka_unit_test(test_read_that_never_returns),
        cmocka_unit_test(test_own_pause_is_no_time_out),
        cmocka_unit_test(test_death_is_certain_until_a_new_incarnation),
        cmocka_unit_test(test_short_cut_costs_no_trust_long_one_does),
        cmocka_unit_test(test_hang_up_is_a_hint),
        cmocka_unit_test(test_refused_posts_are_tried_again),
        cmocka_unit_test(test_strangers_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
