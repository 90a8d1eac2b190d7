// SPDX-License-Identifier: Apache-2.0
// TACIT_ROUNDS: debug release
//
// The memory-node daemon as a process: replicas in this process ask it for permission, append, lose
// it, die and come back; and what it gave up, what it costs while idle, and how it ends.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tacit/layout.h"
#include "tacit/memnode.h"

#define REPLICAS 3u
#define SUSPICION_NS UINT64_C(20000000)
#define PATIENCE_NS UINT64_C(5000000000)
#define USER 61500u

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CONFINE false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CONFINE false
#else
#define CONFINE true
#endif
#else
#define CONFINE true
#endif

static struct {
    char directory[64];
    char path[100], replica_paths[REPLICAS][100];
    struct tacit_keypair keys[REPLICAS + 1]; // the last one is the memory node's
    struct tacit_shm_peer peers[REPLICAS + 1];
    pid_t daemon;
    struct replica {
        struct tacit_fabric *fabric;
        tacit_incarnation_t incarnation;
        bool up;
        int32_t page, control, log;
        uint64_t generation, request;
    } replicas[REPLICAS];
} t;

static bool key_of(void *context, enum tacit_shm_kind kind, uint16_t id,
                   struct tacit_public_key *key)
{
    (void)context;
    if (kind == TACIT_SHM_CLIENT || id >= (kind == TACIT_SHM_REPLICA ? REPLICAS : 1)) {
        return false;
    }
    *key = t.keys[kind == TACIT_SHM_REPLICA ? id : REPLICAS].public_key;
    return true;
}

static void config_fill(struct tacit_shm_config *config, enum tacit_shm_kind kind, uint16_t id,
                        tacit_incarnation_t incarnation)
{
    struct tacit_host_layout memnode = {
        .page_bytes = TACIT_PAGE_REGION_BYTES, .control_bytes = 64, .log_bytes = 8192};
    struct tacit_host_layout replica = memnode;
    *config = (struct tacit_shm_config){
        .kind = kind,
        .id = id,
        .incarnation = incarnation,
        .path = kind == TACIT_SHM_REPLICA ? t.replica_paths[id] : t.path,
        .peers = t.peers,
        .peers_count = REPLICAS + 1,
        .layouts = {replica, memnode, {0}},
        .keypair = &t.keys[kind == TACIT_SHM_REPLICA ? id : REPLICAS],
        .key_of = key_of,
    };
}

static void tell_ready(void *context)
{
    (void)!write(*(const int *)context, "y", 1);
}

static void daemon_start(tacit_incarnation_t incarnation)
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t parent = getpid();
    t.daemon = fork();
    if (t.daemon == 0) {
        struct tacit_memnode_config config = {
            .replicas = REPLICAS,
            .suspicion_ns = SUSPICION_NS,
            .user_uid = USER,
            .user_gid = USER,
            .confine = CONFINE,
            .ready = tell_ready,
            .ready_context = &pipes[1],
        };
        struct tacit_error error = {.text = ""};
        config_fill(&config.fabric, TACIT_SHM_MEMNODE, 0, incarnation);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);
        }
        enum tacit_status status = tacit_memnode_run(&config, &error);
        if (status != TACIT_OK) {
            (void)fprintf(stderr, "memory node: %s\n", error.text);
        }
        _exit(status == TACIT_OK ? 0 : 1);
    }
    close(pipes[1]);
    char answer = 0;
    assert_int_equal(read(pipes[0], &answer, 1), 1);
    assert_int_equal(answer, 'y');
    close(pipes[0]);
}

