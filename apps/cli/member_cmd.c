// SPDX-License-Identifier: Apache-2.0
//
// tacit member: who sits in the group's seats, and an operator's orders about them. An order is
// signed with the operator's key, goes to every replica, and is executed by the group in its place
// in the log; what is printed is what the replicas answered.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../client/channel.h"
#include "../client/cluster.h"
#include "cli.h"
#include "local.h"
#include "options.h"
#include "tacit/keyfile.h"
#include "tacit/wire.h"

#define ANSWER_NS UINT64_C(10000000000)
#define ASK_NS 20000000u   // between two questions
#define SEND_NS 200000000u // between two copies of an order

enum { KEY_NODE = 256, KEY_KEY, KEY_WITH, KEY_WAIT };

struct arguments {
    const char *directory, *cluster, *node, *key;
    const char *with;
    bool quiet; // for another command
    uint64_t wait_s;
    struct cli_words words;
};

struct member {
    struct tacit_config config;
    struct tacit_channel *channel;
    struct tacit_wire_members members;
    char key_path[TACIT_CONFIG_PATH_BYTES];
    char group_path[TACIT_CONFIG_PATH_BYTES];
};

static const struct argp_option options[] = {
    {"dir", 'd', "DIR", 0,
     "Folder of a local cluster (default $TACIT_DIR, else " LOCAL_DIRECTORY ")", 0},
    {"cluster", 'c', "FILE", 0, "Cluster file, instead of a local cluster", 0},
    {"node", KEY_NODE, "FILE", 0, "... and the node file of the client that asks", 0},
    {"key", KEY_KEY, "FILE", 0, "... and the operator's private key", 0},
    {"with", KEY_WITH, "NODE", 0, "replace: by this spare (default: the first one that is free)",
     0},
    {"wait", KEY_WAIT, "SECONDS", 0,
     "add, remove, replace: how long to wait until the order has had its effect (default 30; 0: "
     "not at all)",
     0},
    {0},
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
    case KEY_NODE:
        arguments->node = value;
        return 0;
    case KEY_KEY:
        arguments->key = value;
        return 0;
    case KEY_WITH:
        arguments->with = value;
        return 0;
    case KEY_WAIT:
        arguments->wait_s = cli_option_number(state, "--wait", value, 0, 86400);
        return 0;
    case ARGP_KEY_ARG:
        cli_option_append(state, &arguments->words, value, CLI_WORDS_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// ---- names
// ---------------------------------------------------------------------------------------------

static enum tacit_config_role role_of(tacit_node_t seat)
{
    return seat < TACIT_NODE_MEMNODE ? TACIT_CONFIG_REPLICA : TACIT_CONFIG_MEMNODE;
}

static void body_name(tacit_node_t seat, uint32_t body, char out[TACIT_CONFIG_NAME_BYTES])
{
    bool is_replica = seat < TACIT_NODE_MEMNODE;
    uint16_t id = (uint16_t)(body == 0 ? seat & (TACIT_NODE_MEMNODE - 1u) : body);
    if (body == TACIT_BODY_VACANT) {
        (void)snprintf(out, TACIT_CONFIG_NAME_BYTES, "nobody");
        return;
    }
    tacit_config_node_name(body == 0    ? role_of(seat)
                           : is_replica ? TACIT_CONFIG_SPARE_REPLICA
                                        : TACIT_CONFIG_SPARE_MEMNODE,
                           id, out);
}

// "replica-0", "memnode-2", "spare-replica-1": a seat and a body of its role. A spare's seat is the
// first of its role.
static bool find_body(const struct tacit_config *config, const char *text, tacit_node_t *seat,
                      uint32_t *body)
{
    static const struct {
        const char *word;
        enum tacit_config_role role;
        tacit_node_t first;
        bool is_spare;
    } words[] = {{"replica-", TACIT_CONFIG_REPLICA, 0, false},
                 {"memnode-", TACIT_CONFIG_MEMNODE, TACIT_NODE_MEMNODE, false},
                 {"spare-replica-", TACIT_CONFIG_SPARE_REPLICA, 0, true},
                 {"spare-memnode-", TACIT_CONFIG_SPARE_MEMNODE, TACIT_NODE_MEMNODE, true}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t length = strlen(words[i].word);
        uint64_t id = 0;
        if (strncmp(text, words[i].word, length) == 0 && cli_number(text + length, 0, 14, &id) &&
            tacit_config_member(config, words[i].role, (uint16_t)id) != NULL) {
            *seat = (tacit_node_t)(words[i].first + (words[i].is_spare ? 0 : id));
            *body = words[i].is_spare ? (uint32_t)id : 0;
            return true;
        }
    }
    (void)cli_complain(
        "%s is no node of this cluster; accepted are replica-N (below %u), memnode-N "
        "(below %u), spare-replica-N (1 to %u) and spare-memnode-N (1 to %u)",
        text, config->replica_count, config->memnode_count, config->spare_replica_count,
        config->spare_memnode_count);
    return false;
}

// ---- asking
// --------------------------------------------------------------------------------------------

static enum tacit_status open_files(struct member *member, const struct arguments *arguments,
                                    struct tacit_error *error)
{
    char node_path[TACIT_CONFIG_PATH_BYTES];
    char cluster_path[TACIT_CONFIG_PATH_BYTES];
    if (arguments->cluster == NULL) {
        enum tacit_status status = local_exists(arguments->directory, error);
        if (status != TACIT_OK) {
            return status;
        }
        (void)snprintf(cluster_path, sizeof cluster_path, "%s/cluster.yaml", arguments->directory);
        (void)snprintf(node_path, sizeof node_path, "%s/client-%u.yaml", arguments->directory,
                       LOCAL_COMMAND_CLIENT);
        (void)snprintf(member->key_path, sizeof member->key_path, "%s/operator.key",
                       arguments->directory);
    } else if (arguments->node == NULL) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "with --cluster the node file of a client is needed (--node)");
    } else {
        (void)snprintf(cluster_path, sizeof cluster_path, "%s", arguments->cluster);
    }
    if (arguments->node != NULL) {
        (void)snprintf(node_path, sizeof node_path, "%s", arguments->node);
    }
    if (arguments->key != NULL) {
        (void)snprintf(member->key_path, sizeof member->key_path, "%s", arguments->key);
    }
    struct tacit_config_problems *problems = calloc(1, sizeof *problems);
    if (problems == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, 0, "no memory");
    }
    enum tacit_status status = tacit_config_load(cluster_path, &member->config, problems);
    if (status != TACIT_OK) {
        (void)tacit_config_problems_to_error(problems, status, error);
    }
    free(problems);
    if (status == TACIT_OK) {
        status = tacit_config_runtime_dir(&member->config, cluster_path, error);
    }
    if (status != TACIT_OK) {
        return status;
    }
    (void)snprintf(member->group_path, sizeof member->group_path, "%.1000s/group", cluster_path);
    struct tacit_channel_options channel = {.node_path = node_path,
                                            .group_path = member->group_path};
    return tacit_channel_open(&channel, &member->channel, error);
}

