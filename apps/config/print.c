// SPDX-License-Identifier: Apache-2.0
//
// Writes cluster files: every key of the mode spelled out, with its meaning beside it, so that the
// file explains itself. Nothing is written that a load would refuse.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "file.h"
#include "schema.h"
#include "tacit/keyfile.h"

static bool is_of_mode(const struct tacit_config *config, const struct schema_key *key)
{
    const unsigned foreign =
        config->mode == TACIT_CONFIG_CRASH ? TACIT_SCHEMA_BYZANTINE : TACIT_SCHEMA_CRASH;
    return (key->flags & foreign) == 0;
}

static void print_quoted(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            (void)fputc('\\', out);
        }
        (void)fputc(*text, out);
    }
    (void)fputc('"', out);
}

static void print_key_line(FILE *out, const char *name, const struct tacit_public_key *key)
{
    char text[TACIT_PUBLIC_KEY_TEXT_LENGTH + 1];
    tacit_public_key_format(text, key);
    (void)fprintf(out, "%s: %s\n", name, text);
}

static void print_word(FILE *out, size_t key, unsigned value)
{
    const struct schema_key *schema = &schema_keys_of(TACIT_SECTION_TOP)->keys[key];
    char accepted[TACIT_SCHEMA_ACCEPTED_BYTES];
    (void)fprintf(out, "%s: %s # %s; %s\n", schema->name, schema_key_words(schema)[value],
                  schema->doc, schema_key_accepted(schema, accepted));
}

static void print_numbers(FILE *out, const struct tacit_config *config, enum schema_section section)
{
    const struct schema_keys *keys = schema_keys_of(section);
    (void)fprintf(out, "\n%s:\n", keys->name);
    for (size_t i = 0; i < keys->count; i++) {
        const uint64_t value =
            schema_value_get(schema_section_values(config, section), &keys->keys[i]);
        const bool is_left_open = (keys->keys[i].flags & TACIT_SCHEMA_COMPUTED) && value == 0;
        if (is_of_mode(config, &keys->keys[i]) && !is_left_open) {
            char text[TACIT_SCALAR_TEXT_BYTES];
            scalar_format(schema_key_scalar(&keys->keys[i]), value, text);
            (void)fprintf(out, "  %s: %s # %s\n", keys->keys[i].name, text, keys->keys[i].doc);
        }
    }
}

static void print_members(FILE *out, const char *name, const struct tacit_config_member *members,
                          uint32_t count)
{
    (void)fprintf(out, "\n%s:%s\n", name, count == 0 ? " []" : "");
    for (uint32_t i = 0; i < count; i++) {
        (void)fprintf(out, "  - id: %u\n    address: ", members[i].id);
        print_quoted(out, members[i].address);
        (void)fputc('\n', out);
        print_key_line(out, "    public_key", &members[i].public_key);
        if (members[i].client != TACIT_CONFIG_NO_CLIENT) {
            (void)fprintf(out, "    client: %u\n", members[i].client);
        }
    }
}

static void print_clients(FILE *out, const struct tacit_config *config)
{
    (void)fprintf(out, "\nclients:%s\n", config->client_count == 0 ? " []" : "");
    for (uint32_t i = 0; i < config->client_count; i++) {
        const struct tacit_config_client *client = &config->clients[i];
        (void)fprintf(out, "  - id: %u\n", client->id);
        if (client->name[0] != '\0') {
            (void)fprintf(out, "    name: %s\n", client->name);
        }
        print_key_line(out, "    public_key", &client->public_key);
    }
}

