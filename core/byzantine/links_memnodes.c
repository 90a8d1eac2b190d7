// SPDX-License-Identifier: Apache-2.0
//
// Links whose areas lie on the memory nodes (`broadcast_on: memnodes`): fetching what the others
// wrote there into images of their areas, from which links_receive.c reads as from own regions. An
// area is for all receivers: a broadcast is one write, and one of the head, at each memory node.
//
// For each (memory node, sender) one read at a time: the head, and whatever the head says that the
// image lacks, bodies first. A correct sender writes to all memory nodes, so that the newest of any
// majority is the newest there is; since every word is checked anyway, nothing is gained by waiting
// for a majority, and what any node shows is taken as soon as it is newer than the image. A liar
// can make its own area look different on each node, which it could do in rings just as well.
//
// When to look: after pauses that grow with the time since this replica last had anything to do
// (what one says, the others answer), so that no answer is seen much later than twice the time that
// it took; and when this process seems to have slept, because then a doorbell may have woken it. A
// doorbell that rings while it does something else leaves no trace.
#include <string.h>

#include "../base/bug.h"
#include "links_internal.h"

#define NEVER UINT64_MAX
#define PAUSE_MIN_NS 5000u
#define PAUSE_MAX_NS 1000000u
#define SLEPT_NS 20000u // no poll for so long: it slept
#define MESSAGES_AT_ONCE 8u
// No correct sender counts so far.
#define NUMBER_MAX (UINT64_MAX / 4)

void tacit_links_fetch_init(struct tacit_links *links, struct tacit_bump *bump)
{
    if (!tacit_links_is_shared(links)) {
        return;
    }
    size_t staging = links->config.window * (size_t)TACIT_LINKS_CELL_MAX;
    size_t messages = MESSAGES_AT_ONCE * (size_t)links->layout.shape.slot_bytes;
    staging = staging > messages ? staging : messages;
    staging = staging > links->layout.body_slot ? staging : links->layout.body_slot;
    links->staging_bytes = (uint32_t)staging;
    uint32_t count = links->hosts * links->config.replicas;
    links->fetch = tacit_bump_take(bump, count * sizeof *links->fetch, TACIT_CACHE_LINE);
    for (uint32_t i = 0; i < count; i++) {
        bool self = i % links->config.replicas == links->config.self;
        uint8_t *at = tacit_bump_take(bump, self ? 0 : staging, TACIT_CACHE_LINE);
        if (bump->base != NULL) {
            links->fetch[i] = (struct tacit_links_fetch){.staging = at};
        }
    }
}

void tacit_links_fetch_void(struct tacit_links *links, const struct tacit_links_host *host,
                            tacit_node_t sender)
{
    if (!tacit_links_is_shared(links)) {
        return;
    }
    for (uint32_t i = 0; i < links->hosts; i++) {
        struct tacit_links_fetch *fetch = tacit_links_fetch_of(links, i, sender);
        if (host == NULL || host == &links->host[i]) {
            fetch->is_void = fetch->read != TACIT_LINKS_READ_NONE;
            fetch->has_head = fetch->has_round = false;
            fetch->due_ns = links->now_ns;
        }
    }
}

static tacit_time_ns_t pause_ns(const struct tacit_links *links)
{
    tacit_time_ns_t rest_ns = links->now_ns - links->busy_ns;
    rest_ns = rest_ns < PAUSE_MAX_NS ? rest_ns : PAUSE_MAX_NS;
    return rest_ns > PAUSE_MIN_NS ? rest_ns : PAUSE_MIN_NS;
}

void tacit_links_expect(struct tacit_links *links, tacit_time_ns_t now_ns)
{
    links->now_ns = links->busy_ns = now_ns;
    if (!tacit_links_is_shared(links) || TACIT_BUG(LINK_ANSWERS_UNEXPECTED)) {
        return;
    }
    for (uint32_t i = 0; i < links->hosts * links->config.replicas; i++) {
        struct tacit_links_fetch *fetch = &links->fetch[i];
        if (fetch->due_ns > now_ns + PAUSE_MIN_NS) {
            fetch->due_ns = now_ns + PAUSE_MIN_NS;
        }
    }
}

// ---- what to read next
// -------------------------------------------------------------------------------------------

struct range {
    size_t at, bytes;
};

static uint64_t image_word(const struct tacit_links_peer *peer, size_t at)
{
    uint64_t value;
    memcpy(&value, peer->image + at, 8);
    return value;
}

