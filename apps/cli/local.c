// SPDX-License-Identifier: Apache-2.0
//
// The folder of a local cluster and its processes; see local.h.
#include "local.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/bootstrap.h"
#include "../lib/statedir.h"
#include "cli.h"

#define PATIENCE_NS UINT64_C(20000000000)
#define PATIENCE_MAX_NS UINT64_C(180000000000)
#define SUSPICIONS 1000u
#define STOP_NS UINT64_C(5000000000)
#define LOOK_NS 2000000u

// ---- names -------------------------------------------------------------------------------------

void local_name(struct local_node node, char out[TACIT_CONFIG_NAME_BYTES])
{
    static const enum tacit_config_role roles[] = {
        [LOCAL_REPLICA] = TACIT_CONFIG_REPLICA,
        [LOCAL_MEMNODE] = TACIT_CONFIG_MEMNODE,
        [LOCAL_SPARE_REPLICA] = TACIT_CONFIG_SPARE_REPLICA,
        [LOCAL_SPARE_MEMNODE] = TACIT_CONFIG_SPARE_MEMNODE,
    };
    if (node.kind == LOCAL_GATEWAY) {
        (void)snprintf(out, TACIT_CONFIG_NAME_BYTES, "gateway");
    } else {
        tacit_config_node_name(roles[node.kind], node.id, out);
    }
}

void local_path(const struct local *local, char out[TACIT_CONFIG_PATH_BYTES], const char *format,
                ...)
{
    int used = snprintf(out, TACIT_CONFIG_PATH_BYTES, "%s/", local->directory);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(out + used, TACIT_CONFIG_PATH_BYTES - (size_t)used, format, arguments);
    va_end(arguments);
}

static enum tacit_status find_programs(struct local *local, struct tacit_error *error)
{
    const char *given = getenv("TACIT_PROGRAMS"); // tests live elsewhere than the programs
    if (given != NULL) {
        (void)snprintf(local->programs, sizeof local->programs, "%s", given);
        return TACIT_OK;
    }
    ssize_t length = readlink("/proc/self/exe", local->programs, sizeof local->programs - 1);
    if (length <= 0) {
        return tacit_error_set(error, TACIT_EIO, errno, "cannot find this program's folder: %s",
                               strerror(errno));
    }
    local->programs[length] = '\0';
    *strrchr(local->programs, '/') = '\0';
    return TACIT_OK;
}

static enum tacit_status set_directory(struct local *local, const char *directory,
                                       struct tacit_error *error)
{
    char *absolute = realpath(directory, NULL);
    if (absolute == NULL || strlen(absolute) > sizeof local->directory - 100) {
        free(absolute);
        return tacit_error_set(error, TACIT_ENOENT, errno,
                               "%s cannot be used as the cluster's folder: %s", directory,
                               strerror(errno));
    }
    (void)snprintf(local->directory, sizeof local->directory, "%s", absolute);
    free(absolute);
    return find_programs(local, error);
}

// ---- create and open ---------------------------------------------------------------------------

static uint64_t longer(uint64_t time_ns, uint32_t times, uint64_t most_ns)
{
    return time_ns * times < most_ns ? time_ns * times : most_ns;
}

// For machines that are busy or emulated, on which all takes that much longer.
static void stretch(struct tacit_config *config, uint32_t times)
{
    const uint64_t ms = 1000000;
    const uint64_t s = 1000 * ms;
    struct tacit_config_timing *timing = &config->timing;
    // Each within what the cluster file accepts.
    timing->slow_after_ns = longer(tacit_config_slow_after_ns(config), times, s / 5);
    timing->beat_period_ns = longer(timing->beat_period_ns, times, s / 5);
    timing->suspicion_ns = longer(timing->suspicion_ns, times, 20 * s);
    timing->permission_timeout_ns = longer(timing->permission_timeout_ns, times, 100 * ms);
    timing->laggard_after_ns = longer(timing->laggard_after_ns, times, 600 * s);
    timing->client_retry_ns = longer(timing->client_retry_ns, times, 60 * s);
    timing->cooldown_ns = longer(timing->cooldown_ns, times, 10 * ms);
    timing->retry_ns = longer(timing->retry_ns, times, 10 * s);
    timing->join_after_ns = longer(timing->join_after_ns, times, 60 * s);
    timing->view_timeout_ns = longer(timing->view_timeout_ns, times, 60 * s);
    timing->view_timeout_max_ns = longer(timing->view_timeout_max_ns, times, 600 * s);
}

