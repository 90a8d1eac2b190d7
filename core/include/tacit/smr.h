// SPDX-License-Identifier: Apache-2.0
//
// One replica as a state machine without I/O: agreement engine, sessions, checkpoints and state
// transfer over the fabric port. It owns no thread, clock, heap or device; the runner (apps/lib) or
// the simulator (tests) gives it memory, a fabric, an application and the time, and polls it.
#ifndef TACIT_SMR_H
#define TACIT_SMR_H

#include "tacit/app.h"
#include "tacit/fabric.h"
#include "tacit/signer.h"
#include "tacit/status.h"
#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum tacit_log_place { TACIT_LOG_ON_REPLICAS = 0, TACIT_LOG_ON_MEMNODES };
enum tacit_engine_kind {
    TACIT_ENGINE_NONE = 0, // unreplicated: executes what arrives; the floor of the benchmarks
    TACIT_ENGINE_CRASH,
    TACIT_ENGINE_BYZANTINE,
};
enum tacit_broadcast_place { TACIT_BROADCAST_ON_REPLICAS = 0, TACIT_BROADCAST_ON_MEMNODES };

// Byzantine mode only (core/byzantine/README.md). `replicas` is 2f+1, `memnodes` 2fm+1.
struct tacit_byzantine_config {
    enum tacit_broadcast_place broadcast_on;
    uint32_t window;                 // W: slots between two checkpoints x 2; even
    uint32_t tail;                   // t: ids of a stream that are kept; even
    tacit_time_ns_t slow_after_ns;   // the signed slow path begins when the fast one took so long
    tacit_time_ns_t cooldown_ns;     // between two writes of a register at a memory node
    tacit_time_ns_t retry_ns;        // what got no answer is said again
    tacit_time_ns_t join_after_ns;   // one replica sealed the view and nothing was decided so long
    tacit_time_ns_t view_timeout_ns; // an obligation is met within this, doubled each view
    tacit_time_ns_t view_timeout_max_ns; // up to this
    struct tacit_signer *signer;         // of this replica; lives as long as it
};

struct tacit_smr_config {
    enum tacit_engine_kind engine;
    enum tacit_log_place log_on;
    uint8_t replicas;
    uint8_t memnodes;
    tacit_node_t self;
    tacit_incarnation_t incarnation;
    // True: this process is a first member of a group that was just bootstrapped (its incarnation
    // is 1 like everybody's). False: a new incarnation with empty memory, which waits for
    // admission.
    bool first_member;

    uint32_t request_bytes; // largest request body
    uint32_t reply_bytes;   // largest reply body
    uint32_t batch_bytes;   // largest payload of a log entry; at least an item of request_bytes
    uint32_t batch_requests;
    uint32_t log_entries; // ring capacity, power of two
    uint32_t inflight;    // k
    uint32_t clients;     // client ids are below this
    uint32_t sessions_per_client;
    uint32_t session_pipeline; // replies kept per session
    uint32_t ring_slots;       // of each request and reply ring
    size_t arena_bytes;

    // For how long a member must have been seen dead before another body may take its seat without
    // an order; 0: never.
    tacit_time_ns_t replace_after_ns;
    // Crash mode: whether the operator's signature of an order holds: over `bytes` of `order` in
    // TACIT_DOMAIN_ORDER. Takes as long as that takes, so it is asked seldom. NULL: there is no
    // operator. Byzantine mode asks the signer, author TACIT_SIGNER_OPERATOR.
    bool (*order_holds)(void *context, const uint8_t *order, uint32_t bytes,
                        const uint8_t signature[64]);
    void *order_context;

    tacit_time_ns_t beat_period_ns;
    tacit_time_ns_t suspicion_ns;
    tacit_time_ns_t permission_timeout_ns;
    tacit_time_ns_t laggard_after_ns;

    // Leases for reads, crash mode (core/crash/lease.c). 0: none, every read goes through the log.
    tacit_time_ns_t lease_ns;     // shortest, less than half a second
    tacit_time_ns_t lease_max_ns; // where the machine is slower than that, leases grow up to here
    // A clock of any process of the group gains or loses no more than so many ns a ms.
    uint32_t drift_ppm;
    // The time now, not that of the turn; the same clock as poll()'s now_ns. NULL: no leases.
    tacit_time_ns_t (*clock)(void *context);
    void *clock_context;
    struct tacit_view_words *view_words; // shown to other threads, see below; NULL: to nobody
    uint64_t *seat_words; // [32], by node: shown to other threads, see below; NULL: to nobody

