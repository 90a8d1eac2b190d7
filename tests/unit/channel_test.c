// SPDX-License-Identifier: Apache-2.0
//
// The client library over a fabric inside this process, whose single replica answers from inside
// poll(): blocking calls, time-outs and late answers, sleeping, and the small files of the state
// directory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/client/channel.h"
#include "apps/client/cluster.h"
#include "apps/flip/flip.h"
#include "tacit/ring.h"
#include "tacit/wire.h"

enum { SLOTS = 8, BODY = 64, MEMORY = SLOTS * 256 };

// A replica of a group of one, and the fabric to it. Time stands still but for sleep() and each
// look.
struct local {
    struct tacit_fabric fabric; // first
    struct tacit_ring_shape request_shape, reply_shape;
    _Alignas(64) uint8_t requests[MEMORY];
    _Alignas(64) uint8_t replies[MEMORY];
    struct tacit_ring_reader reader;
    uint64_t reply_sequence;
    bool up, announced, mute,
        asleep_only; // mute: answers nothing; asleep_only: only after a sleep()
    uint32_t sleeps, arms;
    struct tacit_app_host host;
    _Alignas(64) uint8_t arena[TACIT_PAGE_BYTES];
};

static tacit_time_ns_t now;

static tacit_time_ns_t clock_now(void)
{
    return now += 100;
}

static void touch(struct tacit_app_host *host, const void *address, size_t bytes)
{
    (void)host;
    (void)address;
    (void)bytes;
}

static void answer(struct local *local, const struct tacit_wire_request *request)
{
    _Alignas(8) uint8_t slot[128];
    uint8_t body[BODY];
    struct tacit_wire_reply reply = {.kind = TACIT_REPLY_RESULT,
                                     .session = request->session,
                                     .number = request->number,
                                     .index = 40 + request->number % 100,
                                     .body = body};
    if (request->kind == TACIT_REQUEST_OPEN) {
        reply.session = 65536;
    } else if (request->kind == TACIT_REQUEST_APPLY) {
        struct tacit_request call = {.bytes = request->body, .size = request->body_bytes};
        reply.body_bytes = (uint32_t)tacit_flip_app.apply(&local->host, &call, body, sizeof body);
    }
    size_t size = tacit_wire_reply_encode(
        slot + TACIT_RING_HEADER, local->reply_shape.slot_bytes - TACIT_RING_HEADER, &reply);
    uint64_t sequence = ++local->reply_sequence;
    uint32_t bytes = tacit_ring_seal(local->reply_shape, sequence, slot, (uint32_t)size);
    memcpy(local->replies + tacit_ring_offset(local->reply_shape, sequence), slot, bytes);
}

static void serve(struct local *local)
{
    _Alignas(8) uint8_t slot[128];
    uint32_t length;
    while (!local->mute && tacit_ring_read(&local->reader, slot, &length) == TACIT_VERDICT_OK) {
        struct tacit_wire_request request;
        assert_int_equal(tacit_wire_request_decode(&request, slot + TACIT_RING_HEADER, length),
                         TACIT_VERDICT_OK);
        answer(local, &request);
    }
}

static bool local_post(struct tacit_fabric *fabric, const struct tacit_op *op)
{
    struct local *local = (struct local *)fabric;
    memcpy(local->requests + op->offset, op->local, op->bytes);
    return true;
}

static size_t local_poll(struct tacit_fabric *fabric, struct tacit_event *events, size_t max)
{
    struct local *local = (struct local *)fabric;
    assert_true(max > 0);
    if (local->up && !local->announced) {
        local->announced = true;
        events[0] = (struct tacit_event){.kind = TACIT_EVENT_UP, .incarnation = 1};
        return 1;
    }
    if (!local->asleep_only) {
        serve(local);
    }
    return 0;
}

static void local_ring(struct tacit_fabric *fabric, tacit_node_t host)
{
    (void)fabric;
    (void)host;
}

static int32_t local_region(struct tacit_fabric *fabric, tacit_node_t host,
                            struct tacit_region_key key)
{
    (void)fabric;
    (void)key;
    return host;
}

static void *local_local(struct tacit_fabric *fabric, struct tacit_region_key key, size_t *bytes)
{
    struct local *local = (struct local *)fabric;
    (void)key;
    *bytes = sizeof local->replies;
    return local->replies;
}

static void local_attach(struct tacit_fabric *fabric, void *base, size_t bytes)
{
    (void)fabric;
    assert_non_null(base);
    assert_true(bytes > 0);
}

