// SPDX-License-Identifier: Apache-2.0
//
// See e2e.h.
#include "e2e.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define LOOK_NS 2000000u

static struct tacit_error last_error;
// How long the present cluster is waited for: where an operation takes long, longer.
static uint64_t patience_ns = E2E_READY_NS;

static uint64_t end_of_patience(void)
{
    return cli_now_ns() + patience_ns;
}

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
    patience_ns = local_patience_ns(local) > E2E_READY_NS ? local_patience_ns(local) : E2E_READY_NS;
    return local;
}

void e2e_start(struct local *local)
{
    enum tacit_status status = local_up(local, &last_error);
    if (status == TACIT_OK &&
        !local_wait_members(local, (1u << local->config.replica_count) - 1, patience_ns)) {
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
    uint64_t end_ns = end_of_patience();
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
    uint64_t end_ns = end_of_patience();
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

// ---- members that are replaced
// ---------------------------------------------------------------------------------

void e2e_kill(const struct local *local, struct local_node node)
{
    require(local_signal(local, node, SIGKILL, &last_error), "SIGKILL");
    assert_true(local_wait_gone(local, node, E2E_READY_NS));
}

void e2e_wait_sitter(const struct local *local, uint16_t seat, struct local_node wanted)
{
    uint64_t end_ns = end_of_patience();
    for (;;) {
        struct local_node now = local_sitter(local, seat);
        bool member = (local_members(local) >> seat & 1u) != 0;
        if (member && now.kind == wanted.kind && now.id == wanted.id) {
            return;
        }
        if (cli_now_ns() > end_ns) {
            char name[TACIT_CONFIG_NAME_BYTES];
            local_name(wanted, name);
            fail_msg("%s is not in the seat of replica %u", name, seat);
        }
        cli_sleep_ns(LOOK_NS);
    }
}

static bool has_line(const char *path, const char *text)
{
    char line[1024];
    bool found = false;
    FILE *file = fopen(path, "re");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        found = strstr(line, text) != NULL;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return found;
}

void e2e_wait_log(const struct local *local, const char *name, const char *text)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    uint64_t end_ns = end_of_patience();
    local_path(local, path, "log/%s.log", name);
    while (!has_line(path, text)) {
        if (cli_now_ns() > end_ns) {
            fail_msg("%s never said \"%s\"", name, text);
        }
        cli_sleep_ns(LOOK_NS);
    }
}

void e2e_wait_hosts(const struct local *local)
{
    uint64_t end_ns = end_of_patience();
    uint32_t hosts = 0;
    while (hosts != 7 && cli_now_ns() < end_ns) {
        hosts =
            local_is_byzantine(local) ? local_counted_memnodes(local) : local_counted_hosts(local);
        cli_sleep_ns(LOOK_NS);
    }
    assert_int_equal(hosts, 7);
}
