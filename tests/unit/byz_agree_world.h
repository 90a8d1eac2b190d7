// SPDX-License-Identifier: Apache-2.0
//
// A small world for agreement: three instances of the module over an ideal broadcast, ideal
// signatures, and cells for votes, behind the real headers (this file defines what agreement uses
// of tacit_ctb_* and tacit_links_*, so it belongs to one program). Nothing happens by itself: the
// test pumps, says what is held up between whom, and speaks for liars. A stream's ids are locked
// and delivered in order by everybody; LOCKED is what a replica vouched.
#ifndef TACIT_TESTS_BYZ_AGREE_WORLD_H
#define TACIT_TESTS_BYZ_AGREE_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/bug.h"
#include "core/byzantine/agree.h"
#include "core/byzantine/agree_internal.h" // what replicas remember

enum {
    WORLD_N = 3,
    WORLD_WINDOW = 8,
    WORLD_IDS = 200,
    WORLD_BODY = 5000,
    WORLD_BATCH = 256,
    WORLD_JOBS = 512,
    WORLD_INBOX = 512,
    WORLD_MESSAGE = 1024,
    WORLD_SLOTS = 128,
    WORLD_SLOW_NS = 1000,
    WORLD_RETRY_NS = 5000,
    WORLD_JOIN_NS = 20000,
    WORLD_BEHIND_NS = 40000,
};

struct world_id {
    struct tacit_payload payload;
    uint8_t body[WORLD_BODY];
};

struct world_message {
    tacit_node_t from;
    uint32_t bytes;
    uint8_t data[WORLD_MESSAGE];
};

struct world_node {
    struct tacit_signer signer; // first
    bool is_dead;               // no instance runs: the test speaks for it
    struct tacit_agree *agree;
    struct tacit_bodies *bodies;
    struct tacit_ctb_calls calls;
    uint32_t locked[WORLD_N], next[WORLD_N]; // ids of streams
    bool is_later[WORLD_N], condemned[WORLD_N];
    uint32_t overdue, malformed;    // what the ctb says
    uint32_t missed;                // what it was told
    tacit_time_ns_t overdue_due_ns; // 0: never
    bool signed_for[WORLD_N][WORLD_IDS];
    bool vouched[WORLD_N][WORLD_IDS], abstained[WORLD_N][WORLD_IDS], unanimous[WORLD_N][WORLD_IDS];
    struct tacit_signer_done jobs[WORLD_JOBS];
    uint32_t job_count;
    uint32_t inbox_count;
    enum tacit_endorsement endorsement;
    uint64_t checkpoint, told_behind, stable; // bases
    struct tacit_digest executed[WORLD_SLOTS];
    uint64_t executed_count;
    bool obliged, swallows_newview; // its NEW_VIEW goes to `swallowed` only
};

static struct world {
    tacit_time_ns_t now_ns;
    uint32_t id_count[WORLD_N];
    struct world_node node[WORLD_N];
    struct tacit_vote cell[2][WORLD_N][WORLD_N][WORLD_SLOTS]; // kind, from, to
    bool voted[2][WORLD_N][WORLD_N][WORLD_SLOTS];
    uint16_t authors[WORLD_N]; // whose key each seat's member has, and ...
    uint16_t keys[WORLD_N];    // ... what it signs with
    struct world_id swallowed;
    uint64_t jobs_seen;
    uint32_t jobs_most; // that a signer takes at a time, 0: any number
    // What is held up: [at or to][of or from].
    bool no_deliver[WORLD_N][WORLD_N], no_lock[WORLD_N][WORLD_N], no_locked[WORLD_N][WORLD_N],
        no_message[WORLD_N][WORLD_N], no_vote[WORLD_N][WORLD_N], no_signer[WORLD_N], no_fetch;
    // Counts say what of these is used: a world is opened without clearing them (4.6 MB).
    struct world_id ids[WORLD_N][WORLD_IDS];
    struct world_message inbox[WORLD_N][WORLD_INBOX];
} world;
static void *world_memory[WORLD_N][2]; // of the instances: stays when a world is closed

