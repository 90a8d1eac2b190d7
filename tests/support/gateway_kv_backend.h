// SPDX-License-Identifier: Apache-2.0
//
// A backend of the gateway without a cluster: applies commands to a key-value store in this
// process, at once or when it is told to. For the unit test and the fuzz target.
#ifndef TACIT_TEST_GATEWAY_KV_BACKEND_H
#define TACIT_TEST_GATEWAY_KV_BACKEND_H

#include <stdlib.h>
#include <string.h>

#include "apps/gateway/front.h"
#include "apps/kv/kv.h"

enum { KV_BACKEND_QUEUE = 64, KV_BACKEND_REQUEST = 4096 };

struct kv_backend {
    struct tacit_app_host host; // first: touch() is given it
    struct tacit_front *front;
    uint8_t *reply;
    uint32_t reply_bytes;
    bool delayed;      // results and openings come with kv_backend_run()
    bool newest_first; // results out of order (execution stays in order)
    uint32_t busy;     // so many calls are refused
    uint32_t opened, closed;
    struct {
        uint64_t token;
        uint32_t connection;
        uint8_t kind; // 'o'pened, 'r'esult
        size_t reply_bytes;
        uint8_t *reply;
    } queue[KV_BACKEND_QUEUE];
    uint32_t queued;
};

static void kv_backend_touch(struct tacit_app_host *host, const void *address, size_t bytes)
{
    (void)host;
    (void)address;
    (void)bytes;
}

static bool kv_backend_open(struct kv_backend *backend, size_t arena_bytes, uint32_t reply_bytes)
{
    memset(backend, 0, sizeof *backend);
    backend->host.arena = aligned_alloc(TACIT_PAGE_BYTES, arena_bytes);
    backend->host.arena_bytes = arena_bytes;
    backend->host.touch = kv_backend_touch;
    backend->reply = malloc(reply_bytes);
    backend->reply_bytes = reply_bytes;
    if (backend->host.arena == NULL || backend->reply == NULL) {
        return false;
    }
    memset(backend->host.arena, 0, arena_bytes);
    return tacit_kv_app.init(&backend->host, "", NULL) == TACIT_OK;
}

static void kv_backend_drop(struct kv_backend *backend, uint32_t at)
{
    free(backend->queue[at].reply);
    backend->queued--;
    memmove(&backend->queue[at], &backend->queue[at + 1],
            (backend->queued - at) * sizeof backend->queue[0]);
}

static void kv_backend_close(struct kv_backend *backend)
{
    while (backend->queued > 0) {
        kv_backend_drop(backend, 0);
    }
    free(backend->host.arena);
    free(backend->reply);
}

static bool kv_backend_is_busy(struct kv_backend *backend)
{
    if (backend->busy > 0) {
        backend->busy--;
        return true;
    }
    return backend->queued == KV_BACKEND_QUEUE;
}

static enum tacit_status kv_backend_session_open(void *context, uint32_t connection, uint64_t token)
{
    struct kv_backend *backend = context;
    if (kv_backend_is_busy(backend)) {
        return TACIT_EBUSY;
    }
    backend->opened++;
    backend->queue[backend->queued].token = token;
    backend->queue[backend->queued].connection = connection;
    backend->queue[backend->queued].kind = 'o';
    backend->queue[backend->queued++].reply = NULL;
    return TACIT_OK;
}

static void kv_backend_session_close(void *context, uint32_t connection)
{
    struct kv_backend *backend = context;
    (void)connection;
    backend->closed++;
}

static enum tacit_status kv_backend_submit(void *context, uint32_t connection,
                                           const uint8_t *request, size_t request_bytes,
                                           uint64_t token)
{
    struct kv_backend *backend = context;
    if (kv_backend_is_busy(backend)) {
        return TACIT_EBUSY;
    }
    struct tacit_request call = {.bytes = request, .size = request_bytes};
    size_t size = tacit_kv_app.apply(&backend->host, &call, backend->reply, backend->reply_bytes);
    if (!backend->delayed) {
        tacit_front_result(backend->front, token, TACIT_OK, backend->reply, size);
        return TACIT_OK;
    }
    uint8_t *copy = malloc(size + 1);
    if (copy == NULL) {
        return TACIT_ENOMEM;
    }
    memcpy(copy, backend->reply, size);
    backend->queue[backend->queued].token = token;
    backend->queue[backend->queued].connection = connection;
    backend->queue[backend->queued].kind = 'r';
    backend->queue[backend->queued].reply_bytes = size;
    backend->queue[backend->queued++].reply = copy;
    return TACIT_OK;
}

static size_t kv_backend_info(void *context, char *out, size_t max)
{
    static const char text[] = "backend:kv\r\n";
    (void)context;
    if (max < sizeof text) {
        return 0;
    }
    memcpy(out, text, sizeof text - 1);
    return sizeof text - 1;
}

static struct tacit_front_backend kv_backend_ops(struct kv_backend *backend)
{
    return (struct tacit_front_backend){.context = backend,
                                        .session_open = kv_backend_session_open,
                                        .session_close = kv_backend_session_close,
                                        .submit = kv_backend_submit,
                                        .info = kv_backend_info};
}

// Delivers everything that is queued now.
static void kv_backend_run(struct kv_backend *backend)
{
    for (uint32_t i = backend->queued; i > 0; i--) {
        uint32_t at = backend->newest_first ? i - 1 : 0;
        uint64_t token = backend->queue[at].token;
        if (backend->queue[at].kind == 'o') {
            tacit_front_opened(backend->front, token);
        } else {
            tacit_front_result(backend->front, token, TACIT_OK, backend->queue[at].reply,
                               backend->queue[at].reply_bytes);
        }
        kv_backend_drop(backend, at);
    }
    while (tacit_front_changed(backend->front) != TACIT_FRONT_NONE) {
    }
}

// The group closes the session of a connection: its requests fail, then it is gone.
__attribute__((unused)) static void kv_backend_end_session(struct kv_backend *backend,
                                                           uint32_t connection)
{
    uint64_t token = 0;
    for (uint32_t i = 0; i < backend->queued;) {
        if (backend->queue[i].connection == connection && backend->queue[i].kind == 'r') {
            token = backend->queue[i].token;
            tacit_front_result(backend->front, token, TACIT_ECLOSED, NULL, 0);
            kv_backend_drop(backend, i);
        } else {
            i++;
        }
    }
    tacit_front_closed(backend->front, token);
}

#endif
