// SPDX-License-Identifier: Apache-2.0
//
// A scenario while it runs: conditions, actions, and what is said of it at its end. See
// sim_script.h.
#include <string.h>

#include "byzantine/agree_internal.h"
#include "sim_script.h"
#include "smr/internal.h"
#include "tacit/layout.h"
#include "tacit/wire.h"

#define LEADER_BIT (1u << 31)

static uint32_t no_draw(void *context, uint32_t bound)
{
    (void)context;
    (void)bound;
    return 0;
}

static void shape_smr(const struct sim_script *script, struct tacit_smr_config *smr)
{
    static struct tacit_signer no_signer; // each replica gets its own
    *smr = (struct tacit_smr_config){.engine = TACIT_ENGINE_BYZANTINE,
                                     .log_on = TACIT_LOG_ON_REPLICAS,
                                     .replicas = (uint8_t)script->replicas,
                                     .memnodes = (uint8_t)script->memnodes,
                                     .incarnation = 1,
                                     .first_member = true,
                                     .request_bytes = CHECKER_BODY_BYTES + script->padding,
                                     .reply_bytes = CHECKER_REPLY_BYTES,
                                     .batch_requests = script->batch,
                                     .inflight = script->inflight,
                                     .log_entries = 32,
                                     .clients = script->clients,
                                     .sessions_per_client = SIM_CLIENT_SESSIONS,
                                     .session_pipeline = script->pipeline,
                                     .ring_slots = 16,
                                     .arena_bytes = 2 * (size_t)TACIT_PAGE_BYTES,
                                     .beat_period_ns = 1000000,
                                     .suspicion_ns = 2000000,
                                     .permission_timeout_ns = 200000,
                                     .laggard_after_ns = 20000000,
                                     .draw = no_draw,
                                     .app_options = ""};
    smr->batch_bytes = (uint32_t)tacit_wire_item_bytes(smr->request_bytes) * script->batch;
    smr->byzantine = (struct tacit_byzantine_config){
        .broadcast_on =
            script->on_memnodes ? TACIT_BROADCAST_ON_MEMNODES : TACIT_BROADCAST_ON_REPLICAS,
        .window = script->window,
        .tail = script->tail,
        .slow_after_ns = script->slow_after_ns,
        .cooldown_ns = 20000,
        .retry_ns = script->retry_ns,
        .join_after_ns = 1000000,
        .view_timeout_ns = script->view_timeout_ns,
        .view_timeout_max_ns = 50 * script->view_timeout_ns,
        .signer = &no_signer};
}

void sim_script_shape(const struct sim_script *script, struct sim_shape *shape)
{
    memset(shape, 0, sizeof *shape);
    shape_smr(script, &shape->smr);
    shape->clients = script->clients;
    shape->operations = script->operations;
    shape->client_sessions = script->sessions;
    shape->client_pipeline = script->pipeline;
    // Unless it is said: the workload lasts about as long as the attack.
    shape->think_ns = script->think_ns != 0 ? script->think_ns
                                            : (uint32_t)(script->span_ns * script->pipeline *
                                                         script->sessions / script->operations);
    shape->padding = script->padding;
    shape->keys = 2;
    shape->read_share = 2;
    shape->spin = true;
    shape->poll_ns = 300;
    shape->detect_ns = 100000;
    shape->safety_ns = script->span_ns;
    shape->sign_ns = 15000;
    shape->verify_ns = 30000;
    shape->check_each_poll = true;
    shape->hash_states = true;
    shape->linear = script->lying_clients == 0; // else a search has too much to try
    shape->is_scripted = true;
    shape->byz.plot = -1;
    shape->byz.pace_ns = 200000;
    shape->byz.liars = script->liars;
    shape->byz.lying_clients = script->lying_clients;
    shape->byz.faulty_replicas = (uint32_t)__builtin_popcount(script->liars);
    shape->byz.faulty_clients = (uint32_t)__builtin_popcount(script->lying_clients);
}

