// SPDX-License-Identifier: Apache-2.0
//
// tacit keygen, bootstrap, check: the files that a cluster is made of.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../client/cluster.h"
#include "../lib/bootstrap.h"
#include "../lib/statedir.h"
#include "cli.h"
#include "local.h"
#include "options.h"
#include "tacit/config.h"
#include "tacit/keyfile.h"
#include "tacit/smr.h"

// ---- keygen ------------------------------------------------------------------------------------

enum {
    KEY_REPLICAS = 256,
    KEY_MEMNODES,
    KEY_CLIENTS,
    KEY_NAME,
    KEY_MODE,
    KEY_LOG_ON,
    KEY_FABRIC,
    KEY_PORT,
    KEY_SPARES,
    KEY_OPERATOR
};

struct keygen {
    struct tacit_config_plan plan;
    const char *path;
    bool whole_cluster;
};

static const struct argp_option keygen_options[] = {
    {"replicas", KEY_REPLICAS, "N", 0, "Make a whole cluster with N replicas in the folder PATH",
     0},
    {"memnodes", KEY_MEMNODES, "N", 0, "... and N memory nodes (default 3)", 0},
    {"clients", KEY_CLIENTS, "N", 0, "... and N clients (default 4)", 0},
    {"name", KEY_NAME, "NAME", 0, "... called NAME", 0},
    {"mode", KEY_MODE, "MODE", 0, "... of mode crash (default) or byzantine", 0},
    {"log-on", KEY_LOG_ON, "WHERE", 0, "... with the logs on replicas (default) or memnodes", 0},
    {"fabric", KEY_FABRIC, "FABRIC", 0, "... on shm (default) or verbs", 0},
    {"spares", KEY_SPARES, "R[,M]", 0,
     "... with R spare replicas and M spare memory nodes (default 0,0)", 0},
    {"operator", KEY_OPERATOR, NULL, 0, "... with a key for orders of an operator (tacit member)",
     0},
    {"port", KEY_PORT, "PORT", 0, "... from this port on (verbs; default 7471)", 0},
    {0},
};

