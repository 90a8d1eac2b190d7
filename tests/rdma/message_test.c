// SPDX-License-Identifier: Apache-2.0
//
// The codec of control messages, without a device: what is written is what is read, and whatever
// else a peer sends, with a valid MAC or without, is a verdict.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "verbs/message.h"

static const struct tacit_mac_key key = {.bytes = {1, 2, 3}};

static struct verbs_message sample(enum verbs_message_type type)
{
    struct verbs_message message = {.number = 7, .type = type};
    switch (type) {
    case TACIT_VERBS_HELLO:
        memset(message.hello.gid, 0xa5, sizeof(message.hello.gid));
        message.hello.life = 0x0102030405060708;
        message.hello.mtu_bytes = 1024;
        for (unsigned p = 0; p < TACIT_PLANES; p++) {
            message.hello.plane[p].host_qpn = 17 + p;
            message.hello.plane[p].bell_rkey = 18 + p;
            message.hello.plane[p].bell_address = UINT64_MAX - p;
            message.hello.plane[p].peer_qpn = 19 + p;
            message.hello.plane[p].peer_psn = 0xffffff - p;
        }
        break;
    case TACIT_VERBS_REGIONS:
        message.regions.count = TACIT_VERBS_MESSAGE_REGIONS;
        for (uint32_t i = 0; i < TACIT_VERBS_MESSAGE_REGIONS; i++) {
            message.regions.entry[i] =
                (struct verbs_region_entry){.region_class = TACIT_REGION_LOG,
                                            .is_receivers = i % 2 != 0,
                                            .owner = (tacit_node_t)i,
                                            .incarnation = TACIT_INCARNATION_MAX - i,
                                            .index = (uint16_t)(100 + i),
                                            .bytes = 4096,
                                            .address = UINT64_C(0x7f0000000000) + i,
                                            .rkey = {i, ~i}};
        }
        break;
    case TACIT_VERBS_GONE:
    case TACIT_VERBS_GONE_ACK:
        message.index = 0xfffe;
        break;
    case TACIT_VERBS_PING:
    case TACIT_VERBS_TOLD:
    case TACIT_VERBS_TYPES:
        break;
    default:
        message.news = (struct verbs_plane_news){.plane = TACIT_PLANE_BACKGROUND,
                                                 .round = 3,
                                                 .psn = 0xffffff,
                                                 .floor = UINT64_MAX,
                                                 .granted = 5,
                                                 .asked = 6};
    }
    return message;
}

// Compares what belongs to the type, field by field in the encoding.
static void round_trips(void **unused)
{
    (void)unused;
    for (unsigned type = 1; type < TACIT_VERBS_TYPES; type++) {
        struct verbs_message in = sample((enum verbs_message_type)type), out;
        uint8_t bytes[TACIT_VERBS_MESSAGE_BYTES], again[TACIT_VERBS_MESSAGE_BYTES];
        tacit_verbs_message_encode(bytes, &in, &key);
        assert_int_equal(tacit_verbs_message_decode(&out, bytes, 7, &key), TACIT_VERDICT_OK);
        assert_int_equal(out.type, type);
        assert_int_equal(out.number, 7);
        tacit_verbs_message_encode(again, &out, &key);
        assert_memory_equal(bytes, again, sizeof(bytes));
        switch (type) {
        case TACIT_VERBS_REGIONS:
            assert_int_equal(out.regions.count, TACIT_VERBS_MESSAGE_REGIONS);
            assert_int_equal(out.regions.entry[5].address, in.regions.entry[5].address);
            assert_int_equal(out.regions.entry[5].rkey[1], in.regions.entry[5].rkey[1]);
            assert_true(out.regions.entry[5].is_receivers);
            break;
        case TACIT_VERBS_HELLO:
            assert_int_equal(out.hello.life, in.hello.life);
            assert_int_equal(out.hello.mtu_bytes, in.hello.mtu_bytes);
            assert_int_equal(out.hello.plane[1].peer_psn, in.hello.plane[1].peer_psn);
            break;
        case TACIT_VERBS_OPEN:
            assert_int_equal(out.news.floor, UINT64_MAX);
            assert_int_equal(out.news.granted, 5);
            assert_int_equal(out.news.asked, 6);
            break;
        default:
            break;
        }
    }
}

static void any_changed_byte_is_refused(void **unused)
{
    (void)unused;
    for (unsigned type = 1; type < TACIT_VERBS_TYPES; type++) {
        struct verbs_message in = sample((enum verbs_message_type)type), out;
        uint8_t bytes[TACIT_VERBS_MESSAGE_BYTES];
        tacit_verbs_message_encode(bytes, &in, &key);
        for (unsigned i = 0; i < sizeof(bytes); i++) {
            bytes[i] ^= 0x40;
            assert_int_equal(tacit_verbs_message_decode(&out, bytes, 7, &key),
                             TACIT_VERDICT_BAD_AUTH);
            bytes[i] ^= 0x40;
        }
        assert_int_equal(tacit_verbs_message_decode(&out, bytes, 8, &key), TACIT_VERDICT_STALE);
        assert_int_equal(tacit_verbs_message_decode(&out, bytes, 6, &key), TACIT_VERDICT_STALE);
    }
}

