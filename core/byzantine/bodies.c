// SPDX-License-Identifier: Apache-2.0
//
// See bodies.h. All places are made at the start: for each account so many of each class, with a
// free list of its own for each class. A chained hash table finds a body by its digest; whoever
// makes digests collide there can only lengthen chains by what its account holds.
#include "bodies.h"

#include <string.h>

#include "../base/bug.h"
#include "../base/prefetch.h"

#define NONE UINT32_MAX
#define AHEAD_BYTES 256u   // of a batch that is expected
#define LARGE_OF_OTHERS 4u // places for large bodies of another replica, of either class

struct body {
    struct tacit_digest digest;
    uint32_t bytes;
    uint32_t references; // 0: free
    uint32_t next;       // in its chain, or in its free list
    uint8_t account;
    uint8_t class;
};

struct class
{
    uint32_t bytes;
    uint32_t first; // index of its first entry
    uint8_t *memory;
    uint32_t free[TACIT_BODIES_ACCOUNTS_MAX], room[TACIT_BODIES_ACCOUNTS_MAX];
};

struct tacit_bodies {
    uint8_t accounts;
    uint32_t count;   // of entries
    uint32_t buckets; // a power of two
    struct class classes[TACIT_BODIES_CLASSES];
    struct body *body;
    uint32_t *chain;
};

void tacit_bodies_shape(struct tacit_bodies_config *config, const struct tacit_bodies_needs *needs)
{
    uint32_t notes = TACIT_BYZ_INLINE_BYTES;
    uint32_t seals = needs->seal_bytes > notes ? needs->seal_bytes : notes;
    *config = (struct tacit_bodies_config){.accounts = (uint8_t)(2u * needs->replicas + 1u)};
    config->classes[TACIT_BODIES_BATCH].bytes =
        needs->batch_bytes > notes ? needs->batch_bytes : notes;
    config->classes[TACIT_BODIES_NOTE].bytes = notes;
    config->classes[TACIT_BODIES_SEAL].bytes = seals;
    config->classes[TACIT_BODIES_LARGE].bytes =
        needs->body_bytes > seals ? needs->body_bytes : seals;
    for (tacit_node_t r = 0; r < needs->replicas; r++) {
        bool own = r == needs->self;
        // An id that left the tail lets go of its batch; a slot keeps it until the window moved.
        config->classes[TACIT_BODIES_BATCH].each[r] = needs->window + needs->tail + 16;
        config->classes[TACIT_BODIES_NOTE].each[r] = needs->tail;
        // Own ids beyond the last certificate, of which every other one may be a NEW_VIEW.
        config->classes[TACIT_BODIES_SEAL].each[r] = own ? needs->tail : LARGE_OF_OTHERS;
        config->classes[TACIT_BODIES_LARGE].each[r] = own ? needs->tail / 2 + 1 : LARGE_OF_OTHERS;
        uint32_t fetched = tacit_bodies_account_fetched(needs->replicas, r);
        config->classes[TACIT_BODIES_BATCH].each[fetched] = TACIT_BODIES_FETCHED;
        config->classes[TACIT_BODIES_LARGE].each[fetched] = 1;
    }
    uint32_t sealed = tacit_bodies_account_sealed(needs->replicas);
    config->classes[TACIT_BODIES_LARGE].each[sealed] = needs->replicas;
}

// ---- places

static uint32_t *bucket_of(const struct tacit_bodies *bodies, const struct tacit_digest *digest)
{
    uint32_t hash;
    memcpy(&hash, digest->bytes, sizeof hash);
    return &bodies->chain[hash & (bodies->buckets - 1)];
}

// A copy on this account; of whatever account if that is NONE.
static uint32_t find(const struct tacit_bodies *bodies, uint32_t account,
                     const struct tacit_digest *digest)
{
    for (uint32_t i = *bucket_of(bodies, digest); i != NONE; i = bodies->body[i].next) {
        const struct body *body = &bodies->body[i];
        if ((account == NONE || body->account == account) &&
            memcmp(body->digest.bytes, digest->bytes, TACIT_DIGEST_BYTES) == 0) {
            return i;
        }
    }
    return NONE;
}

static uint8_t *memory_of(const struct tacit_bodies *bodies, uint32_t index)
{
    const struct class *class = &bodies->classes[bodies->body[index].class];
    return class->memory + (size_t)(index - class->first) * class->bytes;
}

static void free_push(struct tacit_bodies *bodies, uint32_t index)
{
    struct body *body = &bodies->body[index];
    struct class *class = &bodies->classes[body->class];
    body->references = 0;
    body->next = class->free[body->account];
    class->free[body->account] = index;
    class->room[body->account]++;
}

