// SPDX-License-Identifier: Apache-2.0
//
// See provider.h.
#include "provider.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// ---- callbacks of the providers (control thread) -----------------------------------------------

static bool find_key(void *context, enum tacit_shm_kind kind, uint16_t id,
                     tacit_incarnation_t incarnation, struct tacit_public_key *key)
{
    const struct tacit_provider_config *config = context;
    const struct tacit_public_key *known = NULL;
    if (kind == TACIT_SHM_CLIENT) {
        known = tacit_config_public_key(config->cluster, TACIT_CONFIG_CLIENT, id);
    } else {
        const struct tacit_config_member *body = tacit_config_body(
            config->cluster,
            kind == TACIT_SHM_REPLICA ? TACIT_CONFIG_REPLICA : TACIT_CONFIG_MEMNODE, id,
            tacit_incarnation_body(incarnation));
        known = body != NULL ? &body->public_key : NULL;
    }
    if (known != NULL) {
        *key = *known;
    }
    return known != NULL;
}

static enum tacit_seat_ruling seat_rule(void *context, enum tacit_shm_kind kind, uint16_t id,
                                        tacit_incarnation_t incarnation)
{
    const struct tacit_provider_config *config = context;
    tacit_node_t node = (tacit_node_t)(kind == TACIT_SHM_REPLICA ? id : TACIT_NODE_MEMNODE + id);
    uint64_t word = __atomic_load_n(&config->seat_words[node], __ATOMIC_ACQUIRE);
    return tacit_seat_judge(word, incarnation);
}

static void report(void *context, enum tacit_shm_report_kind kind, const char *text)
{
    const struct tacit_provider_config *config = context;
    if (config->report != NULL) {
        config->report(config->context, kind, text);
    }
}

// The providers' callbacks take their context without const; nothing is changed through it.
static void *context_of(const struct tacit_provider_config *config)
{
    union {
        const struct tacit_provider_config *in;
        void *out;
    } context = {.in = config};
    return context.out;
}

// ---- shared memory -----------------------------------------------------------------------------

size_t tacit_provider_members(const struct tacit_provider_config *config,
                              const struct tacit_config_member *members[TACIT_PROVIDER_PEERS],
                              tacit_node_t nodes[TACIT_PROVIDER_PEERS])
{
    const struct tacit_config *cluster = config->cluster;
    size_t count = 0;
    for (uint32_t i = 0; i < cluster->replica_count + cluster->memnode_count; i++) {
        bool is_replica = i < cluster->replica_count;
        enum tacit_config_role role = is_replica ? TACIT_CONFIG_REPLICA : TACIT_CONFIG_MEMNODE;
        uint16_t id = (uint16_t)(is_replica ? i : i - cluster->replica_count);
        for (uint32_t body = 0; body <= TACIT_SPARES_MAX; body++) {
            const struct tacit_config_member *member = tacit_config_body(cluster, role, id, body);
            // A node that asks as a client does not ask itself: it may be what others ask in its
            // place.
            bool is_self =
                member != NULL && config->kind == TACIT_SHM_CLIENT && member->client == config->id;
            if (member != NULL && !is_self) {
                nodes[count] = (tacit_node_t)(is_replica ? id : TACIT_NODE_MEMNODE + id);
                members[count++] = member;
            }
        }
    }
    return count;
}

// Who this node is in the file.
static const struct tacit_config_member *self_of(const struct tacit_provider_config *config)
{
    return tacit_config_body(config->cluster,
                             config->kind == TACIT_SHM_REPLICA ? TACIT_CONFIG_REPLICA
                                                               : TACIT_CONFIG_MEMNODE,
                             config->id, tacit_incarnation_body(config->incarnation));
}

