// SPDX-License-Identifier: Apache-2.0
//
// Catch-up and prepare of a new leader (Mu, sections 4 and 5.3): looks at every index that may hold
// an entry, in all candidates' regions on every confirmed host, from the own decided index on.
//
// Rules, and why they suffice:
//  * The entry with the highest effective ballot is adopted: a decided one stands whole on a
//  majority, hence on
//    a confirmed host, and later terms only ever repeat it.
//  * A leader writes index i only while i < decided + inflight. So when f is the first index
//  without a whole
//    entry on the confirmed hosts, everything ever written lies below f + inflight. The scan goes
//    one further: if f is decided and its slot was torn by its reuse, only entry f + inflight is
//    sure to say so.
//  * An index word i + m * capacity in the slot of i proves that i was applied by f+1 replicas (the
//  position
//    would not have been reused): such an index is never a hole; if no copy is left, a checkpoint
//    is needed.
//  * Below D the deciding copies may be gone (their positions reused, their region freed), and what
//  is found
//    may be a stale entry of a lower ballot. So a copy below D counts only with *evidence*: a pair
//    {ballot p, commit c}, read from a region's header or a whole entry, with c above the index and
//    p not above the copy's effective ballot. The index was then decided at p or before, and every
//    entry of a ballot from there on repeats that value. Without evidence a checkpoint is needed:
//    somebody has applied the index.
//  * D is the largest applied head of a confirmed host, or reused position, and the own one. Commit
//  words need
//    not raise it: what they cover and nobody here has applied is whole on a confirmed host. Nor do
//    heads of other replicas, which may be stopped and could not give a checkpoint.
#include "crash.h"

#include <string.h>

#include "../base/bug.h"

// ---- evidence
// ------------------------------------------------------------------------------------------

static void witness(struct tacit_scan *scan, uint64_t ballot, tacit_index_t commit)
{
    uint32_t lowest = 0;
    for (uint32_t i = 0; i < TACIT_SCAN_EVIDENCE; i++) {
        struct tacit_scan_evidence *evidence = &scan->evidence[i];
        if (evidence->ballot == ballot) {
            evidence->commit = evidence->commit < commit ? commit : evidence->commit;
            return;
        }
        if (evidence->commit < scan->evidence[lowest].commit) {
            lowest = i;
        }
    }
    // Dropping some is safe: at worst a checkpoint is fetched.
    if (ballot != 0 && scan->evidence[lowest].commit < commit) {
        scan->evidence[lowest] = (struct tacit_scan_evidence){ballot, commit};
    }
}

static bool evident(const struct tacit_scan *scan, tacit_index_t index, uint64_t ballot)
{
    for (uint32_t i = 0; i < TACIT_SCAN_EVIDENCE; i++) {
        const struct tacit_scan_evidence *evidence = &scan->evidence[i];
        if (evidence->ballot != 0 && evidence->ballot <= ballot && evidence->commit > index) {
            return true;
        }
    }
    return false;
}

void tacit_recovery_start(struct tacit_crash *crash)
{
    struct tacit_scan *scan = &crash->scan;
    memset(scan, 0, sizeof(*scan));
    scan->active = true;
    scan->base = crash->decided;
    scan->found_end = crash->decided;
    scan->hole = UINT64_MAX;
    scan->decided = crash->decided;
    for (uint32_t i = 0; i < crash->host_count; i++) {
        const struct tacit_log_host *host = &crash->hosts[i];
        if (host->stage == TACIT_HOST_PROMISED) {
            scan->hosts |= 1u << i;
            if (crash->hosts_log && host->head > scan->decided) {
                scan->decided = host->head;
            }
            for (uint32_t r = 0; r < host->region_count; r++) {
                witness(scan, host->regions[r].commit_ballot, host->regions[r].commit);
            }
        }
    }
}

// ---- looking at entries
// --------------------------------------------------------------------------------

