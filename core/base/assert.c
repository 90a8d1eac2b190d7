// SPDX-License-Identifier: Apache-2.0
//
// What a failed assertion does: tell, let the program save what it knows, abort.
#include "assert.h"

#include <stdio.h>
#include <stdlib.h>

void (*tacit_assert_hook)(const char *file, int line, const char *expression);

_Noreturn void tacit_assert_fail(const char *file, int line, const char *expression)
{
    fprintf(stderr, "tacit: assertion failed at %s:%d: %s\n", file, line, expression);
    if (tacit_assert_hook != NULL) {
        tacit_assert_hook(file, line, expression);
    }
    abort();
}
