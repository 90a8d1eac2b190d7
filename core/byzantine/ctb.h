// SPDX-License-Identifier: Apache-2.0
//
// Consistent tail broadcast (uBFT section 5): every replica has a stream of payloads with ids k =
// 0, 1, 2, ...; two correct receivers never deliver different payloads for the same (broadcaster,
// k), also from a lying broadcaster, and each delivers a stream in order without gaps, except where
// it adopts a summary.
//
// Fast, no signature: LOCK(k, x) to all; a receiver locks x for k (write-once) and tells all others
// LOCKED(k, x), once; who locked x and heard LOCKED of the same x from all other receivers
// delivers. LOCKED of a PREPARE says besides whether it is *vouched* (agree.h). Delivery does not
// ask for that, since it rests on the locks alone; only unanimous() does.
// Slow, signed: SIGNED(k, signature); a receiver that locked x checks it, writes (k, x, signature)
// into its own register for (broadcaster, k mod tail), waits for a majority of memory nodes, then
// reads that register of every other receiver. A validly signed different x for this k proves the
// broadcaster faulty; a validly signed larger k means that k left the tail; otherwise deliver.
//
// Threads and time: as all of core. Each message is hostile until checked here.
#ifndef TACIT_BYZANTINE_CTB_H
#define TACIT_BYZANTINE_CTB_H

#include "../base/mark.h"
#include "../base/words.h"
#include "bodies.h"
#include "links.h"
#include "registers.h"
#include "tacit/signer.h"

// Largest message: the links' message_bytes are at least this.
#define TACIT_CTB_MESSAGE_BYTES (24u + TACIT_PAYLOAD_BYTES + 8u + TACIT_BYZ_INLINE_BYTES)

struct tacit_ctb_config {
    uint8_t replicas; // 2f+1, at least 3
    tacit_node_t self;
    uint32_t tail;                 // t, even, 16 .. 65536; registers of a replica: replicas * tail
    uint32_t state_bytes;          // largest encoded stream state
    uint32_t body_bytes;           // largest body; the links' bodies hold it, and a state
    tacit_time_ns_t slow_after_ns; // least time that a lock stays undelivered before NUDGE
    tacit_time_ns_t retry_ns;      // of whatever got no answer
    const uint16_t *authors;       // [replicas] of the present epoch (payload.h), or NULL
};

enum tacit_take {
    TACIT_TAKE_DONE = 0, // consumed; the next id may come
    TACIT_TAKE_LATER,    // not yet (a check is under way); call tacit_ctb_resume()
    TACIT_TAKE_ILLEGAL,  // no correct broadcaster says this: the stream is ignored from here on
};

struct tacit_ctb_calls {
    void *context;
    // `payload` is locked for (stream, k), its body is held if it is inline, else perhaps later.
    // For a PREPARE nothing was told to the others: LOCKED waits for tacit_ctb_vouch() or
    // tacit_ctb_abstain(), now or later, or for tacit_ctb_leave(). For all other kinds LOCKED is
    // sent by this module as soon as the body is held.
    void (*locked)(void *context, tacit_node_t stream, uint64_t k,
                   const struct tacit_payload *payload);
    // A body that was missing at locked() or deliver() is held now (one reference, the module's
    // own, at least until the id is delivered; a batch until it leaves the tail).
    void (*body_held)(void *context, tacit_node_t stream, uint64_t k,
                      const struct tacit_payload *payload);
    // LOCKED, vouched, of exactly the locked payload has come from every replica but this one and
    // the broadcaster (own stream: from all others). Once per id, before or after its delivery.
    void (*unanimous)(void *context, tacit_node_t stream, uint64_t k,
                      const struct tacit_payload *payload);
    // Next of the stream, agreed. Called again, with the same, after LATER. `body` is that of
    // any kind but PREPARE, of which it is NULL. Own broadcasts come here at once.
    enum tacit_take (*deliver)(void *context, tacit_node_t stream, uint64_t k,
                               const struct tacit_payload *payload, const uint8_t *body);
    // Encodes the state that follows from the stream up to its newest consumed id. The same bytes
    // at every correct replica. Returns their number, at most state_bytes.
    size_t (*encode)(void *context, tacit_node_t stream, uint8_t *out);
    // Replaces that state by a certified one. False: malformed (a certified one never is).
    bool (*adopt)(void *context, tacit_node_t stream, uint64_t k, const uint8_t *state,
                  size_t bytes);
};

