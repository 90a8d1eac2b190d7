// SPDX-License-Identifier: Apache-2.0
//
// Sessions and membership as replicated pages; see sessions.h.
#include "sessions.h"

#include <string.h>

#include "../base/bug.h"

// Table positions are the low 16 bits of a session number.
#define POSITION_BITS 16u

static uint32_t record_bytes(const struct tacit_sessions_shape *shape)
{
    return (uint32_t)tacit_round_up(
        sizeof(struct tacit_session) + shape->pipeline * sizeof(struct tacit_session_reply), 64);
}

static uint32_t body_bytes(const struct tacit_sessions_shape *shape)
{
    return (shape->reply_bytes + 7u) & ~7u;
}

static size_t records_size(const struct tacit_sessions_shape *shape)
{
    size_t sessions = (size_t)shape->clients * shape->per_client;
    return tacit_round_up(sessions * record_bytes(shape), TACIT_PAGE_BYTES);
}

static size_t floors_size(const struct tacit_sessions_shape *shape)
{
    return tacit_round_up(shape->clients * sizeof(uint64_t), TACIT_PAGE_BYTES);
}

uint32_t tacit_sessions_pages(const struct tacit_sessions_shape *shape)
{
    size_t sessions = (size_t)shape->clients * shape->per_client;
    size_t bodies =
        tacit_round_up(sessions * shape->pipeline * body_bytes(shape), TACIT_PAGE_BYTES);
    return (uint32_t)(1 + (floors_size(shape) + records_size(shape) + bodies) / TACIT_PAGE_BYTES);
}

void tacit_sessions_init(struct tacit_sessions *sessions, const struct tacit_sessions_shape *shape,
                         struct tacit_pages *pages)
{
    TACIT_ASSERT((uint64_t)shape->clients * shape->per_client <= 1u << POSITION_BITS);
    *sessions = (struct tacit_sessions){.shape = *shape, .pages = pages};
    sessions->members = (struct tacit_members *)(void *)pages->live;
    sessions->floors = (uint64_t *)(void *)(pages->live + TACIT_PAGE_BYTES);
    sessions->records = pages->live + TACIT_PAGE_BYTES + floors_size(shape);
    sessions->bodies = sessions->records + records_size(shape);
    sessions->record_bytes = record_bytes(shape);
    sessions->body_bytes = body_bytes(shape);
}

static struct tacit_session *at(struct tacit_sessions *sessions, uint32_t position)
{
    return (struct tacit_session *)(void *)(sessions->records +
                                            (size_t)position * sessions->record_bytes);
}

uint32_t tacit_sessions_position(const struct tacit_sessions *sessions,
                                 const struct tacit_session *session)
{
    return (uint32_t)((size_t)((const uint8_t *)session - sessions->records) /
                      sessions->record_bytes);
}

struct tacit_session *tacit_sessions_find(struct tacit_sessions *sessions, uint32_t client,
                                          uint64_t number)
{
    uint32_t position = (uint32_t)(number & ((1u << POSITION_BITS) - 1));
    if (number == 0 || client >= sessions->shape.clients ||
        position / sessions->shape.per_client != client) {
        return NULL;
    }
    struct tacit_session *session = at(sessions, position);
    return session->number == number ? session : NULL;
}

struct tacit_session *tacit_sessions_nonce(struct tacit_sessions *sessions, uint32_t client,
                                           uint64_t nonce)
{
    for (uint32_t i = 0; client < sessions->shape.clients && i < sessions->shape.per_client; i++) {
        struct tacit_session *session = at(sessions, client * sessions->shape.per_client + i);
        if (session->number != 0 && session->nonce == nonce) {
            return session;
        }
    }
    return NULL;
}

uint64_t tacit_sessions_floor(const struct tacit_sessions *sessions, uint32_t client)
{
    return client < sessions->shape.clients ? sessions->floors[client] : UINT64_MAX;
}

// A session is over: neither its OPEN nor an older one counts again.
static void raise_floor(struct tacit_sessions *sessions, const struct tacit_session *session)
{
    uint32_t client = tacit_sessions_position(sessions, session) / sessions->shape.per_client;
    uint64_t *floor = &sessions->floors[client];
    if (session->nonce >= *floor && !TACIT_BUG(OPEN_REPLAYED)) {
        tacit_pages_touch(sessions->pages, floor, sizeof(*floor));
        *floor = session->nonce + 1;
    }
}

