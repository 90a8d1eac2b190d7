// SPDX-License-Identifier: Apache-2.0
//
// Obligations: the only requests for which a replica lets a timer run, and so may depose a leader.
// The present leader can always propose such a request: it is signed, it was forwarded to it, it is
// the next of its session in a state that the leader has or will have. Whatever a faulty client
// signs, or sends to some replicas only, a correct leader can therefore not be blamed for it.
#include "requests_internal.h"

#include "../base/bug.h"

void tacit_requests_lists_init(struct tacit_requests *requests)
{
    for (uint32_t i = 0; i < TACIT_OBLIGED_STATES; i++) {
        requests->lists[i] =
            (struct tacit_requests_list){TACIT_REQUESTS_NONE, TACIT_REQUESTS_NONE, 0};
    }
    requests->cursor = TACIT_REQUESTS_NONE;
}

static void list_remove(struct tacit_requests *requests, uint32_t index)
{
    struct tacit_requests_lane *lane = &requests->lanes[index];
    struct tacit_requests_list *list = &requests->lists[lane->obliged];
    if (requests->cursor == index) {
        requests->cursor = lane->next;
    }
    if (lane->previous == TACIT_REQUESTS_NONE) {
        list->first = lane->next;
    } else {
        requests->lanes[lane->previous].next = lane->next;
    }
    if (lane->next == TACIT_REQUESTS_NONE) {
        list->last = lane->previous;
    } else {
        requests->lanes[lane->next].previous = lane->previous;
    }
    list->count--;
    lane->obliged = TACIT_OBLIGED_NOT;
}

static void list_append(struct tacit_requests *requests, uint32_t index,
                        enum tacit_requests_obligation state)
{
    struct tacit_requests_lane *lane = &requests->lanes[index];
    struct tacit_requests_list *list = &requests->lists[state];
    lane->obliged = (uint8_t)state;
    lane->next = TACIT_REQUESTS_NONE;
    lane->previous = list->last;
    if (list->last == TACIT_REQUESTS_NONE) {
        list->first = index;
    } else {
        requests->lanes[list->last].next = index;
    }
    list->last = index;
    list->count++;
}

static bool obliges(const struct tacit_requests *requests, uint32_t place)
{
    const struct tacit_requests_entry *entry = &requests->entries[place];
    return entry->kind != 0 && (entry->is_signed || TACIT_BUG(OBLIGATION_UNSIGNED));
}

// Place of the request that this lane obliges to, or NONE.
static uint32_t candidate(const struct tacit_requests *requests, uint32_t index)
{
    uint32_t client = index / requests->lanes_each;
    const struct tacit_requests_lane *lane = &requests->lanes[index];
    struct tacit_requests_key key = {
        .kind = TACIT_REQUEST_APPLY, .client = (uint16_t)client, .session = lane->session};
    uint64_t last = 0;
    if (index % requests->lanes_each == requests->config.sessions_per_client) {
        key.kind = TACIT_REQUEST_OPEN;
        for (uint32_t i = 0; i < requests->config.sessions_per_client; i++) {
            key.number = i;
            uint32_t place = tacit_requests_place(requests, &key);
            if (obliges(requests, place) &&
                requests->calls.nonce(requests->calls.context, client,
                                      requests->entries[place].number) == TACIT_STANDING_AHEAD) {
                return place;
            }
        }
        return TACIT_REQUESTS_NONE;
    }
    if (lane->session == 0 ||
        requests->calls.session(requests->calls.context, client, lane->session, &last) !=
            TACIT_STANDING_OPEN) {
        return TACIT_REQUESTS_NONE;
    }
    key.number = last + 1;
    uint32_t place = tacit_requests_place(requests, &key); // the same for a CLOSE
    const struct tacit_requests_entry *entry = &requests->entries[place];
    bool next = entry->session == key.session && entry->number == key.number;
    return next && obliges(requests, place) ? place : TACIT_REQUESTS_NONE;
}

void tacit_requests_oblige(struct tacit_requests *requests, uint32_t index, tacit_time_ns_t now_ns)
{
    (void)now_ns;
    struct tacit_requests_lane *lane = &requests->lanes[index];
    if (lane->obliged != TACIT_OBLIGED_NOT) {
        return;
    }
    uint32_t place = candidate(requests, index);
    if (place == TACIT_REQUESTS_NONE) {
        return;
    }
    lane->place = place;
    lane->turn = requests->entries[place].turn;
    lane->number = requests->entries[place].number;
    list_append(requests, index, TACIT_OBLIGED_TO_FORWARD);
}

