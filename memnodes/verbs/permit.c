// SPDX-License-Identifier: Apache-2.0
//
// Who may write a log here, and how a plane that was interrupted comes back.
//
// Permission (contract 4 and 5), on a device that is known to honour what follows; probe.c finds
// out, and the other ways are at `enum tacit_verbs_permission`. The data plane's queue pair of a
// replica may be written through only while that replica is the holder. Grant: the access flag is
// added, which every device does at once. Revoke: the queue pair is *stopped* for good
// (tacit_verbs_qp_stop), and a new one takes its place. What looks cheaper is no strict barrier
// everywhere: on Soft-RoCE, writes that had been checked landed after the flag had been taken away;
// and a queue pair that is reset or destroyed while writes arrive answers nothing any more, or
// worse.
//
// Coming back. Both ends get a new queue pair, so nothing of before can be taken for something of
// after:
//   host  stops; makes a new one, not started;  CYCLE {round, number, floor}
//   peer  everything under way gets a result; starts a new one;  CYCLED {round, number, packet}
//   host  destroys the old one, to which nothing is sent any more; starts its own, rights as of
//   now;
//         OPEN {round, floor, grant}
//   peer  may post again
// A peer whose operation failed sends BROKEN, and the same follows. A peer that does not play along
// loses its own plane and nothing else; neither grant nor revoke waits for it.
//
// Generations. The device knows rights, not numbers, so the peer compares those: it posts what
// names the grant that the host told it of (GRANT, OPEN, READY), refuses what is older (the floor),
// and asks about any other number (QUERY), because a process may learn of its grant by other ways
// before GRANT has arrived. An operation of an older grant therefore never gets to the wire after a
// new grant to the same peer; and between a revocation and its CYCLE nothing answers.
#include <assert.h>

#include "internal.h"

static bool is_holder(const struct tacit_verbs *v, const struct verbs_link *link)
{
    return link->node == v->holder && link->incarnation == v->holder_incarnation;
}

// Where there is no log, or on a client's link, no permission moves.
static bool is_permitted(const struct tacit_verbs *v, const struct verbs_link *link, unsigned plane)
{
    return plane != TACIT_PLANE_DATA || link->kind == TACIT_VERBS_CLIENT ||
           v->layout.log_bytes == 0 || is_holder(v, link);
}

static int access_of(bool may_write)
{
    return IBV_ACCESS_REMOTE_READ | (may_write ? IBV_ACCESS_REMOTE_WRITE : 0);
}

void tacit_verbs_permit_news(struct tacit_verbs *v, const struct verbs_link *link,
                             struct verbs_plane_news *news)
{
    bool holds = is_holder(v, link);
    news->granted = holds ? v->generation : 0;
    news->floor = holds ? v->generation : v->generation + 1;
}

bool tacit_verbs_permit_open(struct tacit_verbs *v, struct verbs_link *link, unsigned plane)
{
    struct verbs_host_plane *host = &link->host[plane];
    bool may_write = is_permitted(v, link, plane);
    if (host->qp == NULL ||
        !tacit_verbs_qp_start(&link->path, host->qp, access_of(may_write), host->peer_qpn,
                              host->peer_psn, 0, v->timeout_exponent)) {
        return false;
    }
    host->open = true;
    host->may_write = may_write;
    return true;
}

// Ends a connection from outside of its own messages.
static void end_link(struct tacit_verbs *v, struct verbs_link *link)
{
    if (link->connection != NULL) {
        tacit_verbs_connection_end(v, link->connection);
    }
}

// From the return of this on, nothing of that peer lands through the plane. False: the device
// refused, and nothing can be promised.
static bool host_stop(const struct tacit_verbs *v, struct verbs_host_plane *host)
{
    if (!host->open) {
        return true; // not started
    }
    host->open = false;
    host->may_write = false;
    host->round++;
    if (v->facts.permission != TACIT_VERBS_PERMISSION_DESTROY && tacit_verbs_qp_stop(host->qp)) {
        host->old = host->qp;
        host->qp = NULL;
        return true;
    }
    return tacit_verbs_qp_end(&host->qp); // has to wait for what is being placed, too
}

