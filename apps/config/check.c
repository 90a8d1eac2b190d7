// SPDX-License-Identifier: Apache-2.0
//
// Keys against each other: numbers of nodes and faults, duplicates, sizes that must fit into each
// other, keys that mean nothing in this mode. What already has a problem of its own is not judged.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "loader.h"
#include "tacit/wire.h"

// --- how many nodes, how many faults ------------------------------------------------------

static bool list_is_good(const struct loader *loader, uint32_t container)
{
    return !loader->outline->truncated && loader_is_good(loader, TACIT_SECTION_TOP, 0, container);
}

static void check_f_given(struct loader *loader, uint32_t most, bool exact)
{
    const struct tacit_config *config = loader->config;
    const uint32_t n = config->replica_count;
    if (config->f <= most && (!exact || config->f == most)) {
        return;
    }
    if (config->f > most) {
        const uint32_t need = exact ? 2 * config->f + 1 : config->f + 1;
        loader_error(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_f,
                     "f = %" PRIu32 " needs at least %" PRIu32 " replicas (%s), but %" PRIu32
                     " %s listed; accepted: %s%" PRIu32 ", or leave the key out",
                     config->f, need, exact ? "2f+1" : "f+1", n, n == 1 ? "is" : "are",
                     exact || most == 0 ? "" : "0 to ", most);
    } else {
        loader_error(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_f,
                     "f = %" PRIu32 ", but the %" PRIu32 " replicas listed tolerate f = %" PRIu32
                     "; accepted: %" PRIu32 ", or leave the key out",
                     config->f, n, most, most);
    }
}

static void check_crash_replicas(struct loader *loader)
{
    struct tacit_config *config = loader->config;
    const uint32_t n = config->replica_count;
    const bool on_memnodes = config->log_on == TACIT_CONFIG_LOG_ON_MEMNODES;
    // With the logs elsewhere any f+1 replicas suffice; otherwise a majority of them must live.
    const uint32_t most = on_memnodes ? n - 1 : (n - 1) / 2;
    if (loader_is_present(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_f)) {
        check_f_given(loader, most, !on_memnodes);
    } else {
        config->f = most;
    }
    if (!loader_is_good(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_f)) {
        return;
    }
    if (config->f == 0) {
        loader_note(loader, TACIT_SECTION_TOP, 0, TACIT_CONTAINER_replicas,
                    "f = 0: with %" PRIu32 " replica%s no crash is tolerated; f = 1 needs %s", n,
                    n == 1 ? "" : "s", on_memnodes ? "2" : "3");
    } else if (!on_memnodes && n % 2 == 0) {
        loader_note(loader, TACIT_SECTION_TOP, 0, TACIT_CONTAINER_replicas,
                    "f = %" PRIu32 ": %" PRIu32 " replicas tolerate no more crashes than %" PRIu32
                    " would, and need %" PRIu32 " of them (n/2+1) to agree",
                    config->f, n, n - 1, n / 2 + 1);
    }
}

static void check_byzantine_replicas(struct loader *loader)
{
    struct tacit_config *config = loader->config;
    const uint32_t n = config->replica_count;
    if (n < 3 || n % 2 == 0) {
        loader_error(loader, TACIT_SECTION_TOP, 0, TACIT_CONTAINER_replicas,
                     "byzantine mode needs exactly 2f+1 replicas with f at least 1, but %" PRIu32
                     " %s listed; accepted: 3, 5, 7, 9, 11, 13 or 15",
                     n, n == 1 ? "is" : "are");
        return;
    }
    if (loader_is_present(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_f)) {
        check_f_given(loader, (n - 1) / 2, true);
    } else {
        config->f = (n - 1) / 2;
    }
}

