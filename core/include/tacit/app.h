// SPDX-License-Identifier: Apache-2.0
//
// Be a replicated application. Fill in a `struct tacit_app`; link it into a program that embeds a
// replica (tacit/replica.h), or build a shared object that exports it under the name `tacit_app`
// and start `tacit-replica --app FILE.so`.
//
// All replicated state lives in the arena, a block of pages that Tacit owns, copies for checkpoints
// and transfers to replicas that restart. Rules that make replication correct:
//  * The same sequence of calls produces the same arena bytes and the same replies on every
//  replica: no
//    clock, no random number, no address, no iteration order that depends on one.
//  * Store offsets into the arena, not pointers: it may be mapped elsewhere on another replica.
//  * Call touch() for a range *before* changing it, in every call that changes it.
//  * State outside the arena is a cache that can be rebuilt from it; reload() tells when to.
//  * A call returns in bounded time and never exits: a bad request gets a reply that says so. A
//  full arena
//    is an ordinary, deterministic reply.
// All functions are called from the replica's one protocol thread.
#ifndef TACIT_APP_H
#define TACIT_APP_H

#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TACIT_APP_VERSION 2u
#define TACIT_PAGE_BYTES 4096u

// What Tacit gives to an application; valid as long as the replica.
struct tacit_app_host {
    void *arena;        // page-aligned; all zero before init()
    size_t arena_bytes; // multiple of TACIT_PAGE_BYTES
    // Announces that arena bytes [address, address + bytes) are about to change. Cheap when called
    // again for the same page. Bytes outside the arena are a bug of the application and abort.
    void (*touch)(struct tacit_app_host *host, const void *address, size_t bytes);
    void *context; // the application's own, NULL before init()
};

// One request, as decided. `bytes` is private to the call and is gone when it returns.
struct tacit_request {
    const void *bytes;
    size_t size;
    uint64_t index;   // position in the log; the same on every replica
    uint32_t client;  // authenticated client id
    uint64_t session; // unique in the life of the group
};

struct tacit_app {
    uint32_t version; // TACIT_APP_VERSION
    const char *name;
    // Lays out an empty arena, deterministically. `options` is the text after --app-options (never
    // NULL). Fails with a message (error->text) when the arena is too small or the options are
    // wrong.
    enum tacit_status (*init)(struct tacit_app_host *host, const char *options,
                              struct tacit_error *error);
    // Executes one request and writes at most `reply_max` bytes to `reply`; returns their number.
    size_t (*apply)(struct tacit_app_host *host, const struct tacit_request *request, void *reply,
                    size_t reply_max);
    // Answers a request that changes nothing, from the state as it is: no touch(), nothing stored
    // in the arena. Called on one replica only, and perhaps more than once. A request that would
    // change something gets a reply that says so. `index` is the number of requests executed so
    // far, not a position. NULL: the application answers none, clients have to send them like any
    // request.
    size_t (*query)(struct tacit_app_host *host, const struct tacit_request *request, void *reply,
                    size_t reply_max);
    // The arena was replaced (state transfer): rebuild caches. May be NULL.
    void (*reload)(struct tacit_app_host *host);
    // Frees what init() took outside the arena. May be NULL.
    void (*fini)(struct tacit_app_host *host);
};

#ifdef __cplusplus
}
#endif

#endif
