// SPDX-License-Identifier: Apache-2.0
//
// Clients of a replica: reading their rings, deciding what becomes of a request (propose, answer
// from the kept replies, hold, refuse, hint), and writing replies into their memory.
//
// A request is taken out of a ring only when there is room for it: the ring is the queue. While no
// leader is known requests stay there, for whoever leads next.
#include <string.h>

#include "../base/bug.h"
#include "internal.h"

// ---- connections
// ---------------------------------------------------------------------------------------

// Looks for the regions of a connection; both are needed before it is served.
static void find_regions(struct tacit_smr *smr, tacit_node_t node)
{
    struct tacit_smr_client *client = &smr->clients[node - TACIT_NODE_CLIENT];
    struct tacit_region_key requests = {TACIT_REGION_REQUESTS, node, client->incarnation};
    struct tacit_region_key replies = {TACIT_REGION_REPLIES, TACIT_NODE_SELF, 0};
    size_t bytes = 0;
    const void *memory = smr->fabric->ops->local(smr->fabric, requests, &bytes);
    client->replies = smr->fabric->ops->region(smr->fabric, node, replies);
    if (memory == NULL || bytes < tacit_ring_bytes(smr->request_shape) || client->replies < 0) {
        return;
    }
    client->up = true;
    smr->clients_up |= 1ull << (node - TACIT_NODE_CLIENT);
    tacit_ring_reader_init(&client->reader, smr->request_shape, memory);
}

void tacit_smr_client_up(struct tacit_smr *smr, const struct tacit_event *event)
{
    struct tacit_smr_client *client = &smr->clients[event->node - TACIT_NODE_CLIENT];
    memset(client, 0, sizeof(*client));
    if (event->identity >= smr->config.clients) {
        smr->counters.unexpected++;
        return;
    }
    client->known = true;
    client->id = event->identity;
    client->incarnation = event->incarnation;
    find_regions(smr, event->node);
}

void tacit_smr_client_regions(struct tacit_smr *smr, const struct tacit_event *event)
{
    const struct tacit_smr_client *client = &smr->clients[event->node - TACIT_NODE_CLIENT];
    if (client->known && !client->up) {
        find_regions(smr, event->node);
    }
}

void tacit_smr_client_down(struct tacit_smr *smr, const struct tacit_event *event)
{
    struct tacit_smr_client *client = &smr->clients[event->node - TACIT_NODE_CLIENT];
    smr->counters.lapped += client->reader.lost;
    smr->clients_up &= ~(1ull << (event->node - TACIT_NODE_CLIENT));
    smr->clients_due &= ~(1ull << (event->node - TACIT_NODE_CLIENT));
    memset(client, 0, sizeof(*client));
    if (smr->spilled && smr->spilled_from == event->node) {
        smr->spilled = false;
    }
    for (uint32_t i = 0; i < TACIT_HELD_MAX; i++) {
        if (smr->held[i].length != 0 && smr->held[i].from == event->node) {
            smr->held[i].length = 0;
            smr->held_count--;
        }
    }
}

// ---- replies
// -------------------------------------------------------------------------------------------

