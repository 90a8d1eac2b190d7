// SPDX-License-Identifier: Apache-2.0
//
// See sim_run.h.
#include "sim_run.h"

#include <stdio.h>
#include <string.h>

#include "log/entry.h"
#include "sim_script.h"
#include "tacit/layout.h"
#include "tacit/wire.h"

#define LIVENESS_NS 2000000000ull // everything pending must be done within this after healing
#define REST_NS 20000000ull
#define SETTLING_ROUNDS 4u // operations of each client after that; then the fast path is back:
#define SETTLING_MOST 132u // ... and all in one view: who left one alone is followed after 64 slots
#define FAST_LEAST 8u      // fast decisions of each replica in as many rounds with rests,
#define SLOW_MOST 2u       // slow ones among all of these, where `slow_after_ns` is
#define TIGHT_NS 50000u    // below this; else none;
#define STEADY_ROUNDS 16u  // and then, without rests, in these
#define STEADY_LEAST 4u    // fast ones

static uint32_t one_of(struct choice *choice, uint32_t count, const uint32_t *values)
{
    return values[choice_u32(choice, count)];
}
#define ONE_OF(choice, ...)                                                                        \
    one_of(choice, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t), (uint32_t[]){__VA_ARGS__})

static uint32_t no_draw(void *context, uint32_t bound)
{
    (void)context;
    (void)bound;
    return 0;
}

static tacit_time_ns_t no_clock(void *context) // each replica gets its own
{
    (void)context;
    return 0;
}

static void draw_config(struct tacit_smr_config *config, struct choice *choice,
                        const struct sim_run_options *options)
{
    *config = (struct tacit_smr_config){.engine = TACIT_ENGINE_CRASH,
                                        .incarnation = 1,
                                        .first_member = true,
                                        .draw = no_draw,
                                        .clock = no_clock,
                                        .app_options = ""};
    bool memnodes = choice_u32(choice, 4) == 3;
    if (options->log_on >= 0) {
        memnodes = options->log_on == TACIT_LOG_ON_MEMNODES;
    }
    config->log_on = memnodes ? TACIT_LOG_ON_MEMNODES : TACIT_LOG_ON_REPLICAS;
    config->memnodes = memnodes ? 3 : 0;
    config->replicas =
        (uint8_t)(memnodes ? ONE_OF(choice, 2, 2, 3) : ONE_OF(choice, 3, 3, 3, 3, 3, 3, 5, 1));
    if (options->replicas != 0) {
        config->replicas = (uint8_t)options->replicas;
    }
    config->request_bytes = CHECKER_BODY_BYTES + 8 * choice_u32(choice, 7);
    config->reply_bytes = CHECKER_REPLY_BYTES;
    config->batch_requests = ONE_OF(choice, 1, 2, 4, 8);
    uint32_t item = (uint32_t)tacit_wire_item_bytes(config->request_bytes);
    config->batch_bytes = item * choice_range(choice, 1, config->batch_requests);
    config->inflight = ONE_OF(choice, 1, 2, 4, 8);
    uint32_t least = 4 * config->inflight;
    config->log_entries = (least < 16 ? 16 : least) << ONE_OF(choice, 0, 0, 1, 2);
    config->sessions_per_client = choice_range(choice, SIM_CLIENT_SESSIONS, 3);
    config->session_pipeline = ONE_OF(choice, 1, 2, 4);
    config->ring_slots = 16;
    config->arena_bytes = (size_t)TACIT_PAGE_BYTES * choice_range(choice, 1, 3);
    config->beat_period_ns = 1000000;
    config->suspicion_ns = 1000000u * choice_range(choice, 1, 5);
    config->permission_timeout_ns = 200000;
    config->laggard_after_ns = 20000000;
}

