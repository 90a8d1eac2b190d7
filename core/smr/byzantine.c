// SPDX-License-Identifier: Apache-2.0
//
// The Byzantine engine in a replica: memory, events, one turn. Each part has its own header in
// core/byzantine; here is only what one of them tells another.
#include "byzantine.h"

#include <string.h>

#include "internal.h"

#define ABSENT_TIMERS 4u // of a view, at most, are forgiven for one absence

// ---- what agreement asks

static enum tacit_endorsement on_endorse(void *context, uint64_t view, uint64_t slot,
                                         const uint8_t *body, uint32_t bytes)
{
    struct tacit_smr *smr = context;
    struct tacit_requests_key missing;
    enum tacit_endorsement endorsement;
    if (tacit_smr_epoch_endorse(smr, view, slot, body, bytes, &endorsement)) {
        return endorsement;
    }
    switch (tacit_requests_endorse(smr->byzantine.requests, body, bytes, &missing)) {
    case TACIT_ENDORSE_OK:
        return TACIT_ENDORSED;
    case TACIT_ENDORSE_WAIT:
        tacit_requests_wait(smr->byzantine.requests, tacit_smr_epoch_view(smr, view), slot,
                            &missing, smr->now_ns);
        return TACIT_ENDORSE_LATER;
    default:
        return TACIT_ENDORSE_NEVER;
    }
}

static void on_forced(void *context, uint64_t slot, const uint8_t *body, uint32_t bytes)
{
    struct tacit_smr *smr = context;
    if (slot >= smr->applied) {
        tacit_requests_proposed(smr->byzantine.requests, body, bytes);
    }
}

static void on_execute(void *context, uint64_t slot, const struct tacit_digest *digest,
                       const uint8_t *body, uint32_t bytes)
{
    struct tacit_smr *smr = context;
    (void)digest;
    TACIT_ASSERT(slot == smr->applied);
    tacit_requests_unwait(smr->byzantine.requests, slot);
    tacit_time_ns_t since_ns = tacit_requests_timer(smr->byzantine.requests, 0);
    smr->applied++;
    tacit_smr_execute_batch(smr, slot, body, bytes); // clients wait for this
    tacit_smr_view_progress(smr, since_ns);
}

static void on_checkpoint(void *context, uint64_t base)
{
    struct tacit_smr *smr = context;
    tacit_smr_epoch_reached(smr, base);
    (void)tacit_pages_checkpoint(&smr->pages, base);
    smr->byzantine.checkpoint = base;
}

static void on_stable(void *context, uint64_t base, const struct tacit_digest *root)
{
    struct tacit_smr *smr = context;
    smr->byzantine.stable = base;
    smr->byzantine.stable_root = *root;
    tacit_requests_checkpoint(smr->byzantine.requests, smr->now_ns);
}

static void on_behind(void *context, uint64_t base, const struct tacit_digest *root)
{
    struct tacit_smr *smr = context;
    const struct tacit_fetch *fetch = &smr->byzantine.fetch;
    if ((smr->byzantine.must_fetch && base <= smr->byzantine.fetch_index) ||
        (tacit_fetch_busy(fetch) && base <= fetch->index)) {
        return; // one as new is on its way; who had the older one may have it no more
    }
    smr->byzantine.must_fetch = true;
    smr->byzantine.fetch_index = base;
    smr->byzantine.fetch_root = *root;
}

static void on_entered(void *context, uint64_t view, tacit_node_t leader)
{
    struct tacit_smr *smr = context;
    (void)leader;
    smr->byzantine.view = view;
    smr->byzantine.entered_ns = smr->now_ns;
}

static void on_sealed(void *context, uint64_t view)
{
    struct tacit_smr *smr = context;
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    // Whoever left a slot half-sent is proposed with a signature only from now on; only who led
    // knows that it was the client's own doing: what another one proposed, it may have invented.
    tacit_requests_name_lacked(byzantine->requests);
    byzantine->view = view;
    byzantine->sealed_ns = smr->now_ns;
    byzantine->batch_used = 0; // what was taken out and not proposed comes again
    tacit_requests_enter_view(byzantine->requests, tacit_smr_epoch_view(smr, view), smr->now_ns);
    byzantine->timer_ns = 2 * byzantine->timer_ns;
    if (byzantine->timer_ns > smr->config.byzantine.view_timeout_max_ns) {
        byzantine->timer_ns = smr->config.byzantine.view_timeout_max_ns;
    }
}

