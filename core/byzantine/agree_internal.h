// SPDX-License-Identifier: Apache-2.0
//
// What the files of agreement share. See agree.h.
#ifndef TACIT_BYZANTINE_AGREE_INTERNAL_H
#define TACIT_BYZANTINE_AGREE_INTERNAL_H

#include <string.h>

#include "../base/bug.h"
#include "../base/mark.h"
#include "agree.h"
#include "patience.h"

// So many slots are decided by signatures, in a row, before who left the view alone is followed;
// twice as many after each time, half as many after so many by ACKs.
#define TACIT_SLOW_RUN 64u
#define TACIT_SLOW_RUN_DOUBLINGS 16u
#define TACIT_FAST_AGAIN 1024u
#define TACIT_SLOT_BODIES (TACIT_BYZ_VIEWS_KEPT + 4u)

// A CERTIFY share of one replica in one slot, newest view only.
struct tacit_certify {
    bool known;
    bool valid;      // its signature was checked (or is the own)
    bool checking;   // it is at the signer
    bool made;       // the own one: signed. `known`: it is said, or will be when it is
    uint32_t serial; // of the job at the signer
    uint64_t view;
    struct tacit_digest digest;
    struct tacit_signature signature;
};

struct tacit_ack {
    bool known;
    uint64_t view;
    struct tacit_digest digest;
};

// What was vouched, and in which views: a value that is proposed again in view after view takes no
// more room than once.
struct tacit_vouch {
    struct tacit_digest digest;
    uint64_t first; // view
    uint64_t views; // bit i: in view first + i
};

struct tacit_slot {
    uint64_t slot; // TACIT_SLOT_NONE: unused
    // The newest PREPARE that was locked; once delivered, the delivered one of its view.
    bool has_prepare, delivered;
    uint64_t view;
    uint64_t k;
    struct tacit_payload prepare;
    tacit_time_ns_t since_ns; // when the PREPARE came, or the own ACK was sent: others are due
    bool endorsed;            // of `prepare`
    bool slow;                // CERTIFY wanted: late, or a peer CERTIFIED

    uint32_t vouches;       // in use of `vouched`
    struct tacit_ack acked; // own newest
    bool commit_sent;
    uint64_t commit_view;

    bool decided, decided_fast;
    struct tacit_digest value;
    tacit_time_ns_t look_ns; // next look at what is late here

    uint32_t held; // in use of `bodies`

    // From here on nothing is cleared when the slot begins: it happens between a PREPARE and the
    // answer to it.
    struct tacit_vouch vouched[TACIT_BYZ_VIEWS_KEPT]; // write-once per view, until below the base
    struct tacit_digest bodies[TACIT_SLOT_BODIES];    // that this slot holds a reference to ...
    uint8_t accounts[TACIT_SLOT_BODIES];              // ... on whose account
    struct tacit_ack *acks;                           // [replicas]
    struct tacit_certify *certifies;                  // [replicas]
};

// Digests of the states in a NEW_VIEW, which are made once for an id: parsing is repeated each time
// that a signature comes back.
struct tacit_newview_digests {
    bool known;
    uint64_t k;
    struct tacit_digest digests[TACIT_REPLICAS_MAX / 2 + 1];
};

// A certificate whose signatures are being checked: one at a time for each stream.
struct tacit_check {
    bool active;
    uint64_t k;
    uint32_t serial; // of the check, in cookies
    uint32_t next, pending, total;
    bool bad;
};

// Sealed state of a stream, as co-signed, and the shares that came for it.
struct tacit_cosign {
    bool known;    // SEAL_VIEW was consumed here (or adopted with a summary)
    uint64_t view; // that it sealed
    struct tacit_digest digest;
    bool encoded; // its bytes are in the body store
    uint64_t encoded_bytes;
    bool asked;       // own share: at the signer
    uint64_t awaited; // for the seal of this view
    bool is_signed;
    uint64_t base; // of the own share
    struct tacit_signature signature;
};
struct tacit_state_share {
    bool known, valid, checking;
    uint64_t view, base;
    struct tacit_digest digest;
    struct tacit_signature signature;
};

