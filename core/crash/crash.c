// SPDX-License-Identifier: Apache-2.0
//
// The crash engine's life, its operations on the fabric, and the dispatch of events; see crash.h.
#include "crash.h"

#include <string.h>

#include "../base/bug.h"

#define BACKOFF_MAX_NS 10000000ull

// ---- operations
// ----------------------------------------------------------------------------------------

// Cookie: kind 4 | host 4 | term 16 | index 32
uint64_t tacit_crash_cookie(const struct tacit_crash *crash, unsigned kind, unsigned host,
                            uint64_t index)
{
    uint64_t value = (uint64_t)kind << 52 | (uint64_t)host << 48 |
                     (uint64_t)(crash->term & 0xffffu) << 32 | (index & 0xffffffffu);
    return TACIT_COOKIE(TACIT_COOKIE_ENGINE, value);
}

static unsigned host_number(const struct tacit_crash *crash, const struct tacit_log_host *host)
{
    return (unsigned)(host - crash->hosts);
}

static struct tacit_read *free_read(struct tacit_read *pool, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (pool[i].kind == TACIT_READ_NONE) {
            return &pool[i];
        }
    }
    return NULL;
}

struct tacit_read *tacit_crash_read(struct tacit_crash *crash, struct tacit_log_host *host,
                                    enum tacit_read_kind kind, int32_t region, uint64_t offset,
                                    uint32_t bytes, bool as_holder)
{
    struct tacit_read *read = tacit_crash_read_at(
        crash, host->node, as_holder ? host->generation : 0, kind, region, offset, bytes);
    if (read != NULL) {
        read->host = (uint8_t)host_number(crash, host);
        if (host->reads++ == 0) {
            host->reads_ns = crash->now_ns;
        }
    }
    return read;
}

struct tacit_read *tacit_crash_read_at(struct tacit_crash *crash, tacit_node_t node,
                                       uint64_t generation, enum tacit_read_kind kind,
                                       int32_t region, uint64_t offset, uint32_t bytes)
{
    bool small = bytes <= TACIT_SMALL_READ_BYTES;
    struct tacit_read *pool = small ? crash->small : crash->large;
    struct tacit_read *read = free_read(pool, small ? TACIT_SMALL_READS : TACIT_LARGE_READS);
    if (read == NULL || region < 0) {
        return NULL;
    }
    uint64_t cookie =
        tacit_crash_cookie(crash, small ? TACIT_COOKIE_READ_SMALL : TACIT_COOKIE_READ_LARGE, 0,
                           (uint64_t)(read - pool));
    struct tacit_op op = {.kind = TACIT_OP_READ,
                          .plane = TACIT_PLANE_BACKGROUND,
                          .flags = generation != 0 ? TACIT_OP_AS_HOLDER : 0,
                          .host = node,
                          .region = region,
                          .bytes = bytes,
                          .offset = offset,
                          .local = read->buffer,
                          .generation = generation,
                          .cookie = cookie};
    if (!crash->fabric->ops->post(crash->fabric, &op)) {
        return NULL;
    }
    read->kind = (uint8_t)kind;
    read->host = 0;
    read->bytes = bytes;
    read->term = crash->term;
    read->region = 0;
    read->index = 0;
    return read;
}

bool tacit_crash_write_quiet(struct tacit_crash *crash, struct tacit_log_host *host, int32_t region,
                             uint64_t offset, const void *bytes, uint32_t size, uint64_t generation)
{
    uint64_t words[8];
    TACIT_ASSERT(size <= sizeof(words));
    memcpy(words, bytes, size);
    if (region < 0) {
        return false;
    }
    unsigned kind = generation != 0 ? TACIT_COOKIE_QUIET_HOLDER : TACIT_COOKIE_QUIET_PLAIN;
    struct tacit_op op = {
        .kind = TACIT_OP_WRITE,
        .plane = TACIT_PLANE_BACKGROUND,
        .flags = (uint8_t)(TACIT_OP_QUIET | (generation != 0 ? TACIT_OP_AS_HOLDER : 0)),
        .host = host->node,
        .region = region,
        .bytes = size,
        .offset = offset,
        .local = words,
        .generation = generation,
        .cookie = tacit_crash_cookie(crash, kind, host_number(crash, host), 0)};
    return crash->fabric->ops->post(crash->fabric, &op);
}

