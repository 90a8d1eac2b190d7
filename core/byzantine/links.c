// SPDX-License-Identifier: Apache-2.0
//
// See links.h. Sending: everything goes into the mirror of the receiver's area first; an outlet
// remembers how far the copy at one host is, and one function posts what is missing there, in an
// order in which a body comes before the message that names it. So a full queue, a new connection
// and an ordinary send are the same thing. Receiving: nothing is used in place, see tacit/ring.h.
#include "links_internal.h"

#include <string.h>

#include "../base/bug.h"

#define NEVER UINT64_MAX
// A full queue is tried again after this, if nothing else leads to a poll before.
#define RETRY_NS 20000u
// Cells that lie side by side are written together, up to this.
#define RUN_BYTES 4096u
#define CHUNK_BYTES 32768u
#define BODY_HEADER (8u * TACIT_LINKS_BODY_WORDS)

// ---- layout
// ------------------------------------------------------------------------------------------------------

static struct tacit_links_layout layout_of(const struct tacit_links_config *config)
{
    struct tacit_links_layout layout = {
        .ring = config->place == TACIT_LINKS_ON_MEMNODES ? sizeof(struct tacit_links_head) : 0,
        .shape = tacit_ring_shape(config->slots, config->message_bytes),
        .body_slot = tacit_round_up(BODY_HEADER + (size_t)config->body_bytes, TACIT_CACHE_LINE),
    };
    layout.bodies = layout.ring + tacit_ring_bytes(layout.shape);
    layout.cells[TACIT_VOTE_ACK] = layout.bodies + config->bodies * layout.body_slot;
    layout.cells[TACIT_VOTE_CERTIFY] =
        layout.cells[TACIT_VOTE_ACK] + config->window * (size_t)tacit_links_cell_bytes(0);
    layout.bytes = layout.cells[TACIT_VOTE_CERTIFY] +
                   config->window * (size_t)tacit_links_cell_bytes(TACIT_VOTE_CERTIFY);
    return layout;
}

size_t tacit_links_region_bytes(const struct tacit_links_config *config)
{
    size_t area = layout_of(config).bytes;
    return config->place == TACIT_LINKS_ON_MEMNODES ? config->replicas * area : area;
}

static uint64_t word_of(const uint8_t *bytes, unsigned word)
{
    uint64_t value;
    memcpy(&value, bytes + 8u * word, 8);
    return value;
}

// ---- start
// -------------------------------------------------------------------------------------------------------

static uint32_t bitmap_words(const struct tacit_links *links)
{
    return (links->config.window + 63) / 64;
}

static void *take_zero(struct tacit_bump *bump, size_t bytes)
{
    void *at = tacit_bump_take(bump, bytes, TACIT_CACHE_LINE);
    if (at != NULL && bytes > 0) {
        memset(at, 0, bytes);
    }
    return at;
}

static void outlets_init(struct tacit_links *links, struct tacit_bump *bump)
{
    size_t map = 8u * bitmap_words(links);
    uint32_t count = links->hosts * links->config.replicas;
    bool on_memnodes = links->config.place == TACIT_LINKS_ON_MEMNODES;
    links->outlet = take_zero(bump, count * sizeof *links->outlet);
    for (uint32_t i = 0; i < count; i++) {
        if (!on_memnodes && i / links->config.replicas != i % links->config.replicas) {
            continue;
        }
        struct tacit_links_outlet none;
        struct tacit_links_outlet *outlet = bump->base == NULL ? &none : &links->outlet[i];
        for (unsigned kind = 0; kind < TACIT_LINKS_VOTE_KINDS; kind++) {
            outlet->dirty[kind] = take_zero(bump, map);
        }
        outlet->head = take_zero(bump, on_memnodes ? sizeof *outlet->head : 0);
    }
}

