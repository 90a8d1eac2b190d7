// SPDX-License-Identifier: Apache-2.0
//
// What the caller asks of a client: its memory, sessions and requests. See tacit/client_core.h.
#include <string.h>

#include "base/assert.h"
#include "base/words.h"
#include "client/internal.h"

#define DEFAULT_RETRY_NS (2u * 1000 * 1000)
#define DEFAULT_RETRY_MAX_NS (50u * 1000 * 1000)
#define DEFAULT_HINT_NS (100u * 1000)
#define BODY_BYTES_MAX (1u << 24)
#define SLOTS_MAX 32768u
#define SESSIONS_MAX 65535u

enum tacit_status tacit_client_config_check(const struct tacit_client_config *config,
                                            struct tacit_error *error)
{
    if (config->replicas < 1 || config->replicas > TACIT_REPLICAS_MAX) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "client: %u replicas configured; accepted are 1 to %u",
                               config->replicas, TACIT_REPLICAS_MAX);
    }
    if (config->request_bytes < 1 || config->request_bytes > BODY_BYTES_MAX ||
        config->reply_bytes > BODY_BYTES_MAX) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "client: request_bytes %u and reply_bytes %u configured; accepted "
                               "are 1 to %u and 0 to %u",
                               config->request_bytes, config->reply_bytes, BODY_BYTES_MAX,
                               BODY_BYTES_MAX);
    }
    if (config->ring_slots < 1 || config->ring_slots > SLOTS_MAX) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "client: %u ring slots configured; accepted are 1 to %u",
                               config->ring_slots, SLOTS_MAX);
    }
    if (config->sessions < 1 || config->sessions > SESSIONS_MAX || config->pipeline < 1 ||
        config->pipeline > SLOTS_MAX) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "client: %u sessions with a pipeline of %u configured; accepted are "
                               "1 to %u and 1 to %u",
                               config->sessions, config->pipeline, SESSIONS_MAX, SLOTS_MAX);
    }
    if (config->retry_max_ns != 0 && config->retry_ns > config->retry_max_ns) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "client: the first time-out (%llu ns) is above the longest one "
                               "(%llu ns)",
                               (unsigned long long)config->retry_ns,
                               (unsigned long long)config->retry_max_ns);
    }
    if (config->byzantine &&
        (config->replicas != 2 * config->faults + 1 || config->signer == NULL ||
         config->client_id > TACIT_NODE_NONE - TACIT_SIGNER_CLIENT)) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "client: Byzantine mode with %u replicas, %u of them faulty, client "
                               "id %u and %s signer; accepted are 2 * faults + 1 replicas, ids up "
                               "to %u, and a signer is needed",
                               config->replicas, config->faults, config->client_id,
                               config->signer == NULL ? "no" : "a",
                               TACIT_NODE_NONE - TACIT_SIGNER_CLIENT);
    }
    if (config->draw == NULL) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "client: no source of jitter configured (draw is NULL)");
    }
    return TACIT_OK;
}

static struct tacit_ring_shape request_shape(const struct tacit_client_config *config)
{
    return tacit_ring_shape(config->ring_slots,
                            tacit_wire_request_max(config->request_bytes, config->byzantine));
}

static struct tacit_ring_shape reply_shape(const struct tacit_client_config *config)
{
    return tacit_ring_shape(config->ring_slots,
                            tacit_wire_reply_max(config->reply_bytes, config->byzantine));
}

