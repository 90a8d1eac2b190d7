// SPDX-License-Identifier: Apache-2.0
//
// A replica's life and its turn; see tacit/smr.h and internal.h.
#include <string.h>

#include "internal.h"
#include "tacit/layout.h"

// ---- configuration
// -------------------------------------------------------------------------------------

static enum tacit_status refuse(struct tacit_error *error, const char *text)
{
    if (error != NULL) {
        memset(error, 0, sizeof(*error));
        error->status = TACIT_EINVAL;
        size_t length = strlen(text);
        memcpy(error->text, text, length < sizeof(error->text) ? length : sizeof(error->text) - 1);
    }
    return TACIT_EINVAL;
}

enum tacit_status tacit_smr_config_check(const struct tacit_smr_config *config,
                                         struct tacit_error *error)
{
    const char *problem;
    if (config->engine == TACIT_ENGINE_BYZANTINE &&
        tacit_smr_byzantine_check(config, &problem) != TACIT_OK) {
        return refuse(error, problem);
    }
    if (config->replicas < 1 || config->replicas > TACIT_REPLICAS_MAX) {
        return refuse(error, "replicas: 1 to 15 are accepted");
    }
    if (config->memnodes > TACIT_MEMNODES_MAX) {
        return refuse(error, "memory nodes: at most 15 are accepted");
    }
    if (config->log_on == TACIT_LOG_ON_MEMNODES && config->memnodes % 2 == 0) {
        return refuse(error, "log_on: memnodes needs an odd number of memory nodes");
    }
    if (config->self >= config->replicas) {
        return refuse(error, "the replica's id must be below the number of replicas");
    }
    if (!tacit_incarnation_is_node(config->incarnation)) {
        return refuse(error, "incarnation: a number of starts, 1 to 1048575, and a founder's or a "
                             "spare's body are accepted; bootstrap a new group");
    }
    if (config->log_entries < 16 || (config->log_entries & (config->log_entries - 1)) != 0) {
        return refuse(error, "log_entries: a power of two of at least 16 is accepted");
    }
    if (config->inflight < 1 || config->log_entries <= 2 * config->inflight ||
        config->inflight + 2 * TACIT_SCAN_GROUP > TACIT_SCAN_MEMORY) {
        return refuse(error, "inflight: 1 to 496 and less than half of log_entries is accepted");
    }
    if (config->batch_bytes < tacit_wire_item_bytes(config->request_bytes) ||
        config->batch_bytes > 1u << 20) {
        return refuse(error, "batch_bytes: at least one request with its header, at most 1 MiB");
    }
    if (config->batch_requests < 1 || config->batch_requests > 65536) {
        return refuse(error, "batch_requests: 1 to 65536 are accepted");
    }
    if (config->reply_bytes + TACIT_WIRE_REPLY_HEADER + 2 * TACIT_RING_HEADER >
        TACIT_OP_QUIET_BYTES) {
        return refuse(error, "reply_bytes: at most 65456 are accepted");
    }
    if (config->clients < 1 || config->sessions_per_client < 1 || config->session_pipeline < 1 ||
        (uint64_t)config->clients * config->sessions_per_client > 65536) {
        return refuse(error, "clients x sessions_per_client: 1 to 65536 sessions are accepted");
    }
    if (config->ring_slots < 2 || config->ring_slots > 65536) {
        return refuse(error, "ring_slots: 2 to 65536 are accepted");
    }
    if (config->lease_ns != 0 &&
        (config->clock == NULL || config->lease_max_ns < config->lease_ns ||
         config->lease_max_ns > TACIT_LEASE_MAX_NS / 2 || config->drift_ppm > 200000)) {
        return refuse(error,
                      "leases: a clock, a length of at most 500 ms, the longest one not below "
                      "the shortest, and a drift of at most 200000 ppm are accepted");
    }
    if (config->arena_bytes == 0 || config->arena_bytes % TACIT_PAGE_BYTES != 0) {
        return refuse(error, "arena_bytes: a positive multiple of 4096 is accepted");
    }
    return TACIT_OK;
}

