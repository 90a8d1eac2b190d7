// SPDX-License-Identifier: Apache-2.0
//
// Reaching other hosts: operations on their regions (protocol thread) and connecting to them
// (control thread). The memory is mapped, so an operation is a copy, word by word, and where
// permission moves, a fence and a check; there is no system call and no lock on this path.
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "internal.h"

// Events that post() leaves free for what poll() and permission changes have to tell.
#define EVENTS_KEPT 16u
#define TOUCH_BYTES 4096u // no system has smaller pages

#ifdef TACIT_TEST_HOOKS
void (*tacit_shm_test_before_check)(void);
#endif

// ---- operations ----

static const struct tacit_shm_view *views_of(const struct tacit_shm *shm, tacit_node_t host)
{
    assert(host < TACIT_NODES_MAX);
    if (host == shm->fabric.self) {
        return shm->self_views;
    }
    const struct tacit_shm_connection *connection = shm->links[host].connection;
    return connection != NULL ? connection->views : NULL;
}

static void words_write(uint64_t *to, const uint64_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tacit_shm_store(&to[i], from[i]);
    }
}

static void words_read(uint64_t *to, const uint64_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = tacit_shm_load(&from[i]);
    }
}

static bool is_holder(const struct tacit_shm *shm, const struct tacit_op *op)
{
    const uint64_t *pair = op->host == shm->fabric.self
                               ? tacit_shm_host_word(&shm->own[0], TACIT_SHM_HOST_GENERATION)
                               : shm->links[op->host].pair;
    return __atomic_load_n(&pair[0], __ATOMIC_ACQUIRE) == op->generation &&
           __atomic_load_n(&pair[1], __ATOMIC_ACQUIRE) ==
               tacit_owner_word(shm->fabric.self, shm->fabric.incarnation);
}

// Performs the operation; see host.c for why this fence and this check are enough.
static enum tacit_completion perform(const struct tacit_shm *shm, const struct tacit_op *op,
                                     const struct tacit_shm_view *view)
{
    uint64_t *words = view->words + op->offset / 8;
    bool as_holder = (op->flags & TACIT_OP_AS_HOLDER) != 0;
    if (op->kind == TACIT_OP_READ) {
        words_read(op->local, words, op->bytes / 8);
        __atomic_thread_fence(__ATOMIC_ACQUIRE); // before later reads, and before the check
        return as_holder && !is_holder(shm, op) ? TACIT_COMPLETION_DENIED : TACIT_COMPLETION_OK;
    }
    if (!view->writable) {
        return TACIT_COMPLETION_DENIED;
    }
    __atomic_thread_fence(__ATOMIC_RELEASE); // after earlier writes (contract 1)
    words_write(words, op->local, op->bytes / 8);
    if (!as_holder) {
        return TACIT_COMPLETION_OK;
    }
    TACIT_SHM_TEST_BEFORE_CHECK();
    TACIT_SHM_FULL_FENCE();
    return is_holder(shm, op) ? TACIT_COMPLETION_OK : TACIT_COMPLETION_DENIED;
}

static void count(struct tacit_plane_counters *counters, const struct tacit_op *op, bool self)
{
    if (op->kind == TACIT_OP_WRITE) {
        counters->writes += !self;
        counters->self_writes += self;
        counters->write_bytes += self ? 0 : op->bytes;
    } else {
        counters->reads += !self;
        counters->self_reads += self;
        counters->read_bytes += self ? 0 : op->bytes;
    }
}

static bool reach_post(struct tacit_fabric *fabric, const struct tacit_op *op)
{
    struct tacit_shm *shm = tacit_shm_of(fabric);
    const struct tacit_shm_view *views = views_of(shm, op->host);
    if (views == NULL || tacit_shm_events_free(shm) <= EVENTS_KEPT) {
        return false;
    }
    unsigned slot = (unsigned)op->region & 0xff;
    assert(op->region >= 0 && slot < TACIT_SHM_SLOTS && op->plane < TACIT_PLANES);
    assert(op->kind == TACIT_OP_WRITE || op->kind == TACIT_OP_READ);
    assert(op->bytes > 0 && op->bytes % 8 == 0 && op->offset % 8 == 0 &&
           (uintptr_t)op->local % 8 == 0);
    const struct tacit_shm_view *view = &views[slot];
    enum tacit_completion status = TACIT_COMPLETION_DENIED; // region retired meanwhile
    if (view->words != NULL && view->handle == op->region) {
        assert(op->offset <= view->bytes && op->bytes <= view->bytes - op->offset);
        status = perform(shm, op, view);
    }
    struct tacit_plane_counters *counters = &fabric->counters.plane[op->plane];
    count(counters, op, op->host == fabric->self);
    if (status == TACIT_COMPLETION_OK && (op->flags & TACIT_OP_QUIET) != 0) {
        return true;
    }
    counters->denied += status == TACIT_COMPLETION_DENIED;
    struct tacit_event *event = tacit_shm_event_push(shm);
    event->kind = TACIT_EVENT_COMPLETION;
    event->status = (uint8_t)status;
    event->node = op->host;
    event->cookie = op->cookie;
    return true;
}

