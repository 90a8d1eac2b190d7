// SPDX-License-Identifier: Apache-2.0
//
// tacit status, tacit kv: asking a cluster something.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "kv/kv_wire.h"
#include "local.h"
#include "options.h"
#include "tacit/client.h"

#define CALL_NS UINT64_C(10000000000)

enum { KEY_JSON = 256, KEY_NODE };

struct arguments {
    const char *directory;
    const char *cluster;
    const char *node;
    bool json;
    struct cli_words words;
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'd':
        arguments->directory = value;
        return 0;
    case 'c':
        arguments->cluster = value;
        return 0;
    case KEY_JSON:
        arguments->json = true;
        return 0;
    case KEY_NODE:
        arguments->node = value;
        return 0;
    case ARGP_KEY_ARG:
        cli_option_append(state, &arguments->words, value, CLI_WORDS_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static struct arguments defaults(void)
{
    const char *from_environment = getenv("TACIT_DIR");
    return (struct arguments){.directory =
                                  from_environment != NULL ? from_environment : LOCAL_DIRECTORY};
}

// ---- status ------------------------------------------------------------------------------------

static void print_ids(const char *what, const json_t *list)
{
    size_t count = json_array_size(list);
    (void)printf("  %s:", what);
    for (size_t i = 0; i < count; i++) {
        (void)printf(" %lld", (long long)json_integer_value(json_array_get(list, i)));
    }
    (void)printf("%s\n", count == 0 ? " none" : "");
}

static unsigned long long of_engine(const json_t *report, const char *key)
{
    return local_number(report, "byzantine", key);
}

// Which memory nodes count, and which quorum is not there.
static void print_quorums(const json_t *report)
{
    const json_t *memnodes = json_object_get(report, "memnodes_up");
    size_t all = (size_t)local_number(report, NULL, "memnodes");
    size_t replicas = (size_t)local_number(report, NULL, "replicas");
    size_t connected = json_array_size(json_object_get(report, "up"));
    print_ids("memory nodes that count", memnodes);
    if (json_array_size(memnodes) < all / 2 + 1) {
        (void)printf("  QUORUM MISSING: %zu of %zu memory nodes count, the signed slow path needs "
                     "%zu; the fast path serves as long as all %zu replicas take part\n",
                     json_array_size(memnodes), all, all / 2 + 1, replicas);
    }
    if (connected < replicas / 2 + 1) {
        (void)printf("  QUORUM MISSING: %zu of %zu replicas are connected, %zu are needed\n",
                     connected, replicas, replicas / 2 + 1);
    }
}

// Paths, signatures and registers of Byzantine mode.
static void print_byzantine(const json_t *report)
{
    const json_t *engine = json_object_get(report, "byzantine");
    print_quorums(report);
    (void)printf("  view %llu%s, led by replica %llu; epoch %llu, slots below %llu are behind a "
                 "certified checkpoint\n",
                 of_engine(report, "view"),
                 json_is_true(json_object_get(engine, "entered")) ? "" : " (not entered yet)",
                 (unsigned long long)local_number(report, NULL, "leader"),
                 of_engine(report, "epoch"), of_engine(report, "window_base"));
    if (json_array_size(json_object_get(engine, "condemned")) != 0) {
        print_ids("proven to lie", json_object_get(engine, "condemned"));
    }
    (void)printf("  decided: fast %llu, slow %llu; vouched %llu, acked %llu, certified %llu, "
                 "committed %llu\n",
                 of_engine(report, "decided_fast"), of_engine(report, "decided_slow"),
                 of_engine(report, "vouched"), of_engine(report, "acked"),
                 of_engine(report, "certified"), of_engine(report, "committed"));
    (void)printf("  broadcasts %llu; delivered: fast %llu, slow %llu; seals %llu, views entered "
                 "%llu\n",
                 of_engine(report, "broadcasts"), of_engine(report, "delivered_fast"),
                 of_engine(report, "delivered_slow"), of_engine(report, "seals"),
                 of_engine(report, "views_entered"));
    (void)printf("  signatures: made %llu, checked %llu, bad %llu; registers: written %llu, read "
                 "%llu\n",
                 of_engine(report, "signatures_made"), of_engine(report, "signatures_checked"),
                 of_engine(report, "signatures_bad"), of_engine(report, "register_writes"),
                 of_engine(report, "register_reads"));
}

static void print_planes(const json_t *report)
{
    static const char *const names[] = {"data", "background"};
    for (size_t i = 0; i < 2; i++) {
        const json_t *plane = json_object_get(json_object_get(report, "fabric"), names[i]);
        (void)printf("  %s plane: writes %llu (%llu bytes), reads %llu\n", names[i],
                     (unsigned long long)local_number(plane, NULL, "writes"),
                     (unsigned long long)local_number(plane, NULL, "write_bytes"),
                     (unsigned long long)local_number(plane, NULL, "reads"));
    }
}

// The device of a replica over RDMA, and what its operations cost there.
static void print_rdma(const json_t *report)
{
    static const char *const names[] = {"data", "background"};
    const json_t *rdma = json_object_get(report, "rdma");
    if (rdma == NULL) {
        return;
    }
    (void)printf("  RDMA device %s, port %llu, GID %llu (%s), packets of %llu bytes, permissions "
                 "by %s\n",
                 json_string_value(json_object_get(rdma, "device")),
                 (unsigned long long)local_number(rdma, NULL, "port"),
                 (unsigned long long)local_number(rdma, NULL, "gid_index"),
                 json_string_value(json_object_get(rdma, "gid_type")),
                 (unsigned long long)local_number(rdma, NULL, "mtu_bytes"),
                 json_string_value(json_object_get(rdma, "permission")));
    for (size_t i = 0; i < 2; i++) {
        (void)printf("  %s plane at the device: posts %llu (inline %llu), doorbells %llu, "
                     "completions %llu\n",
                     names[i], (unsigned long long)local_number(rdma, names[i], "posts"),
                     (unsigned long long)local_number(rdma, names[i], "inlined"),
                     (unsigned long long)local_number(rdma, names[i], "doorbells"),
                     (unsigned long long)local_number(rdma, names[i], "completions"));
    }
}

static void print_report(const json_t *report)
{
    bool is_byzantine = json_object_get(report, "byzantine") != NULL;
    const char *role = json_string_value(json_object_get(report, "role"));
    (void)printf("%s: %s, incarnation %llu, applied %llu, commit %llu, pid %llu\n",
                 json_string_value(json_object_get(report, "node")), role == NULL ? "?" : role,
                 (unsigned long long)local_number(report, NULL, "incarnation"),
                 (unsigned long long)local_number(report, NULL, "applied"),
                 (unsigned long long)local_number(report, NULL, "commit"),
                 (unsigned long long)local_number(report, "process", "pid"));
    print_ids("connected", json_object_get(report, "up"));
    print_ids("trusted", json_object_get(report, "trusted"));
    print_ids("members' incarnations", json_object_get(report, "members"));
    if (json_array_size(json_object_get(report, "waiting")) != 0) {
        print_ids("waiting for admission", json_object_get(report, "waiting"));
    }
    if (is_byzantine) {
        print_byzantine(report);
    } else if (role != NULL && strcmp(role, "leader") == 0) {
        print_ids("log hosts in step", json_object_get(report, "confirmed"));
        (void)printf(
            "  elected in: decision %llu us, permission %llu us, catch-up %llu us\n",
            (unsigned long long)local_number(report, "last_election", "detect_to_ask_ns") / 1000,
            (unsigned long long)local_number(report, "last_election", "permission_ns") / 1000,
            (unsigned long long)local_number(report, "last_election", "recovery_ns") / 1000);
        (void)printf("  lease %llu us (lapsed %llu times): %llu reads under it, %llu through the "
                     "log\n",
                     (unsigned long long)local_number(report, "counters", "lease_ns") / 1000,
                     (unsigned long long)local_number(report, "counters", "lease_lapses"),
                     (unsigned long long)local_number(report, "counters", "reads_leased"),
                     (unsigned long long)local_number(report, "counters", "reads_ordered"));
    }
    (void)printf(
        "  executed %llu; deaths by the kernel %llu, suspicions by frozen beats %llu (false "
        "%llu), reads timed out %llu; misbehaviour %llu\n",
        (unsigned long long)local_number(report, "counters", "requests_executed"),
        (unsigned long long)local_number(report, "detector", "deaths"),
        (unsigned long long)local_number(report, "detector", "suspicions"),
        (unsigned long long)local_number(report, "detector", "false_suspicions"),
        (unsigned long long)local_number(report, "detector", "time_outs"),
        (unsigned long long)local_number(report, "counters", "malformed") +
            (unsigned long long)local_number(report, "counters", "unexpected"));
    print_planes(report);
    print_rdma(report);
}

// Status 0: somebody leads.
static int show(const struct local *local, bool as_json)
{
    json_t *all = json_array();
    for (uint32_t r = 0; r < local->config.replica_count; r++) {
        json_t *report = local_status(local, (uint16_t)r);
        if (as_json) {
            (void)json_array_append_new(all, report != NULL ? report : json_null());
            continue;
        }
        if (report == NULL) {
            (void)printf("replica-%u: does not answer\n", r);
        } else {
            print_report(report);
        }
        char text[1024];
        if (local->directory[0] != '\0' &&
            local_attack_text(local, (uint16_t)r, text, sizeof text)) {
            (void)printf("  a liar, whose report proves nothing: %s\n", text);
        }
        json_decref(report);
    }
    if (as_json) {
        (void)json_dumpf(all, stdout, JSON_INDENT(2));
        (void)printf("\n");
    }
    json_decref(all);
    return local_leader(local) < 0;
}

int cli_status(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"dir", 'd', "DIR", 0,
         "Folder of a local cluster (default $TACIT_DIR, else " LOCAL_DIRECTORY ")", 0},
        {"cluster", 'c', "FILE", 0, "Cluster file; its runtime_dir has the status sockets", 0},
        {"json", KEY_JSON, NULL, 0, "As a JSON array, null for a replica that does not answer", 0},
        {0},
    };
    static const struct argp argp = {
        options, parse, "",  "What the replicas on this machine say of themselves.",
        NULL,    NULL,  NULL};
    struct arguments arguments = defaults();
    struct tacit_error error;
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return 2;
    }
    if (arguments.words.count != 0) {
        (void)cli_complain("status %s: options alone are accepted", arguments.words.word[0]);
        return 2;
    }
    struct local *local = calloc(1, sizeof *local);
    struct tacit_config_problems *problems = calloc(1, sizeof *problems);
    int result = 1;
    if (local == NULL || problems == NULL) {
        (void)cli_complain("no memory");
    } else {
        enum tacit_status status;
        if (arguments.cluster != NULL) {
            status = tacit_config_load(arguments.cluster, &local->config, problems);
            if (status != TACIT_OK) {
                (void)tacit_config_problems_to_error(problems, status, &error);
            }
        } else {
            status = local_open(local, arguments.directory, &error);
        }
        result = status == TACIT_OK ? show(local, arguments.json) : cli_fail(&error);
    }
    free(local);
    free(problems);
    return result;
}

