// SPDX-License-Identifier: Apache-2.0
//
// Consistent tail broadcast, what its files share: ctb.c (locks, delivery in order),
// ctb_locked.c (LOCKED, fast path), ctb_slow.c (signatures and registers), ctb_summary.c
// (summaries, gaps), ctb_body.c (bodies that are not inline), ctb_message.c (layouts).
#ifndef TACIT_BYZANTINE_CTB_INTERNAL_H
#define TACIT_BYZANTINE_CTB_INTERNAL_H

#include <string.h>

#include "ctb.h"
#include "patience.h"

#define TACIT_CTB_NEVER UINT64_MAX
#define TACIT_CTB_BATCH 16u // ids of one slow attempt; answers to one NUDGE
#define TACIT_CTB_WANTS 8u  // bodies asked for at a time because of one replica
#define TACIT_CTB_TRIES 8u  // then another body of that stream has its turn
#define TACIT_CTB_FETCHED (TACIT_BODIES_FETCHED + 1u) // kept for the engine until it holds them
#define TACIT_CTB_BACKOFF 64u    // longest interval between two tries, in retry_ns
#define TACIT_CTB_FAST_AFTER 64u // unanimous ids in a row that end a slow time
#define TACIT_CTB_FAST_AFTER_MAX 4096u
#define TACIT_CTB_ID_MAX (UINT64_MAX / 4) // no correct stream gets there

enum tacit_ctb_flag {
    TACIT_CTB_LOCKED = 1,
    TACIT_CTB_HELD = 2,       // one reference to the body is ours
    TACIT_CTB_SAID = 4,       // LOCKED was sent
    TACIT_CTB_AGREED = 8,     // may be delivered
    TACIT_CTB_UNANIMOUS = 16, // LOCKED, vouched, came from all others
    TACIT_CTB_LEFT = 32,      // a register proved that the id left the tail
    TACIT_CTB_LOOKED = 64,    // for the body beside the LOCK: a correct broadcaster sends it once
    TACIT_CTB_BY_ALL = 128,   // LOCKED came from all others
    TACIT_CTB_VOUCHED = 256,  // what was SAID is vouched; never changes once it was SAID
    TACIT_CTB_DIFFERS = 512,  // somebody said LOCKED of something else
    TACIT_CTB_SIGNED_FOR = 1024, // others do not wait for all to say LOCKED of it any more
};
// Signature of a slot: to be checked (own: made), at the signer, held.
enum tacit_ctb_signed { TACIT_CTB_NONE = 0, TACIT_CTB_WAIT, TACIT_CTB_PENDING, TACIT_CTB_VALID };

struct tacit_ctb_slot {
    uint64_t k;
    struct tacit_payload payload;
    struct tacit_signature signature;
    tacit_time_ns_t locked_ns;
    tacit_time_ns_t signed_ns;
    uint16_t flags; // 0: free
    uint8_t sign;
};

// What somebody else says that it locked.
struct tacit_ctb_heard {
    bool is;
    bool vouched;
    uint64_t k;
    struct tacit_payload payload;
};

// What a register showed and what may prove something if its signature holds.
struct tacit_ctb_evidence {
    uint64_t epoch;
    uint64_t k;
    struct tacit_payload payload;
    struct tacit_signature signature;
};

struct tacit_ctb_item {
    uint64_t k;
    uint32_t slot;
    bool written, done;
    uint16_t to_read, reading, to_check, checking; // bit sets of receivers
};

struct tacit_ctb_attempt {
    bool active;
    uint8_t count;
    uint64_t serial;
    struct tacit_ctb_item items[TACIT_CTB_BATCH];
    struct tacit_ctb_evidence *evidence; // [item][replica]
};

struct tacit_ctb_state {
    bool is;
    uint64_t k;
    struct tacit_digest digest;
    uint32_t bytes;
    uint8_t *memory;
};

struct tacit_ctb_certified {
    bool is;
    uint64_t k;
    struct tacit_digest digest;
    struct tacit_certificate certificate;
};

