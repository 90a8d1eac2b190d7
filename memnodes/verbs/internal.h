// SPDX-License-Identifier: Apache-2.0
//
// Data structures of the RDMA provider and which thread may touch what.
//
// The *control thread* owns connections (verbs_connection), the host's side of planes
// (verbs_host_plane), registrations, and who holds the permission. The *protocol thread* owns
// events and counters. Between them are: the state of a link, by compare and swap; the peer's side
// of a plane (verbs_plane), under the link's lock, which the protocol thread only tries; tables of
// regions, under locks that are held for a few loads and stores; two small queues. Completions lie
// in the plane until the protocol thread polls.
#ifndef TACIT_VERBS_INTERNAL_H
#define TACIT_VERBS_INTERNAL_H

#include <infiniband/verbs.h>
#include <pthread.h>
#include <rdma/rdma_cma.h>
#include <stdatomic.h>

#include "message.h"
#include "tacit/handshake.h"
#include "tacit/layout.h"
#include "tacit/verbs.h"

#define TACIT_VERBS_OPS 128u // operations under way on one plane of one link; power of two
#define TACIT_VERBS_WORK (2u * TACIT_VERBS_OPS) // work requests: a holder's read takes two
#define TACIT_VERBS_BOUNCE 131072u              // bytes of quiet writes under way on one plane
#define TACIT_VERBS_INLINE 64u
#define TACIT_VERBS_ATTACHED 4u // pieces of memory that operations use
#define TACIT_VERBS_RETRIES 6u  // Soft-RoCE takes 7 for infinitely many
#define TACIT_VERBS_MARKERS 4u
#define TACIT_VERBS_CHAIN 16u         // work requests behind one doorbell
#define TACIT_VERBS_READS 4u          // reads that a queue pair has on the wire at a time
#define TACIT_VERBS_CONTROL_QUEUE 64u // messages in either direction of a control queue pair
#define TACIT_VERBS_OWN_REGIONS 192u
#define TACIT_VERBS_DIRECTORY 128u // regions of one host that one peer may know
#define TACIT_VERBS_LIVES 2u       // of a replica, whose REGISTERS a host keeps
#define TACIT_VERBS_EMBRYOS 32u    // largest number of unfinished inbound connections
#define TACIT_VERBS_CONNECTIONS (TACIT_NODES_MAX + TACIT_VERBS_EMBRYOS)
#define TACIT_VERBS_COMMANDS 64u
#define TACIT_VERBS_NOTICES 64u
#define TACIT_VERBS_SELF_QUEUE 1024u
#define TACIT_VERBS_GONE_TIMEOUT_NS 1000000000u
#define TACIT_VERBS_PING_NS 200000000u
#define TACIT_VERBS_TOLD_TIMEOUT_NS 500000000u

static_assert((TACIT_VERBS_OPS & (TACIT_VERBS_OPS - 1)) == 0, "index by mask");
static_assert(2 + (1 + TACIT_VERBS_LIVES) * TACIT_REPLICAS_MAX + TACIT_PAGE_REGIONS_MAX +
                      TACIT_CLIENTS_MAX <=
                  TACIT_VERBS_OWN_REGIONS,
              "own regions");
static_assert(3 + TACIT_PAGE_REGIONS_MAX + (2 + TACIT_VERBS_LIVES) * TACIT_REPLICAS_MAX <=
                  TACIT_VERBS_DIRECTORY,
              "directory");

// What a peer writes beside regions: its line at the host. Words of different planes.
struct verbs_bells {
    uint64_t bell[TACIT_PLANES];
    uint64_t probe[TACIT_PLANES];
    uint64_t unused[4];
};
static_assert(sizeof(struct verbs_bells) == TACIT_CACHE_LINE, "a line for each peer");

struct verbs_region { // of this host; under regions_lock, but only the control thread adds and
                      // removes
    bool used;
    bool retired; // not to be seen any more, but still registered
    struct tacit_region_key key;
    void *base;
    size_t bytes, mapped_bytes;
    uint32_t use; // counts the regions that had this place; part of handles
    uint64_t birth;
    tacit_time_ns_t gone_deadline_ns;
};

