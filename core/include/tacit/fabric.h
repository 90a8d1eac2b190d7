// SPDX-License-Identifier: Apache-2.0
//
// The memory fabric: the port through which the protocols reach memory of other processes.
// Providers are in memnodes/ (shm, verbs) and tests/ (sim); one conformance suite runs against all
// of them.
//
// Words. A *host* is a process that exposes memory (replica, memory node, client). A *region* is a
// range of a host's memory with one access table and one writer. A *peer* is an identified process
// (node and incarnation) that accesses a host. The *holder* is the peer that may at this moment
// append to a host's log; the *generation* is the number of the grant that made it so, larger with
// every grant at a host.
//
// The contract, which is all that the code above may rely on:
//  1. Order. Writes of one connection and plane land in posting order; a read posted after a write
//  there
//     sees it. Nothing is ordered across connections or planes.
//  2. Tearing. Only an aligned 8-byte word lands whole; a larger write may be seen in any mixture
//  of old
//     and new words.
//  3. Completion. OK means placed: every later read or local load sees it.
//  4. Permission is checked at placement. A refused operation completes DENIED, is never seen by
//  the
//     present holder or a reader of its log, and may break the connection (DOWN, later UP).
//  5. Revocation. Once `revoke` completed at the host, no later write under an older generation is
//  OK and
//     none becomes visible to whoever reads the log as its present holder or follower. A write in
//     flight may have landed wholly, partly or not at all before.
//  6. Loss. LOST: the connection broke; the operation may have landed or may still land until the
//  host
//     has revoked or reset that connection.
//  7. Crash. After a host crashed, operations may complete OK until this process has learned of it;
//  such
//     an OK says no more than "landed before the crash". The memory of a crashed host is gone.
//  8. Hostile peers. Who may write a region may write anything there at any time, also while it is
//  read:
//     copy once into private memory, check (length first), then use.
//  9. Doorbell. `ring` wakes a sleeping host; it may be lost only if the host was awake after the
//  ringer's
//     last write. A hint, rate-limited; memory nodes ring nobody.
// 10. One writer a region. Words that a host writes are never in a region that a peer writes.
//
// Threads: all calls on one fabric object come from the one protocol thread of its process, except
// where a provider's own header says otherwise.
#ifndef TACIT_FABRIC_H
#define TACIT_FABRIC_H

#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum tacit_region_class {
    TACIT_REGION_PAGE = 1, // written by the host, read by replicas: heads, beats, acknowledgements
    TACIT_REGION_CONTROL,  // one a replica, written by it, read by the host: requests to the host
    TACIT_REGION_LOG, // one a (candidate, incarnation), written by it while it is the holder; all
                      // read
    TACIT_REGION_REQUESTS,  // one a client connection, written by the client, read by the replica
    TACIT_REGION_REPLIES,   // one a replica, in the client's memory, written by the replica
    TACIT_REGION_STATE,     // written by the host replica, read by replicas: its checkpoint
    TACIT_REGION_REGISTERS, // one a (replica, incarnation), written by it at any time; all replicas
                            // read
};

// Names a region of a host. `owner` is its writer; TACIT_NODE_SELF names the region of that class
// which the calling process writes at that host, whatever node number the host knows it by.
#define TACIT_NODE_SELF 0xfffeu
#define TACIT_REGION_COMING (-2)
struct tacit_region_key {
    uint8_t region_class;
    tacit_node_t owner;
    tacit_incarnation_t incarnation; // of the owner; ignored with TACIT_NODE_SELF
};

enum tacit_plane {
    TACIT_PLANE_DATA = 0,   // log appends, requests, replies: the critical path
    TACIT_PLANE_BACKGROUND, // everything else; a broken data plane leaves it alive
    TACIT_PLANES,
};

enum tacit_op_kind { TACIT_OP_WRITE = 1, TACIT_OP_READ };

// Completes only when it failed (as LOST or DENIED). The provider has copied the bytes when post
// returns; at most TACIT_OP_QUIET_BYTES of them.
#define TACIT_OP_QUIET 1u
// Needs the host's permission: DENIED unless this process is the holder under `generation`, checked
// after the stores (write) or after the loads (read).
#define TACIT_OP_AS_HOLDER 2u
#define TACIT_OP_QUIET_BYTES 65536u

