// SPDX-License-Identifier: Apache-2.0
//
// See sim_direct.h. A turn runs at one moment of virtual time; with direct execution what it posts
// leaves when the process' own code had taken it so far, and the next turn waits for its end. The
// clock stands still while the simulated fabric works: that is not the process' time. For it a post
// has a price.
#include "sim_direct.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "flip/flip.h"
#include "sim_fabric.h"
#include "sim_signer.h"
#include "tacit/client_core.h"
#include "tacit/wire.h"

#define START_NS 1000000000u // local clocks at time 0: never 0
#define STEP_NS 50u          // a turn that takes no time takes this
#define EVENTS_PER_TURN 64u
#define STEPS_MAX 200000u    // of the queue, without an answer
#define SETTLED_NS 50000000u // until everybody is connected and joined
#define LOG_ENTRIES 128u
#define INFLIGHT 16u
#define LARGE_PAGE 2097152u
#define CALIBRATION 20000u
#define INTERRUPTED_TICKS 2000u // between two looks in a row: the machine did something else
// No turn takes so long: the machine gave the processor to somebody else meanwhile.
#define TURN_MOST_NS 200000u

struct process {
    struct sim_node *node;
    enum sim_role role;
    uint32_t id;
    void *memory;
    struct tacit_smr *smr;
    struct tacit_client *client;
    struct sim_signer *signer;
    uint64_t next_ns;  // its next turn; UINT64_MAX: none
    uint64_t busy_ns;  // until then it is at work
    bool was_busy;     // its last turn found work
    uint64_t empty_ns; // what a turn without work takes, on average, after another such
    uint64_t card_ns;  // until then its card sends
};

struct sim_direct {
    struct sim_direct_shape shape;
    struct tacit_smr_config smr;
    struct choice choice;
    struct sim_net *net;
    struct sim_heap *heap;
    struct sim_signer_world signers;
    struct process process[SIM_SLOTS];
    uint32_t processes, leader;
    const struct tacit_fabric_ops *inner;
    struct tacit_fabric_ops outer; // stops the clock, then `inner`
    // The turn under way.
    uint64_t began, stopped, stop_began; // ticks
    bool is_charging;                    // not while the group comes together
    uint64_t posted;
    double tick_ns;
    uint64_t tick_cost; // ticks between two looks at the clock
    // The client.
    uint32_t session;
    bool is_open, is_wrong;
    uint64_t to_submit, answered;
    uint64_t submitted_ns[SIM_DIRECT_FLIGHT_MAX];
    uint64_t number[SIM_DIRECT_FLIGHT_MAX];
    uint32_t free[SIM_DIRECT_FLIGHT_MAX], free_count;
    uint64_t asked;
    uint8_t *request;
    uint64_t proposed_ns, decide_ns;
    void (*took)(void *context, uint64_t end_to_end_ns, uint64_t decide_ns);
    void *took_context;
    uint64_t turns;
};

// ---- the clock of a turn -----------------------------------------------------------------------

static uint64_t ticks(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_ia32_rdtsc();
#else
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
#endif
}