// A peer's region is mapped page by page when it is first touched (tacit_shm_memory_map).
static void reach_prefetch(struct tacit_fabric *fabric, tacit_node_t host, int32_t region,
                           uint64_t offset, uint32_t bytes)
{
    const struct tacit_shm_view *views = views_of(tacit_shm_of(fabric), host);
    unsigned slot = (unsigned)region & 0xff;
    assert(region >= 0 && slot < TACIT_SHM_SLOTS);
    if (views == NULL || views[slot].words == NULL || views[slot].handle != region) {
        return;
    }
    assert(offset <= views[slot].bytes && bytes <= views[slot].bytes - offset);
    for (uint64_t at = offset; at < offset + bytes; at += TOUCH_BYTES - at % TOUCH_BYTES) {
        (void)*(const volatile uint64_t *)(views[slot].words + at / 8);
    }
}

// The host has made a REGISTERS region and this process was not told yet, or has not mapped it yet.
static bool is_coming(const struct tacit_shm *shm, tacit_node_t host, struct tacit_region_key key)
{
    const struct tacit_shm_link *link = &shm->links[host];
    if (key.region_class != TACIT_REGION_REGISTERS || host == shm->fabric.self ||
        key.owner == TACIT_NODE_SELF || link->connection == NULL) {
        return false;
    }
    uint64_t word = tacit_owner_word(key.owner, key.incarnation);
    bool found = false;
    for (unsigned i = 0; i < TACIT_SHM_LOGS && !found; i++) {
        found = __atomic_load_n(&link->kept[i], __ATOMIC_ACQUIRE) == word;
    }
    return found;
}

static int32_t reach_region(struct tacit_fabric *fabric, tacit_node_t host,
                            struct tacit_region_key key)
{
    const struct tacit_shm *shm = tacit_shm_of(fabric);
    const struct tacit_shm_view *views = views_of(shm, host);
    for (unsigned slot = 0; views != NULL && slot < TACIT_SHM_SLOTS; slot++) {
        if (tacit_shm_key_matches(&views[slot], slot, key)) {
            return views[slot].handle;
        }
    }
    return views != NULL && is_coming(shm, host, key) ? TACIT_REGION_COMING : -1;
}

static void reach_ring(struct tacit_fabric *fabric, tacit_node_t host)
{
    struct tacit_shm *shm = tacit_shm_of(fabric);
    assert(host < TACIT_NODES_MAX);
    struct tacit_shm_link *link = &shm->links[host];
    uint64_t sleep = 0;
    int bell_fd = link->connection != NULL ? link->connection->bell_fd : -1;
    if (link->connection != NULL && (link->bell != NULL || bell_fd >= 0)) {
        TACIT_SHM_FULL_FENCE(); // P2 in wait.c
        sleep = tacit_shm_load(link->sleeping);
    }
    if (sleep == 0 || sleep == link->last_rung) {
        fabric->counters.rings_suppressed++;
        return;
    }
    link->last_rung = sleep;
    if (bell_fd >= 0) {
        // Not sent: so much is under way that it will not sleep before it took this connection's.
        struct tacit_shm_packet packet = {.kind = TACIT_SHM_BELL};
        (void)tacit_shm_send(bell_fd, &packet, sizeof packet, -1);
    } else {
        __atomic_fetch_add(link->bell, 1, __ATOMIC_SEQ_CST);
        tacit_shm_futex_wake(link->bell, true);
    }
    fabric->counters.rings++;
}

