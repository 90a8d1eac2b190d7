// SPDX-License-Identifier: Apache-2.0
//
// See standby.h.
#include "standby.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../client/channel.h"
#include "log.h"
#include "tacit/wire.h"

#define ASK_NS 10000000u   // between two questions
#define ANSWER_NS 2000000u // an answer mostly takes less
#define ASKS_MOST 50u      // by who wants to know whether it was replaced
// Spares take dead seats in order of their ids; one that is not taken for so long is anybody's.
#define TURN_NS UINT64_C(3000000000)
#define SAY_NS UINT64_C(60000000000) // between two lines in the log that say the same
// A founder that is started again takes its seat when the group says nothing else within this.
#define FOUNDER_NS UINT64_C(2000000000)

static bool is_memnode(const struct tacit_node *node)
{
    return node->file.role == TACIT_CONFIG_MEMNODE || node->file.role == TACIT_CONFIG_SPARE_MEMNODE;
}

bool tacit_standby_is_needed(const struct tacit_node *node)
{
    char path[TACIT_CONFIG_PATH_BYTES + 16];
    const struct tacit_config_member *self =
        tacit_config_member(&node->config, node->file.role, node->file.id);
    (void)snprintf(path, sizeof path, "%s/joined", node->file.state_dir);
    return tacit_node_is_spare(node) ||
           (self->client != TACIT_CONFIG_NO_CLIENT && access(path, F_OK) == 0);
}

// ---- which seat
// ----------------------------------------------------------------------------------------

static bool sits(const struct tacit_wire_members *members, tacit_node_t first, uint32_t body,
                 tacit_node_t *seat)
{
    for (tacit_node_t i = first; i < first + TACIT_NODE_MEMNODE; i++) {
        if (members->seat[i] != 0 && tacit_incarnation_body(members->seat[i]) == body) {
            *seat = i;
            return true;
        }
    }
    return false;
}

static void take(const struct tacit_wire_members *members, tacit_node_t first, tacit_node_t at,
                 uint32_t body, uint32_t later, struct tacit_node_seat *seat)
{
    seat->id = (uint16_t)(at - first);
    seat->generation = (uint8_t)(tacit_incarnation_generation(members->seat[at]) + later);
    seat->body = (uint8_t)body;
}

// Free spares of the role with smaller ids.
static uint32_t rank_of(const struct tacit_wire_members *members, tacit_node_t first, uint32_t body)
{
    uint32_t rank = 0;
    tacit_node_t seat;
    for (uint32_t other = 1; other < body; other++) {
        bool barred = (members->barred & tacit_body_bit(first, other)) != 0;
        rank += !barred && !sits(members, first, other, &seat);
    }
    return rank;
}

// A seat whose member is dead, and for which nobody else is ordered.
static bool is_free(const struct tacit_wire_members *members, tacit_node_t seat)
{
    return (members->dead >> seat & 1u) != 0 && members->seat[seat] != 0 &&
           tacit_incarnation_body(members->seat[seat]) != TACIT_BODY_VACANT &&
           members->ordered[seat] == 0 &&
           tacit_incarnation_generation(members->seat[seat]) < TACIT_GENERATION_MAX;
}

bool tacit_standby_choose(const struct tacit_wire_members *members, tacit_node_t first,
                          tacit_node_t own, uint32_t body, bool waited,
                          struct tacit_node_seat *seat)
{
    tacit_node_t at;
    if (body == 0 ? tacit_incarnation_body(members->seat[own]) == 0
                  : sits(members, first, body, &at)) {
        take(members, first, body == 0 ? own : at, body, 0, seat); // it is the member, restarted
        return true;
    }
    if ((members->barred & tacit_body_bit(own, body)) != 0) {
        return false;
    }
    for (at = first; at < first + TACIT_NODE_MEMNODE; at++) {
        if (members->ordered[at] == body + 1 && (body != 0 || at == own)) {
            take(members, first, at, body, 1, seat);
            return true;
        }
    }
    uint32_t rank = body == 0 || waited ? 0 : rank_of(members, first, body);
    for (at = first; at < first + TACIT_NODE_MEMNODE; at++) {
        if (is_free(members, at) && (body != 0 || at == own) && rank-- == 0) {
            take(members, first, at, body, 1, seat);
            return true;
        }
    }
    return false;
}

// ---- standing by
// ----------------------------------------------------------------------------------------

// What is said at times while nothing happens.
static void say(const struct tacit_node *node, const struct tacit_wire_members *members, bool heard,
                tacit_node_t own, uint32_t body)
{
    if (!heard) {
        tacit_log(TACIT_LOG_INFO, "stands_by", "text=\"the group does not answer (yet)\"");
    } else if ((members->barred & tacit_body_bit(own, body)) != 0) {
        tacit_log(TACIT_LOG_WARN, "barred",
                  "text=\"this node was replaced or removed; `tacit member add %s` lets it take a "
                  "seat again\"",
                  node->name);
    } else {
        tacit_log(TACIT_LOG_INFO, "stands_by", "epoch=%llu", (unsigned long long)members->epoch);
    }
}

