// SPDX-License-Identifier: Apache-2.0
//
// The control queue pair of two nodes: made by rdma_cm, it carries the authenticated handshake and
// then messages with a number and a MAC. Its protection domain holds nothing that can be reached
// from outside, and its access flags, which rdma_cm leaves wide open, are taken away before the
// first message. All is bounded: queues, the time until authentication, the number of strangers
// (control.c).
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define REFUSAL_LINGER_NS 200000000u // for the last message to get out

struct verbs_connection *tacit_verbs_connection_make(struct tacit_verbs *v, struct rdma_cm_id *id,
                                                     bool dials, unsigned peer)
{
    for (unsigned i = 0; i < TACIT_VERBS_CONNECTIONS; i++) {
        struct verbs_connection *connection = &v->connections[i];
        if (connection->state == TACIT_VERBS_CONNECTION_FREE) {
            connection->state =
                dials ? TACIT_VERBS_CONNECTION_ROUTING : TACIT_VERBS_CONNECTION_CONNECTING;
            connection->dials = dials;
            connection->peer = peer;
            connection->id = id;
            connection->deadline_ns = tacit_verbs_now_ns() + v->config.handshake_timeout_ns;
            id->context = connection;
            return connection;
        }
    }
    return NULL;
}

static bool post_receive(struct verbs_connection *connection, unsigned index)
{
    struct ibv_sge sge = {.addr = (uintptr_t)connection->buffers[index],
                          .length = TACIT_VERBS_MESSAGE_BYTES,
                          .lkey = connection->mr->lkey};
    struct ibv_recv_wr work = {.wr_id = index, .sg_list = &sge, .num_sge = 1};
    struct ibv_recv_wr *bad;
    return ibv_post_recv(connection->id->qp, &work, &bad) == 0;
}

static bool prepare_queues(struct tacit_verbs *v, struct verbs_connection *connection)
{
    const size_t bytes = 2u * TACIT_VERBS_CONTROL_QUEUE * TACIT_VERBS_MESSAGE_BYTES;
    connection->cq =
        ibv_create_cq(v->device, 2 * (int)TACIT_VERBS_CONTROL_QUEUE, connection, v->completions, 0);
    if (connection->buffers == NULL) {
        connection->buffers = aligned_alloc(4096, bytes);
    }
    if (connection->cq == NULL || connection->buffers == NULL) {
        return false;
    }
    memset(connection->buffers, 0, bytes); // of another peer's messages
    if (connection->mr == NULL) {
        connection->mr = ibv_reg_mr(v->pd, connection->buffers, bytes, IBV_ACCESS_LOCAL_WRITE);
    }
    struct ibv_qp_init_attr attr = {
        .qp_type = IBV_QPT_RC,
        .send_cq = connection->cq,
        .recv_cq = connection->cq,
        .cap = {.max_send_wr = TACIT_VERBS_CONTROL_QUEUE,
                .max_recv_wr = TACIT_VERBS_CONTROL_QUEUE,
                .max_send_sge = 1,
                .max_recv_sge = 1},
    };
    if (connection->mr == NULL || rdma_create_qp(connection->id, v->pd, &attr) != 0) {
        return false;
    }
    for (unsigned i = 0; i < TACIT_VERBS_CONTROL_QUEUE; i++) {
        if (!post_receive(connection, i)) {
            return false;
        }
    }
    return ibv_req_notify_cq(connection->cq, 0) == 0;
}

bool tacit_verbs_connection_prepare(struct tacit_verbs *v, struct verbs_connection *connection)
{
    if (connection->id->verbs != v->device) {
        tacit_verbs_report(v, TACIT_VERBS_REPORT_RESOURCE,
                           "A connection came over another RDMA device than that of %s.",
                           ibv_get_device_name(v->device->device));
        return false;
    }
    struct tacit_error error;
    connection->secrets =
        tacit_secret_alloc(sizeof(struct verbs_secrets) + tacit_handshake_size(), &error);
    if (connection->secrets == NULL) {
        tacit_verbs_report(v, TACIT_VERBS_REPORT_RESOURCE, "%s", error.text);
        return false;
    }
    // Else the device tries for many seconds before it gives up a message to a host that has
    // vanished. A kernel that cannot (before 5.1) leaves it so. Four times as long as operations:
    // these fail alone, with this the connection ends.
    uint8_t exponent = v->timeout_exponent < 29 ? (uint8_t)(v->timeout_exponent + 2) : 31;
    (void)rdma_set_option(connection->id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &exponent,
                          sizeof(exponent));
    if (!prepare_queues(v, connection)) {
        tacit_verbs_report(
            v, TACIT_VERBS_REPORT_RESOURCE,
            "The RDMA device refused the queues of a connection (%s), or the peer has gone.",
            strerror(errno));
        return false;
    }
    return true;
}

