// SPDX-License-Identifier: Apache-2.0
//
// The store itself: where a request has its place, what displaces what, which batches are endorsed,
// and which slots wait for what. See requests.h.
#include "requests_internal.h"

#include <string.h>

#include "../base/bug.h"

#define SIGNED_ROOM (TACIT_WIRE_REQUEST_HEADER + TACIT_WIRE_SIGNATURE_BYTES)
#define POSITION_MASK 0xffffu // low bits of a session's number: its position in the table
#define LACK_DOUBLINGS 6u
// What a client may have under way finds room so often. It sends the next one when f+1 have
// answered, and this replica may be the last to execute: then it still has what the others have
// executed, and gets what was sent since. Without room for both a leader would drop the new ones,
// and a follower old ones that were not proposed yet, until their client gives up waiting.
#define ROOMS 2u

static struct tacit_requests *lay_out(struct tacit_bump *bump,
                                      const struct tacit_requests_config *config,
                                      struct tacit_requests *parts)
{
    uint32_t rooms = TACIT_BUG(ROOM_FOR_ONCE) ? 1 : ROOMS;
    parts->session_places = rooms * config->session_pipeline;
    parts->bodies_each = rooms * config->client_requests;
    parts->places_each = config->sessions_per_client * (parts->session_places + 1);
    parts->lanes_each = config->sessions_per_client + 1;
    parts->body_stride =
        (uint32_t)tacit_round_up(TACIT_SIGNATURE_BYTES + (size_t)config->request_bytes, 8);
    parts->forward_stride =
        (uint32_t)tacit_round_up(SIGNED_ROOM + (size_t)config->request_bytes, 8);
    size_t places = (size_t)config->clients * parts->places_each;
    size_t lanes = (size_t)config->clients * parts->lanes_each;
    size_t bodies = (size_t)config->clients * parts->bodies_each;
    struct tacit_requests *requests = tacit_bump_take(bump, sizeof(*requests), TACIT_CACHE_LINE);
    parts->clients = tacit_bump_take(bump, config->clients * sizeof(*parts->clients), 8);
    parts->entries = tacit_bump_take(bump, places * sizeof(*parts->entries), 8);
    parts->lanes = tacit_bump_take(bump, lanes * sizeof(*parts->lanes), 8);
    parts->free_bodies = tacit_bump_take(bump, bodies * sizeof(*parts->free_bodies), 8);
    parts->queue = tacit_bump_take(bump, lanes * sizeof(*parts->queue), 8);
    parts->check_queue = tacit_bump_take(bump, config->clients * sizeof(*parts->check_queue), 8);
    parts->waiters = tacit_bump_take(bump, config->window * sizeof(*parts->waiters), 8);
    parts->bodies = tacit_bump_take(bump, bodies * parts->body_stride, TACIT_CACHE_LINE);
    parts->forward_bytes = tacit_bump_take(
        bump, (size_t)config->replicas * TACIT_FORWARDS_EACH * parts->forward_stride,
        TACIT_CACHE_LINE);
    parts->out = tacit_bump_take(bump, TACIT_REQUEST_HEADER_BYTES + (size_t)parts->forward_stride,
                                 TACIT_CACHE_LINE);
    return requests;
}

