// SPDX-License-Identifier: Apache-2.0
//
// Asking log hosts for permission (Mu, section 5.2, with sticky grants): when to ask, the way of
// one host from the request to the knowledge that catch-up needs, and giving up without starving
// others.
#include "crash.h"

#include <string.h>

#include "../base/bug.h"

// ---- one log host
// --------------------------------------------------------------------------------------

static void ask(struct tacit_crash *crash, struct tacit_log_host *host)
{
    uint64_t number =
        tacit_ballot(crash->counter + 1, crash->config->self, crash->config->incarnation);
    if (!tacit_crash_write_quiet(crash, host, host->control, TACIT_CONTROL_REQUEST, &number, 8,
                                 0)) {
        return;
    }
    crash->counter++;
    tacit_lease_drop(crash, host);
    host->request = number;
    host->generation = 0;
    host->acked = 0;
    host->stage = TACIT_HOST_ASKED;
    host->rival = TACIT_NODE_NONE;
    host->asked_ns = crash->now_ns;
    host->look_ns = crash->now_ns;
    if (host->node != crash->config->self) {
        crash->fabric->ops->ring(crash->fabric, host->node);
    }
}

// A host that is awake answers at once. One that is not needs a processor to wake up on, perhaps
// this one, so a candidate does not look without end. A leader can afford to look for late hosts
// now and then.
static tacit_time_ns_t look_pause_ns(const struct tacit_crash *crash,
                                     const struct tacit_log_host *host)
{
    if (host->stage != TACIT_HOST_ASKED) {
        return 0;
    }
    if (crash->role == TACIT_ROLE_LEADER) {
        return crash->config->beat_period_ns / 4;
    }
    return crash->now_ns - host->asked_ns < TACIT_CANDIDATE_EAGER_NS ? 0 : TACIT_CANDIDATE_LOOK_NS;
}

static bool look_at_page(struct tacit_crash *crash, struct tacit_log_host *host)
{
    if (host->page_pending || crash->now_ns < host->look_ns) {
        return false;
    }
    struct tacit_read *read = tacit_crash_read(crash, host, TACIT_READ_PAGE, host->page, 0,
                                               TACIT_PAGE_REGION_BYTES, false);
    if (read == NULL) {
        return false;
    }
    host->page_pending = true;
    host->look_ns = crash->now_ns + look_pause_ns(crash, host);
    return true;
}

static bool read_headers(struct tacit_crash *crash, struct tacit_log_host *host)
{
    bool worked = false;
    for (uint32_t i = 0; i < host->region_count; i++) {
        if (host->regions[i].header != 0) {
            continue;
        }
        struct tacit_read *read = tacit_crash_read(
            crash, host, TACIT_READ_HEADER, host->regions[i].handle, 0, TACIT_LOG_ENTRIES, true);
        if (read == NULL) {
            break;
        }
        read->region = (uint16_t)i;
        read->index = host->request;
        host->regions[i].header = 1;
        worked = true;
    }
    return worked;
}

// Asks a host (again) and follows it to GATHERED; candidates and leaders with late joiners.
static bool follow_host(struct tacit_crash *crash, struct tacit_log_host *host)
{
    if (!tacit_crash_eligible(crash, host)) {
        return false;
    }
    switch (host->stage) {
    case TACIT_HOST_IDLE:
        ask(crash, host);
        return host->stage != TACIT_HOST_IDLE;
    case TACIT_HOST_ASKED:
        if (crash->role == TACIT_ROLE_LEADER &&
            crash->now_ns - host->asked_ns > tacit_crash_ask_again_ns(crash)) {
            ask(crash, host); // it may have passed the request over
        }
        return look_at_page(crash, host);
    case TACIT_HOST_GRANTED:
        return look_at_page(crash, host);
    case TACIT_HOST_HEADERS:
        return read_headers(crash, host);
    default:
        return false;
    }
}