void tacit_smr_reply(struct tacit_smr *smr, tacit_node_t to, const struct tacit_wire_reply *reply)
{
    if (to < TACIT_NODE_CLIENT || to >= TACIT_NODES_MAX) {
        return;
    }
    struct tacit_smr_client *client = &smr->clients[to - TACIT_NODE_CLIENT];
    if (!client->up) {
        return;
    }
    struct tacit_wire_reply short_reply;
    struct tacit_digest digest;
    if (tacit_smr_is_byzantine(smr) && reply->kind == TACIT_REPLY_RESULT &&
        !tacit_wire_reply_is_whole(reply->number, reply->body_bytes, smr->full_wanted,
                                   smr->config.self, smr->config.replicas)) {
        tacit_body_digest(&digest, reply->body, reply->body_bytes);
        short_reply = *reply;
        short_reply.kind = TACIT_REPLY_RESULT_DIGEST;
        short_reply.body = digest.bytes;
        short_reply.body_bytes = TACIT_DIGEST_BYTES;
        reply = &short_reply;
    }
    size_t length = tacit_wire_reply_encode(smr->out + TACIT_RING_HEADER,
                                            smr->reply_shape.slot_bytes - TACIT_RING_HEADER, reply);
    TACIT_ASSERT(length != 0);
    uint64_t sequence = client->reply_sequence + 1;
    uint32_t bytes = tacit_ring_seal(smr->reply_shape, sequence, smr->out, (uint32_t)length);
    struct tacit_op op = {.kind = TACIT_OP_WRITE,
                          .plane = TACIT_PLANE_DATA,
                          .flags = TACIT_OP_QUIET,
                          .host = to,
                          .region = client->replies,
                          .bytes = bytes,
                          .offset = tacit_ring_offset(smr->reply_shape, sequence),
                          .local = smr->out,
                          .cookie = TACIT_COOKIE(TACIT_COOKIE_CLIENT, to)};
    if (smr->fabric->ops->post(smr->fabric, &op)) { // else the client asks again
        client->reply_sequence = sequence;
        smr->clients_due |= 1ull << (to - TACIT_NODE_CLIENT);
        smr->counters.replies++;
    }
}

void tacit_smr_reply_kept(struct tacit_smr *smr, tacit_node_t to,
                          const struct tacit_session *session, uint64_t number)
{
    struct tacit_wire_reply reply = {.kind = TACIT_REPLY_STALE,
                                     .leader = (uint8_t)smr->config.self,
                                     .session = session->number,
                                     .number = number};
    const uint8_t *body;
    const struct tacit_session_reply *kept =
        tacit_sessions_reply(&smr->sessions, session, number, &body);
    if (kept != NULL) {
        reply.kind = TACIT_REPLY_RESULT;
        reply.index = kept->index;
        reply.body = body;
        reply.body_bytes = (uint32_t)kept->length;
        tacit_mark(&smr->marker, TACIT_MARK_DUPLICATE_ANSWERED);
    }
    smr->counters.duplicates++;
    tacit_smr_reply(smr, to, &reply);
}

void tacit_smr_ring_clients(struct tacit_smr *smr)
{
    while (smr->clients_due != 0) {
        uint32_t i = (uint32_t)__builtin_ctzll(smr->clients_due);
        smr->clients_due &= smr->clients_due - 1;
        smr->fabric->ops->ring(smr->fabric, (tacit_node_t)(TACIT_NODE_CLIENT + i));
    }
}

static void refuse(struct tacit_smr *smr, tacit_node_t to, const struct tacit_wire_request *request,
                   enum tacit_reply_kind kind)
{
    tacit_node_t leader = smr->crash.leader;
    struct tacit_wire_reply reply = {.kind = (uint8_t)kind,
                                     .leader = leader == TACIT_NODE_NONE ? 255 : (uint8_t)leader,
                                     .session = request->session,
                                     .number = request->number};
    tacit_smr_reply(smr, to, &reply);
}

// ---- admission
// -----------------------------------------------------------------------------------------

enum outcome { DONE, NO_ROOM };

static enum outcome add_item(struct tacit_smr *smr, tacit_node_t from, uint8_t kind,
                             const struct tacit_wire_request *request)
{
    struct tacit_wire_item item = {
        .kind = kind,
        .subject = (uint16_t)smr->clients[from - TACIT_NODE_CLIENT].id,
        .session = request->session,
        .number = request->number,
        .body = request->body,
        .body_bytes = request->body_bytes,
    };
    if (smr->batch_items >= smr->config.batch_requests ||
        !tacit_wire_item_encode(smr->batch, smr->config.batch_bytes, &smr->batch_used, &item)) {
        return NO_ROOM;
    }
    tacit_node_t *askers = tacit_smr_askers(smr, smr->batch_index);
    askers[smr->batch_items++] = from;
    return DONE;
}

