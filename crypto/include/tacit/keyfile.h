// SPDX-License-Identifier: Apache-2.0
//
// A node's private key in a file, and a public key as text. One strict text format each: whatever
// differs in one byte is refused with a sentence that says what to do. The private file:
//
//   # replica 1 of my-cluster            optional: one comment line, printable ASCII
//   tacit-private-key-v1
//   public ed25519:<64 hex digits>
//   secret <64 hex digits>               the Ed25519 seed
//
// The public form is the text after "public ", as it stands in the cluster file. The public key in
// the private file is redundant on purpose: a damaged secret is noticed before it is used.
//
// Start-up code only: these calls do file I/O or format text. Any thread.
#ifndef TACIT_KEYFILE_H
#define TACIT_KEYFILE_H

#include "tacit/crypto.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TACIT_PUBLIC_KEY_TEXT_LENGTH 72 // without the NUL
#define TACIT_KEYFILE_COMMENT_MAX 120   // bytes of comment, without "# " and the newline
#define TACIT_KEYFILE_BYTES_MAX 512     // more than the largest well-formed file

// Writes the text form and a NUL to `out`.
void tacit_public_key_format(char out[TACIT_PUBLIC_KEY_TEXT_LENGTH + 1],
                             const struct tacit_public_key *key);

// Reads the text form: exactly TACIT_PUBLIC_KEY_TEXT_LENGTH bytes (a NUL is not needed) of a usable
// key. Errors: TACIT_EINVAL; `out` is then all zeros.
TACIT_CRYPTO_CHECKED enum tacit_status tacit_public_key_parse(struct tacit_public_key *out,
                                                              const char *text, size_t text_bytes,
                                                              struct tacit_error *error);

// Writes the contents of a private-key file to `out` (secret: memory of tacit_secret_alloc, of
// TACIT_KEYFILE_BYTES_MAX bytes) and returns their length, without a NUL. `comment` may be NULL or
// 1 .. TACIT_KEYFILE_COMMENT_MAX bytes of printable ASCII; otherwise returns 0 and fills `error`.
TACIT_CRYPTO_CHECKED size_t tacit_keyfile_format(char out[TACIT_KEYFILE_BYTES_MAX],
                                                 const struct tacit_keypair *keypair,
                                                 const char *comment, struct tacit_error *error);

// Reads such contents. `name` says in messages where they come from. Errors: TACIT_EINVAL; `out` is
// then all zeros. No part of the secret is ever put into a message.
TACIT_CRYPTO_CHECKED enum tacit_status tacit_keyfile_parse(struct tacit_keypair *out,
                                                           const char *text, size_t text_bytes,
                                                           const char *name,
                                                           struct tacit_error *error);

// Creates `path` with mode 0600, whatever the umask, and returns once file and directory are on
// disk. Never overwrites: TACIT_EEXIST when something has that name, a dangling link included.
// Other errors: TACIT_ENOENT (no such directory), TACIT_EPERM, TACIT_EINVAL (comment, path),
// TACIT_EIO, TACIT_ENOMEM; a file that could not be completed is removed again.
TACIT_CRYPTO_CHECKED enum tacit_status tacit_keyfile_write(const char *path,
                                                           const struct tacit_keypair *keypair,
                                                           const char *comment,
                                                           struct tacit_error *error);

// Loads `path` into `out` (secret: memory of tacit_secret_alloc). Refuses what is not a regular
// file (a symbolic link as last component included), has any permission bit for group or others, or
// belongs to neither this process's effective user nor root; a process of root may load anybody's
// file. Errors: TACIT_ENOENT, TACIT_EPERM (permission bits, owner, no access), TACIT_EINVAL (not a
// regular file, contents), TACIT_EIO, TACIT_ENOMEM; `out` is then all zeros.
TACIT_CRYPTO_CHECKED enum tacit_status
tacit_keyfile_load(struct tacit_keypair *out, const char *path, struct tacit_error *error);

#ifdef __cplusplus
}
#endif

#endif