static uint64_t world_marks[TACIT_MARKS];
static void world_mark(void *context, unsigned mark)
{
    (void)context;
    world_marks[mark]++;
}

static struct world_node *world_of(const void *port)
{
    uintptr_t at = (uintptr_t)port;
    return &world.node[(at - (uintptr_t)world.node) / sizeof world.node[0]];
}
static tacit_node_t world_self(const void *port)
{
    return (tacit_node_t)(world_of(port) - world.node);
}
static void *world_port(tacit_node_t r)
{
    return &world.node[r];
}

static void world_require(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "world: %s\n", what);
        abort();
    }
}

// ---- an ideal signature scheme
// -------------------------------------------------------------------

static struct tacit_signature world_sign(uint16_t author, tacit_domain_t domain,
                                         const void *payload, uint32_t bytes)
{
    struct tacit_signature signature;
    for (uint64_t i = 0; i < 8; i++) {
        uint64_t word = XXH3_64bits_withSeed(
            payload, bytes, (i + 1) * 1000003u + author * 131u + (uint64_t)domain * 7u);
        memcpy(signature.bytes + 8 * i, &word, 8);
    }
    return signature;
}

static bool world_submit(struct tacit_signer *port, const struct tacit_signer_job *job)
{
    struct world_node *node = world_of(port);
    if (node->job_count == WORLD_JOBS ||
        (world.jobs_most != 0 && node->job_count >= world.jobs_most) ||
        job->author >= TACIT_BYZ_AUTHORS || job->charge >= TACIT_SIGNER_CHARGES) {
        return false;
    }
    uint16_t author = job->verify ? job->author : world.keys[world_self(port)];
    struct tacit_signature made = world_sign(author, job->domain, job->payload, job->payload_bytes);
    node->jobs[node->job_count++] = (struct tacit_signer_done){
        .cookie = job->cookie,
        .valid = !job->verify || memcmp(&made, &job->signature, sizeof made) == 0,
        .signature = job->verify ? job->signature : made};
    world.jobs_seen++;
    return true;
}

static bool world_knows(struct tacit_signer *port, uint16_t author)
{
    (void)port;
    return author < WORLD_N || author == TACIT_SIGNER_SPARE + 1;
}

static const struct tacit_signer_ops world_signer_ops = {.submit = world_submit,
                                                         .knows = world_knows};

// ---- links
// ---------------------------------------------------------------------------------------

void tacit_links_send(struct tacit_links *links, tacit_node_t to, const void *message,
                      uint32_t bytes)
{
    struct world_node *node = &world.node[to];
    world_require(bytes <= WORLD_MESSAGE, "a message is too long");
    if (node->inbox_count == WORLD_INBOX || node->is_dead) {
        return;
    }
    struct world_message *one = &world.inbox[to][node->inbox_count++];
    one->from = world_self(links);
    one->bytes = bytes;
    memcpy(one->data, message, bytes);
}

void tacit_links_send_all(struct tacit_links *links, const void *message, uint32_t bytes)
{
    for (tacit_node_t to = 0; to < WORLD_N; to++) {
        if (to != world_self(links)) {
            tacit_links_send(links, to, message, bytes);
        }
    }
}

static void world_vote(tacit_node_t from, tacit_node_t to, enum tacit_vote_kind kind,
                       const struct tacit_vote *vote)
{
    uint64_t at = vote->slot % WORLD_SLOTS;
    world.cell[kind][from][to][at] = *vote;
    world.voted[kind][from][to][at] = true;
}

void tacit_links_prefetch(const struct tacit_links *links, uint64_t slot)
{
    (void)links;
    (void)slot;
}

void tacit_links_vote(struct tacit_links *links, enum tacit_vote_kind kind,
                      const struct tacit_vote *vote)
{
    for (tacit_node_t to = 0; to < WORLD_N; to++) {
        if (to != world_self(links)) {
            world_vote(world_self(links), to, kind, vote);
        }
    }
}

