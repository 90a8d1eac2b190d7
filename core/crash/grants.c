// SPDX-License-Identifier: Apache-2.0
//
// The permission server; see grants.h.
#include "tacit/grants.h"

#include <string.h>

#include "../base/assert.h"
#include "../base/bug.h"
#include "../base/words.h"
#include "tacit/layout.h"

static void *page_of(struct tacit_grants *grants)
{
    size_t bytes;
    struct tacit_region_key key = {TACIT_REGION_PAGE, grants->fabric->self,
                                   grants->fabric->incarnation};
    void *page = grants->fabric->ops->local(grants->fabric, key, &bytes);
    TACIT_ASSERT(page != NULL && bytes >= TACIT_PAGE_REGION_BYTES);
    return page;
}

// A word of a peer's CONTROL region. The region stays where it is until a new incarnation's UP.
static uint64_t control_word(struct tacit_grants *grants, tacit_node_t node,
                             tacit_incarnation_t incarnation, size_t offset)
{
    struct tacit_grants_peer *peer = &grants->peers[node];
    if (peer->control == NULL) {
        size_t bytes;
        struct tacit_region_key key = {TACIT_REGION_CONTROL, node, incarnation};
        peer->control = grants->fabric->ops->local(grants->fabric, key, &bytes);
    }
    return peer->control == NULL ? 0 : tacit_word_load(peer->control, offset);
}

void tacit_grants_publish_regions(struct tacit_grants *grants)
{
    struct tacit_region_key keys[TACIT_PAGE_REGIONS_MAX];
    size_t count = grants->fabric->ops->log_regions(grants->fabric, keys, TACIT_PAGE_REGIONS_MAX);
    void *page = page_of(grants);
    for (size_t i = 0; i < count; i++) {
        tacit_word_store(page, TACIT_PAGE_REGION_KEYS + 8 * i,
                         tacit_owner_word(keys[i].owner, keys[i].incarnation));
    }
    tacit_word_store(page, TACIT_PAGE_REGIONS, count);
    grants->regions = count;
}

void tacit_grants_init(struct tacit_grants *grants, const struct tacit_grants_config *config,
                       struct tacit_fabric *fabric)
{
    memset(grants, 0, sizeof(*grants));
    grants->config = *config;
    grants->fabric = fabric;
    grants->holder = TACIT_NODE_NONE;
    grants->next = TACIT_NODE_NONE;
    grants->last = TACIT_NODE_NONE;
    grants->deadline_ns = UINT64_MAX;
    void *page = page_of(grants);
    tacit_word_store(page, TACIT_PAGE_GENERATION, 0);
    tacit_word_store(page, TACIT_PAGE_HOLDER, tacit_owner_word(TACIT_NODE_NONE, 0));
    tacit_word_store(page, TACIT_PAGE_ACK, 0);
    tacit_grants_publish_regions(grants);
}

// Takes the permission away, or goes on to grant if nobody has it.
static void start_revoke(struct tacit_grants *grants)
{
    tacit_word_store(page_of(grants), TACIT_PAGE_HOLDER, tacit_owner_word(TACIT_NODE_NONE, 0));
    grants->last = grants->holder;
    grants->last_incarnation = grants->holder_incarnation;
    grants->last_request = grants->holder_request;
    grants->holder = TACIT_NODE_NONE;
    grants->state = TACIT_GRANTS_REVOKING;
    grants->generation++;
    grants->counters.revocations++;
    grants->fabric->ops->revoke(grants->fabric, grants->generation);
}

// Whether nobody can rely on the lease of who was revoked last.
static bool lease_is_void(struct tacit_grants *grants)
{
    tacit_node_t last = grants->last;
    if (last == TACIT_NODE_NONE || TACIT_BUG(LEASE_NOT_AWAITED)) {
        return true;
    }
    if (last == grants->next && grants->last_incarnation == grants->next_incarnation) {
        return true; // who asks anew has given up what it had
    }
    if (last != grants->fabric->self && grants->peers[last].dead >= grants->last_incarnation) {
        return true;
    }
    return control_word(grants, last, grants->last_incarnation, TACIT_CONTROL_RELEASED) >=
           grants->last_request;
}

// The LEASE word of who was revoked last.
static uint64_t lease_written(struct tacit_grants *grants)
{
    size_t bytes;
    struct tacit_region_key key = {TACIT_REGION_LOG, grants->last, grants->last_incarnation};
    const void *log = grants->last == TACIT_NODE_NONE
                          ? NULL
                          : grants->fabric->ops->local(grants->fabric, key, &bytes);
    return log == NULL ? 0 : tacit_word_load(log, TACIT_LOG_LEASE);
}

