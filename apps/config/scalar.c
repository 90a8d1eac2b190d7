// SPDX-License-Identifier: Apache-2.0
//
// Strict conversion of numbers, sizes and durations; see scalar.h.
#include "scalar.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

#define UNITS 4u

// Each from the smallest to the largest.
static const struct unit sizes[UNITS] = {
    {"B", 1u}, {"KiB", 1024u}, {"MiB", 1024u * 1024u}, {"GiB", 1024u * 1024u * 1024u}};
static const struct unit durations[UNITS] = {
    {"ns", 1u}, {"us", 1000u}, {"ms", 1000u * 1000u}, {"s", 1000u * 1000u * 1000u}};

static const struct unit *units_of(enum scalar_kind kind)
{
    switch (kind) {
    case TACIT_SCALAR_SIZE:
        return sizes;
    case TACIT_SCALAR_DURATION:
        return durations;
    case TACIT_SCALAR_COUNT:
        break;
    }
    return NULL;
}

const char *scalar_units(enum scalar_kind kind)
{
    switch (kind) {
    case TACIT_SCALAR_SIZE:
        return "B, KiB, MiB or GiB";
    case TACIT_SCALAR_DURATION:
        return "ns, us, ms or s";
    case TACIT_SCALAR_COUNT:
        break;
    }
    return "";
}

// Finds the factor of the text after the digits.
static enum scalar_status find_factor(enum scalar_kind kind, const char *rest, uint64_t *factor)
{
    const struct unit *units = units_of(kind);
    *factor = 1;
    if (units == NULL) {
        return *rest == '\0' ? TACIT_SCALAR_OK : TACIT_SCALAR_UNIT_UNEXPECTED;
    }
    if (*rest == '\0') {
        return TACIT_SCALAR_UNIT_MISSING;
    }
    for (size_t i = 0; i < UNITS; i++) {
        if (strcmp(rest, units[i].name) == 0) {
            *factor = units[i].factor;
            return TACIT_SCALAR_OK;
        }
    }
    return TACIT_SCALAR_UNIT_UNKNOWN;
}

enum scalar_status scalar_parse(enum scalar_kind kind, const char *text, uint64_t *value)
{
    if (*text == '\0') {
        return TACIT_SCALAR_EMPTY;
    }
    if (*text < '0' || *text > '9') {
        return TACIT_SCALAR_NOT_A_NUMBER;
    }
    uint64_t number = 0;
    bool overflow = false;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        overflow |= __builtin_mul_overflow(number, 10u, &number);
        overflow |= __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number);
    }
    if (text[0] == '0' && at - text > 1) {
        return TACIT_SCALAR_LEADING_ZERO;
    }
    uint64_t factor = 1;
    enum scalar_status status = find_factor(kind, at, &factor);
    if (status != TACIT_SCALAR_OK) {
        return status;
    }
    if (overflow || __builtin_mul_overflow(number, factor, &number)) {
        return TACIT_SCALAR_OVERFLOW;
    }
    *value = number;
    return TACIT_SCALAR_OK;
}

void scalar_format(enum scalar_kind kind, uint64_t value, char out[TACIT_SCALAR_TEXT_BYTES])
{
    const struct unit *units = units_of(kind);
    if (units == NULL) {
        (void)snprintf(out, TACIT_SCALAR_TEXT_BYTES, "%" PRIu64, value);
        return;
    }
    size_t unit = 0;
    for (size_t i = 1; i < UNITS && value != 0; i++) {
        if (value % units[i].factor == 0) {
            unit = i;
        }
    }
    (void)snprintf(out, TACIT_SCALAR_TEXT_BYTES, "%" PRIu64 "%s", value / units[unit].factor,
                   units[unit].name);
}