static struct tacit_sessions_shape sessions_shape(const struct tacit_smr_config *config)
{
    return (struct tacit_sessions_shape){.clients = config->clients,
                                         .per_client = config->sessions_per_client,
                                         .pipeline = config->session_pipeline,
                                         .reply_bytes = config->reply_bytes};
}

uint32_t tacit_smr_pages(const struct tacit_smr_config *config)
{
    struct tacit_sessions_shape shape = sessions_shape(config);
    return tacit_sessions_pages(&shape) + (uint32_t)(config->arena_bytes / TACIT_PAGE_BYTES);
}

static struct tacit_ring_shape request_shape(const struct tacit_smr_config *config)
{
    return tacit_ring_shape(
        config->ring_slots,
        tacit_wire_request_max(config->request_bytes, config->engine == TACIT_ENGINE_BYZANTINE));
}

static struct tacit_ring_shape reply_shape(const struct tacit_smr_config *config)
{
    return tacit_ring_shape(
        config->ring_slots,
        tacit_wire_reply_max(config->reply_bytes, config->engine == TACIT_ENGINE_BYZANTINE));
}

static size_t state_bytes(const struct tacit_smr_config *config)
{
    return config->engine == TACIT_ENGINE_BYZANTINE
               ? tacit_certified_region_bytes(tacit_smr_pages(config))
               : tacit_pages_region_bytes(tacit_smr_pages(config));
}

struct tacit_host_layout tacit_smr_replica_layout(const struct tacit_smr_config *config)
{
    struct tacit_host_layout layout = {.page_bytes = TACIT_PAGE_REGION_BYTES,
                                       .control_bytes = TACIT_CONTROL_REGION_BYTES,
                                       .requests_bytes = tacit_ring_bytes(request_shape(config)),
                                       .state_bytes = state_bytes(config)};
    if (config->engine == TACIT_ENGINE_BYZANTINE) {
        layout.control_bytes = tacit_smr_byzantine_control_bytes(config);
        return layout;
    }
    if (config->log_on == TACIT_LOG_ON_REPLICAS && config->engine != TACIT_ENGINE_NONE) {
        layout.log_bytes =
            tacit_log_bytes(tacit_log_shape(config->log_entries, config->batch_bytes));
    }
    return layout;
}

struct tacit_host_layout tacit_smr_memnode_layout(const struct tacit_smr_config *config)
{
    if (config->engine == TACIT_ENGINE_BYZANTINE) { // fully passive: registers, nothing else
        return (struct tacit_host_layout){.registers_bytes =
                                              tacit_smr_byzantine_registers_bytes(config)};
    }
    return (struct tacit_host_layout){
        .page_bytes = TACIT_PAGE_REGION_BYTES,
        .control_bytes = TACIT_CONTROL_REGION_BYTES,
        .log_bytes = tacit_log_bytes(tacit_log_shape(config->log_entries, config->batch_bytes))};
}

struct tacit_host_layout tacit_smr_client_layout(const struct tacit_smr_config *config)
{
    return (struct tacit_host_layout){.replies_bytes = tacit_ring_bytes(reply_shape(config))};
}

// ---- life
// ----------------------------------------------------------------------------------------------

