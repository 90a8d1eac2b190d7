// SPDX-License-Identifier: Apache-2.0
//
// Requests and replies of the key-value application, as they travel in a Tacit request and its
// reply. Both sides live here, so that they cannot drift apart. Little-endian, canonical (what is
// accepted encodes to the same bytes again); decoders never look beyond the bytes that they are
// given.
//
//   request:  u8 command | u8 0 | u16 arguments | for each argument: u32 length, bytes
//   reply:    u8 kind | by kind:
//             NIL, OK: nothing.  INTEGER: i64.  BULK, ERROR: bytes to the end
//             ARRAY: u32 elements | for each: u32 length, bytes; length TACIT_KV_NIL_LENGTH: no
//             bytes, nil
//   batch:    u8 TACIT_KV_BATCH | u8 0 | u16 commands | for each: u32 length, a request, no batch
//   its reply: an ARRAY of the replies to its first commands, those that were executed. The first
//             command that is not in it found too little room for its reply; neither it nor any
//             after it was executed
#ifndef TACIT_KV_WIRE_H
#define TACIT_KV_WIRE_H

#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TACIT_KV_REQUEST_HEADER 4u
#define TACIT_KV_LENGTH_BYTES 4u // before each argument and element
#define TACIT_KV_ARGUMENTS_MAX 4096u
#define TACIT_KV_NIL_LENGTH 0xffffffffu
#define TACIT_KV_BATCH 64u // where a command is named; no command has this number
#define TACIT_KV_BATCH_COMMANDS_MAX 1024u
// A batch goes on only while there is so much room for the next reply, with its length before it:
// more than any has but those of GET and MGET.
#define TACIT_KV_SMALL_REPLY_MAX 64u

// Name, least and most arguments (the command's own name not counted), arguments come in groups of.
#define TACIT_KV_COMMANDS(X)                                                                       \
    X(GET, "get", 1, 1, 1)                                                                         \
    X(SET, "set", 2, 2, 1)                                                                         \
    X(DEL, "del", 1, TACIT_KV_ARGUMENTS_MAX, 1)                                                    \
    X(EXISTS, "exists", 1, TACIT_KV_ARGUMENTS_MAX, 1)                                              \
    X(INCR, "incr", 1, 1, 1)                                                                       \
    X(INCRBY, "incrby", 2, 2, 1)                                                                   \
    X(APPEND, "append", 2, 2, 1)                                                                   \
    X(MGET, "mget", 1, TACIT_KV_ARGUMENTS_MAX, 1)                                                  \
    X(MSET, "mset", 2, TACIT_KV_ARGUMENTS_MAX, 2)                                                  \
    X(STRLEN, "strlen", 1, 1, 1)

enum tacit_kv_command {
    TACIT_KV_NONE = 0,
#define TACIT_KV_ENUM(name, text, least, most, group) TACIT_KV_##name,
    TACIT_KV_COMMANDS(TACIT_KV_ENUM)
#undef TACIT_KV_ENUM
        TACIT_KV_COMMAND_END
};

enum tacit_kv_reply_kind {
    TACIT_KV_REPLY_NIL = 1,
    TACIT_KV_REPLY_OK,
    TACIT_KV_REPLY_INTEGER,
    TACIT_KV_REPLY_BULK,
    TACIT_KV_REPLY_ARRAY,
    TACIT_KV_REPLY_ERROR,
};

struct tacit_kv_span {
    const uint8_t *bytes;
    uint32_t size;
};

// Static name of a command in small letters; NULL when there is none with that number.
const char *tacit_kv_command_name(unsigned command);
// The command with this name, letters of any case; TACIT_KV_NONE when there is none.
enum tacit_kv_command tacit_kv_command_find(const char *name, size_t name_bytes);
// Whether a command changes nothing, so that query() answers it.
bool tacit_kv_command_reads(unsigned command);
// The same of an encoded request or batch, all of whose commands must be such then. It need not be
// whole: what is malformed may pass for a read, but then changes nothing either.
bool tacit_kv_request_reads(const void *bytes, size_t size);
// Whether a command takes so many arguments (its own name not counted).
bool tacit_kv_arity_is_right(enum tacit_kv_command command, uint32_t arguments);

// Writes a request to `out`; returns its size, or 0 when it does not fit into `max` or has more
// than TACIT_KV_ARGUMENTS_MAX arguments. Says nothing about arity: the application does.
size_t tacit_kv_request_encode(uint8_t *out, size_t max, enum tacit_kv_command command,
                               const struct tacit_kv_span *arguments, uint32_t count);

// A request that was checked, and the walk over its arguments.
struct tacit_kv_request {
    uint8_t command;
    uint16_t arguments;
    const uint8_t *at; // length of the next argument
    const uint8_t *end;
};
// OK or MALFORMED (unknown command, lengths that do not add up, trailing bytes). `bytes` must
// outlive the walk and must not change.
enum tacit_verdict tacit_kv_request_decode(struct tacit_kv_request *request, const uint8_t *bytes,
                                           size_t size);
// Next argument; only as often as the request has arguments.
struct tacit_kv_span tacit_kv_request_next(struct tacit_kv_request *request);

// Batches. Writers: an empty one in `out`, which has room for TACIT_KV_REQUEST_HEADER bytes at
// least; returns its size. Then one request more behind the `used` bytes; returns the new size, or
// 0 when it does not fit into `max` or the batch has TACIT_KV_BATCH_COMMANDS_MAX commands.
size_t tacit_kv_batch_begin(uint8_t *out);
size_t tacit_kv_batch_add(uint8_t *out, size_t max, size_t used, const uint8_t *request,
                          size_t request_bytes);
bool tacit_kv_is_batch(const void *bytes, size_t size);
// Same contract as the decoder of requests; also MALFORMED: no command or too many of them, one
// that is malformed, a batch among them. The walk's arguments are the commands, checked.
enum tacit_verdict tacit_kv_batch_decode(struct tacit_kv_request *batch, const uint8_t *bytes,
                                         size_t size);

struct tacit_kv_reply {
    uint8_t kind;
    int64_t integer;           // INTEGER
    struct tacit_kv_span text; // BULK, ERROR
    uint32_t elements;         // ARRAY, then the walk
    const uint8_t *at;
    const uint8_t *end;
};
// Same contract as the decoder of requests.
enum tacit_verdict tacit_kv_reply_decode(struct tacit_kv_reply *reply, const uint8_t *bytes,
                                         size_t size);
// Next element of an ARRAY, only as often as it has elements; bytes NULL: nil.
struct tacit_kv_span tacit_kv_reply_next(struct tacit_kv_reply *reply);

// Writers of replies; `max` is the room in `out`. Return the size, or 0 when it does not fit.
size_t tacit_kv_reply_plain(uint8_t *out, size_t max, enum tacit_kv_reply_kind kind);
size_t tacit_kv_reply_integer(uint8_t *out, size_t max, int64_t value);
size_t tacit_kv_reply_text(uint8_t *out, size_t max, enum tacit_kv_reply_kind kind,
                           struct tacit_kv_span text);
size_t tacit_kv_reply_array(uint8_t *out, size_t max, uint32_t elements);
// Appends an element to an array that has `used` bytes so far; returns the new size or 0.
size_t tacit_kv_reply_element(uint8_t *out, size_t max, size_t used, struct tacit_kv_span element);
// The same for an element whose `bytes` bytes are already where they belong, behind
// TACIT_KV_LENGTH_BYTES for its length; the caller has made sure that it fits.
size_t tacit_kv_reply_element_made(uint8_t *out, size_t used, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
