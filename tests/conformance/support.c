// SPDX-License-Identifier: Apache-2.0
//
// What the conformance cases share, and the runner.
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_NS 500000u
#define PATIENCE_NS UINT64_C(5000000000)
#define EVENTS_KEPT 16384u
#define NAMES_MAX 192u

static struct {
    struct conf_request request;
    struct conf_reply reply;
    struct tacit_event events[NAMES_MAX][EVENTS_KEPT / 16];
    size_t counts[NAMES_MAX];
    uint64_t cookie;
} state;

void conf_reset(void)
{
    memset(&state, 0, sizeof state);
}

struct conf_request *conf_request(uint32_t call)
{
    memset(&state.request, 0, sizeof state.request);
    state.request.call = call;
    return &state.request;
}

const struct conf_reply *conf_call(struct conf_harness *harness, tacit_node_t at,
                                   const struct conf_request *request)
{
    uint32_t call = request->call;
    if (!harness->call(harness, at, request, &state.reply)) {
        fail_msg("node %u did not answer call %u", at, call);
    }
    return &state.reply;
}

static void events_fetch(struct conf_harness *harness, tacit_node_t at)
{
    const struct conf_reply *reply = conf_call(harness, at, conf_request(CONF_EVENTS));
    assert_true(reply->ok);
    assert_true(state.counts[at] + reply->events_count <= EVENTS_KEPT / 16);
    memcpy(&state.events[at][state.counts[at]], reply->events,
           reply->events_count * sizeof reply->events[0]);
    state.counts[at] += reply->events_count;
}

static bool event_find(tacit_node_t at, uint8_t kind, tacit_node_t node, uint64_t cookie,
                       struct tacit_event *event)
{
    for (size_t i = 0; i < state.counts[at]; i++) {
        struct tacit_event *seen = &state.events[at][i];
        if (seen->kind != kind || (node != TACIT_NODE_NONE && seen->node != node) ||
            (kind == TACIT_EVENT_COMPLETION && cookie != 0 && seen->cookie != cookie)) {
            continue;
        }
        *event = *seen;
        state.counts[at]--;
        memmove(seen, seen + 1, (state.counts[at] - i) * sizeof *seen);
        return true;
    }
    return false;
}

static bool event_within(struct conf_harness *harness, tacit_node_t at, uint8_t kind,
                         tacit_node_t node, uint64_t cookie, tacit_time_ns_t within_ns,
                         struct tacit_event *event)
{
    for (tacit_time_ns_t waited_ns = 0;; waited_ns += STEP_NS) {
        events_fetch(harness, at);
        if (event_find(at, kind, node, cookie, event)) {
            return true;
        }
        if (waited_ns >= within_ns) {
            return false;
        }
        harness->step(harness, STEP_NS);
    }
}

bool conf_event_within(struct conf_harness *harness, tacit_node_t at, uint8_t kind,
                       tacit_node_t node, tacit_time_ns_t within_ns, struct tacit_event *event)
{
    return event_within(harness, at, kind, node, 0, within_ns, event);
}

struct tacit_event conf_expect(struct conf_harness *harness, tacit_node_t at, uint8_t kind,
                               tacit_node_t node)
{
    struct tacit_event event = {0};
    if (!conf_event_within(harness, at, kind, node, PATIENCE_NS, &event)) {
        fail_msg("node %u never saw event %u of node %u", at, kind, node);
    }
    return event;
}

struct tacit_event conf_expect_change(struct conf_harness *harness, tacit_node_t at,
                                      tacit_node_t node)
{
    for (tacit_time_ns_t waited_ns = 0; waited_ns < PATIENCE_NS; waited_ns += STEP_NS) {
        events_fetch(harness, at);
        for (size_t i = 0; i < state.counts[at]; i++) {
            struct tacit_event event = state.events[at][i];
            if (event.node != node ||
                (event.kind != TACIT_EVENT_UP && event.kind != TACIT_EVENT_DOWN)) {
                continue;
            }
            assert_true(event_find(at, event.kind, node, 0, &event));
            return event;
        }
        harness->step(harness, STEP_NS);
    }
    fail_msg("node %u saw neither UP nor DOWN of node %u", at, node);
    return (struct tacit_event){0};
}