// Shares for a checkpoint; one per replica, newest base.
struct tacit_base_share {
    bool known, valid, checking;
    uint64_t base;
    struct tacit_digest root;
    struct tacit_signature signature;
};

// A certificate that a peer sent outside of its stream.
struct tacit_base_offer {
    bool pending;
    uint64_t epoch; // in which it was signed
    uint64_t base;
    struct tacit_digest root;
    struct tacit_certificate certificate;
};

struct tacit_agree {
    struct tacit_agree_config config;
    uint8_t f;
    uint64_t epoch;
    tacit_node_t first_leader; // of the epoch's view 0
    struct tacit_ctb *ctb;
    struct tacit_links *links;
    struct tacit_signer *signer;
    struct tacit_bodies *bodies;
    struct tacit_agree_calls calls;
    struct tacit_marker marker;
    tacit_time_ns_t now_ns;
    struct tacit_digest none; // of the empty body: a no-op

    uint64_t view;
    bool entered;
    uint64_t
        lacks[TACIT_REPLICAS_MAX]; // slot that the replica says it lacks, TACIT_SLOT_NONE: none
    uint32_t gone;                 // bit r: replica r is certainly dead
    uint32_t silent;               // bit r: its ACK was missed, and none was seen since
    uint64_t missed[TACIT_REPLICAS_MAX]; // of these: the first slot of which it was missed
    struct tacit_patience patience;      // for what all have to say
    uint32_t slow_run, fast_run;         // decisions by signatures, and by ACKs, in a row
    uint32_t fetched_back;               // views left to follow one who is needed for the fast path
    uint32_t deciders; // whose COMMITs made the newest decision by signatures here
    uint32_t helped;   // views left because of another one's SEAL_VIEW, less what was decided since
    bool seal_due;     // SEAL_VIEW(view - 1) waits for room
    tacit_time_ns_t gathered_ns; // since when f+1 replicas are in this view, UINT64_MAX: are not
    uint64_t joined[TACIT_REPLICAS_MAX]; // view of the replica's newest SEAL_VIEW that was followed
    tacit_time_ns_t waiting_ns;          // since when something waits here, 0: nothing does

    struct tacit_slot *slots; // [2 * window]
    uint64_t applied;         // slots below are executed
    uint64_t released;        // bodies of slots below were let go
    uint64_t undecided;       // all slots below are decided or below the base
    uint64_t seen;            // one above the highest slot with a PREPARE or vote
    uint64_t grown;           // `seen` at ...
    tacit_time_ns_t grown_ns; // ... the time when it grew last
    uint64_t next;            // leader: next slot to propose
    // Leader: slots in [least, end) were executed here before this view. They are proposed again
    // from `again` on, the first that somebody lacks.
    uint64_t again, again_least, again_end;
    tacit_time_ns_t progress_ns; // something was decided
    bool body_missing;

    struct tacit_stream *streams; // [replicas]
    struct tacit_stream scratch[TACIT_REPLICAS_MAX];
    struct tacit_check *checks;                    // [replicas]
    struct tacit_newview_digests *newview_digests; // [replicas]
    uint32_t check_serial;
    uint32_t certify_serial;