static struct tacit_smr_admitted *admitted_of(struct tacit_smr *smr,
                                              const struct tacit_session *session)
{
    struct tacit_smr_admitted *admitted =
        &smr->admitted[tacit_sessions_position(&smr->sessions, session)];
    if (admitted->session != session->number || admitted->term != smr->crash.term) {
        *admitted = (struct tacit_smr_admitted){
            .session = session->number, .proposed = session->last, .term = smr->crash.term};
    }
    return admitted;
}

static void hold(struct tacit_smr *smr, tacit_node_t from, const struct tacit_wire_request *request,
                 const uint8_t *message, uint32_t length, uint64_t after)
{
    uint32_t place = TACIT_HELD_MAX;
    for (uint32_t i = 0; i < TACIT_HELD_MAX; i++) {
        struct tacit_smr_held *held = &smr->held[i];
        if (held->length == 0) {
            place = i;
        } else if (held->session == request->session && held->number == request->number) {
            return; // is held already
        }
    }
    if (place == TACIT_HELD_MAX) {
        return; // full: the client sends it again
    }
    smr->held[place] = (struct tacit_smr_held){.length = length,
                                               .from = from,
                                               .session = request->session,
                                               .number = request->number,
                                               .after = after};
    memcpy(smr->held_bytes + (size_t)place * smr->request_shape.slot_bytes, message, length);
    smr->held_count++;
    tacit_mark(&smr->marker, TACIT_MARK_REQUEST_HELD);
}

static enum outcome admit_apply(struct tacit_smr *smr, tacit_node_t from,
                                const struct tacit_wire_request *request, const uint8_t *message,
                                uint32_t length)
{
    uint32_t id = smr->clients[from - TACIT_NODE_CLIENT].id;
    const struct tacit_session *session = tacit_sessions_find(&smr->sessions, id, request->session);
    if (session == NULL) {
        refuse(smr, from, request, TACIT_REPLY_CLOSED);
        return DONE;
    }
    struct tacit_smr_admitted *admitted = admitted_of(smr, session);
    if (request->number <= session->last && !TACIT_BUG(DUPLICATE_EXECUTED)) {
        tacit_smr_reply_kept(smr, from, session, request->number);
        return DONE;
    }
    if (request->number <= admitted->proposed && !TACIT_BUG(DUPLICATE_EXECUTED)) {
        return DONE; // under way: the reply comes when it is decided
    }
    if (request->number > admitted->proposed + 1) {
        hold(smr, from, request, message, length, request->number - 1);
        return DONE;
    }
    if (add_item(smr, from, TACIT_ITEM_APPLY, request) == NO_ROOM) {
        return NO_ROOM;
    }
    admitted->proposed = request->number;
    return DONE;
}

// That nonce opens nothing any more; the reply says which one does.
static void refuse_open(struct tacit_smr *smr, tacit_node_t from, uint32_t client, uint64_t nonce)
{
    struct tacit_wire_reply reply = {.kind = TACIT_REPLY_CLOSED,
                                     .leader = (uint8_t)smr->config.self,
                                     .session = tacit_sessions_floor(&smr->sessions, client),
                                     .number = nonce};
    tacit_smr_reply(smr, from, &reply);
}

static enum outcome admit_open(struct tacit_smr *smr, tacit_node_t from,
                               const struct tacit_wire_request *request)
{
    uint32_t id = smr->clients[from - TACIT_NODE_CLIENT].id;
    const struct tacit_session *session = tacit_sessions_nonce(&smr->sessions, id, request->number);
    if (session == NULL && request->number >= tacit_sessions_floor(&smr->sessions, id)) {
        return add_item(smr, from, TACIT_ITEM_OPEN, request);
    }
    if (session == NULL) {
        refuse_open(smr, from, id, request->number);
        return DONE;
    }
    struct tacit_wire_reply reply = {.kind = TACIT_REPLY_RESULT,
                                     .leader = (uint8_t)smr->config.self,
                                     .session = session->number,
                                     .number = request->number};
    tacit_smr_reply(smr, from, &reply);
    return DONE;
}

static bool lease_holds(const struct tacit_smr *smr, tacit_time_ns_t now_ns)
{
    return smr->config.engine == TACIT_ENGINE_NONE || tacit_lease_holds(&smr->crash, now_ns);
}

