// SPDX-License-Identifier: Apache-2.0
//
// What comes back to a client: replies are matched with the records that wait for them by session
// and number; whatever matches nothing is a repetition and is dropped.
#include "base/assert.h"
#include "client/internal.h"

#define EVENTS_A_CALL 16u
#define CALLS_A_POLL 16u

static uint32_t handle_of(const struct tacit_client *client, uint32_t index)
{
    return (uint32_t)client->sessions[index].turn << 16 | index;
}

// The record of a session that a reply answers, or NULL. RESULT of an OPEN names the new session,
// every other reply the session of the request (0 for an OPEN).
static struct tacit_client_record *record_of(struct tacit_client *client, uint32_t index,
                                             const struct tacit_wire_reply *reply)
{
    const struct tacit_client_session *session = &client->sessions[index];
    uint16_t at = TACIT_CLIENT_RECORD_NONE;
    if (session->state == TACIT_SESSION_FREE || session->state == TACIT_SESSION_OVER) {
        return NULL;
    }
    if ((reply->number & TACIT_CLIENT_NONCE_BIT) != 0) {
        at = session->state == TACIT_SESSION_OPENING ? session->control : at;
    } else if (session->id == reply->session && session->state == TACIT_SESSION_CLOSING &&
               !tacit_client_is_read(reply->number)) {
        at = session->control;
    } else if (session->id == reply->session && session->state != TACIT_SESSION_OPENING) {
        at = *tacit_client_window(client, index, reply->number);
    }
    bool is = at != TACIT_CLIENT_RECORD_NONE && client->records[at].number == reply->number;
    return is ? &client->records[at] : NULL;
}

// Most replies are of the session that was opened last where this one's number points to.
static uint16_t *hint_of(const struct tacit_client *client, uint64_t session)
{
    // NOLINTNEXTLINE(clang-analyzer-core.DivideZero): at least one
    return &client->hints[(session & TACIT_CLIENT_POSITION_MASK) % client->config.sessions];
}

static struct tacit_client_record *find_record(struct tacit_client *client,
                                               const struct tacit_wire_reply *reply)
{
    uint16_t hint = *hint_of(client, reply->session);
    const struct tacit_client_session *session = &client->sessions[hint];
    if (session->id == reply->session && (reply->number & TACIT_CLIENT_NONCE_BIT) == 0 &&
        session->state >= TACIT_SESSION_OPEN && session->state < TACIT_SESSION_OVER) {
        return record_of(client, hint, reply);
    }
    struct tacit_client_record *record = NULL;
    for (uint32_t i = 0; record == NULL && i < client->config.sessions; i++) {
        record = record_of(client, i, reply);
    }
    return record;
}

static void release(struct tacit_client *client, struct tacit_client_record *record)
{
    struct tacit_client_session *session = &client->sessions[record->session];
    if (record->kind == TACIT_REQUEST_APPLY || record->kind == TACIT_REQUEST_READ) {
        *tacit_client_window(client, record->session, record->number) = TACIT_CLIENT_RECORD_NONE;
        session->outstanding--;
        session->reading -= record->kind == TACIT_REQUEST_READ;
    } else {
        session->control = TACIT_CLIENT_RECORD_NONE;
    }
    tacit_client_record_free(client, record);
}

// From here on the session only reports: its requests one by one, then itself (report_over).
static void session_over(struct tacit_client *client, uint32_t index, enum tacit_status reason)
{
    struct tacit_client_session *session = &client->sessions[index];
    if (session->control != TACIT_CLIENT_RECORD_NONE) {
        release(client, &client->records[session->control]);
    }
    client->draining -= session->state == TACIT_SESSION_DRAINING;
    session->state = TACIT_SESSION_OVER;
    session->reason = reason;
    client->over++;
}

static void session_forget(struct tacit_client *client, uint32_t index)
{
    struct tacit_client_session *session = &client->sessions[index];
    session->state = TACIT_SESSION_FREE;
    session->turn++;
}

// Reports one thing of a session that is over. False: there is none.
static bool report_over(struct tacit_client *client, struct tacit_client_event *event)
{
    if (client->over == 0) {
        return false;
    }
    uint32_t index = 0;
    while (client->sessions[index].state != TACIT_SESSION_OVER) {
        index++;
        TACIT_ASSERT(index < client->config.sessions);
    }
    struct tacit_client_session *session = &client->sessions[index];
    *event = (struct tacit_client_event){.session = handle_of(client, index),
                                         .replica = TACIT_CLIENT_NOBODY,
                                         .wire_session = session->id};
    for (uint32_t i = 0; session->outstanding > 0; i++) {
        TACIT_ASSERT(i < 2 * client->config.pipeline);
        uint64_t number = i < client->config.pipeline
                              ? session->next_number + i
                              : session->next_read + i - client->config.pipeline;
        uint16_t at = *tacit_client_window(client, index, number);
        if (at != TACIT_CLIENT_RECORD_NONE) { // the oldest comes first
            struct tacit_client_record *record = &client->records[at];
            event->kind = TACIT_CLIENT_RESULT;
            event->status = TACIT_ECLOSED;
            event->token = record->token;
            event->number = record->number;
            release(client, record);
            return true;
        }
    }
    event->kind = TACIT_CLIENT_CLOSED;
    event->status = session->reason;
    event->token = session->token;
    client->over--;
    session_forget(client, index);
    return true;
}

