// SPDX-License-Identifier: Apache-2.0
// TACIT_ROUNDS: debug tsan
//
// A memory node against strangers at its socket and replicas that lie to it: what they can make it
// hold is bounded, nothing makes it wait, whoever is out of place is thrown out and nobody else
// notices. The node runs on a thread of this process; the test plays replicas by hand.
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "memnodes/node/node.h"
#include "shm_by_hand.h"

#define SELF TACIT_NODE_MEMNODE
#define KEPT_BYTES 8192u
#define CONTROL_FILE_BYTES 4096u

static struct {
    struct tacit_shm_config config;
    struct tacit_shm_listener listener;
    struct tacit_memnode *node;
    pthread_t thread;
    bool runs;
    atomic_bool stop;
    atomic_uint ups, downs, reports;
} t;

static bool key_of(void *context, enum tacit_shm_kind kind, uint16_t id,
                   tacit_incarnation_t incarnation, struct tacit_public_key *key)
{
    (void)context;
    (void)incarnation;
    *key = by_hand.peer_key.public_key;
    return kind == TACIT_SHM_REPLICA && id < TACIT_REPLICAS_MAX;
}

static void report(void *context, enum tacit_shm_report_kind kind, const char *text)
{
    (void)context;
    (void)kind;
    assert_true(strlen(text) > 0);
    atomic_fetch_add(&t.reports, 1);
}

static int node_prepare(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    if (!by_hand_open((struct tacit_peer_name){.role = TACIT_PEER_MEMNODE, .id = 0})) {
        return -1;
    }
    t.config = (struct tacit_shm_config){
        .kind = TACIT_SHM_MEMNODE,
        .incarnation = 1,
        .layouts = {{0}, {.page_bytes = 640, .control_bytes = 64, .log_bytes = KEPT_BYTES}, {0}},
        .keypair = &by_hand.host_key,
        .key_of = key_of,
        .report = report,
        .handshake_timeout_ns = 300000000,
    };
    return 0;
}

static void *node_main(void *context)
{
    (void)context;
    while (!atomic_load(&t.stop)) {
        tacit_memnode_serve(t.node, tacit_shm_now_ns() + 5000000);
        for (; t.node->events_count > 0; t.node->events_count--) {
            uint8_t kind = t.node->events[t.node->events_first].kind;
            t.node->events_first = (t.node->events_first + 1) % TACIT_MEMNODE_EVENTS;
            atomic_fetch_add(&t.ups, kind == TACIT_EVENT_UP);
            atomic_fetch_add(&t.downs, kind == TACIT_EVENT_DOWN);
        }
    }
    return NULL;
}

static void node_open(void)
{
    struct tacit_error error = {.text = ""};
    if (tacit_shm_listen(&t.listener, by_hand.path, 0, &error) != TACIT_OK ||
        tacit_memnode_open(&t.config, t.listener.fd, &t.node, &error) != TACIT_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(pthread_create(&t.thread, NULL, node_main, NULL), 0);
    t.runs = true;
}

static int node_end(void **state)
{
    (void)state;
    if (t.runs) {
        atomic_store(&t.stop, true);
        (void)pthread_join(t.thread, NULL);
        tacit_memnode_close(t.node);
        tacit_shm_listener_close(&t.listener);
    }
    return by_hand_close();
}

// ---- a replica by hand ----

struct hand {
    int fd;
    int control, kept;    // descriptors of the regions that it writes
    uint8_t slot;         // of the kept one
    unsigned readable;    // kept regions of others that it was offered
    const uint64_t *host; // the node's host page
};

static int host_page(int seals)
{
    return memory_make(TACIT_SHM_HOST_BYTES, MFD_ALLOW_SEALING, seals);
}
#define ALL_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

// Everything that a process which has a descriptor of a sealed region could do to write it after
// all: map it so, make a readable mapping writable, open the file once more, or change its size or
// holes. With `--isolate` a second opening is refused to other users by the file's mode already
// (tests/e2e/isolate_test.c); here the user is the same, and the seals alone have to hold.
static void is_out_of_reach(int fd)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const int again[] = {fd, open(path, O_RDWR | O_CLOEXEC), open(path, O_RDWR | O_TRUNC)};
    assert_true(again[2] < 0); // before the first byte is gone
    for (unsigned i = 0; i < 2 && again[i] >= 0; i++) {
        uint64_t word = 1;
        assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again[i], 0),
                         MAP_FAILED);
        void *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, again[i], 0);
        assert_ptr_not_equal(page, MAP_FAILED);
        assert_int_equal(mprotect(page, 4096, PROT_READ | PROT_WRITE), -1);
        assert_int_equal(errno, EACCES);
        assert_int_equal(munmap(page, 4096), 0);
        assert_true(pwrite(again[i], &word, sizeof word, 0) < 0);
        assert_true(ftruncate(again[i], 0) != 0);
        assert_true(fallocate(again[i], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) != 0);
        assert_true(fcntl(again[i], F_ADD_SEALS, F_SEAL_WRITE) != 0);
    }
    struct stat file;
    assert_int_equal(fstat(fd, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0600);
    assert_true(again[1] >= 0); // it is the owner's: refused later, not here
    (void)close(again[1]);
}

