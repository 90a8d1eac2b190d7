// SPDX-License-Identifier: Apache-2.0
//
// The bounded list of what is wrong with one file. Bytes of the file enter a message only through
// problems_quote, so a hostile file cannot put control characters on a terminal.
#ifndef TACIT_APPS_CONFIG_PROBLEMS_H
#define TACIT_APPS_CONFIG_PROBLEMS_H

#include <stdarg.h>

#include "tacit/config.h"

// Bytes that problems_quote writes at most, with quotes, an ellipsis and the NUL.
#define TACIT_PROBLEMS_QUOTE_BYTES 56

struct place {
    uint32_t line, column; // from 1; 0, 0: the file as a whole
};

// Empties the list and sets the file name that messages show.
void problems_init(struct tacit_config_problems *problems, const char *file);

// Adds one problem; counts it only when the list is full.
void problems_add(struct tacit_config_problems *problems, enum tacit_config_severity severity,
                  struct place place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// The same with `prefix` (may be "") in front of the text.
void problems_add_v(struct tacit_config_problems *problems, enum tacit_config_severity severity,
                    struct place place, const char *prefix, const char *format, va_list arguments)
    __attribute__((format(printf, 5, 0)));

// Sorts by line and column; equal places keep their order.
void problems_sort(struct tacit_config_problems *problems);

// Quotes bytes of a file for a message: 'text', other bytes than printable ASCII as \xNN, cut with
// "..." when too long. Returns `out`.
const char *problems_quote(char out[TACIT_PROBLEMS_QUOTE_BYTES], const char *text);

#endif
