// SPDX-License-Identifier: Apache-2.0
//
// tacit bench memory: what each process of a group takes, as the kernel counts it: at rest, and
// again after load (nothing may grow: memory is known at the start). Shared pages are counted in
// equal parts by those who map them (Pss), so that the sum is what the group takes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench_cluster.h"
#include "bench_options.h"
#include "cli.h"
#include "generator.h"

#define LOAD_NS UINT64_C(1000000000)
#define IN_FLIGHT 64u
#define PARTS 3u // replicas, memory nodes, one client
#define MODES 2u

struct arguments {
    uint64_t replicas, arena_mib;
    const char *json;
};

struct usage {
    uint64_t pss_bytes, anonymous_bytes;
};

struct part {
    const char *name;
    unsigned count;
    struct usage rest, loaded; // of all of them
};

struct bench {
    struct arguments arguments;
    struct local local;
    struct part parts[MODES][PARTS];
    struct generator_result result;
};

static const struct bench_option options[] = {
    BENCH_OTHER(replicas, "replicas", "N", bench_take_replicas, "3 (default), 5 or 7"),
    BENCH_NUMBER(arena_mib, "arena", "MIB", 1, 1024,
                 "The application's memory, 1 to 1024 (default 16)"),
    BENCH_JSON,
    {0},
};

// Adds what a process takes. A process that is gone takes nothing.
static void add_process(struct usage *usage, pid_t pid)
{
    char path[64];
    char line[128];
    (void)snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", (long)pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "Pss:", 4) == 0) {
            usage->pss_bytes += strtoull(line + 4, NULL, 10) * 1024;
        } else if (strncmp(line, "Anonymous:", 10) == 0) {
            usage->anonymous_bytes += strtoull(line + 10, NULL, 10) * 1024;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static struct usage usage_of(const struct local *local, enum local_kind kind, unsigned count)
{
    struct usage usage = {0};
    for (unsigned i = 0; i < count; i++) {
        add_process(&usage, local_pid(local, (struct local_node){kind, (uint16_t)i}));
    }
    return usage;
}

// What this process takes more for being a client of the group.
static enum tacit_status measure_client(struct bench *bench, struct part *part,
                                        struct tacit_error *error)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    struct usage before = {0};
    struct usage after = {0};
    struct tacit_channel *channel = NULL;
    uint32_t session;
    local_path(&bench->local, path, "client-%u.yaml", LOCAL_LOAD_CLIENT);
    struct tacit_channel_options how = {.node_path = path};
    add_process(&before, getpid());
    enum tacit_status status = tacit_channel_open(&how, &channel, error);
    if (status == TACIT_OK) {
        status = tacit_channel_connect(channel, BENCH_READY_NS, &session, error);
    }
    add_process(&after, getpid());
    tacit_channel_close(channel);
    if (status == TACIT_OK && after.pss_bytes >= before.pss_bytes) {
        part->rest.pss_bytes = after.pss_bytes - before.pss_bytes;
        part->rest.anonymous_bytes = after.anonymous_bytes > before.anonymous_bytes
                                         ? after.anonymous_bytes - before.anonymous_bytes
                                         : 0;
        part->loaded = part->rest;
    }
    return status;
}

static enum tacit_status measure(struct bench *bench, struct part *parts, struct tacit_error *error)
{
    static const uint64_t bytes = 64;
    unsigned replicas = bench->local.config.replica_count;
    unsigned memnodes = bench->local.config.memnode_count;
    struct generator_options how = {.work = generator_flip(&bytes),
                                    .in_flight = IN_FLIGHT,
                                    .duration_ns = LOAD_NS,
                                    .interrupted = scratch_interrupted};
    parts[0] = (struct part){.name = "replicas", .count = replicas};
    parts[1] = (struct part){.name = "memory nodes", .count = memnodes};
    parts[2] = (struct part){.name = "a client", .count = 1};
    parts[0].rest = usage_of(&bench->local, LOCAL_REPLICA, replicas);
    parts[1].rest = usage_of(&bench->local, LOCAL_MEMNODE, memnodes);
    enum tacit_status status = measure_client(bench, &parts[2], error);
    if (status == TACIT_OK) {
        status = generator_run(&bench->local, &how, &bench->result, error);
    }
    parts[0].loaded = usage_of(&bench->local, LOCAL_REPLICA, replicas);
    parts[1].loaded = usage_of(&bench->local, LOCAL_MEMNODE, memnodes);
    return status;
}