// The list of a host's LOG regions, as published before it acknowledged. Every one of them has to
// be read, so one that this process has not been told of yet is waited for.
static bool take_regions(struct tacit_crash *crash, struct tacit_log_host *host,
                         const uint8_t *page)
{
    uint64_t count = tacit_word_load(page, TACIT_PAGE_REGIONS);
    if (count >= TACIT_PAGE_REGIONS_MAX) { // more, or perhaps cut
        crash->counters.unexpected++;
        return false;
    }
    host->region_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t word = tacit_word_load(page, TACIT_PAGE_REGION_KEYS + 8u * i);
        struct tacit_region_key key = {TACIT_REGION_LOG, tacit_owner_node(word),
                                       tacit_owner_incarnation(word)};
        int32_t handle = crash->fabric->ops->region(crash->fabric, host->node, key);
        if (handle < 0) {
            return false;
        }
        struct tacit_host_region *region = &host->regions[host->region_count++];
        *region = (struct tacit_host_region){
            .owner = key.owner, .incarnation = key.incarnation, .handle = handle};
    }
    host->headers_left = host->region_count;
    return host->region_count > 0;
}

// Notes who else got this host. A host that serves one candidate passes the others over, so it is
// asked again when that one has released it.
static void look_for_rival(struct tacit_crash *crash, struct tacit_log_host *host, uint64_t holder)
{
    tacit_node_t before = host->rival;
    tacit_node_t node = tacit_owner_node(holder);
    host->rival = node < crash->config->replicas && node != crash->config->self &&
                          tacit_crash_alive(crash, node, tacit_owner_incarnation(holder))
                      ? node
                      : TACIT_NODE_NONE;
    if (before != TACIT_NODE_NONE && node == TACIT_NODE_NONE) {
        ask(crash, host);
    }
}

void tacit_election_page(struct tacit_crash *crash, struct tacit_log_host *host,
                         const struct tacit_read *read)
{
    const uint8_t *page = read->buffer;
    if (host->stage == TACIT_HOST_ASKED) {
        uint64_t holder = tacit_word_load(page, TACIT_PAGE_HOLDER);
        if (tacit_word_load(page, TACIT_PAGE_ACK) == host->request &&
            tacit_owner_node(holder) == crash->config->self) {
            host->stage = TACIT_HOST_GRANTED;
            host->look_ns = crash->now_ns;
        } else if (crash->role == TACIT_ROLE_CANDIDATE) {
            look_for_rival(crash, host, holder);
        }
        return;
    }
    if (host->stage != TACIT_HOST_GRANTED) {
        return;
    }
    // This read was posted after the acknowledgement was seen, so it shows what preceded it.
    host->generation = tacit_word_load(page, TACIT_PAGE_GENERATION);
    if (host->generation == 0 || tacit_word_load(page, TACIT_PAGE_ACK) != host->request ||
        tacit_owner_node(tacit_word_load(page, TACIT_PAGE_HOLDER)) != crash->config->self) {
        host->stage =
            TACIT_HOST_ASKED; // somebody else's by now: it says so again, or is asked again
        return;
    }
    host->head = tacit_word_load(page, TACIT_PAGE_APPLIED);
    if (host->node < crash->config->replicas && crash->heads[host->node] < host->head) {
        crash->heads[host->node] = host->head;
    }
    host->promise = 0;
    host->commit = 0;
    host->floor = 0;
    host->own_fresh = true;
    host->commit_sent = 0;
    if (take_regions(crash, host, page)) {
        host->stage = TACIT_HOST_HEADERS;
    } else {
        host->look_ns = crash->now_ns + 20000; // a region is still being announced
    }
}

void tacit_election_header(struct tacit_crash *crash, struct tacit_log_host *host,
                           const struct tacit_read *read)
{
    if (host->stage != TACIT_HOST_HEADERS) {
        return;
    }
    struct tacit_host_region *region = &host->regions[read->region];
    if (read->index != host->request || region->header != 1) {
        return; // of an earlier round
    }
    uint64_t promise = tacit_word_load(read->buffer, TACIT_LOG_PROMISE);
    uint64_t commit = tacit_word_load(read->buffer, TACIT_LOG_COMMIT);
    region->header = 2;
    uint64_t ballot = tacit_word_load(read->buffer, TACIT_LOG_COMMIT_BALLOT);
    bool whole =
        tacit_word_load(read->buffer, TACIT_LOG_COMMIT_CHECK) == tacit_commit_check(commit, ballot);
    region->commit_ballot = whole ? ballot : 0;
    region->commit = commit;
    if (promise > host->promise) {
        host->promise = promise;
    }
    if (commit > host->commit) {
        host->commit = commit;
    }
    uint64_t floor = tacit_word_load(read->buffer, TACIT_LOG_FLOOR);
    if (floor > host->floor) {
        host->floor = floor;
    }
    if (region->owner == crash->config->self && region->incarnation == crash->config->incarnation) {
        host->own_fresh = promise == 0;
        host->commit_sent = commit;
    }
    host->headers_left--;
    if (host->headers_left == 0) {
        host->stage = TACIT_HOST_GATHERED;
    }
}

