// SPDX-License-Identifier: Apache-2.0
//
// Followers of a leader whose entries land in the follower's own memory: whole entries of the
// present term are copied into the journal in order; those below the commit index are decided.
#include "crash.h"

#include <string.h>

#include "../base/bug.h"

#define FOLLOW_BUDGET 64u // entries a turn

void tacit_follow_reset(struct tacit_crash *crash)
{
    // What was seen beyond the decided entries may be replaced by the next leader.
    crash->seen = crash->decided;
    crash->follow_ballot = 0;
    crash->follow_generation = 0;
}

// Notes that the followed leader's words were seen with this sum; the sum of a living leader
// changes.
static void note_activity(struct tacit_crash *crash, uint64_t sum)
{
    if (sum != crash->activity) {
        crash->activity = sum;
        crash->active_ns = crash->now_ns;
    }
}

void tacit_follow_advance(struct tacit_crash *crash, tacit_index_t commit)
{
    if (commit > crash->commit_known) {
        crash->commit_known = commit;
    }
    tacit_index_t decided = commit < crash->seen ? commit : crash->seen;
    if (decided > crash->decided) {
        crash->decided = decided;
    }
}

bool tacit_follow_take(struct tacit_crash *crash)
{
    struct tacit_entry entry;
    if (!tacit_entry_read(&entry, tacit_crash_slot(crash, crash->seen), crash->shape.slot_bytes,
                          crash->seen)) {
        tacit_mark(&crash->marker, TACIT_MARK_TORN_SEEN);
        return false;
    }
    if (tacit_entry_effective(&entry) != crash->follow_ballot) {
        return false; // of an earlier term of this leader: may be replaced yet
    }
    crash->seen++;
    tacit_follow_advance(crash, entry.commit);
    return true;
}

static bool copy_entry(struct tacit_crash *crash, const uint8_t *log)
{
    const uint8_t *from = log + tacit_log_slot(crash->shape, crash->seen);
    if (tacit_word_load(from, TACIT_ENTRY_INDEX) != crash->seen) {
        return false;
    }
    uint64_t header[TACIT_ENTRY_HEADER / 8];
    tacit_words_in(header, from, sizeof(header));
    uint32_t length = (uint32_t)header[4];
    if (length > crash->shape.slot_bytes - TACIT_ENTRY_HEADER) {
        return false;
    }
    // The journal loses the entry one lap before.
    if (crash->seen + 1 > crash->journal_low + crash->shape.entries) {
        crash->journal_low = crash->seen + 1 - crash->shape.entries;
    }
    tacit_words_in(tacit_crash_slot(crash, crash->seen), from, tacit_entry_bytes(length));
    return tacit_follow_take(crash);
}

// Adopts the present holder's term; false if there is none to follow.
static bool same_term(struct tacit_crash *crash, const uint8_t *log)
{
    uint64_t promise = tacit_word_load(log, TACIT_LOG_PROMISE);
    if (promise == 0) {
        return false;
    }
    if (promise != crash->follow_ballot || crash->grants.generation != crash->follow_generation) {
        tacit_follow_reset(crash);
        crash->follow_ballot = promise;
        crash->follow_generation = crash->grants.generation;
    }
    return true;
}

static void lapped(struct tacit_crash *crash, tacit_index_t want)
{
    if (crash->need_state == 0) {
        tacit_mark(&crash->marker, TACIT_MARK_LAPPED);
        tacit_crash_want_state(crash, want);
    }
}

static const uint8_t *holders_log(struct tacit_crash *crash)
{
    const struct tacit_grants *grants = &crash->grants;
    uint64_t holder = tacit_owner_word(grants->holder, grants->holder_incarnation);
    if (crash->follow_log == NULL || crash->follow_holder != holder) {
        size_t bytes;
        struct tacit_region_key key = {TACIT_REGION_LOG, grants->holder,
                                       grants->holder_incarnation};
        crash->follow_log = crash->fabric->ops->local(crash->fabric, key, &bytes);
        crash->follow_holder = holder;
    }
    return crash->follow_log;
}

bool tacit_follow_poll(struct tacit_crash *crash)
{
    const struct tacit_grants *grants = &crash->grants;
    crash->leader = TACIT_NODE_NONE;
    if (grants->state != TACIT_GRANTS_STEADY || grants->holder == TACIT_NODE_NONE ||
        grants->holder == crash->config->self) {
        return false;
    }
    const uint8_t *log = holders_log(crash);
    if (log == NULL) {
        return false;
    }
    // Loaded before the promise: it is then of that term or an earlier one, and true for entries of
    // that term. A commit index of a later term says nothing about entries that were seen before.
    tacit_index_t commit = tacit_word_load(log, TACIT_LOG_COMMIT);
    if (!same_term(crash, log)) {
        return false;
    }
    crash->leader = grants->holder;
    note_activity(crash, commit + tacit_word_load(log, TACIT_LOG_TOUCH));
    uint64_t low = tacit_word_load(log, TACIT_LOG_LOW);
    if (tacit_word_load(log, TACIT_LOG_LOW_BALLOT) == crash->follow_ballot && low > crash->seen) {
        lapped(crash, low);
    }
    bool worked = false;
    for (uint32_t i = 0; i < FOLLOW_BUDGET && crash->seen < crash->applied + crash->shape.entries;
         i++) {
        if (!copy_entry(crash, log)) {
            break;
        }
        worked = true;
    }
    tacit_index_t before = crash->decided;
    tacit_follow_advance(crash, commit);
    const uint8_t *slot = log + tacit_log_slot(crash->shape, crash->seen);
    if (tacit_word_load(slot, TACIT_ENTRY_INDEX) > crash->seen &&
        tacit_word_load(slot, TACIT_ENTRY_BALLOT) == crash->follow_ballot) {
        lapped(crash, crash->seen + 1); // the position was reused before this replica read it
    }
    return worked || crash->decided != before;
}
