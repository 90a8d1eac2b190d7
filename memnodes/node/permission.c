// SPDX-License-Identifier: Apache-2.0
//
// Crash mode on a memory node: the fabric's host side as the permission server sees it (loop.c). In
// a file of its own because a Byzantine group, which is the one that has to trust its memory nodes,
// has no use for it.
#include <assert.h>

#include "../shm/life.h"
#include "loop.h"
#include "node.h"

static size_t host_poll(struct tacit_fabric *fabric, struct tacit_event *events, size_t max)
{
    struct tacit_memnode *node = tacit_memnode_of(fabric);
    if (node->events_count == 0) {
        tacit_memnode_serve(node, 0);
    }
    size_t count = 0;
    for (; count < max && node->events_count > 0; node->events_count--) {
        events[count++] = node->events[node->events_first];
        node->events_first = (node->events_first + 1) % TACIT_MEMNODE_EVENTS;
    }
    return count;
}

static struct tacit_memnode_region *region_find(struct tacit_memnode *node,
                                                struct tacit_region_key key)
{
    for (unsigned i = 0; key.region_class == TACIT_REGION_LOG && i < TACIT_SHM_LOGS; i++) {
        struct tacit_memnode_region *region = &node->regions[i];
        if (region->present && region->owner == key.owner &&
            region->incarnation == key.incarnation) {
            return region;
        }
    }
    return NULL;
}

static void *host_local(struct tacit_fabric *fabric, struct tacit_region_key key, size_t *bytes)
{
    struct tacit_memnode *node = tacit_memnode_of(fabric);
    const struct tacit_memnode_region *region = region_find(node, key);
    const uint64_t *found = NULL;
    size_t size = node->layout->log_bytes;
    if (region != NULL) {
        found = region->words;
    } else if (key.region_class == TACIT_REGION_PAGE) {
        found = node->page;
        size = node->layout->page_bytes;
    } else if (key.region_class == TACIT_REGION_CONTROL && key.owner < TACIT_REPLICAS_MAX &&
               key.incarnation == node->replicas[key.owner].newest) {
        found = node->replicas[key.owner].control;
        size = node->layout->control_bytes;
    }
    if (found != NULL && bytes != NULL) {
        *bytes = size;
    }
    return (void *)(uintptr_t)found; // the caller writes the page alone
}

static size_t host_log_regions(struct tacit_fabric *fabric, struct tacit_region_key *keys,
                               size_t max)
{
    struct tacit_memnode *node = tacit_memnode_of(fabric);
    size_t count = 0;
    uint64_t last = 0;
    while (count < max) { // by age; at most a round for each region
        const struct tacit_memnode_region *next = NULL;
        for (unsigned i = 0; i < TACIT_SHM_LOGS; i++) {
            const struct tacit_memnode_region *region = &node->regions[i];
            if (region->present && region->serial > last &&
                (next == NULL || region->serial < next->serial)) {
                next = region;
            }
        }
        if (next == NULL) {
            break;
        }
        last = next->serial;
        keys[count++] = (struct tacit_region_key){TACIT_REGION_LOG, next->owner, next->incarnation};
    }
    return count;
}

static void host_retire(struct tacit_fabric *fabric, struct tacit_region_key key)
{
    struct tacit_memnode *node = tacit_memnode_of(fabric);
    struct tacit_memnode_region *region = region_find(node, key);
    if (region != NULL) {
        tacit_memnode_region_free(node, region);
    }
}

// ---- permission and sleep (the proofs are in protocol.h and ../shm/wait.c) ----

static void host_grant(struct tacit_fabric *fabric, tacit_node_t holder,
                       tacit_incarnation_t incarnation, uint64_t generation)
{
    struct tacit_memnode *node = tacit_memnode_of(fabric);
    assert(generation > node->generation &&
           node->host[TACIT_SHM_HOST_HOLDER / 8] == TACIT_SHM_NOBODY);
    node->generation = generation;
    tacit_shm_pair_grant(node->host, generation, tacit_owner_word(holder, incarnation));
    tacit_memnode_event(node, (struct tacit_event){.kind = TACIT_EVENT_GRANTED,
                                                   .node = holder,
                                                   .generation = generation});
}

static void host_revoke(struct tacit_fabric *fabric, uint64_t generation)
{
    struct tacit_memnode *node = tacit_memnode_of(fabric);
    assert(generation > node->generation);
    node->generation = generation;
    tacit_shm_pair_revoke(node->host, generation);
    tacit_memnode_event(node, (struct tacit_event){.kind = TACIT_EVENT_REVOKED,
                                                   .node = TACIT_NODE_NONE,
                                                   .generation = generation});
}

static void host_arm(struct tacit_fabric *fabric)
{
    struct tacit_memnode *node = tacit_memnode_of(fabric);
    tacit_shm_store(&node->host[TACIT_SHM_HOST_SLEEPING / 8], ++node->sleeps);
    TACIT_SHM_FULL_FENCE();
}

static void host_sleep(struct tacit_fabric *fabric, tacit_time_ns_t until_ns)
{
    struct tacit_memnode *node = tacit_memnode_of(fabric);
    if (node->events_count == 0) {
        tacit_memnode_serve(node, until_ns);
    }
}

static void host_disarm(struct tacit_fabric *fabric)
{
    tacit_shm_store(&tacit_memnode_of(fabric)->host[TACIT_SHM_HOST_SLEEPING / 8], 0);
    TACIT_SHM_FULL_FENCE();
}

static const struct tacit_fabric_ops host_ops = {
    .poll = host_poll,
    .local = host_local,
    .log_regions = host_log_regions,
    .grant = host_grant,
    .revoke = host_revoke,
    .retire = host_retire,
    .arm = host_arm,
    .sleep = host_sleep,
    .disarm = host_disarm,
};

struct tacit_fabric *tacit_memnode_fabric(struct tacit_memnode *node, struct tacit_error *error)
{
    // Never ended: it is to say when the process does.
    static struct tacit_shm_life life;
    node->fabric.ops = &host_ops;
    return tacit_shm_life_begin(&life, &node->host[TACIT_SHM_HOST_DEATHS / 8], error) == TACIT_OK
               ? &node->fabric
               : NULL;
}

// ---- the loop ----

static enum tacit_status permissions_open(struct tacit_memnode *node, struct tacit_error *error)
{
    return tacit_memnode_fabric(node, error) != NULL ? TACIT_OK : TACIT_EIO;
}

static void permissions_loop(const struct tacit_memnode_config *config, struct tacit_memnode *node,
                             const volatile sig_atomic_t *stopping)
{
    tacit_memnode_loop(&node->fabric, config->replicas, config->suspicion_ns, stopping);
}

const struct tacit_memnode_service tacit_memnode_permissions = {
    .open = permissions_open,
    .loop = permissions_loop,
};
