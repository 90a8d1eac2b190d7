// SPDX-License-Identifier: Apache-2.0
//
// What clients and replicas write into each other's rings, and what a log entry carries: one place
// for every layout, with the only functions that write and read them. All fields little-endian,
// fixed width. Readers take private copies; every length is checked against the bytes at hand
// before it is used.
#ifndef TACIT_WIRE_H
#define TACIT_WIRE_H

#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---- client -> replica (payload of a REQUESTS ring slot)
// --------------------------------------------
//
//   u8 kind | u8 flags | u16 0 | u32 body bytes | u64 session | u64 number | body | [64 signature]
//
// OPEN:    session 0, number = a nonce that the client draws, larger than those of its sessions
//          that are over; a retry with the same nonce gets the same session. No body.
// REQUEST: number counts from 1 in the session, without gaps. Body for the application.
// CLOSE:   ends the session. No body.
// READ:    crash mode only. Number: READ_BIT | a count of its own, from 1 in the session. Its body
//          begins with a u64, the number of the session's last REQUEST before it, whose effect it
//          sees; the application's part follows. Changes nothing, so it may be executed again.
//
// Flags, Byzantine mode only (crash mode sends 0 and ignores them): SIGNED: the client's signature
// over {client, session, number, kind, digest of the body} follows the body. FULL: every replica,
// not only the designated replier, shall send the body of the reply.
#define TACIT_REQUEST_SIGNED 1u
#define TACIT_REQUEST_FULL 2u
#define TACIT_WIRE_SIGNATURE_BYTES 64u
enum tacit_request_kind {
    TACIT_REQUEST_OPEN = 1,
    TACIT_REQUEST_APPLY,
    TACIT_REQUEST_CLOSE,
    TACIT_REQUEST_READ,
};
// Set in the number of a READ and of no other request (an OPEN's nonce is below bit 62, too, but
// for the bit above that the client sets).
#define TACIT_WIRE_READ_BIT (1ull << 62)
#define TACIT_WIRE_READ_HEADER 8u // of its body: the number before it

struct tacit_wire_request {
    uint8_t kind;
    uint8_t flags;
    uint64_t session;
    uint64_t number;
    uint64_t after;      // READ: the session's last APPLY before it, 0: none
    const uint8_t *body; // into the caller's buffer; of a READ without `after`
    uint32_t body_bytes;
    const uint8_t *signature; // SIGNED: 64 bytes in the caller's buffer, else not used
};
#define TACIT_WIRE_REQUEST_HEADER 24u

// Writes a request into `out` (capacity `max`); returns its size, or 0 when it does not fit.
size_t tacit_wire_request_encode(uint8_t *out, size_t max,
                                 const struct tacit_wire_request *request);
// Reads a request from `bytes` (private copy). OK or MALFORMED; exact: trailing bytes are
// malformed.
enum tacit_verdict tacit_wire_request_decode(struct tacit_wire_request *request,
                                             const uint8_t *bytes, size_t size);

// Largest request with a body of up to `body_bytes`: what its ring slot has to hold.
static inline uint32_t tacit_wire_request_max(uint32_t body_bytes, bool byzantine)
{
    return TACIT_WIRE_REQUEST_HEADER + body_bytes +
           (byzantine ? TACIT_WIRE_SIGNATURE_BYTES : TACIT_WIRE_READ_HEADER);
}
// Adds flags to the whole unsigned or signed message of `bytes` bytes in `message`; with SIGNED
// among them, and not there yet, appends `signature` (the caller has room for it). Returns the new
// size.
size_t tacit_wire_request_amend(uint8_t *message, size_t bytes, uint8_t flags,
                                const uint8_t *signature);

