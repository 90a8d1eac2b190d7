// SPDX-License-Identifier: Apache-2.0
//
// Be a client of a replicated group. A *channel* connects one client process, under its client id
// and key, with all replicas of a group. A *session* in it is a sequence of requests that are
// executed in order, each exactly once, whatever crashes meanwhile; sessions are independent of
// each other.
//
// Grammar: the object first, then inputs, then outputs, then the error record. Durations are in
// nanoseconds, sizes in bytes. What a function writes through a pointer belongs to the caller; what
// an event points to belongs to the channel and is valid until the next call on it.
//
// Threads: a channel belongs to the thread that opened it: all calls come from that thread. A
// process may have several channels, each under a client id of its own: a second channel under the
// same id takes the connections of the first.
//
// Two ways to use a channel, not to be mixed on one: asynchronous (submit, poll, wait), or one
// request at a time (connect, call).
#ifndef TACIT_CLIENT_H
#define TACIT_CLIENT_H

#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

// How wait() and call() pass the time.
enum tacit_channel_waiting {
    TACIT_CHANNEL_ADAPTIVE =
        0,               // look a few times, give way to others, then sleep until a reply rings
    TACIT_CHANNEL_YIELD, // give way to others between looks; never sleeps
    TACIT_CHANNEL_SPIN,  // only look; for a core of one's own
};

// Where to find the group and who the client is. Either node_path, or cluster_path, key_path and
// client_id. Strings are copied.
struct tacit_channel_options {
    const char *node_path;    // node file that names the client, the cluster file and the key
    const char *cluster_path; // cluster file
    const char *key_path;     // this client's private key
    uint16_t client_id;       // with cluster_path: as in the cluster file
    // File with the group's id (64 hex digits), as `tacit bootstrap` writes it. NULL: "group" in
    // the client's state directory, else in the cluster's runtime directory.
    const char *group_path;
    // Where this client's starts are counted. NULL: as the node file or the cluster file says.
    const char *state_dir;
    // Requests that one session may have outstanding; 0: as many as the cluster file allows, which
    // is also the most.
    uint32_t pipeline;
    enum tacit_channel_waiting waiting;
};

struct tacit_channel_limits {
    uint32_t request_bytes; // largest request
    uint32_t reply_bytes;   // largest reply
    uint32_t sessions;      // open at a time
    uint32_t pipeline;      // requests outstanding per session
    uint32_t outstanding;   // requests outstanding in all sessions together
    uint32_t replicas;      // of the group
    bool byzantine;         // the group's fault model; false: crash mode
};

enum tacit_channel_event_kind {
    TACIT_CHANNEL_OPENED = 1, // a session can be used now
    TACIT_CHANNEL_RESULT,     // a request is done
    TACIT_CHANNEL_CLOSED,     // a session is over; its number is void. Its last event
};

struct tacit_channel_event {
    enum tacit_channel_event_kind kind;
    uint32_t session;
    uint64_t token; // of session_open() (OPENED, CLOSED) or submit() (RESULT)
    // RESULT:
    //   TACIT_OK      executed at position `index` of the log; body is the application's reply
    //   TACIT_EINVAL  a read, and the application answers none
    //   TACIT_ENOENT  executed, but the reply is no longer kept
    //   TACIT_ETOOBIG not executed: the replicas' limits are smaller than this client's
    //   TACIT_ECLOSED the group closed the session before the answer came; executed or not is not
    //   known
    // CLOSED: TACIT_OK when session_close() asked for it, else TACIT_ECLOSED or TACIT_ETOOBIG
    enum tacit_status status;
    uint64_t index;
    const uint8_t *body;
    uint32_t body_bytes;
};

struct tacit_channel_status {
    uint16_t leader; // replica that is believed to lead; 0xffff: none
    uint32_t up;     // bit r: replica r is connected
    uint32_t outstanding;
    uint64_t sent, resent, time_outs, fail_overs, hints, results, duplicates, malformed;
};

struct tacit_channel;

