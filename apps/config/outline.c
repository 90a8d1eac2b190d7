// SPDX-License-Identifier: Apache-2.0
//
// The structural pass; see outline.h. One parser event is current at a time. A function that
// returns false has met the end of what can be read (syntax, nesting): its callers close what they
// had opened in the clean copy and return, so the copy is well-formed in any case.
#include "outline.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

struct walk {
    struct outline *outline;
    const char *text;
    struct tacit_config_problems *problems;
    yaml_parser_t parser;
    yaml_event_t event; // the current one, if has_event
    bool has_event;
};

static struct place place_of(yaml_mark_t mark)
{
    const size_t most = UINT32_MAX - 1;
    return (struct place){.line = (uint32_t)(mark.line < most ? mark.line : most) + 1,
                          .column = (uint32_t)(mark.column < most ? mark.column : most) + 1};
}

// The decoder of characters knows an offset in bytes only.
static struct place place_of_offset(const char *text, size_t offset)
{
    struct place place = {.line = 1, .column = 1};
    for (size_t i = 0; i < offset; i++) {
        place.column++;
        if (text[i] == '\n') {
            place.line++;
            place.column = 1;
        }
    }
    return place;
}

static struct place here(const struct walk *walk)
{
    return place_of(walk->event.start_mark);
}

__attribute__((format(printf, 3, 4))) static void report(struct walk *walk, struct place place,
                                                         const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    problems_add_v(walk->problems, TACIT_CONFIG_ERROR, place, "", format, arguments);
    va_end(arguments);
    walk->outline->errors++;
}

// --- the clean copy -----------------------------------------------------------------------

static void copy_bytes(struct outline *outline, const char *bytes, size_t count)
{
    // clean_max covers the worst case (see outline_init); a shortfall must not become an overrun.
    if (count <= outline->clean_max - outline->clean_bytes) {
        memcpy(outline->clean + outline->clean_bytes, bytes, count);
        outline->clean_bytes += count;
    }
}

static void copy_text(struct outline *outline, const char *text)
{
    copy_bytes(outline, text, strlen(text));
}

static void copy_quoted(struct outline *outline, const char *text)
{
    copy_text(outline, "\"");
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            copy_text(outline, "\\");
        }
        copy_bytes(outline, text, 1);
    }
    copy_text(outline, "\"");
}

static void copy_key(struct outline *outline, const struct schema_key *key)
{
    copy_quoted(outline, key->name);
    copy_text(outline, ": ");
}

// --- events -------------------------------------------------------------------------------

static bool next(struct walk *walk)
{
    if (walk->has_event) {
        yaml_event_delete(&walk->event);
        walk->has_event = false;
    }
    if (yaml_parser_parse(&walk->parser, &walk->event)) {
        walk->has_event = true;
        return true;
    }
    const yaml_parser_t *parser = &walk->parser;
    struct place place = place_of(parser->problem_mark);
    if (parser->error == YAML_READER_ERROR) {
        place = place_of_offset(walk->text, parser->problem_offset);
    }
    const char *problem = parser->problem != NULL ? parser->problem : "out of memory";
    if (parser->context != NULL && parser->context_mark.line != parser->problem_mark.line) {
        report(walk, place, "not YAML: %s, %s that began in line %zu", problem, parser->context,
               parser->context_mark.line + 1);
    } else {
        report(walk, place, "not YAML: %s%s%s", problem, parser->context != NULL ? ", " : "",
               parser->context != NULL ? parser->context : "");
    }
    walk->outline->truncated = true;
    return false;
}

// The current event begins a value that is not wanted: goes on to its last event.
static bool skip(struct walk *walk)
{
    uint32_t depth = 0;
    for (;;) {
        const yaml_event_type_t type = walk->event.type;
        if (type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT) {
            if (++depth == TACIT_OUTLINE_DEPTH_MAX) {
                report(walk, here(walk),
                       "nested too deeply; nothing here needs more than 3 levels");
                walk->outline->truncated = true;
                return false;
            }
        } else if (type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT) {
            depth--;
        }
        if (depth == 0) {
            return true;
        }
        if (!next(walk)) {
            return false;
        }
    }
}

static const char *event_name(const yaml_event_t *event)
{
    switch ((int)event->type) {
    case YAML_MAPPING_START_EVENT:
        return "a section of keys";
    case YAML_SEQUENCE_START_EVENT:
        return "a list";
    case YAML_ALIAS_EVENT:
        return "an alias";
    default:
        return event->data.scalar.length == 0 ? "nothing" : "a single value";
    }
}

