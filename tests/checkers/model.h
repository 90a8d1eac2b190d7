// SPDX-License-Identifier: Apache-2.0
//
// The sequential truth that histories are checked against: a few counters, append-only lists of
// unique tokens, and pairs of registers that are always set together. Counters and lists show lost
// and repeated operations, pairs show torn ones. Objects are independent of each other, which the
// searches use.
#ifndef TACIT_TESTS_CHECKERS_MODEL_H
#define TACIT_TESTS_CHECKERS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHECKER_KEYS 8u

enum checker_kind {
    CHECKER_INCR = 0,    // -> new value
    CHECKER_APPEND,      // token -> new length, hash of the tokens in order
    CHECKER_SET_PAIR,    // value -> both old values
    CHECKER_GET_COUNTER, // -> value
    CHECKER_GET_LIST,    // -> length, hash
    CHECKER_GET_PAIR,    // -> both values
    CHECKER_KINDS,
};

// One object's value; what the two words mean follows from the kind of operation applied to it.
struct checker_object {
    uint64_t word[2];
};

#define CHECKER_OBJECTS (3u * CHECKER_KEYS)
struct checker_model {
    struct checker_object object[CHECKER_OBJECTS];
};

// Number of the object that an operation works on: 0 .. CHECKER_OBJECTS - 1.
uint32_t checker_object_of(enum checker_kind kind, uint32_t key);
bool checker_kind_reads(enum checker_kind kind);
// Executes an operation on one object and fills in its two result words.
void checker_apply(struct checker_object *object, enum checker_kind kind, uint32_t argument,
                   uint64_t result[2]);
const char *checker_kind_name(enum checker_kind kind);

#endif