void sim_script_start(struct sim_cluster *cluster)
{
    struct sim_play *play = cluster->play;
    const struct sim_script *script = play->script;
    play->waiting = script->events;
    for (uint32_t i = 0; i < script->events; i++) {
        if (script->event[i].condition == SIM_WHEN_TIME) {
            play->armed[i] = true;
            sim_cluster_after(cluster, script->event[i].condition_value,
                              (struct sim_timer){.kind = SIM_TIMER_SCRIPT, .a = (uint8_t)i});
        }
    }
}

void sim_script_mark(struct sim_cluster *cluster, uint32_t slot, uint32_t mark)
{
    if (mark < SIM_MARKS_MAX && !sim_is_faulty(cluster, slot)) {
        cluster->play->marks[mark]++;
    }
}

// ---- counters

static bool is_counted(const struct sim_cluster *cluster, uint32_t r)
{
    const struct sim_process *process = &cluster->process[r];
    return process->node->alive && process->smr != NULL && !process->frozen &&
           !sim_is_faulty(cluster, r);
}

static uint64_t value_of(const struct tacit_status_report *now, enum sim_script_counter counter)
{
    switch (counter) {
    case SIM_COUNT_VIEW:
        return now->view;
    case SIM_COUNT_EPOCH:
        return now->epoch;
    case SIM_COUNT_APPLIED:
        return now->applied;
    case SIM_COUNT_BASE:
        return now->window_base;
    case SIM_COUNT_FAST:
        return now->decided_fast;
    case SIM_COUNT_SLOW:
        return now->decided_slow;
    case SIM_COUNT_SEALS:
        return now->seals;
    case SIM_COUNT_NEW_VIEWS:
        return now->newviews;
    case SIM_COUNT_CHECKPOINTS:
        return now->checkpoints_taken;
    case SIM_COUNT_TRANSFERS:
        return now->state_transfers;
    case SIM_COUNT_GAPS:
        return now->gaps;
    case SIM_COUNT_ADOPTED:
        return now->summaries_adopted;
    case SIM_COUNT_BAD_SIGNATURES:
        return now->signatures_bad;
    case SIM_COUNT_MALFORMED:
        return now->malformed + now->unexpected;
    case SIM_COUNT_LACKS:
        return now->lacks;
    case SIM_COUNT_OBLIGATIONS:
        return now->obligations;
    case SIM_COUNT_DUPLICATES:
        return now->requests_duplicate;
    case SIM_COUNT_REPLACED:
        return now->replaced;
    case SIM_COUNT_FETCHED:
        return now->bodies_fetched;
    default:
        return 0;
    }
}

static bool is_state(enum sim_script_counter counter)
{
    return counter <= SIM_COUNT_BASE || counter == SIM_COUNT_REPLACED;
}

static uint64_t of_clients(const struct sim_cluster *cluster, enum sim_script_counter counter)
{
    size_t count;
    const struct checker_op *ops = checker_ops(cluster->checker, &count);
    uint64_t acknowledged = 0;
    uint64_t longest_ns = 0;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].return_ns != CHECKER_NEVER) {
            uint64_t wait_ns = ops[i].return_ns - ops[i].call_ns;
            acknowledged++;
            longest_ns = wait_ns > longest_ns ? wait_ns : longest_ns;
        }
    }
    return counter == SIM_COUNT_ACKNOWLEDGED ? acknowledged : longest_ns / 1000;
}

// Lowest and highest at a correct replica, or for what is added up the sum, twice.
static void count(struct sim_cluster *cluster, enum sim_script_counter counter, uint64_t *low,
                  uint64_t *high)
{
    if (counter >= SIM_COUNT_ACKNOWLEDGED) {
        *low = *high = of_clients(cluster, counter);
        return;
    }
    uint64_t sum = 0;
    *low = UINT64_MAX;
    *high = 0;
    for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
        if (is_counted(cluster, r)) {
            struct tacit_status_report now;
            tacit_smr_status(cluster->process[r].smr, &now);
            uint64_t value = value_of(&now, counter);
            sum += value;
            *low = value < *low ? value : *low;
            *high = value > *high ? value : *high;
        }
    }
    if (!is_state(counter)) {
        *low = *high = sum;
    }
}

// ---- actions

