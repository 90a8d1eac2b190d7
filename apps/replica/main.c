// SPDX-License-Identifier: Apache-2.0
//
// tacit-replica: a replica with an application that is built in or comes as a shared object.
#include <argp.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../flip/flip.h"
#include "../kv/kv.h"
#include "../lib/log.h"
#include "../lib/remains.h"
#include "tacit/replica.h"

enum { KEY_UNREPLICATED = 256 };

struct arguments {
    struct tacit_replica_options options;
    const char *app;
    enum tacit_log_level level;
};

static const struct argp_option argp_options[] = {
    {"node", 'n', "FILE", 0, "Node file: names the replica, its key and its cluster file", 0},
    {"cluster", 'c', "FILE", 0, "Cluster file instead of the one that the node file names", 0},
    {"app", 'a', "APP", 0, "kv (default), flip, or a shared object that exports tacit_app", 0},
    {"app-options", 'o', "TEXT", 0, "Text for the application's init()", 0},
    {"log-level", 'l', "LEVEL", 0, "error, warn, info (default) or debug", 0},
    {"unreplicated", KEY_UNREPLICATED, NULL, 0,
     "Execute requests without agreement: the floor of benchmarks, no fault is tolerated", 0},
    {0},
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'n':
        arguments->options.node_path = value;
        return 0;
    case 'c':
        arguments->options.cluster_path = value;
        return 0;
    case 'a':
        arguments->app = value;
        return 0;
    case 'o':
        arguments->options.app_options = value;
        return 0;
    case 'l':
        if (!tacit_log_level_parse(value, &arguments->level)) {
            argp_error(state, "--log-level %s: accepted are error, warn, info and debug", value);
        }
        return 0;
    case KEY_UNREPLICATED:
        arguments->options.unreplicated = true;
        return 0;
    case ARGP_KEY_END:
        if (arguments->options.node_path == NULL) {
            argp_error(state, "--node FILE is needed");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// The application of that name or file. Stays loaded until the process ends.
static enum tacit_status find_app(const char *name, const struct tacit_app **app,
                                  struct tacit_error *error)
{
    if (strcmp(name, "kv") == 0 || strcmp(name, "flip") == 0) {
        *app = name[0] == 'k' ? &tacit_kv_app : &tacit_flip_app;
        return TACIT_OK;
    }
    if (strchr(name, '/') == NULL && strstr(name, ".so") == NULL) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "--app %s: accepted are kv, flip, or the path of a shared object "
                               "(FILE.so)",
                               name);
    }
    char path[4096];
    (void)snprintf(path, sizeof path, "%s%s", strchr(name, '/') == NULL ? "./" : "", name);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        return tacit_error_set(error, TACIT_EINVAL, 0, "--app %s cannot be loaded: %s", name,
                               dlerror());
    }
    *app = dlsym(handle, "tacit_app");
    if (*app == NULL) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "--app %s exports no `struct tacit_app tacit_app` (see tacit/app.h)",
                               name);
    }
    if ((*app)->version != TACIT_APP_VERSION) {
        return tacit_error_set(error, TACIT_EVERSION, 0,
                               "--app %s was built for interface version %u; this program runs "
                               "version %u: build it again with the installed tacit/app.h",
                               name, (*app)->version, TACIT_APP_VERSION);
    }
    return TACIT_OK;
}

static struct tacit_replica *volatile running;
static volatile sig_atomic_t stopped;

static void on_signal(int signal_number)
{
    (void)signal_number;
    int before = errno;
    stopped = 1;
    if (running != NULL) {
        tacit_replica_stop(running);
    }
    errno = before;
}

static int fail(const struct tacit_error *error)
{
    (void)fprintf(stderr, "tacit-replica: %s\n", error->text);
    return 1;
}

// From the start to the end of its life in a seat, which it waits for first if it is a spare.
static enum tacit_status live(const struct tacit_replica_options *options,
                              struct tacit_error *error)
{
    struct tacit_replica *replica = NULL;
    enum tacit_status status = tacit_replica_open(options, &replica, error);
    if (status != TACIT_OK) {
        return status;
    }
    running = replica;
    if (stopped) { // before it was there to be told
        tacit_replica_stop(replica);
    }
    status = tacit_replica_run(replica, error);
    running = NULL; // a signal from here on finds nothing to stop
    tacit_replica_close(replica);
    return status;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        argp_options, parse, NULL, "Runs a replica of a Tacit group, or a spare, until SIGTERM.",
        NULL,         NULL,  NULL};
    struct arguments arguments = {.app = "kv", .level = TACIT_LOG_INFO};
    struct tacit_error error = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return 1;
    }
    if (find_app(arguments.app, &arguments.options.app, &error) != TACIT_OK) {
        return fail(&error);
    }
    tacit_log_open("replica", arguments.level);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); // a write beyond the limit fails with a message
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    arguments.options.stopped = &stopped;
    (void)tacit_remains_keep(); // where it cannot be had, others only wait a little
    enum tacit_status status = live(&arguments.options, &error);
    if (status == TACIT_ECLOSED && !stopped) { // replaced: it stands by from now on
        (void)fprintf(stderr, "tacit-replica: %s\n", error.text);
        (void)execv("/proc/self/exe", argv);
    }
    return status == TACIT_OK || stopped ? 0 : fail(&error);
}