// Each of these three skips what the image has already (it holds whole things only), and returns
// false if nothing is left to read.
static bool next_body(const struct tacit_links *links, struct tacit_links_fetch *fetch,
                      const struct tacit_links_peer *peer, struct range *range)
{
    uint64_t bodies = fetch->head.bodies;
    if (bodies > links->config.bodies && fetch->bodies < bodies - links->config.bodies) {
        fetch->bodies = bodies - links->config.bodies;
    }
    while (fetch->bodies < bodies &&
           image_word(peer, tacit_links_body_at(links, fetch->bodies + 1)) > fetch->bodies) {
        fetch->bodies++;
    }
    if (fetch->bodies >= bodies) {
        return false;
    }
    fetch->read = TACIT_LINKS_READ_BODY;
    fetch->from = fetch->to = fetch->bodies + 1;
    *range = (struct range){tacit_links_body_at(links, fetch->from), links->layout.body_slot};
    return true;
}

static bool next_cells(const struct tacit_links *links, struct tacit_links_fetch *fetch,
                       const struct tacit_links_peer *peer, uint8_t kind, struct range *range)
{
    uint64_t votes = fetch->head.votes[kind];
    uint64_t *known = &fetch->votes[kind];
    fetch->kind = kind;
    fetch->read = TACIT_LINKS_READ_CELLS;
    fetch->from = 0;
    fetch->count = links->config.window;
    fetch->to = votes;
    while (*known < votes && votes - *known <= TACIT_LINKS_JOURNAL) {
        uint32_t cell = fetch->head.journal[kind][(*known + 1) % TACIT_LINKS_JOURNAL];
        cell = cell < links->config.window ? cell : 0; // a liar's
        size_t number = tacit_links_cell_at(links, kind, cell) + tacit_links_cell_number(kind);
        if (image_word(peer, number) <= *known) {
            fetch->read = TACIT_LINKS_READ_CELL;
            fetch->from = cell;
            fetch->count = 1;
            fetch->to = *known + 1;
            break;
        }
        ++*known;
    }
    *range = (struct range){tacit_links_cell_at(links, kind, fetch->from),
                            (size_t)fetch->count * tacit_links_cell_bytes(kind)};
    return *known < votes;
}

static bool next_messages(const struct tacit_links *links, struct tacit_links_fetch *fetch,
                          const struct tacit_links_peer *peer, struct range *range)
{
    struct tacit_ring_shape shape = links->layout.shape;
    uint64_t messages = fetch->head.messages;
    if (messages > shape.slots && fetch->messages < messages - shape.slots) {
        fetch->messages = messages - shape.slots;
    }
    while (fetch->messages < messages &&
           image_word(peer, links->layout.ring + tacit_ring_offset(shape, fetch->messages + 1)) >
               fetch->messages) {
        fetch->messages++;
    }
    if (fetch->messages >= messages) {
        return false;
    }
    uint64_t first = fetch->messages + 1;
    uint64_t count = messages - first + 1;
    uint64_t to_end = shape.slots - (first - 1) % shape.slots;
    count = count < to_end ? count : to_end;
    count = count < MESSAGES_AT_ONCE ? count : MESSAGES_AT_ONCE;
    fetch->read = TACIT_LINKS_READ_MESSAGES;
    fetch->from = first;
    fetch->count = (uint32_t)count;
    fetch->to = first + count - 1;
    *range = (struct range){links->layout.ring + tacit_ring_offset(shape, first),
                            (size_t)count * shape.slot_bytes};
    return true;
}

// False: nothing to read now.
static bool choose(const struct tacit_links *links, struct tacit_links_fetch *fetch,
                   const struct tacit_links_peer *peer, struct range *range)
{
    if (fetch->has_head && (next_body(links, fetch, peer, range) ||
                            next_cells(links, fetch, peer, TACIT_VOTE_ACK, range) ||
                            next_cells(links, fetch, peer, TACIT_VOTE_CERTIFY, range) ||
                            next_messages(links, fetch, peer, range))) {
        return true;
    }
    fetch->read = TACIT_LINKS_READ_NONE;
    if (links->now_ns < fetch->due_ns) {
        return false;
    }
    fetch->read = TACIT_LINKS_READ_HEAD;
    *range = (struct range){0, tacit_links_head_bytes(&links->config)};
    return true;
}

