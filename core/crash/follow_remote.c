// SPDX-License-Identifier: Apache-2.0
//
// Followers whose leader writes to memory nodes: they read the holder, the header of its region and
// then its entries over the fabric, from one memory node at a time, and go to the next one when it
// is of no use. One memory node is enough: its commit word covers only what stands whole there.
#include "crash.h"

#include <string.h>

enum { STEP_HOLDER = 0, STEP_HEADER, STEP_ENTRIES, STEP_BODIES };

static struct tacit_read *post(struct tacit_crash *crash, int32_t region, uint64_t offset,
                               uint32_t bytes, tacit_index_t index)
{
    struct tacit_log_host *host = &crash->hosts[crash->remote.host];
    struct tacit_read *read =
        tacit_crash_read(crash, host, TACIT_READ_FOLLOW, region, offset, bytes, false);
    if (read != NULL) {
        read->region = crash->remote.step;
        read->index = index;
        crash->remote.out++;
    }
    return read;
}

static void next_host(struct tacit_crash *crash)
{
    struct tacit_follow_remote *remote = &crash->remote;
    remote->looked |= 1u << remote->host;
    remote->host = (uint8_t)((remote->host + 1) % crash->host_count);
    remote->step = STEP_HOLDER;
    remote->lengths_known = false;
    remote->next_ns = crash->now_ns + crash->config->beat_period_ns / 4;
}

static void rest(struct tacit_crash *crash)
{
    crash->remote.step = STEP_HOLDER;
    crash->remote.next_ns = crash->now_ns + crash->tick_ns;
}

// What a completed step said; called when all its reads have ended.
static void got_holder(struct tacit_crash *crash, const uint8_t *page)
{
    struct tacit_follow_remote *remote = &crash->remote;
    uint64_t holder = tacit_word_load(page, TACIT_PAGE_HOLDER - TACIT_PAGE_ACK);
    if (holder != remote->last[remote->host].holder) {
        remote->last[remote->host].holder = holder;
        crash->active_ns = crash->now_ns;
    }
    remote->holder = tacit_owner_node(holder);
    remote->holder_incarnation = tacit_owner_incarnation(holder);
    struct tacit_region_key key = {TACIT_REGION_LOG, remote->holder, remote->holder_incarnation};
    remote->region =
        remote->holder >= crash->config->replicas || remote->holder == crash->config->self
            ? -1
            : crash->fabric->ops->region(crash->fabric, crash->hosts[remote->host].node, key);
    if (remote->region < 0 ||
        !tacit_crash_alive(crash, remote->holder, remote->holder_incarnation)) {
        crash->leader = TACIT_NODE_NONE;
        next_host(crash);
        return;
    }
    remote->step = STEP_HEADER;
}

static void got_header(struct tacit_crash *crash, const uint8_t *header)
{
    struct tacit_follow_remote *remote = &crash->remote;
    uint64_t promise = tacit_word_load(header, TACIT_LOG_PROMISE);
    // Compared with what the same memory node showed before: what two of them have from a leader
    // that gave up may differ for ever, and looking at one after the other is no sign of life.
    uint64_t sum =
        tacit_word_load(header, TACIT_LOG_COMMIT) + tacit_word_load(header, TACIT_LOG_TOUCH);
    uint64_t *last = &remote->last[remote->host].sum;
    if (sum != *last) {
        *last = sum;
        crash->active_ns = crash->now_ns;
    }
    if (promise == 0 || crash->now_ns - crash->active_ns > crash->config->suspicion_ns) {
        crash->leader = TACIT_NODE_NONE;
        next_host(crash);
        return;
    }
    if (promise != crash->follow_ballot) {
        tacit_follow_reset(crash);
        crash->follow_ballot = promise;
        remote->commit = 0;
    }
    crash->leader = remote->holder;
    remote->looked = 0;
    uint64_t low = tacit_word_load(header, TACIT_LOG_LOW);
    if (tacit_word_load(header, TACIT_LOG_LOW_BALLOT) == promise && low > crash->seen) {
        tacit_mark(&crash->marker, TACIT_MARK_LAPPED);
        tacit_crash_want_state(crash, low);
        rest(crash);
        return;
    }
    // The commit word of the previous look is of this term or an earlier one, as the promise read
    // after it is still the same. That of this look may be newer than the promise: words of one
    // read are not ordered.
    tacit_follow_advance(crash, remote->commit);
    remote->commit = tacit_word_load(header, TACIT_LOG_COMMIT);
    remote->base = crash->seen;
    remote->step = STEP_ENTRIES;
}

