// SPDX-License-Identifier: Apache-2.0
//
// Connecting to a node's socket; the listening half is public (tacit/shm.h).
#ifndef TACIT_MEMNODES_SHM_LISTEN_H
#define TACIT_MEMNODES_SHM_LISTEN_H

#include "tacit/shm.h"

// Connected socket, or -1 with errno.
int tacit_shm_connect(const char *path);

#endif
