// SPDX-License-Identifier: Apache-2.0
//
// Options of the benchmarks as tables: name, where its value goes, what is accepted. Each benchmark
// has a `struct arguments`, that is the type the macros want.
#ifndef TACIT_APPS_CLI_BENCH_OPTIONS_H
#define TACIT_APPS_CLI_BENCH_OPTIONS_H

#include <argp.h>
#include <stddef.h>

#include "options.h"

struct bench_option;
// Reads a value that is neither number nor text into its place; what is wrong ends the program.
typedef void bench_take(struct argp_state *state, const struct bench_option *option,
                        const char *value, void *to);

struct bench_option {
    const char *name; // without "--"; NULL: end of the table
    const char *argument, *help;
    size_t place;               // in the arguments
    uint64_t lowest, highest;   // of a number (uint64_t)
    bench_take *take;           // NULL: a number, or a text where both limits are 0
    const char *first, *second; // words of bench_take_either
};

#define BENCH_OPTIONS_MAX 12u

// A number lowest .. highest, into a uint64_t.
#define BENCH_NUMBER(field, name, argument, lowest, highest, help)                                 \
    {                                                                                              \
        name, argument, help, offsetof(struct arguments, field), lowest, highest, NULL, NULL, NULL \
    }
// A text, as it is, into a const char *.
#define BENCH_TEXT(field, name, argument, help)                                                    \
    {                                                                                              \
        name, argument, help, offsetof(struct arguments, field), 0, 0, NULL, NULL, NULL            \
    }
// One of two words, into a bool: whether it is the second.
#define BENCH_EITHER(field, name, argument, first, second, help)                                   \
    {                                                                                              \
        name, argument, help, offsetof(struct arguments, field), 0, 0, bench_take_either, first,   \
            second                                                                                 \
    }
// Anything else.
#define BENCH_OTHER(field, name, argument, take, help)                                             \
    {                                                                                              \
        name, argument, help, offsetof(struct arguments, field), 0, 0, take, NULL, NULL            \
    }
// What several of them have, into fields of these names.
#define BENCH_MODE                                                                                 \
    BENCH_OTHER(mode, "mode", "MODE", bench_take_mode, "crash (default) or byzantine")
#define BENCH_SIZE(highest)                                                                        \
    BENCH_NUMBER(size, "size", "BYTES", 8, highest,                                                \
                 "Request and reply size, 8 to " #highest " (default 64)")
#define BENCH_WAITING                                                                              \
    BENCH_OTHER(waiting, "waiting", "HOW", bench_take_waiting, "adaptive (default), yield or spin")
#define BENCH_LOG_ON                                                                               \
    BENCH_OTHER(log_on, "log-on", "WHERE", bench_take_log_on, "replicas (default) or memnodes")
#define BENCH_JSON BENCH_TEXT(json, "json", "FILE", "Write the results there, too")

// Into bool, enum tacit_config_mode, enum tacit_config_waiting, enum tacit_config_log_on; and 3, 5
// or 7 replicas into a uint64_t.
bench_take bench_take_mode, bench_take_waiting, bench_take_log_on, bench_take_replicas;
bench_take bench_take_either;

// Reads argv into `arguments`, which has the defaults. Exit status: 0, or 2 (it said why).
int bench_parse(const struct bench_option *options, const char *what, int argc, char **argv,
                void *arguments);

#endif
