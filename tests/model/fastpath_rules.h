// SPDX-License-Identifier: Apache-2.0
//
// Fast path and view change, part 2 of 3: the rules (legal, endorsed, co-sign, select) and the
// properties (one decision per slot, decisions survive NEW_VIEW, integrity, nobody is stuck).
#ifndef TACIT_TESTS_MODEL_FASTPATH_RULES_H
#define TACIT_TESTS_MODEL_FASTPATH_RULES_H

#include "fastpath_state.h"

static inline bool in_view(const struct state *s, int r, int v)
{
    return s->view[r] == v && (v == 0 || s->new_view[v]);
}

static inline bool legal(const struct state *s, int v, int q, int d)
{
    return v == 0 || s->force[v][q] == FREE || s->force[v][q] == d;
}

static inline bool endorsed(const struct state *s, int r, int v, int q, int d)
{
    return (rules.endorsers[d] >> r & 1) != 0 ||
           (!rules.forced_endorsed && v > 0 && s->force[v][q] == d) ||
           (rules.decided_endorsed && s->decided[q] == d);
}

// Old views matter longer if a co-signer asks for their NEW_VIEW.
static inline bool keeps_all(void)
{
    return rules.cosign_legal && !rules.vouch;
}

// Can a NEW_VIEW(v+1) still be made from what v left?
static inline bool is_open(const struct state *s, int v)
{
    return v <= VIEWS - 2 && (keeps_all() || !s->new_view[v + 1]);
}

static inline bool is_open_from(const struct state *s, int v)
{
    for (int u = v; u <= VIEWS - 2; u++) {
        if (is_open(s, u)) {
            return true;
        }
    }
    return false;
}

// ---- decisions ----------------------------------------------------------------------------------

static void lost(struct explorer *x, const struct state *s, int v, int q, int u, int forced)
{
    if (!rules.past_lost) {
        explorer_violation(x, "lost", "slot %d decided %s in view %d, but NEW_VIEW(%d) says %s", q,
                           value_name(s->decided[q]), v, u, value_name(forced));
    }
}

// Somebody, replica or client, could decide d in slot q, on what was said in view v.
static void decide(struct explorer *x, struct state *s, int v, int q, int d)
{
    if (rules.endorsers[d] == 0) {
        explorer_violation(x, "integrity", "slot %d decides %s, which no correct replica endorsed",
                           q, value_name(d));
    }
    if (s->decided[q] == 0) {
        s->decided[q] = (uint8_t)d;
        s->decided_view[q] = (uint8_t)v;
    } else if (s->decided[q] != d) {
        explorer_violation(x, "disagreement", "slot %d decided %s (view %d) and %s (view %d)", q,
                           value_name(s->decided[q]), s->decided_view[q], value_name(d), v);
        return;
    } else if (v < s->decided_view[q]) {
        s->decided_view[q] = (uint8_t)v;
    }
    for (int u = v + 1; u < VIEWS; u++) {
        if (s->new_view[u] && s->force[u][q] != d && s->force[u][q] != BELOW_BASE &&
            (lowest_view(s) <= u || lowest_liar_view(s) < u)) {
            lost(x, s, v, q, u, s->force[u][q]);
        }
    }
}

static bool all_acked(const struct state *s, int v, int q)
{
    for (int r = 0; r < CORRECT; r++) {
        if (s->acked[v][r][q] == 0 || s->acked[v][r][q] != s->acked[v][0][q]) {
            return false;
        }
    }
    return true;
}

static void decide_in_view(struct explorer *x, struct state *s, int v, int q)
{
    if (rules.decide_quorum) {
        for (int r = 0; r < CORRECT; r++) {
            if (s->acked[v][r][q] != 0) {
                decide(x, s, v, q, s->acked[v][r][q]);
            }
        }
    } else if (!rules.decide_locked && all_acked(s, v, q)) {
        decide(x, s, v, q, s->acked[v][0][q]);
    }
    for (int d = 1; d <= VALUES; d++) {
        int correct = 0;
        int faulty = 0;
        for (int r = 0; r < CORRECT; r++) {
            correct += s->committed[v][r][q] == d;
        }
        for (int j = 0; j < FAULTY; j++) {
            faulty += s->liar_committed[v][j][q] == d;
        }
        if (correct > 0 && correct + faulty >= FAULTY + 1) {
            decide(x, s, v, q, d);
        }
    }
}

static void decide_mixed(struct explorer *x, struct state *s, int q, int d)
{
    int count = 0;
    for (int r = 0; r < CORRECT; r++) {
        bool has = false;
        for (int v = 0; v < VIEWS; v++) {
            has = has || s->acked[v][r][q] == d;
        }
        count += has;
    }
    if (count == CORRECT) {
        decide(x, s, VIEWS - 1, q, d);
    }
}

