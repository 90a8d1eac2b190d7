// SPDX-License-Identifier: Apache-2.0
//
// Clients that work on a cluster, each in a thread of its own with one request outstanding, and
// remember everything: what they asked, when, what they were told. Increments and appends of unique
// tokens make losses and repetitions visible, pairs that are always set together make torn writes
// visible.
#ifndef TACIT_APPS_CLI_LOAD_H
#define TACIT_APPS_CLI_LOAD_H

#include "bench_stalls.h"
#include "histogram.h"
#include "local.h"
#include "tests/checkers/history.h"

#define LOAD_CLIENTS_MAX 7u
#define LOAD_TOKEN_BYTES 8u
#define LOAD_LIST_TOKENS 256u // after so many a client goes on with the next list

struct load_op {
    struct checker_op op; // key and result as the checker wants them, but for what audit fills in
    uint32_t list;        // number of the list of an APPEND or GET_LIST
};

struct load;

// Starts `count` clients (ids LOCAL_LOAD_CLIENT ..). Each opens a session before this returns.
// `pause_ns`: rest of a client between two requests.
enum tacit_status load_start(struct load **load, const struct local *local, unsigned count,
                             uint64_t pause_ns, struct tacit_error *error);
// Stops the clients when their requests are answered, then reads every list to its end. Errors: a
// request that was not answered in time, or an answer that makes no sense (the text says which).
enum tacit_status load_stop(struct load *load, struct tacit_error *error);
void load_free(struct load *load);

// Acknowledged so far; latencies since the start into `out`. While clients run.
uint64_t load_acknowledged(const struct load *load);
void load_histogram(const struct load *load, struct histogram *out);
// Whether a client gave up (then load_stop says why).
bool load_failed(const struct load *load);

// After load_stop: all operations, in no order; and the final tokens of list `list` (NULL: no such
// list).
const struct load_op *load_history(const struct load *load, unsigned client, size_t *count);
unsigned load_clients(const struct load *load);
const uint32_t *load_list(const struct load *load, uint32_t list, uint32_t *tokens);
uint32_t load_lists(const struct load *load);

// While clients run or after: what a fault at from_ns cost. The longest silence of all clients
// together that ended after from_ns (from from_ns or the acknowledgement before it), and the
// longest wait for one answer among the requests that were answered after it.
struct load_outage {
    uint64_t silence_ns, silence_from_ns;
    uint64_t longest_wait_ns, wait_from_ns;
    uint64_t clients_waited; // clients whose longest wait is more than half of that
    // The longest silence where of each one the time is left out in which the machine stood still.
    uint64_t own_silence_ns;
};
struct load_outage load_outage(const struct load *load, uint64_t from_ns, uint64_t to_ns);
// The same where it is known when the machine stood still.
struct load_outage load_outage_beside(const struct load *load, uint64_t from_ns, uint64_t to_ns,
                                      const struct stall_list *stalls);

// For each client (load_clients()): when it had an answer to a request that it sent after sent_ns
// and that came after led_ns (0, or when somebody began to lead); UINT64_MAX: not yet.
void load_resumed(const struct load *load, uint64_t sent_ns, uint64_t led_ns,
                  uint64_t resumed_ns[LOAD_CLIENTS_MAX]);

// From from_ns on: what was answered in each of `count` bins of `bin_ns` from `from_ns` on, and the
// longest wait that ended in it.
struct load_bin {
    uint32_t answered;
    uint64_t slowest_ns;
};
void load_bins(const struct load *load, uint64_t from_ns, uint64_t bin_ns, struct load_bin *bins,
               size_t count);

#endif
