// SPDX-License-Identifier: Apache-2.0
//
// See loop.h.
#include "loop.h"

#include "tacit/grants.h"
#include "tacit/layout.h"
#include "tacit/shm.h"

// Turns without a sleep after something happened: one request leads to the next.
#define AWAKE_TURNS 16
#define EVENTS 128u // all that a memory node's fabric has at a time

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
    struct tacit_event events[EVENTS];
    tacit_time_ns_t now_ns = tacit_shm_now_ns(); // the clock of every provider
    size_t count = fabric->ops->poll(fabric, events, EVENTS);
    for (size_t i = 0; i < count; i++) {
        tacit_grants_event(grants, &events[i], now_ns);
    }
    uint32_t connected = 0;
    for (unsigned node = 0; node < grants->config.replicas; node++) {
        connected |= (uint32_t)grants->peers[node].up << node;
    }
    return tacit_grants_poll(grants, connected, NULL, now_ns) || count > 0;
}

// Whoever asks for something rings, so there is no other reason to wake.
void tacit_memnode_loop(struct tacit_fabric *fabric, uint8_t replicas, tacit_time_ns_t suspicion_ns,
                        const volatile sig_atomic_t *stopping)
{
    static struct tacit_grants grants;
    tacit_grants_init(
        &grants, &(struct tacit_grants_config){.replicas = replicas, .suspicion_ns = suspicion_ns},
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
