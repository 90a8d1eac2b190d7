// SPDX-License-Identifier: Apache-2.0
//
// For clang-tidy only (clang_check.py includes it first): tells the analyzer, which sees one file
// at a time, that tacit_error_set returns the status that it is given. Without it every `return
// tacit_error_set(error, TACIT_EINVAL, ...)` looks as if it might have returned TACIT_OK.
#ifndef TACIT_TESTS_LINT_ANALYZER_MODEL_H
#define TACIT_TESTS_LINT_ANALYZER_MODEL_H

#include "../../core/include/tacit/types.h"

#define tacit_error_set(error, status, ...) (tacit_error_set(error, status, __VA_ARGS__), (status))

#endif