// One place for the size and the layout: with base NULL it only measures.
static struct tacit_client *lay_out(struct tacit_bump *bump,
                                    const struct tacit_client_config *config,
                                    struct tacit_client *parts)
{
    size_t windows = (size_t)config->sessions * config->pipeline;
    // A ring holds no more than its slots, so more records than slots would be useless.
    size_t records = windows < config->ring_slots ? windows : config->ring_slots;
    struct tacit_client *client = tacit_bump_take(bump, sizeof *client, TACIT_CACHE_LINE);
    parts->record_count = (uint32_t)records;
    parts->sessions = tacit_bump_take(bump, config->sessions * sizeof *parts->sessions, 8);
    parts->hints = tacit_bump_take(bump, config->sessions * sizeof *parts->hints, 8);
    parts->windows = tacit_bump_take(bump, windows * sizeof *parts->windows, 8);
    parts->reads = tacit_bump_take(bump, windows * sizeof *parts->reads, 8);
    parts->records = tacit_bump_take(bump, records * sizeof *parts->records, 8);
    parts->free_records = tacit_bump_take(bump, records * sizeof *parts->free_records, 8);
    parts->images =
        tacit_bump_take(bump, records * request_shape(config).slot_bytes, TACIT_CACHE_LINE);
    parts->reply = tacit_bump_take(bump, reply_shape(config).slot_bytes, TACIT_CACHE_LINE);
    parts->ask_image = tacit_bump_take(bump, request_shape(config).slot_bytes, TACIT_CACHE_LINE);
    if (config->byzantine) {
        parts->votes = tacit_bump_take(bump, records * config->replicas * sizeof *parts->votes, 8);
        parts->bodies = tacit_bump_take(bump, records * config->reply_bytes, TACIT_CACHE_LINE);
    }
    bump->used = tacit_round_up(bump->used, TACIT_CACHE_LINE);
    return client;
}

size_t tacit_client_size(const struct tacit_client_config *config)
{
    struct tacit_bump bump = {0};
    struct tacit_client parts = {0};
    (void)lay_out(&bump, config, &parts);
    return bump.used;
}

struct tacit_host_layout tacit_client_layout(const struct tacit_client_config *config)
{
    return (struct tacit_host_layout){.replies_bytes = tacit_ring_bytes(reply_shape(config))};
}

void tacit_client_init(struct tacit_client **client_out, void *memory,
                       const struct tacit_client_config *config, struct tacit_fabric *fabric)
{
    TACIT_ASSERT(tacit_client_config_check(config, NULL) == TACIT_OK);
    struct tacit_bump bump = {.base = memory};
    struct tacit_client parts = {0};
    struct tacit_client *client = lay_out(&bump, config, &parts);
    memset(memory, 0, bump.used);
    *client = parts;
    client->config = *config;
    if (client->config.retry_ns == 0) {
        client->config.retry_ns = DEFAULT_RETRY_NS;
    }
    if (client->config.retry_max_ns == 0) {
        client->config.retry_max_ns = DEFAULT_RETRY_MAX_NS;
    }
    if (client->config.retry_max_ns < client->config.retry_ns) {
        client->config.retry_max_ns = client->config.retry_ns;
    }
    if (client->config.hint_ns == 0) {
        client->config.hint_ns = DEFAULT_HINT_NS;
    }
    client->fabric = fabric;
    client->request_shape = request_shape(config);
    client->reply_shape = reply_shape(config);
    client->leader = TACIT_NODE_NONE;
    client->next_nonce = config->first_nonce;
    client->deadline_ns = UINT64_MAX;
    for (uint32_t i = 0; i < TACIT_REPLICAS_MAX; i++) {
        client->links[i].requests = -1;
    }
    for (uint32_t i = 0; i < config->sessions; i++) {
        client->sessions[i].control = TACIT_CLIENT_RECORD_NONE;
    }
    for (size_t i = 0; i < (size_t)config->sessions * config->pipeline; i++) {
        client->windows[i] = TACIT_CLIENT_RECORD_NONE;
        client->reads[i] = TACIT_CLIENT_RECORD_NONE;
    }
    client->free_count = client->record_count;
    for (uint32_t i = 0; i < client->record_count; i++) {
        client->free_records[i] = (uint16_t)(client->record_count - 1 - i);
    }
    fabric->ops->attach(fabric, memory, bump.used);
    *client_out = client;
}

uint16_t *tacit_client_window(struct tacit_client *client, uint32_t session, uint64_t number)
{
    uint16_t *windows = tacit_client_is_read(number) ? client->reads : client->windows;
    uint64_t count = number & ~TACIT_WIRE_READ_BIT;
    return &windows[(size_t)session * client->config.pipeline + count % client->config.pipeline];
}

