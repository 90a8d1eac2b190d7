// SPDX-License-Identifier: Apache-2.0
//
// To whom a client sends, and when again. A *round* is one try: the message goes to the believed
// leader, or to all, and each replica that gets it in the round is remembered, so that answers "not
// the leader" never make it bounce between two replicas. A round ends with the time-out, or shortly
// after the last replica of the round said that it is not the leader; the next one goes to all.
#include "base/assert.h"
#include "base/bug.h"
#include "client/internal.h"

#define ATTEMPTS_MAX 16u // more makes no difference to a capped back-off
#define ATTEMPTS_HINTED 1u
#define HINT_ROUNDS_A_STEP 8u
#define HINT_STEPS_MAX 4u
#define SLOWEST_FADES_NS 300000000u
#define PATIENCE_TIMES 8u // the first time-out that is configured, at most

static tacit_time_ns_t jitter(struct tacit_client *client, tacit_time_ns_t span_ns)
{
    uint32_t bound = span_ns < UINT32_MAX ? (uint32_t)span_ns : UINT32_MAX;
    return bound == 0 ? 0 : client->config.draw(client->config.draw_context, bound);
}

// First time-out: as configured, or longer where round trips are long: the sum of TCP (RFC 6298).
// In Byzantine mode a time-out costs everybody a signature, so it is to be rare, not only unlikely:
// twice what the slowest answer of late took, within reason.
static tacit_time_ns_t time_out_ns(struct tacit_client *client, uint32_t attempts)
{
    tacit_time_ns_t wait = client->round_trip_ns + 4 * client->deviation_ns;
    if (wait < client->config.retry_ns) {
        wait = client->config.retry_ns;
    }
    tacit_time_ns_t slow = 2 * client->slowest_ns;
    tacit_time_ns_t most = PATIENCE_TIMES * client->config.retry_ns;
    slow = slow < most ? slow : most;
    if (client->config.byzantine && wait < slow && !TACIT_BUG(PATIENCE_AS_CONFIGURED)) {
        wait = slow;
    }
    for (uint32_t i = 0; i < attempts && wait < client->config.retry_max_ns; i++) {
        wait *= 2;
    }
    if (wait > client->config.retry_max_ns) {
        wait = client->config.retry_max_ns;
    }
    return wait + jitter(client, wait / 4);
}

// The slowest round trip of late: forgotten bit by bit, with the time.
static void note_slowest(struct tacit_client *client, tacit_time_ns_t sample_ns,
                         tacit_time_ns_t now_ns)
{
    tacit_time_ns_t passed_ns = now_ns - client->slowest_at_ns;
    tacit_time_ns_t kept_ns = passed_ns < SLOWEST_FADES_NS ? SLOWEST_FADES_NS - passed_ns : 0;
    client->slowest_at_ns = now_ns;
    client->slowest_ns = client->slowest_ns * kept_ns / SLOWEST_FADES_NS;
    client->slowest_ns = sample_ns > client->slowest_ns ? sample_ns : client->slowest_ns;
}

void tacit_client_on_round_trip(struct tacit_client *client, tacit_time_ns_t took_ns,
                                tacit_time_ns_t now_ns)
{
    // Counted from the first send, also after retries: that can only lengthen the time-out, and an
    // outage must not lengthen it for long.
    tacit_time_ns_t sample =
        took_ns < client->config.retry_max_ns ? took_ns : client->config.retry_max_ns;
    note_slowest(client, sample, now_ns);
    tacit_time_ns_t error = sample > client->round_trip_ns ? sample - client->round_trip_ns
                                                           : client->round_trip_ns - sample;
    client->deviation_ns = client->deviation_ns - client->deviation_ns / 4 + error / 4;
    client->round_trip_ns = client->round_trip_ns - client->round_trip_ns / 8 + sample / 8;
}

