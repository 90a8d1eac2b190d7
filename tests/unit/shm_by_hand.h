// SPDX-License-Identifier: Apache-2.0
//
// Plays a peer of the shared-memory fabric by hand: connects, shakes hands, says what it likes. For
// the tests of what hosts do with strangers and with peers that lie.
#ifndef TACIT_TESTS_SHM_BY_HAND_H
#define TACIT_TESTS_SHM_BY_HAND_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "memnodes/shm/listen.h"
#include "memnodes/shm/socket.h"
#include "tacit/handshake.h"

#define PATIENCE_MS 5000

static struct {
    char directory[64];
    char path[100];
    struct tacit_keypair host_key, peer_key;
    struct tacit_peer_name host; // whom to reach
} by_hand;

// A directory for the socket "0", and keys. False: cannot.
static bool by_hand_open(struct tacit_peer_name host)
{
    struct tacit_error error;
    memset(&by_hand, 0, sizeof by_hand);
    by_hand.host = host;
    (void)snprintf(by_hand.directory, sizeof by_hand.directory, "/tmp/tacit-hostile-XXXXXX");
    if (tacit_crypto_init(&error) != TACIT_OK || mkdtemp(by_hand.directory) == NULL) {
        return false;
    }
    (void)snprintf(by_hand.path, sizeof by_hand.path, "%s/0", by_hand.directory);
    tacit_keypair_generate(&by_hand.host_key);
    tacit_keypair_generate(&by_hand.peer_key);
    return true;
}

static int by_hand_close(void)
{
    char path[128];
    static const char *const names[] = {"0", "0.lock", "0.new", "file"};
    for (unsigned i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", by_hand.directory, names[i]);
        (void)unlink(path);
    }
    return rmdir(by_hand.directory);
}

static void pause_ms(unsigned ms)
{
    (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000},
                    NULL);
}

// Waits for the other side to hang up.
static bool hangs_up(int fd, int within_ms)
{
    uint8_t bytes[TACIT_SHM_PACKET_MAX];
    for (int waited_ms = 0; waited_ms <= within_ms; waited_ms += 5) {
        ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            return true;
        }
        if (got < 0) {
            pause_ms(5);
        }
    }
    return false;
}

static int dial(void)
{
    int fd = tacit_shm_connect(by_hand.path);
    assert_true(fd >= 0);
    return fd;
}

// ---- playing a peer by hand ----

// Receives one packet, whatever its descriptor; fails the test when none comes.
static size_t packet_receive(int fd, uint8_t packet[TACIT_SHM_PACKET_MAX], int *passed)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    size_t bytes = 0;
    assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
    assert_int_equal(tacit_shm_receive(fd, packet, &bytes, passed), TACIT_SHM_IO_DONE);
    return bytes;
}

static bool host_key_of(struct tacit_public_key *out, struct tacit_identity claimed, void *context)
{
    (void)claimed;
    (void)context;
    *out = by_hand.host_key.public_key;
    return true;
}

// Shakes hands as client 7 or replica 1. Returns the connected socket.
static int come_in(enum tacit_peer_role role, uint16_t id, tacit_incarnation_t incarnation)
{
    struct tacit_error error;
    void *memory = tacit_secret_alloc(tacit_handshake_size(), &error);
    struct tacit_handshake *handshake;
    struct tacit_handshake_options options = {
        .connects = true,
        .self = {.name = {.role = role, .id = id}, .incarnation = incarnation},
        .wanted = by_hand.host,
        .keypair = &by_hand.peer_key,
        .lookup = host_key_of,
    };
    assert_non_null(memory);
    assert_int_equal(
        tacit_handshake_init(&handshake, memory, tacit_handshake_size(), &options, &error),
        TACIT_OK);
    int fd = dial();
    uint8_t packet[TACIT_SHM_PACKET_MAX];
    while (tacit_handshake_state(handshake) != TACIT_HANDSHAKE_DONE) {
        if (tacit_handshake_state(handshake) == TACIT_HANDSHAKE_SENDING) {
            assert_true(tacit_handshake_output(handshake, packet));
            assert_int_equal(tacit_shm_send(fd, packet, TACIT_HANDSHAKE_MESSAGE_BYTES, -1),
                             TACIT_SHM_IO_DONE);
            continue;
        }
        int passed;
        size_t bytes = packet_receive(fd, packet, &passed);
        (void)!tacit_handshake_input(handshake, packet, bytes);
        if (tacit_handshake_state(handshake) == TACIT_HANDSHAKE_REFUSED) {
            close(fd);
            fd = -1;
            break;
        }
    }
    tacit_handshake_fini(handshake);
    tacit_secret_free(memory);
    return fd;
}