// Reads the files, makes this client's memory and begins to connect; does not wait for any replica.
// Errors: TACIT_EINVAL, TACIT_ENOENT, TACIT_EPERM, TACIT_EAUTH (the key is not this client's),
// TACIT_EIO, TACIT_ENOMEM; `error` (may be NULL) says what to do. Start-up code: allocates.
enum tacit_status tacit_channel_open(const struct tacit_channel_options *options,
                                     struct tacit_channel **channel, struct tacit_error *error);
// Disconnects and frees everything. Requests without an answer may or may not be executed. NULL:
// nothing.
void tacit_channel_close(struct tacit_channel *channel);

void tacit_channel_limits(const struct tacit_channel *channel, struct tacit_channel_limits *limits);
void tacit_channel_status(const struct tacit_channel *channel, struct tacit_channel_status *status);

// ---- asynchronous ---------------------------------------------------------------------

// Begins to open a session; OPENED with `token` follows. *session is its number from now on.
// TACIT_EBUSY: too many are open; try again after an event.
enum tacit_status tacit_channel_session_open(struct tacit_channel *channel, uint64_t token,
                                             uint32_t *session);
// Ends a session once its requests are answered; CLOSED follows. TACIT_ECLOSED: there is no such
// session.
enum tacit_status tacit_channel_session_close(struct tacit_channel *channel, uint32_t session);
// Sends a request, which is copied; exactly one RESULT with `token` follows. Errors: TACIT_EINVAL
// (not OPENED yet), TACIT_ECLOSED, TACIT_ETOOBIG, TACIT_EBUSY (as many outstanding as allowed; try
// again after an event).
enum tacit_status tacit_channel_submit(struct tacit_channel *channel, uint32_t session,
                                       const void *request, size_t request_bytes, uint64_t token);
// The same for a request that changes nothing: while the leader holds a lease it answers from its
// state (the application's query()), without replicating anything. Linearizable, and in order with
// the session's other requests: submit() is EBUSY while a read is outstanding. RESULT with
// TACIT_EINVAL: the application answers no reads. Without leases, and in Byzantine mode, it goes
// through the log. Errors: as of submit().
enum tacit_status tacit_channel_read(struct tacit_channel *channel, uint32_t session,
                                     const void *request, size_t request_bytes, uint64_t token);
// Next event, without waiting: false when there is none. Also sends again what has waited too long,
// so it must be called as long as anything is outstanding.
bool tacit_channel_poll(struct tacit_channel *channel, struct tacit_channel_event *event);
// Waits up to `timeout_ns` for the next event, in the channel's way of waiting. False: none came.
bool tacit_channel_wait(struct tacit_channel *channel, uint64_t timeout_ns,
                        struct tacit_channel_event *event);

// ---- one request at a time ------------------------------------------------------------

// Opens a session and waits for it. Errors: TACIT_ETIMEDOUT (no majority, or nothing connected:
// `error` says which), TACIT_EAUTH (every replica refused: another cluster file, or a client that
// they do not know), TACIT_EBUSY (too many sessions).
enum tacit_status tacit_channel_connect(struct tacit_channel *channel, uint64_t timeout_ns,
                                        uint32_t *session, struct tacit_error *error);

// Where the reply goes: `bytes` has room for `max`; call() fills in `size` and `index`.
struct tacit_channel_reply {
    void *bytes;
    size_t max;
    size_t size;
    uint64_t index;
};
// Sends a request and waits for its answer. Errors: those of a RESULT and of submit();
// TACIT_ETIMEDOUT: the request may still be executed later, its answer will be dropped;
// TACIT_ETOOBIG also when the answer is larger than reply->max (reply->size says how large; the
// request was executed).
enum tacit_status tacit_channel_call(struct tacit_channel *channel, uint32_t session,
                                     const void *request, size_t request_bytes, uint64_t timeout_ns,
                                     struct tacit_channel_reply *reply);
// The same with read() instead of submit(). The index in the reply: the newest position of the log
// whose effect it may have seen, which others share.
enum tacit_status tacit_channel_call_read(struct tacit_channel *channel, uint32_t session,
                                          const void *request, size_t request_bytes,
                                          uint64_t timeout_ns, struct tacit_channel_reply *reply);

#ifdef __cplusplus
}
#endif

#endif
