// SPDX-License-Identifier: Apache-2.0
//
// What is left of a process that was killed: tens of MiB whose pages Linux gives back one by one,
// in the time and at the rank of the last thread that ends. Of a replica that is a thread of high
// rank, just when those who go on need the processors. So it is left to somebody who can wait.
#ifndef TACIT_APPS_LIB_REMAINS_H
#define TACIT_APPS_LIB_REMAINS_H

#include <sys/types.h>

// From here on the memory of this process is given back by another one (named tacit-remains), which
// shares it, touches none of it, holds no file, and ends after this one has ended or has become
// another program; only while no processor has anything else to do, or nearly so. Returns its id,
// or -1 where the system refuses: then all is as it was. What is in the memory, keys included, is
// there for as long, and as unreachable for others as before. For the main thread of a program,
// before there are others, once. Who is to wait for children meets it only with __WALL or __WCLONE.
pid_t tacit_remains_keep(void);

#endif
