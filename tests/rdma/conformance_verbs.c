// SPDX-License-Identifier: Apache-2.0
//
// The conformance suite on real verbs: each node is a process that connects through the RDMA device
// with the address TACIT_RDMA_ADDRESS (10.0.0.1: the one of the virtual machine). Then cases of
// this provider's own, in which a hostile peer uses the device directly; TACIT_RDMA_ROUNDS says how
// often things race.
//
//   conformance_verbs [--long | --own] [CASE]
#include <infiniband/verbs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"
#include "verbs_node.h"

static struct conf_processes processes = {
    .main = verbs_node_main,
    .call_timeout_ms = 60000,
    .slowness = 10, // of the emulated machine and its device
};

static void node_sever(struct conf_harness *harness, tacit_node_t a, tacit_node_t b)
{
    static struct conf_request request;
    static struct conf_reply reply;
    request = (struct conf_request){.call = CONF_RESET, .host = b};
    (void)conf_process_call(harness, a, &request, &reply);
}

static bool cluster_open(struct conf_harness *harness, const char **reason)
{
    int devices = 0;
    struct ibv_device **list = ibv_get_device_list(&devices);
    if (list != NULL) {
        ibv_free_device_list(list);
    }
    if (devices == 0) {
        *reason = "there is no RDMA device (tests/rdma/run.sh makes one, in a virtual machine)";
        return false;
    }
    harness->context = &processes;
    return true;
}

static struct conf_harness harness = {
    .name = "verbs",
    .can = CONF_CAN_KILL | CONF_CAN_PAUSE | CONF_CAN_SEVER | CONF_CAN_SLEEP | CONF_CAN_ATTACK |
           CONF_IS_REAL,
    .open = cluster_open,
    .close = conf_process_kill_all,
    .start = conf_process_start,
    .kill = conf_process_kill,
    .pause = conf_process_pause,
    .sever = node_sever,
    .step = conf_process_step,
    .call = conf_process_call,
};

// ---- cases of this provider's own
// -----------------------------------------------------------------------

static unsigned rounds_wanted(void)
{
    const char *text = getenv("TACIT_RDMA_ROUNDS");
    unsigned long rounds = text == NULL ? 0 : strtoul(text, NULL, 10);
    return rounds == 0 || rounds > 1000000 ? 100 : (unsigned)rounds;
}

static struct tacit_region_key log_of(tacit_node_t owner)
{
    return conf_key(TACIT_REGION_LOG, owner, 1);
}

static uint64_t attack(tacit_node_t at, tacit_node_t host, uint64_t how, uint64_t *tried)
{
    struct conf_request *request = conf_request(CONF_ATTACK);
    request->host = host;
    request->bytes = how;
    const struct conf_reply *reply = conf_call(&harness, at, request);
    assert_true(reply->ok);
    *tried = reply->value2;
    return reply->value;
}

// What the holder's queue pair lets through, the registrations refuse; only its own log is open to
// it.
static void holder_may_only_write_its_log(void **unused)
{
    (void)unused;
    conf_start_all(&harness);
    uint64_t tried;
    conf_grant(&harness, 0, 1, 1, 1);
    assert_int_equal(attack(1, 0, VERBS_ATTACK_ALL, &tried), VERBS_WROTE_OWN_LOG);
    assert_int_equal(tried, 2 * VERBS_DISTURBED - 1); // all of them
    conf_revoke(&harness, 0, 2);
    assert_int_equal(attack(1, 0, VERBS_ATTACK_ALL, &tried), 0);
    assert_int_equal(attack(0, CONF_MEMNODE, VERBS_ATTACK_ALL, &tried), 0);
}

