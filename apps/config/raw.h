// SPDX-License-Identifier: Apache-2.0
//
// A file as the YAML library loads it: every value still the text that stands there. NULL: not
// there.
#ifndef TACIT_APPS_CONFIG_RAW_H
#define TACIT_APPS_CONFIG_RAW_H

#include "problems.h"
#include "schema.h"

#define RAW_TEXT(name, ...) char *name;

struct raw_member {
    TACIT_KEYS_MEMBER(RAW_TEXT)
};
struct raw_client {
    TACIT_KEYS_CLIENT(RAW_TEXT)
};
// In the sections of single values the texts stand in the order of the keys, so that texts[i] of
// the union belongs to key i.
union raw_limits {
    struct {
        TACIT_KEYS_LIMITS(RAW_TEXT)
    } named;
    char *texts[TACIT_LIMITS_COUNT];
};
union raw_memory {
    struct {
        TACIT_KEYS_MEMORY(RAW_TEXT)
    } named;
    char *texts[TACIT_MEMORY_COUNT];
};
union raw_timing {
    struct {
        TACIT_KEYS_TIMING(RAW_TEXT)
    } named;
    char *texts[TACIT_TIMING_COUNT];
};
struct raw_paths {
    TACIT_KEYS_PATHS(RAW_TEXT)
};

struct raw_config {
    TACIT_KEYS_TOP(RAW_TEXT)
    char **cores;
    struct raw_member *replicas, *memnodes, *spare_replicas, *spare_memnodes;
    struct raw_client *clients;
    uint32_t cores_count, replicas_count, memnodes_count, clients_count;
    uint32_t spare_replicas_count, spare_memnodes_count;
    union raw_limits limits;
    union raw_memory memory;
    union raw_timing timing;
    struct raw_paths paths;
};

struct raw_node {
    TACIT_KEYS_NODE(RAW_TEXT)
};

// Loads YAML text. On success the caller ends *raw with the matching free function. TACIT_EINVAL,
// with a problem added, when the library refuses the text; TACIT_ENOMEM, without one.
enum tacit_status raw_config_load(struct raw_config **raw, const char *text, size_t text_bytes,
                                  struct tacit_config_problems *problems);
void raw_config_free(struct raw_config *raw);
enum tacit_status raw_node_load(struct raw_node **raw, const char *text, size_t text_bytes,
                                struct tacit_config_problems *problems);
void raw_node_free(struct raw_node *raw);

#endif
