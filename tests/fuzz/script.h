// SPDX-License-Identifier: Apache-2.0
//
// An input as a script: bytes that are taken one after the other, zero when there are none left.
// And the check of a fuzz target, which ends it the way that libFuzzer and replay_main.c notice.
#ifndef TACIT_TESTS_FUZZ_SCRIPT_H
#define TACIT_TESTS_FUZZ_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct script {
    const uint8_t *at, *end;
};

static inline bool script_is_over(const struct script *script)
{
    return script->at == script->end;
}

static inline uint64_t take(struct script *script, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes && script->at < script->end; i++) {
        value |= (uint64_t)*script->at++ << (8 * i);
    }
    return value;
}

// 0 .. bound - 1, bound <= 256
static inline uint32_t take_below(struct script *script, uint32_t bound)
{
    return (uint32_t)take(script, 1) % bound;
}

#define must(condition) must_be(condition, #condition, __FILE__, __LINE__)
// What must not happen has happened.
#define must_not(text) must_be(false, text, __FILE__, __LINE__)

static inline void must_be(bool condition, const char *text, const char *file, int line)
{
    if (!condition) {
        (void)fprintf(stderr, "%s:%d: not so: %s\n", file, line, text);
        abort();
    }
}

#endif
