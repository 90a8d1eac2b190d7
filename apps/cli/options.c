// SPDX-License-Identifier: Apache-2.0
//
// See options.h.
#include "options.h"

#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "local.h"

uint64_t cli_option_number(struct argp_state *state, const char *option, const char *value,
                           uint64_t lowest, uint64_t highest)
{
    uint64_t number = lowest;
    if (!cli_number(value, lowest, highest, &number)) {
        argp_error(state, "%s %s: %llu to %llu is accepted", option, value,
                   (unsigned long long)lowest, (unsigned long long)highest);
    }
    return number;
}

size_t cli_option_word(struct argp_state *state, const char *option, const char *value,
                       const char *const *words)
{
    char list[256] = "";
    size_t used = 0;
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(value, words[i]) == 0) {
            return i;
        }
        const char *before = i == 0 ? "" : words[i + 1] == NULL ? " and " : ", ";
        int added = snprintf(list + used, sizeof list - used, "%s%s", before, words[i]);
        used += added > 0 && (size_t)added < sizeof list - used ? (size_t)added : 0;
    }
    argp_error(state, "%s %s: accepted are %s", option, value, list);
    return 0;
}

enum tacit_config_mode cli_option_mode(struct argp_state *state, const char *value)
{
    static const char *const words[] = {"crash", "byzantine", NULL};
    bool is_byzantine = cli_option_word(state, "--mode", value, words) == 1;
    return is_byzantine ? TACIT_CONFIG_BYZANTINE : TACIT_CONFIG_CRASH;
}

static bool is_on_memnodes(struct argp_state *state, const char *option, const char *value)
{
    static const char *const words[] = {"replicas", "memnodes", NULL};
    return cli_option_word(state, option, value, words) == 1;
}

enum tacit_config_log_on cli_option_log_on(struct argp_state *state, const char *value)
{
    return is_on_memnodes(state, "--log-on", value) ? TACIT_CONFIG_LOG_ON_MEMNODES
                                                    : TACIT_CONFIG_LOG_ON_REPLICAS;
}

enum tacit_config_broadcast_on cli_option_broadcast_on(struct argp_state *state, const char *value)
{
    return is_on_memnodes(state, "--broadcast-on", value) ? TACIT_CONFIG_BROADCAST_ON_MEMNODES
                                                          : TACIT_CONFIG_BROADCAST_ON_REPLICAS;
}

enum tacit_config_waiting cli_option_waiting(struct argp_state *state, const char *value)
{
    static const char *const words[] = {"adaptive", "yield", "spin", NULL};
    static const enum tacit_config_waiting ways[] = {TACIT_CONFIG_ADAPTIVE, TACIT_CONFIG_YIELD,
                                                     TACIT_CONFIG_SPIN};
    return ways[cli_option_word(state, "--waiting", value, words)];
}

void cli_option_spares(struct argp_state *state, const char *value, struct local_plan *plan)
{
    char text[16] = "";
    uint64_t replicas = 0;
    uint64_t memnodes = 0;
    (void)snprintf(text, sizeof text, "%s", value);
    char *comma = strchr(text, ',');
    if (comma != NULL) {
        *comma = '\0';
    }
    if (strlen(value) >= sizeof text || !cli_number(text, 0, TACIT_SPARES_MAX, &replicas) ||
        (comma != NULL && !cli_number(comma + 1, 0, TACIT_SPARES_MAX, &memnodes))) {
        argp_error(state, "--spares %s: accepted is R or R,M, each 0 to %u", value,
                   TACIT_SPARES_MAX);
    }
    plan->spare_replicas = (uint32_t)replicas;
    plan->spare_memnodes = (uint32_t)memnodes;
}

void cli_option_append(struct argp_state *state, struct cli_words *words, const char *value,
                       unsigned most)
{
    if (words->count == most) {
        argp_error(state, "too many words, from %s on: %u are accepted", value, most);
    } else {
        words->word[words->count++] = value;
    }
}

uint32_t cli_option_patience(struct argp_state *state, const char *value)
{
    return (uint32_t)cli_option_number(state, "--patience", value, 1, CLI_PATIENCE_MAX);
}
