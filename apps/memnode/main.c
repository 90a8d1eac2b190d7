// SPDX-License-Identifier: Apache-2.0
//
// tacit-memnode: a memory node. Reads its files, then hands over to the memory node's logic.
#include <argp.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/log.h"
#include "../lib/node.h"
#include "../lib/standby.h"
#include "tacit/memnode.h"
#ifdef TACIT_HAVE_VERBS
#include "tacit/verbs_memnode.h"
#endif

#define STOP_MS 50 // a signal that comes before the wait is noticed this much later

struct arguments {
    const char *node_path;
    const char *cluster_path;
    const char *user;
    enum tacit_log_level level;
};

static const struct argp_option argp_options[] = {
    {"node", 'n', "FILE", 0, "Node file: names the memory node, its key and its cluster file", 0},
    {"cluster", 'c', "FILE", 0, "Cluster file instead of the one that the node file names", 0},
    {"user", 'u', "NAME", 0, "Started as root: become this user once the socket is there", 0},
    {"log-level", 'l', "LEVEL", 0, "error, warn, info (default) or debug", 0},
    {0},
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'n':
        arguments->node_path = value;
        return 0;
    case 'c':
        arguments->cluster_path = value;
        return 0;
    case 'u':
        arguments->user = value;
        return 0;
    case 'l':
        if (!tacit_log_level_parse(value, &arguments->level)) {
            argp_error(state, "--log-level %s: accepted are error, warn, info and debug", value);
        }
        return 0;
    case ARGP_KEY_END:
        if (arguments->node_path == NULL) {
            argp_error(state, "--node FILE is needed");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

struct user {
    uid_t uid;
    gid_t gid;
};

static void ready(void *context)
{
    const struct tacit_node *node = context;
    tacit_log(TACIT_LOG_INFO, "start", "incarnation=%u seat=%u", node->provider.incarnation,
              node->seat.id);
}

static enum tacit_status find_user(const char *name, struct user *user, struct tacit_error *error)
{
    if (name == NULL) {
        return TACIT_OK;
    }
    errno = 0;
    const struct passwd *entry = getpwnam(name);
    if (entry == NULL) {
        return tacit_error_set(error, TACIT_ENOENT, errno, "--user %s: there is no such user",
                               name);
    }
    user->uid = entry->pw_uid;
    user->gid = entry->pw_gid;
    return TACIT_OK;
}

// The runtime of a sanitizer makes system calls that a memory node does not.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CONFINE false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CONFINE false
#endif
#endif
#ifndef CONFINE
#define CONFINE true
#else
// The search for leaks at the end attaches to the process, which does not let it (it is not
// dumpable), and then tries for ever.
const char *__asan_default_options(void); // NOLINT(bugprone-reserved-identifier)
const char *__asan_default_options(void)  // NOLINT(bugprone-reserved-identifier)
{
    return "detect_leaks=0";
}
#endif

static enum tacit_status run_shm(struct tacit_node *node, struct user user,
                                 struct tacit_error *error)
{
    struct tacit_shm_peer peers[TACIT_PROVIDER_PEERS];
    struct tacit_shm_listener listener;
    struct tacit_memnode_config config = {.permissions = &tacit_memnode_permissions,
                                          .replicas = node->smr.replicas,
                                          .suspicion_ns = node->smr.suspicion_ns,
                                          .user_uid = user.uid,
                                          .user_gid = user.gid,
                                          .confine = CONFINE,
                                          .ready = ready,
                                          .ready_context = node};
    tacit_provider_shm(&node->provider, &config.fabric, peers);
    enum tacit_status status = tacit_shm_memory_check(&config.fabric, error);
    if (status == TACIT_OK) {
        status = tacit_shm_listen(&listener, config.fabric.path, config.fabric.socket_gid, error);
    }
    if (status == TACIT_OK) {
        config.listener = listener.fd;
        status = tacit_memnode_run(&config, error);
        tacit_shm_listener_close(&listener);
    }
    return status;
}

#ifdef TACIT_HAVE_VERBS
// A memory node has no status socket; what it would say there does not change.
static void ready_verbs(void *context, const struct tacit_verbs_facts *facts)
{
    ready(context);
    tacit_log(TACIT_LOG_INFO, "rdma",
              "device=%s port=%u address=%s gid_index=%u gid_type=\"%s\" mtu_bytes=%u "
              "permission=%s",
              facts->device, facts->port, facts->address, facts->gid_index, facts->gid_type,
              facts->mtu_bytes, tacit_verbs_permission_name(facts->permission));
}
#endif

static enum tacit_status run_verbs(struct tacit_node *node, struct user user,
                                   struct tacit_error *error)
{
#ifdef TACIT_HAVE_VERBS
    struct tacit_provider_addresses addresses;
    struct tacit_verbs_memnode_config config = {.replicas = node->smr.replicas,
                                                .suspicion_ns = node->smr.suspicion_ns,
                                                .user_uid = user.uid,
                                                .user_gid = user.gid,
                                                .ready = ready_verbs,
                                                .ready_context = node};
    enum tacit_status status =
        tacit_provider_verbs(&node->provider, &config.fabric, &addresses, error);
    return status == TACIT_OK ? tacit_verbs_memnode_run(&config, error) : status;
#else
    (void)user;
    return tacit_provider_check(&node->config, "the cluster file", error); // refused at load
#endif
}

static volatile sig_atomic_t stopped;

static void on_signal(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

// What the child found out while it stood by; fits into a pipe at once.
struct stood_by {
    enum tacit_status status;
    struct tacit_node_seat seat;
    struct tacit_error error;
};
static_assert(sizeof(struct stood_by) <= PIPE_BUF, "written whole or not at all");

static _Noreturn void stand_by_in_child(struct tacit_node *node, int out, pid_t parent)
{
    struct stood_by found = {.error = {.text = ""}};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) {
        found.status = tacit_standby_wait(node, &stopped, &found.error);
        found.seat = node->seat;
        (void)!write(out, &found, sizeof found);
    }
    _exit(0);
}

// Before anything of the memory node itself begins, and in a process of its own: nothing of the
// client is in the memory node's, not even what the RDMA libraries keep open, which they could not
// use any more with fewer privileges.
static enum tacit_status stand_by(struct tacit_node *node, struct tacit_error *error)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct stood_by found;
    int ends[2];
    if (!tacit_standby_is_needed(node)) {
        return TACIT_OK;
    }
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    pid_t self = getpid();
    pid_t child = pipe2(ends, O_CLOEXEC) == 0 ? fork() : -1;
    if (child == 0) {
        stand_by_in_child(node, ends[1], self);
    }
    if (child < 0) {
        return tacit_error_set(error, TACIT_EIO, errno, "no process can be started to stand by: %s",
                               strerror(errno));
    }
    (void)close(ends[1]);
    struct pollfd answer = {.fd = ends[0], .events = POLLIN};
    while (!stopped && poll(&answer, 1, STOP_MS) <= 0) {
    }
    ssize_t got = stopped ? -1 : read(ends[0], &found, sizeof found);
    (void)close(ends[0]);
    if (stopped) {
        (void)kill(child, SIGKILL);
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    if (got != (ssize_t)sizeof found) {
        return tacit_error_set(error, TACIT_ECLOSED, 0,
                               stopped ? "%s was stopped while it stood by"
                                       : "the process in which %s stood by has died",
                               node->name);
    }
    node->seat = found.seat;
    *error = found.error;
    return found.status;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        argp_options, parse,
        NULL,         "Runs a memory node of a Tacit group, or a spare, until SIGTERM.",
        NULL,         NULL,
        NULL};
    struct arguments arguments = {.level = TACIT_LOG_INFO};
    struct tacit_error error = {0};
    struct tacit_node *node = NULL;
    struct user user = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return 1;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); // a write beyond the limit fails with a message
    tacit_log_open("memnode", arguments.level);
    enum tacit_status status = tacit_node_load(&node, arguments.node_path, arguments.cluster_path,
                                               TACIT_CONFIG_MEMNODE, &error);
    if (status == TACIT_OK) {
        tacit_log_open(node->name, arguments.level);
        status = find_user(arguments.user, &user, &error);
    }
    if (status == TACIT_OK) {
        status = stand_by(node, &error);
    }
    if (status == TACIT_OK) {
        status = tacit_node_enter(node, &error);
    }
    if (status == TACIT_OK) {
        bool is_shm = node->config.fabric == TACIT_CONFIG_SHM;
        status = is_shm ? run_shm(node, user, &error) : run_verbs(node, user, &error);
    }
    if (status != TACIT_OK && !stopped) {
        (void)fprintf(stderr, "tacit-memnode: %s\n", error.text);
        return 1;
    }
    tacit_log(TACIT_LOG_INFO, "stop", "incarnation=%u", node->provider.incarnation);
    tacit_node_free(node);
    return 0;
}
