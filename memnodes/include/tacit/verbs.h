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
//   DOWN is never certain, but says whether the other end hung up, which the kernel of its host
//   does within milliseconds of the end of a process.
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
// twice for each peer that was ever connected; a reconnect registers nothing. Packets are neither
// encrypted nor authenticated by the device: who can inject packets into the network is outside of
// the fault model.
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
    TACIT_VERBS_REPORT_STALE,       // a peer knows a later life in this node's place
    TACIT_VERBS_REPORTS,
};

// What to insist on, instead of what belongs to the address. 0, NULL: nothing.
struct tacit_verbs_wishes {
    const char *device; // name, as `rdma link` shows it; has to have the address
    uint32_t port;      // of it, likewise
    bool has_gid_index;
    uint32_t gid_index; // of a GID with the address; peers need one of the same kind (RoCE v1, v2)
    uint32_t mtu_bytes; // of packets: 256, 512, 1024, 2048 or 4096, at most the port's
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
    // Public key of the body that `incarnation` names of the node of `kind` with number `id`;
    // false: unknown. Control thread.
    bool (*key_of)(void *context, enum tacit_verbs_kind kind, uint16_t id,
                   tacit_incarnation_t incarnation, struct tacit_public_key *key);
    // Whether an authenticated replica or memory node may come in as that life of its seat now.
    // Until it may, a claim to the seat ends nobody's connection. NULL: all may. Control thread.
    enum tacit_seat_ruling (*seat_rule)(void *context, enum tacit_verbs_kind kind, uint16_t id,
                                        tacit_incarnation_t incarnation);
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
    // Silence of a host after which the device gives an operation up, as far as the device can
    // count: it knows powers of two, of which the largest below is taken, and may have a lowest one
    // of its own. From 64 us on [500 ms]
    tacit_time_ns_t silence_ns;
    struct tacit_verbs_wishes wishes;
};

// How the permission to write a log moves on a device. Found out at open, by trying (contract 4,
// 5).
enum tacit_verbs_permission {
    TACIT_VERBS_PERMISSION_NONE = 0, // in no way that is a barrier: the device cannot be used
    // Granted by an access flag of the queue pair, which stays; taken away by stopping that and
    // replacing it.
    TACIT_VERBS_PERMISSION_FLAGS,
    // Both by a queue pair in place of the other, for a device that does not add a flag to one that
    // has started.
    TACIT_VERBS_PERMISSION_CYCLE,
    // The same, but the old one is destroyed at once, for a device that does not tell when a
    // stopped one has placed all.
    TACIT_VERBS_PERMISSION_DESTROY,
};

// What a node uses, or would.
struct tacit_verbs_facts {
    char device[64];    // "mlx5_0"
    char interface[16]; // network interface; empty: none (InfiniBand without IPoIB)
    char address[64];   // numeric
    char gid[48];
    char gid_type[16]; // "RoCE v2", "RoCE v1" or "InfiniBand"
    char gid_why[128]; // why that GID: "the only one with this address"
    uint32_t port, gid_index, mtu_bytes;
    enum tacit_verbs_permission permission;
};

// The name of a way, for people: one word.
const char *tacit_verbs_permission_name(enum tacit_verbs_permission permission);

// What an open fabric uses. Any thread.
void tacit_verbs_facts(const struct tacit_fabric *fabric, struct tacit_verbs_facts *facts);

// Whether this host can run the fabric, and what is missing. Texts are sentences.
#define TACIT_VERBS_FINDINGS 24u
struct tacit_verbs_check {
    bool usable;
    struct tacit_verbs_facts facts; // if usable
    uint32_t count;
    struct tacit_verbs_finding {
        enum tacit_verbs_finding_kind {
            TACIT_VERBS_FINDING_FINE = 0,
            TACIT_VERBS_FINDING_NOTE,    // works, but is worth knowing
            TACIT_VERBS_FINDING_MISSING, // does not work without
        } kind;
        char text[240];
        char remedy[240]; // what to do; may be empty
    } finding[TACIT_VERBS_FINDINGS];
};
// Looks at the devices of this host, and tries on the one that a node with `address` would use
// (NULL: the first one that fits) whether permissions can be moved. Opens devices for as long as it
// runs, well below a second. Any thread.
void tacit_verbs_check(const char *address, struct tacit_verbs_check *check);

// What happened on the control thread since open.
struct tacit_verbs_counters {
    uint64_t accepted, connected; // connections that came up
    uint64_t refused, misbehaved, expired;
    uint64_t broken;         // connections that were up and went down
    uint64_t planes_cycled;  // planes of peers that were replaced at this host
    uint64_t planes_renewed; // own planes at other hosts, likewise
    // What operations on other hosts' memory cost since open, by enum tacit_plane of the queue pair
    // that they took: work requests, those of them with their bytes inside, calls that hand some
    // over, completions fetched, and calls that fetched any.
    struct tacit_verbs_costs {
        uint64_t posts, inlined, doorbells, completions, polls;
    } costs[TACIT_PLANES];
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

// Ends the present or the next armed sleep of the protocol thread, like a ring. Any thread, and
// signal handlers.
void tacit_verbs_wake(struct tacit_fabric *fabric);

// The clock of sleep(): CLOCK_BOOTTIME, which goes on while the machine is suspended. Any thread.
tacit_time_ns_t tacit_verbs_now_ns(void);

// Any thread.
void tacit_verbs_counters(const struct tacit_fabric *fabric, struct tacit_verbs_counters *counters);

#ifdef __cplusplus
}
#endif

#endif