// Gives the places of a class to their accounts, lowest first.
static void deal_out(struct tacit_bodies *bodies, const struct tacit_bodies_config *config,
                     unsigned class)
{
    uint32_t index = bodies->classes[class].first;
    for (uint32_t account = 0; account < config->accounts; account++) {
        uint32_t each = config->classes[class].each[account];
        bodies->classes[class].free[account] = NONE;
        bodies->classes[class].room[account] = 0;
        for (uint32_t i = each; i-- > 0;) {
            bodies->body[index + i] =
                (struct body){.account = (uint8_t)account, .class = (uint8_t) class};
            free_push(bodies, index + i);
        }
        index += each;
    }
}

struct tacit_bodies *tacit_bodies_init(struct tacit_bump *bump,
                                       const struct tacit_bodies_config *config)
{
    TACIT_ASSERT(config->accounts <= TACIT_BODIES_ACCOUNTS_MAX);
    struct tacit_bodies *bodies = tacit_bump_take(bump, sizeof *bodies, TACIT_CACHE_LINE);
    struct class classes[TACIT_BODIES_CLASSES] = {0};
    uint32_t count = 0;
    for (unsigned i = 0; i < TACIT_BODIES_CLASSES; i++) {
        uint32_t places = 0;
        for (uint32_t account = 0; account < config->accounts; account++) {
            places += config->classes[i].each[account];
        }
        classes[i].first = count;
        classes[i].bytes = (uint32_t)tacit_round_up(config->classes[i].bytes, 8);
        classes[i].memory =
            tacit_bump_take(bump, (size_t)places * classes[i].bytes, TACIT_CACHE_LINE);
        count += places;
    }
    uint32_t buckets = 1;
    while (buckets < count) {
        buckets *= 2;
    }
    struct body *body = tacit_bump_take(bump, count * sizeof *body, TACIT_CACHE_LINE);
    uint32_t *chain = tacit_bump_take(bump, buckets * sizeof *chain, TACIT_CACHE_LINE);
    if (bump->base == NULL) {
        return NULL;
    }
    *bodies = (struct tacit_bodies){.accounts = config->accounts,
                                    .count = count,
                                    .buckets = buckets,
                                    .body = body,
                                    .chain = chain};
    memcpy(bodies->classes, classes, sizeof classes);
    memset(chain, 0xff, buckets * sizeof *chain); // NONE
    for (unsigned i = 0; i < TACIT_BODIES_CLASSES; i++) {
        deal_out(bodies, config, i);
    }
    return bodies;
}

// ---- use

// A free place on an account that a body of this size fits in; NONE: there is none.
static uint32_t place_for(const struct tacit_bodies *bodies, uint32_t account, bool is_batch,
                          uint32_t bytes)
{
    unsigned from = is_batch ? TACIT_BODIES_BATCH : TACIT_BODIES_NOTE;
    unsigned to = is_batch ? TACIT_BODIES_BATCH : TACIT_BODIES_LARGE;
    for (unsigned i = from; i <= to; i++) {
        if (bytes <= bodies->classes[i].bytes && bodies->classes[i].free[account] != NONE) {
            return bodies->classes[i].free[account];
        }
    }
    return NONE;
}

bool tacit_bodies_has_room(const struct tacit_bodies *bodies, uint32_t account, bool is_batch,
                           uint32_t bytes)
{
    return place_for(bodies, account, is_batch, bytes) != NONE;
}

bool tacit_bodies_put(struct tacit_bodies *bodies, uint32_t account, bool is_batch,
                      const struct tacit_digest *digest, const void *body, uint32_t bytes)
{
    TACIT_ASSERT(account < bodies->accounts);
    uint32_t index = find(bodies, TACIT_BUG(BODIES_NOT_COPIED) ? NONE : account, digest);
    if (index != NONE) {
        TACIT_ASSERT(bodies->body[index].bytes == bytes && bodies->body[index].references < NONE);
        bodies->body[index].references++;
        return true;
    }
    index = place_for(bodies, account, is_batch, bytes);
    if (TACIT_BUG(BODIES_SHARED_QUOTA)) {
        for (uint32_t other = 0; index == NONE && other < bodies->accounts; other++) {
            index = place_for(bodies, other, is_batch, bytes);
        }
    }
    if (index == NONE) {
        return false;
    }
    struct body *entry = &bodies->body[index];
    struct class *class = &bodies->classes[entry->class];
    class->free[entry->account] = entry->next;
    class->room[entry->account]--;
    uint32_t *bucket = bucket_of(bodies, digest);
    entry->digest = *digest;
    entry->bytes = bytes;
    entry->references = 1;
    entry->next = *bucket;
    *bucket = index;
    if (bytes > 0) {
        memcpy(memory_of(bodies, index), body, bytes);
    }
    return true;
}

