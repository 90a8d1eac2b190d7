// SPDX-License-Identifier: Apache-2.0
//
// See orders.h.
#include "orders.h"

#include <string.h>

#include "../base/bug.h"

#define TELL_DOUBLINGS 5u
#define PAUSE_RETRIES 8u           // between two checks for one client
#define CLIENTS TACIT_REPLICAS_MAX // place of what they send

// What somebody brought, and what became of it. A place for each peer, one for all clients.
struct brought {
    bool checking, valid;
    uint32_t serial;
    uint8_t order[TACIT_WIRE_ORDER_BYTES];
};

struct tacit_orders {
    struct tacit_orders_config config;
    struct tacit_links *links;
    struct tacit_signer *signer;
    struct tacit_orders_counters counters;
    struct brought brought[TACIT_REPLICAS_MAX + 1];
    tacit_time_ns_t again_ns[TACIT_CLIENTS_MAX]; // when a client is heard again
    uint32_t serial;
    uint64_t executed;
    uint64_t nonce; // of the order that is kept, 0: none is
    uint8_t kept[TACIT_WIRE_ORDER_BYTES];
    tacit_time_ns_t tell_ns;
    uint32_t told;
};

struct tacit_orders *tacit_orders_init(struct tacit_bump *bump,
                                       const struct tacit_orders_config *config,
                                       struct tacit_links *links, struct tacit_signer *signer)
{
    struct tacit_orders *orders = tacit_bump_take(bump, sizeof *orders, TACIT_CACHE_LINE);
    if (bump->base == NULL) {
        return NULL;
    }
    memset(orders, 0, sizeof *orders);
    orders->config = *config;
    orders->links = links;
    orders->signer = signer;
    return orders;
}

// Well-formed, and newer than what was executed.
static bool is_news(struct tacit_orders *orders, const uint8_t *bytes, size_t size,
                    struct tacit_wire_order *order)
{
    if (tacit_wire_order_decode(order, bytes, size) != TACIT_VERDICT_OK) {
        orders->counters.malformed++;
        return false;
    }
    return order->nonce > orders->executed;
}

static bool is_kept(const struct tacit_orders *orders, const uint8_t *order)
{
    return orders->nonce != 0 && memcmp(orders->kept, order, sizeof orders->kept) == 0;
}

static void keep(struct tacit_orders *orders, const uint8_t *bytes, uint64_t nonce)
{
    if (nonce <= orders->executed || (orders->nonce != 0 && orders->nonce <= nonce)) {
        return;
    }
    memcpy(orders->kept, bytes, sizeof orders->kept);
    orders->nonce = nonce;
    orders->tell_ns = TACIT_BUG(ORDER_TOLD_LATE) ? orders->tell_ns : 0;
    orders->told = 0;
    orders->counters.taken++;
}

// Has the signature checked. `place`: of a peer, or CLIENTS.
static void check(struct tacit_orders *orders, uint32_t place, const struct tacit_wire_order *order,
                  const uint8_t *bytes)
{
    struct brought *brought = &orders->brought[place];
    if (brought->checking || is_kept(orders, bytes)) {
        return;
    }
    if (brought->valid && memcmp(brought->order, bytes, sizeof brought->order) == 0) {
        keep(orders, bytes, order->nonce); // one of a smaller nonce was in its way
        return;
    }
    struct tacit_signer_job job = {
        .verify = true,
        .charge = (uint8_t)(place == CLIENTS ? TACIT_SIGNER_CHARGE_CLIENTS : place),
        .author = TACIT_SIGNER_OPERATOR,
        .domain = TACIT_DOMAIN_ORDER,
        .payload_bytes = TACIT_WIRE_ORDER_SIGNED,
        .cookie = TACIT_SIGNER_COOKIE(TACIT_SIGNER_ORDERS,
                                      (uint64_t)place << 32 | (orders->serial + 1u))};
    memcpy(job.payload, bytes, TACIT_WIRE_ORDER_SIGNED);
    memcpy(job.signature.bytes, order->signature, sizeof job.signature.bytes);
    if (!orders->signer->ops->knows(orders->signer, job.author) ||
        !orders->signer->ops->submit(orders->signer, &job)) {
        orders->counters.refused++; // there is no operator, or whoever brought it brings too much
        return;
    }
    brought->checking = true;
    brought->valid = false;
    brought->serial = ++orders->serial;
    memcpy(brought->order, bytes, sizeof brought->order);
}

