// SPDX-License-Identifier: Apache-2.0
//
// Stream states: what follows from one replica's broadcasts alone, S[r], which every correct
// replica computes alike. It says what that replica may say next, carries its COMMITs and claims
// into view changes, and is what summaries and state certificates sign.
//
// Pure data and pure functions: no signature is checked here and nothing is sent.
#ifndef TACIT_BYZANTINE_STREAMS_H
#define TACIT_BYZANTINE_STREAMS_H

#include "../base/words.h"
#include "payload.h"

#define TACIT_SLOT_NONE UINT64_MAX

// A value in a slot, with the view that it belongs to.
struct tacit_slot_value {
    uint64_t slot; // TACIT_SLOT_NONE: nothing
    uint64_t view;
    struct tacit_digest digest;
};

// Invariants: every slot named is in [base, base + window); claims ascend by slot.
struct tacit_stream {
    uint32_t window;
    uint64_t view; // of its sender: one above its newest SEAL_VIEW
    uint64_t base; // of the newest checkpoint that it announced
    struct tacit_digest base_digest;
    struct tacit_digest seal_digest; // of the encoded state right after its newest SEAL_VIEW
    bool has_newview;                // NEW_VIEW(view) came from it, as leader
    uint64_t newview_base;
    uint64_t newview_end;             // one above the highest forced slot, at least newview_base
    uint32_t claim_count;             // of its newest SEAL_VIEW
    struct tacit_slot_value *commits; // [window], at slot mod window: newest COMMIT
    struct tacit_slot_value *claims;  // [window]
    struct tacit_slot_value *force; // [window], at slot mod window: what NEW_VIEW(view) binds it to
    uint64_t *used;                 // [window]: slot + 1 of a PREPARE of the present view, 0: none
};

void tacit_stream_init(struct tacit_stream *stream, struct tacit_bump *bump, uint32_t window);
// The state before the first broadcast of an epoch that starts at `base`.
void tacit_stream_reset(struct tacit_stream *stream, uint64_t base,
                        const struct tacit_digest *base_digest);

static inline bool tacit_stream_in_window(const struct tacit_stream *stream, uint64_t slot)
{
    return slot >= stream->base && slot - stream->base < stream->window;
}
const struct tacit_slot_value *tacit_stream_commit_of(const struct tacit_stream *stream,
                                                      uint64_t slot);
const struct tacit_slot_value *tacit_stream_force_of(const struct tacit_stream *stream,
                                                     uint64_t slot);
// Whether the leader `stream` may propose this digest in this slot and view: NEW_VIEW(view) is
// there (or view 0), slot at or above its base and in the window, and what was forced is obeyed.
// Not whether the slot was used.
bool tacit_stream_is_legal(const struct tacit_stream *stream, uint64_t view, uint64_t slot,
                           const struct tacit_digest *digest);

// Consuming the stream, in order. False: no correct replica says this here. For COMMIT, CHECKPOINT
// and NEW_VIEW the caller has checked the certificates before.
bool tacit_stream_prepare(struct tacit_stream *stream, uint64_t view, uint64_t slot,
                          const struct tacit_digest *digest);
bool tacit_stream_commit(struct tacit_stream *stream, uint64_t view, uint64_t slot,
                         const struct tacit_digest *digest);
bool tacit_stream_checkpoint(struct tacit_stream *stream, uint64_t base,
                             const struct tacit_digest *digest);
bool tacit_stream_seal(struct tacit_stream *stream, uint64_t view,
                       const struct tacit_slot_value *claims, uint32_t count);
// After seal(): encodes the state (into out, tacit_stream_bytes_max) and keeps the digest of it,
// which is what co-signers sign; so who adopts a later summary can still co-sign. Returns the
// bytes.
size_t tacit_stream_sealed(struct tacit_stream *stream, uint8_t *out);
// `force` ascends by slot, all at or above base. Raises the stream's base to `base` if that is
// above.
bool tacit_stream_newview(struct tacit_stream *stream, uint64_t view, uint64_t base,
                          const struct tacit_digest *base_digest,
                          const struct tacit_slot_value *force, uint32_t count);

// Canonical encoding: equal states, equal bytes. decode() checks everything (MALFORMED leaves the
// stream reset); a decoded state encodes to the same bytes.
size_t tacit_stream_bytes_max(uint32_t window);
size_t tacit_stream_encode(const struct tacit_stream *stream, uint8_t *out);
enum tacit_verdict tacit_stream_decode(struct tacit_stream *stream, const uint8_t *bytes,
                                       size_t size);

// Body of SEAL_VIEW: u32 count | u32 0 | entries. count <= window, slots ascend, views <= `view`.
size_t tacit_claims_bytes_max(uint32_t window);
size_t tacit_claims_encode(uint8_t *out, const struct tacit_slot_value *claims, uint32_t count);
enum tacit_verdict tacit_claims_decode(struct tacit_slot_value *claims, uint32_t *count,
                                       uint32_t window, uint64_t view, const uint8_t *bytes,
                                       size_t size);

// select() of a view change: what the f+1 states force in each slot from `base` on, ascending, into
// `force` (room for the largest window above base). False: two COMMITs of one view differ, which
// correct checks have excluded.
bool tacit_select(const struct tacit_stream *const *states, uint32_t count, uint64_t base,
                  uint32_t window, struct tacit_slot_value *force, uint32_t *forced);

#endif