// Answers from the own state, if nobody else can have led by the time that it was read: the answer
// belongs to that moment. False: that is not certain.
static bool read_leased(struct tacit_smr *smr, tacit_node_t from,
                        const struct tacit_wire_request *request)
{
    if (!lease_holds(smr, smr->now_ns)) { // most often without a look at the clock
        return false;
    }
    struct tacit_request query = {.bytes = request->body,
                                  .size = request->body_bytes,
                                  .index = smr->applied,
                                  .client = smr->clients[from - TACIT_NODE_CLIENT].id,
                                  .session = request->session};
    size_t bytes = tacit_smr_query(smr, &query);
    // Not before: this process may have stood still while it read.
    bool holds = smr->config.engine == TACIT_ENGINE_NONE || TACIT_BUG(LEASE_CHECKED_FIRST) ||
                 tacit_lease_holds(&smr->crash, smr->config.clock(smr->config.clock_context));
    if (!holds) {
        tacit_mark(&smr->marker, TACIT_MARK_LEASE_LAPSED_IN_READ);
        return false;
    }
    struct tacit_wire_reply reply = {.kind = TACIT_REPLY_RESULT,
                                     .leader = (uint8_t)smr->config.self,
                                     .session = request->session,
                                     .number = request->number,
                                     .index = smr->applied - 1, // its session is open: above 0
                                     .body = smr->reply,
                                     .body_bytes = (uint32_t)bytes};
    smr->counters.reads_leased++;
    tacit_mark(&smr->marker, TACIT_MARK_LEASE_READ);
    tacit_smr_reply(smr, from, &reply);
    return true;
}

static enum outcome admit_read(struct tacit_smr *smr, tacit_node_t from,
                               const struct tacit_wire_request *request, const uint8_t *message,
                               uint32_t length)
{
    uint32_t id = smr->clients[from - TACIT_NODE_CLIENT].id;
    const struct tacit_session *session = tacit_sessions_find(&smr->sessions, id, request->session);
    if (session == NULL) {
        refuse(smr, from, request, TACIT_REPLY_CLOSED);
        return DONE;
    }
    if (smr->app->query == NULL) {
        refuse(smr, from, request, TACIT_REPLY_NO_READ);
        return DONE;
    }
    bool executed = request->after <= session->last || TACIT_BUG(READ_BEFORE_OWN_WRITE);
    if (!executed && request->after > admitted_of(smr, session)->proposed) {
        hold(smr, from, request, message, length, request->after);
        return DONE;
    }
    if (executed && read_leased(smr, from, request)) {
        return DONE;
    }
    return add_item(smr, from, TACIT_ITEM_READ, request);
}

// What becomes of a whole message from a client. NO_ROOM: nothing happened, try with the next
// batch.
static enum outcome admit(struct tacit_smr *smr, tacit_node_t from, const uint8_t *message,
                          uint32_t length)
{
    struct tacit_wire_request request;
    if (tacit_wire_request_decode(&request, message, length) != TACIT_VERDICT_OK) {
        smr->counters.malformed++;
        return DONE;
    }
    if (request.body_bytes > smr->config.request_bytes && request.kind != TACIT_REQUEST_ORDER) {
        refuse(smr, from, &request, TACIT_REPLY_TOO_BIG);
        return DONE;
    }
    switch (request.kind) {
    case TACIT_REQUEST_OPEN:
        return admit_open(smr, from, &request);
    case TACIT_REQUEST_APPLY:
        return admit_apply(smr, from, &request, message, length);
    case TACIT_REQUEST_READ:
        return admit_read(smr, from, &request, message, length);
    case TACIT_REQUEST_MEMBERS:
        tacit_smr_members_asked(smr, from, request.number);
        return DONE;
    case TACIT_REQUEST_ORDER:
        if (tacit_wire_item_bytes(TACIT_WIRE_ORDER_BYTES) > smr->config.batch_bytes &&
            !TACIT_BUG(OVERSIZED_ORDER_WAITS)) {
            smr->counters.unexpected++; // fits into no batch: it would wait in its ring for ever
            return DONE;
        }
        return tacit_smr_order_is_due(smr, from, &request)
                   ? add_item(smr, from, TACIT_ITEM_ORDER, &request)
                   : DONE;
    default:
        return add_item(smr, from, TACIT_ITEM_CLOSE, &request);
    }
}

