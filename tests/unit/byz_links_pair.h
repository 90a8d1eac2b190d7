// SPDX-License-Identifier: Apache-2.0
//
// Three replicas' links, each receiver's region in its own memory, on fabrics that the test steers:
// connections come and break, replicas begin new lives, messages carry a number and votes a pattern
// by which they are known again.
#ifndef TACIT_TESTS_UNIT_BYZ_LINKS_PAIR_H
#define TACIT_TESTS_UNIT_BYZ_LINKS_PAIR_H

#include "support/fake_fabric.h"

#include <stdlib.h>

#include "core/byzantine/links.h"

enum { REPLICAS = 3, SLOTS = 8, MESSAGE = 60, BODIES = 4, BODY = 100, WINDOW = 8, OFFSET = 128 };

static uint64_t marks[TACIT_MARKS];

static inline void mark(void *context, unsigned which)
{
    (void)context;
    marks[which]++;
}

// One replica's links on a fabric of its own, and the regions that others write in its memory.
struct end {
    struct fake_fabric fake;
    struct tacit_links *links;
    void *memory;
    uint8_t *region[REPLICAS]; // by writer
    tacit_incarnation_t incarnation;
    bool is_connected[REPLICAS];
};
struct pair {
    struct end end[REPLICAS];
    size_t region_bytes;
    tacit_time_ns_t now_ns;
};

static inline struct tacit_links_config config_of(tacit_node_t self)
{
    return (struct tacit_links_config){.place = TACIT_LINKS_ON_REPLICAS,
                                       .replicas = REPLICAS,
                                       .self = self,
                                       .slots = SLOTS,
                                       .message_bytes = MESSAGE,
                                       .bodies = BODIES,
                                       .body_bytes = BODY,
                                       .window = WINDOW,
                                       .offset = OFFSET};
}

static inline void end_start(struct pair *pair, tacit_node_t self, tacit_incarnation_t incarnation)
{
    struct end *end = &pair->end[self];
    struct tacit_links_config config = config_of(self);
    struct tacit_bump measure = {.base = NULL};
    tacit_links_init(&measure, &config, NULL, (struct tacit_marker){0});
    fake_init(&end->fake, self, incarnation);
    end->incarnation = incarnation;
    end->memory = aligned_alloc(64, tacit_round_up(measure.used, 64));
    struct tacit_bump bump = {.base = end->memory};
    end->links =
        tacit_links_init(&bump, &config, &end->fake.fabric, (struct tacit_marker){.mark = mark});
    assert_int_equal(bump.used, measure.used);
    for (tacit_node_t r = 0; r < REPLICAS; r++) {
        end->is_connected[r] = false;
    }
}

static inline void end_stop(struct end *end)
{
    free(end->memory);
    for (unsigned r = 0; r < REPLICAS; r++) {
        free(end->region[r]);
        end->region[r] = NULL;
    }
}

static inline void pump(struct end *end, tacit_time_ns_t now_ns)
{
    struct tacit_event event;
    while (fake_take(&end->fake, &event)) {
        tacit_links_event(end->links, &event, now_ns);
    }
}

// `from` gets a connection to `to`, which makes a region for a new incarnation only.
static inline void connect_one(struct pair *pair, tacit_node_t from, tacit_node_t to)
{
    struct end *peer = &pair->end[from];
    struct end *host = &pair->end[to];
    struct tacit_region_key key = {TACIT_REGION_CONTROL, from, peer->incarnation};
    if (fake_find(&host->fake, to, key) == NULL) {
        struct fake_host *own = &host->fake.host[to];
        for (uint32_t i = 0; i < own->regions; i++) {
            own->region[i].live = own->region[i].live && own->region[i].key.owner != from;
        }
        free(host->region[from]);
        host->region[from] = aligned_alloc(64, tacit_round_up(pair->region_bytes, 64));
        memset(host->region[from], 0, pair->region_bytes);
        fake_add_region(&host->fake, to, TACIT_REGION_CONTROL, from, peer->incarnation,
                        host->region[from], pair->region_bytes);
    }
    peer->fake.host[to].regions = 0;
    fake_add_region(&peer->fake, to, TACIT_REGION_CONTROL, from, peer->incarnation,
                    host->region[from], pair->region_bytes);
    fake_up(&peer->fake, to, host->incarnation);
    peer->is_connected[to] = true;
}

static inline void connect_both(struct pair *pair, tacit_node_t a, tacit_node_t b)
{
    connect_one(pair, a, b);
    connect_one(pair, b, a);
    pump(&pair->end[a], pair->now_ns);
    pump(&pair->end[b], pair->now_ns);
}

