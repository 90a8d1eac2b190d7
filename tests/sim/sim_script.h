// SPDX-License-Identifier: Apache-2.0
//
// Scenarios: a run of Byzantine mode that is written down instead of drawn. A file fixes the
// configuration, who lies and how, what breaks when, and what must have come of it besides what the
// checkers assert in every run. scenarios/README.md has the format.
//
// sim_script.c        the format: reading and its errors
// sim_script_run.c    conditions and actions while a run goes on, and the verdict at its end
// sim_script_wire.c   rules that hold messages back
// sim_script_steps.c  what a faulty replica does to its own memory on cue
//
// A scenario whose faults or attacks do not happen fails.
#ifndef TACIT_TESTS_SIM_SCRIPT_H
#define TACIT_TESTS_SIM_SCRIPT_H

#include "base/mark.h"
#include "sim_cluster.h"

#define SIM_SCRIPT_EVENTS 48u
#define SIM_SCRIPT_EXPECTS 32u
#define SIM_SCRIPT_GROUPS 3u
#define SIM_SCRIPT_LEADER 0xffu

enum sim_script_condition {
    SIM_WHEN_TIME = 0, // value_ns
    SIM_WHEN_MARK,     // which: mark; value: times, at correct replicas
    SIM_WHEN_COUNTER,  // which: enum sim_script_counter; at value or above, at one correct replica
    SIM_WHEN_LINE,     // which: line; that event happened (a rule: held back something)
};

enum sim_script_action {
    SIM_DO_ATTACK = 0, // which: attack; value: rate; set[0]: split, 0: drawn; style
    SIM_DO_CRASH,      // set[0]
    SIM_DO_RESTART,
    SIM_DO_PAUSE, // span_ns, 0: until resume
    SIM_DO_RESUME,
    SIM_DO_FREEZE,
    SIM_DO_CUT,   // set[0], set[1]; one_way; span_ns, 0: until mend
    SIM_DO_MEND,  // all links
    SIM_DO_SPLIT, // set[0..]: links between different groups are cut
    SIM_DO_BREAK,
    SIM_DO_SUSPECT,
    SIM_DO_HOLD, // a rule of the wire
    SIM_DO_OBEY, // no more attacks, rules and standing steps
    SIM_DO_STEP, // which: enum sim_step; set[0]: replica
    SIM_DO_REMEMBER,
};

// What a faulty replica does on cue. Those from SIM_STEP_STANDING on are done before each of its
// turns as soon as they are possible, and then until `obey`; of the NEW_VIEWs one is sent.
//   seal                             leaves its view, for no reason
//   forget-, forge-, lift-claims     its own ACKs are gone, of a no-op, of the present view
//   corrupt-state, -rings, -votes    bits of the application's memory, of what others wrote here,
//   of
//                                    its votes and decisions
//   flood                            messages that ask others for work
//   cosign-all                       it has vouched whatever the others claim
//   lack-all                         it says that it lacks what is proposed, so that all clients
//                                    stay doubted, and no more often
//   unbind                           as a leader it forgets what its NEW_VIEW forced
//   new-view-forged                  a state without its claims and COMMITs, signed by itself
//   new-view-old                     what it showed when it led the last time
//   new-view-signer, -state          the same signer, the same state twice
//   new-view-base                    a checkpoint that it alone signed
//   new-view-usurp                   another leader's, in its own name
enum sim_step {
    SIM_STEP_SEAL = 0,
    SIM_STEP_FORGET_CLAIMS,
    SIM_STEP_FORGE_CLAIMS,
    SIM_STEP_LIFT_CLAIMS,
    SIM_STEP_CORRUPT_STATE,
    SIM_STEP_CORRUPT_RINGS,
    SIM_STEP_CORRUPT_VOTES,
    SIM_STEP_FLOOD,
    SIM_STEP_STANDING,
    SIM_STEP_COSIGN = SIM_STEP_STANDING,
    SIM_STEP_LACK_ALL,
    SIM_STEP_UNBIND,
    SIM_STEP_NEW_VIEW_FORGED,
    SIM_STEP_NEW_VIEW_OLD,
    SIM_STEP_NEW_VIEW_SIGNER,
    SIM_STEP_NEW_VIEW_STATE,
    SIM_STEP_NEW_VIEW_BASE,
    SIM_STEP_NEW_VIEW_USURP,
    SIM_STEPS,
};

// Numbers about correct replicas. STATE: must hold for each; SUM: added up; MOST: the largest.
enum sim_script_counter {
    SIM_COUNT_VIEW = 0,
    SIM_COUNT_EPOCH,
    SIM_COUNT_APPLIED,
    SIM_COUNT_BASE,
    SIM_COUNT_FAST,
    SIM_COUNT_SLOW,
    SIM_COUNT_SEALS,
    SIM_COUNT_NEW_VIEWS,
    SIM_COUNT_CHECKPOINTS,
    SIM_COUNT_TRANSFERS,
    SIM_COUNT_GAPS,
    SIM_COUNT_ADOPTED,
    SIM_COUNT_BAD_SIGNATURES,
    SIM_COUNT_MALFORMED,
    SIM_COUNT_LACKS,
    SIM_COUNT_OBLIGATIONS,
    SIM_COUNT_DUPLICATES,
    SIM_COUNT_REPLACED,
    SIM_COUNT_FETCHED,
    SIM_COUNT_ACKNOWLEDGED,
    SIM_COUNT_WAIT_US, // longest wait of a correct client for an answer
    SIM_COUNTERS,
};

