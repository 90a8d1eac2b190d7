// SPDX-License-Identifier: Apache-2.0
//
// Requests of clients in Byzantine mode: the store of what came in, and the policies around it.
// Which batches this replica endorses, what a leader proposes and in which order, how a request
// that only some replicas have is brought to the others, and for which requests a timer runs.
//
// A request is *direct* if it came on its client's own connection (authenticated, not signed), and
// *signed* if it carries the client's signature and that was checked here. A replica endorses a
// batch if it holds each request in it, byte for byte, direct or signed. Nothing else that a peer
// says about a request counts.
//
// Bounds. A client has 2 x P places for each session, S for OPENs, and room for 2 x
// `client_requests` bodies: twice what a correct one has under way, since others may have answered
// what this replica has not executed yet. What it sends beyond that displaces its own requests
// only. What peers forward is charged to them, and displaces nothing before its signature was
// checked.
//
// Session order is judged at execution alone: here it only decides what a leader proposes next.
// Pure: executed state, connections and links are reached through callbacks. Threads: as all of
// core. Every call does a bounded amount of work.
#ifndef TACIT_BYZANTINE_REQUESTS_H
#define TACIT_BYZANTINE_REQUESTS_H

#include "../base/mark.h"
#include "../base/words.h"
#include "payload.h"
#include "tacit/signer.h"
#include "tacit/wire.h"

struct tacit_requests_config {
    uint8_t replicas; // 2f+1
    tacit_node_t self;
    uint32_t clients;              // ids are below this; at most 65536 - TACIT_SIGNER_CLIENT
    uint32_t sessions_per_client;  // S
    uint32_t session_pipeline;     // P
    uint32_t client_requests;      // that a client has under way; the slots of its request ring
    uint32_t request_bytes;        // largest body
    uint32_t message_bytes;        // largest message of a link, at least 128
    uint32_t window;               // slots that can wait at a time
    tacit_time_ns_t lack_after_ns; // a slot that lacks a request is reported after this, at least
    tacit_time_ns_t retry_ns;      // a request under obligation is forwarded again after this
};

// Where a session stands in the executed state of this replica.
enum tacit_requests_standing {
    TACIT_STANDING_AHEAD = 0, // its number is larger than any that was opened so far
    TACIT_STANDING_OPEN,
    TACIT_STANDING_CLOSED, // was opened and is over, or can never be
};

struct tacit_requests_calls {
    void *context;
    // Of the executed state. OPEN: *last is the number that was executed last.
    enum tacit_requests_standing (*session)(void *context, uint32_t client, uint64_t session,
                                            uint64_t *last);
    // Of an OPEN with this nonce. AHEAD: it would open a session; OPEN: it has; CLOSED: it never
    // will (any more).
    enum tacit_requests_standing (*nonce)(void *context, uint32_t client, uint64_t nonce);
    // Of the links. body(): as tacit_links_body().
    void (*send)(void *context, tacit_node_t to, const void *message, uint32_t bytes);
    uint64_t (*send_body)(void *context, tacit_node_t to, const void *body, uint32_t bytes);
    enum tacit_verdict (*body)(void *context, tacit_node_t from, uint64_t ticket, uint8_t *out,
                               uint32_t max, uint32_t *bytes);
    // Sends TACIT_REPLY_SIGN for this request on the client's connection, if it has one.
    void (*ask)(void *context, uint32_t client, uint64_t session, uint64_t number);
    // A request came for which this slot waits: try to endorse it again. Called at most once for
    // each tacit_requests_wait().
    void (*resume)(void *context, uint64_t view, uint64_t slot);
};

struct tacit_requests; // requests_internal.h; caller's memory

// Takes its memory from `bump`; with bump->base NULL only measures (returns NULL).
struct tacit_requests *tacit_requests_init(struct tacit_bump *bump,
                                           const struct tacit_requests_config *config,
                                           struct tacit_signer *signer,
                                           const struct tacit_requests_calls *calls,
                                           struct tacit_marker marker);

// ---- what comes in ----

enum tacit_requests_put {
    TACIT_PUT_TAKEN = 0, // is kept (or was already)
    TACIT_PUT_EXECUTED,  // was executed before: answer what is kept
    TACIT_PUT_CLOSED,    // its session is over: answer CLOSED
    TACIT_PUT_TOO_BIG,   // answer TOO_BIG
    TACIT_PUT_DROPPED,   // a correct client does not send this now
};
// A request (decoded, well-formed) from the connection of `client`. Its bytes are copied.
enum tacit_requests_put tacit_requests_put(struct tacit_requests *requests, uint32_t client,
                                           const struct tacit_wire_request *request,
                                           tacit_time_ns_t now_ns);
