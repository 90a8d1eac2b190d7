// SPDX-License-Identifier: Apache-2.0
//
// Model of epochs: members change, and no slot is ever decided twice, within an epoch or across
// two. n = 3, f = 1, window W = 2, a checkpoint after every slot (W/2), one change: member 2 is
// replaced by a new incarnation of it, while the old one may live on without knowing.
//
// Rules. A change decided in slot s takes effect at c = s + W, the first checkpoint at or above it.
// Whoever executed s cuts its window at c: no vote of epoch 0 for a slot >= c. Epoch 1 starts from
// the certified checkpoint c, for each member by itself, with fresh streams: views from 0, and only
// votes and state certificates of epoch 1 and of its members' incarnations count.
//
// Inside an epoch the agreement is taken at its interface, which fastpath.c checks: one proposal
// per (epoch, view, slot), a vote of a member in its stream once, also of a faulty member; decided
// by f+1 votes of one view; two views; a sealed state has all votes that stand before it in its
// stream; the NEW_VIEW of view 1 is made from f+1 sealed states and forces what they contain above
// their highest base. All delays and losses are covered: what is known is never used unless a step
// says so.
//
// Property. "disagreement": a slot is decided with two values (by somebody who could collect the
// votes).
#include <string.h>

#include "models.h"

enum { EPOCHS = 2, VIEWS = 2, SLOTS_MAX = 4, WINDOW = 2, QUORUM = 2 };
// Processes: members 0 and 1, the old and the new incarnation of member 2.
enum { OLD = 2, NEW = 3, PROCESSES = 4, NOBODY = 0xff };
// Two values per slot. In the slots that are early enough to see its effect one is the change.
enum { NOTHING = 0, PLAIN, OTHER, VALUES = 2 };
enum { EFFECT_AT_CHECKPOINT, EFFECT_AT_ONCE, EFFECT_ONE_EARLY };

struct process {
    uint8_t epoch;  // NEW: 1 from the start
    uint8_t view;   // of this epoch
    uint8_t base;   // newest checkpoint it holds: slots below are finished, and it knows them
    uint8_t joined; // NEW: has the state that it starts from
};

struct state {
    struct process process[PROCESSES];
    uint8_t proposed[EPOCHS][VIEWS][SLOTS_MAX];
    // One bit per process, in its stream.
    uint8_t voted[EPOCHS][VIEWS][SLOTS_MAX];
    uint8_t sealed[EPOCHS]; // processes whose view 0 of the epoch is sealed
    uint8_t new_view[EPOCHS];
    uint8_t base[EPOCHS]; // of that NEW_VIEW
    uint8_t force[EPOCHS][SLOTS_MAX];
    uint8_t decided[SLOTS_MAX];
};

static struct {
    int slots, old_views, lone, epoch_keys, amnesia, faulty, cut, effect, old_votes, old_states,
        incarnations, turncoat;
} rules;

static const struct explorer_option epochs_options[] = {
    {"slots", &rules.slots, 3, NULL, "3 or 4"},
    {"old_views", &rules.old_views, 1, NULL,
     "2: views change in epoch 0, too (sealing is always there)"},
    {"lone", &rules.lone, 0, NULL,
     "1: a faulty process may be the first to vote in epoch 0 for slots of epoch 1; 2: anywhere"},
    {"faulty", &rules.faulty, 1, NULL,
     "which process is faulty: 0, 1, 2 (the replaced one); 9: none"},
    {"cut", &rules.cut, 1, NULL, "0: the window is not cut at c"},
    {"effect", &rules.effect, 0, NULL, "1: effect at s+1, before a checkpoint at s+W; 2: at s+W-1"},
    {"old_votes", &rules.old_votes, 0, NULL, "1: votes of epoch 0 count in epoch 1"},
    {"old_states", &rules.old_states, 0, NULL, "1: state certificates of epoch 0 count in epoch 1"},
    {"incarnations", &rules.incarnations, 1, NULL,
     "0: the old incarnation of member 2 counts as its new self"},
    {"amnesia", &rules.amnesia, 0, NULL,
     "1: the new incarnation, without memory, counts as the old one in epoch 0 (old_views=2)"},
    {"epoch_keys", &rules.epoch_keys, 0, NULL,
     "1: who enters epoch 1 destroys its signing key of epoch 0"},
    {"turncoat", &rules.turncoat, 0, NULL,
     "1: member 1 turns faulty after the change, beside the replaced one (faulty=2)"},
};

// A turncoat is correct until it enters epoch 1.
static inline bool is_faulty(const struct state *s, int p)
{
    return p == rules.faulty || (rules.turncoat && p == 1 && s->process[p].epoch == 1);
}

static inline int member_of(int p)
{
    return p == NEW ? 2 : p;
}

static inline bool is_change(int q, int d)
{
    return d == OTHER && q + WINDOW < rules.slots;
}

// Slot in which the change stands below `known`, or NOBODY.
static int change_slot(const struct state *s, int known)
{
    for (int q = 0; q < known; q++) {
        if (is_change(q, s->decided[q])) {
            return q;
        }
    }
    return NOBODY;
}

