// SPDX-License-Identifier: Apache-2.0
//
// Rules of a scenario that hold back or delay what a faulty process writes, told by kind, payload,
// view, slot and receiver. See sim_script.h.
#include <string.h>

#include "byzantine/agree_internal.h"
#include "byzantine/ctb_internal.h"
#include "byzantine/links_internal.h"
#include "sim_fabric_parts.h"
#include "sim_script.h"
#include "smr/internal.h"
#include "tacit/wire.h"

// What is not a ring message; ring messages are told by their first byte.
enum sim_wire {
    SIM_WIRE_ACK = 128,
    SIM_WIRE_CERTIFY,
    SIM_WIRE_LARGE, // bodies beside the ring
    SIM_WIRE_REGISTER,
    SIM_WIRE_REPLY,
    SIM_WIRE_REQUEST, // signed or not
    SIM_WIRE_SIGNED_REQUEST,
    SIM_WIRE_ANY,
};

static const struct {
    const char *name;
    uint8_t what;
} kinds[] = {
    {"LOCK", TACIT_MESSAGE_LOCK},
    {"LOCKED", TACIT_MESSAGE_LOCKED},
    {"NUDGE", TACIT_MESSAGE_NUDGE},
    {"SIGNED", TACIT_MESSAGE_SIGNED},
    {"SUMMARY_SHARE", TACIT_MESSAGE_SUMMARY_SHARE},
    {"SUMMARY", TACIT_MESSAGE_SUMMARY},
    {"FETCH_SUMMARY", TACIT_MESSAGE_FETCH_SUMMARY},
    {"FETCH", TACIT_MESSAGE_FETCH},
    {"BODY", TACIT_MESSAGE_BODY},
    {"STATUS", TACIT_MESSAGE_STATUS},
    {"CHECKPOINT_SHARE", TACIT_MESSAGE_CHECKPOINT_SHARE},
    {"STATE_SHARE", TACIT_MESSAGE_STATE_SHARE},
    {"CHECKPOINT_CERTIFICATE", TACIT_MESSAGE_CHECKPOINT_CERTIFICATE},
    {"LACK", TACIT_MESSAGE_LACK},
    {"FORWARD", TACIT_MESSAGE_REQUEST},
    {"ECHO", TACIT_MESSAGE_ECHO},
    {"SUSPECT", TACIT_MESSAGE_SUSPECT},
    {"ACK", SIM_WIRE_ACK},
    {"CERTIFY", SIM_WIRE_CERTIFY},
    {"LARGE", SIM_WIRE_LARGE},
    {"REGISTER", SIM_WIRE_REGISTER},
    {"REPLY", SIM_WIRE_REPLY},
    {"REQUEST", SIM_WIRE_REQUEST},
    {"SIGNED_REQUEST", SIM_WIRE_SIGNED_REQUEST},
    {"ANY", SIM_WIRE_ANY},
};
#define KINDS (sizeof kinds / sizeof *kinds)

const char *sim_wire_name(uint32_t what)
{
    return what < KINDS ? kinds[what].name : NULL;
}

bool sim_wire_find(const char *name, uint8_t *what)
{
    for (uint32_t i = 0; i < KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            *what = kinds[i].what;
            return true;
        }
    }
    return false;
}

// What is being written.
struct thing {
    uint8_t what;
    uint8_t payload; // 0: it has none
    bool has_view, has_slot;
    uint64_t view, slot;
    uint32_t from, to; // slots of the cluster
};

static bool matches(const struct sim_script_rule *rule, const struct thing *thing)
{
    bool is_kind = rule->what == thing->what || rule->what == SIM_WIRE_ANY ||
                   (rule->what == SIM_WIRE_REQUEST && thing->what == SIM_WIRE_SIGNED_REQUEST);
    return is_kind && (rule->payload == 0 || rule->payload == thing->payload) &&
           (!rule->has_view || (thing->has_view && rule->view == thing->view)) &&
           (!rule->has_slot || (thing->has_slot && rule->slot == thing->slot)) &&
           (rule->from >> thing->from & 1) != 0 && (rule->to >> thing->to & 1) != 0;
}

// The first rule that holds for it, which is then counted; NULL: none does.
static const struct sim_script_rule *rule_of(struct sim_cluster *cluster, const struct thing *thing,
                                             bool delays)
{
    struct sim_play *play = cluster->play;
    for (uint32_t i = 0; i < play->script->events; i++) {
        const struct sim_script_event *event = &play->script->event[i];
        const struct sim_script_rule *rule = &event->rule;
        if (event->action != SIM_DO_HOLD || !play->active[i] || (rule->delay_ns != 0) != delays ||
            (rule->times != 0 && play->hits[i] >= rule->times) || !matches(rule, thing)) {
            continue;
        }
        play->hits[i]++;
        return rule;
    }
    return NULL;
}

