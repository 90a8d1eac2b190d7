// SPDX-License-Identifier: Apache-2.0
//
// The `sim` provider of the memory fabric: a whole cluster's memory in one process and in virtual
// time, as unfriendly as the contract in tacit/fabric.h allows. Everything that the contract leaves
// open is drawn from the choice source, under rates that a run fixes at its start (struct
// sim_model).
//
// What it does to its users:
//  - operations take a drawn time, held up now and then for much longer; order holds per connection
//  and
//    plane only; an operation is read from, or written to, its poster's memory until it completes;
//  - a write lands in several steps, each an arbitrary subset of its 8-byte words; between two
//  steps the
//    host's own loads see the mixture; the permission check comes after the last step, perhaps
//    later;
//  - a connection breaks, at once or one plane before the other (then DOWN comes later, and the
//  other plane
//    goes on until then): pending operations are LOST, and may land all the same until the
//    connection is made anew;
//  - grants and revocations take effect at some moment between the call and its event; a write that
//  is cut
//    by one landed wholly, partly or not at all. With `late_store` a refused store may still land
//    in the old holder's own region, as it does on shared memory, as long as that peer is not the
//    holder again;
//  - a crashed host's memory may go on answering OK until the peer learned of the death (`ghost`);
//  - partitions block a direction between two nodes: one-way, so that writes may land whose
//  completions
//    never come;
//  - log regions of others become known after a delay; doorbells take time; posts are refused at
//  times.
//
// What it checks about its users: grant only after the REVOKED of the previous holder was seen,
// generations that grow, addresses within attached memory, offsets and sizes, handles that are not
// void. What it finds is reported through sim_net.violation, because a run must end with its
// reproduction line, not with an abort.
//
// It cannot show missing memory fences or lost wake-ups; stress tests on real processes do.
#ifndef TACIT_TESTS_SIM_FABRIC_H
#define TACIT_TESTS_SIM_FABRIC_H

#include "choice/choice.h"
#include "sim_heap.h"
#include "tacit/fabric.h"

#define SIM_SLOTS 20u    // nodes in one cluster
#define SIM_REGIONS 256u // regions of one host, dead ones included
#define SIM_LOGS_MAX 48u // LOG regions of one host at a time; beyond, new incarnations are refused
#define SIM_HOSTS 96u    // memories, live and dead, of one run
#define SIM_OPS 4096u    // operations in flight, all nodes together
#define SIM_EVENTS 8192u // unpolled events of one node; more than SIM_OPS, power of two
#define SIM_ATTACHED 4u  // attached ranges of one node
#define SIM_NET_TIMERS 64u // timer kinds below belong to the fabric, the rest to its user

// Fixed for a run. Rates in 1/65536.
struct sim_model {
    uint32_t latency_ns;      // of an operation, one way
    uint32_t jitter_ns;       // added, uniform
    uint32_t self_latency_ns; // of an operation on own memory, at most
    uint32_t slow_rate;       // an operation is held up ...
    uint32_t slow_ns;         // ... for up to this
    uint32_t tear_rate;       // an operation takes several steps ...
    uint32_t tear_ns;         // ... up to this far apart
    uint32_t check_gap_rate;  // the permission check comes later than the last step
    uint32_t plane_break_rate;
    uint32_t conn_break_rate;
    uint32_t deny_break_rate; // a refused operation breaks its connection
    uint32_t full_rate;       // a post is refused
    uint32_t late_land_rate;  // a LOST or cut operation goes on landing
    bool late_gaps;           // ... also if an earlier one of that connection never does
    bool late_store;          // a refused store may reach the old holder's own region
    uint32_t ghost_rate;      // a connection to a crashed host goes on completing OK
    uint32_t death_ns;        // a death is learned within this
    uint32_t uncertain_rate;  // a death is learned as a mere disconnection
    uint32_t stall_ns;        // a blocked connection breaks after this
    uint32_t reconnect_ns;
    uint32_t announce_ns;
    uint32_t switch_ns; // grants and revocations take up to this
    uint32_t ring_ns;
    uint32_t plane_depth; // operations in flight on one plane of a connection
};

enum sim_fault {
    SIM_FAULT_TEAR = 0,
    SIM_FAULT_SLOW,
    SIM_FAULT_PLANE_BREAK,
    SIM_FAULT_CONN_BREAK,
    SIM_FAULT_LATE_LANDING,
    SIM_FAULT_CUT_BY_REVOKE,
    SIM_FAULT_LATE_STORE,
    SIM_FAULT_GHOST_OK,
    SIM_FAULT_STALL,
    SIM_FAULT_DENIED,
    SIM_FAULT_FULL,
    SIM_FAULT_CRASH,
    SIM_FAULT_RESTART,
    SIM_FAULT_PARTITION,
    SIM_FAULT_PAUSE,
    SIM_FAULT_CLIENT_CRASH,
    SIM_FAULT_SUSPICION,
    SIM_FAULTS,
};
const char *sim_fault_name(enum sim_fault fault);

struct sim_region {
    struct tacit_region_key key;
    uint64_t *memory;
    size_t bytes;
    bool live; // false: retired or replaced; no operation reaches it
};