static bool send_bytes(struct verbs_connection *connection, const uint8_t *bytes, uint32_t count)
{
    if (connection->sends_posted - connection->sends_done == TACIT_VERBS_CONTROL_QUEUE) {
        return false; // the peer does not take its messages
    }
    unsigned index =
        TACIT_VERBS_CONTROL_QUEUE + connection->sends_posted % TACIT_VERBS_CONTROL_QUEUE;
    memcpy(connection->buffers[index], bytes, count);
    struct ibv_sge sge = {.addr = (uintptr_t)connection->buffers[index],
                          .length = count,
                          .lkey = connection->mr->lkey};
    struct ibv_send_wr work = {.wr_id = index,
                               .sg_list = &sge,
                               .num_sge = 1,
                               .opcode = IBV_WR_SEND,
                               .send_flags = IBV_SEND_SIGNALED};
    struct ibv_send_wr *bad;
    if (ibv_post_send(connection->id->qp, &work, &bad) != 0) {
        return false;
    }
    connection->sends_posted++;
    connection->last_send_ns = tacit_verbs_now_ns();
    return true;
}

bool tacit_verbs_send(struct tacit_verbs *v, struct verbs_connection *connection,
                      struct verbs_message *message)
{
    if (connection == NULL || connection->state != TACIT_VERBS_CONNECTION_BOUND) {
        return false;
    }
    uint8_t bytes[TACIT_VERBS_MESSAGE_BYTES];
    message->number = ++connection->sent;
    tacit_verbs_message_encode(bytes, message, &connection->secrets->session.send_key);
    if (!send_bytes(connection, bytes, sizeof(bytes))) {
        tacit_verbs_report(v, TACIT_VERBS_REPORT_MISBEHAVED,
                           "Node %u does not take control messages; its connection ends.",
                           connection->link->node);
        return false;
    }
    return true;
}

// ---- handshake
// --------------------------------------------------------------------------------------

static bool lookup_key(struct tacit_public_key *out, struct tacit_identity claimed, void *context)
{
    struct tacit_verbs *v = context;
    enum tacit_verbs_kind kind;
    switch (claimed.name.role) {
    case TACIT_PEER_REPLICA:
        kind = TACIT_VERBS_REPLICA;
        break;
    case TACIT_PEER_MEMNODE:
        kind = TACIT_VERBS_MEMNODE;
        break;
    case TACIT_PEER_CLIENT:
        kind = TACIT_VERBS_CLIENT;
        break;
    case TACIT_PEER_OPERATOR:
    default:
        return false;
    }
    return v->config.key_of(v->config.context, kind, claimed.name.id, claimed.incarnation, out);
}

static enum tacit_peer_role role_of(enum tacit_verbs_kind kind)
{
    switch (kind) {
    case TACIT_VERBS_REPLICA:
        return TACIT_PEER_REPLICA;
    case TACIT_VERBS_MEMNODE:
        return TACIT_PEER_MEMNODE;
    case TACIT_VERBS_CLIENT:
    case TACIT_VERBS_KINDS:
    default:
        return TACIT_PEER_CLIENT;
    }
}

static void refused(struct tacit_verbs *v, struct verbs_connection *connection)
{
    struct tacit_error error = {.status = TACIT_OK};
    const struct tacit_handshake_outcome *outcome = tacit_handshake_outcome(connection->handshake);
    // Two nodes that meet while one of them still takes the old connection apart, or while a spare
    // may not take a seat yet: nothing to tell. Where seats have several addresses, most are not
    // theirs.
    bool has_others =
        connection->dials ? v->dials[connection->peer].addresses > 1 : v->config.seat_rule != NULL;
    if (outcome->reason != TACIT_REFUSAL_BUSY &&
        !(has_others && outcome->reason == TACIT_REFUSAL_WRONG_NODE)) {
        (void)tacit_handshake_explain(connection->handshake, &error);
        atomic_fetch_add(&v->count.refused, 1);
        bool is_over = outcome->reason == TACIT_REFUSAL_STALE && outcome->by_peer;
        tacit_verbs_report(v, is_over ? TACIT_VERBS_REPORT_STALE : TACIT_VERBS_REPORT_REFUSED, "%s",
                           error.text);
    }
    connection->state = TACIT_VERBS_CONNECTION_REFUSING;
    connection->deadline_ns = tacit_verbs_now_ns() + REFUSAL_LINGER_NS;
}

