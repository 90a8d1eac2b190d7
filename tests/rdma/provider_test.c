// SPDX-License-Identifier: Apache-2.0
//
// The provider on a device of this process (fake_rdma.h), so without RDMA: each call of the
// libraries fails once, at each place where it is made. Either the node does not open, with a clear
// error, or it comes up all the same and does its work; nothing is left behind in either case.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "fake_rdma.h"
#include "tacit/verbs.h"

#define PATIENCE_NS UINT64_C(30000000000)
#define MEMNODE ((tacit_node_t)TACIT_NODE_MEMNODE)

struct node {
    struct tacit_fabric *fabric;
    uint64_t memory[512];
    uint32_t ups, downs, hung_up, regions, granted, revoked, completions;
    uint8_t status;
    unsigned reports;
    bool unclear;
};

static struct node replica, memnode;
static struct tacit_keypair keypairs[TACIT_VERBS_KINDS];

static bool key_of(void *context, enum tacit_verbs_kind kind, uint16_t id,
                   tacit_incarnation_t incarnation, struct tacit_public_key *key)
{
    (void)context;
    (void)incarnation;
    (void)id;
    *key = keypairs[kind].public_key;
    return true;
}

static void report(void *context, enum tacit_verbs_report_kind kind, const char *text)
{
    (void)kind;
    struct node *node = context; // the control thread: checked later
    node->unclear |= strlen(text) < 20;
    node->reports++;
}

static void configure(struct tacit_verbs_config *config, struct node *node,
                      enum tacit_verbs_kind kind)
{
    static const struct tacit_verbs_peer peer = {
        .node = MEMNODE, .address = "127.0.0.1", .port = 7000};
    static const struct tacit_host_layout layout = {
        .page_bytes = 640, .control_bytes = 64, .log_bytes = 4096};
    memset(config, 0, sizeof(*config));
    config->kind = kind;
    config->incarnation = 1;
    config->address = "127.0.0.1";
    config->port = kind == TACIT_VERBS_MEMNODE ? 7000 : 7001;
    config->peers = &peer;
    config->peers_count = 1;
    config->layouts[TACIT_VERBS_REPLICA] = config->layouts[TACIT_VERBS_MEMNODE] = layout;
    config->keypair = &keypairs[kind];
    config->key_of = key_of;
    config->report = report;
    config->context = node;
    config->handshake_timeout_ns = 300000000;
    config->reconnect_max_ns = 20000000;
}

static enum tacit_status node_open(struct node *node, enum tacit_verbs_kind kind,
                                   struct tacit_error *error)
{
    struct tacit_verbs_config config;
    memset(node, 0, sizeof(*node));
    configure(&config, node, kind);
    *error = (struct tacit_error){.status = TACIT_OK};
    return tacit_verbs_open(&config, &node->fabric, error);
}

static void look(struct node *node)
{
    struct tacit_event events[16];
    size_t count = node->fabric->ops->poll(node->fabric, events, 16);
    for (size_t i = 0; i < count; i++) {
        node->ups += events[i].kind == TACIT_EVENT_UP;
        node->downs += events[i].kind == TACIT_EVENT_DOWN;
        node->hung_up += events[i].kind == TACIT_EVENT_DOWN && events[i].hung_up;
        node->granted += events[i].kind == TACIT_EVENT_GRANTED;
        node->revoked += events[i].kind == TACIT_EVENT_REVOKED;
        if (events[i].kind == TACIT_EVENT_COMPLETION) {
            node->completions++;
            node->status = events[i].status;
        }
    }
}

