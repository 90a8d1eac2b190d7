// SPDX-License-Identifier: Apache-2.0
//
// See sim_signer.h.
#include "sim_signer.h"

#include <assert.h>
#include <string.h>

#include "tacit/crypto.h"

enum { DOMAIN_SECRET = TACIT_DOMAIN_TEST + 0x51 };

// ---- the scheme
// --------------------------------------------------------------------------------------------------

static void secret_of(struct tacit_mac_key *out, const struct sim_signer_world *world,
                      uint16_t author)
{
    tacit_mac_key_derive(out, &world->secret, DOMAIN_SECRET, author);
}

void sim_signer_world_init(struct sim_signer_world *world, uint64_t seed, uint32_t replicas,
                           uint32_t clients)
{
    *world = (struct sim_signer_world){.replicas = replicas, .clients = clients};
    memcpy(world->secret.bytes, &seed, sizeof seed);
}

static bool has_key(const struct sim_signer_world *world, uint16_t author)
{
    if (author >= TACIT_SIGNER_CLIENT) {
        return author - TACIT_SIGNER_CLIENT < world->clients;
    }
    if (author > TACIT_SIGNER_SPARE && author <= TACIT_SIGNER_SPARE + TACIT_SPARES_MAX) {
        return author - TACIT_SIGNER_SPARE <= world->spares;
    }
    return author < world->replicas || author == TACIT_SIGNER_OPERATOR;
}

// The first half is the digest, the second half is fixed: any other bytes are no signature.
static void sign(const struct tacit_mac_key *key, tacit_domain_t domain, const void *payload,
                 uint32_t payload_bytes, struct tacit_signature *out)
{
    struct tacit_mac256 mac;
    tacit_blake_mac256_make(&mac, key, domain, payload, payload_bytes);
    memset(out->bytes, 0x5a, sizeof out->bytes);
    memcpy(out->bytes, mac.bytes, sizeof mac.bytes);
}

void sim_signer_sign(const struct sim_signer *signer, tacit_domain_t domain, const void *payload,
                     uint32_t payload_bytes, struct tacit_signature *out)
{
    sign(&signer->own, domain, payload, payload_bytes, out);
}

bool sim_signer_is_valid(const struct sim_signer_world *world, uint16_t author,
                         tacit_domain_t domain, const void *payload, uint32_t payload_bytes,
                         const struct tacit_signature *signature)
{
    if (!has_key(world, author)) {
        return false;
    }
    struct tacit_mac_key key;
    struct tacit_signature right;
    secret_of(&key, world, author);
    sign(&key, domain, payload, payload_bytes, &right);
    return memcmp(right.bytes, signature->bytes, sizeof right.bytes) == 0;
}

// ---- workers
// -----------------------------------------------------------------------------------------------------

// The next queue in turn that has a job which was there at `at_ns`. NULL: none.
static struct sim_signer_queue *next_queue(struct sim_signer *signer, uint64_t at_ns)
{
    for (uint32_t i = 1; i <= TACIT_SIGNER_CHARGES; i++) {
        uint32_t charge = (signer->turn + i) % TACIT_SIGNER_CHARGES;
        struct sim_signer_queue *queue = &signer->queue[charge];
        if (queue->count > 0 && queue->submitted_ns[queue->first] <= at_ns) {
            signer->turn = charge;
            return queue;
        }
    }
    return NULL;
}

static uint64_t oldest_submitted(const struct sim_signer *signer)
{
    uint64_t at_ns = UINT64_MAX;
    for (uint32_t charge = 0; charge < TACIT_SIGNER_CHARGES; charge++) {
        const struct sim_signer_queue *queue = &signer->queue[charge];
        if (queue->count > 0 && queue->submitted_ns[queue->first] < at_ns) {
            at_ns = queue->submitted_ns[queue->first];
        }
    }
    return at_ns;
}

static void finish(struct sim_signer *signer, const struct tacit_signer_job *job)
{
    assert(signer->done_count < SIM_SIGNER_DONE);
    uint32_t at = (signer->done_first + signer->done_count++) % SIM_SIGNER_DONE;
    struct tacit_signer_done *done = &signer->done[at];
    *done = (struct tacit_signer_done){
        .cookie = job->cookie, .valid = true, .signature = job->signature};
    if (job->verify) {
        signer->signer.signatures_checked++;
        done->valid = sim_signer_is_valid(signer->world, job->author, job->domain, job->payload,
                                          job->payload_bytes, &job->signature);
    } else {
        signer->signer.signatures_made++;
        sign(&signer->own, job->domain, job->payload, job->payload_bytes, &done->signature);
    }
}

