// SPDX-License-Identifier: Apache-2.0
//
// What the configuration writes: cluster files that read back as they were, whole clusters with
// keys, node files, nothing overwritten and nothing left behind; documentation; memory figures.
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tacit/config.h"
#include "tacit/keyfile.h"

static struct tacit_config config;
static struct tacit_config loaded;
static struct tacit_config_problems problems;
static struct tacit_error error;
static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/tacit-config-XXXXXX");
    return mkdtemp(folder) == NULL;
}

// Calls `each` (may be NULL) for the files of the folder and counts them.
static unsigned for_files(void (*each)(const char *path))
{
    DIR *directory = opendir(folder);
    unsigned count = 0;
    assert_non_null(directory);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        char path[400];
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        count++;
        if (each != NULL) {
            each(path);
        }
    }
    (void)closedir(directory);
    return count;
}

static void remove_file(const char *path)
{
    (void)unlink(path);
}

static int remove_folder(void **state)
{
    (void)state;
    (void)for_files(remove_file);
    return rmdir(folder);
}

static const char *in_folder(const char *name)
{
    static char path[200];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static struct tacit_config_plan crash_plan(void)
{
    return (struct tacit_config_plan){.name = "demo", .replicas = 3, .clients = 2};
}

static struct tacit_config_plan byzantine_plan(void)
{
    return (struct tacit_config_plan){.name = "demo",
                                      .mode = TACIT_CONFIG_BYZANTINE,
                                      .fabric = TACIT_CONFIG_VERBS,
                                      .replicas = 5,
                                      .memnodes = 3,
                                      .clients = 1,
                                      .port = 7000,
                                      .operator_key = true};
}

// Fields that a load computes from others, so that a whole struct can be compared.
static void assert_same_config(const struct tacit_config *read, const struct tacit_config *written)
{
    static struct tacit_config expected;
    expected = *written;
    memcpy(&expected.paths.base_dir, &read->paths.base_dir, sizeof expected.paths.base_dir);
    for (uint32_t i = 0; i < TACIT_REPLICAS_MAX; i++) {
        struct tacit_config_member *pair[] = {&expected.replicas[i], &expected.memnodes[i]};
        const struct tacit_config_member *same[] = {&read->replicas[i], &read->memnodes[i]};
        for (size_t j = 0; j < 2; j++) {
            memcpy(pair[j]->socket_path, same[j]->socket_path, sizeof same[j]->socket_path);
            memcpy(pair[j]->host, same[j]->host, sizeof same[j]->host);
            pair[j]->port = same[j]->port;
        }
    }
    assert_memory_equal(read, &expected, sizeof expected);
}

static void assert_generates(const struct tacit_config_plan *plan)
{
    if (tacit_config_generate(folder, plan, &config, &error) != TACIT_OK) {
        fail_msg("%s", error.text);
    }
    if (tacit_config_load(in_folder("cluster.yaml"), &loaded, &problems) != TACIT_OK) {
        fail_msg("%s", problems.items[0].text);
    }
    assert_int_equal(problems.count, 0);
    assert_same_config(&loaded, &config);
}

static void a_generated_cluster_reads_back(void **state)
{
    (void)state;
    const struct tacit_config_plan plan = crash_plan();
    assert_generates(&plan);
    assert_int_equal(for_files(NULL), 2 * 5 + 1);
    assert_string_equal(loaded.paths.base_dir, folder);
    char expected[TACIT_CONFIG_SOCKET_BYTES];
    (void)snprintf(expected, sizeof expected, "%s/run/replica-1.sock", folder);
    assert_string_equal(loaded.replicas[1].socket_path, expected);
    struct stat about;
    assert_int_equal(stat(in_folder("replica-1.key"), &about), 0);
    assert_int_equal(about.st_mode & 07777, 0600);
}

static void a_generated_byzantine_cluster_reads_back(void **state)
{
    (void)state;
    const struct tacit_config_plan plan = byzantine_plan();
    assert_generates(&plan);
    assert_int_equal(for_files(NULL), 2 * (5 + 3 + 1 + 1) + 1);
    assert_int_equal(loaded.memnodes[2].port, 7007);
    assert_int_equal(loaded.f, 2);
    // What follows from other keys is not written, so that it goes on following from them.
    assert_int_equal(loaded.timing.slow_after_ns, 0);
}

// Every node file leads to the cluster file and to the key that the cluster file names.
static void node_files_fit_to_keys_and_cluster(void **state)
{
    (void)state;
    static const char *const names[] = {"replica-0", "replica-4", "memnode-2", "client-0",
                                        "operator"};
    const struct tacit_config_plan plan = byzantine_plan();
    assert_generates(&plan);
    struct tacit_keypair *keypair = tacit_secret_alloc(sizeof *keypair, &error);
    assert_non_null(keypair);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct tacit_node_file node;
        char file[64];
        char name[TACIT_CONFIG_NAME_BYTES];
        (void)snprintf(file, sizeof file, "%s.yaml", names[i]);
        assert_int_equal(tacit_node_file_load(in_folder(file), &node, &problems), TACIT_OK);
        tacit_config_node_name(node.role, node.id, name);
        assert_string_equal(name, names[i]);
        assert_string_equal(node.cluster_path, in_folder("cluster.yaml"));
        assert_int_equal(tacit_keyfile_load(keypair, node.key_path, &error), TACIT_OK);
        assert_int_equal(tacit_node_file_match(&node, &loaded, &keypair->public_key, &error),
                         TACIT_OK);
        (void)snprintf(file, sizeof file, "state/%s", names[i]);
        assert_string_equal(node.state_dir, in_folder(file));
        // Another node's key, and a node that is not there.
        assert_int_equal(
            tacit_node_file_match(&node, &loaded, &loaded.replicas[1].public_key, &error),
            TACIT_EAUTH);
        node.role = TACIT_CONFIG_CLIENT;
        node.id = 9;
        assert_int_equal(tacit_node_file_match(&node, &loaded, NULL, &error), TACIT_ENOENT);
        assert_non_null(strstr(error.text, "has no client-9"));
    }
    tacit_secret_free(keypair);
}

