// SPDX-License-Identifier: Apache-2.0
//
// Links between replicas, each receiver's region in its own memory: what a message costs, votes and
// bodies in every mixture of old and new words, full queues, broken connections, new incarnations,
// and a sender that writes garbage.
//
// TACIT_SEEDED: yes
#include "byz_links_pair.h"

#include "choice/choice.h"
#include "core/base/bug.h"

// ---- the ordinary
// ------------------------------------------------------------------------------------------------

static void send__is_one_write_of_what_it_takes(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    for (uint64_t number = 1; number <= 40; number++) {
        struct fake_fabric *fake = &pair.end[0].fake;
        uint32_t writes = fake->quiet;
        uint32_t before = fake->quiet_bytes;
        uint8_t message[MESSAGE];
        uint32_t bytes = message_of(message, number);
        tacit_links_send(pair.end[0].links, 1, message, bytes);
        assert_int_equal(fake->quiet - writes, 1);
        assert_int_equal(fake->quiet_bytes - before, 24 + tacit_round_up(bytes, 8));
        assert_int_equal(receive_number(&pair, 1, 0), number);
        assert_int_equal(receive_number(&pair, 1, 0), 0);
        assert_int_equal(receive_number(&pair, 2, 0), 0);
        assert_true(tacit_links_poll(pair.end[0].links, ++pair.now_ns));
        assert_int_equal(fake->host[1].rings, number);
        assert_int_equal(fake->host[2].rings, 0);
        assert_false(tacit_links_poll(pair.end[0].links, ++pair.now_ns));
    }
    assert_int_equal(tacit_links_deadline(pair.end[0].links), UINT64_MAX);
    pair_close(&pair);
}

static void receive__goes_on_after_a_lap(void **state)
{
    (void)state;
    for (uint32_t sent = 1; sent < 4 * SLOTS; sent++) {
        struct pair pair;
        pair_open(&pair);
        for (uint64_t number = 1; number <= sent; number++) {
            tacit_links_send_all(pair.end[2].links, &number, 8);
        }
        for (tacit_node_t to = 0; to < 2; to++) {
            uint64_t first = sent > SLOTS ? sent - SLOTS + 1 : 1;
            for (uint64_t number = first; number <= sent; number++) {
                uint64_t out[8];
                uint32_t bytes;
                assert_int_equal(tacit_links_receive(pair.end[to].links, 2, (uint8_t *)out, &bytes),
                                 TACIT_VERDICT_OK);
                assert_int_equal(bytes, 8);
                assert_int_equal(out[0], number);
            }
            assert_int_equal(tacit_links_counters(pair.end[to].links)->lapped, first - 1);
        }
        pair_close(&pair);
    }
}

static void vote__newest_wins(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    for (unsigned kind = 0; kind < 2; kind++) {
        enum tacit_vote_kind k = (enum tacit_vote_kind)kind;
        assert_int_equal(voted(&pair, 1, 0, k, 0), 0); // an unused cell is no vote for slot 0
        for (uint64_t slot = 0; slot < 3 * WINDOW; slot++) {
            struct tacit_vote vote = vote_of(slot, 4);
            uint32_t writes = pair.end[0].fake.quiet;
            tacit_links_vote(pair.end[0].links, k, &vote);
            assert_int_equal(pair.end[0].fake.quiet - writes, 2);
            vote = vote_of(slot, 3); // older: not shown
            tacit_links_vote(pair.end[0].links, k, &vote);
            assert_int_equal(voted(&pair, 1, 0, k, slot), 5);
            vote = vote_of(slot, 9);
            tacit_links_vote(pair.end[0].links, k, &vote);
            assert_int_equal(voted(&pair, 1, 0, k, slot), 10);
            assert_int_equal(voted(&pair, 2, 0, k, slot), 10);
            assert_int_equal(voted(&pair, 0, 1, k, slot), 0);
            assert_int_equal(voted(&pair, 1, 0, k, slot + WINDOW), 0);
            if (slot >= WINDOW) {
                vote = vote_of(slot - WINDOW, 20); // left the window: not shown again
                tacit_links_vote(pair.end[0].links, k, &vote);
                assert_int_equal(voted(&pair, 1, 0, k, slot - WINDOW), 0);
                assert_int_equal(voted(&pair, 1, 0, k, slot), 10);
            }
        }
    }
    pair_close(&pair);
}