void conf_start(struct conf_harness *harness, tacit_node_t name, tacit_incarnation_t incarnation)
{
    state.counts[name] = 0;
    if (!harness->start(harness, (struct conf_node){.name = name, .incarnation = incarnation})) {
        fail_msg("node %u did not start", name);
    }
}

void conf_start_all(struct conf_harness *harness)
{
    static const tacit_node_t names[] = {CONF_MEMNODE, 0, 1, 2};
    for (size_t i = 0; i < 4; i++) {
        conf_start(harness, names[i], 1);
    }
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 4; k++) {
            if (i != k) {
                (void)conf_expect(harness, names[i], TACIT_EVENT_UP, names[k]);
            }
        }
    }
}

struct tacit_region_key conf_key(uint8_t region_class, tacit_node_t owner,
                                 tacit_incarnation_t incarnation)
{
    return (struct tacit_region_key){
        .region_class = region_class, .owner = owner, .incarnation = incarnation};
}

int32_t conf_region(struct conf_harness *harness, tacit_node_t at, tacit_node_t host,
                    struct tacit_region_key key)
{
    struct conf_request *request = conf_request(CONF_REGION);
    request->host = host;
    request->key = key;
    return (int32_t)(int64_t)conf_call(harness, at, request)->value;
}

int32_t conf_region_wait(struct conf_harness *harness, tacit_node_t at, tacit_node_t host,
                         struct tacit_region_key key)
{
    for (tacit_time_ns_t waited_ns = 0; waited_ns < PATIENCE_NS; waited_ns += STEP_NS) {
        int32_t region = conf_region(harness, at, host, key);
        if (region >= 0) {
            return region;
        }
        harness->step(harness, STEP_NS);
    }
    fail_msg("node %u never learned of region {%u, %u, %u} at %u", at, key.region_class, key.owner,
             key.incarnation, host);
    return -1;
}

static struct conf_request *post_request(struct conf_access access, uint8_t kind, uint32_t words)
{
    struct conf_request *request = conf_request(CONF_POST);
    request->op = (struct tacit_op){
        .kind = kind,
        .plane = TACIT_PLANE_DATA,
        .flags = access.flags,
        .host = access.host,
        .region = access.region,
        .bytes = 8 * words,
        .offset = access.offset,
        .generation = access.generation,
        .cookie = TACIT_COOKIE(TACIT_COOKIE_ENGINE, ++state.cookie),
    };
    return request;
}

static enum tacit_completion completion(struct conf_harness *harness, tacit_node_t at)
{
    struct tacit_event event;
    uint64_t cookie = TACIT_COOKIE(TACIT_COOKIE_ENGINE, state.cookie);
    if (!event_within(harness, at, TACIT_EVENT_COMPLETION, TACIT_NODE_NONE, cookie, PATIENCE_NS,
                      &event)) {
        fail_msg("node %u: an operation never completed", at);
    }
    return event.status;
}

enum tacit_completion conf_write(struct conf_harness *harness, struct conf_access access,
                                 uint64_t value, uint32_t words)
{
    struct conf_request *request = post_request(access, TACIT_OP_WRITE, words);
    for (uint32_t i = 0; i < words; i++) {
        memcpy(request->data + 8u * i, &value, 8);
    }
    assert_true(conf_call(harness, access.at, request)->ok);
    return completion(harness, access.at);
}

enum tacit_completion conf_read(struct conf_harness *harness, struct conf_access access,
                                uint64_t *value)
{
    assert_true(conf_call(harness, access.at, post_request(access, TACIT_OP_READ, 1))->ok);
    enum tacit_completion status = completion(harness, access.at);
    memcpy(value, conf_call(harness, access.at, conf_request(CONF_READ_RESULT))->data,
           sizeof *value);
    return status;
}

static struct conf_request *local_request(uint32_t call, struct tacit_region_key key,
                                          uint64_t offset)
{
    struct conf_request *request = conf_request(call);
    request->key = key;
    request->offset = offset;
    request->bytes = 8;
    return request;
}