// Takes all memory from `bump`, in one order; with no base it measures.
static struct tacit_smr *lay_out(struct tacit_bump *bump, const struct tacit_smr_config *config,
                                 struct tacit_fabric *fabric, struct tacit_smr *measured,
                                 uint8_t *state, tacit_time_ns_t now_ns)
{
    struct tacit_smr *smr = tacit_bump_take(bump, sizeof(*smr), 64);
    if (bump->base == NULL) {
        smr = measured;
    }
    smr->config = *config;
    smr->fabric = fabric;
    smr->request_shape = request_shape(config);
    smr->reply_shape = reply_shape(config);
    smr->askers_rows = config->inflight + 1;
    smr->message = tacit_bump_take(bump, smr->request_shape.slot_bytes, 64);
    smr->out = tacit_bump_take(bump, smr->reply_shape.slot_bytes, 64);
    smr->reply = tacit_bump_take(bump, config->reply_bytes, 64);
    smr->held_bytes =
        tacit_bump_take(bump, (size_t)TACIT_HELD_MAX * smr->request_shape.slot_bytes, 64);
    smr->admitted = tacit_bump_take(
        bump, (size_t)config->clients * config->sessions_per_client * sizeof(*smr->admitted), 64);
    smr->none_batch =
        tacit_bump_take(bump, config->engine == TACIT_ENGINE_NONE ? config->batch_bytes : 0, 64);
    smr->askers =
        tacit_bump_take(bump,
                        (size_t)smr->askers_rows * (config->batch_requests + TACIT_BATCH_EXTRA) *
                            sizeof(*smr->askers),
                        64);
    smr->askers_index = tacit_bump_take(bump, smr->askers_rows * sizeof(*smr->askers_index), 64);
    tacit_smr_note(smr, bump, "requests and replies in the making");
    if (config->engine == TACIT_ENGINE_BYZANTINE) {
        struct tacit_sessions_shape shape = sessions_shape(config);
        tacit_certified_init(&smr->pages, bump, state, tacit_smr_pages(config),
                             tacit_sessions_pages(&shape), smr->marker);
        tacit_smr_note(smr, bump, NULL);
        tacit_smr_byzantine_init(smr, bump);
        return smr;
    }
    tacit_pages_init(&smr->pages, bump, state, tacit_smr_pages(config));
    tacit_smr_note(smr, bump, NULL);
    tacit_transfer_init(&smr->transfer, bump, fabric, &smr->pages, config->replicas,
                        4 * config->suspicion_ns, smr->marker);
    tacit_smr_note(smr, bump, "state transfer");
    tacit_crash_init(&smr->crash, bump, &smr->config, fabric, smr->marker, now_ns);
    tacit_smr_note(smr, bump, "journal, elections and followers");
    return smr;
}

size_t tacit_smr_measure(const struct tacit_smr_config *config, struct tacit_smr_memory *memory)
{
    struct tacit_bump bump = {NULL, 0};
    static const struct tacit_smr zero;
    struct tacit_smr scratch = zero;
    scratch.measured = memory;
    (void)lay_out(&bump, config, NULL, &scratch, NULL, 0);
    return tacit_round_up(bump.used, 64);
}

size_t tacit_smr_size(const struct tacit_smr_config *config)
{
    return tacit_smr_measure(config, NULL);
}

static void touch(struct tacit_app_host *host, const void *address, size_t bytes)
{
    // The arena is the tail of the live pages; what lies before it is not the application's.
    struct tacit_smr *smr =
        (struct tacit_smr *)(void *)((char *)host - offsetof(struct tacit_smr, app_host));
    TACIT_ASSERT((const uint8_t *)address >= (const uint8_t *)host->arena);
    tacit_pages_touch(&smr->pages, address, bytes);
}

// First members of a bootstrapped group all have incarnation 1, memory nodes too.
static void found(struct tacit_smr *smr)
{
    struct tacit_seats seats = tacit_smr_seats(smr);
    tacit_pages_touch(&smr->pages, smr->sessions.members, sizeof *smr->sessions.members);
    tacit_members_found(smr->sessions.members, &seats);
}

