// SPDX-License-Identifier: Apache-2.0
//
// Start and end of the shared-memory provider: checks the configuration, allocates everything,
// makes the regions that this host writes itself, and starts the control thread. Also the access
// table, from which both sides of a connection derive what they offer and what they may be offered.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

enum tacit_shm_right tacit_shm_right(enum tacit_shm_kind host, enum tacit_shm_kind peer,
                                     unsigned slot, const struct tacit_host_layout *layout)
{
    if (slot == TACIT_SHM_SLOT_HOST) {
        return TACIT_SHM_READ;
    }
    bool keeps_logs = host != TACIT_SHM_CLIENT && peer == TACIT_SHM_REPLICA;
    switch (slot) {
    case TACIT_SHM_SLOT_PAGE:
        return keeps_logs && layout->page_bytes > 0 ? TACIT_SHM_READ : TACIT_SHM_NOTHING;
    case TACIT_SHM_SLOT_STATE:
        return keeps_logs && layout->state_bytes > 0 ? TACIT_SHM_READ : TACIT_SHM_NOTHING;
    case TACIT_SHM_SLOT_CONTROL:
        // A replica rings there, too; Byzantine mode's memory nodes are asked for nothing.
        return keeps_logs && (host == TACIT_SHM_REPLICA || layout->control_bytes > 0)
                   ? TACIT_SHM_WRITE
                   : TACIT_SHM_NOTHING;
    case TACIT_SHM_SLOT_REQUESTS:
        return host == TACIT_SHM_REPLICA && peer == TACIT_SHM_CLIENT ? TACIT_SHM_WRITE
                                                                     : TACIT_SHM_NOTHING;
    case TACIT_SHM_SLOT_REPLIES:
        return host == TACIT_SHM_CLIENT && peer == TACIT_SHM_REPLICA ? TACIT_SHM_WRITE
                                                                     : TACIT_SHM_NOTHING;
    default:
        return keeps_logs && tacit_shm_slot_bytes(layout, slot) > 0 ? TACIT_SHM_WRITE
                                                                    : TACIT_SHM_NOTHING;
    }
}

size_t tacit_shm_slot_bytes(const struct tacit_host_layout *layout, unsigned slot)
{
    switch (slot) {
    case TACIT_SHM_SLOT_HOST:
        return TACIT_SHM_HOST_BYTES;
    case TACIT_SHM_SLOT_PAGE:
        return layout->page_bytes;
    case TACIT_SHM_SLOT_STATE:
        return layout->state_bytes;
    case TACIT_SHM_SLOT_CONTROL:
        return layout->control_bytes;
    case TACIT_SHM_SLOT_REQUESTS:
        return layout->requests_bytes;
    case TACIT_SHM_SLOT_REPLIES:
        return layout->replies_bytes;
    default:
        return layout->log_bytes + layout->registers_bytes; // one of them is 0
    }
}

size_t tacit_shm_slot_file_bytes(const struct tacit_host_layout *layout, unsigned slot)
{
    size_t bytes = tacit_shm_slot_bytes(layout, slot);
    if (slot >= TACIT_SHM_SLOT_CONTROL && slot < TACIT_SHM_SLOT_LOG) {
        return tacit_shm_bell_file_bytes(bytes);
    }
    return tacit_shm_file_bytes(bytes);
}

uint8_t tacit_shm_slot_class(const struct tacit_host_layout *layout, unsigned slot)
{
    static const uint8_t classes[TACIT_SHM_SLOT_LOG] = {
        0,
        TACIT_REGION_PAGE,
        TACIT_REGION_STATE,
        TACIT_REGION_CONTROL,
        TACIT_REGION_REQUESTS,
        TACIT_REGION_REPLIES,
    };
    if (slot < TACIT_SHM_SLOT_LOG) {
        return classes[slot];
    }
    return layout->registers_bytes > 0 ? TACIT_REGION_REGISTERS : TACIT_REGION_LOG;
}

void tacit_shm_view_unmap(struct tacit_shm_view *view)
{
    tacit_shm_memory_unmap(view->words, view->file_bytes);
    memset(view, 0, sizeof *view);
}

