// SPDX-License-Identifier: Apache-2.0
//
// See e2e.h.
#include "e2e.h"

#include <stdio.h>

#define LOOK_NS 2000000u

static struct tacit_error last_error;

void e2e_begin(int argc, char **argv)
{
    struct tacit_error error;
    char path[4096];
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const char *build = getenv("TACIT_BINARY_DIR");
    (void)snprintf(path, sizeof path, "%s/apps", build != NULL ? build : ".");
    (void)setenv("TACIT_PROGRAMS", path, 0);
    if (tacit_crypto_init(&error) != TACIT_OK) {
        abort();
    }
}

static void require(enum tacit_status status, const char *what)
{
    if (status != TACIT_OK) {
        fail_msg("%s: %s", what, last_error.text);
    }
}

struct local *e2e_make(const struct local_plan *plan, bool gateway)
{
    struct local *local = calloc(1, sizeof *local);
    assert_non_null(local);
    require(scratch_open(local, plan, &last_error), "making a cluster");
    local->port = gateway ? scratch_port() : 0;
    return local;
}

void e2e_start(struct local *local)
{
    enum tacit_status status = local_up(local, &last_error);
    if (status == TACIT_OK &&
        !local_wait_members(local, (1u << local->config.replica_count) - 1, E2E_READY_NS)) {
        status = tacit_error_set(&last_error, TACIT_ETIMEDOUT, 0, "not every replica is a member");
    }
    if (status != TACIT_OK) {
        scratch_close(local);
        free(local);
    }
    require(status, "starting the cluster");
}

struct local *e2e_cluster(const struct local_plan *plan, bool gateway)
{
    struct local *local = e2e_make(plan, gateway);
    e2e_start(local);
    return local;
}

void e2e_cluster_end(struct local *local)
{
    scratch_close(local);
    free(local);
}

struct load *e2e_load(const struct local *local)
{
    struct load *load = NULL;
    require(load_start(&load, local, E2E_CLIENTS, 0, &last_error), "starting clients");
    return load;
}

void e2e_verdict(struct load *load)
{
    require(load_stop(load, &last_error), "a client");
    struct audit audit = audit_run(load);
    print_message("%llu operations, %llu lost%s%s\n", (unsigned long long)audit.operations,
                  (unsigned long long)audit.lost, audit.linearizable ? "" : ": ", audit.text);
    load_free(load);
    assert_true(audit.operations > 100);
    assert_int_equal(audit.lost, 0);
    assert_true(audit.linearizable);
}

uint16_t e2e_hit_leader(const struct local *local, int signal_number)
{
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    int leader = -1;
    bool may_fail = false;
    while ((leader < 0 || !may_fail) && cli_now_ns() < end_ns) {
        may_fail = local_may_fail(local);
        leader = local_leader(local);
        cli_sleep_ns(may_fail ? 0 : LOOK_NS);
    }
    assert_true(leader >= 0);
    assert_true(may_fail); // the claim that is tested is about at most f
    require(local_signal(local, e2e_replica((uint16_t)leader), signal_number, &last_error),
            "signal");
    return (uint16_t)leader;
}

void e2e_progress(const struct load *load, uint64_t more)
{
    uint64_t before = load_acknowledged(load);
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    while (load_acknowledged(load) < before + more) {
        if (load_failed(load) || cli_now_ns() > end_ns) {
            fail_msg("clients make no progress: %llu operations, %llu before",
                     (unsigned long long)load_acknowledged(load), (unsigned long long)before);
        }
        cli_sleep_ns(LOOK_NS);
    }
}

void e2e_bring_back(struct local *local, uint16_t replica)
{
    struct tacit_error error = {.text = ""};
    if (scratch_readmit(local, replica, E2E_READY_NS, &error) == 0) {
        fail_msg("%s", error.text);
    }
}

struct local_node e2e_replica(uint16_t id)
{
    return (struct local_node){LOCAL_REPLICA, id};
}

uint64_t e2e_number(const struct local *local, uint16_t replica, const char *section,
                    const char *key)
{
    json_t *report = local_status(local, replica);
    assert_non_null(report);
    uint64_t number = local_number(report, section, key);
    json_decref(report);
    return number;
}
