// SPDX-License-Identifier: Apache-2.0
//
// A whole cluster of production code in virtual time: replicas (tacit/smr.h), memory nodes
// (tacit/grants.h), clients (tacit/client_core.h) over the sim fabric, driven by one event queue.
//
// sim_cluster.c  processes: start, poll, crash, pause, clocks
// sim_detector.c who suspects whom, rightly and wrongly
// sim_clients.c  the workload
// sim_faults.c   what goes wrong, and the claim that it is never too much
// sim_run.c      one run: draw, safety phase, liveness phase, verdict
#ifndef TACIT_TESTS_SIM_CLUSTER_H
#define TACIT_TESTS_SIM_CLUSTER_H

#include "checkers/group.h"
#include "sim_broadcasts.h"
#include "sim_byz.h"
#include "sim_fabric.h"
#include "sim_signer.h"
#include "sim_spares.h"
#include "tacit/client_core.h"
#include "tacit/fd.h"
#include "tacit/grants.h"
#include "tacit/smr.h"

#define SIM_REPLICAS_MAX 7u
#define SIM_MEMNODES_MAX 5u
#define SIM_CLIENTS_MAX 12u
#define SIM_CLIENT_SESSIONS 2u
#define SIM_MARKS_MAX 128u
#define SIM_POLL_TIMERS 8u

enum sim_timer_kind {                // above SIM_NET_TIMERS
    SIM_TIMER_POLL = SIM_NET_TIMERS, // a: slot
    SIM_TIMER_RESUME,                // a: slot
    SIM_TIMER_RESTART,               // a: slot
    SIM_TIMER_UNBLOCK,               // a, b
    SIM_TIMER_DETECT,                // a: observer, b: observed
    SIM_TIMER_TRUST,                 // a, b: a wrong suspicion ends
    SIM_TIMER_FAULT,                 // c: enum sim_injection
    SIM_TIMER_BYZANTINE,             // a: replica
    SIM_TIMER_PLOT,
    SIM_TIMER_SCRIPT, // a: event of the scenario
    SIM_TIMER_TWINS,  // a: round
    SIM_TIMER_STRIKE, // a, b: peer and host of a write that has just landed, or half
    SIM_TIMER_SPARES,
};

enum sim_injection {
    SIM_INJECT_CRASH = 0,
    SIM_INJECT_PAUSE,
    SIM_INJECT_PARTITION,
    SIM_INJECT_BREAK,
    SIM_INJECT_SUSPICION,
    SIM_INJECT_CLIENT,
    SIM_INJECTIONS,
};

// What a run is made of; drawn (sim_run.c), or set by options.
struct sim_shape {
    struct tacit_smr_config
        smr; // self, incarnation, first_member, draw are filled in for each replica
    uint32_t clients;
    uint32_t operations;      // of each client
    uint32_t client_sessions; // open at a time
    uint32_t client_pipeline;
    uint32_t session_length; // operations until a session is closed; 0: never
    uint32_t think_ns;
    uint32_t keys;
    uint32_t read_share; // of 8
    uint32_t padding;    // largest padding of a request body
    // Scheduling.
    bool spin;            // processes look at once when something landed
    uint32_t look_rate;   // a process happens to look between two steps of a landing write
    uint32_t poll_ns;     // a turn takes up to this
    uint32_t starve_rate; // a turn comes late ...
    uint32_t starve_ns;   // ... by up to this
    uint32_t drift_ppm;   // clocks differ by up to this
    bool real_detector;   // fd/, or else sim_detector.c:
    uint32_t detect_ns;   // suspicion and trust come within this
    uint32_t strike_rate; // a fault hits who writes or is written, at that moment
    uint32_t inject_ns[SIM_INJECTIONS]; // mean time between injections; 0: none
    uint32_t pause_ns, partition_ns, suspicion_ns, restart_ns; // longest
    uint64_t safety_ns;                                        // length of the safety phase at most
    bool check_each_poll;
    bool hash_states;
    uint32_t sign_ns, verify_ns; // Byzantine mode
    struct sim_byz_shape byz;
    struct sim_spares_shape spares;
    bool stop_leaders;      // who pauses is the leader
    uint32_t patience_ns;   // every second client sends again after this only; 0: as others
    uint32_t old_time_rate; // who paused goes on with the time at which it began to
    bool linear;
    bool is_scripted; // the safety phase has its full length, and nobody is left out after it
    bool has_twin;    // replica `twin` exists twice, as what lies
    uint32_t twin;
};