// OPEN was executed.
static bool on_opened(struct tacit_client *client, struct tacit_client_record *record,
                      const struct tacit_wire_reply *reply, tacit_time_ns_t now_ns,
                      struct tacit_client_event *event)
{
    uint32_t index = record->session;
    struct tacit_client_session *session = &client->sessions[index];
    release(client, record);
    session->id = reply->session;
    session->state = TACIT_SESSION_OPEN;
    *hint_of(client, session->id) = (uint16_t)index;
    event->kind = TACIT_CLIENT_OPENED;
    event->token = session->token;
    event->wire_session = reply->session;
    if (session->close_wanted) {
        session->state = TACIT_SESSION_DRAINING;
        client->draining++;
        tacit_client_session_drained(client, index, now_ns);
    }
    return true;
}

static bool on_result(struct tacit_client *client, struct tacit_client_record *record,
                      const struct tacit_wire_reply *reply, tacit_time_ns_t now_ns,
                      struct tacit_client_event *event)
{
    uint32_t index = record->session;
    client->counters.results++;
    if (reply->kind == TACIT_REPLY_RESULT) {
        client->leader = client->config.byzantine ? TACIT_NODE_NONE : event->replica;
        tacit_client_on_round_trip(client, now_ns - record->first_sent_ns, now_ns);
    }
    if (record->kind == TACIT_REQUEST_OPEN) {
        if (reply->kind == TACIT_REPLY_RESULT) {
            return on_opened(client, record, reply, now_ns, event);
        }
        session_over(client, index, TACIT_ECLOSED);
        return report_over(client, event);
    }
    if (record->kind == TACIT_REQUEST_CLOSE) {
        session_over(client, index, TACIT_OK);
        return report_over(client, event);
    }
    event->kind = TACIT_CLIENT_RESULT;
    event->token = record->token;
    event->wire_session = reply->session;
    event->number = reply->number;
    event->status = reply->kind == TACIT_REPLY_STALE ? TACIT_ENOENT : TACIT_OK;
    event->index = reply->index;
    event->body = reply->body;
    event->body_bytes = reply->body_bytes;
    release(client, record);
    tacit_client_session_drained(client, index, now_ns);
    return true;
}

// Another session of this client, opened with a larger nonce, is over: the answer says which nonces
// still open one. True: the next one is tried.
static bool redraw(struct tacit_client *client, struct tacit_client_record *record,
                   const struct tacit_wire_reply *reply, tacit_time_ns_t now_ns)
{
    uint32_t index = record->session;
    struct tacit_client_session *session = &client->sessions[index];
    uint64_t floor = reply->session & ~TACIT_CLIENT_NONCE_BIT;
    if (reply->kind != TACIT_REPLY_CLOSED || session->redrawn == TACIT_CLIENT_REDRAWS) {
        return false;
    }
    session->redrawn++;
    client->next_nonce = client->next_nonce > floor ? client->next_nonce : floor;
    release(client, record);
    return tacit_client_session_ask(client, index, now_ns);
}

// The group will not execute this request, nor later ones of its session. True: *event is filled
// in.
static bool on_refused(struct tacit_client *client, struct tacit_client_record *record,
                       const struct tacit_wire_reply *reply, tacit_time_ns_t now_ns,
                       struct tacit_client_event *event)
{
    uint32_t index = record->session;
    bool closing = record->kind == TACIT_REQUEST_CLOSE;
    client->counters.results++;
    if (record->kind == TACIT_REQUEST_OPEN && redraw(client, record, reply, now_ns)) {
        return false;
    }
    if (reply->kind == TACIT_REPLY_NO_READ && record->kind == TACIT_REQUEST_READ) {
        event->kind = TACIT_CLIENT_RESULT;
        event->token = record->token;
        event->wire_session = reply->session;
        event->number = reply->number;
        event->status = TACIT_EINVAL;
        release(client, record);
        tacit_client_session_drained(client, index, now_ns);
        return true;
    }
    bool is_request = record->kind == TACIT_REQUEST_APPLY || record->kind == TACIT_REQUEST_READ;
    if (reply->kind == TACIT_REPLY_CLOSED || !is_request) {
        session_over(client, index, closing ? TACIT_OK : TACIT_ECLOSED);
        return report_over(client, event);
    }
    event->kind = TACIT_CLIENT_RESULT;
    event->token = record->token;
    event->wire_session = reply->session;
    event->number = reply->number;
    event->status = TACIT_ETOOBIG;
    release(client, record);
    session_over(client, index, TACIT_ETOOBIG); // the numbers have a gap now
    return true;
}