// Looks again at what was held: a predecessor may have come.
static bool admit_held(struct tacit_smr *smr)
{
    bool progress = false;
    for (uint32_t i = 0; i < TACIT_HELD_MAX && smr->held_count > 0; i++) {
        struct tacit_smr_held *held = &smr->held[i];
        if (held->length == 0) {
            continue;
        }
        uint32_t id = smr->clients[held->from - TACIT_NODE_CLIENT].id;
        const struct tacit_session *session =
            tacit_sessions_find(&smr->sessions, id, held->session);
        if (session != NULL && held->after > admitted_of(smr, session)->proposed) {
            continue;
        }
        const uint8_t *bytes = smr->held_bytes + (size_t)i * smr->request_shape.slot_bytes;
        if (admit(smr, held->from, bytes, held->length) == NO_ROOM) {
            return progress;
        }
        held->length = 0;
        smr->held_count--;
        progress = true;
    }
    return progress;
}

// Reads one client's ring into the batch. False: no room is left.
static bool admit_from(struct tacit_smr *smr, tacit_node_t from, bool *worked)
{
    struct tacit_smr_client *client = &smr->clients[from - TACIT_NODE_CLIENT];
    for (uint32_t budget = smr->config.ring_slots; budget > 0; budget--) {
        uint32_t length;
        enum tacit_verdict verdict = tacit_ring_read(&client->reader, smr->message, &length);
        if (verdict == TACIT_VERDICT_EMPTY) {
            return true;
        }
        *worked = true;
        if (verdict != TACIT_VERDICT_OK) {
            smr->counters.malformed++;
            continue;
        }
        if (admit(smr, from, smr->message + TACIT_RING_HEADER, length) == NO_ROOM) {
            smr->spilled = true;
            smr->spilled_length = length;
            smr->spilled_from = from;
            return false;
        }
    }
    return true;
}

static void fill_batch(struct tacit_smr *smr, bool *worked)
{
    if (smr->spilled) {
        if (admit(smr, smr->spilled_from, smr->message + TACIT_RING_HEADER, smr->spilled_length) ==
            NO_ROOM) {
            return;
        }
        smr->spilled = false;
    }
    // Round robin: those from `turn` on, then those before it.
    uint64_t from_turn = ~0ull << smr->turn;
    for (int half = 0; half < 2; half++) {
        uint64_t left = smr->clients_up & (half == 0 ? from_turn : ~from_turn);
        for (; left != 0; left &= left - 1) {
            uint32_t slot = (uint32_t)__builtin_ctzll(left);
            if (!admit_from(smr, (tacit_node_t)(TACIT_NODE_CLIENT + slot), worked)) {
                smr->turn = slot;
                return;
            }
        }
    }
    while (smr->held_count > 0 && admit_held(smr)) {
    }
    smr->turn = (smr->turn + 1) % TACIT_CLIENTS_MAX;
}

// ---- Byzantine mode: into the store

tacit_node_t tacit_smr_client_node(const struct tacit_smr *smr, uint32_t client)
{
    for (uint64_t left = smr->clients_up; left != 0; left &= left - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(left);
        if (smr->clients[i].id == client) {
            return (tacit_node_t)(TACIT_NODE_CLIENT + i);
        }
    }
    return TACIT_NODE_NONE;
}

