// SPDX-License-Identifier: Apache-2.0
//
// Model of sessions: each request of a client takes effect exactly once and in order, whatever
// leaders propose and however often views change.
//
// Rules. A session's table entry holds the number of the last request that took effect. A decided
// request has an effect if its number is last+1, judged at execution, in slot order; any other one
// has none and leaves no trace in the table. Session order is no part of a PREPARE's legality.
// Tentative execution runs ahead of what is decided, in order, inside one view; leaving the view
// rolls pages and table back to the decided prefix.
//
// A client signs requests 1..N (pipelined, retransmitted as it likes); a faulty client signs two
// different requests under one number. Leaders may be faulty in any view, so any request, also one
// that was proposed or decided before, and no-op, may be proposed in any free slot. Agreement on a
// slot is taken at its interface: a value that is decided stays, others may be forced or freed by
// each view change; equal tentative replies of all correct replicas in one view decide.
//
// Properties. "twice": a request number takes effect again. "out of order": it takes effect before
// its predecessor. "divergence": replicas that executed the same slots differ. "skipped": a decided
// request whose number was last+1 has had no effect. "stuck": a forced value that correct replicas
// refuse.
#include <string.h>

#include "models.h"

enum { SLOTS_MAX = 5, REPLICAS = 2, REQUESTS_MAX = 3 };
// A slot's value: nothing, no-op, or a request: number and variant (the other bytes of a faulty
// client).
enum { NOTHING = 0, NO_OP = 1, FIRST_REQUEST = 2 };
enum { ORDER_STRICT, ORDER_NONE, ORDER_GAPS };

struct table {
    uint8_t last;              // number of the last request that took effect
    uint8_t count;             // effects so far
    uint8_t effect[SLOTS_MAX]; // the application's state: values in the order of their effects
};

struct replica {
    uint8_t executed;   // slots below are decided and executed
    uint8_t tentative;  // slots below are executed, perhaps tentatively
    struct table table; // as of `executed`
    struct table ahead; // as of `tentative`
    uint8_t pad;
};

struct state {
    uint8_t view;
    uint8_t value[SLOTS_MAX];
    uint8_t decided[SLOTS_MAX];
    uint8_t forced[SLOTS_MAX]; // kept by the last view change
    struct replica replica[REPLICAS];
};

static struct {
    int views, slots, requests, faulty_client, order, trace_left, legality, tentative,
        roll_back_table;
} rules;

static const struct explorer_option sessions_options[] = {
    {"views", &rules.views, 3, NULL, "views"},
    {"slots", &rules.slots, 4, NULL, "slots, at most 5"},
    {"requests", &rules.requests, 2, NULL, "request numbers, at most 3"},
    {"faulty_client", &rules.faulty_client, 1, NULL, "1: two requests for each number"},
    {"tentative", &rules.tentative, 1, NULL, "0: no tentative execution"},
    {"order", &rules.order, ORDER_STRICT, NULL, "1: no check; 2: any number above the last"},
    {"trace_left", &rules.trace_left, 0, NULL,
     "1: a request without effect still sets the last number"},
    {"legality", &rules.legality, 0, NULL, "1: session order judged when a PREPARE is checked"},
    {"roll_back_table", &rules.roll_back_table, 1, NULL, "0: leaving a view rolls back pages only"},
};

static inline int number_of(int value)
{
    return value < FIRST_REQUEST ? 0 : 1 + (value - FIRST_REQUEST) / 2;
}

// ---- execution ----------------------------------------------------------------------------------

static bool takes_effect(const struct table *table, int value)
{
    int number = number_of(value);
    switch (number == 0 ? -1 : rules.order) {
    case ORDER_STRICT:
        return number == table->last + 1;
    case ORDER_NONE:
        return true;
    case ORDER_GAPS:
        return number > table->last;
    default:
        return false;
    }
}

static void apply(struct table *table, int value)
{
    if (takes_effect(table, value)) {
        table->effect[table->count++] = (uint8_t)value;
        table->last = (uint8_t)number_of(value);
    } else if (rules.trace_left && number_of(value) > table->last) {
        table->last = (uint8_t)number_of(value);
    }
}

// What the decided slots below `until` must have led to, from the slots alone.
static void replay(const struct state *s, int until, struct table *table)
{
    memset(table, 0, sizeof *table);
    for (int q = 0; q < until; q++) {
        int number = number_of(s->value[q]);
        if (number == table->last + 1) {
            table->effect[table->count++] = s->value[q];
            table->last = (uint8_t)number;
        }
    }
}

static void check_replica(struct explorer *x, const struct state *s, int r)
{
    const struct table *table = &s->replica[r].table;
    for (int i = 0; i < table->count; i++) {
        int number = number_of(table->effect[i]);
        for (int k = 0; k < i; k++) {
            if (number_of(table->effect[k]) == number) {
                explorer_violation(x, "twice", "request %d takes effect twice at replica %d",
                                   number, r);
            }
        }
        if (number > i + 1) {
            explorer_violation(x, "out of order", "request %d takes effect before %d at replica %d",
                               number, i + 1, r);
        }
    }
    struct table right;
    replay(s, s->replica[r].executed, &right);
    if (table->count < right.count) {
        explorer_violation(x, "skipped", "request %d is decided in its turn, without effect at %d",
                           table->count + 1, r);
    }
}

static void check(struct explorer *x, const struct state *s)
{
    const struct replica *a = &s->replica[0];
    const struct replica *b = &s->replica[1];
    for (int r = 0; r < REPLICAS; r++) {
        check_replica(x, s, r);
    }
    if (a->executed == b->executed && memcmp(&a->table, &b->table, sizeof a->table) != 0) {
        explorer_violation(x, "divergence", "the replicas differ after %d slots", a->executed);
    }
}