static enum tacit_status config_check(const struct tacit_shm_config *config,
                                      struct tacit_error *error)
{
    static const unsigned limits[] = {TACIT_REPLICAS_MAX, TACIT_MEMNODES_MAX, 0xffff};
    if ((unsigned)config->kind >= TACIT_SHM_KINDS || config->id >= limits[config->kind]) {
        return tacit_error_set(error, TACIT_EINVAL, 0, "node number %u is out of range",
                               config->id);
    }
    if (config->incarnation == 0 || config->incarnation > TACIT_INCARNATION_MAX) {
        return tacit_error_set(error, TACIT_EINVAL, 0, "incarnation %u is not in 1 .. %u",
                               config->incarnation, TACIT_INCARNATION_MAX);
    }
    if ((config->path == NULL) != (config->kind == TACIT_SHM_CLIENT)) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "replicas and memory nodes need a socket path, clients have none");
    }
    if (config->keypair == NULL || config->key_of == NULL ||
        (config->peers == NULL && config->peers_count > 0)) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "key pair, key look-up or peers are missing");
    }
    if ((config->completions & (config->completions - 1)) != 0 ||
        (config->completions != 0 && config->completions < 64) || config->completions > 1u << 20) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "completions is %u; accepted are powers of two from 64 to 2^20",
                               config->completions);
    }
    if (config->handshakes > TACIT_SHM_HANDSHAKES_MAX) {
        return tacit_error_set(error, TACIT_EINVAL, 0, "handshakes is %u; at most %u are accepted",
                               config->handshakes, TACIT_SHM_HANDSHAKES_MAX);
    }
    for (unsigned kind = 0; kind < TACIT_SHM_KINDS; kind++) {
        if (config->layouts[kind].log_bytes > 0 && config->layouts[kind].registers_bytes > 0) {
            return tacit_error_set(error, TACIT_EINVAL, 0,
                                   "a host keeps logs or registers, not both");
        }
        for (unsigned slot = 0; slot <= TACIT_SHM_SLOT_LOG; slot++) {
            size_t bytes = tacit_shm_slot_bytes(&config->layouts[kind], slot);
            if (bytes % 8 != 0 || bytes > (size_t)1 << 40) {
                return tacit_error_set(
                    error, TACIT_EINVAL, 0,
                    "a region of %zu bytes; accepted are multiples of 8 up to 2^40", bytes);
            }
        }
    }
    return TACIT_OK;
}

static void config_take(struct tacit_shm *shm, const struct tacit_shm_config *config)
{
    shm->config = *config;
    shm->config.path = NULL; // the listener has its own copy
    shm->config.peers = NULL;
    if (config->completions == 0) {
        shm->config.completions = 4096;
    }
    if (config->handshakes == 0) {
        shm->config.handshakes = 8;
    }
    if (config->handshake_timeout_ns == 0) {
        shm->config.handshake_timeout_ns = 2000000000;
    }
    if (config->reconnect_min_ns == 0) {
        shm->config.reconnect_min_ns = 1000000;
    }
    if (config->reconnect_max_ns < shm->config.reconnect_min_ns) {
        shm->config.reconnect_max_ns =
            config->reconnect_min_ns > 200000000 ? config->reconnect_min_ns : 200000000;
    }
    if (config->sleep_slice_ns == 0) {
        shm->config.sleep_slice_ns = 500000;
    }
    shm->fabric.self = tacit_shm_node(config->kind, config->id);
    shm->fabric.incarnation = config->incarnation;
    shm->listener.fd = -1;
    shm->listener.lock = -1;
    shm->command_event = -1;
    shm->reach_fd = -1;
    shm->events_mask = shm->config.completions - 1;
    for (unsigned i = 0; i < TACIT_SHM_OWN; i++) {
        shm->own_fds[i] = -1;
    }
    for (unsigned i = 0; i < TACIT_SHM_LOGS; i++) {
        shm->logs[i].fd = -1;
    }
}

enum tacit_status tacit_shm_state_make(const struct tacit_host_layout *layout, int *fd,
                                       struct tacit_error *error)
{
    return tacit_shm_memory_create(fd, tacit_shm_slot_file_bytes(layout, TACIT_SHM_SLOT_STATE),
                                   error);
}

