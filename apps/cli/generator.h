// SPDX-License-Identifier: Apache-2.0
//
// Requests for the benchmarks, from one thread, over one or several clients of a group: in a closed
// loop (so many in flight, each answer is followed by the next request) or in an open one (at times
// that do not depend on the answers, so that a slow answer does not hide those behind it).
#ifndef TACIT_APPS_CLI_GENERATOR_H
#define TACIT_APPS_CLI_GENERATOR_H

#include "histogram.h"
#include "local.h"
#include "tacit/client.h"

#define GENERATOR_CHANNELS_MAX (LOCAL_CLIENTS - LOCAL_LOAD_CLIENT)
#define GENERATOR_CHANNEL_FLIGHT 64u // requests that one client may have in flight
#define GENERATOR_FLIGHT_MAX (GENERATOR_CHANNELS_MAX * GENERATOR_CHANNEL_FLIGHT)
#define GENERATOR_REQUEST_MAX 4096u

// What is asked, and what is to be answered. Called from the generator's thread.
struct generator_work {
    // Writes request number `i` into `out` (GENERATOR_REQUEST_MAX bytes); returns its size.
    size_t (*ask)(const void *context, uint64_t i, uint8_t *out);
    // Whether this is an answer to a request number `i`.
    bool (*is_right)(const void *context, uint64_t i, const uint8_t *reply, size_t bytes);
    const void *context;
};

struct generator_options {
    struct generator_work work;
    uint32_t in_flight;        // 1 to GENERATOR_FLIGHT_MAX; of an open loop the most
    double rate_per_s;         // 0: a closed loop
    uint64_t warm_up_ns;       // answers before this are not counted
    uint64_t duration_ns;      // counted
    bool (*interrupted)(void); // asked now and then
};

struct generator_result {
    // Closed loop: from submission, of answers that came while it was counted. Open loop: from the
    // intended time, of requests whose intended time was while it was counted.
    struct histogram latency;
    uint64_t answered;          // while it was counted
    uint64_t duration_ns;       // that was counted
    uint64_t time_outs, resent; // of the clients, in all of it
};

// Opens as many clients of `local` as so many requests in flight need, works, and closes them.
// ETIMEDOUT: requests were not answered in time; EIO: an answer was wrong; ECLOSED: interrupted.
enum tacit_status generator_run(const struct local *local, const struct generator_options *options,
                                struct generator_result *result, struct tacit_error *error);

// Work for the application flip: requests of `bytes` bytes, 8 to GENERATOR_REQUEST_MAX.
struct generator_work generator_flip(const uint64_t *bytes);
// Work for the key-value store: SET of values of `bytes` bytes, 8 to 2048, on a thousand keys.
struct generator_work generator_set(const uint64_t *bytes);

#endif
