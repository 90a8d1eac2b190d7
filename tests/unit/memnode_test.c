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
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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
    uint64_t suspicion_ns;
    bool keeps_registers; // else logs
    bool is_provider;     // in place of a memory node: the provider that replicas have
    struct replica {
        struct tacit_fabric *fabric;
        tacit_incarnation_t incarnation;
        bool up;
        int32_t page, control, log;
        uint64_t generation, request;
    } replicas[REPLICAS];
} t;

static bool key_of(void *context, enum tacit_shm_kind kind, uint16_t id,
                   tacit_incarnation_t incarnation, struct tacit_public_key *key)
{
    (void)context;
    (void)incarnation;
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
    if (t.keeps_registers) {
        memnode = (struct tacit_host_layout){.registers_bytes = 8192};
    }
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

static enum tacit_status daemon_run(struct tacit_memnode_config *config, struct tacit_error *error)
{
    struct tacit_shm_listener listener;
    enum tacit_status status = tacit_shm_listen(&listener, t.path, 0, error);
    if (status == TACIT_OK) {
        config->listener = listener.fd;
        status = tacit_memnode_run(config, error);
        tacit_shm_listener_close(&listener);
    }
    return status;
}

static enum tacit_status provider_run(struct tacit_memnode_config *config,
                                      struct tacit_error *error)
{
    struct tacit_fabric *fabric;
    enum tacit_status status = tacit_shm_open(&config->fabric, &fabric, error);
    if (status == TACIT_OK) {
        config->ready(config->ready_context);
    }
    while (status == TACIT_OK) { // until it is killed
        struct tacit_event events[16];
        fabric->ops->arm(fabric);
        if (fabric->ops->poll(fabric, events, 16) == 0) {
            fabric->ops->sleep(fabric, tacit_shm_now_ns() + PATIENCE_NS);
        }
        fabric->ops->disarm(fabric);
    }
    return status;
}

static void daemon_start(tacit_incarnation_t incarnation)
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t parent = getpid();
    t.daemon = fork();
    if (t.daemon == 0) {
        struct tacit_memnode_config config = {
            .permissions = &tacit_memnode_permissions,
            .replicas = REPLICAS,
            .suspicion_ns = t.suspicion_ns,
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
        enum tacit_status status =
            t.is_provider ? provider_run(&config, &error) : daemon_run(&config, &error);
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

static int open_all_as(bool keeps_registers, bool is_provider, uint64_t suspicion_ns)
{
    struct tacit_error error;
    memset(&t, 0, sizeof t);
    t.keeps_registers = keeps_registers;
    t.is_provider = is_provider;
    t.suspicion_ns = suspicion_ns;
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

static int open_all(void **state)
{
    (void)state;
    return open_all_as(false, false, SUSPICION_NS);
}

static int open_patient(void **state)
{
    (void)state;
    return open_all_as(false, false, PATIENCE_NS);
}

static int open_registers(void **state)
{
    (void)state;
    return open_all_as(true, false, 0);
}

static int open_registers_of_provider(void **state)
{
    (void)state;
    return open_all_as(true, true, 0);
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

static void replica_start_as(struct replica *replica, uint16_t id, tacit_incarnation_t incarnation)
{
    char spare_path[sizeof t.path + 8];
    struct tacit_shm_config config;
    struct tacit_error error = {.text = ""};
    config_fill(&config, TACIT_SHM_REPLICA, id, incarnation);
    if (tacit_incarnation_body(incarnation) != 0) { // a spare has a socket of its own
        (void)snprintf(spare_path, sizeof spare_path, "%s.spare", t.path);
        config.path = spare_path;
    }
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
    if (t.keeps_registers) {
        return;
    }
    replica->page = region(replica, TACIT_REGION_PAGE);
    replica->control = region(replica, TACIT_REGION_CONTROL);
    replica->log = region(replica, TACIT_REGION_LOG);
    assert_true(replica->page >= 0 && replica->control >= 0 && replica->log >= 0);
}

static void replica_start(uint16_t id, tacit_incarnation_t incarnation)
{
    replica_start_as(&t.replicas[id], id, incarnation);
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

// The holder dies and somebody asks: the node finds the kernel's mark of death when it is asked,
// and need wait neither for the socket to hang up nor for the suspicion time.
static void victim_main(int told)
{
    size_t bytes = (size_t)256 << 20; // what the kernel has to take apart before it hangs up
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    struct tacit_error error;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    replica_start(0, 1);
    if (memory == MAP_FAILED || tacit_shm_thread_attach(t.replicas[0].fabric, &error) != TACIT_OK) {
        _exit(1);
    }
    ask(&t.replicas[0], 7);
    char answer = granted_within(&t.replicas[0], PATIENCE_NS) ? 'y' : 'n';
    (void)!write(told, &answer, 1);
    for (;;) {
        pause();
    }
}

static void test_dead_holder(void **state)
{
    (void)state;
    uint64_t best_ns = UINT64_MAX;
    for (unsigned round = 0; round < 5; round++) {
        if (round > 0) {
            (void)close_all(NULL);
            (void)open_all_as(false, false, PATIENCE_NS);
        }
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        pid_t victim = fork();
        if (victim == 0) {
            victim_main(pipes[1]);
        }
        close(pipes[1]);
        struct replica *replica = &t.replicas[1];
        replica_start(1, 1); // after the fork: it has a thread
        char answer = 0;
        assert_int_equal(read(pipes[0], &answer, 1), 1);
        assert_int_equal(answer, 'y');
        close(pipes[0]);
        struct tacit_region_key page = {.region_class = TACIT_REGION_PAGE};
        for (int i = 0; i < 5000 && replica->fabric->ops->region(replica->fabric, 0, page) < 0;
             i++) {
            (void)look(replica);
            pause_us(1000);
        }
        assert_int_equal(kill(victim, SIGKILL), 0);
        uint64_t began_ns = tacit_shm_now_ns();
        struct tacit_event event = {0};
        while (event.kind != TACIT_EVENT_DOWN || event.node != 0) {
            (void)replica->fabric->ops->poll(replica->fabric, &event, 1);
            assert_true(tacit_shm_now_ns() - began_ns < PATIENCE_NS);
        }
        ask(replica, 8);
        assert_true(granted_within(replica, PATIENCE_NS / 2));
        uint64_t took_ns = tacit_shm_now_ns() - began_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
        assert_int_equal(waitpid(victim, NULL, 0), victim);
    }
    print_message("the permission of a killed holder moved in %llu us\n",
                  (unsigned long long)best_ns / 1000);
    assert_in_range(best_ns, 1, 10000000); // the hang-up alone takes about 17 ms
}

// Strangers that connect and stay silent cost the others nothing.
static void test_strangers_delay_nobody(void **state)
{
    (void)state;
    for (uint16_t i = 0; i < 2; i++) {
        replica_start(i, 1);
    }
    int strangers[30];
    for (unsigned i = 0; i < 30; i++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", t.path);
        strangers[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(strangers[i], (struct sockaddr *)&address, sizeof address), 0);
    }
    uint64_t best_ns = UINT64_MAX;
    for (uint64_t number = 1; number <= 20; number++) {
        struct replica *replica = &t.replicas[number % 2];
        uint64_t began_ns = tacit_shm_now_ns();
        ask(replica, number);
        while (!is_granted(replica)) {
            assert_true(tacit_shm_now_ns() - began_ns < PATIENCE_NS);
        }
        uint64_t took_ns = tacit_shm_now_ns() - began_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
        tell(replica, TACIT_CONTROL_RELEASED, number);
        pause_us(2000); // asleep again
    }
    print_message("a request was granted within %llu us at best\n",
                  (unsigned long long)best_ns / 1000);
    assert_in_range(best_ns, 1, 2000000);
    for (unsigned i = 0; i < 30; i++) {
        close(strangers[i]);
    }
}

// ---- registers: Byzantine mode's memory node ----

static struct tacit_region_key registers_of(tacit_node_t owner, tacit_incarnation_t incarnation)
{
    return (struct tacit_region_key){TACIT_REGION_REGISTERS, owner, incarnation};
}

// Waits until a replica knows (or no longer knows) a region at the node.
static int32_t region_await(struct replica *replica, struct tacit_region_key key, bool is_there)
{
    int32_t handle = -1;
    for (int i = 0; i < 5000; i++) {
        (void)look(replica);
        handle = replica->fabric->ops->region(replica->fabric, TACIT_NODE_MEMNODE, key);
        if ((handle >= 0) == is_there) {
            return handle;
        }
        pause_us(1000);
    }
    fail_msg("registers of replica %u, incarnation %u, are %sthere", key.owner, key.incarnation,
             is_there ? "not " : "still ");
    return -1;
}

static uint64_t register_read(struct replica *replica, struct tacit_region_key key, uint64_t offset)
{
    uint64_t value = 0;
    assert_int_equal(
        operate(replica, TACIT_OP_READ, region_await(replica, key, true), offset, &value, 0),
        TACIT_COMPLETION_OK);
    return value;
}

static int register_write(struct replica *replica, struct tacit_region_key key, uint64_t offset,
                          uint64_t value)
{
    return operate(replica, TACIT_OP_WRITE, region_await(replica, key, true), offset, &value, 0);
}

static void test_registers(void **state)
{
    (void)state;
    static const uint8_t others[] = {TACIT_REGION_LOG, TACIT_REGION_PAGE, TACIT_REGION_CONTROL,
                                     TACIT_REGION_STATE};
    for (uint16_t i = 0; i < REPLICAS; i++) {
        replica_start(i, 1);
        for (unsigned k = 0; k < sizeof others; k++) {
            assert_int_equal(region(&t.replicas[i], others[k]), -1);
        }
    }
    for (uint16_t i = 0; i < REPLICAS; i++) { // nobody holds anything, and all may write
        assert_true(region(&t.replicas[i], TACIT_REGION_REGISTERS) >= 0);
        assert_int_equal(
            register_write(&t.replicas[i], registers_of(TACIT_NODE_SELF, 0), 8184, 70u + i),
            TACIT_COMPLETION_OK);
    }
    for (uint16_t i = 0; i < REPLICAS; i++) {
        for (uint16_t k = 0; k < REPLICAS; k++) {
            assert_int_equal(register_read(&t.replicas[i], registers_of(k, 1), 8184), 70u + k);
            if (i != k) {
                assert_int_equal(register_write(&t.replicas[i], registers_of(k, 1), 8184, 1),
                                 TACIT_COMPLETION_DENIED);
            }
        }
    }
    // A later life has registers of its own, empty; those of the former one stay.
    replica_stop(0);
    replica_start(0, 2);
    assert_int_equal(register_read(&t.replicas[0], registers_of(TACIT_NODE_SELF, 0), 8184), 0);
    assert_int_equal(register_read(&t.replicas[0], registers_of(0, 1), 8184), 70);
    assert_int_equal(register_read(&t.replicas[1], registers_of(0, 2), 8184), 0);
    assert_int_equal(register_read(&t.replicas[1], registers_of(0, 1), 8184), 70);
    assert_int_equal(register_write(&t.replicas[0], registers_of(0, 1), 8184, 1),
                     TACIT_COMPLETION_DENIED);
    // No bell: ringing is left out.
    t.replicas[1].fabric->ops->ring(t.replicas[1].fabric, TACIT_NODE_MEMNODE);
    assert_int_equal(t.replicas[1].fabric->counters.rings, 0);
}

// A replica that comes back for ever keeps two lives' registers and takes nobody's room.
static void test_registers_of_many_lives(void **state)
{
    (void)state;
    replica_start(1, 1);
    struct replica *reader = &t.replicas[1];
    assert_int_equal(register_write(reader, registers_of(1, 1), 0, 5), TACIT_COMPLETION_OK);
    for (tacit_incarnation_t life = 1; life <= 60; life++) {
        replica_start(0, life);
        assert_int_equal(register_write(&t.replicas[0], registers_of(0, life), 0, life),
                         TACIT_COMPLETION_OK);
        assert_int_equal(register_read(reader, registers_of(0, life), 0), life);
        if (life > 1) {
            assert_int_equal(register_read(reader, registers_of(0, life - 1), 0), life - 1);
        }
        if (life > 2) {
            (void)region_await(reader, registers_of(0, life - 2), false);
        }
        replica_stop(0);
    }
    assert_int_equal(register_read(reader, registers_of(1, 1), 0), 5);
    replica_start(2, 1);
    assert_int_equal(register_read(&t.replicas[2], registers_of(0, 60), 0), 60);
}

// A spare that claims every seat, again and again, ends no member's connection and takes nobody's
// registers: what it has are its own.
static void test_registers_of_claims(void **state)
{
    (void)state;
    uint32_t start = 0;
    for (uint16_t i = 0; i < REPLICAS; i++) {
        replica_start(i, 1);
        assert_int_equal(
            register_write(&t.replicas[i], registers_of(TACIT_NODE_SELF, 0), 0, 70u + i),
            TACIT_COMPLETION_OK);
    }
    for (uint32_t round = 0; round < 4; round++) {
        for (uint16_t i = 1; i < REPLICAS; i++) {
            struct replica claim = {.fabric = NULL};
            replica_start_as(&claim, i, tacit_incarnation_make(4 - round, 1, ++start));
            assert_int_equal(register_write(&claim, registers_of(TACIT_NODE_SELF, 0), 0, start),
                             TACIT_COMPLETION_OK);
            tacit_shm_close(claim.fabric);
            for (uint16_t k = 1; k < REPLICAS; k++) {
                (void)look(&t.replicas[k]);
                assert_true(t.replicas[k].up);
                assert_int_equal(register_read(&t.replicas[0], registers_of(k, 1), 0), 70u + k);
                assert_int_equal(register_write(&t.replicas[k], registers_of(k, 1), 0, 70u + k),
                                 TACIT_COMPLETION_OK);
            }
        }
    }
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

static uint64_t switches(pid_t pid)
{
    char text[128];
    status_line(pid, "voluntary_ctxt_switches", text);
    return strtoull(text, NULL, 10);
}

static void test_idle_costs_nothing(void **state)
{
    (void)state;
    replica_start(0, 1);
    if (!t.keeps_registers) {
        ask(&t.replicas[0], 7);
        assert_true(granted_within(&t.replicas[0], PATIENCE_NS));
    }
    pause_us(100000);
    uint64_t turns = switches(t.daemon);
    long before = ticks_used(t.daemon);
    (void)nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 500000000}, NULL);
    assert_in_range(ticks_used(t.daemon) - before, 0, 1); // of 10 ms
    assert_int_equal(switches(t.daemon), turns);          // it did not even wake
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
        cmocka_unit_test_setup_teardown(test_idle_costs_nothing, open_registers, close_all),
        cmocka_unit_test_setup_teardown(test_dead_holder, open_patient, close_all),
        cmocka_unit_test_setup_teardown(test_strangers_delay_nobody, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_registers, open_registers, close_all),
        cmocka_unit_test_setup_teardown(test_registers, open_registers_of_provider, close_all),
        cmocka_unit_test_setup_teardown(test_registers_of_many_lives, open_registers, close_all),
        cmocka_unit_test_setup_teardown(test_registers_of_claims, open_registers, close_all),
        cmocka_unit_test_setup_teardown(test_gave_everything_up, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_ends_in_order, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_ends_in_order, open_registers, close_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
