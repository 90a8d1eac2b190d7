// SPDX-License-Identifier: Apache-2.0
//
// tacit bench projected: direct execution (tests/sim/sim_direct.h). What each process computes is
// run and timed on this machine, what the fabric does is taken from a file; so this is what the
// code would reach with a processor and a card for each process. Projected, not measured.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_options.h"
#include "bench_rounds.h"
#include "cli.h"
#include "scratch.h"
#include "tests/sim/sim_direct.h"

#define WARM_UP 500u
#define POINTS_MAX 32u
#define NUMBER_MAX 1000000000u

struct arguments {
    unsigned modes;    // bit: enum tacit_config_mode
    uint64_t replicas; // 0: 3, and at 64 B 5 and 7, too
    uint64_t size;     // 0: 64 B to 64 KiB
    uint64_t rounds, count;
    const char *fabric, *json;
};

struct point {
    enum tacit_config_mode mode;
    uint8_t replicas;
    uint32_t bytes;
    struct bench_figure end_to_end, decide, p99;
    double writes, turns; // a request, of all replicas
};

struct bench {
    struct arguments arguments;
    struct sim_direct_fabric fabric;
    struct point points[POINTS_MAX];
    unsigned count;
    struct histogram end_to_end, decide; // of one round
};

static void take_modes(struct argp_state *state, const struct bench_option *option,
                       const char *value, void *to)
{
    static const char *const modes[] = {"crash", "byzantine", "all", NULL};
    static const unsigned bits[] = {1u << TACIT_CONFIG_CRASH, 1u << TACIT_CONFIG_BYZANTINE,
                                    1u << TACIT_CONFIG_CRASH | 1u << TACIT_CONFIG_BYZANTINE};
    (void)option;
    *(unsigned *)to = bits[cli_option_word(state, "--mode", value, modes)];
}

static const struct bench_option options[] = {
    BENCH_OTHER(modes, "mode", "MODE", take_modes, "crash, byzantine or all (default)"),
    BENCH_OTHER(replicas, "replicas", "N", bench_take_replicas,
                "3, 5 or 7 (default: 3, and for 64 B all)"),
    BENCH_NUMBER(size, "size", "BYTES", 8, SIM_DIRECT_BYTES_MAX,
                 "8 to 65456 (default: 64 to 65456)"),
    BENCH_TEXT(
        fabric, "fabric", "NAME",
        "infiniband-100g (default), soft-roce (both in bench/fabrics), or the path of a file like "
        "them"),
    BENCH_NUMBER(rounds, "rounds", "N", 1, BENCH_ROUNDS_MAX, "Rounds over all points (default 5)"),
    BENCH_NUMBER(count, "count", "N", 1, 1000000,
                 "Requests of each point in a round (default 2000)"),
    BENCH_JSON,
    {0},
};

// ---- the fabric's file -------------------------------------------------------------------------

struct parameter {
    const char *name;
    uint32_t *value;
    bool is_set;
};

static enum tacit_status take_line(struct parameter *parameters, size_t count, const char *path,
                                   const char *line, struct tacit_error *error)
{
    char name[32];
    char value[32];
    char more[2];
    int found = sscanf(line, " %31[a-z_]: %31s %1s", name, value, more);
    for (size_t i = 0; i < count && found == 2; i++) {
        uint64_t number = 0;
        if (strcmp(name, parameters[i].name) == 0 && !parameters[i].is_set &&
            cli_number(value, strcmp(name, "megabits_per_s") == 0, NUMBER_MAX, &number)) {
            *parameters[i].value = (uint32_t)number;
            parameters[i].is_set = true;
            return TACIT_OK;
        }
    }
    return tacit_error_set(error, TACIT_EINVAL, 0,
                           "%s: \"%.*s\": accepted are lines such as \"write_ns: 900\", each key "
                           "of bench/fabrics once, and comments that begin with #",
                           path, (int)strcspn(line, "\n"), line);
}

