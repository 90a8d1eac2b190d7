// SPDX-License-Identifier: Apache-2.0
//
// The part of a conformance test that runs inside each node; the same for all providers.
#include <string.h>

#include "conformance.h"

#define WRITER_DEPTH 16u
// A writer's cookie: which run of it, and the number of the write.
#define NUMBER_BITS 32
#define NUMBER_MASK UINT64_C(0xffffffff)

const struct tacit_host_layout conf_layouts[3] = {
    {.page_bytes = CONF_PAGE_BYTES,
     .control_bytes = CONF_CONTROL_BYTES,
     .log_bytes = CONF_LOG_BYTES,
     .requests_bytes = CONF_REQUESTS_BYTES,
     .state_bytes = CONF_STATE_BYTES},
    {.page_bytes = CONF_PAGE_BYTES,
     .control_bytes = CONF_CONTROL_BYTES,
     .log_bytes = CONF_LOG_BYTES},
    {.replies_bytes = CONF_REPLIES_BYTES},
};

void conf_agent_init(struct conf_agent *agent, struct tacit_fabric *fabric)
{
    memset(agent, 0, sizeof *agent);
    agent->fabric = fabric;
    fabric->ops->attach(fabric, &agent->memory, sizeof agent->memory);
}

static uint64_t *own(struct conf_agent *agent, struct tacit_region_key key, size_t *bytes)
{
    return agent->fabric->ops->local(agent->fabric, key, bytes);
}

static bool snapshot_take(struct conf_agent *agent, struct tacit_region_key key)
{
    size_t bytes = 0;
    const uint64_t *words = own(agent, key, &bytes);
    if (words == NULL || bytes > sizeof agent->snapshot) {
        return false;
    }
    for (size_t i = bytes / 8; i-- > 0;) {
        agent->snapshot[i] = __atomic_load_n(&words[i], __ATOMIC_ACQUIRE);
    }
    return true;
}

static void writer_completed(struct conf_agent *agent, const struct tacit_event *event)
{
    uint64_t number = TACIT_COOKIE_VALUE(event->cookie) & NUMBER_MASK;
    if (TACIT_COOKIE_VALUE(event->cookie) >> NUMBER_BITS != agent->writer.run ||
        agent->writer.first_bad != UINT64_MAX) {
        return;
    }
    if (event->status == TACIT_COMPLETION_OK) {
        agent->writer.ok = number;
    } else {
        agent->writer.first_bad = event->status;
        agent->writer.running = false;
    }
}

static void event_take(struct conf_agent *agent, const struct tacit_event *event)
{
    if (event->kind == TACIT_EVENT_COMPLETION &&
        TACIT_COOKIE_OWNER(event->cookie) == TACIT_COOKIE_TRANSFER) {
        writer_completed(agent, event);
        return;
    }
    if (event->kind == TACIT_EVENT_REVOKED && agent->snapshot_armed &&
        event->generation == agent->snapshot_generation) {
        agent->snapshot_armed = false;
        (void)snapshot_take(agent, agent->snapshot_key);
    }
    if (agent->log_count == CONF_AGENT_LOG) {
        agent->overflow = true;
        return;
    }
    agent->log[(agent->log_first + agent->log_count++) % CONF_AGENT_LOG] = *event;
}

// A write that was refused stays unposted and is tried again.
static bool writer_turn(struct conf_agent *agent)
{
    bool posted = false;
    while (agent->writer.running && agent->writer.posted - agent->writer.ok < WRITER_DEPTH) {
        uint64_t number = agent->writer.posted + 1;
        struct tacit_op op = agent->writer.op;
        uint64_t *source = agent->memory.writer[number % WRITER_DEPTH];
        for (uint32_t i = 0; i < op.bytes / 8; i++) {
            source[i] = number << 32 | number;
        }
        op.kind = TACIT_OP_WRITE;
        op.local = source;
        op.offset += (number - 1) * op.bytes % agent->writer.extent;
        op.cookie = TACIT_COOKIE(TACIT_COOKIE_TRANSFER, agent->writer.run << NUMBER_BITS | number);
        if (!agent->fabric->ops->post(agent->fabric, &op)) {
            break;
        }
        agent->writer.posted = number;
        posted = true;
    }
    return posted;
}

bool conf_agent_turn(struct conf_agent *agent)
{
    struct tacit_event events[32];
    size_t count = agent->fabric->ops->poll(agent->fabric, events, 32);
    for (size_t i = 0; i < count; i++) {
        event_take(agent, &events[i]);
    }
    return writer_turn(agent) || count > 0;
}

static bool post(struct conf_agent *agent, const struct conf_request *request)
{
    struct tacit_op op = request->op;
    if (op.bytes > CONF_DATA_BYTES) {
        return false;
    }
    op.local = op.kind == TACIT_OP_READ ? agent->memory.read : agent->memory.post;
    if (op.kind == TACIT_OP_WRITE) {
        memcpy(agent->memory.post, request->data, op.bytes);
    }
    return agent->fabric->ops->post(agent->fabric, &op);
}