static bool on_obliged(void *context)
{
    const struct tacit_smr *smr = context;
    return tacit_requests_is_obliged(smr->byzantine.requests) || tacit_smr_epoch_is_owed(smr);
}

// ---- what requests ask

static enum tacit_requests_standing on_session(void *context, uint32_t client, uint64_t session,
                                               uint64_t *last)
{
    struct tacit_smr *smr = context;
    const struct tacit_session *found = tacit_sessions_find(&smr->sessions, client, session);
    if (found != NULL) {
        *last = found->last;
        return TACIT_STANDING_OPEN;
    }
    return tacit_sessions_is_ahead(&smr->sessions, session) ? TACIT_STANDING_AHEAD
                                                            : TACIT_STANDING_CLOSED;
}

static enum tacit_requests_standing on_nonce(void *context, uint32_t client, uint64_t nonce)
{
    struct tacit_smr *smr = context;
    if (tacit_sessions_nonce(&smr->sessions, client, nonce) != NULL) {
        return TACIT_STANDING_OPEN;
    }
    return nonce < tacit_sessions_floor(&smr->sessions, client) ? TACIT_STANDING_CLOSED
                                                                : TACIT_STANDING_AHEAD;
}

static void on_send(void *context, tacit_node_t to, const void *message, uint32_t bytes)
{
    tacit_links_send(((struct tacit_smr *)context)->byzantine.links, to, message, bytes);
}

static uint64_t on_send_body(void *context, tacit_node_t to, const void *body, uint32_t bytes)
{
    return tacit_links_send_body(((struct tacit_smr *)context)->byzantine.links, to, body, bytes);
}

static enum tacit_verdict on_body(void *context, tacit_node_t from, uint64_t ticket, uint8_t *out,
                                  uint32_t max, uint32_t *bytes)
{
    return tacit_links_body(((struct tacit_smr *)context)->byzantine.links, from, ticket, out, max,
                            bytes);
}

static void on_ask(void *context, uint32_t client, uint64_t session, uint64_t number)
{
    struct tacit_smr *smr = context;
    struct tacit_wire_reply reply = {.kind = TACIT_REPLY_SIGN,
                                     .leader = (uint8_t)smr->config.self,
                                     .session = session,
                                     .number = number};
    tacit_smr_reply(smr, tacit_smr_client_node(smr, client), &reply);
}

static void on_resume(void *context, uint64_t view, uint64_t slot)
{
    (void)view;
    tacit_agree_endorsable(((struct tacit_smr *)context)->byzantine.agree, slot);
}

// ---- what the registers tell

static void on_written(void *context, uint32_t index, uint64_t ticket)
{
    tacit_ctb_register_written(((struct tacit_smr *)context)->byzantine.ctb, index, ticket);
}

static void on_read(void *context, uint64_t ticket, const uint8_t *value)
{
    tacit_ctb_register_read(((struct tacit_smr *)context)->byzantine.ctb, ticket, value);
}

// ---- who may be replaced

static bool on_open(void *context, tacit_node_t seat, uint64_t next)
{
    return tacit_smr_seat_is_open(context, seat, next);
}

// ---- life

static void init_lower(struct tacit_smr *smr, struct tacit_bump *bump)
{
    const struct tacit_smr_config *config = &smr->config;
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    struct tacit_links_config links = tacit_smr_byzantine_links(config);
    struct tacit_registers_config registers = tacit_smr_byzantine_registers(config);
    links.offset =
        links.place == TACIT_LINKS_ON_MEMNODES ? tacit_registers_region_bytes(&registers) : 0;
    struct tacit_registers_calls register_calls = {
        .context = smr, .written = on_written, .was_read = on_read};
    struct tacit_bodies_needs needs = {
        .replicas = config->replicas,
        .self = config->self,
        .window = config->byzantine.window,
        .tail = config->byzantine.tail,
        .batch_bytes = tacit_smr_byzantine_batch_bytes(config),
        .seal_bytes = (uint32_t)tacit_claims_bytes_max(config->byzantine.window),
        .body_bytes = tacit_smr_byzantine_body_bytes(config)};
    struct tacit_bodies_config bodies;
    tacit_bodies_shape(&bodies, &needs);
    byzantine->links = tacit_links_init(bump, &links, smr->fabric, smr->marker);
    tacit_smr_note(smr, bump, "copies of what was sent to each replica");
    byzantine->registers =
        tacit_registers_init(bump, &registers, smr->fabric, &register_calls, smr->marker);
    tacit_smr_note(smr, bump, "registers");
    byzantine->bodies = tacit_bodies_init(bump, &bodies);
    tacit_smr_note(smr, bump, "batches and other bodies");
    byzantine->message_bytes = links.message_bytes;
    byzantine->message = tacit_bump_take(bump, tacit_round_up(links.message_bytes, 64), 64);
    byzantine->batch = tacit_bump_take(bump, config->batch_bytes, 64);
}

