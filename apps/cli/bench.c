// SPDX-License-Identifier: Apache-2.0
//
// tacit bench: finds the benchmark, prints and writes results.
#include "bench.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli.h"

static void put(json_t *object, const char *key, uint64_t value)
{
    (void)json_object_set_new(object, key, json_integer((json_int_t)value));
}

json_t *bench_distribution(const struct histogram *histogram)
{
    json_t *object = json_object();
    put(object, "count", histogram_total(histogram));
    put(object, "p50_ns", histogram_quantile(histogram, 0.5));
    put(object, "p90_ns", histogram_quantile(histogram, 0.9));
    put(object, "p99_ns", histogram_quantile(histogram, 0.99));
    put(object, "p999_ns", histogram_quantile(histogram, 0.999));
    put(object, "max_ns", atomic_load(&histogram->max_ns));
    return object;
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

// Machine, kernel, compiler and program version: what a result is worth nothing without.
static json_t *bench_environment(void)
{
    struct utsname names;
    char cpu[128];
    json_t *object = json_object();
    proc_value("/proc/cpuinfo", "model name", cpu, sizeof cpu);
    if (uname(&names) == 0) {
        (void)json_object_set_new(object, "kernel", json_string(names.release));
        (void)json_object_set_new(object, "machine", json_string(names.machine));
    }
    (void)json_object_set_new(object, "cpu", json_string(cpu));
    put(object, "cores", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
    (void)json_object_set_new(object, "compiler", json_string(__VERSION__));
#ifdef __OPTIMIZE__
    (void)json_object_set_new(object, "optimised", json_true());
#else
    (void)json_object_set_new(object, "optimised", json_false());
#endif
    (void)json_object_set_new(object, "fabric", json_string("shm"));
    return object;
}

int bench_write(const char *path, const char *name, json_t *results)
{
    int failed = 0;
    if (path != NULL) {
        json_t *root = json_object();
        (void)json_object_set_new(root, "benchmark", json_string(name));
        (void)json_object_set_new(root, "environment", bench_environment());
        (void)json_object_set(root, "results", results);
        failed = json_dump_file(root, path, JSON_INDENT(2));
        json_decref(root);
    }
    json_decref(results);
    return failed == 0 ? 0 : cli_complain("cannot write %s", path);
}

int cli_bench(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } benches[] = {{"latency", bench_latency},
                   {"failover", bench_failover},
                   {"faults", bench_faults},
                   {"reads", bench_reads},
                   {"active", bench_active}};
    const char *which = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof benches / sizeof benches[0]; i++) {
        if (strcmp(which, benches[i].name) == 0) {
            char name[64];
            (void)snprintf(name, sizeof name, "%s %s", argv[0], which);
            argv[1] = name;
            return benches[i].run(argc - 1, argv + 1);
        }
    }
    (void)cli_complain("bench %s: accepted are latency, failover, faults, reads and active", which);
    return 2;
}
