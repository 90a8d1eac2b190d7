// SPDX-License-Identifier: Apache-2.0
//
// The schema for libcyaml, made from the key table, and its calls. Every key is optional here: what
// is required is checked afterwards, so that all missing keys are reported at once.
#include "raw.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <cyaml/cyaml.h>

#include "outline.h"

#define TEXT(type, field, key)                                                                     \
    CYAML_FIELD_STRING_PTR(#key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, field, 0,         \
                           TACIT_OUTLINE_SCALAR_BYTES_MAX),

#define TOP_FIELD(key, ...) TEXT(struct raw_config, key, key)
#define TACIT_MEMBER_FIELD(key, ...) TEXT(struct raw_member, key, key)
#define TACIT_CLIENT_FIELD(key, ...) TEXT(struct raw_client, key, key)
#define TACIT_LIMITS_FIELD(key, ...) TEXT(union raw_limits, named.key, key)
#define TACIT_MEMORY_FIELD(key, ...) TEXT(union raw_memory, named.key, key)
#define TACIT_TIMING_FIELD(key, ...) TEXT(union raw_timing, named.key, key)
#define TACIT_PATHS_FIELD(key, ...) TEXT(struct raw_paths, key, key)
#define TACIT_NODE_FIELD(key, ...) TEXT(struct raw_node, key, key)

static const cyaml_schema_field_t member_fields[] = {TACIT_KEYS_MEMBER(TACIT_MEMBER_FIELD)
                                                         CYAML_FIELD_END};
static const cyaml_schema_field_t client_fields[] = {TACIT_KEYS_CLIENT(TACIT_CLIENT_FIELD)
                                                         CYAML_FIELD_END};
static const cyaml_schema_field_t limits_fields[] = {TACIT_KEYS_LIMITS(TACIT_LIMITS_FIELD)
                                                         CYAML_FIELD_END};
static const cyaml_schema_field_t memory_fields[] = {TACIT_KEYS_MEMORY(TACIT_MEMORY_FIELD)
                                                         CYAML_FIELD_END};
static const cyaml_schema_field_t timing_fields[] = {TACIT_KEYS_TIMING(TACIT_TIMING_FIELD)
                                                         CYAML_FIELD_END};
static const cyaml_schema_field_t paths_fields[] = {TACIT_KEYS_PATHS(TACIT_PATHS_FIELD)
                                                        CYAML_FIELD_END};
static const cyaml_schema_field_t node_fields[] = {TACIT_KEYS_NODE(TACIT_NODE_FIELD)
                                                       CYAML_FIELD_END};

static const cyaml_schema_value_t text_value = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, TACIT_OUTLINE_SCALAR_BYTES_MAX)};
static const cyaml_schema_value_t member_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_member, member_fields)};
static const cyaml_schema_value_t client_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_client, client_fields)};

#define LIST(key, entry, most)                                                                     \
    CYAML_FIELD_SEQUENCE(#key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_config, key,   \
                         entry, 0, most)
#define PART(key)                                                                                  \
    CYAML_FIELD_MAPPING(#key, CYAML_FLAG_OPTIONAL, struct raw_config, key, key##_fields)

static const cyaml_schema_field_t top_fields[] = {
    TACIT_KEYS_TOP(TOP_FIELD) LIST(cores, &text_value, TACIT_CONFIG_CORES_MAX),
    LIST(replicas, &member_value, TACIT_REPLICAS_MAX),
    LIST(memnodes, &member_value, TACIT_MEMNODES_MAX),
    LIST(spare_replicas, &member_value, TACIT_SPARES_MAX),
    LIST(spare_memnodes, &member_value, TACIT_SPARES_MAX),
    LIST(clients, &client_value, TACIT_CLIENTS_MAX),
    PART(limits),
    PART(memory),
    PART(timing),
    PART(paths),
    CYAML_FIELD_END};

static const cyaml_schema_value_t config_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_config, top_fields)};
static const cyaml_schema_value_t node_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_node, node_fields)};

// The library's last words before it gave up; the place is that of the last key that it accepted.
struct last_words {
    uint32_t line, column;
    char text[200];
};

static void listen(cyaml_log_t level, void *context, const char *format, va_list arguments)
{
    struct last_words *words = context;
    char text[200];
    if (level < CYAML_LOG_ERROR || vsnprintf(text, sizeof text, format, arguments) < 0) {
        return;
    }
    if (words->text[0] == '\0' && strstr(text, "Backtrace") == NULL) {
        (void)snprintf(words->text, sizeof words->text, "%s", text);
    }
    const char *line = strstr(text, "line: ");
    const char *column = strstr(text, "column: ");
    if (words->line == 0 && line != NULL && column != NULL) {
        words->line = (uint32_t)strtoul(line + strlen("line: "), NULL, 10);
        words->column = (uint32_t)strtoul(column + strlen("column: "), NULL, 10);
    }
}

static cyaml_config_t library_config(struct last_words *words)
{
    return (cyaml_config_t){
        .log_fn = listen,
        .log_ctx = words,
        .mem_fn = cyaml_mem,
        .log_level = CYAML_LOG_ERROR,
        .flags = CYAML_CFG_NO_ALIAS,
    };
}

static enum tacit_status load(const cyaml_schema_value_t *schema, const char *text,
                              size_t text_bytes, cyaml_data_t **data,
                              struct tacit_config_problems *problems)
{
    struct last_words words = {0};
    const cyaml_config_t config = library_config(&words);
    *data = NULL;
    const cyaml_err_t result =
        cyaml_load_data((const uint8_t *)text, text_bytes, &config, schema, data, NULL);
    if (result == CYAML_OK && *data != NULL) {
        return TACIT_OK;
    }
    if (result == CYAML_ERR_OOM) {
        return TACIT_ENOMEM;
    }
    for (char *at = words.text; *at != '\0'; at++) {
        if (*at == '\n') {
            *at = '\0';
            break;
        }
        if (*at < 0x20 || *at >= 0x7f) {
            *at = ' ';
        }
    }
    problems_add(problems, TACIT_CONFIG_ERROR, (struct place){words.line, words.column},
                 "the YAML library refuses the file near this place: %s%s%s",
                 cyaml_strerror(result), words.text[0] != '\0' ? "; it says: " : "", words.text);
    return TACIT_EINVAL;
}

static void unload(const cyaml_schema_value_t *schema, cyaml_data_t *data)
{
    struct last_words words = {0};
    const cyaml_config_t config = library_config(&words);
    (void)cyaml_free(&config, schema, data, 0);
}

enum tacit_status raw_config_load(struct raw_config **raw, const char *text, size_t text_bytes,
                                  struct tacit_config_problems *problems)
{
    cyaml_data_t *data = NULL;
    const enum tacit_status status = load(&config_value, text, text_bytes, &data, problems);
    *raw = data;
    return status;
}

void raw_config_free(struct raw_config *raw)
{
    unload(&config_value, raw);
}

enum tacit_status raw_node_load(struct raw_node **raw, const char *text, size_t text_bytes,
                                struct tacit_config_problems *problems)
{
    cyaml_data_t *data = NULL;
    const enum tacit_status status = load(&node_value, text, text_bytes, &data, problems);
    *raw = data;
    return status;
}

void raw_node_free(struct raw_node *raw)
{
    unload(&node_value, raw);
}