static int open_all(void **state)
{
    (void)state;
    struct tacit_error error;
    memset(&t, 0, sizeof t);
    (void)snprintf(t.directory, sizeof t.directory, "/tmp/tacit-memnode-XXXXXX");
    if (tacit_crypto_init(&error) != TACIT_OK || mkdtemp(t.directory) == NULL) {
        return -1;
    }
    (void)snprintf(t.path, sizeof t.path, "%s/m", t.directory);
    t.peers[REPLICAS] = (struct tacit_shm_peer){.node = TACIT_NODE_MEMNODE, .path = t.path};
    for (unsigned i = 0; i <= REPLICAS; i++) {
        tacit_keypair_generate(&t.keys[i]);
    }
    for (unsigned i = 0; i < REPLICAS; i++) {
        (void)snprintf(t.replica_paths[i], sizeof t.replica_paths[i], "%s/%u", t.directory, i);
        t.peers[i] = (struct tacit_shm_peer){.node = (tacit_node_t)i, .path = t.replica_paths[i]};
    }
    daemon_start(1);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    for (unsigned i = 0; i < REPLICAS; i++) {
        if (t.replicas[i].fabric != NULL) {
            tacit_shm_close(t.replicas[i].fabric);
        }
    }
    if (t.daemon > 0) {
        (void)kill(t.daemon, SIGKILL);
        (void)waitpid(t.daemon, NULL, 0);
    }
    char command[100];
    (void)snprintf(command, sizeof command, "rm -rf %s", t.directory);
    return system(command);
}

// ---- replicas by hand ----

static void pause_us(unsigned us)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
}

static int32_t region(struct replica *replica, uint8_t region_class)
{
    struct tacit_region_key key = {.region_class = region_class, .owner = TACIT_NODE_SELF};
    return replica->fabric->ops->region(replica->fabric, TACIT_NODE_MEMNODE, key);
}

// Takes events; returns the status of a completion, or -1.
static int look(struct replica *replica)
{
    struct tacit_event event;
    while (replica->fabric->ops->poll(replica->fabric, &event, 1) == 1) {
        if (event.kind == TACIT_EVENT_COMPLETION) {
            return event.status;
        }
        if (event.node == TACIT_NODE_MEMNODE && event.kind == TACIT_EVENT_UP) {
            replica->up = true;
        }
        if (event.node == TACIT_NODE_MEMNODE && event.kind == TACIT_EVENT_DOWN) {
            replica->up = false;
        }
    }
    return -1;
}

static void replica_start(uint16_t id, tacit_incarnation_t incarnation)
{
    struct replica *replica = &t.replicas[id];
    struct tacit_shm_config config;
    struct tacit_error error = {.text = ""};
    config_fill(&config, TACIT_SHM_REPLICA, id, incarnation);
    if (tacit_shm_open(&config, &replica->fabric, &error) != TACIT_OK) {
        fail_msg("%s", error.text);
    }
    replica->incarnation = incarnation;
    replica->request = 0;
    uint64_t end_ns = tacit_shm_now_ns() + PATIENCE_NS;
    while (!replica->up && tacit_shm_now_ns() < end_ns) {
        (void)look(replica);
        pause_us(100);
    }
    assert_true(replica->up);
    replica->page = region(replica, TACIT_REGION_PAGE);
    replica->control = region(replica, TACIT_REGION_CONTROL);
    replica->log = region(replica, TACIT_REGION_LOG);
    assert_true(replica->page >= 0 && replica->control >= 0 && replica->log >= 0);
}

static void replica_stop(uint16_t id)
{
    tacit_shm_close(t.replicas[id].fabric);
    memset(&t.replicas[id], 0, sizeof t.replicas[id]);
}

static int operate(struct replica *replica, uint8_t kind, int32_t where, uint64_t offset,
                   uint64_t *value, uint8_t flags)
{
    struct tacit_op op = {.kind = kind,
                          .flags = flags,
                          .host = TACIT_NODE_MEMNODE,
                          .region = where,
                          .bytes = 8,
                          .offset = offset,
                          .local = value,
                          .generation = replica->generation,
                          .cookie = 1};
    assert_true(replica->fabric->ops->post(replica->fabric, &op));
    return look(replica);
}

static uint64_t page_word(struct replica *replica, uint64_t offset)
{
    uint64_t value = 0;
    assert_int_equal(operate(replica, TACIT_OP_READ, replica->page, offset, &value, 0),
                     TACIT_COMPLETION_OK);
    return value;
}