struct tacit_ctb; // ctb.c; caller's memory

struct tacit_ctb *tacit_ctb_init(struct tacit_bump *bump, const struct tacit_ctb_config *config,
                                 uint64_t epoch, struct tacit_links *links,
                                 struct tacit_registers *registers, struct tacit_signer *signer,
                                 struct tacit_bodies *bodies, const struct tacit_ctb_calls *calls,
                                 struct tacit_marker marker);
// Forgets all streams and starts them anew under `epoch` (larger). Not from within a call of ours.
// Resets the registers too; they must be an array that nobody used in an older epoch.
void tacit_ctb_reset(struct tacit_ctb *ctb, uint64_t epoch, tacit_time_ns_t now_ns);

// Broadcasts on the own stream; the body is copied. False: the tail is full (no summary yet, or an
// own id is not yet consumed), or the own quota of bodies is; nothing happened; the last
// TACIT_BYZ_TAIL_RESERVED ids are for SEAL_VIEW, NEW_VIEW and the CHECKPOINT that has to come
// before. payload->digest and body_bytes are
// filled in here.
bool tacit_ctb_broadcast(struct tacit_ctb *ctb, struct tacit_payload *payload, const void *body,
                         uint32_t body_bytes, tacit_time_ns_t now_ns);
// The same for a payload that says its body's bytes and digest already: one digest less.
bool tacit_ctb_broadcast_digested(struct tacit_ctb *ctb, const struct tacit_payload *payload,
                                  const void *body, tacit_time_ns_t now_ns);
// LOCK of what is broadcast next, sent before it is digested, since the others wait for it. False:
// nothing happened (a large body, or no room). Else the same payload, which has its digest then,
// has to be broadcast before anything else happens, and cannot be refused.
bool tacit_ctb_send_ahead(struct tacit_ctb *ctb, const struct tacit_payload *payload,
                          const void *body);
// Room for an ordinary payload now.
bool tacit_ctb_has_room(const struct tacit_ctb *ctb);
// Sends LOCKED, vouched, for a locked PREPARE, to all others. Of each id LOCKED is said once, with
// the vouch or without it: the first call counts.
void tacit_ctb_vouch(struct tacit_ctb *ctb, tacit_node_t stream, uint64_t k);
// The same without the vouch: the caller will never vouch this id.
void tacit_ctb_abstain(struct tacit_ctb *ctb, tacit_node_t stream, uint64_t k);
// The caller vouches nothing of views below `view` any more (views only grow within an epoch):
// abstains from all that is locked of them, and from what is locked of them later.
void tacit_ctb_leave(struct tacit_ctb *ctb, uint64_t view);
bool tacit_ctb_is_unanimous(const struct tacit_ctb *ctb, tacit_node_t stream, uint64_t k);
// deliver() said LATER; look again.
void tacit_ctb_resume(struct tacit_ctb *ctb, tacit_node_t stream);
// The engine found the broadcaster out by other means (for example two PREPAREs of one slot).
void tacit_ctb_condemn(struct tacit_ctb *ctb, tacit_node_t stream);
bool tacit_ctb_is_condemned(const struct tacit_ctb *ctb, tacit_node_t stream);
// Asks all for a body (of at most `bytes`) that is needed because of what `owner` said (self: what
// is decided or forced); body_held() or a later tacit_bodies_find() tells. Rate-limited by itself.
// Each owner has its own few requests and its own few places for what comes.
void tacit_ctb_fetch(struct tacit_ctb *ctb, tacit_node_t owner, const struct tacit_digest *digest,
                     uint32_t bytes, tacit_time_ns_t now_ns);