enum tacit_status local_create(struct local *local, const char *directory,
                               const struct local_plan *plan, struct tacit_error *error)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    enum tacit_status status = tacit_directory_make(directory, error);
    if (status == TACIT_OK) {
        status = set_directory(local, directory, error);
    }
    if (status == TACIT_OK && plan->isolate != 0) {
        status = local_isolate_check(plan->isolate, local->directory, local->programs, error);
    }
    if (status != TACIT_OK) {
        return status;
    }
    struct tacit_config_plan made = {.name = "local",
                                     .mode = plan->mode,
                                     .fabric = plan->fabric,
                                     .host = plan->host,
                                     .port = LOCAL_VERBS_PORT,
                                     .log_on = plan->log_on,
                                     .replicas = plan->replicas,
                                     .memnodes = plan->memnodes,
                                     .clients = LOCAL_CLIENTS,
                                     .spare_replicas = plan->spare_replicas,
                                     .spare_memnodes = plan->spare_memnodes,
                                     .operator_key = true};
    status = tacit_config_generate(local->directory, &made, &local->config, error);
    if (status != TACIT_OK) {
        return status;
    }
    // The plan knows no waiting policy, no place of broadcasts and no arena: write the file again
    // with them.
    local->config.waiting = plan->waiting;
    local->config.broadcast_on = plan->broadcast_on;
    if (plan->arena_bytes != 0) {
        local->config.memory.arena_bytes = plan->arena_bytes;
    }
    if (plan->replace_after_ns != 0) {
        local->config.timing.replace_after_ns = plan->replace_after_ns;
    }
    if (plan->patience > 1) {
        stretch(&local->config, plan->patience);
    }
    local->isolate = plan->isolate;
    if (plan->isolate != 0) {
        local_isolate_plan(local);
        status = local_isolate_note(local, error);
    }
    local_path(local, path, "cluster.yaml");
    (void)unlink(path);
    if (status == TACIT_OK) {
        status = tacit_config_write(path, &local->config, error);
    }
    if (status == TACIT_OK) {
        status = local_open(local, directory, error); // with all paths resolved
    }
    struct tacit_group_id group;
    return status == TACIT_OK ? tacit_group_found(&local->config, false, &group, error) : status;
}

enum tacit_status local_exists(const char *directory, struct tacit_error *error)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/cluster.yaml", directory);
    return access(path, F_OK) == 0
               ? TACIT_OK
               : tacit_error_set(error, TACIT_ENOENT, errno,
                                 "there is no cluster in %s: `tacit local up --dir %s` makes one",
                                 directory, directory);
}

enum tacit_status local_open(struct local *local, const char *directory, struct tacit_error *error)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    enum tacit_status status = local_exists(directory, error);
    if (status == TACIT_OK) {
        status = set_directory(local, directory, error);
    }
    if (status != TACIT_OK) {
        return status;
    }
    local_path(local, path, "cluster.yaml");
    struct tacit_config_problems *problems = calloc(1, sizeof *problems);
    if (problems == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, 0, "no memory");
    }
    status = tacit_config_load(path, &local->config, problems);
    if (status != TACIT_OK) {
        (void)tacit_config_problems_to_error(problems, status, error);
    }
    free(problems);
    local->isolate = local_isolate_recall(local);
    static const char *const folders[] = {"log", "pid", "attack"};
    for (size_t i = 0; i < 3 && status == TACIT_OK; i++) {
        local_path(local, path, "%s", folders[i]);
        status = tacit_directory_make(path, error);
    }
    return status;
}

// ---- processes ---------------------------------------------------------------------------------

// State and start time of a process, from /proc/PID/stat; false: there is none.
static bool process_stat(pid_t pid, char *state, unsigned long long *started)
{
    char path[64];
    char text[1024];
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    ssize_t size = read(file, text, sizeof text - 1);
    (void)close(file);
    if (size <= 0) {
        return false;
    }
    text[size] = '\0';
    const char *at = strrchr(text, ')'); // the name may hold anything
    if (at == NULL || sscanf(at + 1, " %c", state) != 1) {
        return false;
    }
    at++;
    unsigned long threads = 0;
    for (int field = 3; field < 22; field++) {
        at = strchr(at + 1, ' ');
        if (at == NULL) {
            return false;
        }
        threads = field + 1 == 20 ? strtoul(at, NULL, 10) : threads;
    }
    // Of who was killed the other threads go one by one, and hold its locks and sockets until then.
    if (*state == 'Z' && threads > 1) {
        *state = 'D';
    }
    *started = strtoull(at, NULL, 10);
    return *started != 0;
}