// Until the group's answer to a question that is asked now is here.
static bool ask(struct member *member, uint64_t patience_ns)
{
    uint64_t end_ns = cli_now_ns() + patience_ns;
    struct tacit_channel_event event;
    do {
        tacit_channel_members_ask(member->channel);
        (void)tacit_channel_wait(member->channel, ASK_NS, &event);
        if (tacit_channel_members(member->channel, &member->members)) {
            return true;
        }
    } while (cli_now_ns() < end_ns);
    return false;
}

static tacit_node_t seat_at(const struct tacit_config *config, uint32_t index)
{
    return (tacit_node_t)(index < config->replica_count
                              ? index
                              : TACIT_NODE_MEMNODE + index - config->replica_count);
}

// The seat of that role that the body has, or `none`.
static tacit_node_t seat_of(const struct member *member, tacit_node_t of, uint32_t body)
{
    const struct tacit_config *config = &member->config;
    for (uint32_t i = 0; i < config->replica_count + config->memnode_count; i++) {
        tacit_node_t seat = seat_at(config, i);
        bool fits = role_of(seat) == role_of(of) && (body != 0 || seat == of);
        if (fits && tacit_incarnation_body(member->members.seat[seat]) == body) {
            return seat;
        }
    }
    return TACIT_NODE_NONE;
}

static bool is_barred(const struct member *member, tacit_node_t seat, uint32_t body)
{
    return (member->members.barred & tacit_body_bit(seat, body)) != 0;
}

static void list_spares(const struct member *member, tacit_node_t first, uint32_t count)
{
    for (uint32_t body = 1; body <= count; body++) {
        char name[TACIT_CONFIG_NAME_BYTES];
        char seat_name[TACIT_CONFIG_NAME_BYTES] = "";
        tacit_node_t seat = seat_of(member, first, body);
        body_name(first, body, name);
        if (seat != TACIT_NODE_NONE) {
            body_name(seat, 0, seat_name);
        }
        (void)printf("%-16s %s%s\n", name,
                     seat != TACIT_NODE_NONE          ? "sits in the seat of "
                     : is_barred(member, first, body) ? "was replaced or removed (tacit member add)"
                                                      : "free",
                     seat_name);
    }
}