static void tell(struct replica *replica, uint64_t offset, uint64_t value)
{
    assert_int_equal(operate(replica, TACIT_OP_WRITE, replica->control, offset, &value, 0),
                     TACIT_COMPLETION_OK);
    replica->fabric->ops->ring(replica->fabric, TACIT_NODE_MEMNODE);
}

static bool is_granted(struct replica *replica)
{
    uint64_t own = tacit_owner_word(replica->fabric->self, replica->incarnation);
    if (page_word(replica, TACIT_PAGE_ACK) != replica->request ||
        page_word(replica, TACIT_PAGE_HOLDER) != own) {
        return false;
    }
    replica->generation = page_word(replica, TACIT_PAGE_GENERATION);
    return true;
}

static bool granted_within(struct replica *replica, uint64_t within_ns)
{
    uint64_t end_ns = tacit_shm_now_ns() + within_ns;
    while (!is_granted(replica)) {
        if (tacit_shm_now_ns() > end_ns) {
            return false;
        }
        pause_us(50);
    }
    return true;
}

static void ask(struct replica *replica, uint64_t number)
{
    replica->request = number;
    tell(replica, TACIT_CONTROL_REQUEST, number);
}

static int append(struct replica *replica, uint64_t value)
{
    return operate(replica, TACIT_OP_WRITE, replica->log, TACIT_LOG_ENTRIES, &value,
                   TACIT_OP_AS_HOLDER);
}

// ---- tests ----

static void test_permission_moves(void **state)
{
    (void)state;
    for (uint16_t i = 0; i < REPLICAS; i++) {
        replica_start(i, 1);
    }
    struct replica *first = &t.replicas[0], *second = &t.replicas[1];
    assert_int_equal(page_word(first, TACIT_PAGE_HOLDER), TACIT_NODE_NONE);
    assert_int_equal(append(first, 1), TACIT_COMPLETION_DENIED);
    ask(first, 101);
    assert_true(granted_within(first, PATIENCE_NS));
    assert_int_equal(append(first, 2), TACIT_COMPLETION_OK);
    // The holder is silent: after the suspicion time it loses to whoever asks.
    ask(second, 102);
    assert_true(granted_within(second, PATIENCE_NS));
    assert_true(second->generation > first->generation);
    assert_int_equal(append(first, 3), TACIT_COMPLETION_DENIED);
    assert_int_equal(append(second, 4), TACIT_COMPLETION_OK);
    // One that is active keeps it, until it releases.
    ask(first, 103);
    uint64_t end_ns = tacit_shm_now_ns() + 5 * SUSPICION_NS;
    for (uint64_t touch = 1; tacit_shm_now_ns() < end_ns; touch++) {
        assert_int_equal(operate(second, TACIT_OP_WRITE, second->log, TACIT_LOG_TOUCH, &touch,
                                 TACIT_OP_AS_HOLDER),
                         TACIT_COMPLETION_OK);
        assert_false(is_granted(first));
        pause_us(1000);
    }
    tell(second, TACIT_CONTROL_RELEASED, 102);
    assert_true(granted_within(first, SUSPICION_NS / 2 + PATIENCE_NS / 10));
    assert_int_equal(append(second, 5), TACIT_COMPLETION_DENIED);
}

