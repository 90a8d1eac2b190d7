// SPDX-License-Identifier: Apache-2.0
//
// tacit local: a cluster on this machine, started and hurt by hand.
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bootstrap.h"
#include "cli.h"
#include "local.h"
#include "options.h"

#define GONE_NS UINT64_C(5000000000)
#define WORDS_MAX 4u
#define ATTACKS_MAX TACIT_REPLICAS_MAX
#define ACCEPTED "up, down, status, kill, start, restart, rolling-restart, stop, cont, attack"

enum {
    KEY_REPLICAS = 256,
    KEY_MEMNODES,
    KEY_SPARES,
    KEY_REPLACE_AFTER,
    KEY_MODE,
    KEY_LOG_ON,
    KEY_BROADCAST_ON,
    KEY_WAITING,
    KEY_PORT,
    KEY_APP,
    KEY_REPLACE,
    KEY_FORCE,
    KEY_ATTACK,
    KEY_BREAK,
    KEY_ISOLATE,
    KEY_FABRIC,
    KEY_PATIENCE
};

struct arguments {
    const char *directory;
    struct local_plan plan;
    const char *app;
    uint64_t port;
    bool replace;
    bool force;
    const char *attacks[ATTACKS_MAX]; // as given: NAME, or ID=NAME
    unsigned attack_count;
    bool breaks;
    struct cli_words words;
};

