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
// MEMBERS: session 0, number drawn by the client, no body: who is in which seat, as this replica
//          sees it. Answered at once by whoever has the group's state; not ordered.
// ORDER:   session 0, number = the order's nonce, body = struct tacit_wire_order. From any client:
//          it counts by the operator's signature in it.
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
    TACIT_REQUEST_MEMBERS,
    TACIT_REQUEST_ORDER,
};
// Set in the number of a READ and of no other request (an OPEN's nonce is below bit 62, too, but
// for the bit above that the client sets).
#define TACIT_WIRE_READ_BIT (1ull << 62)
#define TACIT_WIRE_READ_HEADER 8u // of its body: the number before it

// An operator's order about one seat, in requests and items:
//
//   u8 kind | u8 body | u16 seat (a node's number) | u32 0 | u64 epoch | u64 nonce | 64 signature
//
// The signature is the operator's, over the 24 bytes before it (domain TACIT_DOMAIN_ORDER). What is
// executed are orders with a nonce above that of every one executed before (`tacit member` takes
// the time) and, but for ADD, with the epoch of members that they were made for.
// ADD:     the body of that role may sit in a seat (again); where a seat is vacant it shall. A
// spare
//          is named by the role's first seat, a founder (body 0) by its own.
// REMOVE:  the member loses its seat, which stays vacant until an order fills it. Body: its own.
// REPLACE: the body, a spare or the founder of that seat, shall take the seat, whoever has it.
enum tacit_order_kind { TACIT_ORDER_ADD = 1, TACIT_ORDER_REMOVE, TACIT_ORDER_REPLACE };
struct tacit_wire_order {
    uint8_t kind;
    uint8_t body;
    tacit_node_t seat;
    uint64_t epoch;
    uint64_t nonce; // positive
    uint8_t signature[TACIT_WIRE_SIGNATURE_BYTES];
};
#define TACIT_WIRE_ORDER_SIGNED 24u
enum { TACIT_DOMAIN_ORDER = 0x0280 };
#define TACIT_WIRE_ORDER_BYTES (TACIT_WIRE_ORDER_SIGNED + TACIT_WIRE_SIGNATURE_BYTES)
void tacit_wire_order_encode(uint8_t out[TACIT_WIRE_ORDER_BYTES],
                             const struct tacit_wire_order *order);
// OK or MALFORMED. What its numbers mean is judged by core/state/members.h.
enum tacit_verdict tacit_wire_order_decode(struct tacit_wire_order *order, const uint8_t *bytes,
                                           size_t size);

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
    body_bytes = body_bytes > TACIT_WIRE_ORDER_BYTES ? body_bytes : TACIT_WIRE_ORDER_BYTES;
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
//          request (yet). Session and number 0: of no request; who sends it leads from now on.
// CLOSED:  that session is closed: this copy of the request was not executed. Whether an earlier
//          copy was, before the session closed, is not known. For OPEN: the nonce opens nothing
//          (any more), session is the smallest one that does.
// TOO_BIG: the request exceeds the configured limits; it was dropped.
// STALE:   executed before, but its reply is no longer kept.
// RESULT_DIGEST, Byzantine mode only: like RESULT, but the body is the 32-byte digest of the body
//          of RESULT. The designated replier of a request (number mod replicas) sends RESULT, the
//          others this, unless the body is no longer than its digest or the request says FULL.
// SIGN:    Byzantine mode only: please send this request with your signature.
// NO_READ: the application answers no READ; send it as a REQUEST.
// MEMBERS: session 0, the request's number, body struct tacit_wire_members.
// ORDERED: session 0, number = nonce; body u64: what became of an ORDER (enum tacit_order_outcome).
enum tacit_reply_kind {
    TACIT_REPLY_RESULT = 1,
    TACIT_REPLY_HINT,
    TACIT_REPLY_CLOSED,
    TACIT_REPLY_TOO_BIG,
    TACIT_REPLY_STALE,
    TACIT_REPLY_RESULT_DIGEST,
    TACIT_REPLY_SIGN,
    TACIT_REPLY_NO_READ,
    TACIT_REPLY_MEMBERS,
    TACIT_REPLY_ORDERED,
};

