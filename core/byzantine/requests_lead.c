// SPDX-License-Identifier: Apache-2.0
//
// The leader's side: which requests it proposes, in which order, and how what a follower lacks is
// brought to it. All of this is local policy: it makes things fast or slow, never wrong.
#include "requests_internal.h"

#include "../base/bug.h"

// ---- the queue of proposals
// ----------------------------------------------------------------------------

static bool is_open_lane(const struct tacit_requests *requests, uint32_t index)
{
    return index % requests->lanes_each == requests->config.sessions_per_client;
}

// Replicas that lacked something of this client of late, and have not said that they hold this.
static uint16_t may_lack(const struct tacit_requests *requests, uint32_t place)
{
    uint16_t own = (uint16_t)(1u << requests->config.self);
    uint16_t wary = requests->clients[tacit_requests_client_of(requests, place)].wary;
    return (uint16_t)(wary & ~own & ~requests->entries[place].echo_mask);
}

// Whether others will most likely endorse this request, so that proposing it does not block a slot.
static bool may_propose(const struct tacit_requests *requests, uint32_t place)
{
    const struct tacit_requests_entry *entry = &requests->entries[place];
    uint32_t client = tacit_requests_client_of(requests, place);
    if (!entry->is_signed && may_lack(requests, place) != 0) {
        return false;
    }
    if (entry->is_signed || !tacit_requests_is_named(requests, client)) {
        return true;
    }
    // The dead can neither echo nor vouch: no slot waits for them.
    uint32_t others = (entry->echo_mask | requests->gone) & ~(1u << requests->config.self);
    uint32_t echoes = (uint32_t)__builtin_popcount(others);
    uint32_t needed = requests->config.replicas - 1u;
    if (TACIT_BUG(ECHO_QUORUM_SUFFICES)) {
        needed = requests->faults;
    }
    return entry->direct && echoes >= needed;
}

// Brings a lane's count of proposals up to the present view and state. False: its session is not
// open here.
static bool refresh(const struct tacit_requests *requests, uint32_t client,
                    struct tacit_requests_lane *lane)
{
    uint64_t last = 0;
    if (lane->session == 0) {
        return false;
    }
    enum tacit_requests_standing standing =
        requests->calls.session(requests->calls.context, client, lane->session, &last);
    if (standing != TACIT_STANDING_OPEN) {
        last = 0;
    }
    if (lane->view != requests->view + 1) {
        lane->view = requests->view + 1;
        lane->proposed = last;
    }
    if (lane->proposed < last) {
        lane->proposed = last;
    }
    return standing == TACIT_STANDING_OPEN;
}

static uint32_t next_open(const struct tacit_requests *requests, uint32_t client)
{
    struct tacit_requests_key key = {.kind = TACIT_REQUEST_OPEN, .client = (uint16_t)client};
    for (uint32_t i = 0; i < requests->config.sessions_per_client; i++) {
        key.number = i;
        uint32_t place = tacit_requests_place(requests, &key);
        const struct tacit_requests_entry *entry = &requests->entries[place];
        if (entry->kind != 0 && entry->proposed != requests->view + 1 &&
            may_propose(requests, place) &&
            requests->calls.nonce(requests->calls.context, client, entry->number) ==
                TACIT_STANDING_AHEAD) {
            return place;
        }
    }
    return TACIT_REQUESTS_NONE;
}

// Place of what a lane has to propose next, or NONE.
static uint32_t next_of(struct tacit_requests *requests, uint32_t index)
{
    struct tacit_requests_lane *lane = &requests->lanes[index];
    uint32_t client = index / requests->lanes_each;
    if (is_open_lane(requests, index)) {
        return next_open(requests, client);
    }
    if (!refresh(requests, client, lane)) {
        return TACIT_REQUESTS_NONE;
    }
    struct tacit_requests_key key = {.kind = TACIT_REQUEST_APPLY,
                                     .client = (uint16_t)client,
                                     .session = lane->session,
                                     .number = lane->proposed + 1};
    uint32_t place = tacit_requests_place(requests, &key); // the same for a CLOSE
    const struct tacit_requests_entry *entry = &requests->entries[place];
    bool ready = entry->kind != 0 && entry->session == key.session && entry->number == key.number &&
                 may_propose(requests, place);
    return ready ? place : TACIT_REQUESTS_NONE;
}

