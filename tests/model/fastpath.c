// SPDX-License-Identifier: Apache-2.0
//
// Model of the short fast path and its view change: n = 2f+1 replicas, f of them in the hands of
// one adversary. This file has the steps; the state, the rules and the reductions are in three
// headers. Compiled once per set of bounds, with FASTPATH_BOUNDS and FASTPATH_MODEL (the model's
// name).
//
// - Messages stay for ever, and receiving is part of the step that uses them, so all orders, delays
//   and losses are covered. Where a rule needs a word of a faulty replica it is granted; where it
//   would hinder it is absent.
// - PREPARE's CTB is modelled by its evidence: locks, LOCKED, registers, signatures. The CTB of
//   COMMIT, SEAL_VIEW and NEW_VIEW is one content per id in FIFO order; ctb.c checks that
//   interface.
// - "Decided" means that some replica or client could decide, so late collectors are included.
#include "fastpath_models.h"
#include "fastpath_reduce.h"

static void emit(struct explorer *x, struct state *next)
{
    decide_all(x, next);
    if (rules.stuck) {
        check_stuck(x, next);
    }
    reduce(next);
    explorer_emit(x, next);
}

// ---- leaving and entering views -----------------------------------------------------------------

static void seal(struct explorer *x, const struct state *s)
{
    for (int r = 0; r < CORRECT; r++) {
        if (s->view[r] < VIEWS - 1) {
            struct state next = *s;
            EXPLORER_STEP(x, "correct %d seals view %d", r, s->view[r]);
            next.view[r]++;
            emit(x, &next);
        }
    }
    for (int r = 0; r < CORRECT && rules.checkpoint; r++) {
        if (!s->ahead[r] && s->decided[0] != 0) {
            struct state next = *s;
            EXPLORER_STEP(x, "correct %d adopts a certified checkpoint above the slot", r);
            next.ahead[r] = 1;
            emit(x, &next);
        }
    }
}

static void check_forced(struct explorer *x, const struct state *s, int v, int q, int d)
{
    if (s->decided[q] != 0 && s->decided_view[q] < v && d != s->decided[q] && d != BELOW_BASE) {
        lost(x, s, s->decided_view[q], q, v, d);
    }
    if (rules.checkpoint && d == BELOW_BASE && s->decided[q] == 0) {
        explorer_violation(x, "disagreement", "base above an undecided slot");
    }
    if (d == FREE || d == BELOW_BASE || !rules.stuck) {
        return;
    }
    if (rules.endorsers[d] == 0) {
        explorer_violation(x, rules.forced_endorsed ? "stuck" : "integrity",
                           "NEW_VIEW(%d) forces %s, which no correct replica endorsed", v,
                           value_name(d));
    }
    for (int r = 0; r < CORRECT && rules.forced_endorsed && rules.leader[v] != NOBODY; r++) {
        if ((rules.endorsers[d] >> r & 1) == 0) {
            explorer_violation(x, "stuck", "NEW_VIEW(%d) forces %s, which %d refuses to endorse", v,
                               value_name(d), r);
        }
    }
}

static void new_view_from(struct explorer *x, const struct state *s, int v, int members)
{
    for (int dropped = 0; dropped < (rules.whole_state ? 1 : 1 << CORRECT); dropped++) {
        if ((dropped & ~members) != 0) {
            continue;
        }
        struct state next = *s;
        next.new_view[v] = 1;
        for (int q = 0; q < SLOTS; q++) {
            int d = select_value(x, s, members, dropped, v, q);
            next.force[v][q] = (uint8_t)d;
            check_forced(x, s, v, q, d);
        }
        EXPLORER_STEP(
            x, "NEW_VIEW(%d) by the %s leader, states %x (bits: %d correct, then faulty): %s", v,
            rules.leader[v] == NOBODY ? "faulty" : "correct", (unsigned)members, CORRECT,
            value_name(next.force[v][0]));
        emit(x, &next);
    }
}

static void new_view(struct explorer *x, const struct state *s)
{
    int lowest = lowest_view(s);
    for (int v = 1; v < VIEWS; v++) {
        int leader = rules.leader[v];
        if (s->new_view[v] || (leader != NOBODY ? s->view[leader] != v : lowest > v)) {
            continue;
        }
        for (int members = 1; members < 1 << MEMBERS; members++) {
            if (is_certified_set(s, members, v)) {
                new_view_from(x, s, v, members);
            }
        }
    }
}