// ---- life
// ----------------------------------------------------------------------------------------------

static void find_handles(struct tacit_crash *crash, struct tacit_log_host *host)
{
    const struct tacit_fabric_ops *ops = crash->fabric->ops;
    struct tacit_region_key page = {TACIT_REGION_PAGE, host->node, host->incarnation};
    struct tacit_region_key control = {TACIT_REGION_CONTROL, TACIT_NODE_SELF, 0};
    struct tacit_region_key own_log = {TACIT_REGION_LOG, TACIT_NODE_SELF, 0};
    host->page = ops->region(crash->fabric, host->node, page);
    host->control = ops->region(crash->fabric, host->node, control);
    host->own_log = ops->region(crash->fabric, host->node, own_log);
}

void tacit_crash_init(struct tacit_crash *crash, struct tacit_bump *bump,
                      const struct tacit_smr_config *config, struct tacit_fabric *fabric,
                      struct tacit_marker marker, tacit_time_ns_t now_ns)
{
    struct tacit_log_shape shape = tacit_log_shape(config->log_entries, config->batch_bytes);
    uint8_t *journal = tacit_bump_take(bump, (size_t)shape.entries * shape.slot_bytes, 64);
    uint8_t *small = tacit_bump_take(bump, (size_t)TACIT_SMALL_READS * TACIT_SMALL_READ_BYTES, 64);
    // Room for more than TACIT_SMALL_READ_BYTES even if slots are tiny: tells the pools apart.
    uint32_t large_bytes = shape.slot_bytes;
    uint8_t *large = tacit_bump_take(bump, (size_t)TACIT_LARGE_READS * large_bytes, 64);
    if (bump->base == NULL) {
        return;
    }
    memset(crash, 0, sizeof(*crash));
    crash->config = config;
    crash->fabric = fabric;
    crash->marker = marker;
    crash->shape = shape;
    crash->journal = journal;
    crash->leader = TACIT_NODE_NONE;
    crash->laggard = TACIT_NODE_NONE;
    crash->slowest = TACIT_NODE_NONE;
    crash->slow = TACIT_NODE_NONE;
    crash->remote.holder = TACIT_NODE_NONE;
    crash->now_ns = now_ns;
    crash->tick_ns = config->beat_period_ns;
    crash->attempt_ns = config->permission_timeout_ns;
    crash->backoff_ns = config->permission_timeout_ns;
    crash->active_ns = now_ns;
    crash->leaderless_ns = now_ns;
    crash->trusted = (1u << config->replicas) - 1;
    crash->role = TACIT_ROLE_JOINING;
    crash->hosts_log = config->log_on == TACIT_LOG_ON_REPLICAS;
    crash->host_count = crash->hosts_log ? config->replicas : config->memnodes;
    for (uint32_t i = 0; i < TACIT_SMALL_READS; i++) {
        crash->small[i].buffer = small + (size_t)i * TACIT_SMALL_READ_BYTES;
    }
    for (uint32_t i = 0; i < TACIT_LARGE_READS; i++) {
        crash->large[i].buffer = large + (size_t)i * large_bytes;
    }
    for (uint32_t i = 0; i < crash->host_count; i++) {
        struct tacit_log_host *host = &crash->hosts[i];
        host->node = (tacit_node_t)(crash->hosts_log ? i : TACIT_NODE_MEMNODE + i);
        host->page = host->control = host->own_log = -1;
        host->rival = TACIT_NODE_NONE;
        if (host->node == config->self) {
            host->up = true;
            host->incarnation = config->incarnation;
            find_handles(crash, host);
        }
    }
    if (crash->hosts_log) {
        struct tacit_grants_config grants = {.replicas = config->replicas,
                                             .suspicion_ns = config->suspicion_ns};
        tacit_grants_init(&crash->grants, &grants, fabric);
    }
}