    // Checkpoints. `base` is the newest certified one that is known here.
    uint64_t base;
    struct tacit_digest root;
    struct tacit_certificate base_certificate; // count 0: of the epoch's start
    uint64_t start_base;                       // of the epoch
    uint64_t own_base;                         // newest own checkpoint
    struct tacit_digest own_root;
    bool own_signed, own_asked;
    struct tacit_signature own_signature;
    bool announce_due;                    // CHECKPOINT(base) waits for room in the own stream
    struct tacit_base_share *base_shares; // [replicas]
    struct tacit_base_offer *offers;      // [replicas]
    tacit_time_ns_t behind_ns; // since when base > applied, and nothing was executed, 0: is not
    uint64_t behind_applied;
    uint64_t behind_told;
    // Newest certificate of any epoch: handed out to whoever is behind. Of a later epoch than the
    // present one: the state is fetched, then that epoch begins here.
    struct tacit_base_offer newest;
    uint64_t newest_told; // base that the owner was told to fetch because of it
    tacit_time_ns_t shown_ns[TACIT_REPLICAS_MAX]; // when it was handed out last, and a bit
    uint32_t owed;  // for each that is shown it again, once that was long enough ago
    bool rumour;    // others speak of a later epoch
    bool observer;  // not a member yet
    uint64_t limit; // slots from here on are another epoch's
    bool fetching;  // the owner was told to fetch a state: nothing is executed until it is there

    // View change.
    struct tacit_cosign *cosigns;           // [replicas]
    struct tacit_state_share *state_shares; // [replicas][replicas]: stream, co-signer
    bool newview_sent;
    uint64_t repeat_sum; // of what shows progress
    uint32_t repeats;
    tacit_time_ns_t repeat_ns;        // of shares and STATUS
    struct tacit_slot_value *entries; // [window] scratch
    uint8_t *body;                    // [body_bytes] scratch

    struct tacit_agree_counters counters;
};

static inline tacit_node_t tacit_leader_of(const struct tacit_agree *a, uint64_t view)
{
    // NOLINTNEXTLINE(clang-analyzer-core.DivideZero): at least 3
    return (tacit_node_t)((view % a->config.replicas + a->first_leader) % a->config.replicas);
}
static inline bool tacit_leads(const struct tacit_agree *a)
{
    return tacit_leader_of(a, a->view) == a->config.self;
}
static inline bool tacit_is_peer(const struct tacit_agree *a, tacit_node_t r)
{
    return r < a->config.replicas && r != a->config.self;
}

// How long a slot waits for the others, after its PREPARE and after the own ACK, before it is
// CERTIFIED. Where one is not to be expected, not at all: should it come all the same before the
// signatures are made and checked, it decides.
static inline tacit_time_ns_t tacit_slow_after_ns(const struct tacit_agree *a)
{
    bool waits = a->gone == 0 &&
                 (tacit_ctb_overdue(a->ctb) == 0 || TACIT_BUG(OVERDUE_WAITED_FOR)) &&
                 (a->silent == 0 || TACIT_BUG(SILENT_WAITED_FOR));
    return waits ? tacit_patience_ns(&a->patience, a->config.slow_after_ns) : 0;
}

// Slots from here on are not voted for. A replica votes no more than V slots above what it has
// executed: so it knows each change of members that ends the epoch below that slot.
static inline uint64_t tacit_votes_end(const struct tacit_agree *a)
{
    uint64_t end = a->applied + tacit_agree_votes_ahead(a->config.window, a->config.inflight);
    return end < a->limit || TACIT_BUG(EPOCH_NOT_CUT) ? end : a->limit;
}
// What the signer does for one epoch is not taken for another.
static inline uint64_t tacit_agree_epoch_value(const struct tacit_agree *a, uint64_t value)
{
    return (a->epoch & 0xffff) << 32 | value;
}

// agree.c
// The record of a slot; NULL if it is below what is kept or beyond the window.
struct tacit_slot *tacit_slot_at(struct tacit_agree *a, uint64_t number);
// Keeps the body of a PREPARE as long as its slot, on the account of the leader who sent it. False:
// it is not here, or that account is used up.
bool tacit_slot_hold(struct tacit_agree *a, struct tacit_slot *slot,
                     const struct tacit_payload *prepare);
const uint8_t *tacit_agree_body(struct tacit_agree *a, const struct tacit_digest *digest,
                                uint32_t *bytes);
bool tacit_agree_advance(struct tacit_agree *a);
// Tells all what this replica lacks; `slot` was CERTIFIED here.
void tacit_agree_send_status(struct tacit_agree *a, uint64_t slot);