enum tacit_verdict tacit_links_voted(struct tacit_links *links, tacit_node_t from,
                                     enum tacit_vote_kind kind, uint64_t slot,
                                     struct tacit_vote *vote)
{
    tacit_node_t self = world_self(links);
    uint64_t at = slot % WORLD_SLOTS;
    if (!world.voted[kind][from][self][at] || world.no_vote[self][from] ||
        world.cell[kind][from][self][at].slot != slot) {
        return TACIT_VERDICT_EMPTY;
    }
    *vote = world.cell[kind][from][self][at];
    return TACIT_VERDICT_OK;
}

// ---- an ideal broadcast
// --------------------------------------------------------------------------

static void world_put_body(tacit_node_t at, tacit_node_t owner, const struct world_id *id)
{
    uint32_t bytes;
    struct world_node *node = &world.node[at];
    if (id->payload.body_bytes > 0 &&
        tacit_bodies_find(node->bodies, &id->payload.digest, &bytes) == NULL) {
        // Its owner's quota may be used up: as if the body had not come.
        (void)tacit_bodies_put(node->bodies, owner, id->payload.kind == TACIT_PAYLOAD_PREPARE,
                               &id->payload.digest, id->body, id->payload.body_bytes);
    }
}

static enum tacit_take world_hand_over(tacit_node_t at, tacit_node_t stream, uint32_t k)
{
    struct world_node *node = &world.node[at];
    const struct world_id *id = &world.ids[stream][k];
    // A copy of just its size, so that a read beyond its end is seen.
    uint8_t *body = malloc(id->payload.body_bytes + 1u);
    world_require(body != NULL, "no memory");
    memcpy(body, id->body, id->payload.body_bytes);
    enum tacit_take take = node->calls.deliver(node->calls.context, stream, k, &id->payload, body);
    free(body);
    return take;
}

// What a liar says on its stream: the same to all, as broadcast guarantees.
static uint32_t world_say(tacit_node_t stream, struct tacit_payload payload, const void *body,
                          uint32_t bytes)
{
    uint32_t k = world.id_count[stream]++;
    world_require(k < WORLD_IDS && bytes <= WORLD_BODY, "a stream is too long");
    struct world_id *id = &world.ids[stream][k];
    payload.body_bytes = bytes;
    tacit_body_digest(&payload.digest, body, bytes);
    id->payload = payload;
    memcpy(id->body, body, bytes);
    return k;
}

bool tacit_ctb_has_room(const struct tacit_ctb *ctb)
{
    return world.id_count[world_self(ctb)] < WORLD_IDS - 8u;
}

bool tacit_ctb_send_ahead(struct tacit_ctb *ctb, const struct tacit_payload *payload,
                          const void *body)
{
    (void)ctb;
    (void)payload;
    (void)body;
    return false; // a broadcast is one step here
}

bool tacit_ctb_broadcast(struct tacit_ctb *ctb, struct tacit_payload *payload, const void *body,
                         uint32_t body_bytes, tacit_time_ns_t now_ns)
{
    tacit_node_t self = world_self(ctb);
    struct world_node *node = &world.node[self];
    (void)now_ns;
    if (world.id_count[self] >= WORLD_IDS - 8u) {
        return false;
    }
    if (payload->kind == TACIT_PAYLOAD_NEW_VIEW && node->swallows_newview) {
        world.swallowed.payload = *payload;
        world.swallowed.payload.body_bytes = body_bytes;
        memcpy(world.swallowed.body, body, body_bytes);
        return true;
    }
    uint32_t k = world_say(self, *payload, body, body_bytes);
    *payload = world.ids[self][k].payload;
    world_put_body(self, self, &world.ids[self][k]);
    node->locked[self] = node->next[self] = k + 1;
    // Who swallowed its NEW_VIEW is no correct replica any more.
    bool taken = world_hand_over(self, self, k) == TACIT_TAKE_DONE;
    world_require(taken || node->swallows_newview, "a correct replica refuses its own word");
    return true;
}