    struct tacit_byzantine_config byzantine;

    // Jitter of back-offs; called with a bound > 0, returns a value below it. From the simulator's
    // choice source, or a generator of the runner.
    uint32_t (*draw)(void *context, uint32_t bound);
    void *draw_context;
    const char *app_options; // never NULL
};

// Which view of the group a replica is in. Epoch: of the members. Term: crash mode: the own ballot
// of the replica that leads, at others 0; Byzantine mode: the view's number.
struct tacit_view_id {
    uint64_t epoch, term;
    tacit_node_t leader; // TACIT_NODE_NONE: none is known
};
// A replica's view and lease, for other threads of its process, which may read them at any time.
// All zero at first; written by the protocol thread. A lease that ends early is taken back before
// any log host can hear of it.
struct tacit_view_words {
    uint64_t sequence; // odd while the view changes
    uint64_t epoch, term, leader;
    uint64_t until_ns; // no other replica leads before; 0: no lease
};
// Any thread. False: the writer stood still in the middle (the outputs mean nothing).
bool tacit_view_words_read(const struct tacit_view_words *words, struct tacit_view_id *id,
                           tacit_time_ns_t *until_ns);
// Whether the replica leads and no other one can have led before `now_ns` of its clock. Any thread.
bool tacit_view_holds(const struct tacit_view_words *words, tacit_time_ns_t now_ns);

// What the caller plugs in besides the fabric and the application. Optional observers of the
// simulator's checkers and of the benchmarks; NULL in production.
struct tacit_smr_probe {
    void *context;
    // Entry `index` was decided here and is about to be executed.
    void (*decided)(void *context, tacit_index_t index, const void *batch, size_t bytes);
    // A request was executed at `index`.
    void (*executed)(void *context, tacit_index_t index, uint32_t client, uint64_t session,
                     uint64_t number, const void *reply, size_t reply_bytes);
    // A coverage mark was reached (see core/base/mark.h).
    void (*mark)(void *context, uint32_t mark);
};

struct tacit_smr;

// Checks the limits against each other; fills `error` with what is accepted.
enum tacit_status tacit_smr_config_check(const struct tacit_smr_config *config,
                                         struct tacit_error *error);
// Bytes that init() needs, 64-aligned.
size_t tacit_smr_size(const struct tacit_smr_config *config);

// What a replica's memory is for: what init() takes, and all regions that it exposes when everybody
// is connected. Nothing is allocated after the start.
#define TACIT_SMR_MEMORY_PARTS_MAX 16u
struct tacit_smr_memory_part {
    const char *what; // static text
    uint64_t count, each_bytes;
};
struct tacit_smr_memory {
    uint32_t count;
    struct tacit_smr_memory_part parts[TACIT_SMR_MEMORY_PARTS_MAX];
    uint64_t total_bytes;
    uint64_t arena_bytes;        // of these: the application's arena, its checkpoints and digests
    uint64_t state_tables_bytes; // of init()'s: digests of pages, contained in the first two parts
};
// The configuration is one that tacit_smr_config_check() accepts.
void tacit_smr_memory(const struct tacit_smr_config *config, struct tacit_smr_memory *memory);

// The regions that a replica, a memory node and a client have to expose under this configuration.
struct tacit_host_layout tacit_smr_replica_layout(const struct tacit_smr_config *config);
struct tacit_host_layout tacit_smr_memnode_layout(const struct tacit_smr_config *config);
struct tacit_host_layout tacit_smr_client_layout(const struct tacit_smr_config *config);

// Builds a replica in `memory`. The fabric must already expose the replica layout. Fails only when
// the application's init fails. `probe` may be NULL; it is copied.
enum tacit_status tacit_smr_init(struct tacit_smr **result, void *memory,
                                 const struct tacit_smr_config *config, struct tacit_fabric *fabric,
                                 const struct tacit_app *app, const struct tacit_smr_probe *probe,
                                 tacit_time_ns_t now_ns, struct tacit_error *error);
