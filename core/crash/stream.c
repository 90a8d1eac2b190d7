// SPDX-License-Identifier: Apache-2.0
//
// The leader's streams (Mu, section 4): every log host gets every index from its start on, in
// order, from the journal; an entry is decided when a majority has completed it. In steady state
// that is exactly one write per log host and batch, and no read.
//
// Invariants:
//  * On a host, indices [start, next) of the own region were written (or adopted) in this term in
//  order, so a
//    completed index vouches for all before it; `acked` counts only completions of this term and
//    generation.
//  * The commit word of a host never passes min(decided, what it acknowledged).
//  * A value that stands whole in the own region of a host is adopted by its word, never written
//  again: a
//    torn rewrite could lose a decided value.
#include "crash.h"

#include <string.h>

#include "../base/bug.h"

#define STREAM_BUDGET 32u // entries per host and turn

static unsigned number_of(const struct tacit_crash *crash, const struct tacit_log_host *host)
{
    return (unsigned)(host - crash->hosts);
}

// ---- a host joins the term
// -----------------------------------------------------------------------------

// Gives a journal entry of an earlier term the present ballot, before it is first posted in this
// term.
static void reseal(struct tacit_crash *crash, tacit_index_t index)
{
    uint8_t *slot = tacit_crash_slot(crash, index);
    struct tacit_entry entry;
    tacit_entry_peek(&entry, slot);
    TACIT_ASSERT(entry.index == index);
    if (entry.ballot != crash->ballot || entry.adopted != 0) {
        tacit_index_t commit = crash->decided < index + 1 ? crash->decided : index + 1;
        (void)tacit_entry_seal(slot, index, crash->ballot, commit, entry.length, entry.flags);
    }
}

// The applied head below which nobody who reads this host's log needs entries.
static tacit_index_t head_of(const struct tacit_crash *crash, const struct tacit_log_host *host)
{
    if (host->node == crash->config->self) {
        return crash->applied;
    }
    if (host->node < crash->config->replicas) {
        return host->head;
    }
    // Members that cannot be reached count, too: one of them may be the last that is left, and
    // reads here then.
    tacit_index_t lowest = crash->applied;
    for (uint8_t r = 0; r < crash->config->replicas; r++) {
        if (r != crash->config->self && crash->members[r] != 0 && crash->heads[r] < lowest) {
            lowest = crash->heads[r];
        }
    }
    return lowest;
}

static void begin_at(struct tacit_log_host *host, tacit_index_t start)
{
    host->start = start;
    host->next = start;
    host->checked = start;
    host->low_sent = false;
    host->floor_sent = 0;
    memset(host->own, TACIT_OWN_UNKNOWN, sizeof(host->own));
}

void tacit_stream_enter(struct tacit_crash *crash, struct tacit_log_host *host)
{
    tacit_index_t start = head_of(crash, host);
    if (start < crash->journal_low) {
        start = crash->journal_low; // its follower fetches a checkpoint: LOW tells it
    }
    host->stage = TACIT_HOST_STREAMING;
    host->acked = 0;
    tacit_lease_drop(crash, host); // of an earlier generation
    begin_at(host, start < crash->tail ? start : crash->tail);
}

static void send_low(struct tacit_crash *crash, struct tacit_log_host *host)
{
    uint64_t words[2] = {host->start, crash->ballot};
    host->low_sent = tacit_crash_write_quiet(crash, host, host->own_log, TACIT_LOG_LOW, words,
                                             sizeof(words), host->generation);
}

// ---- own copies
// ----------------------------------------------------------------------------------------

static uint8_t *own_copy(struct tacit_log_host *host, tacit_index_t index)
{
    return &host->own[index % TACIT_CHECK_AHEAD];
}

