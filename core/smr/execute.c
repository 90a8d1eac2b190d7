// SPDX-License-Identifier: Apache-2.0
//
// Executing decided batches, in order, on every replica alike: sessions, membership, the
// application; and answering those who asked this replica. Session order is judged here and nowhere
// else.
#include <string.h>

#include "../base/bug.h"
#include "internal.h"

static void reply_to(struct tacit_smr *smr, tacit_node_t to, uint8_t kind, uint64_t session,
                     uint64_t number, tacit_index_t index)
{
    struct tacit_wire_reply reply = {.kind = kind,
                                     .leader = (uint8_t)smr->config.self,
                                     .session = session,
                                     .number = number,
                                     .index = index};
    tacit_smr_reply(smr, to, &reply);
}

static void execute_open(struct tacit_smr *smr, tacit_index_t index,
                         const struct tacit_wire_item *item, tacit_node_t asker)
{
    bool displaced;
    const struct tacit_session *session =
        tacit_sessions_open(&smr->sessions, item->subject, item->number, &displaced);
    if (session == NULL) { // a replay, or a nonce that another session of this client has overtaken
        reply_to(smr, asker, TACIT_REPLY_CLOSED,
                 tacit_sessions_floor(&smr->sessions, item->subject), item->number, index);
        if (tacit_smr_is_byzantine(smr)) {
            tacit_requests_opened(smr->byzantine.requests, item->subject, 0, item->number,
                                  smr->now_ns);
        }
        return;
    }
    if (displaced) {
        tacit_mark(&smr->marker, TACIT_MARK_SESSION_CLOSED_OLDEST);
    }
    if (tacit_smr_is_byzantine(smr)) {
        tacit_requests_opened(smr->byzantine.requests, item->subject, session->number, item->number,
                              smr->now_ns);
    }
    reply_to(smr, asker, TACIT_REPLY_RESULT, session->number, item->number, index);
}

static void execute_apply(struct tacit_smr *smr, tacit_index_t index,
                          const struct tacit_wire_item *item, tacit_node_t asker)
{
    struct tacit_session *session =
        tacit_sessions_find(&smr->sessions, item->subject, item->session);
    if (session == NULL) {
        reply_to(smr, asker, TACIT_REPLY_CLOSED, item->session, item->number, index);
        return;
    }
    bool again = TACIT_BUG(DUPLICATE_EXECUTED) && item->number == session->last;
    if (item->number != session->last + 1 && !again) {
        // A repetition, or out of order: no effect, no trace.
        if (item->number <= session->last) {
            tacit_smr_reply_kept(smr, asker, session, item->number);
        }
        return;
    }
    struct tacit_request request = {.bytes = item->body,
                                    .size = item->body_bytes,
                                    .index = index,
                                    .client = item->subject,
                                    .session = item->session};
    size_t bytes = smr->app->apply(&smr->app_host, &request, smr->reply, smr->config.reply_bytes);
    TACIT_ASSERT(bytes <= smr->config.reply_bytes);
    struct tacit_wire_reply reply = {.kind = TACIT_REPLY_RESULT,
                                     .leader = (uint8_t)smr->config.self,
                                     .session = item->session,
                                     .number = item->number,
                                     .index = index,
                                     .body = smr->reply,
                                     .body_bytes = (uint32_t)bytes};
    smr->full_wanted =
        tacit_smr_is_byzantine(smr) &&
        tacit_requests_is_full(smr->byzantine.requests, item->subject, item->session, item->number);
    tacit_smr_reply(smr, asker, &reply); // before what is only kept: the client waits for it
    smr->full_wanted = false;
    tacit_sessions_executed(&smr->sessions, session, item->number, index, smr->reply,
                            (uint32_t)bytes);
    smr->counters.executed++;
    if (smr->probe.executed != NULL) {
        smr->probe.executed(smr->probe.context, index, item->subject, item->session, item->number,
                            smr->reply, bytes);
    }
    if (tacit_smr_is_byzantine(smr)) {
        tacit_requests_executed(smr->byzantine.requests, item->subject, item->session, item->number,
                                smr->now_ns);
    }
}

size_t tacit_smr_query(struct tacit_smr *smr, const struct tacit_request *request)
{
    size_t bytes = smr->app->query(&smr->app_host, request, smr->reply, smr->config.reply_bytes);
    TACIT_ASSERT(bytes <= smr->config.reply_bytes);
    return bytes;
}

// Only for who asked this replica; the others have nothing to do.
static void execute_read(struct tacit_smr *smr, tacit_index_t index,
                         const struct tacit_wire_item *item, tacit_node_t asker)
{
    if (asker == TACIT_NODE_NONE || smr->app->query == NULL) {
        return;
    }
    if (tacit_sessions_find(&smr->sessions, item->subject, item->session) == NULL) {
        reply_to(smr, asker, TACIT_REPLY_CLOSED, item->session, item->number, index);
        return;
    }
    struct tacit_request request = {.bytes = item->body,
                                    .size = item->body_bytes,
                                    .index = index,
                                    .client = item->subject,
                                    .session = item->session};
    struct tacit_wire_reply reply = {.kind = TACIT_REPLY_RESULT,
                                     .leader = (uint8_t)smr->config.self,
                                     .session = item->session,
                                     .number = item->number,
                                     .index = index,
                                     .body = smr->reply,
                                     .body_bytes = (uint32_t)tacit_smr_query(smr, &request)};
    smr->counters.reads_ordered++;
    tacit_mark(&smr->marker, TACIT_MARK_READ_ORDERED);
    tacit_smr_reply(smr, asker, &reply);
}