void tacit_orders_asked(struct tacit_orders *orders, uint32_t connection, const uint8_t *bytes,
                        tacit_time_ns_t now_ns)
{
    struct tacit_wire_order order;
    if (connection >= TACIT_CLIENTS_MAX || now_ns < orders->again_ns[connection] ||
        !is_news(orders, bytes, TACIT_WIRE_ORDER_BYTES, &order)) {
        return;
    }
    if (!orders->brought[CLIENTS].checking) {
        orders->again_ns[connection] = now_ns + PAUSE_RETRIES * orders->config.retry_ns;
        check(orders, CLIENTS, &order, bytes);
    }
}

void tacit_orders_message(struct tacit_orders *orders, tacit_node_t from, const uint8_t *message,
                          uint32_t bytes)
{
    struct tacit_wire_order order;
    if (bytes != TACIT_ORDER_MESSAGE_BYTES || from >= orders->config.replicas) {
        orders->counters.malformed++;
        return;
    }
    if (is_news(orders, message + 8, bytes - 8u, &order)) {
        check(orders, from, &order, message + 8);
    }
}

bool tacit_orders_signer(struct tacit_orders *orders, const struct tacit_signer_done *done)
{
    uint64_t value = TACIT_SIGNER_COOKIE_VALUE(done->cookie);
    uint64_t place = value >> 32;
    struct tacit_wire_order order;
    if (place > CLIENTS || !orders->brought[place].checking ||
        orders->brought[place].serial != (uint32_t)value) {
        return false;
    }
    struct brought *brought = &orders->brought[place];
    brought->checking = false;
    brought->valid = done->valid || TACIT_BUG(ORDER_UNCHECKED);
    if (!brought->valid) {
        orders->counters.bad_signatures++;
        return false;
    }
    if (is_news(orders, brought->order, sizeof brought->order, &order)) {
        keep(orders, brought->order, order.nonce);
    }
    return true;
}

enum tacit_epochs_endorsement tacit_orders_endorse(struct tacit_orders *orders, tacit_node_t leader,
                                                   const struct tacit_wire_item *item)
{
    struct tacit_wire_order order;
    if (leader >= orders->config.replicas || item->body_bytes != TACIT_WIRE_ORDER_BYTES ||
        tacit_wire_order_decode(&order, item->body, item->body_bytes) != TACIT_VERDICT_OK) {
        return TACIT_EPOCHS_NEVER;
    }
    bool valid = is_kept(orders, item->body);
    for (uint32_t i = 0; i <= CLIENTS; i++) {
        const struct brought *brought = &orders->brought[i];
        valid = valid ||
                (brought->valid && memcmp(brought->order, item->body, sizeof brought->order) == 0);
    }
    if (valid) {
        return TACIT_EPOCHS_OK;
    }
    check(orders, leader, &order, item->body);
    return TACIT_EPOCHS_WAIT;
}

void tacit_orders_executed(struct tacit_orders *orders, uint64_t nonce)
{
    orders->executed = nonce > orders->executed ? nonce : orders->executed;
    if (orders->nonce <= orders->executed) {
        orders->nonce = 0;
    }
}

bool tacit_orders_is_due(const struct tacit_orders *orders)
{
    return orders->nonce != 0;
}

size_t tacit_orders_proposal(const struct tacit_orders *orders,
                             uint8_t out[TACIT_EPOCH_BATCH_BYTES])
{
    struct tacit_wire_item item = {.kind = TACIT_ITEM_ORDER,
                                   .number = orders->nonce,
                                   .body = orders->kept,
                                   .body_bytes = sizeof orders->kept};
    size_t used = 0;
    bool fits =
        orders->nonce != 0 && tacit_wire_item_encode(out, TACIT_EPOCH_BATCH_BYTES, &used, &item);
    return fits ? used : 0;
}

bool tacit_orders_poll(struct tacit_orders *orders, tacit_time_ns_t now_ns)
{
    if (orders->nonce == 0 || now_ns < orders->tell_ns || TACIT_BUG(ORDER_FORGOTTEN)) {
        return false;
    }
    uint8_t message[TACIT_ORDER_MESSAGE_BYTES] = {TACIT_MESSAGE_ORDER};
    memcpy(message + 8, orders->kept, sizeof orders->kept);
    tacit_links_send_all(orders->links, message, sizeof message);
    orders->tell_ns = now_ns + (orders->config.retry_ns << orders->told);
    orders->told += orders->told < TELL_DOUBLINGS;
    if (TACIT_BUG(ORDER_TOLD_ONCE)) {
        orders->tell_ns = UINT64_MAX;
    }
    return true;
}

tacit_time_ns_t tacit_orders_deadline(const struct tacit_orders *orders)
{
    return orders->nonce == 0 ? UINT64_MAX : orders->tell_ns;
}

const struct tacit_orders_counters *tacit_orders_counters(const struct tacit_orders *orders)
{
    return &orders->counters;
}