// Lets time pass; false when it has been enough.
static bool wait_more(tacit_time_ns_t until_ns)
{
    look(&replica);
    look(&memnode);
    (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    return tacit_verbs_now_ns() < until_ns;
}

static int32_t region(uint8_t region_class, tacit_node_t owner)
{
    struct tacit_region_key key = {region_class, owner, 1};
    return replica.fabric->ops->region(replica.fabric, MEMNODE, key);
}

// One operation with its result, tried again where the contract says that the caller does so: it is
// refused, or lost with the connection.
static enum tacit_completion operate(uint8_t kind, uint8_t region_class, tacit_node_t owner,
                                     uint8_t flags, uint64_t generation)
{
    tacit_time_ns_t until_ns = tacit_verbs_now_ns() + PATIENCE_NS;
    for (;;) {
        struct tacit_op op = {.kind = kind,
                              .plane = TACIT_PLANE_DATA,
                              .flags = flags,
                              .host = MEMNODE,
                              .region = region(region_class, owner),
                              .bytes = 64,
                              .local = replica.memory,
                              .generation = generation,
                              .cookie = TACIT_COOKIE(TACIT_COOKIE_FD, 1)};
        uint32_t before = replica.completions;
        bool posted = op.region >= 0 && replica.fabric->ops->post(replica.fabric, &op);
        while (posted && replica.completions == before && wait_more(until_ns)) {
        }
        if (posted && replica.completions != before && replica.status != TACIT_COMPLETION_LOST) {
            return (enum tacit_completion)replica.status;
        }
        if (!wait_more(until_ns)) {
            fail_msg("an operation has no result");
        }
    }
}

// What a replica and a memory node do with each other, from the first connection to the last.
static void work(bool attached)
{
    const struct tacit_fabric_ops *ops = replica.fabric->ops;
    tacit_time_ns_t until_ns = tacit_verbs_now_ns() + PATIENCE_NS;
    while ((region(TACIT_REGION_LOG, 0) < 0 || memnode.ups == 0) && wait_more(until_ns)) {
    }
    assert_true(region(TACIT_REGION_LOG, 0) >= 0);
    if (!attached) {
        assert_int_equal(replica.reports, 1); // and nothing else can be done
        return;
    }
    assert_int_equal(operate(TACIT_OP_READ, TACIT_REGION_PAGE, 0, 0, 0), TACIT_COMPLETION_OK);
    memnode.fabric->ops->grant(memnode.fabric, 0, 1, 1);
    while (memnode.granted == 0 && wait_more(until_ns)) {
    }
    for (unsigned i = 0; i < 8; i++) {
        replica.memory[i] = 70 + i;
    }
    assert_int_equal(operate(TACIT_OP_WRITE, TACIT_REGION_LOG, 0, TACIT_OP_AS_HOLDER, 1),
                     TACIT_COMPLETION_OK);
    size_t bytes = 0;
    struct tacit_region_key key = {TACIT_REGION_LOG, 0, 1};
    const uint64_t *log = memnode.fabric->ops->local(memnode.fabric, key, &bytes);
    assert_int_equal(bytes, 4096);
    assert_int_equal(log[0], 70);
    assert_int_equal(log[7], 77);
    assert_int_equal(operate(TACIT_OP_READ, TACIT_REGION_LOG, 0, TACIT_OP_AS_HOLDER, 1),
                     TACIT_COMPLETION_OK);
    assert_int_equal(operate(TACIT_OP_WRITE, TACIT_REGION_CONTROL, 0, 0, 0), TACIT_COMPLETION_OK);
    ops->ring(replica.fabric, MEMNODE);
    memnode.fabric->ops->revoke(memnode.fabric, 2);
    while (memnode.revoked == 0 && wait_more(until_ns)) {
    }
    assert_int_equal(memnode.revoked, 1);
    replica.memory[0] = 99;
    assert_int_equal(operate(TACIT_OP_WRITE, TACIT_REGION_LOG, 0, TACIT_OP_AS_HOLDER, 1),
                     TACIT_COMPLETION_DENIED);
    assert_int_equal(log[0], 70);
}

// What the device refuses to destroy stays; nothing else does.
static void assert_nothing_left(enum fake_call call)
{
    assert_true(fake_live() <= (call == FAKE_ibv_destroy_qp));
}

// Whole lives of both nodes. False: one did not open, and has said why.
static bool live(enum fake_call call)
{
    struct tacit_error error;
    enum tacit_status status = node_open(&memnode, TACIT_VERBS_MEMNODE, &error);
    bool opened = status == TACIT_OK;
    if (opened) {
        status = node_open(&replica, TACIT_VERBS_REPLICA, &error);
        if (status == TACIT_OK) {
            replica.fabric->ops->attach(replica.fabric, replica.memory, sizeof(replica.memory));
            work(replica.reports == 0);
            tacit_verbs_close(replica.fabric);
        }
        tacit_verbs_close(memnode.fabric);
    }
    assert_false(memnode.unclear || replica.unclear);
    if (status != TACIT_OK) {
        assert_int_equal(error.status, status);
        assert_true(strlen(error.text) > 20);
    }
    assert_nothing_left(call);
    return status == TACIT_OK;
}

static const struct fake_manner good = {0};

static void lives_without_faults(void **unused)
{
    (void)unused;
    fake_reset(&good, 0, 0);
    assert_true(live(FAKE_CALLS_COUNT));
    for (unsigned call = 0; call < FAKE_CALLS_COUNT; call++) {
        bool checks = call == FAKE_ibv_get_device_list || call == FAKE_ibv_open_device ||
                      call == FAKE_ibv_query_device; // tacit_verbs_check() alone
        assert_true(checks || fake_count((enum fake_call)call) != 0);
    }
}

// Calls that are made again and again while nothing happens; their later places are like the first.
static unsigned places_of(enum fake_call call)
{
    unsigned count = fake_count(call);
    return count < 60 ? count : 60;
}

static void any_call_may_fail(void **unused)
{
    (void)unused;
    unsigned tried = 0, refused = 0;
    for (unsigned call = 0; call < FAKE_CALLS_COUNT; call++) {
        fake_reset(&good, 0, 0);
        assert_true(live(FAKE_CALLS_COUNT));
        unsigned places = places_of((enum fake_call)call);
        for (unsigned number = 1; number <= places; number++) {
            fake_reset(&good, (enum fake_call)call, number);
            print_message("%s, call %u\n", fake_name((enum fake_call)call), number);
            refused += !live((enum fake_call)call);
            tried++;
        }
    }
    print_message("# %u faults, %u of them kept a node from opening\n", tried, refused);
    assert_true(tried > 200 && refused > 10 && refused < tried);
}

static enum tacit_status opens(const struct fake_manner *manner, struct tacit_error *error)
{
    fake_reset(manner, 0, 0);
    enum tacit_status status = node_open(&memnode, TACIT_VERBS_MEMNODE, error);
    if (status == TACIT_OK) {
        tacit_verbs_close(memnode.fabric);
    }
    assert_int_equal(fake_live(), 0);
    return status;
}

static void unfit_devices_are_refused(void **unused)
{
    (void)unused;
    const struct {
        struct fake_manner manner;
        enum tacit_status status;
        const char *says;
    } cases[] = {{{.absent = true}, TACIT_ENOENT, "No RDMA device has the address"},
                 {{.port_down = true}, TACIT_ENOENT, "port is down"},
                 {{.iwarp = true}, TACIT_ENOENT, "iWARP"},
                 {{.lawless = true}, TACIT_EIO, "does not enforce"}};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tacit_error error;
        assert_int_equal(opens(&cases[i].manner, &error), cases[i].status);
        assert_non_null(strstr(error.text, cases[i].says));
        struct tacit_verbs_check check;
        tacit_verbs_check("127.0.0.1", &check);
        assert_false(check.usable);
        tacit_verbs_check(NULL, &check);
        assert_false(check.usable);
        assert_true(check.count > 0);
    }
}