struct tacit_op {
    uint8_t kind;
    uint8_t plane;
    uint8_t flags;
    tacit_node_t host;
    int32_t region;  // handle from region(); of this host
    uint32_t bytes;  // multiple of 8, > 0
    uint64_t offset; // multiple of 8; offset + bytes within the region, else the post is refused
    void *local;     // 8-aligned; source or destination; stays valid until the completion. Memory
                     // given to attach() (providers that need no registration ignore that)
    uint64_t generation; // with TACIT_OP_AS_HOLDER
    uint64_t cookie;     // comes back in the completion; the top byte names the poster (below)
};

// Who gets a completion: the top byte of its cookie.
enum tacit_cookie_owner {
    TACIT_COOKIE_ENGINE = 1,
    TACIT_COOKIE_FD,
    TACIT_COOKIE_TRANSFER,
    TACIT_COOKIE_CLIENT,
    TACIT_COOKIE_LINKS,
    TACIT_COOKIE_REGISTERS
};
#define TACIT_COOKIE(owner, value) ((uint64_t)(owner) << 56 | (uint64_t)(value))
#define TACIT_COOKIE_OWNER(cookie) ((uint8_t)((cookie) >> 56))
#define TACIT_COOKIE_VALUE(cookie) ((cookie)&0x00ffffffffffffffull)

enum tacit_event_kind {
    TACIT_EVENT_COMPLETION = 1, // node, cookie, status
    TACIT_EVENT_UP,   // node, incarnation, identity: its memory can be reached, region handles are
                      // new
    TACIT_EVENT_DOWN, // node, incarnation: all its handles are void, pending operations completed
                      // LOST before; certain: that process is dead for sure
    TACIT_EVENT_REGIONS, // node: region() may now know keys that it did not know
    TACIT_EVENT_GRANTED, // host side: the grant of `generation` is in force
    TACIT_EVENT_REVOKED, // host side: nobody holds; no older generation can write any more
};
enum tacit_completion { TACIT_COMPLETION_OK = 0, TACIT_COMPLETION_DENIED, TACIT_COMPLETION_LOST };

struct tacit_event {
    uint8_t kind;
    uint8_t status; // enum tacit_completion
    bool certain;   // DOWN
    bool hung_up;   // DOWN: the other end ended it, as a host does for a process that has died; a
                    // hint, as the process may have done so itself
    tacit_node_t node;
    tacit_incarnation_t incarnation; // UP, DOWN
    uint32_t identity;               // UP: the authenticated id (client id of a client connection)
    uint64_t cookie;                 // COMPLETION
    uint64_t generation;             // GRANTED, REVOKED
};

struct tacit_plane_counters {
    uint64_t writes, reads; // posted to other hosts
    uint64_t self_writes, self_reads;
    uint64_t write_bytes, read_bytes;
    uint64_t denied, lost;
};
struct tacit_fabric_counters {
    struct tacit_plane_counters plane[TACIT_PLANES];
    uint64_t rings, rings_suppressed;
};

struct tacit_fabric;

