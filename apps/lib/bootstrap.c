// SPDX-License-Identifier: Apache-2.0
//
// See bootstrap.h.
#include "bootstrap.h"

#include <stdio.h>
#include <unistd.h>

// Every replica, memory node and spare; false beyond the last.
static bool node_at(const struct tacit_config *config, uint32_t index, enum tacit_config_role *role,
                    uint16_t *id)
{
    const struct {
        enum tacit_config_role role;
        uint32_t count, first;
    } lists[] = {{TACIT_CONFIG_REPLICA, config->replica_count, 0},
                 {TACIT_CONFIG_MEMNODE, config->memnode_count, 0},
                 {TACIT_CONFIG_SPARE_REPLICA, config->spare_replica_count, 1},
                 {TACIT_CONFIG_SPARE_MEMNODE, config->spare_memnode_count, 1}};
    for (unsigned i = 0; i < 4; i++) {
        if (index < lists[i].count) {
            *role = lists[i].role;
            *id = (uint16_t)(index + lists[i].first);
            return true;
        }
        index -= lists[i].count;
    }
    return false;
}

// Whether any state directory belongs to a group already: then none is touched.
static enum tacit_status check_unfounded(const struct tacit_config *config,
                                         struct tacit_error *error)
{
    enum tacit_config_role role;
    uint16_t id;
    for (uint32_t i = 0; node_at(config, i, &role, &id); i++) {
        char path[TACIT_CONFIG_PATH_BYTES];
        char file[TACIT_CONFIG_PATH_BYTES + 8];
        enum tacit_status status = tacit_config_state_dir(config, role, id, path, error);
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
    enum tacit_config_role role;
    uint16_t id;
    for (uint32_t i = 0; status == TACIT_OK && node_at(config, i, &role, &id); i++) {
        status = tacit_config_state_dir(config, role, id, path, error);
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
