// SPDX-License-Identifier: Apache-2.0
//
// Opening a channel from files: cluster file, key, group id; then the fabric that the cluster file
// names, in the role of a client. Everything that can be wrong with the files is found here, before
// anything is connected.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/signer.h"
#include "channel.h"
#include "cluster.h"
#include "provider.h"
#include "tacit/config.h"
#include "tacit/keyfile.h"

// What the provider's control thread looks keys up in; lives as long as the fabric.
struct identity {
    struct tacit_config config;
    struct tacit_provider_config provider;
    struct tacit_fabric *fabric;
    struct tacit_keypair *keypair;
    struct tacit_signer *signer; // Byzantine mode
    pthread_mutex_t lock;        // of the next
    char refusal[256];           // why the control thread could not connect last
};

static void report(void *context, enum tacit_shm_report_kind kind, const char *text)
{
    struct identity *identity = context;
    if (kind == TACIT_SHM_REPORT_REFUSED) {
        (void)pthread_mutex_lock(&identity->lock);
        (void)snprintf(identity->refusal, sizeof identity->refusal, "%s", text);
        (void)pthread_mutex_unlock(&identity->lock);
    }
}

static void refusal(void *owner, char *out, size_t max)
{
    struct identity *identity = owner;
    (void)pthread_mutex_lock(&identity->lock);
    (void)snprintf(out, max, "%s", identity->refusal);
    (void)pthread_mutex_unlock(&identity->lock);
}

static void identity_free(struct identity *identity)
{
    if (identity != NULL) {
        tacit_secret_free(identity->keypair);
        (void)pthread_mutex_destroy(&identity->lock);
        free(identity);
    }
}

static void fabric_close(struct tacit_fabric *fabric, void *owner)
{
    struct identity *identity = owner;
    tacit_signer_pool_close(identity->signer);         // its threads wake the fabric
    tacit_provider_close(&identity->provider, fabric); // ends the thread that looks keys up
    identity_free(identity);
}

static void wake(void *context)
{
    const struct identity *identity = context;
    tacit_provider_wake(&identity->provider, identity->fabric);
}

// The files that name everything else: from a node file, or from the options.
static enum tacit_status find_files(const struct tacit_channel_options *options,
                                    struct tacit_node_file *node,
                                    struct tacit_config_problems *problems,
                                    struct tacit_error *error)
{
    memset(node, 0, sizeof *node);
    if (options->node_path != NULL) {
        enum tacit_status status = tacit_node_file_load(options->node_path, node, problems);
        if (status != TACIT_OK) {
            return tacit_config_problems_to_error(problems, status, error);
        }
        if (node->role != TACIT_CONFIG_CLIENT) {
            return tacit_error_set(
                error, TACIT_EINVAL, 0,
                "%s names no client; expected is a line such as `node: client 0`",
                options->node_path);
        }
        return TACIT_OK;
    }
    if (options->cluster_path == NULL || options->key_path == NULL) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "client: name a node file, or a cluster file and a key file");
    }
    node->role = TACIT_CONFIG_CLIENT;
    node->id = options->client_id;
    int cluster =
        snprintf(node->cluster_path, sizeof node->cluster_path, "%s", options->cluster_path);
    int key = snprintf(node->key_path, sizeof node->key_path, "%s", options->key_path);
    int state = snprintf(node->state_dir, sizeof node->state_dir, "%s",
                         options->state_dir != NULL ? options->state_dir : "");
    if (cluster >= (int)sizeof node->cluster_path || key >= (int)sizeof node->key_path ||
        state >= (int)sizeof node->state_dir) {
        return tacit_error_set(error, TACIT_ETOOBIG, 0, "client: a path is longer than %u bytes",
                               TACIT_CONFIG_PATH_BYTES - 1);
    }
    return TACIT_OK;
}

static enum tacit_status load_identity(struct tacit_node_file *node, struct identity *identity,
                                       struct tacit_config_problems *problems,
                                       struct tacit_error *error)
{
    enum tacit_status status = tacit_config_load(node->cluster_path, &identity->config, problems);
    if (status != TACIT_OK) {
        return tacit_config_problems_to_error(problems, status, error);
    }
    status = tacit_provider_check(&identity->config, node->cluster_path, error);
    if (status != TACIT_OK) {
        return status;
    }
    identity->keypair = tacit_secret_alloc(sizeof *identity->keypair, error);
    if (identity->keypair == NULL) {
        return TACIT_ENOMEM;
    }
    status = tacit_keyfile_load(identity->keypair, node->key_path, error);
    if (status != TACIT_OK) {
        return status;
    }
    return tacit_node_file_match(node, &identity->config, &identity->keypair->public_key, error);
}

static enum tacit_status read_group(const struct tacit_channel_options *options,
                                    const struct tacit_config *config,
                                    const struct tacit_node_file *node,
                                    struct tacit_group_id *group, struct tacit_error *error)
{
    if (options->group_path != NULL) {
        return tacit_group_file_read(options->group_path, group, error);
    }
    char path[TACIT_CONFIG_PATH_BYTES + 8];
    char runtime[TACIT_CONFIG_PATH_BYTES];
    snprintf(path, sizeof path, "%s/group", node->state_dir);
    enum tacit_status status = tacit_group_file_read(path, group, error);
    if (status != TACIT_ENOENT) {
        return status;
    }
    status = tacit_config_runtime_dir(config, runtime, error);
    if (status != TACIT_OK) {
        return status;
    }
    snprintf(path, sizeof path, "%s/group", runtime);
    return tacit_group_file_read(path, group, error);
}