// Messages of kinds TACIT_MESSAGE_LACK .. TACIT_MESSAGE_ECHO. `bytes` of any content.
void tacit_requests_message(struct tacit_requests *requests, tacit_node_t from,
                            const uint8_t *message, uint32_t bytes, tacit_time_ns_t now_ns);
// Signer completions of TACIT_SIGNER_REQUESTS.
void tacit_requests_signer(struct tacit_requests *requests, const struct tacit_signer_done *done,
                           tacit_time_ns_t now_ns);

// ---- endorsement ----

enum tacit_requests_endorsement {
    TACIT_ENDORSE_OK = 0,
    TACIT_ENDORSE_WAIT,      // *missing is the first request that is not here (yet)
    TACIT_ENDORSE_MALFORMED, // no correct leader proposes this, whatever was sent
};
struct tacit_requests_key {
    uint8_t kind; // enum tacit_request_kind
    uint16_t client;
    uint64_t session;
    uint64_t number;
};
// Whether this replica endorses a batch (items OPEN, APPLY and CLOSE; none: a no-op). The caller
// remembers an OK: requests are forgotten when they were executed. What is decided, or forced by a
// new view, needs no endorsement.
enum tacit_requests_endorsement tacit_requests_endorse(const struct tacit_requests *requests,
                                                       const uint8_t *batch, size_t bytes,
                                                       struct tacit_requests_key *missing);
// Slot `slot` of `view` waits for `missing`, and for nothing but requests: resume() is called when
// it is here; after lack_after_ns the leader is told, again and again less often. Replaces what the
// slot (modulo window) waited for before.
void tacit_requests_wait(struct tacit_requests *requests, uint64_t view, uint64_t slot,
                         const struct tacit_requests_key *missing, tacit_time_ns_t now_ns);
// What lacks a request is reported no sooner than after this from now on: as long as this replica
// waits for others, it waits for clients, which write to one replica after the other.
void tacit_requests_patience(struct tacit_requests *requests, tacit_time_ns_t lack_after_ns);
// The slot waits no more (was decided, or its view is over).
void tacit_requests_unwait(struct tacit_requests *requests, uint64_t slot);

// ---- proposing (the leader of the present view) ----

// Sessions (of each client also: its OPENs) that have something to propose. Cheap.
uint32_t tacit_requests_proposals(const struct tacit_requests *requests);
// Not the leader: writes the batch that it most likely proposes next, if nothing else is under way:
// the request that came last, alone. Returns the bytes; 0: it is not here any more, was asked for
// before, or `max` is too little.
size_t tacit_requests_expected(struct tacit_requests *requests, uint8_t *out, size_t max);
// Writes the next requests as items of a batch into `out` and counts them as proposed in this view.
// Fair among sessions. Returns the bytes. `max` holds at least one item of request_bytes.
size_t tacit_requests_fill(struct tacit_requests *requests, uint8_t *out, size_t max,
                           uint32_t max_items);
// A batch that was proposed again in this view (forced): call in the order of slots, after
// tacit_requests_enter_view and before the first fill, for all that are not executed yet.
void tacit_requests_proposed(struct tacit_requests *requests, const uint8_t *batch, size_t bytes);

// ---- what the owner tells ----

// Forgets and cancels after an execution in the replicated state, with whatever bytes: APPLY
// `number` of a session; the session was closed; a session was opened with `nonce`, in place of any
// older one of its position (session 0: refused). After state
// was installed: tacit_requests_installed instead, which looks at everything.
void tacit_requests_executed(struct tacit_requests *requests, uint32_t client, uint64_t session,
                             uint64_t number, tacit_time_ns_t now_ns);
void tacit_requests_closed(struct tacit_requests *requests, uint32_t client, uint64_t session,
                           tacit_time_ns_t now_ns);
void tacit_requests_opened(struct tacit_requests *requests, uint32_t client, uint64_t session,
                           uint64_t nonce, tacit_time_ns_t now_ns);
void tacit_requests_installed(struct tacit_requests *requests, tacit_time_ns_t now_ns);
// A view was entered: its leader gets what this replica is obliged to forward, and no slot waits.
void tacit_requests_enter_view(struct tacit_requests *requests, uint64_t view,
                               tacit_time_ns_t now_ns);