// A share of the own stream's summary, by its sender.
struct tacit_ctb_share {
    uint8_t sign; // enum tacit_ctb_signed
    uint64_t k;
    struct tacit_digest digest;
    struct tacit_signature signature;
};

// A certificate whose signatures are being checked, by its sender.
struct tacit_ctb_check {
    bool active;
    uint8_t serial;
    uint16_t to_submit, pending; // bit sets of shares
    struct tacit_ctb_certified certified;
};

struct tacit_ctb_want {
    bool is;
    bool engine; // asked for by tacit_ctb_fetch()
    uint8_t tries;
    uint32_t bytes;
    struct tacit_digest digest;
    tacit_time_ns_t due_ns;
};

struct tacit_ctb_stream {
    struct tacit_ctb_slot *slots;  // [tail]
    struct tacit_ctb_heard *heard; // [tail][replicas]
    uint64_t next;                 // to deliver
    uint64_t lock_end;             // one above the largest locked id; own: next to broadcast
    uint64_t seen_end;             // one above the largest id that the broadcaster named
    uint64_t rumour_end;           // the same by others, within the tail
    bool condemned;
    bool busy;      // in the loop that delivers
    bool waiting;   // deliver() said LATER
    bool resumed;   // resume() during deliver()
    bool stirred;   // look again at the next poll
    bool sign_work; // a slot may be in WAIT
    bool slow_work; // a slot may be ready for an attempt
    bool body_work; // a locked slot may lack its body
    bool pending;   // id `next` exists, as far as anybody says
    bool in_gap;
    bool wanting;               // one of `wants` may be in use
    tacit_time_ns_t pending_ns; // since when
    tacit_time_ns_t nudge_due_ns, nudge_wait_ns, nudged_ns;
    tacit_time_ns_t body_due_ns;
    tacit_time_ns_t share_due_ns, share_wait_ns;
    tacit_time_ns_t gap_due_ns, gap_wait_ns;
    bool late; // the last id was delivered by signatures, and LOCKED of all has not come since
    struct tacit_ctb_attempt attempt;
    struct tacit_ctb_state made; // newest own encoding
    struct tacit_ctb_state kept; // newest that is certified, as `kept_by` says
    struct tacit_ctb_certified kept_by;
    struct tacit_ctb_certified known; // newest certificate
    uint8_t share_sign;               // enum tacit_ctb_signed; of `made`
    struct tacit_signature share;
    struct tacit_ctb_check *checks;                    // [replicas]
    tacit_time_ns_t answer_due_ns[TACIT_REPLICAS_MAX]; // with a summary
    tacit_time_ns_t resay_due_ns[TACIT_REPLICAS_MAX];  // with LOCKED
    struct tacit_ctb_want wants[TACIT_CTB_WANTS];
    // What was fetched for the engine because of this replica, a ring.
    struct tacit_digest fetched[TACIT_CTB_FETCHED];
    uint32_t fetched_first, fetched_count;
};

struct tacit_ctb_peer {
    tacit_time_ns_t nudge_due_ns; // earliest NUDGE to be listened to
    tacit_time_ns_t fetch_refill_ns;
    uint64_t fetch_budget;     // bytes
    tacit_time_ns_t refuse_ns; // it sent a body that was not what it said: none is taken before
};

// Of a replica: waits that it let pass, and then went on with something else, forgiven with time;
// LOCKED that it has to say before it is waited for again; LOCKED in a row without a lapse.
struct tacit_ctb_lapses {
    uint32_t count, words_due, timely;
    bool is_due;              // it let one pass since the last one that was counted
    tacit_time_ns_t until_ns; // not waited for before: tacit_ctb_malformed()
};