// In the same order everywhere, one replica would hear each of the others last.
static void all__are_told_round_from_the_sender(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    for (tacit_node_t self = 0; self < REPLICAS; self++) {
        tacit_node_t next = (tacit_node_t)((self + 1) % REPLICAS);
        tacit_node_t last = (tacit_node_t)((self + 2) % REPLICAS);
        struct end *end = &pair.end[self];
        struct tacit_vote vote = vote_of(3, 1);
        end->fake.refuse = 1; // the first post finds a full queue
        tacit_links_vote(end->links, TACIT_VOTE_ACK, &vote);
        assert_int_equal(voted(&pair, next, self, TACIT_VOTE_ACK, 3), 0);
        assert_int_equal(voted(&pair, last, self, TACIT_VOTE_ACK, 3), 2);
        tacit_links_poll(end->links, ++pair.now_ns);
        assert_int_equal(voted(&pair, next, self, TACIT_VOTE_ACK, 3), 2);

        uint8_t message[MESSAGE];
        end->fake.refuse = 1;
        tacit_links_send_all(end->links, message, message_of(message, 17)); // 40 bytes: whole words
        assert_int_equal(receive_number(&pair, next, self), 0);
        assert_int_equal(receive_number(&pair, last, self), 17);
        tacit_links_poll(end->links, ++pair.now_ns);
        assert_int_equal(receive_number(&pair, next, self), 17);
    }
    pair_close(&pair);
}

static void body__is_found_by_its_ticket(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    uint8_t body[BODY];
    uint8_t out[BODY];
    uint32_t bytes;
    assert_int_equal(tacit_links_body(pair.end[1].links, 0, 0, out, BODY, &bytes),
                     TACIT_VERDICT_EMPTY);
    assert_int_equal(tacit_links_body(pair.end[1].links, 0, 1, out, BODY, &bytes),
                     TACIT_VERDICT_EMPTY);
    for (uint64_t ticket = 1; ticket < 3 * BODIES; ticket++) {
        uint32_t size = (uint32_t)(ticket * 37 % (BODY + 1));
        memset(body, (int)ticket, size);
        assert_int_equal(tacit_links_send_body(pair.end[0].links, 1, body, size), ticket);
        for (uint64_t old = 1; old <= ticket; old++) {
            bool is_there = old + BODIES > ticket;
            assert_int_equal(tacit_links_body(pair.end[1].links, 0, old, out, BODY, &bytes),
                             is_there ? TACIT_VERDICT_OK : TACIT_VERDICT_EMPTY);
            assert_true(!is_there || bytes == old * 37 % (BODY + 1));
            assert_true(!is_there || bytes == 0 || (out[0] == old && out[bytes - 1] == old));
            if (is_there && bytes > 0) {
                assert_int_equal(
                    tacit_links_body(pair.end[1].links, 0, old, out, bytes - 1, &bytes),
                    TACIT_VERDICT_MALFORMED);
            }
        }
    }
    pair_close(&pair);
}

// ---- tearing: every mixture of the words of two values
// ------------------------------------------------------------------------------------

static uint8_t *cell_of(struct pair *pair, tacit_node_t to, tacit_node_t from, uint64_t slot)
{
    struct tacit_links_config config = config_of(0);
    size_t certifies = pair->region_bytes - (size_t)WINDOW * 128;
    assert_int_equal(pair->region_bytes, OFFSET + tacit_links_region_bytes(&config));
    return pair->end[to].region[from] + certifies + slot % WINDOW * 128;
}

