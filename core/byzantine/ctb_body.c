// SPDX-License-Identifier: Apache-2.0
//
// Consistent tail broadcast, bodies that did not come with their LOCK: fetched by digest, first
// from the broadcaster, then from all; and served to others. What is asked for at a time is bounded
// for each stream by itself, so that a liar who names bodies that do not exist hinders nobody else;
// what is served is bounded for each who asks.
#include <string.h>

#include "ctb_internal.h"

#define SERVED_BODIES 4u         // largest bodies that one peer gets in retry_ns,
#define SERVED_MORE_BYTES 65536u // and this much besides
#define SERVED_COST 64u          // of any answer

void tacit_ctb_body_reset(struct tacit_ctb *ctb)
{
    uint32_t kept = ctb->fetched_count < TACIT_CTB_FETCHED ? ctb->fetched_count : TACIT_CTB_FETCHED;
    for (uint32_t i = 0; i < kept; i++) {
        tacit_bodies_release(ctb->bodies, &ctb->fetched[i]);
    }
    ctb->fetched_count = 0;
    memset(ctb->wants, 0, sizeof ctb->wants);
    memset(ctb->peers, 0, sizeof ctb->peers);
}

// ---- locked slots ------------------------------------------------------------------------------

static bool hold(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot,
                 const void *body)
{
    uint32_t bytes = slot->payload.body_bytes;
    if (tacit_bodies_put(ctb->bodies, s, &slot->payload.digest, body, bytes) == NULL) {
        return false;
    }
    slot->flags |= TACIT_CTB_HELD;
    return true;
}

// Takes it from the store, where it may be for another reason.
static bool find(struct tacit_ctb *ctb, struct tacit_ctb_slot *slot)
{
    uint32_t bytes = 0;
    if (tacit_bodies_find(ctb->bodies, &slot->payload.digest, &bytes) == NULL ||
        bytes != slot->payload.body_bytes ||
        !tacit_bodies_hold(ctb->bodies, &slot->payload.digest)) {
        return false;
    }
    slot->flags |= TACIT_CTB_HELD;
    return true;
}

// Copies the body of a ticket to the scratch memory. NULL: not there, or not that one.
static const uint8_t *by_ticket(struct tacit_ctb *ctb, tacit_node_t from, uint64_t ticket,
                                const struct tacit_digest *digest, tacit_domain_t domain,
                                uint32_t most, uint32_t *bytes)
{
    struct tacit_digest seen;
    if (tacit_links_body(ctb->links, from, ticket, ctb->scratch, most, bytes) != TACIT_VERDICT_OK) {
        return NULL;
    }
    tacit_digest_make(&seen, domain, ctb->scratch, *bytes);
    return tacit_ctb_is_same(&seen, digest) ? ctb->scratch : NULL;
}

bool tacit_ctb_take_body(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot,
                         const struct tacit_ctb_message *message)
{
    bool has = false;
    if (message->kind == TACIT_MESSAGE_LOCK && message->carries == TACIT_CTB_INLINE) {
        has = hold(ctb, s, slot, message->body); // the digest was checked
    } else if (!find(ctb, slot) && message->kind == TACIT_MESSAGE_LOCK &&
               message->carries == TACIT_CTB_TICKET) {
        uint32_t bytes = 0;
        const uint8_t *body = by_ticket(ctb, s, message->word, &slot->payload.digest,
                                        TACIT_DOMAIN_BODY, ctb->config.body_bytes, &bytes);
        has = body != NULL && bytes == slot->payload.body_bytes && hold(ctb, s, slot, body);
    } else {
        has = (slot->flags & TACIT_CTB_HELD) != 0;
    }
    has = has || (slot->flags & TACIT_CTB_HELD) != 0;
    if (!has) {
        struct tacit_ctb_stream *stream = &ctb->streams[s];
        stream->body_due_ns = ctb->now_ns;
        stream->body_work = true;
    }
    return has;
}