// The whole log of replica 1 at the memory node equals what it was at REVOKED.
static void assert_nothing_landed(unsigned round)
{
    static uint64_t then[CONF_DATA_BYTES / 8];
    for (uint64_t offset = 0; offset < CONF_LOG_BYTES; offset += CONF_DATA_BYTES) {
        struct conf_request *request = conf_request(CONF_SNAPSHOT_READ);
        request->offset = offset;
        request->bytes = CONF_DATA_BYTES;
        memcpy(then, conf_call(&harness, CONF_MEMNODE, request)->data, sizeof(then));
        request = conf_request(CONF_LOCAL_READ);
        request->key = log_of(1);
        request->offset = offset;
        request->bytes = CONF_DATA_BYTES;
        const struct conf_reply *now = conf_call(&harness, CONF_MEMNODE, request);
        assert_int_equal(now->value, 1);
        if (memcmp(then, now->data, sizeof(then)) != 0) {
            fail_msg("round %u: a write landed after REVOKED", round);
        }
    }
}

static bool post_aside(tacit_node_t at, uint8_t kind, uint8_t flags, int32_t region, uint64_t value,
                       uint64_t generation)
{
    struct conf_request *request = conf_request(CONF_POST);
    request->op = (struct tacit_op){.kind = kind,
                                    .plane = TACIT_PLANE_BACKGROUND,
                                    .flags = flags,
                                    .host = CONF_MEMNODE,
                                    .region = region,
                                    .bytes = 512,
                                    .generation = generation,
                                    .cookie = TACIT_COOKIE(TACIT_COOKIE_FD, value)};
    for (unsigned i = 0; i < 64; i++) {
        memcpy(request->data + 8u * i, &value, sizeof(value));
    }
    return conf_call(&harness, at, request)->ok;
}

// What needs the permission takes another queue pair than the rest of the background plane: their
// order is kept all the same, and the permission is asked for there too.
static void background_keeps_its_order(void **unused)
{
    (void)unused;
    conf_start_all(&harness);
    conf_grant(&harness, CONF_MEMNODE, 1, 1, 1);
    int32_t region = conf_region(&harness, 1, CONF_MEMNODE, log_of(1));
    for (uint64_t i = 1; i <= 50; i++) {
        assert_true(
            post_aside(1, TACIT_OP_WRITE, TACIT_OP_AS_HOLDER | TACIT_OP_QUIET, region, i, 1));
        assert_true(post_aside(1, TACIT_OP_READ, 0, region, i, 0));
        assert_int_equal(conf_expect(&harness, 1, TACIT_EVENT_COMPLETION, CONF_MEMNODE).status,
                         TACIT_COMPLETION_OK);
        uint64_t seen;
        memcpy(&seen, conf_call(&harness, 1, conf_request(CONF_READ_RESULT))->data + 504,
               sizeof(seen));
        assert_int_equal(seen, i);
    }
    conf_revoke(&harness, CONF_MEMNODE, 2);
    const struct {
        uint8_t kind, flags;
        enum tacit_completion status;
    } afterwards[] = {{TACIT_OP_WRITE, TACIT_OP_AS_HOLDER, TACIT_COMPLETION_DENIED},
                      {TACIT_OP_READ, TACIT_OP_AS_HOLDER, TACIT_COMPLETION_DENIED},
                      {TACIT_OP_READ, 0, TACIT_COMPLETION_OK}};
    for (unsigned i = 0; i < 3; i++) {
        assert_true(post_aside(1, afterwards[i].kind, afterwards[i].flags, region, 99, 1));
        assert_int_equal(conf_expect(&harness, 1, TACIT_EVENT_COMPLETION, CONF_MEMNODE).status,
                         afterwards[i].status);
    }
    assert_int_equal(conf_local(&harness, CONF_MEMNODE, log_of(1), 504), 50);
}