static void look_at_own(struct tacit_crash *crash, struct tacit_log_host *host)
{
    while (host->checked < crash->first_free && host->checked < host->next + TACIT_CHECK_AHEAD) {
        struct tacit_read *read =
            tacit_crash_read(crash, host, TACIT_READ_OWN, host->own_log,
                             tacit_log_slot(crash->shape, host->checked), TACIT_ENTRY_HEADER, true);
        if (read == NULL) {
            return;
        }
        read->index = host->checked;
        *own_copy(host, host->checked) = TACIT_OWN_READING;
        host->checked++;
    }
}

static void look_at_bodies(struct tacit_crash *crash, struct tacit_log_host *host)
{
    for (tacit_index_t i = host->next; i < host->checked; i++) {
        if (*own_copy(host, i) != TACIT_OWN_LOOK_AGAIN) {
            continue;
        }
        struct tacit_entry entry;
        tacit_entry_peek(&entry, tacit_crash_slot(crash, i));
        struct tacit_read *read = tacit_crash_read(crash, host, TACIT_READ_OWN_BODY, host->own_log,
                                                   tacit_log_slot(crash->shape, i),
                                                   tacit_entry_bytes(entry.length), true);
        if (read == NULL) {
            return;
        }
        read->index = i;
        *own_copy(host, i) = TACIT_OWN_READING;
    }
}

void tacit_stream_own(struct tacit_crash *crash, struct tacit_log_host *host,
                      const struct tacit_read *read)
{
    tacit_index_t index = read->index;
    if (host->stage != TACIT_HOST_STREAMING || index < host->next || index >= host->checked ||
        *own_copy(host, index) != TACIT_OWN_READING) {
        return;
    }
    crash->progress_ns = crash->now_ns;
    const uint8_t *ours = tacit_crash_slot(crash, index);
    struct tacit_entry mine;
    struct tacit_entry there;
    tacit_entry_peek(&mine, ours);
    if (read->kind == TACIT_READ_OWN) {
        tacit_entry_peek(&there, read->buffer);
        bool may = there.index == index && there.ballot != 0 && there.length == mine.length;
        *own_copy(host, index) = may ? TACIT_OWN_LOOK_AGAIN : TACIT_OWN_ABSENT;
        return;
    }
    bool same =
        tacit_entry_read(&there, read->buffer, read->bytes, index) && there.length == mine.length &&
        memcmp(read->buffer + TACIT_ENTRY_HEADER, ours + TACIT_ENTRY_HEADER, mine.length) == 0;
    *own_copy(host, index) = same ? TACIT_OWN_SAME : TACIT_OWN_ABSENT;
}

// ---- appending
// -----------------------------------------------------------------------------------------

static bool post_append(struct tacit_crash *crash, struct tacit_log_host *host, tacit_index_t index,
                        bool word_only)
{
    uint8_t *slot = tacit_crash_slot(crash, index);
    struct tacit_entry entry;
    if (index < crash->first_free) {
        reseal(crash, index);
    }
    tacit_entry_peek(&entry, slot);
    struct tacit_op op = {
        .kind = TACIT_OP_WRITE,
        .plane = TACIT_PLANE_DATA,
        .flags = TACIT_OP_AS_HOLDER,
        .host = host->node,
        .region = host->own_log,
        .bytes = word_only ? 8 : tacit_entry_bytes(entry.length),
        .offset = tacit_log_slot(crash->shape, index) + TACIT_ENTRY_ADOPTED,
        .local = word_only ? (void *)tacit_crash_ballot_word(crash) : slot,
        .generation = host->generation,
        .cookie = tacit_crash_cookie(crash, TACIT_COOKIE_APPEND, number_of(crash, host), index)};
    if (!crash->fabric->ops->post(crash->fabric, &op)) {
        return false;
    }
    if (word_only) {
        crash->counters.adopted_words++;
        tacit_mark(&crash->marker, TACIT_MARK_ADOPTED_WORD);
    }
    return true;
}