// ---- replica -> client (payload of a REPLIES ring slot)
// ----------------------------------------------
//
//   u8 kind | u8 leader | u16 0 | u32 body bytes | u64 session | u64 number | u64 index | body
//
// RESULT:  body is the application's reply; index is where the request was decided. For OPEN:
// session is
//          the new session, number the nonce, no body. For CLOSE: no body.
// HINT:    not the leader; `leader` is the believed one or NO_LEADER. Nothing happened to the
// request (yet). CLOSED:  that session is closed: this copy of the request was not executed.
// Whether an earlier copy was,
//          before the session closed, is not known. For OPEN: the nonce opens nothing (any more),
//          session is the smallest one that does.
// TOO_BIG: the request exceeds the configured limits; it was dropped.
// STALE:   executed before, but its reply is no longer kept.
// RESULT_DIGEST, Byzantine mode only: like RESULT, but the body is the 32-byte digest of the body
//          of RESULT. The designated replier of a request (number mod replicas) sends RESULT, the
//          others this, unless the body is no longer than its digest or the request says FULL.
// SIGN:    Byzantine mode only: please send this request with your signature.
// NO_READ: the application answers no READ; send it as a REQUEST.
enum tacit_reply_kind {
    TACIT_REPLY_RESULT = 1,
    TACIT_REPLY_HINT,
    TACIT_REPLY_CLOSED,
    TACIT_REPLY_TOO_BIG,
    TACIT_REPLY_STALE,
    TACIT_REPLY_RESULT_DIGEST,
    TACIT_REPLY_SIGN,
    TACIT_REPLY_NO_READ,
};

struct tacit_wire_reply {
    uint8_t kind;
    uint8_t leader;
    uint64_t session;
    uint64_t number;
    uint64_t index;
    const uint8_t *body;
    uint32_t body_bytes;
};
#define TACIT_WIRE_REPLY_HEADER 32u
#define TACIT_WIRE_DIGEST_BYTES 32u
#define TACIT_WIRE_NO_LEADER 255u // `leader`: nobody is believed to lead

// Largest reply with a body of up to `body_bytes`.
static inline uint32_t tacit_wire_reply_max(uint32_t body_bytes, bool byzantine)
{
    bool digest = byzantine && body_bytes < TACIT_WIRE_DIGEST_BYTES;
    return TACIT_WIRE_REPLY_HEADER + (digest ? TACIT_WIRE_DIGEST_BYTES : body_bytes);
}
// Whether replica `self` of `replicas` sends the body itself (else its digest).
static inline bool tacit_wire_reply_is_whole(uint64_t number, uint32_t body_bytes, bool full,
                                             tacit_node_t self, uint8_t replicas)
{
    return full || body_bytes <= TACIT_WIRE_DIGEST_BYTES || number % replicas == self;
}

size_t tacit_wire_reply_encode(uint8_t *out, size_t max, const struct tacit_wire_reply *reply);
enum tacit_verdict tacit_wire_reply_decode(struct tacit_wire_reply *reply, const uint8_t *bytes,
                                           size_t size);

// ---- items of a batch (payload of a log entry is a sequence of items)
// --------------------------------
//
//   u8 kind | u8 0 | u16 client or node | u32 body bytes | u64 session | u64 number | body | pad to
//   8
//
// OPEN, APPLY, CLOSE as above with the authenticated client id. ADMIT: node's new incarnation is
// `number`; `session` is the incarnation that it replaces. REMOVE: the node's incarnation `number`
// is no member any more. REPLACE, Byzantine mode only, alone
// in its batch: like ADMIT, effective with the next epoch; the body has the signatures of those who
// saw that the old incarnation is gone. READ, crash mode only: the body of a read that found no
// lease, without its header; answered by who proposed it, when everything before it is executed. An
// entry without items is a no-op.
enum tacit_item_kind {
    TACIT_ITEM_OPEN = 1,
    TACIT_ITEM_APPLY,
    TACIT_ITEM_CLOSE,
    TACIT_ITEM_ADMIT,
    TACIT_ITEM_REMOVE,
    TACIT_ITEM_REPLACE,
    TACIT_ITEM_READ,
};

struct tacit_wire_item {
    uint8_t kind;
    uint16_t subject; // client id, or node of ADMIT
    uint64_t session;
    uint64_t number;
    const uint8_t *body;
    uint32_t body_bytes;
};
#define TACIT_WIRE_ITEM_HEADER 24u

// Appends an item at out[*used]; false (and nothing written) when it does not fit into `max`.
bool tacit_wire_item_encode(uint8_t *out, size_t max, size_t *used,
                            const struct tacit_wire_item *item);
// Reads the item at bytes[*offset] and advances; EMPTY at the end of the batch, MALFORMED on
// nonsense.
enum tacit_verdict tacit_wire_item_decode(struct tacit_wire_item *item, const uint8_t *bytes,
                                          size_t size, size_t *offset);
// Bytes that an item with this body takes in a batch.
size_t tacit_wire_item_bytes(size_t body_bytes);

#ifdef __cplusplus
}
#endif

#endif