struct verbs_entry { // region of another host; under directory_lock
    bool used;
    bool expected; // REGISTERS that the host has not told of (region.c)
    bool gone;     // retired by its host
    struct verbs_region_entry entry;
    uint32_t use;
    uint32_t gone_after[TACIT_PLANES]; // operations up to here may be about it
};

enum verbs_op_state { TACIT_VERBS_OP_POSTED = 0, TACIT_VERBS_OP_ENDED };
struct verbs_op {
    uint64_t cookie, generation;
    uint32_t bounce_bytes;
    uint8_t flags;
    uint8_t state;
    uint8_t status;
    uint8_t plane; // that was named
    bool silent;   // a bell: no event
    // A read of expected REGISTERS: zeros are the answer.
    void *zeros;
    uint32_t zeros_bytes;
};

// A work request that waits for a doorbell, with what it is about.
struct verbs_staged {
    struct ibv_send_wr work;
    struct ibv_sge sge;
    uint64_t bytes[TACIT_VERBS_INLINE / 8]; // of a small quiet write, a bell or a probe
};

// What the device was asked and said; written under the link's lock, read by anybody.
struct verbs_tally {
    _Atomic uint64_t posts, doorbells, completions, polls, inlined;
};

enum verbs_plane_state {
    TACIT_VERBS_PLANE_CLOSED = 0, // not there, or being set up (again)
    TACIT_VERBS_PLANE_OPEN,
    TACIT_VERBS_PLANE_BROKEN, // failed; the control thread has to ask for a new one
    TACIT_VERBS_PLANE_ASKED,
};

// The side of the process that posts: a queue pair for each plane, though not all operations of a
// plane take that of their own (post.c). All but dirty and bell_due under the link's lock.
struct verbs_plane {
    struct ibv_qp *qp;
    struct ibv_cq *cq;
    uint32_t host_qpn, psn;
    enum verbs_plane_state state;
    uint32_t
        epoch; // counts the queue pairs; in work request ids, so that late completions are known
    uint32_t round; // of the host
    uint64_t floor, granted;
    // A generation that the host is (to be) asked about; one that it has said no to, for one
    // operation.
    uint64_t asked, refused;
    bool ask_due;
    bool denied; // what follows a refused operation on the wire was not executed
    struct verbs_op ops[TACIT_VERBS_OPS];
    uint32_t first, next;               // operations that poll() has not taken out yet
    uint32_t ended;                     // operations below have a result
    uint32_t bounce_first, bounce_next; // free-running, modulo TACIT_VERBS_BOUNCE
    uint64_t bell_address, bells;
    uint32_t bell_rkey;
    struct verbs_staged staged[TACIT_VERBS_CHAIN];
    uint32_t staged_count;
    // From here on kept while the peer is away.
    struct verbs_tally tally;
    uint8_t *bounce;
    struct ibv_mr *bounce_mr;
    // Protocol thread: has written since the last bell, in that epoch; owes a bell.
    bool dirty, bell_due;
    uint32_t dirty_epoch;
};

// The side of the host that is written; control thread only.
struct verbs_host_plane {
    struct ibv_cq *cq;  // for markers only
    struct ibv_qp *qp;  // started if open
    struct ibv_qp *old; // stopped; the peer's end may still send to it
    uint32_t peer_qpn, peer_psn;
    bool open, may_write;
    uint32_t round;
    // From here on kept while the peer is away, for its return in the same incarnation.
    struct ibv_pd *pd;
    struct ibv_mr *bell_mr;
    struct ibv_mr *mr[TACIT_VERBS_OWN_REGIONS];
};

enum verbs_link_state {
    TACIT_VERBS_LINK_NONE = 0,
    TACIT_VERBS_LINK_SETUP,  // control thread
    TACIT_VERBS_LINK_RISING, // UP is to be polled
    TACIT_VERBS_LINK_UP,
    TACIT_VERBS_LINK_FALLING, // DOWN is to be polled, after the completions
    TACIT_VERBS_LINK_DOWN,    // the control thread may take it apart
};

// How to get a queue pair to a peer into INIT and RTR.
struct verbs_path {
    struct ibv_qp_attr init, ready;
};