bool tacit_verbs_host_renew(struct verbs_host_plane *host)
{
    host->qp = tacit_verbs_qp_make(host->pd, host->cq, 1, TACIT_VERBS_MARKERS);
    return host->qp != NULL;
}

static bool send_cycle(struct tacit_verbs *v, struct verbs_link *link, unsigned plane)
{
    struct verbs_message message = {.type = TACIT_VERBS_CYCLE};
    struct verbs_host_plane *host = &link->host[plane];
    if (!tacit_verbs_host_renew(host)) {
        return false;
    }
    message.news.plane = plane;
    message.news.round = host->round;
    message.news.qpn = host->qp->qp_num;
    tacit_verbs_permit_news(v, link, &message.news);
    message.news.granted = 0;
    atomic_fetch_add(&v->count.planes_cycled, 1);
    return tacit_verbs_send(v, link->connection, &message);
}

// Takes the permission away; false: the device cannot be brought to do it.
static bool take_away(struct tacit_verbs *v, uint64_t generation)
{
    struct verbs_link *link = tacit_verbs_link(v, v->holder);
    bool held = link != NULL && link->connection != NULL && is_holder(v, link);
    v->holder = TACIT_NODE_NONE;
    v->generation = generation;
    atomic_store(&v->self_generation, 0); // before the notice: see write_self() in post.c
    if (!held || !link->host[TACIT_PLANE_DATA].open) {
        return true;
    }
    if (!host_stop(v, &link->host[TACIT_PLANE_DATA])) {
        tacit_verbs_report(v, TACIT_VERBS_REPORT_RESOURCE,
                           "The RDMA device does not take back the permission of node %u.",
                           link->node);
        return false;
    }
    if (!send_cycle(v, link, TACIT_PLANE_DATA)) {
        end_link(v, link);
    }
    return true;
}

void tacit_verbs_permit_revoke(struct tacit_verbs *v, const struct verbs_command *command)
{
    if (take_away(v, command->generation)) {
        tacit_verbs_notice(v, TACIT_EVENT_REVOKED, command->generation);
    }
}

void tacit_verbs_permit_grant(struct tacit_verbs *v, const struct verbs_command *command)
{
    if (v->holder != TACIT_NODE_NONE && !take_away(v, command->generation)) {
        return;
    }
    v->holder = command->node;
    v->holder_incarnation = command->incarnation;
    v->generation = command->generation;
    if (v->holder == v->base.self && v->holder_incarnation == v->base.incarnation) {
        atomic_store(&v->self_generation, command->generation);
    }
    // A plane that is not open now gets its rights when it opens.
    struct verbs_link *link = tacit_verbs_link(v, command->node);
    struct verbs_host_plane *host = link == NULL ? NULL : &link->host[TACIT_PLANE_DATA];
    if (host != NULL && link->connection != NULL && is_holder(v, link) && host->open) {
        struct verbs_message message = {.type = TACIT_VERBS_GRANT};
        tacit_verbs_permit_news(v, link, &message.news);
        if (v->facts.permission == TACIT_VERBS_PERMISSION_FLAGS &&
            tacit_verbs_qp_allow(host->qp, access_of(true))) {
            host->may_write = true;
            if (!tacit_verbs_send(v, link->connection, &message)) {
                end_link(v, link);
            }
        } else if (!host_stop(v, host) || !send_cycle(v, link, TACIT_PLANE_DATA)) {
            end_link(v, link); // the device does not change flags, in this state or ever, and more
        }
    }
    tacit_verbs_notice(v, TACIT_EVENT_GRANTED, command->generation);
}

// ---- the peer's end
// ---------------------------------------------------------------------------------

