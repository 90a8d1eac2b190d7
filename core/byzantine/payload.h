// SPDX-License-Identifier: Apache-2.0
//
// What the Byzantine engine's parts have in common: payloads of consistent broadcast, kinds of ring
// messages, and what is signed. One place for each layout; all fields little-endian, fixed width.
//
// Everything signed is domain-separated (crypto/) under the group's scope {group id, digest of the
// cluster configuration} and names the epoch; the author is the key.
#ifndef TACIT_BYZANTINE_PAYLOAD_H
#define TACIT_BYZANTINE_PAYLOAD_H

#include "../base/bug.h"
#include "tacit/crypto.h"
#include "tacit/signer.h"
#include "tacit/types.h"

#define TACIT_BYZ_VIEWS_KEPT 16u     // vouches kept for a slot
#define TACIT_BYZ_INLINE_BYTES 1024u // larger bodies travel beside the ring, named by digest
#define TACIT_BYZ_TAIL_RESERVED 6u   // last ids of a tail: SEAL_VIEW and NEW_VIEW only

// A consistent broadcast is a fixed head and a body that its digest names.
enum tacit_payload_kind {
    TACIT_PAYLOAD_PREPARE = 1, // view, slot, digest of the batch = body
    TACIT_PAYLOAD_COMMIT,      // view, slot; body: batch digest, certificate of CERTIFY shares
    TACIT_PAYLOAD_CHECKPOINT,  // view 0, slot = base; body: state digest, certificate
    TACIT_PAYLOAD_SEAL_VIEW,   // view sealed, slot 0; body: claims
    TACIT_PAYLOAD_NEW_VIEW,    // view entered, slot = base; body: state certificates
    TACIT_PAYLOAD_KINDS,
};

struct tacit_payload {
    uint8_t kind;
    uint32_t body_bytes;
    uint64_t view;
    uint64_t slot;
    struct tacit_digest digest; // of the body (tacit_body_digest), also when that is empty
};
//   u8 kind | u8[3] 0 | u32 body bytes | u64 view | u64 slot | 32 digest
#define TACIT_PAYLOAD_BYTES 56u
#define TACIT_PAYLOAD_HEAD_BYTES 24u // without the digest

void tacit_payload_encode(uint8_t out[TACIT_PAYLOAD_BYTES], const struct tacit_payload *payload);
// MALFORMED: an unknown kind, a padding byte that is not 0.
// The head alone; the digest is left as it is.
enum tacit_verdict tacit_payload_decode_head(struct tacit_payload *payload,
                                             const uint8_t bytes[TACIT_PAYLOAD_HEAD_BYTES]);
enum tacit_verdict tacit_payload_decode(struct tacit_payload *payload,
                                        const uint8_t bytes[TACIT_PAYLOAD_BYTES]);
bool tacit_payload_is_equal(const struct tacit_payload *a, const struct tacit_payload *b);
void tacit_body_digest(struct tacit_digest *out, const void *body, size_t bytes);

// First byte of a ring message. Ranges: the module that gets it.
enum tacit_message_kind {
    // ctb.h
    TACIT_MESSAGE_LOCK = 1,      // broadcaster: id, payload, body (inline or a ticket)
    TACIT_MESSAGE_LOCKED,        // receiver to all others: stream, id, payload, vouched or not
    TACIT_MESSAGE_NUDGE,         // receiver to all others: from this id on sign, say LOCKED again
    TACIT_MESSAGE_SIGNED,        // broadcaster: id, payload, signature
    TACIT_MESSAGE_SUMMARY_SHARE, // receiver to broadcaster: id, state digest, signature
    TACIT_MESSAGE_SUMMARY,       // anybody: stream, id, state digest, certificate
    TACIT_MESSAGE_FETCH_SUMMARY, // receiver to all: stream, id that it needs at least
    TACIT_MESSAGE_FETCH,         // body of this digest, please
    TACIT_MESSAGE_BODY,          // here it is: digest, bytes, ticket (or inline)
    TACIT_MESSAGE_CTB_END,
    // agreement (agree.h): votes travel in cells; here what is rare
    TACIT_MESSAGE_STATUS = 32,      // view, window base, highest decided: what I miss
    TACIT_MESSAGE_CHECKPOINT_SHARE, // base, state digest, signature
    TACIT_MESSAGE_STATE_SHARE,      // co-signature of a sealed stream state, to the next leader
    TACIT_MESSAGE_CHECKPOINT_CERTIFICATE,
    TACIT_MESSAGE_AGREE_END,
    // requests (requests.h)
    TACIT_MESSAGE_LACK = 64, // follower to leader: slot, client whose request is not here
    TACIT_MESSAGE_REQUEST,   // a signed request, forwarded
    TACIT_MESSAGE_ECHO,      // follower to leader: this request came to me from its client
    TACIT_MESSAGE_REQUESTS_END,
    // epochs (epochs.h)
    TACIT_MESSAGE_SUSPECT = 96, // this incarnation shall follow that one, which is gone
    TACIT_MESSAGE_ORDER,        // orders.h: an operator's order
};