static inline void break_one(struct pair *pair, tacit_node_t from, tacit_node_t to)
{
    struct end *peer = &pair->end[from];
    if (peer->is_connected[to]) {
        fake_down(&peer->fake, to, false);
        peer->is_connected[to] = false;
        pump(peer, pair->now_ns);
    }
    peer->fake.lose = false;
}

static inline void pair_open(struct pair *pair)
{
    memset(pair, 0, sizeof *pair);
    struct tacit_links_config config = config_of(0);
    pair->region_bytes = OFFSET + tacit_links_region_bytes(&config);
    for (tacit_node_t r = 0; r < REPLICAS; r++) {
        end_start(pair, r, 1);
    }
    for (tacit_node_t a = 0; a < REPLICAS; a++) {
        for (tacit_node_t b = 0; b < REPLICAS; b++) {
            if (a != b) {
                tacit_links_accept(pair->end[a].links, b, 1);
            }
        }
    }
    connect_both(pair, 0, 1);
    connect_both(pair, 0, 2);
    connect_both(pair, 1, 2);
}

static inline void pair_close(struct pair *pair)
{
    for (tacit_node_t r = 0; r < REPLICAS; r++) {
        end_stop(&pair->end[r]);
    }
}

// A restart of `node` with empty memory: the others learn of it, and accept nothing yet.
static inline void restart(struct pair *pair, tacit_node_t node)
{
    struct end *end = &pair->end[node];
    for (tacit_node_t r = 0; r < REPLICAS; r++) {
        if (r != node) {
            break_one(pair, r, node);
        }
    }
    tacit_incarnation_t incarnation = end->incarnation + 1;
    end_stop(end);
    end_start(pair, node, incarnation);
    for (tacit_node_t r = 0; r < REPLICAS; r++) {
        if (r != node) {
            tacit_links_accept(end->links, r, pair->end[r].incarnation);
            connect_both(pair, node, r);
        }
    }
}

static inline uint32_t message_of(uint8_t *out, uint64_t number)
{
    uint32_t bytes = (uint32_t)(8 + number * 5 % (MESSAGE - 7));
    memset(out, (int)number, bytes);
    memcpy(out, &number, 8);
    return bytes;
}

static inline void send_number(struct pair *pair, tacit_node_t from, tacit_node_t to,
                               uint64_t number)
{
    uint8_t message[MESSAGE];
    uint32_t bytes = message_of(message, number);
    tacit_links_send(pair->end[from].links, to, message, bytes);
}

// The number of the next message, 0: none, UINT64_MAX: not as it was sent.
static inline uint64_t receive_number(struct pair *pair, tacit_node_t to, tacit_node_t from)
{
    uint8_t out[MESSAGE];
    uint8_t expected[MESSAGE];
    uint32_t bytes = 0;
    enum tacit_verdict verdict = tacit_links_receive(pair->end[to].links, from, out, &bytes);
    if (verdict == TACIT_VERDICT_EMPTY) {
        return 0;
    }
    uint64_t number = 0;
    memcpy(&number, out, 8);
    bool is_right = verdict == TACIT_VERDICT_OK && bytes >= 8 &&
                    message_of(expected, number) == bytes && memcmp(out, expected, bytes) == 0;
    return is_right ? number : UINT64_MAX;
}

static inline struct tacit_vote vote_of(uint64_t slot, uint64_t view)
{
    struct tacit_vote vote = {.slot = slot, .view = view};
    memset(vote.digest.bytes, (int)(slot * 7 + view), sizeof vote.digest.bytes);
    memset(vote.signature.bytes, (int)(slot * 11 + view), sizeof vote.signature.bytes);
    return vote;
}

// View + 1 of the vote that is shown, 0: none, UINT64_MAX: not as it was made.
static inline uint64_t voted(struct pair *pair, tacit_node_t to, tacit_node_t from,
                             enum tacit_vote_kind kind, uint64_t slot)
{
    struct tacit_vote vote;
    if (tacit_links_voted(pair->end[to].links, from, kind, slot, &vote) != TACIT_VERDICT_OK) {
        return 0;
    }
    struct tacit_vote right = vote_of(slot, vote.view);
    bool is_right = vote.slot == slot &&
                    memcmp(&vote.digest, &right.digest, sizeof right.digest) == 0 &&
                    (kind == TACIT_VOTE_ACK ||
                     memcmp(&vote.signature, &right.signature, sizeof right.signature) == 0);
    return is_right ? vote.view + 1 : UINT64_MAX;
}

#endif