bool tacit_verbs_plane_renew(struct tacit_verbs *v, struct verbs_plane *plane)
{
    plane->qp = tacit_verbs_qp_make(v->pd, plane->cq, TACIT_VERBS_WORK, 1);
    plane->psn = tacit_verbs_psn();
    return plane->qp != NULL;
}

void tacit_verbs_plane_stop(struct verbs_plane *plane)
{
    (void)tacit_verbs_qp_end(&plane->qp);
    plane->state = TACIT_VERBS_PLANE_CLOSED;
    plane->staged_count = 0; // never went out
    plane->epoch++;
    for (; plane->ended != plane->next; plane->ended++) {
        struct verbs_op *op = &plane->ops[plane->ended % TACIT_VERBS_OPS];
        if (op->state == TACIT_VERBS_OP_POSTED) {
            bool as_holder = (op->flags & TACIT_OP_AS_HOLDER) != 0;
            bool denied = as_holder && (plane->denied || op->generation < plane->floor);
            op->state = TACIT_VERBS_OP_ENDED;
            op->status = denied ? TACIT_COMPLETION_DENIED : TACIT_COMPLETION_LOST;
        }
    }
    plane->denied = false;
}

static bool take_cycle(struct tacit_verbs *v, struct verbs_link *link,
                       const struct verbs_plane_news *news)
{
    struct verbs_plane *plane = &link->plane[news->plane];
    struct verbs_message reply = {.type = TACIT_VERBS_CYCLED, .news = {.plane = news->plane}};
    (void)pthread_mutex_lock(&link->lock);
    tacit_verbs_harvest(v, plane);
    plane->floor = news->floor;
    plane->granted = 0;
    plane->round = news->round;
    plane->host_qpn = news->qpn;
    tacit_verbs_plane_stop(plane);
    bool started = tacit_verbs_plane_renew(v, plane) &&
                   tacit_verbs_qp_start(&link->path, plane->qp, 0, plane->host_qpn, 0, plane->psn,
                                        v->timeout_exponent);
    reply.news.round = plane->round;
    reply.news.qpn = started ? plane->qp->qp_num : 0;
    reply.news.psn = plane->psn;
    (void)pthread_mutex_unlock(&link->lock);
    atomic_fetch_add(&v->count.planes_renewed, 1);
    tacit_verbs_wake_sleeper(v);
    return started && tacit_verbs_send(v, link->connection, &reply);
}

static void take_open(struct verbs_link *link, const struct verbs_plane_news *news)
{
    struct verbs_plane *plane = &link->plane[news->plane];
    (void)pthread_mutex_lock(&link->lock);
    if (plane->state == TACIT_VERBS_PLANE_CLOSED && plane->round == news->round) {
        plane->state = TACIT_VERBS_PLANE_OPEN;
        plane->floor = news->floor;
        plane->granted = news->granted;
    }
    (void)pthread_mutex_unlock(&link->lock);
}

static void take_grant(struct verbs_link *link, const struct verbs_plane_news *news)
{
    struct verbs_plane *plane = &link->plane[TACIT_PLANE_DATA];
    (void)pthread_mutex_lock(&link->lock);
    plane->floor = news->floor;
    plane->granted = news->granted;
    (void)pthread_mutex_unlock(&link->lock);
}

static void take_answer(struct verbs_link *link, const struct verbs_plane_news *news)
{
    struct verbs_plane *plane = &link->plane[TACIT_PLANE_DATA];
    (void)pthread_mutex_lock(&link->lock);
    plane->floor = news->floor;
    plane->granted = news->granted;
    if (plane->asked == news->asked) {
        plane->refused = news->granted == news->asked ? 0 : news->asked;
        plane->asked = 0;
    }
    (void)pthread_mutex_unlock(&link->lock);
}

// ---- the host's end
// ---------------------------------------------------------------------------------