static char last_text[4096];
static void read_whole(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    const size_t got = fread(last_text, 1, sizeof last_text - 1, file);
    last_text[got] = '\0';
    (void)fclose(file);
}

static void nothing_is_overwritten(void **state)
{
    (void)state;
    const struct tacit_config_plan plan = crash_plan();
    // Each file in turn is in the way; it stays as it was and nothing else is left.
    static const char *const names[] = {"cluster.yaml", "replica-0.key", "replica-2.yaml",
                                        "client-1.key", "client-1.yaml"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        write_text(in_folder(names[i]), "mine");
        assert_int_equal(tacit_config_generate(folder, &plan, &config, &error), TACIT_EEXIST);
        assert_non_null(strstr(error.text, names[i]));
        assert_int_equal(for_files(NULL), 1);
        read_whole(in_folder(names[i]));
        assert_string_equal(last_text, "mine");
        assert_int_equal(unlink(in_folder(names[i])), 0);
    }
    assert_generates(&plan);
    assert_int_equal(tacit_config_write(in_folder("cluster.yaml"), &config, &error), TACIT_EEXIST);
    assert_int_equal(for_files(NULL), 11);
    // A dangling link is a file in the way, too.
    assert_int_equal(symlink("/nowhere/at/all", in_folder("link.yaml")), 0);
    assert_int_equal(tacit_config_write(in_folder("link.yaml"), &config, &error), TACIT_EEXIST);
    assert_int_equal(for_files(NULL), 12);
}

static void what_would_be_refused_is_not_written(void **state)
{
    (void)state;
    struct tacit_config_plan plan = byzantine_plan();
    plan.replicas = 4;
    assert_int_equal(tacit_config_generate(folder, &plan, &config, &error), TACIT_EINVAL);
    assert_non_null(strstr(error.text, "exactly 2f+1 replicas"));
    plan = crash_plan();
    plan.memnodes = 2;
    assert_int_equal(tacit_config_generate(folder, &plan, &config, &error), TACIT_EINVAL);
    assert_non_null(strstr(error.text, "an odd number"));
    plan = crash_plan();
    plan.name = "no/name";
    assert_int_equal(tacit_config_generate(folder, &plan, &config, &error), TACIT_EINVAL);
    plan = crash_plan();
    plan.replicas = TACIT_REPLICAS_MAX + 1;
    assert_int_equal(tacit_config_generate(folder, &plan, &config, &error), TACIT_EINVAL);
    plan = byzantine_plan();
    plan.port = 65530;
    assert_int_equal(tacit_config_generate(folder, &plan, &config, &error), TACIT_EINVAL);
    plan = crash_plan();
    assert_int_equal(tacit_config_generate("/nowhere/at/all", &plan, &config, &error),
                     TACIT_ENOENT);
    assert_int_equal(tacit_config_plan_fill(&config, &plan, &error), TACIT_OK);
    assert_int_equal(tacit_config_write(in_folder("cluster.yaml"), &config, &error), TACIT_EINVAL);
    assert_non_null(strstr(error.text, "public key")); // nobody has filled them in
    assert_int_equal(for_files(NULL), 0);
}

