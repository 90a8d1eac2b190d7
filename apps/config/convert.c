// SPDX-License-Identifier: Apache-2.0
//
// From the texts of a file to the values of struct tacit_config, one key at a time.
#include <inttypes.h>
#include <string.h>

#include "address.h"
#include "loader.h"
#include "tacit/keyfile.h"

static const struct schema_key *key_of(enum schema_section section, uint32_t key)
{
    return &schema_keys_of(section)->keys[key];
}

static void add_at_key(struct loader *loader, enum tacit_config_severity severity,
                       enum schema_section section, uint32_t item, uint32_t key, const char *format,
                       va_list arguments) __attribute__((format(printf, 6, 0)));

static void add_at_key(struct loader *loader, enum tacit_config_severity severity,
                       enum schema_section section, uint32_t item, uint32_t key, const char *format,
                       va_list arguments)
{
    char prefix[TACIT_OUTLINE_PATH_BYTES + 2];
    const bool is_entry = key == TACIT_OUTLINE_ITEM;
    outline_path(section, item, is_entry ? NULL : key_of(section, key), prefix);
    (void)snprintf(prefix + strlen(prefix), 3, ": ");
    problems_add_v(loader->problems, severity, outline_place(loader->outline, section, item, key),
                   prefix, format, arguments);
}

void loader_error(struct loader *loader, enum schema_section section, uint32_t item, uint32_t key,
                  const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_at_key(loader, TACIT_CONFIG_ERROR, section, item, key, format, arguments);
    va_end(arguments);
    struct outline_mark *mark = outline_find(loader->outline, section, item, key);
    if (mark != NULL) {
        mark->bad = true;
    }
}

void loader_note(struct loader *loader, enum schema_section section, uint32_t item, uint32_t key,
                 const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_at_key(loader, TACIT_CONFIG_NOTE, section, item, key, format, arguments);
    va_end(arguments);
}

bool loader_is_present(const struct loader *loader, enum schema_section section, uint32_t item,
                       uint32_t key)
{
    return outline_find(loader->outline, section, item, key) != NULL;
}

bool loader_is_good(const struct loader *loader, enum schema_section section, uint32_t item,
                    uint32_t key)
{
    const struct outline_mark *mark = outline_find(loader->outline, section, item, key);
    return mark == NULL || !mark->bad;
}

bool loader_has(struct loader *loader, enum schema_section section, uint32_t item, uint32_t key,
                const char *text)
{
    if (text != NULL) {
        return true;
    }
    const struct schema_key *schema = key_of(section, key);
    if ((schema->flags & TACIT_SCHEMA_REQUIRED) && !loader->outline->truncated &&
        !loader_is_present(loader, section, item, key) &&
        loader_is_good(loader, section, item, TACIT_OUTLINE_ITEM)) {
        char accepted[TACIT_SCHEMA_ACCEPTED_BYTES];
        loader_error(loader, section, item, key, "is missing; accepted: %s",
                     schema_key_accepted(schema, accepted));
    }
    return false;
}

// What was wrong with the text of a number, with an example where a unit is missing.
static void explain_number(const struct schema_key *key, enum scalar_status status,
                           const char *text, char out[160])
{
    char quoted[TACIT_PROBLEMS_QUOTE_BYTES];
    problems_quote(quoted, text);
    switch (status) {
    case TACIT_SCALAR_EMPTY:
        (void)snprintf(out, 160, "has no value");
        break;
    case TACIT_SCALAR_LEADING_ZERO:
        (void)snprintf(out, 160, "%s begins with a zero", quoted);
        break;
    case TACIT_SCALAR_UNIT_MISSING:
        (void)snprintf(out, 160, "%s has no unit (%s)", quoted,
                       scalar_units(schema_key_scalar(key)));
        break;
    case TACIT_SCALAR_UNIT_UNKNOWN:
        (void)snprintf(out, 160, "%s is not digits and one of the units %s", quoted,
                       scalar_units(schema_key_scalar(key)));
        break;
    case TACIT_SCALAR_UNIT_UNEXPECTED:
        (void)snprintf(out, 160, "%s is not a plain number; this key has no unit", quoted);
        break;
    case TACIT_SCALAR_OVERFLOW:
        (void)snprintf(out, 160, "%s is out of range", quoted);
        break;
    case TACIT_SCALAR_OK:
    case TACIT_SCALAR_NOT_A_NUMBER:
        (void)snprintf(out, 160, "%s is not a number", quoted);
        break;
    }
}

