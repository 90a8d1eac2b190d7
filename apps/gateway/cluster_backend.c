// SPDX-License-Identifier: Apache-2.0
//
// See cluster_backend.h.
#include "cluster_backend.h"

#include <stdio.h>
#include <stdlib.h>

#include "kv/kv_wire.h"

static enum tacit_status session_open(void *context, uint32_t connection, uint64_t token)
{
    struct tacit_cluster_backend *backend = context;
    return tacit_channel_session_open(backend->channel, token, &backend->sessions[connection]);
}

static void session_close(void *context, uint32_t connection)
{
    struct tacit_cluster_backend *backend = context;
    (void)tacit_channel_session_close(backend->channel, backend->sessions[connection]);
}

static enum tacit_status submit(void *context, uint32_t connection, const uint8_t *request,
                                size_t request_bytes, uint64_t token)
{
    struct tacit_cluster_backend *backend = context;
    bool reads = tacit_kv_request_reads(request, request_bytes);
    enum tacit_status status = (reads ? tacit_channel_read : tacit_channel_submit)(
        backend->channel, backend->sessions[connection], request, request_bytes, token);
    // The end of the session is known here, but not to the front yet: its event is on the way.
    return status == TACIT_ECLOSED ? TACIT_EBUSY : status;
}

static size_t info(void *context, char *out, size_t max)
{
    const struct tacit_cluster_backend *backend = context;
    struct tacit_channel_status status;
    tacit_channel_status(backend->channel, &status);
    int leader = status.leader == TACIT_NODE_NONE ? -1 : status.leader;
    int size = snprintf(out, max,
                        "# Tacit\r\nbelieved_leader:%d\r\nreplicas_connected:%d\r\n"
                        "outstanding:%u\r\nmessages_sent:%llu\r\nmessages_resent:%llu\r\n"
                        "time_outs:%llu\r\nfail_overs:%llu\r\nhints:%llu\r\n",
                        leader, __builtin_popcount(status.up), status.outstanding,
                        (unsigned long long)status.sent, (unsigned long long)status.resent,
                        (unsigned long long)status.time_outs, (unsigned long long)status.fail_overs,
                        (unsigned long long)status.hints);
    return size > 0 && (size_t)size < max ? (size_t)size : 0;
}

bool tacit_cluster_backend_open(struct tacit_cluster_backend *backend,
                                struct tacit_channel *channel, uint32_t connections)
{
    *backend = (struct tacit_cluster_backend){.channel = channel};
    backend->sessions = calloc(connections, sizeof *backend->sessions);
    return backend->sessions != NULL;
}

void tacit_cluster_backend_close(struct tacit_cluster_backend *backend)
{
    free(backend->sessions);
    backend->sessions = NULL;
}

struct tacit_front_backend tacit_cluster_backend_ops(struct tacit_cluster_backend *backend)
{
    return (struct tacit_front_backend){.context = backend,
                                        .session_open = session_open,
                                        .session_close = session_close,
                                        .submit = submit,
                                        .info = info};
}

uint32_t tacit_cluster_backend_poll(struct tacit_cluster_backend *backend, uint32_t max)
{
    uint32_t count = 0;
    struct tacit_channel_event event;
    while (count < max && tacit_channel_poll(backend->channel, &event)) {
        count++;
        switch (event.kind) {
        case TACIT_CHANNEL_OPENED:
            tacit_front_opened(backend->front, event.token);
            break;
        case TACIT_CHANNEL_RESULT:
            tacit_front_result(backend->front, event.token, event.status, event.body,
                               event.body_bytes);
            break;
        case TACIT_CHANNEL_CLOSED:
            tacit_front_closed(backend->front, event.token);
            break;
        }
    }
    return count;
}