// ---- kv ----------------------------------------------------------------------------------------

static void print_span(struct tacit_kv_span span)
{
    if (span.bytes == NULL) {
        (void)printf("(nil)\n");
        return;
    }
    (void)fwrite(span.bytes, 1, span.size, stdout);
    (void)printf("\n");
}

static int print_reply(const uint8_t *bytes, size_t size)
{
    struct tacit_kv_reply reply;
    if (tacit_kv_reply_decode(&reply, bytes, size) != TACIT_VERDICT_OK) {
        return cli_complain("the reply makes no sense");
    }
    switch (reply.kind) {
    case TACIT_KV_REPLY_NIL:
        (void)printf("(nil)\n");
        return 0;
    case TACIT_KV_REPLY_OK:
        (void)printf("OK\n");
        return 0;
    case TACIT_KV_REPLY_INTEGER:
        (void)printf("%lld\n", (long long)reply.integer);
        return 0;
    case TACIT_KV_REPLY_ARRAY:
        for (uint32_t i = 0; i < reply.elements; i++) {
            print_span(tacit_kv_reply_next(&reply));
        }
        return 0;
    case TACIT_KV_REPLY_ERROR:
        (void)fwrite(reply.text.bytes, 1, reply.text.size, stderr);
        (void)fprintf(stderr, "\n");
        return 1;
    default:
        print_span(reply.text);
        return 0;
    }
}

