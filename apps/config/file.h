// SPDX-License-Identifier: Apache-2.0
//
// Whole small files: read with a bound, written at once or not at all.
#ifndef TACIT_APPS_CONFIG_FILE_H
#define TACIT_APPS_CONFIG_FILE_H

#include "tacit/types.h"

// Reads the regular file `path` of at most `most` bytes into memory that the caller frees; *text
// has a NUL behind its *text_bytes. Errors: TACIT_ENOENT, TACIT_EPERM, TACIT_EIO, TACIT_ETOOBIG,
// TACIT_ENOMEM, TACIT_EINVAL (no regular file).
enum tacit_status file_read(const char *path, size_t most, char **text, size_t *text_bytes,
                            struct tacit_error *error);

// Creates `path` (mode 0644 less the umask) with these contents: a temporary file beside it, fsync,
// then a rename that refuses to replace, then fsync of the folder. Errors: TACIT_EEXIST,
// TACIT_ENOENT, TACIT_EPERM, TACIT_EIO, TACIT_ETOOBIG (path); nothing is left behind.
enum tacit_status file_create(const char *path, const char *text, size_t text_bytes,
                              struct tacit_error *error);

#endif