static void remember(struct tacit_crash *crash, struct tacit_scan_index *at,
                     struct tacit_scan_candidate candidate)
{
    uint32_t i =
        at->candidates < TACIT_SCAN_CANDIDATES ? at->candidates : TACIT_SCAN_CANDIDATES - 1;
    if (at->candidates == TACIT_SCAN_CANDIDATES) {
        // Full: the lowest one goes, if it is lower. Copies of one ballot are alike, so what is
        // lost is only a further place to read it from.
        if (at->candidate[i].ballot >= candidate.ballot) {
            return;
        }
        crash->counters.unexpected++;
    } else {
        at->candidates++;
    }
    while (i > 0 && at->candidate[i - 1].ballot < candidate.ballot) {
        at->candidate[i] = at->candidate[i - 1];
        i--;
    }
    at->candidate[i] = candidate;
}

static void take_header(struct tacit_crash *crash, const struct tacit_read *read)
{
    struct tacit_scan *scan = &crash->scan;
    struct tacit_entry entry;
    tacit_entry_peek(&entry, read->buffer);
    scan->headers_out--;
    uint64_t lap = crash->shape.entries;
    if (entry.index > read->index && entry.index % lap == read->index % lap) {
        if (entry.index - lap + 1 > scan->decided) {
            scan->decided = entry.index - lap + 1;
        }
        return;
    }
    if (entry.index != read->index || entry.ballot == 0 ||
        entry.length > crash->shape.slot_bytes - TACIT_ENTRY_HEADER) {
        return;
    }
    struct tacit_scan_candidate candidate = {.ballot = tacit_entry_effective(&entry),
                                             .host = read->host,
                                             .region = read->region,
                                             .length = entry.length};
    remember(crash, &scan->group[read->index - scan->base], candidate);
}

static void take_body(struct tacit_crash *crash, const struct tacit_read *read)
{
    struct tacit_scan *scan = &crash->scan;
    struct tacit_scan_index *at = &scan->group[read->index - scan->base];
    struct tacit_entry entry;
    scan->bodies_out--;
    at->reading = false;
    // The adopted word may have been read before and after it changed: the entry is what it is
    // either way.
    if (!tacit_entry_read(&entry, read->buffer, read->bytes, read->index)) {
        tacit_mark(&crash->marker, TACIT_MARK_TORN_SEEN);
        at->candidates--;
        memmove(at->candidate, at->candidate + 1, at->candidates * sizeof(at->candidate[0]));
        return;
    }
    if (read->index >= crash->decided + crash->shape.entries) {
        scan->too_far =
            true; // more than a lap beyond what was executed here: the journal cannot hold it
        at->found = true;
        return;
    }
    if (read->index + 1 > crash->journal_low + crash->shape.entries) {
        crash->journal_low = read->index + 1 - crash->shape.entries;
    }
    memcpy(tacit_crash_slot(crash, read->index), read->buffer, tacit_entry_bytes(entry.length));
    at->found = true;
    witness(scan, entry.ballot, entry.commit);
}

void tacit_recovery_read(struct tacit_crash *crash, const struct tacit_read *read, bool ok)
{
    (void)ok;
    if (!crash->scan.active || crash->role != TACIT_ROLE_RECOVERING) {
        return;
    }
    if (read->kind == TACIT_READ_SCAN) {
        take_header(crash, read);
    } else {
        take_body(crash, read);
    }
}

// The cursor counts through {index of the group, confirmed host, region of that host}. Returns
// false at the end of the group.
static bool cursor_at(const struct tacit_crash *crash, uint32_t cursor, uint32_t *offset,
                      uint32_t *host, uint32_t *region)
{
    for (*host = 0; *host < crash->host_count; (*host)++) {
        if ((crash->scan.hosts & 1u << *host) == 0) {
            continue;
        }
        uint32_t reads = crash->hosts[*host].region_count * TACIT_SCAN_GROUP;
        if (cursor < reads) {
            *offset = cursor % TACIT_SCAN_GROUP;
            *region = cursor / TACIT_SCAN_GROUP;
            return true;
        }
        cursor -= reads;
    }
    return false;
}

