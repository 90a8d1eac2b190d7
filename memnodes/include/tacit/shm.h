// SPDX-License-Identifier: Apache-2.0
//
// The shared-memory provider of the memory fabric (tacit/fabric.h): real processes on one host. A
// region is a memfd that is handed over a Unix socket after an authenticated handshake; who may
// write it is enforced by the kernel through seals, for ever, also against root.
//
// Connections. There is one between any two nodes that deal with each other, for both directions:
// replicas connect to memory nodes and to replicas with a smaller id, clients to replicas. UP and
// DOWN at both ends speak of it, also at a memory node, which reaches no memory of replicas but
// learns that way who is there. There is no UP for the own node: its regions can be reached from
// the start. A body of a node is accepted in a larger incarnation than its last one, never again in
// an older or equal one; which body, seat_rule says, and without it none whose generation is over.
//
// Beyond the contract:
// - A handle of a LOG region that its host retires becomes void: operations on it complete DENIED.
// Both a
//   new and a retired region of a host are told by TACIT_EVENT_REGIONS, of the own node too.
// - A write to a region that this process only reads completes DENIED.
// - Completions are made by post() itself; poll() only hands them out. LOST does not occur: a post
// to a
//   host that is not up is refused.
// - reset() voids the handles of a host and tells DOWN and UP; as nothing is ever pending, that is
// all.
// - local() finds a CONTROL region also after its writer's DOWN, until a new incarnation's UP is
// polled.
// - In keys of PAGE and STATE, of which a host has one each, owner and incarnation are not looked
// at.
//
// Threads. One control thread inside the provider listens, connects, shakes hands and maps memory.
// All functions here and in tacit_fabric_ops belong to the protocol thread, but that any thread may
// open.
//
// Trust. Whoever may replace a socket file in the directory of another node can stand between two
// nodes, so these directories must be writable by the nodes' own users only.
#ifndef TACIT_SHM_H
#define TACIT_SHM_H

#include "tacit/crypto.h"
#include "tacit/fabric.h"
#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum tacit_shm_kind {
    TACIT_SHM_REPLICA = 0,
    TACIT_SHM_MEMNODE,
    TACIT_SHM_CLIENT,
    TACIT_SHM_KINDS,
};

// A node to connect to: a replica or a memory node. Whose seat may have several bodies has an entry
// for the socket of each; who does not sit there says so, and they are tried in turn.
struct tacit_shm_peer {
    tacit_node_t node;
    const char *path; // its socket; at most 99 bytes
};

enum tacit_shm_report_kind {
    TACIT_SHM_REPORT_REFUSED = 0, // a handshake failed, on either side
    TACIT_SHM_REPORT_MISBEHAVED,  // a peer sent what no correct peer sends
    TACIT_SHM_REPORT_RESOURCE, // no memory, file descriptor, slot or region left for a connection
    TACIT_SHM_REPORT_STALE,    // a peer knows a later life in this node's place
    TACIT_SHM_REPORTS,
};

struct tacit_shm_config {
    enum tacit_shm_kind kind;
    uint16_t id; // replica or memory node: its number in the group; client: client id
    tacit_incarnation_t incarnation;
    // Socket to listen on, at most 99 bytes; NULL: none (clients). Beside it a file "<path>.lock"
    // is kept.
    const char *path;
    // 0: mode 0600. Else the socket belongs to this group and has mode 0660.
    uint32_t socket_gid;
    // Nodes of the group; the provider picks those that it connects to by the rule above, so
    // everybody may pass the whole list. Copied.
    const struct tacit_shm_peer *peers;
    size_t peers_count;
    // What replicas, memory nodes and clients of this group expose, indexed by enum tacit_shm_kind.
    // A peer whose regions have other sizes is refused.
    struct tacit_host_layout layouts[TACIT_SHM_KINDS];

    struct tacit_group_id group;
    struct tacit_digest cluster;
    const struct tacit_keypair *keypair; // borrowed until close
    // Public key of the body that `incarnation` names of the node of `kind` with number `id`;
    // false: unknown. Control thread.
    bool (*key_of)(void *context, enum tacit_shm_kind kind, uint16_t id,
                   tacit_incarnation_t incarnation, struct tacit_public_key *key);
    // Whether an authenticated replica or memory node may come in as that life of its seat now.
    // Until it may, a claim to the seat ends nobody's connection. NULL: all may. Control thread.
    enum tacit_seat_ruling (*seat_rule)(void *context, enum tacit_shm_kind kind, uint16_t id,
                                        tacit_incarnation_t incarnation);
    // Told about trouble with peers, at most once a second for each kind; NULL: nobody. Control
    // thread.
    void (*report)(void *context, enum tacit_shm_report_kind kind, const char *text);
    void *context; // of both