// What is signed.
enum tacit_byzantine_domain {
    TACIT_DOMAIN_BODY = 0x0200, // digest of a body
    TACIT_DOMAIN_STREAM_ID,     // SIGNED
    TACIT_DOMAIN_SUMMARY,
    TACIT_DOMAIN_CERTIFY,
    TACIT_DOMAIN_CHECKPOINT,
    TACIT_DOMAIN_STATE_SHARE,
    TACIT_DOMAIN_REQUEST,
    TACIT_DOMAIN_SUSPECT,
    TACIT_DOMAIN_STATE, // digest of an encoded stream state
    TACIT_DOMAIN_LEAF,  // digest of a page
    TACIT_DOMAIN_TREE,  // inner node of the state's Merkle tree
};

// Payloads of signatures; each returns its size, at most TACIT_SIGN_PAYLOAD_MAX.
//   STREAM_ID: epoch, broadcaster, k, payload        SUMMARY: epoch, broadcaster, k, state digest
//   CERTIFY: epoch, view, slot, batch digest         CHECKPOINT: epoch, base, state digest
//   STATE_SHARE: epoch, replica, view, state digest, co-signer's base
//   SUSPECT: epoch, node, incarnation that is gone, the one that came after it
//   REQUEST: client, session, number, request kind, digest of the body (no epoch: it outlives one)
uint32_t tacit_statement_stream_id(uint8_t *out, uint64_t epoch, tacit_node_t broadcaster,
                                   uint64_t k, const struct tacit_payload *payload);
uint32_t tacit_statement_summary(uint8_t *out, uint64_t epoch, tacit_node_t broadcaster, uint64_t k,
                                 const struct tacit_digest *state);
uint32_t tacit_statement_certify(uint8_t *out, uint64_t epoch, uint64_t view, uint64_t slot,
                                 const struct tacit_digest *batch);
uint32_t tacit_statement_checkpoint(uint8_t *out, uint64_t epoch, uint64_t base,
                                    const struct tacit_digest *state);
uint32_t tacit_statement_state_share(uint8_t *out, uint64_t epoch, tacit_node_t replica,
                                     uint64_t view, const struct tacit_digest *state,
                                     uint64_t base);
uint32_t tacit_statement_suspect(uint8_t *out, uint64_t epoch, tacit_node_t node, uint64_t old,
                                 uint64_t now);
uint32_t tacit_statement_request(uint8_t *out, uint32_t client, uint64_t session, uint64_t number,
                                 uint8_t kind, const struct tacit_digest *body);

// Authors are keys: that of a replica seat's founder, or of a spare that may sit in any seat
// (tacit/signer.h). Who signs for a seat follows from the members of the epoch.
#define TACIT_BYZ_AUTHORS (TACIT_SIGNER_SPARE + TACIT_SPARES_MAX + 1u)
// `authors` [replicas]: of the epoch's members; NULL: founders sit everywhere.
static inline uint16_t tacit_author_of(const uint16_t *authors, tacit_node_t replica)
{
    return authors == NULL || TACIT_BUG(AUTHOR_IS_SEAT) ? (uint16_t)replica : authors[replica];
}

// f+1 shares of distinct signers over one statement. Encoded: u8 count | count x {u8 signer, 64
// signature}, padded with 0 to 8. What serves within an epoch names seats; certificates of
// checkpoints, which are shown to who does not know the members, name authors.
struct tacit_share {
    uint8_t signer;
    struct tacit_signature signature;
};
struct tacit_certificate {
    uint8_t count;
    struct tacit_share shares[TACIT_REPLICAS_MAX];
};
size_t tacit_certificate_bytes(uint8_t count);
size_t tacit_certificate_encode(uint8_t *out, size_t max,
                                const struct tacit_certificate *certificate);
// Structure only: exactly `quorum` shares, signers below `signers`, strictly increasing (so
// distinct). `used` gets the bytes consumed. Signatures are the caller's to check.
enum tacit_verdict tacit_certificate_decode(struct tacit_certificate *certificate,
                                            const uint8_t *bytes, size_t size, uint8_t quorum,
                                            uint8_t signers, size_t *used);

#endif