static bool promise(struct tacit_crash *crash, struct tacit_log_host *host)
{
    struct tacit_op op = {.kind = TACIT_OP_WRITE,
                          .plane = TACIT_PLANE_BACKGROUND,
                          .flags = TACIT_OP_AS_HOLDER,
                          .host = host->node,
                          .region = host->own_log,
                          .bytes = 8,
                          .offset = TACIT_LOG_PROMISE,
                          .local = tacit_crash_ballot_word(crash),
                          .generation = host->generation,
                          .cookie = tacit_crash_cookie(crash, TACIT_COOKIE_PROMISE,
                                                       (unsigned)(host - crash->hosts), 0)};
    if (!crash->fabric->ops->post(crash->fabric, &op)) {
        return false;
    }
    host->stage = TACIT_HOST_PROMISING;
    return true;
}

void tacit_election_promised(struct tacit_crash *crash, struct tacit_log_host *host)
{
    if (host->stage != TACIT_HOST_PROMISING) {
        return;
    }
    host->stage = TACIT_HOST_PROMISED;
    if (crash->role == TACIT_ROLE_LEADER) {
        tacit_mark(&crash->marker, TACIT_MARK_LATE_JOINER);
        tacit_stream_enter(crash, host);
    }
}

// ---- the candidate
// -------------------------------------------------------------------------------------

static bool has_leader(struct tacit_crash *crash)
{
    tacit_node_t leader = crash->leader;
    tacit_incarnation_t incarnation = crash->remote.holder_incarnation;
    if (crash->hosts_log) {
        leader = crash->grants.holder;
        incarnation = crash->grants.holder_incarnation;
        if (crash->grants.state == TACIT_GRANTS_WAITING) { // it will be, after the other's lease
            leader = crash->grants.next;
            incarnation = crash->grants.next_incarnation;
            crash->active_ns = crash->now_ns;
        }
        if (crash->grants.generation != crash->holder_generation) {
            crash->holder_generation = crash->grants.generation;
            crash->active_ns = crash->now_ns;
        }
    } else if (leader == TACIT_NODE_NONE) {
        // Not before every memory node that can be reached was looked at.
        for (uint32_t i = 0; i < crash->host_count; i++) {
            if (crash->hosts[i].up && (crash->remote.looked & 1u << i) == 0) {
                return true;
            }
        }
        return false;
    }
    if (leader == TACIT_NODE_NONE || leader == crash->config->self ||
        !tacit_crash_alive(crash, leader, incarnation)) {
        return false;
    }
    // A holder that is alive and does nothing is no leader: it gave up and its release was lost, or
    // it is cut off from here.
    return crash->now_ns - crash->active_ns <= 4 * crash->config->suspicion_ns;
}

// How many replicas should ask before this one: the trusted ones with smaller ids.
static uint32_t rank_of(const struct tacit_crash *crash)
{
    uint32_t rank = 0;
    for (uint8_t r = 0; r < crash->config->self; r++) {
        rank += (crash->trusted & 1u << r) != 0 && crash->peer_up[r] &&
                crash->members[r] == crash->peer_incarnation[r];
    }
    return rank;
}

static bool should_ask(struct tacit_crash *crash)
{
    if (crash->need_state != 0 || crash->applied != crash->decided || has_leader(crash)) {
        crash->leaderless_ns = 0;
        return false;
    }
    if (crash->leaderless_ns == 0) {
        crash->leaderless_ns = crash->now_ns;
    }
    tacit_time_ns_t patience = 8 * crash->config->permission_timeout_ns;
    if (patience < 2000000) {
        patience = 2000000;
    }
    return crash->now_ns >= crash->leaderless_ns + rank_of(crash) * patience &&
           crash->now_ns >= crash->ask_after_ns;
}

