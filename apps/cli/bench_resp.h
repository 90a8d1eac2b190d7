// SPDX-License-Identifier: Apache-2.0
//
// Redis and etcd, and who speaks to them or to the gateway: what replication is compared with.
#ifndef TACIT_APPS_CLI_BENCH_RESP_H
#define TACIT_APPS_CLI_BENCH_RESP_H

#include <sys/types.h>

#include "histogram.h"

#define BENCH_RESP_CONNECTIONS_MAX 256u
#define BENCH_RESP_PIPELINE_MAX 64u
#define BENCH_REDIS_MAX 3u // a primary and its replicas

// redis-server processes of this run, in memory only, on loopback; they die with this process.
struct bench_redis {
    pid_t pids[BENCH_REDIS_MAX];
    uint16_t ports[BENCH_REDIS_MAX]; // of the primary first
    unsigned count;
};

// Whether Debian's redis-server is here.
bool bench_redis_is_here(void);
// Starts a primary and `replicas` (0 or 2) replicas and waits until they are in step. ETIMEDOUT:
// they are not; EIO: a process could not be started.
enum tacit_status bench_redis_start(struct bench_redis *redis, unsigned replicas,
                                    struct tacit_error *error);
// Ends them. What was not started is nothing.
void bench_redis_stop(struct bench_redis *redis);

#define BENCH_ETCD 3u

// A cluster of three etcd processes, with their files in memory; they die with this process.
struct bench_etcd {
    pid_t pids[BENCH_ETCD];
    uint16_t ports[BENCH_ETCD], peer_ports[BENCH_ETCD];
    unsigned count;
    char directory[64];
};

// Whether Debian's etcd-server is here.
bool bench_etcd_is_here(void);
// Errors as of bench_redis_start().
enum tacit_status bench_etcd_start(struct bench_etcd *etcd, struct tacit_error *error);
void bench_etcd_stop(struct bench_etcd *etcd);

// A closed loop of SETs over TCP: each connection sends `pipeline` of them, waits for all answers,
// and goes on.
struct bench_resp_options {
    uint16_t port; // of 127.0.0.1
    uint32_t connections, pipeline;
    bool is_http;         // puts to etcd's JSON gateway, with a pipeline of 1
    uint32_t replicas;    // not 0: WAIT for so many after the SETs, and the answer has to be that
    uint32_t value_bytes; // 8 to 2048
    uint64_t warm_up_ns, duration_ns;
    bool (*interrupted)(void);
};
// Latency of each group of SETs, and how many SETs were answered, while it was counted. Errors: EIO
// (the text says what came back), ETIMEDOUT, ECLOSED (interrupted).
enum tacit_status bench_resp_run(const struct bench_resp_options *options,
                                 struct histogram *latency, uint64_t *answered,
                                 struct tacit_error *error);

#endif