static const struct argp_option options[] = {
    {"dir", 'd', "DIR", 0, "The cluster's folder (default $TACIT_DIR, else " LOCAL_DIRECTORY ")",
     0},
    {"replicas", KEY_REPLICAS, "N", 0, "up: replicas (default 3)", 1},
    {"memnodes", KEY_MEMNODES, "N", 0, "up: memory nodes (default 3)", 1},
    {"spares", KEY_SPARES, "R[,M]", 0,
     "up: R spare replicas and M spare memory nodes (default 0,0)", 1},
    {"replace-after", KEY_REPLACE_AFTER, "MS", 0,
     "up: milliseconds after which a spare takes a dead member's place (default 10000)", 1},
    {"mode", KEY_MODE, "MODE", 0, "up: crash (default) or byzantine", 1},
    {"fabric", KEY_FABRIC, "FABRIC", 0, "up: " CLI_FABRIC_HELP, 1},
    {"patience", KEY_PATIENCE, "N", 0, "up: " CLI_PATIENCE_HELP, 1},
    {"log-on", KEY_LOG_ON, "WHERE", 0, "up, crash mode: replicas (default) or memnodes", 1},
    {"broadcast-on", KEY_BROADCAST_ON, "WHERE", 0,
     "up, Byzantine mode: replicas (default) or memnodes", 1},
    {"waiting", KEY_WAITING, "HOW", 0, "up: adaptive (default), yield or spin", 1},
    {"port", KEY_PORT, "PORT", 0, "up: of the gateway for Redis clients (default 6380; 0: none)",
     1},
    {"app", KEY_APP, "APP", 0, "up: kv (default), flip or FILE.so", 1},
    {"replace", KEY_REPLACE, NULL, 0,
     "up: found a new, empty group where more than f replicas have been stopped", 1},
    {"isolate", KEY_ISOLATE, "BASE", OPTION_ARG_OPTIONAL,
     "up, as root, of a new cluster: each process gets a user of its own, from number BASE on "
     "(default 61000), and can neither read another's key nor signal it nor look into it",
     1},
    {"force", KEY_FORCE, NULL, 0,
     "kill, stop: also when more than f replicas would then be down, stopped or not readmitted", 2},
    {"attack", KEY_ATTACK, "[ID=]NAME", 0,
     "up: replica ID lies so (may be repeated); start, restart: NAME alone. `tacit local attack` "
     "lists the names",
     3},
    {"break-assumption", KEY_BREAK, NULL, 0,
     "up, start, restart, attack: also more than f liars, which no group survives for sure", 3},
    {0},
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    uint64_t number = 0;
    switch (key) {
    case 'd':
        arguments->directory = value;
        return 0;
    case KEY_REPLICAS:
        arguments->plan.replicas =
            (uint32_t)cli_option_number(state, "--replicas", value, 1, TACIT_REPLICAS_MAX);
        return 0;
    case KEY_MEMNODES:
        arguments->plan.memnodes =
            (uint32_t)cli_option_number(state, "--memnodes", value, 0, TACIT_MEMNODES_MAX);
        return 0;
    case KEY_SPARES:
        cli_option_spares(state, value, &arguments->plan);
        return 0;
    case KEY_REPLACE_AFTER:
        arguments->plan.replace_after_ns =
            cli_option_number(state, "--replace-after", value, 1, 86400000) * 1000000;
        return 0;
    case KEY_MODE:
        arguments->plan.mode = cli_option_mode(state, value);
        return 0;
    case KEY_FABRIC:
        cli_option_fabric(state, value, &arguments->plan);
        return 0;
    case KEY_LOG_ON:
        arguments->plan.log_on = cli_option_log_on(state, value);
        return 0;
    case KEY_BROADCAST_ON:
        arguments->plan.broadcast_on = cli_option_broadcast_on(state, value);
        return 0;
    case KEY_WAITING:
        arguments->plan.waiting = cli_option_waiting(state, value);
        return 0;
    case KEY_PATIENCE:
        arguments->plan.patience = cli_option_patience(state, value);
        return 0;
    case KEY_PORT:
        arguments->port = cli_option_number(state, "--port", value, 0, 65535);
        return 0;
    case KEY_APP:
        arguments->app = value;
        return 0;
    case KEY_REPLACE:
        arguments->replace = true;
        return 0;
    case KEY_ISOLATE:
        number = LOCAL_ISOLATE_BASE;
        if (value != NULL && !cli_number(value, LOCAL_ISOLATE_MIN, LOCAL_ISOLATE_MAX, &number)) {
            argp_error(state, "--isolate=%s: a user number from %u to %u is accepted", value,
                       LOCAL_ISOLATE_MIN, LOCAL_ISOLATE_MAX);
        }
        arguments->plan.isolate = (uint32_t)number;
        return 0;
    case KEY_FORCE:
        arguments->force = true;
        return 0;
    case KEY_ATTACK:
        if (arguments->attack_count == ATTACKS_MAX) {
            argp_error(state, "--attack: at most %u times", ATTACKS_MAX);
        }
        arguments->attacks[arguments->attack_count++] = value;
        return 0;
    case KEY_BREAK:
        arguments->breaks = true;
        return 0;
    case ARGP_KEY_ARG:
        cli_option_append(state, &arguments->words, value, WORDS_MAX);
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

static void recall(struct local *local, char app[PATH_MAX])
{
    char path[TACIT_CONFIG_PATH_BYTES];
    char text[PATH_MAX + 16];
    local_path(local, path, "pid/options");
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    if (fgets(text, sizeof text, file) != NULL) {
        char *end = NULL;
        local->port = (uint16_t)strtoul(text, &end, 10);
        if (*end == ' ') {
            (void)snprintf(app, PATH_MAX, "%.*s", (int)strcspn(end + 1, "\n"), end + 1);
            local->app = app;
        }
    }
    (void)fclose(file);
}

// ---- commands ----------------------------------------------------------------------------------

// A shared object is found again from any folder.
static const char *absolute_app(const char *app, char path[PATH_MAX])
{
    bool is_file = app != NULL && (strchr(app, '/') != NULL || strstr(app, ".so") != NULL);
    return is_file && realpath(app, path) != NULL ? path : app;
}

// State is in memory: a group of which more than f replicas have ended does not come back.
static enum tacit_status found_again(struct local *local, bool replace, struct tacit_error *error)
{
    uint32_t lost = local_lost_replicas(local);
    if (lost <= local->config.f) {
        return TACIT_OK;
    }
    struct tacit_group_id group;
    if (replace) {
        (void)local_down(local); // whoever is left belongs to the old group
        return tacit_group_found(&local->config, true, &group, error);
    }
    return tacit_error_set(error, TACIT_EEXIST, 0,
                           "%u of the %u replicas in %s have been stopped, more than f = %u: the "
                           "group's state was in their memory and is gone. `tacit local up "
                           "--replace` founds a new, empty group there",
                           lost, local->config.replica_count, local->directory, local->config.f);
}

// ID=NAME.
static enum tacit_status parse_liar(const struct local *local, const char *text, uint16_t *id,
                                    const char **name, struct tacit_error *error)
{
    char id_text[8] = "";
    uint64_t number = 0;
    const char *equals = strchr(text, '=');
    size_t length = equals == NULL ? 0 : (size_t)(equals - text);
    if (length > 0 && length < sizeof id_text) {
        memcpy(id_text, text, length);
    }
    if (!cli_number(id_text, 0, local->config.replica_count - 1, &number)) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "--attack %s: accepted is ID=NAME with an ID below %u, such as "
                               "2=equivocate",
                               text, local->config.replica_count);
    }
    *id = (uint16_t)number;
    *name = equals + 1;
    return TACIT_OK;
}