static uint32_t leader_of(const struct sim_cluster *cluster)
{
    uint64_t view = 0;
    for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
        if (is_counted(cluster, r)) {
            uint64_t own = cluster->process[r].smr->byzantine.agree->view;
            view = own > view ? own : view;
        }
    }
    // NOLINTNEXTLINE(clang-analyzer-core.DivideZero): at least 3
    return (uint32_t)(view % cluster->shape.smr.replicas);
}

static uint32_t slots_of(const struct sim_cluster *cluster, uint32_t set)
{
    return (set & LEADER_BIT) != 0 ? 1u << leader_of(cluster) : set;
}

// Leaves its view, as its timer might have made it do. False: it cannot yet.
static bool suspect(struct sim_cluster *cluster, uint32_t r)
{
    struct sim_process *process = &cluster->process[r];
    if (!process->node->alive || process->smr == NULL || process->paused) {
        return false;
    }
    struct tacit_agree *agree = process->smr->byzantine.agree;
    uint64_t view = agree->view;
    tacit_agree_suspect(agree);
    sim_poll_at(cluster, r, cluster->net->now_ns);
    return agree->view > view;
}

static bool act_on(struct sim_cluster *cluster, const struct sim_script_event *event, uint32_t slot)
{
    struct sim_process *process = &cluster->process[slot];
    switch (event->action) {
    case SIM_DO_CRASH:
        return sim_faults_crash(cluster, slot);
    case SIM_DO_RESTART:
        if (process->node->alive || process->frozen) {
            return false;
        }
        sim_process_restart(cluster, slot);
        return true;
    case SIM_DO_PAUSE:
    case SIM_DO_FREEZE:
        if (!process->node->alive || process->paused) {
            return false;
        }
        if (event->action == SIM_DO_FREEZE && !sim_faults_may_lose(cluster, slot)) {
            return false;
        }
        cluster->net->fault[SIM_FAULT_PAUSE]++;
        sim_process_pause(cluster, slot, true);
        process->frozen = event->action == SIM_DO_FREEZE;
        if (event->span_ns != 0) {
            sim_cluster_after(cluster, event->span_ns,
                              (struct sim_timer){.kind = SIM_TIMER_RESUME, .a = (uint8_t)slot});
        }
        return true;
    case SIM_DO_RESUME:
        if (!process->paused || process->frozen) {
            return false;
        }
        sim_process_pause(cluster, slot, false);
        return true;
    case SIM_DO_SUSPECT:
        return suspect(cluster, slot);
    default:
        return sim_script_step(cluster, slot, (enum sim_step)event->which);
    }
}

static bool act_between(struct sim_cluster *cluster, const struct sim_script_event *event)
{
    uint32_t left = slots_of(cluster, event->set[0]);
    uint32_t right = slots_of(cluster, event->set[1]);
    bool any = false;
    for (uint32_t pair = 0; pair < cluster->processes * cluster->processes; pair++) {
        uint32_t a = pair / cluster->processes;
        uint32_t b = pair % cluster->processes;
        if ((left >> a & 1) == 0 || (right >> b & 1) == 0 || a == b) {
            continue;
        }
        any = true;
        if (event->action == SIM_DO_BREAK) {
            sim_net_break(cluster->net, a, b);
            continue;
        }
        sim_faults_cut(cluster, a, b, event->span_ns);
        if (!event->one_way) {
            sim_faults_cut(cluster, b, a, event->span_ns);
        }
    }
    return any;
}

static void split(struct sim_cluster *cluster, const struct sim_script_event *event)
{
    for (uint32_t i = 0; i < SIM_SCRIPT_GROUPS; i++) {
        for (uint32_t j = 0; j < SIM_SCRIPT_GROUPS; j++) {
            struct sim_script_event cut = {
                .action = SIM_DO_CUT, .one_way = true, .set = {event->set[i], event->set[j]}};
            if (i != j) {
                (void)act_between(cluster, &cut);
            }
        }
    }
}

