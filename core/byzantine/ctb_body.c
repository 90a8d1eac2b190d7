// SPDX-License-Identifier: Apache-2.0
//
// Consistent tail broadcast, bodies that did not come with their LOCK: fetched by digest, first
// from the broadcaster, then from all; and served to others. What is asked for at a time is bounded
// for each stream by itself, so that a liar who names bodies that do not exist hinders nobody else;
// what is served is bounded for each who asks.
#include <string.h>

#include "../base/bug.h"
#include "ctb_internal.h"

#define SERVED_BODIES 4u         // largest bodies that one peer gets in retry_ns,
#define SERVED_MORE_BYTES 65536u // and this much besides
#define SERVED_COST 64u          // of any answer

static uint32_t account_fetched(const struct tacit_ctb *ctb, tacit_node_t owner)
{
    return tacit_bodies_account_fetched(ctb->config.replicas, owner);
}

static void drop_fetched(struct tacit_ctb *ctb, tacit_node_t owner)
{
    struct tacit_ctb_stream *stream = &ctb->streams[owner];
    tacit_bodies_release(ctb->bodies, account_fetched(ctb, owner),
                         &stream->fetched[stream->fetched_first]);
    stream->fetched_first = (stream->fetched_first + 1) % TACIT_CTB_FETCHED;
    stream->fetched_count--;
}

void tacit_ctb_body_reset(struct tacit_ctb *ctb)
{
    for (tacit_node_t owner = 0; owner < ctb->config.replicas; owner++) {
        while (ctb->streams[owner].fetched_count > 0) {
            drop_fetched(ctb, owner);
        }
    }
    memset(ctb->peers, 0, sizeof ctb->peers);
}

// ---- locked slots ------------------------------------------------------------------------------

static bool is_batch(const struct tacit_ctb_slot *slot)
{
    return slot->payload.kind == TACIT_PAYLOAD_PREPARE;
}

void tacit_ctb_let_go(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot)
{
    if ((slot->flags & TACIT_CTB_HELD) != 0) {
        tacit_bodies_release(ctb->bodies, s, &slot->payload.digest);
    }
    slot->flags &= (uint16_t)~TACIT_CTB_HELD;
}

void tacit_ctb_let_go_certified(struct tacit_ctb *ctb, tacit_node_t s)
{
    const struct tacit_ctb_stream *stream = &ctb->streams[s];
    for (uint32_t i = 0; i < ctb->config.tail; i++) {
        struct tacit_ctb_slot *slot = &stream->slots[i];
        if ((slot->flags & TACIT_CTB_HELD) != 0 && slot->k < stream->next &&
            slot->k <= stream->known.k && !is_batch(slot)) {
            tacit_ctb_let_go(ctb, s, slot);
        }
    }
}

// The large body of another's stream that gives way to that of id k: first what was delivered,
// oldest first, then what comes last. NULL: none. (A broadcaster keeps all of its own until they
// are certified.)
static struct tacit_ctb_slot *least_needed(const struct tacit_ctb *ctb, tacit_node_t s, uint64_t k)
{
    const struct tacit_ctb_stream *stream = &ctb->streams[s];
    struct tacit_ctb_slot *oldest = NULL;
    struct tacit_ctb_slot *latest = NULL;
    for (uint32_t i = 0; i < ctb->config.tail; i++) {
        struct tacit_ctb_slot *slot = &stream->slots[i];
        bool counts = (slot->flags & TACIT_CTB_HELD) != 0 && !is_batch(slot) &&
                      slot->payload.body_bytes > TACIT_BYZ_INLINE_BYTES;
        if (counts && slot->k < stream->next && (oldest == NULL || slot->k < oldest->k)) {
            oldest = slot;
        }
        if (counts && slot->k > k && (latest == NULL || slot->k > latest->k)) {
            latest = slot;
        }
    }
    return oldest != NULL ? oldest : latest;
}

// Lets go of a large body, so that an earlier one, or one that was not delivered yet, finds room.
static bool give_way(struct tacit_ctb *ctb, tacit_node_t s, uint64_t k)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    struct tacit_ctb_slot *slot = least_needed(ctb, s, k);
    if (slot == NULL) {
        return false;
    }
    tacit_mark(&ctb->marker, TACIT_MARK_CTB_BODY_GAVE_WAY);
    tacit_ctb_let_go(ctb, s, slot);
    stream->body_work = stream->body_work || slot->k >= stream->next; // fetched in its turn
    return true;
}