static void check_replicas(struct loader *loader)
{
    if (!list_is_good(loader, TACIT_CONTAINER_replicas) ||
        !loader_is_good(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_f)) {
        return;
    }
    if (!loader_is_present(loader, TACIT_SECTION_TOP, 0, TACIT_CONTAINER_replicas)) {
        loader_error(
            loader, TACIT_SECTION_TOP, 0, TACIT_CONTAINER_replicas,
            "is missing; accepted: a list of 1 to %d entries of id, address and public_key",
            TACIT_REPLICAS_MAX);
    } else if (loader->config->replica_count == 0) {
        loader_error(loader, TACIT_SECTION_TOP, 0, TACIT_CONTAINER_replicas,
                     "is empty; accepted: 1 to %d entries", TACIT_REPLICAS_MAX);
    } else if (!loader_is_good(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_mode) ||
               !loader_is_present(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_mode)) {
        return;
    } else if (loader->config->mode == TACIT_CONFIG_BYZANTINE) {
        check_byzantine_replicas(loader);
    } else if (loader_is_good(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_log_on)) {
        check_crash_replicas(loader);
    }
}

// Says why memory nodes are needed, or NULL when they are not.
static const char *memnodes_needed_by(const struct tacit_config *config)
{
    if (config->mode == TACIT_CONFIG_BYZANTINE) {
        return "byzantine mode";
    }
    return config->log_on == TACIT_CONFIG_LOG_ON_MEMNODES ? "log_on: memnodes" : NULL;
}

static void check_memnodes(struct loader *loader)
{
    struct tacit_config *config = loader->config;
    if (!list_is_good(loader, TACIT_CONTAINER_memnodes) || !list_is_good(loader, TACIT_KEY_mode) ||
        !list_is_good(loader, TACIT_KEY_log_on) || !list_is_good(loader, TACIT_KEY_fm)) {
        return;
    }
    const uint32_t m = config->memnode_count;
    const char *needed_by = memnodes_needed_by(config);
    if (m == 0 && needed_by != NULL) {
        loader_error(
            loader, TACIT_SECTION_TOP, 0, TACIT_CONTAINER_memnodes,
            "%s needs memory nodes, but none is listed; accepted: 2fm+1 of them, such as 3",
            needed_by);
        return;
    }
    if (m != 0 && m % 2 == 0) {
        loader_error(loader, TACIT_SECTION_TOP, 0, TACIT_CONTAINER_memnodes,
                     "%" PRIu32 " memory nodes are listed; accepted: an odd number (2fm+1), as an "
                     "even one tolerates no more crashes than one less",
                     m);
        return;
    }
    const uint32_t most = m == 0 ? 0 : (m - 1) / 2;
    if (loader_is_present(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_fm) && config->fm != most) {
        loader_error(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_fm,
                     "fm = %" PRIu32 " needs exactly %" PRIu32 " memory nodes (2fm+1), but %" PRIu32
                     " %s listed; accepted: %" PRIu32 ", or leave the key out",
                     config->fm, 2 * config->fm + 1, m, m == 1 ? "is" : "are", most);
        return;
    }
    config->fm = most;
    if (m != 0 && needed_by == NULL) {
        loader_note(loader, TACIT_SECTION_TOP, 0, TACIT_CONTAINER_memnodes,
                    "memory nodes have nothing to do in crash mode with log_on: replicas");
    }
}

// --- duplicates ---------------------------------------------------------------------------

// One thing that must be unique, and where it stands.
struct unique {
    enum schema_section section;
    uint32_t item, key;
    const struct tacit_public_key *public_key;
};

static bool is_usable(const struct loader *loader, enum schema_section section, uint32_t item,
                      uint32_t key)
{
    return loader_is_present(loader, section, item, key) &&
           loader_is_good(loader, section, item, key);
}

static uint32_t line_of(const struct loader *loader, enum schema_section section, uint32_t item,
                        uint32_t key)
{
    return outline_place(loader->outline, section, item, key).line;
}

static void check_member_ids(struct loader *loader, enum schema_section section,
                             const struct tacit_config_member *members, uint32_t count)
{
    uint32_t first[TACIT_REPLICAS_MAX + 1] = {0}; // item + 1
    for (uint32_t i = 0; i < count; i++) {
        const uint16_t id = members[i].id;
        if (!is_usable(loader, section, i, TACIT_MEMBER_id)) {
            continue;
        }
        if (first[id] != 0) {
            loader_error(loader, section, i, TACIT_MEMBER_id,
                         "id %u is taken already, in line %" PRIu32 "; accepted: 0 to %" PRIu32
                         ", each once",
                         id, line_of(loader, section, first[id] - 1, TACIT_MEMBER_id), count - 1);
            continue;
        }
        first[id] = i + 1;
        if (id >= count && !loader->outline->truncated) {
            loader_error(loader, section, i, TACIT_MEMBER_id,
                         "id %u is too large for %" PRIu32 " entr%s; accepted: 0 to %" PRIu32
                         ", each once",
                         id, count, count == 1 ? "y" : "ies", count - 1);
        }
    }
}