// Who lies how. A replica that runs already changes at once if it was started as a liar; all others
// that do not run will be honest.
static enum tacit_status choose_liars(const struct local *local, const struct arguments *arguments,
                                      struct tacit_error *error)
{
    uint16_t ids[ATTACKS_MAX] = {0};
    const char *names[ATTACKS_MAX] = {NULL};
    enum tacit_status status = TACIT_OK;
    for (uint32_t r = 0; r < local->config.replica_count; r++) {
        if (local_pid(local, (struct local_node){LOCAL_REPLICA, (uint16_t)r}) == 0) {
            local_attack_clear(local, (uint16_t)r);
        }
    }
    uint32_t liars = local_liars(local);
    for (unsigned i = 0; i < arguments->attack_count && status == TACIT_OK; i++) {
        status = parse_liar(local, arguments->attacks[i], &ids[i], &names[i], error);
        liars |= names[i] != NULL && strcmp(names[i], "none") != 0 ? 1u << ids[i] : 0;
    }
    if (status == TACIT_OK && !arguments->breaks &&
        (uint32_t)__builtin_popcount(liars) > local->config.f) {
        status = tacit_error_set(error, TACIT_EBUSY, 0,
                                 "--attack: that would be more liars than f = %u, which the group "
                                 "is not made for; --break-assumption does it all the same",
                                 local->config.f);
    }
    for (unsigned i = 0; i < arguments->attack_count && status == TACIT_OK; i++) {
        status = local_attack_set(local, ids[i], names[i], error);
    }
    return status;
}

