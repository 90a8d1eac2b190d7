// SPDX-License-Identifier: Apache-2.0
//
// The crash engine: Mu (Aguilera et al., OSDI 2020), finished. The leader replicates a batch with
// one write per log host; only one replica at a time may append to a host's log, so a write that
// succeeded proves that nobody took over. See core/README.md for the protocol and its invariants.
//
// Files: crash.c (life, events), follow.c (followers on own log), follow_remote.c (followers on
// memory nodes), election.c (asking for permission), recovery.c (catch-up and prepare), stream.c
// (append, decide, commit), lease.c (leases for reads), grants.c (the host's side of permissions).
//
// Terms. A *term* is one attempt to lead, from asking to stepping down; everything that depends on
// it is dropped at its end and late completions of it are ignored. The *journal* is a private copy
// of the newest log_entries entries that this replica follows, adopts or proposes; all appends are
// posted from it.
#ifndef TACIT_CRASH_CRASH_H
#define TACIT_CRASH_CRASH_H

#include "../base/mark.h"
#include "../base/words.h"
#include "../log/entry.h"
#include "tacit/fabric.h"
#include "tacit/grants.h"
#include "tacit/layout.h"
#include "tacit/smr.h"
#include "tacit/status.h"

#define TACIT_HOSTS_MAX 15u
#define TACIT_SMALL_READS 192u // pool of reads with small buffers
#define TACIT_SMALL_READ_BYTES 704u
#define TACIT_LARGE_READS 16u     // pool of reads with room for an entry
#define TACIT_SCAN_GROUP 8u       // indices looked at together in a scan
#define TACIT_SCAN_CANDIDATES 24u // whole-looking copies of an index that are remembered
#define TACIT_ATTEMPT_MAX_NS 100000000ull
#define TACIT_BALLOT_WORDS 64u
#define TACIT_SCAN_EVIDENCE 16u
#define TACIT_SCAN_MEMORY                                                                          \
    512u // more than inflight (checked) and a group: span of holes and entries
#define TACIT_CANDIDATE_EAGER_NS 10000u // a candidate looks for acknowledgements without a pause,
#define TACIT_CANDIDATE_LOOK_NS 20000u  // and after that with this one
#define TACIT_HEADS_NS 100000u          // heads that hold up the ring are read again after this
#define TACIT_IDLE_COMMIT_NS 50000u     // an idle leader flushes the commit word after this
#define TACIT_CHECK_AHEAD 32u           // own entries at a host looked at ahead of the stream

enum tacit_host_stage {
    TACIT_HOST_IDLE = 0,  // not asked
    TACIT_HOST_ASKED,     // request number written
    TACIT_HOST_GRANTED,   // acknowledged; its list of regions is being read
    TACIT_HOST_HEADERS,   // headers of all its LOG regions are being read
    TACIT_HOST_GATHERED,  // promises and commit words known
    TACIT_HOST_PROMISING, // own ballot is being written
    TACIT_HOST_PROMISED,
    TACIT_HOST_STREAMING, // entries are written in order and counted
};

struct tacit_host_region {
    tacit_node_t owner;
    tacit_incarnation_t incarnation;
    int32_t handle;
    uint8_t header;         // 0 to be read, 1 asked for, 2 known
    uint64_t commit_ballot; // of the term that wrote `commit`, 0: not known
    tacit_index_t commit;
};

// What a look at the own region at a host said about one index (rule: a value that stands there
// whole is adopted by its word, never rewritten).
enum tacit_own_copy {
    TACIT_OWN_UNKNOWN = 0,
    TACIT_OWN_READING,
    TACIT_OWN_LOOK_AGAIN, // its header fits: the body is to be compared
    TACIT_OWN_ABSENT,
    TACIT_OWN_SAME,
};

struct tacit_log_host {
    tacit_node_t node;
    bool up;
    tacit_incarnation_t incarnation;
    int32_t page, control, own_log; // handles, -1 unknown

    enum tacit_host_stage stage;
    uint64_t request;
    tacit_node_t rival; // while asked: who else was last seen to hold it
    uint64_t generation;
    bool page_pending;
    uint32_t reads;           // under way
    tacit_time_ns_t reads_ns; // when the last one ended, or the first began
    tacit_time_ns_t asked_ns, look_ns, blocked_ns;
    struct tacit_host_region regions[TACIT_PAGE_REGIONS_MAX];
    uint32_t region_count;
    uint32_t headers_left;
    uint64_t promise; // largest of all regions
    tacit_index_t commit;
    tacit_index_t floor; // largest FLOOR word of all regions
    tacit_index_t floor_sent;
    tacit_index_t head; // its applied head when it granted (log on replicas)
    bool own_fresh;     // this replica never led here: no own entries to look for

