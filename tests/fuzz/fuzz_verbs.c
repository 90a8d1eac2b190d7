// SPDX-License-Identifier: Apache-2.0
//
// Control messages of the RDMA provider (memnodes/verbs/message.h) from a peer that has the key and
// sends what it likes: the input is a message, to which a valid MAC is added. What is accepted is
// within its ranges and encodes to the same bytes again; with any bit changed, or under another
// number, it is refused.
#include "script.h"
#include "verbs/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tacit_mac_key key = {.bytes = {1, 2, 3}};

static void seal(uint8_t bytes[TACIT_VERBS_MESSAGE_BYTES])
{
    struct tacit_mac128 mac;
    tacit_blake_mac128_make(&mac, &key, TACIT_VERBS_DOMAIN_MESSAGE, bytes, TACIT_VERBS_MAC_AT);
    memcpy(bytes + TACIT_VERBS_MAC_AT, mac.bytes, sizeof mac.bytes);
}

static void check_ranges(const struct verbs_message *message)
{
    must(message->type >= TACIT_VERBS_HELLO && message->type < TACIT_VERBS_TYPES);
    if (message->type == TACIT_VERBS_REGIONS) {
        must(message->regions.count > 0 && message->regions.count <= TACIT_VERBS_MESSAGE_REGIONS);
    } else if (message->type != TACIT_VERBS_HELLO && message->type != TACIT_VERBS_GONE &&
               message->type != TACIT_VERBS_GONE_ACK && message->type != TACIT_VERBS_PING) {
        must(message->news.plane < TACIT_PLANES && message->news.psn <= 0xffffff);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t bytes[TACIT_VERBS_MESSAGE_BYTES] = {0};
    uint8_t again[TACIT_VERBS_MESSAGE_BYTES];
    struct verbs_message message;
    struct script script = {data, data + size};
    uint32_t flip = (uint32_t)take(&script, 2) % (TACIT_VERBS_MESSAGE_BYTES * 8);
    size_t count = (size_t)(script.end - script.at);
    memcpy(bytes, script.at, count < TACIT_VERBS_MAC_AT ? count : TACIT_VERBS_MAC_AT);
    seal(bytes);
    uint64_t number;
    memcpy(&number, bytes, 8);
    must(tacit_verbs_message_decode(&message, bytes, number + 1, &key) == TACIT_VERDICT_STALE);
    enum tacit_verdict verdict = tacit_verbs_message_decode(&message, bytes, number, &key);
    if (verdict == TACIT_VERDICT_OK) {
        check_ranges(&message);
        tacit_verbs_message_encode(again, &message, &key);
        must(memcmp(again, bytes, sizeof again) == 0);
    } else {
        must(verdict == TACIT_VERDICT_MALFORMED);
    }
    bytes[flip / 8] ^= (uint8_t)(1u << flip % 8);
    must(tacit_verbs_message_decode(&message, bytes, number, &key) == TACIT_VERDICT_BAD_AUTH);
    return 0;
}
