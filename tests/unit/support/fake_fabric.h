// SPDX-License-Identifier: Apache-2.0
//
// A fabric small enough to be steered by hand: one process under test, a few hosts whose memory the
// test owns, and operations that land word by word when the test says so. Checks what a correct
// caller owes: bounds, alignment, no buffer in two reads at a time, permission moved only after the
// holder's REVOKED was taken, generations that grow.
#ifndef TACIT_TESTS_UNIT_FAKE_FABRIC_H
#define TACIT_TESTS_UNIT_FAKE_FABRIC_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/base/words.h"
#include "tacit/fabric.h"

enum { FAKE_HOSTS = 20, FAKE_REGIONS = 16, FAKE_OPS = 64, FAKE_EVENTS = 64 };

struct fake_region {
    struct tacit_region_key key;
    uint8_t *memory;
    size_t bytes;
    bool live;
    bool coming; // there, but not yet here
};

struct fake_host {
    bool up;
    uint32_t epoch; // of the connection: handles of an earlier one are void
    tacit_incarnation_t incarnation;
    struct fake_region region[FAKE_REGIONS];
    uint32_t regions;
    uint32_t resets, rings;
};

struct fake_op {
    struct tacit_op op;
    uint32_t words; // done
};

struct fake_fabric {
    struct tacit_fabric fabric; // first
    struct fake_host host[FAKE_HOSTS];
    struct fake_op ops[FAKE_OPS]; // in the order of their posting
    uint32_t op_count;
    struct tacit_event events[FAKE_EVENTS];
    uint32_t event_count;
    uint32_t refuse; // so many of the next posts find a full queue
    bool lose;       // quiet writes never land: the connection is about to break
    uint32_t quiet;  // writes that landed
    uint32_t quiet_bytes;
    // Permission, as the host's hardware has it.
    bool switching;
    struct tacit_event switched; // comes when the test lets the switch happen
    tacit_node_t holder, next_holder;
    tacit_incarnation_t holder_incarnation, next_incarnation;
    uint64_t generation; // newest asked for
    uint64_t in_force;
    bool free_told; // REVOKED was taken and nothing granted since
};

static inline struct fake_fabric *fake_of(struct tacit_fabric *fabric)
{
    return (struct fake_fabric *)(void *)fabric;
}

static inline void fake_event(struct fake_fabric *fake, struct tacit_event event)
{
    assert_true(fake->event_count < FAKE_EVENTS);
    fake->events[fake->event_count++] = event;
}

static inline bool fake_take(struct fake_fabric *fake, struct tacit_event *event)
{
    if (fake->event_count == 0) {
        return false;
    }
    *event = fake->events[0];
    fake->event_count--;
    memmove(fake->events, fake->events + 1, fake->event_count * sizeof(fake->events[0]));
    if (event->kind == TACIT_EVENT_REVOKED && event->generation == fake->generation) {
        fake->free_told = true;
    }
    return true;
}

static inline void fake_add_region(struct fake_fabric *fake, tacit_node_t host,
                                   uint8_t region_class, tacit_node_t owner,
                                   tacit_incarnation_t incarnation, void *memory, size_t bytes)
{
    struct fake_host *at = &fake->host[host];
    assert_true(at->regions < FAKE_REGIONS);
    at->region[at->regions++] = (struct fake_region){
        .key = {region_class, owner, incarnation}, .memory = memory, .bytes = bytes, .live = true};
}

static inline struct fake_region *fake_find(struct fake_fabric *fake, tacit_node_t host,
                                            struct tacit_region_key key)
{
    if (key.owner == TACIT_NODE_SELF) {
        key.owner = fake->fabric.self;
        key.incarnation = fake->fabric.incarnation;
    }
    for (uint32_t i = 0; i < fake->host[host].regions; i++) {
        struct fake_region *region = &fake->host[host].region[i];
        if (region->live && region->key.region_class == key.region_class &&
            region->key.owner == key.owner && region->key.incarnation == key.incarnation) {
            return region;
        }
    }
    return NULL;
}

static inline int32_t fake_region(struct tacit_fabric *fabric, tacit_node_t host,
                                  struct tacit_region_key key)
{
    struct fake_fabric *fake = fake_of(fabric);
    assert_true(host < FAKE_HOSTS);
    const struct fake_region *region = fake_find(fake, host, key);
    if (region == NULL || !fake->host[host].up) {
        return -1;
    }
    if (region->coming) {
        return TACIT_REGION_COMING;
    }
    return (int32_t)(fake->host[host].epoch << 8 | (uint32_t)(region - fake->host[host].region));
}