// The first way that the device honours is taken, and works from the grant to the revocation.
static void permissions_move_as_the_device_can(void **unused)
{
    (void)unused;
    const struct {
        struct fake_manner manner;
        enum tacit_verbs_permission permission;
    } cases[] = {
        {{0}, TACIT_VERBS_PERMISSION_FLAGS},
        {{.fixed_flags = true}, TACIT_VERBS_PERMISSION_CYCLE},
        {{.silent_markers = true}, TACIT_VERBS_PERMISSION_DESTROY},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tacit_error error;
        struct tacit_verbs_facts facts;
        fake_reset(&cases[i].manner, 0, 0);
        assert_int_equal(node_open(&memnode, TACIT_VERBS_MEMNODE, &error), TACIT_OK);
        tacit_verbs_facts(memnode.fabric, &facts);
        tacit_verbs_close(memnode.fabric);
        assert_int_equal(facts.permission, cases[i].permission);
        assert_string_equal(facts.device, "fake0");
        assert_string_equal(facts.gid_type, "RoCE v2");
        assert_int_equal(facts.gid_index, FAKE_GID_BEST);
        fake_reset(&cases[i].manner, 0, 0);
        assert_true(live(FAKE_CALLS_COUNT));
    }
}

static void configuration_is_checked(void **unused)
{
    (void)unused;
    const struct {
        const char *address;
        struct tacit_verbs_wishes wishes;
        enum tacit_status status;
        const char *says;
    } cases[] = {
        {"localhost", {0}, TACIT_EINVAL, "numeric"},
        {"10.1.2.3", {0}, TACIT_ENOENT, "No RDMA device has the address"},
        {"127.0.0.1",
         {.device = "mlx5_0"},
         TACIT_ENOENT,
         "of the RDMA device fake0, not to mlx5_0"},
        {"127.0.0.1", {.port = 2}, TACIT_ENOENT, "belongs to port 1 of the RDMA device fake0, not"},
        {"127.0.0.1",
         {.has_gid_index = true, .gid_index = 1},
         TACIT_ENOENT,
         "asks for GID 1; those with the address are: 0 (RoCE v1), 2 (RoCE v2), 3 (RoCE v2)"},
        {"127.0.0.1", {.has_gid_index = true, .gid_index = 9}, TACIT_ENOENT, "asks for GID 9"},
        {"127.0.0.1", {.mtu_bytes = 1000}, TACIT_EINVAL, "accepted are 256"},
        {"127.0.0.1", {.mtu_bytes = 4096}, TACIT_EINVAL, "more than port 1"},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tacit_verbs_config config;
        struct tacit_error error;
        struct tacit_fabric *fabric;
        fake_reset(&good, 0, 0);
        configure(&config, &memnode, TACIT_VERBS_MEMNODE);
        config.address = cases[i].address;
        config.wishes = cases[i].wishes;
        assert_int_equal(tacit_verbs_open(&config, &fabric, &error), cases[i].status);
        if (strstr(error.text, cases[i].says) == NULL) {
            fail_msg("\"%s\" does not say \"%s\"", error.text, cases[i].says);
        }
    }
    assert_int_equal(fake_live(), 0);
}