static void local_arm(struct tacit_fabric *fabric)
{
    ((struct local *)fabric)->arms++;
}

static void local_sleep(struct tacit_fabric *fabric, tacit_time_ns_t until_ns)
{
    struct local *local = (struct local *)fabric;
    local->sleeps++;
    assert_true(until_ns != UINT64_MAX); // nobody would wake it
    if (local->asleep_only) {
        serve(local); // as if it rang
    } else if (until_ns > now) {
        now = until_ns;
    }
}

static void local_disarm(struct tacit_fabric *fabric)
{
    ((struct local *)fabric)->arms--;
}

static const struct tacit_fabric_ops local_ops = {.post = local_post,
                                                  .poll = local_poll,
                                                  .ring = local_ring,
                                                  .region = local_region,
                                                  .local = local_local,
                                                  .attach = local_attach,
                                                  .arm = local_arm,
                                                  .sleep = local_sleep,
                                                  .disarm = local_disarm};

static struct tacit_channel *channel_of(struct local *local)
{
    memset(local, 0, sizeof *local);
    local->fabric.ops = &local_ops;
    local->request_shape = tacit_ring_shape(SLOTS, tacit_wire_request_max(BODY, false));
    local->reply_shape = tacit_ring_shape(SLOTS, tacit_wire_reply_max(BODY, false));
    tacit_ring_reader_init(&local->reader, local->request_shape, local->requests);
    local->host = (struct tacit_app_host){
        .arena = local->arena, .arena_bytes = TACIT_PAGE_BYTES, .touch = touch};
    local->up = true;
    struct tacit_channel_parts parts = {.client = {.replicas = 1,
                                                   .request_bytes = BODY,
                                                   .reply_bytes = BODY,
                                                   .ring_slots = SLOTS,
                                                   .sessions = 2,
                                                   .pipeline = 4},
                                        .fabric = &local->fabric,
                                        .now_ns = clock_now};
    struct tacit_channel *channel = NULL;
    struct tacit_error error;
    assert_int_equal(tacit_channel_build(&parts, &channel, &error), TACIT_OK);
    return channel;
}

#define MS (1000ull * 1000)

static void call__waits_for_its_answer(void **state)
{
    (void)state;
    struct local local;
    struct tacit_channel *channel = channel_of(&local);
    struct tacit_error error;
    uint32_t session;
    assert_int_equal(tacit_channel_connect(channel, 100 * MS, &session, &error), TACIT_OK);
    for (uint32_t how = 0; how < 2; how++) {
        local.asleep_only = how == 1;
        char bytes[BODY];
        struct tacit_channel_reply reply = {.bytes = bytes, .max = sizeof bytes};
        assert_int_equal(tacit_channel_call(channel, session, "abc", 3, 100 * MS, &reply),
                         TACIT_OK);
        assert_int_equal(reply.size, 3);
        assert_memory_equal(bytes, "cba", 3);
        assert_int_equal(reply.index, 41 + how);
    }
    assert_int_equal(local.arms, 0); // each arm() has its disarm()
    assert_true(local.sleeps > 0);
    struct tacit_channel_reply small = {.bytes = &session, .max = 2};
    assert_int_equal(tacit_channel_call(channel, session, "abc", 3, 100 * MS, &small),
                     TACIT_ETOOBIG);
    assert_int_equal(small.size, 3);
    char big[BODY + 1] = {0};
    struct tacit_channel_reply reply = {.bytes = big, .max = sizeof big};
    session = 0;
    assert_int_equal(tacit_channel_call(channel, session, big, sizeof big, 100 * MS, &reply),
                     TACIT_ETOOBIG);
    assert_int_equal(tacit_channel_call(channel, 99, big, 1, 100 * MS, &reply), TACIT_ECLOSED);
    tacit_channel_close(channel);
}

static void call__that_gave_up_leaves_no_answer_behind(void **state)
{
    (void)state;
    struct local local;
    struct tacit_channel *channel = channel_of(&local);
    struct tacit_error error;
    uint32_t session;
    assert_int_equal(tacit_channel_connect(channel, 100 * MS, &session, &error), TACIT_OK);
    char bytes[BODY];
    struct tacit_channel_reply reply = {.bytes = bytes, .max = sizeof bytes};
    local.mute = true;
    // More than the pipeline: the last ones cannot even be sent.
    for (uint32_t i = 0; i < 6; i++) {
        tacit_time_ns_t before = now;
        assert_int_equal(tacit_channel_call(channel, session, "lost", 4, 5 * MS, &reply),
                         TACIT_ETIMEDOUT);
        assert_in_range(now - before, 5 * MS, 6 * MS);
    }
    local.mute = false;
    assert_int_equal(tacit_channel_call(channel, session, "abcd", 4, 500 * MS, &reply), TACIT_OK);
    assert_memory_equal(bytes, "dcba", 4);
    struct tacit_channel_status status;
    tacit_channel_status(channel, &status);
    assert_int_equal(status.outstanding, 0);
    assert_int_equal(status.leader, 0);
    assert_true(status.time_outs > 0);
    tacit_channel_close(channel);
}