static void start(struct sim_signer *signer, uint32_t worker)
{
    uint64_t at_ns = signer->worker[worker].free_ns;
    uint64_t oldest_ns = oldest_submitted(signer);
    at_ns = at_ns > oldest_ns ? at_ns : oldest_ns;
    struct sim_signer_queue *queue = oldest_ns == UINT64_MAX ? NULL : next_queue(signer, at_ns);
    if (queue == NULL) {
        return;
    }
    signer->worker[worker].job = queue->job[queue->first];
    queue->first = (queue->first + 1) % SIM_SIGNER_DEPTH;
    queue->count--;
    uint64_t cost =
        signer->worker[worker].job.verify ? signer->config.verify_ns : signer->config.sign_ns;
    if (signer->config.choice != NULL) {
        cost += choice_u32(signer->config.choice, signer->config.jitter_ns + 1);
    }
    signer->worker[worker].is_busy = true;
    signer->worker[worker].free_ns = at_ns + cost;
    if (signer->config.wake != NULL) {
        signer->config.wake(signer->config.context, at_ns + cost);
    }
}

void sim_signer_advance(struct sim_signer *signer, uint64_t now_ns)
{
    signer->now_ns = now_ns;
    for (;;) {
        uint32_t first = SIM_SIGNER_WORKERS; // busy and done by now, the earliest
        for (uint32_t i = 0; i < signer->config.workers; i++) {
            if (!signer->worker[i].is_busy) {
                start(signer, i);
            }
            if (signer->worker[i].is_busy && signer->worker[i].free_ns <= now_ns &&
                (first == SIM_SIGNER_WORKERS ||
                 signer->worker[i].free_ns < signer->worker[first].free_ns)) {
                first = i;
            }
        }
        if (first == SIM_SIGNER_WORKERS || signer->done_count == SIM_SIGNER_DONE) {
            return;
        }
        signer->worker[first].is_busy = false;
        finish(signer, &signer->worker[first].job);
    }
}

uint64_t sim_signer_next_ns(const struct sim_signer *signer)
{
    uint64_t at_ns = signer->done_count > 0 ? signer->now_ns : UINT64_MAX;
    for (uint32_t i = 0; i < signer->config.workers; i++) {
        if (signer->worker[i].is_busy && signer->worker[i].free_ns < at_ns) {
            at_ns = signer->worker[i].free_ns;
        }
    }
    return at_ns;
}

// ---- the port
// ----------------------------------------------------------------------------------------------------

static bool signer_knows(struct tacit_signer *port, uint16_t author)
{
    return has_key(((struct sim_signer *)port)->world, author);
}

static bool signer_submit(struct tacit_signer *port, const struct tacit_signer_job *job)
{
    struct sim_signer *signer = (struct sim_signer *)port;
    assert(job->charge < TACIT_SIGNER_CHARGES && job->payload_bytes <= TACIT_SIGN_PAYLOAD_MAX);
    struct sim_signer_queue *queue = &signer->queue[job->charge];
    if (job->verify && !has_key(signer->world, job->author)) {
        return false;
    }
    if (queue->count == signer->config.depth) {
        port->signatures_refused++;
        return false;
    }
    uint32_t at = (queue->first + queue->count++) % SIM_SIGNER_DEPTH;
    queue->job[at] = *job;
    queue->submitted_ns[at] = signer->now_ns;
    for (uint32_t i = 0; i < signer->config.workers; i++) {
        if (!signer->worker[i].is_busy) {
            start(signer, i);
            break;
        }
    }
    return true;
}

static size_t signer_poll(struct tacit_signer *port, struct tacit_signer_done *done, size_t max)
{
    struct sim_signer *signer = (struct sim_signer *)port;
    size_t count = 0;
    while (count < max && signer->done_count > 0) {
        done[count++] = signer->done[signer->done_first];
        signer->done_first = (signer->done_first + 1) % SIM_SIGNER_DONE;
        signer->done_count--;
    }
    return count;
}

void sim_signer_open(struct sim_signer *signer, const struct sim_signer_world *world,
                     const struct sim_signer_config *config)
{
    static const struct tacit_signer_ops ops = {
        .submit = signer_submit, .knows = signer_knows, .poll = signer_poll};
    assert(config->workers >= 1 && config->workers <= SIM_SIGNER_WORKERS);
    assert(config->depth >= 1 && config->depth <= SIM_SIGNER_DEPTH);
    memset(signer, 0, sizeof *signer);
    signer->signer.ops = &ops;
    signer->world = world;
    signer->config = *config;
    secret_of(&signer->own, world, config->self);
}