// A view change voided a slot because of this client: for the next 2^i checkpoints, i = times
// named, it is proposed with its signature or on echoes from all others that are not gone only.
void tacit_requests_name(struct tacit_requests *requests, uint32_t client);
bool tacit_requests_is_named(const struct tacit_requests *requests, uint32_t client);
// The present view is left: names each client of whom this replica, leading, proposed something
// that another one said it lacks, and that was not executed. Otherwise it would propose the same in
// each of its views, and a client that sends to some replicas only and then falls silent would take
// all of them. A liar gets any clients named of whom something is proposed and not executed when a
// view ends, and nobody else. Call before tacit_requests_enter_view.
void tacit_requests_name_lacked(struct tacit_requests *requests);
// These replicas (a bit for each) are dead for certain. What one of them lacked is held back for it
// no more, nor what it would have to echo: no slot waits for it, and it can never say that it holds
// the request.
void tacit_requests_gone(struct tacit_requests *requests, uint32_t gone);
// A checkpoint became stable: penalties run out, accusers are heard again.
void tacit_requests_checkpoint(struct tacit_requests *requests, tacit_time_ns_t now_ns);

// Whether the client wants the body of this reply from every replica. Ask before executed().
bool tacit_requests_is_full(const struct tacit_requests *requests, uint32_t client,
                            uint64_t session, uint64_t number);

// ---- obligations and time ----
//
// A timer runs for a request whose valid signature this replica has itself forwarded to the present
// leader, while it is the next of an open session in the executed state (or an OPEN whose nonce is
// not open): one for each session, and one OPEN of each client.

// Earliest time at which a timer of `timer_ns` (the present value) fires; UINT64_MAX: none runs.
tacit_time_ns_t tacit_requests_timer(const struct tacit_requests *requests,
                                     tacit_time_ns_t timer_ns);
// Whether this replica is obliged to anybody.
bool tacit_requests_is_obliged(const struct tacit_requests *requests);
// One turn: LACKs, forwarding. True if anything was sent.
bool tacit_requests_poll(struct tacit_requests *requests, tacit_time_ns_t now_ns);
// When poll is due.
tacit_time_ns_t tacit_requests_deadline(const struct tacit_requests *requests);

// Structural invariants, for tests: NULL, or a static text.
const char *tacit_requests_check(const struct tacit_requests *requests);

struct tacit_requests_counters {
    uint64_t taken, conflicts, evicted, dropped, malformed, checks, checks_refused, bad_signatures;
    uint64_t forwarded, forwards_taken, lacks_sent, lacks_served, lacks_ignored, asked, echoes;
    uint64_t obligations, waits, resumed, proposed;
};
const struct tacit_requests_counters *
tacit_requests_counters(const struct tacit_requests *requests);

// ---- messages, one place for their layouts ----
//
// LACK goes to all; ECHO to the leader, of clients that are named, or of whom the sender lacked
// something of late.
//
//   LACK:    u8 kind | u8 request kind | u16 client | u32 0 | u64 view | u64 slot | u64 session |
//            u64 number
//   REQUEST: u8 kind | u8 beside | u16 client | u32 bytes | u64 ticket | the request as on the wire
//            (tacit/wire.h), signed. beside = 1: it is the body of that ticket; else ticket 0
//   ECHO:    u8 kind | u8 request kind | u16 client | u32 0 | u64 session | u64 number | 32 digest
//            of the request's body
#define TACIT_LACK_BYTES 40u
#define TACIT_REQUEST_HEADER_BYTES 16u
#define TACIT_ECHO_BYTES 56u

struct tacit_message_lack {
    struct tacit_requests_key key;
    uint64_t view;
    uint64_t slot;
};
struct tacit_message_request {
    uint16_t client;
    bool beside;
    uint32_t bytes; // of the request
    uint64_t ticket;
    const uint8_t *request; // in the message; NULL if beside
};
struct tacit_message_echo {
    struct tacit_requests_key key;
    struct tacit_digest digest;
};
void tacit_message_lack_encode(uint8_t out[TACIT_LACK_BYTES],
                               const struct tacit_message_lack *lack);
enum tacit_verdict tacit_message_lack_decode(struct tacit_message_lack *lack, const uint8_t *bytes,
                                             size_t size);
// The header; the caller appends the request unless it travels beside.
void tacit_message_request_encode(uint8_t out[TACIT_REQUEST_HEADER_BYTES],
                                  const struct tacit_message_request *request);
enum tacit_verdict tacit_message_request_decode(struct tacit_message_request *request,
                                                const uint8_t *bytes, size_t size);
void tacit_message_echo_encode(uint8_t out[TACIT_ECHO_BYTES],
                               const struct tacit_message_echo *echo);
enum tacit_verdict tacit_message_echo_decode(struct tacit_message_echo *echo, const uint8_t *bytes,
                                             size_t size);

#endif