// Nothing is ever pending here and the memory cannot go away while we have it mapped, so the socket
// may stay: to the caller the connection broke and came back, with new handles.
static void reach_reset(struct tacit_fabric *fabric, tacit_node_t host)
{
    struct tacit_shm *shm = tacit_shm_of(fabric);
    assert(host < TACIT_NODES_MAX);
    struct tacit_shm_connection *connection = shm->links[host].connection;
    if (connection == NULL || tacit_shm_events_free(shm) < EVENTS_KEPT) {
        return; // down anyway, or nobody polls; the caller comes back if it still matters
    }
    for (unsigned slot = 0; slot < TACIT_SHM_SLOTS; slot++) {
        uint32_t version = ((uint32_t)connection->views[slot].handle >> 8) + 1;
        connection->views[slot].handle = (int32_t)(slot | (version & 0x7fffff) << 8);
    }
    *tacit_shm_event_push(shm) = (struct tacit_event){
        .kind = TACIT_EVENT_DOWN, .node = host, .incarnation = connection->incarnation};
    *tacit_shm_event_push(shm) = (struct tacit_event){.kind = TACIT_EVENT_UP,
                                                      .node = host,
                                                      .incarnation = connection->incarnation,
                                                      .identity = connection->id};
}

// ---- connecting (control thread) ----

static bool connects_to(const struct tacit_shm *shm, tacit_node_t node)
{
    bool is_replica = node < TACIT_REPLICAS_MAX;
    bool is_memnode = node >= TACIT_NODE_MEMNODE && node < TACIT_NODE_MEMNODE + TACIT_MEMNODES_MAX;
    if (shm->config.kind == TACIT_SHM_CLIENT) {
        return is_replica;
    }
    return shm->config.kind == TACIT_SHM_REPLICA &&
           (is_memnode || (is_replica && node < shm->fabric.self));
}

// Sockets appear by rename(2) into place, and their directory tells.
static void directory_watch(struct tacit_shm *shm, const char *path)
{
    char directory[TACIT_SHM_PATH_MAX + 1];
    (void)snprintf(directory, sizeof directory, "%s", path);
    char *slash = strrchr(directory, '/');
    if (slash == directory) {
        slash[1] = '\0';
    } else if (slash != NULL) {
        *slash = '\0';
    }
    // Without a watch (no such directory yet, no watches left) the timer still finds it.
    (void)inotify_add_watch(shm->reach_fd, slash != NULL ? directory : ".", IN_MOVED_TO);
}

// The entry of that node, a new one if there is none yet; NULL: no room or memory.
static struct tacit_shm_peer_entry *entry_of(struct tacit_shm *shm, tacit_node_t node,
                                             struct tacit_error *error)
{
    for (uint32_t i = 0; i < shm->peers_count; i++) {
        if (shm->peers[i].node == node) {
            return &shm->peers[i];
        }
    }
    assert(shm->peers_count < TACIT_SHM_PEERS_MAX); // as many as there are such nodes
    shm->dial_pool[shm->peers_count] = tacit_secret_alloc(tacit_handshake_size(), error);
    if (shm->dial_pool[shm->peers_count] == NULL) {
        return NULL;
    }
    struct tacit_shm_peer_entry *entry = &shm->peers[shm->peers_count++];
    entry->node = node;
    entry->pause_ns = shm->config.reconnect_min_ns;
    return entry;
}

enum tacit_status tacit_shm_reach_open(struct tacit_shm *shm, const struct tacit_shm_config *config,
                                       struct tacit_error *error)
{
    shm->reach_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    for (size_t i = 0; i < config->peers_count; i++) {
        const struct tacit_shm_peer *peer = &config->peers[i];
        if (!connects_to(shm, peer->node)) {
            continue;
        }
        struct tacit_shm_peer_entry *entry = entry_of(shm, peer->node, error);
        if (entry == NULL) {
            return TACIT_ENOMEM;
        }
        if (entry->paths == TACIT_SHM_PATHS_MAX || strlen(peer->path) > TACIT_SHM_PATH_MAX) {
            return tacit_error_set(
                error, TACIT_EINVAL, 0,
                "socket path \"%s\" of node %u is too long (at most %u bytes), or "
                "the node has more than %u paths",
                peer->path, peer->node, TACIT_SHM_PATH_MAX, TACIT_SHM_PATHS_MAX);
        }
        char *path = entry->path[entry->paths++];
        (void)snprintf(path, sizeof entry->path[0], "%s", peer->path);
        directory_watch(shm, path);
    }
    return TACIT_OK;
}

void tacit_shm_reach_close(struct tacit_shm *shm)
{
    if (shm->reach_fd >= 0) {
        close(shm->reach_fd);
    }
    for (uint32_t i = 0; i < TACIT_SHM_PEERS_MAX; i++) {
        tacit_secret_free(shm->dial_pool[i]);
    }
}

