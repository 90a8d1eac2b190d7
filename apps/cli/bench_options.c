// SPDX-License-Identifier: Apache-2.0
//
// See bench_options.h.
#include "bench_options.h"

#include <stdio.h>

#define FIRST_KEY 256 // no letters
#define NAME_BYTES 32u

struct input {
    const struct bench_option *options;
    void *arguments;
};

void bench_take_mode(struct argp_state *state, const struct bench_option *option, const char *value,
                     void *to)
{
    (void)option;
    *(enum tacit_config_mode *)to = cli_option_mode(state, value);
}

void bench_take_waiting(struct argp_state *state, const struct bench_option *option,
                        const char *value, void *to)
{
    (void)option;
    *(enum tacit_config_waiting *)to = cli_option_waiting(state, value);
}

void bench_take_log_on(struct argp_state *state, const struct bench_option *option,
                       const char *value, void *to)
{
    (void)option;
    *(enum tacit_config_log_on *)to = cli_option_log_on(state, value);
}

void bench_take_replicas(struct argp_state *state, const struct bench_option *option,
                         const char *value, void *to)
{
    static const char *const words[] = {"3", "5", "7", NULL};
    (void)option;
    *(uint64_t *)to = 3 + 2 * cli_option_word(state, "--replicas", value, words);
}

void bench_take_either(struct argp_state *state, const struct bench_option *option,
                       const char *value, void *to)
{
    const char *const words[] = {option->first, option->second, NULL};
    char name[NAME_BYTES];
    (void)snprintf(name, sizeof name, "--%s", option->name);
    *(bool *)to = cli_option_word(state, name, value, words) == 1;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    const struct input *input = state->input;
    if (key < FIRST_KEY || key >= FIRST_KEY + (int)BENCH_OPTIONS_MAX) {
        return ARGP_ERR_UNKNOWN;
    }
    const struct bench_option *option = &input->options[key - FIRST_KEY];
    void *to = (uint8_t *)input->arguments + option->place;
    char name[NAME_BYTES];
    (void)snprintf(name, sizeof name, "--%s", option->name);
    if (option->take != NULL) {
        option->take(state, option, value, to);
    } else if (option->highest == 0) {
        *(const char **)to = value;
    } else {
        *(uint64_t *)to = cli_option_number(state, name, value, option->lowest, option->highest);
    }
    return 0;
}

int bench_parse(const struct bench_option *options, const char *what, int argc, char **argv,
                void *arguments)
{
    struct argp_option list[BENCH_OPTIONS_MAX + 1] = {{0}};
    for (size_t i = 0; i < BENCH_OPTIONS_MAX && options[i].name != NULL; i++) {
        list[i] = (struct argp_option){.name = options[i].name,
                                       .key = FIRST_KEY + (int)i,
                                       .arg = options[i].argument,
                                       .doc = options[i].help};
    }
    const struct argp argp = {list, parse, "", what, NULL, NULL, NULL};
    struct input input = {options, arguments};
    return argp_parse(&argp, argc, argv, 0, NULL, &input) == 0 ? 0 : 2;
}