// The port of a device through which a node is reached.
struct verbs_place {
    struct ibv_context *device;
    uint8_t port;
    uint8_t gid_index;
    bool is_global; // addressed by GID
    bool is_wished; // the GID was asked for: it takes the place of the one that rdma_cm chooses
    uint16_t lid;
    union ibv_gid gid;
    enum ibv_mtu mtu;
};

struct verbs_connection;

// A peer that is or was connected; one for each node number, kept until close.
struct verbs_link {
    tacit_node_t node;
    _Atomic int state;
    atomic_bool regions_news;
    enum tacit_verbs_kind kind;
    tacit_incarnation_t incarnation;
    uint32_t identity;
    bool reaches, is_reached; // this process reaches the peer's memory; the other way round

    pthread_mutex_t lock;
    struct verbs_plane plane[TACIT_PLANES];
    struct { // where the operations of a plane went last, and the place after the last of them
        unsigned queue;
        uint32_t before;
    } route[TACIT_PLANES];
    pthread_mutex_t directory_lock;
    struct verbs_entry directory[TACIT_VERBS_DIRECTORY];

    // Control thread.
    struct verbs_connection *connection;
    struct verbs_host_plane host[TACIT_PLANES];
    struct verbs_path path;   // to that peer
    bool greeted;             // its HELLO has come
    bool announced;           // is being told the regions of this host
    uint32_t told, told_back; // messages of REGIONS to it, and how many it has taken in
    tacit_time_ns_t told_ns;
    bool was_up;
    bool hung_up;                               // the other end ended the connection
    bool gone_waiting[TACIT_VERBS_OWN_REGIONS]; // own retired regions that the peer may still use
};

enum verbs_connection_state {
    TACIT_VERBS_CONNECTION_FREE = 0,
    TACIT_VERBS_CONNECTION_ROUTING, // dialling
    TACIT_VERBS_CONNECTION_CONNECTING,
    TACIT_VERBS_CONNECTION_SHAKING,
    TACIT_VERBS_CONNECTION_BOUND,    // authenticated; has a link
    TACIT_VERBS_CONNECTION_REFUSING, // the last word is on its way
};

struct verbs_secrets {
    struct tacit_session session;
    _Alignas(8) uint8_t handshake[];
};

struct verbs_connection { // control thread
    enum verbs_connection_state state;
    bool dials;
    unsigned peer; // when it dials: index of the configured peer
    struct rdma_cm_id *id;
    struct ibv_cq *cq;
    uint32_t sends_posted, sends_done;
    uint64_t sent, received; // numbers of messages with a MAC
    tacit_time_ns_t deadline_ns, last_send_ns;
    struct verbs_secrets *secrets;
    struct tacit_handshake *handshake;
    struct verbs_link *link;
    // From here on kept for the next connection that takes this place.
    uint8_t (*buffers)[TACIT_VERBS_MESSAGE_BYTES]; // received, then sent
    struct ibv_mr *mr;
};

#define TACIT_VERBS_ADDRESSES_MAX (1u + TACIT_SPARES_MAX) // of every body of a seat
struct verbs_dial {                                       // control thread
    tacit_node_t node;
    struct sockaddr_storage address[TACIT_VERBS_ADDRESSES_MAX]; // tried in turn
    unsigned addresses, turn;
    bool busy;
    tacit_time_ns_t pause_ns, next_ns;
};

enum verbs_command_kind {
    TACIT_VERBS_COMMAND_GRANT = 1,
    TACIT_VERBS_COMMAND_REVOKE,
    TACIT_VERBS_COMMAND_RETIRE,
    TACIT_VERBS_COMMAND_RESET,
};
struct verbs_command {
    enum verbs_command_kind kind;
    tacit_node_t node;
    tacit_incarnation_t incarnation;
    uint64_t generation;
    unsigned region;
};

struct tacit_verbs {
    struct tacit_fabric base;
    struct tacit_verbs_config config; // address, peers: not used after open
    struct tacit_host_layout layout;  // own