bool loader_number(struct loader *loader, enum schema_section section, uint32_t item, uint32_t key,
                   const char *text, uint64_t *value)
{
    const struct schema_key *schema = key_of(section, key);
    if (!loader_has(loader, section, item, key, text)) {
        return false;
    }
    char accepted[TACIT_SCHEMA_ACCEPTED_BYTES];
    schema_key_accepted(schema, accepted);
    uint64_t parsed = 0;
    const enum scalar_status status = scalar_parse(schema_key_scalar(schema), text, &parsed);
    if (status != TACIT_SCALAR_OK) {
        char what[160];
        explain_number(schema, status, text, what);
        loader_error(loader, section, item, key, "%s; accepted: %s", what, accepted);
        return false;
    }
    const char *what = NULL;
    if (parsed < schema->lowest || parsed > schema->highest) {
        what = "is out of range";
    } else if ((schema->flags & TACIT_SCHEMA_POWER_OF_TWO) && (parsed & (parsed - 1)) != 0) {
        what = "is not a power of two";
    } else if ((schema->flags & TACIT_SCHEMA_PAGES) && parsed % TACIT_CONFIG_PAGE_BYTES != 0) {
        what = "is not a multiple of 4KiB";
    }
    if (what != NULL) {
        char quoted[TACIT_PROBLEMS_QUOTE_BYTES];
        loader_error(loader, section, item, key, "%s %s; accepted: %s",
                     problems_quote(quoted, text), what, accepted);
        return false;
    }
    *value = parsed;
    return true;
}

static bool loader_word(struct loader *loader, uint32_t top_key, const char *text, unsigned *value)
{
    if (!loader_has(loader, TACIT_SECTION_TOP, 0, top_key, text)) {
        return false;
    }
    const struct schema_key *schema = key_of(TACIT_SECTION_TOP, top_key);
    const char *const *words = schema_key_words(schema);
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            *value = i;
            return true;
        }
    }
    char quoted[TACIT_PROBLEMS_QUOTE_BYTES];
    char accepted[TACIT_SCHEMA_ACCEPTED_BYTES];
    loader_error(loader, TACIT_SECTION_TOP, 0, top_key, "%s is not known; accepted: %s",
                 problems_quote(quoted, text), schema_key_accepted(schema, accepted));
    return false;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool loader_name(struct loader *loader, enum schema_section section, uint32_t item, uint32_t key,
                 const char *text, char out[TACIT_CONFIG_NAME_BYTES])
{
    if (!loader_has(loader, section, item, key, text)) {
        return false;
    }
    bool good = is_letter(text[0]);
    size_t length = 0;
    for (; good && text[length] != '\0'; length++) {
        const char c = text[length];
        good = is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    }
    if (!good || length >= TACIT_CONFIG_NAME_BYTES) {
        char quoted[TACIT_PROBLEMS_QUOTE_BYTES];
        char accepted[TACIT_SCHEMA_ACCEPTED_BYTES];
        loader_error(loader, section, item, key, "%s is no name; accepted: %s",
                     problems_quote(quoted, text),
                     schema_key_accepted(key_of(section, key), accepted));
        return false;
    }
    memcpy(out, text, length + 1);
    return true;
}

bool loader_path(struct loader *loader, enum schema_section section, uint32_t key, const char *text,
                 char out[TACIT_CONFIG_PATH_BYTES])
{
    if (!loader_has(loader, section, 0, key, text)) {
        return false;
    }
    const size_t length = strlen(text);
    if (length == 0 || length >= TACIT_CONFIG_PATH_BYTES) {
        char accepted[TACIT_SCHEMA_ACCEPTED_BYTES];
        loader_error(loader, section, 0, key, "%s; accepted: %s",
                     length == 0 ? "has no value" : "is too long",
                     schema_key_accepted(key_of(section, key), accepted));
        return false;
    }
    memcpy(out, text, length + 1);
    return true;
}

static bool loader_public_key(struct loader *loader, enum schema_section section, uint32_t item,
                              uint32_t key, const char *text, struct tacit_public_key *out)
{
    if (!loader_has(loader, section, item, key, text)) {
        return false;
    }
    struct tacit_error error;
    if (tacit_public_key_parse(out, text, strlen(text), &error) == TACIT_OK) {
        return true;
    }
    char quoted[TACIT_PROBLEMS_QUOTE_BYTES];
    char accepted[TACIT_SCHEMA_ACCEPTED_BYTES];
    loader_error(loader, section, item, key,
                 "%s is not a usable public key; accepted: %s, as tacit keygen prints them",
                 problems_quote(quoted, text), schema_key_accepted(key_of(section, key), accepted));
    return false;
}

