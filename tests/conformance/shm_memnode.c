// SPDX-License-Identifier: Apache-2.0
//
// A memory node as a node of the conformance suite and the stress tests: its fabric lacks what it
// never does, so that is filled in here with what a host that reaches nobody has to answer.
#include "shm_node.h"

#include <stdlib.h>

#include "memnodes/node/node.h"

static struct tacit_memnode *node;
static struct tacit_shm_listener listener;
static struct tacit_fabric_ops ops;

static bool post_refused(struct tacit_fabric *fabric, const struct tacit_op *op)
{
    (void)fabric;
    (void)op;
    return false;
}

static int32_t region_unknown(struct tacit_fabric *fabric, tacit_node_t host,
                              struct tacit_region_key key)
{
    (void)fabric;
    (void)host;
    (void)key;
    return -1;
}

static void ring_nobody(struct tacit_fabric *fabric, tacit_node_t host)
{
    (void)host;
    fabric->counters.rings_suppressed++;
}

static void reset_nothing(struct tacit_fabric *fabric, tacit_node_t host)
{
    (void)fabric;
    (void)host;
}

static void attach_nothing(struct tacit_fabric *fabric, void *base, size_t bytes)
{
    (void)fabric;
    (void)base;
    (void)bytes;
}

enum tacit_status shm_memnode_open(const struct tacit_shm_config *config,
                                   struct tacit_fabric **fabric, struct tacit_error *error)
{
    enum tacit_status status = tacit_shm_listen(&listener, config->path, config->socket_gid, error);
    if (status == TACIT_OK) {
        status = tacit_memnode_open(config, listener.fd, &node, error);
    }
    if (status != TACIT_OK) {
        return status;
    }
    *fabric = tacit_memnode_fabric(node, error);
    if (*fabric == NULL) {
        return error->status;
    }
    ops = *(*fabric)->ops;
    if (ops.post != NULL || ops.region != NULL || ops.ring != NULL || ops.reset != NULL ||
        ops.attach != NULL) {
        abort(); // it learned something: let it be tested as it is
    }
    ops.post = post_refused;
    ops.region = region_unknown;
    ops.ring = ring_nobody;
    ops.reset = reset_nothing;
    ops.attach = attach_nothing;
    (*fabric)->ops = &ops;
    return TACIT_OK;
}

void shm_memnode_close(void)
{
    tacit_memnode_close(node);
    tacit_shm_listener_close(&listener);
}
