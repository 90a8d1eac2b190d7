// SPDX-License-Identifier: Apache-2.0
//
// The start-up error record: one place that formats, so that nothing else in core needs the C
// library's printf family. Built as its own library (tacit_base): the protocol library proper may
// not refer to vsnprintf, and the symbol check holds it to that.

#include "tacit/types.h"

#include <stdarg.h>
#include <stdio.h>

const char *tacit_status_name(enum tacit_status status)
{
    // A switch without default: the compiler then names a status that was added and forgotten here.
    switch (status) {
    case TACIT_OK:
        return "TACIT_OK";
    case TACIT_EINVAL:
        return "TACIT_EINVAL";
    case TACIT_ENOMEM:
        return "TACIT_ENOMEM";
    case TACIT_EIO:
        return "TACIT_EIO";
    case TACIT_EPERM:
        return "TACIT_EPERM";
    case TACIT_EBUSY:
        return "TACIT_EBUSY";
    case TACIT_EEXIST:
        return "TACIT_EEXIST";
    case TACIT_ENOENT:
        return "TACIT_ENOENT";
    case TACIT_EAUTH:
        return "TACIT_EAUTH";
    case TACIT_EVERSION:
        return "TACIT_EVERSION";
    case TACIT_ETIMEDOUT:
        return "TACIT_ETIMEDOUT";
    case TACIT_ETOOBIG:
        return "TACIT_ETOOBIG";
    case TACIT_ECLOSED:
        return "TACIT_ECLOSED";
    }
    return "unknown status";
}

enum tacit_status tacit_error_set(struct tacit_error *error, enum tacit_status status, int os_errno,
                                  const char *format, ...)
{
    if (error == NULL) {
        return status;
    }
    error->status = status;
    error->os_errno = os_errno;

    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    if (length < 0) {
        // An argument that the locale cannot encode: the status alone still has to reach a person.
        (void)snprintf(error->text, sizeof(error->text), "%s", tacit_status_name(status));
    }
    return status;
}