static void check_client_ids(struct loader *loader)
{
    const struct tacit_config *config = loader->config;
    const bool has_limit = // else the limit may be what is missing
        list_is_good(loader, TACIT_CONTAINER_limits) &&
        loader_is_good(loader, TACIT_SECTION_LIMITS, 0, TACIT_LIMITS_clients_max);
    for (uint32_t i = 0; i < config->client_count; i++) {
        const struct tacit_config_client *client = &config->clients[i];
        if (is_usable(loader, TACIT_SECTION_CLIENTS, i, TACIT_CLIENT_id)) {
            uint32_t j = 0;
            while (j < i && (!is_usable(loader, TACIT_SECTION_CLIENTS, j, TACIT_CLIENT_id) ||
                             config->clients[j].id != client->id)) {
                j++;
            }
            if (j < i) {
                loader_error(loader, TACIT_SECTION_CLIENTS, i, TACIT_CLIENT_id,
                             "id %u is taken already, in line %" PRIu32 "; accepted: another one",
                             client->id,
                             line_of(loader, TACIT_SECTION_CLIENTS, j, TACIT_CLIENT_id));
            } else if (has_limit && client->id >= config->limits.clients_max) {
                loader_error(
                    loader, TACIT_SECTION_CLIENTS, i, TACIT_CLIENT_id,
                    "id %u is not below limits.clients_max (%" PRIu64 "); accepted: 0 to %" PRIu64,
                    client->id, config->limits.clients_max, config->limits.clients_max - 1);
            }
        }
        for (uint32_t j = 0; j < i; j++) {
            if (is_usable(loader, TACIT_SECTION_CLIENTS, i, TACIT_CLIENT_name) &&
                is_usable(loader, TACIT_SECTION_CLIENTS, j, TACIT_CLIENT_name) &&
                strcmp(client->name, config->clients[j].name) == 0) {
                loader_error(loader, TACIT_SECTION_CLIENTS, i, TACIT_CLIENT_name,
                             "'%s' is taken already, in line %" PRIu32 "; accepted: another name",
                             client->name,
                             line_of(loader, TACIT_SECTION_CLIENTS, j, TACIT_CLIENT_name));
            }
        }
    }
}

// Replicas, memory nodes and spares in one row.
static uint32_t member_count(const struct tacit_config *config)
{
    return config->replica_count + config->memnode_count + config->spare_replica_count +
           config->spare_memnode_count;
}

static const struct tacit_config_member *member_at(const struct tacit_config *config,
                                                   uint32_t index, enum schema_section *section,
                                                   uint32_t *item)
{
    const struct {
        enum schema_section section;
        uint32_t count;
        const struct tacit_config_member *members;
    } lists[] = {
        {TACIT_SECTION_REPLICAS, config->replica_count, config->replicas},
        {TACIT_SECTION_MEMNODES, config->memnode_count, config->memnodes},
        {TACIT_SECTION_SPARE_REPLICAS, config->spare_replica_count, config->spare_replicas},
        {TACIT_SECTION_SPARE_MEMNODES, config->spare_memnode_count, config->spare_memnodes}};
    uint32_t list = 0;
    while (index >= lists[list].count) {
        index -= lists[list++].count;
    }
    *section = lists[list].section;
    *item = index;
    return &lists[list].members[index];
}

