// SPDX-License-Identifier: Apache-2.0
//
// A whole cluster on this machine, in one folder: cluster file, keys, state, sockets, logs, process
// ids. What `tacit local`, `tacit demo` and `tacit bench` work on.
//
//   DIR/cluster.yaml, NAME.yaml, NAME.key   as `tacit keygen` makes them
//   DIR/state/NAME/                          state directories
//   DIR/run/                                 sockets
//   DIR/log/NAME.log                         stderr of each process
//   DIR/attack/replica-N                     makes this replica a liar, and says how (tests/attack)
//   DIR/pid/NAME                             process id and start time (so that a reused id is
//   noticed)
//   DIR/isolate                              each process has a user of its own (local_isolate.c)
#ifndef TACIT_APPS_CLI_LOCAL_H
#define TACIT_APPS_CLI_LOCAL_H

#include <jansson.h>
#include <sys/types.h>

#include "tacit/config.h"

#define LOCAL_CLIENTS 10u       // made by default
#define LOCAL_GATEWAY_CLIENT 0u // client id of the gateway
#define LOCAL_COMMAND_CLIENT 1u // of `tacit kv`
#define LOCAL_LOAD_CLIENT 2u    // first of those that demo and bench use
#define LOCAL_PROBE_CLIENT 9u   // of rolling-restart; behind those of load.h
#define LOCAL_DIRECTORY "./tacit-local"
#define LOCAL_VERBS_PORT 7471u          // first one of the nodes
#define LOCAL_ATTACKER "tacit-attacker" // program of a liar
#define LOCAL_ISOLATE_BASE 61000u       // default of --isolate
#define LOCAL_ISOLATE_USERS 64u         // users and one group from there on
#define LOCAL_ISOLATE_MIN 1000u
#define LOCAL_ISOLATE_MAX 4000000000u
#define LOCAL_ATTACK_VARIABLE "TACIT_ATTACK_PAGE" // tells it where its page is

enum local_kind {
    LOCAL_REPLICA = 0,
    LOCAL_MEMNODE,
    LOCAL_GATEWAY,
    LOCAL_SPARE_REPLICA, // ids from 1
    LOCAL_SPARE_MEMNODE,
};

struct local_node {
    enum local_kind kind;
    uint16_t id;
};

struct local {
    char directory[TACIT_CONFIG_PATH_BYTES]; // absolute
    char programs[TACIT_CONFIG_PATH_BYTES];  // folder of tacit-replica and the others
    struct tacit_config config;
    // Processes are children that die with this one, instead of daemons.
    bool tied;
    bool unreplicated;
    const char *app; // of the replicas; NULL: kv
    uint16_t port;   // of the gateway; 0: none
    // Not 0: each process has a user of its own; number of the group that they share.
    uint32_t isolate;
};

struct local_plan {
    uint32_t replicas, memnodes;
    uint32_t spare_replicas, spare_memnodes;
    uint64_t replace_after_ns; // UINT64_MAX: default
    enum tacit_config_mode mode;
    enum tacit_config_fabric fabric;
    char host[64];                               // verbs: address of an RDMA device here
    enum tacit_config_log_on log_on;             // crash mode
    enum tacit_config_broadcast_on broadcast_on; // Byzantine mode
    enum tacit_config_waiting waiting;
    uint64_t arena_bytes; // 0: default
    uint32_t patience;    // all times of the cluster file so many times as long; 0: once
    uint32_t isolate;     // as in struct local
};

// Makes the folder and everything in it, and founds the group. Errors: TACIT_EEXIST when the folder
// has a cluster already, and those of the parts.
enum tacit_status local_create(struct local *local, const char *directory,
                               const struct local_plan *plan, struct tacit_error *error);
// TACIT_ENOENT: there is no cluster in that folder; the error says how to make one.
enum tacit_status local_exists(const char *directory, struct tacit_error *error);
// Reads the cluster in a folder. Errors: those of local_exists() and of loading its cluster file.
enum tacit_status local_open(struct local *local, const char *directory, struct tacit_error *error);

