// SPDX-License-Identifier: Apache-2.0
//
// The gateway without sockets and without a cluster: connections as byte streams in and out,
// commands to a backend, results back in the order of the commands. All memory is taken at the
// start. Backpressure: a connection whose replies are not taken, or whose commands the backend
// cannot take now, is not read from.
//
// Threads: one. Calls of the backend into the front (opened, result, closed) may come from inside
// the front's calls of the backend, but for those from inside session_close.
#ifndef TACIT_FRONT_H
#define TACIT_FRONT_H

#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TACIT_FRONT_NONE 0xffffffffu

// Where commands are executed. Requests and replies as in kv/kv_wire.h.
struct tacit_front_backend {
    void *context;
    // Begins to open a session for a connection: TACIT_OK, then tacit_front_opened() with this
    // token. TACIT_EBUSY: not now, the front tries again when it is polled.
    enum tacit_status (*session_open)(void *context, uint32_t connection, uint64_t token);
    // The connection is gone. Results of its session, if they still come, are ignored.
    void (*session_close)(void *context, uint32_t connection);
    // Executes a request in the connection's session, after the ones before: TACIT_OK, then
    // tacit_front_result() with this token. TACIT_EBUSY: not now. Anything else: an error reply.
    enum tacit_status (*submit)(void *context, uint32_t connection, const uint8_t *request,
                                size_t request_bytes, uint64_t token);
    // Takes a command back that was submitted, before anybody executes it: true: it will not be
    // executed, and no result comes. NULL: never.
    bool (*withdraw)(void *context, uint32_t connection, uint64_t token);
    // Text for INFO, in lines that end with CR LF; returns its size (<= max).
    size_t (*info)(void *context, char *out, size_t max);
};

struct tacit_front_config {
    uint32_t connections;   // at a time, 1 .. 65535
    uint32_t pipeline;      // commands of one connection that wait for their answer
    uint32_t request_bytes; // largest request of the backend
    uint32_t reply_bytes;   // largest reply
    // After so long without the backend a command is answered with an error: -CLUSTERDOWN if it was
    // not given to the backend, or could be withdrawn, else -ERR, which leaves open whether it was
    // executed. From then on,
    // until the backend gives a sign of life, what it does not take is answered at once. 0: never.
    tacit_time_ns_t timeout_ns;
};

struct tacit_front_counters {
    uint64_t accepted, rejected; // connections
    uint64_t commands;           // all that got a reply
    uint64_t submitted;          // of these, by the backend
    uint64_t protocol_errors;
    uint64_t timed_out;
};

struct tacit_front;

// Takes all memory. NULL: not enough. The backend is copied.
struct tacit_front *tacit_front_open(const struct tacit_front_config *config,
                                     const struct tacit_front_backend *backend);
void tacit_front_close(struct tacit_front *front);

// ---- sockets' side --------------------------------------------------------------------

// Connections are named by their place in the table, `index`.
// A new connection; TACIT_FRONT_NONE: as many as configured are there (tacit_front_rejection says
// it).
uint32_t tacit_front_accept(struct tacit_front *front);
// What to send to a connection that was not accepted.
const char *tacit_front_rejection(void);
// Where the next bytes of a connection go; *room bytes at most, 0: do not read from it now.
uint8_t *tacit_front_input(struct tacit_front *front, uint32_t index, size_t *room);
// So many bytes were put there. Executes what is complete.
void tacit_front_received(struct tacit_front *front, uint32_t index, size_t bytes);
// Bytes to send; *size 0: none.
const uint8_t *tacit_front_output(struct tacit_front *front, uint32_t index, size_t *size);
// So many of them were sent. May execute more.
void tacit_front_sent(struct tacit_front *front, uint32_t index, size_t bytes);
// The other side sends nothing more. What it sent before is still executed and answered.
void tacit_front_end_of_input(struct tacit_front *front, uint32_t index);
// True: everything is answered and sent, and the connection is to be closed (QUIT, protocol error,
// end of input).
bool tacit_front_is_over(const struct tacit_front *front, uint32_t index);
// True: no command of it waits for the backend and no reply for the socket.
bool tacit_front_is_idle(const struct tacit_front *front, uint32_t index);
// The connection is closed.
void tacit_front_release(struct tacit_front *front, uint32_t index);
// Tells the time, for timeout_ns: an error comes at most one distance of calls late, never early.
// tacit_front_changed() follows.
void tacit_front_tick(struct tacit_front *front, tacit_time_ns_t now_ns);
// Goes on with connections that the backend kept waiting. Call after the backend made progress,
// until there is no more. Costs nothing for connections that nothing happened to.
// Returns a connection whose output may have changed since the last call, TACIT_FRONT_NONE when
// there is no more.
uint32_t tacit_front_changed(struct tacit_front *front);

// ---- backend's side -------------------------------------------------------------------

void tacit_front_opened(struct tacit_front *front, uint64_t token);
// The session of a connection ended against its will; it gets a new one.
void tacit_front_closed(struct tacit_front *front, uint64_t token);
// status TACIT_OK: `reply` is the application's. Else an error reply that says what is known.
void tacit_front_result(struct tacit_front *front, uint64_t token, enum tacit_status status,
                        const uint8_t *reply, size_t reply_bytes);

const struct tacit_front_counters *tacit_front_counters(const struct tacit_front *front);

#ifdef __cplusplus
}
#endif

#endif