// Posts header reads of the group; true when all are posted.
static bool post_headers(struct tacit_crash *crash, bool *worked)
{
    struct tacit_scan *scan = &crash->scan;
    uint32_t offset;
    uint32_t number;
    uint32_t region;
    while (cursor_at(crash, scan->cursor, &offset, &number, &region)) {
        struct tacit_log_host *host = &crash->hosts[number];
        if (TACIT_BUG(PREPARE_OWN_REGION_ONLY) &&
            host->regions[region].owner != crash->config->self) {
            scan->cursor++;
            continue;
        }
        struct tacit_read *read = tacit_crash_read(
            crash, host, TACIT_READ_SCAN, host->regions[region].handle,
            tacit_log_slot(crash->shape, scan->base + offset), TACIT_ENTRY_HEADER, true);
        if (read == NULL) {
            return false;
        }
        read->index = scan->base + offset;
        read->region = (uint16_t)region;
        scan->headers_out++;
        scan->cursor++;
        *worked = true;
    }
    return true;
}

static bool post_bodies(struct tacit_crash *crash, bool *worked)
{
    struct tacit_scan *scan = &crash->scan;
    bool all = true;
    for (uint32_t i = 0; i < TACIT_SCAN_GROUP; i++) {
        struct tacit_scan_index *at = &scan->group[i];
        if (at->found || at->candidates == 0) {
            continue;
        }
        all = false;
        if (at->reading) {
            continue;
        }
        if (TACIT_BUG(LOWEST_BALLOT)) {
            at->candidate[0] = at->candidate[at->candidates - 1];
        }
        struct tacit_log_host *host = &crash->hosts[at->candidate[0].host];
        struct tacit_read *read = tacit_crash_read(
            crash, host, TACIT_READ_SCAN_BODY, host->regions[at->candidate[0].region].handle,
            tacit_log_slot(crash->shape, scan->base + i),
            tacit_entry_bytes(at->candidate[0].length), true);
        if (read == NULL) {
            continue;
        }
        read->index = scan->base + i;
        at->reading = true;
        scan->bodies_out++;
        *worked = true;
    }
    return all;
}

// ---- the end of the scan
// -------------------------------------------------------------------------------

// Memory-node mode: what earlier leaders knew of the members' applied heads when they reused
// positions. Without it a leader that cannot reach a member could not write the entry that removes
// it.
static void inherit_heads(struct tacit_crash *crash)
{
    for (uint32_t i = 0; !crash->hosts_log && i < crash->host_count; i++) {
        const struct tacit_log_host *host = &crash->hosts[i];
        for (uint8_t r = 0; r < crash->config->replicas; r++) {
            if ((crash->scan.hosts & 1u << i) != 0 && crash->members[r] != 0 &&
                crash->heads[r] < host->floor) {
                crash->heads[r] = host->floor;
            }
        }
    }
}

static void lead(struct tacit_crash *crash)
{
    struct tacit_scan *scan = &crash->scan;
    tacit_index_t from = crash->decided;
    for (tacit_index_t i = from; i < scan->found_end; i++) {
        struct tacit_entry entry;
        tacit_entry_peek(&entry, tacit_crash_slot(crash, i));
        if (i == crash->decided && evident(scan, i, tacit_entry_effective(&entry))) {
            crash->decided = i + 1; // needs no new round
            crash->counters.copied++;
            tacit_mark(&crash->marker, TACIT_MARK_COPIED_DECIDED);
        } else {
            crash->counters.adopted++;
            tacit_mark(&crash->marker, TACIT_MARK_ADOPTED_UNDECIDED);
        }
    }
    scan->active = false;
    crash->role = TACIT_ROLE_LEADER;
    crash->leader = crash->config->self;
    tacit_lease_begin(crash);
    crash->first_free = scan->found_end;
    crash->tail = scan->found_end;
    crash->rung = crash->tail;
    crash->progress_ns = crash->now_ns;
    crash->touched_ns = 0;
    crash->free_below = 0;
    crash->kept_up = 0;
    crash->slow = TACIT_NODE_NONE;
    crash->is_waiting = false;
    crash->barrier = 0;
    inherit_heads(crash);
    crash->attempt_ns = crash->config->permission_timeout_ns;
    crash->backoff_ns = crash->config->permission_timeout_ns;
    crash->counters.elections_won++;
    crash->counters.recovery_ns = crash->now_ns - crash->granted_ns;
    crash->counters.led_ns = crash->now_ns;
    tacit_mark(&crash->marker, TACIT_MARK_ELECTION_WON);
    for (uint8_t r = 0; r < crash->config->replicas; r++) {
        if (crash->admitted_at[r] < crash->tail) {
            crash->admitted_at[r] = crash->tail;
        }
    }
    for (uint32_t i = 0; i < crash->host_count; i++) {
        if (crash->hosts[i].stage == TACIT_HOST_PROMISED) {
            tacit_stream_enter(crash, &crash->hosts[i]);
        }
    }
}

