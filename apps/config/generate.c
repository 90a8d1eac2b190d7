// SPDX-License-Identifier: Apache-2.0
//
// A whole cluster from a few numbers: keys, node files, cluster file.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "loader.h"
#include "node_file.h"
#include "tacit/keyfile.h"

static void plan_members(struct tacit_config_member *members, enum tacit_config_role role,
                         uint32_t count, const struct tacit_config_plan *plan, uint32_t port)
{
    const char *host = plan->host != NULL ? plan->host : "127.0.0.1";
    bool is_ipv6 = strchr(host, ':') != NULL;
    for (uint32_t i = 0; i < count; i++) {
        char name[TACIT_CONFIG_NAME_BYTES];
        bool is_spare = role == TACIT_CONFIG_SPARE_REPLICA || role == TACIT_CONFIG_SPARE_MEMNODE;
        members[i].id = (uint16_t)(i + (is_spare ? 1 : 0));
        members[i].client = TACIT_CONFIG_NO_CLIENT;
        tacit_config_node_name(role, members[i].id, name);
        if (plan->fabric == TACIT_CONFIG_SHM) {
            (void)snprintf(members[i].address, sizeof members[i].address, "socket:%s.sock", name);
        } else {
            (void)snprintf(members[i].address, sizeof members[i].address, "%s%s%s:%" PRIu32,
                           is_ipv6 ? "[" : "", host, is_ipv6 ? "]" : "", port + i);
        }
    }
}

// Everybody who may have to stand by gets a client id behind those of the clients.
static enum tacit_status plan_spares(struct tacit_config *config,
                                     const struct tacit_config_plan *plan, uint32_t port,
                                     struct tacit_error *error)
{
    uint32_t next = config->client_count;
    config->spare_replica_count = plan->spare_replicas;
    config->spare_memnode_count = plan->spare_memnodes;
    plan_members(config->spare_replicas, TACIT_CONFIG_SPARE_REPLICA, plan->spare_replicas, plan,
                 port);
    plan_members(config->spare_memnodes, TACIT_CONFIG_SPARE_MEMNODE, plan->spare_memnodes, plan,
                 port + plan->spare_replicas);
    for (uint32_t i = 0; i < plan->spare_replicas; i++) {
        config->spare_replicas[i].client = (uint16_t)next++;
    }
    for (uint32_t i = 0; i < plan->spare_memnodes; i++) {
        config->spare_memnodes[i].client = (uint16_t)next++;
    }
    for (uint32_t i = 0; plan->spare_replicas > 0 && i < config->replica_count; i++) {
        config->replicas[i].client = (uint16_t)next++;
    }
    for (uint32_t i = 0; plan->spare_memnodes > 0 && i < config->memnode_count; i++) {
        config->memnodes[i].client = (uint16_t)next++;
    }
    if (next > TACIT_CLIENTS_MAX) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "%" PRIu32 " client ids are needed, with those as which nodes stand "
                               "by; accepted: at most %d",
                               next, TACIT_CLIENTS_MAX);
    }
    if (next > config->limits.clients_max) {
        config->limits.clients_max = next;
    }
    return TACIT_OK;
}