static void peers_init(struct tacit_links *links, struct tacit_bump *bump)
{
    size_t map = 8u * bitmap_words(links);
    bool on_memnodes = links->config.place == TACIT_LINKS_ON_MEMNODES;
    for (uint32_t i = 0; i < links->config.replicas; i++) {
        struct tacit_links_peer none;
        struct tacit_links_peer *peer = bump->base == NULL ? &none : &links->peer[i];
        if (i == links->config.self) {
            continue;
        }
        peer->mirror = take_zero(bump, links->layout.bytes);
        peer->image = take_zero(bump, on_memnodes ? links->layout.bytes : 0);
        for (unsigned kind = 0; kind < TACIT_LINKS_VOTE_KINDS; kind++) {
            peer->used[kind] = take_zero(bump, map);
        }
    }
}

struct tacit_links *tacit_links_init(struct tacit_bump *bump,
                                     const struct tacit_links_config *config,
                                     struct tacit_fabric *fabric, struct tacit_marker marker)
{
    bool on_memnodes = config->place == TACIT_LINKS_ON_MEMNODES;
    TACIT_ASSERT(config->replicas <= TACIT_REPLICAS_MAX && config->memnodes <= TACIT_MEMNODES_MAX);
    TACIT_ASSERT(config->slots > 0 && config->bodies > 0 && config->window > 0 &&
                 config->window <= 65536 && config->offset % 8 == 0);
    struct tacit_links measured;
    struct tacit_links *result = tacit_bump_take(bump, sizeof *result, TACIT_CACHE_LINE);
    struct tacit_links *links = result == NULL ? &measured : result;
    memset(links, 0, sizeof *links);
    links->config = *config;
    links->layout = layout_of(config);
    links->fabric = fabric;
    links->marker = marker;
    links->hosts = on_memnodes ? config->memnodes : config->replicas;
    for (uint32_t i = 0; i < links->hosts; i++) {
        tacit_node_t node = (tacit_node_t)(on_memnodes ? TACIT_NODE_MEMNODE + i : i);
        links->host[i] = (struct tacit_links_host){.node = node, .handle = -1};
    }
    links->scratch = take_zero(bump, links->layout.shape.slot_bytes);
    outlets_init(links, bump);
    peers_init(links, bump);
    tacit_links_fetch_init(links, bump);
    return result;
}

// ---- posting
// -----------------------------------------------------------------------------------------------------

static struct tacit_links_outlet *outlet_of(struct tacit_links *links, uint32_t host,
                                            tacit_node_t receiver)
{
    return &links->outlet[host * links->config.replicas + receiver];
}

static uint64_t area_offset(const struct tacit_links *links, tacit_node_t receiver)
{
    bool shared = links->config.place == TACIT_LINKS_ON_MEMNODES;
    return links->config.offset + (shared ? receiver * links->layout.bytes : 0);
}

// Writes part of a mirror. Quiet: the provider copies the bytes, so that the mirror may change.
static bool post(struct tacit_links *links, const struct tacit_links_host *host,
                 tacit_node_t receiver, size_t offset, size_t bytes)
{
    struct tacit_op op = {
        .kind = TACIT_OP_WRITE,
        .plane = TACIT_PLANE_DATA,
        .flags = TACIT_OP_QUIET,
        .host = host->node,
        .region = host->handle,
        .bytes = (uint32_t)bytes,
        .offset = area_offset(links, receiver) + offset,
        .local = links->peer[receiver].mirror + offset,
        .cookie = TACIT_COOKIE(TACIT_COOKIE_LINKS, 0),
    };
    if (!links->fabric->ops->post(links->fabric, &op)) {
        return false;
    }
    // (A memory node's copy is announced when it is in place: post_head().)
    links->peer[receiver].rings |= links->config.place == TACIT_LINKS_ON_REPLICAS;
    return true;
}

static bool post_bodies(struct tacit_links *links, const struct tacit_links_host *host,
                        tacit_node_t receiver, struct tacit_links_outlet *outlet)
{
    const struct tacit_links_peer *peer = &links->peer[receiver];
    if (peer->bodies - outlet->bodies > links->config.bodies) {
        outlet->bodies = peer->bodies - links->config.bodies;
    }
    while (outlet->bodies < peer->bodies) {
        size_t at = tacit_links_body_at(links, outlet->bodies + 1);
        size_t rest =
            BODY_HEADER +
            tacit_round_up((uint32_t)word_of(peer->mirror + at, TACIT_LINKS_BODY_LENGTH), 8);
        while (rest > 0) {
            size_t chunk = rest < CHUNK_BYTES ? rest : CHUNK_BYTES;
            if (!post(links, host, receiver, at, chunk)) {
                return false; // later the whole body again
            }
            at += chunk;
            rest -= chunk;
        }
        outlet->bodies++;
    }
    return true;
}