static bool attack(struct sim_cluster *cluster, const struct sim_script_event *event)
{
    struct adversary *adversary = &cluster->byz.adversary;
    uint32_t to = slots_of(cluster, event->set[0]);
    cluster->byz.rate[event->which] = event->value;
    adversary->how[event->which] = (struct adversary_how){
        .style = (uint8_t)event->style, .only = (uint8_t)event->only, .to = to};
    uint32_t victims = to != 0 ? to : (1u << cluster->shape.smr.replicas) - 1;
    for (uint32_t r = 0; r < ADVERSARY_REPLICAS; r++) {
        if (event->which == ADVERSARY_SILENCE) {
            adversary->actor[r].silent_to = victims;
            adversary->actor[r].silent_kind = (uint8_t)(event->style > 0 ? event->style - 1 : 0);
        } else if (event->which == ADVERSARY_NO_VOTE) {
            adversary->actor[r].no_votes = victims;
        }
    }
    return true;
}

static void obey(struct sim_cluster *cluster)
{
    struct sim_play *play = cluster->play;
    memset(cluster->byz.rate, 0, sizeof cluster->byz.rate);
    memset(play->active, 0, sizeof play->active);
}

static void remember(struct sim_cluster *cluster)
{
    for (uint32_t i = 0; i < SIM_COUNTERS; i++) {
        uint64_t low;
        count(cluster, (enum sim_script_counter)i, &low, &cluster->play->remembered[i]);
    }
}

// True if it happened, all of it.
static bool act(struct sim_cluster *cluster, uint32_t i)
{
    struct sim_play *play = cluster->play;
    const struct sim_script_event *event = &play->script->event[i];
    switch (event->action) {
    case SIM_DO_ATTACK:
        return attack(cluster, event);
    case SIM_DO_HOLD:
        play->active[i] = true;
        return true;
    case SIM_DO_CUT:
    case SIM_DO_BREAK:
        return act_between(cluster, event);
    case SIM_DO_MEND:
        sim_faults_mend(cluster);
        return true;
    case SIM_DO_SPLIT:
        split(cluster, event);
        return true;
    case SIM_DO_OBEY:
        obey(cluster);
        return true;
    case SIM_DO_REMEMBER:
        remember(cluster);
        return true;
    default:
        break;
    }
    if (event->action == SIM_DO_STEP && event->which >= SIM_STEP_STANDING) {
        play->active[i] = true;
        return true;
    }
    uint32_t set = !play->did[i] ? slots_of(cluster, event->set[0]) : play->left[i];
    play->left[i] = set;
    play->did[i] = true;
    for (uint32_t slot = 0; slot < cluster->processes; slot++) {
        if ((set >> slot & 1) != 0 && act_on(cluster, event, slot)) {
            play->left[i] &= ~(1u << slot);
        }
    }
    return play->left[i] == 0;
}

static void try_event(struct sim_cluster *cluster, uint32_t i)
{
    struct sim_play *play = cluster->play;
    if (!play->happened[i] && act(cluster, i)) {
        play->happened[i] = true;
        play->waiting--;
        sim_say(cluster, "scenario: line %u happened", play->script->event[i].line);
    }
}

void sim_script_timer(struct sim_cluster *cluster, const struct sim_timer *timer)
{
    struct sim_play *play = cluster->play;
    if (play != NULL && !cluster->healing) {
        play->due[timer->a] = true;
        try_event(cluster, timer->a);
    }
}

static bool holds(struct sim_cluster *cluster, const struct sim_script_event *event)
{
    const struct sim_play *play = cluster->play;
    uint64_t low;
    uint64_t high = 0;
    switch (event->condition) {
    case SIM_WHEN_MARK:
        return play->marks[event->condition_which] >= event->condition_value;
    case SIM_WHEN_LINE: {
        const struct sim_script_event *other = &play->script->event[event->condition_which];
        bool acts_later = other->action == SIM_DO_HOLD ||
                          (other->action == SIM_DO_STEP && other->which >= SIM_STEP_STANDING);
        return acts_later ? play->hits[event->condition_which] > 0
                          : play->happened[event->condition_which];
    }
    case SIM_WHEN_COUNTER:
        count(cluster, (enum sim_script_counter)event->condition_which, &low, &high);
        return high >= event->condition_value;
    default:
        return false;
    }
}