static void look_at_message(const struct sim_cluster *cluster, const uint8_t *message,
                            uint32_t bytes, struct thing *thing)
{
    uint8_t replicas = cluster->shape.smr.replicas;
    struct tacit_ctb_message m;
    memset(&m, 0, sizeof m);
    thing->what = message[0];
    if (thing->what == TACIT_MESSAGE_STATE_SHARE && bytes >= 16) {
        thing->has_view = true;
        thing->view = tacit_get64(message + 8);
    }
    bool names = thing->what == TACIT_MESSAGE_LOCK || thing->what == TACIT_MESSAGE_LOCKED ||
                 thing->what == TACIT_MESSAGE_SIGNED;
    if (names && tacit_ctb_decode(&m, message, bytes, (uint8_t)((replicas + 1) / 2), replicas) ==
                     TACIT_VERDICT_OK) {
        thing->payload = m.payload.kind;
        thing->has_view = thing->has_slot = true;
        thing->view = m.payload.view;
        thing->slot = m.payload.slot;
    }
}

bool sim_script_message(struct sim_cluster *cluster, uint32_t faulty, uint32_t receiver,
                        const uint8_t *message, uint32_t bytes)
{
    struct thing thing = {.from = faulty, .to = receiver};
    look_at_message(cluster, message, bytes, &thing);
    return rule_of(cluster, &thing, false) == NULL;
}

// In the area of links for one receiver, or (memory nodes) for all. False: a ring message, which is
// dropped elsewhere.
static bool look_at_area(const struct sim_cluster *cluster, const struct tacit_links *links,
                         const struct sim_op *op, struct thing *thing)
{
    const struct tacit_links_layout *layout = &links->layout;
    uint64_t offset = op->op.offset - links->config.offset;
    uint32_t prefix = links->config.place == TACIT_LINKS_ON_MEMNODES ? TACIT_LINKS_PREFIX : 0;
    const uint8_t *bytes = (const uint8_t *)op->copy;
    if (offset < layout->ring) {
        thing->what = 0;
        return true;
    }
    if (offset < layout->bodies) {
        uint32_t length = (uint32_t)op->copy[1];
        if (length > prefix && length + TACIT_RING_HEADER <= op->op.bytes) {
            look_at_message(cluster, bytes + TACIT_RING_HEADER + prefix, length - prefix, thing);
        }
        return false;
    }
    if (offset < layout->cells[TACIT_VOTE_ACK]) {
        thing->what = SIM_WIRE_LARGE;
        return true;
    }
    thing->what = offset < layout->cells[TACIT_VOTE_CERTIFY] ? SIM_WIRE_ACK : SIM_WIRE_CERTIFY;
    thing->has_view = thing->has_slot = true;
    thing->view = tacit_get64(bytes + 8u * TACIT_LINKS_CELL_VIEW);
    thing->slot = tacit_get64(bytes + 8u * TACIT_LINKS_CELL_SLOT);
    return true;
}

// A client's request, in its ring.
static bool is_signed(const struct sim_op *op)
{
    struct tacit_wire_request request;
    uint32_t length = (uint32_t)op->copy[1];
    return length + TACIT_RING_HEADER <= op->op.bytes &&
           tacit_wire_request_decode(&request, (const uint8_t *)op->copy + TACIT_RING_HEADER,
                                     length) == TACIT_VERDICT_OK &&
           (request.flags & TACIT_REQUEST_SIGNED) != 0;
}

bool sim_script_write(struct sim_cluster *cluster, uint32_t peer, uint32_t host,
                      const struct sim_op *op, uint64_t *delay_ns)
{
    const struct tacit_smr *smr = cluster->process[peer].smr;
    const struct tacit_links *links =
        smr == NULL || cluster->process[peer].role != SIM_REPLICA ? NULL : smr->byzantine.links;
    struct thing thing = {.from = peer, .to = host};
    bool drops = true;
    switch (op->region->key.region_class) {
    case TACIT_REGION_REPLIES:
        thing.what = SIM_WIRE_REPLY;
        break;
    case TACIT_REGION_REQUESTS:
        thing.what = is_signed(op) ? SIM_WIRE_SIGNED_REQUEST : SIM_WIRE_REQUEST;
        break;
    case TACIT_REGION_CONTROL:
        if (links == NULL || links->config.place != TACIT_LINKS_ON_REPLICAS ||
            op->op.offset < links->config.offset) {
            return true;
        }
        drops = look_at_area(cluster, links, op, &thing);
        break;
    case TACIT_REGION_REGISTERS:
        if (links == NULL) {
            return true;
        }
        if (links->config.place == TACIT_LINKS_ON_MEMNODES &&
            op->op.offset >= links->config.offset) {
            drops = look_at_area(cluster, links, op, &thing);
        } else {
            thing.what = SIM_WIRE_REGISTER;
        }
        break;
    default:
        return true;
    }
    const struct sim_script_rule *rule = rule_of(cluster, &thing, true);
    *delay_ns += rule == NULL ? 0 : rule->delay_ns;
    return !drops || rule_of(cluster, &thing, false) == NULL;
}
