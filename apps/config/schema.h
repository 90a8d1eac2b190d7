// SPDX-License-Identifier: Apache-2.0
//
// The key table (keys.h) as data: what is accepted where, and how to say so.
#ifndef TACIT_APPS_CONFIG_SCHEMA_H
#define TACIT_APPS_CONFIG_SCHEMA_H

#include "keys.h"
#include "scalar.h"
#include "tacit/config.h"

enum schema_section {
    TACIT_SECTION_TOP = 0,
    TACIT_SECTION_CORES,
    TACIT_SECTION_REPLICAS,
    TACIT_SECTION_MEMNODES,
    TACIT_SECTION_SPARE_REPLICAS,
    TACIT_SECTION_SPARE_MEMNODES,
    TACIT_SECTION_CLIENTS,
    TACIT_SECTION_LIMITS,
    TACIT_SECTION_MEMORY,
    TACIT_SECTION_TIMING,
    TACIT_SECTION_PATHS,
    TACIT_SECTION_NODE, // the only section of a node file
    TACIT_SECTION_COUNT,
};

enum schema_kind {
    TACIT_KIND_COUNT,
    TACIT_KIND_SIZE,
    TACIT_KIND_DURATION,
    TACIT_KIND_NAME,
    TACIT_KIND_NODE,
    TACIT_KIND_PATH,
    TACIT_KIND_ADDRESS,
    TACIT_KIND_PUBLIC_KEY,
    TACIT_KIND_MODE,
    TACIT_KIND_FABRIC,
    TACIT_KIND_PLACE,
    TACIT_KIND_WAITING,
    TACIT_KIND_MAP,    // a section
    TACIT_KIND_MAPS,   // a list of sections
    TACIT_KIND_VALUES, // a list of single values
};

enum schema_flags {
    TACIT_SCHEMA_REQUIRED = 1u << 0,
    TACIT_SCHEMA_IMMUTABLE = 1u << 1, // in the digest
    TACIT_SCHEMA_CRASH = 1u << 2,     // only in crash mode
    TACIT_SCHEMA_BYZANTINE = 1u << 3, // only in Byzantine mode
    TACIT_SCHEMA_POWER_OF_TWO = 1u << 4,
    TACIT_SCHEMA_PAGES = 1u << 5,    // a multiple of TACIT_CONFIG_PAGE_BYTES
    TACIT_SCHEMA_OPTIONAL = 1u << 6, // may be absent and has no default
    TACIT_SCHEMA_COMPUTED = 1u << 7, // the default follows from other keys
};

struct schema_key {
    const char *name;
    enum schema_kind kind;
    enum schema_section section; // of what is inside, for containers
    uint64_t lowest, highest;    // value, characters or entries
    uint64_t fallback;
    unsigned flags;
    size_t offset; // sections of numbers: of the uint64_t in the section's struct
    const char *doc;
};

struct schema_keys {
    const char *name; // as in messages: "limits", "" for the top
    const struct schema_key *keys;
    size_t count;
};

#define TACIT_SCHEMA_KEYS_MAX 20u
#define TACIT_SCHEMA_ACCEPTED_BYTES 200

// Index of each key in its section.
#define TACIT_SCHEMA_INDEX_TOP(name, ...) TACIT_KEY_##name,
#define TACIT_SCHEMA_INDEX_IN(name, ...) TACIT_CONTAINER_##name,
enum {
    TACIT_KEYS_TOP(TACIT_SCHEMA_INDEX_TOP) TACIT_KEYS_CONTAINERS(TACIT_SCHEMA_INDEX_IN)
        TACIT_KEY_TOP_COUNT
};
#define TACIT_SCHEMA_INDEX_MEMBER(name, ...) TACIT_MEMBER_##name,
enum { TACIT_KEYS_MEMBER(TACIT_SCHEMA_INDEX_MEMBER) TACIT_MEMBER_COUNT };
#define TACIT_SCHEMA_INDEX_CLIENT(name, ...) TACIT_CLIENT_##name,
enum { TACIT_KEYS_CLIENT(TACIT_SCHEMA_INDEX_CLIENT) TACIT_CLIENT_COUNT };
#define TACIT_SCHEMA_INDEX_LIMITS(name, ...) TACIT_LIMITS_##name,
enum { TACIT_KEYS_LIMITS(TACIT_SCHEMA_INDEX_LIMITS) TACIT_LIMITS_COUNT };
#define TACIT_SCHEMA_INDEX_MEMORY(name, ...) TACIT_MEMORY_##name,
enum { TACIT_KEYS_MEMORY(TACIT_SCHEMA_INDEX_MEMORY) TACIT_MEMORY_COUNT };
#define TACIT_SCHEMA_INDEX_TIMING(name, ...) TACIT_TIMING_##name,
enum { TACIT_KEYS_TIMING(TACIT_SCHEMA_INDEX_TIMING) TACIT_TIMING_COUNT };
#define TACIT_SCHEMA_INDEX_PATHS(name, ...) TACIT_PATHS_##name,
enum { TACIT_KEYS_PATHS(TACIT_SCHEMA_INDEX_PATHS) TACIT_PATHS_COUNT };
#define TACIT_SCHEMA_INDEX_NODE(name, ...) TACIT_NODE_##name,
enum { TACIT_KEYS_NODE(TACIT_SCHEMA_INDEX_NODE) TACIT_NODE_COUNT };

// The keys of a section; TACIT_SECTION_CORES has none.
const struct schema_keys *schema_keys_of(enum schema_section section);

// The index of the key called `name`, or the section's count when there is none.
size_t schema_key_find(enum schema_section section, const char *name);

enum scalar_kind schema_key_scalar(const struct schema_key *key);

// The words that a key of such a kind takes, in the order of the enum; NULL-terminated, or NULL.
const char *const *schema_key_words(const struct schema_key *key);

// Writes what is accepted, such as "64B to 64KiB in B, KiB, MiB or GiB". Returns `out`.
const char *schema_key_accepted(const struct schema_key *key,
                                char out[TACIT_SCHEMA_ACCEPTED_BYTES]);

// A section of numbers inside the configuration, as an address to add schema_key.offset to.
const void *schema_section_values(const struct tacit_config *config, enum schema_section section);
uint64_t schema_value_get(const void *values, const struct schema_key *key);
void schema_value_set(struct tacit_config *config, enum schema_section section,
                      const struct schema_key *key, uint64_t value);

#endif