bool tacit_ctb_broadcast_digested(struct tacit_ctb *ctb, const struct tacit_payload *payload,
                                  const void *body, tacit_time_ns_t now_ns)
{
    struct tacit_payload copy = *payload;
    bool done = tacit_ctb_broadcast(ctb, &copy, body, payload->body_bytes, now_ns);
    world_require(!done || tacit_payload_is_equal(&copy, payload), "a body's digest is wrong");
    return done;
}

void tacit_ctb_vouch(struct tacit_ctb *ctb, tacit_node_t stream, uint64_t k)
{
    world_of(ctb)->vouched[stream][k] |= !world_of(ctb)->abstained[stream][k];
}

// Of an id the first word counts. Delivery is the broadcast's affair: here it is up to the test.
void tacit_ctb_abstain(struct tacit_ctb *ctb, tacit_node_t stream, uint64_t k)
{
    world_of(ctb)->abstained[stream][k] |= !world_of(ctb)->vouched[stream][k];
}

void tacit_ctb_leave(struct tacit_ctb *ctb, uint64_t view)
{
    (void)ctb;
    (void)view;
}

bool tacit_ctb_is_unanimous(const struct tacit_ctb *ctb, tacit_node_t stream, uint64_t k)
{
    tacit_node_t self = world_self(ctb);
    bool all = true;
    for (tacit_node_t r = 0; r < WORLD_N; r++) {
        all = all && (r == self || r == stream ||
                      (world.node[r].vouched[stream][k] && !world.no_locked[self][r]));
    }
    return all;
}

void tacit_ctb_resume(struct tacit_ctb *ctb, tacit_node_t stream)
{
    world_of(ctb)->is_later[stream] = false;
}

void tacit_ctb_prefetch(const struct tacit_ctb *ctb, tacit_node_t stream)
{
    (void)ctb;
    (void)stream;
}

bool tacit_ctb_is_condemned(const struct tacit_ctb *ctb, tacit_node_t stream)
{
    return world_of(ctb)->condemned[stream];
}

bool tacit_ctb_is_malformed(const struct tacit_ctb *ctb, tacit_node_t from)
{
    return (world_of(ctb)->malformed >> from & 1) != 0;
}

uint32_t tacit_ctb_overdue(const struct tacit_ctb *ctb)
{
    return world_of(ctb)->overdue;
}

tacit_time_ns_t tacit_ctb_overdue_due(const struct tacit_ctb *ctb)
{
    tacit_time_ns_t due_ns = world_of(ctb)->overdue_due_ns;
    return due_ns == 0 ? UINT64_MAX : due_ns;
}

void tacit_ctb_signed_for(struct tacit_ctb *ctb, tacit_node_t stream, uint64_t k)
{
    world_of(ctb)->signed_for[stream][k] = true;
}

void tacit_ctb_gone(struct tacit_ctb *ctb, uint32_t gone)
{
    (void)ctb;
    (void)gone;
}

void tacit_ctb_missed(struct tacit_ctb *ctb, tacit_node_t from, tacit_time_ns_t since_ns)
{
    (void)since_ns;
    world_of(ctb)->missed |= 1u << from;
}

void tacit_ctb_hurry(struct tacit_ctb *ctb)
{
    (void)ctb;
}

// Found at once, if anybody holds it, by the next look.
void tacit_ctb_fetch(struct tacit_ctb *ctb, tacit_node_t owner, const struct tacit_digest *digest,
                     uint32_t bytes, tacit_time_ns_t now_ns)
{
    struct world_node *node = world_of(ctb);
    uint32_t found, have;
    (void)now_ns;
    for (tacit_node_t r = 0; r < WORLD_N && !world.no_fetch; r++) {
        const uint8_t *body = tacit_bodies_find(world.node[r].bodies, digest, &found);
        if (body != NULL && found <= bytes &&
            tacit_bodies_find(node->bodies, digest, &have) == NULL) {
            (void)tacit_bodies_put(node->bodies, owner, found <= WORLD_BATCH, digest, body, found);
        }
    }
}

