// SPDX-License-Identifier: Apache-2.0
//
// Keeping the group's members in step: checkpoints for peers that ask, fetching one when this
// replica has no state or was lapped, asking for admission, and proposing those who ask.
#include <string.h>

#include "internal.h"

#define LOOK_NS 100000u        // between two looks at what peers want
#define CHECKPOINT_NS 500000u  // between two checkpoints
#define DIGEST_BUDGET 32u      // pages a turn
#define JOIN_AGAIN_NS 1000000u // a joining replica repeats itself

static uint64_t control_word(struct tacit_smr *smr, tacit_node_t node, size_t offset)
{
    size_t bytes;
    struct tacit_region_key key = {TACIT_REGION_CONTROL, node, smr->crash.peer_incarnation[node]};
    const void *control = smr->fabric->ops->local(smr->fabric, key, &bytes);
    return control == NULL ? 0 : tacit_word_load(control, offset);
}

// ---- for others
// ----------------------------------------------------------------------------------------

static bool offer_checkpoint(struct tacit_smr *smr)
{
    bool wanted = false;
    if (smr->transfer.withdrawn) {
        return false; // a transfer has the shadow pages
    }
    for (tacit_node_t r = 0; r < smr->config.replicas; r++) {
        if (r == smr->config.self || !smr->crash.peer_up[r]) {
            continue;
        }
        uint64_t wish = control_word(smr, r, TACIT_CONTROL_CHECKPOINT);
        bool published = tacit_word_load(smr->pages.region, TACIT_STATE_READY) != 0;
        if (wish == 0 || wish - 1 > smr->applied || (published && smr->pages.index >= wish - 1)) {
            continue;
        }
        wanted = true;
    }
    if (!wanted || smr->pages.digesting ||
        (smr->pages.number != 0 && smr->now_ns - smr->checkpoint_ns < CHECKPOINT_NS)) {
        return false;
    }
    smr->checkpoint_ns = smr->now_ns;
    return tacit_pages_checkpoint(&smr->pages, smr->applied);
}

static void propose_membership(struct tacit_smr *smr, uint8_t kind, tacit_node_t node,
                               tacit_incarnation_t incarnation)
{
    if (smr->admitting_term != smr->crash.term) {
        smr->admitting_term = smr->crash.term;
        memset(smr->admitting, 0, sizeof(smr->admitting));
    }
    uint64_t mark = kind == TACIT_ITEM_ADMIT ? incarnation : UINT64_MAX;
    if (smr->admitting[node] == mark || smr->batch_items >= TACIT_BATCH_EXTRA) {
        return;
    }
    struct tacit_wire_item item = {.kind = kind,
                                   .subject = node,
                                   .session = tacit_sessions_member(&smr->sessions, node),
                                   .number = incarnation};
    if (tacit_wire_item_encode(smr->batch, smr->config.batch_bytes, &smr->batch_used, &item)) {
        tacit_smr_askers(smr, smr->batch_index)[smr->batch_items++] = TACIT_NODE_NONE;
        smr->admitting[node] = mark;
    }
}

// Whether the replica asks, and has done so since it was last removed: a stopped one goes on
// standing there.
static bool asks_to_join(struct tacit_smr *smr, tacit_node_t node, tacit_incarnation_t incarnation)
{
    uint64_t word = control_word(smr, node, TACIT_CONTROL_JOIN);
    return (uint32_t)word == incarnation && word != smr->join_seen[node];
}

void tacit_smr_removed(struct tacit_smr *smr, tacit_node_t node)
{
    if (node < smr->config.replicas && node != smr->config.self) {
        smr->join_seen[node] = control_word(smr, node, TACIT_CONTROL_JOIN);
    }
}