    // Limits and times; 0 takes the default in brackets.
    uint32_t completions;                 // events waiting for poll(), power of two [4096]
    uint32_t handshakes;                  // unfinished inbound connections, at most 32 [8]
    tacit_time_ns_t handshake_timeout_ns; // until a connection must be up [2 s]
    tacit_time_ns_t reconnect_min_ns;     // first pause after a failed attempt [1 ms]
    tacit_time_ns_t reconnect_max_ns;     // largest one, reached by doubling [200 ms]
    tacit_time_ns_t sleep_slice_ns;       // kernels without futex_waitv(2): longest sleep [500 us]
    int state_fd;     // memory of tacit_shm_state_make, the caller's; 0: open makes it
    bool lock_memory; // mlock(2) own regions: TACIT_ENOMEM beyond the limit
};

#define TACIT_SHM_PATH_MAX 99u

// The owner of a listening socket. The lock is what tells a live owner from a dead one's
// left-overs.
struct tacit_shm_listener {
    int fd;
    int lock;
    char path[TACIT_SHM_PATH_MAX + 1];
};

// Binds and listens; `gid` 0: mode 0600, else that group and 0660. Waits up to 300 ms for a dying
// owner. tacit_shm_open does it by itself; a memory node is given its socket (tacit/memnode.h).
// Errors: TACIT_EINVAL (path), TACIT_EBUSY (a live process listens on the socket; a stale socket
// file of a killed process is replaced), TACIT_EEXIST (the path is there and no socket),
// TACIT_ENOENT and TACIT_EPERM (directory), TACIT_EIO.
enum tacit_status tacit_shm_listen(struct tacit_shm_listener *listener, const char *path,
                                   uint32_t gid, struct tacit_error *error);
// Removes the socket file; nothing happens if listen failed.
void tacit_shm_listener_close(struct tacit_shm_listener *listener);

// Linux hands out shared memory until it has to kill a process for it, so ask before: TACIT_ENOMEM,
// with the figures, if the regions of this node, and those that the replicas in the list get here,
// do not fit into what the machine has left. tacit_shm_open does it by itself. Any thread.
enum tacit_status tacit_shm_memory_check(const struct tacit_shm_config *config,
                                         struct tacit_error *error);

// Makes the memory of a replica's STATE region beforehand: the kernel takes some 0.5 ms a MiB to
// clear it, which who stands by has the time for. For one open only. Errors: TACIT_ENOMEM,
// TACIT_EIO.
enum tacit_status tacit_shm_state_make(const struct tacit_host_layout *layout, int *fd,
                                       struct tacit_error *error);

// What happened on the control thread since open.
struct tacit_shm_counters {
    uint64_t accepted, connected; // connections that came up
    uint64_t refused, misbehaved,
        expired;     // handshakes refused, peers thrown out, handshakes too slow
    uint64_t deaths; // DOWN with certain
};

// Makes the regions of this node, listens, starts the control thread. (TACIT_SHM_MEMNODE: a host
// that reaches nobody. Memory nodes proper are tacit/memnode.h; this is for tests of what hosts
// have in common.) All memory is allocated and touched here but for regions of peers, which are
// bounded by the layouts. The caller's strings and tables may go away afterwards; keypair and
// context stay. Errors: TACIT_EINVAL (config), those of tacit_shm_listen, TACIT_ENOMEM (with the
// figure), TACIT_EIO.
enum tacit_status tacit_shm_open(const struct tacit_shm_config *config,
                                 struct tacit_fabric **fabric, struct tacit_error *error);

// Makes the calling thread the protocol thread: its death, of whatever kind, is told to all peers
// at once by the kernel (robust futexes, so no robust pthread mutexes may be held by this thread),
// and its timers get precise (1 us slack). Call once, before the first poll. Errors: TACIT_EIO.
enum tacit_status tacit_shm_thread_attach(struct tacit_fabric *fabric, struct tacit_error *error);

// Closes all connections and frees everything; no event is told any more. Peers see DOWN. Must be
// called by the attached thread, if one is.
void tacit_shm_close(struct tacit_fabric *fabric);

// Ends the present or the next armed sleep of the protocol thread, like a ring. Any thread, and
// signal handlers.
void tacit_shm_wake(struct tacit_fabric *fabric);

// The clock of sleep(): CLOCK_BOOTTIME, which goes on while the machine is suspended. Any thread.
tacit_time_ns_t tacit_shm_now_ns(void);

void tacit_shm_counters(const struct tacit_fabric *fabric, struct tacit_shm_counters *counters);

// Process behind a connected node, for reports to people: false if it is not up. (SO_PEERCRED)
bool tacit_shm_peer_process(const struct tacit_fabric *fabric, tacit_node_t node, int32_t *pid,
                            uint32_t *uid);

#ifdef __cplusplus
}
#endif

#endif