    // The lease here (lease.c).
    uint64_t lease_word;             // what is written to renew it
    uint32_t renewal;                // number of the one under way, or of the next
    tacit_time_ns_t renewing_ns;     // when it was sent, 0: none is under way
    tacit_time_ns_t renewing_for_ns; // and how long it counts
    tacit_time_ns_t lease_until_ns;  // 0: none

    tacit_index_t start, next, acked;
    tacit_index_t commit_sent;
    bool low_sent;
    tacit_index_t checked; // own copies below were looked at or are being
    uint8_t own[TACIT_CHECK_AHEAD];
};

enum tacit_read_kind {
    TACIT_READ_NONE = 0,
    TACIT_READ_PAGE,   // a host's PAGE: acknowledgement and list of regions
    TACIT_READ_HEADER, // header of a LOG region
    TACIT_READ_SCAN,   // header of an entry
    TACIT_READ_SCAN_BODY,
    TACIT_READ_OWN, // header of an own entry at a host
    TACIT_READ_OWN_BODY,
    TACIT_READ_HEAD,   // applied head of a replica
    TACIT_READ_FOLLOW, // follower on memory nodes
};

struct tacit_read {
    uint8_t kind;
    uint8_t host; // position among log hosts; replica id for HEAD
    uint16_t region;
    uint32_t term;
    uint32_t bytes;
    tacit_index_t index;
    uint8_t *buffer;
};

struct tacit_scan_candidate {
    uint64_t ballot; // effective
    uint8_t host;
    uint16_t region;
    uint32_t length;
};

struct tacit_scan_index {
    bool found;
    bool reading;
    uint32_t candidates;
    struct tacit_scan_candidate candidate[TACIT_SCAN_CANDIDATES];
};

// All indices below `commit` were decided at `ballot` or before.
struct tacit_scan_evidence {
    uint64_t ballot; // 0: none
    tacit_index_t commit;
};

// Catch-up and prepare of a new leader (recovery.c).
struct tacit_scan {
    bool active;
    bool too_far;
    uint32_t hosts;          // bit h: confirmed when the scan began
    tacit_index_t base;      // of the group
    tacit_index_t end;       // scanned when base reaches it
    tacit_index_t found_end; // one above the highest whole entry
    tacit_index_t decided;   // D
    struct tacit_scan_evidence evidence[TACIT_SCAN_EVIDENCE];
    tacit_index_t hole; // first index without a whole entry, UINT64_MAX: none yet
    tacit_index_t
        found[TACIT_SCAN_MEMORY]; // index + 1 where a whole entry was found, by index mod size
    uint32_t cursor;              // next (index, host, region) to read in this group
    uint32_t headers_out;
    uint32_t bodies_out;
    struct tacit_scan_index group[TACIT_SCAN_GROUP];
};

// A follower that reads its entries from a memory node (follow_remote.c).
struct tacit_follow_remote {
    uint8_t host; // position of the memory node that is followed
    uint8_t step;
    uint32_t out;    // reads under way in this step
    bool failed;     // one of them did not succeed
    uint32_t looked; // bit h: memory node h was looked at since an active leader was last seen
    tacit_node_t holder;
    tacit_incarnation_t holder_incarnation;
    int32_t region;
    tacit_time_ns_t next_ns;
    struct {
        uint64_t holder, sum; // its word there; commit and touch words of its region there
    } last[TACIT_HOSTS_MAX];  // by memory node
    tacit_index_t base;       // of the entries being read
    tacit_index_t commit;
    bool lengths_known; // the headers were read
    uint32_t lengths[TACIT_SCAN_GROUP];
};

struct tacit_crash {
    const struct tacit_smr_config *config;
    struct tacit_fabric *fabric;
    struct tacit_marker marker;
    const uint64_t *members; // admitted incarnation by node, replicated state
    bool hosts_log;          // this replica is a log host
    bool active;             // admitted, has state: may follow, grant, ask
    struct tacit_grants grants;