static bool take_cycled(struct tacit_verbs *v, struct verbs_link *link,
                        const struct verbs_plane_news *news)
{
    struct verbs_host_plane *host = &link->host[news->plane];
    if (!link->announced || host->open || news->round != host->round) {
        return link->announced; // an answer to an older CYCLE; the newer one is under way
    }
    struct verbs_message reply = {.type = TACIT_VERBS_OPEN};
    host->peer_qpn = news->qpn;
    host->peer_psn = news->psn;
    (void)tacit_verbs_qp_end(&host->old);
    if (!tacit_verbs_permit_open(v, link, news->plane)) {
        return false;
    }
    tacit_verbs_permit_news(v, link, &reply.news);
    reply.news.plane = news->plane;
    reply.news.round = host->round;
    return tacit_verbs_send(v, link->connection, &reply);
}

static bool take_broken(struct tacit_verbs *v, struct verbs_link *link,
                        const struct verbs_plane_news *news)
{
    struct verbs_host_plane *host = &link->host[news->plane];
    if (!host->open || news->round != host->round) {
        return true; // being replaced already
    }
    return host_stop(v, host) && send_cycle(v, link, news->plane);
}

static bool take_query(struct tacit_verbs *v, struct verbs_link *link,
                       const struct verbs_plane_news *news)
{
    struct verbs_message reply = {.type = TACIT_VERBS_ANSWER, .news = {.asked = news->asked}};
    tacit_verbs_permit_news(v, link, &reply.news);
    return tacit_verbs_send(v, link->connection, &reply);
}

bool tacit_verbs_permit_message(struct tacit_verbs *v, struct verbs_link *link,
                                const struct verbs_message *message)
{
    switch (message->type) {
    case TACIT_VERBS_BROKEN:
        return link->is_reached && take_broken(v, link, &message->news);
    case TACIT_VERBS_CYCLED:
        return link->is_reached && take_cycled(v, link, &message->news);
    case TACIT_VERBS_CYCLE:
        return link->reaches && take_cycle(v, link, &message->news);
    case TACIT_VERBS_OPEN:
        if (link->reaches) {
            take_open(link, &message->news);
            tacit_verbs_wake_sleeper(v); // bells may be owed
        }
        return link->reaches;
    case TACIT_VERBS_GRANT:
        if (link->reaches) {
            take_grant(link, &message->news);
        }
        return link->reaches;
    case TACIT_VERBS_QUERY:
        return link->is_reached && take_query(v, link, &message->news);
    case TACIT_VERBS_ANSWER:
        if (link->reaches) {
            take_answer(link, &message->news);
        }
        return link->reaches;
    case TACIT_VERBS_HELLO:
    case TACIT_VERBS_REGIONS:
    case TACIT_VERBS_READY:
    case TACIT_VERBS_GONE:
    case TACIT_VERBS_GONE_ACK:
    case TACIT_VERBS_PING:
    case TACIT_VERBS_TOLD:
    case TACIT_VERBS_TYPES:
    default:
        return false;
    }
}

bool tacit_verbs_permit_tick(struct tacit_verbs *v, struct verbs_link *link)
{
    for (unsigned p = 0; p < TACIT_PLANES && link->reaches; p++) {
        struct verbs_plane *plane = &link->plane[p];
        struct verbs_message message = {.type = TACIT_VERBS_BROKEN, .news = {.plane = p}};
        (void)pthread_mutex_lock(&link->lock);
        bool asks = plane->state == TACIT_VERBS_PLANE_BROKEN;
        if (asks) {
            plane->state = TACIT_VERBS_PLANE_ASKED;
            message.news.round = plane->round;
        }
        struct verbs_message query = {.type = TACIT_VERBS_QUERY, .news = {.asked = plane->asked}};
        bool queries = plane->ask_due;
        plane->ask_due = false;
        (void)pthread_mutex_unlock(&link->lock);
        if ((asks && !tacit_verbs_send(v, link->connection, &message)) ||
            (queries && !tacit_verbs_send(v, link->connection, &query))) {
            return false;
        }
    }
    return true;
}
