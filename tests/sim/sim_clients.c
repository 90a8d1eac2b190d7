// SPDX-License-Identifier: Apache-2.0
//
// The workload: clients (core/client) that open sessions, keep a few operations outstanding, close
// sessions and open others, and report to the checker what they got.
#include <assert.h>
#include <string.h>

#include "sim_cluster.h"
#include "tacit/wire.h"

#define EVENTS_PER_TURN 64u

static uint32_t draw(void *context, uint32_t bound)
{
    return choice_u32(context, bound);
}

static struct tacit_client_config client_config(const struct sim_cluster *cluster,
                                                const struct sim_process *process)
{
    const struct tacit_smr_config *smr = &cluster->shape.smr;
    bool byzantine = sim_is_byzantine(&cluster->shape);
    // Some wait longer for who led when they asked last.
    bool is_patient = cluster->shape.patience_ns != 0 && process->id % 2 == 1;
    return (struct tacit_client_config){
        .replicas = smr->replicas,
        .request_bytes = smr->request_bytes,
        .reply_bytes = smr->reply_bytes,
        .ring_slots = smr->ring_slots,
        .sessions = cluster->shape.client_sessions,
        .pipeline = cluster->shape.client_pipeline,
        .retry_ns = is_patient ? cluster->shape.patience_ns : 300000,
        .retry_max_ns = 5000000,
        .first_nonce = (uint64_t)process->incarnation << 32,
        .draw = draw,
        .draw_context = cluster->choice,
        .byzantine = byzantine,
        .faults = (uint8_t)(byzantine ? (smr->replicas - 1) / 2 : 0),
        .client_id = (uint16_t)process->id,
        .signer = byzantine ? &process->signer->signer : NULL,
    };
}

void sim_client_start(struct sim_cluster *cluster, struct sim_process *process)
{
    if (sim_is_byzantine(&cluster->shape)) {
        (void)sim_process_signer(cluster, process);
    }
    struct tacit_client_config config = client_config(cluster, process);
    struct tacit_error error = {0};
    if (tacit_client_config_check(&config, &error) != TACIT_OK) {
        checker_group_fail(cluster->checker, "the client refuses its configuration: %s",
                           error.text);
        return;
    }
    sim_process_memory(process, tacit_client_size(&config));
    memset(process->session, 0, sizeof process->session);
    process->staged = CHECKER_OPS;
    process->outstanding = 0;
    process->submit_ns = 0;
    tacit_client_init(&process->client, process->memory, &config, &process->node->fabric);
}

bool sim_client_done(const struct sim_process *process)
{
    return process->to_submit == 0 && process->outstanding == 0 && process->staged == CHECKER_OPS;
}

void sim_clients_more(struct sim_cluster *cluster, uint32_t operations)
{
    uint32_t first = cluster->shape.smr.replicas + cluster->shape.smr.memnodes;
    for (uint32_t i = first; i < cluster->processes; i++) {
        cluster->process[i].to_submit += operations;
        sim_poll_at(cluster, i, cluster->net->now_ns);
    }
}

static struct sim_client_session *session_of(struct sim_process *process, uint32_t handle)
{
    for (uint32_t i = 0; i < SIM_CLIENT_SESSIONS; i++) {
        if (process->session[i].used && process->session[i].handle == handle) {
            return &process->session[i];
        }
    }
    return NULL;
}

static void handle_event(struct sim_cluster *cluster, struct sim_process *process,
                         const struct tacit_client_event *event)
{
    struct sim_client_session *session = session_of(process, event->session);
    if (session == NULL) {
        if (sim_is_faulty(cluster, process->node->slot)) {
            return;
        }
        checker_group_fail(cluster->checker, "client %u: event %u of an unknown session",
                           process->id, event->kind);
        return;
    }
    switch (event->kind) {
    case TACIT_CLIENT_OPENED:
        session->open = true;
        break;
    case TACIT_CLIENT_CLOSED:
        if (session->outstanding != 0 && !sim_is_faulty(cluster, process->node->slot)) {
            checker_group_fail(cluster->checker, "client %u: a session ended before its requests",
                               process->id);
        }
        memset(session, 0, sizeof *session);
        break;
    default:
        if (session->outstanding == 0 && sim_is_faulty(cluster, process->node->slot)) {
            return;
        }
        if (session->outstanding == 0) {
            checker_group_fail(cluster->checker, "client %u: a result that nobody waits for",
                               process->id);
            return;
        }
        session->outstanding--;
        process->outstanding--;
        process->submit_ns = cluster->net->now_ns;
        if (cluster->shape.think_ns != 0) {
            process->submit_ns += choice_u32(cluster->choice, 2 * cluster->shape.think_ns);
        }
        if (sim_is_faulty(cluster, process->node->slot)) {
            return; // what it got for what is nobody's concern
        }
        if (event->status == TACIT_OK && event->number >> 62 == 1) {
            checker_answer(cluster->checker, (uint32_t)event->token, cluster->net->now_ns,
                           event->index, event->body, event->body_bytes);
        } else if (event->status == TACIT_OK) {
            checker_acknowledge(cluster->checker, (uint32_t)event->token, event->wire_session,
                                event->number, cluster->net->now_ns, event->index, event->body,
                                event->body_bytes);
        } else if (event->status == TACIT_ETOOBIG) {
            checker_group_fail(cluster->checker, "client %u: a request was refused as too large",
                               process->id);
        }
    }
}