static struct tacit_requests *init_requests(struct tacit_smr *smr, struct tacit_bump *bump)
{
    const struct tacit_smr_config *config = &smr->config;
    struct tacit_requests_config requests = {.replicas = config->replicas,
                                             .self = config->self,
                                             .clients = config->clients,
                                             .sessions_per_client = config->sessions_per_client,
                                             .session_pipeline = config->session_pipeline,
                                             .client_requests = config->ring_slots,
                                             .request_bytes = config->request_bytes,
                                             .message_bytes = smr->byzantine.message_bytes,
                                             .window = config->byzantine.window,
                                             .lack_after_ns = config->byzantine.slow_after_ns,
                                             .retry_ns = config->byzantine.retry_ns};
    struct tacit_requests_calls calls = {.context = smr,
                                         .session = on_session,
                                         .nonce = on_nonce,
                                         .send = on_send,
                                         .send_body = on_send_body,
                                         .body = on_body,
                                         .ask = on_ask,
                                         .resume = on_resume};
    return tacit_requests_init(bump, &requests, config->byzantine.signer, &calls, smr->marker);
}

void tacit_smr_byzantine_init(struct tacit_smr *smr, struct tacit_bump *bump)
{
    const struct tacit_smr_config *config = &smr->config;
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    byzantine->signer = config->byzantine.signer;
    init_lower(smr, bump);
    struct tacit_agree_config agree = {.replicas = config->replicas,
                                       .self = config->self,
                                       .window = config->byzantine.window,
                                       .inflight = tacit_smr_byzantine_inflight(config),
                                       .batch_bytes = tacit_smr_byzantine_batch_bytes(config),
                                       .body_bytes = tacit_smr_byzantine_body_bytes(config),
                                       .slow_after_ns = config->byzantine.slow_after_ns,
                                       .retry_ns = config->byzantine.retry_ns,
                                       .join_after_ns = config->byzantine.join_after_ns,
                                       .behind_after_ns = config->byzantine.retry_ns,
                                       .authors = byzantine->authors};
    byzantine->agree = tacit_agree_init(bump, &agree, smr->marker);
    tacit_smr_note(smr, bump, "slots, votes and view change");
    struct tacit_ctb_config ctb = {.replicas = config->replicas,
                                   .self = config->self,
                                   .tail = config->byzantine.tail,
                                   .state_bytes =
                                       (uint32_t)tacit_agree_state_bytes(config->byzantine.window),
                                   .body_bytes = tacit_smr_byzantine_body_bytes(config),
                                   .slow_after_ns = config->byzantine.slow_after_ns,
                                   .retry_ns = config->byzantine.retry_ns,
                                   .authors = byzantine->authors};
    struct tacit_ctb_calls calls = {0};
    if (bump->base != NULL) {
        calls = tacit_agree_ctb_calls(byzantine->agree);
    }
    byzantine->ctb = tacit_ctb_init(bump, &ctb, 0, byzantine->links, byzantine->registers,
                                    byzantine->signer, byzantine->bodies, &calls, smr->marker);
    tacit_smr_note(smr, bump, "tails of broadcasts");
    byzantine->requests = init_requests(smr, bump);
    tacit_smr_note(smr, bump, "requests of clients");
    struct tacit_epochs_config epochs = {.replicas = config->replicas,
                                         .memnodes = config->memnodes,
                                         .self = config->self,
                                         .retry_ns = config->byzantine.retry_ns,
                                         .authors = byzantine->authors,
                                         .is_open = on_open,
                                         .context = smr};
    byzantine->epochs =
        tacit_epochs_init(bump, &epochs, byzantine->links, byzantine->signer, smr->marker);
    struct tacit_orders_config orders = {
        .replicas = config->replicas, .self = config->self, .retry_ns = config->byzantine.retry_ns};
    byzantine->orders = tacit_orders_init(bump, &orders, byzantine->links, byzantine->signer);
    byzantine->replace_slot = TACIT_SLOT_NONE;
    tacit_fetch_init(&byzantine->fetch, bump, smr->fabric, &smr->pages, config->replicas,
                     16 * config->byzantine.retry_ns, smr->marker);
    tacit_smr_note(smr, bump, "state transfer and epochs");
    byzantine->timer_ns = config->byzantine.view_timeout_ns;
    byzantine->quorum_ns = UINT64_MAX;
    byzantine->trusted = (1u << config->replicas) - 1;
}

