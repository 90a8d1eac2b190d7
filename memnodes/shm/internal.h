// SPDX-License-Identifier: Apache-2.0
//
// What the files of the shared-memory provider share: its object, split by the thread that may
// touch it, and the two queues between these threads.
//
//   memory.c, socket.c   memfds and packets
//   life.c               what the kernel says when the protocol thread dies
//   open.c               the object, own regions, start and end
//   control.c            control thread: loop, accepting, handshakes, life of connections
//   exchange.c           control thread: handing regions over
//   host.c               protocol thread: what a host does (events, permission, own regions)
//   wait.c               protocol thread: doorbells, deaths, sleeping
//   reach.c              reaching other hosts (both threads)
//   listen.c             sockets with a name
//
// With memory nodes, which are another kind of host (../node): protocol.h, memory.c, socket.c,
// life.c.
#ifndef TACIT_MEMNODES_SHM_INTERNAL_H
#define TACIT_MEMNODES_SHM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "life.h"
#include "listen.h"
#include "memory.h"
#include "protocol.h"
#include "socket.h"
#include "tacit/handshake.h"
#include "tacit/layout.h"
#include "tacit/shm.h"

#define TACIT_SHM_CONNECTIONS 192u // up, closing and unfinished ones
#define TACIT_SHM_HANDSHAKES_MAX 32u
#define TACIT_SHM_PEERS_MAX (TACIT_REPLICAS_MAX + TACIT_MEMNODES_MAX)
#define TACIT_SHM_PATHS_MAX (1u + TACIT_SPARES_MAX) // of a peer
#define TACIT_SHM_NOTICES 1024u
#define TACIT_SHM_COMMANDS 1024u

// A host writes its regions in the slots below this itself (CONTROL: the one that it has for
// itself).
#define TACIT_SHM_OWN (TACIT_SHM_SLOT_CONTROL + 1u)

struct tacit_shm_view {
    uint64_t *words;   // NULL: not there
    size_t bytes;      // of the region
    size_t file_bytes; // of the mapping
    int32_t handle;
    bool writable;
    struct tacit_region_key key;
};

// What a host of one kind lets a peer of another kind do with its region in `slot`. In a LOG slot,
// WRITE is for the owner and READ for the others.
enum tacit_shm_right { TACIT_SHM_NOTHING = 0, TACIT_SHM_READ, TACIT_SHM_WRITE };
enum tacit_shm_right tacit_shm_right(enum tacit_shm_kind host, enum tacit_shm_kind peer,
                                     unsigned slot, const struct tacit_host_layout *layout);
size_t tacit_shm_slot_bytes(const struct tacit_host_layout *layout, unsigned slot);
// Size of its file: a region that a peer always writes ends with a line for that peer's bell.
size_t tacit_shm_slot_file_bytes(const struct tacit_host_layout *layout, unsigned slot);
uint8_t tacit_shm_slot_class(const struct tacit_host_layout *layout, unsigned slot);

enum tacit_shm_connection_state {
    TACIT_SHM_FREE = 0,
    TACIT_SHM_SHAKING, // handshake
    TACIT_SHM_TRADING, // regions are being handed over
    TACIT_SHM_UP,      // the protocol thread knows it
    TACIT_SHM_LOST,    // hung up; the protocol thread has been told and will release it
};

// One connection. The control thread's, but for the part that is marked.
struct tacit_shm_connection {
    enum tacit_shm_connection_state state;
    bool outbound;
    unsigned peer; // outbound: index into peers
    int fd;
    int pidfd;
    tacit_time_ns_t deadline_ns; // not up by then: dropped; 0: none
    tacit_time_ns_t release_ns;  // the protocol thread has let go of it: freed then; 0: has not
    struct tacit_handshake *handshake;
    void *handshake_memory; // from the pool
    // Handing over (exchange.c). Sets of slots.
    uint64_t unmapped;             // written by the peer, who has not said MAPPED yet
    uint64_t to_confirm;           // mapped by us for writing, MAPPED not sent yet
    uint64_t have;                 // regions of the peer that we have
    uint8_t next_fixed;            // fixed slots below are offered
    uint64_t told[TACIT_SHM_LOGS]; // serial of the log region that was offered last, 0 none
    bool end_sent, end_received, ready_sent, ready_received, want_output;
    int tail_fd;     // the region that this peer always writes here, until it is sealed
    int bell_fd;     // a host that is rung by packets: its socket, -1
    int log_slot;    // reserved for this peer, -1
    int client_slot; // reserved for this peer, -1