static void start_grant(struct tacit_grants *grants)
{
    grants->state = TACIT_GRANTS_GRANTING;
    grants->generation++;
    grants->fabric->ops->grant(grants->fabric, grants->next, grants->next_incarnation,
                               grants->generation);
}

static void acknowledge(struct tacit_grants *grants, tacit_time_ns_t now_ns)
{
    void *page = page_of(grants);
    // The list first: a candidate that sees the acknowledgement reads the regions next, and must
    // not miss one that was written under an earlier generation.
    tacit_grants_publish_regions(grants);
    grants->holder = grants->next;
    grants->holder_incarnation = grants->next_incarnation;
    grants->holder_request = grants->next_request;
    grants->next = TACIT_NODE_NONE;
    grants->state = TACIT_GRANTS_STEADY;
    grants->active_ns = now_ns;
    grants->activity = 0;
    grants->looked_ns = 0; // at this one's lease
    grants->unchanged_ns = 0;
    grants->counters.grants++;
    tacit_word_store(page, TACIT_PAGE_GENERATION, grants->generation);
    tacit_word_store(page, TACIT_PAGE_HOLDER,
                     tacit_owner_word(grants->holder, grants->holder_incarnation));
    tacit_word_store(page, TACIT_PAGE_ACK, grants->holder_request);
}

static bool wait_for_lease(struct tacit_grants *grants, tacit_time_ns_t now_ns)
{
    // `now_ns` was read before the turn began, and the revocation may have been long after that. If
    // no earlier time is known, the wait counts from a later reading.
    if (grants->from_ns == 0 && now_ns > grants->event_ns) {
        grants->from_ns = now_ns;
    }
    bool is_over = grants->lease_ns == 0 ||
                   (grants->from_ns != 0 && now_ns - grants->from_ns > grants->lease_ns);
    if (!is_over && !lease_is_void(grants)) {
        grants->deadline_ns =
            grants->from_ns == 0 ? now_ns + 1 : grants->from_ns + grants->lease_ns + 1;
        return false;
    }
    grants->counters.lease_wait_ns = now_ns - grants->event_ns;
    start_grant(grants);
    return true;
}

// Contract 5 holds now: no renewal comes any more.
static void revoked_for_next(struct tacit_grants *grants, tacit_time_ns_t now_ns)
{
    uint64_t word = lease_written(grants);
    bool is_same = word == grants->lease_word || TACIT_BUG(LEASE_AS_WATCHED);
    uint64_t lease_ns = word & ((1ull << TACIT_LEASE_NUMBER_SHIFT) - 1);
    grants->lease_ns = lease_ns < TACIT_LEASE_MAX_NS ? lease_ns : TACIT_LEASE_MAX_NS;
    grants->from_ns = is_same ? grants->unchanged_ns : 0;
    grants->event_ns = now_ns;
    grants->state = TACIT_GRANTS_WAITING;
    grants->counters.leases_waited += !wait_for_lease(grants, now_ns);
}

void tacit_grants_event(struct tacit_grants *grants, const struct tacit_event *event,
                        tacit_time_ns_t now_ns)
{
    switch (event->kind) {
    case TACIT_EVENT_UP:
        if (event->node < grants->config.replicas) {
            grants->peers[event->node] =
                (struct tacit_grants_peer){.up = true,
                                           .incarnation = event->incarnation,
                                           .dead = grants->peers[event->node].dead};
            tacit_grants_publish_regions(grants);
        }
        break;
    case TACIT_EVENT_DOWN:
        if (event->node < grants->config.replicas) {
            grants->peers[event->node].up = false;
            if (event->certain && event->incarnation > grants->peers[event->node].dead) {
                grants->peers[event->node].dead = event->incarnation;
            }
        }
        break;
    case TACIT_EVENT_REVOKED:
        if (grants->state == TACIT_GRANTS_REVOKING && event->generation == grants->generation) {
            if (grants->next == TACIT_NODE_NONE) {
                grants->state = TACIT_GRANTS_STEADY;
            } else {
                revoked_for_next(grants, now_ns);
            }
        }
        break;
    case TACIT_EVENT_GRANTED:
        if (grants->state == TACIT_GRANTS_GRANTING && event->generation == grants->generation) {
            acknowledge(grants, now_ns);
        }
        break;
    default:
        break;
    }
}

