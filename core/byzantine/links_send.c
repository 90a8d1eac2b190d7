// SPDX-License-Identifier: Apache-2.0
//
// What we tell the others (links.h): messages, bodies and votes on their way into the mirrors of
// our areas. What is new there goes to the hosts at once (links.c).
#include <string.h>

#include "../base/bug.h"
#include "links_internal.h"

#define BODY_HEADER (8u * TACIT_LINKS_BODY_WORDS)

static uint8_t *next_slot(const struct tacit_links *links, struct tacit_links_area *area)
{
    uint64_t sequence = ++area->messages;
    return area->mirror + links->layout.ring + tacit_ring_offset(links->layout.shape, sequence);
}

// Puts a message into an area's ring. `prefix`: shared areas only.
static void append(struct tacit_links *links, struct tacit_links_area *area, uint64_t prefix,
                   const void *message, uint32_t bytes)
{
    uint8_t *slot = next_slot(links, area);
    uint32_t before = tacit_links_is_shared(links) ? TACIT_LINKS_PREFIX : 0;
    if (before > 0) {
        memcpy(slot + TACIT_RING_HEADER, &prefix, before);
    }
    if (bytes > 0) {
        memcpy(slot + TACIT_RING_HEADER + before, message, bytes);
    }
    tacit_ring_seal(links->layout.shape, area->messages, slot, before + bytes);
    links->counters.messages_sent++;
}

// What goes to all goes to the next replica first, and round from there: were it in the same order
// everywhere, the same one would hear each of the others last, and be the last to answer them.
static tacit_node_t next_after(const struct tacit_links *links, tacit_node_t r)
{
    return r + 1u < links->config.replicas ? (tacit_node_t)(r + 1u) : 0;
}

// The same bytes for all, summed once, where nothing was stored just now. (Nothing of a message has
// to be padded: 8 bytes are its unit.)
static void append_all(struct tacit_links *links, const void *message, uint32_t bytes)
{
    uint64_t sum = tacit_ring_sum(message, bytes);
    tacit_node_t self = links->config.self;
    for (tacit_node_t r = next_after(links, self); r != self; r = next_after(links, r)) {
        struct tacit_links_area *area = &links->area[r];
        uint8_t *slot = next_slot(links, area);
        memcpy(slot + TACIT_RING_HEADER, message, bytes);
        tacit_ring_seal_summed(links->layout.shape, area->messages, slot, bytes, sum);
        links->counters.messages_sent++;
        tacit_links_flush(links, r, 1ull << r);
    }
}

void tacit_links_send(struct tacit_links *links, tacit_node_t to, const void *message,
                      uint32_t bytes)
{
    TACIT_ASSERT(bytes <= links->config.message_bytes && to < links->config.replicas &&
                 to != links->config.self);
    append(links, tacit_links_area_at(links, to), 1ull << to, message, bytes);
    tacit_links_flush(links, to, 1ull << to);
}

void tacit_links_send_all(struct tacit_links *links, const void *message, uint32_t bytes)
{
    TACIT_ASSERT(bytes <= links->config.message_bytes);
    if (tacit_links_is_shared(links)) {
        append(links, &links->area[0], tacit_links_all_peers(links), message, bytes);
        tacit_links_flush(links, 0, tacit_links_all_peers(links));
    } else if (bytes > 0 && bytes % 8 == 0) {
        append_all(links, message, bytes);
    } else {
        for (tacit_node_t r = 0; r < links->config.replicas; r++) {
            if (r != links->config.self) {
                tacit_links_send(links, r, message, bytes);
            }
        }
    }
}

