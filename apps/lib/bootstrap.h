// SPDX-License-Identifier: Apache-2.0
//
// Founding a group: what `tacit bootstrap` and `tacit local up` do once, before the first start.
#ifndef TACIT_APPS_LIB_BOOTSTRAP_H
#define TACIT_APPS_LIB_BOOTSTRAP_H

#include "statedir.h"
#include "tacit/config.h"

// Draws a group id and writes it into the state directory of every replica and memory node of
// `config`, and for the clients into the runtime directory. Without `replace` nothing is touched
// when any of these directories belongs to a group (TACIT_EEXIST). Other errors: as
// tacit_statedir_found.
enum tacit_status tacit_group_found(const struct tacit_config *config, bool replace,
                                    struct tacit_group_id *group, struct tacit_error *error);

#endif