// By how many ids of the own stream the slowest receiver is behind, of those that have said LOCKED
// of a newer one after `since_ns`: who follows, however late.
uint64_t tacit_ctb_late_by(const struct tacit_ctb *ctb, tacit_time_ns_t since_ns);
// Replicas (bit r) that are not waited for: dead for certain, or without a word of LOCKED since
// something was asked of them that others are waited for no longer.
uint32_t tacit_ctb_overdue(const struct tacit_ctb *ctb);
// When the next one is, if it stays silent; a time that has passed if one is.
tacit_time_ns_t tacit_ctb_overdue_due(const struct tacit_ctb *ctb);
// Others have turned to signatures for what that id leads to: LOCKED of all is waited for no
// longer.
void tacit_ctb_signed_for(struct tacit_ctb *ctb, tacit_node_t stream, uint64_t k);
// Replicas whose death is certain (bit r).
void tacit_ctb_gone(struct tacit_ctb *ctb, uint32_t gone);
// What no correct replica writes was found where that one writes (all that is malformed here is
// known): it is not waited for, for a while; and whether it is so now.
void tacit_ctb_malformed(struct tacit_ctb *ctb, tacit_node_t from, tacit_time_ns_t now_ns);
bool tacit_ctb_is_malformed(const struct tacit_ctb *ctb, tacit_node_t from);
// Something else than LOCKED was asked of that replica at `since_ns`, and has not come.
void tacit_ctb_missed(struct tacit_ctb *ctb, tacit_node_t from, tacit_time_ns_t since_ns);
// While nothing is to be done: calls for the memory of the next id of a stream.
void tacit_ctb_prefetch(const struct tacit_ctb *ctb, tacit_node_t stream);
// While nothing is to be done: the body that the next LOCK most likely brings (copied; at most
// TACIT_BYZ_INLINE_BYTES). Its digest is made now and not then. Of another one it is made as ever.
void tacit_ctb_expect(struct tacit_ctb *ctb, const void *body, uint32_t bytes);
// Wants the broadcaster's ids to become deliverable soon (a view change waits for them).
void tacit_ctb_hurry(struct tacit_ctb *ctb);

// Ring messages of kinds below TACIT_MESSAGE_CTB_END; signer completions of TACIT_SIGNER_CTB; what
// the registers call back.
void tacit_ctb_message(struct tacit_ctb *ctb, tacit_node_t from, const uint8_t *bytes,
                       uint32_t size, tacit_time_ns_t now_ns);
void tacit_ctb_signer(struct tacit_ctb *ctb, const struct tacit_signer_done *done,
                      tacit_time_ns_t now_ns);
void tacit_ctb_register_written(struct tacit_ctb *ctb, uint32_t index, uint64_t ticket);
void tacit_ctb_register_read(struct tacit_ctb *ctb, uint64_t ticket, const uint8_t *value);
bool tacit_ctb_poll(struct tacit_ctb *ctb, tacit_time_ns_t now_ns);
tacit_time_ns_t tacit_ctb_deadline(const struct tacit_ctb *ctb);
const char *tacit_ctb_check(const struct tacit_ctb *ctb);

struct tacit_ctb_counters {
    uint64_t broadcasts, delivered_fast, delivered_slow, nudges, relapses, signed_ids, summaries,
        summaries_adopted, gaps, bodies_fetched, condemned, malformed, bad_signatures;
};
const struct tacit_ctb_counters *tacit_ctb_counters(const struct tacit_ctb *ctb);
// The payload that is locked for that id; false: none is, or it left the tail.
bool tacit_ctb_locked(const struct tacit_ctb *ctb, tacit_node_t stream, uint64_t k,
                      struct tacit_payload *payload);
// Ids of a stream: next to deliver, next to lock (own: to broadcast).
void tacit_ctb_progress(const struct tacit_ctb *ctb, tacit_node_t stream, uint64_t *delivered,
                        uint64_t *locked);

#endif