static inline struct fake_region *fake_handle(struct fake_fabric *fake, const struct tacit_op *op)
{
    uint32_t index = (uint32_t)op->region & 0xffu;
    assert_true(op->region >= 0 && index < fake->host[op->host].regions);
    assert_int_equal((uint32_t)op->region >> 8, fake->host[op->host].epoch);
    return &fake->host[op->host].region[index];
}

static inline bool fake_post(struct tacit_fabric *fabric, const struct tacit_op *op)
{
    struct fake_fabric *fake = fake_of(fabric);
    assert_true(op->host < FAKE_HOSTS && op->plane < TACIT_PLANES);
    if (!fake->host[op->host].up || fake->op_count == FAKE_OPS || fake->refuse > 0) {
        fake->refuse -= fake->refuse > 0;
        return false;
    }
    const struct fake_region *region = fake_handle(fake, op);
    assert_true(op->bytes > 0 && op->bytes % 8 == 0 && op->offset % 8 == 0);
    assert_true(op->offset <= region->bytes && op->bytes <= region->bytes - op->offset);
    assert_int_equal((uintptr_t)op->local % 8, 0);
    if ((op->flags & TACIT_OP_QUIET) != 0) { // lands at once, or never
        assert_true(op->kind == TACIT_OP_WRITE && op->bytes <= TACIT_OP_QUIET_BYTES);
        if (!fake->lose) {
            memcpy(region->memory + op->offset, op->local, op->bytes);
            fake->quiet++;
            fake->quiet_bytes += op->bytes;
        }
        return true;
    }
    assert_true(op->kind == TACIT_OP_READ || op->kind == TACIT_OP_WRITE);
    for (uint32_t i = 0; i < fake->op_count; i++) {
        const struct tacit_op *other = &fake->ops[i].op;
        uintptr_t a = (uintptr_t)op->local;
        uintptr_t b = (uintptr_t)other->local;
        assert_true(a + op->bytes <= b || b + other->bytes <= a);
    }
    fake->ops[fake->op_count++] = (struct fake_op){.op = *op};
    return true;
}

static inline void fake_complete(struct fake_fabric *fake, uint32_t index, uint8_t status)
{
    const struct tacit_op *op = &fake->ops[index].op;
    fake_event(fake, (struct tacit_event){.kind = TACIT_EVENT_COMPLETION,
                                          .status = status,
                                          .node = op->host,
                                          .cookie = op->cookie});
    fake->op_count--;
    memmove(&fake->ops[index], &fake->ops[index + 1],
            (fake->op_count - index) * sizeof(fake->ops[0]));
}

// Lets `words` words of an operation land; completes it with its last one. Words come from the
// highest address down: nothing may rely on the usual order.
static inline void fake_land(struct fake_fabric *fake, uint32_t index, uint32_t words)
{
    struct fake_op *entry = &fake->ops[index];
    const struct fake_region *region = fake_handle(fake, &entry->op);
    uint32_t all = entry->op.bytes / 8;
    for (; words > 0 && entry->words < all; words--) {
        size_t at = 8u * (size_t)(all - 1 - entry->words++);
        uint8_t *local = (uint8_t *)entry->op.local + at;
        uint8_t *memory = region->memory + entry->op.offset + at;
        bool is_read = entry->op.kind == TACIT_OP_READ;
        memcpy(is_read ? local : memory, is_read ? memory : local, 8);
    }
    if (entry->words == all) {
        fake_complete(fake, index, TACIT_COMPLETION_OK);
    }
}

// The connection breaks: everything pending is LOST (and its buffer holds rubbish), then DOWN.
static inline void fake_down(struct fake_fabric *fake, tacit_node_t host, bool certain)
{
    assert_true(fake->host[host].up);
    for (uint32_t i = 0; i < fake->op_count;) {
        if (fake->ops[i].op.host == host) {
            if (fake->ops[i].op.kind == TACIT_OP_READ) {
                memset(fake->ops[i].op.local, 0xbd, fake->ops[i].op.bytes);
            }
            fake_complete(fake, i, TACIT_COMPLETION_LOST);
        } else {
            i++;
        }
    }
    fake->host[host].up = false;
    fake->host[host].epoch++;
    fake_event(fake, (struct tacit_event){.kind = TACIT_EVENT_DOWN,
                                          .node = host,
                                          .incarnation = fake->host[host].incarnation,
                                          .certain = certain});
}

