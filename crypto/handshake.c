// SPDX-License-Identifier: Apache-2.0
//
// The connection handshake: its messages, its state machine and its key schedule in one file, so
// that reader and writer of a message stand side by side. Why it is safe: tacit/handshake.h.
#include "tacit/handshake.h"
#include "bytes.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_BYTES TACIT_HANDSHAKE_MESSAGE_BYTES
#define OFFSET_TYPE 4
#define OFFSET_REASON 5
#define OFFSET_VERSION 6
#define OFFSET_GROUP 8
#define OFFSET_CLUSTER 40
#define OFFSET_EPHEMERAL 72
#define OFFSET_SEALED 104 // also the length of the clear part
#define IDENTITY_BYTES 8
#define NAME_BYTES 4
#define BODY_BYTES (IDENTITY_BYTES + NAME_BYTES + TACIT_SIGNATURE_BYTES)
#define SEALED_BYTES (BODY_BYTES + crypto_aead_chacha20poly1305_ietf_ABYTES)

_Static_assert(OFFSET_SEALED + SEALED_BYTES == MESSAGE_BYTES, "the message is full");
_Static_assert(OFFSET_EPHEMERAL + crypto_scalarmult_BYTES == OFFSET_SEALED, "ephemeral key size");

enum message_type {
    TACIT_TYPE_HELLO = 1,
    TACIT_TYPE_CONNECT = 2,
    TACIT_TYPE_ACCEPT = 3,
    TACIT_TYPE_REFUSE = 4
};

enum step {
    TACIT_STEP_SEND_HELLO,    // acceptor
    TACIT_STEP_AWAIT_CONNECT, // acceptor
    TACIT_STEP_SEND_ACCEPT,   // acceptor; the peer is authenticated
    TACIT_STEP_AWAIT_HELLO,   // connector
    TACIT_STEP_SEND_CONNECT,  // connector
    TACIT_STEP_AWAIT_ACCEPT,  // connector
    TACIT_STEP_DONE,
    TACIT_STEP_SEND_REFUSE,
    TACIT_STEP_REFUSED,
};

struct tacit_handshake {
    struct tacit_handshake_options options;
    struct tacit_scope scope;
    enum step step;
    bool session_is_ready;
    struct tacit_identity peer; // authenticated from TACIT_STEP_SEND_ACCEPT or TACIT_STEP_DONE on
    struct tacit_handshake_outcome outcome;
    uint8_t hello[MESSAGE_BYTES]; // as sent or received
    uint8_t connect[MESSAGE_BYTES];
    uint8_t accept[MESSAGE_BYTES];
    struct {
        uint8_t ephemeral[crypto_scalarmult_SCALARBYTES];
        uint8_t shared[crypto_scalarmult_BYTES];
        struct tacit_mac_key root; // what all keys of this run are derived from
        struct tacit_mac_key seal;
        struct tacit_session session;
    } secret;
};

// --- Messages
// -----------------------------------------------------------------------------------------

static bool bytes_are_zero(const uint8_t *data, size_t bytes)
{
    return sodium_is_zero(data, bytes) == 1;
}

static bool name_is_valid(struct tacit_peer_name name)
{
    return name.role >= TACIT_PEER_REPLICA && name.role <= TACIT_PEER_OPERATOR;
}

static bool name_is_equal(struct tacit_peer_name a, struct tacit_peer_name b)
{
    return a.role == b.role && a.id == b.id;
}

static bool identity_is_valid(const struct tacit_identity *identity)
{
    bool is_seat =
        identity->name.role == TACIT_PEER_REPLICA || identity->name.role == TACIT_PEER_MEMNODE;
    return name_is_valid(identity->name) && identity->incarnation >= 1 &&
           identity->incarnation <= TACIT_INCARNATION_MAX &&
           (!is_seat || tacit_incarnation_is_node(identity->incarnation));
}

static void name_encode(uint8_t out[NAME_BYTES], struct tacit_peer_name name)
{
    out[0] = (uint8_t)name.role;
    out[1] = 0;
    store_le16(out + 2, name.id);
}

static bool name_decode(struct tacit_peer_name *out, const uint8_t in[NAME_BYTES])
{
    out->role = (enum tacit_peer_role)in[0];
    out->id = load_le16(in + 2);
    return in[1] == 0 && name_is_valid(*out);
}