    enum tacit_role role;
    uint32_t term;
    tacit_time_ns_t now_ns;
    tacit_time_ns_t tick_ns; // period of what is done regularly; longer while nothing happens
    uint32_t trusted, dead;

    uint32_t host_count;
    struct tacit_log_host hosts[TACIT_HOSTS_MAX];
    bool peer_up[TACIT_REPLICAS_MAX];
    tacit_incarnation_t peer_incarnation[TACIT_REPLICAS_MAX];
    tacit_index_t heads[TACIT_REPLICAS_MAX]; // published applied heads, as last read
    bool head_pending[TACIT_REPLICAS_MAX];
    tacit_time_ns_t head_ns[TACIT_REPLICAS_MAX]; // when that read began

    // Journal and what is known of the log.
    struct tacit_log_shape shape;
    uint8_t *journal;
    tacit_index_t journal_low;  // [low, tail or seen) are in the journal
    tacit_index_t applied;      // entries below were executed here
    tacit_index_t decided;      // entries below are decided and (from applied on) in the journal
    tacit_index_t commit_known; // largest commit index heard of
    tacit_index_t seen;         // follower: entries below are in the journal
    uint64_t follow_ballot;     // term of the leader that is followed
    uint64_t follow_generation;
    const uint8_t *follow_log; // the holder's region here, of follow_holder; NULL: look it up
    uint64_t follow_holder;
    tacit_node_t leader;      // believed
    tacit_index_t need_state; // wants a checkpoint of at least so many entries, 0: no

    // Candidate.
    uint64_t counter; // of request numbers and ballots
    tacit_time_ns_t ask_after_ns;
    tacit_time_ns_t attempt_end_ns;
    tacit_time_ns_t attempt_ns; // length of the next attempt
    tacit_time_ns_t backoff_ns;
    tacit_time_ns_t grant_ns;      // recent duration of getting a majority
    tacit_time_ns_t leaderless_ns; // since when no trusted holder is known, 0: one is
    uint32_t prefetched;           // LOG regions in this attempt
    tacit_time_ns_t asked_ns, granted_ns;
    tacit_time_ns_t lost_ns; // when a replica was last lost, or this one asked to lead

    // Leader.
    uint64_t ballot;
    // What promises and adopted words are written from. A word for each of the newest terms: an
    // operation of an earlier one may still read its word.
    uint64_t ballot_words[TACIT_BALLOT_WORDS];
    tacit_index_t first_free; // of this term: everything below was found or filled by recovery
    tacit_index_t tail;       // next index to propose
    tacit_time_ns_t proposed_ns, touched_ns, heads_ns, progress_ns;
    uint64_t touch;
    tacit_index_t rung;       // followers were rung when the tail was here
    tacit_index_t barrier;    // entries below must be executed before more are decided
    tacit_index_t free_below; // entries below were applied by enough replicas
    tacit_node_t laggard;     // memory-node mode: holds up recycling for too long, to be removed
    tacit_node_t slowest;
    tacit_time_ns_t slowest_ns;
    tacit_index_t kept_up;     // what every working follower had applied, as last computed
    tacit_node_t slow;         // the one that is waited for, or was
    tacit_index_t slow_head;   // where it was
    tacit_time_ns_t slow_ns;   // since when
    bool is_waiting;           // for it, now
    tacit_time_ns_t retire_ns; // next look for superseded regions at memory nodes
    tacit_index_t admitted_at[TACIT_REPLICAS_MAX]; // an index not below the last admission of r
    tacit_time_ns_t lease_ns;                      // length at present, 0: leases are off
    uint64_t lease_wait_ns;                        // what hosts are told: longer than that
    uint64_t renewals;                             // numbers of this incarnation's lease words
    tacit_time_ns_t lease_until_ns;                // at a majority, 0: none
    uint32_t lease_lapses;                         // in this term, since it became longer

    struct tacit_scan scan;
    struct tacit_follow_remote remote;
    uint64_t activity;          // commit and touch words last seen of the leader
    tacit_time_ns_t active_ns;  // when they changed
    uint64_t holder_generation; // of the holder that active_ns speaks of
    struct tacit_read small[TACIT_SMALL_READS];
    struct tacit_read large[TACIT_LARGE_READS];

