// SPDX-License-Identifier: Apache-2.0
//
// All models but fastpath.c's, which come in several sizes (fastpath_models.h). What each one is
// about, its steps and its properties stand at the top of its file.
#ifndef TACIT_TESTS_MODEL_MODELS_H
#define TACIT_TESTS_MODEL_MODELS_H

#include "explorer.h"

extern const struct explorer_model ctb_model; // two receivers never deliver different payloads
extern const struct explorer_model registers_model; // replicated regular registers
extern const struct explorer_model epochs_model; // one decision per slot across a change of members
extern const struct explorer_model members_model;  // who gets which seat, with spares and orders
extern const struct explorer_model sessions_model; // exactly once across view changes
extern const struct explorer_model opens_model;    // an OPEN has an effect once

#endif