// True: *event is filled in.
static bool on_reply(struct tacit_client *client, uint32_t replica,
                     const struct tacit_wire_reply *reply, tacit_time_ns_t now_ns,
                     struct tacit_client_event *event)
{
    struct tacit_client_record *record = find_record(client, reply);
    client->counters.hints += reply->kind == TACIT_REPLY_HINT;
    if (record == NULL) {
        client->counters.duplicates += reply->kind != TACIT_REPLY_HINT;
        return false;
    }
    struct tacit_wire_reply answer;
    if (client->config.byzantine) {
        if (!tacit_client_votes_take(client, record, replica, reply, now_ns, &answer)) {
            return false;
        }
        reply = &answer;
    }
    if (reply->kind == TACIT_REPLY_HINT) {
        tacit_client_on_hint(client, record, replica, reply->leader, now_ns);
        return false;
    }
    *event = (struct tacit_client_event){.session = handle_of(client, record->session),
                                         .replica = (uint8_t)replica};
    if (reply->kind == TACIT_REPLY_RESULT || reply->kind == TACIT_REPLY_STALE) {
        return on_result(client, record, reply, now_ns, event);
    }
    return on_refused(client, record, reply, now_ns, event);
}

// Reads what one replica wrote until something is to be reported. No more messages than the ring
// has slots: a replica that writes for ever must not keep this process from its other work.
static bool read_replies(struct tacit_client *client, uint32_t replica, tacit_time_ns_t now_ns,
                         struct tacit_client_event *event)
{
    struct tacit_client_link *link = &client->links[replica];
    if (!link->up || link->replies.memory == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < client->config.ring_slots; i++) {
        uint32_t bytes = 0;
        enum tacit_verdict verdict = tacit_ring_read(&link->replies, client->reply, &bytes);
        if (verdict == TACIT_VERDICT_EMPTY) {
            break;
        }
        struct tacit_wire_reply reply;
        if (verdict == TACIT_VERDICT_OK) {
            verdict = tacit_wire_reply_decode(&reply, client->reply + TACIT_RING_HEADER, bytes);
        }
        if (verdict != TACIT_VERDICT_OK ||
            (!client->config.byzantine &&
             (reply.kind == TACIT_REPLY_RESULT_DIGEST || reply.kind == TACIT_REPLY_SIGN))) {
            client->counters.malformed++;
            continue;
        }
        if (reply.kind == TACIT_REPLY_MEMBERS || reply.kind == TACIT_REPLY_ORDERED) {
            tacit_client_said(client, replica, &reply);
            continue;
        }
        if (reply.kind == TACIT_REPLY_HINT && reply.session == 0 && reply.number == 0) {
            if (!client->config.byzantine) {
                tacit_client_on_leader(client, replica, now_ns);
            }
            continue;
        }
        if (on_reply(client, replica, &reply, now_ns, event)) {
            return true;
        }
    }
    return false;
}

static void take_events(struct tacit_client *client, tacit_time_ns_t now_ns)
{
    for (uint32_t call = 0; call < CALLS_A_POLL; call++) {
        struct tacit_event events[EVENTS_A_CALL];
        size_t count = client->fabric->ops->poll(client->fabric, events, EVENTS_A_CALL);
        for (size_t i = 0; i < count; i++) {
            tacit_client_on_event(client, &events[i], now_ns);
        }
        if (count < EVENTS_A_CALL) {
            return;
        }
    }
}

bool tacit_client_poll(struct tacit_client *client, tacit_time_ns_t now_ns,
                       struct tacit_client_event *event)
{
    const uint32_t replicas = client->config.replicas;
    TACIT_ASSERT(replicas > 0);
    if (report_over(client, event)) {
        return true;
    }
    // Replies before events: what a replica wrote before it went DOWN counts, and is gone
    // afterwards.
    for (uint32_t i = 0; i < replicas; i++) {
        uint32_t replica = (client->next_link + i) % replicas;
        if (read_replies(client, replica, now_ns, event)) {
            client->next_link = replica;
            return true;
        }
    }
    client->next_link = (client->next_link + 1) % replicas;
    take_events(client, now_ns);
    if (client->config.byzantine) {
        tacit_client_votes_poll(client);
    }
    for (uint32_t i = 0; client->draining > 0 && i < client->config.sessions; i++) {
        tacit_client_session_drained(client, i, now_ns);
    }
    tacit_client_send_due(client, now_ns);
    return false;
}