static void emit(struct explorer *x, struct state *next)
{
    check(x, next);
    // Replicas are alike.
    if (memcmp(&next->replica[0], &next->replica[1], sizeof next->replica[0]) > 0) {
        struct replica kept = next->replica[0];
        next->replica[0] = next->replica[1];
        next->replica[1] = kept;
    }
    explorer_emit(x, next);
}

// The decided value of the next slot; confirms a tentative execution if there was one.
static void execute(struct explorer *x, const struct state *s, int r)
{
    int q = s->replica[r].executed;
    if (q == rules.slots || !s->decided[q]) {
        return;
    }
    struct state next = *s;
    struct replica *mine = &next.replica[r];
    mine->executed++;
    if (mine->tentative >= mine->executed) {
        // It was executed with this value: tentative results of the view became final.
        apply(&mine->table, s->value[q]);
        if (mine->tentative == mine->executed) {
            mine->table = mine->ahead;
        }
    } else {
        apply(&mine->ahead, s->value[q]);
        mine->tentative = mine->executed;
        mine->table = mine->ahead;
    }
    EXPLORER_STEP(x, "replica %d executes slot %d", r, q);
    emit(x, &next);
}

static void execute_tentatively(struct explorer *x, const struct state *s, int r)
{
    int q = s->replica[r].tentative;
    if (!rules.tentative || q == rules.slots || s->value[q] == NOTHING) {
        return;
    }
    struct state next = *s;
    struct replica *mine = &next.replica[r];
    apply(&mine->ahead, s->value[q]);
    mine->tentative++;
    // Both ACKed every slot below in this view: n equal replies, all of it is decided.
    for (int p = 0; p <= q; p++) {
        if (next.replica[0].tentative > p && next.replica[1].tentative > p) {
            next.decided[p] = 1;
        }
    }
    EXPLORER_STEP(x, "replica %d executes slot %d tentatively", r, q);
    emit(x, &next);
}

// ---- agreement, at its interface ----------------------------------------------------------------

static void propose(struct explorer *x, const struct state *s)
{
    int values = FIRST_REQUEST + 2 * rules.requests;
    for (int q = 0; q < rules.slots; q++) {
        for (int value = NO_OP; value < values && s->value[q] == NOTHING; value++) {
            if (value > NO_OP && (value - FIRST_REQUEST) % 2 == 1 && !rules.faulty_client) {
                continue;
            }
            struct state next = *s;
            next.value[q] = (uint8_t)value;
            EXPLORER_STEP(x, "slot %d: request %d%s is proposed (0: no-op)", q, number_of(value),
                          value > NO_OP && (value - FIRST_REQUEST) % 2 == 1 ? "'" : "");
            emit(x, &next);
        }
    }
}

// With legality=1: does a replica refuse the value, because its session is past that number?
static bool is_refused(const struct state *s, int q, int r)
{
    int number = number_of(s->value[q]);
    return rules.legality && number > 0 && s->replica[r].executed <= q &&
           number <= s->replica[r].table.last;
}

static void decide(struct explorer *x, const struct state *s)
{
    for (int q = 0; q < rules.slots; q++) {
        if (s->value[q] == NOTHING || s->decided[q]) {
            continue;
        }
        int refusals = is_refused(s, q, 0) + is_refused(s, q, 1);
        struct state next = *s;
        next.decided[q] = 1;
        if (refusals == REPLICAS && s->forced[q]) {
            explorer_violation(x, "stuck", "slot %d is forced to a value that everybody refuses",
                               q);
        }
        EXPLORER_STEP(x, "slot %d is decided", q);
        if (refusals == 0 || s->forced[q]) {
            emit(x, &next);
        }
    }
}

// Decided values are forced; of the others each may be forced (a claim) or freed.
static void change_view(struct explorer *x, const struct state *s)
{
    for (int keep = 0; keep < 1 << rules.slots && s->view + 1 < rules.views; keep++) {
        struct state next = *s;
        bool senseless = false;
        for (int q = 0; q < rules.slots; q++) {
            bool kept = (keep >> q & 1) != 0;
            senseless = senseless || (kept && (s->decided[q] || s->value[q] == NOTHING));
            if (!s->decided[q] && !kept) {
                next.value[q] = NOTHING;
            }
            next.forced[q] = kept;
        }
        next.view++;
        for (int r = 0; r < REPLICAS; r++) {
            struct replica *mine = &next.replica[r];
            uint8_t last = mine->ahead.last;
            mine->ahead = mine->table;
            mine->tentative = mine->executed;
            if (!rules.roll_back_table) {
                mine->ahead.last = last;
            }
        }
        EXPLORER_STEP(x, "view %d begins; undecided slots forced (mask): %x", next.view,
                      (unsigned)keep);
        if (!senseless) {
            emit(x, &next);
        }
    }
}

// ---- the model ----------------------------------------------------------------------------------

static void sessions_start(void *state)
{
    (void)state; // all zero
    rules.slots = rules.slots > SLOTS_MAX ? SLOTS_MAX : rules.slots;
    rules.requests = rules.requests > REQUESTS_MAX ? REQUESTS_MAX : rules.requests;
}

static void sessions_expand(struct explorer *x, const void *state)
{
    const struct state *s = state;
    propose(x, s);
    decide(x, s);
    change_view(x, s);
    for (int r = 0; r < REPLICAS; r++) {
        execute(x, s, r);
        execute_tentatively(x, s, r);
    }
}

const struct explorer_model sessions_model = {
    .name = "sessions",
    .state_bytes = sizeof(struct state),
    .packed_words = (sizeof(struct state) + 7) / 8,
    .options = sessions_options,
    .options_count = sizeof sessions_options / sizeof *sessions_options,
    .start = sessions_start,
    .expand = sessions_expand,
};