static bool read_on_background(tacit_node_t at, tacit_node_t host, uint64_t cookie)
{
    struct conf_request *request = conf_request(CONF_POST);
    int32_t region = conf_region(&harness, at, host, conf_key(TACIT_REGION_PAGE, host, 1));
    request = conf_request(CONF_POST);
    request->op = (struct tacit_op){.kind = TACIT_OP_READ,
                                    .plane = TACIT_PLANE_BACKGROUND,
                                    .host = host,
                                    .region = region,
                                    .bytes = 64,
                                    .cookie = TACIT_COOKIE(TACIT_COOKIE_FD, cookie)};
    assert_true(conf_call(&harness, at, request)->ok);
    for (;;) {
        struct tacit_event event = conf_expect(&harness, at, TACIT_EVENT_COMPLETION, host);
        if (event.cookie == TACIT_COOKIE(TACIT_COOKIE_FD, cookie)) {
            return event.status == TACIT_COMPLETION_OK;
        }
    }
}

// Contract 5 against a peer that never stops writing, whatever it is told: with the permission its
// writes land, after REVOKED none does. Meanwhile its background plane and other peers see nothing
// of it.
static void nothing_lands_after_revoked(void **unused)
{
    (void)unused;
    unsigned rounds = rounds_wanted();
    uint64_t generation = 0, tried, last = 0;
    unsigned landed = 0;
    conf_start_all(&harness);
    (void)attack(1, CONF_MEMNODE, VERBS_ATTACK_FLOOD, &tried);
    for (unsigned round = 0; round < rounds; round++) {
        conf_grant(&harness, CONF_MEMNODE, 1, 1, ++generation);
        for (unsigned i = 0; i < 200; i++) { // until it writes again
            uint64_t word = conf_local(&harness, CONF_MEMNODE, log_of(1), 0);
            if (word != last) {
                last = word;
                landed++;
                break;
            }
            conf_process_step(&harness, 500000);
        }
        conf_process_step(&harness, 1000u * (round % 97));
        struct conf_request *request = conf_request(CONF_REVOKE_SNAPSHOT);
        request->generation = ++generation;
        request->key = log_of(1);
        (void)conf_call(&harness, CONF_MEMNODE, request);
        (void)conf_expect(&harness, CONF_MEMNODE, TACIT_EVENT_REVOKED, TACIT_NODE_NONE);
        conf_process_step(&harness, 3000000);
        assert_nothing_landed(round);
        assert_true(read_on_background(1, CONF_MEMNODE, round + 1));
        assert_true(read_on_background(2, CONF_MEMNODE, round + 1));
    }
    print_message("# %u of %u rounds had writes under way\n", landed, rounds);
    assert_true(landed >= rounds - rounds / 20); // else nothing was tested
    struct tacit_event event;
    assert_false(conf_event_within(&harness, 1, TACIT_EVENT_DOWN, CONF_MEMNODE, 0, &event));
}

// ---- connections and queue pairs that fail under a stream of writes
// ---------------------------------

#define AREA_BYTES 2048u
#define AREA_SLOTS 32u // writes of a cache line, one after the other and round again

enum break_way { BREAK_AT_WRITER, BREAK_AT_HOST, FAIL_AT_WRITER, FAIL_AT_HOST, BREAK_WAYS };

static const struct conf_reply *writer_state(void)
{
    return conf_call(&harness, 1, conf_request(CONF_WRITER_STATE));
}

// Writes of replica 1 into an area of its log at the memory node, as the holder, without an end.
static void stream_start(unsigned area, int32_t region)
{
    struct conf_request *request = conf_request(CONF_WRITER_START);
    request->op = (struct tacit_op){.plane = TACIT_PLANE_DATA,
                                    .host = CONF_MEMNODE,
                                    .region = region,
                                    .bytes = AREA_BYTES / AREA_SLOTS,
                                    .offset = (uint64_t)area * AREA_BYTES,
                                    .generation = 1};
    request->extent = AREA_BYTES;
    (void)conf_call(&harness, 1, request);
    for (unsigned i = 0; i < 1000 && writer_state()->value < 20; i++) {
        conf_process_step(&harness, 500000);
    }
    assert_true(writer_state()->value >= 20);
}

