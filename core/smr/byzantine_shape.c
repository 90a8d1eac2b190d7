// SPDX-License-Identifier: Apache-2.0
//
// The Byzantine engine's sizes and shapes, all of which follow from a replica's configuration, and
// which configurations are accepted.
#include "byzantine.h"

#include "internal.h"

uint32_t tacit_smr_byzantine_body_bytes(const struct tacit_smr_config *config)
{
    size_t most = tacit_agree_body_bytes(config->replicas, config->byzantine.window);
    size_t request = tacit_wire_request_max(config->request_bytes, true);
    most = most > config->batch_bytes ? most : config->batch_bytes;
    return (uint32_t)tacit_round_up(most > request ? most : request, 64);
}

// Largest batch: of requests, or of one change of members.
uint32_t tacit_smr_byzantine_batch_bytes(const struct tacit_smr_config *config)
{
    return config->batch_bytes > TACIT_EPOCH_BATCH_BYTES ? config->batch_bytes
                                                         : TACIT_EPOCH_BATCH_BYTES;
}

struct tacit_links_config tacit_smr_byzantine_links(const struct tacit_smr_config *config)
{
    return (struct tacit_links_config){
        .place = config->byzantine.broadcast_on == TACIT_BROADCAST_ON_MEMNODES
                     ? TACIT_LINKS_ON_MEMNODES
                     : TACIT_LINKS_ON_REPLICAS,
        .replicas = config->replicas,
        .memnodes = config->memnodes,
        .self = config->self,
        .slots = 2 * config->byzantine.tail + 64,
        .message_bytes = TACIT_BYZ_INLINE_BYTES + 256 + 65 * config->replicas,
        .bodies = TACIT_LINKS_BODIES,
        .body_bytes = tacit_smr_byzantine_body_bytes(config),
        .window = config->byzantine.window};
}

struct tacit_registers_config tacit_smr_byzantine_registers(const struct tacit_smr_config *config)
{
    return (struct tacit_registers_config){.replicas = config->replicas,
                                           .memnodes = config->memnodes,
                                           .self = config->self,
                                           .registers = config->replicas * config->byzantine.tail,
                                           .reads = 4u * config->replicas * config->replicas,
                                           .cooldown_ns = config->byzantine.cooldown_ns,
                                           .patience_ns = 64 * config->byzantine.cooldown_ns +
                                                          4 * config->byzantine.retry_ns};
}

size_t tacit_smr_byzantine_control_bytes(const struct tacit_smr_config *config)
{
    struct tacit_links_config links = tacit_smr_byzantine_links(config);
    return links.place == TACIT_LINKS_ON_REPLICAS ? tacit_links_region_bytes(&links)
                                                  : TACIT_CONTROL_REGION_BYTES;
}

size_t tacit_smr_byzantine_registers_bytes(const struct tacit_smr_config *config)
{
    struct tacit_links_config links = tacit_smr_byzantine_links(config);
    struct tacit_registers_config registers = tacit_smr_byzantine_registers(config);
    size_t bytes = tacit_registers_region_bytes(&registers);
    if (links.place == TACIT_LINKS_ON_MEMNODES) {
        bytes += tacit_links_region_bytes(&links);
    }
    return tacit_round_up(bytes, 64);
}

enum tacit_status tacit_smr_byzantine_check(const struct tacit_smr_config *config,
                                            const char **problem)
{
    const struct tacit_byzantine_config *byzantine = &config->byzantine;
    *problem = NULL;
    if (config->replicas < 3 || config->replicas % 2 == 0) {
        *problem = "mode byzantine: 2f+1 replicas are accepted: 3, 5, 7, 9, 11, 13 or 15";
    } else if (config->memnodes % 2 == 0) {
        *problem = "mode byzantine: an odd number of memory nodes is accepted, 1 to 15";
    } else if (byzantine->window < 4 || byzantine->window > 4096 || byzantine->window % 2 != 0) {
        *problem = "mode byzantine: window: an even number from 4 to 4096 is accepted";
    } else if (byzantine->tail < 16 || byzantine->tail > 1024 || byzantine->tail % 2 != 0) {
        *problem = "mode byzantine: tail: an even number from 16 to 1024 is accepted";
    } else if (byzantine->signer == NULL) {
        *problem = "mode byzantine: a replica needs its signing pool";
    }
    return *problem == NULL ? TACIT_OK : TACIT_EINVAL;
}
