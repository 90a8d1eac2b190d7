// SPDX-License-Identifier: Apache-2.0
//
// The Byzantine engine's parts in one replica, and what connects them to the rest of it.
#ifndef TACIT_SMR_BYZANTINE_H
#define TACIT_SMR_BYZANTINE_H

#include "../byzantine/agree.h"
#include "../byzantine/bodies.h"
#include "../byzantine/ctb.h"
#include "../byzantine/links.h"
#include "../byzantine/registers.h"
#include "../byzantine/requests.h"
#include "../state/fetch.h"
#include "tacit/smr.h"

struct tacit_smr;

struct tacit_smr_byzantine {
    struct tacit_signer *signer;
    struct tacit_links *links;
    struct tacit_registers *registers;
    struct tacit_bodies *bodies;
    struct tacit_ctb *ctb;
    struct tacit_agree *agree;
    struct tacit_requests *requests;
    struct tacit_fetch fetch;
    uint8_t *message; // a ring message of a peer
    uint32_t message_bytes;
    uint8_t *batch; // what this replica is about to propose
    size_t batch_used;

    bool peer_up[TACIT_REPLICAS_MAX];
    tacit_incarnation_t peer_incarnation[TACIT_REPLICAS_MAX];
    uint32_t dead; // bit r: for certain, in the incarnation last seen
    uint32_t trusted;
    uint64_t view;                         // as told by agreement
    tacit_time_ns_t sealed_ns, entered_ns; // when a view was left and entered last
    tacit_time_ns_t timer_ns;              // present value of the view timer
    tacit_index_t checkpoint;              // wanted from the pages; root not told yet, 0: none
    bool must_fetch;                       // the state is behind or wrong
    tacit_index_t fetch_index;
    struct tacit_digest fetch_root;
    struct tacit_digest stable_root;
    tacit_index_t stable;
    uint64_t stable_told; // published up to here
    uint64_t messages, unexpected;
};

// What the layouts need.
size_t tacit_smr_byzantine_control_bytes(const struct tacit_smr_config *config);
size_t tacit_smr_byzantine_registers_bytes(const struct tacit_smr_config *config);
enum tacit_status tacit_smr_byzantine_check(const struct tacit_smr_config *config,
                                            const char **problem);
// Measures with bump->base NULL.
void tacit_smr_byzantine_init(struct tacit_smr *smr, struct tacit_bump *bump);
// Begins epoch 0 as a first member.
void tacit_smr_byzantine_start(struct tacit_smr *smr);
void tacit_smr_byzantine_event(struct tacit_smr *smr, const struct tacit_event *event);
bool tacit_smr_byzantine_poll(struct tacit_smr *smr);
tacit_time_ns_t tacit_smr_byzantine_deadline(const struct tacit_smr *smr);
void tacit_smr_byzantine_suspicion(struct tacit_smr *smr, uint32_t trusted, uint32_t dead);
void tacit_smr_byzantine_status(const struct tacit_smr *smr, struct tacit_status_report *report);
const char *tacit_smr_byzantine_invariants(const struct tacit_smr *smr);

#endif