// Slot 0 as replica r executed it below its tentative slot 1; 0: undecided, as far as it knows.
static int history(const struct state *s, int v, int r)
{
    int d = s->acked[v][r][0];
    for (int w = v - 1; d == 0 && rules.tentative == 2 && w >= 0; w--) {
        d = s->acked[w][r][0];
    }
    return d != 0 ? d : s->decided[0];
}

// A client accepts slot 1 tentatively: everything it was executed on top of counts as decided.
static void decide_tentative(struct explorer *x, struct state *s, int v)
{
    if (!all_acked(s, v, 1 % SLOTS)) {
        return;
    }
    int d = 0;
    bool same = true;
    for (int r = 0; r < CORRECT; r++) {
        int mine = history(s, v, r);
        same = same && (d == 0 || mine == d);
        d = mine;
    }
    if (!same && rules.tentative == 1) {
        explorer_violation(x, "disagreement",
                           "equal tentative replies on different histories, view %d", v);
    }
    if (same && d != 0) { // replies name the history, so only equal ones are accepted
        decide(x, s, v, 0, d);
    }
}

static void decide_all(struct explorer *x, struct state *s)
{
    for (int v = 0; v < VIEWS; v++) {
        for (int q = 0; q < SLOTS; q++) {
            decide_in_view(x, s, v, q);
        }
    }
    for (int q = 0; q < SLOTS && rules.mixed_views; q++) {
        for (int d = 1; d <= VALUES; d++) {
            decide_mixed(x, s, q, d);
        }
    }
    for (int v = 0; v < VIEWS && rules.tentative; v++) {
        decide_tentative(x, s, v);
    }
}

// ---- view change --------------------------------------------------------------------------------

struct item {
    int view, value;
    bool commit;
};

struct items {
    struct item item[2 * MEMBERS];
    int count;
};

static inline void add(struct items *items, int view, int value, bool commit)
{
    if (value != 0) {
        items->item[items->count++] = (struct item){view, value, commit};
    }
}

// A correct replica's newest COMMIT and the claim (newest ACK) of its SEAL_VIEW(v).
static void add_correct(struct items *items, const struct state *s, int r, int v, int q, bool claim)
{
    for (int w = v; w >= 0; w--) {
        if (s->committed[w][r][q] != 0) {
            add(items, w, s->committed[w][r][q], true);
            break;
        }
    }
    for (int w = v; claim && w >= (rules.carry ? 0 : v); w--) {
        if (s->acked[w][r][q] != 0) {
            add(items, w, s->acked[w][r][q], false);
            break;
        }
    }
}

static void add_faulty(struct items *items, const struct state *s, int j, int v, int q)
{
    for (int w = v; w >= 0; w--) {
        if (s->liar_committed[w][j][q] != 0) {
            add(items, w, s->liar_committed[w][j][q], true);
            break;
        }
    }
    add(items, s->liar_claim_view[v][j][q], s->liar_claim[v][j][q], false);
}

// The items of one view: a COMMIT's value, the claims' one value, or FREE on a conflict.
static int judge(struct explorer *x, const struct items *items, int w, int q)
{
    int committed = 0;
    int claimed = 0;
    bool conflict = false;
    for (int i = 0; i < items->count; i++) {
        const struct item *item = &items->item[i];
        if (item->view != w) {
            continue;
        }
        if (rules.outrank && item->commit) {
            if (committed != 0 && committed != item->value) {
                explorer_violation(x, "two commits", "two COMMITs in (view %d, slot %d)", w, q);
            }
            committed = item->value;
        }
        conflict = conflict || (claimed != 0 && claimed != item->value);
        claimed = item->value;
    }
    return committed != 0 ? committed : conflict ? FREE : claimed;
}

// What a NEW_VIEW(v) made of the state certificates in `members` (correct ones first) forces for
// slot q. `dropped`: correct replicas whose claims the faulty co-signers left out (if they can).
static int select_value(struct explorer *x, const struct state *s, int members, int dropped, int v,
                        int q)
{
    struct items items = {.count = 0};
    for (int r = 0; r < CORRECT; r++) {
        if ((members >> r & 1) == 0) {
            continue;
        }
        if (!s->ahead[r]) {
            add_correct(&items, s, r, v - 1, q, (dropped >> r & 1) == 0);
        } else if (rules.checkpoint == 1 || rules.checkpoint == 2) {
            return BELOW_BASE;
        }
    }
    for (int j = 0; j < FAULTY; j++) {
        if ((members >> (CORRECT + j) & 1) == 0) {
            continue;
        }
        if (s->liar_raised[v - 1][j]) {
            return BELOW_BASE;
        }
        add_faulty(&items, s, j, v - 1, q);
    }
    for (int w = v - 1; w >= 0; w--) {
        bool any = false;
        for (int i = 0; i < items.count; i++) {
            any = any || items.item[i].view == w;
        }
        int d = any ? judge(x, &items, w, q) : FREE;
        if (d != FREE || (any && !rules.fall_back)) {
            return d;
        }
    }
    return FREE;
}