static const char *torn_votes(uint64_t slot, uint64_t next)
{
    struct pair pair;
    pair_open(&pair);
    struct tacit_vote vote = vote_of(slot, 1);
    tacit_links_vote(pair.end[0].links, TACIT_VOTE_CERTIFY, &vote);
    uint8_t *cell = cell_of(&pair, 1, 0, slot);
    uint64_t old[16];
    uint64_t new[16];
    memcpy(old, cell, sizeof old);
    vote = vote_of(next, 2);
    tacit_links_vote(pair.end[0].links, TACIT_VOTE_CERTIFY, &vote);
    memcpy(new, cell, sizeof new);
    const char *wrong = NULL;
    for (uint32_t set = 0; set < 1u << 16 && wrong == NULL; set++) {
        bool is_old = true;
        bool is_new = true;
        for (unsigned word = 0; word < 16; word++) {
            const uint64_t *value = (set >> word & 1) != 0 ? &new[word] : &old[word];
            memcpy(cell + 8 * word, value, 8);
            is_old = is_old && *value == old[word];
            is_new = is_new && *value == new[word];
        }
        uint64_t seen = voted(&pair, 1, 0, TACIT_VOTE_CERTIFY, slot);
        uint64_t after = voted(&pair, 1, 0, TACIT_VOTE_CERTIFY, next);
        uint64_t first = is_old ? 2 : slot == next && is_new ? 3 : 0;
        if (seen != first || after != (is_new ? 3 : slot == next ? first : 0)) {
            wrong = "a torn vote is taken, or a whole one is not";
        }
    }
    pair_close(&pair);
    return wrong;
}

static void voted__takes_whole_cells_only(void **state)
{
    (void)state;
    memset(marks, 0, sizeof marks);
    assert_null(torn_votes(3, 3));
    assert_null(torn_votes(3, 3 + WINDOW));
    assert_true(marks[TACIT_MARK_LINK_VOTE_TORN] > 0);
}

static const char *torn_bodies(void)
{
    enum { WORDS = 3 + 5 };
    struct tacit_ring_shape shape = tacit_ring_shape(SLOTS, MESSAGE);
    struct pair pair;
    pair_open(&pair);
    uint8_t body[40];
    uint64_t old[WORDS];
    uint64_t new[WORDS];
    memset(body, 1, sizeof body);
    for (uint64_t i = 1; i <= BODIES; i++) {
        tacit_links_send_body(pair.end[0].links, 1, body, sizeof body);
    }
    // Ticket 4 and ticket 8 share the first slot.
    uint8_t *slot = pair.end[1].region[0] + OFFSET + tacit_ring_bytes(shape);
    memcpy(old, slot, sizeof old);
    memset(body, 2, sizeof body);
    for (uint64_t i = 1; i <= BODIES; i++) {
        tacit_links_send_body(pair.end[0].links, 1, body, sizeof body);
    }
    memcpy(new, slot, sizeof new);
    const char *wrong = old[0] == 4 && new[0] == 8 ? NULL : "layout";
    for (uint32_t set = 0; set < 1u << WORDS && wrong == NULL; set++) {
        for (unsigned word = 0; word < WORDS; word++) {
            memcpy(slot + 8 * word, (set >> word & 1) != 0 ? &new[word] : &old[word], 8);
        }
        // The length is the same in both.
        uint32_t seen = set & ~2u;
        for (uint64_t ticket = 4; ticket <= 8; ticket += 4) {
            uint8_t out[BODY];
            uint32_t bytes;
            bool is_whole = seen == (ticket == 4 ? 0 : ((1u << WORDS) - 1) & ~2u);
            bool is_taken = tacit_links_body(pair.end[1].links, 0, ticket, out, BODY, &bytes) ==
                            TACIT_VERDICT_OK;
            if (is_taken != is_whole || (is_taken && out[39] != ticket / 4)) {
                wrong = "a torn body is taken, or a whole one is not";
            }
        }
    }
    pair_close(&pair);
    return wrong;
}

static void body__is_taken_whole_only(void **state)
{
    (void)state;
    memset(marks, 0, sizeof marks);
    assert_null(torn_bodies());
    assert_true(marks[TACIT_MARK_LINK_BODY_GONE] > 0);
}

// ---- trouble
// -----------------------------------------------------------------------------------------------------