bool tacit_ctb_locked(const struct tacit_ctb *ctb, tacit_node_t stream, uint64_t k,
                      struct tacit_payload *payload)
{
    if (k >= world_of(ctb)->locked[stream]) {
        return false;
    }
    *payload = world.ids[stream][k].payload;
    return true;
}

void tacit_ctb_progress(const struct tacit_ctb *ctb, tacit_node_t stream, uint64_t *delivered,
                        uint64_t *locked)
{
    *delivered = world_of(ctb)->next[stream];
    *locked = world_of(ctb)->locked[stream];
}

// ---- turns
// ---------------------------------------------------------------------------------------

static bool world_stream_turn(tacit_node_t at, tacit_node_t stream)
{
    struct world_node *node = &world.node[at];
    bool worked = false;
    if (node->locked[stream] < world.id_count[stream] && !world.no_lock[at][stream]) {
        uint32_t k = node->locked[stream]++;
        world_put_body(at, stream, &world.ids[stream][k]);
        if (world.ids[stream][k].payload.kind != TACIT_PAYLOAD_PREPARE) {
            node->vouched[stream][k] = true;
        }
        node->calls.locked(node->calls.context, stream, k, &world.ids[stream][k].payload);
        worked = true;
    }
    while (node->next[stream] < node->locked[stream] && !world.no_deliver[at][stream] &&
           !node->is_later[stream] && !node->condemned[stream]) {
        node->is_later[stream] = true; // unless it is resumed inside
        switch (world_hand_over(at, stream, node->next[stream])) {
        case TACIT_TAKE_DONE:
            node->next[stream]++;
            node->is_later[stream] = false;
            break;
        case TACIT_TAKE_ILLEGAL:
            node->condemned[stream] = true;
            break;
        default:
            break;
        }
        worked = true;
    }
    return worked;
}

static bool world_unanimous_turn(tacit_node_t at)
{
    struct world_node *node = &world.node[at];
    bool worked = false;
    for (tacit_node_t stream = 0; stream < WORLD_N; stream++) {
        for (uint32_t k = 0; k < node->locked[stream]; k++) {
            if (!node->unanimous[stream][k] && tacit_ctb_is_unanimous(world_port(at), stream, k)) {
                node->unanimous[stream][k] = true;
                node->calls.unanimous(node->calls.context, stream, k,
                                      &world.ids[stream][k].payload);
                worked = true;
            }
        }
    }
    return worked;
}

static bool world_inbox_turn(tacit_node_t at)
{
    struct world_node *node = &world.node[at];
    struct world_message *inbox = world.inbox[at];
    uint32_t count = node->inbox_count, kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct world_message message = inbox[i];
        if (world.no_message[at][message.from]) {
            inbox[kept++] = message;
        } else {
            tacit_agree_message(node->agree, message.from, message.data, message.bytes);
        }
    }
    bool worked = kept < count;
    for (uint32_t i = count; i < node->inbox_count; i++) { // nobody writes to itself
        inbox[kept++] = inbox[i];
    }
    node->inbox_count = kept;
    return worked;
}

static bool world_signer_turn(tacit_node_t at)
{
    static struct tacit_signer_done jobs[WORLD_JOBS];
    struct world_node *node = &world.node[at];
    uint32_t count = world.no_signer[at] ? 0 : node->job_count;
    if (count == 0) {
        return false;
    }
    memcpy(jobs, node->jobs, count * sizeof jobs[0]);
    node->job_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        tacit_agree_signer(node->agree, &jobs[i]);
    }
    return true;
}

static struct tacit_digest world_root(uint64_t base)
{
    struct tacit_digest root = {{0x77}};
    memcpy(root.bytes + 8, &base, 8);
    return root;
}