// Memory for a region: the one that was made before, or new.
static enum tacit_status own_memory(const struct tacit_shm *shm, unsigned slot, int *fd,
                                    size_t file_bytes, struct tacit_error *error)
{
    struct stat facts;
    if (slot != TACIT_SHM_SLOT_STATE || shm->config.state_fd == 0) {
        return tacit_shm_memory_create(fd, file_bytes, error);
    }
    *fd = fcntl(shm->config.state_fd, F_DUPFD_CLOEXEC, 0);
    return *fd >= 0 && fstat(*fd, &facts) == 0 && (size_t)facts.st_size == file_bytes
               ? TACIT_OK
               : tacit_error_set(error, TACIT_EINVAL, errno,
                                 "the memory that was made for the state is not of %zu bytes",
                                 file_bytes);
}

// A region that this process writes itself: mapped, sealed, kept to be handed out.
static enum tacit_status own_region(struct tacit_shm *shm, unsigned slot, int *fd,
                                    struct tacit_shm_view *view, struct tacit_error *error)
{
    const struct tacit_host_layout *layout = &shm->config.layouts[shm->config.kind];
    size_t bytes = tacit_shm_slot_bytes(layout, slot);
    size_t file_bytes = tacit_shm_slot_file_bytes(layout, slot);
    if (bytes == 0) {
        return TACIT_OK;
    }
    enum tacit_status status = own_memory(shm, slot, fd, file_bytes, error);
    if (status != TACIT_OK) {
        return status;
    }
    void *base = tacit_shm_memory_map(*fd, file_bytes, true);
    if (base == NULL || !tacit_shm_memory_seal(*fd)) {
        int reason = errno;
        tacit_shm_memory_unmap(base, file_bytes);
        return tacit_error_set(error, reason == ENOMEM ? TACIT_ENOMEM : TACIT_EIO, reason,
                               "cannot map and seal %zu bytes of shared memory: %s", file_bytes,
                               strerror(reason));
    }
    *view = (struct tacit_shm_view){
        .words = base,
        .bytes = bytes,
        .file_bytes = file_bytes,
        .handle = (int32_t)slot,
        .writable = true,
        .key = {.region_class = tacit_shm_slot_class(layout, slot),
                .owner = shm->fabric.self,
                .incarnation = shm->fabric.incarnation},
    };
    if (shm->config.lock_memory && mlock(base, file_bytes) != 0) {
        struct rlimit limit = {0};
        int reason = errno;
        (void)getrlimit(RLIMIT_MEMLOCK, &limit);
        return tacit_error_set(error, TACIT_ENOMEM, reason,
                               "cannot lock %zu bytes of memory; the limit of this process "
                               "(RLIMIT_MEMLOCK) is %llu bytes for all of them",
                               file_bytes, (unsigned long long)limit.rlim_cur);
    }
    return TACIT_OK;
}

// What the system can give without killing somebody for it; UINT64_MAX if it does not say.
static uint64_t memory_available(void)
{
    static const char name[] = "MemAvailable:";
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    uint64_t bytes = UINT64_MAX;
    while (file != NULL && bytes == UINT64_MAX && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, sizeof name - 1) == 0) {
            bytes = strtoull(line + sizeof name - 1, NULL, 10) * 1024; // given in KiB
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return bytes;
}

enum tacit_status tacit_shm_memory_check(const struct tacit_shm_config *config,
                                         struct tacit_error *error)
{
    const struct tacit_host_layout *layout = &config->layouts[config->kind];
    uint64_t wanted = 0;
    for (unsigned slot = 0; config->kind != TACIT_SHM_CLIENT && slot < TACIT_SHM_OWN; slot++) {
        bool is_there = slot == TACIT_SHM_SLOT_STATE && config->state_fd != 0;
        wanted += is_there ? 0 : tacit_shm_slot_file_bytes(layout, slot);
    }
    uint64_t writers = config->kind == TACIT_SHM_REPLICA; // of a log here
    for (size_t i = 0; i < config->peers_count; i++) {
        bool again = false; // another path of the same node
        for (size_t j = 0; j < i && !again; j++) {
            again = config->peers[j].node == config->peers[i].node;
        }
        writers += !again && config->peers[i].node < TACIT_REPLICAS_MAX &&
                   config->peers[i].node != tacit_shm_node(config->kind, config->id);
    }
    if (config->kind == TACIT_SHM_CLIENT) {
        wanted += writers * tacit_shm_slot_file_bytes(layout, TACIT_SHM_SLOT_REPLIES);
    } else {
        wanted += writers * tacit_shm_slot_file_bytes(layout, TACIT_SHM_SLOT_LOG);
    }
    uint64_t available = memory_available();
    if (wanted <= available) {
        return TACIT_OK;
    }
    return tacit_error_set(
        error, TACIT_ENOMEM, 0,
        "the regions of this node need %llu bytes of memory, the machine has %llu "
        "bytes left; make the arena or the log in the cluster file smaller",
        (unsigned long long)wanted, (unsigned long long)available);
}

