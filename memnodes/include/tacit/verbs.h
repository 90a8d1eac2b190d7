// SPDX-License-Identifier: Apache-2.0
//
// The RDMA provider of the memory fabric (tacit/fabric.h), over rdma-core: InfiniBand, RoCE, and
// Soft-RoCE on any Linux host. Who may write what is enforced by the device of the host, with keys
// of memory registrations and with the access flags of queue pairs.
//
// Connections. One between any two nodes that deal with each other, by the rule of the other
// providers: replicas connect to memory nodes and to replicas with a smaller id, clients to
// replicas. It consists of a control queue pair, made by rdma_cm, over which the authenticated
// handshake and then messages with a MAC run, and of two queue pairs (one a plane) for each
// direction in which memory is reached. Each of those has a protection domain of its own at the
// host's side: a remote key is no secret, so it must be worthless on the connection of anybody
// else, and on the other plane.
//
// Permission. A replica's data plane at a log host may write only while the replica is the holder:
// the queue pair gets the right by an access flag; to take it away, the queue pair is stopped and
// replaced, because a flag that was taken away is no strict barrier on every device. That
// interrupts this replica's data plane, and no other, until both ends have set it up again (post()
// refuses meanwhile); the background plane does not notice.
//
// Beyond the contract:
// - A connection that breaks is DOWN and comes back by itself, also in the same incarnation: here,
// unlike
//   between processes of one host, a broken connection does not mean that the peer has gone. Hence
//   DOWN is never certain.
// - Operations of the holder (TACIT_OP_AS_HOLDER) and writes to LOG regions share one queue pair,
// whatever
//   plane they name, writes to CONTROL regions another. The order within a plane is kept by
//   refusing to post (false) until what the plane has under way on the other queue pair has ended.
// - A holder's read costs two round trips: what the device checks is the right to write, so a small
// write
//   follows the read and tells whether the right was still there.
// - A holder's operation is posted when its generation is the one that the host has granted to this
//   process. About a number that it has not heard of, the provider first asks the host: post()
//   refuses, and a later try is either posted or DENIED.
// - post() may refuse although the host is up: queue full, or a plane that is being set up again.
// - Operations use memory that was given to attach() (quiet writes any), else they assert.
//
// Limits. Registered memory counts against RLIMIT_MEMLOCK once for each registration, thus up to
// twice for each connected peer. Packets are neither encrypted nor authenticated by the device: who
// can inject packets into the network is outside of the fault model.
//
// Threads. One control thread inside the provider connects, shakes hands, registers memory and
// moves queue pairs. All functions here and in tacit_fabric_ops belong to the protocol thread, but
// that any thread may open.
#ifndef TACIT_VERBS_H
#define TACIT_VERBS_H

#include "tacit/crypto.h"
#include "tacit/fabric.h"
#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum tacit_verbs_kind {
    TACIT_VERBS_REPLICA = 0,
    TACIT_VERBS_MEMNODE,
    TACIT_VERBS_CLIENT,
    TACIT_VERBS_KINDS,
};

// A node to connect to: a replica or a memory node.
struct tacit_verbs_peer {
    tacit_node_t node;
    const char *address; // numeric, IPv4 or IPv6
    uint16_t port;
};

enum tacit_verbs_report_kind {
    TACIT_VERBS_REPORT_REFUSED = 0, // a handshake failed, on either side
    TACIT_VERBS_REPORT_MISBEHAVED,  // a peer sent what no correct peer sends
    TACIT_VERBS_REPORT_RESOURCE,    // the device or the system refused memory, a queue, a slot
    TACIT_VERBS_REPORTS,
};

struct tacit_verbs_config {
    enum tacit_verbs_kind kind;
    uint16_t id; // replica or memory node: its number in the group; client: client id
    tacit_incarnation_t incarnation;
    const char *address; // numeric address of the RDMA device's interface
    uint16_t port;       // to listen on; 0: does not listen (clients)
    // Nodes of the group; the provider picks those that it connects to by the rule above. Copied.
    const struct tacit_verbs_peer *peers;
    size_t peers_count;
    // What replicas, memory nodes and clients of this group expose, indexed by enum
    // tacit_verbs_kind. A region of a peer that has another size is refused, with the connection.
    struct tacit_host_layout layouts[TACIT_VERBS_KINDS];

    struct tacit_group_id group;
    struct tacit_digest cluster;
    const struct tacit_keypair *keypair; // borrowed until close
    // Public key of a node of `kind` with number `id`; false: unknown. Control thread.
    bool (*key_of)(void *context, enum tacit_verbs_kind kind, uint16_t id,
                   struct tacit_public_key *key);
    // Told about trouble with peers, at most once a second for each kind; NULL: nobody. Control
    // thread.
    void (*report)(void *context, enum tacit_verbs_report_kind kind, const char *text);
    void *context; // of both

    // Limits and times; 0 takes the default in brackets.
    uint32_t handshakes;                  // unfinished inbound connections, at most 32 [8]
    tacit_time_ns_t handshake_timeout_ns; // until a connection must be up [2 s]
    tacit_time_ns_t reconnect_min_ns;     // first pause after a failed attempt [2 ms]
    tacit_time_ns_t reconnect_max_ns;     // largest one, reached by doubling [500 ms]
    tacit_time_ns_t sleep_slice_ns;       // how often a sleeper looks for bells [200 us]
    // Silence of a host after which the device gives an operation up: 8 times 4.096 us times two to
    // the power of this, 1 .. 31 [14: about 0.5 s]
    uint8_t timeout_exponent;
};

// What happened on the control thread since open.
struct tacit_verbs_counters {
    uint64_t accepted, connected; // connections that came up
    uint64_t refused, misbehaved, expired;
    uint64_t broken;         // connections that were up and went down
    uint64_t planes_cycled;  // planes of peers that were replaced at this host
    uint64_t planes_renewed; // own planes at other hosts, likewise
};

// Opens the RDMA device that has `address`, makes and registers the regions of this node, listens,
// and starts the control thread. The caller's strings and tables may go away afterwards; keypair
// and context stay. Errors: TACIT_EINVAL (config), TACIT_ENOENT (no RDMA device has that address),
// TACIT_EBUSY (port in use), TACIT_ENOMEM (memory, or RLIMIT_MEMLOCK), TACIT_EIO (the device
// refused).
enum tacit_status tacit_verbs_open(const struct tacit_verbs_config *config,
                                   struct tacit_fabric **fabric, struct tacit_error *error);

// Closes all connections and frees everything; no event is told any more. Peers see DOWN.
void tacit_verbs_close(struct tacit_fabric *fabric);

// The clock of sleep(): CLOCK_MONOTONIC. Any thread.
tacit_time_ns_t tacit_verbs_now_ns(void);

// Any thread.
void tacit_verbs_counters(const struct tacit_fabric *fabric, struct tacit_verbs_counters *counters);

#ifdef __cplusplus
}
#endif

#endif
