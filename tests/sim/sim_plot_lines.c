// SPDX-License-Identifier: Apache-2.0
//
// Plots: the lines, from what the explored models (tests/model) lose a decision by when a rule is
// left out. A line says what it tries; its steps are varied with each seed. See sim_plot.h.
#include "sim_plot.h"

#define N PLOT_NOBODY
#define P PLOT_P
#define Q PLOT_Q
#define PQ PLOT_CORRECT
#define VOTES (PLOT_ACKS | PLOT_CERTIFIES)

// clang-format off
#define NOW(act, a, how) {PLOT_NOW, N, PLOT_##act, a, N, how}
#define AT(what, whom, act, a, how) {PLOT_##what, whom, PLOT_##act, a, N, how}
#define CUT_AT(what, whom, a, b) {PLOT_##what, whom, PLOT_CUT, a, b, 0}
#define BEGIN AT(LATER, N, MARK, N, 0)
// Leaves the view, with the liars.
#define LEAVE(who) NOW(MARK, N, 0), NOW(SEAL, who, 0), AT(SEALED, who, LIARS_SEAL, N, 0)
// Those who are left go on, perhaps after more views; then all hear from each other.
#define END AT(ENTERED, Q, UNMUTE, PQ, 0), NOW(HOLD_BACK, N, 0), NOW(AGAIN, N, 5),                 \
            NOW(MARK, N, 0), NOW(PROPOSE, N, 0), AT(DECIDED, Q, FREE, N, 0)