static bool world_turn(tacit_node_t at)
{
    struct world_node *node = &world.node[at];
    tacit_agree_turn(node->agree, world.now_ns);
    bool worked = world_inbox_turn(at);
    for (tacit_node_t stream = 0; stream < WORLD_N; stream++) {
        worked = (stream != at && world_stream_turn(at, stream)) || worked;
    }
    worked = world_unanimous_turn(at) || worked;
    worked = world_signer_turn(at) || worked;
    worked = tacit_agree_poll(node->agree, world.now_ns) || worked;
    if (node->checkpoint != 0) {
        uint64_t base = node->checkpoint;
        struct tacit_digest root = world_root(base);
        node->checkpoint = 0;
        tacit_agree_checkpointed(node->agree, base, &root);
        worked = true;
    }
    const char *broken = tacit_agree_check(node->agree);
    world_require(broken == NULL, broken == NULL ? "" : broken);
    return worked;
}

// Everything that can happen now.
static void world_pump(void)
{
    bool worked = true;
    for (unsigned turn = 0; turn < 500 && worked; turn++) {
        worked = false;
        for (tacit_node_t r = 0; r < WORLD_N; r++) {
            worked = (!world.node[r].is_dead && world_turn(r)) || worked;
        }
    }
    world_require(!worked, "no end");
}

static void world_pass(tacit_time_ns_t time_ns)
{
    for (tacit_time_ns_t passed_ns = 0; passed_ns < time_ns; passed_ns += WORLD_SLOW_NS) {
        world.now_ns += WORLD_SLOW_NS;
        world_pump();
    }
}

// ---- the engines' owner
// --------------------------------------------------------------------------

static enum tacit_endorsement world_endorse(void *context, uint64_t view, uint64_t slot,
                                            const uint8_t *body, uint32_t bytes)
{
    (void)view;
    (void)slot;
    (void)body;
    (void)bytes;
    return world_of(context)->endorsement;
}
static void world_forced(void *context, uint64_t slot, const uint8_t *body, uint32_t bytes)
{
    (void)context;
    (void)slot;
    (void)body;
    (void)bytes;
}
static void world_execute(void *context, uint64_t slot, const struct tacit_digest *digest,
                          const uint8_t *body, uint32_t bytes)
{
    struct world_node *node = world_of(context);
    struct tacit_digest made;
    tacit_body_digest(&made, body, bytes);
    world_require(tacit_digest_is_equal(&made, digest), "a body of another digest is executed");
    world_require(slot < WORLD_SLOTS && slot >= node->executed_count, "executed out of order");
    node->executed[slot] = *digest;
    node->executed_count = slot + 1;
}
static void world_checkpoint(void *context, uint64_t base)
{
    world_of(context)->checkpoint = base;
}
static void world_stable(void *context, uint64_t base, const struct tacit_digest *root)
{
    struct tacit_digest want = world_root(base);
    world_require(tacit_digest_is_equal(root, &want), "a wrong root is certified");
    world_of(context)->stable = base;
}
static void world_behind(void *context, uint64_t base, const struct tacit_digest *root)
{
    (void)root;
    world_of(context)->told_behind = base;
}
static void world_entered(void *context, uint64_t view, tacit_node_t leader)
{
    (void)context;
    world_require(leader == view % WORLD_N, "a wrong leader");
}
static void world_sealed(void *context, uint64_t view)
{
    (void)context;
    (void)view;
}
static bool world_is_obliged(void *context)
{
    return world_of(context)->obliged;
}

// Of just the size that was measured, which is the same in each world.
static void world_take(struct tacit_bump *bump, void **memory, size_t *bytes)
{
    *bytes = tacit_round_up(bump->used, TACIT_CACHE_LINE);
    if (*memory == NULL) {
        *memory = aligned_alloc(TACIT_CACHE_LINE, *bytes);
        world_require(*memory != NULL, "no memory");
    }
    *bump = (struct tacit_bump){.base = *memory};
}