enum { OFFER = 1, MAPPED, END, READY, RETIRE };
enum { SLOT_HOST = 0, SLOT_REPLIES = 5, SLOT_LOG = 6 };

static void say(int fd, uint8_t kind, uint8_t slot, uint16_t node, uint64_t bytes, int passed)
{
    uint8_t packet[16] = {kind, slot};
    memcpy(packet + 2, &node, sizeof node);
    memcpy(packet + 8, &bytes, sizeof bytes);
    (void)tacit_shm_send(fd, packet, sizeof packet, passed); // the host may have hung up
}

static int memory_make(size_t bytes, unsigned flags, int seals)
{
    int fd = memfd_create("hostile", MFD_CLOEXEC | flags);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    if (seals != 0) {
        assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    }
    return fd;
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void send_many_descriptors(int to, unsigned count)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * 250)];
    } control;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    memset(&control, 0, sizeof control);
    uint8_t packet[16] = {OFFER};
    struct iovec vector = {.iov_base = packet, .iov_len = sizeof packet};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    for (unsigned i = 0; i < count; i++) {
        memcpy(CMSG_DATA(header) + sizeof(int) * i, &null, sizeof null);
    }
    assert_int_equal(sendmsg(to, &message, MSG_NOSIGNAL), (ssize_t)sizeof packet);
    close(null);
}

// ---- what no host may fall for ----

// Strangers who send anything but a handshake are hung up on.
static void strangers_talk_nonsense(void)
{
    uint32_t noise = 12345;
    for (unsigned i = 0; i < 60; i++) {
        int fd = dial();
        uint8_t packet[400];
        for (unsigned k = 0; k < sizeof packet; k++) {
            noise = noise * 1664525u + 1013904223u;
            packet[k] = (uint8_t)(noise >> 24);
        }
        size_t bytes = i % 3 == 0 ? TACIT_HANDSHAKE_MESSAGE_BYTES : i % 3 == 1 ? 16 : sizeof packet;
        assert_int_equal(send(fd, packet, bytes, MSG_NOSIGNAL), (ssize_t)bytes);
        assert_true(hangs_up(fd, PATIENCE_MS));
        close(fd);
    }
}

// Strangers and a peer of that role and id who send more descriptors than they may: none leaks.
static void descriptor_bombs(enum tacit_peer_role role, uint16_t id)
{
    unsigned before = open_descriptors();
    for (unsigned round = 0; round < 3; round++) {
        static const unsigned counts[] = {1, 2, 250};
        int stranger = dial();
        send_many_descriptors(stranger, counts[round]);
        assert_true(hangs_up(stranger, PATIENCE_MS));
        close(stranger);
        int peer = come_in(role, id, 1);
        assert_true(peer >= 0);
        send_many_descriptors(peer, counts[round]);
        assert_true(hangs_up(peer, PATIENCE_MS));
        close(peer);
    }
    for (int i = 0; i < 200 && open_descriptors() != before; i++) {
        pause_ms(5);
    }
    assert_int_equal(open_descriptors(), before);
}

struct offered_memory {
    const char *what;
    int fd; // closed by the check
    uint64_t said;
    bool accepted;
};

// A peer of that role and id offers each of these for `slot`.
static void offers_are_judged(const struct offered_memory *offers, size_t count,
                              enum tacit_peer_role role, uint16_t id, uint8_t slot)
{
    for (size_t i = 0; i < count; i++) {
        int fd = come_in(role, id, 1);
        assert_true(fd >= 0);
        say(fd, OFFER, slot, 0, offers[i].said, offers[i].fd);
        bool up = !hangs_up(fd, offers[i].accepted ? 100 : 1000);
        if (up != offers[i].accepted) {
            fail_msg("memory that is %s was %s", offers[i].what, up ? "accepted" : "refused");
        }
        close(fd);
        if (offers[i].fd >= 0) {
            close(offers[i].fd);
        }
    }
}

#endif
