// SPDX-License-Identifier: Apache-2.0
//
// tacit local: a cluster on this machine, started and hurt by hand.
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "local.h"

#define GONE_NS UINT64_C(5000000000)
#define READY_NS UINT64_C(20000000000)
#define WORDS_MAX 4u

enum { KEY_REPLICAS = 256, KEY_MEMNODES, KEY_MODE, KEY_LOG_ON, KEY_WAITING, KEY_PORT, KEY_APP };

struct arguments {
    const char *directory;
    struct local_plan plan;
    const char *app;
    uint64_t port;
    const char *words[WORDS_MAX];
    unsigned word_count;
};

static const struct argp_option options[] = {
    {"dir", 'd', "DIR", 0, "The cluster's folder (default $TACIT_DIR, else " LOCAL_DIRECTORY ")",
     0},
    {"replicas", KEY_REPLICAS, "N", 0, "up: replicas (default 3)", 1},
    {"memnodes", KEY_MEMNODES, "N", 0, "up: memory nodes (default 3)", 1},
    {"mode", KEY_MODE, "MODE", 0, "up: crash", 1},
    {"log-on", KEY_LOG_ON, "WHERE", 0, "up: replicas (default) or memnodes", 1},
    {"waiting", KEY_WAITING, "HOW", 0, "up: adaptive (default), yield or spin", 1},
    {"port", KEY_PORT, "PORT", 0, "up: of the gateway for Redis clients (default 6380; 0: none)",
     1},
    {"app", KEY_APP, "APP", 0, "up, restart: kv (default), flip or FILE.so", 1},
    {0},
};

static void parse_words(struct argp_state *state, struct arguments *arguments, int key,
                        const char *value)
{
    if (key == KEY_LOG_ON) {
        bool memnodes = strcmp(value, "memnodes") == 0;
        if (!memnodes && strcmp(value, "replicas") != 0) {
            argp_error(state, "--log-on %s: accepted are replicas and memnodes", value);
        }
        arguments->plan.log_on =
            memnodes ? TACIT_CONFIG_LOG_ON_MEMNODES : TACIT_CONFIG_LOG_ON_REPLICAS;
        return;
    }
    static const char *const ways[] = {"spin", "yield", "adaptive"};
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(value, ways[i]) == 0) {
            arguments->plan.waiting = (enum tacit_config_waiting)i;
            return;
        }
    }
    argp_error(state, "--waiting %s: accepted are adaptive, yield and spin", value);
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    uint64_t number = 0;
    switch (key) {
    case 'd':
        arguments->directory = value;
        return 0;
    case KEY_REPLICAS:
    case KEY_MEMNODES:
        if (!cli_number(value, key == KEY_REPLICAS, 15, &number)) {
            argp_error(state, "%s is no number from %d to 15", value, key == KEY_REPLICAS);
        }
        *(key == KEY_REPLICAS ? &arguments->plan.replicas : &arguments->plan.memnodes) =
            (uint32_t)number;
        return 0;
    case KEY_MODE:
        if (strcmp(value, "crash") != 0) {
            argp_error(state, "--mode %s: this version runs crash", value);
        }
        return 0;
    case KEY_LOG_ON:
    case KEY_WAITING:
        parse_words(state, arguments, key, value);
        return 0;
    case KEY_PORT:
        if (!cli_number(value, 0, 65535, &arguments->port)) {
            argp_error(state, "--port %s: 0 to 65535 is accepted", value);
        }
        return 0;
    case KEY_APP:
        arguments->app = value;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->word_count == WORDS_MAX) {
            argp_error(state, "too many words, from %s on", value);
        }
        arguments->words[arguments->word_count++] = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// ---- what was started with, for restarts -------------------------------------------------------

static void remember(const struct local *local)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    local_path(local, path, "pid/options");
    FILE *file = fopen(path, "we");
    if (file != NULL) {
        (void)fprintf(file, "%u %s\n", local->port, local->app != NULL ? local->app : "kv");
        (void)fclose(file);
    }
}

static void recall(struct local *local, char app[256])
{
    char path[TACIT_CONFIG_PATH_BYTES];
    char text[320];
    local_path(local, path, "pid/options");
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    if (fgets(text, sizeof text, file) != NULL) {
        char *end = NULL;
        local->port = (uint16_t)strtoul(text, &end, 10);
        if (*end == ' ') {
            (void)snprintf(app, 256, "%.*s", (int)strcspn(end + 1, "\n"), end + 1);
            local->app = app;
        }
    }
    (void)fclose(file);
}