// The same of what a lane would propose next if it were signed, or echoed.
static uint32_t held_back_of(const struct tacit_requests *requests, uint32_t index)
{
    uint32_t client = index / requests->lanes_each;
    const struct tacit_requests_lane *lane = &requests->lanes[index];
    bool opens = is_open_lane(requests, index);
    struct tacit_requests_key key = {.kind = opens ? TACIT_REQUEST_OPEN : TACIT_REQUEST_APPLY,
                                     .client = (uint16_t)client,
                                     .session = opens ? 0 : lane->session};
    uint32_t tries = opens ? requests->config.sessions_per_client : lane->session != 0;
    for (uint32_t i = 0; i < tries; i++) {
        key.number = opens ? i : lane->proposed + 1;
        uint32_t place = tacit_requests_place(requests, &key);
        const struct tacit_requests_entry *entry = &requests->entries[place];
        bool is_next = opens ? entry->proposed != requests->view + 1
                             : entry->session == key.session && entry->number == key.number;
        if (entry->kind != 0 && is_next && !may_propose(requests, place)) {
            return place;
        }
    }
    return TACIT_REQUESTS_NONE;
}

static void ask_to_sign(struct tacit_requests *requests, uint32_t place, tacit_time_ns_t now_ns)
{
    struct tacit_requests_entry *entry = &requests->entries[place];
    bool is_known = entry->is_signed || entry->to_check || entry->checking;
    if (!is_known && now_ns >= entry->ask_ns) {
        entry->ask_ns = now_ns + requests->config.lack_after_ns;
        requests->counters.asked++;
        tacit_mark(&requests->marker, TACIT_MARK_LACK_ASKED);
        requests->calls.ask(requests->calls.context, tacit_requests_client_of(requests, place),
                            entry->session, entry->number);
    }
}

// Whether something of this client may be held back here.
static bool holds_back(const struct tacit_requests *requests, uint32_t client)
{
    return tacit_requests_leads(requests) && !TACIT_BUG(DOUBTED_NOT_ASKED) &&
           (requests->clients[client].wary != 0 || tacit_requests_is_named(requests, client));
}

void tacit_requests_hold_back(struct tacit_requests *requests, uint32_t index,
                              tacit_time_ns_t now_ns)
{
    tacit_time_ns_t due_ns = now_ns + requests->config.lack_after_ns;
    if (holds_back(requests, index / requests->lanes_each) && due_ns < requests->ask_due_ns &&
        held_back_of(requests, index) != TACIT_REQUESTS_NONE) {
        requests->ask_due_ns = due_ns;
    }
}

void tacit_requests_ask_held_back(struct tacit_requests *requests, tacit_time_ns_t now_ns)
{
    requests->ask_due_ns = UINT64_MAX;
    for (uint32_t client = 0; client < requests->config.clients; client++) {
        for (uint32_t i = 0; holds_back(requests, client) && i < requests->lanes_each; i++) {
            uint32_t place = held_back_of(requests, client * requests->lanes_each + i);
            if (place != TACIT_REQUESTS_NONE) {
                ask_to_sign(requests, place, now_ns);
            }
        }
    }
}

void tacit_requests_consider(struct tacit_requests *requests, uint32_t index)
{
    struct tacit_requests_lane *lane = &requests->lanes[index];
    if (!tacit_requests_leads(requests) || lane->queued ||
        next_of(requests, index) == TACIT_REQUESTS_NONE) {
        return;
    }
    uint32_t lanes = requests->config.clients * requests->lanes_each;
    TACIT_ASSERT(requests->queue_count < lanes);
    lane->queued = true;
    requests->queue[(requests->queue_first + requests->queue_count++) % lanes] = index;
}