// ---- asking ------------------------------------------------------------------------------------

static struct tacit_ctb_want *want_of(struct tacit_ctb_want *wants,
                                      const struct tacit_digest *digest)
{
    for (uint32_t i = 0; i < TACIT_CTB_WANTS; i++) {
        if (wants[i].is && tacit_ctb_is_same(&wants[i].digest, digest)) {
            return &wants[i];
        }
    }
    return NULL;
}

static void want(struct tacit_ctb *ctb, struct tacit_ctb_want *wants,
                 const struct tacit_digest *digest, uint32_t bytes)
{
    if (want_of(wants, digest) != NULL) {
        return;
    }
    for (uint32_t i = 0; i < TACIT_CTB_WANTS; i++) {
        if (!wants[i].is) {
            wants[i] = (struct tacit_ctb_want){
                .is = true, .digest = *digest, .bytes = bytes, .due_ns = ctb->now_ns};
            return;
        }
    }
}

void tacit_ctb_fetch(struct tacit_ctb *ctb, const struct tacit_digest *digest, uint32_t bytes,
                     tacit_time_ns_t now_ns)
{
    uint32_t held = 0;
    ctb->now_ns = now_ns;
    if (tacit_bodies_find(ctb->bodies, digest, &held) == NULL) {
        want(ctb, ctb->wants, digest, bytes);
    }
}

// Asks those of `wants` whose turn it is; `first` is asked first, alone (NONE: all).
static bool ask(struct tacit_ctb *ctb, struct tacit_ctb_want *wants, tacit_node_t first)
{
    bool did = false;
    for (uint32_t i = 0; i < TACIT_CTB_WANTS; i++) {
        struct tacit_ctb_want *one = &wants[i];
        if (!one->is || ctb->now_ns < one->due_ns) {
            continue;
        }
        if (one->tries == TACIT_CTB_TRIES) {
            one->is = false; // another's turn; whoever still needs it asks anew
            continue;
        }
        struct tacit_ctb_message message = {.kind = TACIT_MESSAGE_FETCH,
                                            .epoch = ctb->epoch,
                                            .k = one->bytes,
                                            .digest = one->digest};
        if (one->tries == 0 && first != TACIT_NODE_NONE && first != ctb->config.self) {
            tacit_ctb_send(ctb, first, &message);
        } else {
            tacit_ctb_send_all(ctb, &message);
        }
        one->due_ns = ctb->now_ns + (ctb->config.retry_ns << one->tries);
        one->tries++;
        did = true;
    }
    return did;
}

// Looks after a locked slot whose body is missing. True: still missing.
static bool chase(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot)
{
    if (find(ctb, slot)) {
        tacit_ctb_got_body(ctb, s, slot, true);
        return false;
    }
    want(ctb, ctb->streams[s].wants, &slot->payload.digest, slot->payload.body_bytes);
    return true;
}

// First what holds up delivery, then the rest.
static void scan(struct tacit_ctb *ctb, tacit_node_t s)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    bool missing = false;
    for (unsigned pass = 0; pass < 2 && !stream->condemned; pass++) {
        uint64_t from =
            stream->lock_end > ctb->config.tail ? stream->lock_end - ctb->config.tail : 0;
        for (uint32_t i = 0; i < ctb->config.tail && !stream->condemned; i++) {
            struct tacit_ctb_slot *slot = tacit_ctb_locked_slot(ctb, s, from + i);
            bool now = slot != NULL && slot->k >= stream->next &&
                       slot->payload.kind != TACIT_PAYLOAD_PREPARE;
            if (slot != NULL && (slot->flags & TACIT_CTB_HELD) == 0 && now == (pass == 0)) {
                missing = chase(ctb, s, slot) || missing;
            }
        }
    }
    stream->body_work = missing;
    stream->body_due_ns = ctb->now_ns + ctb->config.retry_ns;
}