    struct ibv_context *device;
    struct verbs_place place;
    struct tacit_verbs_facts facts;
    uint8_t timeout_exponent; // of queue pairs
    struct ibv_pd
        *pd; // of queue pairs that post, and of control messages: nothing here is reachable
    struct rdma_event_channel *events;
    struct rdma_cm_id *listener; // bound to the device's address; listens if there is a port
    struct ibv_comp_channel *completions;
    struct ibv_cq *idle_cq;         // of queue pairs that are only written to
    int wake_control, wake_sleeper; // eventfds
    pthread_t control;
    bool control_runs;
    atomic_bool stop;

    pthread_mutex_t regions_lock;
    struct verbs_region regions[TACIT_VERBS_OWN_REGIONS];
    uint64_t births;
    atomic_bool regions_news;
    struct verbs_bells *bells; // [TACIT_NODES_MAX]
    uint64_t bells_heard[TACIT_NODES_MAX][TACIT_PLANES];

    pthread_mutex_t queue_lock;
    struct verbs_command commands[TACIT_VERBS_COMMANDS];
    uint32_t commands_first, commands_next;
    struct tacit_event notices[TACIT_VERBS_NOTICES]; // GRANTED, REVOKED
    uint32_t notices_first, notices_next;

    // Who holds; control thread. self_generation: its generation while that is this process, else
    // 0.
    tacit_node_t holder;
    tacit_incarnation_t holder_incarnation;
    uint64_t generation;
    _Atomic uint64_t self_generation;

    _Atomic(struct verbs_link *) links[TACIT_NODES_MAX];
    uint64_t life, seen_life[TACIT_NODES_MAX]; // 0: not told yet
    // Control thread: who came last, and the last life of each body.
    tacit_incarnation_t newest[TACIT_NODES_MAX];
    tacit_incarnation_t seen[TACIT_NODE_CLIENT][TACIT_BODIES];
    struct verbs_connection connections[TACIT_VERBS_CONNECTIONS];
    struct verbs_dial dials[TACIT_NODES_MAX];
    unsigned dials_count;
    tacit_time_ns_t reported_ns[TACIT_VERBS_REPORTS];

    // Protocol thread.
    struct ibv_mr *attached[TACIT_VERBS_ATTACHED]; // the first attached_count
    unsigned attached_count;
    bool attached_refused; // the device did not take some memory, which was reported
    struct tacit_event self[TACIT_VERBS_SELF_QUEUE];
    uint32_t self_first, self_next;
    tacit_node_t poll_from;

    struct {
        _Atomic uint64_t accepted, connected, refused, misbehaved, expired, broken;
        _Atomic uint64_t planes_cycled, planes_renewed;
    } count;
};

static inline struct tacit_verbs *tacit_verbs_of(struct tacit_fabric *fabric)
{
    return (struct tacit_verbs *)fabric;
}

static inline struct verbs_link *tacit_verbs_link(struct tacit_verbs *v, tacit_node_t node)
{
    return node < TACIT_NODES_MAX ? atomic_load_explicit(&v->links[node], memory_order_acquire)
                                  : NULL;
}

// device.c: what is done to queue pairs. False: the device refused.
struct ibv_qp *tacit_verbs_qp_make(struct ibv_pd *pd, struct ibv_cq *cq, uint32_t sends,
                                   uint32_t receives);
// Stops a queue pair for good. When this returned true, all that arrived before has been placed,
// and nothing lands through it any more. Takes as long as the device needs to place what it has
// begun. False: the device did not say so in time.
bool tacit_verbs_qp_stop(struct ibv_qp *qp);
// Destroys it (NULL is allowed).
bool tacit_verbs_qp_end(struct ibv_qp **qp);
// From RESET to RTS. `access`: what the other end may do through it.
// `timeout_exponent`: a try takes 4.096 us times two to the power of it.
bool tacit_verbs_qp_start(const struct verbs_path *path, struct ibv_qp *qp, int access,
                          uint32_t remote_qpn, uint32_t receive_psn, uint32_t send_psn,
                          uint8_t timeout_exponent);