// Nodes with these wishes, by kind: the replica's facts, and what the last queue pair was given.
static struct fake_start start_with(const struct tacit_verbs_wishes wishes[2],
                                    tacit_time_ns_t silence_ns, struct tacit_verbs_facts *facts)
{
    struct tacit_error error;
    fake_reset(&good, 0, 0);
    struct node *nodes[] = {[TACIT_VERBS_REPLICA] = &replica, [TACIT_VERBS_MEMNODE] = &memnode};
    for (unsigned kind = 0; kind < 2; kind++) {
        struct tacit_verbs_config config;
        memset(nodes[kind], 0, sizeof(replica));
        configure(&config, nodes[kind], (enum tacit_verbs_kind)kind);
        config.wishes = wishes[kind];
        config.silence_ns = silence_ns;
        assert_int_equal(tacit_verbs_open(&config, &nodes[kind]->fabric, &error), TACIT_OK);
    }
    replica.fabric->ops->attach(replica.fabric, replica.memory, sizeof(replica.memory));
    work(true);
    tacit_verbs_facts(replica.fabric, facts);
    struct fake_start start = fake_last_start();
    tacit_verbs_close(memnode.fabric);
    tacit_verbs_close(replica.fabric);
    assert_int_equal(fake_live(), 0);
    return start;
}