bool tacit_requests_was_proposed(const struct tacit_requests *requests, uint32_t place)
{
    const struct tacit_requests_entry *entry = &requests->entries[place];
    struct tacit_requests_key key = tacit_requests_key_of(requests, place);
    const struct tacit_requests_lane *lane = &requests->lanes[tacit_requests_lane(requests, &key)];
    uint64_t view = requests->view + 1;
    if (!tacit_requests_leads(requests)) {
        return false;
    }
    return key.kind == TACIT_REQUEST_OPEN
               ? entry->proposed == view
               : lane->session == key.session && lane->view == view && key.number <= lane->proposed;
}

uint32_t tacit_requests_proposals(const struct tacit_requests *requests)
{
    return requests->queue_count;
}

static bool add_item(struct tacit_requests *requests, uint32_t place, uint8_t *out, size_t max,
                     size_t *used)
{
    static const uint8_t kinds[] = {[TACIT_REQUEST_OPEN] = TACIT_ITEM_OPEN,
                                    [TACIT_REQUEST_APPLY] = TACIT_ITEM_APPLY,
                                    [TACIT_REQUEST_CLOSE] = TACIT_ITEM_CLOSE};
    const struct tacit_requests_entry *entry = &requests->entries[place];
    struct tacit_wire_item item = {
        .kind = kinds[entry->kind],
        .subject = (uint16_t)tacit_requests_client_of(requests, place),
        .session = entry->session,
        .number = entry->number,
        .body = tacit_requests_body(requests, place),
        .body_bytes = entry->body_bytes,
    };
    return tacit_wire_item_encode(out, max, used, &item);
}

size_t tacit_requests_expected(struct tacit_requests *requests, uint8_t *out, size_t max)
{
    uint32_t place = requests->newest;
    size_t used = 0;
    requests->newest = TACIT_REQUESTS_NONE;
    bool is_here = place != TACIT_REQUESTS_NONE && requests->entries[place].kind != 0;
    return is_here && add_item(requests, place, out, max, &used) ? used : 0;
}

// What is proposed because it is signed is shown to who may lack it, before that is asked for.
static uint32_t show_signed(struct tacit_requests *requests, uint32_t place)
{
    uint16_t to = requests->entries[place].is_signed ? may_lack(requests, place) : 0;
    for (tacit_node_t i = 0; i < requests->config.replicas; i++) {
        if ((to & 1u << i) != 0) {
            tacit_requests_send(requests, i, place);
        }
    }
    return to != 0;
}

size_t tacit_requests_fill(struct tacit_requests *requests, uint8_t *out, size_t max,
                           uint32_t max_items)
{
    uint32_t lanes = requests->config.clients * requests->lanes_each;
    size_t used = 0;
    uint32_t items = 0;
    uint32_t shown = 0;
    while (requests->queue_count > 0 && items < max_items) {
        uint32_t index = requests->queue[requests->queue_first];
        struct tacit_requests_lane *lane = &requests->lanes[index];
        uint32_t place = next_of(requests, index);
        if (place != TACIT_REQUESTS_NONE) {
            struct tacit_requests_entry *entry = &requests->entries[place];
            if (!add_item(requests, place, out, max, &used)) {
                break; // first of the next batch
            }
            uint32_t client = tacit_requests_client_of(requests, place);
            if (!entry->is_signed && tacit_requests_is_named(requests, client)) {
                tacit_mark(&requests->marker, TACIT_MARK_ECHOED_BY_ALL);
            }
            items++;
            shown += shown < TACIT_FORWARDS_EACH ? show_signed(requests, place) : 0;
            requests->counters.proposed++;
            if (entry->kind == TACIT_REQUEST_OPEN) {
                entry->proposed = requests->view + 1;
            } else {
                lane->proposed = entry->number;
            }
        }
        requests->queue_first = (requests->queue_first + 1) % lanes;
        requests->queue_count--;
        lane->queued = false;
        tacit_requests_consider(requests, index); // behind the others
    }
    return used;
}