bool tacit_verbs_qp_allow(struct ibv_qp *qp, int access);
uint32_t tacit_verbs_psn(void);
enum tacit_status tacit_verbs_device_open(struct tacit_verbs *v, struct tacit_error *error);
bool tacit_verbs_numeric_address(const char *text, uint16_t port, struct sockaddr_storage *out);

// place.c: which port and GID, and what that is for people.
// Fills in `place` and the facts but the permission. `own` NULL: the best there is. Of the wishes,
// that for a GID is looked at. False: the port does not fit, and `why` says so.
#define TACIT_VERBS_WHY_BYTES 240u
bool tacit_verbs_place_find(struct ibv_context *device, uint8_t port,
                            const struct sockaddr_storage *own,
                            const struct tacit_verbs_wishes *wishes, struct verbs_place *place,
                            struct tacit_verbs_facts *facts, char why[TACIT_VERBS_WHY_BYTES]);
uint32_t tacit_verbs_mtu_bytes(enum ibv_mtu mtu);

// probe.c: what the device honours, tried on a queue pair of this process to itself. Takes some
// milliseconds, at most about 0.3 s.
enum tacit_verbs_permission tacit_verbs_probe(const struct verbs_place *place);

// control.c: the control thread.
void *tacit_verbs_control_main(void *argument);
void tacit_verbs_report(struct tacit_verbs *v, enum tacit_verbs_report_kind kind,
                        const char *format, ...) __attribute__((format(printf, 3, 4)));
void tacit_verbs_wake_control(struct tacit_verbs *v);
void tacit_verbs_wake_sleeper(struct tacit_verbs *v);
void tacit_verbs_command(struct tacit_verbs *v, const struct verbs_command *command);
void tacit_verbs_notice(struct tacit_verbs *v, uint8_t kind, uint64_t generation);

// connection.c: the control queue pair, handshake, messages.
struct verbs_connection *tacit_verbs_connection_make(struct tacit_verbs *v, struct rdma_cm_id *id,
                                                     bool dials, unsigned peer);
bool tacit_verbs_connection_prepare(struct tacit_verbs *v, struct verbs_connection *connection);
bool tacit_verbs_connection_shake(struct tacit_verbs *v, struct verbs_connection *connection);
// Takes what has arrived; false: the connection has to end.
bool tacit_verbs_connection_receive(struct tacit_verbs *v, struct verbs_connection *connection);
// False: too many messages under way, or a failure; the connection has to end.
bool tacit_verbs_send(struct tacit_verbs *v, struct verbs_connection *connection,
                      struct verbs_message *message);
void tacit_verbs_connection_end(struct tacit_verbs *v, struct verbs_connection *connection);
void tacit_verbs_connection_forget(struct verbs_connection *connection);

// link.c: what two authenticated nodes set up, and its end.
bool tacit_verbs_link_begin(struct tacit_verbs *v, struct verbs_connection *connection,
                            const struct tacit_identity *peer, tacit_node_t node);
bool tacit_verbs_link_message(struct tacit_verbs *v, struct verbs_link *link,
                              const struct verbs_message *message);
// Goes on with peers that have to wait until others were told of their regions. True: some still
// wait.
bool tacit_verbs_links_settle(struct tacit_verbs *v);
void tacit_verbs_link_break(struct tacit_verbs *v, struct verbs_link *link);
// Takes apart what led to the peer and from it. What is registered for it stays for its return in
// the same incarnation: nothing leads there without a queue pair.
void tacit_verbs_link_release(struct verbs_link *link);
// Ends those registrations, and their protection domains. Of a released link only.
void tacit_verbs_link_forget(struct verbs_link *link);
// Node number of an authenticated peer here; TACIT_NODE_NONE and a reason: it may not connect now.
tacit_node_t tacit_verbs_link_place(struct tacit_verbs *v, const struct tacit_identity *peer,
                                    enum tacit_refusal *reason);

// permit.c: grant, revoke, and planes that are replaced.
void tacit_verbs_permit_grant(struct tacit_verbs *v, const struct verbs_command *command);
void tacit_verbs_permit_revoke(struct tacit_verbs *v, const struct verbs_command *command);
bool tacit_verbs_permit_open(struct tacit_verbs *v, struct verbs_link *link, unsigned plane);
void tacit_verbs_permit_news(struct tacit_verbs *v, const struct verbs_link *link,
                             struct verbs_plane_news *news);