struct tacit_agree_calls tacit_smr_byzantine_calls(struct tacit_smr *smr)
{
    return (struct tacit_agree_calls){.context = smr,
                                      .endorse = on_endorse,
                                      .forced = on_forced,
                                      .execute = on_execute,
                                      .checkpoint = on_checkpoint,
                                      .stable = on_stable,
                                      .behind = on_behind,
                                      .entered = on_entered,
                                      .sealed = on_sealed,
                                      .is_obliged = on_obliged};
}

void tacit_smr_byzantine_start(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    struct tacit_agree_calls calls = tacit_smr_byzantine_calls(smr);
    tacit_smr_epoch_accept(smr);
    tacit_epochs_enter(byzantine->epochs, 0, smr->sessions.members->incarnation);
    struct tacit_digest root;
    tacit_index_t index;
    (void)tacit_pages_checkpoint(&smr->pages, 0);
    while (!tacit_certified_root(&smr->pages, &index, &root)) {
        (void)tacit_pages_digest(&smr->pages, 1024);
    }
    (void)tacit_certified_publish(&smr->pages, 0, &root);
    struct tacit_agree_parts parts = {byzantine->ctb, byzantine->links, byzantine->signer,
                                      byzantine->bodies};
    tacit_agree_start(byzantine->agree, 0, 0, 0, &root, &parts, &calls, smr->now_ns);
}

// ---- a turn

void tacit_smr_byzantine_event(struct tacit_smr *smr, const struct tacit_event *event)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    byzantine->is_quiet = false;
    byzantine->tend_due = true;
    if (event->kind == TACIT_EVENT_COMPLETION) {
        if (TACIT_COOKIE_OWNER(event->cookie) == TACIT_COOKIE_TRANSFER) {
            tacit_fetch_completion(&byzantine->fetch, event, smr->now_ns);
        } else if (TACIT_COOKIE_OWNER(event->cookie) == TACIT_COOKIE_LINKS) {
            tacit_links_event(byzantine->links, event, smr->now_ns);
        } else if (TACIT_COOKIE_OWNER(event->cookie) == TACIT_COOKIE_REGISTERS) {
            tacit_registers_event(byzantine->registers, event, smr->now_ns);
        }
        return;
    }
    if (event->node < smr->config.replicas && event->kind == TACIT_EVENT_UP) {
        byzantine->peer_up[event->node] = true;
        byzantine->peer_incarnation[event->node] = event->incarnation;
        tacit_smr_epoch_up(smr, event->node, event->incarnation);
    } else if (event->node < smr->config.replicas && event->kind == TACIT_EVENT_DOWN) {
        byzantine->peer_up[event->node] = false;
        tacit_fetch_down(&byzantine->fetch, event->node, smr->now_ns);
        if (event->certain && event->incarnation == byzantine->member[event->node]) {
            byzantine->dead |= 1u << event->node;
        }
    }
    if (event->node >= TACIT_NODE_MEMNODE && event->kind == TACIT_EVENT_UP &&
        event->node - TACIT_NODE_MEMNODE < smr->config.memnodes) {
        tacit_smr_epoch_up(smr, event->node, event->incarnation);
    }
    tacit_links_event(byzantine->links, event, smr->now_ns);
    tacit_registers_event(byzantine->registers, event, smr->now_ns);
}