static bool shake_send(struct verbs_connection *connection)
{
    uint8_t message[TACIT_HANDSHAKE_MESSAGE_BYTES];
    while (tacit_handshake_output(connection->handshake, message)) {
        if (!send_bytes(connection, message, sizeof(message))) {
            return false;
        }
    }
    return true;
}

// Sends what the handshake has to say. False: the connection has to end at once.
static bool shake_output(struct tacit_verbs *v, struct verbs_connection *connection)
{
    if (!shake_send(connection)) {
        return false;
    }
    switch (tacit_handshake_state(connection->handshake)) {
    case TACIT_HANDSHAKE_REFUSED:
        refused(v, connection);
        return connection->sends_posted != connection->sends_done;
    case TACIT_HANDSHAKE_DONE: {
        struct tacit_session *session = &connection->secrets->session;
        struct tacit_identity peer;
        enum tacit_refusal why;
        if (connection->dials && tacit_handshake_peer(connection->handshake, &peer) &&
            tacit_verbs_link_place(v, &peer, &why) == TACIT_NODE_NONE) {
            tacit_handshake_refuse(connection->handshake, why); // it shall know
            if (!shake_send(connection)) {
                return false;
            }
            refused(v, connection);
            return connection->sends_posted != connection->sends_done;
        }
        if (!tacit_handshake_take(connection->handshake, session)) {
            return false;
        }
        enum tacit_refusal reason;
        tacit_node_t node = tacit_verbs_link_place(v, &session->peer, &reason);
        return node != TACIT_NODE_NONE &&
               tacit_verbs_link_begin(v, connection, &session->peer, node);
    }
    case TACIT_HANDSHAKE_SENDING:
    case TACIT_HANDSHAKE_RECEIVING:
    default:
        return true;
    }
}

bool tacit_verbs_connection_shake(struct tacit_verbs *v, struct verbs_connection *connection)
{
    // A device that does not change flags leaves them: nothing is registered there for others
    // anyway.
    if (!tacit_verbs_qp_allow(connection->id->qp, 0) &&
        v->facts.permission == TACIT_VERBS_PERMISSION_FLAGS) {
        return false;
    }
    struct tacit_handshake_options options = {
        .connects = connection->dials,
        .self = {.name = {.role = role_of(v->config.kind), .id = v->config.id},
                 .incarnation = v->config.incarnation},
        .group = v->config.group,
        .cluster = v->config.cluster,
        .keypair = v->config.keypair,
        .lookup = lookup_key,
        .lookup_context = v,
    };
    if (connection->dials) {
        tacit_node_t node = v->dials[connection->peer].node;
        bool replica = node < TACIT_NODE_MEMNODE;
        options.wanted.role = replica ? TACIT_PEER_REPLICA : TACIT_PEER_MEMNODE;
        options.wanted.id = (uint16_t)(replica ? node : node - TACIT_NODE_MEMNODE);
    }
    struct tacit_error error;
    if (tacit_handshake_init(&connection->handshake, connection->secrets->handshake,
                             tacit_handshake_size(), &options, &error) != TACIT_OK) {
        tacit_verbs_report(v, TACIT_VERBS_REPORT_REFUSED, "%s", error.text);
        return false;
    }
    connection->state = TACIT_VERBS_CONNECTION_SHAKING;
    return shake_output(v, connection);
}

static bool shake_input(struct tacit_verbs *v, struct verbs_connection *connection,
                        const uint8_t *bytes, uint32_t count)
{
    if (tacit_handshake_input(connection->handshake, bytes, count) != TACIT_VERDICT_OK) {
        return shake_output(v, connection); // says so to the peer
    }
    struct tacit_identity peer;
    if (!connection->dials && tacit_handshake_peer(connection->handshake, &peer)) {
        enum tacit_refusal reason;
        if (tacit_verbs_link_place(v, &peer, &reason) == TACIT_NODE_NONE) {
            tacit_handshake_refuse(connection->handshake, reason);
        }
    }
    return shake_output(v, connection);
}

// ---- what arrives
// -----------------------------------------------------------------------------------

