// SPDX-License-Identifier: Apache-2.0
//
// Crash mode on a memory node: the permission server in a loop, asleep while nobody asks, and the
// fabric's host side as that server sees it. In a file of its own because a Byzantine group, which
// is the one that has to trust its memory nodes, has no use for it.
#include <assert.h>

#include "../shm/life.h"
#include "node.h"
#include "tacit/grants.h"

// Turns without a sleep after something happened: one request leads to the next.
#define AWAKE_TURNS 16

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
               key.incarnation == node->replicas[key.owner].seen) {
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

// A replica names a log region that is no longer needed: free it if a later life of its owner is
// here, so that nobody can make us drop a region that is in use.
static void retire_named(const struct tacit_grants *grants, struct tacit_fabric *fabric)
{
    for (tacit_node_t node = 0; node < grants->config.replicas; node++) {
        const uint64_t *control = fabric->ops->local(
            fabric,
            (struct tacit_region_key){TACIT_REGION_CONTROL, node, grants->peers[node].incarnation},
            NULL);
        if (control == NULL) {
            continue;
        }
        uint64_t word = __atomic_load_n(&control[TACIT_CONTROL_RETIRED / 8], __ATOMIC_ACQUIRE);
        struct tacit_region_key key = {.region_class = TACIT_REGION_LOG,
                                       .owner = tacit_owner_node(word),
                                       .incarnation = tacit_owner_incarnation(word)};
        if (word != 0 && key.owner < grants->config.replicas &&
            key.incarnation < grants->peers[key.owner].incarnation) {
            fabric->ops->retire(fabric, key); // nothing happens if it is gone already
        }
    }
}

static bool turn(struct tacit_grants *grants, struct tacit_fabric *fabric)
{
    struct tacit_event events[TACIT_MEMNODE_EVENTS];
    tacit_time_ns_t now_ns = tacit_shm_now_ns();
    size_t count = fabric->ops->poll(fabric, events, TACIT_MEMNODE_EVENTS);
    for (size_t i = 0; i < count; i++) {
        tacit_grants_event(grants, &events[i], now_ns);
    }
    uint32_t connected = 0;
    for (unsigned node = 0; node < grants->config.replicas; node++) {
        connected |= (uint32_t)grants->peers[node].up << node;
    }
    return tacit_grants_poll(grants, connected, NULL, now_ns) || count > 0;
}

static enum tacit_status permissions_open(struct tacit_memnode *node, struct tacit_error *error)
{
    return tacit_memnode_fabric(node, error) != NULL ? TACIT_OK : TACIT_EIO;
}

// Whoever asks for something rings, so there is no other reason to wake.
static void permissions_loop(const struct tacit_memnode_config *config, struct tacit_memnode *node,
                             const volatile sig_atomic_t *stopping)
{
    static struct tacit_grants grants;
    struct tacit_fabric *fabric = &node->fabric;
    tacit_grants_init(&grants,
                      &(struct tacit_grants_config){.replicas = config->replicas,
                                                    .suspicion_ns = config->suspicion_ns},
                      fabric);
    for (unsigned idle_turns = 0; !*stopping; idle_turns++) {
        if (turn(&grants, fabric)) {
            idle_turns = 0;
        } else if (idle_turns >= AWAKE_TURNS) {
            idle_turns = 0;
            fabric->ops->arm(fabric);
            retire_named(&grants, fabric); // readers are told in the turn
            if (!turn(&grants, fabric)) {
                fabric->ops->sleep(fabric, tacit_grants_deadline(&grants));
            }
            fabric->ops->disarm(fabric);
        }
    }
}

const struct tacit_memnode_service tacit_memnode_permissions = {
    .open = permissions_open,
    .loop = permissions_loop,
};