// Whether this PREPARE can be of a batch at all: no larger than one, and without a body only if its
// digest is that of nothing (a no-op).
bool tacit_prepare_is_sane(const struct tacit_agree *a, const struct tacit_payload *payload);

// agree_propose.c
// Somebody lacks this slot.
void tacit_agree_lacks(struct tacit_agree *a, uint64_t number);
// After NEW_VIEW: proposes what it forces, in order.
bool tacit_agree_propose_again(struct tacit_agree *a);

// agree_votes.c
void tacit_votes_locked(struct tacit_agree *a, tacit_node_t stream, uint64_t k,
                        const struct tacit_payload *payload);
enum tacit_take tacit_votes_prepare(struct tacit_agree *a, tacit_node_t stream, uint64_t k,
                                    const struct tacit_payload *payload);
enum tacit_take tacit_votes_commit(struct tacit_agree *a, tacit_node_t stream, uint64_t k,
                                   const struct tacit_payload *payload, const uint8_t *body);
void tacit_votes_try(struct tacit_agree *a, struct tacit_slot *slot);
void tacit_votes_try_all(struct tacit_agree *a);
bool tacit_votes_look(struct tacit_agree *a, struct tacit_slot *slot);
// Looks whether those whose ACKs were missed have sent them meanwhile.
void tacit_votes_look_for_late(struct tacit_agree *a);
void tacit_votes_count_commits(struct tacit_agree *a, struct tacit_slot *slot);
// A stream's state was adopted, or the window has moved: COMMITs of it that came without their
// certificates, or were above the window. Its slots are looked at: the shares are in the others'
// cells, and with them this replica COMMITs itself, whether or not it ever sees the PREPARE.
void tacit_votes_note_commits(struct tacit_agree *a, tacit_node_t stream);
void tacit_votes_status(struct tacit_agree *a, tacit_node_t from, uint64_t number);
void tacit_votes_signed(struct tacit_agree *a, uint64_t value,
                        const struct tacit_signature *signature);
void tacit_votes_checked(struct tacit_agree *a, uint64_t value, bool valid);
// The view was entered or the base moved: PREPAREs that were locked before are looked at again.
void tacit_votes_rescan(struct tacit_agree *a);
// Takes back the newest vouch.
void tacit_slot_unvouch(struct tacit_slot *slot, uint64_t view);
// The digest vouched in that view, or NULL.
const struct tacit_digest *tacit_slot_vouched(const struct tacit_slot *slot, uint64_t view);
bool tacit_slot_has_vouched(const struct tacit_slot *slot, uint64_t view,
                            const struct tacit_digest *digest);
// False: no room.
bool tacit_slot_vouch(struct tacit_slot *slot, uint64_t view, const struct tacit_digest *digest);

// agree_base.c
enum tacit_take tacit_base_announced(struct tacit_agree *a, tacit_node_t stream, uint64_t k,
                                     const struct tacit_payload *payload, const uint8_t *body);
// A certificate that was checked.
void tacit_base_certified(struct tacit_agree *a, uint64_t base, const struct tacit_digest *root,
                          const struct tacit_certificate *certificate);
void tacit_base_offered(struct tacit_agree *a, tacit_node_t from);
void tacit_base_message(struct tacit_agree *a, tacit_node_t from, const uint8_t *message,
                        uint32_t bytes);
void tacit_base_signed(struct tacit_agree *a, const struct tacit_signature *signature,
                       uint64_t value);
void tacit_base_checked(struct tacit_agree *a, uint64_t value, bool valid);
bool tacit_base_announce(struct tacit_agree *a);
bool tacit_base_poll(struct tacit_agree *a);
// Has a state of a later epoch fetched.
void tacit_base_jump(struct tacit_agree *a);
void tacit_base_repeat(struct tacit_agree *a);
// Encodes root and certificate of a checkpoint; returns the bytes.
size_t tacit_base_encode(const struct tacit_digest *root,
                         const struct tacit_certificate *certificate, uint8_t *out);
