// SPDX-License-Identifier: Apache-2.0
//
// Questions about the group's seats, and operators' orders: sent to all replicas, outside of
// sessions, and answered by each for itself. What it takes for the group's answer is decided here.
#include <string.h>

#include "client/internal.h"

// To every replica that can be reached.
static void send_all(struct tacit_client *client, const struct tacit_wire_request *request)
{
    uint32_t bytes = (uint32_t)tacit_wire_request_encode(
        client->ask_image + TACIT_RING_HEADER, client->request_shape.slot_bytes - TACIT_RING_HEADER,
        request);
    for (uint32_t r = 0; bytes != 0 && r < client->config.replicas; r++) {
        (void)tacit_client_post(client, r, client->ask_image, bytes);
    }
}

void tacit_client_members_ask(struct tacit_client *client)
{
    struct tacit_wire_request request = {.kind = TACIT_REQUEST_MEMBERS, .number = ++client->asked};
    send_all(client, &request);
}

void tacit_client_order_send(struct tacit_client *client, const struct tacit_wire_order *order)
{
    uint8_t body[TACIT_WIRE_ORDER_BYTES];
    struct tacit_wire_request request = {.kind = TACIT_REQUEST_ORDER,
                                         .number = order->nonce,
                                         .body = body,
                                         .body_bytes = sizeof body};
    tacit_wire_order_encode(body, order);
    send_all(client, &request);
}

void tacit_client_said(struct tacit_client *client, uint32_t replica,
                       const struct tacit_wire_reply *reply)
{
    struct tacit_client_said *said = &client->said[replica];
    struct tacit_wire_members members;
    if (reply->kind == TACIT_REPLY_ORDERED) {
        uint64_t outcome;
        memcpy(&outcome, reply->body, sizeof outcome);
        if (outcome == 0 || outcome >= TACIT_ORDER_OUTCOMES) {
            client->counters.malformed++;
            return;
        }
        said->nonce = reply->number;
        said->outcome = outcome;
    } else if (tacit_wire_members_decode(&members, reply->body, reply->body_bytes) !=
                   TACIT_VERDICT_OK ||
               reply->number > client->asked) {
        client->counters.malformed++;
    } else {
        said->asked = reply->number;
        said->members = members;
    }
}

static uint32_t needed(const struct tacit_client *client)
{
    return client->config.byzantine ? client->config.faults + 1u : 1;
}

static bool is_recent(const struct tacit_client *client, uint32_t replica)
{
    return client->said[replica].asked != 0 &&
           client->said[replica].asked + TACIT_CLIENT_RECENT > client->asked;
}

// But for who is dead, which each judges for itself.
static bool is_same(const struct tacit_wire_members *a, const struct tacit_wire_members *b)
{
    return a->epoch == b->epoch && a->barred == b->barred && a->nonce == b->nonce &&
           a->outcome == b->outcome && memcmp(a->seat, b->seat, sizeof a->seat) == 0 &&
           memcmp(a->ordered, b->ordered, sizeof a->ordered) == 0;
}

static bool is_newer(const struct tacit_wire_members *a, const struct tacit_wire_members *b)
{
    return a->epoch > b->epoch || (a->epoch == b->epoch && a->nonce > b->nonce);
}

bool tacit_client_members(const struct tacit_client *client, struct tacit_wire_members *members)
{
    bool found = false;
    for (uint32_t r = 0; r < client->config.replicas; r++) {
        const struct tacit_wire_members *said = &client->said[r].members;
        uint32_t dead[TACIT_WIRE_SEATS] = {0};
        uint32_t alike = 0;
        if (!is_recent(client, r)) {
            continue;
        }
        for (uint32_t other = 0; other < client->config.replicas; other++) {
            if (!is_recent(client, other) || !is_same(said, &client->said[other].members)) {
                continue;
            }
            alike++;
            for (uint32_t seat = 0; seat < TACIT_WIRE_SEATS; seat++) {
                dead[seat] += client->said[other].members.dead >> seat & 1u;
            }
        }
        if (alike < needed(client) || (found && !is_newer(said, members))) {
            continue;
        }
        found = true;
        *members = *said;
        members->dead = 0;
        for (uint32_t seat = 0; seat < TACIT_WIRE_SEATS; seat++) {
            members->dead |= dead[seat] >= needed(client) ? 1u << seat : 0;
        }
    }
    return found;
}

uint32_t tacit_client_order_outcome(const struct tacit_client *client, uint64_t nonce)
{
    uint32_t count[TACIT_ORDER_OUTCOMES] = {0};
    for (uint32_t r = 0; r < client->config.replicas; r++) {
        const struct tacit_client_said *said = &client->said[r];
        if (said->nonce == nonce && said->outcome < TACIT_ORDER_OUTCOMES &&
            ++count[said->outcome] >= needed(client)) {
            return (uint32_t)said->outcome;
        }
    }
    return 0;
}