static bool bit_take(uint64_t *map, uint32_t bit)
{
    bool was = (map[bit / 64] >> bit % 64 & 1) != 0;
    map[bit / 64] &= ~(1ull << bit % 64);
    return was;
}

static bool post_cells(struct tacit_links *links, const struct tacit_links_host *host,
                       tacit_node_t receiver, struct tacit_links_outlet *outlet)
{
    for (unsigned kind = 0; kind < TACIT_LINKS_VOTE_KINDS; kind++) {
        uint32_t bytes = tacit_links_cell_bytes(kind);
        for (uint32_t word = 0; outlet->dirty_cells > 0 && word < bitmap_words(links);) {
            if (outlet->dirty[kind][word] == 0) {
                word++;
                continue;
            }
            uint32_t first = word * 64 + (uint32_t)__builtin_ctzll(outlet->dirty[kind][word]);
            uint32_t end = first;
            while (end < links->config.window && (end - first) * bytes < RUN_BYTES &&
                   bit_take(outlet->dirty[kind], end)) {
                end++;
            }
            if (!post(links, host, receiver, tacit_links_cell_at(links, kind, first),
                      (size_t)(end - first) * bytes)) {
                for (uint32_t cell = first; cell < end; cell++) {
                    outlet->dirty[kind][cell / 64] |= 1ull << cell % 64;
                }
                return false;
            }
            outlet->dirty_cells -= end - first;
        }
    }
    return true;
}

static bool post_messages(struct tacit_links *links, const struct tacit_links_host *host,
                          tacit_node_t receiver, struct tacit_links_outlet *outlet)
{
    const struct tacit_links_peer *peer = &links->peer[receiver];
    if (peer->messages - outlet->messages > links->config.slots) {
        outlet->messages = peer->messages - links->config.slots;
    }
    while (outlet->messages < peer->messages) {
        size_t at =
            links->layout.ring + tacit_ring_offset(links->layout.shape, outlet->messages + 1);
        // Of a slot only what the message takes.
        size_t bytes =
            TACIT_RING_HEADER + tacit_round_up((uint32_t)word_of(peer->mirror + at, 1), 8);
        if (!post(links, host, receiver, at, bytes)) {
            return false;
        }
        outlet->messages++;
    }
    return true;
}

// Its completion proves that all before it is in place: only then the receiver is rung. One at a
// time; the next one waits for that completion.
static bool post_head(struct tacit_links *links, uint32_t index, tacit_node_t receiver,
                      struct tacit_links_outlet *outlet)
{
    const struct tacit_links_host *host = &links->host[index];
    const struct tacit_links_peer *peer = &links->peer[receiver];
    if (links->config.place == TACIT_LINKS_ON_REPLICAS || !outlet->head_dirty ||
        outlet->head_posted) {
        return true;
    }
    *outlet->head = (struct tacit_links_head){.incarnation = peer->accepted,
                                              .base = peer->base,
                                              .messages = peer->messages,
                                              .bodies = peer->bodies,
                                              .round = outlet->round};
    memcpy(outlet->head->votes, peer->votes, sizeof peer->votes);
    memcpy(outlet->head->journal, peer->journal, sizeof peer->journal);
    outlet->head->check = tacit_links_head_check(outlet->head);
    struct tacit_op op = {
        .kind = TACIT_OP_WRITE,
        .plane = TACIT_PLANE_DATA,
        .host = host->node,
        .region = host->handle,
        .bytes = sizeof *outlet->head,
        .offset = area_offset(links, receiver),
        .local = outlet->head,
        .cookie = TACIT_COOKIE(TACIT_COOKIE_LINKS, 2ull << 16 | index << 8 | receiver),
    };
    if (!links->fabric->ops->post(links->fabric, &op)) {
        return false;
    }
    outlet->head_dirty = false;
    outlet->head_posted = true;
    return true;
}

