// SPDX-License-Identifier: Apache-2.0
//
// What the benchmarks share: how results are printed and written.
#ifndef TACIT_APPS_CLI_BENCH_H
#define TACIT_APPS_CLI_BENCH_H

#include <jansson.h>

#include "histogram.h"

int bench_floor(int argc, char **argv);
int bench_latency(int argc, char **argv);
int bench_load(int argc, char **argv);
int bench_peers(int argc, char **argv);
int bench_projected(int argc, char **argv);
int bench_memory(int argc, char **argv);
int bench_failover(int argc, char **argv);
int bench_replace(int argc, char **argv);
int bench_faults(int argc, char **argv);
int bench_timeline(int argc, char **argv);
int bench_reads(int argc, char **argv);
int bench_active(int argc, char **argv);
int bench_report(int argc, char **argv);

// Count, p50, p90, p99, p99.9 and maximum, in ns.
json_t *bench_distribution(const struct histogram *histogram);
// A line of the same for people, in us, and the line above such lines.
void bench_print(const char *what, const struct histogram *histogram);
void bench_print_head(const char *what);
void bench_put(json_t *object, const char *key, uint64_t value);
// Where work has got to, in one line of a terminal, which the end clears.
void bench_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void bench_progress_end(void);
// Whether a benchmark of faults goes on after so many that could not be measured.
bool bench_may_fail(uint64_t failed, uint64_t done);
// Writes `results` (taken over) with the environment to `path`; NULL: nowhere. Exit status;
// 1 also where the user did not wait for the end, which the file then says.
int bench_write(const char *path, const char *name, json_t *results);

#endif