enum sim_script_expect_kind {
    SIM_EXPECT_COUNTER = 0, // which
    SIM_EXPECT_GREW,        // which: since the last `remember`
    SIM_EXPECT_MARK,
    SIM_EXPECT_ATTACK,
    SIM_EXPECT_VERDICT,    // set: on whom; value: by how many correct replicas at least
    SIM_EXPECT_NO_VERDICT, // on nobody
    SIM_EXPECT_VIOLATION,
};
enum sim_script_compare { SIM_AT_LEAST = 0, SIM_AT_MOST, SIM_EQUAL };

// A rule: messages of a faulty process that are kept back or delayed.
struct sim_script_rule {
    uint8_t what;    // enum sim_wire
    uint8_t payload; // enum tacit_payload_kind, 0: any
    bool has_view, has_slot;
    uint64_t view, slot;
    uint32_t from, to; // bits of slots
    uint32_t times;    // 0: every one
    uint64_t delay_ns; // 0: never arrives
};

struct sim_script_event {
    uint32_t line;
    enum sim_script_condition condition;
    uint32_t condition_which;
    uint64_t condition_value;
    uint64_t after_ns;
    enum sim_script_action action;
    uint32_t which, value, style, only;
    uint32_t set[SIM_SCRIPT_GROUPS]; // bits of slots; bit 31: whoever leads
    bool one_way;
    uint64_t span_ns;
    struct sim_script_rule rule;
};

struct sim_script_expect {
    uint32_t line;
    enum sim_script_expect_kind kind;
    uint32_t which, set;
    enum sim_script_compare compare;
    uint64_t value;
};

struct sim_script {
    char name[64];
    char path[512];
    uint32_t runs;
    uint32_t replicas, memnodes, clients;
    uint32_t operations, think_ns, pipeline, sessions;
    uint32_t window, tail, inflight, batch, padding;
    bool on_memnodes, rough, too_many;
    uint64_t span_ns;
    uint64_t view_timeout_ns, slow_after_ns, retry_ns;
    uint32_t liars, lying_clients; // bits of ids
    uint32_t events, expects;
    struct sim_script_event event[SIM_SCRIPT_EVENTS];
    struct sim_script_expect expect[SIM_SCRIPT_EXPECTS];
};

// What goes on in a run of a scenario.
struct sim_play {
    const struct sim_script *script;
    bool armed[SIM_SCRIPT_EVENTS]; // its condition held; it is due `after` that
    bool due[SIM_SCRIPT_EVENTS];   // it happens as soon as it is possible
    bool happened[SIM_SCRIPT_EVENTS];
    bool did[SIM_SCRIPT_EVENTS]; // it was tried; for `left` of its places it was not possible yet
    uint32_t left[SIM_SCRIPT_EVENTS];
    bool active[SIM_SCRIPT_EVENTS]; // a rule or standing step in force
    uint32_t hits[SIM_SCRIPT_EVENTS];
    uint32_t waiting;              // events that did not happen yet
    uint64_t marks[SIM_MARKS_MAX]; // at correct replicas, in this run
    uint64_t remembered[SIM_COUNTERS];
    // For NEW_VIEW_OLD: what the liar showed when it led before.
    uint8_t old_body[16384];
    uint32_t old_bytes;
};

// ---- sim_script.c
// Reads a scenario. False: it is wrong, and `error` says where and what is accepted.
bool sim_script_read(struct sim_script *script, const char *path, char *error, size_t error_max);
const char *sim_counter_name(enum sim_script_counter counter);

// ---- sim_script_run.c
// What the run is made of.
void sim_script_shape(const struct sim_script *script, struct sim_shape *shape);
// After the cluster was started.
void sim_script_start(struct sim_cluster *cluster);
// After each event of the cluster: are there conditions that hold now?
void sim_script_look(struct sim_cluster *cluster);
void sim_script_timer(struct sim_cluster *cluster, const struct sim_timer *timer);
void sim_script_mark(struct sim_cluster *cluster, uint32_t slot, uint32_t mark);
// The end of a run without a violation: reports what was expected and is not so.
void sim_script_judge(struct sim_cluster *cluster);
bool sim_script_expects_violation(const struct sim_script *script);

// ---- sim_script_wire.c
const char *sim_wire_name(uint32_t what);
bool sim_wire_find(const char *name, uint8_t *what);
// A ring message of a faulty replica. False: it is not sent.
bool sim_script_message(struct sim_cluster *cluster, uint32_t faulty, uint32_t receiver,
                        const uint8_t *message, uint32_t bytes);
// Any write of a faulty process. False: it does not land.
bool sim_script_write(struct sim_cluster *cluster, uint32_t peer, uint32_t host,
                      const struct sim_op *op, uint64_t *delay_ns);

// ---- sim_script_steps.c
// True if it was done.
bool sim_script_step(struct sim_cluster *cluster, uint32_t replica, enum sim_step step);
// Before a turn of a faulty replica.
void sim_script_before_turn(struct sim_cluster *cluster, uint32_t slot);

#endif