static int list(const struct member *member)
{
    const struct tacit_config *config = &member->config;
    const struct tacit_wire_members *members = &member->members;
    (void)printf("epoch %llu\n%-12s %-16s %10s %6s  %s\n", (unsigned long long)members->epoch,
                 "seat", "who", "generation", "start", "");
    for (uint32_t i = 0; i < config->replica_count + config->memnode_count; i++) {
        tacit_node_t seat = seat_at(config, i);
        tacit_incarnation_t now = members->seat[seat];
        char name[TACIT_CONFIG_NAME_BYTES];
        char who[TACIT_CONFIG_NAME_BYTES];
        char ordered[TACIT_CONFIG_NAME_BYTES] = "";
        body_name(seat, 0, name);
        body_name(seat, tacit_incarnation_body(now), who);
        if (members->ordered[seat] != 0) {
            body_name(seat, members->ordered[seat] - 1u, ordered);
        }
        (void)printf("%-12s %-16s %10u %6u  %s%s%s\n", name, who, tacit_incarnation_generation(now),
                     tacit_incarnation_start(now), (members->dead >> seat & 1u) != 0 ? "dead " : "",
                     ordered[0] != '\0' ? "waits for " : "", ordered);
    }
    list_spares(member, 0, config->spare_replica_count);
    list_spares(member, TACIT_NODE_MEMNODE, config->spare_memnode_count);
    for (uint32_t i = 0; i < config->replica_count + config->memnode_count; i++) {
        char name[TACIT_CONFIG_NAME_BYTES];
        tacit_node_t seat = seat_at(config, i);
        if (is_barred(member, seat, 0)) {
            body_name(seat, 0, name);
            (void)printf("%-16s was replaced or removed (tacit member add)\n", name);
        }
    }
    return 0;
}

// ---- orders
// --------------------------------------------------------------------------------------------

static enum tacit_status sign(const struct member *member, struct tacit_wire_order *order,
                              struct tacit_error *error)
{
    uint8_t bytes[TACIT_WIRE_ORDER_BYTES];
    struct tacit_group_id group;
    struct tacit_digest cluster;
    struct tacit_scope scope;
    struct tacit_signature signature;
    if (!member->config.has_operator_key) {
        return tacit_error_set(error, TACIT_ENOENT, 0,
                               "the cluster file has no operator_key, so nobody may order changes "
                               "of members: make a key (tacit keygen operator.key), write what it "
                               "prints as `operator_key:` into the cluster file of every node, and "
                               "restart them one after the other");
    }
    enum tacit_status status = tacit_group_file_read(member->group_path, &group, error);
    if (status != TACIT_OK) {
        return status;
    }
    struct tacit_keypair *pair = tacit_secret_alloc(sizeof *pair, error);
    if (pair == NULL) {
        return TACIT_ENOMEM;
    }
    if (member->key_path[0] == '\0') {
        status = tacit_error_set(error, TACIT_EINVAL, 0,
                                 "the file with the operator's private key is needed (--key)");
    }
    if (status == TACIT_OK) {
        status = tacit_keyfile_load(pair, member->key_path, error);
    }
    if (status == TACIT_OK &&
        !tacit_public_key_is_equal(&pair->public_key, &member->config.operator_key)) {
        status = tacit_error_set(error, TACIT_EAUTH, 0,
                                 "the key in %.300s is not the operator's of the cluster file",
                                 member->key_path);
    }
    if (status == TACIT_OK) {
        tacit_config_digest(&cluster, &member->config);
        tacit_scope_make(&scope, &group, &cluster);
        tacit_wire_order_encode(bytes, order);
        tacit_signature_make(&signature, pair, TACIT_DOMAIN_ORDER, &scope, bytes,
                             TACIT_WIRE_ORDER_SIGNED);
        memcpy(order->signature, signature.bytes, sizeof order->signature);
    }
    tacit_secret_free(pair);
    return status;
}

static const char *outcome_text(uint32_t outcome)
{
    static const char *const texts[TACIT_ORDER_OUTCOMES] = {
        [TACIT_ORDER_DONE] = "done",
        [TACIT_ORDER_STALE] = "the members have changed meanwhile: look, and say it again",
        [TACIT_ORDER_UNKNOWN] = "the group has no such seat",
        [TACIT_ORDER_NOT_MEMBER] = "it is no member (any more)",
        [TACIT_ORDER_SEATED] = "it is a member already",
        [TACIT_ORDER_BARRED] = "it was replaced or removed; `tacit member add` it first",
        [TACIT_ORDER_QUORUM] =
            "too few members that are alive would be left for the group to go on",
        [TACIT_ORDER_CHANGING] = "a change of members is under way: say it again when it is over",
        [TACIT_ORDER_WORN_OUT] = "the seat has changed hands too often; found the group anew",
    };
    return outcome < TACIT_ORDER_OUTCOMES && texts[outcome] != NULL ? texts[outcome] : "?";
}