// The pending request number of a replica, 0 if it has none that may be served.
static uint64_t pending(struct tacit_grants *grants, tacit_node_t node, uint32_t trusted,
                        const tacit_incarnation_t *admitted)
{
    struct tacit_grants_peer *peer = &grants->peers[node];
    bool self = node == grants->fabric->self;
    tacit_incarnation_t incarnation = self ? grants->fabric->incarnation : peer->incarnation;
    if ((!self && !peer->up) || (trusted & 1u << node) == 0 ||
        (admitted != NULL && admitted[node] != incarnation)) {
        return 0;
    }
    uint64_t number = control_word(grants, node, incarnation, TACIT_CONTROL_REQUEST);
    bool served = node == grants->holder && incarnation == grants->holder_incarnation &&
                  number <= grants->holder_request;
    if (number <= peer->dropped || served) { // as in nearly every turn
        return 0;
    }
    return number <= control_word(grants, node, incarnation, TACIT_CONTROL_RELEASED) ? 0 : number;
}

// Whether the present holder keeps the permission although somebody asks.
static bool holder_keeps(struct tacit_grants *grants, uint32_t trusted, tacit_time_ns_t now_ns)
{
    tacit_node_t holder = grants->holder;
    bool another = holder != grants->fabric->self && grants->peers[holder].up &&
                   grants->peers[holder].incarnation != grants->holder_incarnation;
    if ((trusted & 1u << holder) == 0 || another) {
        return false;
    }
    size_t bytes;
    struct tacit_region_key key = {TACIT_REGION_LOG, holder, grants->holder_incarnation};
    const void *log = grants->fabric->ops->local(grants->fabric, key, &bytes);
    if (log == NULL) {
        return false;
    }
    uint64_t seen = tacit_word_load(log, TACIT_LOG_COMMIT) + tacit_word_load(log, TACIT_LOG_TOUCH);
    if (seen != grants->activity) {
        grants->activity = seen;
        grants->active_ns = now_ns;
    }
    return now_ns - grants->active_ns <= grants->config.suspicion_ns;
}

static bool holder_released(struct tacit_grants *grants)
{
    if (grants->holder == TACIT_NODE_NONE) {
        return false;
    }
    uint64_t released =
        control_word(grants, grants->holder, grants->holder_incarnation, TACIT_CONTROL_RELEASED);
    return released >= grants->holder_request;
}

// Serves `node`: every other pending request is passed over and has to be renewed.
static void serve(struct tacit_grants *grants, tacit_node_t node, uint64_t number)
{
    for (tacit_node_t r = 0; r < grants->config.replicas; r++) {
        bool self = r == grants->fabric->self;
        tacit_incarnation_t incarnation =
            self ? grants->fabric->incarnation : grants->peers[r].incarnation;
        if (r != node && (self || grants->peers[r].up)) {
            grants->peers[r].dropped = control_word(grants, r, incarnation, TACIT_CONTROL_REQUEST);
        }
    }
    bool self = node == grants->fabric->self;
    grants->peers[node].dropped = number; // served once
    grants->next = node;
    grants->next_incarnation = self ? grants->fabric->incarnation : grants->peers[node].incarnation;
    grants->next_request = number;
    grants->deferring = false;
    if (TACIT_BUG(ACK_BEFORE_REVOKE)) {
        start_grant(grants);
        acknowledge(grants, grants->active_ns);
        return;
    }
    start_revoke(grants);
}

bool tacit_grants_poll(struct tacit_grants *grants, uint32_t trusted,
                       const tacit_incarnation_t *admitted, tacit_time_ns_t now_ns)
{
    grants->deadline_ns = UINT64_MAX;
    if (grants->state == TACIT_GRANTS_WAITING) {
        return wait_for_lease(grants, now_ns);
    }
    if (grants->state != TACIT_GRANTS_STEADY) {
        return false;
    }
    if (holder_released(grants)) {
        start_revoke(grants);
        return true;
    }
    for (tacit_node_t r = 0; r < grants->config.replicas; r++) {
        uint64_t number = pending(grants, r, trusted, admitted);
        if (number == 0) {
            continue;
        }
        if (grants->holder != TACIT_NODE_NONE && r != grants->holder) {
            if (!grants->deferring) {
                // Watch from now on: what was last seen may be as old as the grant.
                grants->deferring = true;
                grants->active_ns = now_ns;
                grants->counters.deferred++;
            }
            if (holder_keeps(grants, trusted, now_ns)) {
                grants->deadline_ns = now_ns + grants->config.suspicion_ns / 8 + 1;
                return false;
            }
        }
        serve(grants, r, number);
        return true;
    }
    grants->deferring = false;
    return false;
}

tacit_time_ns_t tacit_grants_deadline(const struct tacit_grants *grants)
{
    return grants->deadline_ns;
}
