// SPDX-License-Identifier: Apache-2.0
//
// The application of simulated clusters: the checkers' sequential model, kept in the arena. Its
// objects are spread over all pages of the arena, so that checkpoints and state transfers have
// something to move.
#ifndef TACIT_TESTS_SIM_APP_H
#define TACIT_TESTS_SIM_APP_H

#include "tacit/app.h"

extern const struct tacit_app sim_app;

#endif