static void post__is_tried_again_in_order(void **state)
{
    (void)state;
    for (uint32_t refused = 1; refused <= 12; refused++) {
        struct pair pair;
        pair_open(&pair);
        memset(marks, 0, sizeof marks);
        pair.end[0].fake.refuse = refused;
        uint64_t ticket = tacit_links_send_body(pair.end[0].links, 1, "body", 4);
        struct tacit_vote vote = vote_of(1, 1);
        tacit_links_vote(pair.end[0].links, TACIT_VOTE_ACK, &vote);
        for (uint64_t number = 1; number <= 5; number++) {
            send_number(&pair, 0, 1, number);
        }
        if (pair.end[0].fake.refuse > 0) {
            assert_true(tacit_links_deadline(pair.end[0].links) < UINT64_MAX);
        }
        for (uint32_t turn = 0; turn < 20; turn++) {
            uint64_t number = 0;
            tacit_links_poll(pair.end[0].links, ++pair.now_ns);
            while ((number = receive_number(&pair, 1, 0)) != 0) {
                uint8_t out[BODY];
                uint32_t bytes;
                assert_int_equal(tacit_links_body(pair.end[1].links, 0, ticket, out, BODY, &bytes),
                                 TACIT_VERDICT_OK); // before the message that may name it
            }
        }
        assert_int_equal(tacit_links_counters(pair.end[1].links)->messages_received, 5);
        assert_int_equal(voted(&pair, 1, 0, TACIT_VOTE_ACK, 1), 2);
        assert_int_equal(voted(&pair, 2, 0, TACIT_VOTE_ACK, 1), 2);
        assert_true(marks[TACIT_MARK_LINK_POST_RETRIED] > 0);
        assert_int_equal(tacit_links_deadline(pair.end[0].links), UINT64_MAX);
        pair_close(&pair);
    }
}

// Writes that were lost with the connection are there after the next one is up.
static const char *lost_and_found(void)
{
    struct pair pair;
    pair_open(&pair);
    const char *wrong = NULL;
    uint64_t number = 1;
    for (uint32_t round = 0; round < 20 && wrong == NULL; round++) {
        send_number(&pair, 0, 1, number);
        pair.end[0].fake.lose = true;
        send_number(&pair, 0, 1, number + 1);
        uint64_t ticket = tacit_links_send_body(pair.end[0].links, 1, &number, 8);
        struct tacit_vote vote = vote_of(round, 2);
        tacit_links_vote(pair.end[0].links, TACIT_VOTE_ACK, &vote);
        tacit_links_vote(pair.end[0].links, TACIT_VOTE_CERTIFY, &vote);
        break_one(&pair, 0, 1);
        send_number(&pair, 0, 1, number + 2); // while it is down
        connect_one(&pair, 0, 1);
        pump(&pair.end[0], pair.now_ns);
        uint64_t out = 0;
        uint32_t bytes = 0;
        for (uint64_t i = 0; i < 3; i++) {
            wrong = receive_number(&pair, 1, 0) == number + i ? wrong : "a message is missing";
        }
        if (tacit_links_body(pair.end[1].links, 0, ticket, (uint8_t *)&out, 8, &bytes) !=
                TACIT_VERDICT_OK ||
            out != number) {
            wrong = "a body is missing";
        }
        if (voted(&pair, 1, 0, TACIT_VOTE_ACK, round) != 3 ||
            voted(&pair, 1, 0, TACIT_VOTE_CERTIFY, round) != 3) {
            wrong = "a vote is missing";
        }
        number += 3;
    }
    pair_close(&pair);
    return wrong;
}

static void up__writes_the_mirror_again(void **state)
{
    (void)state;
    memset(marks, 0, sizeof marks);
    assert_null(lost_and_found());
    assert_true(marks[TACIT_MARK_LINK_REWRITTEN] > 0);
}

