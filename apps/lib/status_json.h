// SPDX-License-Identifier: Apache-2.0
//
// A replica's report as one JSON object: what the status socket answers and `tacit status --json`
// prints.
#ifndef TACIT_APPS_LIB_STATUS_JSON_H
#define TACIT_APPS_LIB_STATUS_JSON_H

#include "../client/provider.h"
#include "publish.h"
#include "tacit/crypto.h"

#define TACIT_STATUS_JSON_BYTES 16384u

// What does not change while a replica runs.
struct tacit_status_fixed {
    const char *node; // "replica-0"
    const char *app;
    struct tacit_group_id group;
    uint32_t replicas, memnodes;
    uint64_t started_ns; // of the same clock as published_ns
    int32_t pid;
    bool first_member;
};

// Writes the object and a newline to `out` and returns the length; 0: no memory. Allocates: not for
// the protocol thread.
size_t tacit_status_json(char out[TACIT_STATUS_JSON_BYTES], const struct tacit_status_fixed *fixed,
                         const struct tacit_published *published,
                         const struct tacit_provider_status *fabric, tacit_time_ns_t now_ns);

#endif
