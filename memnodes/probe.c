// SPDX-License-Identifier: Apache-2.0
//
// The smallest programs that run a memory node. Nobody starts them: their link maps tell how much
// code a memory node is made of (tests/lint/trusted_lines.sh), of a Byzantine group's and, with
// PROBE_PERMISSIONS, of one for both modes.
#include "tacit/memnode.h"

int main(void)
{
    struct tacit_memnode_config config = {0};
    struct tacit_error error;
#ifdef PROBE_PERMISSIONS
    config.permissions = &tacit_memnode_permissions;
#endif
    return tacit_memnode_run(&config, &error) == TACIT_OK ? 0 : 1;
}