static enum tacit_status run_mode(struct bench *bench, enum tacit_config_mode mode,
                                  struct part *parts, struct tacit_error *error)
{
    uint32_t replicas = (uint32_t)bench->arguments.replicas;
    struct local_plan plan = {.replicas = replicas,
                              .memnodes = 3,
                              .mode = mode,
                              .waiting = TACIT_CONFIG_ADAPTIVE,
                              .arena_bytes = bench->arguments.arena_mib << 20};
    enum tacit_status status =
        bench_cluster_open(&bench->local, &plan, (struct bench_service){.app = "flip"}, error);
    if (status != TACIT_OK) {
        return status;
    }
    status = measure(bench, parts, error);
    scratch_close(&bench->local);
    return status;
}

static json_t *report_results(const struct bench *bench)
{
    static const char *const modes[MODES] = {"crash", "byzantine"};
    json_t *results = json_object();
    json_t *list = json_array();
    (void)printf("MiB of each, %llu replicas, arena %llu MiB\n",
                 (unsigned long long)bench->arguments.replicas,
                 (unsigned long long)bench->arguments.arena_mib);
    (void)printf("%-10s %-14s %3s %9s %12s %12s\n", "mode", "", "", "at rest", "after load",
                 "of it private");
    for (unsigned m = 0; m < MODES; m++) {
        for (unsigned p = 0; p < PARTS; p++) {
            const struct part *part = &bench->parts[m][p];
            double each = 1048576.0 * (part->count == 0 ? 1 : part->count);
            (void)printf("%-10s %-14s %3u %9.2f %12.2f %12.2f\n", modes[m], part->name, part->count,
                         (double)part->rest.pss_bytes / each, (double)part->loaded.pss_bytes / each,
                         (double)part->loaded.anonymous_bytes / each);
            json_t *object = json_object();
            (void)json_object_set_new(object, "mode", json_string(modes[m]));
            (void)json_object_set_new(object, "what", json_string(part->name));
            bench_put(object, "count", part->count);
            bench_put(object, "all_at_rest_bytes", part->rest.pss_bytes);
            bench_put(object, "all_after_load_bytes", part->loaded.pss_bytes);
            bench_put(object, "all_private_bytes", part->loaded.anonymous_bytes);
            (void)json_array_append_new(list, object);
        }
    }
    bench_put(results, "replicas", bench->arguments.replicas);
    bench_put(results, "arena_mib", bench->arguments.arena_mib);
    (void)json_object_set_new(results, "processes", list);
    return results;
}

int bench_memory(int argc, char **argv)
{
    struct tacit_error error;
    struct bench *bench = calloc(1, sizeof *bench);
    if (bench == NULL) {
        return cli_complain("no memory");
    }
    bench->arguments = (struct arguments){.replicas = 3, .arena_mib = 16};
    if (bench_parse(options, "What replicas, memory nodes and clients take, by mode.", argc, argv,
                    &bench->arguments) != 0) {
        free(bench);
        return 2;
    }
    enum tacit_status status = run_mode(bench, TACIT_CONFIG_CRASH, bench->parts[0], &error);
    if (status == TACIT_OK) {
        status = run_mode(bench, TACIT_CONFIG_BYZANTINE, bench->parts[1], &error);
    }
    int result = status == TACIT_OK
                     ? bench_write(bench->arguments.json, "memory", report_results(bench))
                     : cli_fail(&error);
    free(bench);
    return result;
}
