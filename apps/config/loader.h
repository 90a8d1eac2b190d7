// SPDX-License-Identifier: Apache-2.0
//
// One load of a file: what its steps share. Order: outline (structure), raw (texts), convert
// (values, one key at a time), check (keys against each other). A key with a problem is marked bad
// and later steps do not judge others by it, so one mistake is one message.
#ifndef TACIT_APPS_CONFIG_LOADER_H
#define TACIT_APPS_CONFIG_LOADER_H

#include "outline.h"
#include "raw.h"

struct loader {
    struct tacit_config *config; // NULL for a node file
    struct tacit_config_problems *problems;
    struct outline *outline;
    char runtime_dir[TACIT_CONFIG_PATH_BYTES]; // as it can be opened
};

// Adds an error at a key ("replicas[1].id: ...") and marks the key bad.
void loader_error(struct loader *loader, enum schema_section section, uint32_t item, uint32_t key,
                  const char *format, ...) __attribute__((format(printf, 5, 6)));

// Adds a note at a key.
void loader_note(struct loader *loader, enum schema_section section, uint32_t item, uint32_t key,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

// True when the key stands in the file, right or wrong.
bool loader_is_present(const struct loader *loader, enum schema_section section, uint32_t item,
                       uint32_t key);
// True when others may be judged by the key: it is absent (its default holds) or without a problem.
bool loader_is_good(const struct loader *loader, enum schema_section section, uint32_t item,
                    uint32_t key);

// Conversions of one key. `text` NULL: absent. False when there is no value: a problem was
// reported, or the key is absent and has no default.
bool loader_path(struct loader *loader, enum schema_section section, uint32_t key, const char *text,
                 char out[TACIT_CONFIG_PATH_BYTES]);
bool loader_name(struct loader *loader, enum schema_section section, uint32_t item, uint32_t key,
                 const char *text, char out[TACIT_CONFIG_NAME_BYTES]);
bool loader_number(struct loader *loader, enum schema_section section, uint32_t item, uint32_t key,
                   const char *text, uint64_t *value);
// Reports a required key that is absent. True when `text` is there.
bool loader_has(struct loader *loader, enum schema_section section, uint32_t item, uint32_t key,
                const char *text);

// Reads the whole configuration (convert.c) and checks its keys against each other (check.c).
void convert_config(struct loader *loader, const struct raw_config *raw);
void check_config(struct loader *loader);

// Sets the defaults of the sections of numbers.
void convert_defaults(struct tacit_config *config);

#endif
