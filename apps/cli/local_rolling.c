// SPDX-License-Identifier: Apache-2.0
//
// tacit local rolling-restart: every replica and memory node is ended and started again, one after
// the other, each only when the group is whole again, while a client of this command asks all the
// time: it tells how long it had to wait at most, and whether a request failed.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "kv/kv_wire.h"
#include "local.h"
#include "tacit/client.h"

#define CALL_NS UINT64_C(30000000000)
#define LOOK_NS 2000000u
#define PAUSE_NS 200000u // of the client between two requests
#define BYTES 8192u
#define MORE 20u // answers before the next one is ended: what its end did is seen then

struct probe {
    const struct local *local;
    pthread_t thread;
    atomic_bool stop;
    _Atomic uint64_t answered, failed;
    _Atomic uint64_t longest_ns;
    struct tacit_error error; // of who could not begin; after its end
};

// ---- the client --------------------------------------------------------------------------------

// Ordered like any write, and changes nothing: nobody has such a key.
static size_t encode(uint8_t request[BYTES])
{
    static const char key[] = "tacit:rolling-restart";
    struct tacit_kv_span span = {.bytes = (const uint8_t *)key, .size = sizeof key - 1};
    return tacit_kv_request_encode(request, BYTES, TACIT_KV_DEL, &span, 1);
}

static void *ask(void *context)
{
    struct probe *probe = context;
    char path[TACIT_CONFIG_PATH_BYTES];
    uint8_t request[BYTES];
    uint8_t answer[BYTES];
    uint32_t session = 0;
    size_t size = encode(request);
    struct tacit_channel *channel = NULL;
    local_path(probe->local, path, "client-%u.yaml", LOCAL_PROBE_CLIENT);
    struct tacit_channel_options options = {.node_path = path};
    enum tacit_status status = tacit_channel_open(&options, &channel, &probe->error);
    if (status == TACIT_OK) {
        status = tacit_channel_connect(channel, CALL_NS, &session, &probe->error);
    }
    if (status != TACIT_OK) {
        (void)atomic_fetch_add(&probe->failed, 1);
    }
    while (status == TACIT_OK && !atomic_load(&probe->stop)) {
        struct tacit_channel_reply reply = {.bytes = answer, .max = sizeof answer};
        uint64_t start_ns = cli_now_ns();
        status = tacit_channel_call(channel, session, request, size, CALL_NS, &reply);
        uint64_t took_ns = cli_now_ns() - start_ns;
        if (took_ns > atomic_load(&probe->longest_ns)) {
            atomic_store(&probe->longest_ns, took_ns);
        }
        if (status != TACIT_OK) {
            (void)tacit_error_set(&probe->error, status, 0, "a request was not answered: %s",
                                  tacit_status_name(status));
            (void)atomic_fetch_add(&probe->failed, 1);
        } else {
            (void)atomic_fetch_add(&probe->answered, 1);
        }
        cli_sleep_ns(PAUSE_NS);
    }
    tacit_channel_close(channel);
    return NULL;
}

// ---- one node ----------------------------------------------------------------------------------

static bool is_whole(const struct local *local)
{
    const struct tacit_config *config = &local->config;
    uint32_t replicas = (1u << config->replica_count) - 1;
    uint32_t memnodes = (1u << config->memnode_count) - 1;
    if (local_members(local) != replicas) {
        return false;
    }
    if (local_is_byzantine(local)) {
        return local_counted_memnodes(local) == memnodes;
    }
    return local_counted_hosts(local) ==
           (config->log_on == TACIT_CONFIG_LOG_ON_MEMNODES ? memnodes : replicas);
}

static enum tacit_status wait_whole(const struct local *local, const char *name,
                                    struct tacit_error *error)
{
    uint64_t end_ns = cli_now_ns() + local_patience_ns(local);
    while (!is_whole(local)) {
        if (cli_now_ns() > end_ns) {
            return tacit_error_set(error, TACIT_ETIMEDOUT, 0,
                                   "%s: not all replicas and memory nodes count; the rest was not "
                                   "touched. See %s/log and `tacit status`",
                                   name, local->directory);
        }
        cli_sleep_ns(LOOK_NS);
    }
    return TACIT_OK;
}

