// SPDX-License-Identifier: Apache-2.0
//
// Collects, sorts and formats problems; see problems.h.
#include "problems.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// Escapes one byte into `out`; returns the number of characters.
static size_t escape_byte(char out[5], char byte)
{
    if (byte >= 0x20 && byte < 0x7f) {
        out[0] = byte;
        out[1] = '\0';
        return 1;
    }
    (void)snprintf(out, 5, "\\x%02x", (unsigned)(unsigned char)byte);
    return 4;
}

const char *problems_quote(char out[TACIT_PROBLEMS_QUOTE_BYTES], const char *text)
{
    const size_t most = TACIT_PROBLEMS_QUOTE_BYTES - 6; // two quotes, three dots, NUL
    size_t used = 0;
    bool cut = false;
    out[used++] = '\'';
    for (; *text != '\0'; text++) {
        char escaped[5];
        size_t bytes = escape_byte(escaped, *text);
        if (used + bytes > most) {
            cut = true;
            break;
        }
        memcpy(out + used, escaped, bytes);
        used += bytes;
    }
    (void)snprintf(out + used, TACIT_PROBLEMS_QUOTE_BYTES - used, "%s'", cut ? "..." : "");
    return out;
}

void problems_init(struct tacit_config_problems *problems, const char *file)
{
    memset(problems, 0, sizeof *problems);
    const size_t room = sizeof problems->file;
    const size_t length = strlen(file);
    // The end of a path says more than its beginning.
    const char *shown = length < room ? file : file + (length - (room - 4));
    (void)snprintf(problems->file, room, "%s%s", length < room ? "" : "...", shown);
    for (char *at = problems->file; *at != '\0'; at++) {
        if (*at < 0x20 || *at >= 0x7f) {
            *at = '?';
        }
    }
}

void problems_add_v(struct tacit_config_problems *problems, enum tacit_config_severity severity,
                    struct place place, const char *prefix, const char *format, va_list arguments)
{
    problems->errors += severity == TACIT_CONFIG_ERROR;
    if (problems->count == TACIT_CONFIG_PROBLEMS_MAX) {
        problems->dropped++;
        return;
    }
    struct tacit_config_problem *problem = &problems->items[problems->count++];
    problem->severity = severity;
    problem->line = place.line;
    problem->column = place.column;
    int used = snprintf(problem->text, sizeof problem->text, "%s", prefix);
    size_t at = used < 0 ? 0 : (size_t)used;
    if (at < sizeof problem->text) {
        (void)vsnprintf(problem->text + at, sizeof problem->text - at, format, arguments);
    }
}

void problems_add(struct tacit_config_problems *problems, enum tacit_config_severity severity,
                  struct place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    problems_add_v(problems, severity, place, "", format, arguments);
    va_end(arguments);
}

static bool is_before(const struct tacit_config_problem *a, const struct tacit_config_problem *b)
{
    return a->line != b->line ? a->line < b->line : a->column < b->column;
}

void problems_sort(struct tacit_config_problems *problems)
{
    for (uint32_t i = 1; i < problems->count; i++) {
        struct tacit_config_problem moved = problems->items[i];
        uint32_t to = i;
        for (; to > 0 && is_before(&moved, &problems->items[to - 1]); to--) {
            problems->items[to] = problems->items[to - 1];
        }
        problems->items[to] = moved;
    }
}

void tacit_config_problem_format(const struct tacit_config_problems *problems, uint32_t index,
                                 char *out, size_t out_bytes)
{
    const struct tacit_config_problem *problem = &problems->items[index];
    const char *severity = problem->severity == TACIT_CONFIG_NOTE ? "note" : "error";
    if (problem->line == 0) {
        (void)snprintf(out, out_bytes, "%s: %s: %s", problems->file, severity, problem->text);
    } else {
        (void)snprintf(out, out_bytes, "%s:%" PRIu32 ":%" PRIu32 ": %s: %s", problems->file,
                       problem->line, problem->column, severity, problem->text);
    }
}

enum tacit_status tacit_config_problems_to_error(const struct tacit_config_problems *problems,
                                                 enum tacit_status status,
                                                 struct tacit_error *error)
{
    char first[sizeof(struct tacit_config_problem) + TACIT_CONFIG_FILE_NAME_BYTES] = "no problem";
    for (uint32_t i = 0; i < problems->count; i++) {
        if (problems->items[i].severity == TACIT_CONFIG_ERROR) {
            tacit_config_problem_format(problems, i, first, sizeof first);
            break;
        }
    }
    if (problems->errors <= 1) {
        return tacit_error_set(error, status, 0, "%s", first);
    }
    // Leave room for the tail, which the record would cut off otherwise.
    return tacit_error_set(error, status, 0, "%.400s (and %" PRIu32 " more: tacit check %.30s)",
                           first, problems->errors - 1,
                           strlen(problems->file) <= 30 ? problems->file : "FILE");
}
