// SPDX-License-Identifier: Apache-2.0
//
// Plots: the lines, from what the explored models (tests/model) lose a decision by when a rule is
// left out. A line says what it tries; its steps are varied with each seed. See sim_plot.h.
#include "sim_plot.h"

#define N PLOT_NOBODY
#define L PLOT_LIARS
#define P PLOT_P
#define Q PLOT_Q
#define ALL_CORRECT PLOT_CORRECT

// clang-format off
#define LEAVE(who)                                                                                 \
    {PLOT_NOW, N, PLOT_MARK, N, N, 0},                                                             \
    {PLOT_NOW, N, PLOT_SEAL, who, N, 0},                                                           \
    {PLOT_SEALED, who, PLOT_LIARS_SEAL, N, N, 0}
// clang-format on

const struct sim_plot_line sim_plot_lines[] = {
    {"drawn", "steps of any kind in any order", -1, {{0}}},
    {"lost-fast",
     "P alone sees ACKs of all and is cut off; the others change views, liars forget",
     -1,
     {{PLOT_LATER, N, PLOT_MARK, N, N, 0},
      {PLOT_NOW, N, PLOT_MUTE, Q, N, PLOT_ACKS | PLOT_CERTIFIES},
      {PLOT_NOW, N, PLOT_COSIGN, N, N, 1},
      {PLOT_DECIDED, P, PLOT_ALONE, P, N, 0},
      {PLOT_NOW, N, PLOT_CLAIMS, N, N, PLOT_DRAWN},
      LEAVE(Q),
      {PLOT_ENTERED, Q, PLOT_UNMUTE, Q, N, 0},
      {PLOT_NOW, N, PLOT_AGAIN, N, N, 4},
      {PLOT_NOW, N, PLOT_PROPOSE, N, N, 0},
      {PLOT_DECIDED, Q, PLOT_FREE, N, N, 0}}},
    {"lost-slow",
     "P alone sees COMMITs and is cut off; the others change views, liars forget",
     -1,
     {{PLOT_LATER, N, PLOT_MARK, N, N, 0},
      {PLOT_NOW, N, PLOT_MUTE, ALL_CORRECT, N, PLOT_LOCKEDS},
      {PLOT_NOW, N, PLOT_HOLD_BACK, N, N, PLOT_NO_COMMIT},
      {PLOT_NOW, N, PLOT_GHOST, Q, N, PLOT_A_NOOP},
      {PLOT_NOW, N, PLOT_COSIGN, N, N, 1},
      {PLOT_COMMITTED, P, PLOT_CUT, P, Q, 0},
      {PLOT_DECIDED, P, PLOT_ALONE, P, N, 0},
      {PLOT_NOW, N, PLOT_CLAIMS, N, N, PLOT_DRAWN},
      LEAVE(Q),
      {PLOT_ENTERED, Q, PLOT_UNMUTE, ALL_CORRECT, N, 0},
      {PLOT_NOW, N, PLOT_HOLD_BACK, N, N, 0},
      {PLOT_NOW, N, PLOT_AGAIN, N, N, 5},
      {PLOT_NOW, N, PLOT_PROPOSE, N, N, 0},
      {PLOT_DECIDED, Q, PLOT_FREE, N, N, 0}}},
    {"second-lock",
     "Q vouches a no-op by a LOCK far ahead, then what P decides; the liars claim the no-op",
     0,
     {{PLOT_LATER, N, PLOT_MARK, N, N, 0},
      {PLOT_NOW, N, PLOT_MUTE, Q, N, PLOT_ACKS | PLOT_CERTIFIES},
      {PLOT_NOW, N, PLOT_HOLD_BACK, N, N, PLOT_NO_PROPOSAL},
      {PLOT_DECIDED, P, PLOT_GHOST, Q, N, PLOT_A_NOOP},
      {PLOT_VOUCHED, Q, PLOT_HOLD_BACK, N, N, 0},
      {PLOT_NOW, N, PLOT_MARK, N, N, 0},
      {PLOT_DECIDED, P, PLOT_ALONE, P, N, 0},
      {PLOT_NOW, N, PLOT_COSIGN, N, N, 1},
      {PLOT_NOW, N, PLOT_CLAIMS, N, N, PLOT_CLAIM_GHOSTS},
      LEAVE(Q),
      {PLOT_ENTERED, Q, PLOT_UNMUTE, Q, N, 0},
      {PLOT_NOW, N, PLOT_AGAIN, N, N, 4},
      {PLOT_NOW, N, PLOT_PROPOSE, N, N, 0},
      {PLOT_DECIDED, Q, PLOT_FREE, N, N, 0}}},
    {"against-new-view",
     "a liar leads view 1 and has Q vouch what NEW_VIEW forbids; then it is claimed",
     1,
     {{PLOT_LATER, N, PLOT_MARK, N, N, 0},
      {PLOT_NOW, N, PLOT_MUTE, Q, N, PLOT_ACKS | PLOT_CERTIFIES},
      {PLOT_NOW, N, PLOT_COSIGN, N, N, 1},
      {PLOT_NOW, N, PLOT_HOLD_BACK, N, N, PLOT_NO_PROPOSAL},
      {PLOT_DECIDED, P, PLOT_ALONE, P, N, 0},
      {PLOT_NOW, N, PLOT_CLAIMS, N, N, PLOT_CLAIM_NOTHING},
      LEAVE(Q),
      {PLOT_ENTERED, Q, PLOT_GHOST, Q, N, PLOT_A_NOOP},
      {PLOT_VOUCHED, Q, PLOT_CLAIMS, N, N, PLOT_CLAIM_GHOSTS},
      {PLOT_NOW, N, PLOT_HOLD_BACK, N, N, 0},
      LEAVE(Q),
      {PLOT_ENTERED, Q, PLOT_UNMUTE, Q, N, 0},
      {PLOT_NOW, N, PLOT_AGAIN, N, N, 4},
      {PLOT_NOW, N, PLOT_PROPOSE, N, N, 0},
      {PLOT_DECIDED, Q, PLOT_FREE, N, N, 0}}},
};

const uint32_t sim_plot_line_count = sizeof sim_plot_lines / sizeof *sim_plot_lines;