static void answer_executed(struct tacit_smr *smr, tacit_node_t from,
                            const struct tacit_wire_request *request)
{
    uint32_t client = smr->clients[from - TACIT_NODE_CLIENT].id;
    struct tacit_wire_reply reply = {.kind = TACIT_REPLY_RESULT,
                                     .leader = (uint8_t)smr->config.self,
                                     .session = request->session,
                                     .number = request->number};
    if (request->kind == TACIT_REQUEST_OPEN) {
        const struct tacit_session *session =
            tacit_sessions_nonce(&smr->sessions, client, request->number);
        reply.session = session == NULL ? 0 : session->number;
        tacit_smr_reply(smr, from, &reply);
    } else if (request->kind == TACIT_REQUEST_CLOSE) {
        tacit_smr_reply(smr, from, &reply);
    } else {
        struct tacit_session *session =
            tacit_sessions_find(&smr->sessions, client, request->session);
        if (session != NULL) {
            smr->full_wanted = (request->flags & TACIT_REQUEST_FULL) != 0;
            tacit_smr_reply_kept(smr, from, session, request->number);
            smr->full_wanted = false;
        }
    }
}

static void hear_one(struct tacit_smr *smr, tacit_node_t from, const uint8_t *message,
                     uint32_t length)
{
    struct tacit_wire_request request;
    if (tacit_wire_request_decode(&request, message, length) != TACIT_VERDICT_OK ||
        request.kind == TACIT_REQUEST_READ) { // there are no leases in Byzantine mode
        smr->counters.malformed++;
        return;
    }
    if (request.kind == TACIT_REQUEST_MEMBERS) {
        tacit_smr_members_asked(smr, from, request.number);
        return;
    }
    if (request.kind == TACIT_REQUEST_ORDER) {
        tacit_smr_epoch_order(smr, from, &request);
        return;
    }
    switch (tacit_requests_put(smr->byzantine.requests, smr->clients[from - TACIT_NODE_CLIENT].id,
                               &request, smr->now_ns)) {
    case TACIT_PUT_EXECUTED:
        answer_executed(smr, from, &request);
        break;
    case TACIT_PUT_CLOSED:
        if (request.kind == TACIT_REQUEST_OPEN) {
            refuse_open(smr, from, smr->clients[from - TACIT_NODE_CLIENT].id, request.number);
        } else {
            refuse(smr, from, &request, TACIT_REPLY_CLOSED);
        }
        break;
    case TACIT_PUT_TOO_BIG:
        refuse(smr, from, &request, TACIT_REPLY_TOO_BIG);
        break;
    default:
        break;
    }
}

bool tacit_smr_clients_have_news(const struct tacit_smr *smr)
{
    for (uint64_t left = smr->clients_up; left != 0; left &= left - 1) {
        if (tacit_ring_has_news(&smr->clients[__builtin_ctzll(left)].reader)) {
            return true;
        }
    }
    return false;
}

void tacit_smr_clients_prefetch(const struct tacit_smr *smr)
{
    for (uint64_t left = smr->clients_up; left != 0; left &= left - 1) {
        tacit_ring_prefetch(&smr->clients[__builtin_ctzll(left)].reader);
    }
}

bool tacit_smr_hear_clients(struct tacit_smr *smr)
{
    bool worked = false;
    for (uint64_t left = smr->clients_up; left != 0 && smr->state_valid; left &= left - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(left);
        struct tacit_smr_client *client = &smr->clients[i];
        for (uint32_t budget = smr->config.ring_slots; budget > 0; budget--) {
            uint32_t length;
            enum tacit_verdict verdict = tacit_ring_read(&client->reader, smr->message, &length);
            if (verdict == TACIT_VERDICT_EMPTY) {
                break;
            }
            worked = true;
            if (verdict != TACIT_VERDICT_OK) {
                smr->counters.malformed++;
                continue;
            }
            hear_one(smr, (tacit_node_t)(TACIT_NODE_CLIENT + i), smr->message + TACIT_RING_HEADER,
                     length);
        }
    }
    return worked;
}

// ---- not the leader
// ------------------------------------------------------------------------------------

