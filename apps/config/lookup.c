// SPDX-License-Identifier: Apache-2.0
//
// Questions to a loaded configuration: quorums, keys, names and folders of nodes.
#include <stdio.h>
#include <string.h>

#include "address.h"

uint32_t tacit_config_log_quorum(const struct tacit_config *config)
{
    const uint32_t hosts = config->log_on == TACIT_CONFIG_LOG_ON_MEMNODES ? config->memnode_count
                                                                          : config->replica_count;
    return hosts / 2 + 1;
}

#define SLOW_AFTER_ADAPTIVE_NS 1000000u
#define SLOW_AFTER_NS 100000u

uint64_t tacit_config_slow_after_ns(const struct tacit_config *config)
{
    return config->timing.slow_after_ns != 0          ? config->timing.slow_after_ns
           : config->waiting == TACIT_CONFIG_ADAPTIVE ? SLOW_AFTER_ADAPTIVE_NS
                                                      : SLOW_AFTER_NS;
}

const struct tacit_public_key *tacit_config_public_key(const struct tacit_config *config,
                                                       enum tacit_config_role role, uint16_t id)
{
    switch (role) {
    case TACIT_CONFIG_REPLICA:
        return id < config->replica_count ? &config->replicas[id].public_key : NULL;
    case TACIT_CONFIG_MEMNODE:
        return id < config->memnode_count ? &config->memnodes[id].public_key : NULL;
    case TACIT_CONFIG_CLIENT:
        for (uint32_t i = 0; i < config->client_count; i++) {
            if (config->clients[i].id == id) {
                return &config->clients[i].public_key;
            }
        }
        return NULL;
    case TACIT_CONFIG_OPERATOR:
        return config->has_operator_key ? &config->operator_key : NULL;
    }
    return NULL;
}

void tacit_config_node_name(enum tacit_config_role role, uint16_t id,
                            char out[TACIT_CONFIG_NAME_BYTES])
{
    if (role == TACIT_CONFIG_OPERATOR) {
        (void)snprintf(out, TACIT_CONFIG_NAME_BYTES, "operator");
        return;
    }
    const char *word = role == TACIT_CONFIG_REPLICA   ? "replica"
                       : role == TACIT_CONFIG_MEMNODE ? "memnode"
                                                      : "client";
    (void)snprintf(out, TACIT_CONFIG_NAME_BYTES, "%s-%u", word, id);
}

static enum tacit_status too_long(const char *path, struct tacit_error *error)
{
    return tacit_error_set(error, TACIT_ETOOBIG, 0,
                           "the path of %.200s is too long with its folder; accepted: %u bytes",
                           path, TACIT_CONFIG_PATH_BYTES - 1);
}

enum tacit_status tacit_config_runtime_dir(const struct tacit_config *config,
                                           char out[TACIT_CONFIG_PATH_BYTES],
                                           struct tacit_error *error)
{
    const struct tacit_config_paths *paths = &config->paths;
    return address_join(paths->base_dir, paths->runtime_dir, out)
               ? TACIT_OK
               : too_long(paths->runtime_dir, error);
}

enum tacit_status tacit_config_state_dir(const struct tacit_config *config,
                                         enum tacit_config_role role, uint16_t id,
                                         char out[TACIT_CONFIG_PATH_BYTES],
                                         struct tacit_error *error)
{
    static const char mark[] = "{node}";
    const char *pattern = config->paths.state_dir;
    const char *found = strstr(pattern, mark);
    char name[TACIT_CONFIG_NAME_BYTES];
    char path[TACIT_CONFIG_PATH_BYTES];
    tacit_config_node_name(role, id, name);
    const int before = found == NULL ? (int)strlen(pattern) : (int)(found - pattern);
    const int wrote =
        snprintf(path, sizeof path, "%.*s%s%s", before, pattern, found == NULL ? "" : name,
                 found == NULL ? "" : found + strlen(mark));
    return wrote >= 0 && (size_t)wrote < sizeof path &&
                   address_join(config->paths.base_dir, path, out)
               ? TACIT_OK
               : too_long(pattern, error);
}
