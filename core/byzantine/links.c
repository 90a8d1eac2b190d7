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
// Between two rings of a replica that is no member here.
#define STRANGER_RING_NS 1000000u
// Cells that lie side by side are written together, up to this.
#define RUN_BYTES 4096u
#define CHUNK_BYTES 32768u
#define BODY_HEADER (8u * TACIT_LINKS_BODY_WORDS)

// ---- layout
// ------------------------------------------------------------------------------------------------------

static struct tacit_links_layout layout_of(const struct tacit_links_config *config)
{
    bool shared = config->place == TACIT_LINKS_ON_MEMNODES;
    uint32_t prefix = shared ? TACIT_LINKS_PREFIX : 0;
    struct tacit_links_layout layout = {
        .ring = shared ? tacit_round_up(tacit_links_head_bytes(config), TACIT_CACHE_LINE) : 0,
        .shape = tacit_ring_shape(config->slots, config->message_bytes + prefix),
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
    return layout_of(config).bytes;
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

static void host_init(struct tacit_links *links, struct tacit_bump *bump, uint32_t index)
{
    size_t map = 8u * bitmap_words(links);
    bool shared = tacit_links_is_shared(links);
    struct tacit_links_outlet *outlet = &links->outlet[index];
    tacit_node_t node = (tacit_node_t)(shared ? TACIT_NODE_MEMNODE + index : index);
    links->host[index] = (struct tacit_links_host){.node = node, .handle = -1};
    if (node == links->config.self) {
        return;
    }
    for (unsigned kind = 0; kind < TACIT_LINKS_VOTE_KINDS; kind++) {
        outlet->dirty[kind] = take_zero(bump, map);
        outlet->open[kind] = take_zero(bump, shared ? map : 0);
        outlet->sunk[kind] = take_zero(bump, shared ? map : 0);
    }
    outlet->head = take_zero(bump, shared ? sizeof *outlet->head : 0);
}

static void area_init(struct tacit_links *links, struct tacit_bump *bump,
                      struct tacit_links_area *area)
{
    area->mirror = take_zero(bump, links->layout.bytes);
    for (unsigned kind = 0; kind < TACIT_LINKS_VOTE_KINDS; kind++) {
        area->used[kind] = take_zero(bump, 8u * bitmap_words(links));
    }
}

static void peers_init(struct tacit_links *links, struct tacit_bump *bump)
{
    bool shared = tacit_links_is_shared(links);
    for (uint32_t i = 0; i < links->config.replicas; i++) {
        if (shared ? i == 0 : i != links->config.self) {
            area_init(links, bump, &links->area[i]);
        }
        if (i != links->config.self) {
            links->peer[i].image = take_zero(bump, shared ? links->layout.bytes : 0);
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
        host_init(links, bump, i);
    }
    links->scratch = take_zero(bump, links->layout.shape.slot_bytes);
    peers_init(links, bump);
    tacit_links_fetch_init(links, bump);
    return result;
}

// ---- posting
// -----------------------------------------------------------------------------------------------------

// Writes part of a mirror. Quiet: the provider copies the bytes, so that the mirror may change.
static bool post(struct tacit_links *links, uint32_t index, size_t offset, size_t bytes)
{
    const struct tacit_links_host *host = &links->host[index];
    struct tacit_op op = {
        .kind = TACIT_OP_WRITE,
        .plane = TACIT_PLANE_DATA,
        .flags = TACIT_OP_QUIET,
        .host = host->node,
        .region = host->handle,
        .bytes = (uint32_t)bytes,
        .offset = links->config.offset + offset,
        .local = tacit_links_area_at(links, index)->mirror + offset,
        .cookie = TACIT_COOKIE(TACIT_COOKIE_LINKS, 0),
    };
    if (!links->fabric->ops->post(links->fabric, &op)) {
        return false;
    }
    links->counters.writes++;
    // (A memory node's copy is announced when it is in place: post_head().)
    if (!tacit_links_is_shared(links)) {
        links->peer[index].rings = true;
    }
    return true;
}

static bool post_bodies(struct tacit_links *links, uint32_t index)
{
    struct tacit_links_outlet *outlet = &links->outlet[index];
    const struct tacit_links_area *area = tacit_links_area_at(links, index);
    if (area->bodies - outlet->bodies > links->config.bodies) {
        outlet->bodies = area->bodies - links->config.bodies;
    }
    while (outlet->bodies < area->bodies) {
        size_t at = tacit_links_body_at(links, outlet->bodies + 1);
        size_t rest =
            BODY_HEADER +
            tacit_round_up((uint32_t)tacit_links_word(area->mirror + at, TACIT_LINKS_BODY_LENGTH),
                           8);
        while (rest > 0) {
            size_t chunk = rest < CHUNK_BYTES ? rest : CHUNK_BYTES;
            if (!post(links, index, at, chunk)) {
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

static void bit_set(uint64_t *map, uint32_t bit)
{
    map[bit / 64] |= 1ull << bit % 64;
}

static bool post_cells(struct tacit_links *links, uint32_t index)
{
    struct tacit_links_outlet *outlet = &links->outlet[index];
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
            bool done = post(links, index, tacit_links_cell_at(links, kind, first),
                             (size_t)(end - first) * bytes);
            for (uint32_t cell = first; cell < end; cell++) {
                if (!done) {
                    bit_set(outlet->dirty[kind], cell);
                } else if (tacit_links_is_shared(links)) {
                    bit_set(outlet->open[kind], cell);
                }
            }
            if (!done) {
                return false;
            }
            outlet->dirty_cells -= end - first;
        }
    }
    return true;
}

static bool post_messages(struct tacit_links *links, uint32_t index)
{
    struct tacit_links_outlet *outlet = &links->outlet[index];
    const struct tacit_links_area *area = tacit_links_area_at(links, index);
    if (area->messages - outlet->messages > links->config.slots) {
        outlet->messages = area->messages - links->config.slots;
    }
    while (outlet->messages < area->messages) {
        size_t at =
            links->layout.ring + tacit_ring_offset(links->layout.shape, outlet->messages + 1);
        // Of a slot only what the message takes.
        size_t bytes =
            TACIT_RING_HEADER + tacit_round_up((uint32_t)tacit_links_word(area->mirror + at, 1), 8);
        if (!post(links, index, at, bytes)) {
            return false;
        }
        outlet->messages++;
    }
    return true;
}

static void fill_head(struct tacit_links *links, struct tacit_links_outlet *outlet)
{
    const struct tacit_links_area *area = &links->area[0];
    struct tacit_links_head *head = outlet->head;
    *head = (struct tacit_links_head){
        .messages = area->messages, .bodies = area->bodies, .round = outlet->round};
    memcpy(head->votes, area->votes, sizeof area->votes);
    memcpy(head->journal, area->journal, sizeof area->journal);
    for (tacit_node_t r = 0; r < links->config.replicas; r++) {
        head->to[r] = (struct tacit_links_addressee){links->peer[r].accepted, links->peer[r].base};
    }
    head->check = tacit_links_head_check(head, tacit_links_head_bytes(&links->config));
}

// What was posted under the head before and is not yet proven, is covered by no head again.
static void reopen(struct tacit_links *links, struct tacit_links_outlet *outlet)
{
    for (unsigned kind = 0; kind < TACIT_LINKS_VOTE_KINDS; kind++) {
        for (uint32_t word = 0; word < bitmap_words(links); word++) {
            outlet->open[kind][word] |= outlet->sunk[kind][word];
            outlet->sunk[kind][word] = 0;
        }
    }
    outlet->to_ring |= outlet->ringing;
    outlet->ringing = 0;
}

// Its completion proves that all before it is in place: only then the receivers are rung. One at a
// time; the next one waits for that completion.
static bool post_head(struct tacit_links *links, uint32_t index)
{
    const struct tacit_links_host *host = &links->host[index];
    struct tacit_links_outlet *outlet = &links->outlet[index];
    if (!tacit_links_is_shared(links) || !outlet->head_dirty || outlet->head_posted) {
        return true;
    }
    fill_head(links, outlet);
    struct tacit_op op = {
        .kind = TACIT_OP_WRITE,
        .plane = TACIT_PLANE_DATA,
        .host = host->node,
        .region = host->handle,
        .bytes = tacit_links_head_bytes(&links->config),
        .offset = links->config.offset,
        .local = outlet->head,
        .cookie = TACIT_COOKIE(TACIT_COOKIE_LINKS, 2ull << 16 | index << 8),
    };
    if (!links->fabric->ops->post(links->fabric, &op)) {
        return false;
    }
    links->counters.heads++;
    outlet->head_dirty = false;
    outlet->head_posted = true;
    outlet->ahead[0] = outlet->messages;
    outlet->ahead[1] = outlet->bodies;
    outlet->ringing = outlet->to_ring;
    outlet->to_ring = 0;
    for (unsigned kind = 0; kind < TACIT_LINKS_VOTE_KINDS; kind++) {
        memcpy(outlet->sunk[kind], outlet->open[kind], 8u * bitmap_words(links));
        memset(outlet->open[kind], 0, 8u * bitmap_words(links));
    }
    return true;
}

static bool is_ready(struct tacit_links *links, struct tacit_links_host *host)
{
    if (!tacit_links_host_ready(host)) {
        return false;
    }
    if (host->handle < 0) {
        bool shared = tacit_links_is_shared(links);
        struct tacit_region_key key = {shared ? TACIT_REGION_REGISTERS : TACIT_REGION_CONTROL,
                                       TACIT_NODE_SELF, 0};
        host->handle = links->fabric->ops->region(links->fabric, host->node, key);
    }
    return host->handle >= 0;
}

static void flush(struct tacit_links *links, uint32_t index)
{
    struct tacit_links_outlet *outlet = &links->outlet[index];
    if (!is_ready(links, &links->host[index])) {
        return;
    }
    bool again = outlet->stalled;
    bool done = post_bodies(links, index) &&
                (outlet->dirty_cells == 0 || post_cells(links, index)) &&
                post_messages(links, index) && post_head(links, index);
    outlet->stalled = !done;
    links->is_stalled = links->is_stalled || !done;
    if (again && done) {
        tacit_mark(&links->marker, TACIT_MARK_LINK_POST_RETRIED);
    }
}

void tacit_links_flush(struct tacit_links *links, uint32_t first, uint64_t receivers)
{
    if (!tacit_links_is_shared(links)) {
        flush(links, first);
        return;
    }
    for (uint32_t i = 0; i < links->hosts; i++) {
        links->outlet[i].head_dirty = true;
        links->outlet[i].to_ring |= receivers;
        flush(links, i);
    }
}

static uint64_t last_of(uint64_t sent, uint32_t room)
{
    return sent > room ? sent - room : 0;
}

// A new connection: what is not known to be at the host has to go there again; all of it if the
// host's memory is new.
static void renew(struct tacit_links *links, uint32_t index, bool is_empty)
{
    struct tacit_links_outlet *outlet = &links->outlet[index];
    const struct tacit_links_area *area = tacit_links_area_at(links, index);
    bool shared = tacit_links_is_shared(links);
    if (is_empty || !shared) {
        outlet->proven[0] = last_of(area->messages, links->config.slots);
        outlet->proven[1] = last_of(area->bodies, links->config.bodies);
    }
    if (shared) {
        reopen(links, outlet);
    }
    outlet->messages = outlet->proven[0];
    outlet->bodies = outlet->proven[1];
    outlet->dirty_cells = 0;
    for (unsigned kind = 0; kind < TACIT_LINKS_VOTE_KINDS; kind++) {
        for (uint32_t word = 0; word < bitmap_words(links); word++) {
            uint64_t *dirty = &outlet->dirty[kind][word];
            *dirty =
                is_empty || !shared ? area->used[kind][word] : *dirty | outlet->open[kind][word];
            outlet->dirty_cells += (uint32_t)__builtin_popcountll(*dirty);
        }
        if (shared) {
            memset(outlet->open[kind], 0, 8u * bitmap_words(links));
        }
    }
    outlet->head_dirty = true;
    outlet->to_ring = tacit_links_all_peers(links);
    outlet->round++;
    if (tacit_links_host_ready(&links->host[index]) &&
        (area->messages > 0 || outlet->dirty_cells > 0)) {
        links->counters.rewritten++;
        tacit_mark(&links->marker, TACIT_MARK_LINK_REWRITTEN);
    }
    flush(links, index);
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
    if (tacit_links_is_shared(links)) {
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
    tacit_mark(&links->marker, TACIT_MARK_LINK_NEW_INCARNATION);
    if (TACIT_BUG(LINK_OLD_INCARNATION)) {
        return;
    }
    if (tacit_links_is_shared(links)) {
        // The others read on; the head tells where the new one begins. (Cells stay: votes of before
        // are for slots of before.)
        links->peer[node].base = links->area[0].messages;
        return;
    }
    struct tacit_links_area *area = &links->area[node];
    memset(area->mirror, 0, links->layout.bytes);
    area->messages = area->bodies = 0;
    memset(area->used[0], 0, 8u * bitmap_words(links));
    memset(area->used[1], 0, 8u * bitmap_words(links));
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
        if (tacit_links_is_shared(links)) {
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
            links->outlet[i].head_dirty = true;
            links->outlet[i].to_ring |= 1ull << node;
            flush(links, i);
        }
    } else if (host->accepted != incarnation) {
        host->accepted = incarnation;
        host->handle = -1;
        for (tacit_node_t r = 0; r < links->config.replicas; r++) {
            tacit_links_fetch_void(links, host, r);
        }
        renew(links, (uint32_t)(host - links->host), true);
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

// A head landed, or is lost with its connection.
static void head_done(struct tacit_links *links, uint32_t index, uint8_t status)
{
    struct tacit_links_outlet *outlet = &links->outlet[index];
    outlet->head_posted = false;
    if (status != TACIT_COMPLETION_OK && !TACIT_BUG(LINK_LOST_HEAD_PROVES)) {
        reopen(links, outlet);
        outlet->head_dirty = true; // again on the next connection
        return;
    }
    if (!tacit_links_host_ready(&links->host[index])) {
        return;
    }
    // Writes of one connection land in order (tacit/fabric.h), so all before it landed.
    outlet->proven[0] = outlet->ahead[0];
    outlet->proven[1] = outlet->ahead[1];
    for (tacit_node_t r = 0; r < links->config.replicas; r++) {
        links->peer[r].rings = links->peer[r].rings || (outlet->ringing >> r & 1) != 0;
    }
    outlet->ringing = 0;
    for (unsigned kind = 0; kind < TACIT_LINKS_VOTE_KINDS; kind++) {
        memset(outlet->sunk[kind], 0, 8u * bitmap_words(links));
    }
    flush(links, index);
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
        head_done(links, index, event->status);
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
                renew(links, (uint32_t)(host - links->host), false);
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

// ---- turns
// -------------------------------------------------------------------------------------------------------

static bool retry_stalled(struct tacit_links *links)
{
    if (!links->is_stalled) {
        return false;
    }
    links->is_stalled = false;
    for (uint32_t i = 0; i < links->hosts; i++) {
        if (links->outlet[i].stalled) {
            flush(links, i);
        }
    }
    return !links->is_stalled;
}

// A stranger is told all that is said, and nothing of it is waited for: it wakes now and then and
// hears it together. Woken for each word it would keep a processor busy until it is a member, which
// it becomes all the later.
static tacit_time_ns_t ring_due(const struct tacit_links_peer *peer)
{
    bool is_put_off = peer->is_stranger && peer->rung_ns != 0 && !TACIT_BUG(STRANGER_RUNG_AT_ONCE);
    return is_put_off ? peer->rung_ns + STRANGER_RING_NS : 0;
}

static bool is_to_ring(const struct tacit_links_peer *peer, tacit_time_ns_t now_ns)
{
    return peer->rings && now_ns >= ring_due(peer);
}

bool tacit_links_poll(struct tacit_links *links, tacit_time_ns_t now_ns)
{
    links->now_ns = now_ns;
    bool worked = retry_stalled(links);
    if (tacit_links_is_shared(links)) {
        worked = tacit_links_fetch_poll(links) || worked;
    }
    for (uint32_t i = 0; i < links->hosts; i++) { // whose region was not there yet
        if (links->host[i].handle < 0 && tacit_links_host_ready(&links->host[i])) {
            flush(links, i);
        }
    }
    for (tacit_node_t r = 0; r < links->config.replicas; r++) {
        struct tacit_links_peer *peer = &links->peer[r];
        if (r == links->config.self) {
            continue;
        }
        if (peer->memory == NULL && peer->accepted != 0) {
            resolve(links, r);
        }
        if (is_to_ring(peer, now_ns)) {
            peer->rings = false;
            peer->rung_ns = now_ns;
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
    for (tacit_node_t r = 0; r < links->config.replicas; r++) {
        const struct tacit_links_peer *peer = &links->peer[r];
        if (peer->rings && peer->is_stranger && ring_due(peer) < at_ns) {
            at_ns = ring_due(peer);
        }
    }
    if (tacit_links_is_shared(links)) {
        tacit_time_ns_t fetch_ns = tacit_links_fetch_deadline(links);
        at_ns = fetch_ns < at_ns ? fetch_ns : at_ns;
    }
    return at_ns;
}

const struct tacit_links_counters *tacit_links_counters(const struct tacit_links *links)
{
    return &links->counters;
}