struct tacit_requests *tacit_requests_init(struct tacit_bump *bump,
                                           const struct tacit_requests_config *config,
                                           struct tacit_signer *signer,
                                           const struct tacit_requests_calls *calls,
                                           struct tacit_marker marker)
{
    TACIT_ASSERT(config->replicas >= 1 && config->replicas <= TACIT_REPLICAS_MAX);
    TACIT_ASSERT(config->self < config->replicas && config->window > 0);
    TACIT_ASSERT(config->clients <= TACIT_NODE_NONE - TACIT_SIGNER_CLIENT);
    TACIT_ASSERT(config->sessions_per_client > 0 && config->session_pipeline > 0);
    TACIT_ASSERT(config->client_requests > 0 && config->message_bytes >= 128);
    struct tacit_requests parts = {0};
    struct tacit_requests *requests = lay_out(bump, config, &parts);
    if (bump->base == NULL) {
        return NULL;
    }
    *requests = parts;
    requests->config = *config;
    requests->signer = signer;
    requests->calls = *calls;
    requests->marker = marker;
    requests->faults = (config->replicas - 1u) / 2u;
    requests->lack_due_ns = UINT64_MAX;
    requests->patience_ns = config->lack_after_ns;
    requests->ask_due_ns = UINT64_MAX;
    requests->wary_until_ns = UINT64_MAX;
    requests->newest = TACIT_REQUESTS_NONE;
    size_t places = (size_t)config->clients * requests->places_each;
    TACIT_ASSERT(places < 1u << TACIT_REQUESTS_PLACE_BITS);
    memset(requests->clients, 0, config->clients * sizeof(*requests->clients));
    memset(requests->entries, 0, places * sizeof(*requests->entries));
    memset(requests->lanes, 0,
           (size_t)config->clients * requests->lanes_each * sizeof(*requests->lanes));
    memset(requests->waiters, 0, config->window * sizeof(*requests->waiters));
    for (size_t i = 0; i < places; i++) {
        requests->entries[i].waiting = TACIT_REQUESTS_NONE;
    }
    for (uint32_t client = 0; client < config->clients; client++) {
        requests->clients[client].free_bodies = requests->bodies_each;
        for (uint32_t i = 0; i < requests->bodies_each; i++) {
            requests->free_bodies[(size_t)client * requests->bodies_each + i] = i;
        }
    }
    tacit_requests_lists_init(requests);
    return requests;
}

// ---- places
// --------------------------------------------------------------------------------------------

// Sessions of a client have different positions modulo S, so each has a lane of its own.
static uint32_t lane_in_client(const struct tacit_requests *requests,
                               const struct tacit_requests_key *key)
{
    uint32_t sessions = requests->config.sessions_per_client;
    return key->kind == TACIT_REQUEST_OPEN ? sessions
                                           : (uint32_t)(key->session & POSITION_MASK) % sessions;
}

uint32_t tacit_requests_lane(const struct tacit_requests *requests,
                             const struct tacit_requests_key *key)
{
    return key->client * requests->lanes_each + lane_in_client(requests, key);
}

uint32_t tacit_requests_place(const struct tacit_requests *requests,
                              const struct tacit_requests_key *key)
{
    uint32_t lane = lane_in_client(requests, key);
    uint32_t among = key->kind == TACIT_REQUEST_OPEN ? requests->config.sessions_per_client
                                                     : requests->session_places;
    return key->client * requests->places_each + lane * requests->session_places +
           (uint32_t)(key->number % among);
}

uint32_t tacit_requests_find(const struct tacit_requests *requests,
                             const struct tacit_requests_key *key)
{
    uint32_t place = tacit_requests_place(requests, key);
    const struct tacit_requests_entry *entry = &requests->entries[place];
    bool here =
        entry->kind == key->kind && entry->session == key->session && entry->number == key->number;
    return here ? place : TACIT_REQUESTS_NONE;
}

struct tacit_requests_key tacit_requests_key_of(const struct tacit_requests *requests,
                                                uint32_t place)
{
    const struct tacit_requests_entry *entry = &requests->entries[place];
    return (struct tacit_requests_key){
        .kind = entry->kind,
        .client = (uint16_t)tacit_requests_client_of(requests, place),
        .session = entry->session,
        .number = entry->number,
    };
}

enum tacit_requests_put tacit_requests_judge(const struct tacit_requests *requests,
                                             const struct tacit_requests_key *key)
{
    const struct tacit_requests_calls *calls = &requests->calls;
    if (key->kind == TACIT_REQUEST_OPEN) {
        switch (calls->nonce(calls->context, key->client, key->number)) {
        case TACIT_STANDING_OPEN:
            return TACIT_PUT_EXECUTED;
        case TACIT_STANDING_CLOSED:
            return TACIT_PUT_CLOSED;
        default:
            return TACIT_PUT_TAKEN;
        }
    }
    uint64_t last = 0;
    if (key->session == 0) {
        return TACIT_PUT_CLOSED;
    }
    switch (calls->session(calls->context, key->client, key->session, &last)) {
    case TACIT_STANDING_CLOSED:
        return TACIT_PUT_CLOSED;
    case TACIT_STANDING_OPEN:
        if (key->number > last) {
            return TACIT_PUT_TAKEN;
        }
        return key->kind == TACIT_REQUEST_APPLY ? TACIT_PUT_EXECUTED : TACIT_PUT_DROPPED;
    default:
        return TACIT_PUT_TAKEN; // this replica is behind: it may need it later
    }
}