static bool is_ready(struct tacit_links *links, struct tacit_links_host *host)
{
    if (!tacit_links_host_ready(host)) {
        return false;
    }
    if (host->handle < 0) {
        bool shared = links->config.place == TACIT_LINKS_ON_MEMNODES;
        struct tacit_region_key key = {shared ? TACIT_REGION_REGISTERS : TACIT_REGION_CONTROL,
                                       TACIT_NODE_SELF, 0};
        host->handle = links->fabric->ops->region(links->fabric, host->node, key);
    }
    return host->handle >= 0;
}

static void flush(struct tacit_links *links, uint32_t index, tacit_node_t receiver)
{
    struct tacit_links_host *host = &links->host[index];
    struct tacit_links_outlet *outlet = outlet_of(links, index, receiver);
    if (!is_ready(links, host)) {
        return;
    }
    bool again = outlet->stalled;
    bool done = post_bodies(links, host, receiver, outlet) &&
                (outlet->dirty_cells == 0 || post_cells(links, host, receiver, outlet)) &&
                post_messages(links, host, receiver, outlet) &&
                post_head(links, index, receiver, outlet);
    outlet->stalled = !done;
    links->is_stalled = links->is_stalled || !done;
    if (again && done) {
        tacit_mark(&links->marker, TACIT_MARK_LINK_POST_RETRIED);
    }
}

// Something new is in the mirror of `receiver`.
static void flush_receiver(struct tacit_links *links, tacit_node_t receiver)
{
    if (links->config.place == TACIT_LINKS_ON_REPLICAS) {
        flush(links, receiver, receiver);
        return;
    }
    for (uint32_t i = 0; i < links->hosts; i++) {
        outlet_of(links, i, receiver)->head_dirty = true;
        flush(links, i, receiver);
    }
}

// The copy at a host is not known: everything of the mirror has to go there again.
static void renew(struct tacit_links *links, uint32_t index, tacit_node_t receiver)
{
    struct tacit_links_outlet *outlet = outlet_of(links, index, receiver);
    const struct tacit_links_peer *peer = &links->peer[receiver];
    uint64_t kept = peer->messages - peer->base;
    outlet->messages =
        kept > links->config.slots ? peer->messages - links->config.slots : peer->base;
    outlet->bodies = peer->bodies > links->config.bodies ? peer->bodies - links->config.bodies : 0;
    outlet->dirty_cells = 0;
    for (unsigned kind = 0; kind < TACIT_LINKS_VOTE_KINDS; kind++) {
        for (uint32_t word = 0; word < bitmap_words(links); word++) {
            outlet->dirty[kind][word] = peer->used[kind][word];
            outlet->dirty_cells += (uint32_t)__builtin_popcountll(peer->used[kind][word]);
        }
    }
    outlet->head_dirty = true;
    outlet->round++;
    if (tacit_links_host_ready(&links->host[index]) &&
        (peer->messages > 0 || outlet->dirty_cells > 0)) {
        links->counters.rewritten++;
        tacit_mark(&links->marker, TACIT_MARK_LINK_REWRITTEN);
    }
}

static void renew_host(struct tacit_links *links, uint32_t index)
{
    bool shared = links->config.place == TACIT_LINKS_ON_MEMNODES;
    for (tacit_node_t r = 0; r < links->config.replicas; r++) {
        if (r != links->config.self && (shared || r == index)) {
            renew(links, index, r);
            flush(links, index, r);
        }
    }
}

// ---- who is there
// ------------------------------------------------------------------------------------------------

static struct tacit_links_host *host_of(struct tacit_links *links, tacit_node_t node)
{
    uint32_t first = links->host[0].node;
    return node >= first && node < first + links->hosts ? &links->host[node - first] : NULL;
}