static void identity_encode(uint8_t out[IDENTITY_BYTES], const struct tacit_identity *identity)
{
    name_encode(out, identity->name);
    store_le32(out + NAME_BYTES, identity->incarnation);
}

static bool identity_decode(struct tacit_identity *out, const uint8_t in[IDENTITY_BYTES])
{
    bool good = name_decode(&out->name, in);
    out->incarnation = load_le32(in + NAME_BYTES);
    return good && identity_is_valid(out);
}

static void frame_make(uint8_t out[MESSAGE_BYTES], const struct tacit_handshake *handshake,
                       enum message_type type)
{
    memset(out, 0, MESSAGE_BYTES);
    memcpy(out, "TCTH", 4);
    out[OFFSET_TYPE] = (uint8_t)type;
    store_le16(out + OFFSET_VERSION, TACIT_HANDSHAKE_VERSION);
    memcpy(out + OFFSET_GROUP, handshake->options.group.bytes,
           sizeof handshake->options.group.bytes);
    memcpy(out + OFFSET_CLUSTER, handshake->options.cluster.bytes,
           sizeof handshake->options.cluster.bytes);
}

// --- End without a session
// ------------------------------------------------------------------------------

static void secrets_wipe(struct tacit_handshake *handshake)
{
    sodium_memzero(&handshake->secret, sizeof handshake->secret);
    handshake->session_is_ready = false;
}

static enum tacit_verdict refusal_verdict(enum tacit_refusal reason)
{
    switch (reason) {
    case TACIT_REFUSAL_VERSION:
    case TACIT_REFUSAL_GROUP:
    case TACIT_REFUSAL_CLUSTER:
        return TACIT_VERDICT_STALE;
    case TACIT_REFUSAL_UNKNOWN_KEY:
    case TACIT_REFUSAL_BAD_AUTH:
    case TACIT_REFUSAL_WRONG_NODE:
    case TACIT_REFUSAL_SELF:
        return TACIT_VERDICT_BAD_AUTH;
    case TACIT_REFUSAL_MALFORMED:
    case TACIT_REFUSAL_STALE:
    case TACIT_REFUSAL_BUSY:
    case TACIT_REFUSAL_ROLE:
    case TACIT_REFUSAL_OTHER:
    case TACIT_REFUSAL_NONE:
        break;
    }
    return TACIT_VERDICT_MALFORMED;
}

// We refuse: the next output says so. A REFUSE is never answered, so two sides cannot refuse for
// ever.
static enum tacit_verdict refuse(struct tacit_handshake *handshake, enum tacit_refusal reason)
{
    secrets_wipe(handshake);
    handshake->outcome.reason = reason;
    handshake->outcome.by_peer = false;
    handshake->step = TACIT_STEP_SEND_REFUSE;
    return refusal_verdict(reason);
}

static enum tacit_verdict refused_by_peer(struct tacit_handshake *handshake, uint8_t reason)
{
    secrets_wipe(handshake);
    handshake->outcome.by_peer = true;
    handshake->outcome.reason = reason >= TACIT_REFUSAL_MALFORMED && reason < TACIT_REFUSAL_OTHER
                                    ? (enum tacit_refusal)reason
                                    : TACIT_REFUSAL_OTHER;
    handshake->step = TACIT_STEP_REFUSED;
    return TACIT_VERDICT_OK;
}

// --- Key schedule
// -----------------------------------------------------------------------------------------

static void ephemeral_make(struct tacit_handshake *handshake, uint8_t message[MESSAGE_BYTES])
{
    tacit_random_bytes(handshake->secret.ephemeral, sizeof handshake->secret.ephemeral);
    // Fails for the neutral element only, which no multiple of the base point by a clamped scalar
    // is.
    if (crypto_scalarmult_base(message + OFFSET_EPHEMERAL, handshake->secret.ephemeral) != 0) {
        sodium_misuse();
    }
}