void tacit_requests_free(struct tacit_requests *requests, uint32_t place)
{
    struct tacit_requests_entry *entry = &requests->entries[place];
    uint32_t client = tacit_requests_client_of(requests, place);
    struct tacit_requests_key key = tacit_requests_key_of(requests, place);
    struct tacit_requests_lane *lane = &requests->lanes[tacit_requests_lane(requests, &key)];
    TACIT_ASSERT(entry->kind != 0);
    if (lane->obliged != TACIT_OBLIGED_NOT && lane->place == place && lane->turn == entry->turn &&
        !TACIT_BUG(OBLIGATION_NOT_CANCELLED)) {
        tacit_requests_release(requests, tacit_requests_lane(requests, &key));
    }
    requests->free_bodies[(size_t)client * requests->bodies_each +
                          requests->clients[client].free_bodies++] = entry->body;
    requests->clients[client].to_check -= entry->to_check;
    *entry = (struct tacit_requests_entry){.waiting = entry->waiting};
}

// What this leader has proposed stays: others may ask for exactly these bytes.
static bool is_shown(const struct tacit_requests *requests, uint32_t place)
{
    return requests->entries[place].kind != 0 && tacit_requests_was_proposed(requests, place);
}

static void free_lane(struct tacit_requests *requests, uint32_t client, uint64_t session)
{
    struct tacit_requests_key key = {
        .kind = TACIT_REQUEST_APPLY, .client = (uint16_t)client, .session = session};
    for (uint32_t i = 0; i < requests->session_places; i++) {
        key.number = i;
        uint32_t place = tacit_requests_place(requests, &key);
        if (requests->entries[place].kind != 0 && requests->entries[place].session == session) {
            tacit_requests_free(requests, place);
        }
    }
}

static bool is_lane_shown(const struct tacit_requests *requests, uint32_t client, uint64_t session)
{
    struct tacit_requests_key key = {
        .kind = TACIT_REQUEST_APPLY, .client = (uint16_t)client, .session = session};
    bool any = false;
    for (uint32_t i = 0; i < requests->session_places && !any; i++) {
        key.number = i;
        any = is_shown(requests, tacit_requests_place(requests, &key));
    }
    return any;
}

// The lane takes up a session. False: it already has a later one, or one that is needed.
static bool lane_enter(struct tacit_requests *requests, const struct tacit_requests_key *key)
{
    uint32_t index = tacit_requests_lane(requests, key);
    struct tacit_requests_lane *lane = &requests->lanes[index];
    if (key->kind == TACIT_REQUEST_OPEN || lane->session == key->session) {
        return true;
    }
    if (lane->session > key->session ||
        (lane->session != 0 && is_lane_shown(requests, key->client, lane->session))) {
        return false;
    }
    if (lane->session != 0) {
        free_lane(requests, key->client, lane->session);
        tacit_requests_release(requests, index);
    }
    lane->session = key->session;
    lane->proposed = 0;
    lane->view = 0;
    return true;
}

static bool may_displace(const struct tacit_requests_entry *entry,
                         const struct tacit_requests_key *key, bool forwarded)
{
    if (entry->kind == 0) {
        return true;
    }
    if (entry->session == key->session && entry->number == key->number) {
        return forwarded; // it is signed, what is here is not, or the client signed both
    }
    if (key->kind == TACIT_REQUEST_OPEN) {
        return !forwarded; // else an old one could be used to displace a new one
    }
    return key->session > entry->session ||
           (key->session == entry->session && key->number > entry->number);
}

