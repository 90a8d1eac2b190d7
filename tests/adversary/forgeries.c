// SPDX-License-Identifier: Apache-2.0
//
// What a faulty replica makes up at drawn moments: a request in two slots, another LOCK for an id
// that is under way, states of streams that nobody certified. See adversary.h.
#include <string.h>

#include "adversary.h"
#include "byzantine/agree_internal.h"
#include "byzantine/ctb_internal.h"
#include "byzantine/streams.h"
#include "smr/internal.h"

#define RELOCKED 4u   // newest own ids
#define SAID_OFTEN 6u // a made-up state, before the next one

// ---- requests in two slots

void adversary_propose_twice(struct adversary *adversary, uint32_t faulty)
{
    const struct tacit_smr_byzantine *byzantine = &adversary_smr(adversary, faulty)->byzantine;
    struct tacit_agree *agree = byzantine->agree;
    struct tacit_payload payload;
    uint64_t delivered;
    uint64_t end;
    uint64_t slot;
    if (!tacit_agree_can_propose(agree)) {
        return;
    }
    tacit_ctb_progress(byzantine->ctb, (tacit_node_t)faulty, &delivered, &end);
    for (uint64_t k = end; k-- > 0 && k + RELOCKED >= end;) {
        uint32_t bytes = 0;
        if (!tacit_ctb_locked(byzantine->ctb, (tacit_node_t)faulty, k, &payload) ||
            payload.kind != TACIT_PAYLOAD_PREPARE || payload.body_bytes == 0) {
            continue;
        }
        const uint8_t *body = tacit_bodies_find(byzantine->bodies, &payload.digest, &bytes);
        if (body == NULL || bytes > ADVERSARY_MESSAGE_BYTES ||
            !adversary_hits(adversary, ADVERSARY_TWICE)) {
            continue;
        }
        memcpy(adversary->scratch, body, bytes);
        if (tacit_agree_propose(agree, adversary->scratch, bytes, &slot)) {
            adversary_note(adversary,
                           "replica %u proposes the batch of slot %llu in slot %llu, too", faulty,
                           (unsigned long long)payload.slot, (unsigned long long)slot);
            adversary->world.wake(adversary->world.context, faulty);
        }
        return;
    }
}

// ---- a second LOCK

// Who was told one thing is told the other one now.
static void relock_id(struct adversary *adversary, uint32_t faulty, uint64_t k,
                      const struct tacit_payload *payload, const struct adversary_instead *instead)
{
    const struct tacit_smr_byzantine *byzantine = &adversary_smr(adversary, faulty)->byzantine;
    uint8_t message[ADVERSARY_MESSAGE_BYTES];
    uint32_t bytes = 0;
    const uint8_t *body = tacit_bodies_find(byzantine->bodies, &payload->digest, &bytes);
    for (uint32_t r = 0; r < adversary->replicas; r++) {
        struct tacit_ctb_message lock = {.kind = TACIT_MESSAGE_LOCK,
                                         .stream = (tacit_node_t)faulty,
                                         .carries = TACIT_CTB_INLINE,
                                         .epoch = byzantine->agree->epoch,
                                         .k = k,
                                         .payload = *payload,
                                         .body = body,
                                         .body_bytes = bytes};
        if ((instead->to >> r & 1) == 0) {
            lock.payload.digest = instead->told;
            lock.payload.body_bytes = lock.body_bytes = instead->bytes;
            lock.body = instead->body;
        }
        if (r != faulty && lock.body != NULL && lock.body_bytes <= TACIT_BYZ_INLINE_BYTES &&
            adversary_say(adversary, faulty, r, message, tacit_ctb_encode(message, &lock))) {
            adversary->world.ring(adversary->world.context, faulty, r);
        }
    }
    adversary_note(adversary, "replica %u: a second LOCK for id %llu, to all", faulty,
                   (unsigned long long)k);
}

void adversary_relock(struct adversary *adversary, uint32_t faulty)
{
    const struct tacit_smr_byzantine *byzantine = &adversary_smr(adversary, faulty)->byzantine;
    uint64_t delivered;
    uint64_t end;
    tacit_ctb_progress(byzantine->ctb, (tacit_node_t)faulty, &delivered, &end);
    for (uint64_t k = end; k-- > 0 && k + RELOCKED >= end;) {
        struct tacit_payload payload;
        if (!tacit_ctb_locked(byzantine->ctb, (tacit_node_t)faulty, k, &payload)) {
            continue;
        }
        const struct adversary_instead *instead = adversary_instead_of(adversary, &payload.digest);
        if (instead != NULL && instead->to != 0 && instead->has_body &&
            adversary_hits(adversary, ADVERSARY_RELOCK)) {
            relock_id(adversary, faulty, k, &payload, instead);
        }
    }
}

