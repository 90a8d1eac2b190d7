// SPDX-License-Identifier: Apache-2.0
//
// The one place where the text of a number, size or duration becomes a value. The YAML library is
// not asked to: its conversion takes "1x" for 1, and it knows no units.
#ifndef TACIT_APPS_CONFIG_SCALAR_H
#define TACIT_APPS_CONFIG_SCALAR_H

#include "tacit/types.h"

enum scalar_kind {
    TACIT_SCALAR_COUNT,    // plain digits
    TACIT_SCALAR_SIZE,     // digits and B, KiB, MiB or GiB; the value is in bytes
    TACIT_SCALAR_DURATION, // digits and ns, us, ms or s; the value is in nanoseconds
};

enum scalar_status {
    TACIT_SCALAR_OK = 0,
    TACIT_SCALAR_EMPTY,
    TACIT_SCALAR_NOT_A_NUMBER,    // does not begin with a digit: signs and spaces included
    TACIT_SCALAR_LEADING_ZERO,    // "010" could be meant as octal
    TACIT_SCALAR_UNIT_MISSING,    // a bare number where a unit decides what it means
    TACIT_SCALAR_UNIT_UNKNOWN,    // another unit, a fraction, or anything else after the digits
    TACIT_SCALAR_UNIT_UNEXPECTED, // something after a number that has no unit
    TACIT_SCALAR_OVERFLOW,        // beyond 64 bits
};

#define TACIT_SCALAR_TEXT_BYTES 32 // room for any formatted value and its NUL

// Reads `text` (NUL-terminated), which must be exactly one value. *value is written on
// TACIT_SCALAR_OK only.
enum scalar_status scalar_parse(enum scalar_kind kind, const char *text, uint64_t *value);

// Writes the text with the largest unit that loses nothing; scalar_parse gives the value back.
void scalar_format(enum scalar_kind kind, uint64_t value, char out[TACIT_SCALAR_TEXT_BYTES]);

// The units of a kind for messages, such as "ns, us, ms or s"; "" for counts.
const char *scalar_units(enum scalar_kind kind);

#endif