static void retire_superseded(struct tacit_crash *crash, tacit_node_t node)
{
    struct tacit_region_key keys[TACIT_PAGE_REGIONS_MAX];
    if (!crash->hosts_log || node == crash->config->self) {
        return;
    }
    size_t count = crash->fabric->ops->log_regions(crash->fabric, keys, TACIT_PAGE_REGIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (keys[i].owner == node && keys[i].incarnation < crash->members[node]) {
            tacit_mark(&crash->marker, TACIT_MARK_REGION_RETIRED);
            crash->follow_log = NULL;
            crash->fabric->ops->retire(crash->fabric, keys[i]);
        }
    }
    tacit_grants_publish_regions(&crash->grants);
}

void tacit_crash_activate(struct tacit_crash *crash, const uint64_t *members, tacit_index_t applied)
{
    crash->members = members;
    crash->active = true;
    crash->role = TACIT_ROLE_FOLLOWER;
    crash->leaderless_ns = crash->now_ns;
    tacit_crash_installed(crash, applied);
}

// Its log has no holder yet, which looks as if nobody led. A leader asks it for permission as soon
// as it has executed the admission, and again when it was passed over; by then this one follows. To
// be a candidate before only takes the own log away from the leader.
void tacit_crash_yield_at_first(struct tacit_crash *crash)
{
    tacit_time_ns_t until_ns = crash->now_ns + tacit_crash_ask_again_ns(crash);
    if (crash->ask_after_ns < until_ns) {
        crash->ask_after_ns = until_ns;
    }
}

void tacit_crash_deactivate(struct tacit_crash *crash)
{
    if (crash->role > TACIT_ROLE_FOLLOWER) {
        tacit_crash_step_down(crash);
    }
    crash->active = false;
    crash->role = TACIT_ROLE_JOINING;
}

void tacit_crash_installed(struct tacit_crash *crash, tacit_index_t applied)
{
    if (crash->role > TACIT_ROLE_FOLLOWER) {
        tacit_crash_step_down(crash);
    }
    crash->applied = applied;
    if (applied < crash->journal_low || applied > crash->decided) {
        crash->decided = applied;
        crash->seen = applied;
        crash->journal_low = applied;
    } // else what was followed meanwhile stays: it goes on from there
    if (crash->commit_known < applied) {
        crash->commit_known = applied;
    }
    crash->need_state = 0;
    tacit_follow_reset(crash);
    for (uint8_t r = 0; crash->members != NULL && r < crash->config->replicas; r++) {
        retire_superseded(crash, r);
    }
}

void tacit_crash_want_state(struct tacit_crash *crash, tacit_index_t want)
{
    if (want > crash->need_state) {
        crash->need_state = want;
    }
}

void tacit_crash_suspicion(struct tacit_crash *crash, uint32_t trusted, uint32_t dead)
{
    crash->trusted = trusted | 1u << crash->config->self;
    crash->dead = dead;
}

static uint32_t streaming_hosts(const struct tacit_crash *crash)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < crash->host_count; i++) {
        count += crash->hosts[i].stage == TACIT_HOST_STREAMING;
    }
    return count;
}

void tacit_crash_step_down(struct tacit_crash *crash)
{
    if (crash->role == TACIT_ROLE_LEADER) {
        crash->counters.steps_down++;
        if (crash->tail > crash->decided) {
            tacit_mark(&crash->marker, TACIT_MARK_DEPOSED_WITH_INFLIGHT);
        }
    } else {
        // Longer each time, also when somebody else took a permission: two candidates that take
        // them from each other would go on for ever where messages are slow.
        tacit_time_ns_t most =
            8 * crash->grant_ns < BACKOFF_MAX_NS ? BACKOFF_MAX_NS : 8 * crash->grant_ns;
        crash->backoff_ns = 2 * crash->backoff_ns < most ? 2 * crash->backoff_ns : most;
        crash->counters.elections_lost++;
        tacit_mark(&crash->marker, TACIT_MARK_ELECTION_RELEASED);
    }
    for (uint32_t i = 0; i < crash->host_count; i++) {
        struct tacit_log_host *host = &crash->hosts[i];
        tacit_lease_drop(crash, host); // before others hear that this replica has released
        if (host->request != 0 && host->up) {
            (void)tacit_crash_write_quiet(crash, host, host->control, TACIT_CONTROL_RELEASED,
                                          &host->request, 8, 0);
        }
        host->stage = TACIT_HOST_IDLE;
        host->generation = 0;
        host->acked = 0;
    }
    crash->term++;
    crash->role = crash->active ? TACIT_ROLE_FOLLOWER : TACIT_ROLE_JOINING;
    crash->scan.active = false;
    crash->leader = TACIT_NODE_NONE;
    crash->laggard = TACIT_NODE_NONE;
    uint32_t jitter =
        crash->config->draw(crash->config->draw_context, (uint32_t)(crash->backoff_ns / 1000 + 1));
    crash->ask_after_ns = crash->now_ns + crash->backoff_ns / 2 + jitter * 1000ull;
    crash->leaderless_ns = crash->now_ns;
    tacit_follow_reset(crash);
}