// Are these f+1 replicas with state certificates for v-1?
static bool is_certified_set(const struct state *s, int members, int v)
{
    if (__builtin_popcount((unsigned)members) != FAULTY + 1) {
        return false;
    }
    for (int r = 0; r < CORRECT; r++) {
        if ((members >> r & 1) != 0 && s->view[r] < v) {
            return false;
        }
    }
    for (int j = 0; j < FAULTY; j++) {
        if ((members >> (CORRECT + j) & 1) != 0 && !s->liar_sealed[v - 1][j]) {
            return false;
        }
    }
    return true;
}

static bool has_proposed(const struct state *s, int v, int content)
{
    for (int k = 0; k < IDS; k++) {
        if (s->proposed[v][k] == content) {
            return true;
        }
    }
    return false;
}

static bool has_vouched(const struct state *s, int c, int v, int content)
{
    if (rules.leader[v] == c) {
        return has_proposed(s, v, content);
    }
    for (int k = 0; k < IDS; k++) {
        if (s->vouched[v][c][k] && s->locked[v][c][k] == content) {
            return true;
        }
    }
    return false;
}

// Is there a NEW_VIEW(w) that passes the checks and permits d?
static bool some_new_view_permits(struct explorer *x, const struct state *s, int w, int q, int d)
{
    for (int members = 1; members < 1 << MEMBERS; members++) {
        if (is_certified_set(s, members, w)) {
            int forced = select_value(x, s, members, 0, w, q);
            if (forced == FREE || forced == d) {
                return true;
            }
        }
    }
    return false;
}

// Does correct c co-sign the claim (w, q, d) in another replica's SEAL_VIEW?
static bool supports(struct explorer *x, const struct state *s, int c, int w, int q, int d)
{
    if (rules.checkpoint && s->ahead[c]) {
        return rules.checkpoint != 3;
    }
    if (rules.vouch) {
        return !rules.evidence || has_vouched(s, c, w, content_of(q, d));
    }
    if (rules.evidence && rules.leader[w] != NOBODY && !has_proposed(s, w, content_of(q, d))) {
        return false; // the correct leader signs only what it proposed
    }
    if (rules.refuse && s->first[w][c][q] != 0 && s->first[w][c][q] != d) {
        return false;
    }
    if (rules.cosign_endorsed && (rules.endorsers[d] >> c & 1) == 0) {
        return false;
    }
    return !rules.cosign_legal || w == 0 || some_new_view_permits(x, s, w, q, d);
}

// ---- nobody is stuck ----------------------------------------------------------------------------

// Could c co-sign this claim of r once everything that r and c sent has arrived?
static bool will_support(struct explorer *x, const struct state *s, int c, int r, int w, int q,
                         int d)
{
    if (rules.vouch || (rules.checkpoint && s->ahead[c])) {
        return supports(x, s, c, w, q, d);
    }
    bool evidence = rules.leader[w] != NOBODY; // a correct leader's signature can be had
    for (int k = 0; k < IDS; k++) {
        evidence = evidence || s->locked[w][c][k] == content_of(q, d) ||
                   (s->locked[w][r][k] == content_of(q, d) && s->written[w][r][k]);
    }
    return evidence && !(rules.refuse && s->first[w][c][q] != 0 && s->first[w][c][q] != d) &&
           !(rules.cosign_endorsed && (rules.endorsers[d] >> c & 1) == 0);
}

// Suppose that all correct replicas seal now, that what they sent arrives, and that the faulty ones
// fall silent: each correct state must find its f+1 co-signers among the correct replicas.
static void check_stuck(struct explorer *x, const struct state *s)
{
    for (int r = 0; r < CORRECT; r++) {
        for (int q = 0; q < SLOTS; q++) {
            int w = s->view[r];
            while (w >= 0 && s->acked[w][r][q] == 0) {
                w--;
            }
            if ((rules.checkpoint && s->ahead[r]) || w < 0 || !is_open_from(s, w)) {
                continue;
            }
            int d = s->acked[w][r][q];
            for (int c = 0; c < CORRECT; c++) {
                if (c != r && !will_support(x, s, c, r, w, q, d)) {
                    explorer_violation(
                        x, "stuck",
                        "correct %d can never co-sign claim (view %d, slot %d, %s) of %d", c, w, q,
                        value_name(d), r);
                }
            }
        }
    }
}

#endif