// False when the peer's key has small order: then the result would not depend on our secret.
static bool root_make(struct tacit_handshake *handshake, const uint8_t *peer_ephemeral)
{
    struct tacit_digest_state state;
    struct tacit_digest root;
    if (crypto_scalarmult(handshake->secret.shared, handshake->secret.ephemeral, peer_ephemeral) !=
        0) {
        return false;
    }
    tacit_digest_init(&state, TACIT_DOMAIN_HANDSHAKE_SECRET);
    tacit_digest_update(&state, handshake->secret.shared, sizeof handshake->secret.shared);
    tacit_digest_update(&state, handshake->hello + OFFSET_EPHEMERAL, crypto_scalarmult_BYTES);
    tacit_digest_update(&state, handshake->connect + OFFSET_EPHEMERAL, crypto_scalarmult_BYTES);
    tacit_digest_final(&state, &root);
    memcpy(handshake->secret.root.bytes, root.bytes, sizeof root.bytes);
    sodium_memzero(&root, sizeof root);
    return true;
}

// Hash of HELLO and the first bytes of the two others. The three sums of lengths in use differ, so
// no two points of the run share a hash.
static void transcript_make(struct tacit_digest *out, const struct tacit_handshake *handshake,
                            size_t connect_bytes, size_t accept_bytes)
{
    struct tacit_digest_state state;
    tacit_digest_init(&state, TACIT_DOMAIN_HANDSHAKE_TRANSCRIPT);
    tacit_digest_update(&state, handshake->hello, MESSAGE_BYTES);
    tacit_digest_update(&state, handshake->connect, connect_bytes);
    tacit_digest_update(&state, handshake->accept, accept_bytes);
    tacit_digest_final(&state, out);
}

static void key_make(struct tacit_mac_key *out, const struct tacit_handshake *handshake,
                     tacit_domain_t domain, const struct tacit_digest *transcript)
{
    struct tacit_mac256 mac;
    tacit_blake_mac256_make(&mac, &handshake->secret.root, domain, transcript->bytes,
                            sizeof transcript->bytes);
    memcpy(out->bytes, mac.bytes, sizeof out->bytes);
    sodium_memzero(&mac, sizeof mac);
}

static void session_make(struct tacit_handshake *handshake)
{
    struct tacit_session *session = &handshake->secret.session;
    bool connects = handshake->options.connects;
    transcript_make(&session->transcript, handshake, MESSAGE_BYTES, MESSAGE_BYTES);
    key_make(connects ? &session->send_key : &session->receive_key, handshake,
             TACIT_DOMAIN_SESSION_FROM_CONNECTOR, &session->transcript);
    key_make(connects ? &session->receive_key : &session->send_key, handshake,
             TACIT_DOMAIN_SESSION_FROM_ACCEPTOR, &session->transcript);
    session->peer = handshake->peer;
    // Only the session stays: what it was made from would open the recorded messages.
    sodium_memzero(handshake->secret.ephemeral, sizeof handshake->secret.ephemeral);
    sodium_memzero(handshake->secret.shared, sizeof handshake->secret.shared);
    sodium_memzero(&handshake->secret.root, sizeof handshake->secret.root);
    sodium_memzero(&handshake->secret.seal, sizeof handshake->secret.seal);
    handshake->session_is_ready = true;
    handshake->step = TACIT_STEP_DONE;
}

// --- Sealed bodies
// ------------------------------------------------------------------------------------------

// What differs between the two directions, in one place.
struct direction {
    tacit_domain_t seal;
    tacit_domain_t sign;
};
static const struct direction from_connector = {TACIT_DOMAIN_HANDSHAKE_SEAL_CONNECT,
                                                TACIT_DOMAIN_HANDSHAKE_SIGN_CONNECT};
static const struct direction from_acceptor = {TACIT_DOMAIN_HANDSHAKE_SEAL_ACCEPT,
                                               TACIT_DOMAIN_HANDSHAKE_SIGN_ACCEPT};

// What is signed: the transcript up to the clear part of the message, then the names in the body.
#define PAYLOAD_BYTES (TACIT_DIGEST_BYTES + IDENTITY_BYTES + NAME_BYTES)
static void payload_make(uint8_t out[PAYLOAD_BYTES], const struct tacit_digest *transcript,
                         const uint8_t body[BODY_BYTES])
{
    memcpy(out, transcript->bytes, sizeof transcript->bytes);
    memcpy(out + sizeof transcript->bytes, body, IDENTITY_BYTES + NAME_BYTES);
}

// A sealing key seals one message ever, so its nonce is a constant.
static const uint8_t seal_nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