// Until the client had more answers, so that the wait that is under way is counted, too; and in
// Byzantine mode until these need no signature.
static enum tacit_status wait_served(const struct local *local, struct probe *probe,
                                     const char *name, struct tacit_error *error)
{
    uint64_t end_ns = cli_now_ns() + local_patience_ns(local);
    uint64_t wanted = atomic_load(&probe->answered) + MORE;
    if (local_is_byzantine(local) && local_wait_fast(local, local_patience_ns(local)) == 0) {
        return tacit_error_set(error, TACIT_ETIMEDOUT, 0,
                               "%s is back, but the fast path is not; the rest was not touched",
                               name);
    }
    while (atomic_load(&probe->answered) < wanted && atomic_load(&probe->failed) == 0) {
        if (cli_now_ns() > end_ns) {
            return tacit_error_set(error, TACIT_ETIMEDOUT, 0,
                                   "%s is back, but requests are not answered", name);
        }
        cli_sleep_ns(LOOK_NS);
    }
    return TACIT_OK;
}

static enum tacit_status restart_one(struct local *local, struct local_node node,
                                     struct probe *probe, struct local_rolling *result,
                                     struct tacit_error *error)
{
    char name[TACIT_CONFIG_NAME_BYTES];
    local_name(node, name);
    enum tacit_status status = wait_whole(local, name, error);
    if (status == TACIT_OK) {
        status = local_may_lose(local, node, error);
    }
    if (status != TACIT_OK) {
        return status;
    }
    (void)atomic_exchange(&probe->longest_ns, 0);
    uint64_t start_ns = cli_now_ns();
    local_end(local, node);
    status = local_start(local, node, error);
    if (status == TACIT_OK) {
        status = wait_whole(local, name, error);
    }
    uint64_t whole_ns = cli_now_ns() - start_ns;
    if (status == TACIT_OK && result->probed) {
        status = wait_served(local, probe, name, error);
    }
    if (status != TACIT_OK) {
        return status;
    }
    uint64_t stall_ns = atomic_load(&probe->longest_ns);
    result->stall_ns = stall_ns > result->stall_ns ? stall_ns : result->stall_ns;
    (void)printf("%-11s ended, started, counted again after %.0f ms", name, (double)whole_ns / 1e6);
    if (result->probed) {
        (void)printf("; longest wait for an answer %.1f ms", (double)stall_ns / 1e6);
    }
    (void)printf("\n");
    (void)fflush(stdout);
    return TACIT_OK;
}

// Who of those that are left is next: the leader last, so that it is changed once.
static uint16_t next_replica(const struct local *local, uint32_t left)
{
    int leader = local_leader(local);
    for (uint16_t r = 0; r < local->config.replica_count; r++) {
        if ((left >> r & 1u) != 0 && (r != leader || left == 1u << r)) {
            return r;
        }
    }
    return (uint16_t)__builtin_ctz(left);
}

static enum tacit_status restart_all(struct local *local, struct probe *probe,
                                     struct local_rolling *result, struct tacit_error *error)
{
    enum tacit_status status = TACIT_OK;
    uint32_t left = (1u << local->config.replica_count) - 1;
    while (left != 0 && status == TACIT_OK) {
        struct local_node node = {LOCAL_REPLICA, next_replica(local, left)};
        left &= ~(1u << node.id);
        status = restart_one(local, node, probe, result, error);
    }
    for (uint16_t m = 0; m < local->config.memnode_count && status == TACIT_OK; m++) {
        status = restart_one(local, (struct local_node){LOCAL_MEMNODE, m}, probe, result, error);
    }
    return status;
}

enum tacit_status local_rolling_restart(struct local *local, bool probes,
                                        struct local_rolling *result, struct tacit_error *error)
{
    struct probe *probe = calloc(1, sizeof *probe);
    *result = (struct local_rolling){.probed = probes};
    if (probe == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, 0, "no memory");
    }
    probe->local = local;
    if (probes && pthread_create(&probe->thread, NULL, ask, probe) != 0) {
        free(probe);
        return tacit_error_set(error, TACIT_ENOMEM, 0, "no thread for the client");
    }
    enum tacit_status status = restart_all(local, probe, result, error);
    atomic_store(&probe->stop, true);
    if (probes) {
        (void)pthread_join(probe->thread, NULL);
    }
    result->answered = atomic_load(&probe->answered);
    result->failed = atomic_load(&probe->failed);
    if (result->failed > 0) {
        *error = probe->error;
        status = error->status;
    }
    free(probe);
    return status;
}