void sim_script_look(struct sim_cluster *cluster)
{
    struct sim_play *play = cluster->play;
    if (cluster->healing || play->waiting == 0) {
        return;
    }
    for (uint32_t i = 0; i < play->script->events; i++) {
        if (play->happened[i]) {
            continue;
        }
        if (play->due[i]) {
            try_event(cluster, i); // it was not possible before
        } else if (!play->armed[i] && holds(cluster, &play->script->event[i])) {
            play->armed[i] = true;
            if (play->script->event[i].after_ns == 0) {
                play->due[i] = true;
                try_event(cluster, i);
            } else {
                sim_cluster_after(cluster, play->script->event[i].after_ns,
                                  (struct sim_timer){.kind = SIM_TIMER_SCRIPT, .a = (uint8_t)i});
            }
        }
    }
}

// ---- the verdict

static bool compare(enum sim_script_compare compare, uint64_t low, uint64_t high, uint64_t value)
{
    switch (compare) {
    case SIM_AT_LEAST:
        return low >= value;
    case SIM_AT_MOST:
        return high <= value;
    default:
        return low == value && high == value;
    }
}

static void judge_one(struct sim_cluster *cluster, const struct sim_script_expect *expect)
{
    static const char *const signs[] = {">=", "<=", "=="};
    const struct sim_play *play = cluster->play;
    uint64_t low = 0;
    uint64_t high = 0;
    const char *what = "mark";
    switch (expect->kind) {
    case SIM_EXPECT_MARK:
        low = high = play->marks[expect->which];
        break;
    case SIM_EXPECT_COUNTER:
    case SIM_EXPECT_GREW:
        what = sim_counter_name((enum sim_script_counter)expect->which);
        count(cluster, (enum sim_script_counter)expect->which, &low, &high);
        if (expect->kind == SIM_EXPECT_GREW) {
            high -= play->remembered[expect->which];
            low = high;
        }
        break;
    case SIM_EXPECT_VERDICT:
    case SIM_EXPECT_NO_VERDICT:
        what = expect->kind == SIM_EXPECT_VERDICT ? "verdict" : "no-verdict";
        for (uint32_t r = 0; r < cluster->shape.smr.replicas; r++) {
            uint32_t condemned = cluster->process[r].status.condemned;
            bool counts = expect->kind == SIM_EXPECT_VERDICT
                              ? (condemned & expect->set) == expect->set
                              : condemned != 0;
            low += is_counted(cluster, r) && counts;
        }
        high = low;
        break;
    default:
        return;
    }
    enum sim_script_compare sign =
        expect->kind == SIM_EXPECT_NO_VERDICT ? SIM_EQUAL : expect->compare;
    if (!compare(sign, low, high, expect->value)) {
        checker_group_fail(cluster->checker, "line %u: expected %s %s %llu, but it is %llu to %llu",
                           expect->line, what, signs[sign], (unsigned long long)expect->value,
                           (unsigned long long)low, (unsigned long long)high);
    }
}

void sim_script_judge(struct sim_cluster *cluster)
{
    const struct sim_play *play = cluster->play;
    for (uint32_t i = 0; i < play->script->events; i++) {
        const struct sim_script_event *event = &play->script->event[i];
        bool acts_later = event->action == SIM_DO_HOLD ||
                          (event->action == SIM_DO_STEP && event->which >= SIM_STEP_STANDING);
        bool is_idle = (event->action == SIM_DO_ATTACK && event->value != 0 &&
                        cluster->byz.adversary.done[event->which] == 0) ||
                       (acts_later && play->hits[i] == 0);
        if (!play->happened[i] || is_idle) {
            checker_group_fail(cluster->checker, "line %u: what it says %s", event->line,
                               play->happened[i] ? "never had any effect" : "did not happen");
        }
    }
    for (uint32_t i = 0; i < play->script->expects; i++) {
        judge_one(cluster, &play->script->expect[i]);
    }
}

bool sim_script_expects_violation(const struct sim_script *script)
{
    for (uint32_t i = 0; i < script->expects; i++) {
        if (script->expect[i].kind == SIM_EXPECT_VIOLATION) {
            return true;
        }
    }
    return false;
}