static void stream_break(enum break_way way)
{
    uint64_t tried;
    struct conf_request *request = conf_request(CONF_RESET);
    request->host = way == BREAK_AT_WRITER ? CONF_MEMNODE : 1;
    switch (way) {
    case BREAK_AT_WRITER:
        (void)conf_call(&harness, 1, request);
        break;
    case BREAK_AT_HOST:
        (void)conf_call(&harness, CONF_MEMNODE, request);
        break;
    case FAIL_AT_WRITER:
        (void)attack(1, CONF_MEMNODE, VERBS_ATTACK_FAIL_OWN, &tried);
        break;
    case FAIL_AT_HOST:
    case BREAK_WAYS:
        (void)attack(CONF_MEMNODE, 1, VERBS_ATTACK_FAIL_HOST, &tried);
    }
}

static void area_read(unsigned area, uint64_t words[AREA_BYTES / 8])
{
    struct conf_request *request = conf_request(CONF_LOCAL_READ);
    request->key = log_of(1);
    request->offset = (uint64_t)area * AREA_BYTES;
    request->bytes = AREA_BYTES;
    const struct conf_reply *reply = conf_call(&harness, CONF_MEMNODE, request);
    assert_int_equal(reply->value, 1);
    memcpy(words, reply->data, AREA_BYTES);
}

// What has landed is the beginning of the stream, up to a place not before the last `OK`: each slot
// has the last of its writes up to there.
static void assert_no_hole(const uint64_t words[AREA_BYTES / 8], uint64_t ok)
{
    uint64_t last = 0;
    for (unsigned i = 0; i < AREA_BYTES / 8; i++) {
        last = (words[i] >> 32) > last ? words[i] >> 32 : last;
    }
    assert_true(last >= ok && last <= ok + 16);
    for (uint64_t number = last; number-- > 1 && last - number < AREA_SLOTS;) {
        for (unsigned i = 0; i < 8; i++) {
            uint64_t word = words[(number - 1) % AREA_SLOTS * 8 + i];
            if (word != (number << 32 | number)) {
                fail_msg("write %llu of %llu is not there", (unsigned long long)number,
                         (unsigned long long)last);
            }
        }
    }
}

static void break_once(enum break_way way, unsigned area)
{
    static uint64_t then[AREA_BYTES / 8], now[AREA_BYTES / 8];
    struct tacit_event event;
    struct conf_access access = {.at = 1,
                                 .host = CONF_MEMNODE,
                                 .flags = TACIT_OP_AS_HOLDER,
                                 .generation = 1,
                                 .offset = CONF_LOG_BYTES - 8,
                                 .region = conf_region_wait(&harness, 1, CONF_MEMNODE, log_of(1))};
    bool is_broken = way == BREAK_AT_WRITER || way == BREAK_AT_HOST;
    stream_start(area, access.region);
    stream_break(way);
    if (is_broken) {
        assert_int_equal(conf_expect_change(&harness, 1, CONF_MEMNODE).kind, TACIT_EVENT_DOWN);
        event = conf_expect_change(&harness, 1, CONF_MEMNODE);
        assert_true(event.kind == TACIT_EVENT_UP && event.incarnation == 1);
        // Who has not looked and goes on with what it had is told so.
        assert_int_equal(conf_write(&harness, access, 1, 1), TACIT_COMPLETION_DENIED);
        access.region = conf_region_wait(&harness, 1, CONF_MEMNODE, log_of(1));
    }
    for (unsigned i = 0; i < 1000 && writer_state()->value2 == UINT64_MAX; i++) {
        conf_process_step(&harness, 500000);
    }
    uint64_t ok = writer_state()->value;
    assert_true(writer_state()->value2 == TACIT_COMPLETION_LOST ||
                writer_state()->value2 == TACIT_COMPLETION_DENIED);
    // The holder holds still: it may go on, knowingly.
    assert_int_equal(conf_write(&harness, access, 100 + area, 1), TACIT_COMPLETION_OK);
    area_read(area, then);
    assert_no_hole(then, ok);
    conf_process_step(&harness, 3000000);
    area_read(area, now);
    assert_memory_equal(then, now, sizeof(now));
    assert_int_equal(conf_local(&harness, CONF_MEMNODE, log_of(1), CONF_LOG_BYTES - 8), 100 + area);
    assert_false(conf_event_within(&harness, 1, TACIT_EVENT_DOWN, CONF_MEMNODE, 0, &event));
}

