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

struct rule_table {
    const struct rule *rules;
    size_t count;
};

static inline void rules__are_kept(void **state)
{
    const struct rule_table *table = *state;
    for (size_t i = 0; i < table->count; i++) {
        if (!table->rules[i].is_kept()) {
            fail_msg("not kept: %s", table->rules[i].name);
        }
    }
}

static inline void rules__are_broken_by_the_bugs(void **state)
{
#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
    const struct rule_table *table = *state;
    for (size_t i = 0; i < table->count; i++) {
        tacit_seeded_bug = table->rules[i].bug;
        bool kept = table->rules[i].is_kept();
        tacit_seeded_bug = TACIT_BUG_NONE;
        if (kept) {
            fail_msg("kept in spite of the bug: %s", table->rules[i].name);
        }
    }
#else
    (void)state;
    skip();
#endif
}

// The two tests of an array of rules, as entries of the list in main().
#define RULE_TABLE(array) (&(struct rule_table){(array), sizeof(array) / sizeof((array)[0])})
#define RULE_TESTS(array)                                                                          \
    cmocka_unit_test_prestate(rules__are_kept, RULE_TABLE(array)),                                 \
        cmocka_unit_test_prestate(rules__are_broken_by_the_bugs, RULE_TABLE(array))

#endif