static error_t keygen_parse(int key, char *value, struct argp_state *state)
{
    struct keygen *keygen = state->input;
    switch (key) {
    case KEY_REPLICAS:
        keygen->plan.replicas =
            (uint32_t)cli_option_number(state, "--replicas", value, 1, TACIT_REPLICAS_MAX);
        keygen->whole_cluster = true;
        return 0;
    case KEY_MEMNODES:
        keygen->plan.memnodes =
            (uint32_t)cli_option_number(state, "--memnodes", value, 0, TACIT_MEMNODES_MAX);
        return 0;
    case KEY_CLIENTS:
        keygen->plan.clients =
            (uint32_t)cli_option_number(state, "--clients", value, 0, TACIT_CLIENTS_MAX);
        return 0;
    case KEY_NAME:
        keygen->plan.name = value;
        return 0;
    case KEY_PORT:
        keygen->plan.port = (uint16_t)cli_option_number(state, "--port", value, 1, 65535);
        return 0;
    case KEY_SPARES: {
        struct local_plan spares = {0};
        cli_option_spares(state, value, &spares);
        keygen->plan.spare_replicas = spares.spare_replicas;
        keygen->plan.spare_memnodes = spares.spare_memnodes;
        return 0;
    }
    case KEY_OPERATOR:
        keygen->plan.operator_key = true;
        return 0;
    case KEY_MODE:
        keygen->plan.mode = cli_option_mode(state, value);
        return 0;
    case KEY_LOG_ON:
        keygen->plan.log_on = cli_option_log_on(state, value);
        return 0;
    case KEY_FABRIC:
        keygen->plan.fabric = cli_option_word(state, "--fabric", value,
                                              (const char *const[]){"shm", "verbs", NULL}) == 1
                                  ? TACIT_CONFIG_VERBS
                                  : TACIT_CONFIG_SHM;
        return 0;
    case ARGP_KEY_ARG:
        if (keygen->path != NULL) {
            argp_error(state, "one PATH is accepted, not %s as well", value);
        }
        keygen->path = value;
        return 0;
    case ARGP_KEY_END:
        if (keygen->path == NULL) {
            argp_error(state, "PATH is needed: a new key file, or with --replicas a folder");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int one_key(const char *path)
{
    struct tacit_error error;
    char text[TACIT_PUBLIC_KEY_TEXT_LENGTH + 1];
    struct tacit_keypair *keypair = tacit_secret_alloc(sizeof *keypair, &error);
    if (keypair == NULL) {
        return cli_fail(&error);
    }
    tacit_keypair_generate(keypair);
    enum tacit_status status = tacit_keyfile_write(path, keypair, NULL, &error);
    tacit_public_key_format(text, &keypair->public_key);
    tacit_secret_free(keypair);
    if (status != TACIT_OK) {
        return cli_fail(&error);
    }
    (void)printf("%s\n", text);
    return 0;
}

int cli_keygen(int argc, char **argv)
{
    static const struct argp argp = {keygen_options,
                                     keygen_parse,
                                     "PATH",
                                     "Makes a private key in the new file PATH and prints the "
                                     "public key; or, with --replicas, a "
                                     "cluster file, node files and keys in the folder PATH.",
                                     NULL,
                                     NULL,
                                     NULL};
    struct keygen keygen = {.plan = {.name = "cluster", .memnodes = 3, .clients = 4, .port = 7471}};
    struct tacit_error error;
    if (argp_parse(&argp, argc, argv, 0, NULL, &keygen) != 0) {
        return 2;
    }
    if (!keygen.whole_cluster) {
        return one_key(keygen.path);
    }
    struct tacit_config *config = calloc(1, sizeof *config);
    if (config == NULL) {
        return cli_complain("no memory");
    }
    enum tacit_status status = tacit_directory_make(keygen.path, &error);
    if (status == TACIT_OK) {
        status = tacit_config_generate(keygen.path, &keygen.plan, config, &error);
    }
    free(config);
    if (status != TACIT_OK) {
        return cli_fail(&error);
    }
    (void)printf("%s/cluster.yaml and the keys of all nodes are made. Next: tacit check "
                 "%s/cluster.yaml; tacit bootstrap %s/cluster.yaml\n",
                 keygen.path, keygen.path, keygen.path);
    return 0;
}

// ---- a cluster file, loaded --------------------------------------------------------------------

static void print_problems(FILE *out, const struct tacit_config_problems *problems)
{
    char line[1024];
    for (uint32_t i = 0; i < problems->count; i++) {
        tacit_config_problem_format(problems, i, line, sizeof line);
        (void)fprintf(out, "%s\n", line);
    }
    if (problems->dropped != 0) {
        (void)fprintf(out, "and %u more\n", problems->dropped);
    }
}

// ---- bootstrap ---------------------------------------------------------------------------------

struct bootstrap {
    const char *path;
    bool replace;
};

static const struct argp_option bootstrap_options[] = {
    {"replace", 'r', NULL, 0,
     "Give up the group that these nodes belong to, and everything that it agreed on", 0},
    {0},
};

static error_t bootstrap_parse(int key, char *value, struct argp_state *state)
{
    struct bootstrap *bootstrap = state->input;
    switch (key) {
    case 'r':
        bootstrap->replace = true;
        return 0;
    case ARGP_KEY_ARG:
        if (bootstrap->path != NULL) {
            argp_error(state, "one CLUSTER file is accepted, not %s as well", value);
        }
        bootstrap->path = value;
        return 0;
    case ARGP_KEY_END:
        if (bootstrap->path == NULL) {
            argp_error(state, "the CLUSTER file is needed");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cli_bootstrap(int argc, char **argv)
{
    static const struct argp argp = {bootstrap_options,
                                     bootstrap_parse,
                                     "CLUSTER",
                                     "Founds a group: writes a random group id into the state "
                                     "directory of every replica and memory "
                                     "node of the cluster file, and into the runtime directory for "
                                     "the clients. Once, before the "
                                     "first start.",
                                     NULL,
                                     NULL,
                                     NULL};
    struct bootstrap bootstrap = {0};
    struct tacit_error error;
    struct tacit_group_id group;
    if (argp_parse(&argp, argc, argv, 0, NULL, &bootstrap) != 0) {
        return 2;
    }
    struct tacit_config *config = calloc(1, sizeof *config);
    struct tacit_config_problems *problems = calloc(1, sizeof *problems);
    int result = 1;
    if (config == NULL || problems == NULL) {
        (void)cli_complain("no memory");
    } else if (tacit_config_load(bootstrap.path, config, problems) != TACIT_OK) {
        print_problems(stderr, problems);
    } else if (tacit_group_found(config, bootstrap.replace, &group, &error) != TACIT_OK) {
        (void)cli_fail(&error);
    } else {
        char text[2 * sizeof group.bytes + 1];
        tacit_hex_encode(text, sizeof text, group.bytes, sizeof group.bytes);
        (void)printf("founded group %s\n", text);
        result = 0;
    }
    free(config);
    free(problems);
    return result;
}

// ---- check -------------------------------------------------------------------------------------

struct check {
    const char *path;
    bool keys;
};

static const struct argp_option check_options[] = {
    {"keys", 'k', NULL, 0, "Print every key of a cluster file and of a node file, with its range",
     0},
    {0},
};

static error_t check_parse(int key, char *value, struct argp_state *state)
{
    struct check *check = state->input;
    switch (key) {
    case 'k':
        check->keys = true;
        return 0;
    case ARGP_KEY_ARG:
        if (check->path != NULL) {
            argp_error(state, "one FILE is accepted, not %s as well", value);
        }
        check->path = value;
        return 0;
    case ARGP_KEY_END:
        if (check->path == NULL && !check->keys) {
            argp_error(state, "a cluster FILE (or --keys) is needed");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static struct tacit_smr_config smr_of(const struct tacit_config *config)
{
    struct tacit_smr_config smr;
    static struct tacit_signer nobody; // named, not used
    tacit_cluster_smr_config(&smr, config);
    smr.incarnation = 1;
    smr.byzantine.signer = &nobody;
    return smr;
}

static uint64_t log_region(const struct tacit_config *config)
{
    struct tacit_smr_config smr = smr_of(config);
    size_t at_replica = tacit_smr_replica_layout(&smr).log_bytes;
    return at_replica != 0 ? at_replica : tacit_smr_memnode_layout(&smr).log_bytes;
}

static uint64_t host_control(const struct tacit_config *config)
{
    struct tacit_smr_config smr = smr_of(config);
    struct tacit_host_layout layout = tacit_smr_memnode_layout(&smr);
    return layout.page_bytes + layout.control_bytes * config->replica_count;
}

static uint64_t memnode_registers(const struct tacit_config *config)
{
    struct tacit_smr_config smr = smr_of(config);
    return tacit_smr_memnode_layout(&smr).registers_bytes * config->replica_count;
}

static uint32_t replica_parts(const struct tacit_config *config,
                              struct tacit_config_figure_part *parts, uint32_t max)
{
    struct tacit_smr_config smr = smr_of(config);
    struct tacit_smr_memory memory;
    tacit_smr_memory(&smr, &memory);
    uint32_t count = memory.count < max ? memory.count : max;
    for (uint32_t i = 0; i < count; i++) {
        parts[i] = (struct tacit_config_figure_part){.what = memory.parts[i].what,
                                                     .is_known = true,
                                                     .count = memory.parts[i].count,
                                                     .each_bytes = memory.parts[i].each_bytes};
    }
    return count;
}

static uint64_t client_per_replica(const struct tacit_config *config)
{
    struct tacit_smr_config smr = smr_of(config);
    return tacit_smr_client_layout(&smr).replies_bytes;
}

static int check_file(const char *path, struct tacit_config *config,
                      struct tacit_config_problems *problems)
{
    static const struct tacit_config_sizes sizes = {
        .log_region = log_region,
        .host_control = host_control,
        .replica_parts = replica_parts,
        .memnode_registers = memnode_registers,
        .client_per_replica = client_per_replica,
    };
    struct tacit_error error;
    enum tacit_status status = tacit_config_load(path, config, problems);
    print_problems(status == TACIT_OK ? stdout : stderr, problems);
    if (status != TACIT_OK) {
        return 1;
    }
    struct tacit_smr_config smr = smr_of(config);
    if (tacit_smr_config_check(&smr, &error) != TACIT_OK) {
        return cli_complain("%s: %s", path, error.text);
    }
    struct tacit_digest digest;
    char text[2 * sizeof digest.bytes + 1];
    tacit_config_digest(&digest, config);
    tacit_hex_encode(text, sizeof text, digest.bytes, sizeof digest.bytes);
    (void)printf(
        "%s: %u replicas tolerate %u faulty ones, %u memory nodes tolerate %u; digest %s\n", path,
        config->replica_count, config->f, config->memnode_count, config->fm, text);
    struct tacit_config_figures *figures = calloc(1, sizeof *figures);
    bool printed = false;
    if (figures != NULL) {
        tacit_config_figures_fill(figures, config, &sizes);
        printed = tacit_config_figures_print(stdout, figures);
    }
    free(figures);
    return printed ? 0 : cli_complain("cannot print the memory figures");
}

int cli_check(int argc, char **argv)
{
    static const struct argp argp = {
        check_options,
        check_parse,
        "FILE",
        "Checks a cluster file: lists every problem, then the memory that each node takes.",
        NULL,
        NULL,
        NULL};
    struct check check = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &check) != 0) {
        return 2;
    }
    if (check.keys) {
        (void)printf("Cluster file:\n\n");
        bool printed = tacit_config_keys_print(stdout);
        (void)printf("\nNode file:\n\n");
        if (!printed || !tacit_node_file_keys_print(stdout)) {
            return cli_complain("cannot print the keys");
        }
    }
    if (check.path == NULL) {
        return 0;
    }
    struct tacit_config *config = calloc(1, sizeof *config);
    struct tacit_config_problems *problems = calloc(1, sizeof *problems);
    int result = config == NULL || problems == NULL ? cli_complain("no memory")
                                                    : check_file(check.path, config, problems);
    free(config);
    free(problems);
    return result;
}