void tacit_requests_proposed(struct tacit_requests *requests, const uint8_t *batch, size_t bytes)
{
    struct tacit_wire_item item;
    size_t offset = 0;
    while (tacit_wire_item_decode(&item, batch, bytes, &offset) == TACIT_VERDICT_OK) {
        struct tacit_requests_key key = {
            .client = item.subject, .session = item.session, .number = item.number};
        if (item.subject >= requests->config.clients) {
            continue;
        }
        if (item.kind == TACIT_ITEM_OPEN) {
            key.kind = TACIT_REQUEST_OPEN;
            uint32_t place = tacit_requests_find(requests, &key);
            if (place != TACIT_REQUESTS_NONE) {
                requests->entries[place].proposed = requests->view + 1;
            }
            continue;
        }
        if (item.kind != TACIT_ITEM_APPLY && item.kind != TACIT_ITEM_CLOSE) {
            continue;
        }
        key.kind = TACIT_REQUEST_APPLY;
        struct tacit_requests_lane *lane = &requests->lanes[tacit_requests_lane(requests, &key)];
        if (lane->session != item.session) {
            continue; // nothing of that session is here; what comes finds the state of then
        }
        (void)refresh(requests, item.subject, lane);
        // As at execution: what is out of order has no effect, so it is not counted either.
        lane->proposed += lane->proposed + 1 == item.number;
    }
}

// ---- echoes
// --------------------------------------------------------------------------------------------

void tacit_requests_echo(struct tacit_requests *requests, uint32_t place)
{
    struct tacit_message_echo echo = {.key = tacit_requests_key_of(requests, place)};
    bool is_wanted = tacit_requests_is_named(requests, echo.key.client) ||
                     (requests->clients[echo.key.client].wary & 1u << requests->config.self) != 0;
    if (tacit_requests_leads(requests) || !is_wanted) {
        return;
    }
    tacit_body_digest(&echo.digest, tacit_requests_body(requests, place),
                      requests->entries[place].body_bytes);
    uint8_t message[TACIT_ECHO_BYTES];
    tacit_message_echo_encode(message, &echo);
    requests->calls.send(requests->calls.context, tacit_requests_leader(requests), message,
                         sizeof(message));
    requests->counters.echoes++;
}

void tacit_requests_on_echo(struct tacit_requests *requests, tacit_node_t from,
                            const struct tacit_message_echo *echo, tacit_time_ns_t now_ns)
{
    (void)now_ns;
    bool is_wanted = tacit_requests_is_named(requests, echo->key.client) ||
                     (requests->clients[echo->key.client].wary & 1u << from) != 0;
    if (!tacit_requests_leads(requests) || !is_wanted) {
        return;
    }
    uint32_t place = tacit_requests_find(requests, &echo->key);
    if (place == TACIT_REQUESTS_NONE) {
        return; // comes again with the client's next try
    }
    struct tacit_requests_entry *entry = &requests->entries[place];
    uint16_t bit = (uint16_t)(1u << from);
    if ((entry->echo_heard & bit) != 0) {
        return; // one echo a replica: each costs a digest
    }
    entry->echo_heard |= bit;
    struct tacit_digest digest;
    tacit_body_digest(&digest, tacit_requests_body(requests, place), entry->body_bytes);
    if (tacit_digest_is_equal(&digest, &echo->digest)) {
        entry->echo_mask |= bit;
        tacit_requests_consider(requests, tacit_requests_lane(requests, &echo->key));
    }
}

// ---- what others lack
// ----------------------------------------------------------------------------------

// Whether this replica may still say that it lacks requests of this client.
static bool may_accuse(struct tacit_requests *requests, tacit_node_t from, uint32_t client)
{
    struct tacit_requests_accuser *accuser = &requests->accusers[from];
    for (uint32_t i = 0; i < accuser->count; i++) {
        if (accuser->clients[i] == client) {
            return true;
        }
    }
    if (accuser->count > requests->faults) {
        return TACIT_BUG(LACKS_UNLIMITED);
    }
    accuser->clients[accuser->count++] = client;
    return true;
}

