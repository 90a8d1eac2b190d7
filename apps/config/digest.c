// SPDX-License-Identifier: Apache-2.0
//
// The digest of what all nodes must agree on. Canonical encoding: eight little-endian bytes for
// each value, in the order of the key table, nothing else; so it does not depend on how a file is
// written (units, order, comments, defaults left out or spelled out).
#include "schema.h"

static void add_value(struct tacit_digest_state *state, uint64_t value)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
    tacit_digest_update(state, bytes, sizeof bytes);
}

static void add_section(struct tacit_digest_state *state, const struct tacit_config *config,
                        enum schema_section section)
{
    const struct schema_keys *keys = schema_keys_of(section);
    for (size_t i = 0; i < keys->count; i++) {
        if (keys->keys[i].flags & TACIT_SCHEMA_IMMUTABLE) {
            add_value(state,
                      schema_value_get(schema_section_values(config, section), &keys->keys[i]));
        }
    }
}

void tacit_config_digest(struct tacit_digest *out, const struct tacit_config *config)
{
    struct tacit_digest_state state;
    tacit_digest_init(&state, TACIT_DOMAIN_CLUSTER_FILE);
    add_value(&state, TACIT_CONFIG_VERSION);
    add_value(&state, (uint64_t)config->mode);
    add_value(&state, config->f);
    add_value(&state, config->fm);
    add_value(&state, (uint64_t)config->log_on);
    add_value(&state, (uint64_t)config->broadcast_on);
    add_section(&state, config, TACIT_SECTION_LIMITS);
    add_section(&state, config, TACIT_SECTION_MEMORY);
    add_section(&state, config, TACIT_SECTION_TIMING);
    tacit_digest_final(&state, out);
}
