// SPDX-License-Identifier: Apache-2.0
//
// How much memory a node takes: which parts it has and how many of each follow from the
// configuration; how large a part is, the code that lays it out says.
#include <inttypes.h>

#include "tacit/config.h"
#include "tacit/layout.h"

#define ENTRY_HEADER_BYTES 48u
#define REGIONS_PER_CANDIDATE 2u // the present incarnation and the one before it

uint64_t tacit_config_log_region_bytes(const struct tacit_config *config)
{
    const uint64_t line = TACIT_CACHE_LINE;
    const uint64_t entry = ENTRY_HEADER_BYTES + config->limits.batch_bytes;
    const uint64_t slot = (entry + line - 1) / line * line + line;
    return TACIT_LOG_ENTRIES + config->limits.log_entries * slot;
}

static void add_part(struct tacit_config_figure *figure, const char *what, uint64_t count,
                     bool is_known, uint64_t each_bytes)
{
    if (count == 0) {
        return;
    }
    figure->parts[figure->part_count++] = (struct tacit_config_figure_part){
        .what = what, .is_known = is_known, .count = count, .each_bytes = each_bytes};
    uint64_t bytes = 0;
    figure->is_complete &= is_known;
    if (__builtin_mul_overflow(count, each_bytes, &bytes) ||
        __builtin_add_overflow(figure->total_bytes, bytes, &figure->total_bytes)) {
        figure->total_bytes = UINT64_MAX;
    }
}

static void ask_part(struct tacit_config_figure *figure, const char *what, uint64_t count,
                     const struct tacit_config *config,
                     uint64_t (*size)(const struct tacit_config *))
{
    add_part(figure, what, count, size != NULL, size != NULL ? size(config) : 0);
}

void tacit_config_figures_fill(struct tacit_config_figures *out, const struct tacit_config *config,
                               const struct tacit_config_sizes *sizes)
{
    const bool is_crash = config->mode == TACIT_CONFIG_CRASH;
    const bool on_memnodes = is_crash && config->log_on == TACIT_CONFIG_LOG_ON_MEMNODES;
    const uint64_t n = config->replica_count;
    const uint64_t regions = is_crash ? REGIONS_PER_CANDIDATE * n : 0;
    const uint64_t has_memnodes = config->memnode_count != 0;
    *out = (struct tacit_config_figures){
        .replica.is_complete = true, .memnode.is_complete = true, .client.is_complete = true};
    struct tacit_config_figure_part parts[TACIT_CONFIG_FIGURE_PARTS_MAX];
    uint32_t known = sizes->replica_parts == NULL
                         ? 0
                         : sizes->replica_parts(config, parts, TACIT_CONFIG_FIGURE_PARTS_MAX);
    for (uint32_t i = 0; i < known; i++) {
        add_part(&out->replica, parts[i].what, parts[i].count, true, parts[i].each_bytes);
    }
    if (known == 0) {
        add_part(&out->replica, "all of it", 1, false, 0);
    }
    struct tacit_config_figure *memnode = &out->memnode;
    ask_part(memnode, "log regions of candidates", on_memnodes ? regions : 0, config,
             sizes->log_region);
    ask_part(memnode, "pages and control words", is_crash ? has_memnodes : 0, config,
             sizes->host_control);
    ask_part(memnode, "registers of all replicas", is_crash ? 0 : has_memnodes, config,
             sizes->memnode_registers);
    ask_part(&out->client, "rings of replicas", n, config, sizes->client_per_replica);
}

static void print_bytes(FILE *out, uint64_t bytes)
{
    const uint64_t kib = 1024;
    if (bytes < 10 * kib) {
        (void)fprintf(out, "%" PRIu64 " B", bytes);
    } else if (bytes < 10 * kib * kib) {
        (void)fprintf(out, "%" PRIu64 " KiB", bytes / kib + (bytes % kib != 0));
    } else {
        (void)fprintf(out, "%" PRIu64 " MiB", bytes / (kib * kib) + (bytes % (kib * kib) != 0));
    }
}

static void print_figure(FILE *out, const char *node, const struct tacit_config_figure *figure)
{
    if (figure->part_count == 0) {
        return;
    }
    (void)fprintf(out, "%s: ", node);
    print_bytes(out, figure->total_bytes);
    (void)fprintf(out, "%s\n", figure->is_complete ? "" : " and what is not known below");
    for (uint32_t i = 0; i < figure->part_count; i++) {
        const struct tacit_config_figure_part *part = &figure->parts[i];
        (void)fprintf(out, "  %s: ", part->what);
        if (part->is_known) {
            (void)fprintf(out, "%" PRIu64 " x ", part->count);
            print_bytes(out, part->each_bytes);
            (void)fputc('\n', out);
        } else {
            (void)fprintf(out, "%" PRIu64 " x not known\n", part->count);
        }
    }
}

bool tacit_config_figures_print(FILE *out, const struct tacit_config_figures *figures)
{
    print_figure(out, "each replica", &figures->replica);
    print_figure(out, "each memory node", &figures->memnode);
    print_figure(out, "each client", &figures->client);
    return fflush(out) == 0 && !ferror(out);
}