struct tacit_session *tacit_sessions_open(struct tacit_sessions *sessions, uint32_t client,
                                          uint64_t nonce, bool *displaced)
{
    *displaced = false;
    struct tacit_session *session = tacit_sessions_nonce(sessions, client, nonce);
    // The largest number is nobody's nonce: no floor could be above it.
    if (session != NULL || nonce < tacit_sessions_floor(sessions, client) || nonce == UINT64_MAX) {
        return session;
    }
    // A free record, or the oldest session: numbers grow with every OPEN.
    uint32_t first = client * sessions->shape.per_client;
    session = at(sessions, first);
    for (uint32_t i = 1; i < sessions->shape.per_client; i++) {
        struct tacit_session *other = at(sessions, first + i);
        if (other->number < session->number) {
            session = other;
        }
    }
    *displaced = session->number != 0;
    if (*displaced) {
        raise_floor(sessions, session);
    }
    tacit_pages_touch(sessions->pages, session, sessions->record_bytes);
    tacit_pages_touch(sessions->pages, sessions->members, sizeof(*sessions->members));
    memset(session, 0, sessions->record_bytes);
    sessions->members->opened++;
    sessions->members->open += *displaced ? 0 : 1;
    session->number =
        sessions->members->opened << POSITION_BITS | tacit_sessions_position(sessions, session);
    session->nonce = nonce;
    return session;
}

void tacit_sessions_close(struct tacit_sessions *sessions, struct tacit_session *session)
{
    tacit_pages_touch(sessions->pages, session, sessions->record_bytes);
    tacit_pages_touch(sessions->pages, sessions->members, sizeof(*sessions->members));
    sessions->members->open--;
    raise_floor(sessions, session);
    memset(session, 0, sessions->record_bytes);
}

static struct tacit_session_reply *reply_slot(struct tacit_sessions *sessions,
                                              const struct tacit_session *session, uint64_t number,
                                              uint8_t **body)
{
    uint32_t slot = (uint32_t)(number % sessions->shape.pipeline);
    uint32_t position = tacit_sessions_position(sessions, session);
    *body = sessions->bodies +
            ((size_t)position * sessions->shape.pipeline + slot) * sessions->body_bytes;
    uint8_t *record = (uint8_t *)at(sessions, position);
    return (struct tacit_session_reply *)(void *)(record + sizeof(struct tacit_session)) + slot;
}

void tacit_sessions_executed(struct tacit_sessions *sessions, struct tacit_session *session,
                             uint64_t number, tacit_index_t index, const void *reply,
                             uint32_t length)
{
    TACIT_ASSERT(length <= sessions->shape.reply_bytes);
    TACIT_ASSERT(number == session->last + 1 || TACIT_BUG(DUPLICATE_EXECUTED));
    uint8_t *body;
    struct tacit_session_reply *slot = reply_slot(sessions, session, number, &body);
    tacit_pages_touch(sessions->pages, session, sizeof(*session));
    tacit_pages_touch(sessions->pages, slot, sizeof(*slot));
    tacit_pages_touch(sessions->pages, body, length);
    session->last = number;
    *slot = (struct tacit_session_reply){.number = number, .index = index, .length = length};
    memcpy(body, reply, length);
}

const struct tacit_session_reply *tacit_sessions_reply(struct tacit_sessions *sessions,
                                                       const struct tacit_session *session,
                                                       uint64_t number, const uint8_t **body)
{
    uint8_t *at_body;
    const struct tacit_session_reply *slot = reply_slot(sessions, session, number, &at_body);
    *body = at_body;
    return number != 0 && slot->number == number ? slot : NULL;
}

uint32_t tacit_sessions_count(const struct tacit_sessions *sessions)
{
    return (uint32_t)sessions->members->open;
}

void tacit_sessions_admit(struct tacit_sessions *sessions, tacit_node_t node,
                          tacit_incarnation_t incarnation)
{
    TACIT_ASSERT(node < TACIT_MEMBERS);
    tacit_pages_touch(sessions->pages, sessions->members, sizeof(*sessions->members));
    sessions->members->incarnation[node] = incarnation;
    sessions->members->epoch++;
}