#define TACIT_BASE_BYTES_MAX (TACIT_DIGEST_BYTES + 1u + 65u * TACIT_REPLICAS_MAX + 8u)
bool tacit_base_decode(const struct tacit_agree *a, const uint8_t *bytes, size_t size,
                       struct tacit_digest *root, struct tacit_certificate *certificate,
                       size_t *used);

// agree_view.c
enum tacit_take tacit_view_seal_seen(struct tacit_agree *a, tacit_node_t stream,
                                     const struct tacit_payload *payload, const uint8_t *body);
enum tacit_take tacit_view_newview_seen(struct tacit_agree *a, tacit_node_t stream, uint64_t k,
                                        const struct tacit_payload *payload, const uint8_t *body);
// Seals all views up to `view`.
void tacit_view_seal(struct tacit_agree *a, uint64_t view);
void tacit_view_adopted(struct tacit_agree *a, tacit_node_t stream);
void tacit_view_cosign_all(struct tacit_agree *a);
void tacit_view_message(struct tacit_agree *a, tacit_node_t from, const uint8_t *message,
                        uint32_t bytes);
void tacit_view_signed(struct tacit_agree *a, uint64_t value,
                       const struct tacit_signature *signature);
void tacit_view_checked(struct tacit_agree *a, uint64_t value, bool valid);
bool tacit_view_poll(struct tacit_agree *a);
void tacit_view_repeat(struct tacit_agree *a);

// agree_join.c
// Leaves the view if the others have, or its leader: once a turn.
void tacit_view_follow(struct tacit_agree *a);

// agree_check.c
// Fills in job i of a certificate's check (verify, author, domain, payload, signature); charge and
// cookie are added. False: share i needs no check (it was checked before).
typedef bool (*tacit_check_job)(struct tacit_agree *a, void *context, uint32_t i,
                                struct tacit_signer_job *job);
// Checks `total` signatures of (stream, k), a turn at a time: DONE when all hold, ILLEGAL when one
// does not, LATER while some are out (the ctb is resumed when they are back).
enum tacit_take tacit_check_run(struct tacit_agree *a, tacit_node_t stream, uint64_t k,
                                uint32_t total, tacit_check_job job, void *context);
void tacit_check_done(struct tacit_agree *a, uint64_t value, bool valid);

// Cookies at the signer: kind in the top byte of the 56 bits.
enum tacit_agree_job {
    TACIT_JOB_CHECK = 1,      // stream 8 | serial 32
    TACIT_JOB_CERTIFY_SIGN,   // replica 8 | index of the slot's record 16 | serial 24
    TACIT_JOB_CERTIFY_VERIFY, // the same
    TACIT_JOB_BASE_SIGN,      // base 48
    TACIT_JOB_BASE_VERIFY,    // peer 8
    TACIT_JOB_STATE_SIGN,     // stream 8
    TACIT_JOB_STATE_VERIFY,   // stream 8 | peer 8
};
static inline uint64_t tacit_agree_cookie(enum tacit_agree_job kind, uint64_t value)
{
    return TACIT_SIGNER_COOKIE(TACIT_SIGNER_AGREEMENT, (uint64_t)kind << 48 | value);
}

static inline uint32_t tacit_message_epoch(const uint8_t *message)
{
    uint32_t epoch;
    memcpy(&epoch, message + 4, 4);
    return epoch;
}
// Messages of agreement name the epoch in bytes 4 to 7.
static inline void tacit_message_of_epoch(uint8_t *message, uint64_t epoch)
{
    uint32_t low = (uint32_t)epoch;
    memcpy(message + 4, &low, 4);
}
static inline uint64_t tacit_get64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, 8);
    return value;
}
static inline void tacit_put64(uint8_t *out, uint64_t value)
{
    memcpy(out, &value, 8);
}

#endif