static void body_seal(uint8_t message[MESSAGE_BYTES], struct tacit_handshake *handshake,
                      const struct direction *direction, const struct tacit_digest *transcript,
                      struct tacit_peer_name peer)
{
    uint8_t body[BODY_BYTES];
    uint8_t payload[PAYLOAD_BYTES];
    struct tacit_signature signature;
    identity_encode(body, &handshake->options.self);
    name_encode(body + IDENTITY_BYTES, peer);
    payload_make(payload, transcript, body);
    tacit_signature_make(&signature, handshake->options.keypair, direction->sign, &handshake->scope,
                         payload, sizeof payload);
    memcpy(body + IDENTITY_BYTES + NAME_BYTES, signature.bytes, sizeof signature.bytes);
    key_make(&handshake->secret.seal, handshake, direction->seal, transcript);
    if (crypto_aead_chacha20poly1305_ietf_encrypt(message + OFFSET_SEALED, NULL, body, sizeof body,
                                                  transcript->bytes, sizeof transcript->bytes, NULL,
                                                  seal_nonce, handshake->secret.seal.bytes) != 0) {
        sodium_misuse();
    }
}

// Opens and checks the peer's body: seal, form, key, signature, in this order. NONE when `peer` is
// proven to have written it for `named`; the caller judges whether those are the right ones.
static enum tacit_refusal body_open(struct tacit_handshake *handshake,
                                    const uint8_t message[MESSAGE_BYTES],
                                    const struct direction *direction,
                                    const struct tacit_digest *transcript,
                                    struct tacit_peer_name *named)
{
    uint8_t body[BODY_BYTES];
    uint8_t payload[PAYLOAD_BYTES];
    struct tacit_identity peer;
    struct tacit_public_key key;
    struct tacit_signature signature;
    key_make(&handshake->secret.seal, handshake, direction->seal, transcript);
    if (crypto_aead_chacha20poly1305_ietf_decrypt(
            body, NULL, NULL, message + OFFSET_SEALED, SEALED_BYTES, transcript->bytes,
            sizeof transcript->bytes, seal_nonce, handshake->secret.seal.bytes) != 0) {
        return TACIT_REFUSAL_BAD_AUTH;
    }
    if (!identity_decode(&peer, body) || !name_decode(named, body + IDENTITY_BYTES)) {
        return TACIT_REFUSAL_MALFORMED;
    }
    handshake->outcome.peer_is_named = true;
    handshake->outcome.peer = peer;
    if (name_is_equal(peer.name, handshake->options.self.name)) {
        return TACIT_REFUSAL_SELF;
    }
    if (!handshake->options.lookup(&key, peer, handshake->options.lookup_context)) {
        return TACIT_REFUSAL_UNKNOWN_KEY;
    }
    payload_make(payload, transcript, body);
    memcpy(signature.bytes, body + IDENTITY_BYTES + NAME_BYTES, sizeof signature.bytes);
    if (!tacit_signature_is_valid(&signature, &key, direction->sign, &handshake->scope, payload,
                                  sizeof payload)) {
        return TACIT_REFUSAL_BAD_AUTH;
    }
    handshake->peer = peer;
    return TACIT_REFUSAL_NONE;
}

// --- Input
// ------------------------------------------------------------------------------------------------

// Checks what all messages have in common and notes the peer's values. NONE when it may be looked
// into.
static enum tacit_refusal frame_check(struct tacit_handshake *handshake,
                                      const uint8_t message[MESSAGE_BYTES])
{
    struct tacit_handshake_outcome *outcome = &handshake->outcome;
    if (memcmp(message, "TCTH", 4) != 0) {
        return TACIT_REFUSAL_MALFORMED;
    }
    outcome->peer_is_known = true;
    outcome->peer_version = load_le16(message + OFFSET_VERSION);
    memcpy(outcome->peer_group.bytes, message + OFFSET_GROUP, sizeof outcome->peer_group.bytes);
    memcpy(outcome->peer_cluster.bytes, message + OFFSET_CLUSTER,
           sizeof outcome->peer_cluster.bytes);
    if (message[OFFSET_TYPE] == TACIT_TYPE_REFUSE) {
        return TACIT_REFUSAL_NONE; // comes from any version, group or cluster: that is its purpose
    }
    if (outcome->peer_version != TACIT_HANDSHAKE_VERSION) {
        return TACIT_REFUSAL_VERSION;
    }
    if (sodium_memcmp(outcome->peer_group.bytes, handshake->options.group.bytes,
                      sizeof outcome->peer_group.bytes) != 0) {
        return TACIT_REFUSAL_GROUP;
    }
    if (!tacit_digest_is_equal(&outcome->peer_cluster, &handshake->options.cluster)) {
        return TACIT_REFUSAL_CLUSTER;
    }
    return message[OFFSET_REASON] == 0 ? TACIT_REFUSAL_NONE : TACIT_REFUSAL_MALFORMED;
}