// Spares: 1 .. n, each once.
static void check_spare_ids(struct loader *loader, enum schema_section section,
                            const struct tacit_config_member *members, uint32_t count)
{
    uint32_t seen = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint16_t id = members[i].id;
        if (!is_usable(loader, section, i, TACIT_MEMBER_id)) {
            continue;
        }
        if (id == 0 || (id > count && !loader->outline->truncated) || (seen >> id & 1u) != 0) {
            loader_error(loader, section, i, TACIT_MEMBER_id,
                         "id %u is %s; accepted: 1 to %" PRIu32 ", each once", id,
                         id == 0      ? "a founder's"
                         : id > count ? "too large"
                                      : "taken already",
                         count);
        }
        seen |= 1u << id;
        if (!loader_is_present(loader, section, i, TACIT_MEMBER_client) &&
            !loader->outline->truncated) {
            loader_error(loader, section, i, TACIT_MEMBER_client,
                         "is missing: a spare asks the group as a client while it stands by; "
                         "accepted: a client id of its own");
        }
    }
}

// Whether a client of the list has that id; *line: where.
static bool is_a_client(const struct loader *loader, uint16_t id, uint32_t *line)
{
    for (uint32_t i = 0; i < loader->config->client_count; i++) {
        if (is_usable(loader, TACIT_SECTION_CLIENTS, i, TACIT_CLIENT_id) &&
            loader->config->clients[i].id == id) {
            *line = line_of(loader, TACIT_SECTION_CLIENTS, i, TACIT_CLIENT_id);
            return true;
        }
    }
    return false;
}

// Memory nodes keep registers of every replica that may ever write them.
static void check_byzantine_bodies(struct loader *loader)
{
    const struct tacit_config *config = loader->config;
    const uint32_t bodies = config->replica_count + config->spare_replica_count;
    if (config->mode == TACIT_CONFIG_BYZANTINE && bodies > TACIT_BYZANTINE_BODIES_MAX &&
        list_is_good(loader, TACIT_CONTAINER_replicas)) {
        loader_error(loader, TACIT_SECTION_TOP, 0, TACIT_CONTAINER_spare_replicas,
                     "%" PRIu32 " replicas and spares are listed; accepted in byzantine mode: at "
                     "most %u together",
                     bodies, TACIT_BYZANTINE_BODIES_MAX);
    }
}

static void check_standby_clients(struct loader *loader)
{
    const struct tacit_config *config = loader->config;
    for (uint32_t i = 0; i < member_count(config); i++) {
        enum schema_section section = TACIT_SECTION_TOP;
        uint32_t item = 0;
        uint32_t line = 0;
        const uint16_t id = member_at(config, i, &section, &item)->client;
        if (!is_usable(loader, section, item, TACIT_MEMBER_client)) {
            continue;
        }
        bool taken = is_a_client(loader, id, &line);
        for (uint32_t j = 0; j < i && !taken; j++) {
            enum schema_section other_section = TACIT_SECTION_TOP;
            uint32_t other_item = 0;
            taken = member_at(config, j, &other_section, &other_item)->client == id;
            line = taken ? line_of(loader, other_section, other_item, TACIT_MEMBER_client) : 0;
        }
        if (taken) {
            loader_error(loader, section, item, TACIT_MEMBER_client,
                         "id %u is taken already, in line %" PRIu32 "; accepted: another one", id,
                         line);
        } else if (list_is_good(loader, TACIT_CONTAINER_limits) &&
                   loader_is_good(loader, TACIT_SECTION_LIMITS, 0, TACIT_LIMITS_clients_max) &&
                   id >= config->limits.clients_max) {
            loader_error(loader, section, item, TACIT_MEMBER_client,
                         "id %u is not below limits.clients_max (%" PRIu64
                         "); accepted: 0 to %" PRIu64,
                         id, config->limits.clients_max, config->limits.clients_max - 1);
        }
    }
}