// The same, for Byzantine mode: small windows and tails, so that their ends are reached.
static void draw_byzantine(struct tacit_smr_config *config, struct choice *choice,
                           const struct sim_run_options *options)
{
    int place = options->broadcast_on >= 0 ? options->broadcast_on : TACIT_BROADCAST_ON_REPLICAS;
    config->engine = TACIT_ENGINE_BYZANTINE;
    config->log_on = TACIT_LOG_ON_REPLICAS;
    config->replicas = (uint8_t)ONE_OF(choice, 3, 3, 3, 3, 3, 3, 3, 5);
    if (options->replicas != 0) {
        config->replicas = (uint8_t)options->replicas;
    } else if (options->faulty > 1) {
        config->replicas = (uint8_t)(2 * options->faulty + 1);
    }
    config->memnodes = (uint8_t)ONE_OF(choice, 3, 3, 3, 1, 5);
    config->byzantine =
        (struct tacit_byzantine_config){.broadcast_on = (enum tacit_broadcast_place)place,
                                        .window = ONE_OF(choice, 8, 16, 32),
                                        .tail = ONE_OF(choice, 16, 32),
                                        .slow_after_ns = ONE_OF(choice, 50000, 100000, 20000),
                                        .cooldown_ns = ONE_OF(choice, 20000, 20000, 100000),
                                        .retry_ns = ONE_OF(choice, 500000, 200000, 1000000),
                                        .join_after_ns = 1000000,
                                        .view_timeout_ns = 2000000,
                                        .view_timeout_max_ns = 100000000};
    static struct tacit_signer any; // the check wants one; each replica is opened with its own
    config->byzantine.signer = &any;
}

static void draw_injections(struct sim_shape *shape, struct choice *choice)
{
    // Mean times between injections, in units of 100 us; 0: none of that kind.
    static const uint32_t crash[] = {0, 6, 15, 60};
    static const uint32_t pause[] = {0, 0, 6, 20};
    static const uint32_t partition[] = {0, 0, 6, 20};
    static const uint32_t cut[] = {0, 0, 0, 10};
    static const uint32_t suspicion[] = {0, 3, 8, 25};
    static const uint32_t client[] = {0, 0, 0, 50};
    static const uint32_t *const means[SIM_INJECTIONS] = {
        [SIM_INJECT_CRASH] = crash,         [SIM_INJECT_PAUSE] = pause,
        [SIM_INJECT_PARTITION] = partition, [SIM_INJECT_BREAK] = cut,
        [SIM_INJECT_SUSPICION] = suspicion, [SIM_INJECT_CLIENT] = client,
    };
    for (uint32_t kind = 0; kind < SIM_INJECTIONS; kind++) {
        shape->inject_ns[kind] = 100000u * means[kind][choice_u32(choice, 4)];
    }
    shape->strike_rate = ONE_OF(choice, 0, 100, 500, 2000);
    shape->pause_ns = 1000u << choice_range(choice, 8, 14); // up to 16 ms
    shape->partition_ns = 1000u << choice_range(choice, 8, 16);
    shape->suspicion_ns = 1000u << choice_range(choice, 6, 13);
    shape->restart_ns = 1000u << choice_range(choice, 4, 13);
}

// Leaders change all the time, in the middle of what they do, and links between replicas with them.
static void draw_storm(struct sim_shape *shape, struct choice *choice)
{
    shape->inject_ns[SIM_INJECT_CRASH] = ONE_OF(choice, 0, 0, 3000000);
    shape->inject_ns[SIM_INJECT_SUSPICION] = ONE_OF(choice, 100000, 200000, 400000);
    shape->inject_ns[SIM_INJECT_PARTITION] = ONE_OF(choice, 100000, 200000, 600000);
    shape->strike_rate = ONE_OF(choice, 500, 2000, 4000);
    shape->suspicion_ns = ONE_OF(choice, 100000, 400000, 1000000);
    shape->partition_ns = ONE_OF(choice, 200000, 1000000, 4000000);
    shape->detect_ns = 50000;
    shape->real_detector = false;
    shape->think_ns = ONE_OF(choice, 0, 10000, 100000);
}

// A small run in which little happens that the plot does not want.
static void draw_plot_shape(struct sim_shape *shape, struct choice *choice)
{
    shape->smr.byzantine.window = ONE_OF(choice, 8, 16);
    shape->smr.byzantine.slow_after_ns = ONE_OF(choice, 50000, 100000, 400000);
    shape->smr.byzantine.retry_ns = ONE_OF(choice, 200000, 500000);
    shape->smr.byzantine.view_timeout_ns = ONE_OF(choice, 2000000, 4000000, 8000000);
    shape->smr.batch_requests = 1;
    shape->smr.batch_bytes = (uint32_t)tacit_wire_item_bytes(shape->smr.request_bytes);
    shape->smr.inflight = ONE_OF(choice, 1, 1, 2);
    shape->operations = choice_range(choice, 4, 8);
    shape->client_sessions = 1;
    shape->session_length = 0;
    shape->client_pipeline = 1;
    shape->think_ns = ONE_OF(choice, 0, 100000, 300000);
    shape->spin = true;
    shape->poll_ns = 300;
    shape->starve_rate = 0;
    shape->drift_ppm = 0;
    shape->real_detector = false;
    shape->safety_ns = 20000000;
    shape->sign_ns = ONE_OF(choice, 2000, 5000, 20000);
    shape->verify_ns = 2 * shape->sign_ns;
    shape->linear = false;
}

