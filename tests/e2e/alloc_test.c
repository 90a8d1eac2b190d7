// SPDX-License-Identifier: Apache-2.0
//
// Once it runs, a replica's protocol thread allocates nothing: not for requests, batches,
// connections of clients, or anything else. This program's own malloc family counts calls of that
// thread.
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "apps/kv/kv.h"
#include "e2e.h"
#include "tacit/replica.h"

#define EXECUTED_LEAST 2000u

// The C library's own, under the names that it gives them for this purpose.
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void __libc_free(void *memory);

static _Thread_local bool is_watched;
static atomic_uint allocations;

static void note(void)
{
    if (is_watched) {
        atomic_fetch_add(&allocations, 1);
    }
}

void *malloc(size_t bytes)
{
    note();
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    note();
    return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    note();
    return __libc_realloc(memory, bytes);
}

void free(void *memory)
{
    if (memory != NULL) {
        note();
    }
    __libc_free(memory);
}

static void started(void *context)
{
    (void)context;
    is_watched = true;
}

struct member {
    char path[TACIT_CONFIG_PATH_BYTES];
    struct tacit_replica *replica;
    pthread_t thread;
    enum tacit_status status;
    struct tacit_error error;
    atomic_bool is_open;
};

static void *run_member(void *context)
{
    struct member *member = context;
    const struct tacit_replica_options options = {
        .node_path = member->path, .app = &tacit_kv_app, .started = started};
    member->status = tacit_replica_open(&options, &member->replica, &member->error);
    atomic_store(&member->is_open, true);
    if (member->status == TACIT_OK) {
        member->status = tacit_replica_run(member->replica, &member->error);
        is_watched = false; // its end may free
        tacit_replica_close(member->replica);
    }
    return NULL;
}

static void check_mode(enum tacit_config_mode mode)
{
    const struct local_plan plan = {.mode = mode,
                                    .replicas = 3,
                                    .memnodes = 1,
                                    .waiting = TACIT_CONFIG_ADAPTIVE,
                                    .arena_bytes = 4u << 20};
    struct tacit_error error;
    struct local *local = calloc(1, sizeof *local);
    struct member *members = calloc(3, sizeof *members);
    assert_non_null(local);
    assert_non_null(members);
    if (scratch_open(local, &plan, &error) != TACIT_OK) {
        fail_msg("%s", error.text);
    }
    // The hook sees what it is meant to see.
    void *(*volatile take)(size_t) = malloc; // or the compiler would reason about both calls
    void (*volatile give)(void *) = free;
    is_watched = true;
    give(take(10));
    is_watched = false;
    assert_int_equal(atomic_exchange(&allocations, 0), 2);

    for (unsigned i = 0; i < 3; i++) {
        local_path(local, members[i].path, "replica-%u.yaml", i);
        assert_int_equal(pthread_create(&members[i].thread, NULL, run_member, &members[i]), 0);
    }
    struct tacit_status_report report = {0};
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    bool led = false;
    while (!led && cli_now_ns() < end_ns) {
        for (unsigned i = 0; i < 3; i++) {
            if (atomic_load(&members[i].is_open) && members[i].status == TACIT_OK) {
                tacit_replica_status(members[i].replica, &report);
                led = led || report.role == TACIT_ROLE_LEADER;
            }
        }
        cli_sleep_ns(5000000);
    }
    assert_true(led);
    struct load *load = e2e_load(local);
    e2e_progress(load, 2 * EXECUTED_LEAST); // some are reads, which need not be executed
    e2e_verdict(load);
    uint64_t executed = 0;
    for (unsigned i = 0; i < 3; i++) {
        tacit_replica_status(members[i].replica, &report);
        executed = report.requests_executed > executed ? report.requests_executed : executed;
        tacit_replica_stop(members[i].replica);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(members[i].thread, NULL), 0);
        assert_int_equal(members[i].status, TACIT_OK);
    }
    assert_true(executed >= EXECUTED_LEAST);
    assert_int_equal(atomic_load(&allocations), 0);
    free(members);
    e2e_cluster_end(local);
}

static void test_no_allocation_on_the_protocol_thread(void **state)
{
    (void)state;
    check_mode(TACIT_CONFIG_CRASH);
}

static void test_nor_in_byzantine_mode(void **state)
{
    (void)state;
    check_mode(TACIT_CONFIG_BYZANTINE);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_allocation_on_the_protocol_thread),
                                       cmocka_unit_test(test_nor_in_byzantine_mode)};
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
