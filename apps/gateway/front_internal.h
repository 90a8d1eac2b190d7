// SPDX-License-Identifier: Apache-2.0
//
// What the two halves of the gateway's front share: front.c (connections: memory, input, time, the
// backend's results) and front_commands.c (replies, and what each command does). One thread.
#ifndef TACIT_GATEWAY_FRONT_INTERNAL_H
#define TACIT_GATEWAY_FRONT_INTERNAL_H

#include "front.h"
#include "resp.h"

#define TACIT_FRONT_READ_BYTES 16384u // read ahead of the command at hand
#define TACIT_FRONT_INFO_BYTES 2048u
#define TACIT_FRONT_REPLY_SPARE 64u

enum session {
    TACIT_FRONT_SESSION_WANTED = 0,
    TACIT_FRONT_SESSION_OPENING,
    TACIT_FRONT_SESSION_OPEN
};

// A command that waits: for the backend, or for the replies before it.
struct slot {
    bool ready;
    uint32_t number;          // of its command in the connection, TACIT_FRONT_NUMBER_MASK
    tacit_time_ns_t since_ns; // the first tick that saw it wait; 0: none yet
    uint32_t bytes;           // of its reply, in RESP
    uint8_t *reply;           // room for any reply
};

// A token names a command for good: the turn of the connection's place in the table, the place, and
// the command's number. A late result of an earlier one is told by it.
#define TACIT_FRONT_TURN_SHIFT 40
#define TACIT_FRONT_INDEX_SHIFT 24
#define TACIT_FRONT_NUMBER_MASK 0xffffffu

struct connection {
    bool used;
    bool blocked; // the command at hand waits for a session or for the backend
    bool closing; // nothing more is read; over when everything is sent
    bool ended;   // nothing more will come
    bool changed; // for tacit_front_changed()
    bool listed;  // in the list of those that it looks at
    bool silent;  // the backend let a command time out, and has said nothing since
    uint8_t session;
    tacit_time_ns_t blocked_ns; // the first tick that saw the command at hand blocked; 0: none yet
    uint32_t turn;              // of this table entry: tells late results of earlier connections
    uint32_t next_number;       // of the next command
    uint8_t *input;
    size_t start, scanned, end; // of the command at hand; looked at up to; filled up to
    struct tacit_resp_scanner scanner;
    struct slot *slots;
    uint32_t first, count; // of the queue of slots
    uint8_t *output;
    size_t output_start, output_end;
};

struct tacit_front {
    struct tacit_front_config config;
    struct tacit_front_backend backend;
    struct tacit_front_counters counters;
    struct connection *connections;
    struct tacit_resp_parser *parser;
    uint8_t *request; // the command at hand, encoded
    size_t input_max;
    size_t reply_max;
    size_t output_max;
    uint32_t *list; // ring of connections that tacit_front_changed() looks at, each once
    uint32_t list_first, list_count;
    uint32_t sweep; // so many of them yet before it returns TACIT_FRONT_NONE
    bool sweeps;
    void *memory;
};

// Place 0 is the oldest command without a sent reply.
struct slot *front_slot_at(const struct tacit_front *front, const struct connection *connection,
                           uint32_t place);
// tacit_front_changed() looks at it.
void front_list(struct tacit_front *front, struct connection *connection);
// Room for so many bytes at the end of the output, NULL if there is not as much now.
uint8_t *front_room(struct tacit_front *front, struct connection *connection, size_t bytes);
// The first reply of the queue is there now, in so many bytes of it.
void front_sent_first(struct tacit_front *front, struct connection *connection, size_t bytes);
// Moves replies that nothing is in front of to the output, as long as they fit.
void front_drain(struct tacit_front *front, struct connection *connection);
// The reply of the next command, a line without its end; there must be a free slot.
void front_answer(struct tacit_front *front, struct connection *connection, const char *text);
#define TACIT_FRONT_DOWN "-CLUSTERDOWN the replicas cannot be reached; not executed"
// Says what the scanner found, after which nothing more is read.
void front_answer_protocol_error(struct tacit_front *front, struct connection *connection);
// What names a command, or with number 0 the connection's session, to the backend.
uint64_t front_token(const struct tacit_front *front, const struct connection *connection,
                     uint32_t number);
// Asks the backend for a session if there is none and none was asked for.
void front_want_session(struct tacit_front *front, struct connection *connection);
// Executes a whole command. False: it has to wait, nothing happened.
bool front_execute(struct tacit_front *front, struct connection *connection, const uint8_t *bytes,
                   size_t size);

#endif
