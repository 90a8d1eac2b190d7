// SPDX-License-Identifier: Apache-2.0
//
// The gateway's front against a backend that applies commands to a key-value store at once or on
// demand: replies byte for byte as redis-server 7.0 sends them (tests/support/redis_replies.h),
// commands cut at every byte, pipelines, limits, backpressure, sessions that end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/gateway/front.h"
#include "apps/gateway/resp.h"
#include "tests/support/gateway_kv_backend.h"
#include "tests/support/redis_replies.h"

enum { REQUEST_BYTES = 512, REPLY_BYTES = 600, PIPELINE = 4, CONNECTIONS = 3, TIMEOUT_NS = 5000 };

struct rig {
    struct kv_backend backend;
    struct tacit_front *front;
    uint32_t connection;
    char out[65536];
    size_t out_size;
};

static struct rig *rig_open(void)
{
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    assert_true(kv_backend_open(&rig->backend, 64 * TACIT_PAGE_BYTES, REPLY_BYTES));
    struct tacit_front_config config = {.connections = CONNECTIONS,
                                        .pipeline = PIPELINE,
                                        .request_bytes = REQUEST_BYTES,
                                        .reply_bytes = REPLY_BYTES,
                                        .timeout_ns = TIMEOUT_NS};
    struct tacit_front_backend ops = kv_backend_ops(&rig->backend);
    rig->front = tacit_front_open(&config, &ops);
    assert_non_null(rig->front);
    rig->backend.front = rig->front;
    rig->connection = tacit_front_accept(rig->front);
    assert_int_equal(rig->connection, 0);
    return rig;
}

static void rig_close(struct rig *rig)
{
    tacit_front_close(rig->front);
    kv_backend_close(&rig->backend);
    free(rig);
}

// Takes what the connection has to send, `most` bytes at a time.
static void take_output(struct rig *rig, uint32_t connection, size_t most)
{
    size_t size;
    const uint8_t *bytes;
    while ((bytes = tacit_front_output(rig->front, connection, &size)), size > 0) {
        size = size < most ? size : most;
        assert_true(rig->out_size + size < sizeof rig->out);
        memcpy(rig->out + rig->out_size, bytes, size);
        rig->out_size += size;
        tacit_front_sent(rig->front, connection, size);
    }
    while (tacit_front_changed(rig->front) != TACIT_FRONT_NONE) {
    }
    rig->out[rig->out_size] = '\0';
}

// Sends bytes in pieces; what room() does not take at once is sent after replies were taken.
static void send_bytes(struct rig *rig, uint32_t connection, const char *bytes, size_t size,
                       size_t piece)
{
    uint32_t stalls = 0;
    while (size > 0) {
        size_t room;
        uint8_t *to = tacit_front_input(rig->front, connection, &room);
        size_t now = size < piece ? size : piece;
        now = now < room ? now : room;
        if (now == 0) {
            assert_true(stalls++ < 1000);
            kv_backend_run(&rig->backend);
            take_output(rig, connection, SIZE_MAX);
            continue;
        }
        memcpy(to, bytes, now);
        tacit_front_received(rig->front, connection, now);
        bytes += now;
        size -= now;
    }
}

static const char *talk_in_pieces(struct rig *rig, const char *bytes, size_t size, size_t piece)
{
    rig->out_size = 0;
    send_bytes(rig, rig->connection, bytes, size, piece);
    for (uint32_t i = 0; i < 100; i++) {
        kv_backend_run(&rig->backend);
        take_output(rig, rig->connection, SIZE_MAX);
    }
    return rig->out;
}

static const char *talk(struct rig *rig, const char *text)
{
    return talk_in_pieces(rig, text, strlen(text), SIZE_MAX);
}

static void commands__answer_like_redis(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= 64; piece = piece * 2 + 1) {
        struct rig *rig = rig_open();
        for (size_t i = 0; i < sizeof redis_script / sizeof *redis_script; i++) {
            const struct redis_case *one = &redis_script[i];
            rig->backend.delayed = i % 2 == 0;
            assert_string_equal(talk_in_pieces(rig, one->in, strlen(one->in), piece), one->out);
        }
        rig_close(rig);
    }
}

// The whole script as one pipeline, whatever the pieces and however late the results.
static void pipeline__keeps_the_order(void **state)
{
    (void)state;
    static char in[32768];
    static char expected[32768];
    in[0] = expected[0] = '\0';
    for (size_t i = 0; i < sizeof redis_script / sizeof *redis_script; i++) {
        strcat(in, redis_script[i].in);
        strcat(expected, redis_script[i].out);
    }
    for (size_t piece = 1; piece < 300; piece += 7) {
        for (uint32_t how = 0; how < 3; how++) {
            struct rig *rig = rig_open();
            rig->backend.delayed = how > 0;
            rig->backend.newest_first = how > 1;
            assert_string_equal(talk_in_pieces(rig, in, strlen(in), piece), expected);
            rig_close(rig);
        }
    }
}

