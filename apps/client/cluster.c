// SPDX-License-Identifier: Apache-2.0
//
// See cluster.h.
#include "cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/signer.h"
#include "tacit/layout.h"

enum { TACIT_GROUP_TEXT = 64, TACIT_NUMBER_TEXT = 16 };

// Where the machine is slow: leases that end between two renewals are of no use.
static uint64_t longest_lease_ns(uint64_t lease_ns)
{
    uint64_t longest = 8 * lease_ns;
    return longest < TACIT_LEASE_MAX_NS / 2 ? longest : TACIT_LEASE_MAX_NS / 2;
}

static tacit_time_ns_t no_clock(void *context)
{
    (void)context;
    return 0;
}

void tacit_cluster_smr_config(struct tacit_smr_config *smr, const struct tacit_config *config)
{
    const struct tacit_config_timing *timing = &config->timing;
    *smr = (struct tacit_smr_config){
        .engine =
            config->mode == TACIT_CONFIG_BYZANTINE ? TACIT_ENGINE_BYZANTINE : TACIT_ENGINE_CRASH,
        .log_on = config->log_on == TACIT_CONFIG_LOG_ON_MEMNODES ? TACIT_LOG_ON_MEMNODES
                                                                 : TACIT_LOG_ON_REPLICAS,
        .replicas = (uint8_t)config->replica_count,
        .memnodes = (uint8_t)config->memnode_count,
        .request_bytes = (uint32_t)config->limits.request_bytes,
        .reply_bytes = (uint32_t)config->limits.reply_bytes,
        .batch_bytes = (uint32_t)config->limits.batch_bytes,
        .batch_requests = (uint32_t)config->limits.batch_requests,
        .log_entries = (uint32_t)config->limits.log_entries,
        .inflight = (uint32_t)config->limits.inflight,
        .clients = (uint32_t)config->limits.clients_max,
        .sessions_per_client = (uint32_t)config->limits.sessions_per_client,
        .session_pipeline = (uint32_t)config->limits.session_pipeline,
        .ring_slots = TACIT_CLUSTER_RING_SLOTS,
        .arena_bytes = (size_t)config->memory.arena_bytes,
        .beat_period_ns = timing->beat_period_ns,
        .suspicion_ns = timing->suspicion_ns,
        .permission_timeout_ns = timing->permission_timeout_ns,
        .laggard_after_ns = timing->laggard_after_ns,
        .replace_after_ns = timing->replace_after_ns,
        .lease_ns = timing->lease_ns,
        .lease_max_ns = longest_lease_ns(timing->lease_ns),
        .drift_ppm = (uint32_t)timing->drift_ppm,
        .byzantine = {.broadcast_on = config->broadcast_on == TACIT_CONFIG_BROADCAST_ON_MEMNODES
                                          ? TACIT_BROADCAST_ON_MEMNODES
                                          : TACIT_BROADCAST_ON_REPLICAS,
                      .window = (uint32_t)config->limits.window,
                      .tail = (uint32_t)config->limits.tail,
                      .slow_after_ns = tacit_config_slow_after_ns(config),
                      .cooldown_ns = timing->cooldown_ns,
                      .retry_ns = timing->retry_ns,
                      .join_after_ns = timing->join_after_ns,
                      .view_timeout_ns = timing->view_timeout_ns,
                      .view_timeout_max_ns = timing->view_timeout_max_ns},
        .clock = no_clock, // whoever starts a replica sets its own
        .app_options = "",
    };
}

enum tacit_status
tacit_cluster_signer_open(struct tacit_signer **signer, const struct tacit_config *config,
                          const struct tacit_group_id *group, const struct tacit_keypair *own,
                          void (*wake)(void *context), void *context, struct tacit_error *error)
{
    // By id, zeros for ids that nobody has.
    struct tacit_public_key replicas[TACIT_REPLICAS_MAX] = {0};
    struct tacit_public_key spares[TACIT_SPARES_MAX + 1] = {0};
    struct tacit_public_key clients[TACIT_CLIENTS_MAX] = {0};
    struct tacit_digest cluster;
    struct tacit_signer_pool_config pool = {
        .own = own,
        .replicas = replicas,
        .replica_count = config->replica_count,
        .spares = spares,
        .clients = clients,
        .client_count = (uint32_t)config->limits.clients_max,
        .operator_key = config->has_operator_key ? &config->operator_key : NULL,
        .workers = 1,
        .wake = wake,
        .context = context,
    };
    for (uint32_t i = 0; i < config->replica_count; i++) {
        replicas[config->replicas[i].id] = config->replicas[i].public_key;
    }
    for (uint32_t i = 0; i < config->client_count; i++) {
        clients[config->clients[i].id] = config->clients[i].public_key;
    }
    for (uint32_t i = 0; i < config->spare_replica_count; i++) {
        spares[config->spare_replicas[i].id] = config->spare_replicas[i].public_key;
    }
    tacit_config_digest(&cluster, config);
    tacit_scope_make(&pool.scope, group, &cluster);
    return tacit_signer_pool_open(signer, &pool, error);
}