pid_t local_pid(const struct local *local, struct local_node node)
{
    char name[TACIT_CONFIG_NAME_BYTES];
    char path[TACIT_CONFIG_PATH_BYTES];
    local_name(node, name);
    local_path(local, path, "pid/%s", name);
    char text[64];
    char *end = NULL;
    FILE *file = fopen(path, "re");
    long pid = 0;
    unsigned long long started = 0;
    unsigned long long now_started = 0;
    char state = 0;
    if (file == NULL) {
        return 0;
    }
    bool is_read = fgets(text, sizeof text, file) != NULL;
    (void)fclose(file);
    pid = is_read ? strtol(text, &end, 10) : 0;
    started = is_read ? strtoull(end, NULL, 10) : 0;
    if (pid <= 0) {
        return 0;
    }
    if (local->tied) {
        (void)waitpid((pid_t)pid, NULL, WNOHANG);
    }
    return process_stat((pid_t)pid, &state, &now_started) && now_started == started &&
                   state != 'Z' && state != 'X'
               ? (pid_t)pid
               : 0;
}

bool local_is_stopped(const struct local *local, struct local_node node)
{
    char state = 0;
    unsigned long long started = 0;
    pid_t pid = local_pid(local, node);
    return pid != 0 && process_stat(pid, &state, &started) && (state == 'T' || state == 't');
}

// In the new process: becomes the program or ends.
static _Noreturn void become(const struct local *local, struct local_node node, const char *log,
                             pid_t parent)
{
    char program[TACIT_CONFIG_PATH_BYTES + 32];
    char file[TACIT_CONFIG_PATH_BYTES];
    char name[TACIT_CONFIG_NAME_BYTES];
    char port[16];
    char page[TACIT_CONFIG_PATH_BYTES];
    const char *argv[12];
    size_t argc = 0;
    static const char *const programs[] = {"tacit-replica", "tacit-memnode", "tacit-gateway",
                                           "tacit-replica", "tacit-memnode"};
    bool is_replica = node.kind == LOCAL_REPLICA || node.kind == LOCAL_SPARE_REPLICA;
    local_name(node, name);
    (void)snprintf(program, sizeof program, "%s/%s", local->programs, programs[node.kind]);
    if (node.kind == LOCAL_REPLICA && local_attack_page(local, node.id, page)) {
        (void)snprintf(program, sizeof program, "%s/" LOCAL_ATTACKER, local->programs);
        (void)setenv(LOCAL_ATTACK_VARIABLE, page, 1);
    }
    if (node.kind == LOCAL_GATEWAY) {
        (void)snprintf(name, sizeof name, "client-%u", LOCAL_GATEWAY_CLIENT);
    }
    local_path(local, file, "%s.yaml", name);
    argv[argc++] = program;
    argv[argc++] = "--node";
    argv[argc++] = file;
    if (node.kind == LOCAL_GATEWAY) {
        (void)snprintf(port, sizeof port, "%u", local->port);
        argv[argc++] = "--port";
        argv[argc++] = port;
    }
    if (is_replica && local->app != NULL) {
        argv[argc++] = "--app";
        argv[argc++] = local->app;
    }
    if (node.kind == LOCAL_REPLICA && local->unreplicated) {
        argv[argc++] = "--unreplicated";
    }
    argv[argc] = NULL;
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (out < 0 || in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) {
        _exit(127);
    }
    if (local->isolate != 0 && !local_isolate_enter(local, node)) {
        (void)dprintf(2, "cannot become user %u: %s\n", local_isolate_uid(local, node),
                      strerror(errno));
        _exit(127);
    }
    if (local->tied) { // a change of user ends this, so after it
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);
        }
    }
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    union {
        const char **in;
        char *const *out;
    } arguments = {.in = argv}; // execv() does not change them
    (void)execv(program, arguments.out);
    (void)dprintf(2, "cannot run %s: %s\n", program, strerror(errno));
    _exit(127);
}