// Room for a body, or NONE; the client's oldest request gives way if there is none.
static uint32_t take_body(struct tacit_requests *requests, uint32_t client)
{
    if (requests->clients[client].free_bodies == 0) {
        uint32_t first = client * requests->places_each;
        uint32_t oldest = TACIT_REQUESTS_NONE;
        for (uint32_t i = first; i < first + requests->places_each; i++) {
            if (requests->entries[i].kind != 0 && !is_shown(requests, i) &&
                (oldest == TACIT_REQUESTS_NONE ||
                 requests->entries[i].arrival < requests->entries[oldest].arrival)) {
                oldest = i;
            }
        }
        if (oldest == TACIT_REQUESTS_NONE) {
            return TACIT_REQUESTS_NONE;
        }
        tacit_requests_free(requests, oldest);
        requests->counters.evicted++;
        tacit_mark(&requests->marker, TACIT_MARK_REQUEST_EVICTED);
    }
    return requests->free_bodies[(size_t)client * requests->bodies_each +
                                 --requests->clients[client].free_bodies];
}

uint32_t tacit_requests_store(struct tacit_requests *requests, const struct tacit_requests_key *key,
                              const struct tacit_wire_request *request, bool forwarded)
{
    uint32_t place = tacit_requests_place(requests, key);
    struct tacit_requests_entry *entry = &requests->entries[place];
    if (is_shown(requests, place) || !may_displace(entry, key, forwarded) ||
        !lane_enter(requests, key)) {
        return TACIT_REQUESTS_NONE;
    }
    if (entry->kind != 0) {
        tacit_requests_free(requests, place);
        requests->counters.evicted++;
    }
    uint32_t body = take_body(requests, key->client);
    if (body == TACIT_REQUESTS_NONE) {
        return TACIT_REQUESTS_NONE;
    }
    *entry = (struct tacit_requests_entry){
        .kind = key->kind,
        .body = body,
        .body_bytes = request->body_bytes,
        .turn = ++requests->turns & TACIT_REQUESTS_TURNS,
        .waiting = entry->waiting,
        .session = key->session,
        .number = key->number,
        .arrival = ++requests->arrivals,
    };
    if (request->body_bytes > 0) {
        memcpy(tacit_requests_body(requests, place), request->body, request->body_bytes);
    }
    requests->counters.taken++;
    return place;
}

// ---- what comes in
// -------------------------------------------------------------------------------------

enum tacit_requests_put tacit_requests_put(struct tacit_requests *requests, uint32_t client,
                                           const struct tacit_wire_request *request,
                                           tacit_time_ns_t now_ns)
{
    struct tacit_requests_key key = {.kind = request->kind,
                                     .client = (uint16_t)client,
                                     .session = request->session,
                                     .number = request->number};
    if (client >= requests->config.clients) {
        requests->counters.dropped++;
        return TACIT_PUT_DROPPED;
    }
    if (request->body_bytes > requests->config.request_bytes) {
        return TACIT_PUT_TOO_BIG;
    }
    enum tacit_requests_put judgement = tacit_requests_judge(requests, &key);
    if (judgement != TACIT_PUT_TAKEN) {
        return judgement;
    }
    uint32_t place = tacit_requests_find(requests, &key);
    bool is_new = place == TACIT_REQUESTS_NONE;
    if (is_new) {
        place = tacit_requests_store(requests, &key, request, false);
    } else if (requests->entries[place].body_bytes != request->body_bytes ||
               memcmp(tacit_requests_body(requests, place), request->body, request->body_bytes) !=
                   0) {
        requests->counters.conflicts++;
        tacit_mark(&requests->marker, TACIT_MARK_REQUEST_CONFLICT);
        place = TACIT_REQUESTS_NONE; // what came first stays, unless the other comes signed
    }
    if (place == TACIT_REQUESTS_NONE) {
        requests->counters.dropped++;
        return TACIT_PUT_DROPPED;
    }
    struct tacit_requests_entry *entry = &requests->entries[place];
    is_new = is_new || !entry->direct;
    entry->direct = true;
    entry->full = entry->full || (request->flags & TACIT_REQUEST_FULL) != 0;
    if ((request->flags & TACIT_REQUEST_SIGNED) != 0) {
        tacit_requests_check_place(requests, place, request->signature);
    }
    tacit_requests_echo(requests, place);
    if (is_new) {
        requests->newest = place;
        tacit_requests_improved(requests, place, now_ns);
    }
    tacit_requests_hold_back(requests, tacit_requests_lane(requests, &key), now_ns);
    return TACIT_PUT_TAKEN;
}