static void too_big__is_refused_and_the_connection_goes_on(void **state)
{
    (void)state;
    struct rig *rig = rig_open();
    static char in[200000];
    static const char refusal[] =
        "-ERR request is too large: at most 512 bytes with 4 more for each argument\r\n";
    char expected[256];
    snprintf(expected, sizeof expected, "%s+PONG\r\n", refusal);
    for (size_t piece = 1; piece < 100000; piece = piece * 5 + 2) {
        // The largest value that fits: 512 - 4 - 3 * 4 - 3 - 1 (the scanner counts the name, too).
        for (size_t bytes = 499; bytes <= 100000; bytes = bytes < 501 ? bytes + 1 : bytes * 13) {
            size_t used = (size_t)sprintf(in, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n", bytes);
            memset(in + used, '$', bytes);
            used += bytes;
            used += (size_t)sprintf(in + used, "\r\nPING\r\n");
            const char *reply = talk_in_pieces(rig, in, used, piece);
            assert_string_equal(reply, bytes > 492 ? expected : "+OK\r\n+PONG\r\n");
        }
        size_t used = (size_t)sprintf(in, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$492\r\n");
        memset(in + used, 'v', 492);
        used += 492;
        used += (size_t)sprintf(in + used, "\r\n");
        assert_string_equal(talk_in_pieces(rig, in, used, piece), "+OK\r\n");
        // Many arguments.
        used = (size_t)sprintf(in, "*10001\r\n$4\r\nMGET\r\n");
        for (uint32_t i = 0; i < 10000; i++) {
            used += (size_t)sprintf(in + used, "$1\r\nk\r\n");
        }
        used += (size_t)sprintf(in + used, "PING\r\n");
        assert_string_equal(talk_in_pieces(rig, in, used, piece), expected);
        // A long line.
        memset(in, 'x', 5000);
        memcpy(in + 5000, "\r\nPING\r\n", 9);
        assert_string_equal(talk_in_pieces(rig, in, 5008, piece), expected);
    }
    rig_close(rig);
}

static void protocol_error__is_said_and_ends_the_connection(void **state)
{
    (void)state;
    enum { REDIS = sizeof redis_errors / sizeof *redis_errors };
    // Stricter than Redis, which does not look at the two bytes behind a string, nor at the one
    // behind a carriage return, and waits longer for the end of a line that cannot become right.
    static const struct redis_case stricter[] = {
        {"*1\r\n$4\r\nPINGxx", "-ERR Protocol error: a bulk string does not end with CR LF\r\n"},
        {"*1\rx$4\r\nPING\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
        {"*1111111111111111111111111111111111111111111111111111111111111111111",
         "-ERR Protocol error: invalid multibulk length\r\n"},
        {"*1\r\n$111111111111111111111111111111111111111111111111111111111111111111",
         "-ERR Protocol error: invalid bulk length\r\n"},
    };
    for (size_t i = 0; i < REDIS + sizeof stricter / sizeof *stricter; i++) {
        const struct redis_case *one = i < REDIS ? &redis_errors[i] : &stricter[i - REDIS];
        for (size_t piece = 1; piece < 100; piece += 13) {
            struct rig *rig = rig_open();
            char expected[200];
            snprintf(expected, sizeof expected, ":1\r\n%s", one->out);
            char in[200];
            int size = snprintf(in, sizeof in, "INCR a\r\n%s", one->in);
            rig->backend.delayed = true; // what came before is still answered
            rig->out_size = 0;
            for (int at = 0; at < size; at += (int)piece) {
                size_t room;
                uint8_t *to = tacit_front_input(rig->front, 0, &room);
                if (room == 0) {
                    kv_backend_run(&rig->backend);
                    take_output(rig, 0, SIZE_MAX);
                    to = tacit_front_input(rig->front, 0, &room);
                }
                size_t now = (size_t)(size - at) < piece ? (size_t)(size - at) : piece;
                if (room == 0) {
                    break; // closing
                }
                memcpy(to, in + at, now);
                tacit_front_received(rig->front, 0, now);
            }
            for (uint32_t run = 0; run < 10; run++) {
                kv_backend_run(&rig->backend);
                take_output(rig, 0, 3);
            }
            assert_string_equal(rig->out, expected);
            assert_true(tacit_front_is_over(rig->front, 0));
            rig_close(rig);
        }
    }
}

static void quit__answers_and_ends(void **state)
{
    (void)state;
    struct rig *rig = rig_open();
    assert_false(tacit_front_is_over(rig->front, 0));
    assert_string_equal(talk(rig, "SET a 1\r\n"), "+OK\r\n");
    rig->out_size = 0;
    size_t room;
    uint8_t *to = tacit_front_input(rig->front, 0, &room);
    memcpy(to, "QUIT\r\nPING\r\n", 12);
    tacit_front_received(rig->front, 0, 12);
    take_output(rig, 0, SIZE_MAX);
    assert_string_equal(rig->out, "+OK\r\n");
    assert_true(tacit_front_is_over(rig->front, 0));
    rig_close(rig);
}

static void slow_reader__is_not_read_from(void **state)
{
    (void)state;
    struct rig *rig = rig_open();
    char big[600];
    snprintf(big, sizeof big, "SET k %0480d\r\n", 7);
    assert_string_equal(talk(rig, big), "+OK\r\n");
    // Asks for ever and never takes a reply: at some point nothing more is taken from it.
    uint64_t taken = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        size_t room;
        uint8_t *to = tacit_front_input(rig->front, 0, &room);
        if (room < 7) {
            break;
        }
        memcpy(to, "GET k\r\n", 7);
        tacit_front_received(rig->front, 0, 7);
        kv_backend_run(&rig->backend);
        while (tacit_front_changed(rig->front) != TACIT_FRONT_NONE) {
        }
        taken++;
    }
    assert_true(taken > 10 && taken < 200);
    // When it reads at last it gets every reply.
    rig->out_size = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        take_output(rig, 0, 100);
        kv_backend_run(&rig->backend);
    }
    assert_int_equal(rig->out_size, taken * (6 + 480 + 2));
    rig_close(rig);
}

static void connections__are_limited_and_reused(void **state)
{
    (void)state;
    struct rig *rig = rig_open();
    assert_int_equal(tacit_front_accept(rig->front), 1);
    assert_int_equal(tacit_front_accept(rig->front), 2);
    assert_int_equal(tacit_front_accept(rig->front), TACIT_FRONT_NONE);
    assert_string_equal(tacit_front_rejection(), "-ERR max number of clients reached\r\n");
    // One goes with a command under way; its late result does not reach the next one on its place.
    rig->backend.delayed = true;
    send_bytes(rig, 1, "INCR a\r\n", 8, SIZE_MAX);
    tacit_front_release(rig->front, 1);
    assert_int_equal(tacit_front_accept(rig->front), 1);
    send_bytes(rig, 1, "PING\r\n", 6, SIZE_MAX);
    rig->out_size = 0;
    kv_backend_run(&rig->backend);
    take_output(rig, 1, SIZE_MAX);
    assert_string_equal(rig->out, "+PONG\r\n");
    assert_int_equal(rig->backend.closed, 1);
    rig_close(rig);
}

static void session__that_ends_is_opened_again(void **state)
{
    (void)state;
    struct rig *rig = rig_open();
    kv_backend_run(&rig->backend);
    rig->backend.delayed = true;
    rig->out_size = 0;
    send_bytes(rig, 0, "INCR a\r\nINCR a\r\n", 16, SIZE_MAX);
    kv_backend_end_session(&rig->backend, 0);
    take_output(rig, 0, SIZE_MAX);
    assert_string_equal(
        rig->out,
        "-ERR the session was closed; the command may have been executed (TACIT_ECLOSED)\r\n"
        "-ERR the session was closed; the command may have been executed (TACIT_ECLOSED)\r\n");
    assert_string_equal(talk(rig, "SET a 5\r\nINCR a\r\n"), "+OK\r\n:6\r\n");
    assert_int_equal(rig->backend.opened, 2);
    // A backend that is busy, with sessions and with requests, only delays.
    rig->backend.busy = 3;
    assert_string_equal(talk(rig, "INCR a\r\nINCR a\r\n"), ":7\r\n:8\r\n");
    rig_close(rig);
}

// A command that is refused while earlier ones are under way gets its own answer all the same.
static void refused_command__keeps_its_place(void **state)
{
    (void)state;
    struct rig *rig = rig_open();
    kv_backend_run(&rig->backend);
    rig->backend.delayed = true;
    rig->out_size = 0;
    send_bytes(rig, 0, "INCR a\r\n", 8, SIZE_MAX); // under way
    rig->backend.busy = 3;
    send_bytes(rig, 0, "INCR a\r\nINCR a\r\n", 16, SIZE_MAX);
    for (uint32_t i = 0; i < 10; i++) {
        (void)tacit_front_changed(rig->front);
    }
    assert_int_equal(rig->backend.busy, 0);
    assert_int_equal(rig->backend.queued, 3);
    rig->backend.newest_first = true; // as after a fail-over
    kv_backend_run(&rig->backend);
    take_output(rig, 0, SIZE_MAX);
    assert_string_equal(rig->out, ":1\r\n:2\r\n:3\r\n");
    rig_close(rig);
}

static void tick(struct rig *rig, tacit_time_ns_t now_ns)
{
    tacit_front_tick(rig->front, now_ns);
    while (tacit_front_changed(rig->front) != TACIT_FRONT_NONE) {
    }
    take_output(rig, 0, SIZE_MAX);
}

// Without answers from the backend a command is answered after the time-out, not earlier; a late
// result reaches nobody; and when the backend is back, so is the connection.
static void silence__is_answered_with_an_error(void **state)
{
    (void)state;
    static const char maybe[] =
        "-ERR the replicas did not answer in time; the command may have been "
        "executed, or still be\r\n";
    static const char down[] = "-CLUSTERDOWN the replicas cannot be reached; not executed\r\n";
    struct rig *rig = rig_open();
    char expected[1024];
    kv_backend_run(&rig->backend);
    rig->backend.delayed = true;
    rig->out_size = 0;
    send_bytes(rig, 0, "INCR a\r\nPING\r\n", 14, SIZE_MAX); // submitted
    tick(rig, 1000);
    tick(rig, 1000 + TIMEOUT_NS - 1);
    assert_string_equal(rig->out, "");
    rig->backend.busy = 1000;
    send_bytes(rig, 0, "INCR b\r\nINCR c\r\n", 16, SIZE_MAX); // refused
    tick(rig, 1000 + TIMEOUT_NS);
    // The first waited long enough, and those that the backend does not take need not wait as long.
    snprintf(expected, sizeof expected, "%s+PONG\r\n%s%s", maybe, down, down);
    assert_string_equal(rig->out, expected);
    assert_int_equal(tacit_front_counters(rig->front)->timed_out, 3);
    // The late result of the first command goes to nobody, though its slot is used again.
    rig->backend.busy = 0;
    assert_int_equal(rig->backend.queued, 1);
    assert_string_equal(talk(rig, "INCR a\r\nGET b\r\n"), ":2\r\n$-1\r\n");
    // A connection whose session never comes.
    tacit_front_release(rig->front, 0);
    assert_int_equal(tacit_front_accept(rig->front), 0);
    rig->out_size = 0;
    send_bytes(rig, 0, "INCR a\r\n", 8, SIZE_MAX);
    tick(rig, 50000);
    assert_int_equal(rig->out_size, 0);
    tick(rig, 50000 + TIMEOUT_NS);
    assert_string_equal(rig->out, down);
    kv_backend_run(&rig->backend); // it comes
    assert_string_equal(talk(rig, "INCR a\r\n"), ":3\r\n");
    rig_close(rig);
}

static void info__speaks_of_gateway_and_backend(void **state)
{
    (void)state;
    struct rig *rig = rig_open();
    const char *reply = talk(rig, "INFO\r\n");
    assert_int_equal(reply[0], '$');
    assert_non_null(strstr(reply, "maxclients:3\r\n"));
    assert_non_null(strstr(reply, "backend:kv\r\n"));
    rig_close(rig);
}

static void replies__that_are_malformed_become_errors(void **state)
{
    (void)state;
    uint8_t out[256];
    const uint8_t bad[] = {99, 1, 2, 3};
    size_t size = tacit_resp_reply(out, bad, sizeof bad);
    assert_memory_equal(out, "-ERR the service gave a malformed reply\r\n", size);
    assert_int_equal(tacit_resp_reply(out, bad, 0), size);
    const uint8_t two_lines[] = {TACIT_KV_REPLY_ERROR, 'E', 'R', 'R', '\r', '\n', '+', 'O', 'K'};
    size = tacit_resp_reply(out, two_lines, sizeof two_lines);
    assert_int_equal(size, 11);
    assert_memory_equal(out, "-ERR  +OK\r\n", size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands__answer_like_redis),
        cmocka_unit_test(pipeline__keeps_the_order),
        cmocka_unit_test(too_big__is_refused_and_the_connection_goes_on),
        cmocka_unit_test(protocol_error__is_said_and_ends_the_connection),
        cmocka_unit_test(quit__answers_and_ends),
        cmocka_unit_test(slow_reader__is_not_read_from),
        cmocka_unit_test(connections__are_limited_and_reused),
        cmocka_unit_test(session__that_ends_is_opened_again),
        cmocka_unit_test(refused_command__keeps_its_place),
        cmocka_unit_test(silence__is_answered_with_an_error),
        cmocka_unit_test(info__speaks_of_gateway_and_backend),
        cmocka_unit_test(replies__that_are_malformed_become_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