static void set_deadline(struct tacit_client *client, struct tacit_client_record *record,
                         tacit_time_ns_t deadline_ns)
{
    record->deadline_ns = deadline_ns;
    if (deadline_ns < client->deadline_ns) {
        client->deadline_ns = deadline_ns;
    }
}

void tacit_client_send_by(struct tacit_client *client, struct tacit_client_record *record,
                          tacit_time_ns_t due_ns)
{
    if (due_ns < record->deadline_ns) {
        set_deadline(client, record, due_ns);
    }
}

// NOLINTNEXTLINE(readability-non-const-parameter): what an operation reads or fills is not const
static bool post_image(struct tacit_client *client, uint32_t replica, uint8_t *image,
                       uint64_t offset, uint32_t bytes)
{
    struct tacit_client_link *link = &client->links[replica];
    for (uint32_t done = 0; done < bytes; done += TACIT_OP_QUIET_BYTES) {
        uint32_t left = bytes - done;
        struct tacit_op op = {
            .kind = TACIT_OP_WRITE,
            .plane = TACIT_PLANE_DATA,
            .flags = TACIT_OP_QUIET,
            .host = (tacit_node_t)replica,
            .region = link->requests,
            .bytes = left < TACIT_OP_QUIET_BYTES ? left : TACIT_OP_QUIET_BYTES,
            .offset = offset + done,
            .local = image + done,
            .cookie = TACIT_COOKIE(TACIT_COOKIE_CLIENT, replica),
        };
        if (!client->fabric->ops->post(client->fabric, &op)) {
            return false;
        }
    }
    return true;
}

bool tacit_client_post(struct tacit_client *client, uint32_t replica, uint8_t *image,
                       uint32_t payload_bytes)
{
    struct tacit_client_link *link = &client->links[replica];
    if (!link->up) {
        return false;
    }
    if (link->requests < 0) {
        struct tacit_region_key key = {.region_class = TACIT_REGION_REQUESTS,
                                       .owner = TACIT_NODE_SELF};
        link->requests = client->fabric->ops->region(client->fabric, (tacit_node_t)replica, key);
        if (link->requests < 0) {
            return false;
        }
    }
    uint64_t sequence = link->sequence + 1;
    uint32_t bytes = tacit_ring_seal(client->request_shape, sequence, image, payload_bytes);
    // When only a part was posted the number is used again by the next message, which overwrites
    // it: the replica waits for this number and would never look behind a torn one.
    if (!post_image(client, replica, image, tacit_ring_offset(client->request_shape, sequence),
                    bytes)) {
        client->counters.refused++;
        return false;
    }
    link->sequence = sequence;
    client->fabric->ops->ring(client->fabric, (tacit_node_t)replica);
    client->counters.sent++;
    return true;
}

static bool send_to(struct tacit_client *client, struct tacit_client_record *record,
                    uint32_t replica)
{
    uint8_t *image = tacit_client_image(client, record);
    if (!tacit_client_post(client, replica, image, record->payload_bytes)) {
        return false;
    }
    record->sent_mask |= (uint16_t)(1u << replica);
    return true;
}

// Sends to each replica that does not have the message in this round.
static void send_to_all(struct tacit_client *client, struct tacit_client_record *record)
{
    for (uint32_t i = 0; i < client->config.replicas; i++) {
        if ((record->sent_mask >> i & 1) == 0) {
            (void)send_to(client, record, i);
        }
    }
}

void tacit_client_send_first(struct tacit_client *client, struct tacit_client_record *record,
                             tacit_time_ns_t now_ns)
{
    record->first_sent_ns = now_ns;
    if (client->config.byzantine) {
        tacit_client_votes_prepare(client, record);
    }
    // Byzantine mode believes in no leader.
    if (client->leader == TACIT_NODE_NONE || !send_to(client, record, client->leader)) {
        send_to_all(client, record);
    }
    set_deadline(client, record, now_ns + time_out_ns(client, 0));
}

