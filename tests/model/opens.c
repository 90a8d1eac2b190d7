// SPDX-License-Identifier: Apache-2.0
//
// Model of OPEN and CLOSE (core/state/sessions.c): which sessions of a client are open, when
// anybody may have what the client once signed ordered again.
//
// Rules. A client draws nonces in ascending order, signs an OPEN for each, and has no more sessions
// in use (drawn and not over) at a time than the table keeps; what it draws at a time is ordered in
// any order. An OPEN whose nonce is that of an open session changes nothing. Of each client the
// table keeps a floor: one above the largest nonce of a session that is over, closed or displaced;
// an OPEN below it is refused. Else it takes a free place, or the one of the session that was
// opened first. CLOSE names the session's number, which is never given again, so a replayed one is
// nothing.
//
// Properties. "twice": an OPEN takes effect again. "displaced": a session of a client that keeps to
// the rules is closed by an OPEN. "in vain": such a client's OPEN is refused though no session with
// a larger nonce is over.
#include <string.h>

#include "models.h"

enum { PLACES_MAX = 3, NONCES_MAX = 6 };
enum { FLOOR_NONE, FLOOR_OVER, FLOOR_OPENED, FLOOR_CLOSED };
enum { NOT_DRAWN, DRAWN, OPEN, OVER };

struct state {
    uint8_t place[PLACES_MAX]; // nonce from 1, 0: free
    uint8_t since[PLACES_MAX]; // number of the OPEN
    uint8_t opened;
    uint8_t floor; // nonces below are refused
    uint8_t drawn;
    uint8_t stands[NONCES_MAX + 1];
};

static struct {
    int places, nonces, floor, faulty_client;
} rules;

static const struct explorer_option opens_options[] = {
    {"places", &rules.places, 2, NULL, "sessions of the client, at most 3"},
    {"nonces", &rules.nonces, 5, NULL, "nonces that it draws, at most 6"},
    {"floor", &rules.floor, FLOOR_OVER, NULL,
     "0: none; 2: above all that were opened; 3: above those that were closed, not displaced"},
    {"faulty_client", &rules.faulty_client, 0, NULL, "1: has any number in use"},
};

static void raise_floor(struct state *s, int nonce)
{
    if (nonce >= s->floor) {
        s->floor = (uint8_t)(nonce + 1);
    }
}

static int in_use(const struct state *s)
{
    int count = 0;
    for (int n = 1; n <= s->drawn; n++) {
        count += s->stands[n] == DRAWN || s->stands[n] == OPEN;
    }
    return count;
}

static void draw(struct explorer *x, const struct state *s)
{
    if (s->drawn == rules.nonces || (!rules.faulty_client && in_use(s) == rules.places)) {
        return;
    }
    struct state next = *s;
    next.stands[++next.drawn] = DRAWN;
    EXPLORER_STEP(x, "the client draws nonce %d", next.drawn);
    explorer_emit(x, &next);
}

static void refuse(struct explorer *x, const struct state *s, int nonce)
{
    struct state next = *s;
    bool overtaken = false;
    for (int n = nonce; n <= s->drawn; n++) {
        overtaken = overtaken || s->stands[n] == OVER;
    }
    if (s->stands[nonce] != DRAWN) {
        return; // a replay
    }
    if (!overtaken) {
        explorer_violation(x, "in vain", "OPEN %d is refused, nothing above is over", nonce);
    }
    next.stands[nonce] = OVER; // the client tries the next one instead
    EXPLORER_STEP(x, "OPEN %d is refused", nonce);
    explorer_emit(x, &next);
}

static int place_for(const struct state *s)
{
    int best = 0;
    for (int i = 0; i < rules.places; i++) {
        if (s->place[i] == 0) {
            return i;
        }
        best = s->since[i] < s->since[best] ? i : best;
    }
    return best;
}

static void open(struct explorer *x, const struct state *s, int nonce)
{
    for (int i = 0; i < rules.places; i++) {
        if (s->place[i] == nonce) {
            return;
        }
    }
    if (nonce < s->floor) {
        refuse(x, s, nonce);
        return;
    }
    struct state next = *s;
    int at = place_for(s);
    int old = s->place[at];
    if (s->stands[nonce] != DRAWN) {
        explorer_violation(x, "twice", "OPEN %d takes effect again", nonce);
    }
    if (old != 0 && !rules.faulty_client) {
        explorer_violation(x, "displaced", "OPEN %d closes the session of nonce %d", nonce, old);
    }
    if (old != 0) {
        next.stands[old] = OVER;
        if (rules.floor == FLOOR_OVER) {
            raise_floor(&next, old);
        }
    }
    if (rules.floor == FLOOR_OPENED) {
        raise_floor(&next, nonce);
    }
    next.place[at] = (uint8_t)nonce;
    next.since[at] = ++next.opened;
    next.stands[nonce] = OPEN;
    EXPLORER_STEP(x, "OPEN %d takes effect in place %d", nonce, at);
    explorer_emit(x, &next);
}

static void close(struct explorer *x, const struct state *s, int at)
{
    struct state next = *s;
    int nonce = s->place[at];
    next.place[at] = 0;
    next.since[at] = 0;
    next.stands[nonce] = OVER;
    if (rules.floor == FLOOR_OVER || rules.floor == FLOOR_CLOSED) {
        raise_floor(&next, nonce);
    }
    EXPLORER_STEP(x, "the session of nonce %d closes", nonce);
    explorer_emit(x, &next);
}

static void opens_start(void *state)
{
    (void)state; // all zero
    rules.places = rules.places > PLACES_MAX ? PLACES_MAX : rules.places;
    rules.nonces = rules.nonces > NONCES_MAX ? NONCES_MAX : rules.nonces;
}

static void opens_expand(struct explorer *x, const void *state)
{
    const struct state *s = state;
    draw(x, s);
    for (int nonce = 1; nonce <= s->drawn && s->opened < 3 * NONCES_MAX; nonce++) {
        open(x, s, nonce);
    }
    for (int i = 0; i < rules.places; i++) {
        if (s->place[i] != 0) {
            close(x, s, i);
        }
    }
}

const struct explorer_model opens_model = {
    .name = "opens",
    .state_bytes = sizeof(struct state),
    .packed_words = (sizeof(struct state) + 7) / 8,
    .options = opens_options,
    .options_count = sizeof opens_options / sizeof *opens_options,
    .start = opens_start,
    .expand = opens_expand,
};