// ---- inside a view: PREPARE, LOCK, LOCKED, delivery ---------------------------------------------

static void propose(struct explorer *x, const struct state *s, int v)
{
    int leader = rules.leader[v];
    int k = 0;
    while (k < IDS && s->proposed[v][k] != 0) {
        k++;
    }
    for (int q = 0; q < SLOTS && k < IDS; q++) {
        bool used = s->ahead[leader];
        for (int i = 0; i < k; i++) {
            used = used || slot_of(s->proposed[v][i]) == q;
        }
        for (int d = 1; d <= VALUES && !used; d++) {
            if (!legal(s, v, q, d) || !endorsed(s, leader, v, q, d)) {
                continue;
            }
            struct state next = *s;
            next.proposed[v][k] = (uint8_t)content_of(q, d);
            next.first[v][leader][q] = (uint8_t)d;
            if (!rules.vouch || rules.leader_ack) {
                next.acked[v][leader][q] = (uint8_t)d;
            }
            EXPLORER_STEP(x, "correct leader %d: PREPARE(view %d, slot %d, %s)", leader, v, q,
                          value_name(d));
            emit(x, &next);
        }
    }
}

// Could LOCKED of this content have come from all other receivers? `vouched`: with their vouch.
static bool others_locked(const struct state *s, int v, int r, int k, int content, bool vouched)
{
    for (int c = 0; c < CORRECT; c++) {
        if (c != r && c != rules.leader[v] &&
            (s->locked[v][c][k] != content || (rules.vouch && vouched && !s->vouched[v][c][k]))) {
            return false;
        }
    }
    return true;
}

static bool may_vouch(const struct state *s, int v, int r, int content)
{
    int q = slot_of(content);
    int d = value_of(content);
    if ((rules.vouch_legal && !legal(s, v, q, d)) ||
        (rules.vouch_endorsed && !endorsed(s, r, v, q, d))) {
        return false;
    }
    for (int i = 0; i < IDS && rules.vouch_once; i++) {
        int other = s->locked[v][r][i];
        if (s->vouched[v][r][i] && slot_of(other) == q && other != content) {
            return false;
        }
    }
    return true;
}

static void lock(struct explorer *x, const struct state *s, int v, int r, int k, int content)
{
    int q = slot_of(content);
    int d = value_of(content);
    bool present = in_view(s, r, v);
    if (!s->locked[v][r][k] && (!rules.vouch || (rules.stepwise && (present || rules.abstain)))) {
        struct state next = *s;
        next.locked[v][r][k] = (uint8_t)content;
        EXPLORER_STEP(x, "correct %d locks PREPARE(view %d, slot %d, %s) id %d", r, v, q,
                      value_name(d), k);
        emit(x, &next);
    }
    if (!present || s->ahead[r]) {
        return;
    }
    if (rules.vouch && !s->vouched[v][r][k] && (!rules.stepwise || s->locked[v][r][k]) &&
        may_vouch(s, v, r, content)) {
        struct state next = *s;
        next.locked[v][r][k] = (uint8_t)content;
        next.vouched[v][r][k] = 1;
        EXPLORER_STEP(x, "correct %d vouches: LOCKED(view %d, slot %d, %s) id %d", r, v, q,
                      value_name(d), k);
        emit(x, &next);
    }
    if (rules.stepwise && rules.leader[v] == NOBODY && s->locked[v][r][k] && !s->written[v][r][k]) {
        struct state next = *s;
        next.written[v][r][k] = 1;
        EXPLORER_STEP(x, "correct %d writes its register: (view %d, id %d, %s)", r, v, k,
                      value_name(d));
        emit(x, &next);
    }
}

static void deliver_by(struct explorer *x, const struct state *s, int v, int r, int k, int content,
                       bool fast)
{
    int q = slot_of(content);
    struct state next = *s;
    next.locked[v][r][k] = (uint8_t)content;
    if (!fast && rules.leader[v] == NOBODY) {
        next.written[v][r][k] = 1;
    }
    next.delivered[v][r]++;
    if (!next.first[v][r][q]) {
        next.first[v][r][q] = (uint8_t)value_of(content);
    }
    if (fast && rules.decide_locked) {
        decide(x, &next, v, q, value_of(content));
    }
    EXPLORER_STEP(x, "correct %d delivers (%s) PREPARE(view %d, slot %d, %s) id %d", r,
                  fast ? "fast" : "slow", v, q, value_name(value_of(content)), k);
    emit(x, &next);
}

