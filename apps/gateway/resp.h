// SPDX-License-Identifier: Apache-2.0
//
// The Redis protocol (RESP2), server side. Reading is in two steps, because hiredis' reader checks
// no limit before its memory grows: a scanner walks over the bytes as they come, checks framing and
// sizes, and says where a command ends; only a whole, small enough command is then given to
// hiredis, which takes it apart into a request of the key-value application. Writing turns the
// application's replies into RESP.
#ifndef TACIT_RESP_H
#define TACIT_RESP_H

#include "kv/kv_wire.h"
#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---- scanner --------------------------------------------------------------------------

#define TACIT_RESP_LINE_MAX 64u              // of a header line
#define TACIT_RESP_INLINE_MAX 65536u         // of an inline command without an end (as in Redis)
#define TACIT_RESP_ARGUMENTS_MAX 2147483647u // more is no RESP (as in Redis)
#define TACIT_RESP_BULK_MAX 536870912u       // more is no RESP (as in Redis)
#define TACIT_RESP_NAME_MAX 128u             // bytes of a command's name that are kept

enum tacit_resp_scan {
    TACIT_RESP_MORE = 0, // all bytes were looked at, the command is not complete
    TACIT_RESP_COMMAND,  // a whole command in `command` (see there)
    TACIT_RESP_EMPTY,    // an empty command: nothing to answer
    TACIT_RESP_TOO_BIG, // a whole command that exceeds the limit; its bytes need not have been kept
    TACIT_RESP_BROKEN,  // no RESP: `error` says why; the connection cannot go on
};

struct tacit_resp_scanner {
    uint32_t limit; // largest request of the key-value application, encoded
    uint8_t phase;
    bool is_inline;
    bool too_big;
    uint32_t arguments_left;
    uint64_t body_left; // of the present argument, with its line end
    uint64_t encoded;   // size of the request so far, as the application encodes it
    uint32_t line;      // bytes of the present line so far
    const char *error;  // static text
    uint8_t got;        // the byte that was there instead, 0: says nothing
};

void tacit_resp_scanner_init(struct tacit_resp_scanner *scanner, uint32_t limit);
// Largest number of bytes of a command that is not too big.
size_t tacit_resp_frame_max(uint32_t limit);
// Looks at bytes[*at .. size), which follow what was looked at before, and moves *at. `bytes`
// begins with the command. While `too_big` is set the bytes before *at can be dropped.
enum tacit_resp_scan tacit_resp_scan(struct tacit_resp_scanner *scanner, const uint8_t *bytes,
                                     size_t size, size_t *at);

// How many bytes in front of `at` are not needed any more because their command is too big anyway.
size_t tacit_resp_droppable(const struct tacit_resp_scanner *scanner, size_t at);

// ---- parser ---------------------------------------------------------------------------

// A command, taken apart: its name, and its arguments encoded as a request whose command number is
// still 0.
struct tacit_resp_command {
    char name[TACIT_RESP_NAME_MAX];
    uint32_t name_bytes; // of the whole name; more than TACIT_RESP_NAME_MAX when it was cut
    uint32_t arguments;
    bool is_empty; // not even a name: nothing to answer
    size_t request_bytes;
    uint8_t *request;  // room for the limit; the caller's
    const char *error; // why it is no RESP after all; static text
};

struct tacit_resp_parser;

// Start-up code (allocates). NULL: no memory.
struct tacit_resp_parser *tacit_resp_parser_open(uint32_t limit);
void tacit_resp_parser_close(struct tacit_resp_parser *parser);
// Takes a command apart that the scanner delimited. False: it is no RESP after all, see `error`.
// Inline commands may have quotes, as in Redis: "\x41\n", 'it\'s'.
bool tacit_resp_parse(struct tacit_resp_parser *parser, const uint8_t *bytes, size_t size,
                      struct tacit_resp_command *command);

// ---- writer ---------------------------------------------------------------------------

// Bytes that hold any reply of the application of `reply_bytes` as RESP.
size_t tacit_resp_reply_max(uint32_t reply_bytes);
// Writes a reply of the application as RESP; returns the size. Bytes that are no reply of the
// application become an error reply. `out` has room for tacit_resp_reply_max(size).
size_t tacit_resp_reply(uint8_t *out, const uint8_t *reply, size_t size);

#ifdef __cplusplus
}
#endif

#endif
