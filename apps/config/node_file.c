// SPDX-License-Identifier: Apache-2.0
//
// The node file: who a node is and where its own things are.
#include "node_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "file.h"
#include "load.h"
#include "loader.h"

struct role_word {
    const char *word;
    enum tacit_config_role role;
    uint64_t ids;
};

static const struct role_word roles[] = {
    {"replica ", TACIT_CONFIG_REPLICA, TACIT_REPLICAS_MAX},
    {"memnode ", TACIT_CONFIG_MEMNODE, TACIT_MEMNODES_MAX},
    {"spare-replica ", TACIT_CONFIG_SPARE_REPLICA, TACIT_SPARES_MAX + 1},
    {"spare-memnode ", TACIT_CONFIG_SPARE_MEMNODE, TACIT_SPARES_MAX + 1},
    {"client ", TACIT_CONFIG_CLIENT, TACIT_CLIENTS_MAX}};

// Reads "replica 0", "operator" and the like.
static bool parse_node(const char *text, struct tacit_node_file *node)
{
    if (strcmp(text, "operator") == 0) {
        node->role = TACIT_CONFIG_OPERATOR;
        return true;
    }
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        const size_t length = strlen(roles[i].word);
        uint64_t id = 0;
        if (strncmp(text, roles[i].word, length) == 0) {
            if (scalar_parse(TACIT_SCALAR_COUNT, text + length, &id) != TACIT_SCALAR_OK ||
                id >= roles[i].ids) {
                return false;
            }
            node->role = roles[i].role;
            node->id = (uint16_t)id;
            return true;
        }
    }
    return false;
}

// Reads a path and makes it one that can be opened.
static void convert_path(struct loader *loader, uint32_t key, const char *base_dir,
                         const char *text, char out[TACIT_CONFIG_PATH_BYTES])
{
    char path[TACIT_CONFIG_PATH_BYTES];
    if (loader_path(loader, TACIT_SECTION_NODE, key, text, path) &&
        !address_join(base_dir, path, out)) {
        loader_error(loader, TACIT_SECTION_NODE, 0, key,
                     "is too long together with the folder of this file; accepted: %u bytes in all",
                     TACIT_CONFIG_PATH_BYTES - 1);
    }
}

// A number that fits 32 bits, as its range in the key table sees to. False: not there, or wrong.
static bool convert_number(struct loader *loader, uint32_t key, const char *text, uint32_t *out)
{
    uint64_t value = 0;
    bool there = loader_number(loader, TACIT_SECTION_NODE, 0, key, text, &value);
    *out = (uint32_t)value;
    return there;
}

static void convert_rdma(struct loader *loader, const struct raw_node *raw,
                         struct tacit_config_rdma *rdma)
{
    (void)loader_name(loader, TACIT_SECTION_NODE, 0, TACIT_NODE_rdma_device, raw->rdma_device,
                      rdma->device);
    (void)convert_number(loader, TACIT_NODE_rdma_port, raw->rdma_port, &rdma->port);
    rdma->has_gid_index =
        convert_number(loader, TACIT_NODE_rdma_gid_index, raw->rdma_gid_index, &rdma->gid_index);
    (void)convert_number(loader, TACIT_NODE_rdma_mtu, raw->rdma_mtu, &rdma->mtu_bytes);
}

static void convert_node(struct loader *loader, const char *base_dir, const struct raw_node *raw,
                         struct tacit_node_file *node)
{
    if (loader_has(loader, TACIT_SECTION_NODE, 0, TACIT_NODE_node, raw->node) &&
        !parse_node(raw->node, node)) {
        char quoted[TACIT_PROBLEMS_QUOTE_BYTES];
        loader_error(
            loader, TACIT_SECTION_NODE, 0, TACIT_NODE_node,
            "%s is not a node; accepted: replica N (0 to %d), memnode N (0 to %d), "
            "spare-replica N and spare-memnode N (1 to %u), client N (0 to %d) or operator",
            problems_quote(quoted, raw->node), TACIT_REPLICAS_MAX - 1, TACIT_MEMNODES_MAX - 1,
            TACIT_SPARES_MAX, TACIT_CLIENTS_MAX - 1);
    }
    convert_path(loader, TACIT_NODE_cluster, base_dir, raw->cluster, node->cluster_path);
    convert_path(loader, TACIT_NODE_key, base_dir, raw->key, node->key_path);
    convert_path(loader, TACIT_NODE_state_dir, base_dir, raw->state_dir, node->state_dir);
    convert_rdma(loader, raw, &node->rdma);
}