    // Fixed while the protocol thread has it: from the UP notice to its RELEASE.
    uint64_t serial; // unique
    tacit_node_t node;
    enum tacit_shm_kind kind;
    uint16_t id;
    tacit_incarnation_t incarnation;
    tacit_node_t known_as; // our number at the peer
    int32_t pid;
    uint32_t uid;
    // The peer's memory, and the region of ours that it always writes: the protocol thread's then.
    struct tacit_shm_view views[TACIT_SHM_SLOTS];
    struct tacit_shm_view tail;
    struct tacit_shm_view log; // our log region for it (words NULL: none); a copy
};

// A log region at this host, as the control thread keeps it.
struct tacit_shm_log {
    uint64_t serial; // 0: free
    bool present;    // false: reserved for a connection that is not up yet
    int fd;
    struct tacit_shm_view view;
};

// Control thread -> protocol thread.
enum tacit_shm_notice_kind {
    TACIT_SHM_NOTICE_UP = 1,
    TACIT_SHM_NOTICE_DOWN,   // certain
    TACIT_SHM_NOTICE_VIEW,   // a region that came later
    TACIT_SHM_NOTICE_UNVIEW, // slot: a region that was retired
};
struct tacit_shm_notice {
    uint8_t kind;
    uint8_t slot;
    bool certain;
    uint16_t connection;
    uint64_t serial; // of the connection
    tacit_node_t node;
    struct tacit_shm_view view;
};

// Protocol thread -> control thread.
enum tacit_shm_command_kind {
    TACIT_SHM_COMMAND_RELEASE = 1, // connection: no longer used
    TACIT_SHM_COMMAND_UNMAP,       // base, bytes
    TACIT_SHM_COMMAND_RETIRE,      // slot: free the log region
};
struct tacit_shm_command {
    uint8_t kind;
    uint16_t number; // connection or log slot
    void *base;
    size_t bytes;
};

// One writer, one reader; positions count up and wrap.
struct tacit_shm_queue {
    _Atomic uint32_t written;
    char apart[TACIT_CACHE_LINE - sizeof(uint32_t)];
    _Atomic uint32_t taken;
    char apart_too[TACIT_CACHE_LINE - sizeof(uint32_t)];
};
static inline uint32_t tacit_shm_queue_used(struct tacit_shm_queue *queue)
{
    return atomic_load_explicit(&queue->written, memory_order_acquire) -
           atomic_load_explicit(&queue->taken, memory_order_acquire);
}

struct tacit_shm_peer_entry {
    tacit_node_t node;
    // Of every body that may sit there; tried in turn.
    char path[TACIT_SHM_PATHS_MAX][TACIT_SHM_PATH_MAX + 1];
    uint32_t paths, turn;
    uint64_t dialing; // serial of the connection that is under way, 0: none
    bool poked;       // its socket appeared
    tacit_time_ns_t next_ns, pause_ns;
};

// The protocol thread's view of a node.
struct tacit_shm_link {
    struct tacit_shm_connection *connection; // NULL: down
    const uint32_t *death;                   // our word in its host page
    const uint32_t *first_death;             // the one that its kernel marks first
    const uint64_t *pair;                    // its permission pair
    const uint64_t *sleeping;
    const uint64_t *kept;     // its list of REGISTERS regions
    uint32_t *bell;           // our word at that host, NULL: it has none
    const uint32_t *own_bell; // its word here, NULL likewise
    uint64_t last_rung;       // its sleep that we ended
    // Replicas: the CONTROL region that they write here. Outlives the connection.
    struct tacit_shm_view control;
};

