// SPDX-License-Identifier: Apache-2.0
//
// Fast path and view change, part 1 of 3: bounds, options, the state and its stored form. Only
// fastpath.c includes the parts; it is compiled once for each set of bounds.
#ifndef TACIT_TESTS_MODEL_FASTPATH_STATE_H
#define TACIT_TESTS_MODEL_FASTPATH_STATE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "explorer.h"

#ifndef FASTPATH_BOUNDS
#error "Define FASTPATH_BOUNDS as FAULTY, VIEWS, SLOTS, IDS, VALUES"
#endif
#define FASTPATH_FIFTH(a, b, c, d, e) e
#define FASTPATH_FOURTH(a, b, c, d, e) d
#define FASTPATH_THIRD(a, b, c, d, e) c
#define FASTPATH_SECOND(a, b, c, d, e) b
#define FASTPATH_FIRST(a, b, c, d, e) a
#define FASTPATH_PICK(which, ...) which(__VA_ARGS__)

enum {
    FAULTY = FASTPATH_PICK(FASTPATH_FIRST, FASTPATH_BOUNDS),
    VIEWS = FASTPATH_PICK(FASTPATH_SECOND, FASTPATH_BOUNDS),
    SLOTS = FASTPATH_PICK(FASTPATH_THIRD, FASTPATH_BOUNDS),
    IDS =
        FASTPATH_PICK(FASTPATH_FOURTH, FASTPATH_BOUNDS), // PREPAREs (CTB ids) of a leader per view
    VALUES = FASTPATH_PICK(FASTPATH_FIFTH, FASTPATH_BOUNDS),
    CORRECT = FAULTY + 1,
    MEMBERS = 2 * FAULTY + 1,
    CONTENTS = SLOTS * VALUES, // what a PREPARE can say: 1 + slot * VALUES + value - 1
    CONTENT_BITS = CONTENTS <= 3   ? 2
                   : CONTENTS <= 7 ? 3
                                   : 4,
    VIEW_BITS = VIEWS > 2 ? 2 : 1,
    WORDS = FAULTY + VIEWS + SLOTS + IDS > 6 ? 3 : 2, // asserted in fastpath_pack()
    // What select() says of a slot: 0 free, a value, or: below the certified base.
    FREE = 0,
    BELOW_BASE = VALUES + 1,
    NOBODY = -1, // leader of a view: a faulty replica
};

// Correct replicas are 0..CORRECT-1, the faulty ones have arrays of their own (liar_*). Of a faulty
// replica only what it can say once is state: contents of CTB ids.
struct state {
    uint8_t view[CORRECT];                    // every smaller view is sealed
    uint8_t ahead[CORRECT];                   // holds a checkpoint certificate above all slots
    uint8_t proposed[VIEWS][IDS];             // content, by a correct leader
    uint8_t locked[VIEWS][CORRECT][IDS];      // CTB lock (content), write-once
    uint8_t vouched[VIEWS][CORRECT][IDS];     // LOCKED was sent for it
    uint8_t written[VIEWS][CORRECT][IDS];     // own register holds the lock: slow path taken
    uint8_t delivered[VIEWS][CORRECT];        // ids so far (FIFO)
    uint8_t first[VIEWS][CORRECT][SLOTS];     // value of the first delivered PREPARE of the slot
    uint8_t acked[VIEWS][CORRECT][SLOTS];     // value
    uint8_t certified[VIEWS][CORRECT][SLOTS]; // CERTIFY was sent for `first`
    uint8_t committed[VIEWS][CORRECT][SLOTS]; // value of the COMMIT in the own stream
    uint8_t liar_view[FAULTY];                // that its stream has reached
    uint8_t liar_committed[VIEWS][FAULTY][SLOTS];
    uint8_t liar_sealed[VIEWS][FAULTY];            // a state certificate for its SEAL_VIEW exists:
    uint8_t liar_claim_view[VIEWS][FAULTY][SLOTS]; // ... with this claim
    uint8_t liar_claim[VIEWS][FAULTY][SLOTS];      // ... (0: none)
    uint8_t liar_raised[VIEWS][FAULTY];            // ... and its base raised by its co-signer
    uint8_t new_view[VIEWS];                       // NEW_VIEW exists
    uint8_t force[VIEWS][SLOTS];                   // what select() made of it
    uint8_t decided[SLOTS];                        // value decided so far, and
    uint8_t decided_view[SLOTS];                   // the smallest view in which it was
};

// ---- options: the rules as they are, and each of them switched off ------------------------------

static struct {
    int leader[VIEWS];                  // NOBODY: a faulty replica, else a correct one
    unsigned endorsers[BELOW_BASE + 1]; // correct replicas that can endorse the value
    int vouch, vouch_legal, vouch_endorsed, vouch_once, ack_unanimous, leader_ack;
    int decide_locked, decide_quorum, mixed_views;
    int carry, whole_state, outrank, fall_back;
    int evidence, seal_first, refuse, cosign_legal, cosign_endorsed, forced_endorsed,
        decided_endorsed;
    int checkpoint, tentative, stepwise, abstain;
    int past_lost, symmetry, stuck;
} rules;

