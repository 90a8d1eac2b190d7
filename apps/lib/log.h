// SPDX-License-Identifier: Apache-2.0
//
// What a daemon tells its operator: one line an event on stderr, `TIME LEVEL NODE EVENT key=value
// ...`. One write(2) a line, so lines of several threads and processes never mix. Not for the data
// path.
#ifndef TACIT_APPS_LIB_LOG_H
#define TACIT_APPS_LIB_LOG_H

#include "tacit/types.h"

enum tacit_log_level { TACIT_LOG_ERROR = 0, TACIT_LOG_WARN, TACIT_LOG_INFO, TACIT_LOG_DEBUG };

// Sets the name in each line (copied) and the most detailed level that is written. Before any
// thread.
void tacit_log_open(const char *node, enum tacit_log_level level);
// Sets only the name.
void tacit_log_name(const char *node);
// The level of a name such as "info"; false when there is none.
bool tacit_log_level_parse(const char *name, enum tacit_log_level *level);
// Writes a line. `event` is a word; `format` makes key=value pairs or a quoted text. Any thread.
void tacit_log(enum tacit_log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
