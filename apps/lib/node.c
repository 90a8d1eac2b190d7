// SPDX-License-Identifier: Apache-2.0
//
// See node.h.
#include "node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../client/cluster.h"
#include "drift.h"
#include "log.h"
#include "tacit/keyfile.h"

#define SOCKET_TRIES 200u
#define SOCKET_PAUSE_NS 1000000
#define SPIN_BEAT_NS 10000u // with a core of one's own

// ---- callbacks of the provider (its control thread) --------------------------------------------

static void report(void *context, enum tacit_shm_report_kind kind, const char *text)
{
    struct tacit_node *node = context;
    static const char *const events[TACIT_SHM_REPORTS] = {
        [TACIT_SHM_REPORT_STALE] = "stale",
        [TACIT_SHM_REPORT_REFUSED] = "refused",
        [TACIT_SHM_REPORT_MISBEHAVED] = "misbehaved",
        [TACIT_SHM_REPORT_RESOURCE] = "resource",
    };
    if (kind == TACIT_SHM_REPORT_STALE) {
        __atomic_store_n(&node->is_replaced, true, __ATOMIC_RELEASE);
        tacit_log(TACIT_LOG_WARN, events[kind],
                  "text=\"a peer knows a later life in this node's place: if it was replaced or "
                  "removed, `tacit member add %s` lets it come back as a spare (%s)\"",
                  node->name, text);
        return;
    }
    tacit_log(TACIT_LOG_WARN, events[kind], "text=\"%s\"", text);
}

// ---- load --------------------------------------------------------------------------------------

static const char *role_name(enum tacit_config_role role)
{
    static const char *const names[] = {
        [TACIT_CONFIG_REPLICA] = "replica",
        [TACIT_CONFIG_MEMNODE] = "memnode",
        [TACIT_CONFIG_CLIENT] = "client",
        [TACIT_CONFIG_OPERATOR] = "operator",
        [TACIT_CONFIG_SPARE_REPLICA] = "spare replica",
        [TACIT_CONFIG_SPARE_MEMNODE] = "spare memory node",
    };
    return names[role];
}

static enum tacit_config_role spare_of(enum tacit_config_role role)
{
    return role == TACIT_CONFIG_REPLICA ? TACIT_CONFIG_SPARE_REPLICA : TACIT_CONFIG_SPARE_MEMNODE;
}

static void folder_of(const char *path, char out[TACIT_CONFIG_PATH_BYTES])
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(out, TACIT_CONFIG_PATH_BYTES, "%.*s", slash == NULL ? 0 : (int)(slash - path),
                   path);
}

enum tacit_status tacit_node_status_path(const struct tacit_config *config,
                                         enum tacit_config_role role, uint16_t id,
                                         char out[TACIT_CONFIG_PATH_BYTES],
                                         struct tacit_error *error)
{
    const struct tacit_config_member *member = tacit_config_member(config, role, id);
    char directory[TACIT_CONFIG_PATH_BYTES];
    char name[TACIT_CONFIG_NAME_BYTES];
    enum tacit_status status = tacit_config_runtime_dir(config, directory, error);
    if (status != TACIT_OK) {
        return status;
    }
    if (member != NULL && member->socket_path[0] != '\0') { // beside the replica's own socket
        folder_of(member->socket_path, directory);
    }
    tacit_config_node_name(role, id, name);
    int length = snprintf(out, TACIT_CONFIG_PATH_BYTES, "%s/%s.status", directory, name);
    if (length < 0 || (size_t)length >= TACIT_CONFIG_SOCKET_BYTES) {
        return tacit_error_set(error, TACIT_ETOOBIG, 0,
                               "the path of the status socket, %.200s, is longer than %u bytes: "
                               "choose a shorter paths.runtime_dir",
                               out, TACIT_CONFIG_SOCKET_BYTES - 1);
    }
    return TACIT_OK;
}

static enum tacit_status load_files(struct tacit_node *node, const char *node_path,
                                    const char *cluster_path, enum tacit_config_role role,
                                    struct tacit_error *error)
{
    enum tacit_status status = tacit_node_file_load(node_path, &node->file, &node->problems);
    if (status != TACIT_OK) {
        return tacit_config_problems_to_error(&node->problems, status, error);
    }
    if (node->file.role != role && node->file.role != spare_of(role)) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "%s is the node file of a %s; this program runs a %s", node_path,
                               role_name(node->file.role), role_name(role));
    }
    const char *path = cluster_path != NULL ? cluster_path : node->file.cluster_path;
    (void)snprintf(node->cluster_path, sizeof node->cluster_path, "%s", path);
    status = tacit_config_load(path, &node->config, &node->problems);
    if (status != TACIT_OK) {
        return tacit_config_problems_to_error(&node->problems, status, error);
    }
    status = tacit_provider_check(&node->config, path, error);
    if (status != TACIT_OK) {
        return status;
    }
    node->keypair = tacit_secret_alloc(sizeof *node->keypair, error);
    if (node->keypair == NULL) {
        return TACIT_ENOMEM;
    }
    status = tacit_keyfile_load(node->keypair, node->file.key_path, error);
    if (status != TACIT_OK) {
        return status;
    }
    return tacit_node_file_match(&node->file, &node->config, &node->keypair->public_key, error);
}

