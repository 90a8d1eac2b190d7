// SPDX-License-Identifier: Apache-2.0
//
// Fast path and view change, part 3 of 3: reductions. States that no rule can tell apart from now
// on are stored once: information that nothing reads any more is zeroed, values are renamed by
// first occurrence, faulty replicas are put in order.
#ifndef TACIT_TESTS_MODEL_FASTPATH_REDUCE_H
#define TACIT_TESTS_MODEL_FASTPATH_REDUCE_H

#include "fastpath_rules.h"

// Nothing reads the entry of view v if no NEW_VIEW can be made from v on, or if a newer entry
// stands in front of it in all that can. `entry`: in an array [VIEWS][members][SLOTS].
static bool is_hidden(const struct state *s, const uint8_t *entry, int members, int v)
{
    if (!is_open_from(s, v)) {
        return true;
    }
    for (int w = v + 1; w < VIEWS && s->new_view[w]; w++) {
        if (entry[(w - v) * members * SLOTS] != 0) {
            return true;
        }
    }
    return false;
}

static void forget_prepares(struct state *s, int v, int r, bool all_sealed)
{
    bool sealed = s->view[r] > v;
    for (int k = 0; k < IDS; k++) {
        if (!rules.vouch) {
            if (all_sealed && !rules.stuck) {
                s->locked[v][r][k] = 0;
                s->written[v][r][k] = 0;
            }
            continue;
        }
        if (all_sealed) {
            s->written[v][r][k] = 0;
        }
        if (all_sealed && !is_open_from(s, v)) {
            s->vouched[v][r][k] = 0;
        }
        if (sealed && !s->vouched[v][r][k] && !s->written[v][r][k] &&
            (all_sealed || !rules.abstain)) {
            s->locked[v][r][k] = 0;
        }
    }
    if (sealed) {
        s->delivered[v][r] = 0;
    }
}

static void forget_votes(struct state *s, int v, int r, bool all_sealed, bool liars_left, bool keep)
{
    bool sealed = s->view[r] > v;
    for (int q = 0; q < SLOTS; q++) {
        if (all_sealed && liars_left) {
            s->certified[v][r][q] = 0;
        }
        if (sealed && !s->certified[v][r][q] &&
            !(rules.refuse && !rules.vouch && is_open_from(s, v))) {
            s->first[v][r][q] = 0;
        }
        if (keep || !all_sealed) {
            continue;
        }
        if (s->acked[v][r][q] != 0 && is_hidden(s, &s->acked[v][r][q], CORRECT, v)) {
            s->acked[v][r][q] = 0;
        }
        if (liars_left && s->committed[v][r][q] != 0 &&
            is_hidden(s, &s->committed[v][r][q], CORRECT, v)) {
            s->committed[v][r][q] = 0;
        }
    }
}

static void forget_faulty(struct state *s, int v, int j, bool all_sealed, bool liars_left)
{
    for (int q = 0; q < SLOTS; q++) {
        if (all_sealed && liars_left && s->liar_committed[v][j][q] != 0 &&
            is_hidden(s, &s->liar_committed[v][j][q], FAULTY, v)) {
            s->liar_committed[v][j][q] = 0;
        }
    }
    if (v <= VIEWS - 2 && s->new_view[v + 1]) {
        s->liar_sealed[v][j] = 0;
        s->liar_raised[v][j] = 0;
        memset(s->liar_claim_view[v][j], 0, SLOTS);
        memset(s->liar_claim[v][j], 0, SLOTS);
    }
}

static void forget(struct state *s)
{
    int lowest = lowest_view(s);
    int lowest_liar = lowest_liar_view(s);
    bool keep = keeps_all() || rules.mixed_views || rules.tentative == 2 || rules.checkpoint;
    for (int v = 0; v < VIEWS; v++) {
        bool all_sealed = lowest > v;
        bool liars_left = lowest_liar > v;
        for (int r = 0; r < CORRECT; r++) {
            forget_prepares(s, v, r, all_sealed);
            forget_votes(s, v, r, all_sealed, liars_left, keep);
        }
        if (keep) {
            continue;
        }
        for (int j = 0; j < FAULTY; j++) {
            forget_faulty(s, v, j, all_sealed, liars_left);
        }
        if (all_sealed && !is_open_from(s, v)) {
            memset(s->proposed[v], 0, IDS);
        }
        if (v > 0 && all_sealed && lowest_liar >= v) {
            memset(s->force[v], 0, SLOTS);
        }
    }
}