static void connect__says_why_it_failed(void **state)
{
    (void)state;
    struct local local;
    struct tacit_channel *channel = channel_of(&local);
    struct tacit_error error;
    uint32_t session;
    local.up = false;
    assert_int_equal(tacit_channel_connect(channel, 10 * MS, &session, &error), TACIT_ETIMEDOUT);
    assert_non_null(strstr(error.text, "no replica can be reached"));
    local.up = true;
    local.mute = true;
    assert_int_equal(tacit_channel_connect(channel, 10 * MS, &session, &error), TACIT_ETIMEDOUT);
    assert_non_null(strstr(error.text, "1 of 1 replicas are connected, but none leads"));
    assert_int_equal(tacit_channel_connect(channel, 10 * MS, &session, &error), TACIT_EBUSY);
    tacit_channel_close(channel);
}

// ---- files --------------------------------------------------------------------------------

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void group_file__is_read_strictly(void **state)
{
    (void)state;
    char path[] = "/tmp/tacit-channel-test-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    char good[80];
    for (size_t i = 0; i < 64; i++) {
        good[i] = "0123456789abcdef"[i % 16];
    }
    good[64] = '\0';
    struct tacit_group_id group;
    struct tacit_error error;
    write_file(path, good);
    assert_int_equal(tacit_group_file_read(path, &group, &error), TACIT_OK);
    assert_int_equal(group.bytes[1], 0x23);
    strcat(good, "\n");
    write_file(path, good);
    assert_int_equal(tacit_group_file_read(path, &group, &error), TACIT_OK);
    strcat(good, "\n");
    write_file(path, good);
    assert_int_equal(tacit_group_file_read(path, &group, &error), TACIT_EINVAL);
    good[63] = '\0';
    write_file(path, good);
    assert_int_equal(tacit_group_file_read(path, &group, &error), TACIT_EINVAL);
    assert_non_null(strstr(error.text, path));
    unlink(path);
    assert_int_equal(tacit_group_file_read(path, &group, &error), TACIT_ENOENT);
}

static void incarnation__grows_with_every_start(void **state)
{
    (void)state;
    char top[] = "/tmp/tacit-channel-test-XXXXXX";
    assert_non_null(mkdtemp(top));
    char directory[64];
    char path[96];
    snprintf(directory, sizeof directory, "%s/a/b", top);
    snprintf(path, sizeof path, "%s/incarnation", directory);
    tacit_incarnation_t incarnation;
    struct tacit_error error;
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(tacit_incarnation_raise(directory, TACIT_START_MAX, &incarnation, &error),
                         TACIT_OK);
        assert_int_equal(incarnation, i);
    }
    // Processes that start at the same time get different numbers.
    for (uint32_t i = 0; i < 20; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            _exit(tacit_incarnation_raise(directory, TACIT_START_MAX, &incarnation, NULL) ==
                          TACIT_OK
                      ? 0
                      : 1);
        }
    }
    for (uint32_t i = 0; i < 20; i++) {
        int how;
        assert_true(wait(&how) > 0);
        assert_int_equal(how, 0);
    }
    assert_int_equal(tacit_incarnation_raise(directory, TACIT_START_MAX, &incarnation, &error),
                     TACIT_OK);
    assert_int_equal(incarnation, 24);
    static const char *const bad[] = {"x", "-1", "1048575", "123456789", "1 2", "\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file(path, bad[i]);
        assert_int_equal(tacit_incarnation_raise(directory, TACIT_START_MAX, &incarnation, &error),
                         TACIT_EINVAL);
        assert_non_null(strstr(error.text, path));
    }
    unlink(path);
    rmdir(directory);
    snprintf(directory, sizeof directory, "%s/a", top);
    rmdir(directory);
    rmdir(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call__waits_for_its_answer),
        cmocka_unit_test(call__that_gave_up_leaves_no_answer_behind),
        cmocka_unit_test(connect__says_why_it_failed),
        cmocka_unit_test(group_file__is_read_strictly),
        cmocka_unit_test(incarnation__grows_with_every_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