void tacit_smr_fini(struct tacit_smr *smr);

// One turn: takes events and completions from the fabric, looks at rings and regions, advances,
// posts. Never blocks, bounded work. Returns true if anything happened (the caller should come back
// at once).
bool tacit_smr_poll(struct tacit_smr *smr, tacit_time_ns_t now_ns);
// Whether waiting for this replica costs somebody time, so that spinning for a while before a sleep
// pays: it leads. Followers are better parked: they look each beat, and are rung when it matters.
bool tacit_smr_is_hot(const struct tacit_smr *smr);
// Whether it is about to lead. It then waits for others who may need its processor to wake up on,
// so it should sleep whenever a turn did nothing, and exactly until the deadline.
bool tacit_smr_is_electing(const struct tacit_smr *smr);
// Whether a replica was lost a moment ago: processors are then wanted by many, so it should not
// spin.
bool tacit_smr_is_unsettled(const struct tacit_smr *smr);
// Byzantine mode: a slot takes signatures. What this replica waits for comes as soon as another one
// has made or checked some, which takes less than a sleep and a wake-up cost.
bool tacit_smr_is_signing(const struct tacit_smr *smr);
// When poll must be called again even if nothing rings.
tacit_time_ns_t tacit_smr_deadline(const struct tacit_smr *smr);

// What failure detection says: bit r set = replica r is trusted; `dead` = known for certain to be
// dead in the incarnation last seen up. Called by whoever runs the detector (fd/) before a poll.
void tacit_smr_suspicion(struct tacit_smr *smr, uint32_t trusted, uint32_t dead,
                         tacit_time_ns_t now_ns);

// A failure detector (fd/) that shares the replica's fabric and thread. The replica hands it UP and
// DOWN events and the completions with TACIT_COOKIE_FD, and asks it once a poll.
struct tacit_detector {
    void *context;
    void (*event)(void *context, const struct tacit_event *event, tacit_time_ns_t now_ns);
    // Updates the two masks of tacit_smr_suspicion(); returns true if one changed.
    bool (*poll)(void *context, tacit_time_ns_t now_ns, uint32_t *trusted, uint32_t *dead);
    tacit_time_ns_t (*deadline)(void *context);
};
// Plugs in a detector; instead of calls of tacit_smr_suspicion(). `detector` lives as long as the
// replica.
void tacit_smr_detector(struct tacit_smr *smr, const struct tacit_detector *detector);

// What the fabric's control thread has to know of a seat: its newest incarnation | (1 + body that
// is ordered for it) << 32 | bodies that are barred, a bit each | the flags. Until another body may
// take the seat, its claim to it must not end the member's connections.
#define TACIT_SEAT_BARRED (1ull << 40) // of body 0; the next ones follow
#define TACIT_SEAT_KNOWN (1ull << 63)
#define TACIT_SEAT_DEAD (1ull << 62) // for replace_after
// Whether incarnation `next` may connect as who sits in the seat with this word. Any thread.
enum tacit_seat_ruling tacit_seat_judge(uint64_t word, tacit_incarnation_t next);

// Seats as this replica knows them, by node (replicas 0 .., memory nodes TACIT_NODE_MEMNODE ..).
// Any time on the protocol thread. Returns false, and writes nothing, while it has no state.
struct tacit_wire_members;
bool tacit_smr_members(const struct tacit_smr *smr, struct tacit_wire_members *members);

// Brings view_words up to date. Each poll does so in crash mode; in Byzantine mode, where nobody
// has a lease, whoever wants to know calls it. Protocol thread.
void tacit_smr_view_show(struct tacit_smr *smr);

// Fills in a snapshot. Protocol thread.
void tacit_smr_status(const struct tacit_smr *smr, struct tacit_status_report *report);
// Structural invariants, for tests: NULL, or a static text that names the broken one.
const char *tacit_smr_check(const struct tacit_smr *smr);
// Digest of the replicated state after `applied` entries (for checkers): XXH3 of all pages.
uint64_t tacit_smr_state_hash(const struct tacit_smr *smr);

#ifdef __cplusplus
}
#endif

#endif
