// SPDX-License-Identifier: Apache-2.0
//
// tacit bench replace: kills a member for good, under clients' traffic, and waits until a spare has
// its place; again and again. The one that was killed is started again and added, so that it is the
// next round's spare.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_cluster.h"
#include "bench_options.h"
#include "cli.h"
#include "kv/kv_wire.h"
#include "tacit/client.h"

#define READY_NS UINT64_C(30000000000)
#define REST_NS UINT64_C(200000000) // of good traffic before each death
#define LOOK_NS 1000000u
#define SEAT 0u
#define VALUE_BYTES 3072u
#define ARENA_MIB 64u

struct arguments {
    enum tacit_config_mode mode;
    uint64_t count, fill_mib, after_ms;
    bool memnode;
    const char *json;
};

struct results {
    // All after the kill, without replace_after.
    struct histogram detected, decided, served, fast;
    uint64_t operations, lost, wrong;
    json_t *samples;
};

// After the kill of one death, without replace_after; 0: not seen.
struct sample {
    uint64_t detected_ns, decided_ns, served_ns, fast_ns;
};

static const struct bench_option options[] = {
    BENCH_MODE,
    BENCH_EITHER(memnode, "victim", "WHO", "replica", "memnode", "replica (default) or memnode"),
    BENCH_NUMBER(count, "count", "N", 1, 200, "Deaths, 1 to 200 (default 10)"),
    BENCH_NUMBER(after_ms, "replace-after", "MS", 50, 60000,
                 "timing.replace_after, 50 to 60000 (default 500)"),
    BENCH_NUMBER(fill_mib, "fill", "MIB", 0, 1024, "State of the store, 0 to 1024 (default 0)"),
    BENCH_JSON,
    {0},
};

// ---- state to transfer -------------------------------------------------------------------------

static enum tacit_status fill(const struct local *local, uint64_t mib, struct tacit_error *error)
{
    static uint8_t value[VALUE_BYTES];
    char node[TACIT_CONFIG_PATH_BYTES];
    struct tacit_channel *channel = NULL;
    uint32_t session = 0;
    local_path(local, node, "client-%u.yaml", LOCAL_PROBE_CLIENT);
    struct tacit_channel_options options_of_client = {.node_path = node};
    enum tacit_status status = tacit_channel_open(&options_of_client, &channel, error);
    if (status == TACIT_OK) {
        status = tacit_channel_connect(channel, READY_NS, &session, error);
    }
    for (uint64_t i = 0; status == TACIT_OK && i < mib * (1u << 20) / VALUE_BYTES; i++) {
        uint8_t request[VALUE_BYTES + 256];
        uint8_t answer[256];
        char key[32];
        struct tacit_channel_reply reply = {.bytes = answer, .max = sizeof answer};
        (void)snprintf(key, sizeof key, "fill-%llu", (unsigned long long)i);
        value[i % VALUE_BYTES] = (uint8_t)i; // pages differ
        struct tacit_kv_span words[] = {{(const uint8_t *)key, (uint32_t)strlen(key)},
                                        {value, sizeof value}};
        size_t bytes = tacit_kv_request_encode(request, sizeof request, TACIT_KV_SET, words, 2);
        status = tacit_channel_call(channel, session, request, bytes, READY_NS, &reply);
        if (status != TACIT_OK) {
            (void)tacit_error_set(error, status, 0, "filling the store: a SET failed (%s)",
                                  tacit_status_name(status));
        } else if (scratch_interrupted()) {
            status = tacit_error_set(error, TACIT_ECLOSED, 0, "interrupted");
        }
    }
    tacit_channel_close(channel);
    return status;
}

// ---- one death ---------------------------------------------------------------------------------

// A report of who leads, or of any other replica that answers and is no victim.
static json_t *witness(const struct local *local)
{
    json_t *report = NULL;
    for (uint16_t r = SEAT + 1; r < local->config.replica_count && report == NULL; r++) {
        report = local_status(local, r);
    }
    return report;
}

static tacit_incarnation_t member_of(const json_t *report, bool memnode)
{
    const json_t *members = json_object_get(report, memnode ? "memnode_members" : "members");
    return (tacit_incarnation_t)json_integer_value(json_array_get(members, SEAT));
}

static bool says_dead(const json_t *report, bool memnode)
{
    const json_t *dead = json_object_get(report, "seats_dead");
    json_int_t node = memnode ? TACIT_NODE_MEMNODE + (json_int_t)SEAT : (json_int_t)SEAT;
    bool found = false;
    for (size_t i = 0; i < json_array_size(dead); i++) {
        found = found || json_integer_value(json_array_get(dead, i)) == node;
    }
    return found;
}

// Whether the new member takes part: a replica says so itself, of a memory node the others do.
static bool serves(const struct local *local, bool memnode)
{
    if (!memnode) {
        return (local_members(local) >> SEAT & 1u) != 0;
    }
    uint32_t hosts =
        local_is_byzantine(local) ? local_counted_memnodes(local) : local_counted_hosts(local);
    return (hosts >> SEAT & 1u) != 0;
}

