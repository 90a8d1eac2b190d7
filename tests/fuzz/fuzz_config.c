// SPDX-License-Identifier: Apache-2.0
//
// Cluster and node files of any bytes: loading ends, finds a reason for every refusal, and what it
// accepts keeps its promises and survives being printed and loaded again. The first byte says which
// kind of file the rest is ('n': node file).
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tacit/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tacit_config config;
static struct tacit_config again;
static struct tacit_config_problems problems;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void check_problems(enum tacit_status status)
{
    CHECK(problems.count <= TACIT_CONFIG_PROBLEMS_MAX);
    CHECK((status == TACIT_OK) == (problems.errors == 0));
    for (uint32_t i = 0; i < problems.count; i++) {
        const struct tacit_config_problem *problem = &problems.items[i];
        CHECK(problem->text[0] != '\0');
        CHECK(i == 0 || problem->line >= problems.items[i - 1].line);
        for (const char *at = problem->text; *at != '\0'; at++) {
            CHECK(*at >= 0x20 && *at < 0x7f);
        }
    }
}

static void check_members(const struct tacit_config_member *members, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        CHECK(members[i].id == i);
        CHECK((members[i].socket_path[0] != '\0') == (config.fabric == TACIT_CONFIG_SHM));
        CHECK((members[i].port != 0) == (config.fabric == TACIT_CONFIG_VERBS));
        CHECK(tacit_public_key_is_usable(&members[i].public_key));
    }
}

static void check_accepted(void)
{
    const uint32_t n = config.replica_count;
    const uint32_t m = config.memnode_count;
    CHECK(n >= 1 && n <= TACIT_REPLICAS_MAX && m <= TACIT_MEMNODES_MAX);
    CHECK(m == 0 || m == 2 * config.fm + 1);
    if (config.mode == TACIT_CONFIG_BYZANTINE) {
        CHECK(n == 2 * config.f + 1 && config.f >= 1 && m >= 1);
    } else if (config.log_on == TACIT_CONFIG_LOG_ON_REPLICAS) {
        CHECK(config.f == (n - 1) / 2);
    } else {
        CHECK(config.f < n && m >= 1);
    }
    CHECK(config.limits.log_entries > 2 * config.limits.inflight);
    CHECK(config.client_count <= config.limits.clients_max);
    CHECK(config.name[0] != '\0');
    check_members(config.replicas, n);
    check_members(config.memnodes, m);
}

static void check_round_trip(void)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    CHECK(out != NULL && tacit_config_print(out, &config) && fclose(out) == 0);
    const enum tacit_status status =
        tacit_config_parse(text, bytes, "printed", config.paths.base_dir, &again, &problems);
    if (status != TACIT_OK) {
        (void)fprintf(stderr, "%s\n%s\n", problems.items[0].text, text);
    }
    CHECK(status == TACIT_OK);
    CHECK(memcmp(&config, &again, sizeof config) == 0);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_ready;
    if (!is_ready) {
        CHECK(tacit_crypto_init(NULL) == TACIT_OK);
        is_ready = true;
    }
    if (size == 0) {
        return 0;
    }
    const char *text = (const char *)data + 1;
    if (data[0] == 'n') {
        struct tacit_node_file node;
        const enum tacit_status status =
            tacit_node_file_parse(text, size - 1, "fuzz", "/base", &node, &problems);
        check_problems(status);
        CHECK(status != TACIT_OK || (node.cluster_path[0] != '\0' && node.key_path[0] != '\0'));
        return 0;
    }
    const enum tacit_status status =
        tacit_config_parse(text, size - 1, "fuzz", "/base", &config, &problems);
    check_problems(status);
    if (status == TACIT_OK) {
        check_accepted();
        check_round_trip();
    }
    return 0;
}
