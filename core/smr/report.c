// SPDX-License-Identifier: Apache-2.0
//
// What a replica tells about itself: status, structural invariants, a digest of its state.
#include <string.h>

#include "internal.h"

const char *tacit_role_name(enum tacit_role role)
{
    switch (role) {
    case TACIT_ROLE_JOINING:
        return "joining";
    case TACIT_ROLE_FOLLOWER:
        return "follower";
    case TACIT_ROLE_CANDIDATE:
        return "candidate";
    case TACIT_ROLE_RECOVERING:
        return "recovering";
    case TACIT_ROLE_LEADER:
        return "leader";
    }
    return "unknown";
}

static void report_engine(const struct tacit_crash *crash, struct tacit_status_report *report)
{
    report->role = crash->role;
    report->leader = crash->leader;
    report->ballot = crash->ballot;
    report->term = crash->role == TACIT_ROLE_LEADER ? crash->ballot : 0;
    report->commit = crash->decided;
    report->trusted = crash->trusted;
    for (uint32_t i = 0; i < crash->host_count; i++) {
        if (crash->hosts[i].stage == TACIT_HOST_STREAMING) {
            report->confirmed |= 1u << i;
        }
        if (crash->hosts[i].up && !crash->hosts_log) {
            report->memnodes_up |= 1u << i;
        }
    }
    report->batches_proposed = crash->counters.proposed;
    report->elections_started = crash->counters.elections_started;
    report->elections_won = crash->counters.elections_won;
    report->elections_lost = crash->counters.elections_lost;
    report->steps_down = crash->counters.steps_down;
    report->lease_ns = crash->role == TACIT_ROLE_LEADER ? crash->lease_ns : 0;
    report->lease_lapses = crash->counters.lease_lapses;
    report->leases_waited = crash->grants.counters.leases_waited;
    report->last_lease_wait_ns = crash->grants.counters.lease_wait_ns;
    report->entries_adopted = crash->counters.adopted;
    report->entries_noop = crash->counters.noop;
    report->entries_copied = crash->counters.copied;
    report->adopted_words = crash->counters.adopted_words;
    report->touches = crash->counters.touches;
    report->head_reads = crash->counters.head_reads;
    report->grants = crash->grants.counters.grants;
    report->revocations = crash->grants.counters.revocations;
    report->grants_deferred = crash->grants.counters.deferred;
    report->last_detect_to_ask_ns = crash->counters.detect_to_ask_ns;
    report->last_permission_ns = crash->counters.permission_ns;
    report->last_recovery_ns = crash->counters.recovery_ns;
    report->last_led_ns = crash->counters.led_ns;
}

static void report_fabric(const struct tacit_fabric *fabric, struct tacit_status_report *report)
{
    for (int plane = 0; plane < TACIT_PLANES; plane++) {
        const struct tacit_plane_counters *counters = &fabric->counters.plane[plane];
        report->fabric_writes[plane] = counters->writes;
        report->fabric_reads[plane] = counters->reads;
        report->fabric_self_writes[plane] = counters->self_writes;
        report->fabric_write_bytes[plane] = counters->write_bytes;
        report->fabric_denied[plane] = counters->denied;
        report->fabric_lost[plane] = counters->lost;
    }
}

void tacit_smr_status(const struct tacit_smr *smr, struct tacit_status_report *report)
{
    memset(report, 0, sizeof(*report));
    report_engine(&smr->crash, report);
    report_fabric(smr->fabric, report);
    if (smr->config.engine == TACIT_ENGINE_NONE) {
        report->role = TACIT_ROLE_LEADER;
        report->leader = smr->config.self;
    }
    report->self = smr->config.self;
    report->incarnation = smr->config.incarnation;
    report->applied = smr->applied;
    report->epoch = smr->sessions.members->epoch;
    tacit_smr_seats_status(smr, report);
    for (tacit_node_t r = 0; r < smr->config.replicas; r++) {
        report->members[r] = tacit_sessions_member(&smr->sessions, r);
        bool up = r == smr->config.self || smr->crash.peer_up[r];
        tacit_incarnation_t incarnation =
            r == smr->config.self ? smr->config.incarnation : smr->crash.peer_incarnation[r];
        report->up |= up ? 1u << r : 0;
        report->waiting |= up && report->members[r] != incarnation ? 1u << r : 0;
    }
    for (tacit_node_t m = 0; m < smr->config.memnodes; m++) {
        report->memnode_members[m] = tacit_sessions_member(&smr->sessions, TACIT_NODE_MEMNODE + m);
    }
    report->batches_decided = smr->counters.decided;
    report->requests_executed = smr->counters.executed;
    report->requests_duplicate = smr->counters.duplicates;
    report->checkpoints_taken = smr->pages.taken;
    report->state_transfers = smr->transfer.transfers;
    report->state_pages_fetched = smr->transfer.fetched;
    report->reads_leased = smr->counters.reads_leased;
    report->reads_ordered = smr->counters.reads_ordered;
    report->hints = smr->counters.hints;
    report->replies = smr->counters.replies;
    report->rings_lapped = smr->counters.lapped;
    for (uint32_t i = 0; i < TACIT_CLIENTS_MAX; i++) {
        report->rings_lapped += smr->clients[i].reader.lost;
    }
    report->malformed = smr->counters.malformed;
    report->unexpected = smr->counters.unexpected + smr->crash.counters.unexpected;
    report->sessions_open = tacit_sessions_count(&smr->sessions);
    report->memory_bytes = smr->memory_bytes;
    if (tacit_smr_is_byzantine(smr)) {
        tacit_smr_byzantine_status(smr, report);
    }
}

const char *tacit_smr_check(const struct tacit_smr *smr)
{
    const struct tacit_crash *crash = &smr->crash;
    if (smr->config.engine == TACIT_ENGINE_NONE || !smr->active) {
        return NULL;
    }
    if (tacit_smr_is_byzantine(smr)) {
        return tacit_smr_byzantine_invariants(smr);
    }
    if (crash->applied != smr->applied) {
        return "engine and replica disagree on what is applied";
    }
    if (crash->applied > crash->decided || crash->journal_low > crash->applied) {
        return "journal_low <= applied <= decided";
    }
    if (crash->decided > crash->applied + crash->shape.entries) {
        return "decided entries are in the journal";
    }
    if (crash->role == TACIT_ROLE_LEADER) {
        if (crash->tail < crash->decided || crash->tail < crash->first_free) {
            return "decided and first_free <= tail";
        }
        if (crash->tail > crash->journal_low + crash->shape.entries) {
            return "the journal holds what is streamed";
        }
        for (uint32_t i = 0; i < crash->host_count; i++) {
            const struct tacit_log_host *host = &crash->hosts[i];
            if (host->stage == TACIT_HOST_STREAMING &&
                (host->next > crash->tail || host->acked > host->next || host->generation == 0)) {
                return "acked <= next <= tail of a streamed host under a generation";
            }
        }
    }
    return NULL;
}

uint64_t tacit_smr_state_hash(const struct tacit_smr *smr)
{
    return tacit_pages_hash(&smr->pages);
}