// A new incarnation sees nothing of what was for the old one, and its old messages are not read.
static const char *reborn(void)
{
    struct pair pair;
    pair_open(&pair);
    const char *wrong = NULL;
    struct tacit_vote vote = vote_of(2, 2);
    for (uint64_t number = 1; number <= 5; number++) {
        send_number(&pair, 0, 1, number);
        send_number(&pair, 1, 0, 100 + number);
    }
    uint64_t old = tacit_links_send_body(pair.end[0].links, 1, "old", 3);
    tacit_links_vote(pair.end[0].links, TACIT_VOTE_ACK, &vote);
    tacit_links_vote(pair.end[1].links, TACIT_VOTE_ACK, &vote);
    restart(&pair, 1);
    if (tacit_links_is_up(pair.end[0].links, 1) || receive_number(&pair, 0, 1) != 0 ||
        voted(&pair, 0, 1, TACIT_VOTE_ACK, 2) != 0) {
        wrong = "a new incarnation counts before it is accepted";
    }
    send_number(&pair, 0, 1, 6); // still for the old one
    send_number(&pair, 1, 0, 201);
    if (receive_number(&pair, 1, 0) != 0 || receive_number(&pair, 0, 1) != 0) {
        wrong = "a new incarnation is talked to before it is accepted";
    }
    tacit_links_accept(pair.end[0].links, 1, 2);
    uint8_t out[BODY];
    uint32_t bytes;
    if (receive_number(&pair, 1, 0) != 0 || voted(&pair, 1, 0, TACIT_VOTE_ACK, 2) != 0 ||
        tacit_links_body(pair.end[1].links, 0, old, out, BODY, &bytes) == TACIT_VERDICT_OK) {
        wrong = "a new incarnation sees what was for the old one";
    }
    send_number(&pair, 0, 1, 7);
    tacit_links_vote(pair.end[1].links, TACIT_VOTE_ACK, &vote);
    if (receive_number(&pair, 1, 0) != 7 || receive_number(&pair, 0, 1) != 201 ||
        voted(&pair, 0, 1, TACIT_VOTE_ACK, 2) != 3) {
        wrong = "a new incarnation cannot talk";
    }
    tacit_links_accept(pair.end[0].links, 1, 0);
    send_number(&pair, 1, 0, 202);
    if (receive_number(&pair, 0, 1) != 0) {
        wrong = "who is not accepted is read";
    }
    tacit_links_accept(pair.end[0].links, 1, 2);
    if (receive_number(&pair, 0, 1) != 202) {
        wrong = "who is accepted again is not read on";
    }
    pair_close(&pair);
    return wrong;
}

// Who is no member is heard, but neither its votes nor its bodies are shown before it is accepted.
static void stranger__is_heard_only(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct tacit_vote vote = vote_of(2, 2);
    uint8_t out[BODY];
    uint32_t bytes;
    tacit_links_vote(pair.end[1].links, TACIT_VOTE_ACK, &vote);
    assert_int_not_equal(voted(&pair, 0, 1, TACIT_VOTE_ACK, 2), 0);
    restart(&pair, 1);
    assert_false(tacit_links_is_stranger(pair.end[0].links, 1));
    tacit_links_hear(pair.end[0].links, 1, 2);
    assert_true(tacit_links_is_stranger(pair.end[0].links, 1));
    uint64_t ticket = tacit_links_send_body(pair.end[1].links, 0, "new", 3);
    send_number(&pair, 1, 0, 201);
    send_number(&pair, 0, 1, 7);
    tacit_links_vote(pair.end[1].links, TACIT_VOTE_ACK, &vote);
    assert_int_equal(receive_number(&pair, 0, 1), 201);
    assert_int_equal(receive_number(&pair, 1, 0), 7); // it is talked to
    assert_int_equal(voted(&pair, 0, 1, TACIT_VOTE_ACK, 2), 0);
    assert_int_equal(tacit_links_body(pair.end[0].links, 1, ticket, out, BODY, &bytes),
                     TACIT_VERDICT_EMPTY);
    tacit_links_accept(pair.end[0].links, 1, 2);
    assert_false(tacit_links_is_stranger(pair.end[0].links, 1));
    assert_int_equal(voted(&pair, 0, 1, TACIT_VOTE_ACK, 2), 3);
    assert_int_equal(tacit_links_body(pair.end[0].links, 1, ticket, out, BODY, &bytes),
                     TACIT_VERDICT_OK);
    send_number(&pair, 1, 0, 202);
    assert_int_equal(receive_number(&pair, 0, 1), 202);
    pair_close(&pair);
}

