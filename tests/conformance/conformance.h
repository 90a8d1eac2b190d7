// SPDX-License-Identifier: Apache-2.0
//
// The fabric's contract (core/include/tacit/fabric.h) as test cases, written once and run against
// every provider. A provider plugs in a harness: nodes that run in processes of their own (shm,
// verbs) or as objects (sim). In each node lives an *agent* (agent.c, the same for all), which does
// to the node's fabric object what the case asks for and keeps the events that it polled.
//
// To plug in: write start/kill/.../step/call and a main() that calls tacit_conformance_run(). In a
// node:
//   once      conf_agent_init(&agent, fabric);
//   always    conf_agent_turn(&agent, now_ns);          polls events, goes on with a started writer
//   on call() conf_agent_execute(&agent, &request, &reply);
// A process does turn() in a loop and execute() when a request arrives on a socket; the simulator
// does turn() for each node as time passes in step(), and execute() at once inside call().
#ifndef TACIT_TESTS_CONFORMANCE_H
#define TACIT_TESTS_CONFORMANCE_H

#include "tacit/fabric.h"
#include "tacit/types.h"

// Sizes that the nodes of all cases have. Regions larger than a page, to see what larger writes do.
#define CONF_PAGE_BYTES 640u
#define CONF_CONTROL_BYTES 64u
#define CONF_LOG_BYTES 32768u
#define CONF_REQUESTS_BYTES 4096u
#define CONF_REPLIES_BYTES 4096u
#define CONF_STATE_BYTES 8192u
// layouts[0] replica, [1] memory node (no requests, replies, state), [2] client (replies only).
extern const struct tacit_host_layout conf_layouts[3];

// A node to start. Replicas and memory nodes have the ids of tacit/types.h (all cases: replicas
// 0..2 and memory node 16) and connect to each other; clients are named 100 + client id, connect to
// all replicas, and call themselves TACIT_NODE_CLIENT.
#define CONF_REPLICAS 3u
#define CONF_MEMNODE TACIT_NODE_MEMNODE
#define CONF_CLIENT(id) ((tacit_node_t)(100u + (id)))
struct conf_node {
    tacit_node_t name;
    tacit_incarnation_t incarnation;
};

// ---- agent ----

enum conf_call {
    CONF_EVENTS =
        1,     // takes the events kept so far out (from oldest), completions of the writer excluded
    CONF_POST, // op (local is ignored: bytes are in data, reads land in the agent's buffer)
    CONF_READ_RESULT,  // -> data: the agent's buffer of the last CONF_POST read
    CONF_REGION,       // host, key -> value: handle
    CONF_LOCAL_READ,   // key, offset, bytes -> value: 1 and data, or 0 when local() is NULL
    CONF_LOCAL_WRITE,  // key, offset, bytes, data -> value as above
    CONF_LOCAL_SIZE,   // key -> value: size, 0 when there is none
    CONF_LOG_REGIONS,  // -> keys, value: number
    CONF_GRANT,        // host: holder, incarnation, generation
    CONF_REVOKE,       // generation
    CONF_RETIRE,       // key
    CONF_RING,         // host
    CONF_RESET,        // host
    CONF_COUNTERS,     // -> counters
    CONF_WRITER_START, // op: AS_HOLDER writes of op.bytes to consecutive places from op.offset on,
                       // wrapping at offset + extent (a multiple of bytes); each word of write
                       // number i (from 1) has the value i << 32 | i. Goes on in turn() until one
                       // is not OK or CONF_WRITER_STOP
    CONF_WRITER_STATE, // -> value: number of the last write that was OK; value2: status of the
                       // first that was not, or UINT64_MAX
    CONF_WRITER_STOP,  // posts no more; -> as CONF_WRITER_STATE
    CONF_SNAPSHOT,     // key: keeps a private copy of the own region, read from its end to its
                   // beginning, so that writes in ascending places must be seen without holes ->
                   // value as LOCAL_READ
    CONF_SNAPSHOT_READ,   // offset, bytes -> data of that copy
    CONF_REVOKE_SNAPSHOT, // generation, key: revoke, and a snapshot of `key` in the moment REVOKED
                          // is polled
    CONF_SLEEP, // until (relative ns): answered at once; then the node arms, polls, and unless
                // there was an event, sleeps, and disarms. Other calls are answered afterwards
    CONF_SLEEP_RESULT, // -> value: ns that the last sleep took (0: there was an event)
    CONF_ATTACK, // real memory only: tries to get at what the node may not, through the process of
                 // `host` -> value: bits of the attacks that succeeded (0 is right), value2: tried
};