static void open_sessions(struct sim_cluster *cluster, struct sim_process *process, uint64_t now_ns)
{
    for (uint32_t i = 0; i < cluster->shape.client_sessions; i++) {
        struct sim_client_session *session = &process->session[i];
        if (!session->used && (process->to_submit > 0 || process->staged != CHECKER_OPS)) {
            session->last = CHECKER_OPS;
            session->used =
                tacit_client_session_open(process->client, i, now_ns, &session->handle) == TACIT_OK;
        }
    }
}

static uint32_t draw_operation(struct sim_cluster *cluster, struct sim_process *process)
{
    struct choice *choice = cluster->choice;
    uint32_t type = choice_u32(choice, 3);
    bool read = choice_u32(choice, 8) < cluster->shape.read_share;
    struct checker_op op = {.client = process->id,
                            .kind = (uint8_t)(type + (read ? CHECKER_GET_COUNTER : 0)),
                            .key = (uint8_t)choice_u32(choice, cluster->shape.keys),
                            .call_ns = cluster->net->now_ns};
    size_t count;
    (void)checker_ops(cluster->checker, &count);
    op.argument = (uint32_t)count + 1; // unique tokens and values
    return checker_submit(cluster->checker, &op);
}

// False when no session can take it now.
static bool submit(struct sim_cluster *cluster, struct sim_process *process, uint64_t now_ns)
{
    struct choice *choice = cluster->choice;
    uint32_t first = choice_u32(choice, cluster->shape.client_sessions);
    for (uint32_t i = 0; i < cluster->shape.client_sessions; i++) {
        struct sim_client_session *session =
            &process->session[(first + i) % cluster->shape.client_sessions];
        if (!session->open || session->closing ||
            session->outstanding >= cluster->shape.client_pipeline) {
            continue;
        }
        size_t count;
        const struct checker_op *op = &checker_ops(cluster->checker, &count)[process->staged];
        uint8_t body[CHECKER_BODY_BYTES + 256] = {0};
        size_t bytes = CHECKER_BODY_BYTES + choice_u32(choice, cluster->shape.padding + 1);
        checker_body_encode(body, op, process->staged);
        bool is_read = !sim_is_byzantine(&cluster->shape) && checker_kind_reads(op->kind) &&
                       cluster->shape.smr.lease_ns != 0;
        enum tacit_status status = is_read
                                       ? tacit_client_read(process->client, session->handle, body,
                                                           bytes, process->staged, now_ns)
                                       : tacit_client_submit(process->client, session->handle, body,
                                                             bytes, process->staged, now_ns);
        if (status != TACIT_OK) {
            continue;
        }
        if (is_read) {
            checker_read_after(cluster->checker, process->staged, session->last);
        } else {
            session->last = process->staged;
        }
        process->staged = CHECKER_OPS;
        process->outstanding++;
        session->outstanding++;
        session->submitted++;
        if (cluster->shape.session_length != 0 &&
            session->submitted >= cluster->shape.session_length) {
            session->closing =
                tacit_client_session_close(process->client, session->handle, now_ns) == TACIT_OK;
        }
        return true;
    }
    return false;
}

void sim_client_poll(struct sim_cluster *cluster, struct sim_process *process)
{
    uint64_t now_ns = sim_local_ns(cluster, process);
    struct tacit_client_event event;
    for (uint32_t i = 0; i < EVENTS_PER_TURN; i++) {
        if (!tacit_client_poll(process->client, now_ns, &event)) {
            break;
        }
        handle_event(cluster, process, &event);
    }
    open_sessions(cluster, process, now_ns);
    while (cluster->net->now_ns >= process->submit_ns) {
        if (process->staged == CHECKER_OPS && process->to_submit > 0) {
            process->staged = draw_operation(cluster, process);
            process->to_submit = process->staged == CHECKER_OPS ? 0 : process->to_submit - 1;
        }
        if (process->staged == CHECKER_OPS || !submit(cluster, process, now_ns)) {
            break;
        }
    }
    const char *broken = tacit_client_check(process->client);
    if (broken != NULL) {
        checker_group_fail(cluster->checker, "client %u: %s", process->id, broken);
    }
}