static enum tacit_status own_regions(struct tacit_shm *shm, struct tacit_error *error)
{
    enum tacit_status status =
        own_region(shm, TACIT_SHM_SLOT_HOST, &shm->own_fds[0], &shm->own[0], error);
    if (status != TACIT_OK) {
        return status;
    }
    tacit_shm_store(tacit_shm_host_word(&shm->own[0], TACIT_SHM_HOST_HOLDER), TACIT_SHM_NOBODY);
    // A client has no more than that, a memory node no CONTROL of its own.
    unsigned slots = shm->config.kind == TACIT_SHM_CLIENT    ? TACIT_SHM_SLOT_PAGE
                     : shm->config.kind == TACIT_SHM_MEMNODE ? TACIT_SHM_SLOT_CONTROL
                                                             : TACIT_SHM_OWN;
    for (unsigned slot = TACIT_SHM_SLOT_PAGE; slot < slots && status == TACIT_OK; slot++) {
        status = own_region(shm, slot, &shm->own_fds[slot], &shm->own[slot], error);
        shm->self_views[slot] = shm->own[slot];
    }
    if (status == TACIT_OK && shm->config.kind == TACIT_SHM_REPLICA &&
        shm->config.layouts[TACIT_SHM_REPLICA].log_bytes > 0) {
        struct tacit_shm_log *log = &shm->logs[0];
        status = own_region(shm, TACIT_SHM_SLOT_LOG, &log->fd, &log->view, error);
        log->serial = ++shm->next_serial;
        log->present = true;
        shm->self_views[TACIT_SHM_SLOT_LOG] = log->view;
        shm->log_order[0] = ++shm->logs_made;
    }
    return status;
}

static enum tacit_status pools_open(struct tacit_shm *shm, struct tacit_error *error)
{
    shm->events = calloc(shm->config.completions, sizeof *shm->events);
    shm->waiter = calloc(1, tacit_shm_waiter_size());
    shm->command_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (shm->events == NULL || shm->waiter == NULL || shm->command_event < 0) {
        return tacit_error_set(error, TACIT_ENOMEM, errno, "no memory for the fabric's queues");
    }
    if (shm->config.kind == TACIT_SHM_CLIENT) {
        return TACIT_OK;
    }
    for (uint32_t i = 0; i < shm->config.handshakes; i++) {
        shm->handshake_pool[i] = tacit_secret_alloc(tacit_handshake_size(), error);
        if (shm->handshake_pool[i] == NULL) {
            return TACIT_ENOMEM;
        }
    }
    return TACIT_OK;
}

static enum tacit_status thread_start(struct tacit_shm *shm, struct tacit_error *error)
{
    // Signals are for the threads that the program itself has.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int reason = pthread_create(&shm->thread, NULL, tacit_shm_control_main, shm);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    shm->thread_runs = reason == 0;
    if (reason != 0) {
        return tacit_error_set(error, TACIT_EIO, reason, "cannot start the fabric's thread: %s",
                               strerror(reason));
    }
    return TACIT_OK;
}

enum tacit_status tacit_shm_open(const struct tacit_shm_config *config,
                                 struct tacit_fabric **fabric, struct tacit_error *error)
{
    *fabric = NULL;
    enum tacit_status status = config_check(config, error);
    if (status == TACIT_OK) {
        status = tacit_crypto_init(error);
    }
    if (status != TACIT_OK) {
        return status;
    }
    struct tacit_shm *shm = calloc(1, sizeof *shm);
    if (shm == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, errno, "no memory for the fabric (%zu bytes)",
                               sizeof *shm);
    }
    config_take(shm, config);
    shm->fabric.ops = &tacit_shm_ops;
    status = tacit_shm_memory_check(config, error);
    if (status == TACIT_OK) {
        status = own_regions(shm, error);
    }
    if (status == TACIT_OK) {
        status = pools_open(shm, error);
    }
    if (status == TACIT_OK) {
        status = tacit_shm_reach_open(shm, config, error);
    }
    if (status == TACIT_OK && config->path != NULL) {
        status = tacit_shm_listen(&shm->listener, config->path, config->socket_gid, error);
    }
    if (status == TACIT_OK) {
        status = thread_start(shm, error);
    }
    if (status != TACIT_OK) {
        tacit_shm_close(&shm->fabric);
        return status;
    }
    *fabric = &shm->fabric;
    return TACIT_OK;
}