// Finds the area that the peer writes in our own memory; it may be mapped anew whenever its
// connection is made.
static void resolve(struct tacit_links *links, tacit_node_t from)
{
    struct tacit_links_peer *peer = &links->peer[from];
    peer->memory = NULL;
    if (peer->accepted == 0) {
        return;
    }
    if (links->config.place == TACIT_LINKS_ON_MEMNODES) {
        peer->memory = peer->image;
    } else {
        struct tacit_region_key key = {TACIT_REGION_CONTROL, from, peer->accepted};
        size_t bytes = 0;
        const uint8_t *region = links->fabric->ops->local(links->fabric, key, &bytes);
        if (region != NULL && bytes >= links->config.offset + links->layout.bytes) {
            peer->memory = region + links->config.offset;
        }
    }
    peer->reader.memory = peer->memory == NULL ? NULL : peer->memory + links->layout.ring;
}

// Nothing of what was for the peer's old incarnation is for the new one.
static void start_anew(struct tacit_links *links, tacit_node_t node)
{
    struct tacit_links_peer *peer = &links->peer[node];
    bool shared = links->config.place == TACIT_LINKS_ON_MEMNODES;
    tacit_mark(&links->marker, TACIT_MARK_LINK_NEW_INCARNATION);
    if (!TACIT_BUG(LINK_OLD_INCARNATION)) {
        memset(peer->mirror, 0, links->layout.bytes);
        // Its memory is new; a memory node's is not, and the head tells where it begins.
        peer->messages = shared ? peer->messages : 0;
        peer->base = peer->messages;
        if (!shared) {
            peer->bodies = 0;
            memset(peer->used[0], 0, 8u * bitmap_words(links));
            memset(peer->used[1], 0, 8u * bitmap_words(links));
        }
    }
}

static void accept_peer(struct tacit_links *links, tacit_node_t node,
                        tacit_incarnation_t incarnation)
{
    struct tacit_links_peer *peer = &links->peer[node];
    peer->accepted = incarnation;
    if (incarnation != 0 && incarnation != peer->last_accepted) {
        if (peer->last_accepted != 0) {
            start_anew(links, node);
        }
        peer->last_accepted = incarnation;
        tacit_ring_reader_init(&peer->reader, links->layout.shape, NULL);
        peer->lost = 0;
        peer->is_based = false;
        if (links->config.place == TACIT_LINKS_ON_MEMNODES) {
            memset(peer->image, 0, links->layout.bytes);
        }
        tacit_links_fetch_void(links, NULL, node);
    }
    resolve(links, node);
}

void tacit_links_accept(struct tacit_links *links, tacit_node_t node,
                        tacit_incarnation_t incarnation)
{
    if (node == links->config.self) {
        return;
    }
    struct tacit_links_host *host = host_of(links, node);
    if (node < links->config.replicas) {
        links->peer[node].is_stranger = false;
        accept_peer(links, node, incarnation);
    }
    if (host == NULL) {
        for (uint32_t i = 0; node < links->config.replicas && i < links->hosts; i++) {
            renew(links, i, node);
            flush(links, i, node);
        }
    } else if (host->accepted != incarnation) {
        host->accepted = incarnation;
        host->handle = -1;
        for (tacit_node_t r = 0; r < links->config.replicas; r++) {
            tacit_links_fetch_void(links, host, r);
        }
        renew_host(links, (uint32_t)(host - links->host));
    }
}

void tacit_links_hear(struct tacit_links *links, tacit_node_t node, tacit_incarnation_t incarnation)
{
    TACIT_ASSERT(node < links->config.replicas && node != links->config.self);
    tacit_links_accept(links, node, incarnation);
    links->peer[node].is_stranger = true;
}

bool tacit_links_is_stranger(const struct tacit_links *links, tacit_node_t node)
{
    return links->peer[node].is_stranger;
}

static void completed(struct tacit_links *links, const struct tacit_event *event)
{
    uint64_t value = TACIT_COOKIE_VALUE(event->cookie);
    uint32_t index = (uint32_t)(value >> 8 & 0xff);
    tacit_node_t replica = (tacit_node_t)(value & 0xff);
    if (event->status == TACIT_COMPLETION_DENIED) {
        // Never of a region of our own, unless we are not wanted any more: try a new connection.
        links->fabric->ops->reset(links->fabric, event->node);
    }
    if (value >> 16 == 1) {
        tacit_links_fetched(links, index, replica, event->status);
    } else if (value >> 16 == 2) {
        struct tacit_links_outlet *outlet = outlet_of(links, index, replica);
        outlet->head_posted = false;
        if (event->status == TACIT_COMPLETION_OK) {
            links->peer[replica].rings = true;
            flush(links, index, replica);
        } else {
            outlet->head_dirty = true; // again on the next connection
        }
    }
}

