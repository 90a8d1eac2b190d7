// SPDX-License-Identifier: Apache-2.0
//
// What the conformance cases share: calls that must succeed, waiting for events, single operations.
#ifndef TACIT_TESTS_CONFORMANCE_SUPPORT_H
#define TACIT_TESTS_CONFORMANCE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conformance.h"

struct conf_case {
    const char *name;
    bool is_long;
    unsigned needs; // enum conf_can
    void (*run)(struct conf_harness *harness);
};
extern const struct conf_case conf_basic_cases[], conf_life_cases[], conf_race_cases[];
extern const size_t conf_basic_count, conf_life_count, conf_race_count;

// Forgets the events of an earlier case.
void conf_reset(void);
// Fails the case if the node does not answer. The reply stays valid until the next call.
const struct conf_reply *conf_call(struct conf_harness *harness, tacit_node_t at,
                                   const struct conf_request *request);
struct conf_request *conf_request(uint32_t call); // zeroed; one at a time

// Waits (5 s at most, then fails) for an event of this kind, and of this node unless that is
// TACIT_NODE_NONE, and takes it out of the node's events.
struct tacit_event conf_expect(struct conf_harness *harness, tacit_node_t at, uint8_t kind,
                               tacit_node_t node);
// True if such an event comes within `within_ns` (or is there already); takes it.
bool conf_event_within(struct conf_harness *harness, tacit_node_t at, uint8_t kind,
                       tacit_node_t node, tacit_time_ns_t within_ns, struct tacit_event *event);

// The earliest UP or DOWN of a node that was not taken yet; waits for it like conf_expect.
struct tacit_event conf_expect_change(struct conf_harness *harness, tacit_node_t at,
                                      tacit_node_t node);

void conf_start(struct conf_harness *harness, tacit_node_t name, tacit_incarnation_t incarnation);
// Memory node and replicas in incarnation 1; everybody has seen everybody UP.
void conf_start_all(struct conf_harness *harness);

struct tacit_region_key conf_key(uint8_t region_class, tacit_node_t owner,
                                 tacit_incarnation_t incarnation);
int32_t conf_region(struct conf_harness *harness, tacit_node_t at, tacit_node_t host,
                    struct tacit_region_key key);
// Waits until the region is known; fails after 5 s.
int32_t conf_region_wait(struct conf_harness *harness, tacit_node_t at, tacit_node_t host,
                         struct tacit_region_key key);

struct conf_access {
    tacit_node_t at, host;
    int32_t region;
    uint8_t flags;
    uint64_t generation;
    uint64_t offset;
};
// One operation of one or more words, and its completion. False from post is a failure of the case.
enum tacit_completion conf_write(struct conf_harness *harness, struct conf_access access,
                                 uint64_t value, uint32_t words);
enum tacit_completion conf_read(struct conf_harness *harness, struct conf_access access,
                                uint64_t *value);
// A word of an own region; fails if there is no such region.
uint64_t conf_local(struct conf_harness *harness, tacit_node_t at, struct tacit_region_key key,
                    uint64_t offset);
void conf_local_write(struct conf_harness *harness, tacit_node_t at, struct tacit_region_key key,
                      uint64_t offset, uint64_t value);
size_t conf_local_size(struct conf_harness *harness, tacit_node_t at, struct tacit_region_key key);

// Gives the log of `host` to `holder`, and takes it from whoever has it; waits for the host's
// event.
void conf_grant(struct conf_harness *harness, tacit_node_t host, tacit_node_t holder,
                tacit_incarnation_t incarnation, uint64_t generation);
void conf_revoke(struct conf_harness *harness, tacit_node_t host, uint64_t generation);

#endif