static void execute_close(struct tacit_smr *smr, tacit_index_t index,
                          const struct tacit_wire_item *item, tacit_node_t asker)
{
    struct tacit_session *session =
        tacit_sessions_find(&smr->sessions, item->subject, item->session);
    if (session != NULL) {
        tacit_sessions_close(&smr->sessions, session);
    }
    if (tacit_smr_is_byzantine(smr)) {
        tacit_requests_closed(smr->byzantine.requests, item->subject, item->session, smr->now_ns);
    }
    reply_to(smr, asker, TACIT_REPLY_RESULT, item->session, item->number, index);
}

void tacit_smr_seat_changed(struct tacit_smr *smr, tacit_node_t seat)
{
    tacit_crash_membership(&smr->crash, seat);
    smr->admitting[seat] = 0;
    if (seat == smr->config.self &&
        tacit_sessions_member(&smr->sessions, seat) != smr->config.incarnation) {
        tacit_smr_deactivate(smr);
    }
}

static void execute_membership(struct tacit_smr *smr, const struct tacit_wire_item *item)
{
    tacit_node_t node = item->subject;
    struct tacit_members *members = smr->sessions.members;
    struct tacit_seats seats = tacit_smr_seats(smr);
    if (!tacit_seats_has(&seats, node)) {
        smr->counters.unexpected++;
        return;
    }
    uint64_t now = members->incarnation[node];
    if (item->kind == TACIT_ITEM_REMOVE) {
        if (now == item->number) {
            tacit_sessions_admit(&smr->sessions, node, 0);
            tacit_smr_removed(smr, node);
        }
    } else if (now == item->session && item->number > now &&
               tacit_members_may_follow(members, &seats, node, item->number)) {
        // Replaces exactly the incarnation that its proposer saw: a repetition changes nothing.
        bool is_change = tacit_seat_is_change(members->seat[node], item->number);
        tacit_sessions_admit(&smr->sessions, node, (tacit_incarnation_t)item->number);
        tacit_members_seat(members, node, item->number);
        tacit_mark(&smr->marker, TACIT_MARK_ADMITTED);
        if (is_change) {
            tacit_mark(&smr->marker, TACIT_MARK_SPARE_SEATED);
        }
    }
    tacit_smr_seat_changed(smr, node);
}

void tacit_smr_execute_batch(struct tacit_smr *smr, tacit_index_t index, const uint8_t *batch,
                             size_t bytes)
{
    size_t offset = 0;
    uint32_t number = 0;
    struct tacit_wire_item item;
    // Only what was proposed in this term: at the same index another leader may have put something
    // else.
    bool mine = smr->askers_term == smr->crash.term &&
                smr->askers_index[index % smr->askers_rows] == index + 1;
    const tacit_node_t *askers = tacit_smr_askers(smr, index);
    smr->askers_index[index % smr->askers_rows] = 0;
    if (smr->probe.decided != NULL) {
        smr->probe.decided(smr->probe.context, index, batch, bytes);
    }
    smr->counters.decided++;
    while (tacit_wire_item_decode(&item, batch, bytes, &offset) == TACIT_VERDICT_OK) {
        uint32_t limit = smr->config.batch_requests + TACIT_BATCH_EXTRA;
        tacit_node_t asker = mine && number < limit ? askers[number] : TACIT_NODE_NONE;
        // Its connection may have gone, and the place be another client's by now.
        if (asker != TACIT_NODE_NONE &&
            smr->clients[asker - TACIT_NODE_CLIENT].id != item.subject) {
            asker = TACIT_NODE_NONE;
        }
        number++;
        if (tacit_smr_is_byzantine(smr)) { // every replica answers every client
            asker = item.kind == TACIT_ITEM_ORDER ? tacit_smr_epoch_asker(smr, item.number)
                                                  : tacit_smr_client_node(smr, item.subject);
            if (item.kind == TACIT_ITEM_REPLACE) {
                tacit_smr_epoch_change(smr, index, &item);
                continue;
            }
            if (item.kind > TACIT_ITEM_CLOSE && item.kind != TACIT_ITEM_ORDER) {
                smr->counters.unexpected++;
                continue;
            }
        }
        switch (item.kind) {
        case TACIT_ITEM_OPEN:
            execute_open(smr, index, &item, asker);
            break;
        case TACIT_ITEM_APPLY:
            execute_apply(smr, index, &item, asker);
            break;
        case TACIT_ITEM_CLOSE:
            execute_close(smr, index, &item, asker);
            break;
        case TACIT_ITEM_READ:
            execute_read(smr, index, &item, asker);
            break;
        case TACIT_ITEM_ORDER:
            tacit_smr_execute_order(smr, index, &item, asker);
            break;
        case TACIT_ITEM_ADMIT:
        case TACIT_ITEM_REMOVE:
            execute_membership(smr, &item);
            break;
        default:
            smr->counters.unexpected++;
            break;
        }
    }
}

bool tacit_smr_execute(struct tacit_smr *smr)
{
    bool worked = false;
    uint32_t length;
    const uint8_t *batch;
    for (uint32_t budget = 64; budget > 0 && smr->state_valid; budget--) {
        batch = tacit_crash_next(&smr->crash, &length);
        if (batch == NULL) {
            break;
        }
        TACIT_ASSERT(smr->crash.applied == smr->applied);
        tacit_index_t index = smr->applied;
        // Counted first: membership entries in the batch may stop the engine.
        tacit_crash_executed(&smr->crash);
        smr->applied++;
        tacit_smr_execute_batch(smr, index, batch, length);
        worked = true;
    }
    if (worked && smr->active) {
        tacit_word_store(smr->page, TACIT_PAGE_APPLIED, smr->applied);
    }
    return worked;
}
