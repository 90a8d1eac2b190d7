// SPDX-License-Identifier: Apache-2.0
//
// tacit bench: finds the benchmark, prints and writes results.
#include "bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli.h"
#include "scratch.h"

#define FAILED_MIN 3u
#define FAILED_PART 10u

static char command[512]; // as it was given

void bench_put(json_t *object, const char *key, uint64_t value)
{
    (void)json_object_set_new(object, key, json_integer((json_int_t)value));
}

json_t *bench_distribution(const struct histogram *histogram)
{
    json_t *object = json_object();
    bench_put(object, "count", histogram_total(histogram));
    bench_put(object, "p50_ns", histogram_quantile(histogram, 0.5));
    bench_put(object, "p90_ns", histogram_quantile(histogram, 0.9));
    bench_put(object, "p99_ns", histogram_quantile(histogram, 0.99));
    bench_put(object, "p999_ns", histogram_quantile(histogram, 0.999));
    bench_put(object, "max_ns", atomic_load(&histogram->max_ns));
    return object;
}

void bench_print_head(const char *what)
{
    (void)printf("%-34s %8s %10s %10s %10s %10s %10s\n", what, "count", "p50", "p90", "p99",
                 "p99.9", "max");
}

void bench_print(const char *what, const struct histogram *histogram)
{
    (void)printf("%-34s %8llu %10.2f %10.2f %10.2f %10.2f %10.2f\n", what,
                 (unsigned long long)histogram_total(histogram),
                 (double)histogram_quantile(histogram, 0.5) / 1e3,
                 (double)histogram_quantile(histogram, 0.9) / 1e3,
                 (double)histogram_quantile(histogram, 0.99) / 1e3,
                 (double)histogram_quantile(histogram, 0.999) / 1e3,
                 (double)atomic_load(&histogram->max_ns) / 1e3);
}

void bench_progress(const char *format, ...)
{
    va_list arguments;
    if (isatty(STDERR_FILENO) != 0) {
        va_start(arguments, format);
        (void)fputs("\r\x1b[K", stderr);
        (void)vfprintf(stderr, format, arguments);
        va_end(arguments);
    }
}

void bench_progress_end(void)
{
    bench_progress("%s", "");
}

bool bench_may_fail(uint64_t failed, uint64_t done)
{
    return failed <= FAILED_MIN + done / FAILED_PART;
}

// Value of the first line of a /proc file that begins with `key`.
static void proc_value(const char *path, const char *key, char *out, size_t out_bytes)
{
    char line[256];
    FILE *file = fopen(path, "re");
    (void)snprintf(out, out_bytes, "unknown");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) == 0 && colon != NULL) {
            (void)snprintf(out, out_bytes, "%.*s", (int)strcspn(colon + 1, "\n"), colon + 1);
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

// The checkout that this program was built from, as it is now: "-dirty" when it is changed.
static void checkout(char *out, size_t out_bytes)
{
    // NOLINTNEXTLINE(cert-env33-c): a command that was fixed when this was built
    FILE *git = popen("git -C '" TACIT_SOURCE_DIRECTORY
                      "' describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null",
                      "re");
    (void)snprintf(out, out_bytes, "unknown");
    if (git != NULL) {
        if (fgets(out, (int)out_bytes, git) == NULL) {
            (void)snprintf(out, out_bytes, "unknown");
        }
        (void)pclose(git);
    }
    out[strcspn(out, "\n")] = '\0';
}

// Machine, kernel, compiler and program version: what a result is worth nothing without; and how
// many others wanted its processors.
static json_t *bench_environment(const char *name)
{
    struct utsname names;
    char cpu[128];
    char commit[64];
    double load;
    json_t *object = json_object();
    proc_value("/proc/cpuinfo", "model name", cpu, sizeof cpu);
    if (uname(&names) == 0) {
        (void)json_object_set_new(object, "kernel", json_string(names.release));
        (void)json_object_set_new(object, "machine", json_string(names.machine));
    }
    (void)json_object_set_new(object, "cpu", json_string(cpu));
    bench_put(object, "cores", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
    (void)json_object_set_new(object, "compiler", json_string(__VERSION__));
    (void)json_object_set_new(object, "flags", json_string(TACIT_BUILD_FLAGS));
    (void)json_object_set_new(
        object, "fabric", json_string(strcmp(name, "projected") == 0 ? "none: projected" : "shm"));
    checkout(commit, sizeof commit);
    (void)json_object_set_new(object, "commit", json_string(commit));
    (void)json_object_set_new(object, "command", json_string(command));
    if (getloadavg(&load, 1) == 1) {
        (void)json_object_set_new(object, "load_average", json_real(load));
    }
    return object;
}

int bench_write(const char *path, const char *name, json_t *results)
{
    int failed = 0;
    bool is_partial = scratch_interrupted();
    if (path != NULL) {
        json_t *root = json_object();
        (void)json_object_set_new(root, "benchmark", json_string(name));
        if (is_partial) {
            (void)json_object_set_new(root, "interrupted", json_true());
        }
        (void)json_object_set_new(root, "environment", bench_environment(name));
        (void)json_object_set(root, "results", results);
        failed = json_dump_file(root, path, JSON_INDENT(2));
        json_decref(root);
    }
    json_decref(results);
    if (failed != 0) {
        return cli_complain("cannot write %s", path);
    }
    return is_partial ? cli_complain("interrupted: these are the results so far") : 0;
}

int cli_bench(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } benches[] = {
        {"latency", bench_latency}, {"failover", bench_failover}, {"faults", bench_faults},
        {"reads", bench_reads},     {"active", bench_active},     {"floor", bench_floor},
        {"load", bench_load},       {"peers", bench_peers},       {"projected", bench_projected},
        {"memory", bench_memory},   {"report", bench_report},     {"timeline", bench_timeline},
        {"replace", bench_replace}};
    const char *which = argc > 1 ? argv[1] : "";
    size_t used = (size_t)snprintf(command, sizeof command, "tacit bench");
    for (int i = 1; i < argc && used < sizeof command; i++) {
        used += (size_t)snprintf(command + used, sizeof command - used, " %s", argv[i]);
    }
    for (size_t i = 0; i < sizeof benches / sizeof benches[0]; i++) {
        if (strcmp(which, benches[i].name) == 0) {
            char name[64];
            (void)snprintf(name, sizeof name, "%s %s", argv[0], which);
            argv[1] = name;
            return benches[i].run(argc - 1, argv + 1);
        }
    }
    (void)cli_complain("bench %s: accepted are floor, latency, load, peers, projected, memory, "
                       "failover, replace, faults, timeline, reads, active and report",
                       which);
    return 2;
}