// Before an entry that reuses a position: what that rests on, for the next leader.
static bool send_floor(struct tacit_crash *crash, struct tacit_log_host *host)
{
    if (crash->hosts_log || host->floor_sent >= crash->free_below) {
        return true;
    }
    if (!tacit_crash_write_quiet(crash, host, host->own_log, TACIT_LOG_FLOOR, &crash->free_below, 8,
                                 host->generation)) {
        return false;
    }
    host->floor_sent = crash->free_below;
    return true;
}

// Posts what the host lacks. An index below first_free may stand there already.
static bool stream_host(struct tacit_crash *crash, struct tacit_log_host *host)
{
    bool worked = false;
    for (uint32_t budget = STREAM_BUDGET; budget > 0 && host->next < crash->tail; budget--) {
        if (host->next < crash->journal_low) {
            // The journal went past this host: everything up to there is decided and applied by
            // f+1.
            begin_at(host, crash->journal_low);
            worked = true;
            continue;
        }
        bool word_only = false;
        if (host->next < crash->first_free && !host->own_fresh) {
            uint8_t own = host->next < host->checked ? *own_copy(host, host->next) : 0;
            if (own != TACIT_OWN_ABSENT && own != TACIT_OWN_SAME) {
                break;
            }
            word_only = own == TACIT_OWN_SAME;
        }
        if (!send_floor(crash, host) || !post_append(crash, host, host->next, word_only)) {
            break;
        }
        host->next++;
        worked = true;
    }
    return worked;
}

void tacit_stream_decide(struct tacit_crash *crash)
{
    tacit_index_t acked[TACIT_HOSTS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < crash->host_count; i++) {
        const struct tacit_log_host *host = &crash->hosts[i];
        if (host->stage != TACIT_HOST_STREAMING || host->acked == 0) {
            continue;
        }
        uint32_t at = count++;
        while (at > 0 && acked[at - 1] < host->acked) {
            acked[at] = acked[at - 1];
            at--;
        }
        acked[at] = host->acked;
    }
    uint32_t quorum = tacit_crash_quorum(crash);
    if (TACIT_BUG(QUORUM_MINUS_ONE) && quorum > 1) {
        quorum--;
    }
    // A change of membership ends the count: hosts that it replaces must not count for what comes
    // after.
    while (count >= quorum && crash->decided < acked[quorum - 1]) {
        struct tacit_entry entry;
        tacit_entry_peek(&entry, tacit_crash_slot(crash, crash->decided));
        if (crash->applied < crash->barrier) {
            break;
        }
        crash->decided++;
        if ((entry.flags & TACIT_ENTRY_MEMBERSHIP) != 0) {
            crash->barrier = crash->decided;
        }
    }
}

void tacit_stream_acked(struct tacit_crash *crash, struct tacit_log_host *host, tacit_index_t index)
{
    if (host->stage != TACIT_HOST_STREAMING || index < host->start || index >= host->next) {
        return;
    }
    if (index + 1 > host->acked) {
        crash->progress_ns = crash->now_ns; // a host that is being filled is progress, too
        host->acked = index + 1;
        tacit_stream_decide(crash);
    }
}

// ---- commit words, heads, doorbells
// --------------------------------------------------------------------

static void write_commit(struct tacit_crash *crash, struct tacit_log_host *host)
{
    tacit_index_t commit = host->acked > host->start ? host->acked : host->start;
    if (commit > crash->decided) {
        commit = crash->decided;
    }
    if (commit < host->commit_sent) {
        commit = host->commit_sent;
    }
    uint64_t words[4] = {commit, crash->touch, crash->ballot,
                         tacit_commit_check(commit, crash->ballot)};
    if (tacit_crash_write_quiet(crash, host, host->own_log, TACIT_LOG_COMMIT, words, sizeof(words),
                                host->generation)) {
        host->commit_sent = commit;
        crash->counters.touches++;
    }
}

