// SPDX-License-Identifier: Apache-2.0
//
// Certified state transfer: brings this replica's pages to a checkpoint whose (index, root) a
// certificate proved, by one-sided reads of other replicas' STATE regions (certified.h) while they
// go on executing. The counterpart of transfer.h for sources that may lie.
//
// What is read is copied to private memory, checked against a digest that follows from the
// certified root, and only then used. It goes from the top down: 64 digests at a time, each against
// the digest above them, then pages. So a lie is found with the unit in which it stands, and pages
// and digests that this replica has already, from its own state or from an earlier source, are not
// fetched. What was verified stays verified, whichever source comes next and also when the
// transfer goes on with a newer certificate.
//
// A unit that does not fit is either a lie or the sign that the source's publication has ended in
// the middle. So the header is read again: if it still shows the same publication then no correct
// source could have shown such bytes, and the source is bad until all others were tried;
// otherwise it has moved on and is left without blame. Headers are hints: a false one wastes a
// bounded time of one source. Each source must give TACIT_FETCH_LEAST units in every period of
// `patience_ns`, else another one is tried. When all were tried the caller is told, once a round,
// and the next round begins with all of them, since the others may have nothing to give.
//
// Fetched pages wait in the area for snapshots that is not published; the own state and the
// published snapshot stay as they are until all of the checkpoint is here. It must not be executed
// on meanwhile. Then pages are moved into place, the root is computed anew from what is in place
// and compared with the certified one, and the checkpoint is published.
//
// Threads and time: as all of core; one turn does a bounded amount of work.
#ifndef TACIT_STATE_FETCH_H
#define TACIT_STATE_FETCH_H

#include "certified.h"
#include "tacit/fabric.h"

#define TACIT_FETCH_READS 8u
#define TACIT_FETCH_LEAST 64u // units (pages or chunks of digests)
#define TACIT_FETCH_SLOT_BYTES (2u * TACIT_PAGE_BYTES + 64u)

enum tacit_fetch_step {
    TACIT_FETCH_IDLE = 0,
    TACIT_FETCH_OWN,     // digests of the own state are brought up to date
    TACIT_FETCH_ASK,     // needs a source
    TACIT_FETCH_HEADER,  // looks for the checkpoint at the source
    TACIT_FETCH_WALK,    // digests and pages
    TACIT_FETCH_DRAIN,   // reads of an attempt that was given up must end first
    TACIT_FETCH_INSTALL, // the own state is a mixture from now to the end
    TACIT_FETCH_PROVE,   // the root of what is in place
};

enum tacit_fetch_result {
    TACIT_FETCH_NOTHING = 0,
    TACIT_FETCH_DONE,       // in place and published; reload, then execute from `index` on
    TACIT_FETCH_SUPERSEDED, // no source has this checkpoint any more and one claims to have a newer
                            // one (`newest`, a hint): start() with a newer certificate
    TACIT_FETCH_FAILED, // nobody gave it: no source, only dead, slow or bad ones. Goes on trying
};

struct tacit_fetch_read {
    bool used;
    bool due;         // the queue was full: to be asked for
    uint8_t part;     // of a page: live, saved bits, shadow
    uint16_t blocks;  // of the page that are in the shadow
    uint32_t stratum; // `strata` for a page
    uint32_t unit;
};

struct tacit_fetch_counters {
    uint64_t transfers, restarts, pages, chunks, lies, moved, slow, lost, superseded, failed,
        unproven;
};

struct tacit_fetch {
    struct tacit_fabric *fabric;
    struct tacit_pages *pages;
    struct tacit_marker marker;
    struct tacit_state_layout layout;
    uint8_t replicas;
    tacit_time_ns_t patience_ns;
    enum tacit_fetch_step step;
    enum tacit_fetch_step after_drain;
    tacit_index_t index; // what is certified
    struct tacit_digest root;
    tacit_node_t source;
    tacit_incarnation_t source_incarnation;
    uint32_t bad;         // bit r: r lied in this round
    uint32_t passed;      // bit r: r was tried in this round
    tacit_index_t newest; // highest index that a source showed in this round
    tacit_time_ns_t give_up_ns, again_ns;
    uint32_t units;       // verified in this period
    uint32_t outstanding; // reads
    bool header_pending;
    bool doubt;            // a unit did not fit: has the publication ended?
    uint64_t number, area; // of the source's publication
    uint32_t stratum;      // walk: which, `strata` for the pages
    uint32_t cursor;
    uint32_t own_area; // where fetched pages wait
    bool own_begun;
    uint64_t *staged;                             // bitmap: the page waits there
    struct tacit_digest *want[TACIT_TREE_STRATA]; // [0]: of pages; verified from the top down
    struct tacit_digest *fits[TACIT_TREE_STRATA]; // what a chunk of want[s] hashes to
    struct tacit_digest *have;                    // of the page that is here, live or staged
    uint64_t *header;
    uint8_t *slots;
    struct tacit_fetch_read reads[TACIT_FETCH_READS];
    struct tacit_fetch_counters counters;
};

// Takes its buffers (attached memory; 1.6 % of the pages) from `bump`; with bump->base NULL only
// measures (then pages->count alone is used). `patience_ns`: how long a source may take for
// TACIT_FETCH_LEAST units, or to show the checkpoint.
void tacit_fetch_init(struct tacit_fetch *fetch, struct tacit_bump *bump,
                      struct tacit_fabric *fabric, struct tacit_pages *pages, uint8_t replicas,
                      tacit_time_ns_t patience_ns, struct tacit_marker marker);
// Starts a transfer of the checkpoint that a checked certificate names, or goes on with a newer one
// and keeps what it has. False, and nothing happens: not newer, or one is being installed.
bool tacit_fetch_start(struct tacit_fetch *fetch, tacit_index_t index,
                       const struct tacit_digest *root, tacit_time_ns_t now_ns);
// Gives up a transfer that is not being installed; the own state is as before.
void tacit_fetch_cancel(struct tacit_fetch *fetch, tacit_time_ns_t now_ns);
static inline bool tacit_fetch_busy(const struct tacit_fetch *fetch)
{
    return fetch->step != TACIT_FETCH_IDLE;
}
// The own state is neither the old nor the new one.
static inline bool tacit_fetch_is_installing(const struct tacit_fetch *fetch)
{
    return fetch->step == TACIT_FETCH_INSTALL || fetch->step == TACIT_FETCH_PROVE;
}
// Completions with TACIT_COOKIE_TRANSFER.
void tacit_fetch_completion(struct tacit_fetch *fetch, const struct tacit_event *event,
                            tacit_time_ns_t now_ns);
void tacit_fetch_down(struct tacit_fetch *fetch, tacit_node_t node, tacit_time_ns_t now_ns);
// One turn. `up`: bit r = replica r can be reached, under incarnations[r].
enum tacit_fetch_result tacit_fetch_poll(struct tacit_fetch *fetch, uint32_t up,
                                         const tacit_incarnation_t *incarnations,
                                         tacit_time_ns_t now_ns);
tacit_time_ns_t tacit_fetch_deadline(const struct tacit_fetch *fetch);

#endif
