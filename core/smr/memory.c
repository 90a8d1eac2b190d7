// SPDX-License-Identifier: Apache-2.0
//
// Where a replica's memory goes. The parts are measured while they are laid out, so their sum is
// what is taken.
#include "../state/certified.h"
#include "internal.h"

static void add(struct tacit_smr_memory *memory, const char *what, uint64_t count,
                uint64_t each_bytes)
{
    if (count == 0 || each_bytes == 0) {
        return;
    }
    TACIT_ASSERT(memory->count < TACIT_SMR_MEMORY_PARTS_MAX);
    memory->parts[memory->count++] =
        (struct tacit_smr_memory_part){.what = what, .count = count, .each_bytes = each_bytes};
    memory->total_bytes += count * each_bytes;
}

void tacit_smr_note(struct tacit_smr *smr, const struct tacit_bump *bump, const char *what)
{
    struct tacit_smr_memory *memory = smr->measured;
    if (memory == NULL) {
        return;
    }
    uint64_t bytes = bump->used - smr->measured_bytes;
    smr->measured_bytes = bump->used;
    if (what == NULL) {
        memory->state_tables_bytes += bytes;
    } else {
        add(memory, what, 1, bytes);
    }
}

struct state_bytes {
    uint64_t region, tables;
};

// What pages take: live, as checkpoints, and their digests.
static struct state_bytes state_bytes(bool byzantine, uint32_t pages)
{
    static const struct tacit_marker nobody;
    struct tacit_bump bump = {NULL, 0};
    struct tacit_pages measured;
    if (byzantine) {
        tacit_certified_init(&measured, &bump, NULL, pages, 0, nobody);
        return (struct state_bytes){tacit_certified_region_bytes(pages), bump.used};
    }
    tacit_pages_init(&measured, &bump, NULL, pages);
    return (struct state_bytes){tacit_pages_region_bytes(pages), bump.used};
}

void tacit_smr_memory(const struct tacit_smr_config *config, struct tacit_smr_memory *memory)
{
    bool byzantine = config->engine == TACIT_ENGINE_BYZANTINE;
    struct tacit_host_layout layout = tacit_smr_replica_layout(config);
    *memory = (struct tacit_smr_memory){.count = 2}; // of the two that come first in the list
    size_t bytes = tacit_smr_measure(config, memory);
    add(memory, "rounding up", 1, bytes - memory->total_bytes - memory->state_tables_bytes);
    uint32_t arena_pages = (uint32_t)(config->arena_bytes / TACIT_PAGE_BYTES);
    struct state_bytes sessions = state_bytes(byzantine, tacit_smr_pages(config) - arena_pages);
    uint64_t sessions_bytes = sessions.region + sessions.tables;
    memory->arena_bytes = layout.state_bytes + memory->state_tables_bytes - sessions_bytes;
    memory->parts[0] = (struct tacit_smr_memory_part){
        "application arena, its checkpoints and digests", 1, memory->arena_bytes};
    memory->parts[1] = (struct tacit_smr_memory_part){"sessions with the replies kept, the same", 1,
                                                      sessions_bytes};
    memory->total_bytes += memory->arena_bytes + sessions_bytes;
    add(memory, "request rings of clients", config->clients, layout.requests_bytes);
    add(memory, byzantine ? "rings and cells of replicas" : "control words of replicas",
        config->replicas, layout.control_bytes);
    add(memory, "log regions of candidates", 2ull * config->replicas, layout.log_bytes);
    add(memory, "published words", 1, layout.page_bytes);
}