// An epoch begins at one replica.
static void world_begin(tacit_node_t r, uint64_t epoch, uint64_t base)
{
    struct world_node *node = &world.node[r];
    const struct tacit_agree_calls calls = {.context = node,
                                            .endorse = world_endorse,
                                            .forced = world_forced,
                                            .execute = world_execute,
                                            .checkpoint = world_checkpoint,
                                            .stable = world_stable,
                                            .behind = world_behind,
                                            .entered = world_entered,
                                            .sealed = world_sealed,
                                            .is_obliged = world_is_obliged};
    struct tacit_digest root = world_root(base);
    struct tacit_agree_parts parts = {world_port(r), world_port(r), &node->signer, node->bodies};
    tacit_agree_start(node->agree, epoch, 0, base, &root, &parts, &calls, world.now_ns);
}

static void world_node_open(tacit_node_t r)
{
    struct world_node *node = &world.node[r];
    size_t body_bytes = tacit_agree_body_bytes(WORLD_N, WORLD_WINDOW), bytes;
    world_require(body_bytes <= WORLD_BODY, "bodies are larger");
    const struct tacit_agree_config config = {.replicas = WORLD_N,
                                              .self = r,
                                              .window = WORLD_WINDOW,
                                              .inflight = WORLD_WINDOW,
                                              .batch_bytes = WORLD_BATCH,
                                              .body_bytes = (uint32_t)body_bytes,
                                              .slow_after_ns = WORLD_SLOW_NS,
                                              .retry_ns = WORLD_RETRY_NS,
                                              .join_after_ns = WORLD_JOIN_NS,
                                              .behind_after_ns = WORLD_BEHIND_NS,
                                              .authors = world.authors};
    // The broadcast here keeps all bodies: the tail has room for all ids.
    const struct tacit_bodies_needs needs = {.replicas = WORLD_N,
                                             .self = r,
                                             .window = WORLD_WINDOW,
                                             .tail = WORLD_IDS,
                                             .batch_bytes = WORLD_BATCH,
                                             .seal_bytes = 2048,
                                             .body_bytes = WORLD_BODY};
    struct tacit_bodies_config bodies;
    tacit_bodies_shape(&bodies, &needs);
    const struct tacit_marker marker = {.mark = world_mark};
    struct tacit_bump bump = {0};
    (void)tacit_agree_init(&bump, &config, marker);
    world_take(&bump, &world_memory[r][0], &bytes);
    memset(world_memory[r][0], 0, bytes);
    node->agree = tacit_agree_init(&bump, &config, marker);
    world_require(bump.used <= bytes, "measured too little");
    bump = (struct tacit_bump){0};
    (void)tacit_bodies_init(&bump, &bodies);
    world_take(&bump, &world_memory[r][1], &bytes); // bodies, and what clears itself
    node->bodies = tacit_bodies_init(&bump, &bodies);
    node->signer.ops = &world_signer_ops;
    node->calls = tacit_agree_ctb_calls(node->agree);
    world_begin(r, 1, 0);
}

static inline void world_close(void)
{
    for (tacit_node_t r = 0; r < WORLD_N; r++) {
        for (unsigned i = 0; i < 2; i++) {
            free(world_memory[r][i]);
            world_memory[r][i] = NULL;
        }
    }
}

static void world_open(void)
{
    memset(&world, 0, offsetof(struct world, ids));
    memset(world_marks, 0, sizeof world_marks);
    world.now_ns = 1000000;
    for (tacit_node_t r = 0; r < WORLD_N; r++) {
        world.authors[r] = world.keys[r] = r;
    }
    for (tacit_node_t r = 0; r < WORLD_N; r++) {
        world_node_open(r);
    }
}

// Correct replicas never execute different values.
static inline bool world_agrees(void)
{
    for (uint64_t slot = 0; slot < WORLD_SLOTS; slot++) {
        static const struct tacit_digest none;
        const struct tacit_digest *first = NULL;
        for (tacit_node_t r = 0; r < WORLD_N; r++) {
            const struct tacit_digest *one = &world.node[r].executed[slot];
            if (world.node[r].is_dead || tacit_digest_is_equal(one, &none)) {
                continue;
            }
            if (first != NULL && !tacit_digest_is_equal(first, one)) {
                return false;
            }
            first = one;
        }
    }
    return true;
}

#endif