    struct {
        uint64_t elections_started, elections_won, elections_lost, steps_down;
        uint64_t adopted, noop, copied, adopted_words, touches, head_reads, proposed;
        uint64_t detect_to_ask_ns, permission_ns, recovery_ns;
        tacit_time_ns_t led_ns; // when that election was won
        uint64_t lease_lapses;
        uint64_t unexpected;
    } counters;
};

// Memory for the journal and the read buffers from `bump` (attached to the fabric). `members`: the
// replicated table of incarnations.
void tacit_crash_init(struct tacit_crash *crash, struct tacit_bump *bump,
                      const struct tacit_smr_config *config, struct tacit_fabric *fabric,
                      struct tacit_marker marker, tacit_time_ns_t now_ns);
// Starts to take part: this incarnation is a member and has the state after `applied` entries.
void tacit_crash_activate(struct tacit_crash *crash, const uint64_t *members,
                          tacit_index_t applied);
// Was admitted again: leaves it to the others to lead, until a leader that is there would have
// come.
void tacit_crash_yield_at_first(struct tacit_crash *crash);
// Stops (was removed, or waits for state): follows and grants no more.
void tacit_crash_deactivate(struct tacit_crash *crash);
// The state after `applied` entries was installed.
void tacit_crash_installed(struct tacit_crash *crash, tacit_index_t applied);
void tacit_crash_event(struct tacit_crash *crash, const struct tacit_event *event,
                       tacit_time_ns_t now_ns);
void tacit_crash_suspicion(struct tacit_crash *crash, uint32_t trusted, uint32_t dead);
// True if anything happened.
bool tacit_crash_poll(struct tacit_crash *crash, tacit_time_ns_t now_ns);
tacit_time_ns_t tacit_crash_deadline(const struct tacit_crash *crash);

// Payload of the next decided entry (index crash->applied), or NULL. In the journal: not to be
// changed, gone when the next entries are proposed or followed.
const uint8_t *tacit_crash_next(struct tacit_crash *crash, uint32_t *length);
// That entry was executed.
void tacit_crash_executed(struct tacit_crash *crash);
// A membership entry for `node` took effect (its table word has changed).
void tacit_crash_membership(struct tacit_crash *crash, tacit_node_t node);

// Whether no other replica can have led before `now_ns`, so that the state here is the newest. For
// a read: state first, then a fresh look at the clock, then this.
bool tacit_lease_holds(const struct tacit_crash *crash, tacit_time_ns_t now_ns);
// Until when that is so, 0: it is not.
tacit_time_ns_t tacit_lease_until(const struct tacit_crash *crash);

// Leader: room for the payload of the next batch (batch_bytes), NULL while none may be proposed.
// `removal`: for an entry that removes a member which holds up the reuse of positions; a few
// positions are kept for these.
uint8_t *tacit_crash_open(struct tacit_crash *crash, bool removal);
// `flags`: of the entry (log/entry.h).
void tacit_crash_propose(struct tacit_crash *crash, uint32_t length, uint32_t flags);

// --- between the files of the engine ---

static inline uint8_t *tacit_crash_slot(struct tacit_crash *crash, tacit_index_t index)
{
    return crash->journal + (size_t)(index & (crash->shape.entries - 1)) * crash->shape.slot_bytes;
}
// A leader asks a log host again that has not answered for so long: it may have been passed over.
static inline tacit_time_ns_t tacit_crash_ask_again_ns(const struct tacit_crash *crash)
{
    return 2 * crash->config->suspicion_ns + 4 * crash->config->beat_period_ns;
}
static inline uint32_t tacit_crash_quorum(const struct tacit_crash *crash)
{
    return crash->host_count / 2 + 1;
}
static inline bool tacit_crash_eligible(const struct tacit_crash *crash,
                                        const struct tacit_log_host *host)
{
    return host->up && crash->members != NULL && crash->members[host->node] == host->incarnation &&
           host->page >= 0 && host->control >= 0 && host->own_log >= 0;
}
// Whether a replica is believed alive in this incarnation.
static inline bool tacit_crash_alive(const struct tacit_crash *crash, tacit_node_t node,
                                     tacit_incarnation_t incarnation)
{
    return (crash->trusted & 1u << node) != 0 &&
           (!crash->peer_up[node] || crash->peer_incarnation[node] == incarnation);
}
// Positions of the ring that only removals may use.
static inline uint32_t tacit_crash_reserve(const struct tacit_crash *crash)
{
    return crash->hosts_log ? 0 : crash->shape.entries / 4;
}
static inline uint64_t *tacit_crash_ballot_word(struct tacit_crash *crash)
{
    return &crash->ballot_words[crash->term % TACIT_BALLOT_WORDS];
}
// Ends the term: drops everything that depends on it, releases permissions, becomes a follower.
void tacit_crash_step_down(struct tacit_crash *crash);
struct tacit_read *tacit_crash_read(struct tacit_crash *crash, struct tacit_log_host *host,
                                    enum tacit_read_kind kind, int32_t region, uint64_t offset,
                                    uint32_t bytes, bool as_holder);
