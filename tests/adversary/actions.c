// SPDX-License-Identifier: Apache-2.0
//
// What a faulty replica does of its own accord: floods, SEAL_VIEWs, and changes of its memory that
// make its protocol code lie consistently. See adversary.h.
#include <string.h>

#include "adversary.h"
#include "byzantine/agree_internal.h"
#include "byzantine/ctb_internal.h"
#include "byzantine/requests_internal.h"
#include "smr/internal.h"

#define FLOOD_MAX 100u

static uint32_t some_ctb_message(struct adversary *adversary, uint32_t faulty, uint8_t *out)
{
    static const uint8_t kinds[] = {TACIT_MESSAGE_NUDGE,  TACIT_MESSAGE_FETCH_SUMMARY,
                                    TACIT_MESSAGE_FETCH,  TACIT_MESSAGE_LOCKED,
                                    TACIT_MESSAGE_SIGNED, TACIT_MESSAGE_SUMMARY_SHARE};
    const struct tacit_smr_byzantine *byzantine = &adversary_smr(adversary, faulty)->byzantine;
    struct tacit_ctb_message m = {
        .kind = kinds[choice_u32(adversary->choice, sizeof kinds)],
        .stream = (tacit_node_t)choice_u32(adversary->choice, adversary->replicas),
        .epoch = byzantine->agree->epoch,
        .payload = {.kind = TACIT_PAYLOAD_PREPARE}};
    uint64_t next;
    uint64_t locked;
    tacit_ctb_progress(byzantine->ctb, m.stream, &next, &locked);
    m.k = next + choice_u32(adversary->choice, 8);
    m.word = UINT64_MAX;
    if (!tacit_ctb_locked(byzantine->ctb, m.stream, next > 0 ? next - 1 : 0, &m.payload)) {
        choice_bytes(adversary->choice, m.signature.bytes, TACIT_SIGNATURE_BYTES);
    }
    m.digest = m.payload.digest;
    return tacit_ctb_encode(out, &m);
}

static uint32_t some_message(struct adversary *adversary, uint32_t faulty, uint8_t *out)
{
    const struct tacit_agree *agree = adversary_smr(adversary, faulty)->byzantine.agree;
    struct tacit_requests_key key = {
        .kind = TACIT_REQUEST_APPLY,
        .client = (uint16_t)choice_u32(adversary->choice, adversary->clients + 1),
        .session = choice_u32(adversary->choice, 4),
        .number = 1 + choice_u32(adversary->choice, 64)};
    memset(out, 0, 256);
    switch (choice_u32(adversary->choice, 6)) {
    case 0: // STATUS: says that it lacks all
        out[0] = TACIT_MESSAGE_STATUS;
        tacit_put64(out + 8, agree->view);
        tacit_put64(out + 24, agree->base + choice_u32(adversary->choice, 64));
        return 32;
    case 1:
        tacit_message_lack_encode(out,
                                  &(struct tacit_message_lack){
                                      .key = key,
                                      .view = agree->view,
                                      .slot = agree->applied + choice_u32(adversary->choice, 8)});
        return TACIT_LACK_BYTES;
    case 2:
        tacit_message_echo_encode(out, &(struct tacit_message_echo){.key = key});
        return TACIT_ECHO_BYTES;
    case 3:
        choice_bytes(adversary->choice, out, 200);
        out[0] = (uint8_t)choice_u32(adversary->choice, TACIT_MESSAGE_REQUESTS_END + 1);
        return choice_range(adversary->choice, 1, 200);
    default:
        return some_ctb_message(adversary, faulty, out);
    }
}

void adversary_flood(struct adversary *adversary, uint32_t faulty)
{
    uint8_t message[ADVERSARY_MESSAGE_BYTES];
    uint32_t receiver = choice_u32(adversary->choice, adversary->replicas);
    uint32_t count = choice_range(adversary->choice, 1, FLOOD_MAX);
    bool same = choice_u32(adversary->choice, 2) == 1;
    uint32_t bytes = some_message(adversary, faulty, message);
    for (uint32_t i = 0; i < count; i++) {
        if (!adversary_say(adversary, faulty, receiver, message, bytes)) {
            return;
        }
        if (!same) {
            bytes = some_message(adversary, faulty, message);
        }
    }
    adversary->world.ring(adversary->world.context, faulty, receiver);
}

