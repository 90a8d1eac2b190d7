// SPDX-License-Identifier: Apache-2.0
//
// Loading a cluster file: the order of the steps and what happens between them.
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "file.h"
#include "load.h"
#include "loader.h"

// Steps after the outline; its text is the file itself unless that has structural faults.
static enum tacit_status load_values(struct loader *loader, const char *text, size_t text_bytes)
{
    const struct outline *outline = loader->outline;
    const bool is_clean = outline->errors == 0;
    struct raw_config *raw = NULL;
    const enum tacit_status status =
        raw_config_load(&raw, is_clean ? text : outline->clean,
                        is_clean ? text_bytes : outline->clean_bytes, loader->problems);
    if (status == TACIT_OK) {
        convert_config(loader, raw);
        raw_config_free(raw);
        check_config(loader);
    }
    return status;
}

enum tacit_status load_finish(enum tacit_status status, struct tacit_config_problems *problems)
{
    if (status == TACIT_ENOMEM) {
        problems_add(problems, TACIT_CONFIG_ERROR, (struct place){0, 0}, "no memory to load it");
    }
    problems_sort(problems);
    return status == TACIT_ENOMEM ? status : problems->errors != 0 ? TACIT_EINVAL : TACIT_OK;
}

enum tacit_status tacit_config_parse(const char *text, size_t text_bytes, const char *file,
                                     const char *base_dir, struct tacit_config *config,
                                     struct tacit_config_problems *problems)
{
    memset(config, 0, sizeof *config);
    problems_init(problems, file);
    convert_defaults(config);
    const struct place whole = {0, 0};
    if (text_bytes > TACIT_CONFIG_FILE_BYTES_MAX) {
        problems_add(problems, TACIT_CONFIG_ERROR, whole, "is too large; accepted: %u bytes",
                     TACIT_CONFIG_FILE_BYTES_MAX);
        return TACIT_ETOOBIG;
    }
    if (strlen(base_dir) >= sizeof config->paths.base_dir) {
        problems_add(problems, TACIT_CONFIG_ERROR, whole,
                     "the path of its folder is too long; accepted: %u bytes",
                     TACIT_CONFIG_PATH_BYTES - 1);
        return TACIT_EINVAL;
    }
    memcpy(config->paths.base_dir, base_dir, strlen(base_dir) + 1);
    struct outline *outline = malloc(sizeof *outline);
    if (outline == NULL) {
        return load_finish(TACIT_ENOMEM, problems);
    }
    struct loader loader = {.config = config, .problems = problems, .outline = outline};
    enum tacit_status status = outline_init(outline, TACIT_SECTION_TOP, text, text_bytes, problems);
    if (status == TACIT_OK) {
        status = load_values(&loader, text, text_bytes);
        outline_fini(outline);
    }
    free(outline);
    return load_finish(status, problems);
}

enum tacit_status load_file(const char *path, char **text, size_t *text_bytes,
                            char base_dir[TACIT_CONFIG_PATH_BYTES],
                            struct tacit_config_problems *problems)
{
    struct tacit_error error;
    char folder[TACIT_CONFIG_PATH_BYTES];
    enum tacit_status status =
        file_read(path, TACIT_CONFIG_FILE_BYTES_MAX, text, text_bytes, &error);
    if (status != TACIT_OK) {
        problems_init(problems, path);
        problems_add(problems, TACIT_CONFIG_ERROR, (struct place){0, 0}, "%s", error.text);
        return status;
    }
    // Absolute, so that what is derived from it stays right when the process changes its folder.
    char *absolute = address_folder(path, folder) ? realpath(folder, NULL) : NULL;
    if (absolute == NULL || strlen(absolute) >= TACIT_CONFIG_PATH_BYTES) {
        free(absolute);
        free(*text);
        problems_init(problems, path);
        problems_add(problems, TACIT_CONFIG_ERROR, (struct place){0, 0},
                     "the path of its folder is too long or cannot be found; accepted: %u bytes",
                     TACIT_CONFIG_PATH_BYTES - 1);
        return TACIT_EIO;
    }
    memcpy(base_dir, absolute, strlen(absolute) + 1);
    free(absolute);
    return TACIT_OK;
}

enum tacit_status tacit_config_load(const char *path, struct tacit_config *config,
                                    struct tacit_config_problems *problems)
{
    char *text = NULL;
    size_t text_bytes = 0;
    char base_dir[TACIT_CONFIG_PATH_BYTES];
    enum tacit_status status = load_file(path, &text, &text_bytes, base_dir, problems);
    if (status != TACIT_OK) {
        memset(config, 0, sizeof *config);
        return status;
    }
    status = tacit_config_parse(text, text_bytes, path, base_dir, config, problems);
    free(text);
    return status;
}