// --- the sections -------------------------------------------------------------------------

static void convert_numbers(struct loader *loader, enum schema_section section, char *const *texts)
{
    const struct schema_keys *keys = schema_keys_of(section);
    for (uint32_t i = 0; i < keys->count; i++) {
        uint64_t value = 0;
        if (loader_number(loader, section, 0, i, texts[i], &value)) {
            schema_value_set(loader->config, section, &keys->keys[i], value);
        }
    }
}

void convert_defaults(struct tacit_config *config)
{
    static const enum schema_section numbers[] = {TACIT_SECTION_LIMITS, TACIT_SECTION_MEMORY,
                                                  TACIT_SECTION_TIMING};
    for (size_t s = 0; s < sizeof numbers / sizeof numbers[0]; s++) {
        const struct schema_keys *keys = schema_keys_of(numbers[s]);
        for (size_t i = 0; i < keys->count; i++) {
            schema_value_set(config, numbers[s], &keys->keys[i], keys->keys[i].fallback);
        }
    }
    config->waiting = TACIT_CONFIG_ADAPTIVE;
    (void)snprintf(config->paths.runtime_dir, sizeof config->paths.runtime_dir, "run");
    (void)snprintf(config->paths.state_dir, sizeof config->paths.state_dir, "state/{node}");
}

static void convert_paths(struct loader *loader, const struct raw_paths *raw)
{
    struct tacit_config_paths *paths = &loader->config->paths;
    (void)loader_path(loader, TACIT_SECTION_PATHS, TACIT_PATHS_runtime_dir, raw->runtime_dir,
                      paths->runtime_dir);
    if (!address_join(paths->base_dir, paths->runtime_dir, loader->runtime_dir)) {
        loader_error(loader, TACIT_SECTION_PATHS, 0, TACIT_PATHS_runtime_dir,
                     "is too long together with the folder of this file; accepted: %u bytes in all",
                     TACIT_CONFIG_PATH_BYTES - 1);
    }
    const bool is_there = loader_path(loader, TACIT_SECTION_PATHS, TACIT_PATHS_state_dir,
                                      raw->state_dir, paths->state_dir);
    const char *found = strstr(paths->state_dir, "{node}");
    if (is_there && (found == NULL || strstr(found + 1, "{node}") != NULL)) {
        char quoted[TACIT_PROBLEMS_QUOTE_BYTES];
        loader_error(loader, TACIT_SECTION_PATHS, 0, TACIT_PATHS_state_dir,
                     "%s must have {node} in it once, so that nodes do not share a folder; "
                     "accepted: a path such as state/{node}",
                     problems_quote(quoted, paths->state_dir));
    }
}

static void convert_members(struct loader *loader, enum schema_section section,
                            const struct raw_member *raw, uint32_t count,
                            struct tacit_config_member *members)
{
    for (uint32_t i = 0; i < count; i++) {
        struct tacit_config_member *member = &members[i];
        uint64_t id = 0;
        char why[TACIT_ADDRESS_WHY_BYTES];
        if (loader_number(loader, section, i, TACIT_MEMBER_id, raw[i].id, &id)) {
            member->id = (uint16_t)id;
        }
        if (loader_has(loader, section, i, TACIT_MEMBER_address, raw[i].address) &&
            loader_is_good(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_fabric) &&
            loader_is_good(loader, TACIT_SECTION_PATHS, 0, TACIT_PATHS_runtime_dir) &&
            !address_parse(loader->config->fabric, loader->runtime_dir, raw[i].address, member,
                           why)) {
            loader_error(loader, section, i, TACIT_MEMBER_address, "%s", why);
        }
        (void)loader_public_key(loader, section, i, TACIT_MEMBER_public_key, raw[i].public_key,
                                &member->public_key);
        member->client = loader_number(loader, section, i, TACIT_MEMBER_client, raw[i].client, &id)
                             ? (uint16_t)id
                             : TACIT_CONFIG_NO_CLIENT;
    }
}