static void draw_plot_model(struct sim_model *model, struct choice *choice)
{
    *model = sim_model_calm();
    model->latency_ns = choice_range(choice, 500, 3000);
    model->jitter_ns = choice_u32(choice, 3) * 1500;
    model->stall_ns = ONE_OF(choice, 50000000, 50000000, 1000000);
}

static void draw_leases(struct sim_shape *shape, struct choice *choice,
                        const struct sim_run_options *options)
{
    shape->smr.lease_ns = ONE_OF(choice, 2000000, 5000000, 800000, 0);
    shape->smr.lease_max_ns = shape->smr.lease_ns * ONE_OF(choice, 1, 8);
    shape->smr.drift_ppm = shape->drift_ppm;
    shape->old_time_rate = ONE_OF(choice, 0, 32768, 65535);
    if (options->stop_leaders) { // for longer than a lease, while clients wait for them
        shape->stop_leaders = true;
        shape->inject_ns[SIM_INJECT_PAUSE] = ONE_OF(choice, 1000000, 2000000, 4000000);
        shape->pause_ns = ONE_OF(choice, 4000000, 8000000);
        shape->smr.lease_ns = ONE_OF(choice, 800000, 2000000);
        shape->smr.lease_max_ns = shape->smr.lease_ns;
        shape->smr.suspicion_ns = 1000000;
        shape->detect_ns = 50000;
        shape->real_detector = false;
        shape->patience_ns = 4000000;
        shape->think_ns = ONE_OF(choice, 100000, 1000000, 3000000);
        shape->read_share = 4;
        shape->keys = 1;
    }
    if (options->bad_clocks) {
        shape->drift_ppm = 400000;
        shape->smr.drift_ppm = 100;
    }
}

// One run in eight has spares. Which ones follows from what is drawn already, so that all others
// are what they were; what is drawn here comes last.
static void draw_spares(struct sim_shape *shape, struct choice *choice,
                        const struct sim_run_options *options)
{
    uint64_t mix = shape->operations + 31ull * shape->keys + 131ull * shape->padding +
                   shape->safety_ns / 1000000 + 7ull * shape->poll_ns +
                   shape->smr.arena_bytes / 64 + shape->smr.batch_bytes / 8 +
                   shape->smr.suspicion_ns / 1000000 + shape->inject_ns[SIM_INJECT_CRASH] / 100000 +
                   shape->think_ns;
    bool is_one = options->spares || (mix * 0x9e3779b97f4a7c15ull) >> 61 == 7;
    if (!is_one || (options->byzantine && shape->byz.plot >= 0) || options->extra_faults > 0 ||
        shape->smr.replicas < 2) {
        return;
    }
    if (shape->byz.faulty_replicas > 0 && options->replicas == 0 && shape->smr.replicas == 3) {
        shape->smr.replicas = 5; // else a liar is all that may be wrong
    }
    bool on_memnodes = options->byzantine || shape->smr.log_on == TACIT_LOG_ON_MEMNODES;
    shape->spares.replicas = choice_range(choice, 1, SIM_SPARES_MAX);
    shape->spares.memnodes = on_memnodes ? choice_u32(choice, 3) : 0;
    shape->spares.for_good_rate = choice_range(choice, 2, 8);
    shape->spares.ask_ns = ONE_OF(choice, 200000, 1000000);
    shape->smr.replace_after_ns = 1000000u * ONE_OF(choice, 1, 2, 4);
    // An order may take effect late, and a leader that stands still meanwhile dies of something
    // else: with both, more than f would be missing, by nobody's fault that is counted.
    shape->spares.order_ns = shape->stop_leaders ? 0 : ONE_OF(choice, 0, 0, 2000000, 5000000);
    uint32_t order_bytes = (uint32_t)tacit_wire_item_bytes(TACIT_WIRE_ORDER_BYTES);
    if (shape->smr.batch_bytes < order_bytes) {
        shape->smr.batch_bytes = order_bytes;
    }
    if (shape->inject_ns[SIM_INJECT_CRASH] == 0) {
        shape->inject_ns[SIM_INJECT_CRASH] = ONE_OF(choice, 1500000, 4000000);
    }
}

