// SPDX-License-Identifier: Apache-2.0
//
// See bodies.h. All places are made at the start: for each owner so many small and so many large
// ones, with a free list of its own for each size. A chained hash table finds a body by its
// digest; whoever makes digests collide there can only lengthen chains by what its quota holds.
#include "bodies.h"

#include <string.h>

#include "../base/bug.h"

#define NONE UINT32_MAX

enum { TACIT_BODIES_SMALL, TACIT_BODIES_LARGE, TACIT_BODIES_CLASSES };

struct body {
    struct tacit_digest digest;
    uint32_t bytes;
    uint32_t references; // 0: free
    uint32_t next;       // in its chain, or in its free list
};

// Places of one size. Place i belongs to owner i / each.
struct class
{
    uint32_t bytes, each;
    uint32_t first; // index of its first entry
    uint8_t *memory;
    uint32_t free[TACIT_REPLICAS_MAX];
};

struct tacit_bodies {
    uint8_t owners;
    uint32_t count;   // of entries
    uint32_t buckets; // a power of two
    struct class classes[TACIT_BODIES_CLASSES];
    struct body *body;
    uint32_t *chain;
};

static uint32_t *bucket_of(const struct tacit_bodies *bodies, const struct tacit_digest *digest)
{
    uint32_t hash;
    memcpy(&hash, digest->bytes, sizeof hash);
    return &bodies->chain[hash & (bodies->buckets - 1)];
}

static uint32_t find(const struct tacit_bodies *bodies, const struct tacit_digest *digest)
{
    uint32_t index = *bucket_of(bodies, digest);
    while (index != NONE &&
           memcmp(bodies->body[index].digest.bytes, digest->bytes, TACIT_DIGEST_BYTES) != 0) {
        index = bodies->body[index].next;
    }
    return index;
}

static const struct class *class_of(const struct tacit_bodies *bodies, uint32_t index)
{
    const struct class *large = &bodies->classes[TACIT_BODIES_LARGE];
    return index >= large->first ? large : &bodies->classes[TACIT_BODIES_SMALL];
}

static uint8_t *memory_of(const struct tacit_bodies *bodies, uint32_t index)
{
    const struct class *class = class_of(bodies, index);
    return class->memory + (size_t)(index - class->first) * class->bytes;
}

static void free_push(struct tacit_bodies *bodies, uint32_t index)
{
    struct class *class = &bodies->classes[class_of(bodies, index) - bodies->classes];
    uint32_t *head = &class->free[(index - class->first) / class->each];
    bodies->body[index].references = 0;
    bodies->body[index].next = *head;
    *head = index;
}

struct tacit_bodies *tacit_bodies_init(struct tacit_bump *bump,
                                       const struct tacit_bodies_config *config)
{
    TACIT_ASSERT(config->owners <= TACIT_REPLICAS_MAX &&
                 config->small_bytes <= config->large_bytes);
    struct tacit_bodies *bodies = tacit_bump_take(bump, sizeof *bodies, TACIT_CACHE_LINE);
    uint32_t count = config->owners * (config->small_each + config->large_each);
    uint32_t buckets = 1;
    while (buckets < count) {
        buckets *= 2;
    }
    struct body *body = tacit_bump_take(bump, count * sizeof *body, TACIT_CACHE_LINE);
    uint32_t *chain = tacit_bump_take(bump, buckets * sizeof *chain, TACIT_CACHE_LINE);
    struct class classes[TACIT_BODIES_CLASSES] = {
        {.bytes = config->small_bytes, .each = config->small_each},
        {.bytes = config->large_bytes, .each = config->large_each},
    };
    classes[TACIT_BODIES_LARGE].first = config->owners * config->small_each;
    for (unsigned i = 0; i < TACIT_BODIES_CLASSES; i++) {
        classes[i].bytes = (uint32_t)tacit_round_up(classes[i].bytes, 8);
        classes[i].memory = tacit_bump_take(
            bump, (size_t)config->owners * classes[i].each * classes[i].bytes, TACIT_CACHE_LINE);
    }
    if (bump->base == NULL) {
        return NULL;
    }
    *bodies = (struct tacit_bodies){
        .owners = config->owners, .count = count, .buckets = buckets, .body = body, .chain = chain};
    memcpy(bodies->classes, classes, sizeof classes);
    for (unsigned i = 0; i < TACIT_BODIES_CLASSES; i++) {
        for (unsigned owner = 0; owner < TACIT_REPLICAS_MAX; owner++) {
            bodies->classes[i].free[owner] = NONE;
        }
    }
    memset(chain, 0xff, buckets * sizeof *chain); // NONE
    for (uint32_t i = count; i-- > 0;) {
        free_push(bodies, i);
    }
    return bodies;
}