static enum tacit_status file_error(const char *what, const char *path, struct tacit_error *error)
{
    int os_errno = errno;
    enum tacit_status status = os_errno == ENOENT                        ? TACIT_ENOENT
                               : os_errno == EACCES || os_errno == EPERM ? TACIT_EPERM
                                                                         : TACIT_EIO;
    return tacit_error_set(error, status, os_errno, "%s %s: %s", what, path, strerror(os_errno));
}

// Reads at most `max` bytes of a small file; the size or -1 with errno.
static ssize_t read_small(int file, char *text, size_t max)
{
    size_t used = 0;
    while (used < max) {
        ssize_t got = pread(file, text + used, max - used, (off_t)used);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        used += (size_t)got;
    }
    return (ssize_t)used;
}

enum tacit_status tacit_group_file_read(const char *path, struct tacit_group_id *group,
                                        struct tacit_error *error)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (file < 0) {
        return file_error("cannot open the group's id in", path, error);
    }
    char text[TACIT_GROUP_TEXT + 2];
    ssize_t size = read_small(file, text, sizeof text);
    enum tacit_status status = TACIT_OK;
    if (size < 0) {
        status = file_error("cannot read the group's id in", path, error);
    }
    close(file);
    if (status != TACIT_OK) {
        return status;
    }
    bool length_is_right =
        size == TACIT_GROUP_TEXT || (size == TACIT_GROUP_TEXT + 1 && text[size - 1] == '\n');
    if (!length_is_right || !tacit_hex_decode(group, sizeof *group, text, TACIT_GROUP_TEXT)) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "%s does not hold a group id; expected are %d hex digits, as "
                               "`tacit bootstrap` writes them",
                               path, TACIT_GROUP_TEXT);
    }
    return TACIT_OK;
}

// Makes a directory and those above it.
static bool make_directories(const char *path)
{
    char part[TACIT_CONFIG_PATH_BYTES];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(part, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] == '/' || path[i] == '\0') {
            part[i] = '\0';
            if (mkdir(part, 0700) != 0 && errno != EEXIST) {
                return false;
            }
            part[i] = path[i];
        }
    }
    return true;
}

static bool parse_number(const char *text, ssize_t size, uint32_t *number)
{
    *number = 0;
    if (size == 0) {
        return true; // never counted
    }
    size -= text[size - 1] == '\n';
    if (size < 1 || size > 8) {
        return false;
    }
    for (ssize_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        *number = *number * 10 + (uint32_t)(text[i] - '0');
    }
    return true;
}

// Replaces the number while the lock is held. A fixed width, written by one call: a crash leaves
// the old or the new number.
static bool write_number(int file, uint32_t number)
{
    char text[TACIT_NUMBER_TEXT];
    int length = snprintf(text, sizeof text, "%08u\n", number);
    return pwrite(file, text, (size_t)length, 0) == length && fsync(file) == 0;
}

enum tacit_status tacit_incarnation_raise(const char *directory, uint32_t most,
                                          tacit_incarnation_t *incarnation,
                                          struct tacit_error *error)
{
    char path[TACIT_CONFIG_PATH_BYTES + 16];
    if (!make_directories(directory)) {
        return file_error("cannot make the state directory", directory, error);
    }
    snprintf(path, sizeof path, "%s/incarnation", directory);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    if (file < 0) {
        return file_error("cannot open", path, error);
    }
    char text[TACIT_NUMBER_TEXT];
    uint32_t number = 0;
    enum tacit_status status = TACIT_OK;
    ssize_t size = 0;
    if (flock(file, LOCK_EX) != 0 || (size = read_small(file, text, sizeof text)) < 0) {
        status = file_error("cannot read", path, error);
    } else if (!parse_number(text, size, &number) || number >= most) {
        status = tacit_error_set(error, TACIT_EINVAL, 0,
                                 "%s must hold the number of starts so far, below %u; it was "
                                 "damaged, or no number is left",
                                 path, most);
    } else if (!write_number(file, number + 1)) {
        status = file_error("cannot write", path, error);
    }
    close(file);
    *incarnation = number + 1;
    return status;
}