// First slot of epoch 1, as far as the slots below `known` tell; beyond all slots if they do not.
static int first_slot(const struct state *s, int known)
{
    int at = change_slot(s, known);
    if (at == NOBODY) {
        return SLOTS_MAX + WINDOW;
    }
    return rules.effect == EFFECT_AT_ONCE     ? at + 1
           : rules.effect == EFFECT_ONE_EARLY ? at + WINDOW - 1
                                              : at + WINDOW;
}

// ---- decisions ----------------------------------------------------------------------------------

// May the vote of p in epoch e count in epoch `in`?
static bool counts(int p, int e, int in)
{
    if (e != in && !(rules.old_votes && e < in)) {
        return false;
    }
    if (in == 0) {
        return p != NEW;
    }
    return p != OLD || !rules.incarnations || (rules.old_votes && e == 0);
}

// Members, a bit each, whose votes for value d in (view v, slot q) count in epoch e.
static int voters(const struct state *s, int e, int v, int q, int d)
{
    int members = 0;
    for (int of = 0; of <= e; of++) {
        for (int p = 0; p < PROCESSES; p++) {
            if (s->proposed[of][v][q] == d && (s->voted[of][v][q] >> p & 1) != 0 &&
                counts(p, of, e)) {
                members |= 1 << member_of(p);
            }
        }
    }
    return members;
}

static void decide(struct explorer *x, struct state *s)
{
    for (int e = 0; e < EPOCHS; e++) {
        for (int v = 0; v < VIEWS; v++) {
            for (int q = 0; q < rules.slots; q++) {
                int d = s->proposed[e][v][q];
                if (d == NOTHING || __builtin_popcount((unsigned)voters(s, e, v, q, d)) < QUORUM) {
                    continue;
                }
                if (s->decided[q] != NOTHING && s->decided[q] != d) {
                    explorer_violation(x, "disagreement",
                                       "slot %d: %d and, in epoch %d view %d, %d", q, s->decided[q],
                                       e, v, d);
                }
                s->decided[q] = (uint8_t)d;
            }
        }
    }
}

static void emit(struct explorer *x, struct state *next)
{
    decide(x, next);
    explorer_emit(x, next);
}

// ---- voting -------------------------------------------------------------------------------------

// A correct process: the view is entered, the slot is in its window, and not of the other epoch.
static bool may_vote(const struct state *s, int p, int e, int v, int q)
{
    const struct process *mine = &s->process[p];
    if (mine->epoch != e || mine->view != v || (v > 0 && !s->new_view[e]) ||
        (p == NEW && !mine->joined)) {
        return false;
    }
    if (q < mine->base || q >= mine->base + WINDOW || (v > 0 && q < s->base[e])) {
        return false;
    }
    return e > 0 || !rules.cut || q < first_slot(s, mine->base);
}

// A faulty process: its stream is once-only too, and bound to what it said before it sealed. The
// old incarnation has no stream in epoch 1, so there it says whatever helps, if anybody listens.
static bool faulty_may_vote(const struct state *s, int p, int e, int v)
{
    if (p == OLD && e == 1) {
        return !rules.incarnations;
    }
    if (rules.epoch_keys && p == 1 && p != rules.faulty && e == 0) {
        return false; // it was correct when it entered epoch 1
    }
    return p != NEW && (v > 0 ? s->new_view[e] != 0 : (s->sealed[e] >> p & 1) == 0);
}

static void vote_for(struct explorer *x, const struct state *s, int p, int e, int v, int q)
{
    int low = 1;
    int high = VALUES;
    if (s->proposed[e][v][q] != NOTHING) {
        low = high = s->proposed[e][v][q];
    }
    if (is_faulty(s, p) && low != high && rules.lone < (e == 0 && q >= WINDOW ? 1 : 2)) {
        return; // alone it decides nothing: as good when a correct one has voted
    }
    int forced = v > 0 ? s->force[e][q] : NOTHING;
    for (int d = low; d <= high; d++) {
        if ((forced != NOTHING && forced != d) || (rules.slots == 3 && q == 0 && d == PLAIN)) {
            continue; // with three slots only a change in the first one has an effect
        }
        struct state next = *s;
        next.proposed[e][v][q] = (uint8_t)d;
        next.voted[e][v][q] |= (uint8_t)(1 << p);
        EXPLORER_STEP(x, "process %d votes for %s in (epoch %d, view %d, slot %d)", p,
                      is_change(q, d) ? "the change"
                      : d == PLAIN    ? "a"
                                      : "b",
                      e, v, q);
        emit(x, &next);
    }
}

static void vote(struct explorer *x, const struct state *s, int p)
{
    for (int e = 0; e < EPOCHS; e++) {
        for (int v = 0; v < VIEWS; v++) {
            for (int q = 0; q < rules.slots; q++) {
                bool may = is_faulty(s, p) ? faulty_may_vote(s, p, e, v) : may_vote(s, p, e, v, q);
                if (may && (s->voted[e][v][q] >> p & 1) == 0) {
                    vote_for(x, s, p, e, v, q);
                }
            }
        }
    }
}

// ---- view change inside an epoch ----------------------------------------------------------------