static bool start_read(struct tacit_links *links, uint32_t index, tacit_node_t sender)
{
    const struct tacit_links_host *host = &links->host[index];
    const struct tacit_links_peer *peer = &links->peer[sender];
    struct tacit_links_fetch *fetch = tacit_links_fetch_of(links, index, sender);
    if (fetch->read != TACIT_LINKS_READ_NONE || peer->accepted == 0 ||
        !tacit_links_host_ready(host)) {
        return false;
    }
    struct tacit_region_key key = {TACIT_REGION_REGISTERS, sender, peer->accepted};
    int32_t handle = links->fabric->ops->region(links->fabric, host->node, key);
    struct range range;
    if (handle < 0 || !choose(links, fetch, peer, &range)) {
        fetch->due_ns = handle < 0 ? links->now_ns + PAUSE_MAX_NS : fetch->due_ns;
        return false;
    }
    struct tacit_op op = {
        .kind = TACIT_OP_READ,
        .plane = TACIT_PLANE_DATA,
        .host = host->node,
        .region = handle,
        .bytes = (uint32_t)range.bytes,
        .offset = links->config.offset + range.at,
        .local = fetch->staging,
        .cookie = TACIT_COOKIE(TACIT_COOKIE_LINKS, 1ull << 16 | index << 8 | sender),
    };
    if (!links->fabric->ops->post(links->fabric, &op)) {
        fetch->read = TACIT_LINKS_READ_NONE;
        fetch->due_ns = links->now_ns + PAUSE_MIN_NS;
        return false;
    }
    links->counters.reads++;
    return true;
}

// ---- what was read
// -----------------------------------------------------------------------------------------------

static bool take_head(struct tacit_links *links, struct tacit_links_fetch *fetch,
                      struct tacit_links_peer *peer)
{
    struct tacit_links_head head = {0};
    const struct tacit_links_addressee *self = &head.to[links->config.self];
    memcpy(&head, fetch->staging, tacit_links_head_bytes(&links->config));
    bool sane = self->base <= head.messages && head.messages < NUMBER_MAX &&
                head.bodies < NUMBER_MAX && head.votes[0] < NUMBER_MAX &&
                head.votes[1] < NUMBER_MAX;
    // Nothing written yet looks torn, too.
    if (head.check != tacit_links_head_check(&head, tacit_links_head_bytes(&links->config)) ||
        !sane || self->incarnation != links->fabric->incarnation) {
        return false;
    }
    fetch->head = head;
    fetch->has_head = true;
    if (!peer->is_based) {
        peer->is_based = true;
        tacit_ring_seek(&peer->reader, self->base + 1);
    }
    if (!fetch->has_round || fetch->round != head.round) {
        fetch->has_round = true;
        fetch->round = head.round;
        fetch->messages = self->base;
        fetch->bodies = 0;
        memset(fetch->votes, 0, sizeof fetch->votes);
    }
    return head.messages > fetch->messages || head.bodies > fetch->bodies ||
           head.votes[0] > fetch->votes[0] || head.votes[1] > fetch->votes[1];
}

static void take_body(struct tacit_links *links, struct tacit_links_fetch *fetch,
                      struct tacit_links_peer *peer)
{
    uint64_t words[TACIT_LINKS_BODY_WORDS];
    memcpy(words, fetch->staging, sizeof words);
    uint64_t bytes = words[TACIT_LINKS_BODY_LENGTH];
    uint8_t *image = peer->image + tacit_links_body_at(links, fetch->from);
    uint64_t old;
    memcpy(&old, image, 8);
    if (words[TACIT_LINKS_BODY_TICKET] == fetch->from && old < fetch->from &&
        bytes <= links->config.body_bytes &&
        words[TACIT_LINKS_BODY_CHECK] ==
            tacit_links_body_check(words, fetch->staging + sizeof words, (uint32_t)bytes)) {
        memcpy(image, fetch->staging, sizeof words + (size_t)bytes);
        tacit_mark(&links->marker, TACIT_MARK_LINK_MERGED);
    }
    fetch->bodies = fetch->to;
}

static void take_cells(struct tacit_links *links, struct tacit_links_fetch *fetch,
                       struct tacit_links_peer *peer)
{
    uint32_t bytes = tacit_links_cell_bytes(fetch->kind);
    for (uint32_t i = 0; i < fetch->count; i++) {
        const uint8_t *cell = fetch->staging + (size_t)i * bytes;
        uint8_t *image = peer->image + tacit_links_cell_at(links, fetch->kind, fetch->from + i);
        uint64_t now[TACIT_LINKS_CELL_REST];
        uint64_t old[TACIT_LINKS_CELL_REST];
        memcpy(now, cell, sizeof now);
        memcpy(old, image, sizeof old);
        uint64_t slot = now[TACIT_LINKS_CELL_SLOT];
        uint64_t old_slot = old[TACIT_LINKS_CELL_SLOT];
        bool is_newer =
            old[TACIT_LINKS_CELL_CHECK] == 0 || slot > old_slot ||
            (slot == old_slot && now[TACIT_LINKS_CELL_VIEW] > old[TACIT_LINKS_CELL_VIEW]);
        if (is_newer && slot % links->config.window == fetch->from + i &&
            now[TACIT_LINKS_CELL_CHECK] == tacit_links_cell_check(fetch->kind, cell)) {
            memcpy(image, cell, bytes);
            tacit_mark(&links->marker, TACIT_MARK_LINK_MERGED);
        }
    }
    fetch->votes[fetch->kind] = fetch->to;
}

