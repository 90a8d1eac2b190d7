// SPDX-License-Identifier: Apache-2.0
//
// Leases for reads (after uKharon, USENIX ATC 2022, section 5, on Mu's permissions instead of a
// membership): while enough log hosts acknowledge nobody else, the leader's state is the newest,
// and it may answer a read without replicating anything.
//
// A lease is on a log host's *generation*. The leader renews it by writing the LEASE word of its
// LOG region as the holder; a completion OK says that the host had not revoked this leader when
// the word was placed. A host that revokes acknowledges the next holder only after the time that
// the word names, or at once if this leader has released or is dead for certain (grants.c).
//
// Rules:
//  * A renewal counts from before it was posted, never from its completion. (LEASE_FROM_COMPLETION)
//  * A lease holds as long as it does at a majority of log hosts, each for itself: two majorities
//    have one in common, which has not acknowledged anybody else. (LEASE_MINORITY)
//  * The host's wait is longer than the leader's lease by what two clocks may differ in that time.
//  * Each renewal writes another word. A host that found the same word at two moments then knows
//    that nothing was sent between them that counts: a renewal that is OK was placed, and what
//    was placed before the first moment had been sent, and its number chosen, before. So it may
//    count from the first. (LEASE_UNNUMBERED)
//  * A read is answered only if the lease held *after* its state was loaded, by a fresh look at the
//    clock: this process may have stood still in between. (LEASE_CHECKED_FIRST)
//  * Whoever gives up leading does not rely on the lease any more before it writes RELEASED.
//  * Within a term a lease only becomes longer. A shorter word would let the host wait less than
//    what was counted from an earlier renewal.
#include <stddef.h>

#include "crash.h"

#include "../base/bug.h"

#define LOOKS_PER_SUSPICION 64u // at the lease of who holds the own log
#define LAPSES_TO_GROW 8u       // of a lease that should not have ended: it is too short here

// What the host has to wait, at a rate of its clock that may differ by 2d from this one's:
// (1 + d) / (1 - d) <= 1 + 3d for d up to a fifth.
static uint64_t wait_of(const struct tacit_crash *crash, tacit_time_ns_t lease_ns)
{
    return lease_ns + lease_ns * 3 * crash->config->drift_ppm / 1000000u + 1;
}

void tacit_lease_begin(struct tacit_crash *crash)
{
    const struct tacit_smr_config *config = crash->config;
    // A term may begin with less than the last one needed.
    tacit_time_ns_t half = crash->lease_ns / 2;
    crash->lease_ns = half > config->lease_ns ? half : config->lease_ns;
    crash->lease_wait_ns = wait_of(crash, crash->lease_ns);
    crash->lease_until_ns = 0;
    crash->lease_lapses = 0;
    for (uint32_t i = 0; i < crash->host_count; i++) {
        tacit_lease_drop(crash, &crash->hosts[i]);
    }
}

// When the leases of a majority of hosts hold until.
static void count_again(struct tacit_crash *crash)
{
    tacit_time_ns_t until[TACIT_HOSTS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < crash->host_count; i++) {
        const struct tacit_log_host *host = &crash->hosts[i];
        uint32_t at = count++;
        while (at > 0 && until[at - 1] < host->lease_until_ns) {
            until[at] = until[at - 1];
            at--;
        }
        until[at] = host->lease_until_ns;
    }
    uint32_t quorum = tacit_crash_quorum(crash);
    if (TACIT_BUG(LEASE_MINORITY) && quorum > 1) {
        quorum--;
    }
    crash->lease_until_ns = count >= quorum ? until[quorum - 1] : 0;
    // Other threads must not rely on what is about to be given back; longer ones they see later.
    struct tacit_view_words *words = crash->config->view_words;
    if (words != NULL && words->until_ns > crash->lease_until_ns) {
        tacit_word_store(words, offsetof(struct tacit_view_words, until_ns), crash->lease_until_ns);
    }
}

void tacit_lease_drop(struct tacit_crash *crash, struct tacit_log_host *host)
{
    host->renewal++; // what is under way counts no more
    host->renewing_ns = 0;
    host->lease_until_ns = 0;
    count_again(crash);
}

// What a host is told: its wait, and a number, so that it can tell whether it was told again.
static uint64_t next_word(struct tacit_crash *crash)
{
    if (!TACIT_BUG(LEASE_UNNUMBERED)) {
        crash->renewals++;
    }
    uint64_t number = crash->renewals << TACIT_LEASE_NUMBER_SHIFT;
    if (number == 0) { // the first one, or the numbers are used up
        crash->renewals = 1;
        number = 1ull << TACIT_LEASE_NUMBER_SHIFT;
    }
    return number | crash->lease_wait_ns;
}