static int up(const struct arguments *arguments)
{
    struct tacit_error error;
    char app[PATH_MAX];
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
    local->app = absolute_app(arguments->app, app);
    if (status == TACIT_OK && !is_new && arguments->plan.isolate != 0 &&
        arguments->plan.isolate != local->isolate) {
        status = tacit_error_set(&error, TACIT_EEXIST, 0,
                                 "the cluster in %s was made %s: whose its files are is not "
                                 "changed afterwards; make another with --dir",
                                 local->directory,
                                 local->isolate == 0 ? "without --isolate" : "with other users");
    }
    if (status == TACIT_OK && !is_new) {
        status = found_again(local, arguments->replace, &error);
    }
    if (status == TACIT_OK) {
        status = choose_liars(local, arguments, &error);
    }
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
        (void)printf(
            "%s cluster in %s: mode %s, %u replicas, %u memory nodes; leader: replica %d\n",
            is_new ? "made a" : "started the", local->directory,
            local_is_byzantine(local) ? "byzantine" : "crash", local->config.replica_count,
            local->config.memnode_count, local_leader(local));
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
        node = local_sitter(local, (uint16_t)i);
        pid_t pid = local_pid(local, node);
        json_t *report = pid == 0 ? NULL : local_status(local, (uint16_t)i);
        const char *role = json_string_value(json_object_get(report, "role"));
        tacit_incarnation_t incarnation =
            (tacit_incarnation_t)local_number(report, NULL, "incarnation");
        char name[TACIT_CONFIG_NAME_BYTES];
        local_name(node, name);
        (void)printf("replica-%-3u %-8ld %-10s %5u %10llu %10llu%s%s\n", i, (long)pid,
                     pid == 0       ? "down"
                     : role == NULL ? "silent"
                                    : role,
                     tacit_incarnation_start(incarnation),
                     (unsigned long long)local_number(report, NULL, "applied"),
                     (unsigned long long)local_number(report, NULL, "commit"),
                     node.kind == LOCAL_SPARE_REPLICA ? " " : "",
                     node.kind == LOCAL_SPARE_REPLICA ? name : "");
        json_decref(report);
    }
    for (uint32_t i = 0; i < local->config.memnode_count; i++) {
        node = (struct local_node){LOCAL_MEMNODE, (uint16_t)i};
        pid_t pid = local_pid(local, node);
        (void)printf("memnode-%-3u %-8ld %s\n", i, (long)pid, pid == 0 ? "down" : "runs");
    }
    for (uint32_t i = 0; i < local->config.spare_replica_count + local->config.spare_memnode_count;
         i++) {
        bool is_replica = i < local->config.spare_replica_count;
        char name[TACIT_CONFIG_NAME_BYTES];
        node = (struct local_node){
            is_replica ? LOCAL_SPARE_REPLICA : LOCAL_SPARE_MEMNODE,
            (uint16_t)(1 + (is_replica ? i : i - local->config.spare_replica_count))};
        local_name(node, name);
        pid_t pid = local_pid(local, node);
        (void)printf("%-15s %-4ld %s\n", name, (long)pid, pid == 0 ? "down" : "runs");
    }
    for (uint32_t i = 0; i < local->config.replica_count; i++) {
        char text[1024];
        if (local_attack_text(local, (uint16_t)i, text, sizeof text)) {
            (void)printf("replica-%-3u is a liar: %s\n", i, text);
        }
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
    const char *what = arguments->words.count > 1 ? arguments->words.word[1] : "";
    uint64_t id = 0;
    if (strcmp(what, "gateway") == 0 && arguments->words.count == 2) {
        *node = (struct local_node){LOCAL_GATEWAY, 0};
        return true;
    }
    if (strcmp(what, "leader") == 0 && arguments->words.count == 2) {
        int leader = local_leader(local);
        if (leader < 0) {
            (void)cli_complain("nobody leads at the moment");
            return false;
        }
        *node = local_sitter(local, (uint16_t)leader);
        return true;
    }
    const struct {
        const char *word;
        enum local_kind kind;
        uint32_t first, count;
    } kinds[] = {
        {"replica", LOCAL_REPLICA, 0, local->config.replica_count},
        {"memnode", LOCAL_MEMNODE, 0, local->config.memnode_count},
        {"spare-replica", LOCAL_SPARE_REPLICA, 1, local->config.spare_replica_count},
        {"spare-memnode", LOCAL_SPARE_MEMNODE, 1, local->config.spare_memnode_count},
    };
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(what, kinds[i].word) == 0 && arguments->words.count == 3 &&
            kinds[i].count != 0 &&
            cli_number(arguments->words.word[2], kinds[i].first,
                       kinds[i].first + kinds[i].count - 1, &id)) {
            *node = (struct local_node){kinds[i].kind, (uint16_t)id};
            return true;
        }
    }
    (void)cli_complain(
        "which one? accepted are leader, replica N (below %u), memnode N (below %u), "
        "spare-replica N (1 to %u), spare-memnode N (1 to %u) and gateway",
        local->config.replica_count, local->config.memnode_count, local->config.spare_replica_count,
        local->config.spare_memnode_count);
    return false;
}