static void write_commits(struct tacit_crash *crash)
{
    bool idle =
        crash->tail == crash->decided && crash->now_ns - crash->proposed_ns >= TACIT_IDLE_COMMIT_NS;
    bool touch = crash->now_ns - crash->touched_ns >= crash->tick_ns;
    if (touch) {
        crash->touch++;
        crash->touched_ns = crash->now_ns;
    }
    for (uint32_t i = 0; i < crash->host_count; i++) {
        struct tacit_log_host *host = &crash->hosts[i];
        if (host->stage != TACIT_HOST_STREAMING) {
            continue;
        }
        if (touch ||
            (idle && host->commit_sent < crash->decided && host->acked > host->commit_sent)) {
            write_commit(crash, host);
        }
        if (touch) {
            tacit_lease_renew(crash, host);
        }
        if (!host->low_sent) {
            send_low(crash, host);
        }
    }
}

void tacit_stream_read_heads(struct tacit_crash *crash)
{
    crash->heads_ns = crash->now_ns;
    for (uint8_t r = 0; r < crash->config->replicas; r++) {
        if (r == crash->config->self || !crash->peer_up[r] || crash->head_pending[r]) {
            continue;
        }
        struct tacit_region_key key = {TACIT_REGION_PAGE, r, crash->peer_incarnation[r]};
        int32_t page = crash->fabric->ops->region(crash->fabric, r, key);
        struct tacit_read *read =
            tacit_crash_read_at(crash, r, 0, TACIT_READ_HEAD, page, TACIT_PAGE_APPLIED, 8);
        if (read != NULL) {
            read->host = r;
            crash->head_pending[r] = true;
            crash->head_ns[r] = crash->now_ns;
            crash->counters.head_reads++;
        }
    }
}

// Every quarter of a ring: parked followers are woken and their heads read, so that positions come
// free.
static void quarter(struct tacit_crash *crash)
{
    uint32_t span = crash->shape.entries / 4;
    if (crash->tail / span == crash->rung / span) {
        return;
    }
    crash->rung = crash->tail;
    for (uint8_t r = 0; r < crash->config->replicas; r++) {
        if (r != crash->config->self && crash->peer_up[r]) {
            crash->fabric->ops->ring(crash->fabric, r);
        }
    }
    tacit_stream_read_heads(crash);
}

// ---- proposing
// -----------------------------------------------------------------------------------------

// A member whose process is dead for certain, as its successor was here: it needs no entries, and
// its failure is one of the f.
static bool superseded(const struct tacit_crash *crash, uint8_t replica)
{
    return crash->peer_incarnation[replica] > crash->members[replica];
}

static uint32_t replicas_that_must_apply(const struct tacit_crash *crash)
{
    uint32_t replicas = crash->config->replicas;
    if (TACIT_BUG(RECYCLE_EARLY)) {
        return 1;
    }
    if (crash->hosts_log) {
        return (replicas - 1) / 2 + 1;
    }
    uint32_t members = 0;
    for (uint8_t r = 0; r < crash->config->replicas; r++) {
        members += crash->members[r] != 0 && !superseded(crash, r);
    }
    return members;
}

// The applied head that enough admitted replicas have published.
static tacit_index_t applied_by_enough(struct tacit_crash *crash)
{
    tacit_index_t heads[TACIT_REPLICAS_MAX];
    uint32_t count = 0;
    for (uint8_t r = 0; r < crash->config->replicas; r++) {
        bool self = r == crash->config->self;
        if (crash->members[r] == 0 || (!self && superseded(crash, r))) {
            continue;
        }
        tacit_index_t head = self ? crash->applied : crash->heads[r];
        uint32_t at = count++;
        while (at > 0 && heads[at - 1] < head) {
            heads[at] = heads[at - 1];
            at--;
        }
        heads[at] = head;
    }
    uint32_t need = replicas_that_must_apply(crash);
    return need > 0 && count >= need ? heads[need - 1] : 0;
}

