// SPDX-License-Identifier: Apache-2.0
//
// tacit: one program for everything around a group of replicas. This file finds the command.
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "tacit/crypto.h"
#ifdef TACIT_WITH_TESTS
#include "tests/sim/sim_main.h"
#endif

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what;
};

#ifndef TACIT_WITH_TESTS
static int no_tests(int argc, char **argv)
{
    (void)argc;
    return cli_complain("%s is part of builds with tests only (-DBUILD_TESTING=ON)", argv[0]);
}
#define tacit_sim_main no_tests
#define cli_demo no_tests
#define cli_bench no_tests
#endif

static const struct command commands[] = {
    {"demo", cli_demo, "watch a cluster survive replicas that lie and die"},
    {"local", cli_local, "a cluster on this machine: up, down, status, kill, start, attack, ..."},
    {"kv", cli_kv, "get, put, del in the replicated key-value store"},
    {"member", cli_member, "who is in the group; add, remove and replace its members"},
    {"status", cli_status, "what the replicas of a cluster say of themselves"},
    {"check", cli_check, "check a cluster file: every problem, and the memory of each node"},
    {"rdma", cli_rdma, "whether this host can run fabric: verbs, and what is missing"},
    {"keygen", cli_keygen, "make a cluster file and keys, or one key"},
    {"bootstrap", cli_bootstrap, "found a group: once, before the first start"},
    {"bench", cli_bench,
     "measure: floor, latency, load, peers, projected, memory, failover, replace, "
     "faults, reads, active, report"},
    {"sim", tacit_sim_main, "run whole clusters in virtual time under every fault"},
};

static void usage(FILE *out)
{
    (void)fprintf(out, "usage: tacit COMMAND [ARGUMENT]...\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        (void)fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].what);
    }
    (void)fprintf(out, "\n`tacit COMMAND --help` says more.\n");
}

int main(int argc, char **argv)
{
    struct tacit_error error;
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return 0;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    argp_err_exit_status = 2; // wrong use
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            char name[64];
            (void)snprintf(name, sizeof name, "tacit %s", argv[1]);
            argv[1] = name;
            if (tacit_crypto_init(&error) != TACIT_OK) {
                return cli_fail(&error);
            }
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    (void)cli_complain("there is no command %s", argv[1]);
    usage(stderr);
    return 2;
}