// Nothing goes on by itself after a failure. The poster is told of it before anything else can be
// posted with success, what has landed is a beginning of what was posted, and nothing of it lands
// later.
static void nothing_resumes_silently(void **unused)
{
    (void)unused;
    conf_start_all(&harness);
    conf_grant(&harness, CONF_MEMNODE, 1, 1, 1);
    for (unsigned area = 0; area < 12; area++) {
        break_once((enum break_way)(area % BREAK_WAYS), area);
    }
}

// Bells are heard after the data, for all the writes of both planes.
static void bell_follows_the_data(void **unused)
{
    (void)unused;
    conf_start_all(&harness);
    conf_start(&harness, CONF_CLIENT(1), 1);
    struct tacit_event up = conf_expect(&harness, 0, TACIT_EVENT_UP, TACIT_NODE_NONE);
    (void)conf_expect(&harness, CONF_CLIENT(1), TACIT_EVENT_UP, 0);
    struct tacit_region_key requests = conf_key(TACIT_REGION_REQUESTS, up.node, 1);
    int32_t region = conf_region(&harness, CONF_CLIENT(1), 0,
                                 conf_key(TACIT_REGION_REQUESTS, TACIT_NODE_SELF, 0));
    for (uint64_t i = 1; i <= 30; i++) {
        struct conf_request *request = conf_request(CONF_SLEEP);
        request->until_ns = 3000000000u;
        (void)conf_call(&harness, 0, request);
        conf_process_step(&harness, 5000000);
        request = conf_request(CONF_POST);
        request->op = (struct tacit_op){.kind = TACIT_OP_WRITE,
                                        .plane = (uint8_t)(i % TACIT_PLANES),
                                        .flags = TACIT_OP_QUIET,
                                        .host = 0,
                                        .region = region,
                                        .bytes = CONF_REQUESTS_BYTES};
        for (unsigned k = 0; k < CONF_REQUESTS_BYTES / 8; k++) {
            memcpy(request->data + 8u * k, &i, sizeof(i));
        }
        assert_true(conf_call(&harness, CONF_CLIENT(1), request)->ok);
        request = conf_request(CONF_RING);
        request->host = 0;
        (void)conf_call(&harness, CONF_CLIENT(1), request);
        uint64_t slept_ns = conf_call(&harness, 0, conf_request(CONF_SLEEP_RESULT))->value;
        assert_in_range(slept_ns, 1, 2500000000u);
        assert_int_equal(conf_local(&harness, 0, requests, CONF_REQUESTS_BYTES - 8), i);
    }
}

static int own_open(void **unused)
{
    (void)unused;
    const char *reason;
    conf_reset();
    return cluster_open(&harness, &reason) ? 0 : -1;
}

static int own_close(void **unused)
{
    (void)unused;
    conf_process_kill_all(&harness);
    return 0;
}

// ---- REGISTERS
// -----------------------------------------------------------------------

static int32_t registers_handle(tacit_node_t at, tacit_node_t owner,
                                tacit_incarnation_t incarnation)
{
    return conf_region(&harness, at, CONF_MEMNODE,
                       conf_key(TACIT_REGION_REGISTERS, owner, incarnation));
}

