// SPDX-License-Identifier: Apache-2.0
//
// Three stores of requests (core/byzantine/requests.h) with their signers, links that deliver what
// was sent when the test says so, and one executed state for all: what the tests of that module
// share.
#ifndef TACIT_TEST_REQUESTS_NET_H
#define TACIT_TEST_REQUESTS_NET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "choice/choice.h"
#include "core/byzantine/requests.h"
#include "sim/sim_signer.h"

// Not every test uses every helper.
#pragma GCC diagnostic ignored "-Wunused-function"

#define US 1000ull
#define MS (1000 * US)

enum { NODES = 3, CLIENTS = 4, S = 2, P = 4, ROOM = 4, BODY = 200, MESSAGE = 128, WINDOW = 8 };
enum { PLACES = 2 * P }; // of a session
enum { QUEUE = 256, RESUMED = 64, ASKED = 64 };

// Executed state, the same at all nodes: session j of client c has the position c * S + j.
struct table {
    uint64_t session[CLIENTS][S]; // 0: closed
    uint64_t nonce[CLIENTS][S];
    uint64_t last[CLIENTS][S];
    uint64_t opened;
    uint64_t floor[CLIENTS]; // nonces below open nothing any more
};

struct message {
    tacit_node_t to;
    uint32_t bytes;
    uint8_t data[MESSAGE];
};

struct node {
    struct net *net;
    tacit_node_t self;
    struct tacit_requests *requests;
    void *memory;
    struct sim_signer signer;
    struct message queue[QUEUE];
    uint32_t queued;
    uint8_t beside[QUEUE][BODY + 100]; // body of ticket i + 1
    uint32_t beside_bytes[QUEUE];
    uint32_t tickets;
    uint64_t resumed[RESUMED];
    uint32_t resumes;
    struct tacit_requests_key asked[ASKED];
    uint32_t asks;
};

struct net {
    struct sim_signer_world world;
    struct sim_signer clients[CLIENTS];
    struct table table;
    struct node node[NODES];
    tacit_time_ns_t now;
};

static enum tacit_requests_standing on_session(void *context, uint32_t client, uint64_t session,
                                               uint64_t *last)
{
    const struct table *table = &((struct node *)context)->net->table;
    uint32_t position = (uint32_t)(session & 0xffff);
    assert_true(client < CLIENTS);
    if (position / S != client || session >> 16 == 0) {
        return TACIT_STANDING_CLOSED;
    }
    if (session >> 16 > table->opened) {
        return TACIT_STANDING_AHEAD;
    }
    *last = table->last[client][position % S];
    return table->session[client][position % S] == session ? TACIT_STANDING_OPEN
                                                           : TACIT_STANDING_CLOSED;
}

static enum tacit_requests_standing on_nonce(void *context, uint32_t client, uint64_t nonce)
{
    const struct table *table = &((struct node *)context)->net->table;
    assert_true(client < CLIENTS);
    for (uint32_t i = 0; i < S; i++) {
        if (table->session[client][i] != 0 && table->nonce[client][i] == nonce) {
            return TACIT_STANDING_OPEN;
        }
    }
    return nonce < table->floor[client] ? TACIT_STANDING_CLOSED : TACIT_STANDING_AHEAD;
}

static void on_send(void *context, tacit_node_t to, const void *message, uint32_t bytes)
{
    struct node *node = context;
    assert_true(bytes > 0 && bytes <= MESSAGE && to < NODES && to != node->self);
    if (node->queued < QUEUE) { // a link keeps its tail only
        struct message *entry = &node->queue[node->queued++];
        entry->to = to;
        entry->bytes = bytes;
        memcpy(entry->data, message, bytes);
    }
}

static uint64_t on_send_body(void *context, tacit_node_t to, const void *body, uint32_t bytes)
{
    struct node *node = context;
    assert_true(to < NODES && bytes <= sizeof node->beside[0]);
    uint32_t slot = node->tickets++ % QUEUE;
    memcpy(node->beside[slot], body, bytes);
    node->beside_bytes[slot] = bytes;
    return node->tickets;
}

static enum tacit_verdict on_body(void *context, tacit_node_t from, uint64_t ticket, uint8_t *out,
                                  uint32_t max, uint32_t *bytes)
{
    const struct node *peer = &((struct node *)context)->net->node[from];
    uint32_t slot = (uint32_t)((ticket - 1) % QUEUE);
    if (ticket == 0 || ticket > peer->tickets || peer->beside_bytes[slot] > max) {
        return TACIT_VERDICT_EMPTY;
    }
    *bytes = peer->beside_bytes[slot];
    memcpy(out, peer->beside[slot], *bytes);
    return TACIT_VERDICT_OK;
}

static void on_ask(void *context, uint32_t client, uint64_t session, uint64_t number)
{
    struct node *node = context;
    if (node->asks < ASKED) {
        node->asked[node->asks++] = (struct tacit_requests_key){
            .client = (uint16_t)client, .session = session, .number = number};
    }
}

