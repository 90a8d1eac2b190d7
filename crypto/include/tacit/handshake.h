// SPDX-License-Identifier: Apache-2.0
//
// How two nodes that know each other's public keys prove who they are and agree on session keys. No
// I/O and no clock: bytes in, bytes out, so one code serves Unix sockets, rdma_cm and the
// simulator. After SIGMA (Krawczyk, CRYPTO 2003), in the order that suits us: the *acceptor* speaks
// first.
//
//   acceptor  -> connector  HELLO    version, group id, cluster digest, ephemeral key
//   connector -> acceptor   CONNECT  the same four, sealed {own identity, wanted node, signature}
//   acceptor  -> connector  ACCEPT   sealed {own identity, connector's name, signature}
//   either, instead of its next message (the connector also after ACCEPT):
//                           REFUSE   reason, own version, group id, cluster digest
//
// So the connector compares version, group and cluster before it says who it is, the acceptor says
// who it is only to somebody who has proven to be known, a refused connector learns why in place of
// ACCEPT, and an unknown stranger costs the acceptor one Diffie-Hellman and no signature. Every
// message has TACIT_HANDSHAKE_MESSAGE_BYTES, so a stream transport always knows how much to read.
//
// Both sign, each in its own domain and in the scope (group id, cluster digest), the hash of all
// that was sent before and of the clear part of their message, their identity and the other's name.
// Sealing keys come from X25519 and the same hash; session keys from X25519 and the hash of all
// three messages.
// - Replay: each signature covers an ephemeral key that the checker made for this run.
// - Reflection: the two directions differ in signing domain, sealing key, message type and session
// key;
//   a peer that names our own role and id is refused.
// - Identity misbinding: a signature is inside a box under a key that only the two ends of the
// exchange
//   can compute, and names signer, peer and both ephemeral keys.
// - Unknown key share: each side signs the name of the peer it talks to, and session keys depend on
// the
//   messages that hold both names, so two ends that disagree on who is who share no key.
// - Another group, configuration or version: compared in clear, and bound by scope and transcript.
// - A stolen long-term key neither opens recorded sessions (ephemeral keys are wiped) nor lets its
// thief
//   pose as somebody else to its owner. A small-order ephemeral key is refused.
// Not given: hiding group id and cluster digest, protection from whoever can cut the connection,
// and truth of a REFUSE: it is not authenticated and is good for a message to people and for
// closing.
//
// Wire layout, little-endian; the first 72 bytes and the length stay the same in all versions:
//   0 magic "TCTH"   4 type u8   5 reason u8 (REFUSE, else 0)   6 version u16   8 group id [32]
//   40 cluster digest [32]   72 ephemeral X25519 key [32] (HELLO, CONNECT, else 0)
//   104 sealed [92] (CONNECT, ACCEPT, else 0): ChaCha20-Poly1305 of {identity: role u8, 0 u8, id
//   u16, incarnation u32; peer: role u8, 0 u8, id u16; signature [64]}, tag [16]
//
// Costs some 200 us per side: a matter for a control thread. One object is used by one thread at a
// time.
#ifndef TACIT_HANDSHAKE_H
#define TACIT_HANDSHAKE_H

#include "tacit/crypto.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TACIT_HANDSHAKE_VERSION 1
#define TACIT_HANDSHAKE_MESSAGE_BYTES 196

enum tacit_peer_role {
    TACIT_PEER_REPLICA = 1,
    TACIT_PEER_MEMNODE = 2,
    TACIT_PEER_CLIENT = 3,
    TACIT_PEER_OPERATOR = 4,
};

// Whom a key belongs to. Ids are counted per role.
struct tacit_peer_name {
    enum tacit_peer_role role;
    uint16_t id;
};

// One life of a node.
struct tacit_identity {
    struct tacit_peer_name name;
    // Replicas and memory nodes: tacit_incarnation_is_node(); others 1 .. TACIT_INCARNATION_MAX.
    tacit_incarnation_t incarnation;
};

