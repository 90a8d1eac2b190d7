// SPDX-License-Identifier: Apache-2.0
//
// The protocol thread's half of a host: events, own regions, and the permission that moves.
// Connections that came up and went down arrive through a queue from the control thread; nothing
// here blocks, takes a lock or allocates.
#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

// Events that poll() may have to make at once beyond completions; post() leaves that many free.
#define EVENTS_KEPT 8u
// Commands that retire() and deaths may add between two polls.
#define COMMANDS_KEPT (TACIT_SHM_LOGS + TACIT_NODES_MAX)

// Without a wake-up of the control thread: it comes to it when something else wakes it.
static void command_put(struct tacit_shm *shm, struct tacit_shm_command command)
{
    uint32_t at = atomic_load_explicit(&shm->commands_queue.written, memory_order_relaxed);
    assert(tacit_shm_queue_used(&shm->commands_queue) < TACIT_SHM_COMMANDS);
    shm->commands[at % TACIT_SHM_COMMANDS] = command;
    atomic_store_explicit(&shm->commands_queue.written, at + 1, memory_order_release);
}

void tacit_shm_command(struct tacit_shm *shm, struct tacit_shm_command command)
{
    command_put(shm, command);
    uint64_t one = 1;
    (void)!write(shm->command_event, &one, sizeof one);
}

static void unmap_later(struct tacit_shm *shm, struct tacit_shm_view *view)
{
    if (view->words != NULL) {
        tacit_shm_command(shm, (struct tacit_shm_command){.kind = TACIT_SHM_COMMAND_UNMAP,
                                                          .base = view->words,
                                                          .bytes = view->file_bytes});
    }
    memset(view, 0, sizeof *view);
}

// ---- links ----

static uint32_t *bell_of(const struct tacit_shm_view *view)
{
    return (uint32_t *)(void *)(view->words + tacit_shm_bell_offset(view->bytes) / 8);
}

static void link_up(struct tacit_shm *shm, struct tacit_shm_connection *connection)
{
    tacit_node_t node = connection->node;
    struct tacit_shm_link *link = &shm->links[node];
    const struct tacit_shm_view *host = &connection->views[TACIT_SHM_SLOT_HOST];
    assert(link->connection == NULL);
    *link = (struct tacit_shm_link){.connection = connection, .control = link->control};
    link->death = (const uint32_t *)(const void *)tacit_shm_host_word(
        host, TACIT_SHM_HOST_DEATHS + 8u * (size_t)connection->known_as);
    link->first_death =
        (const uint32_t *)(const void *)tacit_shm_host_word(host, TACIT_SHM_HOST_DEATHS);
    link->pair = tacit_shm_host_word(host, TACIT_SHM_HOST_GENERATION);
    link->sleeping = tacit_shm_host_word(host, TACIT_SHM_HOST_SLEEPING);
    link->kept = tacit_shm_host_word(host, TACIT_SHM_HOST_KEPT);
    for (unsigned slot = TACIT_SHM_SLOT_CONTROL; slot < TACIT_SHM_SLOT_LOG; slot++) {
        if (connection->views[slot].words != NULL && connection->views[slot].writable) {
            link->bell = bell_of(&connection->views[slot]);
        }
    }
    if (connection->tail.words != NULL) {
        link->own_bell = bell_of(&connection->tail);
    }
    if (connection->tail.key.region_class == TACIT_REGION_CONTROL) {
        unmap_later(shm, &link->control);
        link->control = connection->tail;
        memset(&connection->tail, 0, sizeof connection->tail);
    }
    shm->up[shm->up_count++] = node;
    shm->link_changes++;
    *tacit_shm_event_push(shm) = (struct tacit_event){.kind = TACIT_EVENT_UP,
                                                      .node = node,
                                                      .incarnation = connection->incarnation,
                                                      .identity = connection->id};
    if (connection->log.words != NULL) {
        unsigned slot = (unsigned)connection->log.handle & 0xff;
        shm->self_views[slot] = connection->log;
        shm->log_order[slot - TACIT_SHM_SLOT_LOG] = ++shm->logs_made;
        *tacit_shm_event_push(shm) =
            (struct tacit_event){.kind = TACIT_EVENT_REGIONS, .node = shm->fabric.self};
    }
}