static void on_resume(void *context, uint64_t view, uint64_t slot)
{
    struct node *node = context;
    (void)view;
    if (node->resumes < RESUMED) {
        node->resumed[node->resumes++] = slot;
    }
}

static const struct tacit_requests_config base_config = {.replicas = NODES,
                                                         .clients = CLIENTS,
                                                         .sessions_per_client = S,
                                                         .session_pipeline = P,
                                                         .client_requests = ROOM,
                                                         .request_bytes = BODY,
                                                         .message_bytes = MESSAGE,
                                                         .window = WINDOW,
                                                         .lack_after_ns = 200 * US,
                                                         .retry_ns = MS};

static void node_open(struct net *net, tacit_node_t self)
{
    struct node *node = &net->node[self];
    node->net = net;
    node->self = self;
    sim_signer_open(
        &node->signer, &net->world,
        &(struct sim_signer_config){.self = self, .workers = 1, .depth = 32, .verify_ns = 60 * US});
    struct tacit_requests_config config = base_config;
    config.self = self;
    struct tacit_requests_calls calls = {.context = node,
                                         .session = on_session,
                                         .nonce = on_nonce,
                                         .send = on_send,
                                         .send_body = on_send_body,
                                         .body = on_body,
                                         .ask = on_ask,
                                         .resume = on_resume};
    struct tacit_bump bump = {.base = NULL};
    struct tacit_marker marker = {0};
    assert_null(tacit_requests_init(&bump, &config, &node->signer.signer, &calls, marker));
    node->memory = aligned_alloc(64, tacit_round_up(bump.used, 64));
    assert_non_null(node->memory);
    memset(node->memory, 0xcc, bump.used);
    struct tacit_bump take = {.base = node->memory};
    node->requests = tacit_requests_init(&take, &config, &node->signer.signer, &calls, marker);
    assert_int_equal(take.used, bump.used);
}

static struct net *net_open(void)
{
    struct net *net = calloc(1, sizeof *net);
    assert_non_null(net);
    sim_signer_world_init(&net->world, 7, NODES, CLIENTS);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        struct sim_signer_config config = {
            .self = (uint16_t)(TACIT_SIGNER_CLIENT + i), .workers = 1, .depth = 1};
        sim_signer_open(&net->clients[i], &net->world, &config);
    }
    for (tacit_node_t i = 0; i < NODES; i++) {
        node_open(net, i);
    }
    return net;
}

static void net_check(struct net *net)
{
    for (uint32_t i = 0; i < NODES; i++) {
        const char *broken = tacit_requests_check(net->node[i].requests);
        if (broken != NULL) {
            fail_msg("node %u: %s", i, broken);
        }
    }
}

static void net_close(struct net *net)
{
    net_check(net);
    for (uint32_t i = 0; i < NODES; i++) {
        free(net->node[i].memory);
    }
    free(net);
}

// A session of this nonce is over.
static void net_overtake(struct table *table, uint32_t client, uint64_t nonce)
{
    if (nonce >= table->floor[client]) {
        table->floor[client] = nonce + 1;
    }
}

// Opens session `lane` of a client in the executed state, in place of what was there; tells the
// nodes, as an execution does.
static uint64_t net_session(struct net *net, uint32_t client, uint32_t lane, uint64_t nonce)
{
    struct table *table = &net->table;
    if (table->session[client][lane] != 0) {
        net_overtake(table, client, table->nonce[client][lane]);
    }
    uint64_t session = ++table->opened << 16 | (client * S + lane);
    table->session[client][lane] = session;
    table->nonce[client][lane] = nonce;
    table->last[client][lane] = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        tacit_requests_opened(net->node[i].requests, client, session, nonce, net->now);
    }
    return session;
}

static void net_execute(struct net *net, uint32_t client, uint64_t session)
{
    uint32_t lane = (uint32_t)(session & 0xffff) % S;
    assert_int_equal(net->table.session[client][lane], session);
    uint64_t number = ++net->table.last[client][lane];
    for (uint32_t i = 0; i < NODES; i++) {
        tacit_requests_executed(net->node[i].requests, client, session, number, net->now);
    }
}

// Delivers messages, signatures and time.
static void net_step(struct net *net, tacit_time_ns_t by_ns)
{
    net->now += by_ns;
    for (uint32_t i = 0; i < NODES; i++) {
        struct node *node = &net->node[i];
        struct tacit_signer_done done[8];
        sim_signer_advance(&node->signer, net->now);
        size_t count = node->signer.signer.ops->poll(&node->signer.signer, done, 8);
        for (size_t k = 0; k < count; k++) {
            assert_int_equal(TACIT_SIGNER_COOKIE_OWNER(done[k].cookie), TACIT_SIGNER_REQUESTS);
            tacit_requests_signer(node->requests, &done[k], net->now);
        }
        (void)tacit_requests_poll(node->requests, net->now);
    }
    for (tacit_node_t i = 0; i < NODES; i++) {
        struct node *node = &net->node[i];
        for (uint32_t k = 0; k < node->queued; k++) {
            const struct message *message = &node->queue[k];
            tacit_requests_message(net->node[message->to].requests, i, message->data,
                                   message->bytes, net->now);
        }
        node->queued = 0;
    }
    net_check(net);
}