static uint64_t wall_ns(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void calibrate(struct sim_direct *direct)
{
    uint64_t start_ns = wall_ns();
    uint64_t start = ticks();
    uint64_t sum = 0;
    uint64_t count = 0;
    for (uint32_t i = 0; i < CALIBRATION || wall_ns() < start_ns + 10000000; i++) {
        uint64_t first = ticks();
        uint64_t took = ticks() - first;
        if (took < INTERRUPTED_TICKS) {
            sum += took;
            count++;
        }
    }
    direct->tick_ns = (double)(wall_ns() - start_ns) / (double)(ticks() - start);
    // The mean: some machines count ticks in steps that are longer than a look takes.
    direct->tick_cost = count > 0 ? sum / count : 0;
}

static uint64_t used_ns(const struct sim_direct *direct, uint64_t now)
{
    if (!direct->is_charging) {
        return 0;
    }
    uint64_t used = now - direct->began;
    used = used > direct->stopped ? used - direct->stopped : 0;
    uint64_t used_ns = (uint64_t)((double)used * direct->tick_ns);
    used_ns = used_ns < TURN_MOST_NS ? used_ns : TURN_MOST_NS;
    return used_ns + direct->posted * direct->shape.fabric.post_ns;
}

static struct sim_direct *stop_clock(struct tacit_fabric *fabric)
{
    struct sim_direct *direct = ((struct sim_node *)fabric)->net->wake_context;
    direct->stop_began = ticks();
    return direct;
}

static void start_clock(struct sim_direct *direct)
{
    direct->stopped += ticks() - direct->stop_began + direct->tick_cost;
}

static bool outer_post(struct tacit_fabric *fabric, const struct tacit_op *op)
{
    struct sim_direct *direct = stop_clock(fabric);
    uint32_t slot = ((struct sim_node *)fabric)->slot;
    uint32_t host = sim_net_slot(direct->net, op->host);
    direct->posted++;
    if (slot == direct->leader && host != slot && op->plane == TACIT_PLANE_DATA &&
        direct->proposed_ns == 0 && host < direct->processes &&
        direct->process[host].role != SIM_CLIENT) {
        direct->proposed_ns = direct->net->now_ns + used_ns(direct, direct->stop_began);
    }
    bool ok = direct->inner->post(fabric, op);
    start_clock(direct);
    return ok;
}

static size_t outer_poll(struct tacit_fabric *fabric, struct tacit_event *events, size_t max)
{
    struct sim_direct *direct = stop_clock(fabric);
    size_t count = direct->inner->poll(fabric, events, max);
    start_clock(direct);
    return count;
}

static void outer_ring(struct tacit_fabric *fabric, tacit_node_t host)
{
    struct sim_direct *direct = stop_clock(fabric);
    direct->inner->ring(fabric, host);
    start_clock(direct);
}

static int32_t outer_region(struct tacit_fabric *fabric, tacit_node_t host,
                            struct tacit_region_key key)
{
    struct sim_direct *direct = stop_clock(fabric);
    int32_t handle = direct->inner->region(fabric, host, key);
    start_clock(direct);
    return handle;
}

static void *outer_local(struct tacit_fabric *fabric, struct tacit_region_key key, size_t *bytes)
{
    struct sim_direct *direct = stop_clock(fabric);
    void *memory = direct->inner->local(fabric, key, bytes);
    start_clock(direct);
    return memory;
}

// One card for each process, which sends one operation after the other.
static uint64_t timing(void *context, uint32_t peer, uint32_t host, const struct tacit_op *op,
                       uint64_t *back_ns)
{
    struct sim_direct *direct = context;
    const struct sim_direct_fabric *fabric = &direct->shape.fabric;
    struct process *process = &direct->process[peer];
    uint64_t now_ns = direct->net->now_ns;
    uint64_t ready_ns = now_ns + used_ns(direct, direct->stop_began);
    uint64_t bytes_ns = (uint64_t)op->bytes * 8000u / fabric->megabits_per_s;
    if (peer == host) {
        *back_ns = 0;
        return ready_ns - now_ns;
    }
    uint64_t leaves_ns = ready_ns > process->card_ns ? ready_ns : process->card_ns;
    process->card_ns = leaves_ns + (bytes_ns > fabric->gap_ns ? bytes_ns : fabric->gap_ns);
    if (op->kind == TACIT_OP_READ) {
        *back_ns = fabric->read_ns / 2 + bytes_ns;
        return leaves_ns - now_ns + fabric->read_ns / 2;
    }
    *back_ns =
        fabric->completion_ns > fabric->write_ns ? fabric->completion_ns - fabric->write_ns : 0;
    return leaves_ns - now_ns + fabric->write_ns + bytes_ns;
}

// ---- turns -------------------------------------------------------------------------------------

static void schedule(struct sim_direct *direct, uint32_t slot, uint64_t at_ns)
{
    struct process *process = &direct->process[slot];
    at_ns = at_ns > process->busy_ns ? at_ns : process->busy_ns;
    process->next_ns = at_ns < process->next_ns ? at_ns : process->next_ns;
}

static void wake(void *context, uint32_t slot, uint64_t delay_ns)
{
    struct sim_direct *direct = context;
    uint64_t look_ns = direct->shape.fabric.look_ns;
    if (direct->shape.is_charged) {
        look_ns += direct->process[slot].empty_ns / 2;
    }
    schedule(direct, slot,
             direct->net->now_ns + delay_ns + (look_ns > STEP_NS ? look_ns : STEP_NS));
}

static void landed(void *context, uint32_t peer, uint32_t host, bool whole)
{
    (void)peer;
    if (whole) {
        wake(context, host, 0);
    }
}

static void signer_wakes(void *context, uint64_t at_ns)
{
    struct process *process = context;
    schedule(process->node->net->wake_context, process->node->slot, at_ns);
}

__attribute__((noinline)) bool sim_direct_turn_replica(struct tacit_smr *smr, uint64_t now_ns)
{
    return tacit_smr_poll(smr, now_ns);
}

__attribute__((noinline)) bool sim_direct_turn_client(struct tacit_client *client, uint64_t now_ns,
                                                      struct tacit_client_event *event)
{
    return tacit_client_poll(client, now_ns, event);
}

static void on_decided(void *context, tacit_index_t index, const void *batch, size_t bytes)
{
    struct sim_direct *direct = context;
    (void)index;
    (void)batch;
    (void)bytes;
    uint64_t now_ns = direct->net->now_ns + used_ns(direct, ticks());
    direct->decide_ns = direct->proposed_ns == 0 ? 0 : now_ns - direct->proposed_ns;
    direct->proposed_ns = 0;
}

static uint64_t local_ns(const struct sim_direct *direct)
{
    return START_NS + direct->net->now_ns;
}

static void submit(struct sim_direct *direct, struct process *process)
{
    while (direct->to_submit > 0 && direct->free_count > 0) {
        uint32_t place = direct->free[direct->free_count - 1];
        uint64_t number = direct->asked;
        memset(direct->request, (int)(number & 0xff), direct->shape.bytes);
        memcpy(direct->request, &number, sizeof number);
        uint64_t at_ns = direct->net->now_ns + used_ns(direct, ticks());
        if (tacit_client_submit(process->client, direct->session, direct->request,
                                direct->shape.bytes, place, local_ns(direct)) != TACIT_OK) {
            return;
        }
        direct->submitted_ns[place] = at_ns;
        direct->number[place] = number;
        direct->asked++;
        direct->to_submit--;
        direct->free_count--;
    }
}

static void take(struct sim_direct *direct, const struct tacit_client_event *event)
{
    uint8_t first[8];
    if (event->kind == TACIT_CLIENT_OPENED) {
        direct->is_open = true;
        return;
    }
    uint64_t end_ns = direct->net->now_ns + used_ns(direct, ticks());
    bool is_right = event->kind == TACIT_CLIENT_RESULT && event->status == TACIT_OK &&
                    event->body_bytes == direct->shape.bytes;
    for (uint32_t i = 0; i < sizeof first && is_right; i++) {
        first[i] = event->body[event->body_bytes - 1 - i];
    }
    if (!is_right || memcmp(first, &direct->number[event->token], sizeof first) != 0) {
        direct->is_wrong = true;
        return;
    }
    direct->answered++;
    if (direct->took != NULL) {
        direct->took(direct->took_context, end_ns - direct->submitted_ns[event->token],
                     direct->decide_ns);
    }
    direct->free[direct->free_count++] = (uint32_t)event->token;
}

static bool turn_client(struct sim_direct *direct, struct process *process)
{
    struct tacit_client_event event;
    bool busy = false;
    for (uint32_t i = 0; i < EVENTS_PER_TURN; i++) {
        if (!sim_direct_turn_client(process->client, local_ns(direct), &event)) {
            break;
        }
        take(direct, &event);
        busy = true;
    }
    uint64_t asked = direct->asked;
    submit(direct, process);
    return busy || direct->asked != asked;
}

static void turn(struct sim_direct *direct, struct process *process)
{
    uint64_t now_ns = direct->net->now_ns;
    uint64_t deadline_ns = UINT64_MAX;
    bool busy = false;
    struct tacit_event events[16];
    if (process->signer != NULL) {
        sim_signer_advance(process->signer, now_ns);
    }
    direct->stopped = direct->tick_cost; // of the looks at both ends
    direct->posted = 0;
    direct->began = ticks();
    if (process->role == SIM_REPLICA) {
        busy = sim_direct_turn_replica(process->smr, local_ns(direct));
        direct->turns++;
    } else if (process->role == SIM_CLIENT) {
        busy = turn_client(direct, process);
    } else {
        busy = process->node->fabric.ops->poll(&process->node->fabric, events, 16) > 0;
    }
    uint64_t took_ns = used_ns(direct, ticks());
    process->busy_ns = now_ns + (took_ns > STEP_NS ? took_ns : STEP_NS);
    // Who waits spins: the turn that finds nothing for the first time may tidy up, those that
    // follow are what a process is in when something lands.
    bool spins = direct->shape.is_charged && process->was_busy;
    if (!busy && !spins) {
        process->empty_ns = (7 * process->empty_ns + took_ns) / 8;
    }
    process->was_busy = busy;
    if (process->role == SIM_REPLICA) {
        deadline_ns = tacit_smr_deadline(process->smr);
    } else if (process->role == SIM_CLIENT) {
        deadline_ns = tacit_client_deadline(process->client);
    }
    if (busy || spins) {
        schedule(direct, process->node->slot, process->busy_ns);
    } else if (deadline_ns != UINT64_MAX) {
        uint64_t at_ns = deadline_ns > START_NS ? deadline_ns - START_NS : 0;
        schedule(direct, process->node->slot, at_ns > now_ns + 200 ? at_ns : now_ns + 200);
    }
}

static struct process *soonest(struct sim_direct *direct)
{
    struct process *first = &direct->process[0];
    for (uint32_t i = 1; i < direct->processes; i++) {
        struct process *process = &direct->process[i];
        first = process->next_ns < first->next_ns ? process : first;
    }
    return first;
}

// The fabric's next event, or the next turn. Turns are not in the queue: most are brought forward
// again and again, and what that left behind in it would fill it, and the processor's cache.
static bool step(struct sim_direct *direct)
{
    struct process *process = soonest(direct);
    bool is_event = direct->heap->count > 0 && direct->heap->timer[0].time_ns <= process->next_ns;
    if ((!is_event && process->next_ns == UINT64_MAX) || direct->net->violation != NULL ||
        direct->is_wrong) {
        return false;
    }
    if (is_event) {
        struct sim_timer timer = sim_heap_pop(direct->heap);
        direct->net->now_ns = timer.time_ns;
        (void)sim_net_timer(direct->net, &timer);
        return true;
    }
    direct->net->now_ns = process->next_ns;
    process->next_ns = UINT64_MAX;
    turn(direct, process);
    return true;
}

// ---- building ----------------------------------------------------------------------------------

static uint32_t no_draw(void *context, uint32_t bound)
{
    (void)context;
    (void)bound;
    return 0;
}

// What a cluster file says by default, with one client and a small arena; times that nobody is late
// for.
static struct tacit_smr_config smr_config(const struct sim_direct_shape *shape)
{
    uint32_t item = (uint32_t)tacit_wire_item_bytes(shape->bytes);
    uint32_t body = shape->bytes > 4096 ? shape->bytes : 4096;
    static struct tacit_signer any; // the check wants one; each replica has its own
    return (struct tacit_smr_config){.engine = shape->engine,
                                     .replicas = shape->replicas,
                                     .memnodes = shape->memnodes,
                                     .incarnation = 1,
                                     .first_member = true,
                                     .request_bytes = body,
                                     .reply_bytes = body,
                                     .batch_requests = 64,
                                     .batch_bytes = item > 8192 ? item : 8192,
                                     .log_entries = LOG_ENTRIES,
                                     .inflight = INFLIGHT,
                                     .clients = 1,
                                     .sessions_per_client = 4,
                                     .session_pipeline = SIM_DIRECT_FLIGHT_MAX,
                                     .ring_slots = SIM_DIRECT_FLIGHT_MAX,
                                     .arena_bytes = 16 * TACIT_PAGE_BYTES,
                                     .beat_period_ns = 800000,
                                     .suspicion_ns = 20000000,
                                     .permission_timeout_ns = 200000,
                                     .laggard_after_ns = 1000000000,
                                     .byzantine = {.window = 256,
                                                   .tail = 128,
                                                   .slow_after_ns = 1000000,
                                                   .cooldown_ns = 100000,
                                                   .retry_ns = 1000000,
                                                   .join_after_ns = 2000000,
                                                   .view_timeout_ns = 50000000,
                                                   .view_timeout_max_ns = 10000000000,
                                                   .signer = &any},
                                     .draw = no_draw,
                                     .app_options = ""};
}

static struct tacit_signer *open_signer(struct sim_direct *direct, struct process *process,
                                        uint32_t author)
{
    process->signer = malloc(sizeof *process->signer);
    assert(process->signer != NULL);
    sim_signer_open(process->signer, &direct->signers,
                    &(struct sim_signer_config){.self = (uint16_t)author,
                                                .workers = 1,
                                                .depth = SIM_SIGNER_DEPTH,
                                                .sign_ns = direct->shape.fabric.sign_ns,
                                                .verify_ns = direct->shape.fabric.verify_ns,
                                                .wake = signer_wakes,
                                                .context = process});
    return &process->signer->signer;
}

// In large pages, as a replica takes it (apps/lib/replica.c).
static void *process_memory(size_t bytes)
{
    bytes = (bytes + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
    void *memory = aligned_alloc(LARGE_PAGE, bytes);
    assert(memory != NULL);
    (void)madvise(memory, bytes, MADV_HUGEPAGE); // not everywhere to be had
    return memory;
}

static enum tacit_status start_replica(struct sim_direct *direct, struct process *process,
                                       struct tacit_error *error)
{
    struct tacit_smr_config config = direct->smr;
    struct tacit_smr_probe probe = {.context = direct, .decided = on_decided};
    config.self = process->node->node;
    if (config.engine == TACIT_ENGINE_BYZANTINE) {
        config.byzantine.signer = open_signer(direct, process, process->id);
    }
    process->memory = process_memory(tacit_smr_size(&config));
    enum tacit_status status = tacit_smr_init(
        &process->smr, process->memory, &config, &process->node->fabric, &tacit_flip_app,
        process->id == direct->leader ? &probe : NULL, local_ns(direct), error);
    if (status == TACIT_OK) {
        tacit_smr_suspicion(process->smr, (1u << config.replicas) - 1, 0, local_ns(direct));
    }
    return status;
}

static enum tacit_status start_client(struct sim_direct *direct, struct process *process,
                                      struct tacit_error *error)
{
    bool is_byzantine = direct->smr.engine == TACIT_ENGINE_BYZANTINE;
    struct tacit_client_config config = {
        .replicas = direct->smr.replicas,
        .request_bytes = direct->smr.request_bytes,
        .reply_bytes = direct->smr.reply_bytes,
        .ring_slots = direct->smr.ring_slots,
        .sessions = 1,
        .pipeline = direct->smr.session_pipeline,
        .retry_ns = 1000000000,
        .retry_max_ns = 2000000000,
        .first_nonce = 1,
        .draw = no_draw,
        .byzantine = is_byzantine,
        .faults = (uint8_t)(is_byzantine ? (direct->smr.replicas - 1) / 2 : 0),
        .signer = is_byzantine ? open_signer(direct, process, TACIT_SIGNER_CLIENT) : NULL};
    enum tacit_status status = tacit_client_config_check(&config, error);
    if (status == TACIT_OK) {
        process->memory = process_memory(tacit_client_size(&config));
        tacit_client_init(&process->client, process->memory, &config, &process->node->fabric);
    }
    return status;
}

static void add(struct sim_direct *direct, enum sim_role role, uint32_t id,
                struct tacit_host_layout layout)
{
    static const tacit_node_t base[] = {
        [SIM_REPLICA] = 0, [SIM_MEMNODE] = TACIT_NODE_MEMNODE, [SIM_CLIENT] = TACIT_NODE_CLIENT};
    struct process *process = &direct->process[direct->processes++];
    process->role = role;
    process->id = id;
    process->next_ns = UINT64_MAX;
    process->node =
        sim_net_add(direct->net, &(struct sim_node_config){.role = role,
                                                           .node = (tacit_node_t)(base[role] + id),
                                                           .identity = id,
                                                           .incarnation = 1,
                                                           .layout = layout});
    direct->inner = process->node->fabric.ops;
    direct->outer = *direct->inner;
    direct->outer.post = outer_post;
    direct->outer.poll = outer_poll;
    direct->outer.ring = outer_ring;
    direct->outer.region = outer_region;
    direct->outer.local = outer_local;
}

static void build(struct sim_direct *direct)
{
    struct sim_model model = sim_model_calm();
    choice_init_seed(&direct->choice, 1);
    sim_net_reset(direct->net, &direct->choice, direct->heap, &model);
    direct->net->wake = wake;
    direct->net->landed = landed;
    direct->net->timing = timing;
    direct->net->wake_context = direct;
    sim_signer_world_init(&direct->signers, 1, direct->smr.replicas, 1);
    for (uint32_t i = 0; i < direct->smr.replicas; i++) {
        add(direct, SIM_REPLICA, i, tacit_smr_replica_layout(&direct->smr));
    }
    for (uint32_t i = 0; i < direct->smr.memnodes; i++) {
        add(direct, SIM_MEMNODE, i, tacit_smr_memnode_layout(&direct->smr));
    }
    add(direct, SIM_CLIENT, 0, tacit_smr_client_layout(&direct->smr));
    for (uint32_t peer = 0; peer < direct->processes; peer++) {
        for (uint32_t host = 0; host < direct->processes; host++) {
            if (direct->process[peer].role == SIM_REPLICA ||
                direct->process[host].role == SIM_REPLICA) {
                sim_net_connect(direct->net, peer, host);
            }
        }
    }
}

static bool start(struct sim_direct *direct, struct tacit_error *error)
{
    enum tacit_status status = TACIT_OK;
    for (uint32_t i = 0; i < direct->processes && status == TACIT_OK; i++) {
        struct process *process = &direct->process[i];
        process->node->fabric.ops = &direct->outer;
        if (process->role == SIM_REPLICA) {
            status = start_replica(direct, process, error);
        } else if (process->role == SIM_CLIENT) {
            status = start_client(direct, process, error);
        }
        schedule(direct, i, 0);
    }
    return status == TACIT_OK;
}

static bool failed(const struct sim_direct *direct, struct tacit_error *error)
{
    const char *text = direct->net->violation != NULL ? direct->net->violation
                       : direct->is_wrong             ? "a request failed or was answered wrongly"
                                                      : "no answer comes";
    (void)tacit_error_set(error, TACIT_EIO, 0, "direct execution: %s", text);
    return false;
}

static bool settle(struct sim_direct *direct, struct tacit_error *error)
{
    struct process *client = &direct->process[direct->processes - 1];
    while (direct->net->now_ns < SETTLED_NS && step(direct)) {
    }
    if (direct->net->now_ns < SETTLED_NS ||
        tacit_client_session_open(client->client, 0, local_ns(direct), &direct->session) !=
            TACIT_OK) {
        return failed(direct, error);
    }
    struct tacit_status_report report;
    tacit_smr_status(direct->process[direct->leader].smr, &report);
    if (report.role != TACIT_ROLE_LEADER) {
        (void)tacit_error_set(error, TACIT_EIO, 0, "direct execution: replica 0 does not lead");
        return false;
    }
    schedule(direct, direct->processes - 1, direct->net->now_ns);
    for (uint32_t steps = 0; !direct->is_open && steps < STEPS_MAX; steps++) {
        if (!step(direct)) {
            break;
        }
    }
    direct->is_charging = direct->shape.is_charged;
    return direct->is_open || failed(direct, error);
}

// All regions of everybody, with room.
static size_t memory_bytes(const struct tacit_smr_config *smr)
{
    struct tacit_host_layout replica = tacit_smr_replica_layout(smr);
    struct tacit_host_layout memnode = tacit_smr_memnode_layout(smr);
    size_t each = replica.log_bytes + replica.control_bytes + replica.registers_bytes;
    size_t own = replica.page_bytes + replica.state_bytes + replica.requests_bytes +
                 tacit_smr_client_layout(smr).replies_bytes;
    size_t at_memnode = memnode.log_bytes + memnode.control_bytes + memnode.registers_bytes;
    return ((size_t)8 << 20) + (size_t)smr->replicas * (smr->replicas * each + 2 * own) +
           (size_t)smr->memnodes * smr->replicas * (at_memnode + 4096) + memnode.page_bytes;
}

struct sim_direct *sim_direct_open(const struct sim_direct_shape *shape, struct tacit_error *error)
{
    struct sim_direct *direct = calloc(1, sizeof *direct);
    if (direct == NULL || shape->bytes < 8 || shape->bytes > SIM_DIRECT_BYTES_MAX ||
        shape->in_flight < 1 || shape->in_flight > SIM_DIRECT_FLIGHT_MAX) {
        free(direct);
        (void)tacit_error_set(error, TACIT_EINVAL, 0,
                              "direct execution: no memory, or requests that are not accepted");
        return NULL;
    }
    direct->shape = *shape;
    direct->smr = smr_config(shape);
    if (tacit_smr_config_check(&direct->smr, error) != TACIT_OK) {
        free(direct);
        return NULL;
    }
    calibrate(direct);
    for (uint32_t i = 0; i < shape->in_flight; i++) {
        direct->free[direct->free_count++] = i;
    }
    direct->net = sim_net_open(&(struct sim_net_limits){
        .op_bytes = direct->smr.batch_bytes + 16384, .memory_bytes = memory_bytes(&direct->smr)});
    direct->heap = malloc(sizeof *direct->heap);
    direct->request = malloc(shape->bytes);
    bool ok = direct->net != NULL && direct->heap != NULL && direct->request != NULL;
    if (ok) {
        build(direct);
        ok = start(direct, error) && settle(direct, error);
    }
    if (!ok) {
        sim_direct_close(direct);
        return NULL;
    }
    return direct;
}

void sim_direct_close(struct sim_direct *direct)
{
    if (direct == NULL) {
        return;
    }
    for (uint32_t i = 0; i < direct->processes; i++) {
        if (direct->process[i].smr != NULL) {
            tacit_smr_fini(direct->process[i].smr);
        }
        free(direct->process[i].memory);
        free(direct->process[i].signer);
    }
    if (direct->net != NULL) {
        sim_net_close(direct->net);
    }
    free(direct->heap);
    free(direct->request);
    free(direct);
}

// ---- running -----------------------------------------------------------------------------------

static struct sim_direct_counts counts_of(const struct sim_direct *direct)
{
    struct sim_direct_counts counts = {.requests = direct->answered, .turns = direct->turns};
    for (uint32_t i = 0; i < direct->processes; i++) {
        const struct process *process = &direct->process[i];
        const struct tacit_plane_counters *data =
            &process->node->fabric.counters.plane[TACIT_PLANE_DATA];
        struct tacit_status_report report;
        if (process->role == SIM_CLIENT) {
            counts.client_writes += data->writes;
        } else if (process->role == SIM_REPLICA) {
            tacit_smr_status(process->smr, &report);
            counts.writes += data->writes;
            counts.write_bytes += data->write_bytes;
            counts.reads += data->reads;
            counts.batches += process->id == direct->leader ? report.batches_decided : 0;
            counts.decided_slow += report.decided_slow;
        }
    }
    return counts;
}

bool sim_direct_run(struct sim_direct *direct, uint32_t requests,
                    void (*took)(void *context, uint64_t end_to_end_ns, uint64_t decide_ns),
                    void *context, struct sim_direct_counts *counts, struct tacit_error *error)
{
    struct sim_direct_counts before = counts_of(direct);
    uint64_t wanted = direct->answered + requests;
    direct->took = took;
    direct->took_context = context;
    direct->to_submit = requests;
    schedule(direct, direct->processes - 1, direct->net->now_ns);
    for (uint32_t steps = 0; direct->answered < wanted; steps++) {
        uint64_t answered = direct->answered;
        if (steps > STEPS_MAX || !step(direct)) {
            return failed(direct, error);
        }
        steps = direct->answered != answered ? 0 : steps;
    }
    struct sim_direct_counts after = counts_of(direct);
    *counts =
        (struct sim_direct_counts){.requests = after.requests - before.requests,
                                   .batches = after.batches - before.batches,
                                   .turns = after.turns - before.turns,
                                   .writes = after.writes - before.writes,
                                   .write_bytes = after.write_bytes - before.write_bytes,
                                   .reads = after.reads - before.reads,
                                   .client_writes = after.client_writes - before.client_writes,
                                   .decided_slow = after.decided_slow - before.decided_slow};
    return true;
}