// The command that the first word names. TACIT_KV_NONE: none, or not with so many arguments.
static enum tacit_kv_command command_of(const struct cli_words *words)
{
    const char *name = words->count != 0 ? words->word[0] : "";
    name = strcmp(name, "put") == 0 ? "set" : name;
    enum tacit_kv_command command = tacit_kv_command_find(name, strlen(name));
    return command != TACIT_KV_NONE && tacit_kv_arity_is_right(command, words->count - 1)
               ? command
               : TACIT_KV_NONE;
}

static int ask(struct tacit_channel *channel, const struct arguments *arguments)
{
    struct tacit_channel_limits limits;
    struct tacit_kv_span spans[CLI_WORDS_MAX];
    struct tacit_error error;
    enum tacit_kv_command command = command_of(&arguments->words);
    uint32_t count = arguments->words.count - 1;
    uint32_t session = 0;
    for (uint32_t i = 0; i < count; i++) {
        spans[i] = (struct tacit_kv_span){.bytes = (const uint8_t *)arguments->words.word[i + 1],
                                          .size = (uint32_t)strlen(arguments->words.word[i + 1])};
    }
    tacit_channel_limits(channel, &limits);
    uint8_t *request = malloc(limits.request_bytes);
    uint8_t *answer = malloc(limits.reply_bytes);
    int result = 1;
    if (request == NULL || answer == NULL) {
        (void)cli_complain("no memory");
    } else if (tacit_channel_connect(channel, CALL_NS, &session, &error) != TACIT_OK) {
        (void)cli_fail(&error);
    } else {
        struct tacit_channel_reply reply = {.bytes = answer, .max = limits.reply_bytes};
        size_t size = tacit_kv_request_encode(request, limits.request_bytes, command, spans, count);
        enum tacit_status status =
            size == 0
                ? TACIT_ETOOBIG
                : (tacit_kv_command_reads(command) ? tacit_channel_call_read : tacit_channel_call)(
                      channel, session, request, size, CALL_NS, &reply);
        result =
            status == TACIT_OK ? print_reply(answer, reply.size)
            : status == TACIT_ETOOBIG
                ? cli_complain("the request or its reply is larger than the cluster file allows "
                               "(limits.request_bytes %u, reply_bytes %u)",
                               limits.request_bytes, limits.reply_bytes)
                : cli_complain("no answer: %s", tacit_status_name(status));
    }
    free(request);
    free(answer);
    return result;
}