// Forgets or changes what it ACKed, so that its SEAL_VIEW, its summaries and its state shares all
// lie alike.
void adversary_change_claims(struct tacit_agree *agree, uint32_t style)
{
    for (uint32_t i = 0; i < 2 * agree->config.window; i++) {
        struct tacit_slot *slot = &agree->slots[i];
        if (slot->slot == TACIT_SLOT_NONE || slot->slot < agree->base) {
            continue;
        }
        switch (style) {
        case 0:
            slot->acked.known = false;
            break;
        case 1:
            slot->acked.view = agree->view;
            break;
        case 2:
            slot->acked.known = true;
            slot->acked.view = agree->view;
            tacit_body_digest(&slot->acked.digest, NULL, 0);
            break;
        default:
            slot->acked.digest.bytes[0] ^= 1;
            break;
        }
    }
}

static void seal(struct adversary *adversary, uint32_t faulty)
{
    struct tacit_agree *agree = adversary_smr(adversary, faulty)->byzantine.agree;
    if (adversary_hits(adversary, ADVERSARY_CLAIMS)) {
        adversary_change_claims(agree, adversary_style(adversary, ADVERSARY_CLAIMS, 4));
    }
    uint64_t view = agree->view + (choice_u32(adversary->choice, 4) == 3);
    adversary_note(adversary, "replica %u seals view %llu out of the blue", faulty,
                   (unsigned long long)view);
    tacit_view_seal(agree, view);
    adversary->world.wake(adversary->world.context, faulty);
}

// Vouched whatever anybody claims: it co-signs any state.
bool adversary_vouch_all(struct tacit_agree *agree)
{
    bool any = false;
    for (tacit_node_t r = 0; r < agree->config.replicas; r++) {
        const struct tacit_stream *stream = &agree->streams[r];
        for (uint32_t i = 0; i < stream->claim_count; i++) {
            struct tacit_slot *slot = tacit_slot_at(agree, stream->claims[i].slot);
            if (slot != NULL) {
                slot->vouches = 0;
                tacit_slot_vouch(slot, stream->claims[i].view, &stream->claims[i].digest);
                any = true;
            }
        }
    }
    return any;
}

static bool lack_items(struct tacit_smr *smr, uint64_t slot, const uint8_t *batch, uint32_t bytes)
{
    struct tacit_requests *requests = smr->byzantine.requests;
    uint32_t self = smr->config.self;
    struct tacit_wire_item item;
    size_t offset = 0;
    bool any = false;
    while (tacit_wire_item_decode(&item, batch, bytes, &offset) == TACIT_VERDICT_OK) {
        if (item.kind != TACIT_ITEM_APPLY || item.subject >= requests->config.clients ||
            (requests->clients[item.subject].wary & 1u << self) != 0) {
            continue;
        }
        tacit_requests_be_wary(requests, (tacit_node_t)self, item.subject, false, smr->now_ns);
        struct tacit_message_lack lack = {.key = {.kind = TACIT_REQUEST_APPLY,
                                                  .client = item.subject,
                                                  .session = item.session,
                                                  .number = item.number},
                                          .view = requests->view,
                                          .slot = slot};
        uint8_t message[TACIT_LACK_BYTES];
        tacit_message_lack_encode(message, &lack);
        tacit_links_send_all(smr->byzantine.links, message, sizeof message);
        any = true;
    }
    return any;
}

// As a correct replica remembers who lacked what, so that nobody hears more of it than is needed.
bool adversary_lack_all(struct tacit_smr *smr)
{
    struct tacit_agree *agree = smr->byzantine.agree;
    bool any = false;
    for (uint64_t s = agree->undecided; s < agree->seen; s++) {
        const struct tacit_slot *slot = tacit_slot_at(agree, s);
        bool is_new = slot != NULL && slot->has_prepare && !slot->decided && !tacit_leads(agree);
        uint32_t bytes = 0;
        const uint8_t *batch =
            is_new ? tacit_agree_body(agree, &slot->prepare.digest, &bytes) : NULL;
        any = (batch != NULL && lack_items(smr, s, batch, bytes)) || any;
    }
    return any;
}

void adversary_act(struct adversary *adversary, uint32_t faulty)
{
    struct tacit_smr *smr = adversary_smr(adversary, faulty);
    if (smr == NULL || smr->byzantine.agree == NULL) {
        return;
    }
    if (adversary_hits(adversary, ADVERSARY_FLOOD)) {
        adversary_flood(adversary, faulty);
    }
    if (adversary_hits(adversary, ADVERSARY_SEAL)) {
        seal(adversary, faulty);
    }
    if (adversary_hits(adversary, ADVERSARY_CLAIMS)) {
        adversary_change_claims(smr->byzantine.agree,
                                adversary_style(adversary, ADVERSARY_CLAIMS, 4));
    }
    if (adversary_hits(adversary, ADVERSARY_COSIGN)) {
        (void)adversary_vouch_all(smr->byzantine.agree);
    }
    adversary_propose_twice(adversary, faulty);
    adversary_relock(adversary, faulty);
    adversary_summarize(adversary, faulty);
}