static bool may_serve(struct tacit_requests *requests, tacit_node_t to, tacit_time_ns_t now_ns)
{
    struct tacit_requests_accuser *accuser = &requests->accusers[to];
    if (now_ns >= accuser->window_ns) {
        accuser->window_ns = now_ns + requests->config.lack_after_ns;
        accuser->served = 0;
    }
    return accuser->served++ < TACIT_SERVES_EACH;
}

// Remembered until the view is left: tacit_requests_name_lacked. What was executed is forgotten,
// and what was proposed in this view gives way to nothing, so this replica need not believe who
// lacks it: of anything else nobody waits for a proposal of its.
static void note_lacked(struct tacit_requests *requests, tacit_node_t from, uint32_t client,
                        uint32_t place, tacit_time_ns_t now_ns)
{
    bool was_proposed =
        place != TACIT_REQUESTS_NONE && tacit_requests_was_proposed(requests, place);
    requests->clients[client].lacked |= was_proposed || TACIT_BUG(LACKED_AS_SAID);
    if (was_proposed) {
        requests->entries[place].lacked |= (uint16_t)(1u << from);
        uint32_t lacked = requests->entries[place].lacked;
        bool is_proven = (uint32_t)__builtin_popcount(lacked) > requests->faults;
        // With the last word all of them are believed, also who had used up its own.
        uint32_t of = is_proven && !TACIT_BUG(LAST_BELIEVED_ALONE) ? lacked : 1u << from;
        for (; of != 0; of &= of - 1) {
            tacit_node_t replica = (tacit_node_t)__builtin_ctz(of);
            tacit_requests_be_wary(requests, replica, client, is_proven, now_ns);
        }
    }
}

// A slot that waits for what somebody lacks keeps all clients waiting, for as long as others are
// waited for, or until the view is over if the client never signs it. One that sends each of its
// requests to some only would have each slot wait. So for a while the leader proposes nothing more
// of this client unsigned before that replica has said that it holds it, too: from then on such a
// client delays itself alone. Every replica is told, since the next one to lead would else propose
// the same. A liar can say that it lacks what it has, but only so of f+1 clients at a time, who
// then have to sign; that a client lies to so many that one of them is correct is believed always.
void tacit_requests_be_wary(struct tacit_requests *requests, tacit_node_t replica, uint32_t client,
                            bool is_proven, tacit_time_ns_t now_ns)
{
    struct tacit_requests_client *record = &requests->clients[client];
    struct tacit_requests_accuser *accuser = &requests->accusers[replica];
    uint16_t bit = (uint16_t)(1u << replica);
    bool is_own = replica == requests->config.self; // it only says from now on what it holds
    if (((record->wary | requests->gone) & bit) != 0 || TACIT_BUG(LACK_TEACHES_NOTHING)) {
        return;
    }
    if (!is_proven && !is_own) {
        if (accuser->wary > requests->faults && !TACIT_BUG(WARY_UNLIMITED)) {
            return;
        }
        accuser->wary++;
    }
    record->wary |= bit;
    if (requests->wary_until_ns == UINT64_MAX) {
        requests->wary_until_ns = now_ns + TACIT_WARY_TIMES * requests->config.lack_after_ns;
    }
    tacit_mark(&requests->marker, TACIT_MARK_CLIENT_DOUBTED);
}

// What is still here unsigned would be in the way again: a correct client sends it once more.
static void forget_doubtful(struct tacit_requests *requests, uint32_t client)
{
    for (uint32_t p = 0; p < requests->places_each; p++) {
        uint32_t place = client * requests->places_each + p;
        if (requests->entries[place].kind != 0 && !requests->entries[place].is_signed &&
            may_lack(requests, place) != 0 && !tacit_requests_was_proposed(requests, place)) {
            tacit_requests_free(requests, place);
        }
    }
}

