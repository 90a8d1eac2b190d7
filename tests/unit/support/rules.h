// SPDX-License-Identifier: Apache-2.0
//
// A protocol's rules as a table: each is a scenario that says whether it was kept, and must be
// broken by the seeded bug that leaves it out. For test programs that are built with seeded bugs.
#ifndef TACIT_TESTS_UNIT_SUPPORT_RULES_H
#define TACIT_TESTS_UNIT_SUPPORT_RULES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/bug.h"

struct rule {
    const char *name;
    bool (*is_kept)(void);
    uint32_t bug;
};

static inline void rules_are_kept(const struct rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!rules[i].is_kept()) {
            fail_msg("not kept: %s", rules[i].name);
        }
    }
}

static inline void rules_are_broken_by_the_bugs(const struct rule *rules, size_t count)
{
#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
    for (size_t i = 0; i < count; i++) {
        tacit_seeded_bug = rules[i].bug;
        bool kept = rules[i].is_kept();
        tacit_seeded_bug = TACIT_BUG_NONE;
        if (kept) {
            fail_msg("kept in spite of the bug: %s", rules[i].name);
        }
    }
#else
    (void)rules;
    (void)count;
    skip();
#endif
}

#endif