uint64_t tacit_links_send_body(struct tacit_links *links, tacit_node_t to, const void *body,
                               uint32_t bytes)
{
    TACIT_ASSERT(bytes <= links->config.body_bytes && to < links->config.replicas &&
                 to != links->config.self);
    struct tacit_links_area *area = tacit_links_area_at(links, to);
    const uint8_t *last = area->mirror + tacit_links_body_at(links, area->bodies);
    if (tacit_links_is_shared(links) && area->bodies > 0 &&
        tacit_links_word(last, TACIT_LINKS_BODY_LENGTH) == bytes &&
        memcmp(last + BODY_HEADER, body, bytes) == 0) {
        return area->bodies; // what was sent to one is there for all
    }
    uint64_t words[TACIT_LINKS_BODY_WORDS] = {++area->bodies, bytes};
    uint8_t *slot = area->mirror + tacit_links_body_at(links, area->bodies);
    words[TACIT_LINKS_BODY_CHECK] = tacit_links_body_check(words, body, bytes);
    memcpy(slot, words, sizeof words);
    if (bytes > 0) {
        memcpy(slot + BODY_HEADER, body, bytes);
    }
    memset(slot + BODY_HEADER + bytes, 0, tacit_round_up(bytes, 8) - bytes);
    links->counters.bodies_sent++;
    tacit_links_flush(links, to, 1ull << to);
    return area->bodies;
}

static void seal_cell(unsigned kind, uint8_t *cell)
{
    uint64_t check = tacit_links_cell_check(kind, cell);
    memcpy(cell, &check, 8);
}

// Puts a vote into its cell of an area, unless a newer one is there. `cell` is sealed; in a shared
// area it gets a number.
static void vote_into(struct tacit_links *links, uint32_t first, unsigned kind, uint64_t slot,
                      uint8_t *cell)
{
    struct tacit_links_area *area = tacit_links_area_at(links, first);
    bool shared = tacit_links_is_shared(links);
    uint32_t index = (uint32_t)(slot % links->config.window);
    uint64_t bit = 1ull << index % 64;
    uint8_t *place = area->mirror + tacit_links_cell_at(links, kind, slot);
    uint64_t old_slot = tacit_links_word(place, TACIT_LINKS_CELL_SLOT);
    if ((area->used[kind][index / 64] & bit) != 0 &&
        (old_slot > slot ||
         (old_slot == slot && tacit_links_word(place, TACIT_LINKS_CELL_VIEW) >
                                  tacit_links_word(cell, TACIT_LINKS_CELL_VIEW)))) {
        return;
    }
    uint64_t number = ++area->votes[kind];
    area->journal[kind][number % TACIT_LINKS_JOURNAL] = (uint16_t)index;
    if (shared) {
        memcpy(cell + tacit_links_cell_number(kind), &number, 8);
        seal_cell(kind, cell);
    }
    memcpy(place, cell, tacit_links_cell_bytes(kind));
    area->used[kind][index / 64] |= bit;
    for (uint32_t i = first; i < (shared ? links->hosts : first + 1u); i++) {
        struct tacit_links_outlet *outlet = &links->outlet[i];
        outlet->dirty_cells += (outlet->dirty[kind][index / 64] & bit) == 0;
        outlet->dirty[kind][index / 64] |= bit;
    }
    tacit_links_flush(links, first, tacit_links_all_peers(links));
}

void tacit_links_vote(struct tacit_links *links, enum tacit_vote_kind kind,
                      const struct tacit_vote *vote)
{
    uint8_t cell[TACIT_LINKS_CELL_MAX] = {0};
    memcpy(cell + 8u * TACIT_LINKS_CELL_VIEW, &vote->view, 8);
    memcpy(cell + 8u * TACIT_LINKS_CELL_SLOT, &vote->slot, 8);
    memcpy(cell + 8u * TACIT_LINKS_CELL_REST, vote->digest.bytes, TACIT_DIGEST_BYTES);
    if (kind == TACIT_VOTE_CERTIFY) {
        memcpy(cell + 8u * TACIT_LINKS_CELL_REST + TACIT_DIGEST_BYTES, vote->signature.bytes,
               TACIT_SIGNATURE_BYTES);
    }
    seal_cell(kind, cell);
    tacit_node_t self = links->config.self;
    if (tacit_links_is_shared(links)) {
        vote_into(links, 0, kind, vote->slot, cell);
    } else {
        for (tacit_node_t r = next_after(links, self); r != self; r = next_after(links, r)) {
            vote_into(links, r, kind, vote->slot, cell);
        }
    }
    links->counters.votes_sent++;
}
