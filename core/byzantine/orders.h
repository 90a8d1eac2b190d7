// SPDX-License-Identifier: Apache-2.0
//
// Orders of an operator (tacit/wire.h) on their way into the log: what clients and peers bring is
// checked by the signing pool, and counts for nothing before. Whoever has a valid order that is not
// executed tells the others, again and again less often: the leader owes it to all of them. It is
// proposed alone in its batch, and endorsed by who has checked the operator's signature itself.
// What it does is decided by whoever executes it (core/state/members.h).
//
// Bounds. Of each peer, and of all clients together, one signature is checked at a time, of a
// client one in a while. One valid order is kept, that of the smallest nonce: who gives several
// gives them one after the other.
#ifndef TACIT_BYZANTINE_ORDERS_H
#define TACIT_BYZANTINE_ORDERS_H

#include "../base/mark.h"
#include "../base/words.h"
#include "epochs.h"
#include "links.h"
#include "tacit/signer.h"
#include "tacit/wire.h"

//   u8 kind | u8[7] 0 | order as on the wire
#define TACIT_ORDER_MESSAGE_BYTES (8u + TACIT_WIRE_ORDER_BYTES)

struct tacit_orders_config {
    uint8_t replicas;
    tacit_node_t self;
    tacit_time_ns_t retry_ns; // the order that is kept is told again
};
struct tacit_orders_counters {
    uint64_t taken, malformed, refused, bad_signatures;
};

struct tacit_orders; // orders.c; caller's memory

// Takes its memory from `bump`; with bump->base NULL only measures (returns NULL).
struct tacit_orders *tacit_orders_init(struct tacit_bump *bump,
                                       const struct tacit_orders_config *config,
                                       struct tacit_links *links, struct tacit_signer *signer);
// `bytes` [TACIT_WIRE_ORDER_BYTES], of any content, came from the client at that connection (below
// TACIT_CLIENTS_MAX).
void tacit_orders_asked(struct tacit_orders *orders, uint32_t connection, const uint8_t *bytes,
                        tacit_time_ns_t now_ns);
// TACIT_MESSAGE_ORDER, of any content.
void tacit_orders_message(struct tacit_orders *orders, tacit_node_t from, const uint8_t *message,
                          uint32_t bytes);
// Completions of TACIT_SIGNER_ORDERS. True: an order was found valid, endorse() may say something
// else now.
bool tacit_orders_signer(struct tacit_orders *orders, const struct tacit_signer_done *done);
// Whether the operator signed this item's order; it is checked on the account of `leader`.
enum tacit_epochs_endorsement tacit_orders_endorse(struct tacit_orders *orders, tacit_node_t leader,
                                                   const struct tacit_wire_item *item);
// Orders up to this nonce are void: it is that of the newest one in the replicated state.
void tacit_orders_executed(struct tacit_orders *orders, uint64_t nonce);
// Whether there is a valid one.
bool tacit_orders_is_due(const struct tacit_orders *orders);
// That one as a batch; 0: there is none.
size_t tacit_orders_proposal(const struct tacit_orders *orders,
                             uint8_t out[TACIT_EPOCH_BATCH_BYTES]);
// One turn.
bool tacit_orders_poll(struct tacit_orders *orders, tacit_time_ns_t now_ns);
tacit_time_ns_t tacit_orders_deadline(const struct tacit_orders *orders);
const struct tacit_orders_counters *tacit_orders_counters(const struct tacit_orders *orders);

#endif
