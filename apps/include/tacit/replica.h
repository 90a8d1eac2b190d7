// SPDX-License-Identifier: Apache-2.0
//
// Embed a replica: run your application (tacit/app.h) as a member of a group, in a process of your
// own. `tacit-replica` is this and a command line.
//
//   struct tacit_replica_options options = {.node_path = "replica-0.yaml", .app = &my_app};
//   if (tacit_replica_open(&options, &replica, &error) != TACIT_OK) { puts(error.text); exit(1); }
//   tacit_replica_run(replica, &error);   // until tacit_replica_stop() from elsewhere
//   tacit_replica_close(replica);
//
// Threads. The thread that calls run() becomes the replica's protocol thread; the application's
// functions are called there. It must also call close(). One replica a thread. Other threads of
// this process may do what they like, but a replica is as dead as its process: what crashes it,
// crashes the replica.
#ifndef TACIT_REPLICA_H
#define TACIT_REPLICA_H

#include <signal.h>

#include "tacit/app.h"
#include "tacit/status.h"
#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tacit_replica_options {
    const char *node_path; // node file: names replica, cluster file, key and state directory
    const char
        *cluster_path; // cluster file instead of the one that the node file names; NULL: that one
    const struct tacit_app *app; // lives as long as the replica
    const char *app_options;     // for its init(); NULL: ""
    // Not replicated: executes what arrives without asking anybody. The floor of benchmarks; every
    // replica of such a group is on its own.
    bool unreplicated;
    // Called on the protocol thread when all memory has been taken, before its first turn: the
    // place to set scheduling or affinity beyond what the cluster file says. NULL: nothing. From
    // there on the replica allocates nothing on this thread (the application may).
    void (*started)(void *context);
    void *context;
    // A spare, or a founder that was replaced, stands by in open() until a seat is to be taken.
    // *stopped, set by a signal handler, ends that: TACIT_ECLOSED. NULL: nothing does.
    const volatile sig_atomic_t *stopped;
};

struct tacit_replica;

// Reads and checks the files, enters the state directory (which counts this start), takes all
// memory and begins to connect. Strings are copied. Errors, each with a text for a person:
// TACIT_EINVAL (files, or the application's init), TACIT_ENOENT (a file; or the group was not
// founded), TACIT_EPERM (a key that others can read, a folder), TACIT_EAUTH (the key is not this
// node's), TACIT_EBUSY (this node runs already), TACIT_EVERSION (the application was built for
// another version), TACIT_ENOMEM, TACIT_EIO.
enum tacit_status tacit_replica_open(const struct tacit_replica_options *options,
                                     struct tacit_replica **out, struct tacit_error *error);
// Takes part in the group until tacit_replica_stop(). TACIT_OK: was stopped. TACIT_EIO: could not
// start. TACIT_ECLOSED: it was replaced or removed, or another spare was faster; a process that is
// started again stands by.
enum tacit_status tacit_replica_run(struct tacit_replica *replica, struct tacit_error *error);
// Makes run() return within some milliseconds, also before it was called. Any thread, signal
// handlers too.
void tacit_replica_stop(struct tacit_replica *replica);
// Copies what the replica said of itself last: while it runs, some milliseconds ago at most. Any
// thread.
void tacit_replica_status(struct tacit_replica *replica, struct tacit_status_report *report);
// Disconnects and frees everything. The others go on without it. NULL: nothing.
void tacit_replica_close(struct tacit_replica *replica);

#ifdef __cplusplus
}
#endif

#endif
