// SPDX-License-Identifier: Apache-2.0
//
// Values of options, for the parsers that commands give to argp: one place for what is accepted and
// for what is said about anything else. What is wrong ends the program, as argp_error() does.
#ifndef TACIT_APPS_CLI_OPTIONS_H
#define TACIT_APPS_CLI_OPTIONS_H

#include <argp.h>

#include "tacit/config.h"

#define CLI_WORDS_MAX 16u

// The arguments of a command that are no options.
struct cli_words {
    const char *word[CLI_WORDS_MAX];
    unsigned count;
};

// A decimal number lowest .. highest; `option` is its name, such as "--count".
uint64_t cli_option_number(struct argp_state *state, const char *option, const char *value,
                           uint64_t lowest, uint64_t highest);
// Position in `words`, a list of two or more that ends with NULL.
size_t cli_option_word(struct argp_state *state, const char *option, const char *value,
                       const char *const *words);
// --mode, --log-on, --broadcast-on, --waiting
enum tacit_config_mode cli_option_mode(struct argp_state *state, const char *value);
enum tacit_config_log_on cli_option_log_on(struct argp_state *state, const char *value);
enum tacit_config_broadcast_on cli_option_broadcast_on(struct argp_state *state, const char *value);
enum tacit_config_waiting cli_option_waiting(struct argp_state *state, const char *value);
// --fabric: "shm", "verbs" (RDMA, at the first device's address) or "verbs:ADDRESS", into a plan.
#define CLI_FABRIC_HELP                                                                            \
    "shm (default), verbs (RDMA, at the first device's address) or verbs:ADDRESS"
struct local_plan;
void cli_option_fabric(struct argp_state *state, const char *value, struct local_plan *plan);
// --patience
#define CLI_PATIENCE_MAX 1000u
#define CLI_PATIENCE_HELP "all times N times as long, for emulated or busy machines (default 1)"
uint32_t cli_option_patience(struct argp_state *state, const char *value);
// --spares R[,M], into a plan.
void cli_option_spares(struct argp_state *state, const char *value, struct local_plan *plan);
// Appends a word, `most` at most (no more than CLI_WORDS_MAX).
void cli_option_append(struct argp_state *state, struct cli_words *words, const char *value,
                       unsigned most);

#endif