static void offer_host_page(int fd)
{
    int page = host_page(ALL_SEALS);
    say(fd, OFFER, SLOT_HOST, 0, TACIT_SHM_HOST_BYTES, page);
    close(page);
}

// One packet of the node, and what it means for this replica.
static uint8_t hand_take(struct hand *hand, uint16_t id, tacit_incarnation_t incarnation)
{
    uint8_t bytes[TACIT_SHM_PACKET_MAX];
    struct tacit_shm_packet packet;
    int passed;
    assert_int_equal(packet_receive(hand->fd, bytes, &passed), sizeof packet);
    memcpy(&packet, bytes, sizeof packet);
    bool is_own = packet.slot >= SLOT_LOG && packet.node == id && packet.incarnation == incarnation;
    if (packet.kind == OFFER && (packet.slot == TACIT_SHM_SLOT_CONTROL || is_own)) {
        *(is_own ? &hand->kept : &hand->control) = passed;
        hand->slot = is_own ? packet.slot : hand->slot;
    } else if (passed >= 0) {
        hand->readable += packet.slot >= SLOT_LOG;
        if (packet.slot == SLOT_HOST) {
            void *page = mmap(NULL, TACIT_SHM_HOST_BYTES, PROT_READ, MAP_SHARED, passed, 0);
            assert_ptr_not_equal(page, MAP_FAILED);
            hand->host = page;
        }
        is_out_of_reach(passed); // what others write is sealed before anybody gets it
        close(passed);
    }
    return packet.kind;
}

// Everything that a replica has to do to come up.
static struct hand come_up(uint16_t id, tacit_incarnation_t incarnation)
{
    struct hand hand = {
        .fd = come_in(TACIT_PEER_REPLICA, id, incarnation), .control = -1, .kept = -1};
    assert_true(hand.fd >= 0);
    offer_host_page(hand.fd);
    say(hand.fd, END, 0, SELF, 0, -1);
    while (hand_take(&hand, id, incarnation) != END) {
        ;
    }
    assert_true(hand.kept >= 0);
    say(hand.fd, MAPPED, TACIT_SHM_SLOT_CONTROL, 0, 0, -1);
    say(hand.fd, MAPPED, hand.slot, 0, 0, -1);
    say(hand.fd, READY, 0, 0, 0, -1);
    return hand;
}

static void hand_close(struct hand *hand)
{
    close(hand->fd);
    close(hand->control);
    close(hand->kept);
    assert_int_equal(munmap((void *)(uintptr_t)hand->host, TACIT_SHM_HOST_BYTES), 0);
}

static bool counted(atomic_uint *what, unsigned wanted)
{
    for (int i = 0; i < 1000 && atomic_load(what) != wanted; i++) {
        pause_ms(5);
    }
    return atomic_load(what) == wanted;
}

// ---- tests ----

