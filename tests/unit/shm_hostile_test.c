// SPDX-License-Identifier: Apache-2.0
// TACIT_ROUNDS: debug tsan
//
// The shared-memory provider against strangers at its socket, peers that hand over bad memory, and
// what is left of killed processes. One provider runs in this process; the test plays the other
// side by hand.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "shm_by_hand.h"
#include "tacit/layout.h"
#include "tacit/shm.h"

static struct {
    struct tacit_shm_config config;
    struct tacit_fabric *fabric;
    char last_report[600];
} t;

static const struct tacit_host_layout replica_layout = {.page_bytes = 640,
                                                        .control_bytes = 64,
                                                        .log_bytes = 8192,
                                                        .requests_bytes = 4096,
                                                        .state_bytes = 4096};
static const struct tacit_host_layout memnode_layout = {
    .page_bytes = 640, .control_bytes = 64, .log_bytes = 8192};
static const struct tacit_host_layout client_layout = {.replies_bytes = 4096};

static bool key_of(void *context, enum tacit_shm_kind kind, uint16_t id,
                   tacit_incarnation_t incarnation, struct tacit_public_key *key)
{
    (void)context;
    (void)incarnation;
    *key = kind == TACIT_SHM_REPLICA && id == 0 ? by_hand.host_key.public_key
                                                : by_hand.peer_key.public_key;
    return id < 50;
}

static void report(void *context, enum tacit_shm_report_kind kind, const char *text)
{
    (void)context;
    (void)kind;
    (void)snprintf(t.last_report, sizeof t.last_report, "%s", text);
}

static enum tacit_seat_ruling ruling;

static enum tacit_seat_ruling seat_rule(void *context, enum tacit_shm_kind kind, uint16_t id,
                                        tacit_incarnation_t incarnation)
{
    (void)context;
    assert_int_equal(kind, TACIT_SHM_REPLICA);
    assert_int_equal(id, 1);
    return tacit_incarnation_body(incarnation) == 0 ? TACIT_SEAT_OPEN : ruling;
}

static int directory_open(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    if (!by_hand_open((struct tacit_peer_name){.role = TACIT_PEER_REPLICA, .id = 0})) {
        return -1;
    }
    t.config = (struct tacit_shm_config){
        .kind = TACIT_SHM_REPLICA,
        .incarnation = 1,
        .path = by_hand.path,
        .layouts = {replica_layout, memnode_layout, client_layout},
        .keypair = &by_hand.host_key,
        .key_of = key_of,
        .report = report,
        .handshakes = 4,
        .handshake_timeout_ns = 300000000,
    };
    return 0;
}

static int directory_close(void **state)
{
    (void)state;
    if (t.fabric != NULL) {
        tacit_shm_close(t.fabric);
    }
    return by_hand_close();
}

static void host_open(void)
{
    struct tacit_error error = {.text = ""};
    if (tacit_shm_open(&t.config, &t.fabric, &error) != TACIT_OK) {
        fail_msg("%s", error.text);
    }
}

static struct tacit_shm_counters counters(void)
{
    struct tacit_shm_counters now;
    tacit_shm_counters(t.fabric, &now);
    return now;
}

// ---- tests ----

// Another body gets no further than the handshake before it may have the seat, so that its claim
// ends nobody's connection; and what it claimed before does not keep the member out.
static void test_claims_to_a_seat(void **state)
{
    (void)state;
    t.config.seat_rule = seat_rule;
    host_open();
    for (int round = 0; round < 3; round++) {
        ruling = round == 0 ? TACIT_SEAT_LATER : TACIT_SEAT_TAKEN;
        assert_true(come_in(TACIT_PEER_REPLICA, 1, tacit_incarnation_make(1, 1, 9)) < 0);
        ruling = TACIT_SEAT_OPEN;
        int claim = come_in(TACIT_PEER_REPLICA, 1, tacit_incarnation_make(1, 2, 5));
        int member = come_in(TACIT_PEER_REPLICA, 1, tacit_incarnation_make(0, 0, 3));
        assert_true(claim >= 0 && member >= 0);
        close(claim);
        close(member);
    }
    // Nobody is called so, whatever the rule says.
    t.config.seat_rule = NULL;
}

