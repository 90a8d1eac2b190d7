// SPDX-License-Identifier: Apache-2.0
//
// Links between replicas (tail broadcast, uBFT section 6): rings of short messages, large bodies
// beside them, and cells for votes. Everything that one replica tells another lies in one region
// that the sender alone writes: the CONTROL region at the receiver; or, `broadcast_on: memnodes`,
// the sender's REGISTERS region on all memory nodes, behind the registers, one for all receivers:
// what is sent to all is written once at each memory node, and a message says whom it is for.
//
// A link keeps the tail only: a receiver that was lapped goes on with the oldest message that
// survived and counts the gap; what must not be lost is asked for again by those who need it. The
// sender keeps a mirror of all it wrote, from which everything is posted and which is written again
// whole when a connection comes back: the receiver's region outlives a connection, a write in
// flight does not.
//
// Region of (sender, receiver), or of a sender at a memory node (behind a head, see
// links_internal.h):
//   ring       `slots` slots for messages up to `message_bytes` (tacit/ring.h)
//   bodies     `bodies` slots of {u64 ticket, u64 bytes, u64 check, bytes...}, at ticket mod bodies
//   acks       `window` cells of {u64 check, u64 view, u64 slot, 32 digest, u64 n}: 64 bytes
//   certifies  `window` cells of {u64 check, u64 view, u64 slot, 32 digest, 64 signature, u64 n}:
//              128 bytes (n: 0; at memory nodes the number of the vote, from 1)
// A cell is overwritten for a newer (slot, view) only; `check` tells whole from torn.
#ifndef TACIT_BYZANTINE_LINKS_H
#define TACIT_BYZANTINE_LINKS_H

#include "../base/mark.h"
#include "../base/words.h"
#include "payload.h"
#include "tacit/fabric.h"
#include "tacit/ring.h"

enum tacit_links_place { TACIT_LINKS_ON_REPLICAS = 0, TACIT_LINKS_ON_MEMNODES };

struct tacit_links_config {
    enum tacit_links_place place;
    uint8_t replicas;
    uint8_t memnodes;
    tacit_node_t self;
    uint32_t slots;         // of a ring
    uint32_t message_bytes; // largest message
    uint32_t bodies;        // body slots
    uint32_t body_bytes;    // largest body
    uint32_t window;        // W
    size_t offset; // of the links within the CONTROL or the REGISTERS region; multiple of 8
};

struct tacit_vote {
    uint64_t view;
    uint64_t slot;
    struct tacit_digest digest;
    struct tacit_signature signature; // CERTIFY only
};
enum tacit_vote_kind { TACIT_VOTE_ACK = 0, TACIT_VOTE_CERTIFY };

struct tacit_links; // links.c; caller's memory

// What one sender needs at one host.
size_t tacit_links_region_bytes(const struct tacit_links_config *config);
// Takes its memory (mirrors: attached memory) from `bump`; with bump->base NULL only measures.
struct tacit_links *tacit_links_init(struct tacit_bump *bump,
                                     const struct tacit_links_config *config,
                                     struct tacit_fabric *fabric, struct tacit_marker marker);
// UP, DOWN, REGIONS and completions with TACIT_COOKIE_LINKS. After UP of an *accepted* incarnation
// (the caller says so with tacit_links_accept) everything of the mirror is written again.
void tacit_links_event(struct tacit_links *links, const struct tacit_event *event,
                       tacit_time_ns_t now_ns);
// From now on the peer's region of this incarnation is read (from the start: its ring sequence and
// cells are new), and written to. 0: nothing of that peer is read any more. Called at start and
// when an epoch admits a new incarnation.
void tacit_links_accept(struct tacit_links *links, tacit_node_t node,
                        tacit_incarnation_t incarnation);
// The same for a replica that is no member here (yet): its messages are received, of which the
// caller may believe only what proves itself; its votes and bodies are not shown. It is told what
// the others are, and rung seldom.
void tacit_links_hear(struct tacit_links *links, tacit_node_t node,
                      tacit_incarnation_t incarnation);
bool tacit_links_is_stranger(const struct tacit_links *links, tacit_node_t node);

// Sends (tail: an old message may be overwritten before it is read). bytes <= message_bytes
// (asserted). Never blocks; a peer that is down gets it from the mirror later.
void tacit_links_send(struct tacit_links *links, tacit_node_t to, const void *message,
                      uint32_t bytes);
void tacit_links_send_all(struct tacit_links *links, const void *message, uint32_t bytes);
// Writes a body into the next body slot of `to` and returns its ticket (from 1), to be named in a
// message sent after it. On memory nodes the body that was written last serves for all.
uint64_t tacit_links_send_body(struct tacit_links *links, tacit_node_t to, const void *body,
                               uint32_t bytes);
// The body of that ticket as `from` wrote it: copies to out (capacity max). OK, EMPTY (torn,
// overwritten or not there: fetch it by digest), MALFORMED. The caller checks the digest.
enum tacit_verdict tacit_links_body(struct tacit_links *links, tacit_node_t from, uint64_t ticket,
                                    uint8_t *out, uint32_t max, uint32_t *bytes);
// Whether a message of a peer may have come that was not received: a look at the next place of each
// ring. (Memory nodes: true, since to look there takes a read.) Cheap.
bool tacit_links_has_news(const struct tacit_links *links);
// Next message of `from`, copied to out (capacity message_bytes). As tacit_ring_read.
enum tacit_verdict tacit_links_receive(struct tacit_links *links, tacit_node_t from, uint8_t *out,
                                       uint32_t *bytes);
// Puts the own vote into the cell of its slot at every other replica.
void tacit_links_vote(struct tacit_links *links, enum tacit_vote_kind kind,
                      const struct tacit_vote *vote);
// The vote that `from` shows in the cell of `slot`; EMPTY: none, torn, or of another slot.
enum tacit_verdict tacit_links_voted(struct tacit_links *links, tacit_node_t from,
                                     enum tacit_vote_kind kind, uint64_t slot,
                                     struct tacit_vote *vote);
// While nothing is to be done: calls for the memory of the next message to each replica, of the
// next ones from each, and of the ACKs of that slot.
void tacit_links_prefetch(const struct tacit_links *links, uint64_t slot);
// The owner has had something to do: what it said, or a client did, the others answer. On memory
// nodes their answers are looked for more often for a while; else nothing.
void tacit_links_expect(struct tacit_links *links, tacit_time_ns_t now_ns);
// One turn: posts what could not be posted, refreshes what is read from memory nodes, rings those
// who were written to since the last flush. True if anything happened.
bool tacit_links_poll(struct tacit_links *links, tacit_time_ns_t now_ns);
tacit_time_ns_t tacit_links_deadline(const struct tacit_links *links);
bool tacit_links_is_up(const struct tacit_links *links, tacit_node_t peer);

struct tacit_links_counters {
    uint64_t messages_sent, messages_received, lapped, malformed, bodies_sent, votes_sent,
        rewritten;
    // Posted to hosts: quiet writes; heads and reads at memory nodes.
    uint64_t writes, heads, reads;
};
const struct tacit_links_counters *tacit_links_counters(const struct tacit_links *links);

#endif
