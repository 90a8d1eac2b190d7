// SPDX-License-Identifier: Apache-2.0
//
// State transfer: brings this replica's pages to a checkpoint of another replica by one-sided reads
// of its STATE region, page by page, while the source goes on executing. Every page is checked
// against the digest table, the table against its root; pages that are already right are not
// fetched; a source that dies or takes a newer checkpoint in the middle is replaced or followed
// without starting over.
//
// Pages are fetched into the shadow pages (the own checkpoint is withdrawn for that) and the own
// state stays as it is, so that nothing is lost if every source dies in the middle; it must not be
// executed on meanwhile. Only when a whole checkpoint is there is it installed, which needs nobody
// else any more.
#ifndef TACIT_STATE_TRANSFER_H
#define TACIT_STATE_TRANSFER_H

#include "pages.h"
#include "tacit/fabric.h"

#define TACIT_TRANSFER_READS 8u
#define TACIT_TRANSFER_TABLE_CHUNK 4096u

enum tacit_transfer_step {
    TACIT_TRANSFER_IDLE = 0,
    TACIT_TRANSFER_ASK,    // needs a source
    TACIT_TRANSFER_HEADER, // waits for a checkpoint that is new enough
    TACIT_TRANSFER_TABLE,
    TACIT_TRANSFER_PAGES,
    TACIT_TRANSFER_INSTALL, // the own state is a mixture from now to the end of the transfer
    TACIT_TRANSFER_DRAIN, // reads of an attempt that was given up must end before buffers are used
                          // again
};

struct tacit_transfer_read {
    bool used;
    bool shadow; // second try
    uint32_t page;
};

struct tacit_transfer {
    struct tacit_fabric *fabric;
    struct tacit_pages *pages;
    struct tacit_marker marker;
    uint8_t replicas;
    uint32_t skip_first; // seeded bug: pages that are not installed
    uint32_t skip_last;
    enum tacit_transfer_step step;
    tacit_index_t want;
    tacit_node_t source;
    tacit_incarnation_t source_incarnation;
    tacit_time_ns_t patience_ns;
    tacit_time_ns_t started_ns;
    tacit_time_ns_t give_up_ns; // with this source
    tacit_time_ns_t again_ns;   // read the header again
    uint32_t outstanding;
    enum tacit_transfer_step after_drain;
    bool header_pending;
    bool withdrawn;    // the shadow pages are the transfer's
    bool check_header; // a page did not fit: has the checkpoint gone?
    uint64_t number;
    tacit_index_t index;
    uint64_t root;
    uint32_t cursor;
    uint64_t *staged; // bitmap: the shadow page was fetched
    uint64_t *header; // 4 words, read into
    uint64_t *table;
    uint8_t *staging; // TACIT_TRANSFER_READS pages
    struct tacit_transfer_read reads[TACIT_TRANSFER_READS];
    uint64_t transfers, fetched; // counters
};

// Takes its buffers (attached memory) from `bump`. `patience_ns`: how long a source may take for a
// step.
void tacit_transfer_init(struct tacit_transfer *transfer, struct tacit_bump *bump,
                         struct tacit_fabric *fabric, struct tacit_pages *pages, uint8_t replicas,
                         tacit_time_ns_t patience_ns, struct tacit_marker marker);
// Starts (or raises the demand of) a transfer of a checkpoint of at least `want` entries.
void tacit_transfer_start(struct tacit_transfer *transfer, tacit_index_t want,
                          tacit_time_ns_t now_ns);
// Gives a transfer up that is not being installed yet; the own state is as before.
void tacit_transfer_cancel(struct tacit_transfer *transfer, tacit_time_ns_t now_ns);
static inline bool tacit_transfer_busy(const struct tacit_transfer *transfer)
{
    return transfer->step != TACIT_TRANSFER_IDLE;
}
// Completions with TACIT_COOKIE_TRANSFER.
void tacit_transfer_completion(struct tacit_transfer *transfer, const struct tacit_event *event,
                               tacit_time_ns_t now_ns);
void tacit_transfer_down(struct tacit_transfer *transfer, tacit_node_t node,
                         tacit_time_ns_t now_ns);
// One turn. `up`: bit r = replica r may be asked, under incarnations[r]; a source that may not is
// left, if another one may. True once when a whole checkpoint is in place: its index is then
// transfer->index.
bool tacit_transfer_poll(struct tacit_transfer *transfer, uint32_t up,
                         const tacit_incarnation_t *incarnations, tacit_time_ns_t now_ns);
tacit_time_ns_t tacit_transfer_deadline(const struct tacit_transfer *transfer);

#endif