static enum tacit_status prepare(struct tacit_node *node, enum tacit_config_role role,
                                 struct tacit_error *error)
{
    const struct tacit_config *config = &node->config;
    bool is_replica = role == TACIT_CONFIG_REPLICA;
    tacit_config_node_name(node->file.role, node->file.id, node->name);
    enum tacit_status status = tacit_config_runtime_dir(config, node->runtime_dir, error);
    if (status == TACIT_OK && config->mode == TACIT_CONFIG_CRASH && config->timing.lease_ns != 0) {
        status = tacit_drift_check((uint32_t)config->timing.drift_ppm, error);
    }
    if (status == TACIT_OK && is_replica) {
        status = tacit_node_status_path(config, node->file.role, node->file.id, node->status_path,
                                        error);
    }
    if (status != TACIT_OK) {
        return status;
    }
    tacit_cluster_smr_config(&node->smr, config);
    node->provider = (struct tacit_provider_config){
        .cluster = config,
        .kind = is_replica ? TACIT_SHM_REPLICA : TACIT_SHM_MEMNODE,
        .layouts = {[TACIT_SHM_REPLICA] = tacit_smr_replica_layout(&node->smr),
                    [TACIT_SHM_MEMNODE] = tacit_smr_memnode_layout(&node->smr),
                    [TACIT_SHM_CLIENT] = tacit_smr_client_layout(&node->smr)},
        .keypair = node->keypair,
        .rdma = node->file.rdma,
        .report = report,
        .context = node,
    };
    if (!tacit_node_is_spare(node)) {
        node->seat.id = node->file.id;
    }
    return TACIT_OK;
}

enum tacit_status tacit_node_load(struct tacit_node **out, const char *node_path,
                                  const char *cluster_path, enum tacit_config_role role,
                                  struct tacit_error *error)
{
    enum tacit_status status = tacit_crypto_init(error);
    if (status != TACIT_OK) {
        return status;
    }
    struct tacit_node *node = calloc(1, sizeof *node);
    if (node == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, 0, "no memory for the configuration");
    }
    node->state.lock = -1;
    status = load_files(node, node_path, cluster_path, role, error);
    if (status == TACIT_OK) {
        status = prepare(node, role, error);
    }
    if (status != TACIT_OK) {
        tacit_node_free(node);
        return status;
    }
    *out = node;
    return TACIT_OK;
}

// Empty with another fabric than shared memory.
static const char *socket_of(const struct tacit_node *node)
{
    return tacit_config_member(&node->config, node->file.role, node->file.id)->socket_path;
}

static bool listens(const struct sockaddr_un *address)
{
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    // EAGAIN: its queue of connections is full.
    bool connected =
        probe >= 0 &&
        (connect(probe, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN);
    if (probe >= 0) {
        (void)close(probe);
    }
    return connected;
}

// Somebody listens on our socket: found out before this start is counted. (The provider looks
// again.) Not at once: our predecessor, who was killed, may have given up its lock but not all of
// its sockets yet.
static enum tacit_status check_socket(const struct tacit_node *node, struct tacit_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = socket_of(node);
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path) {
        return TACIT_OK; // none, or the provider says what is wrong
    }
    memcpy(address.sun_path, path, length + 1);
    for (unsigned i = 0; i < SOCKET_TRIES; i++) {
        struct timespec pause = {.tv_nsec = SOCKET_PAUSE_NS};
        if (!listens(&address)) {
            return TACIT_OK;
        }
        (void)nanosleep(&pause, NULL);
    }
    return tacit_error_set(
        error, TACIT_EBUSY, 0,
        "another process listens on %s, the socket of %s: is the node running already, "
        "or do two clusters share a runtime_dir?",
        path, node->name);
}

enum tacit_status tacit_node_enter(struct tacit_node *node, struct tacit_error *error)
{
    enum tacit_status status = tacit_directory_make(node->runtime_dir, error);
    if (status == TACIT_OK) {
        status = tacit_statedir_lock(&node->state, node->file.state_dir, error);
    }
    if (status == TACIT_OK) {
        status = check_socket(node, error);
    }
    if (status == TACIT_OK) {
        status = tacit_statedir_enter(&node->state, node->file.state_dir, error);
    }
    if (status != TACIT_OK) {
        return status;
    }
    char folder[TACIT_CONFIG_PATH_BYTES];
    struct stat facts;
    folder_of(socket_of(node), folder);
    if (stat(folder, &facts) == 0 && (facts.st_mode & S_ISGID) != 0) {
        node->provider.socket_gid = facts.st_gid;
    }
    bool is_founder = node->seat.generation == 0;
    node->state.first_member = node->state.first_member && is_founder;
    node->provider.id = node->seat.id;
    node->provider.incarnation =
        tacit_incarnation_make(node->seat.generation, node->seat.body, node->state.incarnation);
    node->provider.group = node->state.group;
    node->smr.self = node->seat.id;
    node->smr.incarnation = node->provider.incarnation;
    node->smr.first_member = node->state.first_member;
    if (node->config.waiting == TACIT_CONFIG_SPIN && node->smr.beat_period_ns > SPIN_BEAT_NS) {
        node->smr.beat_period_ns = SPIN_BEAT_NS;
    }
    return TACIT_OK;
}

void tacit_node_free(struct tacit_node *node)
{
    if (node != NULL) {
        tacit_statedir_leave(&node->state);
        tacit_provider_unprepare(&node->provider);
        tacit_secret_free(node->keypair);
        free(node);
    }
}