static enum tacit_status read_fabric(const char *name, struct sim_direct_fabric *fabric,
                                     struct tacit_error *error)
{
    struct parameter parameters[] = {
        {"write_ns", &fabric->write_ns, false},
        {"gap_ns", &fabric->gap_ns, false},
        {"completion_ns", &fabric->completion_ns, false},
        {"read_ns", &fabric->read_ns, false},
        {"megabits_per_s", &fabric->megabits_per_s, false},
        {"post_ns", &fabric->post_ns, false},
        {"look_ns", &fabric->look_ns, false},
        {"sign_ns", &fabric->sign_ns, false},
        {"verify_ns", &fabric->verify_ns, false},
    };
    size_t count = sizeof parameters / sizeof parameters[0];
    char path[TACIT_CONFIG_PATH_BYTES];
    char line[512];
    bool is_path = strchr(name, '/') != NULL;
    (void)snprintf(path, sizeof path, is_path ? "%s%s%s" : "%s/%s.fabric",
                   is_path ? "" : TACIT_SOURCE_DIRECTORY "/bench/fabrics", name, "");
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return tacit_error_set(error, TACIT_ENOENT, errno,
                               "cannot read %s: %s; accepted are infiniband-100g, soft-roce and "
                               "paths with a slash",
                               path, strerror(errno));
    }
    enum tacit_status status = TACIT_OK;
    while (status == TACIT_OK && fgets(line, sizeof line, file) != NULL) {
        if (line[0] != '#' && line[strspn(line, " \n")] != '\0') {
            status = take_line(parameters, count, path, line, error);
        }
    }
    (void)fclose(file);
    for (size_t i = 0; i < count && status == TACIT_OK; i++) {
        if (!parameters[i].is_set) {
            status = tacit_error_set(error, TACIT_EINVAL, 0, "%s: %s is missing", path,
                                     parameters[i].name);
        }
    }
    return status;
}

// ---- running -----------------------------------------------------------------------------------

static void took(void *context, uint64_t end_to_end_ns, uint64_t decide_ns)
{
    struct bench *bench = context;
    histogram_add(&bench->end_to_end, end_to_end_ns);
    histogram_add(&bench->decide, decide_ns);
}

static enum tacit_status measure(struct bench *bench, struct point *point,
                                 struct tacit_error *error)
{
    bool is_crash = point->mode == TACIT_CONFIG_CRASH;
    struct sim_direct_shape shape = {.engine =
                                         is_crash ? TACIT_ENGINE_CRASH : TACIT_ENGINE_BYZANTINE,
                                     .replicas = point->replicas,
                                     .memnodes = is_crash ? 0 : 3,
                                     .bytes = point->bytes,
                                     .in_flight = 1,
                                     .is_charged = true,
                                     .fabric = bench->fabric};
    struct sim_direct_counts counts;
    uint32_t requests = (uint32_t)bench->arguments.count;
    struct sim_direct *direct = sim_direct_open(&shape, error);
    if (direct == NULL) {
        return TACIT_EIO;
    }
    memset(&bench->end_to_end, 0, sizeof bench->end_to_end);
    memset(&bench->decide, 0, sizeof bench->decide);
    bool ok = sim_direct_run(direct, WARM_UP, NULL, NULL, &counts, error) &&
              sim_direct_run(direct, requests, took, bench, &counts, error);
    sim_direct_close(direct);
    if (!ok) {
        return TACIT_EIO;
    }
    bench_figure_add(&point->end_to_end, (double)histogram_quantile(&bench->end_to_end, 0.5));
    bench_figure_add(&point->p99, (double)histogram_quantile(&bench->end_to_end, 0.99));
    bench_figure_add(&point->decide, (double)histogram_quantile(&bench->decide, 0.5));
    point->writes = (double)counts.writes / (double)counts.requests;
    point->turns = (double)counts.turns / (double)counts.requests;
    return TACIT_OK;
}

static void add_point(struct bench *bench, enum tacit_config_mode mode, uint64_t replicas,
                      uint64_t bytes)
{
    const struct arguments *arguments = &bench->arguments;
    bool wanted = (arguments->modes >> mode & 1u) != 0 &&
                  (arguments->replicas == 0 || arguments->replicas == replicas) &&
                  (arguments->size == 0 || arguments->size == bytes);
    if (wanted && bench->count < POINTS_MAX) {
        bench->points[bench->count++] =
            (struct point){.mode = mode, .replicas = (uint8_t)replicas, .bytes = (uint32_t)bytes};
    }
}

static void plan(struct bench *bench)
{
    static const uint64_t sizes[] = {64, 256, 1024, 4096, 16384, SIM_DIRECT_BYTES_MAX};
    static const enum tacit_config_mode modes[] = {TACIT_CONFIG_CRASH, TACIT_CONFIG_BYZANTINE};
    const struct arguments *arguments = &bench->arguments;
    for (size_t m = 0; m < 2; m++) {
        uint64_t replicas = arguments->replicas == 0 ? 3 : arguments->replicas;
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] && arguments->size == 0; i++) {
            add_point(bench, modes[m], replicas, sizes[i]);
        }
        if (arguments->size != 0) {
            add_point(bench, modes[m], replicas, arguments->size);
        }
        if (arguments->replicas == 0) {
            add_point(bench, modes[m], 5, arguments->size == 0 ? 64 : arguments->size);
            add_point(bench, modes[m], 7, arguments->size == 0 ? 64 : arguments->size);
        }
    }
}