void tacit_smr_byzantine_suspicion(struct tacit_smr *smr, uint32_t trusted, uint32_t dead)
{
    smr->byzantine.trusted = trusted;
    smr->byzantine.is_quiet = false;
    smr->byzantine.tend_due = true;
    for (tacit_node_t r = 0; r < smr->config.replicas; r++) {
        // Of the member itself: not of whoever came in its place, and not of who sat there before.
        tacit_incarnation_t member = smr->byzantine.member[r];
        bool is_member = smr->byzantine.peer_incarnation[r] == member && !smr->byzantine.peer_up[r];
        if (TACIT_BUG(DEATH_OF_AN_EARLIER_LIFE)) {
            is_member = smr->byzantine.peer_incarnation[r] <= member;
        }
        smr->byzantine.dead |= is_member ? dead & 1u << r : 0;
    }
}

static bool hear_signer(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    struct tacit_signer_done done[16];
    size_t count = byzantine->signer->ops->poll(byzantine->signer, done, 16);
    for (size_t i = 0; i < count; i++) {
        switch (TACIT_SIGNER_COOKIE_OWNER(done[i].cookie)) {
        case TACIT_SIGNER_CTB:
            tacit_ctb_signer(byzantine->ctb, &done[i], smr->now_ns);
            break;
        case TACIT_SIGNER_AGREEMENT:
            tacit_agree_signer(byzantine->agree, &done[i]);
            break;
        case TACIT_SIGNER_EPOCHS:
            if (tacit_epochs_signer(byzantine->epochs, &done[i]) &&
                byzantine->replace_slot != TACIT_SLOT_NONE) {
                tacit_agree_endorsable(byzantine->agree, byzantine->replace_slot);
            }
            break;
        case TACIT_SIGNER_ORDERS:
            if (tacit_orders_signer(byzantine->orders, &done[i]) &&
                byzantine->replace_slot != TACIT_SLOT_NONE) {
                tacit_agree_endorsable(byzantine->agree, byzantine->replace_slot);
            }
            break;
        case TACIT_SIGNER_REQUESTS:
            tacit_requests_signer(byzantine->requests, &done[i], smr->now_ns);
            break;
        default:
            break;
        }
    }
    return count > 0;
}

static bool propose(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    uint32_t sessions = 0;
    bool worked = false;
    while (tacit_agree_can_propose(byzantine->agree) && !tacit_smr_pace_is_held(smr)) {
        uint64_t slot;
        if (tacit_smr_epoch_propose(smr)) {
            worked = true;
            continue;
        }
        if (byzantine->batch_used == 0 && tacit_smr_pace_may_begin(smr)) {
            sessions = tacit_requests_proposals(byzantine->requests);
            byzantine->batch_used =
                tacit_requests_fill(byzantine->requests, byzantine->batch, smr->config.batch_bytes,
                                    smr->config.batch_requests);
        }
        if (byzantine->batch_used == 0 ||
            !tacit_agree_propose(byzantine->agree, byzantine->batch,
                                 (uint32_t)byzantine->batch_used, &slot)) {
            break;
        }
        byzantine->batch_used = 0;
        tacit_smr_pace_begun(smr, sessions);
        worked = true;
    }
    return worked;
}

// The newest own checkpoint's root, and publication of what is certified.
static bool tend_checkpoints(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    struct tacit_digest root;
    tacit_index_t index;
    bool worked = smr->state_valid && tacit_pages_digest(&smr->pages, 64);
    if (byzantine->checkpoint != 0 && tacit_certified_root(&smr->pages, &index, &root) &&
        index == byzantine->checkpoint) {
        byzantine->checkpoint = 0;
        tacit_agree_checkpointed(byzantine->agree, index, &root);
        worked = true;
    }
    if (byzantine->stable > byzantine->stable_told && smr->applied >= byzantine->stable &&
        smr->state_valid && !tacit_fetch_busy(&byzantine->fetch)) {
        enum tacit_publish publish =
            tacit_certified_publish(&smr->pages, byzantine->stable, &byzantine->stable_root);
        if (publish == TACIT_PUBLISH_DONE) {
            byzantine->stable_told = byzantine->stable;
        } else if (publish == TACIT_PUBLISH_DIVERGED) {
            byzantine->stable_told = byzantine->stable;
            tacit_agree_diverged(byzantine->agree);
            on_behind(smr, byzantine->stable, &byzantine->stable_root);
        }
    }
    return worked;
}