// ---- events
// --------------------------------------------------------------------------------------------

static struct tacit_log_host *host_of(struct tacit_crash *crash, tacit_node_t node)
{
    for (uint32_t i = 0; i < crash->host_count; i++) {
        if (crash->hosts[i].node == node) {
            return &crash->hosts[i];
        }
    }
    return NULL;
}

static void host_left(struct tacit_crash *crash, struct tacit_log_host *host)
{
    tacit_lease_drop(crash, host);
    host->stage = TACIT_HOST_IDLE;
    host->generation = 0;
    host->acked = 0;
    if (crash->role == TACIT_ROLE_LEADER && streaming_hosts(crash) < tacit_crash_quorum(crash)) {
        tacit_crash_step_down(crash);
    } else if (crash->role == TACIT_ROLE_RECOVERING) {
        uint32_t bit = 1u << host_number(crash, host);
        if (!crash->scan.active || (crash->scan.hosts & bit) != 0) {
            tacit_crash_step_down(crash);
        }
    }
}

// A replica that starts again and again before it is admitted would leave a region each time. This
// host grants admitted incarnations only, so those in between are empty.
static void retire_never_admitted(struct tacit_crash *crash, tacit_node_t node,
                                  tacit_incarnation_t incarnation)
{
    struct tacit_region_key keys[TACIT_PAGE_REGIONS_MAX];
    if (!crash->hosts_log || !crash->active || node >= crash->config->replicas) {
        return;
    }
    size_t count = crash->fabric->ops->log_regions(crash->fabric, keys, TACIT_PAGE_REGIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (keys[i].owner == node && keys[i].incarnation > crash->members[node] &&
            keys[i].incarnation < incarnation) {
            crash->follow_log = NULL;
            crash->fabric->ops->retire(crash->fabric, keys[i]);
        }
    }
    tacit_grants_publish_regions(&crash->grants);
}

static void on_up(struct tacit_crash *crash, const struct tacit_event *event)
{
    if (event->node < crash->config->replicas) {
        crash->peer_up[event->node] = true;
        if (crash->peer_incarnation[event->node] != event->incarnation) {
            crash->heads[event->node] = 0;
        }
        crash->peer_incarnation[event->node] = event->incarnation;
        crash->head_pending[event->node] = false;
    }
    retire_never_admitted(crash, event->node, event->incarnation);
    struct tacit_log_host *host = host_of(crash, event->node);
    if (host == NULL) {
        return;
    }
    host->up = true;
    host->incarnation = event->incarnation;
    host->page_pending = false;
    host->request = tacit_ballot(crash->counter, crash->config->self, crash->config->incarnation);
    find_handles(crash, host);
    // Whatever was asked for over an earlier connection is not wanted any more.
    (void)tacit_crash_write_quiet(crash, host, host->control, TACIT_CONTROL_RELEASED,
                                  &host->request, 8, 0);
}

static void on_regions(struct tacit_crash *crash, const struct tacit_event *event)
{
    struct tacit_log_host *host = host_of(crash, event->node);
    if (host != NULL && host->up) {
        find_handles(crash, host); // they may not have been announced at UP
    }
}

static void on_down(struct tacit_crash *crash, const struct tacit_event *event)
{
    if (event->node < crash->config->replicas) {
        crash->peer_up[event->node] = false;
        crash->head_pending[event->node] = false;
        crash->lost_ns = crash->now_ns;
    }
    struct tacit_log_host *host = host_of(crash, event->node);
    if (host == NULL || !host->up) {
        return;
    }
    host->up = false;
    host->page = host->control = host->own_log = -1;
    host_left(crash, host);
}