// ---- symmetry -----------------------------------------------------------------------------------

struct renaming {
    uint8_t name[BELOW_BASE + 1];
    uint8_t count;
};

static inline void rename_value(struct renaming *renaming, uint8_t *value)
{
    if (*value != 0 && *value <= VALUES) {
        if (renaming->name[*value] == 0) {
            renaming->name[*value] = ++renaming->count;
        }
        *value = renaming->name[*value];
    }
}

static inline void rename_content(struct renaming *renaming, uint8_t *content)
{
    if (*content != 0) {
        uint8_t value = (uint8_t)value_of(*content);
        rename_value(renaming, &value);
        *content = (uint8_t)content_of(slot_of(*content), value);
    }
}

static void rename_values(struct state *s)
{
    struct renaming renaming = {.count = 0};
    for (int q = 0; q < SLOTS; q++) {
        rename_value(&renaming, &s->decided[q]);
    }
    for (int v = 0; v < VIEWS; v++) {
        for (int q = 0; q < SLOTS; q++) {
            rename_value(&renaming, &s->force[v][q]);
        }
        for (int k = 0; k < IDS; k++) {
            rename_content(&renaming, &s->proposed[v][k]);
        }
        for (int r = 0; r < CORRECT; r++) {
            for (int k = 0; k < IDS; k++) {
                rename_content(&renaming, &s->locked[v][r][k]);
            }
            for (int q = 0; q < SLOTS; q++) {
                rename_value(&renaming, &s->first[v][r][q]);
                rename_value(&renaming, &s->acked[v][r][q]);
                rename_value(&renaming, &s->committed[v][r][q]);
            }
        }
        for (int j = 0; j < FAULTY; j++) {
            for (int q = 0; q < SLOTS; q++) {
                rename_value(&renaming, &s->liar_committed[v][j][q]);
                rename_value(&renaming, &s->liar_claim[v][j][q]);
            }
        }
    }
}

// The difference of two faulty replicas, field by field in a fixed order: below, equal or above 0.
static int compare_liars(const struct state *s, int a, int b)
{
    int order = s->liar_view[a] - s->liar_view[b];
    for (int v = 0; v < VIEWS && order == 0; v++) {
        order = s->liar_sealed[v][a] - s->liar_sealed[v][b];
        order = order != 0 ? order : s->liar_raised[v][a] - s->liar_raised[v][b];
        for (int q = 0; q < SLOTS && order == 0; q++) {
            order = s->liar_committed[v][a][q] - s->liar_committed[v][b][q];
            order = order != 0 ? order : s->liar_claim_view[v][a][q] - s->liar_claim_view[v][b][q];
            order = order != 0 ? order : s->liar_claim[v][a][q] - s->liar_claim[v][b][q];
        }
    }
    return order;
}

static inline void swap(uint8_t *a, uint8_t *b)
{
    uint8_t kept = *a;
    *a = *b;
    *b = kept;
}

static void order_liars(struct state *s)
{
    const int a = 0;
    const int b = FAULTY - 1; // there are at most two
    if (a == b || compare_liars(s, a, b) <= 0) {
        return;
    }
    swap(&s->liar_view[a], &s->liar_view[b]);
    for (int v = 0; v < VIEWS; v++) {
        swap(&s->liar_sealed[v][a], &s->liar_sealed[v][b]);
        swap(&s->liar_raised[v][a], &s->liar_raised[v][b]);
        for (int q = 0; q < SLOTS; q++) {
            swap(&s->liar_committed[v][a][q], &s->liar_committed[v][b][q]);
            swap(&s->liar_claim_view[v][a][q], &s->liar_claim_view[v][b][q]);
            swap(&s->liar_claim[v][a][q], &s->liar_claim[v][b][q]);
        }
    }
}

static void reduce(struct state *s)
{
    forget(s);
    if (rules.symmetry) {
        rename_values(s);
        order_liars(s);
        if (FAULTY > 1) {
            rename_values(s);
        }
    }
}

#endif