// One incarnation's memory. Outlives its process while somebody still reaches it.
struct sim_host {
    tacit_node_t node;
    tacit_incarnation_t incarnation;
    bool dead;
    struct sim_region region[SIM_REGIONS];
    uint32_t regions;
    // The permission pair, and the state of the switch: the owner sees changes as events.
    tacit_node_t holder;
    tacit_incarnation_t holder_incarnation;
    uint64_t generation;
    // The newest life of each node that it has met: older and equal incarnations are refused.
    struct {
        tacit_incarnation_t incarnation;
        uint32_t life;
    } met[SIM_SLOTS];
    bool free_seen;           // REVOKED was polled, or nobody ever held
    uint64_t last_generation; // largest that was ever asked for
};

struct sim_op {
    struct sim_op *next;
    struct tacit_op op;
    struct sim_host *host;     // as it was at the post
    struct sim_region *region; // of that host
    tacit_incarnation_t poster;
    uint64_t arrive_ns;
    uint64_t done_ns; // when it has landed
    uint64_t back_ns; // from then until its poster is told
    uint8_t status;
    uint8_t step, steps, pattern;
    uint8_t rights; // enum sim_rights
    bool tampered;  // the copy is what lands
    bool muted;     // nothing lands, the poster does not learn it
    bool started, landed, orphan, refused, checked;
    bool ring; // a doorbell follows it
    uint32_t seed;
    uint64_t *copy; // of a write, taken at the post
};

struct sim_plane {
    struct sim_op *first; // oldest that has not completed (or, as an orphan, not landed)
    struct sim_op *last;
    struct sim_op *landing; // oldest that has not landed
    uint32_t count;
    bool broken;
    uint32_t land_version, complete_version;
    bool land_armed, complete_armed;
    uint64_t complete_ns; // of the newest completion: they stay in order
};

// One peer to one host.
struct sim_conn {
    bool wanted;       // the peer is configured to connect
    bool up;           // established
    bool seen_up;      // ... and the peer has polled that
    bool down_seen;    // the peer has polled the last DOWN (or there was none)
    bool ghost;        // the host is dead and goes on completing
    bool down_certain; // the last DOWN was
    struct sim_host *host;
    uint32_t epoch; // handles of older ones are void
    uint32_t announced;
    uint32_t version;
    uint8_t last_plane;
    bool ring_pending; // a doorbell that a partition holds up
    struct sim_plane plane[TACIT_PLANES];
};

enum sim_rights { SIM_RIGHTS_FREE = 0, SIM_RIGHTS_HOLDER, SIM_RIGHTS_NONE };
enum sim_role { SIM_REPLICA = 1, SIM_MEMNODE, SIM_CLIENT };

struct sim_event {
    struct tacit_event event;
    uint32_t peer;  // slot of the other side; SIM_SLOTS: none
    uint32_t epoch; // of the connection that the event is about
};

#define SIM_SWITCHES 8u
struct sim_switch { // a grant or a revocation on its way
    bool grant;
    tacit_node_t holder;
    tacit_incarnation_t incarnation;
    uint64_t generation;
};

struct sim_node {
    struct tacit_fabric fabric; // first: the provider's object
    struct sim_net *net;
    uint8_t slot;
    enum sim_role role;
    tacit_node_t node;
    uint32_t identity;
    tacit_incarnation_t incarnation;
    uint32_t life; // counts starts
    bool alive;
    struct tacit_host_layout layout;
    struct sim_host *host;
    struct sim_conn conn[SIM_SLOTS]; // as a peer
    struct sim_event event[SIM_EVENTS];
    uint32_t event_first, event_last; // free-running
    struct {
        const char *base;
        size_t bytes;
    } attached[SIM_ATTACHED];
    uint32_t attached_count;
    struct sim_switch perm[SIM_SWITCHES];
    uint32_t perm_count; // grants and revocations asked for
    uint32_t perm_base;  // those before belong to a dead incarnation
    uint64_t perm_ns;    // when the newest one is told: they stay in order
    uint64_t rung;       // doorbells that arrived
    bool armed, bell;    // it may sleep; somebody has rung since
};

