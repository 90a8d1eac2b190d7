// SPDX-License-Identifier: Apache-2.0
//
// The key table as arrays, and the documentation that is printed from it.
#include "schema.h"

#include <inttypes.h>
#include <string.h>

// The words of the table in keys.h.
#define KIB 1024ull
#define MIB (1024ull * 1024ull)
#define GIB (1024ull * 1024ull * 1024ull)
#define US 1000ull
#define MS (1000ull * 1000ull)
#define SEC (1000ull * 1000ull * 1000ull)
#define CRASH TACIT_SCHEMA_CRASH
#define BYZANTINE TACIT_SCHEMA_BYZANTINE
#define REQUIRED TACIT_SCHEMA_REQUIRED
#define IMMUTABLE TACIT_SCHEMA_IMMUTABLE
#define POWER_OF_TWO TACIT_SCHEMA_POWER_OF_TWO
#define PAGES TACIT_SCHEMA_PAGES
#define OPTIONAL TACIT_SCHEMA_OPTIONAL
#define COMPUTED TACIT_SCHEMA_COMPUTED

#define PLAIN(name, kind, low, high, fallback, flags, doc)                                         \
    {#name, TACIT_KIND_##kind, TACIT_SECTION_COUNT, low, high, fallback, flags, 0, doc},
#define CONTAINER(name, section, kind, low, high, flags, doc)                                      \
    {#name, TACIT_KIND_##kind, TACIT_SECTION_##section, low, high, 0, flags, 0, doc},
#define NUMBER(type, name, kind, field, low, high, fallback, flags, doc)                           \
    {#name,                                                                                        \
     TACIT_KIND_##kind,                                                                            \
     TACIT_SECTION_COUNT,                                                                          \
     low,                                                                                          \
     high,                                                                                         \
     fallback,                                                                                     \
     flags,                                                                                        \
     offsetof(type, field),                                                                        \
     doc},
#define LIMITS(...) NUMBER(struct tacit_config_limits, __VA_ARGS__)
#define MEMORY(...) NUMBER(struct tacit_config_memory, __VA_ARGS__)
#define TIMING(...) NUMBER(struct tacit_config_timing, __VA_ARGS__)

static const struct schema_key top_keys[] = {TACIT_KEYS_TOP(PLAIN)
                                                 TACIT_KEYS_CONTAINERS(CONTAINER)};
static const struct schema_key member_keys[] = {TACIT_KEYS_MEMBER(PLAIN)};
static const struct schema_key client_keys[] = {TACIT_KEYS_CLIENT(PLAIN)};
static const struct schema_key limits_keys[] = {TACIT_KEYS_LIMITS(LIMITS)};
static const struct schema_key memory_keys[] = {TACIT_KEYS_MEMORY(MEMORY)};
static const struct schema_key timing_keys[] = {TACIT_KEYS_TIMING(TIMING)};
static const struct schema_key paths_keys[] = {TACIT_KEYS_PATHS(PLAIN)};
static const struct schema_key node_keys[] = {TACIT_KEYS_NODE(PLAIN)};

#define SECTION(name, keys)                                                                        \
    {                                                                                              \
        name, keys, sizeof(keys) / sizeof((keys)[0])                                               \
    }
static const struct schema_keys sections[TACIT_SECTION_COUNT] = {
    [TACIT_SECTION_TOP] = SECTION("", top_keys),
    [TACIT_SECTION_CORES] = {"cores", NULL, 0},
    [TACIT_SECTION_REPLICAS] = SECTION("replicas", member_keys),
    [TACIT_SECTION_MEMNODES] = SECTION("memnodes", member_keys),
    [TACIT_SECTION_SPARE_REPLICAS] = SECTION("spare_replicas", member_keys),
    [TACIT_SECTION_SPARE_MEMNODES] = SECTION("spare_memnodes", member_keys),
    [TACIT_SECTION_CLIENTS] = SECTION("clients", client_keys),
    [TACIT_SECTION_LIMITS] = SECTION("limits", limits_keys),
    [TACIT_SECTION_MEMORY] = SECTION("memory", memory_keys),
    [TACIT_SECTION_TIMING] = SECTION("timing", timing_keys),
    [TACIT_SECTION_PATHS] = SECTION("paths", paths_keys),
    [TACIT_SECTION_NODE] = SECTION("", node_keys),
};

_Static_assert(TACIT_KEY_TOP_COUNT <= TACIT_SCHEMA_KEYS_MAX &&
                   TACIT_LIMITS_COUNT <= TACIT_SCHEMA_KEYS_MAX,
               "bit sets");

const struct schema_keys *schema_keys_of(enum schema_section section)
{
    return &sections[section];
}

size_t schema_key_find(enum schema_section section, const char *name)
{
    const struct schema_keys *keys = &sections[section];
    size_t i = 0;
    while (i < keys->count && strcmp(keys->keys[i].name, name) != 0) {
        i++;
    }
    return i;
}

// True for a key whose value is one number.
static bool schema_key_is_number(const struct schema_key *key)
{
    return key->kind == TACIT_KIND_COUNT || key->kind == TACIT_KIND_SIZE ||
           key->kind == TACIT_KIND_DURATION;
}

enum scalar_kind schema_key_scalar(const struct schema_key *key)
{
    return key->kind == TACIT_KIND_SIZE       ? TACIT_SCALAR_SIZE
           : key->kind == TACIT_KIND_DURATION ? TACIT_SCALAR_DURATION
                                              : TACIT_SCALAR_COUNT;
}

const char *const *schema_key_words(const struct schema_key *key)
{
    static const char *const modes[] = {"crash", "byzantine", NULL};
    static const char *const fabrics[] = {"shm", "verbs", NULL};
    static const char *const places[] = {"replicas", "memnodes", NULL};
    static const char *const waits[] = {"spin", "yield", "adaptive", NULL};
    switch ((int)key->kind) {
    case TACIT_KIND_MODE:
        return modes;
    case TACIT_KIND_FABRIC:
        return fabrics;
    case TACIT_KIND_PLACE:
        return places;
    case TACIT_KIND_WAITING:
        return waits;
    default:
        return NULL;
    }
}

static void accepted_number(const struct schema_key *key, char out[TACIT_SCHEMA_ACCEPTED_BYTES])
{
    char lowest[TACIT_SCALAR_TEXT_BYTES];
    char highest[TACIT_SCALAR_TEXT_BYTES];
    enum scalar_kind kind = schema_key_scalar(key);
    scalar_format(kind, key->lowest, lowest);
    scalar_format(kind, key->highest, highest);
    const char *extra = key->flags & TACIT_SCHEMA_POWER_OF_TWO ? ", a power of two"
                        : key->flags & TACIT_SCHEMA_PAGES      ? ", a multiple of 4KiB"
                                                               : "";
    const char *units = scalar_units(kind);
    if (key->lowest == key->highest) {
        (void)snprintf(out, TACIT_SCHEMA_ACCEPTED_BYTES, "%s", lowest);
    } else {
        (void)snprintf(out, TACIT_SCHEMA_ACCEPTED_BYTES, "%s to %s%s%s%s", lowest, highest, extra,
                       *units != '\0' ? ", in " : "", units);
    }
}

static void accepted_words(const char *const *words, char out[TACIT_SCHEMA_ACCEPTED_BYTES])
{
    size_t used = 0;
    for (size_t i = 0; words[i] != NULL; i++) {
        const char *joint = i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ";
        int wrote =
            snprintf(out + used, TACIT_SCHEMA_ACCEPTED_BYTES - used, "%s%s", joint, words[i]);
        used += wrote > 0 ? (size_t)wrote : 0; // a few short words always fit
    }
}

const char *schema_key_accepted(const struct schema_key *key, char out[TACIT_SCHEMA_ACCEPTED_BYTES])
{
    const size_t room = TACIT_SCHEMA_ACCEPTED_BYTES;
    const char *const *words = schema_key_words(key);
    if (words != NULL) {
        accepted_words(words, out);
        return out;
    }
    if (schema_key_is_number(key)) {
        accepted_number(key, out);
        return out;
    }
    switch ((int)key->kind) {
    case TACIT_KIND_NAME:
        (void)snprintf(out, room,
                       "a letter, then letters, digits, '-', '_' and '.', %" PRIu64
                       " characters at most",
                       key->highest);
        break;
    case TACIT_KIND_NODE:
        (void)snprintf(
            out, room,
            "replica N, memnode N, spare-replica N, spare-memnode N, client N or operator");
        break;
    case TACIT_KIND_PATH:
        (void)snprintf(out, room, "a path of at most %" PRIu64 " bytes", key->highest);
        break;
    case TACIT_KIND_ADDRESS:
        (void)snprintf(out, room, "socket:PATH (fabric: shm) or HOST:PORT (fabric: verbs)");
        break;
    case TACIT_KIND_PUBLIC_KEY:
        (void)snprintf(out, room, "ed25519: and 64 lower-case hexadecimal digits");
        break;
    case TACIT_KIND_MAP:
        (void)snprintf(out, room, "a section of keys");
        break;
    default:
        (void)snprintf(out, room, "a list of %" PRIu64 " to %" PRIu64 " entries", key->lowest,
                       key->highest);
        break;
    }
    return out;
}

const void *schema_section_values(const struct tacit_config *config, enum schema_section section)
{
    switch ((int)section) {
    case TACIT_SECTION_LIMITS:
        return &config->limits;
    case TACIT_SECTION_MEMORY:
        return &config->memory;
    default:
        return &config->timing;
    }
}

uint64_t schema_value_get(const void *values, const struct schema_key *key)
{
    uint64_t value = 0;
    memcpy(&value, (const char *)values + key->offset, sizeof value);
    return value;
}

void schema_value_set(struct tacit_config *config, enum schema_section section,
                      const struct schema_key *key, uint64_t value)
{
    char *values = section == TACIT_SECTION_LIMITS   ? (char *)&config->limits
                   : section == TACIT_SECTION_MEMORY ? (char *)&config->memory
                                                     : (char *)&config->timing;
    memcpy(values + key->offset, &value, sizeof value);
}

// --- documentation ------------------------------------------------------------------------

static void print_default(FILE *out, const struct schema_key *key)
{
    const char *const *words = schema_key_words(key);
    char text[TACIT_SCALAR_TEXT_BYTES];
    bool has_default =
        (key->flags & TACIT_SCHEMA_OPTIONAL) == 0 && (words != NULL || schema_key_is_number(key));
    if (key->flags & TACIT_SCHEMA_REQUIRED) {
        (void)fprintf(out, "required");
    } else if (key->flags & TACIT_SCHEMA_COMPUTED) {
        (void)fprintf(out, "optional, computed");
    } else if (!has_default) {
        (void)fprintf(out, "optional");
    } else if (words != NULL) {
        (void)fprintf(out, "default %s", words[key->fallback]);
    } else {
        scalar_format(schema_key_scalar(key), key->fallback, text);
        (void)fprintf(out, "default %s", text);
    }
    if (key->flags & TACIT_SCHEMA_CRASH) {
        (void)fprintf(out, "; crash mode only");
    }
    if (key->flags & TACIT_SCHEMA_BYZANTINE) {
        (void)fprintf(out, "; Byzantine mode only");
    }
    if (key->flags & TACIT_SCHEMA_IMMUTABLE) {
        (void)fprintf(out, "; in the digest");
    }
}

static void print_key(FILE *out, const char *indent, const struct schema_key *key)
{
    char accepted[TACIT_SCHEMA_ACCEPTED_BYTES];
    (void)fprintf(out, "%s%s: %s\n%s    ", indent, key->name, schema_key_accepted(key, accepted),
                  indent);
    print_default(out, key);
    (void)fprintf(out, "\n%s    %s\n", indent, key->doc);
}

static void print_section(FILE *out, const char *indent, enum schema_section section)
{
    const struct schema_keys *keys = schema_keys_of(section);
    for (size_t i = 0; i < keys->count; i++) {
        print_key(out, indent, &keys->keys[i]);
    }
}

bool tacit_config_keys_print(FILE *out)
{
    const struct schema_keys *top = schema_keys_of(TACIT_SECTION_TOP);
    for (size_t i = 0; i < top->count; i++) {
        const struct schema_key *key = &top->keys[i];
        print_key(out, "", key);
        if (key->kind == TACIT_KIND_MAP || key->kind == TACIT_KIND_MAPS) {
            print_section(out, "    ", key->section);
        }
    }
    return fflush(out) == 0 && !ferror(out);
}

bool tacit_node_file_keys_print(FILE *out)
{
    print_section(out, "", TACIT_SECTION_NODE);
    return fflush(out) == 0 && !ferror(out);
}
