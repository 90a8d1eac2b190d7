// SPDX-License-Identifier: Apache-2.0
//
// The gateway's front as hostile clients see it: two connections send arbitrary bytes in arbitrary
// pieces, the backend (a key-value store in this process) answers late, early, out of order or says
// that it is busy, replies are taken in small bites, connections come and go. The first
// connection's output must be well-formed RESP throughout.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "apps/gateway/front.h"
#include "tests/support/gateway_kv_backend.h"

enum { ARENA = 8 * 4096, OUT_MAX = 1 << 16 };

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

// Follows the framing of replies byte by byte.
struct follower {
    char line[64];
    uint32_t line_bytes;
    bool line_is_long;
    uint64_t body_left;
    uint64_t replies;
};

static void follow(struct follower *follower, uint8_t byte)
{
    if (follower->body_left > 0) {
        follower->body_left--;
        must(follower->body_left != 0 || byte == '\n');
        must(follower->body_left != 1 || byte == '\r');
        return;
    }
    must(follower->line_bytes > 0 || strchr("+-:$*", byte) != NULL);
    if (follower->line_bytes < sizeof follower->line - 1) {
        follower->line[follower->line_bytes++] = (char)byte;
    }
    if (byte != '\n') {
        return;
    }
    follower->line[follower->line_bytes] = '\0';
    if (follower->line[0] == '$' && follower->line[1] != '-') {
        follower->body_left = strtoull(follower->line + 1, NULL, 10) + 2;
    }
    follower->line_bytes = 0;
    follower->replies++;
}

static void take_output(struct tacit_front *front, uint32_t connection, size_t most,
                        struct follower *follower)
{
    size_t size;
    const uint8_t *bytes = tacit_front_output(front, connection, &size);
    size = size < most ? size : most;
    for (size_t i = 0; i < size && follower != NULL; i++) {
        follow(follower, bytes[i]);
    }
    tacit_front_sent(front, connection, size);
}

static void feed(struct tacit_front *front, uint32_t connection, const uint8_t **at,
                 const uint8_t *end, size_t piece)
{
    size_t room;
    uint8_t *to = tacit_front_input(front, connection, &room);
    size_t left = (size_t)(end - *at);
    size_t now = piece < left ? piece : left;
    now = now < room ? now : room;
    if (now > 0) {
        memcpy(to, *at, now);
        *at += now;
        tacit_front_received(front, connection, now);
    }
}

static void one_step(struct kv_backend *backend, struct follower *follower, uint8_t choice,
                     tacit_time_ns_t *now_ns, const uint8_t **at, const uint8_t *end)
{
    struct tacit_front *front = backend->front;
    switch (choice % 8) {
    case 0:
    case 1:
    case 2:
        feed(front, 0, at, end, (size_t)choice / 8 + 1);
        break;
    case 3:
        feed(front, 1, at, end, (size_t)choice / 8 + 1);
        take_output(front, 1, SIZE_MAX, NULL);
        break;
    case 4:
        backend->newest_first = (choice & 8) != 0;
        kv_backend_run(backend);
        break;
    case 5:
        backend->delayed = (choice & 8) != 0;
        backend->busy = choice / 16;
        break;
    case 6:
        take_output(front, 0, choice, follower);
        break;
    case 7:
        if ((choice & 8) != 0) { // time passes, for some commands too much
            *now_ns += 1u + choice / 16;
            tacit_front_tick(front, *now_ns);
            break;
        }
        tacit_front_release(front, 1);
        must(tacit_front_accept(front) == 1);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kv_backend backend;
    struct follower follower = {.replies = 0};
    must(kv_backend_open(&backend, ARENA, 200));
    struct tacit_front_config config = {
        .connections = 2, .pipeline = 3, .request_bytes = 100, .reply_bytes = 200, .timeout_ns = 8};
    struct tacit_front_backend ops = kv_backend_ops(&backend);
    struct tacit_front *front = tacit_front_open(&config, &ops);
    must(front != NULL);
    backend.front = front;
    must(tacit_front_accept(front) == 0);
    must(tacit_front_accept(front) == 1);
    must(tacit_front_accept(front) == TACIT_FRONT_NONE);
    // The first eight bytes, over and over, say what happens; the rest is what clients send.
    size_t choices = size < 8 ? size : 8;
    const uint8_t *at = data + choices;
    const uint8_t *end = data + size;
    tacit_time_ns_t now_ns = 1;
    for (uint32_t step = 0; choices > 0 && at < end && step < 4096; step++) {
        one_step(&backend, &follower, data[step % choices], &now_ns, &at, end);
    }
    backend.busy = 0;
    for (uint32_t i = 0; i < 64; i++) {
        kv_backend_run(&backend);
        take_output(front, 0, SIZE_MAX, &follower);
    }
    must(tacit_front_is_idle(front, 0));
    must(follower.body_left == 0 && follower.line_bytes == 0);
    tacit_front_close(front);
    kv_backend_close(&backend);
    return 0;
}