static void the_largest_cluster_reads_back(void **state)
{
    (void)state;
    struct tacit_config_plan plan = byzantine_plan();
    plan.replicas = TACIT_REPLICAS_MAX;
    plan.memnodes = TACIT_MEMNODES_MAX;
    plan.clients = TACIT_CLIENTS_MAX;
    assert_generates(&plan);
    assert_int_equal(loaded.limits.clients_max, TACIT_CLIENTS_MAX);
}

static void odd_text_in_paths_survives(void **state)
{
    (void)state;
    const struct tacit_config_plan plan = crash_plan();
    assert_generates(&plan);
    (void)snprintf(config.paths.state_dir, sizeof config.paths.state_dir,
                   "/a \"b\" \\c # d: {node} '\xc3\xa9");
    memset(config.replicas[1].address, 0, sizeof config.replicas[1].address);
    (void)snprintf(config.replicas[1].address, sizeof config.replicas[1].address, "socket:# \"x\\");
    assert_int_equal(tacit_config_write(in_folder("second.yaml"), &config, &error), TACIT_OK);
    assert_int_equal(tacit_config_load(in_folder("second.yaml"), &loaded, &problems), TACIT_OK);
    assert_same_config(&loaded, &config);
}

// --- files that cannot be read ------------------------------------------------------------

static void unreadable_files_say_why(void **state)
{
    (void)state;
    assert_int_equal(tacit_config_load(in_folder("none.yaml"), &loaded, &problems), TACIT_ENOENT);
    assert_int_equal(problems.errors, 1);
    assert_int_equal(problems.items[0].line, 0);
    assert_non_null(strstr(problems.items[0].text, "No such file"));
    assert_int_equal(tacit_config_load(folder, &loaded, &problems), TACIT_EINVAL);
    assert_non_null(strstr(problems.items[0].text, "not a regular file"));
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0); // must not hang
    assert_int_equal(tacit_config_load(in_folder("fifo"), &loaded, &problems), TACIT_EINVAL);
    FILE *large = fopen(in_folder("large"), "w");
    assert_non_null(large);
    assert_int_equal(ftruncate(fileno(large), 1 << 30), 0);
    assert_int_equal(fclose(large), 0);
    assert_int_equal(tacit_config_load(in_folder("large"), &loaded, &problems), TACIT_ETOOBIG);
    struct tacit_node_file node;
    assert_int_equal(tacit_node_file_load(in_folder("none.yaml"), &node, &problems), TACIT_ENOENT);
}

// --- node files ---------------------------------------------------------------------------

struct node_case {
    const char *text;
    uint32_t line, errors;
    const char *says, *accepted;
};