void tacit_links_event(struct tacit_links *links, const struct tacit_event *event,
                       tacit_time_ns_t now_ns)
{
    links->now_ns = now_ns;
    struct tacit_links_host *host = host_of(links, event->node);
    switch (event->kind) {
    case TACIT_EVENT_COMPLETION:
        completed(links, event);
        return;
    case TACIT_EVENT_UP:
        if (event->node < links->config.replicas && event->node != links->config.self) {
            links->peer[event->node].up = event->incarnation;
            resolve(links, event->node);
        }
        if (host != NULL && event->node != links->config.self) {
            host->is_up = true;
            host->incarnation = event->incarnation;
            host->handle = -1;
            if (tacit_links_host_ready(host) && !TACIT_BUG(LINK_NOT_REWRITTEN)) {
                renew_host(links, (uint32_t)(host - links->host));
            }
        }
        return;
    case TACIT_EVENT_DOWN:
        if (event->node < links->config.replicas) {
            links->peer[event->node].up = 0;
        }
        if (host != NULL) {
            host->is_up = false;
            host->handle = -1;
        }
        return;
    case TACIT_EVENT_REGIONS:
        for (tacit_node_t r = 0; r < links->config.replicas; r++) {
            if (r != links->config.self && links->peer[r].memory == NULL) {
                resolve(links, r);
            }
        }
        return;
    default:
        return;
    }
}

bool tacit_links_is_up(const struct tacit_links *links, tacit_node_t peer)
{
    return links->peer[peer].accepted != 0 && links->peer[peer].up == links->peer[peer].accepted;
}

// ---- sending
// -----------------------------------------------------------------------------------------------------

void tacit_links_send(struct tacit_links *links, tacit_node_t to, const void *message,
                      uint32_t bytes)
{
    TACIT_ASSERT(bytes <= links->config.message_bytes && to < links->config.replicas &&
                 to != links->config.self);
    struct tacit_links_peer *peer = &links->peer[to];
    uint64_t sequence = ++peer->messages;
    uint8_t *slot =
        peer->mirror + links->layout.ring + tacit_ring_offset(links->layout.shape, sequence);
    if (bytes > 0) {
        memcpy(slot + TACIT_RING_HEADER, message, bytes);
    }
    tacit_ring_seal(links->layout.shape, sequence, slot, bytes);
    links->counters.messages_sent++;
    flush_receiver(links, to);
}

void tacit_links_send_all(struct tacit_links *links, const void *message, uint32_t bytes)
{
    for (tacit_node_t r = 0; r < links->config.replicas; r++) {
        if (r != links->config.self) {
            tacit_links_send(links, r, message, bytes);
        }
    }
}

uint64_t tacit_links_send_body(struct tacit_links *links, tacit_node_t to, const void *body,
                               uint32_t bytes)
{
    TACIT_ASSERT(bytes <= links->config.body_bytes && to < links->config.replicas &&
                 to != links->config.self);
    struct tacit_links_peer *peer = &links->peer[to];
    uint64_t words[TACIT_LINKS_BODY_WORDS] = {++peer->bodies, bytes};
    uint8_t *slot = peer->mirror + tacit_links_body_at(links, peer->bodies);
    words[TACIT_LINKS_BODY_CHECK] = tacit_links_body_check(words, body, bytes);
    memcpy(slot, words, sizeof words);
    if (bytes > 0) {
        memcpy(slot + BODY_HEADER, body, bytes);
    }
    memset(slot + BODY_HEADER + bytes, 0, tacit_round_up(bytes, 8) - bytes);
    links->counters.bodies_sent++;
    flush_receiver(links, to);
    return peer->bodies;
}