static void draw_shape(struct sim_shape *shape, struct choice *choice,
                       const struct sim_run_options *options)
{
    memset(shape, 0, sizeof *shape);
    draw_config(&shape->smr, choice, options);
    if (options->byzantine) {
        draw_byzantine(&shape->smr, choice, options);
        shape->sign_ns = ONE_OF(choice, 25000, 5000, 50000);
        shape->verify_ns = 2 * shape->sign_ns;
    }
    shape->clients = choice_range(choice, 2, 3);
    shape->smr.clients = shape->clients;
    shape->operations = choice_range(choice, 4, 12) * ONE_OF(choice, 1, 1, 3);
    shape->client_sessions = choice_range(choice, 1, SIM_CLIENT_SESSIONS);
    shape->client_pipeline = shape->smr.session_pipeline;
    shape->session_length = ONE_OF(choice, 0, 0, 3, 8);
    shape->keys = choice_range(choice, 1, 3) + shape->operations / 20;
    shape->read_share = ONE_OF(choice, 2, 0, 5);
    shape->padding = choice_u32(choice, shape->smr.request_bytes - CHECKER_BODY_BYTES + 1);
    shape->spin = choice_u32(choice, 3) == 2;
    shape->look_rate = ONE_OF(choice, 0, 3000, 10000, 40000);
    shape->poll_ns = ONE_OF(choice, 300, 100, 2000);
    shape->starve_rate = ONE_OF(choice, 0, 0, 200, 4000);
    shape->starve_ns = 1000u << choice_u32(choice, 12);
    shape->drift_ppm = ONE_OF(choice, 0, 100, 20000);
    shape->real_detector = choice_u32(choice, 3) == 2;
    shape->detect_ns = ONE_OF(choice, 200000, 50000, 50000, 2000000);
    shape->safety_ns = 1000000ull * ONE_OF(choice, 10, 20, 40);
    // In half of the runs the operations are spread over the whole safety phase.
    uint32_t spread_ns = (uint32_t)(shape->safety_ns * shape->client_pipeline / shape->operations);
    shape->think_ns = ONE_OF(choice, 0, 10000, spread_ns, spread_ns);
    shape->check_each_poll = choice_u32(choice, 4) == 0;
    shape->hash_states = choice_u32(choice, 2) == 0;
    shape->linear = choice_u32(choice, 4) == 0;
    if (options->byzantine) {
        sim_byz_draw(&shape->byz, choice, shape->smr.replicas, shape->clients, options->faulty,
                     options->attack, options->plot);
    }
    if (options->byzantine && shape->byz.plot >= 0) {
        draw_plot_shape(shape, choice);
    } else {
        draw_injections(shape, choice);
    }
    if (options->storm) {
        draw_storm(shape, choice);
    }
    if (!options->byzantine) {
        draw_leases(shape, choice, options);
    }
    draw_spares(shape, choice, options);
}

static bool clients_done(const struct sim_cluster *cluster)
{
    uint32_t first = cluster->shape.smr.replicas + cluster->shape.smr.memnodes;
    for (uint32_t i = first; i < cluster->processes; i++) {
        if (!sim_is_faulty(cluster, i) && !sim_client_done(&cluster->process[i])) {
            return false;
        }
    }
    return true;
}

// Everybody in the core is a member and has executed everything.
static bool converged(const struct sim_cluster *cluster)
{
    if (!clients_done(cluster)) {
        return false;
    }
    for (uint32_t i = 0; i < cluster->shape.smr.replicas; i++) {
        const struct sim_process *process = &cluster->process[i];
        if (!process->frozen && !sim_is_faulty(cluster, i) &&
            (!process->node->alive || process->status.role == TACIT_ROLE_JOINING ||
             process->status.applied != checker_length(cluster->checker))) {
            return false;
        }
    }
    return true;
}