uint8_t *tacit_client_image(struct tacit_client *client, const struct tacit_client_record *record)
{
    return client->images + (size_t)(record - client->records) * client->request_shape.slot_bytes;
}

// A record with its image encoded, not sent yet; NULL when all are in use.
static struct tacit_client_record *record_take(struct tacit_client *client,
                                               const struct tacit_wire_request *request,
                                               uint32_t session, uint64_t token)
{
    if (client->free_count == 0) {
        return NULL;
    }
    struct tacit_client_record *record =
        &client->records[client->free_records[--client->free_count]];
    *record = (struct tacit_client_record){
        .kind = request->kind,
        .session = (uint16_t)session,
        .number = request->number,
        .token = token,
    };
    uint8_t *image = tacit_client_image(client, record);
    record->payload_bytes = (uint32_t)tacit_wire_request_encode(
        image + TACIT_RING_HEADER, client->request_shape.slot_bytes - TACIT_RING_HEADER, request);
    TACIT_ASSERT(record->payload_bytes > 0);
    if (client->config.byzantine) {
        tacit_client_votes_begin(client, record);
    }
    return record;
}

void tacit_client_record_free(struct tacit_client *client, struct tacit_client_record *record)
{
    TACIT_ASSERT(record->kind != 0);
    client->signing -= record->signing != TACIT_SIGNING_NOT;
    record->kind = 0;
    client->free_records[client->free_count++] = (uint16_t)(record - client->records);
    if (client->free_count == client->record_count) {
        client->deadline_ns = UINT64_MAX;
    }
}

// The session that a handle names, or NULL.
static struct tacit_client_session *find(struct tacit_client *client, uint32_t handle)
{
    uint32_t index = handle & 0xffffu;
    if (index >= client->config.sessions) {
        return NULL;
    }
    struct tacit_client_session *session = &client->sessions[index];
    bool known = session->state != TACIT_SESSION_FREE && session->turn == handle >> 16;
    return known ? session : NULL;
}

bool tacit_client_session_ask(struct tacit_client *client, uint32_t index, tacit_time_ns_t now_ns)
{
    struct tacit_client_session *session = &client->sessions[index];
    struct tacit_wire_request request = {.kind = TACIT_REQUEST_OPEN,
                                         .number = client->next_nonce | TACIT_CLIENT_NONCE_BIT};
    struct tacit_client_record *record = record_take(client, &request, index, session->token);
    if (record == NULL) {
        return false;
    }
    client->next_nonce++;
    session->control = (uint16_t)(record - client->records);
    tacit_client_send_first(client, record, now_ns);
    return true;
}

enum tacit_status tacit_client_session_open(struct tacit_client *client, uint64_t token,
                                            tacit_time_ns_t now_ns, uint32_t *session_out)
{
    uint32_t index = 0;
    while (index < client->config.sessions && client->sessions[index].state != TACIT_SESSION_FREE) {
        index++;
    }
    if (index == client->config.sessions) {
        return TACIT_EBUSY;
    }
    struct tacit_client_session *session = &client->sessions[index];
    *session = (struct tacit_client_session){.state = TACIT_SESSION_OPENING,
                                             .turn = session->turn,
                                             .control = TACIT_CLIENT_RECORD_NONE,
                                             .next_number = 1,
                                             .next_read = TACIT_WIRE_READ_BIT | 1,
                                             .token = token};
    if (!tacit_client_session_ask(client, index, now_ns)) {
        session->state = TACIT_SESSION_FREE;
        return TACIT_EBUSY;
    }
    *session_out = (uint32_t)session->turn << 16 | index;
    return TACIT_OK;
}