static void vote_to(struct tacit_links *links, tacit_node_t to, unsigned kind, uint64_t slot,
                    uint8_t *cell)
{
    struct tacit_links_peer *peer = &links->peer[to];
    bool shared = links->config.place == TACIT_LINKS_ON_MEMNODES;
    uint32_t index = (uint32_t)(slot % links->config.window);
    uint64_t bit = 1ull << index % 64;
    uint64_t number = ++peer->votes[kind];
    peer->journal[kind][number % TACIT_LINKS_JOURNAL] = (uint16_t)index;
    number = shared ? number : 0;
    memcpy(cell + tacit_links_cell_number(kind), &number, 8);
    uint64_t check = tacit_links_cell_check(kind, cell);
    memcpy(cell, &check, 8);
    memcpy(peer->mirror + tacit_links_cell_at(links, kind, slot), cell,
           tacit_links_cell_bytes(kind));
    peer->used[kind][index / 64] |= bit;
    for (uint32_t i = shared ? 0 : to; i < (shared ? links->hosts : to + 1u); i++) {
        struct tacit_links_outlet *outlet = outlet_of(links, i, to);
        outlet->dirty_cells += (outlet->dirty[kind][index / 64] & bit) == 0;
        outlet->dirty[kind][index / 64] |= bit;
    }
    flush_receiver(links, to);
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
    uint32_t index = (uint32_t)(vote->slot % links->config.window);
    for (tacit_node_t r = 0; r < links->config.replicas; r++) {
        const struct tacit_links_peer *peer = &links->peer[r];
        if (r == links->config.self) {
            continue;
        }
        const uint8_t *old = peer->mirror + tacit_links_cell_at(links, kind, vote->slot);
        uint64_t slot = word_of(old, TACIT_LINKS_CELL_SLOT);
        bool is_old = (peer->used[kind][index / 64] >> index % 64 & 1) != 0 &&
                      (slot > vote->slot ||
                       (slot == vote->slot && word_of(old, TACIT_LINKS_CELL_VIEW) > vote->view));
        if (!is_old) {
            vote_to(links, r, kind, vote->slot, cell);
        }
    }
    links->counters.votes_sent++;
}

// ---- turns
// -------------------------------------------------------------------------------------------------------

static bool retry_stalled(struct tacit_links *links)
{
    if (!links->is_stalled) {
        return false;
    }
    links->is_stalled = false;
    for (uint32_t i = 0; i < links->hosts; i++) {
        for (tacit_node_t r = 0; r < links->config.replicas; r++) {
            if (outlet_of(links, i, r)->stalled) {
                flush(links, i, r);
            }
        }
    }
    return !links->is_stalled;
}

bool tacit_links_poll(struct tacit_links *links, tacit_time_ns_t now_ns)
{
    links->now_ns = now_ns;
    bool worked = retry_stalled(links);
    bool shared = links->config.place == TACIT_LINKS_ON_MEMNODES;
    if (shared) {
        worked = tacit_links_fetch_poll(links) || worked;
    }
    for (tacit_node_t r = 0; r < links->config.replicas; r++) {
        struct tacit_links_peer *peer = &links->peer[r];
        if (r == links->config.self) {
            continue;
        }
        if (peer->memory == NULL && peer->accepted != 0) {
            resolve(links, r);
        }
        if (!shared && links->host[r].is_up && links->host[r].handle < 0 &&
            tacit_links_host_ready(&links->host[r])) {
            flush(links, r, r);
        }
        if (peer->rings) {
            peer->rings = false;
            links->fabric->ops->ring(links->fabric, r);
            worked = true;
        }
    }
    links->polled_ns = now_ns;
    return worked;
}

tacit_time_ns_t tacit_links_deadline(const struct tacit_links *links)
{
    tacit_time_ns_t at_ns = links->is_stalled ? links->now_ns + RETRY_NS : NEVER;
    if (links->config.place == TACIT_LINKS_ON_MEMNODES) {
        tacit_time_ns_t fetch_ns = tacit_links_fetch_deadline(links);
        at_ns = fetch_ns < at_ns ? fetch_ns : at_ns;
    }
    return at_ns;
}

const struct tacit_links_counters *tacit_links_counters(const struct tacit_links *links)
{
    return &links->counters;
}