static void stand_by(struct tacit_node *node, struct tacit_channel *channel,
                     const volatile sig_atomic_t *stopped)
{
    tacit_node_t first = is_memnode(node) ? TACIT_NODE_MEMNODE : 0;
    uint32_t body = tacit_node_is_spare(node) ? node->file.id : 0;
    tacit_node_t own = (tacit_node_t)(first + (body == 0 ? node->file.id : 0));
    tacit_time_ns_t dead_ns = 0; // since when there is a free seat
    tacit_time_ns_t said_ns = 0;
    tacit_time_ns_t founder_ns = tacit_channel_now_ns(channel) + FOUNDER_NS;
    bool heard_before = false;
    while (!*stopped) {
        struct tacit_channel_event event;
        struct tacit_wire_members members;
        tacit_channel_members_ask(channel);
        (void)tacit_channel_wait(channel, ANSWER_NS, &event);
        tacit_time_ns_t now_ns = tacit_channel_now_ns(channel);
        bool heard = tacit_channel_members(channel, &members);
        bool is_any = false;
        for (tacit_node_t i = first; heard && i < first + TACIT_NODE_MEMNODE; i++) {
            is_any = is_any || is_free(&members, i);
        }
        dead_ns = !is_any ? 0 : dead_ns == 0 ? now_ns : dead_ns;
        bool waited = dead_ns != 0 && now_ns - dead_ns > TURN_NS;
        if (heard && tacit_standby_choose(&members, first, own, body, waited, &node->seat)) {
            return;
        }
        if (!heard && !heard_before && !tacit_node_is_spare(node) && now_ns > founder_ns) {
            return;
        }
        if (said_ns == 0 || now_ns - said_ns > SAY_NS || heard != heard_before) {
            say(node, &members, heard, own, body);
            said_ns = now_ns;
            heard_before = heard;
        }
        (void)tacit_channel_wait(channel, ASK_NS - ANSWER_NS, &event);
    }
}

// As a client of its own.
static enum tacit_status channel_of(const struct tacit_node *node, struct tacit_channel **channel,
                                    struct tacit_error *error)
{
    char state_dir[TACIT_CONFIG_PATH_BYTES + 16];
    char group_path[TACIT_CONFIG_PATH_BYTES + 16];
    (void)snprintf(state_dir, sizeof state_dir, "%s/standby", node->file.state_dir);
    (void)snprintf(group_path, sizeof group_path, "%s/group", node->file.state_dir);
    struct tacit_channel_options options = {
        .cluster_path = node->cluster_path,
        .key_path = node->file.key_path,
        .client_id = tacit_config_member(&node->config, node->file.role, node->file.id)->client,
        .group_path = group_path,
        .state_dir = state_dir};
    return tacit_channel_open(&options, channel, error);
}

bool tacit_standby_is_replaced(const struct tacit_node *node)
{
    struct tacit_channel *channel = NULL;
    struct tacit_channel_event event;
    struct tacit_wire_members members;
    tacit_node_t seat = (tacit_node_t)((is_memnode(node) ? TACIT_NODE_MEMNODE : 0) + node->seat.id);
    bool replaced = false;
    if (channel_of(node, &channel, NULL) != TACIT_OK) {
        return false;
    }
    for (uint32_t i = 0; i < ASKS_MOST && !replaced; i++) {
        tacit_channel_members_ask(channel);
        (void)tacit_channel_wait(channel, ASK_NS, &event);
        replaced = tacit_channel_members(channel, &members) &&
                   members.seat[seat] >> 20 != node->provider.incarnation >> 20 &&
                   tacit_incarnation_generation(members.seat[seat]) >= node->seat.generation;
    }
    tacit_channel_close(channel);
    return replaced;
}

enum tacit_status tacit_standby_wait(struct tacit_node *node, const volatile sig_atomic_t *stopped,
                                     struct tacit_error *error)
{
    struct tacit_channel *channel = NULL;
    enum tacit_status status = channel_of(node, &channel, error);
    if (status != TACIT_OK) {
        return status;
    }
    stand_by(node, channel, stopped);
    tacit_channel_close(channel);
    if (*stopped) {
        return tacit_error_set(error, TACIT_ECLOSED, 0, "%s was stopped while it stood by",
                               node->name);
    }
    tacit_log(TACIT_LOG_INFO, "seat", "seat=%s-%u generation=%u",
              is_memnode(node) ? "memnode" : "replica", node->seat.id, node->seat.generation);
    return TACIT_OK;
}