// Finds the key of who `claimed` says to be; false when there is none. Each body of a seat (the
// incarnation names it) has a key of its own. Called inside tacit_handshake_input only, with an
// identity that the peer *claims*. Must not block, nor call back into the handshake.
typedef bool (*tacit_key_lookup_fn)(struct tacit_public_key *out, struct tacit_identity claimed,
                                    void *context);

struct tacit_handshake_options {
    bool connects;                 // true: this side connects and waits for HELLO
    struct tacit_identity self;    // this node
    struct tacit_peer_name wanted; // connector only: whom it wants to reach
    struct tacit_group_id group;
    struct tacit_digest cluster;
    const struct tacit_keypair *keypair; // borrowed until _fini
    tacit_key_lookup_fn lookup;
    void *lookup_context; // borrowed until _fini
};

enum tacit_handshake_state {
    TACIT_HANDSHAKE_SENDING,   // fetch the next message with _output
    TACIT_HANDSHAKE_RECEIVING, // give the next message to _input
    TACIT_HANDSHAKE_DONE,      // fetch the session with _take
    TACIT_HANDSHAKE_REFUSED,   // by us or by the peer; _output may still have the REFUSE to send
};

// Why there is no session. Stable numbers: they travel in REFUSE.
enum tacit_refusal {
    TACIT_REFUSAL_NONE = 0,
    TACIT_REFUSAL_MALFORMED = 1,   // not a message of this protocol, or in the wrong order
    TACIT_REFUSAL_VERSION = 2,     // versions differ
    TACIT_REFUSAL_GROUP = 3,       // group ids differ
    TACIT_REFUSAL_CLUSTER = 4,     // cluster digests differ
    TACIT_REFUSAL_UNKNOWN_KEY = 5, // no public key is known for the named identity
    TACIT_REFUSAL_BAD_AUTH = 6,    // a seal or signature does not hold
    TACIT_REFUSAL_WRONG_NODE = 7,  // the acceptor is not the node that the connector wants
    TACIT_REFUSAL_SELF = 8,        // both sides have the same role and id
    TACIT_REFUSAL_STALE = 9,       // by the caller: a later incarnation is known
    TACIT_REFUSAL_BUSY = 10,       // by the caller: no room for another connection
    TACIT_REFUSAL_ROLE = 11,       // by the caller: that role has no business here
    TACIT_REFUSAL_OTHER = 12,      // received only: a reason this version does not know
};

// What who may not have the seat that it claims is told.
static inline enum tacit_refusal tacit_refusal_of_seat(enum tacit_seat_ruling ruling)
{
    if (ruling == TACIT_SEAT_OPEN) {
        return TACIT_REFUSAL_NONE;
    }
    return ruling == TACIT_SEAT_TAKEN ? TACIT_REFUSAL_STALE : TACIT_REFUSAL_BUSY;
}

// Both sides' values, for messages and counters. What the peer said is not authenticated.
struct tacit_handshake_outcome {
    enum tacit_refusal reason;
    bool by_peer;         // the peer refused us, else we refused it
    bool peer_is_known;   // peer_version, peer_group, peer_cluster are what the peer sent
    bool peer_is_named;   // peer is what the peer claims to be
    uint16_t own_version; // TACIT_HANDSHAKE_VERSION
    uint16_t peer_version;
    struct tacit_group_id own_group;
    struct tacit_group_id peer_group;
    struct tacit_digest own_cluster;
    struct tacit_digest peer_cluster;
    struct tacit_identity peer;
};

// What both sides hold afterwards. Holds secrets: keep it in memory of tacit_secret_alloc and end
// it with tacit_session_wipe. A key per direction: MAC keys are derived from these, one per
// purpose.
struct tacit_session {
    struct tacit_identity peer;       // authenticated
    struct tacit_digest transcript;   // equal on both sides, unique to this run; no secret
    struct tacit_mac_key send_key;    // the peer's receive_key
    struct tacit_mac_key receive_key; // the peer's send_key
};