bool tacit_requests_is_full(const struct tacit_requests *requests, uint32_t client,
                            uint64_t session, uint64_t number)
{
    struct tacit_requests_key key = {.kind = TACIT_REQUEST_APPLY,
                                     .client = (uint16_t)client,
                                     .session = session,
                                     .number = number};
    if (client >= requests->config.clients) {
        return false;
    }
    uint32_t place = tacit_requests_find(requests, &key);
    return place != TACIT_REQUESTS_NONE && requests->entries[place].full;
}

// ---- endorsement
// ---------------------------------------------------------------------------------------

// The request that an item claims to be; false: no request at all.
static bool key_of_item(const struct tacit_requests *requests, const struct tacit_wire_item *item,
                        struct tacit_requests_key *key)
{
    static const uint8_t kinds[] = {[TACIT_ITEM_OPEN] = TACIT_REQUEST_OPEN,
                                    [TACIT_ITEM_APPLY] = TACIT_REQUEST_APPLY,
                                    [TACIT_ITEM_CLOSE] = TACIT_REQUEST_CLOSE};
    if (item->kind >= sizeof(kinds) || item->subject >= requests->config.clients ||
        item->body_bytes > requests->config.request_bytes) {
        return false;
    }
    *key = (struct tacit_requests_key){.kind = kinds[item->kind],
                                       .client = item->subject,
                                       .session = item->session,
                                       .number = item->number};
    return key->kind != 0;
}

static bool is_same(const struct tacit_requests_key *a, const struct tacit_requests_key *b)
{
    return a->kind == b->kind && a->session == b->session && a->number == b->number;
}

// Whether these very bytes came from their client, or with its signature.
static bool is_item_here(const struct tacit_requests *requests,
                         const struct tacit_requests_key *key, const struct tacit_wire_item *item)
{
    uint32_t place = tacit_requests_place(requests, key);
    const struct tacit_requests_entry *entry = &requests->entries[place];
    bool is_here =
        entry->kind == key->kind && entry->session == key->session && entry->number == key->number;
    if (is_here &&
        ((entry->body_bytes == item->body_bytes &&
          memcmp(tacit_requests_body(requests, place), item->body, item->body_bytes) == 0) ||
         TACIT_BUG(ENDORSE_BY_NUMBER))) {
        return true;
    }
    struct tacit_digest digest;
    if (!entry->has_brought || !is_same(&entry->brought, key)) {
        return false;
    }
    tacit_body_digest(&digest, item->body, item->body_bytes);
    return tacit_digest_is_equal(&digest, &entry->brought_digest);
}

enum tacit_requests_endorsement tacit_requests_endorse(const struct tacit_requests *requests,
                                                       const uint8_t *batch, size_t bytes,
                                                       struct tacit_requests_key *missing)
{
    enum tacit_requests_endorsement result = TACIT_ENDORSE_OK;
    enum tacit_verdict verdict;
    struct tacit_wire_item item;
    size_t offset = 0;
    while ((verdict = tacit_wire_item_decode(&item, batch, bytes, &offset)) == TACIT_VERDICT_OK) {
        struct tacit_requests_key key;
        if (!key_of_item(requests, &item, &key)) {
            return TACIT_ENDORSE_MALFORMED;
        }
        if (!is_item_here(requests, &key, &item) && result == TACIT_ENDORSE_OK) {
            *missing = key;
            result = TACIT_ENDORSE_WAIT; // but the rest may be malformed
        }
    }
    return verdict == TACIT_VERDICT_EMPTY ? result : TACIT_ENDORSE_MALFORMED;
}

// ---- slots that wait
// -----------------------------------------------------------------------------------

static void unlink_waiter(struct tacit_requests *requests, uint32_t index)
{
    struct tacit_requests_waiter *waiter = &requests->waiters[index];
    uint32_t place = tacit_requests_place(requests, &waiter->key);
    uint32_t *link = &requests->entries[place].waiting;
    while (*link != index) {
        TACIT_ASSERT(*link != TACIT_REQUESTS_NONE);
        link = &requests->waiters[*link].next;
    }
    *link = waiter->next;
    waiter->used = false;
    requests->waiting--;
}