static bool parse_leaders(const char *text)
{
    if (strlen(text) != VIEWS) {
        return false;
    }
    for (int v = 0; v < VIEWS; v++) {
        rules.leader[v] = text[v] == 'F' ? NOBODY : text[v] - 'A';
        if (rules.leader[v] < NOBODY || rules.leader[v] >= CORRECT) {
            return false;
        }
    }
    return true;
}

static bool parse_endorsers(const char *text)
{
    if (strlen(text) != VALUES) {
        return false;
    }
    for (int d = 1; d <= VALUES; d++) {
        rules.endorsers[d] = (unsigned)(text[d - 1] - '0');
        if (rules.endorsers[d] >= 1u << CORRECT) {
            return false;
        }
    }
    rules.symmetry = 0; // the values are no longer alike
    return true;
}

static void reset_lists(void)
{
    for (int v = 0; v < VIEWS; v++) {
        rules.leader[v] = NOBODY;
    }
    for (int d = 0; d <= BELOW_BASE; d++) {
        rules.endorsers[d] = (1u << CORRECT) - 1;
    }
}

static const struct explorer_option fastpath_options[] = {
    {"lead", NULL, 0, parse_leaders,
     "leader of each view: F a faulty replica, A, B, C a correct one (default: all F)"},
    {"endorse", NULL, 0, parse_endorsers,
     "per value, mask of the correct replicas that can endorse it (303: the second one is forged)"},
    {"vouch", &rules.vouch, 1, NULL, "0: LOCKED is no vouch, ACK on any CTB delivery"},
    {"vouch_legal", &rules.vouch_legal, 1, NULL, "0: vouch without looking at NEW_VIEW"},
    {"vouch_endorsed", &rules.vouch_endorsed, 1, NULL, "0: vouch without endorsement"},
    {"vouch_once", &rules.vouch_once, 1, NULL, "0: two vouches per (view, slot)"},
    {"ack_unanimous", &rules.ack_unanimous, 1, NULL, "0: ACK on any CTB delivery"},
    {"leader_ack", &rules.leader_ack, 0, NULL, "1: a PREPARE counts as its leader's ACK"},
    {"decide_locked", &rules.decide_locked, 0, NULL, "1: unanimous LOCKED decides"},
    {"decide_quorum", &rules.decide_quorum, 0, NULL, "1: f+1 ACKs decide"},
    {"mixed_views", &rules.mixed_views, 0, NULL, "1: ACKs of different views add up"},
    {"carry", &rules.carry, 1, NULL, "0: claims only of the view that is sealed"},
    {"whole_state", &rules.whole_state, 1, NULL, "0: claims are co-signed one by one"},
    {"outrank", &rules.outrank, 1, NULL, "0: COMMIT does not outrank claims of its view"},
    {"fall_back", &rules.fall_back, 0, NULL, "1: conflicting claims: look at lower views"},
    {"evidence", &rules.evidence, 1, NULL, "0: co-sign what one has not vouched"},
    {"seal_first", &rules.seal_first, 1, NULL, "0: co-sign before sealing"},
    {"refuse", &rules.refuse, 1, NULL, "0 (without vouch): co-sign against one's own delivery"},
    {"cosign_legal", &rules.cosign_legal, 0, NULL,
     "1 (without vouch): co-signer asks for NEW_VIEW"},
    {"cosign_endorsed", &rules.cosign_endorsed, 0, NULL, "1 (without vouch): it must endorse too"},
    {"decided_endorsed", &rules.decided_endorsed, 0, NULL,
     "1: what could be decided needs no endorsement"},
    {"forced_endorsed", &rules.forced_endorsed, 0, NULL, "1: forced values still need endorsement"},
    {"checkpoint", &rules.checkpoint, 0, NULL,
     "1: checkpoints; 2: co-sign blindly below the own one; 3: refuse what lies below it"},
    {"tentative", &rules.tentative, 0, NULL,
     "1: tentative replies to slot 1; 2: on a chain of ACKs of any view"},
    {"stepwise", &rules.stepwise, 0, NULL, "1: lock, register write, read as separate steps"},
    {"abstain", &rules.abstain, 0, NULL,
     "1 (stepwise): LOCKED without a vouch, of each lock, delivers; 2: it counts for ACKs, too"},
    {"past_lost", &rules.past_lost, 0, NULL, "1: do not stop at \"lost\""},
    {"symmetry", &rules.symmetry, 1, NULL, "0: do not rename values (readable runs)"},
    {"stuck", &rules.stuck, 1, NULL, "0: do not look for stuck states"},
};

// ---- the stored form ----------------------------------------------------------------------------

struct packer {
    uint64_t *words;
    unsigned at; // bit
    bool unpacking;
};