static bool hint_all(struct tacit_smr *smr)
{
    bool worked = false;
    smr->spilled = false;
    for (uint64_t left = smr->clients_up; left != 0; left &= left - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(left);
        struct tacit_smr_client *client = &smr->clients[i];
        for (uint32_t budget = smr->config.ring_slots; budget > 0; budget--) {
            uint32_t length;
            struct tacit_wire_request request;
            enum tacit_verdict verdict = tacit_ring_read(&client->reader, smr->message, &length);
            if (verdict == TACIT_VERDICT_EMPTY) {
                break;
            }
            worked = true;
            if (verdict != TACIT_VERDICT_OK ||
                tacit_wire_request_decode(&request, smr->message + TACIT_RING_HEADER, length) !=
                    TACIT_VERDICT_OK) {
                smr->counters.malformed++;
                continue;
            }
            if (request.kind == TACIT_REQUEST_MEMBERS) {
                tacit_smr_members_asked(smr, (tacit_node_t)(TACIT_NODE_CLIENT + i), request.number);
                continue;
            }
            smr->counters.hints++;
            tacit_mark(&smr->marker, TACIT_MARK_HINT_SENT);
            refuse(smr, (tacit_node_t)(TACIT_NODE_CLIENT + i), &request, TACIT_REPLY_HINT);
        }
    }
    return worked;
}

static bool leads(const struct tacit_smr *smr)
{
    return smr->config.engine == TACIT_ENGINE_NONE || smr->crash.role == TACIT_ROLE_LEADER;
}

static bool knows_leader(const struct tacit_smr *smr)
{
    tacit_node_t leader = smr->crash.leader;
    return !smr->active || (smr->crash.role == TACIT_ROLE_FOLLOWER && leader != TACIT_NODE_NONE &&
                            leader != smr->config.self && (smr->crash.trusted & 1u << leader) != 0);
}

// Who was sent to an earlier leader waits for it, perhaps for a whole time-out: the new one says
// so.
static void tell_clients(struct tacit_smr *smr)
{
    const struct tacit_wire_reply reply = {.kind = TACIT_REPLY_HINT,
                                           .leader = (uint8_t)smr->config.self};
    smr->told_term = smr->crash.term;
    for (uint64_t left = smr->clients_up; left != 0; left &= left - 1) {
        tacit_smr_reply(smr, (tacit_node_t)(TACIT_NODE_CLIENT + (uint32_t)__builtin_ctzll(left)),
                        &reply);
    }
}

bool tacit_smr_serve(struct tacit_smr *smr)
{
    bool worked = false;
    if (!leads(smr)) {
        return knows_leader(smr) && hint_all(smr);
    }
    if (smr->told_term != smr->crash.term) {
        tell_clients(smr);
    }
    if (smr->config.engine == TACIT_ENGINE_NONE) {
        smr->batch = smr->none_batch;
        smr->batch_index = smr->applied;
    } else {
        smr->batch = tacit_crash_open(&smr->crash, false);
        smr->batch_index = smr->crash.tail;
    }
    bool full = smr->batch == NULL;
    if (full && smr->crash.laggard != TACIT_NODE_NONE) {
        smr->batch = tacit_crash_open(&smr->crash, true);
    }
    if (smr->batch == NULL || smr->batch_index - smr->applied >= smr->askers_rows) {
        return false;
    }
    smr->batch_used = 0;
    smr->batch_items = 0;
    tacit_smr_admissions(smr, full);
    bool membership = smr->batch_items > 0;
    if (!full) {
        fill_batch(smr, &worked);
    }
    if (smr->batch_used == 0) {
        return worked;
    }
    if (smr->askers_term != smr->crash.term) {
        smr->askers_term = smr->crash.term;
        memset(smr->askers_index, 0, smr->askers_rows * sizeof(smr->askers_index[0]));
    }
    smr->askers_index[smr->batch_index % smr->askers_rows] = smr->batch_index + 1;
    if (smr->config.engine == TACIT_ENGINE_NONE) {
        tacit_smr_execute_batch(smr, smr->applied, smr->none_batch, smr->batch_used);
        smr->applied++;
    } else {
        tacit_crash_propose(&smr->crash, (uint32_t)smr->batch_used,
                            membership ? TACIT_ENTRY_MEMBERSHIP : 0);
    }
    return true;
}