void tacit_requests_release(struct tacit_requests *requests, uint32_t index)
{
    if (requests->lanes[index].obliged != TACIT_OBLIGED_NOT) {
        list_remove(requests, index);
    }
}

// Everything is to be forwarded to the new leader; no timer runs before that.
void tacit_requests_oblige_anew(struct tacit_requests *requests)
{
    requests->cursor = TACIT_REQUESTS_NONE;
    while (requests->lists[TACIT_OBLIGED_RUNNING].first != TACIT_REQUESTS_NONE) {
        uint32_t index = requests->lists[TACIT_OBLIGED_RUNNING].first;
        list_remove(requests, index);
        list_append(requests, index, TACIT_OBLIGED_TO_FORWARD);
    }
}

static bool forward(struct tacit_requests *requests, const struct tacit_requests_lane *lane)
{
    if (tacit_requests_leads(requests) || !requests->entries[lane->place].is_signed ||
        requests->entries[lane->place].turn != lane->turn) {
        return false; // the leader has it itself
    }
    tacit_requests_send(requests, tacit_requests_leader(requests), lane->place);
    return true;
}

bool tacit_requests_forward_due(struct tacit_requests *requests, tacit_time_ns_t now_ns)
{
    bool sent = false;
    // A link keeps its tail only, and the leader checks no more at a time: what comes beside that
    // is lost, and its timer would run for nothing.
    uint32_t budget = now_ns >= requests->pace_ns ? TACIT_FORWARDS_EACH : 0;
    while (budget > 0 && requests->lists[TACIT_OBLIGED_TO_FORWARD].count > 0) {
        uint32_t index = requests->lists[TACIT_OBLIGED_TO_FORWARD].first;
        list_remove(requests, index);
        sent = forward(requests, &requests->lanes[index]) || sent;
        requests->lanes[index].since_ns = now_ns;
        requests->lanes[index].forwarded_ns = now_ns;
        list_append(requests, index, TACIT_OBLIGED_RUNNING);
        requests->counters.obligations++;
        tacit_mark(&requests->marker, TACIT_MARK_OBLIGATION_STARTED);
        budget--;
    }
    if (sent) {
        requests->pace_ns = now_ns + requests->config.lack_after_ns;
    }
    if (requests->lists[TACIT_OBLIGED_RUNNING].count == 0) {
        requests->pass_ns = 0;
        return sent;
    }
    if (requests->pass_ns == 0) {
        requests->pass_ns = now_ns + requests->config.retry_ns;
    }
    if (requests->cursor == TACIT_REQUESTS_NONE && now_ns >= requests->pass_ns) {
        requests->cursor = requests->lists[TACIT_OBLIGED_RUNNING].first;
        requests->pass_ns = now_ns + requests->config.retry_ns;
    }
    while (budget > 0 && requests->cursor != TACIT_REQUESTS_NONE) {
        struct tacit_requests_lane *lane = &requests->lanes[requests->cursor];
        requests->cursor = lane->next;
        // Twice as long each time: repetitions of all replicas must not fill the links.
        tacit_time_ns_t wait_ns = lane->forwarded_ns - lane->since_ns;
        wait_ns = wait_ns > requests->config.retry_ns / 2 ? wait_ns : requests->config.retry_ns / 2;
        if (now_ns - lane->forwarded_ns >= wait_ns) {
            lane->forwarded_ns = now_ns;
            sent = forward(requests, lane) || sent;
            budget--;
            requests->pace_ns = now_ns + requests->config.lack_after_ns;
        }
    }
    return sent;
}

tacit_time_ns_t tacit_requests_forward_deadline(const struct tacit_requests *requests)
{
    if (requests->lists[TACIT_OBLIGED_TO_FORWARD].count > 0 ||
        requests->cursor != TACIT_REQUESTS_NONE) {
        return requests->pace_ns;
    }
    return requests->lists[TACIT_OBLIGED_RUNNING].count > 0 ? requests->pass_ns : UINT64_MAX;
}

tacit_time_ns_t tacit_requests_timer(const struct tacit_requests *requests,
                                     tacit_time_ns_t timer_ns)
{
    uint32_t first = requests->lists[TACIT_OBLIGED_RUNNING].first;
    return first == TACIT_REQUESTS_NONE ? UINT64_MAX : requests->lanes[first].since_ns + timer_ns;
}

bool tacit_requests_is_obliged(const struct tacit_requests *requests)
{
    return requests->lists[TACIT_OBLIGED_TO_FORWARD].count +
               requests->lists[TACIT_OBLIGED_RUNNING].count >
           0;
}
