// SPDX-License-Identifier: Apache-2.0
//
// Assertions for our own bugs; on in release builds too. Nothing that a peer, a client or a user
// does may reach one: what they do wrong is a verdict value or a status.
#ifndef TACIT_BASE_ASSERT_H
#define TACIT_BASE_ASSERT_H

// Called with the failed expression; the program dumps what it knows and aborts. In
// core/base/assert.c.
_Noreturn void tacit_assert_fail(const char *file, int line, const char *expression);
// Something to call before aborting (the flight recorder, the simulator's reproduction line). NULL:
// nothing.
extern void (*tacit_assert_hook)(const char *file, int line, const char *expression);

#define TACIT_ASSERT(expression)                                                                   \
    (__builtin_expect(!!(expression), 1) ? (void)0                                                 \
                                         : tacit_assert_fail(__FILE__, __LINE__, #expression))

#endif
