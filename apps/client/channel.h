// SPDX-License-Identifier: Apache-2.0
//
// The inside of a channel (tacit/client.h): the sans-I/O client on a fabric of its own. Programs of
// this tree that wait for other things as well (the gateway) or bring a fabric (tests) use this.
#ifndef TACIT_CHANNEL_H
#define TACIT_CHANNEL_H

#include "tacit/client.h"
#include "tacit/client_core.h"
#include "tacit/fabric.h"

#ifdef __cplusplus
extern "C" {
#endif

// What a channel is built of.
struct tacit_channel_parts {
    struct tacit_client_config client; // `draw` NULL: the channel's own generator
    struct tacit_fabric *fabric;       // polled by nobody yet
    // Called by tacit_channel_close(); NULL: the fabric stays open.
    void (*fabric_close)(struct tacit_fabric *fabric, void *owner);
    // Writes why a replica was not connected last, empty if none was refused. NULL: not known.
    void (*refusal)(void *owner, char *out, size_t max);
    void *owner;
    tacit_time_ns_t (*now_ns)(void); // the clock of the fabric's sleep()
    enum tacit_channel_waiting waiting;
};

// Builds a channel over a fabric. When it fails the fabric is left as it was.
enum tacit_status tacit_channel_build(const struct tacit_channel_parts *parts,
                                      struct tacit_channel **channel, struct tacit_error *error);

// For callers that wait for something else too. Between arm() and disarm() a reply or a death ends
// the next sleep(); after arm() poll once more before sleeping. sleep() ends at `until_ns` at the
// latest, or when the channel itself has something to send.
void tacit_channel_arm(struct tacit_channel *channel);
void tacit_channel_sleep(struct tacit_channel *channel, tacit_time_ns_t until_ns);
void tacit_channel_disarm(struct tacit_channel *channel);
// Seats and orders, as in tacit/client_core.h: answers come in while the channel is polled.
struct tacit_wire_members;
struct tacit_wire_order;
void tacit_channel_members_ask(struct tacit_channel *channel);
bool tacit_channel_members(const struct tacit_channel *channel, struct tacit_wire_members *members);
void tacit_channel_order_send(struct tacit_channel *channel, const struct tacit_wire_order *order);
uint32_t tacit_channel_order_outcome(const struct tacit_channel *channel, uint64_t nonce);
// The channel's clock.
tacit_time_ns_t tacit_channel_now_ns(const struct tacit_channel *channel);
uint32_t tacit_channel_outstanding(const struct tacit_channel *channel);

#ifdef __cplusplus
}
#endif

#endif