static enum tacit_status run(struct bench *bench, struct tacit_error *error)
{
    enum tacit_status status = TACIT_OK;
    for (uint64_t round = 0; round < bench->arguments.rounds && status == TACIT_OK; round++) {
        for (unsigned i = 0; i < bench->count && status == TACIT_OK; i++) {
            bench_progress("round %llu of %llu, point %u of %u", (unsigned long long)round + 1,
                           (unsigned long long)bench->arguments.rounds, i + 1, bench->count);
            status = measure(bench, &bench->points[i], error);
            if (scratch_interrupted()) {
                status = tacit_error_set(error, TACIT_ECLOSED, 0, "interrupted");
            }
        }
    }
    bench_progress_end();
    return status;
}

static json_t *report_results(const struct bench *bench)
{
    json_t *results = json_object();
    json_t *points = json_array();
    (void)printf("PROJECTED for %s: the code's own time on this machine, the fabric's from its "
                 "file\nmedians and spread of %llu rounds, us\n",
                 bench->arguments.fabric, (unsigned long long)bench->arguments.rounds);
    (void)printf("%-10s %2s %6s %10s %16s %9s %14s %14s %7s %6s\n", "mode", "n", "bytes",
                 "end to end", "lowest..highest", "p99", "decided after", "lowest..highest",
                 "writes", "turns");
    for (unsigned i = 0; i < bench->count; i++) {
        const struct point *point = &bench->points[i];
        const char *mode = point->mode == TACIT_CONFIG_CRASH ? "crash" : "byzantine";
        (void)printf("%-10s %2u %6u %10.2f %7.2f..%-7.2f %9.2f %14.2f %6.2f..%-6.2f %7.1f %6.1f\n",
                     mode, point->replicas, point->bytes, bench_median(&point->end_to_end) / 1e3,
                     bench_lowest(&point->end_to_end) / 1e3,
                     bench_highest(&point->end_to_end) / 1e3, bench_median(&point->p99) / 1e3,
                     bench_median(&point->decide) / 1e3, bench_lowest(&point->decide) / 1e3,
                     bench_highest(&point->decide) / 1e3, point->writes, point->turns);
        json_t *object = json_object();
        (void)json_object_set_new(object, "mode", json_string(mode));
        (void)json_object_set_new(object, "replicas", json_integer(point->replicas));
        (void)json_object_set_new(object, "bytes", json_integer(point->bytes));
        (void)json_object_set_new(object, "end_to_end_p50_ns",
                                  bench_figure_json(&point->end_to_end));
        (void)json_object_set_new(object, "end_to_end_p99_ns", bench_figure_json(&point->p99));
        (void)json_object_set_new(object, "propose_to_decide_p50_ns",
                                  bench_figure_json(&point->decide));
        (void)json_object_set_new(object, "writes_per_request", json_real(point->writes));
        (void)json_array_append_new(points, object);
    }
    (void)json_object_set_new(results, "projected_for", json_string(bench->arguments.fabric));
    (void)json_object_set_new(results, "points", points);
    return results;
}

int bench_projected(int argc, char **argv)
{
    struct tacit_error error;
    struct bench *bench = calloc(1, sizeof *bench);
    if (bench == NULL) {
        return cli_complain("no memory");
    }
    bench->arguments =
        (struct arguments){.modes = 1u << TACIT_CONFIG_CRASH | 1u << TACIT_CONFIG_BYZANTINE,
                           .rounds = 5,
                           .count = 2000,
                           .fabric = "infiniband-100g"};
    if (bench_parse(options, "What dedicated processors and a given fabric would reach.", argc,
                    argv, &bench->arguments) != 0) {
        free(bench);
        return 2;
    }
    enum tacit_status status = read_fabric(bench->arguments.fabric, &bench->fabric, &error);
    if (status == TACIT_OK) {
        plan(bench);
        status = run(bench, &error);
    }
    int result = status == TACIT_OK
                     ? bench_write(bench->arguments.json, "projected", report_results(bench))
                     : cli_fail(&error);
    free(bench);
    return result;
}