// ---- states that nobody certified

// The state of a stream as this replica knows it, with a COMMIT more: of a no-op, in the first slot
// that is not decided here.
static uint32_t make_state(struct tacit_agree *agree, tacit_node_t stream, uint8_t *out, size_t max)
{
    struct tacit_stream *scratch = &agree->scratch[0];
    if (tacit_stream_bytes_max(agree->config.window) > max) {
        return 0;
    }
    size_t bytes = tacit_stream_encode(&agree->streams[stream], out);
    uint64_t slot = agree->undecided;
    if (tacit_stream_decode(scratch, out, bytes) != TACIT_VERDICT_OK ||
        !tacit_stream_in_window(scratch, slot) || scratch->view != agree->view) {
        return 0;
    }
    struct tacit_slot_value *commit = &scratch->commits[slot % scratch->window];
    *commit = (struct tacit_slot_value){.slot = slot, .view = agree->view};
    tacit_body_digest(&commit->digest, "", 0);
    return (uint32_t)tacit_stream_encode(scratch, out);
}

// An id at which correct replicas make summaries, and beyond what they could have locked: whoever
// believes in it has a gap.
static uint64_t summary_id(const struct tacit_ctb *ctb, tacit_node_t stream)
{
    uint64_t half = ctb->config.tail / 2;
    return (ctb->streams[stream].lock_end + ctb->config.tail) / half * half + 2 * half - 1;
}

static void make_summaries(struct adversary *adversary, uint32_t faulty)
{
    struct tacit_agree *agree = adversary_smr(adversary, faulty)->byzantine.agree;
    uint32_t victim = choice_u32(adversary->choice, adversary->replicas);
    adversary->summaries = 0;
    for (tacit_node_t s = 0; s < adversary->replicas; s++) {
        struct adversary_summary *summary = &adversary->summary[adversary->summaries];
        if (s == victim || victim == faulty) {
            continue;
        }
        summary->bytes = make_state(agree, s, summary->body, sizeof summary->body);
        if (summary->bytes == 0) {
            continue;
        }
        summary->stream = s;
        summary->victim = victim;
        summary->k = summary_id(agree->ctb, s);
        summary->said = 0;
        adversary->summaries++;
    }
}

static void say_summary(struct adversary *adversary, uint32_t faulty,
                        struct adversary_summary *summary)
{
    const struct tacit_smr_byzantine *byzantine = &adversary_smr(adversary, faulty)->byzantine;
    uint8_t message[ADVERSARY_MESSAGE_BYTES];
    struct tacit_ctb_message m = {.kind = TACIT_MESSAGE_SUMMARY,
                                  .stream = (tacit_node_t)summary->stream,
                                  .epoch = byzantine->agree->epoch,
                                  .k = summary->k};
    tacit_digest_make(&m.digest, TACIT_DOMAIN_STATE, summary->body, summary->bytes);
    m.certificate.count = (uint8_t)((adversary->replicas + 1) / 2);
    for (uint8_t i = 0; i < m.certificate.count; i++) { // signatures that do not hold
        m.certificate.shares[i].signer = i;
        memcpy(m.certificate.shares[i].signature.bytes, m.digest.bytes, TACIT_DIGEST_BYTES);
    }
    (void)adversary_say(adversary, faulty, summary->victim, message, tacit_ctb_encode(message, &m));
    // And the state, in case it is asked for.
    m.kind = TACIT_MESSAGE_BODY;
    m.k = summary->bytes;
    m.body = summary->body;
    m.body_bytes = summary->bytes;
    m.carries = TACIT_CTB_INLINE;
    if (summary->bytes > TACIT_BYZ_INLINE_BYTES) {
        m.carries = TACIT_CTB_TICKET;
        m.word = tacit_links_send_body(byzantine->links, (tacit_node_t)summary->victim,
                                       summary->body, summary->bytes);
    }
    (void)adversary_say(adversary, faulty, summary->victim, message, tacit_ctb_encode(message, &m));
    adversary->world.ring(adversary->world.context, faulty, summary->victim);
    summary->said++;
}

void adversary_summarize(struct adversary *adversary, uint32_t faulty)
{
    if (!adversary_hits(adversary, ADVERSARY_SUMMARY)) {
        return;
    }
    if (adversary->summaries == 0 || adversary->summary[0].said >= SAID_OFTEN) {
        make_summaries(adversary, faulty);
    }
    for (uint32_t i = 0; i < adversary->summaries; i++) {
        say_summary(adversary, faulty, &adversary->summary[i]);
    }
}