static void test_strangers_are_bounded(void **state)
{
    (void)state;
    host_open();
    int silent[12];
    for (unsigned i = 0; i < 12; i++) {
        silent[i] = dial();
    }
    // Four at a time get 300 ms each, so all twelve are gone after about a second; nobody stays.
    for (unsigned i = 0; i < 12; i++) {
        assert_true(hangs_up(silent[i], PATIENCE_MS));
        close(silent[i]);
    }
    for (int i = 0; i < 1000 && counters().expired < 12; i++) {
        pause_ms(5);
    }
    assert_int_equal(counters().expired, 12);
    int fd = come_in(TACIT_PEER_CLIENT, 7, 1); // and the next one gets in
    assert_true(fd >= 0);
    close(fd);
}

static void test_garbage(void **state)
{
    (void)state;
    host_open();
    strangers_talk_nonsense();
    int fd = come_in(TACIT_PEER_CLIENT, 7, 1);
    assert_true(fd >= 0);
    close(fd);
}

static void test_descriptor_bombs(void **state)
{
    (void)state;
    host_open();
    descriptor_bombs(TACIT_PEER_CLIENT, 7);
    assert_true(counters().misbehaved >= 3); // before the descriptors were back
}

// A client's REPLIES region is mapped and written by us: it must not be able to fault or hang us.
static void test_bad_memory(void **state)
{
    (void)state;
    t.config.handshake_timeout_ns = 60000000000; // so that only a refusal hangs up
    host_open();
    const int good_seals = F_SEAL_SHRINK | F_SEAL_GROW;
    const size_t good_bytes = 8192; // 4096 and the bell, in pages
    const struct offered_memory cases[] = {
        {"right", memory_make(good_bytes, MFD_ALLOW_SEALING, good_seals), good_bytes, true},
        {"no seals", memory_make(good_bytes, MFD_ALLOW_SEALING, 0), good_bytes, false},
        {"may shrink", memory_make(good_bytes, MFD_ALLOW_SEALING, F_SEAL_GROW), good_bytes, false},
        {"not sealable", memory_make(good_bytes, 0, 0), good_bytes, false},
        {"small", memory_make(4096, MFD_ALLOW_SEALING, good_seals), good_bytes, false},
        {"small, said so", memory_make(4096, MFD_ALLOW_SEALING, good_seals), 4096, false},
        {"large", memory_make(1 << 20, MFD_ALLOW_SEALING, good_seals), 1 << 20, false},
        {"empty", memory_make(0, MFD_ALLOW_SEALING, good_seals), good_bytes, false},
        {"sealed for writing",
         memory_make(good_bytes, MFD_ALLOW_SEALING, good_seals | F_SEAL_WRITE), good_bytes, false},
        {"a file", open(by_hand.directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), good_bytes,
         false},
        {"a device", open("/dev/zero", O_RDWR | O_CLOEXEC), good_bytes, false},
        {"a directory", open("/", O_RDONLY | O_CLOEXEC), good_bytes, false},
        {"nothing", -1, good_bytes, false},
    };
    offers_are_judged(cases, sizeof cases / sizeof cases[0], TACIT_PEER_CLIENT, 7, SLOT_REPLIES);
}

static void test_out_of_place(void **state)
{
    (void)state;
    t.config.handshake_timeout_ns = 60000000000;
    host_open();
    struct {
        uint8_t kind, slot;
        uint16_t node;
    } cases[] = {{MAPPED, 3, 0}, {MAPPED, 63, 0},       {MAPPED, 200, 0},    {END, 0, 5},
                 {END, 0, 999},  {RETIRE, SLOT_LOG, 0}, {RETIRE, 255, 0},    {77, 0, 0},
                 {OFFER, 1, 0},  {OFFER, 255, 0},       {OFFER, SLOT_LOG, 1}};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int fd = come_in(i % 2 == 0 ? TACIT_PEER_CLIENT : TACIT_PEER_REPLICA, 7, 1);
        assert_true(fd >= 0);
        say(fd, cases[i].kind, cases[i].slot, cases[i].node, 8192, -1);
        if (!hangs_up(fd, 1000)) {
            fail_msg("packet %u of kind %u was taken", i, cases[i].kind);
        }
        close(fd);
    }
    assert_int_equal(counters().accepted, 0);
}