uint64_t conf_local(struct conf_harness *harness, tacit_node_t at, struct tacit_region_key key,
                    uint64_t offset)
{
    const struct conf_reply *reply =
        conf_call(harness, at, local_request(CONF_LOCAL_READ, key, offset));
    uint64_t value;
    assert_int_equal(reply->value, 1);
    memcpy(&value, reply->data, sizeof value);
    return value;
}

void conf_local_write(struct conf_harness *harness, tacit_node_t at, struct tacit_region_key key,
                      uint64_t offset, uint64_t value)
{
    struct conf_request *request = local_request(CONF_LOCAL_WRITE, key, offset);
    memcpy(request->data, &value, sizeof value);
    assert_int_equal(conf_call(harness, at, request)->value, 1);
}

size_t conf_local_size(struct conf_harness *harness, tacit_node_t at, struct tacit_region_key key)
{
    return conf_call(harness, at, local_request(CONF_LOCAL_SIZE, key, 0))->value;
}

void conf_grant(struct conf_harness *harness, tacit_node_t host, tacit_node_t holder,
                tacit_incarnation_t incarnation, uint64_t generation)
{
    struct conf_request *request = conf_request(CONF_GRANT);
    request->host = holder;
    request->incarnation = incarnation;
    request->generation = generation;
    (void)conf_call(harness, host, request);
    struct tacit_event event = conf_expect(harness, host, TACIT_EVENT_GRANTED, TACIT_NODE_NONE);
    assert_int_equal(event.generation, generation);
}

void conf_revoke(struct conf_harness *harness, tacit_node_t host, uint64_t generation)
{
    struct conf_request *request = conf_request(CONF_REVOKE);
    request->generation = generation;
    (void)conf_call(harness, host, request);
    struct tacit_event event = conf_expect(harness, host, TACIT_EVENT_REVOKED, TACIT_NODE_NONE);
    assert_int_equal(event.generation, generation);
}

// ---- runner ----

static struct conf_harness *tested;

static int case_open(void **context)
{
    const char *reason = "";
    (void)context;
    conf_reset();
    if (!tested->open(tested, &reason)) {
        print_message("%s: cannot run here: %s\n", tested->name, reason);
        return -1;
    }
    return 0;
}

static int case_close(void **context)
{
    (void)context;
    if (tested->context != NULL) {
        tested->close(tested);
    }
    return 0;
}

static void case_run(void **context)
{
    const struct conf_case *what = *context;
    what->run(tested);
}

static size_t cases_add(struct CMUnitTest *tests, const struct conf_case *cases, size_t count,
                        bool long_ones, const char *only)
{
    size_t added = 0;
    for (size_t i = 0; i < count; i++) {
        const struct conf_case *what = &cases[i];
        if (only != NULL ? strcmp(only, what->name) != 0 : what->is_long != long_ones) {
            continue;
        }
        if ((what->needs & ~tested->can) != 0) {
            print_message("[  SKIPPED ] %s: %s cannot do what it needs (%#x)\n", what->name,
                          tested->name, what->needs & ~tested->can);
            continue;
        }
        union {
            const struct conf_case *given;
            void *taken; // cmocka has no const here
        } argument = {.given = what};
        tests[added++] = (struct CMUnitTest){.name = what->name,
                                             .test_func = case_run,
                                             .setup_func = case_open,
                                             .teardown_func = case_close,
                                             .initial_state = argument.taken};
    }
    return added;
}

int tacit_conformance_run(struct conf_harness *harness, bool long_ones, const char *only)
{
    static struct CMUnitTest tests[64];
    tested = harness;
    const char *reason = "";
    if (!harness->open(harness, &reason)) {
        print_message("%s: skipped: %s\n", harness->name, reason);
        if (harness->context != NULL) {
            harness->close(harness);
        }
        return 77;
    }
    harness->close(harness);
    size_t count = cases_add(tests, conf_basic_cases, conf_basic_count, long_ones, only);
    count += cases_add(tests + count, conf_life_cases, conf_life_count, long_ones, only);
    count += cases_add(tests + count, conf_race_cases, conf_race_count, long_ones, only);
    if (count == 0) {
        return 77;
    }
    return _cmocka_run_group_tests(harness->name, tests, count, NULL, NULL);
}