// `is_seen`: by its mark, which comes before its socket hangs up, and that wakes the control thread
// soon enough. (If it did already, the next second does: nothing waits for what is released.) Who
// may have to take over from the dead one has no time for it.
static void link_down(struct tacit_shm *shm, tacit_node_t node, bool certain, bool is_seen)
{
    struct tacit_shm_link *link = &shm->links[node];
    struct tacit_shm_connection *connection = link->connection;
    assert(connection != NULL);
    *tacit_shm_event_push(shm) = (struct tacit_event){.kind = TACIT_EVENT_DOWN,
                                                      .certain = certain,
                                                      .node = node,
                                                      .incarnation = connection->incarnation};
    if (certain) {
        atomic_fetch_add_explicit(&shm->deaths, 1, memory_order_relaxed);
    }
    link->connection = NULL;
    shm->link_changes++;
    for (uint32_t i = 0; i < shm->up_count; i++) {
        if (shm->up[i] == node) {
            shm->up[i] = shm->up[--shm->up_count];
            break;
        }
    }
    struct tacit_shm_command release = {.kind = TACIT_SHM_COMMAND_RELEASE,
                                        .number = (uint16_t)(connection - shm->connections)};
    if (is_seen) {
        command_put(shm, release);
    } else {
        tacit_shm_command(shm, release);
    }
}

static void notice_take(struct tacit_shm *shm, const struct tacit_shm_notice *notice)
{
    struct tacit_shm_connection *connection = &shm->connections[notice->connection];
    struct tacit_shm_link *link = &shm->links[notice->node];
    if (notice->kind == TACIT_SHM_NOTICE_UP) {
        link_up(shm, connection);
        return;
    }
    // We may have seen its death ourselves, and the connection may be another one's by now.
    bool is_current = link->connection == connection && connection->serial == notice->serial;
    if (notice->kind == TACIT_SHM_NOTICE_DOWN) {
        if (is_current) {
            link_down(shm, notice->node, notice->certain || tacit_shm_link_is_dead(link), false);
        }
        return;
    }
    struct tacit_shm_view view = notice->view;
    if (is_current) {
        struct tacit_shm_view before = connection->views[notice->slot];
        connection->views[notice->slot] = view;
        view = before;
        *tacit_shm_event_push(shm) =
            (struct tacit_event){.kind = TACIT_EVENT_REGIONS, .node = notice->node};
    }
    unmap_later(shm, &view);
}

static void notices_take(struct tacit_shm *shm)
{
    while (tacit_shm_queue_used(&shm->notices_queue) > 0 &&
           tacit_shm_events_free(shm) >= EVENTS_KEPT &&
           tacit_shm_queue_used(&shm->commands_queue) + COMMANDS_KEPT < TACIT_SHM_COMMANDS) {
        uint32_t at = atomic_load_explicit(&shm->notices_queue.taken, memory_order_relaxed);
        notice_take(shm, &shm->notices[at % TACIT_SHM_NOTICES]);
        atomic_store_explicit(&shm->notices_queue.taken, at + 1, memory_order_release);
    }
}

size_t tacit_shm_poll(struct tacit_fabric *fabric, struct tacit_event *events, size_t max)
{
    struct tacit_shm *shm = tacit_shm_of(fabric);
    if (tacit_shm_queue_used(&shm->notices_queue) > 0) {
        notices_take(shm);
    }
    // One host's mark of death a call: a few calls see them all, and none pays for many. All of
    // them after a sleep, as one may be what has ended it.
    uint32_t looks = shm->has_slept ? shm->up_count : 1;
    shm->has_slept = false;
    for (; looks > 0 && shm->up_count > 0 && tacit_shm_events_free(shm) >= EVENTS_KEPT; looks--) {
        shm->death_turn = shm->death_turn + 1 < shm->up_count ? shm->death_turn + 1 : 0;
        tacit_node_t node = shm->up[shm->death_turn];
        if (tacit_shm_link_is_dead(&shm->links[node])) {
            link_down(shm, node, true, true);
        }
    }
    size_t count = 0;
    while (count < max && shm->events_taken != shm->events_written) {
        events[count++] = shm->events[shm->events_taken++ & shm->events_mask];
    }
    return count;
}

// ---- own regions ----

bool tacit_shm_key_matches(const struct tacit_shm_view *view, unsigned slot,
                           struct tacit_region_key key)
{
    if (view->words == NULL || slot == TACIT_SHM_SLOT_HOST || view->bytes == 0 ||
        view->key.region_class != key.region_class) {
        return false;
    }
    if (key.region_class == TACIT_REGION_PAGE || key.region_class == TACIT_REGION_STATE) {
        return true;
    }
    if (key.owner == TACIT_NODE_SELF) {
        return view->writable;
    }
    return view->key.owner == key.owner && view->key.incarnation == key.incarnation;
}