static void deliver(struct explorer *x, const struct state *s, int v, int r, int k, int content)
{
    bool must_have_locked = !rules.vouch || rules.stepwise;
    if (!in_view(s, r, v) || s->ahead[r] || s->delivered[v][r] != k ||
        (must_have_locked && !s->locked[v][r][k])) {
        return;
    }
    if (others_locked(s, v, r, k, content, !rules.abstain)) {
        deliver_by(x, s, v, r, k, content, true);
    }
    bool faulty_leader = rules.leader[v] == NOBODY;
    if (faulty_leader && rules.stepwise && !s->written[v][r][k]) {
        return;
    }
    for (int c = 0; c < CORRECT && faulty_leader; c++) {
        if (c != r && s->written[v][c][k] && s->locked[v][c][k] != content) {
            return; // signed twice: the broadcaster is caught
        }
    }
    deliver_by(x, s, v, r, k, content, false);
}

static void receive(struct explorer *x, const struct state *s, int v, int r)
{
    for (int k = 0; k < IDS; k++) {
        int low = 1;
        int high = CONTENTS;
        if (rules.leader[v] != NOBODY) {
            if (!s->proposed[v][k]) {
                continue;
            }
            low = high = s->proposed[v][k];
        }
        if (s->locked[v][r][k]) {
            low = high = s->locked[v][r][k];
        }
        for (int content = low; content <= high; content++) {
            lock(x, s, v, r, k, content);
            deliver(x, s, v, r, k, content);
        }
    }
}

// ---- ACK, CERTIFY, COMMIT -----------------------------------------------------------------------

static bool may_ack(const struct state *s, int v, int r, int q, int d)
{
    bool unanimous = !rules.vouch || !rules.ack_unanimous;
    int content = content_of(q, d);
    for (int k = 0; k < IDS && !unanimous; k++) {
        bool mine = r == rules.leader[v] ? s->proposed[v][k] == content
                                         : s->vouched[v][r][k] && s->locked[v][r][k] == content;
        unanimous = mine && others_locked(s, v, r, k, content, rules.abstain < 2);
    }
    if (rules.tentative && q == 1) {
        bool chained = s->acked[v][r][0] != 0 || s->decided[0] != 0;
        for (int w = 0; w < v && rules.tentative == 2; w++) {
            chained = chained || s->acked[w][r][0] != 0;
        }
        unanimous = unanimous && chained;
    }
    return unanimous;
}

// Has a correct replica CERTIFIED this value? (The faulty ones always would.)
static bool has_certificate(const struct state *s, int v, int q, int d)
{
    for (int r = 0; r < CORRECT; r++) {
        if (s->certified[v][r][q] && s->first[v][r][q] == d) {
            return true;
        }
    }
    return false;
}

static void vote(struct explorer *x, const struct state *s, int v, int r, int q)
{
    int d = s->first[v][r][q];
    bool fine = d != 0 && in_view(s, r, v) && legal(s, v, q, d) && endorsed(s, r, v, q, d);
    if (fine && !s->acked[v][r][q] && may_ack(s, v, r, q, d)) {
        struct state next = *s;
        next.acked[v][r][q] = (uint8_t)d;
        EXPLORER_STEP(x, "correct %d: ACK(view %d, slot %d, %s)", r, v, q, value_name(d));
        emit(x, &next);
    }
    if (fine && !s->certified[v][r][q]) {
        struct state next = *s;
        next.certified[v][r][q] = 1;
        EXPLORER_STEP(x, "correct %d: CERTIFY(view %d, slot %d, %s)", r, v, q, value_name(d));
        emit(x, &next);
    }
    for (int e = 1; e <= VALUES && !s->committed[v][r][q]; e++) {
        if (has_certificate(s, v, q, e)) {
            struct state next = *s;
            next.committed[v][r][q] = (uint8_t)e;
            EXPLORER_STEP(x, "correct %d: COMMIT(view %d, slot %d, %s)", r, v, q, value_name(e));
            emit(x, &next);
        }
    }
}