static void check_addresses(struct loader *loader)
{
    const struct tacit_config *config = loader->config;
    const uint32_t count = member_count(config);
    for (uint32_t i = 0; i < count; i++) {
        enum schema_section section = TACIT_SECTION_TOP;
        uint32_t item = 0;
        const struct tacit_config_member *member = member_at(config, i, &section, &item);
        if (!is_usable(loader, section, item, TACIT_MEMBER_address) || member->address[0] == '\0') {
            continue;
        }
        for (uint32_t j = 0; j < i; j++) {
            enum schema_section other_section = TACIT_SECTION_TOP;
            uint32_t other_item = 0;
            const struct tacit_config_member *other =
                member_at(config, j, &other_section, &other_item);
            if (is_usable(loader, other_section, other_item, TACIT_MEMBER_address) &&
                other->address[0] != '\0' && address_is_equal(member, other)) {
                char quoted[TACIT_PROBLEMS_QUOTE_BYTES];
                loader_error(loader, section, item, TACIT_MEMBER_address,
                             "%s is taken already, in line %" PRIu32
                             "; accepted: one address a node",
                             problems_quote(quoted, member->address),
                             line_of(loader, other_section, other_item, TACIT_MEMBER_address));
                break;
            }
        }
    }
}

// Lists every public key that stands in the file and is good.
static uint32_t collect_keys(const struct loader *loader, struct unique *all)
{
    const struct tacit_config *config = loader->config;
    uint32_t count = 0;
    if (config->has_operator_key) {
        all[count++] =
            (struct unique){TACIT_SECTION_TOP, 0, TACIT_KEY_operator_key, &config->operator_key};
    }
    for (uint32_t i = 0; i < member_count(config); i++) {
        enum schema_section section = TACIT_SECTION_TOP;
        uint32_t item = 0;
        const struct tacit_config_member *member = member_at(config, i, &section, &item);
        if (is_usable(loader, section, item, TACIT_MEMBER_public_key)) {
            all[count++] =
                (struct unique){section, item, TACIT_MEMBER_public_key, &member->public_key};
        }
    }
    for (uint32_t i = 0; i < config->client_count; i++) {
        if (is_usable(loader, TACIT_SECTION_CLIENTS, i, TACIT_CLIENT_public_key)) {
            all[count++] = (struct unique){TACIT_SECTION_CLIENTS, i, TACIT_CLIENT_public_key,
                                           &config->clients[i].public_key};
        }
    }
    return count;
}

static void check_public_keys(struct loader *loader)
{
    struct unique
        all[1 + TACIT_REPLICAS_MAX + TACIT_MEMNODES_MAX + 2 * TACIT_SPARES_MAX + TACIT_CLIENTS_MAX];
    const uint32_t count = collect_keys(loader, all);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (tacit_public_key_is_equal(all[i].public_key, all[j].public_key)) {
                const bool is_later = line_of(loader, all[i].section, all[i].item, all[i].key) >=
                                      line_of(loader, all[j].section, all[j].item, all[j].key);
                const struct unique *late = is_later ? &all[i] : &all[j];
                const struct unique *early = is_later ? &all[j] : &all[i];
                loader_error(loader, late->section, late->item, late->key,
                             "this key is taken already, in line %" PRIu32
                             "; accepted: a key of its own for each node (tacit keygen)",
                             line_of(loader, early->section, early->item, early->key));
                break;
            }
        }
    }
}

// --- sizes and durations that depend on each other ----------------------------------------

// Reports at the first of two keys that is in the file; false when one of them is not to be judged.
static bool pair_is_good(const struct loader *loader, enum schema_section section, uint32_t a,
                         uint32_t b)
{
    return loader_is_good(loader, section, 0, a) && loader_is_good(loader, section, 0, b);
}

static uint32_t present_of(const struct loader *loader, enum schema_section section, uint32_t a,
                           uint32_t b)
{
    return !loader_is_present(loader, section, 0, a) && loader_is_present(loader, section, 0, b)
               ? b
               : a;
}