static inline void field(struct packer *packer, uint8_t *value, unsigned bits)
{
    unsigned word = packer->at >> 6;
    unsigned offset = packer->at & 63;
    if (!packer->unpacking) {
        packer->words[word] |= (uint64_t)*value << offset;
        if (offset + bits > 64) {
            packer->words[word + 1] |= (uint64_t)*value >> (64 - offset);
        }
    } else {
        uint64_t all = packer->words[word] >> offset;
        if (offset + bits > 64) {
            all |= packer->words[word + 1] << (64 - offset);
        }
        *value = (uint8_t)(all & ((1u << bits) - 1));
    }
    packer->at += bits;
}

static inline void visit_correct(struct packer *p, struct state *s, int v, int r)
{
    for (int k = 0; k < IDS; k++) {
        field(p, &s->locked[v][r][k], CONTENT_BITS);
        field(p, &s->vouched[v][r][k], 1);
        field(p, &s->written[v][r][k], 1);
    }
    if (IDS > 1) {
        field(p, &s->delivered[v][r], 2);
    }
    for (int q = 0; q < SLOTS; q++) {
        field(p, &s->first[v][r][q], 2);
        field(p, &s->acked[v][r][q], 2);
        field(p, &s->certified[v][r][q], 1);
        field(p, &s->committed[v][r][q], 2);
        // With one id per view and one slot per id: delivered, if there is a first value.
        if (IDS == 1 && p->unpacking && s->first[v][r][q] != 0) {
            s->delivered[v][r] = 1;
        }
    }
}

static inline void visit_faulty(struct packer *p, struct state *s, int v, int j)
{
    for (int q = 0; q < SLOTS; q++) {
        field(p, &s->liar_committed[v][j][q], 2);
    }
    if (v == VIEWS - 1) {
        return; // nobody leaves the last view
    }
    field(p, &s->liar_sealed[v][j], 1);
    if (rules.checkpoint) {
        field(p, &s->liar_raised[v][j], 1);
    }
    for (int q = 0; q < SLOTS; q++) {
        if (v > 0) {
            field(p, &s->liar_claim_view[v][j][q], v > 1 ? 2 : 1);
        }
        field(p, &s->liar_claim[v][j][q], 2);
    }
}

static inline void visit(struct packer *p, struct state *s)
{
    for (int r = 0; r < CORRECT; r++) {
        field(p, &s->view[r], VIEW_BITS);
        if (rules.checkpoint) {
            field(p, &s->ahead[r], 1);
        }
    }
    for (int v = 0; v < VIEWS; v++) {
        for (int k = 0; k < IDS && rules.leader[v] != NOBODY; k++) {
            field(p, &s->proposed[v][k], CONTENT_BITS);
        }
        for (int r = 0; r < CORRECT; r++) {
            visit_correct(p, s, v, r);
        }
        for (int j = 0; j < FAULTY; j++) {
            visit_faulty(p, s, v, j);
        }
        if (v > 0) {
            field(p, &s->new_view[v], 1);
            for (int q = 0; q < SLOTS; q++) {
                field(p, &s->force[v][q], rules.checkpoint ? 3 : 2);
            }
        }
    }
    for (int j = 0; j < FAULTY; j++) {
        field(p, &s->liar_view[j], VIEW_BITS);
    }
    for (int q = 0; q < SLOTS; q++) {
        field(p, &s->decided[q], 2);
        field(p, &s->decided_view[q], VIEW_BITS);
    }
}

static void fastpath_pack(const void *state, uint64_t *words)
{
    struct state copy;
    memcpy(&copy, state, sizeof copy);
    memset(words, 0, WORDS * sizeof *words);
    struct packer packer = {words, 0, false};
    visit(&packer, &copy);
    assert(packer.at <= WORDS * 64);
}

static void fastpath_unpack(const uint64_t *words, void *state)
{
    uint64_t copy[WORDS];
    memcpy(copy, words, sizeof copy);
    struct packer packer = {copy, 0, true};
    visit(&packer, state);
}

// ---- small things -------------------------------------------------------------------------------

static inline int slot_of(int content)
{
    return (content - 1) / VALUES;
}

static inline int value_of(int content)
{
    return (content - 1) % VALUES + 1;
}

static inline int content_of(int slot, int value)
{
    return 1 + slot * VALUES + value - 1;
}

static inline int lowest_view(const struct state *s)
{
    int lowest = VIEWS;
    for (int r = 0; r < CORRECT; r++) {
        lowest = s->view[r] < lowest ? s->view[r] : lowest;
    }
    return lowest;
}

static inline int lowest_liar_view(const struct state *s)
{
    int lowest = VIEWS;
    for (int j = 0; j < FAULTY; j++) {
        lowest = s->liar_view[j] < lowest ? s->liar_view[j] : lowest;
    }
    return lowest;
}

static const char *value_name(int value)
{
    static const char *const names[] = {"free", "a", "b", "c", "d"};
    return value == BELOW_BASE ? "below base" : names[value];
}

#endif