// Writes `bytes` (copied at once) with QUIET to a host; AS_HOLDER if `generation` != 0.
bool tacit_crash_write_quiet(struct tacit_crash *crash, struct tacit_log_host *host, int32_t region,
                             uint64_t offset, const void *bytes, uint32_t size,
                             uint64_t generation);
// The same at any node, under a generation if that is not 0; not counted among the reads of a log
// host.
struct tacit_read *tacit_crash_read_at(struct tacit_crash *crash, tacit_node_t node,
                                       uint64_t generation, enum tacit_read_kind kind,
                                       int32_t region, uint64_t offset, uint32_t bytes);
uint64_t tacit_crash_cookie(const struct tacit_crash *crash, unsigned kind, unsigned host,
                            uint64_t index);
enum {
    TACIT_COOKIE_READ_SMALL = 0,
    TACIT_COOKIE_READ_LARGE,
    TACIT_COOKIE_APPEND,
    TACIT_COOKIE_PROMISE,
    TACIT_COOKIE_QUIET_HOLDER,
    TACIT_COOKIE_QUIET_PLAIN,
    TACIT_COOKIE_RENEW
};
void tacit_crash_want_state(struct tacit_crash *crash, tacit_index_t want);

bool tacit_follow_poll(struct tacit_crash *crash);
bool tacit_follow_remote_poll(struct tacit_crash *crash);
void tacit_follow_remote_read(struct tacit_crash *crash, const struct tacit_read *read, bool ok);
void tacit_follow_reset(struct tacit_crash *crash);
// Takes an entry that stands in the journal slot of crash->seen; false if it is not the next one of
// the followed term.
bool tacit_follow_take(struct tacit_crash *crash);
void tacit_follow_advance(struct tacit_crash *crash, tacit_index_t commit);

bool tacit_election_poll(struct tacit_crash *crash);
void tacit_election_page(struct tacit_crash *crash, struct tacit_log_host *host,
                         const struct tacit_read *read);
void tacit_election_header(struct tacit_crash *crash, struct tacit_log_host *host,
                           const struct tacit_read *read);
void tacit_election_promised(struct tacit_crash *crash, struct tacit_log_host *host);

// A term as leader begins.
void tacit_lease_begin(struct tacit_crash *crash);
// Looks at the lease of who holds this replica's log now and then, so as to know how long it was
// not renewed when somebody else asks. In each turn, before tacit_grants_poll().
void tacit_lease_watch(struct tacit_grants *grants, tacit_time_ns_t now_ns);
// Renews the lease at a host that streams, unless that is under way.
void tacit_lease_renew(struct tacit_crash *crash, struct tacit_log_host *host);
// That renewal completed.
void tacit_lease_renewed(struct tacit_crash *crash, struct tacit_log_host *host, uint32_t renewal);
// The permission at this host is gone, or will be given back.
void tacit_lease_drop(struct tacit_crash *crash, struct tacit_log_host *host);

void tacit_recovery_start(struct tacit_crash *crash);
bool tacit_recovery_poll(struct tacit_crash *crash);
void tacit_recovery_read(struct tacit_crash *crash, const struct tacit_read *read, bool ok);

bool tacit_stream_poll(struct tacit_crash *crash);
void tacit_stream_enter(struct tacit_crash *crash, struct tacit_log_host *host);
void tacit_stream_acked(struct tacit_crash *crash, struct tacit_log_host *host,
                        tacit_index_t index);
void tacit_stream_own(struct tacit_crash *crash, struct tacit_log_host *host,
                      const struct tacit_read *read);
// Asks the other replicas for their applied heads.
void tacit_stream_read_heads(struct tacit_crash *crash);
void tacit_stream_decide(struct tacit_crash *crash);

#endif