void tacit_requests_wait(struct tacit_requests *requests, uint64_t view, uint64_t slot,
                         const struct tacit_requests_key *missing, tacit_time_ns_t now_ns)
{
    TACIT_ASSERT(missing->client < requests->config.clients);
    uint32_t index = (uint32_t)(slot % requests->config.window);
    struct tacit_requests_waiter *waiter = &requests->waiters[index];
    if (waiter->used) {
        const struct tacit_requests_key *was = &waiter->key;
        if (waiter->view == view && waiter->slot == slot && was->kind == missing->kind &&
            was->client == missing->client && was->session == missing->session &&
            was->number == missing->number) {
            return; // goes on waiting, and accusing, as it was
        }
        unlink_waiter(requests, index);
    }
    struct tacit_requests_entry *entry =
        &requests->entries[tacit_requests_place(requests, missing)];
    *waiter = (struct tacit_requests_waiter){
        .used = true,
        .key = *missing,
        .view = view,
        .slot = slot,
        .due_ns = now_ns + requests->patience_ns,
        .next = entry->waiting,
    };
    entry->waiting = index;
    requests->waiting++;
    requests->counters.waits++;
    if (waiter->due_ns < requests->lack_due_ns) {
        requests->lack_due_ns = waiter->due_ns;
    }
}

void tacit_requests_patience(struct tacit_requests *requests, tacit_time_ns_t lack_after_ns)
{
    requests->patience_ns = lack_after_ns > requests->config.lack_after_ns
                                ? lack_after_ns
                                : requests->config.lack_after_ns;
}

void tacit_requests_unwait(struct tacit_requests *requests, uint64_t slot)
{
    uint32_t index = (uint32_t)(slot % requests->config.window);
    if (requests->waiting > 0 && requests->waiters[index].used &&
        requests->waiters[index].slot == slot) {
        unlink_waiter(requests, index);
    }
}

static uint32_t count_waiters(const struct tacit_requests *requests,
                              const struct tacit_requests_key *key)
{
    uint32_t count = 0;
    for (uint32_t i = requests->entries[tacit_requests_place(requests, key)].waiting;
         i != TACIT_REQUESTS_NONE; i = requests->waiters[i].next) {
        count += is_same(&requests->waiters[i].key, key);
    }
    return count;
}

bool tacit_requests_is_awaited(const struct tacit_requests *requests,
                               const struct tacit_requests_key *key)
{
    return count_waiters(requests, key) > 0;
}

void tacit_requests_wake(struct tacit_requests *requests, const struct tacit_requests_key *key)
{
    struct tacit_requests_entry *entry = &requests->entries[tacit_requests_place(requests, key)];
    // resume() may let the same slot wait again, which puts it in front: so the last is taken, as
    // often as there are slots that wait now.
    for (uint32_t left = count_waiters(requests, key); left > 0; left--) {
        uint32_t oldest = TACIT_REQUESTS_NONE;
        for (uint32_t i = entry->waiting; i != TACIT_REQUESTS_NONE; i = requests->waiters[i].next) {
            oldest = is_same(&requests->waiters[i].key, key) ? i : oldest;
        }
        if (oldest == TACIT_REQUESTS_NONE) {
            break;
        }
        struct tacit_requests_waiter waiter = requests->waiters[oldest];
        unlink_waiter(requests, oldest);
        requests->counters.resumed++;
        tacit_mark(&requests->marker, TACIT_MARK_REQUEST_AWAITED);
        requests->calls.resume(requests->calls.context, waiter.view, waiter.slot);
    }
}

void tacit_requests_improved(struct tacit_requests *requests, uint32_t place,
                             tacit_time_ns_t now_ns)
{
    struct tacit_requests_key key = tacit_requests_key_of(requests, place);
    bool obliges = requests->entries[place].is_signed || TACIT_BUG(OBLIGATION_UNSIGNED);
    tacit_requests_wake(requests, &key);
    uint32_t lane = tacit_requests_lane(requests, &key);
    tacit_requests_consider(requests, lane);
    if (obliges) {
        tacit_requests_oblige(requests, lane, now_ns);
    }
}