static void start_attempt(struct tacit_crash *crash)
{
    crash->term++;
    crash->role = TACIT_ROLE_CANDIDATE;
    crash->leader = TACIT_NODE_NONE;
    crash->asked_ns = crash->now_ns;
    crash->lost_ns = crash->now_ns;
    crash->counters.elections_started++;
    crash->counters.detect_to_ask_ns = crash->now_ns - crash->leaderless_ns;
    tacit_time_ns_t at_least = 4 * crash->grant_ns;
    if (at_least < crash->config->permission_timeout_ns) {
        at_least = crash->config->permission_timeout_ns;
    }
    // A host may wait for a lease before it answers, but not for that of who is dead for certain.
    // (If that was another one than the last holder, longer attempts follow.)
    if (crash->dead == 0) {
        at_least += crash->config->lease_ns + crash->config->lease_ns / 2;
    }
    if (crash->attempt_ns < at_least) {
        crash->attempt_ns = at_least;
    }
    crash->attempt_end_ns = crash->now_ns + crash->attempt_ns;
    crash->prefetched = 0;
    tacit_stream_read_heads(crash);
    for (uint32_t i = 0; i < crash->host_count; i++) {
        crash->hosts[i].stage = TACIT_HOST_IDLE;
        crash->hosts[i].rival = TACIT_NODE_NONE;
    }
}

static uint32_t hosts_at(const struct tacit_crash *crash, enum tacit_host_stage from)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < crash->host_count; i++) {
        count += crash->hosts[i].stage >= from;
    }
    return count;
}

// The rival with the smallest id if rivals hold so many hosts that no majority is left to this
// candidate, else TACIT_NODE_NONE.
static tacit_node_t blocked_by(const struct tacit_crash *crash)
{
    tacit_node_t first = TACIT_NODE_NONE;
    uint32_t left = 0;
    for (uint32_t i = 0; i < crash->host_count; i++) {
        const struct tacit_log_host *host = &crash->hosts[i];
        bool is_rivals = host->stage == TACIT_HOST_ASKED && host->rival != TACIT_NODE_NONE;
        left += !is_rivals && tacit_crash_eligible(crash, host);
        first =
            is_rivals && (first == TACIT_NODE_NONE || host->rival < first) ? host->rival : first;
    }
    return left < tacit_crash_quorum(crash) ? first : TACIT_NODE_NONE;
}

// Candidates that each hold a part of the majority that both need: the one with the larger id gives
// way at once, the other after a while. Where nobody is in the way, hosts that have not answered
// are only slow, and to release those that have would cost another round. Not for ever: a request
// may have been passed over between two looks.
static bool is_over(const struct tacit_crash *crash)
{
    bool late = crash->now_ns >= crash->attempt_end_ns;
    if (crash->role != TACIT_ROLE_CANDIDATE) {
        return crash->role == TACIT_ROLE_RECOVERING && late;
    }
    tacit_node_t rival = blocked_by(crash);
    if (rival != TACIT_NODE_NONE) {
        return late || rival < crash->config->self;
    }
    return late && crash->now_ns >= crash->asked_ns + crash->config->suspicion_ns;
}

static void give_up(struct tacit_crash *crash)
{
    crash->attempt_ns =
        2 * crash->attempt_ns < TACIT_ATTEMPT_MAX_NS ? 2 * crash->attempt_ns : TACIT_ATTEMPT_MAX_NS;
    tacit_crash_step_down(crash);
    // Others may know of members that this replica does not know yet, and both wait for each other.
    // Who has executed more can say so.
    for (uint8_t r = 0; r < crash->config->replicas; r++) {
        if (crash->peer_up[r] && (crash->trusted & 1u << r) != 0 &&
            crash->heads[r] > crash->decided) {
            tacit_crash_want_state(crash, crash->decided + 1);
        }
    }
}