static void seal(struct explorer *x, const struct state *s, int p)
{
    for (int e = 0; e < EPOCHS; e++) {
        const struct process *mine = &s->process[p];
        bool present = mine->epoch == e && mine->view == 0 && (p != NEW || mine->joined);
        if ((s->sealed[e] >> p & 1) != 0 || !(is_faulty(s, p) ? p != NEW : present)) {
            continue;
        }
        struct state next = *s;
        next.sealed[e] |= (uint8_t)(1 << p);
        if (mine->epoch == e) {
            next.process[p].view = 1;
        }
        EXPLORER_STEP(x, "process %d seals view 0 of epoch %d", p, e);
        emit(x, &next);
    }
}

// Is there a state certificate of p, made in epoch `of`, that is accepted in epoch e?
static bool has_state(const struct state *s, int p, int of, int e)
{
    if (of == e) {
        bool member = e == 0 ? p != NEW : p != OLD || !rules.incarnations;
        return member && (s->sealed[of] >> p & 1) != 0;
    }
    return rules.old_states && of < e && p != NEW && (s->sealed[of] >> p & 1) != 0;
}

// Adds what the state says to the NEW_VIEW of epoch e.
static void take_state(const struct state *s, int p, int of, int e, struct state *next)
{
    uint8_t base = is_faulty(s, p) ? 0 : s->process[p].base;
    next->base[e] = base > next->base[e] ? base : next->base[e];
    for (int q = 0; q < rules.slots; q++) {
        bool says = (s->voted[of][0][q] >> p & 1) != 0 && !(p == OLD && e == 1 && of == 1) &&
                    !(rules.amnesia && p == OLD);
        if (says && next->force[e][q] == NOTHING) {
            next->force[e][q] = s->proposed[of][0][q];
        }
    }
}

static void new_view(struct explorer *x, const struct state *s, int e)
{
    // Two certificates; each is (process, epoch it was made in).
    for (int a = 0; a < PROCESSES * EPOCHS && !s->new_view[e]; a++) {
        for (int b = 0; b < a; b++) {
            int p = a / EPOCHS;
            int r = b / EPOCHS;
            if (member_of(p) == member_of(r) || !has_state(s, p, a % EPOCHS, e) ||
                !has_state(s, r, b % EPOCHS, e)) {
                continue;
            }
            struct state next = *s;
            next.new_view[e] = 1;
            take_state(s, p, a % EPOCHS, e, &next);
            take_state(s, r, b % EPOCHS, e, &next);
            EXPLORER_STEP(x, "NEW_VIEW of epoch %d from %d (epoch %d) and %d (epoch %d), base %d",
                          e, p, a % EPOCHS, r, b % EPOCHS, next.base[e]);
            emit(x, &next);
        }
    }
}

// ---- checkpoints, the next epoch ----------------------------------------------------------------

// Checkpoints up to the first undecided slot may have been certified by those who executed that
// far. The last slot's is left out: nothing comes after it.
static int newest_checkpoint(const struct state *s)
{
    int newest = 0;
    while (newest < rules.slots - 1 && s->decided[newest] != NOTHING) {
        newest++;
    }
    return newest;
}

static void adopt_checkpoint(struct explorer *x, const struct state *s, int p)
{
    for (int base = s->process[p].base + 1; base <= newest_checkpoint(s); base++) {
        struct state next = *s;
        next.process[p].base = (uint8_t)base;
        EXPLORER_STEP(x, "process %d adopts checkpoint %d", p, base);
        emit(x, &next);
    }
}

static void enter_epoch(struct explorer *x, const struct state *s, int p)
{
    const struct process *mine = &s->process[p];
    if (p == OLD || mine->base < first_slot(s, mine->base) ||
        (p == NEW ? mine->joined : mine->epoch)) {
        return;
    }
    struct state next = *s;
    next.process[p].epoch = 1;
    next.process[p].view = 0;
    next.process[p].joined = p == NEW;
    EXPLORER_STEP(x, "process %d enters epoch 1 at checkpoint %d", p, mine->base);
    emit(x, &next);
}

// ---- the model ----------------------------------------------------------------------------------

static void epochs_start(void *state)
{
    struct state *s = state;
    s->process[NEW].epoch = 1;
    rules.slots = rules.slots > SLOTS_MAX ? SLOTS_MAX : rules.slots;
}

static void epochs_expand(struct explorer *x, const void *state)
{
    const struct state *s = state;
    for (int p = 0; p < PROCESSES; p++) {
        vote(x, s, p);
        seal(x, s, p);
        if (!is_faulty(s, p)) {
            adopt_checkpoint(x, s, p);
            enter_epoch(x, s, p);
        }
    }
    for (int e = rules.old_views > 1 ? 0 : 1; e < EPOCHS; e++) {
        new_view(x, s, e);
    }
}

const struct explorer_model epochs_model = {
    .name = "epochs",
    .state_bytes = sizeof(struct state),
    .packed_words = (sizeof(struct state) + 7) / 8,
    .options = epochs_options,
    .options_count = sizeof epochs_options / sizeof *epochs_options,
    .start = epochs_start,
    .expand = epochs_expand,
};