// From its next start on: a liar, or honest.
static enum tacit_status choose_program(const struct local *local, struct local_node node,
                                        const struct arguments *arguments,
                                        struct tacit_error *error)
{
    if (arguments->attack_count == 0) {
        if (node.kind == LOCAL_REPLICA) {
            local_attack_clear(local, node.id);
        }
        return TACIT_OK;
    }
    if (node.kind != LOCAL_REPLICA) {
        return tacit_error_set(error, TACIT_EINVAL, 0, "--attack: only replicas can lie");
    }
    return local_attack_set(local, node.id, arguments->attacks[0], error);
}

// Ends the process if it runs (and may be ended), starts it, and waits until it is of use.
static int restart(struct local *local, struct local_node node, const struct arguments *arguments)
{
    struct tacit_error error;
    if (arguments->attack_count != 0 && !arguments->breaks &&
        local_may_lose(local, node, &error) != TACIT_OK) {
        return cli_fail(&error);
    }
    if (local_pid(local, node) != 0) {
        if (!arguments->force && local_may_lose(local, node, &error) != TACIT_OK) {
            return cli_fail(&error);
        }
        local_end(local, node);
    }
    if (choose_program(local, node, arguments, &error) != TACIT_OK ||
        local_start(local, node, &error) != TACIT_OK) {
        return cli_fail(&error);
    }
    uint64_t end_ns = cli_now_ns() + local_patience_ns(local);
    while (node.kind == LOCAL_GATEWAY && !local_gateway_answers(local)) {
        if (cli_now_ns() > end_ns) {
            return cli_complain("the gateway was started, but takes no connections; see %s/log",
                                local->directory);
        }
        cli_sleep_ns(5000000);
    }
    if (node.kind == LOCAL_MEMNODE && local_is_byzantine(local)) {
        (void)printf("it has lost its memory and counts for nothing until an epoch takes it back, "
                     "for which this command does not wait\n");
        return 0;
    }
    if (node.kind == LOCAL_REPLICA &&
        !local_wait_members(local, 1u << node.id, local_patience_ns(local))) {
        return cli_complain("it was started, but is no member of the group yet; see %s/log",
                            local->directory);
    }
    return 0;
}

enum way { LOCAL_KILL, LOCAL_STOP, LOCAL_CONT, LOCAL_START, LOCAL_RESTART, LOCAL_WAYS };

static int send_signal(const struct local *local, struct local_node node, enum way way, bool force)
{
    static const int signals[] = {
        [LOCAL_KILL] = SIGKILL, [LOCAL_STOP] = SIGSTOP, [LOCAL_CONT] = SIGCONT};
    struct tacit_error error;
    // Who does not run gets the message of local_signal().
    if (way != LOCAL_CONT && !force && local_pid(local, node) != 0 &&
        local_may_lose(local, node, &error) != TACIT_OK) {
        return cli_fail(&error);
    }
    if (local_signal(local, node, signals[way], &error) != TACIT_OK) {
        return cli_fail(&error);
    }
    if (way == LOCAL_KILL && !local_wait_gone(local, node, GONE_NS)) {
        return cli_complain("the process is still there");
    }
    return 0;
}

static int hurt(struct local *local, const struct arguments *arguments)
{
    static const struct {
        const char *name, *done;
    } ways[LOCAL_WAYS] = {[LOCAL_KILL] = {"kill", "killed"},
                          [LOCAL_STOP] = {"stop", "stopped"},
                          [LOCAL_CONT] = {"cont", "continued"},
                          [LOCAL_START] = {"start", "started"},
                          [LOCAL_RESTART] = {"restart", "restarted"}};
    struct local_node node;
    char name[TACIT_CONFIG_NAME_BYTES];
    unsigned way = 0;
    while (way < LOCAL_WAYS && strcmp(arguments->words.word[0], ways[way].name) != 0) {
        way++;
    }
    if (way == LOCAL_WAYS) {
        (void)cli_complain("local %s: accepted are " ACCEPTED, arguments->words.word[0]);
        return 2;
    }
    if (!find_node(local, arguments, &node)) {
        return 2;
    }
    local_name(node, name);
    if (way == LOCAL_START && local_pid(local, node) != 0) {
        return cli_complain("%s runs already", name);
    }
    int result = way < LOCAL_START ? send_signal(local, node, way, arguments->force)
                                   : restart(local, node, arguments);
    if (result == 0) {
        (void)printf("%s %s\n", ways[way].done, name);
    }
    return result;
}