static bool hold(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot,
                 const void *body)
{
    uint32_t bytes = slot->payload.body_bytes;
    const struct tacit_digest *digest = &slot->payload.digest;
    while (!tacit_bodies_put(ctb->bodies, s, is_batch(slot), digest, body, bytes)) {
        if (s == ctb->config.self || is_batch(slot) || TACIT_BUG(BODIES_NONE_GIVES_WAY) ||
            !give_way(ctb, s, slot->k)) {
            return false;
        }
    }
    slot->flags |= TACIT_CTB_HELD;
    return true;
}

// Takes it from the store, where it may be for another reason.
static bool find(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot)
{
    uint32_t bytes = 0;
    const uint8_t *body = tacit_bodies_find(ctb->bodies, &slot->payload.digest, &bytes);
    return body != NULL && bytes == slot->payload.body_bytes && hold(ctb, s, slot, body);
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

// Whether the body of a locked id is still of use: a batch may be vouched long after its delivery.
bool tacit_ctb_lacks_body(const struct tacit_ctb *ctb, tacit_node_t s,
                          const struct tacit_ctb_slot *slot)
{
    return (slot->flags & (TACIT_CTB_LOCKED | TACIT_CTB_HELD)) == TACIT_CTB_LOCKED &&
           (is_batch(slot) || slot->k >= ctb->streams[s].next);
}

// The body that a LOCK brings. What lies beside it is looked at once for an id: a correct
// broadcaster does not send it again, and each look costs a digest.
static bool take_brought(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot,
                         const struct tacit_ctb_message *message)
{
    if (message->kind != TACIT_MESSAGE_LOCK || message->carries == TACIT_CTB_NOTHING) {
        return false;
    }
    if (message->carries == TACIT_CTB_INLINE) {
        return hold(ctb, s, slot, message->body); // the digest was checked
    }
    if ((slot->flags & TACIT_CTB_LOOKED) != 0) {
        return false;
    }
    slot->flags |= TACIT_CTB_LOOKED;
    uint32_t bytes = 0;
    const uint8_t *body = by_ticket(ctb, s, message->word, &slot->payload.digest, TACIT_DOMAIN_BODY,
                                    ctb->config.body_bytes, &bytes);
    return body != NULL && bytes == slot->payload.body_bytes && hold(ctb, s, slot, body);
}

bool tacit_ctb_take_body(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot,
                         const struct tacit_ctb_message *message)
{
    // What the message brings is here in any case; what lies beside it takes a digest.
    bool is_inline = message->kind == TACIT_MESSAGE_LOCK && message->carries == TACIT_CTB_INLINE;
    if ((!is_inline && find(ctb, s, slot)) || take_brought(ctb, s, slot, message)) {
        return true;
    }
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    stream->body_due_ns = ctb->now_ns;
    stream->body_work = true;
    return false;
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

static void want(struct tacit_ctb *ctb, tacit_node_t owner, const struct tacit_digest *digest,
                 uint32_t bytes, bool engine)
{
    struct tacit_ctb_want *wants = ctb->streams[owner].wants;
    struct tacit_ctb_want *one = want_of(wants, digest);
    if (one != NULL) {
        one->engine = one->engine || engine;
        return;
    }
    for (uint32_t i = 0; i < TACIT_CTB_WANTS; i++) {
        if (!wants[i].is) {
            ctb->streams[owner].wanting = true;
            wants[i] = (struct tacit_ctb_want){.is = true,
                                               .engine = engine,
                                               .digest = *digest,
                                               .bytes = bytes,
                                               .due_ns = ctb->now_ns};
            return;
        }
    }
}

void tacit_ctb_fetch(struct tacit_ctb *ctb, tacit_node_t owner, const struct tacit_digest *digest,
                     uint32_t bytes, tacit_time_ns_t now_ns)
{
    uint32_t held = 0;
    TACIT_ASSERT(owner < ctb->config.replicas);
    ctb->now_ns = now_ns;
    if (tacit_bodies_find(ctb->bodies, digest, &held) == NULL) {
        want(ctb, TACIT_BUG(BODIES_FETCHED_TOGETHER) ? ctb->config.self : owner, digest, bytes,
             true);
    }
}

// Asks for those bodies whose turn it is: first their owner alone, then all.
static bool ask(struct tacit_ctb *ctb, tacit_node_t owner)
{
    struct tacit_ctb_stream *stream = &ctb->streams[owner];
    bool did = false;
    if (!stream->wanting) { // as in nearly every turn
        return false;
    }
    stream->wanting = false;
    for (uint32_t i = 0; i < TACIT_CTB_WANTS; i++) {
        struct tacit_ctb_want *one = &stream->wants[i];
        stream->wanting = stream->wanting || one->is;
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
        if (one->tries == 0 && !one->engine && owner != ctb->config.self) {
            tacit_ctb_send(ctb, owner, &message);
        } else {
            tacit_ctb_send_all(ctb, &message);
        }
        one->due_ns = ctb->now_ns + (ctb->config.retry_ns << one->tries);
        one->tries++;
        did = true;
    }
    return did;
}

// Whether its body would be held if it came now: that of the id to be delivered next always is.
static bool has_room(const struct tacit_ctb *ctb, tacit_node_t s, const struct tacit_ctb_slot *slot)
{
    return tacit_bodies_has_room(ctb->bodies, s, is_batch(slot), slot->payload.body_bytes) ||
           (!is_batch(slot) && least_needed(ctb, s, slot->k) != NULL);
}

// Looks after a locked slot whose body is missing. True: still missing. What would find no room is
// not asked for: it would come, be dropped and asked for again for ever, and beside a link's ring
// there are few places: those answers would overwrite, each time, the one that is waited for.
static bool chase(struct tacit_ctb *ctb, tacit_node_t s, struct tacit_ctb_slot *slot)
{
    if (find(ctb, s, slot)) {
        tacit_ctb_got_body(ctb, s, slot, true);
        return false;
    }
    if (has_room(ctb, s, slot) || TACIT_BUG(ASKED_WITHOUT_ROOM)) {
        want(ctb, s, &slot->payload.digest, slot->payload.body_bytes, false);
    }
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
            bool now = slot != NULL && slot->k >= stream->next && !is_batch(slot);
            if (slot != NULL && tacit_ctb_lacks_body(ctb, s, slot) && now == (pass == 0)) {
                missing = chase(ctb, s, slot) || missing;
            }
        }
    }
    stream->body_work = missing;
    stream->body_due_ns = ctb->now_ns + ctb->config.retry_ns;
}