static void test_holder_goes(void **state)
{
    (void)state;
    for (uint16_t i = 0; i < 2; i++) {
        replica_start(i, 1);
    }
    ask(&t.replicas[0], 7);
    assert_true(granted_within(&t.replicas[0], PATIENCE_NS));
    replica_stop(0);
    ask(&t.replicas[1], 8);
    assert_true(granted_within(&t.replicas[1], PATIENCE_NS));
    replica_start(0, 2); // its old log stays, until a replica says that it is no longer needed
    struct replica *reader = &t.replicas[1];
    struct tacit_region_key old = {.region_class = TACIT_REGION_LOG, .owner = 0, .incarnation = 1};
    assert_true(reader->fabric->ops->region(reader->fabric, TACIT_NODE_MEMNODE, old) >= 0);
    tell(reader, TACIT_CONTROL_RETIRED, tacit_owner_word(0, 2)); // the present one: must not work
    pause_us(50000);
    (void)look(reader);
    old.incarnation = 2;
    assert_true(reader->fabric->ops->region(reader->fabric, TACIT_NODE_MEMNODE, old) >= 0);
    old.incarnation = 1;
    tell(reader, TACIT_CONTROL_RETIRED, tacit_owner_word(0, 1));
    for (int i = 0; i < 3000; i++) {
        (void)look(reader);
        if (reader->fabric->ops->region(reader->fabric, TACIT_NODE_MEMNODE, old) < 0) {
            break;
        }
        pause_us(1000);
    }
    assert_int_equal(reader->fabric->ops->region(reader->fabric, TACIT_NODE_MEMNODE, old), -1);
}

static long ticks_used(pid_t pid)
{
    char path[64], text[1024] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    (void)fclose(file);
    long user = -1, system = -1;
    const char *rest = strrchr(text, ')');
    assert_non_null(rest);
    assert_int_equal(
        sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user, &system), 2);
    return user + system;
}

static void test_idle_costs_nothing(void **state)
{
    (void)state;
    replica_start(0, 1);
    ask(&t.replicas[0], 7);
    assert_true(granted_within(&t.replicas[0], PATIENCE_NS));
    pause_us(100000);
    long before = ticks_used(t.daemon);
    (void)nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 500000000}, NULL);
    assert_in_range(ticks_used(t.daemon) - before, 0, 1); // of 10 ms
}

static void status_line(pid_t pid, const char *name, char out[128])
{
    char path[64], line[128];
    size_t length = strlen(name);
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    out[0] = '\0';
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            (void)snprintf(out, 128, "%s", line + length + 1);
        }
    }
    (void)fclose(file);
    assert_true(out[0] != '\0');
}

static void test_gave_everything_up(void **state)
{
    (void)state;
    char text[128];
    status_line(t.daemon, "NoNewPrivs", text);
    assert_int_equal(strtol(text, NULL, 10), 1);
    status_line(t.daemon, "CapEff", text);
    assert_int_equal(strtoull(text, NULL, 16), 0);
    status_line(t.daemon, "CapPrm", text);
    assert_int_equal(strtoull(text, NULL, 16), 0);
    status_line(t.daemon, "Uid", text);
    if (geteuid() == 0) {
        assert_int_equal(strtol(text, NULL, 10), USER);
    }
    status_line(t.daemon, "Seccomp", text);
    assert_int_equal(strtol(text, NULL, 10), CONFINE ? 2 : 0);
    char path[64];
    struct stat status;
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)t.daemon); // not dumpable: root's
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_uid, 0);
}

static void test_ends_in_order(void **state)
{
    (void)state;
    replica_start(2, 1);
    pause_us(100000); // asleep
    uint64_t began_ns = tacit_shm_now_ns();
    assert_int_equal(kill(t.daemon, SIGTERM), 0);
    int status = -1;
    assert_int_equal(waitpid(t.daemon, &status, 0), t.daemon);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(tacit_shm_now_ns() - began_ns < 500000000 || !CONFINE);
    uint64_t end_ns = tacit_shm_now_ns() + PATIENCE_NS;
    while (t.replicas[2].up && tacit_shm_now_ns() < end_ns) {
        (void)look(&t.replicas[2]);
        pause_us(100);
    }
    assert_false(t.replicas[2].up);
    daemon_start(2); // and the replica finds the next life by itself
    end_ns = tacit_shm_now_ns() + PATIENCE_NS;
    while (!t.replicas[2].up && tacit_shm_now_ns() < end_ns) {
        (void)look(&t.replicas[2]);
        pause_us(100);
    }
    assert_true(t.replicas[2].up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_permission_moves, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_holder_goes, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_idle_costs_nothing, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_gave_everything_up, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_ends_in_order, open_all, close_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