static void local_access(struct conf_agent *agent, const struct conf_request *request,
                         struct conf_reply *reply)
{
    size_t bytes = 0;
    uint64_t *words = own(agent, request->key, &bytes);
    if (request->call == CONF_LOCAL_SIZE) {
        reply->value = words != NULL ? bytes : 0;
        return;
    }
    if (words == NULL || request->bytes > CONF_DATA_BYTES ||
        request->offset + request->bytes > bytes) {
        return;
    }
    reply->value = 1;
    for (uint64_t i = 0; i < request->bytes / 8; i++) {
        uint64_t *word = &words[request->offset / 8 + i];
        uint64_t value;
        memcpy(&value, request->data + 8 * i, 8);
        if (request->call == CONF_LOCAL_WRITE) {
            __atomic_store_n(word, value, __ATOMIC_RELEASE);
        }
        value = __atomic_load_n(word, __ATOMIC_ACQUIRE);
        memcpy(reply->data + 8 * i, &value, 8);
    }
}

static void events_fetch(struct conf_agent *agent, struct conf_reply *reply)
{
    reply->ok = !agent->overflow;
    while (reply->events_count < CONF_EVENTS_MAX && agent->log_count > 0) {
        reply->events[reply->events_count++] = agent->log[agent->log_first];
        agent->log_first = (agent->log_first + 1) % CONF_AGENT_LOG;
        agent->log_count--;
    }
}

static void writer_start(struct conf_agent *agent, const struct conf_request *request)
{
    uint64_t run = (agent->writer.run + 1) & 0xffff;
    memset(&agent->writer, 0, sizeof agent->writer);
    agent->writer.run = run;
    agent->writer.op = request->op;
    agent->writer.op.flags |= TACIT_OP_AS_HOLDER;
    agent->writer.extent = request->extent;
    agent->writer.first_bad = UINT64_MAX;
    agent->writer.running = true;
}

static void snapshot_call(struct conf_agent *agent, const struct conf_request *request,
                          struct conf_reply *reply)
{
    switch (request->call) {
    case CONF_SNAPSHOT:
        reply->value = snapshot_take(agent, request->key);
        break;
    case CONF_SNAPSHOT_READ:
        if (request->bytes <= CONF_DATA_BYTES &&
            request->offset + request->bytes <= sizeof agent->snapshot) {
            memcpy(reply->data, (const uint8_t *)agent->snapshot + request->offset, request->bytes);
        }
        break;
    default:
        agent->snapshot_armed = true;
        agent->snapshot_generation = request->generation;
        agent->snapshot_key = request->key;
        agent->fabric->ops->revoke(agent->fabric, request->generation);
    }
}

void conf_agent_execute(struct conf_agent *agent, const struct conf_request *request,
                        struct conf_reply *reply)
{
    struct tacit_fabric *fabric = agent->fabric;
    memset(reply, 0, sizeof *reply);
    reply->ok = true;
    switch (request->call) {
    case CONF_EVENTS:
        events_fetch(agent, reply);
        break;
    case CONF_POST:
        reply->ok = post(agent, request);
        break;
    case CONF_READ_RESULT:
        memcpy(reply->data, agent->memory.read, sizeof reply->data);
        break;
    case CONF_REGION:
        reply->value = (uint64_t)(int64_t)fabric->ops->region(fabric, request->host, request->key);
        break;
    case CONF_LOCAL_READ:
    case CONF_LOCAL_WRITE:
    case CONF_LOCAL_SIZE:
        local_access(agent, request, reply);
        break;
    case CONF_LOG_REGIONS:
        reply->keys_count = (uint32_t)fabric->ops->log_regions(fabric, reply->keys, CONF_KEYS_MAX);
        break;
    case CONF_GRANT:
        fabric->ops->grant(fabric, request->host, request->incarnation, request->generation);
        break;
    case CONF_REVOKE:
        fabric->ops->revoke(fabric, request->generation);
        break;
    case CONF_RETIRE:
        fabric->ops->retire(fabric, request->key);
        break;
    case CONF_RING:
        fabric->ops->ring(fabric, request->host);
        break;
    case CONF_RESET:
        fabric->ops->reset(fabric, request->host);
        break;
    case CONF_COUNTERS:
        reply->counters = fabric->counters;
        break;
    case CONF_WRITER_START:
        writer_start(agent, request);
        break;
    case CONF_WRITER_STATE:
    case CONF_WRITER_STOP:
        agent->writer.running = agent->writer.running && request->call != CONF_WRITER_STOP;
        reply->value = agent->writer.ok;
        reply->value2 = agent->writer.first_bad;
        break;
    case CONF_SNAPSHOT:
    case CONF_SNAPSHOT_READ:
    case CONF_REVOKE_SNAPSHOT:
        snapshot_call(agent, request, reply);
        break;
    default:
        reply->ok = false;
    }
}