// A majority granted and told what it promised: choose a ballot above and promise it.
static void majority_gathered(struct tacit_crash *crash)
{
    uint64_t above = crash->counter;
    for (uint32_t i = 0; i < crash->host_count; i++) {
        const struct tacit_log_host *host = &crash->hosts[i];
        if (host->stage >= TACIT_HOST_GATHERED && tacit_ballot_counter(host->promise) > above) {
            above = tacit_ballot_counter(host->promise);
        }
    }
    if (TACIT_BUG(BALLOT_REUSED)) {
        above = 0;
    }
    crash->counter = above + 1;
    crash->ballot = tacit_ballot(crash->counter, crash->config->self, crash->config->incarnation);
    *tacit_crash_ballot_word(crash) = crash->ballot;
    crash->role = TACIT_ROLE_RECOVERING;
    crash->granted_ns = crash->now_ns;
    tacit_time_ns_t took = crash->now_ns - crash->asked_ns;
    // Remembered for a while: one quick grant does not mean that the next will be.
    crash->grant_ns = crash->grant_ns * 3 / 4 > took ? crash->grant_ns * 3 / 4 : took;
    crash->counters.permission_ns = took;
    crash->attempt_end_ns = crash->now_ns + TACIT_ATTEMPT_MAX_NS + 4 * crash->config->suspicion_ns;
}

// Brings log hosts further that are not part of the term yet; ends the term when one has promised
// more.
static bool poll_hosts(struct tacit_crash *crash)
{
    bool worked = false;
    uint32_t term = crash->term;
    for (uint32_t i = 0; i < crash->host_count && crash->term == term; i++) {
        struct tacit_log_host *host = &crash->hosts[i];
        worked |= follow_host(crash, host);
        if (host->stage != TACIT_HOST_GATHERED || crash->role < TACIT_ROLE_RECOVERING) {
            continue;
        }
        if (host->promise > crash->ballot && !TACIT_BUG(BALLOT_REUSED)) {
            tacit_mark(&crash->marker, TACIT_MARK_PROMISE_ABOVE);
            if (tacit_ballot_counter(host->promise) > crash->counter) {
                crash->counter = tacit_ballot_counter(host->promise);
            }
            tacit_crash_step_down(crash);
            return true;
        }
        worked |= promise(crash, host);
    }
    return worked;
}

// Catch-up reads the header and the next entries of every LOG, mostly memory that this process has
// never read: where it has to be mapped first, that takes several times as long as to read it.
// While hosts are asked there is time for that; one region a turn, as an answer may come.
static bool prefetch_next(struct tacit_crash *crash)
{
    const struct tacit_fabric_ops *ops = crash->fabric->ops;
    if (ops->prefetch == NULL || crash->prefetched == crash->host_count * crash->config->replicas) {
        return false;
    }
    const struct tacit_log_host *host = &crash->hosts[crash->prefetched % crash->host_count];
    tacit_node_t owner = (tacit_node_t)(crash->prefetched / crash->host_count);
    crash->prefetched++;
    struct tacit_region_key key = {TACIT_REGION_LOG, owner,
                                   (tacit_incarnation_t)crash->members[owner]};
    int32_t region = host->up ? ops->region(crash->fabric, host->node, key) : -1;
    if (region < 0) {
        return true;
    }
    ops->prefetch(crash->fabric, host->node, region, 0, TACIT_LOG_ENTRIES);
    for (uint32_t i = 0; i < TACIT_SCAN_GROUP; i++) {
        ops->prefetch(crash->fabric, host->node, region,
                      tacit_log_slot(crash->shape, crash->decided + i), TACIT_ENTRY_HEADER);
    }
    return true;
}

bool tacit_election_poll(struct tacit_crash *crash)
{
    bool worked = false;
    if (crash->role == TACIT_ROLE_FOLLOWER) {
        if (!should_ask(crash)) {
            return false;
        }
        start_attempt(crash);
    }
    worked |= poll_hosts(crash);
    if (crash->role == TACIT_ROLE_CANDIDATE &&
        hosts_at(crash, TACIT_HOST_GATHERED) >= tacit_crash_quorum(crash)) {
        majority_gathered(crash);
        worked |= poll_hosts(crash);
    }
    if (crash->role == TACIT_ROLE_CANDIDATE) {
        worked |= prefetch_next(crash);
    }
    if (crash->role == TACIT_ROLE_RECOVERING && !crash->scan.active) {
        bool promising = false;
        for (uint32_t i = 0; i < crash->host_count; i++) {
            promising |= crash->hosts[i].stage == TACIT_HOST_PROMISING;
        }
        if (!promising && hosts_at(crash, TACIT_HOST_PROMISED) >= tacit_crash_quorum(crash)) {
            tacit_recovery_start(crash);
            worked = true;
        }
    }
    if (is_over(crash)) {
        give_up(crash);
    }
    return worked;
}