// As a peer with the session key can.
static enum tacit_verdict forged(uint8_t bytes[TACIT_VERBS_MESSAGE_BYTES])
{
    struct verbs_message out;
    struct tacit_mac128 mac;
    tacit_blake_mac128_make(&mac, &key, TACIT_VERBS_DOMAIN_MESSAGE, bytes, TACIT_VERBS_MAC_AT);
    memcpy(bytes + TACIT_VERBS_MAC_AT, mac.bytes, sizeof(mac.bytes));
    return tacit_verbs_message_decode(&out, bytes, 7, &key);
}

static void malformed_ones_are_refused(void **unused)
{
    (void)unused;
    for (unsigned type = 1; type < TACIT_VERBS_TYPES; type++) {
        struct verbs_message in = sample((enum verbs_message_type)type);
        uint8_t good[TACIT_VERBS_MESSAGE_BYTES], bytes[TACIT_VERBS_MESSAGE_BYTES];
        tacit_verbs_message_encode(good, &in, &key);
        memcpy(bytes, good, sizeof(bytes));
        assert_int_equal(forged(bytes), TACIT_VERDICT_OK);
        for (unsigned length = 0; length < 256; length++) { // of the payload: only one is right
            memcpy(bytes, good, sizeof(bytes));
            bytes[12] = (uint8_t)length;
            assert_int_equal(forged(bytes),
                             length == good[12] ? TACIT_VERDICT_OK : TACIT_VERDICT_MALFORMED);
        }
        memcpy(bytes, good, sizeof(bytes));
        bytes[15] = 1; // a length of 16 MiB and more
        assert_int_equal(forged(bytes), TACIT_VERDICT_MALFORMED);
        for (unsigned i = TACIT_VERBS_PAYLOAD_AT + good[12]; i < TACIT_VERBS_MAC_AT; i++) {
            memcpy(bytes, good, sizeof(bytes));
            bytes[i] = 1; // behind the payload
            assert_int_equal(forged(bytes), TACIT_VERDICT_MALFORMED);
        }
    }
    uint8_t bytes[TACIT_VERBS_MESSAGE_BYTES];
    const unsigned types[] = {0, TACIT_VERBS_TYPES, 255};
    for (unsigned i = 0; i < 3; i++) {
        struct verbs_message ping = sample(TACIT_VERBS_PING);
        tacit_verbs_message_encode(bytes, &ping, &key);
        bytes[8] = (uint8_t)types[i];
        assert_int_equal(forged(bytes), TACIT_VERDICT_MALFORMED);
    }
}

static void fields_are_bounded(void **unused)
{
    (void)unused;
    uint8_t bytes[TACIT_VERBS_MESSAGE_BYTES];
    struct verbs_message news = sample(TACIT_VERBS_CYCLED);
    tacit_verbs_message_encode(bytes, &news, &key);
    bytes[TACIT_VERBS_PAYLOAD_AT] = TACIT_PLANES; // plane
    assert_int_equal(forged(bytes), TACIT_VERDICT_MALFORMED);
    tacit_verbs_message_encode(bytes, &news, &key);
    bytes[TACIT_VERBS_PAYLOAD_AT + 15] = 1; // a packet number of 25 bits
    assert_int_equal(forged(bytes), TACIT_VERDICT_MALFORMED);
    struct verbs_message regions = sample(TACIT_VERBS_REGIONS);
    for (unsigned count = 0; count < 256; count++) {
        tacit_verbs_message_encode(bytes, &regions, &key);
        bytes[TACIT_VERBS_PAYLOAD_AT] = (uint8_t)count;
        assert_int_equal(forged(bytes), count == TACIT_VERBS_MESSAGE_REGIONS
                                            ? TACIT_VERDICT_OK
                                            : TACIT_VERDICT_MALFORMED);
    }
    tacit_verbs_message_encode(bytes, &regions, &key);
    bytes[TACIT_VERBS_PAYLOAD_AT + 5] = 2; // neither true nor false
    assert_int_equal(forged(bytes), TACIT_VERDICT_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(any_changed_byte_is_refused),
        cmocka_unit_test(malformed_ones_are_refused),
        cmocka_unit_test(fields_are_bounded),
    };
    struct tacit_error error;
    return tacit_crypto_init(&error) == TACIT_OK
               ? cmocka_run_group_tests_name("verbs messages", tests, NULL, NULL)
               : 1;
}