bool tacit_ctb_body_poll(struct tacit_ctb *ctb)
{
    bool did = ask(ctb, ctb->wants, TACIT_NODE_NONE);
    for (tacit_node_t s = 0; s < ctb->config.replicas; s++) {
        struct tacit_ctb_stream *stream = &ctb->streams[s];
        if (!stream->condemned && stream->body_work && ctb->now_ns >= stream->body_due_ns) {
            scan(ctb, s);
        }
        did = ask(ctb, stream->wants, s) || did;
    }
    return did;
}

static tacit_time_ns_t wants_due(const struct tacit_ctb_want *wants)
{
    tacit_time_ns_t due_ns = TACIT_CTB_NEVER;
    for (uint32_t i = 0; i < TACIT_CTB_WANTS; i++) {
        if (wants[i].is && wants[i].due_ns < due_ns) {
            due_ns = wants[i].due_ns;
        }
    }
    return due_ns;
}

tacit_time_ns_t tacit_ctb_body_due(const struct tacit_ctb *ctb)
{
    tacit_time_ns_t due_ns = wants_due(ctb->wants);
    for (tacit_node_t s = 0; s < ctb->config.replicas; s++) {
        const struct tacit_ctb_stream *stream = &ctb->streams[s];
        tacit_time_ns_t at_ns = wants_due(stream->wants);
        due_ns = at_ns < due_ns ? at_ns : due_ns;
        if (!stream->condemned && stream->body_work && stream->body_due_ns < due_ns) {
            due_ns = stream->body_due_ns;
        }
    }
    return due_ns;
}

// ---- serving -----------------------------------------------------------------------------------

// What is here under a digest: a body, or an encoded state.
static const uint8_t *look_up(const struct tacit_ctb *ctb, const struct tacit_digest *digest,
                              uint32_t *bytes)
{
    const uint8_t *body = tacit_bodies_find(ctb->bodies, digest, bytes);
    for (tacit_node_t s = 0; body == NULL && s < ctb->config.replicas; s++) {
        const struct tacit_ctb_state *states[2] = {&ctb->streams[s].kept, &ctb->streams[s].made};
        for (unsigned i = 0; i < 2; i++) {
            if (states[i]->is && tacit_ctb_is_same(&states[i]->digest, digest)) {
                *bytes = states[i]->bytes;
                return states[i]->memory;
            }
        }
    }
    return body;
}

void tacit_ctb_on_fetch(struct tacit_ctb *ctb, tacit_node_t from,
                        const struct tacit_ctb_message *message)
{
    struct tacit_ctb_peer *peer = &ctb->peers[from];
    uint64_t largest = ctb->config.body_bytes > ctb->config.state_bytes ? ctb->config.body_bytes
                                                                        : ctb->config.state_bytes;
    if (ctb->now_ns >= peer->fetch_refill_ns) {
        peer->fetch_refill_ns = ctb->now_ns + ctb->config.retry_ns;
        peer->fetch_budget = SERVED_BODIES * largest + SERVED_MORE_BYTES;
    }
    uint32_t bytes = 0;
    const uint8_t *body = look_up(ctb, &message->digest, &bytes);
    if (body == NULL || peer->fetch_budget < bytes + SERVED_COST) {
        return;
    }
    peer->fetch_budget -= bytes + SERVED_COST;
    struct tacit_ctb_message answer = {.kind = TACIT_MESSAGE_BODY,
                                       .carries = TACIT_CTB_INLINE,
                                       .epoch = ctb->epoch,
                                       .k = bytes,
                                       .digest = message->digest,
                                       .body = body,
                                       .body_bytes = bytes};
    if (bytes > TACIT_BYZ_INLINE_BYTES) {
        answer.carries = TACIT_CTB_TICKET;
        answer.word = tacit_links_send_body(ctb->links, from, body, bytes);
    }
    tacit_ctb_send(ctb, from, &answer);
}

// ---- what came ---------------------------------------------------------------------------------