void tacit_provider_shm(const struct tacit_provider_config *config, struct tacit_shm_config *shm,
                        struct tacit_shm_peer peers[TACIT_PROVIDER_PEERS])
{
    const struct tacit_config *cluster = config->cluster;
    const struct tacit_config_member *members[TACIT_PROVIDER_PEERS];
    tacit_node_t nodes[TACIT_PROVIDER_PEERS];
    size_t count = tacit_provider_members(config, members, nodes);
    for (size_t i = 0; i < count; i++) {
        peers[i] = (struct tacit_shm_peer){.node = nodes[i], .path = members[i]->socket_path};
    }
    *shm = (struct tacit_shm_config){
        .kind = config->kind,
        .id = config->id,
        .incarnation = config->incarnation,
        .path = config->kind != TACIT_SHM_CLIENT ? self_of(config)->socket_path : NULL,
        .socket_gid = config->socket_gid,
        .peers = peers,
        .peers_count = count,
        .group = config->group,
        .keypair = config->keypair,
        .key_of = find_key,
        .seat_rule = config->seat_words != NULL ? seat_rule : NULL,
        .state_fd = config->state_fd,
        .report = report,
        .context = context_of(config),
    };
    memcpy(shm->layouts, config->layouts, sizeof shm->layouts);
    tacit_config_digest(&shm->cluster, cluster);
}

static enum tacit_status shm_open_fabric(const struct tacit_provider_config *config,
                                         struct tacit_fabric **fabric, struct tacit_error *error)
{
    struct tacit_shm_config shm;
    struct tacit_shm_peer peers[TACIT_PROVIDER_PEERS];
    tacit_provider_shm(config, &shm, peers);
    return tacit_shm_open(&shm, fabric, error);
}

// ---- RDMA --------------------------------------------------------------------------------------

#ifdef TACIT_HAVE_VERBS

#define SLICES_PER_BEAT 4u
// A host that the protocols would suspect by then is given up by the device, too; but a packet that
// was lost is sent again only after a seventh of this, so where suspicion is slow, this is not.
#define SILENCE_MAX_NS UINT64_C(500000000)

static_assert((int)TACIT_SHM_REPLICA == (int)TACIT_VERBS_REPLICA &&
                  (int)TACIT_SHM_MEMNODE == (int)TACIT_VERBS_MEMNODE &&
                  (int)TACIT_SHM_CLIENT == (int)TACIT_VERBS_CLIENT &&
                  (int)TACIT_SHM_REPORT_REFUSED == (int)TACIT_VERBS_REPORT_REFUSED &&
                  (int)TACIT_SHM_REPORT_MISBEHAVED == (int)TACIT_VERBS_REPORT_MISBEHAVED &&
                  (int)TACIT_SHM_REPORT_RESOURCE == (int)TACIT_VERBS_REPORT_RESOURCE &&
                  (int)TACIT_SHM_REPORT_STALE == (int)TACIT_VERBS_REPORT_STALE,
              "both providers number kinds and reports alike");

static bool find_key_verbs(void *context, enum tacit_verbs_kind kind, uint16_t id,
                           tacit_incarnation_t incarnation, struct tacit_public_key *key)
{
    return find_key(context, (enum tacit_shm_kind)kind, id, incarnation, key);
}

static enum tacit_seat_ruling seat_rule_verbs(void *context, enum tacit_verbs_kind kind,
                                              uint16_t id, tacit_incarnation_t incarnation)
{
    return seat_rule(context, (enum tacit_shm_kind)kind, id, incarnation);
}

static void report_verbs(void *context, enum tacit_verbs_report_kind kind, const char *text)
{
    report(context, (enum tacit_shm_report_kind)kind, text);
}

// The member's host as a numeric address.
static enum tacit_status look_up(const struct tacit_config_member *member,
                                 char out[TACIT_PROVIDER_ADDRESS_BYTES], struct addrinfo **found,
                                 struct tacit_error *error)
{
    char port[8];
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV};
    (void)snprintf(port, sizeof port, "%u", member->port);
    *found = NULL;
    int failed = getaddrinfo(member->host, port, &hints, found);
    if (failed == 0) {
        failed = getnameinfo((*found)->ai_addr, (*found)->ai_addrlen, out,
                             TACIT_PROVIDER_ADDRESS_BYTES, NULL, 0, NI_NUMERICHOST);
    }
    return failed == 0 ? TACIT_OK
                       : tacit_error_set(error, TACIT_ENOENT, 0,
                                         "the address %.200s of the cluster file cannot be found: "
                                         "%s",
                                         member->address, gai_strerror(failed));
}

