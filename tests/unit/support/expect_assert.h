// SPDX-License-Identifier: Apache-2.0
//
// Tests that a documented assertion is there: runs a statement and demands that it ends in
// TACIT_ASSERT. The hook jumps out before the process would abort.
#ifndef TACIT_TESTS_UNIT_EXPECT_ASSERT_H
#define TACIT_TESTS_UNIT_EXPECT_ASSERT_H

#include <setjmp.h>
#include <stdbool.h>

#include "core/base/assert.h"

static jmp_buf expect_assert_back;

static void expect_assert_jump(const char *file, int line, const char *expression)
{
    (void)file;
    (void)line;
    (void)expression;
    longjmp(expect_assert_back, 1);
}

// `statement` must not own anything that the jump would leak.
#define EXPECT_TACIT_ASSERT(statement)                                                             \
    do {                                                                                           \
        void (*volatile before)(const char *, int, const char *) = tacit_assert_hook;              \
        volatile bool asserted = true;                                                             \
        tacit_assert_hook = expect_assert_jump;                                                    \
        if (setjmp(expect_assert_back) == 0) {                                                     \
            statement;                                                                             \
            asserted = false;                                                                      \
        }                                                                                          \
        tacit_assert_hook = before;                                                                \
        assert_true(asserted);                                                                     \
    } while (0)

#endif