bool tacit_ctb_body_poll(struct tacit_ctb *ctb)
{
    bool did = false;
    for (tacit_node_t s = 0; s < ctb->config.replicas; s++) {
        struct tacit_ctb_stream *stream = &ctb->streams[s];
        if (!stream->condemned && stream->body_work && ctb->now_ns >= stream->body_due_ns) {
            scan(ctb, s);
        }
        did = ask(ctb, s) || did;
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
    tacit_time_ns_t due_ns = TACIT_CTB_NEVER;
    for (tacit_node_t s = 0; s < ctb->config.replicas; s++) {
        const struct tacit_ctb_stream *stream = &ctb->streams[s];
        tacit_time_ns_t at_ns = stream->wanting ? wants_due(stream->wants) : TACIT_CTB_NEVER;
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

// The bytes that a BODY brings if they have the digest that it names; else NULL. Who sends others
// is not listened to for a while: each one costs a digest.
static const uint8_t *bytes_of(struct tacit_ctb *ctb, tacit_node_t from,
                               const struct tacit_ctb_message *message, tacit_domain_t domain,
                               uint32_t most, uint32_t *bytes)
{
    const uint8_t *body = message->body;
    *bytes = message->body_bytes;
    if (message->carries == TACIT_CTB_TICKET) {
        body = ctb->scratch;
        enum tacit_verdict verdict =
            tacit_links_body(ctb->links, from, message->word, ctb->scratch, most, bytes);
        if (verdict == TACIT_VERDICT_EMPTY) {
            return NULL; // overwritten meanwhile: asked for again
        }
        body = verdict == TACIT_VERDICT_OK ? body : NULL;
    }
    struct tacit_digest seen;
    if (body != NULL && *bytes <= most) {
        tacit_digest_make(&seen, domain, body, *bytes);
        if (tacit_ctb_is_same(&seen, &message->digest)) {
            return body;
        }
    }
    ctb->counters.malformed++;
    ctb->peers[from].refuse_ns = ctb->now_ns + ctb->config.retry_ns;
    return NULL;
}

// Keeps it for the engine for a while; what came first because of the same replica gives way.
static void keep(struct tacit_ctb *ctb, tacit_node_t owner, const struct tacit_digest *digest,
                 const uint8_t *body, uint32_t bytes)
{
    struct tacit_ctb_stream *stream = &ctb->streams[owner];
    uint32_t held = 0;
    if (tacit_bodies_find(ctb->bodies, digest, &held) != NULL) {
        return; // somebody holds it
    }
    if (stream->fetched_count == TACIT_CTB_FETCHED) {
        drop_fetched(ctb, owner);
    }
    uint32_t account = account_fetched(ctb, owner);
    while (!tacit_bodies_put(ctb->bodies, account, true, digest, body, bytes) &&
           !tacit_bodies_put(ctb->bodies, account, false, digest, body, bytes)) {
        if (stream->fetched_count == 0) {
            return; // larger than any place
        }
        drop_fetched(ctb, owner);
    }
    uint32_t last = (stream->fetched_first + stream->fetched_count++) % TACIT_CTB_FETCHED;
    stream->fetched[last] = *digest;
}

static void give(struct tacit_ctb *ctb, tacit_node_t s, const struct tacit_digest *digest,
                 const uint8_t *body, uint32_t bytes)
{
    struct tacit_ctb_stream *stream = &ctb->streams[s];
    for (uint32_t i = 0; i < ctb->config.tail && !stream->condemned; i++) {
        struct tacit_ctb_slot *slot = &stream->slots[i];
        if (tacit_ctb_lacks_body(ctb, s, slot) && slot->payload.body_bytes == bytes &&
            tacit_ctb_is_same(&slot->payload.digest, digest) && hold(ctb, s, slot, body)) {
            tacit_ctb_got_body(ctb, s, slot, true);
        }
    }
}

// The body of a state that is waited for. True: it was one.
static bool take_state(struct tacit_ctb *ctb, tacit_node_t from,
                       const struct tacit_ctb_message *message)
{
    for (tacit_node_t s = 0; s < ctb->config.replicas; s++) {
        if (tacit_ctb_wants_state(ctb, s, &message->digest)) {
            uint32_t bytes = 0;
            const uint8_t *state =
                bytes_of(ctb, from, message, TACIT_DOMAIN_STATE, ctb->config.state_bytes, &bytes);
            if (state != NULL) {
                tacit_ctb_adopt(ctb, s, state, bytes);
            }
            return true;
        }
    }
    return false;
}

void tacit_ctb_on_body(struct tacit_ctb *ctb, tacit_node_t from,
                       const struct tacit_ctb_message *message)
{
    bool wanted = false;
    if (ctb->now_ns < ctb->peers[from].refuse_ns || take_state(ctb, from, message)) {
        return;
    }
    for (tacit_node_t s = 0; s < ctb->config.replicas && !wanted; s++) {
        wanted = want_of(ctb->streams[s].wants, &message->digest) != NULL;
    }
    if (!wanted) {
        return; // late, or nobody asked
    }
    uint32_t bytes = 0;
    const uint8_t *body =
        bytes_of(ctb, from, message, TACIT_DOMAIN_BODY, ctb->config.body_bytes, &bytes);
    if (body == NULL) {
        return;
    }
    ctb->counters.bodies_fetched++;
    for (tacit_node_t s = 0; s < ctb->config.replicas; s++) {
        struct tacit_ctb_want *one = want_of(ctb->streams[s].wants, &message->digest);
        if (one != NULL) {
            bool engine = one->engine;
            one->is = false;
            give(ctb, s, &message->digest, body, bytes);
            if (engine) {
                keep(ctb, s, &message->digest, body, bytes);
            }
        }
    }
}