// Sends until the group has answered; 0: it did not.
static uint32_t send(struct member *member, const struct tacit_wire_order *order)
{
    uint64_t end_ns = cli_now_ns() + ANSWER_NS;
    uint64_t sent_ns = 0;
    uint32_t outcome = 0;
    while (outcome == 0 && cli_now_ns() < end_ns) {
        struct tacit_channel_event event;
        if (cli_now_ns() - sent_ns > SEND_NS) {
            sent_ns = cli_now_ns();
            tacit_channel_order_send(member->channel, order);
        }
        (void)tacit_channel_wait(member->channel, ASK_NS, &event);
        outcome = tacit_channel_order_outcome(member->channel, order->nonce);
    }
    return outcome;
}

// Whether the order has had its effect.
static bool has_effect(const struct member *member, const struct tacit_wire_order *order)
{
    tacit_incarnation_t now = member->members.seat[order->seat];
    switch (order->kind) {
    case TACIT_ORDER_REMOVE:
        return tacit_incarnation_body(now) != order->body;
    case TACIT_ORDER_REPLACE:
        return tacit_incarnation_body(now) == order->body;
    default:
        return !is_barred(member, order->seat, order->body);
    }
}

static int give(struct member *member, struct tacit_wire_order *order,
                const struct arguments *arguments)
{
    uint64_t wait_s = arguments->wait_s;
    struct tacit_error error;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    order->epoch = member->members.epoch;
    order->nonce = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    if (order->nonce <= member->members.nonce) { // somebody's clock is ahead of this one
        order->nonce = member->members.nonce + 1;
    }
    if (sign(member, order, &error) != TACIT_OK) {
        return cli_fail(&error);
    }
    uint32_t outcome = send(member, order);
    if (outcome == 0) {
        return cli_complain("the group did not answer; whether it will execute the order is not "
                            "known: see tacit member list");
    }
    if (outcome != TACIT_ORDER_DONE) {
        return cli_complain("refused: %s", outcome_text(outcome));
    }
    uint64_t end_ns = cli_now_ns() + wait_s * 1000000000u;
    while (cli_now_ns() < end_ns) {
        if (ask(member, ASK_NS) && has_effect(member, order)) {
            (void)(arguments->quiet ? 0 : printf("done\n"));
            return 0;
        }
    }
    (void)printf("ordered%s\n", wait_s == 0 ? "" : ", but without effect yet");
    return wait_s == 0 ? 0 : 1;
}

// Members of the role that are alive as far as the group says, without one.
static uint32_t others_alive(const struct member *member, tacit_node_t but)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < member->config.replica_count + member->config.memnode_count; i++) {
        tacit_node_t seat = seat_at(&member->config, i);
        count += seat != but && role_of(seat) == role_of(but) &&
                 (member->members.dead >> seat & 1u) == 0 &&
                 tacit_incarnation_body(member->members.seat[seat]) != TACIT_BODY_VACANT;
    }
    return count;
}

static int remove_member(struct member *member, const struct arguments *arguments)
{
    struct tacit_wire_order order = {.kind = TACIT_ORDER_REMOVE};
    uint32_t body = 0;
    tacit_node_t named = 0;
    if (!find_body(&member->config, arguments->words.word[1], &named, &body)) {
        return 2;
    }
    order.seat = seat_of(member, named, body);
    order.body = (uint8_t)body;
    if (order.seat == TACIT_NODE_NONE) {
        return cli_complain("%s is no member", arguments->words.word[1]);
    }
    bool one_suffices = member->config.mode == TACIT_CONFIG_CRASH &&
                        member->config.log_on == TACIT_CONFIG_LOG_ON_MEMNODES &&
                        role_of(order.seat) == TACIT_CONFIG_REPLICA;
    uint32_t all = role_of(order.seat) == TACIT_CONFIG_REPLICA ? member->config.replica_count
                                                               : member->config.memnode_count;
    if (others_alive(member, order.seat) < (one_suffices ? 1 : all / 2 + 1)) {
        return cli_complain("refused: %s", outcome_text(TACIT_ORDER_QUORUM));
    }
    return give(member, &order, arguments);
}