enum tacit_status tacit_smr_init(struct tacit_smr **result, void *memory,
                                 const struct tacit_smr_config *config, struct tacit_fabric *fabric,
                                 const struct tacit_app *app, const struct tacit_smr_probe *probe,
                                 tacit_time_ns_t now_ns, struct tacit_error *error)
{
    enum tacit_status status = tacit_smr_config_check(config, error);
    if (status != TACIT_OK) {
        return status;
    }
    size_t exposed = 0;
    struct tacit_region_key state_key = {TACIT_REGION_STATE, config->self, config->incarnation};
    struct tacit_region_key page_key = {TACIT_REGION_PAGE, config->self, config->incarnation};
    uint8_t *state = fabric->ops->local(fabric, state_key, &exposed);
    TACIT_ASSERT(state != NULL && exposed >= state_bytes(config));
    size_t memory_bytes = tacit_smr_size(config);
    memset(memory, 0, memory_bytes);
    struct tacit_bump bump = {memory, 0};
    struct tacit_smr *smr = memory;
    if (probe != NULL) {
        smr->marker = (struct tacit_marker){probe->mark, probe->context};
    }
    fabric->ops->attach(fabric, memory, memory_bytes);
    smr = lay_out(&bump, config, fabric, NULL, state, now_ns);
    size_t page_bytes = 0;
    smr->page = fabric->ops->local(fabric, page_key, &page_bytes);
    smr->app = app;
    if (probe != NULL) {
        smr->probe = *probe;
    }
    smr->now_ns = now_ns;
    smr->memory_bytes = memory_bytes + exposed;
    struct tacit_sessions_shape shape = sessions_shape(config);
    tacit_sessions_init(&smr->sessions, &shape, &smr->pages);
    smr->transfer.skip_first = 1;
    smr->transfer.skip_last = tacit_sessions_pages(&shape);
    smr->app_host = (struct tacit_app_host){
        .arena = smr->pages.live + (size_t)tacit_sessions_pages(&shape) * TACIT_PAGE_BYTES,
        .arena_bytes = config->arena_bytes,
        .touch = touch};
    status = app->init(&smr->app_host, config->app_options, error);
    if (status != TACIT_OK) {
        return status;
    }
    smr->busy_ns = now_ns;
    bool old_self = TACIT_BUG(RESTART_IS_OLD_SELF);
    old_self = TACIT_BUG(EPOCH_RESTARTED_COUNTS) ? true : old_self;
    if (config->first_member || config->engine == TACIT_ENGINE_NONE || old_self) {
        found(smr);
        if (TACIT_BUG(RESTART_IS_OLD_SELF)) {
            smr->sessions.members->incarnation[config->self] = config->incarnation;
        }
        smr->active = true;
        smr->state_valid = true;
        if (tacit_smr_is_byzantine(smr)) {
            tacit_smr_byzantine_start(smr);
        } else {
            tacit_crash_activate(&smr->crash, smr->sessions.members->incarnation, 0);
        }
    } else if (tacit_smr_is_byzantine(smr)) {
        tacit_smr_epoch_observe(smr);
    }
    *result = smr;
    return TACIT_OK;
}

void tacit_smr_fini(struct tacit_smr *smr)
{
    if (smr->app->fini != NULL) {
        smr->app->fini(&smr->app_host);
    }
}

void tacit_smr_detector(struct tacit_smr *smr, const struct tacit_detector *detector)
{
    smr->detector = detector;
}

static void suspect(struct tacit_smr *smr, uint32_t trusted, uint32_t dead)
{
    if (tacit_smr_is_byzantine(smr)) {
        tacit_smr_byzantine_suspicion(smr, trusted, dead);
    } else {
        tacit_crash_suspicion(&smr->crash, trusted, dead);
    }
}

void tacit_smr_suspicion(struct tacit_smr *smr, uint32_t trusted, uint32_t dead,
                         tacit_time_ns_t now_ns)
{
    smr->now_ns = now_ns;
    suspect(smr, trusted, dead);
}

// ---- one turn
// ------------------------------------------------------------------------------------------