static void attempt_failed(struct tacit_shm *shm, struct tacit_shm_peer_entry *entry,
                           tacit_time_ns_t now_ns)
{
    if (entry->poked) { // meanwhile, perhaps another of its sockets
        entry->next_ns = now_ns;
        return;
    }
    entry->turn = (entry->turn + 1) % entry->paths;
    entry->next_ns = now_ns + entry->pause_ns;
    if (entry->turn != 0) {
        return; // a round of all paths is one attempt
    }
    entry->pause_ns *= 2;
    if (entry->pause_ns > shm->config.reconnect_max_ns) {
        entry->pause_ns = shm->config.reconnect_max_ns;
    }
}

static void dial(struct tacit_shm *shm, uint32_t peer, tacit_time_ns_t now_ns)
{
    struct tacit_shm_peer_entry *entry = &shm->peers[peer];
    entry->poked = false;
    int fd = tacit_shm_connect(entry->path[entry->turn]);
    struct tacit_shm_connection *connection =
        fd >= 0 ? tacit_shm_connection_begin(shm, fd, shm->dial_pool[peer], (int)peer, now_ns)
                : NULL;
    if (connection != NULL) {
        entry->dialing = connection->serial;
        return;
    }
    if (fd >= 0) {
        close(fd);
    }
    attempt_failed(shm, entry, now_ns);
}

tacit_time_ns_t tacit_shm_reach_turn(struct tacit_shm *shm, tacit_time_ns_t now_ns)
{
    tacit_time_ns_t next_ns = UINT64_MAX;
    for (uint32_t i = 0; i < shm->peers_count; i++) {
        struct tacit_shm_peer_entry *entry = &shm->peers[i];
        const struct tacit_shm_connection *current = shm->current[entry->node];
        if (current != NULL && current->serial == entry->dialing) {
            entry->dialing = 0; // the attempt came up
        }
        // A socket that appears while the old connection stands: the node was restarted.
        if (entry->dialing != 0 || (current != NULL && !entry->poked)) {
            continue;
        }
        if (entry->next_ns <= now_ns) {
            dial(shm, i, now_ns);
        }
        if (entry->dialing == 0 && entry->next_ns < next_ns) {
            next_ns = entry->next_ns;
        }
    }
    return next_ns;
}

void tacit_shm_reach_ended(struct tacit_shm *shm, struct tacit_shm_connection *connection,
                           bool was_up)
{
    struct tacit_shm_peer_entry *entry = &shm->peers[connection->peer];
    tacit_time_ns_t now_ns = tacit_shm_now_ns();
    if (entry->dialing == connection->serial) {
        entry->dialing = 0;
    }
    if (was_up) { // worth an attempt at once
        entry->pause_ns = shm->config.reconnect_min_ns;
        entry->next_ns = now_ns;
        return;
    }
    attempt_failed(shm, entry, now_ns);
}

// A socket of that name appeared.
static void poke(struct tacit_shm *shm, struct tacit_shm_peer_entry *entry, const char *name)
{
    for (uint32_t i = 0; i < entry->paths; i++) {
        const char *slash = strrchr(entry->path[i], '/');
        if (strcmp(name, slash != NULL ? slash + 1 : entry->path[i]) == 0) {
            entry->poked = true;
            entry->turn = i;
            entry->next_ns = 0;
            entry->pause_ns = shm->config.reconnect_min_ns;
        }
    }
}

void tacit_shm_reach_readable(struct tacit_shm *shm)
{
    _Alignas(struct inotify_event) char buffer[4096];
    ssize_t got = read(shm->reach_fd, buffer, sizeof buffer);
    for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= got;) {
        struct inotify_event event;
        memcpy(&event, buffer + at, sizeof event);
        const char *name = buffer + at + sizeof event;
        for (uint32_t i = 0; i < shm->peers_count && event.len > 0; i++) {
            poke(shm, &shm->peers[i], name);
        }
        at += (ssize_t)(sizeof event + event.len);
    }
}

const struct tacit_fabric_ops tacit_shm_ops = {
    .post = reach_post,
    .poll = tacit_shm_poll,
    .ring = reach_ring,
    .region = reach_region,
    .prefetch = reach_prefetch,
    .local = tacit_shm_local,
    .log_regions = tacit_shm_log_regions,
    .grant = tacit_shm_grant,
    .revoke = tacit_shm_revoke,
    .retire = tacit_shm_retire,
    .reset = reach_reset,
    .attach = tacit_shm_attach,
    .arm = tacit_shm_arm,
    .sleep = tacit_shm_sleep,
    .disarm = tacit_shm_disarm,
};