static struct local_node node_of(tacit_incarnation_t incarnation, bool memnode)
{
    uint16_t body = (uint16_t)tacit_incarnation_body(incarnation);
    if (body == 0) {
        return (struct local_node){memnode ? LOCAL_MEMNODE : LOCAL_REPLICA, SEAT};
    }
    return (struct local_node){memnode ? LOCAL_SPARE_MEMNODE : LOCAL_SPARE_REPLICA, body};
}

// A time after the kill as it is counted: replace_after is what was configured.
static uint64_t counted(uint64_t killed_ns, uint64_t after_ns)
{
    uint64_t took_ns = cli_now_ns() - killed_ns;
    return took_ns > after_ns ? took_ns - after_ns : 1;
}

static enum tacit_status wait_replaced(const struct local *local, const struct arguments *arguments,
                                       tacit_incarnation_t before, uint64_t killed_ns,
                                       struct sample *sample, struct tacit_error *error)
{
    uint64_t after_ns = arguments->after_ms * 1000000u;
    while (cli_now_ns() < killed_ns + after_ns + READY_NS && !scratch_interrupted()) {
        json_t *report = witness(local);
        if (sample->detected_ns == 0 && says_dead(report, arguments->memnode)) {
            sample->detected_ns = counted(killed_ns, after_ns);
        }
        if (sample->decided_ns == 0 && report != NULL &&
            tacit_incarnation_generation(member_of(report, arguments->memnode)) >
                tacit_incarnation_generation(before)) {
            sample->decided_ns = counted(killed_ns, after_ns);
        }
        json_decref(report);
        if (sample->decided_ns != 0 && serves(local, arguments->memnode)) {
            sample->served_ns = counted(killed_ns, after_ns);
            return TACIT_OK;
        }
        cli_sleep_ns(LOOK_NS);
    }
    return scratch_interrupted() ? tacit_error_set(error, TACIT_ECLOSED, 0, "interrupted")
                                 : tacit_error_set(error, TACIT_ETIMEDOUT, 0,
                                                   "nobody took the place of the one that died");
}

static void note(struct results *results, const struct sample *sample)
{
    const struct {
        const char *key;
        uint64_t ns;
        struct histogram *histogram;
    } parts[] = {{"detected_ns", sample->detected_ns, &results->detected},
                 {"decided_ns", sample->decided_ns, &results->decided},
                 {"served_ns", sample->served_ns, &results->served},
                 {"fast_path_ns", sample->fast_ns, &results->fast}};
    json_t *object = json_object();
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].ns != 0) {
            histogram_add(parts[i].histogram, parts[i].ns);
            (void)json_object_set_new(object, parts[i].key, json_integer((json_int_t)parts[i].ns));
        }
    }
    (void)json_array_append_new(results->samples, object);
}

// A living member that was taken for dead has used up the spare that a death is to be waited for
// with.
static enum tacit_status expect_spare(const struct local *local, const struct arguments *arguments,
                                      uint64_t deaths, struct tacit_error *error)
{
    json_t *report = witness(local);
    uint64_t changes = 0;
    const json_t *members =
        json_object_get(report, arguments->memnode ? "memnode_members" : "members");
    for (size_t i = 0; i < json_array_size(members); i++) {
        changes += tacit_incarnation_generation(
            (tacit_incarnation_t)json_integer_value(json_array_get(members, i)));
    }
    json_decref(report);
    return changes <= deaths
               ? TACIT_OK
               : tacit_error_set(error, TACIT_EBUSY, 0,
                                 "a living member was taken for dead and replaced: this machine is "
                                 "too busy for --replace-after %llu",
                                 (unsigned long long)arguments->after_ms);
}

static enum tacit_status one_death(struct local *local, const struct arguments *arguments,
                                   struct results *results, struct tacit_error *error)
{
    struct sample sample = {0};
    json_t *report = witness(local);
    tacit_incarnation_t before = member_of(report, arguments->memnode);
    json_decref(report);
    struct local_node victim = node_of(before, arguments->memnode);
    char name[TACIT_CONFIG_NAME_BYTES];
    local_name(victim, name);
    enum tacit_status status = local_signal(local, victim, SIGKILL, error);
    uint64_t killed_ns = cli_now_ns();
    if (status == TACIT_OK) {
        status = wait_replaced(local, arguments, before, killed_ns, &sample, error);
    }
    if (status == TACIT_OK && local_is_byzantine(local)) {
        uint64_t took_ns = local_wait_fast(local, READY_NS);
        if (took_ns == 0) {
            return tacit_error_set(error, TACIT_ETIMEDOUT, 0, "the fast path did not come back");
        }
        // The slots that show it came after it.
        sample.fast_ns = counted(killed_ns, arguments->after_ms * 1000000u);
    }
    if (status == TACIT_OK) {
        note(results, &sample);
    }
    if (status == TACIT_OK) { // the next spare
        (void)local_wait_gone(local, victim, READY_NS);
        status = local_start(local, victim, error);
    }
    if (status == TACIT_OK && cli_member_add(local->directory, name) != 0) {
        status = tacit_error_set(error, TACIT_EIO, 0, "%s could not be added again", name);
    }
    return status;
}