// ---- commands ----------------------------------------------------------------------------------

static int up(const struct arguments *arguments)
{
    struct tacit_error error;
    struct local *local = calloc(1, sizeof *local);
    if (local == NULL) {
        return cli_complain("no memory");
    }
    enum tacit_status status = local_open(local, arguments->directory, &error);
    bool is_new = status == TACIT_ENOENT;
    if (is_new) {
        status = local_create(local, arguments->directory, &arguments->plan, &error);
    }
    local->port = (uint16_t)arguments->port;
    local->app = arguments->app;
    if (status == TACIT_OK) {
        remember(local);
        status = local_up(local, &error);
    }
    int result = 0;
    if (status != TACIT_OK) {
        result = cli_fail(&error);
        if (is_new) {
            (void)local_down(local);
        }
    } else {
        (void)printf("%s cluster in %s: %u replicas, %u memory nodes; leader: replica %d\n",
                     is_new ? "made a" : "started the", local->directory,
                     local->config.replica_count, local->config.memnode_count, local_leader(local));
        if (local->port != 0) {
            (void)printf("Redis clients: redis-cli -p %u\n", local->port);
        }
    }
    free(local);
    return result;
}

static int down(struct local *local)
{
    unsigned killed = local_down(local);
    if (killed != 0) {
        return cli_complain("%u processes did not end in time and were killed", killed);
    }
    return 0;
}

static int show(const struct local *local)
{
    struct local_node node = {LOCAL_GATEWAY, 0};
    (void)printf("%-11s %-8s %-10s %5s %10s %10s %s\n", "node", "pid", "role", "inc", "applied",
                 "commit", "");
    for (uint32_t i = 0; i < local->config.replica_count; i++) {
        node = (struct local_node){LOCAL_REPLICA, (uint16_t)i};
        pid_t pid = local_pid(local, node);
        json_t *report = pid == 0 ? NULL : local_status(local, (uint16_t)i);
        const char *role = json_string_value(json_object_get(report, "role"));
        (void)printf("replica-%-3u %-8ld %-10s %5llu %10llu %10llu\n", i, (long)pid,
                     pid == 0       ? "down"
                     : role == NULL ? "silent"
                                    : role,
                     (unsigned long long)local_number(report, NULL, "incarnation"),
                     (unsigned long long)local_number(report, NULL, "applied"),
                     (unsigned long long)local_number(report, NULL, "commit"));
        json_decref(report);
    }
    for (uint32_t i = 0; i < local->config.memnode_count; i++) {
        node = (struct local_node){LOCAL_MEMNODE, (uint16_t)i};
        pid_t pid = local_pid(local, node);
        (void)printf("memnode-%-3u %-8ld %s\n", i, (long)pid, pid == 0 ? "down" : "runs");
    }
    node = (struct local_node){LOCAL_GATEWAY, 0};
    pid_t pid = local_pid(local, node);
    (void)printf("gateway     %-8ld %s\n", (long)pid, pid == 0 ? "down" : "runs");
    return local_leader(local) < 0;
}

// "leader", "replica 1", "memnode 0", "gateway".
static bool find_node(const struct local *local, const struct arguments *arguments,
                      struct local_node *node)
{
    const char *what = arguments->word_count > 1 ? arguments->words[1] : "";
    uint64_t id = 0;
    if (strcmp(what, "gateway") == 0 && arguments->word_count == 2) {
        *node = (struct local_node){LOCAL_GATEWAY, 0};
        return true;
    }
    if (strcmp(what, "leader") == 0 && arguments->word_count == 2) {
        int leader = local_leader(local);
        *node = (struct local_node){LOCAL_REPLICA, (uint16_t)leader};
        if (leader < 0) {
            (void)cli_complain("nobody leads at the moment");
        }
        return leader >= 0;
    }
    bool is_replica = strcmp(what, "replica") == 0;
    uint32_t count = is_replica ? local->config.replica_count : local->config.memnode_count;
    if ((!is_replica && strcmp(what, "memnode") != 0) || arguments->word_count != 3 || count == 0 ||
        !cli_number(arguments->words[2], 0, count - 1, &id)) {
        (void)cli_complain("which one? accepted are leader, replica N (below %u), memnode N (below "
                           "%u) and gateway",
                           local->config.replica_count, local->config.memnode_count);
        return false;
    }
    *node = (struct local_node){is_replica ? LOCAL_REPLICA : LOCAL_MEMNODE, (uint16_t)id};
    return true;
}

