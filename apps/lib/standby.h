// SPDX-License-Identifier: Apache-2.0
//
// Standing by: a spare, or a founder that was replaced, asks the group as a client who is in which
// seat, until there is one for it. It believes what f+1 replicas say (crash mode: any one). Whether
// it gets the seat is decided by the group's rules (core/state/members.h), not here.
#ifndef TACIT_APPS_LIB_STANDBY_H
#define TACIT_APPS_LIB_STANDBY_H

#include <signal.h>

#include "node.h"

// Whether the node has to ask before it may take part: it is a spare, or a founder that was here
// before and may have been replaced, if the cluster file gives it a client id to ask with.
bool tacit_standby_is_needed(const struct tacit_node *node);
// Stands by until a seat is to be taken, which is then in node->seat; a founder that the group says
// nothing of takes its own. Returns TACIT_ECLOSED when *stopped was set (by a signal handler).
// Errors: those of tacit_channel_open().
enum tacit_status tacit_standby_wait(struct tacit_node *node, const volatile sig_atomic_t *stopped,
                                     struct tacit_error *error);

// Whether the group says that a node that runs was replaced or removed; asks for up to a second.
// Who was replaced while it lives is told by nobody: its connections have just ended. Any thread.
bool tacit_standby_is_replaced(const struct tacit_node *node);

// The rule, for tests: which seat is for body `body` (0: the founder of seat `own`) of the role
// whose first seat is `first`. Free spares take free seats in order of their ids. `waited`: one has
// been free for so long that those before this one seem to be gone. True: *seat and *generation are
// filled in.
struct tacit_wire_members;
bool tacit_standby_choose(const struct tacit_wire_members *members, tacit_node_t first,
                          tacit_node_t own, uint32_t body, bool waited,
                          struct tacit_node_seat *seat);

#endif