// READY without the rest makes nobody come up; the time runs out.
static void test_ready_alone(void **state)
{
    (void)state;
    host_open();
    int fd = come_in(TACIT_PEER_CLIENT, 7, 1);
    assert_true(fd >= 0);
    say(fd, END, 0, 0, 0, -1);
    say(fd, READY, 0, 0, 0, -1);
    assert_true(hangs_up(fd, PATIENCE_MS));
    close(fd);
    assert_int_equal(counters().accepted, 0);
    assert_int_equal(counters().expired, 1);
}

static void test_who_has_no_business(void **state)
{
    (void)state;
    host_open();
    assert_int_equal(come_in(TACIT_PEER_CLIENT, 60, 1), -1); // no such client
    assert_int_equal(come_in(TACIT_PEER_MEMNODE, 3, 1), -1);
    assert_int_equal(come_in(TACIT_PEER_OPERATOR, 3, 1), -1);
    assert_int_equal(come_in(TACIT_PEER_REPLICA, 40, 1), -1);  // beyond the limit
    for (int i = 0; i < 1000 && counters().refused < 4; i++) { // counted just after it was said
        pause_ms(5);
    }
    assert_int_equal(counters().refused, 4);
    assert_true(strlen(t.last_report) > 0);
}

// 64 slots, then BUSY; they come back.
static void test_client_slots(void **state)
{
    (void)state;
    t.config.handshake_timeout_ns = 20000000000;
    t.config.handshakes = 32;
    host_open();
    int fds[TACIT_CLIENTS_MAX];
    for (unsigned i = 0; i < TACIT_CLIENTS_MAX; i++) {
        fds[i] = come_in(TACIT_PEER_CLIENT, 7, 1);
        assert_true(fds[i] >= 0);
        say(fds[i], END, 0, 0, 0, -1); // past the handshake, whose memory the next one needs
    }
    assert_int_equal(come_in(TACIT_PEER_CLIENT, 7, 1), -1);
    close(fds[40]);
    int fd = -1;
    for (int i = 0; i < 100 && fd < 0; i++) {
        fd = come_in(TACIT_PEER_CLIENT, 7, 1);
        pause_ms(5);
    }
    assert_true(fd >= 0);
    fds[40] = fd;
    for (unsigned i = 0; i < TACIT_CLIENTS_MAX; i++) {
        close(fds[i]);
    }
}

// ---- socket files ----