static const struct node_case node_cases[] = {
    {"node: replica 0\ncluster: c\n", 1, 1, "key: is missing", "a path"},
    {"cluster: c\nkey: k\n", 1, 1, "node: is missing", "replica N"},
    {"node: replica 0\nkey: k\n", 1, 1, "cluster: is missing", "a path"},
    {"key: k\nnode: replica\ncluster: c\n", 2, 1, "'replica' is not a node", "replica N (0 to 14)"},
    {"key: k\nnode: replica 15\ncluster: c\n", 2, 1, "'replica 15' is not a node", "0 to 14"},
    {"key: k\nnode: replica  1\ncluster: c\n", 2, 1, "is not a node", "or operator"},
    {"key: k\nnode: client 01\ncluster: c\n", 2, 1, "is not a node", "client N (0 to 63)"},
    {"key: k\nnode: operator 0\ncluster: c\n", 2, 1, "is not a node", "or operator"},
    {"key: k\nnode: leader 0\ncluster: c\n", 2, 1, "'leader 0' is not a node", "or operator"},
    {"key: k\nnode: operator\ncluster: c\nkey: l\n", 4, 1, "key: repeated key", "line 1"},
    {"key: k\nnode: operator\ncluster: c\nport: 1\n", 4, 1, "unknown key 'port'",
     "accepted: node, cluster, key, state_dir"},
    {"key: [k]\nnode: operator\ncluster: c\n", 1, 1, "key: is a list", "a path"},
    {"key: ''\nnode: x\ncluster: {}\n", 1, 3, "key: has no value", "1023 bytes"},
    {"key: k\nnode: operator\ncluster: c\nrdma_device: 5th\n", 4, 1,
     "rdma_device: '5th' is no name", "a letter, then"},
    {"key: k\nnode: operator\ncluster: c\nrdma_port: 0\n", 4, 1, "rdma_port: '0' is out of range",
     "1 to 255"},
    {"key: k\nnode: operator\ncluster: c\nrdma_gid_index: ::1\n", 4, 1,
     "rdma_gid_index: '::1' is not a number", "0 to 255"},
    {"key: k\nnode: operator\ncluster: c\nrdma_mtu: 1024\n", 4, 1, "rdma_mtu: '1024' has no unit",
     "256B to 4KiB"},
    {"key: k\nnode: operator\ncluster: c\nrdma_mtu: 1000B\n", 4, 1,
     "rdma_mtu: '1000B' is not a power of two", "256B to 4KiB"},
};

static void wrong_node_files_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof node_cases / sizeof node_cases[0]; i++) {
        const struct node_case *one = &node_cases[i];
        struct tacit_node_file node;
        assert_int_equal(tacit_node_file_parse(one->text, strlen(one->text), "node.yaml", "/x",
                                               &node, &problems),
                         TACIT_EINVAL);
        const struct tacit_config_problem *first = &problems.items[0];
        if (problems.errors != one->errors || first->line != one->line ||
            strstr(first->text, one->says) == NULL || strstr(first->text, one->accepted) == NULL) {
            fail_msg("node case %zu: %u errors, line %u: %s", i, problems.errors, first->line,
                     first->text);
        }
    }
    static const char good[] = "node: client 63\ncluster: ../c.yaml\nkey: /k\nstate_dir: s\n";
    struct tacit_node_file node;
    assert_int_equal(tacit_node_file_parse(good, sizeof good - 1, "n", "/x", &node, &problems),
                     TACIT_OK);
    assert_int_equal(node.role, TACIT_CONFIG_CLIENT);
    assert_int_equal(node.id, 63);
    assert_string_equal(node.cluster_path, "/x/../c.yaml");
    assert_string_equal(node.key_path, "/k");
    assert_string_equal(node.state_dir, "/x/s");
    assert_string_equal(node.rdma.device, "");
    assert_true(node.rdma.port == 0 && !node.rdma.has_gid_index && node.rdma.mtu_bytes == 0);
    static const char picky[] = "node: memnode 2\ncluster: c\nkey: k\nrdma_device: mlx5_bond_0\n"
                                "rdma_port: 2\nrdma_gid_index: 0\nrdma_mtu: 1KiB\n";
    assert_int_equal(tacit_node_file_parse(picky, sizeof picky - 1, "n", "/x", &node, &problems),
                     TACIT_OK);
    assert_string_equal(node.rdma.device, "mlx5_bond_0");
    assert_int_equal(node.rdma.port, 2);
    assert_true(node.rdma.has_gid_index);
    assert_int_equal(node.rdma.gid_index, 0);
    assert_int_equal(node.rdma.mtu_bytes, 1024);
}

// --- documentation and figures ------------------------------------------------------------

static char *printed(bool (*print)(FILE *))
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    assert_true(print(out));
    assert_int_equal(fclose(out), 0);
    return text;
}

static void every_key_is_documented(void **state)
{
    (void)state;
    char *text = printed(tacit_config_keys_print);
    static const char *const lines[] = {
        "version: 1\n    required",
        "mode: crash or byzantine\n    required; in the digest",
        "fabric: shm or verbs\n    default shm\n",
        "    log_entries: 64 to 65536, a power of two\n        default 512; crash mode only; in "
        "the "
        "digest",
        "    beat_period: 1us to 1s, in ns, us, ms or s\n        default 800us; in the digest",
        "    arena_bytes: 4KiB to 64GiB, a multiple of 4KiB, in B, KiB, MiB or GiB\n        "
        "default "
        "16MiB",
        "    public_key: ed25519: and 64",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (strstr(text, lines[i]) == NULL) {
            fail_msg("no '%s' in:\n%s", lines[i], text);
        }
    }
    free(text);
    text = printed(tacit_node_file_keys_print);
    assert_non_null(strstr(text, "state_dir: a path"));
    free(text);
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    assert_false(tacit_config_keys_print(full));
    (void)fclose(full);
}

