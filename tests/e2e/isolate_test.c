// SPDX-License-Identifier: Apache-2.0
//
// `--isolate`: every process of a cluster under a user of its own. A process with the user of
// replica 2 tries all that a replica which was taken over could try on replica 1: its key and its
// state, signals, ptrace, its memory, its descriptors, its sockets' folder. Each attempt is made on
// what is its own, too, where it must work, so that none fails for another reason. Needs root.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "e2e.h"

#define BASE 61100u

static const struct local_plan plan = {.replicas = 3,
                                       .memnodes = 3,
                                       .mode = TACIT_CONFIG_BYZANTINE,
                                       .waiting = TACIT_CONFIG_ADAPTIVE,
                                       .arena_bytes = 32u << 20,
                                       .isolate = BASE};

// What one attempt aims at.
struct target {
    const struct local *local;
    uint16_t id;
    pid_t pid;
};

static int open_close(const char *path, int flags)
{
    int file = open(path, flags | O_CLOEXEC, 0600);
    if (file >= 0) {
        (void)close(file);
    }
    return file < 0 ? -1 : 0;
}

static int try_key(const struct target *target)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    local_path(target->local, path, "replica-%u.key", target->id);
    return open_close(path, O_RDONLY);
}

static int try_state(const struct target *target)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    local_path(target->local, path, "state/replica-%u/incarnation", target->id);
    return open_close(path, O_RDWR);
}

static int try_signal(const struct target *target)
{
    return kill(target->pid, 0);
}

static int try_ptrace(const struct target *target)
{
    long result = ptrace(PTRACE_SEIZE, target->pid, NULL, NULL);
    if (result == 0) {
        (void)ptrace(PTRACE_INTERRUPT, target->pid, NULL, NULL);
        (void)waitpid(target->pid, NULL, __WALL);
        (void)ptrace(PTRACE_DETACH, target->pid, NULL, NULL);
    }
    return (int)result;
}

static int try_memory_file(const struct target *target)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%ld/mem", (long)target->pid);
    return open_close(path, O_RDWR);
}

static int try_descriptors(const struct target *target)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%ld/fd/0", (long)target->pid);
    return open_close(path, O_RDONLY);
}

static int try_take_descriptor(const struct target *target)
{
    int process = (int)syscall(SYS_pidfd_open, target->pid, 0);
    int taken = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, 0, 0);
    int reason = errno;
    (void)close(process);
    (void)close(taken);
    errno = reason;
    return taken < 0 ? -1 : 0;
}

// Where sockets are: to make a file there would be to keep a restarted replica out.
static int try_socket_folder(const struct target *target)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    local_path(target->local, path, "run/replica-%u/squatter", target->id);
    int result = open_close(path, O_WRONLY | O_CREAT);
    if (result == 0) {
        (void)unlink(path);
    }
    return result;
}

static int connect_to(const char *path, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    int result = connect(fd, (const struct sockaddr *)&address, sizeof address);
    int reason = errno;
    (void)close(fd);
    errno = reason;
    return result;
}

static int try_status(const struct target *target)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    local_path(target->local, path, "run/replica-%u/replica-%u.status", target->id, target->id);
    return connect_to(path, SOCK_STREAM);
}

// What peers are for: this must work with both.
static int reach(const struct target *target)
{
    return connect_to(target->local->config.replicas[target->id].socket_path, SOCK_SEQPACKET);
}

static const struct {
    const char *name;
    int (*attempt)(const struct target *target);
} attempts[] = {{"its key", try_key},
                {"its state", try_state},
                {"a signal", try_signal},
                {"ptrace", try_ptrace},
                {"its memory", try_memory_file},
                {"its descriptors", try_descriptors},
                {"a copy of a descriptor", try_take_descriptor},
                {"the folder of its socket", try_socket_folder},
                {"its status socket", try_status}};

#define ATTEMPTS (sizeof attempts / sizeof attempts[0])