struct sim_client_session {
    bool used, open, closing;
    uint32_t handle;
    uint32_t submitted;
    uint32_t outstanding;
    uint32_t last; // operation that was submitted last and not as a READ; CHECKER_OPS: none
};

struct sim_process {
    struct sim_node *node;
    enum sim_role role;
    uint32_t id; // replica, memory node or client number
    tacit_incarnation_t incarnation;
    bool paused, frozen;                // frozen: paused for good
    struct tacit_view_words view;       // what another thread of a replica would see
    uint64_t stood_ns;                  // since when, on its clock, until it goes on; 0: does not
    uint64_t poll_ns;                   // scheduled for, UINT64_MAX: not
    uint64_t timer_ns[SIM_POLL_TIMERS]; // timers for that in the queue
    uint32_t timers;
    uint32_t polls;
    uint64_t clock_offset_ns;
    int64_t clock_ppm;
    void *memory;
    size_t memory_bytes;

    // Replica.
    struct tacit_smr *smr;
    struct tacit_smr_probe probe;
    struct tacit_status_report status;
    tacit_index_t executing; // expected next by the decided probe
    uint64_t transfers;      // state transfers that the checker knows of
    uint32_t trusted, dead;
    bool suspicion_changed;
    void *fd_memory;
    struct tacit_detector detector;
    // Memory node.
    struct tacit_grants grants;
    uint32_t replicas_up;
    // Byzantine mode: of a replica or client.
    struct sim_signer *signer;
    // Client.
    struct tacit_client *client;
    struct sim_client_session session[SIM_CLIENT_SESSIONS];
    uint32_t to_submit;
    uint32_t staged; // operation that the client could not take yet; CHECKER_OPS: none
    uint32_t outstanding;
    uint64_t submit_ns; // not before
    uint32_t starts;
};

struct sim_cluster {
    struct sim_net *net;
    struct sim_heap *heap;
    struct checker_group *checker;
    struct choice *choice;
    struct sim_shape shape;
    struct sim_signer_world signers; // Byzantine mode
    struct sim_process process[SIM_SLOTS];
    uint32_t processes;                 // replicas, then memory nodes, then clients
    bool healing;                       // the liveness phase
    bool wrongly[SIM_SLOTS][SIM_SLOTS]; // observer suspects observed without reason
    uint64_t memnodes_lost;             // bit m: memory node m crashed once
    uint32_t events;
    uint64_t marks[SIM_MARKS_MAX];
    bool verbose;
    uint32_t faults_max; // replicas that may be faulty at a time; normally f
    struct sim_byz byz;
    struct sim_broadcasts broadcasts;
    struct sim_spares spares;
    struct sim_play *play;              // the scenario of this run, NULL: none
    const struct sim_twins_plan *twins; // the plan of this run, NULL: none
};

// Memory for one cluster after another; NULL when there is not enough.
struct sim_cluster *sim_cluster_open(void);
void sim_cluster_close(struct sim_cluster *cluster);
// Builds the cluster of `shape` and starts all processes at time 0.
void sim_cluster_start(struct sim_cluster *cluster, struct choice *choice,
                       const struct sim_shape *shape, const struct sim_model *model);
// Handles the next event; false when there is none.
bool sim_cluster_step(struct sim_cluster *cluster);
// What went wrong so far, NULL: nothing.
const char *sim_cluster_violation(struct sim_cluster *cluster);

