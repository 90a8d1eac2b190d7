// SPDX-License-Identifier: Apache-2.0
//
// What the loaders of the cluster file and of the node file share.
#ifndef TACIT_APPS_CONFIG_LOAD_H
#define TACIT_APPS_CONFIG_LOAD_H

#include "tacit/config.h"

// Reads the file into memory that the caller frees and finds its folder (absolute). On failure
// `problems` is filled in.
enum tacit_status load_file(const char *path, char **text, size_t *text_bytes,
                            char base_dir[TACIT_CONFIG_PATH_BYTES],
                            struct tacit_config_problems *problems);

// Sorts the problems and turns them into the status of the load; `status` is that of the steps.
enum tacit_status load_finish(enum tacit_status status, struct tacit_config_problems *problems);

#endif
