// SPDX-License-Identifier: Apache-2.0
//
// What the files of the links share: links.c (sending, who is there), links_receive.c, and
// links_memnodes.c (fetching what others wrote to the memory nodes).
#ifndef TACIT_BYZANTINE_LINKS_INTERNAL_H
#define TACIT_BYZANTINE_LINKS_INTERNAL_H

#include <string.h>

#include "links.h"

#define TACIT_LINKS_VOTE_KINDS 2u

// An area is what one replica tells one other, or (memory nodes) all others; in order:
//   head       memory nodes only: what the area holds, written after it
//   ring, bodies, acks, certifies: see links.h
struct tacit_links_layout {
    size_t ring;
    struct tacit_ring_shape shape;
    size_t bodies;
    size_t body_slot; // bytes of one
    size_t cells[TACIT_LINKS_VOTE_KINDS];
    size_t bytes;
};

// The header of a body slot, word by word.
enum {
    TACIT_LINKS_BODY_TICKET,
    TACIT_LINKS_BODY_LENGTH,
    TACIT_LINKS_BODY_CHECK,
    TACIT_LINKS_BODY_WORDS
};
// A cell, word by word.
enum {
    TACIT_LINKS_CELL_CHECK,
    TACIT_LINKS_CELL_VIEW,
    TACIT_LINKS_CELL_SLOT,
    TACIT_LINKS_CELL_REST
};
#define TACIT_LINKS_CELL_MAX 128u

// At memory nodes a ring message begins with a word that says whom it is for: bit r: replica r.
#define TACIT_LINKS_PREFIX 8u

// The head of an area at a memory node, word by word. The journal names the cells of the newest
// votes of each kind: vote number i (from 1) has its place at i mod TACIT_LINKS_JOURNAL.
#define TACIT_LINKS_JOURNAL 12u
struct tacit_links_addressee {
    uint64_t incarnation; // that is talked to; 0: none
    uint64_t base;        // messages up to this were for an older one
};
struct tacit_links_head {
    uint64_t check; // XXH3 of the rest
    uint64_t messages, bodies;
    uint64_t votes[TACIT_LINKS_VOTE_KINDS];
    uint16_t journal[TACIT_LINKS_VOTE_KINDS][TACIT_LINKS_JOURNAL];
    uint64_t round; // counts how often what was not known to be there was written again
    struct tacit_links_addressee to[TACIT_REPLICAS_MAX]; // of these as many as there are replicas
};
#define TACIT_LINKS_HEAD_FIXED 96u
_Static_assert(offsetof(struct tacit_links_head, to) == TACIT_LINKS_HEAD_FIXED, "layout of a head");

// Somebody who holds a copy of an area of ours: a replica (of its own one) or a memory node (of the
// one for all).
struct tacit_links_host {
    tacit_node_t node;
    bool is_up;
    tacit_incarnation_t incarnation; // of the connection
    tacit_incarnation_t accepted;    // 0: none
    int32_t handle;                  // of our region there; -1: not known (yet)
};

// What we tell: an area as it shall be everywhere.
struct tacit_links_area {
    uint8_t *mirror;
    uint64_t messages, bodies; // numbers sent
    uint64_t votes[TACIT_LINKS_VOTE_KINDS];
    uint64_t *used[TACIT_LINKS_VOTE_KINDS]; // cells
    uint16_t journal[TACIT_LINKS_VOTE_KINDS][TACIT_LINKS_JOURNAL];
};

// How far the copy at one host is.
struct tacit_links_outlet {
    uint64_t messages, bodies; // posted
    uint64_t *dirty[TACIT_LINKS_VOTE_KINDS];
    uint32_t dirty_cells;
    bool stalled; // something could not be posted
    // The head, at memory nodes. Its completion proves that what was posted before it is in place;
    // with a new connection only the rest is written again.
    bool head_dirty, head_posted;
    uint64_t round;
    uint64_t to_ring, ringing; // receivers: to be rung by the next head, by the posted one
    uint64_t ahead[2];         // messages and bodies that the posted head covers
    uint64_t proven[2];        // that are in place for sure
    uint64_t *open[TACIT_LINKS_VOTE_KINDS]; // cells that were posted after the newest head
    uint64_t *sunk[TACIT_LINKS_VOTE_KINDS]; // cells that the posted head covers
    struct tacit_links_head *head;          // being written
};

// What a memory node told about a sender's area, and the read that is under way there.
enum tacit_links_read {
    TACIT_LINKS_READ_NONE,
    TACIT_LINKS_READ_HEAD,
    TACIT_LINKS_READ_BODY,
    TACIT_LINKS_READ_CELL,
    TACIT_LINKS_READ_CELLS,
    TACIT_LINKS_READ_MESSAGES,
};
struct tacit_links_fetch {
    enum tacit_links_read read; // under way
    bool is_void;               // ... and is for nothing: what was asked for is not wanted any more
    bool again;                 // the bell rang meanwhile
    uint8_t kind;               // of votes
    uint32_t count;             // cells or messages
    uint64_t from;              // first ticket, message or cell
    uint64_t to;                // what is known here when it is done
    bool has_head, has_round;
    // What was read here. A write that was lost may leave a hole below a head that landed: so this
    // is told by each node for itself, and begins again with a new round.
    uint64_t round, messages, bodies, votes[TACIT_LINKS_VOTE_KINDS];
    struct tacit_links_head head;
    uint8_t *staging; // staging_bytes
    tacit_time_ns_t due_ns;
};

