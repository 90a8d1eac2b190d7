// SPDX-License-Identifier: Apache-2.0
//
// Links whose sender is the input: a script of writes into the receiver's region, between reads of
// messages, bodies and votes, which never step outside and give back what fits.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/byzantine/links.h"

enum { SLOTS = 4, MESSAGE = 40, BODIES = 3, BODY = 48, WINDOW = 4, STEPS_MAX = 2048 };

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

struct script {
    const uint8_t *at, *end;
};

static uint64_t take(struct script *script, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes && script->at < script->end; i++) {
        value |= (uint64_t)*script->at++ << (8 * i);
    }
    return value;
}

static uint8_t *region;
static size_t region_bytes;

static void *local(struct tacit_fabric *fabric, struct tacit_region_key key, size_t *bytes)
{
    (void)fabric;
    *bytes = key.owner == 1 ? region_bytes : 0;
    return key.owner == 1 ? region : NULL;
}

static void look(struct tacit_links *links, struct script *script)
{
    uint8_t out[BODY];
    uint32_t bytes = UINT32_MAX;
    if (tacit_links_receive(links, 1, out, &bytes) == TACIT_VERDICT_OK) {
        must(bytes <= MESSAGE);
    }
    uint32_t max = (uint32_t)take(script, 1) % (BODY + 1);
    bytes = UINT32_MAX;
    if (tacit_links_body(links, 1, take(script, 1), out, max, &bytes) == TACIT_VERDICT_OK) {
        must(bytes <= max);
    }
    for (unsigned kind = 0; kind < 2; kind++) {
        struct tacit_vote vote = {.slot = 77};
        uint64_t slot = take(script, 1);
        must(tacit_links_voted(links, 1, (enum tacit_vote_kind)kind, slot, &vote) !=
                 TACIT_VERDICT_OK ||
             vote.slot == slot);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tacit_fabric_ops ops = {.local = local};
    struct tacit_fabric fabric = {.ops = &ops, .incarnation = 1};
    struct tacit_links_config config = {.replicas = 2,
                                        .self = 0,
                                        .slots = SLOTS,
                                        .message_bytes = MESSAGE,
                                        .bodies = BODIES,
                                        .body_bytes = BODY,
                                        .window = WINDOW};
    struct tacit_bump measure = {.base = NULL};
    tacit_links_init(&measure, &config, NULL, (struct tacit_marker){0});
    struct tacit_bump bump = {.base = aligned_alloc(64, tacit_round_up(measure.used, 64))};
    region_bytes = tacit_links_region_bytes(&config);
    region = calloc(1, region_bytes);
    must(bump.base != NULL && region != NULL);
    void *memory = bump.base;
    struct tacit_links *links = tacit_links_init(&bump, &config, &fabric, (struct tacit_marker){0});
    tacit_links_accept(links, 1, 1);
    struct script script = {data, data + size};
    for (uint32_t step = 0; step < STEPS_MAX && script.at < script.end; step++) {
        uint64_t at = take(&script, 2) % (region_bytes / 8) * 8;
        uint64_t word = take(&script, 1);
        word = (word & 1) != 0 ? take(&script, 8) : word / 2;
        memcpy(region + at, &word, 8);
        look(links, &script);
    }
    free(region);
    free(memory);
    return 0;
}