static enum tacit_completion registers_do(tacit_node_t at, uint8_t kind, uint8_t plane,
                                          int32_t handle, uint64_t *value)
{
    struct conf_request *request = conf_request(CONF_POST);
    request->op = (struct tacit_op){.kind = kind,
                                    .plane = plane,
                                    .host = CONF_MEMNODE,
                                    .region = handle,
                                    .bytes = 64,
                                    .offset = VERBS_REGISTERS_BYTES - 64,
                                    .cookie = TACIT_COOKIE(TACIT_COOKIE_REGISTERS, 1)};
    for (unsigned i = 0; i < 8; i++) {
        memcpy(request->data + 8u * i, value, sizeof(*value));
    }
    assert_true(conf_call(&harness, at, request)->ok);
    enum tacit_completion status =
        conf_expect(&harness, at, TACIT_EVENT_COMPLETION, CONF_MEMNODE).status;
    if (kind == TACIT_OP_READ) {
        const struct conf_reply *reply = conf_call(&harness, at, conf_request(CONF_READ_RESULT));
        memcpy(value, reply->data + 56, sizeof(*value));
    }
    return status;
}

static uint64_t registers_read(tacit_node_t at, int32_t handle)
{
    uint64_t value = UINT64_MAX;
    assert_int_equal(registers_do(at, TACIT_OP_READ, TACIT_PLANE_BACKGROUND, handle, &value),
                     TACIT_COMPLETION_OK);
    return value;
}

static int registers_open(void **unused)
{
    (void)setenv("TACIT_TEST_REGISTERS", "1", 1);
    return own_open(unused);
}

static int registers_close(void **unused)
{
    (void)unsetenv("TACIT_TEST_REGISTERS");
    return own_close(unused);
}

static void registers_start(tacit_node_t name, tacit_incarnation_t incarnation)
{
    conf_start(&harness, name, incarnation);
    (void)conf_expect(&harness, name, TACIT_EVENT_UP, CONF_MEMNODE);
}

// Written by one at any time on either plane, without any grant, read by all; before anything was
// written, and before the writer ever came, they read as zeros, by the same handle as afterwards.
static void registers_have_one_writer(void **unused)
{
    (void)unused;
    conf_start(&harness, CONF_MEMNODE, 1);
    registers_start(0, 1);
    int32_t handle = registers_handle(0, 1, 1); // nobody has come yet
    assert_true(handle >= 0);
    assert_int_equal(registers_read(0, handle), 0);
    registers_start(1, 1);
    assert_int_equal(registers_read(0, handle), 0);
    int32_t own = registers_handle(1, TACIT_NODE_SELF, 0);
    for (uint64_t i = 1; i <= 40; i++) {
        uint64_t value = i;
        assert_int_equal(registers_do(1, TACIT_OP_WRITE, (uint8_t)(i % TACIT_PLANES), own, &value),
                         TACIT_COMPLETION_OK);
        assert_int_equal(registers_read(0, handle), i);
        assert_int_equal(registers_read(1, own), i);
    }
    uint64_t value = 99;
    assert_int_equal(registers_do(0, TACIT_OP_WRITE, TACIT_PLANE_DATA, handle, &value),
                     TACIT_COMPLETION_DENIED);
    assert_int_equal(registers_read(0, handle), 40);
}

// The host tells of what is gone after it has told of what came and let that writer in: whoever
// reads may see the old registers for a while, and zeros at last.
static void registers_go(tacit_node_t owner, tacit_incarnation_t life)
{
    for (unsigned i = 0; i < 5000; i++) {
        if (registers_read(0, registers_handle(0, owner, life)) == 0) {
            return;
        }
        harness.step(&harness, 1000000);
    }
    fail_msg("the registers of %u's life %u never went", owner, life);
}

// A later life has registers of its own; those of the two last lives stay, and no more.
static void registers_of_many_lives(void **unused)
{
    (void)unused;
    conf_start(&harness, CONF_MEMNODE, 1);
    registers_start(0, 1);
    for (tacit_incarnation_t life = 1; life <= 30; life++) {
        registers_start(1, life);
        uint64_t value = life;
        assert_int_equal(registers_do(1, TACIT_OP_WRITE, TACIT_PLANE_BACKGROUND,
                                      registers_handle(1, TACIT_NODE_SELF, 0), &value),
                         TACIT_COMPLETION_OK);
        for (tacit_incarnation_t old = life > 3 ? life - 3 : 1; old <= life; old++) {
            if (old + 1 >= life) {
                assert_int_equal(registers_read(0, registers_handle(0, 1, old)), old);
            } else {
                registers_go(1, old);
            }
        }
        harness.kill(&harness, 1);
    }
}

