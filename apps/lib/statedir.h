// SPDX-License-Identifier: Apache-2.0
//
// A node's state directory: the little that has to outlive a process so that a node with empty
// memory is never taken for its old self. Files in it:
//   group        the group's id, 64 hex digits; made by `tacit bootstrap`
//   incarnation  number of starts so far; raised by one, on disk, before a node speaks to anybody
//   joined       there once this directory was used to join the group, on disk before the first
//   message lock         held (flock) by the process that uses the directory, with its process id
#ifndef TACIT_APPS_LIB_STATEDIR_H
#define TACIT_APPS_LIB_STATEDIR_H

#include "tacit/crypto.h"
#include "tacit/types.h"

struct tacit_statedir {
    int lock; // file descriptor, -1: not entered
    struct tacit_group_id group;
    tacit_incarnation_t incarnation;
    // True: this is the first start in a group that was just founded, so the node is a founding
    // member with the memory that everybody has then: none.
    bool first_member;
};

// Takes the lock of `directory`, waiting a second for a process that is just ending. Errors:
// TACIT_ENOENT (not bootstrapped), TACIT_EBUSY (another process uses it), TACIT_EPERM, TACIT_EIO.
enum tacit_status tacit_statedir_lock(struct tacit_statedir *state, const char *directory,
                                      struct tacit_error *error);
// Enters a locked `directory`: reads the group id, counts this start, leaves the `joined` mark; all
// on disk when it returns. Errors: TACIT_ENOENT (not bootstrapped), TACIT_EPERM, TACIT_EIO (a full
// disk among others), TACIT_EINVAL (damaged).
enum tacit_status tacit_statedir_enter(struct tacit_statedir *state, const char *directory,
                                       struct tacit_error *error);
// Gives the lock back. Harmless when nothing was entered.
void tacit_statedir_leave(struct tacit_statedir *state);

// Founds: makes `directory` if it is missing, and in it `group` and a fresh count of starts.
// Refuses when it already belongs to a group (TACIT_EEXIST) unless `replace`, which forgets that
// one; refuses with TACIT_EBUSY while a process uses it. Other errors as above.
enum tacit_status tacit_statedir_found(const char *directory, const struct tacit_group_id *group,
                                       bool replace, struct tacit_error *error);

// Writes a file atomically and durably: temporary file, fsync, rename, fsync of the folder.
// Replaces what has that name. Errors: TACIT_EPERM, TACIT_EIO, TACIT_ENOENT, with what to do.
enum tacit_status tacit_file_replace(const char *directory, const char *name, const char *text,
                                     struct tacit_error *error);
// Makes a directory, mode 0700, and those above it. Errors: TACIT_EPERM, TACIT_EIO.
enum tacit_status tacit_directory_make(const char *path, struct tacit_error *error);

#endif