static bool has_decoration(const yaml_event_t *event)
{
    switch ((int)event->type) {
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor != NULL || event->data.mapping_start.tag != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor != NULL || event->data.sequence_start.tag != NULL;
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL;
    default:
        return event->type == YAML_ALIAS_EVENT;
    }
}

static struct outline_mark *mark(struct walk *walk, enum schema_section section, uint32_t item,
                                 size_t key, struct place place)
{
    struct outline *outline = walk->outline;
    // The table has room for every key and entry that the schema allows; the last one is a spare.
    uint32_t at = outline->mark_count < TACIT_OUTLINE_MARKS_MAX - 1 ? outline->mark_count++
                                                                    : TACIT_OUTLINE_MARKS_MAX - 1;
    outline->marks[at] = (struct outline_mark){
        .item = (uint16_t)item, .section = (uint8_t)section, .key = (uint8_t)key, .place = place};
    return &outline->marks[at];
}

void outline_path(enum schema_section section, uint32_t item, const struct schema_key *key,
                  char out[TACIT_OUTLINE_PATH_BYTES])
{
    const char *name = schema_keys_of(section)->name;
    const bool is_list = section == TACIT_SECTION_REPLICAS || section == TACIT_SECTION_MEMNODES ||
                         section == TACIT_SECTION_SPARE_REPLICAS ||
                         section == TACIT_SECTION_SPARE_MEMNODES ||
                         section == TACIT_SECTION_CLIENTS || section == TACIT_SECTION_CORES;
    char index[16] = "";
    if (is_list) {
        (void)snprintf(index, sizeof index, "[%" PRIu32 "]", item);
    }
    (void)snprintf(out, TACIT_OUTLINE_PATH_BYTES, "%s%s%s%s", name, index,
                   *name != '\0' && key != NULL ? "." : "", key != NULL ? key->name : "");
}

// True when the current event is a value of the type wanted; otherwise reports, names `path`.
static bool is_wanted(struct walk *walk, yaml_event_type_t wanted, const char *path,
                      const char *accepted)
{
    if (has_decoration(&walk->event)) {
        report(walk, here(walk), "%s: anchors, aliases and tags are not accepted; write the value",
               path);
        return false;
    }
    if (walk->event.type != wanted) {
        const char *hint = wanted == YAML_SEQUENCE_START_EVENT ? "; write [] for none" : "";
        report(walk, here(walk), "%s: is %s; accepted: %s%s", path, event_name(&walk->event),
               accepted, hint);
        return false;
    }
    return true;
}

// Checks the current event as a single value and copies it.
static bool read_scalar(struct walk *walk, const char *path, const char *accepted)
{
    if (!is_wanted(walk, YAML_SCALAR_EVENT, path, accepted)) {
        return false;
    }
    const char *text = (const char *)walk->event.data.scalar.value;
    const size_t length = walk->event.data.scalar.length;
    if (length > TACIT_OUTLINE_SCALAR_BYTES_MAX) {
        report(walk, here(walk), "%s: is %zu bytes long; no value needs more than %u", path, length,
               TACIT_OUTLINE_SCALAR_BYTES_MAX);
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            report(walk, here(walk), "%s: has a line break or control character; accepted: %s",
                   path, accepted);
            return false;
        }
    }
    copy_quoted(walk->outline, text);
    return true;
}

// --- keys ---------------------------------------------------------------------------------

static void list_keys(enum schema_section section, char *out, size_t room)
{
    const struct schema_keys *keys = schema_keys_of(section);
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < keys->count && used < room; i++) {
        int wrote =
            snprintf(out + used, room - used, "%s%s", i == 0 ? "" : ", ", keys->keys[i].name);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
}

static void report_unknown_key(struct walk *walk, enum schema_section section)
{
    char accepted[300];
    char quoted[TACIT_PROBLEMS_QUOTE_BYTES];
    const char *name = schema_keys_of(section)->name;
    list_keys(section, accepted, sizeof accepted);
    report(walk, here(walk), "unknown key %s%s%s; accepted: %s",
           problems_quote(quoted, (const char *)walk->event.data.scalar.value),
           *name != '\0' ? " in " : "", name, accepted);
}

enum step { TACIT_STEP_KEY, TACIT_STEP_END, TACIT_STEP_STOP };