struct tacit_shm;

struct tacit_shm {
    struct tacit_fabric fabric; // first
    struct tacit_shm_config config;

    // ---- both ----
    struct tacit_shm_queue notices_queue;
    struct tacit_shm_notice notices[TACIT_SHM_NOTICES];
    struct tacit_shm_queue commands_queue;
    struct tacit_shm_command commands[TACIT_SHM_COMMANDS];
    uint32_t wake_word; // futex: raised with each notice
    int command_event;  // eventfd: commands are there
    _Atomic bool stop;
    _Atomic uint64_t accepted, connected, refused, misbehaved, expired, deaths;
    struct tacit_shm_view own[TACIT_SHM_OWN]; // HOST, PAGE, STATE, CONTROL; fixed after open
    struct tacit_shm_connection connections[TACIT_SHM_CONNECTIONS];

    // ---- protocol thread ----
    struct tacit_shm_link links[TACIT_NODES_MAX];
    tacit_node_t up[TACIT_NODES_MAX]; // those that are
    uint32_t up_count, death_turn;
    bool has_slept; // since the last poll()
    uint64_t link_changes;
    struct tacit_shm_view self_views[TACIT_SHM_SLOTS]; // own regions as views
    uint64_t log_order[TACIT_SHM_LOGS];                // age of the log region there, 0: none
    uint64_t logs_made;
    struct tacit_event *events;
    uint32_t events_mask, events_written, events_taken;
    uint64_t sleeps, generation;
    bool holder_is_set;
    struct tacit_shm_waiter *waiter; // wait.c
    struct tacit_shm_life life;
    int attached_tid;

    // ---- control thread ----
    pthread_t thread;
    bool thread_runs;
    struct tacit_shm_listener listener;
    int own_fds[TACIT_SHM_OWN];
    struct tacit_shm_log logs[TACIT_SHM_LOGS];
    uint64_t next_serial;
    bool logs_changed;
    bool is_low; // the control thread gives way to others
    tacit_incarnation_t seen[TACIT_NODE_CLIENT][TACIT_BODIES]; // newest life of each body
    struct tacit_shm_connection *current[TACIT_NODES_MAX];
    uint64_t client_slots; // bit: reserved or used
    void *handshake_pool[TACIT_SHM_HANDSHAKES_MAX];
    uint32_t handshake_used; // bit per inbound pool entry
    void *dial_pool[TACIT_SHM_PEERS_MAX];
    struct tacit_shm_peer_entry peers[TACIT_SHM_PEERS_MAX];
    uint32_t peers_count;
    int reach_fd; // for poll(2), -1
    tacit_time_ns_t reported_ns[TACIT_SHM_REPORTS];
};

static inline struct tacit_shm *tacit_shm_of(struct tacit_fabric *fabric)
{
    return (struct tacit_shm *)(void *)fabric;
}
static inline tacit_node_t tacit_shm_node(enum tacit_shm_kind kind, unsigned id)
{
    return (tacit_node_t)(kind == TACIT_SHM_REPLICA   ? id
                          : kind == TACIT_SHM_MEMNODE ? TACIT_NODE_MEMNODE + id
                                                      : TACIT_NODE_CLIENT);
}
static inline uint64_t *tacit_shm_host_word(const struct tacit_shm_view *host, size_t offset)
{
    return host->words + offset / 8;
}

// open.c
void tacit_shm_view_unmap(struct tacit_shm_view *view);

// control.c
void *tacit_shm_control_main(void *context);
void tacit_shm_report(struct tacit_shm *shm, enum tacit_shm_report_kind kind, const char *format,
                      ...) __attribute__((format(printf, 3, 4)));
struct tacit_shm_connection *tacit_shm_connection_begin(struct tacit_shm *shm, int fd,
                                                        void *handshake_memory, int peer,
                                                        tacit_time_ns_t now_ns);
