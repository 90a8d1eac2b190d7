// SPDX-License-Identifier: Apache-2.0
//
// The smallest program that runs a memory node. Nobody starts it: its link map tells how much code
// a memory node is made of (tests/lint/trusted_lines.sh).
#include "tacit/memnode.h"

int main(void)
{
    struct tacit_memnode_config config = {0};
    struct tacit_error error;
    return tacit_memnode_run(&config, &error) == TACIT_OK ? 0 : 1;
}