static void lack_state(struct tacit_crash *crash, tacit_index_t want)
{
    tacit_mark(&crash->marker, TACIT_MARK_CANDIDATE_LACKS_STATE);
    tacit_crash_want_state(crash, want);
    tacit_crash_step_down(crash);
}

// Gives the group's indices their verdict. False: the term ended because state is missing.
static bool judge_group(struct tacit_crash *crash)
{
    struct tacit_scan *scan = &crash->scan;
    for (uint32_t i = 0; i < TACIT_SCAN_GROUP; i++) {
        tacit_index_t index = scan->base + i;
        if (scan->group[i].found) {
            // Everything below that is not whole anywhere is a hole (no entry leaves a gap behind
            // it).
            scan->found_end = index + 1;
            scan->found[index % TACIT_SCAN_MEMORY] = index + 1;
        } else if (scan->hole == UINT64_MAX) {
            scan->hole = index;
        }
    }
    memset(scan->group, 0, sizeof(scan->group));
    scan->base += TACIT_SCAN_GROUP;
    scan->cursor = 0;
    crash->attempt_end_ns = crash->now_ns + TACIT_ATTEMPT_MAX_NS; // progress
    if (scan->hole < scan->decided) {
        // A decided index without a copy: its position was reused, f+1 replicas have applied it.
        lack_state(crash, scan->hole + 1);
        return false;
    }
    return true;
}

// The first decided index whose copy is not known to be the decided one; UINT64_MAX: none.
static tacit_index_t first_doubtful(struct tacit_crash *crash)
{
    const struct tacit_scan *scan = &crash->scan;
    for (tacit_index_t i = crash->decided; i < scan->decided && i < scan->found_end; i++) {
        struct tacit_entry entry;
        tacit_entry_peek(&entry, tacit_crash_slot(crash, i));
        if (!evident(scan, i, tacit_entry_effective(&entry))) {
            return i;
        }
    }
    return UINT64_MAX;
}

// Everything between the first hole and the end that was not found becomes a no-op. (Journal slots
// cannot tell: one may hold an entry of the same index that this replica followed before and that
// nobody decided.)
static void fill_holes(struct tacit_crash *crash)
{
    for (tacit_index_t i = crash->scan.hole; i < crash->scan.found_end; i++) {
        uint8_t *slot = tacit_crash_slot(crash, i);
        if (crash->scan.found[i % TACIT_SCAN_MEMORY] == i + 1) {
            continue;
        }
        if (i + 1 > crash->journal_low + crash->shape.entries) {
            crash->journal_low = i + 1 - crash->shape.entries;
        }
        (void)tacit_entry_seal(slot, i, crash->ballot, 0, 0, 0);
        crash->counters.noop++;
        tacit_mark(&crash->marker, TACIT_MARK_HOLE_FILLED);
    }
}

bool tacit_recovery_poll(struct tacit_crash *crash)
{
    struct tacit_scan *scan = &crash->scan;
    bool worked = false;
    if (!scan->active || !post_headers(crash, &worked) || scan->headers_out > 0 ||
        !post_bodies(crash, &worked) || scan->bodies_out > 0) {
        return worked;
    }
    if (!judge_group(crash)) {
        return true;
    }
    bool beyond = !scan->too_far && scan->hole != UINT64_MAX &&
                  scan->base > scan->hole + crash->config->inflight && scan->base >= scan->decided;
    if (beyond) {
        tacit_index_t doubtful = first_doubtful(crash);
        if (doubtful != UINT64_MAX) {
            tacit_mark(&crash->marker, TACIT_MARK_DOUBTFUL_COPY);
            lack_state(crash, doubtful + 1);
            return true;
        }
        fill_holes(crash);
        lead(crash);
    } else if (scan->too_far) {
        lack_state(crash, crash->decided + 1);
    }
    return true;
}