// Advances to the value of the next good key of a mapping and names it; unknown, repeated and
// non-scalar keys are reported and skipped with their values.
static enum step next_key(struct walk *walk, enum schema_section section, uint32_t item,
                          size_t *key, struct outline_mark **marked)
{
    for (;;) {
        if (!next(walk)) {
            return TACIT_STEP_STOP;
        }
        if (walk->event.type == YAML_MAPPING_END_EVENT) {
            return TACIT_STEP_END;
        }
        const size_t count = schema_keys_of(section)->count;
        const struct place place = here(walk);
        bool good = walk->event.type == YAML_SCALAR_EVENT && !has_decoration(&walk->event);
        *key = count;
        if (good) {
            const char *name = (const char *)walk->event.data.scalar.value;
            if (strlen(name) == walk->event.data.scalar.length) {
                *key = schema_key_find(section, name);
            }
            struct outline_mark *first =
                *key < count ? outline_find(walk->outline, section, item, (uint32_t)*key) : NULL;
            if (*key == count) {
                report_unknown_key(walk, section);
            } else if (first != NULL) {
                char path[TACIT_OUTLINE_PATH_BYTES];
                outline_path(section, item, &schema_keys_of(section)->keys[*key], path);
                report(walk, place, "%s: repeated key; it is already in line %" PRIu32, path,
                       first->place.line);
            }
            good = *key < count && first == NULL;
        } else {
            report(walk, place, "a key must be a plain word, not %s",
                   has_decoration(&walk->event) ? "an anchor, alias or tag"
                                                : event_name(&walk->event));
        }
        if (!skip(walk) || !next(walk)) { // the key, however complex; then its value
            return TACIT_STEP_STOP;
        }
        if (good) {
            *marked = mark(walk, section, item, *key, place);
            return TACIT_STEP_KEY;
        }
        if (!skip(walk)) {
            return TACIT_STEP_STOP;
        }
    }
}

// Reads a mapping that has single values only; the current event is its start.
static bool read_values(struct walk *walk, enum schema_section section, uint32_t item)
{
    struct outline *outline = walk->outline;
    const struct schema_keys *keys = schema_keys_of(section);
    size_t key = 0;
    struct outline_mark *marked = NULL;
    enum step step = TACIT_STEP_END;
    copy_text(outline, "{");
    while ((step = next_key(walk, section, item, &key, &marked)) == TACIT_STEP_KEY) {
        char path[TACIT_OUTLINE_PATH_BYTES];
        char accepted[TACIT_SCHEMA_ACCEPTED_BYTES];
        const size_t before = outline->clean_bytes;
        outline_path(section, item, &keys->keys[key], path);
        copy_key(outline, &keys->keys[key]);
        if (!read_scalar(walk, path, schema_key_accepted(&keys->keys[key], accepted))) {
            marked->bad = true;
            outline->clean_bytes = before;
            if (!skip(walk)) {
                step = TACIT_STEP_STOP;
                break;
            }
            continue;
        }
        copy_text(outline, ", ");
    }
    copy_text(outline, "}");
    return step == TACIT_STEP_END;
}

// Reads one entry of a list. A faulty entry stays in the clean copy as an empty one, so that
// indices agree with the file.
static bool read_entry(struct walk *walk, const struct schema_key *list, uint32_t item)
{
    char path[TACIT_OUTLINE_PATH_BYTES];
    outline_path(list->section, item, NULL, path);
    struct outline_mark *marked = mark(walk, list->section, item, TACIT_OUTLINE_ITEM, here(walk));
    if (list->kind == TACIT_KIND_VALUES) {
        if (read_scalar(walk, path, "a number")) {
            return true;
        }
        copy_text(walk->outline, "\"\"");
    } else {
        if (is_wanted(walk, YAML_MAPPING_START_EVENT, path, "a section of keys")) {
            return read_values(walk, list->section, item);
        }
        copy_text(walk->outline, "{}");
    }
    marked->bad = true;
    return skip(walk);
}

static bool read_list(struct walk *walk, const struct schema_key *list)
{
    struct outline *outline = walk->outline;
    bool alive = true;
    uint32_t item = 0;
    copy_text(outline, "[");
    while ((alive = next(walk)) && walk->event.type != YAML_SEQUENCE_END_EVENT) {
        if (item == list->highest) {
            report(walk, here(walk), "%s: has too many entries; accepted: %" PRIu64 " at most",
                   list->name, list->highest);
        }
        if (item++ >= list->highest) {
            if (!(alive = skip(walk))) {
                break;
            }
            continue;
        }
        outline->entries[list->section] = item;
        if (!(alive = read_entry(walk, list, item - 1))) {
            break;
        }
        copy_text(outline, ", ");
    }
    copy_text(outline, "]");
    return alive;
}