void tacit_client_send_round(struct tacit_client *client, struct tacit_client_record *record)
{
    uint64_t before = client->counters.sent;
    record->sent_mask = 0;
    record->hint_mask = 0;
    send_to_all(client, record);
    client->counters.resent += client->counters.sent - before;
}

static void begin_round(struct tacit_client *client, struct tacit_client_record *record,
                        tacit_time_ns_t now_ns)
{
    if (!client->config.byzantine || tacit_client_votes_time_out(client, record)) {
        tacit_client_send_round(client, record);
    }
    set_deadline(client, record, now_ns + time_out_ns(client, record->attempts));
}

// Everybody who was asked in this round said no.
static bool nobody_leads(const struct tacit_client_record *record)
{
    return record->sent_mask != 0 && record->hint_mask == record->sent_mask;
}

void tacit_client_send_due(struct tacit_client *client, tacit_time_ns_t now_ns)
{
    if (now_ns < client->deadline_ns) {
        return;
    }
    client->deadline_ns = UINT64_MAX;
    for (uint32_t i = 0; i < client->record_count; i++) {
        struct tacit_client_record *record = &client->records[i];
        if (record->kind == 0) {
            continue;
        }
        if (record->deadline_ns > now_ns) {
            set_deadline(client, record, record->deadline_ns);
            continue;
        }
        if (record->agreed && !record->asked_all) {
            tacit_client_votes_body_late(client, record);
            set_deadline(client, record, now_ns + time_out_ns(client, record->attempts));
            continue;
        }
        if (!nobody_leads(record)) {
            client->counters.time_outs++;
            // Where others answer, the way is free and only the leader silent: they will need this
            // request as soon as one of them leads.
            uint32_t most = record->hint_mask != 0 ? ATTEMPTS_HINTED : ATTEMPTS_MAX;
            if (record->attempts < most) {
                record->attempts++;
            }
            // Whoever does not answer in time is not relied on by the next requests either.
            if (client->leader != TACIT_NODE_NONE &&
                (record->sent_mask >> client->leader & 1) != 0) {
                client->leader = TACIT_NODE_NONE;
            }
        }
        begin_round(client, record, now_ns);
    }
}

void tacit_client_on_hint(struct tacit_client *client, struct tacit_client_record *record,
                          uint32_t replica, uint8_t leader, tacit_time_ns_t now_ns)
{
    bool first = record->hint_mask == 0; // of this round
    // An answer to an earlier round says nothing about this one.
    record->hint_mask |= (uint16_t)(record->sent_mask & 1u << replica);
    if (client->leader == replica) {
        client->leader = TACIT_NODE_NONE;
    }
    bool known = leader < client->config.replicas && leader != replica && client->links[leader].up;
    if (known) {
        if (client->leader == TACIT_NODE_NONE) {
            client->leader = leader;
        }
        if ((record->sent_mask >> leader & 1) == 0) {
            client->counters.resent += send_to(client, record, leader);
        }
    }
    // Who names nobody, or somebody who is known to be gone, has not noticed yet and may lead next
    // itself: waiting for the others to say something as well would cost a time-out.
    if (!known || nobody_leads(record)) {
        // An election is under way, and short: ask often at first, then less often.
        uint32_t steps = record->hint_rounds / HINT_ROUNDS_A_STEP;
        tacit_time_ns_t pause = client->config.hint_ns
                                << (steps < HINT_STEPS_MAX ? steps : HINT_STEPS_MAX);
        if (first && record->hint_rounds < UINT8_MAX) {
            record->hint_rounds++;
        }
        tacit_time_ns_t again = now_ns + pause + jitter(client, pause);
        tacit_client_send_by(client, record, again);
    }
}