static void check_limits(struct loader *loader)
{
    const struct tacit_config_limits *limits = &loader->config->limits;
    const uint64_t least = TACIT_WIRE_ITEM_HEADER + (limits->request_bytes + 7) / 8 * 8;
    if (pair_is_good(loader, TACIT_SECTION_LIMITS, TACIT_LIMITS_batch_bytes,
                     TACIT_LIMITS_request_bytes) &&
        limits->batch_bytes < least) {
        loader_error(loader, TACIT_SECTION_LIMITS, 0,
                     present_of(loader, TACIT_SECTION_LIMITS, TACIT_LIMITS_batch_bytes,
                                TACIT_LIMITS_request_bytes),
                     "a batch of %" PRIu64
                     " bytes cannot hold a request of request_bytes = %" PRIu64
                     " with its header; accepted: batch_bytes of at least %" PRIu64 "B",
                     limits->batch_bytes, limits->request_bytes, least);
    }
    if (is_usable(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_mode) &&
        loader->config->mode == TACIT_CONFIG_CRASH &&
        pair_is_good(loader, TACIT_SECTION_LIMITS, TACIT_LIMITS_log_entries,
                     TACIT_LIMITS_inflight) &&
        limits->log_entries <= 2 * limits->inflight) {
        loader_error(loader, TACIT_SECTION_LIMITS, 0,
                     present_of(loader, TACIT_SECTION_LIMITS, TACIT_LIMITS_log_entries,
                                TACIT_LIMITS_inflight),
                     "log_entries = %" PRIu64 " is not more than 2 x inflight = %" PRIu64
                     "; accepted: a larger log_entries (a power of two), or inflight of at most "
                     "%" PRIu64,
                     limits->log_entries, 2 * limits->inflight, (limits->log_entries - 1) / 2);
    }
    if (list_is_good(loader, TACIT_CONTAINER_limits) &&
        loader_is_good(loader, TACIT_SECTION_LIMITS, 0, TACIT_LIMITS_clients_max) &&
        loader->config->client_count > limits->clients_max) {
        loader_error(loader, TACIT_SECTION_LIMITS, 0, TACIT_LIMITS_clients_max,
                     "%" PRIu64 " is less than the %" PRIu32 " clients listed; accepted: %" PRIu32
                     " to %d",
                     limits->clients_max, loader->config->client_count,
                     loader->config->client_count, TACIT_CLIENTS_MAX);
    }
}

// Reports unless the value of key `longer` is above `factor` times that of key `shorter`.
static void check_longer(struct loader *loader, uint32_t longer, uint32_t shorter, uint64_t factor)
{
    const struct schema_keys *keys = schema_keys_of(TACIT_SECTION_TIMING);
    const uint64_t value = schema_value_get(&loader->config->timing, &keys->keys[longer]);
    const uint64_t bound = factor * schema_value_get(&loader->config->timing, &keys->keys[shorter]);
    if (!pair_is_good(loader, TACIT_SECTION_TIMING, longer, shorter) || value > bound) {
        return;
    }
    char value_text[TACIT_SCALAR_TEXT_BYTES];
    char bound_text[TACIT_SCALAR_TEXT_BYTES];
    scalar_format(TACIT_SCALAR_DURATION, value, value_text);
    scalar_format(TACIT_SCALAR_DURATION, bound, bound_text);
    loader_error(
        loader, TACIT_SECTION_TIMING, 0, present_of(loader, TACIT_SECTION_TIMING, longer, shorter),
        "%s = %s must be more than %s%s = %s; accepted: a longer %s or a shorter %s",
        keys->keys[longer].name, value_text, factor == 2 ? "2 x " : "", keys->keys[shorter].name,
        bound_text, keys->keys[longer].name, keys->keys[shorter].name);
}

// A view must outlast the slow path, or the group changes views for ever.
static void check_view_timeout(struct loader *loader)
{
    const struct tacit_config_timing *timing = &loader->config->timing;
    const uint64_t slow_after_ns = tacit_config_slow_after_ns(loader->config);
    char value[TACIT_SCALAR_TEXT_BYTES];
    char bound[TACIT_SCALAR_TEXT_BYTES];
    if (!pair_is_good(loader, TACIT_SECTION_TIMING, TACIT_TIMING_view_timeout,
                      TACIT_TIMING_slow_after) ||
        timing->view_timeout_ns > 2 * slow_after_ns) {
        return;
    }
    scalar_format(TACIT_SCALAR_DURATION, timing->view_timeout_ns, value);
    scalar_format(TACIT_SCALAR_DURATION, 2 * slow_after_ns, bound);
    loader_error(loader, TACIT_SECTION_TIMING, 0,
                 present_of(loader, TACIT_SECTION_TIMING, TACIT_TIMING_view_timeout,
                            TACIT_TIMING_slow_after),
                 "view_timeout = %s must be more than 2 x slow_after = %s; accepted: a longer "
                 "view_timeout or a shorter slow_after",
                 value, bound);
}