enum tacit_status tacit_config_plan_fill(struct tacit_config *config,
                                         const struct tacit_config_plan *plan,
                                         struct tacit_error *error)
{
    const uint32_t n = plan->replicas;
    const uint32_t m = plan->memnodes;
    memset(config, 0, sizeof *config);
    if (n == 0 || n > TACIT_REPLICAS_MAX || m > TACIT_MEMNODES_MAX ||
        plan->clients > TACIT_CLIENTS_MAX || plan->spare_replicas > TACIT_SPARES_MAX ||
        plan->spare_memnodes > TACIT_SPARES_MAX || strlen(plan->name) >= sizeof config->name) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "a cluster of %" PRIu32 " replicas, %" PRIu32 " memory nodes and "
                               "%" PRIu32 " clients called %.40s cannot be made; accepted: 1 to %d "
                               "replicas, 0 to %d memory nodes, 0 to %d clients, 0 to %u spares of "
                               "each role, a name of at most %u characters",
                               n, m, plan->clients, plan->name, TACIT_REPLICAS_MAX,
                               TACIT_MEMNODES_MAX, TACIT_CLIENTS_MAX, TACIT_SPARES_MAX,
                               TACIT_CONFIG_NAME_BYTES - 1);
    }
    const uint32_t ports = n + m + plan->spare_replicas + plan->spare_memnodes;
    if (plan->fabric == TACIT_CONFIG_VERBS && (plan->port == 0 || plan->port + ports > 65536u)) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "port %u leaves no room for %" PRIu32
                               " ports; accepted: 1 to %" PRIu32,
                               plan->port, ports, 65536u - ports);
    }
    convert_defaults(config);
    memcpy(config->name, plan->name, strlen(plan->name) + 1);
    config->mode = plan->mode;
    config->fabric = plan->fabric;
    config->log_on = plan->log_on;
    config->f = plan->mode == TACIT_CONFIG_CRASH && plan->log_on == TACIT_CONFIG_LOG_ON_MEMNODES
                    ? n - 1
                    : (n - 1) / 2;
    config->fm = m == 0 ? 0 : (m - 1) / 2;
    config->replica_count = n;
    config->memnode_count = m;
    config->client_count = plan->clients;
    plan_members(config->replicas, TACIT_CONFIG_REPLICA, n, plan, plan->port);
    plan_members(config->memnodes, TACIT_CONFIG_MEMNODE, m, plan, plan->port + n);
    for (uint32_t i = 0; i < plan->clients; i++) {
        config->clients[i].id = (uint16_t)i;
        tacit_config_node_name(TACIT_CONFIG_CLIENT, (uint16_t)i, config->clients[i].name);
    }
    config->has_operator_key = plan->operator_key;
    return plan_spares(config, plan, plan->port + n + m, error);
}

// --- files --------------------------------------------------------------------------------

// The nodes of a cluster in one row; false beyond the last.
static bool node_at(struct tacit_config *config, uint32_t index, enum tacit_config_role *role,
                    uint16_t *id, struct tacit_public_key **key)
{
    if (index < config->replica_count) {
        *role = TACIT_CONFIG_REPLICA;
        *id = (uint16_t)index;
        *key = &config->replicas[index].public_key;
        return true;
    }
    index -= config->replica_count;
    if (index < config->memnode_count) {
        *role = TACIT_CONFIG_MEMNODE;
        *id = (uint16_t)index;
        *key = &config->memnodes[index].public_key;
        return true;
    }
    index -= config->memnode_count;
    if (index < config->spare_replica_count) {
        *role = TACIT_CONFIG_SPARE_REPLICA;
        *id = config->spare_replicas[index].id;
        *key = &config->spare_replicas[index].public_key;
        return true;
    }
    index -= config->spare_replica_count;
    if (index < config->spare_memnode_count) {
        *role = TACIT_CONFIG_SPARE_MEMNODE;
        *id = config->spare_memnodes[index].id;
        *key = &config->spare_memnodes[index].public_key;
        return true;
    }
    index -= config->spare_memnode_count;
    if (index < config->client_count) {
        *role = TACIT_CONFIG_CLIENT;
        *id = config->clients[index].id;
        *key = &config->clients[index].public_key;
        return true;
    }
    *role = TACIT_CONFIG_OPERATOR;
    *id = 0;
    *key = &config->operator_key;
    return index == config->client_count && config->has_operator_key;
}