// What belongs to the address, or what is asked for: it is told, and the device gets it.
static void queue_pairs_get_what_was_chosen(void **unused)
{
    (void)unused;
    struct tacit_verbs_facts facts;
    struct fake_start start = start_with((struct tacit_verbs_wishes[2]){{0}}, 0, &facts);
    assert_int_equal(facts.gid_index, FAKE_GID_BEST);
    assert_string_equal(facts.gid_type, "RoCE v2");
    assert_non_null(strstr(facts.gid_why, "RoCE v2 before v1"));
    assert_int_equal(start.gid_index, FAKE_GID_BEST);
    assert_int_equal(facts.mtu_bytes, 1024);
    assert_int_equal(start.mtu_bytes, 1024);

    const struct tacit_verbs_wishes wishes = {
        .device = "fake0", .port = 1, .has_gid_index = true, .gid_index = 0, .mtu_bytes = 512};
    start = start_with((struct tacit_verbs_wishes[2]){wishes, wishes}, 0, &facts);
    assert_int_equal(facts.gid_index, 0);
    assert_string_equal(facts.gid_type, "RoCE v1");
    assert_string_equal(facts.gid_why, "the one that is asked for");
    assert_int_equal(start.gid_index, 0);
    assert_int_equal(facts.mtu_bytes, 512);
    assert_int_equal(start.mtu_bytes, 512);

    // Two nodes that differ agree on the smaller packets, whoever asks for them.
    for (unsigned kind = 0; kind < 2; kind++) {
        struct tacit_verbs_wishes one[2] = {{0}};
        one[kind].mtu_bytes = 256;
        start = start_with(one, 0, &facts);
        assert_int_equal(facts.mtu_bytes, kind == TACIT_VERBS_REPLICA ? 256 : 1024);
        assert_int_equal(start.mtu_bytes, 256);
    }
}

// All tries of a queue pair together end within the silence that is allowed, and not long before;
// those of the connection itself within four times that.
static void silence_bounds_the_tries(void **unused)
{
    (void)unused;
    static const tacit_time_ns_t silences_ns[] = {64000, 20000000, 500000000, 2000000000};
    for (unsigned i = 0; i < sizeof(silences_ns) / sizeof(silences_ns[0]); i++) {
        struct tacit_verbs_facts facts;
        struct fake_start start =
            start_with((struct tacit_verbs_wishes[2]){{0}}, silences_ns[i], &facts);
        uint64_t tries_ns = (start.retries + 1u) * (UINT64_C(4096) << start.timeout);
        assert_true(start.retries == 6 && tries_ns <= silences_ns[i]);
        assert_true(tries_ns * 2 > silences_ns[i]);
        assert_int_equal(start.manager_timeout, start.timeout + 2);
    }
}