struct tacit_ctb {
    struct tacit_ctb_config config;
    uint8_t quorum; // f+1
    uint64_t epoch;
    uint64_t view;       // of lower views nothing is vouched any more
    uint32_t generation; // of completions; one a reset
    uint64_t serial;     // of attempts
    tacit_time_ns_t now_ns;
    struct tacit_links *links;
    struct tacit_registers *registers;
    struct tacit_signer *signer;
    struct tacit_bodies *bodies;
    struct tacit_ctb_calls calls;
    struct tacit_marker marker;
    struct tacit_ctb_counters counters;
    struct tacit_ctb_stream *streams; // [replicas]
    struct tacit_ctb_peer peers[TACIT_REPLICAS_MAX];
    struct tacit_ctb_share shares[TACIT_REPLICAS_MAX]; // of the own stream
    struct tacit_patience fast;                        // for LOCKED of all, on any stream
    tacit_time_ns_t slow_cost_ns;                      // of a delivery by signatures; estimate
    uint32_t gone;                                     // bit r: replica r is certainly dead
    // Since when each replica owes an answer and has said LOCKED of nothing, 0: it does not; the
    // same of a PREPARE, and of no PREPARE; and when it said LOCKED last.
    tacit_time_ns_t owed_ns[TACIT_REPLICAS_MAX], owed_prepare_ns[TACIT_REPLICAS_MAX];
    tacit_time_ns_t heard_ns[TACIT_REPLICAS_MAX];
    struct tacit_ctb_lapses lapses[TACIT_REPLICAS_MAX];
    bool hurry;
    // The own stream's broadcaster.
    bool slow;
    uint32_t fast_after, unanimous_run;
    uint64_t followed[TACIT_REPLICAS_MAX]; // one above the largest id that it said LOCKED of,
    tacit_time_ns_t followed_ns[TACIT_REPLICAS_MAX]; // when it did
    tacit_time_ns_t relock_due_ns, relock_wait_ns;
    struct {
        uint32_t bytes; // 0: none
        struct tacit_digest digest;
        uint8_t body[TACIT_BYZ_INLINE_BYTES];
    } expected;
    bool is_ahead;    // LOCK of the next own id was sent: tacit_ctb_send_ahead()
    uint8_t *scratch; // a body or a state
    uint8_t *out;     // a message
};

// ---- layouts (ctb_message.c) -------------------------------------------------------------------
// u8 kind | u8 stream | u8 carries | u8 unvouched | u8[4] 0 | u64 epoch | u64 k | then by kind:
//   LOCK           payload | u64 ticket | body if inline; then the payload goes without its digest,
//                  which says nothing that the body does not
//   LOCKED         payload                     (unvouched: 0, or 1 for a PREPARE)
//   NUDGE          u64 lacks: bit i: the LOCK of k+i is not here
//   SIGNED         payload | signature
//   SUMMARY_SHARE  digest | signature
//   SUMMARY        digest | certificate
//   FETCH_SUMMARY  (k: at least)
//   FETCH          digest                      (k: bytes of it, a hint)
//   BODY           digest | u64 ticket | body if inline   (k: bytes of it)
enum tacit_ctb_carries { TACIT_CTB_NOTHING = 0, TACIT_CTB_INLINE, TACIT_CTB_TICKET };

struct tacit_ctb_message {
    uint8_t kind;
    tacit_node_t stream;
    uint8_t carries;
    bool unvouched; // LOCKED of a PREPARE only
    uint64_t epoch;
    uint64_t k;
    uint64_t word; // ticket or lacks
    struct tacit_payload payload;
    struct tacit_digest digest;
    struct tacit_signature signature;
    const uint8_t *body; // inline
    uint32_t body_bytes;
    struct tacit_certificate certificate; // SUMMARY only; last, since it is most of it
};
// All but the certificate is zero then.
static inline void tacit_ctb_message_begin(struct tacit_ctb_message *message)
{
    memset(message, 0, offsetof(struct tacit_ctb_message, certificate));
}
uint32_t tacit_ctb_encode(uint8_t *out, const struct tacit_ctb_message *message);
enum tacit_verdict tacit_ctb_decode(struct tacit_ctb_message *message, const uint8_t *bytes,
                                    uint32_t size, uint8_t quorum, uint8_t replicas);