static void test_strangers_are_bounded(void **state)
{
    (void)state;
    node_open();
    int silent[60];
    for (unsigned i = 0; i < 60; i++) {
        silent[i] = dial();
    }
    // So many at a time get 300 ms each; nobody stays.
    for (unsigned i = 0; i < 60; i++) {
        assert_true(hangs_up(silent[i], PATIENCE_MS));
        close(silent[i]);
    }
    struct hand hand = come_up(0, 1); // and the next one gets in
    assert_true(counted(&t.ups, 1));
    hand_close(&hand);
    assert_true(counted(&t.downs, 1));
}

static void test_garbage(void **state)
{
    (void)state;
    node_open();
    strangers_talk_nonsense();
    // The same after the handshake; one of its size is taken for a late refusal.
    for (unsigned i = 0; i < 3; i++) {
        uint8_t packet[TACIT_HANDSHAKE_MESSAGE_BYTES] = {9};
        int fd = come_in(TACIT_PEER_REPLICA, 0, 1);
        assert_true(fd >= 0);
        size_t bytes = i == 0 ? sizeof packet : i == 1 ? 15 : 17;
        assert_int_equal(send(fd, packet, bytes, MSG_NOSIGNAL), (ssize_t)bytes);
        assert_true(hangs_up(fd, 200));
        close(fd);
    }
    assert_true(atomic_load(&t.reports) > 0);
}

static void test_descriptor_bombs(void **state)
{
    (void)state;
    node_open();
    descriptor_bombs(TACIT_PEER_REPLICA, 1);
}

// A replica's host page is mapped and read by the node: it must not be able to fault or hang it.
static void test_bad_host_page(void **state)
{
    (void)state;
    t.config.handshake_timeout_ns = 60000000000; // so that only a refusal hangs up
    node_open();
    const struct offered_memory cases[] = {
        {"right", host_page(ALL_SEALS), TACIT_SHM_HOST_BYTES, true},
        {"no seals", host_page(0), TACIT_SHM_HOST_BYTES, false},
        {"may shrink", host_page(ALL_SEALS & ~F_SEAL_SHRINK), TACIT_SHM_HOST_BYTES, false},
        {"may be mapped by writers", host_page(ALL_SEALS & ~F_SEAL_FUTURE_WRITE),
         TACIT_SHM_HOST_BYTES, false},
        {"another size said", host_page(ALL_SEALS), 8192, false},
        {"large", memory_make(8192, MFD_ALLOW_SEALING, ALL_SEALS), TACIT_SHM_HOST_BYTES, false},
        {"empty", memory_make(0, MFD_ALLOW_SEALING, ALL_SEALS), TACIT_SHM_HOST_BYTES, false},
        {"a device", open("/dev/zero", O_RDWR | O_CLOEXEC), TACIT_SHM_HOST_BYTES, false},
        {"a directory", open("/", O_RDONLY | O_CLOEXEC), TACIT_SHM_HOST_BYTES, false},
        {"nothing", -1, TACIT_SHM_HOST_BYTES, false},
    };
    offers_are_judged(cases, sizeof cases / sizeof cases[0], TACIT_PEER_REPLICA, 2, SLOT_HOST);
}

static void test_out_of_place(void **state)
{
    (void)state;
    t.config.handshake_timeout_ns = 60000000000;
    node_open();
    struct {
        uint8_t kind, slot;
        uint16_t node;
    } cases[] = {{MAPPED, 0, 0},   {MAPPED, 1, 0},          {MAPPED, SLOT_LOG + 1, 0},
                 {MAPPED, 63, 0},  {MAPPED, 200, 0},        {END, 0, 5},
                 {END, 0, 0xffff}, {RETIRE, SLOT_LOG, 0},   {RETIRE, 255, 0},
                 {77, 0, 0},       {OFFER, 1, 0},           {OFFER, 255, 0},
                 {OFFER, 3, 0},    {OFFER, SLOT_LOG, SELF}, {TACIT_SHM_BELL, 0, 0}};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int fd = come_in(TACIT_PEER_REPLICA, 7, 1);
        assert_true(fd >= 0);
        say(fd, cases[i].kind, cases[i].slot, cases[i].node, KEPT_BYTES, -1);
        if (!hangs_up(fd, 1000)) {
            fail_msg("packet %u of kind %u was taken", i, cases[i].kind);
        }
        close(fd);
    }
    // Twice what may be said once.
    static const uint8_t once[] = {MAPPED, END, READY};
    for (unsigned i = 0; i < 3; i++) {
        int fd = come_in(TACIT_PEER_REPLICA, 7, 1);
        assert_true(fd >= 0);
        for (unsigned k = 0; k < 2; k++) {
            say(fd, once[i], TACIT_SHM_SLOT_CONTROL, SELF, 0, -1);
        }
        assert_true(hangs_up(fd, 1000));
        close(fd);
    }
    assert_int_equal(atomic_load(&t.ups), 0);
}

