// SPDX-License-Identifier: Apache-2.0
//
// What the others wrote into their areas (links.h), in our own memory or, fetched from the memory
// nodes, in an image. Their writers may be storing at the same time, and may lie: nothing is used
// in place.
#include <string.h>

#include "../base/bug.h"
#include "../base/prefetch.h"
#include "links_internal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define AHEAD_BYTES 256u // of a message: LOCK with a small request
#define BODY_HEADER (8u * TACIT_LINKS_BODY_WORDS)

uint64_t tacit_links_cell_check(unsigned kind, const uint8_t *cell)
{
    return XXH3_64bits(cell + 8u * TACIT_LINKS_CELL_VIEW, tacit_links_cell_bytes(kind) - 8u);
}

uint64_t tacit_links_body_check(const uint64_t words[TACIT_LINKS_BODY_WORDS], const void *body,
                                uint32_t bytes)
{
    return XXH3_64bits_withSeed(words, 8u * TACIT_LINKS_BODY_CHECK, XXH3_64bits(body, bytes));
}

uint64_t tacit_links_head_check(const struct tacit_links_head *head, uint32_t bytes)
{
    return XXH3_64bits(&head->messages, bytes - sizeof head->check);
}

bool tacit_links_has_news(const struct tacit_links *links)
{
    bool news = tacit_links_is_shared(links);
    for (tacit_node_t r = 0; r < links->config.replicas && !news; r++) {
        news = links->peer[r].memory != NULL && tacit_ring_has_news(&links->peer[r].reader);
    }
    return news;
}

void tacit_links_prefetch(const struct tacit_links *links, uint64_t slot)
{
    size_t cell = tacit_links_cell_at(links, TACIT_VOTE_ACK, slot);
    for (tacit_node_t r = 0; r < links->config.replicas; r++) {
        const struct tacit_links_peer *peer = &links->peer[r];
        const struct tacit_links_area *area = &links->area[r];
        if (area->mirror != NULL) {
            size_t next = tacit_ring_offset(links->layout.shape, area->messages + 1);
            tacit_prefetch(area->mirror + links->layout.ring + next, AHEAD_BYTES);
            tacit_prefetch(area->mirror + cell, tacit_links_cell_bytes(TACIT_VOTE_ACK));
        }
        if (peer->memory != NULL) {
            tacit_ring_prefetch(&peer->reader);
            __builtin_prefetch(peer->memory + cell);
        }
    }
}

// The next message that a ring shows, at links->scratch + TACIT_RING_HEADER.
static enum tacit_verdict next_of(struct tacit_links *links, struct tacit_links_peer *peer,
                                  uint32_t *bytes)
{
    enum tacit_verdict verdict = tacit_ring_read(&peer->reader, links->scratch, bytes);
    if (peer->reader.lost != peer->lost) {
        links->counters.lapped += peer->reader.lost - peer->lost;
        peer->lost = peer->reader.lost;
        tacit_mark(&links->marker, TACIT_MARK_LINK_LAPPED);
    }
    return verdict;
}

// In a shared ring, what is for others is skipped.
static enum tacit_verdict next_for_self(struct tacit_links *links, struct tacit_links_peer *peer,
                                        uint32_t *bytes)
{
    uint8_t *message = links->scratch + TACIT_RING_HEADER;
    for (uint32_t i = 0; i < links->config.slots; i++) {
        uint64_t receivers;
        enum tacit_verdict verdict = next_of(links, peer, bytes);
        if (verdict != TACIT_VERDICT_OK) {
            return verdict;
        }
        if (*bytes < TACIT_LINKS_PREFIX) {
            return TACIT_VERDICT_MALFORMED;
        }
        memcpy(&receivers, message, TACIT_LINKS_PREFIX);
        if ((receivers >> links->config.self & 1) != 0) {
            *bytes -= TACIT_LINKS_PREFIX;
            memmove(message, message + TACIT_LINKS_PREFIX, *bytes);
            return TACIT_VERDICT_OK;
        }
    }
    return TACIT_VERDICT_EMPTY; // a turn is over
}

enum tacit_verdict tacit_links_receive(struct tacit_links *links, tacit_node_t from, uint8_t *out,
                                       uint32_t *bytes)
{
    struct tacit_links_peer *peer = &links->peer[from];
    if (peer->memory == NULL) {
        return TACIT_VERDICT_EMPTY;
    }
    enum tacit_verdict verdict = tacit_links_is_shared(links) ? next_for_self(links, peer, bytes)
                                                              : next_of(links, peer, bytes);
    if (verdict == TACIT_VERDICT_OK && *bytes > links->config.message_bytes) {
        verdict = TACIT_VERDICT_MALFORMED; // a slot has room for a little more
    }
    if (verdict == TACIT_VERDICT_OK) {
        memcpy(out, links->scratch + TACIT_RING_HEADER, *bytes);
        links->counters.messages_received++;
    }
    links->counters.malformed += verdict == TACIT_VERDICT_MALFORMED;
    return verdict;
}