static void on_denied(struct tacit_crash *crash, struct tacit_log_host *host)
{
    tacit_mark(&crash->marker, TACIT_MARK_WRITE_DENIED);
    if (crash->role <= TACIT_ROLE_FOLLOWER || TACIT_BUG(DENIED_IGNORED)) {
        return;
    }
    if (host->stage < TACIT_HOST_PROMISING && crash->role == TACIT_ROLE_LEADER) {
        host->stage = TACIT_HOST_IDLE; // it was no part of this term yet
        return;
    }
    tacit_crash_step_down(crash);
}

static void head_read(struct tacit_crash *crash, const struct tacit_read *read, bool ok)
{
    uint64_t head;
    memcpy(&head, read->buffer, 8);
    crash->head_pending[read->host] = false;
    if (ok && head > crash->heads[read->host]) {
        crash->heads[read->host] = head;
    }
}

static void on_read(struct tacit_crash *crash, const struct tacit_read *slot, uint8_t status)
{
    struct tacit_read read = *slot;
    bool ok = status == TACIT_COMPLETION_OK;
    struct tacit_log_host *host = &crash->hosts[read.host];
    if (read.kind == TACIT_READ_HEAD) {
        head_read(crash, &read, ok);
        return;
    }
    host->reads--;
    host->reads_ns = crash->now_ns;
    if (read.kind == TACIT_READ_FOLLOW) {
        tacit_follow_remote_read(crash, &read, ok);
        return;
    }
    if (read.kind == TACIT_READ_PAGE) {
        host->page_pending = false;
    }
    if (read.term != crash->term) {
        return;
    }
    if (status == TACIT_COMPLETION_DENIED) {
        on_denied(crash, host);
        return;
    }
    if (!ok || host->stage == TACIT_HOST_IDLE) {
        return; // DOWN follows, or came
    }
    switch (read.kind) {
    case TACIT_READ_PAGE:
        tacit_election_page(crash, host, &read);
        break;
    case TACIT_READ_HEADER:
        tacit_election_header(crash, host, &read);
        break;
    case TACIT_READ_SCAN:
    case TACIT_READ_SCAN_BODY:
        tacit_recovery_read(crash, &read, ok);
        break;
    case TACIT_READ_OWN:
    case TACIT_READ_OWN_BODY:
        tacit_stream_own(crash, host, &read);
        break;
    default:
        break;
    }
}

static tacit_index_t index_near(tacit_index_t near, uint32_t low_bits)
{
    int32_t distance = (int32_t)(low_bits - (uint32_t)near);
    return near + (uint64_t)(int64_t)distance;
}

static void on_completion(struct tacit_crash *crash, const struct tacit_event *event)
{
    uint64_t value = TACIT_COOKIE_VALUE(event->cookie);
    unsigned kind = (unsigned)(value >> 52 & 0xfu);
    unsigned number = (unsigned)(value >> 48 & 0xfu);
    bool same_term = (value >> 32 & 0xffffu) == (crash->term & 0xffffu);
    uint32_t low = (uint32_t)value;
    if (kind == TACIT_COOKIE_READ_SMALL || kind == TACIT_COOKIE_READ_LARGE) {
        bool small = kind == TACIT_COOKIE_READ_SMALL;
        TACIT_ASSERT(low < (small ? TACIT_SMALL_READS : TACIT_LARGE_READS));
        struct tacit_read *slot = small ? &crash->small[low] : &crash->large[low];
        TACIT_ASSERT(slot->kind != TACIT_READ_NONE);
        on_read(crash, slot, event->status);
        slot->kind = TACIT_READ_NONE; // only now: the handler reads the buffer
        return;
    }
    struct tacit_log_host *host = &crash->hosts[number];
    if (!same_term || kind == TACIT_COOKIE_QUIET_PLAIN || crash->role <= TACIT_ROLE_FOLLOWER) {
        return;
    }
    bool denied = event->status == TACIT_COMPLETION_DENIED;
    if (denied && !(TACIT_BUG(DENIED_IGNORED) && kind == TACIT_COOKIE_APPEND)) {
        on_denied(crash, host);
        return;
    }
    if (event->status == TACIT_COMPLETION_LOST || host->stage == TACIT_HOST_IDLE) {
        return; // DOWN follows, or came
    }
    if (kind == TACIT_COOKIE_APPEND) {
        tacit_stream_acked(crash, host, index_near(crash->tail, low));
    } else if (kind == TACIT_COOKIE_PROMISE) {
        tacit_election_promised(crash, host);
    } else if (kind == TACIT_COOKIE_RENEW && host->stage == TACIT_HOST_STREAMING) {
        tacit_lease_renewed(crash, host, low);
    }
}