static void got_entry_header(struct tacit_crash *crash, const struct tacit_read *read)
{
    struct tacit_follow_remote *remote = &crash->remote;
    struct tacit_entry entry;
    tacit_entry_peek(&entry, read->buffer);
    uint32_t at = (uint32_t)(read->index - remote->base);
    bool fits = entry.index == read->index && entry.ballot != 0 &&
                entry.length <= crash->shape.slot_bytes - TACIT_ENTRY_HEADER;
    remote->lengths[at] = fits ? tacit_entry_bytes(entry.length) : 0;
    if (at == 0 && entry.index > read->index && entry.ballot == crash->follow_ballot &&
        crash->need_state == 0) {
        tacit_mark(&crash->marker, TACIT_MARK_LAPPED);
        tacit_crash_want_state(crash, read->index + 1);
    }
}

static void got_body(struct tacit_crash *crash, const struct tacit_read *read)
{
    // Bodies come in the order of their posting on one connection; a missing one ends the run.
    if (read->index != crash->seen || crash->seen >= crash->applied + crash->shape.entries) {
        return;
    }
    if (crash->seen + 1 > crash->journal_low + crash->shape.entries) {
        crash->journal_low = crash->seen + 1 - crash->shape.entries;
    }
    memcpy(tacit_crash_slot(crash, crash->seen), read->buffer,
           crash->remote.lengths[read->index - crash->remote.base]);
    (void)tacit_follow_take(crash);
}

void tacit_follow_remote_read(struct tacit_crash *crash, const struct tacit_read *read, bool ok)
{
    struct tacit_follow_remote *remote = &crash->remote;
    TACIT_ASSERT(remote->out > 0);
    remote->out--;
    remote->failed |= !ok;
    // A term of the own begins and ends while reads are under way: they tell nothing any more.
    if (!ok || read->region != remote->step || read->term != crash->term ||
        crash->role != TACIT_ROLE_FOLLOWER) {
        remote->failed = true;
        return;
    }
    switch (remote->step) {
    case STEP_HOLDER:
        got_holder(crash, read->buffer);
        break;
    case STEP_HEADER:
        got_header(crash, read->buffer);
        break;
    case STEP_ENTRIES:
        got_entry_header(crash, read);
        break;
    case STEP_BODIES:
        got_body(crash, read);
        break;
    default:
        break;
    }
}

// Posts the reads of the entries' headers, or of the bodies behind those that fit.
static bool post_entries(struct tacit_crash *crash)
{
    struct tacit_follow_remote *remote = &crash->remote;
    memset(remote->lengths, 0, sizeof(remote->lengths));
    for (uint32_t i = 0; i < TACIT_SCAN_GROUP; i++) {
        if (post(crash, remote->region, tacit_log_slot(crash->shape, remote->base + i),
                 TACIT_ENTRY_HEADER, remote->base + i) == NULL) {
            break;
        }
    }
    return remote->out > 0;
}

static bool post_bodies(struct tacit_crash *crash)
{
    struct tacit_follow_remote *remote = &crash->remote;
    remote->step = STEP_BODIES;
    for (uint32_t i = 0; i < TACIT_SCAN_GROUP && remote->lengths[i] != 0; i++) {
        if (post(crash, remote->region, tacit_log_slot(crash->shape, remote->base + i),
                 remote->lengths[i], remote->base + i) == NULL) {
            break;
        }
    }
    return remote->out > 0;
}

bool tacit_follow_remote_poll(struct tacit_crash *crash)
{
    struct tacit_follow_remote *remote = &crash->remote;
    if (remote->out > 0 || crash->now_ns < remote->next_ns) {
        return false;
    }
    struct tacit_log_host *host = &crash->hosts[remote->host];
    if (remote->failed || !host->up) {
        remote->failed = false;
        next_host(crash);
        return false;
    }
    switch (remote->step) {
    case STEP_HOLDER:
        return post(crash, host->page, TACIT_PAGE_ACK, 24, 0) != NULL;
    case STEP_HEADER:
        return post(crash, remote->region, 0, TACIT_LOG_ENTRIES, 0) != NULL;
    case STEP_ENTRIES:
        if (remote->lengths_known) {
            remote->lengths_known = false;
            if (remote->lengths[0] != 0 && post_bodies(crash)) {
                return true;
            }
            rest(crash);
            return false;
        }
        remote->lengths_known = post_entries(crash);
        return remote->lengths_known;
    case STEP_BODIES:
        if (crash->seen > remote->base) {
            remote->step = STEP_HEADER; // there may be more
            remote->lengths_known = false;
        } else {
            rest(crash);
        }
        return true;
    default:
        return false;
    }
}