// "replica-0", "memnode-1", "spare-replica-1", "gateway".
void local_name(struct local_node node, char out[TACIT_CONFIG_NAME_BYTES]);
// Path of a file in the folder.
void local_path(const struct local *local, char out[TACIT_CONFIG_PATH_BYTES], const char *format,
                ...) __attribute__((format(printf, 3, 4)));

// A user for each process (local_isolate.c). Whether it can be done: TACIT_EPERM when this is not
// root, or the folders cannot be entered by others; TACIT_EEXIST when one of the users exists.
enum tacit_status local_isolate_check(uint32_t base, const char *directory, const char *programs,
                                      struct tacit_error *error);
uint32_t local_isolate_uid(const struct local *local, struct local_node node);
// Gives the files of the cluster, and those of one node, to whom they belong. Again before each
// start: what root wrote meanwhile is root's.
enum tacit_status local_isolate_folder(const struct local *local, struct tacit_error *error);
enum tacit_status local_isolate_node(const struct local *local, struct local_node node,
                                     struct tacit_error *error);
// A folder for the socket of each node, in a configuration that is not written yet.
void local_isolate_plan(struct local *local);
// Writes and reads DIR/isolate; 0: there is none.
enum tacit_status local_isolate_note(const struct local *local, struct tacit_error *error);
uint32_t local_isolate_recall(const struct local *local);
// Becomes the node's user, for good. False: it cannot (errno).
bool local_isolate_enter(const struct local *local, struct local_node node);

// Starts a process. TACIT_EBUSY: it runs already. Does not wait until it is of use.
enum tacit_status local_start(struct local *local, struct local_node node,
                              struct tacit_error *error);
// The same right behind a SIGKILL, while the kernel may still be taking the old process apart.
enum tacit_status local_start_again(struct local *local, struct local_node node,
                                    struct tacit_error *error);
// Process id, 0 if it does not run (anybody's process that reused the id does not count). Who was
// killed runs until its last thread is gone, and with it what it holds.
pid_t local_pid(const struct local *local, struct local_node node);
// Sends a signal. TACIT_ENOENT: it does not run.
enum tacit_status local_signal(const struct local *local, struct local_node node, int signal_number,
                               struct tacit_error *error);
// The same, and when it was sent: to look up whom to signal takes a tenth of a millisecond.
enum tacit_status local_signal_timed(const struct local *local, struct local_node node,
                                     int signal_number, uint64_t *sent_ns,
                                     struct tacit_error *error);
// Whether a process was stopped (SIGSTOP) and has noticed.
bool local_is_stopped(const struct local *local, struct local_node node);
// Waits until a process has ended; false: it did not in time.
bool local_wait_gone(const struct local *local, struct local_node node, uint64_t timeout_ns);
// Ends a process, if it runs: SIGTERM, and SIGKILL if it takes longer than 5 s.
void local_end(const struct local *local, struct local_node node);
// Whether the gateway takes connections.
bool local_gateway_answers(const struct local *local);
// Starts everybody who does not run and waits for a leader (and the gateway, if there is to be
// one).
enum tacit_status local_up(struct local *local, struct tacit_error *error);
// SIGTERM to everybody, SIGKILL to who has not ended in time. Returns how many had to be killed.
unsigned local_down(struct local *local);

// The report (tacit_status_json) of who is in a replica's seat, the latest one where a spare took
// it; NULL: nobody answers. The caller gives it back with json_decref.
json_t *local_status(const struct local *local, uint16_t replica);
// The process behind that report; the founder if nobody answers.
struct local_node local_sitter(const struct local *local, uint16_t replica);
uint64_t local_number(const json_t *report, const char *section, const char *key);
// ---- liars (Byzantine mode, builds with tests): replicas whose program lies on purpose