// A reader that does not take in what the memory node tells does not keep the writer out for long:
// it loses its connection; and what it reads by a connection that it has lost is no answer.
static void registers_wait_for_nobody_for_ever(void **unused)
{
    (void)unused;
    conf_start(&harness, CONF_MEMNODE, 1);
    registers_start(0, 1);
    registers_start(2, 1);
    int32_t handle = registers_handle(0, 1, 1);
    assert_int_equal(registers_read(0, handle), 0);
    harness.pause(&harness, 0, true);
    registers_start(1, 1); // comes up all the same
    uint64_t value = 7;
    assert_int_equal(registers_do(1, TACIT_OP_WRITE, TACIT_PLANE_BACKGROUND,
                                  registers_handle(1, TACIT_NODE_SELF, 0), &value),
                     TACIT_COMPLETION_OK);
    assert_int_equal(registers_read(2, registers_handle(2, 1, 1)), 7);
    harness.pause(&harness, 0, false);
    value = UINT64_MAX;
    struct conf_request *request = conf_request(CONF_POST);
    request->op = (struct tacit_op){.kind = TACIT_OP_READ,
                                    .plane = TACIT_PLANE_BACKGROUND,
                                    .host = CONF_MEMNODE,
                                    .region = handle,
                                    .bytes = 64,
                                    .offset = VERBS_REGISTERS_BYTES - 64,
                                    .cookie = TACIT_COOKIE(TACIT_COOKIE_REGISTERS, 1)};
    if (conf_call(&harness, 0, request)->ok) { // else it knows already
        struct tacit_event event = conf_expect(&harness, 0, TACIT_EVENT_COMPLETION, CONF_MEMNODE);
        assert_int_not_equal(event.status, TACIT_COMPLETION_OK);
    }
    (void)conf_expect(&harness, 0, TACIT_EVENT_DOWN, CONF_MEMNODE);
    (void)conf_expect(&harness, 0, TACIT_EVENT_UP, CONF_MEMNODE);
    assert_int_equal(registers_read(0, registers_handle(0, 1, 1)), 7);
}

static int run_own(const char *only)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(holder_may_only_write_its_log, own_open, own_close),
        cmocka_unit_test_setup_teardown(nothing_lands_after_revoked, own_open, own_close),
        cmocka_unit_test_setup_teardown(nothing_resumes_silently, own_open, own_close),
        cmocka_unit_test_setup_teardown(bell_follows_the_data, own_open, own_close),
        cmocka_unit_test_setup_teardown(background_keeps_its_order, own_open, own_close),
        cmocka_unit_test_setup_teardown(registers_have_one_writer, registers_open, registers_close),
        cmocka_unit_test_setup_teardown(registers_of_many_lives, registers_open, registers_close),
        cmocka_unit_test_setup_teardown(registers_wait_for_nobody_for_ever, registers_open,
                                        registers_close),
    };
    const char *reason;
    if (!cluster_open(&harness, &reason)) {
        print_message("verbs: skipped: %s\n", reason);
        return 77;
    }
    conf_process_kill_all(&harness);
    cmocka_set_test_filter(only);
    return cmocka_run_group_tests_name("verbs, own cases", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    bool is_long = argc > 1 && strcmp(argv[1], "--long") == 0;
    bool is_own = argc > 1 && strcmp(argv[1], "--own") == 0;
    const char *only = argc > 1 + is_long + is_own ? argv[1 + is_long + is_own] : NULL;
    return is_own ? run_own(only) : tacit_conformance_run(&harness, is_long, only);
}