static enum tacit_verdict hello_input(struct tacit_handshake *handshake,
                                      const uint8_t message[MESSAGE_BYTES])
{
    if (message[OFFSET_TYPE] != TACIT_TYPE_HELLO ||
        !bytes_are_zero(message + OFFSET_SEALED, SEALED_BYTES)) {
        return refuse(handshake, TACIT_REFUSAL_MALFORMED);
    }
    memcpy(handshake->hello, message, MESSAGE_BYTES);
    frame_make(handshake->connect, handshake, TACIT_TYPE_CONNECT);
    ephemeral_make(handshake, handshake->connect);
    if (!root_make(handshake, message + OFFSET_EPHEMERAL)) {
        return refuse(handshake, TACIT_REFUSAL_BAD_AUTH);
    }
    handshake->step = TACIT_STEP_SEND_CONNECT;
    return TACIT_VERDICT_OK;
}

static enum tacit_verdict connect_input(struct tacit_handshake *handshake,
                                        const uint8_t message[MESSAGE_BYTES])
{
    struct tacit_digest transcript;
    struct tacit_peer_name named;
    if (message[OFFSET_TYPE] != TACIT_TYPE_CONNECT) {
        return refuse(handshake, TACIT_REFUSAL_MALFORMED);
    }
    memcpy(handshake->connect, message, MESSAGE_BYTES);
    if (!root_make(handshake, message + OFFSET_EPHEMERAL)) {
        return refuse(handshake, TACIT_REFUSAL_BAD_AUTH);
    }
    transcript_make(&transcript, handshake, OFFSET_SEALED, 0);
    enum tacit_refusal reason = body_open(handshake, message, &from_connector, &transcript, &named);
    if (reason == TACIT_REFUSAL_NONE && !name_is_equal(named, handshake->options.self.name)) {
        reason = TACIT_REFUSAL_WRONG_NODE;
    }
    if (reason != TACIT_REFUSAL_NONE) {
        return refuse(handshake, reason);
    }
    handshake->step = TACIT_STEP_SEND_ACCEPT;
    return TACIT_VERDICT_OK;
}

static enum tacit_verdict accept_input(struct tacit_handshake *handshake,
                                       const uint8_t message[MESSAGE_BYTES])
{
    struct tacit_digest transcript;
    struct tacit_peer_name named;
    if (message[OFFSET_TYPE] != TACIT_TYPE_ACCEPT ||
        !bytes_are_zero(message + OFFSET_EPHEMERAL, OFFSET_SEALED - OFFSET_EPHEMERAL)) {
        return refuse(handshake, TACIT_REFUSAL_MALFORMED);
    }
    memcpy(handshake->accept, message, MESSAGE_BYTES);
    transcript_make(&transcript, handshake, MESSAGE_BYTES, OFFSET_SEALED);
    enum tacit_refusal reason = body_open(handshake, message, &from_acceptor, &transcript, &named);
    if (reason == TACIT_REFUSAL_NONE && !name_is_equal(named, handshake->options.self.name)) {
        reason = TACIT_REFUSAL_BAD_AUTH; // it took us for somebody else
    }
    if (reason == TACIT_REFUSAL_NONE &&
        !name_is_equal(handshake->peer.name, handshake->options.wanted)) {
        reason = TACIT_REFUSAL_WRONG_NODE;
    }
    if (reason != TACIT_REFUSAL_NONE) {
        return refuse(handshake, reason);
    }
    session_make(handshake);
    return TACIT_VERDICT_OK;
}

