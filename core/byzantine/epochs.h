// SPDX-License-Identifier: Apache-2.0
//
// Who may be replaced: a change of members is ordered like a request, but endorsed only with f+1
// signed SUSPECTs of distinct replicas, so a correct one among them saw that the old incarnation
// has lost its memory, or that its seat is open to another body. A replica signs SUSPECT(node, old,
// now, epoch) when `now` is connected and larger than the member's incarnation (the fabric does not
// let an older one come back), and its owner says that it may follow: the same body in a later
// life, or another one under the rules of core/smr/seats.c.
//
// The change itself is a REPLACE item, alone in its batch, whose body has the f+1 shares
// (tacit_certificate_encode), so that whoever gets the PREPARE can check it. When it takes effect
// is decided by whoever executes it (core/smr/epochs.c).
#ifndef TACIT_BYZANTINE_EPOCHS_H
#define TACIT_BYZANTINE_EPOCHS_H

#include "../base/mark.h"
#include "../base/words.h"
#include "links.h"
#include "payload.h"
#include "tacit/signer.h"
#include "tacit/wire.h"

#define TACIT_EPOCH_NODES 32u // replicas 0 .., memory nodes TACIT_NODE_MEMNODE ..
// Largest batch with a change.
#define TACIT_EPOCH_BATCH_BYTES 1024u
//   u8 kind | u8 0 | u16 node | u32 0 | u64 epoch | u64 old | u64 now | 64 signature
#define TACIT_SUSPECT_BYTES (32u + TACIT_SIGNATURE_BYTES)

struct tacit_epochs_config {
    uint8_t replicas;
    uint8_t memnodes;
    tacit_node_t self;
    tacit_time_ns_t retry_ns; // an own SUSPECT is said again
    const uint16_t *authors;  // [replicas] of the present epoch (payload.h), or NULL
    // Whether incarnation `next` may follow the member in that seat now. NULL: any may.
    bool (*is_open)(void *context, tacit_node_t seat, uint64_t next);
    void *context;
};

struct tacit_epochs_counters {
    uint64_t suspected, malformed, bad_signatures;
};

struct tacit_epochs; // epochs.c; caller's memory

struct tacit_epochs *tacit_epochs_init(struct tacit_bump *bump,
                                       const struct tacit_epochs_config *config,
                                       struct tacit_links *links, struct tacit_signer *signer,
                                       struct tacit_marker marker);
// A new epoch with these members [TACIT_EPOCH_NODES]: what was signed in older ones is void.
void tacit_epochs_enter(struct tacit_epochs *epochs, uint64_t epoch, const uint64_t *members);
// A connection of this incarnation was made.
void tacit_epochs_seen(struct tacit_epochs *epochs, tacit_node_t node,
                       tacit_incarnation_t incarnation);
// TACIT_MESSAGE_SUSPECT, of any content; signer completions of TACIT_SIGNER_EPOCHS. True: a share
// was found valid, endorse() may say something else now.
void tacit_epochs_message(struct tacit_epochs *epochs, tacit_node_t from, const uint8_t *message,
                          uint32_t bytes);
bool tacit_epochs_signer(struct tacit_epochs *epochs, const struct tacit_signer_done *done);

enum tacit_epochs_endorsement { TACIT_EPOCHS_OK = 0, TACIT_EPOCHS_WAIT, TACIT_EPOCHS_NEVER };
// Whether f+1 replicas signed what the item says; its shares are taken and checked on the account
// of `leader`.
enum tacit_epochs_endorsement tacit_epochs_endorse(struct tacit_epochs *epochs, tacit_node_t leader,
                                                   const struct tacit_wire_item *item);
// Whether there is a change that f+1 replicas signed.
bool tacit_epochs_is_due(const struct tacit_epochs *epochs);
// Such a change as a batch; 0: there is none.
size_t tacit_epochs_proposal(const struct tacit_epochs *epochs,
                             uint8_t out[TACIT_EPOCH_BATCH_BYTES]);
// One turn. `pending`: a change is decided; nothing is signed until the next epoch.
bool tacit_epochs_poll(struct tacit_epochs *epochs, bool pending, tacit_time_ns_t now_ns);
tacit_time_ns_t tacit_epochs_deadline(const struct tacit_epochs *epochs, bool pending);
const struct tacit_epochs_counters *tacit_epochs_counters(const struct tacit_epochs *epochs);

#endif