static inline void fake_up(struct fake_fabric *fake, tacit_node_t host,
                           tacit_incarnation_t incarnation)
{
    fake->host[host].up = true;
    fake->host[host].incarnation = incarnation;
    fake_event(fake, (struct tacit_event){
                         .kind = TACIT_EVENT_UP, .node = host, .incarnation = incarnation});
}

static inline void fake_ring(struct tacit_fabric *fabric, tacit_node_t host)
{
    fake_of(fabric)->host[host].rings++;
}

static inline void fake_reset(struct tacit_fabric *fabric, tacit_node_t host)
{
    struct fake_fabric *fake = fake_of(fabric);
    fake->host[host].resets++;
    if (fake->host[host].up) {
        fake_down(fake, host, false);
    }
}

static inline void *fake_local(struct tacit_fabric *fabric, struct tacit_region_key key,
                               size_t *bytes)
{
    struct fake_fabric *fake = fake_of(fabric);
    const struct fake_region *region = fake_find(fake, fabric->self, key);
    *bytes = region == NULL ? 0 : region->bytes;
    return region == NULL ? NULL : region->memory;
}

static inline size_t fake_log_regions(struct tacit_fabric *fabric, struct tacit_region_key *keys,
                                      size_t max)
{
    const struct fake_host *host = &fake_of(fabric)->host[fabric->self];
    size_t count = 0;
    for (uint32_t i = 0; i < host->regions && count < max; i++) {
        if (host->region[i].live && host->region[i].key.region_class == TACIT_REGION_LOG) {
            keys[count++] = host->region[i].key;
        }
    }
    return count;
}

static inline void fake_grant(struct tacit_fabric *fabric, tacit_node_t holder,
                              tacit_incarnation_t incarnation, uint64_t generation)
{
    struct fake_fabric *fake = fake_of(fabric);
    assert_true(fake->free_told && !fake->switching); // contract: only after REVOKED
    assert_true(generation > fake->generation);
    fake->generation = generation;
    fake->free_told = false;
    fake->switching = true;
    fake->next_holder = holder;
    fake->next_incarnation = incarnation;
    fake->switched = (struct tacit_event){.kind = TACIT_EVENT_GRANTED, .generation = generation};
}

static inline void fake_revoke(struct tacit_fabric *fabric, uint64_t generation)
{
    struct fake_fabric *fake = fake_of(fabric);
    assert_true(!fake->switching && generation > fake->generation);
    fake->generation = generation;
    fake->free_told = false;
    fake->switching = true;
    fake->next_holder = TACIT_NODE_NONE;
    fake->next_incarnation = 0;
    fake->switched = (struct tacit_event){.kind = TACIT_EVENT_REVOKED, .generation = generation};
}

// What was asked for takes effect; its event follows.
static inline bool fake_switch(struct fake_fabric *fake)
{
    if (!fake->switching) {
        return false;
    }
    fake->switching = false;
    fake->holder = fake->next_holder;
    fake->holder_incarnation = fake->next_incarnation;
    fake->in_force = fake->generation;
    fake_event(fake, fake->switched);
    return true;
}

static inline void fake_retire(struct tacit_fabric *fabric, struct tacit_region_key key)
{
    struct fake_region *region = fake_find(fake_of(fabric), fabric->self, key);
    assert_non_null(region);
    region->live = false;
}

static inline void fake_attach(struct tacit_fabric *fabric, void *base, size_t bytes)
{
    (void)fabric;
    (void)base;
    (void)bytes;
}

static inline void fake_init(struct fake_fabric *fake, tacit_node_t self,
                             tacit_incarnation_t incarnation)
{
    static const struct tacit_fabric_ops ops = {.post = fake_post,
                                                .ring = fake_ring,
                                                .region = fake_region,
                                                .local = fake_local,
                                                .log_regions = fake_log_regions,
                                                .grant = fake_grant,
                                                .revoke = fake_revoke,
                                                .retire = fake_retire,
                                                .reset = fake_reset,
                                                .attach = fake_attach};
    memset(fake, 0, sizeof(*fake));
    fake->fabric.ops = &ops;
    fake->fabric.self = self;
    fake->fabric.incarnation = incarnation;
    fake->holder = fake->next_holder = TACIT_NODE_NONE;
    fake->free_told = true;
    for (uint32_t i = 0; i < FAKE_HOSTS; i++) {
        fake->host[i].epoch = 1;
    }
    fake->host[self].up = true;
}

#endif