enum tacit_verdict tacit_handshake_input(struct tacit_handshake *handshake, const uint8_t *data,
                                         size_t bytes)
{
    uint8_t message[MESSAGE_BYTES];
    enum step step = handshake->step;
    bool accepted = step == TACIT_STEP_DONE && !handshake->options.connects;
    bool awaits = step == TACIT_STEP_AWAIT_HELLO || step == TACIT_STEP_AWAIT_CONNECT ||
                  step == TACIT_STEP_AWAIT_ACCEPT;
    if (bytes != MESSAGE_BYTES) {
        return awaits ? refuse(handshake, TACIT_REFUSAL_MALFORMED) : TACIT_VERDICT_MALFORMED;
    }
    memcpy(message, data, MESSAGE_BYTES);
    if (!awaits && !(accepted && memcmp(message, "TCTH", 4) == 0 &&
                     message[OFFSET_TYPE] == TACIT_TYPE_REFUSE)) {
        return TACIT_VERDICT_MALFORMED;
    }
    enum tacit_refusal reason = frame_check(handshake, message);
    if (reason != TACIT_REFUSAL_NONE) {
        return refuse(handshake, reason);
    }
    if (message[OFFSET_TYPE] == TACIT_TYPE_REFUSE) {
        return refused_by_peer(handshake, message[OFFSET_REASON]);
    }
    if (step == TACIT_STEP_AWAIT_HELLO) {
        return hello_input(handshake, message);
    }
    if (step == TACIT_STEP_AWAIT_CONNECT) {
        return connect_input(handshake, message);
    }
    return accept_input(handshake, message);
}

// --- Output
// -----------------------------------------------------------------------------------------------

static void connect_output(struct tacit_handshake *handshake)
{
    struct tacit_digest transcript;
    transcript_make(&transcript, handshake, OFFSET_SEALED, 0);
    body_seal(handshake->connect, handshake, &from_connector, &transcript,
              handshake->options.wanted);
    handshake->step = TACIT_STEP_AWAIT_ACCEPT;
}

static void accept_output(struct tacit_handshake *handshake)
{
    struct tacit_digest transcript;
    frame_make(handshake->accept, handshake, TACIT_TYPE_ACCEPT);
    transcript_make(&transcript, handshake, MESSAGE_BYTES, OFFSET_SEALED);
    body_seal(handshake->accept, handshake, &from_acceptor, &transcript, handshake->peer.name);
    session_make(handshake);
}

bool tacit_handshake_output(struct tacit_handshake *handshake,
                            uint8_t out[TACIT_HANDSHAKE_MESSAGE_BYTES])
{
    switch (handshake->step) {
    case TACIT_STEP_SEND_HELLO:
        memcpy(out, handshake->hello, MESSAGE_BYTES);
        handshake->step = TACIT_STEP_AWAIT_CONNECT;
        return true;
    case TACIT_STEP_SEND_CONNECT:
        connect_output(handshake);
        memcpy(out, handshake->connect, MESSAGE_BYTES);
        return true;
    case TACIT_STEP_SEND_ACCEPT:
        accept_output(handshake);
        memcpy(out, handshake->accept, MESSAGE_BYTES);
        return true;
    case TACIT_STEP_SEND_REFUSE:
        frame_make(out, handshake, TACIT_TYPE_REFUSE);
        out[OFFSET_REASON] = (uint8_t)handshake->outcome.reason;
        handshake->step = TACIT_STEP_REFUSED;
        return true;
    case TACIT_STEP_AWAIT_CONNECT:
    case TACIT_STEP_AWAIT_HELLO:
    case TACIT_STEP_AWAIT_ACCEPT:
    case TACIT_STEP_DONE:
    case TACIT_STEP_REFUSED:
        break;
    }
    return false;
}

// --- Life cycle and results
// -------------------------------------------------------------------------------

size_t tacit_handshake_size(void)
{
    return sizeof(struct tacit_handshake);
}

