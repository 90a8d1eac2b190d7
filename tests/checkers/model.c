// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include <assert.h>

uint32_t checker_object_of(enum checker_kind kind, uint32_t key)
{
    assert(kind < CHECKER_KINDS && key < CHECKER_KEYS);
    return (uint32_t)kind % 3 * CHECKER_KEYS + key;
}

bool checker_kind_reads(enum checker_kind kind)
{
    return kind >= CHECKER_GET_COUNTER;
}

void checker_apply(struct checker_object *object, enum checker_kind kind, uint32_t argument,
                   uint64_t result[2])
{
    switch (kind) {
    case CHECKER_INCR:
        object->word[0]++;
        break;
    case CHECKER_APPEND:
        object->word[0]++;
        object->word[1] = (object->word[1] ^ argument) * 0x9e3779b97f4a7c15ull + 1;
        object->word[1] ^= object->word[1] >> 29;
        break;
    case CHECKER_SET_PAIR:
        result[0] = object->word[0];
        result[1] = object->word[1];
        object->word[0] = argument;
        object->word[1] = argument;
        return;
    default:
        break;
    }
    result[0] = object->word[0];
    result[1] = object->word[1];
}

const char *checker_kind_name(enum checker_kind kind)
{
    static const char *const names[CHECKER_KINDS] = {"INCR",        "APPEND",   "SET_PAIR",
                                                     "GET_COUNTER", "GET_LIST", "GET_PAIR"};
    return names[kind];
}