static enum tacit_status deaths(struct local *local, const struct arguments *arguments,
                                struct results *results, struct tacit_error *error)
{
    struct load *load = NULL;
    enum tacit_status status = load_start(&load, local, 1, 0, error);
    if (status != TACIT_OK) {
        return status;
    }
    for (uint64_t i = 0; status == TACIT_OK && i < arguments->count; i++) {
        cli_sleep_ns(REST_NS);
        status = scratch_interrupted() ? tacit_error_set(error, TACIT_ECLOSED, 0, "interrupted")
                                       : expect_spare(local, arguments, i, error);
        if (status == TACIT_OK) {
            status = one_death(local, arguments, results, error);
        }
    }
    struct audit audit;
    status = scratch_interrupted() ? TACIT_OK : status; // what was measured so far counts
    status = bench_cluster_judge(load, status, &audit, error);
    results->operations = audit.operations;
    results->lost = audit.lost;
    results->wrong = !audit.linearizable;
    load_free(load);
    return status;
}

static enum tacit_status run(const struct arguments *arguments, struct results *results,
                             struct tacit_error *error)
{
    struct local *local = calloc(1, sizeof *local);
    struct local_plan plan = {
        .replicas = 3,
        .memnodes = arguments->mode == TACIT_CONFIG_BYZANTINE || arguments->memnode ? 3 : 0,
        .spare_replicas = arguments->memnode ? 0 : 1,
        .spare_memnodes = arguments->memnode ? 1 : 0,
        .replace_after_ns = arguments->after_ms * 1000000u,
        .mode = arguments->mode,
        .log_on = arguments->memnode && arguments->mode == TACIT_CONFIG_CRASH
                      ? TACIT_CONFIG_LOG_ON_MEMNODES
                      : TACIT_CONFIG_LOG_ON_REPLICAS,
        .waiting = TACIT_CONFIG_ADAPTIVE,
        .arena_bytes = (ARENA_MIB + 2 * arguments->fill_mib) << 20};
    if (local == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, 0, "no memory");
    }
    enum tacit_status status =
        bench_cluster_open(local, &plan, (struct bench_service){.app = NULL}, error);
    if (status != TACIT_OK) {
        free(local);
        return status;
    }
    if (arguments->fill_mib != 0) {
        status = fill(local, arguments->fill_mib, error);
    }
    if (status == TACIT_OK) {
        status = deaths(local, arguments, results, error);
    }
    scratch_close(local);
    free(local);
    return status;
}

static json_t *report_results(const struct results *results)
{
    const struct {
        const char *name, *what;
        const struct histogram *histogram;
    } rows[] = {{"detected", "seen dead for replace_after", &results->detected},
                {"decided", "a spare is the member", &results->decided},
                {"served", "and takes part", &results->served},
                {"fast_path", "fast path shown again", &results->fast}};
    json_t *object = json_object();
    bench_print_head("us after replace_after");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (histogram_total(rows[i].histogram) != 0) {
            bench_print(rows[i].what, rows[i].histogram);
        }
        (void)json_object_set_new(object, rows[i].name, bench_distribution(rows[i].histogram));
    }
    (void)printf("%llu requests acknowledged, %llu lost%s\n",
                 (unsigned long long)results->operations, (unsigned long long)results->lost,
                 results->wrong != 0 ? "; their answers contradict each other" : "");
    bench_put(object, "acknowledged", results->operations);
    bench_put(object, "lost", results->lost);
    bench_put(object, "wrong", results->wrong);
    (void)json_object_set(object, "samples", results->samples);
    return object;
}

int bench_replace(int argc, char **argv)
{
    struct arguments arguments = {.count = 10, .after_ms = 500};
    struct tacit_error error;
    if (bench_parse(options,
                    "How long it takes until a spare has the place of a member that died for good.",
                    argc, argv, &arguments) != 0) {
        return 2;
    }
    struct results *results = calloc(1, sizeof *results);
    if (results == NULL) {
        return cli_complain("no memory");
    }
    results->samples = json_array();
    enum tacit_status status = run(&arguments, results, &error);
    int result = status == TACIT_OK ? 0 : cli_fail(&error);
    if (status == TACIT_OK || json_array_size(results->samples) != 0) {
        result |= bench_write(arguments.json, "replace", report_results(results));
    }
    result |= results->lost + results->wrong != 0;
    json_decref(results->samples);
    free(results);
    return result;
}