// With --verbose: the log regions of each host, as they stand.
static void dump_logs(struct sim_cluster *cluster)
{
    struct tacit_log_shape log =
        tacit_log_shape(cluster->shape.smr.log_entries, cluster->shape.smr.batch_bytes);
    for (uint32_t slot = 0; slot < cluster->processes; slot++) {
        const struct sim_host *host = cluster->process[slot].node->host;
        for (uint32_t i = 0; i < host->regions; i++) {
            const struct sim_region *region = &host->region[i];
            if (region->key.region_class != TACIT_REGION_LOG) {
                continue;
            }
            const uint64_t *words = region->memory;
            sim_say(
                cluster,
                "host %u (holder %d.%u generation %llu): log of %u.%u%s: commit %llu touch %llu "
                "low %llu promise %llx",
                host->node, host->holder == TACIT_NODE_NONE ? -1 : (int)host->holder,
                host->holder_incarnation, (unsigned long long)host->generation, region->key.owner,
                region->key.incarnation, region->live ? "" : " (retired)",
                (unsigned long long)words[TACIT_LOG_COMMIT / 8],
                (unsigned long long)words[TACIT_LOG_TOUCH / 8],
                (unsigned long long)words[TACIT_LOG_LOW / 8],
                (unsigned long long)words[TACIT_LOG_PROMISE / 8]);
            for (uint32_t entry = 0; entry < log.entries; entry++) {
                const uint64_t *header = words + tacit_log_slot(log, entry) / 8;
                if (header[2] != 0) {
                    sim_say(cluster,
                            "    index %llu ballot %llx adopted %llx commit %llu length %llu",
                            (unsigned long long)header[1], (unsigned long long)header[2],
                            (unsigned long long)header[0], (unsigned long long)header[3],
                            (unsigned long long)header[4]);
                }
            }
        }
    }
}

// With --verbose: what each replica says about itself at the end.
static void tell_statuses(struct sim_cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->shape.smr.replicas; i++) {
        const struct tacit_status_report *now = &cluster->process[i].status;
        sim_say(
            cluster,
            "replica %u.%u: %s leader %d ballot %llx commit %llu applied %llu confirmed %x trusted "
            "%x up %x waiting %x transfers %llu checkpoints %llu elections %llu/%llu",
            i, cluster->process[i].incarnation, tacit_role_name(now->role),
            now->leader == TACIT_NODE_NONE ? -1 : (int)now->leader, (unsigned long long)now->ballot,
            (unsigned long long)now->commit, (unsigned long long)now->applied, now->confirmed,
            now->trusted, now->up, now->waiting, (unsigned long long)now->state_transfers,
            (unsigned long long)now->checkpoints_taken, (unsigned long long)now->elections_won,
            (unsigned long long)now->elections_started);
        if (now->byzantine) {
            sim_say(
                cluster,
                "    view %llu%s base %llu fast %llu slow %llu seals %llu newviews %llu "
                "broadcasts %llu delivered %llu/%llu condemned %x signatures %llu/%llu bad "
                "%llu registers %llu/%llu gaps %llu adopted %llu lacks %llu obligations %llu",
                (unsigned long long)now->view, now->view_entered ? "" : " (not entered)",
                (unsigned long long)now->window_base, (unsigned long long)now->decided_fast,
                (unsigned long long)now->decided_slow, (unsigned long long)now->seals,
                (unsigned long long)now->newviews, (unsigned long long)now->broadcasts,
                (unsigned long long)now->delivered_fast, (unsigned long long)now->delivered_slow,
                now->condemned, (unsigned long long)now->signatures_made,
                (unsigned long long)now->signatures_checked,
                (unsigned long long)now->signatures_bad, (unsigned long long)now->register_writes,
                (unsigned long long)now->register_reads, (unsigned long long)now->gaps,
                (unsigned long long)now->summaries_adopted, (unsigned long long)now->lacks,
                (unsigned long long)now->obligations);
        }
    }
}