void tacit_lease_renew(struct tacit_crash *crash, struct tacit_log_host *host)
{
    if (crash->config->lease_ns == 0 || host->renewing_ns != 0) {
        return;
    }
    host->lease_word = next_word(crash);
    struct tacit_op op = {.kind = TACIT_OP_WRITE,
                          .plane = TACIT_PLANE_BACKGROUND,
                          .flags = TACIT_OP_AS_HOLDER,
                          .host = host->node,
                          .region = host->own_log,
                          .bytes = 8,
                          .offset = TACIT_LOG_LEASE,
                          .local = &host->lease_word,
                          .generation = host->generation,
                          .cookie =
                              tacit_crash_cookie(crash, TACIT_COOKIE_RENEW,
                                                 (unsigned)(host - crash->hosts), host->renewal)};
    if (crash->fabric->ops->post(crash->fabric, &op)) {
        host->renewing_ns = crash->now_ns; // of this turn's begin, so before the word was sent
        host->renewing_for_ns = crash->lease_ns;
    }
}

// The machine is slower than the lease is long: a lease that ends between two renewals is of no
// use. (What the hosts read is at least as long as what is counted: the word grows first.)
static void lapsed(struct tacit_crash *crash)
{
    crash->counters.lease_lapses++;
    if (++crash->lease_lapses < LAPSES_TO_GROW ||
        2 * crash->lease_ns > crash->config->lease_max_ns) {
        return;
    }
    crash->lease_lapses = 0;
    crash->lease_ns *= 2;
    crash->lease_wait_ns = wait_of(crash, crash->lease_ns);
    tacit_mark(&crash->marker, TACIT_MARK_LEASE_GROWN);
}

void tacit_lease_renewed(struct tacit_crash *crash, struct tacit_log_host *host, uint32_t renewal)
{
    if (renewal != host->renewal || host->renewing_ns == 0) {
        return;
    }
    tacit_time_ns_t from = TACIT_BUG(LEASE_FROM_COMPLETION) ? crash->now_ns : host->renewing_ns;
    tacit_time_ns_t before = crash->lease_until_ns;
    host->lease_until_ns = from + host->renewing_for_ns;
    host->renewing_ns = 0;
    host->renewal++;
    count_again(crash);
    if (before != 0 && before <= crash->now_ns && crash->lease_until_ns > crash->now_ns) {
        lapsed(crash);
    }
}

tacit_time_ns_t tacit_lease_until(const struct tacit_crash *crash)
{
    // Below first_free an earlier leader may have decided what is not executed here yet.
    bool leads = crash->role == TACIT_ROLE_LEADER && crash->applied >= crash->first_free;
    return leads ? crash->lease_until_ns : 0;
}

bool tacit_lease_holds(const struct tacit_crash *crash, tacit_time_ns_t now_ns)
{
    return now_ns < tacit_lease_until(crash);
}

// ---- at a log host
// -------------------------------------------------------------------------------------------

// `now_ns` was read before this turn looks: only a later turn's is a time after the look. Words
// without a number may be the same and new, and so may those that are seen in two looks between
// which all numbers might have been used.
void tacit_lease_watch(struct tacit_grants *grants, tacit_time_ns_t now_ns)
{
    tacit_time_ns_t passed_ns = now_ns - grants->looked_ns;
    if (grants->state != TACIT_GRANTS_STEADY || grants->holder == TACIT_NODE_NONE ||
        passed_ns <= grants->config.suspicion_ns / LOOKS_PER_SUSPICION) {
        return;
    }
    size_t bytes;
    struct tacit_region_key key = {TACIT_REGION_LOG, grants->holder, grants->holder_incarnation};
    const void *log = grants->fabric->ops->local(grants->fabric, key, &bytes);
    uint64_t word = log == NULL ? 0 : tacit_word_load(log, TACIT_LOG_LEASE);
    bool is_first = grants->looked_ns == 0 || passed_ns > TACIT_LEASE_MAX_NS;
    if (is_first || word != grants->lease_word || word >> TACIT_LEASE_NUMBER_SHIFT == 0) {
        grants->lease_word = word;
        grants->unchanged_ns = 0;
    } else if (grants->unchanged_ns == 0) {
        grants->unchanged_ns = now_ns;
    }
    grants->looked_ns = now_ns;
}