// Makes replica `replica` attack as `name` says (tests/attack/attacks.h): one that does not run
// will do so from its next start on, one that was started so changes at once. Errors: TACIT_EINVAL
// (no such attack: the text lists them; not in this mode), TACIT_ENOENT (no attacking program
// here), TACIT_EBUSY (it runs, and is honest).
enum tacit_status local_attack_set(const struct local *local, uint16_t replica, const char *name,
                                   struct tacit_error *error);
// It is honest from its next start on.
void local_attack_clear(const struct local *local, uint16_t replica);
// Path of the page that makes it a liar; false: it is honest.
bool local_attack_page(const struct local *local, uint16_t replica,
                       char out[TACIT_CONFIG_PATH_BYTES]);
// Bit r: replica r has attacked since it was started as a liar.
uint32_t local_liars(const struct local *local);
// What it does at present, and what it has done, as one line for people; false: it is honest.
bool local_attack_text(const struct local *local, uint16_t replica, char *out, size_t out_bytes);
// How often it has done anything of the kind since it was started; 0: it is honest.
uint64_t local_attack_done(const struct local *local, uint16_t replica);
// The attacks' names, 0 .. ; NULL: there are no more.
const char *local_attack_name(uint32_t index);
// All names with what they do, one a line.
void local_attack_list(void);

// The replica that leads, as itself says; -1: none does. Of who has attacked nothing is believed:
// that it leads is what the others say.
int local_leader(const struct local *local);
// How long to wait for what should come soon: 20 s, longer where the cluster file's times are long.
uint64_t local_patience_ns(const struct local *local);
// Waits for a leader other than `not_this` (-1: any); its id or -1.
int local_wait_leader(const struct local *local, int not_this, uint64_t timeout_ns);
// Bit r: replica r runs, answers, and in the eyes of the leader is connected and a member under its
// present incarnation.
uint32_t local_members(const struct local *local);
// Whether faults of a kind are Byzantine mode's.
bool local_is_byzantine(const struct local *local);
// Bit h: the leader writes to log host h and counts on it.
uint32_t local_counted_hosts(const struct local *local);
// Byzantine mode. Bit m: all replicas that answer (but liars) count memory node m in its present
// incarnation; one that was restarted counts when the group has replaced it.
uint32_t local_counted_memnodes(const struct local *local);
// Byzantine mode, while requests come: waits until FAST_SLOTS (8) slots in a row were decided
// without signatures; how long that took, 0: they were not in time.
uint64_t local_wait_fast(const struct local *local, uint64_t timeout_ns);
bool local_wait_members(const struct local *local, uint32_t wanted, uint64_t timeout_ns);
// Whether one more faulty replica is within f, counting everybody who is down, stopped, or not
// readmitted yet. Called before each fault.
bool local_may_fail(const struct local *local);
// Waits until every replica is a member, none has lied since it was started, and none is down or
// stopped: the state in which a fault may be made. False: it did not come in time. (Asked while a
// view changes, nobody leads and nobody is known to be a member.)
bool local_wait_healthy(const struct local *local, uint64_t timeout_ns);
// How many replicas were members once and do not run now.
uint32_t local_lost_replicas(const struct local *local);
// Whether this node may be killed or stopped without leaving the fault model: at most f replicas
// and, where memory nodes hold the logs, fm of them are then down, stopped or not readmitted.
// TACIT_EBUSY: not now; the error says who is missing.
enum tacit_status local_may_lose(const struct local *local, struct local_node node,
                                 struct tacit_error *error);

// What the client of a rolling restart saw.
struct local_rolling {
    bool probed;
    uint64_t answered, failed;
    uint64_t stall_ns; // its longest wait for an answer
};
// Ends and starts every replica and memory node of a running cluster (not the gateway), one after
// the other, each when all the others count. `probes`: a client asks meanwhile (the application is
// kv). Prints a line for each. Errors: TACIT_EBUSY, TACIT_ETIMEDOUT (who does not count; the rest
// was not touched), a request that failed.
enum tacit_status local_rolling_restart(struct local *local, bool probes,
                                        struct local_rolling *result, struct tacit_error *error);

#endif
