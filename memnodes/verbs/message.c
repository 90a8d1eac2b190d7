// SPDX-License-Identifier: Apache-2.0
//
// Codec of the control messages; see message.h. One walk over the fields serves both directions, so
// that writer and reader cannot disagree.
#include "message.h"

#include <assert.h>
#include <string.h>

// Reads or writes fields one after the other; never outside of the payload.
struct walk {
    bool writes;
    uint8_t *out;
    const uint8_t *in;
    uint32_t used, limit;
    bool failed;
};

static void walk_bytes(struct walk *walk, uint8_t *bytes, uint32_t count)
{
    if (walk->failed || count > walk->limit - walk->used) {
        walk->failed = true;
        return;
    }
    if (walk->writes) {
        memcpy(walk->out + walk->used, bytes, count);
    } else {
        memcpy(bytes, walk->in + walk->used, count);
    }
    walk->used += count;
}

static uint64_t walk_number(struct walk *walk, uint64_t value, uint32_t width)
{
    uint8_t bytes[8] = {0};
    for (uint32_t i = 0; i < width; i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
    walk_bytes(walk, bytes, width);
    value = 0;
    for (uint32_t i = 0; i < width; i++) {
        value |= (uint64_t)bytes[i] << 8 * i;
    }
    return value;
}

static void walk_u16(struct walk *walk, uint16_t *field)
{
    *field = (uint16_t)walk_number(walk, *field, 2);
}

static void walk_u32(struct walk *walk, uint32_t *field)
{
    *field = (uint32_t)walk_number(walk, *field, 4);
}

static void walk_u64(struct walk *walk, uint64_t *field)
{
    *field = walk_number(walk, *field, 8);
}

static void walk_hello(struct walk *walk, struct verbs_hello *hello)
{
    walk_bytes(walk, hello->gid, sizeof(hello->gid));
    walk_u64(walk, &hello->life);
    walk_u32(walk, &hello->mtu_bytes);
    for (unsigned p = 0; p < TACIT_PLANES; p++) {
        walk_u32(walk, &hello->plane[p].host_qpn);
        walk_u32(walk, &hello->plane[p].bell_rkey);
        walk_u64(walk, &hello->plane[p].bell_address);
        walk_u32(walk, &hello->plane[p].peer_qpn);
        walk_u32(walk, &hello->plane[p].peer_psn);
    }
}

static void walk_regions(struct walk *walk, struct verbs_regions *regions)
{
    walk_u32(walk, &regions->count);
    if (regions->count == 0 || regions->count > TACIT_VERBS_MESSAGE_REGIONS) {
        walk->failed = true;
        return;
    }
    for (uint32_t i = 0; i < regions->count; i++) {
        struct verbs_region_entry *entry = &regions->entry[i];
        entry->region_class = (uint8_t)walk_number(walk, entry->region_class, 1);
        uint64_t flags = walk_number(walk, entry->is_receivers, 1);
        walk->failed |= flags > 1;
        entry->is_receivers = flags == 1;
        walk_u16(walk, &entry->owner);
        walk_u32(walk, &entry->incarnation);
        walk_u16(walk, &entry->index);
        walk_u64(walk, &entry->bytes);
        walk_u64(walk, &entry->address);
        for (unsigned p = 0; p < TACIT_PLANES; p++) {
            walk_u32(walk, &entry->rkey[p]);
        }
    }
}

static void walk_news(struct walk *walk, struct verbs_plane_news *news)
{
    walk_u32(walk, &news->plane);
    walk_u32(walk, &news->round);
    walk_u32(walk, &news->qpn);
    walk_u32(walk, &news->psn);
    walk_u64(walk, &news->floor);
    walk_u64(walk, &news->granted);
    walk_u64(walk, &news->asked);
    walk->failed |= news->plane >= TACIT_PLANES || news->psn > 0xffffff;
}

static void walk_payload(struct walk *walk, struct verbs_message *message)
{
    switch (message->type) {
    case TACIT_VERBS_HELLO:
        walk_hello(walk, &message->hello);
        break;
    case TACIT_VERBS_REGIONS:
        walk_regions(walk, &message->regions);
        break;
    case TACIT_VERBS_GONE:
    case TACIT_VERBS_GONE_ACK:
        walk_u16(walk, &message->index);
        break;
    case TACIT_VERBS_READY:
    case TACIT_VERBS_BROKEN:
    case TACIT_VERBS_CYCLE:
    case TACIT_VERBS_CYCLED:
    case TACIT_VERBS_OPEN:
    case TACIT_VERBS_GRANT:
    case TACIT_VERBS_QUERY:
    case TACIT_VERBS_ANSWER:
        walk_news(walk, &message->news);
        break;
    case TACIT_VERBS_PING:
    case TACIT_VERBS_TOLD:
        break;
    case TACIT_VERBS_TYPES:
    default:
        walk->failed = true;
        break;
    }
}

void tacit_verbs_message_encode(uint8_t out[TACIT_VERBS_MESSAGE_BYTES],
                                const struct verbs_message *message,
                                const struct tacit_mac_key *key)
{
    struct verbs_message copy = *message;
    memset(out, 0, TACIT_VERBS_MESSAGE_BYTES);
    struct walk payload = {
        .writes = true, .out = out + TACIT_VERBS_PAYLOAD_AT, .limit = TACIT_VERBS_PAYLOAD_MAX};
    walk_payload(&payload, &copy);
    assert(!payload.failed);
    struct walk head = {.writes = true, .out = out, .limit = TACIT_VERBS_PAYLOAD_AT};
    uint32_t type = copy.type;
    walk_u64(&head, &copy.number);
    walk_u32(&head, &type);
    walk_u32(&head, &payload.used);
    struct tacit_mac128 mac;
    tacit_blake_mac128_make(&mac, key, TACIT_VERBS_DOMAIN_MESSAGE, out, TACIT_VERBS_MAC_AT);
    memcpy(out + TACIT_VERBS_MAC_AT, mac.bytes, sizeof(mac.bytes));
}

enum tacit_verdict tacit_verbs_message_decode(struct verbs_message *message,
                                              const uint8_t bytes[TACIT_VERBS_MESSAGE_BYTES],
                                              uint64_t expected, const struct tacit_mac_key *key)
{
    memset(message, 0, sizeof(*message));
    struct tacit_mac128 mac;
    memcpy(mac.bytes, bytes + TACIT_VERBS_MAC_AT, sizeof(mac.bytes));
    if (!tacit_blake_mac128_is_valid(&mac, key, TACIT_VERBS_DOMAIN_MESSAGE, bytes,
                                     TACIT_VERBS_MAC_AT)) {
        return TACIT_VERDICT_BAD_AUTH;
    }
    struct walk head = {.in = bytes, .limit = TACIT_VERBS_PAYLOAD_AT};
    uint32_t type = 0;
    uint32_t payload_bytes = 0;
    walk_u64(&head, &message->number);
    walk_u32(&head, &type);
    walk_u32(&head, &payload_bytes);
    if (message->number != expected) {
        return TACIT_VERDICT_STALE;
    }
    if (type == 0 || type >= TACIT_VERBS_TYPES || payload_bytes > TACIT_VERBS_PAYLOAD_MAX) {
        return TACIT_VERDICT_MALFORMED;
    }
    message->type = (enum verbs_message_type)type;
    struct walk payload = {.in = bytes + TACIT_VERBS_PAYLOAD_AT, .limit = payload_bytes};
    walk_payload(&payload, message);
    if (payload.failed || payload.used != payload_bytes) {
        return TACIT_VERDICT_MALFORMED;
    }
    for (uint32_t i = TACIT_VERBS_PAYLOAD_AT + payload_bytes; i < TACIT_VERBS_MAC_AT; i++) {
        if (bytes[i] != 0) {
            return TACIT_VERDICT_MALFORMED;
        }
    }
    return TACIT_VERDICT_OK;
}
