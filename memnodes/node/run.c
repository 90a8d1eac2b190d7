// SPDX-License-Identifier: Apache-2.0
//
// Runs a memory node from its start to its end. See tacit/memnode.h.
#include <signal.h>
#include <unistd.h>

#include "node.h"

static volatile sig_atomic_t stopping;

static void stop(int signal)
{
    (void)signal;
    stopping = 1;
}

static enum tacit_status serve(const struct tacit_memnode_config *config,
                               struct tacit_memnode *node, struct tacit_error *error)
{
    enum tacit_status status = TACIT_OK;
    if (node->layout->log_bytes > 0) {
        status = config->permissions->open(node, error);
    }
    if (status == TACIT_OK) {
        status = tacit_memnode_drop_user(config, error);
    }
    if (status == TACIT_OK && config->confine) {
        status = tacit_memnode_confine(error);
    }
    if (status != TACIT_OK) {
        return status;
    }
    if (config->ready != NULL) {
        config->ready(config->ready_context);
    }
    if (node->layout->log_bytes > 0) {
        config->permissions->loop(config, node, &stopping);
        return TACIT_OK;
    }
    // Registers: nobody asks for anything, replicas only come and go.
    while (!stopping) {
        node->events_count = 0;
        tacit_memnode_serve(node, UINT64_MAX);
    }
    return TACIT_OK;
}

enum tacit_status tacit_memnode_run(const struct tacit_memnode_config *config,
                                    struct tacit_error *error)
{
    const struct tacit_host_layout *layout = &config->fabric.layouts[TACIT_SHM_MEMNODE];
    if (config->replicas == 0 || config->replicas > TACIT_REPLICAS_MAX ||
        (layout->log_bytes > 0 && (config->permissions == NULL || config->suspicion_ns == 0 ||
                                   layout->page_bytes < TACIT_PAGE_REGION_BYTES ||
                                   layout->control_bytes < TACIT_CONTROL_REGION_BYTES ||
                                   layout->log_bytes < TACIT_LOG_ENTRIES))) {
        return tacit_error_set(
            error, TACIT_EINVAL, 0,
            "memory node: replicas, suspicion time or region sizes out of range");
    }
    // The signals that end it come through only while it waits, so none is missed.
    sigset_t ends;
    sigset_t before;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &ends, &before);
    struct sigaction action = {.sa_handler = stop};
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    struct tacit_memnode *node = NULL;
    enum tacit_status status = tacit_memnode_harden(error);
    if (status == TACIT_OK) {
        status = tacit_memnode_open(&config->fabric, config->listener, &node, error);
    }
    if (status == TACIT_OK) {
        node->sleep_mask = &before;
        status = serve(config, node, error);
        tacit_memnode_close(node);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return status;
}