// The address from which this host sends to a replica. (A datagram socket that is connected sends
// nothing.)
static enum tacit_status source_address(const struct addrinfo *to,
                                        char out[TACIT_PROVIDER_ADDRESS_BYTES],
                                        struct tacit_error *error)
{
    struct sockaddr_storage own;
    socklen_t length = sizeof own;
    int probe = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool known = probe >= 0 && connect(probe, to->ai_addr, to->ai_addrlen) == 0 &&
                 getsockname(probe, (struct sockaddr *)&own, &length) == 0 &&
                 getnameinfo((struct sockaddr *)&own, length, out, TACIT_PROVIDER_ADDRESS_BYTES,
                             NULL, 0, NI_NUMERICHOST) == 0;
    int reason = errno;
    if (probe >= 0) {
        (void)close(probe);
    }
    return known ? TACIT_OK
                 : tacit_error_set(error, TACIT_ENOENT, reason,
                                   "this host has no route to the first replica: %s",
                                   strerror(reason));
}

static enum tacit_status list_peers(const struct tacit_provider_config *config,
                                    struct tacit_provider_addresses *memory, size_t *count,
                                    struct tacit_verbs_peer *self, struct tacit_error *error)
{
    const struct tacit_config_member *members[TACIT_PROVIDER_PEERS];
    tacit_node_t nodes[TACIT_PROVIDER_PEERS];
    size_t all = tacit_provider_members(config, members, nodes);
    enum tacit_status status = TACIT_OK;
    *count = 0;
    for (size_t i = 0; i < all && status == TACIT_OK; i++) {
        size_t same = 0; // the same spare for another seat: asked for once
        while (same < i && members[same] != members[i]) {
            same++;
        }
        if (same < i) {
            memcpy(memory->of[i], memory->of[same], sizeof memory->of[i]);
        } else {
            struct addrinfo *found = NULL;
            status = look_up(members[i], memory->of[i], &found, error);
            if (status == TACIT_OK && i == 0 && config->kind == TACIT_SHM_CLIENT) {
                status = source_address(found, memory->own, error);
            }
            if (found != NULL) {
                freeaddrinfo(found);
            }
        }
        memory->peers[i] = (struct tacit_verbs_peer){
            .node = nodes[i], .address = memory->of[i], .port = members[i]->port};
        if (config->kind != TACIT_SHM_CLIENT && members[i] == self_of(config)) {
            *self = memory->peers[i];
        }
        *count = i + 1;
    }
    return status;
}

enum tacit_status tacit_provider_verbs(const struct tacit_provider_config *config,
                                       struct tacit_verbs_config *verbs,
                                       struct tacit_provider_addresses *memory,
                                       struct tacit_error *error)
{
    size_t count = 0;
    struct tacit_verbs_peer self = {.address = memory->own}; // a client's
    enum tacit_status status = list_peers(config, memory, &count, &self, error);
    if (status != TACIT_OK) {
        return status;
    }
    *verbs = (struct tacit_verbs_config){
        .kind = (enum tacit_verbs_kind)config->kind,
        .id = config->id,
        .incarnation = config->incarnation,
        .address = self.address,
        .port = self.port,
        .peers = memory->peers,
        .peers_count = count,
        .group = config->group,
        .keypair = config->keypair,
        .key_of = find_key_verbs,
        .seat_rule = config->seat_words != NULL ? seat_rule_verbs : NULL,
        .report = report_verbs,
        .context = context_of(config),
        .wishes = {.device = config->rdma.device[0] != '\0' ? config->rdma.device : NULL,
                   .port = config->rdma.port,
                   .has_gid_index = config->rdma.has_gid_index,
                   .gid_index = config->rdma.gid_index,
                   .mtu_bytes = config->rdma.mtu_bytes},
        .silence_ns = config->cluster->timing.suspicion_ns < SILENCE_MAX_NS
                          ? config->cluster->timing.suspicion_ns
                          : SILENCE_MAX_NS,
        // No later than a beat would be missed: a sleeper has to look, a remote write wakes nobody.
        .sleep_slice_ns = config->cluster->timing.beat_period_ns / SLICES_PER_BEAT,
    };
    memcpy(verbs->layouts, config->layouts, sizeof verbs->layouts);
    tacit_config_digest(&verbs->cluster, config->cluster);
    return TACIT_OK;
}