// A child that dies with us, or a daemon in a session of its own. Returns the process id through a
// pipe.
static pid_t spawn(const struct local *local, struct local_node node, const char *log)
{
    int pipes[2];
    pid_t parent = getpid();
    if (pipe2(pipes, O_CLOEXEC) != 0) {
        return -1;
    }
    pid_t child = fork();
    if (child == 0) {
        pid_t self = getpid();
        if (!local->tied) {
            (void)setsid();
            pid_t grandchild = fork();
            if (grandchild != 0) {
                _exit(grandchild < 0);
            }
            self = getpid();
        } else {
            (void)setpgid(0, 0); // Ctrl-C is for the command, which ends its children in order
        }
        if (write(pipes[1], &self, sizeof self) != (ssize_t)sizeof self) {
            _exit(1);
        }
        become(local, node, log, parent);
    }
    (void)close(pipes[1]);
    pid_t pid = -1;
    if (child > 0) {
        if (read(pipes[0], &pid, sizeof pid) != (ssize_t)sizeof pid) {
            pid = -1;
        }
        if (!local->tied) {
            (void)waitpid(child, NULL, 0);
        }
    }
    (void)close(pipes[0]);
    return pid;
}

// Not durable: after a crash of the machine there is no such process.
static enum tacit_status note_pid(const struct local *local, const char *name, pid_t pid,
                                  unsigned long long started, struct tacit_error *error)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    char temporary[TACIT_CONFIG_PATH_BYTES];
    local_path(local, path, "pid/%s", name);
    local_path(local, temporary, "pid/%s.new", name);
    FILE *file = fopen(temporary, "we");
    bool written = file != NULL && fprintf(file, "%ld %llu\n", (long)pid, started) > 0;
    if (file != NULL) {
        written = fclose(file) == 0 && written;
    }
    return written && rename(temporary, path) == 0
               ? TACIT_OK
               : tacit_error_set(error, TACIT_EIO, errno, "cannot write %s: %s", path,
                                 strerror(errno));
}

enum tacit_status local_start(struct local *local, struct local_node node,
                              struct tacit_error *error)
{
    char name[TACIT_CONFIG_NAME_BYTES];
    local_name(node, name);
    if (local_pid(local, node) != 0) {
        return tacit_error_set(error, TACIT_EBUSY, 0, "%s runs already", name);
    }
    return local_start_again(local, node, error);
}

enum tacit_status local_start_again(struct local *local, struct local_node node,
                                    struct tacit_error *error)
{
    char name[TACIT_CONFIG_NAME_BYTES];
    char path[TACIT_CONFIG_PATH_BYTES];
    local_name(node, name);
    local_path(local, path, "log/%s.log", name);
    if (local->isolate != 0) {
        enum tacit_status status = local_isolate_folder(local, error);
        if (status == TACIT_OK) {
            status = local_isolate_node(local, node, error);
        }
        if (status != TACIT_OK) {
            return status;
        }
    }
    pid_t pid = spawn(local, node, path);
    char state = 0;
    unsigned long long started = 0;
    if (pid <= 0 || !process_stat(pid, &state, &started)) {
        return tacit_error_set(error, TACIT_EIO, errno, "cannot start %s; see %s", name, path);
    }
    return note_pid(local, name, pid, started, error);
}

enum tacit_status local_signal_timed(const struct local *local, struct local_node node,
                                     int signal_number, uint64_t *sent_ns,
                                     struct tacit_error *error)
{
    char name[TACIT_CONFIG_NAME_BYTES];
    pid_t pid = local_pid(local, node);
    local_name(node, name);
    *sent_ns = cli_now_ns();
    if (pid == 0 || kill(pid, signal_number) != 0) {
        return tacit_error_set(error, TACIT_ENOENT, 0, "%s does not run", name);
    }
    return TACIT_OK;
}

enum tacit_status local_signal(const struct local *local, struct local_node node, int signal_number,
                               struct tacit_error *error)
{
    uint64_t sent_ns;
    return local_signal_timed(local, node, signal_number, &sent_ns, error);
}

bool local_wait_gone(const struct local *local, struct local_node node, uint64_t timeout_ns)
{
    uint64_t end_ns = cli_now_ns() + timeout_ns;
    while (local_pid(local, node) != 0) {
        if (cli_now_ns() > end_ns) {
            return false;
        }
        cli_sleep_ns(LOOK_NS);
    }
    return true;
}