void tacit_requests_forget_lacks(struct tacit_requests *requests)
{
    for (uint32_t i = 0; i < requests->config.clients; i++) {
        if (requests->clients[i].wary != 0) {
            if (tacit_requests_leads(requests)) {
                forget_doubtful(requests, i);
            }
            requests->clients[i].wary = 0;
        }
    }
    for (uint32_t r = 0; r < requests->config.replicas; r++) {
        requests->accusers[r].wary = 0;
    }
    requests->wary_until_ns = UINT64_MAX;
}

void tacit_requests_gone(struct tacit_requests *requests, uint32_t gone)
{
    uint16_t newly = (uint16_t)(gone & ~requests->gone);
    if (TACIT_BUG(DOUBT_OUTLIVES_DOUBTER)) {
        return;
    }
    requests->gone = gone;
    for (uint32_t r = 0; newly != 0 && r < TACIT_REPLICAS_MAX; r++) {
        if ((newly & 1u << r) != 0) {
            requests->accusers[r].wary = 0;
        }
    }
    for (uint32_t i = 0; newly != 0 && i < requests->config.clients; i++) {
        if ((requests->clients[i].wary & newly) == 0 && !tacit_requests_is_named(requests, i)) {
            continue;
        }
        requests->clients[i].wary &= (uint16_t)~newly;
        for (uint32_t lane = 0; lane < requests->lanes_each; lane++) {
            tacit_requests_consider(requests, i * requests->lanes_each + lane);
        }
    }
}

void tacit_requests_on_lack(struct tacit_requests *requests, tacit_node_t from,
                            const struct tacit_message_lack *lack, tacit_time_ns_t now_ns)
{
    uint32_t place = tacit_requests_find(requests, &lack->key);
    if (lack->view != requests->view) {
        return;
    }
    if (!tacit_requests_leads(requests)) {
        tacit_requests_be_wary(requests, from, lack->key.client, false, now_ns);
        return;
    }
    note_lacked(requests, from, lack->key.client, place, now_ns);
    if (!may_accuse(requests, from, lack->key.client)) {
        requests->counters.lacks_ignored++;
        tacit_mark(&requests->marker, TACIT_MARK_LACK_IGNORED);
        return;
    }
    if (place == TACIT_REQUESTS_NONE) {
        return;
    }
    struct tacit_requests_entry *entry = &requests->entries[place];
    if (entry->is_signed) {
        if (may_serve(requests, from, now_ns)) {
            tacit_requests_send(requests, from, place);
            requests->counters.lacks_served++;
            tacit_mark(&requests->marker, TACIT_MARK_LACK_SERVED);
        }
        return;
    }
    entry->lack_mask |= (uint16_t)(1u << from);
    ask_to_sign(requests, place, now_ns);
}

void tacit_requests_name_lacked(struct tacit_requests *requests)
{
    for (uint32_t i = 0; i < requests->config.clients; i++) {
        bool is_lacked = TACIT_BUG(LACKED_AS_SAID);
        if (!requests->clients[i].lacked) {
            continue;
        }
        requests->clients[i].lacked = false;
        for (uint32_t p = 0; p < requests->places_each; p++) {
            struct tacit_requests_entry *entry =
                &requests->entries[(size_t)i * requests->places_each + p];
            is_lacked = is_lacked || entry->lacked != 0;
            entry->lacked = 0;
        }
        if (is_lacked && !TACIT_BUG(LACKED_NOT_NAMED)) {
            tacit_requests_name(requests, i);
        }
    }
}

void tacit_requests_serve_lacks(struct tacit_requests *requests, uint32_t place)
{
    struct tacit_requests_entry *entry = &requests->entries[place];
    if (entry->lack_mask == 0) {
        return;
    }
    entry->lack_mask = 0;
    // To all: who has not complained yet may be about to.
    for (tacit_node_t i = 0; i < requests->config.replicas; i++) {
        if (i != requests->config.self) {
            tacit_requests_send(requests, i, place);
        }
    }
    requests->counters.lacks_served++;
    tacit_mark(&requests->marker, TACIT_MARK_LACK_SERVED);
}