// A connection that comes back in the same incarnation registers nothing again; a new incarnation
// gets registrations of its own, and the old ones go.
static void memory_is_registered_once(void **unused)
{
    (void)unused;
    struct tacit_error error;
    fake_reset(&good, 0, 0);
    assert_int_equal(node_open(&memnode, TACIT_VERBS_MEMNODE, &error), TACIT_OK);
    assert_int_equal(node_open(&replica, TACIT_VERBS_REPLICA, &error), TACIT_OK);
    replica.fabric->ops->attach(replica.fabric, replica.memory, sizeof(replica.memory));
    assert_int_equal(operate(TACIT_OP_READ, TACIT_REGION_PAGE, 0, 0, 0), TACIT_COMPLETION_OK);
    tacit_time_ns_t until_ns = tacit_verbs_now_ns() + PATIENCE_NS;
    unsigned registered = fake_count(FAKE_ibv_reg_mr);
    unsigned live = fake_live();
    for (unsigned round = 1; round <= 5; round++) {
        struct tacit_fabric *from = round % 2 == 0 ? memnode.fabric : replica.fabric;
        uint32_t before = replica.ups;
        replica.memory[0] = round;
        assert_int_equal(operate(TACIT_OP_WRITE, TACIT_REGION_CONTROL, 0, 0, 0),
                         TACIT_COMPLETION_OK);
        from->ops->reset(from, from == memnode.fabric ? 0 : MEMNODE);
        while ((replica.ups == before || memnode.ups <= round) && wait_more(until_ns)) {
        }
        assert_int_equal(replica.downs, round);
        // Who resets it knows; the other end is told that it was hung up on.
        assert_int_equal(replica.hung_up, round / 2);
        assert_int_equal(memnode.hung_up, (round + 1) / 2);
        assert_int_equal(operate(TACIT_OP_READ, TACIT_REGION_CONTROL, 0, 0, 0),
                         TACIT_COMPLETION_OK);
        assert_int_equal(replica.memory[0], round);
    }
    assert_int_equal(fake_count(FAKE_ibv_reg_mr), registered);
    assert_int_equal(fake_live(), live);

    tacit_verbs_close(replica.fabric);
    struct tacit_verbs_config config;
    memset(&replica, 0, sizeof(replica));
    configure(&config, &replica, TACIT_VERBS_REPLICA);
    config.incarnation = 2;
    assert_int_equal(tacit_verbs_open(&config, &replica.fabric, &error), TACIT_OK);
    replica.fabric->ops->attach(replica.fabric, replica.memory, sizeof(replica.memory));
    until_ns = tacit_verbs_now_ns() + PATIENCE_NS;
    while (replica.ups == 0 && wait_more(until_ns)) {
    }
    assert_int_equal(operate(TACIT_OP_READ, TACIT_REGION_PAGE, 0, 0, 0), TACIT_COMPLETION_OK);
    assert_true(fake_count(FAKE_ibv_reg_mr) > registered);
    tacit_verbs_close(replica.fabric);
    tacit_verbs_close(memnode.fabric);
    assert_int_equal(fake_live(), 0);
}

// A turn's writes to one host cost one doorbell and one completion.
static void writes_share_a_doorbell(void **unused)
{
    (void)unused;
    struct tacit_error error;
    struct tacit_verbs_counters before, after;
    fake_reset(&good, 0, 0);
    assert_int_equal(node_open(&memnode, TACIT_VERBS_MEMNODE, &error), TACIT_OK);
    assert_int_equal(node_open(&replica, TACIT_VERBS_REPLICA, &error), TACIT_OK);
    replica.fabric->ops->attach(replica.fabric, replica.memory, sizeof(replica.memory));
    (void)operate(TACIT_OP_READ, TACIT_REGION_PAGE, 0, 0, 0);
    int32_t control = region(TACIT_REGION_CONTROL, 0);
    tacit_verbs_counters(replica.fabric, &before);
    for (uint64_t i = 0; i < 5; i++) {
        uint64_t word = 100 + i; // quiet ones may go at once
        struct tacit_op op = {.kind = TACIT_OP_WRITE,
                              .plane = TACIT_PLANE_BACKGROUND,
                              .flags = TACIT_OP_QUIET,
                              .host = MEMNODE,
                              .region = control,
                              .bytes = 8,
                              .offset = 8 * i,
                              .local = &word};
        assert_true(replica.fabric->ops->post(replica.fabric, &op));
        word = 0;
    }
    replica.fabric->ops->ring(replica.fabric, MEMNODE);
    struct tacit_region_key key = {TACIT_REGION_CONTROL, 0, 1};
    size_t bytes;
    const uint64_t *words = memnode.fabric->ops->local(memnode.fabric, key, &bytes);
    for (uint64_t i = 0; i < 5; i++) {
        assert_int_equal(words[i], 100 + i);
    }
    look(&replica);
    tacit_verbs_counters(replica.fabric, &after);
    const struct tacit_verbs_costs *from = &before.costs[TACIT_PLANE_BACKGROUND];
    const struct tacit_verbs_costs *to = &after.costs[TACIT_PLANE_BACKGROUND];
    assert_int_equal(to->posts - from->posts, 6); // and the bell
    assert_int_equal(to->inlined - from->inlined, 6);
    assert_int_equal(to->doorbells - from->doorbells, 1);
    assert_int_equal(to->completions - from->completions, 1);
    tacit_verbs_close(replica.fabric);
    tacit_verbs_close(memnode.fabric);
    assert_int_equal(fake_live(), 0);
}