void tacit_crash_event(struct tacit_crash *crash, const struct tacit_event *event,
                       tacit_time_ns_t now_ns)
{
    crash->now_ns = now_ns;
    if (crash->hosts_log) {
        tacit_grants_event(&crash->grants, event, now_ns);
    }
    switch (event->kind) {
    case TACIT_EVENT_COMPLETION:
        on_completion(crash, event);
        break;
    case TACIT_EVENT_UP:
        on_up(crash, event);
        break;
    case TACIT_EVENT_DOWN:
        on_down(crash, event);
        break;
    case TACIT_EVENT_REGIONS:
        on_regions(crash, event);
        break;
    default:
        break;
    }
}

// ---- decided entries
// -----------------------------------------------------------------------------------

const uint8_t *tacit_crash_next(struct tacit_crash *crash, uint32_t *length)
{
    if (!crash->active || crash->need_state != 0) {
        return NULL;
    }
    tacit_index_t limit = crash->decided;
    if (TACIT_BUG(REPLY_BEFORE_DECIDED) && crash->role == TACIT_ROLE_LEADER) {
        limit = crash->tail;
    }
    if (crash->applied >= limit) {
        return NULL;
    }
    const uint8_t *slot = tacit_crash_slot(crash, crash->applied);
    struct tacit_entry entry;
    tacit_entry_peek(&entry, slot);
    TACIT_ASSERT(crash->applied >= crash->journal_low && entry.index == crash->applied);
    *length = entry.length;
    return slot + TACIT_ENTRY_HEADER;
}

void tacit_crash_executed(struct tacit_crash *crash)
{
    crash->applied++;
    if (crash->seen < crash->applied) {
        crash->seen = crash->applied;
    }
    if (crash->applied == crash->barrier && crash->role == TACIT_ROLE_LEADER) {
        tacit_stream_decide(crash);
    }
}

void tacit_crash_membership(struct tacit_crash *crash, tacit_node_t node)
{
    if (node < crash->config->replicas) {
        retire_superseded(crash, node);
        crash->admitted_at[node] = crash->applied;
        // What it had published before is not vouched for. But it takes part only with a checkpoint
        // that contains this entry, so it needs nothing below.
        crash->heads[node] = crash->applied;
        crash->free_below = 0;
        crash->laggard = crash->laggard == node ? TACIT_NODE_NONE : crash->laggard;
    }
    struct tacit_log_host *host = host_of(crash, node);
    if (host != NULL && host->stage != TACIT_HOST_IDLE && !tacit_crash_eligible(crash, host)) {
        host_left(crash, host);
    }
}

// ---- one turn
// ------------------------------------------------------------------------------------------

static bool poll_grants(struct tacit_crash *crash)
{
    if (!crash->hosts_log || !crash->active) {
        return false;
    }
    tacit_incarnation_t admitted[TACIT_REPLICAS_MAX];
    for (uint8_t r = 0; r < crash->config->replicas; r++) {
        admitted[r] = (tacit_incarnation_t)crash->members[r];
    }
    tacit_node_t before = crash->grants.holder;
    uint64_t deferred = crash->grants.counters.deferred;
    tacit_lease_watch(&crash->grants, crash->now_ns);
    bool worked = tacit_grants_poll(&crash->grants, crash->trusted, admitted, crash->now_ns);
    if (worked && before != TACIT_NODE_NONE) {
        tacit_mark(&crash->marker, TACIT_MARK_GRANT_MOVED);
    }
    if (crash->grants.counters.deferred != deferred) {
        tacit_mark(&crash->marker, TACIT_MARK_GRANT_DEFERRED);
    }
    return worked;
}

