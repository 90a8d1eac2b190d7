// SPDX-License-Identifier: Apache-2.0
//
// Who is heard in Byzantine mode, and by which part: the messages in the rings of the other
// replicas. A replica that is no member yet, or hears one that is none, acts on little of them,
// since what it knows of the group may be old and what the other says may be of another life.
#include <string.h>

#include "internal.h"

#define MESSAGES_PER_TURN 64u

// No member here: its certificates prove themselves, and that it speaks of a later epoch is reason
// to ask for one. It is answered when it is a member: what it is to hear as one comes then.
static void hear_stranger(struct tacit_smr *smr, tacit_node_t from, uint8_t kind, uint32_t bytes)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    const uint8_t *message = byzantine->message;
    uint32_t epoch = 0;
    if (bytes >= 8) {
        memcpy(&epoch, message + 4, sizeof epoch);
    }
    if (kind == TACIT_MESSAGE_CHECKPOINT_CERTIFICATE) {
        tacit_agree_message(byzantine->agree, from, message, bytes);
    } else if (kind >= TACIT_MESSAGE_STATUS && kind < TACIT_MESSAGE_AGREE_END &&
               epoch > byzantine->epoch) {
        tacit_agree_other_epoch(byzantine->agree, from, epoch);
    }
}

// Of who has left its seat: whoever is still in the epoch that ended is shown its end.
static void show_end(struct tacit_smr *smr, tacit_node_t from, uint32_t bytes)
{
    uint32_t epoch = 0;
    if (bytes >= 8) {
        memcpy(&epoch, smr->byzantine.message + 4, sizeof epoch);
        if (epoch <= (uint32_t)smr->byzantine.epoch) {
            tacit_agree_other_epoch(smr->byzantine.agree, from, epoch);
        }
    }
}

static void dispatch(struct tacit_smr *smr, tacit_node_t from, uint32_t bytes)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    uint8_t kind = bytes > 0 ? byzantine->message[0] : 0;
    bool is_stranger = tacit_links_is_stranger(byzantine->links, from);
    byzantine->messages++;
    if (!smr->active && !TACIT_BUG(JOINER_HEARS_ALL)) { // what is certified is all that counts
        if (kind == TACIT_MESSAGE_CHECKPOINT_CERTIFICATE) {
            tacit_agree_message(byzantine->agree, from, byzantine->message, bytes);
        } else if (byzantine->has_left && kind == TACIT_MESSAGE_STATUS) {
            show_end(smr, from, bytes);
        }
        return;
    }
    if (kind > 0 && kind < TACIT_MESSAGE_CTB_END && bytes >= 16) {
        uint64_t epoch;
        memcpy(&epoch, byzantine->message + 8, sizeof epoch);
        if (epoch > byzantine->epoch || (epoch < byzantine->epoch && !is_stranger)) {
            tacit_agree_other_epoch(byzantine->agree, from, epoch);
        }
    }
    if (is_stranger && !TACIT_BUG(STRANGER_COUNTS)) {
        hear_stranger(smr, from, kind, bytes);
        return;
    }
    if (kind > 0 && kind < TACIT_MESSAGE_CTB_END) {
        tacit_ctb_message(byzantine->ctb, from, byzantine->message, bytes, smr->now_ns);
    } else if (kind >= TACIT_MESSAGE_STATUS && kind < TACIT_MESSAGE_AGREE_END) {
        tacit_agree_message(byzantine->agree, from, byzantine->message, bytes);
    } else if (kind >= TACIT_MESSAGE_LACK && kind < TACIT_MESSAGE_REQUESTS_END) {
        tacit_requests_message(byzantine->requests, from, byzantine->message, bytes, smr->now_ns);
    } else if (kind == TACIT_MESSAGE_SUSPECT) {
        tacit_epochs_message(byzantine->epochs, from, byzantine->message, bytes);
    } else if (kind == TACIT_MESSAGE_ORDER) {
        tacit_orders_message(byzantine->orders, from, byzantine->message, bytes);
    } else {
        byzantine->unexpected++;
    }
}

bool tacit_smr_hear_peers(struct tacit_smr *smr)
{
    bool worked = false;
    for (tacit_node_t r = 0; r < smr->config.replicas; r++) {
        for (uint32_t budget = MESSAGES_PER_TURN; r != smr->config.self && budget > 0; budget--) {
            uint32_t bytes = 0;
            enum tacit_verdict verdict =
                tacit_links_receive(smr->byzantine.links, r, smr->byzantine.message, &bytes);
            if (verdict == TACIT_VERDICT_EMPTY) {
                break;
            }
            worked = true;
            if (verdict == TACIT_VERDICT_OK) {
                dispatch(smr, r, bytes);
            } else if (verdict == TACIT_VERDICT_MALFORMED &&
                       !tacit_links_is_stranger(smr->byzantine.links, r)) {
                tacit_ctb_malformed(smr->byzantine.ctb, r, smr->now_ns);
            }
        }
    }
    return worked;
}