// What the control thread and the protocol thread handed to each other and nobody took.
static void queues_drain(struct tacit_shm *shm)
{
    while (tacit_shm_queue_used(&shm->notices_queue) > 0) {
        uint32_t at = atomic_fetch_add(&shm->notices_queue.taken, 1) % TACIT_SHM_NOTICES;
        if (shm->notices[at].kind == TACIT_SHM_NOTICE_VIEW) {
            tacit_shm_view_unmap(&shm->notices[at].view);
        }
    }
    while (tacit_shm_queue_used(&shm->commands_queue) > 0) {
        uint32_t at = atomic_fetch_add(&shm->commands_queue.taken, 1) % TACIT_SHM_COMMANDS;
        if (shm->commands[at].kind == TACIT_SHM_COMMAND_UNMAP) {
            tacit_shm_memory_unmap(shm->commands[at].base, shm->commands[at].bytes);
        }
    }
}

void tacit_shm_close(struct tacit_fabric *fabric)
{
    struct tacit_shm *shm = tacit_shm_of(fabric);
    if (shm->thread_runs) {
        atomic_store(&shm->stop, true);
        uint64_t one = 1;
        (void)!write(shm->command_event, &one, sizeof one);
        pthread_join(shm->thread, NULL);
    }
    tacit_shm_listener_close(&shm->listener);
    tacit_shm_thread_detach(shm);
    for (unsigned i = 0; i < TACIT_SHM_CONNECTIONS; i++) {
        if (shm->connections[i].state != TACIT_SHM_FREE) {
            tacit_shm_connection_free(shm, &shm->connections[i]);
        }
    }
    queues_drain(shm);
    for (unsigned i = 0; i < TACIT_NODES_MAX; i++) {
        tacit_shm_view_unmap(&shm->links[i].control);
    }
    tacit_shm_reach_close(shm);
    for (unsigned i = 0; i < TACIT_SHM_LOGS; i++) {
        tacit_shm_view_unmap(&shm->logs[i].view);
        if (shm->logs[i].fd >= 0) {
            close(shm->logs[i].fd);
        }
    }
    for (unsigned i = 0; i < TACIT_SHM_OWN; i++) {
        tacit_shm_view_unmap(&shm->own[i]);
        if (shm->own_fds[i] >= 0) {
            close(shm->own_fds[i]);
        }
    }
    for (unsigned i = 0; i < TACIT_SHM_HANDSHAKES_MAX; i++) {
        tacit_secret_free(shm->handshake_pool[i]);
    }
    if (shm->command_event >= 0) {
        close(shm->command_event);
    }
    free(shm->waiter);
    free(shm->events);
    free(shm);
}

void tacit_shm_counters(const struct tacit_fabric *fabric, struct tacit_shm_counters *counters)
{
    const struct tacit_shm *shm = (const struct tacit_shm *)(const void *)fabric;
    *counters = (struct tacit_shm_counters){
        .accepted = atomic_load(&shm->accepted),
        .connected = atomic_load(&shm->connected),
        .refused = atomic_load(&shm->refused),
        .misbehaved = atomic_load(&shm->misbehaved),
        .expired = atomic_load(&shm->expired),
        .deaths = atomic_load(&shm->deaths),
    };
}

bool tacit_shm_peer_process(const struct tacit_fabric *fabric, tacit_node_t node, int32_t *pid,
                            uint32_t *uid)
{
    const struct tacit_shm *shm = (const struct tacit_shm *)(const void *)fabric;
    assert(node < TACIT_NODES_MAX);
    const struct tacit_shm_connection *connection = shm->links[node].connection;
    if (connection == NULL) {
        return false;
    }
    *pid = connection->pid;
    *uid = connection->uid;
    return true;
}
