// SPDX-License-Identifier: Apache-2.0
//
// Processes of a simulated cluster: memory, clocks, polling, death and pauses.
#include "sim_cluster.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mark.h"
#include "sim_app.h"
#include "sim_script.h"
#include "sim_twins.h"

#define OP_BYTES 16384u
#define NET_MEMORY_BYTES (256u << 20)
#define EVENTS_MAX 2000000u // of a run; beyond that something spins

_Static_assert(TACIT_MARKS <= SIM_MARKS_MAX, "marks");

struct sim_cluster *sim_cluster_open(void)
{
    struct sim_cluster *cluster = calloc(1, sizeof *cluster);
    if (cluster == NULL) {
        return NULL;
    }
    cluster->net = sim_net_open(
        &(struct sim_net_limits){.op_bytes = OP_BYTES, .memory_bytes = NET_MEMORY_BYTES});
    cluster->heap = malloc(sizeof *cluster->heap);
    cluster->checker = checker_group_open();
    if (cluster->net == NULL || cluster->heap == NULL || cluster->checker == NULL) {
        sim_cluster_close(cluster);
        return NULL;
    }
    return cluster;
}

void sim_cluster_close(struct sim_cluster *cluster)
{
    if (cluster == NULL) {
        return;
    }
    sim_net_close(cluster->net);
    free(cluster->heap);
    checker_group_close(cluster->checker);
    for (uint32_t i = 0; i < SIM_SLOTS; i++) {
        free(cluster->process[i].memory);
        free(cluster->process[i].fd_memory);
        free(cluster->process[i].signer);
    }
    free(cluster);
}