// Reads the value of a top-level key. *good says whether it is of the right form.
static bool read_top_value(struct walk *walk, const struct schema_key *key, bool *good)
{
    char accepted[TACIT_SCHEMA_ACCEPTED_BYTES];
    schema_key_accepted(key, accepted);
    const bool is_list = key->kind == TACIT_KIND_MAPS || key->kind == TACIT_KIND_VALUES;
    if (!is_list && key->kind != TACIT_KIND_MAP) {
        *good = read_scalar(walk, key->name, accepted);
        return *good || skip(walk);
    }
    const struct place place = here(walk);
    const yaml_event_type_t wanted = is_list ? YAML_SEQUENCE_START_EVENT : YAML_MAPPING_START_EVENT;
    *good = is_wanted(walk, wanted, key->name, accepted);
    if (!*good) {
        return skip(walk);
    }
    walk->outline->sections[key->section] = place;
    return is_list ? read_list(walk, key) : read_values(walk, key->section, 0);
}

static bool read_top(struct walk *walk)
{
    struct outline *outline = walk->outline;
    size_t key = 0;
    struct outline_mark *marked = NULL;
    enum step step = TACIT_STEP_END;
    copy_text(outline, "{");
    while ((step = next_key(walk, TACIT_SECTION_TOP, 0, &key, &marked)) == TACIT_STEP_KEY) {
        const struct schema_key *schema = &schema_keys_of(TACIT_SECTION_TOP)->keys[key];
        const size_t before = outline->clean_bytes;
        bool good = false;
        copy_key(outline, schema);
        const bool alive = read_top_value(walk, schema, &good);
        if (!good) {
            marked->bad = true;
            outline->clean_bytes = before;
        } else {
            copy_text(outline, ", ");
        }
        if (!alive) {
            step = TACIT_STEP_STOP;
            break;
        }
    }
    copy_text(outline, "}");
    return step == TACIT_STEP_END;
}

// Goes on by two events.
static bool next_two(struct walk *walk)
{
    bool alive = next(walk);
    if (alive) {
        alive = next(walk);
    }
    return alive;
}

// Reads the one document of the stream.
static void read_stream(struct walk *walk, enum schema_section root)
{
    if (!next_two(walk)) { // stream start, document start
        return;
    }
    if (walk->event.type == YAML_STREAM_END_EVENT) {
        report(walk, (struct place){0, 0}, "the file is empty");
        walk->outline->truncated = true;
        return;
    }
    if (!next(walk)) {
        return;
    }
    walk->outline->sections[root] = here(walk);
    if (!is_wanted(walk, YAML_MAPPING_START_EVENT, "the file", "keys and values")) {
        walk->outline->truncated = true;
        return;
    }
    const bool alive = root == TACIT_SECTION_TOP ? read_top(walk) : read_values(walk, root, 0);
    if (!alive || !next_two(walk)) { // document end, stream end
        return;
    }
    if (walk->event.type != YAML_STREAM_END_EVENT) {
        report(walk, here(walk), "a second document begins here; accepted: one");
    }
}

enum tacit_status outline_init(struct outline *outline, enum schema_section root, const char *text,
                               size_t text_bytes, struct tacit_config_problems *problems)
{
    memset(outline, 0, sizeof *outline);
    // Each byte of the file appears once, escaped at worst; each mark adds a key name and
    // punctuation.
    outline->clean_max = 2 * text_bytes + TACIT_OUTLINE_MARKS_MAX * 48u + 256u;
    outline->clean = malloc(outline->clean_max);
    struct walk walk = {.outline = outline, .text = text, .problems = problems};
    if (outline->clean == NULL || !yaml_parser_initialize(&walk.parser)) {
        free(outline->clean);
        outline->clean = NULL;
        return TACIT_ENOMEM;
    }
    yaml_parser_set_encoding(&walk.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&walk.parser, (const unsigned char *)text, text_bytes);
    read_stream(&walk, root);
    if (walk.has_event) {
        yaml_event_delete(&walk.event);
    }
    yaml_parser_delete(&walk.parser);
    if (outline->clean_bytes == 0) {
        copy_text(outline, "{}");
    }
    return TACIT_OK;
}

void outline_fini(struct outline *outline)
{
    free(outline->clean);
    outline->clean = NULL;
}

struct outline_mark *outline_find(struct outline *outline, enum schema_section section,
                                  uint32_t item, uint32_t key)
{
    for (uint32_t i = 0; i < outline->mark_count; i++) {
        struct outline_mark *found = &outline->marks[i];
        if (found->section == section && found->item == item && found->key == key) {
            return found;
        }
    }
    return NULL;
}

struct place outline_place(struct outline *outline, enum schema_section section, uint32_t item,
                           uint32_t key)
{
    const struct outline_mark *found = outline_find(outline, section, item, key);
    if (found == NULL) {
        found = outline_find(outline, section, item, TACIT_OUTLINE_ITEM);
    }
    if (found != NULL) {
        return found->place;
    }
    if (outline->sections[section].line != 0) {
        return outline->sections[section];
    }
    return (struct place){.line = 1, .column = 1};
}