// A stranger hears all that is said, woken for it now and then: NULL, or what is wrong.
static const char *rings_of_a_stranger(void)
{
    enum { MS = 1000000 };
    const char *wrong = NULL;
    struct pair pair;
    pair_open(&pair);
    struct end *end = &pair.end[0];
    restart(&pair, 1);
    tacit_links_hear(end->links, 1, 2);
    (void)tacit_links_poll(end->links, MS);
    uint32_t before = end->fake.host[1].rings;
    for (uint64_t number = 1; number <= 100; number++) { // one each 100 us
        send_number(&pair, 0, 1, number);
        (void)tacit_links_poll(end->links, MS + number * (MS / 10));
        if (receive_number(&pair, 1, 0) != number) {
            wrong = "it does not hear all";
        }
    }
    if (end->fake.host[1].rings > before + 11) {
        wrong = "it is woken for each word";
    } else if (end->fake.host[1].rings < before + 9) {
        wrong = "it is left asleep";
    }
    send_number(&pair, 0, 1, 101);
    (void)tacit_links_poll(end->links, 11 * MS + 1);
    if (tacit_links_deadline(end->links) > 12 * MS) {
        wrong = "the last word waits for another one";
    }
    before = end->fake.host[1].rings;
    tacit_links_accept(end->links, 1, 2);
    for (uint64_t number = 1; number <= 10; number++) {
        send_number(&pair, 0, 1, number);
        (void)tacit_links_poll(end->links, 11 * MS + 1);
    }
    if (end->fake.host[1].rings != before + 10) {
        wrong = "a member is not woken";
    }
    pair_close(&pair);
    return wrong;
}

static void stranger__is_rung_now_and_then(void **state)
{
    (void)state;
    assert_null(rings_of_a_stranger());
}

static void accept__starts_anew(void **state)
{
    (void)state;
    memset(marks, 0, sizeof marks);
    assert_null(reborn());
    assert_true(marks[TACIT_MARK_LINK_NEW_INCARNATION] > 0);
}

// Random faults on one link; after healing, the tail and the votes are there, in order.
static const char *random_link(uint64_t seed)
{
    struct choice choice;
    choice_init_seed(&choice, seed);
    struct pair pair;
    pair_open(&pair);
    uint64_t sent = 0;
    uint64_t seen = 0;
    uint64_t views[WINDOW] = {0};
    const char *wrong = NULL;
    for (uint32_t step = 0; step < 300 && wrong == NULL; step++) {
        uint64_t number = 0;
        uint64_t slot = choice_u32(&choice, WINDOW);
        struct tacit_vote vote;
        switch (choice_u32(&choice, 8)) {
        case 0:
            pair.end[0].fake.refuse = choice_u32(&choice, 5);
            break;
        case 1:
            pair.end[0].fake.lose = pair.end[0].is_connected[1];
            break;
        case 2:
            break_one(&pair, 0, 1);
            break;
        case 3:
            if (!pair.end[0].is_connected[1]) {
                connect_one(&pair, 0, 1);
                pump(&pair.end[0], pair.now_ns);
            }
            break;
        case 4:
            vote = vote_of(slot, ++views[slot]);
            tacit_links_vote(pair.end[0].links, TACIT_VOTE_CERTIFY, &vote);
            break;
        case 5:
            number = receive_number(&pair, 1, 0);
            wrong = number == UINT64_MAX || (number != 0 && number <= seen) ? "order" : NULL;
            seen = number == 0 ? seen : number;
            break;
        default:
            send_number(&pair, 0, 1, ++sent);
        }
        tacit_links_poll(pair.end[0].links, ++pair.now_ns);
    }
    pair.end[0].fake.refuse = 0;
    break_one(&pair, 0, 1);
    connect_one(&pair, 0, 1);
    pump(&pair.end[0], pair.now_ns);
    tacit_links_poll(pair.end[0].links, ++pair.now_ns);
    uint64_t number;
    uint64_t oldest = sent > SLOTS ? sent - SLOTS + 1 : 1;
    while (wrong == NULL && (number = receive_number(&pair, 1, 0)) != 0) {
        wrong = number == (seen + 1 > oldest ? seen + 1 : oldest) ? NULL : "tail";
        seen = number;
    }
    wrong = wrong == NULL && seen != sent ? "the newest is missing" : wrong;
    for (uint64_t slot = 0; slot < WINDOW && wrong == NULL; slot++) {
        uint64_t view = voted(&pair, 1, 0, TACIT_VOTE_CERTIFY, slot);
        wrong = view == (views[slot] == 0 ? 0 : views[slot] + 1) ? NULL : "vote";
    }
    pair_close(&pair);
    return wrong;
}