static bool fetch_state(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    uint32_t up = 0;
    if (byzantine->must_fetch &&
        (!tacit_fetch_busy(&byzantine->fetch) || byzantine->fetch.index < byzantine->fetch_index) &&
        tacit_fetch_start(&byzantine->fetch, byzantine->fetch_index, &byzantine->fetch_root,
                          smr->now_ns)) {
        byzantine->must_fetch = false;
        byzantine->checkpoint = 0;
    }
    if (!tacit_fetch_busy(&byzantine->fetch)) {
        return false;
    }
    for (tacit_node_t r = 0; r < smr->config.replicas; r++) {
        up |= byzantine->peer_up[r] ? 1u << r : 0;
    }
    enum tacit_fetch_result result =
        tacit_fetch_poll(&byzantine->fetch, up, byzantine->peer_incarnation, smr->now_ns);
    if (tacit_fetch_is_installing(&byzantine->fetch)) {
        smr->state_valid = false;
    }
    if (result != TACIT_FETCH_DONE) {
        return false;
    }
    smr->applied = byzantine->fetch.index;
    smr->state_valid = true;
    const struct tacit_members *members = smr->sessions.members;
    if (byzantine->stable_told < smr->applied) {
        byzantine->stable_told = smr->applied;
    }
    if (smr->app->reload != NULL) {
        smr->app->reload(&smr->app_host);
    }
    tacit_requests_installed(byzantine->requests, smr->now_ns);
    if (byzantine->must_fetch) {
        return true; // a newer one was asked for meanwhile: nothing is executed before it is here
    }
    if (smr->active && members->epoch == byzantine->epoch) {
        tacit_agree_limit(byzantine->agree,
                          members->change_at == 0 ? UINT64_MAX : members->change_at);
        tacit_agree_installed(byzantine->agree, smr->applied);
    } // else the epoch begins first
    return true;
}

// Who had no processor for a while has as much to hear before it may say that others are late. What
// it was asleep for does not count: after a turn with work it was to look again at once, after one
// without by the time that it had named.
static void note_absence(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    tacit_time_ns_t due_ns = byzantine->looked_ns;
    if (byzantine->is_quiet && byzantine->quiet_until_ns > due_ns) {
        due_ns = byzantine->quiet_until_ns;
    }
    tacit_time_ns_t absent_ns = smr->now_ns > due_ns ? smr->now_ns - due_ns : 0;
    tacit_time_ns_t most_ns = smr->config.byzantine.view_timeout_ns * ABSENT_TIMERS;
    absent_ns = absent_ns < most_ns ? absent_ns : most_ns;
    if (absent_ns > smr->config.byzantine.slow_after_ns && byzantine->looked_ns != 0) {
        byzantine->absent_until_ns = smr->now_ns + absent_ns;
    }
    byzantine->looked_ns = smr->now_ns;
}

// What clients and other replicas brought, and what it leads to at once: others wait for that.
static bool hear_news(struct tacit_smr *smr)
{
    // First: a batch that names what lies in a ring here need not wait for it, request by request.
    bool worked = tacit_smr_hear_clients(smr);
    // With nothing under way there is nothing to hear that a new slot would have to wait for.
    if (worked && !tacit_agree_awaits_others(smr->byzantine.agree)) {
        (void)propose(smr);
    }
    worked = tacit_smr_hear_peers(smr) || worked;
    worked = tacit_agree_look(smr->byzantine.agree, smr->now_ns) || worked;
    return propose(smr) || worked;
}

// What is late, what is to be said again, and what nobody waits for in this very turn.
static bool tend(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    bool worked = tacit_registers_poll(byzantine->registers, smr->now_ns);
    tacit_requests_patience(byzantine->requests, tacit_agree_patience_ns(byzantine->agree));
    worked = tacit_ctb_poll(byzantine->ctb, smr->now_ns) || worked;
    worked = tacit_smr_epoch_poll(smr) || worked;
    worked = tacit_agree_poll(byzantine->agree, smr->now_ns) || worked;
    worked =
        tacit_epochs_poll(byzantine->epochs, tacit_smr_epoch_is_ending(smr), smr->now_ns) || worked;
    tacit_orders_executed(byzantine->orders, smr->sessions.members->order_nonce);
    worked = tacit_orders_poll(byzantine->orders, smr->now_ns) || worked;
    tacit_smr_watch_leader(smr);
    worked = propose(smr) || worked;
    return tacit_requests_poll(byzantine->requests, smr->now_ns) || worked;
}

