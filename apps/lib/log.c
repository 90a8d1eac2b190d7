// SPDX-License-Identifier: Apache-2.0
//
// See log.h.
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 1024

static char log_node[40] = "tacit";
static enum tacit_log_level log_level = TACIT_LOG_INFO;
static const char *const level_names[] = {"error", "warn", "info", "debug"};

void tacit_log_name(const char *node)
{
    (void)snprintf(log_node, sizeof log_node, "%s", node);
}

void tacit_log_open(const char *node, enum tacit_log_level level)
{
    tacit_log_name(node);
    log_level = level;
    // The C library reads the time zone on the first use; a confined process could not.
    time_t now = time(NULL);
    struct tm parts;
    (void)gmtime_r(&now, &parts);
}

bool tacit_log_level_parse(const char *name, enum tacit_log_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum tacit_log_level)i;
            return true;
        }
    }
    return false;
}

void tacit_log(enum tacit_log_level level, const char *event, const char *format, ...)
{
    char line[LINE_BYTES];
    struct timespec now;
    struct tm parts;
    va_list arguments;
    if (level > log_level) {
        return;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &parts);
    size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &parts);
    int head = snprintf(line + used, sizeof line - used, ".%06ldZ %s %s %s ", now.tv_nsec / 1000,
                        level_names[level], log_node, event);
    used += head > 0 ? (size_t)head : 0; // short names: it fits
    va_start(arguments, format);
    int wrote = vsnprintf(line + used, sizeof line - used - 1, format, arguments);
    va_end(arguments);
    size_t room = sizeof line - used - 2;
    used += wrote < 0 ? 0 : (size_t)wrote < room ? (size_t)wrote : room;
    for (size_t i = 0; i < used; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f) {
            line[i] = '?'; // texts of peers cannot break lines or drive a terminal
        }
    }
    line[used++] = '\n';
    (void)!write(STDERR_FILENO, line, used); // nobody to tell when it fails
}
