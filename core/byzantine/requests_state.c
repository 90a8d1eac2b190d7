// SPDX-License-Identifier: Apache-2.0
//
// What the owner tells the store of requests: executions, sessions, views, checkpoints; and its
// invariants.
#include "requests_internal.h"

#include "../base/bug.h"

static void reconsider(struct tacit_requests *requests, uint32_t lane, tacit_time_ns_t now_ns)
{
    tacit_requests_consider(requests, lane);
    tacit_requests_hold_back(requests, lane, now_ns);
    tacit_requests_oblige(requests, lane, now_ns);
}

static uint32_t open_lane(const struct tacit_requests *requests, uint32_t client)
{
    return client * requests->lanes_each + requests->config.sessions_per_client;
}

// Nothing is left of a session that is over.
static void forget_session(struct tacit_requests *requests, uint32_t client, uint64_t session)
{
    struct tacit_requests_key key = {
        .kind = TACIT_REQUEST_APPLY, .client = (uint16_t)client, .session = session};
    uint32_t index = tacit_requests_lane(requests, &key);
    struct tacit_requests_lane *lane = &requests->lanes[index];
    for (uint32_t i = 0; i < requests->session_places; i++) {
        key.number = i;
        uint32_t place = tacit_requests_place(requests, &key);
        const struct tacit_requests_entry *entry = &requests->entries[place];
        if (entry->kind != 0 && entry->session == session) {
            tacit_requests_free(requests, place);
        }
    }
    if (lane->session == session) {
        tacit_requests_release(requests, index);
        lane->session = 0;
        lane->proposed = 0;
        lane->view = 0;
    }
}

// OPENs that will never open anything make room, and oblige to nothing.
static void forget_opens(struct tacit_requests *requests, uint32_t client)
{
    struct tacit_requests_key key = {.kind = TACIT_REQUEST_OPEN, .client = (uint16_t)client};
    for (uint32_t i = 0; i < requests->config.sessions_per_client; i++) {
        key.number = i;
        uint32_t place = tacit_requests_place(requests, &key);
        const struct tacit_requests_entry *entry = &requests->entries[place];
        if (entry->kind != 0 && requests->calls.nonce(requests->calls.context, client,
                                                      entry->number) == TACIT_STANDING_CLOSED) {
            tacit_requests_free(requests, place);
        }
    }
}

void tacit_requests_executed(struct tacit_requests *requests, uint32_t client, uint64_t session,
                             uint64_t number, tacit_time_ns_t now_ns)
{
    if (client >= requests->config.clients) {
        return;
    }
    struct tacit_requests_key key = {.kind = TACIT_REQUEST_APPLY,
                                     .client = (uint16_t)client,
                                     .session = session,
                                     .number = number};
    uint32_t place = tacit_requests_place(requests, &key);
    uint32_t index = tacit_requests_lane(requests, &key);
    struct tacit_requests_lane *lane = &requests->lanes[index];
    const struct tacit_requests_entry *entry = &requests->entries[place];
    if (entry->kind != 0 && entry->session == session && entry->number <= number) {
        tacit_requests_free(requests, place);
    }
    // Its place may hold something else by now, or other bytes: the number is what counts.
    if (lane->session == session && lane->number <= number &&
        !TACIT_BUG(OBLIGATION_NOT_CANCELLED)) {
        tacit_requests_release(requests, index);
    }
    reconsider(requests, index, now_ns);
}

void tacit_requests_closed(struct tacit_requests *requests, uint32_t client, uint64_t session,
                           tacit_time_ns_t now_ns)
{
    if (client >= requests->config.clients) {
        return;
    }
    forget_session(requests, client, session);
    forget_opens(requests, client); // its nonce, and those that it has overtaken
    reconsider(requests, open_lane(requests, client), now_ns);
}

void tacit_requests_opened(struct tacit_requests *requests, uint32_t client, uint64_t session,
                           uint64_t nonce, tacit_time_ns_t now_ns)
{
    if (client >= requests->config.clients) {
        return;
    }
    struct tacit_requests_key key = {
        .kind = TACIT_REQUEST_OPEN, .client = (uint16_t)client, .number = nonce};
    uint32_t place = tacit_requests_find(requests, &key);
    if (place != TACIT_REQUESTS_NONE) {
        tacit_requests_free(requests, place);
    }
    uint32_t index = open_lane(requests, client);
    if (requests->lanes[index].number == nonce) {
        tacit_requests_release(requests, index);
    }
    forget_opens(requests, client);
    reconsider(requests, index, now_ns);
    if (session == 0) {
        return;
    }
    key = (struct tacit_requests_key){
        .kind = TACIT_REQUEST_APPLY, .client = (uint16_t)client, .session = session};
    uint32_t lane = tacit_requests_lane(requests, &key);
    uint64_t displaced = requests->lanes[lane].session;
    if (displaced != 0 && displaced < session && !TACIT_BUG(OBLIGATION_NOT_CANCELLED)) {
        forget_session(requests, client, displaced); // no request of it can be executed any more
    }
    reconsider(requests, lane, now_ns);
}

void tacit_requests_installed(struct tacit_requests *requests, tacit_time_ns_t now_ns)
{
    uint32_t places = requests->config.clients * requests->places_each;
    for (uint32_t place = 0; place < places; place++) {
        if (requests->entries[place].kind == 0) {
            continue;
        }
        struct tacit_requests_key key = tacit_requests_key_of(requests, place);
        if (tacit_requests_judge(requests, &key) != TACIT_PUT_TAKEN) {
            tacit_requests_free(requests, place);
        }
    }
    for (uint32_t i = 0; i < requests->config.clients * requests->lanes_each; i++) {
        tacit_requests_release(requests, i); // what is next may be another request now
        reconsider(requests, i, now_ns);
    }
}