static void link__keeps_the_tail_whatever_happens(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        const char *wrong = random_link(seed);
        if (wrong != NULL) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, wrong);
        }
    }
}

// A liar writes any words anywhere while others look: nothing is left that was not written whole,
// and nobody steps outside (sanitizers watch).
static void liar__harms_nobody(void **state)
{
    (void)state;
    struct choice choice;
    choice_init_seed(&choice, 9);
    for (uint32_t run = 0; run < 100; run++) {
        struct pair pair;
        pair_open(&pair);
        uint8_t *region = pair.end[1].region[0];
        for (uint32_t step = 0; step < 200; step++) {
            uint64_t at = choice_u32(&choice, (uint32_t)(pair.region_bytes / 8)) * 8u;
            uint64_t value = choice_u32(&choice, 2) == 0
                                 ? choice_u32(&choice, 12)
                                 : (uint64_t)choice_u32(&choice, UINT32_MAX) << 31;
            memcpy(region + at, &value, 8);
            uint8_t out[BODY];
            uint32_t bytes = 0;
            struct tacit_vote vote;
            enum tacit_verdict verdict = tacit_links_receive(pair.end[1].links, 0, out, &bytes);
            assert_true(verdict == TACIT_VERDICT_EMPTY || verdict == TACIT_VERDICT_MALFORMED);
            verdict =
                tacit_links_body(pair.end[1].links, 0, choice_u32(&choice, 12), out, BODY, &bytes);
            assert_true(verdict == TACIT_VERDICT_EMPTY || verdict == TACIT_VERDICT_MALFORMED);
            for (unsigned kind = 0; kind < 2; kind++) {
                assert_int_equal(tacit_links_voted(pair.end[1].links, 0, (enum tacit_vote_kind)kind,
                                                   choice_u32(&choice, 12), &vote),
                                 TACIT_VERDICT_EMPTY);
            }
        }
        // The others' links are as before.
        send_number(&pair, 2, 1, 5);
        assert_int_equal(receive_number(&pair, 1, 2), 5);
        pair_close(&pair);
    }
}

#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
static void bugs__are_found(void **state)
{
    (void)state;
    tacit_seeded_bug = TACIT_BUG_LINK_VOTE_CHECK_IGNORED;
    assert_non_null(torn_votes(3, 3));
    tacit_seeded_bug = TACIT_BUG_LINK_BODY_CHECK_IGNORED;
    assert_non_null(torn_bodies());
    tacit_seeded_bug = TACIT_BUG_LINK_NOT_REWRITTEN;
    assert_non_null(lost_and_found());
    tacit_seeded_bug = TACIT_BUG_LINK_OLD_INCARNATION;
    assert_non_null(reborn());
    tacit_seeded_bug = TACIT_BUG_STRANGER_RUNG_AT_ONCE;
    assert_non_null(rings_of_a_stranger());
    tacit_seeded_bug = TACIT_BUG_NONE;
}
#else
static void bugs__are_found(void **state)
{
    (void)state;
    skip();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(send__is_one_write_of_what_it_takes),
        cmocka_unit_test(receive__goes_on_after_a_lap),
        cmocka_unit_test(vote__newest_wins),
        cmocka_unit_test(all__are_told_round_from_the_sender),
        cmocka_unit_test(body__is_found_by_its_ticket),
        cmocka_unit_test(voted__takes_whole_cells_only),
        cmocka_unit_test(body__is_taken_whole_only),
        cmocka_unit_test(post__is_tried_again_in_order),
        cmocka_unit_test(up__writes_the_mirror_again),
        cmocka_unit_test(stranger__is_heard_only),
        cmocka_unit_test(stranger__is_rung_now_and_then),
        cmocka_unit_test(accept__starts_anew),
        cmocka_unit_test(link__keeps_the_tail_whatever_happens),
        cmocka_unit_test(liar__harms_nobody),
        cmocka_unit_test(bugs__are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
