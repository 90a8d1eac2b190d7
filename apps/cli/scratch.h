// SPDX-License-Identifier: Apache-2.0
//
// A cluster for the length of one command: in a temporary folder, its processes die with this one,
// and whatever happens (Ctrl-C included) nothing is left behind.
#ifndef TACIT_APPS_CLI_SCRATCH_H
#define TACIT_APPS_CLI_SCRATCH_H

#include "local.h"

// Makes the folder and the cluster; does not start it. On failure nothing is left. One at a time.
enum tacit_status scratch_open(struct local *local, const struct local_plan *plan,
                               struct tacit_error *error);
// Ends all processes and removes the folder.
void scratch_close(struct local *local);
// Removes a folder and what is in it.
void scratch_remove(const char *directory);
// Whether the user wants to stop (SIGINT, SIGTERM, SIGHUP); commands look at it between their
// steps.
bool scratch_interrupted(void);
// Starts a replica again once the killed process is gone, and waits until it is a member of the
// group; how long that took from the start, 0: it did
// not.
uint64_t scratch_readmit(struct local *local, uint16_t replica, uint64_t timeout_ns,
                         struct tacit_error *error);
// A free TCP port of this host.
uint16_t scratch_port(void);

#endif
