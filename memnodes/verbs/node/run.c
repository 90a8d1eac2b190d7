// SPDX-License-Identifier: Apache-2.0
//
// Runs a memory node over RDMA from its start to its end. See tacit/verbs_memnode.h.
#include "tacit/verbs_memnode.h"

#include <signal.h>
#include <sys/resource.h>

#include "../../node/loop.h"
#include "../../node/node.h"

#define EVENTS 64u

static volatile sig_atomic_t stopping;
static struct tacit_fabric *serving; // of the handler: set before it is installed

static void stop(int signal_number)
{
    (void)signal_number;
    stopping = 1;
    tacit_verbs_wake(serving);
}

// Registers: nobody asks for anything; what comes and goes only has to be polled.
static void serve_registers(struct tacit_fabric *fabric)
{
    struct tacit_event events[EVENTS];
    while (!stopping) {
        fabric->ops->arm(fabric);
        if (fabric->ops->poll(fabric, events, EVENTS) == 0 && !stopping) {
            fabric->ops->sleep(fabric, UINT64_MAX);
        }
        fabric->ops->disarm(fabric);
    }
}

static bool is_sound(const struct tacit_verbs_memnode_config *config)
{
    const struct tacit_host_layout *layout = &config->fabric.layouts[TACIT_VERBS_MEMNODE];
    return config->fabric.kind == TACIT_VERBS_MEMNODE && config->replicas > 0 &&
           config->replicas <= TACIT_REPLICAS_MAX &&
           (layout->log_bytes > 0) != (layout->registers_bytes > 0) &&
           (layout->log_bytes == 0 ||
            (config->suspicion_ns != 0 && layout->page_bytes >= TACIT_PAGE_REGION_BYTES &&
             layout->control_bytes >= TACIT_CONTROL_REGION_BYTES &&
             layout->log_bytes >= TACIT_LOG_ENTRIES));
}

enum tacit_status tacit_verbs_memnode_run(const struct tacit_verbs_memnode_config *config,
                                          struct tacit_error *error)
{
    if (!is_sound(config)) {
        return tacit_error_set(
            error, TACIT_EINVAL, 0,
            "memory node: replicas, suspicion time or region sizes out of range; it keeps either "
            "logs or registers");
    }
    // Blocked in the provider's own threads, so that the handler runs on this one.
    sigset_t ends;
    sigset_t before;
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigaddset(&ends, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &ends, &before);
    // First, as the kernel lets nobody who has changed since use an open connection manager. What
    // root may do, and has to be done for connections that come later, is to lift the limit of
    // registered memory; for others the limit is what it is.
    const struct tacit_memnode_config user = {.user_uid = config->user_uid,
                                              .user_gid = config->user_gid};
    const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    (void)setrlimit(RLIMIT_MEMLOCK, &unlimited);
    enum tacit_status status = tacit_memnode_harden(error);
    if (status == TACIT_OK) {
        status = tacit_memnode_drop_user(&user, error);
    }
    if (status == TACIT_OK) {
        status = tacit_verbs_open(&config->fabric, &serving, error);
    }
    if (status != TACIT_OK) {
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        return status;
    }
    struct sigaction action = {.sa_handler = stop};
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (config->ready != NULL) {
        struct tacit_verbs_facts facts;
        tacit_verbs_facts(serving, &facts);
        config->ready(config->ready_context, &facts);
    }
    if (config->fabric.layouts[TACIT_VERBS_MEMNODE].log_bytes > 0) {
        tacit_memnode_loop(serving, config->replicas, config->suspicion_ns, &stopping);
    } else {
        serve_registers(serving);
    }
    (void)pthread_sigmask(SIG_BLOCK, &ends, NULL); // the handler needs the fabric
    tacit_verbs_close(serving);
    return status;
}