const struct sim_plot_line sim_plot_lines[] = {
    {"drawn", "steps of any kind in any order", -1, {{0}}},
    {"lost-fast", "P alone sees ACKs of all and is cut off; the others change views", -1,
     {BEGIN, NOW(MUTE, Q, VOTES), NOW(COSIGN, N, 1), AT(DECIDED, P, ALONE, P, 0),
      NOW(CLAIMS, N, PLOT_DRAWN), LEAVE(Q), END}},
    {"lost-slow", "P alone sees COMMITs and is cut off; the others change views", -1,
     {BEGIN, NOW(MUTE, PQ, PLOT_LOCKEDS), NOW(HOLD_BACK, N, PLOT_NO_COMMIT), NOW(COSIGN, N, 1),
      CUT_AT(COMMITTED, P, P, Q), AT(DECIDED, P, ALONE, P, 0), NOW(CLAIMS, N, PLOT_DRAWN),
      LEAVE(Q), END}},
    {"half-heard", "P's LOCKED and ACK never reach Q, P goes on with the liars' alone", -1,
     {BEGIN, NOW(MUTE, Q, VOTES), NOW(COSIGN, N, 1), {PLOT_NOW, N, PLOT_CUT, P, Q, 0},
      AT(DECIDED, P, ALONE, P, 0), NOW(CLAIMS, N, PLOT_DRAWN), LEAVE(Q), END}},
    {"second-lock", "Q vouches a no-op by a LOCK far ahead, then what P decides by ACKs", 0,
     {BEGIN, NOW(MUTE, Q, VOTES), NOW(HOLD_BACK, N, PLOT_NO_PROPOSAL), AT(LATER, N, MARK, N, 0),
      NOW(GHOST, Q, PLOT_A_NOOP), AT(VOUCHED, Q, MARK, N, 0), NOW(HOLD_BACK, N, 0),
      AT(DECIDED, P, ALONE, P, 0), NOW(COSIGN, N, 1), NOW(CLAIMS, N, PLOT_CLAIM_GHOSTS), LEAVE(Q),
      END}},
    {"claim-or-commit", "Q vouches a no-op, P decides another value by COMMITs, one of them Q's", 0,
     {BEGIN, NOW(HOLD_BACK, N, PLOT_NO_PROPOSAL | PLOT_NO_COMMIT), AT(LATER, N, MARK, N, 0),
      NOW(MUTE, PQ, PLOT_LOCKEDS), NOW(GHOST, Q, PLOT_A_NOOP), AT(VOUCHED, Q, MARK, N, 0),
      NOW(HOLD_BACK, N, PLOT_NO_COMMIT), CUT_AT(COMMITTED, P, P, Q), AT(DECIDED, P, ALONE, P, 0),
      NOW(COSIGN, N, 1), NOW(CLAIMS, N, PLOT_CLAIM_GHOSTS), LEAVE(Q), END}},
    {"against-new-view", "a liar leads view 1 and has Q vouch what NEW_VIEW forbids", 1,
     {BEGIN, NOW(MUTE, Q, VOTES), NOW(COSIGN, N, 1), NOW(HOLD_BACK, N, PLOT_NO_PROPOSAL),
      AT(DECIDED, P, ALONE, P, 0), NOW(CLAIMS, N, PLOT_CLAIM_NOTHING), LEAVE(Q),
      AT(ENTERED, Q, GHOST, Q, PLOT_A_NOOP), AT(VOUCHED, Q, CLAIMS, N, PLOT_CLAIM_GHOSTS),
      NOW(HOLD_BACK, N, 0), LEAVE(Q), END}},
    {"disobey", "a liar leads view 1 and proposes what NEW_VIEW forbids", 1,
     {BEGIN, NOW(MUTE, Q, VOTES), NOW(COSIGN, N, 1), NOW(HOLD_BACK, N, PLOT_NO_PROPOSAL),
      AT(DECIDED, P, ALONE, P, 0), NOW(CLAIMS, N, PLOT_CLAIM_NOTHING), LEAVE(Q),
      AT(ENTERED, Q, UNMUTE, Q, 0), NOW(PROPOSE, N, 1), NOW(MARK, N, 0), NOW(HOLD_BACK, N, 0),
      AT(DECIDED, Q, FREE, N, 0)}},
    {"old-claim", "Q vouches a no-op in view 0, P decides another value in view 1", 0,
     {BEGIN, NOW(HOLD_BACK, N, PLOT_NO_PROPOSAL), AT(LATER, N, MARK, N, 0),
      NOW(GHOST, Q, PLOT_A_NOOP), AT(VOUCHED, Q, NOTHING, N, 0), NOW(COSIGN, N, 1), LEAVE(PQ),
      NOW(MUTE, Q, VOTES), AT(ENTERED, PQ, MARK, N, 0), AT(DECIDED, P, ALONE, P, 0),
      NOW(CLAIMS, N, PLOT_CLAIM_GHOSTS), LEAVE(Q), END}},
    {"false-commit", "P alone decides; liars COMMIT a no-op there without a certificate", -1,
     {BEGIN, NOW(MUTE, Q, VOTES), NOW(COSIGN, N, 1), AT(DECIDED, P, ALONE, P, 0),
      NOW(COMMIT, N, PLOT_DRAWN), NOW(CLAIMS, N, PLOT_CLAIM_NOTHING), LEAVE(Q), END}},
    {"false-new-view", "P alone decides; a liar leads view 1 with a NEW_VIEW of its own making", 1,
     {BEGIN, NOW(MUTE, Q, VOTES), NOW(COSIGN, N, 1), AT(DECIDED, P, ALONE, P, 0),
      NOW(CLAIMS, N, PLOT_CLAIM_NOTHING), NOW(NEW_VIEW, N, PLOT_DRAWN), LEAVE(Q), END}},
    {"old-new-view", "P alone decides in view 1; a liar leads view 2 with view 1's NEW_VIEW", 2,
     {BEGIN, NOW(COSIGN, N, 1), LEAVE(PQ), NOW(MUTE, Q, VOTES), AT(ENTERED, PQ, MARK, N, 0),
      AT(DECIDED, P, ALONE, P, 0), NOW(CLAIMS, N, PLOT_CLAIM_NOTHING),
      NOW(NEW_VIEW, N, PLOT_OLDER), LEAVE(Q), END}},
    {"after-seal", "Q hears LOCKED when it has left the view; P decides if Q ACKs then", 1,
     {BEGIN, NOW(COSIGN, N, 1), {PLOT_NOW, N, PLOT_CUT, P, Q, 0}, NOW(MUTE, Q, VOTES),
      AT(ACKED, P, SEAL, Q, 0), {PLOT_SEALED, Q, PLOT_JOIN, P, Q, 0}, AT(DECIDED, P, ALONE, P, 0),
      NOW(CLAIMS, N, PLOT_CLAIM_NOTHING), NOW(LIARS_SEAL, N, 0), END}},
    {"late-commit", "a liar COMMITs after SEAL_VIEW, and P decides by that", -1,
     {BEGIN, NOW(COSIGN, N, 1), NOW(MUTE, PQ, PLOT_LOCKEDS | PLOT_ACKS),
      NOW(HOLD_BACK, N, PLOT_NO_COMMIT), {PLOT_NOW, N, PLOT_CUT, P, Q, 0},
      AT(COMMITTED, P, LIARS_SEAL, N, 0), NOW(SEAL, Q, 0), AT(LATER, N, COMMIT, N, PLOT_TOO_LATE),
      AT(DECIDED, P, ALONE, P, 0), NOW(CLAIMS, N, PLOT_CLAIM_NOTHING), END}},
    {"below-base", "P has a checkpoint and co-signs what liars claim below it", 1,
     {BEGIN, NOW(COSIGN, N, 1), AT(CHECKPOINT, PLOT_ALL, MARK, N, 0),
      NOW(HOLD_BACK, N, PLOT_NO_BASE), NOW(MUTE, Q, VOTES | PLOT_BASES),
      NOW(CLAIMS, N, PLOT_CLAIM_NOOP), NOW(NEW_VIEW, N, PLOT_LOW_BASE), NOW(IGNORE, P, 0),
      AT(CHECKPOINT, P, ALONE, P, 0), NOW(LIARS_SEAL, N, 0), NOW(SEAL, P, 0), NOW(SEAL, Q, 0),
      NOW(MARK, N, 0), AT(ENTERED, Q, UNMUTE, PQ, 0), NOW(HOLD_BACK, N, 0), NOW(PROPOSE, N, 0),
      AT(DECIDED, Q, FREE, N, 0)}},
    {"four-views", "P ACKs in view 0, Q the same in view 2; view 1 had another value", 0,
     {BEGIN, NOW(COSIGN, N, 1), NOW(HOLD_BACK, N, PLOT_NO_PROPOSAL), AT(LATER, N, MARK, N, 0),
      {PLOT_NOW, N, PLOT_CUT, P, Q, 0}, NOW(PROPOSE, N, 0), AT(ACKED, P, CLAIMS, N, 1), LEAVE(Q),
      NOW(MUTE, PQ, PLOT_LOCKEDS | VOTES), AT(VOUCHED, P, FREE, N, 0), NOW(MARK, N, 0),
      NOW(SEAL, PQ, 0), AT(ENTERED, Q, UNMUTE, PQ, 0), NOW(MUTE, P, PLOT_LOCKEDS),
      AT(DECIDED, P, ALONE, P, 0), NOW(CLAIMS, N, PLOT_CLAIM_NOOP), NOW(IGNORE, Q, 0), LEAVE(PQ),
      AT(ENTERED, Q, UNMUTE, PQ, 0), AT(DECIDED, Q, FREE, N, 0)}},
};
// clang-format on

const uint32_t sim_plot_line_count = sizeof sim_plot_lines / sizeof *sim_plot_lines;