void tacit_shm_connection_free(struct tacit_shm *shm, struct tacit_shm_connection *connection);
// Both sides have everything: makes it known to the protocol thread. False: superseded meanwhile.
bool tacit_shm_connection_commit(struct tacit_shm *shm, struct tacit_shm_connection *connection);
void tacit_shm_notify(struct tacit_shm *shm, const struct tacit_shm_notice *notice);

// exchange.c
bool tacit_shm_trade_begin(struct tacit_shm *shm, struct tacit_shm_connection *connection);
// Sends what can be sent; false: the connection must end.
bool tacit_shm_trade_push(struct tacit_shm *shm, struct tacit_shm_connection *connection);
// Takes a packet; `passed` (or -1) is consumed. False: the connection must end.
bool tacit_shm_trade_take(struct tacit_shm *shm, struct tacit_shm_connection *connection,
                          const uint8_t *packet, size_t bytes, int passed);

// host.c
size_t tacit_shm_poll(struct tacit_fabric *fabric, struct tacit_event *events, size_t max);
void *tacit_shm_local(struct tacit_fabric *fabric, struct tacit_region_key key, size_t *bytes);
size_t tacit_shm_log_regions(struct tacit_fabric *fabric, struct tacit_region_key *keys,
                             size_t max);
void tacit_shm_grant(struct tacit_fabric *fabric, tacit_node_t holder,
                     tacit_incarnation_t incarnation, uint64_t generation);
void tacit_shm_revoke(struct tacit_fabric *fabric, uint64_t generation);
void tacit_shm_retire(struct tacit_fabric *fabric, struct tacit_region_key key);
void tacit_shm_attach(struct tacit_fabric *fabric, void *base, size_t bytes);
bool tacit_shm_key_matches(const struct tacit_shm_view *view, unsigned slot,
                           struct tacit_region_key key);
static inline uint32_t tacit_shm_events_free(const struct tacit_shm *shm)
{
    return shm->events_mask + 1 - (shm->events_written - shm->events_taken);
}
static inline struct tacit_event *tacit_shm_event_push(struct tacit_shm *shm)
{
    return &shm->events[shm->events_written++ & shm->events_mask];
}
void tacit_shm_command(struct tacit_shm *shm, struct tacit_shm_command command);

// reach.c
extern const struct tacit_fabric_ops tacit_shm_ops;
enum tacit_status tacit_shm_reach_open(struct tacit_shm *shm, const struct tacit_shm_config *config,
                                       struct tacit_error *error);
void tacit_shm_reach_close(struct tacit_shm *shm);
// Connects to whom it is time to; returns when it wants to be called again.
tacit_time_ns_t tacit_shm_reach_turn(struct tacit_shm *shm, tacit_time_ns_t now_ns);
void tacit_shm_reach_readable(struct tacit_shm *shm);
void tacit_shm_reach_ended(struct tacit_shm *shm, struct tacit_shm_connection *connection,
                           bool was_up);

// wait.c
size_t tacit_shm_waiter_size(void);
bool tacit_shm_link_is_dead(const struct tacit_shm_link *link);
void tacit_shm_arm(struct tacit_fabric *fabric);
void tacit_shm_sleep(struct tacit_fabric *fabric, tacit_time_ns_t until_ns);
void tacit_shm_disarm(struct tacit_fabric *fabric);
void tacit_shm_thread_detach(struct tacit_shm *shm);
void tacit_shm_futex_wake(const uint32_t *word, bool shared);

// A place where stress tests stop a writer, and what they must know of a sleep; nothing otherwise.
#ifdef TACIT_TEST_HOOKS
extern void (*tacit_shm_test_before_check)(void);
#define TACIT_SHM_TEST_BEFORE_CHECK()                                                              \
    do {                                                                                           \
        if (tacit_shm_test_before_check != NULL)                                                   \
            tacit_shm_test_before_check();                                                         \
    } while (0)
#else
#define TACIT_SHM_TEST_BEFORE_CHECK() ((void)0)
#endif

#endif