bool tacit_verbs_permit_message(struct tacit_verbs *v, struct verbs_link *link,
                                const struct verbs_message *message);
// Asks for new planes where they have failed, and about grants. False: the connection has to end.
bool tacit_verbs_permit_tick(struct tacit_verbs *v, struct verbs_link *link);
// Ends the own side of a plane and gives what is under way a result. Under the link's lock.
void tacit_verbs_plane_stop(struct verbs_plane *plane);
// New queue pairs, not started. False: the device refused.
bool tacit_verbs_plane_renew(struct tacit_verbs *v, struct verbs_plane *plane);
bool tacit_verbs_host_renew(struct verbs_host_plane *host);

// region.c: own regions, and those of other hosts.
enum tacit_status tacit_verbs_regions_open(struct tacit_verbs *v, struct tacit_error *error);
void tacit_verbs_regions_close(struct tacit_verbs *v);
bool tacit_verbs_regions_for(struct tacit_verbs *v, const struct verbs_link *link);
bool tacit_verbs_regions_register(struct tacit_verbs *v, struct verbs_link *link);
bool tacit_verbs_regions_announce(struct tacit_verbs *v, struct verbs_link *link, unsigned only);
void tacit_verbs_regions_unregister(struct verbs_link *link);
void tacit_verbs_regions_retire(struct tacit_verbs *v, unsigned index);
void tacit_verbs_regions_tick(struct tacit_verbs *v);
bool tacit_verbs_directory_add(struct tacit_verbs *v, struct verbs_link *link,
                               const struct verbs_regions *regions);
void tacit_verbs_directory_gone(struct verbs_link *link, uint16_t index);
bool tacit_verbs_directory_tick(struct tacit_verbs *v, struct verbs_link *link);
// What a read of REGISTERS that the host has not told of is sent to: the reader's own ones. False:
// they are not there either. Under the link's lock.
bool tacit_verbs_directory_own(struct verbs_link *link, struct verbs_region_entry *own);
int32_t tacit_verbs_region(struct tacit_fabric *fabric, tacit_node_t host,
                           struct tacit_region_key key);
void *tacit_verbs_local(struct tacit_fabric *fabric, struct tacit_region_key key, size_t *bytes);
size_t tacit_verbs_log_regions(struct tacit_fabric *fabric, struct tacit_region_key *keys,
                               size_t max);
void tacit_verbs_retire(struct tacit_fabric *fabric, struct tacit_region_key key);

// post.c: operations and events; protocol thread, but for harvest.
bool tacit_verbs_post(struct tacit_fabric *fabric, const struct tacit_op *op);
size_t tacit_verbs_poll(struct tacit_fabric *fabric, struct tacit_event *events, size_t max);
void tacit_verbs_attach(struct tacit_fabric *fabric, void *base, size_t bytes);
// Takes results from the device. Under the link's lock.
void tacit_verbs_harvest(struct tacit_verbs *v, struct verbs_plane *plane);
// Hands what waits to the device, with one doorbell. Under the link's lock.
void tacit_verbs_plane_flush(struct tacit_verbs *v, struct verbs_plane *plane);
// Whether there is a completion to be polled. Under the link's lock.
bool tacit_verbs_plane_has_news(const struct verbs_plane *plane);
bool tacit_verbs_plane_ring(struct tacit_verbs *v, struct verbs_plane *plane, unsigned number);

// wait.c: doorbells and sleeping.
void tacit_verbs_ring(struct tacit_fabric *fabric, tacit_node_t host);
// Posts bells that are owed, as far as planes allow. Under the link's lock. True: none is owed any
// more.
bool tacit_verbs_bells_flush(struct tacit_verbs *v, struct verbs_link *link);
void tacit_verbs_arm(struct tacit_fabric *fabric);
void tacit_verbs_sleep(struct tacit_fabric *fabric, tacit_time_ns_t until_ns);
void tacit_verbs_disarm(struct tacit_fabric *fabric);

#endif