enum tacit_order_outcome {
    TACIT_ORDER_DONE = 1,
    TACIT_ORDER_STALE,      // made for another epoch, or a newer order was executed before
    TACIT_ORDER_UNKNOWN,    // no such seat or body
    TACIT_ORDER_NOT_MEMBER, // REMOVE: that body does not sit there (any more)
    TACIT_ORDER_SEATED,     // that body sits in a seat already
    TACIT_ORDER_BARRED,     // REPLACE: that body was replaced or removed; ADD it first
    TACIT_ORDER_QUORUM,     // too few members would be left
    TACIT_ORDER_CHANGING,   // Byzantine mode: a change of members is under way; try again
    TACIT_ORDER_WORN_OUT,   // the seat's generations are used up
    TACIT_ORDER_OUTCOMES,
};

// The bit of a body in `barred`: founders by their seat, then spare replicas, spare memory nodes.
static inline uint64_t tacit_body_bit(tacit_node_t seat, uint32_t body)
{
    return 1ull << (body == 0 ? seat : 32u + (seat & TACIT_NODE_MEMNODE) + body);
}

// What one replica says about the members. Arrays are by node: replica seats 0 .., memory nodes
// TACIT_NODE_MEMNODE ...
#define TACIT_WIRE_SEATS 32u
struct tacit_wire_members {
    uint64_t epoch;
    uint64_t barred;  // tacit_body_bit()s of bodies that may not sit anywhere
    uint64_t nonce;   // of the newest order that was executed
    uint32_t dead;    // bit by node: seen dead here for timing.replace_after or longer
    uint32_t outcome; // of that order
    tacit_incarnation_t seat[TACIT_WIRE_SEATS]; // newest incarnation that had the seat
    uint8_t ordered[TACIT_WIRE_SEATS];          // 1 + body that an operator wants there, 0: none
};
#define TACIT_WIRE_MEMBERS_BYTES (32u + 4u * TACIT_WIRE_SEATS + TACIT_WIRE_SEATS)
void tacit_wire_members_encode(uint8_t out[TACIT_WIRE_MEMBERS_BYTES],
                               const struct tacit_wire_members *members);
enum tacit_verdict tacit_wire_members_decode(struct tacit_wire_members *members,
                                             const uint8_t *bytes, size_t size);

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
    (void)byzantine; // a digest is shorter
    return TACIT_WIRE_REPLY_HEADER +
           (body_bytes > TACIT_WIRE_MEMBERS_BYTES ? body_bytes : TACIT_WIRE_MEMBERS_BYTES);
}
// A body of up to so many bytes is sent by all: to make a digest of it takes longer.
#define TACIT_WIRE_WHOLE_BYTES 128u
// Whether replica `self` of `replicas` sends the body itself (else its digest).
static inline bool tacit_wire_reply_is_whole(uint64_t number, uint32_t body_bytes, bool full,
                                             tacit_node_t self, uint8_t replicas)
{
    return full || body_bytes <= TACIT_WIRE_WHOLE_BYTES || number % replicas == self;
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
// is no member any more. ORDER: client, session 0, number = nonce, body of the request. REPLACE,
// Byzantine mode only, alone in its batch: like ADMIT, effective with the next epoch; the body has
// the signatures of those who saw that the old incarnation is gone. READ, crash mode only: the body
// of a read that found no lease, without its header; answered by who proposed it, when everything
// before it is executed. An entry without items is a no-op.
enum tacit_item_kind {
    TACIT_ITEM_OPEN = 1,
    TACIT_ITEM_APPLY,
    TACIT_ITEM_CLOSE,
    TACIT_ITEM_ADMIT,
    TACIT_ITEM_REMOVE,
    TACIT_ITEM_REPLACE,
    TACIT_ITEM_READ,
    TACIT_ITEM_ORDER,
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