static int rolling_restart(struct local *local, bool is_kv)
{
    struct local_rolling result;
    struct tacit_error error;
    if (local_rolling_restart(local, is_kv, &result, &error) != TACIT_OK) {
        return cli_fail(&error);
    }
    if (!result.probed) {
        (void)printf("no requests were sent meanwhile: the application is not kv\n");
        return 0;
    }
    (void)printf("%llu requests, %llu failed; longest wait for an answer %.1f ms\n",
                 (unsigned long long)result.answered, (unsigned long long)result.failed,
                 (double)result.stall_ns / 1e6);
    return 0;
}

// local attack ID NAME: switches.
static int attack(const struct local *local, const struct arguments *arguments)
{
    struct tacit_error error;
    uint64_t id = 0;
    if (arguments->words.count != 3 ||
        !cli_number(arguments->words.word[1], 0, local->config.replica_count - 1, &id)) {
        (void)cli_complain("local attack: accepted is ID NAME, with an ID below %u",
                           local->config.replica_count);
        return 2;
    }
    const struct local_node node = {LOCAL_REPLICA, (uint16_t)id};
    bool begins = strcmp(arguments->words.word[2], "none") != 0;
    if ((begins && !arguments->breaks && local_may_lose(local, node, &error) != TACIT_OK) ||
        local_attack_set(local, (uint16_t)id, arguments->words.word[2], &error) != TACIT_OK) {
        return cli_fail(&error);
    }
    (void)printf("replica %llu: %s\n", (unsigned long long)id, arguments->words.word[2]);
    return 0;
}

int cli_local(int argc, char **argv)
{
    static const struct argp argp = {
        options,
        parse,
        "up|down|status|kill NODE|start NODE|restart NODE|rolling-restart|stop NODE|cont "
        "NODE|attack "
        "[ID NAME]",
        "A cluster on this machine. NODE is leader, replica N, memnode N, spare-replica N, "
        "spare-memnode N or gateway.\v"
        "start and restart wait until a replica is readmitted by the group; rolling-restart "
        "restarts "
        "every replica and memory node so, one after the other. kill and stop refuse "
        "what would leave more than f replicas down, stopped or not readmitted: a group that has "
        "lost that many stops for good. A replica that was started with --attack (2=none: it "
        "behaves at first) changes its attack while it runs with attack.",
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
    if (arguments.words.count == 0) {
        (void)cli_complain("local: accepted are " ACCEPTED);
        return 2;
    }
    if (strcmp(arguments.words.word[0], "up") == 0) {
        return up(&arguments);
    }
    if (strcmp(arguments.words.word[0], "attack") == 0 && arguments.words.count == 1) {
        local_attack_list(); // which takes no cluster
        return 0;
    }
    struct tacit_error error;
    struct local *local = calloc(1, sizeof *local);
    char app[PATH_MAX] = "kv";
    int result = 1;
    if (local == NULL) {
        return cli_complain("no memory");
    }
    if (local_open(local, arguments.directory, &error) != TACIT_OK) {
        result = cli_fail(&error);
    } else {
        recall(local, app);
        result = strcmp(arguments.words.word[0], "down") == 0     ? down(local)
                 : strcmp(arguments.words.word[0], "status") == 0 ? show(local)
                 : strcmp(arguments.words.word[0], "attack") == 0 ? attack(local, &arguments)
                 : strcmp(arguments.words.word[0], "rolling-restart") == 0
                     ? rolling_restart(local, strcmp(app, "kv") == 0)
                     : hurt(local, &arguments);
    }
    free(local);
    return result;
}