static void test_socket_in_use(void **state)
{
    (void)state;
    host_open();
    struct stat status;
    assert_int_equal(stat(by_hand.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    struct tacit_error error = {.text = ""};
    struct tacit_fabric *second;
    assert_int_equal(tacit_shm_open(&t.config, &second, &error), TACIT_EBUSY);
    assert_non_null(strstr(error.text, by_hand.path));
    assert_null(second);
    int fd = dial(); // the first one is unharmed
    close(fd);
}

static void test_socket_of_killed_process(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 5; round++) {
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        pid_t pid = fork();
        if (pid == 0) {
            struct tacit_error error;
            struct tacit_fabric *fabric;
            char answer = tacit_shm_open(&t.config, &fabric, &error) == TACIT_OK ? 'y' : 'n';
            (void)!write(pipes[1], &answer, 1);
            for (;;) {
                pause();
            }
        }
        char answer = 0;
        assert_int_equal(read(pipes[0], &answer, 1), 1);
        assert_int_equal(answer, 'y');
        close(pipes[0]);
        close(pipes[1]);
        assert_int_equal(kill(pid, SIGKILL), 0);
        if (round % 2 == 0) { // with and without giving it time to be gone
            assert_int_equal(waitpid(pid, NULL, 0), pid);
        }
        host_open();
        close(dial());
        if (round % 2 != 0) {
            assert_int_equal(waitpid(pid, NULL, 0), pid);
        }
        tacit_shm_close(t.fabric);
        t.fabric = NULL;
        assert_int_equal(access(by_hand.path, F_OK), -1); // an orderly end leaves no socket
    }
}

static void test_socket_of_somebody_else(void **state)
{
    (void)state;
    struct tacit_error error = {.text = ""};
    int other = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", by_hand.path);
    assert_int_equal(bind(other, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(other, 1), 0);
    assert_int_equal(tacit_shm_open(&t.config, &t.fabric, &error), TACIT_EBUSY);
    close(other);
    assert_int_equal(unlink(by_hand.path), 0);
    int file = open(by_hand.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(file, "x", 1), 1);
    close(file);
    assert_int_equal(tacit_shm_open(&t.config, &t.fabric, &error), TACIT_EEXIST);
    struct stat status;
    assert_int_equal(stat(by_hand.path, &status), 0);
    assert_int_equal(status.st_size, 1); // left alone
}

static void test_bad_configurations(void **state)
{
    (void)state;
    struct tacit_error error;
    struct tacit_shm_config config = t.config;
    config.path = "/nowhere/at/all/socket";
    assert_int_equal(tacit_shm_open(&config, &t.fabric, &error), TACIT_ENOENT);
    config = t.config;
    char path[200];
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    config.path = path;
    assert_int_equal(tacit_shm_open(&config, &t.fabric, &error), TACIT_EINVAL);
    config = t.config;
    config.incarnation = 0;
    assert_int_equal(tacit_shm_open(&config, &t.fabric, &error), TACIT_EINVAL);
    config = t.config;
    config.completions = 1000;
    assert_int_equal(tacit_shm_open(&config, &t.fabric, &error), TACIT_EINVAL);
    config = t.config;
    config.layouts[0].log_bytes = 12;
    assert_int_equal(tacit_shm_open(&config, &t.fabric, &error), TACIT_EINVAL);
    config = t.config;
    config.layouts[0].state_bytes = (size_t)1 << 40; // refused before anything is allocated
    assert_int_equal(tacit_shm_open(&config, &t.fabric, &error), TACIT_ENOMEM);
    assert_non_null(strstr(error.text, "10995"));
    config = t.config;
    config.key_of = NULL;
    assert_int_equal(tacit_shm_open(&config, &t.fabric, &error), TACIT_EINVAL);
    assert_null(t.fabric);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_claims_to_a_seat, directory_open, directory_close),
        cmocka_unit_test_setup_teardown(test_strangers_are_bounded, directory_open,
                                        directory_close),
        cmocka_unit_test_setup_teardown(test_garbage, directory_open, directory_close),
        cmocka_unit_test_setup_teardown(test_descriptor_bombs, directory_open, directory_close),
        cmocka_unit_test_setup_teardown(test_bad_memory, directory_open, directory_close),
        cmocka_unit_test_setup_teardown(test_out_of_place, directory_open, directory_close),
        cmocka_unit_test_setup_teardown(test_ready_alone, directory_open, directory_close),
        cmocka_unit_test_setup_teardown(test_who_has_no_business, directory_open, directory_close),
        cmocka_unit_test_setup_teardown(test_client_slots, directory_open, directory_close),
        cmocka_unit_test_setup_teardown(test_socket_in_use, directory_open, directory_close),
        cmocka_unit_test_setup_teardown(test_socket_of_killed_process, directory_open,
                                        directory_close),
        cmocka_unit_test_setup_teardown(test_socket_of_somebody_else, directory_open,
                                        directory_close),
        cmocka_unit_test_setup_teardown(test_bad_configurations, directory_open, directory_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
