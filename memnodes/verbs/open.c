// SPDX-License-Identifier: Apache-2.0
//
// Opening and closing the RDMA provider. What is opened is closed in the reverse order by one
// function, which also serves a failed open.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "internal.h"

static void grant(struct tacit_fabric *fabric, tacit_node_t holder, tacit_incarnation_t incarnation,
                  uint64_t generation)
{
    tacit_verbs_command(tacit_verbs_of(fabric), &(struct verbs_command){
                                                    .kind = TACIT_VERBS_COMMAND_GRANT,
                                                    .node = holder,
                                                    .incarnation = incarnation,
                                                    .generation = generation,
                                                });
}

static void take_back(struct tacit_fabric *fabric, uint64_t generation)
{
    tacit_verbs_command(
        tacit_verbs_of(fabric),
        &(struct verbs_command){.kind = TACIT_VERBS_COMMAND_REVOKE, .generation = generation});
}

static void reset(struct tacit_fabric *fabric, tacit_node_t host)
{
    tacit_verbs_command(tacit_verbs_of(fabric),
                        &(struct verbs_command){.kind = TACIT_VERBS_COMMAND_RESET, .node = host});
}

static const struct tacit_fabric_ops operations = {
    .post = tacit_verbs_post,
    .poll = tacit_verbs_poll,
    .ring = tacit_verbs_ring,
    .region = tacit_verbs_region,
    .local = tacit_verbs_local,
    .log_regions = tacit_verbs_log_regions,
    .grant = grant,
    .revoke = take_back,
    .retire = tacit_verbs_retire,
    .reset = reset,
    .attach = tacit_verbs_attach,
    .arm = tacit_verbs_arm,
    .sleep = tacit_verbs_sleep,
    .disarm = tacit_verbs_disarm,
};

static void set_default(tacit_time_ns_t *value, tacit_time_ns_t otherwise)
{
    if (*value == 0) {
        *value = otherwise;
    }
}

// Of the tries that a queue pair makes each lasts 4.096 us times two to the power of this.
static uint8_t exponent_of(tacit_time_ns_t silence_ns)
{
    uint8_t exponent = 1;
    while (exponent < 31 &&
           (TACIT_VERBS_RETRIES + 1) * (UINT64_C(4096) << (exponent + 1)) <= silence_ns) {
        exponent++;
    }
    return exponent;
}

static enum tacit_status check_config(struct tacit_verbs_config *config, struct tacit_error *error)
{
    if (config->handshakes == 0) {
        config->handshakes = 8;
    }
    set_default(&config->silence_ns, 500000000u);
    set_default(&config->handshake_timeout_ns, 2000000000u);
    set_default(&config->reconnect_min_ns, 2000000u);
    set_default(&config->reconnect_max_ns, 500000000u);
    set_default(&config->sleep_slice_ns, 200000u);
    unsigned ids = config->kind == TACIT_VERBS_REPLICA   ? TACIT_REPLICAS_MAX
                   : config->kind == TACIT_VERBS_MEMNODE ? TACIT_MEMNODES_MAX
                                                         : UINT16_MAX + 1u;
    if ((unsigned)config->kind >= TACIT_VERBS_KINDS || config->id >= ids) {
        return tacit_error_set(error, TACIT_EINVAL, 0, "The id is %u; it has to be below %u.",
                               config->id, ids);
    }
    if (config->incarnation == 0 || config->incarnation > TACIT_INCARNATION_MAX) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "The incarnation is %u; it has to be from 1 to %u.",
                               config->incarnation, TACIT_INCARNATION_MAX);
    }
    if (config->keypair == NULL || config->key_of == NULL ||
        (config->peers == NULL && config->peers_count != 0)) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "A key pair and the peers' keys are needed.");
    }
    if (config->handshakes > TACIT_VERBS_EMBRYOS || config->silence_ns < 64000u ||
        config->reconnect_min_ns > config->reconnect_max_ns) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "At most %u unfinished connections, a silence of at least 64 us, "
                               "and a first pause not above the last one are accepted.",
                               TACIT_VERBS_EMBRYOS);
    }
    const uint32_t mtu_bytes = config->wishes.mtu_bytes;
    if (mtu_bytes != 0 &&
        (mtu_bytes < 256 || mtu_bytes > 4096 || (mtu_bytes & (mtu_bytes - 1)) != 0)) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "Packets of %u bytes: accepted are 256, 512, 1024, 2048 and 4096.",
                               mtu_bytes);
    }
    for (unsigned kind = 0; kind < TACIT_VERBS_KINDS; kind++) {
        const struct tacit_host_layout *layout = &config->layouts[kind];
        if ((layout->page_bytes | layout->control_bytes | layout->log_bytes |
             layout->requests_bytes | layout->replies_bytes | layout->state_bytes |
             layout->registers_bytes) %
                8 !=
            0) {
            return tacit_error_set(error, TACIT_EINVAL, 0, "Sizes of regions are multiples of 8.");
        }
    }
    return TACIT_OK;
}