static enum tacit_status name_file(const char *directory, enum tacit_config_role role, uint16_t id,
                                   const char *suffix, char out[TACIT_CONFIG_PATH_BYTES],
                                   struct tacit_error *error)
{
    char name[TACIT_CONFIG_NAME_BYTES];
    char file[TACIT_CONFIG_NAME_BYTES + 8];
    tacit_config_node_name(role, id, name);
    (void)snprintf(file, sizeof file, "%s%s", name, suffix);
    return address_join(directory, file, out)
               ? TACIT_OK
               : tacit_error_set(error, TACIT_ETOOBIG, 0, "the path %.300s is too long", directory);
}

// Makes the two files of one node; removes the first when the second cannot be made.
static enum tacit_status make_node(const char *directory, const struct tacit_config *config,
                                   enum tacit_config_role role, uint16_t id,
                                   struct tacit_keypair *keypair, struct tacit_error *error)
{
    char key_path[TACIT_CONFIG_PATH_BYTES];
    char node_path[TACIT_CONFIG_PATH_BYTES];
    char name[TACIT_CONFIG_NAME_BYTES];
    char comment[TACIT_KEYFILE_COMMENT_MAX];
    tacit_config_node_name(role, id, name);
    (void)snprintf(comment, sizeof comment, "%s of %s", name, config->name);
    enum tacit_status status = name_file(directory, role, id, ".key", key_path, error);
    if (status == TACIT_OK) {
        status = name_file(directory, role, id, ".yaml", node_path, error);
    }
    if (status == TACIT_OK) {
        tacit_keypair_generate(keypair);
        status = tacit_keyfile_write(key_path, keypair, comment, error);
    }
    if (status == TACIT_OK) {
        status = node_file_create(node_path, role, id, error);
        if (status != TACIT_OK) {
            (void)unlink(key_path);
        }
    }
    return status;
}

static void remove_nodes(const char *directory, struct tacit_config *config, uint32_t count)
{
    enum tacit_config_role role = TACIT_CONFIG_REPLICA;
    uint16_t id = 0;
    struct tacit_public_key *key = NULL;
    for (uint32_t i = 0; i < count && node_at(config, i, &role, &id, &key); i++) {
        char path[TACIT_CONFIG_PATH_BYTES];
        if (name_file(directory, role, id, ".key", path, NULL) == TACIT_OK) {
            (void)unlink(path);
        }
        if (name_file(directory, role, id, ".yaml", path, NULL) == TACIT_OK) {
            (void)unlink(path);
        }
    }
}

enum tacit_status tacit_config_generate(const char *directory, const struct tacit_config_plan *plan,
                                        struct tacit_config *config, struct tacit_error *error)
{
    char cluster_path[TACIT_CONFIG_PATH_BYTES];
    enum tacit_status status = tacit_config_plan_fill(config, plan, error);
    if (status != TACIT_OK) {
        return status;
    }
    if (!address_join(directory, "cluster.yaml", cluster_path)) {
        return tacit_error_set(error, TACIT_ETOOBIG, 0, "the path %.300s is too long", directory);
    }
    if (access(cluster_path, F_OK) == 0) {
        return tacit_error_set(error, TACIT_EEXIST, 0,
                               "%.300s is there already and is not overwritten", cluster_path);
    }
    struct tacit_keypair *keypair = tacit_secret_alloc(sizeof *keypair, error);
    if (keypair == NULL) {
        return TACIT_ENOMEM;
    }
    enum tacit_config_role role = TACIT_CONFIG_REPLICA;
    uint16_t id = 0;
    struct tacit_public_key *key = NULL;
    uint32_t made = 0;
    while (status == TACIT_OK && node_at(config, made, &role, &id, &key)) {
        status = make_node(directory, config, role, id, keypair, error);
        *key = keypair->public_key;
        made += status == TACIT_OK;
    }
    tacit_secret_free(keypair);
    if (status == TACIT_OK) {
        status = tacit_config_write(cluster_path, config, error);
    }
    if (status != TACIT_OK) {
        remove_nodes(directory, config, made);
    }
    return status;
}