static enum tacit_status verbs_open_fabric(const struct tacit_provider_config *config,
                                           struct tacit_fabric **fabric, struct tacit_error *error)
{
    struct tacit_verbs_config verbs;
    struct tacit_provider_addresses memory;
    enum tacit_status status = tacit_provider_verbs(config, &verbs, &memory, error);
    return status == TACIT_OK ? tacit_verbs_open(&verbs, fabric, error) : status;
}

static void verbs_status(const struct tacit_fabric *fabric, struct tacit_provider_status *status)
{
    const struct tacit_verbs_counters *verbs = &status->verbs;
    status->is_rdma = true;
    tacit_verbs_facts(fabric, &status->facts);
    status->permission = tacit_verbs_permission_name(status->facts.permission);
    tacit_verbs_counters(fabric, &status->verbs);
    status->connections = (struct tacit_shm_counters){.accepted = verbs->accepted,
                                                      .connected = verbs->connected,
                                                      .refused = verbs->refused,
                                                      .misbehaved = verbs->misbehaved,
                                                      .expired = verbs->expired};
}

#else // the names below are used, never the functions: tacit_provider_check refuses before

static enum tacit_status verbs_open_fabric(const struct tacit_provider_config *config,
                                           struct tacit_fabric **fabric, struct tacit_error *error)
{
    (void)fabric;
    return tacit_provider_check(config->cluster, "the cluster file", error);
}
#define tacit_verbs_close tacit_shm_close
#define tacit_verbs_wake tacit_shm_wake
static void verbs_status(const struct tacit_fabric *fabric, struct tacit_provider_status *status)
{
    tacit_shm_counters(fabric, &status->connections);
}

#endif

// ---- either ------------------------------------------------------------------------------------

static bool is_verbs(const struct tacit_provider_config *config)
{
    return config->cluster->fabric == TACIT_CONFIG_VERBS;
}

enum tacit_status tacit_provider_check(const struct tacit_config *cluster, const char *path,
                                       struct tacit_error *error)
{
#ifdef TACIT_HAVE_VERBS
    (void)cluster;
    (void)path;
    (void)error;
    return TACIT_OK;
#else
    return cluster->fabric == TACIT_CONFIG_SHM
               ? TACIT_OK
               : tacit_error_set(error, TACIT_EINVAL, 0,
                                 "%.300s asks for fabric: verbs, which this program was built "
                                 "without: install libibverbs-dev and librdmacm-dev, and build "
                                 "with the cmake option -DTACIT_VERBS=ON",
                                 path);
#endif
}

enum tacit_status tacit_provider_prepare(struct tacit_provider_config *config,
                                         struct tacit_error *error)
{
    if (is_verbs(config) || config->kind != TACIT_SHM_REPLICA) {
        return TACIT_OK;
    }
    return tacit_shm_state_make(&config->layouts[TACIT_SHM_REPLICA], &config->state_fd, error);
}

void tacit_provider_unprepare(struct tacit_provider_config *config)
{
    if (config->state_fd > 0) {
        (void)close(config->state_fd);
        config->state_fd = 0;
    }
}

enum tacit_status tacit_provider_open(const struct tacit_provider_config *config,
                                      struct tacit_fabric **fabric, struct tacit_error *error)
{
    return is_verbs(config) ? verbs_open_fabric(config, fabric, error)
                            : shm_open_fabric(config, fabric, error);
}

enum tacit_status tacit_provider_attach(const struct tacit_provider_config *config,
                                        struct tacit_fabric *fabric, struct tacit_error *error)
{
    return is_verbs(config) ? TACIT_OK : tacit_shm_thread_attach(fabric, error);
}

void tacit_provider_close(const struct tacit_provider_config *config, struct tacit_fabric *fabric)
{
    if (is_verbs(config)) {
        tacit_verbs_close(fabric);
    } else {
        tacit_shm_close(fabric);
    }
}

void tacit_provider_wake(const struct tacit_provider_config *config, struct tacit_fabric *fabric)
{
    if (is_verbs(config)) {
        tacit_verbs_wake(fabric);
    } else {
        tacit_shm_wake(fabric);
    }
}

void tacit_provider_status(const struct tacit_provider_config *config,
                           const struct tacit_fabric *fabric, struct tacit_provider_status *status)
{
    *status = (struct tacit_provider_status){.permission = ""};
    if (is_verbs(config)) {
        verbs_status(fabric, status);
    } else {
        tacit_shm_counters(fabric, &status->connections);
    }
}