struct sim_net {
    struct choice *choice;
    struct sim_model model;
    struct sim_heap *heap;
    uint64_t now_ns;
    uint64_t trace; // hash over everything that happened
    uint64_t fault[SIM_FAULTS];
    const char *violation; // NULL, or what a user of the fabric did wrong first
    tacit_node_t violator;
    uint32_t slots;
    bool blocked[SIM_SLOTS][SIM_SLOTS]; // [from][to]
    // Two nodes with one number, one incarnation and one key; SIM_SLOTS: none. Each peer reaches
    // one of them and is reached by it; memory nodes serve both, as one owner of one region.
    uint32_t twin_first, twin_second;
    bool to_second[SIM_SLOTS]; // by peer
    struct sim_node node[SIM_SLOTS];
    struct sim_host host[SIM_HOSTS];
    uint32_t hosts;
    struct sim_op op[SIM_OPS];
    struct sim_op *free_ops; // used before
    uint32_t fresh_ops;      // those from here on were not used in this run
    uint64_t *copies;        // SIM_OPS buffers of copy_bytes
    size_t copy_bytes;
    uint64_t *memory; // of all regions of a run, handed out in order
    size_t memory_bytes, memory_used;
    // Something came for the node: poll it within `delay_ns` or later.
    void (*wake)(void *context, uint32_t slot, uint64_t delay_ns);
    // A step of a write of `peer` landed in the memory of `host`: no wake-up in reality, but a
    // chance to look at a torn write, and to strike. `whole`: it was the last step.
    void (*landed)(void *context, uint32_t peer, uint32_t host, bool whole);
    // A connection was made or broken; NULL: nobody cares.
    void (*changed)(void *context, uint32_t peer, uint32_t host);
    // Whether a host takes the peer as it is now, besides what every host looks at; NULL: it does.
    bool (*admits)(void *context, uint32_t host, uint32_t peer);
    // Byzantine posters; NULL: none. tamper: a write is being posted; may change op->copy, and
    // op->op.bytes and offset within its region; adds to the delay. False: it never lands. lie: a
    // read has landed at the poster, who may find something else.
    bool (*tamper)(void *context, uint32_t peer, uint32_t host, struct sim_op *op,
                   uint64_t *delay_ns);
    void (*lie)(void *context, uint32_t peer, uint32_t host, const struct sim_op *op);
    // Whose time an operation takes, instead of the model's; NULL: the model's. From the post until
    // it lands, and from then until the poster is told (*back_ns).
    uint64_t (*timing)(void *context, uint32_t peer, uint32_t host, const struct tacit_op *op,
                       uint64_t *back_ns);
    void *wake_context;
};

// Sizes for sim_net_open(): the largest write, and memory for all regions of one run, restarts
// included.
struct sim_net_limits {
    size_t op_bytes;
    size_t memory_bytes;
};
// Makes an empty net; NULL when out of memory. Reused for many runs by sim_net_reset().
struct sim_net *sim_net_open(const struct sim_net_limits *limits);
void sim_net_close(struct sim_net *net);
// Forgets everything and starts a run at time 0 with no node. `choice` and `heap` are kept while in
// use.
void sim_net_reset(struct sim_net *net, struct choice *choice, struct sim_heap *heap,
                   const struct sim_model *model);
// Draws the rates of a run: some faults off, some rare, some frequent. `severity` 0 switches all
// off.
void sim_model_draw(struct sim_model *model, struct choice *choice, uint32_t severity);
// A model in which nothing goes wrong: fixed latencies, no faults.
struct sim_model sim_model_calm(void);

struct sim_node_config {
    enum sim_role role;
    tacit_node_t node;
    uint32_t identity;
    tacit_incarnation_t incarnation;
    struct tacit_host_layout layout;
};
// Adds a node (in order: slots count from 0) and starts it. Its fabric is valid until the net's
// reset; a restart keeps the object and the address.
struct sim_node *sim_net_add(struct sim_net *net, const struct sim_node_config *config);
// The peer will connect to the host, and again whenever that breaks. Replicas connect to all; a
// client and a replica always connect to each other together, and lose that together.
void sim_net_connect(struct sim_net *net, uint32_t peer, uint32_t host);
// Kills the process: its memory is gone, its operations in flight land or not.
void sim_net_crash(struct sim_net *net, uint32_t slot);
// Starts it again with empty memory under a larger incarnation.
void sim_net_restart(struct sim_net *net, uint32_t slot, tacit_incarnation_t incarnation);
// Blocks or frees a direction.
void sim_net_block(struct sim_net *net, uint32_t from, uint32_t to, bool blocked);
// Breaks the connection of peer to host (LOST, DOWN not certain); it comes back by itself.
void sim_net_break(struct sim_net *net, uint32_t peer, uint32_t host);
// A quiet write of `bytes` bytes that the peer's code did not ask for, into a region of its own at
// `host`. False: not possible now.
bool sim_net_forge(struct sim_net *net, uint32_t peer, uint32_t host, struct tacit_region_key key,
                   uint64_t offset, const void *data, uint32_t bytes);
// Rings the host in the name of the peer.
void sim_net_ring(struct sim_net *net, uint32_t peer, uint32_t host);
// True if the timer was the fabric's (and was handled). net->now_ns is the timer's time already.
bool sim_net_timer(struct sim_net *net, const struct sim_timer *timer);
// Slot of a node number, or SIM_SLOTS; of twins the first.
uint32_t sim_net_slot(const struct sim_net *net, tacit_node_t node);
// Which of the twins the peer reaches, if the slot is one of theirs; else the slot itself.
uint32_t sim_net_routed(const struct sim_net *net, uint32_t peer, uint32_t slot);
// Makes the peer (a replica or client) reach the second or the first twin from now on: what it had
// with the other one breaks.
void sim_net_route(struct sim_net *net, uint32_t peer, bool to_second);

// Checks of the fabric's users report here; the first one counts.
void sim_net_violation(struct sim_net *net, tacit_node_t node, const char *text);
// Adds something that happened to the trace hash.
void sim_trace(struct sim_net *net, uint64_t what);

#endif