struct tacit_links_peer {
    tacit_incarnation_t accepted, last_accepted;
    tacit_incarnation_t up; // of its connection; 0: down
    bool rings;             // it was written to and not rung since
    tacit_time_ns_t rung_ns;
    bool is_stranger;      // no member: tacit_links_hear
    uint64_t base;         // memory nodes: messages up to this were for an older incarnation
    const uint8_t *memory; // what it writes for us: in the own region, or the image
    struct tacit_ring_reader reader;
    uint64_t lost; // as counted
    uint8_t *image;
    bool is_based; // the first head was seen
};

struct tacit_links {
    struct tacit_links_config config;
    struct tacit_links_layout layout;
    struct tacit_fabric *fabric;
    struct tacit_marker marker;
    struct tacit_links_counters counters;
    uint32_t hosts;
    struct tacit_links_host host[TACIT_REPLICAS_MAX];
    struct tacit_links_outlet outlet[TACIT_REPLICAS_MAX]; // by host
    // By receiver (its host is the same); memory nodes: the first one is for all.
    struct tacit_links_area area[TACIT_REPLICAS_MAX];
    struct tacit_links_peer peer[TACIT_REPLICAS_MAX];
    struct tacit_links_fetch *fetch; // [memory node][sender]
    uint32_t staging_bytes;
    uint8_t *scratch; // a ring slot
    uint8_t *padded;  // memory nodes: a message with its prefix
    tacit_time_ns_t now_ns, polled_ns;
    tacit_time_ns_t busy_ns; // tacit_links_expect()
    bool is_stalled;
};

static inline bool tacit_links_is_shared(const struct tacit_links *links)
{
    return links->config.place == TACIT_LINKS_ON_MEMNODES;
}

static inline uint64_t tacit_links_all_peers(const struct tacit_links *links)
{
    return ((1ull << links->config.replicas) - 1) & ~(1ull << links->config.self);
}

static inline uint64_t tacit_links_word(const uint8_t *bytes, unsigned word)
{
    uint64_t value;
    memcpy(&value, bytes + 8u * word, 8);
    return value;
}

static inline struct tacit_links_area *tacit_links_area_at(struct tacit_links *links, uint32_t host)
{
    return &links->area[tacit_links_is_shared(links) ? 0 : host];
}

static inline uint32_t tacit_links_head_bytes(const struct tacit_links_config *config)
{
    return TACIT_LINKS_HEAD_FIXED +
           config->replicas * (uint32_t)sizeof(struct tacit_links_addressee);
}

static inline uint32_t tacit_links_cell_bytes(unsigned kind)
{
    return kind == TACIT_VOTE_CERTIFY ? 128u : 64u;
}

static inline size_t tacit_links_cell_at(const struct tacit_links *links, unsigned kind,
                                         uint64_t slot)
{
    return links->layout.cells[kind] +
           (size_t)(slot % links->config.window) * tacit_links_cell_bytes(kind);
}

// At memory nodes a cell ends with the number of the vote to this receiver.
static inline size_t tacit_links_cell_number(unsigned kind)
{
    return tacit_links_cell_bytes(kind) - 8u;
}

static inline size_t tacit_links_body_at(const struct tacit_links *links, uint64_t ticket)
{
    return links->layout.bodies + (size_t)(ticket % links->config.bodies) * links->layout.body_slot;
}

static inline struct tacit_links_fetch *tacit_links_fetch_of(struct tacit_links *links,
                                                             uint32_t host, tacit_node_t sender)
{
    return &links->fetch[host * links->config.replicas + sender];
}

static inline bool tacit_links_host_ready(const struct tacit_links_host *host)
{
    return host->is_up && host->accepted != 0 && host->incarnation == host->accepted;
}

// links_receive.c
uint64_t tacit_links_cell_check(unsigned kind, const uint8_t *cell);
uint64_t tacit_links_body_check(const uint64_t words[TACIT_LINKS_BODY_WORDS], const void *body,
                                uint32_t bytes);
uint64_t tacit_links_head_check(const struct tacit_links_head *head, uint32_t bytes);

// links_memnodes.c
void tacit_links_fetch_init(struct tacit_links *links, struct tacit_bump *bump);
// Nothing that is read for the sender (at that memory node; NULL: at any) counts any more.
void tacit_links_fetch_void(struct tacit_links *links, const struct tacit_links_host *host,
                            tacit_node_t sender);
void tacit_links_fetched(struct tacit_links *links, uint32_t index, tacit_node_t sender,
                         uint8_t status);
bool tacit_links_fetch_poll(struct tacit_links *links);
tacit_time_ns_t tacit_links_fetch_deadline(const struct tacit_links *links);

// links.c
// Something new for these receivers (bits) is in the mirror; not shared: for that one.
void tacit_links_flush(struct tacit_links *links, uint32_t first, uint64_t receivers);

#endif
