// SPDX-License-Identifier: Apache-2.0
//
// The signing pool as a port: the protocols hand over what is to be signed or checked and get it
// back as a completion, never in the same call. Signatures cost tens of microseconds; the protocol
// thread has none to spare.
//
// Fairness. Each job is charged to whoever caused it, and each of these has a bounded queue of its
// own that the workers serve in turn: a flood of expensive signatures from one peer delays only
// what that peer wants. Implementations: apps/lib/ (worker threads, Ed25519), tests/sim (virtual
// time, an ideal scheme).
#ifndef TACIT_SIGNER_H
#define TACIT_SIGNER_H

#include "tacit/crypto.h"
#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

// Authors and charges: replica ids as they are (0 .. TACIT_REPLICAS_MAX - 1), then. As an author a
// replica id means the founder of that seat, who has a key of his own, as each spare replica has;
// charges are seats.
#define TACIT_SIGNER_SPARE 0x0010u // + spare replica's id (1 .. TACIT_SPARES_MAX)
#define TACIT_SIGNER_OPERATOR 0x00ffu
#define TACIT_SIGNER_CLIENT 0x0100u                    // + client id
#define TACIT_SIGNER_CHARGE_CLIENTS TACIT_REPLICAS_MAX // one queue for what clients send
#define TACIT_SIGNER_CHARGES (TACIT_REPLICAS_MAX + 1u)

// Whose key the member of a replica's seat signs with. VACANT: an author that nobody knows.
static inline uint16_t tacit_signer_author(tacit_node_t replica, tacit_incarnation_t incarnation)
{
    uint32_t body = tacit_incarnation_body(incarnation);
    return (uint16_t)(body == 0 ? replica : TACIT_SIGNER_SPARE + body);
}

struct tacit_signer_job {
    bool verify;     // false: sign with the own key
    uint8_t charge;  // below TACIT_SIGNER_CHARGES: whose queue
    uint16_t author; // verify: whose key
    tacit_domain_t domain;
    uint32_t payload_bytes; // at most TACIT_SIGN_PAYLOAD_MAX
    uint8_t payload[TACIT_SIGN_PAYLOAD_MAX];
    struct tacit_signature signature; // verify: the one to check
    uint64_t cookie;                  // comes back; the top byte names the module (below)
};

struct tacit_signer_done {
    uint64_t cookie;
    bool valid;                       // verify: it holds. Sign: always true
    struct tacit_signature signature; // sign: the new one; verify: the one that was checked
};

enum tacit_signer_owner {
    TACIT_SIGNER_CTB = 1,
    TACIT_SIGNER_AGREEMENT,
    TACIT_SIGNER_VIEW,
    TACIT_SIGNER_REQUESTS,
    TACIT_SIGNER_CLIENT_CORE,
    TACIT_SIGNER_EPOCHS,
    TACIT_SIGNER_ORDERS,
};
#define TACIT_SIGNER_COOKIE(owner, value) ((uint64_t)(owner) << 56 | (uint64_t)(value))
#define TACIT_SIGNER_COOKIE_OWNER(cookie) ((uint8_t)((cookie) >> 56))
#define TACIT_SIGNER_COOKIE_VALUE(cookie) ((cookie)&0x00ffffffffffffffull)

struct tacit_signer;

struct tacit_signer_ops {
    // Takes a copy. False: the queue of that charge is full (ask again after a completion), or the
    // author is not known (then never: the caller treats the signature as invalid; see knows()).
    bool (*submit)(struct tacit_signer *signer, const struct tacit_signer_job *job);
    // Whether there is a key of that author.
    bool (*knows)(struct tacit_signer *signer, uint16_t author);
    // Up to `max` finished jobs, in any order. Never blocks.
    size_t (*poll)(struct tacit_signer *signer, struct tacit_signer_done *done, size_t max);
};

// What an implementation's object begins with. Protocol thread only.
struct tacit_signer {
    const struct tacit_signer_ops *ops;
    uint64_t signatures_made, signatures_checked, signatures_refused; // refused: queue was full
};

#ifdef __cplusplus
}
#endif

#endif