void tacit_client_on_leader(struct tacit_client *client, uint32_t replica, tacit_time_ns_t now_ns)
{
    client->leader = (tacit_node_t)replica;
    for (uint32_t i = 0; i < client->record_count; i++) {
        struct tacit_client_record *record = &client->records[i];
        bool has_it = (record->sent_mask & ~record->hint_mask) >> replica & 1; // and will answer
        if (record->kind != 0 && !has_it && send_to(client, record, replica)) {
            record->hint_mask &= (uint16_t) ~(1u << replica);
            record->attempts = 0;
            record->hint_rounds = 0;
            client->counters.resent++;
            set_deadline(client, record, now_ns + time_out_ns(client, 0));
        }
    }
}

// Looks for the reply ring of a replica that is up.
static void find_replies(struct tacit_client *client, uint32_t replica)
{
    struct tacit_client_link *link = &client->links[replica];
    struct tacit_region_key key = {.region_class = TACIT_REGION_REPLIES,
                                   .owner = (tacit_node_t)replica,
                                   .incarnation = link->incarnation};
    size_t bytes = 0;
    const void *memory = client->fabric->ops->local(client->fabric, key, &bytes);
    if (memory != NULL) {
        TACIT_ASSERT(bytes >= tacit_ring_bytes(client->reply_shape));
        tacit_ring_reader_init(&link->replies, client->reply_shape, memory);
    }
}

// A replica can be reached (again): it gets what waits for it, or for anybody.
static void catch_up(struct tacit_client *client, uint32_t replica)
{
    if (client->links[replica].replies.memory == NULL) {
        find_replies(client, replica);
    }
    for (uint32_t i = 0; i < client->record_count; i++) {
        struct tacit_client_record *record = &client->records[i];
        bool has_it = (record->sent_mask >> replica & 1) != 0;
        if (record->kind != 0 && !has_it &&
            (record->sent_mask == 0 || client->leader == TACIT_NODE_NONE ||
             client->leader == replica)) {
            (void)send_to(client, record, replica);
        }
    }
}

static void on_down(struct tacit_client *client, uint32_t replica, tacit_time_ns_t now_ns)
{
    bool led = client->leader == replica;
    client->counters.lapped += client->links[replica].replies.lost;
    client->links[replica] = (struct tacit_client_link){.requests = -1};
    client->said[replica] = (struct tacit_client_said){0};
    if (client->config.byzantine) {
        tacit_client_votes_down(client, replica);
        return;
    }
    if (led) {
        client->leader = TACIT_NODE_NONE;
        client->counters.fail_overs++;
    }
    for (uint32_t i = 0; i < client->record_count; i++) {
        struct tacit_client_record *record = &client->records[i];
        if (record->kind == 0 || (record->sent_mask >> replica & 1) == 0) {
            continue;
        }
        record->sent_mask &= (uint16_t) ~(1u << replica);
        record->hint_mask &= (uint16_t) ~(1u << replica);
        if (led || record->sent_mask == 0) {
            record->attempts = 0;
            record->hint_rounds = 0;
            begin_round(client, record, now_ns);
        }
    }
}

void tacit_client_on_event(struct tacit_client *client, const struct tacit_event *event,
                           tacit_time_ns_t now_ns)
{
    if (event->kind == TACIT_EVENT_COMPLETION) {
        // Sends are quiet: one that completes has failed, and the DOWN that follows says the rest.
        client->counters.refused += event->status != TACIT_COMPLETION_OK;
        return;
    }
    if (event->node >= client->config.replicas) {
        return;
    }
    struct tacit_client_link *link = &client->links[event->node];
    switch (event->kind) {
    case TACIT_EVENT_UP:
        *link = (struct tacit_client_link){
            .up = true, .incarnation = event->incarnation, .requests = -1};
        catch_up(client, event->node);
        break;
    case TACIT_EVENT_REGIONS:
        if (link->up) {
            catch_up(client, event->node);
        }
        break;
    case TACIT_EVENT_DOWN:
        on_down(client, event->node, now_ns);
        break;
    default:
        break;
    }
}