static void take_messages(struct tacit_links *links, struct tacit_links_fetch *fetch,
                          struct tacit_links_peer *peer)
{
    struct tacit_ring_shape shape = links->layout.shape;
    for (uint32_t i = 0; i < fetch->count; i++) {
        uint64_t sequence = fetch->from + i;
        // A ring of one slot, in which only this number is right.
        struct tacit_ring_reader reader;
        tacit_ring_reader_init(&reader, (struct tacit_ring_shape){1, shape.slot_bytes},
                               fetch->staging + (size_t)i * shape.slot_bytes);
        tacit_ring_seek(&reader, sequence);
        uint32_t length;
        uint8_t *image = peer->image + links->layout.ring + tacit_ring_offset(shape, sequence);
        uint64_t old;
        memcpy(&old, image, 8);
        if (old >= sequence ||
            tacit_ring_read(&reader, links->scratch, &length) != TACIT_VERDICT_OK ||
            reader.next != sequence + 1) {
            continue; // overwritten by a newer one; that comes with its own number
        }
        memcpy(image, links->scratch, TACIT_RING_HEADER + tacit_round_up(length, 8));
        tacit_mark(&links->marker, TACIT_MARK_LINK_MERGED);
    }
    fetch->messages = fetch->to;
}

void tacit_links_fetched(struct tacit_links *links, uint32_t index, tacit_node_t sender,
                         uint8_t status)
{
    struct tacit_links_fetch *fetch = tacit_links_fetch_of(links, index, sender);
    struct tacit_links_peer *peer = &links->peer[sender];
    enum tacit_links_read read = fetch->read;
    bool is_void = fetch->is_void;
    bool progress = true;
    fetch->read = TACIT_LINKS_READ_NONE;
    fetch->is_void = false;
    if (status != TACIT_COMPLETION_OK || is_void) {
        fetch->has_head = false;
        fetch->due_ns = links->now_ns + pause_ns(links);
        return;
    }
    switch (read) {
    case TACIT_LINKS_READ_HEAD:
        progress = take_head(links, fetch, peer);
        break;
    case TACIT_LINKS_READ_BODY:
        take_body(links, fetch, peer);
        break;
    case TACIT_LINKS_READ_CELL:
    case TACIT_LINKS_READ_CELLS:
        take_cells(links, fetch, peer);
        break;
    case TACIT_LINKS_READ_MESSAGES:
        take_messages(links, fetch, peer);
        break;
    case TACIT_LINKS_READ_NONE:
        break;
    }
    if (progress) {
        tacit_links_expect(links, links->now_ns);
    }
    fetch->due_ns = links->now_ns + (progress || fetch->again ? 0 : pause_ns(links));
    fetch->again = false;
    (void)start_read(links, index, sender);
}

bool tacit_links_fetch_poll(struct tacit_links *links)
{
    bool slept = links->now_ns - links->polled_ns >= SLEPT_NS;
    bool worked = false;
    for (uint32_t i = 0; i < links->hosts; i++) {
        for (tacit_node_t s = 0; s < links->config.replicas; s++) {
            struct tacit_links_fetch *fetch = tacit_links_fetch_of(links, i, s);
            if (s == links->config.self || !tacit_links_host_ready(&links->host[i])) {
                continue;
            }
            if (slept) {
                fetch->again = fetch->read != TACIT_LINKS_READ_NONE;
                fetch->due_ns = links->now_ns;
            }
            if (links->now_ns >= fetch->due_ns) {
                worked = start_read(links, i, s) || worked;
            }
        }
    }
    return worked;
}

tacit_time_ns_t tacit_links_fetch_deadline(const struct tacit_links *links)
{
    tacit_time_ns_t at_ns = NEVER;
    for (uint32_t i = 0; i < links->hosts; i++) {
        for (tacit_node_t s = 0; s < links->config.replicas; s++) {
            const struct tacit_links_fetch *fetch = &links->fetch[i * links->config.replicas + s];
            if (s != links->config.self && links->peer[s].accepted != 0 &&
                fetch->read == TACIT_LINKS_READ_NONE && fetch->due_ns < at_ns &&
                tacit_links_host_ready(&links->host[i])) {
                at_ns = fetch->due_ns;
            }
        }
    }
    return at_ns;
}