void tacit_client_session_drained(struct tacit_client *client, uint32_t index,
                                  tacit_time_ns_t now_ns)
{
    struct tacit_client_session *session = &client->sessions[index];
    if (session->state != TACIT_SESSION_DRAINING || session->outstanding > 0) {
        return;
    }
    struct tacit_wire_request request = {
        .kind = TACIT_REQUEST_CLOSE, .session = session->id, .number = session->next_number};
    struct tacit_client_record *record = record_take(client, &request, index, session->token);
    if (record == NULL) {
        return; // poll() tries again
    }
    session->control = (uint16_t)(record - client->records);
    session->state = TACIT_SESSION_CLOSING;
    client->draining--;
    tacit_client_send_first(client, record, now_ns);
}

enum tacit_status tacit_client_session_close(struct tacit_client *client, uint32_t handle,
                                             tacit_time_ns_t now_ns)
{
    struct tacit_client_session *session = find(client, handle);
    if (session == NULL) {
        return TACIT_ECLOSED;
    }
    if (session->state == TACIT_SESSION_OPENING) {
        session->close_wanted = true;
    } else if (session->state == TACIT_SESSION_OPEN) {
        session->state = TACIT_SESSION_DRAINING;
        client->draining++;
        tacit_client_session_drained(client, handle & 0xffffu, now_ns);
    }
    return TACIT_OK;
}

// A request or read in the next number of its kind.
static enum tacit_status send_next(struct tacit_client *client, uint32_t handle,
                                   enum tacit_request_kind kind, const void *body,
                                   size_t body_bytes, uint64_t token, tacit_time_ns_t now_ns)
{
    struct tacit_client_session *session = find(client, handle);
    if (session == NULL || session->close_wanted || session->state > TACIT_SESSION_OPEN) {
        return TACIT_ECLOSED;
    }
    if (session->state == TACIT_SESSION_OPENING) {
        return TACIT_EINVAL;
    }
    if (body_bytes > client->config.request_bytes) {
        return TACIT_ETOOBIG;
    }
    // A read that is sent again must not see what was submitted after it.
    if (kind != TACIT_REQUEST_READ && session->reading > 0) {
        return TACIT_EBUSY;
    }
    uint32_t index = handle & 0xffffu;
    // Taken: the number `pipeline` before this one has no answer yet. The replicas keep that many
    // replies, so a larger window could lose one.
    uint64_t *next = kind == TACIT_REQUEST_READ ? &session->next_read : &session->next_number;
    uint16_t *window = tacit_client_window(client, index, *next);
    if (*window != TACIT_CLIENT_RECORD_NONE) {
        return TACIT_EBUSY;
    }
    struct tacit_wire_request request = {.kind = (uint8_t)kind,
                                         .session = session->id,
                                         .number = *next,
                                         .after = session->next_number - 1,
                                         .body = body,
                                         .body_bytes = (uint32_t)body_bytes};
    struct tacit_client_record *record = record_take(client, &request, index, token);
    if (record == NULL) {
        return TACIT_EBUSY;
    }
    *window = (uint16_t)(record - client->records);
    ++*next;
    session->outstanding++;
    session->reading += kind == TACIT_REQUEST_READ;
    tacit_client_send_first(client, record, now_ns);
    return TACIT_OK;
}

enum tacit_status tacit_client_submit(struct tacit_client *client, uint32_t handle,
                                      const void *body, size_t body_bytes, uint64_t token,
                                      tacit_time_ns_t now_ns)
{
    return send_next(client, handle, TACIT_REQUEST_APPLY, body, body_bytes, token, now_ns);
}

enum tacit_status tacit_client_read(struct tacit_client *client, uint32_t handle, const void *body,
                                    size_t body_bytes, uint64_t token, tacit_time_ns_t now_ns)
{
    return send_next(client, handle,
                     client->config.byzantine ? TACIT_REQUEST_APPLY : TACIT_REQUEST_READ, body,
                     body_bytes, token, now_ns);
}

tacit_time_ns_t tacit_client_deadline(const struct tacit_client *client)
{
    return client->over > 0 ? 0 : client->deadline_ns;
}

uint32_t tacit_client_outstanding(const struct tacit_client *client)
{
    return client->record_count - client->free_count;
}

