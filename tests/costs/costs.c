// SPDX-License-Identifier: Apache-2.0
//
// What requests cost a group to which nothing happens, in operations of the fabric: the same on any
// machine. costs.sh runs it, also under callgrind, and compares with what was recorded.
//
//   costs crash|byzantine IN_FLIGHT REQUESTS [BYTES [REPLICAS]]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_direct.h"

#define WARM_UP 256u // the same in all runs: the difference of two is free of it

static bool number(const char *text, unsigned long lowest, unsigned long highest, uint32_t *out)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    *out = (uint32_t)value;
    return *text != '\0' && *end == '\0' && value >= lowest && value <= highest;
}

static void print(const char *what, uint64_t count, uint64_t requests)
{
    (void)printf("%s %.3f\n", what, (double)count / (double)requests);
}

int main(int argc, char **argv)
{
    struct sim_direct_counts counts;
    struct tacit_error error;
    uint32_t requests = 0, replicas = 3;
    struct sim_direct_shape shape = {.memnodes = 3,
                                     .bytes = 64,
                                     .fabric = {.write_ns = 900,
                                                .completion_ns = 1200,
                                                .read_ns = 1800,
                                                .megabits_per_s = 100000,
                                                .sign_ns = 30000,
                                                .verify_ns = 80000}};
    bool ok = argc >= 4 && argc <= 6 &&
              (strcmp(argv[1], "crash") == 0 || strcmp(argv[1], "byzantine") == 0) &&
              number(argv[2], 1, SIM_DIRECT_FLIGHT_MAX, &shape.in_flight) &&
              number(argv[3], 1, 1000000, &requests) &&
              (argc < 5 || number(argv[4], 8, SIM_DIRECT_BYTES_MAX, &shape.bytes)) &&
              (argc < 6 || number(argv[5], 3, 7, &replicas));
    if (!ok) {
        (void)fprintf(stderr,
                      "usage: costs crash|byzantine IN_FLIGHT REQUESTS [BYTES [REPLICAS]]: "
                      "1 to %u, up to 1000000, 8 to %u, 3 to 7\n",
                      SIM_DIRECT_FLIGHT_MAX, SIM_DIRECT_BYTES_MAX);
        return 2;
    }
    shape.replicas = (uint8_t)replicas;
    shape.engine = strcmp(argv[1], "crash") == 0 ? TACIT_ENGINE_CRASH : TACIT_ENGINE_BYZANTINE;
    shape.memnodes = shape.engine == TACIT_ENGINE_CRASH ? 0 : 3;
    struct sim_direct *direct = sim_direct_open(&shape, &error);
    if (direct == NULL || !sim_direct_run(direct, WARM_UP, NULL, NULL, &counts, &error) ||
        !sim_direct_run(direct, requests, NULL, NULL, &counts, &error)) {
        (void)fprintf(stderr, "costs: %s\n", error.text);
        sim_direct_close(direct);
        return 1;
    }
    print("batches", counts.batches, counts.requests);
    print("turns", counts.turns, counts.requests);
    print("writes", counts.writes, counts.requests);
    print("write_bytes", counts.write_bytes, counts.requests);
    print("reads", counts.reads, counts.requests);
    print("client_writes", counts.client_writes, counts.requests);
    print("decided_slow", counts.decided_slow, counts.requests);
    sim_direct_close(direct);
    return 0;
}