// Every process that the cluster may have, in the order of starting.
static bool node_at(const struct local *local, uint32_t index, struct local_node *node)
{
    const struct tacit_config *config = &local->config;
    const struct {
        enum local_kind kind;
        uint32_t count, first;
    } lists[] = {{LOCAL_MEMNODE, config->memnode_count, 0},
                 {LOCAL_REPLICA, config->replica_count, 0},
                 {LOCAL_SPARE_MEMNODE, config->spare_memnode_count, 1},
                 {LOCAL_SPARE_REPLICA, config->spare_replica_count, 1},
                 {LOCAL_GATEWAY, 1, 0}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        if (index < lists[i].count) {
            *node = (struct local_node){lists[i].kind, (uint16_t)(index + lists[i].first)};
            return true;
        }
        index -= lists[i].count;
    }
    return false;
}

unsigned local_down(struct local *local)
{
    struct local_node node;
    unsigned killed = 0;
    for (uint32_t i = 0; node_at(local, i, &node); i++) {
        (void)local_signal(local, node, SIGTERM, NULL);
        (void)local_signal(local, node, SIGCONT, NULL);
    }
    for (uint32_t i = 0; node_at(local, i, &node); i++) {
        if (!local_wait_gone(local, node, STOP_NS)) {
            killed++;
            (void)local_signal(local, node, SIGKILL, NULL);
            (void)local_wait_gone(local, node, STOP_NS);
        }
        char name[TACIT_CONFIG_NAME_BYTES];
        char path[TACIT_CONFIG_PATH_BYTES];
        local_name(node, name);
        local_path(local, path, "pid/%s", name);
        (void)unlink(path);
    }
    return killed;
}

// Why a process that was started is gone: the last line of its log.
static enum tacit_status gone_error(const struct local *local, struct local_node node,
                                    struct tacit_error *error)
{
    char name[TACIT_CONFIG_NAME_BYTES];
    char path[TACIT_CONFIG_PATH_BYTES];
    char line[400] = "";
    char last[400] = "nothing";
    local_name(node, name);
    local_path(local, path, "log/%s.log", name);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(last, sizeof last, "%s", line);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return tacit_error_set(error, TACIT_ECLOSED, 0, "%s ended: %.300s (log: %.100s)", name, last,
                           path);
}

bool local_gateway_answers(const struct local *local)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(local->port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = connection >= 0 &&
                   connect(connection, (const struct sockaddr *)&address, sizeof address) == 0;
    if (connection >= 0) {
        (void)close(connection);
    }
    return answers;
}

static enum tacit_status check_running(struct local *local, struct tacit_error *error)
{
    struct local_node node;
    for (uint32_t i = 0; node_at(local, i, &node); i++) {
        if ((node.kind != LOCAL_GATEWAY || local->port != 0) && local_pid(local, node) == 0) {
            return gone_error(local, node, error);
        }
    }
    return TACIT_OK;
}

enum tacit_status local_up(struct local *local, struct tacit_error *error)
{
    struct local_node node;
    enum tacit_status status = TACIT_OK;
    for (uint32_t i = 0; status == TACIT_OK && node_at(local, i, &node); i++) {
        bool wanted = node.kind != LOCAL_GATEWAY || local->port != 0;
        if (wanted && local_pid(local, node) == 0) {
            status = local_start(local, node, error);
        }
    }
    uint64_t patience_ns = local_patience_ns(local);
    uint64_t end_ns = cli_now_ns() + patience_ns;
    while (status == TACIT_OK &&
           (local_leader(local) < 0 || (local->port != 0 && !local_gateway_answers(local)))) {
        if (cli_now_ns() > end_ns) {
            return tacit_error_set(
                error, TACIT_ETIMEDOUT, 0,
                "the cluster did not serve within %llu s; see the logs in %s/log",
                (unsigned long long)(patience_ns / 1000000000u), local->directory);
        }
        status = check_running(local, error);
        cli_sleep_ns(LOOK_NS);
    }
    return status;
}

uint64_t local_patience_ns(const struct local *local)
{
    uint64_t long_ns = SUSPICIONS * local->config.timing.suspicion_ns;
    long_ns = long_ns < PATIENCE_MAX_NS ? long_ns : PATIENCE_MAX_NS;
    return long_ns > PATIENCE_NS ? long_ns : PATIENCE_NS;
}

// ---- judgement ---------------------------------------------------------------------------------

// Bit r: replica r is down, stopped, has lied, or is not (yet) a member in the eyes of the leader.
static uint32_t faulty_replicas(const struct local *local)
{
    uint32_t members = local_members(local);
    uint32_t faulty = local_liars(local);
    for (uint32_t r = 0; r < local->config.replica_count; r++) {
        bool is_faulty =
            (members >> r & 1u) == 0 || local_is_stopped(local, local_sitter(local, (uint16_t)r));
        faulty |= is_faulty ? 1u << r : 0;
    }
    return faulty;
}