void tacit_ctb_register_encode(uint8_t out[TACIT_REGISTER_VALUE_BYTES],
                               const struct tacit_ctb_evidence *evidence);
enum tacit_verdict tacit_ctb_register_decode(struct tacit_ctb_evidence *evidence,
                                             const uint8_t value[TACIT_REGISTER_VALUE_BYTES]);
void tacit_ctb_send(struct tacit_ctb *ctb, tacit_node_t to,
                    const struct tacit_ctb_message *message);
void tacit_ctb_send_all(struct tacit_ctb *ctb, const struct tacit_ctb_message *message);

// ---- ctb.c -------------------------------------------------------------------------------------
void tacit_ctb_lock(struct tacit_ctb *ctb, const struct tacit_ctb_message *message);
// The slot may be delivered.
void tacit_ctb_agreed(struct tacit_ctb *ctb, tacit_node_t stream, struct tacit_ctb_slot *slot,
                      bool fast);
// Delivers what can be delivered.
void tacit_ctb_advance(struct tacit_ctb *ctb, tacit_node_t stream);
// Somebody says that there are ids up to (below) these.
void tacit_ctb_exists(struct tacit_ctb *ctb, tacit_node_t stream);
// The broadcaster itself named this id.
void tacit_ctb_seen(struct tacit_ctb *ctb, tacit_node_t stream, uint64_t k);
// The body of a locked slot is in the store, held by it. `late`: locked() was called without it.
void tacit_ctb_got_body(struct tacit_ctb *ctb, tacit_node_t stream, struct tacit_ctb_slot *slot,
                        bool late);
void tacit_ctb_send_lock(struct tacit_ctb *ctb, tacit_node_t to, const struct tacit_ctb_slot *slot);

// ---- ctb_locked.c ------------------------------------------------------------------------------
// Says LOCKED to all others, unless it was said: who says that it did not vouch never vouches
// later.
void tacit_ctb_say_locked(struct tacit_ctb *ctb, tacit_node_t stream, struct tacit_ctb_slot *slot,
                          bool vouched);
// Says it again, as it was said.
void tacit_ctb_resay(struct tacit_ctb *ctb, tacit_node_t to, tacit_node_t stream,
                     const struct tacit_ctb_slot *slot);
// The slot may hold a PREPARE of a view that was left.
void tacit_ctb_abstain_if_left(struct tacit_ctb *ctb, tacit_node_t stream,
                               struct tacit_ctb_slot *slot);
// Looks whether all have locked it, and whether all have vouched it; delivers, tells unanimous().
void tacit_ctb_consider(struct tacit_ctb *ctb, tacit_node_t stream, struct tacit_ctb_slot *slot);
// This replica has locked `slot`: the other receivers owe LOCKED of it.
void tacit_ctb_owe(struct tacit_ctb *ctb, tacit_node_t stream, const struct tacit_ctb_slot *slot);
// Whether one whose LOCKED of this slot is missing is overdue, one has said it of something else,
// or others have given up.
bool tacit_ctb_is_owed_in_vain(const struct tacit_ctb *ctb, tacit_node_t stream,
                               const struct tacit_ctb_slot *slot);
// When it will be, if nobody says anything: when one is overdue, mostly because of an earlier id.
tacit_time_ns_t tacit_ctb_in_vain_due(const struct tacit_ctb *ctb, tacit_node_t stream,
                                      const struct tacit_ctb_slot *slot);
void tacit_ctb_on_locked(struct tacit_ctb *ctb, tacit_node_t from,
                         const struct tacit_ctb_message *message);

// ---- ctb_slow.c --------------------------------------------------------------------------------
void tacit_ctb_on_nudge(struct tacit_ctb *ctb, tacit_node_t from,
                        const struct tacit_ctb_message *message);