// Byzantine mode, with everybody up and honest: whether every incarnation that runs is a member for
// every replica, in one epoch.
static bool is_whole(const struct sim_cluster *cluster)
{
    const struct tacit_smr_config *smr = &cluster->shape.smr;
    for (uint32_t i = 0; i < smr->replicas; i++) {
        const struct tacit_status_report *now = &cluster->process[i].status;
        bool whole = now->epoch == cluster->process[0].status.epoch;
        for (uint32_t r = 0; r < smr->replicas; r++) {
            whole = whole && now->members[r] == cluster->process[r].incarnation;
        }
        for (uint32_t m = 0; m < smr->memnodes; m++) {
            whole =
                whole && now->memnode_members[m] == cluster->process[smr->replicas + m].incarnation;
        }
        if (!whole) {
            return false;
        }
    }
    return true;
}

// Who left a view alone (a timer that fired after a long pause) is not back by itself: without its
// ACK each slot takes signatures, and after 64 of them in a row the others follow it.
static bool is_in_one_view(const struct sim_cluster *cluster)
{
    bool same = true;
    for (uint32_t i = 1; i < cluster->shape.smr.replicas; i++) {
        same = same && cluster->process[i].status.view == cluster->process[0].status.view;
    }
    return same;
}

static bool all_are_well(const struct sim_cluster *cluster)
{
    bool well = sim_is_byzantine(&cluster->shape);
    for (uint32_t i = 0; i < cluster->processes && well; i++) {
        well = cluster->process[i].node->alive && !cluster->process[i].frozen &&
               !sim_is_faulty(cluster, i);
    }
    return well;
}

static void report_stuck(struct sim_cluster *cluster)
{
    char text[300];
    size_t used = 0;
    for (uint32_t i = 0; i < cluster->processes && used < sizeof text - 48; i++) {
        const struct sim_process *process = &cluster->process[i];
        int more = 0;
        if (process->role == SIM_REPLICA) {
            more = snprintf(text + used, sizeof text - used, " r%u=%s@%llu%s", process->id,
                            tacit_role_name(process->status.role),
                            (unsigned long long)process->status.applied,
                            sim_is_faulty(cluster, i) ? "(liar)"
                            : process->frozen         ? "(out)"
                                                      : "");
        } else if (process->role == SIM_CLIENT) {
            const struct sim_client_session *session = process->session;
            more = snprintf(text + used, sizeof text - used, " c%u=%u+%u%s(%s%s%s %s%s%s)",
                            process->id, process->to_submit, process->outstanding,
                            process->staged == CHECKER_OPS ? "" : "+1", session[0].used ? "u" : "",
                            session[0].open ? "o" : "", session[0].closing ? "c" : "",
                            session[1].used ? "u" : "", session[1].open ? "o" : "",
                            session[1].closing ? "c" : "");
        }
        used += more > 0 ? (size_t)more : 0;
    }
    checker_group_fail(cluster->checker, "no progress in %llu ms after healing: %llu decided,%s",
                       (unsigned long long)(LIVENESS_NS / 1000000),
                       (unsigned long long)checker_length(cluster->checker), text);
}

static void conclude(struct sim_cluster *cluster, struct sim_result *result)
{
    tacit_index_t kept = CHECKER_NEVER;
    for (uint32_t i = 0; i < cluster->shape.smr.replicas; i++) {
        struct sim_process *process = &cluster->process[i];
        if (!process->frozen && !sim_is_faulty(cluster, i)) {
            kept = process->status.applied < kept ? process->status.applied : kept;
            checker_state(cluster->checker, i, process->status.applied,
                          tacit_smr_state_hash(process->smr));
        }
    }
    result->gave_up = checker_finish(cluster->checker, kept, cluster->shape.linear);
}

static bool step_until(struct sim_cluster *cluster, bool (*done)(const struct sim_cluster *))
{
    uint64_t end_ns = cluster->net->now_ns + LIVENESS_NS;
    while (sim_cluster_violation(cluster) == NULL && !done(cluster)) {
        if (cluster->net->now_ns > end_ns || !sim_cluster_step(cluster)) {
            report_stuck(cluster);
            return false;
        }
    }
    return sim_cluster_violation(cluster) == NULL;
}

static bool converged_whole(const struct sim_cluster *cluster)
{
    return converged(cluster) && is_whole(cluster);
}

static void rest(struct sim_cluster *cluster)
{
    uint64_t rested_ns = cluster->net->now_ns + REST_NS;
    while (sim_cluster_violation(cluster) == NULL && cluster->net->now_ns < rested_ns &&
           sim_cluster_step(cluster)) {
    }
}

