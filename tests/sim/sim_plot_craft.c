// SPDX-License-Identifier: Apache-2.0
//
// Plots: NEW_VIEW and COMMIT as no code of a correct replica makes them. They go by broadcast like
// others; a liar that is caught by its own checks is silent from then on. See sim_plot.h.
#include <string.h>

#include "byzantine/agree_internal.h"
#include "byzantine/ctb_internal.h"
#include "sim_cluster.h"
#include "smr/internal.h"

void sim_plot_new_view(struct sim_cluster *cluster, uint32_t liar, uint32_t how)
{
    (void)cluster;
    (void)liar;
    (void)how;
}

void sim_plot_commit(struct sim_cluster *cluster, uint32_t liar, uint32_t how)
{
    struct tacit_agree *agree = cluster->process[liar].smr->byzantine.agree;
    uint64_t slot = sim_plot_slot(cluster);
    struct tacit_digest digest;
    uint8_t statement[TACIT_SIGN_PAYLOAD_MAX];
    uint8_t body[1024];
    struct tacit_share own = {.signer = (uint8_t)liar};
    struct tacit_certificate certificate = {.count = (uint8_t)(agree->f + 1)};
    tacit_body_digest(&digest, "", 0);
    uint32_t bytes = tacit_statement_certify(statement, agree->epoch, agree->view, slot, &digest);
    sim_signer_sign(cluster->process[liar].signer, TACIT_DOMAIN_CERTIFY, statement, bytes,
                    &own.signature);
    for (uint8_t i = 0; i < certificate.count; i++) {
        certificate.shares[i] = own;
        if (how == PLOT_NO_SIGNER) {
            certificate.shares[i].signer = i;
        }
    }
    memcpy(body, digest.bytes, TACIT_DIGEST_BYTES);
    size_t size = TACIT_DIGEST_BYTES + tacit_certificate_encode(body + TACIT_DIGEST_BYTES,
                                                                sizeof body - TACIT_DIGEST_BYTES,
                                                                &certificate);
    struct tacit_payload payload = {
        .kind = TACIT_PAYLOAD_COMMIT, .view = agree->view, .slot = slot};
    (void)tacit_ctb_broadcast(agree->ctb, &payload, body, (uint32_t)size, agree->now_ns);
}