// A leader proposes whoever asks for admission; memory nodes, which cannot ask, when they come back
// empty.
void tacit_smr_admissions(struct tacit_smr *smr, bool removals)
{
    if (smr->config.engine == TACIT_ENGINE_NONE) {
        return;
    }
    for (tacit_node_t r = 0; !removals && r < smr->config.replicas; r++) {
        tacit_incarnation_t incarnation = smr->crash.peer_incarnation[r];
        if (r != smr->config.self && smr->crash.peer_up[r] &&
            tacit_sessions_member(&smr->sessions, r) != incarnation &&
            tacit_smr_seat_is_open(smr, r, incarnation) && asks_to_join(smr, r, incarnation)) {
            propose_membership(smr, TACIT_ITEM_ADMIT, r, incarnation);
        }
    }
    for (uint32_t i = 0; !removals && !smr->crash.hosts_log && i < smr->crash.host_count; i++) {
        const struct tacit_log_host *host = &smr->crash.hosts[i];
        if (host->up && tacit_sessions_member(&smr->sessions, host->node) < host->incarnation &&
            tacit_smr_seat_is_open(smr, host->node, host->incarnation)) {
            propose_membership(smr, TACIT_ITEM_ADMIT, host->node, host->incarnation);
        }
    }
    if (smr->crash.laggard != TACIT_NODE_NONE) {
        tacit_node_t laggard = smr->crash.laggard;
        propose_membership(smr, TACIT_ITEM_REMOVE, laggard,
                           tacit_sessions_member(&smr->sessions, laggard));
    }
}

// ---- for itself
// ----------------------------------------------------------------------------------------

// `incarnation`: asks to be admitted; 0: does not any more.
static void announce_join(struct tacit_smr *smr, uint64_t incarnation)
{
    smr->join_count++;
    uint64_t word = incarnation == 0 ? 0 : incarnation | (uint64_t)smr->join_count << 32;
    for (tacit_node_t r = 0; r < smr->config.replicas; r++) {
        if (r == smr->config.self || !smr->crash.peer_up[r]) {
            continue;
        }
        struct tacit_region_key key = {TACIT_REGION_CONTROL, TACIT_NODE_SELF, 0};
        int32_t control = smr->fabric->ops->region(smr->fabric, r, key);
        struct tacit_op op = {.kind = TACIT_OP_WRITE,
                              .plane = TACIT_PLANE_BACKGROUND,
                              .flags = TACIT_OP_QUIET,
                              .host = r,
                              .region = control,
                              .bytes = 8,
                              .offset = TACIT_CONTROL_JOIN,
                              .local = &word,
                              .cookie = TACIT_COOKIE(TACIT_COOKIE_CLIENT, r)};
        if (control >= 0 && smr->fabric->ops->post(smr->fabric, &op)) {
            smr->fabric->ops->ring(smr->fabric, r);
        }
    }
}

// As a member it counts for a majority, so it had better reach all of it: the leader may be the
// next to die, and the group would wait until the survivors are connected. Members that are gone
// are waited for, too, since nobody here knows that they are, but not for long.
static bool may_ask_to_join(struct tacit_smr *smr)
{
    bool reaches_all = true;
    for (tacit_node_t r = 0; r < smr->config.replicas; r++) {
        bool is_other = r != smr->config.self && tacit_sessions_member(&smr->sessions, r) != 0;
        reaches_all = reaches_all && (!is_other || smr->crash.peer_up[r]);
    }
    if (smr->ready_ns == 0) {
        smr->ready_ns = smr->now_ns;
    }
    return reaches_all || smr->now_ns - smr->ready_ns > 2 * smr->config.suspicion_ns;
}

static void ask_to_join(struct tacit_smr *smr)
{
    if (smr->state_valid && may_ask_to_join(smr)) {
        announce_join(smr, smr->config.incarnation);
    }
}

static void installed(struct tacit_smr *smr)
{
    smr->applied = smr->transfer.index;
    smr->state_valid = true;
    if (smr->app->reload != NULL) {
        smr->app->reload(&smr->app_host);
    }
    bool member =
        tacit_sessions_member(&smr->sessions, smr->config.self) == smr->config.incarnation;
    if (smr->active && member) {
        tacit_crash_installed(&smr->crash, smr->applied);
    } else if (member) {
        smr->active = true;
        tacit_crash_activate(&smr->crash, smr->sessions.members->incarnation, smr->applied);
        tacit_crash_yield_at_first(&smr->crash);
        announce_join(smr, 0);
    } else if (smr->active) {
        tacit_smr_deactivate(smr);
    }
    if (smr->active) {
        // Only now: while it joins, this replica replaces its state again and again, and nobody may
        // count on it for reusing log positions.
        tacit_word_store(smr->page, TACIT_PAGE_APPLIED, smr->applied);
    }
}

