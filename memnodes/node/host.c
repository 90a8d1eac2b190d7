// SPDX-License-Identifier: Apache-2.0
//
// The memory node's regions, and its start and end; see node.h.
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node.h"

void tacit_memnode_event(struct tacit_memnode *node, struct tacit_event event)
{
    assert(node->events_count < TACIT_MEMNODE_EVENTS);
    node->events[(node->events_first + node->events_count++) % TACIT_MEMNODE_EVENTS] = event;
}

// ---- regions ----

struct tacit_memnode_region *tacit_memnode_region_make(struct tacit_memnode *node,
                                                       tacit_node_t owner,
                                                       tacit_incarnation_t incarnation)
{
    for (unsigned i = 0; i < TACIT_SHM_LOGS; i++) {
        if (node->regions[i].serial == 0) {
            node->regions[i] = (struct tacit_memnode_region){
                .serial = ++node->serials, .fd = -1, .owner = owner, .incarnation = incarnation};
            return &node->regions[i];
        }
    }
    return NULL;
}

// What peers find who were not told of the region yet (TACIT_SHM_HOST_KEPT).
static void list(struct tacit_memnode *node, const struct tacit_memnode_region *region,
                 uint64_t word)
{
    uint64_t *kept = node->host + TACIT_SHM_HOST_KEPT / 8;
    __atomic_store_n(&kept[region - node->regions], word, __ATOMIC_RELEASE);
}

void tacit_memnode_region_free(struct tacit_memnode *node, struct tacit_memnode_region *region)
{
    tacit_shm_memory_unmap(region->words, node->kept_bytes);
    if (region->fd >= 0) {
        close(region->fd);
    }
    node->regions_changed = node->regions_changed || region->present;
    list(node, region, 0);
    memset(region, 0, sizeof *region);
}

void tacit_memnode_region_keep(struct tacit_memnode *node, struct tacit_memnode_region *region)
{
    region->present = true;
    node->regions_changed = true;
    if (node->layout->registers_bytes == 0) {
        return;
    }
    // Before READY goes to its owner, who may write from then on.
    list(node, region, tacit_owner_word(region->owner, region->incarnation));
    // Nobody needs more lives of one body, and a faulty one must not take the others' room.
    unsigned writer = tacit_memnode_writer(node, region->owner, region->incarnation);
    struct tacit_memnode_region *oldest = region;
    unsigned lives = 0;
    for (unsigned i = 0; i < TACIT_SHM_LOGS; i++) {
        struct tacit_memnode_region *other = &node->regions[i];
        if (other->present &&
            tacit_memnode_writer(node, other->owner, other->incarnation) == writer) {
            lives++;
            oldest = other->serial < oldest->serial ? other : oldest;
        }
    }
    if (lives > TACIT_MEMNODE_LIVES) {
        tacit_memnode_region_free(node, oldest);
    }
}

// ---- start and end ----

// A region that the node itself writes.
static enum tacit_status own_region(int *fd, uint64_t **words, size_t bytes,
                                    struct tacit_error *error)
{
    size_t file_bytes = tacit_shm_file_bytes(bytes);
    enum tacit_status status =
        bytes == 0 ? TACIT_OK : tacit_shm_memory_create(fd, file_bytes, error);
    if (status != TACIT_OK || bytes == 0) {
        return status;
    }
    *words = tacit_shm_memory_map(*fd, file_bytes, true);
    if (*words == NULL || !tacit_shm_memory_seal(*fd)) {
        return tacit_error_set(error, TACIT_EIO, errno, "cannot map and seal %zu bytes: %s",
                               file_bytes, strerror(errno));
    }
    return TACIT_OK;
}

static enum tacit_status prepare(struct tacit_memnode *node, struct tacit_error *error)
{
    enum tacit_status status = own_region(&node->host_fd, &node->host, TACIT_SHM_HOST_BYTES, error);
    if (status == TACIT_OK) {
        tacit_shm_store(&node->host[TACIT_SHM_HOST_HOLDER / 8], TACIT_SHM_NOBODY);
        status = own_region(&node->page_fd, &node->page, node->layout->page_bytes, error);
    }
    for (unsigned i = 0; i < TACIT_MEMNODE_CONNECTIONS && status == TACIT_OK; i++) {
        struct tacit_memnode_connection *connection = &node->connections[i];
        connection->fd = -1;
        connection->handshake_memory = tacit_secret_alloc(tacit_handshake_size(), error);
        status = connection->handshake_memory == NULL ? TACIT_ENOMEM : TACIT_OK;
    }
    return status;
}

static bool config_is_sound(const struct tacit_shm_config *config)
{
    const struct tacit_host_layout *layout = &config->layouts[TACIT_SHM_MEMNODE];
    const size_t sizes[] = {layout->page_bytes, layout->control_bytes, layout->log_bytes,
                            layout->registers_bytes};
    bool ok = config->kind == TACIT_SHM_MEMNODE && config->id < TACIT_MEMNODES_MAX &&
              config->incarnation > 0 && config->incarnation <= TACIT_INCARNATION_MAX &&
              config->keypair != NULL && config->key_of != NULL &&
              (layout->log_bytes > 0) != (layout->registers_bytes > 0);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ok = ok && sizes[i] % 8 == 0 && sizes[i] <= (size_t)1 << 40;
    }
    return ok;
}

enum tacit_status tacit_memnode_open(const struct tacit_shm_config *config, int listener,
                                     struct tacit_memnode **out, struct tacit_error *error)
{
    *out = NULL;
    if (!config_is_sound(config)) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "memory node: its number, incarnation, keys or region sizes are out "
                               "of range; it keeps either logs or registers");
    }
    enum tacit_status status = tacit_crypto_init(error);
    if (status != TACIT_OK) {
        return status;
    }
    struct tacit_memnode *node = calloc(1, sizeof *node);
    if (node == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, errno, "no memory for the memory node");
    }
    node->fabric = (struct tacit_fabric){.self = (tacit_node_t)(TACIT_NODE_MEMNODE + config->id),
                                         .incarnation = config->incarnation};
    node->config = *config;
    node->layout = &node->config.layouts[TACIT_SHM_MEMNODE];
    node->kept_bytes =
        tacit_shm_file_bytes(node->layout->log_bytes + node->layout->registers_bytes);
    if (node->layout->control_bytes > 0) {
        node->control_bytes = tacit_shm_bell_file_bytes(node->layout->control_bytes);
    }
    node->listener = listener;
    node->host_fd = -1;
    node->page_fd = -1;
    status = prepare(node, error);
    if (status != TACIT_OK) {
        tacit_memnode_close(node);
        return status;
    }
    *out = node;
    return TACIT_OK;
}

// The kernel takes back memory and descriptors of the regions when the process ends, which is next;
// here is what others have to see, and what must not stay in memory.
void tacit_memnode_close(struct tacit_memnode *node)
{
    for (unsigned i = 0; i < TACIT_MEMNODE_CONNECTIONS; i++) {
        if (node->connections[i].stage != TACIT_MEMNODE_FREE) {
            tacit_memnode_connection_end(node, &node->connections[i]);
        }
        tacit_secret_free(node->connections[i].handshake_memory);
    }
    free(node);
}