void tacit_ctb_on_signed(struct tacit_ctb *ctb, const struct tacit_ctb_message *message);
void tacit_ctb_slow_done(struct tacit_ctb *ctb, tacit_node_t stream, uint32_t low,
                         const struct tacit_signer_done *done);
void tacit_ctb_evidence_done(struct tacit_ctb *ctb, tacit_node_t stream, tacit_node_t owner,
                             uint32_t low, const struct tacit_signer_done *done);
void tacit_ctb_sign_now(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot);
bool tacit_ctb_slow_poll(struct tacit_ctb *ctb, tacit_node_t stream);
// How long LOCKED of all is waited for.
tacit_time_ns_t tacit_ctb_slow_after_ns(const struct tacit_ctb *ctb);
// When to send NUDGE, TACIT_CTB_NEVER: not needed.
tacit_time_ns_t tacit_ctb_nudge_due(const struct tacit_ctb *ctb, tacit_node_t stream);
// With sign_work: when to look at signatures again.
tacit_time_ns_t tacit_ctb_sign_due(const struct tacit_ctb *ctb, tacit_node_t stream);
void tacit_ctb_sample(struct tacit_ctb *ctb, tacit_node_t stream, const struct tacit_ctb_slot *slot,
                      bool fast);

// ---- ctb_summary.c -----------------------------------------------------------------------------
// The stream was consumed up to k, a summary point.
void tacit_ctb_summary_point(struct tacit_ctb *ctb, tacit_node_t stream, uint64_t k);
void tacit_ctb_on_share(struct tacit_ctb *ctb, tacit_node_t from,
                        const struct tacit_ctb_message *message);
void tacit_ctb_on_summary(struct tacit_ctb *ctb, tacit_node_t from,
                          const struct tacit_ctb_message *message);
void tacit_ctb_on_fetch_summary(struct tacit_ctb *ctb, tacit_node_t from,
                                const struct tacit_ctb_message *message);
void tacit_ctb_answer_summary(struct tacit_ctb *ctb, tacit_node_t to, tacit_node_t stream,
                              uint64_t at_least);
void tacit_ctb_share_made(struct tacit_ctb *ctb, tacit_node_t stream, uint32_t low,
                          const struct tacit_signer_done *done);
void tacit_ctb_share_checked(struct tacit_ctb *ctb, tacit_node_t from,
                             const struct tacit_signer_done *done);
void tacit_ctb_certificate_checked(struct tacit_ctb *ctb, tacit_node_t stream, tacit_node_t from,
                                   uint32_t low, const struct tacit_signer_done *done);
// Whether a state of this digest is waited for; then its bytes, checked against the digest.
bool tacit_ctb_wants_state(const struct tacit_ctb *ctb, tacit_node_t stream,
                           const struct tacit_digest *digest);
void tacit_ctb_adopt(struct tacit_ctb *ctb, tacit_node_t stream, const uint8_t *state,
                     uint32_t bytes);
bool tacit_ctb_summary_poll(struct tacit_ctb *ctb, tacit_node_t stream);
tacit_time_ns_t tacit_ctb_gap_due(const struct tacit_ctb *ctb, tacit_node_t stream);
tacit_time_ns_t tacit_ctb_share_due(const struct tacit_ctb *ctb, tacit_node_t stream);

// ---- ctb_body.c --------------------------------------------------------------------------------
// Takes the body that a LOCK carries, or what the store has; false: to be fetched.
bool tacit_ctb_take_body(struct tacit_ctb *ctb, tacit_node_t stream, struct tacit_ctb_slot *slot,
                         const struct tacit_ctb_message *message);
// Whether the body of this slot is neither held nor superfluous.
bool tacit_ctb_lacks_body(const struct tacit_ctb *ctb, tacit_node_t stream,
                          const struct tacit_ctb_slot *slot);
void tacit_ctb_on_fetch(struct tacit_ctb *ctb, tacit_node_t from,
                        const struct tacit_ctb_message *message);