// READY without the rest makes nobody come up; with everything but a host page it costs the
// connection, with everything but MAPPED the time runs out.
static void test_incomplete(void **state)
{
    (void)state;
    node_open();
    for (unsigned lacks = 0; lacks < 3; lacks++) {
        int fd = come_in(TACIT_PEER_REPLICA, 3, 1);
        assert_true(fd >= 0);
        if (lacks != 0) {
            offer_host_page(fd);
        }
        if (lacks != 1) {
            say(fd, MAPPED, TACIT_SHM_SLOT_CONTROL, 0, 0, -1);
            say(fd, MAPPED, SLOT_LOG, 0, 0, -1);
        }
        if (lacks != 2) {
            say(fd, END, 0, SELF, 0, -1);
        }
        say(fd, READY, 0, 0, 0, -1);
        assert_true(hangs_up(fd, PATIENCE_MS));
        close(fd);
    }
    assert_int_equal(atomic_load(&t.ups), 0);
}

static void test_who_has_no_business(void **state)
{
    (void)state;
    node_open();
    assert_int_equal(come_in(TACIT_PEER_CLIENT, 3, 1), -1);
    assert_int_equal(come_in(TACIT_PEER_MEMNODE, 3, 1), -1);
    assert_int_equal(come_in(TACIT_PEER_OPERATOR, 3, 1), -1);
    assert_int_equal(come_in(TACIT_PEER_REPLICA, TACIT_REPLICAS_MAX, 1), -1);
    struct hand hand = come_up(3, 5);
    assert_true(counted(&t.ups, 1));
    assert_int_equal(come_in(TACIT_PEER_REPLICA, 3, 5), -1); // this life is here
    assert_int_equal(come_in(TACIT_PEER_REPLICA, 3, 4), -1);
    assert_false(hangs_up(hand.fd, 50)); // and is not disturbed
    hand_close(&hand);
    assert_true(counted(&t.downs, 1));
    assert_int_equal(come_in(TACIT_PEER_REPLICA, 3, 5), -1); // also when it has gone
}

// A replica that begins again and again holds the memory of one beginning.
static void test_one_beginning_each(void **state)
{
    (void)state;
    t.config.handshake_timeout_ns = 60000000000;
    node_open();
    int fds[20];
    for (unsigned i = 0; i < 20; i++) {
        fds[i] = come_in(TACIT_PEER_REPLICA, 4, 1 + i);
        assert_true(fds[i] >= 0);
    }
    for (unsigned i = 0; i < 19; i++) {
        assert_true(hangs_up(fds[i], PATIENCE_MS));
        close(fds[i]);
    }
    assert_false(hangs_up(fds[19], 50));
    close(fds[19]);
}

// What a replica was given to write is its own alone from MAPPED on: not even it can map it again.
static void test_sealed_for_good(void **state)
{
    (void)state;
    node_open();
    struct hand hand = come_up(0, 1);
    assert_true(counted(&t.ups, 1));
    is_out_of_reach(hand.control);
    is_out_of_reach(hand.kept);
    hand_close(&hand);
}