static void check_byzantine_timing(struct loader *loader)
{
    const uint32_t longest = TACIT_TIMING_view_timeout_max;
    const struct tacit_config_timing *timing = &loader->config->timing;
    check_view_timeout(loader);
    if (pair_is_good(loader, TACIT_SECTION_TIMING, TACIT_TIMING_view_timeout, longest) &&
        timing->view_timeout_max_ns < timing->view_timeout_ns) {
        loader_error(loader, TACIT_SECTION_TIMING, 0,
                     present_of(loader, TACIT_SECTION_TIMING, longest, TACIT_TIMING_view_timeout),
                     "view_timeout_max is less than view_timeout; accepted: at least as long");
    }
}

// --- keys that mean nothing in this mode --------------------------------------------------

static void check_mode_of_section(struct loader *loader, enum schema_section section)
{
    const bool is_crash = loader->config->mode == TACIT_CONFIG_CRASH;
    const unsigned foreign = is_crash ? TACIT_SCHEMA_BYZANTINE : TACIT_SCHEMA_CRASH;
    const struct schema_keys *keys = schema_keys_of(section);
    for (uint32_t i = 0; i < keys->count; i++) {
        if ((keys->keys[i].flags & foreign) && loader_is_present(loader, section, 0, i)) {
            loader_error(loader, section, 0, i,
                         "has no meaning in %s mode; accepted: leave the key out",
                         is_crash ? "crash" : "byzantine");
        }
    }
}

static void check_mode_of_keys(struct loader *loader)
{
    if (is_usable(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_mode)) {
        check_mode_of_section(loader, TACIT_SECTION_TOP);
        check_mode_of_section(loader, TACIT_SECTION_LIMITS);
        check_mode_of_section(loader, TACIT_SECTION_TIMING);
    }
}

// --- order --------------------------------------------------------------------------------

static int compare_members(const void *a, const void *b)
{
    const struct tacit_config_member *left = a;
    const struct tacit_config_member *right = b;
    return (left->id > right->id) - (left->id < right->id);
}

static int compare_clients(const void *a, const void *b)
{
    const struct tacit_config_client *left = a;
    const struct tacit_config_client *right = b;
    return (left->id > right->id) - (left->id < right->id);
}

void check_config(struct loader *loader)
{
    struct tacit_config *config = loader->config;
    check_mode_of_keys(loader);
    check_replicas(loader);
    check_memnodes(loader);
    check_member_ids(loader, TACIT_SECTION_REPLICAS, config->replicas, config->replica_count);
    check_member_ids(loader, TACIT_SECTION_MEMNODES, config->memnodes, config->memnode_count);
    check_spare_ids(loader, TACIT_SECTION_SPARE_REPLICAS, config->spare_replicas,
                    config->spare_replica_count);
    check_spare_ids(loader, TACIT_SECTION_SPARE_MEMNODES, config->spare_memnodes,
                    config->spare_memnode_count);
    check_client_ids(loader);
    check_standby_clients(loader);
    check_byzantine_bodies(loader);
    check_addresses(loader);
    check_public_keys(loader);
    check_limits(loader);
    check_longer(loader, TACIT_TIMING_suspicion, TACIT_TIMING_beat_period, 2);
    if (config->mode == TACIT_CONFIG_CRASH) {
        check_longer(loader, TACIT_TIMING_laggard_after, TACIT_TIMING_suspicion, 1);
    }
    if (config->mode == TACIT_CONFIG_BYZANTINE) {
        check_byzantine_timing(loader);
    }
    // Last, as messages name entries by their place in the file.
    qsort(config->replicas, config->replica_count, sizeof config->replicas[0], compare_members);
    qsort(config->memnodes, config->memnode_count, sizeof config->memnodes[0], compare_members);
    qsort(config->spare_replicas, config->spare_replica_count, sizeof config->spare_replicas[0],
          compare_members);
    qsort(config->spare_memnodes, config->spare_memnode_count, sizeof config->spare_memnodes[0],
          compare_members);
    qsort(config->clients, config->client_count, sizeof config->clients[0], compare_clients);
}
