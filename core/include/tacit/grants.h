// SPDX-License-Identifier: Apache-2.0
//
// The permission server of a log host (Mu, section 5.2): decides which replica may append to this
// host's log, one at a time. Runs on replicas that host logs and on memory nodes.
//
// Requests arrive as numbers in the CONTROL regions; the grant is announced in the host's PAGE.
// Order: revoke the present holder, wait until that is complete (contract 5), wait for its lease,
// grant, wait, acknowledge. *Sticky*: a request waits while the present holder is trusted and was
// seen to append or to touch its commit word within the suspicion time, unless it released. Among
// pending requests the lowest trusted id is served; the others are dropped and have to ask again
// under a new number.
//
// *Leases*: a holder that wrote its LEASE word (layout.h) before it was revoked may rely on nobody
// else leading for that time from when it sent the word. The host waits as long: longer than the
// holder counts, on clocks whose rates differ by no more than what the holder has added. It counts
// from a time that is not before the holder sent its last word: when the revocation was complete,
// or, at a replica, when it looked and found the very word that stands there after the revocation
// (each word has another number). So the lease of a holder that has been silent for long has ended
// when it is revoked. No wait if the holder has released (it does not rely on the lease any more)
// or its process is dead for certain.
//
// Invariants: at most one holder at any instant; generations only grow; the acknowledgement of a
// request follows the completed revocation of every earlier holder.
#ifndef TACIT_GRANTS_H
#define TACIT_GRANTS_H

#include "tacit/fabric.h"
#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tacit_grants_config {
    uint8_t replicas;
    tacit_time_ns_t suspicion_ns;
};

struct tacit_grants_counters {
    uint64_t grants, revocations, deferred;
    uint64_t leases_waited; // grants that had to wait for a lease
    uint64_t lease_wait_ns; // of the last grant
};

struct tacit_grants_peer {
    bool up;
    tacit_incarnation_t incarnation;
    tacit_incarnation_t dead; // newest incarnation that is dead for certain
    uint64_t dropped;         // newest request number that was passed over
    const void *control;      // its CONTROL region here, NULL: not found yet
};

enum tacit_grants_state {
    TACIT_GRANTS_STEADY = 0, // somebody holds, or nobody
    TACIT_GRANTS_REVOKING,
    TACIT_GRANTS_WAITING, // revoked; its lease may still run
    TACIT_GRANTS_GRANTING,
};

struct tacit_grants {
    struct tacit_grants_config config;
    struct tacit_fabric *fabric;
    enum tacit_grants_state state;
    uint64_t generation;
    tacit_node_t holder; // TACIT_NODE_NONE: nobody
    tacit_incarnation_t holder_incarnation;
    uint64_t holder_request;
    tacit_node_t next; // being granted
    tacit_incarnation_t next_incarnation;
    uint64_t next_request;
    // Who was revoked last, while its lease is waited for.
    tacit_node_t last;
    tacit_incarnation_t last_incarnation;
    uint64_t last_request;
    tacit_time_ns_t event_ns; // when the turn began in which REVOKED came
    tacit_time_ns_t from_ns;  // its lease was not renewed from then on; 0: not known yet
    tacit_time_ns_t lease_ns;
    // The present holder's LEASE word as it was last seen, by replicas (core/crash/lease.c). Memory
    // nodes sleep, and do not look.
    uint64_t lease_word;
    tacit_time_ns_t looked_ns;    // when the turn of that look began, 0: there was none
    tacit_time_ns_t unchanged_ns; // a time after the first look that saw this word; 0: none yet
    uint64_t activity;            // what was last seen of the holder's LOG header
    tacit_time_ns_t active_ns;
    bool deferring;
    tacit_time_ns_t deadline_ns;
    struct tacit_grants_peer peers[TACIT_REPLICAS_MAX];
    uint64_t regions; // LOG regions last published
    struct tacit_grants_counters counters;
};

// The fabric must expose PAGE, CONTROL and LOG regions. Publishes "nobody holds".
void tacit_grants_init(struct tacit_grants *grants, const struct tacit_grants_config *config,
                       struct tacit_fabric *fabric);
// UP and DOWN of replicas, GRANTED, REVOKED; other events are ignored.
void tacit_grants_event(struct tacit_grants *grants, const struct tacit_event *event,
                        tacit_time_ns_t now_ns);
// One turn. `trusted`: bit r = replica r is believed alive (a memory node, which has no detector,
// passes those that are connected). `admitted`: incarnation of each replica whose requests count;
// NULL: whoever is connected (memory nodes; replicas that are not admitted do not ask). Returns
// true if something changed.
bool tacit_grants_poll(struct tacit_grants *grants, uint32_t trusted,
                       const tacit_incarnation_t *admitted, tacit_time_ns_t now_ns);
// When to poll again although nothing rang; UINT64_MAX: not needed.
tacit_time_ns_t tacit_grants_deadline(const struct tacit_grants *grants);
// Writes the list of this host's LOG regions into its PAGE. Called by poll; idempotent.
void tacit_grants_publish_regions(struct tacit_grants *grants);

#ifdef __cplusplus
}
#endif

#endif