static int restart(struct local *local, struct local_node node)
{
    struct tacit_error error;
    if (local_pid(local, node) != 0) {
        (void)local_signal(local, node, SIGTERM, NULL);
        (void)local_signal(local, node, SIGCONT, NULL);
        if (!local_wait_gone(local, node, GONE_NS)) {
            (void)local_signal(local, node, SIGKILL, NULL);
            (void)local_wait_gone(local, node, GONE_NS);
        }
    }
    if (local_start(local, node, &error) != TACIT_OK) {
        return cli_fail(&error);
    }
    uint64_t end_ns = cli_now_ns() + READY_NS;
    while (node.kind == LOCAL_GATEWAY && !local_gateway_answers(local)) {
        if (cli_now_ns() > end_ns) {
            return cli_complain("the gateway was started, but takes no connections; see %s/log",
                                local->directory);
        }
        cli_sleep_ns(5000000);
    }
    if (node.kind == LOCAL_REPLICA && !local_wait_members(local, 1u << node.id, READY_NS)) {
        return cli_complain("it was started, but is no member of the group yet; see %s/log",
                            local->directory);
    }
    return 0;
}

static int hurt(struct local *local, const struct arguments *arguments)
{
    static const struct {
        const char *name;
        int signal_number;
    } ways[] = {{"kill", SIGKILL}, {"stop", SIGSTOP}, {"cont", SIGCONT}, {"restart", 0}};
    struct tacit_error error;
    struct local_node node;
    char name[TACIT_CONFIG_NAME_BYTES];
    size_t way = 0;
    while (way < 4 && strcmp(arguments->words[0], ways[way].name) != 0) {
        way++;
    }
    if (way == 4) {
        (void)cli_complain("local %s: accepted are up, down, status, kill, stop, cont, restart",
                           arguments->words[0]);
        return 2;
    }
    if (!find_node(local, arguments, &node)) {
        return 2;
    }
    local_name(node, name);
    if (ways[way].signal_number == 0) {
        int result = restart(local, node);
        if (result == 0) {
            (void)printf("restarted %s\n", name);
        }
        return result;
    }
    if (local_signal(local, node, ways[way].signal_number, &error) != TACIT_OK) {
        return cli_fail(&error);
    }
    if (ways[way].signal_number == SIGKILL && !local_wait_gone(local, node, GONE_NS)) {
        return cli_complain("%s is still there", name);
    }
    (void)printf("%s %s\n", arguments->words[0], name);
    return 0;
}

int cli_local(int argc, char **argv)
{
    static const struct argp argp = {
        options,
        parse,
        "up|down|status|kill NODE|stop NODE|cont NODE|restart NODE",
        "A cluster on this machine. NODE is leader, replica N, memnode N or gateway.",
        NULL,
        NULL,
        NULL};
    const char *from_environment = getenv("TACIT_DIR");
    struct arguments arguments = {
        .directory = from_environment != NULL ? from_environment : LOCAL_DIRECTORY,
        .plan = {.replicas = 3, .memnodes = 3, .waiting = TACIT_CONFIG_ADAPTIVE},
        .port = 6380};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return 2;
    }
    if (arguments.word_count == 0) {
        (void)cli_complain("local: accepted are up, down, status, kill, stop, cont, restart");
        return 2;
    }
    if (strcmp(arguments.words[0], "up") == 0) {
        return up(&arguments);
    }
    struct tacit_error error;
    struct local *local = calloc(1, sizeof *local);
    char app[256] = "kv";
    int result = 1;
    if (local == NULL) {
        return cli_complain("no memory");
    }
    if (local_open(local, arguments.directory, &error) != TACIT_OK) {
        result = cli_fail(&error);
    } else {
        recall(local, app);
        result = strcmp(arguments.words[0], "down") == 0     ? down(local)
                 : strcmp(arguments.words[0], "status") == 0 ? show(local)
                                                             : hurt(local, &arguments);
    }
    free(local);
    return result;
}