static void convert_clients(struct loader *loader, const struct raw_client *raw, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct tacit_config_client *client = &loader->config->clients[i];
        uint64_t id = 0;
        if (loader_number(loader, TACIT_SECTION_CLIENTS, i, TACIT_CLIENT_id, raw[i].id, &id)) {
            client->id = (uint16_t)id;
        }
        (void)loader_name(loader, TACIT_SECTION_CLIENTS, i, TACIT_CLIENT_name, raw[i].name,
                          client->name);
        (void)loader_public_key(loader, TACIT_SECTION_CLIENTS, i, TACIT_CLIENT_public_key,
                                raw[i].public_key, &client->public_key);
    }
}

static void convert_cores(struct loader *loader, const struct raw_config *raw)
{
    struct tacit_config *config = loader->config;
    for (uint32_t i = 0; i < raw->cores_count; i++) {
        uint64_t core = 0;
        const char *text = raw->cores[i];
        if (!loader_is_good(loader, TACIT_SECTION_CORES, i, TACIT_OUTLINE_ITEM)) {
            continue;
        }
        bool good = text != NULL &&
                    scalar_parse(TACIT_SCALAR_COUNT, text, &core) == TACIT_SCALAR_OK &&
                    core <= 1023;
        const char *what = "is not the number of a core";
        for (uint32_t j = 0; good && j < config->core_count; j++) {
            if (config->cores[j] == core) {
                good = false;
                what = "is in the list already";
            }
        }
        if (good) {
            config->cores[config->core_count++] = (uint16_t)core;
        } else {
            char quoted[TACIT_PROBLEMS_QUOTE_BYTES];
            loader_error(loader, TACIT_SECTION_CORES, i, TACIT_OUTLINE_ITEM,
                         "%s %s; accepted: 0 to 1023, each once",
                         problems_quote(quoted, text != NULL ? text : ""), what);
        }
    }
}

void convert_config(struct loader *loader, const struct raw_config *raw)
{
    struct tacit_config *config = loader->config;
    uint64_t number = 0;
    unsigned word = 0;
    (void)loader_number(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_version, raw->version, &number);
    (void)loader_name(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_name, raw->name, config->name);
    if (loader_word(loader, TACIT_KEY_mode, raw->mode, &word)) {
        config->mode = (enum tacit_config_mode)word;
    }
    if (loader_word(loader, TACIT_KEY_fabric, raw->fabric, &word)) {
        config->fabric = (enum tacit_config_fabric)word;
    }
    if (loader_word(loader, TACIT_KEY_log_on, raw->log_on, &word)) {
        config->log_on = (enum tacit_config_log_on)word;
    }
    if (loader_word(loader, TACIT_KEY_broadcast_on, raw->broadcast_on, &word)) {
        config->broadcast_on = (enum tacit_config_broadcast_on)word;
    }
    if (loader_word(loader, TACIT_KEY_waiting, raw->waiting, &word)) {
        config->waiting = (enum tacit_config_waiting)word;
    }
    if (loader_number(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_f, raw->f, &number)) {
        config->f = (uint32_t)number;
    }
    if (loader_number(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_fm, raw->fm, &number)) {
        config->fm = (uint32_t)number;
    }
    config->has_operator_key =
        loader_public_key(loader, TACIT_SECTION_TOP, 0, TACIT_KEY_operator_key, raw->operator_key,
                          &config->operator_key);
    convert_paths(loader, &raw->paths);
    convert_numbers(loader, TACIT_SECTION_LIMITS, raw->limits.texts);
    convert_numbers(loader, TACIT_SECTION_MEMORY, raw->memory.texts);
    convert_numbers(loader, TACIT_SECTION_TIMING, raw->timing.texts);
    config->replica_count = raw->replicas_count;
    config->memnode_count = raw->memnodes_count;
    config->client_count = raw->clients_count;
    convert_members(loader, TACIT_SECTION_REPLICAS, raw->replicas, raw->replicas_count,
                    config->replicas);
    convert_members(loader, TACIT_SECTION_MEMNODES, raw->memnodes, raw->memnodes_count,
                    config->memnodes);
    config->spare_replica_count = raw->spare_replicas_count;
    config->spare_memnode_count = raw->spare_memnodes_count;
    convert_members(loader, TACIT_SECTION_SPARE_REPLICAS, raw->spare_replicas,
                    raw->spare_replicas_count, config->spare_replicas);
    convert_members(loader, TACIT_SECTION_SPARE_MEMNODES, raw->spare_memnodes,
                    raw->spare_memnodes_count, config->spare_memnodes);
    convert_clients(loader, raw->clients, raw->clients_count);
    convert_cores(loader, raw);
}