void sim_say(struct sim_cluster *cluster, const char *format, ...)
{
    if (!cluster->verbose) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%10.3f us  ", (double)cluster->net->now_ns / 1000.0);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

const char *sim_cluster_violation(struct sim_cluster *cluster)
{
    if (cluster->net->violation != NULL) {
        checker_group_fail(cluster->checker, "node %u misuses the fabric: %s",
                           cluster->net->violator, cluster->net->violation);
    }
    return checker_group_violation(cluster->checker);
}

// ---- memory and clocks
// -------------------------------------------------------------------------------

void sim_process_memory(struct sim_process *process, size_t bytes)
{
    if (process->memory_bytes >= bytes) {
        return;
    }
    free(process->memory);
    process->memory_bytes = (bytes + 4095) / 4096 * 4096;
    process->memory = aligned_alloc(4096, process->memory_bytes);
    assert(process->memory != NULL);
    // Whatever does not initialise its memory shall not find zeros.
    memset(process->memory, 0xa5, process->memory_bytes);
}

// Monotone, and exact both ways: a clock that steps back is nobody's, and a deadline that is met
// too early is polled for again and again.
static uint64_t scaled(uint64_t value, uint64_t by, uint64_t of)
{
    return value / of * by + value % of * by / of;
}

uint64_t sim_local_ns(const struct sim_cluster *cluster, const struct sim_process *process)
{
    uint64_t rate = (uint64_t)(1000000 + process->clock_ppm);
    return process->clock_offset_ns + scaled(cluster->net->now_ns, rate, 1000000);
}

static uint64_t world_ns(const struct sim_process *process, uint64_t local_ns)
{
    if (local_ns <= process->clock_offset_ns) {
        return 0;
    }
    uint64_t passed = local_ns - process->clock_offset_ns;
    if (passed > 1ull << 50) {
        return UINT64_MAX;
    }
    return scaled(passed, 1000000, (uint64_t)(1000000 + process->clock_ppm)) + 1;
}

// ---- observers
// ---------------------------------------------------------------------------------------

struct probe_context {
    struct sim_cluster *cluster;
    uint32_t slot;
};
static struct probe_context probe_contexts[SIM_SLOTS];

static void on_decided(void *context, tacit_index_t index, const void *batch, size_t bytes)
{
    const struct probe_context *probe = context;
    struct sim_process *process = &probe->cluster->process[probe->slot];
    if (sim_is_faulty(probe->cluster, probe->slot)) {
        return;
    }
    if (index != process->executing) {
        struct tacit_status_report report;
        tacit_smr_status(process->smr, &report);
        if (report.state_transfers > process->transfers) {
            process->transfers = report.state_transfers;
            checker_replica_jumped(probe->cluster->checker, process->id);
        }
    }
    process->executing = index + 1;
    checker_decided(probe->cluster->checker, process->id, index, batch, bytes);
}

static void on_executed(void *context, tacit_index_t index, uint32_t client, uint64_t session,
                        uint64_t number, const void *reply, size_t reply_bytes)
{
    const struct probe_context *probe = context;
    if (sim_is_faulty(probe->cluster, probe->slot)) {
        return;
    }
    checker_executed(probe->cluster->checker, probe->cluster->process[probe->slot].id, index,
                     client, session, number, reply, reply_bytes);
}

static void on_mark(void *context, uint32_t mark)
{
    const struct probe_context *probe = context;
    if (mark < SIM_MARKS_MAX) {
        probe->cluster->marks[mark]++;
    }
    if (probe->cluster->play != NULL) {
        sim_script_mark(probe->cluster, probe->slot, mark);
    }
}

static uint32_t draw(void *context, uint32_t bound)
{
    return choice_u32(context, bound);
}

// ---- life
// --------------------------------------------------------------------------------------------

static void start_detector(struct sim_cluster *cluster, struct sim_process *process)
{
    const struct tacit_smr_config *smr = &cluster->shape.smr;
    struct tacit_fabric *fabric = &process->node->fabric;
    size_t bytes = tacit_fd_size();
    if (process->fd_memory == NULL) {
        process->fd_memory = aligned_alloc(64, bytes);
        assert(process->fd_memory != NULL);
    }
    fabric->ops->attach(fabric, process->fd_memory, bytes);
    struct tacit_fd *fd;
    tacit_fd_init(&fd, process->fd_memory,
                  &(struct tacit_fd_config){
                      .replicas = smr->replicas,
                      .self = process->node->node,
                      .beat_period_ns = smr->beat_period_ns,
                      .period_max_ns = 10 * smr->beat_period_ns,
                      .read_timeout_ns = 20 * smr->beat_period_ns,
                      .grace_ns = 20 * smr->beat_period_ns,
                  },
                  fabric, sim_local_ns(cluster, process));
    process->detector = tacit_fd_detector(fd);
    tacit_smr_detector(process->smr, &process->detector);
}

static void signer_wakes(void *context, uint64_t at_ns)
{
    const struct probe_context *probe = context;
    sim_poll_at(probe->cluster, probe->slot, at_ns);
}

struct tacit_signer *sim_process_signer(struct sim_cluster *cluster, struct sim_process *process)
{
    uint32_t slot = process->node->slot;
    if (process->signer == NULL) {
        process->signer = malloc(sizeof *process->signer);
        assert(process->signer != NULL);
    }
    probe_contexts[slot] = (struct probe_context){.cluster = cluster, .slot = slot};
    uint32_t author = process->role == SIM_CLIENT
                          ? TACIT_SIGNER_CLIENT + process->id
                          : tacit_signer_author((tacit_node_t)process->id, process->incarnation);
    sim_signer_open(process->signer, &cluster->signers,
                    &(struct sim_signer_config){.self = (uint16_t)author,
                                                .workers = 1,
                                                .depth = SIM_SIGNER_DEPTH,
                                                .sign_ns = cluster->shape.sign_ns,
                                                .verify_ns = cluster->shape.verify_ns,
                                                .jitter_ns = cluster->shape.sign_ns,
                                                .choice = cluster->choice,
                                                .wake = signer_wakes,
                                                .context = &probe_contexts[slot]});
    sim_signer_advance(process->signer, cluster->net->now_ns);
    return &process->signer->signer;
}

// The clock as it is in the middle of a turn, which may have begun long before.
static tacit_time_ns_t clock_of(void *context)
{
    const struct probe_context *probe = context;
    return sim_local_ns(probe->cluster, &probe->cluster->process[probe->slot]);
}

static void start_replica(struct sim_cluster *cluster, struct sim_process *process)
{
    struct tacit_smr_config config = cluster->shape.smr;
    config.self = process->node->node;
    config.incarnation = process->incarnation;
    config.first_member = process->incarnation == 1;
    config.draw = draw;
    config.draw_context = cluster->choice;
    config.app_options = "";
    if (sim_is_byzantine(&cluster->shape)) {
        config.byzantine.signer = sim_process_signer(cluster, process);
    }
    uint32_t slot = process->node->slot;
    probe_contexts[slot] = (struct probe_context){.cluster = cluster, .slot = slot};
    sim_process_memory(process, tacit_smr_size(&config));
    config.clock = clock_of;
    config.clock_context = &probe_contexts[slot];
    process->view = (struct tacit_view_words){0};
    config.view_words = &process->view;
    memset(cluster->spares.words[slot], 0, sizeof cluster->spares.words[slot]);
    config.seat_words = cluster->spares.words[slot];
    config.order_holds = sim_spares_order_holds;
    config.order_context = cluster;
    process->probe = (struct tacit_smr_probe){.context = &probe_contexts[slot],
                                              .decided = on_decided,
                                              .executed = on_executed,
                                              .mark = on_mark};
    struct tacit_error error = {0};
    process->executing = 0;
    process->transfers = 0;
    memset(&process->status, 0, sizeof process->status);
    checker_replica_started(cluster->checker, process->id);
    if (tacit_smr_init(&process->smr, process->memory, &config, &process->node->fabric, &sim_app,
                       &process->probe, sim_local_ns(cluster, process), &error) != TACIT_OK) {
        checker_group_fail(cluster->checker, "replica %u does not start: %s", process->id,
                           error.text);
    }
    if (cluster->shape.real_detector) {
        start_detector(cluster, process);
    } else {
        sim_detector_start(cluster, slot);
    }
}

static void start_process(struct sim_cluster *cluster, struct sim_process *process)
{
    process->paused = process->frozen = false;
    process->poll_ns = UINT64_MAX;
    process->starts++;
    if (process->role == SIM_REPLICA) {
        start_replica(cluster, process);
    } else if (process->role == SIM_MEMNODE && sim_is_byzantine(&cluster->shape)) {
        process->replicas_up = 0; // passive: registers, nothing else
    } else if (process->role == SIM_MEMNODE) {
        process->replicas_up = 0;
        tacit_grants_init(
            &process->grants,
            &(struct tacit_grants_config){.replicas = cluster->shape.smr.replicas,
                                          .suspicion_ns = cluster->shape.smr.suspicion_ns},
            &process->node->fabric);
    } else {
        sim_client_start(cluster, process);
    }
    sim_poll_at(cluster, process->node->slot, cluster->net->now_ns);
}

void sim_process_crash(struct sim_cluster *cluster, uint32_t slot)
{
    struct sim_process *process = &cluster->process[slot];
    sim_say(cluster, "node %u crashes (incarnation %u)", process->node->node, process->incarnation);
    if (process->role == SIM_REPLICA) {
        tacit_smr_fini(process->smr);
        process->smr = NULL;
    }
    process->client = NULL;
    process->poll_ns = UINT64_MAX;
    sim_net_crash(cluster->net, slot);
    sim_detector_changed(cluster, slot);
    // Nothing of a dead process may be used by the living.
    if (process->memory != NULL) {
        memset(process->memory, 0x5a, process->memory_bytes);
    }
}

void sim_process_restart(struct sim_cluster *cluster, uint32_t slot)
{
    sim_process_restart_as(cluster, slot, cluster->process[slot].incarnation + 1);
}

void sim_process_restart_as(struct sim_cluster *cluster, uint32_t slot,
                            tacit_incarnation_t incarnation)
{
    struct sim_process *process = &cluster->process[slot];
    process->incarnation = incarnation;
    cluster->net->fault[SIM_FAULT_RESTART]++;
    sim_say(cluster, "node %u restarts as incarnation %u (generation %u, body %u)",
            process->node->node, tacit_incarnation_start(incarnation),
            tacit_incarnation_generation(incarnation), tacit_incarnation_body(incarnation));
    sim_net_restart(cluster->net, slot, process->incarnation);
    start_process(cluster, process);
    sim_detector_changed(cluster, slot);
}

void sim_process_pause(struct sim_cluster *cluster, uint32_t slot, bool paused)
{
    struct sim_process *process = &cluster->process[slot];
    if (process->paused == paused) {
        return;
    }
    sim_say(cluster, "node %u %s", process->node->node, paused ? "pauses" : "goes on");
    process->paused = paused;
    process->stood_ns = paused ? sim_local_ns(cluster, process) : process->stood_ns;
    sim_detector_changed(cluster, slot);
    if (!paused) {
        sim_poll_at(cluster, slot, cluster->net->now_ns);
    }
}

// ---- polling
// -----------------------------------------------------------------------------------------

// Makes sure that a timer fires at `time_ns` or before. One that is in the queue already serves as
// well: it finds that it is early and calls this again. So deadlines that move do not fill the
// queue.
static void poll_timer_need(struct sim_cluster *cluster, uint32_t slot, uint64_t time_ns)
{
    struct sim_process *process = &cluster->process[slot];
    for (uint32_t i = 0; i < process->timers; i++) {
        if (process->timer_ns[i] <= time_ns) {
            return;
        }
    }
    if (process->timers < SIM_POLL_TIMERS) {
        process->timer_ns[process->timers++] = time_ns;
    }
    sim_heap_push(
        cluster->heap,
        (struct sim_timer){.time_ns = time_ns, .kind = SIM_TIMER_POLL, .a = (uint8_t)slot});
}

void sim_poll_at(struct sim_cluster *cluster, uint32_t slot, uint64_t time_ns)
{
    struct sim_process *process = &cluster->process[slot];
    // Who was paused may hear of things that were due long ago.
    time_ns = time_ns > cluster->net->now_ns ? time_ns : cluster->net->now_ns;
    if (time_ns != UINT64_MAX && process->poll_ns > time_ns) {
        process->poll_ns = time_ns;
        poll_timer_need(cluster, slot, time_ns);
    }
}

static void wake(void *context, uint32_t slot, uint64_t delay_ns)
{
    struct sim_cluster *cluster = context;
    const struct sim_shape *shape = &cluster->shape;
    // Never at once: what a turn does to its own memory would answer in the same instant for ever.
    delay_ns += 50 + choice_u32(cluster->choice, shape->poll_ns + 1);
    if (choice_chance(cluster->choice, shape->starve_rate)) {
        delay_ns += choice_spread_ns(cluster->choice, shape->starve_ns);
    }
    sim_poll_at(cluster, slot, cluster->net->now_ns + delay_ns);
}

static void landed(void *context, uint32_t peer, uint32_t host, bool whole)
{
    struct sim_cluster *cluster = context;
    const struct sim_shape *shape = &cluster->shape;
    if (whole ? shape->spin : choice_chance(cluster->choice, shape->look_rate)) {
        sim_poll_at(cluster, host, cluster->net->now_ns + (whole ? shape->poll_ns / 4 : 0));
    }
    // The moments that matter are those in which something is half done.
    if (!cluster->healing && choice_chance(cluster->choice, shape->strike_rate)) {
        sim_cluster_after(
            cluster, choice_u32(cluster->choice, 2) * shape->poll_ns,
            (struct sim_timer){.kind = SIM_TIMER_STRIKE, .a = (uint8_t)peer, .b = (uint8_t)host});
    }
}

static void changed(void *context, uint32_t peer, uint32_t host)
{
    sim_detector_pair_changed(context, peer, host);
}

static void watch_replica(struct sim_cluster *cluster, struct sim_process *process)
{
    const struct tacit_status_report was = process->status;
    struct tacit_status_report *now = &process->status;
    tacit_smr_status(process->smr, now);
    if (sim_is_faulty(cluster, process->node->slot)) {
        return;
    }
    if ((now->condemned & ~cluster->byz.faulty) != 0) {
        checker_group_fail(cluster->checker, "replica %u condemned a correct one (%x)", process->id,
                           now->condemned);
    }
    sim_spares_look(cluster, process->node->slot);
    checker_monotone(cluster->checker, process->id,
                     (struct checker_marks){
                         .commit = now->commit, .applied = now->applied, .ballot = now->ballot});
    if (cluster->shape.hash_states && now->applied != was.applied) {
        checker_state(cluster->checker, process->id, now->applied,
                      tacit_smr_state_hash(process->smr));
    }
    if (now->role != was.role) {
        sim_say(cluster, "replica %u: %s -> %s (commit %llu, applied %llu)", process->id,
                tacit_role_name(was.role), tacit_role_name(now->role),
                (unsigned long long)now->commit, (unsigned long long)now->applied);
    }
    if (cluster->shape.check_each_poll) {
        const char *broken = tacit_smr_check(process->smr);
        if (broken != NULL) {
            checker_group_fail(cluster->checker, "replica %u: broken invariant: %s", process->id,
                               broken);
        }
    }
}

static bool poll_memnode(struct sim_cluster *cluster, struct sim_process *process, uint64_t now_ns)
{
    struct tacit_fabric *fabric = &process->node->fabric;
    struct tacit_event events[16];
    size_t count = fabric->ops->poll(fabric, events, 16);
    for (size_t i = 0; i < count; i++) {
        uint32_t bit = events[i].node < cluster->shape.smr.replicas ? 1u << events[i].node : 0;
        if (events[i].kind == TACIT_EVENT_UP) {
            process->replicas_up |= bit;
        } else if (events[i].kind == TACIT_EVENT_DOWN) {
            process->replicas_up &= ~bit;
        }
        if (!sim_is_byzantine(&cluster->shape)) {
            tacit_grants_event(&process->grants, &events[i], now_ns);
        }
    }
    if (sim_is_byzantine(&cluster->shape)) {
        return count > 0;
    }
    return tacit_grants_poll(&process->grants, process->replicas_up, NULL, now_ns) || count > 0;
}

// Never two at one instant. Of those that stand still, too: they may go on any time.
static void check_leases(struct sim_cluster *cluster)
{
    uint32_t holders = 0;
    for (uint32_t i = 0; i < cluster->shape.smr.replicas; i++) {
        const struct sim_process *process = &cluster->process[i];
        holders += process->node->alive && process->smr != NULL &&
                   tacit_view_holds(&process->view, sim_local_ns(cluster, process));
    }
    if (holders > 1) {
        checker_group_fail(cluster->checker, "%u replicas hold a lease at one instant", holders);
    }
}

static void poll_replica(struct sim_cluster *cluster, struct sim_process *process, uint64_t now_ns,
                         bool *busy, uint64_t *deadline_ns)
{
    uint32_t slot = process->node->slot;
    if (process->suspicion_changed) {
        process->suspicion_changed = false;
        tacit_smr_suspicion(process->smr, process->trusted, process->dead, now_ns);
    }
    *busy = tacit_smr_poll(process->smr, now_ns);
    if (tacit_view_holds(&process->view, now_ns)) {
        check_leases(cluster);
    }
    if (!sim_is_faulty(cluster, slot)) {
        checker_settled(cluster->checker, process->id);
        sim_broadcasts_look(cluster, slot);
    }
    // In most runs only every fourth turn is looked at: looking costs more than a turn.
    if (cluster->shape.check_each_poll || process->polls % 4 == 0) {
        watch_replica(cluster, process);
    }
    *deadline_ns = tacit_smr_deadline(process->smr);
}

void sim_process_escaped(struct sim_cluster *cluster, uint32_t slot)
{
    sim_say(cluster, "replica %u fails an assertion of its own", slot);
    cluster->byz.may_escape = false;
    sim_process_pause(cluster, slot, true);
    cluster->process[slot].frozen = true;
}

// False: it has failed an assertion. A function of its own, so that a jump back into it meets no
// variable that has changed.
static bool turn_of_replica(struct sim_cluster *cluster, struct sim_process *process,
                            uint64_t now_ns, bool *busy, uint64_t *deadline_ns)
{
    uint32_t slot = process->node->slot;
    cluster->byz.may_escape = sim_is_faulty(cluster, slot);
    if (cluster->byz.may_escape && setjmp(cluster->byz.escape) != 0) {
        sim_process_escaped(cluster, slot);
        return false;
    }
    if (cluster->byz.may_escape && cluster->play != NULL) {
        sim_script_before_turn(cluster, slot);
    }
    poll_replica(cluster, process, now_ns, busy, deadline_ns);
    cluster->byz.may_escape = false;
    sim_plot_polled(cluster, slot);
    return true;
}

static void poll_process(struct sim_cluster *cluster, struct sim_process *process)
{
    uint64_t now_ns = sim_local_ns(cluster, process);
    if (process->stood_ns != 0 && choice_chance(cluster->choice, cluster->shape.old_time_rate)) {
        now_ns = process->stood_ns; // it stood still just after it had looked at its clock
    }
    process->stood_ns = 0;
    uint32_t slot = process->node->slot;
    uint64_t deadline_ns = UINT64_MAX;
    bool busy = false;
    if (process->role != SIM_MEMNODE && sim_is_byzantine(&cluster->shape)) {
        sim_signer_advance(process->signer, cluster->net->now_ns);
    }
    if (process->role == SIM_REPLICA) {
        if (!turn_of_replica(cluster, process, now_ns, &busy, &deadline_ns)) {
            return;
        }
    } else if (process->role == SIM_MEMNODE) {
        busy = poll_memnode(cluster, process, now_ns);
        deadline_ns = sim_is_byzantine(&cluster->shape) ? UINT64_MAX
                                                        : tacit_grants_deadline(&process->grants);
    } else {
        sim_client_poll(cluster, process);
        deadline_ns = tacit_client_deadline(process->client);
        bool more = process->to_submit > 0 || process->staged != CHECKER_OPS;
        if (more && process->submit_ns > cluster->net->now_ns) {
            sim_poll_at(cluster, slot, process->submit_ns);
        }
    }
    sim_trace(cluster->net, 0x706f6c6cull << 32 ^ slot << 1 ^ busy);
    uint64_t earliest_ns = cluster->net->now_ns + 200;
    if (process->role != SIM_MEMNODE && sim_is_byzantine(&cluster->shape)) {
        // Its threads wake it when they are done, whatever it did meanwhile.
        uint64_t at_ns = sim_signer_next_ns(process->signer);
        sim_poll_at(cluster, slot, at_ns > earliest_ns ? at_ns : earliest_ns);
    }
    if (busy) {
        wake(cluster, slot, 0);
    } else if (deadline_ns != UINT64_MAX) {
        uint64_t at_ns = world_ns(process, deadline_ns);
        sim_poll_at(cluster, slot, at_ns > earliest_ns ? at_ns : earliest_ns);
    }
}

static void poll_timer(struct sim_cluster *cluster, const struct sim_timer *timer)
{
    struct sim_process *process = &cluster->process[timer->a];
    for (uint32_t i = 0; i < process->timers; i++) {
        if (process->timer_ns[i] == timer->time_ns) {
            process->timer_ns[i] = process->timer_ns[--process->timers];
            break;
        }
    }
    if (process->poll_ns > cluster->net->now_ns) {
        if (process->poll_ns != UINT64_MAX) {
            poll_timer_need(cluster, timer->a, process->poll_ns);
        }
        return;
    }
    process->poll_ns = UINT64_MAX;
    process->polls++;
    if (process->paused || !process->node->alive) {
        return; // going on polls
    }
    poll_process(cluster, process);
}

// Each receiver looks at each sender's area on each memory node, again and again: with 5 replicas
// and 5 memory nodes 10 events a microsecond, over the time that a slow run needs honestly.
static uint32_t events_max(const struct sim_cluster *cluster)
{
    const struct tacit_smr_config *smr = &cluster->shape.smr;
    bool on_memnodes = sim_is_byzantine(&cluster->shape) &&
                       smr->byzantine.broadcast_on == TACIT_BROADCAST_ON_MEMNODES;
    return on_memnodes ? (1u + smr->memnodes) * EVENTS_MAX : EVENTS_MAX;
}

bool sim_cluster_step(struct sim_cluster *cluster)
{
    if (cluster->heap->count == 0) {
        return false;
    }
    struct sim_timer timer = sim_heap_pop(cluster->heap);
    assert(timer.time_ns >= cluster->net->now_ns);
    cluster->net->now_ns = timer.time_ns;
    if (++cluster->events > events_max(cluster)) {
        checker_group_fail(cluster->checker, "the run does not end: %u events", cluster->events);
        return false;
    }
    if (sim_net_timer(cluster->net, &timer)) {
        return true;
    }
    switch (timer.kind) {
    case SIM_TIMER_POLL:
        poll_timer(cluster, &timer);
        break;
    case SIM_TIMER_DETECT:
    case SIM_TIMER_TRUST:
        sim_detector_timer(cluster, &timer);
        break;
    case SIM_TIMER_BYZANTINE:
        sim_byz_timer(cluster, &timer);
        break;
    case SIM_TIMER_PLOT:
        sim_plot_timer(cluster);
        break;
    case SIM_TIMER_SCRIPT:
        sim_script_timer(cluster, &timer);
        break;
    case SIM_TIMER_SPARES:
        sim_spares_timer(cluster);
        break;
    case SIM_TIMER_TWINS:
        sim_twins_round(cluster, timer.a);
        break;
    default:
        sim_faults_timer(cluster, &timer);
        break;
    }
    if (cluster->play != NULL) {
        sim_script_look(cluster);
    }
    return true;
}

// ---- building
// ----------------------------------------------------------------------------------------

static void add_process(struct sim_cluster *cluster, enum sim_role role, uint32_t id,
                        struct tacit_host_layout layout)
{
    static const tacit_node_t base[] = {
        [SIM_REPLICA] = 0, [SIM_MEMNODE] = TACIT_NODE_MEMNODE, [SIM_CLIENT] = TACIT_NODE_CLIENT};
    struct sim_process *process = &cluster->process[cluster->processes++];
    void *memory = process->memory;
    size_t memory_bytes = process->memory_bytes;
    void *fd_memory = process->fd_memory;
    struct sim_signer *signer = process->signer;
    memset(process, 0, sizeof *process);
    process->signer = signer;
    process->memory = memory;
    process->memory_bytes = memory_bytes;
    process->fd_memory = fd_memory;
    process->role = role;
    process->id = id;
    process->incarnation = 1;
    process->poll_ns = UINT64_MAX;
    process->clock_offset_ns = 1000000000ull + choice_spread_ns(cluster->choice, 1ull << 40);
    int64_t drift = (int64_t)cluster->shape.drift_ppm;
    process->clock_ppm =
        (int64_t)choice_u32(cluster->choice, 2 * cluster->shape.drift_ppm + 1) - drift;
    process->to_submit = role == SIM_CLIENT ? cluster->shape.operations : 0;
    process->node = sim_net_add(cluster->net, &(struct sim_node_config){
                                                  .role = role,
                                                  .node = (tacit_node_t)(base[role] + id),
                                                  .identity = id,
                                                  .incarnation = 1,
                                                  .layout = layout,
                                              });
}

static void connect_all(struct sim_cluster *cluster)
{
    for (uint32_t peer = 0; peer < cluster->processes; peer++) {
        for (uint32_t host = 0; host < cluster->processes; host++) {
            enum sim_role from = cluster->process[peer].role;
            enum sim_role to = cluster->process[host].role;
            // Memory nodes use nobody's memory, but are told which replicas are there.
            bool wanted = from == SIM_REPLICA || to == SIM_REPLICA;
            // Of twins all but the memory nodes reach one, at first the first.
            bool is_second = peer == cluster->net->twin_second || host == cluster->net->twin_second;
            wanted = wanted && (!is_second || from == SIM_MEMNODE || to == SIM_MEMNODE);
            if (wanted) {
                sim_net_connect(cluster->net, peer, host);
            }
        }
    }
}

void sim_cluster_start(struct sim_cluster *cluster, struct choice *choice,
                       const struct sim_shape *shape, const struct sim_model *model)
{
    cluster->choice = choice;
    cluster->shape = *shape;
    cluster->processes = 0;
    cluster->healing = false;
    cluster->events = 0;
    cluster->memnodes_lost = 0;
    cluster->faults_max = sim_replicas_faulty_max(&shape->smr);
    memset(cluster->wrongly, 0, sizeof cluster->wrongly);
    checker_group_reset(cluster->checker);
    sim_broadcasts_reset(cluster);
    // In crash mode only an operator signs.
    sim_signer_world_init(&cluster->signers,
                          sim_is_byzantine(shape) ? choice_u32(choice, UINT32_MAX) : 1,
                          shape->smr.replicas, shape->clients);
    cluster->signers.spares = shape->spares.replicas;
    sim_net_reset(cluster->net, choice, cluster->heap, model);
    cluster->net->wake = wake;
    cluster->net->landed = landed;
    cluster->net->changed = changed;
    cluster->net->admits = sim_spares_admits;
    cluster->net->wake_context = cluster;
    for (uint32_t i = 0; i < shape->smr.replicas; i++) {
        add_process(cluster, SIM_REPLICA, i, tacit_smr_replica_layout(&shape->smr));
    }
    for (uint32_t i = 0; i < shape->smr.memnodes; i++) {
        add_process(cluster, SIM_MEMNODE, i, tacit_smr_memnode_layout(&shape->smr));
    }
    for (uint32_t i = 0; i < shape->clients; i++) {
        add_process(cluster, SIM_CLIENT, i, tacit_smr_client_layout(&shape->smr));
    }
    if (shape->has_twin) {
        cluster->net->twin_first = sim_replica_slot(shape->twin);
        cluster->net->twin_second = cluster->processes;
        add_process(cluster, SIM_REPLICA, shape->twin, tacit_smr_replica_layout(&shape->smr));
    }
    connect_all(cluster);
    sim_byz_start(cluster);
    for (uint32_t i = 0; i < cluster->processes; i++) {
        start_process(cluster, &cluster->process[i]);
    }
    sim_faults_start(cluster);
    sim_spares_start(cluster);
}