void tacit_ctb_on_body(struct tacit_ctb *ctb, tacit_node_t from,
                       const struct tacit_ctb_message *message);
bool tacit_ctb_body_poll(struct tacit_ctb *ctb);
tacit_time_ns_t tacit_ctb_body_due(const struct tacit_ctb *ctb);
void tacit_ctb_body_reset(struct tacit_ctb *ctb);
// Gives back the body of a slot, if it is held.
void tacit_ctb_let_go(struct tacit_ctb *ctb, tacit_node_t stream, struct tacit_ctb_slot *slot);
// A newer state of the stream is certified: nobody needs what led to it any more.
void tacit_ctb_let_go_certified(struct tacit_ctb *ctb, tacit_node_t stream);

// ---- jobs of the signer ------------------------------------------------------------------------
// Cookie: u4 job | u12 generation | u4 stream | u4 peer | u32 low.
enum tacit_ctb_job {
    TACIT_CTB_JOB_ID = 1,      // own id signed, or another's checked; low: k
    TACIT_CTB_JOB_EVIDENCE,    // low: u24 attempt | u8 item
    TACIT_CTB_JOB_SHARE,       // own share made; low: k
    TACIT_CTB_JOB_SHARE_OF,    // share of a peer
    TACIT_CTB_JOB_CERTIFICATE, // low: u24 serial | u8 share
};

static inline uint64_t tacit_ctb_cookie(const struct tacit_ctb *ctb, enum tacit_ctb_job job,
                                        tacit_node_t stream, tacit_node_t peer, uint32_t low)
{
    uint64_t value = (uint64_t)job << 52 | (uint64_t)(ctb->generation & 0xfffu) << 40 |
                     (uint64_t)stream << 36 | (uint64_t)peer << 32 | low;
    return TACIT_SIGNER_COOKIE(TACIT_SIGNER_CTB, value);
}

static inline struct tacit_ctb_slot *tacit_ctb_slot_of(const struct tacit_ctb *ctb,
                                                       tacit_node_t stream, uint64_t k)
{
    // NOLINTNEXTLINE(clang-analyzer-core.DivideZero): at least 16
    return &ctb->streams[stream].slots[k % ctb->config.tail];
}

// The slot of an id that is locked, or NULL.
static inline struct tacit_ctb_slot *tacit_ctb_locked_slot(const struct tacit_ctb *ctb,
                                                           tacit_node_t stream, uint64_t k)
{
    struct tacit_ctb_slot *slot = tacit_ctb_slot_of(ctb, stream, k);
    return (slot->flags & TACIT_CTB_LOCKED) != 0 && slot->k == k ? slot : NULL;
}

static inline bool tacit_ctb_is_summary_point(const struct tacit_ctb *ctb, uint64_t k)
{
    return k < TACIT_CTB_ID_MAX && (k + 1) % (ctb->config.tail / 2) == 0;
}

// Next id can be handed to deliver() as soon as that is asked.
static inline bool tacit_ctb_is_deliverable(const struct tacit_ctb_slot *slot)
{
    return slot != NULL && (slot->flags & TACIT_CTB_AGREED) != 0 &&
           ((slot->flags & TACIT_CTB_HELD) != 0 || slot->payload.kind == TACIT_PAYLOAD_PREPARE);
}

static inline bool tacit_ctb_is_same(const struct tacit_digest *a, const struct tacit_digest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0; // no secret
}

static inline bool tacit_ctb_submit(struct tacit_ctb *ctb, const struct tacit_signer_job *job)
{
    return ctb->signer->ops->submit(ctb->signer, job);
}

static inline tacit_time_ns_t tacit_ctb_longer(const struct tacit_ctb *ctb, tacit_time_ns_t wait_ns)
{
    tacit_time_ns_t most = TACIT_CTB_BACKOFF * ctb->config.retry_ns;
    return 2 * wait_ns < most ? 2 * wait_ns : most;
}

#endif