// Memory-node mode needs every member's head; one that holds recycling up for laggard_after is
// proposed for removal.
static void watch_laggard(struct tacit_crash *crash, tacit_index_t old)
{
    tacit_node_t slowest = TACIT_NODE_NONE;
    for (uint8_t r = 0; !crash->hosts_log && r < crash->config->replicas; r++) {
        if (r != crash->config->self && crash->members[r] != 0 && !superseded(crash, r) &&
            crash->heads[r] <= old) {
            slowest = r;
            break;
        }
    }
    if (crash->laggard != slowest) {
        crash->laggard = TACIT_NODE_NONE; // it caught up
    }
    if (slowest != crash->slowest) {
        crash->slowest = slowest;
        crash->slowest_ns = crash->now_ns;
    } else if (slowest != TACIT_NODE_NONE &&
               crash->now_ns - crash->slowest_ns > crash->config->laggard_after_ns) {
        crash->laggard = slowest;
    }
}

// Frees LOG regions of dead incarnations at memory nodes, which apply nothing and so cannot know:
// when every member has applied the admission of the successor.
static void retire_remote(struct tacit_crash *crash)
{
    if (crash->hosts_log || crash->now_ns < crash->retire_ns) {
        return;
    }
    crash->retire_ns = crash->now_ns + crash->config->suspicion_ns;
    tacit_index_t heads = applied_by_enough(crash);
    for (uint32_t h = 0; h < crash->host_count; h++) {
        struct tacit_log_host *host = &crash->hosts[h];
        for (uint32_t i = 0; host->stage == TACIT_HOST_STREAMING && i < host->region_count; i++) {
            const struct tacit_host_region *region = &host->regions[i];
            tacit_node_t owner = region->owner;
            if (owner >= crash->config->replicas || region->incarnation >= crash->members[owner] ||
                heads <= crash->admitted_at[owner]) {
                continue;
            }
            uint64_t word = tacit_owner_word(owner, region->incarnation);
            if (tacit_crash_write_quiet(crash, host, host->control, TACIT_CONTROL_RETIRED, &word, 8,
                                        0)) {
                crash->fabric->ops->ring(crash->fabric, host->node);
                tacit_mark(&crash->marker, TACIT_MARK_REGION_RETIRED);
                host->regions[i] = host->regions[--host->region_count];
            }
            break; // one at a time: there is one word for it
        }
    }
}

// Whether position `tail` of the ring and of the journal may be used for the next lap.
static bool position_free(struct tacit_crash *crash, uint32_t reserve)
{
    if (crash->tail + reserve < crash->shape.entries) {
        return true;
    }
    tacit_index_t old = crash->tail + reserve - crash->shape.entries;
    if (crash->applied <= old) {
        return false;
    }
    for (uint32_t i = 0; i < crash->host_count; i++) {
        struct tacit_log_host *host = &crash->hosts[i];
        // Posted from the journal and not completed: those bytes must not change. A connection that
        // completes nothing any more is broken on purpose.
        if (host->stage != TACIT_HOST_STREAMING || host->next <= old || host->start > old ||
            host->acked > old) {
            host->blocked_ns = 0;
            continue;
        }
        if (host->blocked_ns == 0) {
            host->blocked_ns = crash->now_ns;
        } else if (crash->now_ns - host->blocked_ns > crash->config->suspicion_ns) {
            host->blocked_ns = 0;
            crash->fabric->ops->reset(crash->fabric, host->node);
        }
        return false;
    }
    if (crash->free_below > old) {
        return true;
    }
    crash->free_below = applied_by_enough(crash);
    if (crash->free_below > old) {
        crash->slowest = TACIT_NODE_NONE;
        return true;
    }
    watch_laggard(crash, old);
    return false;
}