// `rounds` operations of each client, one after the other: then each replica must have decided at
// least `fast_least` times without signatures, and at most `slow_most` times with them.
static bool decides_fast(struct sim_cluster *cluster, uint32_t rounds, bool rests,
                         uint64_t fast_least, uint64_t slow_most)
{
    uint64_t fast[TACIT_REPLICAS_MAX] = {0};
    uint64_t slow[TACIT_REPLICAS_MAX] = {0};
    for (uint32_t i = 0; i < cluster->shape.smr.replicas; i++) {
        fast[i] = cluster->process[i].status.decided_fast;
        slow[i] = cluster->process[i].status.decided_slow;
    }
    for (uint32_t round = 0; round < rounds; round++) {
        sim_clients_more(cluster, 1);
        if (!step_until(cluster, converged_whole)) {
            return false;
        }
        if (rests) {
            rest(cluster);
        }
    }
    for (uint32_t i = 0; i < cluster->shape.smr.replicas; i++) {
        const struct tacit_status_report *now = &cluster->process[i].status;
        uint64_t by_acks = now->decided_fast - fast[i];
        uint64_t by_commits = now->decided_slow - slow[i];
        if (by_acks < fast_least || by_commits > slow_most) {
            checker_group_fail(cluster->checker,
                               "replica %u: %llu fast and %llu slow decisions in the last %u "
                               "rounds%s",
                               i, (unsigned long long)by_acks, (unsigned long long)by_commits,
                               rounds, rests ? ", with rests" : "");
            return false;
        }
    }
    return sim_cluster_violation(cluster) == NULL;
}

// With everybody up and honest everything must be as at the start: all are members, and what
// clients ask for is decided without signatures again.
static void check_fast_path(struct sim_cluster *cluster)
{
    // What takes longer than `slow_after_ns` to land is rightly not waited for.
    cluster->net->model.tear_rate = 0;
    cluster->net->model.check_gap_rate = 0;
    cluster->net->model.late_land_rate = 0;
    cluster->net->model.late_store = false;
    uint32_t settled = 0;
    for (uint32_t round = 0; round < SETTLING_MOST && settled < SETTLING_ROUNDS; round++) {
        if (!step_until(cluster, converged_whole)) {
            return;
        }
        // What the signed path has left to check delays what comes behind it.
        rest(cluster);
        settled = is_in_one_view(cluster) ? settled + 1 : 0;
        sim_clients_more(cluster, 1);
    }
    if (!step_until(cluster, converged_whole)) {
        return;
    }
    rest(cluster);
    const struct tacit_byzantine_config *byzantine = &cluster->shape.smr.byzantine;
    // What comes to an idle group needs no signature, but where latencies add up to about the time
    // after which signatures are asked for. Under a steady load what was late makes others behind
    // it late, too (core/byzantine/README.md, Limits).
    bool is_tight = byzantine->slow_after_ns < TIGHT_NS;
    if (decides_fast(cluster, FAST_LEAST, true, FAST_LEAST, is_tight ? SLOW_MOST : 0)) {
        (void)decides_fast(cluster, STEADY_ROUNDS, false, STEADY_LEAST, UINT64_MAX);
    }
}

static void run_phases(struct sim_cluster *cluster, struct sim_result *result)
{
    bool whole = cluster->shape.is_scripted;
    while (sim_cluster_violation(cluster) == NULL && (whole || !clients_done(cluster)) &&
           cluster->net->now_ns < cluster->shape.safety_ns && sim_cluster_step(cluster)) {
    }
    if (sim_cluster_violation(cluster) != NULL) {
        return;
    }
    sim_faults_heal(cluster);
    if (!step_until(cluster, converged)) {
        return;
    }
    if (all_are_well(cluster)) {
        check_fast_path(cluster);
    }
    if (sim_cluster_violation(cluster) == NULL) {
        conclude(cluster, result);
    }
    if (cluster->play != NULL && sim_cluster_violation(cluster) == NULL) {
        sim_script_judge(cluster);
    }
}