static void on_event(struct tacit_smr *smr, const struct tacit_event *event)
{
    if (event->kind == TACIT_EVENT_COMPLETION) {
        if (tacit_smr_is_byzantine(smr) && TACIT_COOKIE_OWNER(event->cookie) != TACIT_COOKIE_FD) {
            tacit_smr_byzantine_event(smr, event);
            return;
        }
        switch (TACIT_COOKIE_OWNER(event->cookie)) {
        case TACIT_COOKIE_ENGINE:
            tacit_crash_event(&smr->crash, event, smr->now_ns);
            break;
        case TACIT_COOKIE_TRANSFER:
            tacit_transfer_completion(&smr->transfer, event, smr->now_ns);
            break;
        case TACIT_COOKIE_FD:
            if (smr->detector != NULL) {
                smr->detector->event(smr->detector->context, event, smr->now_ns);
            }
            break;
        default:
            break; // a reply or a wish was lost: asked for again
        }
        return;
    }
    tacit_smr_seats_event(smr, event);
    if (smr->detector != NULL &&
        (event->kind == TACIT_EVENT_UP || event->kind == TACIT_EVENT_DOWN)) {
        smr->detector->event(smr->detector->context, event, smr->now_ns);
    }
    if (event->node >= TACIT_NODE_CLIENT && event->node < TACIT_NODES_MAX &&
        event->kind != TACIT_EVENT_GRANTED && event->kind != TACIT_EVENT_REVOKED) {
        if (event->kind == TACIT_EVENT_UP) {
            tacit_smr_client_up(smr, event);
        } else if (event->kind == TACIT_EVENT_DOWN) {
            tacit_smr_client_down(smr, event);
        } else {
            tacit_smr_client_regions(smr, event);
        }
        return;
    }
    if (tacit_smr_is_byzantine(smr)) {
        tacit_smr_byzantine_event(smr, event);
        return;
    }
    if (event->kind == TACIT_EVENT_DOWN) {
        tacit_transfer_down(&smr->transfer, event->node, smr->now_ns);
    }
    tacit_crash_event(&smr->crash, event, smr->now_ns);
}

static bool poll_fabric(struct tacit_smr *smr)
{
    struct tacit_event events[32];
    bool worked = false;
    for (uint32_t rounds = 8; rounds > 0; rounds--) {
        size_t count = smr->fabric->ops->poll(smr->fabric, events, 32);
        for (size_t i = 0; i < count; i++) {
            on_event(smr, &events[i]);
        }
        worked |= count > 0;
        if (count < 32) {
            break;
        }
    }
    return worked;
}

// True while this replica makes progress or is idle and responsive: beats are published only then.
static bool is_responsive(const struct tacit_smr *smr)
{
    const struct tacit_crash *crash = &smr->crash;
    if (tacit_smr_is_byzantine(smr)) {
        return true;
    }
    return crash->role != TACIT_ROLE_LEADER || crash->tail == crash->decided ||
           smr->now_ns - crash->progress_ns <= smr->config.suspicion_ns;
}

// While nothing happens beats are rarer, so that an idle group costs next to nothing. Readers find
// the period beside the beats; it is announced with a beat of the shorter one.
static void choose_period(struct tacit_smr *smr)
{
    const struct tacit_crash *crash = &smr->crash;
    uint64_t sum = smr->applied + crash->tail + crash->seen + crash->term + crash->role +
                   smr->byzantine.messages;
    if (sum != smr->busy_sum || !smr->active) {
        smr->busy_sum = sum;
        smr->busy_ns = smr->now_ns;
    }
    bool idle = smr->now_ns - smr->busy_ns > TACIT_IDLE_AFTER_NS;
    tacit_time_ns_t period = smr->config.beat_period_ns * (idle ? TACIT_IDLE_FACTOR : 1);
    if (period != smr->period_ns) {
        smr->period_ns = period;
        smr->crash.tick_ns = period;
        tacit_word_store(smr->page, TACIT_PAGE_BEAT_PERIOD_NS, period);
        smr->beat_ns = 0;
    }
}

