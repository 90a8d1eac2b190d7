// SPDX-License-Identifier: Apache-2.0
//
// What a failed assertion does: let the program save what it knows, tell, abort. A hook that does
// not return, as the simulator's for a liar whose own code has failed, leaves nothing on the
// screen.
#include "assert.h"

#include <stdio.h>
#include <stdlib.h>

void (*tacit_assert_hook)(const char *file, int line, const char *expression);

_Noreturn void tacit_assert_fail(const char *file, int line, const char *expression)
{
    if (tacit_assert_hook != NULL) {
        tacit_assert_hook(file, line, expression);
    }
    fprintf(stderr, "tacit: assertion failed at %s:%d: %s\n", file, line, expression);
    abort();
}