struct tacit_handshake;

// Bytes that _init needs; constant in one build.
size_t tacit_handshake_size(void);

// Starts a handshake in `memory` (secret: of tacit_secret_alloc, `bytes` >= _size(), aligned to 8),
// which the caller owns and keeps until _fini. `*out` then points into it. Allocates nothing, here
// or later; a pool of memory blocks bounds the handshakes that run at a time. Errors: TACIT_EINVAL
// (`options` or `memory`), TACIT_OK otherwise.
TACIT_CRYPTO_CHECKED enum tacit_status
tacit_handshake_init(struct tacit_handshake **out, void *memory, size_t bytes,
                     const struct tacit_handshake_options *options, struct tacit_error *error);

// Wipes everything in the memory, which the caller may use again. NULL is allowed.
void tacit_handshake_fini(struct tacit_handshake *handshake);

enum tacit_handshake_state tacit_handshake_state(const struct tacit_handshake *handshake);

// Fetches the next message to send; false when there is none. Call it until false after _init,
// _input and _refuse. The acceptor is DONE once ACCEPT was fetched.
bool tacit_handshake_output(struct tacit_handshake *handshake,
                            uint8_t out[TACIT_HANDSHAKE_MESSAGE_BYTES]);

// Takes one received message; copies it before anything is looked at, so `data` may be memory that
// the peer can still change. Every message but a well-formed and fitting one ends in state REFUSED
// with the secrets wiped. Returns TACIT_VERDICT_OK (the state says how to go on: after a REFUSE it
// is REFUSED), _MALFORMED, _BAD_AUTH (no proof of identity, unknown key, wrong node), or _STALE
// (well-formed, of another version, group or cluster). An acceptor that is DONE accepts one more
// message, the connector's REFUSE; that voids a session which was not taken yet. Otherwise a
// message after the end is MALFORMED and changes nothing.
TACIT_CRYPTO_CHECKED enum tacit_verdict tacit_handshake_input(struct tacit_handshake *handshake,
                                                              const uint8_t *data, size_t bytes);

// The authenticated peer: true and `*out` filled when the peer has proven its identity. For an
// acceptor that is after CONNECT and before ACCEPT is fetched, the moment to refuse it by policy.
TACIT_CRYPTO_CHECKED bool tacit_handshake_peer(const struct tacit_handshake *handshake,
                                               struct tacit_identity *out);

// Refuses by the caller's own policy: STALE, BUSY or ROLE. Possible while the state is SENDING or
// RECEIVING, and for a connector that is DONE and has not taken its session (no effect otherwise);
// the next output is the REFUSE.
void tacit_handshake_refuse(struct tacit_handshake *handshake, enum tacit_refusal reason);

// Why the state is REFUSED; reason NONE in other states. Points into the handshake's memory.
const struct tacit_handshake_outcome *
tacit_handshake_outcome(const struct tacit_handshake *handshake);

// Puts the outcome into a sentence with both sides' values. Returns TACIT_EVERSION (version, group,
// cluster), TACIT_EBUSY, TACIT_EAUTH (any other reason), or TACIT_OK, nothing filled, if not
// REFUSED.
enum tacit_status tacit_handshake_explain(const struct tacit_handshake *handshake,
                                          struct tacit_error *error);

// Moves the session out, once: false unless the state is DONE and it was not taken before. The
// handshake keeps no copy of the keys.
TACIT_CRYPTO_CHECKED bool tacit_handshake_take(struct tacit_handshake *handshake,
                                               struct tacit_session *out);

// Overwrites the whole session with zeros.
void tacit_session_wipe(struct tacit_session *session);

// Static text of a reason and of a role, such as "unknown key"; never NULL, for any number.
const char *tacit_refusal_text(enum tacit_refusal reason);
const char *tacit_peer_role_name(enum tacit_peer_role role);

#ifdef __cplusplus
}
#endif

#endif
