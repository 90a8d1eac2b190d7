// SPDX-License-Identifier: Apache-2.0
//
// Writing a node file, for the generator of clusters.
#ifndef TACIT_APPS_CONFIG_NODE_FILE_H
#define TACIT_APPS_CONFIG_NODE_FILE_H

#include "tacit/config.h"

// Creates the node file `path` for a node whose cluster file and key are in the same folder. Errors
// as file_create (file.h).
enum tacit_status node_file_create(const char *path, enum tacit_config_role role, uint16_t id,
                                   struct tacit_error *error);

#endif
