// SPDX-License-Identifier: Apache-2.0
//
// A client that lies: the production client, whose requests are changed between it and the fabric
// (the linker puts us there). It tells replicas different bytes under one number, leaves some out,
// signs wrongly or not at all, and closes sessions that are not its own. What it asks for are keys
// of its own, so that nobody else's answers may change. It has as many requests under way as it
// may.
//
//   tacit-lying-client --node client-9.yaml      until SIGTERM
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adversary/adversary.h"
#include "apps/client/cluster.h"
#include "apps/client/provider.h"
#include "kv/kv_wire.h"
#include "tacit/client.h"

#define WAIT_NS UINT64_C(1000000)
#define SESSIONS 8u
#define RATE 16000u
#define REQUEST_BYTES 8192u

static struct {
    struct adversary adversary;
    struct choice choice;
    struct tacit_smr_config smr;
    const struct tacit_fabric_ops *real;
    struct tacit_fabric_ops ops;
    const struct tacit_keypair *keypair;
    struct tacit_scope scope;
    uint16_t id;
    int32_t requests[TACIT_NODES_MAX]; // handle of the region that it writes at a replica
    uint64_t copy[(REQUEST_BYTES + 256) / 8];
} liar;

static volatile sig_atomic_t stopped;

static void on_signal(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

enum tacit_status __real_tacit_provider_open(const struct tacit_provider_config *config,
                                             struct tacit_fabric **fabric,
                                             struct tacit_error *error);
enum tacit_status __wrap_tacit_provider_open(const struct tacit_provider_config *config,
                                             struct tacit_fabric **fabric,
                                             struct tacit_error *error);

// ---- between client and fabric -----------------------------------------------------------------

static void sign(void *context, uint32_t client, tacit_domain_t domain, const uint8_t *payload,
                 uint32_t bytes, struct tacit_signature *out)
{
    (void)context;
    (void)client;
    tacit_signature_make(out, liar.keypair, domain, &liar.scope, payload, bytes);
}

static uint32_t rate(void *context, enum adversary_attack attack)
{
    (void)context;
    return attack == ADVERSARY_CLIENT || attack == ADVERSARY_CLIENT_EDIT ? RATE : 0;
}

static int32_t liar_region(struct tacit_fabric *fabric, tacit_node_t host,
                           struct tacit_region_key key)
{
    int32_t handle = liar.real->region(fabric, host, key);
    if (key.region_class == TACIT_REGION_REQUESTS && handle >= 0) {
        liar.requests[host] = handle;
    }
    return handle;
}

static bool liar_post(struct tacit_fabric *fabric, const struct tacit_op *op)
{
    if (op->kind != TACIT_OP_WRITE || op->host >= liar.smr.replicas ||
        liar.requests[op->host] != op->region || op->bytes > sizeof liar.copy) {
        return liar.real->post(fabric, op);
    }
    struct adversary_write write = {.region_class = TACIT_REGION_REQUESTS,
                                    .bytes = op->bytes,
                                    .offset = op->offset,
                                    .copy = liar.copy};
    struct tacit_op changed = *op;
    memcpy(liar.copy, op->local, op->bytes);
    changed.local = liar.copy;
    if (adversary_tamper_request(&liar.adversary, liar.id, op->host, &liar.smr, &write)) {
        changed.bytes = write.bytes;
    } else { // completes as if it had landed
        changed.kind = TACIT_OP_READ;
    }
    return liar.real->post(fabric, &changed);
}

enum tacit_status __wrap_tacit_provider_open(const struct tacit_provider_config *config,
                                             struct tacit_fabric **fabric,
                                             struct tacit_error *error)
{
    static const struct adversary_world world = {.sign_client = sign, .rate = rate};
    enum tacit_status status = __real_tacit_provider_open(config, fabric, error);
    if (status == TACIT_OK) {
        uint64_t seed = 0;
        tacit_random_bytes(&seed, sizeof seed);
        choice_init_seed(&liar.choice, seed);
        adversary_init(&liar.adversary, &world, &liar.choice, liar.smr.replicas, liar.smr.clients,
                       liar.smr.byzantine.window);
        memset(liar.requests, 0xff, sizeof liar.requests);
        liar.keypair = config->keypair;
        struct tacit_digest cluster;
        tacit_config_digest(&cluster, config->cluster);
        tacit_scope_make(&liar.scope, &config->group, &cluster);
        liar.real = (*fabric)->ops;
        liar.ops = *liar.real;
        liar.ops.post = liar_post;
        liar.ops.region = liar_region;
        (*fabric)->ops = &liar.ops;
    }
    return status;
}

// ---- its requests ------------------------------------------------------------------------------

// Its id, and the sizes that its cluster file says.
static bool load(const char *path, struct tacit_error *error)
{
    static struct tacit_config config;
    static struct tacit_config_problems problems;
    struct tacit_node_file file;
    enum tacit_status status = tacit_node_file_load(path, &file, &problems);
    if (status == TACIT_OK) {
        status = tacit_config_load(file.cluster_path, &config, &problems);
    }
    if (status != TACIT_OK) {
        (void)tacit_config_problems_to_error(&problems, status, error);
        return false;
    }
    liar.id = file.id;
    tacit_cluster_smr_config(&liar.smr, &config);
    return true;
}

static uint32_t sent; // requests

static size_t make_request(uint8_t *request, size_t max)
{
    char key[32];
    (void)snprintf(key, sizeof key, "lies:%u:%u", liar.id, sent % 16);
    struct tacit_kv_span spans[2] = {
        {.bytes = (const uint8_t *)key, .size = (uint32_t)strlen(key)},
        {.bytes = (const uint8_t *)"what it says it said", .size = 20}};
    return tacit_kv_request_encode(request, max, TACIT_KV_SET, spans, 2);
}

// Opens all sessions that it may have; a closed one makes room for the next.
static void open_sessions(struct tacit_channel *channel)
{
    uint32_t session = 0;
    for (uint32_t i = 0; i < SESSIONS; i++) {
        if (tacit_channel_session_open(channel, 0, &session) != TACIT_OK) {
            return;
        }
    }
}

// As many requests as a session may have under way: no honest client is faster.
static void fill(struct tacit_channel *channel, uint32_t session)
{
    uint8_t request[REQUEST_BYTES];
    for (;;) {
        size_t size = make_request(request, sizeof request);
        if (tacit_channel_submit(channel, session, request, size, 0) != TACIT_OK) {
            return;
        }
        sent++;
    }
}

int main(int argc, char **argv)
{
    struct tacit_error error = {.text = ""};
    struct tacit_channel *channel = NULL;
    struct tacit_channel_event event;
    if (argc != 3 || strcmp(argv[1], "--node") != 0) {
        (void)fprintf(stderr, "tacit-lying-client: accepted is --node FILE\n");
        return 2;
    }
    struct tacit_channel_options options = {.node_path = argv[2]};
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGTERM, &action, NULL);
    if (tacit_crypto_init(&error) != TACIT_OK || !load(argv[2], &error) ||
        tacit_channel_open(&options, &channel, &error) != TACIT_OK) {
        (void)fprintf(stderr, "tacit-lying-client: %s\n", error.text);
        return 1;
    }
    open_sessions(channel);
    while (stopped == 0) {
        if (!tacit_channel_wait(channel, WAIT_NS, &event)) {
            continue;
        }
        if (event.kind == TACIT_CHANNEL_CLOSED) {
            open_sessions(channel);
        } else {
            fill(channel, event.session);
        }
    }
    tacit_channel_close(channel);
    (void)printf("%u requests; changed: %llu for some, %llu edited\n", sent,
                 (unsigned long long)liar.adversary.done[ADVERSARY_CLIENT],
                 (unsigned long long)liar.adversary.done[ADVERSARY_CLIENT_EDIT]);
    return 0;
}
