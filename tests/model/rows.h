// SPDX-License-Identifier: Apache-2.0
//
// The runs that the test makes, and what must come out of each.
#ifndef TACIT_TESTS_MODEL_ROWS_H
#define TACIT_TESTS_MODEL_ROWS_H

#include "explorer.h"

struct model_row {
    const struct explorer_model *model;
    const char *what;      // the rule that is left out, or what the run covers
    const char *options;   // for explorer_run()
    const char *violation; // kind that must be found; NULL: the search ends without one
    uint64_t states;       // distinct states seen (until the violation); steps, with random walks
};

extern const struct model_row model_rows[];
extern const size_t model_rows_count;

#endif