// A replica that is up and reads nothing: the node goes on with the others, does not spin, and the
// silent one gets everything when it reads again.
static void test_silent_peer(void **state)
{
    (void)state;
    t.config.layouts[TACIT_SHM_MEMNODE] =
        (struct tacit_host_layout){.control_bytes = 64, .registers_bytes = KEPT_BYTES};
    node_open();
    struct hand silent = come_up(0, 1);
    assert_true(counted(&t.ups, 1));
    const unsigned lives = 300;
    for (tacit_incarnation_t life = 1; life <= lives; life++) {
        struct hand other = come_up(1, life);
        assert_true(counted(&t.ups, 1 + life));
        hand_close(&other);
    }
    assert_true(counted(&t.downs, lives));
    clockid_t clock;
    struct timespec from, to;
    assert_int_equal(pthread_getcpuclockid(t.thread, &clock), 0);
    assert_int_equal(clock_gettime(clock, &from), 0);
    pause_ms(300);
    assert_int_equal(clock_gettime(clock, &to), 0);
    int64_t used_ns = (to.tv_sec - from.tv_sec) * 1000000000 + (to.tv_nsec - from.tv_nsec);
    assert_in_range(used_ns, 0, 60000000); // of 300 ms, with 60 turns of node_main and a sanitizer
    // Now all that still matters comes: fewer than two packets a life, as there was no room for
    // more.
    uint8_t bytes[TACIT_SHM_PACKET_MAX];
    struct tacit_shm_packet packet = {0};
    unsigned packets = 0;
    for (; packet.kind != OFFER || packet.incarnation != lives; packets++) {
        int passed;
        assert_int_equal(packet_receive(silent.fd, bytes, &passed), sizeof packet);
        memcpy(&packet, bytes, sizeof packet);
        if (passed >= 0) {
            close(passed);
        }
    }
    assert_in_range(packets, 100, 2 * lives - 100);
    hand_close(&silent);
}

static bool is_listed(const struct hand *hand, tacit_node_t owner, tacit_incarnation_t life)
{
    const uint64_t *kept = hand->host + TACIT_SHM_HOST_KEPT / 8;
    bool found = false;
    for (unsigned i = 0; i < TACIT_SHM_LOGS; i++) {
        found =
            found || __atomic_load_n(&kept[i], __ATOMIC_ACQUIRE) == tacit_owner_word(owner, life);
    }
    return found;
}

// Who takes no packet at all sees in the host page whose REGISTERS there are, no later than their
// owner learns that it may write: else it would take a region that it was not told of for one that
// was never written.
static void test_registers_are_listed_before_they_are_written(void **state)
{
    (void)state;
    t.config.layouts[TACIT_SHM_MEMNODE] =
        (struct tacit_host_layout){.control_bytes = 64, .registers_bytes = KEPT_BYTES};
    node_open();
    struct hand reader = come_up(0, 1);
    assert_true(counted(&t.ups, 1));
    for (tacit_incarnation_t life = 1; life <= 40; life++) {
        assert_false(is_listed(&reader, 1, life));
        struct hand owner = come_up(1, life);
        assert_true(life > 1 || !is_listed(&reader, 2, life));
        while (hand_take(&owner, 1, life) != READY) { // regions of others, then that it is up
            ;
        }
        assert_true(is_listed(&reader, 1, life));
        assert_true(is_listed(&owner, 0, 1));
        assert_true(life == 1 || is_listed(&reader, 1, life - 1)); // the last life's stays
        assert_true(life < 3 || !is_listed(&reader, 1, life - 2));
        hand_close(&owner);
    }
    hand_close(&reader);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, node_prepare, node_end)
    const struct CMUnitTest tests[] = {
        TEST(test_strangers_are_bounded),
        TEST(test_garbage),
        TEST(test_descriptor_bombs),
        TEST(test_bad_host_page),
        TEST(test_out_of_place),
        TEST(test_incomplete),
        TEST(test_who_has_no_business),
        TEST(test_one_beginning_each),
        TEST(test_sealed_for_good),
        TEST(test_silent_peer),
        TEST(test_registers_are_listed_before_they_are_written),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
