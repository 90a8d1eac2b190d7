// SPDX-License-Identifier: Apache-2.0
//
// Plain types that every folder shares: scalar names, the four kinds of trouble as values, and the
// error record that start-up code fills in. No functions with state, no dependency.
#ifndef TACIT_TYPES_H
#define TACIT_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Limits that size bit sets and tables at compile time. The cluster file is refused beyond them.
#define TACIT_REPLICAS_MAX 15 // replica ids 0 .. 14
#define TACIT_MEMNODES_MAX 15 // memory-node ids 0 .. 14
#define TACIT_CLIENTS_MAX 64  // client processes connected to one replica at a time
#define TACIT_CACHE_LINE 64

// A monotonic time or a duration in nanoseconds. The protocols never read a clock: every entry
// point takes `now_ns`, which must not run backwards between two calls on one object.
typedef uint64_t tacit_time_ns_t;

// A process as the fabric names it: replicas 0.., memory nodes TACIT_NODE_MEMNODE.., clients
// TACIT_NODE_CLIENT.. (a connection slot of this process, not the client's identity).
typedef uint16_t tacit_node_t;
#define TACIT_NODE_MEMNODE 16
#define TACIT_NODE_CLIENT 32
#define TACIT_NODES_MAX (TACIT_NODE_CLIENT + TACIT_CLIENTS_MAX)
#define TACIT_NODE_NONE 0xffffu

// One life of a node. The ids of replicas and memory nodes are *seats*; who sits in one is its
// *body*: 0 the node that the cluster file lists under that id, k its spare k of that role. An
// incarnation is {generation 8 | body 4 | start 20}: generation counts how often the seat was given
// to another body, start the body's own starts (persisted, raised by one before it speaks to
// anybody). So what comes later is larger, and neither a node that lost its memory nor one that was
// replaced is ever taken for the member. 0: none.
typedef uint32_t tacit_incarnation_t;
#define TACIT_GENERATION_MAX 254u
#define TACIT_SPARES_MAX 14u  // of a role: bodies 1 .. 14
#define TACIT_BODY_VACANT 15u // an operator removed the member: nobody is called that
#define TACIT_BODIES 16u      // numbers of bodies
// Replicas and spare replicas of a Byzantine group together: memory nodes keep registers of each.
#define TACIT_BYZANTINE_BODIES_MAX 16u
#define TACIT_START_MAX 0xfffffu
#define TACIT_INCARNATION_MAX 0xfeffffffu
static inline tacit_incarnation_t tacit_incarnation_make(uint32_t generation, uint32_t body,
                                                         uint32_t start)
{
    return generation << 24 | body << 20 | start;
}
static inline uint32_t tacit_incarnation_generation(tacit_incarnation_t incarnation)
{
    return incarnation >> 24;
}
static inline uint32_t tacit_incarnation_body(tacit_incarnation_t incarnation)
{
    return incarnation >> 20 & 15u;
}
static inline uint32_t tacit_incarnation_start(tacit_incarnation_t incarnation)
{
    return incarnation & TACIT_START_MAX;
}
// Whether a node can be called that; the founding generation has founders only.
static inline bool tacit_incarnation_is_node(uint64_t incarnation)
{
    uint64_t body = incarnation >> 20 & 15u;
    return incarnation <= TACIT_INCARNATION_MAX && (incarnation & TACIT_START_MAX) != 0 &&
           body != TACIT_BODY_VACANT && (incarnation >> 24 != 0 || body == 0);
}
// For who is told by nobody whom the group let into a seat: whether a life's turn is over by what
// was seen of each body (0: nothing). Of one generation bodies may come one after the other: those
// that came and were not admitted leave the seat to the others.
static inline bool tacit_incarnation_is_over(const tacit_incarnation_t seen[TACIT_BODIES],
                                             tacit_incarnation_t incarnation)
{
    bool is_over = false;
    for (uint32_t body = 0; body < TACIT_BODIES; body++) {
        is_over = is_over || seen[body] >> 24 > incarnation >> 24;
    }
    return is_over;
}

// Two bodies of one generation: of those that both may have a seat, because it is free, one has it.
static inline bool tacit_incarnation_is_rival(tacit_incarnation_t one, tacit_incarnation_t other)
{
    return one >> 24 == other >> 24 && tacit_incarnation_body(one) != tacit_incarnation_body(other);
}

// Whether a life may connect as who sits in a seat.
enum tacit_seat_ruling {
    TACIT_SEAT_OPEN = 0,
    TACIT_SEAT_LATER, // another body than the member's, who lives and is not ordered to go
    TACIT_SEAT_TAKEN, // that body was replaced or removed
};

// Position in the replicated log, from 0, never reused.
typedef uint64_t tacit_index_t;

// Start-up trouble (and argument trouble of public calls): a status and a filled-in error.
enum tacit_status {
    TACIT_OK = 0,
    TACIT_EINVAL,   // an argument or a configuration value is wrong
    TACIT_ENOMEM,   // not enough memory, or the limit on locked or shared memory
    TACIT_EIO,      // the operating system refused (errno in the error)
    TACIT_EPERM,    // a permission is missing, or a secret is readable by others
    TACIT_EBUSY,    // a port, socket or directory is used by somebody else
    TACIT_EEXIST,   // would overwrite something that must not be lost
    TACIT_ENOENT,   // a file, key or node is not there
    TACIT_EAUTH,    // the other side could not prove who it is
    TACIT_EVERSION, // the other side speaks another version or has another cluster digest
    TACIT_ETIMEDOUT,
    TACIT_ETOOBIG, // a request, reply or file is larger than configured
    TACIT_ECLOSED, // the session or connection is closed
};

// What a check of a peer's bytes found. Never an assertion, a throw or a wait: a value and a
// counter.
enum tacit_verdict {
    TACIT_VERDICT_OK = 0,
    TACIT_VERDICT_EMPTY,     // nothing there, or torn: look again later
    TACIT_VERDICT_STALE,     // well-formed but old
    TACIT_VERDICT_MALFORMED, // no correct peer writes this
    TACIT_VERDICT_BAD_AUTH,  // a MAC or signature does not hold
    TACIT_VERDICT_PROOF,     // evidence of misbehaviour that convinces others
};

// Filled in by the callee of a failing start-up call; `text` is a whole sentence for a person: what
// was wrong, where, and what is accepted.
struct tacit_error {
    enum tacit_status status;
    int os_errno; // 0 when the operating system was not involved
    char text[480];
};

// Static name of a status, such as "TACIT_EINVAL". Any thread. Never NULL.
const char *tacit_status_name(enum tacit_status status);

// Fills `error` (may be NULL) like printf and returns `status`, so that a failing path is one line.
// Truncates silently at the record's size. Any thread; start-up code only (it formats).
enum tacit_status tacit_error_set(struct tacit_error *error, enum tacit_status status, int os_errno,
                                  const char *format, ...) __attribute__((format(printf, 4, 5)));

#ifdef __cplusplus
}
#endif

#endif