struct tacit_fabric_ops {
    // Posts without blocking. False: the queue is full or the host is not up; nothing was posted. A
    // bad offset, length, alignment or handle is a bug of the caller and asserts.
    bool (*post)(struct tacit_fabric *fabric, const struct tacit_op *op);
    // Up to `max` events, in the order in which they became known. Completions of a node come
    // before its DOWN. Never blocks.
    size_t (*poll)(struct tacit_fabric *fabric, struct tacit_event *events, size_t max);
    // Doorbell of a host (contract 9).
    void (*ring)(struct tacit_fabric *fabric, tacit_node_t host);
    // Handle of a region at `host`, >= 0, or -1 when the host is not up or has not announced it
    // (yet). Valid until that host's DOWN. host may be the calling process itself.
    // TACIT_REGION_COMING: a REGISTERS region that is there but not yet here.
    int32_t (*region)(struct tacit_fabric *fabric, tacit_node_t host, struct tacit_region_key key);
    // The caller is about to read there: what can be done for it beforehand, such as to map pages,
    // is done now. Nothing is posted, counted or completed. NULL: there is nothing to be done.
    void (*prefetch)(struct tacit_fabric *fabric, tacit_node_t host, int32_t region,
                     uint64_t offset, uint32_t bytes);
    // Own region by its key, for local loads, and stores if this process is the writer. NULL: not
    // there. Valid until retire() of it, or the owner's DOWN for client regions. *bytes gets its
    // size.
    void *(*local)(struct tacit_fabric *fabric, struct tacit_region_key key, size_t *bytes);
    // Keys of this host's LOG regions, in the order of their creation. Returns their number (<=
    // max).
    size_t (*log_regions)(struct tacit_fabric *fabric, struct tacit_region_key *keys, size_t max);
    // Host side. Makes {holder, incarnation} the holder under `generation` (larger than any
    // before); answered by GRANTED. Only after the REVOKED of the previous holder.
    void (*grant)(struct tacit_fabric *fabric, tacit_node_t holder, tacit_incarnation_t incarnation,
                  uint64_t generation);
    // Host side. Takes the permission from whoever holds it; `generation` numbers the state
    // "nobody" and is larger than any before; answered by REVOKED, then contract 5 holds.
    void (*revoke)(struct tacit_fabric *fabric, uint64_t generation);
    // Host side. Frees own LOG region of a superseded incarnation.
    void (*retire)(struct tacit_fabric *fabric, struct tacit_region_key key);
    // Breaks the connection to a host that completes nothing any more: its pending operations
    // complete LOST, DOWN follows, and the provider connects again.
    void (*reset)(struct tacit_fabric *fabric, tacit_node_t host);
    // Declares memory from which operations will be posted, before the first post: a piece for each
    // poster, at most four.
    void (*attach)(struct tacit_fabric *fabric, void *base, size_t bytes);
    // Waiting, for the runner only. arm(): from now on rings, deaths and completions end the next
    // sleep; then the caller polls everything once more. sleep(): blocks until one of them, or
    // until_ns on the provider's clock. disarm(): awake again (also without a sleep).
    void (*arm)(struct tacit_fabric *fabric);
    void (*sleep)(struct tacit_fabric *fabric, tacit_time_ns_t until_ns);
    void (*disarm)(struct tacit_fabric *fabric);
};

// Sizes of the regions that a host exposes (0: it has none of that class). Who gets what follows
// from the roles alone, the same in every provider:
//   a replica at a replica or memory node: reads PAGE and STATE and every LOG; writes its own
//   CONTROL (always), its own REGISTERS (always) and its own LOG (while holder); reads every
//   REGISTERS; a client at a replica: writes its REQUESTS; a
//   replica at a client: writes its own REPLIES. A CONTROL region is made when its writer first
//   connects, kept when it reconnects, and replaced when a new incarnation does; a replica has one
//   for itself, too, from the start. A LOG region is made for each (replica, incarnation) that
//   connects, and for the host itself if it is a replica; it stays, readable by all, until
//   retire(), also when its writer has gone. A REGISTERS region is made and kept like a LOG, but
//   knows no holder: Byzantine mode's memory nodes have nothing else. Once the connection
//   of its owner is UP there, region() is never -1 for it at any other peer that is up, but the
//   handle, or TACIT_REGION_COMING until that peer can use it: so -1 proves that nothing was
//   complete there before region() was asked. Operations on own
//   regions (host = self) obey the same rules as any. New regions are zero.
struct tacit_host_layout {
    size_t page_bytes;
    size_t control_bytes;
    size_t log_bytes;
    size_t requests_bytes;
    size_t replies_bytes;
    size_t state_bytes;
    size_t registers_bytes;
};

// What a provider's object begins with.
struct tacit_fabric {
    const struct tacit_fabric_ops *ops;
    tacit_node_t self;
    tacit_incarnation_t incarnation;
    struct tacit_fabric_counters counters;
};

#ifdef __cplusplus
}
#endif

#endif