bool local_is_byzantine(const struct local *local)
{
    return local->config.mode == TACIT_CONFIG_BYZANTINE;
}

// Bit m: memory node m is down, stopped, or the group does not count on it (yet).
static uint32_t faulty_memnodes(const struct local *local)
{
    uint32_t counted =
        local_is_byzantine(local) ? local_counted_memnodes(local) : local_counted_hosts(local);
    uint32_t faulty = 0;
    for (uint32_t m = 0; m < local->config.memnode_count; m++) {
        struct local_node node = {LOCAL_MEMNODE, (uint16_t)m};
        bool is_faulty = (counted >> m & 1u) == 0 || local_pid(local, node) == 0 ||
                         local_is_stopped(local, node);
        faulty |= is_faulty ? 1u << m : 0;
    }
    return faulty;
}

uint32_t local_lost_replicas(const struct local *local)
{
    uint32_t lost = 0;
    for (uint32_t r = 0; r < local->config.replica_count; r++) {
        struct local_node node = {LOCAL_REPLICA, (uint16_t)r};
        char name[TACIT_CONFIG_NAME_BYTES];
        char path[TACIT_CONFIG_PATH_BYTES];
        local_name(node, name);
        local_path(local, path, "state/%s/joined", name);
        lost += local_pid(local, node) == 0 && access(path, F_OK) == 0;
    }
    return lost;
}

bool local_may_fail(const struct local *local)
{
    return (uint32_t)__builtin_popcount(faulty_replicas(local)) + 1 <= local->config.f;
}

bool local_wait_healthy(const struct local *local, uint64_t timeout_ns)
{
    uint64_t end_ns = cli_now_ns() + timeout_ns;
    while (faulty_replicas(local) != 0) {
        if (cli_now_ns() > end_ns) {
            return false;
        }
        cli_sleep_ns(LOOK_NS);
    }
    return true;
}

void local_end(const struct local *local, struct local_node node)
{
    if (local_pid(local, node) == 0) {
        return;
    }
    (void)local_signal(local, node, SIGTERM, NULL);
    (void)local_signal(local, node, SIGCONT, NULL);
    if (!local_wait_gone(local, node, STOP_NS)) {
        (void)local_signal(local, node, SIGKILL, NULL);
        (void)local_wait_gone(local, node, STOP_NS);
    }
}

enum tacit_status local_may_lose(const struct local *local, struct local_node node,
                                 struct tacit_error *error)
{
    bool on_memnodes =
        local->config.log_on == TACIT_CONFIG_LOG_ON_MEMNODES || local_is_byzantine(local);
    if (node.kind == LOCAL_GATEWAY || (node.kind == LOCAL_MEMNODE && !on_memnodes)) {
        return TACIT_OK; // no state that anybody needs
    }
    char name[TACIT_CONFIG_NAME_BYTES];
    local_name(node, name);
    if (local_leader(local) < 0) {
        return tacit_error_set(error, TACIT_EBUSY, 0,
                               "nobody leads at the moment, so that it is not known whether the "
                               "cluster can do without %s: try again, or say --force",
                               name);
    }
    bool is_replica = node.kind == LOCAL_REPLICA;
    uint32_t faulty = is_replica ? faulty_replicas(local) : faulty_memnodes(local);
    uint32_t others = faulty & ~(1u << node.id);
    uint32_t may = is_replica ? local->config.f : local->config.fm;
    if ((uint32_t)__builtin_popcount(others) < may) {
        return TACIT_OK;
    }
    char list[256] = "";
    for (uint16_t i = 0; i < 32; i++) {
        if ((others >> i & 1u) != 0) {
            char other[TACIT_CONFIG_NAME_BYTES];
            size_t used = strlen(list);
            local_name((struct local_node){node.kind, i}, other);
            (void)snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", other);
        }
    }
    return tacit_error_set(
        error, TACIT_EBUSY, 0,
        "without %s more than %s = %u %s would be down, stopped or not readmitted, and the group "
        "would stop for good. That is already the case of: %s. %s, or say --force",
        name, is_replica ? "f" : "fm", may, is_replica ? "replicas" : "memory nodes",
        others != 0 ? list : "none",
        local_is_byzantine(local) && !is_replica
            ? "Bring it back first (`tacit local start`), and wait until `tacit status` counts it"
            : "Bring it back first (`tacit local start`, which waits until it is readmitted)");
}