enum tacit_status tacit_handshake_init(struct tacit_handshake **out, void *memory, size_t bytes,
                                       const struct tacit_handshake_options *options,
                                       struct tacit_error *error)
{
    *out = NULL;
    if (memory == NULL || bytes < sizeof(struct tacit_handshake) || (uintptr_t)memory % 8 != 0) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "a handshake needs %zu bytes of memory aligned to 8",
                               sizeof(struct tacit_handshake));
    }
    if (!identity_is_valid(&options->self) || options->keypair == NULL || options->lookup == NULL) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "a handshake needs a role, an incarnation of 1 to %u, a key pair "
                               "and a key look-up",
                               TACIT_INCARNATION_MAX);
    }
    if (options->connects &&
        (!name_is_valid(options->wanted) || name_is_equal(options->wanted, options->self.name))) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "a node cannot connect to itself or to an unnamed node");
    }
    struct tacit_handshake *handshake = memory;
    memset(handshake, 0, sizeof *handshake);
    handshake->options = *options;
    tacit_scope_make(&handshake->scope, &options->group, &options->cluster);
    handshake->outcome.own_version = TACIT_HANDSHAKE_VERSION;
    handshake->outcome.own_group = options->group;
    handshake->outcome.own_cluster = options->cluster;
    handshake->step = TACIT_STEP_AWAIT_HELLO;
    if (!options->connects) {
        frame_make(handshake->hello, handshake, TACIT_TYPE_HELLO);
        ephemeral_make(handshake, handshake->hello);
        handshake->step = TACIT_STEP_SEND_HELLO;
    }
    *out = handshake;
    return TACIT_OK;
}

void tacit_handshake_fini(struct tacit_handshake *handshake)
{
    if (handshake != NULL) {
        sodium_memzero(handshake, sizeof *handshake);
    }
}

enum tacit_handshake_state tacit_handshake_state(const struct tacit_handshake *handshake)
{
    switch (handshake->step) {
    case TACIT_STEP_SEND_HELLO:
    case TACIT_STEP_SEND_CONNECT:
    case TACIT_STEP_SEND_ACCEPT:
        return TACIT_HANDSHAKE_SENDING;
    case TACIT_STEP_AWAIT_CONNECT:
    case TACIT_STEP_AWAIT_HELLO:
    case TACIT_STEP_AWAIT_ACCEPT:
        return TACIT_HANDSHAKE_RECEIVING;
    case TACIT_STEP_DONE:
        return TACIT_HANDSHAKE_DONE;
    case TACIT_STEP_SEND_REFUSE:
    case TACIT_STEP_REFUSED:
        break;
    }
    return TACIT_HANDSHAKE_REFUSED;
}

bool tacit_handshake_peer(const struct tacit_handshake *handshake, struct tacit_identity *out)
{
    if (handshake->step != TACIT_STEP_SEND_ACCEPT && handshake->step != TACIT_STEP_DONE) {
        return false;
    }
    *out = handshake->peer;
    return true;
}

void tacit_handshake_refuse(struct tacit_handshake *handshake, enum tacit_refusal reason)
{
    enum tacit_handshake_state state = tacit_handshake_state(handshake);
    if (reason != TACIT_REFUSAL_STALE && reason != TACIT_REFUSAL_BUSY &&
        reason != TACIT_REFUSAL_ROLE) {
        sodium_misuse();
    }
    // A connector knows who the acceptor is when it is done, and not before.
    bool knows_now = handshake->options.connects && handshake->step == TACIT_STEP_DONE &&
                     handshake->session_is_ready;
    if (state == TACIT_HANDSHAKE_SENDING || state == TACIT_HANDSHAKE_RECEIVING || knows_now) {
        (void)refuse(handshake, reason);
    }
}

const struct tacit_handshake_outcome *
tacit_handshake_outcome(const struct tacit_handshake *handshake)
{
    return &handshake->outcome;
}

bool tacit_handshake_take(struct tacit_handshake *handshake, struct tacit_session *out)
{
    if (handshake->step != TACIT_STEP_DONE || !handshake->session_is_ready) {
        return false;
    }
    *out = handshake->secret.session;
    secrets_wipe(handshake);
    return true;
}

void tacit_session_wipe(struct tacit_session *session)
{
    sodium_memzero(session, sizeof *session);
}

// --- Words for people
// -------------------------------------------------------------------------------------