enum tacit_verdict tacit_links_body(struct tacit_links *links, tacit_node_t from, uint64_t ticket,
                                    uint8_t *out, uint32_t max, uint32_t *bytes)
{
    const struct tacit_links_peer *peer = &links->peer[from];
    if (peer->memory == NULL || peer->is_stranger || ticket == 0) {
        return TACIT_VERDICT_EMPTY;
    }
    const uint8_t *slot = peer->memory + tacit_links_body_at(links, ticket);
    uint64_t words[TACIT_LINKS_BODY_WORDS];
    tacit_words_in(words, slot, sizeof words);
    if (words[TACIT_LINKS_BODY_TICKET] != ticket) {
        tacit_mark(&links->marker, TACIT_MARK_LINK_BODY_GONE);
        return TACIT_VERDICT_EMPTY;
    }
    if (words[TACIT_LINKS_BODY_LENGTH] > links->config.body_bytes ||
        words[TACIT_LINKS_BODY_LENGTH] > max) {
        links->counters.malformed++;
        return TACIT_VERDICT_MALFORMED; // one word lands whole, so no tear explains this
    }
    uint32_t length = (uint32_t)words[TACIT_LINKS_BODY_LENGTH];
    for (uint32_t i = 0; i < length; i += 8) {
        uint64_t word = tacit_word_load(slot, BODY_HEADER + i);
        memcpy(out + i, &word, length - i < 8 ? length - i : 8);
    }
    if (tacit_links_body_check(words, out, length) != words[TACIT_LINKS_BODY_CHECK] &&
        !TACIT_BUG(LINK_BODY_CHECK_IGNORED)) {
        tacit_mark(&links->marker, TACIT_MARK_LINK_BODY_GONE);
        return TACIT_VERDICT_EMPTY;
    }
    *bytes = length;
    return TACIT_VERDICT_OK;
}

// Apart: most looks find nothing, and are inlined without it.
__attribute__((noinline)) static enum tacit_verdict read_cell(struct tacit_links *links,
                                                              enum tacit_vote_kind kind,
                                                              uint64_t slot, const uint8_t *cell,
                                                              struct tacit_vote *vote)
{
    uint64_t words[TACIT_LINKS_CELL_MAX / 8];
    const uint8_t *copy = (const uint8_t *)words;
    tacit_words_in(words, cell, tacit_links_cell_bytes(kind));
    if (words[TACIT_LINKS_CELL_SLOT] != slot) {
        return TACIT_VERDICT_EMPTY;
    }
    if (words[TACIT_LINKS_CELL_CHECK] != tacit_links_cell_check(kind, copy) &&
        !TACIT_BUG(LINK_VOTE_CHECK_IGNORED)) {
        tacit_mark(&links->marker, TACIT_MARK_LINK_VOTE_TORN);
        return TACIT_VERDICT_EMPTY;
    }
    copy += 8u * TACIT_LINKS_CELL_REST;
    vote->view = words[TACIT_LINKS_CELL_VIEW];
    vote->slot = slot;
    memcpy(vote->digest.bytes, copy, TACIT_DIGEST_BYTES);
    if (kind == TACIT_VOTE_CERTIFY) {
        memcpy(vote->signature.bytes, copy + TACIT_DIGEST_BYTES, TACIT_SIGNATURE_BYTES);
    }
    return TACIT_VERDICT_OK;
}

enum tacit_verdict tacit_links_voted(struct tacit_links *links, tacit_node_t from,
                                     enum tacit_vote_kind kind, uint64_t slot,
                                     struct tacit_vote *vote)
{
    const struct tacit_links_peer *peer = &links->peer[from];
    if (peer->memory == NULL || peer->is_stranger) {
        return TACIT_VERDICT_EMPTY;
    }
    const uint8_t *cell = peer->memory + tacit_links_cell_at(links, kind, slot);
    // Two words tell (an unused cell has no check).
    bool is_news = tacit_word_load(cell, 8u * TACIT_LINKS_CELL_SLOT) == slot &&
                   tacit_word_load(cell, 8u * TACIT_LINKS_CELL_CHECK) != 0;
    return is_news ? read_cell(links, kind, slot, cell, vote) : TACIT_VERDICT_EMPTY;
}