static void net_run(struct net *net, tacit_time_ns_t for_ns)
{
    for (tacit_time_ns_t t = 0; t < for_ns; t += 50 * US) {
        net_step(net, 50 * US);
    }
}

static void net_view(struct net *net, uint64_t view)
{
    for (uint32_t i = 0; i < NODES; i++) {
        tacit_requests_enter_view(net->node[i].requests, view, net->now);
    }
}

static struct tacit_wire_request make(uint8_t kind, uint64_t session, uint64_t number,
                                      const char *body)
{
    return (struct tacit_wire_request){.kind = kind,
                                       .session = session,
                                       .number = number,
                                       .body = (const uint8_t *)body,
                                       .body_bytes = (uint32_t)strlen(body)};
}

static void sign(struct net *net, uint32_t client, struct tacit_wire_request *request,
                 struct tacit_signature *signature)
{
    struct tacit_digest digest;
    uint8_t payload[TACIT_SIGN_PAYLOAD_MAX];
    tacit_body_digest(&digest, request->body, request->body_bytes);
    uint32_t bytes = tacit_statement_request(payload, client, request->session, request->number,
                                             request->kind, &digest);
    sim_signer_sign(&net->clients[client], TACIT_DOMAIN_REQUEST, payload, bytes, signature);
    request->flags |= TACIT_REQUEST_SIGNED;
    request->signature = signature->bytes;
}

static enum tacit_requests_put put(struct net *net, uint32_t node, uint32_t client,
                                   struct tacit_wire_request request)
{
    return tacit_requests_put(net->node[node].requests, client, &request, net->now);
}

static void put_signed(struct net *net, uint32_t node, uint32_t client,
                       struct tacit_wire_request request)
{
    struct tacit_signature signature;
    sign(net, client, &request, &signature);
    assert_int_equal(put(net, node, client, request), TACIT_PUT_TAKEN);
}

static void put_all(struct net *net, uint32_t client, struct tacit_wire_request request)
{
    for (uint32_t i = 0; i < NODES; i++) {
        assert_int_equal(put(net, i, client, request), TACIT_PUT_TAKEN);
    }
}

// A batch of one request.
static size_t batch_of(uint8_t *out, size_t max, uint32_t client,
                       const struct tacit_wire_request *request)
{
    size_t used = 0;
    struct tacit_wire_item item = {.kind = request->kind,
                                   .subject = (uint16_t)client,
                                   .session = request->session,
                                   .number = request->number,
                                   .body = request->body,
                                   .body_bytes = request->body_bytes};
    assert_true(tacit_wire_item_encode(out, max, &used, &item));
    return used;
}

static enum tacit_requests_endorsement endorse(struct net *net, uint32_t node, uint32_t client,
                                               struct tacit_wire_request request,
                                               struct tacit_requests_key *missing)
{
    uint8_t batch[1024];
    size_t used = batch_of(batch, sizeof batch, client, &request);
    return tacit_requests_endorse(net->node[node].requests, batch, used, missing);
}

static bool endorses(struct net *net, uint32_t node, uint32_t client,
                     struct tacit_wire_request request)
{
    struct tacit_requests_key missing;
    return endorse(net, node, client, request, &missing) == TACIT_ENDORSE_OK;
}

static uint32_t fill(struct net *net, uint32_t node, uint8_t *out, size_t max, size_t *used)
{
    uint32_t items = 0;
    size_t offset = 0;
    struct tacit_wire_item item;
    *used = tacit_requests_fill(net->node[node].requests, out, max, 64);
    while (tacit_wire_item_decode(&item, out, *used, &offset) == TACIT_VERDICT_OK) {
        items++;
    }
    assert_int_equal(offset, *used);
    return items;
}

static uint32_t proposals(struct net *net, uint32_t node)
{
    uint8_t out[4096];
    size_t used;
    return fill(net, node, out, sizeof out, &used);
}

// As a peer would send it on; false: it has no encoding.
static inline bool forward_of(uint32_t client, struct tacit_wire_request request, uint8_t *message,
                              uint32_t *bytes)
{
    size_t size = tacit_wire_request_encode(message + TACIT_REQUEST_HEADER_BYTES,
                                            MESSAGE - TACIT_REQUEST_HEADER_BYTES, &request);
    struct tacit_message_request header = {.client = (uint16_t)client, .bytes = (uint32_t)size};
    tacit_message_request_encode(message, &header);
    *bytes = TACIT_REQUEST_HEADER_BYTES + (uint32_t)size;
    return size > 0;
}

#endif