// A follower that works is given the time to keep up: one that falls behind by a whole ring has to
// fetch a checkpoint, and the next leader may need just this one. Where processors are shared a
// ring is full before everybody had his turn. One that does not move is waited for once and not for
// long.
static bool waits_for_slow(struct tacit_crash *crash)
{
    uint32_t span = crash->shape.entries / 2;
    crash->is_waiting = false;
    if (!crash->hosts_log || crash->tail < crash->kept_up + span) {
        return false;
    }
    tacit_index_t lowest = crash->applied;
    tacit_node_t slow = TACIT_NODE_NONE;
    for (uint8_t r = 0; r < crash->config->replicas; r++) {
        if (r != crash->config->self && crash->peer_up[r] && (crash->trusted & 1u << r) != 0 &&
            crash->members[r] == crash->peer_incarnation[r] && crash->heads[r] < lowest) {
            lowest = crash->heads[r];
            slow = r;
        }
    }
    crash->kept_up = lowest;
    if (slow == TACIT_NODE_NONE || crash->tail < lowest + span) {
        return false;
    }
    if (slow != crash->slow || lowest != crash->slow_head) {
        crash->slow = slow;
        crash->slow_head = lowest;
        crash->slow_ns = crash->now_ns;
    }
    crash->is_waiting = crash->now_ns - crash->slow_ns < 2 * crash->config->beat_period_ns;
    return crash->is_waiting;
}

uint8_t *tacit_crash_open(struct tacit_crash *crash, bool removal)
{
    uint32_t reserve = removal ? 0 : tacit_crash_reserve(crash);
    if (crash->role != TACIT_ROLE_LEADER || crash->applied < crash->first_free ||
        crash->tail - crash->decided >= crash->config->inflight) {
        return NULL;
    }
    bool is_free = position_free(crash, reserve);
    if (!is_free || (!removal && waits_for_slow(crash))) {
        if (!is_free) {
            tacit_mark(&crash->marker, TACIT_MARK_RING_FULL);
        }
        if (crash->now_ns - crash->heads_ns >= TACIT_HEADS_NS) {
            tacit_stream_read_heads(crash);
        }
        return NULL;
    }
    return tacit_crash_slot(crash, crash->tail) + TACIT_ENTRY_HEADER;
}

void tacit_crash_propose(struct tacit_crash *crash, uint32_t length, uint32_t flags)
{
    tacit_index_t index = crash->tail;
    if (index + 1 > crash->journal_low + crash->shape.entries) {
        crash->journal_low = index + 1 - crash->shape.entries;
        tacit_mark(&crash->marker, TACIT_MARK_RING_WRAPPED);
    }
    if (crash->tail == crash->decided) {
        crash->progress_ns = crash->now_ns;
    }
    (void)tacit_entry_seal(tacit_crash_slot(crash, index), index, crash->ballot, crash->decided,
                           length, flags);
    crash->tail++;
    crash->proposed_ns = crash->now_ns;
    crash->counters.proposed++;
    for (uint32_t i = 0; i < crash->host_count; i++) {
        struct tacit_log_host *host = &crash->hosts[i];
        if (host->stage == TACIT_HOST_STREAMING && host->next == index) {
            (void)stream_host(crash, host);
        }
    }
    quarter(crash);
}

bool tacit_stream_poll(struct tacit_crash *crash)
{
    bool worked = false;
    for (uint32_t i = 0; i < crash->host_count; i++) {
        struct tacit_log_host *host = &crash->hosts[i];
        if (host->stage != TACIT_HOST_STREAMING || host->next == crash->tail) {
            continue;
        }
        if (host->next < crash->first_free && !host->own_fresh) {
            look_at_own(crash, host);
            look_at_bodies(crash, host);
        }
        worked |= stream_host(crash, host);
    }
    write_commits(crash);
    retire_remote(crash);
    // Nothing is decided although entries wait: this replica may be cut off from its log hosts.
    if (crash->tail > crash->decided &&
        crash->now_ns - crash->progress_ns > 2 * crash->config->suspicion_ns) {
        tacit_crash_step_down(crash);
    }
    return worked;
}