static enum tacit_status load_node(struct loader *loader, const char *text, size_t text_bytes,
                                   const char *base_dir, struct tacit_node_file *node)
{
    struct outline *outline = loader->outline;
    enum tacit_status status =
        outline_init(outline, TACIT_SECTION_NODE, text, text_bytes, loader->problems);
    if (status != TACIT_OK) {
        return status;
    }
    const bool is_clean = outline->errors == 0;
    struct raw_node *raw = NULL;
    status = raw_node_load(&raw, is_clean ? text : outline->clean,
                           is_clean ? text_bytes : outline->clean_bytes, loader->problems);
    if (status == TACIT_OK) {
        convert_node(loader, base_dir, raw, node);
        raw_node_free(raw);
    }
    outline_fini(outline);
    return status;
}

enum tacit_status tacit_node_file_parse(const char *text, size_t text_bytes, const char *file,
                                        const char *base_dir, struct tacit_node_file *node,
                                        struct tacit_config_problems *problems)
{
    memset(node, 0, sizeof *node);
    problems_init(problems, file);
    if (text_bytes > TACIT_CONFIG_FILE_BYTES_MAX) {
        problems_add(problems, TACIT_CONFIG_ERROR, (struct place){0, 0},
                     "is too large; accepted: %u bytes", TACIT_CONFIG_FILE_BYTES_MAX);
        return TACIT_ETOOBIG;
    }
    struct outline *outline = malloc(sizeof *outline);
    if (outline == NULL) {
        return load_finish(TACIT_ENOMEM, problems);
    }
    struct loader loader = {.problems = problems, .outline = outline};
    const enum tacit_status status = load_node(&loader, text, text_bytes, base_dir, node);
    free(outline);
    return load_finish(status, problems);
}

enum tacit_status tacit_node_file_load(const char *path, struct tacit_node_file *node,
                                       struct tacit_config_problems *problems)
{
    char *text = NULL;
    size_t text_bytes = 0;
    char base_dir[TACIT_CONFIG_PATH_BYTES];
    enum tacit_status status = load_file(path, &text, &text_bytes, base_dir, problems);
    if (status != TACIT_OK) {
        memset(node, 0, sizeof *node);
        return status;
    }
    status = tacit_node_file_parse(text, text_bytes, path, base_dir, node, problems);
    free(text);
    return status;
}

enum tacit_status tacit_node_file_match(struct tacit_node_file *node,
                                        const struct tacit_config *config,
                                        const struct tacit_public_key *key,
                                        struct tacit_error *error)
{
    char name[TACIT_CONFIG_NAME_BYTES];
    tacit_config_node_name(node->role, node->id, name);
    const struct tacit_public_key *named = tacit_config_public_key(config, node->role, node->id);
    if (named == NULL) {
        return tacit_error_set(
            error, TACIT_ENOENT, 0,
            "cluster %s has no %s: it lists %u replicas, %u memory nodes, %u and "
            "%u spares and %u clients; correct `node:` in the node file or add it",
            config->name, name, config->replica_count, config->memnode_count,
            config->spare_replica_count, config->spare_memnode_count, config->client_count);
    }
    if (key != NULL && !tacit_public_key_is_equal(named, key)) {
        return tacit_error_set(error, TACIT_EAUTH, 0,
                               "the private key in %.200s is not the one of %s in the cluster file",
                               node->key_path, name);
    }
    return node->state_dir[0] != '\0'
               ? TACIT_OK
               : tacit_config_state_dir(config, node->role, node->id, node->state_dir, error);
}

enum tacit_status node_file_create(const char *path, enum tacit_config_role role, uint16_t id,
                                   struct tacit_error *error)
{
    char name[TACIT_CONFIG_NAME_BYTES];
    char node[TACIT_CONFIG_NAME_BYTES];
    char text[512];
    tacit_config_node_name(role, id, name);
    memcpy(node, name, sizeof node);
    char *dash = strrchr(node, '-');
    if (dash != NULL) {
        *dash = ' ';
    }
    const int length = snprintf(text, sizeof text,
                                "# Node file of Tacit: what is this node's own.\n"
                                "node: %s\ncluster: cluster.yaml\nkey: %s.key\n",
                                node, name);
    return length < 0 ? TACIT_EIO : file_create(path, text, (size_t)length, error);
}