void *tacit_shm_local(struct tacit_fabric *fabric, struct tacit_region_key key, size_t *bytes)
{
    struct tacit_shm *shm = tacit_shm_of(fabric);
    const struct tacit_shm_view *found = NULL;
    if (key.region_class == TACIT_REGION_CONTROL && key.owner < TACIT_NODES_MAX &&
        key.owner != fabric->self) {
        found = &shm->links[key.owner].control;
    } else if ((key.region_class == TACIT_REGION_REQUESTS ||
                key.region_class == TACIT_REGION_REPLIES) &&
               key.owner < TACIT_NODES_MAX) {
        if (shm->links[key.owner].connection != NULL) {
            found = &shm->links[key.owner].connection->tail;
        }
    } else {
        for (unsigned slot = 0; slot < TACIT_SHM_SLOTS && found == NULL; slot++) {
            if (tacit_shm_key_matches(&shm->self_views[slot], slot, key)) {
                found = &shm->self_views[slot];
            }
        }
    }
    if (found == NULL || !tacit_shm_key_matches(found, TACIT_SHM_SLOTS, key)) {
        return NULL;
    }
    if (bytes != NULL) {
        *bytes = found->bytes;
    }
    return found->words;
}

size_t tacit_shm_log_regions(struct tacit_fabric *fabric, struct tacit_region_key *keys, size_t max)
{
    struct tacit_shm *shm = tacit_shm_of(fabric);
    size_t count = 0;
    uint64_t last = 0;
    while (count < max) { // selection by age; at most TACIT_SHM_LOGS rounds
        unsigned oldest = TACIT_SHM_LOGS;
        for (unsigned i = 0; i < TACIT_SHM_LOGS; i++) {
            if (shm->log_order[i] > last &&
                (oldest == TACIT_SHM_LOGS || shm->log_order[i] < shm->log_order[oldest])) {
                oldest = i;
            }
        }
        if (oldest == TACIT_SHM_LOGS) {
            break;
        }
        last = shm->log_order[oldest];
        const struct tacit_shm_view *view = &shm->self_views[TACIT_SHM_SLOT_LOG + oldest];
        if (view->key.region_class == TACIT_REGION_LOG) {
            keys[count++] = view->key;
        }
    }
    return count;
}

void tacit_shm_retire(struct tacit_fabric *fabric, struct tacit_region_key key)
{
    struct tacit_shm *shm = tacit_shm_of(fabric);
    assert(key.owner != TACIT_NODE_SELF);
    if (key.region_class != TACIT_REGION_LOG && key.region_class != TACIT_REGION_REGISTERS) {
        return;
    }
    for (unsigned i = 0; i < TACIT_SHM_LOGS; i++) {
        struct tacit_shm_view *view = &shm->self_views[TACIT_SHM_SLOT_LOG + i];
        if (!tacit_shm_key_matches(view, TACIT_SHM_SLOT_LOG + i, key)) {
            continue;
        }
        assert(!view->writable); // the own one stays
        memset(view, 0, sizeof *view);
        shm->log_order[i] = 0;
        tacit_shm_command(shm, (struct tacit_shm_command){.kind = TACIT_SHM_COMMAND_RETIRE,
                                                          .number = (uint16_t)i});
        return;
    }
}

void tacit_shm_attach(struct tacit_fabric *fabric, void *base, size_t bytes)
{
    (void)fabric; // post() copies with the processor: any memory will do
    (void)base;
    (void)bytes;
}

// ---- permission (the proof is in protocol.h) ----

void tacit_shm_grant(struct tacit_fabric *fabric, tacit_node_t holder,
                     tacit_incarnation_t incarnation, uint64_t generation)
{
    struct tacit_shm *shm = tacit_shm_of(fabric);
    assert(generation > shm->generation && !shm->holder_is_set);
    shm->generation = generation;
    shm->holder_is_set = true;
    tacit_shm_pair_grant(shm->own[0].words, generation, tacit_owner_word(holder, incarnation));
    *tacit_shm_event_push(shm) =
        (struct tacit_event){.kind = TACIT_EVENT_GRANTED, .node = holder, .generation = generation};
}

void tacit_shm_revoke(struct tacit_fabric *fabric, uint64_t generation)
{
    struct tacit_shm *shm = tacit_shm_of(fabric);
    assert(generation > shm->generation);
    shm->generation = generation;
    shm->holder_is_set = false;
    tacit_shm_pair_revoke(shm->own[0].words, generation);
    *tacit_shm_event_push(shm) = (struct tacit_event){
        .kind = TACIT_EVENT_REVOKED, .node = TACIT_NODE_NONE, .generation = generation};
}