// The bytes that a BODY brings if they have the digest that it names; else NULL.
static const uint8_t *bytes_of(struct tacit_ctb *ctb, tacit_node_t from,
                               const struct tacit_ctb_message *message, tacit_domain_t domain,
                               uint32_t most, uint32_t *bytes)
{
    if (message->carries == TACIT_CTB_TICKET) {
        return by_ticket(ctb, from, message->word, &message->digest, domain, most, bytes);
    }
    struct tacit_digest seen;
    *bytes = message->body_bytes;
    tacit_digest_make(&seen, domain, message->body, message->body_bytes);
    return message->body_bytes <= most && tacit_ctb_is_same(&seen, &message->digest) ? message->body
                                                                                     : NULL;
}

// Keeps it for the engine for a while.
static void keep(struct tacit_ctb *ctb, const struct tacit_digest *digest, const uint8_t *body,
                 uint32_t bytes)
{
    struct tacit_digest *place = &ctb->fetched[ctb->fetched_count % TACIT_CTB_FETCHED];
    if (tacit_bodies_put(ctb->bodies, ctb->config.self, digest, body, bytes) == NULL) {
        return;
    }
    if (ctb->fetched_count >= TACIT_CTB_FETCHED) {
        tacit_bodies_release(ctb->bodies, place);
    }
    *place = *digest;
    ctb->fetched_count++;
    if (ctb->fetched_count == 2 * TACIT_CTB_FETCHED) {
        ctb->fetched_count = TACIT_CTB_FETCHED;
    }
}

static void give(struct tacit_ctb *ctb, tacit_node_t s, const struct tacit_digest *digest,
                 const uint8_t *body, uint32_t bytes)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    for (uint32_t i = 0; i < ctb->config.tail && !stream->condemned; i++) {
        struct tacit_ctb_slot *slot = &stream->slots[i];
        if ((slot->flags & TACIT_CTB_LOCKED) != 0 && (slot->flags & TACIT_CTB_HELD) == 0 &&
            slot->payload.body_bytes == bytes && tacit_ctb_is_same(&slot->payload.digest, digest) &&
            hold(ctb, s, slot, body)) {
            tacit_ctb_got_body(ctb, s, slot, true);
        }
    }
}

void tacit_ctb_on_body(struct tacit_ctb *ctb, tacit_node_t from,
                       const struct tacit_ctb_message *message)
{
    uint32_t bytes = 0;
    for (tacit_node_t s = 0; s < ctb->config.replicas; s++) {
        if (tacit_ctb_wants_state(ctb, s, &message->digest)) {
            const uint8_t *state =
                bytes_of(ctb, from, message, TACIT_DOMAIN_STATE, ctb->config.state_bytes, &bytes);
            if (state != NULL) {
                tacit_ctb_adopt(ctb, s, state, bytes);
            } else {
                ctb->counters.malformed++;
            }
            return;
        }
    }
    struct tacit_ctb_want *engine = want_of(ctb->wants, &message->digest);
    bool wanted = engine != NULL;
    for (tacit_node_t s = 0; s < ctb->config.replicas && !wanted; s++) {
        wanted = want_of(ctb->streams[s].wants, &message->digest) != NULL;
    }
    if (!wanted) {
        return; // late, or nobody asked
    }
    const uint8_t *body =
        bytes_of(ctb, from, message, TACIT_DOMAIN_BODY, ctb->config.body_bytes, &bytes);
    if (body == NULL) {
        ctb->counters.malformed++;
        return;
    }
    ctb->counters.bodies_fetched++;
    if (engine != NULL) {
        engine->is = false;
        keep(ctb, &message->digest, body, bytes);
    }
    for (tacit_node_t s = 0; s < ctb->config.replicas; s++) {
        struct tacit_ctb_want *one = want_of(ctb->streams[s].wants, &message->digest);
        if (one != NULL) {
            one->is = false;
            give(ctb, s, &message->digest, body, bytes);
        }
    }
}