int cli_kv(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"dir", 'd', "DIR", 0,
         "Folder of a local cluster (default $TACIT_DIR, else " LOCAL_DIRECTORY ")", 0},
        {"node", KEY_NODE, "FILE", 0, "Node file of the client to be, instead of --dir", 0},
        {0},
    };
    static const struct argp argp = {options,
                                     parse,
                                     "get KEY|put KEY VALUE|del KEY...|incr KEY|...",
                                     "One command to the replicated key-value store.",
                                     NULL,
                                     NULL,
                                     NULL};
    struct arguments arguments = defaults();
    struct tacit_error error;
    char path[TACIT_CONFIG_PATH_BYTES];
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return 2;
    }
    if (command_of(&arguments.words) == TACIT_KV_NONE) {
        (void)cli_complain("kv %s: accepted are get KEY, put KEY VALUE, del KEY..., exists, incr, "
                           "incrby, append, mget, mset, strlen as in Redis",
                           arguments.words.count != 0 ? arguments.words.word[0] : "");
        return 2;
    }
    if (arguments.node == NULL && local_exists(arguments.directory, &error) != TACIT_OK) {
        return cli_fail(&error);
    }
    (void)snprintf(path, sizeof path, "%s/client-%u.yaml", arguments.directory,
                   LOCAL_COMMAND_CLIENT);
    struct tacit_channel_options channel_options = {
        .node_path = arguments.node != NULL ? arguments.node : path};
    struct tacit_channel *channel = NULL;
    if (tacit_channel_open(&channel_options, &channel, &error) != TACIT_OK) {
        return cli_fail(&error);
    }
    int result = ask(channel, &arguments);
    tacit_channel_close(channel);
    return result;
}