// To the leader, who may have it, and to the others, who may lead next.
static void send_lack(struct tacit_requests *requests, const struct tacit_requests_waiter *waiter)
{
    struct tacit_message_lack lack = {
        .key = waiter->key, .view = waiter->view, .slot = waiter->slot};
    uint8_t message[TACIT_LACK_BYTES];
    tacit_message_lack_encode(message, &lack);
    for (tacit_node_t r = 0; r < requests->config.replicas; r++) {
        if (r != requests->config.self) {
            requests->calls.send(requests->calls.context, r, message, sizeof(message));
        }
    }
    requests->counters.lacks_sent++;
    tacit_mark(&requests->marker, TACIT_MARK_LACK_SENT);
}

// Tells what is missing. True: something was sent.
static bool send_lacks(struct tacit_requests *requests, tacit_time_ns_t now_ns)
{
    bool sent = false;
    requests->lack_due_ns = UINT64_MAX;
    for (uint32_t i = 0; i < requests->config.window && requests->waiting > 0; i++) {
        struct tacit_requests_waiter *waiter = &requests->waiters[i];
        if (!waiter->used) {
            continue;
        }
        if (waiter->due_ns <= now_ns) {
            uint32_t doublings = waiter->lacks < LACK_DOUBLINGS ? waiter->lacks : LACK_DOUBLINGS;
            waiter->due_ns = now_ns + (requests->patience_ns << doublings);
            waiter->lacks = waiter->lacks < UINT8_MAX ? (uint8_t)(waiter->lacks + 1) : UINT8_MAX;
            if (waiter->view == requests->view && !tacit_requests_leads(requests)) {
                tacit_requests_be_wary(requests, requests->config.self, waiter->key.client, false,
                                       now_ns);
                send_lack(requests, waiter);
                sent = true;
            }
        }
        if (waiter->due_ns < requests->lack_due_ns) {
            requests->lack_due_ns = waiter->due_ns;
        }
    }
    return sent;
}

bool tacit_requests_poll(struct tacit_requests *requests, tacit_time_ns_t now_ns)
{
    bool sent = now_ns >= requests->lack_due_ns && send_lacks(requests, now_ns);
    if (now_ns >= requests->ask_due_ns) {
        tacit_requests_ask_held_back(requests, now_ns);
    }
    if (now_ns >= requests->wary_until_ns) {
        tacit_requests_forget_lacks(requests);
    }
    return tacit_requests_forward_due(requests, now_ns) || sent;
}

tacit_time_ns_t tacit_requests_deadline(const struct tacit_requests *requests)
{
    tacit_time_ns_t at = tacit_requests_forward_deadline(requests);
    at = at < requests->lack_due_ns ? at : requests->lack_due_ns;
    at = at < requests->ask_due_ns ? at : requests->ask_due_ns;
    return at < requests->wary_until_ns ? at : requests->wary_until_ns;
}

void tacit_requests_message(struct tacit_requests *requests, tacit_node_t from,
                            const uint8_t *message, uint32_t bytes, tacit_time_ns_t now_ns)
{
    struct tacit_message_lack lack;
    struct tacit_message_request request;
    struct tacit_message_echo echo;
    bool is_peer = from < requests->config.replicas && from != requests->config.self;
    if (is_peer && tacit_message_lack_decode(&lack, message, bytes) == TACIT_VERDICT_OK &&
        lack.key.client < requests->config.clients) {
        tacit_requests_on_lack(requests, from, &lack, now_ns);
    } else if (is_peer &&
               tacit_message_request_decode(&request, message, bytes) == TACIT_VERDICT_OK &&
               request.client < requests->config.clients) {
        tacit_requests_on_forward(requests, from, &request, now_ns);
    } else if (is_peer && tacit_message_echo_decode(&echo, message, bytes) == TACIT_VERDICT_OK &&
               echo.key.client < requests->config.clients) {
        tacit_requests_on_echo(requests, from, &echo, now_ns);
    } else {
        requests->counters.malformed++;
    }
}

const struct tacit_requests_counters *tacit_requests_counters(const struct tacit_requests *requests)
{
    return &requests->counters;
}
