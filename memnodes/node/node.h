// SPDX-License-Identifier: Apache-2.0
//
// A memory node as a host on the shared-memory fabric: regions, who may write them, and the
// connections to replicas, all on one thread. It speaks the protocol of the provider that replicas
// have (../shm/protocol.h) with code of its own, because it is what a Byzantine group trusts: it
// reaches nobody, so nothing of what is needed for that is here.
//
//   host.c        regions, start and end
//   connection.c  accepting, handshakes, handing regions over, waiting
//   confine.c     giving up what the process does not need
//   run.c         the whole, in order
//   permission.c  the loop in crash mode
#ifndef TACIT_MEMNODES_NODE_H
#define TACIT_MEMNODES_NODE_H

#include <signal.h>

#include "../shm/protocol.h"
#include "tacit/handshake.h"
#include "tacit/memnode.h"

// Who writes: with LOGs the seats, which the newest body of each has; with REGISTERS the bodies,
// each for itself. A node that keeps registers knows no members and is told of none, so that nobody
// may take another body's room or connection by calling itself the next one in its seat.
#define TACIT_MEMNODE_WRITERS (TACIT_REPLICAS_MAX + TACIT_SPARES_MAX)
// Connections: one up for each of them, and so many that are not.
#define TACIT_MEMNODE_STRANGERS 8u
#define TACIT_MEMNODE_CONNECTIONS (TACIT_MEMNODE_WRITERS + TACIT_MEMNODE_STRANGERS)
// One turn makes at most three for each connection; turns wait until all are handed out.
#define TACIT_MEMNODE_EVENTS 128u
// REGISTERS of one body: its present life's and its last one's. (A LOG stays until retire().)
#define TACIT_MEMNODE_LIVES 2u
static_assert(TACIT_BYZANTINE_BODIES_MAX * (TACIT_MEMNODE_LIVES + 1) <= TACIT_SHM_LOGS,
              "no replica can take the room of another one");

enum tacit_memnode_stage { // of a connection
    TACIT_MEMNODE_FREE = 0,
    TACIT_MEMNODE_SHAKING, // handshake
    TACIT_MEMNODE_TRADING, // regions are being handed over
    TACIT_MEMNODE_UP,
};

// A LOG or REGISTERS region.
struct tacit_memnode_region {
    uint64_t serial; // 0: free; larger for younger ones
    bool present;    // its writer came up: it stays, and all replicas may read it
    int fd;
    const uint64_t *words; // NULL until it is sealed
    tacit_node_t owner;
    tacit_incarnation_t incarnation;
};

struct tacit_memnode_connection {
    enum tacit_memnode_stage stage;
    int fd;                      // -1: none
    tacit_time_ns_t deadline_ns; // not up by then: dropped; UINT64_MAX: none
    void *handshake_memory;      // of this place, from start to end
    struct tacit_handshake *handshake;
    tacit_node_t node;
    tacit_incarnation_t incarnation;
    const uint64_t *host;          // the peer's host page
    int region;                    // kept region that is being made for it, -1
    int control_fd;                // its CONTROL, until it is sealed
    const uint64_t *control;       // and then, until it is up
    uint64_t unmapped;             // set of slots that it writes and has not MAPPED
    uint64_t told[TACIT_SHM_LOGS]; // serial of the kept region that was offered last, 0: none
    bool fixed_sent, end_sent, ready_sent, end_received, ready_received, want_output;
};

struct tacit_memnode_replica {
    tacit_incarnation_t newest, seen[TACIT_BODIES]; // lives that came up last: of all, of each body
    struct tacit_memnode_connection *up;
    const uint64_t *control; // of that life; stays when it goes
};

struct tacit_memnode {
    struct tacit_fabric fabric; // first; ops: see tacit_memnode_fabric
    struct tacit_shm_config config;
    const struct tacit_host_layout *layout; // in config
    size_t kept_bytes;                      // of a kept region's file
    size_t control_bytes;                   // of a CONTROL's file, 0: there are none
    int listener;
    const sigset_t *sleep_mask; // of signals, while waiting; NULL: as always
    uint64_t *host, *page;
    int host_fd, page_fd;
    struct tacit_memnode_region regions[TACIT_SHM_LOGS];
    bool regions_changed;
    struct tacit_memnode_connection connections[TACIT_MEMNODE_CONNECTIONS];
    struct tacit_memnode_replica replicas[TACIT_MEMNODE_WRITERS];
    struct tacit_event events[TACIT_MEMNODE_EVENTS];
    uint32_t events_first, events_count;
    uint64_t serials, sleeps, generation;
    tacit_time_ns_t reported_ns[TACIT_SHM_REPORTS];
};

static inline struct tacit_memnode *tacit_memnode_of(struct tacit_fabric *fabric)
{
    return (struct tacit_memnode *)(void *)fabric;
}

// Whose place in `replicas` that is.
static inline unsigned tacit_memnode_writer(const struct tacit_memnode *node, tacit_node_t seat,
                                            tacit_incarnation_t incarnation)
{
    uint32_t body = tacit_incarnation_body(incarnation);
    return node->layout->registers_bytes == 0 || body == 0 ? seat : TACIT_REPLICAS_MAX + body - 1;
}

// host.c: the calling thread serves the node from now on. `listener` stays the caller's. Errors:
// TACIT_EINVAL, TACIT_ENOMEM, TACIT_EIO.
enum tacit_status tacit_memnode_open(const struct tacit_shm_config *config, int listener,
                                     struct tacit_memnode **out, struct tacit_error *error);
void tacit_memnode_close(struct tacit_memnode *node);
void tacit_memnode_event(struct tacit_memnode *node, struct tacit_event event);
// An empty region of `owner`; NULL: no room.
struct tacit_memnode_region *tacit_memnode_region_make(struct tacit_memnode *node,
                                                       tacit_node_t owner,
                                                       tacit_incarnation_t incarnation);
void tacit_memnode_region_free(struct tacit_memnode *node, struct tacit_memnode_region *region);
// Its writer came up.
void tacit_memnode_region_keep(struct tacit_memnode *node, struct tacit_memnode_region *region);

// connection.c: waits for the sockets until `until_ns` (0: not at all, UINT64_MAX: as long as it
// takes) and does what is due.
void tacit_memnode_serve(struct tacit_memnode *node, tacit_time_ns_t until_ns);
void tacit_memnode_connection_end(struct tacit_memnode *node,
                                  struct tacit_memnode_connection *connection);

// permission.c: the node as a fabric. What it does not do is NULL in ops (post, region, ring,
// reset, attach). Events must be taken all at once: what local() found before may be gone by then.
// From here on the kernel tells all peers at once when the calling thread dies. NULL: TACIT_EIO.
struct tacit_fabric *tacit_memnode_fabric(struct tacit_memnode *node, struct tacit_error *error);

// confine.c: each in the order in which they are called.
enum tacit_status tacit_memnode_harden(struct tacit_error *error);
enum tacit_status tacit_memnode_drop_user(const struct tacit_memnode_config *config,
                                          struct tacit_error *error);
enum tacit_status tacit_memnode_confine(struct tacit_error *error);

#endif