const char *tacit_refusal_text(enum tacit_refusal reason)
{
    switch (reason) {
    case TACIT_REFUSAL_NONE:
        return "not refused";
    case TACIT_REFUSAL_MALFORMED:
        return "not a handshake message, or in the wrong order";
    case TACIT_REFUSAL_VERSION:
        return "protocol versions differ";
    case TACIT_REFUSAL_GROUP:
        return "group ids differ";
    case TACIT_REFUSAL_CLUSTER:
        return "cluster digests differ";
    case TACIT_REFUSAL_UNKNOWN_KEY:
        return "unknown key";
    case TACIT_REFUSAL_BAD_AUTH:
        return "the proof of identity does not hold";
    case TACIT_REFUSAL_WRONG_NODE:
        return "the answering node is not the one that was wanted";
    case TACIT_REFUSAL_SELF:
        return "both sides have the same role and id";
    case TACIT_REFUSAL_STALE:
        return "a later incarnation of the node is known";
    case TACIT_REFUSAL_BUSY:
        return "no room for another connection";
    case TACIT_REFUSAL_ROLE:
        return "this role may not connect here";
    case TACIT_REFUSAL_OTHER:
        break;
    }
    return "a reason that this version does not know";
}

const char *tacit_peer_role_name(enum tacit_peer_role role)
{
    switch (role) {
    case TACIT_PEER_REPLICA:
        return "replica";
    case TACIT_PEER_MEMNODE:
        return "memnode";
    case TACIT_PEER_CLIENT:
        return "client";
    case TACIT_PEER_OPERATOR:
        return "operator";
    }
    return "unknown role";
}

// "connection of client 7 to replica 2 refused by the other side", as far as the ends are known.
static void explain_start(char *out, size_t out_bytes, const struct tacit_handshake *handshake)
{
    const struct tacit_handshake_options *options = &handshake->options;
    const char *by = handshake->outcome.by_peer ? "by the other side" : "by this node";
    const char *own_role = tacit_peer_role_name(options->self.name.role);
    if (options->connects) {
        (void)snprintf(out, out_bytes, "connection of %s %u to %s %u refused %s", own_role,
                       options->self.name.id, tacit_peer_role_name(options->wanted.role),
                       options->wanted.id, by);
    } else {
        (void)snprintf(out, out_bytes, "connection to %s %u refused %s", own_role,
                       options->self.name.id, by);
    }
}

static enum tacit_status explain_values(struct tacit_error *error, const char *start,
                                        const char *reason, const uint8_t own[TACIT_DIGEST_BYTES],
                                        const uint8_t peer[TACIT_DIGEST_BYTES])
{
    char own_text[2 * TACIT_DIGEST_BYTES + 1];
    char peer_text[2 * TACIT_DIGEST_BYTES + 1];
    tacit_hex_encode(own_text, sizeof own_text, own, TACIT_DIGEST_BYTES);
    tacit_hex_encode(peer_text, sizeof peer_text, peer, TACIT_DIGEST_BYTES);
    return tacit_error_set(error, TACIT_EVERSION, 0, "%s: %s: ours %s, theirs %s", start, reason,
                           own_text, peer_text);
}

enum tacit_status tacit_handshake_explain(const struct tacit_handshake *handshake,
                                          struct tacit_error *error)
{
    const struct tacit_handshake_outcome *outcome = &handshake->outcome;
    char start[128];
    if (tacit_handshake_state(handshake) != TACIT_HANDSHAKE_REFUSED) {
        return TACIT_OK;
    }
    explain_start(start, sizeof start, handshake);
    const char *reason = tacit_refusal_text(outcome->reason);
    if (outcome->peer_is_known && outcome->reason == TACIT_REFUSAL_GROUP) {
        return explain_values(error, start, reason, outcome->own_group.bytes,
                              outcome->peer_group.bytes);
    }
    if (outcome->peer_is_known && outcome->reason == TACIT_REFUSAL_CLUSTER) {
        return explain_values(error, start, reason, outcome->own_cluster.bytes,
                              outcome->peer_cluster.bytes);
    }
    if (outcome->peer_is_known && outcome->reason == TACIT_REFUSAL_VERSION) {
        return tacit_error_set(error, TACIT_EVERSION, 0, "%s: %s: ours %u, theirs %u", start,
                               reason, outcome->own_version, outcome->peer_version);
    }
    enum tacit_status status = outcome->reason == TACIT_REFUSAL_BUSY ? TACIT_EBUSY : TACIT_EAUTH;
    if (outcome->peer_is_named) {
        return tacit_error_set(error, status, 0,
                               "%s: %s; the other side calls itself %s %u, incarnation %u", start,
                               reason, tacit_peer_role_name(outcome->peer.name.role),
                               outcome->peer.name.id, outcome->peer.incarnation);
    }
    return tacit_error_set(error, status, 0, "%s: %s", start, reason);
}