// Memory of a process, kept from run to run.
void sim_process_memory(struct sim_process *process, size_t bytes);
// The process' own clock.
uint64_t sim_local_ns(const struct sim_cluster *cluster, const struct sim_process *process);
// The process is polled at `time_ns` or earlier.
void sim_poll_at(struct sim_cluster *cluster, uint32_t slot, uint64_t time_ns);
void sim_process_crash(struct sim_cluster *cluster, uint32_t slot);
void sim_process_restart(struct sim_cluster *cluster, uint32_t slot);
// The same as this incarnation, of whatever body, which is larger than the last one but where a
// body comes back to a seat that it has lost.
void sim_process_restart_as(struct sim_cluster *cluster, uint32_t slot,
                            tacit_incarnation_t incarnation);
void sim_process_pause(struct sim_cluster *cluster, uint32_t slot, bool paused);
void sim_say(struct sim_cluster *cluster, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline void sim_cluster_after(struct sim_cluster *cluster, uint64_t delay_ns,
                                     struct sim_timer timer)
{
    timer.time_ns = cluster->net->now_ns + delay_ns;
    sim_heap_push(cluster->heap, timer);
}
static inline uint32_t sim_replica_slot(uint32_t replica)
{
    return replica;
}
static inline bool sim_is_byzantine(const struct sim_shape *shape)
{
    return shape->smr.engine == TACIT_ENGINE_BYZANTINE;
}
// The signer of a process, as new.
struct tacit_signer *sim_process_signer(struct sim_cluster *cluster, struct sim_process *process);
static inline uint32_t sim_replicas_faulty_max(const struct tacit_smr_config *config)
{
    // With logs on memory nodes any one replica carries on.
    return config->log_on == TACIT_LOG_ON_MEMNODES ? config->replicas - 1u
                                                   : (config->replicas - 1u) / 2u;
}

// Byzantine, replica or client.
static inline bool sim_is_faulty(const struct sim_cluster *cluster, uint32_t slot)
{
    const struct sim_process *process = &cluster->process[slot];
    uint32_t set = process->role == SIM_REPLICA  ? cluster->byz.faulty
                   : process->role == SIM_CLIENT ? cluster->byz.faulty_clients
                                                 : 0;
    return (set >> process->id & 1) != 0;
}
// An assertion failed in the code of a Byzantine replica: it is out for good.
void sim_process_escaped(struct sim_cluster *cluster, uint32_t slot);

// sim_detector.c
void sim_detector_start(struct sim_cluster *cluster, uint32_t slot);
void sim_detector_changed(struct sim_cluster *cluster, uint32_t slot);
void sim_detector_pair_changed(struct sim_cluster *cluster, uint32_t observer, uint32_t observed);
void sim_detector_timer(struct sim_cluster *cluster, const struct sim_timer *timer);
void sim_detector_suspect(struct sim_cluster *cluster, uint32_t observer, uint32_t observed,
                          uint64_t duration_ns);
void sim_detector_heal(struct sim_cluster *cluster);

// sim_clients.c
void sim_client_start(struct sim_cluster *cluster, struct sim_process *process);
void sim_client_poll(struct sim_cluster *cluster, struct sim_process *process);
// Every client has so many operations more to do.
void sim_clients_more(struct sim_cluster *cluster, uint32_t operations);
bool sim_client_done(const struct sim_process *process);

// sim_faults.c
void sim_faults_start(struct sim_cluster *cluster);
void sim_faults_timer(struct sim_cluster *cluster, const struct sim_timer *timer);
// Replicas that are down or not yet admitted again.
uint32_t sim_faulty(const struct sim_cluster *cluster);
// For scenarios. Crashes a process for good or until it is restarted. False: it is dead, or that
// would be more than the claim allows.
bool sim_faults_crash(struct sim_cluster *cluster, uint32_t slot);
bool sim_faults_may_lose(const struct sim_cluster *cluster, uint32_t slot);
// Blocks a direction, for so long (0: until mend()), and frees all.
void sim_faults_cut(struct sim_cluster *cluster, uint32_t from, uint32_t to, uint64_t span_ns);
void sim_faults_mend(struct sim_cluster *cluster);
// Ends all faults but those outside of a core; the core can make progress from now on.
void sim_faults_heal(struct sim_cluster *cluster);

#endif