// In a process with replica 2's user. Exit status: 0, or 1 + the attempt that went wrong.
static _Noreturn void attack(const struct local *local, pid_t own, pid_t other)
{
    const struct target two = {local, 2, own};
    const struct target one = {local, 1, other};
    if (!local_isolate_enter(local, e2e_replica(2))) {
        _exit(100);
    }
    for (size_t i = 0; i < ATTEMPTS; i++) {
        int worked = attempts[i].attempt(&two);
        int reason = errno;
        if (worked != 0) {
            (void)fprintf(stderr, "%s: not even its own: %s\n", attempts[i].name, strerror(reason));
            _exit((int)(1 + i));
        }
        worked = attempts[i].attempt(&one);
        if (worked == 0 || (errno != EACCES && errno != EPERM)) {
            (void)fprintf(stderr, "%s: of another replica: %s\n", attempts[i].name,
                          worked == 0 ? "worked" : strerror(errno));
            _exit((int)(1 + i));
        }
    }
    _exit(reach(&one) != 0 || reach(&two) != 0 ? 101 : 0);
}

static void need_root(void)
{
    if (geteuid() != 0) {
        print_message("[  SKIPPED ] a user for each process needs root\n");
        skip();
    }
}

// All users differ, and none is root.
static void assert_users_differ(const struct local *local)
{
    uid_t users[16];
    unsigned count = 0;
    for (unsigned kind = LOCAL_REPLICA; kind <= LOCAL_GATEWAY; kind++) {
        for (uint16_t id = 0; id < (kind == LOCAL_GATEWAY ? 1 : 3); id++) {
            const struct local_node node = {(enum local_kind)kind, id};
            char path[64];
            struct stat facts;
            (void)snprintf(path, sizeof path, "/proc/%ld", (long)local_pid(local, node));
            assert_int_equal(stat(path, &facts), 0);
            assert_int_equal(facts.st_uid, local_isolate_uid(local, node));
            assert_in_range(facts.st_uid, BASE + 1, BASE + LOCAL_ISOLATE_USERS - 1);
            for (unsigned i = 0; i < count; i++) {
                assert_int_not_equal(users[i], facts.st_uid);
            }
            users[count++] = facts.st_uid;
        }
    }
    assert_int_equal(count, 7);
}

static void replicas__are_kept_apart_and_serve(void **state)
{
    (void)state;
    need_root();
    struct local *local = e2e_cluster(&plan, true);
    struct load *load = e2e_load(local);
    e2e_progress(load, 200);
    assert_users_differ(local);
    int result = 0;
    pid_t child = fork();
    if (child == 0) {
        attack(local, local_pid(local, e2e_replica(2)), local_pid(local, e2e_replica(1)));
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), 0);
    // Readmission, and a leader's fall, with these users.
    uint16_t killed = e2e_hit_leader(local, SIGKILL);
    e2e_progress(load, 200);
    e2e_bring_back(local, killed);
    e2e_progress(load, 200);
    assert_users_differ(local);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

// Who is not root is told so, and that before anything else is made.
static void others__are_told_that_it_needs_root(void **state)
{
    (void)state;
    need_root(); // to become somebody else
    struct tacit_error error;
    pid_t child = fork();
    if (child == 0) {
        bool said = setuid(BASE) == 0 &&
                    local_isolate_check(BASE, "/tmp/x", "/usr/bin", &error) == TACIT_EPERM &&
                    strstr(error.text, "run it as root") != NULL;
        _exit(said ? 0 : 1);
    }
    int result = 0;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    assert_int_equal(local_isolate_check(0, "/tmp/x", "/usr/bin", &error), TACIT_EEXIST);
    assert_non_null(strstr(error.text, "is root already"));
    char closed[] = "/tmp/tacit-XXXXXX"; // mode 0700
    assert_non_null(mkdtemp(closed));
    assert_int_equal(local_isolate_check(BASE, "/tmp/x", closed, &error), TACIT_EPERM);
    assert_non_null(strstr(error.text, closed));
    assert_int_equal(rmdir(closed), 0);
    assert_int_equal(local_isolate_check(BASE, "/tmp/x", "/usr/bin", &error), TACIT_OK);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replicas__are_kept_apart_and_serve),
        cmocka_unit_test(others__are_told_that_it_needs_root),
    };
    e2e_begin(argc, argv);
    return cmocka_run_group_tests_name("isolate", tests, NULL, NULL);
}