// What another leader most likely proposes next is digested before it comes.
static void expect(struct tacit_smr *smr)
{
    uint8_t body[TACIT_BYZ_INLINE_BYTES];
    size_t bytes = tacit_requests_expected(smr->byzantine.requests, body, sizeof body);
    if (bytes > 0) {
        tacit_ctb_expect(smr->byzantine.ctb, body, (uint32_t)bytes);
    }
}

// Nobody waits for this replica: what the next slot takes is made ready.
static void get_ready(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    if (byzantine->ready_for != smr->applied) {
        byzantine->ready_for = smr->applied;
        tacit_agree_get_ready(byzantine->agree);
        tacit_smr_clients_prefetch(smr);
    }
    if (tacit_agree_awaits_proposal(byzantine->agree)) {
        expect(smr);
    }
}

bool tacit_smr_byzantine_poll(struct tacit_smr *smr)
{
    struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    note_absence(smr);
    tacit_agree_turn(byzantine->agree, smr->now_ns);
    bool worked = hear_signer(smr);
    if (!worked && tacit_smr_pace_is_quiet(smr)) {
        return false;
    }
    byzantine->is_quiet = false;
    byzantine->tend_due = worked || byzantine->tend_due;
    if (!smr->active) {
        worked = tacit_smr_hear_peers(smr) || worked;
        worked = fetch_state(smr) || worked;
        worked = tacit_agree_poll(byzantine->agree, smr->now_ns) || worked;
        worked = tacit_links_poll(byzantine->links, smr->now_ns) || worked;
        return tacit_smr_epoch_poll(smr) || worked;
    }
    bool heard = hear_news(smr);
    if (tacit_smr_pace_is_to_tend(smr, heard)) {
        worked = tend(smr) || worked;
    } else if (byzantine->is_lull && !worked && !tacit_links_poll(byzantine->links, smr->now_ns)) {
        byzantine->is_quiet = true;
        byzantine->quiet_until_ns = byzantine->lull_until_ns;
        return false;
    }
    worked = fetch_state(smr) || heard || worked;
    worked = tend_checkpoints(smr) || worked;
    if (worked) {
        tacit_links_expect(byzantine->links, smr->now_ns);
    }
    worked = tacit_links_poll(byzantine->links, smr->now_ns) || worked;
    tacit_word_store(smr->page, TACIT_PAGE_APPLIED, smr->applied);
    byzantine->is_quiet = !worked;
    if (worked && tacit_smr_pace_is_lull_next(smr)) {
        byzantine->is_lull = true;
        byzantine->is_quiet = true;
        byzantine->quiet_until_ns = byzantine->lull_until_ns;
    }
    if (!worked) {
        byzantine->quiet_until_ns = tacit_smr_byzantine_deadline(smr);
        get_ready(smr);
    }
    return worked;
}

static tacit_time_ns_t sooner(tacit_time_ns_t a, tacit_time_ns_t b)
{
    return a < b ? a : b;
}

tacit_time_ns_t tacit_smr_byzantine_deadline(const struct tacit_smr *smr)
{
    const struct tacit_smr_byzantine *byzantine = &smr->byzantine;
    tacit_time_ns_t at = tacit_links_deadline(byzantine->links);
    if (!smr->active) {
        at = sooner(at, tacit_agree_deadline(byzantine->agree));
        return sooner(at, tacit_fetch_deadline(&byzantine->fetch));
    }
    at = sooner(at, tacit_epochs_deadline(byzantine->epochs, tacit_smr_epoch_is_ending(smr)));
    at = sooner(at, tacit_orders_deadline(byzantine->orders));
    at = sooner(at, tacit_registers_deadline(byzantine->registers));
    at = sooner(at, tacit_ctb_deadline(byzantine->ctb));
    at = sooner(at, tacit_agree_deadline(byzantine->agree));
    at = sooner(at, tacit_requests_deadline(byzantine->requests));
    at = sooner(at, tacit_smr_view_timer(smr));
    if (byzantine->is_lull) {
        at = sooner(at, byzantine->lull_until_ns);
    }
    at = sooner(at, tacit_fetch_deadline(&byzantine->fetch));
    if (byzantine->checkpoint != 0) {
        at = smr->now_ns;
    }
    if (byzantine->is_held) {
        at = sooner(at, smr->now_ns + smr->config.byzantine.slow_after_ns / 4);
    }
    if (byzantine->is_gathering && byzantine->gather_until_ns > smr->now_ns) {
        at = sooner(at, byzantine->gather_until_ns);
    }
    return at;
}