tacit_node_t tacit_client_leader(const struct tacit_client *client, uint32_t *up)
{
    if (up != NULL) {
        *up = 0;
        for (uint32_t i = 0; i < client->config.replicas; i++) {
            *up |= (uint32_t)client->links[i].up << i;
        }
    }
    return client->leader;
}

const struct tacit_client_counters *tacit_client_counters(const struct tacit_client *client)
{
    return &client->counters;
}

static const char *check_window(const struct tacit_client *client, uint32_t index,
                                enum tacit_request_kind kind, uint32_t *outstanding)
{
    const struct tacit_client_session *session = &client->sessions[index];
    bool reads = kind == TACIT_REQUEST_READ;
    const uint16_t *windows = reads ? client->reads : client->windows;
    uint64_t next = reads ? session->next_read : session->next_number;
    for (uint32_t i = 0; i < client->config.pipeline; i++) {
        uint16_t at = windows[(size_t)index * client->config.pipeline + i];
        if (at == TACIT_CLIENT_RECORD_NONE) {
            continue;
        }
        if (at >= client->record_count || client->records[at].kind != kind ||
            client->records[at].session != index) {
            return "a window names a record that is not the session's request";
        }
        uint64_t number = client->records[at].number;
        if ((number & ~TACIT_WIRE_READ_BIT) % client->config.pipeline != i || number >= next ||
            number + client->config.pipeline < next) {
            return "a request's number is outside its session's window";
        }
        ++*outstanding;
    }
    return NULL;
}

static const char *check_session(const struct tacit_client *client, uint32_t index)
{
    const struct tacit_client_session *session = &client->sessions[index];
    uint32_t requests = 0;
    uint32_t reads = 0;
    const char *broken = check_window(client, index, TACIT_REQUEST_APPLY, &requests);
    broken = broken != NULL ? broken : check_window(client, index, TACIT_REQUEST_READ, &reads);
    if (broken != NULL) {
        return broken;
    }
    if (reads + requests != session->outstanding || reads != session->reading) {
        return "a session's count of outstanding requests is wrong";
    }
    bool control = session->control != TACIT_CLIENT_RECORD_NONE;
    bool wanted =
        session->state == TACIT_SESSION_OPENING || session->state == TACIT_SESSION_CLOSING;
    return control == wanted ? NULL : "a session has an OPEN or CLOSE too many or too few";
}

const char *tacit_client_check(const struct tacit_client *client)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < client->record_count; i++) {
        const struct tacit_client_record *record = &client->records[i];
        used += record->kind != 0;
        if (record->kind != 0 && record->deadline_ns < client->deadline_ns) {
            return "a request is due before the client's deadline";
        }
        if (record->kind != 0 && record->kept && record->kept_bytes > client->config.reply_bytes) {
            return "a kept body is larger than its place";
        }
        if ((record->hint_mask & ~record->sent_mask) != 0) {
            return "a replica that was not asked counts as one that answered";
        }
    }
    if (used + client->free_count != client->record_count) {
        return "records were lost or freed twice";
    }
    uint32_t held = 0;
    uint32_t over = 0;
    uint32_t draining = 0;
    for (uint32_t i = 0; i < client->config.sessions; i++) {
        const char *broken = check_session(client, i);
        if (broken != NULL) {
            return broken;
        }
        held += client->sessions[i].outstanding;
        held += client->sessions[i].control != TACIT_CLIENT_RECORD_NONE;
        over += client->sessions[i].state == TACIT_SESSION_OVER;
        draining += client->sessions[i].state == TACIT_SESSION_DRAINING;
    }
    if (held != used || over != client->over || draining != client->draining) {
        return "the tables of records and sessions disagree";
    }
    if (client->config.byzantine && client->leader != TACIT_NODE_NONE) {
        return "a leader is believed although a liar may have named it";
    }
    return client->leader == TACIT_NODE_NONE || client->links[client->leader].up
               ? NULL
               : "the believed leader is not connected";
}