// A host that completes no read any more holds buffers, and the term or the follower that waits for
// them.
static void watch_reads(struct tacit_crash *crash)
{
    tacit_time_ns_t patience = 4 * crash->config->suspicion_ns;
    for (uint32_t i = 0; i < crash->host_count; i++) {
        struct tacit_log_host *host = &crash->hosts[i];
        if (host->reads > 0 && crash->now_ns - host->reads_ns > patience) {
            host->reads_ns = crash->now_ns;
            crash->fabric->ops->reset(crash->fabric, host->node);
        }
    }
    for (uint8_t r = 0; r < crash->config->replicas; r++) {
        if (crash->head_pending[r] && crash->now_ns - crash->head_ns[r] > patience) {
            crash->head_ns[r] = crash->now_ns;
            crash->fabric->ops->reset(crash->fabric, r);
        }
    }
}

// Who is about to lead shows that it is at work, so that nobody takes its permissions meanwhile.
static void touch_while_electing(struct tacit_crash *crash)
{
    if (crash->now_ns - crash->touched_ns < crash->config->beat_period_ns / 2) {
        return;
    }
    crash->touched_ns = crash->now_ns;
    crash->touch++;
    for (uint32_t i = 0; i < crash->host_count; i++) {
        struct tacit_log_host *host = &crash->hosts[i];
        if (host->stage >= TACIT_HOST_GRANTED) {
            (void)tacit_crash_write_quiet(crash, host, host->own_log, TACIT_LOG_TOUCH,
                                          &crash->touch, 8, host->generation);
        }
    }
}

bool tacit_crash_poll(struct tacit_crash *crash, tacit_time_ns_t now_ns)
{
    crash->now_ns = now_ns;
    if (!crash->active) {
        return false;
    }
    watch_reads(crash);
    bool worked = poll_grants(crash);
    switch (crash->role) {
    case TACIT_ROLE_FOLLOWER:
        worked |= crash->hosts_log ? tacit_follow_poll(crash) : tacit_follow_remote_poll(crash);
        worked |= tacit_election_poll(crash);
        break;
    case TACIT_ROLE_CANDIDATE:
    case TACIT_ROLE_RECOVERING:
        touch_while_electing(crash);
        worked |= tacit_election_poll(crash);
        if (crash->role == TACIT_ROLE_RECOVERING) {
            worked |= tacit_recovery_poll(crash);
        }
        break;
    case TACIT_ROLE_LEADER:
        worked |= tacit_election_poll(crash); // late log hosts
        if (crash->role == TACIT_ROLE_LEADER) {
            worked |= tacit_stream_poll(crash);
        }
        break;
    case TACIT_ROLE_JOINING:
        break;
    }
    return worked;
}

tacit_time_ns_t tacit_crash_deadline(const struct tacit_crash *crash)
{
    tacit_time_ns_t at = crash->now_ns + crash->tick_ns;
    tacit_time_ns_t grants = crash->hosts_log ? tacit_grants_deadline(&crash->grants) : UINT64_MAX;
    if (grants < at) {
        at = grants;
    }
    if (crash->role == TACIT_ROLE_CANDIDATE || crash->role == TACIT_ROLE_RECOVERING) {
        return crash->now_ns + TACIT_CANDIDATE_LOOK_NS;
    }
    if (crash->role == TACIT_ROLE_LEADER) {
        if (crash->is_waiting && crash->heads_ns + TACIT_HEADS_NS < at) {
            at = crash->heads_ns + TACIT_HEADS_NS;
        }
        for (uint32_t i = 0; i < crash->host_count; i++) {
            const struct tacit_log_host *host = &crash->hosts[i];
            if (host->stage == TACIT_HOST_STREAMING && crash->tail == crash->decided &&
                host->commit_sent < crash->decided && host->acked > host->commit_sent &&
                crash->proposed_ns + TACIT_IDLE_COMMIT_NS < at) {
                at = crash->proposed_ns + TACIT_IDLE_COMMIT_NS;
            }
        }
    }
    if (!crash->hosts_log && crash->role == TACIT_ROLE_FOLLOWER && crash->remote.out == 0 &&
        crash->remote.next_ns < at) {
        at = crash->remote.next_ns;
    }
    return at;
}
