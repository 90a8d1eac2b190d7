// SPDX-License-Identifier: Apache-2.0
//
// First pass over a file: its structure. The YAML library that fills our structs stops at the first
// thing that it does not like and forgets lines; this pass lists all structural problems, remembers
// the place of every key, and makes a copy of the text without the faulty parts, from which the
// values can still be loaded and checked.
#ifndef TACIT_APPS_CONFIG_OUTLINE_H
#define TACIT_APPS_CONFIG_OUTLINE_H

#include "problems.h"
#include "schema.h"

#define TACIT_OUTLINE_ITEM 0xffu // key of a mark that stands for a list entry as a whole
#define TACIT_OUTLINE_SCALAR_BYTES_MAX 1023u
#define TACIT_OUTLINE_DEPTH_MAX 16u
#define TACIT_OUTLINE_MARKS_MAX 512u
#define TACIT_OUTLINE_PATH_BYTES 64

struct outline_mark {
    uint16_t item; // index in the list, else 0
    uint8_t section;
    uint8_t key;
    bool bad; // a problem was reported here: no value, or not one to check others against
    struct place place;
};

struct outline {
    struct place sections[TACIT_SECTION_COUNT]; // where it begins; {0, 0}: not there
    uint32_t entries[TACIT_SECTION_COUNT];      // list entries, without those beyond the limit
    // The file was cut short by a syntax error, so what is absent may have been meant to come.
    bool truncated;
    // Nothing but a file with a problem is copied to `clean`.
    uint32_t errors;
    uint32_t mark_count;
    struct outline_mark marks[TACIT_OUTLINE_MARKS_MAX];
    char *clean; // YAML without the faulty parts; all scalars quoted
    size_t clean_bytes, clean_max;
};

// Reads the structure of `text` against the section `root` (TACIT_SECTION_TOP or
// TACIT_SECTION_NODE). Problems go to `problems`. TACIT_OK even with problems; TACIT_ENOMEM
// otherwise. End with outline_fini.
enum tacit_status outline_init(struct outline *outline, enum schema_section root, const char *text,
                               size_t text_bytes, struct tacit_config_problems *problems);
void outline_fini(struct outline *outline);

// The mark of a key or entry; NULL when it is not in the file.
struct outline_mark *outline_find(struct outline *outline, enum schema_section section,
                                  uint32_t item, uint32_t key);

// Names what a message is about: "limits.window", "replicas[2].address", "replicas[2]" (no key),
// "mode".
void outline_path(enum schema_section section, uint32_t item, const struct schema_key *key,
                  char out[TACIT_OUTLINE_PATH_BYTES]);

// Where to point a message about a key that may be absent: the key, else its entry, else its
// section, else the start of the file.
struct place outline_place(struct outline *outline, enum schema_section section, uint32_t item,
                           uint32_t key);

#endif