void tacit_smr_deactivate(struct tacit_smr *smr)
{
    smr->active = false;
    smr->ready_ns = 0;
    tacit_word_store(smr->page, TACIT_PAGE_APPLIED, 0);
    tacit_crash_deactivate(&smr->crash);
}

// Whom to fetch the state from: who is connected, and of these who is trusted, if anybody is. Who
// stands still can be read as well, but begins no checkpoint: a replica that lags behind would wait
// for it, and the leader, whose log finds no room there, for that replica.
static uint32_t sources(const struct tacit_smr *smr)
{
    uint32_t up = 0;
    for (tacit_node_t r = 0; r < smr->config.replicas; r++) {
        up |= smr->crash.peer_up[r] && r != smr->config.self ? 1u << r : 0;
    }
    uint32_t trusted = up & smr->crash.trusted;
    return trusted != 0 && !TACIT_BUG(STATE_FROM_THE_STOPPED) ? trusted : up;
}

static bool keep_itself(struct tacit_smr *smr)
{
    if (!tacit_transfer_busy(&smr->transfer)) {
        if (smr->active && smr->crash.need_state != 0) {
            tacit_transfer_start(&smr->transfer, smr->crash.need_state, smr->now_ns);
        } else if (!smr->active && smr->config.engine != TACIT_ENGINE_NONE &&
                   smr->now_ns >= smr->join_ns) {
            // Every look brings the state nearer, and shows whether the admission is in it.
            smr->join_ns = smr->now_ns + JOIN_AGAIN_NS;
            tacit_transfer_start(&smr->transfer, smr->state_valid ? smr->applied + 1 : 0,
                                 smr->now_ns);
            ask_to_join(smr);
        }
    }
    if (!tacit_transfer_busy(&smr->transfer)) {
        return false;
    }
    if (!smr->active && smr->state_valid && smr->now_ns >= smr->join_ns) {
        smr->join_ns = smr->now_ns + JOIN_AGAIN_NS;
        ask_to_join(smr);
    }
    if (smr->active && smr->transfer.step < TACIT_TRANSFER_TABLE &&
        smr->now_ns - smr->transfer.started_ns > 8 * smr->config.suspicion_ns) {
        // Nobody can give it: those who could may be dead. This replica goes on with what it has;
        // following or leading will show whether it still lacks something.
        smr->crash.need_state = 0;
        tacit_transfer_cancel(&smr->transfer, smr->now_ns);
    }
    bool done =
        tacit_transfer_poll(&smr->transfer, sources(smr), smr->crash.peer_incarnation, smr->now_ns);
    if (done) {
        installed(smr);
    } else if (smr->transfer.step == TACIT_TRANSFER_INSTALL) {
        smr->state_valid = false;
    }
    return done || smr->transfer.step >= TACIT_TRANSFER_TABLE;
}

bool tacit_smr_keep(struct tacit_smr *smr)
{
    bool worked = keep_itself(smr);
    if (smr->state_valid) {
        if (smr->now_ns >= smr->keep_ns) {
            smr->keep_ns = smr->now_ns + LOOK_NS;
            worked |= offer_checkpoint(smr);
        }
        worked |= tacit_pages_digest(&smr->pages, DIGEST_BUDGET);
    }
    return worked;
}

tacit_time_ns_t tacit_smr_keep_deadline(const struct tacit_smr *smr)
{
    if (smr->pages.digesting) {
        return smr->now_ns;
    }
    tacit_time_ns_t at = tacit_transfer_deadline(&smr->transfer);
    bool joins = !smr->active && (smr->state_valid || !tacit_transfer_busy(&smr->transfer));
    if (joins && smr->join_ns < at) {
        at = smr->join_ns;
    }
    return at;
}