void tacit_requests_enter_view(struct tacit_requests *requests, uint64_t view,
                               tacit_time_ns_t now_ns)
{
    requests->view = view;
    requests->queue_count = 0;
    for (uint32_t i = 0; i < requests->config.window; i++) {
        if (requests->waiters[i].used) {
            tacit_requests_unwait(requests, requests->waiters[i].slot);
        }
    }
    requests->lack_due_ns = UINT64_MAX;
    tacit_requests_oblige_anew(requests);
    for (uint32_t i = 0; i < requests->config.clients * requests->lanes_each; i++) {
        requests->lanes[i].queued = false;
        reconsider(requests, i, now_ns);
    }
}

void tacit_requests_name(struct tacit_requests *requests, uint32_t client)
{
    if (client >= requests->config.clients) {
        return;
    }
    struct tacit_requests_client *record = &requests->clients[client];
    requests->named += !tacit_requests_is_named(requests, client);
    if (record->named < TACIT_PENALTY_MAX) {
        record->named++;
    }
    record->penalty_until = requests->checkpoints + (1ull << record->named);
    tacit_mark(&requests->marker, TACIT_MARK_CLIENT_NAMED);
}

bool tacit_requests_is_named(const struct tacit_requests *requests, uint32_t client)
{
    return client < requests->config.clients &&
           requests->checkpoints < requests->clients[client].penalty_until;
}

void tacit_requests_checkpoint(struct tacit_requests *requests, tacit_time_ns_t now_ns)
{
    requests->checkpoints++;
    for (uint32_t i = 0; i < requests->config.replicas; i++) {
        requests->accusers[i].count = 0;
    }
    for (uint32_t i = 0; requests->named > 0 && i < requests->config.clients; i++) {
        if (requests->clients[i].penalty_until != requests->checkpoints) {
            continue;
        }
        requests->named--;
        for (uint32_t lane = 0; lane < requests->lanes_each; lane++) {
            reconsider(requests, i * requests->lanes_each + lane, now_ns);
        }
    }
}

// ---- invariants
// ----------------------------------------------------------------------------------------

static const char *check_client(const struct tacit_requests *requests, uint32_t client)
{
    uint32_t used = 0;
    uint32_t to_check = 0;
    for (uint32_t i = 0; i < requests->places_each; i++) {
        uint32_t place = client * requests->places_each + i;
        const struct tacit_requests_entry *entry = &requests->entries[place];
        if (entry->kind == 0) {
            continue;
        }
        used++;
        to_check += entry->to_check;
        struct tacit_requests_key key = tacit_requests_key_of(requests, place);
        if (tacit_requests_find(requests, &key) != place) {
            return "a request is not where it is looked for";
        }
        if (!entry->direct && !entry->is_signed) {
            return "a request is kept that is neither direct nor signed";
        }
        if (entry->body >= requests->bodies_each ||
            entry->body_bytes > requests->config.request_bytes) {
            return "a request's body is out of bounds";
        }
        if (key.kind != TACIT_REQUEST_OPEN &&
            requests->lanes[tacit_requests_lane(requests, &key)].session != key.session) {
            return "a request is of another session than its lane";
        }
    }
    const struct tacit_requests_client *record = &requests->clients[client];
    if (record->to_check != to_check || (to_check > 0 && !record->is_queued)) {
        return "a signature to be checked was forgotten";
    }
    return used + requests->clients[client].free_bodies == requests->bodies_each
               ? NULL
               : "bodies were lost or freed twice";
}

static const char *check_lists(const struct tacit_requests *requests)
{
    uint32_t lanes = requests->config.clients * requests->lanes_each;
    uint32_t counts[TACIT_OBLIGED_STATES] = {0};
    uint32_t queued = 0;
    for (uint32_t i = 0; i < lanes; i++) {
        counts[requests->lanes[i].obliged]++;
        queued += requests->lanes[i].queued;
    }
    if (queued != requests->queue_count) {
        return "the queue of proposals and its marks disagree";
    }
    for (uint32_t state = TACIT_OBLIGED_TO_FORWARD; state < TACIT_OBLIGED_STATES; state++) {
        uint32_t seen = 0;
        tacit_time_ns_t since_ns = 0;
        for (uint32_t i = requests->lists[state].first; i != TACIT_REQUESTS_NONE;
             i = requests->lanes[i].next) {
            const struct tacit_requests_lane *lane = &requests->lanes[i];
            if (++seen > lanes || lane->obliged != state) {
                return "a list of obligations is broken";
            }
            if (state == TACIT_OBLIGED_RUNNING && lane->since_ns < since_ns) {
                return "timers are not in the order of their beginning";
            }
            since_ns = lane->since_ns;
        }
        if (seen != counts[state] || seen != requests->lists[state].count) {
            return "obligations were lost";
        }
    }
    return NULL;
}

const char *tacit_requests_check(const struct tacit_requests *requests)
{
    for (uint32_t i = 0; i < requests->config.clients; i++) {
        const char *broken = check_client(requests, i);
        if (broken != NULL) {
            return broken;
        }
    }
    uint32_t waiting = 0;
    for (uint32_t i = 0; i < requests->config.window; i++) {
        const struct tacit_requests_waiter *waiter = &requests->waiters[i];
        waiting += waiter->used;
        if (waiter->used && waiter->due_ns < requests->lack_due_ns) {
            return "a slot is due before the time to look";
        }
    }
    if (waiting != requests->waiting) {
        return "slots that wait were lost";
    }
    return check_lists(requests);
}