static void finish(struct sim_cluster *cluster, struct sim_result *result)
{
    const char *violation = sim_cluster_violation(cluster);
    if (violation != NULL) {
        result->violation = true;
        snprintf(result->text, sizeof result->text, "%s", violation);
    }
    for (uint32_t i = 0; i < cluster->processes; i++) {
        if (cluster->process[i].role == SIM_REPLICA && cluster->process[i].node->alive) {
            tacit_smr_fini(cluster->process[i].smr);
        }
    }
    result->trace = cluster->net->trace;
    result->virtual_ns = cluster->net->now_ns;
    result->events = cluster->events;
    for (uint32_t i = 0; i < ADVERSARY_ATTACKS; i++) {
        result->attack[i] = cluster->byz.adversary.done[i];
        result->faults += cluster->byz.adversary.done[i];
    }
    for (uint32_t i = 0; i < SIM_FAULTS; i++) {
        result->fault[i] = cluster->net->fault[i];
        result->faults += cluster->net->fault[i];
    }
    size_t count;
    const struct checker_op *ops = checker_ops(cluster->checker, &count);
    result->operations = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        result->acknowledged += ops[i].return_ns != CHECKER_NEVER;
    }
}

bool sim_run_start(struct sim_cluster *cluster, struct choice *choice,
                   const struct sim_shape *shape, const struct sim_model *model,
                   struct sim_result *result)
{
    memset(result, 0, sizeof *result);
    struct tacit_error error = {0};
    if (tacit_smr_config_check(&shape->smr, &error) != TACIT_OK) {
        result->invalid = true;
        snprintf(result->text, sizeof result->text, "%s", error.text);
        return false;
    }
    sim_cluster_start(cluster, choice, shape, model);
    if (cluster->faults_max < shape->byz.faulty_replicas) {
        cluster->faults_max = shape->byz.faulty_replicas; // deliberately too many
    }
    return true;
}

void sim_run_finish(struct sim_cluster *cluster, struct sim_result *result)
{
    run_phases(cluster, result);
    if (cluster->verbose) {
        tell_statuses(cluster);
        if (!sim_is_byzantine(&cluster->shape)) {
            dump_logs(cluster);
        }
    }
    finish(cluster, result);
}

void sim_run_script(struct sim_cluster *cluster, struct choice *choice,
                    const struct sim_script *script, struct sim_result *result)
{
    static struct sim_play play;
    struct sim_shape shape;
    struct sim_model model = sim_model_calm();
    sim_script_shape(script, &shape);
    if (script->rough) {
        sim_model_draw(&model, choice, 1);
    } else {
        model.jitter_ns = 500;
    }
    play = (struct sim_play){.script = script};
    cluster->play = &play;
    if (sim_run_start(cluster, choice, &shape, &model, result)) {
        sim_script_start(cluster);
        sim_run_finish(cluster, result);
    } else {
        result->violation = true; // what is written down is not drawn again
    }
    cluster->play = NULL;
    if (sim_script_expects_violation(script)) {
        result->violation = !result->violation;
        snprintf(result->text, sizeof result->text, "no violation, although one is expected");
    }
}

void sim_run(struct sim_cluster *cluster, struct choice *choice,
             const struct sim_run_options *options, struct sim_result *result)
{
    struct sim_shape shape;
    struct sim_model model;
    draw_shape(&shape, choice, options);
    if (options->byzantine && shape.byz.plot >= 0) {
        draw_plot_model(&model, choice);
    } else {
        sim_model_draw(&model, choice, 1);
    }
    if (!sim_run_start(cluster, choice, &shape, &model, result)) {
        return;
    }
    sim_say(cluster,
            "%u replicas, %u memory nodes, %u clients, %u log entries, inflight %u, batch %u (%u "
            "bytes), pipeline %u, arena %zu",
            shape.smr.replicas, shape.smr.memnodes, shape.clients, shape.smr.log_entries,
            shape.smr.inflight, shape.smr.batch_requests, shape.smr.batch_bytes,
            shape.smr.session_pipeline, shape.smr.arena_bytes);
    if (options->byzantine) {
        sim_say(cluster,
                "signed path after %llu ns, signature %u ns to make, %u to check; latency %u ns, "
                "jitter %u",
                (unsigned long long)shape.smr.byzantine.slow_after_ns, shape.sign_ns,
                shape.verify_ns, model.latency_ns, model.jitter_ns);
    }
    cluster->faults_max += options->extra_faults;
    sim_run_finish(cluster, result);
}