static void beat(struct tacit_smr *smr)
{
    choose_period(smr);
    if (smr->now_ns - smr->beat_ns >= smr->period_ns && is_responsive(smr)) {
        smr->beat_ns = smr->now_ns;
        smr->beats++;
        tacit_word_store(smr->page, TACIT_PAGE_BEATS, smr->beats);
    }
}

static void poll_detector(struct tacit_smr *smr)
{
    bool byzantine = tacit_smr_is_byzantine(smr);
    uint32_t trusted = byzantine ? smr->byzantine.trusted : smr->crash.trusted;
    uint32_t dead = byzantine ? smr->byzantine.dead : smr->crash.dead;
    if (smr->detector != NULL &&
        smr->detector->poll(smr->detector->context, smr->now_ns, &trusted, &dead)) {
        suspect(smr, trusted, dead);
    }
}

bool tacit_smr_poll(struct tacit_smr *smr, tacit_time_ns_t now_ns)
{
    smr->now_ns = now_ns;
    bool worked = poll_fabric(smr);
    poll_detector(smr);
    tacit_smr_seats_poll(smr);
    if (tacit_smr_is_byzantine(smr)) {
        worked |= tacit_smr_byzantine_poll(smr);
        tacit_smr_ring_clients(smr);
        beat(smr);
        return worked;
    }
    smr->crash.now_ns = now_ns;
    if (smr->config.engine != TACIT_ENGINE_NONE) {
        worked |= tacit_crash_poll(&smr->crash, now_ns);
        worked |= tacit_smr_execute(smr);
    }
    worked |= tacit_smr_serve(smr);
    // What was just proposed may be complete already: one turn then answers it.
    if (smr->crash.role == TACIT_ROLE_LEADER && worked) {
        (void)poll_fabric(smr);
        (void)tacit_smr_execute(smr);
    }
    worked |= tacit_smr_keep(smr);
    tacit_smr_view_show(smr);
    tacit_smr_ring_clients(smr);
    beat(smr);
    return worked;
}

bool tacit_smr_is_hot(const struct tacit_smr *smr)
{
    // In Byzantine mode every replica's answer is awaited.
    return smr->config.engine != TACIT_ENGINE_CRASH || smr->crash.role == TACIT_ROLE_LEADER ||
           tacit_transfer_busy(&smr->transfer);
}

bool tacit_smr_is_electing(const struct tacit_smr *smr)
{
    return smr->crash.role == TACIT_ROLE_CANDIDATE || smr->crash.role == TACIT_ROLE_RECOVERING;
}

bool tacit_smr_is_unsettled(const struct tacit_smr *smr)
{
    return smr->crash.lost_ns != 0 && smr->now_ns - smr->crash.lost_ns < TACIT_UNSETTLED_NS;
}

bool tacit_smr_is_signing(const struct tacit_smr *smr)
{
    return tacit_smr_is_byzantine(smr) && smr->active &&
           tacit_agree_is_signing(smr->byzantine.agree);
}

tacit_time_ns_t tacit_smr_deadline(const struct tacit_smr *smr)
{
    tacit_time_ns_t at = smr->beat_ns + smr->period_ns;
    if (tacit_smr_is_byzantine(smr)) {
        tacit_time_ns_t next =
            smr->detector == NULL ? at : smr->detector->deadline(smr->detector->context);
        tacit_time_ns_t engine = tacit_smr_byzantine_deadline(smr);
        next = next < at ? next : at;
        return engine < next ? engine : next;
    }
    tacit_time_ns_t other[3] = {
        tacit_crash_deadline(&smr->crash), tacit_smr_keep_deadline(smr),
        smr->detector == NULL ? UINT64_MAX : smr->detector->deadline(smr->detector->context)};
    for (uint32_t i = 0; i < 3; i++) {
        if (other[i] < at) {
            at = other[i];
        }
    }
    return at;
}