// A device that fails is a DOWN of everybody who was reached through it.
static void device_failure_is_down(void **unused)
{
    (void)unused;
    for (unsigned way = 0; way < 2; way++) {
        struct tacit_error error;
        fake_reset(&good, 0, 0);
        assert_int_equal(node_open(&memnode, TACIT_VERBS_MEMNODE, &error), TACIT_OK);
        assert_int_equal(node_open(&replica, TACIT_VERBS_REPLICA, &error), TACIT_OK);
        replica.fabric->ops->attach(replica.fabric, replica.memory, sizeof(replica.memory));
        (void)operate(TACIT_OP_READ, TACIT_REGION_PAGE, 0, 0, 0);
        uint32_t downs = replica.downs;
        if (way == 0) {
            fake_device_fails();
        } else {
            fake_device_goes();
        }
        tacit_time_ns_t until_ns = tacit_verbs_now_ns() + PATIENCE_NS;
        while (replica.downs == downs && wait_more(until_ns)) {
        }
        assert_true(replica.downs > downs);
        tacit_verbs_close(replica.fabric);
        tacit_verbs_close(memnode.fabric);
        assert_true(replica.reports + memnode.reports > 0);
        assert_int_equal(fake_live(), 0);
    }
}

static void check_says_what_is_there(void **unused)
{
    (void)unused;
    struct tacit_verbs_check check;
    fake_reset(&good, 0, 0);
    tacit_verbs_check(NULL, &check);
    bool manages = check.usable; // needs /dev/infiniband/rdma_cm of this machine, too
    assert_true(manages || check.count > 1);
    assert_string_equal(check.facts.device, "fake0");
    assert_string_equal(check.facts.address, "127.0.0.1");
    assert_int_equal(check.facts.permission, TACIT_VERBS_PERMISSION_FLAGS);
    for (unsigned call = 0; call < FAKE_CALLS_COUNT; call++) {
        fake_reset(&good, 0, 0);
        tacit_verbs_check("127.0.0.1", &check);
        tacit_verbs_check(NULL, &check);
        unsigned places = fake_count((enum fake_call)call);
        for (unsigned number = 1; number <= places && number <= 20; number++) {
            fake_reset(&good, (enum fake_call)call, number);
            tacit_verbs_check("127.0.0.1", &check);
            tacit_verbs_check(NULL, &check);
            assert_nothing_left((enum fake_call)call);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives_without_faults),
        cmocka_unit_test(any_call_may_fail),
        cmocka_unit_test(unfit_devices_are_refused),
        cmocka_unit_test(permissions_move_as_the_device_can),
        cmocka_unit_test(configuration_is_checked),
        cmocka_unit_test(queue_pairs_get_what_was_chosen),
        cmocka_unit_test(silence_bounds_the_tries),
        cmocka_unit_test(memory_is_registered_once),
        cmocka_unit_test(writes_share_a_doorbell),
        cmocka_unit_test(device_failure_is_down),
        cmocka_unit_test(check_says_what_is_there),
    };
    struct tacit_error error;
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL); // a name, while looking for a fault
    if (tacit_crypto_init(&error) != TACIT_OK) {
        return 1;
    }
    for (unsigned kind = 0; kind < TACIT_VERBS_KINDS; kind++) {
        const uint8_t seed[TACIT_SEED_BYTES] = {(uint8_t)(kind + 1)};
        tacit_keypair_from_seed(&keypairs[kind], seed);
    }
    return cmocka_run_group_tests_name("verbs provider", tests, NULL, NULL);
}