static uint64_t ten(const struct tacit_config *unused)
{
    (void)unused;
    return 10;
}

static uint64_t huge(const struct tacit_config *unused)
{
    (void)unused;
    return UINT64_MAX / 2;
}

static uint32_t two_parts(const struct tacit_config *with, struct tacit_config_figure_part *parts,
                          uint32_t max)
{
    assert_true(max >= 2);
    parts[0] = (struct tacit_config_figure_part){"arena", true, 2, with->memory.arena_bytes};
    parts[1] = (struct tacit_config_figure_part){"tables", true, 1, 10};
    return 2;
}

static uint32_t huge_parts(const struct tacit_config *with, struct tacit_config_figure_part *parts,
                           uint32_t max)
{
    (void)max;
    parts[0] = (struct tacit_config_figure_part){"tables", true, 4, huge(with)};
    return 1;
}

static void figures_follow_the_configuration(void **state)
{
    (void)state;
    const uint64_t slot = 8256 + 64; // 48 + 8192 rounded up to 64, and a line
    const uint64_t region = 128 + 512 * slot;
    struct tacit_config_figures figures;
    struct tacit_config_plan plan = crash_plan();
    const struct tacit_config_sizes all = {tacit_config_log_region_bytes, ten, two_parts, ten, ten};
    assert_int_equal(tacit_config_plan_fill(&config, &plan, &error), TACIT_OK);
    assert_true(tacit_config_log_region_bytes(&config) == region);
    tacit_config_figures_fill(&figures, &config, &all);
    assert_true(figures.replica.is_complete);
    assert_true(figures.replica.total_bytes == 2 * config.memory.arena_bytes + 10);
    assert_int_equal(figures.memnode.part_count, 0);
    assert_true(figures.client.total_bytes == 3 * 10);
    // Logs on memory nodes.
    plan.memnodes = 3;
    plan.log_on = TACIT_CONFIG_LOG_ON_MEMNODES;
    assert_int_equal(tacit_config_plan_fill(&config, &plan, &error), TACIT_OK);
    tacit_config_figures_fill(&figures, &config, &all);
    assert_true(figures.memnode.total_bytes == 6 * region + 10);
    // Byzantine mode: registers and rings between replicas, no logs.
    plan = byzantine_plan();
    assert_int_equal(tacit_config_plan_fill(&config, &plan, &error), TACIT_OK);
    tacit_config_figures_fill(&figures, &config, &all);
    assert_true(figures.memnode.total_bytes == 10);
    // What nobody knows is said so, and a sum beyond 64 bits does not wrap.
    tacit_config_figures_fill(&figures, &config, &(struct tacit_config_sizes){0});
    assert_false(figures.replica.is_complete);
    assert_true(figures.replica.total_bytes == 0);
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    assert_true(tacit_config_figures_print(out, &figures));
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "each replica: 0 B and what is not known below"));
    assert_non_null(strstr(text, "all of it: 1 x not known"));
    free(text);
    const struct tacit_config_sizes large = {.replica_parts = huge_parts};
    tacit_config_figures_fill(&figures, &config, &large);
    assert_true(figures.replica.total_bytes == UINT64_MAX);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_generated_cluster_reads_back),
        IN_FOLDER(a_generated_byzantine_cluster_reads_back),
        IN_FOLDER(node_files_fit_to_keys_and_cluster),
        IN_FOLDER(nothing_is_overwritten),
        IN_FOLDER(what_would_be_refused_is_not_written),
        IN_FOLDER(the_largest_cluster_reads_back),
        IN_FOLDER(odd_text_in_paths_survives),
        IN_FOLDER(unreadable_files_say_why),
        cmocka_unit_test(wrong_node_files_are_refused),
        cmocka_unit_test(every_key_is_documented),
        cmocka_unit_test(figures_follow_the_configuration),
    };
    return tacit_crypto_init(NULL) == TACIT_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
