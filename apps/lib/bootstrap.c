// SPDX-License-Identifier: Apache-2.0
//
// See bootstrap.h.
#include "bootstrap.h"

#include <stdio.h>
#include <unistd.h>

// Whether any state directory belongs to a group already: then none is touched.
static enum tacit_status check_unfounded(const struct tacit_config *config,
                                         struct tacit_error *error)
{
    for (uint32_t i = 0; i < config->replica_count + config->memnode_count; i++) {
        bool is_replica = i < config->replica_count;
        char path[TACIT_CONFIG_PATH_BYTES];
        char file[TACIT_CONFIG_PATH_BYTES + 8];
        enum tacit_status status = tacit_config_state_dir(
            config, is_replica ? TACIT_CONFIG_REPLICA : TACIT_CONFIG_MEMNODE,
            (uint16_t)(is_replica ? i : i - config->replica_count), path, error);
        if (status != TACIT_OK) {
            return status;
        }
        (void)snprintf(file, sizeof file, "%s/group", path);
        if (access(file, F_OK) == 0) {
            return tacit_error_set(
                error, TACIT_EEXIST, 0,
                "%s belongs to a group already, so nothing was done. A new group "
                "begins empty; with --replace the old one is given up",
                path);
        }
    }
    return TACIT_OK;
}

enum tacit_status tacit_group_found(const struct tacit_config *config, bool replace,
                                    struct tacit_group_id *group, struct tacit_error *error)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    char text[2 * sizeof group->bytes + 2];
    enum tacit_status status = replace ? TACIT_OK : check_unfounded(config, error);
    tacit_random_bytes(group->bytes, sizeof group->bytes);
    for (uint32_t i = 0; i < config->replica_count + config->memnode_count && status == TACIT_OK;
         i++) {
        bool is_replica = i < config->replica_count;
        status = tacit_config_state_dir(
            config, is_replica ? TACIT_CONFIG_REPLICA : TACIT_CONFIG_MEMNODE,
            (uint16_t)(is_replica ? i : i - config->replica_count), path, error);
        if (status == TACIT_OK) {
            status = tacit_statedir_found(path, group, replace, error);
        }
    }
    if (status == TACIT_OK) {
        status = tacit_config_runtime_dir(config, path, error);
    }
    if (status == TACIT_OK) {
        status = tacit_directory_make(path, error);
    }
    if (status == TACIT_OK) { // for the clients
        tacit_hex_encode(text, sizeof text, group->bytes, sizeof group->bytes);
        text[sizeof text - 2] = '\n';
        text[sizeof text - 1] = '\0';
        status = tacit_file_replace(path, "group", text, error);
    }
    return status;
}
