// SPDX-License-Identifier: Apache-2.0
//
// Bodies by digest: batches and other payload bodies that were received whole and checked. Bounded:
// two size classes, and for each replica that sends them a quota, so that a liar fills up only its
// own share. Reference-counted: whoever vouched, ACKed or CERTIFIED a batch holds a reference until
// a stable checkpoint covers its slot, and serves FETCH from here.
#ifndef TACIT_BYZANTINE_BODIES_H
#define TACIT_BYZANTINE_BODIES_H

#include "../base/words.h"
#include "payload.h"

struct tacit_bodies_config {
    uint8_t owners; // replicas
    uint32_t small_bytes, small_each;
    uint32_t large_bytes, large_each;
};

struct tacit_bodies; // bodies.c; caller's memory

struct tacit_bodies *tacit_bodies_init(struct tacit_bump *bump,
                                       const struct tacit_bodies_config *config);
// Takes a copy on the account of `owner` and one reference. Known already: one reference more.
// `digest` was made or checked by the caller. NULL: the owner's quota is used up.
const uint8_t *tacit_bodies_put(struct tacit_bodies *bodies, tacit_node_t owner,
                                const struct tacit_digest *digest, const void *body,
                                uint32_t bytes);
// The body, or NULL. Stays valid as long as the caller knows of a reference. O(1).
const uint8_t *tacit_bodies_find(const struct tacit_bodies *bodies,
                                 const struct tacit_digest *digest, uint32_t *bytes);
// Adds, gives back a reference. hold(): false if the body is not here. The last release frees it.
bool tacit_bodies_hold(struct tacit_bodies *bodies, const struct tacit_digest *digest);
void tacit_bodies_release(struct tacit_bodies *bodies, const struct tacit_digest *digest);
const char *tacit_bodies_check(const struct tacit_bodies *bodies);

#endif