const uint8_t *tacit_bodies_find(const struct tacit_bodies *bodies,
                                 const struct tacit_digest *digest, uint32_t *bytes)
{
    uint32_t index = find(bodies, NONE, digest);
    if (index == NONE) {
        return NULL;
    }
    *bytes = bodies->body[index].bytes;
    return memory_of(bodies, index);
}

bool tacit_bodies_hold(struct tacit_bodies *bodies, uint32_t account, bool is_batch,
                       const struct tacit_digest *digest)
{
    uint32_t index = find(bodies, NONE, digest);
    if (index != NONE && bodies->body[index].account == account) { // most often
        TACIT_ASSERT(bodies->body[index].references < NONE);
        bodies->body[index].references++;
        return true;
    }
    return index != NONE && tacit_bodies_put(bodies, account, is_batch, digest,
                                             memory_of(bodies, index), bodies->body[index].bytes);
}

void tacit_bodies_release(struct tacit_bodies *bodies, uint32_t account,
                          const struct tacit_digest *digest)
{
    bool any = TACIT_BUG(BODIES_NOT_COPIED) || TACIT_BUG(BODIES_SHARED_QUOTA);
    uint32_t index = find(bodies, any ? NONE : account, digest);
    TACIT_ASSERT(index != NONE); // whoever releases holds it
    if (--bodies->body[index].references > 0) {
        return;
    }
    uint32_t *link = bucket_of(bodies, digest);
    while (*link != index) {
        link = &bodies->body[*link].next;
    }
    *link = bodies->body[index].next;
    free_push(bodies, index);
}

void tacit_bodies_prefetch(const struct tacit_bodies *bodies, uint32_t account,
                           const struct tacit_digest *released)
{
    uint32_t next = bodies->classes[TACIT_BODIES_BATCH].free[account];
    uint32_t index = released == NULL ? NONE : find(bodies, account, released);
    if (index != NONE) { // its chain came with it
        tacit_prefetch(&bodies->body[index], sizeof bodies->body[index]);
        next = bodies->body[index].references == 1 ? index : next; // freed last, it is taken first
    }
    if (next != NONE) {
        tacit_prefetch(&bodies->body[next], sizeof bodies->body[next]);
        tacit_prefetch(memory_of(bodies, next), AHEAD_BYTES);
    }
}

uint32_t tacit_bodies_room(const struct tacit_bodies *bodies, uint32_t account,
                           enum tacit_bodies_class class)
{
    return bodies->classes[class].room[account];
}

// ---- invariants

static uint32_t count_free(const struct tacit_bodies *bodies, unsigned class)
{
    uint32_t seen = 0;
    for (uint32_t account = 0; account < bodies->accounts; account++) {
        uint32_t before = seen;
        for (uint32_t i = bodies->classes[class].free[account]; i != NONE && seen <= bodies->count;
             i = bodies->body[i].next) {
            const struct body *body = &bodies->body[i];
            seen++;
            if (body->references != 0 || body->class != class || body->account != account) {
                return NONE;
            }
        }
        if (seen - before != bodies->classes[class].room[account]) {
            return NONE;
        }
    }
    return seen;
}

const char *tacit_bodies_check(const struct tacit_bodies *bodies)
{
    uint32_t seen = 0;
    for (uint32_t bucket = 0; bucket < bodies->buckets; bucket++) {
        uint32_t index = bodies->chain[bucket];
        for (; index != NONE && seen <= bodies->count; index = bodies->body[index].next) {
            const struct body *entry = &bodies->body[index];
            seen++;
            if (entry->references == 0 || entry->bytes > bodies->classes[entry->class].bytes) {
                return "a body without a reference, or too large";
            }
            if (bucket_of(bodies, &entry->digest) != &bodies->chain[bucket] ||
                find(bodies, entry->account, &entry->digest) != index) {
                return "a body that cannot be found, or twice on an account";
            }
        }
    }
    for (unsigned i = 0; i < TACIT_BODIES_CLASSES; i++) {
        uint32_t unused = count_free(bodies, i);
        if (unused == NONE) {
            return "a free list of bodies is wrong";
        }
        seen += unused;
    }
    return seen == bodies->count ? NULL : "a body is lost";
}