static bool misbehaved(struct tacit_verbs *v, struct verbs_connection *connection, const char *what)
{
    atomic_fetch_add(&v->count.misbehaved, 1);
    tacit_verbs_report(v, TACIT_VERBS_REPORT_MISBEHAVED, "Node %u sent %s; its connection ends.",
                       connection->link->node, what);
    return false;
}

static bool take_message(struct tacit_verbs *v, struct verbs_connection *connection,
                         const uint8_t *bytes, uint32_t count)
{
    switch (connection->state) {
    case TACIT_VERBS_CONNECTION_SHAKING:
        return shake_input(v, connection, bytes, count);
    case TACIT_VERBS_CONNECTION_BOUND: {
        struct verbs_message message;
        if (count != TACIT_VERBS_MESSAGE_BYTES) {
            return misbehaved(v, connection, "a message of a wrong length");
        }
        if (tacit_verbs_message_decode(&message, bytes, connection->received + 1,
                                       &connection->secrets->session.receive_key) !=
            TACIT_VERDICT_OK) {
            return misbehaved(v, connection, "a message that is malformed or not its own");
        }
        connection->received++;
        if (!tacit_verbs_link_message(v, connection->link, &message)) {
            return misbehaved(v, connection,
                              "a message that no correct node sends, or cannot be served");
        }
        return true;
    }
    case TACIT_VERBS_CONNECTION_REFUSING:
        return true;
    case TACIT_VERBS_CONNECTION_FREE:
    case TACIT_VERBS_CONNECTION_ROUTING:
    case TACIT_VERBS_CONNECTION_CONNECTING:
    default:
        return false;
    }
}

bool tacit_verbs_connection_receive(struct tacit_verbs *v, struct verbs_connection *connection)
{
    // What a peer may have under way at a time bounds a turn.
    for (unsigned turn = 0; turn < 4 * TACIT_VERBS_CONTROL_QUEUE; turn++) {
        struct ibv_wc wc;
        int got = ibv_poll_cq(connection->cq, 1, &wc);
        if (got == 0) {
            return true;
        }
        if (got < 0 || wc.status != IBV_WC_SUCCESS || wc.wr_id >= 2 * TACIT_VERBS_CONTROL_QUEUE) {
            return false;
        }
        if (wc.wr_id >= TACIT_VERBS_CONTROL_QUEUE) {
            connection->sends_done++;
            continue;
        }
        uint8_t bytes[TACIT_VERBS_MESSAGE_BYTES];
        uint32_t count = wc.byte_len <= sizeof(bytes) ? wc.byte_len : 0;
        memcpy(bytes, connection->buffers[wc.wr_id], count);
        if (!post_receive(connection, (unsigned)wc.wr_id) ||
            !take_message(v, connection, bytes, count)) {
            return false;
        }
    }
    tacit_verbs_wake_control(v); // there may be more
    return true;
}

void tacit_verbs_connection_end(struct tacit_verbs *v, struct verbs_connection *connection)
{
    struct verbs_link *link = connection->link;
    connection->state = TACIT_VERBS_CONNECTION_REFUSING; // sends nothing any more
    if (link != NULL) {
        connection->link = NULL;
        link->connection = NULL;
        tacit_verbs_link_break(v, link);
    }
    if (connection->dials) {
        struct verbs_dial *dial = &v->dials[connection->peer];
        dial->busy = false;
        if (link == NULL) { // nobody, or somebody else
            dial->turn = (dial->turn + 1) % dial->addresses;
        }
        dial->next_ns = tacit_verbs_now_ns() + dial->pause_ns;
        dial->pause_ns = 2 * dial->pause_ns < v->config.reconnect_max_ns
                             ? 2 * dial->pause_ns
                             : v->config.reconnect_max_ns;
    }
    if (connection->id->qp != NULL) {
        (void)rdma_disconnect(connection->id); // fails when it never was connected
        rdma_destroy_qp(connection->id);
    }
    if (connection->cq != NULL) {
        (void)ibv_destroy_cq(connection->cq);
    }
    (void)rdma_destroy_id(connection->id);
    tacit_handshake_fini(connection->handshake);
    tacit_secret_free(connection->secrets);
    memset(connection, 0, offsetof(struct verbs_connection, buffers));
}

// What tacit_verbs_connection_end() keeps.
void tacit_verbs_connection_forget(struct verbs_connection *connection)
{
    if (connection->mr != NULL) {
        (void)ibv_dereg_mr(connection->mr);
    }
    free(connection->buffers);
}
