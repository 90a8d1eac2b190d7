// SPDX-License-Identifier: Apache-2.0
//
// Addresses of replicas and memory nodes, and the joining of paths.
#ifndef TACIT_APPS_CONFIG_ADDRESS_H
#define TACIT_APPS_CONFIG_ADDRESS_H

#include "tacit/config.h"

#define TACIT_ADDRESS_WHY_BYTES 400

// Reads `text` into the address fields of `member`. `runtime_dir` is where relative sockets are.
// False: `why` says what is wrong and what is accepted.
bool address_parse(enum tacit_config_fabric fabric, const char *runtime_dir, const char *text,
                   struct tacit_config_member *member, char why[TACIT_ADDRESS_WHY_BYTES]);

// True when both name the same place. Both must have been read without a problem.
bool address_is_equal(const struct tacit_config_member *a, const struct tacit_config_member *b);

// Writes `path` as it can be opened: as it is when absolute, else inside `folder`. False: too long.
bool address_join(const char *folder, const char *path, char out[TACIT_CONFIG_PATH_BYTES]);

// Writes the folder of the file `path` ("." when it names none). False: too long.
bool address_folder(const char *path, char out[TACIT_CONFIG_PATH_BYTES]);

#endif