static tacit_node_t own_node(const struct tacit_verbs_config *config)
{
    switch (config->kind) {
    case TACIT_VERBS_REPLICA:
        return config->id;
    case TACIT_VERBS_MEMNODE:
        return (tacit_node_t)(TACIT_NODE_MEMNODE + config->id);
    case TACIT_VERBS_CLIENT:
    case TACIT_VERBS_KINDS:
    default:
        return TACIT_NODE_CLIENT;
    }
}

static void set_nonblocking(int fd)
{
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static enum tacit_status start(struct tacit_verbs *v, struct tacit_error *error)
{
    if (v->config.port != 0 && rdma_listen(v->listener, (int)TACIT_VERBS_EMBRYOS) != 0) {
        return tacit_error_set(error, errno == EADDRINUSE ? TACIT_EBUSY : TACIT_EIO, errno,
                               "Cannot listen on port %u of %s: %s.", v->config.port,
                               v->config.address, strerror(errno));
    }
    v->wake_control = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    v->wake_sleeper = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (v->wake_control < 0 || v->wake_sleeper < 0) {
        return tacit_error_set(error, TACIT_EIO, errno, "No file descriptor left: %s.",
                               strerror(errno));
    }
    set_nonblocking(v->events->fd);
    set_nonblocking(v->completions->fd);
    set_nonblocking(v->device->async_fd);
    int failed = pthread_create(&v->control, NULL, tacit_verbs_control_main, v);
    if (failed != 0) {
        return tacit_error_set(error, TACIT_EIO, failed, "Cannot start a thread: %s.",
                               strerror(failed));
    }
    v->control_runs = true;
    return TACIT_OK;
}

enum tacit_status tacit_verbs_open(const struct tacit_verbs_config *config,
                                   struct tacit_fabric **fabric, struct tacit_error *error)
{
    *fabric = NULL;
    struct tacit_verbs *v = calloc(1, sizeof(*v));
    if (v == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, ENOMEM, "No memory for the RDMA provider.");
    }
    v->config = *config;
    v->wake_control = -1;
    v->wake_sleeper = -1;
    v->holder = TACIT_NODE_NONE;
    (void)pthread_mutex_init(&v->regions_lock, NULL);
    (void)pthread_mutex_init(&v->queue_lock, NULL);
    enum tacit_status status = check_config(&v->config, error);
    if (status == TACIT_OK) {
        v->base.ops = &operations;
        v->base.self = own_node(&v->config);
        v->base.incarnation = v->config.incarnation;
        v->layout = v->config.layouts[v->config.kind];
        v->timeout_exponent = exponent_of(v->config.silence_ns);
        status = tacit_crypto_init(error);
    }
    if (status == TACIT_OK) {
        tacit_random_bytes(&v->life, sizeof(v->life));
        v->life |= 1;
        status = tacit_verbs_regions_open(v, error);
    }
    if (status == TACIT_OK) {
        status = tacit_verbs_device_open(v, error);
    }
    if (status == TACIT_OK) {
        status = start(v, error);
    }
    if (status != TACIT_OK) {
        tacit_verbs_close(&v->base);
        return status;
    }
    v->config.address = NULL; // the caller's
    v->config.wishes.device = NULL;
    v->config.peers = NULL;
    *fabric = &v->base;
    return TACIT_OK;
}

