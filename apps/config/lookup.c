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

const struct tacit_config_member *tacit_config_member(const struct tacit_config *config,
                                                      enum tacit_config_role role, uint16_t id)
{
    switch (role) {
    case TACIT_CONFIG_REPLICA:
        return id < config->replica_count ? &config->replicas[id] : NULL;
    case TACIT_CONFIG_MEMNODE:
        return id < config->memnode_count ? &config->memnodes[id] : NULL;
    case TACIT_CONFIG_SPARE_REPLICA:
        return id >= 1 && id <= config->spare_replica_count ? &config->spare_replicas[id - 1]
                                                            : NULL;
    case TACIT_CONFIG_SPARE_MEMNODE:
        return id >= 1 && id <= config->spare_memnode_count ? &config->spare_memnodes[id - 1]
                                                            : NULL;
    case TACIT_CONFIG_CLIENT:
    case TACIT_CONFIG_OPERATOR:
        break;
    }
    return NULL;
}

const struct tacit_config_member *tacit_config_body(const struct tacit_config *config,
                                                    enum tacit_config_role role, uint16_t id,
                                                    uint32_t body)
{
    if (tacit_config_member(config, role, id) == NULL || body > TACIT_SPARES_MAX) {
        return NULL;
    }
    return body == 0
               ? tacit_config_member(config, role, id)
               : tacit_config_member(config,
                                     role == TACIT_CONFIG_REPLICA ? TACIT_CONFIG_SPARE_REPLICA
                                                                  : TACIT_CONFIG_SPARE_MEMNODE,
                                     (uint16_t)body);
}

// The i-th of all replicas, memory nodes and spares; NULL beyond the last.
static const struct tacit_config_member *any_member(const struct tacit_config *config, uint32_t i)
{
    static const enum tacit_config_role roles[] = {TACIT_CONFIG_REPLICA, TACIT_CONFIG_MEMNODE,
                                                   TACIT_CONFIG_SPARE_REPLICA,
                                                   TACIT_CONFIG_SPARE_MEMNODE};
    const uint32_t counts[] = {config->replica_count, config->memnode_count,
                               config->spare_replica_count, config->spare_memnode_count};
    for (uint32_t r = 0; r < 4; r++) {
        if (i < counts[r]) {
            return tacit_config_member(config, roles[r], (uint16_t)(i + (r >= 2 ? 1 : 0)));
        }
        i -= counts[r];
    }
    return NULL;
}

uint32_t tacit_config_client_ids(const struct tacit_config *config)
{
    uint32_t count = config->client_count;
    const struct tacit_config_member *member;
    for (uint32_t i = 0; (member = any_member(config, i)) != NULL; i++) {
        count += member->client != TACIT_CONFIG_NO_CLIENT;
    }
    return count;
}

static const struct tacit_public_key *client_key(const struct tacit_config *config, uint16_t id)
{
    for (uint32_t i = 0; i < config->client_count; i++) {
        if (config->clients[i].id == id) {
            return &config->clients[i].public_key;
        }
    }
    const struct tacit_config_member *member;
    for (uint32_t i = 0; (member = any_member(config, i)) != NULL; i++) {
        if (member->client == id && id != TACIT_CONFIG_NO_CLIENT) {
            return &member->public_key;
        }
    }
    return NULL;
}

const struct tacit_public_key *tacit_config_public_key(const struct tacit_config *config,
                                                       enum tacit_config_role role, uint16_t id)
{
    if (role == TACIT_CONFIG_CLIENT) {
        return client_key(config, id);
    }
    if (role == TACIT_CONFIG_OPERATOR) {
        return config->has_operator_key ? &config->operator_key : NULL;
    }
    const struct tacit_config_member *member = tacit_config_member(config, role, id);
    return member != NULL ? &member->public_key : NULL;
}

void tacit_config_node_name(enum tacit_config_role role, uint16_t id,
                            char out[TACIT_CONFIG_NAME_BYTES])
{
    static const char *const words[] = {
        [TACIT_CONFIG_REPLICA] = "replica",
        [TACIT_CONFIG_MEMNODE] = "memnode",
        [TACIT_CONFIG_CLIENT] = "client",
        [TACIT_CONFIG_SPARE_REPLICA] = "spare-replica",
        [TACIT_CONFIG_SPARE_MEMNODE] = "spare-memnode",
    };
    if (role == TACIT_CONFIG_OPERATOR) {
        (void)snprintf(out, TACIT_CONFIG_NAME_BYTES, "operator");
        return;
    }
    (void)snprintf(out, TACIT_CONFIG_NAME_BYTES, "%s-%u", words[role], id);
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
