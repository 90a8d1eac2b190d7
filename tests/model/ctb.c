// SPDX-License-Identifier: Apache-2.0
//
// Model of consistent tail broadcast (CTB), one id: two correct receivers never deliver different
// payloads, at the level of LOCK, LOCKED, SIGNED and registers. fastpath.c relies on it.
//
// The broadcaster is faulty and has signed two payloads; any number of receivers is faulty. A
// faulty receiver says any LOCKED to anybody and its register shows each reader whatever helps, so
// it hinders nobody and needs no state. A correct receiver locks (write-once); slow, it begins its
// register write, ends it, reads the registers of the others one by one in any order, and delivers.
// Registers are regular: a read that overlaps a write may return the old or the new content, read
// by read.
#include "models.h"

enum { RECEIVERS_MAX = 3, PAYLOADS = 2 };
enum { UNWRITTEN, WRITING, WRITTEN };

struct receiver {
    uint8_t locked;    // payload; 0: none
    uint8_t said;      // LOCKED was sent: one bit per payload
    uint8_t writing;   // of the own register
    uint8_t written;   // payload
    uint8_t seen;      // registers read and found harmless, a bit each
    uint8_t delivered; // payload
};

struct state {
    struct receiver receiver[RECEIVERS_MAX];
    uint8_t pad[6];
};

static struct {
    int receivers, write_first, read_others, lock_once;
} rules;

static const struct explorer_option ctb_options[] = {
    {"receivers", &rules.receivers, 2, NULL, "correct receivers: 2 or 3"},
    {"write_first", &rules.write_first, 1, NULL,
     "0: read the others before the own write has ended"},
    {"read_others", &rules.read_others, 1, NULL, "0: slow delivery without reading"},
    {"lock_once", &rules.lock_once, 1, NULL, "0: a lock can be overwritten"},
};

static void emit(struct explorer *x, const struct state *next)
{
    for (int a = 0; a < rules.receivers; a++) {
        for (int b = 0; b < a; b++) {
            int first = next->receiver[a].delivered;
            int second = next->receiver[b].delivered;
            if (first != 0 && second != 0 && first != second) {
                explorer_violation(x, "disagreement", "%d delivers %d, %d delivers %d", a, first, b,
                                   second);
            }
        }
    }
    explorer_emit(x, next);
}

static void lock(struct explorer *x, const struct state *s, int a)
{
    for (int d = 1; d <= PAYLOADS; d++) {
        if (s->receiver[a].locked == 0 || !rules.lock_once) {
            struct state next = *s;
            next.receiver[a].locked = (uint8_t)d;
            next.receiver[a].said |= (uint8_t)(1 << d);
            EXPLORER_STEP(x, "%d locks %d and says LOCKED", a, d);
            emit(x, &next);
        }
    }
}

static void deliver_fast(struct explorer *x, const struct state *s, int a)
{
    bool unanimous = true;
    for (int b = 0; b < rules.receivers; b++) {
        unanimous =
            unanimous && (b == a || (s->receiver[b].said >> s->receiver[a].locked & 1) != 0);
    }
    if (unanimous && s->receiver[a].delivered == 0) {
        struct state next = *s;
        next.receiver[a].delivered = s->receiver[a].locked;
        EXPLORER_STEP(x, "%d delivers %d (fast)", a, s->receiver[a].locked);
        emit(x, &next);
    }
}

static void write_register(struct explorer *x, const struct state *s, int a)
{
    struct state next = *s;
    if (s->receiver[a].writing == UNWRITTEN) {
        next.receiver[a].writing = WRITING;
        next.receiver[a].written = s->receiver[a].locked;
        EXPLORER_STEP(x, "%d begins to write %d", a, s->receiver[a].locked);
        emit(x, &next);
    } else if (s->receiver[a].writing == WRITING) {
        next.receiver[a].writing = WRITTEN;
        EXPLORER_STEP(x, "%d has written", a);
        emit(x, &next);
    }
}

static void read_registers(struct explorer *x, const struct state *s, int a)
{
    const struct receiver *mine = &s->receiver[a];
    if (mine->writing != WRITTEN && (rules.write_first || mine->writing != WRITING)) {
        return;
    }
    for (int b = 0; b < rules.receivers; b++) {
        const struct receiver *other = &s->receiver[b];
        // What the read may return: nothing, if the write has not ended; the same payload.
        bool harmless = other->writing != WRITTEN || other->written == mine->written;
        if (b != a && (mine->seen >> b & 1) == 0 && harmless) {
            struct state next = *s;
            next.receiver[a].seen |= (uint8_t)(1 << b);
            EXPLORER_STEP(x, "%d reads the register of %d: no other payload", a, b);
            emit(x, &next);
        }
    }
}

static void deliver_slow(struct explorer *x, const struct state *s, int a)
{
    const struct receiver *mine = &s->receiver[a];
    int others = ((1 << rules.receivers) - 1) & ~(1 << a);
    if (mine->writing == WRITTEN && mine->delivered == 0 &&
        (mine->seen == others || !rules.read_others)) {
        struct state next = *s;
        next.receiver[a].delivered = mine->written;
        EXPLORER_STEP(x, "%d delivers %d (slow)", a, mine->written);
        emit(x, &next);
    }
}

static void ctb_start(void *state)
{
    (void)state; // all zero
    rules.receivers = rules.receivers > RECEIVERS_MAX ? RECEIVERS_MAX : rules.receivers;
}

static void ctb_expand(struct explorer *x, const void *state)
{
    const struct state *s = state;
    for (int a = 0; a < rules.receivers; a++) {
        lock(x, s, a);
        if (s->receiver[a].locked != 0) {
            deliver_fast(x, s, a);
            write_register(x, s, a);
            read_registers(x, s, a);
            deliver_slow(x, s, a);
        }
    }
}

const struct explorer_model ctb_model = {
    .name = "ctb",
    .state_bytes = sizeof(struct state),
    .packed_words = (sizeof(struct state) + 7) / 8,
    .options = ctb_options,
    .options_count = sizeof ctb_options / sizeof *ctb_options,
    .start = ctb_start,
    .expand = ctb_expand,
};