bool tacit_config_print(FILE *out, const struct tacit_config *config)
{
    (void)fprintf(out,
                  "# Cluster file of Tacit: the same on every node. `tacit check FILE` checks it,\n"
                  "# `tacit check --keys` explains every key.\n"
                  "version: %u\nname: %s\n",
                  TACIT_CONFIG_VERSION, config->name);
    print_word(out, TACIT_KEY_mode, config->mode);
    (void)fprintf(out,
                  "f: %" PRIu32 " # faulty replicas that are tolerated\n"
                  "fm: %" PRIu32 " # crashed memory nodes that are tolerated\n",
                  config->f, config->fm);
    print_word(out, TACIT_KEY_fabric, config->fabric);
    if (config->mode == TACIT_CONFIG_CRASH) {
        print_word(out, TACIT_KEY_log_on, config->log_on);
    } else {
        print_word(out, TACIT_KEY_broadcast_on, config->broadcast_on);
    }
    print_word(out, TACIT_KEY_waiting, config->waiting);
    (void)fputs("cores: [", out);
    for (uint32_t i = 0; i < config->core_count; i++) {
        (void)fprintf(out, "%s%u", i == 0 ? "" : ", ", config->cores[i]);
    }
    (void)fputs("] # cores to pin protocol threads to; [] for none\n", out);
    if (config->has_operator_key) {
        print_key_line(out, "operator_key", &config->operator_key);
    }
    print_members(out, "replicas", config->replicas, config->replica_count);
    print_members(out, "memnodes", config->memnodes, config->memnode_count);
    if (config->spare_replica_count + config->spare_memnode_count > 0) {
        print_members(out, "spare_replicas", config->spare_replicas, config->spare_replica_count);
        print_members(out, "spare_memnodes", config->spare_memnodes, config->spare_memnode_count);
    }
    print_clients(out, config);
    print_numbers(out, config, TACIT_SECTION_LIMITS);
    print_numbers(out, config, TACIT_SECTION_MEMORY);
    print_numbers(out, config, TACIT_SECTION_TIMING);
    (void)fputs("\npaths:\n  runtime_dir: ", out);
    print_quoted(out, config->paths.runtime_dir);
    (void)fputs("\n  state_dir: ", out);
    print_quoted(out, config->paths.state_dir);
    (void)fputc('\n', out);
    return fflush(out) == 0 && !ferror(out);
}

// The text must be accepted where it is going to be.
static enum tacit_status check_text(const char *path, const char *text, size_t text_bytes,
                                    struct tacit_error *error)
{
    char folder[TACIT_CONFIG_PATH_BYTES];
    char *absolute = address_folder(path, folder) ? realpath(folder, NULL) : NULL;
    struct tacit_config *config = malloc(sizeof *config);
    struct tacit_config_problems *problems = malloc(sizeof *problems);
    enum tacit_status status = TACIT_ENOMEM;
    if (absolute == NULL) {
        status =
            tacit_error_set(error, TACIT_ENOENT, 0, "the folder of %.300s cannot be found", path);
    } else if (config == NULL || problems == NULL) {
        status = tacit_error_set(error, TACIT_ENOMEM, 0, "no memory to check %.300s", path);
    } else {
        status = tacit_config_parse(text, text_bytes, path, absolute, config, problems);
        if (status != TACIT_OK) {
            (void)tacit_config_problems_to_error(problems, status, error);
        }
    }
    free(problems);
    free(config);
    free(absolute);
    return status;
}

enum tacit_status tacit_config_write(const char *path, const struct tacit_config *config,
                                     struct tacit_error *error)
{
    char *text = NULL;
    size_t text_bytes = 0;
    FILE *out = open_memstream(&text, &text_bytes);
    const bool printed = out != NULL && tacit_config_print(out, config);
    const bool closed = out != NULL && fclose(out) == 0;
    enum tacit_status status = TACIT_OK;
    if (!printed || !closed) {
        status = tacit_error_set(error, TACIT_ENOMEM, 0, "no memory to write %.300s", path);
    } else {
        status = check_text(path, text, text_bytes, error);
    }
    if (status == TACIT_OK) {
        status = file_create(path, text, text_bytes, error);
    }
    free(text);
    return status;
}
