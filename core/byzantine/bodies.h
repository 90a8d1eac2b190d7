// SPDX-License-Identifier: Apache-2.0
//
// Bodies by digest: batches and other payload bodies that were received whole and checked.
// Reference-counted: whoever vouched, ACKed or CERTIFIED a batch holds a reference until a stable
// checkpoint covers its slot, and serves FETCH from here.
//
// Who can consume what. Every place belongs to one account, and a copy lives on the account on
// which it was put; the same body on two accounts is two copies, and a reference names its account.
// So what is used of an account follows from what its replica said alone:
//   r              what replica r broadcast (the own: what this replica did): bodies of ids that it
//                  locked, batches of slots that it proposed
//   replicas + r   what was fetched because of replica r: a few, the oldest gives way
//   2 * replicas   sealed states, the newest of each stream
// tacit_bodies_shape() sizes them so that a correct replica's account has room for all that it may
// have out at a time. Batches have places of their own, so that they leave no other kind without
// one, and all of the own uncertified tail fits, whatever it consists of: own SEAL_VIEWs, NEW_VIEWs
// and CHECKPOINTs always find room. Of others a few large bodies fit; ctb_body.c sees to it that
// the one that is to be delivered next is among them. Bytes for each sender: the sum over the
// classes.
#ifndef TACIT_BYZANTINE_BODIES_H
#define TACIT_BYZANTINE_BODIES_H

#include "../base/words.h"
#include "payload.h"

#define TACIT_BODIES_ACCOUNTS_MAX (2u * TACIT_REPLICAS_MAX + 1u)
#define TACIT_BODIES_FETCHED 4u // batches that were fetched because of one replica; and one state

// Sizes of places. A batch goes into a place for batches; another body into the smallest of the
// others that it fits in and that is free.
enum tacit_bodies_class {
    TACIT_BODIES_BATCH,
    TACIT_BODIES_NOTE, // COMMIT, CHECKPOINT; claims if they are few
    TACIT_BODIES_SEAL, // SEAL_VIEW
    TACIT_BODIES_LARGE,
    TACIT_BODIES_CLASSES,
};

struct tacit_bodies_config {
    uint8_t accounts;
    struct {
        uint32_t bytes;                           // of a place; NOTE <= SEAL <= LARGE
        uint32_t each[TACIT_BODIES_ACCOUNTS_MAX]; // places of each account
    } classes[TACIT_BODIES_CLASSES];
};

// What the accounts of a replica are sized by.
struct tacit_bodies_needs {
    uint8_t replicas;
    tacit_node_t self;
    uint32_t window, tail;
    uint32_t batch_bytes; // largest batch
    uint32_t seal_bytes;  // largest SEAL_VIEW
    uint32_t body_bytes;  // largest body of all
};

struct tacit_bodies; // bodies.c; caller's memory

static inline uint32_t tacit_bodies_account_fetched(uint8_t replicas, tacit_node_t owner)
{
    return (uint32_t)replicas + owner;
}
static inline uint32_t tacit_bodies_account_sealed(uint8_t replicas)
{
    return 2u * replicas;
}

// Accounts of a replica as described above.
void tacit_bodies_shape(struct tacit_bodies_config *config, const struct tacit_bodies_needs *needs);
struct tacit_bodies *tacit_bodies_init(struct tacit_bump *bump,
                                       const struct tacit_bodies_config *config);
// Whether a body of that size that is not there yet would find a place.
bool tacit_bodies_has_room(const struct tacit_bodies *bodies, uint32_t account, bool is_batch,
                           uint32_t bytes);
// Takes a copy on an account, with one reference. There already: one reference more. `digest` was
// made or checked by the caller. False: the account has no place for it.
bool tacit_bodies_put(struct tacit_bodies *bodies, uint32_t account, bool is_batch,
                      const struct tacit_digest *digest, const void *body, uint32_t bytes);
// A body, of whatever account, or NULL. Stays valid as long as the caller knows of a reference to
// each copy. O(1).
const uint8_t *tacit_bodies_find(const struct tacit_bodies *bodies,
                                 const struct tacit_digest *digest, uint32_t *bytes);
// Adds a reference on an account; another account's body is copied. False: the body is not here, or
// the account has no place for it.
bool tacit_bodies_hold(struct tacit_bodies *bodies, uint32_t account, bool is_batch,
                       const struct tacit_digest *digest);
// Calls for the memory of one that will be released (NULL: none), and of the place that the next
// batch on this account is put in: that one's, if its last reference goes, else the first free one.
void tacit_bodies_prefetch(const struct tacit_bodies *bodies, uint32_t account,
                           const struct tacit_digest *released);
// Gives a reference back to the account that it is on. The last one frees the copy.
void tacit_bodies_release(struct tacit_bodies *bodies, uint32_t account,
                          const struct tacit_digest *digest);
// Free places of an account, for tests and for who has to know beforehand.
uint32_t tacit_bodies_room(const struct tacit_bodies *bodies, uint32_t account,
                           enum tacit_bodies_class class);
const char *tacit_bodies_check(const struct tacit_bodies *bodies);

#endif