static void act_in_view(struct explorer *x, const struct state *s, int v)
{
    int leader = rules.leader[v];
    if (leader != NOBODY && in_view(s, leader, v)) {
        propose(x, s, v);
    }
    for (int r = 0; r < CORRECT; r++) {
        if (r != leader) {
            receive(x, s, v, r);
        }
        for (int q = 0; q < SLOTS && s->view[r] == v && !s->ahead[r]; q++) {
            vote(x, s, v, r, q);
        }
    }
}

// ---- faulty replicas: what they can say only once -----------------------------------------------

static void liar_commits(struct explorer *x, const struct state *s, int v, int j)
{
    for (int q = 0; q < SLOTS && s->liar_view[j] <= v; q++) {
        for (int d = 1; d <= VALUES && !s->liar_committed[v][j][q]; d++) {
            if (has_certificate(s, v, q, d)) {
                struct state next = *s;
                next.liar_committed[v][j][q] = (uint8_t)d;
                next.liar_view[j] = (uint8_t)v;
                EXPLORER_STEP(x, "faulty #%d: COMMIT(view %d, slot %d, %s)", j, v, q,
                              value_name(d));
                emit(x, &next);
            }
        }
    }
}

static void name_cosign(struct explorer *x, const struct state *s, int c, int j, int v)
{
    EXPLORER_STEP(x,
                  "correct %d co-signs SEAL_VIEW(%d) of faulty #%d, claims (view %d, %s) in slot 0",
                  c, v, j, s->liar_claim_view[v][j][0], value_name(s->liar_claim[v][j][0]));
}

// Co-signs with every combination of claims that c supports, slot by slot.
static void cosign(struct explorer *x, const struct state *s, int c, int j, int v, int q,
                   struct state *next)
{
    if (q == SLOTS) {
        struct state done = *next;
        done.liar_sealed[v][j] = 1;
        if (done.liar_view[j] < v + 1) {
            done.liar_view[j] = (uint8_t)(v + 1);
        }
        if (rules.checkpoint == 1 && s->ahead[c]) {
            done.liar_raised[v][j] = 1;
        }
        name_cosign(x, &done, c, j, v);
        emit(x, &done);
        return;
    }
    next->liar_claim_view[v][j][q] = 0;
    next->liar_claim[v][j][q] = 0;
    cosign(x, s, c, j, v, q + 1, next);
    for (int w = rules.carry ? 0 : v; w <= v; w++) {
        for (int d = 1; d <= VALUES; d++) {
            if (supports(x, s, c, w, q, d)) {
                next->liar_claim_view[v][j][q] = (uint8_t)w;
                next->liar_claim[v][j][q] = (uint8_t)d;
                cosign(x, s, c, j, v, q + 1, next);
            }
        }
    }
    next->liar_claim_view[v][j][q] = 0;
    next->liar_claim[v][j][q] = 0;
}

static void liar_seals(struct explorer *x, const struct state *s, int v, int j)
{
    if (v > VIEWS - 2 || s->liar_sealed[v][j] || !is_open(s, v)) {
        return;
    }
    for (int c = 0; c < CORRECT; c++) {
        if (!rules.seal_first || s->view[c] > v) {
            struct state next = *s;
            cosign(x, s, c, j, v, 0, &next);
        }
    }
}

// ---- the model ----------------------------------------------------------------------------------

static void fastpath_start(void *state)
{
    memset(state, 0, sizeof(struct state)); // everybody in view 0, nothing said
}

static void fastpath_expand(struct explorer *x, const void *state)
{
    const struct state *s = state;
    int lowest = lowest_view(s);
    seal(x, s);
    new_view(x, s);
    for (int v = 0; v < VIEWS; v++) {
        if (lowest <= v) {
            act_in_view(x, s, v);
        }
        for (int j = 0; j < FAULTY; j++) {
            liar_commits(x, s, v, j);
            liar_seals(x, s, v, j);
        }
    }
}

#define TEXT_OF(name) #name
#define NAME_TEXT(name) TEXT_OF(name)

const struct explorer_model FASTPATH_MODEL = {
    .name = NAME_TEXT(FASTPATH_MODEL),
    .state_bytes = sizeof(struct state),
    .packed_words = WORDS,
    .options = fastpath_options,
    .options_count = sizeof fastpath_options / sizeof *fastpath_options,
    .reset = reset_lists,
    .start = fastpath_start,
    .expand = fastpath_expand,
    .pack = fastpath_pack,
    .unpack = fastpath_unpack,
};