static void close_device(struct tacit_verbs *v)
{
    for (unsigned i = 0; i < v->attached_count; i++) {
        (void)ibv_dereg_mr(v->attached[i]);
    }
    if (v->completions != NULL) {
        (void)ibv_destroy_comp_channel(v->completions);
    }
    if (v->pd != NULL) {
        (void)ibv_dealloc_pd(v->pd);
    }
    if (v->listener != NULL) {
        (void)rdma_destroy_id(v->listener);
    }
    if (v->events != NULL) {
        rdma_destroy_event_channel(v->events);
    }
}

void tacit_verbs_close(struct tacit_fabric *fabric)
{
    struct tacit_verbs *v = tacit_verbs_of(fabric);
    if (v->control_runs) {
        atomic_store(&v->stop, true);
        tacit_verbs_wake_control(v);
        (void)pthread_join(v->control, NULL);
    }
    for (unsigned i = 0; i < TACIT_VERBS_CONNECTIONS; i++) {
        if (v->connections[i].state != TACIT_VERBS_CONNECTION_FREE) {
            tacit_verbs_connection_end(v, &v->connections[i]);
        }
        tacit_verbs_connection_forget(&v->connections[i]);
    }
    for (tacit_node_t node = 0; node < TACIT_NODES_MAX; node++) {
        struct verbs_link *link = tacit_verbs_link(v, node);
        if (link != NULL) {
            tacit_verbs_link_release(link);
            tacit_verbs_link_forget(link);
            (void)pthread_mutex_destroy(&link->lock);
            (void)pthread_mutex_destroy(&link->directory_lock);
            free(link);
        }
    }
    close_device(v);
    tacit_verbs_regions_close(v);
    if (v->wake_control >= 0) {
        (void)close(v->wake_control);
    }
    if (v->wake_sleeper >= 0) {
        (void)close(v->wake_sleeper);
    }
    (void)pthread_mutex_destroy(&v->regions_lock);
    (void)pthread_mutex_destroy(&v->queue_lock);
    free(v);
}

void tacit_verbs_counters(const struct tacit_fabric *fabric, struct tacit_verbs_counters *counters)
{
    const struct tacit_verbs *v = (const struct tacit_verbs *)fabric;
    *counters = (struct tacit_verbs_counters){
        .accepted = atomic_load(&v->count.accepted),
        .connected = atomic_load(&v->count.connected),
        .refused = atomic_load(&v->count.refused),
        .misbehaved = atomic_load(&v->count.misbehaved),
        .expired = atomic_load(&v->count.expired),
        .broken = atomic_load(&v->count.broken),
        .planes_cycled = atomic_load(&v->count.planes_cycled),
        .planes_renewed = atomic_load(&v->count.planes_renewed),
    };
    for (tacit_node_t node = 0; node < TACIT_NODES_MAX; node++) {
        const struct verbs_link *link = atomic_load(&v->links[node]);
        for (unsigned p = 0; p < TACIT_PLANES && link != NULL; p++) {
            const struct verbs_tally *tally = &link->plane[p].tally;
            struct tacit_verbs_costs *costs = &counters->costs[p];
            costs->posts += atomic_load(&tally->posts);
            costs->inlined += atomic_load(&tally->inlined);
            costs->doorbells += atomic_load(&tally->doorbells);
            costs->completions += atomic_load(&tally->completions);
            costs->polls += atomic_load(&tally->polls);
        }
    }
}

void tacit_verbs_facts(const struct tacit_fabric *fabric, struct tacit_verbs_facts *facts)
{
    *facts = ((const struct tacit_verbs *)fabric)->facts;
}