// The spare that is named, or the first one that is free; a founder that was added may be named
// too.
static bool choose_spare(const struct member *member, const struct arguments *arguments,
                         tacit_node_t seat, uint32_t *body)
{
    tacit_node_t named = 0;
    uint32_t count = role_of(seat) == TACIT_CONFIG_REPLICA ? member->config.spare_replica_count
                                                           : member->config.spare_memnode_count;
    if (arguments->with != NULL) {
        if (!find_body(&member->config, arguments->with, &named, body)) {
            return false;
        }
        if (role_of(named) != role_of(seat) || (*body == 0 && named != seat)) {
            (void)cli_complain("%s cannot take this seat", arguments->with);
            return false;
        }
        return true;
    }
    for (*body = 1; *body <= count; ++*body) {
        if (!is_barred(member, seat, *body) && seat_of(member, seat, *body) == TACIT_NODE_NONE) {
            return true;
        }
    }
    (void)cli_complain("no spare of that role is free (tacit member list)");
    return false;
}

static int replace_member(struct member *member, const struct arguments *arguments)
{
    struct tacit_wire_order order = {.kind = TACIT_ORDER_REPLACE};
    uint32_t body = 0;
    tacit_node_t named = 0;
    if (!find_body(&member->config, arguments->words.word[1], &named, &body)) {
        return 2;
    }
    // A seat is called like its founder, also when a spare sits there; a spare means its own.
    order.seat = body == 0 ? named : seat_of(member, named, body);
    if (order.seat == TACIT_NODE_NONE) {
        return cli_complain("%s is no member", arguments->words.word[1]);
    }
    if (!choose_spare(member, arguments, order.seat, &body)) {
        return 2;
    }
    order.body = (uint8_t)body;
    return give(member, &order, arguments);
}

static int add_member(struct member *member, const struct arguments *arguments)
{
    struct tacit_wire_order order = {.kind = TACIT_ORDER_ADD};
    uint32_t body = 0;
    if (!find_body(&member->config, arguments->words.word[1], &order.seat, &body)) {
        return 2;
    }
    order.body = (uint8_t)body;
    return give(member, &order, arguments);
}

static int run(struct member *member, const struct arguments *arguments)
{
    const char *what = arguments->words.word[0];
    if (strcmp(what, "list") == 0) {
        return list(member);
    }
    return strcmp(what, "add") == 0      ? add_member(member, arguments)
           : strcmp(what, "remove") == 0 ? remove_member(member, arguments)
                                         : replace_member(member, arguments);
}

static bool is_command(const struct cli_words *words)
{
    bool is_list = words->count == 1 && strcmp(words->word[0], "list") == 0;
    return is_list || (words->count == 2 && (strcmp(words->word[0], "add") == 0 ||
                                             strcmp(words->word[0], "remove") == 0 ||
                                             strcmp(words->word[0], "replace") == 0));
}

static int perform(const struct arguments *arguments)
{
    struct tacit_error error;
    struct member *member = calloc(1, sizeof *member);
    if (member == NULL) {
        return cli_complain("no memory");
    }
    int result = 1;
    if (open_files(member, arguments, &error) != TACIT_OK) {
        result = cli_fail(&error);
    } else if (!ask(member, ANSWER_NS)) {
        result = cli_complain("the group does not answer (`tacit status` may say why)");
    } else {
        result = run(member, arguments);
    }
    tacit_channel_close(member->channel);
    free(member);
    return result;
}

int cli_member_add(const char *directory, const char *node)
{
    const struct arguments arguments = {.directory = directory,
                                        .quiet = true,
                                        .wait_s = 30,
                                        .words = {.word = {"add", node}, .count = 2}};
    return perform(&arguments);
}

int cli_member(int argc, char **argv)
{
    static const struct argp argp = {
        options,
        parse,
        "list|add NODE|remove NODE|replace SEAT",
        "Who is in the group, and orders about its members, signed with the operator's key. NODE "
        "is "
        "such as replica-0, memnode-2 or spare-replica-1; a SEAT is called like the node that had "
        "it "
        "first.\v"
        "remove: its seat stays empty. replace: a spare takes the seat, also from a member that is "
        "alive. add: a node that was replaced or removed, and was repaired, may take a seat again; "
        "it stands by once it is started, and fills a seat that was emptied.",
        NULL,
        NULL,
        NULL};
    const char *from_environment = getenv("TACIT_DIR");
    struct arguments arguments = {
        .directory = from_environment != NULL ? from_environment : LOCAL_DIRECTORY, .wait_s = 30};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return 2;
    }
    if (!is_command(&arguments.words)) {
        (void)cli_complain("member: accepted are list, add NODE, remove NODE and replace SEAT");
        return 2;
    }
    return perform(&arguments);
}
