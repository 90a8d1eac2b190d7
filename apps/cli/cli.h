// SPDX-License-Identifier: Apache-2.0
//
// What the commands of the `tacit` program share. A command gets its arguments (argv[0] is its own
// name, such as "tacit kv") and returns the program's exit status: 0 done, 1 failed, 2 wrong use.
#ifndef TACIT_APPS_CLI_H
#define TACIT_APPS_CLI_H

#include "tacit/types.h"

int cli_keygen(int argc, char **argv);
int cli_bootstrap(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_local(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_member(int argc, char **argv);
// tacit member add NODE in the folder of a local cluster, without a word if it succeeds.
int cli_member_add(const char *directory, const char *node);
int cli_kv(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_demo(int argc, char **argv);
int cli_rdma(int argc, char **argv);

// Prints "tacit: TEXT" on stderr and returns 1.
int cli_fail(const struct tacit_error *error);
int cli_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Reads a decimal number lowest .. highest; false on anything else.
bool cli_number(const char *text, uint64_t lowest, uint64_t highest, uint64_t *number);
// Monotonic nanoseconds; and a pause.
uint64_t cli_now_ns(void);
void cli_sleep_ns(uint64_t ns);

#endif