#define CONF_DATA_BYTES 8192u
#define CONF_EVENTS_MAX 64u
#define CONF_KEYS_MAX 64u

struct conf_request {
    uint32_t call;
    tacit_node_t host;
    tacit_incarnation_t incarnation;
    struct tacit_region_key key;
    struct tacit_op op;
    uint64_t offset, bytes, extent, generation, until_ns;
    uint8_t data[CONF_DATA_BYTES];
};

struct conf_reply {
    bool ok; // post(): true; others: the call made sense
    uint64_t value, value2;
    uint32_t events_count, keys_count;
    struct tacit_event events[CONF_EVENTS_MAX];
    struct tacit_region_key keys[CONF_KEYS_MAX];
    struct tacit_fabric_counters counters;
    uint8_t data[CONF_DATA_BYTES];
};

#define CONF_AGENT_LOG 4096u
struct conf_agent {
    struct tacit_fabric *fabric;
    struct tacit_event log[CONF_AGENT_LOG]; // events not fetched yet
    size_t log_first, log_count;
    bool overflow;
    // Buffers that operations use. All operations of an agent come from this memory (attach).
    struct conf_agent_memory {
        uint64_t post[CONF_DATA_BYTES / 8];
        uint64_t read[CONF_DATA_BYTES / 8];
        uint64_t writer[16][CONF_DATA_BYTES / 8];
    } memory;
    struct {
        bool running;
        struct tacit_op op;
        uint64_t extent, posted, ok, first_bad, run;
    } writer;
    uint64_t snapshot[CONF_LOG_BYTES / 8];
    bool snapshot_armed;
    uint64_t snapshot_generation;
    struct tacit_region_key snapshot_key;
};

// The object is large (about 500 KiB); `fabric` stays the caller's. Calls attach().
void conf_agent_init(struct conf_agent *agent, struct tacit_fabric *fabric);
// Polls and goes on with the writer; bounded work. True if anything happened.
bool conf_agent_turn(struct conf_agent *agent);
// Does one call. CONF_SLEEP, CONF_SLEEP_RESULT and CONF_ATTACK are the harness's, not known here.
void conf_agent_execute(struct conf_agent *agent, const struct conf_request *request,
                        struct conf_reply *reply);

// ---- harness ----

enum conf_can {
    CONF_CAN_KILL = 1u << 0,    // nodes can die without warning
    CONF_CAN_PAUSE = 1u << 1,   // nodes can be stopped and continued
    CONF_CAN_SEVER = 1u << 2,   // a connection can be broken while both ends live
    CONF_CAN_SLEEP = 1u << 3,   // CONF_SLEEP works
    CONF_CAN_ATTACK = 1u << 4,  // CONF_ATTACK works
    CONF_IS_REAL = 1u << 5,     // real time and real concurrency
    CONF_KNOWS_DEATH = 1u << 6, // DOWN after a kill is certain
};

struct conf_harness {
    const char *name;
    unsigned can;
    // Prepares an empty cluster for one case; false: cannot run here, `reason` says why (the case
    // is skipped, visibly). And the end of it: stops whatever runs.
    bool (*open)(struct conf_harness *harness, const char **reason);
    void (*close)(struct conf_harness *harness);
    // Starts a node; false is a failure of the case. After a kill, the same name may start again.
    bool (*start)(struct conf_harness *harness, struct conf_node node);
    void (*kill)(struct conf_harness *harness, tacit_node_t name);
    void (*pause)(struct conf_harness *harness, tacit_node_t name, bool paused);
    void (*sever)(struct conf_harness *harness, tacit_node_t a, tacit_node_t b);
    // Lets things happen for about that long.
    void (*step)(struct conf_harness *harness, tacit_time_ns_t duration_ns);
    // Has the agent of a node execute a request; false: the node is gone or paused.
    bool (*call)(struct conf_harness *harness, tacit_node_t name,
                 const struct conf_request *request, struct conf_reply *reply);
    void *context;
};

// Runs the cases: `long_ones` false: those of a few milliseconds each; true: the racing ones.
// `only`: a case's name, or NULL for all. Returns main()'s status: 0, the number of failed cases,
// or 77 when every case was skipped.
int tacit_conformance_run(struct conf_harness *harness, bool long_ones, const char *only);

#endif