static enum tacit_status open_fabric(struct identity *identity, const struct tacit_node_file *node,
                                     const struct tacit_smr_config *smr,
                                     const struct tacit_group_id *group,
                                     struct tacit_fabric **fabric, struct tacit_error *error)
{
    struct tacit_provider_config *provider = &identity->provider;
    *provider = (struct tacit_provider_config){
        .cluster = &identity->config,
        .kind = TACIT_SHM_CLIENT,
        .id = node->id,
        .layouts = {[TACIT_SHM_REPLICA] = tacit_smr_replica_layout(smr),
                    [TACIT_SHM_MEMNODE] = tacit_smr_memnode_layout(smr),
                    [TACIT_SHM_CLIENT] = tacit_smr_client_layout(smr)},
        .group = *group,
        .keypair = identity->keypair,
        .rdma = node->rdma,
        .report = report,
        .context = identity,
    };
    enum tacit_status status = tacit_incarnation_raise(node->state_dir, TACIT_CLIENT_STARTS_MAX,
                                                       &provider->incarnation, error);
    if (status != TACIT_OK) {
        return status;
    }
    status = tacit_provider_open(provider, fabric, error);
    if (status != TACIT_OK) {
        return status;
    }
    identity->fabric = *fabric;
    status = tacit_provider_attach(provider, *fabric, error);
    if (status != TACIT_OK) {
        tacit_provider_close(provider, *fabric);
    }
    return status;
}

// Takes over `identity` when it succeeds.
static enum tacit_status open_channel(const struct tacit_channel_options *options,
                                      struct identity *identity, const struct tacit_node_file *node,
                                      struct tacit_channel **channel, struct tacit_error *error)
{
    const struct tacit_config *config = &identity->config;
    struct tacit_group_id group;
    enum tacit_status status = read_group(options, config, node, &group, error);
    if (status != TACIT_OK) {
        return status;
    }
    struct tacit_smr_config smr;
    tacit_cluster_smr_config(&smr, config);
    uint32_t pipeline = smr.session_pipeline;
    if (options->pipeline > pipeline) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "client: a pipeline of %u was asked for; the cluster file allows %u "
                               "(session_pipeline)",
                               options->pipeline, pipeline);
    }
    struct tacit_channel_parts parts = {
        .client = {.replicas = smr.replicas,
                   .request_bytes = smr.request_bytes,
                   .reply_bytes = smr.reply_bytes,
                   .ring_slots = smr.ring_slots,
                   .sessions = smr.sessions_per_client,
                   .pipeline = options->pipeline != 0 ? options->pipeline : pipeline,
                   .retry_ns = config->timing.client_retry_ns,
                   .byzantine = smr.engine == TACIT_ENGINE_BYZANTINE,
                   .faults = (uint8_t)config->f,
                   .client_id = node->id},
        .fabric_close = fabric_close,
        .refusal = refusal,
        .owner = identity,
        .now_ns = tacit_shm_now_ns,
        .waiting = options->waiting,
    };
    status = open_fabric(identity, node, &smr, &group, &parts.fabric, error);
    if (status != TACIT_OK) {
        return status;
    }
    if (parts.client.byzantine) {
        status = tacit_cluster_signer_open(&identity->signer, config, &group, identity->keypair,
                                           wake, identity, error);
        parts.client.signer = identity->signer;
    }
    if (status == TACIT_OK) {
        status = tacit_channel_build(&parts, channel, error);
    }
    if (status != TACIT_OK) {
        tacit_signer_pool_close(identity->signer);
        identity->signer = NULL;
        tacit_provider_close(&identity->provider, parts.fabric);
    }
    return status;
}

enum tacit_status tacit_channel_open(const struct tacit_channel_options *options,
                                     struct tacit_channel **channel, struct tacit_error *error)
{
    enum tacit_status status = tacit_crypto_init(error);
    if (status != TACIT_OK) {
        return status;
    }
    // Large records, so not on the stack.
    struct tacit_node_file *node = calloc(1, sizeof *node);
    struct tacit_config_problems *problems = calloc(1, sizeof *problems);
    struct identity *identity = calloc(1, sizeof *identity);
    if (node == NULL || problems == NULL || identity == NULL) {
        free(identity);
        free(problems);
        free(node);
        (void)tacit_error_set(error, TACIT_ENOMEM, 0, "client: no memory");
        return TACIT_ENOMEM;
    }
    (void)pthread_mutex_init(&identity->lock, NULL);
    status = find_files(options, node, problems, error);
    if (status == TACIT_OK) {
        status = load_identity(node, identity, problems, error);
    }
    if (status == TACIT_OK) {
        status = open_channel(options, identity, node, channel, error);
    }
    if (status != TACIT_OK) {
        identity_free(identity);
    }
    free(problems);
    free(node);
    return status;
}
