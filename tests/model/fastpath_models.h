// SPDX-License-Identifier: Apache-2.0
//
// The instances of fastpath.c, one per set of bounds (in CMakeLists.txt): n replicas, v views, s
// slots (1 unless named), k PREPAREs of a leader per view (1 unless named); two values with s2 or
// n3v3k2, else three, of which one plays the no-op.
#ifndef TACIT_TESTS_MODEL_FASTPATH_MODELS_H
#define TACIT_TESTS_MODEL_FASTPATH_MODELS_H

#include "explorer.h"

extern const struct explorer_model fastpath_n3v2;
extern const struct explorer_model fastpath_n3v3;
extern const struct explorer_model fastpath_n3v4;
extern const struct explorer_model fastpath_n3v2k2;
extern const struct explorer_model fastpath_n3v3k2;
extern const struct explorer_model fastpath_n3v2s2k2;
extern const struct explorer_model fastpath_n5v2;
extern const struct explorer_model fastpath_n5v3;

#endif