const uint8_t *tacit_bodies_put(struct tacit_bodies *bodies, tacit_node_t owner,
                                const struct tacit_digest *digest, const void *body, uint32_t bytes)
{
    TACIT_ASSERT(owner < bodies->owners);
    uint32_t index = find(bodies, digest);
    if (index != NONE) {
        TACIT_ASSERT(bodies->body[index].bytes == bytes && bodies->body[index].references < NONE);
        bodies->body[index].references++;
        return memory_of(bodies, index);
    }
    struct class *class = &bodies->classes[TACIT_BODIES_SMALL];
    if (bytes > class->bytes) {
        class = &bodies->classes[TACIT_BODIES_LARGE];
    }
    index = class->free[owner];
    if (TACIT_BUG(BODIES_SHARED_QUOTA)) {
        for (tacit_node_t other = 0; index == NONE && other < bodies->owners; other++) {
            index = class->free[other];
            owner = other;
        }
    }
    if (bytes > class->bytes || index == NONE) {
        return NULL;
    }
    struct body *entry = &bodies->body[index];
    class->free[owner] = entry->next;
    uint32_t *bucket = bucket_of(bodies, digest);
    *entry = (struct body){.digest = *digest, .bytes = bytes, .references = 1, .next = *bucket};
    *bucket = index;
    uint8_t *at = memory_of(bodies, index);
    if (bytes > 0) {
        memcpy(at, body, bytes);
    }
    return at;
}

const uint8_t *tacit_bodies_find(const struct tacit_bodies *bodies,
                                 const struct tacit_digest *digest, uint32_t *bytes)
{
    uint32_t index = find(bodies, digest);
    if (index == NONE) {
        return NULL;
    }
    *bytes = bodies->body[index].bytes;
    return memory_of(bodies, index);
}

bool tacit_bodies_hold(struct tacit_bodies *bodies, const struct tacit_digest *digest)
{
    uint32_t index = find(bodies, digest);
    if (index == NONE) {
        return false;
    }
    TACIT_ASSERT(bodies->body[index].references < NONE);
    bodies->body[index].references++;
    return true;
}

void tacit_bodies_release(struct tacit_bodies *bodies, const struct tacit_digest *digest)
{
    uint32_t index = find(bodies, digest);
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

static uint32_t count_free(const struct tacit_bodies *bodies, const struct class *class)
{
    uint32_t seen = 0;
    for (uint32_t owner = 0; owner < bodies->owners; owner++) {
        uint32_t index = class->free[owner];
        for (; index != NONE && seen <= bodies->count; index = bodies->body[index].next) {
            seen++;
            if (bodies->body[index].references != 0 || index < class->first ||
                (index - class->first) / class->each != owner) {
                return NONE;
            }
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
            if (entry->references == 0 || entry->bytes > class_of(bodies, index)->bytes) {
                return "a body without a reference, or too large";
            }
            if (bucket_of(bodies, &entry->digest) != &bodies->chain[bucket] ||
                find(bodies, &entry->digest) != index) {
                return "a body that cannot be found";
            }
        }
    }
    for (unsigned i = 0; i < TACIT_BODIES_CLASSES; i++) {
        uint32_t unused = count_free(bodies, &bodies->classes[i]);
        if (unused == NONE) {
            return "a free list of bodies is wrong";
        }
        seen += unused;
    }
    return seen == bodies->count ? NULL : "a body is lost";
}
